/*
 * The end of a tenant: its slot of the key tree is shredded, and with it
 * everything that was ever sealed for it, whatever its size.
 *
 * With a grace period the tenant is closed first, and shredded by the upkeep when the time has come. Order of the shred: a turn, one tenant at a
 * time; its mark in the committer, so that nothing of it is written any more; its people counted, without a turn; the key commit, whose
 * note says what is still to be done; in finish its rows go, and the vault's own trail says how far the tenant's came.
 */
#include "vault/tenants.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/erasure.h"
#include "vault/receipt.h"
#include "vault/rows.h"
#include "vault/side.h"
#include "vault/signing.h"
#include "vault/statistics.h"
#include "vault/webhook_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows ---- */

/* The rows of its credentials lie under their hashes, which the rows by id tell. */
static enum kl_status credentials_remove(struct vault *vault, uint64_t number,
                                         struct vault_batch *batch, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct kl_id none = {{0}};
    struct vault_row_key first = vault_row_credential_id(number, &none);
    struct vault_row_key past;
    struct vault_row_key row;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice mac;

    first.size -= KL_ID_BYTES;
    past = vault_row_past(&first);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (vault_iter_next(iter, &key, &mac)) {
        if (mac.size == KMS_MAC_BYTES) {
            row = vault_row_credential(mac.bytes);
            vault_batch_remove(batch, vault_row_slice(&row));
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

enum kl_status vault_tenant_rows_remove(struct vault *vault, uint64_t number, const char *name,
                                        struct vault_batch *batch, struct kl_err *err)
{
    enum kl_status status = credentials_remove(vault, number, batch, err);
    const struct vault_tenant *now = vault_tenants_find(vault, name);
    struct vault_row_key key = vault_row_tenant(name);
    struct vault_row_key past;
    size_t i;

    if (now == NULL || now->number == number) {
        vault_batch_remove(batch, vault_row_slice(&key));
    }
    for (i = 0; vault_row_tenant_prefix(number, i, &key); i++) {
        past = vault_row_past(&key);
        vault_batch_remove_range(batch, vault_row_slice(&key), vault_row_slice(&past));
    }
    return status == KL_OK ? vault_batch_status(batch, err) : status;
}

/*
 * Rows beside the keys that have the tenant behind "V" and their kind: journal, trail, retained records, an unfinished restore, that it was closed, that it had a steward, webhooks, what waits for
 * statistics. What was published stays. */
static const char side_kinds[] = "JSANHKLREWCGO";

enum kl_status vault_tenant_side_forget(struct vault *vault, uint64_t number, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char prefix[10] = {KMS_SIDE_ROW};
    size_t i;

    kl_put_u64be(prefix + 2, number);
    for (i = 0; status == KL_OK && side_kinds[i] != '\0'; i++) {
        prefix[1] = (unsigned char)side_kinds[i];
        status = vault_side_forget(vault, kl_slice_of(prefix, sizeof prefix), err);
    }
    (void)vault_webhooks_forget(vault, number, NULL);
    return status;
}

enum kl_status vault_tenant_is_gone(struct vault *vault, uint64_t number, bool *ret_gone,
                                    struct kl_err *err)
{
    const struct kms_place place = {number, VAULT_SLOT_SIGNING, KMS_VALUE_NONE};
    struct kl_err cause = {0};
    enum kl_status status = kms_place_check(vault->keys, &place, &cause);

    if (status != KL_OK && status != KL_ERR_GONE) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    *ret_gone = status == KL_ERR_GONE;
    return KL_OK;
}

/* ---- the shred ---- */

static enum kl_status commit_shred(struct vault *vault, struct vault_erasing *erasing,
                                   struct kl_err *err)
{
    const struct kms_change change = {KMS_CHANGE_SHRED,
                                      {erasing->note.tenant, KMS_SLOT_NONE, KMS_VALUE_NONE}};
    struct kms_request request = {.changes = &change, .changes_count = 1, .work = erasing};
    enum kl_status status = KL_OK;
    struct kl_buf note;

    kl_buf_init(&note, KMS_NOTE_MAX_BYTES);
    status = vault_note_encode(&erasing->note, &note, err);
    request.note = note.bytes;
    request.note_bytes = note.size;
    if (status == KL_OK) {
        status = kms_commit(vault->keys, &request, err);
    }
    kl_buf_done(&note);
    return status;
}

/* Whatever became of the rest: without its keys nobody finds the tenant any more. */
static bool marked_end(struct vault *vault, uint64_t number)
{
    bool gone = false;

    if (vault_tenant_is_gone(vault, number, &gone, NULL) == KL_OK && gone) {
        vault_tenants_drop(vault, number);
    } else {
        vault_commit_dying_end(vault->committer, number, KMS_SLOT_NONE);
    }
    return gone;
}

/* Without a grace period at once; else when it is over, unless it was brought back. */
static bool is_to_end(const struct vault_tenant *tenant, int64_t now_us)
{
    const int64_t ends_us = atomic_load(&tenant->ends_us);

    return ends_us == 0 ? tenant->grace[0] == '\0' : ends_us <= now_us;
}

/* Early: it is in its grace period, whatever is left of that. */
static bool is_still_to_end(const struct vault_tenant *tenant, bool early, int64_t now_us)
{
    return (early && atomic_load(&tenant->ends_us) != 0) || is_to_end(tenant, now_us);
}

/*
 * Nothing of the tenant is written any more. Its statistics are written before its keys go, and count when they are gone. Counting everybody takes long, so
 * others have the turn meanwhile.
 */
static enum kl_status shred_marked(struct vault *vault, const struct vault_tenant *tenant,
                                   bool early, struct vault_erasing *erasing, struct kl_err *err)
{
    struct vault_note *note = &erasing->note;
    struct vault_statistics_ending *ending = NULL;
    struct vault_statistics_publication publication = {0};
    enum kl_status status = vault_statistics_tenant_begin(vault, tenant, &ending, err);

    if (status != KL_OK) {
        (void)marked_end(vault, tenant->number);
        return status;
    }
    vault_turn_give(&vault->turn);
    vault_statistics_tenant_count(ending);
    vault_turn_take(&vault->turn);
    status = is_still_to_end(tenant, early, note->at_us)
                 ? vault_statistics_tenant_write(ending, note->at_us, &publication, err)
                 : kl_fail(err, KL_ERR_BUSY, "tenant_changed",
                           "this tenant was changed meanwhile; try again", NULL);
    note->records = publication.published;
    note->fields = publication.too_few;
    if (status == KL_OK) {
        status = commit_shred(vault, erasing, err);
    }
    vault_statistics_tenant_end(ending, marked_end(vault, note->tenant));
    return status;
}

/* note: who and when. Both turns are held. */
static enum kl_status shred(struct vault *vault, const struct vault_tenant *tenant, bool early,
                            struct vault_erasing *erasing, struct kl_err *err)
{
    struct vault_signer signer;
    struct vault_note *note = &erasing->note;
    uint64_t number = tenant->number;
    enum kl_status status = KL_OK;

    note->kind = VAULT_NOTE_TENANT;
    note->id = kl_id_new();
    note->tenant = number;
    note->reason = VAULT_ERASE_TENANT_END;
    note->notify_all = true;
    memcpy(note->name, tenant->name, sizeof note->name);
    status = vault_signer_get(vault->keys, number, &signer, err);
    if (status == KL_OK) {
        memcpy(note->public_key, signer.public_key, sizeof note->public_key);
        status = vault_commit_dying_begin(vault->committer, number, KMS_SLOT_NONE, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = shred_marked(vault, tenant, early, erasing, err);
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.erasures, 1, memory_order_relaxed);
    }
    return status;
}

/* ---- calls ---- */

/* Beside the keys first, then in data/; where that fails the tenant stays what it was, at the next open as well. The turn is held. */
static enum kl_status terms_store(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_tenant *tenant,
                                  const struct vault_tenant_terms *terms, const char *action,
                                  struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct kl_err undone = {0};
    enum kl_status status =
        vault_tenant_closed_put(vault, tenant->number, terms->ends_us, &terms->ended_by, err);

    if (status != KL_OK) {
        return status;
    }
    status = vault_tenant_store(vault, &who, tenant, terms, action, err);
    if (status != KL_OK && vault_tenant_closed_put(vault, tenant->number, tenant->ends_us,
                                                   &tenant->ended_by, &undone) != KL_OK) {
        kl_log_err(KL_LOG_ERROR, "tenant_terms_not_undone", &undone);
    }
    return status;
}

/* The turn is held. */
static enum kl_status close_tenant(struct vault *vault, const struct vault_caller *caller,
                                   struct vault_tenant *tenant, int64_t *ret_ends_us,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_tenant_terms terms = {.ended_by = caller->credential};
    struct kl_duration grace;

    memcpy(terms.grace, tenant->grace, sizeof terms.grace);
    status = kl_duration_parse(terms.grace, strlen(terms.grace), &grace, err);
    if (status == KL_OK) {
        terms.ends_us = kl_time_add(caller->now_us, &grace);
        status = terms_store(vault, caller, tenant, &terms, "tenant_close", err);
    }
    if (status == KL_OK) {
        tenant->ended_by = terms.ended_by;
        atomic_store(&tenant->ends_us, terms.ends_us);
        *ret_ends_us = terms.ends_us;
    }
    return status;
}

static enum kl_status end_now(struct vault *vault, const struct vault_caller *caller,
                              const struct vault_tenant *tenant, bool early,
                              struct kl_buf *ret_receipt, int64_t *ret_ends_us, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_erasing erasing = {0};

    kl_buf_init(&erasing.receipt, VAULT_RECEIPT_MAX_BYTES);
    vault_note_who(&erasing.note, caller);
    status = shred(vault, tenant, early, &erasing, err);
    if (status == KL_OK) {
        status = vault_receipt_hand_out(vault, KMS_TENANT_VAULT, &erasing.note.id,
                                        kl_buf_slice(&erasing.receipt), ret_receipt, err);
    }
    if (status == KL_OK) {
        *ret_ends_us = 0;
    }
    kl_buf_done(&erasing.receipt);
    return status;
}

static enum kl_status unknown(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such tenant", NULL);
}

static enum kl_status not_ended(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CONFLICT, "tenant_open", "this tenant was not ended", NULL);
}

enum kl_status vault_tenant_end(struct vault *vault, const struct vault_caller *caller,
                                const char *name, struct kl_buf *ret_receipt, int64_t *ret_ends_us,
                                struct kl_err *err)
{
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "tenant_end", err);
    struct vault_tenant *tenant = NULL;

    if (status != KL_OK) {
        return status;
    }
    vault_turn_take(&vault->ending);
    vault_turn_take(&vault->turn);
    tenant = vault_tenants_find(vault, name);
    if (tenant == NULL) {
        status = unknown(err);
    } else if (atomic_load(&tenant->ends_us) > caller->now_us) {
        *ret_ends_us = atomic_load(&tenant->ends_us);
    } else if (is_to_end(tenant, caller->now_us)) {
        status = end_now(vault, caller, tenant, false, ret_receipt, ret_ends_us, err);
    } else {
        status = close_tenant(vault, caller, tenant, ret_ends_us, err);
    }
    vault_turn_give(&vault->turn);
    vault_turn_give(&vault->ending);
    return status;
}

enum kl_status vault_tenant_end_early(struct vault *vault, const struct vault_caller *caller,
                                      const char *name, struct kl_buf *ret_receipt,
                                      struct kl_err *err)
{
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "tenant_end", err);
    struct vault_tenant *tenant = NULL;
    int64_t ends_us = 0;

    if (status != KL_OK) {
        return status;
    }
    vault_turn_take(&vault->ending);
    vault_turn_take(&vault->turn);
    tenant = vault_tenants_find(vault, name);
    if (tenant == NULL) {
        status = unknown(err);
    } else if (atomic_load(&tenant->ends_us) == 0) {
        status = not_ended(err);
    } else {
        status = end_now(vault, caller, tenant, true, ret_receipt, &ends_us, err);
    }
    vault_turn_give(&vault->turn);
    vault_turn_give(&vault->ending);
    return status;
}

/* The turn is held. */
static enum kl_status reopen(struct vault *vault, const struct vault_caller *caller,
                             struct vault_tenant *tenant, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_tenant_terms terms = {0};

    if (atomic_load(&tenant->ends_us) == 0) {
        return not_ended(err);
    }
    memcpy(terms.grace, tenant->grace, sizeof terms.grace);
    status = terms_store(vault, caller, tenant, &terms, "tenant_restore", err);
    if (status == KL_OK) {
        atomic_store(&tenant->ends_us, 0);
    }
    return status;
}

enum kl_status vault_tenant_restore(struct vault *vault, const struct vault_caller *caller,
                                    const char *name, struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "tenant_restore", err);
    struct vault_tenant *tenant = NULL;

    if (status != KL_OK) {
        return status;
    }
    vault_turn_take(&vault->turn);
    tenant = vault_tenants_find(vault, name);
    status = tenant == NULL ? unknown(err) : reopen(vault, caller, tenant, err);
    vault_turn_give(&vault->turn);
    return status;
}

/* ---- upkeep ---- */

/* One whose time has come; NULL: none. Those after a number: one that cannot be ended now keeps no other waiting. */
static struct vault_tenant *due_find(struct vault *vault, int64_t now_us, uint64_t after)
{
    struct vault_tenant *found = NULL;
    size_t i;

    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    for (i = 0; i < vault->tenants.count && found == NULL; i++) {
        struct vault_tenant *tenant = vault->tenants.items[i];
        int64_t ends_us = atomic_load(&tenant->ends_us);

        if (tenant->number > after && ends_us != 0 && ends_us <= now_us) {
            found = tenant;
        }
    }
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    return found;
}

static enum kl_status due_end(struct vault *vault, struct vault_tenant *tenant, int64_t now_us,
                              struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_erasing erasing = {.note = {.at_us = now_us, .credential = tenant->ended_by}};
    bool there = vault_tenants_by_number(vault, tenant->number) != NULL;

    (void)snprintf(erasing.note.role, sizeof erasing.note.role, "operator");
    kl_buf_init(&erasing.receipt, VAULT_RECEIPT_MAX_BYTES);
    if (there && atomic_load(&tenant->ends_us) != 0 && is_to_end(tenant, now_us)) {
        status = shred(vault, tenant, false, &erasing, err);
    }
    kl_buf_done(&erasing.receipt);
    return status;
}

enum kl_status vault_tenants_due(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    enum kl_status first = KL_OK;
    struct vault_tenant *tenant = NULL;
    struct kl_err own = {0};
    enum kl_status status;

    for (tenant = due_find(vault, now_us, 0); tenant != NULL;
         tenant = due_find(vault, now_us, tenant->number)) {
        vault_turn_take(&vault->ending);
        vault_turn_take(&vault->turn);
        status = due_end(vault, tenant, now_us, first == KL_OK ? err : &own);
        vault_turn_give(&vault->turn);
        vault_turn_give(&vault->ending);
        kl_err_clear(&own);
        first = first == KL_OK ? status : first;
    }
    return first;
}

/* ---- an older data/ ---- */

static enum kl_status end_again(struct vault *vault, uint64_t number, const char *name,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    struct vault_batch *batch = vault_batch_new();

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    vault_act_begin(&act, KMS_TENANT_VAULT, &who, "tenant_end_again");
    kl_json_add_text(&act.out, "tenant", name);
    status = vault_tenant_rows_remove(vault, number, name, batch, err);
    if (status == KL_OK) {
        status = vault_act_commit(vault, acts, 1, batch, err);
    }
    if (status == KL_OK) {
        kl_log(KL_LOG_WARNING, "tenant_ended_again", KL_LOG_TEXT("tenant", name));
        vault_tenants_drop(vault, number);
    }
    vault_act_done(&act);
    vault_batch_free(batch);
    return status;
}

enum kl_status vault_tenants_end_again(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool gone = false;
    size_t i = 0;

    while (status == KL_OK && i < vault->tenants.count) {
        const struct vault_tenant *tenant = vault->tenants.items[i];

        status = vault_tenant_is_gone(vault, tenant->number, &gone, err);
        if (status == KL_OK && gone) {
            status = end_again(vault, tenant->number, tenant->name, err);
        } else {
            i++;
        }
    }
    return status;
}
