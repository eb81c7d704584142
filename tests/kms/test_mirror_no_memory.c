/* Whatever allocation fails while there are mirrors: nothing is half done, and the vault goes on. */
#include "tests/support/mirror_fixture.h"
#include "tests/support/no_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define T 1

static unsigned fatal_calls;

static void count_fatal(void *context, const struct kl_err *err)
{
    (void)context, (void)err;
    fatal_calls++;
}

static enum kl_status shred(struct mirror_fixture *fixture, uint64_t slot)
{
    return kms_fixture_change(fixture->kms->kms, KMS_CHANGE_SHRED, (struct kms_place){T, slot, 3});
}

static void all_in_step(struct mirror_fixture *fixture)
{
    assert_int_equal(kms_mirrors_retry(fixture->kms->kms), 0);
    assert_int_equal(mirror_fixture_info(fixture).state, KMS_MIRROR_IN_STEP);
    assert_true(mirror_disks_same(fixture->kms->storage, mirror_fixture_rows(fixture, "m0")));
}

static void test_a_mirror_is_added_or_not(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = count_fatal};
    char path[MIRROR_FIXTURE_PATH_BYTES];
    char root[MIRROR_FIXTURE_PATH_BYTES];
    char keys[MIRROR_FIXTURE_PATH_BYTES];
    unsigned failed = 0;
    long tries = 0;

    fatal_calls = 0;
    kms_hooks_set(fixture->kms->kms, &hooks);
    mirror_fixture_path(fixture, "m0", "", path);
    mirror_fixture_path(fixture, "m0", "root", root);
    mirror_fixture_path(fixture, "m0", "keys", keys);
    for (bool hit = true; hit; tries++) {
        unsigned char id[KMS_MIRROR_ID_BYTES];
        bool destroyed = false;
        enum kl_status status;
        struct kms_state now;

        no_memory_begin(tries);
        status = kms_mirror_add(fixture->kms->kms, path, "IE", id, NULL);
        hit = no_memory_end();
        kms_state(fixture->kms->kms, &now);
        assert_int_equal(now.mirrors, status == KL_OK ? 1 : 0);
        if (status == KL_OK) {
            all_in_step(fixture);
            assert_int_equal(shred(fixture, 64), KL_OK); /* the same one: the rows stay as many */
            assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, false, &destroyed, NULL),
                             KL_OK);
            assert_true(destroyed);
        } else {
            failed++;
        }
        assert_int_equal(access(root, F_OK), -1);
        /* The rows that were copied lie there still; a mirror wants a disk of its own. */
        if (mirror_disks_at(fixture->disks, keys) != NULL) {
            mirror_disks_forget(fixture->disks, keys);
        }
    }
    assert_int_equal(fatal_calls, 0);
    assert_true(failed > 10);
}

static void test_a_commit_without_memory_for_the_mirror_goes_on_without_it(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = count_fatal};
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned pending = 0;
    unsigned failed = 0;
    long tries = 0;

    fatal_calls = 0;
    mirror_fixture_add(fixture, "m0", id);
    for (bool hit = true; hit; tries++) {
        struct kms_change change = {KMS_CHANGE_SHRED, {T, 64 + 200 * (uint64_t)tries, 3}};
        struct kms_request request = {.changes = &change, .changes_count = 1};
        enum kl_status status;

        kms_fixture_reopen(fixture->kms);
        kms_hooks_set(fixture->kms->kms, &hooks);
        no_memory_begin(tries);
        status = kms_commit(fixture->kms->kms, &request, NULL);
        hit = no_memory_end();
        assert_true(status == KL_OK || status == KL_ERR_NO_MEMORY);
        assert_int_equal(kms_place_check(fixture->kms->kms, &change.place, NULL),
                         status == KL_OK ? KL_ERR_GONE : KL_OK);
        pending += status == KL_OK && request.ret_mirrors_pending == 1 ? 1 : 0;
        failed += status != KL_OK ? 1 : 0;
        all_in_step(fixture);
    }
    assert_int_equal(fatal_calls, 0);
    assert_true(pending > 0);
    assert_true(failed > 3);
}

static void test_a_custodian_is_changed_or_not(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = count_fatal};
    struct kms_options options[2];
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    size_t now = 0;
    unsigned failed = 0;
    long tries = 0;

    fatal_calls = 0;
    mirror_fixture_add(fixture, "m0", id);
    options[0] = options[1] = fixture->kms->options;
    (void)snprintf(text, sizeof text, "passphrase:%s", fixture->kms->root_path);
    options[1].custodian.custodian = text;
    options[1].custodian.passphrase = "correct horse";
    options[1].custodian.passphrase_bytes = 13;
    for (bool hit = true; hit; tries++) {
        enum kl_status status;

        kms_hooks_set(fixture->kms->kms, &hooks);
        no_memory_begin(tries);
        status = kms_custodian_change(fixture->kms->kms, &options[1 - now].custodian, NULL, NULL);
        hit = no_memory_end();
        if (status == KL_OK) {
            now = 1 - now;
        } else {
            assert_true(status == KL_ERR_NO_MEMORY || status == KL_ERR_UNAVAILABLE);
            failed++;
        }
        all_in_step(fixture);
        kms_fixture_close(fixture->kms);
        assert_int_equal(kms_open(&options[now], &fixture->kms->kms, NULL), KL_OK);
        all_in_step(fixture);
        assert_int_equal(shred(fixture, 64 + (uint64_t)tries), KL_OK);
    }
    assert_int_equal(fatal_calls, 0);
    assert_true(failed > 5);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, mirror_fixture_setup, mirror_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_mirror_is_added_or_not),
        TEST(test_a_commit_without_memory_for_the_mirror_goes_on_without_it),
        TEST(test_a_custodian_is_changed_or_not),
    };

    return cmocka_run_group_tests_name("mirror_no_memory", tests, NULL, NULL);
}
