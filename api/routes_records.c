/* Records of a subject: add, read, rectify, erase one. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"

#include <stdio.h>

static void set_location(struct api_response *response, const struct kl_id *subject,
                         const struct kl_id *record)
{
    char sub[KL_ID_TEXT_BYTES];
    char rec[KL_ID_TEXT_BYTES];

    kl_id_format("sub", subject, sub);
    kl_id_format("rec", record, rec);
    snprintf(response->location, sizeof response->location, "/v1/subjects/%s/records/%s", sub, rec);
}

void api_output_notify(struct kl_json_out *out, const char *const *names, size_t count)
{
    if (count == 0) {
        return;
    }
    kl_json_key(out, "notify");
    kl_json_array_begin(out);
    for (size_t i = 0; i < count; i++) {
        kl_json_put_text(out, names[i]);
    }
    kl_json_array_end(out);
}

static void set_etag(struct api_response *response, uint64_t version)
{
    response->has_etag = true;
    response->etag = version;
}

API_HANDLER(api_record_add)
{
    struct vault_record_input input;
    struct vault_idempotency idempotency;
    struct vault_record_result result = {0};
    enum kl_status status =
        api_input_record(api_request_json(request), "", request->arena, &input, err);

    if (status == KL_OK) {
        status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    }
    if (status == KL_OK) {
        status = vault_record_add(request->vault, &request->caller, &request->match.ids[0], &input,
                                  &idempotency, request->arena, &result, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 201);
    kl_json_object_begin(&out);
    api_output_id(&out, "id", "rec", &result.id);
    kl_json_add_text(&out, "type", input.type);
    kl_json_add_int(&out, "version", (int64_t)result.version);
    kl_json_object_end(&out);
    set_location(response, &request->match.ids[0], &result.id);
    set_etag(response, result.version);
    return KL_OK;
}

API_HANDLER(api_record_read)
{
    struct vault_read_input input;
    struct vault_subject_result result = {0};
    enum kl_status status = api_read_input(request, &input, err);

    if (status != KL_OK) {
        return status;
    }
    input.subject = request->match.ids[0];
    input.record = &request->match.ids[1];
    status =
        vault_subject_read(request->vault, &request->caller, &input, request->arena, &result, err);
    if (status == KL_OK && result.record_count != 1) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "not_found",
                         "there is no such record, or none that you may know of", NULL);
    }
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);
        api_output_record(&out, &result.records[0]);
        if (result.records[0].pseudonym == NULL) {
            set_etag(response, result.records[0].version);
        }
    }
    return status;
}

API_HANDLER(api_record_patch)
{
    static const char *const KNOWN[] = {"fields", NULL};
    const struct kl_json_value *body = api_request_json(request);
    const struct vault_field_input *fields = NULL;
    size_t count = 0;
    uint64_t if_version;
    uint64_t version = 0;
    const char *const *notify = NULL;
    size_t notify_count = 0;
    enum kl_status status = api_request_if_match(request, &if_version, err);

    if (status == KL_OK) {
        status = kl_json_expect(body, KNOWN, "", err);
    }
    if (status == KL_OK) {
        status = api_input_patch_fields(body, "", request->arena, &fields, &count, err);
    }
    if (status == KL_OK) {
        status = vault_record_rectify(request->vault, &request->caller, &request->match.ids[0],
                                      &request->match.ids[1], if_version, fields, count,
                                      request->arena, &version, &notify, &notify_count, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    api_output_id(&out, "id", "rec", &request->match.ids[1]);
    kl_json_add_int(&out, "version", (int64_t)version);
    api_output_notify(&out, notify, notify_count);
    kl_json_object_end(&out);
    set_etag(response, version);
    return KL_OK;
}

API_HANDLER(api_record_delete)
{
    enum vault_erase_reason reason;
    enum kl_status status = api_input_reason(api_request_query(request, "reason"), &reason, err);

    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status = vault_record_erase(request->vault, &request->caller, &request->match.ids[0],
                                    &request->match.ids[1], reason, &response->body, err);
    }
    return status;
}

API_HANDLER(api_record_verify)
{
    static const char *const KNOWN[] = {"field", "value", "purpose", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_verify_input input = {.subject = request->match.ids[0],
                                       .record = request->match.ids[1]};
    bool match = false;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_text(body, "field", "", true, &input.field, err)) != KL_OK ||
        (status = api_input_text(body, "purpose", "", false, &input.purpose, err)) != KL_OK ||
        (status = api_input_value(kl_json_member(body, "value"), request->arena, &input.value,
                                  err)) != KL_OK) {
        return status;
    }
    if (input.value.kind == KL_JSON_ABSENT) {
        status = kl_fail(err, KL_ERR_INVALID, "missing_key", "this member is needed", NULL);
        kl_err_where(err, "/value");
        return status;
    }
    status = vault_record_verify(request->vault, &request->caller, &input, &match, err);
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);
        kl_json_object_begin(&out);
        kl_json_add_bool(&out, "match", match);
        kl_json_object_end(&out);
    }
    return status;
}
