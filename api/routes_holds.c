/* Records that must be kept: their holds, and what is left of them after an erasure. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/subject.h"

API_HANDLER(api_hold_put)
{
    static const char *const KNOWN[] = {"basis", "until", NULL};
    const struct kl_json_value *body = api_request_json(request);
    const char *basis = NULL;
    int64_t until_us = 0;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    (void)response; /* 204 */
    if (status != KL_OK ||
        (status = api_input_text(body, "basis", "", true, &basis, err)) != KL_OK ||
        (status = api_input_time(body, "until", "", &until_us, err)) != KL_OK) {
        return status;
    }
    if (until_us == 0) {
        kl_err_where(err, "/until");
        return kl_fail(err, KL_ERR_INVALID, "missing_key", "this member is needed", NULL);
    }
    return vault_record_hold(request->vault, &request->caller, &request->match.ids[0],
                             &request->match.ids[1], basis, until_us, err);
}

API_HANDLER(api_hold_delete)
{
    (void)response; /* 204 */
    return vault_record_release(request->vault, &request->caller, &request->match.ids[0],
                                &request->match.ids[1], err);
}

static void add_hold(struct kl_json_out *out, const struct vault_hold *hold)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "basis", hold->basis);
    kl_json_add_time(out, "until", hold->until_us);
    kl_json_object_end(out);
}

API_HANDLER(api_retained_read)
{
    struct vault_record_result record = {0};
    struct vault_hold *holds = NULL;
    size_t count = 0;
    size_t last = 0;
    enum kl_status status = vault_retained_read(
        request->vault, &request->caller, &request->match.ids[0], &request->match.ids[1],
        api_request_query(request, "purpose"), request->arena, &record, &holds, &count, err);

    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "record");
    api_output_record(&out, &record);
    kl_json_key(&out, "holds");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        last = holds[i].until_us > holds[last].until_us ? i : last;
        add_hold(&out, &holds[i]);
    }
    kl_json_array_end(&out);
    kl_json_key(&out, "hold");
    add_hold(&out, &holds[last]);
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_retained_end)
{
    (void)api_response_json(response, 200);
    return vault_retained_end(request->vault, &request->caller, &request->match.ids[0],
                              &request->match.ids[1], api_request_query(request, "basis"),
                              &response->body, err);
}
