/* What operators, stewards and auditors do: credentials, keys. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/admin.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* ---- credentials ---- */

static enum kl_status credential_input(const struct api_request *request,
                                       struct vault_credential_input *ret, struct kl_err *err)
{
    static const char *const KNOWN[] = {"role",    "purposes",   "location",
                                        "subject", "expires_in", "certificate_sha256",
                                        "reason",  "recipient",  NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_credential_input input = {0};
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_text(body, "role", "", true, &input.role, err)) != KL_OK ||
        (status = api_input_text(body, "expires_in", "", true, &input.expires_in, err)) != KL_OK ||
        (status = api_input_text(body, "location", "", false, &input.location, err)) != KL_OK ||
        (status = api_input_text(body, "reason", "", false, &input.reason, err)) != KL_OK ||
        (status = api_input_text(body, "recipient", "", false, &input.recipient, err)) != KL_OK ||
        (status = api_input_text(body, "certificate_sha256", "", false, &input.certificate_sha256,
                                 err)) != KL_OK ||
        (status = api_input_id(body, "subject", "", "sub", false, request->arena, &input.subject,
                               err)) != KL_OK ||
        (status = api_input_names(body, "purposes", "", VAULT_PURPOSES_MAX, request->arena,
                                  &input.purposes, &input.purpose_count, err)) != KL_OK) {
        return status;
    }
    *ret = input;
    return KL_OK;
}

API_HANDLER(api_credential_create)
{
    struct vault_credential_input input;
    struct vault_idempotency idempotency;
    struct vault_credential_result result = {0};
    struct vault_token token = {{0}};
    char id[KL_ID_TEXT_BYTES];
    enum kl_status status = credential_input(request, &input, err);

    if (status == KL_OK) {
        status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    }
    if (status == KL_OK) {
        status =
            vault_stores_credential_create(request->app->stores, request->vault, &request->caller,
                                           &input, &idempotency, &token, &result, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 201);
    kl_json_object_begin(&out);
    vault_credential_write(&out, &result);
    if (token.text[0] != '\0') {
        kl_json_add_text(&out, "token", token.text);
    }
    kl_json_object_end(&out);
    sodium_memzero(&token, sizeof token);
    kl_id_format("cred", &result.id, id);
    snprintf(response->location, sizeof response->location, "/v1/credentials/%s", id);
    return KL_OK;
}

API_HANDLER(api_credential_list)
{
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault_credential_result *credentials = NULL;
    size_t count = 0;
    size_t limit;
    enum kl_status status = api_request_limit(request, &limit, err);

    if (status == KL_OK) {
        status = vault_credential_list(request->vault, &request->caller, limit,
                                       api_request_query(request, "cursor"), request->arena,
                                       &credentials, &count, cursor, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "credentials");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        kl_json_object_begin(&out);
        vault_credential_write(&out, &credentials[i]);
        kl_json_object_end(&out);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, cursor);
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_credential_revoke)
{
    (void)response; /* 204 */
    return vault_credential_revoke(request->vault, &request->caller, &request->match.ids[0], err);
}

/* ---- keys ---- */

API_HANDLER(api_keys_read)
{
    (void)api_response_json(response, 200);
    return vault_keys_state(request->vault, &request->caller, &response->body, err);
}

/* 200 for the level root, which is done then; 202 for the jobs. */
API_HANDLER(api_keys_rotate)
{
    static const char *const KNOWN[] = {"level", "pages_per_second", "without_backup", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_idempotency idempotency;
    const char *level = NULL;
    int64_t rate = 0;
    bool without_backup = false;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status == KL_OK) {
        status = api_input_text(body, "level", "", true, &level, err);
    }
    if (status == KL_OK) {
        status = api_input_bool(body, "without_backup", "", &without_backup, err);
    }
    if (status == KL_OK) {
        status =
            api_input_int(body, "pages_per_second", "", 1, VAULT_ROTATION_RATE_MAX, 0, &rate, err);
    }
    if (status == KL_OK) {
        status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    }
    if (status == KL_OK) {
        (void)api_response_json(response, strcmp(level, "root") == 0 ? 200 : 202);
        status = vault_keys_rotate(request->vault, &request->caller, level, (uint32_t)rate,
                                   without_backup, &idempotency, &response->body,
                                   &response->replayed, err);
    }
    return status;
}

API_HANDLER(api_keys_rotations)
{
    struct kl_buf rotations;
    enum kl_status status;

    kl_buf_init(&rotations, API_RESPONSE_MAX_BYTES);
    status = vault_keys_rotations(request->vault, &request->caller, &rotations, err);
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);

        kl_json_object_begin(&out);
        kl_json_key(&out, "rotations");
        kl_json_put_raw(&out, rotations.bytes, rotations.size);
        kl_json_object_end(&out);
    }
    kl_buf_done(&rotations);
    return status;
}

API_HANDLER(api_keys_rotation)
{
    (void)api_response_json(response, 200);
    return vault_keys_rotation(request->vault, &request->caller, &request->match.ids[0],
                               &response->body, err);
}
