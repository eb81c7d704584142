/*
 * A request as it lies sealed: one text (padded by who seals it), big-endian.
 *
 *   format u8       1
 *   id              16 bytes
 *   state u8, then times i64 in microseconds: received, aim, due, verified, extended, extended told, first due, closed, closed told (0: none)
 *   texts           sized (u32), in the order of struct vault_request from right to the fee's reason; empty: none
 *
 * and its deadlines. Threads: any; nothing is shared.
 */
#ifndef VAULT_REQUEST_TEXT_H
#define VAULT_REQUEST_TEXT_H

#include "kluis/base/arena.h"
#include "kluis/vault/request.h"

#define VAULT_REQUEST_TEXT_MAX_BYTES 16384

/* Append the text. Sizes are the caller's to check: beyond the maximum is KL_ERR_TOO_LARGE "buffer_full". */
KL_MUST_USE enum kl_status vault_request_encode(const struct vault_request *request,
                                                struct kl_buf *ret, struct kl_err *err);
/* Texts are the arena's, but for words of the closed lists, which are constants. KL_ERR_CORRUPT "request_damaged"; KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_request_decode(struct kl_slice text, struct kl_arena *arena,
                                                struct vault_request *ret, struct kl_err *err);
/* The word of a closed list that is text; NULL: it is none. */
const char *vault_request_word(const char *const *words, const char *text);

/* Set aim_us, due_us of a request that was received (request.h has the rules). */
void vault_request_deadlines(const struct vault_policy_requests *duties,
                             struct vault_request *request);
/* The deadline once it is extended. */
int64_t vault_request_extended_due(const struct vault_policy_requests *duties, int64_t received_us);
bool vault_request_is_open(const struct vault_request *request);

#endif
