/* The report as JSON. */
#include "vault/breach_internal.h"

#include <string.h>

static const char *const word_names[VAULT_BREACH_CLASSES][VAULT_WORDS] = {
    [VAULT_BREACH_ACCESSED] = {"action", "field", "view", "purpose", "recipient"},
    [VAULT_BREACH_CHANGED] = {"action", "field", "what", "purpose", "recipient"},
    [VAULT_BREACH_WITHHELD] = {"action", "field", "gate", "purpose", "recipient"},
    [VAULT_BREACH_REFUSED] = {"action", "reason", "purpose"},
    [VAULT_BREACH_ACT] = {"action"},
    [VAULT_BREACH_PLACE] = {"location"},
    [VAULT_BREACH_TRANSFER] = {"transfer"},
    [VAULT_BREACH_MADE] = {"credential", "role", "location", "expires_at", "recipient"}};
static const char *const list_names[VAULT_BREACH_CLASSES] = {
    [VAULT_BREACH_ACCESSED] = "accessed",  [VAULT_BREACH_CHANGED] = "changed",
    [VAULT_BREACH_WITHHELD] = "withheld",  [VAULT_BREACH_REFUSED] = "refused",
    [VAULT_BREACH_ACT] = "acts",           [VAULT_BREACH_PLACE] = "places",
    [VAULT_BREACH_TRANSFER] = "transfers", [VAULT_BREACH_MADE] = "credentials_made"};

static bool is_about_people(enum vault_breach_class class)
{
    return class == VAULT_BREACH_ACCESSED || class == VAULT_BREACH_CHANGED ||
           class == VAULT_BREACH_TRANSFER;
}

static const char *or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static void add_time(struct kl_json_out *out, const char *key, bool is_set, int64_t time_us)
{
    if (is_set) {
        kl_json_add_time(out, key, time_us);
    } else {
        kl_json_add_text(out, key, NULL);
    }
}

/* ---- what kind of data a field is ---- */

/* As the newest policy that knows it says; special, when any says so. */
static void find_kinds(const struct vault_breach *breach, const char *name,
                       const char **ret_category, const char **ret_special)
{
    size_t i;

    *ret_category = NULL;
    *ret_special = NULL;
    for (i = 0; i < breach->policy_count; i++) {
        const struct vault_policy *policy = breach->policies[i];
        int field = policy == NULL ? VAULT_NONE : vault_breach_field(policy, name);

        if (field != VAULT_NONE) {
            const struct vault_policy_field *of = vault_policy_field(policy, field);

            *ret_category = of->category == NULL ? *ret_category : of->category;
            *ret_special = of->special == NULL ? *ret_special : of->special;
        }
    }
}

static void add_kinds(const struct vault_breach *breach, const char *name, struct kl_json_out *out)
{
    const char *category = NULL;
    const char *special = NULL;

    find_kinds(breach, name, &category, &special);
    kl_json_add_text(out, "category", category);
    kl_json_add_text(out, "special", special);
}

/* The kinds of all that was shown or changed, each once. */
static void write_kinds(const struct vault_breach *breach, const char *key, bool special,
                        struct kl_json_out *out)
{
    size_t count = 0;
    size_t i;
    size_t k;
    const struct vault_breach_row *rows = vault_breach_rows(breach->tally, &count);
    const char *said[VAULT_FIELDS_MAX];
    const char *kinds[2];
    size_t said_count = 0;

    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (i = 0; i < count && said_count < VAULT_FIELDS_MAX; i++) {
        if (rows[i].class != VAULT_BREACH_ACCESSED && rows[i].class != VAULT_BREACH_CHANGED) {
            continue;
        }
        find_kinds(breach, rows[i].words[1], &kinds[0], &kinds[1]);
        for (k = 0; kinds[special] != NULL && k < said_count; k++) {
            if (strcmp(said[k], kinds[special]) == 0) {
                break;
            }
        }
        if (kinds[special] != NULL && k == said_count) {
            said[said_count++] = kinds[special];
            kl_json_put_text(out, kinds[special]);
        }
    }
    kl_json_array_end(out);
}

/* ---- rows ---- */

static void write_row(const struct vault_breach *breach, const struct vault_breach_row *row,
                      struct kl_json_out *out)
{
    struct vault_country country;
    const char *place = row->words[0];
    size_t i;

    kl_json_object_begin(out);
    for (i = 0; i < VAULT_WORDS && word_names[row->class][i] != NULL; i++) {
        kl_json_add_text(out, word_names[row->class][i], or_null(row->words[i]));
    }
    if (row->class == VAULT_BREACH_ACCESSED || row->class == VAULT_BREACH_CHANGED) {
        add_kinds(breach, row->words[1], out);
    }
    if (row->class == VAULT_BREACH_PLACE) {
        kl_json_add_bool(out, "outside_eea",
                         vault_country_parse(place, strlen(place), &country, NULL) == KL_OK &&
                             !vault_country_in_eea(country));
    }
    if (is_about_people(row->class)) {
        kl_json_add_int(out, "people", (int64_t)row->people);
    }
    kl_json_add_int(out, "times", (int64_t)row->times);
    kl_json_add_time(out, "first_at", row->first_us);
    kl_json_add_time(out, "last_at", row->last_us);
    kl_json_object_end(out);
}

static void write_rows(const struct vault_breach *breach, enum vault_breach_class class,
                       struct kl_json_out *out)
{
    size_t count = 0;
    size_t i;
    const struct vault_breach_row *rows = vault_breach_rows(breach->tally, &count);

    kl_json_key(out, list_names[class]);
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        if (rows[i].class == class) {
            write_row(breach, &rows[i], out);
        }
    }
    kl_json_array_end(out);
}

/* ---- people ---- */

static bool has_class(const struct vault_breach *breach, const struct vault_breach_person *person,
                      enum vault_breach_class class)
{
    size_t count = 0;
    size_t i;
    const struct vault_breach_row *rows = vault_breach_rows(breach->tally, &count);

    for (i = 0; i < count; i++) {
        if (rows[i].class == class && vault_breach_person_has(person, i)) {
            return true;
        }
    }
    return false;
}

/* Which rows of that list tell of this person: their places in it, from 0. */
static void write_places(const struct vault_breach *breach,
                         const struct vault_breach_person *person, enum vault_breach_class class,
                         struct kl_json_out *out)
{
    size_t count = 0;
    size_t place = 0;
    size_t i;
    const struct vault_breach_row *rows = vault_breach_rows(breach->tally, &count);

    kl_json_key(out, list_names[class]);
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        if (rows[i].class != class) {
            continue;
        }
        if (vault_breach_person_has(person, i)) {
            kl_json_put_int(out, (int64_t)place);
        }
        place++;
    }
    kl_json_array_end(out);
}

static void write_person(const struct vault_breach *breach,
                         const struct vault_breach_person *person,
                         const struct vault_breach_found *found, struct kl_json_out *out)
{
    static const char *const states[] = {[VAULT_BREACH_PRESENT] = "present",
                                         [VAULT_BREACH_GONE] = "erased",
                                         [VAULT_BREACH_UNREADABLE] = "unreadable"};
    char id[KL_ID_TEXT_BYTES];
    size_t count = 0;
    uint32_t at;
    const struct vault_breach_record *records = vault_breach_records(breach->tally, &count);

    kl_id_format("sub", &found->id, id);
    kl_json_object_begin(out);
    kl_json_add_int(out, "slot", (int64_t)person->slot);
    kl_json_add_text(out, "subject", found->is_named ? id : NULL);
    kl_json_add_text(out, "state", states[found->state]);
    write_places(breach, person, VAULT_BREACH_ACCESSED, out);
    write_places(breach, person, VAULT_BREACH_CHANGED, out);
    write_places(breach, person, VAULT_BREACH_TRANSFER, out);
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    for (at = person->records; at != 0; at = records[at - 1].before) {
        kl_json_put_int(out, (int64_t)records[at - 1].value);
    }
    kl_json_array_end(out);
    kl_json_add_int(out, "times", (int64_t)person->times);
    kl_json_add_time(out, "first_at", person->first_us);
    kl_json_add_time(out, "last_at", person->last_us);
    kl_json_object_end(out);
}

static void write_counts(const struct vault_breach *breach, struct kl_json_out *out)
{
    size_t count = 0;
    size_t records = 0;
    size_t i;
    const struct vault_breach_person *people = vault_breach_people(breach->tally, &count);
    size_t seen = 0;
    size_t changed = 0;
    size_t erased = 0;
    int64_t first_us = 0;
    int64_t last_us = 0;

    for (i = 0; i < count; i++) {
        seen += has_class(breach, &people[i], VAULT_BREACH_ACCESSED);
        changed += has_class(breach, &people[i], VAULT_BREACH_CHANGED);
        erased += breach->found[i].state == VAULT_BREACH_GONE;
        first_us = i == 0 || people[i].first_us < first_us ? people[i].first_us : first_us;
        last_us = i == 0 || people[i].last_us > last_us ? people[i].last_us : last_us;
    }
    (void)vault_breach_records(breach->tally, &records);
    kl_json_key(out, "people");
    kl_json_object_begin(out);
    kl_json_add_int(out, "all", (int64_t)count);
    kl_json_add_int(out, "accessed", (int64_t)seen);
    kl_json_add_int(out, "changed", (int64_t)changed);
    kl_json_add_int(out, "erased_since", (int64_t)erased);
    kl_json_object_end(out);
    kl_json_add_int(out, "records", (int64_t)records);
    add_time(out, "first_at", count > 0, first_us);
    add_time(out, "last_at", count > 0, last_us);
}

static void write_people(const struct vault_breach *breach, struct kl_json_out *out)
{
    size_t count = 0;
    size_t i;
    const struct vault_breach_person *people = vault_breach_people(breach->tally, &count);

    kl_json_key(out, "subjects");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        write_person(breach, &people[i], &breach->found[i], out);
    }
    kl_json_array_end(out);
}

/* ---- to whom, by when ---- */

static void write_duty(const struct vault_breach *breach, struct kl_json_out *out)
{
    const struct vault_policy_controller none = {0};
    const struct vault_policy *policy = breach->caller->policy;
    const struct vault_policy_controller *of =
        policy == NULL ? &none : vault_policy_controller(policy);

    kl_json_add_time(out, "aware_at", breach->aware_us);
    kl_json_add_time(out, "notify_authority_by", breach->aware_us + VAULT_BREACH_DEADLINE_US);
    kl_json_key(out, "controller");
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", of->name);
    kl_json_add_text(out, "country", or_null(of->country.code));
    kl_json_add_text(out, "contact", of->contact);
    kl_json_add_text(out, "dpo", of->dpo);
    kl_json_add_text(out, "authority", of->authority);
    kl_json_object_end(out);
}

void vault_breach_write(const struct vault_breach *breach, const char *cursor,
                        struct kl_json_out *out)
{
    enum vault_breach_class class;

    kl_json_object_begin(out);
    kl_json_key(out, "credential");
    kl_json_object_begin(out);
    vault_credential_write(out, &breach->credential);
    kl_json_object_end(out);
    kl_json_add_time(out, "from", breach->from_us);
    kl_json_add_time(out, "to", breach->to_us);
    kl_json_key(out, "entries");
    kl_json_object_begin(out);
    kl_json_add_int(out, "from", (int64_t)breach->first);
    kl_json_add_int(out, "to", (int64_t)breach->next);
    kl_json_add_int(out, "of_credential", (int64_t)breach->of_credential);
    kl_json_add_int(out, "lost", (int64_t)breach->lost);
    kl_json_add_int(out, "pruned_until", (int64_t)breach->pruned_until);
    kl_json_object_end(out);
    write_counts(breach, out);
    write_kinds(breach, "categories", false, out);
    write_kinds(breach, "special_categories", true, out);
    for (class = 0; class < VAULT_BREACH_CLASSES; class ++) {
        write_rows(breach, class, out);
    }
    write_people(breach, out);
    write_duty(breach, out);
    kl_json_add_text(out, "next_cursor", or_null(cursor));
    kl_json_object_end(out);
}
