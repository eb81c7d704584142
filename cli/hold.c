#include "cli/common.h"

#include <stdio.h>

/* /v1/subjects/SUBJECT/records/RECORD/hold, or /v1/erasures/RECEIPT/records/RECORD. */
static void hold_path(const struct cli_call *call, const char *first, const char *last,
                      struct cli_path *path)
{
    cli_path_start(path, first);
    cli_path_segment(path, call->arguments[0]);
    cli_path_text(path, "/records");
    cli_path_segment(path, call->arguments[1]);
    cli_path_text(path, last);
}

static enum cli_exit said(struct cli_call *call, struct cli_response *response, const char *what)
{
    cli_response_done(response);
    if (!call->quiet)
        (void)puts(what);
    return CLI_DONE;
}

enum cli_exit cli_record_hold(struct cli_call *call)
{
    if (!cli_call_is_set(call, "basis") || !cli_call_is_set(call, "until")) {
        (void)fprintf(stderr, "kluis: --basis and --until are needed: why, and until when\n");
        return CLI_USAGE;
    }
    struct kl_buf body;
    kl_buf_init(&body, 1024);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "basis", cli_call_value(call, "basis"));
    kl_json_add_text(&out, "until", cli_call_value(call, "until"));
    kl_json_object_end(&out);

    struct cli_path path;
    hold_path(call, "/v1/subjects", "/hold", &path);
    struct cli_request request = {.body = &body};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "PUT", path.text, &request, &response);
    kl_buf_done(&body);
    return status == KL_OK ? said(call, &response, "held") : CLI_FAILED;
}

enum cli_exit cli_record_release(struct cli_call *call)
{
    struct cli_path path;
    struct cli_response response;
    hold_path(call, "/v1/subjects", "/hold", &path);
    if (cli_call_send(call, "DELETE", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    return said(call, &response, "released");
}

static enum cli_exit retained_show(struct cli_call *call, const struct cli_path *path)
{
    static const struct cli_column columns[] = {
        {"RECORD", "record.id"}, {"TYPE", "record.type"}, {"FIELDS", "record.fields"},
        {"BASIS", "hold.basis"}, {"UNTIL", "hold.until"}, {"ALL", "holds"}};

    return cli_common_show(call, path, NULL, columns, sizeof columns / sizeof columns[0]);
}

enum cli_exit cli_retained_read(struct cli_call *call)
{
    struct cli_path path;
    hold_path(call, "/v1/erasures", "", &path);
    cli_path_query(&path, "purpose", cli_call_value(call, "purpose"));
    return retained_show(call, &path);
}

enum cli_exit cli_retained_end(struct cli_call *call)
{
    struct cli_path path;
    hold_path(call, "/v1/erasures", "", &path);
    if (cli_call_is_set(call, "dry-run")) {
        const char *basis = cli_call_value(call, "basis");
        (void)fprintf(stderr, "would shred, before its time, %s%s:\n",
                      basis == NULL ? "all that is left" : "what is kept only for ",
                      basis == NULL ? "" : basis);
        return retained_show(call, &path);
    }
    cli_path_query(&path, "basis", cli_call_value(call, "basis"));
    if (!cli_input_confirm(call, "Shred this record before its time? Nothing brings it back."))
        return CLI_FAILED;
    struct cli_response response;
    if (cli_call_send(call, "DELETE", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_common_print_receipt(call, &response);
    cli_response_done(&response);
    return result;
}
