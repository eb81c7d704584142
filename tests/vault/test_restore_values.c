/* What people whom a backup knows were changed to after it: alive until the restore is finished, or a record of theirs is erased. */
#include "tests/support/backup_fixture.h"

#include "tests/support/test.h"
#include "vault/manifest.h"
#include "vault/restore.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

static int setup(void **state)
{
    assert_int_equal(vault_fixture_setup(state), 0);
    restore_callers_make(*state);
    return 0;
}

/* Finish whatever was set aside; of how many known subjects values went. */
static uint64_t finish_all(struct vault_fixture *fixture)
{
    struct vault_restore_aside counted = {0};
    struct vault_restore_aside done = {0};

    admin_close(fixture->admin);
    assert_int_equal(
        vault_restore_finish(&fixture->admin->options, false, 0, &counted, &fixture->err), KL_OK);
    assert_int_equal(
        vault_restore_finish(&fixture->admin->options, true, counted.slots, &done, &fixture->err),
        KL_OK);
    assert_int_equal(done.subjects, counted.subjects);
    admin_reopen(fixture->admin);
    return done.subjects;
}

static enum kl_status patch_name(struct vault_fixture *fixture,
                                 const struct vault_subject_result *of, const char *name)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("first_name", name);
    enum kl_status status = KL_OK;
    uint64_t version = 0;

    status = vault_record_patch(fixture_vault(fixture), &writer, &of->id, &of->records[0].id, 0,
                                &field, 1, &version, &fixture->err);
    vault_caller_done(&writer);
    return status;
}

/* Something sealed under the value slot that a subject is about to take next, as a value is that it is changed to. */
struct later {
    struct kms_place place;
    struct kl_buf sealed;
};

static struct vault_head head_of(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_row_key key =
        vault_row_head(fixture_tenant(fixture), fixture_slot(fixture, subject));
    struct vault_head head = {0};
    struct kl_buf row;

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL),
        KL_OK);
    assert_int_equal(vault_head_decode(kl_buf_slice(&row), fixture->arena, &head, NULL), KL_OK);
    kl_buf_done(&row);
    return head;
}

static struct later later_seal(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct later later = {.place = {fixture_tenant(fixture), fixture_slot(fixture, subject),
                                    head_of(fixture, subject).next_value}};

    kl_buf_init(&later.sealed, 256);
    assert_int_equal(kms_seal(fixture_vault(fixture)->keys, &later.place, kl_slice_text("later"),
                              kl_slice_text("what came later"), &later.sealed, NULL),
                     KL_OK);
    return later;
}

static bool later_opens(struct vault_fixture *fixture, const struct later *later)
{
    struct kl_buf plain;
    enum kl_status status = KL_OK;

    kl_buf_init(&plain, 256);
    status = kms_unseal(fixture_vault(fixture)->keys, &later->place, kl_slice_text("later"),
                        kl_buf_slice(&later->sealed), &plain, NULL);
    assert_true(status == KL_OK || status == KL_ERR_CORRUPT || status == KL_ERR_GONE);
    kl_buf_done(&plain);
    return status == KL_OK;
}

static void assert_name(struct vault_fixture *fixture, const struct vault_subject_result *of,
                        const char *name)
{
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "reader", &of->id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "first_name"), name));
}

static void test_finishing_ends_what_known_people_were_changed_to_after_the_backup(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result still = fixture_newsletter(fixture, "still@example.org", true);
    struct vault_subject_result moved = fixture_newsletter(fixture, "moved@example.org", true);
    struct kl_id older = backup_make(fixture, NULL, 0);
    struct kl_id newer;
    struct later later[3];
    size_t i;

    later[0] = later_seal(fixture, &still.id);
    later[1] = later_seal(fixture, &moved.id);
    assert_int_equal(patch_name(fixture, &still, "Eva"), KL_OK);
    assert_int_equal(patch_name(fixture, &moved, "Eva"), KL_OK);
    newer = backup_make(fixture, NULL, 0);
    later[2] = later_seal(fixture, &still.id);

    /* Until the restore is finished a newer backup finds it all. */
    (void)restore_make(fixture, &older);
    assert_int_equal(patch_name(fixture, &moved, "Ida"), KL_OK);
    for (i = 0; i < 3; i++) {
        assert_true(later_opens(fixture, &later[i]));
    }
    (void)restore_make(fixture, &newer);
    assert_name(fixture, &still, "Eva");
    assert_name(fixture, &moved, "Eva");
    (void)restore_make(fixture, &older);
    assert_int_equal(patch_name(fixture, &moved, "Ida"), KL_OK);
    assert_int_equal(head_of(fixture, &moved.id).gap_count, 1);

    assert_int_equal(finish_all(fixture), 2);
    for (i = 0; i < 3; i++) {
        assert_false(later_opens(fixture, &later[i]));
        kl_buf_done(&later[i].sealed);
    }
    assert_name(fixture, &moved, "Ida");
    assert_int_equal(head_of(fixture, &moved.id).gap_count, 0);
    restore_assert_there(fixture, &still, "still@example.org");
    assert_int_equal(patch_name(fixture, &still, "Uma"), KL_OK);
    assert_int_equal(patch_name(fixture, &moved, "Una"), KL_OK);
    fixture_reopen(fixture);
    assert_name(fixture, &still, "Uma");
    assert_name(fixture, &moved, "Una");
}

/* Whatever was set aside of earlier restores goes with the last. */
static void test_finishing_ends_what_several_restores_left(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct later later[3];
    size_t i;

    for (i = 0; i < 3; i++) {
        (void)backup_make(fixture, NULL, 0);
        later[i] = later_seal(fixture, &made.id);
        assert_int_equal(patch_name(fixture, &made, "Eva"), KL_OK);
        (void)restore_make(fixture, NULL);
        assert_int_equal(patch_name(fixture, &made, "Ida"), KL_OK);
    }
    assert_int_equal(head_of(fixture, &made.id).gap_count, 3);
    for (i = 0; i < 3; i++) {
        assert_true(later_opens(fixture, &later[i]));
    }
    assert_int_equal(finish_all(fixture), 1);
    for (i = 0; i < 3; i++) {
        assert_false(later_opens(fixture, &later[i]));
        kl_buf_done(&later[i].sealed);
    }
    assert_name(fixture, &made, "Ida");
}

static void test_a_finish_cut_short_goes_on_and_a_restore_begins_anew(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result first = fixture_newsletter(fixture, "first@example.org", true);
    struct vault_subject_result second = fixture_newsletter(fixture, "second@example.org", true);
    struct kl_id backup = backup_make(fixture, NULL, 0);
    uint64_t tenant = fixture_tenant(fixture);
    struct vault_restore_mark mark = {0};
    struct vault_restore_aside aside = {0};
    bool pending = false;
    uint64_t count = 0;

    (void)restore_make(fixture, &backup);
    assert_int_equal(vault_restore_mark_read(fixture_vault(fixture)->keys, tenant, &mark, NULL),
                     KL_OK);
    assert_int_equal(mark.values_done, 0);
    assert_int_equal(
        vault_restore_values(fixture_vault(fixture), tenant, &mark, true, &count, NULL), KL_OK);
    assert_int_equal(count, 2);
    fixture_reopen(fixture);
    assert_int_equal(vault_restore_mark_read(fixture_vault(fixture)->keys, tenant, &mark, NULL),
                     KL_OK);
    assert_true(mark.values_done > fixture_slot(fixture, &first.id));
    assert_true(mark.values_done > fixture_slot(fixture, &second.id));
    assert_int_equal(vault_restore_unknown(fixture_vault(fixture), false, &pending, &aside, NULL),
                     KL_OK);
    assert_true(pending);
    assert_int_equal(aside.subjects, 0);
    (void)restore_make(fixture, &backup);
    assert_int_equal(vault_restore_unknown(fixture_vault(fixture), false, &pending, &aside, NULL),
                     KL_OK);
    assert_int_equal(aside.subjects, 2);
}

static void test_erasing_a_record_ends_what_a_backup_did_not_know_of_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result still = fixture_newsletter(fixture, "still@example.org", true);
    struct vault_subject_result moved = fixture_newsletter(fixture, "moved@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct later later[3];
    struct kl_buf receipt;

    (void)backup_make(fixture, NULL, 0);
    later[0] = later_seal(fixture, &still.id);
    later[1] = later_seal(fixture, &moved.id);
    assert_int_equal(patch_name(fixture, &still, "Eva"), KL_OK);
    assert_int_equal(patch_name(fixture, &moved, "Eva"), KL_OK);
    (void)restore_make(fixture, NULL);
    vault_caller_done(&dpo);
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(patch_name(fixture, &moved, "Ida"), KL_OK);
    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &still.id,
                                        &still.records[0].id, VAULT_ERASE_REQUEST, &receipt,
                                        &fixture->err),
                     KL_OK);
    assert_false(later_opens(fixture, &later[0]));
    assert_true(later_opens(fixture, &later[1])); /* of nobody else */
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &moved.id,
                                        &moved.records[0].id, VAULT_ERASE_REQUEST, &receipt,
                                        &fixture->err),
                     KL_OK);
    assert_false(later_opens(fixture, &later[1]));
    assert_int_equal(head_of(fixture, &moved.id).gap_count, 0);
    kl_buf_done(&later[0].sealed);
    kl_buf_done(&later[1].sealed);
    kl_buf_done(&receipt);
    vault_caller_done(&dpo);
}

int main(void)
{
#define WITH(name) cmocka_unit_test_setup_teardown(name, setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH(test_finishing_ends_what_known_people_were_changed_to_after_the_backup),
        WITH(test_finishing_ends_what_several_restores_left),
        WITH(test_a_finish_cut_short_goes_on_and_a_restore_begins_anew),
        WITH(test_erasing_a_record_ends_what_a_backup_did_not_know_of_it),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
