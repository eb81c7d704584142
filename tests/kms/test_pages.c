/* Every page that was written out is passed, and touching them all gives all of them fresh keys. */
#include "kms/page.h"
#include "tests/support/kms_fixture.h"

#include "kms/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1
#define ROWS 128

static struct kms_place slot(uint64_t tenant, uint64_t number)
{
    return (struct kms_place){tenant, number, KMS_VALUE_NONE};
}

static void punch(struct kms_fixture *fixture)
{
    static const struct kms_place places[] = {
        {T, 70, 1}, {T, 70, 9000},   {T, 8300, KMS_VALUE_NONE},          {T, 1056900, 3},
        {2, 64, 0}, {2, 100000, 65}, {3, KMS_SLOT_NONE, KMS_VALUE_NONE}, {9000, 64, 10},
    };

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, places[i]), KL_OK);
    }
}

/* The rows of pages as they are: key and sealed bytes of each. */
struct rows {
    unsigned char keys[ROWS][KMS_PAGE_KEY_BYTES];
    unsigned char heads[ROWS][64]; /* version, nonce and the first of the ciphertext */
    size_t count;
};

static void rows_read(struct kms_fixture *fixture, struct rows *ret)
{
    struct kl_slice key;
    size_t bytes = 0;
    const unsigned char *value;

    ret->count = 0;
    for (size_t i = 0; (value = memory_storage_row(fixture->storage, i, &key, &bytes)) != NULL;
         i++) {
        if (key.size == KMS_PAGE_KEY_BYTES && key.bytes[0] == KMS_ROW_PAGE) {
            assert_true(ret->count < ROWS);
            memcpy(ret->keys[ret->count], key.bytes, KMS_PAGE_KEY_BYTES);
            memcpy(ret->heads[ret->count++], value, sizeof ret->heads[0]);
        }
    }
}

/* Touch them all, a few at a time. Returns how many places there were. */
static size_t touch_all(struct kms_fixture *fixture, uint64_t tenant, size_t each)
{
    struct kms_pages_cursor cursor = {{0}};
    struct kms_place places[16];
    struct kms_change changes[16];
    size_t all = 0;
    size_t count = 0;

    for (;;) {
        struct kms_request request = {.changes = changes};

        assert_int_equal(kms_pages_next(fixture->kms, tenant, &cursor, each, places, &count, NULL),
                         KL_OK);
        if (count == 0) {
            return all;
        }
        assert_true(count <= each);
        for (size_t i = 0; i < count; i++) {
            changes[i] = (struct kms_change){KMS_CHANGE_TOUCH, places[i]};
        }
        request.changes_count = count;
        assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
        all += count;
    }
}

static size_t changed(const struct rows *before, const struct rows *after, uint64_t tenant)
{
    size_t count = 0;

    assert_int_equal(before->count, after->count);
    for (size_t i = 0; i < before->count; i++) {
        bool counts = tenant == KMS_TENANT_ALL || (before->keys[i][1] != KMS_TREE_STORE &&
                                                   kl_get_u64be(before->keys[i] + 2) == tenant);

        assert_memory_equal(before->keys[i], after->keys[i], KMS_PAGE_KEY_BYTES);
        count += counts && memcmp(before->heads[i], after->heads[i], sizeof after->heads[0]) != 0;
    }
    return count;
}

static void test_touching_every_place_gives_every_page_a_fresh_key(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rows *before = test_malloc(sizeof *before);
    struct rows *after = test_malloc(sizeof *after);

    punch(fixture);
    rows_read(fixture, before);
    assert_true(before->count > 20);
    assert_int_equal(touch_all(fixture, KMS_TENANT_ALL, 3), before->count);
    rows_read(fixture, after);
    assert_int_equal(changed(before, after, KMS_TENANT_ALL), before->count);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 70, 1}, NULL),
                     KL_ERR_GONE);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 70, 2}, NULL), KL_OK);
    test_free(before);
    test_free(after);
}

static void test_one_tenant_is_passed_alone(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rows *before = test_malloc(sizeof *before);
    struct rows *after = test_malloc(sizeof *after);
    size_t pages;

    punch(fixture);
    rows_read(fixture, before);
    pages = touch_all(fixture, T, 16);
    rows_read(fixture, after);
    assert_true(pages > 10);
    assert_int_equal(changed(before, after, T), pages);
    assert_int_equal(changed(before, after, 2), 0);
    assert_int_equal(changed(before, after, 9000), 0);
    assert_int_equal(touch_all(fixture, 3, 16), 0);
    test_free(before);
    test_free(after);
}

/* Whoever can write to the key store can put rows of pages there that cannot be. */
static void test_rows_of_pages_that_cannot_be_are_passed_over(void **state)
{
    static const struct kms_address impossible[] = {
        {.tenant = T, .slot = 70, .tree = KMS_TREE_SUBJECT, .height = 200, .level = 3},
        {.tenant = T, .slot = 70, .tree = KMS_TREE_SUBJECT, .height = 2, .level = 3},
        {.tenant = T, .slot = 70, .tree = KMS_TREE_SUBJECT, .index = UINT64_MAX},
        {.tenant = T, .slot = 70, .tree = KMS_TREE_SUBJECT, .height = KMS_SPINE_MARK},
        {.tenant = T, .slot = UINT64_MAX, .tree = KMS_TREE_SUBJECT, .height = 1},
        {.tenant = UINT64_MAX, .slot = 70, .tree = KMS_TREE_SUBJECT, .height = 1},
        {.tenant = T, .slot = 70, .tree = KMS_TREE_TENANT, .height = 1},
        {.tenant = T, .tree = KMS_TREE_STORE, .height = 1},
        {.tenant = T, .tree = 9, .height = 1},
    };
    struct kms_fixture *fixture = *state;
    unsigned char key[KMS_PAGE_KEY_BYTES];
    size_t before;

    punch(fixture);
    before = touch_all(fixture, KMS_TENANT_ALL, 3);
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        kms_page_row_key(&impossible[i], key);
        memory_storage_put(fixture->storage, kl_slice_of(key, sizeof key), kl_slice_text("x"));
    }
    assert_int_equal(touch_all(fixture, KMS_TENANT_ALL, 3), before);
}

/* The rows that an open looks through, of mirrors, are none. */
static enum kl_status range_fails(void *context, struct kl_slice prefix, kms_storage_visit visit,
                                  void *visitor, struct kl_err *err)
{
    (void)context, (void)visit, (void)visitor;
    if (prefix.bytes[0] == KMS_ROW_MIRROR) {
        return KL_OK;
    }
    return kl_fail(err, KL_ERR_IO, "injected", "injected", "a range that was told to fail");
}

static void test_a_store_that_cannot_be_read_moves_no_cursor(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_storage broken = *fixture->options.storage;
    struct kms_pages_cursor cursor = {{0}};
    struct kms_place place = {5, 5, 5};
    struct kl_err err = {0};
    size_t count = 77;

    punch(fixture);
    broken.range = range_fails;
    fixture->options.storage = &broken;
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_pages_next(fixture->kms, T, &cursor, 1, &place, &count, &err), KL_ERR_IO);
    assert_string_equal(err.code, "key_store_io");
    assert_int_equal(count, 77);
    assert_memory_equal(&cursor, &(struct kms_pages_cursor){{0}}, sizeof cursor);
    kms_fixture_close(fixture);
}

static void test_expanding_writes_out_every_seed_above_a_subject(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change change = {KMS_CHANGE_EXPAND, slot(T, 8300)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct kl_buf sealed;
    struct rows *rows = test_malloc(sizeof *rows);
    size_t before;

    kms_fixture_seal(fixture->kms, (struct kms_place){T, 8300, 4}, &sealed);
    rows_read(fixture, rows);
    before = rows->count;
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    rows_read(fixture, rows);
    /* The store's leaf, the tenant's spine, two interior pages and the leaf; the subject's own tree stays a seed. */
    assert_int_equal(rows->count, before + 5);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    rows_read(fixture, rows);
    assert_int_equal(rows->count, before + 5);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, (struct kms_place){T, 8300, 4}, &sealed),
                     KL_OK);
    kl_buf_done(&sealed);
    test_free(rows);
}

static void test_touching_writes_no_page_that_was_not_there(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rows *rows = test_malloc(sizeof *rows);
    size_t before;

    punch(fixture);
    rows_read(fixture, rows);
    before = rows->count;
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_TOUCH, slot(77, 88)), KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_TOUCH, slot(3, 88)), KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_EXPAND, slot(3, 88)), KL_OK);
    rows_read(fixture, rows);
    assert_int_equal(rows->count, before);
    test_free(rows);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_touching_every_place_gives_every_page_a_fresh_key),
        TEST(test_one_tenant_is_passed_alone),
        TEST(test_rows_of_pages_that_cannot_be_are_passed_over),
        TEST(test_a_store_that_cannot_be_read_moves_no_cursor),
        TEST(test_expanding_writes_out_every_seed_above_a_subject),
        TEST(test_touching_writes_no_page_that_was_not_there),
    };

    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
