#include "kluis/base/time.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_SECONDS 86400
#define YEARS_MAX 9999

struct civil {
    int64_t year;
    unsigned month; /* 1..12 */
    unsigned day;   /* 1..31 */
};

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);

    assert(rc == 0);
    return (int64_t)now.tv_sec * KL_TIME_SECOND_US + now.tv_nsec / 1000;
}

int64_t kl_time_now_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

int64_t kl_time_monotonic_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

/*
 * Days since 1970-01-01 and back, in the Gregorian calendar carried on
 * backwards: days_from_civil and civil_from_days of Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms". An era is 400 years; its
 * years begin in March, so that the leap day is the last of its year.
 */
static int64_t days_from_civil(struct civil date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t months_since_march = (date.month + 9) % 12;
    int64_t day_of_year = (153 * months_since_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static struct civil civil_from_days(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t months_since_march = (5 * day_of_year + 2) / 153;
    unsigned month =
        (unsigned)(months_since_march < 10 ? months_since_march + 3 : months_since_march - 9);

    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2),
        .month = month,
        .day = (unsigned)(day_of_year - (153 * months_since_march + 2) / 5 + 1),
    };
}

static unsigned month_days(int64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

static int64_t time_clamp(int64_t time_us)
{
    if (time_us < KL_TIME_MIN_US) {
        return KL_TIME_MIN_US;
    }
    return time_us > KL_TIME_MAX_US ? KL_TIME_MAX_US : time_us;
}

/* The day a moment lies in, and how far into it, 0..KL_TIME_DAY_US - 1. */
static int64_t day_of(int64_t time_us, int64_t *ret_within_us)
{
    int64_t day = time_us / KL_TIME_DAY_US - (time_us % KL_TIME_DAY_US < 0);

    *ret_within_us = time_us - day * KL_TIME_DAY_US;
    return day;
}

/* Write value as digits of a fixed width. */
static void put_digits(char *out, int64_t value, unsigned width)
{
    for (unsigned i = width; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

void kl_date_format(int64_t time_us, char out[KL_DATE_TEXT_BYTES])
{
    int64_t within_us;
    struct civil date = civil_from_days(day_of(time_clamp(time_us), &within_us));

    memcpy(out, "0000-00-00", 11);
    put_digits(out, date.year, 4);
    put_digits(out + 5, date.month, 2);
    put_digits(out + 8, date.day, 2);
}

void kl_time_format(int64_t time_us, char out[KL_TIME_TEXT_BYTES])
{
    int64_t within_us;
    int64_t seconds;

    (void)day_of(time_clamp(time_us), &within_us);
    seconds = within_us / KL_TIME_SECOND_US;
    kl_date_format(time_us, out);
    memcpy(out + 10, "T00:00:00.000000Z", 18);
    put_digits(out + 11, seconds / 3600, 2);
    put_digits(out + 14, seconds / 60 % 60, 2);
    put_digits(out + 17, seconds % 60, 2);
    put_digits(out + 20, within_us % KL_TIME_SECOND_US, 6);
}

/* A text being read; ok turns false at the first thing that is not as it should be. */
struct scan {
    const char *at;
    const char *end;
    bool ok;
};

static unsigned scan_digits(struct scan *scan, unsigned count)
{
    unsigned value = 0;

    for (unsigned i = 0; i < count; i++) {
        if (scan->at == scan->end || *scan->at < '0' || *scan->at > '9') {
            scan->ok = false;
            return 0;
        }
        value = value * 10 + (unsigned)(*scan->at++ - '0');
    }
    return value;
}

/* Step over one character that is a or b. */
static void scan_either(struct scan *scan, char a, char b)
{
    if (scan->at == scan->end || (*scan->at != a && *scan->at != b)) {
        scan->ok = false;
        return;
    }
    scan->at++;
}

static bool scan_peek(const struct scan *scan, char a, char b)
{
    return scan->at != scan->end && (*scan->at == a || *scan->at == b);
}

/* full-date: the days since 1970-01-01. */
static int64_t scan_date(struct scan *scan)
{
    struct civil date;

    date.year = scan_digits(scan, 4);
    scan_either(scan, '-', '-');
    date.month = scan_digits(scan, 2);
    scan_either(scan, '-', '-');
    date.day = scan_digits(scan, 2);
    if (!scan->ok || date.year < 1 || date.month < 1 || date.month > 12 || date.day < 1 ||
        date.day > month_days(date.year, date.month)) {
        scan->ok = false;
        return 0;
    }
    return days_from_civil(date);
}

/* time-secfrac without its point: 1..9 digits, as microseconds. */
static int64_t scan_fraction(struct scan *scan)
{
    int64_t fraction_us = 0;
    unsigned digits = 0;

    while (scan->at != scan->end && *scan->at >= '0' && *scan->at <= '9') {
        digits++;
        if (digits <= 6) {
            fraction_us = fraction_us * 10 + (*scan->at - '0');
        }
        scan->at++;
    }
    if (digits < 1 || digits > 9) {
        scan->ok = false;
    }
    for (; digits < 6; digits++) {
        fraction_us *= 10;
    }
    return fraction_us;
}

/* partial-time, as microseconds since midnight. */
static int64_t scan_clock(struct scan *scan)
{
    unsigned hour;
    unsigned minute;
    unsigned second;
    int64_t fraction_us = 0;

    hour = scan_digits(scan, 2);
    scan_either(scan, ':', ':');
    minute = scan_digits(scan, 2);
    scan_either(scan, ':', ':');
    second = scan_digits(scan, 2);
    if (scan_peek(scan, '.', '.')) {
        scan->at++;
        fraction_us = scan_fraction(scan);
    }
    if (hour > 23 || minute > 59 || second > 59) {
        scan->ok = false;
    }
    return (int64_t)(hour * 3600 + minute * 60 + second) * KL_TIME_SECOND_US + fraction_us;
}

/* time-offset, as what to take away from local time to get UTC. */
static int64_t scan_offset(struct scan *scan)
{
    int64_t sign;
    unsigned hour;
    unsigned minute;

    if (scan_peek(scan, 'Z', 'z')) {
        scan->at++;
        return 0;
    }
    sign = scan_peek(scan, '-', '-') ? -1 : 1;
    scan_either(scan, '+', '-');
    hour = scan_digits(scan, 2);
    scan_either(scan, ':', ':');
    minute = scan_digits(scan, 2);
    if (hour > 23 || minute > 59) {
        scan->ok = false;
    }
    return sign * (int64_t)(hour * 3600 + minute * 60) * KL_TIME_SECOND_US;
}

enum kl_status kl_time_parse(const char *text, size_t size, int64_t *ret_time_us,
                             struct kl_err *err)
{
    struct scan scan = {.at = text, .end = text + size, .ok = true};
    int64_t time_us;

    time_us = scan_date(&scan) * KL_TIME_DAY_US;
    scan_either(&scan, 'T', 't');
    time_us += scan_clock(&scan);
    time_us -= scan_offset(&scan);
    if (!scan.ok || scan.at != scan.end || time_us != time_clamp(time_us)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_time",
                       "not a valid time: it is written like 2026-11-22T16:50:40Z (RFC 3339)",
                       NULL);
    }
    *ret_time_us = time_us;
    return KL_OK;
}

enum kl_status kl_date_parse(const char *text, size_t size, int64_t *ret_midnight_us,
                             struct kl_err *err)
{
    struct scan scan = {.at = text, .end = text + size, .ok = true};
    int64_t days = scan_date(&scan);

    if (!scan.ok || scan.at != scan.end) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_date",
                       "not a valid date: it is a day that exists, written like 2026-11-22", NULL);
    }
    *ret_midnight_us = days * KL_TIME_DAY_US;
    return KL_OK;
}

/*
 * The units of a duration in the order they are written; each adds factor to one of the three
 * sums.
 */
struct unit {
    char letter;
    bool in_time; /* behind the T */
    enum { SUM_MONTHS, SUM_DAYS, SUM_SECONDS } sum;
    unsigned factor;
};

static const struct unit UNITS[] = {
    {'Y', false, SUM_MONTHS, 12}, {'M', false, SUM_MONTHS, 1},    {'W', false, SUM_DAYS, 7},
    {'D', false, SUM_DAYS, 1},    {'H', true, SUM_SECONDS, 3600}, {'M', true, SUM_SECONDS, 60},
    {'S', true, SUM_SECONDS, 1},
};
#define UNITS_COUNT (sizeof(UNITS) / sizeof(UNITS[0]))

static const uint64_t SUMS_MAX[] = {
    [SUM_MONTHS] = (uint64_t)YEARS_MAX * 12,
    [SUM_DAYS] = (uint64_t)YEARS_MAX * 366,
    [SUM_SECONDS] = (uint64_t)YEARS_MAX * 366 * DAY_SECONDS,
};

/* 1..12 digits; ISO 8601 has no sign and here no fraction. */
static uint64_t scan_number(struct scan *scan)
{
    uint64_t value = 0;
    unsigned digits = 0;

    while (scan->at != scan->end && *scan->at >= '0' && *scan->at <= '9') {
        value = value * 10 + (uint64_t)(*scan->at++ - '0');
        if (++digits > 12) {
            scan->ok = false;
            return 0;
        }
    }
    if (digits == 0) {
        scan->ok = false;
    }
    return value;
}

/* The index of the unit that comes next, at first or later; UNITS_COUNT when there is none such. */
static size_t scan_unit(struct scan *scan, size_t first, bool in_time)
{
    for (size_t i = first; i < UNITS_COUNT; i++) {
        if (UNITS[i].in_time == in_time && scan_peek(scan, UNITS[i].letter, UNITS[i].letter)) {
            scan->at++;
            return i;
        }
    }
    scan->ok = false;
    return UNITS_COUNT;
}

static void scan_units(struct scan *scan, uint64_t sums[3])
{
    size_t parts = 0;
    size_t next = 0;
    bool in_time = false;
    bool weeks = false;

    while (scan->ok && scan->at != scan->end) {
        uint64_t number;
        size_t unit;

        if (!in_time && scan_peek(scan, 'T', 'T')) {
            scan->at++;
            in_time = true;
        }
        number = scan_number(scan);
        unit = scan_unit(scan, next, in_time);
        if (!scan->ok) {
            return;
        }
        sums[UNITS[unit].sum] += number * UNITS[unit].factor;
        if (sums[UNITS[unit].sum] > SUMS_MAX[UNITS[unit].sum]) {
            scan->ok = false;
        }
        weeks = weeks || UNITS[unit].letter == 'W';
        next = unit + 1;
        parts++;
    }
    if (parts == 0 || (weeks && parts > 1)) {
        scan->ok = false;
    }
}

enum kl_status kl_duration_parse(const char *text, size_t size, struct kl_duration *ret_duration,
                                 struct kl_err *err)
{
    struct scan scan = {.at = text, .end = text + size, .ok = true};
    uint64_t sums[3] = {0, 0, 0};

    scan_either(&scan, 'P', 'P');
    if (scan.ok) {
        scan_units(&scan, sums);
    }
    if (!scan.ok) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_duration",
                       "not a valid duration: it is written like P10Y, P4W, P1DT12H or PT15M "
                       "(ISO 8601), at most P9999Y",
                       NULL);
    }
    *ret_duration = (struct kl_duration){.months = (uint32_t)sums[SUM_MONTHS],
                                         .days = (uint32_t)sums[SUM_DAYS],
                                         .seconds = sums[SUM_SECONDS]};
    return KL_OK;
}

/* Both at most 9999 years, so a sum of two stays far inside int64_t. */
static int64_t add_clamped(int64_t time_us, uint64_t more_seconds)
{
    assert(more_seconds <= SUMS_MAX[SUM_SECONDS]);
    return time_clamp(time_us + (int64_t)more_seconds * KL_TIME_SECOND_US);
}

/* Append a number with its unit, unless it is 0. */
static void add_unit(char out[KL_DURATION_TEXT_BYTES], uint64_t number, const char *unit)
{
    size_t used = strlen(out);

    if (number > 0) {
        (void)snprintf(out + used, KL_DURATION_TEXT_BYTES - used, "%" PRIu64 "%s", number, unit);
    }
}

void kl_duration_format(const struct kl_duration *duration, char out[KL_DURATION_TEXT_BYTES])
{
    uint64_t seconds = duration->seconds;
    bool none = duration->months == 0 && duration->days == 0 && seconds == 0;

    (void)snprintf(out, KL_DURATION_TEXT_BYTES, "P");
    add_unit(out, duration->months / 12, "Y");
    add_unit(out, duration->months % 12, "M");
    add_unit(out, duration->days, "D");
    if (seconds > 0 || none) {
        (void)snprintf(out + strlen(out), KL_DURATION_TEXT_BYTES - strlen(out), "T");
    }
    add_unit(out, seconds / 3600, "H");
    add_unit(out, seconds / 60 % 60, "M");
    add_unit(out, seconds % 60, "S");
    if (none) {
        (void)snprintf(out, KL_DURATION_TEXT_BYTES, "PT0S");
    }
}

int64_t kl_time_add(int64_t time_us, const struct kl_duration *duration)
{
    int64_t within_us;
    struct civil date = civil_from_days(day_of(time_clamp(time_us), &within_us));
    int64_t months = date.year * 12 + (date.month - 1) + duration->months;
    unsigned last;

    date.year = months / 12;
    date.month = (unsigned)(months % 12) + 1;
    if (date.year > YEARS_MAX) {
        return KL_TIME_MAX_US;
    }
    last = month_days(date.year, date.month);
    date.day = date.day < last ? date.day : last;
    time_us = days_from_civil(date) * KL_TIME_DAY_US + within_us;
    time_us = add_clamped(time_us, (uint64_t)duration->days * DAY_SECONDS);
    return add_clamped(time_us, duration->seconds);
}
