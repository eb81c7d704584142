/* Who received what of a subject. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/disclosure.h"

API_HANDLER(api_disclosure_list)
{
    struct vault_disclosure_result *disclosures = NULL;
    size_t count = 0;
    enum kl_status status =
        vault_disclosure_list(request->vault, &request->caller, &request->match.ids[0],
                              request->arena, &disclosures, &count, err);

    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "disclosures");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        api_output_disclosure(&out, &disclosures[i]);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, "");
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_disclosure_note)
{
    static const char *const KNOWN[] = {"recipient", "purpose", "fields", "at",
                                        "country",   "channel", "note",   NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_disclosure_input input = {.recipient = NULL};
    struct vault_idempotency idempotency;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    /* 204 */
    if (status != KL_OK ||
        (status = api_input_text(body, "recipient", "", false, &input.recipient, err)) != KL_OK ||
        (status = api_input_text(body, "purpose", "", false, &input.purpose, err)) != KL_OK ||
        (status = api_input_names(body, "fields", "", VAULT_FIELDS_MAX, request->arena,
                                  &input.fields, &input.field_count, err)) != KL_OK ||
        (status = api_input_time(body, "at", "", &input.at_us, err)) != KL_OK ||
        (status = api_input_text(body, "country", "", false, &input.country, err)) != KL_OK ||
        (status = api_input_text(body, "channel", "", false, &input.channel, err)) != KL_OK ||
        (status = api_input_text(body, "note", "", false, &input.note, err)) != KL_OK ||
        (status = api_request_idempotency(request, NULL, 0, &idempotency, err)) != KL_OK) {
        return status;
    }
    return vault_disclosure_note(request->vault, &request->caller, &request->match.ids[0], &input,
                                 &idempotency, &response->replayed, err);
}
