#include "tests/support/commit_fixture.h"

#include "vault/rows.h"

#include <assert.h>
#include <stdlib.h>

void half_open(struct half *half)
{
    half->index = vault_index_new(half->base->keys->kms, half->base->store);
    half->trails = vault_trails_new(half->base->keys->kms, half->base->store);
    half->committer = vault_committer_new(half->base->store, half->index, half->trails);
    assert(half->committer != NULL);
}

void half_close(struct half *half)
{
    vault_committer_free(half->committer);
    vault_trails_free(half->trails);
    vault_index_free(half->index);
}

int half_setup(void **state)
{
    void *base = NULL;
    struct half *half = calloc(1, sizeof(*half));
    if (half == NULL || store_fixture_setup(&base) != 0) {
        free(half);
        return -1;
    }
    half->base = base;
    half->tenant = half->base->tenant;
    half_open(half);
    *state = half;
    return 0;
}

int half_teardown(void **state)
{
    struct half *half = *state;
    void *base = half->base;
    half_close(half);
    free(half);
    return store_fixture_teardown(&base);
}

void half_entry(struct vault_audit_entry *ret_entry, uint64_t tenant, const char *action)
{
    const struct vault_audit_who who = {.role = "operator", .at_us = 1700000000000000};
    struct kl_json_out out;
    vault_audit_begin(ret_entry, tenant, &who, action, &out);
    enum kl_status status = vault_audit_end(ret_entry, &out, NULL);
    assert(status == KL_OK);
}

void half_put_head(struct vault_batch *batch, uint64_t tenant, uint64_t slot, uint64_t version)
{
    unsigned char value[16] = {0};
    struct vault_row_key key = vault_row_head(tenant, slot);
    kl_put_u64be(value, version);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(value, sizeof(value)));
}

uint64_t half_head(struct half *half, uint64_t slot)
{
    struct vault_row_key key = vault_row_head(half->tenant, slot);
    struct kl_buf row;
    kl_buf_init(&row, 100);
    enum kl_status status = vault_store_get(half->base->store, vault_row_slice(&key), &row, NULL);
    uint64_t version = status == KL_OK ? kl_get_u64be(row.bytes) : 0;
    kl_buf_done(&row);
    return version;
}

uint64_t half_trail_size(struct half *half)
{
    uint64_t size = 0;
    enum kl_status status = vault_trails_size(half->trails, half->tenant, &size, NULL);
    assert(status == KL_OK);
    return size;
}
