/*
 * Mirrors: they have all rows before an old root key is destroyed, destroy theirs right after, are waited for no longer
 * than the patience, and open the vault when everything else is lost.
 */
#include "tests/support/mirror_fixture.h"

#include "kms/format.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- in step ---- */

static void test_a_mirror_gets_every_row_and_both_root_keys(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char first[KMS_FIXTURE_ROOT_BYTES];
    unsigned char mirror[KMS_FIXTURE_ROOT_BYTES];
    uint64_t slot = 0;
    struct kms_mirror_info info;

    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_assert_in_step(fixture, "m0");
    info = mirror_fixture_info(fixture);
    assert_memory_equal(info.id, id, sizeof id);
    assert_string_equal(info.label, "IE");
    assert_int_equal(mirror_fixture_shred(fixture, 71), KL_OK);
    assert_int_equal(kms_slot_take(fixture->kms->kms, 0, 10, &slot, NULL), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
    kms_fixture_root_read(fixture->kms, first);
    mirror_fixture_root_read(fixture, "m0", mirror);
    assert_memory_equal(first, mirror, sizeof first);
}

static void test_a_commit_destroys_the_old_root_key_in_the_mirror_too(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    struct kms_change change = {KMS_CHANGE_SHRED, mirror_fixture_value(70)};
    struct kms_request request = {.changes = &change, .changes_count = 1};

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_root_read(fixture, "m0", before);
    assert_int_equal(kms_commit(fixture->kms->kms, &request, NULL), KL_OK);
    mirror_fixture_root_read(fixture, "m0", after);
    assert_non_null(memmem(before, sizeof before, mirror_fixture_slot_key(before, 1), 32));
    assert_null(memmem(after, sizeof after, mirror_fixture_slot_key(before, 1), 32));
    assert_non_null(memmem(after, sizeof after, mirror_fixture_slot_key(before, 2), 32));
    assert_int_equal(request.ret_mirrors_confirmed, 1);
    assert_int_equal(request.ret_mirrors_pending, 0);
    assert_int_equal(mirror_fixture_info(fixture).generation, 2);
}

static void test_all_places_confirmed_is_the_highest_class(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kms_change change = {KMS_CHANGE_SHRED, mirror_fixture_value(70)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct kms_state before;
    struct kms_state after;

    kms_state(fixture->kms->kms, &before);
    mirror_fixture_add(fixture, "m0", id);
    assert_int_equal(kms_commit(fixture->kms->kms, &request, NULL), KL_OK);
    kms_state(fixture->kms->kms, &after);
    assert_int_equal(request.ret_finality, after.finality);
    assert_int_equal(after.finality,
                     before.finality == KMS_FINALITY_F0 ? KMS_FINALITY_F0 : KMS_FINALITY_F3);
}

static void test_a_mirror_is_in_step_again_after_a_restart(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];

    mirror_fixture_add(fixture, "m0", id);
    for (uint64_t i = 0; i < 3; i++) {
        kms_fixture_reopen(fixture->kms);
        mirror_fixture_assert_in_step(fixture, "m0");
        assert_int_equal(mirror_fixture_shred(fixture, 70 + i), KL_OK);
        mirror_fixture_assert_in_step(fixture, "m0");
    }
    kms_fixture_close(fixture->kms);
    assert_int_equal(mirror_disks_open(fixture->disks), 0);
}

/* ---- the first place is lost ---- */

static void open_from_mirror(struct mirror_fixture *fixture)
{
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kl_buf kept;
    struct kl_buf gone;
    struct kms_state now;
    uint64_t before = 0;
    uint64_t after = 0;

    mirror_fixture_add(fixture, "m0", id);
    kms_fixture_seal(fixture->kms->kms, mirror_fixture_value(70), &kept);
    kms_fixture_seal(fixture->kms->kms, mirror_fixture_value(71), &gone);
    assert_int_equal(kms_slot_take(fixture->kms->kms, 0, 1, &before, NULL), KL_OK);
    assert_int_equal(mirror_fixture_shred(fixture, 71), KL_OK);
    kms_fixture_close(fixture->kms);
    assert_int_equal(unlink(fixture->kms->root_path), 0);
    mirror_fixture_rows_put_back(fixture, memory_storage_new());

    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    kms_state(fixture->kms->kms, &now);
    assert_int_equal(now.mirrors, 0);
    assert_int_equal(kms_fixture_unseal(fixture->kms->kms, mirror_fixture_value(70), &kept), KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms->kms, mirror_fixture_value(71), &gone),
                     KL_ERR_GONE);
    assert_int_equal(kms_slot_take(fixture->kms->kms, 0, 1, &after, NULL), KL_OK);
    assert_true(after > before);
    assert_int_equal(mirror_fixture_shred(fixture, 72), KL_OK);
    kms_fixture_close(fixture->kms);
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms->kms, mirror_fixture_value(70), &kept), KL_OK);
    kms_fixture_close(fixture->kms);
    kl_buf_done(&kept);
    kl_buf_done(&gone);
}

static void test_a_mirror_opens_the_vault_when_the_first_place_is_lost(void **state)
{
    open_from_mirror(*state);
}

static void test_a_mirror_opens_with_the_same_passphrase(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_custodian_options *custodian = &fixture->kms->options.custodian;
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];
    struct kl_err err = {0};

    kms_fixture_close(fixture->kms);
    assert_int_equal(unlink(fixture->kms->root_path), 0);
    mirror_fixture_rows_put_back(fixture, memory_storage_new());
    (void)snprintf(fixture->kms->custodian, sizeof fixture->kms->custodian, "passphrase:%s",
                   fixture->kms->root_path);
    custodian->passphrase = "correct horse";
    custodian->passphrase_bytes = strlen(custodian->passphrase);
    assert_int_equal(kms_create(&fixture->kms->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    open_from_mirror(fixture);
    mirror_fixture_root_read(fixture, "m0", bytes);
    assert_int_equal(bytes[9], 2);
    custodian->passphrase = "wrong horse!!";
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", &err), KL_ERR_UNAUTHORISED);
}

static void test_the_old_first_place_knows_that_its_mirror_went_on_without_it(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kl_err err = {0};

    mirror_fixture_add(fixture, "m0", id);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    /* Opened from the mirror, nothing more: the old place opens, but that folder is no mirror of it now. */
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    kms_fixture_close(fixture->kms);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_fixture_assert_out_of_step(fixture, "not this mirror any more");
    mirror_fixture_assert_unreachable(fixture, 71);
    kms_fixture_close(fixture->kms);
    /* And something erased from there. */
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    assert_int_equal(mirror_fixture_shred(fixture, 71), KL_OK);
    kms_fixture_close(fixture->kms);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "keys_older_than_mirror");
    assert_null(fixture->kms->kms);
}

static void test_dropping_does_not_destroy_what_became_a_vault_of_its_own(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    bool destroyed = true;

    mirror_fixture_add(fixture, "m0", id);
    kms_fixture_close(fixture->kms);
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    kms_fixture_close(fixture->kms);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, false, &destroyed, NULL),
                     KL_ERR_REFUSED);
    assert_true(destroyed);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, true, &destroyed, NULL), KL_OK);
    assert_false(destroyed);
    kms_fixture_close(fixture->kms);
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
}

static void test_a_mirror_that_is_half_copied_opens_no_vault(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char self[1 + KMS_MIRROR_ID_BYTES + 1];
    struct kl_err err = {0};

    mirror_fixture_add(fixture, "m0", id);
    kms_fixture_close(fixture->kms);
    self[0] = KMS_FORMAT_VERSION;
    memcpy(self + 1, id, sizeof id);
    self[1 + sizeof id] = 1; /* being copied */
    memory_storage_put(mirror_fixture_rows(fixture, "m0"), kl_slice_text("Y"),
                       (struct kl_slice){self, sizeof self});
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "mirror_incomplete");
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
}

/* ---- out of step ---- */

static void test_a_mirror_that_fails_is_pending_and_stops_the_next_commit(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    struct kms_change change = {KMS_CHANGE_SHRED, mirror_fixture_value(70)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    uint64_t slot = 0;

    mirror_fixture_add(fixture, "m0", id);
    memory_storage_fail_apply(mirror_fixture_rows(fixture, "m0"), 1, false);
    mirror_disks_reachable(fixture->disks, false);
    assert_int_equal(kms_commit(fixture->kms->kms, &request, NULL), KL_OK);
    assert_int_equal(request.ret_mirrors_confirmed, 0);
    assert_int_equal(request.ret_mirrors_pending, 1);
    assert_int_equal(request.ret_generation, 2);
    mirror_fixture_assert_out_of_step(fixture, "could not be written");
    mirror_fixture_assert_unreachable(fixture, 71);
    mirror_fixture_assert_out_of_step(fixture, "cut off");
    /* Everything else goes on. */
    assert_int_equal(kms_slot_take(fixture->kms->kms, 0, 1, &slot, NULL), KL_OK);
    assert_int_equal(kms_mirrors_retry(fixture->kms->kms), 1);
    mirror_disks_reachable(fixture->disks, true);
    assert_int_equal(kms_mirrors_retry(fixture->kms->kms), 0);
    mirror_fixture_assert_in_step(fixture, "m0");
    mirror_fixture_root_read(fixture, "m0", root);
    assert_int_equal(mirror_fixture_shred(fixture, 71), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
}

static void test_a_commit_takes_back_a_mirror_that_is_there_again(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_root_read(fixture, "m0", before);
    memory_storage_fail_apply(mirror_fixture_rows(fixture, "m0"), 1, false);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    mirror_fixture_assert_out_of_step(fixture, "could not be written");
    assert_int_equal(mirror_fixture_shred_soon(fixture, 71), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
    mirror_fixture_root_read(fixture, "m0", after);
    assert_null(memmem(after, sizeof after, mirror_fixture_slot_key(before, 1), 32));
    assert_null(memmem(after, sizeof after, mirror_fixture_slot_key(before, 2), 32));
}

static void test_a_mirror_that_hangs_is_waited_for_no_longer_than_the_patience(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kms_change change = {KMS_CHANGE_SHRED, mirror_fixture_value(70)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct memory_storage *rows;

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_hurry(fixture);
    rows = mirror_fixture_rows(fixture, "m0");
    mirror_disks_hang(fixture->disks, rows);
    assert_int_equal(kms_commit(fixture->kms->kms, &request, NULL), KL_OK);
    assert_int_equal(request.ret_mirrors_pending, 1);
    mirror_fixture_assert_out_of_step(fixture, "did not answer in time");
    mirror_fixture_assert_unreachable(fixture, 71);
    assert_int_equal(kms_mirrors_retry(fixture->kms->kms), 1);
    mirror_disks_let_go(fixture->disks);
    while (kms_mirrors_retry(fixture->kms->kms) > 0) {
    }
    mirror_fixture_assert_in_step(fixture, "m0");
}

static void test_closing_does_not_wait_for_a_mirror_that_hangs(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct memory_storage *rows;

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_hurry(fixture);
    rows = mirror_fixture_rows(fixture, "m0");
    mirror_disks_hang(fixture->disks, rows);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_disks_let_go(fixture->disks);
    /* Its rows stay open in this process: the next open cannot reach them. */
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_fixture_assert_out_of_step(fixture, "could not be opened");
    assert_int_equal(kms_place_check(fixture->kms->kms, &(struct kms_place){1, 70, 3}, NULL),
                     KL_ERR_GONE);
}

static void test_a_folder_that_is_missing_at_open_stops_commits_alone(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kl_buf sealed;

    mirror_fixture_add(fixture, "m0", id);
    mirror_disks_reachable(fixture->disks, false);
    kms_fixture_reopen(fixture->kms);
    mirror_fixture_assert_out_of_step(fixture, "cut off");
    kms_fixture_seal(fixture->kms->kms, mirror_fixture_value(70), &sealed);
    assert_int_equal(kms_fixture_unseal(fixture->kms->kms, mirror_fixture_value(70), &sealed),
                     KL_OK);
    mirror_fixture_assert_unreachable(fixture, 70);
    mirror_disks_reachable(fixture->disks, true);
    assert_int_equal(mirror_fixture_shred_soon(fixture, 70), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
    kl_buf_done(&sealed);
}

static void test_a_mirror_whose_root_file_is_missing_is_not_in_step(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char path[MIRROR_FIXTURE_PATH_BYTES];
    bool destroyed = true;
    struct kl_err err = {0};

    mirror_fixture_add(fixture, "m0", id);
    kms_fixture_close(fixture->kms);
    mirror_fixture_path(fixture, "m0", "root", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_fixture_assert_out_of_step(fixture, "root file");
    mirror_fixture_assert_unreachable(fixture, 70);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, false, &destroyed, &err),
                     KL_ERR_REFUSED);
    assert_string_equal(err.code, "mirror_not_destroyed");
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, true, &destroyed, NULL), KL_OK);
    assert_false(destroyed);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, mirror_fixture_setup, mirror_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_mirror_gets_every_row_and_both_root_keys),
        TEST(test_a_commit_destroys_the_old_root_key_in_the_mirror_too),
        TEST(test_all_places_confirmed_is_the_highest_class),
        TEST(test_a_mirror_is_in_step_again_after_a_restart),
        TEST(test_a_mirror_opens_the_vault_when_the_first_place_is_lost),
        TEST(test_a_mirror_opens_with_the_same_passphrase),
        TEST(test_the_old_first_place_knows_that_its_mirror_went_on_without_it),
        TEST(test_dropping_does_not_destroy_what_became_a_vault_of_its_own),
        TEST(test_a_mirror_that_is_half_copied_opens_no_vault),
        TEST(test_a_mirror_that_fails_is_pending_and_stops_the_next_commit),
        TEST(test_a_commit_takes_back_a_mirror_that_is_there_again),
        TEST(test_a_mirror_that_hangs_is_waited_for_no_longer_than_the_patience),
        TEST(test_closing_does_not_wait_for_a_mirror_that_hangs),
        TEST(test_a_folder_that_is_missing_at_open_stops_commits_alone),
        TEST(test_a_mirror_whose_root_file_is_missing_is_not_in_step),
    };

    return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
