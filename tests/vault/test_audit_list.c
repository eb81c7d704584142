/* Reading the audit trail: filters, pages, and who may. */
#include "kluis/base/json.h"
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/act.h"
#include "vault/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES (4 * 1024 * 1024)
#define HOUR_US (INT64_C(3600) * 1000000)
#define CURSOR_BYTES (VAULT_CURSOR_MAX_BYTES + 1)

/* ---- entries to look for ---- */

/* Commit count entries of "default"; the i-th at first_us + i * step_us, of that credential and slot, with that many bytes of ballast. */
static void entries_make(struct admin_fixture *fixture, uint64_t tenant, size_t count,
                         int64_t first_us, int64_t step_us, const struct kl_id *credential,
                         int64_t slot, size_t ballast)
{
    struct vault_act *acts = calloc(count, sizeof acts[0]);
    struct vault_audit_entry **entries = calloc(count, sizeof entries[0]);
    char *text = calloc(1, ballast + 1);
    size_t i;

    assert_non_null(acts);
    assert_non_null(entries);
    assert_non_null(text);
    memset(text, 'x', ballast);
    for (i = 0; i < count; i++) {
        const struct vault_audit_who who = {
            .credential = credential, .role = "tester", .at_us = first_us + (int64_t)i * step_us};

        vault_act_begin(&acts[i], tenant, &who, "keys_state");
        kl_json_add_int(&acts[i].out, "slot", slot);
        kl_json_add_text(&acts[i].out, "text", text);
        assert_int_equal(vault_audit_end(&acts[i].entry, &acts[i].out, NULL), KL_OK);
        entries[i] = &acts[i].entry;
    }
    assert_int_equal(vault_audit_commit(fixture->vault, entries, count, NULL), KL_OK);
    for (i = 0; i < count; i++) {
        vault_act_done(&acts[i]);
    }
    free(text);
    free(entries);
    free(acts);
}

/* One page as the steward of "default"; the number of entries, their text kept in ret when it is not NULL. */
static size_t page(struct admin_fixture *fixture, const struct vault_audit_filter *filter,
                   size_t limit, char cursor[CURSOR_BYTES], struct kl_buf *ret)
{
    struct vault_caller caller = admin_steward(fixture);
    struct kl_json *json = NULL;
    struct kl_buf text;
    size_t count;
    struct kl_err err = {0};

    kl_buf_init(&text, TEXT_BYTES);
    if (vault_audit_list(fixture->vault, &caller, filter, limit, cursor, &text, cursor, &err) !=
        KL_OK) {
        fail_msg("the trail cannot be read: %s %s", err.code, err.log_text);
    }
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    count = kl_json_count(kl_json_root(json));
    kl_json_free(json);
    if (ret != NULL) {
        kl_buf_add(ret, text.bytes, text.size);
    }
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return count;
}

static uint64_t steward_tenant(struct admin_fixture *fixture, int64_t *ret_now_us)
{
    struct vault_caller caller = admin_steward(fixture);
    uint64_t tenant = caller.tenant;

    *ret_now_us = caller.now_us;
    vault_caller_done(&caller);
    return tenant;
}

/* ---- tests ---- */

static void test_entries_come_with_their_number_newest_last(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_audit_filter all = {0};
    char cursor[CURSOR_BYTES] = "";
    const struct kl_json_value *item = NULL;
    struct kl_json *json = NULL;
    struct kl_json_iter iter;
    struct kl_buf text;
    int64_t seq = -1;
    int64_t expected = 0;

    (void)admin_make(fixture, "auditor", NULL);
    (void)admin_make(fixture, "auditor", NULL);
    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(page(fixture, &all, 100, cursor, &text), 3);
    assert_string_equal(cursor, "");
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    iter = kl_json_iter(kl_json_root(json));
    while (kl_json_next(&iter, NULL, &item)) {
        const struct kl_json_value *entry = kl_json_member(item, "entry");

        assert_true(kl_json_int(kl_json_member(item, "seq"), &seq));
        assert_int_equal(seq, expected);
        assert_string_equal(kl_json_text(kl_json_member(entry, "action")), "credential_create");
        assert_non_null(kl_json_text(kl_json_member(entry, "salt")));
        expected++;
    }
    kl_json_free(json);
    kl_buf_done(&text);
}

static void test_reading_the_trail_is_itself_in_the_trail(void **state)
{
    struct admin_fixture *fixture = *state;

    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"audit_read\""), 0);
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"audit_read\""), 1);
    assert_int_equal(admin_trail_count(fixture, false, "\"entries\":1,\"result\":\"ok\""), 1);
}

static void test_pages_join_without_gap_or_repeat(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kl_id credential = kl_id_new();
    const struct vault_audit_filter filter = {.credential = &credential};
    char cursor[CURSOR_BYTES] = "";
    struct kl_buf text;
    int64_t now_us = 0;
    uint64_t tenant = steward_tenant(fixture, &now_us);
    size_t pages = 0;
    size_t total = 0;
    size_t seq;
    char piece[32];

    entries_make(fixture, tenant, 25, now_us, 0, &credential, 1, 0);
    kl_buf_init(&text, TEXT_BYTES);
    do {
        total += page(fixture, &filter, 10, cursor, &text);
        pages++;
        assert_true(pages < 10);
    } while (cursor[0] != '\0');
    assert_int_equal(total, 25);
    for (seq = 1; seq <= 25; seq++) {
        const char *first;

        (void)snprintf(piece, sizeof piece, "{\"seq\":%zu,", seq);
        first = strstr((const char *)text.bytes, piece);
        assert_non_null(first);
        assert_null(strstr(first + 1, piece));
    }
    kl_buf_done(&text);
}

static void test_the_filters_take_credential_slot_and_time(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kl_id one = kl_id_new();
    const struct kl_id other = kl_id_new();
    struct vault_audit_filter filter = {0};
    char cursor[CURSOR_BYTES] = "";
    int64_t now_us = 0;
    uint64_t tenant = steward_tenant(fixture, &now_us);

    entries_make(fixture, tenant, 300, now_us + HOUR_US, HOUR_US, &one, 5, 0);
    entries_make(fixture, tenant, 3, now_us + 301 * HOUR_US, HOUR_US, &other, 6, 0);
    filter.from_us = now_us + 100 * HOUR_US;
    filter.to_us = now_us + 110 * HOUR_US;
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 10);
    filter.credential = &other;
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 0);
    filter.to_us = 0;
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 3);
    filter.from_us = now_us + 302 * HOUR_US;
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 2);
    filter.from_us = now_us + 1000 * HOUR_US;
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 0);
    filter = (struct vault_audit_filter){.to_us = now_us + HOUR_US};
    /* The entries of these very readings lie behind those of hours to come: a clock that went back. */
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 1);
    assert_string_equal(cursor, "");
}

static void test_entries_out_of_order_are_found_by_time_all_the_same(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kl_id credential = kl_id_new();
    struct vault_audit_filter filter = {.credential = &credential};
    char cursor[CURSOR_BYTES] = "";
    int64_t now_us = 0;
    uint64_t tenant = steward_tenant(fixture, &now_us);
    int i;

    for (i = 0; i < 20; i++) {
        int64_t at_us = now_us + (i % 2 == 0 ? i : i - 3) * HOUR_US / 4;

        entries_make(fixture, tenant, 1, at_us, 0, &credential, 1, 0);
    }
    filter.from_us = now_us + 10 * HOUR_US / 4;
    filter.to_us = now_us + 14 * HOUR_US / 4;
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 4);
}

static void test_a_long_trail_is_looked_at_piece_by_piece(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kl_id one = kl_id_new();
    const struct kl_id last = kl_id_new();
    const struct vault_audit_filter filter = {.credential = &last};
    char cursor[CURSOR_BYTES] = "";
    int64_t now_us = 0;
    uint64_t tenant = steward_tenant(fixture, &now_us);
    int i;

    for (i = 0; i < 22; i++) {
        entries_make(fixture, tenant, 1000, now_us, 0, &one, 1, 0);
    }
    entries_make(fixture, tenant, 1, now_us, 0, &last, 1, 0);
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 0);
    assert_string_not_equal(cursor, "");
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 1);
    assert_string_equal(cursor, "");
}

static void test_a_page_of_large_entries_is_cut_by_its_size(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kl_id credential = kl_id_new();
    const struct vault_audit_filter filter = {.credential = &credential};
    char cursor[CURSOR_BYTES] = "";
    struct kl_buf text;
    int64_t now_us = 0;
    uint64_t tenant = steward_tenant(fixture, &now_us);
    size_t total = 0;

    entries_make(fixture, tenant, 100, now_us, 0, &credential, 1, 15000);
    kl_buf_init(&text, TEXT_BYTES);
    total = page(fixture, &filter, 1000, cursor, &text);
    assert_true(total > 0 && total < 100);
    assert_true(text.size <= 1024 * 1024 + 16);
    assert_string_not_equal(cursor, "");
    total += page(fixture, &filter, 1000, cursor, NULL);
    assert_int_equal(total, 100);
    kl_buf_done(&text);
}

/* As the steward of "default", with everything that comes back untouched. */
static void refused(struct admin_fixture *fixture, const struct vault_audit_filter *filter,
                    size_t limit, const char *cursor, enum kl_status status, const char *code)
{
    struct vault_caller caller = admin_steward(fixture);
    char ret_cursor[CURSOR_BYTES] = "untouched";
    struct kl_buf text;
    struct kl_err err = {0};

    kl_buf_init(&text, 1000);
    assert_int_equal(
        vault_audit_list(fixture->vault, &caller, filter, limit, cursor, &text, ret_cursor, &err),
        status);
    assert_string_equal(err.code, code);
    assert_int_equal(text.size, 0);
    assert_string_equal(ret_cursor, "untouched");
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

static void test_odd_questions_are_refused(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_audit_filter all = {0};
    const struct vault_audit_filter backwards = {.from_us = 2, .to_us = 1};
    const struct kl_id nobody = kl_id_new();
    const struct vault_audit_filter of_nobody = {.subject = &nobody};

    refused(fixture, &all, 0, NULL, KL_ERR_INVALID, "invalid_limit");
    refused(fixture, &all, VAULT_PAGE_MAX + 1, NULL, KL_ERR_INVALID, "invalid_limit");
    refused(fixture, &all, 10, "not-a-cursor", KL_ERR_INVALID, "invalid_cursor");
    refused(fixture, &backwards, 10, NULL, KL_ERR_INVALID, "invalid_range");
    refused(fixture, &of_nobody, 10, NULL, KL_ERR_NOT_FOUND, "not_found");
}

static void test_a_cursor_of_another_list_is_refused(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_audit_filter all = {0};
    struct vault_credential_result *credentials = NULL;
    struct vault_caller caller;
    char cursor[CURSOR_BYTES] = "";
    size_t count = 0;

    (void)admin_make(fixture, "auditor", NULL);
    caller = admin_steward(fixture);
    assert_int_equal(vault_credential_list(fixture->vault, &caller, 1, NULL, fixture->arena,
                                           &credentials, &count, cursor, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    assert_string_not_equal(cursor, "");
    refused(fixture, &all, 10, cursor, KL_ERR_INVALID, "invalid_cursor");
}

static void test_a_trail_is_seen_by_whose_it_is(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_audit_filter all = {0};
    char cursor[CURSOR_BYTES];
    struct vault_token auditor = admin_make(fixture, "auditor", NULL);
    struct vault_token reader;
    struct vault_caller caller;
    struct kl_err err = {0};
    struct kl_buf text;

    (void)admin_apply(fixture, admin_policy);
    reader = admin_make(fixture, "reader", NULL);
    kl_buf_init(&text, TEXT_BYTES);
    caller = admin_caller(fixture, &auditor, NULL);
    assert_int_equal(
        vault_audit_list(fixture->vault, &caller, &all, 100, NULL, &text, cursor, NULL), KL_OK);
    assert_int_equal(vault_audit_head(fixture->vault, &caller, &text, NULL), KL_OK);
    vault_caller_done(&caller);
    kl_buf_clear(&text);

    caller = admin_caller(fixture, &reader, NULL);
    assert_int_equal(
        vault_audit_list(fixture->vault, &caller, &all, 100, NULL, &text, cursor, &err),
        KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "role_forbidden");
    assert_int_equal(vault_audit_head(fixture->vault, &caller, &text, NULL), KL_ERR_FORBIDDEN);
    vault_caller_done(&caller);

    caller = admin_caller(fixture, &fixture->operator_token, "default");
    assert_int_equal(
        vault_audit_list(fixture->vault, &caller, &all, 100, NULL, &text, cursor, NULL),
        KL_ERR_FORBIDDEN);
    assert_int_equal(vault_audit_head(fixture->vault, &caller, &text, NULL), KL_ERR_FORBIDDEN);
    vault_caller_done(&caller);
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
    assert_int_equal(admin_trail_count(fixture, true, "\"result\":\"refused\""), 2);
}

static void test_the_head_grows_with_the_trail(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_steward(fixture);
    char roots[2][64];
    int64_t sizes[2];
    int i;

    for (i = 0; i < 2; i++) {
        struct kl_json *json = NULL;
        struct kl_buf text;

        kl_buf_init(&text, 4096);
        assert_int_equal(vault_audit_head(fixture->vault, &caller, &text, NULL), KL_OK);
        assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
        assert_string_equal(kl_json_text(kl_json_member(kl_json_root(json), "tenant")), "default");
        assert_true(kl_json_int(kl_json_member(kl_json_root(json), "size"), &sizes[i]));
        (void)snprintf(roots[i], sizeof roots[i], "%s",
                       kl_json_text(kl_json_member(kl_json_root(json), "root_hash")));
        kl_json_free(json);
        kl_buf_done(&text);
        (void)admin_make(fixture, "auditor", NULL);
    }
    vault_caller_done(&caller);
    assert_int_equal(sizes[0], 1);
    assert_int_equal(sizes[1], 2);
    assert_string_not_equal(roots[0], roots[1]);
}

static void test_a_damaged_entry_is_not_passed_over(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_audit_filter all = {0};
    int64_t now_us = 0;
    struct vault_row_key key = vault_row_audit(steward_tenant(fixture, &now_us), 0);
    struct vault_batch *batch = vault_batch_new();

    assert_non_null(batch);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_text("{\"at\":\"never\"}"));
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
    refused(fixture, &all, 10, NULL, KL_ERR_CORRUPT, "audit_damaged");
}

/* ---- with people in it ---- */

static void test_a_subjects_entries_are_found_until_it_is_erased(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_field_input field = {
        .name = "email", .value = {.kind = KL_JSON_TEXT, .text = kl_slice_text("ann@example.org")}};
    const struct vault_record_input record = {
        .type = "customer", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_subject_result subject;
    struct vault_audit_filter filter = {0};
    char cursor[CURSOR_BYTES] = "";
    struct vault_token token;
    struct vault_caller caller;
    struct kl_buf receipt;

    (void)admin_apply(fixture, admin_policy);
    token = admin_make(fixture, "writer", NULL);
    caller = admin_caller(fixture, &token, NULL);
    assert_int_equal(
        vault_subject_create(fixture->vault, &caller, &input, NULL, fixture->arena, &subject, NULL),
        KL_OK);
    assert_int_equal(
        vault_subject_create(fixture->vault, &caller, &input, NULL, fixture->arena, &subject, NULL),
        KL_OK);
    filter.subject = &subject.id;
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 1);
    assert_int_equal(page(fixture, &filter, 100, cursor, NULL), 2);
    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_subject_erase(fixture->vault, &caller, &subject.id, VAULT_ERASE_REQUEST,
                                         &receipt, NULL),
                     KL_OK);
    kl_buf_done(&receipt);
    vault_caller_done(&caller);
    refused(fixture, &filter, 10, NULL, KL_ERR_NOT_FOUND, "not_found");
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_entries_come_with_their_number_newest_last),
        OPENED(test_reading_the_trail_is_itself_in_the_trail),
        OPENED(test_pages_join_without_gap_or_repeat),
        OPENED(test_the_filters_take_credential_slot_and_time),
        OPENED(test_entries_out_of_order_are_found_by_time_all_the_same),
        OPENED(test_a_long_trail_is_looked_at_piece_by_piece),
        OPENED(test_a_page_of_large_entries_is_cut_by_its_size),
        OPENED(test_odd_questions_are_refused),
        OPENED(test_a_cursor_of_another_list_is_refused),
        OPENED(test_a_trail_is_seen_by_whose_it_is),
        OPENED(test_the_head_grows_with_the_trail),
        OPENED(test_a_damaged_entry_is_not_passed_over),
        OPENED(test_a_subjects_entries_are_found_until_it_is_erased),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
