/* How many people a breach report is about, in which ways. */
#include "vault/breach_internal.h"

#include <string.h>

static bool is_accessed(const struct vault_breach_row *row, const void *context)
{
    (void)context;
    return row->class == VAULT_BREACH_ACCESSED;
}

/* Whether what was seen of a field is more than a part of it or what stands for it: the value, that it was found, that it matched, what lies beside. */
static bool is_in_plain(const struct vault_breach_row *row, const void *context)
{
    const char *view = row->words[2];

    return is_accessed(row, context) && strcmp(view, "masked") != 0 && strcmp(view, "token") != 0 &&
           strcmp(view, "present") != 0;
}

static bool is_changed(const struct vault_breach_row *row, const void *context)
{
    (void)context;
    return row->class == VAULT_BREACH_CHANGED;
}

/* Whether the change took something away. */
static bool is_removed(const struct vault_breach_row *row, const void *context)
{
    return is_changed(row, context) &&
           (strcmp(row->words[0], "erase") == 0 || strcmp(row->words[0], "erase_record") == 0 ||
            strcmp(row->words[2], "removed") == 0);
}

/* Whether a field of that record type was seen or changed. */
static bool is_of_type(const struct vault_breach_row *row, const void *type)
{
    const size_t size = strlen(type);

    return (is_accessed(row, NULL) || is_changed(row, NULL)) &&
           strncmp(row->words[1], type, size) == 0 && row->words[1][size] == '.';
}

static enum kl_status add_count(const struct vault_breach *breach, const char *key,
                                bool (*counts)(const struct vault_breach_row *row,
                                               const void *context),
                                const void *context, struct kl_json_out *out, struct kl_err *err)
{
    size_t people = 0;
    enum kl_status status = vault_breach_count(breach->tally, counts, context, &people, err);

    kl_json_add_int(out, key, (int64_t)people);
    return status;
}

static enum kl_status add_ways(const struct vault_breach *breach, struct kl_json_out *out,
                               struct kl_err *err)
{
    static const struct {
        const char *key;
        bool (*counts)(const struct vault_breach_row *row, const void *context);
    } ways[] = {{"accessed", is_accessed},
                {"in_plain", is_in_plain},
                {"changed", is_changed},
                {"removed", is_removed}};
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < sizeof ways / sizeof ways[0]; i++) {
        status = add_count(breach, ways[i].key, ways[i].counts, NULL, out, err);
    }
    return status;
}

static void add_time(struct kl_json_out *out, const char *key, bool is_set, int64_t time_us)
{
    if (is_set) {
        kl_json_add_time(out, key, time_us);
    } else {
        kl_json_add_text(out, key, NULL);
    }
}

enum kl_status vault_breach_write_counts(const struct vault_breach *breach, struct kl_json_out *out,
                                         struct kl_err *err)
{
    size_t count = 0;
    size_t records = 0;
    size_t i;
    const struct vault_breach_person *people = vault_breach_people(breach->tally, &count);
    size_t erased = 0;
    int64_t first_us = 0;
    int64_t last_us = 0;
    enum kl_status status = KL_OK;

    for (i = 0; i < count; i++) {
        erased += breach->found[i].state == VAULT_BREACH_GONE;
        first_us = i == 0 || people[i].first_us < first_us ? people[i].first_us : first_us;
        last_us = i == 0 || people[i].last_us > last_us ? people[i].last_us : last_us;
    }
    (void)vault_breach_records(breach->tally, &records);
    kl_json_key(out, "people");
    kl_json_object_begin(out);
    kl_json_add_int(out, "all", (int64_t)count);
    status = add_ways(breach, out, err);
    kl_json_add_int(out, "erased_since", (int64_t)erased);
    kl_json_object_end(out);
    kl_json_add_int(out, "records", (int64_t)records);
    add_time(out, "first_at", count > 0, first_us);
    add_time(out, "last_at", count > 0, last_us);
    return status;
}

/* ---- what people they are ---- */

/* The record type of a row's field, when it has one and none of the rows before has it. */
static bool is_new_type(const struct vault_breach_row *rows, size_t at,
                        char ret_type[VAULT_NAME_MAX_BYTES + 1])
{
    const char *field = rows[at].words[1];
    const char *dot = strchr(field, '.');
    size_t i;

    if ((!is_accessed(&rows[at], NULL) && !is_changed(&rows[at], NULL)) || dot == NULL ||
        (size_t)(dot - field) > VAULT_NAME_MAX_BYTES) {
        return false;
    }
    memcpy(ret_type, field, (size_t)(dot - field));
    ret_type[dot - field] = '\0';
    for (i = 0; i < at; i++) {
        if (is_of_type(&rows[i], ret_type)) {
            return false;
        }
    }
    return true;
}

/* The record type as the newest policy that knows it says; NULL: none does. */
static const struct vault_policy_record *find_record(const struct vault_breach *breach,
                                                     const char *type)
{
    const struct vault_policy_record *found = NULL;
    size_t i;

    for (i = 0; i < breach->policy_count; i++) {
        const struct vault_policy *policy = breach->policies[i];
        int number = policy == NULL ? VAULT_NONE : vault_policy_record_find(policy, type);

        found = number == VAULT_NONE ? found : vault_policy_record(policy, number);
    }
    return found;
}

enum kl_status vault_breach_write_types(const struct vault_breach *breach, struct kl_json_out *out,
                                        struct kl_err *err)
{
    char type[VAULT_NAME_MAX_BYTES + 1];
    size_t count = 0;
    size_t i;
    const struct vault_breach_row *rows = vault_breach_rows(breach->tally, &count);
    enum kl_status status = KL_OK;

    kl_json_key(out, "data_subjects");
    kl_json_array_begin(out);
    for (i = 0; status == KL_OK && i < count; i++) {
        if (is_new_type(rows, i, type)) {
            const struct vault_policy_record *record = find_record(breach, type);

            kl_json_object_begin(out);
            kl_json_add_text(out, "record_type", type);
            kl_json_add_text(out, "data_subjects", record == NULL ? NULL : record->data_subjects);
            kl_json_add_text(out, "description", record == NULL ? NULL : record->description);
            status = add_count(breach, "people", is_of_type, type, out, err);
            kl_json_object_end(out);
        }
    }
    kl_json_array_end(out);
    return status;
}
