#include "vault/key_storage.h"

#include "kluis/kms/kms.h"
#include "tests/support/store_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static struct kl_slice text(const char *value)
{
    return kl_slice_text(value);
}

struct seen {
    char keys[256];
    enum kl_status stop_with; /* at the second row */
    int rows;
};

static enum kl_status see(void *visitor, struct kl_slice key, struct kl_slice value,
                          struct kl_err *err)
{
    struct seen *seen = visitor;
    (void)value;
    strncat(seen->keys, (const char *)key.bytes, key.size);
    strcat(seen->keys, " ");
    if (++seen->rows == 2 && seen->stop_with != KL_OK) {
        return kl_fail(err, seen->stop_with, "stopped", "stopped", NULL);
    }
    return KL_OK;
}

static void fill(struct kms_storage *storage)
{
    const struct kms_storage_write writes[] = {
        {text("a"), text("0")},  {text("p1"), text("1")}, {text("p2"), text("2")},
        {text("p3"), text("3")}, {text("q"), text("4")},  {text("p2"), {NULL, 0}},
    };
    assert_int_equal(storage->apply(storage->context, writes, 6, true, NULL), KL_OK);
}

static void test_a_batch_puts_and_deletes_in_order(void **state)
{
    struct store_fixture *fixture = *state;
    struct kms_storage storage = vault_key_storage(fixture->store);
    struct kl_buf buf;
    fill(&storage);
    kl_buf_init(&buf, 10);
    assert_int_equal(storage.get(storage.context, text("p1"), &buf, NULL), KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&buf), "1"));
    assert_int_equal(storage.get(storage.context, text("p2"), &buf, NULL), KL_ERR_NOT_FOUND);
    kl_buf_done(&buf);
}

static void test_a_range_gives_the_rows_of_a_prefix(void **state)
{
    struct store_fixture *fixture = *state;
    struct kms_storage storage = vault_key_storage(fixture->store);
    struct seen seen = {.rows = 0};
    fill(&storage);
    assert_int_equal(storage.range(storage.context, text("p"), see, &seen, NULL), KL_OK);
    assert_string_equal(seen.keys, "p1 p3 ");
    seen = (struct seen){.rows = 0};
    assert_int_equal(storage.range(storage.context, text(""), see, &seen, NULL), KL_OK);
    assert_string_equal(seen.keys, "a p1 p3 q ");
}

static void test_a_range_ends_with_what_the_visitor_says(void **state)
{
    struct store_fixture *fixture = *state;
    struct kms_storage storage = vault_key_storage(fixture->store);
    struct seen seen = {.stop_with = KL_ERR_BUSY};
    struct kl_err err = {.status = KL_OK};
    fill(&storage);
    assert_int_equal(storage.range(storage.context, text("p"), see, &seen, &err), KL_ERR_BUSY);
    assert_string_equal(err.code, "stopped");
    assert_string_equal(seen.keys, "p1 p3 ");
}

static void test_a_key_store_lives_in_it(void **state)
{
    struct store_fixture *fixture = *state;
    struct kms_storage storage = vault_key_storage(fixture->store);
    void *made = NULL;
    assert_int_equal(kms_fixture_setup_empty(&made), 0);
    struct kms_fixture *keys = made;
    struct kms_place place = {.slot = KMS_TENANT_OWN_SLOTS + 5, .value = KMS_VALUE_NONE};
    struct kl_buf sealed;
    kl_buf_init(&sealed, 1000);
    keys->options.storage = &storage;
    assert_int_equal(kms_create(&keys->options, NULL), KL_OK);
    kms_fixture_reopen(keys);
    assert_int_equal(kms_tenant_take(keys->kms, &place.tenant, NULL), KL_OK);
    kms_fixture_seal(keys->kms, place, &sealed);
    kms_fixture_close(keys);
    store_fixture_reopen(fixture);
    storage = vault_key_storage(fixture->store);
    kms_fixture_reopen(keys);
    assert_int_equal(kms_fixture_unseal(keys->kms, place, &sealed), KL_OK);
    assert_int_equal(kms_fixture_change(keys->kms, KMS_CHANGE_SHRED, place), KL_OK);
    assert_int_equal(kms_fixture_unseal(keys->kms, place, &sealed), KL_ERR_GONE);
    kl_buf_done(&sealed);
    kms_fixture_teardown(&made);
}

int main(void)
{
#define STORAGE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, store_fixture_setup_store, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        STORAGE_TEST(test_a_batch_puts_and_deletes_in_order),
        STORAGE_TEST(test_a_range_gives_the_rows_of_a_prefix),
        STORAGE_TEST(test_a_range_ends_with_what_the_visitor_says),
        STORAGE_TEST(test_a_key_store_lives_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
