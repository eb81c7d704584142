/* The report as JSON. */
#include "vault/breach_internal.h"

#include "vault/audit.h"
#include "vault/report_parts.h"

#include <string.h>

static const char *const word_names[VAULT_BREACH_CLASSES][VAULT_WORDS] = {
    [VAULT_BREACH_ACCESSED] = {"action", "field", "view", "purpose", "recipient"},
    [VAULT_BREACH_CHANGED] = {"action", "field", "what", "purpose", "recipient"},
    [VAULT_BREACH_WITHHELD] = {"action", "field", "gate", "purpose", "recipient"},
    [VAULT_BREACH_REFUSED] = {"action", "reason", "purpose"},
    [VAULT_BREACH_ACT] = {"action"},
    [VAULT_BREACH_PLACE] = {"location"},
    [VAULT_BREACH_TRANSFER] = {"transfer"},
    [VAULT_BREACH_MADE] = {"credential", "role", "location", "expires_at", "recipient"},
    [VAULT_BREACH_BY] = {"credential", "role"}};
static const char *const list_names[VAULT_BREACH_CLASSES] = {[VAULT_BREACH_ACCESSED] = "accessed",
                                                             [VAULT_BREACH_CHANGED] = "changed",
                                                             [VAULT_BREACH_WITHHELD] = "withheld",
                                                             [VAULT_BREACH_REFUSED] = "refused",
                                                             [VAULT_BREACH_ACT] = "acts",
                                                             [VAULT_BREACH_PLACE] = "places",
                                                             [VAULT_BREACH_TRANSFER] = "transfers",
                                                             [VAULT_BREACH_MADE] =
                                                                 "credentials_made",
                                                             [VAULT_BREACH_BY] = "by"};

static const char *or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
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
    if (vault_breach_tells(row->class)) {
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

/* Which rows of that list tell of this person: their places in it, from 0. */
static void write_places(const struct vault_breach *breach, size_t person,
                         enum vault_breach_class class, struct kl_json_out *out)
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
        if (vault_breach_person_has(&rows[i], person)) {
            kl_json_put_int(out, (int64_t)place);
        }
        place++;
    }
    kl_json_array_end(out);
}

static void write_person(const struct vault_breach *breach, size_t number, struct kl_json_out *out)
{
    static const char *const states[] = {[VAULT_BREACH_PRESENT] = "present",
                                         [VAULT_BREACH_GONE] = "erased",
                                         [VAULT_BREACH_UNREADABLE] = "unreadable"};
    char id[KL_ID_TEXT_BYTES];
    size_t count = 0;
    uint32_t at;
    const struct vault_breach_person *person = &vault_breach_people(breach->tally, &count)[number];
    const struct vault_breach_found *found = &breach->found[number];
    const struct vault_breach_record *records = vault_breach_records(breach->tally, &count);

    kl_id_format("sub", &found->id, id);
    kl_json_object_begin(out);
    kl_json_add_int(out, "slot", (int64_t)person->slot);
    kl_json_add_text(out, "subject", found->is_named ? id : NULL);
    kl_json_add_text(out, "state", states[found->state]);
    write_places(breach, number, VAULT_BREACH_ACCESSED, out);
    write_places(breach, number, VAULT_BREACH_CHANGED, out);
    write_places(breach, number, VAULT_BREACH_TRANSFER, out);
    write_places(breach, number, VAULT_BREACH_BY, out);
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

/* ---- where it went ---- */

static void write_country(struct kl_json_out *out, struct vault_country country, const char *by,
                          const char *name)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "country", country.code);
    kl_json_add_bool(out, "outside_eea", !vault_country_in_eea(country));
    kl_json_add_text(out, "by", by);
    kl_json_add_text(out, "recipient", name);
    kl_json_object_end(out);
}

/* The country of a recipient as the newest policy that knows it says. False: none does. */
static bool find_recipient(const struct vault_breach *breach, const char *name,
                           struct vault_country *ret)
{
    bool found = false;
    size_t i;

    for (i = 0; i < breach->policy_count; i++) {
        const struct vault_policy *policy = breach->policies[i];
        int number = policy == NULL ? VAULT_NONE : vault_policy_recipient_find(policy, name);

        if (number != VAULT_NONE) {
            *ret = vault_policy_recipient(policy, number)->country;
            found = true;
        }
    }
    return found;
}

/* Whether an earlier row of what was shown is for the same recipient. */
static bool was_told(const struct vault_breach_row *rows, size_t before, const char *recipient)
{
    size_t i;

    for (i = 0; i < before; i++) {
        if (rows[i].class == VAULT_BREACH_ACCESSED && strcmp(rows[i].words[4], recipient) == 0) {
            return true;
        }
    }
    return false;
}

/* Countries that credentials declare, and those of recipients for whom something was shown. */
static void write_countries(const struct vault_breach *breach, struct kl_json_out *out)
{
    size_t count = 0;
    size_t i;
    const struct vault_breach_row *rows = vault_breach_rows(breach->tally, &count);

    kl_json_key(out, "countries");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        const char *place = rows[i].words[0];
        const char *recipient = rows[i].words[4];
        struct vault_country country = {{0}};

        if (rows[i].class == VAULT_BREACH_PLACE &&
            vault_country_parse(place, strlen(place), &country, NULL) == KL_OK) {
            write_country(out, country, "credential", NULL);
        } else if (rows[i].class == VAULT_BREACH_ACCESSED && recipient[0] != '\0' &&
                   !was_told(rows, i, recipient) && find_recipient(breach, recipient, &country)) {
            write_country(out, country, "recipient", recipient);
        }
    }
    kl_json_array_end(out);
}

/* ---- the people ---- */

static void write_people(const struct vault_breach *breach, struct kl_json_out *out)
{
    size_t count = 0;
    size_t i;

    (void)vault_breach_people(breach->tally, &count);
    kl_json_key(out, "subjects");
    kl_json_array_begin(out);
    for (i = 0; !breach->whole && i < count; i++) {
        write_person(breach, i, out);
    }
    kl_json_array_end(out);
}

/* ---- to whom, by when ---- */

static void write_duty(const struct vault_breach *breach, struct kl_json_out *out)
{
    const struct vault_policy_controller none = {.acting_as = "controller"};
    const struct vault_policy *policy = breach->caller->policy;
    const struct vault_policy_controller *of =
        policy == NULL ? &none : vault_policy_controller(policy);

    kl_json_add_time(out, "aware_at", breach->aware_us);
    kl_json_add_time(out, "notify_authority_by", breach->aware_us + VAULT_BREACH_DEADLINE_US);
    kl_json_add_text(out, "acting_as", of->acting_as);
    kl_json_key(out, "controller");
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", of->name);
    kl_json_add_text(out, "country", or_null(of->country.code));
    kl_json_add_text(out, "contact", of->contact);
    kl_json_add_text(out, "dpo", of->dpo);
    kl_json_add_text(out, "authority", of->authority);
    vault_report_add_party(out, "representative", &of->representative);
    vault_report_add_joint(out, of);
    kl_json_object_end(out);
    kl_json_key(out, "processor");
    if (of->processor_name == NULL) {
        kl_json_put_null(out);
        return;
    }
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", of->processor_name);
    kl_json_add_text(out, "country", of->processor_country.code);
    kl_json_add_text(out, "contact", of->processor_contact);
    kl_json_add_text(out, "dpo", of->processor_dpo);
    kl_json_object_end(out);
}

/* ---- the whole ---- */

static void write_credentials(const struct vault_breach *breach, struct kl_json_out *out)
{
    const char *sought = breach->sought[0];
    size_t i;

    kl_json_key(out, "credential");
    if (breach->credential_count == 1) {
        kl_json_object_begin(out);
        vault_credential_write(out, &breach->credentials[0]);
        kl_json_object_end(out);
    } else {
        kl_json_put_null(out);
    }
    kl_json_key(out, "credentials");
    kl_json_array_begin(out);
    for (i = 0; i < breach->credential_count; i++) {
        kl_json_object_begin(out);
        vault_credential_write(out, &breach->credentials[i]);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
    kl_json_add_text(out, "role", breach->start == VAULT_BREACH_ROLE ? sought : NULL);
    kl_json_add_text(out, "recipient", breach->start == VAULT_BREACH_RECIPIENT ? sought : NULL);
}

/* Whether entries of the period may have gone by the policy's period: the first that is there is the first of all that are. */
static bool is_pruned(const struct vault_breach *breach)
{
    return breach->pruned_until > 0 && breach->first <= breach->pruned_until;
}

/* That this report was made, and the trail behind that: what it says can be held against it. */
static enum kl_status write_evidence(const struct vault_breach *breach, struct kl_json_out *out,
                                     struct kl_err *err)
{
    char id[KL_ID_TEXT_BYTES];
    struct kl_buf head;
    enum kl_status status = KL_OK;

    kl_buf_init(&head, KL_TRAIL_JSON_MAX_BYTES);
    status = vault_trails_head(breach->vault->trails, breach->tenant, breach->caller->tenant_name,
                               &head, err);
    kl_id_format("aud", &breach->entry, id);
    kl_json_key(out, "evidence");
    kl_json_object_begin(out);
    kl_json_add_text(out, "entry", id);
    kl_json_key(out, "head");
    kl_json_put_raw(out, head.bytes, head.size);
    kl_json_object_end(out);
    kl_buf_done(&head);
    return status;
}

enum kl_status vault_breach_write(const struct vault_breach *breach, const char *cursor,
                                  struct kl_json_out *out, struct kl_err *err)
{
    enum vault_breach_class class;
    enum kl_status status = KL_OK;

    kl_json_object_begin(out);
    write_credentials(breach, out);
    kl_json_add_text(out, "tenant", breach->caller->tenant_name);
    kl_json_add_time(out, "made_at", breach->caller->now_us);
    kl_json_add_time(out, "from", breach->from_us);
    kl_json_add_time(out, "to", breach->to_us);
    kl_json_add_bool(out, "complete",
                     breach->of_start && !breach->more && breach->lost == 0 && !is_pruned(breach));
    kl_json_key(out, "entries");
    kl_json_object_begin(out);
    kl_json_add_int(out, "from", (int64_t)breach->first);
    kl_json_add_int(out, "to", (int64_t)breach->next);
    kl_json_add_int(out, "of_credential", (int64_t)breach->of_credential);
    kl_json_add_int(out, "lost", (int64_t)breach->lost);
    kl_json_add_int(out, "pruned_until", (int64_t)breach->pruned_until);
    kl_json_object_end(out);
    status = vault_breach_write_counts(breach, out, err);
    if (status == KL_OK) {
        status = vault_breach_write_types(breach, out, err);
    }
    if (status != KL_OK) {
        return status;
    }
    write_kinds(breach, "categories", false, out);
    write_kinds(breach, "special_categories", true, out);
    write_countries(breach, out);
    for (class = 0; class < VAULT_BREACH_CLASSES; class ++) {
        write_rows(breach, class, out);
    }
    write_people(breach, out);
    write_duty(breach, out);
    status = write_evidence(breach, out, err);
    kl_json_add_text(out, "next_cursor", or_null(cursor));
    kl_json_object_end(out);
    return status;
}
