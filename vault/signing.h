/*
 * The key that signs for a tenant: heads of its trail, receipts, consents;
 * of the vault's own tenant the manifests of backups too. It can be changed
 * (rotation_audit.c), and a chain of signatures leads from each to the next
 * (kluis/base/trail.h).
 *
 * Key n (0 the first) lies in one of two slots of the tenant's own, in turns: the other one is given a fresh key before it comes into use, and
 * again, which destroys the old one, when it has gone out of use. Beside the keys lie
 *
 *   "VH" tenant8           format 1, number u32 of the key in use, destroyed u8: the one before is no more
 *   "VH" tenant8 number4   how key number came after the one before: the link as JSON
 *
 * Threads: any; changes of one tenant one at a time (the upkeep's).
 */
#ifndef VAULT_SIGNING_H
#define VAULT_SIGNING_H

#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "kluis/base/trail.h"
#include "kluis/kms/kms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_SIGNING_LABEL "audit-head" /* heads, receipts, consents */

/* The key in use, as it was looked up. */
struct vault_signer {
    struct kms *keys;
    struct kms_place place;
    uint32_t number;
    unsigned char public_key[KMS_PUBLIC_KEY_BYTES];
};
/* KL_ERR_CORRUPT "signing_key_damaged"; as kms_public_key(). */
KL_MUST_USE enum kl_status vault_signer_get(struct kms *keys, uint64_t tenant,
                                            struct vault_signer *ret, struct kl_err *err);
/*
 * Sign with it, under a label. KL_ERR_BUSY "signing_key_changed": it went out of use meanwhile; look it up again, and make the text anew where it names the
 * key. As kms_sign().
 */
KL_MUST_USE enum kl_status vault_signer_sign(const struct vault_signer *signer, const char *label,
                                             struct kl_slice message,
                                             unsigned char ret_signature[KMS_SIGNATURE_BYTES],
                                             struct kl_err *err);
/*
 * Have make make and sign something with the key in use, again from the start where it returns KL_ERR_BUSY because the key changed. KL_ERR_BUSY only
 * when that happens again and again. What make returns.
 */
typedef enum kl_status (*vault_signing_make)(void *context, const struct vault_signer *signer,
                                             struct kl_err *err);
KL_MUST_USE enum kl_status vault_signing_with(struct kms *keys, uint64_t tenant,
                                              vault_signing_make make, void *context,
                                              struct kl_err *err);

/* ---- changing it ---- */

struct vault_signing_state {
    uint32_t number;
    bool destroyed; /* the key before it; also when there is none */
};
/* KL_ERR_CORRUPT "signing_key_damaged", KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_signing_state(struct kms *keys, uint64_t tenant,
                                               struct vault_signing_state *ret, struct kl_err *err);
/* Where key number lies. */
struct kms_place vault_signing_place(uint64_t tenant, uint32_t number);
/* The link to key link->number, and that it is in use from now on; durable. link->number is one more than that in use. Errors of kms_side_apply(). */
KL_MUST_USE enum kl_status vault_signing_put(struct kms *keys, uint64_t tenant,
                                             const struct kl_trail_link *link, struct kl_err *err);
/* The key before the one in use is destroyed; durable. */
KL_MUST_USE enum kl_status vault_signing_settled(struct kms *keys, uint64_t tenant, uint32_t number,
                                                 struct kl_err *err);

/* One link; holds: it goes on after the one before. A failure ends the walk. */
typedef enum kl_status (*vault_signing_visit)(void *visitor, const struct kl_trail_link *link,
                                              bool holds, struct kl_err *err);
/* All links of a tenant, in order. KL_ERR_CORRUPT "signing_key_damaged": one is missing or is none. */
KL_MUST_USE enum kl_status vault_signing_each(struct kms *keys, uint64_t tenant,
                                              const char *tenant_name, vault_signing_visit visit,
                                              void *visitor, struct kl_err *err);

#endif
