/* The steps of a request: its person identified, its answer put off, given or refused. */
#include "vault/erasure.h"
#include "vault/idempotency.h"
#include "vault/receipt.h"
#include "vault/report_internal.h"
#include "vault/request_internal.h"

#include <string.h>

#define NOTHING_TO_DO "nothing_to_do"
#define PORTABILITY "portability"

/* A step being taken. */
struct stepping {
    const struct vault_request_step *step;
    const struct kl_id *id;
    const struct vault_idempotency *idempotency;
    const struct vault_idempotency_ticket *ticket;
    struct kl_arena *arena;
    struct kl_id subject;
    const char *word; /* the step's code */
    struct vault_request_result result;
    struct kl_buf *receipt;
    bool replayed;
};

static const char *action_of(enum vault_request_step_kind kind)
{
    static const char *const actions[] = {
        [VAULT_REQUEST_VERIFY] = "request_verify",
        [VAULT_REQUEST_EXTEND] = "request_extend",
        [VAULT_REQUEST_COMPLETE] = "request_complete",
        [VAULT_REQUEST_REJECT] = "request_reject",
    };

    return actions[kind];
}

static void step_act(struct vault_change *change, const struct stepping *stepping,
                     const struct vault_request *request)
{
    static const char *const members[] = {"method", "reason", "outcome", "ground"};
    struct kl_json_out *out = &change->act.out;

    vault_request_act_begin(&change->act, change->caller, action_of(stepping->step->kind),
                            change->subject.slot, request, VAULT_NONE);
    kl_json_add_text(out, members[stepping->step->kind], stepping->word);
    if (request->fee.reason != NULL) {
        kl_json_add_text(out, "fee", request->fee.reason);
    }
    kl_json_add_time(out, "due_at", request->due_us);
}

static enum kl_status step_body(struct vault_change *change, void *context, struct kl_err *err)
{
    struct stepping *stepping = context;
    struct vault_request request;
    struct vault_request_row was;
    bool plain = false;
    int transfer = VAULT_NONE;
    enum kl_status status = vault_request_allowed(change->caller, &change->subject, err);

    if (status == KL_OK) {
        status = vault_request_open(change->vault, change->subject.tenant, change->subject.slot,
                                    stepping->id, change->arena, &request, &was, err);
    }
    if (status == KL_OK) {
        status = vault_request_may_leave(change->vault, change->caller, &change->subject,
                                         change->arena, &plain, &transfer, err);
    }
    if (status == KL_OK) {
        status =
            vault_request_step_take(change->caller, stepping->step, stepping->word, &request, err);
    }
    if (status == KL_OK) {
        status = vault_request_put(change, &request, was.value, &was, err);
    }
    if (status == KL_OK) {
        status = vault_request_remember(change, stepping->ticket, &request.id, was.value, err);
    }
    if (status == KL_OK) {
        status = vault_request_result_of(change->caller, &change->subject, &request, plain,
                                         stepping->arena, &stepping->result, err);
    }
    if (status == KL_OK) {
        step_act(change, stepping, &request);
    }
    return status;
}

/* ---- what the vault does by itself ---- */

/*
 * How a request for each right is completed. A right without a function is done elsewhere, or through its own routes, and its completion refers
 * to that; one with a function does it, attaches what it proves it with, and closes the request.
 */
typedef enum kl_status (*completion_run)(struct vault *vault, const struct vault_caller *caller,
                                         struct stepping *stepping,
                                         const struct vault_request *request, struct kl_err *err);

/* The request goes with its subject: there is nowhere to keep anything else that is said of it. */
static enum kl_status run_erasure(struct vault *vault, const struct vault_caller *caller,
                                  struct stepping *stepping, const struct vault_request *request,
                                  struct kl_err *err)
{
    const struct vault_request_step *step = stepping->step;
    struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_ERASE, VAULT_NONE, VAULT_NONE, &stepping->subject);
    enum kl_status status = KL_OK;

    if (step->note != NULL || step->reference != NULL || step->told_us != 0 ||
        step->fee.amount != NULL || strcmp(stepping->word, vault_request_outcomes[0]) != 0) {
        return kl_fail(err, KL_ERR_INVALID, "not_kept",
                       "of an erased person nothing is kept but the receipt: leave out all but "
                       "the outcome \"done\"",
                       NULL);
    }
    if (query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "role_forbidden",
                       "to complete an erasure is to erase: the role needs that too", NULL);
    }
    status = vault_subject_erase_for(vault, caller, &stepping->subject, VAULT_ERASE_REQUEST,
                                     stepping->id, stepping->idempotency, stepping->receipt,
                                     &stepping->replayed, err);
    if (status == KL_OK) {
        stepping->result.subject = stepping->subject;
        stepping->result.request.id = *stepping->id;
        stepping->result.request.right = request->right;
        stepping->result.request.state = VAULT_REQUEST_COMPLETED;
    }
    return status;
}

static enum kl_status step_change(struct vault *vault, const struct vault_caller *caller,
                                  struct stepping *stepping, struct kl_err *err);

/* Whether the document that the right is owed is made with this completion: it was not made elsewhere. */
static bool makes_document(const struct stepping *stepping)
{
    return stepping->step->answering != NULL && stepping->step->reference == NULL &&
           strcmp(stepping->word, NOTHING_TO_DO) != 0;
}

/* An access report, or an export: made, told to the trail, and then the request closed with what it was. */
static enum kl_status run_document(struct vault *vault, const struct vault_caller *caller,
                                   struct stepping *stepping, const struct vault_request *request,
                                   struct kl_err *err)
{
    const bool access = strcmp(request->right, VAULT_RIGHT_ACCESS) == 0;
    const struct vault_request_step *asked = stepping->step;
    struct vault_request_step step = *asked;
    struct vault_query query =
        vault_query_of(caller, access ? VAULT_ACTION_REPORT : VAULT_ACTION_EXPORT, VAULT_NONE,
                       VAULT_NONE, &stepping->subject);
    enum kl_status status = KL_OK;

    if (query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "role_forbidden",
                       "to complete this is to make its document: the role needs report or export "
                       "too, or a reference to where it was made",
                       NULL);
    }
    status = vault_answer_make(vault, caller, &stepping->subject, access, step.answering,
                               stepping->arena, &step.reference, err);
    if (status == KL_OK) {
        stepping->step = &step;
        status = step_change(vault, caller, stepping, err);
        stepping->step = asked;
    }
    if (status != KL_OK || stepping->replayed) {
        kl_buf_clear(step.answering->document);
    }
    return status;
}

/* NULL: the right is completed with a reference. */
static completion_run completion_of(const struct stepping *stepping, const char *right)
{
    static const struct {
        const char *right;
        completion_run run;
    } completions[] = {{VAULT_RIGHT_ERASURE, run_erasure},
                       {VAULT_RIGHT_ACCESS, run_document},
                       {PORTABILITY, run_document}};
    size_t i;

    for (i = 0; i < sizeof completions / sizeof completions[0]; i++) {
        if (strcmp(completions[i].right, right) == 0) {
            return completions[i].run != run_document || makes_document(stepping)
                       ? completions[i].run
                       : NULL;
        }
    }
    return NULL;
}

static enum kl_status check_document(const struct stepping *stepping, completion_run run,
                                     struct kl_err *err)
{
    const struct vault_answering *answering = stepping->step->answering;

    if (answering == NULL || !answering->asked || run == run_document) {
        return KL_OK;
    }
    kl_err_where(err, "/format");
    return kl_fail(err, KL_ERR_INVALID, "no_document",
                   "this completion makes no document that could have a format", NULL);
}

/* ---- a step ---- */

/* Whose request it is, and, to complete it, what is asked; may the caller know of it at all? */
static enum kl_status step_find(struct vault *vault, const struct vault_caller *caller,
                                struct stepping *stepping, struct vault_request *ret,
                                struct kl_err *err)
{
    struct vault_subject subject = {0};
    struct vault_request_row row;
    uint64_t slot = 0;
    enum kl_status status = vault_request_slot(vault, caller->tenant, stepping->id, &slot, err);

    if (status == KL_OK) {
        status = vault_subject_load(vault, caller->tenant, slot, stepping->arena, &subject, err);
    }
    if (status == KL_OK && caller->bound &&
        !kl_id_equal(&caller->bound_subject, &subject.base.subject)) {
        status = vault_request_not_found(err);
    }
    if (status == KL_OK) {
        status = vault_request_allowed(caller, &subject, err);
    }
    if (status == KL_OK) {
        stepping->subject = subject.base.subject;
        status = vault_request_open(vault, caller->tenant, slot, stepping->id, stepping->arena, ret,
                                    &row, err);
    }
    vault_subject_done(&subject);
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) {
        return vault_request_not_found(err);
    }
    if (status == KL_OK && caller->bound) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "self_service",
                       "whoever answers a request is not the person who made it", NULL);
    }
    return status;
}

/* The key's turn is not held: an erasure takes it by itself. */
static enum kl_status step_run(struct vault *vault, const struct vault_caller *caller,
                               completion_run run, struct stepping *stepping,
                               const struct vault_request *request, struct kl_err *err)
{
    enum kl_status status = vault_request_open_check(caller, request, true, err);

    return status == KL_OK ? run(vault, caller, stepping, request, err) : status;
}

static enum kl_status step_change(struct vault *vault, const struct vault_caller *caller,
                                  struct stepping *stepping, struct kl_err *err)
{
    struct vault_idempotency_ticket ticket = {0};
    struct kl_id request;
    struct kl_buf answer;
    enum kl_status status = KL_OK;

    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    status = vault_idempotency_begin(vault, caller, stepping->idempotency, &ticket, &answer, err);
    stepping->ticket = &ticket;
    stepping->replayed = answer.size > 0;
    if (status == KL_OK && stepping->replayed) {
        status = vault_request_remembered(kl_buf_slice(&answer), &request)
                     ? vault_request_read(vault, caller, &request, stepping->arena,
                                          &stepping->result, err)
                     : kl_fail(err, KL_ERR_CORRUPT, "idempotency_damaged",
                               "a stored answer cannot be read", NULL);
    } else if (status == KL_OK) {
        status = vault_subject_change(vault, caller, &stepping->subject, step_body, stepping, err);
        if (status == KL_ERR_NOT_FOUND) {
            status = vault_request_not_found(err);
        }
    }
    vault_idempotency_end(vault, &ticket);
    kl_buf_done(&answer);
    return status;
}

/*
 * An erasure that was done for an earlier request with this key: its receipt is all there is, the request is gone. ret_there false: there was
 * none. ret_closed: that earlier request closed one that is still there.
 */
static enum kl_status erased_again(struct vault *vault, const struct vault_caller *caller,
                                   struct stepping *stepping, bool *ret_there, bool *ret_closed,
                                   struct kl_err *err)
{
    struct vault_idempotency_ticket ticket = {0};
    struct kl_id receipt;
    struct kl_buf answer;
    enum kl_status status = KL_OK;

    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    status = vault_idempotency_begin(vault, caller, stepping->idempotency, &ticket, &answer, err);
    *ret_closed = status == KL_OK && answer.size == VAULT_REQUEST_ANSWER_BYTES;
    if (status == KL_OK && answer.size == KL_ID_BYTES) {
        memcpy(receipt.bytes, answer.bytes, KL_ID_BYTES);
        status = vault_receipt_again(vault, caller->tenant, &receipt, NULL, stepping->receipt, err);
        if (status == KL_OK) {
            *ret_there = true;
            stepping->replayed = true;
            stepping->result.request.id = *stepping->id;
            stepping->result.request.right = VAULT_RIGHT_ERASURE;
            stepping->result.request.state = VAULT_REQUEST_COMPLETED;
        }
    }
    vault_idempotency_end(vault, &ticket);
    kl_buf_done(&answer);
    return status;
}

static enum kl_status step_asked(struct vault *vault, const struct vault_caller *caller,
                                 struct stepping *stepping, struct kl_err *err)
{
    struct vault_request request = {.right = NULL};
    completion_run run = NULL;
    bool there = false;
    bool closed = false;
    enum kl_status status = KL_OK;

    if (!vault_request_allowed_any(caller)) {
        return vault_request_not_found(err);
    }
    status = vault_request_step_check(stepping->step, &stepping->word, err);
    if (status == KL_OK && stepping->step->kind == VAULT_REQUEST_COMPLETE) {
        status = erased_again(vault, caller, stepping, &there, &closed, err);
    }
    if (status != KL_OK || there) {
        return status;
    }
    status = step_find(vault, caller, stepping, &request, err);
    if (status != KL_OK) {
        return status;
    }
    run = stepping->step->kind == VAULT_REQUEST_COMPLETE && !closed
              ? completion_of(stepping, request.right)
              : NULL;
    status = closed ? KL_OK : check_document(stepping, run, err);
    if (status != KL_OK) {
        return status;
    }
    return run == NULL ? step_change(vault, caller, stepping, err)
                       : step_run(vault, caller, run, stepping, &request, err);
}

enum kl_status vault_request_take(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *request,
                                  const struct vault_request_step *step,
                                  const struct vault_idempotency *idempotency,
                                  struct kl_arena *arena, struct vault_request_result *ret,
                                  struct kl_buf *ret_receipt, bool *ret_replayed,
                                  struct kl_err *err)
{
    struct stepping stepping = {.step = step,
                                .id = request,
                                .idempotency = idempotency,
                                .arena = arena,
                                .receipt = ret_receipt};
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    status = step_asked(vault, caller, &stepping, err);
    if (status == KL_OK) {
        *ret = stepping.result;
        *ret_replayed = stepping.replayed;
    }
    return vault_subject_refused(vault, caller, action_of(step->kind), VAULT_NONE, status, err);
}
