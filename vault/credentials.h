/*
 * Credentials: their rows, and a cache of those in use, so that a check costs
 * a keyed hash and a look into memory.
 *
 * A row is found by the keyed hash of the token's text or of the
 * certificate's SHA-256; neither is kept. A credential bound to a subject
 * names its slot, never its id: after the erasure it is void. A row is sealed
 * with a keyed hash, so that write access to data/ makes nobody anything.
 * Threads: any, but for new and free.
 */
#ifndef VAULT_CREDENTIALS_H
#define VAULT_CREDENTIALS_H

#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/vault.h"
#include "vault/vault_internal.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vault_closing; /* journal.h */

/* How many are kept in memory; the rest is read when used. */
#define VAULT_CREDENTIALS_CACHED_MAX 16384
#define VAULT_CREDENTIAL_PREFIX "cred"
#define VAULT_CERTIFICATE_HASH_BYTES 32

struct vault_credential_name {
    char text[VAULT_NAME_MAX_BYTES + 1];
};

/*
 * A credential; never changed once it is shared. tenant is KMS_TENANT_VAULT for an operator. purposes has purpose_count names;
 * any_purpose: it was made without a list. recipient: a name of the policy that was in force then. created_by all zero: the vault itself. revoked_us 0: not.
 */
struct vault_credential {
    atomic_uint references;
    unsigned char mac[KMS_MAC_BYTES];
    struct kl_id id;
    uint64_t tenant;
    enum vault_builtin builtin;
    char role[VAULT_NAME_MAX_BYTES + 1];
    bool any_purpose;
    size_t purpose_count;
    struct vault_credential_name *purposes;
    struct vault_country location;
    char recipient[VAULT_NAME_MAX_BYTES + 1]; /* that reads with it; empty: none */
    bool bound;
    uint64_t bound_slot;
    bool has_certificate;
    int64_t created_us;
    int64_t expires_us;
    int64_t revoked_us;
    struct kl_id created_by;
    char *reason; /* why it was made, sealed (remark.h), in base64url; NULL: not said */
};

struct vault_credentials *vault_credentials_new(void); /* NULL when out of memory */
void vault_credentials_free(struct vault_credentials *cache);

/* An empty one with one reference and room for purpose_count names; NULL when out of memory. */
struct vault_credential *vault_credential_new(size_t purpose_count);
void vault_credential_unref(struct vault_credential *credential); /* NULL is fine */

/*
 * The credential that a proof stands for, revoked or expired ones too. KL_ERR_NOT_FOUND: none (err says nothing that may leave).
 * KL_ERR_CORRUPT "credential_damaged".
 */
KL_MUST_USE enum kl_status vault_credential_find(struct vault *vault,
                                                 const struct vault_proof *proof,
                                                 struct vault_credential **ret_credential,
                                                 struct kl_err *err);
/* By id, from the store. KL_ERR_NOT_FOUND "not_found". KL_ERR_CORRUPT "credential_damaged": also when the row is another's. */
KL_MUST_USE enum kl_status vault_credential_read(struct vault *vault, uint64_t tenant,
                                                 const struct kl_id *id,
                                                 struct vault_credential **ret_credential,
                                                 struct kl_err *err);
/* By the hash it is stored under. KL_ERR_NOT_FOUND. KL_ERR_CORRUPT "credential_damaged": also when it was not this vault that wrote it. */
KL_MUST_USE enum kl_status vault_credential_load(struct vault *vault,
                                                 const unsigned char mac[KMS_MAC_BYTES],
                                                 struct vault_credential **ret_credential,
                                                 struct kl_err *err);
/* The hash of a token's text, or of a certificate's SHA-256 (VAULT_CERTIFICATE_HASH_BYTES). */
KL_MUST_USE enum kl_status vault_credential_mac(struct vault *vault,
                                                const struct vault_proof *proof,
                                                unsigned char ret_mac[KMS_MAC_BYTES],
                                                struct kl_err *err);

/*
 * Make a credential from a filled struct (without mac): a fresh token, or the certificate given (32 bytes), the rows into batch. reason: NULL: none.
 * ret_token is empty for a certificate. KL_ERR_CONFLICT "certificate_in_use".
 */
KL_MUST_USE enum kl_status vault_credential_make(struct vault *vault,
                                                 struct vault_credential *credential,
                                                 const unsigned char *certificate,
                                                 const char *reason, struct vault_batch *batch,
                                                 struct vault_token *ret_token, struct kl_err *err);
/* Put the row of a credential, as it now is, into batch. */
KL_MUST_USE enum kl_status vault_credential_put(struct vault *vault,
                                                const struct vault_credential *credential,
                                                struct vault_batch *batch, struct kl_err *err);
/*
 * Commit the rows with an entry in the trail of whose it is, and in the maker's when that is another. action: "credential_create",
 * "credential_revoke". closing: as vault_act_commit_closing().
 */
KL_MUST_USE enum kl_status vault_credential_commit(
    struct vault *vault, const struct vault_caller *caller, const char *action,
    const struct vault_credential *credential, const struct vault_batch *batch,
    struct vault_closing *closing, struct kl_err *err);
/* Out of the cache; when this returns no request that starts later is let in by what was cached. */
void vault_credential_forget(struct vault *vault, const unsigned char mac[KMS_MAC_BYTES]);

/*
 * May this caller make a credential of that role (NULL: none of the built-in ones)? What vault_credential_create() asks first, for who has to look
 * elsewhere before. Errors and the entry in the trail are that one's.
 */
KL_MUST_USE enum kl_status vault_credential_may_make(struct vault *vault,
                                                     const struct vault_caller *caller,
                                                     const char *role, struct kl_err *err);
/* For who lists it: purposes and reason in the arena (NULL: without them). KL_ERR_NO_MEMORY; as vault_credential_reason_open(). */
KL_MUST_USE enum kl_status vault_credential_describe(struct vault *vault,
                                                     const struct vault_credential *credential,
                                                     struct kl_arena *arena,
                                                     struct vault_credential_result *ret,
                                                     struct kl_err *err);
/* Seal a reason into the credential, in the place of the one it has. Errors as kms_seal(). */
KL_MUST_USE enum kl_status vault_credential_reason_seal(struct vault *vault,
                                                        struct vault_credential *credential,
                                                        const char *reason, struct kl_err *err);
/* The reason, appended to ret; nothing when there is none. KL_ERR_CORRUPT "credential_damaged"; errors as kms_unseal(). */
KL_MUST_USE enum kl_status vault_credential_reason_open(struct vault *vault,
                                                        const struct vault_credential *credential,
                                                        struct kl_buf *ret, struct kl_err *err);
/* ---- who asks (caller.c): the steps of vault_caller_open(), for who looks in several stores ---- */

/* KL_ERR_UNAUTHORISED "unauthorised", counted; why is for the log. */
KL_MUST_USE enum kl_status vault_caller_unauthorised(struct vault *vault, const char *why,
                                                     struct kl_err *err);
/* Something is given that may be a proof. KL_ERR_UNAUTHORISED. */
KL_MUST_USE enum kl_status vault_proof_check(struct vault *vault, const struct vault_proof *proof,
                                             struct kl_err *err);
/* It is neither revoked nor expired; vault: the store it is of. KL_ERR_UNAUTHORISED, and its trail says that it was tried. */
KL_MUST_USE enum kl_status vault_credential_holds(struct vault *vault,
                                                  const struct vault_credential *credential,
                                                  int64_t now_us, const char *request_id,
                                                  struct kl_err *err);
/*
 * The caller that a credential which holds is, in this store; of an operator the credential may be another store's. closed_too: a steward is let in
 * while its tenant's grace period runs, for a call that looks at closed_us. Errors of vault_caller_open().
 */
KL_MUST_USE enum kl_status vault_caller_of(struct vault *vault,
                                           const struct vault_credential *credential,
                                           const char *tenant_name, bool closed_too,
                                           const char *request_id, int64_t now_us,
                                           struct vault_caller *ret_caller, struct kl_err *err);

const char *vault_builtin_name(
    enum vault_builtin builtin); /* "operator", "steward", "auditor"; NULL for none */
enum vault_builtin vault_builtin_find(const char *role);

#endif
