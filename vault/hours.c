#include "vault/hours.h"

#include "kluis/base/time.h"

#include <string.h>

#define HOUR_MIN 60
#define DAY_MIN (24 * HOUR_MIN)
#define MINUTE_US (60 * KL_TIME_SECOND_US)
#define OFFSET_MAX_MIN (14 * HOUR_MIN)
#define MARCH 3
#define OCTOBER 10

/* The zones of the EEA's countries, with their winter time (IANA time zone database, 2025b). */
static const struct named {
    const char *name;
    struct vault_zone zone;
} zones[] = {
    {"Africa/Ceuta", {60, true}},      {"Arctic/Longyearbyen", {60, true}},
    {"Asia/Famagusta", {120, true}},   {"Asia/Nicosia", {120, true}},
    {"Atlantic/Azores", {-60, true}},  {"Atlantic/Canary", {0, true}},
    {"Atlantic/Madeira", {0, true}},   {"Atlantic/Reykjavik", {0, false}},
    {"Europe/Amsterdam", {60, true}},  {"Europe/Athens", {120, true}},
    {"Europe/Berlin", {60, true}},     {"Europe/Bratislava", {60, true}},
    {"Europe/Brussels", {60, true}},   {"Europe/Bucharest", {120, true}},
    {"Europe/Budapest", {60, true}},   {"Europe/Copenhagen", {60, true}},
    {"Europe/Dublin", {0, true}},      {"Europe/Helsinki", {120, true}},
    {"Europe/Lisbon", {0, true}},      {"Europe/Ljubljana", {60, true}},
    {"Europe/Luxembourg", {60, true}}, {"Europe/Madrid", {60, true}},
    {"Europe/Malta", {60, true}},      {"Europe/Mariehamn", {120, true}},
    {"Europe/Oslo", {60, true}},       {"Europe/Paris", {60, true}},
    {"Europe/Prague", {60, true}},     {"Europe/Riga", {120, true}},
    {"Europe/Rome", {60, true}},       {"Europe/Sofia", {120, true}},
    {"Europe/Stockholm", {60, true}},  {"Europe/Tallinn", {120, true}},
    {"Europe/Vaduz", {60, true}},      {"Europe/Vienna", {60, true}},
    {"Europe/Vilnius", {120, true}},   {"Europe/Warsaw", {60, true}},
    {"Europe/Zagreb", {60, true}},     {"UTC", {0, false}},
};

/* ---- the calendar ---- */

/* Rounded down, also below zero. */
static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

/* Days since 1970-01-01 of a day of the Gregorian calendar (proleptic); months from March on. */
static int64_t day_of(int64_t year, int month, int day)
{
    const int64_t of_year = month > 2 ? year : year - 1;
    const int64_t since_march = (month + 9) % 12;
    const int64_t day_of_year = (153 * since_march + 2) / 5 + day - 1;

    return 365 * of_year + floor_div(of_year, 4) - floor_div(of_year, 100) +
           floor_div(of_year, 400) + day_of_year - 719468;
}

/* 1970-01-01 was a Thursday. */
static int64_t last_sunday(int64_t year, int month_of_31_days)
{
    const int64_t last = day_of(year, month_of_31_days, 31);
    const int64_t weekday = ((last + 4) % 7 + 7) % 7; /* from Sunday, 0 */

    return last - weekday;
}

static bool is_summer(int64_t now_min)
{
    const int64_t day = floor_div(now_min, DAY_MIN);
    int64_t year = 1970 + floor_div(day * 400, 146097);

    while (day < day_of(year, 1, 1)) {
        year--;
    }
    while (day >= day_of(year + 1, 1, 1)) {
        year++;
    }
    return now_min >= last_sunday(year, MARCH) * DAY_MIN + HOUR_MIN &&
           now_min < last_sunday(year, OCTOBER) * DAY_MIN + HOUR_MIN;
}

/* Minutes since 1970 as clocks there show them. */
static int64_t local_min(const struct vault_zone *zone, int64_t now_us)
{
    const int64_t now_min = floor_div(now_us, MINUTE_US);
    const bool summer = zone->has_summer && is_summer(now_min);

    return now_min + zone->offset_min + (summer ? HOUR_MIN : 0);
}

/* ---- texts ---- */

static bool take_number(const char **text, int max, int *ret)
{
    const char *at = *text;

    if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9') {
        return false;
    }
    *ret = (at[0] - '0') * 10 + (at[1] - '0');
    *text += 2;
    return *ret <= max;
}

/* HH:MM */
static bool take_clock(const char **text, int *ret_min)
{
    int hours = 0;
    int minutes = 0;

    if (!take_number(text, 23, &hours) || *(*text)++ != ':' || !take_number(text, 59, &minutes)) {
        return false;
    }
    *ret_min = hours * HOUR_MIN + minutes;
    return true;
}

static bool zone_parse(const char *text, struct vault_zone *ret)
{
    const bool west = text[0] == '-';
    const char *at = text + 1;
    int offset_min = 0;

    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        if (strcmp(zones[i].name, text) == 0) {
            *ret = zones[i].zone;
            return true;
        }
    }
    if ((!west && text[0] != '+') || !take_clock(&at, &offset_min) || *at != '\0' ||
        offset_min > OFFSET_MAX_MIN) {
        return false;
    }
    *ret = (struct vault_zone){.offset_min = (int16_t)(west ? -offset_min : offset_min)};
    return true;
}

/* The end of a text: nothing, or a space and a zone. */
static bool take_zone(const char *text, struct vault_zone *ret, bool *ret_has_zone)
{
    *ret_has_zone = text[0] == ' ';
    return text[0] == '\0' || (text[0] == ' ' && zone_parse(text + 1, ret));
}

bool vault_hours_parse(const char *text, struct vault_hours *ret_hours, bool *ret_has_zone)
{
    struct vault_zone zone = {0};
    bool has_zone = false;
    int from_min = 0;
    int to_min = 0;

    if (!take_clock(&text, &from_min) || *text++ != '-' || !take_clock(&text, &to_min) ||
        from_min == to_min || !take_zone(text, &zone, &has_zone)) {
        return false;
    }
    *ret_hours = (struct vault_hours){(uint16_t)from_min, (uint16_t)to_min, zone};
    *ret_has_zone = has_zone;
    return true;
}

bool vault_hours_hold(const struct vault_hours *hours, int64_t now_us)
{
    const int64_t at = local_min(&hours->zone, now_us);
    const int64_t minute = at - floor_div(at, DAY_MIN) * DAY_MIN;

    if (hours->from_min < hours->to_min) {
        return minute >= hours->from_min && minute < hours->to_min;
    }
    return minute >= hours->from_min || minute < hours->to_min;
}

/* 1 January 1970 was a Thursday. */
bool vault_hours_weekend(const struct vault_hours *hours, int64_t now_us)
{
    const int64_t days = floor_div(local_min(&hours->zone, now_us), DAY_MIN);
    const int64_t from_monday = days + 3 - floor_div(days + 3, 7) * 7;

    return from_monday >= 5;
}

bool vault_hours_moment(const char *text, int64_t now_us, int64_t *ret_moment_us)
{
    struct vault_zone zone = {0};
    bool has_zone = false;
    int minute = 0;
    int64_t wanted;
    int64_t moment;

    if (!take_clock(&text, &minute) || !take_zone(text, &zone, &has_zone)) {
        return false;
    }
    wanted = floor_div(local_min(&zone, now_us), DAY_MIN) * DAY_MIN + minute;
    moment = wanted - zone.offset_min - (zone.has_summer ? HOUR_MIN : 0);
    if (local_min(&zone, moment * MINUTE_US) != wanted) {
        moment = wanted - zone.offset_min;
    }
    *ret_moment_us = moment * MINUTE_US;
    return true;
}
