/*
 * A row of the search index over the audit trail: of one block of VAULT_POSTINGS_BLOCK entries and one kind of term, a share of the terms ("bucket") with
 * the places in the block where each is.
 *
 *   format1   1
 *   check8    the first 8 bytes of BLAKE2b-128 of the row's key and all that follows
 *   count     of terms; then each, in the order of their values:
 *     gap     the value for the first, then by how much it is more than the one before, less one
 *     places  how many, times two; one more: as a bitmap
 *     bitmap  512 bytes, the place i in bit i % 8 of byte i / 8; or
 *     list    the first place, then by how much the next is more, less one
 *
 * Numbers without a size are varints: 7 bits a byte, the lowest first, in the fewest bytes. What is shorter of list and bitmap is written, the list when both are
 * as long. So there is one row for what is to be said, and two rows can be compared byte by byte.
 *
 * A block has a row for every bucket of every kind, empty ones too: one that is missing or fails its check says nothing about the entries, and they
 * have to be read themselves. That keeps damage from hiding an entry; it is no seal against who can write rows.
 *
 * Threads: any number at once.
 */
#ifndef VAULT_AUDIT_POSTINGS_H
#define VAULT_AUDIT_POSTINGS_H

#include "vault/audit_terms.h"

#define VAULT_POSTINGS_BLOCK 4096
#define VAULT_POSTINGS_WORDS (VAULT_POSTINGS_BLOCK / 64)

/* Into how many rows a kind is divided: by its value modulo that. */
unsigned vault_postings_buckets(enum vault_term_kind kind);

/* Places in a block: place i is bit i % 64 of word i / 64. */
struct vault_places {
    uint64_t words[VAULT_POSTINGS_WORDS];
};
bool vault_places_any(const struct vault_places *places);
/* The first at or behind that one; VAULT_POSTINGS_BLOCK: there is none. */
unsigned vault_places_next(const struct vault_places *places, unsigned from);

/* That a term is at a place of a block. */
struct vault_posting {
    uint64_t value;
    uint16_t place; /* below VAULT_POSTINGS_BLOCK */
    uint8_t kind;
    uint8_t bucket;
};
/* As they are written: by kind, bucket, value, place. For qsort(). */
int vault_posting_compare(const void *left, const void *right);

/*
 * Write a row of count postings (0: none), all of one kind and bucket, sorted, each once. key: the row's. Appended to ret, which has to be empty; the caller looks
 * at kl_buf_status().
 */
void vault_postings_write(struct kl_slice key, const struct vault_posting *postings, size_t count,
                          struct kl_buf *ret);

/* Each term of a row with its places, which are never empty; places live for the call. False ends it. */
typedef bool (*vault_postings_visit)(void *visitor, uint64_t value,
                                     const struct vault_places *places);
/* False: the row is not one that vault_postings_write() writes for this key, and what was visited means nothing. */
bool vault_postings_read(struct kl_slice key, struct kl_slice row, vault_postings_visit visit,
                         void *visitor);
/* The places of one term; none when the row has none of it. False: as above, ret is untouched. */
bool vault_postings_find(struct kl_slice key, struct kl_slice row, uint64_t value,
                         struct vault_places *ret);

#endif
