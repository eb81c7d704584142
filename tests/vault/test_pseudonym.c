/* What view token shows: one recipient's own, the same at each read, with nothing beside it that two could match. */
#include "vault/pseudonym.h"

#include "tests/support/pseudonym_fixture.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#define TEXT "tok_0123456789ABCDEFGHJKMNPQRS7ZZZZZZZZZZZZZZZZZZZZZZZZZ"

/* ---- texts ---- */

static void test_a_text_is_two_ids_behind_each_other(void **state)
{
    unsigned char bytes[VAULT_PSEUDONYM_BYTES];
    unsigned char same[VAULT_PSEUDONYM_BYTES];

    (void)state;
    assert_int_equal(strlen(TEXT), VAULT_PSEUDONYM_CHARS);
    assert_int_equal(vault_pseudonym_parse(TEXT, bytes, NULL), KL_OK);
    assert_int_equal(bytes[0], 0x01); /* the first digit has three bits */
    assert_int_equal(bytes[16], 0xff);
    assert_int_equal(bytes[31], 0xff);
    assert_int_equal(vault_pseudonym_parse(
                         "tok_0123456789abcdefghjkmnpqrs7zzzzzzzzzzzzzzzzzzzzzzzzz", same, NULL),
                     KL_OK);
    assert_memory_equal(bytes, same, sizeof bytes);
}

static void test_what_is_no_token_is_refused(void **state)
{
    static const char *const TEXTS[] = {"",
                                        "tok_",
                                        "tok_0123456789ABCDEFGHJKMNPQRS",
                                        "tok_0123456789ABCDEFGHJKMNPQRS7ZZZZZZZZZZZZZZZZZZZZZZZZ",
                                        "tok_0123456789ABCDEFGHJKMNPQRS7ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
                                        "sub_0123456789ABCDEFGHJKMNPQRS7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
                                        "tok_8123456789ABCDEFGHJKMNPQRS7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
                                        "tok_0123456789ABCDEFGHJKMNPQRS8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
                                        "tok_0123456789ABCDEFGHJKMNPQRU7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
                                        "tok_0123456789ABCDEFGHJKMNPQRS7ZZZZZZZZZZZZZZZZZZZZZZZZ "};
    unsigned char bytes[VAULT_PSEUDONYM_BYTES] = {7};
    struct kl_err err = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        kl_err_clear(&err);
        assert_int_equal(vault_pseudonym_parse(TEXTS[i], bytes, &err), KL_ERR_INVALID);
        assert_string_equal(err.code, "invalid_token");
        assert_null(strstr(err.client_text, "0123456789"));
        assert_int_equal(bytes[0], 7);
    }
    assert_int_equal(vault_pseudonym_parse(NULL, bytes, NULL), KL_ERR_INVALID);
}

/* ---- whose, and how long ---- */

/* Every pseudonym that a read shows. */
static size_t all_of(const struct vault_subject_result *read, const char **ret)
{
    size_t count = 0;
    size_t i;
    size_t k;

    assert_non_null(read->pseudonym);
    ret[count++] = read->pseudonym;
    for (i = 0; i < read->record_count; i++) {
        ret[count++] = read->records[i].pseudonym;
        for (k = 0; k < read->records[i].field_count; k++) {
            if (read->records[i].fields[k].view == VAULT_VIEW_TOKEN) {
                ret[count++] = (const char *)read->records[i].fields[k].value.bytes;
            }
        }
    }
    return count;
}

static void test_they_are_the_same_at_each_read_and_after_reopening(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct vault_subject_result first = pseudonym_read(fixture, &ann, "cloud");
    struct vault_subject_result second;
    const char *before[16];
    const char *after[16];
    size_t count = all_of(&first, before);
    size_t i;

    fixture_reopen(fixture);
    second = pseudonym_read(fixture, &ann, "cloud");
    assert_int_equal(count, 6); /* an id, two of records, email, name, item */
    assert_int_equal(all_of(&second, after), count);
    for (i = 0; i < count; i++) {
        assert_string_equal(before[i], after[i]);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void test_no_two_have_anything_in_common(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id people[2] = {pseudonym_person(fixture, "ann@mail.example").id,
                              pseudonym_person(fixture, "ann@mail.example").id};
    struct vault_subject_result read;
    const char *all[128];
    char halves[256][KL_ID_DIGITS + 1];
    const char *sorted[256];
    size_t count = 0;
    size_t i;

    for (i = 0; i < 2; i++) {
        read = pseudonym_read(fixture, &people[i], "cloud");
        count += all_of(&read, all + count);
        read = pseudonym_read(fixture, &people[i], "archive");
        count += all_of(&read, all + count);
        assert_int_equal(fixture_read(fixture, "analyst", &people[i], "hosting", &read), KL_OK);
        count += all_of(&read, all + count);
    }
    assert_int_equal(count, 36);
    for (i = 0; i < count; i++) {
        memcpy(halves[2 * i], all[i] + 4, KL_ID_DIGITS);
        halves[2 * i][KL_ID_DIGITS] = '\0';
        memcpy(halves[2 * i + 1], all[i] + 4 + KL_ID_DIGITS, KL_ID_DIGITS + 1);
        sorted[2 * i] = halves[2 * i];
        sorted[2 * i + 1] = halves[2 * i + 1];
    }
    qsort(sorted, 2 * count, sizeof sorted[0], by_text);
    for (i = 1; i < 2 * count; i++) {
        assert_string_not_equal(sorted[i - 1], sorted[i]);
    }
}

static void test_a_rectified_value_keeps_its_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ann = pseudonym_person(fixture, "ann@mail.example");
    const char *before = pseudonym_of(fixture, &ann.id, "cloud", "person", "email");
    const struct vault_field_input changed = fixture_field("email", "bea@mail.example");
    struct vault_caller app = fixture_caller(fixture, "app");
    uint64_t version = 0;

    assert_int_equal(vault_record_patch(fixture_vault(fixture), &app, &ann.id, &ann.records[0].id,
                                        0, &changed, 1, &version, NULL),
                     KL_OK);
    assert_string_equal(pseudonym_of(fixture, &ann.id, "cloud", "person", "email"), before);
    vault_caller_done(&app);
}

/* ---- what stands beside them ---- */

static void test_nothing_that_recipients_could_match_is_shown(void **state)
{
    static const struct kl_id none = {{0}};
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct vault_subject_result read = pseudonym_read(fixture, &ann, "cloud");
    size_t i;

    assert_true(kl_id_equal(&read.id, &none));
    for (i = 0; i < read.record_count; i++) {
        assert_true(kl_id_equal(&read.records[i].id, &none));
        assert_null(read.records[i].source);
        assert_int_equal(read.records[i].version, 0);
        assert_int_equal(read.records[i].created_us, 0);
        assert_true(i == 0 || strcmp(read.records[i - 1].pseudonym, read.records[i].pseudonym) < 0);
    }
}

/* Asking for what may only be known to be there, or for nothing that is there, must not bring the ids out. */
static void test_no_choice_of_fields_brings_the_ids_out(void **state)
{
    static const char *const choices[] = {"person.pin", "purchase.*", "person.email"};
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    const char *expected = pseudonym_of(fixture, &ann, "cloud", NULL, NULL);
    struct vault_subject_result read = {0};
    size_t i;

    for (i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        assert_int_equal(fixture_read_as(fixture, fixture_caller(fixture, "app"),
                                         (struct vault_read_input){.subject = ann,
                                                                   .purpose = "hosting",
                                                                   .recipient = "cloud",
                                                                   .fields = &choices[i],
                                                                   .field_count = 1},
                                         &read),
                         KL_OK);
        assert_string_equal(read.pseudonym, expected);
    }
}

static void test_who_is_shown_more_is_shown_the_ids(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ann = pseudonym_person(fixture, "ann@mail.example");
    struct vault_subject_result read = pseudonym_read(fixture, &ann.id, "printer");

    assert_null(read.pseudonym);
    assert_true(kl_id_equal(&read.id, &ann.id));
    assert_null(read.records[0].pseudonym);
    assert_int_equal(read.records[0].version, 1);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "ann@mail.example"));
}

static void test_nobody_is_found_by_a_value_that_is_shown_as_a_token(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_lookup_input input = {.field = "person.email", .purpose = "hosting", .limit = 10};
    struct vault_caller callers[] = {fixture_caller(fixture, "app"),
                                     fixture_caller(fixture, "seer"),
                                     fixture_caller_with(fixture, "app", "US", NULL, NULL)};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    struct kl_id *found = NULL;
    size_t count = 0;
    size_t i;

    (void)pseudonym_person(fixture, "ann@mail.example");
    input.value.kind = KL_JSON_TEXT;
    input.value.text = kl_slice_text("ann@mail.example");
    for (i = 0; i < sizeof callers / sizeof callers[0]; i++) {
        assert_int_equal(vault_lookup(fixture_vault(fixture), &callers[i], &input, fixture->arena,
                                      &found, &count, cursor, NULL),
                         KL_OK);
        assert_int_equal(count, i == 0 ? 1 : 0);
        vault_caller_done(&callers[i]);
    }
}

/* ---- lists ---- */

enum { PEOPLE = 24 };

/* All people as that recipient is shown them, a few a page; their pseudonyms in the order of the list. */
static void list_all(struct vault_fixture *fixture, const char *recipient, const char *ret[PEOPLE])
{
    struct vault_caller app = fixture_caller(fixture, "app");
    const struct vault_read_input what = {.purpose = "hosting", .recipient = recipient};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault_subject_result *page = NULL;
    size_t count = 0;
    size_t total = 0;
    size_t i;

    do {
        assert_int_equal(vault_subject_list(fixture_vault(fixture), &app, "person", &what, 5,
                                            cursor, fixture->arena, &page, &count, cursor,
                                            &fixture->err),
                         KL_OK);
        for (i = 0; i < count; i++) {
            assert_true(total < PEOPLE);
            ret[total++] = page[i].pseudonym;
        }
    } while (cursor[0] != '\0');
    assert_int_equal(total, PEOPLE);
    vault_caller_done(&app);
}

static size_t place_in(const char *const *list, const char *text)
{
    size_t i = 0;

    while (i < PEOPLE && strcmp(list[i], text) != 0) {
        i++;
    }
    assert_true(i < PEOPLE);
    return i;
}

static void test_a_list_is_in_an_order_of_the_recipients_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id people[PEOPLE];
    const char *cloud[PEOPLE];
    const char *again[PEOPLE];
    const char *archive[PEOPLE];
    size_t same = 0;
    size_t in_order = 0;
    size_t i;

    pseudonym_crowd(fixture, people, PEOPLE);
    list_all(fixture, "cloud", cloud);
    list_all(fixture, "cloud", again);
    list_all(fixture, "archive", archive);
    for (i = 0; i < PEOPLE; i++) {
        const char *in_cloud = pseudonym_of(fixture, &people[i], "cloud", NULL, NULL);
        const char *in_archive = pseudonym_of(fixture, &people[i], "archive", NULL, NULL);

        assert_string_equal(cloud[i], again[i]);
        same += place_in(cloud, in_cloud) == place_in(archive, in_archive) ? 1 : 0;
        in_order += place_in(cloud, in_cloud) == i ? 1 : 0;
    }
    /* by chance one is; ten would be once in 10^7 */
    assert_true(same < 10);
    assert_true(in_order < 10);
}

/* ---- noted ---- */

static size_t noted(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller app = fixture_caller(fixture, "app");
    struct vault_subject found = {0};
    size_t count = 0;

    assert_int_equal(
        vault_subject_find(fixture_vault(fixture), &app, subject, fixture->arena, &found, NULL),
        KL_OK);
    count = found.base.handle_count;
    vault_subject_done(&found);
    vault_caller_done(&app);
    return count;
}

static void test_each_recipient_is_noted_once_and_a_credential_never(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "analyst", &ann, "hosting", &read), KL_OK);
    assert_non_null(read.pseudonym);
    (void)pseudonym_read(fixture, &ann, "printer");
    assert_int_equal(noted(fixture, &ann), 0);
    (void)pseudonym_read(fixture, &ann, "cloud");
    (void)pseudonym_read(fixture, &ann, "cloud");
    assert_int_equal(noted(fixture, &ann), 1);
    (void)pseudonym_read(fixture, &ann, "archive");
    assert_int_equal(noted(fixture, &ann), 2);
}

static enum kl_status note_too_many(struct vault_change *change, void *context, struct kl_err *err)
{
    const struct vault_pseudonyms one = {.tenant = change->subject.tenant};

    (void)context;
    change->subject.base.handle_count = VAULT_HANDLES_MAX;
    return vault_pseudonyms_note(change, &one, err);
}

static void test_recipients_of_one_subject_have_a_maximum(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct vault_caller app = fixture_caller(fixture, "app");

    assert_int_equal(vault_subject_change(fixture_vault(fixture), &app, &ann, note_too_many, NULL,
                                          &fixture->err),
                     KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_recipients");
    assert_int_equal(noted(fixture, &ann), 0);
    vault_caller_done(&app);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pseudonym_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_is_two_ids_behind_each_other),
        cmocka_unit_test(test_what_is_no_token_is_refused),
        TEST(test_they_are_the_same_at_each_read_and_after_reopening),
        TEST(test_no_two_have_anything_in_common),
        TEST(test_a_rectified_value_keeps_its_own),
        TEST(test_nothing_that_recipients_could_match_is_shown),
        TEST(test_no_choice_of_fields_brings_the_ids_out),
        TEST(test_who_is_shown_more_is_shown_the_ids),
        TEST(test_nobody_is_found_by_a_value_that_is_shown_as_a_token),
        TEST(test_a_list_is_in_an_order_of_the_recipients_own),
        TEST(test_each_recipient_is_noted_once_and_a_credential_never),
        TEST(test_recipients_of_one_subject_have_a_maximum),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
