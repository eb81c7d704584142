/* The journal at open: what it has is read, and what data/ does not have is closed again. */
#include "vault/journal_internal.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"

#include <stdlib.h>
#include <string.h>

#define SINCE_FORMAT 1
#define SINCE_BYTES 9
#define SINCE_KEY_BYTES 10

/* ---- what a tenant's journal has ---- */

struct listed {
    uint64_t seq;
    uint64_t slot;
    int64_t at_us;
    bool damaged;
};

/*
 * from: the first number that may have a row; last: the last that was used. known: up to which data/ has them (has_known: it says so at
 * all). broken: the highest number whose row is missing or damaged. policy: the newest closing of a policy; 0: none.
 */
struct taking {
    struct vault *vault;
    uint64_t tenant;
    bool has_head;
    uint64_t from;
    bool has_known;
    uint64_t known;
    uint64_t last;
    uint64_t broken;
    uint64_t policy;
    struct listed *listed;
    size_t count;
    size_t room;
    /* of applying */
    struct kl_arena *arena;
    struct kl_buf row;
    uint64_t applied;
    uint64_t changed;
};

static enum kl_status again(enum kl_status status, const struct kl_err *cause, struct kl_err *err)
{
    return kl_fail(err, status, cause->code, cause->client_text, "%s", cause->log_text);
}

static enum kl_status list_row(void *visitor, struct kl_slice key, struct kl_slice value,
                               struct kl_err *err)
{
    struct taking *taking = visitor;
    struct listed *grown = NULL;
    struct listed *one = NULL;

    if (key.size == VAULT_JOURNAL_KEY_BYTES - 8) {
        taking->has_head = vault_journal_head_read(value, &taking->from);
    }
    if (key.size != VAULT_JOURNAL_KEY_BYTES) {
        return KL_OK;
    }
    if (taking->count == taking->room) {
        taking->room = taking->room == 0 ? 64 : 2 * taking->room;
        grown = reallocarray(taking->listed, taking->room, sizeof *grown);
        if (grown == NULL) {
            return kl_fail_memory(err);
        }
        taking->listed = grown;
    }
    one = &taking->listed[taking->count++];
    memset(one, 0, sizeof *one);
    one->seq = kl_get_u64be(key.bytes + key.size - 8);
    one->damaged = !vault_closing_peek(value, &one->at_us, &one->slot);
    return KL_OK;
}

/* Closings about nobody are opened at once: for the credentials among them, and for the newest policy. */
static enum kl_status hold_own(struct taking *taking, struct listed *one, struct kl_err *err)
{
    struct vault_closing closing = {0};
    struct kl_err cause = {0};
    enum kl_status status = vault_closing_read(taking->vault, taking->tenant, one->seq,
                                               &taking->row, taking->arena, &closing, &cause);

    if (status == KL_ERR_CORRUPT || status == KL_ERR_GONE) {
        one->damaged = true;
        return KL_OK;
    }
    if (status != KL_OK) {
        return again(status, &cause, err);
    }
    taking->policy = closing.kind == VAULT_CLOSING_POLICY ? one->seq : taking->policy;
    return vault_journal_hold(taking->vault->journal, &closing, one->seq, err);
}

static enum kl_status hold_all(struct taking *taking, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_closing closing = {.kind = VAULT_CLOSING_CONSENT, .tenant = taking->tenant};
    uint64_t expected = taking->from;
    size_t i;

    for (i = 0; status == KL_OK && i < taking->count; i++) {
        struct listed *one = &taking->listed[i];

        kl_arena_reset(taking->arena);
        if (!one->damaged && one->slot == VAULT_SLOT_JOURNAL) {
            status = hold_own(taking, one, err);
        } else if (!one->damaged) {
            closing.slot = one->slot;
            closing.at_us = one->at_us;
            status = vault_journal_hold(taking->vault->journal, &closing, one->seq, err);
        }
        if (one->damaged) {
            taking->broken = one->seq;
        } else if (one->seq > expected) {
            taking->broken = one->seq - 1;
        }
        expected = one->seq + 1 > expected ? one->seq + 1 : expected;
    }
    taking->last = expected - 1;
    return status;
}

/* ---- lost ---- */

/* Whether data/ knew, or should know, of closings that cannot be read any more. */
static bool is_lost(const struct taking *taking)
{
    return (taking->has_known && !taking->has_head) || taking->known > taking->last ||
           taking->known + 1 < taking->from || taking->broken > taking->known;
}

static void since_key(uint64_t tenant, unsigned char ret_key[SINCE_KEY_BYTES])
{
    ret_key[0] = KMS_SIDE_ROW;
    ret_key[1] = 'S';
    kl_put_u64be(ret_key + 2, tenant);
}

static enum kl_status since_read(struct vault *vault, uint64_t tenant, int64_t *ret_us,
                                 struct kl_err *err)
{
    unsigned char key[SINCE_KEY_BYTES] = {0};
    struct kl_buf row;
    enum kl_status status;

    since_key(tenant, key);
    kl_buf_init(&row, 64);
    status = kms_side_get(vault->keys, kl_slice_of(key, sizeof key), &row, err);
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = KL_OK;
    } else if (status == KL_OK && (row.size != SINCE_BYTES || row.bytes[0] != SINCE_FORMAT)) {
        status =
            kl_fail(err, KL_ERR_CORRUPT, "mark_damaged", "a mark of the vault is damaged", NULL);
    } else if (status == KL_OK) {
        *ret_us = (int64_t)kl_get_u64be(row.bytes + 1);
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status lost(struct taking *taking, int64_t now_us, struct kl_err *err)
{
    unsigned char key[SINCE_KEY_BYTES] = {0};
    unsigned char row[SINCE_BYTES] = {SINCE_FORMAT};
    struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                      .value = kl_slice_of(row, sizeof row)};

    kl_log(KL_LOG_ERROR, "journal_lost", KL_LOG_INT("tenant", taking->tenant),
           KL_LOG_INT("data_has", taking->known), KL_LOG_INT("journal_has", taking->last));
    since_key(taking->tenant, key);
    kl_put_u64be(row + 1, (uint64_t)now_us);
    taking->last = taking->known > taking->last ? taking->known : taking->last;
    return kms_side_apply(taking->vault->keys, &write, 1, true, err);
}

/* ---- applying ---- */

/* The subject and its ledger, in which the journal's closings are marked already. ret_there: there is anything to mark. */
static enum kl_status ledger_load(struct taking *taking, const struct vault_closing *closing,
                                  struct vault_change *change, struct vault_ledger *ledger,
                                  bool *ret_there, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_subject_load(taking->vault, taking->tenant, closing->slot,
                                               change->arena, &change->subject, &cause);

    if (status == KL_OK) {
        status =
            vault_subject_ledger(taking->vault, &change->subject, change->arena, ledger, &cause);
    }
    *ret_there = status == KL_OK && (ledger->count > 0 || ledger->objection_count > 0 ||
                                     ledger->restriction.count > 0);
    if (status == KL_ERR_IO || status == KL_ERR_NO_MEMORY) {
        return again(status, &cause, err);
    }
    if (status !=
        KL_OK) { /* made after this data/ was copied, or damaged: then nothing is read of it either */
        kl_log(KL_LOG_WARNING, "closing_without_subject", KL_LOG_INT("slot", closing->slot),
               KL_LOG_TEXT("code", cause.code));
    }
    return KL_OK;
}

/* What the trail says of a closing that is made good. */
static void act_about(struct vault_act *act, const struct vault_closing *closing)
{
    kl_json_add_int(&act->out, "slot", (int64_t)closing->slot);
    if (closing->purpose != NULL) {
        kl_json_add_text(&act->out, "purpose", closing->purpose);
    }
    kl_json_add_time(&act->out,
                     closing->kind == VAULT_CLOSING_CONSENT ? "withdrawn_at" : "closed_at",
                     closing->at_us);
}

static const char *action_of(enum vault_closing_kind kind)
{
    switch (kind) {
    case VAULT_CLOSING_OBJECTION:
        return "objected_again";
    case VAULT_CLOSING_RESTRICTION:
        return "restricted_again";
    default:
        return "consent_withdrawn_again";
    }
}

/* As it is read the ledger has it: write it so, and say so in the subject's base. */
static enum kl_status apply_to_ledger(struct taking *taking, const struct vault_closing *closing,
                                      int64_t now_us, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_audit_who who = {.role = "vault", .at_us = now_us};
    struct vault_ledger ledger = {0};
    struct vault_change change;
    bool there = false;

    status = vault_change_begin(&change, taking->vault, NULL, err);
    if (status == KL_OK) {
        status = ledger_load(taking, closing, &change, &ledger, &there, err);
    }
    if (status == KL_OK && there) {
        vault_act_begin(&change.act, taking->tenant, &who, action_of(closing->kind));
        act_about(&change.act, closing);
        change.unsynced = true;
        status = vault_change_ledger_put(&change, &ledger, err);
        if (status == KL_OK) {
            status = vault_change_commit(&change, err);
        }
        taking->changed++;
    }
    vault_change_end(&change);
    return status;
}

/* As it is read the tag is as strict as it was made: write it so. */
static enum kl_status apply_residency(struct taking *taking, const struct vault_closing *closing,
                                      int64_t now_us, struct kl_err *err)
{
    struct vault_audit_who who = {.role = "vault", .at_us = now_us};
    struct kl_err cause = {0};
    struct vault_change change;
    enum kl_status status = vault_change_begin(&change, taking->vault, NULL, err);

    if (status != KL_OK) {
        vault_change_end(&change);
        return status;
    }
    status = vault_subject_load(taking->vault, taking->tenant, closing->slot, change.arena,
                                &change.subject, &cause);
    if (status == KL_OK) {
        vault_act_begin(&change.act, taking->tenant, &who, "moved_again");
        kl_json_add_int(&change.act.out, "slot", (int64_t)closing->slot);
        kl_json_add_text(&change.act.out, "to",
                         vault_residency_name(change.subject.base.residency));
        kl_json_add_time(&change.act.out, "moved_at", closing->at_us);
        change.unsynced = true;
        status = vault_change_base_seal(&change, err);
        if (status == KL_OK) {
            status = vault_change_commit(&change, err);
        }
        taking->changed++;
    } else if (status == KL_ERR_IO || status == KL_ERR_NO_MEMORY) {
        status = again(status, &cause, err);
    } else { /* made after this data/ was copied, or damaged: then nothing is read of it either */
        kl_log(KL_LOG_WARNING, "closing_without_subject", KL_LOG_INT("slot", closing->slot),
               KL_LOG_TEXT("code", cause.code));
        status = KL_OK;
    }
    vault_change_end(&change);
    return status;
}

/* As it is read it is revoked: write it so. */
static enum kl_status apply_credential(struct taking *taking, const struct vault_closing *closing,
                                       struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_credential *credential = NULL;
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {.tenant = taking->tenant, .batch = batch, .unsynced = true};
    struct kl_err cause = {0};

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_credential_load(taking->vault, closing->mac, &credential, &cause);
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_CORRUPT) {
        status = KL_OK; /* made after this data/ was copied; or one that lets nobody in */
    } else if (status != KL_OK) {
        status = again(status, &cause, err);
    } else if (kl_id_equal(&credential->id, &closing->credential)) {
        status = vault_credential_put(taking->vault, credential, batch, err);
        if (status == KL_OK) {
            status = vault_commit_submit(taking->vault->committer, &commit, err);
        }
        taking->changed++;
    }
    vault_credential_unref(credential);
    vault_batch_free(batch);
    return status;
}

static enum kl_status apply_policy(struct taking *taking, const struct vault_closing *closing,
                                   struct kl_err *err)
{
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {.tenant = taking->tenant, .batch = batch, .unsynced = true};
    bool newer = false;
    enum kl_status status = KL_OK;

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_policy_put_back(taking->vault, taking->tenant, closing->policy, closing->body,
                                   batch, &newer, err);
    if (status == KL_OK && newer) {
        status = vault_commit_submit(taking->vault->committer, &commit, err);
        taking->changed++;
    }
    vault_batch_free(batch);
    return status;
}

static enum kl_status apply_one(struct taking *taking, uint64_t seq, int64_t now_us,
                                struct kl_err *err)
{
    struct vault_closing closing = {0};
    enum kl_status status = vault_closing_read(taking->vault, taking->tenant, seq, &taking->row,
                                               taking->arena, &closing, err);

    if (status == KL_ERR_GONE || status == KL_ERR_CORRUPT) {
        kl_err_clear(
            err); /* its subject is gone; or it is damaged, and the journal counts as lost */
        return KL_OK;
    }
    if (status != KL_OK) {
        return status;
    }
    taking->applied++;
    switch (closing.kind) {
    case VAULT_CLOSING_VOID:
        return KL_OK;
    case VAULT_CLOSING_CONSENT:
    case VAULT_CLOSING_OBJECTION:
    case VAULT_CLOSING_RESTRICTION:
        return apply_to_ledger(taking, &closing, now_us, err);
    case VAULT_CLOSING_CREDENTIAL:
        return apply_credential(taking, &closing, err);
    case VAULT_CLOSING_POLICY:
        return apply_policy(taking, &closing, err);
    case VAULT_CLOSING_RESIDENCY:
        return apply_residency(taking, &closing, now_us, err);
    }
    return KL_OK;
}

/* The policy that was put back is the one in force from the first request on. */
static enum kl_status policy_reload(struct vault *vault, uint64_t number, struct kl_err *err)
{
    struct vault_tenant *tenant = vault_tenants_by_number(vault, number);
    struct vault_policy *policy = NULL;
    struct kl_err cause = {0};
    uint64_t version = 0;
    enum kl_status status = KL_OK;

    if (tenant == NULL) {
        return KL_OK;
    }
    status = vault_policy_load(vault, number, &policy, &version, &cause);
    if (status == KL_OK) {
        vault_tenant_policy_swap(vault, tenant, policy, version);
    } else if (status != KL_ERR_NOT_FOUND && status != KL_ERR_INVALID && status != KL_ERR_CORRUPT) {
        return again(status, &cause, err);
    }
    return KL_OK;
}

/* What data/ does not have; and the newest policy in any case: the row that says which is in force may have been put back alone. */
static enum kl_status apply_all(struct taking *taking, int64_t now_us, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < taking->count; i++) {
        if (taking->listed[i].seq > taking->known || taking->listed[i].seq == taking->policy) {
            kl_arena_reset(taking->arena);
            status = apply_one(taking, taking->listed[i].seq, now_us, err);
        }
    }
    return status == KL_OK && taking->changed > 0
               ? policy_reload(taking->vault, taking->tenant, err)
               : status;
}

/* The number that data/ has now, with an entry that says what was done; synced, with all that was done before. */
static enum kl_status applied_commit(struct taking *taking, bool was_lost, int64_t now_us,
                                     struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_audit_who who = {.role = "vault", .at_us = now_us};
    struct vault_row_key key = vault_row_journal(taking->tenant);
    struct vault_batch *batch = vault_batch_new();
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    unsigned char bytes[8];

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    kl_put_u64be(bytes, taking->last);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof bytes));
    vault_act_begin(&act, taking->tenant, &who, was_lost ? "journal_lost" : "journal_applied");
    kl_json_add_int(&act.out, "closings", (int64_t)taking->applied);
    kl_json_add_int(&act.out, "changed", (int64_t)taking->changed);
    if (was_lost) {
        kl_json_add_time(&act.out, "void_before", now_us);
    }
    status = vault_act_commit(taking->vault, acts, 1, batch, err);
    vault_act_done(&act);
    vault_batch_free(batch);
    return status;
}

/* ---- the call ---- */

static enum kl_status remember(struct taking *taking, int64_t since_us, struct kl_err *err)
{
    struct vault_journal *journal = taking->vault->journal;
    struct vault_journal_tenant *of = NULL;

    (void)pthread_mutex_lock(&journal->lock);
    of = vault_journal_tenant(journal, taking->tenant);
    if (of != NULL) {
        of->from = taking->from;
        of->last = taking->last;
        of->since_us = since_us;
        of->has_head = taking->has_head;
    }
    (void)pthread_mutex_unlock(&journal->lock);
    return of == NULL ? kl_fail_memory(err) : KL_OK;
}

static enum kl_status read_all(struct taking *taking, int64_t *ret_since_us, struct kl_err *err)
{
    unsigned char prefix[VAULT_JOURNAL_KEY_BYTES];
    enum kl_status status;

    vault_journal_key(taking->tenant, 0, prefix);
    status = kms_side_range(taking->vault->keys, kl_slice_of(prefix, sizeof prefix - 8), list_row,
                            taking, err);
    if (status == KL_OK) {
        status = vault_journal_known(taking->vault, taking->tenant, &taking->known,
                                     &taking->has_known, err);
    }
    if (status == KL_OK) {
        status = since_read(taking->vault, taking->tenant, ret_since_us, err);
    }
    return status == KL_OK ? hold_all(taking, err) : status;
}

/* The journal goes on behind all numbers that were ever used: written once all is said and data/ has what there is. */
static enum kl_status go_on(struct taking *taking, int64_t since_us, struct kl_err *err)
{
    enum kl_status status;

    taking->from = taking->last + 1;
    taking->has_head = true;
    status = vault_journal_head_put(taking->vault, taking->tenant, taking->from, err);
    return status == KL_OK ? remember(taking, since_us, err) : status;
}

static enum kl_status take_in(struct taking *taking, int64_t now_us, struct kl_err *err)
{
    int64_t since_us = 0;
    bool was_lost = false;
    enum kl_status status = read_all(taking, &since_us, err);

    if (status != KL_OK) {
        return status;
    }
    was_lost = is_lost(taking);
    if (was_lost) {
        status = lost(taking, now_us, err);
        since_us = now_us;
    }
    if (status == KL_OK) {
        status = remember(taking, since_us, err);
    }
    if (status == KL_OK) {
        status = apply_all(taking, now_us, err);
    }
    if (status == KL_OK && (was_lost || taking->last != taking->known || taking->changed > 0)) {
        status = applied_commit(taking, was_lost, now_us, err);
    }
    return status == KL_OK && was_lost ? go_on(taking, since_us, err) : status;
}

enum kl_status vault_journal_open(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    int64_t now_us = kl_time_now_us();
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    size_t i;

    if (arena == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i <= vault->tenants.count; i++) {
        struct taking taking = {.vault = vault, .arena = arena, .from = 1};

        taking.tenant = i == 0 ? (uint64_t)KMS_TENANT_VAULT : vault->tenants.items[i - 1]->number;
        kl_buf_init(&taking.row, VAULT_JOURNAL_ROW_MAX_BYTES);
        status = take_in(&taking, now_us, err);
        kl_buf_done(&taking.row);
        free(taking.listed);
    }
    kl_arena_free(arena);
    return status;
}
