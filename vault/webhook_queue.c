/* What waits for each target: rows in data/, written with whatever they tell of, and a list of their numbers in memory. */
#include "vault/webhook_internal.h"

#include "kluis/base/time.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct vault_webhook_item *vault_webhook_take_first(struct vault_webhook *webhook)
{
    struct vault_webhook_item *item = webhook->first;

    webhook->first = item->next;
    if (webhook->first == NULL) {
        webhook->last = NULL;
    }
    webhook->waiting--;
    return item;
}

/* The oldest that is not with the sender, off the list; NULL: there is none. */
static struct vault_webhook_item *take_oldest(struct vault_webhook *webhook)
{
    struct vault_webhook_item *kept = webhook->busy ? webhook->first : NULL;
    struct vault_webhook_item *item = kept == NULL ? webhook->first : kept->next;

    if (item == NULL) {
        return NULL;
    }
    if (kept == NULL) {
        return vault_webhook_take_first(webhook);
    }
    kept->next = item->next;
    if (webhook->last == item) {
        webhook->last = kept;
    }
    webhook->waiting--;
    return item;
}

static bool is_asked(const struct vault_webhook *webhook, uint64_t trail, const struct kl_id *to,
                     unsigned kind)
{
    return webhook->trail == trail &&
           (to == NULL ? (webhook->events & kind) != 0 : kl_id_equal(&webhook->id, to));
}

bool vault_webhook_wanted(struct vault *vault, uint64_t trail, unsigned kind)
{
    struct vault_webhooks *webhooks = vault->webhooks;
    struct vault_webhook *webhook = NULL;

    pthread_mutex_lock(&webhooks->lock);
    webhook = webhooks->first;
    while (webhook != NULL && !is_asked(webhook, trail, NULL, kind)) {
        webhook = webhook->next;
    }
    pthread_mutex_unlock(&webhooks->lock);
    return webhook != NULL;
}

/* ---- putting ---- */

static enum kl_status write_body(struct vault *vault, uint64_t trail,
                                 const struct vault_webhook_said *said, struct kl_buf *ret_row,
                                 struct kl_err *err)
{
    const struct vault_tenant *tenant =
        trail == KMS_TENANT_VAULT ? NULL : vault_tenants_by_number(vault, trail);
    const struct vault_webhook_event event = {.id = said->id,
                                              .store = vault->name,
                                              .tenant = tenant == NULL ? NULL : tenant->name,
                                              .type = said->type,
                                              .at_us = said->at_us,
                                              .data = said->data};
    struct vault_webhook_waiting waiting = {.event = said->id, .made_us = said->at_us};
    enum kl_status status = KL_OK;
    struct kl_buf body;

    kl_buf_init(&body, VAULT_WEBHOOK_BODY_MAX_BYTES);
    vault_webhook_event_write(&event, &body);
    status = kl_buf_status(&body, err);
    if (status == KL_OK) {
        waiting.body = kl_buf_slice(&body);
        vault_webhook_waiting_write(&waiting, ret_row);
        status = kl_buf_status(ret_row, err);
    }
    kl_buf_done(&body);
    return status;
}

/* Under the lock. */
static enum kl_status put_to(struct vault_webhooks *webhooks, struct vault_webhook *webhook,
                             const struct vault_webhook_said *said, struct kl_slice row,
                             struct vault_batch *batch, struct vault_webhook_put *put,
                             struct kl_err *err)
{
    struct vault_webhook_item *item = NULL;
    struct vault_row_key key;

    assert(put->count < VAULT_WEBHOOKS_MAX);
    item = calloc(1, sizeof *item);
    if (item == NULL) {
        return kl_fail_memory(err);
    }
    *item = (struct vault_webhook_item){
        .number = webhooks->next_number++, .made_us = said->at_us, .event = said->id};
    key = vault_row_waiting(webhook->trail, &webhook->id, item->number);
    vault_batch_put(batch, vault_row_slice(&key), row);
    put->items[put->count].webhook = webhook->id;
    put->items[put->count++].item = item;
    if (webhook->waiting >= VAULT_WEBHOOK_WAITING_MAX) {
        struct vault_webhook_item *oldest = take_oldest(webhook);

        key = vault_row_waiting(webhook->trail, &webhook->id, oldest->number);
        vault_batch_remove(batch, vault_row_slice(&key));
        put->dropped[put->dropped_count].webhook = webhook->id;
        put->dropped[put->dropped_count++].event = oldest->event;
        webhook->dropped++;
        webhooks->dropped++;
        free(oldest);
    }
    return KL_OK;
}

enum kl_status vault_webhook_put(struct vault *vault, uint64_t trail, const struct kl_id *to,
                                 const struct vault_webhook_said *said, struct vault_batch *batch,
                                 struct vault_webhook_put *ret, struct kl_err *err)
{
    struct vault_webhooks *webhooks = vault->webhooks;
    struct vault_webhook_put put = {.trail = trail};
    enum kl_status status = KL_OK;
    struct kl_buf row;

    kl_buf_init(&row, VAULT_WEBHOOK_BODY_MAX_BYTES + 64);
    status = write_body(vault, trail, said, &row, err);
    pthread_mutex_lock(&webhooks->lock);
    for (struct vault_webhook *webhook = webhooks->first; status == KL_OK && webhook != NULL;
         webhook = webhook->next) {
        if (is_asked(webhook, trail, to, said->kind)) {
            status = put_to(webhooks, webhook, said, kl_buf_slice(&row), batch, &put, err);
        }
    }
    pthread_mutex_unlock(&webhooks->lock);
    if (status == KL_OK && to != NULL && put.count == 0) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such webhook", NULL);
    }
    kl_buf_done(&row);
    if (status != KL_OK) {
        vault_webhook_put_end(vault, &put, false);
        return status;
    }
    *ret = put;
    return KL_OK;
}

/* A target that was removed meanwhile leaves a row that nobody looks at, and that goes with its tenant. */
void vault_webhook_put_end(struct vault *vault, struct vault_webhook_put *put, bool committed)
{
    struct vault_webhooks *webhooks = vault->webhooks;

    pthread_mutex_lock(&webhooks->lock);
    for (size_t i = 0; i < put->count; i++) {
        struct vault_webhook *webhook =
            vault_webhooks_find(webhooks, put->trail, &put->items[i].webhook);
        struct vault_webhook_item *item = put->items[i].item;

        if (!committed || webhook == NULL) {
            free(item);
            continue;
        }
        if (webhook->last == NULL) {
            webhook->first = item;
        } else {
            webhook->last->next = item;
        }
        webhook->last = item;
        webhook->waiting++;
    }
    put->count = 0;
    pthread_mutex_unlock(&webhooks->lock);
}

static void add_id(struct kl_json_out *out, const char *key, const char *prefix,
                   const struct kl_id *id)
{
    char text[KL_ID_TEXT_BYTES];

    kl_id_format(prefix, id, text);
    kl_json_add_text(out, key, text);
}

void vault_webhook_put_say(const struct vault_webhook_put *put, struct kl_json_out *out)
{
    char text[KL_ID_TEXT_BYTES];

    kl_json_key(out, "webhooks");
    kl_json_array_begin(out);
    for (size_t i = 0; i < put->count; i++) {
        kl_id_format(VAULT_WEBHOOK_PREFIX, &put->items[i].webhook, text);
        kl_json_put_text(out, text);
    }
    kl_json_array_end(out);
    if (put->dropped_count == 0) {
        return;
    }
    kl_json_key(out, "dropped");
    kl_json_array_begin(out);
    for (size_t i = 0; i < put->dropped_count; i++) {
        kl_json_object_begin(out);
        add_id(out, "webhook", VAULT_WEBHOOK_PREFIX, &put->dropped[i].webhook);
        add_id(out, "event", VAULT_WEBHOOK_EVENT_PREFIX, &put->dropped[i].event);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

/* The rows, with an entry when something made room for them. */
static enum kl_status commit_told(struct vault *vault, const struct vault_webhook_put *put,
                                  const struct vault_audit_who *who, struct vault_batch *batch,
                                  struct kl_err *err)
{
    struct vault_commit commit = {.tenant = put->trail, .batch = batch};
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    if (put->dropped_count == 0) {
        return vault_commit_submit(vault->committer, &commit, err);
    }
    vault_act_begin(&act, put->trail, who, "webhook_full");
    vault_webhook_put_say(put, &act.out);
    status = vault_act_commit(vault, acts, 1, batch, err);
    vault_act_done(&act);
    return status;
}

enum kl_status vault_webhook_tell(struct vault *vault, uint64_t trail, unsigned kind,
                                  const char *type, struct kl_slice data, struct kl_err *err)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    const struct vault_webhook_said said = {
        .id = kl_id_new(), .kind = kind, .type = type, .at_us = who.at_us, .data = data};
    struct vault_webhook_put put = {.count = 0};
    struct vault_batch *batch = NULL;
    enum kl_status status = KL_OK;

    if (data.size > VAULT_WEBHOOK_DATA_MAX_BYTES) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "event_too_large", "an event has too much in it",
                       NULL);
    }
    if (!vault_webhook_wanted(vault, trail, kind)) {
        return KL_OK;
    }
    batch = vault_batch_new();
    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_webhook_put(vault, trail, NULL, &said, batch, &put, err);
    if (status == KL_OK) {
        status = commit_told(vault, &put, &who, batch, err);
        vault_webhook_put_end(vault, &put, status == KL_OK);
    }
    vault_batch_free(batch);
    return status;
}
