/* The keys/ database as the storage that kms asks for. */
#ifndef VAULT_KEY_STORAGE_H
#define VAULT_KEY_STORAGE_H

#include "kluis/kms/storage.h"
#include "vault/store/store.h"

struct vault_key_storage;

/* store must outlive it. NULL when out of memory. */
struct vault_key_storage *vault_key_storage_new(struct vault_store *store);
void vault_key_storage_free(struct vault_key_storage *storage);
/* Lives as long as storage. */
const struct kms_storage *vault_key_storage_interface(const struct vault_key_storage *storage);

#endif
