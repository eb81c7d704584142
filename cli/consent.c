#include "cli/common.h"

#include <stdio.h>

static void consents_path(const struct cli_call *call, struct cli_path *path, bool with_purpose)
{
    cli_path_start(path, "/v1/subjects");
    cli_path_segment(path, call->arguments[0]);
    cli_path_text(path, "/consents");
    if (with_purpose)
        cli_path_segment(path, call->arguments[1]);
}

enum cli_exit cli_consent_list(struct cli_call *call)
{
    static const struct cli_column columns[] = {
        {"PURPOSE", "purpose"},    {"RECIPIENT", "recipient"}, {"NOTICE", "notice"},
        {"CHANNEL", "channel"},    {"GIVEN", "given_at"},      {"WITHDRAWN", "withdrawn_at"},
        {"EXPIRES", "expires_at"}, {"COUNTS", "counts"}};
    struct cli_path path;
    consents_path(call, &path, false);
    return cli_common_show(call, &path, "consents", columns, sizeof columns / sizeof columns[0]);
}

static enum kl_status add_evidence(struct cli_call *call, struct kl_json_out *out)
{
    const char *file = cli_call_value(call, "evidence");
    if (file == NULL)
        return KL_OK;
    struct kl_buf evidence = {0};
    enum kl_status status = cli_input_read(file, &evidence, &call->err);
    if (status != KL_OK)
        return status;
    kl_json_key(out, "evidence");
    kl_json_put_text_n(out, evidence.bytes, evidence.size);
    kl_buf_done(&evidence);
    return KL_OK;
}

static enum kl_status consent_body(struct cli_call *call, struct kl_buf *body)
{
    static const char *const texts[] = {"notice", "channel", "recipient", "at", "expires"};
    struct kl_json_out out = kl_json_out(body);
    kl_json_object_begin(&out);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (cli_call_is_set(call, texts[i]))
            kl_json_add_text(&out, texts[i], cli_call_value(call, texts[i]));
    if (cli_call_is_set(call, "explicit"))
        kl_json_add_bool(&out, "explicit", true);
    enum kl_status status = add_evidence(call, &out);
    kl_json_object_end(&out);
    return status;
}

enum cli_exit cli_consent_give(struct cli_call *call)
{
    struct kl_buf body;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    struct cli_path path;
    struct cli_response response;
    consents_path(call, &path, true);
    enum kl_status status = consent_body(call, &body);
    if (status == KL_OK) {
        struct cli_request request = {.body = &body};
        status = cli_call_send(call, "PUT", path.text, &request, &response);
    }
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    cli_response_done(&response);
    if (!call->quiet)
        (void)puts("noted");
    return CLI_DONE;
}

enum cli_exit cli_consent_receipt(struct cli_call *call)
{
    static const struct cli_column columns[] = {{"CONSENT", "record_id"},
                                                {"PURPOSE", "pii_processing.purposes.purpose"},
                                                {"NOTICE", "pii_processing.privacy_notice.version"},
                                                {"STATE", "state"},
                                                {"EVENTS", "events.event_state"},
                                                {"AT", "events.event_time"},
                                                {"COUNTS", "counts"}};
    struct cli_path path;
    consents_path(call, &path, true);
    cli_path_text(&path, "/receipt");
    cli_path_query(&path, "recipient", cli_call_value(call, "recipient"));
    cli_path_query(&path, "consent", cli_call_value(call, "consent"));
    return cli_common_show(call, &path, NULL, columns, sizeof columns / sizeof columns[0]);
}

static const struct cli_column people_columns[] = {{"SUBJECT", "id"},
                                                   {"PURPOSE", "consents.purpose"},
                                                   {"RECIPIENT", "consents.recipient"},
                                                   {"NOTICE", "consents.notice"},
                                                   {"ENDS", "consents.ends_at"},
                                                   {"BY", "consents.ends_by"}};
#define PEOPLE_COLUMNS (sizeof people_columns / sizeof people_columns[0])

enum cli_exit cli_consent_due(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, "/v1/consents/due");
    cli_path_query(&path, "before", cli_call_value(call, "before"));
    cli_path_query(&path, "purpose", cli_call_value(call, "purpose"));
    cli_common_page(call, &path);
    return cli_common_show(call, &path, "subjects", people_columns, PEOPLE_COLUMNS);
}

enum cli_exit cli_notice_audience(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, "/v1/notices/audience");
    cli_path_query(&path, "notice", cli_call_value(call, "notice"));
    cli_common_page(call, &path);
    return cli_common_show(call, &path, "subjects", people_columns, PEOPLE_COLUMNS);
}

enum cli_exit cli_consent_withdraw(struct cli_call *call)
{
    struct cli_path path;
    struct cli_response response;
    consents_path(call, &path, true);
    cli_path_query(&path, "recipient", cli_call_value(call, "recipient"));
    if (cli_call_send(call, "DELETE", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    cli_response_done(&response);
    if (!call->quiet)
        (void)puts("withdrawn");
    return CLI_DONE;
}
