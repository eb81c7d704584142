/* Reads for a recipient are written down, and what was disclosed elsewhere is noted. */
#include "vault/disclosure.h"

#include "tests/support/request_fixture.h"
#include "tests/support/test.h"
#include "vault/aside.h"

#include <string.h>

static struct vault_subject_result anna(struct vault_fixture *fixture)
{
    return fixture_newsletter(fixture, "ana@example.org", true);
}

static bool has_field(const struct vault_disclosure_result *disclosure, const char *name)
{
    size_t i;

    for (i = 0; i < disclosure->field_count; i++) {
        if (strcmp(disclosure->fields[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void test_a_read_for_a_recipient_is_a_disclosure(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_disclosure_result *found = NULL;
    struct vault_subject_result seen = {0};

    assert_int_equal(fixture_read(fixture, "reader", &subject.id, "mailing", &seen), KL_OK);
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), 0);
    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), 1);
    assert_string_equal(found[0].recipient, "mailer");
    assert_string_equal(found[0].purpose, "mailing");
    assert_string_equal(found[0].country.code, "DE");
    assert_null(found[0].channel);
    assert_int_equal(found[0].count, 2);
    assert_int_equal(found[0].field_count, 2);
    assert_true(has_field(&found[0], "newsletter.email"));
    assert_true(has_field(&found[0], "newsletter.first_name"));
    assert_true(found[0].first_us < found[0].last_us);
}

/* speaker needs a consent of its own, which there is none of: nothing is shown, and nothing was disclosed. */
static void test_what_is_withheld_is_no_disclosure(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_disclosure_result *found = NULL;

    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "speaker"), KL_OK);
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), 0);
}

static void test_what_was_disclosed_elsewhere_is_noted(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_disclosure_result *found = NULL;

    assert_int_equal(disclosure_note(fixture, &subject.id, "mailer", "mailing", "newsletter.*",
                                     "the list Ana Maes is on"),
                     KL_OK);
    assert_int_equal(
        disclosure_note(fixture, &subject.id, "mailer", "mailing", "newsletter.email", NULL),
        KL_OK);
    assert_int_equal(
        disclosure_note(fixture, &subject.id, "mailer", "mailing", "newsletter.email", NULL),
        KL_OK);
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), 2);
    assert_int_equal(found[0].field_count, 3);
    assert_string_equal(found[0].channel, "letter");
    assert_string_equal(found[0].note, "the list Ana Maes is on");
    assert_string_equal(found[1].channel, "elsewhere");
    assert_null(found[1].note);
    assert_int_equal(found[1].count, 2);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"disclose\""), 3);
    assert_int_equal(fixture_trail(fixture, "Ana Maes"), 0);
}

static void test_a_disclosure_passes_all_gates(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_caller caller;
    const char *const fields[] = {"newsletter.email"};
    struct vault_disclosure_input input = {
        .recipient = "mailer", .purpose = "mailing", .fields = fields, .field_count = 1};
    bool replayed = false;

    assert_int_equal(
        disclosure_note(fixture, &subject.id, "mailer", "mailing", "newsletter.email", NULL),
        KL_ERR_FORBIDDEN); /* no consent */
    assert_string_equal(fixture->err.code, "withheld");
    assert_int_equal(
        disclosure_note(fixture, &subject.id, "mailer", "service", "client.email", NULL),
        KL_ERR_FORBIDDEN); /* not what this recipient is for */
    subject = anna(fixture);
    input.country = "BR";
    caller = request_officer(fixture, NULL);
    assert_int_equal(vault_disclosure_note(fixture_vault(fixture), &caller, &subject.id, &input,
                                           NULL, &replayed, &fixture->err),
                     KL_ERR_FORBIDDEN); /* no mechanism to go there */
    assert_non_null(strstr(fixture->err.client_text, "transfer"));
    input.country = "FR";
    assert_int_equal(vault_disclosure_note(fixture_vault(fixture), &caller, &subject.id, &input,
                                           NULL, &replayed, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
    caller = fixture_caller(fixture, "reader"); /* may not disclose */
    input.country = NULL;
    assert_int_equal(vault_disclosure_note(fixture_vault(fixture), &caller, &subject.id, &input,
                                           NULL, &replayed, &fixture->err),
                     KL_ERR_NOT_FOUND);
    vault_caller_done(&caller);
}

static void test_what_cannot_be_is_refused(void **state)
{
    static char note[VAULT_DISCLOSURE_NOTE_MAX_BYTES + 2];
    static const char *const fields[] = {"newsletter.email"};
    static const char *const unknown[] = {"newsletter.shoe_size"};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_caller caller = request_officer(fixture, NULL);
    bool replayed = true;
    const struct {
        struct vault_disclosure_input input;
        enum kl_status status;
        const char *code;
    } cases[] = {
        {{"nobody", "mailing", fields, 1, 0, NULL, NULL, NULL},
         KL_ERR_INVALID,
         "unknown_recipient"},
        {{NULL, "mailing", fields, 1, 0, NULL, NULL, NULL}, KL_ERR_INVALID, "missing_key"},
        {{"mailer", "spying", fields, 1, 0, NULL, NULL, NULL}, KL_ERR_INVALID, "unknown_purpose"},
        {{"mailer", NULL, fields, 1, 0, NULL, NULL, NULL}, KL_ERR_INVALID, "purpose_required"},
        {{"mailer", "mailing", unknown, 1, 0, NULL, NULL, NULL}, KL_ERR_INVALID, "unknown_field"},
        {{"mailer", "mailing", NULL, 0, 0, NULL, NULL, NULL}, KL_ERR_INVALID, "missing_key"},
        {{"mailer", "mailing", fields, 1, INT64_MAX, NULL, NULL, NULL},
         KL_ERR_INVALID,
         "invalid_time"},
        {{"mailer", "mailing", fields, 1, 0, "XX", NULL, NULL}, KL_ERR_INVALID, "invalid_country"},
        {{"mailer", "mailing", fields, 1, 0, NULL, "by mail", NULL},
         KL_ERR_INVALID,
         "invalid_name"},
        {{"mailer", "mailing", fields, 1, 0, NULL, NULL, "\xff"}, KL_ERR_INVALID, "invalid_value"},
        {{"mailer", "mailing", fields, 1, 0, NULL, NULL, note},
         KL_ERR_TOO_LARGE,
         "value_too_large"},
    };
    size_t i;

    memset(note, 'x', sizeof note - 1);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kl_err_clear(&fixture->err);
        assert_int_equal(vault_disclosure_note(fixture_vault(fixture), &caller, &subject.id,
                                               &cases[i].input, NULL, &replayed, &fixture->err),
                         cases[i].status);
        assert_string_equal(fixture->err.code, cases[i].code);
    }
    assert_true(replayed);
    vault_caller_done(&caller);
}

static void test_the_same_key_notes_once(void **state)
{
    static const char *const fields[] = {"newsletter.email"};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    const struct vault_disclosure_input input = {
        .recipient = "mailer", .purpose = "mailing", .fields = fields, .field_count = 1};
    const struct vault_idempotency key = {.key = "k1", .fingerprint = {1}};
    struct vault_caller caller = request_officer(fixture, NULL);
    struct vault_disclosure_result *found = NULL;
    bool replayed = true;
    int i;

    for (i = 0; i < 2; i++) {
        assert_int_equal(vault_disclosure_note(fixture_vault(fixture), &caller, &subject.id, &input,
                                               &key, &replayed, &fixture->err),
                         KL_OK);
        assert_int_equal(replayed, i == 1);
    }
    vault_caller_done(&caller);
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), 1);
    assert_int_equal(found[0].count, 1);
}

/* With a ledger that is full, nothing is shown to a recipient it has no room for. */
static void test_a_full_ledger_shows_nothing_more(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_disclosure_result *found = NULL;
    size_t i;

    for (i = 0; i < VAULT_DISCLOSURES_MAX; i++) {
        assert_int_equal(
            disclosure_note(fixture, &subject.id, "mailer", "mailing", "newsletter.email", "n"),
            KL_OK);
    }
    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_disclosures");
    assert_int_equal(
        disclosure_note(fixture, &subject.id, "mailer", "mailing", "newsletter.email", NULL),
        KL_ERR_TOO_LARGE);
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), VAULT_DISCLOSURES_MAX);
}

/* ---- whom to tell ---- */

static const char *const *rectify(struct vault_fixture *fixture,
                                  const struct vault_subject_result *subject, const char *field,
                                  size_t *ret_count)
{
    struct vault_caller caller = fixture_caller(fixture, "writer");
    const struct vault_field_input input = fixture_field(field, "Bea");
    const char *const *notify = NULL;
    uint64_t version = 0;

    *ret_count = 0;
    assert_int_equal(vault_record_rectify(fixture_vault(fixture), &caller, &subject->id,
                                          &subject->records[0].id, 0, &input, 1, fixture->arena,
                                          &version, &notify, ret_count, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
    return notify;
}

static void test_a_rectification_names_who_received_the_field(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    const char *const *notify = NULL;
    size_t count = 77;

    (void)rectify(fixture, &subject, "first_name", &count);
    assert_int_equal(count, 0);
    assert_int_equal(
        disclosure_note(fixture, &subject.id, "mailer", "mailing", "newsletter.email", NULL),
        KL_OK);
    (void)rectify(fixture, &subject, "first_name", &count);
    assert_int_equal(count, 0);
    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    notify = rectify(fixture, &subject, "first_name", &count);
    assert_int_equal(count, 1);
    assert_string_equal(notify[0], "mailer");
}

static bool receipt_names(struct vault_fixture *fixture, const struct kl_id *subject,
                          const char *recipient)
{
    struct kl_buf receipt;
    bool names = false;

    kl_buf_init(&receipt, 65536);
    assert_int_equal(fixture_try_erase(fixture, "dpo", subject, VAULT_ERASE_REQUEST, &receipt),
                     KL_OK);
    kl_buf_add_byte(&receipt, 0);
    names = strstr((const char *)receipt.bytes, recipient) != NULL;
    kl_buf_done(&receipt);
    return names;
}

static void test_an_erasure_names_who_received_something(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result one = anna(fixture);
    struct vault_subject_result two = fixture_newsletter(fixture, "ben@example.org", true);

    assert_int_equal(disclosure_read(fixture, &one.id, "mailing", "mailer"), KL_OK);
    assert_true(receipt_names(fixture, &one.id, "\"notify\":[\"mailer\"]"));
    assert_true(receipt_names(fixture, &two.id, "\"notify\":[]"));
}

/* A ledger that does not open keeps nobody from being erased; all who may have received something are named. */
static void test_a_damaged_ledger_keeps_nobody_from_being_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    uint64_t slot = fixture_slot(fixture, &subject.id);
    struct vault_batch *batch = vault_batch_new();
    struct vault_row_key key;
    uint64_t value = 0;

    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    assert_int_equal(vault_aside_find(fixture_vault(fixture), fixture_tenant(fixture), slot,
                                      VAULT_ASIDE_DISCLOSURES, NULL, &value, NULL),
                     KL_OK);
    key = vault_row_value(fixture_tenant(fixture), slot, value);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of("damaged", 7));
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, true, NULL),
                     KL_OK);
    assert_int_not_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    assert_true(receipt_names(fixture, &subject.id, "\"notify\":[\"speaker\",\"mailer\"]"));
    vault_batch_free(batch);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_read_for_a_recipient_is_a_disclosure),
        TEST(test_what_is_withheld_is_no_disclosure),
        TEST(test_what_was_disclosed_elsewhere_is_noted),
        TEST(test_a_disclosure_passes_all_gates),
        TEST(test_what_cannot_be_is_refused),
        TEST(test_the_same_key_notes_once),
        TEST(test_a_full_ledger_shows_nothing_more),
        TEST(test_a_rectification_names_who_received_the_field),
        TEST(test_an_erasure_names_who_received_something),
        TEST(test_a_damaged_ledger_keeps_nobody_from_being_erased),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
