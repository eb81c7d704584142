/*
 * How many long walks are under way at once: over a trail, over all heads, over all statistics. Each takes a worker of the server for seconds,
 * and whoever may ask for one may ask for many; so all of them together have a part of the workers, and those that come then are sent away.
 *
 * Taken after the caller was let in, so that who may not ask takes no place. Of a store: its vault's. Threads: any.
 */
#ifndef VAULT_WALKS_H
#define VAULT_WALKS_H

#include "vault/vault_internal.h"

#define VAULT_WALKS_RETRY_S 5

/* To be given back when that is KL_OK. KL_ERR_BUSY "walks_busy". */
KL_MUST_USE enum kl_status vault_walks_take(struct vault *vault, struct kl_err *err);
void vault_walks_give(struct vault *vault);

#endif
