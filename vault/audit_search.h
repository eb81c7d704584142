/*
 * The entries of a trail that may have all of some terms, in order: from the search index where it is whole, and one by one where it is not (behind its
 * end, where a row of it is missing or damaged, and without terms). Each has to be asked by the caller whether it is one (vault_audit_has()).
 *
 * Threads: a search belongs to one; any number of searches at once.
 */
#ifndef VAULT_AUDIT_SEARCH_H
#define VAULT_AUDIT_SEARCH_H

#include "vault/audit_index.h"
#include "vault/audit_walk.h"

/* Blocks whose index one search looks into at most; behind them it has more. */
#define VAULT_SEARCH_BLOCKS_MAX 4096

/*
 * next: the number to go on with another time; whoever does not take an entry that was given puts its number back there and ends. more: the search stopped for
 * having looked at enough. The rest is its own.
 */
struct vault_audit_search {
    struct vault *vault;
    uint64_t tenant;
    struct vault_term terms[VAULT_TERM_KINDS];
    size_t term_count;
    uint64_t next;
    uint64_t past;
    bool more;
    size_t entries_left;
    size_t blocks_left;
    struct vault_audit_indexed indexed;
    struct vault_audit_walk walk;
    bool is_walking;
    uint64_t walk_past;
    bool is_damaged; /* what is being walked is a block whose index is to be mended */
    struct vault_places places;
    bool has_places; /* of the block of next */
    struct kl_buf row;
    struct kl_buf entry;
};
/*
 * From number first up to and without past, looking at entries_max of them at most. terms: at most one of a kind, copied. KL_ERR_IO, KL_ERR_NO_MEMORY. Ends
 * with vault_audit_search_end() in every case.
 */
KL_MUST_USE enum kl_status vault_audit_search_begin(struct vault_audit_search *search,
                                                    struct vault *vault, uint64_t tenant,
                                                    const struct vault_term *terms,
                                                    size_t term_count, uint64_t first,
                                                    uint64_t past, size_t entries_max,
                                                    struct kl_err *err);
/* The next one; it lives until the next call. KL_ERR_NOT_FOUND (err as it was): there are no more, or more says so. KL_ERR_CORRUPT "audit_damaged", KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_audit_search_next(struct vault_audit_search *search,
                                                   uint64_t *ret_seq, struct kl_slice *ret_entry,
                                                   struct kl_err *err);
void vault_audit_search_end(struct vault_audit_search *search); /* a zeroed one is fine */

#endif
