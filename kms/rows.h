/*
 * The rows of the key store but for pages: meta data and marks; and the one
 * door to storage, which lets one batch in at a time.
 */
#ifndef KLUIS_KMS_ROWS_H
#define KLUIS_KMS_ROWS_H

#include "kluis/kms/kms.h"
#include "kms/geometry.h"

#include <pthread.h>

/* Each batch carries a row of its own, 'Q' with fresh random bytes: two stores whose ids are equal hold the same rows. */
#define KMS_BATCH_ID_BYTES 16

struct kms_mirrors;

/* While gate is held no batch is on its way: what is read then is one state of the store. */
struct kms_rows {
    const struct kms_storage *storage;
    struct kms_mirrors *mirrors; /* that get every batch too; NULL: none */
    pthread_mutex_t lock;        /* guards the two below */
    pthread_cond_t moved;
    uint64_t ticket; /* for the next to come to the gate; first come, first in */
    uint64_t served; /* whose turn it is */
};
KL_MUST_USE enum kl_status kms_rows_init(struct kms_rows *rows, const struct kms_storage *storage,
                                         struct kl_err *err);
void kms_rows_done(struct kms_rows *rows);
/* ret is made with kl_buf_init by the caller. KL_ERR_NOT_FOUND there is none. */
KL_MUST_USE enum kl_status kms_rows_get(struct kms_rows *rows, struct kl_slice key,
                                        struct kl_buf *ret, struct kl_err *err);
/* Rows with that prefix behind after (no bytes: all of them), in order; as range() of struct kms_storage. */
KL_MUST_USE enum kl_status kms_rows_range(struct kms_rows *rows, struct kl_slice prefix,
                                          struct kl_slice after, kms_storage_visit visit,
                                          void *visitor, struct kl_err *err);
/* The same of any storage. */
KL_MUST_USE enum kl_status kms_storage_range(const struct kms_storage *storage,
                                             struct kl_slice prefix, struct kl_slice after,
                                             kms_storage_visit visit, void *visitor,
                                             struct kl_err *err);
/*
 * Write a batch, here and in the mirrors; its id is added to it. A mirror that fails is out of step and no failure of this call. count of
 * kms_rows_apply: at most KMS_ROWS_FEW. writes of kms_rows_apply_room has room for one more row, so that memory cannot fail it.
 */
#define KMS_ROWS_FEW 8
KL_MUST_USE enum kl_status kms_rows_apply(struct kms_rows *rows,
                                          const struct kms_storage_write *writes, size_t count,
                                          bool sync, struct kl_err *err);
KL_MUST_USE enum kl_status kms_rows_apply_room(struct kms_rows *rows,
                                               struct kms_storage_write *writes, size_t count,
                                               bool sync, struct kl_err *err);
void kms_rows_gate_take(struct kms_rows *rows);
void kms_rows_gate_give(struct kms_rows *rows);
extern const struct kl_slice kms_batch_key;

struct kms_meta {
    unsigned char store_id[KMS_STORE_ID_BYTES];
    uint64_t generation;
    int64_t created_us;
    int64_t root_key_since_us;
};
void kms_meta_write(const struct kms_meta *meta, unsigned char ret_bytes[KMS_META_BYTES]);
/* KL_ERR_CORRUPT "key_meta_corrupt". */
KL_MUST_USE enum kl_status kms_meta_parse(struct kl_slice bytes, struct kms_meta *ret_meta,
                                          struct kl_err *err);
/* KL_ERR_NOT_FOUND "key_store_missing". */
KL_MUST_USE enum kl_status kms_meta_read(struct kms_rows *rows, struct kms_meta *ret_meta,
                                         struct kl_err *err);
extern const struct kl_slice kms_meta_key;

void kms_mark_write(uint64_t mark, unsigned char ret_bytes[KMS_MARK_BYTES]);
/* The mark under that key; if_none when there is none. KL_ERR_CORRUPT "key_mark_corrupt". */
KL_MUST_USE enum kl_status kms_mark_read(struct kms_rows *rows, struct kl_slice key,
                                         uint64_t if_none, uint64_t *ret_mark, struct kl_err *err);
extern const struct kl_slice kms_tenants_key;
void kms_slots_key(uint64_t tenant, unsigned char ret_key[KMS_SLOTS_KEY_BYTES]);

void kms_dead_key(const struct kms_address *spine, unsigned char ret_key[KMS_DEAD_KEY_BYTES]);
void kms_note_key(uint64_t generation, uint32_t index, unsigned char ret_key[KMS_NOTE_KEY_BYTES]);
void kms_roots_key(uint64_t generation, unsigned char ret_key[KMS_ROOTS_KEY_BYTES]);

#endif
