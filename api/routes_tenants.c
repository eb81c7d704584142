/* The end of a tenant, and its coming back. */
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
