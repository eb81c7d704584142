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

/* What a completion made, told once; nothing where none was. */
static enum kl_status write_document(struct cli_call *call, const struct cli_response *response,
                                     struct cli_out *out)
{
    struct kl_json *json = NULL;
    enum kl_status status =
        kl_json_parse(response->body.bytes, response->body.size, &json, &call->err);
    if (status == KL_OK) {
        const struct kl_json_value *text =
            kl_json_member(kl_json_member(kl_json_root(json), "document"), "text");
        size_t size = kl_json_text_bytes(text);
        if (kl_json_text(text) == NULL)
            status = kl_fail(&call->err, KL_ERR_GONE, "no_document",
                             "no document came with it: make it again with kluis subject", NULL);
        else if (fwrite(kl_json_text(text), 1, size, out->file) != size)
            status =
                kl_failf(&call->err, KL_ERR_IO, "file_error", "%s cannot be written", out->part);
    }
    kl_json_free(json);
    return status;
}

/* out NULL: no document is expected. */
static enum cli_exit send(struct cli_call *call, const struct cli_path *path, struct kl_buf *body,
                          const struct cli_column *shown, size_t shown_count, struct cli_out *out)
{
    char key[40];
    struct cli_response response;
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = body, .idempotency_key = key};
    enum kl_status status = cli_call_send(call, "POST", path->text, &request, &response);
    if (status != KL_OK) {
        if (out != NULL)
            (void)cli_out_close(call, out, status);
        return CLI_FAILED;
    }
    if (out != NULL)
        status = cli_out_close(call, out, write_document(call, &response, out));
    enum cli_exit result = cli_output_rows(call, &response, NULL, shown, shown_count);
    cli_response_done(&response);
    return status == KL_OK ? result : CLI_FAILED;
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
        status == KL_OK ? send(call, &path, &body, columns, COUNT(columns), NULL) : CLI_FAILED;
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
static enum cli_exit take_into(struct cli_call *call, const char *step,
                               const char *const (*names)[2], const struct cli_column *shown,
                               size_t shown_count, struct cli_out *out_file)
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
        status == KL_OK ? send(call, &path, &body, shown, shown_count, out_file) : CLI_FAILED;
    if (status != KL_OK && out_file != NULL)
        (void)cli_out_close(call, out_file, status);
    kl_buf_done(&body);
    return result;
}

static enum cli_exit take(struct cli_call *call, const char *step, const char *const (*names)[2],
                          const struct cli_column *shown, size_t shown_count)
{
    return take_into(call, step, names, shown, shown_count, NULL);
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

/* What completing a request does by itself: destroy something, or make a document; else it is done elsewhere. */
enum completing { ELSEWHERE, ERASES, MAKES_DOCUMENT };
static enum kl_status what_it_does(struct cli_call *call, enum completing *ret)
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
        const char *outcome = cli_call_value(call, "outcome");
        bool made_here = !cli_call_is_set(call, "reference") &&
                         (outcome == NULL || strcmp(outcome, "nothing_to_do") != 0);
        *ret = ELSEWHERE;
        if (right != NULL && strcmp(right, "erasure") == 0)
            *ret = ERASES;
        else if (right != NULL && made_here &&
                 (strcmp(right, "access") == 0 || strcmp(right, "portability") == 0))
            *ret = MAKES_DOCUMENT;
    }
    kl_json_free(json);
    cli_response_done(&response);
    return status;
}

/* The file is there before anything is done, so that what is told once does not get lost. */
static enum cli_exit complete_with_document(struct cli_call *call, const char *const (*names)[2])
{
    const char *path = cli_call_value(call, "out");
    struct cli_out out;
    if (path == NULL && call->format == CLI_FORMAT_JSON)
        return take(call, "/complete", names, columns, COUNT(columns));
    if (!needed(call, "out",
                "the document is told once; or --reference, where it was made elsewhere"))
        return CLI_USAGE;
    if (cli_out_open(call, path, &out) != KL_OK)
        return CLI_FAILED;
    return take_into(call, "/complete", names, columns, COUNT(columns), &out);
}

enum cli_exit cli_request_complete(struct cli_call *call)
{
    static const char *const names[][2] = {{"outcome", "outcome"}, {"reference", "reference"},
                                           {"told-at", "told_at"}, {"as", "format"},
                                           {"lang", "lang"},       {NULL, NULL}};
    enum completing does = ELSEWHERE;
    if (what_it_does(call, &does) != KL_OK)
        return CLI_FAILED;
    if (cli_call_is_set(call, "dry-run")) {
        (void)fprintf(stderr, does == ERASES ? "would erase the person, and cannot be undone:\n"
                                             : "would complete:\n");
        return cli_request_show(call);
    }
    if (does == MAKES_DOCUMENT)
        return complete_with_document(call, names);
    if (does == ERASES && !cli_input_confirm(call, "Destroy this person's key? Nothing brings the "
                                                   "data back."))
        return CLI_FAILED;
    return does == ERASES ? take(call, "/complete", names, receipt_columns, COUNT(receipt_columns))
                          : take(call, "/complete", names, columns, COUNT(columns));
}
