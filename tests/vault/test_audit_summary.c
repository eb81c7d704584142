/* A period of the trail added up. */
#include "kluis/vault/review.h"

#include "kluis/base/json.h"
#include "kluis/vault/duties.h"
#include "kluis/vault/statistics.h"
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/act.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES ((size_t)8 * 1024 * 1024)
#define HOUR_US (INT64_C(3600) * 1000000)

/* As the steward; ret may be NULL. */
static enum kl_status sum_up(struct vault_fixture *fixture, struct vault_summary_input input,
                             struct kl_json **ret)
{
    struct vault_caller caller = admin_steward(fixture->admin);
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    kl_buf_init(&text, TEXT_BYTES);
    status = vault_audit_summary(fixture_vault(fixture), &caller, &input, &text, &fixture->err);
    assert_true(status == KL_OK || text.size == 0);
    if (status == KL_OK && ret != NULL) {
        assert_int_equal(kl_json_parse(text.bytes, text.size, ret, NULL), KL_OK);
    }
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return status;
}

/* The row of an action in a list; NULL when there is none. */
static const struct kl_json_value *find(const struct kl_json *json, const char *list,
                                        const char *key, const char *text)
{
    struct kl_json_iter iter = kl_json_iter(kl_json_member(kl_json_root(json), list));
    const struct kl_json_value *item = NULL;

    while (kl_json_next(&iter, NULL, &item)) {
        if (strcmp(kl_json_text(kl_json_member(item, key)), text) == 0) {
            return item;
        }
    }
    return NULL;
}

static int64_t number(const struct kl_json_value *object, const char *key)
{
    int64_t found = -1;

    (void)kl_json_int(kl_json_member(object, key), &found);
    return found;
}

/* An entry of the vault's own, at that time. */
static void note_as(struct vault_fixture *fixture, const char *role, const char *action,
                    int64_t at_us)
{
    const struct vault_audit_who who = {.role = role, .at_us = at_us};
    struct vault_act act;
    struct vault_act *acts[1] = {&act};

    vault_act_begin(&act, fixture_tenant(fixture), &who, action);
    assert_int_equal(vault_act_commit(fixture_vault(fixture), acts, 1, NULL, NULL), KL_OK);
    vault_act_done(&act);
}

static void note(struct vault_fixture *fixture, const char *action, int64_t at_us)
{
    note_as(fixture, "tester", action, at_us);
}

static void test_it_says_who_did_what_how_often(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    const struct kl_id unknown = kl_id_new();
    struct vault_subject_result result;
    struct kl_json *json = NULL;
    const struct kl_json_value *row = NULL;

    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &unknown, "mailing", &result),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(sum_up(fixture, (struct vault_summary_input){.entry = -1}, &json), KL_OK);
    row = find(json, "acts", "action", "read");
    assert_non_null(row);
    assert_string_equal(kl_json_text(kl_json_member(row, "role")), "reader");
    assert_int_equal(number(row, "times"), 3);
    assert_int_equal(number(row, "refused"), 1);
    assert_int_equal(number(row, "subjects"), 2);
    assert_int_equal(number(row, "fields"), 4);
    assert_int_equal(kl_json_type(kl_json_member(row, "out_of_hours")), KL_JSON_NULL);
    kl_json_free(json);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"audit_summary\""), 1);
}

/* Monday 4 January 2027: 10:00 is 09:00 UTC in Brussels; the Saturday before is out of hours all day. */
static void test_out_of_hours_is_by_the_clock_of_the_zone(void **state)
{
    struct vault_fixture *fixture = *state;
    const int64_t monday_us = INT64_C(1799020800) * 1000000;
    struct kl_json *json = NULL;
    const struct kl_json_value *row = NULL;

    note(fixture, "key_sweep", monday_us - 36 * HOUR_US);
    note(fixture, "mirror_add", monday_us + 6 * HOUR_US);
    note(fixture, "store_add", monday_us + 7 * HOUR_US);
    note(fixture, "mirror_drop", monday_us + 17 * HOUR_US);
    assert_int_equal(
        sum_up(fixture,
               (struct vault_summary_input){.entry = 0, .hours = "08:00-18:00 Europe/Brussels"},
               &json),
        KL_OK);
    row = find(json, "acts", "action", "key_sweep");
    assert_int_equal(number(row, "out_of_hours"), 1);
    assert_int_equal(number(find(json, "acts", "action", "mirror_add"), "out_of_hours"), 1);
    assert_int_equal(number(find(json, "acts", "action", "store_add"), "out_of_hours"), 0);
    assert_int_equal(number(find(json, "acts", "action", "mirror_drop"), "out_of_hours"), 1);
    kl_json_free(json);
}

static void test_what_is_asked_wrongly_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct kl_buf text;

    assert_int_equal(
        sum_up(fixture, (struct vault_summary_input){.entry = -1, .from_us = 2, .to_us = 1}, NULL),
        KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_range");
    assert_int_equal(
        sum_up(fixture, (struct vault_summary_input){.entry = -1, .hours = "9 to 5"}, NULL),
        KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_hours");
    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_audit_summary(fixture_vault(fixture), &reader,
                                         &(struct vault_summary_input){.entry = -1}, &text,
                                         &fixture->err),
                     KL_ERR_FORBIDDEN);
    kl_buf_done(&text);
    vault_caller_done(&reader);
}

/* More kinds of acts than one answer holds: the pieces together count every entry once. */
static void test_pieces_join_without_gap_or_repeat(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_json *json = NULL;
    char role[32];
    int64_t total = 0;
    int64_t from = 0;
    int64_t entry = 0;
    int64_t next = 0;
    size_t pieces = 0;
    size_t i;

    for (i = 0; i < VAULT_SUMMARY_ROWS_MAX + 50; i++) {
        (void)snprintf(role, sizeof role, "role_%zu", i);
        note_as(fixture, role, "key_sweep", 1000000);
    }
    while (entry >= 0) {
        assert_int_equal(sum_up(fixture, (struct vault_summary_input){.entry = entry}, &json),
                         KL_OK);
        assert_int_equal(number(kl_json_member(kl_json_root(json), "entries"), "from"), from);
        from = number(kl_json_member(kl_json_root(json), "entries"), "to");
        next = number(kl_json_root(json), "next_entry");
        assert_true(next == -1 || next == from);
        total += number(kl_json_member(kl_json_root(json), "entries"), "counted");
        entry = next;
        pieces++;
        kl_json_free(json);
    }
    assert_int_equal(pieces, 2);
    assert_int_equal(total, from);
}

static void test_a_credential_of_the_period_comes_with_its_reason(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller steward = admin_steward(fixture->admin);
    const struct vault_credential_input input = {
        .role = "auditor", .expires_in = "PT1S", .reason = "for the audit"};
    struct vault_credential_result made;
    struct vault_token token;
    char id[KL_ID_TEXT_BYTES];
    struct kl_json *json = NULL;
    const struct kl_json_value *row = NULL;

    assert_int_equal(vault_credential_create(fixture_vault(fixture), &steward, &input, NULL, &token,
                                             &made, NULL),
                     KL_OK);
    assert_int_equal(sum_up(fixture, (struct vault_summary_input){.entry = -1}, &json), KL_OK);
    kl_id_format("cred", &made.id, id);
    row = find(json, "credentials", "id", id);
    assert_non_null(row);
    assert_string_equal(kl_json_text(kl_json_member(row, "reason")), "for the audit");
    assert_true(kl_json_bool(kl_json_member(row, "made_in_period")));
    kl_json_free(json);
    assert_int_equal(fixture_trail(fixture, "for the audit"), 0);
    vault_caller_done(&steward);
}

/* Once in a while, so that nobody fills the trail with a token that is worth nothing. */
static void test_a_try_after_the_end_is_in_the_trail_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller steward = admin_steward(fixture->admin);
    struct kl_id id;
    struct vault_token token = admin_make(fixture->admin, "auditor", &id);
    struct kl_err err = {0};
    struct kl_json *json = NULL;
    char text[KL_ID_TEXT_BYTES];
    int i;

    assert_int_equal(vault_credential_revoke(fixture_vault(fixture), &steward, &id, NULL), KL_OK);
    for (i = 0; i < 5; i++) {
        assert_int_equal(admin_let_in(fixture->admin, token.text, &err), KL_ERR_UNAUTHORISED);
    }
    assert_int_equal(fixture_trail(fixture, "\"action\":\"credential_refused\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"revoked\""), 1);
    assert_int_equal(sum_up(fixture, (struct vault_summary_input){.entry = -1}, &json), KL_OK);
    kl_id_format("cred", &id, text);
    assert_int_equal(number(find(json, "credentials", "id", text), "tried_after_end"), 1);
    assert_true(
        kl_json_bool(kl_json_member(find(json, "credentials", "id", text), "ended_in_period")));
    kl_json_free(json);
    vault_caller_done(&steward);
}

/* All kinds of long walks share one number of places; who may not walk takes none, and hears of none. */
static void test_long_walks_have_only_so_many_places(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    const struct vault_explain_input about = {.role = "reader", .purpose = "mailing"};
    const struct vault_statistics_query counts = {.limit = 1};
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_caller officer = fixture_caller(fixture, "officer");
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_review_input review = {.to = 1};
    struct vault_explain_result *explained = NULL;
    struct vault_statistics_cell *cells = NULL;
    struct vault_consenting_subject *due = NULL;
    struct vault_retention_report kept;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    bool replayed = false;
    size_t count = 0;
    struct kl_buf text;

    atomic_store(&vault->walks->under_way, vault->walks->max);
    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(sum_up(fixture, (struct vault_summary_input){.entry = -1}, NULL), KL_ERR_BUSY);
    assert_string_equal(fixture->err.code, "walks_busy");
    assert_true(fixture->err.retry_after_s > 0);
    assert_int_equal(vault_review_make(vault, &steward, &review, NULL, &text, &replayed, NULL),
                     KL_ERR_BUSY);
    assert_int_equal(vault_review_list(vault, &steward, 1, NULL, &text, NULL), KL_ERR_BUSY);
    assert_int_equal(vault_review_list(vault, &reader, 1, NULL, &text, NULL), KL_ERR_FORBIDDEN);
    assert_int_equal(vault_report_processing(vault, &officer, NULL, 0, &text, NULL), KL_ERR_BUSY);
    assert_int_equal(vault_report_processing(vault, &reader, NULL, 0, &text, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(vault_statistics_read(vault, &officer, &counts, fixture->arena, &cells, &count,
                                           cursor, NULL),
                     KL_ERR_BUSY);
    assert_int_equal(
        vault_explain(vault, &steward, &about, fixture->arena, &explained, &count, NULL),
        KL_ERR_BUSY);
    assert_int_equal(
        vault_explain(vault, &reader, &about, fixture->arena, &explained, &count, NULL),
        KL_OK); /* without changes: nothing is walked over */
    assert_int_equal(vault_consents_due(vault, &dpo, &(struct vault_consents_due_input){.limit = 1},
                                        fixture->arena, &due, &count, cursor, NULL),
                     KL_ERR_BUSY);
    assert_int_equal(
        vault_report_retention(vault, &steward, 0, 1, NULL, fixture->arena, &kept, cursor, NULL),
        KL_ERR_BUSY);
    assert_int_equal(text.size, 0);
    assert_int_equal(atomic_load(&vault->walks->under_way), vault->walks->max);
    atomic_store(&vault->walks->under_way, 0);
    assert_int_equal(sum_up(fixture, (struct vault_summary_input){.entry = -1}, NULL), KL_OK);
    assert_int_equal(vault_review_list(vault, &steward, 1, NULL, &text, NULL), KL_OK);
    assert_int_equal(
        vault_report_retention(vault, &steward, 0, 1, NULL, fixture->arena, &kept, cursor, NULL),
        KL_OK);
    assert_int_equal(atomic_load(&vault->walks->under_way), 0);
    kl_buf_done(&text);
    vault_caller_done(&steward);
    vault_caller_done(&reader);
    vault_caller_done(&officer);
    vault_caller_done(&dpo);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_long_walks_have_only_so_many_places),
        TEST(test_it_says_who_did_what_how_often),
        TEST(test_out_of_hours_is_by_the_clock_of_the_zone),
        TEST(test_what_is_asked_wrongly_is_refused),
        TEST(test_pieces_join_without_gap_or_repeat),
        TEST(test_a_credential_of_the_period_comes_with_its_reason),
        TEST(test_a_try_after_the_end_is_in_the_trail_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
