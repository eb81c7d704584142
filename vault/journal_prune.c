/* The journal's upkeep: closings that no allowed backup can be without are removed; the trails' heads are written beside the keys. */
#include "vault/journal_internal.h"
#include "vault/rows.h"
#include "vault/tenants.h"
#include "vault/upkeep.h"

#include <stdlib.h>

#define HEAD_FORMAT 1
#define HEAD_BYTES 9
#define PRUNE_AT_ONCE 1000
#define PRUNE_INTERVAL_MS 3600000
#define TRAIL_INTERVAL_MS 60000

/* ---- rows ---- */

bool vault_journal_head_read(struct kl_slice row, uint64_t *ret_from)
{
    if (row.size != HEAD_BYTES || row.bytes[0] != HEAD_FORMAT || kl_get_u64be(row.bytes + 1) == 0) {
        return false;
    }
    *ret_from = kl_get_u64be(row.bytes + 1);
    return true;
}

static void head_make(uint64_t tenant, uint64_t from,
                      unsigned char ret_key[VAULT_JOURNAL_KEY_BYTES],
                      unsigned char ret_row[HEAD_BYTES], struct kms_storage_write *ret)
{
    vault_journal_key(tenant, 0, ret_key);
    ret_row[0] = HEAD_FORMAT;
    kl_put_u64be(ret_row + 1, from);
    ret->key = kl_slice_of(ret_key, VAULT_JOURNAL_KEY_BYTES - 8);
    ret->value = kl_slice_of(ret_row, HEAD_BYTES);
}

enum kl_status vault_journal_head_put(struct vault *vault, uint64_t tenant, uint64_t from,
                                      struct kl_err *err)
{
    unsigned char key[VAULT_JOURNAL_KEY_BYTES];
    unsigned char row[HEAD_BYTES];
    struct kms_storage_write write;

    head_make(tenant, from, key, row, &write);
    return kms_side_apply(vault->keys, &write, 1, true, err);
}

enum kl_status vault_journal_known(struct vault *vault, uint64_t tenant, uint64_t *ret_known,
                                   bool *ret_there, struct kl_err *err)
{
    struct vault_row_key key = vault_row_journal(tenant);
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, 64);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    *ret_there = status == KL_OK;
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        *ret_known = 0;
        status = KL_OK;
    } else if (status == KL_OK && row.size != 8) {
        status =
            kl_fail(err, KL_ERR_CORRUPT, "mark_damaged", "a mark of the vault is damaged", NULL);
    } else if (status == KL_OK) {
        *ret_known = kl_get_u64be(row.bytes);
    }
    kl_buf_done(&row);
    return status;
}

/* ---- pruning ---- */

/* first: the first number that has a row; until: behind the last that may go. */
struct pruning {
    int64_t before_us;
    uint64_t known;
    uint64_t first;
    uint64_t until;
    bool ended;
};

static enum kl_status prune_row(void *visitor, struct kl_slice key, struct kl_slice value,
                                struct kl_err *err)
{
    struct pruning *pruning = visitor;
    uint64_t slot = 0;
    int64_t at_us = 0;
    uint64_t seq = 0;

    (void)err;
    if (key.size != VAULT_JOURNAL_KEY_BYTES || pruning->ended) {
        return KL_OK;
    }
    seq = kl_get_u64be(key.bytes + key.size - 8);
    pruning->first = pruning->first == 0 ? seq : pruning->first;
    pruning->ended = seq > pruning->known || seq - pruning->first >= PRUNE_AT_ONCE ||
                     (vault_closing_peek(value, &at_us, &slot) && at_us >= pruning->before_us);
    if (!pruning->ended) {
        pruning->until = seq + 1;
    }
    return KL_OK;
}

/* With the head that says so in the same batch: a number without a row behind it is a loss, one before it is not. */
static enum kl_status prune_apply(struct vault *vault, uint64_t tenant, uint64_t from,
                                  const struct pruning *pruning, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t count = (size_t)(pruning->until - pruning->first);
    unsigned char head_key[VAULT_JOURNAL_KEY_BYTES];
    unsigned char head[HEAD_BYTES];
    unsigned char(*keys)[VAULT_JOURNAL_KEY_BYTES] = calloc(count, sizeof *keys);
    struct kms_storage_write *writes = calloc(count + 1, sizeof *writes);
    size_t i;

    if (keys == NULL || writes == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    head_make(tenant, from, head_key, head, &writes[0]);
    for (i = 0; i < count; i++) {
        vault_journal_key(tenant, pruning->first + i, keys[i]);
        writes[i + 1].key = kl_slice_of(keys[i], sizeof keys[i]);
    }
    status = kms_side_apply(vault->keys, writes, count + 1, true, err);

out:
    free(keys);
    free(writes);
    return status;
}

static enum kl_status prune_tenant(struct vault *vault, uint64_t tenant, int64_t before_us,
                                   struct kl_err *err)
{
    struct vault_journal *journal = vault->journal;
    struct pruning pruning = {.before_us = before_us};
    struct vault_journal_tenant *of = NULL;
    unsigned char prefix[VAULT_JOURNAL_KEY_BYTES];
    uint64_t from = 0;
    bool there = false;
    enum kl_status status = vault_journal_known(vault, tenant, &pruning.known, &there, err);

    if (status != KL_OK || !there) {
        return status;
    }
    vault_journal_key(tenant, 0, prefix);
    status = kms_side_range(vault->keys, kl_slice_of(prefix, sizeof prefix - 8), prune_row,
                            &pruning, err);
    if (status != KL_OK || pruning.until == 0) {
        return status;
    }
    (void)pthread_mutex_lock(&journal->lock);
    of = vault_journal_tenant(journal, tenant);
    from = of == NULL || of->from < pruning.until ? pruning.until : of->from;
    (void)pthread_mutex_unlock(&journal->lock);
    status = prune_apply(vault, tenant, from, &pruning, err);
    if (status == KL_OK && of != NULL) {
        (void)pthread_mutex_lock(&journal->lock);
        of->from = from;
        (void)pthread_mutex_unlock(&journal->lock);
        vault_journal_let_go(journal, tenant, pruning.until);
    }
    return status;
}

enum kl_status vault_journal_prune(struct vault *vault, int64_t now_us, int64_t keep_us,
                                   struct kl_err *err)
{
    const struct vault_tenant *tenant = NULL;
    enum kl_status status = prune_tenant(vault, KMS_TENANT_VAULT, now_us - keep_us, err);

    for (tenant = vault_tenants_next(vault, KMS_TENANT_VAULT); status == KL_OK && tenant != NULL;
         tenant = vault_tenants_next(vault, tenant->number)) {
        status = prune_tenant(vault, tenant->number, now_us - keep_us, err);
    }
    return status;
}

/* ---- upkeep ---- */

static enum kl_status prune_run(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    return vault_journal_prune(vault, now_us, vault_upkeep_options(vault).backup_keep_us, err);
}

const struct vault_upkeep_task vault_journal_task = {
    .name = "journal", .interval_ms = PRUNE_INTERVAL_MS, .run = prune_run};

static enum kl_status trail_run(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    return vault_trails_known_put(vault->trails, now_us, err);
}

const struct vault_upkeep_task vault_trail_task = {
    .name = "trail", .interval_ms = TRAIL_INTERVAL_MS, .run = trail_run};
