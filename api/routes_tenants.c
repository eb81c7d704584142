/* Tenants: made, listed, ended, and back again. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/admin.h"

#include <string.h>

static enum kl_status show(struct vault *store, struct api_request *request, int http_status,
                           struct api_response *response, struct kl_err *err)
{
    struct vault_tenant_result tenant = {0};
    enum kl_status status =
        vault_tenant_read(store, &request->caller, request->match.name, &tenant, err);

    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, http_status);
        api_output_tenant(&out, &tenant);
    }
    return status;
}

/* "away": the stores whose tenants are not on the list; nothing when all are there. */
static void list_away(const struct vault_stores *stores, struct kl_json_out *out)
{
    size_t count = vault_stores_count(stores);
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        (void)vault_stores_at(stores, i, &name);
        if (vault_stores_is_away(stores, i)) {
            if (!any) {
                kl_json_key(out, "away");
                kl_json_array_begin(out);
                any = true;
            }
            kl_json_put_text(out, name);
        }
    }
    if (any) {
        kl_json_array_end(out);
    }
}

/* The store in which the caller acts on the tenant that the path names. */
static enum kl_status find_store(struct api_request *request, struct vault **ret_store,
                                 struct kl_err *err)
{
    return vault_stores_tenant(request->app->stores, request->vault, &request->caller,
                               request->match.name, ret_store, err);
}

API_HANDLER(api_tenant_list)
{
    struct vault_tenant_result *tenants = NULL;
    size_t count = 0;
    enum kl_status status =
        vault_stores_tenant_list(request->app->stores, request->vault, &request->caller,
                                 request->arena, &tenants, &count, err);

    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "tenants");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        api_output_tenant(&out, &tenants[i]);
    }
    kl_json_array_end(&out);
    list_away(request->app->stores, &out);
    api_output_cursor(&out, "");
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_tenant_read)
{
    struct vault *store = NULL;
    enum kl_status status = find_store(request, &store, err);

    return status == KL_OK ? show(store, request, 200, response, err) : status;
}

API_HANDLER(api_tenant_put)
{
    static const char *const KNOWN[] = {"store", "grace", NULL};
    const struct kl_json_value *body = api_request_json(request);
    const char *store = NULL;
    const char *grace = NULL;
    struct vault *place = NULL;
    bool created = false;
    enum kl_status status = KL_OK;

    if (body != NULL &&
        ((status = kl_json_expect(body, KNOWN, "", err)) != KL_OK ||
         (status = api_input_text(body, "store", "", false, &store, err)) != KL_OK ||
         (status = api_input_text(body, "grace", "", false, &grace, err)) != KL_OK)) {
        return status;
    }
    status = vault_stores_tenant_put(request->app->stores, request->vault, &request->caller,
                                     request->match.name, store, grace, &created, &place, err);
    return status == KL_OK ? show(place, request, created ? 201 : 200, response, err) : status;
}

/* now=true: of one whose grace period is running. 200 with the receipt: its keys are gone. 202 with the tenant: it is closed, and they go when its grace period is over. */
API_HANDLER(api_tenant_end)
{
    const char *said = api_request_query(request, "now");
    struct vault *store = NULL;
    int64_t ends_us = 0;
    bool now = said != NULL && strcmp(said, "true") == 0;
    enum kl_status status = KL_OK;

    if (said != NULL && !now && strcmp(said, "false") != 0) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_parameter", "now is true or false", NULL);
    }
    status = find_store(request, &store, err);
    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status = now ? vault_tenant_end_early(store, &request->caller, request->match.name,
                                              &response->body, err)
                     : vault_tenant_end(store, &request->caller, request->match.name,
                                        &response->body, &ends_us, err);
    }
    return status == KL_OK && ends_us != 0 ? show(store, request, 202, response, err) : status;
}

API_HANDLER(api_tenant_restore)
{
    struct vault *store = NULL;
    enum kl_status status = find_store(request, &store, err);

    if (status == KL_OK) {
        status = vault_tenant_restore(store, &request->caller, request->match.name, err);
    }
    return status == KL_OK ? show(store, request, 200, response, err) : status;
}
