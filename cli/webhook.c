#include "cli/common.h"

#include "kluis/base/file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WEBHOOKS "/v1/webhooks"
#define TEST_WAIT_S 20

static const struct cli_column webhook_columns[] = {{"ID", "id"},
                                                    {"URL", "url"},
                                                    {"COUNTRY", "country"},
                                                    {"EVENTS", "events"},
                                                    {"WAITING", "waiting"},
                                                    {"DELIVERED", "delivered"},
                                                    {"FAILED", "failed"},
                                                    {"DROPPED", "dropped"},
                                                    {"LAST", "delivered_at"},
                                                    {"LAST FAILURE", "last_failure"}};
#define COLUMN_COUNT (sizeof webhook_columns / sizeof webhook_columns[0])

static void write_names(struct kl_json_out *out, const char *key, const char *list)
{
    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (const char *at = list; *at != '\0';) {
        size_t size = strcspn(at, ",");
        kl_json_put_text_n(out, at, size);
        at += size + (at[size] == ',');
    }
    kl_json_array_end(out);
}

/* The secret of the answer to a new file, so that it is never on a screen. */
static enum kl_status keep_secret(struct cli_call *call, const char *secret, const char *file)
{
    struct kl_buf line;
    kl_buf_init(&line, 256);
    kl_buf_add_text(&line, secret);
    kl_buf_add_byte(&line, '\n');
    enum kl_status status = kl_file_create(file, 0600, line.bytes, line.size, &call->err);
    kl_buf_done(&line);
    return status;
}

static enum cli_exit show_added(struct cli_call *call, const struct cli_response *response)
{
    const char *file = cli_call_value(call, "out");
    struct kl_json *json = NULL;
    if (kl_json_parse(response->body.bytes, response->body.size, &json, &call->err) != KL_OK)
        return CLI_FAILED;
    const struct kl_json_value *root = kl_json_root(json);
    const char *secret = kl_json_text(kl_json_member(root, "secret"));
    const char *id = kl_json_text(kl_json_member(root, "id"));
    enum cli_exit result = CLI_DONE;
    if (secret == NULL || id == NULL) {
        (void)kl_fail(&call->err, KL_ERR_REFUSED, "no_secret", "the answer holds no secret", NULL);
        result = CLI_FAILED;
    } else if (file != NULL) {
        result = keep_secret(call, secret, file) == KL_OK ? CLI_DONE : CLI_FAILED;
        if (result == CLI_DONE)
            (void)printf("%s\n", id);
    } else if (call->format == CLI_FORMAT_TABLE) {
        result = cli_output_rows(call, response, NULL, webhook_columns, COLUMN_COUNT);
        (void)printf("\nsecret, shown this once:\n%s\n", secret);
    } else {
        cli_output_json(response);
    }
    kl_json_free(json);
    return result;
}

enum cli_exit cli_webhook_add(struct cli_call *call)
{
    if (!cli_call_is_set(call, "country")) {
        (void)fprintf(stderr, "kluis: --country is needed: where the target is\n");
        return CLI_USAGE;
    }
    struct kl_buf body;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "url", call->arguments[0]);
    kl_json_add_text(&out, "country", cli_call_value(call, "country"));
    if (cli_call_is_set(call, "events"))
        write_names(&out, "events", cli_call_value(call, "events"));
    kl_json_object_end(&out);
    char key[40];
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = &body, .idempotency_key = key};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "POST", WEBHOOKS, &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = show_added(call, &response);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_webhook_list(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, WEBHOOKS);
    return cli_common_show(call, &path, "webhooks", webhook_columns, COLUMN_COUNT);
}

enum cli_exit cli_webhook_remove(struct cli_call *call)
{
    if (!cli_input_confirm(call, "Remove this webhook? What waits for it is dropped."))
        return CLI_FAILED;
    struct cli_path path;
    struct cli_response response;
    cli_path_start(&path, WEBHOOKS);
    cli_path_segment(&path, call->arguments[0]);
    if (cli_call_send(call, "DELETE", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    cli_response_done(&response);
    if (!call->quiet)
        (void)puts("removed");
    return CLI_DONE;
}

static int64_t number_of(const struct cli_response *response, const char *member)
{
    struct kl_json *json = NULL;
    int64_t number = 0;
    if (kl_json_parse(response->body.bytes, response->body.size, &json, NULL) == KL_OK)
        (void)kl_json_int(kl_json_member(kl_json_root(json), member), &number);
    kl_json_free(json);
    return number;
}

/* Until nothing waits for it any more, a delivery failed, or the time is over. ret: how it is then. */
static enum kl_status wait_for_test(struct cli_call *call, const char *path,
                                    struct cli_response *ret)
{
    const struct timespec pause = {.tv_nsec = 500 * 1000 * 1000};
    int64_t failed = -1;
    for (int i = 0;; i++) {
        enum kl_status status = cli_call_send(call, "GET", path, NULL, ret);
        if (status != KL_OK)
            return status;
        if (failed < 0)
            failed = number_of(ret, "failed");
        if (number_of(ret, "waiting") == 0 || (i > 0 && number_of(ret, "failed") > failed) ||
            i == 2 * TEST_WAIT_S)
            return KL_OK;
        cli_response_done(ret);
        (void)nanosleep(&pause, NULL);
    }
}

enum cli_exit cli_webhook_test(struct cli_call *call)
{
    struct cli_path path, test;
    struct cli_response response;
    cli_path_start(&path, WEBHOOKS);
    cli_path_segment(&path, call->arguments[0]);
    cli_path_start(&test, WEBHOOKS);
    cli_path_segment(&test, call->arguments[0]);
    cli_path_segment(&test, "test");
    if (cli_call_send(call, "POST", test.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    cli_response_done(&response);
    if (wait_for_test(call, path.text, &response) != KL_OK)
        return CLI_FAILED;
    bool waits = number_of(&response, "waiting") > 0;
    enum cli_exit result = cli_output_rows(call, &response, NULL, webhook_columns, COLUMN_COUNT);
    cli_response_done(&response);
    if (result == CLI_DONE && waits) {
        (void)kl_fail(&call->err, KL_ERR_REFUSED, "not_delivered",
                      "it was not delivered; it is tried again until it is, or for three days",
                      NULL);
        result = CLI_FAILED;
    }
    return result;
}
