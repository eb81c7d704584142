/*
 * What a verifier needs of an audit trail beside its entries: signed heads of
 * its tree, and the chain of the keys that signed them. Both as JSON, hashes,
 * keys and signatures in base64url. Signatures are Ed25519 (RFC 8032).
 * Threads: any.
 */
#ifndef KLUIS_BASE_TRAIL_H
#define KLUIS_BASE_TRAIL_H

#include "kluis/base/buf.h"
#include "kluis/base/json.h"
#include "kluis/base/merkle.h"
#include "kluis/base/status.h"
#include "kluis/base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KL_TRAIL_TENANT_MAX_BYTES 64
#define KL_TRAIL_KEY_BYTES 32
#define KL_TRAIL_SIGNATURE_BYTES 64
#define KL_TRAIL_JSON_MAX_BYTES 1024 /* of one head or link */
#define KL_TRAIL_LINKS_MAX 4096      /* of one chain */
/* The leaf of a number that was lost with a newer data/ is that of this text. */
#define KL_TRAIL_LOST_ENTRY "{\"lost\":true}"

/*
 * {"tenant","size","root_hash","at","public_key","signature"}. Signed are these five lines, each ended by a line feed; none can hold one:
 *   kluis-audit-head-v1
 *   tenant's name
 *   size, decimal
 *   root_hash, as in the JSON
 *   at, as in the JSON
 */
struct kl_trail_head {
    char tenant[KL_TRAIL_TENANT_MAX_BYTES + 1];
    uint64_t size;
    unsigned char root[KL_MERKLE_HASH_BYTES];
    char at[KL_TIME_TEXT_BYTES];
    unsigned char key[KL_TRAIL_KEY_BYTES];
    unsigned char signature[KL_TRAIL_SIGNATURE_BYTES];
};
/* What is signed, appended. */
void kl_trail_head_text(const struct kl_trail_head *head, struct kl_buf *ret);
void kl_trail_head_write(const struct kl_trail_head *head, struct kl_buf *ret);
/* Members besides these are passed over. KL_ERR_INVALID "invalid_head". ret is untouched on failure. */
KL_MUST_USE enum kl_status kl_trail_head_read(const struct kl_json_value *value,
                                              struct kl_trail_head *ret, struct kl_err *err);
/* Whether the signature is right, by the key that the head itself names. */
bool kl_trail_head_holds(const struct kl_trail_head *head);

/*
 * The n-th change of the key (from 1), when the tree was of that size and root:
 * {"number","size","root_hash","at","old_key","new_key","backup_key","old_signature","new_signature"}; the tenant is said beside it. Signed, by either key, are
 *   kluis-audit-key-v1
 *   tenant's name
 *   number, decimal
 *   size, decimal
 *   root_hash
 *   at
 *   old_key
 *   new_key
 *   backup_key, or - where it is null
 * backup_key: of the vault's own trail, what the manifests of backups were signed with until then.
 */
struct kl_trail_link {
    char tenant[KL_TRAIL_TENANT_MAX_BYTES + 1];
    uint32_t number;
    uint64_t size;
    unsigned char root[KL_MERKLE_HASH_BYTES];
    char at[KL_TIME_TEXT_BYTES];
    unsigned char old_key[KL_TRAIL_KEY_BYTES];
    unsigned char new_key[KL_TRAIL_KEY_BYTES];
    bool has_backup_key;
    unsigned char backup_key[KL_TRAIL_KEY_BYTES];
    unsigned char old_signature[KL_TRAIL_SIGNATURE_BYTES];
    unsigned char new_signature[KL_TRAIL_SIGNATURE_BYTES];
};
void kl_trail_link_text(const struct kl_trail_link *link, struct kl_buf *ret);
void kl_trail_link_write(const struct kl_trail_link *link, struct kl_buf *ret);
/* As kl_trail_head_read(); "invalid_link". */
KL_MUST_USE enum kl_status kl_trail_link_read(const struct kl_json_value *value, const char *tenant,
                                              struct kl_trail_link *ret, struct kl_err *err);
/* Whether both signatures are right, and it goes on after the one before (NULL: it is the first). */
bool kl_trail_link_holds(const struct kl_trail_link *link, const struct kl_trail_link *before);

#endif
