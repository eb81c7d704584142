#include "vault/key_storage.h"

#include "vault/rows.h"

#include <assert.h>
#include <string.h>

_Static_assert(VAULT_ROW_KEY_MAX_BYTES >= VAULT_STORE_KEY_MAX_BYTES, "any key fits");

static enum kl_status storage_get(void *context, struct kl_slice key, struct kl_buf *ret,
                                  struct kl_err *err)
{
    return vault_store_get(context, key, ret, err);
}

static enum kl_status storage_apply(void *context, const struct kms_storage_write *writes,
                                    size_t count, bool sync, struct kl_err *err)
{
    struct vault_batch *batch = vault_batch_new();
    if (batch == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "key storage: no memory");
    }
    for (size_t i = 0; i < count; i++) {
        if (writes[i].value.bytes == NULL) {
            vault_batch_remove(batch, writes[i].key);
        } else {
            vault_batch_put(batch, writes[i].key, writes[i].value);
        }
    }
    enum kl_status status = vault_store_apply(context, batch, sync, err);
    vault_batch_free(batch);
    return status;
}

static struct vault_row_key row_key_of(struct kl_slice bytes)
{
    struct vault_row_key key = {.size = bytes.size};

    assert(bytes.size <= VAULT_STORE_KEY_MAX_BYTES);
    if (bytes.size > 0) {
        memcpy(key.bytes, bytes.bytes, bytes.size);
    }
    return key;
}

static enum kl_status storage_range_after(void *context, struct kl_slice prefix,
                                          struct kl_slice after, kms_storage_visit visit,
                                          void *visitor, struct kl_err *err)
{
    struct vault_row_key first = row_key_of(prefix);
    struct vault_row_key past = vault_row_past(&first);
    struct vault_iter *iter =
        vault_iter_new(context, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "key storage: no memory");
    }
    enum kl_status status = KL_OK;
    struct kl_slice key;
    struct kl_slice value;
    if (after.size > 0) {
        vault_iter_seek(iter, after);
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &value)) {
        /* The seek stops at the row itself, where there is one. */
        if (key.size != after.size || memcmp(key.bytes, after.bytes, after.size) != 0) {
            status = visit(visitor, key, value, err);
        }
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    return status;
}

static enum kl_status storage_range(void *context, struct kl_slice prefix, kms_storage_visit visit,
                                    void *visitor, struct kl_err *err)
{
    return storage_range_after(context, prefix, (struct kl_slice){NULL, 0}, visit, visitor, err);
}

struct kms_storage vault_key_storage(struct vault_store *store)
{
    return (struct kms_storage){.context = store,
                                .get = storage_get,
                                .apply = storage_apply,
                                .range = storage_range,
                                .range_after = storage_range_after};
}

/* ---- mirrors ---- */

/* Read only while a mirror is brought up to date. */
#define MIRROR_CACHE_BYTES (1024u * 1024)

static enum kl_status mirror_open(void *context, const char *dir, bool create,
                                  struct kms_storage *ret_storage, struct kl_err *err)
{
    const struct vault_store_options options = {.path = dir,
                                                .create = create,
                                                .cache_bytes = MIRROR_CACHE_BYTES,
                                                .write_buffer_bytes = VAULT_KEYS_WRITE_BUFFER_BYTES,
                                                .disk_may_go = true};
    struct vault_store *store = NULL;
    enum kl_status status = vault_store_open(&options, &store, err);

    (void)context;
    if (status == KL_OK) {
        *ret_storage = vault_key_storage(store);
    }
    return status;
}

static void mirror_close(void *context, struct kms_storage *storage)
{
    (void)context;
    vault_store_close(storage->context);
    storage->context = NULL;
}

const struct kms_mirror_source *vault_mirror_source(void)
{
    static const struct kms_mirror_source source = {
        .context = NULL, .open = mirror_open, .close = mirror_close};

    return &source;
}
