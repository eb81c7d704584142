/* A mirror that is behind, ahead or torn: who is right after a crash, and how it gets what it lacks. */
#include "tests/support/mirror_fixture.h"

#include "kms/format.h"
#include "tests/support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a crash leaves ---- */

static void test_a_key_store_put_back_from_before_an_erasure_is_refused(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    unsigned char mirror[KMS_FIXTURE_ROOT_BYTES];
    unsigned char now[KMS_FIXTURE_ROOT_BYTES];
    struct memory_storage *rows;
    struct kl_err err = {0};

    mirror_fixture_add(fixture, "m0", id);
    kms_fixture_root_read(fixture->kms, root);
    rows = memory_storage_copy(fixture->kms->storage);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_fixture_root_read(fixture, "m0", mirror);
    /* A snapshot of the machine, root file and all, is put back. */
    mirror_fixture_rows_put_back(fixture, rows);
    kms_fixture_root_write(fixture->kms, root);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "keys_older_than_mirror");
    assert_null(fixture->kms->kms);
    kms_fixture_root_read(fixture->kms, now);
    assert_memory_equal(now, root, sizeof now);
    mirror_fixture_root_read(fixture, "m0", now);
    assert_memory_equal(now, mirror, sizeof now);
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    assert_int_equal(kms_place_check(fixture->kms->kms, &(struct kms_place){1, 70, 3}, NULL),
                     KL_ERR_GONE);
}

/* Found out only when the mirror comes back: it is not overwritten by what is older. */
static void test_a_mirror_that_is_ahead_is_never_overwritten(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    unsigned char mirror[KMS_FIXTURE_ROOT_BYTES];
    unsigned char now[KMS_FIXTURE_ROOT_BYTES];
    struct memory_storage *rows;
    struct memory_storage *there;

    mirror_fixture_add(fixture, "m0", id);
    kms_fixture_root_read(fixture->kms, root);
    rows = memory_storage_copy(fixture->kms->storage);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_fixture_root_read(fixture, "m0", mirror);
    there = memory_storage_copy(mirror_fixture_rows(fixture, "m0"));
    mirror_fixture_rows_put_back(fixture, rows);
    kms_fixture_root_write(fixture->kms, root);
    mirror_disks_reachable(fixture->disks, false);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_disks_reachable(fixture->disks, true);
    assert_int_equal(kms_mirrors_retry(fixture->kms->kms), 1);
    mirror_fixture_assert_out_of_step(fixture, "open the vault from the mirror");
    mirror_fixture_assert_unreachable(fixture, 71);
    mirror_fixture_root_read(fixture, "m0", now);
    assert_memory_equal(now, mirror, sizeof now);
    assert_true(mirror_disks_same(there, mirror_fixture_rows(fixture, "m0")));
    memory_storage_free(there);
}

/* The mirror has the batch, the first place does not: nobody was told that it counts, so it does not. */
static void test_a_mirror_ahead_by_an_unacknowledged_attempt_goes_back(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    struct kl_buf sealed;

    mirror_fixture_add(fixture, "m0", id);
    kms_fixture_seal(fixture->kms->kms, mirror_fixture_value(70), &sealed);
    mirror_fixture_root_read(fixture, "m0", before);
    kms_hooks_set(fixture->kms->kms, &hooks);
    memory_storage_fail_apply(fixture->kms->storage, 1, false);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_ERR_IO);
    assert_false(mirror_disks_same(fixture->kms->storage, mirror_fixture_rows(fixture, "m0")));
    kms_fixture_reopen(fixture->kms);
    mirror_fixture_assert_in_step(fixture, "m0");
    assert_int_equal(kms_fixture_unseal(fixture->kms->kms, mirror_fixture_value(70), &sealed),
                     KL_OK);
    /* The staged key of the attempt is gone from the mirror: it may not be used a second time. */
    mirror_fixture_root_read(fixture, "m0", after);
    assert_null(memmem(after, sizeof after, mirror_fixture_slot_key(before, 2), 32));
    assert_non_null(memmem(after, sizeof after, mirror_fixture_slot_key(before, 1), 32));
    kl_buf_done(&sealed);
}

static void test_a_crash_between_the_overwrites_is_made_good_at_open(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_root_read(fixture, "m0", before);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_fixture_root_write(fixture, "m0", before);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
    mirror_fixture_root_read(fixture, "m0", after);
    assert_null(memmem(after, sizeof after, mirror_fixture_slot_key(before, 1), 32));
    assert_non_null(memmem(after, sizeof after, mirror_fixture_slot_key(before, 2), 32));
}

static void test_torn_slots_of_a_mirror_are_written_again(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];
    unsigned char first[KMS_FIXTURE_ROOT_BYTES];

    mirror_fixture_add(fixture, "m0", id);
    for (unsigned torn = 1; torn <= 3; torn++) {
        mirror_fixture_root_read(fixture, "m0", bytes);
        bytes[300] ^= (unsigned char)(torn & 1);
        bytes[KMS_ROOT_SLOT_BYTES + 300] ^= (unsigned char)(torn & 2);
        kms_fixture_close(fixture->kms);
        mirror_fixture_root_write(fixture, "m0", bytes);
        assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
        mirror_fixture_assert_in_step(fixture, "m0");
        kms_fixture_root_read(fixture->kms, first);
        mirror_fixture_root_read(fixture, "m0", bytes);
        assert_memory_equal(first, bytes, sizeof bytes);
    }
}

static void test_a_stale_mirror_catches_up_by_its_differences(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char stale_root[KMS_FIXTURE_ROOT_BYTES];
    unsigned char now[KMS_FIXTURE_ROOT_BYTES];
    char keys[MIRROR_FIXTURE_PATH_BYTES];
    struct memory_storage *stale;
    uint64_t writes;

    mirror_fixture_add(fixture, "m0", id);
    for (uint64_t i = 0; i < 40; i++) {
        assert_int_equal(mirror_fixture_shred(fixture, 64 + 64 * i), KL_OK);
    }
    mirror_fixture_root_read(fixture, "m0", stale_root);
    stale = memory_storage_copy(mirror_fixture_rows(fixture, "m0"));
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(mirror_fixture_shred(fixture, 64 * 100 + i), KL_OK);
    }
    kms_fixture_close(fixture->kms);
    mirror_fixture_path(fixture, "m0", "keys", keys);
    mirror_disks_replace(fixture->disks, keys, stale);
    mirror_fixture_root_write(fixture, "m0", stale_root);
    writes = memory_storage_counts(stale).writes;
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
    assert_true(memory_storage_counts(stale).writes - writes < 20);
    kms_fixture_root_read(fixture->kms, now);
    assert_null(memmem(now, sizeof now, mirror_fixture_slot_key(stale_root, 41), 32));
    mirror_fixture_root_read(fixture, "m0", now);
    assert_null(memmem(now, sizeof now, mirror_fixture_slot_key(stale_root, 41), 32));
    assert_null(memmem(now, sizeof now, mirror_fixture_slot_key(stale_root, 42), 32));
}

/* ---- copying ---- */

#define SIDE_ROWS 2000

static void side_put(struct kms *kms, uint64_t number, unsigned char fill, size_t bytes)
{
    unsigned char key[10] = {'V', 't'};
    unsigned char value[4096];
    struct kms_storage_write write = {{key, sizeof key}, {value, bytes}};

    kl_put_u64be(key + 2, number);
    memset(value, fill, sizeof value);
    if (bytes > sizeof value) {
        write.value = (struct kl_slice){NULL, 0};
    }
    assert_int_equal(kms_side_apply(kms, &write, 1, false, NULL), KL_OK);
}

static void test_many_rows_are_copied_and_rows_too_many_removed(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];

    for (uint64_t i = 0; i < SIDE_ROWS; i++) {
        side_put(fixture->kms->kms, i, 'a', i % 7 == 0 ? 4000 : 20);
    }
    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_assert_in_step(fixture, "m0");
    mirror_disks_reachable(fixture->disks, false);
    kms_fixture_reopen(fixture->kms);
    for (uint64_t i = 0; i < SIDE_ROWS; i += 3) {
        side_put(fixture->kms->kms, i, 'b', i % 2 == 0 ? 30 : SIZE_MAX);
    }
    for (uint64_t i = 300; i < 1400; i++) {
        side_put(fixture->kms->kms, i, 'c', SIZE_MAX);
    }
    side_put(fixture->kms->kms, SIDE_ROWS + 5, 'd', 0);
    mirror_disks_reachable(fixture->disks, true);
    assert_int_equal(kms_mirrors_retry(fixture->kms->kms), 0);
    mirror_fixture_assert_in_step(fixture, "m0");
}

struct writer {
    struct kms *kms;
    pthread_t thread;
    atomic_bool stop;
    uint64_t seed;
};

static void *write_on(void *argument)
{
    struct writer *writer = argument;
    uint64_t number = writer->seed;

    while (!atomic_load(&writer->stop)) {
        number = number * 6364136223846793005u + 1442695040888963407u;
        side_put(writer->kms, (number >> 33) % SIDE_ROWS, (unsigned char)(number >> 20),
                 (number >> 40) % 5 == 0 ? SIZE_MAX : (size_t)(number >> 50) % 900);
    }
    return NULL;
}

static void test_a_mirror_is_copied_while_batches_go_on(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct writer writers[2];
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned done = 0;
    bool others = true;

    for (uint64_t i = 0; i < SIDE_ROWS; i++) {
        side_put(fixture->kms->kms, i, 'a', 200);
    }
    for (size_t i = 0; i < 2; i++) {
        writers[i].kms = fixture->kms->kms;
        writers[i].seed = i + 1;
        atomic_init(&writers[i].stop, false);
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    mirror_fixture_add(fixture, "m0", id);
    for (uint64_t i = 0; i < 10; i++) {
        enum kl_status status = mirror_fixture_shred(fixture, 64 + i);

        others = others && (status == KL_OK || status == KL_ERR_UNAVAILABLE);
        done += status == KL_OK ? 1 : 0;
        if (i % 3 == 1) {
            memory_storage_fail_apply(mirror_fixture_rows(fixture, "m0"), 1, false);
            (void)kms_mirrors_retry(fixture->kms->kms);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&writers[i].stop, true);
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    }
    assert_true(others);
    assert_true(done > 0);
    while (kms_mirrors_retry(fixture->kms->kms) > 0) {
    }
    mirror_fixture_assert_in_step(fixture, "m0");
    kms_fixture_reopen(fixture->kms);
    mirror_fixture_assert_in_step(fixture, "m0");
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, mirror_fixture_setup, mirror_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_key_store_put_back_from_before_an_erasure_is_refused),
        TEST(test_a_mirror_that_is_ahead_is_never_overwritten),
        TEST(test_a_mirror_ahead_by_an_unacknowledged_attempt_goes_back),
        TEST(test_a_crash_between_the_overwrites_is_made_good_at_open),
        TEST(test_torn_slots_of_a_mirror_are_written_again),
        TEST(test_a_stale_mirror_catches_up_by_its_differences),
        TEST(test_many_rows_are_copied_and_rows_too_many_removed),
        TEST(test_a_mirror_is_copied_while_batches_go_on),
    };

    return cmocka_run_group_tests_name("mirror_copy", tests, NULL, NULL);
}
