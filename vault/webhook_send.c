/* What is due, checked once more before it leaves, and what became of it. */
#include "vault/webhook_internal.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/rows.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One item on its way to the sender: what of it was under the lock. */
struct sending {
    struct vault *vault;
    struct kl_id webhook;
    uint64_t trail;
    struct vault_country country;
    uint64_t number;
    struct kl_id event;
    int64_t made_us;
    unsigned tries;
};

static int64_t now_ms(void)
{
    return kl_time_monotonic_us() / 1000;
}

/* The target whose turn has come longest ago, marked busy. False: none. */
static bool take_due(struct vault *vault, struct sending *ret)
{
    struct vault_webhooks *webhooks = vault->webhooks;
    struct vault_webhook *due = NULL;
    int64_t now = now_ms();

    pthread_mutex_lock(&webhooks->lock);
    for (struct vault_webhook *webhook = webhooks->first; webhook != NULL;
         webhook = webhook->next) {
        if (!webhook->busy && webhook->first != NULL && webhook->due_ms <= now &&
            (due == NULL || webhook->due_ms < due->due_ms)) {
            due = webhook;
        }
    }
    if (due != NULL) {
        due->busy = true;
        *ret = (struct sending){.vault = vault,
                                .webhook = due->id,
                                .trail = due->trail,
                                .country = due->country,
                                .number = due->first->number,
                                .event = due->first->event,
                                .made_us = due->first->made_us,
                                .tries = due->tries};
    }
    pthread_mutex_unlock(&webhooks->lock);
    return due != NULL;
}

/* ---- the end of an item ---- */

/* Half of the pause at least, the rest by chance, so that targets that failed together do not come back together. */
static int64_t pause_ms(unsigned tries)
{
    int64_t pause = VAULT_WEBHOOK_PAUSE_FIRST_MS;

    for (unsigned i = 1; i < tries && pause < VAULT_WEBHOOK_PAUSE_MAX_MS; i++) {
        pause *= 2;
    }
    pause = pause < VAULT_WEBHOOK_PAUSE_MAX_MS ? pause : VAULT_WEBHOOK_PAUSE_MAX_MS;
    return pause / 2 + (int64_t)randombytes_uniform((uint32_t)(pause / 2) + 1);
}

enum ended { ENDED_DELIVERED, ENDED_DROPPED, ENDED_FAILED, ENDED_UNTRIED };

/* The target is free again; the item goes unless it is to be tried once more. */
static void end(struct vault *vault, uint64_t trail, const struct kl_id *id, uint64_t number,
                enum ended ended, const char *failure)
{
    struct vault_webhooks *webhooks = vault->webhooks;
    struct vault_webhook *webhook = NULL;

    pthread_mutex_lock(&webhooks->lock);
    webhook = vault_webhooks_find(webhooks, trail, id);
    webhooks->delivered += ended == ENDED_DELIVERED ? 1 : 0;
    webhooks->failed += ended == ENDED_FAILED ? 1 : 0;
    webhooks->dropped += ended == ENDED_DROPPED ? 1 : 0;
    if (webhook == NULL) {
        pthread_mutex_unlock(&webhooks->lock);
        return;
    }
    assert(webhook->busy && webhook->first != NULL && webhook->first->number == number);
    webhook->busy = false;
    webhook->due_ms = now_ms();
    switch (ended) {
    case ENDED_DELIVERED:
        webhook->delivered++;
        webhook->delivered_us = kl_time_now_us();
        break;
    case ENDED_DROPPED:
        webhook->dropped++;
        break;
    case ENDED_FAILED:
        webhook->failed++;
        webhook->failed_us = kl_time_now_us();
        (void)snprintf(webhook->last_failure, sizeof webhook->last_failure, "%s", failure);
        webhook->due_ms += pause_ms(++webhook->tries);
        break;
    case ENDED_UNTRIED:
        break;
    }
    if (ended == ENDED_DELIVERED || ended == ENDED_DROPPED) {
        webhook->tries = 0;
        free(vault_webhook_take_first(webhook));
    }
    pthread_mutex_unlock(&webhooks->lock);
}

static void entry_begin(struct vault_audit_entry *entry, const struct sending *sending,
                        const char *action, struct kl_json_out *ret_out)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    char text[KL_ID_TEXT_BYTES];

    vault_audit_begin(entry, sending->trail, &who, action, ret_out);
    kl_id_format(VAULT_WEBHOOK_PREFIX, &sending->webhook, text);
    kl_json_add_text(ret_out, "webhook", text);
    kl_id_format(VAULT_WEBHOOK_EVENT_PREFIX, &sending->event, text);
    kl_json_add_text(ret_out, "event", text);
    kl_json_add_text(ret_out, "country", sending->country.code);
}

static enum kl_status entry_commit(struct vault *vault, struct vault_audit_entry *entry,
                                   struct kl_json_out *out, const struct vault_batch *batch,
                                   struct kl_err *err)
{
    struct vault_audit_entry *entries[1] = {entry};
    struct vault_commit commit = {
        .tenant = entry->tenant, .batch = batch, .audit = entries, .audit_count = 1};
    enum kl_status status = vault_audit_end(entry, out, err);

    if (status == KL_OK) {
        status = vault_commit_submit(vault->committer, &commit, err);
    }
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.audit_entries, 1, memory_order_relaxed);
    }
    return status;
}

/* It is not to be sent, now or ever: its row goes with the entry that says why. */
static enum kl_status drop(const struct sending *sending, const char *reason, struct kl_err *err)
{
    const struct vault_row_key key =
        vault_row_waiting(sending->trail, &sending->webhook, sending->number);
    struct vault_batch *batch = vault_batch_new();
    struct vault_audit_entry entry;
    struct kl_json_out out;
    enum kl_status status = KL_OK;

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    vault_batch_remove(batch, vault_row_slice(&key));
    entry_begin(&entry, sending, "webhook_drop", &out);
    kl_json_add_text(&out, "result", "refused");
    kl_json_add_text(&out, "reason", reason);
    status = entry_commit(sending->vault, &entry, &out, batch, err);
    vault_audit_done(&entry);
    vault_batch_free(batch);
    if (status == KL_OK) {
        end(sending->vault, sending->trail, &sending->webhook, sending->number, ENDED_DROPPED,
            NULL);
    }
    return status;
}

/* ---- next ---- */

/* Once for an item since the vault was opened: trying again tells nobody anything more. */
static enum kl_status say_transfer(const struct sending *sending, struct kl_err *err)
{
    struct vault_audit_entry entry;
    struct kl_json_out out;
    enum kl_status status = KL_OK;

    if (vault_country_in_eea(sending->country) || sending->tries > 0) {
        return KL_OK;
    }
    entry_begin(&entry, sending, "webhook_transfer", &out);
    kl_json_add_text(&out, "result", "ok");
    status = entry_commit(sending->vault, &entry, &out, NULL, err);
    vault_audit_done(&entry);
    return status;
}

static enum kl_status read_body(const struct sending *sending, struct kl_buf *ret,
                                struct kl_err *err)
{
    const struct vault_row_key key =
        vault_row_waiting(sending->trail, &sending->webhook, sending->number);
    struct vault_webhook_waiting waiting;
    enum kl_status status = KL_OK;
    struct kl_buf row;

    kl_buf_init(&row, VAULT_WEBHOOK_BODY_MAX_BYTES + 64);
    status = vault_store_get(sending->vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK && !vault_webhook_waiting_parse(kl_buf_slice(&row), &waiting)) {
        status = kl_fail(err, KL_ERR_CORRUPT, "event_damaged", "a stored event is damaged", NULL);
    }
    if (status == KL_OK) {
        kl_buf_add(ret, waiting.body.bytes, waiting.body.size);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status fill(const struct sending *sending, struct vault_webhook_delivery *ret,
                           struct kl_err *err)
{
    struct vault_webhook_text text = {.events = 0};
    enum kl_status status = KL_OK;

    kl_buf_init(&ret->body, VAULT_WEBHOOK_BODY_MAX_BYTES);
    status = read_body(sending, &ret->body, err);
    if (status == KL_OK) {
        status =
            vault_webhook_row_read(sending->vault, sending->trail, &sending->webhook, &text, err);
    }
    if (status == KL_OK) {
        ret->webhook = sending->webhook;
        ret->trail = sending->trail;
        ret->number = sending->number;
        memcpy(ret->url, text.url, sizeof ret->url);
        kl_id_format(VAULT_WEBHOOK_EVENT_PREFIX, &sending->event, ret->id);
        (void)snprintf(ret->timestamp, sizeof ret->timestamp, "%" PRId64,
                       kl_time_now_us() / KL_TIME_SECOND_US);
        vault_webhook_sign(text.secret, ret->id, ret->timestamp, kl_buf_slice(&ret->body),
                           ret->signature);
    } else {
        kl_buf_done(&ret->body);
    }
    sodium_memzero(&text, sizeof text);
    return status;
}

/* KL_OK with ret_ready false: it was dropped, or its target is gone. */
static enum kl_status prepare(const struct sending *sending, struct vault_webhook_delivery *ret,
                              bool *ret_ready, struct kl_err *err)
{
    const int64_t now_us = kl_time_now_us();
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    *ret_ready = false;
    if (now_us - sending->made_us > VAULT_WEBHOOK_LIFE_S * KL_TIME_SECOND_US) {
        return drop(sending, "expired", err);
    }
    status =
        vault_webhook_allowed(sending->vault, sending->trail, sending->country, now_us, &cause);
    if (status == KL_ERR_FORBIDDEN) {
        return drop(sending, cause.code, err);
    }
    if (status == KL_OK) {
        status = fill(sending, ret, &cause);
    }
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_CORRUPT || status == KL_ERR_GONE) {
        return drop(sending, "lost", err);
    }
    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    status = say_transfer(sending, err);
    *ret_ready = status == KL_OK;
    if (status != KL_OK) {
        kl_buf_done(&ret->body);
    }
    return status;
}

enum kl_status vault_webhook_next(struct vault *vault, struct vault_webhook_delivery *ret,
                                  struct kl_err *err)
{
    struct sending sending;
    bool ready = false;
    enum kl_status status = KL_OK;

    while (status == KL_OK && !ready) {
        if (!take_due(vault, &sending)) {
            return kl_fail(err, KL_ERR_NOT_FOUND, "nothing_due", "nothing is due", NULL);
        }
        status = prepare(&sending, ret, &ready, err);
    }
    if (status != KL_OK) {
        end(vault, sending.trail, &sending.webhook, sending.number, ENDED_FAILED, "vault_busy");
    }
    return status;
}

enum kl_status vault_webhook_done(struct vault *vault, struct vault_webhook_delivery *delivery,
                                  const char *failure, struct kl_err *err)
{
    const struct vault_row_key key =
        vault_row_waiting(delivery->trail, &delivery->webhook, delivery->number);
    struct vault_batch *batch = NULL;
    enum kl_status status = KL_OK;

    kl_buf_done(&delivery->body);
    if (failure == NULL) {
        struct vault_commit commit = {.tenant = delivery->trail, .unsynced = true};

        batch = vault_batch_new();
        commit.batch = batch;
        if (batch == NULL) {
            status = kl_fail_memory(err);
        } else {
            vault_batch_remove(batch, vault_row_slice(&key));
            status = vault_commit_submit(vault->committer, &commit, err);
        }
        vault_batch_free(batch);
    }
    end(vault, delivery->trail, &delivery->webhook, delivery->number,
        failure == NULL ? ENDED_DELIVERED : ENDED_FAILED, failure);
    return status;
}

void vault_webhook_give_back(struct vault *vault, struct vault_webhook_delivery *delivery)
{
    kl_buf_done(&delivery->body);
    end(vault, delivery->trail, &delivery->webhook, delivery->number, ENDED_UNTRIED, NULL);
}
