/* Secrets of a subject: kept as hashes, verified a bounded number of times, never read back. */
#include "vault/subject_secret.h"

#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <stdio.h>
#include <string.h>

static const char policy[] =
    "policy: doors\n"
    "version: 1\n"
    "controller: { name: Doors BV, country: BE, contact: privacy@doors.example }\n"
    "records:\n"
    "  account:\n"
    "    fields: { name: { type: text }, password: { type: secret }, pin: { type: secret }, third: { type: secret },\n"
    "              fourth: { type: secret }, fifth: { type: secret } }\n"
    "    purposes: [sign_in, news]\n"
    "  note:\n"
    "    fields: { text: { type: text } }\n"
    "    purposes: [sign_in]\n"
    "purposes:\n"
    "  sign_in: { basis: contract }\n"
    "  news: { basis: consent }\n"
    "roles:\n"
    "  site:\n"
    "    - { do: [read, write], fields: [\"*\"], for: [sign_in] }\n"
    "    - { do: [verify], fields: [account.password, account.name], for: [sign_in, news] }\n"
    "  noter:\n"
    "    - { do: [read, verify], fields: [note.text], for: [sign_in] }\n"
    "  dpo:\n"
    "    - { do: [erase, report], fields: [\"*\"], for: [\"*\"] }\n"
    "  keeper:\n"
    "    - { do: [hold], fields: [account.*] }\n"
    "  few:\n"
    "    - { do: [verify], fields: [account.password], for: [sign_in], when: { volume_per_hour: 2 } }\n";

#define SECRET "correct horse battery staple"

static int setup(void **state)
{
    struct vault_fixture *fixture = NULL;
    int result = vault_fixture_setup(state);

    if (result != 0) {
        return result;
    }
    fixture = *state;
    (void)admin_apply(fixture->admin, policy);
    fixture->admin->options.argon2_light = true;
    fixture_reopen(fixture);
    return 0;
}

static enum kl_status try_make(struct vault_fixture *fixture,
                               const struct vault_field_input *fields, size_t count,
                               struct vault_subject_result *ret)
{
    struct vault_caller caller = fixture_caller(fixture, "site");
    const struct vault_record_input record = {
        .type = "account", .fields = fields, .field_count = count};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_subject_create(fixture_vault(fixture), &caller, &input, NULL, fixture->arena,
                                  ret, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static struct vault_subject_result make(struct vault_fixture *fixture)
{
    const struct vault_field_input fields[] = {fixture_field("name", "Ann"),
                                               fixture_field("password", SECRET)};
    struct vault_subject_result made = {0};

    if (try_make(fixture, fields, 2, &made) != KL_OK) {
        fail_msg("no account: %s", fixture->err.client_text);
    }
    return made;
}

static enum kl_status verify(struct vault_fixture *fixture, const char *role,
                             const struct vault_subject_result *of, const char *field,
                             const char *value, bool *ret_match)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    const struct vault_verify_input input = {.subject = of->id,
                                             .record = of->records[0].id,
                                             .field = field,
                                             .purpose = "sign_in",
                                             .value = {KL_JSON_TEXT, kl_slice_text(value)}};
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_record_verify(fixture_vault(fixture), &caller, &input, ret_match, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static bool matches(struct vault_fixture *fixture, const struct vault_subject_result *of,
                    const char *value)
{
    bool match = false;

    if (verify(fixture, "site", of, "password", value, &match) != KL_OK) {
        fail_msg("not verified: %s", fixture->err.client_text);
    }
    return match;
}

/* An outcome other than an answer leaves ret_match alone. */
static void refused(struct vault_fixture *fixture, const char *role,
                    const struct vault_subject_result *of, const char *field, const char *value,
                    enum kl_status status, const char *code)
{
    bool match = true;

    assert_int_equal(verify(fixture, role, of, field, value, &match), status);
    assert_string_equal(fixture->err.code, code);
    assert_true(match);
    match = false;
    assert_int_equal(verify(fixture, role, of, field, value, &match), status);
    assert_false(match);
}

static void test_the_secret_matches_and_nothing_else(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_subject_result made = make(fixture);

    assert_true(matches(fixture, &made, SECRET));
    assert_false(matches(fixture, &made, SECRET " "));
    assert_false(matches(fixture, &made, "x"));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"verify\""), 3);
    assert_int_equal(fixture_trail(fixture, "\"match\":true"), 1);
    assert_int_equal(fixture_trail(fixture, "\"match\":false"), 2);
    assert_int_equal(
        fixture_trail(fixture, "\"field\":\"account.password\",\"purpose\":\"sign_in\""), 3);
    assert_int_equal(fixture_trail(fixture, "horse"), 0);
    fixture_reopen(fixture);
    assert_true(matches(fixture, &made, SECRET));
}

static void test_what_is_stored_is_a_hash(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_subject_result made = make(fixture);
    struct vault *vault = fixture_vault(fixture);
    struct vault_caller caller = fixture_caller(fixture, "site");
    struct vault_subject subject = {0};
    struct vault_value_wanted wanted = {0};

    assert_int_equal(vault_subject_find(vault, &caller, &made.id, fixture->arena, &subject, NULL),
                     KL_OK);
    wanted.record = &subject.records[0];
    wanted.field = &subject.records[0].fields[1];
    assert_string_equal(wanted.field->name, "password");
    assert_int_equal(vault_subject_values(vault, subject.tenant, subject.slot, &wanted, 1,
                                          fixture->arena, &fixture->err),
                     KL_ERR_INTERNAL);
    assert_string_equal(fixture->err.code, "secret_read");
    assert_int_equal(wanted.value.size, 0);
    assert_int_equal(vault_subject_secret_open(vault, subject.tenant, subject.slot, &wanted,
                                               fixture->arena, NULL),
                     KL_OK);
    assert_int_equal(wanted.value.size, VAULT_SECRET_HASH_BYTES);
    assert_null(memmem(wanted.value.bytes, wanted.value.size, "horse", 5));
    vault_subject_done(&subject);
    vault_caller_done(&caller);
}

static void test_a_secret_is_never_read(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_subject_result made = make(fixture);
    struct vault_subject_result seen = {0};
    const struct vault_field_result *field = NULL;

    assert_int_equal(fixture_read(fixture, "site", &made.id, "sign_in", &seen), KL_OK);
    assert_true(fixture_value_is(fixture_find(&seen, "name"), "Ann"));
    field = fixture_find(&seen, "password");
    assert_non_null(field);
    assert_int_equal(field->view, VAULT_VIEW_PRESENT);
    assert_int_equal(field->value.size, 0);
    assert_int_equal(fixture_trail(fixture, "\"password\":\"present\""), 1);
}

static void test_a_rectified_secret_is_the_new_one(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_subject_result made = make(fixture);
    struct vault_caller caller = fixture_caller(fixture, "site");
    struct vault_field_input fields[] = {fixture_field("password", "another secret"),
                                         fixture_field("pin", "87654321")};
    bool match = true;
    uint64_t version = 0;

    assert_int_equal(vault_record_patch(fixture_vault(fixture), &caller, &made.id,
                                        &made.records[0].id, 0, fields, 2, &version, &fixture->err),
                     KL_OK);
    assert_false(matches(fixture, &made, SECRET));
    assert_true(matches(fixture, &made, "another secret"));
    fields[0] = fixture_removal("password");
    assert_int_equal(vault_record_patch(fixture_vault(fixture), &caller, &made.id,
                                        &made.records[0].id, 0, fields, 1, &version, &fixture->err),
                     KL_OK);
    assert_int_equal(verify(fixture, "site", &made, "password", "another secret", &match), KL_OK);
    assert_false(match); /* there is none any more */
    vault_caller_done(&caller);
}

static void test_a_secret_that_is_stored_is_neither_short_nor_one_of_many(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_field_input few[] = {fixture_field("password", "seven77")};
    const struct vault_field_input many[] = {
        fixture_field("password", SECRET), fixture_field("pin", SECRET),
        fixture_field("third", SECRET), fixture_field("fourth", SECRET),
        fixture_field("fifth", SECRET)};
    struct vault_subject_result made = {0};

    assert_int_equal(try_make(fixture, few, 1, &made), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "secret_too_short");
    assert_string_equal(fixture->err.where, "/records/0/fields/password");
    assert_int_equal(try_make(fixture, many, 5, &made), KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_secrets");
    assert_int_equal(made.record_count, 0);
    assert_int_equal(try_make(fixture, many, 4, &made), KL_OK);
}

static void test_what_cannot_be_verified_is_said(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_subject_result made = make(fixture);
    struct vault_subject_result none = made;
    struct vault_record_result record = made.records[0];

    refused(fixture, "site", &made, "name", "Ann", KL_ERR_INVALID, "field_not_secret");
    refused(fixture, "site", &made, "nowhere", "Ann", KL_ERR_INVALID, "unknown_field");
    refused(fixture, "site", &made, "pin", SECRET, KL_ERR_FORBIDDEN, "withheld");
    refused(fixture, "noter", &made, "password", SECRET, KL_ERR_NOT_FOUND, "not_found");
    refused(fixture, "dpo", &made, "password", SECRET, KL_ERR_NOT_FOUND, "not_found");
    refused(fixture, "site", &made, "password", "", KL_ERR_INVALID, "empty_value");
    assert_string_equal(fixture->err.where, "/value");
    refused(fixture, "site", &made, "password", "a\nb", KL_ERR_INVALID, "invalid_value");
    none.id = kl_id_new();
    refused(fixture, "site", &none, "password", SECRET, KL_ERR_NOT_FOUND, "not_found");
    none.id = made.id;
    none.records = &record;
    record.id = kl_id_new();
    refused(fixture, "site", &none, "password", SECRET, KL_ERR_NOT_FOUND, "not_found");
    assert_int_equal(fixture_trail(fixture, "\"action\":\"verify\""), 2 * 5);
    assert_int_equal(fixture_trail(fixture, "\"result\":\"refused\""), 2 * 5);
    fixture_erase(fixture, &made.id);
    refused(fixture, "site", &made, "password", SECRET, KL_ERR_NOT_FOUND, "not_found");
}

static void test_the_gates_are_asked(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_subject_result made = make(fixture);
    struct vault_caller caller = fixture_caller(fixture, "site");
    struct vault_verify_input input = {.subject = made.id,
                                       .record = made.records[0].id,
                                       .field = "password",
                                       .purpose = "news",
                                       .value = {KL_JSON_TEXT, kl_slice_text(SECRET)}};
    bool match = false;

    assert_int_equal(
        vault_record_verify(fixture_vault(fixture), &caller, &input, &match, &fixture->err),
        KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.client_text,
                        "account.password is withheld by the gate consent");
    kl_err_clear(&fixture->err);
    input.purpose = NULL;
    assert_int_equal(
        vault_record_verify(fixture_vault(fixture), &caller, &input, &match, &fixture->err),
        KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "purpose_required");
    vault_caller_done(&caller);
}

static void test_a_field_is_tried_a_bounded_number_of_times(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_subject_result made = make(fixture);
    const struct vault_subject_result other = make(fixture);

    for (int i = 0; i < 3 * VAULT_TRIES_FIELD_MAX; i++) {
        assert_true(matches(fixture, &made, SECRET)); /* what matches does not count */
    }
    for (int i = 0; i < VAULT_TRIES_FIELD_MAX; i++) {
        assert_false(matches(fixture, &made, "wrong"));
    }
    refused(fixture, "site", &made, "password", "wrong", KL_ERR_FORBIDDEN, "too_many_attempts");
    assert_true(fixture->err.retry_after_s >= 1 &&
                fixture->err.retry_after_s <=
                    VAULT_TRIES_FIELD_WINDOW_S + VAULT_TRIES_FIELD_WINDOW_S / 12 + 1);
    refused(fixture, "site", &made, "password", SECRET, KL_ERR_FORBIDDEN, "too_many_attempts");
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"too_many_attempts\""), 4);
    assert_true(matches(fixture, &other, SECRET));
    fixture_reopen(fixture); /* it is kept in memory only */
    assert_true(matches(fixture, &made, SECRET));
}

static void test_a_credential_tries_a_bounded_number_of_times(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = {0};

    for (int i = 0; i < VAULT_TRIES_CREDENTIAL_MAX; i++) {
        if (i % VAULT_TRIES_FIELD_MAX == 0) {
            made = make(fixture);
        }
        assert_false(matches(fixture, &made, "wrong"));
    }
    made = make(fixture);
    refused(fixture, "site", &made, "password", SECRET, KL_ERR_FORBIDDEN, "too_many_attempts");
}

static void test_verifications_count_for_a_volume(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_subject_result made = make(fixture);
    bool match = false;

    assert_int_equal(verify(fixture, "few", &made, "password", SECRET, &match), KL_OK);
    assert_true(match);
    assert_int_equal(verify(fixture, "few", &made, "password", "wrong", &match), KL_OK);
    refused(fixture, "few", &made, "password", SECRET, KL_ERR_FORBIDDEN, "volume_exceeded");
    assert_true(fixture->err.retry_after_s >= 1);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"volume_exceeded\""), 2);
}

/* What is stored of the request is as slow to guess at as the secret, and a request that comes again is known by it. */
static void test_a_request_with_a_secret_that_comes_again_is_known(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = fixture_caller(fixture, "site");
    const struct vault_field_input fields[] = {fixture_field("password", SECRET)};
    const struct vault_field_input open[] = {fixture_field("name", "Ann")};
    struct vault_record_input record = {.type = "account", .fields = fields, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_idempotency again = {.key = "k1",
                                      .fingerprint = "0123456789abcdef0123456789abcde"};
    struct vault_idempotency kept = {0};
    struct vault_subject_result one = {0};
    struct vault_subject_result two = {0};

    for (int i = 0; i < 2; i++) {
        if (vault_subject_create(fixture_vault(fixture), &caller, &input, &again, fixture->arena,
                                 i == 0 ? &one : &two, &fixture->err) != KL_OK) {
            fail_msg("not made: %s", fixture->err.client_text);
        }
    }
    assert_true(two.replayed && kl_id_equal(&one.id, &two.id));
    assert_int_equal(
        vault_draft_idempotency(fixture_vault(fixture), &caller, &record, 1, &again, &kept, NULL),
        KL_OK);
    assert_string_equal(kept.key, "k1");
    assert_memory_not_equal(kept.fingerprint, again.fingerprint, sizeof kept.fingerprint);
    record.fields = open;
    assert_int_equal(
        vault_draft_idempotency(fixture_vault(fixture), &caller, &record, 1, &again, &kept, NULL),
        KL_OK);
    assert_memory_equal(kept.fingerprint, again.fingerprint, sizeof kept.fingerprint);
    again.fingerprint[0] ^= 1;
    record.fields = fields;
    assert_int_equal(vault_subject_create(fixture_vault(fixture), &caller, &input, &again,
                                          fixture->arena, &two, &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "idempotency_key_reused");
    vault_caller_done(&caller);
}

static void put_unhashed(void)
{
    struct vault_policy *compiled = NULL;
    struct vault_caller caller = {0};
    struct vault_change change = {.caller = &caller};
    struct vault_field_draft draft = {.value = kl_slice_text(SECRET)};
    struct vault_manifest_field field = {0};
    struct vault_manifest_record record = {.fields = &field, .field_count = 1};

    if (vault_policy_compile(policy, sizeof policy - 1, &compiled, NULL) != KL_OK) {
        return;
    }
    caller.policy = compiled;
    draft.field = vault_policy_field_find(compiled, vault_policy_record_find(compiled, "account"),
                                          "password");
    (void)!vault_change_field_set(&change, &record, 0, &draft, NULL);
}

static void test_a_secret_that_was_not_hashed_is_not_stored(void **state)
{
    (void)state;
    assert_true(test_aborts(put_unhashed));
}

#define WITH_VAULT(test) cmocka_unit_test_setup_teardown(test, setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_VAULT(test_the_secret_matches_and_nothing_else),
        WITH_VAULT(test_what_is_stored_is_a_hash),
        WITH_VAULT(test_a_secret_is_never_read),
        WITH_VAULT(test_a_rectified_secret_is_the_new_one),
        WITH_VAULT(test_a_secret_that_is_stored_is_neither_short_nor_one_of_many),
        WITH_VAULT(test_what_cannot_be_verified_is_said),
        WITH_VAULT(test_the_gates_are_asked),
        WITH_VAULT(test_a_field_is_tried_a_bounded_number_of_times),
        WITH_VAULT(test_a_credential_tries_a_bounded_number_of_times),
        WITH_VAULT(test_verifications_count_for_a_volume),
        WITH_VAULT(test_a_request_with_a_secret_that_comes_again_is_known),
        cmocka_unit_test(test_a_secret_that_was_not_hashed_is_not_stored),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
