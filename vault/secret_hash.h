/*
 * Secrets that are kept as a hash: made and verified with Argon2id, never read back.
 *
 * A hash is stored as: format u8 (1: Argon2id, version 0x13, one lane), passes u32, memory in KiB
 * u32, salt 16, hash 32; numbers big-endian. So it says its own parameters, and one made with others
 * is verified all the same. Those in use are RFC 9106's for where memory is short (section 4: 64 MiB,
 * 3 passes), with one lane instead of four, which is what libsodium has. It is sealed like any
 * value; all have one length, so nothing of a secret's length is stored. (Not crypto_pwhash_str():
 * its verification cannot be told apart from memory that ran out.)
 *
 * Memory is bounded: VAULT_SECRETS_AT_ONCE are worked on at once, VAULT_SECRETS_WAITING_MAX more
 * wait for at most VAULT_SECRETS_WAIT_MS; who comes then is told to come again.
 * Threads: any, but for new and free.
 */
#ifndef VAULT_SECRET_HASH_H
#define VAULT_SECRET_HASH_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"

#include <sodium.h>
#include <stdbool.h>

#define VAULT_SECRETS_AT_ONCE 4
#define VAULT_SECRETS_WAITING_MAX 16
#define VAULT_SECRETS_WAIT_MS 2000

#define VAULT_SECRET_SALT_BYTES crypto_pwhash_argon2id_SALTBYTES
#define VAULT_SECRET_TAG_BYTES 32
#define VAULT_SECRET_HASH_BYTES (1 + 4 + 4 + VAULT_SECRET_SALT_BYTES + VAULT_SECRET_TAG_BYTES)
#define VAULT_SECRET_MEMORY_KIB 65536u
#define VAULT_SECRET_PASSES 3u
/* What a stored hash may ask for at most. */
#define VAULT_SECRET_MEMORY_MAX_KIB 262144u
#define VAULT_SECRET_PASSES_MAX 64u

struct vault_secrets;
/* light: libsodium's smallest parameters for what is made, for tests. NULL when out of memory. */
struct vault_secrets *vault_secrets_new(bool light);
void vault_secrets_free(struct vault_secrets *secrets); /* NULL is fine; nobody may be inside */

/*
 * Be one of those who work; until vault_secrets_leave().
 * KL_ERR_BUSY "secrets_busy": too many are, and did not end in time.
 */
KL_MUST_USE enum kl_status vault_secrets_enter(struct vault_secrets *secrets, struct kl_err *err);
void vault_secrets_leave(struct vault_secrets *secrets);

/*
 * By somebody who has entered, as the next one.
 * secret  as vault_value_normalise() gave it.
 * KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_secret_hash(struct vault_secrets *secrets, struct kl_slice secret,
                                             unsigned char ret_hash[VAULT_SECRET_HASH_BYTES],
                                             struct kl_err *err);
/*
 * hash  as it was stored; empty: there is none, and the answer is no, after as long.
 * Errors as above, and KL_ERR_CORRUPT "secret_damaged": this is no such hash.
 */
KL_MUST_USE enum kl_status vault_secret_verify(struct vault_secrets *secrets, struct kl_slice hash,
                                               struct kl_slice secret, bool *ret_match,
                                               struct kl_err *err);

/* 32 bytes of a secret text that are as slow to guess at as the hashes above, the same each time for one salt. By somebody who has entered. */
KL_MUST_USE enum kl_status vault_secret_stretch(const struct vault_secrets *secrets,
                                                struct kl_slice text,
                                                const unsigned char salt[VAULT_SECRET_SALT_BYTES],
                                                unsigned char ret[VAULT_SECRET_TAG_BYTES],
                                                struct kl_err *err);

#endif
