/* An erasure being put together: what erasure.c, erasure_entries.c and erasure_told.c share. */
#ifndef VAULT_ERASURE_PLAN_H
#define VAULT_ERASURE_PLAN_H

#include "vault/erasure.h"
#include "vault/retained.h"
#include "vault/statistics.h"
#include "vault/subject_unknown.h"

/*
 * record     VAULT_NONE: the whole subject.
 * request    that it answers; NULL: none.
 * scratch    one value at a time: all of somebody's may be more than there is room for.
 * entries    of the index that go; changes, ranges, erasing: what the key commit is asked to do.
 * kept       lines of what is kept of the subject (retained.h), empty before vault_kept_of(); kept_of: of which records there are some. A record
 *            then has only the fields that are kept.
 * marked     it is marked dying. by_vault: no role is asked. unopened: the subject is erased by its id alone, its records do not open.
 * waiting    what it gives to statistics.
 */
struct vault_erase_plan {
    struct vault *vault;
    const struct vault_caller *caller;
    struct kl_arena *arena;
    struct kl_arena *scratch;
    struct vault_subject subject;
    enum vault_note_kind kind;
    int record;
    const struct kl_id *request;
    struct vault_erasing erasing;
    struct vault_kept *kept;
    size_t kept_count;
    bool kept_of[VAULT_RECORDS_MAX];
    struct vault_index_entry *entries;
    size_t entry_count;
    struct kms_change *changes;
    size_t change_count;
    struct kms_range ranges[VAULT_UNKNOWN_RANGES_MAX];
    size_t range_count;
    bool marked;
    bool by_vault;
    bool unopened;
    struct vault_waiting_ticket waiting;
};

/* Whether the record is there, and one of those that are asked about. */
bool vault_erase_is_meant(const struct vault_erase_plan *plan, size_t at);

/* Find the entries of what is there now, and of what was: a removed entry still stands in the old bytes of its bucket. */
KL_MUST_USE enum kl_status vault_erase_entries_gather(struct vault_erase_plan *plan,
                                                      struct kl_err *err);
/* Add the re-keying of their buckets to the changes, for which there is room for places_max. */
KL_MUST_USE enum kl_status vault_erase_entries_rekey(struct vault_erase_plan *plan,
                                                     size_t places_max, struct kl_err *err);

/*
 * Name in the note those who received something of what goes, and are to be told (GDPR art. 19). A ledger that does not open keeps nobody from being erased:
 * then all who may have received something are named.
 */
KL_MUST_USE enum kl_status vault_erase_recipients_note(struct vault_erase_plan *plan,
                                                       struct kl_err *err);

#endif
