/* Whom to ask again before a consent ends, and whom to tell of a notice: those people, nobody else, and nobody who is gone. */
#include "kluis/vault/duties.h"

#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define DAYS(n) ((int64_t)(n)*KL_TIME_DAY_US)

struct page {
    struct vault_consenting_subject *subjects;
    size_t count;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
};

static enum kl_status due_as(struct vault_fixture *fixture, struct vault_caller caller,
                             int64_t days, size_t limit, const char *from, struct page *ret)
{
    const struct vault_consents_due_input input = {
        .before_us = caller.now_us + DAYS(days), .limit = limit, .cursor = from};
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_consents_due(fixture_vault(fixture), &caller, &input, fixture->arena,
                                &ret->subjects, &ret->count, ret->cursor, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

/* Those due in so many days, as the dpo sees them on one page. */
static struct page due(struct vault_fixture *fixture, int64_t days)
{
    struct page page = {0};

    if (due_as(fixture, fixture_caller(fixture, "dpo"), days, 100, NULL, &page) != KL_OK) {
        fail_msg("%s %s", fixture->err.code, fixture->err.client_text);
    }
    return page;
}

static void give(struct vault_fixture *fixture, const struct kl_id *subject, const char *notice,
                 int64_t at_days, int64_t expires_days)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_consent_input input = fixture_consent("news");

    input.notice = notice;
    input.at_us = dpo.now_us + DAYS(at_days);
    input.expires_us = expires_days == 0 ? 0 : dpo.now_us + DAYS(expires_days);
    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, subject, &input, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
}

static void test_a_clock_that_asks_lists_its_people_before_it_runs_out(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result old = rights_client(fixture, "ana@example.org", false);
    struct vault_subject_result young = rights_client(fixture, "bob@example.org", true);
    struct page page;

    give(fixture, &old.id, "n1", -350, 0);
    page = due(fixture, 5);
    assert_int_equal(page.count, 0);
    page = due(fixture, 30);
    assert_int_equal(page.count, 1);
    assert_true(kl_id_equal(&page.subjects[0].id, &old.id));
    assert_int_equal(page.subjects[0].count, 1);
    assert_string_equal(page.subjects[0].consents[0].purpose, "news");
    assert_string_equal(page.subjects[0].consents[0].notice, "n1");
    assert_null(page.subjects[0].consents[0].recipient);
    assert_true(page.subjects[0].consents[0].by_clock);
    assert_true(page.subjects[0].consents[0].counts);
    page = due(fixture, 400);
    assert_int_equal(page.count, 2);
    assert_true(kl_id_equal(&page.subjects[1].id, &young.id));
}

static void test_a_clock_that_has_run_out_still_asks_until_they_answer(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct page page;

    give(fixture, &made.id, "n1", -400, 0);
    page = due(fixture, 0);
    assert_int_equal(page.count, 1);
    assert_false(page.subjects[0].consents[0].counts);
    give(fixture, &made.id, "n1", 0, 0);
    assert_int_equal(due(fixture, 0).count, 0);
    assert_int_equal(due(fixture, 400).count, 1);
}

static void test_who_withdrew_is_not_asked(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");

    assert_int_equal(due(fixture, 400).count, 1);
    assert_int_equal(
        vault_consent_withdraw(fixture_vault(fixture), &dpo, &made.id, "news", NULL, NULL), KL_OK);
    vault_caller_done(&dpo);
    assert_int_equal(due(fixture, 400).count, 0);
}

/* What is past its own end can be withdrawn too: who said no is not asked again. */
static void test_who_withdrew_past_the_end_is_not_asked(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");

    give(fixture, &made.id, "n1", -50, -10);
    assert_int_equal(due(fixture, 0).count, 1);
    assert_int_equal(
        vault_consent_withdraw(fixture_vault(fixture), &dpo, &made.id, "news", NULL, NULL), KL_OK);
    assert_int_equal(due(fixture, 0).count, 0);
    assert_int_equal(
        vault_consent_withdraw(fixture_vault(fixture), &dpo, &made.id, "news", NULL, NULL),
        KL_ERR_NOT_FOUND);
    vault_caller_done(&dpo);
}

static void test_a_consent_given_until_a_date_is_due_by_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct page page;

    give(fixture, &made.id, "n1", 0, 10);
    assert_int_equal(due(fixture, 9).count, 0);
    page = due(fixture, 11);
    assert_int_equal(page.count, 1);
    assert_false(page.subjects[0].consents[0].by_clock);
    assert_true(page.subjects[0].consents[0].ends_us > 0);
}

static void test_who_is_restricted_is_not_asked(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);

    assert_int_equal(rights_restrict(fixture, "dpo", &made.id), KL_OK);
    assert_int_equal(due(fixture, 400).count, 0);
}

static void test_who_is_erased_is_on_no_list(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct vault_subject_result other = rights_client(fixture, "bob@example.org", true);
    struct page page;

    assert_int_equal(due(fixture, 400).count, 2);
    fixture_erase(fixture, &made.id);
    page = due(fixture, 400);
    assert_int_equal(page.count, 1);
    assert_true(kl_id_equal(&page.subjects[0].id, &other.id));
    fixture_reopen(fixture);
    assert_int_equal(due(fixture, 400).count, 1);
}

static void test_damage_of_one_does_not_hide_the_others(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");

    (void)rights_client(fixture, "bob@example.org", true);
    vault_caller_done(&dpo);
    fixture_damage(fixture, &made.id);
    assert_true(due(fixture, 400).count >= 1);
}

static void test_pages_go_on_where_they_ended_and_end(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ids[5];
    char email[32];
    char from[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct page page = {0};
    size_t seen = 0;
    size_t i;

    for (i = 0; i < 5; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        ids[i] = rights_client(fixture, email, true).id;
    }
    do {
        assert_int_equal(due_as(fixture, fixture_caller(fixture, "dpo"), 400, 2, from, &page),
                         KL_OK);
        for (i = 0; i < page.count; i++) {
            assert_true(kl_id_equal(&page.subjects[i].id, &ids[seen + i]));
        }
        seen += page.count;
        memcpy(from, page.cursor, sizeof from);
    } while (from[0] != '\0');
    assert_int_equal(seen, 5);
}

static void test_a_cursor_serves_its_own_list_alone(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller dpo;
    struct page page = {0};
    struct page none = {0};
    struct vault_audience_input input = {.notice = "n1", .limit = 1};

    (void)rights_client(fixture, "ana@example.org", true);
    (void)rights_client(fixture, "bob@example.org", true);
    assert_int_equal(due_as(fixture, fixture_caller(fixture, "dpo"), 400, 1, NULL, &page), KL_OK);
    assert_true(page.cursor[0] != '\0');
    input.cursor = page.cursor;
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(vault_notice_audience(fixture_vault(fixture), &dpo, &input, fixture->arena,
                                           &none.subjects, &none.count, none.cursor, &fixture->err),
                     KL_ERR_INVALID);
    vault_caller_done(&dpo);
    assert_string_equal(fixture->err.code, "invalid_cursor");
    assert_null(none.subjects);
}

static void test_each_who_is_shown_is_in_the_trail_and_so_is_nobody(void **state)
{
    struct vault_fixture *fixture = *state;

    (void)rights_client(fixture, "ana@example.org", true);
    (void)rights_client(fixture, "bob@example.org", true);
    (void)due(fixture, 400);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"consents_due\""), 2);
    assert_int_equal(fixture_trail(fixture, "\"purposes\":[\"news\"]"), 2);
    (void)due(fixture, 0);
    assert_int_equal(fixture_trail(fixture, "\"found\":0"), 1);
}

static void test_a_role_without_consent_sees_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct page page = {0};

    (void)rights_client(fixture, "ana@example.org", true);
    assert_int_equal(due_as(fixture, fixture_caller(fixture, "reader"), 400, 10, NULL, &page),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_int_equal(due_as(fixture, admin_steward(fixture->admin), 400, 10, NULL, &page),
                     KL_ERR_FORBIDDEN);
    assert_null(page.subjects);
    assert_int_equal(fixture_trail(fixture, "\"result\":\"refused\""), 2);
}

static void test_a_credential_for_other_purposes_sees_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct page page = {0};

    (void)rights_client(fixture, "ana@example.org", true);
    assert_int_equal(due_as(fixture, fixture_caller_with(fixture, "dpo", NULL, "surveys", NULL),
                            400, 10, NULL, &page),
                     KL_OK);
    assert_int_equal(page.count, 0);
    assert_int_equal(due_as(fixture, fixture_caller_with(fixture, "dpo", NULL, "news", NULL), 400,
                            10, NULL, &page),
                     KL_OK);
    assert_int_equal(page.count, 1);
}

static void test_a_bound_credential_sees_its_own_subject(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct page page = {0};

    (void)rights_client(fixture, "bob@example.org", true);
    assert_int_equal(due_as(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &made.id),
                            400, 10, NULL, &page),
                     KL_OK);
    assert_int_equal(page.count, 1);
    assert_true(kl_id_equal(&page.subjects[0].id, &made.id));
}

static void test_a_volume_ends_the_page_and_then_refuses(void **state)
{
    struct vault_fixture *fixture = *state;
    struct page page = {0};
    int i;
    char email[32];

    for (i = 0; i < 3; i++) {
        (void)snprintf(email, sizeof email, "p%d@example.org", i);
        (void)rights_client(fixture, email, true);
    }
    assert_int_equal(due_as(fixture, fixture_caller(fixture, "asker"), 400, 10, NULL, &page),
                     KL_OK);
    assert_int_equal(page.count, 2);
    assert_true(page.cursor[0] != '\0');
    assert_int_equal(due_as(fixture, fixture_caller(fixture, "asker"), 400, 10, page.cursor, &page),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "volume_exceeded");
    assert_true(fixture->err.retry_after_s > 0);
}

static void test_pseudonyms_alone_may_leave_so_no_list_of_ids_does(void **state)
{
    struct vault_fixture *fixture = *state;
    struct page page = {0};

    (void)rights_client(fixture, "ana@example.org", true);
    assert_int_equal(due_as(fixture, fixture_caller_with(fixture, "dpo", "US", NULL, NULL), 400, 10,
                            NULL, &page),
                     KL_OK);
    assert_int_equal(page.count, 0);
    assert_int_equal(due_as(fixture, fixture_caller_with(fixture, "dpo", "BE", NULL, NULL), 400, 10,
                            NULL, &page),
                     KL_OK);
    assert_int_equal(page.count, 1);
}

static void test_limits_and_purposes_are_checked(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_consents_due_input input = {.before_us = 1, .purpose = "nothing", .limit = 1};
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct page page = {0};

    assert_int_equal(vault_consents_due(fixture_vault(fixture), &dpo, &input, fixture->arena,
                                        &page.subjects, &page.count, page.cursor, &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_purpose");
    vault_caller_done(&dpo);
    assert_int_equal(due_as(fixture, fixture_caller(fixture, "dpo"), 1, 0, NULL, &page),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_limit");
    assert_int_equal(
        due_as(fixture, fixture_caller(fixture, "dpo"), 1, VAULT_PAGE_MAX + 1, NULL, &page),
        KL_ERR_INVALID);
    assert_int_equal(due_as(fixture, fixture_caller(fixture, "dpo"), 1, 1, "made up", &page),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_cursor");
    assert_null(page.subjects);
}

/* ---- the audience of a notice ---- */

static size_t audience(struct vault_fixture *fixture, const char *notice)
{
    const struct vault_audience_input input = {.notice = notice, .limit = 100};
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct page page = {0};

    assert_int_equal(vault_notice_audience(fixture_vault(fixture), &dpo, &input, fixture->arena,
                                           &page.subjects, &page.count, page.cursor, &fixture->err),
                     KL_OK);
    vault_caller_done(&dpo);
    return page.count;
}

static void test_the_audience_of_a_notice_is_who_consented_under_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result old = rights_client(fixture, "ana@example.org", false);

    (void)rights_client(fixture, "bob@example.org", true);
    (void)rights_client(fixture, "cas@example.org", false);
    give(fixture, &old.id, "n0", 0, 0);
    assert_int_equal(audience(fixture, "n1"), 1);
    assert_int_equal(audience(fixture, "n0"), 1);
    assert_int_equal(audience(fixture, "n7"), 0);
    assert_int_equal(audience(fixture, NULL), 1);
    fixture_erase(fixture, &old.id);
    assert_int_equal(audience(fixture, "n0"), 0);
}

static void test_a_notice_is_a_name(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_audience_input input = {.notice = "ana@example.org", .limit = 100};
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct page page = {0};

    assert_int_equal(vault_notice_audience(fixture_vault(fixture), &dpo, &input, fixture->arena,
                                           &page.subjects, &page.count, page.cursor, &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_notice");
    vault_caller_done(&dpo);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rights_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_clock_that_asks_lists_its_people_before_it_runs_out),
        TEST(test_a_clock_that_has_run_out_still_asks_until_they_answer),
        TEST(test_who_withdrew_is_not_asked),
        TEST(test_who_withdrew_past_the_end_is_not_asked),
        TEST(test_a_consent_given_until_a_date_is_due_by_it),
        TEST(test_who_is_restricted_is_not_asked),
        TEST(test_who_is_erased_is_on_no_list),
        TEST(test_damage_of_one_does_not_hide_the_others),
        TEST(test_pages_go_on_where_they_ended_and_end),
        TEST(test_a_cursor_serves_its_own_list_alone),
        TEST(test_each_who_is_shown_is_in_the_trail_and_so_is_nobody),
        TEST(test_a_role_without_consent_sees_nobody),
        TEST(test_a_credential_for_other_purposes_sees_nobody),
        TEST(test_a_bound_credential_sees_its_own_subject),
        TEST(test_a_volume_ends_the_page_and_then_refuses),
        TEST(test_pseudonyms_alone_may_leave_so_no_list_of_ids_does),
        TEST(test_limits_and_purposes_are_checked),
        TEST(test_the_audience_of_a_notice_is_who_consented_under_it),
        TEST(test_a_notice_is_a_name),
    };

    return cmocka_run_group_tests_name("consent_due", tests, admin_group_setup, NULL);
}
