/* Marks beside the keys: which slots a restored backup may not know, and that no number below them is given out again. */
#include "vault/restore.h"

#include "kluis/base/time.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include <stdlib.h>
#include <string.h>

#define ROW_FORMAT 1
#define MARK_KEY "VR"
#define MARK_KEY_BYTES (2 + 8)
#define MARK_BYTES (1 + 8 + 8)

static void mark_key(uint64_t tenant, unsigned char ret[MARK_KEY_BYTES])
{
    memcpy(ret, MARK_KEY, 2);
    kl_put_u64be(ret + 2, tenant);
}

/* The mark that earlier restores left for a tenant; 0: none. */
enum kl_status vault_restore_mark_read(struct kms *keys, uint64_t tenant,
                                       struct vault_restore_mark *ret, struct kl_err *err)
{
    unsigned char key[MARK_KEY_BYTES];
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status = KL_OK;

    mark_key(tenant, key);
    kl_buf_init(&row, 64);
    status = kms_side_get(keys, kl_slice_of(key, sizeof key), &row, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        *ret = (struct vault_restore_mark){0};
        status = KL_OK;
    } else if (status == KL_OK && (row.size != MARK_BYTES || row.bytes[0] != ROW_FORMAT)) {
        status =
            kl_fail(err, KL_ERR_CORRUPT, "mark_damaged", "a mark of the vault is damaged", NULL);
    } else if (status == KL_OK) {
        ret->below = kl_get_u64be(row.bytes + 1);
        ret->values_done = kl_get_u64be(row.bytes + 9);
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_restore_mark_write(struct kms *keys, uint64_t tenant,
                                        const struct vault_restore_mark *mark, bool sync,
                                        struct kl_err *err)
{
    unsigned char key[MARK_KEY_BYTES];
    unsigned char row[MARK_BYTES] = {ROW_FORMAT};
    const struct kms_storage_write write = {{key, sizeof key}, {row, sizeof row}};

    mark_key(tenant, key);
    kl_put_u64be(row + 1, mark->below);
    kl_put_u64be(row + 9, mark->values_done);
    return kms_side_apply(keys, &write, 1, sync, err);
}

/* The highest number behind the tenant in rows of that kind; 0 when there is none. */
static enum kl_status highest_slot(struct vault_store *rows, char kind, uint64_t tenant,
                                   uint64_t *ret, struct kl_err *err)
{
    struct vault_row_key first = vault_row_head(tenant, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice value;
    enum kl_status status = KL_OK;

    first.bytes[0] = (unsigned char)kind;
    first.size -= 8;
    past = vault_row_past(&first);
    iter = vault_iter_new(rows, vault_row_slice(&first), vault_row_slice(&past), true);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    *ret = 0;
    if (vault_iter_next(iter, &key, &value) && key.size >= first.size + 8) {
        *ret = kl_get_u64be(key.bytes + first.size);
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

static enum kl_status tenant_marks(struct kms *keys, struct vault_store *rows, uint64_t tenant,
                                   uint64_t margin, struct kl_err *err)
{
    struct kl_err cause = {0};
    uint64_t mark = 0;
    struct vault_restore_mark earlier = {0};
    uint64_t head = 0;
    enum kl_status status = kms_slot_mark(keys, tenant, &mark, &cause);

    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    status = highest_slot(rows, 'H', tenant, &head, err);
    if (status == KL_OK) {
        status = vault_restore_mark_read(keys, tenant, &earlier, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (head <= KMS_SLOT_MAX && mark <= head) {
        mark = head + 1;
    }
    status = kms_slot_mark_raise(keys, tenant,
                                 mark + margin > KMS_SLOT_MAX ? KMS_SLOT_MAX : mark + margin, err);
    /* What was done of an earlier one was done for another copy. */
    if (status == KL_OK && (mark > earlier.below || earlier.values_done > 0)) {
        earlier.below = mark > earlier.below ? mark : earlier.below;
        earlier.values_done = 0;
        status = vault_restore_mark_write(keys, tenant, &earlier, true, err);
    }
    return status;
}

/* The highest number of a tenant that the rows tell of: audit trails have one for each. */
static enum kl_status highest_tenant(struct vault_store *rows, uint64_t *ret, struct kl_err *err)
{
    static const unsigned char first[] = {'F'};
    static const unsigned char past[] = {'F' + 1};
    struct vault_iter *iter =
        vault_iter_new(rows, kl_slice_of(first, 1), kl_slice_of(past, 1), true);
    struct kl_slice key;
    struct kl_slice value;
    enum kl_status status = KL_OK;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    *ret = 0;
    if (vault_iter_next(iter, &key, &value) && key.size == 9) {
        *ret = kl_get_u64be(key.bytes + 1);
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

enum kl_status vault_restore_marks(struct vault *vault, struct vault_store *rows,
                                   const struct vault_restored_from *from, uint64_t margin,
                                   struct kl_err *err)
{
    unsigned char row[1 + KL_ID_BYTES + 8] = {ROW_FORMAT};
    const struct kms_storage_write write = {kl_slice_text(MARK_KEY), {row, sizeof row}};
    uint64_t tenants = 0;
    uint64_t highest = 0;
    uint64_t tenant = 0;
    enum kl_status status = highest_tenant(rows, &highest, err);

    if (status == KL_OK && highest <= KMS_SLOT_MAX) {
        status = kms_tenant_mark_raise(vault->keys, highest + 1 + (margin > 0 ? 16 : 0), err);
    }
    if (status == KL_OK) {
        status = kms_tenant_mark(vault->keys, &tenants, err);
    }
    for (tenant = 1; status == KL_OK && tenant < tenants; tenant++) {
        status = tenant_marks(vault->keys, rows, tenant, margin, err);
    }
    if (status != KL_OK) {
        return status;
    }
    memcpy(row + 1, from->backup.bytes, KL_ID_BYTES);
    kl_put_u64be(row + 1 + KL_ID_BYTES, (uint64_t)kl_time_now_us());
    return kms_side_apply(vault->keys, &write, 1, true, err);
}

enum kl_status vault_restore_pending(struct kms *keys, bool *ret_pending, struct kl_err *err)
{
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, 64);
    status = kms_side_get(keys, kl_slice_text(MARK_KEY), &row, &cause);
    kl_buf_done(&row);
    if (status != KL_OK && status != KL_ERR_NOT_FOUND) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    *ret_pending = status == KL_OK;
    return KL_OK;
}

enum kl_status vault_restore_marks_remove(struct kms *keys, uint64_t tenants, struct kl_err *err)
{
    struct kms_storage_write *writes = calloc(tenants + 1, sizeof *writes);
    unsigned char(*rows)[MARK_KEY_BYTES] = calloc(tenants + 1, sizeof *rows);
    uint64_t i;
    enum kl_status status = KL_OK;

    if (writes == NULL || rows == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    writes[0].key = kl_slice_text(MARK_KEY);
    for (i = 1; i < tenants; i++) {
        mark_key(i, rows[i]);
        writes[i].key = kl_slice_of(rows[i], MARK_KEY_BYTES);
    }
    status = kms_side_apply(keys, writes, tenants == 0 ? 1 : tenants, true, err);

out:
    free(writes);
    free(rows);
    return status;
}
