#include "kluis/base/status.h"
#include "tests/support/test.h"

#include <string.h>

static void test_a_failure_is_recorded_and_its_status_returned(void **state)
{
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(kl_fail(&err, KL_ERR_BUSY, "busy", "try again", "queue of %d is full", 7),
                     KL_ERR_BUSY);
    assert_int_equal(err.status, KL_ERR_BUSY);
    assert_string_equal(err.code, "busy");
    assert_string_equal(err.client_text, "try again");
    assert_string_equal(err.log_text, "queue of 7 is full");
    assert_string_equal(err.where, "");
}

static void test_the_first_failure_stays(void **state)
{
    struct kl_err err = {0};

    (void)state;
    (void)kl_fail(&err, KL_ERR_IO, "first", "one", NULL);
    assert_int_equal(kl_fail(&err, KL_ERR_INVALID, "second", "two", NULL), KL_ERR_INVALID);
    assert_int_equal(kl_failf(&err, KL_ERR_BUSY, "third", "%s", "three"), KL_ERR_BUSY);
    assert_int_equal(err.status, KL_ERR_IO);
    assert_string_equal(err.code, "first");
    assert_string_equal(err.client_text, "one");
}

static void test_nobody_has_to_ask_for_words(void **state)
{
    (void)state;
    assert_int_equal(kl_fail(NULL, KL_ERR_IO, "code", "text", "%d", 1), KL_ERR_IO);
    assert_int_equal(kl_failf(NULL, KL_ERR_IO, "code", "%d", 1), KL_ERR_IO);
    kl_err_where(NULL, "%d", 1);
    kl_err_clear(NULL);
    kl_err_retry(NULL, 1);
}

static void test_memory_that_ran_out_may_be_there_again(void **state)
{
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(kl_fail_memory(NULL), KL_ERR_NO_MEMORY);
    assert_int_equal(kl_fail_memory(&err), KL_ERR_NO_MEMORY);
    assert_int_equal(err.status, KL_ERR_NO_MEMORY);
    assert_string_equal(err.code, "no_memory");
    assert_non_null(strstr(err.client_text, "try again"));
}

static void test_a_client_text_can_be_made_by_printf(void **state)
{
    struct kl_err err = {0};

    (void)state;
    (void)kl_failf(&err, KL_ERR_INVALID, "code", "at most %d of \"%s\"", 3, "name");
    assert_string_equal(err.client_text, "at most 3 of \"name\"");
    assert_string_equal(err.log_text, "");
}

static void test_long_texts_are_cut_between_characters(void **state)
{
    struct kl_err err = {0};
    char text[2 * KL_ERR_TEXT_BYTES];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    /* The two bytes of é would be the last one kept and the first one cut. */
    memcpy(text + KL_ERR_TEXT_BYTES - 2, "\xC3\xA9", 2);
    (void)kl_fail(&err, KL_ERR_INVALID, "code", text, "%s", text);
    assert_int_equal(strlen(err.client_text), KL_ERR_TEXT_BYTES - 2);
    assert_int_equal(strlen(err.log_text), KL_ERR_TEXT_BYTES - 2);
    assert_memory_equal(err.client_text, text, KL_ERR_TEXT_BYTES - 2);
    memcpy(text + KL_ERR_WHERE_BYTES - 2, "\xC3\xA9", 2);
    kl_err_where(&err, "%s", text);
    assert_int_equal(strlen(err.where), KL_ERR_WHERE_BYTES - 2);
}

static void test_the_first_place_stays_before_or_after_the_failure(void **state)
{
    struct kl_err err = {0};

    (void)state;
    kl_err_where(&err, "/records/%d", 0);
    (void)kl_fail(&err, KL_ERR_INVALID, "code", "text", NULL);
    kl_err_where(&err, "/elsewhere");
    assert_string_equal(err.where, "/records/0");
}

static void test_a_cleared_err_takes_the_next_failure(void **state)
{
    struct kl_err err = {0};

    (void)state;
    kl_err_where(&err, "1:2");
    (void)kl_fail(&err, KL_ERR_IO, "first", "one", "log");
    kl_err_retry(&err, 30);
    assert_int_equal(err.retry_after_s, 30);
    kl_err_clear(&err);
    assert_int_equal(err.status, KL_OK);
    assert_int_equal(err.retry_after_s, 0);
    assert_string_equal(err.where, "");
    (void)kl_fail(&err, KL_ERR_INVALID, "second", "two", NULL);
    assert_string_equal(err.code, "second");
    assert_string_equal(err.log_text, "");
}

static void test_every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = KL_OK; i <= KL_ERR_INTERNAL; i++) {
        assert_true(strlen(kl_status_name((enum kl_status)i)) > 1);
        for (int j = KL_OK; j < i; j++) {
            assert_string_not_equal(kl_status_name((enum kl_status)i),
                                    kl_status_name((enum kl_status)j));
        }
    }
    assert_string_equal(kl_status_name(KL_OK), "ok");
    assert_string_equal(kl_status_name(KL_ERR_NOT_FOUND), "not_found");
}

static void fail_with_ok(void)
{
    (void)kl_fail(NULL, KL_OK, "code", "text", NULL);
}

static void fail_without_code(void)
{
    (void)kl_fail(NULL, KL_ERR_IO, "", "text", NULL);
}

static void name_of_no_status(void)
{
    (void)kl_status_name((enum kl_status)1000);
}

static void test_misuse_aborts(void **state)
{
    (void)state;
    assert_true(test_aborts(fail_with_ok));
    assert_true(test_aborts(fail_without_code));
    assert_true(test_aborts(name_of_no_status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failure_is_recorded_and_its_status_returned),
        cmocka_unit_test(test_the_first_failure_stays),
        cmocka_unit_test(test_nobody_has_to_ask_for_words),
        cmocka_unit_test(test_memory_that_ran_out_may_be_there_again),
        cmocka_unit_test(test_a_client_text_can_be_made_by_printf),
        cmocka_unit_test(test_long_texts_are_cut_between_characters),
        cmocka_unit_test(test_the_first_place_stays_before_or_after_the_failure),
        cmocka_unit_test(test_a_cleared_err_takes_the_next_failure),
        cmocka_unit_test(test_every_status_has_a_name_of_its_own),
        cmocka_unit_test(test_misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
