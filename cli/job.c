#include "cli/common.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define POLL_INTERVAL_MS 200
#define ID_BYTES 64

/* What an answer says of a job; false when it says nothing of one. */
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
    bool known = id != NULL && state != NULL && strlen(id) < ID_BYTES && strlen(state) < ID_BYTES;
    if (known) {
        char text[ID_BYTES] = "0";
        if (progress != NULL && digits < ID_BYTES)
            memcpy(text, progress, digits);
        (void)sscanf(text, "%lf", ret_progress);
        memcpy(ret_id, id, strlen(id) + 1);
        memcpy(ret_state, state, strlen(state) + 1);
    }
    kl_json_free(json);
    return known;
}

enum cli_exit cli_job_wait(struct cli_call *call, const char *path_start, const char *what,
                           struct cli_response *response)
{
    char id[ID_BYTES] = "";
    char state[ID_BYTES] = "";
    double progress = 0;
    enum cli_exit result = CLI_FAILED;
    while (read_state(call, response, id, state, &progress)) {
        cli_progress_show(what, progress);
        if (strcmp(state, "running") != 0) {
            result = strcmp(state, "done") == 0 ? CLI_DONE : CLI_FAILED;
            break;
        }
        const struct timespec pause = {.tv_nsec = POLL_INTERVAL_MS * 1000L * 1000L};
        (void)nanosleep(&pause, NULL);
        struct cli_path path;
        cli_path_start(&path, path_start);
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
