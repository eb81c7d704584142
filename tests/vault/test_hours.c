/* Hours of the day in the zones of the EEA. */
#include "vault/hours.h"

#include "kluis/base/time.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t moment(const char *text)
{
    int64_t us = 0;

    assert_int_equal(kl_time_parse(text, strlen(text), &us, NULL), KL_OK);
    return us;
}

static bool hold(const char *hours, const char *now)
{
    struct vault_hours parsed;
    bool has_zone = false;

    assert_true(vault_hours_parse(hours, &parsed, &has_zone));
    return vault_hours_hold(&parsed, moment(now));
}

static void test_hours_go_from_their_first_minute_up_to_the_last(void **state)
{
    (void)state;
    assert_false(hold("08:00-18:00", "2026-01-15T07:59:59.999999Z"));
    assert_true(hold("08:00-18:00", "2026-01-15T08:00:00Z"));
    assert_true(hold("08:00-18:00", "2026-01-15T17:59:59.999999Z"));
    assert_false(hold("08:00-18:00", "2026-01-15T18:00:00Z"));
}

static void test_hours_over_midnight_are_the_others(void **state)
{
    (void)state;
    assert_true(hold("22:00-06:00 UTC", "2026-01-15T22:00:00Z"));
    assert_true(hold("22:00-06:00 UTC", "2026-01-15T00:00:00Z"));
    assert_true(hold("22:00-06:00 UTC", "2026-01-15T05:59:59Z"));
    assert_false(hold("22:00-06:00 UTC", "2026-01-15T06:00:00Z"));
    assert_false(hold("22:00-06:00 UTC", "2026-01-15T21:59:59Z"));
    assert_true(hold("18:00-00:00 UTC", "2026-01-15T23:59:59Z"));
    assert_false(hold("18:00-00:00 UTC", "2026-01-15T00:00:00Z"));
}

static void test_summer_time_begins_and_ends_at_one_in_utc(void **state)
{
    (void)state;
    /* 29 March and 25 October 2026 */
    assert_true(hold("01:59-02:00 Europe/Brussels", "2026-03-29T00:59:59Z"));
    assert_true(hold("03:00-03:01 Europe/Brussels", "2026-03-29T01:00:00Z"));
    assert_true(hold("02:59-03:00 Europe/Brussels", "2026-10-25T00:59:59Z"));
    assert_true(hold("02:00-02:01 Europe/Brussels", "2026-10-25T01:00:00Z"));
    assert_true(hold("03:00-03:01 Europe/Athens", "2026-10-25T01:00:00Z"));
    assert_true(hold("12:00-12:01 Atlantic/Reykjavik", "2026-07-01T12:00:00Z"));
    /* 31 October is the Sunday in 2027 */
    assert_true(hold("02:59-03:00 Europe/Berlin", "2027-10-31T00:59:59Z"));
}

static void test_an_offset_is_the_same_all_year(void **state)
{
    (void)state;
    assert_true(hold("08:00-08:01 -05:30", "2026-07-01T13:30:00Z"));
    assert_true(hold("08:00-08:01 +14:00", "2026-06-30T18:00:00Z"));
    assert_true(hold("23:00-23:30 +01:00", "1969-12-31T22:15:00Z")); /* before 1970 too */
    assert_true(hold("00:30-00:31 +01:00", "1969-12-31T23:30:00Z"));
}

static void test_other_texts_are_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "8:00-18:00",
                                        "08:00",
                                        "08:00-",
                                        "08:00-24:00",
                                        "08:60-18:00",
                                        "08:00-08:00",
                                        "08.00-18.00",
                                        "08:00 - 18:00",
                                        "08:00-18:00 ",
                                        "08:00-18:00  UTC",
                                        "08:00-18:00 utc",
                                        "08:00-18:00 CET",
                                        "08:00-18:00 Europe/London",
                                        "08:00-18:00 Europe/Brussels ",
                                        "08:00-18:00 +15:00",
                                        "08:00-18:00 +14:01",
                                        "08:00-18:00 +1:00",
                                        "08:00-18:00 01:00",
                                        "08:00-18:00Z"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct vault_hours hours = {.from_min = 77};
        bool has_zone = true;
        if (vault_hours_parse(texts[i], &hours, &has_zone)) {
            fail_msg("'%s' was taken", texts[i]);
        }
        assert_int_equal(hours.from_min, 77);
        assert_true(has_zone);
    }
}

static void test_whether_there_is_a_zone_is_said(void **state)
{
    struct vault_hours hours;
    bool has_zone = true;

    (void)state;
    assert_true(vault_hours_parse("08:00-18:00", &hours, &has_zone));
    assert_false(has_zone);
    assert_true(vault_hours_parse("08:00-18:00 UTC", &hours, &has_zone));
    assert_true(has_zone);
}

static void test_a_time_of_day_is_that_of_today_there(void **state)
{
    static const struct {
        const char *text;
        const char *now;
        const char *then;
    } cases[] = {
        {"22:30", "2026-07-15T03:00:00Z", "2026-07-15T22:30:00Z"},
        {"22:30 Europe/Brussels", "2026-07-15T03:00:00Z", "2026-07-15T20:30:00Z"},
        {"22:30 Europe/Brussels", "2026-01-15T03:00:00Z", "2026-01-15T21:30:00Z"},
        {"00:15 Europe/Brussels", "2026-07-15T23:00:00Z", "2026-07-15T22:15:00Z"},
        {"08:00 -05:00", "2026-07-15T03:00:00Z", "2026-07-14T13:00:00Z"},
        {"01:30 Europe/Brussels", "2026-03-29T12:00:00Z", "2026-03-29T00:30:00Z"},
        {"02:30 Europe/Brussels", "2026-03-29T12:00:00Z", "2026-03-29T01:30:00Z"},
        {"02:30 Europe/Brussels", "2026-10-25T12:00:00Z", "2026-10-25T00:30:00Z"},
        {"03:30 Europe/Brussels", "2026-10-25T12:00:00Z", "2026-10-25T02:30:00Z"},
    };
    int64_t us = 0;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char seen[KL_TIME_TEXT_BYTES];
        char expected[KL_TIME_TEXT_BYTES];
        assert_true(vault_hours_moment(cases[i].text, moment(cases[i].now), &us));
        kl_time_format(us, seen);
        kl_time_format(moment(cases[i].then), expected);
        assert_string_equal(seen, expected);
    }
    us = 5;
    assert_false(vault_hours_moment("22:30 Mars/Olympus", 0, &us));
    assert_false(vault_hours_moment("24:00", 0, &us));
    assert_false(vault_hours_moment("22:30-", 0, &us));
    assert_int_equal(us, 5);
}

/* The table against the system's, every half hour of four years. */
static void test_the_table_agrees_with_the_systems_zones(void **state)
{
    static const char *const names[] = {"Africa/Ceuta",      "Arctic/Longyearbyen",
                                        "Asia/Famagusta",    "Asia/Nicosia",
                                        "Atlantic/Azores",   "Atlantic/Canary",
                                        "Atlantic/Madeira",  "Atlantic/Reykjavik",
                                        "Europe/Amsterdam",  "Europe/Athens",
                                        "Europe/Berlin",     "Europe/Bratislava",
                                        "Europe/Brussels",   "Europe/Bucharest",
                                        "Europe/Budapest",   "Europe/Copenhagen",
                                        "Europe/Dublin",     "Europe/Helsinki",
                                        "Europe/Lisbon",     "Europe/Ljubljana",
                                        "Europe/Luxembourg", "Europe/Madrid",
                                        "Europe/Malta",      "Europe/Mariehamn",
                                        "Europe/Oslo",       "Europe/Paris",
                                        "Europe/Prague",     "Europe/Riga",
                                        "Europe/Rome",       "Europe/Sofia",
                                        "Europe/Stockholm",  "Europe/Tallinn",
                                        "Europe/Vaduz",      "Europe/Vienna",
                                        "Europe/Vilnius",    "Europe/Warsaw",
                                        "Europe/Zagreb",     "UTC"};

    (void)state;
    if (access("/usr/share/zoneinfo/Europe/Brussels", R_OK) != 0) {
        skip(); /* no time zones here */
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[VAULT_HOURS_TEXT_MAX_BYTES];
        struct vault_hours hours;
        bool has_zone = false;
        char path[128];

        (void)snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", names[i]);
        (void)snprintf(text, sizeof text, "00:00-00:01 %s", names[i]);
        assert_true(vault_hours_parse(text, &hours, &has_zone));
        if (access(path, R_OK) != 0) {
            continue; /* Debian has some in tzdata-legacy */
        }
        assert_int_equal(setenv("TZ", names[i], 1), 0);
        tzset();
        for (time_t at = 1735689600; at < 1735689600 + 4 * 366 * 86400L; at += 1800) {
            struct tm tm;
            assert_non_null(localtime_r(&at, &tm));
            hours.from_min = (uint16_t)(tm.tm_hour * 60 + tm.tm_min);
            hours.to_min = (uint16_t)((hours.from_min + 1) % 1440);
            if (!vault_hours_hold(&hours, (int64_t)at * KL_TIME_SECOND_US)) {
                fail_msg("%s at %ld: %02d:%02d there", names[i], (long)at, tm.tm_hour, tm.tm_min);
            }
        }
    }
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hours_go_from_their_first_minute_up_to_the_last),
        cmocka_unit_test(test_hours_over_midnight_are_the_others),
        cmocka_unit_test(test_summer_time_begins_and_ends_at_one_in_utc),
        cmocka_unit_test(test_an_offset_is_the_same_all_year),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_whether_there_is_a_zone_is_said),
        cmocka_unit_test(test_a_time_of_day_is_that_of_today_there),
        cmocka_unit_test(test_the_table_agrees_with_the_systems_zones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
