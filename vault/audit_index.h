/*
 * The search index over the audit trail: from a term to the entries that name it, by blocks of VAULT_POSTINGS_BLOCK numbers (audit_postings.h).
 *
 * It is made behind the trail, by the upkeep, of blocks whose numbers are all given out, so that a commit does nothing for it. Row 'M' "audit-index" says
 * below which block it is whole, and is written with the rows of the block. A data/ that is put back has both as they were; numbers that are lost then are
 * in no row of it. What it says is a hint: whoever searches reads the entry and asks it. What it does not say can be relied on: the rows of a block are there for
 * every bucket, each with a check, and where one is missing or damaged the entries of the block are read instead (audit_search.h).
 *
 * Threads: the task and what builds blocks is the upkeep's; looking, mending and checking any.
 */
#ifndef VAULT_AUDIT_INDEX_H
#define VAULT_AUDIT_INDEX_H

#include "kluis/base/trail_check.h"
#include "vault/audit_postings.h"
#include "vault/upkeep.h"

/* Blocks first to until, without until, have rows; of those before first the entries are gone too. */
struct vault_audit_indexed {
    uint64_t first;
    uint64_t until; /* at least first */
};
/* A row that is damaged says nothing: until is first then. KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_audit_indexed_read(struct vault *vault, uint64_t tenant,
                                                    struct vault_audit_indexed *ret,
                                                    struct kl_err *err);

/*
 * Put the rows of a block into batch, from its entries as they are now. KL_ERR_CORRUPT "audit_damaged": an entry cannot be read, so that the block gets no
 * rows. KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_audit_index_block(struct vault *vault, uint64_t tenant,
                                                   uint64_t block, struct vault_batch *batch,
                                                   struct kl_err *err);
/* Put into batch that blocks below until have their rows. */
void vault_audit_indexed_put(uint64_t tenant, uint64_t until, struct vault_batch *batch);

/*
 * Where in a block an entry may have all of count terms (1 or more). row: a buffer for VAULT_STORE_VALUE_MAX_BYTES, whose content goes. ret_whole: false
 * when a row that was needed is missing or damaged; ret says nothing then. KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_audit_index_look(struct vault *vault, uint64_t tenant,
                                                  uint64_t block, const struct vault_term *terms,
                                                  size_t count, struct kl_buf *row,
                                                  struct vault_places *ret, bool *ret_whole,
                                                  struct kl_err *err);
/* Write the rows of a block anew, which somebody found damaged. A failure is logged and leaves it as it is. */
void vault_audit_index_mend(struct vault *vault, uint64_t tenant, uint64_t block);

/*
 * For who deletes all entries of a tenant below a number: put into batch, which deletes them, that the index of the blocks that lie below it as a whole is
 * gone. until is never less than what it was before.
 */
void vault_audit_index_prune(uint64_t tenant, uint64_t until, struct vault_batch *batch);

/* Compare all rows with the entries; a block that differs is a finding "index_damaged". KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_audit_index_check(struct vault *vault, uint64_t tenant,
                                                   struct kl_trail_findings *ret,
                                                   struct kl_err *err);

extern const struct vault_upkeep_task vault_audit_index_task;

#endif
