/* The index and the Unicode version that it was made with. */
#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"
#include "vault/rows.h"
#include "vault/store/store.h"
#include "vault/vault_internal.h"

#include <string.h>

static struct vault_store *open_data(struct vault_fixture *fixture)
{
    char path[ADMIN_PATH_BYTES];
    struct vault_store_options options = {.path = path};
    struct vault_store *store = NULL;

    fixture_path(fixture, "data/data", path);
    assert_int_equal(vault_store_open(&options, &store, NULL), KL_OK);
    return store;
}

/* Take all buckets away, and say that the index was made with that version (NULL: say nothing). */
static void lose_index(struct vault_fixture *fixture, const char *version)
{
    struct vault_row_key key = vault_row_meta(VAULT_META_UNICODE);
    struct vault_batch *batch = vault_batch_new();
    struct vault_store *store = NULL;

    admin_close(fixture->admin);
    store = open_data(fixture);
    vault_batch_remove_range(batch, kl_slice_text("B"), kl_slice_text("C"));
    if (version != NULL) {
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_text(version));
    }
    assert_int_equal(vault_store_apply(store, batch, true, NULL), KL_OK);
    vault_batch_free(batch);
    vault_store_close(store);
    admin_reopen(fixture->admin);
}

static size_t found(struct vault_fixture *fixture)
{
    return fixture_lookup(fixture, "newsletter.email", "ana@example.org", NULL);
}

static void test_an_index_of_another_unicode_version_is_built_anew(void **state)
{
    struct vault_fixture *fixture = *state;

    (void)fixture_newsletter(fixture, "ana@example.org", true);
    assert_int_equal(found(fixture), 1);
    lose_index(fixture, "1.0.0");
    assert_int_equal(found(fixture), 1);
}

static void test_an_index_of_the_version_in_use_is_left_alone(void **state)
{
    struct vault_fixture *fixture = *state;

    (void)fixture_newsletter(fixture, "ana@example.org", true);
    lose_index(fixture, NULL);
    assert_int_equal(found(fixture), 0);
}

static void test_the_version_is_kept_once_the_index_is_of_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_row_key key = vault_row_meta(VAULT_META_UNICODE);
    struct vault_store *store = NULL;
    struct kl_buf row;

    lose_index(fixture, "1.0.0");
    admin_close(fixture->admin);
    store = open_data(fixture);
    kl_buf_init(&row, 64);
    assert_int_equal(vault_store_get(store, vault_row_slice(&key), &row, NULL), KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&row), vault_value_unicode_version()));
    kl_buf_done(&row);
    vault_store_close(store);
    admin_reopen(fixture->admin);
}

#define FIXTURE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_an_index_of_another_unicode_version_is_built_anew),
        FIXTURE_TEST(test_an_index_of_the_version_in_use_is_left_alone),
        FIXTURE_TEST(test_the_version_is_kept_once_the_index_is_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
