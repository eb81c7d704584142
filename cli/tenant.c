#include "cli/common.h"

#include <stdio.h>

static const struct cli_column tenant_columns[] = {{"TENANT", "name"},
                                                   {"STORE", "store"},
                                                   {"COUNTRY", "country"},
                                                   {"GRACE", "grace"},
                                                   {"CREATED", "created_at"},
                                                   {"POLICY", "policy.name"},
                                                   {"VERSION", "policy.version"},
                                                   {"ENDS", "ends_at"}};
#define COLUMN_COUNT (sizeof tenant_columns / sizeof tenant_columns[0])

static void tenant_path(const struct cli_call *call, struct cli_path *path)
{
    cli_path_start(path, "/v1/tenants");
    cli_path_segment(path, call->arguments[0]);
}

enum cli_exit cli_tenant_create(struct cli_call *call)
{
    struct kl_buf body;
    kl_buf_init(&body, 1024);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    if (cli_call_is_set(call, "store"))
        kl_json_add_text(&out, "store", cli_call_value(call, "store"));
    if (cli_call_is_set(call, "grace"))
        kl_json_add_text(&out, "grace", cli_call_value(call, "grace"));
    kl_json_object_end(&out);

    struct cli_path path;
    tenant_path(call, &path);
    struct cli_request request = {.body = &body};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "PUT", path.text, &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_output_rows(call, &response, NULL, tenant_columns, COLUMN_COUNT);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_tenant_show(struct cli_call *call)
{
    struct cli_path path;
    tenant_path(call, &path);
    return cli_common_show(call, &path, NULL, tenant_columns, COLUMN_COUNT);
}

enum cli_exit cli_tenant_list(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, "/v1/tenants");
    return cli_common_show(call, &path, "tenants", tenant_columns, COLUMN_COUNT);
}

static enum cli_exit print_end(struct cli_call *call, const struct cli_response *response)
{
    static const struct cli_column receipt[] = {{"RECEIPT", "receipt"},
                                                {"TENANT", "tenant"},
                                                {"ENDED AT", "erased_at"},
                                                {"FINALITY", "finality"},
                                                {"AUDIT ENTRIES", "audit.size"}};
    if (response->status == 202)
        return cli_output_rows(call, response, NULL, tenant_columns, COLUMN_COUNT);
    return cli_output_rows(call, response, NULL, receipt, sizeof receipt / sizeof receipt[0]);
}

enum cli_exit cli_tenant_end(struct cli_call *call)
{
    struct cli_path path;
    tenant_path(call, &path);
    if (cli_call_is_set(call, "dry-run")) {
        (void)fprintf(stderr, "would end, with everything that is stored for it:\n");
        return cli_common_show(call, &path, NULL, tenant_columns, COLUMN_COUNT);
    }
    if (!cli_input_confirm(call, "End this tenant? Without a grace period nothing brings it back."))
        return CLI_FAILED;
    struct cli_response response;
    cli_path_query(&path, "now", cli_call_is_set(call, "now") ? "true" : NULL);
    if (cli_call_send(call, "DELETE", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = print_end(call, &response);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_tenant_restore(struct cli_call *call)
{
    struct cli_path path;
    tenant_path(call, &path);
    cli_path_text(&path, "/restore");
    struct cli_response response;
    if (cli_call_send(call, "POST", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_output_rows(call, &response, NULL, tenant_columns, COLUMN_COUNT);
    cli_response_done(&response);
    return result;
}
