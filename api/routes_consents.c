/* The ledger of consents of a subject. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"

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
    enum kl_status status =
        api_input_consent(api_request_json(request), "", request->match.name, &input, err);

    (void)response; /* 204 */
    if (status == KL_OK) {
        status = vault_consent_give(request->vault, &request->caller, &request->match.ids[0],
                                    &input, err);
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
