/* Tenants: made, listed, ended, and back again. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/admin.h"

static enum kl_status show(struct api_request *request, int http_status,
                           struct api_response *response, struct kl_err *err)
{
    struct vault_tenant_result tenant = {0};
    enum kl_status status =
        vault_tenant_read(request->app->vault, &request->caller, request->match.name, &tenant, err);

    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, http_status);
        api_output_tenant(&out, &tenant);
    }
    return status;
}

API_HANDLER(api_tenant_list)
{
    struct vault_tenant_result *tenants = NULL;
    size_t count = 0;
    enum kl_status status = vault_tenant_list(request->app->vault, &request->caller, request->arena,
                                              &tenants, &count, err);

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
    api_output_cursor(&out, "");
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_tenant_read)
{
    return show(request, 200, response, err);
}

API_HANDLER(api_tenant_put)
{
    static const char *const KNOWN[] = {"store", "grace", NULL};
    const struct kl_json_value *body = api_request_json(request);
    const char *store = NULL;
    const char *grace = NULL;
    bool created = false;
    enum kl_status status = KL_OK;

    if (body != NULL &&
        ((status = kl_json_expect(body, KNOWN, "", err)) != KL_OK ||
         (status = api_input_text(body, "store", "", false, &store, err)) != KL_OK ||
         (status = api_input_text(body, "grace", "", false, &grace, err)) != KL_OK)) {
        return status;
    }
    status = vault_tenant_put(request->app->vault, &request->caller, request->match.name, store,
                              grace, &created, err);
    return status == KL_OK ? show(request, created ? 201 : 200, response, err) : status;
}

/* 200 with the receipt: its keys are gone. 202 with the tenant: it is closed, and they go when its grace period is over. */
API_HANDLER(api_tenant_end)
{
    int64_t ends_us = 0;
    enum kl_status status = KL_OK;

    (void)api_response_json(response, 200);
    status = vault_tenant_end(request->app->vault, &request->caller, request->match.name,
                              &response->body, &ends_us, err);
    return status == KL_OK && ends_us != 0 ? show(request, 202, response, err) : status;
}

API_HANDLER(api_tenant_restore)
{
    enum kl_status status =
        vault_tenant_restore(request->app->vault, &request->caller, request->match.name, err);

    return status == KL_OK ? show(request, 200, response, err) : status;
}
