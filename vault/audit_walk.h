/*
 * Going over a tenant's audit trail, entry by entry, and what an entry says
 * of itself in the members that every entry has.
 *
 * Threads: a walk belongs to one; any number of walks at once.
 */
#ifndef VAULT_AUDIT_WALK_H
#define VAULT_AUDIT_WALK_H

#include "kluis/base/json.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stdint.h>

/* An entry's time is when its request came, its place when it was committed: how far those may be apart. */
#define VAULT_AUDIT_DISORDER_US (INT64_C(3600) * 1000000)

/* lost: numbers passed over so far that no entry has (audit.h); next: the number behind the last entry that was given; pruned_until: below it
 * entries went by a policy. */
struct vault_audit_walk {
    struct vault_iter *iter;
    uint64_t next;
    uint64_t lost;
    uint64_t pruned_until;
};
/* From number first on, or from the first entry that did not go by a policy, as the trail is now. KL_ERR_NO_MEMORY; errors of reading a trail. */
KL_MUST_USE enum kl_status vault_audit_walk_begin(struct vault_audit_walk *walk,
                                                  struct vault *vault, uint64_t tenant,
                                                  uint64_t first, struct kl_err *err);
/*
 * The next entry; it lives until the next call. KL_ERR_NOT_FOUND (err as it was): there are no more. KL_ERR_CORRUPT "audit_damaged", KL_ERR_IO.
 */
KL_MUST_USE enum kl_status vault_audit_walk_next(struct vault_audit_walk *walk, uint64_t *ret_seq,
                                                 struct kl_slice *ret_entry, struct kl_err *err);
void vault_audit_walk_end(struct vault_audit_walk *walk); /* a zeroed one is fine */

/* A number before which nothing of from_us or later lies; for from_us 0 that of the first entry that did not go by a policy. KL_ERR_CORRUPT "audit_damaged", KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_audit_first_from(struct vault *vault, uint64_t tenant,
                                                  int64_t from_us, uint64_t *ret_seq,
                                                  struct kl_err *err);
/* A number from which on nothing of before to_us lies; the size of the trail for to_us 0. Errors as above. */
KL_MUST_USE enum kl_status vault_audit_past_to(struct vault *vault, uint64_t tenant, int64_t to_us,
                                               uint64_t *ret_seq, struct kl_err *err);

/*
 * An entry read. Texts lie in json and are NULL where it has none; slot is -1 where it names none. refused: it tells of an attempt. root for whatever
 * else it says.
 */
struct vault_audit_said {
    struct kl_json *json;
    const struct kl_json_value *root;
    int64_t at_us;
    int64_t slot;
    int64_t policy; /* 0: none */
    const char *action;
    const char *credential;
    const char *role;
    const char *location;
    const char *purpose;
    const char *reason;
    bool refused;
};
/* KL_ERR_CORRUPT "audit_damaged"; KL_ERR_NO_MEMORY. Ends with vault_audit_said_done(). */
KL_MUST_USE enum kl_status vault_audit_read(struct kl_slice entry, struct vault_audit_said *ret,
                                            struct kl_err *err);
void vault_audit_said_done(struct vault_audit_said *said);
/* Whether the entry's text holds that credential's: what does not need not be read. */
bool vault_audit_names(struct kl_slice entry, const char *credential);

#endif
