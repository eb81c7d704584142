/* What must hold before a step of a request is taken, and what it makes of the request. */
#include "vault/request_internal.h"

#include <string.h>

#define CLOCK_AHEAD_US (5 * 60 * KL_TIME_SECOND_US)
#define NOTHING_TO_DO "nothing_to_do"
#define FURTHER_COPIES "further_copies"
#define IDENTITY_NOT_PROVEN "identity_not_proven"

static enum kl_status invalid(struct kl_err *err, const char *member, const char *code,
                              const char *text)
{
    kl_err_where(err, "/%s", member);
    return kl_fail(err, KL_ERR_INVALID, code, text, NULL);
}

static enum kl_status conflict(struct kl_err *err, const char *code, const char *text)
{
    return kl_fail(err, KL_ERR_CONFLICT, code, text, NULL);
}

/* ---- checks that need no request ---- */

/* 1 to 7 digits, and a point with one or two behind it; not zero. */
static bool amount_valid(const char *amount)
{
    size_t whole = strspn(amount, "0123456789");
    size_t part = amount[whole] == '.' ? strspn(amount + whole + 1, "0123456789") : 0;
    size_t size = amount[whole] == '.' ? whole + 1 + part : whole;

    return whole >= 1 && whole <= 7 && amount[size] == 0 && (size == whole || part >= 1) &&
           part <= 2 && strspn(amount, "0.") != size;
}

static bool currency_valid(const char *currency)
{
    return currency != NULL && strlen(currency) == 3 &&
           strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

static enum kl_status check_fee(const struct vault_request_step *step, struct kl_err *err)
{
    if (step->fee.amount == NULL) {
        return KL_OK;
    }
    if (step->kind != VAULT_REQUEST_COMPLETE) {
        return invalid(err, "fee", "invalid_fee",
                       "a fee is asked for an answer that is given: with its completion");
    }
    if (!amount_valid(step->fee.amount) || !currency_valid(step->fee.currency)) {
        return invalid(err, "fee", "invalid_fee",
                       "a fee has an amount such as \"12.50\" and a currency such as \"EUR\"");
    }
    if (vault_request_word(vault_request_fees, step->fee.reason) == NULL) {
        return invalid(err, "fee/reason", "invalid_fee",
                       "a fee is asked only of what is manifestly_unfounded or excessive, or for "
                       "further_copies: everything else is free");
    }
    return KL_OK;
}

static enum kl_status check_reference(const char *reference, struct kl_err *err)
{
    static const char known[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-";
    size_t size = reference == NULL ? 0 : strnlen(reference, VAULT_REQUEST_REFERENCE_MAX_BYTES + 1);

    if (reference != NULL && (size == 0 || size > VAULT_REQUEST_REFERENCE_MAX_BYTES ||
                              strspn(reference, known) != size)) {
        return invalid(err, "reference", "invalid_value",
                       "a reference is 1 to 128 characters A-Z, a-z, 0-9, dot, _, :, / and -");
    }
    return KL_OK;
}

static enum kl_status check_word(const struct vault_request_step *step, const char **ret_word,
                                 struct kl_err *err)
{
    static const struct {
        const char *const *words;
        const char *member;
        const char *code;
    } of[] = {
        [VAULT_REQUEST_VERIFY] = {vault_request_methods, "method", "invalid_method"},
        [VAULT_REQUEST_EXTEND] = {vault_request_reasons, "reason", "invalid_reason"},
        [VAULT_REQUEST_COMPLETE] = {vault_request_outcomes, "outcome", "invalid_outcome"},
        [VAULT_REQUEST_REJECT] = {vault_request_grounds, "ground", "invalid_ground"},
    };
    enum vault_request_step_kind kind = step->kind;
    const char *code = step->code;

    if (kind == VAULT_REQUEST_COMPLETE && code == NULL) {
        code = vault_request_outcomes[0];
    }
    return vault_request_word_check(of[kind].words, code, of[kind].member, of[kind].code, ret_word,
                                    err);
}

enum kl_status vault_request_step_check(const struct vault_request_step *step,
                                        const char **ret_word, struct kl_err *err)
{
    enum kl_status status = check_word(step, ret_word, err);

    if (status == KL_OK) {
        status = vault_request_note_check(step->note, err);
    }
    if (status == KL_OK) {
        status = check_reference(step->reference, err);
    }
    if (status == KL_OK) {
        status = check_fee(step, err);
    }
    if (status == KL_OK && step->kind == VAULT_REQUEST_EXTEND && step->told_us == 0) {
        status = invalid(err, "told_at", "missing_key",
                         "an extension is one of which the person was told: say when");
    }
    return status;
}

/* ---- checks against the request ---- */

enum kl_status vault_request_open_check(const struct vault_caller *caller,
                                        const struct vault_request *request, bool completing,
                                        struct kl_err *err)
{
    if (!vault_request_is_open(request)) {
        return conflict(err, "request_closed", "this request was answered already");
    }
    if (completing && request->verified_us == 0 &&
        vault_policy_requests(caller->policy)->verify_identity) {
        return conflict(err, "identity_not_verified",
                        "the policy asks for a check of the person's identity first: verify the "
                        "request");
    }
    return KL_OK;
}

/* The person was told after the request came, and not in the future. */
static enum kl_status check_told(const struct vault_caller *caller,
                                 const struct vault_request *request, int64_t told_us,
                                 struct kl_err *err)
{
    if (told_us != 0 &&
        (told_us < request->received_us || told_us > caller->now_us + CLOCK_AHEAD_US)) {
        return invalid(err, "told_at", "invalid_time",
                       "the person was told after the request was received, and before now");
    }
    return KL_OK;
}

enum kl_status vault_request_erasable(struct vault *vault, const struct vault_caller *caller,
                                      const struct vault_subject *subject,
                                      const struct kl_id *request, struct kl_err *err)
{
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct vault_request opened;
    struct vault_request_row row;
    enum kl_status status = arena == NULL
                                ? kl_fail_memory(err)
                                : vault_request_open(vault, subject->tenant, subject->slot, request,
                                                     arena, &opened, &row, err);

    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = invalid(err, "request", "unknown_request", "this subject has no such request");
    }
    if (status == KL_OK && strcmp(opened.right, VAULT_RIGHT_ERASURE) != 0) {
        status = invalid(err, "request", "wrong_right", "this request is not for an erasure");
    }
    if (status == KL_OK) {
        status = vault_request_open_check(caller, &opened, true, err);
    }
    kl_arena_free(arena);
    return status;
}

/* ---- the steps ---- */

static enum kl_status take_verify(const struct vault_caller *caller,
                                  const struct vault_request_step *step, const char *word,
                                  struct vault_request *request, struct kl_err *err)
{
    if (request->verified_us != 0) {
        return conflict(err, "already_verified", "this person was identified already");
    }
    request->state = VAULT_REQUEST_VERIFIED;
    request->verified_us = caller->now_us;
    request->method = word;
    request->verified_note = step->note;
    return KL_OK;
}

/* Once, and only while the person can be told within the first month (GDPR art. 12(3)). */
static enum kl_status take_extend(const struct vault_caller *caller,
                                  const struct vault_request_step *step, const char *word,
                                  struct vault_request *request, struct kl_err *err)
{
    int64_t told_us = step->told_us;

    if (request->extended_us != 0) {
        return conflict(err, "already_extended", "an answer is put off once and no more");
    }
    if (caller->now_us > request->due_us || told_us > request->due_us) {
        return conflict(err, "extension_too_late",
                        "the person is told of an extension before the first deadline, which is "
                        "over");
    }
    request->extended_us = caller->now_us;
    request->extended_told_us = told_us;
    request->reason = word;
    request->extended_note = step->note;
    request->first_due_us = request->due_us;
    request->due_us =
        vault_request_extended_due(vault_policy_requests(caller->policy), request->received_us);
    return KL_OK;
}

static enum kl_status take_reject(const struct vault_caller *caller,
                                  const struct vault_request_step *step, const char *word,
                                  struct vault_request *request, struct kl_err *err)
{
    if (request->verified_us != 0 && strcmp(word, IDENTITY_NOT_PROVEN) == 0) {
        return conflict(err, "identity_verified",
                        "this person was identified: take another ground");
    }
    request->state = VAULT_REQUEST_REJECTED;
    request->closed_us = caller->now_us;
    request->closed_told_us = step->told_us;
    request->ground = word;
    request->closed_note = step->note;
    return KL_OK;
}

/* What the vault does not do by itself is done elsewhere, and said where. */
static enum kl_status take_complete(const struct vault_caller *caller,
                                    const struct vault_request_step *step, const char *word,
                                    struct vault_request *request, struct kl_err *err)
{
    if (step->reference == NULL && strcmp(word, NOTHING_TO_DO) != 0) {
        return invalid(
            err, "reference", "missing_key",
            "say where what was done is to be found: the vault does not do it by itself");
    }
    if (step->fee.reason != NULL && strcmp(step->fee.reason, FURTHER_COPIES) == 0 &&
        strcmp(request->right, VAULT_RIGHT_ACCESS) != 0) {
        return invalid(err, "fee/reason", "invalid_fee",
                       "further copies are those of an answer to a request for access");
    }
    request->state = VAULT_REQUEST_COMPLETED;
    request->closed_us = caller->now_us;
    request->closed_told_us = step->told_us;
    request->outcome = word;
    request->reference = step->reference;
    request->closed_note = step->note;
    request->fee = step->fee;
    request->fee.reason = vault_request_word(vault_request_fees, step->fee.reason);
    return KL_OK;
}

enum kl_status vault_request_step_take(const struct vault_caller *caller,
                                       const struct vault_request_step *step, const char *word,
                                       struct vault_request *request, struct kl_err *err)
{
    enum vault_request_step_kind kind = step->kind;
    enum kl_status status =
        vault_request_open_check(caller, request, kind == VAULT_REQUEST_COMPLETE, err);

    if (status == KL_OK) {
        status = check_told(caller, request, step->told_us, err);
    }
    if (status != KL_OK) {
        return status;
    }
    switch (kind) {
    case VAULT_REQUEST_VERIFY:
        return take_verify(caller, step, word, request, err);
    case VAULT_REQUEST_EXTEND:
        return take_extend(caller, step, word, request, err);
    case VAULT_REQUEST_REJECT:
        return take_reject(caller, step, word, request, err);
    case VAULT_REQUEST_COMPLETE:
        break;
    }
    return take_complete(caller, step, word, request, err);
}
