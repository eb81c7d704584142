/*
 * What `kluis audit verify` does, step by step: the signed head and its keys,
 * heads that were kept, the entries, the proofs.
 * Threads: one at a time.
 */
#ifndef CLI_TRAIL_VERIFY_H
#define CLI_TRAIL_VERIFY_H

#include "cli/command.h"
#include "kluis/base/trail.h"
#include "kluis/base/trail_check.h"
#include "kluis/base/trail_pruned.h"

#include <stddef.h>
#include <stdint.h>

#define CLI_TRAIL_KEPT_MAX 65536 /* heads of one trail in a file */
#define CLI_TRAIL_SIZES \
    128 /* sizes whose consistency proofs are looked at: powers of two, and one more */

struct cli_trail_root {
    uint64_t size;
    unsigned char root[KL_MERKLE_HASH_BYTES];
};

/* kept: in order of size, all at most head.size. start: from where entries are gone over. */
struct cli_trail_verify {
    struct cli_call *call;
    struct kl_trail_head head;
    unsigned char first_key[KL_TRAIL_KEY_BYTES];
    struct kl_trail_link *links;
    size_t link_count;
    struct kl_trail_head *kept;
    size_t kept_count;
    size_t kept_next; /* of those, the first that the entries have not come to */
    struct kl_trail_findings findings;
    struct kl_trail_check check;
    struct kl_trail_prunings prunings;
    struct cli_trail_root sizes[CLI_TRAIL_SIZES];
    size_t size_count;
    uint64_t entries;
    uint64_t lost;
    uint64_t pruned; /* entries that went by the policy, of those gone over */
    uint64_t start;
};
void cli_trail_verify_done(struct cli_trail_verify *verify);

/* The following fill call->err where the server or a file cannot be read; what is wrong with the trail is a finding, and no failure. */

/* The head, and the chain of its keys. */
KL_MUST_USE enum kl_status cli_trail_verify_head(struct cli_trail_verify *verify);
/* Heads of this trail in a file: one, or a line each, as `kluis audit head --format json` prints them and kluisd publishes them. */
KL_MUST_USE enum kl_status cli_trail_verify_kept(struct cli_trail_verify *verify, const char *path);
/* The steps of those above that need no server, for an exported copy (trail_file.c). */
void cli_trail_verify_begin(struct cli_trail_verify *verify);
/* Members first_key and links of the chain, or a head without one; the head is there. */
KL_MUST_USE enum kl_status cli_trail_verify_take_keys(struct cli_trail_verify *verify,
                                                      const struct kl_json_value *root);
void cli_trail_verify_check_head(struct cli_trail_verify *verify);
KL_MUST_USE enum kl_status cli_trail_verify_take_kept(struct cli_trail_verify *verify,
                                                      const struct kl_trail_head *head);
void cli_trail_verify_sort_kept(struct cli_trail_verify *verify);
/* The entries have come to a size; numbers up to and without until are lost. */
void cli_trail_verify_at_size(struct cli_trail_verify *verify);
void cli_trail_verify_pass_lost(struct cli_trail_verify *verify, uint64_t until);
/*
 * An exported copy instead of a server: lines {"seq":n,"entry":{…}} with the exact bytes of entries, {"seq":n,"leaf_hash":"…"} of those that went by a policy,
 * {"lost":{"from","until"}}, heads as `kluis audit head --format json` prints them, and keys as GET /v1/audit/keys has them; numbers in order, the rest anywhere, in one
 * file or several. The newest head is the one that is checked, others are compared.
 */
KL_MUST_USE enum kl_status cli_trail_verify_files(struct cli_trail_verify *verify,
                                                  const char *const *files, int count);
/* A key that is known to be of this trail (base64url) leads to the one that signed the head. */
KL_MUST_USE enum kl_status cli_trail_verify_key(struct cli_trail_verify *verify, const char *text);
/* Start behind the newest head that was kept, if it is of this trail. Without it all entries are gone over. */
KL_MUST_USE enum kl_status cli_trail_verify_skip(struct cli_trail_verify *verify);
KL_MUST_USE enum kl_status cli_trail_verify_entries(struct cli_trail_verify *verify);
/* What the vault proves of sizes that were seen. */
KL_MUST_USE enum kl_status cli_trail_verify_proofs(struct cli_trail_verify *verify);

#endif
