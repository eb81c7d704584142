/*
 * What kms needs to keep wrapped keys in: a small ordered key-value store
 * with atomic, durable batches. kms declares it, the layer above hands one
 * in at start; tests hand in one that keeps everything in memory.
 */
#ifndef KLUIS_KMS_STORAGE_H
#define KLUIS_KMS_STORAGE_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* One write of a batch; value.bytes NULL deletes. The bytes stay the caller's. */
struct kms_storage_write {
    struct kl_slice key;
    struct kl_slice value;
};

/* Called for each row in key order; anything but KL_OK ends the range and is what range() returns. */
typedef enum kl_status (*kms_storage_visit)(void *visitor, struct kl_slice key,
                                            struct kl_slice value, struct kl_err *err);

/*
 * Threads: get and range from any number at once, apply from one at a time.
 * apply is atomic; with sync it has reached the disk when it returns KL_OK. After any failed apply nothing may be assumed: kms
 * ends the process, and a failed sync is never tried again.
 */
struct kms_storage {
    void *context;
    /* KL_ERR_NOT_FOUND when there is none; ret is made by the caller with kl_buf_init. */
    enum kl_status (*get)(void *context, struct kl_slice key, struct kl_buf *ret,
                          struct kl_err *err);
    enum kl_status (*apply)(void *context, const struct kms_storage_write *writes, size_t count,
                            bool sync, struct kl_err *err);
    /* All rows with that prefix. */
    enum kl_status (*range)(void *context, struct kl_slice prefix, kms_storage_visit visit,
                            void *visitor, struct kl_err *err);
    /* Those of them whose key comes behind after. NULL: not to be had; kms passes over the rows before then. */
    enum kl_status (*range_after)(void *context, struct kl_slice prefix, struct kl_slice after,
                                  kms_storage_visit visit, void *visitor, struct kl_err *err);
};

#endif
