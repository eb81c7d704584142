#include "cli/common.h"

#include <stdio.h>

static const struct cli_column sweep_columns[] = {
    {"SWEEP", "id"},        {"STATE", "state"},       {"VALUES", "values"},
    {"INDEXES", "indexes"}, {"BUCKETS", "buckets"},   {"ANSWERS", "answers"},
    {"ENDED", "ended_at"},  {"FAILED", "failed_code"}};
#define SWEEP_COLUMNS (sizeof sweep_columns / sizeof sweep_columns[0])

/* A dry run: what waits, and up to where all is gone already. */
static enum cli_exit show_waiting(struct cli_call *call)
{
    static const struct cli_column columns[] = {{"WAITING", "sweep.waiting"},
                                                {"HORIZON", "horizon"},
                                                {"LAST SWEEP", "sweep.last_at"},
                                                {"NEXT SWEEP", "sweep.next_at"}};
    struct cli_path path;
    cli_path_start(&path, "/v1/keys");
    return cli_common_show(call, &path, NULL, columns, sizeof columns / sizeof columns[0]);
}

/* The rate as JSON, or nothing; false when it is no number. */
static bool add_rate(struct cli_call *call, struct kl_json_out *out)
{
    const char *rate = cli_call_value(call, "rate");
    int64_t number = 0;
    if (rate == NULL)
        return true;
    for (const char *digit = rate; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9' || number > 100000000)
            return false;
        number = number * 10 + (*digit - '0');
    }
    kl_json_add_int(out, "changes_per_second", number);
    return number > 0;
}

enum cli_exit cli_key_sweep(struct cli_call *call)
{
    if (cli_call_is_set(call, "dry-run"))
        return show_waiting(call);
    struct kl_buf body;
    kl_buf_init(&body, 1024);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    bool usable = add_rate(call, &out);
    kl_json_object_end(&out);
    if (!usable) {
        (void)fputs("kluis: --rate is a number of keys a second\n", stderr);
        kl_buf_done(&body);
        return CLI_USAGE;
    }
    char key[40];
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = &body, .idempotency_key = key};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "POST", "/v1/keys/sweeps", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_job_wait(call, "/v1/keys/sweeps", "sweeping", &response);
    enum cli_exit shown = cli_output_rows(call, &response, NULL, sweep_columns, SWEEP_COLUMNS);
    cli_response_done(&response);
    return result == CLI_DONE ? shown : result;
}
