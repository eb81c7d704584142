/*
 * Retention of a trail: entries that are older than the policy says (its section `audit`) go, a prefix of the trail at a time, and the tree stays.
 *
 * What goes, in this order:
 *   look     entries are gone over from where the last ones went, up to the first that is not over, that no review covers where the policy keeps
 *            such, that is not what was hashed, or that is not there. Each is compared with the stored tree: what was tampered with stays, as evidence.
 *   declare  an entry `trail_pruned` (kluis/base/trail_pruned.h), signed, and row "pruned" (pruned.h) in one commit. From then on nobody is shown them.
 *   remove   rows 'A' and 'J', and 'U' of reviews that cover nothing else, a chunk at a time; row "pruned" says how far.
 *   compact  the store's files over the rows that were removed are written anew, so that the texts are in none.
 * A crash leaves all of it to the next run, which goes on from row "pruned"; an older data/ that is put back has the entries again, and they go again.
 *
 * Tiles ('G') stay: 32 bytes an entry keep every proof possible, and who exported an entry can still prove it by its number. Lost numbers
 * stay lost, whatever lies around them.
 *
 * When: no earlier than KL_TRAIL_KEEP_MIN, and than every policy says that was in force at any time in the last KL_TRAIL_KEEP_DELAY_DAYS days; a time
 * without a policy, or one that cannot be read, kept everything. So a steward who shortens the period has to wait, and whoever puts the longer one back
 * in that time loses nothing. The clock is the machine's; each declaration says it, and heads kept outside have theirs.
 *
 * Threads: the upkeep's alone.
 */
#ifndef VAULT_PRUNE_H
#define VAULT_PRUNE_H

#include "kluis/base/time.h"
#include "kluis/base/trail_pruned.h"
#include "vault/audit_leaves.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Policies of the last KL_TRAIL_KEEP_DELAY_DAYS days that are asked; where there are more, nothing goes. */
#define VAULT_PRUNE_POLICIES_MAX 64
/* Entries that one step looks at or removes. */
#define VAULT_PRUNE_STEP_ENTRIES 2048
/* By night fewer go only when the oldest is over for a month: each declaration is an entry too. */
#define VAULT_PRUNE_ENTRIES_MIN 256

/*
 * What counts for a tenant at a moment. forever: nothing goes. waits_us: until then what was said before the policy in force counts too; 0: that one
 * alone counts, or it keeps everything. keeps: all must be over; longest: one of them, the policy's of that number.
 */
struct vault_prune_rule {
    bool forever;
    bool keep_unreviewed;
    int64_t waits_us;
    uint64_t policy;
    struct kl_duration longest;
    size_t keep_count;
    struct kl_duration keeps[VAULT_PRUNE_POLICIES_MAX];
};
/* KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_prune_rule_read(struct vault *vault, uint64_t tenant,
                                                 int64_t now_us, struct vault_prune_rule *ret,
                                                 struct kl_err *err);
bool vault_prune_is_over(const struct vault_prune_rule *rule, int64_t at_us, int64_t now_us);

/*
 * A stretch of entries that may go: from, until (equal: none so far), how many have a text, and of what times. next: where looking goes on. next_at_us: when the
 * first that stays will be over, 0 unknown; blocked: the entry of number next is not what was hashed, or is not there. A zeroed one begins.
 */
struct vault_prune_stretch {
    uint64_t from;
    uint64_t until;
    uint64_t next;
    uint64_t entries;
    int64_t oldest_us;
    int64_t newest_us;
    int64_t next_at_us;
    bool blocked;
};
/*
 * Look at some more; ret_ended: there is nothing more to look at. KL_ERR_CORRUPT "audit_tile_damaged", "audit_lost_damaged", "review_damaged"; KL_ERR_UNAVAILABLE
 * "audit_tree_building"; KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_prune_look(struct vault *vault, uint64_t tenant,
                                            const struct vault_prune_rule *rule, int64_t now_us,
                                            struct vault_prune_stretch *stretch, bool *ret_ended,
                                            struct kl_err *err);
/* Say that the stretch went; durable. Errors of a commit, of reading the stored tree, of signing. */
KL_MUST_USE enum kl_status vault_prune_declare(struct vault *vault, uint64_t tenant,
                                               const struct vault_prune_rule *rule, int64_t now_us,
                                               const struct vault_prune_stretch *stretch,
                                               struct kl_err *err);
/* Remove some rows of what was declared; ret_ended: none is left. Errors of a commit. */
KL_MUST_USE enum kl_status vault_prune_remove(struct vault *vault, uint64_t tenant, bool *ret_ended,
                                              struct kl_err *err);
/* Write the store's files anew over a few of the rows that were removed, from *next on, which moves; ret_ended: up to the last. */
KL_MUST_USE enum kl_status vault_prune_compact(struct vault *vault, uint64_t tenant, uint64_t *next,
                                               bool *ret_ended, struct kl_err *err);

#endif
