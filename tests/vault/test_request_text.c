/* The sealed text of a request, its words, and its deadlines by the calendar. */
#include "vault/request_text.h"

#include "tests/support/test.h"

#include <string.h>

#define ARENA_BYTES (1024 * 1024)

static struct vault_request a_request(void)
{
    struct vault_request request = {.id = kl_id_new(),
                                    .right = vault_request_rights[0],
                                    .state = VAULT_REQUEST_COMPLETED,
                                    .received_us = 1,
                                    .due_us = 2,
                                    .channel = "e-mail",
                                    .note = "a note",
                                    .verified_us = 3,
                                    .method = vault_request_methods[1],
                                    .extended_us = 4,
                                    .extended_told_us = 5,
                                    .first_due_us = 6,
                                    .reason = vault_request_reasons[0],
                                    .closed_us = 7,
                                    .closed_told_us = 8,
                                    .outcome = vault_request_outcomes[0],
                                    .reference = "letter-1",
                                    .fee = {"12.50", "EUR", vault_request_fees[2]}};

    return request;
}

static enum kl_status decode(struct kl_slice text)
{
    struct kl_arena *arena = kl_arena_new(ARENA_BYTES);
    struct vault_request request = {.received_us = -1};
    struct kl_err err = {0};
    enum kl_status status = vault_request_decode(text, arena, &request, &err);

    if (status != KL_OK) {
        assert_string_equal(err.code, "request_damaged");
        assert_int_equal(request.received_us, -1);
    }
    kl_arena_free(arena);
    return status;
}

static struct kl_buf encoded(const struct vault_request *request)
{
    struct kl_buf text;

    kl_buf_init(&text, VAULT_REQUEST_TEXT_MAX_BYTES);
    assert_int_equal(vault_request_encode(request, &text, NULL), KL_OK);
    return text;
}

static void test_a_request_is_read_as_it_was_written(void **state)
{
    const struct vault_request request = a_request();
    struct kl_buf text = encoded(&request);
    struct kl_arena *arena = kl_arena_new(ARENA_BYTES);
    struct vault_request read;

    (void)state;
    assert_int_equal(vault_request_decode(kl_buf_slice(&text), arena, &read, NULL), KL_OK);
    assert_true(kl_id_equal(&read.id, &request.id));
    assert_ptr_equal(read.right, request.right);
    assert_int_equal(read.state, VAULT_REQUEST_COMPLETED);
    assert_string_equal(read.note, "a note");
    assert_null(read.verified_note);
    assert_int_equal(read.first_due_us, 6);
    assert_int_equal(read.closed_told_us, 8);
    assert_string_equal(read.reference, "letter-1");
    assert_string_equal(read.fee.amount, "12.50");
    assert_ptr_equal(read.fee.reason, vault_request_fees[2]);
    kl_arena_free(arena);
    kl_buf_done(&text);
}

static void test_a_text_that_is_cut_or_longer_is_refused(void **state)
{
    const struct vault_request request = a_request();
    struct kl_buf text = encoded(&request);
    size_t i;

    (void)state;
    for (i = 0; i < text.size; i++) {
        assert_int_equal(decode(kl_slice_of(text.bytes, i)), KL_ERR_CORRUPT);
    }
    kl_buf_add_byte(&text, 0);
    assert_int_equal(decode(kl_buf_slice(&text)), KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

static void test_words_that_are_not_of_the_lists_are_refused(void **state)
{
    struct vault_request requests[8];
    size_t i;

    (void)state;
    for (i = 0; i < 8; i++) {
        requests[i] = a_request();
    }
    requests[0].right = "everything";
    requests[1].method = "guessing";
    requests[2].method = NULL; /* verified, and not how */
    requests[3].reason = NULL;
    requests[4].outcome = NULL;
    requests[5].state = VAULT_REQUEST_REJECTED; /* without a ground */
    requests[6].fee.reason = "greed";
    requests[7].due_us = -1;
    for (i = 0; i < 8; i++) {
        struct kl_buf text = encoded(&requests[i]);

        assert_int_equal(decode(kl_buf_slice(&text)), KL_ERR_CORRUPT);
        kl_buf_done(&text);
    }
}

static void test_a_text_of_a_state_or_format_unknown_is_refused(void **state)
{
    const struct vault_request request = a_request();
    struct kl_buf text = encoded(&request);

    (void)state;
    text.bytes[0] = 2;
    assert_int_equal(decode(kl_buf_slice(&text)), KL_ERR_CORRUPT);
    text.bytes[0] = 1;
    assert_int_equal(decode(kl_buf_slice(&text)), KL_OK);
    text.bytes[17] = VAULT_REQUEST_STATES;
    assert_int_equal(decode(kl_buf_slice(&text)), KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

static void test_what_is_too_long_is_told(void **state)
{
    static char note[VAULT_REQUEST_TEXT_MAX_BYTES + 1];
    struct vault_request request = a_request();
    struct kl_buf text;

    (void)state;
    memset(note, 'x', sizeof note - 1);
    request.note = note;
    kl_buf_init(&text, VAULT_REQUEST_TEXT_MAX_BYTES);
    assert_int_equal(vault_request_encode(&request, &text, NULL), KL_ERR_TOO_LARGE);
    kl_buf_done(&text);
}

/* An arena that has no room left. */
static struct kl_arena *full_arena(void)
{
    struct kl_arena *arena = kl_arena_new(4096);

    while (kl_arena_alloc(arena, 1) != NULL) {
    }
    return arena;
}

static void test_a_full_arena_is_no_damage(void **state)
{
    const struct vault_request request = a_request();
    struct kl_buf text = encoded(&request);
    struct kl_arena *arena = full_arena();
    struct vault_request read = {.received_us = -1};

    (void)state;
    assert_int_equal(vault_request_decode(kl_buf_slice(&text), arena, &read, NULL),
                     KL_ERR_NO_MEMORY);
    assert_int_equal(read.received_us, -1);
    kl_arena_free(arena);
    kl_buf_done(&text);
}

static void test_words_are_found_by_their_text(void **state)
{
    (void)state;
    assert_ptr_equal(vault_request_word(vault_request_rights, "erasure"), vault_request_rights[2]);
    assert_null(vault_request_word(vault_request_rights, "Erasure"));
    assert_null(vault_request_word(vault_request_rights, NULL));
    assert_string_equal(vault_request_state_name(VAULT_REQUEST_REJECTED), "rejected");
}

/* ---- deadlines ---- */

static int64_t at(const char *text)
{
    int64_t time_us = 0;

    assert_int_equal(kl_time_parse(text, strlen(text), &time_us, NULL), KL_OK);
    return time_us;
}

static void assert_due(const struct vault_policy_requests *duties, const char *received,
                       const char *due, const char *extended)
{
    struct vault_request request = {.received_us = at(received)};

    vault_request_deadlines(duties, &request);
    assert_int_equal(request.due_us, at(due));
    assert_int_equal(vault_request_extended_due(duties, request.received_us), at(extended));
}

static void test_a_month_ends_with_its_last_day(void **state)
{
    const struct vault_policy_requests law = {.answer_within = {.months = 1},
                                              .extend_by = {.months = 2}};

    (void)state;
    assert_due(&law, "2026-03-05T09:00:00Z", "2026-04-05T23:59:59Z", "2026-06-05T23:59:59Z");
    assert_due(&law, "2026-01-31T23:59:59Z", "2026-02-28T23:59:59Z", "2026-04-30T23:59:59Z");
    assert_due(&law, "2028-01-31T00:00:00Z", "2028-02-29T23:59:59Z", "2028-04-30T23:59:59Z");
    assert_due(&law, "2026-12-31T12:00:00Z", "2027-01-31T23:59:59Z", "2027-03-31T23:59:59Z");
}

static void test_no_policy_gives_more_time_than_the_law(void **state)
{
    const struct vault_policy_requests days = {.answer_within = {.days = 31},
                                               .extend_by = {.days = 62}};
    const struct vault_policy_requests hours = {.answer_within = {.seconds = 31 * 86400},
                                                .extend_by = {.months = 2}};
    const struct vault_policy_requests quick = {.answer_within = {.seconds = 3600},
                                                .extend_by = {.days = 1}};

    (void)state;
    assert_due(&days, "2026-02-01T09:00:00Z", "2026-03-01T23:59:59Z", "2026-05-01T23:59:59Z");
    assert_due(&hours, "2026-02-01T09:00:00Z", "2026-03-01T23:59:59Z", "2026-05-01T23:59:59Z");
    assert_due(&quick, "2026-02-01T09:00:00Z", "2026-02-01T10:00:00Z", "2026-02-02T10:00:00Z");
}

static void test_an_aim_is_no_later_than_the_deadline(void **state)
{
    const struct vault_policy_requests duties = {
        .has_aim = true, .aim = {.days = 14}, .answer_within = {.days = 7}};
    struct vault_request request = {.received_us = at("2026-02-01T09:00:00Z")};

    (void)state;
    vault_request_deadlines(&duties, &request);
    assert_int_equal(request.due_us, at("2026-02-08T23:59:59Z"));
    assert_int_equal(request.aim_us, request.due_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_read_as_it_was_written),
        cmocka_unit_test(test_a_text_that_is_cut_or_longer_is_refused),
        cmocka_unit_test(test_words_that_are_not_of_the_lists_are_refused),
        cmocka_unit_test(test_a_text_of_a_state_or_format_unknown_is_refused),
        cmocka_unit_test(test_what_is_too_long_is_told),
        cmocka_unit_test(test_a_full_arena_is_no_damage),
        cmocka_unit_test(test_words_are_found_by_their_text),
        cmocka_unit_test(test_a_month_ends_with_its_last_day),
        cmocka_unit_test(test_no_policy_gives_more_time_than_the_law),
        cmocka_unit_test(test_an_aim_is_no_later_than_the_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
