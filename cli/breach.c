/* `kluis report breach`: the pieces of the report fetched and joined, shown for people, as JSON or as CSV. */
#include "cli/breach_join.h"
#include "cli/breach_people.h"
#include "cli/common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 9
#define REPORT_MAX_BYTES ((size_t)1024 * 1024 * 1024)

/* ---- fetching ---- */

static void add_option(const struct cli_call *call, const char *option, const char *member,
                       struct kl_json_out *out)
{
    if (cli_call_is_set(call, option))
        kl_json_add_text(out, member, cli_call_value(call, option));
}

static void add_credentials(const struct cli_call *call, struct kl_json_out *out)
{
    if (call->argument_count == 0)
        return;
    kl_json_key(out, "credentials");
    kl_json_array_begin(out);
    for (int i = 0; i < call->argument_count; i++)
        kl_json_put_text(out, call->arguments[i]);
    kl_json_array_end(out);
}

/* cursor NULL: the first piece. as_page: all at once, as a page. */
static enum kl_status ask(struct cli_call *call, const char *cursor, bool as_page,
                          struct cli_response *ret)
{
    struct kl_buf body;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    add_credentials(call, &out);
    add_option(call, "role", "role", &out);
    add_option(call, "recipient", "recipient", &out);
    add_option(call, "from", "from", &out);
    add_option(call, "to", "to", &out);
    add_option(call, "aware-at", "aware_at", &out);
    if (as_page) {
        kl_json_add_text(&out, "format", "html");
        add_option(call, "lang", "lang", &out);
    } else if (cli_call_is_set(call, "limit")) {
        kl_json_add_int(&out, "limit", strtoll(cli_call_value(call, "limit"), NULL, 10));
    }
    if (cursor != NULL)
        kl_json_add_text(&out, "cursor", cursor);
    kl_json_object_end(&out);
    struct cli_request request = {.body = &body};
    enum kl_status status = cli_call_send(call, "POST", "/v1/reports/breach", &request, ret);
    kl_buf_done(&body);
    return status;
}

static enum kl_status fetch(struct cli_call *call, const char *cursor, struct kl_json **ret_piece)
{
    struct cli_response response;
    enum kl_status status = ask(call, cursor, false, &response);
    if (status != KL_OK)
        return status;
    status = kl_json_parse(response.body.bytes, response.body.size, ret_piece, &call->err);
    cli_response_done(&response);
    return status;
}

static enum cli_exit fetch_page(struct cli_call *call)
{
    struct cli_response response;
    if (ask(call, NULL, true, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_common_put(call, &response.body);
    cli_response_done(&response);
    return result;
}

static enum kl_status fetch_all(struct cli_call *call, struct cli_breach *breach)
{
    const char *cursor = NULL;
    enum kl_status status = KL_OK;
    do {
        struct kl_json *piece = NULL;
        status = fetch(call, cursor, &piece);
        if (status == KL_OK)
            status = cli_breach_add(breach, piece, &call->err);
        if (status == KL_OK)
            cursor = kl_json_text(kl_json_member(kl_json_root(piece), "next_cursor"));
    } while (status == KL_OK && cursor != NULL);
    return status;
}

/* ---- for programs ---- */

static enum cli_exit print_json(struct cli_call *call, const struct cli_breach *breach)
{
    struct kl_buf text;
    kl_buf_init(&text, REPORT_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&text);
    cli_breach_write(breach, &out);
    enum kl_status status = kl_buf_status(&text, &call->err);
    if (status == KL_OK) {
        (void)fwrite(text.bytes, 1, text.size, stdout);
        (void)fputc('\n', stdout);
    }
    kl_buf_done(&text);
    return status == KL_OK ? CLI_DONE : CLI_FAILED;
}

static const char *member(const struct kl_json_value *object, const char *key)
{
    const char *text = kl_json_text(kl_json_member(object, key));
    return text != NULL ? text : "";
}

/* A line for each person and each thing that was done with their data. */
static void print_csv(const struct cli_breach *breach)
{
    static const char *const titles[] = {"SLOT",      "SUBJECT", "STATE", "WHAT",
                                         "ACTION",    "FIELD",   "HOW",   "PURPOSE",
                                         "RECIPIENT", "SPECIAL", "FIRST", "LAST"};
    struct cli_table *table =
        cli_table_new(CLI_FORMAT_CSV, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < breach->people_count; i++) {
        const struct cli_breach_person *person = breach->people[i];
        char slot[24];
        (void)snprintf(slot, sizeof slot, "%lld", (long long)person->slot);
        for (int list = CLI_BREACH_ACCESSED; list <= CLI_BREACH_CHANGED; list++) {
            for (size_t k = 0; k < person->marks[list].count; k++) {
                const struct kl_json_value *row =
                    breach->lists[list].items[person->marks[list].items[k]].json;
                const char *const cells[] = {
                    slot,
                    person->subject,
                    person->state,
                    cli_breach_list_names[list],
                    member(row, "action"),
                    member(row, "field"),
                    member(row, list == CLI_BREACH_ACCESSED ? "view" : "what"),
                    member(row, "purpose"),
                    member(row, "recipient"),
                    member(row, "special"),
                    person->first,
                    person->last};
                cli_table_row(table, cells);
            }
        }
    }
    cli_table_print_free(table);
}

/* ---- for people ---- */

static const struct shown_list {
    enum cli_breach_list list;
    const char *title;
    bool tells_people;
    struct cli_column columns[5];
} shown_lists[] = {
    {CLI_BREACH_ACCESSED,
     "What was seen",
     true,
     {{"ACTION", "action"},
      {"FIELD", "field"},
      {"VIEW", "view"},
      {"PURPOSE", "purpose"},
      {"RECIPIENT", "recipient"}}},
    {CLI_BREACH_CHANGED,
     "What was changed",
     true,
     {{"ACTION", "action"},
      {"FIELD", "field"},
      {"WHAT", "what"},
      {"PURPOSE", "purpose"},
      {"RECIPIENT", "recipient"}}},
    {CLI_BREACH_TRANSFERS,
     "What left the EEA, by which line of the policy",
     true,
     {{"TRANSFER", "transfer"}}},
    {CLI_BREACH_WITHHELD,
     "What was withheld",
     false,
     {{"ACTION", "action"},
      {"FIELD", "field"},
      {"GATE", "gate"},
      {"PURPOSE", "purpose"},
      {"RECIPIENT", "recipient"}}},
    {CLI_BREACH_REFUSED,
     "What was refused",
     false,
     {{"ACTION", "action"}, {"REASON", "reason"}, {"PURPOSE", "purpose"}}},
    {CLI_BREACH_ACTS, "Other acts", false, {{"ACTION", "action"}}},
    {CLI_BREACH_BY, "By whom", true, {{"CREDENTIAL", "credential"}, {"ROLE", "role"}}},
    {CLI_BREACH_PLACES,
     "From where, as the credential declares it",
     false,
     {{"LOCATION", "location"}}},
    {CLI_BREACH_MADE,
     "Credentials that were made with them: report on each",
     false,
     {{"CREDENTIAL", "credential"},
      {"ROLE", "role"},
      {"LOCATION", "location"},
      {"EXPIRES", "expires_at"},
      {"RECIPIENT", "recipient"}}},
};

static void print_rows(const struct cli_breach *breach, const struct shown_list *shown)
{
    const struct cli_breach_rows *rows = &breach->lists[shown->list];
    const char *titles[COLUMNS_MAX] = {NULL};
    size_t words = 0;
    size_t count = 0;
    while (words < 5 && shown->columns[words].title != NULL) {
        titles[words] = shown->columns[words].title;
        words++;
    }
    count = words;
    if (shown->tells_people)
        titles[count++] = "PEOPLE";
    titles[count++] = "TIMES";
    titles[count++] = "FIRST";
    titles[count++] = "LAST";
    if (rows->count == 0)
        return;
    (void)printf("\n%s\n", shown->title);
    struct cli_table *table = cli_table_new(CLI_FORMAT_TABLE, titles, count);
    for (size_t i = 0; i < rows->count; i++) {
        const struct cli_breach_row *row = &rows->items[i];
        const char *cells[COLUMNS_MAX] = {NULL};
        char people[24];
        char times[24];
        size_t at = 0;
        (void)snprintf(people, sizeof people, "%lld", (long long)row->people);
        (void)snprintf(times, sizeof times, "%lld", (long long)row->times);
        for (; at < words; at++)
            cells[at] = member(row->json, shown->columns[at].member);
        if (shown->tells_people)
            cells[at++] = people;
        cells[at++] = times;
        cells[at++] = row->first;
        cells[at++] = row->last;
        cli_table_row(table, cells);
    }
    cli_table_print_free(table);
}

static void print_people(const struct cli_breach *breach)
{
    static const char *const titles[] = {"SLOT",   "SUBJECT", "STATE", "RECORDS",
                                         "FIELDS", "FIRST",   "LAST"};
    if (breach->people_count == 0)
        return;
    (void)puts("\nPeople");
    struct cli_table *table =
        cli_table_new(CLI_FORMAT_TABLE, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < breach->people_count; i++) {
        const struct cli_breach_person *person = breach->people[i];
        bool erased = strcmp(person->state, "erased") == 0;
        char slot[24];
        char records[24];
        struct kl_buf fields;
        kl_buf_init(&fields, 64 * 1024);
        for (int list = CLI_BREACH_ACCESSED; list <= CLI_BREACH_CHANGED; list++) {
            for (size_t k = 0; k < person->marks[list].count; k++) {
                const struct kl_json_value *row =
                    breach->lists[list].items[person->marks[list].items[k]].json;
                const char *field = member(row, "field");
                kl_buf_addf(&fields, "%s%s", fields.size > 0 ? ", " : "",
                            field[0] != '\0' ? field : member(row, "action"));
            }
        }
        kl_buf_add_byte(&fields, '\0');
        (void)snprintf(slot, sizeof slot, "%lld", (long long)person->slot);
        (void)snprintf(records, sizeof records, "%zu", person->records.count);
        const char *const cells[] = {
            slot,
            person->subject,
            erased ? "erased since" : person->state,
            records,
            kl_buf_status(&fields, NULL) == KL_OK ? (const char *)fields.bytes : "",
            person->first,
            person->last};
        cli_table_row(table, cells);
        kl_buf_done(&fields);
    }
    cli_table_print_free(table);
}

/* Whose acts it is about. */
static void print_sought(const struct cli_breach *breach)
{
    const struct kl_json_value *credential = NULL;
    if (member(breach->head, "role")[0] != '\0')
        (void)printf("Breach report on all credentials of the role %s\n",
                     member(breach->head, "role"));
    if (member(breach->head, "recipient")[0] != '\0')
        (void)printf("Breach report on what was done in the name of %s\n",
                     member(breach->head, "recipient"));
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(breach->head, "credentials"));
         kl_json_next(&iter, NULL, &credential);) {
        const char *revoked = member(credential, "revoked_at");
        (void)printf("Breach report on %s, role %s\n", member(credential, "id"),
                     member(credential, "role"));
        (void)printf("  made %s, ends %s, %s%s\n", member(credential, "created_at"),
                     member(credential, "expires_at"),
                     revoked[0] != '\0' ? "revoked " : "not revoked", revoked);
        if (member(credential, "reason")[0] != '\0')
            (void)printf("  made for: %s\n", member(credential, "reason"));
    }
}

/* Where it went: places of credentials, and countries of recipients. */
static void print_countries(const struct cli_breach *breach)
{
    const struct cli_breach_rows *rows = &breach->lists[CLI_BREACH_COUNTRIES];
    if (rows->count == 0)
        return;
    (void)fputs("  went to ", stdout);
    for (size_t i = 0; i < rows->count; i++) {
        const struct kl_json_value *row = rows->items[i].json;
        const char *recipient = member(row, "recipient");
        (void)printf("%s%s (%s%s%s)", i > 0 ? ", " : "", member(row, "country"), member(row, "by"),
                     recipient[0] != '\0' ? " " : "", recipient);
    }
    (void)putchar('\n');
}

static void print_head(const struct cli_breach *breach)
{
    const struct kl_json_value *controller = kl_json_member(breach->head, "controller");
    size_t erased = 0;
    size_t records = 0;
    for (size_t i = 0; i < breach->people_count; i++) {
        erased += strcmp(breach->people[i]->state, "erased") == 0;
        records += breach->people[i]->records.count;
    }
    print_sought(breach);
    (void)printf("  period   %s to %s, %lld entries of it\n", member(breach->head, "from"),
                 member(breach->head, "to"), (long long)breach->of_credential);
    (void)printf("  people   %zu, of whom %zu erased since; %zu records\n", breach->people_count,
                 erased, records);
    print_countries(breach);
    (void)printf("  tell     %s by %s (GDPR art. 33)\n",
                 member(controller, "authority")[0] != '\0' ? member(controller, "authority")
                                                            : "the supervisory authority",
                 member(breach->head, "notify_authority_by"));
    (void)printf(
        "  for      %s, %s%s%s\n", member(controller, "name"), member(controller, "contact"),
        member(controller, "dpo")[0] != '\0' ? "; officer " : "", member(controller, "dpo"));
    if (breach->pruned_until > 0)
        (void)printf(
            "  entries below number %lld went by the policy: what they told is not known\n",
            (long long)breach->pruned_until);
    if (breach->lost > 0)
        (void)printf("  %lld entries of the trail are lost: what they told is not known\n",
                     (long long)breach->lost);
}

static enum cli_exit print(struct cli_call *call, const struct cli_breach *breach)
{
    if (cli_call_is_set(call, "as"))
        return cli_breach_people(call, breach);
    if (call->format == CLI_FORMAT_JSON)
        return print_json(call, breach);
    if (call->format == CLI_FORMAT_CSV) {
        print_csv(breach);
        return CLI_DONE;
    }
    print_head(breach);
    for (size_t i = 0; i < sizeof shown_lists / sizeof shown_lists[0]; i++)
        print_rows(breach, &shown_lists[i]);
    print_people(breach);
    return CLI_DONE;
}

/* What is asked for fits together? */
static bool is_asked_well(const struct cli_call *call)
{
    const char *form = cli_call_value(call, "as");
    const bool people = form != NULL && strcmp(form, "people") == 0;
    const int starts = (call->argument_count > 0) + cli_call_is_set(call, "role") +
                       cli_call_is_set(call, "recipient");
    const char *wrong =
        starts != 1 ? "name credentials, or a --role, or a --recipient"
        : form != NULL && !people && strcmp(form, "html") != 0 ? "--as is html or people"
        : form == NULL && cli_call_is_set(call, "out")         ? "--out needs --as"
        : !people && cli_call_is_set(call, "contact")          ? "--contact needs --as people"
        : cli_call_is_set(call, "contact") != cli_call_is_set(call, "purpose")
            ? "--contact and --purpose go together"
            : NULL;
    if (wrong != NULL)
        (void)fprintf(stderr, "kluis: %s\n", wrong);
    return wrong == NULL;
}

enum cli_exit cli_report_breach(struct cli_call *call)
{
    const char *form = cli_call_value(call, "as");
    struct cli_breach breach = {.head = NULL};
    if (!is_asked_well(call))
        return CLI_USAGE;
    if (form != NULL && strcmp(form, "html") == 0)
        return fetch_page(call);
    enum cli_exit result = fetch_all(call, &breach) == KL_OK ? print(call, &breach) : CLI_FAILED;
    cli_breach_done(&breach);
    return result;
}
