/* Requests by state and deadline, page by page, for whoever may know of them. */
#include "tests/support/request_fixture.h"
#include "tests/support/test.h"
#include "vault/request_internal.h"

#include <stdio.h>
#include <string.h>

struct page {
    struct vault_request_result *requests;
    size_t count;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
};

static enum kl_status list_as(struct vault_fixture *fixture, struct vault_caller caller,
                              struct vault_request_filter filter, struct page *ret)
{
    enum kl_status status = KL_OK;

    filter.limit = filter.limit == 0 ? 100 : filter.limit;
    kl_err_clear(&fixture->err);
    status = vault_request_list(fixture_vault(fixture), &caller, &filter, fixture->arena,
                                &ret->requests, &ret->count, ret->cursor, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static size_t count_of(struct vault_fixture *fixture, const char *state, const char *due_before)
{
    const struct vault_request_filter filter = {
        .state = state, .due_before_us = due_before == NULL ? 0 : request_time(due_before)};
    struct page page = {0};

    assert_int_equal(list_as(fixture, request_officer(fixture, NULL), filter, &page), KL_OK);
    assert_string_equal(page.cursor, "");
    return page.count;
}

/* Six requests of two people: due in April, May and June; one of each is closed. */
static void make_six(struct vault_fixture *fixture)
{
    static const char *const received[] = {"2026-05-05T09:00:00Z", "2026-03-05T09:00:00Z",
                                           "2026-04-05T09:00:00Z"};
    const struct vault_request_step reject = {.kind = VAULT_REQUEST_REJECT, .code = "excessive"};
    const struct vault_request_step verify = {.kind = VAULT_REQUEST_VERIFY, .code = "in_person"};
    struct vault_subject_result people[2] = {
        fixture_newsletter(fixture, "ana@example.org", true),
        fixture_newsletter(fixture, "ben@example.org", true),
    };
    struct vault_request_result made;
    size_t i;

    for (i = 0; i < 6; i++) {
        made = request_make(fixture, &people[i % 2].id, i % 2 == 0 ? "access" : "erasure",
                            received[i % 3]);
        if (i == 4 || i == 5) {
            assert_int_equal(request_step_as(fixture, request_officer(fixture, NULL),
                                             &made.request.id, i == 4 ? &reject : &verify, &made,
                                             NULL),
                             KL_OK);
        }
    }
}

static void test_requests_are_found_by_state_and_deadline(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_request_filter all = {.state = NULL};
    struct page page = {0};
    size_t i;

    make_six(fixture);
    assert_int_equal(count_of(fixture, NULL, NULL), 6);
    assert_int_equal(count_of(fixture, "open", NULL), 5);
    assert_int_equal(count_of(fixture, "closed", NULL), 1);
    assert_int_equal(count_of(fixture, "received", NULL), 4);
    assert_int_equal(count_of(fixture, "verified", NULL), 1);
    assert_int_equal(count_of(fixture, "rejected", NULL), 1);
    assert_int_equal(count_of(fixture, "completed", NULL), 0);
    assert_int_equal(count_of(fixture, NULL, "2026-05-01T00:00:00Z"), 1);
    assert_int_equal(count_of(fixture, "closed", "2026-05-01T00:00:00Z"), 1);
    assert_int_equal(count_of(fixture, "open", "2026-06-01T00:00:00Z"), 3);
    assert_int_equal(count_of(fixture, "open", "2026-04-05T23:59:59Z"), 0);
    assert_int_equal(list_as(fixture, request_officer(fixture, NULL), all, &page), KL_OK);
    for (i = 0; i < 5; i++) {
        assert_true(i == 0 ||
                    page.requests[i - 1].request.due_us <= page.requests[i].request.due_us);
        assert_null(page.requests[i].request.note);
        assert_true(page.requests[i].overdue ==
                    (page.requests[i].request.due_us < kl_time_now_us()));
    }
    assert_int_equal(page.requests[5].request.state, VAULT_REQUEST_REJECTED);
}

static void test_pages_have_each_request_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_request_filter filter = {.limit = 0};
    struct kl_id seen[6];
    size_t limit;
    size_t k;

    make_six(fixture);
    for (limit = 1; limit <= 7; limit++) {
        struct page page = {0};
        size_t count = 0;

        filter.limit = limit;
        filter.cursor = NULL;
        do {
            assert_int_equal(list_as(fixture, request_officer(fixture, NULL), filter, &page),
                             KL_OK);
            assert_true(page.count <= limit && count + page.count <= 6);
            for (k = 0; k < page.count; k++) {
                seen[count++] = page.requests[k].request.id;
            }
            filter.cursor = page.cursor;
        } while (page.cursor[0] != 0);
        assert_int_equal(count, 6);
        for (k = 1; k < 6; k++) {
            assert_false(kl_id_equal(&seen[k], &seen[k - 1]));
        }
    }
}

static void test_who_is_erased_is_in_no_list(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", true);

    (void)request_make(fixture, &subject.id, "access", NULL);
    assert_int_equal(count_of(fixture, NULL, NULL), 1);
    fixture_erase(fixture, &subject.id);
    assert_int_equal(count_of(fixture, NULL, NULL), 0);
    assert_int_equal(fixture_trail(fixture, "\"found\":0"), 1);
}

static void test_a_list_shows_what_the_caller_may_know_of(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "ben@example.org", true);
    const struct vault_request_filter all = {.state = NULL};
    struct page page = {.count = 77};

    (void)request_make(fixture, &subject.id, "access", NULL);
    (void)request_make(fixture, &other.id, "access", NULL);
    assert_int_equal(list_as(fixture, fixture_caller(fixture, "reader"), all, &page),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
    assert_int_equal(page.count, 77);
    assert_int_equal(list_as(fixture,
                             fixture_caller_with(fixture, "requester", NULL, NULL, &subject.id),
                             all, &page),
                     KL_OK);
    assert_int_equal(page.count, 1);
    assert_true(kl_id_equal(&page.requests[0].subject, &subject.id));
    assert_int_equal(list_as(fixture, admin_steward(fixture->admin), all, &page), KL_OK);
    assert_int_equal(page.count, 2);
    assert_int_equal(
        list_as(fixture, fixture_caller_with(fixture, "officer", "BR", NULL, NULL), all, &page),
        KL_OK);
    assert_int_equal(page.count, 0);
}

static void test_what_cannot_be_asked_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_request_filter filter = {.state = "lost"};
    struct page page = {.count = 77};

    assert_int_equal(list_as(fixture, request_officer(fixture, NULL), filter, &page),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_state");
    filter = (struct vault_request_filter){.limit = VAULT_PAGE_MAX + 1};
    assert_int_equal(list_as(fixture, request_officer(fixture, NULL), filter, &page),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_limit");
    filter = (struct vault_request_filter){.cursor = "notacursor"};
    assert_int_equal(list_as(fixture, request_officer(fixture, NULL), filter, &page),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_cursor");
    assert_int_equal(page.count, 77);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests_are_found_by_state_and_deadline),
        TEST(test_pages_have_each_request_once),
        TEST(test_who_is_erased_is_in_no_list),
        TEST(test_a_list_shows_what_the_caller_may_know_of),
        TEST(test_what_cannot_be_asked_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
