/* A request is noted, kept under its subject's key, read, and goes with the subject. */
#include "vault/request_internal.h"

#include "kluis/base/time.h"
#include "tests/support/request_fixture.h"
#include "tests/support/test.h"
#include "vault/aside.h"

#include <string.h>

static struct vault_subject_result anna(struct vault_fixture *fixture)
{
    return fixture_newsletter(fixture, "ana@example.org", true);
}

static void test_a_request_is_noted_and_read(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_request_result made =
        request_make(fixture, &subject.id, "access", "2026-03-05T09:00:00Z");
    struct vault_request_result read = {0};

    assert_int_equal(
        request_read_as(fixture, request_officer(fixture, NULL), &made.request.id, &read), KL_OK);
    assert_true(kl_id_equal(&read.subject, &subject.id));
    assert_string_equal(read.request.right, "access");
    assert_int_equal(read.request.state, VAULT_REQUEST_RECEIVED);
    assert_int_equal(read.request.due_us, request_time("2026-04-05T23:59:59Z"));
    assert_string_equal(read.request.channel, "e-mail");
    assert_string_equal(read.request.note, "as Ana Maes wrote");
    assert_int_equal(fixture_trail(fixture, "\"action\":\"request_create\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"request_read\""), 1);
    assert_int_equal(fixture_trail(fixture, "Ana Maes"), 0);
}

static void test_a_deadline_that_is_over_is_told(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_request_result made =
        request_make(fixture, &subject.id, "access", "2026-03-05T09:00:00Z");
    struct vault_request_result read = {0};

    assert_int_equal(request_read_as(fixture, request_officer(fixture, "2026-04-05T23:59:59Z"),
                                     &made.request.id, &read),
                     KL_OK);
    assert_false(read.overdue);
    assert_int_equal(request_read_as(fixture, request_officer(fixture, "2026-04-06T00:00:00Z"),
                                     &made.request.id, &read),
                     KL_OK);
    assert_true(read.overdue);
}

static void test_a_steward_sees_no_note(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_request_result made = request_make(fixture, &subject.id, "access", NULL);
    struct vault_request_result read = {0};

    assert_int_equal(
        request_read_as(fixture, admin_steward(fixture->admin), &made.request.id, &read), KL_OK);
    assert_null(read.request.note);
    assert_string_equal(read.request.channel, "e-mail");
}

static void test_who_manages_no_requests_finds_none(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_request_result made = request_make(fixture, &subject.id, "access", NULL);
    const struct vault_request_input input = {.subject = subject.id, .right = "access"};
    struct vault_request_result read = {.overdue = true};
    const struct kl_id unknown = kl_id_new();
    char known[KL_ERR_TEXT_BYTES];

    assert_int_equal(
        request_read_as(fixture, fixture_caller(fixture, "reader"), &made.request.id, &read),
        KL_ERR_NOT_FOUND);
    memcpy(known, fixture->err.client_text, sizeof known);
    assert_int_equal(request_read_as(fixture, request_officer(fixture, NULL), &unknown, &read),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.client_text, known);
    assert_int_equal(request_try(fixture, fixture_caller(fixture, "reader"), &input, &read),
                     KL_ERR_NOT_FOUND);
    assert_true(read.overdue);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"request_create\""), 2);
}

static void test_a_person_makes_and_reads_their_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_subject_result other = fixture_newsletter(fixture, "ben@example.org", true);
    struct vault_request_result others = request_make(fixture, &other.id, "access", NULL);
    struct vault_request_input input = {.subject = subject.id, .right = "erasure"};
    struct vault_request_result made = {0};

#define SELF fixture_caller_with(fixture, "requester", NULL, NULL, &subject.id)
    assert_int_equal(request_try(fixture, SELF, &input, &made), KL_OK);
    assert_int_equal(request_read_as(fixture, SELF, &made.request.id, &made), KL_OK);
    assert_int_equal(request_read_as(fixture, SELF, &others.request.id, &made), KL_ERR_NOT_FOUND);
    input.received_us = 1;
    assert_int_equal(request_try(fixture, SELF, &input, &made), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_time");
    input.received_us = 0;
    input.subject = other.id;
    assert_int_equal(request_try(fixture, SELF, &input, &made), KL_ERR_NOT_FOUND);
}

static void test_what_cannot_be_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    static char note[VAULT_REQUEST_NOTE_MAX_BYTES + 2];
    struct vault_request_result made = {0};
    struct {
        struct vault_request_input input;
        enum kl_status status;
        const char *code;
    } cases[] = {
        {{.right = "everything"}, KL_ERR_INVALID, "invalid_right"},
        {{.right = NULL}, KL_ERR_INVALID, "invalid_right"},
        {{.right = "access", .channel = "by mail"}, KL_ERR_INVALID, "invalid_name"},
        {{.right = "access", .note = "\xff"}, KL_ERR_INVALID, "invalid_value"},
        {{.right = "access", .note = note}, KL_ERR_TOO_LARGE, "value_too_large"},
        {{.right = "access", .received_us = INT64_MAX}, KL_ERR_INVALID, "invalid_time"},
        {{.right = "access", .received_us = -1}, KL_ERR_INVALID, "invalid_time"},
    };
    size_t i;

    memset(note, 'x', sizeof note - 1);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cases[i].input.subject = subject.id;
        assert_int_equal(
            request_try(fixture, request_officer(fixture, NULL), &cases[i].input, &made),
            cases[i].status);
        assert_string_equal(fixture->err.code, cases[i].code);
    }
}

static void test_a_subject_has_so_many_requests_and_no_more(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    const struct vault_request_input input = {.subject = subject.id, .right = "access"};
    struct vault_request_result made = {0};
    size_t i;

    for (i = 0; i < VAULT_REQUESTS_MAX; i++) {
        assert_int_equal(request_try(fixture, request_officer(fixture, NULL), &input, &made),
                         KL_OK);
    }
    assert_int_equal(request_try(fixture, request_officer(fixture, NULL), &input, &made),
                     KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "subject_requests_full");
}

static void test_the_same_key_makes_one_request(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    const struct vault_request_input input = {.subject = subject.id, .right = "access"};
    const struct vault_idempotency key = {.key = "k1", .fingerprint = {1}};
    const struct vault_idempotency other = {.key = "k1", .fingerprint = {2}};
    struct vault_caller caller = request_officer(fixture, NULL);
    struct vault_request_result first = {0};
    struct vault_request_result second = {0};
    bool replayed = true;

    assert_int_equal(vault_request_create(fixture_vault(fixture), &caller, &input, &key,
                                          fixture->arena, &first, &replayed, &fixture->err),
                     KL_OK);
    assert_false(replayed);
    assert_int_equal(vault_request_create(fixture_vault(fixture), &caller, &input, &key,
                                          fixture->arena, &second, &replayed, &fixture->err),
                     KL_OK);
    assert_true(replayed);
    assert_true(kl_id_equal(&first.request.id, &second.request.id));
    assert_int_equal(vault_request_create(fixture_vault(fixture), &caller, &input, &other,
                                          fixture->arena, &second, &replayed, &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "idempotency_key_reused");
    vault_caller_done(&caller);
}

static void test_the_place_of_the_credential_counts(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_request_result made = request_make(fixture, &subject.id, "access", NULL);
    struct vault_request_result read = {0};

    assert_int_equal(request_read_as(fixture,
                                     fixture_caller_with(fixture, "officer", "BR", NULL, NULL),
                                     &made.request.id, &read),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
}

static void test_a_request_survives_a_restart_and_goes_with_its_subject(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_request_result made = request_make(fixture, &subject.id, "access", NULL);
    uint64_t slot = fixture_slot(fixture, &subject.id);
    struct vault_request_result read = {0};
    uint64_t value = 0;

    fixture_reopen(fixture);
    assert_int_equal(
        request_read_as(fixture, request_officer(fixture, NULL), &made.request.id, &read), KL_OK);
    assert_int_equal(vault_aside_find(fixture_vault(fixture), fixture_tenant(fixture), slot,
                                      VAULT_ASIDE_REQUEST, &made.request.id, &value, NULL),
                     KL_OK);
    fixture_erase(fixture, &subject.id);
    assert_int_equal(
        request_read_as(fixture, request_officer(fixture, NULL), &made.request.id, &read),
        KL_ERR_NOT_FOUND);
    assert_int_equal(vault_aside_find(fixture_vault(fixture), fixture_tenant(fixture), slot,
                                      VAULT_ASIDE_REQUEST, &made.request.id, &value, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_request_slot(fixture_vault(fixture), fixture_tenant(fixture),
                                        &made.request.id, &slot, NULL),
                     KL_ERR_NOT_FOUND);
}

/* Both sealed texts of one subject, put into each other's rows. */
static void test_a_request_in_anothers_place_does_not_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    struct vault_request_result one = request_make(fixture, &subject.id, "access", NULL);
    struct vault_request_result two = request_make(fixture, &subject.id, "erasure", NULL);
    uint64_t tenant = fixture_tenant(fixture);
    uint64_t slot = fixture_slot(fixture, &subject.id);
    struct vault_row_key from = vault_row_aside(tenant, slot, VAULT_ASIDE_REQUEST, &one.request.id);
    struct vault_row_key to = vault_row_aside(tenant, slot, VAULT_ASIDE_REQUEST, &two.request.id);
    struct vault_batch *batch = vault_batch_new();
    struct vault_request_result read = {0};
    struct kl_buf row;

    kl_buf_init(&row, 64);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&from), &row, NULL),
        KL_OK);
    vault_batch_put(batch, vault_row_slice(&to), kl_buf_slice(&row));
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, true, NULL),
                     KL_OK);
    assert_int_equal(
        request_read_as(fixture, request_officer(fixture, NULL), &two.request.id, &read),
        KL_ERR_CORRUPT);
    assert_string_equal(fixture->err.code, "request_damaged");
    vault_batch_clear(batch);
    vault_batch_put(batch, vault_row_slice(&to), kl_slice_of("short", 5));
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, true, NULL),
                     KL_OK);
    assert_int_equal(
        request_read_as(fixture, request_officer(fixture, NULL), &two.request.id, &read),
        KL_ERR_CORRUPT);
    vault_batch_free(batch);
    kl_buf_done(&row);
}

static void test_figures_count_open_and_overdue_requests(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = anna(fixture);
    const struct vault_request_step reject = {.kind = VAULT_REQUEST_REJECT, .code = "excessive"};
    struct vault_request_result made = {0};
    atomic_llong *const held_until = &fixture_vault(fixture)->requests_counted.until_us;
    struct vault_figures figures;

    (void)request_make(fixture, &subject.id, "access", NULL);
    made = request_make(fixture, &subject.id, "access", "2020-01-01T00:00:00Z");
    vault_figures(fixture_vault(fixture), &figures);
    assert_int_equal(figures.requests_open, 2);
    assert_int_equal(figures.requests_overdue, 1);
    assert_int_equal(request_step_as(fixture, request_officer(fixture, NULL), &made.request.id,
                                     &reject, &made, NULL),
                     KL_OK);
    atomic_store(held_until, kl_time_monotonic_us() + KL_TIME_DAY_US);
    vault_figures(fixture_vault(fixture), &figures);
    assert_int_equal(figures.requests_open, 2); /* as it was counted */
    atomic_store(held_until, 1);
    vault_figures(fixture_vault(fixture), &figures);
    assert_int_equal(figures.requests_open, 1);
    assert_int_equal(figures.requests_overdue, 0);
    assert_true(atomic_load(held_until) <= kl_time_monotonic_us() + 60 * KL_TIME_SECOND_US);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_is_noted_and_read),
        TEST(test_a_deadline_that_is_over_is_told),
        TEST(test_a_steward_sees_no_note),
        TEST(test_who_manages_no_requests_finds_none),
        TEST(test_a_person_makes_and_reads_their_own),
        TEST(test_what_cannot_be_is_refused),
        TEST(test_a_subject_has_so_many_requests_and_no_more),
        TEST(test_the_same_key_makes_one_request),
        TEST(test_the_place_of_the_credential_counts),
        TEST(test_a_request_survives_a_restart_and_goes_with_its_subject),
        TEST(test_a_request_in_anothers_place_does_not_open),
        TEST(test_figures_count_open_and_overdue_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
