/* What keeps a subject's data from being used: restriction, objections, events on records. */
#include "cli/common.h"

#include <stdio.h>

static void subject_path(const struct cli_call *call, const char *last, struct cli_path *path)
{
    cli_path_start(path, "/v1/subjects");
    cli_path_segment(path, call->arguments[0]);
    cli_path_text(path, last);
}

static void record_path(const struct cli_call *call, struct cli_path *path)
{
    subject_path(call, "/records", path);
    cli_path_segment(path, call->arguments[1]);
    cli_path_text(path, "/events");
}

/* Send and say in a word that it was done. */
static enum cli_exit done(struct cli_call *call, const char *method, const struct cli_path *path,
                          const struct cli_request *request, const char *what)
{
    struct cli_response response;

    if (cli_call_send(call, method, path->text, request, &response) != KL_OK)
        return CLI_FAILED;
    cli_response_done(&response);
    if (!call->quiet)
        (void)puts(what);
    return CLI_DONE;
}

static enum cli_exit needs(const char *what)
{
    (void)fprintf(stderr, "kluis: %s\n", what);
    return CLI_USAGE;
}

/* ---- restriction ---- */

enum cli_exit cli_restriction_show(struct cli_call *call)
{
    static const struct cli_column columns[] = {
        {"RESTRICTED", "restricted"}, {"GROUND", "ground"}, {"SINCE", "since"}};
    struct cli_path path;

    subject_path(call, "/restriction", &path);
    return cli_common_show(call, &path, NULL, columns, sizeof columns / sizeof columns[0]);
}

enum cli_exit cli_restriction_set(struct cli_call *call)
{
    struct cli_path path;
    struct kl_buf body;
    struct kl_json_out out;
    enum cli_exit result;

    if (!cli_call_is_set(call, "ground"))
        return needs("--ground is needed: accuracy_contested, unlawful, needed_for_claim or "
                     "objection_pending");
    kl_buf_init(&body, 1024);
    out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "ground", cli_call_value(call, "ground"));
    kl_json_object_end(&out);
    subject_path(call, "/restriction", &path);
    struct cli_request request = {.body = &body};
    result = done(call, "PUT", &path, &request, "restricted");
    kl_buf_done(&body);
    return result;
}

enum cli_exit cli_restriction_lift(struct cli_call *call)
{
    struct cli_path path;

    if (!cli_call_is_set(call, "told-at"))
        return needs("--told-at is needed: when the person was told that it will be lifted");
    subject_path(call, "/restriction", &path);
    cli_path_query(&path, "told_at", cli_call_value(call, "told-at"));
    return done(call, "DELETE", &path, NULL, "lifted");
}

/* ---- objections ---- */

enum cli_exit cli_objection_list(struct cli_call *call)
{
    static const struct cli_column columns[] = {{"PURPOSE", "purpose"},
                                                {"GROUND", "ground"},
                                                {"SINCE", "since"},
                                                {"ENDED", "ended_at"},
                                                {"GROUNDS AGAINST", "has_compelling_grounds"}};
    struct cli_path path;

    subject_path(call, "/objections", &path);
    return cli_common_show(call, &path, "objections", columns, sizeof columns / sizeof columns[0]);
}

static enum kl_status add_grounds(struct cli_call *call, struct kl_json_out *out)
{
    struct kl_buf grounds = {0};
    enum kl_status status;

    if (!cli_call_is_set(call, "compelling-grounds"))
        return KL_OK;
    status = cli_input_read(cli_call_value(call, "compelling-grounds"), &grounds, &call->err);
    if (status == KL_OK) {
        kl_json_key(out, "compelling_grounds");
        kl_json_put_text_n(out, grounds.bytes, grounds.size);
        kl_buf_done(&grounds);
    }
    return status;
}

enum cli_exit cli_objection_set(struct cli_call *call)
{
    struct cli_path path;
    struct kl_buf body;
    struct kl_json_out out;
    enum cli_exit result = CLI_FAILED;

    if (!cli_call_is_set(call, "ground"))
        return needs("--ground is needed: situation, direct_marketing or research");
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "ground", cli_call_value(call, "ground"));
    if (add_grounds(call, &out) == KL_OK) {
        kl_json_object_end(&out);
        subject_path(call, "/objections", &path);
        cli_path_segment(&path, call->arguments[1]);
        struct cli_request request = {.body = &body};
        result = done(call, "PUT", &path, &request, "noted");
    }
    kl_buf_done(&body);
    return result;
}

enum cli_exit cli_objection_end(struct cli_call *call)
{
    struct cli_path path;

    subject_path(call, "/objections", &path);
    cli_path_segment(&path, call->arguments[1]);
    return done(call, "DELETE", &path, NULL, "ended");
}

/* ---- events ---- */

enum cli_exit cli_record_event(struct cli_call *call)
{
    static const struct cli_column columns[] = {{"PURPOSE", "purpose"}, {"UNTIL", "until"}};
    struct cli_path path;
    struct cli_response response;
    struct kl_buf body;
    struct kl_json_out out;
    enum kl_status status;
    enum cli_exit result;

    kl_buf_init(&body, 4096);
    out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "event", call->arguments[2]);
    if (cli_call_is_set(call, "at"))
        kl_json_add_text(&out, "at", cli_call_value(call, "at"));
    kl_json_object_end(&out);
    record_path(call, &path);
    struct cli_request request = {.body = &body};
    status = cli_call_send(call, "POST", path.text, &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    result =
        cli_output_rows(call, &response, "kept_for", columns, sizeof columns / sizeof columns[0]);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_record_event_remove(struct cli_call *call)
{
    struct cli_path path;

    record_path(call, &path);
    cli_path_segment(&path, call->arguments[2]);
    return done(call, "DELETE", &path, NULL, "removed");
}
