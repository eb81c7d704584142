#include "cli/common.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define BODY_MAX_BYTES (64 * 1024)

static const struct cli_column columns[] = {
    {"REQUEST", "id"}, {"SUBJECT", "subject"}, {"RIGHT", "right"},          {"STATE", "state"},
    {"DUE", "due_at"}, {"OVERDUE", "overdue"}, {"RECEIVED", "received_at"}, {"AIM", "aim_at"}};
static const struct cli_column receipt_columns[] = {{"REQUEST", "id"},
                                                    {"RIGHT", "right"},
                                                    {"STATE", "state"},
                                                    {"RECEIPT", "receipt.receipt"},
                                                    {"RECORDS", "receipt.records_erased"},
                                                    {"TELL", "receipt.notify"}};

static void request_path(const struct cli_call *call, const char *step, struct cli_path *path)
{
    cli_path_start(path, "/v1/requests");
    cli_path_segment(path, call->arguments[0]);
    cli_path_text(path, step);
}

/* The options that were given, under these names; names ends with NULL. */
static void add_texts(const struct cli_call *call, const char *const (*names)[2],
                      struct kl_json_out *out)
{
    for (; (*names)[0] != NULL; names++)
        if (cli_call_is_set(call, (*names)[0]))
            kl_json_add_text(out, (*names)[1], cli_call_value(call, (*names)[0]));
}

static enum cli_exit send(struct cli_call *call, const struct cli_path *path, struct kl_buf *body,
                          const struct cli_column *shown, size_t shown_count)
{
    char key[40];
    struct cli_response response;
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = kl_buf_slice(body), .idempotency_key = key};
    if (cli_call_send(call, "POST", path->text, &request, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_output_rows(call, &response, NULL, shown, shown_count);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_request_create(struct cli_call *call)
{
    static const char *const names[][2] = {
        {"right", "right"}, {"received-at", "received_at"}, {"channel", "channel"}, {NULL, NULL}};
    if (!cli_call_is_set(call, "right")) {
        (void)fprintf(stderr, "kluis: --right is needed: what the person asks for\n");
        return CLI_USAGE;
    }
    struct kl_buf body;
    kl_buf_init(&body, BODY_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "subject", call->arguments[0]);
    add_texts(call, names, &out);
    enum kl_status status = cli_common_add_file(call, "note", &out);
    kl_json_object_end(&out);
    struct cli_path path;
    cli_path_start(&path, "/v1/requests");
    enum cli_exit result =
        status == KL_OK ? send(call, &path, &body, columns, COUNT(columns)) : CLI_FAILED;
    kl_buf_done(&body);
    return result;
}

enum cli_exit cli_request_list(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, "/v1/requests");
    cli_path_query(&path, "state", cli_call_value(call, "state"));
    cli_path_query(&path, "due_before", cli_call_value(call, "due-before"));
    cli_common_page(call, &path);
    return cli_common_show(call, &path, "requests", columns, COUNT(columns));
}

enum cli_exit cli_request_show(struct cli_call *call)
{
    static const struct cli_column shown[] = {{"REQUEST", "id"},
                                              {"SUBJECT", "subject"},
                                              {"RIGHT", "right"},
                                              {"STATE", "state"},
                                              {"RECEIVED", "received_at"},
                                              {"DUE", "due_at"},
                                              {"OVERDUE", "overdue"},
                                              {"CHANNEL", "channel"},
                                              {"NOTE", "note"},
                                              {"VERIFIED BY", "verified.method"},
                                              {"EXTENDED", "extended.reason"},
                                              {"OUTCOME", "closed.outcome"},
                                              {"GROUND", "closed.ground"},
                                              {"REFERENCE", "closed.reference"}};
    struct cli_path path;
    request_path(call, "", &path);
    return cli_common_show(call, &path, NULL, shown, COUNT(shown));
}

/* A step whose body is made of these options. */
static enum cli_exit take(struct cli_call *call, const char *step, const char *const (*names)[2],
                          const struct cli_column *shown, size_t shown_count)
{
    struct kl_buf body;
    kl_buf_init(&body, BODY_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    add_texts(call, names, &out);
    enum kl_status status = cli_common_add_file(call, "note", &out);
    if (strcmp(step, "/complete") == 0 && cli_call_is_set(call, "fee")) {
        static const char *const fee[][2] = {{"fee", "amount"},
                                             {"fee-currency", "currency"},
                                             {"fee-reason", "reason"},
                                             {NULL, NULL}};
        kl_json_key(&out, "fee");
        kl_json_object_begin(&out);
        add_texts(call, fee, &out);
        kl_json_object_end(&out);
    }
    kl_json_object_end(&out);
    struct cli_path path;
    request_path(call, step, &path);
    enum cli_exit result =
        status == KL_OK ? send(call, &path, &body, shown, shown_count) : CLI_FAILED;
    kl_buf_done(&body);
    return result;
}

/* Whether that option was given; says what it is for when it was not. */
static bool needed(const struct cli_call *call, const char *option, const char *what)
{
    if (cli_call_is_set(call, option))
        return true;
    (void)fprintf(stderr, "kluis: --%s is needed: %s\n", option, what);
    return false;
}

enum cli_exit cli_request_verify(struct cli_call *call)
{
    static const char *const names[][2] = {{"method", "method"}, {NULL, NULL}};
    if (!needed(call, "method", "how the person was identified"))
        return CLI_USAGE;
    return take(call, "/verify", names, columns, COUNT(columns));
}

enum cli_exit cli_request_extend(struct cli_call *call)
{
    static const char *const names[][2] = {
        {"reason", "reason"}, {"told-at", "told_at"}, {NULL, NULL}};
    if (!needed(call, "reason", "complexity or number_of_requests") ||
        !needed(call, "told-at", "when the person was told"))
        return CLI_USAGE;
    return take(call, "/extend", names, columns, COUNT(columns));
}

enum cli_exit cli_request_reject(struct cli_call *call)
{
    static const char *const names[][2] = {
        {"ground", "ground"}, {"told-at", "told_at"}, {NULL, NULL}};
    if (!needed(call, "ground", "why the request is refused"))
        return CLI_USAGE;
    return take(call, "/reject", names, columns, COUNT(columns));
}

/* Whether what is asked for is an erasure: then completing it destroys something. */
static enum kl_status is_erasure(struct cli_call *call, bool *ret)
{
    struct cli_path path;
    struct cli_response response;
    struct kl_json *json = NULL;
    request_path(call, "", &path);
    enum kl_status status = cli_call_send(call, "GET", path.text, NULL, &response);
    if (status != KL_OK)
        return status;
    status = kl_json_parse(response.body.bytes, response.body.size, &json, &call->err);
    if (status == KL_OK) {
        const char *right = kl_json_text(kl_json_member(kl_json_root(json), "right"));
        *ret = right != NULL && strcmp(right, "erasure") == 0;
    }
    kl_json_free(json);
    cli_response_done(&response);
    return status;
}

enum cli_exit cli_request_complete(struct cli_call *call)
{
    static const char *const names[][2] = {
        {"outcome", "outcome"}, {"reference", "reference"}, {"told-at", "told_at"}, {NULL, NULL}};
    bool erases = false;
    if (is_erasure(call, &erases) != KL_OK)
        return CLI_FAILED;
    if (cli_call_is_set(call, "dry-run")) {
        (void)fprintf(stderr, erases ? "would erase the person, and cannot be undone:\n"
                                     : "would complete:\n");
        return cli_request_show(call);
    }
    if (erases && !cli_input_confirm(call, "Destroy this person's key? Nothing brings the data "
                                           "back."))
        return CLI_FAILED;
    return erases ? take(call, "/complete", names, receipt_columns, COUNT(receipt_columns))
                  : take(call, "/complete", names, columns, COUNT(columns));
}
