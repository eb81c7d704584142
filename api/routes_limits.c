/* What keeps a subject's data from being used: restriction and objections; and what ends its use: events on records. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/base/time.h"

#include <string.h>

/* A word of a short list, as its number. KL_ERR_INVALID "invalid_value". */
static enum kl_status take_word(const char *text, const char *(*name)(int), int count, int *ret,
                                struct kl_err *err)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(name(i), text) == 0) {
            *ret = i;
            return KL_OK;
        }
    }
    kl_err_where(err, "/ground");
    return kl_fail(err, KL_ERR_INVALID, "invalid_value", "there is no ground of that name", NULL);
}

static const char *restriction_word(int i)
{
    return vault_restriction_ground_name((enum vault_restriction_ground)i);
}

static const char *objection_word(int i)
{
    return vault_objection_ground_name((enum vault_objection_ground)i);
}

/* ---- restriction ---- */

API_HANDLER(api_restriction_read)
{
    struct vault_restriction restriction = {0};
    enum kl_status status = vault_restriction_read(request->vault, &request->caller,
                                                   &request->match.ids[0], &restriction, err);

    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "restricted", restriction.in_force);
    if (restriction.in_force) {
        kl_json_add_text(&out, "ground", vault_restriction_ground_name(restriction.ground));
        kl_json_add_time(&out, "since", restriction.since_us);
    }
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_restriction_put)
{
    static const char *const KNOWN[] = {"ground", NULL};
    const struct kl_json_value *body = api_request_json(request);
    const char *word = NULL;
    int ground = 0;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    (void)response; /* 204 */
    if (status != KL_OK ||
        (status = api_input_text(body, "ground", "", true, &word, err)) != KL_OK ||
        (status = take_word(word, restriction_word, VAULT_RESTRICTION_GROUNDS, &ground, err)) !=
            KL_OK) {
        return status;
    }
    return vault_restriction_set(request->vault, &request->caller, &request->match.ids[0],
                                 (enum vault_restriction_ground)ground, err);
}

API_HANDLER(api_restriction_delete)
{
    const char *text = api_request_query(request, "told_at");
    int64_t told_us = 0;

    (void)response; /* 204 */
    if (text != NULL && kl_time_parse(text, strlen(text), &told_us, err) != KL_OK) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_parameter",
                       "told_at is a time as RFC 3339 writes it", NULL);
    }
    return vault_restriction_lift(request->vault, &request->caller, &request->match.ids[0], told_us,
                                  err);
}

/* ---- objections ---- */

API_HANDLER(api_objection_list)
{
    struct vault_objection_result *objections = NULL;
    size_t count = 0;
    enum kl_status status =
        vault_objection_list(request->vault, &request->caller, &request->match.ids[0],
                             request->arena, &objections, &count, err);

    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "objections");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        api_output_objection(&out, &objections[i]);
    }
    kl_json_array_end(&out);
    api_output_cursor(&out, "");
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_objection_put)
{
    static const char *const KNOWN[] = {"ground", "compelling_grounds", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_objection_input input = {.purpose = request->match.name};
    const char *word = NULL;
    int ground = 0;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    (void)response; /* 204 */
    if (status != KL_OK ||
        (status = api_input_text(body, "ground", "", true, &word, err)) != KL_OK ||
        (status = take_word(word, objection_word, VAULT_OBJECTION_GROUNDS, &ground, err)) !=
            KL_OK ||
        (status = api_input_text(body, "compelling_grounds", "", false, &input.compelling_grounds,
                                 err)) != KL_OK) {
        return status;
    }
    input.ground = (enum vault_objection_ground)ground;
    return vault_objection_set(request->vault, &request->caller, &request->match.ids[0], &input,
                               err);
}

API_HANDLER(api_objection_delete)
{
    (void)response; /* 204 */
    return vault_objection_end(request->vault, &request->caller, &request->match.ids[0],
                               request->match.name, err);
}

/* ---- events ---- */

API_HANDLER(api_event_post)
{
    static const char *const KNOWN[] = {"event", "at", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_keeping *keeping = NULL;
    const char *event = NULL;
    int64_t at_us = 0;
    size_t count = 0;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);
    bool now = kl_json_type(kl_json_member(body, "at")) == KL_JSON_ABSENT;

    if (status != KL_OK ||
        (status = api_input_text(body, "event", "", true, &event, err)) != KL_OK ||
        (status = api_input_time(body, "at", "", &at_us, err)) != KL_OK) {
        return status;
    }
    status = vault_record_event(request->vault, &request->caller, &request->match.ids[0],
                                &request->match.ids[1], event, now ? request->caller.now_us : at_us,
                                request->arena, &keeping, &count, err);
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "kept_for");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        kl_json_object_begin(&out);
        kl_json_add_text(&out, "purpose", keeping[i].purpose);
        kl_json_key(&out, "until");
        if (keeping[i].until_us == KL_TIME_MAX_US) {
            kl_json_put_null(&out);
        } else {
            kl_json_put_time(&out, keeping[i].until_us);
        }
        kl_json_object_end(&out);
    }
    kl_json_array_end(&out);
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_event_delete)
{
    (void)response; /* 204 */
    return vault_record_event_remove(request->vault, &request->caller, &request->match.ids[0],
                                     &request->match.ids[1], request->match.name, err);
}
