/*
 * Time: now, RFC 3339 texts in UTC, calendar dates, ISO 8601 durations.
 *
 * A moment is microseconds since 1970-01-01T00:00:00Z (int64_t, "_us").
 * Years 0001..9999. Leap seconds are refused (RFC 3339 section 5.6 allows
 * ":60"; POSIX time cannot hold it).
 */
#ifndef KLUIS_BASE_TIME_H
#define KLUIS_BASE_TIME_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KL_TIME_TEXT_BYTES 32 /* "2026-11-22T16:50:40.123456Z" and a 0 byte */
#define KL_DATE_TEXT_BYTES 12

/*
 * 0001-01-01T00:00:00.000000Z and 9999-12-31T23:59:59.999999Z. What formats or adds goes no
 * further than these.
 */
#define KL_TIME_MIN_US INT64_C(-62135596800000000)
#define KL_TIME_MAX_US INT64_C(253402300799999999)
#define KL_TIME_SECOND_US INT64_C(1000000)
#define KL_TIME_DAY_US (86400 * KL_TIME_SECOND_US)

/* The wall clock (CLOCK_REALTIME), in microseconds. */
int64_t kl_time_now_us(void);
/* A clock that never goes back (CLOCK_MONOTONIC), in microseconds, for intervals. */
int64_t kl_time_monotonic_us(void);

/* RFC 3339 in UTC, always with six decimals: 2026-11-22T16:50:40.000000Z. */
void kl_time_format(int64_t time_us, char out[KL_TIME_TEXT_BYTES]);
/*
 * RFC 3339 date-time with any offset and 0..9 decimals (cut to microseconds); "T" and "Z" in
 * either case. KL_ERR_INVALID "invalid_time".
 */
KL_MUST_USE enum kl_status kl_time_parse(const char *text, size_t size, int64_t *ret_time_us,
                                         struct kl_err *err);
/*
 * RFC 3339 full-date, YYYY-MM-DD, a day that exists; as the midnight UTC it starts with.
 * KL_ERR_INVALID "invalid_date".
 */
KL_MUST_USE enum kl_status kl_date_parse(const char *text, size_t size, int64_t *ret_midnight_us,
                                         struct kl_err *err);
void kl_date_format(int64_t time_us, char out[KL_DATE_TEXT_BYTES]);

/* ISO 8601 duration. Weeks and days are kept as days; never negative. */
struct kl_duration {
    uint32_t months;  /* years * 12 + months */
    uint32_t days;    /* weeks * 7 + days */
    uint64_t seconds; /* hours, minutes, seconds */
};
/*
 * "P10Y", "P4W", "P1M", "PT15M", "P1DT12H"; whole numbers, units in this order and each at most
 * once, weeks alone. Months, days and seconds are each at most 9999 years. KL_ERR_INVALID
 * "invalid_duration".
 */
KL_MUST_USE enum kl_status kl_duration_parse(const char *text, size_t size,
                                             struct kl_duration *ret_duration, struct kl_err *err);
/* The same length as text: "P10Y", "P28D", "P1DT12H"; "PT0S" for none. */
#define KL_DURATION_TEXT_BYTES 80
void kl_duration_format(const struct kl_duration *duration, char out[KL_DURATION_TEXT_BYTES]);
/*
 * Add by the calendar: months first (the day is cut to the last of the month,
 * Regulation (EEC) 1182/71 art. 3(2)(c)), then days, then seconds.
 */
int64_t kl_time_add(int64_t time_us, const struct kl_duration *duration);

#endif
