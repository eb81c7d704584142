/* Events on a record: they start and move the clocks of its purposes, and a purpose whose clock has run out sees nothing. */
#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"

#include "kluis/base/time.h"

#include <stdio.h>
#include <string.h>

static int64_t until(const struct vault_keeping *keeping, size_t count, const char *purpose)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keeping[i].purpose, purpose) == 0) {
            return keeping[i].until_us;
        }
    }
    fail_msg("%s is not said to keep it", purpose);
    return 0;
}

static void test_an_event_starts_the_clock_of_its_purposes(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_keeping *keeping = NULL;
    size_t count = 0;

    assert_int_equal(rights_gate(fixture, "reader", &made.id, "service", VAULT_GROUND_NONE, 36500),
                     VAULT_GATE_NONE);
    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", 0, &keeping, &count),
                     KL_OK);
    assert_int_equal(count, 3); /* service, news, bookkeeping: the others keep nothing */
    assert_true(until(keeping, count, "bookkeeping") > until(keeping, count, "service"));
    assert_int_equal(rights_gate(fixture, "reader", &made.id, "service", VAULT_GROUND_NONE, 364),
                     VAULT_GATE_NONE);
    assert_int_equal(rights_gate(fixture, "reader", &made.id, "service", VAULT_GROUND_NONE, 367),
                     VAULT_GATE_RETENTION);
    assert_int_equal(
        rights_gate(fixture, "reader", &made.id, "bookkeeping", VAULT_GROUND_NONE, 367),
        VAULT_GATE_NONE);
    assert_int_equal(
        rights_gate(fixture, "reader", &made.id, "bookkeeping", VAULT_GROUND_NONE, 7 * 366 + 1),
        VAULT_GATE_RETENTION);
    fixture_reopen(fixture);
    assert_int_equal(rights_gate(fixture, "reader", &made.id, "service", VAULT_GROUND_NONE, 367),
                     VAULT_GATE_RETENTION);
}

static void test_noted_again_it_moves_the_clock_and_removed_it_stops(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_caller writer;

    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", -400, NULL, NULL),
                     KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"), VAULT_GATE_RETENTION);
    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", -1, NULL, NULL), KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"), VAULT_GATE_NONE);
    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", -400, NULL, NULL),
                     KL_OK);
    writer = fixture_caller(fixture, "writer");
    assert_int_equal(vault_record_event_remove(fixture_vault(fixture), &writer, &made.id,
                                               &made.records[0].id, "service_end", NULL),
                     KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"), VAULT_GATE_NONE);
    assert_int_equal(vault_record_event_remove(fixture_vault(fixture), &writer, &made.id,
                                               &made.records[0].id, "service_end", &fixture->err),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "no_event");
    vault_caller_done(&writer);
}

static void test_a_consent_starts_its_own_clock(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);

    assert_int_equal(rights_gate(fixture, "reader", &made.id, "news", VAULT_GROUND_NONE, 364),
                     VAULT_GATE_NONE);
    assert_int_equal(rights_gate(fixture, "reader", &made.id, "news", VAULT_GROUND_NONE, 367),
                     VAULT_GATE_RETENTION);
}

static void test_events_that_no_clock_knows_are_refused(void **state)
{
    static const char *const events[] = {"service_ended", "consent", "created", "", "Service_end"};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    char longer[VAULT_NAME_MAX_BYTES + 2];

    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        assert_int_equal(rights_event(fixture, "writer", &made, events[i], 0, NULL, NULL),
                         KL_ERR_INVALID);
        assert_string_equal(fixture->err.code, "unknown_event");
    }
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(rights_event(fixture, "writer", &made, longer, 0, NULL, NULL), KL_ERR_INVALID);
    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", 37000, NULL, NULL),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_time");
}

static void test_only_who_may_write_the_record_notes_events(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_subject_result nobody = made;

    assert_int_equal(rights_event(fixture, "reader", &made, "service_end", 0, NULL, NULL),
                     KL_ERR_NOT_FOUND);
    nobody.id = kl_id_new();
    assert_int_equal(rights_event(fixture, "writer", &nobody, "service_end", 0, NULL, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"event\""), 2);
}

static void test_two_records_of_one_type_are_told_apart(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    const struct vault_field_input field = fixture_field("email", "later@example.org");
    const struct vault_record_input record = {.type = "client", .fields = &field, .field_count = 1};
    struct vault_caller caller = fixture_caller(fixture, "writer");
    struct vault_record_result added = {0};
    struct vault_subject_result read = {0};

    assert_int_equal(vault_record_add(fixture_vault(fixture), &caller, &made.id, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", -400, NULL, NULL),
                     KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_OK);
    assert_int_equal(read.record_count, 2);
    assert_int_equal(read.records[0].fields[0].withheld, VAULT_GATE_RETENTION);
    assert_true(fixture_value_is(&read.records[1].fields[0], "later@example.org"));
    assert_int_equal(fixture_trail(fixture, "\"withheld\":{\"email\":\"retention\""), 1);
}

int main(void)
{
#define RIGHTS(name) cmocka_unit_test_setup_teardown(name, rights_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        RIGHTS(test_an_event_starts_the_clock_of_its_purposes),
        RIGHTS(test_noted_again_it_moves_the_clock_and_removed_it_stops),
        RIGHTS(test_a_consent_starts_its_own_clock),
        RIGHTS(test_events_that_no_clock_knows_are_refused),
        RIGHTS(test_only_who_may_write_the_record_notes_events),
        RIGHTS(test_two_records_of_one_type_are_told_apart),
    };

    return cmocka_run_group_tests_name("event", tests, admin_group_setup, NULL);
}
