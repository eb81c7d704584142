/* Targets declared, listed, removed, tried. */
#include "vault/webhook_internal.h"

#include "kluis/base/time.h"
#include "vault/credentials.h"
#include "vault/idempotency.h"
#include "vault/remark.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAKERS (VAULT_MAY_OPERATOR | VAULT_MAY_STEWARD)
#define TEST_DATA "{}"

static enum kl_status not_found(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such webhook", NULL);
}

static enum kl_status own_trail(struct vault *vault, const struct vault_caller *caller,
                                const char *action, uint64_t *ret_trail, struct kl_err *err)
{
    enum kl_status status = vault_act_allowed(vault, caller, MAKERS, action, err);

    return status == KL_OK ? vault_act_own_trail(vault, caller, action, ret_trail, err) : status;
}

static void say_webhook(struct kl_json_out *out, const struct kl_id *id,
                        struct vault_country country)
{
    char text[KL_ID_TEXT_BYTES];

    kl_id_format(VAULT_WEBHOOK_PREFIX, id, text);
    kl_json_add_text(out, "webhook", text);
    kl_json_add_text(out, "country", country.code);
}

/* ---- what is told of one ---- */

static enum kl_status describe(struct vault *vault, uint64_t trail, const struct kl_id *id,
                               struct kl_arena *arena, struct vault_webhook_result *ret,
                               struct kl_err *err)
{
    struct vault_webhooks *webhooks = vault->webhooks;
    const struct vault_webhook *webhook = NULL;
    struct vault_webhook_text text = {.events = 0};
    struct kl_err cause = {0};
    const char *url = NULL;
    enum kl_status status = vault_webhook_row_read(vault, trail, id, &text, &cause);

    if (status != KL_OK) {
        sodium_memzero(&text, sizeof text);
        return status == KL_ERR_NOT_FOUND
                   ? not_found(err)
                   : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    url = kl_arena_text(arena, text.url, strlen(text.url));
    pthread_mutex_lock(&webhooks->lock);
    webhook = vault_webhooks_find(webhooks, trail, id);
    if (webhook != NULL && url != NULL) {
        *ret = (struct vault_webhook_result){.id = *id,
                                             .url = url,
                                             .country = text.country,
                                             .events = text.events,
                                             .created_us = text.created_us,
                                             .created_by = text.created_by,
                                             .waiting = webhook->waiting,
                                             .delivered = webhook->delivered,
                                             .failed = webhook->failed,
                                             .dropped = webhook->dropped,
                                             .delivered_us = webhook->delivered_us,
                                             .failed_us = webhook->failed_us};
        memcpy(ret->last_failure, webhook->last_failure, sizeof ret->last_failure);
    }
    pthread_mutex_unlock(&webhooks->lock);
    sodium_memzero(&text, sizeof text);
    if (url == NULL) {
        return kl_fail_memory(err);
    }
    return webhook == NULL ? not_found(err) : KL_OK;
}

/* The ids of a trail's targets, the oldest first; how many. */
static size_t ids_of(struct vault_webhooks *webhooks, uint64_t trail,
                     struct kl_id ret[VAULT_WEBHOOKS_MAX])
{
    size_t count = 0;

    pthread_mutex_lock(&webhooks->lock);
    for (struct vault_webhook *webhook = webhooks->first;
         webhook != NULL && count < VAULT_WEBHOOKS_MAX; webhook = webhook->next) {
        if (webhook->trail == trail) {
            ret[count++] = webhook->id;
        }
    }
    pthread_mutex_unlock(&webhooks->lock);
    return count;
}

static int older(const void *left, const void *right)
{
    const struct vault_webhook_result *a = left;
    const struct vault_webhook_result *b = right;

    return a->created_us < b->created_us ? -1 : a->created_us > b->created_us;
}

enum kl_status vault_webhook_list(struct vault *vault, const struct vault_caller *caller,
                                  struct kl_arena *arena, struct vault_webhook_result **ret,
                                  size_t *ret_count, struct kl_err *err)
{
    struct kl_id ids[VAULT_WEBHOOKS_MAX];
    struct vault_webhook_result *results = NULL;
    struct kl_err gone = {0};
    uint64_t trail = 0;
    size_t found = 0;
    size_t count = 0;
    enum kl_status status = vault_act_own_trail(vault, caller, "webhook_list", &trail, err);

    if (status != KL_OK) {
        return status;
    }
    found = ids_of(vault->webhooks, trail, ids);
    results = kl_arena_array(arena, found + 1, sizeof results[0]);
    if (results == NULL) {
        return kl_fail_memory(err);
    }
    for (size_t i = 0; i < found; i++) {
        kl_err_clear(&gone);
        status = describe(vault, trail, &ids[i], arena, &results[count], &gone);
        if (status != KL_OK && status != KL_ERR_NOT_FOUND) {
            return kl_fail(err, status, gone.code, gone.client_text, "%s", gone.log_text);
        }
        count += status == KL_OK ? 1 : 0;
    }
    qsort(results, count, sizeof results[0], older);
    *ret = results;
    *ret_count = count;
    return KL_OK;
}

enum kl_status vault_webhook_get(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *id, struct kl_arena *arena,
                                 struct vault_webhook_result *ret, struct kl_err *err)
{
    uint64_t trail = 0;
    enum kl_status status = vault_act_own_trail(vault, caller, "webhook_read", &trail, err);

    return status == KL_OK ? describe(vault, trail, id, arena, ret, err) : status;
}

/* ---- declaring ---- */

static enum kl_status take_input(const struct vault_webhook_input *input, int64_t now_us,
                                 struct vault_webhook_text *ret, struct kl_err *err)
{
    enum kl_status status = vault_remark_check(input->url, "url", VAULT_WEBHOOK_URL_MAX_BYTES, err);

    if (status == KL_OK && !vault_webhook_url_valid(input->url)) {
        kl_err_where(err, "/url");
        status = kl_fail(err, KL_ERR_INVALID, "invalid_url",
                         "a webhook's URL is https://HOST[:PORT][/PATH][?QUERY], in ASCII, without "
                         "a user and a fragment",
                         NULL);
    }
    if (status == KL_OK) {
        status = vault_place_country(input->country, &ret->country, err);
        if (status != KL_OK) {
            kl_err_where(err, "/country");
        }
    }
    if (status == KL_OK) {
        (void)snprintf(ret->url, sizeof ret->url, "%s", input->url);
        ret->id = kl_id_new();
        ret->events = input->events == 0 ? VAULT_WEBHOOK_ALL : input->events;
        ret->created_us = now_us;
        randombytes_buf(ret->secret, sizeof ret->secret);
    }
    return status;
}

static enum kl_status has_room(struct vault *vault, uint64_t trail, struct kl_err *err)
{
    struct kl_id ids[VAULT_WEBHOOKS_MAX];

    return ids_of(vault->webhooks, trail, ids) < VAULT_WEBHOOKS_MAX
               ? KL_OK
               : kl_failf(err, KL_ERR_TOO_LARGE, "too_many_webhooks",
                          "there are at most %d webhooks: remove one first", VAULT_WEBHOOKS_MAX);
}

static enum kl_status commit_added(struct vault *vault, const struct vault_caller *caller,
                                   uint64_t trail, const struct vault_webhook_text *text,
                                   const struct vault_batch *batch, struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    vault_act_begin(&act, trail, &who, "webhook_add");
    say_webhook(&act.out, &text->id, text->country);
    kl_json_key(&act.out, "events");
    kl_json_array_begin(&act.out);
    for (int i = 0; i < VAULT_WEBHOOK_EVENT_WORDS; i++) {
        if ((text->events & (1u << i)) != 0) {
            kl_json_put_text(&act.out, vault_webhook_events_name(i));
        }
    }
    kl_json_array_end(&act.out);
    status = vault_act_commit(vault, acts, 1, batch, err);
    vault_act_done(&act);
    return status;
}

static void link_webhook(struct vault_webhooks *webhooks, struct vault_webhook *webhook)
{
    pthread_mutex_lock(&webhooks->lock);
    webhook->next = webhooks->first;
    webhooks->first = webhook;
    pthread_mutex_unlock(&webhooks->lock);
}

/* The turn is held. In the trail first, then beside the keys: what is told to nobody yet may be cut short in between. */
static enum kl_status add(struct vault *vault, const struct vault_caller *caller, uint64_t trail,
                          const struct vault_webhook_text *text,
                          const struct vault_idempotency_ticket *ticket, struct kl_err *err)
{
    struct vault_batch *batch = vault_batch_new();
    struct vault_webhook *webhook = calloc(1, sizeof *webhook);
    enum kl_status status = has_room(vault, trail, err);

    if (status == KL_OK && (batch == NULL || webhook == NULL)) {
        status = kl_fail_memory(err);
    }
    if (status == KL_OK) {
        status = vault_idempotency_remember(vault, caller, ticket, VAULT_SLOT_MAC, KMS_VALUE_NONE,
                                            kl_slice_of(text->id.bytes, KL_ID_BYTES), batch, err);
    }
    if (status == KL_OK) {
        status = commit_added(vault, caller, trail, text, batch, err);
    }
    if (status == KL_OK) {
        status = vault_webhook_row_put(vault, trail, text, err);
    }
    if (status == KL_OK) {
        webhook->id = text->id;
        webhook->trail = trail;
        webhook->country = text->country;
        webhook->events = text->events;
        link_webhook(vault->webhooks, webhook);
        webhook = NULL;
    }
    free(webhook);
    vault_batch_free(batch);
    return status;
}

/* A secret is shown once: the same request again gets no other answer than that. */
static enum kl_status add_once(struct vault *vault, const struct vault_caller *caller,
                               uint64_t trail, const struct vault_webhook_text *text,
                               const struct vault_idempotency *idempotency, struct kl_err *err)
{
    struct vault_idempotency_ticket ticket = {0};
    struct kl_id before;
    bool there = false;
    enum kl_status status =
        vault_idempotency_begin_id(vault, caller, idempotency, &ticket, &before, &there, err);

    if (status == KL_OK && there) {
        status = kl_fail(err, KL_ERR_CONFLICT, "secret_already_shown",
                         "this request made a webhook before, and its secret is shown once: remove "
                         "it and make another one",
                         NULL);
    }
    if (status == KL_OK) {
        vault_turn_take(&vault->turn);
        status = add(vault, caller, trail, text, &ticket, err);
        vault_turn_give(&vault->turn);
    }
    vault_idempotency_end(vault, &ticket);
    return status;
}

enum kl_status vault_webhook_add(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_webhook_input *input,
                                 const struct vault_idempotency *idempotency,
                                 struct kl_arena *arena, struct vault_webhook_secret *ret_secret,
                                 struct vault_webhook_result *ret, struct kl_err *err)
{
    struct vault_webhook_text text = {.created_by = caller->credential};
    struct kl_err cause = {0};
    uint64_t trail = 0;
    enum kl_status status = own_trail(vault, caller, "webhook_add", &trail, err);

    if (status == KL_OK) {
        status = take_input(input, caller->now_us, &text, err);
    }
    if (status == KL_OK &&
        vault_webhook_allowed(vault, trail, text.country, caller->now_us, &cause) != KL_OK) {
        status = vault_act_refused(vault, caller, "webhook_add", &cause, err);
    }
    if (status == KL_OK) {
        status = add_once(vault, caller, trail, &text, idempotency, err);
    }
    if (status == KL_OK) {
        status = describe(vault, trail, &text.id, arena, ret, err);
    }
    if (status == KL_OK) {
        vault_webhook_secret_text(text.secret, ret_secret);
    }
    sodium_memzero(&text, sizeof text);
    return status;
}

/* ---- removing ---- */

/* The row first, so that whatever comes in between nothing more is sent. The turn is held. */
static enum kl_status remove_one(struct vault *vault, const struct vault_caller *caller,
                                 uint64_t trail, const struct vault_webhook_result *webhook,
                                 struct vault_batch *batch, struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    struct vault_row_key first = vault_row_waiting(trail, &webhook->id, 0);
    struct vault_row_key past;
    enum kl_status status = vault_webhook_row_remove(vault, trail, &webhook->id, err);

    if (status != KL_OK) {
        return status;
    }
    first.size -= 8;
    past = vault_row_past(&first);
    vault_batch_remove_range(batch, vault_row_slice(&first), vault_row_slice(&past));
    (void)vault_webhooks_forget(vault, trail, &webhook->id);
    vault_act_begin(&act, trail, &who, "webhook_remove");
    say_webhook(&act.out, &webhook->id, webhook->country);
    kl_json_add_int(&act.out, "waiting", (int64_t)webhook->waiting);
    status = vault_act_commit(vault, acts, 1, batch, err);
    vault_act_done(&act);
    return status;
}

enum kl_status vault_webhook_remove(struct vault *vault, const struct vault_caller *caller,
                                    const struct kl_id *id, struct kl_err *err)
{
    struct vault_webhook_result webhook = {.waiting = 0};
    struct kl_arena *arena = kl_arena_new(2 * VAULT_WEBHOOK_TEXT_MAX_BYTES);
    struct vault_batch *batch = vault_batch_new();
    uint64_t trail = 0;
    enum kl_status status = own_trail(vault, caller, "webhook_remove", &trail, err);

    if (status == KL_OK && (arena == NULL || batch == NULL)) {
        status = kl_fail_memory(err);
    }
    if (status == KL_OK) {
        vault_turn_take(&vault->turn);
        status = describe(vault, trail, id, arena, &webhook, err);
        if (status == KL_OK) {
            status = remove_one(vault, caller, trail, &webhook, batch, err);
        }
        vault_turn_give(&vault->turn);
    }
    kl_arena_free(arena);
    vault_batch_free(batch);
    return status;
}

/* ---- trying ---- */

static enum kl_status commit_test(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_webhook_put *put,
                                  const struct vault_webhook_said *said, struct vault_batch *batch,
                                  struct kl_err *err)
{
    char location[3];
    char event[KL_ID_TEXT_BYTES];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    vault_act_begin(&act, put->trail, &who, "webhook_test");
    kl_id_format(VAULT_WEBHOOK_EVENT_PREFIX, &said->id, event);
    kl_json_add_text(&act.out, "event", event);
    vault_webhook_put_say(put, &act.out);
    status = vault_act_commit(vault, acts, 1, batch, err);
    vault_act_done(&act);
    return status;
}

enum kl_status vault_webhook_test(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *id, struct kl_id *ret_event,
                                  struct kl_err *err)
{
    const struct vault_webhook_said said = {.id = kl_id_new(),
                                            .type = "kluis.test",
                                            .at_us = caller->now_us,
                                            .data = kl_slice_text(TEST_DATA)};
    struct vault_webhook_put put = {.count = 0};
    struct vault_batch *batch = NULL;
    uint64_t trail = 0;
    enum kl_status status = own_trail(vault, caller, "webhook_test", &trail, err);

    if (status != KL_OK) {
        return status;
    }
    batch = vault_batch_new();
    status = batch == NULL ? kl_fail_memory(err)
                           : vault_webhook_put(vault, trail, id, &said, batch, &put, err);
    if (status == KL_OK) {
        status = commit_test(vault, caller, &put, &said, batch, err);
        vault_webhook_put_end(vault, &put, status == KL_OK);
    }
    vault_batch_free(batch);
    if (status == KL_OK) {
        *ret_event = said.id;
    }
    return status;
}
