#include "cli/common.h"

#include <stdio.h>

static const struct cli_column run_columns[] = {
    {"RUN", "id"},
    {"STATE", "state"},
    {"SEEN", "subjects_seen"},
    {"SUBJECTS DUE", "subjects_due"},
    {"RECORDS DUE", "records_due"},
    {"SUBJECTS ERASED", "subjects_erased"},
    {"RECORDS ERASED", "records_erased"},
    {"FAILED", "failed"},
};
#define RUN_COLUMNS (sizeof run_columns / sizeof run_columns[0])

enum cli_exit cli_retention_run(struct cli_call *call)
{
    bool dry_run = cli_call_is_set(call, "dry-run");
    struct kl_json_out out;
    struct kl_buf body;
    char key[40];

    if (!dry_run &&
        !cli_input_confirm(call, "Erase what no purpose keeps any more? Nothing brings it back."))
        return CLI_FAILED;
    kl_buf_init(&body, 1024);
    out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "dry_run", dry_run);
    kl_json_object_end(&out);
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = &body, .idempotency_key = key};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "POST", "/v1/retention/runs", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_job_wait(call, "/v1/retention/runs", "looking", &response);
    enum cli_exit shown = cli_output_rows(call, &response, NULL, run_columns, RUN_COLUMNS);
    cli_response_done(&response);
    return result == CLI_DONE ? shown : result;
}

enum cli_exit cli_retention_list(struct cli_call *call)
{
    struct cli_path path;

    cli_path_start(&path, "/v1/retention/runs");
    cli_path_query(&path, "limit", cli_call_value(call, "limit"));
    return cli_common_show(call, &path, "runs", run_columns, RUN_COLUMNS);
}
