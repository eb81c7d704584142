#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static void test_a_list_pages_through_those_whom_the_purpose_reaches(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller reader;
    const struct vault_read_input what = {.purpose = "mailing"};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault_subject_result *page = NULL;
    char email[64];
    size_t count = 0;
    size_t seen = 0;
    size_t pages = 0;
    size_t i;

    for (i = 0; i < 10; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        (void)fixture_newsletter(fixture, email, i % 2 == 0);
    }
    (void)fixture_client(fixture, "c@example.org");
    reader = fixture_caller(fixture,
                            "reader"); /* after the consents: a caller has the time of its coming */
    do {
        assert_int_equal(vault_subject_list(fixture_vault(fixture), &reader, "newsletter", &what, 2,
                                            cursor, fixture->arena, &page, &count, cursor, NULL),
                         KL_OK);
        for (i = 0; i < count; i++) {
            (void)snprintf(email, sizeof email, "p%zu@example.org", 2 * seen);
            assert_true(fixture_value_is(fixture_find(&page[i], "email"), email));
            seen++;
        }
        pages++;
    } while (cursor[0] != 0);
    assert_int_equal(seen, 5);
    assert_true(pages >= 3);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"read\""), 5);
    vault_caller_done(&reader);
}

#define NOTES_BYTES 60000
#define NOTES 160

static void test_a_page_ends_where_it_holds_enough(void **state)
{
    struct vault_fixture *fixture = *state;
    static unsigned char notes[NOTES_BYTES + 1];
    const struct vault_field_input field = {
        .name = "notes", .value = {.kind = KL_JSON_TEXT, .text = {notes, NOTES_BYTES}}};
    const struct vault_record_input record = {.type = "client", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    const struct vault_read_input what = {.purpose = "service"};
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_caller reader = fixture_caller(fixture, "reader");
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault_subject_result made;
    struct vault_subject_result *page = NULL;
    size_t count = 0;
    size_t first = 0;
    size_t i;

    memset(notes, 'n', NOTES_BYTES);
    for (i = 0; i < NOTES; i++) {
        assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                              fixture->arena, &made, NULL),
                         KL_OK);
    }
    assert_int_equal(vault_subject_list(fixture_vault(fixture), &reader, "client", &what, 1000, "",
                                        fixture->arena, &page, &first, cursor, NULL),
                     KL_OK);
    assert_in_range(first, 1, NOTES - 1);
    assert_string_not_equal(cursor, "");
    assert_int_equal(vault_subject_list(fixture_vault(fixture), &reader, "client", &what, 1000,
                                        cursor, fixture->arena, &page, &count, cursor, NULL),
                     KL_OK);
    assert_int_equal(first + count, NOTES);
    assert_string_equal(cursor, "");
    vault_caller_done(&writer);
    vault_caller_done(&reader);
}

static void test_a_list_passes_over_who_does_not_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result first = fixture_newsletter(fixture, "a@example.org", true);
    struct vault_subject_result damaged = fixture_newsletter(fixture, "b@example.org", true);
    struct vault_subject_result last = fixture_newsletter(fixture, "c@example.org", true);
    const struct vault_read_input what = {.purpose = "mailing"};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault_subject_result *page = NULL;
    struct vault_caller reader;
    size_t count = 0;

    fixture_damage(fixture, &damaged.id);
    reader = fixture_caller(fixture, "reader");
    assert_int_equal(vault_subject_list(fixture_vault(fixture), &reader, "newsletter", &what, 10,
                                        NULL, fixture->arena, &page, &count, cursor, NULL),
                     KL_OK);
    assert_int_equal(count, 2);
    assert_true(kl_id_equal(&page[0].id, &first.id));
    assert_true(kl_id_equal(&page[1].id, &last.id));
    assert_string_equal(cursor, "");
    vault_caller_done(&reader);
}

static void test_a_list_refuses_what_it_cannot_do(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_read_input what = {.purpose = "mailing"};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "x";
    struct vault_subject_result *page = NULL;
    struct kl_err err = {0};
    size_t count = 77;

    assert_int_equal(vault_subject_list(fixture_vault(fixture), &reader, "newsletter", &what, 0, "",
                                        fixture->arena, &page, &count, cursor, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_limit");
    kl_err_clear(&err);
    assert_int_equal(vault_subject_list(fixture_vault(fixture), &reader, "novel", &what, 5, "",
                                        fixture->arena, &page, &count, cursor, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "unknown_record_type");
    kl_err_clear(&err);
    assert_int_equal(vault_subject_list(fixture_vault(fixture), &reader, "newsletter", &what, 5,
                                        "nonsense", fixture->arena, &page, &count, cursor, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_cursor");
    kl_err_clear(&err);
    assert_int_equal(vault_subject_list(fixture_vault(fixture), &writer, "newsletter", &what, 5, "",
                                        fixture->arena, &page, &count, cursor, &err),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(count, 77);
    assert_null(page);
    assert_string_equal(cursor, "x");
    vault_caller_done(&reader);
    vault_caller_done(&writer);
}

static void test_a_list_leaves_out_the_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result gone = fixture_newsletter(fixture, "a@example.org", true);
    struct vault_subject_result stays = fixture_newsletter(fixture, "b@example.org", true);
    const struct vault_read_input what = {.purpose = "mailing"};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault_subject_result *page = NULL;
    struct vault_caller reader;
    size_t count = 0;

    fixture_erase(fixture, &gone.id);
    reader = fixture_caller(fixture, "reader");
    assert_int_equal(vault_subject_list(fixture_vault(fixture), &reader, "newsletter", &what, 10,
                                        NULL, fixture->arena, &page, &count, cursor, NULL),
                     KL_OK);
    assert_int_equal(count, 1);
    assert_true(kl_id_equal(&page[0].id, &stays.id));
    assert_string_equal(cursor, "");
    vault_caller_done(&reader);
}

static void test_a_bound_credential_lists_itself_alone(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result mine = fixture_newsletter(fixture, "a@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "b@example.org", true);
    struct vault_caller self = fixture_caller_with(fixture, "self", NULL, NULL, &mine.id);
    const struct vault_read_input what = {.purpose = "mailing"};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault_subject_result *page = NULL;
    size_t count = 0;

    assert_int_equal(vault_subject_list(fixture_vault(fixture), &self, "newsletter", &what, 10,
                                        NULL, fixture->arena, &page, &count, cursor, NULL),
                     KL_OK);
    assert_int_equal(count, 1);
    assert_true(kl_id_equal(&page[0].id, &mine.id));
    assert_false(kl_id_equal(&page[0].id, &other.id));
    vault_caller_done(&self);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_list_pages_through_those_whom_the_purpose_reaches),
        TEST(test_a_page_ends_where_it_holds_enough),
        TEST(test_a_list_passes_over_who_does_not_open),
        TEST(test_a_list_refuses_what_it_cannot_do),
        TEST(test_a_list_leaves_out_the_erased),
        TEST(test_a_bound_credential_lists_itself_alone),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
