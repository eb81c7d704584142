/*
 * The index: from an id or an indexed value to the slots of subjects,
 * through buckets that leave no trace once their keys are gone.
 *
 * An entry is a 16-byte tag (keyed hash of the thing looked for, under the address key), a slot, and 8 bytes that tell apart two entries of
 * one subject. A bucket holds the entries whose tags share its prefix; content is sealed under the bucket's own slot of the tenant's
 * tree, as a base page and at most VAULT_BUCKET_DELTAS_MAX deltas. Erasing somebody re-keys the buckets that name them.
 *
 * An erased person's entries are gone, but who has all old bytes and the address key can still see which bucket a guessed value would have
 * been in. So from time to time a second index is built beside the one in use, under an address key of its own (an epoch): every change goes to
 * both, lookups go to the first, until one commit puts the second in its place. What is left of the old epoch is listed for a sweep.
 * Tags are made before the commit that uses them, so whoever makes them says which epoch they are for, and is sent back when that is over.
 *
 * Threads: lookups from any number at once. All changes are made by the commit's leader (commit.h), so one thread at a time.
 */
#ifndef VAULT_INDEX_H
#define VAULT_INDEX_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_TAG_BYTES 16
#define VAULT_BUCKET_ENTRIES_SPLIT 64
/* Few: each is one more row to open at every lookup (about 2 us), and a new base is only 2 KiB. */
#define VAULT_BUCKET_DELTAS_MAX 4
/* How many entries may share one tag (people with one value). */
#define VAULT_TAG_ENTRIES_MAX 2000
/* What is looked for is named by at most this many bytes. */
#define VAULT_TAG_KIND_MAX_BYTES 256
#define VAULT_TAG_VALUE_MAX_BYTES 65536

struct vault_index_store;

struct vault_index_entry {
    unsigned char tag[VAULT_TAG_BYTES];
    uint64_t slot;
    uint64_t
        discriminator; /* 0 for a subject's id or a pseudonym's handle; from the record's id and field for a value */
    uint32_t made_for; /* epoch + 1 of the index that the tag is for; 0: the one in use */
    bool second; /* the same once more, for the index being built; neither is kept in a bucket */
};
/* BUILD adds, to the index being built alone, what the one in use has. */
enum vault_index_change_kind {
    VAULT_INDEX_ADD,
    VAULT_INDEX_ADD_UNIQUE,
    VAULT_INDEX_REMOVE,
    VAULT_INDEX_BUILD
};
struct vault_index_change {
    enum vault_index_change_kind kind;
    struct vault_index_entry entry;
};

/* keys and store outlive it. NULL when out of memory. */
struct vault_index_store *vault_index_new(struct kms *keys, struct vault_store *store);
void vault_index_free(struct vault_index_store *index);

/*
 * The tag of an id or value: kind names what is looked for ("id", "newsletter.email"), so equal values of two fields differ.
 * KL_ERR_INVALID "index_value_too_long" past VAULT_TAG_KIND_MAX_BYTES or VAULT_TAG_VALUE_MAX_BYTES. Any thread.
 */
KL_MUST_USE enum kl_status vault_index_tag(struct vault_index_store *index, uint64_t tenant,
                                           const char *kind, struct kl_slice value,
                                           unsigned char ret_tag[VAULT_TAG_BYTES],
                                           struct kl_err *err);
/*
 * The entries to add, remove or erase for an id or value of a slot: one, and a second while an index is being built. All changes of one
 * vault_index_change() are made with this. Errors as vault_index_tag().
 */
#define VAULT_INDEX_TWIN 2
KL_MUST_USE enum kl_status vault_index_entries(struct vault_index_store *index, uint64_t tenant,
                                               const char *kind, struct kl_slice value,
                                               uint64_t slot, uint64_t discriminator,
                                               struct vault_index_entry ret[VAULT_INDEX_TWIN],
                                               size_t *ret_count, struct kl_err *err);
/* The entry that VAULT_INDEX_BUILD adds. KL_ERR_CONFLICT "index_not_building". */
KL_MUST_USE enum kl_status vault_index_build_entry(struct vault_index_store *index, uint64_t tenant,
                                                   const char *kind, struct kl_slice value,
                                                   uint64_t slot, uint64_t discriminator,
                                                   struct vault_index_entry *ret,
                                                   struct kl_err *err);
/* vault_index_tag() and vault_index_find() in one, in whichever index is in use. */
KL_MUST_USE enum kl_status vault_index_look(struct vault_index_store *index, uint64_t tenant,
                                            const char *kind, struct kl_slice value, size_t skip,
                                            size_t max, struct vault_index_entry *ret_entries,
                                            size_t *ret_count, struct kl_err *err);
/* Which index is in use, and which is being built (0: none). Any thread. */
struct vault_index_epochs {
    uint32_t epoch;
    uint64_t address_slot;
    uint32_t next_epoch;
    uint64_t next_slot;
    uint32_t last_epoch; /* the highest number ever used */
};
KL_MUST_USE enum kl_status vault_index_epochs(struct vault_index_store *index, uint64_t tenant,
                                              struct vault_index_epochs *ret, struct kl_err *err);
/*
 * The entries with that tag, at most max of them, after the first `skip`. ret_count 0 when there are none: KL_OK.
 * Entries of shredded subjects may still come until their erasure is done: the caller opens the subject and sees.
 * Ordered by slot, then discriminator. KL_ERR_CORRUPT "index_bucket_corrupt": no version of the bucket opens.
 */
KL_MUST_USE enum kl_status vault_index_find(struct vault_index_store *index, uint64_t tenant,
                                            const unsigned char tag[VAULT_TAG_BYTES], size_t skip,
                                            size_t max, struct vault_index_entry *ret_entries,
                                            size_t *ret_count, struct kl_err *err);

/* ---- for the commit's leader ---- */

/*
 * Add the writes of changes to batch, in order. Reads through what earlier calls since the last vault_index_applied() put into batches, so
 * that several requests of one group may touch one bucket. Keys being replaced by a running erasure get every change under both keys.
 * Adding what is there, or removing what is not, is no error. ADD_UNIQUE needs that no other entry has the tag.
 * On failure nothing of this call is added: KL_ERR_PRECONDITION "head_changed": entries are made for another epoch than those there are now,
 * make them again; KL_ERR_CONFLICT "not_unique", KL_ERR_TOO_LARGE "index_value_too_common", KL_ERR_BUSY
 * "index_busy" (a bucket that a running erasure holds is full), KL_ERR_CORRUPT "index_bucket_corrupt", KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_index_change(struct vault_index_store *index, uint64_t tenant,
                                              const struct vault_index_change *changes,
                                              size_t count, struct vault_batch *batch,
                                              struct kl_err *err);
/* The batch with those writes was applied (ok) or given up. */
void vault_index_applied(struct vault_index_store *index, bool ok);

/* ---- erasure ---- */

/*
 * The places whose keys opened, now or before a split, what names these entries: what a kms_commit has to REKEY, without repeats. Entries
 * need not be there any more: one that was removed since its bucket was last rekeyed still stands in old bytes, so give it as well.
 * At most max; KL_ERR_TOO_LARGE "index_places_too_many" past that. Any thread.
 *
 * From here until vault_index_release() these buckets do not split, so that the places stay the right ones: every successful call is followed
 * by one release with the same array (its address tells whose hold it is), after the kms_commit, however that ended. On failure nothing is held.
 */
KL_MUST_USE enum kl_status vault_index_places(struct vault_index_store *index, uint64_t tenant,
                                              const struct vault_index_entry *entries, size_t count,
                                              struct kms_place *ret_places, size_t max,
                                              size_t *ret_count, struct kl_err *err);
void vault_index_release(struct vault_index_store *index, uint64_t tenant,
                         const struct vault_index_entry *entries, size_t count);
/*
 * Within kms's prepare hook, on the commit's leader: write to batch, beside the old, a new version of every rekeyed bucket without the
 * entries of the dying: all of a slot, or, where the place has a value, the one entry with that discriminator; from now on until published, changes
 * go to both versions. Rekeyed places that vault_index_places() did not give are not the index's and are passed over.
 * On failure nothing is staged. KL_ERR_CORRUPT "index_bucket_corrupt", KL_ERR_IO, KL_ERR_NO_MEMORY, what kms_staged_seal returns.
 */
KL_MUST_USE enum kl_status vault_index_stage(struct vault_index_store *index,
                                             struct kms_staged *staged,
                                             const struct kms_place *dying, size_t dying_count,
                                             struct vault_batch *batch, struct kl_err *err);
/*
 * The fresh keys count (kms's publish hook), or the attempt was given up (ok false) and its staged keys will never count. Any thread.
 * staged is not used any more when this returns. Without a stage before it nothing happens.
 */
void vault_index_published(struct vault_index_store *index, bool ok);
/* Remove rows of versions that no longer open, of buckets rekeyed since the last call: for space only. On the commit's leader. */
KL_MUST_USE enum kl_status vault_index_tidy(struct vault_index_store *index,
                                            struct vault_batch *batch, struct kl_err *err);

/*
 * Start a tenant's index anew, empty, under a new epoch with a fresh address slot, on the commit's leader. What there was, and what was being
 * built, is marked as old (vault_row_index_old: the address slot; the rows stay), for a sweep to shred. Tags made before no longer find
 * anything. KL_ERR_BUSY "index_busy" while places are held or a staged erasure is not published, or when this group changed that index.
 */
KL_MUST_USE enum kl_status vault_index_reset(struct vault_index_store *index, uint64_t tenant,
                                             struct vault_batch *batch, struct kl_err *err);

/* ---- a new index beside the one in use; on the commit's leader ---- */

/*
 * Begin an empty one; from here on changes go to both. Where one is being built already, that one stays. It can be gone on with after a
 * restart: all that was acknowledged since is in it. KL_ERR_TOO_LARGE "index_epochs_out"; KL_ERR_NO_MEMORY, what kms_slot_take returns.
 */
KL_MUST_USE enum kl_status vault_index_build_begin(struct vault_index_store *index, uint64_t tenant,
                                                   struct vault_batch *batch, struct kl_err *err);
/*
 * Everything is in it: it takes the place of the one in use, which is marked as old as by vault_index_reset().
 * KL_ERR_CONFLICT "index_not_building". KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_index_build_end(struct vault_index_store *index, uint64_t tenant,
                                                 struct vault_batch *batch, struct kl_err *err);

#endif
