/* The ledger of consents: who agreed to what, when, how, and when not any more. */
#include "vault/dossier.h"
#include "vault/journal.h"
#include "vault/subject_internal.h"

#include <string.h>

/* purpose VAULT_NONE: any. */
static bool may_consent(const struct vault_caller *caller, int purpose, const struct kl_id *subject)
{
    return vault_may_about(caller, VAULT_ACTION_CONSENT, purpose, subject);
}

/* ---- the list ---- */

/* What the caller may see of a ledger. transfers: the policy's lines that let it leave the EEA. */
struct listing {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_subject *subject;
    struct kl_arena *arena;
    struct vault_query query;
    struct vault_facts facts;
    struct vault_consent_result *results;
    size_t count;
    uint64_t transfers;
};

/* An entry for a purpose that the policy does not know any more is for whoever keeps consents for all that it knows. */
static bool may_see(const struct listing *listing, int purpose)
{
    const struct kl_id *subject = &listing->subject->base.subject;
    enum vault_action action = listing->query.action;
    int count = (int)vault_policy_purpose_count(listing->caller->policy);
    int i;

    if (purpose != VAULT_NONE || listing->caller->purposes != UINT64_MAX) {
        return vault_may_see_entry(listing->caller, action, purpose, subject);
    }
    for (i = 0; i < count; i++) {
        if (!vault_policy_purpose(listing->caller->policy, i)->forbidden &&
            !vault_may_about(listing->caller, action, i, subject)) {
            return false;
        }
    }
    return true;
}

enum kl_status vault_consent_result_of(struct vault *vault, const struct vault_caller *caller,
                                       const struct vault_subject *subject,
                                       const struct vault_ledger *ledger, size_t at,
                                       struct vault_consent_result *ret, struct kl_err *err)
{
    const struct vault_ledger_entry *entry = &ledger->entries[at];

    ret->purpose = entry->purpose;
    ret->recipient = entry->recipient;
    ret->notice = entry->notice;
    ret->channel = entry->channel;
    ret->given_us = entry->given_us;
    ret->expires_us = entry->expires_us;
    ret->withdrawn_us = entry->withdrawn_us;
    ret->is_explicit = entry->is_explicit;
    ret->counts =
        caller->policy != NULL && vault_ledger_entry_counts(entry, caller->policy, caller->now_us);
    return vault_consent_id(vault, subject, entry, at, &ret->id, err);
}

/* One entry, if the role may see it. */
static enum kl_status list_entry(struct listing *listing, const struct vault_ledger *ledger,
                                 size_t at, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_ledger_entry *entry = &ledger->entries[at];
    int transfer = VAULT_NONE;

    listing->query.purpose = vault_policy_purpose_find(listing->caller->policy, entry->purpose);
    if (!may_see(listing, listing->query.purpose) ||
        !vault_recipient_may_know(listing->caller, entry->recipient)) {
        return KL_OK;
    }
    status = vault_ledger_may_leave(listing->caller, &listing->query, &listing->facts, "consents",
                                    &transfer, err);
    if (status == KL_OK) {
        status = vault_consent_result_of(listing->vault, listing->caller, listing->subject, ledger,
                                         at, &listing->results[listing->count], err);
    }
    if (status == KL_OK) {
        status =
            vault_evidence_read(listing->vault, listing->subject, entry->evidence, listing->arena,
                                &listing->results[listing->count].evidence, err);
    }
    listing->transfers |= vault_transfer_bit(transfer);
    listing->count++;
    return status;
}

static enum kl_status list_entries(struct listing *listing, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_ledger ledger = {0};
    size_t i;

    status = vault_facts_of(listing->vault, listing->subject, listing->caller->policy,
                            &listing->query, listing->arena, &listing->facts, err);
    if (status == KL_OK) {
        status =
            vault_subject_ledger(listing->vault, listing->subject, listing->arena, &ledger, err);
    }
    if (status != KL_OK) {
        return status;
    }
    listing->results = kl_arena_array(listing->arena, ledger.count, sizeof *listing->results);
    if (listing->results == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < ledger.count; i++) {
        status = list_entry(listing, &ledger, i, err);
    }
    return status;
}

enum kl_status vault_consents_show(struct vault *vault, const struct vault_caller *caller,
                                   enum vault_action action, const struct vault_subject *subject,
                                   struct kl_arena *arena, struct vault_consent_result **ret,
                                   size_t *ret_count, uint64_t *ret_transfers, struct kl_err *err)
{
    struct listing listing = {.vault = vault, .caller = caller, .subject = subject, .arena = arena};
    enum kl_status status = KL_OK;

    listing.query = vault_query_of(caller, action, VAULT_NONE, VAULT_NONE, &subject->base.subject);
    status = list_entries(&listing, err);
    if (status == KL_OK) {
        *ret = listing.results;
        *ret_count = listing.count;
        *ret_transfers |= listing.transfers;
    }
    return status;
}

static enum kl_status list_act(const struct listing *listing, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};

    vault_subject_act_begin(&act, listing->caller, "consent_list", listing->subject->slot);
    vault_subject_act_transfers(&act, listing->caller->policy, listing->transfers);
    status = vault_subject_act_end(&act, err);
    if (status == KL_OK) {
        status = vault_audit_commit(listing->vault, entries, 1, err);
    }
    vault_act_done(&act);
    return status;
}

enum kl_status vault_consent_list(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *subject, struct kl_arena *arena,
                                  struct vault_consent_result **ret_consents, size_t *ret_count,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_subject found = {0};
    struct listing listing = {.vault = vault, .caller = caller, .subject = &found, .arena = arena};
    struct kl_err own = {0};

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    listing.query = vault_query_of(caller, VAULT_ACTION_CONSENT, VAULT_NONE, VAULT_NONE, subject);
    status = may_consent(caller, VAULT_NONE, subject)
                 ? vault_subject_find(vault, caller, subject, arena, &found, err)
                 : vault_not_found(err);
    if (status == KL_OK) {
        status = list_entries(&listing, err);
    }
    if (status == KL_OK) {
        status = list_act(&listing, err);
    }
    if (status == KL_OK) {
        *ret_consents = listing.results;
        *ret_count = listing.count;
    }
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = vault_not_found(err);
    }
    vault_subject_done(&found);
    return vault_subject_refused(vault, caller, "consent_list", VAULT_NONE, status, err);
}

/* ---- giving ---- */

static void consent_act(struct vault_change *change, const char *action, const char *purpose,
                        const char *recipient)
{
    vault_subject_act_begin(&change->act, change->caller, action, change->subject.slot);
    kl_json_add_text(&change->act.out, "purpose", purpose);
    if (recipient != NULL) {
        kl_json_add_text(&change->act.out, "recipient", recipient);
    }
}

/*
 * Into the journal before data/: what is in the ledger now of that purpose and recipient counts no more. Tried again, the ledger may
 * have grown, or its subject's keys be others: what is closed then is said anew, in the same place.
 */
static enum kl_status close_consent(struct vault_change *change, struct vault_closing *closing,
                                    const char *purpose, const char *recipient, size_t entries,
                                    struct kl_err *err)
{
    closing->kind = VAULT_CLOSING_CONSENT;
    closing->tenant = change->subject.tenant;
    closing->slot = change->subject.slot;
    closing->at_us = change->caller->now_us;
    closing->purpose = purpose;
    closing->recipient = recipient;
    closing->entries = (uint32_t)entries;
    change->closing = closing;
    return vault_journal_write(change->vault, closing, err);
}

/* id: of the one that is given. */
struct giving {
    struct vault_consent_draft draft;
    struct kl_id id;
    struct vault_closing closing;
};

/*
 * Whether the new one allows less than one in force that it takes the place of: not explicit any more, or ends sooner. What another notice allows is not
 * known here, so that it may be less.
 */
static bool is_narrower(const struct vault_ledger_entry *now, const struct vault_ledger_entry *old,
                        int64_t now_us)
{
    bool same_recipient = now->recipient == NULL || old->recipient == NULL
                              ? now->recipient == old->recipient
                              : strcmp(now->recipient, old->recipient) == 0;
    bool in_force = old->withdrawn_us == 0 && (old->expires_us == 0 || old->expires_us > now_us);
    bool sooner =
        now->expires_us != 0 && (old->expires_us == 0 || old->expires_us > now->expires_us);

    return same_recipient && in_force && strcmp(now->purpose, old->purpose) == 0 &&
           ((old->is_explicit && !now->is_explicit) || sooner ||
            strcmp(now->notice, old->notice) != 0);
}

/* What a narrower consent takes the place of is closed: an older data/ must not bring the wider one back. */
static enum kl_status give_body(struct vault_change *change, void *context, struct kl_err *err)
{
    struct giving *giving = context;
    const struct vault_ledger_entry *entry = &giving->draft.entry;
    struct vault_ledger ledger = {0};
    bool narrower = false;
    size_t i;
    enum kl_status status =
        vault_subject_ledger(change->vault, &change->subject, change->arena, &ledger, err);

    for (i = 0; status == KL_OK && i < ledger.count; i++) {
        narrower = narrower || is_narrower(entry, &ledger.entries[i], change->caller->now_us);
    }
    if (status == KL_OK && narrower) {
        status = close_consent(change, &giving->closing, entry->purpose, entry->recipient,
                               ledger.count, err);
    }
    if (status == KL_OK) {
        status = vault_consent_id(change->vault, &change->subject, entry, ledger.count, &giving->id,
                                  err);
    }
    if (status != KL_OK) {
        return status;
    }
    consent_act(change, "consent_give", entry->purpose, entry->recipient);
    return vault_change_consents_add(change, &giving->draft, 1, err);
}

enum kl_status vault_consent_note(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *subject,
                                  const struct vault_consent_input *input,
                                  struct kl_id *ret_consent, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct giving giving = {.draft = {.evidence = NULL}};
    struct kl_arena *arena = NULL;
    struct kl_err own = {0};
    int purpose = VAULT_NONE;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    status = arena == NULL ? kl_fail_memory(err)
                           : vault_draft_consent(caller, input, "", arena, &giving.draft, err);
    if (status == KL_OK) {
        purpose = vault_policy_purpose_find(caller->policy, giving.draft.entry.purpose);
        status = may_consent(caller, purpose, subject)
                     ? vault_subject_change(vault, caller, subject, give_body, &giving, err)
                     : vault_not_found(err);
    }
    vault_journal_end(vault, &giving.closing);
    kl_arena_free(arena);
    if (status == KL_OK) {
        *ret_consent = giving.id;
    }
    return vault_subject_refused(vault, caller, "consent_give", purpose, status, err);
}

enum kl_status vault_consent_give(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *subject,
                                  const struct vault_consent_input *input, struct kl_err *err)
{
    struct kl_id id;

    return vault_consent_note(vault, caller, subject, input, &id, err);
}

/* ---- withdrawing ---- */

struct withdrawing {
    const char *purpose;
    const char *recipient;
    struct vault_closing closing;
};

/* One that is past its own end stands until it is withdrawn: people are asked again about it. */
static bool is_meant(const struct vault_ledger_entry *entry, const struct withdrawing *withdrawing)
{
    bool same_recipient =
        withdrawing->recipient == NULL
            ? entry->recipient == NULL
            : entry->recipient != NULL && strcmp(entry->recipient, withdrawing->recipient) == 0;

    return same_recipient && entry->withdrawn_us == 0 &&
           strcmp(entry->purpose, withdrawing->purpose) == 0;
}

static enum kl_status withdraw_body(struct vault_change *change, void *context, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct withdrawing *withdrawing = context;
    struct vault_ledger ledger = {0};
    size_t found = 0;
    size_t i;

    status = vault_subject_ledger(change->vault, &change->subject, change->arena, &ledger, err);
    if (status != KL_OK) {
        return status;
    }
    for (i = 0; i < ledger.count; i++) {
        if (is_meant(&ledger.entries[i], withdrawing)) {
            ledger.entries[i].withdrawn_us = change->caller->now_us;
            found++;
        }
    }
    if (found == 0) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "no_consent", "there is no consent to withdraw",
                       NULL);
    }
    status = close_consent(change, &withdrawing->closing, withdrawing->purpose,
                           withdrawing->recipient, ledger.count, err);
    if (status != KL_OK) {
        return status;
    }
    consent_act(change, "consent_withdraw", withdrawing->purpose, withdrawing->recipient);
    return vault_change_ledger_put(change, &ledger, err);
}

enum kl_status vault_consent_withdraw(struct vault *vault, const struct vault_caller *caller,
                                      const struct kl_id *subject, const char *purpose,
                                      const char *recipient, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct withdrawing withdrawing = {.purpose = purpose};
    struct kl_err own = {0};
    int number = VAULT_NONE;
    int to = VAULT_NONE;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    number = vault_policy_purpose_find(caller->policy, purpose);
    if (number == VAULT_NONE) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_purpose",
                       "the policy has no purpose of that name", NULL);
    }
    status = vault_recipient_resolve(caller, recipient, &to, err);
    if (status == KL_OK) {
        withdrawing.recipient =
            to == VAULT_NONE ? NULL : vault_policy_recipient(caller->policy, to)->name;
        status =
            may_consent(caller, number, subject)
                ? vault_subject_change(vault, caller, subject, withdraw_body, &withdrawing, err)
                : vault_not_found(err);
    }
    vault_journal_end(vault, &withdrawing.closing);
    return vault_subject_refused(vault, caller, "consent_withdraw", number, status, err);
}
