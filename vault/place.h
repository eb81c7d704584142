/*
 * Where copies of a store may lie: backups, mirrors. Everything in a store goes with them, so a country outside of the EEA is for data
 * that may all go there.
 * Threads: any.
 */
#ifndef VAULT_PLACE_H
#define VAULT_PLACE_H

#include "kluis/base/status.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/residency.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vault;

/*
 * Whether a policy names a mechanism by which everything may go to a country outside of the EEA: a transfer to it for any purpose and recipient, as
 * plain; not by explicit consent, which is one person's. An adequacy decision has to hold at that moment, and its scope to be said to fit.
 */
bool vault_policy_place_allowed(const struct vault_policy *policy, struct vault_country country,
                                int64_t at_us);
/* The transfer line that does; VAULT_NONE: no such. */
int vault_policy_place_line(const struct vault_policy *policy, struct vault_country country,
                            int64_t at_us);

/*
 * Whether a copy of the store may lie in that country: in the EEA always; elsewhere when the store is outside itself, or every tenant's policy allows it.
 * KL_ERR_FORBIDDEN "residency": not; the text names no tenant, the log does.
 */
KL_MUST_USE enum kl_status vault_copy_allowed(struct vault *vault, struct vault_country country,
                                              int64_t at_us, struct kl_err *err);

/*
 * Whether the copies of the keys that there are (mirrors) may stay where they lie under a policy that is to be in force: what is stored under it
 * gets keys that go there. KL_ERR_CONFLICT "mirror_residency".
 */
KL_MUST_USE enum kl_status vault_copies_allowed(struct vault *vault,
                                                const struct vault_policy *policy, int64_t at_us,
                                                struct kl_err *err);

/*
 * Whether a mirror of that label (its country) lies where, at that moment, a policy in force does not let everything go: an adequacy decision has
 * ended. A label that is no country is misplaced too.
 */
bool vault_copy_misplaced(struct vault *vault, const char *label, int64_t at_us);
/* How many mirrors are; ret_country: of the first of them, empty when there is none. */
size_t vault_copies_misplaced(struct vault *vault, int64_t at_us, char ret_country[8]);

#endif
