#include "cli/common.h"

#include "kluis/base/id.h"

#include <string.h>

void cli_common_idempotency_key(char out[40])
{
    struct kl_id id = kl_id_new();
    char text[KL_ID_TEXT_BYTES];
    kl_id_format("cli", &id, text);
    memcpy(out, text, sizeof text);
}

void cli_common_page(const struct cli_call *call, struct cli_path *path)
{
    cli_path_query(path, "limit", cli_call_value(call, "limit"));
    cli_path_query(path, "cursor", cli_call_value(call, "cursor"));
}

enum kl_status cli_common_add_file(struct cli_call *call, const char *name, struct kl_json_out *out)
{
    const char *file = cli_call_value(call, name);
    struct kl_buf text = {0};
    if (file == NULL)
        return KL_OK;
    enum kl_status status = cli_input_read(file, &text, &call->err);
    if (status != KL_OK)
        return status;
    kl_json_key(out, name);
    kl_json_put_text_n(out, text.bytes, text.size);
    kl_buf_done(&text);
    return KL_OK;
}

enum cli_exit cli_common_show(struct cli_call *call, const struct cli_path *path, const char *list,
                              const struct cli_column *columns, size_t column_count)
{
    struct cli_response response;
    if (cli_call_send(call, "GET", path->text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_output_rows(call, &response, list, columns, column_count);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_common_send_file(struct cli_call *call, const char *method,
                                   const struct cli_path *path, const char *file,
                                   const char *if_match, const struct cli_column *columns,
                                   size_t column_count)
{
    struct kl_buf body = {0};
    struct cli_response response;
    if (cli_input_read(file, &body, &call->err) != KL_OK)
        return CLI_FAILED;
    char key[40];
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = &body,
                                  .if_match = if_match,
                                  .idempotency_key = strcmp(method, "POST") == 0 ? key : NULL};
    enum kl_status status = cli_call_send(call, method, path->text, &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_output_rows(call, &response, NULL, columns, column_count);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_common_print_receipt(struct cli_call *call, const struct cli_response *response)
{
    static const struct cli_column columns[] = {{"RECEIPT", "receipt"},
                                                {"ERASED AT", "erased_at"},
                                                {"RECORDS", "records_erased"},
                                                {"FINALITY", "finality"},
                                                {"TELL", "notify"}};
    return cli_output_rows(call, response, NULL, columns, sizeof columns / sizeof columns[0]);
}
