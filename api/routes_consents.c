/* The ledger of consents of a subject. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"

#include <stdio.h>

API_HANDLER(api_consent_list)
{
    struct vault_consent_result *consents = NULL;
    size_t count = 0;
    enum kl_status status =
        vault_consent_list(request->vault, &request->caller, &request->match.ids[0], request->arena,
                           &consents, &count, err);

    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "consents");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        api_output_consent(&out, &consents[i]);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, "");
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_consent_put)
{
    struct vault_consent_input input;
    struct kl_id id;
    char subject[KL_ID_TEXT_BYTES];
    char consent[KL_ID_TEXT_BYTES];
    enum kl_status status =
        api_input_consent(api_request_json(request), "", request->match.name, &input, err);

    if (status == KL_OK) {
        status = vault_consent_note(request->vault, &request->caller, &request->match.ids[0],
                                    &input, &id, err);
    }
    if (status == KL_OK) { /* 204, and where its receipt is */
        kl_id_format("sub", &request->match.ids[0], subject);
        kl_id_format(VAULT_CONSENT_PREFIX, &id, consent);
        snprintf(response->location, sizeof response->location,
                 "/v1/subjects/%s/consents/%s/receipt?%s%s%sconsent=%s", subject,
                 request->match.name, input.recipient == NULL ? "" : "recipient=",
                 input.recipient == NULL ? "" : input.recipient, input.recipient == NULL ? "" : "&",
                 consent);
    }
    return status;
}

API_HANDLER(api_consent_receipt)
{
    const char *text = api_request_query(request, "consent");
    struct kl_id consent;
    enum kl_status status =
        text == NULL ? KL_OK : kl_id_parse(VAULT_CONSENT_PREFIX, text, &consent, err);

    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status = vault_consent_receipt(request->vault, &request->caller, &request->match.ids[0],
                                       request->match.name, api_request_query(request, "recipient"),
                                       text == NULL ? NULL : &consent, &response->body, err);
    }
    return status;
}

API_HANDLER(api_consent_delete)
{
    (void)response; /* 204 */
    return vault_consent_withdraw(request->vault, &request->caller, &request->match.ids[0],
                                  request->match.name, api_request_query(request, "recipient"),
                                  err);
}
