/* Showing what was published for statistics. */
#include "vault/statistics.h"

#include "kluis/base/log.h"
#include "vault/tenants.h"
#include "vault/walks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTION "statistics_read"
#define CURSOR_KIND "statistics"
#define FORMAT 1
#define MONTH_MAX (12 * 9999 + 11)

/* One cell of one publication. field and value are the arena's. */
struct cell {
    uint32_t month;
    const char *field;
    enum vault_generalisation how;
    const char *value; /* NULL: other */
    uint64_t people;
};

struct reading {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_statistics_query *query;
    struct vault_query decided;
    uint32_t from;
    uint32_t to;
    struct kl_arena *arena;   /* of what is kept */
    struct kl_arena *scratch; /* of one row */
    struct cell *cells;
    size_t count;
    size_t room;
};

/* ---- what is asked ---- */

static enum kl_status month_parse(const char *text, const char *name, uint32_t *ret,
                                  struct kl_err *err)
{
    char date[KL_DATE_TEXT_BYTES];
    int64_t time_us = 0;

    if (text == NULL) {
        return KL_OK;
    }
    if (strlen(text) != VAULT_MONTH_TEXT_BYTES - 1) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_month", "%s is a month, as 2023-08", name);
    }
    (void)snprintf(date, sizeof date, "%.7s-01", text);
    if (kl_date_parse(date, strlen(date), &time_us, NULL) != KL_OK) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_month", "%s is a month, as 2023-08", name);
    }
    *ret = (uint32_t)(12 * strtol(date, NULL, 10) + strtol(date + 5, NULL, 10) - 1);
    return KL_OK;
}

/* ---- who may ---- */

static bool shows(const struct vault_decision *decision)
{
    return decision->withheld == VAULT_GATE_NONE &&
           (decision->view == VAULT_VIEW_PLAIN || decision->view == VAULT_VIEW_MASKED);
}

/* Nobody is in these numbers: they may go wherever the caller is. */
static struct vault_decision decide(const struct reading *reading, int field)
{
    const struct vault_facts facts = {.residency = VAULT_RESIDENCY_NONE};

    return vault_policy_decide(reading->caller->policy, &reading->decided, &facts, field);
}

/* VAULT_NONE: the policy does not know it (any more). */
static int field_find(const struct vault_policy *policy, const char *name)
{
    const char *dot = strchr(name, '.');
    char type[VAULT_NAME_MAX_BYTES + 1];
    int record = VAULT_NONE;

    if (dot == NULL || (size_t)(dot - name) >= sizeof type) {
        return VAULT_NONE;
    }
    (void)snprintf(type, sizeof type, "%.*s", (int)(dot - name), name);
    record = vault_policy_record_find(policy, type);
    return record == VAULT_NONE ? VAULT_NONE : vault_policy_field_find(policy, record, dot + 1);
}

static bool may_see(const struct reading *reading, const char *name)
{
    int field = VAULT_NONE;
    struct vault_decision decision;

    if (reading->caller->builtin != VAULT_BUILTIN_NONE) {
        return true;
    }
    field = field_find(reading->caller->policy, name);
    if (field == VAULT_NONE) {
        return false;
    }
    decision = decide(reading, field);
    return shows(&decision);
}

static enum kl_status check_field(const struct reading *reading, struct kl_err *err)
{
    const char *name = reading->query->field;
    int field = VAULT_NONE;
    struct vault_decision decision;

    if (name == NULL) {
        return KL_OK;
    }
    field = field_find(reading->caller->policy, name);
    if (field == VAULT_NONE) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_field", "the policy has no field of that name",
                       NULL);
    }
    decision = decide(reading, field);
    return shows(&decision)
               ? KL_OK
               : vault_withheld(err, reading->caller->policy, field,
                                decision.withheld == VAULT_GATE_NONE ? VAULT_GATE_ROLE
                                                                     : decision.withheld);
}

static enum kl_status check_role(struct reading *reading, struct kl_err *err)
{
    const struct vault_caller *caller = reading->caller;
    int purpose = VAULT_NONE;
    enum kl_status status = vault_policy_required(caller, err);

    if (status == KL_OK) {
        status = vault_purpose_or_none(caller, reading->query->purpose, &purpose, err);
    }
    if (status != KL_OK) {
        return status;
    }
    reading->decided = vault_query_of(caller, VAULT_ACTION_REPORT, purpose, VAULT_NONE, NULL);
    if (caller->bound || !vault_policy_may(caller->policy, &reading->decided)) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "role_forbidden",
                       "the role of this credential does not allow this", NULL);
    }
    return check_field(reading, err);
}

static enum kl_status check_caller(struct reading *reading, struct kl_err *err)
{
    const struct vault_caller *caller = reading->caller;

    if (reading->query->ended != NULL) {
        return vault_act_allowed(reading->vault, caller, VAULT_MAY_OPERATOR, ACTION, err);
    }
    if (caller->builtin != VAULT_BUILTIN_NONE) {
        return vault_act_allowed(reading->vault, caller, VAULT_MAY_AUDITOR, ACTION, err);
    }
    return vault_subject_refused(reading->vault, caller, ACTION, VAULT_NONE,
                                 check_role(reading, err), err);
}

/* ---- rows ---- */

static enum kl_status cell_add(struct reading *reading, const struct cell *cell, struct kl_err *err)
{
    if (reading->count == VAULT_STATISTICS_CELLS_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "statistics_too_many",
                       "this is too much for one answer: ask for a shorter period", NULL);
    }
    if (reading->count == reading->room) {
        size_t room = reading->room == 0 ? 256 : 2 * reading->room;
        struct cell *cells = realloc(reading->cells, room * sizeof *cells);

        if (cells == NULL) {
            return kl_fail_memory(err);
        }
        reading->cells = cells;
        reading->room = room;
    }
    reading->cells[reading->count++] = *cell;
    return KL_OK;
}

static enum kl_status cells_of(struct reading *reading, uint32_t month,
                               const struct vault_counted *counted, struct kl_err *err)
{
    struct cell cell = {.month = month,
                        .field =
                            kl_arena_text(reading->arena, counted->field, strlen(counted->field)),
                        .how = counted->how};
    enum kl_status status = cell.field == NULL ? kl_fail_memory(err) : KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < counted->count; i++) {
        const char *value = counted->cells[i].value;

        cell.value = kl_arena_text(reading->arena, value, strlen(value));
        cell.people = counted->cells[i].people;
        status = cell.value == NULL ? kl_fail_memory(err) : cell_add(reading, &cell, err);
    }
    if (status == KL_OK && counted->other > 0) {
        cell.value = NULL;
        cell.people = counted->other;
        status = cell_add(reading, &cell, err);
    }
    return status;
}

static bool is_asked_for(const struct reading *reading, const struct vault_published *published)
{
    const struct vault_statistics_query *query = reading->query;
    const char *field = published->counted.field;

    return (query->ended == NULL || strcmp(query->ended, published->tenant) == 0) &&
           (query->field == NULL || strcmp(query->field, field) == 0) && may_see(reading, field);
}

/* What does not open is of an attempt that failed; damage is said. */
static enum kl_status row_open(struct reading *reading, uint64_t number, struct kl_slice sealed,
                               struct vault_published *ret, struct kl_err *err)
{
    const struct kms_place place = {KMS_TENANT_VAULT, number, KMS_VALUE_NONE};
    struct kl_buf plain;
    enum kl_status status = KL_OK;

    kl_buf_init(&plain, VAULT_PUBLISHED_MAX_BYTES);
    status = kms_unseal(reading->vault->keys, &place, kl_slice_text(VAULT_STATISTICS_CONTEXT),
                        sealed, &plain, err);
    if (status == KL_OK) {
        kl_arena_reset(reading->scratch);
        status = vault_published_decode(kl_buf_slice(&plain), reading->scratch, ret, err);
    }
    kl_buf_done(&plain);
    return status;
}

/* Published: the key of what it counts is gone. */
static enum kl_status counts(const struct reading *reading, uint64_t tenant, uint64_t cohort,
                             bool *ret, struct kl_err *err)
{
    const struct kms_place place = {tenant, cohort, KMS_VALUE_NONE};
    struct kl_err cause = {0};
    enum kl_status status = kms_place_check(reading->vault->keys, &place, &cause);

    *ret = status == KL_ERR_GONE;
    return status == KL_OK || status == KL_ERR_GONE
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

static enum kl_status look_at(void *visitor, struct kl_slice key, struct kl_slice value,
                              struct kl_err *err)
{
    struct reading *reading = visitor;
    struct vault_published published;
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;
    uint64_t tenant = 0;
    uint32_t month = 0;
    bool published_now = false;

    if (key.size != VAULT_STATISTICS_KEY_BYTES || value.size < VAULT_STATISTICS_HEAD_BYTES ||
        value.bytes[0] != FORMAT) {
        kl_log(KL_LOG_ERROR, "statistic_damaged", KL_LOG_INT("bytes", value.size));
        return KL_OK;
    }
    tenant = kl_get_u64be(key.bytes + 2);
    month = kl_get_u32be(value.bytes + 9);
    if (month < reading->from || month > reading->to ||
        (reading->query->ended != NULL &&
         vault_tenants_by_number(reading->vault, tenant) != NULL)) {
        return KL_OK;
    }
    status = counts(reading, tenant, kl_get_u64be(value.bytes + 1), &published_now, err);
    if (status != KL_OK || !published_now) {
        return status;
    }
    status = row_open(reading, kl_get_u64be(key.bytes + 10),
                      kl_slice_of(value.bytes + VAULT_STATISTICS_HEAD_BYTES,
                                  value.size - VAULT_STATISTICS_HEAD_BYTES),
                      &published, &cause);
    if (status == KL_ERR_CORRUPT) {
        kl_log_err(KL_LOG_ERROR, "statistic_damaged", &cause);
    }
    if (status == KL_ERR_CORRUPT || status == KL_ERR_GONE) {
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return is_asked_for(reading, &published) ? cells_of(reading, month, &published.counted, err)
                                             : KL_OK;
}

static enum kl_status read_rows(struct reading *reading, struct kl_err *err)
{
    unsigned char prefix[10] = VAULT_STATISTICS_ROW;
    size_t size = 2;

    if (reading->query->ended == NULL) {
        kl_put_u64be(prefix + 2, reading->caller->tenant);
        size = sizeof prefix;
    }
    return kms_side_range(reading->vault->keys, kl_slice_of(prefix, size), look_at, reading, err);
}

/* ---- one list ---- */

static int compare(const void *left, const void *right)
{
    const struct cell *a = left;
    const struct cell *b = right;
    int order = (a->month > b->month) - (a->month < b->month);

    order = order != 0 ? order : strcmp(a->field, b->field);
    order = order != 0 ? order : (a->how > b->how) - (a->how < b->how);
    if (order == 0 && (a->value == NULL || b->value == NULL)) {
        return (a->value == NULL) - (b->value == NULL);
    }
    return order != 0 ? order : strcmp(a->value, b->value);
}

/* Several publications of a month are one. */
static void sort_and_add(struct reading *reading)
{
    size_t kept = 0;
    size_t i;

    if (reading->count == 0) {
        return;
    }
    qsort(reading->cells, reading->count, sizeof *reading->cells, compare);
    for (i = 1; i < reading->count; i++) {
        if (compare(&reading->cells[kept], &reading->cells[i]) == 0) {
            reading->cells[kept].people += reading->cells[i].people;
        } else {
            reading->cells[++kept] = reading->cells[i];
        }
    }
    reading->count = kept + 1;
}

static enum kl_status page(struct reading *reading, struct vault_statistics_cell **ret_cells,
                           size_t *ret_count, char *ret_cursor, struct kl_err *err)
{
    uint64_t first = 0;
    size_t count = 0;
    struct vault_statistics_cell *cells = NULL;
    size_t i;
    enum kl_status status =
        vault_cursor_number_open(reading->vault, reading->caller, CURSOR_KIND,
                                 reading->query->cursor, VAULT_STATISTICS_CELLS_MAX, &first, err);

    if (status != KL_OK) {
        return status;
    }
    first = first > reading->count ? reading->count : first;
    count = reading->count - first > reading->query->limit ? reading->query->limit
                                                           : reading->count - first;
    cells = kl_arena_array(reading->arena, count, sizeof *cells);
    if (cells == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < count; i++) {
        const struct cell *cell = &reading->cells[first + i];

        (void)snprintf(cells[i].period, sizeof cells[i].period, "%04u-%02u",
                       (unsigned)(cell->month / 12 % 10000), (unsigned)(cell->month % 12 + 1));
        cells[i].field = cell->field;
        cells[i].kept = vault_generalisation_name(cell->how);
        cells[i].value = cell->value;
        cells[i].people = cell->people;
    }
    ret_cursor[0] = '\0';
    if (first + count < reading->count) {
        status = vault_cursor_number_seal(reading->vault, reading->caller, CURSOR_KIND,
                                          first + count, ret_cursor, err);
    }
    if (status == KL_OK) {
        *ret_cells = cells;
        *ret_count = count;
    }
    return status;
}

/* What was shown, by the names of fields alone. */
static enum kl_status say(const struct reading *reading, const struct vault_statistics_cell *cells,
                          size_t count, struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(reading->caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    const char *last = "";
    enum kl_status status = KL_OK;
    size_t named = 0;
    size_t i;

    vault_act_begin(&act, vault_act_trail(reading->caller), &who, ACTION);
    if (reading->query->ended != NULL) {
        kl_json_add_text(&act.out, "tenant", reading->query->ended);
    }
    if (reading->decided.purpose != VAULT_NONE) {
        kl_json_add_text(
            &act.out, "purpose",
            vault_policy_purpose(reading->caller->policy, reading->decided.purpose)->name);
    }
    kl_json_add_int(&act.out, "counts", (int64_t)count);
    kl_json_key(&act.out, "fields");
    kl_json_array_begin(&act.out);
    for (i = 0; i < count && named < VAULT_STATISTICS_MAX; i++) {
        if (strcmp(last, cells[i].field) != 0) {
            last = cells[i].field;
            kl_json_put_text(&act.out, last);
            named++;
        }
    }
    kl_json_array_end(&act.out);
    status = vault_act_commit(reading->vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

enum kl_status vault_statistics_read(struct vault *vault, const struct vault_caller *caller,
                                     const struct vault_statistics_query *query,
                                     struct kl_arena *arena,
                                     struct vault_statistics_cell **ret_cells, size_t *ret_count,
                                     char *ret_cursor, struct kl_err *err)
{
    struct reading reading = {.vault = vault,
                              .caller = caller,
                              .query = query,
                              .decided = {.purpose = VAULT_NONE},
                              .to = MONTH_MAX,
                              .arena = arena,
                              .scratch = kl_arena_new(VAULT_WORK_MAX_BYTES)};
    struct kl_err own = {0};
    enum kl_status status = reading.scratch == NULL ? kl_fail_memory(err) : KL_OK;

    err = err == NULL ? &own : err;
    if (status == KL_OK) {
        status = check_caller(&reading, err);
    }
    if (status == KL_OK && (query->limit < 1 || query->limit > VAULT_PAGE_MAX)) {
        status = kl_failf(err, KL_ERR_INVALID, "invalid_limit", "limit is 1 to %d", VAULT_PAGE_MAX);
    }
    if (status == KL_OK) {
        status = month_parse(query->from, "from", &reading.from, err);
    }
    if (status == KL_OK) {
        status = month_parse(query->to, "to", &reading.to, err);
    }
    if (status == KL_OK) {
        status = vault_walks_take(vault, err);
    }
    if (status == KL_OK) {
        status = read_rows(&reading, err);
        vault_walks_give(vault);
    }
    if (status == KL_OK) {
        sort_and_add(&reading);
        status = page(&reading, ret_cells, ret_count, ret_cursor, err);
    }
    if (status == KL_OK) {
        status = say(&reading, *ret_cells, *ret_count, err);
    }
    free(reading.cells);
    kl_arena_free(reading.scratch);
    return status;
}
