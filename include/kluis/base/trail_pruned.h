/*
 * Entries of a trail that went by a policy, and what the trail says about it: the entry `trail_pruned`. Their leaf hashes stay, so the tree is what
 * it was; this entry, signed by the key of the trail's heads, says up to which number texts are gone, and which tree they made.
 *
 *   {"id",…,"at",…,"action":"trail_pruned",…,"from","until","root_hash","policy","keep","oldest_at","newest_at","public_key","signature",…}
 *
 * The entries from number from up to and without until went with this one, those before with earlier ones. root_hash is that of the tree of the
 * first until entries, and so commits to all of them. policy is the number of the policy that keep is of, the longest of those that counted;
 * oldest_at and newest_at are of the entries that went. Signed are these lines, each ended by a line feed:
 *   kluis-audit-pruned-v1
 *   tenant's name
 *   from, decimal
 *   until, decimal
 *   root_hash, policy (decimal), keep, oldest_at, newest_at, at: each as in the JSON
 *
 * Threads: one at a time for a struct.
 */
#ifndef KLUIS_BASE_TRAIL_PRUNED_H
#define KLUIS_BASE_TRAIL_PRUNED_H

#include "kluis/base/trail.h"
#include "kluis/base/trail_check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KL_TRAIL_PRUNED_ACTION "trail_pruned"
#define KL_TRAIL_PRUNED_TEXT_MAX_BYTES 1024 /* of what is signed */
/*
 * No entry goes earlier. A trail is looked over about once a year (audits of ISO/IEC 27001 and of accounts are yearly), and who reads for the first time in a year
 * must find the whole of it.
 */
#define KL_TRAIL_KEEP_MIN "P1Y"
bool kl_trail_keep_is_enough(const struct kl_duration *keep);
/* A period that is shorter than that of the policy before counts so many days after the policy was put in force. */
#define KL_TRAIL_KEEP_DELAY_DAYS 30

struct kl_trail_pruning {
    char tenant[KL_TRAIL_TENANT_MAX_BYTES + 1];
    uint64_t from;
    uint64_t until;
    unsigned char root[KL_MERKLE_HASH_BYTES];
    uint64_t policy;
    struct kl_duration keep;
    char keep_text[KL_DURATION_TEXT_BYTES];
    char oldest[KL_TIME_TEXT_BYTES];
    char newest[KL_TIME_TEXT_BYTES];
    char at[KL_TIME_TEXT_BYTES];
    int64_t newest_us;
    int64_t at_us;
    unsigned char key[KL_TRAIL_KEY_BYTES];
    unsigned char signature[KL_TRAIL_SIGNATURE_BYTES];
};
/* What is signed, appended. */
void kl_trail_pruning_text(const struct kl_trail_pruning *pruning, struct kl_buf *ret);
/* The members from, … signature, into an entry that is open. */
void kl_trail_pruning_write(const struct kl_trail_pruning *pruning, struct kl_json_out *out);
/* Whether an entry's text may be one: what is not need not be read. */
bool kl_trail_pruning_is(struct kl_slice entry);
/*
 * Of the text of an entry of that tenant's trail. KL_ERR_NOT_FOUND (err as it was): it is an entry of another action. KL_ERR_INVALID
 * "invalid_pruning". ret is untouched on failure.
 */
KL_MUST_USE enum kl_status kl_trail_pruning_read(struct kl_slice entry, const char *tenant,
                                                 struct kl_trail_pruning *ret, struct kl_err *err);
/* Whether the signature is right, by the key that it names itself. */
bool kl_trail_pruning_holds(const struct kl_trail_pruning *pruning);

/* ---- a copy of a trail ---- */

/*
 * A line of a copy that is about a number: {"seq":n,"entry":{…}} with the exact bytes of the entry, or {"seq":n,"leaf_hash":"…"} of one that went. The line is ended
 * by a 0 byte behind it. ret_entry: a piece of line; empty: it is a hash, ret_hash. False: it is none, and what is returned says nothing.
 */
bool kl_trail_line_is(struct kl_slice line); /* whether it begins like one */
bool kl_trail_line_read(struct kl_slice line, uint64_t *ret_number, struct kl_slice *ret_entry,
                        unsigned char ret_hash[KL_MERKLE_HASH_BYTES]);

/* ---- judging them, entry by entry ---- */

/* A policy as its entry `policy_apply` says: until when its keep counts. */
#define KL_TRAIL_POLICIES_MAX 64
struct kl_trail_policy {
    uint64_t number;
    int64_t at_us;
    int64_t over_us; /* when the next one came; INT64_MAX: none did */
    bool has_keep;
    struct kl_duration keep;
};
/* The tree as it was at until, to be compared by who can. */
#define KL_TRAIL_PRUNINGS_MAX 256
struct kl_trail_pruned_root {
    uint64_t number; /* of the entry that says so */
    uint64_t until;
    unsigned char root[KL_MERKLE_HASH_BYTES];
};
/* is_key: whether a key is one of the trail's, by the chain. declared: below that number entries may be gone. roots: of the newest. */
struct kl_trail_prunings {
    const char *tenant;
    bool (*is_key)(void *context, const unsigned char key[KL_TRAIL_KEY_BYTES]);
    void *context;
    struct kl_trail_findings *findings;
    uint64_t declared;
    size_t
        root_count; /* of all, the newest KL_TRAIL_PRUNINGS_MAX of which are there, number n at n modulo that */
    struct kl_trail_pruned_root roots[KL_TRAIL_PRUNINGS_MAX];
    size_t policy_count;
    struct kl_trail_policy policies[KL_TRAIL_POLICIES_MAX];
};
void kl_trail_prunings_begin(struct kl_trail_prunings *prunings, const char *tenant,
                             bool (*is_key)(void *context,
                                            const unsigned char key[KL_TRAIL_KEY_BYTES]),
                             void *context, struct kl_trail_findings *findings);
/*
 * An entry of the trail as it was hashed, in order. Of one that says that entries went: "pruning_forged" when it is not signed by a key of the trail,
 * or says what cannot be; "pruned_early" when what went was younger than the least, than it says itself, or than the policies before it allow (those since data was last put back: what was applied in the lost part is unknown).
 */
void kl_trail_prunings_see(struct kl_trail_prunings *prunings, uint64_t number,
                           struct kl_slice entry);
/* All came: "pruned_undeclared" when entries below pruned are gone (0: none is) that no such entry speaks of. */
void kl_trail_prunings_end(struct kl_trail_prunings *prunings, uint64_t pruned);
/* The tree at until is another one than an entry says: "pruning_forged". */
void kl_trail_pruned_root_find(struct kl_trail_findings *findings,
                               const struct kl_trail_pruned_root *root);

#endif
