/* Making, opening and closing a key store. */
#include "kluis/base/time.h"
#include "kms/format.h"
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct kms_place place = {1, 64, 5};

static void open_refused(struct kms_fixture *fixture, enum kl_status status, const char *code)
{
    struct kl_err err = {0};

    assert_int_equal(kms_open(&fixture->options, &fixture->kms, &err), status);
    assert_string_equal(err.code, code);
    assert_null(fixture->kms);
}

static void test_what_was_sealed_opens_after_close_and_open(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf sealed;

    kms_fixture_seal(fixture->kms, place, &sealed);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, place, &sealed), KL_OK);
    kl_buf_done(&sealed);
}

static void test_a_fresh_store_says_what_it_is(void **state)
{
    struct kms_fixture *fixture = *state;
    int64_t now = kl_time_now_us();
    struct kms_state first;
    struct kms_state second;

    kms_state(fixture->kms, &first);
    assert_int_equal(first.generation, 1);
    assert_int_equal(first.commits, 0);
    assert_int_equal(first.pages_cached, 1);
    assert_int_equal(first.page_cache_max, KMS_PAGES_MAX_DEFAULT);
    assert_true(first.old_root_destroyed);
    assert_string_equal(first.custodian_kind, "file");
    assert_true(first.created_us <= now && first.created_us > now - 60 * INT64_C(1000000));
    assert_int_equal(first.root_key_since_us, first.created_us);
    kms_fixture_reopen(fixture);
    kms_state(fixture->kms, &second);
    assert_memory_equal(first.store_id, second.store_id, KMS_STORE_ID_BYTES);
    assert_int_equal(first.created_us, second.created_us);
}

static void test_two_stores_have_nothing_in_common(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_state first;
    struct kms_state second;
    struct kl_buf sealed;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    struct memory_storage *other = memory_storage_new();

    kms_fixture_seal(fixture->kms, place, &sealed);
    kms_state(fixture->kms, &first);
    kms_fixture_close(fixture);
    kms_fixture_root_read(fixture, root);
    assert_int_equal(unlink(fixture->root_path), 0);
    fixture->options.storage = memory_storage_face(other);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    kms_state(fixture->kms, &second);
    assert_memory_not_equal(first.store_id, second.store_id, KMS_STORE_ID_BYTES);
    assert_int_equal(kms_fixture_unseal(fixture->kms, place, &sealed), KL_ERR_CORRUPT);
    kms_fixture_close(fixture);
    kms_fixture_root_write(fixture, root);
    open_refused(fixture, KL_ERR_REFUSED, "root_file_other_store");
    kl_buf_done(&sealed);
    memory_storage_free(other);
}

static void test_create_refuses_what_is_there(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_err err = {0};

    assert_int_equal(kms_create(&fixture->options, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "key_store_exists");
    kms_fixture_close(fixture);
    assert_int_equal(unlink(fixture->root_path), 0);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_ERR_EXISTS);
    assert_int_equal(access(fixture->root_path, F_OK), -1);
}

static void test_create_refuses_a_root_file_that_is_there(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES] = "somebody's";
    struct kl_err err = {0};

    kms_fixture_root_write(fixture, bytes);
    assert_int_equal(kms_create(&fixture->options, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "root_file_exists");
    assert_int_equal(memory_storage_counts(fixture->storage).rows, 0);
}

static void test_create_says_when_storage_fails(void **state)
{
    struct kms_fixture *fixture = *state;

    memory_storage_fail_get(fixture->storage, KMS_ROW_META);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_ERR_IO);
    assert_int_equal(access(fixture->root_path, F_OK), -1);
    memory_storage_fail_get(fixture->storage, 0);
    memory_storage_fail_apply(fixture->storage, 1, false);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_ERR_IO);
}

static void test_open_refuses_what_is_missing_or_damaged(void **state)
{
    struct kms_fixture *fixture = *state;
    struct memory_storage *empty = memory_storage_new();
    struct kl_slice key;
    size_t bytes = 0;
    unsigned char *meta;

    kms_fixture_close(fixture);
    meta = memory_storage_row(fixture->storage, 0, &key, &bytes);
    assert_int_equal(key.bytes[0], KMS_ROW_META);
    meta[0]++;
    open_refused(fixture, KL_ERR_CORRUPT, "key_meta_corrupt");
    meta[0]--;
    memory_storage_fail_get(fixture->storage, KMS_ROW_META);
    open_refused(fixture, KL_ERR_IO, "key_store_io");
    memory_storage_fail_get(fixture->storage, KMS_ROW_PAGE);
    open_refused(fixture, KL_ERR_IO, "key_store_io");
    memory_storage_fail_get(fixture->storage, KMS_ROW_TENANTS);
    open_refused(fixture, KL_ERR_IO, "key_store_io");
    memory_storage_fail_get(fixture->storage, 0);
    fixture->options.storage = memory_storage_face(empty);
    open_refused(fixture, KL_ERR_NOT_FOUND, "key_store_missing");
    fixture->options.storage = memory_storage_face(fixture->storage);
    assert_int_equal(unlink(fixture->root_path), 0);
    open_refused(fixture, KL_ERR_NOT_FOUND, "root_file_missing");
    memory_storage_free(empty);
}

static void test_open_refuses_a_second_one(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms *second = NULL;
    struct kl_err err = {0};

    assert_int_equal(kms_open(&fixture->options, &second, &err), KL_ERR_BUSY);
    assert_string_equal(err.code, "root_file_locked");
    assert_null(second);
}

static void test_open_refuses_cache_sizes_out_of_range(void **state)
{
    struct kms_fixture *fixture = *state;

    kms_fixture_close(fixture);
    fixture->options.pages_max = 63;
    open_refused(fixture, KL_ERR_INVALID, "key_pages_max");
    fixture->options.pages_max = 16777217;
    open_refused(fixture, KL_ERR_INVALID, "key_pages_max");
    fixture->options.pages_max = 64;
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
}

static void test_a_passphrase_store_lives_through_commits_and_reopens(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_state now;
    struct kl_buf sealed;

    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "passphrase:%s",
                   fixture->root_path);
    fixture->options.custodian.passphrase = "correct horse";
    fixture->options.custodian.passphrase_bytes = 13;
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    kms_fixture_seal(fixture->kms, place, &sealed);
    for (uint64_t slot = 70; slot < 73; slot++) {
        assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                            (struct kms_place){1, slot, KMS_VALUE_NONE}),
                         KL_OK);
    }
    kms_state(fixture->kms, &now);
    assert_string_equal(now.custodian_kind, "passphrase");
    assert_int_equal(now.generation, 4);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, place, &sealed), KL_OK);
    kms_fixture_close(fixture);
    fixture->options.custodian.passphrase = "correct horsf";
    open_refused(fixture, KL_ERR_UNAUTHORISED, "wrong_passphrase");
    kl_buf_done(&sealed);
}

/* Today's key store opens every older copy of the data; an older copy of the key store opens nothing. */
static void test_older_data_opens_with_todays_keys_but_for_the_erased(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf old[10];

    for (uint64_t i = 0; i < 10; i++) {
        kms_fixture_seal(fixture->kms, (struct kms_place){1, 64 + i, 0}, &old[i]);
    }
    for (uint64_t i = 0; i < 10; i += 3) {
        assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                            (struct kms_place){1, 64 + i, KMS_VALUE_NONE}),
                         KL_OK);
    }
    kms_fixture_reopen(fixture);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(
            kms_fixture_unseal(fixture->kms, (struct kms_place){1, 64 + i, 0}, &old[i]),
            i % 3 == 0 ? KL_ERR_GONE : KL_OK);
        kl_buf_done(&old[i]);
    }
}

static void test_pages_that_changed_places_are_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char *leaves[2] = {NULL, NULL};
    unsigned char swap[KMS_PAGE_ROW_MAX_BYTES];
    struct kl_slice key;
    size_t bytes = 0;
    size_t leaf_bytes = 0;
    unsigned char *value;

    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){1, 64, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){1, 128, KMS_VALUE_NONE}),
                     KL_OK);
    kms_fixture_close(fixture);
    for (size_t i = 0; (value = memory_storage_row(fixture->storage, i, &key, &bytes)) != NULL;
         i++) {
        if (key.bytes[0] == 'P' && key.bytes[1] == 2 && key.bytes[19] == 0) {
            leaves[leaves[0] == NULL ? 0 : 1] = value;
            leaf_bytes = bytes;
        }
    }
    assert_non_null(leaves[1]);
    memcpy(swap, leaves[0], leaf_bytes);
    memcpy(leaves[0], leaves[1], leaf_bytes);
    memcpy(leaves[1], swap, leaf_bytes);
    kms_fixture_reopen(fixture);
    assert_int_equal(
        kms_place_check(fixture->kms, &(struct kms_place){1, 65, KMS_VALUE_NONE}, NULL),
        KL_ERR_CORRUPT);
    assert_int_equal(
        kms_place_check(fixture->kms, &(struct kms_place){1, 129, KMS_VALUE_NONE}, NULL),
        KL_ERR_CORRUPT);
    assert_int_equal(
        kms_place_check(fixture->kms, &(struct kms_place){1, 300, KMS_VALUE_NONE}, NULL), KL_OK);
}

/* With no fatal hook the process ends. */
static void test_without_a_fatal_hook_a_failed_write_aborts(void **state)
{
    struct kms_fixture *fixture = *state;
    int status = 0;
    pid_t child;

    kms_fixture_close(fixture); /* the child of a fork has none of its parent's keys */
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(STDERR_FILENO);
        kms_fixture_reopen(fixture);
        memory_storage_fail_apply(fixture->storage, 1, false);
        (void)kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, place);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
#define EMPTY(name) \
    cmocka_unit_test_setup_teardown(name, kms_fixture_setup_empty, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_sealed_opens_after_close_and_open),
        TEST(test_a_fresh_store_says_what_it_is),
        TEST(test_two_stores_have_nothing_in_common),
        TEST(test_create_refuses_what_is_there),
        EMPTY(test_create_refuses_a_root_file_that_is_there),
        EMPTY(test_create_says_when_storage_fails),
        TEST(test_open_refuses_what_is_missing_or_damaged),
        TEST(test_open_refuses_a_second_one),
        TEST(test_open_refuses_cache_sizes_out_of_range),
        EMPTY(test_a_passphrase_store_lives_through_commits_and_reopens),
        TEST(test_older_data_opens_with_todays_keys_but_for_the_erased),
        TEST(test_pages_that_changed_places_are_refused),
        TEST(test_without_a_fatal_hook_a_failed_write_aborts),
    };

    return cmocka_run_group_tests_name("kms", tests, NULL, NULL);
}
