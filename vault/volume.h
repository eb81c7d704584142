/*
 * How many subjects a credential was shown under a grant with `volume_per_hour`.
 *
 * Each subject of whom something is shown counts once for each such grant that a shown field came
 * under: by a read, a list (of consents that end, too), a lookup, a verification, an export, a disclosure, a report or the reading
 * of a retained record. At most volume_per_hour in any hour, and counted by five minutes, so that it
 * may take five more until the first of them is forgotten. When it is used up the grant allows nothing
 * (gate role), and makes stricter as before. A request that nothing is left of is refused with
 * KL_ERR_FORBIDDEN "volume_exceeded", err->retry_after_s set.
 *
 * Kept in memory only, for VAULT_VOLUME_PLACES pairs of credential and grant (see limits.h): a server that is
 * started again, and a policy that is applied, begin anew. What came under the limit is in the audit trail.
 *
 * A reader of subjects: query.used_up = vault_volume_used_up(); decide; gather vault_policy_charged() of the fields
 * that are shown; vault_volume_take(), and when that fails decide again. Threads: any.
 */
#ifndef VAULT_VOLUME_H
#define VAULT_VOLUME_H

#include "vault/vault_internal.h"

#include <stdint.h>

#define VAULT_VOLUME_PLACES 16384
#define VAULT_VOLUME_WINDOW_S 3600
/* How often a reader decides again because others of the same credential took what was left. */
#define VAULT_VOLUME_TRIES 4

/* Grants of the caller's role that are used up (bits), for vault_query.used_up. */
uint64_t vault_volume_used_up(struct vault *vault, const struct vault_caller *caller);
/* Count one subject for each of these grants. False: one of them was used up meanwhile, and nothing was counted. */
bool vault_volume_take(struct vault *vault, const struct vault_caller *caller, uint64_t grants);
/* The refusal: KL_ERR_FORBIDDEN "volume_exceeded". */
enum kl_status vault_volume_exceeded(struct vault *vault, const struct vault_caller *caller,
                                     struct kl_err *err);
/*
 * Whether a question about fields (marked; NULL: any) can come to nothing but that refusal, whoever it is about: the role has grants for
 * some of them, and all of these are used up. So the answer does not tell whether somebody is there.
 */
bool vault_volume_is_closed(struct vault *vault, const struct vault_caller *caller,
                            const struct vault_query *query, const bool *marked);

#endif
