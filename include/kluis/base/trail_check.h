/*
 * Checking a trail entry by entry, in constant memory: the tree over the
 * entries as they were fetched, beside the one over the hashes that the vault
 * keeps of them; and which entry is not what it was.
 * Threads: one at a time.
 */
#ifndef KLUIS_BASE_TRAIL_CHECK_H
#define KLUIS_BASE_TRAIL_CHECK_H

#include "kluis/base/buf.h"
#include "kluis/base/merkle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KL_TRAIL_FINDINGS_MAX 100 /* more are counted */
#define KL_TRAIL_DETAIL_BYTES 320

/*
 * code is stable. from and until: the entries it is about; until 0: none in particular.
 *
 *   entry_edited, entry_dropped, entry_inserted, entries_swapped   the entries are not what was hashed
 *   tree_damaged     the stored tree is not that of the entries, which are right
 *   frontier_altered entries and stored tree agree, and not with the signed head
 *   rewritten        neither agrees with the signed head
 *   fork             a head that was kept is not of this trail: its history was rewritten
 *   truncated        a head that was kept has more entries than the trail
 *   pruned_undeclared, pruned_early, pruning_forged                 entries that are said to have gone by a policy (kluis/base/trail_pruned.h)
 *   head_unsigned, key_unknown, chain_broken, proof_wrong          signatures and proofs
 */
struct kl_trail_finding {
    const char *code;
    uint64_t from;
    uint64_t until;
    char detail[KL_TRAIL_DETAIL_BYTES];
};
struct kl_trail_findings {
    size_t count; /* with those for which there was no room */
    struct kl_trail_finding items[KL_TRAIL_FINDINGS_MAX];
};
void kl_trail_find(struct kl_trail_findings *findings, const char *code, uint64_t from,
                   uint64_t until, const char *format, ...) KL_PRINTF(5, 6);

/* An entry as it came: the hash of its text (has_text: there is one), and what the stored tree has. */
struct kl_trail_leaf {
    uint64_t index;
    bool has_text;
    bool has_stored;
    unsigned char text[KL_MERKLE_HASH_BYTES];
    unsigned char stored[KL_MERKLE_HASH_BYTES];
};
/* shift: by how much texts have been moved against what was stored. Opaque but for trees and findings. */
struct kl_trail_check {
    struct kl_merkle_tree of_texts;
    struct kl_merkle_tree of_stored;
    bool texts_whole;  /* no text was missing */
    bool stored_whole; /* no hash was */
    struct kl_trail_findings *findings;
    size_t suspects; /* findings about entries, until it is known whose fault they are */
    uint64_t pruned; /* behind the last number whose text went by a policy; 0: none did */
    bool has_hole;   /* neither text nor hash is there: no tree can be made */
    int shift;
    size_t held;
    struct kl_trail_leaf window[3];
};
/* start: the tree so far; findings are the caller's. */
void kl_trail_check_begin(struct kl_trail_check *check, const struct kl_merkle_tree *start,
                          struct kl_trail_findings *findings);
/* The next one; its index is check->of_texts.size, or the caller has said that those in between are lost. */
void kl_trail_check_leaf(struct kl_trail_check *check, const struct kl_trail_leaf *leaf);
/* count numbers that were lost: each a leaf of KL_TRAIL_LOST_ENTRY. */
void kl_trail_check_lost(struct kl_trail_check *check, uint64_t count);
/* The next number, whose text went by a policy: the hash that the stored tree has; NULL: it is damaged there. */
void kl_trail_check_pruned(struct kl_trail_check *check,
                           const unsigned char stored[KL_MERKLE_HASH_BYTES]);
/* All came: compare with the root that was signed, and say what is wrong. */
void kl_trail_check_end(struct kl_trail_check *check,
                        const unsigned char root[KL_MERKLE_HASH_BYTES]);

#endif
