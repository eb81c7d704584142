#include "vault/breach_tally.h"

#include "vault/audit_action.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The most that one entry can add: a policy's fields shown and withheld, its transfers, and a few; a record takes at least `0,`. */
#define ENTRY_ROWS_MAX (2 * VAULT_FIELDS_MAX + VAULT_TRANSFERS_MAX + 8)
#define ENTRY_RECORDS_MAX (VAULT_AUDIT_ENTRY_MAX_BYTES / 2)
#define FIELD_NAME_BYTES 256

_Static_assert(ENTRY_ROWS_MAX <= VAULT_BREACH_ROWS_MAX, "any entry fits an empty tally");
_Static_assert(ENTRY_RECORDS_MAX <= VAULT_BREACH_RECORDS_MIN, "any entry fits an empty tally");

/* Tables hold an index plus 1, in the first free place from the hash on. */
struct vault_breach_tally {
    struct vault_word_table *words; /* of the rows, by their numbers */
    struct vault_breach_row *rows;
    struct vault_breach_person *people;
    size_t people_count;
    size_t people_max;
    struct vault_breach_record *records;
    size_t record_count;
    size_t records_max;
    uint64_t policies[VAULT_BREACH_POLICIES_MAX];
    size_t policy_count;
    uint32_t *people_table;  /* twice people_max */
    uint32_t *records_table; /* twice records_max */
};

struct vault_breach_tally *vault_breach_tally_new(size_t people_max)
{
    struct vault_breach_tally *tally = calloc(1, sizeof *tally);

    assert(people_max >= 1 && people_max <= VAULT_BREACH_PEOPLE_MAX);
    if (tally == NULL) {
        return NULL;
    }
    tally->people_max = people_max;
    tally->records_max = VAULT_BREACH_RECORDS_PER_PERSON * people_max > VAULT_BREACH_RECORDS_MIN
                             ? VAULT_BREACH_RECORDS_PER_PERSON * people_max
                             : VAULT_BREACH_RECORDS_MIN;
    tally->words = vault_word_table_new(VAULT_BREACH_ROWS_MAX, VAULT_BREACH_WORDS_BYTES);
    tally->rows = calloc(VAULT_BREACH_ROWS_MAX, sizeof tally->rows[0]);
    tally->people = calloc(people_max, sizeof tally->people[0]);
    tally->records = calloc(tally->records_max, sizeof tally->records[0]);
    tally->people_table = calloc(2 * people_max, sizeof tally->people_table[0]);
    tally->records_table = calloc(2 * tally->records_max, sizeof tally->records_table[0]);
    if (tally->words == NULL || tally->rows == NULL || tally->people == NULL ||
        tally->records == NULL || tally->people_table == NULL || tally->records_table == NULL) {
        vault_breach_tally_free(tally);
        return NULL;
    }
    return tally;
}

void vault_breach_tally_free(struct vault_breach_tally *tally)
{
    if (tally != NULL) {
        for (size_t i = 0; tally->rows != NULL && i < VAULT_BREACH_ROWS_MAX; i++) {
            free(tally->rows[i].who);
        }
        vault_word_table_free(tally->words);
        free(tally->rows);
        free(tally->people);
        free(tally->records);
        free(tally->people_table);
        free(tally->records_table);
        free(tally);
    }
}

const struct vault_breach_row *vault_breach_rows(const struct vault_breach_tally *tally,
                                                 size_t *ret_count)
{
    *ret_count = vault_word_table_count(tally->words);
    return tally->rows;
}

const struct vault_breach_person *vault_breach_people(const struct vault_breach_tally *tally,
                                                      size_t *ret_count)
{
    *ret_count = tally->people_count;
    return tally->people;
}

const struct vault_breach_record *vault_breach_records(const struct vault_breach_tally *tally,
                                                       size_t *ret_count)
{
    *ret_count = tally->record_count;
    return tally->records;
}

const uint64_t *vault_breach_policies(const struct vault_breach_tally *tally, size_t *ret_count)
{
    *ret_count = tally->policy_count;
    return tally->policies;
}

/* ---- people, records, policies ---- */

static uint64_t mix(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

/* Where the slot is in the table, or the free place where it belongs. */
static size_t person_place(const struct vault_breach_tally *tally, uint64_t slot)
{
    const size_t size = 2 * tally->people_max;
    size_t at = (size_t)(mix(slot) % size);

    while (tally->people_table[at] != 0 &&
           tally->people[tally->people_table[at] - 1].slot != slot) {
        at = (at + 1) % size;
    }
    return at;
}

static uint32_t person_of(struct vault_breach_tally *tally, uint64_t slot, int64_t at_us)
{
    size_t at = person_place(tally, slot);
    struct vault_breach_person *person;

    if (tally->people_table[at] == 0) {
        assert(tally->people_count < tally->people_max);
        person = &tally->people[tally->people_count++];
        person->slot = slot;
        person->first_us = at_us;
        person->last_us = at_us;
        tally->people_table[at] = (uint32_t)tally->people_count;
    }
    person = &tally->people[tally->people_table[at] - 1];
    person->times++;
    person->first_us = at_us < person->first_us ? at_us : person->first_us;
    person->last_us = at_us > person->last_us ? at_us : person->last_us;
    return tally->people_table[at] - 1;
}

/* False: there is no room for it. */
static bool record_of(struct vault_breach_tally *tally, uint32_t person, int64_t value)
{
    const size_t size = 2 * tally->records_max;
    size_t at = (size_t)(mix(mix((uint64_t)value) + person) % size);
    const struct vault_breach_record *seen;

    for (; tally->records_table[at] != 0; at = (at + 1) % size) {
        seen = &tally->records[tally->records_table[at] - 1];
        if (seen->person == person && seen->value == (uint64_t)value) {
            return true;
        }
    }
    if (tally->record_count == tally->records_max) {
        return false;
    }
    tally->records[tally->record_count++] = (struct vault_breach_record){
        .value = (uint64_t)value, .person = person, .before = tally->people[person].records};
    tally->people[person].records = (uint32_t)tally->record_count;
    tally->records_table[at] = (uint32_t)tally->record_count;
    return true;
}

static bool has_policy(const struct vault_breach_tally *tally, int64_t policy)
{
    size_t i;

    for (i = 0; i < tally->policy_count; i++) {
        if (tally->policies[i] == (uint64_t)policy) {
            return true;
        }
    }
    return policy <= 0;
}

bool vault_breach_has_room(const struct vault_breach_tally *tally, int64_t slot, int64_t policy)
{
    return vault_word_table_count(tally->words) + ENTRY_ROWS_MAX <= VAULT_BREACH_ROWS_MAX &&
           tally->record_count + ENTRY_RECORDS_MAX <= tally->records_max &&
           (tally->people_count < tally->people_max || slot < 0 ||
            tally->people_table[person_place(tally, (uint64_t)slot)] != 0) &&
           (tally->policy_count < VAULT_BREACH_POLICIES_MAX || has_policy(tally, policy));
}

/* ---- rows ---- */

/* One entry as it is added. person: VAULT_NONE where it is about nobody. */
struct adding {
    struct vault_breach_tally *tally;
    const struct vault_audit_said *said;
    uint64_t seq;
    int64_t person;
    const char *recipient;
    enum kl_status status;
    struct kl_err *err;
};

bool vault_breach_tells(enum vault_breach_class class)
{
    return class == VAULT_BREACH_ACCESSED || class == VAULT_BREACH_CHANGED ||
           class == VAULT_BREACH_TRANSFER || class == VAULT_BREACH_BY;
}

static void fail_damaged(struct adding *adding)
{
    kl_err_clear(adding->err);
    adding->status = kl_fail(adding->err, KL_ERR_CORRUPT, "audit_damaged",
                             "an entry of the audit trail is damaged", "it says too much");
}

/* Of a set of people, a bit each. */
static size_t people_words(const struct vault_breach_tally *tally)
{
    return (tally->people_max + 63) / 64;
}

/* The row of these words, made when there is none; NULL when it cannot be. */
static struct vault_breach_row *row_of(struct adding *adding, const struct vault_words *words)
{
    struct vault_breach_tally *tally = adding->tally;
    size_t before = vault_word_table_count(tally->words);
    size_t at = 0;

    adding->status = adding->status == KL_OK
                         ? vault_word_table_take(tally->words, words, &at, adding->err)
                         : adding->status;
    if (adding->status == KL_ERR_TOO_LARGE) {
        fail_damaged(adding);
    }
    if (adding->status != KL_OK) {
        return NULL;
    }
    if (at == before) {
        tally->rows[at] = (struct vault_breach_row){.class = (enum vault_breach_class)words->kind,
                                                    .first_us = adding->said->at_us,
                                                    .last_us = adding->said->at_us};
        memcpy(tally->rows[at].words, vault_word_table_at(tally->words, at)->words,
               sizeof tally->rows[at].words);
        if (vault_breach_tells(tally->rows[at].class)) {
            tally->rows[at].who = calloc(people_words(tally), sizeof tally->rows[at].who[0]);
            if (tally->rows[at].who == NULL) {
                adding->status = kl_fail_memory(adding->err);
                return NULL;
            }
        }
    }
    return &tally->rows[at];
}

static void person_mark(struct adding *adding, struct vault_breach_row *row)
{
    const size_t person = (size_t)adding->person;

    if (adding->person != VAULT_NONE && !vault_breach_person_has(row, person)) {
        row->who[person / 64] |= UINT64_C(1) << (person % 64);
        row->people++;
    }
}

/* Count the entry for a row: once, however often it says the same. NULL words are empty. */
static void count(struct adding *adding, enum vault_breach_class class, const char *a,
                  const char *b, const char *c, const char *d, const char *e)
{
    const struct vault_words words = {.kind = class, .words = {a, b, c, d, e}};
    const int64_t at_us = adding->said->at_us;
    struct vault_breach_row *row = row_of(adding, &words);

    if (row == NULL) {
        return;
    }
    if (row->last_seq != adding->seq + 1) {
        row->last_seq = adding->seq + 1;
        row->times++;
    }
    row->first_us = at_us < row->first_us ? at_us : row->first_us;
    row->last_us = at_us > row->last_us ? at_us : row->last_us;
    if (vault_breach_tells(class)) {
        person_mark(adding, row);
    }
}

/* ---- what an entry says ---- */

static const struct kl_json_value *member(const struct adding *adding, const char *key)
{
    return kl_json_member(adding->said->root, key);
}

static void count_field(struct adding *adding, enum vault_breach_class class, const char *type,
                        const char *field, const char *how)
{
    char name[FIELD_NAME_BYTES];

    if (type == NULL) {
        count(adding, class, adding->said->action, field, how, adding->said->purpose,
              adding->recipient);
        return;
    }
    (void)snprintf(name, sizeof name, "%s.%s", type, field == NULL ? "" : field);
    count(adding, class, adding->said->action, name, how, adding->said->purpose, adding->recipient);
}

/* {"name":"masked",...}: how each field was shown, or which gate withheld it. */
static size_t count_fields(struct adding *adding, enum vault_breach_class class, const char *type,
                           const struct kl_json_value *fields)
{
    struct kl_json_iter iter = kl_json_iter(fields);
    const struct kl_json_value *how = NULL;
    const char *field = NULL;
    size_t found = 0;

    while (kl_json_next(&iter, &field, &how)) {
        if (field != NULL) {
            count_field(adding, class, type, field, kl_json_text(how));
            found++;
        }
    }
    return found;
}

static void count_record(struct adding *adding, const struct kl_json_value *record)
{
    int64_t value = 0;

    if (adding->person != VAULT_NONE && kl_json_int(record, &value) && value >= 0 &&
        !record_of(adding->tally, (uint32_t)adding->person, value)) {
        fail_damaged(adding);
    }
}

static void become_person(struct adding *adding)
{
    if (adding->person == VAULT_NONE && adding->said->slot >= 0) {
        adding->person =
            person_of(adding->tally, (uint64_t)adding->said->slot, adding->said->at_us);
    }
}

static void count_transfers(struct adding *adding)
{
    struct kl_json_iter iter = kl_json_iter(member(adding, "transfers"));
    const struct kl_json_value *line = NULL;

    while (kl_json_next(&iter, NULL, &line)) {
        count(adding, VAULT_BREACH_TRANSFER, kl_json_text(line), NULL, NULL, NULL, NULL);
    }
}

/* Whether a read showed any field: only then was anything of the person seen. */
static bool shows_any(const struct kl_json_value *shown)
{
    struct kl_json_iter iter = kl_json_iter(shown);
    const struct kl_json_value *block = NULL;

    while (kl_json_next(&iter, NULL, &block)) {
        if (kl_json_count(kl_json_member(block, "fields")) > 0) {
            return true;
        }
    }
    return false;
}

/* [{"type","records":[...],"fields":{...},"withheld":{...}},...], and, of an export of the tenant, how much beside the records ("beside"). */
static void add_shown(struct adding *adding, const struct kl_json_value *shown)
{
    struct kl_json_iter iter = kl_json_iter(shown);
    struct kl_json_iter records;
    const struct kl_json_value *block = NULL;
    const struct kl_json_value *record = NULL;
    int64_t beside = 0;

    if (kl_json_int(member(adding, "beside"), &beside) && beside > 0) {
        become_person(adding);
        count_field(adding, VAULT_BREACH_ACCESSED, NULL, NULL, NULL);
    }
    if (shows_any(shown)) {
        become_person(adding);
    }
    while (kl_json_next(&iter, NULL, &block)) {
        const char *type = kl_json_text(kl_json_member(block, "type"));
        bool some =
            count_fields(adding, VAULT_BREACH_ACCESSED, type, kl_json_member(block, "fields")) > 0;

        (void)count_fields(adding, VAULT_BREACH_WITHHELD, type, kl_json_member(block, "withheld"));
        records = kl_json_iter(kl_json_member(block, "records"));
        while (some && kl_json_next(&records, NULL, &record)) {
            count_record(adding, record);
        }
    }
}

/* A field that a search or a verification was about. */
static void add_matched(struct adding *adding, const char *how)
{
    become_person(adding);
    count_field(adding, VAULT_BREACH_ACCESSED, NULL, kl_json_text(member(adding, "field")), how);
    count_record(adding, member(adding, "record"));
}

/* Fields of a change: {"name":"set"} of one type, {"type":["name"]} of several, or ["type.name"]. */
static void add_changed(struct adding *adding)
{
    const struct kl_json_value *fields = member(adding, "fields");
    const char *type = kl_json_text(member(adding, "type"));
    struct kl_json_iter iter = kl_json_iter(fields);
    struct kl_json_iter names;
    const struct kl_json_value *item = NULL;
    const struct kl_json_value *name = NULL;
    const char *key = NULL;
    size_t found = 0;

    become_person(adding);
    while (kl_json_next(&iter, &key, &item)) {
        if (kl_json_type(item) == KL_JSON_ARRAY) {
            names = kl_json_iter(item);
            while (kl_json_next(&names, NULL, &name)) {
                count_field(adding, VAULT_BREACH_CHANGED, key, kl_json_text(name), "set");
                found++;
            }
        } else if (key != NULL) {
            count_field(adding, VAULT_BREACH_CHANGED, type, key, kl_json_text(item));
            found++;
        } else {
            count_field(adding, VAULT_BREACH_CHANGED, NULL, kl_json_text(item), "noted");
            found++;
        }
    }
    if (found == 0) {
        count_field(adding, VAULT_BREACH_CHANGED, NULL, NULL, NULL);
    }
    count_record(adding, member(adding, "record"));
}

/* Of an action that is not known here, as of an earlier version's, the worst is assumed. */
static enum vault_audit_effect effect_of(const char *name)
{
    const struct vault_audit_action *action = vault_audit_action_find(name);

    return action == NULL ? VAULT_AUDIT_SHOWS : action->effect;
}

static void add_made(struct adding *adding)
{
    count(adding, VAULT_BREACH_MADE, kl_json_text(member(adding, "target")),
          kl_json_text(member(adding, "target_role")),
          kl_json_text(member(adding, "target_location")),
          kl_json_text(member(adding, "expires_at")),
          kl_json_text(member(adding, "target_recipient")));
}

static void add_done(struct adding *adding)
{
    const struct vault_audit_said *said = adding->said;
    const enum vault_audit_effect effect = effect_of(said->action);
    const struct kl_json_value *shown = member(adding, "shown");

    if (kl_json_type(shown) == KL_JSON_ARRAY) {
        add_shown(adding, shown);
    } else if (said->slot < 0 || effect == VAULT_AUDIT_RUNS) {
        count(adding, VAULT_BREACH_ACT, said->action, NULL, NULL, NULL, NULL);
        if (strcmp(said->action, "credential_create") == 0) {
            add_made(adding);
        }
    } else if (strcmp(said->action, "lookup") == 0) {
        add_matched(adding, "found");
    } else if (strcmp(said->action, "verify") == 0) {
        if (kl_json_bool(member(adding, "match"))) {
            add_matched(adding, "matched");
        } else {
            count(adding, VAULT_BREACH_REFUSED, said->action, "no_match", said->purpose, NULL,
                  NULL);
        }
    } else if (effect == VAULT_AUDIT_CHANGES) {
        add_changed(adding);
    } else {
        become_person(adding);
        count_field(adding, VAULT_BREACH_ACCESSED, NULL, NULL, NULL);
    }
    count_transfers(adding);
}

enum kl_status vault_breach_add(struct vault_breach_tally *tally, uint64_t seq,
                                const struct vault_audit_said *said, struct kl_err *err)
{
    struct adding adding = {.tally = tally,
                            .said = said,
                            .seq = seq,
                            .person = VAULT_NONE,
                            .status = KL_OK,
                            .err = err};

    adding.recipient = kl_json_text(member(&adding, "recipient"));
    if (!has_policy(tally, said->policy)) {
        assert(tally->policy_count < VAULT_BREACH_POLICIES_MAX);
        tally->policies[tally->policy_count++] = (uint64_t)said->policy;
    }
    count(&adding, VAULT_BREACH_PLACE, said->location, NULL, NULL, NULL, NULL);
    if (said->refused) {
        count(&adding, VAULT_BREACH_REFUSED, said->action, said->reason, said->purpose, NULL, NULL);
    } else {
        add_done(&adding);
    }
    count(&adding, VAULT_BREACH_BY, said->credential, said->role, NULL, NULL, NULL);
    return adding.status;
}

enum kl_status vault_breach_count(const struct vault_breach_tally *tally,
                                  bool (*counts)(const struct vault_breach_row *row,
                                                 const void *context),
                                  const void *context, size_t *ret_people, struct kl_err *err)
{
    const size_t words = people_words(tally);
    const size_t rows = vault_word_table_count(tally->words);
    uint64_t *who = calloc(words, sizeof who[0]);
    size_t people = 0;
    size_t i;
    size_t k;

    if (who == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < rows; i++) {
        if (tally->rows[i].who != NULL && counts(&tally->rows[i], context)) {
            for (k = 0; k < words; k++) {
                who[k] |= tally->rows[i].who[k];
            }
        }
    }
    for (k = 0; k < words; k++) {
        people += (size_t)__builtin_popcountll(who[k]);
    }
    free(who);
    *ret_people = people;
    return KL_OK;
}
