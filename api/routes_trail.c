/* Proving what the audit trail says: its entries in their exact bytes, and proofs about its heads. */
#include "api/routes.h"
#include "kluis/vault/trail.h"

API_HANDLER(api_audit_proof)
{
    const char *entry = api_request_query(request, "entry");
    struct kl_id id;
    int64_t index = -1;
    int64_t size = -1;
    enum kl_status status = api_request_number(request, "index", &index, err);

    if (status == KL_OK) {
        status = api_request_number(request, "size", &size, err);
    }
    if (status == KL_OK && (entry == NULL) == (index == -1)) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_parameter",
                         "either entry, an id, or index, the number of an entry, is needed", NULL);
    }
    if (status == KL_OK && entry != NULL) {
        status = kl_id_parse("aud", entry, &id, err);
    }
    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status = vault_trail_inclusion(request->vault, &request->caller, entry == NULL ? NULL : &id,
                                       index, size, &response->body, err);
    }
    return status;
}

API_HANDLER(api_audit_consistency)
{
    int64_t from = -1;
    int64_t to = -1;
    enum kl_status status = api_request_number(request, "from", &from, err);

    if (status == KL_OK) {
        status = api_request_number(request, "to", &to, err);
    }
    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status = vault_trail_consistency(request->vault, &request->caller, from, to,
                                         &response->body, err);
    }
    return status;
}

API_HANDLER(api_audit_entries)
{
    int64_t from = -1;
    size_t limit = 0;
    enum kl_status status = api_request_limit(request, &limit, err);

    if (status == KL_OK) {
        status = api_request_number(request, "from", &from, err);
    }
    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status = vault_trail_entries(request->vault, &request->caller, from == -1 ? 0 : from, limit,
                                     &response->body, err);
    }
    return status;
}

API_HANDLER(api_audit_keys)
{
    (void)api_response_json(response, 200);
    return vault_trail_keys(request->vault, &request->caller, &response->body, err);
}
