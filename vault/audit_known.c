/* What is known of the trails beside the keys: the last head, and which numbers were given out. */
#include "vault/audit_internal.h"
#include "vault/audit_leaves.h"
#include "vault/rows.h"

#include <sodium.h>
#include <string.h>

#define FORMAT 1
#define NUMBERS_BYTES 9

_Static_assert(VAULT_TRAIL_KNOWN_KEY_BYTES == 2 + 8, "letters and tenant");

static void key_make(char kind, uint64_t tenant, unsigned char ret_key[VAULT_TRAIL_KNOWN_KEY_BYTES])
{
    ret_key[0] = KMS_SIDE_ROW;
    ret_key[1] = (unsigned char)kind;
    kl_put_u64be(ret_key + 2, tenant);
}

/* A row of exactly that size, or nothing. */
static enum kl_status row_get(struct vault_trails *trails, char kind, uint64_t tenant, size_t size,
                              struct kl_buf *ret, struct kl_err *err)
{
    unsigned char key[VAULT_TRAIL_KNOWN_KEY_BYTES] = {0};
    enum kl_status status;

    key_make(kind, tenant, key);
    status = kms_side_get(trails->keys, kl_slice_of(key, sizeof key), ret, err);
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        return KL_OK;
    }
    if (status == KL_ERR_TOO_LARGE ||
        (status == KL_OK && (ret->size != size || ret->bytes[0] != FORMAT))) {
        kl_err_clear(err);
        return kl_fail(err, KL_ERR_CORRUPT, "audit_head_damaged",
                       "what is kept beside the keys about the audit trail is damaged", NULL);
    }
    return status;
}

/* ---- heads ---- */

enum kl_status vault_trails_known(struct vault_trails *trails, uint64_t tenant,
                                  struct vault_trail_known *ret, struct kl_err *err)
{
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, VAULT_TRAIL_KNOWN_BYTES);
    status = row_get(trails, 'A', tenant, VAULT_TRAIL_KNOWN_BYTES, &row, err);
    if (status == KL_OK) {
        memset(ret, 0, sizeof *ret);
    }
    if (status == KL_OK && row.size > 0) {
        ret->size = kl_get_u64be(row.bytes + 1);
        memcpy(ret->root, row.bytes + 9, VAULT_AUDIT_HASH_BYTES);
        ret->at_us = (int64_t)kl_get_u64be(row.bytes + 9 + VAULT_AUDIT_HASH_BYTES);
    }
    kl_buf_done(&row);
    return status;
}

static void known_encode(const struct kl_merkle_tree *tree, int64_t at_us,
                         unsigned char ret_row[VAULT_TRAIL_KNOWN_BYTES])
{
    ret_row[0] = FORMAT;
    kl_put_u64be(ret_row + 1, tree->size);
    kl_merkle_root(tree, ret_row + 9);
    kl_put_u64be(ret_row + 9 + VAULT_AUDIT_HASH_BYTES, (uint64_t)at_us);
}

enum kl_status vault_trails_known_row(struct vault_trails *trails, uint64_t tenant, int64_t at_us,
                                      unsigned char ret_key[VAULT_TRAIL_KNOWN_KEY_BYTES],
                                      unsigned char ret_row[VAULT_TRAIL_KNOWN_BYTES],
                                      struct kl_err *err)
{
    struct vault_trail *trail = NULL;
    enum kl_status status = vault_trail_get(trails, tenant, &trail, err);

    if (status == KL_OK) {
        key_make('A', tenant, ret_key);
        (void)pthread_mutex_lock(&trails->lock);
        known_encode(&trail->durable, at_us, ret_row);
        (void)pthread_mutex_unlock(&trails->lock);
    }
    return status;
}

/* The next trail of a list, from trail on, that grew; its row. */
static struct vault_trail *grown(struct vault_trails *trails, struct vault_trail *trail,
                                 int64_t at_us, unsigned char ret_row[VAULT_TRAIL_KNOWN_BYTES])
{
    (void)pthread_mutex_lock(&trails->lock);
    while (trail != NULL && trail->durable.size == trail->known_size) {
        trail = trail->list_next;
    }
    if (trail != NULL) {
        known_encode(&trail->durable, at_us, ret_row);
    }
    (void)pthread_mutex_unlock(&trails->lock);
    return trail;
}

static struct vault_trail *list_first(struct vault_trails *trails, size_t list)
{
    struct vault_trail *first;

    (void)pthread_mutex_lock(&trails->lock);
    first = trails->lists[list];
    (void)pthread_mutex_unlock(&trails->lock);
    return first;
}

/* Of a tenant that was ended nothing is written any more. */
static enum kl_status head_put(struct vault_trails *trails, uint64_t tenant,
                               const unsigned char row[VAULT_TRAIL_KNOWN_BYTES], struct kl_err *err)
{
    const struct kms_place place = {tenant, VAULT_SLOT_SIGNING, KMS_VALUE_NONE};
    unsigned char key[VAULT_TRAIL_KNOWN_KEY_BYTES] = {0};
    struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                      .value = kl_slice_of(row, VAULT_TRAIL_KNOWN_BYTES)};

    if (kms_place_check(trails->keys, &place, NULL) == KL_ERR_GONE) {
        return KL_OK;
    }
    key_make('A', tenant, key);
    return kms_side_apply(trails->keys, &write, 1, false, err);
}

/* New trails come in at the front of a list, and none goes: list_next of one that is there never changes. */
enum kl_status vault_trails_known_put(struct vault_trails *trails, int64_t at_us,
                                      struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char row[VAULT_TRAIL_KNOWN_BYTES] = {0};
    struct vault_trail *trail;
    size_t list;

    for (list = 0; status == KL_OK && list < VAULT_TRAIL_LISTS; list++) {
        trail = grown(trails, list_first(trails, list), at_us, row);
        while (status == KL_OK && trail != NULL) {
            status = head_put(trails, trail->tenant, row, err);
            (void)pthread_mutex_lock(&trails->lock);
            trail->known_size = status == KL_OK ? kl_get_u64be(row + 1) : trail->known_size;
            (void)pthread_mutex_unlock(&trails->lock);
            trail = grown(trails, trail->list_next, at_us, row);
        }
    }
    return status;
}

/* ---- numbers ---- */

enum kl_status vault_trail_numbers_read(struct vault_trails *trails, uint64_t tenant,
                                        uint64_t *ret_numbers, struct kl_err *err)
{
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, NUMBERS_BYTES);
    status = row_get(trails, 'N', tenant, NUMBERS_BYTES, &row, err);
    if (status == KL_OK) {
        *ret_numbers = row.size == 0 ? 0 : kl_get_u64be(row.bytes + 1);
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_trail_numbers_take(struct vault_trails *trails, struct vault_trail *trail,
                                        size_t count, struct kl_err *err)
{
    enum kl_status status;
    unsigned char key[VAULT_TRAIL_KNOWN_KEY_BYTES] = {0};
    unsigned char row[NUMBERS_BYTES] = {FORMAT};
    struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                      .value = kl_slice_of(row, sizeof row)};

    if (trail->next.size + count <= trail->numbers) {
        return KL_OK;
    }
    key_make('N', trail->tenant, key);
    kl_put_u64be(row + 1, trail->next.size + count + VAULT_AUDIT_NUMBERS_BLOCK);
    status = kms_side_apply(trails->keys, &write, 1, true, err);
    if (status == KL_OK) {
        trail->numbers = kl_get_u64be(row + 1);
    }
    return status;
}

enum kl_status vault_trails_numbers(struct vault_trails *trails, uint64_t tenant,
                                    uint64_t *ret_numbers, struct kl_err *err)
{
    struct vault_trail *trail = NULL;
    enum kl_status status = vault_trail_get(trails, tenant, &trail, err);

    if (status == KL_OK) {
        *ret_numbers = trail->numbers;
    }
    return status;
}

enum kl_status vault_trails_skip(struct vault_trails *trails, uint64_t tenant,
                                 struct vault_batch *batch, uint64_t *ret_lost, struct kl_err *err)
{
    unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
    unsigned char until[8];
    struct vault_row_key key;
    struct vault_trail *trail = NULL;
    enum kl_status status = vault_trail_get(trails, tenant, &trail, err);

    if (status != KL_OK) {
        return status;
    }
    *ret_lost = trail->numbers > trail->next.size ? trail->numbers - trail->next.size : 0;
    if (*ret_lost == 0) {
        return KL_OK;
    }
    vault_lost_leaf(leaf);
    status = vault_trail_stored_ready(trails, trail, batch, err);
    if (status == KL_OK) {
        status = vault_trail_stored_push(trails, trail, leaf, *ret_lost, batch, err);
    }
    if (status == KL_OK) {
        key = vault_row_lost(tenant, trail->next.size);
        kl_put_u64be(until, trail->numbers);
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(until, sizeof until));
        kl_merkle_fill(&trail->next, *ret_lost, leaf);
        vault_trail_touch(trails, trail);
    }
    return status;
}
