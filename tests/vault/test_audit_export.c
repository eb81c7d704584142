/* The trail exported, page by page; who may, and to where; what is said of it in the trail. */
#include "kluis/vault/audit_export.h"

#include "kluis/base/json.h"
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/act.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES (64 * 1024 * 1024)

/* A credential as the steward makes it, of a place (NULL: none). */
static struct vault_caller caller_of(struct vault_fixture *fixture, const char *role,
                                     const char *location)
{
    return fixture_caller_with(fixture, role, location, NULL, NULL);
}

static enum kl_status export_page(struct vault_fixture *fixture, const struct vault_caller *caller,
                                  const struct vault_audit_export_input *input, struct kl_buf *ret,
                                  struct vault_audit_export_page *ret_page, struct kl_err *err)
{
    kl_buf_init(ret, TEXT_BYTES);
    return vault_audit_export(fixture_vault(fixture), caller, input, ret, ret_page, err);
}

static uint64_t trail_size(struct vault_fixture *fixture)
{
    uint64_t size = 0;

    assert_int_equal(
        vault_trails_size(fixture_vault(fixture)->trails, fixture_tenant(fixture), &size, NULL),
        KL_OK);
    return size;
}

static size_t lines_of(const struct kl_buf *text)
{
    size_t count = 0;

    for (size_t i = 0; i < text->size; i++) {
        count += text->bytes[i] == '\n';
    }
    return count;
}

static void test_pages_join_to_the_whole_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller auditor = caller_of(fixture, "auditor", NULL);
    struct vault_audit_export_input input = {.entry = -1, .limit = 1};
    struct vault_audit_export_page page = {0};
    struct kl_err err = {0};
    int64_t expected = 0;
    uint64_t size;

    for (int i = 0; i < 5; i++) {
        char email[32];

        (void)snprintf(email, sizeof email, "ana%d@example.org", i);
        (void)fixture_newsletter(fixture, email, true);
    }
    size = trail_size(fixture);
    do {
        struct kl_json *json = NULL;
        struct kl_buf text;
        int64_t seq = -1;

        assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_OK);
        assert_int_equal(lines_of(&text), page.entries);
        assert_int_equal(page.entries, 1);
        assert_int_equal(
            kl_json_parse(text.bytes, strcspn((const char *)text.bytes, "\n"), &json, NULL), KL_OK);
        assert_true(kl_json_int(kl_json_member(kl_json_root(json), "seq"), &seq));
        assert_int_equal(seq, expected);
        expected += (int64_t)page.entries;
        assert_int_equal(page.next_entry, expected);
        kl_json_free(json);
        kl_buf_done(&text);
        input.cursor = page.cursor;
    } while (page.cursor[0] != '\0' && expected < 1000);
    assert_int_equal(expected, size); /* though each page made an entry */
    vault_caller_done(&auditor);
}

static void test_who_goes_on_from_the_next_entry_gets_only_what_is_new(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller auditor = caller_of(fixture, "auditor", NULL);
    struct vault_audit_export_input input = {.entry = -1, .limit = 1000};
    struct vault_audit_export_page page = {0};
    struct kl_err err = {0};
    struct kl_buf text;

    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_OK);
    assert_string_equal(page.cursor, "");
    kl_buf_done(&text);
    (void)fixture_newsletter(fixture, "new@example.org", true);
    input.entry = (int64_t)page.next_entry;
    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_OK);
    assert_true(page.entries >= 2);
    assert_non_null(strstr((const char *)text.bytes, "\"action\":\"audit_export\""));
    assert_non_null(strstr((const char *)text.bytes, "\"action\":\"create\""));
    kl_buf_done(&text);
    input.entry = 999999999; /* far behind the end */
    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_OK);
    assert_int_equal(page.entries, 0);
    assert_int_equal(page.next_entry, 999999999);
    assert_string_equal(page.cursor, "");
    kl_buf_done(&text);
    vault_caller_done(&auditor);
}

static void test_a_page_is_an_entry_of_its_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller auditor = caller_of(fixture, "auditor", NULL);
    struct vault_audit_export_input input = {.format = VAULT_AUDIT_CEF, .entry = 1, .limit = 2};
    struct vault_audit_export_page page = {0};
    struct kl_err err = {0};
    struct kl_buf text;

    (void)fixture_newsletter(fixture, "ana@example.org", true);
    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_OK);
    assert_memory_equal(text.bytes, "CEF:0|", 6);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"audit_export\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"format\":\"cef\",\"entries\":2,\"from\":1,\"to\":3,"
                                            "\"result\":\"ok\""),
                     1);
    kl_buf_done(&text);
    vault_caller_done(&auditor);
}

static void test_only_entries_of_the_period_are_told(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller auditor = caller_of(fixture, "auditor", NULL);
    struct vault_audit_export_input input = {
        .entry = -1, .limit = 1000, .to_us = auditor.now_us + INT64_C(3600000000)};
    struct vault_audit_export_page page = {0};
    struct kl_err err = {0};
    struct kl_buf text;

    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_OK);
    assert_true(page.entries > 0);
    kl_buf_done(&text);
    input.from_us = auditor.now_us + INT64_C(1800000000);
    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_OK);
    assert_int_equal(page.entries, 0);
    kl_buf_done(&text);
    input.to_us = input.from_us - 1;
    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_range");
    vault_caller_done(&auditor);
}

static void assert_refused(struct vault_fixture *fixture, const char *role, const char *location,
                           const char *code)
{
    struct vault_caller caller = caller_of(fixture, role, location);
    struct vault_audit_export_input input = {.entry = -1, .limit = 10};
    struct vault_audit_filter filter = {0};
    struct vault_audit_export_page page = {.entries = 77};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct kl_err err = {0};
    struct kl_buf text;

    assert_int_equal(export_page(fixture, &caller, &input, &text, &page, &err), KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, code);
    assert_int_equal(text.size, 0);
    assert_int_equal(page.entries, 77);
    kl_err_clear(&err);
    assert_int_equal(
        vault_audit_list(fixture_vault(fixture), &caller, &filter, 10, "", &text, cursor, &err),
        KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, code);
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

static void test_the_trail_leaves_the_eea_only_by_a_mechanism(void **state)
{
    struct vault_fixture *fixture = *state;
    static const char lines[] = "  transfers:\n";
    struct vault_audit_export_input input = {.entry = -1, .limit = 10};
    struct vault_audit_export_page page = {0};
    struct kl_err err = {0};
    struct vault_caller auditor;
    struct kl_buf text;

    assert_refused(fixture, "auditor", "US", "transfer");
    assert_refused(fixture, "steward", "BR", "transfer");
    assert_int_equal(fixture_trail(fixture, "\"action\":\"audit_export\",") >= 2 &&
                         fixture_trail(fixture, "\"result\":\"refused\",\"reason\":\"transfer\"") ==
                             4,
                     true);
    fixture_apply_changed(fixture, vault_policy_text, lines,
                          "  transfers:\n    - { to: [BR], mechanism: standard_clauses }\n");
    auditor = caller_of(fixture, "auditor", "BR");
    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_OK);
    assert_true(page.entries > 0);
    kl_buf_done(&text);
    assert_int_equal(
        fixture_trail(fixture, "\"transfers\":[\"standard_clauses\"],\"result\":\"ok\""), 1);
    assert_refused(fixture, "auditor", "US", "transfer"); /* for one purpose only, as token */
    vault_caller_done(&auditor);
}

static void test_a_role_of_the_policy_may_not(void **state)
{
    assert_refused(*state, "reader", NULL, "role_forbidden");
}

static void test_limits_and_cursors_of_others_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller auditor = caller_of(fixture, "auditor", NULL);
    struct vault_audit_export_input input = {.entry = -1};
    struct vault_audit_export_page page = {0};
    struct kl_err err = {0};
    struct kl_buf text;

    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_limit");
    kl_err_clear(&err);
    input.limit = VAULT_AUDIT_EXPORT_MAX + 1;
    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_limit");
    kl_err_clear(&err);
    input.limit = 1;
    input.cursor = "bm9uZQ";
    assert_int_equal(export_page(fixture, &auditor, &input, &text, &page, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_cursor");
    assert_int_equal(text.size, 0);
    vault_caller_done(&auditor);
}

static void test_formats_have_their_names(void **state)
{
    enum vault_audit_format format = VAULT_AUDIT_OCSF;

    (void)state;
    assert_true(vault_audit_format_parse("ndjson", &format) && format == VAULT_AUDIT_NDJSON);
    assert_true(vault_audit_format_parse("cef", &format) && format == VAULT_AUDIT_CEF);
    assert_true(vault_audit_format_parse("ocsf", &format) && format == VAULT_AUDIT_OCSF);
    assert_false(vault_audit_format_parse("csv", &format));
    assert_int_equal(format, VAULT_AUDIT_OCSF);
}

int main(void)
{
#define EXPORT_TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        EXPORT_TEST(test_pages_join_to_the_whole_trail),
        EXPORT_TEST(test_who_goes_on_from_the_next_entry_gets_only_what_is_new),
        EXPORT_TEST(test_a_page_is_an_entry_of_its_own),
        EXPORT_TEST(test_only_entries_of_the_period_are_told),
        EXPORT_TEST(test_the_trail_leaves_the_eea_only_by_a_mechanism),
        EXPORT_TEST(test_a_role_of_the_policy_may_not),
        EXPORT_TEST(test_limits_and_cursors_of_others_are_refused),
        cmocka_unit_test(test_formats_have_their_names),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
