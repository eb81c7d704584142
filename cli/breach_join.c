#include "cli/breach_join.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

const char *const cli_breach_list_names[CLI_BREACH_LISTS] = {[CLI_BREACH_ACCESSED] = "accessed",
                                                             [CLI_BREACH_CHANGED] = "changed",
                                                             [CLI_BREACH_WITHHELD] = "withheld",
                                                             [CLI_BREACH_REFUSED] = "refused",
                                                             [CLI_BREACH_ACTS] = "acts",
                                                             [CLI_BREACH_PLACES] = "places",
                                                             [CLI_BREACH_TRANSFERS] = "transfers",
                                                             [CLI_BREACH_MADE] = "credentials_made",
                                                             [CLI_BREACH_BY] = "by",
                                                             [CLI_BREACH_COUNTRIES] = "countries",
                                                             [CLI_BREACH_TYPES] = "data_subjects"};

/* What differs from piece to piece of the same row. */
static const char *const sums[] = {"people", "times", "first_at", "last_at", NULL};

static const char *text_of(const struct kl_json_value *object, const char *key)
{
    return kl_json_text(kl_json_member(object, key));
}

static int64_t number_of(const struct kl_json_value *object, const char *key)
{
    int64_t number = 0;
    return kl_json_int(kl_json_member(object, key), &number) ? number : 0;
}

/* Times of one format: as texts they lie as they do as times. */
static const char *earlier(const char *a, const char *b)
{
    return a == NULL || (b != NULL && strcmp(b, a) < 0) ? b : a;
}

static const char *later(const char *a, const char *b)
{
    return a == NULL || (b != NULL && strcmp(b, a) > 0) ? b : a;
}

/* Room for one more behind count items of size bytes; NULL when there is none. */
static void *grow(void *items, size_t count, size_t size)
{
    if (count > 0 && (count & (count - 1)) != 0)
        return items;
    return reallocarray(items, count == 0 ? 1 : 2 * count, size);
}

/* ---- rows ---- */

static bool is_sum(const char *key)
{
    for (size_t i = 0; sums[i] != NULL; i++)
        if (strcmp(sums[i], key) == 0)
            return true;
    return false;
}

static bool is_same(const struct kl_json_value *a, const struct kl_json_value *b)
{
    const struct kl_json_value *value = NULL;
    const char *key = NULL;
    for (struct kl_json_iter iter = kl_json_iter(a); kl_json_next(&iter, &key, &value);) {
        const char *one = kl_json_text(value);
        const char *other = key != NULL ? text_of(b, key) : NULL;
        if (key == NULL || is_sum(key))
            continue;
        if ((one == NULL) != (other == NULL) || (one != NULL && strcmp(one, other) != 0))
            return false;
    }
    return true;
}

static enum kl_status take_row(struct cli_breach_rows *rows, const struct kl_json_value *json,
                               size_t *ret_number, struct kl_err *err)
{
    size_t at = 0;
    while (at < rows->count && !is_same(rows->items[at].json, json))
        at++;
    if (at == rows->count) {
        struct cli_breach_row *items = grow(rows->items, rows->count, sizeof *items);
        if (items == NULL)
            return kl_fail_memory(err);
        rows->items = items;
        rows->items[rows->count++] = (struct cli_breach_row){.json = json};
    }
    struct cli_breach_row *row = &rows->items[at];
    row->times += number_of(json, "times");
    row->first = earlier(row->first, text_of(json, "first_at"));
    row->last = later(row->last, text_of(json, "last_at"));
    *ret_number = at;
    return KL_OK;
}

/* One list of a piece. ret_numbers: by its places, where in the joined list they are; the caller's to free. */
static enum kl_status take_list(struct cli_breach_rows *rows, const struct kl_json_value *list,
                                size_t **ret_numbers, struct kl_err *err)
{
    const struct kl_json_value *row = NULL;
    size_t *numbers = calloc(kl_json_count(list) + 1, sizeof *numbers);
    enum kl_status status = numbers == NULL ? kl_fail_memory(err) : KL_OK;
    size_t at = 0;
    for (struct kl_json_iter iter = kl_json_iter(list);
         status == KL_OK && kl_json_next(&iter, NULL, &row);)
        status = take_row(rows, row, &numbers[at++], err);
    *ret_numbers = numbers;
    return status;
}

/* ---- people ---- */

static int compare_slots(const void *a, const void *b)
{
    const struct cli_breach_person *one = a;
    const struct cli_breach_person *other = b;
    return one->slot < other->slot ? -1 : one->slot > other->slot;
}

/* Add a number that is not among them yet. ret_is_new may be NULL. */
static enum kl_status take_number(struct cli_breach_numbers *numbers, int64_t number,
                                  bool *ret_is_new, struct kl_err *err)
{
    for (size_t i = 0; i < numbers->count; i++)
        if (numbers->items[i] == number)
            return KL_OK;
    int64_t *items = grow(numbers->items, numbers->count, sizeof *items);
    if (items == NULL)
        return kl_fail_memory(err);
    numbers->items = items;
    numbers->items[numbers->count++] = number;
    if (ret_is_new != NULL)
        *ret_is_new = true;
    return KL_OK;
}

static struct cli_breach_person *person_of(struct cli_breach *breach, int64_t slot,
                                           struct kl_err *err)
{
    struct cli_breach_person wanted = {.slot = slot};
    struct cli_breach_person **found = tfind(&wanted, &breach->by_slot, compare_slots);
    if (found != NULL)
        return *found;
    struct cli_breach_person **people =
        grow(breach->people, breach->people_count, sizeof(struct cli_breach_person *));
    struct cli_breach_person *person = calloc(1, sizeof *person);
    if (people != NULL)
        breach->people = people;
    if (people == NULL || person == NULL ||
        tsearch((person->slot = slot, person), &breach->by_slot, compare_slots) == NULL) {
        free(person);
        (void)kl_fail_memory(err);
        return NULL;
    }
    breach->people[breach->people_count++] = person;
    return person;
}

/* The rows of one list that tell of a person: places in the piece become numbers of the joined list. */
static enum kl_status take_marks(struct cli_breach_rows *rows, const struct kl_json_value *places,
                                 const size_t *numbers, size_t count,
                                 struct cli_breach_numbers *marks, struct kl_err *err)
{
    const struct kl_json_value *item = NULL;
    enum kl_status status = KL_OK;
    for (struct kl_json_iter iter = kl_json_iter(places);
         status == KL_OK && kl_json_next(&iter, NULL, &item);) {
        int64_t place = -1;
        bool is_new = false;
        if (!kl_json_int(item, &place) || place < 0 || (size_t)place >= count)
            return kl_fail(err, KL_ERR_INVALID, "unexpected_answer",
                           "the server's answer is none that is known here", NULL);
        status = take_number(marks, (int64_t)numbers[place], &is_new, err);
        rows->items[numbers[place]].people += is_new;
    }
    return status;
}

static enum kl_status take_person(struct cli_breach *breach, const struct kl_json_value *piece,
                                  const struct kl_json_value *json,
                                  size_t *const numbers[CLI_BREACH_LISTS], struct kl_err *err)
{
    const struct kl_json_value *item = NULL;
    struct cli_breach_person *person = person_of(breach, number_of(json, "slot"), err);
    if (person == NULL)
        return KL_ERR_NO_MEMORY;
    const char *subject = text_of(json, "subject");
    person->subject = subject != NULL ? subject : person->subject;
    const char *state = text_of(json, "state");
    person->state = state != NULL ? state : "";
    person->times += number_of(json, "times");
    person->first = earlier(person->first, text_of(json, "first_at"));
    person->last = later(person->last, text_of(json, "last_at"));
    enum kl_status status = KL_OK;
    for (int list = 0; status == KL_OK && list < CLI_BREACH_MARKS; list++) {
        const char *name = cli_breach_list_names[list];
        status = take_marks(&breach->lists[list], kl_json_member(json, name), numbers[list],
                            kl_json_count(kl_json_member(piece, name)), &person->marks[list], err);
    }
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(json, "records"));
         status == KL_OK && kl_json_next(&iter, NULL, &item);) {
        int64_t record = 0;
        if (kl_json_int(item, &record))
            status = take_number(&person->records, record, NULL, err);
    }
    return status;
}

/* ---- pieces ---- */

static enum kl_status take_piece(struct cli_breach *breach, const struct kl_json_value *piece,
                                 struct kl_err *err)
{
    const struct kl_json_value *entries = kl_json_member(piece, "entries");
    const struct kl_json_value *person = NULL;
    size_t *numbers[CLI_BREACH_LISTS] = {NULL};
    enum kl_status status = KL_OK;

    breach->last = piece;
    breach->entries_to = number_of(entries, "to");
    breach->of_credential += number_of(entries, "of_credential");
    breach->lost += number_of(entries, "lost");
    breach->pruned_until = number_of(entries, "pruned_until");
    for (int list = 0; status == KL_OK && list < CLI_BREACH_LISTS; list++)
        status = take_list(&breach->lists[list], kl_json_member(piece, cli_breach_list_names[list]),
                           &numbers[list], err);
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(piece, "subjects"));
         status == KL_OK && kl_json_next(&iter, NULL, &person);)
        status = take_person(breach, piece, person, numbers, err);
    for (int list = 0; list < CLI_BREACH_LISTS; list++)
        free(numbers[list]);
    return status;
}

enum kl_status cli_breach_add(struct cli_breach *breach, struct kl_json *piece, struct kl_err *err)
{
    struct kl_json **pieces = grow(breach->pieces, breach->piece_count, sizeof(struct kl_json *));
    if (pieces == NULL) {
        kl_json_free(piece);
        return kl_fail_memory(err);
    }
    breach->pieces = pieces;
    breach->pieces[breach->piece_count++] = piece;
    if (breach->head == NULL) {
        breach->head = kl_json_root(piece);
        breach->entries_from = number_of(kl_json_member(breach->head, "entries"), "from");
    }
    return take_piece(breach, kl_json_root(piece), err);
}

static void no_free(void *node)
{
    (void)node; /* people are freed by their list */
}

void cli_breach_done(struct cli_breach *breach)
{
    tdestroy(breach->by_slot, no_free);
    for (size_t i = 0; i < breach->people_count; i++) {
        for (int list = 0; list < CLI_BREACH_MARKS; list++)
            free(breach->people[i]->marks[list].items);
        free(breach->people[i]->records.items);
        free(breach->people[i]);
    }
    free(breach->people);
    for (int list = 0; list < CLI_BREACH_LISTS; list++)
        free(breach->lists[list].items);
    for (size_t i = 0; i < breach->piece_count; i++)
        kl_json_free(breach->pieces[i]);
    free(breach->pieces);
    memset(breach, 0, sizeof *breach);
}

/* ---- as JSON ---- */

static void copy_member(struct kl_json_out *out, const struct kl_json_value *object,
                        const char *key)
{
    struct kl_buf text;
    kl_buf_init(&text, 64 * 1024);
    kl_json_write_value(&text, kl_json_member(object, key));
    kl_json_key(out, key);
    kl_json_put_raw(out, text.bytes, text.size);
    kl_buf_done(&text);
}

/* What the row is told apart by, and what goes with that. */
static void write_words(const struct cli_breach_row *row, struct kl_json_out *out)
{
    const struct kl_json_value *value = NULL;
    const char *key = NULL;
    for (struct kl_json_iter iter = kl_json_iter(row->json); kl_json_next(&iter, &key, &value);)
        if (key != NULL && !is_sum(key))
            copy_member(out, row->json, key);
}

static void write_row(const struct cli_breach_row *row, struct kl_json_out *out)
{
    kl_json_object_begin(out);
    write_words(row, out);
    if (kl_json_type(kl_json_member(row->json, "people")) != KL_JSON_ABSENT)
        kl_json_add_int(out, "people", row->people);
    kl_json_add_int(out, "times", row->times);
    kl_json_add_text(out, "first_at", row->first);
    kl_json_add_text(out, "last_at", row->last);
    kl_json_object_end(out);
}

static void write_numbers(const char *key, const struct cli_breach_numbers *numbers,
                          struct kl_json_out *out)
{
    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (size_t i = 0; i < numbers->count; i++)
        kl_json_put_int(out, numbers->items[i]);
    kl_json_array_end(out);
}

static void write_person(const struct cli_breach_person *person, struct kl_json_out *out)
{
    kl_json_object_begin(out);
    kl_json_add_int(out, "slot", person->slot);
    kl_json_add_text(out, "subject", person->subject);
    kl_json_add_text(out, "state", person->state);
    for (int list = 0; list < CLI_BREACH_MARKS; list++)
        write_numbers(cli_breach_list_names[list], &person->marks[list], out);
    write_numbers("records", &person->records, out);
    kl_json_add_int(out, "times", person->times);
    kl_json_add_text(out, "first_at", person->first);
    kl_json_add_text(out, "last_at", person->last);
    kl_json_object_end(out);
}

static bool is_text(const struct kl_json_value *row, const char *key, const char *text)
{
    const char *found = text_of(row, key);
    return found != NULL && strcmp(found, text) == 0;
}

bool cli_breach_is_in_plain(const struct kl_json_value *row)
{
    return !is_text(row, "view", "masked") && !is_text(row, "view", "token") &&
           !is_text(row, "view", "present");
}

static bool is_removed(const struct kl_json_value *row)
{
    return is_text(row, "action", "erase") || is_text(row, "action", "erase_record") ||
           is_text(row, "what", "removed");
}

/* Whether any row of a list that tells of the person is such a one. */
static bool has_row(const struct cli_breach *breach, const struct cli_breach_person *person,
                    enum cli_breach_list list, bool (*is)(const struct kl_json_value *row))
{
    for (size_t i = 0; i < person->marks[list].count; i++)
        if (is(breach->lists[list].items[person->marks[list].items[i]].json))
            return true;
    return false;
}

static void write_counts(const struct cli_breach *breach, struct kl_json_out *out)
{
    const char *first = NULL;
    const char *last = NULL;
    int64_t accessed = 0;
    int64_t in_plain = 0;
    int64_t changed = 0;
    int64_t removed = 0;
    int64_t erased = 0;
    int64_t records = 0;
    for (size_t i = 0; i < breach->people_count; i++) {
        const struct cli_breach_person *person = breach->people[i];
        accessed += person->marks[CLI_BREACH_ACCESSED].count > 0;
        in_plain += has_row(breach, person, CLI_BREACH_ACCESSED, cli_breach_is_in_plain);
        changed += person->marks[CLI_BREACH_CHANGED].count > 0;
        removed += has_row(breach, person, CLI_BREACH_CHANGED, is_removed);
        erased += strcmp(person->state, "erased") == 0;
        records += (int64_t)person->records.count;
        first = earlier(first, person->first);
        last = later(last, person->last);
    }
    kl_json_key(out, "people");
    kl_json_object_begin(out);
    kl_json_add_int(out, "all", (int64_t)breach->people_count);
    kl_json_add_int(out, "accessed", accessed);
    kl_json_add_int(out, "in_plain", in_plain);
    kl_json_add_int(out, "changed", changed);
    kl_json_add_int(out, "removed", removed);
    kl_json_add_int(out, "erased_since", erased);
    kl_json_object_end(out);
    kl_json_add_int(out, "records", records);
    kl_json_add_text(out, "first_at", first);
    kl_json_add_text(out, "last_at", last);
}

/* Whether a field of that record type was seen or changed. */
static bool has_type(const struct cli_breach *breach, const struct cli_breach_person *person,
                     const char *type)
{
    const size_t size = strlen(type);
    for (int list = CLI_BREACH_ACCESSED; list <= CLI_BREACH_CHANGED; list++)
        for (size_t i = 0; i < person->marks[list].count; i++) {
            const char *field =
                text_of(breach->lists[list].items[person->marks[list].items[i]].json, "field");
            if (field != NULL && strncmp(field, type, size) == 0 && field[size] == '.')
                return true;
        }
    return false;
}

static void write_types(const struct cli_breach *breach, struct kl_json_out *out)
{
    kl_json_key(out, cli_breach_list_names[CLI_BREACH_TYPES]);
    kl_json_array_begin(out);
    for (size_t i = 0; i < breach->lists[CLI_BREACH_TYPES].count; i++) {
        const struct cli_breach_row *row = &breach->lists[CLI_BREACH_TYPES].items[i];
        const char *type = text_of(row->json, "record_type");
        int64_t people = 0;
        for (size_t k = 0; type != NULL && k < breach->people_count; k++)
            people += has_type(breach, breach->people[k], type);
        kl_json_object_begin(out);
        write_words(row, out);
        kl_json_add_int(out, "people", people);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

static void write_countries(const struct cli_breach *breach, struct kl_json_out *out)
{
    kl_json_key(out, cli_breach_list_names[CLI_BREACH_COUNTRIES]);
    kl_json_array_begin(out);
    for (size_t i = 0; i < breach->lists[CLI_BREACH_COUNTRIES].count; i++) {
        kl_json_object_begin(out);
        write_words(&breach->lists[CLI_BREACH_COUNTRIES].items[i], out);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

/* The words of a member of the rows of accessed and changed, each once. */
static void write_kinds(const struct cli_breach *breach, const char *key, const char *member,
                        struct kl_json_out *out)
{
    size_t before = breach->lists[CLI_BREACH_ACCESSED].count;
    size_t count = before + breach->lists[CLI_BREACH_CHANGED].count;
    const char **said = calloc(count + 1, sizeof *said);
    size_t said_count = 0;
    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (size_t i = 0; said != NULL && i < count; i++) {
        const struct cli_breach_row *row =
            i < before ? &breach->lists[CLI_BREACH_ACCESSED].items[i]
                       : &breach->lists[CLI_BREACH_CHANGED].items[i - before];
        const char *kind = text_of(row->json, member);
        size_t k = 0;
        while (kind != NULL && k < said_count && strcmp(said[k], kind) != 0)
            k++;
        if (kind != NULL && k == said_count) {
            said[said_count++] = kind;
            kl_json_put_text(out, kind);
        }
    }
    kl_json_array_end(out);
    free(said);
}

static void copy_members(struct kl_json_out *out, const struct kl_json_value *object,
                         const char *const *keys)
{
    for (; *keys != NULL; keys++)
        copy_member(out, object, *keys);
}

static void write_lists(const struct cli_breach *breach, struct kl_json_out *out)
{
    static const enum cli_breach_list order[] = {
        CLI_BREACH_ACCESSED,  CLI_BREACH_CHANGED, CLI_BREACH_WITHHELD,
        CLI_BREACH_REFUSED,   CLI_BREACH_ACTS,    CLI_BREACH_PLACES,
        CLI_BREACH_TRANSFERS, CLI_BREACH_MADE,    CLI_BREACH_BY};
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
        const struct cli_breach_rows *rows = &breach->lists[order[k]];
        kl_json_key(out, cli_breach_list_names[order[k]]);
        kl_json_array_begin(out);
        for (size_t i = 0; i < rows->count; i++)
            write_row(&rows->items[i], out);
        kl_json_array_end(out);
    }
    kl_json_key(out, "subjects");
    kl_json_array_begin(out);
    for (size_t i = 0; i < breach->people_count; i++)
        write_person(breach->people[i], out);
    kl_json_array_end(out);
}

void cli_breach_write(const struct cli_breach *breach, struct kl_json_out *out)
{
    static const char *const asked[] = {"credential", "credentials", "role", "recipient", "tenant",
                                        "made_at",    "from",        "to",   NULL};
    static const char *const duty[] = {"aware_at",   "notify_authority_by", "acting_as",
                                       "controller", "processor",           NULL};
    kl_json_object_begin(out);
    copy_members(out, breach->head, asked);
    /* The first entry that is there may be the first of the period, or of all that are. */
    kl_json_add_bool(out, "complete",
                     breach->lost == 0 && (breach->pruned_until == 0 ||
                                           breach->entries_from > breach->pruned_until));
    kl_json_key(out, "entries");
    kl_json_object_begin(out);
    kl_json_add_int(out, "from", breach->entries_from);
    kl_json_add_int(out, "to", breach->entries_to);
    kl_json_add_int(out, "of_credential", breach->of_credential);
    kl_json_add_int(out, "lost", breach->lost);
    kl_json_add_int(out, "pruned_until", breach->pruned_until);
    kl_json_object_end(out);
    write_counts(breach, out);
    write_types(breach, out);
    write_kinds(breach, "categories", "category", out);
    write_kinds(breach, "special_categories", "special", out);
    write_countries(breach, out);
    write_lists(breach, out);
    copy_members(out, breach->head, duty);
    copy_member(out, breach->last, "evidence");
    kl_json_add_text(out, "next_cursor", NULL);
    kl_json_object_end(out);
}
