#include "cli/common.h"

#include <stdio.h>

/* readyz answers 503 with the same document when it is not ready, so the HTTP status is no failure here. */
enum cli_exit cli_status(struct cli_call *call)
{
    struct cli_response response;
    if (cli_client_send(call->client, "GET", "/readyz", NULL, &response, &call->err) != KL_OK)
        return CLI_FAILED;
    static const struct cli_column columns[] = {
        {"READY", "ready"}, {"STORES", "stores.store"}, {"STORES READY", "stores.ready"}};
    enum cli_exit result =
        cli_output_rows(call, &response, NULL, columns, sizeof columns / sizeof columns[0]);
    if (result == CLI_DONE && response.status != 200)
        result = CLI_FAILED;
    cli_response_done(&response);
    return result;
}
