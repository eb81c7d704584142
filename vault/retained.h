/*
 * Records that an erasure kept, because somebody must keep them for a while
 * (a hold with a basis and an end): all that is left of a subject.
 *
 * At the erasure each held record gets a fresh value slot of the subject, under which its manifest and the subject's base are sealed
 * once more; the key commit shreds the subject's slot but for that one and those of the record's values. So the head row, in data/ and in
 * every backup, does not open any more, and whatever goes by it (ids, lists, lookups, credentials, a rebuilt index) finds nobody. What
 * leads to the record is the receipt of the erasure, by rows beside the keys, which no older data/ reaches:
 *
 *   'V' 'K' tenant8 slot8 value8   format, receipt's id, until, commitment, basis, and the sealed manifest
 *   'V' 'L' tenant8 er16           slot8: of whose erasure the receipt is
 *
 * They are written before the key commit. Rows of an erasure that never came to its commit say so themselves: the subject's base
 * still has its key. Threads: any.
 */
#ifndef VAULT_RETAINED_H
#define VAULT_RETAINED_H

#include "vault/erasure_note.h"
#include "vault/subject_internal.h"

/* A row 'K', without what is sealed. */
struct vault_retained {
    uint64_t tenant;
    uint64_t slot;
    struct kl_id receipt;
    struct vault_note_retained note;
};

/* Whether a record is held at that time. */
bool vault_record_is_held(const struct vault_manifest_record *record, int64_t now_us);
/*
 * Hold in memory, in a subject that is being erased, what an obligation of the policy keeps (vault_retention_obligation()): for its purpose, until
 * its end. A hold that was set covers the whole record; the later end counts.
 */
void vault_obligations_hold(const struct vault_policy *policy, struct vault_subject *subject,
                            int64_t now_us);
/* Leave only the fields that are for the obligation's purpose, in records that are held for nothing else. */
void vault_obligations_narrow(const struct vault_policy *policy, struct vault_subject *subject);

/*
 * The held records of a subject that is about to be erased, and is marked dying: takes their numbers, writes their rows, lists them in note
 * and ret_records, and adds the KEEPs to changes, for which there is room (kept value slots and one for each record). Nothing without one.
 * secret: NULL, or what opens their commitments. KL_ERR_TOO_LARGE "subject_full"; those of vault_retained_write().
 */
KL_MUST_USE enum kl_status vault_retained_keep(struct vault *vault, struct vault_subject *subject,
                                               int64_t now_us, const unsigned char *secret,
                                               struct vault_note *note,
                                               struct kl_id ret_records[VAULT_HOLDS_MAX],
                                               struct kms_change *changes, size_t *change_count,
                                               struct kl_err *err);

/* The erasure did not come to its commit: its rows are forgotten, where they can be. */
void vault_retained_undo(struct vault *vault, const struct vault_note *note);

/*
 * Write the rows of an erasure, synced, after those of earlier attempts at it were removed. records[i] is kept as retained[i] says, whose value slot was taken for it. KL_ERR_IO and what
 * kms_seal() returns.
 */
KL_MUST_USE enum kl_status vault_retained_write(struct vault *vault,
                                                const struct vault_subject *subject,
                                                const struct kl_id *receipt,
                                                const struct vault_manifest_record *const *records,
                                                const struct vault_note_retained *retained,
                                                size_t count, struct kl_err *err);

/*
 * The slot that a receipt's retained records are of. KL_ERR_NOT_FOUND "not_found": there are none, or none any more.
 */
KL_MUST_USE enum kl_status vault_retained_slot(struct vault *vault, uint64_t tenant,
                                               const struct kl_id *receipt, uint64_t *ret_slot,
                                               struct kl_err *err);
/*
 * Those of a slot, opened: subjects[i] is the subject with retained[i]'s record as its only one, under the value slot that leads to it;
 * each ends with vault_subject_done(). Rows without a key (any more) are left out: they are of erasures that never came to their commit, or
 * at their end. ret_whole: false when one that has its key was left out, because it is damaged. Arrays are the arena's.
 */
KL_MUST_USE enum kl_status vault_retained_open(struct vault *vault, uint64_t tenant, uint64_t slot,
                                               struct kl_arena *arena,
                                               struct vault_retained **ret_retained,
                                               struct vault_subject **ret_subjects,
                                               size_t *ret_count, bool *ret_whole,
                                               struct kl_err *err);
/* Whether the erasure that wrote such rows never came to its commit. */
KL_MUST_USE enum kl_status vault_retained_is_stale(struct vault *vault, uint64_t tenant,
                                                   uint64_t slot, bool *ret_stale,
                                                   struct kl_err *err);

/*
 * At open, when no erasure is under way: rows of erasures that never came to their commit go, synced; what kms_side_apply() returns, KL_ERR_IO,
 * KL_ERR_NO_MEMORY. vault_retained_write() does the same for its subject, so that they do not gather.
 */
KL_MUST_USE enum kl_status vault_retained_stale_remove(struct vault *vault, struct kl_err *err);

/*
 * Of all tenants, at most max whose end is at or before until_us, in no meaningful order, without opening them. ret has room for max.
 */
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

/* Forget the rows of one (and of its receipt, when it was the last); not synced: a row without a key is harmless. */
KL_MUST_USE enum kl_status vault_retained_forget(struct vault *vault,
                                                 const struct vault_retained *retained,
                                                 struct kl_err *err);

/*
 * Put the removal of a subject's rows into batch: its head, its values and what leads to those beside its records, but for the values of records that were retained. Whoever
 * finds that a head row does not open any more removes it with this.
 * KL_ERR_CORRUPT "retained_damaged": a row of what was kept cannot be read; batch is as it was, for nobody can say what must stay.
 */
KL_MUST_USE enum kl_status vault_subject_rows_remove(struct vault *vault, uint64_t tenant,
                                                     uint64_t slot, struct vault_batch *batch,
                                                     struct kl_err *err);

/* For the upkeep: shred those whose time has come, each with a receipt and an entry "retention_end". */
KL_MUST_USE enum kl_status vault_retained_due(struct vault *vault, int64_t now_us,
                                              struct kl_err *err);

#endif
