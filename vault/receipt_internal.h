/* What the files of receipts share: members written, and a stored text taken apart. */
#ifndef VAULT_RECEIPT_INTERNAL_H
#define VAULT_RECEIPT_INTERNAL_H

#include "kluis/base/json.h"
#include "vault/receipt.h"

#include <stddef.h>

void vault_receipt_add_id(struct kl_json_out *out, const char *key, const char *prefix,
                          const struct kl_id *id);
void vault_receipt_copy_member(struct kl_json_out *out, const struct kl_json_value *from,
                               const char *key);
/* The signed text, appended, and the signature. KL_ERR_INVALID "invalid_receipt". */
KL_MUST_USE enum kl_status vault_receipt_split(struct kl_slice receipt, struct kl_buf *ret_signed,
                                               unsigned char ret_signature[KMS_SIGNATURE_BYTES],
                                               struct kl_err *err);

#endif
