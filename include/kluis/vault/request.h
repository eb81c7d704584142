/*
 * Requests of data subjects (GDPR art. 12, 15 to 22; withdrawal: art. 7(3)):
 * received, the person's identity checked, answered within a month, extended
 * at most once, completed or refused. Each lies under a key of its subject
 * and goes with it; what an erasure leaves of its request is its id, in the receipt and in the trail.
 *
 * Deadlines are counted by the calendar, as Regulation (EEC, Euratom) 1182/71, art. 3, says: the day of receipt does not count; a month
 * ends with the last hour of the day that has the same number, or of the month's last day where there is none. Days are those of UTC, and
 * a deadline on a holiday is not put off (the earlier date is in time everywhere). An answer's time never goes beyond a month, with the
 * extension beyond three months, whatever the policy says (art. 12(3)).
 *
 * Who may: roles with `manage_requests` on all that the subject has, and stewards, who are not shown notes. A credential bound to one subject
 * may make and read its own requests and no more. Everybody else finds nothing: KL_ERR_NOT_FOUND "not_found".
 *
 * Errors of every call besides: those that subject.h names for all. Threads: any.
 */
#ifndef KLUIS_VAULT_REQUEST_H
#define KLUIS_VAULT_REQUEST_H

#include "kluis/vault/report.h"
#include "kluis/vault/subject.h"

#define VAULT_REQUEST_PREFIX "req"
#define VAULT_REQUESTS_MAX 256 /* of one subject, the closed ones too */
#define VAULT_REQUEST_NOTE_MAX_BYTES 2048
#define VAULT_REQUEST_REFERENCE_MAX_BYTES 128
#define VAULT_REQUEST_FEE_MAX_BYTES 12

/*
 * The closed lists, each ended by NULL.
 *
 * rights    access (15), rectification (16, completing too), erasure (17), restriction (18), portability (20), objection (21), automated_decision
 *           (22), withdrawal (7(3))
 * methods   how a person was identified, from the least intrusive on (EDPB Guidelines 01/2022 on access, 3.2 and 3.3)
 * reasons   why an answer takes longer (art. 12(3))
 * grounds   why a request is refused: manifestly_unfounded, excessive (12(5)); identity_not_proven (12(2), 12(6)); legal_exception (17(3), 23, and
 *           others); rights_of_others (15(4), 20(4)); not_applicable (the right does not reach this); withdrawn_by_person
 * outcomes  of a completion
 * fees      why a fee is asked: manifestly_unfounded, excessive (12(5)); further_copies (15(3), access alone)
 */
extern const char *const vault_request_rights[];
extern const char *const vault_request_methods[];
extern const char *const vault_request_reasons[];
extern const char *const vault_request_grounds[];
extern const char *const vault_request_outcomes[];
extern const char *const vault_request_fees[];

enum vault_request_state {
    VAULT_REQUEST_RECEIVED,
    VAULT_REQUEST_VERIFIED,
    VAULT_REQUEST_COMPLETED,
    VAULT_REQUEST_REJECTED,
    VAULT_REQUEST_STATES
};
const char *vault_request_state_name(enum vault_request_state state);

/* A fee: amount "12.50" (at most 7 digits before and 2 behind the point, not zero), currency of ISO 4217's form, reason from vault_request_fees. */
struct vault_request_fee {
    const char *amount; /* NULL: none */
    const char *currency;
    const char *reason;
};
/* A request as it is kept. Texts are NULL, and times 0, where there is none. */
struct vault_request {
    struct kl_id id;
    const char *right;
    enum vault_request_state state;
    int64_t received_us;
    int64_t aim_us; /* what the controller aims at */
    int64_t due_us;
    const char *channel;
    const char *note;
    int64_t verified_us;
    const char *method;
    const char *verified_note;
    int64_t extended_us;
    int64_t extended_told_us; /* when the person was told */
    int64_t first_due_us;     /* the deadline before */
    const char *reason;
    const char *extended_note;
    int64_t closed_us;
    int64_t closed_told_us;
    const char *outcome; /* of a completed one */
    const char *ground;  /* of a rejected one */
    const char *reference;
    const char *closed_note;
    struct vault_request_fee fee;
};
struct vault_request_result {
    struct kl_id subject;
    struct vault_request request;
    bool overdue; /* open, and its deadline is over */
};

/* received_us 0: now. channel: a name, as a consent's; note: free text, at most VAULT_REQUEST_NOTE_MAX_BYTES; each may be NULL. */
struct vault_request_input {
    struct kl_id subject;
    const char *right;
    int64_t received_us;
    const char *channel;
    const char *note;
};
/*
 * Note a request. KL_ERR_INVALID "invalid_right", "invalid_name", "invalid_value", "invalid_time" (to come, before 1970, or said by the person
 * themselves); KL_ERR_TOO_LARGE "value_too_large", "subject_requests_full" (VAULT_REQUESTS_MAX), "subject_full". Idempotency as of
 * vault_subject_create(); *ret_replayed: an earlier request with this key had made it.
 */
KL_MUST_USE enum kl_status vault_request_create(
    struct vault *vault, const struct vault_caller *caller, const struct vault_request_input *input,
    const struct vault_idempotency *idempotency, struct kl_arena *arena,
    struct vault_request_result *ret, bool *ret_replayed, struct kl_err *err);
/* KL_ERR_NOT_FOUND "not_found". KL_ERR_FORBIDDEN "withheld": the gate transfer keeps it from the credential's place. */
KL_MUST_USE enum kl_status vault_request_read(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *request, struct kl_arena *arena,
                                              struct vault_request_result *ret, struct kl_err *err);

/*
 * state: a state's name, "open" (received or verified), "closed", or NULL for all. due_before_us: only those with an earlier deadline, and of
 * all states only open ones; 0: all.
 */
struct vault_request_filter {
    const char *state;
    int64_t due_before_us;
    size_t limit;       /* 1..VAULT_PAGE_MAX */
    const char *cursor; /* NULL: from the start */
};
/*
 * Requests that the caller may know of, open ones first, by their deadlines; without notes and references. An audit entry each. ret_cursor:
 * VAULT_CURSOR_MAX_BYTES + 1 bytes, empty at the end; a page may be short, or empty, and still have one. Where the transfer gate keeps a
 * request from the credential's place it is left out. KL_ERR_INVALID "invalid_state", "invalid_cursor", "invalid_limit"; KL_ERR_FORBIDDEN
 * "role_forbidden": the role manages no requests at all.
 */
KL_MUST_USE enum kl_status vault_request_list(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct vault_request_filter *filter,
                                              struct kl_arena *arena,
                                              struct vault_request_result **ret_requests,
                                              size_t *ret_count, char *ret_cursor,
                                              struct kl_err *err);

enum vault_request_step_kind {
    VAULT_REQUEST_VERIFY,
    VAULT_REQUEST_EXTEND,
    VAULT_REQUEST_COMPLETE,
    VAULT_REQUEST_REJECT
};
/*
 * code       method, reason, outcome (NULL: "done") or ground, by kind
 * told_us    when the person was told; an extension must have it, an identity check has none
 * reference  of a completion: what was done and where it is to be found, [A-Za-z0-9._:/-]. Needed unless the outcome is "nothing_to_do" or the vault
 *            itself does what is asked.
 * answering  of a completion: how the vault makes the document that a right of access or of portability is owed (report.h); NULL: it does not
 */
struct vault_request_step {
    enum vault_request_step_kind kind;
    const char *code;
    int64_t told_us;
    const char *reference;
    const char *note;
    struct vault_request_fee fee;
    const struct vault_answering *answering;
};
/*
 * Take a step. To complete an erasure is to erase: the role needs `erase` too; ret_receipt (made by the caller) gets the receipt, and the request
 * goes with its subject, so that nothing but the outcome may be said of it. To complete an access or a portability without a reference, and
 * with something done, is to make its document: the role needs `report` (or `export`) too; answering->document gets it, once, and the request
 * keeps which it was, when, and its SHA-256 as its reference. Any other right is completed with a reference to what was done.
 *
 * KL_ERR_CONFLICT "request_closed", "already_verified", "already_extended", "extension_too_late" (now, or told, behind the first deadline),
 * "identity_not_verified" (the policy asks for the check before a completion), "identity_verified" (to refuse for want of proof).
 * KL_ERR_INVALID "invalid_method", "invalid_reason", "invalid_outcome", "invalid_ground", "missing_key", "invalid_time" (told: to come, or before
 * the request), "invalid_value", "invalid_fee", "not_kept" (said of an erasure), "no_document" (one was asked for, of a completion that
 * makes none). KL_ERR_TOO_LARGE "value_too_large". KL_ERR_FORBIDDEN
 * "self_service" (a bound credential), "role_forbidden" (an erasure by who may not erase, a document by who may make none), "withheld". Those of
 * vault_subject_erase(), vault_report_read() and vault_export_read().
 *
 * Idempotency as of vault_subject_create(). Of an erasure that is asked again *ret has the id, right and state alone, and subject is zero.
 */
KL_MUST_USE enum kl_status vault_request_take(
    struct vault *vault, const struct vault_caller *caller, const struct kl_id *request,
    const struct vault_request_step *step, const struct vault_idempotency *idempotency,
    struct kl_arena *arena, struct vault_request_result *ret, struct kl_buf *ret_receipt,
    bool *ret_replayed, struct kl_err *err);

#endif
