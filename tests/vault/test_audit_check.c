/* A trail on the disk: what of it is not what it was. */
#include "vault/audit_check.h"

#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kl_trail_findings *found(struct vault_fixture *fixture)
{
    struct kl_trail_findings *findings = calloc(1, sizeof *findings);
    uint64_t size = 0;

    assert_non_null(findings);
    assert_int_equal(
        vault_audit_check(fixture_vault(fixture), fixture_tenant(fixture), findings, &size, NULL),
        KL_OK);
    assert_true(size > 300);
    return findings;
}

static void assert_found(struct vault_fixture *fixture, const char *code, uint64_t from)
{
    struct kl_trail_findings *findings = found(fixture);

    assert_true(findings->count > 0);
    assert_string_equal(findings->items[0].code, code);
    assert_int_equal(findings->items[0].from, from);
    free(findings);
}

static void assert_right(struct vault_fixture *fixture)
{
    struct kl_trail_findings *findings = found(fixture);

    if (findings->count > 0) {
        print_error("%s: %s\n", findings->items[0].code, findings->items[0].detail);
    }
    assert_int_equal(findings->count, 0);
    free(findings);
}

/* Entries past the first tile. */
static void fill(struct vault_fixture *fixture)
{
    for (int i = 0; i < 320; i++) {
        struct vault_subject_result nobody;

        (void)fixture_read(fixture, "reader", &(struct kl_id){{9}}, "support", &nobody);
    }
}

static struct kl_buf row_of(struct vault_fixture *fixture, struct vault_row_key key)
{
    struct kl_buf row;

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL),
        KL_OK);
    return row;
}

/* size 0: the row is removed. */
static void put(struct vault_fixture *fixture, struct vault_row_key key, const void *bytes,
                size_t size)
{
    struct vault_batch *batch = vault_batch_new();

    if (size > 0) {
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, size));
    } else {
        vault_batch_remove(batch, vault_row_slice(&key));
    }
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, false, NULL),
                     KL_OK);
    vault_batch_free(batch);
}

/* Change a byte, look, and put it back. */
static void assert_flip(struct vault_fixture *fixture, struct vault_row_key key, size_t at,
                        const char *code, uint64_t from)
{
    struct kl_buf row = row_of(fixture, key);

    row.bytes[at] ^= 1;
    put(fixture, key, row.bytes, row.size);
    assert_found(fixture, code, from);
    row.bytes[at] ^= 1;
    put(fixture, key, row.bytes, row.size);
    assert_right(fixture);
    kl_buf_done(&row);
}

static void test_every_kind_of_row_is_held_against_the_others(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t tenant = fixture_tenant(fixture);
    uint64_t size = 0;

    fill(fixture);
    assert_int_equal(vault_trails_size(fixture_vault(fixture)->trails, tenant, &size, NULL), KL_OK);
    assert_right(fixture);
    assert_flip(fixture, vault_row_audit(tenant, 17), 20, "entry_edited", 17);
    assert_flip(fixture, vault_row_audit(tenant, size - 1), 20, "entry_edited", size - 1);
    assert_flip(fixture, vault_row_tile(tenant, 0, 0), 33, "tree_damaged", 1);
    assert_flip(fixture, vault_row_tile(tenant, 1, 0), 3, "tree_damaged", 0);
    assert_flip(fixture, vault_row_tile(tenant, 255, (size - 1) % 256), 9, "tree_damaged",
                size - 1);
    assert_flip(fixture, vault_row_frontier(tenant), 12, "frontier_altered", 0);
}

static void test_rows_that_are_gone_or_too_many_are_named(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t tenant = fixture_tenant(fixture);
    struct vault_row_key key = vault_row_audit(tenant, 40);
    struct kl_buf row;
    uint64_t size = 0;

    fill(fixture);
    assert_int_equal(vault_trails_size(fixture_vault(fixture)->trails, tenant, &size, NULL), KL_OK);
    row = row_of(fixture, key);
    put(fixture, key, NULL, 0);
    assert_found(fixture, "entry_dropped", 40);
    put(fixture, key, row.bytes, row.size);
    put(fixture, vault_row_audit(tenant, size + 3), row.bytes, row.size);
    assert_found(fixture, "entry_inserted", size);
    put(fixture, vault_row_audit(tenant, size + 3), NULL, 0);
    put(fixture, vault_row_audit_id(tenant, &(struct kl_id){{1}}, 3), "x", 1);
    assert_found(fixture, "index_damaged", 0);
    kl_buf_done(&row);
}

static void test_a_trail_that_lost_numbers_is_right(void **state)
{
    struct vault_fixture *fixture = *state;

    fill(fixture);
    fixture_copy(fixture);
    (void)fixture_newsletter(fixture, "ana@example.org", true);
    fixture_put_back_data(fixture);
    fill(fixture);
    assert_right(fixture);
}

/* The head beside the keys is of another history. */
static void test_a_trail_that_was_rewritten_is_told_at_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    unsigned char key[VAULT_TRAIL_KNOWN_KEY_BYTES] = {0};
    unsigned char row[VAULT_TRAIL_KNOWN_BYTES] = {0};
    struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                      .value = kl_slice_of(row, sizeof row)};
    struct kl_trail_findings *findings;

    fill(fixture);
    assert_int_equal(vault_trails_known_put(vault->trails, 1, NULL), KL_OK);
    assert_int_equal(vault_audit_known_check(vault, NULL), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"trail_rewritten\""), 0);
    assert_int_equal(
        vault_trails_known_row(vault->trails, fixture_tenant(fixture), 1, key, row, NULL), KL_OK);
    row[12] ^= 1;
    assert_int_equal(kms_side_apply(vault->keys, &write, 1, true, NULL), KL_OK);
    findings = found(fixture);
    assert_int_equal(findings->count, 1);
    assert_string_equal(findings->items[0].code, "fork");
    free(findings);
    assert_int_equal(vault_audit_known_check(vault, NULL), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"trail_rewritten\""), 1);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_kind_of_row_is_held_against_the_others),
        TEST(test_rows_that_are_gone_or_too_many_are_named),
        TEST(test_a_trail_that_lost_numbers_is_right),
        TEST(test_a_trail_that_was_rewritten_is_told_at_open),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
