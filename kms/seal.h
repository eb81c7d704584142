/* Values under a key: key-committing, bound to their place and context (format.h). */
#ifndef KLUIS_KMS_SEAL_H
#define KLUIS_KMS_SEAL_H

#include "kluis/kms/kms.h"
#include "kms/format.h"

/* KL_ERR_INVALID "key_seal_size": a size is outside what kms.h says. */
KL_MUST_USE enum kl_status kms_seal_sizes_check(struct kl_slice context, size_t plaintext_bytes,
                                                struct kl_err *err);
/* key: of the place. ret_sealed has plaintext.size + KMS_SEAL_OVERHEAD_BYTES. Sizes were checked. */
void kms_value_seal(const unsigned char key[KMS_KEY_BYTES], const struct kms_place *place,
                    struct kl_slice context, struct kl_slice plaintext, unsigned char *ret_sealed);
/* sealed.size is at least the overhead. ret_plaintext has the rest of it; wiped on failure. KL_ERR_CORRUPT "unseal_failed". */
KL_MUST_USE enum kl_status kms_value_unseal(const unsigned char key[KMS_KEY_BYTES],
                                            const struct kms_place *place, struct kl_slice context,
                                            struct kl_slice sealed, unsigned char *ret_plaintext,
                                            struct kl_err *err);

#endif
