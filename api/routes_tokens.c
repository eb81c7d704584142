/* Pseudonyms back to whom they stand for. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/pseudonym.h"

/* All members are there, so that what was not found differs from what was in nothing but their values. */
static void add_resolved(struct kl_json_out *out, const char *token,
                         const struct vault_resolved *resolved)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "token", token);
    if (resolved->found) {
        api_output_id(out, "subject", "sub", &resolved->subject);
    } else {
        kl_json_add_text(out, "subject", NULL);
    }
    if (resolved->has_record) {
        api_output_id(out, "record", "rec", &resolved->record);
    } else {
        kl_json_add_text(out, "record", NULL);
    }
    kl_json_add_text(out, "type", resolved->type);
    kl_json_add_text(out, "field", resolved->field);
    kl_json_object_end(out);
}

API_HANDLER(api_tokens_resolve)
{
    static const char *const KNOWN[] = {"tokens", "recipient", "purpose", "ground", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_resolve_input input = {0};
    struct vault_resolved *results = NULL;
    const char *ground = NULL;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_names(body, "tokens", "", VAULT_PSEUDONYMS_RESOLVE_MAX, request->arena,
                                  &input.pseudonyms, &input.count, err)) != KL_OK ||
        (status = api_input_text(body, "recipient", "", false, &input.recipient, err)) != KL_OK ||
        (status = api_input_text(body, "purpose", "", false, &input.purpose, err)) != KL_OK ||
        (status = api_input_text(body, "ground", "", false, &ground, err)) != KL_OK ||
        (status = api_input_ground(ground, &input.ground, err)) != KL_OK) {
        return status;
    }
    results = kl_arena_array(request->arena, input.count, sizeof *results);
    if (results == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_pseudonyms_resolve(request->vault, &request->caller, &input, request->arena,
                                      results, err);
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "results");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < input.count; i++) {
        add_resolved(&out, input.pseudonyms[i], &results[i]);
    }
    kl_json_array_end(&out);
    kl_json_object_end(&out);
    return KL_OK;
}
