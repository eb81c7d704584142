/* Restriction of processing (GDPR art. 18): a subject's data is stored, and used on few grounds. */
#include "vault/journal.h"
#include "vault/subject_internal.h"

/* at_us: of the telling; 0: it is set. */
struct restricting {
    bool lift;
    enum vault_restriction_ground ground;
    int64_t told_us;
    struct vault_closing closing;
};

static const char *action_of(const struct restricting *restricting)
{
    return restricting->lift ? "restriction_lift" : "restrict";
}

/* ---- setting and lifting ---- */

/* A fresh restriction goes into the journal before data/. */
static enum kl_status set(struct vault_change *change, struct restricting *restricting,
                          struct vault_ledger_restriction *restriction, struct kl_err *err)
{
    restriction->ground = restricting->ground;
    if (restriction->at_us != 0) {
        return KL_OK;
    }
    restriction->count++;
    restriction->at_us = change->caller->now_us;
    restricting->closing.kind = VAULT_CLOSING_RESTRICTION;
    restricting->closing.tenant = change->subject.tenant;
    restricting->closing.slot = change->subject.slot;
    restricting->closing.at_us = restriction->at_us;
    restricting->closing.entries = restriction->count;
    restricting->closing.ground = (unsigned char)restriction->ground;
    change->closing = &restricting->closing;
    return vault_journal_write(change->vault, &restricting->closing, err);
}

static enum kl_status lift(struct vault_change *change, const struct restricting *restricting,
                           struct vault_ledger_restriction *restriction, struct kl_err *err)
{
    if (restriction->at_us == 0) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "not_restricted", "this subject is not restricted",
                       NULL);
    }
    if (restricting->told_us < restriction->at_us ||
        restricting->told_us > change->caller->now_us) {
        return kl_fail(err, KL_ERR_CONFLICT, "person_not_told",
                       "the person must be told first that the restriction will be lifted: say "
                       "when that was done, told_at",
                       NULL);
    }
    restriction->at_us = 0;
    return KL_OK;
}

static enum kl_status body(struct vault_change *change, void *context, struct kl_err *err)
{
    struct restricting *restricting = context;
    struct vault_ledger ledger = {0};
    enum kl_status status = vault_subject_allowed(change->caller, VAULT_ACTION_RESTRICT,
                                                  &change->subject, VAULT_NONE, err);

    if (status == KL_OK) {
        status = vault_subject_ledger(change->vault, &change->subject, change->arena, &ledger, err);
    }
    if (status == KL_OK) {
        status = restricting->lift ? lift(change, restricting, &ledger.restriction, err)
                                   : set(change, restricting, &ledger.restriction, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault_subject_act_begin(&change->act, change->caller, action_of(restricting),
                            change->subject.slot);
    if (restricting->lift) {
        kl_json_add_time(&change->act.out, "told_at", restricting->told_us);
    } else {
        kl_json_add_text(&change->act.out, "ground",
                         vault_restriction_ground_name(restricting->ground));
    }
    return vault_change_ledger_put(change, &ledger, err);
}

static enum kl_status change_restriction(struct vault *vault, const struct vault_caller *caller,
                                         const struct kl_id *subject,
                                         struct restricting *restricting, struct kl_err *err)
{
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = vault_subject_change(vault, caller, subject, body, restricting, err);
    }
    vault_journal_end(vault, &restricting->closing);
    return vault_subject_refused(vault, caller, action_of(restricting), VAULT_NONE, status, err);
}

enum kl_status vault_restriction_set(struct vault *vault, const struct vault_caller *caller,
                                     const struct kl_id *subject,
                                     enum vault_restriction_ground ground, struct kl_err *err)
{
    struct restricting restricting = {.ground = ground};

    return change_restriction(vault, caller, subject, &restricting, err);
}

enum kl_status vault_restriction_lift(struct vault *vault, const struct vault_caller *caller,
                                      const struct kl_id *subject, int64_t told_us,
                                      struct kl_err *err)
{
    struct restricting restricting = {.lift = true, .told_us = told_us};

    return change_restriction(vault, caller, subject, &restricting, err);
}

/* ---- reading ---- */

static enum kl_status read_act(struct vault *vault, const struct vault_caller *caller,
                               uint64_t slot, struct kl_err *err)
{
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    enum kl_status status;

    vault_subject_act_begin(&act, caller, "restriction_read", slot);
    status = vault_subject_act_end(&act, err);
    if (status == KL_OK) {
        status = vault_audit_commit(vault, entries, 1, err);
    }
    vault_act_done(&act);
    return status;
}

enum kl_status vault_restriction_read(struct vault *vault, const struct vault_caller *caller,
                                      const struct kl_id *subject, struct vault_restriction *ret,
                                      struct kl_err *err)
{
    struct vault_subject found = {0};
    struct vault_ledger ledger = {0};
    struct kl_arena *arena = NULL;
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    status = arena == NULL ? kl_fail_memory(err)
                           : vault_subject_find(vault, caller, subject, arena, &found, err);
    if (status == KL_OK) {
        status = vault_subject_allowed(caller, VAULT_ACTION_RESTRICT, &found, VAULT_NONE, err);
    }
    if (status == KL_OK) {
        status = vault_subject_ledger(vault, &found, arena, &ledger, err);
    }
    if (status == KL_OK) {
        status = read_act(vault, caller, found.slot, err);
    }
    if (status == KL_OK) {
        ret->in_force = ledger.restriction.at_us != 0;
        ret->ground = ledger.restriction.ground;
        ret->since_us = ledger.restriction.at_us;
    }
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = vault_not_found(err);
    }
    vault_subject_done(&found);
    kl_arena_free(arena);
    return vault_subject_refused(vault, caller, "restriction_read", VAULT_NONE, status, err);
}
