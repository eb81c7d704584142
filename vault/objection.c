/* Objections (GDPR art. 21): a purpose that somebody does not want their data used for. */
#include "vault/dossier.h"
#include "vault/journal.h"
#include "vault/subject_internal.h"

#include <string.h>

/* end: the person takes it back. */
struct objecting {
    bool end;
    const char *purpose;
    bool direct_marketing;
    enum vault_objection_ground ground;
    const char *compelling;
    struct vault_closing closing;
};

static const char *action_of(const struct objecting *objecting)
{
    return objecting->end ? "objection_end" : "object";
}

/* ---- setting ---- */

/* A fresh objection goes into the journal before data/. */
static enum kl_status close_purpose(struct vault_change *change, struct objecting *objecting,
                                    const struct vault_ledger_objection *objection,
                                    struct kl_err *err)
{
    objecting->closing.kind = VAULT_CLOSING_OBJECTION;
    objecting->closing.tenant = change->subject.tenant;
    objecting->closing.slot = change->subject.slot;
    objecting->closing.at_us = objection->at_us;
    objecting->closing.purpose = objecting->purpose;
    objecting->closing.entries = objection->count;
    objecting->closing.ground = (unsigned char)objection->ground;
    change->closing = &objecting->closing;
    return vault_journal_write(change->vault, &objecting->closing, err);
}

/* The controller's grounds, or none any more. What was there before waits for the sweep. */
static enum kl_status grounds_set(struct vault_change *change, const char *text,
                                  struct vault_ledger_objection *objection, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (objection->compelling != KMS_VALUE_NONE) {
        status = vault_change_value_retire(change, objection->compelling, change->caller->now_us,
                                           false, err);
    }
    return status == KL_OK ? vault_change_evidence_put(change, text, &objection->compelling, err)
                           : status;
}

static enum kl_status set(struct vault_change *change, struct objecting *objecting,
                          struct vault_ledger *ledger, struct kl_err *err)
{
    struct vault_ledger_objection *objection =
        vault_ledger_objection_of(ledger, objecting->purpose, change->arena);
    bool stands = false;
    enum kl_status status;

    if (objection == NULL) {
        return ledger->objection_count >= VAULT_OBJECTIONS_MAX
                   ? kl_failf(err, KL_ERR_TOO_LARGE, "too_many_objections",
                              "a subject's ledger holds at most %d objections",
                              VAULT_OBJECTIONS_MAX)
                   : kl_fail_memory(err);
    }
    stands = objection->count > 0 && objection->ended_us == 0;
    status = grounds_set(change, objecting->compelling, objection, err);
    objection->ground = objecting->ground;
    if (status != KL_OK || (stands && objecting->compelling != NULL)) {
        return status;
    }
    objection->at_us = stands ? objection->at_us : change->caller->now_us;
    objection->ended_us = 0;
    objection->count++;
    return close_purpose(change, objecting, objection, err);
}

static enum kl_status end(struct vault_change *change, const struct objecting *objecting,
                          struct vault_ledger *ledger, struct kl_err *err)
{
    struct vault_ledger_objection *objection =
        vault_ledger_objection_find(ledger, objecting->purpose);

    if (objection == NULL || objection->ended_us != 0) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "no_objection",
                       "there is no objection to this purpose", NULL);
    }
    objection->ended_us = change->caller->now_us;
    return grounds_set(change, NULL, objection, err);
}

static enum kl_status body(struct vault_change *change, void *context, struct kl_err *err)
{
    struct objecting *objecting = context;
    struct vault_ledger ledger = {0};
    enum kl_status status =
        vault_subject_ledger(change->vault, &change->subject, change->arena, &ledger, err);

    if (status == KL_OK) {
        status = objecting->end ? end(change, objecting, &ledger, err)
                                : set(change, objecting, &ledger, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault_subject_act_begin(&change->act, change->caller, action_of(objecting),
                            change->subject.slot);
    kl_json_add_text(&change->act.out, "purpose", objecting->purpose);
    if (!objecting->end) {
        kl_json_add_text(&change->act.out, "ground",
                         vault_objection_ground_name(objecting->ground));
        kl_json_key(&change->act.out, "compelling_grounds");
        kl_json_put_bool(&change->act.out, objecting->compelling != NULL);
    }
    return vault_change_ledger_put(change, &ledger, err);
}

static enum kl_status check_purpose(const struct vault_caller *caller, struct objecting *objecting,
                                    int *ret_purpose, struct kl_err *err)
{
    int purpose = vault_policy_purpose_find(caller->policy, objecting->purpose);

    if (purpose == VAULT_NONE) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_purpose",
                       "the policy has no purpose of that name", NULL);
    }
    *ret_purpose = purpose;
    objecting->direct_marketing = vault_policy_purpose(caller->policy, purpose)->direct_marketing;
    if (objecting->end) {
        return KL_OK;
    }
    if (!vault_policy_may_object(caller->policy, purpose)) {
        return kl_fail(err, KL_ERR_CONFLICT, "objection_not_possible",
                       "this purpose rests neither on a legitimate interest nor on a public task, "
                       "and is no direct marketing; a consent is withdrawn instead",
                       NULL);
    }
    if (objecting->compelling != NULL && objecting->direct_marketing) {
        return kl_fail(err, KL_ERR_CONFLICT, "objection_absolute",
                       "no grounds prevail over an objection to direct marketing", NULL);
    }
    return KL_OK;
}

static enum kl_status change_objection(struct vault *vault, const struct vault_caller *caller,
                                       const struct kl_id *subject, struct objecting *objecting,
                                       struct kl_err *err)
{
    enum kl_status status = vault_policy_required(caller, err);
    int purpose = VAULT_NONE;

    if (status != KL_OK) {
        return status;
    }
    status = check_purpose(caller, objecting, &purpose, err);
    if (status == KL_OK) {
        status = vault_may_about(caller, VAULT_ACTION_OBJECT, purpose, subject)
                     ? vault_subject_change(vault, caller, subject, body, objecting, err)
                     : vault_not_found(err);
    }
    vault_journal_end(vault, &objecting->closing);
    return vault_subject_refused(vault, caller, action_of(objecting), purpose, status, err);
}

enum kl_status vault_objection_set(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *subject,
                                   const struct vault_objection_input *input, struct kl_err *err)
{
    struct objecting objecting = {.purpose = input->purpose, .ground = input->ground};
    struct kl_arena *arena = kl_arena_new(2 * VAULT_EVIDENCE_MAX_BYTES);
    struct kl_err own = {0};
    enum kl_status status;

    err = err == NULL ? &own : err;
    if (arena == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_draft_text(input->compelling_grounds, "compelling_grounds", "", arena,
                              &objecting.compelling, err);
    if (status == KL_OK) {
        status = change_objection(vault, caller, subject, &objecting, err);
    }
    kl_arena_free(arena);
    return status;
}

enum kl_status vault_objection_end(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *subject, const char *purpose,
                                   struct kl_err *err)
{
    struct objecting objecting = {.end = true, .purpose = purpose};
    struct kl_err own = {0};

    return change_objection(vault, caller, subject, &objecting, err == NULL ? &own : err);
}

/* ---- the list ---- */

struct listing {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_subject *subject;
    struct kl_arena *arena;
    enum vault_action action;
    struct vault_objection_result *results;
    size_t count;
    uint64_t transfers;
};

void vault_objection_result_of(const struct vault_ledger_objection *objection,
                               struct vault_objection_result *ret)
{
    ret->purpose = objection->purpose;
    ret->ground = objection->ground;
    ret->has_compelling_grounds = objection->compelling != KMS_VALUE_NONE;
    ret->since_us = objection->at_us;
    ret->ended_us = objection->ended_us;
}

/* One objection, if the role may see it. */
static enum kl_status list_one(struct listing *listing,
                               const struct vault_ledger_objection *objection, struct kl_err *err)
{
    const struct vault_policy *policy = listing->caller->policy;
    const struct kl_id *subject = &listing->subject->base.subject;
    struct vault_facts facts = {.residency = listing->subject->base.residency};
    int purpose = vault_policy_purpose_find(policy, objection->purpose);
    struct vault_query query =
        vault_query_of(listing->caller, listing->action, purpose, VAULT_NONE, subject);
    struct vault_objection_result *result = &listing->results[listing->count];
    int transfer = VAULT_NONE;
    enum kl_status status = KL_OK;

    if (!vault_may_see_entry(listing->caller, listing->action, purpose, subject)) {
        return KL_OK;
    }
    status = vault_ledger_may_leave(listing->caller, &query, &facts, "objections", &transfer, err);
    if (status != KL_OK) {
        return status;
    }
    listing->count++;
    listing->transfers |= vault_transfer_bit(transfer);
    vault_objection_result_of(objection, result);
    return vault_evidence_read(listing->vault, listing->subject, objection->compelling,
                               listing->arena, &result->compelling_grounds, err);
}

static enum kl_status list_all(struct listing *listing, struct kl_err *err)
{
    struct vault_ledger ledger = {0};
    enum kl_status status =
        vault_subject_ledger(listing->vault, listing->subject, listing->arena, &ledger, err);
    size_t i;

    if (status != KL_OK) {
        return status;
    }
    listing->results =
        kl_arena_array(listing->arena, ledger.objection_count, sizeof *listing->results);
    if (listing->results == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < ledger.objection_count; i++) {
        status = list_one(listing, &ledger.objections[i], err);
    }
    return status;
}

enum kl_status vault_objections_show(struct vault *vault, const struct vault_caller *caller,
                                     enum vault_action action, const struct vault_subject *subject,
                                     struct kl_arena *arena, struct vault_objection_result **ret,
                                     size_t *ret_count, uint64_t *ret_transfers, struct kl_err *err)
{
    struct listing listing = {
        .vault = vault, .caller = caller, .subject = subject, .arena = arena, .action = action};
    enum kl_status status = list_all(&listing, err);

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
    enum kl_status status;

    vault_subject_act_begin(&act, listing->caller, "objection_list", listing->subject->slot);
    vault_subject_act_transfers(&act, listing->caller->policy, listing->transfers);
    status = vault_subject_act_end(&act, err);
    if (status == KL_OK) {
        status = vault_audit_commit(listing->vault, entries, 1, err);
    }
    vault_act_done(&act);
    return status;
}

enum kl_status vault_objection_list(struct vault *vault, const struct vault_caller *caller,
                                    const struct kl_id *subject, struct kl_arena *arena,
                                    struct vault_objection_result **ret, size_t *ret_count,
                                    struct kl_err *err)
{
    struct vault_subject found = {0};
    struct listing listing = {.vault = vault,
                              .caller = caller,
                              .subject = &found,
                              .arena = arena,
                              .action = VAULT_ACTION_OBJECT};
    struct kl_err own = {0};
    enum kl_status status;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    status = vault_may_about(caller, VAULT_ACTION_OBJECT, VAULT_NONE, subject)
                 ? vault_subject_find(vault, caller, subject, arena, &found, err)
                 : vault_not_found(err);
    if (status == KL_OK) {
        status = list_all(&listing, err);
    }
    if (status == KL_OK) {
        status = list_act(&listing, err);
    }
    if (status == KL_OK) {
        *ret = listing.results;
        *ret_count = listing.count;
    }
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = vault_not_found(err);
    }
    vault_subject_done(&found);
    return vault_subject_refused(vault, caller, "objection_list", VAULT_NONE, status, err);
}
