/* The stores of the vault: which there are, and a new one. The passphrase comes in the body, which is wiped like every other. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"

static void write_space(struct kl_json_out *out, const struct vault_space_figures *space)
{
    kl_json_key(out, "storage");
    kl_json_object_begin(out);
    kl_json_add_bool(out, "low", space->low);
    kl_json_add_int(out, "reserve_bytes", (int64_t)space->reserve_bytes);
    kl_json_add_int(out, "ballast_bytes", (int64_t)space->ballast_bytes);
    kl_json_key(out, "free_bytes");
    kl_json_object_begin(out);
    for (size_t i = 0; i < VAULT_SPACE_PLACES; i++) {
        kl_json_add_int(out, vault_space_place_name((enum vault_space_place)i),
                        (int64_t)space->places[i].free_bytes);
    }
    kl_json_object_end(out);
    kl_json_object_end(out);
}

static void write_store(struct kl_json_out *out, const struct vault_store_result *store)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", store->name);
    kl_json_add_text(out, "country", store->country.code);
    kl_json_add_text(out, "directory", store->directory);
    kl_json_add_text(out, "custodian", store->custodian);
    kl_json_add_text(out, "state", vault_store_state_name(store->state));
    if (store->state == VAULT_STORE_OPEN) {
        kl_json_add_int(out, "tenants", (int64_t)store->tenants);
        kl_json_add_int(out, "generation", (int64_t)store->generation);
        kl_json_add_text(out, "finality", store->finality);
        write_space(out, &store->space);
    } else {
        kl_json_add_text(out, "code", store->code);
        kl_json_add_text(out, "reason", store->reason);
        if (store->tried_us != 0) {
            kl_json_add_time(out, "tried_at", store->tried_us);
        }
    }
    kl_json_object_end(out);
}

API_HANDLER(api_store_list)
{
    struct vault_store_result *stores = NULL;
    size_t count = 0;
    enum kl_status status =
        vault_stores_list(request->app->stores, request->vault, &request->caller, request->arena,
                          &stores, &count, err);

    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "stores");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        write_store(&out, &stores[i]);
    }
    kl_json_array_end(&out);
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_store_add)
{
    static const char *const KNOWN[] = {"name",      "directory",  "country",
                                        "custodian", "passphrase", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_store_input input = {0};
    struct vault_store_result *store = kl_arena_alloc(request->arena, sizeof *store);
    const char *passphrase = NULL;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_text(body, "name", "", true, &input.name, err)) != KL_OK ||
        (status = api_input_text(body, "directory", "", true, &input.directory, err)) != KL_OK ||
        (status = api_input_text(body, "country", "", true, &input.country, err)) != KL_OK ||
        (status = api_input_text(body, "custodian", "", true, &input.custodian, err)) != KL_OK ||
        (status = api_input_text(body, "passphrase", "", false, &passphrase, err)) != KL_OK) {
        return status;
    }
    if (store == NULL) {
        return kl_fail_memory(err);
    }
    if (passphrase != NULL) {
        input.passphrase = kl_slice_text(passphrase);
    }
    status = vault_stores_add(request->app->stores, request->vault, &request->caller, &input, store,
                              err);
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 201);
        write_store(&out, store);
    }
    return status;
}
