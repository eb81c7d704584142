#include "cli/common.h"

#include <stdio.h>

#define STORES "/v1/stores"

static const struct cli_column store_columns[] = {
    {"STORE", "name"},          {"COUNTRY", "country"},       {"STATE", "state"},
    {"TENANTS", "tenants"},     {"GENERATION", "generation"}, {"FINALITY", "finality"},
    {"DIRECTORY", "directory"}, {"CUSTODIAN", "custodian"},   {"LOW", "storage.low"},
    {"WHY", "reason"},          {"TRIED", "tried_at"}};
#define COLUMN_COUNT (sizeof store_columns / sizeof store_columns[0])

enum cli_exit cli_store_list(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, STORES);
    return cli_common_show(call, &path, "stores", store_columns, COLUMN_COUNT);
}

static enum kl_status send_add(struct cli_call *call, struct cli_response *ret)
{
    const char *custodian = cli_call_value(call, "custodian");
    struct kl_buf passphrase = {0}, body;
    kl_buf_init(&body, 16384);
    enum kl_status status = cli_custodian_passphrase(call, custodian, &passphrase);
    if (status == KL_OK) {
        struct kl_json_out out = kl_json_out(&body);
        kl_json_object_begin(&out);
        kl_json_add_text(&out, "name", call->arguments[0]);
        kl_json_add_text(&out, "directory", cli_call_value(call, "directory"));
        cli_custodian_write(custodian, cli_call_value(call, "country"), &passphrase, &out);
        kl_json_object_end(&out);
        struct cli_request request = {.body = &body};
        status = cli_call_send(call, "POST", STORES, &request, ret);
    }
    kl_buf_done(&passphrase);
    kl_buf_done(&body);
    return status;
}

enum cli_exit cli_store_add(struct cli_call *call)
{
    if (!cli_call_is_set(call, "directory") || !cli_call_is_set(call, "country") ||
        !cli_call_is_set(call, "custodian")) {
        (void)fputs(
            "kluis: --directory, --country and --custodian are needed: where the data lies, and what keeps "
            "its root key\n",
            stderr);
        return CLI_USAGE;
    }
    struct cli_response response;
    if (send_add(call, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_output_rows(call, &response, NULL, store_columns, COLUMN_COUNT);
    cli_response_done(&response);
    if (result == CLI_DONE && !call->quiet)
        (void)fputs(
            "keep its root key out of every backup and snapshot; a passphrase or PIN goes into the server's "
            "configuration before its next start\n",
            stderr);
    return result;
}
