/*
 * What a controller has to do by itself, in time: ask people again, tell them that a notice changed, let go of what is over, and keep a record
 * of its processing (GDPR art. 5(1)(e), 7, 13, 30).
 *
 * Lists go over all subjects, so a page looks at a bounded number of them, in the order in which they came: it may be short, or empty, and
 * still have a cursor. Each subject who is shown has an audit entry, durable before the page leaves, and counts under the role's
 * volume_per_hour. Nothing is indexed by date, so nothing is left of who is erased.
 *
 * Errors of every call, besides those named there: KL_ERR_REFUSED "no_policy"; KL_ERR_FORBIDDEN "withheld" or "role_forbidden" (nobody may be
 * shown to that role), "volume_exceeded" (err->retry_after_s set); KL_ERR_INVALID "invalid_limit" (1..VAULT_PAGE_MAX), "invalid_cursor";
 * KL_ERR_UNAVAILABLE "audit_unavailable"; KL_ERR_IO; KL_ERR_NO_MEMORY. Results are the arena's, untouched on failure; a buffer is appended to.
 * ret_cursor: VAULT_CURSOR_MAX_BYTES + 1 bytes, empty at the end.
 *
 * Threads: any number in every call; a caller, its arena and its results belong to one at a time.
 */
#ifndef KLUIS_VAULT_DUTIES_H
#define KLUIS_VAULT_DUTIES_H

#include "kluis/base/arena.h"
#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/subject.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vault_stores;

/* ---- whom to ask again, whom to tell ---- */

/*
 * A consent that stands. ends_us: when it ends by itself, or did; KL_TIME_MAX_US: never, as far as is known. by_clock: because the purpose's
 * clock runs out; else it was given until then. counts: now.
 */
struct vault_standing_consent {
    const char *purpose;
    const char *recipient; /* NULL: for the controller */
    const char *notice;
    int64_t given_us;
    int64_t ends_us;
    bool by_clock;
    bool counts;
};
struct vault_consenting_subject {
    struct kl_id id;
    struct vault_standing_consent *consents;
    size_t count;
};

/*
 * Subjects with consents that end before a moment, or have ended and were neither withdrawn nor given again: those given until a date, and those
 * for purposes with `renew: ask` whose clock runs out. Only consents that the role has `consent` for. Who is restricted is not asked (GDPR art. 18).
 * purpose: only those for it; NULL: any. KL_ERR_INVALID "unknown_purpose".
 */
struct vault_consents_due_input {
    int64_t before_us;
    const char *purpose;
    size_t limit;
    const char *cursor; /* NULL: from the start */
};
KL_MUST_USE enum kl_status vault_consents_due(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct vault_consents_due_input *input,
                                              struct kl_arena *arena,
                                              struct vault_consenting_subject **ret_subjects,
                                              size_t *ret_count, char *ret_cursor,
                                              struct kl_err *err);
/*
 * Whom to tell that a notice changes: subjects with a consent that stands and was given under this one; NULL: under another one than the policy
 * now names for the purpose. Consents that the role has `consent` for; who is restricted is left out. KL_ERR_INVALID "invalid_notice".
 */
struct vault_audience_input {
    const char *notice;
    size_t limit;
    const char *cursor;
};
KL_MUST_USE enum kl_status vault_notice_audience(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct vault_audience_input *input,
                                                 struct kl_arena *arena,
                                                 struct vault_consenting_subject **ret_subjects,
                                                 size_t *ret_count, char *ret_cursor,
                                                 struct kl_err *err);

/* ---- what falls due ---- */

/* purpose: the one that keeps it longest; due_us: when that ends, and a hold with it. */
struct vault_due_record {
    struct kl_id id;
    const char *type;
    const char *purpose;
    int64_t due_us;
};
struct vault_due_subject {
    struct kl_id id;
    struct vault_due_record *records;
    size_t count;
    bool whole; /* nothing else is left of the subject */
};
struct vault_due_count {
    const char *type;
    const char *purpose;
    uint64_t records;
};
/*
 * What this page saw: to be added to those of the pages before. subjects: only for a role with `report`, those of whom it may report on a
 * record; a steward and an auditor are shown counts of all.
 */
struct vault_retention_report {
    uint64_t subjects_seen;
    uint64_t subjects_due;
    uint64_t records_due;
    struct vault_due_count *counts;
    size_t count_count;
    struct vault_due_subject *subjects;
    size_t subject_count;
};
/*
 * What the run that erases would find due at that moment, if nothing happened until then: records that no purpose keeps any more, nobody holds,
 * and whose subject is not restricted. limit: of subjects.
 */
KL_MUST_USE enum kl_status vault_report_retention(struct vault *vault,
                                                  const struct vault_caller *caller,
                                                  int64_t before_us, size_t limit,
                                                  const char *cursor, struct kl_arena *arena,
                                                  struct vault_retention_report *ret,
                                                  char *ret_cursor, struct kl_err *err);

/* ---- the record of processing activities ---- */

/*
 * The record of GDPR art. 30(1), or 30(2) where the policy says acting_as: processor, from the policy in force and the state of the vault, as
 * JSON (api/openapi.json, ProcessingRecord). For a role with `report`, stewards and auditors. Subjects and records are counted up to
 * VAULT_PROCESSING_COUNTED_MAX subjects. more: measures of security (art. 32) that are true of whoever serves the vault.
 */
#define VAULT_PROCESSING_COUNTED_MAX 200000
struct vault_measure {
    const char *measure; /* a name, [a-z][a-z_]* */
    const char *text;
};
KL_MUST_USE enum kl_status vault_report_processing(struct vault *vault,
                                                   const struct vault_caller *caller,
                                                   const struct vault_measure *more,
                                                   size_t more_count, struct kl_buf *ret,
                                                   struct kl_err *err);
/*
 * The register of who keeps the vault for others, across all tenants of all stores that are open: each with its controller, what is done for it, transfers,
 * measures, as JSON (api/openapi.json, ProcessingRegister); "complete" is false when a store cannot be opened. For an operator who names no tenant; nothing of
 * people is in it, nor how much is kept. It is an entry of the vault's trail.
 */
KL_MUST_USE enum kl_status vault_report_register(struct vault_stores *stores, struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct vault_measure *more,
                                                 size_t more_count, struct kl_buf *ret,
                                                 struct kl_err *err);

#endif
