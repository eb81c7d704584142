/* Where kms keeps its wrapped keys: the interface that kms declares, over a store of its own (the database keys/). */
#ifndef VAULT_KEY_STORAGE_H
#define VAULT_KEY_STORAGE_H

#include "kluis/kms/kms.h"
#include "kluis/kms/storage.h"
#include "vault/store/store.h"

/* What the database keys/ holds in memory before it is a table; little is written to it. */
#define VAULT_KEYS_WRITE_BUFFER_BYTES ((size_t)16 * 1024 * 1024)

/* store outlives it. Keys are 1..VAULT_STORE_KEY_MAX_BYTES, values at most VAULT_STORE_VALUE_MAX_BYTES. Threads: as kms_storage asks. */
struct kms_storage vault_key_storage(struct vault_store *store);

/* How kms opens the rows of a mirror: a store of its own in the mirror's folder. */
const struct kms_mirror_source *vault_mirror_source(void);

#endif
