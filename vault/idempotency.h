/*
 * Idempotency-Key: a request that comes again gets the answer it got before.
 * What is kept, for a day: ids and a keyed fingerprint of the request, sealed
 * under a slot of the subject they are about, so that they go with it; what is
 * about no subject, or about one that is erased, under the tenant's MAC slot.
 *
 * Row: 'I' tenant mac16, the mac over credential and key; then format u8 (1),
 * expiry u64 in microseconds, slot u64, value u64, and the sealed rest:
 * fingerprint 32, answer.
 *
 * Two requests with one key at once: the second waits for the first, then
 * finds its answer. Threads: any.
 */
#ifndef VAULT_IDEMPOTENCY_H
#define VAULT_IDEMPOTENCY_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/vault/subject.h"
#include "vault/store/store.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stdint.h>

#define VAULT_IDEMPOTENCY_LIFE_US (24 * 3600 * KL_TIME_SECOND_US)
#define VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES 16384
#define VAULT_IDEMPOTENCY_MAC_BYTES 16
#define VAULT_IDEMPOTENCY_FINGERPRINT_BYTES 32

/* Who is under way; one for each vault. NULL when out of memory. */
struct vault_idempotency_guard *vault_idempotency_guard_new(void);
void vault_idempotency_guard_free(
    struct vault_idempotency_guard *guard); /* NULL is fine; nobody may be inside */

/* A key and a request as they are stored: keyed hashes under the MAC slot of the tenant they are kept for. */
struct vault_idempotency_mark {
    uint64_t tenant;
    unsigned char mac[VAULT_IDEMPOTENCY_MAC_BYTES];
    unsigned char fingerprint[VAULT_IDEMPOTENCY_FINGERPRINT_BYTES];
};

/* One request's turn; lives on its stack and does not move. Zeroed before use. */
struct vault_idempotency_ticket {
    struct vault_idempotency_mark mark;
    bool held;
    struct vault_idempotency_ticket *next; /* the guard's */
};

/*
 * Take the turn of this key and look whether it has an answer. idempotency NULL, or without a key: nothing is remembered, KL_OK.
 *
 * ret_answer  made with kl_buf_init by the caller; holds the answer when there is one, else stays empty: do the work, and remember.
 *
 * KL_ERR_INVALID "invalid_idempotency_key" (1..VAULT_IDEMPOTENCY_KEY_MAX_BYTES visible ASCII characters), "idempotency_key_reused"
 * (another request used it). KL_ERR_GONE "idempotent_result_erased". Whatever happened, vault_idempotency_end() follows.
 */
KL_MUST_USE enum kl_status vault_idempotency_begin(struct vault *vault,
                                                   const struct vault_caller *caller,
                                                   const struct vault_idempotency *idempotency,
                                                   struct vault_idempotency_ticket *ticket,
                                                   struct kl_buf *ret_answer, struct kl_err *err);
/* The same where the answer is the id of what was made. ret_there true: it was, and *ret_id is it; else both untouched. */
KL_MUST_USE enum kl_status vault_idempotency_begin_id(struct vault *vault,
                                                      const struct vault_caller *caller,
                                                      const struct vault_idempotency *idempotency,
                                                      struct vault_idempotency_ticket *ticket,
                                                      struct kl_id *ret_id, bool *ret_there,
                                                      struct kl_err *err);
/* Add the row to the batch that does the work; nothing without a key. The place is of the subject, or a slot of the tenant's own. */
KL_MUST_USE enum kl_status vault_idempotency_remember(
    struct vault *vault, const struct vault_caller *caller,
    const struct vault_idempotency_ticket *ticket, uint64_t slot, uint64_t value,
    struct kl_slice answer, struct vault_batch *batch, struct kl_err *err);
/*
 * The same from a mark alone, sealed under its tenant's MAC slot: for work that another thread ends, or the next open after a crash.
 * asked_us: the caller's now_us.
 */
KL_MUST_USE enum kl_status vault_idempotency_remember_mark(
    struct vault *vault, const struct vault_idempotency_mark *mark, int64_t asked_us,
    struct kl_slice answer, struct vault_batch *batch, struct kl_err *err);
/* Give the turn back. */
void vault_idempotency_end(struct vault *vault, struct vault_idempotency_ticket *ticket);

#endif
