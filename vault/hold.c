/* Holds: records that somebody must keep for a while, whatever else is erased. */
#include "kluis/base/time.h"
#include "vault/retained.h"

#include <stdio.h>
#include <string.h>

#define HOLD_MAX_US (INT64_C(100) * 366 * KL_TIME_DAY_US)

/* basis NULL: the hold ends. */
struct holding {
    const struct kl_id *record;
    const char *basis;
    int64_t until_us;
};

static bool basis_valid(const char *basis)
{
    size_t size = strnlen(basis, VAULT_HOLD_BASIS_MAX_BYTES + 1);

    return size >= 1 && size <= VAULT_HOLD_BASIS_MAX_BYTES && basis[0] >= 'a' && basis[0] <= 'z' &&
           strspn(basis, "abcdefghijklmnopqrstuvwxyz0123456789_-") == size;
}

static enum kl_status hold_set(struct vault_change *change, size_t at,
                               const struct holding *holding, struct kl_err *err)
{
    struct vault_manifest_record *record = &change->subject.records[at];
    int64_t now_us = change->caller->now_us;

    if (holding->basis == NULL && !vault_record_is_held(record, now_us)) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "no_hold", "this record is not held", NULL);
    }
    record->hold_basis = holding->basis;
    record->hold_until_us = holding->until_us;
    vault_subject_act_begin(&change->act, change->caller,
                            holding->basis == NULL ? "hold_end" : "hold", change->subject.slot);
    kl_json_add_int(&change->act.out, "record", (int64_t)change->subject.head.records[at].value);
    if (holding->basis != NULL) {
        kl_json_add_text(&change->act.out, "basis", holding->basis);
        kl_json_add_time(&change->act.out, "until", holding->until_us);
    }
    return vault_change_record_seal(change, at, err);
}

static enum kl_status hold_body(struct vault_change *change, void *context, struct kl_err *err)
{
    const struct holding *holding = context;
    int at = vault_subject_record_find(&change->subject, holding->record);
    enum kl_status status = KL_OK;

    if (at == VAULT_NONE) {
        return vault_not_found(err);
    }
    status = vault_subject_allowed(change->caller, VAULT_ACTION_HOLD, &change->subject, at, err);
    return status == KL_OK ? hold_set(change, (size_t)at, holding, err) : status;
}

static enum kl_status check_input(const struct holding *holding, int64_t now_us, struct kl_err *err)
{
    if (!basis_valid(holding->basis)) {
        kl_err_where(err, "/basis");
        return kl_failf(
            err, KL_ERR_INVALID, "invalid_basis",
            "a basis is a name of at most %d characters a-z, 0-9, _ and -, starting with a letter",
            VAULT_HOLD_BASIS_MAX_BYTES);
    }
    if (holding->until_us <= now_us || holding->until_us - now_us > HOLD_MAX_US) {
        kl_err_where(err, "/until");
        return kl_fail(err, KL_ERR_INVALID, "invalid_until",
                       "a hold ends within the next 100 years", NULL);
    }
    return KL_OK;
}

static enum kl_status change_hold(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *subject, struct holding *holding,
                                  struct kl_err *err)
{
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status == KL_OK && holding->basis != NULL) {
        status = check_input(holding, caller->now_us, err);
    }
    if (status == KL_OK) {
        status = vault_subject_change(vault, caller, subject, hold_body, holding, err);
    }
    return vault_subject_refused(vault, caller, holding->basis == NULL ? "hold_end" : "hold",
                                 VAULT_NONE, status, err);
}

enum kl_status vault_record_hold(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *subject, const struct kl_id *record,
                                 const char *basis, int64_t until_us, struct kl_err *err)
{
    struct holding holding = {.record = record, .basis = basis, .until_us = until_us};

    return change_hold(vault, caller, subject, &holding, err);
}

enum kl_status vault_record_release(struct vault *vault, const struct vault_caller *caller,
                                    const struct kl_id *subject, const struct kl_id *record,
                                    struct kl_err *err)
{
    struct holding holding = {.record = record};

    return change_hold(vault, caller, subject, &holding, err);
}
