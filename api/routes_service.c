/* What operators' tools ask: is it alive, can it answer, figures, the description of the API. */
#include "api/routes.h"

extern const unsigned char kl_embed_openapi_json[];
extern const size_t kl_embed_openapi_json_bytes;

API_HANDLER(api_healthz)
{
    (void)request;
    struct kl_json_out out = api_response_json(response, 200);

    kl_json_object_begin(&out);
    kl_json_add_text(&out, "status", "ok");
    kl_json_object_end(&out);
    return kl_buf_status(&response->body, err);
}

/* One store of several. Why, and how its keys are, is for operators (GET /v1/stores, /v1/keys): their generation tells when people are erased. */
static void write_store(const struct vault_stores *stores, size_t index, struct kl_json_out *out)
{
    struct vault_readiness readiness = {.ready = false};
    const char *name = NULL;
    struct vault *store = vault_stores_at(stores, index, &name);

    if (store != NULL) {
        vault_readiness(store, &readiness);
    } else if (!vault_stores_is_away(stores, index)) {
        return; /* cut short: there is no store */
    }
    kl_json_object_begin(out);
    kl_json_add_text(out, "store", name);
    kl_json_add_bool(out, "ready", readiness.ready);
    kl_json_object_end(out);
}

/* Ready is what the main store is: others' tenants are told of their own store. Open to everybody, so it says no more. */
API_HANDLER(api_readyz)
{
    const struct vault_stores *stores = request->app->stores;
    struct vault_readiness readiness;
    size_t count = vault_stores_count(stores);

    vault_readiness(request->vault, &readiness);
    struct kl_json_out out = api_response_json(response, readiness.ready ? 200 : 503);
    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "ready", readiness.ready);
    if (!readiness.ready) {
        response->retry_after_s = 5;
    }
    if (count > 1) {
        kl_json_key(&out, "stores");
        kl_json_array_begin(&out);
        for (size_t i = 0; i < count; i++) {
            write_store(stores, i, &out);
        }
        kl_json_array_end(&out);
    }
    kl_json_object_end(&out);
    return kl_buf_status(&response->body, err);
}

API_HANDLER(api_metrics_show)
{
    if (!request->head->metrics_listener && request->caller.builtin != VAULT_BUILTIN_OPERATOR) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "role_forbidden",
                       "metrics are of the whole server: they are for operators", NULL);
    }
    response->status = 200;
    response->content_type = API_TYPE_METRICS;
    api_metrics_write(request->app, &response->body);
    return kl_buf_status(&response->body, err);
}

API_HANDLER(api_openapi)
{
    (void)request;
    response->status = 200;
    response->content_type = API_TYPE_JSON;
    kl_buf_add(&response->body, kl_embed_openapi_json, kl_embed_openapi_json_bytes);
    return kl_buf_status(&response->body, err);
}
