/*
 * Mirrors: they have all rows before an old root key is destroyed, destroy theirs right after, come back
 * when they were away, and open the vault when everything else is lost.
 */
#include "kms/format.h"
#include "tests/support/mirror_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define T 1
#define SLOT_BYTES 4096

static struct kms_place value_at(uint64_t slot)
{
    return (struct kms_place){T, slot, 3};
}

static struct kms *kms_of(struct mirror_fixture *fixture)
{
    return fixture->kms->kms;
}

static enum kl_status shred(struct mirror_fixture *fixture, uint64_t slot)
{
    return kms_fixture_change(kms_of(fixture), KMS_CHANGE_SHRED, value_at(slot));
}

/* A commit tries a mirror that is away once more, but not for long: a busy machine may need several. */
static enum kl_status shred_soon(struct mirror_fixture *fixture, uint64_t slot)
{
    enum kl_status status = KL_ERR_UNAVAILABLE;

    for (unsigned tries = 0; tries < 50 && status == KL_ERR_UNAVAILABLE; tries++) {
        status = shred(fixture, slot);
    }
    return status;
}

/* In step: the state says so, the rows are the same, and the root file opens what is there. */
static void assert_in_step(struct mirror_fixture *fixture, const char *name)
{
    struct kms_mirror_info info = mirror_fixture_info(fixture);
    struct kms_state state;

    kms_state(kms_of(fixture), &state);
    assert_string_equal(info.reason, "");
    assert_int_equal(info.state, KMS_MIRROR_IN_STEP);
    assert_int_equal(info.generation, state.generation);
    assert_int_equal(state.mirrors_out_of_step, 0);
    assert_true(state.old_root_destroyed);
    assert_true(mirror_disks_same(fixture->kms->storage, mirror_fixture_rows(fixture, name)));
}

static void assert_out_of_step(struct mirror_fixture *fixture, const char *why)
{
    struct kms_mirror_info info = mirror_fixture_info(fixture);
    struct kms_state state;

    kms_state(kms_of(fixture), &state);
    assert_int_equal(info.state, KMS_MIRROR_OUT_OF_STEP);
    assert_non_null(strstr(info.reason, why));
    assert_int_equal(state.mirrors_out_of_step, 1);
    assert_false(state.old_root_destroyed);
}

static void assert_unreachable(struct mirror_fixture *fixture, uint64_t slot)
{
    struct kms_change change = {KMS_CHANGE_SHRED, value_at(slot)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct kl_err err = {0};

    assert_int_equal(kms_commit(kms_of(fixture), &request, &err), KL_ERR_UNAVAILABLE);
    assert_string_equal(err.code, "mirror_unreachable");
    assert_int_equal(request.ret_generation, 0);
    assert_int_equal(kms_place_check(kms_of(fixture), &change.place, NULL), KL_OK);
}

/* The key that a slot of a bare root file holds. */
static const unsigned char *slot_key(const unsigned char *root, uint64_t generation)
{
    return root + (generation % 2) * SLOT_BYTES + 88;
}

static void rows_put_back(struct mirror_fixture *fixture, struct memory_storage *rows)
{
    memory_storage_free(fixture->kms->storage);
    fixture->kms->storage = rows;
    fixture->kms->options.storage = memory_storage_face(rows);
}

/* ---- in step ---- */

static void test_a_mirror_gets_every_row_and_both_root_keys(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char first[KMS_FIXTURE_ROOT_BYTES];
    unsigned char mirror[KMS_FIXTURE_ROOT_BYTES];
    uint64_t slot = 0;
    struct kms_mirror_info info;

    assert_int_equal(shred(fixture, 70), KL_OK);
    mirror_fixture_add(fixture, "m0", id);
    assert_in_step(fixture, "m0");
    info = mirror_fixture_info(fixture);
    assert_memory_equal(info.id, id, sizeof id);
    assert_string_equal(info.label, "IE");
    assert_int_equal(shred(fixture, 71), KL_OK);
    assert_int_equal(kms_slot_take(kms_of(fixture), 0, 10, &slot, NULL), KL_OK);
    assert_in_step(fixture, "m0");
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
    struct kms_change change = {KMS_CHANGE_SHRED, value_at(70)};
    struct kms_request request = {.changes = &change, .changes_count = 1};

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_root_read(fixture, "m0", before);
    assert_int_equal(kms_commit(kms_of(fixture), &request, NULL), KL_OK);
    mirror_fixture_root_read(fixture, "m0", after);
    assert_non_null(memmem(before, sizeof before, slot_key(before, 1), 32));
    assert_null(memmem(after, sizeof after, slot_key(before, 1), 32));
    assert_non_null(memmem(after, sizeof after, slot_key(before, 2), 32));
    assert_int_equal(request.ret_mirrors_confirmed, 1);
    assert_int_equal(request.ret_mirrors_pending, 0);
    assert_int_equal(mirror_fixture_info(fixture).generation, 2);
}

static void test_all_places_confirmed_is_the_highest_class(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kms_change change = {KMS_CHANGE_SHRED, value_at(70)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct kms_state before;
    struct kms_state after;

    kms_state(kms_of(fixture), &before);
    mirror_fixture_add(fixture, "m0", id);
    assert_int_equal(kms_commit(kms_of(fixture), &request, NULL), KL_OK);
    kms_state(kms_of(fixture), &after);
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
        assert_in_step(fixture, "m0");
        assert_int_equal(shred(fixture, 70 + i), KL_OK);
        assert_in_step(fixture, "m0");
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
    kms_fixture_seal(kms_of(fixture), value_at(70), &kept);
    kms_fixture_seal(kms_of(fixture), value_at(71), &gone);
    assert_int_equal(kms_slot_take(kms_of(fixture), 0, 1, &before, NULL), KL_OK);
    assert_int_equal(shred(fixture, 71), KL_OK);
    kms_fixture_close(fixture->kms);
    assert_int_equal(unlink(fixture->kms->root_path), 0);
    rows_put_back(fixture, memory_storage_new());

    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    kms_state(kms_of(fixture), &now);
    assert_int_equal(now.mirrors, 0);
    assert_int_equal(kms_fixture_unseal(kms_of(fixture), value_at(70), &kept), KL_OK);
    assert_int_equal(kms_fixture_unseal(kms_of(fixture), value_at(71), &gone), KL_ERR_GONE);
    assert_int_equal(kms_slot_take(kms_of(fixture), 0, 1, &after, NULL), KL_OK);
    assert_true(after > before);
    assert_int_equal(shred(fixture, 72), KL_OK);
    kms_fixture_close(fixture->kms);
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    assert_int_equal(kms_fixture_unseal(kms_of(fixture), value_at(70), &kept), KL_OK);
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
    rows_put_back(fixture, memory_storage_new());
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
    assert_int_equal(shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    /* Opened from the mirror, nothing more: the old place opens, but that folder is no mirror of it now. */
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    kms_fixture_close(fixture->kms);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    assert_out_of_step(fixture, "not this mirror any more");
    assert_unreachable(fixture, 71);
    kms_fixture_close(fixture->kms);
    /* And something erased from there. */
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    assert_int_equal(shred(fixture, 71), KL_OK);
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
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, false, &destroyed, NULL), KL_ERR_REFUSED);
    assert_true(destroyed);
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, true, &destroyed, NULL), KL_OK);
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
    assert_in_step(fixture, "m0");
}

/* ---- out of step ---- */

static void test_a_mirror_that_fails_is_pending_and_stops_the_next_commit(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    struct kms_change change = {KMS_CHANGE_SHRED, value_at(70)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    uint64_t slot = 0;

    mirror_fixture_add(fixture, "m0", id);
    memory_storage_fail_apply(mirror_fixture_rows(fixture, "m0"), 1, false);
    mirror_disks_reachable(fixture->disks, false);
    assert_int_equal(kms_commit(kms_of(fixture), &request, NULL), KL_OK);
    assert_int_equal(request.ret_mirrors_confirmed, 0);
    assert_int_equal(request.ret_mirrors_pending, 1);
    assert_int_equal(request.ret_generation, 2);
    assert_out_of_step(fixture, "could not be written");
    assert_unreachable(fixture, 71);
    assert_out_of_step(fixture, "cut off");
    /* Everything else goes on. */
    assert_int_equal(kms_slot_take(kms_of(fixture), 0, 1, &slot, NULL), KL_OK);
    assert_int_equal(kms_mirrors_retry(kms_of(fixture)), 1);
    mirror_disks_reachable(fixture->disks, true);
    assert_int_equal(kms_mirrors_retry(kms_of(fixture)), 0);
    assert_in_step(fixture, "m0");
    mirror_fixture_root_read(fixture, "m0", root);
    assert_int_equal(shred(fixture, 71), KL_OK);
    assert_in_step(fixture, "m0");
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
    assert_int_equal(shred(fixture, 70), KL_OK);
    assert_out_of_step(fixture, "could not be written");
    assert_int_equal(shred_soon(fixture, 71), KL_OK);
    assert_in_step(fixture, "m0");
    mirror_fixture_root_read(fixture, "m0", after);
    assert_null(memmem(after, sizeof after, slot_key(before, 1), 32));
    assert_null(memmem(after, sizeof after, slot_key(before, 2), 32));
}

static void test_a_mirror_that_hangs_is_waited_for_no_longer_than_the_patience(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kms_change change = {KMS_CHANGE_SHRED, value_at(70)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct memory_storage *rows;

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_hurry(fixture);
    rows = mirror_fixture_rows(fixture, "m0");
    mirror_disks_hang(fixture->disks, rows);
    assert_int_equal(kms_commit(kms_of(fixture), &request, NULL), KL_OK);
    assert_int_equal(request.ret_mirrors_pending, 1);
    assert_out_of_step(fixture, "did not answer in time");
    assert_unreachable(fixture, 71);
    assert_int_equal(kms_mirrors_retry(kms_of(fixture)), 1);
    mirror_disks_let_go(fixture->disks);
    while (kms_mirrors_retry(kms_of(fixture)) > 0) {
    }
    assert_in_step(fixture, "m0");
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
    assert_int_equal(shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_disks_let_go(fixture->disks);
    /* Its rows stay open in this process: the next open cannot reach them. */
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    assert_out_of_step(fixture, "could not be opened");
    assert_int_equal(kms_place_check(kms_of(fixture), &(struct kms_place){T, 70, 3}, NULL),
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
    assert_out_of_step(fixture, "cut off");
    kms_fixture_seal(kms_of(fixture), value_at(70), &sealed);
    assert_int_equal(kms_fixture_unseal(kms_of(fixture), value_at(70), &sealed), KL_OK);
    assert_unreachable(fixture, 70);
    mirror_disks_reachable(fixture->disks, true);
    assert_int_equal(shred_soon(fixture, 70), KL_OK);
    assert_in_step(fixture, "m0");
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
    assert_out_of_step(fixture, "root file");
    assert_unreachable(fixture, 70);
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, false, &destroyed, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "mirror_not_destroyed");
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, true, &destroyed, NULL), KL_OK);
    assert_false(destroyed);
    assert_int_equal(shred(fixture, 70), KL_OK);
}

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
    assert_int_equal(shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_fixture_root_read(fixture, "m0", mirror);
    /* A snapshot of the machine, root file and all, is put back. */
    rows_put_back(fixture, rows);
    kms_fixture_root_write(fixture->kms, root);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "keys_older_than_mirror");
    assert_null(fixture->kms->kms);
    kms_fixture_root_read(fixture->kms, now);
    assert_memory_equal(now, root, sizeof now);
    mirror_fixture_root_read(fixture, "m0", now);
    assert_memory_equal(now, mirror, sizeof now);
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    assert_int_equal(kms_place_check(kms_of(fixture), &(struct kms_place){T, 70, 3}, NULL),
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
    assert_int_equal(shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_fixture_root_read(fixture, "m0", mirror);
    there = memory_storage_copy(mirror_fixture_rows(fixture, "m0"));
    rows_put_back(fixture, rows);
    kms_fixture_root_write(fixture->kms, root);
    mirror_disks_reachable(fixture->disks, false);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_disks_reachable(fixture->disks, true);
    assert_int_equal(kms_mirrors_retry(kms_of(fixture)), 1);
    assert_out_of_step(fixture, "open the vault from the mirror");
    assert_unreachable(fixture, 71);
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
    kms_fixture_seal(kms_of(fixture), value_at(70), &sealed);
    mirror_fixture_root_read(fixture, "m0", before);
    kms_hooks_set(kms_of(fixture), &hooks);
    memory_storage_fail_apply(fixture->kms->storage, 1, false);
    assert_int_equal(shred(fixture, 70), KL_ERR_IO);
    assert_false(mirror_disks_same(fixture->kms->storage, mirror_fixture_rows(fixture, "m0")));
    kms_fixture_reopen(fixture->kms);
    assert_in_step(fixture, "m0");
    assert_int_equal(kms_fixture_unseal(kms_of(fixture), value_at(70), &sealed), KL_OK);
    /* The staged key of the attempt is gone from the mirror: it may not be used a second time. */
    mirror_fixture_root_read(fixture, "m0", after);
    assert_null(memmem(after, sizeof after, slot_key(before, 2), 32));
    assert_non_null(memmem(after, sizeof after, slot_key(before, 1), 32));
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
    assert_int_equal(shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_fixture_root_write(fixture, "m0", before);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    assert_in_step(fixture, "m0");
    mirror_fixture_root_read(fixture, "m0", after);
    assert_null(memmem(after, sizeof after, slot_key(before, 1), 32));
    assert_non_null(memmem(after, sizeof after, slot_key(before, 2), 32));
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
        bytes[SLOT_BYTES + 300] ^= (unsigned char)(torn & 2);
        kms_fixture_close(fixture->kms);
        mirror_fixture_root_write(fixture, "m0", bytes);
        assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
        assert_in_step(fixture, "m0");
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
        assert_int_equal(shred(fixture, 64 + 64 * i), KL_OK);
    }
    mirror_fixture_root_read(fixture, "m0", stale_root);
    stale = memory_storage_copy(mirror_fixture_rows(fixture, "m0"));
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(shred(fixture, 64 * 100 + i), KL_OK);
    }
    kms_fixture_close(fixture->kms);
    mirror_fixture_path(fixture, "m0", "keys", keys);
    mirror_disks_replace(fixture->disks, keys, stale);
    mirror_fixture_root_write(fixture, "m0", stale_root);
    writes = memory_storage_counts(stale).writes;
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    assert_in_step(fixture, "m0");
    assert_true(memory_storage_counts(stale).writes - writes < 20);
    kms_fixture_root_read(fixture->kms, now);
    assert_null(memmem(now, sizeof now, slot_key(stale_root, 41), 32));
    mirror_fixture_root_read(fixture, "m0", now);
    assert_null(memmem(now, sizeof now, slot_key(stale_root, 41), 32));
    assert_null(memmem(now, sizeof now, slot_key(stale_root, 42), 32));
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
        side_put(kms_of(fixture), i, 'a', i % 7 == 0 ? 4000 : 20);
    }
    mirror_fixture_add(fixture, "m0", id);
    assert_in_step(fixture, "m0");
    mirror_disks_reachable(fixture->disks, false);
    kms_fixture_reopen(fixture->kms);
    for (uint64_t i = 0; i < SIDE_ROWS; i += 3) {
        side_put(kms_of(fixture), i, 'b', i % 2 == 0 ? 30 : SIZE_MAX);
    }
    for (uint64_t i = 300; i < 1400; i++) {
        side_put(kms_of(fixture), i, 'c', SIZE_MAX);
    }
    side_put(kms_of(fixture), SIDE_ROWS + 5, 'd', 0);
    mirror_disks_reachable(fixture->disks, true);
    assert_int_equal(kms_mirrors_retry(kms_of(fixture)), 0);
    assert_in_step(fixture, "m0");
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
        side_put(kms_of(fixture), i, 'a', 200);
    }
    for (size_t i = 0; i < 2; i++) {
        writers[i].kms = kms_of(fixture);
        writers[i].seed = i + 1;
        atomic_init(&writers[i].stop, false);
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    mirror_fixture_add(fixture, "m0", id);
    for (uint64_t i = 0; i < 10; i++) {
        enum kl_status status = shred(fixture, 64 + i);

        others = others && (status == KL_OK || status == KL_ERR_UNAVAILABLE);
        done += status == KL_OK ? 1 : 0;
        if (i % 3 == 1) {
            memory_storage_fail_apply(mirror_fixture_rows(fixture, "m0"), 1, false);
            (void)kms_mirrors_retry(kms_of(fixture));
        }
    }
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&writers[i].stop, true);
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    }
    assert_true(others);
    assert_true(done > 0);
    while (kms_mirrors_retry(kms_of(fixture)) > 0) {
    }
    assert_in_step(fixture, "m0");
    kms_fixture_reopen(fixture->kms);
    assert_in_step(fixture, "m0");
}

/* ---- adding ---- */

static void refuse_add(struct mirror_fixture *fixture, const char *dir, const char *label,
                       enum kl_status status, const char *code)
{
    unsigned char id[KMS_MIRROR_ID_BYTES] = "untouched";
    struct kl_err err = {0};

    assert_int_equal(kms_mirror_add(kms_of(fixture), dir, label, id, &err), status);
    assert_string_equal(err.code, code);
    assert_string_equal((const char *)id, "untouched");
}

static void test_add_refuses_what_does_not_fit(void **state)
{
    struct mirror_fixture *fixture = *state;
    char long_dir[KMS_MIRROR_DIR_MAX_BYTES + 2];
    char long_label[KMS_MIRROR_LABEL_MAX_BYTES + 2];
    char path[MIRROR_FIXTURE_PATH_BYTES];
    struct kms_state now;

    memset(long_dir, 'd', sizeof long_dir - 1);
    long_dir[0] = '/';
    long_dir[sizeof long_dir - 1] = '\0';
    memset(long_label, 'l', sizeof long_label - 1);
    long_label[sizeof long_label - 1] = '\0';
    refuse_add(fixture, "relative", "", KL_ERR_INVALID, "mirror_dir");
    refuse_add(fixture, long_dir, "", KL_ERR_INVALID, "mirror_dir");
    mirror_fixture_path(fixture, "m0", "", path);
    refuse_add(fixture, path, long_label, KL_ERR_INVALID, "mirror_label");
    refuse_add(fixture, fixture->kms->folder, "", KL_ERR_EXISTS, "mirror_exists");
    mirror_fixture_path(fixture, "m0/deeper", "", path);
    refuse_add(fixture, path, "", KL_ERR_IO, "mirror_io");
    kms_fixture_close(fixture->kms);
    mirror_fixture_path(fixture, "m0", "", path);
    assert_int_equal(mkdir(path, 0700), 0);
    fixture->kms->options.custodian.forbidden_dir = path;
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    refuse_add(fixture, path, "", KL_ERR_INVALID, "mirror_dir");
    kms_state(kms_of(fixture), &now);
    assert_int_equal(now.mirrors, 0);
    fixture->kms->options.custodian.forbidden_dir = NULL;
}

static void test_there_are_no_more_mirrors_than_allowed(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char name[8];
    char path[MIRROR_FIXTURE_PATH_BYTES];

    for (unsigned i = 0; i < KMS_MIRRORS_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        mirror_fixture_add(fixture, name, id);
    }
    mirror_fixture_path(fixture, "m8", "", path);
    refuse_add(fixture, path, "", KL_ERR_TOO_LARGE, "mirrors_too_many");
    assert_int_equal(shred(fixture, 70), KL_OK);
    for (unsigned i = 0; i < KMS_MIRRORS_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        assert_in_step(fixture, name);
    }
}

static void test_a_mirror_that_cannot_be_made_leaves_nothing(void **state)
{
    struct mirror_fixture *fixture = *state;
    char path[MIRROR_FIXTURE_PATH_BYTES];
    struct kms_state now;

    mirror_disks_reachable(fixture->disks, false);
    mirror_fixture_path(fixture, "m0", "", path);
    refuse_add(fixture, path, "", KL_ERR_IO, "injected");
    kms_state(kms_of(fixture), &now);
    assert_int_equal(now.mirrors, 0);
    assert_int_equal(shred(fixture, 70), KL_OK);
    mirror_disks_reachable(fixture->disks, true);
    kms_fixture_reopen(fixture->kms);
    kms_state(kms_of(fixture), &now);
    assert_int_equal(now.mirrors, 0);
}

/* The process dies after the mirror was copied and before it is a member: at the next start it is made anew. */
static void test_an_interrupted_joining_is_done_again_at_open(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    char path[MIRROR_FIXTURE_PATH_BYTES];

    kms_hooks_set(kms_of(fixture), &hooks);
    memory_storage_fail_apply(fixture->kms->storage, 2, false);
    mirror_fixture_path(fixture, "m0", "", path);
    assert_int_equal(kms_mirror_add(kms_of(fixture), path, "IE", id, NULL), KL_ERR_IO);
    mirror_fixture_root_read(fixture, "m0", before);
    kms_fixture_reopen(fixture->kms);
    assert_in_step(fixture, "m0");
    mirror_fixture_root_read(fixture, "m0", after);
    assert_memory_not_equal(before, after, SLOT_BYTES); /* the staged key is a fresh one */
    assert_int_equal(shred(fixture, 70), KL_OK);
    assert_in_step(fixture, "m0");
}

static void interrupt_joining(struct mirror_fixture *fixture)
{
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char path[MIRROR_FIXTURE_PATH_BYTES];

    kms_hooks_set(kms_of(fixture), &hooks);
    memory_storage_fail_apply(fixture->kms->storage, 2, false);
    mirror_fixture_path(fixture, "m0", "", path);
    assert_int_equal(kms_mirror_add(kms_of(fixture), path, "IE", id, NULL), KL_ERR_IO);
    kms_fixture_close(fixture->kms);
}

/* Its volume is not mounted: the root keys that lie there are not destroyed by an empty folder in its place. */
static void test_an_empty_folder_is_not_taken_for_a_mirror_that_was_joining(void **state)
{
    struct mirror_fixture *fixture = *state;
    char folder[MIRROR_FIXTURE_PATH_BYTES];
    char away[MIRROR_FIXTURE_PATH_BYTES];
    char keys[MIRROR_FIXTURE_PATH_BYTES];
    struct memory_storage *rows;

    interrupt_joining(fixture);
    mirror_fixture_path(fixture, "m0", "", folder);
    mirror_fixture_path(fixture, "m1", "", away);
    mirror_fixture_path(fixture, "m0", "keys", keys);
    rows = memory_storage_copy(mirror_fixture_rows(fixture, "m0"));
    mirror_disks_forget(fixture->disks, keys);
    assert_int_equal(rename(folder, away), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    assert_unreachable(fixture, 70);
    assert_null(mirror_fixture_rows(fixture, "m0"));
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rename(away, folder), 0);
    mirror_disks_replace(fixture->disks, keys, rows);
    assert_int_equal(kms_mirrors_retry(kms_of(fixture)), 0);
    assert_int_equal(shred(fixture, 70), KL_OK);
    assert_in_step(fixture, "m0");
}

/* Else it would be made anew at every start, also when the key store was put back and the mirror is all that is left. */
static void test_an_interrupted_joining_ends_with_a_member(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    unsigned char mirror[KMS_FIXTURE_ROOT_BYTES];
    unsigned char now[KMS_FIXTURE_ROOT_BYTES];
    struct memory_storage *joining;
    struct memory_storage *joined;
    struct kl_err err = {0};

    interrupt_joining(fixture);
    joining = memory_storage_copy(fixture->kms->storage);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    assert_in_step(fixture, "m0");
    joined = memory_storage_copy(fixture->kms->storage);
    kms_fixture_root_read(fixture->kms, root);
    assert_int_equal(shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_fixture_root_read(fixture, "m0", mirror);
    for (unsigned i = 0; i < 2; i++) {
        rows_put_back(fixture, i == 0 ? joined : joining);
        kms_fixture_root_write(fixture->kms, root);
        err = (struct kl_err){0};
        assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, &err),
                         KL_ERR_REFUSED);
        assert_string_equal(err.code, "keys_older_than_mirror");
        mirror_fixture_root_read(fixture, "m0", now);
        assert_memory_equal(now, mirror, sizeof now);
    }
}

/* ---- dropping ---- */

/* It hangs in the last step of coming back, which nobody else may take meanwhile: those that wait for it can be dropped. */
static void test_a_mirror_can_be_dropped_while_another_hangs(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char ids[2][KMS_MIRROR_ID_BYTES];
    bool destroyed = true;

    mirror_fixture_add(fixture, "m0", ids[0]);
    mirror_fixture_add(fixture, "m1", ids[1]);
    mirror_fixture_hurry(fixture);
    kms_fixture_close(fixture->kms);
    mirror_disks_hang(fixture->disks, mirror_fixture_rows(fixture, "m0"));
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    (void)kms_mirrors_retry(kms_of(fixture));
    assert_int_equal(kms_mirror_drop(kms_of(fixture), ids[1], true, &destroyed, NULL), KL_OK);
    assert_int_equal(kms_mirror_drop(kms_of(fixture), ids[0], true, &destroyed, NULL), KL_OK);
    assert_false(destroyed);
    assert_int_equal(shred(fixture, 70), KL_OK);
    mirror_disks_let_go(fixture->disks);
}

static void test_a_dropped_mirror_holds_no_root_key(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char path[MIRROR_FIXTURE_PATH_BYTES];
    bool destroyed = false;
    struct kms_state now;
    int fd;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];

    mirror_fixture_add(fixture, "m0", id);
    kms_fixture_root_read(fixture->kms, root);
    mirror_fixture_path(fixture, "m0", "root", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, false, &destroyed, NULL), KL_OK);
    assert_true(destroyed);
    assert_int_equal(read(fd, bytes, sizeof bytes), sizeof bytes);
    (void)close(fd);
    assert_null(memmem(bytes, sizeof bytes, slot_key(root, 1), 32));
    assert_null(memmem(bytes, sizeof bytes, slot_key(root, 2), 32));
    assert_int_equal(access(path, F_OK), -1);
    kms_state(kms_of(fixture), &now);
    assert_int_equal(now.mirrors, 0);
    assert_int_equal(shred(fixture, 70), KL_OK);
    kms_fixture_reopen(fixture->kms);
    kms_state(kms_of(fixture), &now);
    assert_int_equal(now.mirrors, 0);
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, true, &destroyed, NULL),
                     KL_ERR_NOT_FOUND);
}

static void test_a_mirror_that_does_not_answer_is_dropped_only_when_declared(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    bool destroyed = true;
    struct kl_err err = {0};
    struct memory_storage *rows;

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_hurry(fixture);
    rows = mirror_fixture_rows(fixture, "m0");
    mirror_disks_hang(fixture->disks, rows);
    assert_int_equal(shred(fixture, 70), KL_OK);
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, false, &destroyed, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "mirror_not_destroyed");
    assert_true(destroyed);
    assert_unreachable(fixture, 71);
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, true, &destroyed, NULL), KL_OK);
    assert_false(destroyed);
    assert_int_equal(shred(fixture, 71), KL_OK);
    mirror_disks_let_go(fixture->disks);
}

/* The process dies after the root file was destroyed and before the mirror is forgotten. */
static void test_an_interrupted_drop_can_be_done_again(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    unsigned char id[KMS_MIRROR_ID_BYTES];
    bool destroyed = false;

    mirror_fixture_add(fixture, "m0", id);
    kms_hooks_set(kms_of(fixture), &hooks);
    memory_storage_fail_apply(fixture->kms->storage, 1, false);
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, false, &destroyed, NULL), KL_ERR_IO);
    assert_false(destroyed);
    kms_fixture_reopen(fixture->kms);
    assert_out_of_step(fixture, "was destroyed");
    assert_int_equal(kms_mirror_drop(kms_of(fixture), id, false, &destroyed, NULL), KL_OK);
    assert_true(destroyed);
}

static void test_without_a_source_every_mirror_is_out_of_step(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];

    mirror_fixture_add(fixture, "m0", id);
    fixture->kms->options.mirrors = NULL;
    kms_fixture_reopen(fixture->kms);
    assert_out_of_step(fixture, "cannot be opened");
    assert_unreachable(fixture, 70);
}

static void test_a_damaged_row_of_a_mirror_is_refused(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kl_err err = {0};

    kms_fixture_close(fixture->kms);
    memory_storage_put(fixture->kms->storage, kl_slice_text("X123456789012345678"),
                       kl_slice_text("rubbish"));
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "key_mirror_corrupt");
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
        TEST(test_a_key_store_put_back_from_before_an_erasure_is_refused),
        TEST(test_a_mirror_that_is_ahead_is_never_overwritten),
        TEST(test_a_mirror_ahead_by_an_unacknowledged_attempt_goes_back),
        TEST(test_a_crash_between_the_overwrites_is_made_good_at_open),
        TEST(test_torn_slots_of_a_mirror_are_written_again),
        TEST(test_a_stale_mirror_catches_up_by_its_differences),
        TEST(test_many_rows_are_copied_and_rows_too_many_removed),
        TEST(test_a_mirror_is_copied_while_batches_go_on),
        TEST(test_add_refuses_what_does_not_fit),
        TEST(test_there_are_no_more_mirrors_than_allowed),
        TEST(test_a_mirror_that_cannot_be_made_leaves_nothing),
        TEST(test_an_interrupted_joining_is_done_again_at_open),
        TEST(test_an_empty_folder_is_not_taken_for_a_mirror_that_was_joining),
        TEST(test_an_interrupted_joining_ends_with_a_member),
        TEST(test_a_mirror_can_be_dropped_while_another_hangs),
        TEST(test_a_dropped_mirror_holds_no_root_key),
        TEST(test_a_mirror_that_does_not_answer_is_dropped_only_when_declared),
        TEST(test_an_interrupted_drop_can_be_done_again),
        TEST(test_without_a_source_every_mirror_is_out_of_step),
        TEST(test_a_damaged_row_of_a_mirror_is_refused),
    };

    return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
