/* Change of what keeps the root key. The passphrase comes in the body, which is wiped like every other. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/admin.h"

API_HANDLER(api_custodian_put)
{
    static const char *const KNOWN[] = {"custodian", "country", "passphrase", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_custodian_input input = {0};
    struct vault_custodian_result result = {.kind = ""};
    const char *passphrase = NULL;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_text(body, "custodian", "", true, &input.custodian, err)) != KL_OK ||
        (status = api_input_text(body, "country", "", true, &input.country, err)) != KL_OK ||
        (status = api_input_text(body, "passphrase", "", false, &passphrase, err)) != KL_OK) {
        return status;
    }
    if (passphrase != NULL) {
        input.passphrase = kl_slice_text(passphrase);
    }
    status = vault_stores_custodian_change(request->app->stores, request->vault, &request->caller,
                                           &input, &result, err);
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);
        kl_json_object_begin(&out);
        kl_json_add_text(&out, "custodian", result.kind);
        kl_json_add_int(&out, "generation", (int64_t)result.generation);
        kl_json_add_text(&out, "finality", result.finality);
        kl_json_object_end(&out);
    }
    return status;
}
