#include "tests/support/trail_fixture.h"

#include "tests/support/test.h"
#include "vault/audit_leaves.h"
#include "vault/rows.h"

#include <stdlib.h>
#include <string.h>

int trail_fixture_setup(void **state)
{
    struct trail_fixture *fixture = calloc(1, sizeof *fixture);
    void *base = NULL;

    assert_non_null(fixture);
    assert_int_equal(store_fixture_setup(&base), 0);
    fixture->base = base;
    fixture->leaves = calloc(TRAIL_FIXTURE_MAX, sizeof *fixture->leaves);
    fixture->ids = calloc(TRAIL_FIXTURE_MAX, sizeof *fixture->ids);
    assert_non_null(fixture->leaves);
    assert_non_null(fixture->ids);
    fixture->trails = vault_trails_new(fixture->base->keys->kms, fixture->base->store);
    assert_non_null(fixture->trails);
    *state = fixture;
    return 0;
}

int trail_fixture_teardown(void **state)
{
    struct trail_fixture *fixture = *state;
    void *base = fixture->base;

    vault_trails_free(fixture->trails);
    free(fixture->leaves);
    free(fixture->ids);
    free(fixture);
    return store_fixture_teardown(&base);
}

void trail_fixture_reopen(struct trail_fixture *fixture)
{
    vault_trails_free(fixture->trails);
    store_fixture_reopen(fixture->base);
    fixture->trails = vault_trails_new(fixture->base->keys->kms, fixture->base->store);
    assert_non_null(fixture->trails);
}

void trail_fixture_commit(struct trail_fixture *fixture, struct vault_batch *batch)
{
    vault_trails_frontiers(fixture->trails, batch);
    assert_int_equal(vault_store_apply(fixture->base->store, batch, false, NULL), KL_OK);
    vault_trails_applied(fixture->trails, true, true);
    vault_batch_clear(batch);
}

static void append_one(struct trail_fixture *fixture, struct vault_batch *batch)
{
    static const struct vault_audit_who who = {.role = "operator", .at_us = 1700000000000000};
    struct vault_audit_entry entry;
    const struct vault_audit_entry *entries[1] = {&entry};
    struct kl_json_out out;

    assert_in_range(fixture->count, 0, TRAIL_FIXTURE_MAX - 1);
    vault_audit_begin(&entry, fixture->base->tenant, &who, "read", &out);
    assert_int_equal(vault_audit_end(&entry, &out, NULL), KL_OK);
    assert_int_equal(vault_trails_append(fixture->trails, entries, 1, batch, NULL), KL_OK);
    memcpy(fixture->leaves[fixture->count].bytes, entry.hash, sizeof entry.hash);
    fixture->ids[fixture->count] = entry.id;
    fixture->count++;
    vault_audit_done(&entry);
}

void trail_fixture_append(struct trail_fixture *fixture, size_t count, size_t group)
{
    struct vault_batch *batch = vault_batch_new();

    for (size_t i = 0; i < count; i++) {
        append_one(fixture, batch);
        if ((i + 1) % group == 0) {
            trail_fixture_commit(fixture, batch);
        }
    }
    trail_fixture_commit(fixture, batch);
    vault_batch_free(batch);
}

size_t trail_fixture_lose(struct trail_fixture *fixture)
{
    struct vault_batch *batch = vault_batch_new();
    uint64_t lost = 0;

    assert_int_equal(vault_trails_skip(fixture->trails, fixture->base->tenant, batch, &lost, NULL),
                     KL_OK);
    trail_fixture_commit(fixture, batch);
    vault_batch_free(batch);
    return (size_t)lost;
}

void trail_fixture_remove(struct trail_fixture *fixture, struct kl_slice prefix)
{
    struct vault_batch *batch = vault_batch_new();
    struct vault_row_key first = {.size = prefix.size};
    struct vault_row_key past;

    memcpy(first.bytes, prefix.bytes, prefix.size);
    past = vault_row_past(&first);
    vault_batch_remove_range(batch, prefix, vault_row_slice(&past));
    assert_int_equal(vault_store_apply(fixture->base->store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
}

void trail_fixture_edit(struct trail_fixture *fixture, struct kl_slice key, size_t at)
{
    struct vault_batch *batch = vault_batch_new();
    struct kl_buf row;

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    assert_int_equal(vault_store_get(fixture->base->store, key, &row, NULL), KL_OK);
    assert_in_range(at, 0, row.size - 1);
    row.bytes[at] ^= 1;
    vault_batch_put(batch, key, kl_buf_slice(&row));
    assert_int_equal(vault_store_apply(fixture->base->store, batch, false, NULL), KL_OK);
    kl_buf_done(&row);
    vault_batch_free(batch);
}
