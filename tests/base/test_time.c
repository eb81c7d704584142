#include "kluis/base/time.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND KL_TIME_SECOND_US
#define UNTOUCHED INT64_C(123456789)

static int64_t time_of(const char *text)
{
    int64_t time_us = UNTOUCHED;

    if (kl_time_parse(text, strlen(text), &time_us, NULL) != KL_OK) {
        fail_msg("refused: %s", text);
    }
    return time_us;
}

static void assert_time_refused(const char *text)
{
    struct kl_err err = {0};
    int64_t time_us = UNTOUCHED;

    if (kl_time_parse(text, strlen(text), &time_us, &err) != KL_ERR_INVALID) {
        fail_msg("taken: %s", text);
    }
    assert_string_equal(err.code, "invalid_time");
    assert_true(time_us == UNTOUCHED);
}

static void test_known_moments_are_read(void **state)
{
    (void)state;
    assert_true(time_of("1970-01-01T00:00:00Z") == 0);
    assert_true(time_of("2026-11-22T16:50:40.123456Z") == INT64_C(1795366240123456));
    assert_true(time_of("1969-12-31T23:59:59.999999Z") == -1);
    assert_true(time_of("0001-01-01T00:00:00Z") == KL_TIME_MIN_US);
    assert_true(time_of("9999-12-31T23:59:59.999999Z") == KL_TIME_MAX_US);
    /* The examples of RFC 3339 section 5.8, but for the leap seconds. */
    assert_true(time_of("1985-04-12T23:20:50.52Z") == INT64_C(482196050520000));
    assert_true(time_of("1996-12-19T16:39:57-08:00") == time_of("1996-12-20T00:39:57Z"));
    assert_true(time_of("1937-01-01T12:00:27.87+00:20") == time_of("1937-01-01T11:40:27.87Z"));
}

static void test_offsets_lower_case_and_decimals_are_read(void **state)
{
    (void)state;
    assert_true(time_of("2024-02-29t00:00:00z") == time_of("2024-02-29T00:00:00Z"));
    assert_true(time_of("2024-02-29T00:00:00-00:00") == time_of("2024-02-29T00:00:00Z"));
    assert_true(time_of("2024-02-29T00:00:00+23:59") == time_of("2024-02-28T00:01:00Z"));
    assert_true(time_of("2024-02-29T00:00:00.1Z") == time_of("2024-02-29T00:00:00.100000Z"));
    assert_true(time_of("2024-02-29T00:00:00.123456999Z") ==
                time_of("2024-02-29T00:00:00.123456Z"));
}

static void test_what_is_no_moment_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "2024-02-29",
        "2024-02-29T00:00:00",
        "2024-02-29 00:00:00Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29T00:60:00Z",
        "2016-12-31T23:59:60Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "2024-1-01T00:00:00Z",
        "2024-02-29T00:00:00.Z",
        "2024-02-29T00:00:00.1234567890Z",
        "2024-02-29T00:00:00,5Z",
        "2024-02-29T00:00:00+0100",
        "2024-02-29T00:00:00+24:00",
        "2024-02-29T00:00:00+01:60",
        "2024-02-29T00:00:00+1:00",
        "2024-02-29T00:00:00ZZ",
        " 2024-02-29T00:00:00Z",
        "2024-02-29T00:00:00Z ",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_time_refused(texts[i]);
    }
}

static void test_every_cut_of_a_moment_is_refused(void **state)
{
    const char *text = "2026-11-22T16:50:40.123456+01:00";

    (void)state;
    for (size_t size = 0; size < strlen(text); size++) {
        int64_t time_us = UNTOUCHED;
        assert_int_equal(kl_time_parse(text, size, &time_us, NULL), KL_ERR_INVALID);
        assert_true(time_us == UNTOUCHED);
    }
}

static void test_moments_are_written_with_six_decimals_in_utc(void **state)
{
    char text[KL_TIME_TEXT_BYTES];

    (void)state;
    kl_time_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
    kl_time_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    kl_time_format(time_of("2026-11-22T17:50:40.000001+01:00"), text);
    assert_string_equal(text, "2026-11-22T16:50:40.000001Z");
    kl_time_format(INT64_MIN, text);
    assert_string_equal(text, "0001-01-01T00:00:00.000000Z");
    kl_time_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
}

/* Every day of ten thousand years, against the calendar of the C library. */
static void test_all_days_of_the_calendar_come_and_go(void **state)
{
    (void)state;
    for (int64_t day = KL_TIME_MIN_US / KL_TIME_DAY_US; day <= KL_TIME_MAX_US / KL_TIME_DAY_US;
         day++) {
        time_t seconds = (time_t)(day * 86400);
        char expected[KL_DATE_TEXT_BYTES + 20];
        char text[KL_DATE_TEXT_BYTES];
        int64_t parsed = UNTOUCHED;
        struct tm tm;

        assert_non_null(gmtime_r(&seconds, &tm));
        (void)snprintf(expected, sizeof(expected), "%04d-%02d-%02d", tm.tm_year + 1900,
                       tm.tm_mon + 1, tm.tm_mday);
        kl_date_format(day * KL_TIME_DAY_US + KL_TIME_DAY_US - 1, text);
        if (strcmp(text, expected) != 0 ||
            kl_date_parse(text, strlen(text), &parsed, NULL) != KL_OK ||
            parsed != day * KL_TIME_DAY_US) {
            fail_msg("%s, expected %s", text, expected);
        }
    }
}

static void test_days_that_do_not_exist_are_refused(void **state)
{
    static const char *const texts[] = {"2023-02-29",  "1900-02-29", "2024-04-31",
                                        "2024-12-32",  "2024-02-30", "0000-01-01",
                                        "2024-13-01",  "20240101",   "2024-01-1",
                                        "2024-01-01 ", "",           "2024-01-01T00:00:00Z"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct kl_err err = {0};
        int64_t midnight = UNTOUCHED;

        assert_int_equal(kl_date_parse(texts[i], strlen(texts[i]), &midnight, &err),
                         KL_ERR_INVALID);
        assert_string_equal(err.code, "invalid_date");
        assert_true(midnight == UNTOUCHED);
    }
    assert_int_equal(kl_date_parse("2000-02-29", 10, &(int64_t){0}, NULL), KL_OK);
}

static void assert_duration(const char *text, uint32_t months, uint32_t days, uint64_t seconds)
{
    struct kl_duration duration;

    if (kl_duration_parse(text, strlen(text), &duration, NULL) != KL_OK) {
        fail_msg("refused: %s", text);
    }
    assert_int_equal(duration.months, months);
    assert_int_equal(duration.days, days);
    assert_true(duration.seconds == seconds);
}

static void test_durations_are_read(void **state)
{
    (void)state;
    assert_duration("P10Y", 120, 0, 0);
    assert_duration("P1M", 1, 0, 0);
    assert_duration("P4W", 0, 28, 0);
    assert_duration("P0D", 0, 0, 0);
    assert_duration("PT15M", 0, 0, 900);
    assert_duration("P1DT12H", 0, 1, 43200);
    assert_duration("P1Y2M3DT4H5M6S", 14, 3, 4 * 3600 + 5 * 60 + 6);
    assert_duration("P1YT1S", 12, 0, 1);
    assert_duration("P9999Y", 119988, 0, 0);
    assert_duration("P0000001D", 0, 1, 0);
}

static void assert_written(const char *from, const char *expected)
{
    struct kl_duration duration;
    char text[KL_DURATION_TEXT_BYTES];

    assert_int_equal(kl_duration_parse(from, strlen(from), &duration, NULL), KL_OK);
    kl_duration_format(&duration, text);
    assert_string_equal(text, expected);
}

static void test_durations_are_written_so_that_they_read_the_same(void **state)
{
    static const char *const texts[] = {"P10Y",           "P1M",     "P28D",  "PT15M", "PT0S",
                                        "P1Y2M3DT4H5M6S", "P1DT12H", "P9999Y"};
    const struct kl_duration longest = {UINT32_MAX, UINT32_MAX, UINT64_MAX};
    char text[KL_DURATION_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_written(texts[i], texts[i]);
    }
    assert_written("P4W", "P28D");
    assert_written("PT90S", "PT1M30S");
    assert_written("P0D", "PT0S");
    kl_duration_format(&longest, text);
    assert_string_equal(text, "P357913941Y3M4294967295DT5124095576030431H15S");
}

static void test_what_is_no_duration_is_refused(void **state)
{
    static const char *const texts[] = {
        "",           "P",      "PT",     "P1DT",    "10Y",      "P-1D",
        "-P1D",       "+P1D",   "P1.5D",  "PT1,5S",  "P1H",      "PT1D",
        "P1D1Y",      "P1Y1Y",  "P1W1D",  "P1Y1W",   "P1WT1H",   "p1d",
        "P1 D",       "P1D ",   "PT1H1H", "P1",      "PD",       "P1X",
        "PT1M1H",     "P1TD",   "PTT1S",  "P10000Y", "P119989M", "P9999999999999D",
        "P99999999D", "P1Y\xC3"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct kl_err err = {0};
        struct kl_duration duration = {1, 2, 3};

        if (kl_duration_parse(texts[i], strlen(texts[i]), &duration, &err) != KL_ERR_INVALID) {
            fail_msg("taken: %s", texts[i]);
        }
        assert_string_equal(err.code, "invalid_duration");
        assert_true(duration.months == 1 && duration.days == 2 && duration.seconds == 3);
    }
}

static void assert_sum(const char *from, const char *duration_text, const char *to)
{
    struct kl_duration duration;
    char text[KL_TIME_TEXT_BYTES];

    assert_int_equal(kl_duration_parse(duration_text, strlen(duration_text), &duration, NULL),
                     KL_OK);
    kl_time_format(kl_time_add(time_of(from), &duration), text);
    assert_string_equal(text, to);
}

static void test_durations_are_added_by_the_calendar(void **state)
{
    (void)state;
    assert_sum("2024-01-31T10:00:00Z", "P1M", "2024-02-29T10:00:00.000000Z");
    assert_sum("2023-01-31T10:00:00Z", "P1M", "2023-02-28T10:00:00.000000Z");
    assert_sum("2024-02-29T00:00:00Z", "P1Y", "2025-02-28T00:00:00.000000Z");
    assert_sum("2024-12-15T00:00:00Z", "P1M", "2025-01-15T00:00:00.000000Z");
    assert_sum("2024-01-30T00:00:00Z", "P1M1D", "2024-03-01T00:00:00.000000Z");
    assert_sum("2024-12-31T23:59:59.5Z", "PT1S", "2025-01-01T00:00:00.500000Z");
    assert_sum("1969-12-31T00:00:00Z", "P1DT1H", "1970-01-01T01:00:00.000000Z");
    assert_sum("0001-01-01T00:00:00Z", "P9998Y", "9999-01-01T00:00:00.000000Z");
    assert_sum("2024-05-05T05:05:05Z", "P0D", "2024-05-05T05:05:05.000000Z");
}

static void test_a_sum_goes_no_further_than_the_last_moment(void **state)
{
    const struct kl_duration largest = {9999 * 12, 9999 * 366, UINT64_C(9999) * 366 * 86400};

    (void)state;
    assert_sum("2024-01-01T00:00:00Z", "P9999Y", "9999-12-31T23:59:59.999999Z");
    assert_sum("9999-12-31T23:59:59Z", "P1D", "9999-12-31T23:59:59.999999Z");
    assert_true(kl_time_add(KL_TIME_MAX_US, &largest) == KL_TIME_MAX_US);
    assert_true(kl_time_add(INT64_MIN, &(struct kl_duration){0}) == KL_TIME_MIN_US);
}

static void test_the_clocks_go_forward(void **state)
{
    int64_t before = (int64_t)time(NULL) * SECOND;
    int64_t now = kl_time_now_us();
    int64_t first = kl_time_monotonic_us();

    (void)state;
    assert_true(now >= before && now < before + 60 * SECOND);
    assert_true(kl_time_monotonic_us() >= first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_moments_are_read),
        cmocka_unit_test(test_offsets_lower_case_and_decimals_are_read),
        cmocka_unit_test(test_what_is_no_moment_is_refused),
        cmocka_unit_test(test_every_cut_of_a_moment_is_refused),
        cmocka_unit_test(test_moments_are_written_with_six_decimals_in_utc),
        cmocka_unit_test(test_all_days_of_the_calendar_come_and_go),
        cmocka_unit_test(test_days_that_do_not_exist_are_refused),
        cmocka_unit_test(test_durations_are_read),
        cmocka_unit_test(test_durations_are_written_so_that_they_read_the_same),
        cmocka_unit_test(test_what_is_no_duration_is_refused),
        cmocka_unit_test(test_durations_are_added_by_the_calendar),
        cmocka_unit_test(test_a_sum_goes_no_further_than_the_last_moment),
        cmocka_unit_test(test_the_clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
