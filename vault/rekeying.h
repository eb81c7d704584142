/*
 * Whose slots are getting fresh keys right now (rotation of level values).
 * Between the key commit and the commit of data/ that follows it, what is
 * stored of such a subject does not open: who reads waits, and reads again.
 *
 * Threads: begin and end from one at a time; the rest from any.
 */
#ifndef VAULT_REKEYING_H
#define VAULT_REKEYING_H

#include "kluis/base/status.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_REKEYING_MAX 32
/* How long a reader waits for one of them. */
#define VAULT_REKEYING_WAIT_MS 10000

struct vault_rekeying;

struct vault_rekeying *vault_rekeying_new(void); /* NULL when out of memory */
void vault_rekeying_free(struct vault_rekeying *rekeying);

/* slots: count of them (1..VAULT_REKEYING_MAX), copied. */
void vault_rekeying_begin(struct vault *vault, uint64_t tenant, const uint64_t *slots,
                          size_t count);
void vault_rekeying_end(struct vault *vault);

/* Before a row is read: a number for the call below. */
uint64_t vault_rekeying_now(struct vault *vault);
/*
 * After what was read did not open (KL_ERR_CORRUPT): whether to read it again, because its slot was rekeyed since, or is: then this waits.
 * seen: the number from before; brought up to date.
 */
bool vault_rekeying_again(struct vault *vault, uint64_t tenant, uint64_t slot, uint64_t *seen);

#endif
