#include "vault/webhook_internal.h"

#include "kluis/base/log.h"
#include "vault/place.h"
#include "vault/policy_internal.h"
#include "vault/remark.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define REMARK_KIND "webhook"
#define ROW_KEY_BYTES (2 + 8 + KL_ID_BYTES)

/* ---- rows ---- */

static void row_key(uint64_t trail, const struct kl_id *id, unsigned char ret[ROW_KEY_BYTES])
{
    memcpy(ret, VAULT_WEBHOOK_ROW, 2);
    kl_put_u64be(ret + 2, trail);
    memcpy(ret + 10, id->bytes, KL_ID_BYTES);
}

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "webhook_damaged", "a stored webhook is damaged", NULL);
}

static enum kl_status row_open(struct vault *vault, uint64_t trail, const struct kl_id *id,
                               struct kl_slice row, struct vault_webhook_text *ret,
                               struct kl_err *err)
{
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, VAULT_WEBHOOK_TEXT_MAX_BYTES);
    status = vault_remark_open(vault, trail, REMARK_KIND, id, row, &text, err);
    if (status == KL_OK &&
        (!vault_webhook_text_parse(kl_buf_slice(&text), ret) || !kl_id_equal(&ret->id, id))) {
        status = damaged(err);
    }
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_webhook_row_read(struct vault *vault, uint64_t trail, const struct kl_id *id,
                                      struct vault_webhook_text *ret, struct kl_err *err)
{
    unsigned char key[ROW_KEY_BYTES];
    struct kl_buf row;
    enum kl_status status = KL_OK;

    row_key(trail, id, key);
    kl_buf_init(&row, VAULT_REMARK_SEALED_MAX_BYTES);
    status = kms_side_get(vault->keys, kl_slice_of(key, sizeof key), &row, err);
    if (status == KL_OK) {
        status = row_open(vault, trail, id, kl_buf_slice(&row), ret, err);
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_webhook_row_put(struct vault *vault, uint64_t trail,
                                     const struct vault_webhook_text *text, struct kl_err *err)
{
    unsigned char key[ROW_KEY_BYTES];
    struct kl_buf plain;
    struct kl_buf sealed;
    enum kl_status status = KL_OK;

    row_key(trail, &text->id, key);
    kl_buf_init(&plain, VAULT_WEBHOOK_TEXT_MAX_BYTES);
    kl_buf_init(&sealed, VAULT_REMARK_SEALED_MAX_BYTES);
    vault_webhook_text_write(text, &plain);
    status = kl_buf_status(&plain, err);
    if (status == KL_OK) {
        status = vault_remark_seal(vault, trail, REMARK_KIND, &text->id, kl_buf_slice(&plain),
                                   &sealed, err);
    }
    if (status == KL_OK) {
        const struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                                .value = kl_buf_slice(&sealed)};

        status = kms_side_apply(vault->keys, &write, 1, true, err);
    }
    kl_buf_done(&plain);
    kl_buf_done(&sealed);
    return status;
}

enum kl_status vault_webhook_row_remove(struct vault *vault, uint64_t trail, const struct kl_id *id,
                                        struct kl_err *err)
{
    unsigned char key[ROW_KEY_BYTES];
    struct kms_storage_write write = {.value = {NULL, 0}};

    row_key(trail, id, key);
    write.key = kl_slice_of(key, sizeof key);
    return kms_side_apply(vault->keys, &write, 1, true, err);
}

/* ---- where events may go ---- */

enum kl_status vault_webhook_allowed(struct vault *vault, uint64_t trail,
                                     struct vault_country country, int64_t at_us,
                                     struct kl_err *err)
{
    const struct vault_tenant *tenant = NULL;
    struct vault_policy *policy = NULL;
    uint64_t number = 0;
    bool allowed = false;

    if (vault_country_in_eea(country)) {
        return KL_OK;
    }
    if (trail == KMS_TENANT_VAULT) {
        return vault_copy_allowed(vault, country, at_us, err);
    }
    tenant = vault_tenants_by_number(vault, trail);
    if (tenant != NULL) {
        policy = vault_tenant_policy(vault, tenant, &number);
    }
    allowed = policy != NULL && (vault_policy_residency_default(policy) == VAULT_RESIDENCY_NONE ||
                                 vault_policy_place_allowed(policy, country, at_us));
    vault_policy_unref(policy);
    return allowed ? KL_OK
                   : kl_fail(err, KL_ERR_FORBIDDEN, "residency",
                             "events of this tenant may leave the EEA only when its policy names a "
                             "transfer to that country for all purposes",
                             "a webhook in %s", country.code);
}

/* ---- the table ---- */

struct vault_webhooks *vault_webhooks_new(void)
{
    struct vault_webhooks *webhooks = calloc(1, sizeof *webhooks);

    if (webhooks != NULL && pthread_mutex_init(&webhooks->lock, NULL) != 0) {
        free(webhooks);
        webhooks = NULL;
    }
    return webhooks;
}

static void webhook_free(struct vault_webhook *webhook)
{
    while (webhook->first != NULL) {
        free(vault_webhook_take_first(webhook));
    }
    free(webhook);
}

void vault_webhooks_free(struct vault_webhooks *webhooks)
{
    if (webhooks == NULL) {
        return;
    }
    while (webhooks->first != NULL) {
        struct vault_webhook *webhook = webhooks->first;

        webhooks->first = webhook->next;
        webhook_free(webhook);
    }
    (void)pthread_mutex_destroy(&webhooks->lock);
    free(webhooks);
}

struct vault_webhook *vault_webhooks_find(struct vault_webhooks *webhooks, uint64_t trail,
                                          const struct kl_id *id)
{
    struct vault_webhook *webhook = webhooks->first;

    while (webhook != NULL && (webhook->trail != trail || !kl_id_equal(&webhook->id, id))) {
        webhook = webhook->next;
    }
    return webhook;
}

bool vault_webhooks_forget(struct vault *vault, uint64_t trail, const struct kl_id *id)
{
    struct vault_webhooks *webhooks = vault->webhooks;
    bool any = false;

    if (webhooks == NULL) {
        return false;
    }
    pthread_mutex_lock(&webhooks->lock);
    for (struct vault_webhook **at = &webhooks->first; *at != NULL;) {
        struct vault_webhook *webhook = *at;

        if (webhook->trail == trail && (id == NULL || kl_id_equal(&webhook->id, id))) {
            *at = webhook->next;
            webhook_free(webhook);
            any = true;
        } else {
            at = &webhook->next;
        }
    }
    pthread_mutex_unlock(&webhooks->lock);
    return any;
}

void vault_webhooks_count(struct vault_webhooks *webhooks, struct vault_figures *ret_figures)
{
    pthread_mutex_lock(&webhooks->lock);
    ret_figures->webhooks_delivered = webhooks->delivered;
    ret_figures->webhooks_failed = webhooks->failed;
    ret_figures->webhooks_dropped = webhooks->dropped;
    for (struct vault_webhook *webhook = webhooks->first; webhook != NULL;
         webhook = webhook->next) {
        ret_figures->webhooks_waiting += webhook->waiting;
    }
    pthread_mutex_unlock(&webhooks->lock);
}

/* ---- open ---- */

/* Nobody else is inside yet. The order of the list is that of their making. */
static enum kl_status take_webhook(struct vault_webhooks *webhooks, uint64_t trail,
                                   const struct vault_webhook_text *text, struct kl_err *err)
{
    struct vault_webhook *webhook = calloc(1, sizeof *webhook);

    if (webhook == NULL) {
        return kl_fail_memory(err);
    }
    webhook->id = text->id;
    webhook->trail = trail;
    webhook->country = text->country;
    webhook->events = text->events;
    webhook->next = webhooks->first;
    webhooks->first = webhook;
    return KL_OK;
}

static enum kl_status open_webhook(void *visitor, struct kl_slice key, struct kl_slice row,
                                   struct kl_err *err)
{
    struct vault *vault = visitor;
    struct vault_webhook_text text = {.events = 0};
    struct kl_err cause = {0};
    struct kl_id id;
    uint64_t trail = 0;
    enum kl_status status = KL_OK;

    if (key.size != ROW_KEY_BYTES) {
        return damaged(err);
    }
    trail = kl_get_u64be(key.bytes + 2);
    memcpy(id.bytes, key.bytes + 10, KL_ID_BYTES);
    status = row_open(vault, trail, &id, row, &text, &cause);
    if (status == KL_OK) {
        status = take_webhook(vault->webhooks, trail, &text, err);
    } else {
        kl_log_err(KL_LOG_ERROR, "webhook_not_opened", &cause);
        status = KL_OK;
    }
    sodium_memzero(&text, sizeof text);
    return status;
}

/* A row that no target has is left: it goes with its tenant, or was put back by a backup after its target was removed. */
static enum kl_status open_item(struct vault *vault, struct kl_slice key, struct kl_slice row,
                                struct kl_err *err)
{
    struct vault_webhooks *webhooks = vault->webhooks;
    struct vault_webhook_waiting waiting;
    struct vault_webhook *webhook = NULL;
    struct vault_webhook_item *item = NULL;
    struct kl_id id;

    if (key.size != 1 + 8 + KL_ID_BYTES + 8 || !vault_webhook_waiting_parse(row, &waiting)) {
        return damaged(err);
    }
    memcpy(id.bytes, key.bytes + 9, KL_ID_BYTES);
    webhook = vault_webhooks_find(webhooks, kl_get_u64be(key.bytes + 1), &id);
    if (webhook == NULL) {
        return KL_OK;
    }
    item = calloc(1, sizeof *item);
    if (item == NULL) {
        return kl_fail_memory(err);
    }
    item->number = kl_get_u64be(key.bytes + 9 + KL_ID_BYTES);
    item->made_us = waiting.made_us;
    item->event = waiting.event;
    if (webhook->last == NULL) {
        webhook->first = item;
    } else {
        webhook->last->next = item;
    }
    webhook->last = item;
    webhook->waiting++;
    if (item->number >= webhooks->next_number) {
        webhooks->next_number = item->number + 1;
    }
    return KL_OK;
}

enum kl_status vault_webhooks_open(struct vault *vault, struct kl_err *err)
{
    const unsigned char first[1] = {'N'};
    const unsigned char past[1] = {'N' + 1};
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    enum kl_status status =
        kms_side_range(vault->keys, kl_slice_of(VAULT_WEBHOOK_ROW, sizeof VAULT_WEBHOOK_ROW - 1),
                       open_webhook, vault, err);

    if (status != KL_OK) {
        return status;
    }
    iter = vault_iter_new(vault->data_store, kl_slice_of(first, 1), kl_slice_of(past, 1), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &row)) {
        status = open_item(vault, key, row, err);
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    return status;
}
