/*
 * The content of one bucket, opened: entries in the order of tag, slot,
 * discriminator, each once. And how it is written before it is sealed:
 *
 *   base   format 1, then 32 bytes an entry: tag 16, slot 8, discriminator 8
 *   delta  format 2, then 33 bytes a change: 1 added or 2 removed, entry
 *
 * Threads: one at a time.
 */
#ifndef VAULT_INDEX_BUCKET_H
#define VAULT_INDEX_BUCKET_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "vault/index.h"

#include <stdbool.h>
#include <stddef.h>

#define VAULT_BUCKET_ENTRY_BYTES 32
/* What fits into one sealed base. */
#define VAULT_BUCKET_ENTRIES_MAX ((KMS_SEAL_MAX_BYTES - 1) / VAULT_BUCKET_ENTRY_BYTES)

/* A zeroed struct is an empty bucket. It wipes what it leaves behind. */
struct vault_bucket {
    struct vault_index_entry *entries;
    size_t count;
    size_t capacity;
};
void vault_bucket_done(struct vault_bucket *bucket);
/* ret is empty before; KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_bucket_copy(const struct vault_bucket *from,
                                             struct vault_bucket *ret, struct kl_err *err);

/* Nothing happens when it is there already. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_bucket_add(struct vault_bucket *bucket,
                                            const struct vault_index_entry *entry,
                                            struct kl_err *err);
/* Nothing happens when it is not there. */
void vault_bucket_remove(struct vault_bucket *bucket, const struct vault_index_entry *entry);
/* How many entries have that tag; ret_first: the index of the first of them. */
size_t vault_bucket_tag(const struct vault_bucket *bucket, const unsigned char tag[VAULT_TAG_BYTES],
                        size_t *ret_first);
bool vault_bucket_has(const struct vault_bucket *bucket, const struct vault_index_entry *entry);

/* Append entries (in order, each once) as a base; the caller looks at kl_buf_status(). */
void vault_bucket_base_write(const struct vault_index_entry *entries, size_t count,
                             struct kl_buf *ret);
/* bucket is empty before. KL_ERR_CORRUPT "index_bucket_corrupt": not what base_write wrote. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_bucket_base_read(struct kl_slice base, struct vault_bucket *bucket,
                                                  struct kl_err *err);
void vault_bucket_delta_begin(struct kl_buf *ret);
void vault_bucket_delta_write(const struct vault_index_change *change, struct kl_buf *ret);
/* Do to bucket what the delta says. On failure (as base_read) bucket is not to be used. */
KL_MUST_USE enum kl_status vault_bucket_delta_read(struct kl_slice delta,
                                                   struct vault_bucket *bucket, struct kl_err *err);

#endif
