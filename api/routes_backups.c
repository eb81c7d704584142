/* Backups: asked for, looked at, verified. Putting one back is `kluisd restore`. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/backup.h"

#include <stdio.h>

static enum kl_status backup_input(const struct kl_json_value *body, struct vault_backup_input *ret,
                                   struct kl_err *err)
{
    static const char *const KNOWN[] = {"directory", "country", "keep", "rate_mib_s", NULL};
    struct vault_backup_input input = {0};
    int64_t keep = 0;
    int64_t rate = 0;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_text(body, "directory", "", true, &input.directory, err)) != KL_OK ||
        (status = api_input_text(body, "country", "", true, &input.country, err)) != KL_OK ||
        (status = api_input_int(body, "keep", "", 0, VAULT_BACKUP_KEEP_MAX, 0, &keep, err)) !=
            KL_OK ||
        (status = api_input_int(body, "rate_mib_s", "", 0, VAULT_BACKUP_RATE_MAX, 0, &rate, err)) !=
            KL_OK) {
        return status;
    }
    input.keep = (uint32_t)keep;
    input.rate_mib_s = (uint32_t)rate;
    *ret = input;
    return KL_OK;
}

API_HANDLER(api_backup_create)
{
    struct vault_backup_input input = {0};
    struct vault_idempotency idempotency;
    enum kl_status status = backup_input(api_request_json(request), &input, err);

    if (status == KL_OK) {
        status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    }
    if (status == KL_OK) {
        status = vault_stores_apart(request->app->stores, request->vault, &request->caller,
                                    input.directory, err);
    }
    if (status == KL_OK) {
        (void)api_response_json(response, 202);
        status = vault_backup_create(request->vault, &request->caller, &input, &idempotency,
                                     &response->body, &response->replayed, err);
    }
    return status;
}

API_HANDLER(api_backup_list)
{
    struct kl_buf backups;
    enum kl_status status = KL_OK;

    kl_buf_init(&backups, API_RESPONSE_MAX_BYTES);
    status = vault_backup_list(request->vault, &request->caller, &backups, err);
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);

        kl_json_object_begin(&out);
        kl_json_key(&out, "backups");
        kl_json_put_raw(&out, backups.bytes, backups.size);
        kl_json_object_end(&out);
    }
    kl_buf_done(&backups);
    return status;
}

API_HANDLER(api_backup_read)
{
    (void)api_response_json(response, 200);
    return vault_backup_show(request->vault, &request->caller, &request->match.ids[0],
                             &response->body, err);
}

API_HANDLER(api_backup_verify)
{
    static const char *const KNOWN[] = {"directory", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_idempotency idempotency;
    const char *directory = NULL;
    enum kl_status status = body == NULL ? KL_OK : kl_json_expect(body, KNOWN, "", err);

    if (status == KL_OK && body != NULL) {
        status = api_input_text(body, "directory", "", false, &directory, err);
    }
    if (status == KL_OK) {
        status = api_request_idempotency(request, NULL, 0, &idempotency, err);
    }
    if (status == KL_OK) {
        (void)api_response_json(response, 202);
        status =
            vault_backup_verify(request->vault, &request->caller, &request->match.ids[0], directory,
                                &idempotency, &response->body, &response->replayed, err);
    }
    return status;
}

API_HANDLER(api_backup_verification)
{
    (void)api_response_json(response, 200);
    return vault_backup_verification(request->vault, &request->caller, &request->match.ids[0],
                                     &response->body, err);
}
