/*
 * Mirrors of the keys, as receipts and figures see them; what operators do with them is in kluis/vault/admin.h.
 * Threads: any.
 */
#ifndef VAULT_MIRRORS_H
#define VAULT_MIRRORS_H

#include "kluis/base/json.h"
#include "vault/vault_internal.h"

#include <stdint.h>

/*
 * Which mirrors have gone along with a generation: its pages are in them, and the root key before it is destroyed there. pending: those that
 * have not (yet). finality: of all places together, now.
 */
struct vault_mirrors_of {
    size_t confirmed;
    struct kl_id pending[VAULT_MIRRORS_MAX];
    size_t pending_count;
    enum kms_finality finality;
};
void vault_mirrors_of(struct vault *vault, uint64_t generation, struct vault_mirrors_of *ret);

/* "mirrors":{"confirmed":n,"pending":["mir_...",...]} */
void vault_mirrors_add(struct kl_json_out *out, const struct vault_mirrors_of *of);

/* "mirrors":[...] of GET /v1/keys; directories only where asked for. */
void vault_mirrors_show(struct vault *vault, bool with_directory, struct kl_json_out *out);

/*
 * For the upkeep: try mirrors that are out of step, and sign the receipts anew that waited for them (receipt_confirm.c).
 */
KL_MUST_USE enum kl_status vault_mirrors_task(struct vault *vault, int64_t now_us,
                                              struct kl_err *err);
/*
 * For the upkeep, daily: whether mirrors may still lie where they do, as adequacy decisions end by themselves. One that may not is in the trail
 * ("mirror_misplaced"), and /readyz and doctor warn of it until it is dropped or a policy names a transfer.
 */
KL_MUST_USE enum kl_status vault_mirrors_place_task(struct vault *vault, int64_t now_us,
                                                    struct kl_err *err);

#endif
