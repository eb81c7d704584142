/*
 * Receipts: signed proofs that something was shredded. A stored receipt
 * names nobody; it commits to the subject, and only who erased was told the
 * secret that opens the commitment.
 *
 * Stored and signed text, one JSON object without white space:
 *
 *   {"receipt":"er_...","kind":"subject"|"record"|"tenant"|"retained","store":hex,"tenant":name,"erased_at":time,"reason":...,"credential":"cred_...",
 *    "request_id":...,"request":"req_..."?,"records_erased":n,"fields_erased":n,"retained":[{"basis","until","commitment"}],"notify":[recipient,...],"notify_complete":bool,"lookup_traces_until":time|null,
 *    "finality":"F1","mirrors":{"confirmed":n,"pending":["mir_...",...]},"generation":{"from":n,"to":n},"key_tree_root":{"from":base64url|null,"to":base64url|null},
 *    "entry":{"id":"aud_...","leaf_hash":base64url},"commitment":base64url,"algorithm":"Ed25519","public_key":base64url,
 *    "signature":base64url}
 *
 * That of a tenant has, in place of what is between request_id and finality, and of the commitment, "audit":{"size","root_hash"} and
 * "tenant_public_key". That of the end of something retained has "of", the receipt that told of it; "records_erased" is 0 while another line keeps
 * something of the record.
 *
 * mirrors: which places other than the first hold nothing of the old root key either. While one is pending, the receipt is signed anew when it has
 * followed, or was declared destroyed by an operator.
 *
 * key_tree_root: the root hashes of the key tree (kms_root_hashes()) of the two generations; null both where an older version made the commit. entry: of the
 * erasure in the trail of who signs, its id and its leaf's hash (RFC 9162), so that the two are bound to each other: the entry names the receipt.
 *
 * Signed are the bytes of this text without the member "signature": everything before `,"signature":`, then `}`. The key is the tenant's
 * signing key, the same that signs the heads of its audit trail (signing.h: it may have been changed since); of a tenant that is gone, the vault's.
 *
 * commitment: kl_receipt_commit(), which has who checks a receipt as well.
 *
 * Threads: any.
 */
#ifndef VAULT_RECEIPT_H
#define VAULT_RECEIPT_H

#include "kluis/base/receipt.h"
#include "vault/erasure_note.h"
#include "vault/signing.h"
#include "vault/vault_internal.h"

/* One line of "retained" at most: its names and marks, a basis, a time, and a commitment. */
#define VAULT_RECEIPT_LINE_BYTES (48 + VAULT_HOLD_BASIS_MAX_BYTES + 27 + 43)
_Static_assert(VAULT_SUBJECT_SECRET_BYTES == KL_RECEIPT_SECRET_BYTES &&
                   VAULT_COMMITMENT_BYTES == KL_RECEIPT_COMMITMENT_BYTES,
               "of kluis/base/receipt.h");
#define VAULT_RECEIPT_MAX_BYTES (9216 + VAULT_RETAINED_MAX * VAULT_RECEIPT_LINE_BYTES)

struct vault_mirrors_of; /* mirrors.h */

/*
 * Append the signed text. home: who signs, the note's tenant, or the vault when that tenant is gone. generation: the one that the commit
 * made. entry: what the note became in the trail of home, ended.
 */
struct vault_audit_entry;
KL_MUST_USE enum kl_status vault_receipt_write(struct vault *vault, const struct vault_note *note,
                                               uint64_t home, uint64_t generation,
                                               const struct vault_audit_entry *entry,
                                               const struct vault_mirrors_of *of,
                                               struct kl_buf *ret, struct kl_err *err);
/* text is a whole object that names signer's "public_key"; ret gets it with the signature as its last member. Errors of vault_signer_sign(). */
KL_MUST_USE enum kl_status vault_receipt_sign(const struct vault_signer *signer,
                                              const struct kl_buf *text, struct kl_buf *ret,
                                              struct kl_err *err);
/* The same receipt with other mirrors and finality, signed anew. KL_ERR_INVALID "invalid_receipt"; errors of kms_sign(). */
KL_MUST_USE enum kl_status vault_receipt_sign_anew(struct vault *vault, uint64_t home,
                                                   struct kl_slice receipt,
                                                   const struct vault_mirrors_of *of,
                                                   struct kl_buf *ret, struct kl_err *err);
/* Sign anew what waited for mirrors that have followed since; for the upkeep (receipt_confirm.c). */
KL_MUST_USE enum kl_status vault_receipts_confirm(struct vault *vault, int64_t now_us,
                                                  struct kl_err *err);
/*
 * Is the signature right, and by that key (NULL: the key that the receipt itself names)?
 * KL_ERR_INVALID "invalid_receipt": it is not a receipt; KL_ERR_CORRUPT "bad_signature".
 */
KL_MUST_USE enum kl_status vault_receipt_verify(
    struct kl_slice receipt, const unsigned char public_key[KMS_PUBLIC_KEY_BYTES],
    struct kl_err *err);
/*
 * Append what proves that the erasure is in the trail of home (receipt_trail.c): {"entry":text|null,"proof","head","keys"}, the last three as
 * kluis/vault/trail.h has them, keys with the newest 64 changes; entry null: the text is gone, and its leaf is left. Where it cannot be told {"missing":code}: an
 * erasure that was done is answered all the same. Costs a signature, and reads of some tiles.
 */
#define VAULT_RECEIPT_TRAIL_MAX_BYTES (256 * 1024)
void vault_receipt_trail(struct vault *vault, uint64_t home, const struct kl_id *receipt,
                         struct kl_buf *ret);
/* Append a stored receipt with this as its last member, "trail". KL_ERR_TOO_LARGE, KL_ERR_NO_MEMORY of ret. */
KL_MUST_USE enum kl_status vault_receipt_hand_out(struct vault *vault, uint64_t home,
                                                  const struct kl_id *receipt,
                                                  struct kl_slice stored, struct kl_buf *ret,
                                                  struct kl_err *err);
/*
 * Append the answer to who erased: {"receipt","subject","record"?,"erased_at","records_erased","retained","notify","finality",
 * "subject_secret","proof":{"algorithm","public_key","signature","commitment","generation","key_tree_root","signed":the signed text,"trail":trail}}
 * and "request" when it answers one. secret NULL: without subject_secret. subject NULL: without it. retained: the ids of the records in "retained", which get "record" in front; count 0: they are not known.
 */
KL_MUST_USE enum kl_status vault_receipt_answer(
    struct kl_slice receipt, const struct kl_id *subject, const struct kl_id *record,
    const struct kl_id *retained, size_t retained_count,
    const unsigned char secret[VAULT_SUBJECT_SECRET_BYTES], struct kl_slice trail,
    struct kl_buf *ret, struct kl_err *err);
/*
 * Append the answer to who erased that subject and asks again, from the stored receipt: without the secret, which was told once and is
 * kept nowhere. subject NULL: it is not known any more. KL_ERR_CORRUPT "receipt_missing".
 */
KL_MUST_USE enum kl_status vault_receipt_again(struct vault *vault, uint64_t tenant,
                                               const struct kl_id *receipt,
                                               const struct kl_id *subject, struct kl_buf *ret,
                                               struct kl_err *err);

#endif
