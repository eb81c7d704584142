/* What was closed stays closed when an older data/ is put back. */
#include "tests/support/journal_fixture.h"
#include "tests/support/test.h"
#include "vault/journal_internal.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <string.h>

#define OWN_SLOT_KEY_BYTES 10

/* ---- acts ---- */

struct keys {
    unsigned char keys[64][VAULT_JOURNAL_KEY_BYTES];
    size_t sizes[64];
    size_t count;
};

static enum kl_status gather_key(void *visitor, struct kl_slice key, struct kl_slice value,
                                 struct kl_err *err)
{
    struct keys *keys = visitor;

    (void)value;
    (void)err;
    assert_true(keys->count < 64 && key.size <= VAULT_JOURNAL_KEY_BYTES);
    memcpy(keys->keys[keys->count], key.bytes, key.size);
    keys->sizes[keys->count++] = key.size;
    return KL_OK;
}

static struct keys journal_keys(struct vault_fixture *fixture, uint64_t tenant)
{
    struct keys keys = {.count = 0};
    unsigned char prefix[VAULT_JOURNAL_KEY_BYTES];

    vault_journal_key(tenant, 0, prefix);
    assert_int_equal(kms_side_range(fixture_vault(fixture)->keys,
                                    kl_slice_of(prefix, OWN_SLOT_KEY_BYTES), gather_key, &keys,
                                    NULL),
                     KL_OK);
    return keys;
}

/* All rows of the tenant's journal, the head too. */
static void lose_journal(struct vault_fixture *fixture, uint64_t tenant)
{
    struct keys keys = journal_keys(fixture, tenant);
    struct kms_storage_write write = {.value = {NULL, 0}};
    size_t i;

    for (i = 0; i < keys.count; i++) {
        write.key = kl_slice_of(keys.keys[i], keys.sizes[i]);
        assert_int_equal(kms_side_apply(fixture_vault(fixture)->keys, &write, 1, true, NULL),
                         KL_OK);
    }
}

/* A lost journal leaves no steward in: another one is made at the machine. */
static void recover_steward(struct vault_fixture *fixture)
{
    admin_close(fixture->admin);
    assert_int_equal(vault_steward_recover(&fixture->admin->options, "default",
                                           &fixture->admin->steward_token, &fixture->err),
                     KL_OK);
    admin_reopen(fixture->admin);
}

/* ---- an older data/ ---- */

static void test_a_withdrawn_consent_stays_withdrawn_in_an_older_data(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "bob@example.org", true);
    uint64_t number = 0;

    fixture_copy(fixture);
    assert_true(journal_consents(fixture, &made.id));
    assert_int_equal(journal_withdraw(fixture, &made.id), KL_OK);
    number = journal_known(fixture);
    fixture_put_back_data(fixture);
    assert_false(journal_consents(fixture, &made.id));
    assert_true(journal_consents(fixture, &other.id));
    assert_int_equal(journal_known(fixture), number);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"consent_withdrawn_again\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_applied\""), 1);
    fixture_reopen(fixture);
    assert_false(journal_consents(fixture, &made.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_applied\""), 1);
    journal_give(fixture, &made.id);
    assert_true(journal_consents(fixture, &made.id));
    fixture_reopen(fixture);
    assert_true(journal_consents(fixture, &made.id));
}

static void test_a_consent_given_again_counts_where_data_has_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo;
    struct vault_consent_input backdated = fixture_consent("mailing");

    assert_int_equal(journal_withdraw(fixture, &made.id), KL_OK);
    /* on paper, signed before the withdrawal, entered after it */
    dpo = fixture_caller(fixture, "dpo");
    backdated.at_us = dpo.now_us - INT64_C(86400000000);
    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, &made.id, &backdated, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    assert_true(journal_consents(fixture, &made.id));
    fixture_copy(fixture);
    assert_int_equal(journal_withdraw(fixture, &made.id), KL_OK);
    journal_give(fixture, &made.id);
    fixture_reopen(fixture);
    assert_true(journal_consents(fixture, &made.id));
    fixture_put_back_data(
        fixture); /* the last consent is lost with the newer data, the withdrawal before it is not */
    assert_false(journal_consents(fixture, &made.id));
}

/* What it narrows is gone with the newer data; the wider one does not come back in its place. */
static void test_a_consent_that_was_narrowed_does_not_come_back_wide(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_consent_input narrow = fixture_consent("mailing");
    struct vault_caller dpo;

    fixture_copy(fixture);
    dpo = fixture_caller(fixture, "dpo");
    narrow.expires_us = dpo.now_us + INT64_C(3600000000);
    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, &made.id, &narrow, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    journal_give(fixture, &other.id);
    assert_true(journal_consents(fixture, &made.id));
    fixture_reopen(fixture);
    assert_true(journal_consents(fixture, &made.id));
    fixture_put_back_data(fixture);
    assert_false(journal_consents(fixture, &made.id));
    assert_true(journal_consents(fixture, &other.id));
}

/* One for the notice of before does not come back in the place of one for another. */
static void test_a_consent_for_an_older_notice_does_not_come_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_consent_input newer = fixture_consent("mailing");
    struct vault_caller dpo;

    fixture_copy(fixture);
    newer.notice = "n2";
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, &made.id, &newer, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    journal_give(fixture, &other.id);
    fixture_put_back_data(fixture);
    assert_false(journal_consents(fixture, &made.id));
    assert_true(journal_consents(fixture, &other.id));
}

static void test_a_revoked_credential_stays_revoked_in_an_older_data(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id id;
    struct kl_id later;
    struct kl_err err = {0};
    struct vault_token token = admin_make(fixture->admin, "reader", &id);
    struct vault_token unknown;

    fixture_copy(fixture);
    journal_revoke(fixture, &id);
    unknown = admin_make(fixture->admin, "reader", &later);
    journal_revoke(fixture, &later);
    fixture_put_back_data(fixture);
    assert_int_equal(admin_let_in(fixture->admin, token.text, &err), KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture->admin, unknown.text, &err), KL_ERR_UNAUTHORISED);
    fixture_reopen(fixture);
    assert_int_equal(admin_let_in(fixture->admin, token.text, &err), KL_ERR_UNAUTHORISED);
}

static void test_the_newest_policy_stays_in_force_in_an_older_data(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller steward;
    struct kl_buf yaml;
    uint64_t number = 0;
    uint64_t now = 0;

    fixture_copy(fixture);
    (void)admin_apply(fixture->admin, vault_policy_text);
    now = admin_apply(fixture->admin, vault_policy_text);
    fixture_put_back_data(fixture);
    assert_int_equal(journal_policy_number(fixture), now);
    kl_buf_init(&yaml, 1024 * 1024);
    steward = admin_steward(fixture->admin);
    assert_int_equal(vault_policy_read(fixture_vault(fixture), &steward, &yaml, &number, NULL),
                     KL_OK);
    vault_caller_done(&steward);
    assert_int_equal(number, now);
    assert_int_equal(yaml.size, strlen(vault_policy_text));
    fixture_reopen(fixture);
    assert_int_equal(journal_policy_number(fixture), now);
    assert_int_equal(admin_apply(fixture->admin, vault_policy_text), now + 1);
    kl_buf_done(&yaml);
}

static void test_the_closings_of_an_erased_subject_are_passed_over(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result erased = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result made = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_subject_result read = {0};

    fixture_copy(fixture);
    assert_int_equal(journal_withdraw(fixture, &erased.id), KL_OK);
    fixture_erase(fixture, &erased.id);
    assert_int_equal(journal_withdraw(fixture, &made.id), KL_OK);
    fixture_put_back_data(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &erased.id, "mailing", &read),
                     KL_ERR_NOT_FOUND);
    assert_false(journal_consents(fixture, &made.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
}

/* ---- a crash ---- */

static struct vault_closing closing_of(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_closing closing = {.kind = VAULT_CLOSING_CONSENT,
                                    .tenant = fixture_tenant(fixture),
                                    .slot = fixture_slot(fixture, subject),
                                    .at_us = 1700000000000000,
                                    .purpose = "mailing",
                                    .entries = 1};

    return closing;
}

static void test_a_crash_before_data_closes_at_the_next_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing closing = closing_of(fixture, &made.id);

    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_OK);
    assert_int_equal(closing.seq, journal_known(fixture) + 1);
    assert_true(journal_consents(fixture, &made.id));
    fixture_reopen(fixture);
    assert_false(journal_consents(fixture, &made.id));
    assert_int_equal(journal_known(fixture), closing.seq);
}

static void test_a_closing_that_came_to_nothing_closes_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing closing = closing_of(fixture, &made.id);

    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_OK);
    vault_journal_end(fixture_vault(fixture), &closing);
    fixture_reopen(fixture);
    assert_true(journal_consents(fixture, &made.id));
    assert_int_equal(journal_known(fixture), closing.seq);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
}

/* Of two that are on their way the later is first in data/: what data/ says it has leaves both out. */
static void test_data_says_no_more_than_it_has_of_closings_under_way(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result first = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result second = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_closing closing = closing_of(fixture, &first.id);
    uint64_t before = journal_known(fixture);

    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_OK);
    assert_int_equal(journal_withdraw(fixture, &second.id), KL_OK);
    assert_int_equal(journal_known(fixture), before);
    vault_journal_end(fixture_vault(fixture), &closing);
    journal_give(fixture, &second.id);
    assert_int_equal(journal_withdraw(fixture, &second.id), KL_OK);
    assert_int_equal(journal_known(fixture), before + 3);
}

static void test_a_closing_about_somebody_gone_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing closing = closing_of(fixture, &made.id);

    fixture_erase(fixture, &made.id);
    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_ERR_GONE);
    assert_int_equal(closing.seq, 0);
    vault_journal_end(fixture_vault(fixture), &closing);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
}

/* ---- residency ---- */

static void test_a_tag_that_was_set_stays_set_in_an_older_data(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "eva@example.org", true);

    journal_move(fixture, &made.id, "none");
    journal_move(fixture, &other.id, "none");
    fixture_copy(fixture);
    journal_move(fixture, &made.id, "EEA");
    fixture_put_back_data(fixture);
    assert_true(journal_is_eea(fixture, &made.id));
    assert_false(journal_is_eea(fixture, &other.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"moved_again\""), 1);

    /* It is in data/ from then on, also once the journal has forgotten it; and it can be taken off again. */
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"moved_again\""), 1);
    assert_true(journal_is_eea(fixture, &made.id));
    journal_move(fixture, &made.id, "none");
    assert_false(journal_is_eea(fixture, &made.id));
    fixture_reopen(fixture);
    assert_false(journal_is_eea(fixture, &made.id));
}

static void test_a_tag_that_was_set_twice_does_not_come_off_by_the_copy_between(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);

    journal_move(fixture, &made.id, "none");
    journal_move(fixture, &made.id, "EEA");
    journal_move(fixture, &made.id, "none");
    fixture_copy(fixture);
    journal_move(fixture, &made.id, "EEA");
    fixture_put_back_data(fixture);
    assert_true(journal_is_eea(fixture, &made.id));
    assert_true(journal_withdraw(fixture, &made.id) == KL_OK); /* closings of two kinds about one */
    fixture_reopen(fixture);
    assert_true(journal_is_eea(fixture, &made.id));
    assert_false(journal_consents(fixture, &made.id));
}

static void test_a_lost_journal_takes_everybody_for_eea(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);

    journal_move(fixture, &made.id, "none");
    assert_true(journal_withdraw(fixture, &made.id) == KL_OK);
    lose_journal(fixture, fixture_tenant(fixture));
    fixture_reopen(fixture);
    recover_steward(fixture);
    fixture->token_count = 0;
    assert_true(journal_is_eea(fixture, &made.id));
    journal_move(fixture, &made.id, "none");
    assert_false(journal_is_eea(fixture, &made.id));
    fixture_reopen(fixture);
    assert_false(journal_is_eea(fixture, &made.id));
}

/* ---- lost ---- */

static void test_a_lost_journal_voids_credentials_and_consents(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_token reader = admin_make(fixture->admin, "reader", NULL);
    struct kl_err err = {0};

    assert_true(journal_consents(fixture, &made.id));
    lose_journal(fixture, fixture_tenant(fixture));
    fixture_reopen(fixture);
    assert_int_equal(admin_let_in(fixture->admin, reader.text, &err), KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->steward_token.text, &err),
                     KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->operator_token.text, &err),
                     KL_OK);
    recover_steward(fixture);
    fixture->token_count = 0;
    assert_false(journal_consents(fixture, &made.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 1);
    journal_give(fixture, &made.id);
    assert_true(journal_consents(fixture, &made.id));
    fixture_reopen(fixture);
    assert_true(journal_consents(fixture, &made.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 1);
}

static void test_a_damaged_closing_that_data_lacks_is_a_lost_journal(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing closing = closing_of(fixture, &made.id);
    unsigned char key[VAULT_JOURNAL_KEY_BYTES];
    struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                      .value = kl_slice_text("nonsense")};
    struct kl_err err = {0};

    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_OK);
    vault_journal_key(closing.tenant, closing.seq, key);
    assert_int_equal(kms_side_apply(fixture_vault(fixture)->keys, &write, 1, true, NULL), KL_OK);
    fixture_reopen(fixture);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->steward_token.text, &err),
                     KL_ERR_UNAUTHORISED);
}

static void test_closings_are_pruned_once_no_backup_can_lack_them(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing left = closing_of(fixture, &made.id);
    struct kl_err err = {0};
    uint64_t tenant = fixture_tenant(fixture);
    int64_t now_us = kl_time_now_us();

    fixture_copy(fixture);
    assert_int_equal(journal_withdraw(fixture, &made.id), KL_OK);
    assert_int_equal(journal_keys(fixture, tenant).count, 3); /* head, policy, consent */
    assert_int_equal(vault_journal_prune(fixture_vault(fixture), now_us, 60 * 1000000, NULL),
                     KL_OK);
    assert_int_equal(journal_keys(fixture, tenant).count, 3);
    assert_int_equal(vault_journal_write(fixture_vault(fixture), &left, NULL),
                     KL_OK); /* data/ has it not */
    assert_int_equal(
        vault_journal_prune(fixture_vault(fixture), now_us + 120 * 1000000, 60 * 1000000, NULL),
        KL_OK);
    assert_int_equal(journal_keys(fixture, tenant).count, 2);
    vault_journal_end(fixture_vault(fixture), &left);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
    assert_false(journal_consents(fixture, &made.id));
    /* a backup that should not be there any more */
    fixture_put_back_data(fixture);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->steward_token.text, &err),
                     KL_ERR_UNAUTHORISED);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_withdrawn_consent_stays_withdrawn_in_an_older_data),
        TEST(test_a_consent_given_again_counts_where_data_has_it),
        TEST(test_a_consent_that_was_narrowed_does_not_come_back_wide),
        TEST(test_a_consent_for_an_older_notice_does_not_come_back),
        TEST(test_a_revoked_credential_stays_revoked_in_an_older_data),
        TEST(test_the_newest_policy_stays_in_force_in_an_older_data),
        TEST(test_the_closings_of_an_erased_subject_are_passed_over),
        TEST(test_a_crash_before_data_closes_at_the_next_open),
        TEST(test_a_closing_that_came_to_nothing_closes_nothing),
        TEST(test_data_says_no_more_than_it_has_of_closings_under_way),
        TEST(test_a_closing_about_somebody_gone_is_refused),
        TEST(test_a_lost_journal_voids_credentials_and_consents),
        TEST(test_a_tag_that_was_set_stays_set_in_an_older_data),
        TEST(test_a_tag_that_was_set_twice_does_not_come_off_by_the_copy_between),
        TEST(test_a_lost_journal_takes_everybody_for_eea),
        TEST(test_a_damaged_closing_that_data_lacks_is_a_lost_journal),
        TEST(test_closings_are_pruned_once_no_backup_can_lack_them),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
