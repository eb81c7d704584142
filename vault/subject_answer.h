/*
 * The answer to a request that made a subject or a record, and its memory
 * for a request that comes again: ids, types and times, no values.
 */
#ifndef VAULT_SUBJECT_ANSWER_H
#define VAULT_SUBJECT_ANSWER_H

#include "vault/idempotency.h"
#include "vault/subject_internal.h"

#include <stddef.h>

/* Records first .. first + count - 1 of the subject, copied into the arena. */
KL_MUST_USE enum kl_status vault_answer_result(const struct vault_subject *subject, size_t first,
                                               size_t count, struct kl_arena *arena,
                                               struct vault_subject_result *ret,
                                               struct kl_err *err);
/* Add the idempotency row with those records to the change; nothing without a key. That of one record is sealed with it, and goes with it. */
KL_MUST_USE enum kl_status vault_answer_remember(struct vault_change *change,
                                                 const struct vault_idempotency_ticket *ticket,
                                                 size_t first, size_t count, struct kl_err *err);
/* The result once more. KL_ERR_CORRUPT. */
KL_MUST_USE enum kl_status vault_answer_replay(struct kl_slice answer, struct kl_arena *arena,
                                               struct vault_subject_result *ret,
                                               struct kl_err *err);

/* Names of fields by record type, and of purposes consented to, of drafted records: members of an audit entry (subject_create.c). */
void vault_act_drafts(struct vault_act *act, const struct vault_policy *policy,
                      const struct vault_record_draft *drafts, size_t count);
void vault_act_consents(struct vault_act *act, const struct vault_policy *policy,
                        const struct vault_record_draft *drafts, size_t count);

#endif
