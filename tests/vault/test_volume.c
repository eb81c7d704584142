/* How many subjects a credential is shown in an hour. */
#include "vault/volume.h"

#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"

#include <string.h>

static const char policy[] =
    "policy: desk\n"
    "version: 1\n"
    "controller: { name: Desk BV, country: BE, contact: privacy@desk.example }\n"
    "records:\n"
    "  person:\n"
    "    fields: { name: { type: text, mask: initials }, email: { type: email, index: true } }\n"
    "    purposes: [service]\n"
    "purposes:\n"
    "  service: { basis: contract }\n"
    "roles:\n"
    "  app:\n"
    "    - { do: [write], fields: [\"*\"] }\n"
    "  desk:\n"
    "    - { do: [read, lookup], fields: [\"*\"], for: [service], when: { volume_per_hour: 3 } }\n"
    "  half:\n"
    "    - { do: [read], fields: [person.email], for: [service], when: { volume_per_hour: 2 } }\n"
    "    - { do: [read], fields: [person.name], for: [service], view: masked }\n"
    "  free:\n"
    "    - { do: [read, lookup], fields: [\"*\"], for: [service] }\n";

enum { PEOPLE = 5 };
static struct kl_id people[PEOPLE];

static int setup(void **state)
{
    struct vault_fixture *fixture = NULL;
    int result = vault_fixture_setup(state);

    if (result != 0) {
        return result;
    }
    fixture = *state;
    (void)admin_apply(fixture->admin, policy);
    for (size_t i = 0; i < PEOPLE; i++) {
        const struct vault_field_input fields[] = {fixture_field("name", "Ann Ash"),
                                                   fixture_field("email", "ann@mail.example")};
        const struct vault_record_input record = {
            .type = "person", .fields = fields, .field_count = 2};
        const struct vault_subject_input input = {.records = &record, .record_count = 1};
        struct vault_subject_result made = {0};
        struct vault_caller caller = fixture_caller(fixture, "app");
        if (vault_subject_create(fixture_vault(fixture), &caller, &input, NULL, fixture->arena,
                                 &made, NULL) != KL_OK) {
            return -1;
        }
        vault_caller_done(&caller);
        people[i] = made.id;
    }
    return 0;
}

static enum kl_status read_one(struct vault_fixture *fixture, const char *role,
                               const struct kl_id *subject, struct vault_subject_result *ret)
{
    kl_err_clear(&fixture->err);
    return fixture_read(fixture, role, subject, "service", ret);
}

static void exceeded(const struct vault_fixture *fixture)
{
    assert_string_equal(fixture->err.code, "volume_exceeded");
    assert_int_equal(fixture->err.status, KL_ERR_FORBIDDEN);
    assert_true(fixture->err.retry_after_s >= 1 && fixture->err.retry_after_s <= 3901);
}

static void test_a_read_too_many_is_refused_and_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result seen = {0};
    const struct kl_id nobody = kl_id_new();

    assert_int_equal(read_one(fixture, "desk", &nobody, &seen),
                     KL_ERR_NOT_FOUND); /* counts for nothing */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(read_one(fixture, "desk", &people[0], &seen), KL_OK);
    }
    memset(&seen, 0, sizeof seen);
    assert_int_equal(read_one(fixture, "desk", &people[1], &seen), KL_ERR_FORBIDDEN);
    exceeded(fixture);
    assert_int_equal(seen.record_count, 0);
    /* of somebody who is not there it says the same */
    assert_int_equal(read_one(fixture, "desk", &nobody, &seen), KL_ERR_FORBIDDEN);
    exceeded(fixture);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"volume_exceeded\""), 2);
    assert_int_equal(read_one(fixture, "free", &people[1], &seen), KL_OK);
}

static void test_each_credential_has_its_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result seen = {0};
    struct vault_caller other;

    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(read_one(fixture, "desk", &people[i], &seen), KL_OK);
    }
    assert_int_equal(read_one(fixture, "desk", &people[3], &seen), KL_ERR_FORBIDDEN);
    other = fixture_caller_with(fixture, "desk", NULL, NULL, NULL);
    assert_int_equal(
        fixture_read_as(fixture, other,
                        (struct vault_read_input){.subject = people[3], .purpose = "service"},
                        &seen),
        KL_OK);
    fixture_reopen(fixture); /* it is kept in memory only */
    assert_int_equal(read_one(fixture, "desk", &people[3], &seen), KL_OK);
}

static void test_a_field_beyond_its_volume_is_withheld_by_role(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result seen = {0};
    static const char *const fields[] = {"person.email", "person.name"};

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read_one(fixture, "half", &people[i], &seen), KL_OK);
        assert_true(fixture_value_is(fixture_find(&seen, "email"), "ann@mail.example"));
    }
    assert_int_equal(read_one(fixture, "half", &people[2], &seen), KL_OK);
    assert_null(fixture_find(&seen, "email"));
    assert_true(fixture_value_is(fixture_find(&seen, "name"), "A. A."));
    assert_int_equal(fixture_read_as(fixture, fixture_caller(fixture, "half"),
                                     (struct vault_read_input){.subject = people[2],
                                                               .purpose = "service",
                                                               .fields = fields,
                                                               .field_count = 2},
                                     &seen),
                     KL_OK);
    assert_int_equal(fixture_find(&seen, "email")->withheld, VAULT_GATE_ROLE);
    assert_int_equal(fixture_trail(fixture, "\"withheld\":{\"email\":\"role\"}"), 1);
    kl_err_clear(&fixture->err);
    assert_int_equal(fixture_read_as(fixture, fixture_caller(fixture, "half"),
                                     (struct vault_read_input){.subject = people[2],
                                                               .purpose = "service",
                                                               .fields = fields,
                                                               .field_count = 1},
                                     &seen),
                     KL_ERR_FORBIDDEN);
    exceeded(fixture);
}

static enum kl_status list(struct vault_fixture *fixture, const char *role, const char *cursor,
                           size_t *ret_count, char ret_cursor[VAULT_CURSOR_MAX_BYTES + 1])
{
    struct vault_caller caller = fixture_caller(fixture, role);
    const struct vault_read_input what = {.purpose = "service"};
    struct vault_subject_result *subjects = NULL;
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_subject_list(fixture_vault(fixture), &caller, "person", &what, 100, cursor,
                                fixture->arena, &subjects, ret_count, ret_cursor, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static void test_a_list_ends_before_the_first_too_many(void **state)
{
    struct vault_fixture *fixture = *state;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    char next[VAULT_CURSOR_MAX_BYTES + 1] = "";
    size_t count = 0;

    assert_int_equal(list(fixture, "desk", NULL, &count, cursor), KL_OK);
    assert_int_equal(count, 3);
    assert_string_not_equal(cursor, "");
    assert_int_equal(list(fixture, "desk", cursor, &count, next), KL_ERR_FORBIDDEN);
    exceeded(fixture);
    fixture_reopen(fixture);
    assert_int_equal(list(fixture, "desk", cursor, &count, next), KL_OK);
    assert_int_equal(count, 2);
    assert_string_equal(next, "");
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"volume_exceeded\""), 1);
}

static enum kl_status look(struct vault_fixture *fixture, const char *value, const char *cursor,
                           size_t *ret_count, char ret_cursor[VAULT_CURSOR_MAX_BYTES + 1])
{
    struct vault_caller caller = fixture_caller(fixture, "desk");
    const struct vault_lookup_input input = {.field = "person.email",
                                             .purpose = "service",
                                             .limit = 100,
                                             .cursor = cursor,
                                             .value = {KL_JSON_TEXT, kl_slice_text(value)}};
    struct kl_id *found = NULL;
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_lookup(fixture_vault(fixture), &caller, &input, fixture->arena, &found,
                          ret_count, ret_cursor, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static void test_a_lookup_ends_before_the_first_too_many(void **state)
{
    struct vault_fixture *fixture = *state;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    char next[VAULT_CURSOR_MAX_BYTES + 1] = "";
    size_t count = 0;

    assert_int_equal(look(fixture, "nobody@mail.example", NULL, &count, cursor), KL_OK);
    assert_int_equal(count, 0);
    assert_int_equal(look(fixture, "ann@mail.example", NULL, &count, cursor), KL_OK);
    assert_int_equal(count, 3);
    assert_string_not_equal(cursor, "");
    assert_int_equal(look(fixture, "ann@mail.example", cursor, &count, next), KL_ERR_FORBIDDEN);
    exceeded(fixture);
    /* whether somebody is there is not told either */
    assert_int_equal(look(fixture, "nobody@mail.example", NULL, &count, next), KL_ERR_FORBIDDEN);
    exceeded(fixture);
    fixture_reopen(fixture);
    assert_int_equal(look(fixture, "ann@mail.example", cursor, &count, next), KL_OK);
    assert_int_equal(count, 2);
    assert_string_equal(next, "");
}

static void test_what_is_used_up_is_a_bit_and_explained(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    struct vault_caller caller = fixture_caller(fixture, "desk");
    struct vault_explain_input input = {.purpose = "service"};
    struct vault_explain_result *results = NULL;
    size_t count = 0;

    assert_int_equal(vault_volume_used_up(vault, &caller), 0);
    assert_true(vault_volume_take(vault, &caller, 0));
    for (size_t i = 0; i < 3; i++) {
        assert_true(vault_volume_take(vault, &caller, 1));
    }
    assert_false(vault_volume_take(vault, &caller, 1));
    assert_int_equal(vault_volume_used_up(vault, &caller), 1);
    assert_int_equal(vault_explain(vault, &caller, &input, fixture->arena, &results, &count, NULL),
                     KL_OK);
    assert_int_equal(count, 2);
    assert_int_equal(results[0].decision.withheld, VAULT_GATE_ROLE);
    assert_int_equal(results[0].unmet, VAULT_UNMET_VOLUME);
    vault_caller_done(&caller);
    (void)admin_apply(fixture->admin, policy); /* begins anew */
    caller = fixture_caller(fixture, "desk");
    assert_int_equal(vault_volume_used_up(vault, &caller), 0);
    vault_caller_done(&caller);
}

#define WITH_VAULT(test) cmocka_unit_test_setup_teardown(test, setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_VAULT(test_a_read_too_many_is_refused_and_in_the_trail),
        WITH_VAULT(test_each_credential_has_its_own),
        WITH_VAULT(test_a_field_beyond_its_volume_is_withheld_by_role),
        WITH_VAULT(test_a_list_ends_before_the_first_too_many),
        WITH_VAULT(test_a_lookup_ends_before_the_first_too_many),
        WITH_VAULT(test_what_is_used_up_is_a_bit_and_explained),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
