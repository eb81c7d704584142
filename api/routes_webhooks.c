/* Webhooks: where events go. The secret of one is in the answer that makes it, and in no other. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/webhook.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static void write_time(struct kl_json_out *out, const char *key, int64_t time_us)
{
    kl_json_key(out, key);
    if (time_us == 0) {
        kl_json_put_null(out);
    } else {
        kl_json_put_time(out, time_us);
    }
}

/* Into an object that is open. */
static void write_webhook(struct kl_json_out *out, const struct vault_webhook_result *webhook)
{
    api_output_id(out, "id", VAULT_WEBHOOK_PREFIX, &webhook->id);
    kl_json_add_text(out, "url", webhook->url);
    kl_json_add_text(out, "country", webhook->country.code);
    kl_json_key(out, "events");
    kl_json_array_begin(out);
    for (int i = 0; i < VAULT_WEBHOOK_EVENT_WORDS; i++) {
        if ((webhook->events & (1u << i)) != 0) {
            kl_json_put_text(out, vault_webhook_events_name(i));
        }
    }
    kl_json_array_end(out);
    kl_json_add_time(out, "created_at", webhook->created_us);
    api_output_id(out, "created_by", "cred", &webhook->created_by);
    kl_json_add_int(out, "waiting", (int64_t)webhook->waiting);
    kl_json_add_int(out, "delivered", (int64_t)webhook->delivered);
    kl_json_add_int(out, "failed", (int64_t)webhook->failed);
    kl_json_add_int(out, "dropped", (int64_t)webhook->dropped);
    write_time(out, "delivered_at", webhook->delivered_us);
    write_time(out, "failed_at", webhook->failed_us);
    kl_json_add_text(out, "last_failure",
                     webhook->last_failure[0] == '\0' ? NULL : webhook->last_failure);
}

static enum kl_status take_events(const struct kl_json_value *body, struct kl_arena *arena,
                                  unsigned *ret, struct kl_err *err)
{
    const char *const *names = NULL;
    size_t count = 0;
    unsigned bit = 0;
    enum kl_status status =
        api_input_names(body, "events", "", VAULT_WEBHOOK_EVENT_WORDS, arena, &names, &count, err);

    for (size_t i = 0; status == KL_OK && i < count; i++) {
        if (!vault_webhook_events_parse(names[i], &bit)) {
            kl_err_where(err, "/events/%zu", i);
            return kl_fail(err, KL_ERR_INVALID, "unknown_event", "events are alerts and heads",
                           NULL);
        }
        *ret |= bit;
    }
    return status;
}

API_HANDLER(api_webhook_add)
{
    static const char *const KNOWN[] = {"url", "country", "events", NULL};
    const struct kl_json_value *body = api_request_json(request);
    struct vault_webhook_input input = {.events = 0};
    struct vault_idempotency idempotency;
    struct vault_webhook_secret secret = {{0}};
    struct vault_webhook_result webhook = {.waiting = 0};
    char id[KL_ID_TEXT_BYTES];
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_text(body, "url", "", true, &input.url, err)) != KL_OK ||
        (status = api_input_text(body, "country", "", true, &input.country, err)) != KL_OK ||
        (status = take_events(body, request->arena, &input.events, err)) != KL_OK ||
        (status = api_request_idempotency(request, NULL, 0, &idempotency, err)) != KL_OK) {
        return status;
    }
    status = vault_webhook_add(request->vault, &request->caller, &input, &idempotency,
                               request->arena, &secret, &webhook, err);
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 201);
    kl_json_object_begin(&out);
    write_webhook(&out, &webhook);
    kl_json_add_text(&out, "secret", secret.text);
    kl_json_object_end(&out);
    sodium_memzero(&secret, sizeof secret);
    kl_id_format(VAULT_WEBHOOK_PREFIX, &webhook.id, id);
    snprintf(response->location, sizeof response->location, "/v1/webhooks/%s", id);
    return KL_OK;
}

API_HANDLER(api_webhook_list)
{
    struct vault_webhook_result *webhooks = NULL;
    size_t count = 0;
    enum kl_status status = vault_webhook_list(request->vault, &request->caller, request->arena,
                                               &webhooks, &count, err);

    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "webhooks");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        kl_json_object_begin(&out);
        write_webhook(&out, &webhooks[i]);
        kl_json_object_end(&out);
    }
    kl_json_array_end(&out);
    kl_json_object_end(&out);
    return KL_OK;
}

API_HANDLER(api_webhook_read)
{
    struct vault_webhook_result webhook = {.waiting = 0};
    enum kl_status status = vault_webhook_get(
        request->vault, &request->caller, &request->match.ids[0], request->arena, &webhook, err);

    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 200);
        kl_json_object_begin(&out);
        write_webhook(&out, &webhook);
        kl_json_object_end(&out);
    }
    return status;
}

API_HANDLER(api_webhook_remove)
{
    (void)response; /* 204 */
    return vault_webhook_remove(request->vault, &request->caller, &request->match.ids[0], err);
}

API_HANDLER(api_webhook_test)
{
    struct kl_id event;
    enum kl_status status =
        vault_webhook_test(request->vault, &request->caller, &request->match.ids[0], &event, err);

    if (status == KL_OK) {
        struct kl_json_out out = api_response_json(response, 202);
        kl_json_object_begin(&out);
        api_output_id(&out, "webhook", VAULT_WEBHOOK_PREFIX, &request->match.ids[0]);
        api_output_id(&out, "event", VAULT_WEBHOOK_EVENT_PREFIX, &event);
        kl_json_object_end(&out);
    }
    return status;
}
