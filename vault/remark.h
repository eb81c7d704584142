/*
 * Texts of people's making that are about no subject: why a credential was
 * made, what a reviewer of the trail noted. Sealed under a slot of the tenant's
 * own (VAULT_SLOT_REMARKS), each for what it is about.
 *
 * They go with the tenant, and no erasure of a person takes them. So they must not lead to anybody: whoever writes them is told so, and a
 * subject's id is refused. An entry of the trail is named by its number, which leads to nobody once its person is erased.
 *
 * Threads: any.
 */
#ifndef VAULT_REMARK_H
#define VAULT_REMARK_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "vault/vault_internal.h"

#include <stddef.h>
#include <stdint.h>

/* Of the texts that are sealed here; each kind has a smaller maximum of its own. */
#define VAULT_REMARK_MAX_BYTES 16384
#define VAULT_REMARK_SEALED_MAX_BYTES (2 * VAULT_REMARK_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES)

/*
 * A text as it came with a request; member: what it is called there. KL_ERR_TOO_LARGE "value_too_large": more than max_bytes.
 * KL_ERR_INVALID "invalid_value": empty, or control characters but for tab and line feed; "names_subject": it holds a subject's id.
 * err->where is set.
 */
KL_MUST_USE enum kl_status vault_remark_check(const char *text, const char *member,
                                              size_t max_bytes, struct kl_err *err);
/* kind: a constant of at most 32 bytes; of: what it is about. ret_sealed is appended to. Errors as kms_seal(). */
KL_MUST_USE enum kl_status vault_remark_seal(struct vault *vault, uint64_t tenant, const char *kind,
                                             const struct kl_id *of, struct kl_slice text,
                                             struct kl_buf *ret_sealed, struct kl_err *err);
/* ret_text is appended to. Errors as kms_unseal(). */
KL_MUST_USE enum kl_status vault_remark_open(struct vault *vault, uint64_t tenant, const char *kind,
                                             const struct kl_id *of, struct kl_slice sealed,
                                             struct kl_buf *ret_text, struct kl_err *err);

#endif
