/* The access report: everything about somebody, and what is known about it (GDPR art. 15). */
#include "vault/report_internal.h"
#include "vault/retention.h"

#include <string.h>

#define ACTION_NAME "report"

/* ---- beside the data ---- */

static enum kl_status add_purposes(struct vault_dossier *dossier,
                                   const struct vault_manifest_record *stored,
                                   const struct vault_ledger *ledger, struct vault_told_record *ret,
                                   struct kl_err *err)
{
    const struct vault_policy *policy = dossier->caller->policy;
    uint64_t purposes =
        vault_policy_record(policy, vault_policy_record_find(policy, stored->type))->purposes;

    ret->purposes = kl_arena_array(dossier->arena, VAULT_PURPOSES_MAX, sizeof *ret->purposes);
    if (ret->purposes == NULL) {
        return kl_fail_memory(err);
    }
    for (; purposes != 0; purposes &= purposes - 1) {
        const int purpose = __builtin_ctzll(purposes);

        if (!vault_policy_purpose(policy, purpose)->forbidden) {
            ret->purposes[ret->purpose_count++] = (struct vault_told_purpose){
                purpose, vault_retention_keeps(policy, purpose, stored, ledger)};
        }
    }
    ret->hold_basis = stored->hold_basis;
    ret->hold_until_us = stored->hold_until_us;
    return KL_OK;
}

/* A ledger that the transfer gate keeps here is named, and the report goes on without it. */
static enum kl_status or_withheld(enum kl_status status, unsigned ledger,
                                  struct vault_report *report, struct kl_err *err)
{
    if (status != KL_ERR_FORBIDDEN) {
        return status;
    }
    kl_err_clear(err);
    report->withheld |= ledger;
    return KL_OK;
}

static void add_restriction(struct vault_dossier *dossier, const struct vault_ledger *ledger,
                            struct vault_report *report)
{
    const struct vault_query query =
        vault_query_of(dossier->caller, dossier->action, dossier->purposes[0], VAULT_NONE,
                       &dossier->subject.base.subject);
    struct kl_err ignored = {0};
    int transfer = VAULT_NONE;

    if (vault_ledger_may_leave(dossier->caller, &query, &dossier->facts[0], "restrictions",
                               &transfer, &ignored) != KL_OK) {
        kl_err_clear(&ignored);
        report->withheld |= VAULT_REPORT_RESTRICTION;
        return;
    }
    dossier->transfers |= vault_transfer_bit(transfer);
    report->restriction.in_force = ledger->restriction.at_us != 0;
    report->restriction.ground = ledger->restriction.ground;
    report->restriction.since_us = ledger->restriction.at_us;
}

static enum kl_status add_ledgers(struct vault_dossier *dossier, const struct vault_ledger *ledger,
                                  struct vault_report *report, struct kl_err *err)
{
    enum kl_status status = vault_consents_show(
        dossier->vault, dossier->caller, dossier->action, &dossier->subject, dossier->arena,
        &report->consents, &report->consent_count, &dossier->transfers, err);

    status = or_withheld(status, VAULT_REPORT_CONSENTS, report, err);
    if (status == KL_OK) {
        status = vault_objections_show(dossier->vault, dossier->caller, dossier->action,
                                       &dossier->subject, dossier->arena, &report->objections,
                                       &report->objection_count, &dossier->transfers, err);
        status = or_withheld(status, VAULT_REPORT_OBJECTIONS, report, err);
    }
    if (status == KL_OK) {
        status = vault_disclosures_show(dossier->vault, dossier->caller, &dossier->subject,
                                        dossier->arena, &report->disclosures,
                                        &report->disclosure_count, &dossier->transfers, err);
        status = or_withheld(status, VAULT_REPORT_DISCLOSURES, report, err);
    }
    if (status == KL_OK) {
        add_restriction(dossier, ledger, report);
    }
    return status;
}

static const struct vault_manifest_record *stored_of(const struct vault_dossier *dossier,
                                                     const struct kl_id *id)
{
    const int at = vault_subject_record_find(&dossier->subject, id);

    return at == VAULT_NONE ? NULL : &dossier->subject.records[at];
}

static enum kl_status add_known(struct vault_dossier *dossier, struct vault_report *report,
                                struct kl_err *err)
{
    struct vault_ledger ledger = {0};
    enum kl_status status =
        vault_subject_ledger(dossier->vault, &dossier->subject, dossier->arena, &ledger, err);
    size_t i;

    for (i = 0; status == KL_OK && i < report->told.subject.record_count; i++) {
        const struct vault_manifest_record *stored =
            stored_of(dossier, &report->told.subject.records[i].id);

        status = add_purposes(dossier, stored, &ledger, &report->told.records[i], err);
        report->purposes |=
            vault_policy_record(dossier->caller->policy,
                                vault_policy_record_find(dossier->caller->policy, stored->type))
                ->purposes;
    }
    return status == KL_OK ? add_ledgers(dossier, &ledger, report, err) : status;
}

/* ---- the whole ---- */

enum kl_status vault_report_open(struct vault_dossier *dossier, const struct kl_id *subject,
                                 const char *purpose, struct vault_report *ret, struct kl_err *err)
{
    enum kl_status status = vault_policy_required(dossier->caller, err);
    struct vault_dossier_tries tries = {0};

    dossier->action = VAULT_ACTION_REPORT;
    dossier->act_name = ACTION_NAME;
    dossier->purpose_count = 1;
    if (status == KL_OK) {
        status = vault_purpose_or_none(dossier->caller, purpose, &dossier->purposes[0], err);
    }
    if (status != KL_OK) {
        return status;
    }
    do {
        memset(ret, 0, sizeof *ret);
        status = vault_dossier_open(dossier, subject, &ret->told, err);
        if (status == KL_OK) {
            status = add_known(dossier, ret, err);
        }
    } while (vault_dossier_again(dossier, status, &tries, err));
    return status;
}

enum kl_status vault_dossier_ended(const struct vault_dossier *dossier, enum kl_status status,
                                   struct kl_err *err)
{
    const int purpose = dossier->purpose_count == 1 ? dossier->purposes[0] : VAULT_NONE;

    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = vault_not_found(err);
    }
    return vault_subject_refused(dossier->vault, dossier->caller, dossier->act_name, purpose,
                                 status, err);
}

enum kl_status vault_report_read(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *subject, const char *purpose,
                                 struct kl_arena *arena, struct vault_report *ret,
                                 struct kl_err *err)
{
    struct vault_dossier dossier = {.vault = vault, .caller = caller, .arena = arena};
    struct vault_report report;
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_report_open(&dossier, subject, purpose, &report, err);
    if (status == KL_OK) {
        status = vault_dossier_commit(&dossier, err);
    }
    vault_dossier_done(&dossier);
    status = vault_dossier_ended(&dossier, status, err);
    if (status == KL_OK) {
        *ret = report;
    }
    return status;
}
