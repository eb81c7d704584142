/* The ledger of disclosures as it is shown. */
#include "vault/aside.h"
#include "vault/disclosure.h"
#include "vault/dossier.h"

#include <stdlib.h>
#include <string.h>

struct listing {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_subject *subject;
    struct kl_arena *arena;
    struct vault_disclosures ledger;
    struct vault_disclosure_result *results;
    size_t count;
    uint64_t transfers;
};

/* purpose VAULT_NONE: the policy does not know it any more. */
static bool may_see(const struct vault_caller *caller, int purpose, const struct kl_id *subject)
{
    return vault_may_see_entry(caller, VAULT_ACTION_REPORT, purpose, subject) ||
           (purpose != VAULT_NONE &&
            vault_may_about(caller, VAULT_ACTION_DISCLOSE, purpose, subject));
}

/* Whether the role may see entries for any purpose at all. */
static bool may_see_any(const struct vault_caller *caller, const struct kl_id *subject)
{
    size_t count = vault_policy_purpose_count(caller->policy);
    size_t i;

    for (i = 0; i < count; i++) {
        if (may_see(caller, (int)i, subject)) {
            return true;
        }
    }
    return may_see(caller, VAULT_NONE, subject);
}

static enum kl_status copy_fields(const struct vault_disclosures *ledger,
                                  const struct vault_disclosure *entry, struct kl_arena *arena,
                                  struct vault_disclosure_result *ret, struct kl_err *err)
{
    size_t i;

    ret->fields = kl_arena_array(arena, ledger->name_count, sizeof *ret->fields);
    if (ret->fields == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < ledger->name_count; i++) {
        if (vault_disclosure_field_has(entry, i)) {
            ret->fields[ret->field_count++] = ledger->names[i];
        }
    }
    return KL_OK;
}

static enum kl_status copy_note(struct vault *vault, const struct vault_subject *subject,
                                const struct vault_disclosure *entry, struct kl_arena *arena,
                                struct vault_disclosure_result *ret, struct kl_err *err)
{
    struct kl_slice text;
    const char *copy = NULL;
    enum kl_status status = KL_OK;

    if (entry->note == KMS_VALUE_NONE) {
        return KL_OK;
    }
    status = vault_aside_open(vault, subject->tenant, subject->slot, entry->note,
                              VAULT_DISCLOSURE_NOTE_CONTEXT, arena, &text, err);
    if (status == KL_OK) {
        copy = kl_arena_text(arena, text.bytes, text.size);
        ret->note = copy;
        status = copy == NULL ? kl_fail_memory(err) : KL_OK;
    }
    return status;
}

enum kl_status vault_disclosure_result_of(struct vault *vault, const struct vault_subject *subject,
                                          const struct vault_disclosures *ledger, size_t at,
                                          bool with_note, struct kl_arena *arena,
                                          struct vault_disclosure_result *ret, struct kl_err *err)
{
    const struct vault_disclosure *entry = &ledger->entries[at];
    enum kl_status status = KL_OK;

    memset(ret, 0, sizeof *ret);
    ret->recipient = ledger->names[entry->recipient];
    ret->purpose = ledger->names[entry->purpose];
    ret->country = entry->country;
    ret->channel =
        entry->channel == VAULT_DISCLOSURE_NO_NAME ? NULL : ledger->names[entry->channel];
    ret->first_us = entry->first_us;
    ret->last_us = entry->last_us;
    ret->count = entry->count;
    ret->merged = entry->merged;
    status = copy_fields(ledger, entry, arena, ret, err);
    return status == KL_OK && with_note ? copy_note(vault, subject, entry, arena, ret, err)
                                        : status;
}

/* One entry, if the role may see it. */
static enum kl_status list_entry(struct listing *listing, size_t at, struct kl_err *err)
{
    const struct vault_caller *caller = listing->caller;
    int purpose = vault_policy_purpose_find(
        caller->policy, listing->ledger.names[listing->ledger.entries[at].purpose]);
    struct vault_query query = vault_query_of(caller, VAULT_ACTION_REPORT, purpose, VAULT_NONE,
                                              &listing->subject->base.subject);
    int transfer = VAULT_NONE;
    struct vault_facts facts;
    enum kl_status status = KL_OK;

    if (!may_see(caller, purpose, &listing->subject->base.subject) ||
        !vault_recipient_may_know(caller,
                                  listing->ledger.names[listing->ledger.entries[at].recipient])) {
        return KL_OK;
    }
    status = vault_facts_of(listing->vault, listing->subject, caller->policy, &query,
                            listing->arena, &facts, err);
    if (status == KL_OK) {
        status = vault_ledger_may_leave(caller, &query, &facts, "disclosures", &transfer, err);
    }
    if (status != KL_OK) {
        return status;
    }
    listing->transfers |= vault_transfer_bit(transfer);
    status =
        vault_disclosure_result_of(listing->vault, listing->subject, &listing->ledger, at, true,
                                   listing->arena, &listing->results[listing->count], err);
    listing->count++;
    return status;
}

static int by_first(const void *a, const void *b)
{
    int64_t left = ((const struct vault_disclosure *)a)->first_us;
    int64_t right = ((const struct vault_disclosure *)b)->first_us;

    return left < right ? -1 : left > right ? 1 : 0;
}

static enum kl_status list_entries(struct listing *listing, struct kl_err *err)
{
    uint64_t value = KMS_VALUE_NONE;
    size_t i;
    enum kl_status status = vault_disclosures_load(listing->vault, listing->subject, listing->arena,
                                                   &listing->ledger, &value, err);

    if (status != KL_OK) {
        return status;
    }
    listing->results =
        kl_arena_array(listing->arena, listing->ledger.count, sizeof *listing->results);
    if (listing->results == NULL) {
        return kl_fail_memory(err);
    }
    if (listing->ledger.count > 1) {
        qsort(listing->ledger.entries, listing->ledger.count, sizeof *listing->ledger.entries,
              by_first);
    }
    for (i = 0; status == KL_OK && i < listing->ledger.count; i++) {
        status = list_entry(listing, i, err);
    }
    return status;
}

enum kl_status vault_disclosures_show(struct vault *vault, const struct vault_caller *caller,
                                      const struct vault_subject *subject, struct kl_arena *arena,
                                      struct vault_disclosure_result **ret, size_t *ret_count,
                                      uint64_t *ret_transfers, struct kl_err *err)
{
    struct listing listing = {.vault = vault, .caller = caller, .subject = subject, .arena = arena};
    enum kl_status status = list_entries(&listing, err);

    if (status == KL_OK) {
        *ret = listing.results;
        *ret_count = listing.count;
        *ret_transfers |= listing.transfers;
    }
    return status;
}

static enum kl_status list_act(const struct listing *listing, struct kl_err *err)
{
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    enum kl_status status = KL_OK;

    vault_subject_act_begin(&act, listing->caller, "disclosure_list", listing->subject->slot);
    vault_subject_act_transfers(&act, listing->caller->policy, listing->transfers);
    status = vault_subject_act_end(&act, err);
    if (status == KL_OK) {
        status = vault_audit_commit(listing->vault, entries, 1, err);
    }
    vault_act_done(&act);
    return status;
}

enum kl_status vault_disclosure_list(struct vault *vault, const struct vault_caller *caller,
                                     const struct kl_id *subject, struct kl_arena *arena,
                                     struct vault_disclosure_result **ret_disclosures,
                                     size_t *ret_count, struct kl_err *err)
{
    struct vault_subject found = {0};
    struct listing listing = {.vault = vault, .caller = caller, .subject = &found, .arena = arena};
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    status = vault_subject_find(vault, caller, subject, arena, &found, err);
    if (status == KL_OK && !may_see_any(caller, subject)) {
        status = vault_not_found(err);
    }
    if (status == KL_OK) {
        status = list_entries(&listing, err);
    }
    if (status == KL_OK) {
        status = list_act(&listing, err);
    }
    if (status == KL_OK) {
        *ret_disclosures = listing.results;
        *ret_count = listing.count;
    }
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = vault_not_found(err);
    }
    vault_subject_done(&found);
    return vault_subject_refused(vault, caller, "disclosure_list", VAULT_NONE, status, err);
}
