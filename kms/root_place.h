/*
 * Where a root key is kept: a root file, a token. A place gives back the key
 * of a generation and can destroy it; the keys themselves live in memory in
 * struct kms_root (root.h). The first place is the custodian's; each mirror
 * of a custodian that is a file has one more.
 *
 * A place holds at most two generations: the one in use and the staged one
 * after it.
 *
 * Threads: one at a time; the leader of a commit owns the first place, a
 * mirror's thread the mirror's.
 */
#ifndef KLUIS_KMS_ROOT_PLACE_H
#define KLUIS_KMS_ROOT_PLACE_H

#include "kluis/kms/custodian.h"
#include "kluis/kms/storage.h"
#include "kms/geometry.h"

struct kms_root_place;

/* Rows that a place may add to the batch of a commit. */
#define KMS_ROOT_PLACE_ROWS_MAX 2

struct kms_root_place_kind {
    /*
     * Keep key as the root key of generation, durably. What the place held of that generation and of the one two before is destroyed
     * when this returns KL_OK: that is how an old root key dies. Before generation is in use it may be stored again with another key.
     * Looks at how it was overwritten and keeps report up. After an error of a store in a commit the process must end.
     */
    enum kl_status (*store)(struct kms_root_place *place, uint64_t generation,
                            const unsigned char key[KMS_KEY_BYTES], struct kl_err *err);
    /*
     * Whether a store can be expected to work, asked before a commit uses the staged key: a token that was pulled out stops commits, not
     * the process. KL_ERR_UNAVAILABLE "token_unreachable". NULL: there is nothing to ask.
     */
    enum kl_status (*ready)(struct kms_root_place *place, struct kl_err *err);
    /*
     * The root key of that generation, into locked memory; writes nothing. KL_ERR_REFUSED "root_key_generation" the place has none of
     * that generation, "root_file_other_store"; KL_ERR_UNAUTHORISED, KL_ERR_CORRUPT, KL_ERR_IO, KL_ERR_NO_MEMORY, KL_ERR_INVALID as
     * kms_open().
     */
    enum kl_status (*load)(struct kms_root_place *place, uint64_t generation,
                           unsigned char ret_key[KMS_KEY_BYTES], struct kl_err *err);
    /*
     * Rows that must be in the very batch that makes generation the one in use (a token's wrapped key); generation was stored before.
     * The bytes are the place's, until the next store. Returns how many. NULL: none.
     */
    size_t (*rows)(struct kms_root_place *place, uint64_t generation,
                   struct kms_storage_write ret_writes[KMS_ROOT_PLACE_ROWS_MAX]);
    /*
     * Rows that go away with the batch that makes generation the one in use, because that batch also moves the root key to another
     * place. As rows. NULL: none.
     */
    size_t (*rows_leave)(struct kms_root_place *place, uint64_t generation,
                         struct kms_storage_write ret_writes[KMS_ROOT_PLACE_ROWS_MAX]);
    /* Destroy the keys of all generations, and the place itself where it is a file of its own. What is gone already is no error. */
    enum kl_status (*wipe)(struct kms_root_place *place, struct kl_err *err);
    /* Ends place; the keys stay where they are. */
    void (*close)(struct kms_root_place *place);
};

/* The head of each kind of place. */
struct kms_root_place {
    const struct kms_root_place_kind *kind;
    struct kms_custodian_report report;
    bool accept_f0;
};

/* Shorter names for the calls above. */
KL_MUST_USE enum kl_status kms_root_place_store(struct kms_root_place *place, uint64_t generation,
                                                const unsigned char key[KMS_KEY_BYTES],
                                                struct kl_err *err);
KL_MUST_USE enum kl_status kms_root_place_ready(struct kms_root_place *place, struct kl_err *err);
KL_MUST_USE enum kl_status kms_root_place_load(struct kms_root_place *place, uint64_t generation,
                                               unsigned char ret_key[KMS_KEY_BYTES],
                                               struct kl_err *err);
size_t kms_root_place_rows(struct kms_root_place *place, uint64_t generation,
                           struct kms_storage_write ret_writes[KMS_ROOT_PLACE_ROWS_MAX]);
size_t kms_root_place_rows_leave(struct kms_root_place *place, uint64_t generation,
                                 struct kms_storage_write ret_writes[KMS_ROOT_PLACE_ROWS_MAX]);
KL_MUST_USE enum kl_status kms_root_place_wipe(struct kms_root_place *place, struct kl_err *err);
void kms_root_place_close(struct kms_root_place *place); /* NULL is fine */
/* KL_ERR_REFUSED "finality_f0" when the class is F0 and that was not accepted. */
KL_MUST_USE enum kl_status kms_root_place_accept(const struct kms_root_place *place,
                                                 struct kl_err *err);

/*
 * The place that a custodian's text names (root_place.c knows the kinds). storage: the rows of the key store, for a place that keeps wrapped
 * keys there; get is used only, and only within load and wipe.
 *
 * make   a place that was not there, empty: nothing can be loaded before it was stored. The caller stores and then asks
 *        kms_root_place_accept(); what is refused then is wiped. KL_ERR_EXISTS "root_file_exists"; others as kms_create().
 * open   one that is there, and lock it; writes nothing. KL_ERR_NOT_FOUND "root_file_missing"; others as kms_open().
 */
KL_MUST_USE enum kl_status kms_root_place_make(const struct kms_custodian_options *options,
                                               const unsigned char store_id[KMS_STORE_ID_BYTES],
                                               const struct kms_storage *storage,
                                               struct kms_root_place **ret_place,
                                               struct kl_err *err);
KL_MUST_USE enum kl_status kms_root_place_open(const struct kms_custodian_options *options,
                                               const unsigned char store_id[KMS_STORE_ID_BYTES],
                                               const struct kms_storage *storage,
                                               struct kms_root_place **ret_place,
                                               struct kl_err *err);

#endif
