/* The report of a breach on a real vault: who may have it, what it says after an erasure and a restore, and that it is in the trail. */
#include "kluis/vault/breach.h"

#include "kluis/base/json.h"
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <string.h>

#define TEXT_BYTES ((size_t)4 * 1024 * 1024)

/* Of that caller, who is done with then. ret may be NULL; err in the fixture. */
static enum kl_status ask(struct vault_fixture *fixture, struct vault_caller caller,
                          struct vault_breach_input input, struct kl_json **ret)
{
    struct kl_buf text;
    enum kl_status status = KL_OK;

    input.limit = input.limit == 0 ? VAULT_PAGE_MAX : input.limit;
    kl_err_clear(&fixture->err);
    kl_buf_init(&text, TEXT_BYTES);
    status = vault_breach_report(fixture_vault(fixture), &caller, &input, &text, &fixture->err);
    assert_true(status == KL_OK || text.size == 0);
    if (status == KL_OK && ret != NULL) {
        assert_int_equal(kl_json_parse(text.bytes, text.size, ret, NULL), KL_OK);
    }
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return status;
}

static struct kl_id id_of(struct vault_fixture *fixture, const char *role)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    const struct kl_id id = caller.credential;

    vault_caller_done(&caller);
    return id;
}

static struct vault_caller auditor(struct vault_fixture *fixture)
{
    struct vault_token token = admin_make(fixture->admin, "auditor", NULL);

    return admin_caller(fixture->admin, &token, NULL);
}

/* How many of the people have "key":text; text NULL: null. */
static size_t count_people(const struct kl_json *report, const char *key, const char *text)
{
    struct kl_json_iter iter = kl_json_iter(kl_json_member(kl_json_root(report), "subjects"));
    const struct kl_json_value *person = NULL;
    size_t count = 0;

    while (kl_json_next(&iter, NULL, &person)) {
        const char *seen = kl_json_text(kl_json_member(person, key));

        count += text == NULL ? seen == NULL : seen != NULL && strcmp(seen, text) == 0;
    }
    return count;
}

static int64_t number(const struct kl_json *report, const char *object, const char *key)
{
    int64_t found = -1;

    (void)kl_json_int(kl_json_member(kl_json_member(kl_json_root(report), object), key), &found);
    return found;
}

static void test_it_names_who_was_read_to_who_may_report(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result ben = fixture_newsletter(fixture, "ben@example.org", true);
    struct vault_subject_result result;
    const struct kl_id reader = id_of(fixture, "reader");
    char id[KL_ID_TEXT_BYTES];
    struct kl_json *report = NULL;

    (void)ben;
    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    assert_int_equal(fixture_read(fixture, "masked", &ben.id, "mailing", &result), KL_OK);
    assert_int_equal(ask(fixture, fixture_caller(fixture, "officer"),
                         (struct vault_breach_input){.credentials = &reader, .credential_count = 1},
                         &report),
                     KL_OK);
    kl_id_format("sub", &ana.id, id);
    assert_int_equal(count_people(report, "subject", id), 1);
    assert_int_equal(number(report, "people", "all"), 1);
    kl_json_free(report);
    assert_int_equal(ask(fixture, auditor(fixture),
                         (struct vault_breach_input){.credentials = &reader, .credential_count = 1},
                         &report),
                     KL_OK);
    assert_int_equal(count_people(report, "subject", NULL), 1);
    assert_int_equal(number(report, "people", "all"), 1);
    kl_json_free(report);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"report_breach\""), 3);
    assert_int_equal(fixture_trail(fixture, "\"named\":1"), 1);
    assert_int_equal(fixture_trail(fixture, "\"named\":0"), 1);
}

/* No purpose is named here: who is bound to some is told how many, and not who. */
static void test_a_credential_for_some_purposes_is_told_no_names(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result result;
    const struct kl_id reader = id_of(fixture, "reader");
    struct kl_json *report = NULL;

    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    assert_int_equal(ask(fixture, fixture_caller_with(fixture, "officer", NULL, "mailing", NULL),
                         (struct vault_breach_input){.credentials = &reader, .credential_count = 1},
                         &report),
                     KL_OK);
    assert_int_equal(count_people(report, "subject", NULL), 1);
    assert_int_equal(number(report, "people", "all"), 1);
    kl_json_free(report);
}

/* Which fields were touched is known by the names they had: no policy in force says who may report on such a one. */
static void test_who_was_touched_in_a_field_that_is_forgotten_is_not_named(void **state)
{
    static char forgot[16384];
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    const struct vault_field_input iban = fixture_field("iban", "BE68539007547034");
    const struct vault_record_input client = {.type = "client", .fields = &iban, .field_count = 1};
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_record_result made;
    struct vault_subject_result result;
    const struct kl_id reader = id_of(fixture, "reader");
    struct kl_json *report = NULL;
    struct kl_buf receipt;
    char *at = NULL;

    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &ana.id, &client, NULL,
                                      fixture->arena, &made, &fixture->err),
                     KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &ana.id, &made.id,
                                        VAULT_ERASE_REQUEST, &receipt, &fixture->err),
                     KL_OK);
    kl_buf_done(&receipt);
    vault_caller_done(&writer);
    vault_caller_done(&dpo);
    assert_int_equal(ask(fixture, fixture_caller(fixture, "officer"),
                         (struct vault_breach_input){.credentials = &reader, .credential_count = 1},
                         &report),
                     KL_OK);
    assert_int_equal(count_people(report, "subject", NULL), 0);
    kl_json_free(report);
    (void)strncpy(forgot, vault_policy_text, sizeof forgot - 1);
    at = strstr(forgot, "iban:  {");
    assert_non_null(at);
    memcpy(at, "bank", 4);
    (void)admin_apply(fixture->admin, forgot);
    assert_int_equal(ask(fixture, fixture_caller(fixture, "officer"),
                         (struct vault_breach_input){.credentials = &reader, .credential_count = 1},
                         &report),
                     KL_OK);
    assert_int_equal(count_people(report, "subject", NULL), 1);
    assert_int_equal(number(report, "people", "all"), 1);
    kl_json_free(report);
}

static size_t named(struct vault_fixture *fixture, const char *role, const struct kl_id *credential)
{
    struct kl_json *report = NULL;
    size_t people = 0;
    size_t unnamed = 0;

    assert_int_equal(
        ask(fixture, fixture_caller(fixture, role),
            (struct vault_breach_input){.credentials = credential, .credential_count = 1}, &report),
        KL_OK);
    people = (size_t)number(report, "people", "all");
    unnamed = count_people(report, "subject", NULL);
    kl_json_free(report);
    return people - unnamed;
}

/* Of whom the credential saw what lies beside the records alone. */
static void consents_seen(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_consent_result *consents = NULL;
    size_t count = 0;

    assert_int_equal(vault_consent_list(fixture_vault(fixture), &dpo, subject, fixture->arena,
                                        &consents, &count, &fixture->err),
                     KL_OK);
    vault_caller_done(&dpo);
}

static void test_who_was_seen_without_a_field_is_named_by_all_of_their_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result ben = fixture_newsletter(fixture, "ben@example.org", true);
    struct kl_id dpo;

    fixture_apply_changed(
        fixture, vault_policy_text, "roles:\n",
        "roles:\n"
        "  client_reporter:\n"
        "    - { do: [report], fields: [client.*], for: [\"*\"] }\n"
        "  half_reporter:\n"
        "    - { do: [report], fields: [newsletter.email], for: [\"*\"] }\n"
        "  reporter:\n"
        "    - { do: [report], fields: [newsletter.*], for: [\"*\"] }\n"
        "  one_reporter:\n"
        "    - { do: [report], fields: [\"*\"], for: [\"*\"], when: { volume_per_hour: 1 } }\n");
    dpo = id_of(fixture, "dpo");
    consents_seen(fixture, &ana.id);
    consents_seen(fixture, &ben.id);
    assert_int_equal(named(fixture, "client_reporter", &dpo), 0);
    assert_int_equal(named(fixture, "half_reporter", &dpo), 0);
    assert_int_equal(named(fixture, "reporter", &dpo), 2);
    assert_int_equal(named(fixture, "one_reporter", &dpo), 1);
}

static void test_who_reports_in_tokens_is_told_no_names(void **state)
{
    static const char *const roles[] = {"token_reporter", "present_reporter"};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result result;
    struct kl_id ids[2];
    size_t i;

    fixture_apply_changed(fixture, vault_policy_text, "roles:\n",
                          "roles:\n"
                          "  token_reporter:\n"
                          "    - { do: [report], fields: [\"*\"], for: [\"*\"], view: token }\n"
                          "  present_reporter:\n"
                          "    - { do: [report], fields: [\"*\"], for: [\"*\"], view: present }\n"
                          "  mask_reporter:\n"
                          "    - { do: [report], fields: [\"*\"], for: [\"*\"], view: masked }\n");
    ids[0] = id_of(fixture, "reader");
    ids[1] = id_of(fixture, "dpo");
    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    consents_seen(fixture, &ana.id);
    for (i = 0; i < 2; i++) {
        assert_int_equal(named(fixture, roles[0], &ids[i]), 0);
        assert_int_equal(named(fixture, roles[1], &ids[i]), 0);
        assert_int_equal(named(fixture, "mask_reporter", &ids[i]), 1);
    }
}

static void test_who_is_gone_is_erased_since_and_nobody_else_is(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result ben = fixture_newsletter(fixture, "ben@example.org", true);
    struct vault_subject_result result;
    const struct kl_id reader = id_of(fixture, "reader");
    struct kl_json *report = NULL;

    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &ben.id, "mailing", &result), KL_OK);
    fixture_damage(fixture, &ben.id);
    fixture_erase(fixture, &ana.id);
    assert_int_equal(ask(fixture, fixture_caller(fixture, "officer"),
                         (struct vault_breach_input){.credentials = &reader, .credential_count = 1},
                         &report),
                     KL_OK);
    assert_int_equal(count_people(report, "state", "erased"), 1);
    assert_int_equal(number(report, "people", "all"), 2);
    assert_int_equal(number(report, "people", "erased_since"), 1);
    kl_json_free(report);
}

static void test_others_may_not_and_the_attempt_is_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    const struct kl_id reader = id_of(fixture, "reader");
    const struct vault_breach_input input = {.credentials = &reader, .credential_count = 1};

    assert_int_equal(ask(fixture, fixture_caller(fixture, "reader"), input, NULL),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
    assert_int_equal(ask(fixture, admin_steward(fixture->admin), input, NULL), KL_ERR_FORBIDDEN);
    assert_int_equal(
        ask(fixture, fixture_caller_with(fixture, "officer", NULL, NULL, &ana.id), input, NULL),
        KL_ERR_FORBIDDEN);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"report_breach\""), 3);
}

/* Who may not have one takes no place, and hears nothing of how many there are. */
static void test_only_so_many_are_made_at_once_of_those_that_may_be(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct kl_id reader = id_of(fixture, "reader");
    const struct vault_breach_input input = {.credentials = &reader, .credential_count = 1};
    atomic_uint *const under_way = &fixture_vault(fixture)->breach_reports;

    atomic_store(under_way, VAULT_BREACH_REPORTS_AT_ONCE);
    assert_int_equal(ask(fixture, fixture_caller(fixture, "reader"), input, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(ask(fixture, auditor(fixture), input, NULL), KL_ERR_BUSY);
    assert_string_equal(fixture->err.code, "reports_busy");
    assert_true(fixture->err.retry_after_s > 0);
    assert_int_equal(atomic_load(under_way), VAULT_BREACH_REPORTS_AT_ONCE);
    atomic_store(under_way, 0);
    assert_int_equal(ask(fixture, auditor(fixture), input, NULL), KL_OK);
    assert_int_equal(atomic_load(under_way), 0);
}

/* Whom several read is one person; which of them did how much is told. */
static void test_several_credentials_and_a_role_are_one_report(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result ben = fixture_newsletter(fixture, "ben@example.org", true);
    struct vault_subject_result result;
    const struct kl_id both[2] = {id_of(fixture, "reader"), id_of(fixture, "masked")};
    const struct vault_breach_input of_both = {.credentials = both, .credential_count = 2};
    struct kl_json *report = NULL;

    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    assert_int_equal(fixture_read(fixture, "masked", &ana.id, "support", &result), KL_OK);
    assert_int_equal(fixture_read(fixture, "masked", &ben.id, "support", &result), KL_OK);
    assert_int_equal(ask(fixture, auditor(fixture), of_both, &report), KL_OK);
    assert_int_equal(number(report, "people", "all"), 2);
    assert_int_equal(number(report, "people", "in_plain"), 1);
    assert_int_equal(kl_json_count(kl_json_member(kl_json_root(report), "credentials")), 2);
    assert_int_equal(kl_json_count(kl_json_member(kl_json_root(report), "by")), 2);
    assert_true(kl_json_bool(kl_json_member(kl_json_root(report), "complete")));
    kl_json_free(report);
    assert_int_equal(fixture_trail(fixture, "\"targets\":["), 1);
    assert_int_equal(ask(fixture, auditor(fixture),
                         (struct vault_breach_input){.role = "masked", .from_us = 1}, &report),
                     KL_OK);
    assert_int_equal(number(report, "people", "all"), 2);
    assert_int_equal(number(report, "people", "in_plain"), 0);
    kl_json_free(report);
    assert_int_equal(fixture_trail(fixture, "\"of_role\":\"masked\""), 1);
}

/* A role that the policy in force has no more, and that leaked while it was there. */
static void test_a_role_of_an_earlier_policy_is_reported_on(void **state)
{
    static char without[16384];
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result result;
    struct kl_json *report = NULL;
    char *at = NULL;

    assert_int_equal(fixture_read(fixture, "masked", &ana.id, "support", &result), KL_OK);
    (void)strncpy(without, vault_policy_text, sizeof without - 1);
    at = strstr(without, "  masked:");
    assert_non_null(at);
    memcpy(at, "  marked:", 9);
    (void)admin_apply(fixture->admin, without);
    assert_int_equal(ask(fixture, auditor(fixture),
                         (struct vault_breach_input){.role = "masked", .from_us = 1}, &report),
                     KL_OK);
    assert_int_equal(number(report, "people", "all"), 1);
    kl_json_free(report);
}

/* As a whole it names nobody, not even to who may know, and counts those who are gone. */
static void test_a_whole_names_nobody_and_counts_all(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result ben = fixture_newsletter(fixture, "ben@example.org", true);
    struct vault_subject_result result;
    const struct kl_id reader = id_of(fixture, "reader");
    struct kl_json *report = NULL;
    const struct kl_json_value *head = NULL;

    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &ben.id, "mailing", &result), KL_OK);
    fixture_erase(fixture, &ben.id);
    assert_int_equal(ask(fixture, fixture_caller(fixture, "officer"),
                         (struct vault_breach_input){
                             .credentials = &reader, .credential_count = 1, .whole = true},
                         &report),
                     KL_OK);
    assert_int_equal(kl_json_count(kl_json_member(kl_json_root(report), "subjects")), 0);
    assert_int_equal(number(report, "people", "all"), 2);
    assert_int_equal(number(report, "people", "erased_since"), 1);
    assert_int_equal(fixture_trail(fixture, "\"named\":0"), 1);
    head = kl_json_member(kl_json_member(kl_json_root(report), "evidence"), "head");
    assert_non_null(kl_json_text(kl_json_member(head, "signature")));
    assert_int_equal(
        fixture_trail(fixture, kl_json_text(kl_json_member(
                                   kl_json_member(kl_json_root(report), "evidence"), "entry"))),
        1);
    kl_json_free(report);
}

static void test_what_is_asked_wrongly_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct kl_id reader = id_of(fixture, "reader");
    const struct kl_id unknown = kl_id_new();
    const struct kl_id twice[2] = {reader, reader};
    const struct kl_id many[VAULT_BREACH_CREDENTIALS_MAX + 1] = {{{0}}};
    const struct {
        struct vault_breach_input input;
        enum kl_status status;
        const char *code;
    } cases[] = {
        {{.credentials = &unknown, .credential_count = 1}, KL_ERR_NOT_FOUND, "not_found"},
        {{.credentials = &reader, .credential_count = 1, .limit = VAULT_PAGE_MAX + 1},
         KL_ERR_INVALID,
         "invalid_limit"},
        {{.credentials = &reader, .credential_count = 1, .from_us = 2, .to_us = 1},
         KL_ERR_INVALID,
         "invalid_range"},
        {{.credentials = &reader, .credential_count = 1, .aware_us = INT64_MAX},
         KL_ERR_INVALID,
         "invalid_time"},
        {{.credentials = &reader, .credential_count = 1, .cursor = "x"},
         KL_ERR_INVALID,
         "invalid_cursor"},
        {{.credentials = NULL}, KL_ERR_INVALID, "invalid_value"},
        {{.credentials = &reader, .credential_count = 1, .role = "reader", .from_us = 1},
         KL_ERR_INVALID,
         "invalid_value"},
        {{.credentials = twice, .credential_count = 2}, KL_ERR_INVALID, "duplicate_item"},
        {{.credentials = many, .credential_count = VAULT_BREACH_CREDENTIALS_MAX + 1},
         KL_ERR_TOO_LARGE,
         "too_many_items"},
        {{.role = "reader"}, KL_ERR_INVALID, "missing_key"},
        {{.role = "raeder", .from_us = 1}, KL_ERR_INVALID, "unknown_role"},
        {{.recipient = "reader", .from_us = 1}, KL_ERR_INVALID, "unknown_recipient"},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ask(fixture, auditor(fixture), cases[i].input, NULL), cases[i].status);
        assert_string_equal(fixture->err.code, cases[i].code);
    }
}

/* The cursor of a report on one credential goes on with no report on another, nor for another caller. */
static void test_a_cursor_is_of_one_credential_and_caller(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result ben = fixture_newsletter(fixture, "ben@example.org", true);
    struct vault_subject_result result;
    const struct kl_id reader = id_of(fixture, "reader");
    const struct kl_id masked = id_of(fixture, "masked");
    struct kl_json *report = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];

    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &ben.id, "mailing", &result), KL_OK);
    assert_int_equal(
        ask(fixture, fixture_caller(fixture, "officer"),
            (struct vault_breach_input){.credentials = &reader, .credential_count = 1, .limit = 1},
            &report),
        KL_OK);
    assert_int_equal(number(report, "people", "all"), 1);
    (void)snprintf(cursor, sizeof cursor, "%s",
                   kl_json_text(kl_json_member(kl_json_root(report), "next_cursor")));
    kl_json_free(report);
    assert_int_equal(ask(fixture, fixture_caller(fixture, "officer"),
                         (struct vault_breach_input){
                             .credentials = &masked, .credential_count = 1, .cursor = cursor},
                         NULL),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_cursor");
    assert_int_equal(ask(fixture, auditor(fixture),
                         (struct vault_breach_input){
                             .credentials = &reader, .credential_count = 1, .cursor = cursor},
                         NULL),
                     KL_ERR_INVALID);
    assert_int_equal(
        ask(fixture, fixture_caller(fixture, "officer"),
            (struct vault_breach_input){
                .credentials = &reader, .credential_count = 1, .limit = 1, .cursor = cursor},
            &report),
        KL_OK);
    assert_int_equal(number(report, "people", "all"), 1);
    assert_null(kl_json_text(kl_json_member(kl_json_root(report), "next_cursor")));
    kl_json_free(report);
}

/* An older data/ was put back: what the trail lost is said, and who came after it counts as gone. */
static void test_it_says_what_the_trail_lost(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ana = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result result;
    const struct kl_id reader = id_of(fixture, "reader");
    struct kl_json *report = NULL;

    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    fixture_copy(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &ana.id, "mailing", &result), KL_OK);
    fixture_put_back_data(fixture);
    assert_int_equal(ask(fixture, auditor(fixture),
                         (struct vault_breach_input){.credentials = &reader, .credential_count = 1},
                         &report),
                     KL_OK);
    assert_true(number(report, "entries", "lost") > 0);
    assert_int_equal(number(report, "people", "all"), 1);
    kl_json_free(report);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_names_who_was_read_to_who_may_report),
        TEST(test_a_credential_for_some_purposes_is_told_no_names),
        TEST(test_who_was_touched_in_a_field_that_is_forgotten_is_not_named),
        TEST(test_who_was_seen_without_a_field_is_named_by_all_of_their_own),
        TEST(test_who_reports_in_tokens_is_told_no_names),
        TEST(test_who_is_gone_is_erased_since_and_nobody_else_is),
        TEST(test_others_may_not_and_the_attempt_is_in_the_trail),
        TEST(test_only_so_many_are_made_at_once_of_those_that_may_be),
        TEST(test_what_is_asked_wrongly_is_refused),
        TEST(test_a_whole_names_nobody_and_counts_all),
        TEST(test_a_role_of_an_earlier_policy_is_reported_on),
        TEST(test_several_credentials_and_a_role_are_one_report),
        TEST(test_a_cursor_is_of_one_credential_and_caller),
        TEST(test_it_says_what_the_trail_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
