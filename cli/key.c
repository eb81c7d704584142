#include "cli/common.h"

#include <stdio.h>
#include <stdlib.h>

static const struct cli_column rotation_columns[] = {
    {"ROTATION", "id"},      {"LEVEL", "level"},
    {"STATE", "state"},      {"FROM", "from_generation"},
    {"TO", "to_generation"}, {"OLD KEY OUT OF USE", "old_key_out_of_use"}};
#define ROTATION_COLUMNS (sizeof rotation_columns / sizeof rotation_columns[0])

enum cli_exit cli_key_status(struct cli_call *call)
{
    static const struct cli_column columns[] = {{"GENERATION", "generation"},
                                                {"IN USE SINCE", "root_key_since"},
                                                {"CUSTODIAN", "custodian"},
                                                {"FINALITY", "finality"},
                                                {"OLD ROOT DESTROYED", "old_root_destroyed"},
                                                {"MIRRORS", "mirrors.state"},
                                                {"HORIZON", "horizon"},
                                                {"REASON", "reason"},
                                                {"WARNING", "warning"}};
    struct cli_path path;
    cli_path_start(&path, "/v1/keys");
    return cli_common_show(call, &path, NULL, columns, sizeof columns / sizeof columns[0]);
}

/* text NULL: none, 0. */
static bool rate_read(const char *text, int64_t *ret_rate)
{
    char *end = NULL;
    long long rate = 0;
    if (text == NULL)
        return true;
    rate = strtoll(text, &end, 10);
    if (end == text || *end != 0 || rate < 1)
        return false;
    *ret_rate = rate;
    return true;
}

enum cli_exit cli_key_rotate(struct cli_call *call)
{
    const char *level = cli_call_value(call, "level");
    int64_t rate = 0;
    struct kl_buf body;
    if (!rate_read(cli_call_value(call, "rate"), &rate)) {
        (void)fprintf(stderr, "kluis: --rate is a whole number of pages a second\n");
        return CLI_USAGE;
    }
    kl_buf_init(&body, 1024);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "level", level != NULL ? level : "root");
    if (rate > 0)
        kl_json_add_int(&out, "pages_per_second", rate);
    if (cli_call_is_set(call, "without-backup"))
        kl_json_add_bool(&out, "without_backup", true);
    kl_json_object_end(&out);

    char key[40];
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = &body, .idempotency_key = key};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "POST", "/v1/keys/rotations", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;

    enum cli_exit result = cli_call_is_set(call, "no-wait")
                               ? CLI_DONE
                               : cli_job_wait(call, "/v1/keys/rotations", "rotating", &response);
    enum cli_exit shown =
        cli_output_rows(call, &response, NULL, rotation_columns, ROTATION_COLUMNS);
    cli_response_done(&response);
    return result == CLI_DONE ? shown : result;
}
