#include "vault/counting.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_WORDS (VAULT_COUNTED_MAX / 64)
#define SEEN_ROOM_FIRST 1024
#define CELLS_ROOM_FIRST 16

/* Somebody, and the statistics that count them (bits). Open addressing; none is 0 in all words of an empty place. */
struct seen {
    unsigned char person[VAULT_PERSON_BYTES];
    uint64_t in[SEEN_WORDS];
};

struct vault_counting {
    uint32_t minimum;
    struct vault_counted items[VAULT_COUNTED_MAX];
    size_t count;
    struct seen *seen;
    size_t seen_room; /* a power of two, or 0 */
    size_t seen_count;
};

struct vault_counting *vault_counting_new(void)
{
    struct vault_counting *counting = calloc(1, sizeof *counting);

    if (counting != NULL) {
        counting->minimum = VAULT_STATISTICS_MINIMUM_MIN;
    }
    return counting;
}

void vault_counting_free(struct vault_counting *counting)
{
    size_t i;

    if (counting == NULL) {
        return;
    }
    for (i = 0; i < counting->count; i++) {
        free(counting->items[i].cells);
    }
    if (counting->seen != NULL) {
        sodium_memzero(counting->seen, counting->seen_room * sizeof *counting->seen);
    }
    free(counting->seen);
    free(counting);
}

void vault_counting_minimum(struct vault_counting *counting, uint32_t minimum)
{
    if (minimum > counting->minimum) {
        counting->minimum = minimum;
    }
}

uint32_t vault_counting_minimum_of(const struct vault_counting *counting)
{
    return counting->minimum;
}

/* ---- who was counted ---- */

static bool is_empty(const struct seen *seen)
{
    size_t i;

    for (i = 0; i < SEEN_WORDS; i++) {
        if (seen->in[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Where the person is, or the empty place where they belong. The tags are keyed hashes: any bytes of them are as good as a hash. */
static struct seen *seen_place(struct seen *places, size_t room,
                               const unsigned char person[VAULT_PERSON_BYTES])
{
    uint64_t hash = 0;
    size_t at;

    memcpy(&hash, person, sizeof hash);
    at = (size_t)hash & (room - 1);
    while (!is_empty(&places[at]) && memcmp(places[at].person, person, VAULT_PERSON_BYTES) != 0) {
        at = (at + 1) & (room - 1);
    }
    return &places[at];
}

static bool seen_grow(struct vault_counting *counting)
{
    size_t room = counting->seen_room == 0 ? SEEN_ROOM_FIRST : 2 * counting->seen_room;
    struct seen *places = calloc(room, sizeof *places);
    size_t i;

    if (places == NULL) {
        return false;
    }
    for (i = 0; i < counting->seen_room; i++) {
        if (!is_empty(&counting->seen[i])) {
            *seen_place(places, room, counting->seen[i].person) = counting->seen[i];
        }
    }
    if (counting->seen != NULL) {
        sodium_memzero(counting->seen, counting->seen_room * sizeof *counting->seen);
    }
    free(counting->seen);
    counting->seen = places;
    counting->seen_room = room;
    return true;
}

static bool is_seen(const struct vault_counting *counting,
                    const unsigned char person[VAULT_PERSON_BYTES], size_t statistic)
{
    return counting->seen_room > 0 &&
           (seen_place(counting->seen, counting->seen_room, person)->in[statistic / 64] >>
                (statistic % 64) &
            1) != 0;
}

static bool see(struct vault_counting *counting, const unsigned char person[VAULT_PERSON_BYTES],
                size_t statistic)
{
    struct seen *place = NULL;

    if (2 * (counting->seen_count + 1) > counting->seen_room && !seen_grow(counting)) {
        return false;
    }
    place = seen_place(counting->seen, counting->seen_room, person);
    if (is_empty(place)) {
        memcpy(place->person, person, VAULT_PERSON_BYTES);
        counting->seen_count++;
    }
    place->in[statistic / 64] |= UINT64_C(1) << (statistic % 64);
    return true;
}

/* ---- cells ---- */

/* The first cell that is not before the value. */
static size_t cell_place(const struct vault_counted *counted, const char *value)
{
    size_t low = 0;
    size_t high = counted->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(counted->cells[middle].value, value) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool cell_room(struct vault_counted *counted)
{
    size_t room = counted->room == 0 ? CELLS_ROOM_FIRST : 2 * counted->room;
    struct vault_cell *cells = NULL;

    if (counted->count < counted->room) {
        return true;
    }
    cells = realloc(counted->cells, room * sizeof *cells);
    if (cells == NULL) {
        return false;
    }
    counted->cells = cells;
    counted->room = room;
    return true;
}

static bool cell_count(struct vault_counted *counted, const char *value)
{
    size_t at = cell_place(counted, value);
    struct vault_cell *cell = NULL;

    if (at < counted->count && strcmp(counted->cells[at].value, value) == 0) {
        counted->cells[at].people++;
        return true;
    }
    if (counted->count == VAULT_CELLS_COUNTING_MAX) {
        counted->other++;
        return true;
    }
    if (!cell_room(counted)) {
        return false;
    }
    cell = &counted->cells[at];
    memmove(cell + 1, cell, (counted->count - at) * sizeof *cell);
    memset(cell, 0, sizeof *cell);
    memcpy(cell->value, value, strlen(value));
    cell->people = 1;
    counted->count++;
    return true;
}

/* VAULT_COUNTED_MAX: there is no room for it. */
static size_t statistic_of(struct vault_counting *counting, const char *field,
                           enum vault_generalisation how)
{
    size_t i = 0;

    while (i < counting->count &&
           (counting->items[i].how != how || strcmp(counting->items[i].field, field) != 0)) {
        i++;
    }
    if (i == counting->count && i < VAULT_COUNTED_MAX) {
        memcpy(counting->items[i].field, field, strlen(field) + 1);
        counting->items[i].how = how;
        counting->count++;
    }
    return i;
}

enum kl_status vault_counting_add(struct vault_counting *counting,
                                  const unsigned char person[VAULT_PERSON_BYTES], const char *field,
                                  enum vault_generalisation how, const char *value, bool remember,
                                  struct kl_err *err)
{
    size_t statistic = 0;

    assert(strlen(field) < VAULT_COUNTED_FIELD_BYTES);
    assert(value == NULL || strlen(value) <= VAULT_GENERAL_MAX_BYTES);
    statistic = statistic_of(counting, field, how);
    if (statistic == VAULT_COUNTED_MAX || is_seen(counting, person, statistic)) {
        return KL_OK;
    }
    if (remember && !see(counting, person, statistic)) {
        return kl_fail_memory(err);
    }
    if (value == NULL) {
        counting->items[statistic].other++;
        return KL_OK;
    }
    return cell_count(&counting->items[statistic], value) ? KL_OK : kl_fail_memory(err);
}

/* ---- the rule ---- */

static void to_other(struct vault_counted *counted, size_t at)
{
    struct vault_cell *cell = &counted->cells[at];

    counted->other += cell->people;
    memmove(cell, cell + 1, (counted->count - at - 1) * sizeof *cell);
    counted->count--;
}

static size_t smallest(const struct vault_counted *counted)
{
    size_t found = 0;
    size_t i;

    for (i = 1; i < counted->count; i++) {
        if (counted->cells[i].people < counted->cells[found].people) {
            found = i;
        }
    }
    return found;
}

/* Small cells are put together with others until nobody can say anything of so few. */
static void settle(struct vault_counted *counted, uint32_t minimum)
{
    size_t kept = 0;
    size_t i;

    for (i = 0; i < counted->count; i++) {
        if (counted->cells[i].people < minimum) {
            counted->other += counted->cells[i].people;
        } else {
            counted->cells[kept++] = counted->cells[i];
        }
    }
    counted->count = kept;
    while (counted->count > VAULT_CELLS_MAX ||
           (counted->count > 0 && counted->other > 0 && counted->other < minimum)) {
        to_other(counted, smallest(counted));
    }
    if (counted->other < minimum) { /* then it is 0, or all there is */
        counted->other = 0;
    }
}

void vault_counting_settle(struct vault_counting *counting, size_t *ret_dropped)
{
    size_t left = 0;
    size_t i;

    *ret_dropped = 0;
    for (i = 0; i < counting->count; i++) {
        struct vault_counted *counted = &counting->items[i];

        settle(counted, counting->minimum);
        if (counted->count == 0 && counted->other == 0) {
            free(counted->cells);
            (*ret_dropped)++;
        } else {
            counting->items[left++] = *counted;
        }
    }
    counting->count = left;
}

const struct vault_counted *vault_counting_at(const struct vault_counting *counting, size_t i)
{
    return i < counting->count ? &counting->items[i] : NULL;
}
