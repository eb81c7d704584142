/*
 * What the files about requests share: one request found and opened, who may manage it, and its rows and text written as part of a change.
 * Threads: any.
 */
#ifndef VAULT_REQUEST_INTERNAL_H
#define VAULT_REQUEST_INTERNAL_H

#include "vault/request_rows.h"
#include "vault/request_text.h"
#include "vault/subject_internal.h"

/* Rights of which the vault knows more than the word (request_text.c has all). */
#define VAULT_RIGHT_ERASURE "erasure"
#define VAULT_RIGHT_ACCESS "access"

/* The answer that tells nothing of a request. */
enum kl_status vault_request_not_found(struct kl_err *err);

/* May the caller manage requests of that subject? KL_ERR_NOT_FOUND "not_found", KL_ERR_FORBIDDEN "withheld". */
KL_MUST_USE enum kl_status vault_request_allowed(const struct vault_caller *caller,
                                                 const struct vault_subject *subject,
                                                 struct kl_err *err);
/* Whether the caller may manage anybody's. */
bool vault_request_allowed_any(const struct vault_caller *caller);

/*
 * The slot of the subject that a request is of. KL_ERR_NOT_FOUND "not_found".
 */
KL_MUST_USE enum kl_status vault_request_slot(struct vault *vault, uint64_t tenant,
                                              const struct kl_id *request, uint64_t *ret_slot,
                                              struct kl_err *err);
/* A request of a subject that is at hand, opened; texts are the arena's. KL_ERR_NOT_FOUND "not_found", KL_ERR_GONE, KL_ERR_CORRUPT. */
KL_MUST_USE enum kl_status vault_request_open(struct vault *vault, uint64_t tenant, uint64_t slot,
                                              const struct kl_id *request, struct kl_arena *arena,
                                              struct vault_request *ret,
                                              struct vault_request_row *ret_row,
                                              struct kl_err *err);
/* Seal it, and write its rows. was NULL: it is new, and *value was taken for it; else as it was opened. */
KL_MUST_USE enum kl_status vault_request_put(struct vault_change *change,
                                             const struct vault_request *request, uint64_t value,
                                             const struct vault_request_row *was,
                                             struct kl_err *err);

/*
 * Whether what is known of a request may be shown where the credential is. ret_plain: its notes too (never a steward's). ret_transfer: the
 * policy's line that allows it, VAULT_NONE when none was needed. KL_ERR_FORBIDDEN "withheld".
 */
KL_MUST_USE enum kl_status vault_request_may_leave(struct vault *vault,
                                                   const struct vault_caller *caller,
                                                   const struct vault_subject *subject,
                                                   struct kl_arena *arena, bool *ret_plain,
                                                   int *ret_transfer, struct kl_err *err);
/* The result of a request; plain false: without notes and reference. Texts are copied to the arena. */
KL_MUST_USE enum kl_status vault_request_result_of(const struct vault_caller *caller,
                                                   const struct vault_subject *subject,
                                                   const struct vault_request *request, bool plain,
                                                   struct kl_arena *arena,
                                                   struct vault_request_result *ret,
                                                   struct kl_err *err);
/* Begin the entry of an act on a request. transfer: VAULT_NONE: none. */
void vault_request_act_begin(struct vault_act *act, const struct vault_caller *caller,
                             const char *action, uint64_t slot, const struct vault_request *request,
                             int transfer);

/* What is remembered for an Idempotency-Key: a request's id behind a letter (an erasure's receipt has none). */
#define VAULT_REQUEST_ANSWER_BYTES (1 + KL_ID_BYTES)
KL_MUST_USE enum kl_status vault_request_remember(struct vault_change *change,
                                                  const struct vault_idempotency_ticket *ticket,
                                                  const struct kl_id *request, uint64_t value,
                                                  struct kl_err *err);
/* The id that was remembered. False: it is no such answer. */
bool vault_request_remembered(struct kl_slice answer, struct kl_id *ret_request);

/* A free text: NULL, or at most VAULT_REQUEST_NOTE_MAX_BYTES of UTF-8. KL_ERR_TOO_LARGE "value_too_large", KL_ERR_INVALID "invalid_value" at /note. */
KL_MUST_USE enum kl_status vault_request_note_check(const char *note, struct kl_err *err);
/* The word of a list; KL_ERR_INVALID code, at /member, whose text names the words. */
KL_MUST_USE enum kl_status vault_request_word_check(const char *const *words, const char *text,
                                                    const char *member, const char *code,
                                                    const char **ret, struct kl_err *err);

/*
 * Before an erasure of a subject on a request: the request must be the subject's, for its erasure, open, and identified where the policy asks for
 * it. KL_ERR_INVALID "unknown_request", "wrong_right"; KL_ERR_CONFLICT "request_closed", "identity_not_verified".
 */
KL_MUST_USE enum kl_status vault_request_erasable(struct vault *vault,
                                                  const struct vault_caller *caller,
                                                  const struct vault_subject *subject,
                                                  const struct kl_id *request, struct kl_err *err);
/* KL_ERR_CONFLICT "request_closed"; with completing also "identity_not_verified". */
KL_MUST_USE enum kl_status vault_request_open_check(const struct vault_caller *caller,
                                                    const struct vault_request *request,
                                                    bool completing, struct kl_err *err);

/*
 * What can be said of a step without its request: its code (ret_word, static; a completion's may be left out), note, reference, fee. KL_ERR_INVALID
 * "invalid_method", "invalid_reason", "invalid_outcome", "invalid_ground", "invalid_value", "invalid_fee", "missing_key" at the member;
 * KL_ERR_TOO_LARGE "value_too_large".
 */
KL_MUST_USE enum kl_status vault_request_step_check(const struct vault_request_step *step,
                                                    const char **ret_word, struct kl_err *err);
/*
 * A checked step taken on the opened request, in memory; its texts are the step's. KL_ERR_CONFLICT "request_closed", "identity_not_verified",
 * "already_verified", "already_extended", "extension_too_late", "identity_verified"; KL_ERR_INVALID "invalid_time", "missing_key", "invalid_fee".
 */
KL_MUST_USE enum kl_status vault_request_step_take(const struct vault_caller *caller,
                                                   const struct vault_request_step *step,
                                                   const char *word, struct vault_request *request,
                                                   struct kl_err *err);

#endif
