#include "cli/common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_INTERVAL_MS 200

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
                                                {"HORIZON", "horizon"}};
    struct cli_path path;
    cli_path_start(&path, "/v1/keys");
    return cli_common_show(call, &path, NULL, columns, sizeof columns / sizeof columns[0]);
}

/* Read state and progress of a rotation out of an answer; false when it cannot be read. */
static bool rotation_state(struct cli_call *call, const struct cli_response *response, char id[64],
                           bool *ret_ended, bool *ret_failed, double *ret_progress)
{
    struct kl_json *json = NULL;
    if (kl_json_parse(response->body.bytes, response->body.size, &json, &call->err) != KL_OK)
        return false;
    const struct kl_json_value *root = kl_json_root(json);
    const char *name = kl_json_text(kl_json_member(root, "id"));
    const char *state = kl_json_text(kl_json_member(root, "state"));
    size_t digits = 0;
    const char *progress = kl_json_number_text(kl_json_member(root, "progress"), &digits);
    double fraction = 0;
    if (progress != NULL && digits < 32) {
        char text[33] = {0};
        memcpy(text, progress, digits);
        (void)sscanf(text, "%lf", &fraction);
    }
    bool known = name != NULL && state != NULL && strlen(name) < 64;
    if (known) {
        (void)snprintf(id, 64, "%s", name);
        *ret_ended = strcmp(state, "running") != 0 && strcmp(state, "waiting") != 0;
        *ret_failed = strcmp(state, "failed") == 0;
        *ret_progress = fraction;
    }
    kl_json_free(json);
    return known;
}

static enum cli_exit wait_for_end(struct cli_call *call, struct cli_response *response,
                                  bool *ret_failed)
{
    char id[64] = "";
    bool ended = false;
    bool failed = false;
    double progress = 0;
    while (rotation_state(call, response, id, &ended, &failed, &progress)) {
        cli_progress_show("rotating", progress);
        if (ended) {
            cli_progress_end();
            *ret_failed = failed;
            return CLI_DONE;
        }
        const struct timespec pause = {.tv_nsec = POLL_INTERVAL_MS * 1000L * 1000L};
        (void)nanosleep(&pause, NULL);
        struct cli_path path;
        cli_path_start(&path, "/v1/keys/rotations");
        cli_path_segment(&path, id);
        struct cli_response next;
        if (cli_call_send(call, "GET", path.text, NULL, &next) != KL_OK)
            break;
        cli_response_done(response);
        *response = next;
    }
    cli_progress_end();
    return CLI_FAILED;
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
    struct cli_request request = {.body = kl_buf_slice(&body), .idempotency_key = key};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "POST", "/v1/keys/rotations", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;

    bool failed = false;
    enum cli_exit result =
        cli_call_is_set(call, "no-wait") ? CLI_DONE : wait_for_end(call, &response, &failed);
    if (result == CLI_DONE)
        result = cli_output_rows(call, &response, NULL, rotation_columns, ROTATION_COLUMNS);
    if (result == CLI_DONE && failed)
        result = CLI_FAILED;
    cli_response_done(&response);
    return result;
}
