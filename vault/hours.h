/*
 * Hours of the day in a zone, as policies write them: "08:00-18:00 Europe/Brussels".
 *
 * From the first minute up to and without the last; where the last is not later than the first,
 * over midnight ("22:00-06:00"). A zone is `UTC`, an offset as `+01:00` (of 14 hours at most), or
 * the IANA name of a zone of the EEA. Without one it is UTC.
 *
 * The zones are a table, and not the system's: every zone of the EEA but Iceland's changes at
 * 01:00 UTC on the last Sunday of March and of October (Directive 2000/84/EC, art. 2 and 3), so
 * the answer is the same on every machine, and asking costs no file, no lock and no allocation.
 * Threads: any.
 */
#ifndef VAULT_HOURS_H
#define VAULT_HOURS_H

#include <stdbool.h>
#include <stdint.h>

/* "HH:MM-HH:MM " and a zone */
#define VAULT_HOURS_TEXT_MAX_BYTES 48

struct vault_zone {
    int16_t offset_min; /* of winter time, to add to UTC */
    bool has_summer;    /* an hour more in summer, as the Directive has it */
};
struct vault_hours {
    uint16_t from_min; /* of the day, 0..1439; not the same as to_min */
    uint16_t to_min;
    struct vault_zone zone;
};

/* False, and ret_* untouched, when the text is not as above. ret_has_zone: it names one. */
bool vault_hours_parse(const char *text, struct vault_hours *ret_hours, bool *ret_has_zone);
bool vault_hours_hold(const struct vault_hours *hours, int64_t now_us);
/* Whether it is Saturday or Sunday there. */
bool vault_hours_weekend(const struct vault_hours *hours, int64_t now_us);
/*
 * "HH:MM", or "HH:MM " and a zone: that time on the day that it is now there. A time that a change
 * to summer time leaves out is taken by winter time; of one that comes twice, the first is meant.
 */
bool vault_hours_moment(const char *text, int64_t now_us, int64_t *ret_moment_us);

#endif
