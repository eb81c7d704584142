#include "cli/common.h"

#include <stdio.h>

static const struct cli_column mirror_columns[] = {
    {"MIRROR", "id"},         {"DIRECTORY", "directory"},   {"COUNTRY", "country"},
    {"STATE", "state"},       {"SINCE", "since"},           {"GENERATION", "generation"},
    {"FINALITY", "finality"}, {"WHY OUT OF STEP", "reason"}};
#define COLUMN_COUNT (sizeof mirror_columns / sizeof mirror_columns[0])
#define MIRRORS "/v1/keys/mirrors"

enum cli_exit cli_mirror_list(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, MIRRORS);
    return cli_common_show(call, &path, "mirrors", mirror_columns, COLUMN_COUNT);
}

enum cli_exit cli_mirror_add(struct cli_call *call)
{
    if (!cli_call_is_set(call, "country")) {
        (void)fprintf(stderr, "kluis: --country is needed: where the mirror lies\n");
        return CLI_USAGE;
    }
    struct kl_buf body;
    kl_buf_init(&body, 8192);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "directory", call->arguments[0]);
    kl_json_add_text(&out, "country", cli_call_value(call, "country"));
    kl_json_object_end(&out);
    struct cli_request request = {.body = &body};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "POST", MIRRORS, &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_output_rows(call, &response, NULL, mirror_columns, COLUMN_COUNT);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_mirror_drop(struct cli_call *call)
{
    static const struct cli_column columns[] = {{"MIRROR", "id"}, {"OVERWRITTEN", "destroyed"}};
    bool declared = cli_call_is_set(call, "destroyed");
    struct cli_path path;
    cli_path_start(&path, MIRRORS);
    cli_path_segment(&path, call->arguments[0]);
    if (declared)
        cli_path_query(&path, "destroyed", "true");
    if (!cli_input_confirm(
            call,
            declared
                ? "Do you answer for it that this mirror's root key exists no more? The audit trail says that you do."
                : "Take this mirror out? Its root key is overwritten."))
        return CLI_FAILED;
    struct cli_response response;
    if (cli_call_send(call, "DELETE", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result =
        cli_output_rows(call, &response, NULL, columns, sizeof columns / sizeof columns[0]);
    cli_response_done(&response);
    return result;
}
