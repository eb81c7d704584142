/* The steps of a request: identified, put off once, completed, refused; an erasure is carried out. */
#include "vault/request_internal.h"

#include "tests/support/request_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define RECEIVED "2026-03-05T09:00:00Z"
#define IN_TIME "2026-04-05T20:00:00Z"
#define TOO_LATE "2026-04-06T00:00:00Z"
#define VERIFY "requests: { verify_identity: true }\n"

struct people {
    struct vault_subject_result subject;
    struct kl_id request;
};

static struct people ask(struct vault_fixture *fixture, const char *right)
{
    struct people people = {.subject = fixture_newsletter(fixture, "ana@example.org", true)};

    people.request = request_make(fixture, &people.subject.id, right, RECEIVED).request.id;
    return people;
}

/* As officer at that time. */
static enum kl_status step(struct vault_fixture *fixture, const struct people *people,
                           const char *time, struct vault_request_step what,
                           struct vault_request_result *ret)
{
    struct vault_request_result own = {0};

    return request_step_as(fixture, request_officer(fixture, time), &people->request, &what,
                           ret == NULL ? &own : ret, NULL);
}

static void assert_code(const struct vault_fixture *fixture, const char *code)
{
    assert_string_equal(fixture->err.code, code);
}

static struct vault_request_step verify(const char *method)
{
    return (struct vault_request_step){.kind = VAULT_REQUEST_VERIFY, .code = method};
}

static struct vault_request_step extend(const char *told)
{
    return (struct vault_request_step){.kind = VAULT_REQUEST_EXTEND,
                                       .code = "complexity",
                                       .told_us = told == NULL ? 0 : request_time(told)};
}

static struct vault_request_step complete(const char *reference)
{
    return (struct vault_request_step){.kind = VAULT_REQUEST_COMPLETE, .reference = reference};
}

static struct vault_request_step reject(const char *ground)
{
    return (struct vault_request_step){.kind = VAULT_REQUEST_REJECT, .code = ground};
}

static void test_a_person_is_identified_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "access");
    struct vault_request_result now = {0};
    struct vault_request_step with_note = verify("known_contact");

    with_note.note = "called back";
    assert_int_equal(step(fixture, &people, IN_TIME, with_note, &now), KL_OK);
    assert_int_equal(now.request.state, VAULT_REQUEST_VERIFIED);
    assert_string_equal(now.request.method, "known_contact");
    assert_string_equal(now.request.verified_note, "called back");
    assert_int_equal(now.request.verified_us, request_time(IN_TIME));
    assert_int_equal(step(fixture, &people, IN_TIME, verify("in_person"), NULL), KL_ERR_CONFLICT);
    assert_code(fixture, "already_verified");
    assert_int_equal(step(fixture, &people, IN_TIME, verify("passport_scan"), NULL),
                     KL_ERR_INVALID);
    assert_code(fixture, "invalid_method");
    assert_int_equal(fixture_trail(fixture, "\"method\":\"known_contact\""), 1);
    assert_int_equal(fixture_trail(fixture, "called back"), 0);
}

static void test_the_policy_asks_for_the_check_before_a_completion(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = {0};
    struct vault_request_result now = {0};

    request_policy(fixture, VERIFY);
    people = ask(fixture, "access");
    assert_int_equal(step(fixture, &people, IN_TIME, complete("letter-1"), NULL), KL_ERR_CONFLICT);
    assert_code(fixture, "identity_not_verified");
    assert_int_equal(step(fixture, &people, IN_TIME, verify("control_question"), NULL), KL_OK);
    assert_int_equal(step(fixture, &people, IN_TIME, complete("letter-1"), &now), KL_OK);
    assert_int_equal(now.request.state, VAULT_REQUEST_COMPLETED);
    assert_string_equal(now.request.outcome, "done");
    assert_string_equal(now.request.reference, "letter-1");
}

static void test_an_answer_is_put_off_once_and_the_person_told_in_time(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "access");
    struct vault_request_result now = {0};

    assert_int_equal(step(fixture, &people, IN_TIME, extend(NULL), NULL), KL_ERR_INVALID);
    assert_code(fixture, "missing_key");
    assert_int_equal(step(fixture, &people, IN_TIME, extend("2026-04-05T21:00:00Z"), NULL),
                     KL_ERR_INVALID);
    assert_code(fixture, "invalid_time"); /* told in the future */
    assert_int_equal(step(fixture, &people, IN_TIME, extend("2026-03-05T08:00:00Z"), NULL),
                     KL_ERR_INVALID);
    assert_code(fixture, "invalid_time"); /* told before it was asked */
    assert_int_equal(step(fixture, &people, TOO_LATE, extend(IN_TIME), NULL), KL_ERR_CONFLICT);
    assert_code(fixture, "extension_too_late");
    assert_int_equal(step(fixture, &people, IN_TIME, extend("2026-04-01T10:00:00Z"), &now), KL_OK);
    assert_int_equal(now.request.due_us, request_time("2026-06-05T23:59:59Z"));
    assert_int_equal(now.request.first_due_us, request_time("2026-04-05T23:59:59Z"));
    assert_int_equal(now.request.extended_told_us, request_time("2026-04-01T10:00:00Z"));
    assert_int_equal(now.request.state, VAULT_REQUEST_RECEIVED);
    assert_int_equal(step(fixture, &people, IN_TIME, extend("2026-04-01T10:00:00Z"), NULL),
                     KL_ERR_CONFLICT);
    assert_code(fixture, "already_extended");
}

static void test_the_policy_says_how_long(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = {0};
    struct vault_request_result now = {0};

    request_policy(fixture, "requests: { aim: P7D, answer_within: P14D, extend_by: P1M }\n");
    people = ask(fixture, "access");
    assert_int_equal(
        step(fixture, &people, "2026-03-10T09:00:00Z", extend("2026-03-10T08:00:00Z"), &now),
        KL_OK);
    assert_int_equal(now.request.aim_us, request_time("2026-03-12T23:59:59Z"));
    assert_int_equal(now.request.first_due_us, request_time("2026-03-19T23:59:59Z"));
    assert_int_equal(now.request.due_us, request_time("2026-04-19T23:59:59Z"));
}

static void test_a_refusal_has_a_ground(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "access");
    struct vault_request_result now = {0};

    assert_int_equal(step(fixture, &people, IN_TIME, reject("no_time"), NULL), KL_ERR_INVALID);
    assert_code(fixture, "invalid_ground");
    assert_int_equal(step(fixture, &people, IN_TIME, verify("in_person"), NULL), KL_OK);
    assert_int_equal(step(fixture, &people, IN_TIME, reject("identity_not_proven"), NULL),
                     KL_ERR_CONFLICT);
    assert_code(fixture, "identity_verified");
    assert_int_equal(step(fixture, &people, IN_TIME, reject("legal_exception"), &now), KL_OK);
    assert_int_equal(now.request.state, VAULT_REQUEST_REJECTED);
    assert_string_equal(now.request.ground, "legal_exception");
    assert_false(now.overdue);
    assert_int_equal(step(fixture, &people, IN_TIME, complete("x"), NULL), KL_ERR_CONFLICT);
    assert_code(fixture, "request_closed");
    assert_int_equal(step(fixture, &people, IN_TIME, extend(RECEIVED), NULL), KL_ERR_CONFLICT);
    assert_code(fixture, "request_closed");
}

static void test_a_completion_refers_to_what_was_done(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "rectification");
    struct vault_request_step nothing = complete(NULL);

    assert_int_equal(step(fixture, &people, IN_TIME, complete(NULL), NULL), KL_ERR_INVALID);
    assert_code(fixture, "missing_key");
    assert_int_equal(step(fixture, &people, IN_TIME, complete("to Ana Maes"), NULL),
                     KL_ERR_INVALID);
    assert_code(fixture, "invalid_value");
    nothing.code = "tomorrow";
    assert_int_equal(step(fixture, &people, IN_TIME, nothing, NULL), KL_ERR_INVALID);
    assert_code(fixture, "invalid_outcome");
    nothing.code = "nothing_to_do";
    assert_int_equal(step(fixture, &people, IN_TIME, nothing, NULL), KL_OK);
}

static void test_a_fee_is_asked_only_where_the_law_lets_it(void **state)
{
    static const struct vault_request_fee wrong[] = {
        {"0.00", "EUR", "excessive"},   {"12,50", "EUR", "excessive"},
        {"12.", "EUR", "excessive"},    {"12.505", "EUR", "excessive"},
        {"", "EUR", "excessive"},       {"12345678", "EUR", "excessive"},
        {"12.50", "euro", "excessive"}, {"12.50", NULL, "excessive"},
        {"12.50", "EUR", "costs"},      {"12.50", "EUR", NULL},
    };
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "restriction");
    struct vault_request_step with_fee = complete("letter-1");
    struct vault_request_result now = {0};
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        with_fee.fee = wrong[i];
        assert_int_equal(step(fixture, &people, IN_TIME, with_fee, NULL), KL_ERR_INVALID);
        assert_code(fixture, "invalid_fee");
    }
    with_fee.fee = (struct vault_request_fee){"12.5", "EUR", "further_copies"};
    assert_int_equal(step(fixture, &people, IN_TIME, with_fee, NULL), KL_ERR_INVALID);
    assert_code(fixture, "invalid_fee"); /* not for access */
    with_fee.kind = VAULT_REQUEST_REJECT;
    with_fee.code = "excessive";
    with_fee.fee.reason = "excessive";
    assert_int_equal(step(fixture, &people, IN_TIME, with_fee, NULL), KL_ERR_INVALID);
    assert_code(fixture, "invalid_fee"); /* a fee or a refusal, not both */
    with_fee.kind = VAULT_REQUEST_COMPLETE;
    with_fee.code = NULL;
    assert_int_equal(step(fixture, &people, IN_TIME, with_fee, &now), KL_OK);
    assert_string_equal(now.request.fee.amount, "12.5");
    people = (struct people){.subject = people.subject};
    people.request = request_make(fixture, &people.subject.id, "access", RECEIVED).request.id;
    with_fee.fee.reason = "further_copies";
    assert_int_equal(step(fixture, &people, IN_TIME, with_fee, NULL), KL_OK);
}

static void test_a_note_has_a_maximum(void **state)
{
    static char note[VAULT_REQUEST_NOTE_MAX_BYTES + 2];
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "access");
    struct vault_request_step with_note = verify("in_person");

    memset(note, 'x', sizeof note - 1);
    with_note.note = note;
    assert_int_equal(step(fixture, &people, IN_TIME, with_note, NULL), KL_ERR_TOO_LARGE);
    assert_code(fixture, "value_too_large");
    note[VAULT_REQUEST_NOTE_MAX_BYTES] = 0;
    assert_int_equal(step(fixture, &people, IN_TIME, with_note, NULL), KL_OK);
}

static void test_who_made_a_request_does_not_answer_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "access");
    const struct vault_request_step what = verify("in_person");
    struct vault_request_result now = {0};

    assert_int_equal(
        request_step_as(fixture,
                        fixture_caller_with(fixture, "requester", NULL, NULL, &people.subject.id),
                        &people.request, &what, &now, NULL),
        KL_ERR_FORBIDDEN);
    assert_code(fixture, "self_service");
    assert_int_equal(request_step_as(fixture, fixture_caller(fixture, "reader"), &people.request,
                                     &what, &now, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(
        request_step_as(fixture, admin_steward(fixture->admin), &people.request, &what, &now, NULL),
        KL_OK);
}

/* ---- erasures ---- */

static void test_completing_an_erasure_erases(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "erasure");
    struct vault_request_step what = complete(NULL);
    struct vault_request_result now = {0};
    struct vault_subject_result seen = {0};
    char id[KL_ID_TEXT_BYTES];
    char member[64];
    struct kl_buf receipt;

    kl_buf_init(&receipt, 65536);
    assert_int_equal(request_step_as(fixture, fixture_caller(fixture, "manager"), &people.request,
                                     &what, &now, &receipt),
                     KL_ERR_FORBIDDEN);
    assert_code(fixture, "role_forbidden");
    what.note = "bye";
    assert_int_equal(request_step_as(fixture, request_officer(fixture, NULL), &people.request,
                                     &what, &now, &receipt),
                     KL_ERR_INVALID);
    assert_code(fixture, "not_kept");
    assert_int_equal(receipt.size, 0);
    what.note = NULL;
    assert_int_equal(request_step_as(fixture, request_officer(fixture, NULL), &people.request,
                                     &what, &now, &receipt),
                     KL_OK);
    assert_int_equal(now.request.state, VAULT_REQUEST_COMPLETED);
    kl_id_format("req", &people.request, id);
    (void)snprintf(member, sizeof member, "\"request\":\"%s\"", id);
    kl_buf_add_byte(&receipt, 0);
    assert_non_null(strstr((const char *)receipt.bytes, member));
    assert_int_equal(fixture_trail(fixture, member), 2); /* made, erased; refusals name nobody */
    assert_int_equal(fixture_read(fixture, "reader", &people.subject.id, "support", &seen),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(request_step_as(fixture, request_officer(fixture, NULL), &people.request,
                                     &what, &now, &receipt),
                     KL_ERR_NOT_FOUND);
    kl_buf_done(&receipt);
}

static void test_an_erasure_asked_again_answers_its_receipt(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "erasure");
    const struct vault_request_step what = complete(NULL);
    const struct vault_idempotency key = {.key = "k1", .fingerprint = {1}};
    struct vault_caller caller = request_officer(fixture, NULL);
    struct vault_request_result now = {0};
    struct kl_buf receipt;
    bool replayed = true;
    int i;

    for (i = 0; i < 2; i++) {
        kl_buf_init(&receipt, 65536);
        assert_int_equal(vault_request_take(fixture_vault(fixture), &caller, &people.request, &what,
                                            &key, fixture->arena, &now, &receipt, &replayed,
                                            &fixture->err),
                         KL_OK);
        assert_int_equal(replayed, i == 1);
        assert_string_equal(now.request.right, "erasure");
        assert_memory_equal(receipt.bytes, "{\"receipt\":\"er_", 15);
        kl_buf_done(&receipt);
    }
    vault_caller_done(&caller);
}

static void test_a_step_asked_again_is_taken_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = ask(fixture, "access");
    const struct vault_request_step what = verify("in_person");
    const struct vault_idempotency key = {.key = "k1", .fingerprint = {1}};
    struct vault_caller caller = request_officer(fixture, NULL);
    struct vault_request_result now = {0};
    struct kl_buf receipt;
    bool replayed = true;
    int i;

    kl_buf_init(&receipt, 65536);
    for (i = 0; i < 2; i++) {
        assert_int_equal(vault_request_take(fixture_vault(fixture), &caller, &people.request, &what,
                                            &key, fixture->arena, &now, &receipt, &replayed,
                                            &fixture->err),
                         KL_OK);
        assert_int_equal(replayed, i == 1);
        assert_int_equal(now.request.state, VAULT_REQUEST_VERIFIED);
    }
    kl_buf_done(&receipt);
    vault_caller_done(&caller);
}

static enum kl_status erase_for(struct vault_fixture *fixture, const struct kl_id *subject,
                                const struct kl_id *request, struct kl_buf *receipt)
{
    struct vault_caller caller = fixture_caller(fixture, "dpo");
    bool replayed = false;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_subject_erase_for(fixture_vault(fixture), &caller, subject, VAULT_ERASE_REQUEST,
                                     request, NULL, receipt, &replayed, &fixture->err);

    vault_caller_done(&caller);
    return status;
}

static void test_an_erasure_answers_only_a_request_that_asks_for_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people = {0};
    struct vault_subject_result other = {0};
    struct kl_id access;
    struct kl_id closed;
    struct kl_buf receipt;

    request_policy(fixture, VERIFY);
    kl_buf_init(&receipt, 65536);
    people = ask(fixture, "erasure");
    other = fixture_newsletter(fixture, "ben@example.org", true);
    access = request_make(fixture, &people.subject.id, "access", NULL).request.id;
    closed = people.request;
    assert_int_equal(step(fixture, &people, NULL, reject("excessive"), NULL), KL_OK);
    people.request = request_make(fixture, &people.subject.id, "erasure", NULL).request.id;
    assert_int_equal(erase_for(fixture, &other.id, &people.request, &receipt), KL_ERR_INVALID);
    assert_code(fixture, "unknown_request");
    assert_int_equal(erase_for(fixture, &people.subject.id, &access, &receipt), KL_ERR_INVALID);
    assert_code(fixture, "wrong_right");
    assert_int_equal(erase_for(fixture, &people.subject.id, &closed, &receipt), KL_ERR_CONFLICT);
    assert_code(fixture, "request_closed");
    assert_int_equal(erase_for(fixture, &people.subject.id, &people.request, &receipt),
                     KL_ERR_CONFLICT);
    assert_code(fixture, "identity_not_verified");
    assert_int_equal(step(fixture, &people, NULL, verify("in_person"), NULL), KL_OK);
    assert_int_equal(erase_for(fixture, &people.subject.id, &people.request, &receipt), KL_OK);
    kl_buf_done(&receipt);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_person_is_identified_once),
        TEST(test_the_policy_asks_for_the_check_before_a_completion),
        TEST(test_an_answer_is_put_off_once_and_the_person_told_in_time),
        TEST(test_the_policy_says_how_long),
        TEST(test_a_refusal_has_a_ground),
        TEST(test_a_completion_refers_to_what_was_done),
        TEST(test_a_fee_is_asked_only_where_the_law_lets_it),
        TEST(test_a_note_has_a_maximum),
        TEST(test_who_made_a_request_does_not_answer_it),
        TEST(test_completing_an_erasure_erases),
        TEST(test_an_erasure_asked_again_answers_its_receipt),
        TEST(test_a_step_asked_again_is_taken_once),
        TEST(test_an_erasure_answers_only_a_request_that_asks_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
