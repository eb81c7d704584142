/* The audit trail: its entries, searched and exported, its head, a period added up, reviews of it. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/base/time.h"
#include "kluis/vault/admin.h"
#include "kluis/vault/audit_export.h"
#include "kluis/vault/review.h"

#include <stdlib.h>
#include <string.h>

/* ---- the trail ---- */

static enum kl_status query_id(const struct api_request *request, const char *name,
                               const char *prefix, struct kl_id *id, const struct kl_id **ret_id,
                               struct kl_err *err)
{
    const char *text = api_request_query(request, name);
    enum kl_status status = text == NULL ? KL_OK : kl_id_parse(prefix, text, id, err);

    if (status == KL_OK) {
        *ret_id = text == NULL ? NULL : id;
    }
    return status;
}

static enum kl_status query_time(const struct api_request *request, const char *name,
                                 int64_t *ret_time_us, struct kl_err *err)
{
    const char *text = api_request_query(request, name);

    if (text == NULL) {
        *ret_time_us = 0;
        return KL_OK;
    }
    return kl_time_parse(text, strlen(text), ret_time_us, err);
}

API_HANDLER(api_audit_list)
{
    struct vault_audit_filter filter = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct kl_id subject;
    struct kl_id credential;
    struct kl_buf entries;
    size_t limit;
    enum kl_status status = api_request_limit(request, &limit, err);

    if (status != KL_OK ||
        (status = query_id(request, "subject", "sub", &subject, &filter.subject, err)) != KL_OK ||
        (status = query_id(request, "credential", "cred", &credential, &filter.credential, err)) !=
            KL_OK ||
        (status = query_time(request, "from", &filter.from_us, err)) != KL_OK ||
        (status = query_time(request, "to", &filter.to_us, err)) != KL_OK) {
        return status;
    }
    filter.purpose = api_request_query(request, "purpose");
    filter.field = api_request_query(request, "field");
    filter.action = api_request_query(request, "action");
    filter.result = api_request_query(request, "result");
    kl_buf_init(&entries, API_RESPONSE_MAX_BYTES);
    status = vault_audit_list(request->vault, &request->caller, &filter, limit,
                              api_request_query(request, "cursor"), &entries, cursor, err);
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);
        kl_json_object_begin(&out);
        kl_json_key(&out, "entries");
        kl_json_put_raw(&out, entries.bytes, entries.size);
        api_output_cursor(&out, cursor);
        kl_json_object_end(&out);
    }
    kl_buf_done(&entries);
    return status;
}

_Static_assert(API_CURSOR_BYTES == VAULT_CURSOR_MAX_BYTES + 1, "a cursor fits into its header");

static enum kl_status export_input(const struct api_request *request,
                                   struct vault_audit_export_input *ret, struct kl_err *err)
{
    const char *format = api_request_query(request, "format");
    int64_t limit = -1;
    enum kl_status status = KL_OK;

    if (format != NULL && !vault_audit_format_parse(format, &ret->format)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_format", "format is ndjson, cef or ocsf",
                       NULL);
    }
    if ((status = query_time(request, "from", &ret->from_us, err)) != KL_OK ||
        (status = query_time(request, "to", &ret->to_us, err)) != KL_OK ||
        (status = api_request_number(request, "entry", &ret->entry, err)) != KL_OK ||
        (status = api_request_number(request, "limit", &limit, err)) != KL_OK) {
        return status;
    }
    ret->limit = limit == -1 ? VAULT_AUDIT_EXPORT_DEFAULT : (size_t)limit;
    ret->cursor = api_request_query(request, "cursor");
    return KL_OK;
}

API_HANDLER(api_audit_export)
{
    struct vault_audit_export_input input = {.format = VAULT_AUDIT_NDJSON};
    struct vault_audit_export_page page = {0};
    enum kl_status status = export_input(request, &input, err);

    if (status != KL_OK) {
        return status;
    }
    (void)api_response_json(response, 200);
    status =
        vault_audit_export(request->vault, &request->caller, &input, &response->body, &page, err);
    if (status == KL_OK) {
        response->content_type = input.format == VAULT_AUDIT_CEF ? API_TYPE_TEXT : API_TYPE_NDJSON;
        response->has_next_entry = true;
        response->next_entry = page.next_entry;
        memcpy(response->next_cursor, page.cursor, sizeof page.cursor);
    }
    return status;
}

API_HANDLER(api_audit_head)
{
    (void)api_response_json(response, 200);
    return vault_audit_head(request->vault, &request->caller, &response->body, err);
}

/* ---- a period ---- */

API_HANDLER(api_audit_summary)
{
    struct vault_summary_input input = {.hours = api_request_query(request, "hours")};
    enum kl_status status = query_time(request, "from", &input.from_us, err);

    if (status == KL_OK) {
        status = query_time(request, "to", &input.to_us, err);
    }
    if (status == KL_OK) {
        status = api_request_number(request, "entry", &input.entry, err);
    }
    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status =
            vault_audit_summary(request->vault, &request->caller, &input, &response->body, err);
    }
    return status;
}

/* ---- reviews ---- */

static enum kl_status findings_input(const struct kl_json_value *body, struct kl_arena *arena,
                                     struct vault_review_input *ret, struct kl_err *err)
{
    const struct kl_json_value *list = kl_json_member(body, "findings");
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *item = NULL;
    int64_t *findings = NULL;
    size_t count = kl_json_count(list);
    size_t i;

    if (kl_json_type(list) == KL_JSON_ABSENT) {
        return KL_OK;
    }
    kl_err_where(err, "/findings");
    if (kl_json_type(list) != KL_JSON_ARRAY) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_type", "findings is an array of numbers",
                       NULL);
    }
    if (count > VAULT_REVIEW_FINDINGS_MAX) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "too_many_items", "at most %d findings",
                        VAULT_REVIEW_FINDINGS_MAX);
    }
    findings = kl_arena_array(arena, count, sizeof findings[0]);
    if (findings == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; kl_json_next(&iter, NULL, &item); i++) {
        if (!kl_json_int(item, &findings[i])) {
            kl_err_where(err, "/findings/%zu", i);
            return kl_fail(err, KL_ERR_INVALID, "invalid_type",
                           "a finding is the number of an entry", NULL);
        }
    }
    kl_err_clear(err);
    ret->findings = findings;
    ret->finding_count = count;
    return KL_OK;
}

static enum kl_status review_input(const struct api_request *request,
                                   struct vault_review_input *ret, struct kl_err *err)
{
    static const char *const KNOWN[] = {"from", "to", "findings", "note", NULL};
    const struct kl_json_value *body = api_request_json(request);
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status == KL_OK && kl_json_type(kl_json_member(body, "to")) == KL_JSON_ABSENT) {
        kl_err_where(err, "/to");
        return kl_fail(err, KL_ERR_INVALID, "missing_key", "to is missing", NULL);
    }
    if (status == KL_OK) {
        status = api_input_int(body, "from", "", 0, INT64_MAX, -1, &ret->from, err);
    }
    if (status == KL_OK) {
        status = api_input_int(body, "to", "", 1, INT64_MAX, 0, &ret->to, err);
    }
    if (status == KL_OK) {
        status = api_input_text(body, "note", "", false, &ret->note, err);
    }
    return status == KL_OK ? findings_input(body, request->arena, ret, err) : status;
}

API_HANDLER(api_review_create)
{
    struct vault_review_input input = {.from = -1};
    struct vault_idempotency idempotency;
    enum kl_status status = review_input(request, &input, err);

    if (status == KL_OK) {
        status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    }
    if (status == KL_OK) {
        (void)api_response_json(response, 201);
        status = vault_review_make(request->vault, &request->caller, &input, &idempotency,
                                   &response->body, &response->replayed, err);
    }
    return status;
}

API_HANDLER(api_review_list)
{
    size_t limit = 0;
    enum kl_status status = api_request_limit(request, &limit, err);

    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status = vault_review_list(request->vault, &request->caller, limit,
                                   api_request_query(request, "cursor"), &response->body, err);
    }
    return status;
}
