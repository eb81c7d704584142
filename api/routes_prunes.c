/* Runs that let old entries of the trail go: asked for, and how far they are. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/admin.h"

API_HANDLER(api_prune_start)
{
    static const char *const KNOWN[] = {"dry_run", "per_second", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_prune_input input = {0};
    struct vault_idempotency idempotency;
    enum kl_status status = body == NULL ? KL_OK : kl_json_expect(body, KNOWN, "", err);

    if (status == KL_OK && body != NULL) {
        status = api_input_bool(body, "dry_run", "", &input.dry_run, err);
    }
    if (status == KL_OK && body != NULL) {
        status = api_input_int(body, "per_second", "", VAULT_PRUNE_RATE_MIN, VAULT_PRUNE_RATE_MAX,
                               0, &input.per_second, err);
    }
    if (status == KL_OK) {
        status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    }
    if (status == KL_OK) {
        (void)api_response_json(response, 202);
        status = vault_prune_start(request->vault, &request->caller, &input, &idempotency,
                                   &response->body, &response->replayed, err);
    }
    return status;
}

API_HANDLER(api_prune_read)
{
    (void)api_response_json(response, 200);
    return vault_prune_show(request->vault, &request->caller, &request->match.ids[0],
                            &response->body, err);
}

API_HANDLER(api_prune_list)
{
    struct kl_buf runs;
    size_t limit = 0;
    enum kl_status status = api_request_limit(request, &limit, err);

    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&runs, API_RESPONSE_MAX_BYTES);
    status = vault_prune_list(request->vault, &request->caller, limit, &runs, err);
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);

        kl_json_object_begin(&out);
        kl_json_key(&out, "runs");
        kl_json_put_raw(&out, runs.bytes, runs.size);
        kl_json_object_end(&out);
    }
    kl_buf_done(&runs);
    return status;
}
