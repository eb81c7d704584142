/* Closings as they are held in memory, and what they take from a row of data/ that may be older. */
#include "vault/journal_internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static size_t list_of_slot(uint64_t tenant, uint64_t slot)
{
    return (size_t)((slot ^ (tenant << 9)) % VAULT_JOURNAL_HELD_LISTS);
}

/* A keyed hash: its first bytes are as good as any. */
static size_t list_of_mac(const unsigned char mac[KMS_MAC_BYTES])
{
    return (size_t)(kl_get_u64be(mac) % VAULT_JOURNAL_HELD_LISTS);
}

enum kl_status vault_journal_hold(struct vault_journal *journal,
                                  const struct vault_closing *closing, uint64_t seq,
                                  struct kl_err *err)
{
    bool of_credential = closing->kind == VAULT_CLOSING_CREDENTIAL;
    struct vault_journal_held *held = NULL;
    size_t list;

    if (closing->kind == VAULT_CLOSING_VOID || closing->kind == VAULT_CLOSING_POLICY) {
        return KL_OK;
    }
    held = calloc(1, sizeof *held);
    if (held == NULL) {
        return kl_fail_memory(err);
    }
    held->tenant = closing->tenant;
    held->slot = of_credential ? 0 : closing->slot;
    held->seq = seq;
    held->at_us = closing->at_us;
    held->opened = closing->kind == VAULT_CLOSING_RESIDENCY;
    held->moves = held->opened ? closing->entries : 0;
    memcpy(held->mac, closing->mac, KMS_MAC_BYTES);
    held->credential = closing->credential;
    list = of_credential ? list_of_mac(held->mac) : list_of_slot(closing->tenant, closing->slot);
    (void)pthread_mutex_lock(&journal->lock);
    held->next = journal->held[list];
    journal->held[list] = held;
    (void)pthread_mutex_unlock(&journal->lock);
    return KL_OK;
}

void vault_journal_let_go(struct vault_journal *journal, uint64_t tenant, uint64_t below)
{
    struct vault_journal_held **link;
    struct vault_journal_held *held;
    size_t i;

    for (i = 0; i < VAULT_JOURNAL_HELD_LISTS; i++) {
        (void)pthread_mutex_lock(&journal->lock);
        link = &journal->held[i];
        while (*link != NULL) {
            held = *link;
            if (held->tenant == tenant && held->seq < below) {
                *link = held->next;
                free(held);
            } else {
                link = &held->next;
            }
        }
        (void)pthread_mutex_unlock(&journal->lock);
    }
}

/* The highest number below `below` of a closing that is held about a slot; 0: none. */
static uint64_t held_before(struct vault_journal *journal, uint64_t tenant, uint64_t slot,
                            uint64_t below)
{
    const struct vault_journal_held *held;
    uint64_t seq = 0;

    (void)pthread_mutex_lock(&journal->lock);
    for (held = journal->held[list_of_slot(tenant, slot)]; held != NULL; held = held->next) {
        if (held->tenant == tenant && held->slot == slot && slot != 0 && held->seq < below &&
            held->seq > seq) {
            seq = held->seq;
        }
    }
    (void)pthread_mutex_unlock(&journal->lock);
    return seq;
}

/* Of a slot: the most often that its tag got stricter, of what is known; ret_seq: one that is still to be opened, 0: none. */
static uint32_t held_moves(struct vault_journal *journal, uint64_t tenant, uint64_t slot,
                           uint64_t *ret_seq)
{
    const struct vault_journal_held *held;
    uint32_t moves = 0;

    *ret_seq = 0;
    (void)pthread_mutex_lock(&journal->lock);
    for (held = journal->held[list_of_slot(tenant, slot)]; held != NULL; held = held->next) {
        if (held->tenant == tenant && held->slot == slot && slot != 0) {
            moves = held->moves > moves ? held->moves : moves;
            *ret_seq = held->opened ? *ret_seq : held->seq;
        }
    }
    (void)pthread_mutex_unlock(&journal->lock);
    return moves;
}

static void held_opened(struct vault_journal *journal, uint64_t tenant, uint64_t slot, uint64_t seq,
                        uint32_t moves)
{
    struct vault_journal_held *held;

    (void)pthread_mutex_lock(&journal->lock);
    for (held = journal->held[list_of_slot(tenant, slot)]; held != NULL; held = held->next) {
        if (held->tenant == tenant && held->slot == slot && held->seq == seq) {
            held->opened = true;
            held->moves = moves;
        }
    }
    (void)pthread_mutex_unlock(&journal->lock);
}

/* One that does not open (any more) closes nothing: it was pruned, or its subject was sealed anew since, with a base that has it. */
static enum kl_status held_open(struct vault *vault, uint64_t tenant, uint64_t slot, uint64_t seq,
                                struct kl_err *err)
{
    struct vault_closing closing = {0};
    struct kl_arena *arena = kl_arena_new(64 * 1024);
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;
    struct kl_buf row;

    if (arena == NULL) {
        return kl_fail_memory(err);
    }
    kl_buf_init(&row, VAULT_JOURNAL_ROW_MAX_BYTES);
    status = vault_closing_read(vault, tenant, seq, &row, arena, &closing, &cause);
    if (status == KL_OK || status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE ||
        status == KL_ERR_CORRUPT) {
        held_opened(vault->journal, tenant, slot, seq,
                    status == KL_OK && closing.kind == VAULT_CLOSING_RESIDENCY ? closing.entries
                                                                               : 0);
        status = KL_OK;
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    kl_arena_free(arena);
    return status;
}

enum kl_status vault_journal_base(struct vault *vault, uint64_t tenant, uint64_t slot,
                                  struct vault_manifest_base *base, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    uint32_t moves = 0;
    uint64_t seq = 0;

    if (vault->journal == NULL) {
        return KL_OK;
    }
    if (vault_journal_since(vault, tenant) > base->moved_us) {
        base->residency = VAULT_RESIDENCY_EEA;
    }
    moves = held_moves(vault->journal, tenant, slot, &seq);
    while (status == KL_OK && seq != 0) {
        status = held_open(vault, tenant, slot, seq, err);
        moves = held_moves(vault->journal, tenant, slot, &seq);
    }
    if (status == KL_OK && base->moves < moves) {
        base->residency = VAULT_RESIDENCY_EEA;
        base->moves = moves;
    }
    return status;
}

static bool since_withdraw(int64_t since_us, struct vault_ledger *ledger)
{
    bool changed = false;
    size_t i;

    if (since_us <= ledger->closed_us) {
        return false;
    }
    for (i = 0; i < ledger->count; i++) {
        if (ledger->entries[i].withdrawn_us == 0) {
            ledger->entries[i].withdrawn_us = since_us;
            changed = true;
        }
    }
    ledger->closed_us = since_us;
    return changed;
}

/*
 * One closing that is held; void by now, pruned, or gone with its subject: nothing. Nor when it does not open: its subject was sealed
 * anew since, with a ledger in which it is marked (values.h).
 */
static enum kl_status held_mark(struct vault *vault, uint64_t tenant, uint64_t seq,
                                struct kl_buf *row, struct kl_arena *scratch,
                                struct kl_arena *arena, struct vault_ledger *ledger, bool *changed,
                                struct kl_err *err)
{
    struct vault_closing closing = {0};
    bool marked = false;
    enum kl_status status = vault_closing_read(vault, tenant, seq, row, scratch, &closing, err);

    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE || status == KL_ERR_CORRUPT) {
        kl_err_clear(err);
        return KL_OK;
    }
    if (status == KL_OK) {
        status = vault_closing_mark(&closing, arena, ledger, &marked, err);
    }
    *changed = *changed || marked;
    return status;
}

enum kl_status vault_journal_ledger(struct vault *vault, uint64_t tenant, uint64_t slot,
                                    struct kl_arena *arena, struct vault_ledger *ledger,
                                    bool *ret_changed, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_arena *scratch = NULL;
    struct kl_buf row = {0};
    bool changed = false;
    uint64_t seq = 0;

    *ret_changed = false;
    if (vault->journal == NULL) {
        return KL_OK;
    }
    changed = since_withdraw(vault_journal_since(vault, tenant), ledger);
    seq = held_before(vault->journal, tenant, slot, UINT64_MAX);
    if (seq != 0) {
        scratch = kl_arena_new(64 * 1024);
        if (scratch == NULL) {
            return kl_fail_memory(err);
        }
        kl_buf_init(&row, VAULT_JOURNAL_ROW_MAX_BYTES);
    }
    while (status == KL_OK && seq != 0) {
        kl_arena_reset(scratch);
        status = held_mark(vault, tenant, seq, &row, scratch, arena, ledger, &changed, err);
        seq = held_before(vault->journal, tenant, slot, seq);
    }
    kl_buf_done(&row);
    kl_arena_free(scratch);
    *ret_changed = changed;
    return status;
}

bool vault_journal_holds(struct vault *vault, uint64_t tenant, uint64_t slot)
{
    return vault->journal != NULL && held_before(vault->journal, tenant, slot, UINT64_MAX) != 0;
}

static int64_t held_revoked(struct vault_journal *journal,
                            const struct vault_credential *credential)
{
    const struct vault_journal_held *held;
    int64_t at_us = 0;

    (void)pthread_mutex_lock(&journal->lock);
    for (held = journal->held[list_of_mac(credential->mac)]; held != NULL; held = held->next) {
        if (held->slot == 0 && sodium_memcmp(held->mac, credential->mac, KMS_MAC_BYTES) == 0 &&
            kl_id_equal(&held->credential, &credential->id)) {
            at_us = held->at_us;
        }
    }
    (void)pthread_mutex_unlock(&journal->lock);
    return at_us;
}

void vault_journal_credential(struct vault *vault, struct vault_credential *credential)
{
    int64_t since_us = 0;

    if (vault->journal == NULL || credential->revoked_us != 0) {
        return;
    }
    credential->revoked_us = held_revoked(vault->journal, credential);
    if (credential->revoked_us == 0 && credential->builtin != VAULT_BUILTIN_OPERATOR) {
        since_us = vault_journal_since(vault, credential->tenant);
        credential->revoked_us = credential->created_us < since_us ? since_us : 0;
    }
}
