/* Subjects: make, read, list, move, erase, find. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"

#include <stdio.h>

API_HANDLER(api_subject_create)
{
    static const char *const KNOWN[] = {"residency", "records", NULL};
    struct vault_subject_input input;
    struct vault_idempotency idempotency;
    struct vault_subject_result result = {0};
    char id[KL_ID_TEXT_BYTES];
    enum kl_status status =
        api_input_subject(api_request_json(request), "", KNOWN, request->arena, &input, err);

    if (status == KL_OK) {
        status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    }
    if (status == KL_OK) {
        status = vault_subject_create(request->vault, &request->caller, &input, &idempotency,
                                      request->arena, &result, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 201);
    api_output_created(&out, &result);
    kl_id_format("sub", &result.id, id);
    snprintf(response->location, sizeof response->location, "/v1/subjects/%s", id);
    response->replayed = result.replayed;
    return KL_OK;
}

enum kl_status api_read_input(const struct api_request *request, struct vault_read_input *ret_input,
                              struct kl_err *err)
{
    struct vault_read_input input = {.purpose = api_request_query(request, "purpose"),
                                     .recipient = api_request_query(request, "recipient")};
    enum kl_status status = api_input_list(api_request_query(request, "fields"), VAULT_FIELDS_MAX,
                                           request->arena, &input.fields, &input.field_count, err);

    if (status == KL_OK) {
        status = api_input_ground(api_request_query(request, "ground"), &input.ground, err);
    }

    if (status == KL_OK) {
        *ret_input = input;
    }
    return status;
}

API_HANDLER(api_subject_read)
{
    struct vault_read_input input;
    struct vault_subject_result result = {0};
    enum kl_status status = api_read_input(request, &input, err);

    if (status != KL_OK) {
        return status;
    }
    input.subject = request->match.ids[0];
    status =
        vault_subject_read(request->vault, &request->caller, &input, request->arena, &result, err);
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);
        api_output_subject(&out, &result);
    }
    return status;
}

API_HANDLER(api_subject_list)
{
    const char *type = api_request_query(request, "type");
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault_read_input input;
    struct vault_subject_result *subjects = NULL;
    size_t count = 0;
    size_t limit;
    enum kl_status status = api_read_input(request, &input, err);

    if (status == KL_OK && type == NULL) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_parameter",
                         "say which subjects: type is the name of a record type", NULL);
    }
    if (status == KL_OK) {
        status = api_request_limit(request, &limit, err);
    }
    if (status == KL_OK) {
        status = vault_subject_list(request->vault, &request->caller, type, &input, limit,
                                    api_request_query(request, "cursor"), request->arena, &subjects,
                                    &count, cursor, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "subjects");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        api_output_subject(&out, &subjects[i]);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, cursor);
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_subject_patch)
{
    static const char *const KNOWN[] = {"residency", NULL};
    const struct kl_json_value *body = api_request_json(request);
    const char *residency = NULL;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status == KL_OK) {
        status = api_input_text(body, "residency", "", true, &residency, err);
    }
    if (status == KL_OK) {
        status = vault_subject_move(request->vault, &request->caller, &request->match.ids[0],
                                    residency, err);
    }
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);
        kl_json_object_begin(&out);
        api_output_id(&out, "id", "sub", &request->match.ids[0]);
        kl_json_add_text(&out, "residency", residency);
        kl_json_object_end(&out);
    }
    return status;
}

/* of_request NULL: it answers none. idempotency NULL: a DELETE, which is not remembered. */
static enum kl_status erase(struct api_request *request, const char *reason_text,
                            const struct kl_id *of_request,
                            const struct vault_idempotency *idempotency,
                            struct api_response *response, struct kl_err *err)
{
    enum vault_erase_reason reason;
    enum kl_status status = api_input_reason(reason_text, &reason, err);

    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status = vault_subject_erase_for(request->vault, &request->caller, &request->match.ids[0],
                                         reason, of_request, idempotency, &response->body,
                                         &response->replayed, err);
    }
    return status;
}

API_HANDLER(api_subject_delete)
{
    return erase(request, api_request_query(request, "reason"), NULL, NULL, response, err);
}

API_HANDLER(api_subject_erase)
{
    static const char *const KNOWN[] = {"reason", "request", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_idempotency idempotency;
    const struct kl_id *of_request = NULL;
    const char *reason = NULL;
    enum kl_status status = KL_OK;

    if (body != NULL) {
        status = kl_json_expect(body, KNOWN, "", err);
    }
    if (body != NULL && status == KL_OK) {
        status = api_input_text(body, "reason", "", false, &reason, err);
    }
    if (body != NULL && status == KL_OK) {
        status = api_input_id(body, "request", "", "req", false, request->arena, &of_request, err);
    }
    if (of_request != NULL && reason == NULL) {
        reason = "request";
    }
    if (status == KL_OK) {
        status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    }
    return status == KL_OK ? erase(request, reason, of_request, &idempotency, response, err)
                           : status;
}

API_HANDLER(api_lookup)
{
    static const char *const KNOWN[] = {"field", "value",  "purpose", "ground",
                                        "limit", "cursor", NULL};
    const struct kl_json_value *body = api_request_json(request);
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault_lookup_input input = {0};
    const char *ground = NULL;
    struct kl_id *subjects = NULL;
    size_t count = 0;
    int64_t limit = 0;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_text(body, "field", "", true, &input.field, err)) != KL_OK ||
        (status = api_input_text(body, "purpose", "", false, &input.purpose, err)) != KL_OK ||
        (status = api_input_text(body, "ground", "", false, &ground, err)) != KL_OK ||
        (status = api_input_ground(ground, &input.ground, err)) != KL_OK ||
        (status = api_input_text(body, "cursor", "", false, &input.cursor, err)) != KL_OK ||
        (status = api_input_int(body, "limit", "", 1, VAULT_PAGE_MAX, VAULT_PAGE_DEFAULT, &limit,
                                err)) != KL_OK ||
        (status = api_input_value(kl_json_member(body, "value"), request->arena, &input.value,
                                  err)) != KL_OK) {
        return status;
    }
    if (input.value.kind == KL_JSON_ABSENT) {
        status = kl_fail(err, KL_ERR_INVALID, "missing_key", "this member is needed", NULL);
        kl_err_where(err, "/value");
        return status;
    }
    input.limit = (size_t)limit;
    status = vault_lookup(request->vault, &request->caller, &input, request->arena, &subjects,
                          &count, cursor, err);
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "subjects");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        char id[KL_ID_TEXT_BYTES];
        kl_id_format("sub", &subjects[i], id);
        kl_json_put_text(&out, id);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, cursor);
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_receipt_read)
{
    (void)api_response_json(response, 200);
    return vault_receipt_read(request->vault, &request->caller, &request->match.ids[0],
                              &response->body, err);
}
