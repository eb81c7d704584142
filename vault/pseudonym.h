/*
 * Pseudonyms: what view `token` shows in the place of a value, and, where nothing is shown more openly than that, of the ids of the subject and
 * its records.
 *
 *   secret = MAC(tenant's key; the subject's seed, whose pseudonyms they are)
 *   handle = H(secret; 0)             leads to the subject through the index: an entry of kind "pseudonym"
 *   check  = H(secret; what it stands for)
 *   pseudonym = check, handle XOR MAC(tenant's key; check)       16 and 16 bytes
 *
 * So two of one person have nothing in common that shows, those of two recipients neither, and the value has no part in it: equal values of two
 * people give different pseudonyms, and a rectified value keeps its own. A recipient could otherwise tell who shares an address, test
 * a guessed value by having it stored, and see that something changed. (An encryption of handle whose nonce is the check: the structure of SIV, RFC 5297.)
 *
 * The seed is random, sealed in the subject's base and nowhere else: with the subject's key it is gone, and with it secret and check. The handle can be
 * had from a pseudonym with the tenant's key, and leads nowhere: the bucket that told of it was re-keyed. There is no table of pseudonyms. The
 * seed survives every rotation, that of values too, so that recipients can go on with what they have.
 *
 * Whose: the recipient's by name, for whoever reads for it; without a recipient the credential's, which end with it. Only a recipient's can be
 * resolved: its handle is noted in the base (16 bytes) and in the index (one entry), in the commit that writes the disclosure down, before the first
 * pseudonym of the subject leaves. So the cost of pseudonyms is one entry for each subject and recipient, two MACs a subject and one each,
 * whatever there is of them.
 *
 * Threads: any.
 */
#ifndef VAULT_PSEUDONYM_H
#define VAULT_PSEUDONYM_H

#include "kluis/vault/pseudonym.h"
#include "vault/subject_internal.h"

#define VAULT_PSEUDONYM_BYTES 32
#define VAULT_PSEUDONYM_TEXT_BYTES (VAULT_PSEUDONYM_CHARS + 1)
#define VAULT_PSEUDONYM_SECRET_BYTES 32

/* Of one subject for one recipient. Holds a secret: ends with vault_pseudonyms_done(), zeroed or begun. */
struct vault_pseudonyms {
    uint64_t tenant;
    unsigned char secret[VAULT_PSEUDONYM_SECRET_BYTES];
    unsigned char handle[VAULT_HANDLE_BYTES];
};
/* recipient NULL: those of the credential. Errors as kms_mac(). */
KL_MUST_USE enum kl_status vault_pseudonyms_begin(struct vault *vault,
                                                  const struct vault_subject *subject,
                                                  const char *recipient,
                                                  const struct kl_id *credential,
                                                  struct vault_pseudonyms *ret, struct kl_err *err);
/* Of the query's recipient; without one of the caller's credential. */
KL_MUST_USE enum kl_status vault_pseudonyms_of(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct vault_query *query,
                                               const struct vault_subject *subject,
                                               struct vault_pseudonyms *ret, struct kl_err *err);
void vault_pseudonyms_done(struct vault_pseudonyms *pseudonyms);

/* Of the subject's id (record NULL), a record's id (field NULL), a field of a record. */
KL_MUST_USE enum kl_status vault_pseudonym_make(struct vault *vault,
                                                const struct vault_pseudonyms *pseudonyms,
                                                const struct kl_id *record, const char *field,
                                                char ret_text[VAULT_PSEUDONYM_TEXT_BYTES],
                                                struct kl_err *err);
/* Whether that is what a pseudonym stands for. */
bool vault_pseudonym_is(const unsigned char pseudonym[VAULT_PSEUDONYM_BYTES],
                        const struct vault_pseudonyms *pseudonyms, const struct kl_id *record,
                        const char *field);
/* The bytes of a text. KL_ERR_INVALID "invalid_token". */
KL_MUST_USE enum kl_status vault_pseudonym_parse(const char *text,
                                                 unsigned char ret[VAULT_PSEUDONYM_BYTES],
                                                 struct kl_err *err);
/* The handle in a pseudonym; of one that was never given out it is any 16 bytes. */
KL_MUST_USE enum kl_status vault_pseudonym_handle(
    struct vault *vault, uint64_t tenant, const unsigned char pseudonym[VAULT_PSEUDONYM_BYTES],
    unsigned char ret_handle[VAULT_HANDLE_BYTES], struct kl_err *err);

/* Whether these can be resolved: their handle is noted. */
bool vault_pseudonyms_noted(const struct vault_subject *subject,
                            const struct vault_pseudonyms *pseudonyms);
/* Note it as part of a change. KL_ERR_TOO_LARGE "too_many_recipients": VAULT_HANDLES_MAX are. */
KL_MUST_USE enum kl_status vault_pseudonyms_note(struct vault_change *change,
                                                 const struct vault_pseudonyms *pseudonyms,
                                                 struct kl_err *err);

/* What puts a list of subjects in an order of that recipient's alone (list_order.h). Wipe it after use. Errors as kms_mac(). */
KL_MUST_USE enum kl_status vault_pseudonyms_order_key(
    struct vault *vault, const struct vault_caller *caller, const struct vault_query *query,
    unsigned char ret_key[VAULT_PSEUDONYM_SECRET_BYTES], struct kl_err *err);
/*
 * Pseudonyms in the place of all ids of a result; what two recipients could match it by goes as well: source, version and time of making of its records,
 * whose order is that of their pseudonyms.
 */
KL_MUST_USE enum kl_status vault_pseudonyms_conceal(struct vault *vault,
                                                    const struct vault_pseudonyms *pseudonyms,
                                                    struct kl_arena *arena,
                                                    struct vault_subject_result *result,
                                                    struct kl_err *err);

#endif
