/* What falls due: whom to ask again and whom to tell, what goes next, and the record of processing. */
#include "api/output.h"
#include "api/report_page.h"
#include "api/report_write.h"
#include "api/routes.h"
#include "kluis/vault/duties.h"

#include <string.h>

/* The moment before which; now, when nothing was said. */
static enum kl_status before(const struct api_request *request, int64_t *ret_time_us,
                             struct kl_err *err)
{
    enum kl_status status = api_request_moment(request, "before", ret_time_us, err);

    if (status == KL_OK && *ret_time_us == 0) {
        *ret_time_us = request->caller.now_us;
    }
    return status;
}

static void add_time_or_null(struct kl_json_out *out, const char *key, int64_t time_us)
{
    if (time_us == KL_TIME_MAX_US) {
        kl_json_add_text(out, key, NULL);
    } else {
        kl_json_add_time(out, key, time_us);
    }
}

/* ---- people by their consents ---- */

static void add_consent(struct kl_json_out *out, const struct vault_standing_consent *consent)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "purpose", consent->purpose);
    if (consent->recipient != NULL) {
        kl_json_add_text(out, "recipient", consent->recipient);
    }
    kl_json_add_text(out, "notice", consent->notice);
    kl_json_add_time(out, "given_at", consent->given_us);
    add_time_or_null(out, "ends_at", consent->ends_us);
    kl_json_add_text(out, "ends_by",
                     consent->by_clock                    ? "retention"
                     : consent->ends_us == KL_TIME_MAX_US ? NULL
                                                          : "expiry");
    kl_json_add_bool(out, "counts", consent->counts);
    kl_json_object_end(out);
}

static void write_subjects(struct api_response *response,
                           const struct vault_consenting_subject *subjects, size_t count,
                           const char *cursor)
{
    struct kl_json_out out = api_response_json(response, 200);

    kl_json_object_begin(&out);
    kl_json_key(&out, "subjects");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        kl_json_object_begin(&out);
        api_output_id(&out, "id", "sub", &subjects[i].id);
        kl_json_key(&out, "consents");
        kl_json_array_begin(&out);
        for (size_t k = 0; k < subjects[i].count; k++) {
            add_consent(&out, &subjects[i].consents[k]);
        }
        kl_json_array_end(&out);
        kl_json_object_end(&out);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, cursor);
    kl_json_object_end(&out);
}

API_HANDLER(api_consents_due)
{
    struct vault_consents_due_input input = {.purpose = api_request_query(request, "purpose"),
                                             .cursor = api_request_query(request, "cursor")};
    struct vault_consenting_subject *subjects = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    size_t count = 0;
    enum kl_status status = before(request, &input.before_us, err);

    if (status == KL_OK) {
        status = api_request_limit(request, &input.limit, err);
    }
    if (status == KL_OK) {
        status = vault_consents_due(request->vault, &request->caller, &input, request->arena,
                                    &subjects, &count, cursor, err);
    }
    if (status == KL_OK) {
        write_subjects(response, subjects, count, cursor);
    }
    return status;
}

API_HANDLER(api_notice_audience)
{
    struct vault_audience_input input = {.notice = api_request_query(request, "notice"),
                                         .cursor = api_request_query(request, "cursor")};
    struct vault_consenting_subject *subjects = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    size_t count = 0;
    enum kl_status status = api_request_limit(request, &input.limit, err);

    if (status == KL_OK) {
        status = vault_notice_audience(request->vault, &request->caller, &input, request->arena,
                                       &subjects, &count, cursor, err);
    }
    if (status == KL_OK) {
        write_subjects(response, subjects, count, cursor);
    }
    return status;
}

/* ---- what goes next ---- */

static void add_counts(struct kl_json_out *out, const struct vault_retention_report *report)
{
    kl_json_add_int(out, "subjects_seen", (int64_t)report->subjects_seen);
    kl_json_add_int(out, "subjects_due", (int64_t)report->subjects_due);
    kl_json_add_int(out, "records_due", (int64_t)report->records_due);
    kl_json_key(out, "counts");
    kl_json_array_begin(out);
    for (size_t i = 0; i < report->count_count; i++) {
        kl_json_object_begin(out);
        kl_json_add_text(out, "type", report->counts[i].type);
        kl_json_add_text(out, "purpose", report->counts[i].purpose);
        kl_json_add_int(out, "records", (int64_t)report->counts[i].records);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

static void add_due_subject(struct kl_json_out *out, const struct vault_due_subject *subject)
{
    kl_json_object_begin(out);
    api_output_id(out, "id", "sub", &subject->id);
    kl_json_add_bool(out, "whole", subject->whole);
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    for (size_t i = 0; i < subject->count; i++) {
        kl_json_object_begin(out);
        api_output_id(out, "id", "rec", &subject->records[i].id);
        kl_json_add_text(out, "type", subject->records[i].type);
        kl_json_add_text(out, "purpose", subject->records[i].purpose);
        kl_json_add_time(out, "due_at", subject->records[i].due_us);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
    kl_json_object_end(out);
}

API_HANDLER(api_report_retention)
{
    struct vault_retention_report report = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    int64_t before_us = 0;
    size_t limit = 0;
    enum kl_status status = before(request, &before_us, err);

    if (status == KL_OK) {
        status = api_request_limit(request, &limit, err);
    }
    if (status == KL_OK) {
        status = vault_report_retention(request->vault, &request->caller, before_us, limit,
                                        api_request_query(request, "cursor"), request->arena,
                                        &report, cursor, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_add_time(&out, "before", before_us);
    add_counts(&out, &report);
    kl_json_key(&out, "subjects");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < report.subject_count; i++) {
        add_due_subject(&out, &report.subjects[i]);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, cursor);
    kl_json_object_end(&out);
    return KL_OK;
}

/* ---- the record of processing ---- */

static const struct vault_measure served[] = {
    {"encryption_in_transit", "it is served over TLS 1.2 and 1.3 alone"}};
#define SERVED (sizeof served / sizeof served[0])

/* The tenant's record; of an operator who names no tenant, the register of all. */
static enum kl_status write_processing(const struct api_request *request, struct kl_buf *ret,
                                       struct kl_err *err)
{
    return request->caller.builtin == VAULT_BUILTIN_OPERATOR &&
                   api_request_query(request, "tenant") == NULL
               ? vault_report_register(request->app->stores, request->vault, &request->caller,
                                       served, SERVED, ret, err)
               : vault_report_processing(request->vault, &request->caller, served, SERVED, ret,
                                         err);
}

/* Made of the JSON, so that neither can say what the other does not. */
static enum kl_status write_processing_page(const struct api_request *request,
                                            enum api_language language,
                                            struct api_response *response, struct kl_err *err)
{
    struct kl_json *record = NULL;
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, API_RESPONSE_MAX_BYTES);
    status = write_processing(request, &text, err);
    if (status == KL_OK) {
        status = kl_json_parse(text.bytes, text.size, &record, err);
    }
    if (status == KL_OK) {
        api_page_answer(response, "processing.html");
        status = api_processing_html(kl_json_root(record), language, &response->body, err);
    }
    kl_json_free(record);
    kl_buf_done(&text);
    return status;
}

API_HANDLER(api_report_processing)
{
    const char *format = api_request_query(request, "format");
    enum api_language language = API_ENGLISH;
    enum kl_status status = api_language_read(api_request_query(request, "lang"), &language, err);

    if (status != KL_OK) {
        return status;
    }
    if (format != NULL && strcmp(format, "html") == 0) {
        return write_processing_page(request, language, response, err);
    }
    if (format != NULL && strcmp(format, "json") != 0) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_format",
                       "the record of processing is json or html", NULL);
    }
    (void)api_response_json(response, 200);
    return write_processing(request, &response->body, err);
}
