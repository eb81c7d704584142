#include "cli/breach_people.h"

#include "cli/common.h"
#include "kluis/base/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX_BYTES ((size_t)1024 * 1024 * 1024)
#define CELL_MAX_BYTES ((size_t)1024 * 1024)
#define CONTACTS_MAX 16
/* People whose fields are read with one call. */
#define READ_AT_ONCE 200

struct listing {
    struct cli_call *call;
    const struct cli_breach *breach;
    char *contact_text; /* in which contacts point */
    const char *contacts[CONTACTS_MAX];
    size_t contact_count;
    struct kl_buf out;
};

static enum kl_status take_contacts(struct listing *listing)
{
    struct kl_err *err = &listing->call->err;
    char *left = NULL;
    char *name = NULL;
    if (!cli_call_is_set(listing->call, "contact"))
        return KL_OK;
    listing->contact_text = strdup(cli_call_value(listing->call, "contact"));
    if (listing->contact_text == NULL)
        return kl_fail_memory(err);
    for (name = strtok_r(listing->contact_text, ",", &left); name != NULL;
         name = strtok_r(NULL, ",", &left)) {
        if (listing->contact_count == CONTACTS_MAX)
            return kl_failf(err, KL_ERR_TOO_LARGE, "too_many_items", "at most %d fields",
                            CONTACTS_MAX);
        listing->contacts[listing->contact_count++] = name;
    }
    return KL_OK;
}

/* ---- cells ---- */

static void put_cell(struct listing *listing, const char *text)
{
    kl_csv_put(&listing->out, kl_slice_text(text == NULL ? "" : text));
}

static void put_comma(struct listing *listing)
{
    kl_buf_add_text(&listing->out, ",");
}

static void put_head(struct listing *listing)
{
    static const char *const titles[] = {"SUBJECT", "SEEN",     "IN PLAIN", "CHANGED",
                                         "SPECIAL", "FIRST_AT", "LAST_AT"};
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (i > 0)
            put_comma(listing);
        put_cell(listing, titles[i]);
    }
    for (size_t i = 0; i < listing->contact_count; i++) {
        put_comma(listing);
        put_cell(listing, listing->contacts[i]);
    }
    kl_buf_add_text(&listing->out, "\r\n");
}

static const char *text_of(const struct kl_json_value *object, const char *key)
{
    return kl_json_text(kl_json_member(object, key));
}

/* What a row is about: its field, or, beside the records, its action. */
static const char *what(const struct kl_json_value *row)
{
    const char *field = text_of(row, "field");
    return field != NULL ? field : text_of(row, "action");
}

static bool is_any(const struct kl_json_value *row)
{
    (void)row;
    return true;
}

static const char *special(const struct kl_json_value *row)
{
    return text_of(row, "special");
}

/* Whether an earlier row of the person's in that list says the same. */
static bool was_said(const struct cli_breach_rows *rows, const struct cli_breach_numbers *marks,
                     size_t before, bool (*is)(const struct kl_json_value *row),
                     const char *(*say)(const struct kl_json_value *row), const char *text)
{
    for (size_t i = 0; i < before; i++) {
        const struct kl_json_value *row = rows->items[marks->items[i]].json;
        const char *said = is(row) ? say(row) : NULL;
        if (said != NULL && strcmp(said, text) == 0)
            return true;
    }
    return false;
}

/* Each thing once that the person's rows of a list say, where they are such. */
static void add_said(const struct listing *listing, const struct cli_breach_person *person,
                     enum cli_breach_list list, bool (*is)(const struct kl_json_value *row),
                     const char *(*say)(const struct kl_json_value *row), struct kl_buf *cell)
{
    const struct cli_breach_rows *rows = &listing->breach->lists[list];
    const struct cli_breach_numbers *marks = &person->marks[list];
    for (size_t i = 0; i < marks->count; i++) {
        const struct kl_json_value *row = rows->items[marks->items[i]].json;
        const char *text = is(row) ? say(row) : NULL;
        if (text != NULL && !was_said(rows, marks, i, is, say, text))
            kl_buf_addf(cell, "%s%s", cell->size > 0 ? "; " : "", text);
    }
}

static void put_said(struct listing *listing, const struct cli_breach_person *person,
                     enum cli_breach_list list, bool (*is)(const struct kl_json_value *row),
                     const char *(*say)(const struct kl_json_value *row))
{
    struct kl_buf cell;
    kl_buf_init(&cell, CELL_MAX_BYTES);
    add_said(listing, person, list, is, say, &cell);
    put_comma(listing);
    kl_csv_put(&listing->out, kl_buf_slice(&cell));
    kl_buf_done(&cell);
}

/* All that the read shows of "type.field", one after the other where there are several records. */
static void put_contact(struct listing *listing, const struct kl_json_value *read, const char *name)
{
    const char *dot = strchr(name, '.');
    const struct kl_json_value *record = NULL;
    struct kl_buf cell;
    kl_buf_init(&cell, CELL_MAX_BYTES);
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(read, "records"));
         dot != NULL && kl_json_next(&iter, NULL, &record);) {
        const char *type = text_of(record, "type");
        const struct kl_json_value *value =
            kl_json_member(kl_json_member(record, "fields"), dot + 1);
        if (type == NULL || strlen(type) != (size_t)(dot - name) ||
            strncmp(type, name, (size_t)(dot - name)) != 0 ||
            kl_json_type(value) == KL_JSON_ABSENT || kl_json_type(value) == KL_JSON_NULL)
            continue;
        if (cell.size > 0)
            kl_buf_add_text(&cell, "; ");
        cli_output_cell(&cell, value);
    }
    put_comma(listing);
    kl_csv_put(&listing->out, kl_buf_slice(&cell));
    kl_buf_done(&cell);
}

/* read: what reading the contact fields gave; NULL: nothing. */
static void put_person(struct listing *listing, const struct cli_breach_person *person,
                       const struct kl_json_value *read)
{
    struct kl_buf kinds;
    put_cell(listing, person->subject);
    put_said(listing, person, CLI_BREACH_ACCESSED, is_any, what);
    put_said(listing, person, CLI_BREACH_ACCESSED, cli_breach_is_in_plain, what);
    put_said(listing, person, CLI_BREACH_CHANGED, is_any, what);
    kl_buf_init(&kinds, CELL_MAX_BYTES);
    add_said(listing, person, CLI_BREACH_ACCESSED, is_any, special, &kinds);
    if (kinds.size == 0)
        add_said(listing, person, CLI_BREACH_CHANGED, is_any, special, &kinds);
    put_comma(listing);
    kl_csv_put(&listing->out, kl_buf_slice(&kinds));
    kl_buf_done(&kinds);
    put_comma(listing);
    put_cell(listing, person->first);
    put_comma(listing);
    put_cell(listing, person->last);
    for (size_t i = 0; i < listing->contact_count; i++)
        put_contact(listing, read, listing->contacts[i]);
    kl_buf_add_text(&listing->out, "\r\n");
}

/* ---- how to reach them ---- */

static void write_read(const struct listing *listing, const struct cli_breach_person *person,
                       struct kl_json_out *out)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "op", "read");
    kl_json_add_text(out, "subject", person->subject);
    kl_json_add_text(out, "purpose", cli_call_value(listing->call, "purpose"));
    kl_json_key(out, "fields");
    kl_json_array_begin(out);
    for (size_t i = 0; i < listing->contact_count; i++)
        kl_json_put_text(out, listing->contacts[i]);
    kl_json_array_end(out);
    kl_json_object_end(out);
}

/* Read the contact fields of these people and put a line for each. */
static enum kl_status put_with_contacts(struct listing *listing,
                                        const struct cli_breach_person *const *people, size_t count)
{
    struct cli_response response;
    struct kl_json *json = NULL;
    const struct kl_json_value *result = NULL;
    struct kl_buf body;
    size_t i = 0;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_key(&out, "operations");
    kl_json_array_begin(&out);
    for (i = 0; i < count; i++)
        write_read(listing, people[i], &out);
    kl_json_array_end(&out);
    kl_json_object_end(&out);
    struct cli_request request = {.body = &body};
    enum kl_status status = cli_call_send(listing->call, "POST", "/v1/batch", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return status;
    status = kl_json_parse(response.body.bytes, response.body.size, &json, &listing->call->err);
    i = 0;
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(kl_json_root(json), "results"));
         status == KL_OK && i < count && kl_json_next(&iter, NULL, &result);)
        put_person(listing, people[i++], kl_json_member(result, "result"));
    if (status == KL_OK && i < count)
        status = kl_fail(&listing->call->err, KL_ERR_INVALID, "unexpected_answer",
                         "the server's answer is none that is known here", NULL);
    kl_json_free(json);
    cli_response_done(&response);
    return status;
}

/* ---- the whole ---- */

static enum kl_status put_people(struct listing *listing)
{
    const struct cli_breach_person *waiting[READ_AT_ONCE];
    size_t count = 0;
    enum kl_status status = KL_OK;
    for (size_t i = 0; status == KL_OK && i < listing->breach->people_count; i++) {
        const struct cli_breach_person *person = listing->breach->people[i];
        if (person->subject == NULL)
            continue;
        if (listing->contact_count == 0) {
            put_person(listing, person, NULL);
            continue;
        }
        waiting[count++] = person;
        if (count == READ_AT_ONCE) {
            status = put_with_contacts(listing, waiting, count);
            count = 0;
        }
    }
    return status == KL_OK && count > 0 ? put_with_contacts(listing, waiting, count) : status;
}

/* Who is not in it. */
static void say_left_out(const struct cli_breach *breach)
{
    size_t erased = 0;
    size_t unnamed = 0;
    for (size_t i = 0; i < breach->people_count; i++) {
        const bool is_erased = strcmp(breach->people[i]->state, "erased") == 0;
        erased += is_erased;
        unnamed += !is_erased && breach->people[i]->subject == NULL;
    }
    if (erased > 0)
        (void)fprintf(stderr,
                      "kluis: %zu people who were affected are erased since: nothing leads to "
                      "them\n",
                      erased);
    if (unnamed > 0)
        (void)fprintf(stderr,
                      "kluis: %zu people who were affected are not in the list: this credential "
                      "may not be told who they are\n",
                      unnamed);
    if (breach->lost > 0)
        (void)fprintf(stderr,
                      "kluis: %lld entries of the trail are lost: whom they told of is not known\n",
                      (long long)breach->lost);
}

enum cli_exit cli_breach_people(struct cli_call *call, const struct cli_breach *breach)
{
    struct listing listing = {.call = call, .breach = breach};
    enum cli_exit result = CLI_FAILED;
    kl_buf_init(&listing.out, LIST_MAX_BYTES);
    enum kl_status status = take_contacts(&listing);
    if (status == KL_OK) {
        put_head(&listing);
        status = put_people(&listing);
    }
    if (status == KL_OK)
        status = kl_buf_status(&listing.out, &call->err);
    if (status == KL_OK) {
        result = cli_common_put(call, &listing.out);
        say_left_out(breach);
    }
    kl_buf_done(&listing.out);
    free(listing.contact_text);
    return result;
}
