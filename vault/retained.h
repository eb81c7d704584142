/*
 * What an erasure kept of records, because somebody must keep it for a while: all that is left of a subject.
 *
 * Each record is kept in lines, one for its hold (all fields) and one for each legal obligation of the policy (the fields that are for it), each
 * until its own end (vault_kept). At the erasure each line gets a fresh value slot of the subject, under which the record's manifest, with the
 * line's fields alone, and the subject's base are sealed once more; the key commit shreds the subject's slot but for those and the values of
 * these fields. So the head row, in data/ and in every backup, does not open any more, and whatever goes by it (ids, lists, lookups,
 * credentials, a rebuilt index) finds nobody. What leads to the record is the receipt of the erasure, by rows beside the keys, which no older
 * data/ reaches:
 *
 *   'V' 'K' tenant8 slot8 value8   a line: format, receipt's id, until, commitment, basis, and the sealed manifest
 *   'V' 'L' tenant8 er16           slot8: of whose erasure the receipt is
 *
 * They are written before the key commit, and what the receipt says of lines is read from them. Rows of an erasure that never came to its commit
 * say so themselves: the subject's base still has its key.
 *
 * At the end of a line one more key commit shreds the subject's slot but for what the lines that are left name: their value slots, and the values of
 * their fields. So a field goes with the last line that needs it, and nothing stays that no line needs. Threads: any.
 */
#ifndef VAULT_RETAINED_H
#define VAULT_RETAINED_H

#include "vault/erasure_note.h"
#include "vault/subject_internal.h"

/* ---- what is to be kept (retained_lines.c) ---- */

/*
 * A line, before the erasure: of the subject's records[record]. purpose: of the policy; VAULT_NONE: it is a hold. fields: what is kept of the record for
 * it; none of an empty record that is held.
 */
struct vault_kept {
    size_t record;
    const char *basis;
    int purpose;
    int64_t until_us;
    struct vault_manifest_field *fields;
    size_t field_count;
};

/* Whether a record is held at that time. */
bool vault_record_is_held(const struct vault_manifest_record *record, int64_t now_us);
/* Until when an erasure at now_us would keep something of a record; now_us: it would keep nothing. */
int64_t vault_kept_until(const struct vault_policy *policy,
                         const struct vault_manifest_record *record, int64_t now_us);
/* The lines of a subject that is erased at now_us, by its records; at most VAULT_RETAINED_MAX. The arena's. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_kept_of(const struct vault_policy *policy,
                                         const struct vault_subject *subject, int64_t now_us,
                                         struct kl_arena *arena, struct vault_kept **ret,
                                         size_t *ret_count, struct kl_err *err);
/* Leave only the fields that some line keeps in records that have lines. */
void vault_kept_narrow(struct vault_subject *subject, const struct vault_kept *kept, size_t count);

/* ---- keeping it (retained_keep.c) ---- */

/*
 * The lines of a subject that is about to be erased, is marked dying, and was narrowed to them: takes their numbers, writes their rows, counts them in note, and adds
 * the KEEPs to changes, for which there is room (one for each line and each field that is left). secret: NULL, or what opens their commitments.
 * KL_ERR_TOO_LARGE "subject_full"; those of vault_retained_write().
 */
KL_MUST_USE enum kl_status vault_retained_keep(struct vault *vault, struct vault_subject *subject,
                                               const struct vault_kept *kept, size_t count,
                                               const unsigned char *secret, struct kl_arena *arena,
                                               struct vault_note *note, struct kms_change *changes,
                                               size_t *change_count, struct kl_err *err);
/* The erasure did not come to its commit: its rows are forgotten, where they can be. */
void vault_retained_undo(struct vault *vault, const struct vault_note *note);

/* ---- its rows (retained.c) ---- */

/*
 * A row 'K', without what is sealed. value: the value slot of the line. commitment: to subject and record, as that of the receipt (receipt.h). basis: a
 * name.
 */
struct vault_retained {
    uint64_t tenant;
    uint64_t slot;
    uint64_t value;
    struct kl_id receipt;
    int64_t until_us;
    unsigned char commitment[VAULT_COMMITMENT_BYTES];
    char basis[VAULT_HOLD_BASIS_MAX_BYTES + 1];
};

/*
 * Write the rows of an erasure, synced, after those of earlier attempts at it were removed. rows[i] is what kept[i] becomes; its value slot was
 * taken for it. KL_ERR_IO and what kms_seal() returns.
 */
KL_MUST_USE enum kl_status vault_retained_write(struct vault *vault,
                                                const struct vault_subject *subject,
                                                const struct vault_kept *kept,
                                                const struct vault_retained *rows, size_t count,
                                                struct kl_err *err);

/* The slot that a receipt's lines are of. KL_ERR_NOT_FOUND "not_found": there are none, or none any more. */
KL_MUST_USE enum kl_status vault_retained_slot(struct vault *vault, uint64_t tenant,
                                               const struct kl_id *receipt, uint64_t *ret_slot,
                                               struct kl_err *err);

/* The rows that an erasure wrote, in the order of its lines, whether they have their keys or not. */
typedef enum kl_status (*vault_retained_visit)(void *visitor, const struct vault_retained *row,
                                               struct kl_err *err);
KL_MUST_USE enum kl_status vault_retained_each(struct vault *vault, uint64_t tenant, uint64_t slot,
                                               const struct kl_id *receipt,
                                               vault_retained_visit visit, void *visitor,
                                               struct kl_err *err);

/* What a line leads to. opened: false when its manifest is damaged; then record is all zero, and what it led to is not known. */
struct vault_retained_line {
    struct vault_retained row;
    bool opened;
    struct kl_id record;
    uint64_t *values;
    size_t value_count;
};
/*
 * The lines of a slot. Rows without a key (any more) are left out: they are of erasures that never came to their commit, or at their end. ret_lost (may be NULL): rows
 * that have their key and cannot be read at all. The arena's.
 */
KL_MUST_USE enum kl_status vault_retained_lines(struct vault *vault, uint64_t tenant, uint64_t slot,
                                                struct kl_arena *arena,
                                                struct vault_retained_line **ret, size_t *ret_count,
                                                size_t *ret_lost, struct kl_err *err);
/*
 * One line opened: ret is the subject with the record as its only one, with the line's fields, under the value slot that leads to it. KL_ERR_GONE at
 * its end. The arena's; nothing is to be ended.
 */
KL_MUST_USE enum kl_status vault_retained_open(struct vault *vault,
                                               const struct vault_retained *row,
                                               struct kl_arena *arena, struct vault_subject *ret,
                                               struct kl_err *err);

/* Of all tenants, at most max whose end is at or before until_us, in no meaningful order, without opening them. ret has room for max. */
KL_MUST_USE enum kl_status vault_retained_due_find(struct vault *vault, int64_t until_us,
                                                   struct vault_retained *ret, size_t max,
                                                   size_t *ret_count, struct kl_err *err);

/*
 * The slots of a tenant's erased subjects of whom something is kept, from first on, each once and in rising order: at most max of them, without
 * opening anything. KL_ERR_IO.
 */
KL_MUST_USE enum kl_status vault_retained_slots(struct vault *vault, uint64_t tenant,
                                                uint64_t first, uint64_t *ret_slots, size_t max,
                                                size_t *ret_count, struct kl_err *err);

/* ---- rows that lead to nothing (retained_stale.c) ---- */

/* Whether the erasure that wrote such rows never came to its commit. */
KL_MUST_USE enum kl_status vault_retained_is_stale(struct vault *vault, uint64_t tenant,
                                                   uint64_t slot, bool *ret_stale,
                                                   struct kl_err *err);
/*
 * Rows of erasures that never came to their commit, and of lines at their end, go, and what led to them from a receipt: of one slot, of which no erasure is
 * under way; or of all, at open. What kms_side_apply() returns, KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_retained_tidy(struct vault *vault, uint64_t tenant, uint64_t slot,
                                               bool sync, struct kl_err *err);
KL_MUST_USE enum kl_status vault_retained_tidy_all(struct vault *vault, struct kl_err *err);

/* ---- what is left of the subject (retained_rows.c) ---- */

/*
 * Put the removal of a subject's rows into batch: its head, its values and what leads to those beside its records, but for the values of what was retained. Whoever
 * finds that a head row does not open any more removes it with this.
 * KL_ERR_CORRUPT "retained_damaged": a row of what was kept cannot be read; batch is as it was, for nobody can say what must stay.
 */
KL_MUST_USE enum kl_status vault_subject_rows_remove(struct vault *vault, uint64_t tenant,
                                                     uint64_t slot, struct vault_batch *batch,
                                                     struct kl_err *err);

/* ---- reading (retained_read.c) ---- */

/*
 * One caller's reach: of its tenant, of an erasure that was done. The slot of a receipt for who has that action, for the purpose where
 * there is one; a credential of one subject has none, nor has one of a recipient: the ledger that would say that it received something
 * went with the subject. KL_ERR_NOT_FOUND "not_found".
 */
KL_MUST_USE enum kl_status vault_retained_reach(struct vault *vault,
                                                const struct vault_caller *caller,
                                                const struct vault_query *query,
                                                const struct kl_id *receipt, uint64_t *ret_slot,
                                                struct kl_err *err);
/* Several lines of one record as one: all their fields, under the value slot of the first. count at least 1; KL_ERR_GONE when one has ended. The arena's. */
KL_MUST_USE enum kl_status vault_retained_together(struct vault *vault,
                                                   struct vault_retained_line *const *lines,
                                                   size_t count, struct kl_arena *arena,
                                                   struct vault_subject *ret, struct kl_err *err);

/* ---- the end (retained_end.c) ---- */

/* For the upkeep: end the lines whose time has come, those of one record together, each with a receipt and an entry "retention_end". */
KL_MUST_USE enum kl_status vault_retained_due(struct vault *vault, int64_t now_us,
                                              struct kl_err *err);

#endif
