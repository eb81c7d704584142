#include "cli/common.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define POLL_INTERVAL_MS 200
#define ID_BYTES 64

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

/* What an answer says of a sweep; false when it says nothing of one. */
static bool read_state(struct cli_call *call, const struct cli_response *response,
                       char ret_id[ID_BYTES], char ret_state[ID_BYTES], double *ret_progress)
{
    struct kl_json *json = NULL;
    if (kl_json_parse(response->body.bytes, response->body.size, &json, &call->err) != KL_OK)
        return false;
    const struct kl_json_value *root = kl_json_root(json);
    const char *id = kl_json_text(kl_json_member(root, "id"));
    const char *state = kl_json_text(kl_json_member(root, "state"));
    size_t digits = 0;
    const char *progress = kl_json_number_text(kl_json_member(root, "progress"), &digits);
    bool known = id != NULL && state != NULL && progress != NULL && strlen(id) < ID_BYTES &&
                 strlen(state) < ID_BYTES && digits < ID_BYTES;
    if (known) {
        char text[ID_BYTES] = {0};
        memcpy(text, progress, digits);
        (void)sscanf(text, "%lf", ret_progress);
        memcpy(ret_id, id, strlen(id) + 1);
        memcpy(ret_state, state, strlen(state) + 1);
    }
    kl_json_free(json);
    return known;
}

/* Ask until it has ended; response is the last answer then. */
static enum cli_exit wait_for_end(struct cli_call *call, struct cli_response *response)
{
    char id[ID_BYTES] = "";
    char state[ID_BYTES] = "";
    double progress = 0;
    enum cli_exit result = CLI_FAILED;
    while (read_state(call, response, id, state, &progress)) {
        if (strcmp(state, "running") != 0) {
            result = strcmp(state, "done") == 0 ? CLI_DONE : CLI_FAILED;
            break;
        }
        cli_progress_show("sweeping", progress);
        const struct timespec pause = {.tv_nsec = POLL_INTERVAL_MS * 1000L * 1000L};
        (void)nanosleep(&pause, NULL);
        struct cli_path path;
        cli_path_start(&path, "/v1/keys/sweeps");
        cli_path_segment(&path, id);
        struct cli_response next;
        if (cli_call_send(call, "GET", path.text, NULL, &next) != KL_OK)
            break;
        cli_response_done(response);
        *response = next;
    }
    cli_progress_end();
    return result;
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
    struct cli_request request = {.body = kl_buf_slice(&body), .idempotency_key = key};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "POST", "/v1/keys/sweeps", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = wait_for_end(call, &response);
    enum cli_exit shown = cli_output_rows(call, &response, NULL, sweep_columns, SWEEP_COLUMNS);
    cli_response_done(&response);
    return result == CLI_DONE ? shown : result;
}
