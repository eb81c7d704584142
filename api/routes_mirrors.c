/* Mirrors of the keys: which there are, a new one, one less. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/admin.h"

#include <string.h>

static void write_mirror(struct kl_json_out *out, const struct vault_mirror_result *mirror)
{
    kl_json_object_begin(out);
    api_output_id(out, "id", VAULT_MIRROR_PREFIX, &mirror->id);
    kl_json_add_text(out, "directory", mirror->directory);
    kl_json_add_text(out, "country", mirror->country);
    kl_json_add_text(out, "state", mirror->in_step ? "in_step" : "out_of_step");
    kl_json_add_time(out, "since", mirror->since_us);
    kl_json_add_int(out, "generation", (int64_t)mirror->generation);
    if (mirror->finality[0] != '\0') {
        kl_json_add_text(out, "finality", mirror->finality);
    }
    if (!mirror->in_step) {
        kl_json_add_text(out, "reason", mirror->reason);
    }
    kl_json_object_end(out);
}

API_HANDLER(api_mirror_list)
{
    struct vault_mirror_result mirrors[VAULT_MIRRORS_MAX];
    size_t count = 0;
    enum kl_status status =
        vault_mirror_list(request->vault, &request->caller, mirrors, &count, err);

    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "mirrors");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        write_mirror(&out, &mirrors[i]);
    }
    kl_json_array_end(&out);
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_mirror_add)
{
    static const char *const KNOWN[] = {"directory", "country", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_mirror_result mirror = {0};
    const char *directory = NULL;
    const char *country = NULL;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_text(body, "directory", "", true, &directory, err)) != KL_OK ||
        (status = api_input_text(body, "country", "", true, &country, err)) != KL_OK) {
        return status;
    }
    status =
        vault_stores_apart(request->app->stores, request->vault, &request->caller, directory, err);
    if (status == KL_OK) {
        status =
            vault_mirror_add(request->vault, &request->caller, directory, country, &mirror, err);
    }
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 201);
        write_mirror(&out, &mirror);
    }
    return status;
}

/* destroyed=true: the operator answers for the destruction of one that cannot be reached. */
API_HANDLER(api_mirror_drop)
{
    const char *said = api_request_query(request, "destroyed");
    bool declared = said != NULL && strcmp(said, "true") == 0;
    bool destroyed = false;
    enum kl_status status = KL_OK;

    if (said != NULL && !declared && strcmp(said, "false") != 0) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_parameter", "destroyed is true or false",
                       NULL);
    }
    status = vault_mirror_drop(request->vault, &request->caller, &request->match.ids[0], declared,
                               &destroyed, err);
    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);
        kl_json_object_begin(&out);
        api_output_id(&out, "id", VAULT_MIRROR_PREFIX, &request->match.ids[0]);
        kl_json_add_bool(&out, "destroyed", destroyed);
        kl_json_object_end(&out);
    }
    return status;
}
