/* Reports about what is kept: what falls due, and the record of processing. */
#include "cli/common.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what falls due ---- */

#define NAME_BYTES 80
#define CURSOR_BYTES 512
struct tally {
    char type[NAME_BYTES];
    char purpose[NAME_BYTES];
    int64_t records;
};
struct tallies {
    struct tally *items;
    size_t count;
};

static bool add_count(struct tallies *tallies, const char *type, const char *purpose,
                      int64_t records)
{
    struct tally *grown;

    for (size_t i = 0; i < tallies->count; i++)
        if (strcmp(tallies->items[i].type, type) == 0 &&
            strcmp(tallies->items[i].purpose, purpose) == 0) {
            tallies->items[i].records += records;
            return true;
        }
    grown = realloc(tallies->items, (tallies->count + 1) * sizeof *grown);
    if (grown == NULL)
        return false;
    tallies->items = grown;
    (void)snprintf(grown[tallies->count].type, NAME_BYTES, "%s", type);
    (void)snprintf(grown[tallies->count].purpose, NAME_BYTES, "%s", purpose);
    grown[tallies->count++].records = records;
    return true;
}

static void due_path(const struct cli_call *call, const char *cursor, struct cli_path *path)
{
    cli_path_start(path, "/v1/reports/retention");
    cli_path_query(path, "before", cli_call_value(call, "before"));
    cli_path_query(path, "limit", cli_call_value(call, "limit"));
    cli_path_query(path, "cursor", cursor);
}

static bool add_counts(struct tallies *tallies, const struct kl_json_value *counts)
{
    struct kl_json_iter iter = kl_json_iter(counts);
    const struct kl_json_value *item = NULL;

    while (kl_json_next(&iter, NULL, &item)) {
        const char *type = kl_json_text(kl_json_member(item, "type"));
        const char *purpose = kl_json_text(kl_json_member(item, "purpose"));
        int64_t records = 0;

        (void)kl_json_int(kl_json_member(item, "records"), &records);
        if (type == NULL || purpose == NULL || !add_count(tallies, type, purpose, records))
            return false;
    }
    return true;
}

/* Add one page; the cursor of the next, empty at the end. */
static enum kl_status add_page(struct cli_call *call, struct tallies *tallies, const char *from,
                               char ret_cursor[CURSOR_BYTES])
{
    struct cli_path path;
    struct cli_response response;
    struct kl_json *json = NULL;
    enum kl_status status;

    due_path(call, from, &path);
    status = cli_call_send(call, "GET", path.text, NULL, &response);
    if (status != KL_OK)
        return status;
    status = kl_json_parse(response.body.bytes, response.body.size, &json, &call->err);
    if (status == KL_OK) {
        const char *next = kl_json_text(kl_json_member(kl_json_root(json), "next_cursor"));

        (void)snprintf(ret_cursor, CURSOR_BYTES, "%s", next == NULL ? "" : next);
        if (!add_counts(tallies, kl_json_member(kl_json_root(json), "counts")))
            status = kl_fail(&call->err, KL_ERR_NO_MEMORY, "no_memory", "no memory", NULL);
    }
    kl_json_free(json);
    cli_response_done(&response);
    return status;
}

static void print_tallies(const struct cli_call *call, const struct tallies *tallies)
{
    static const char *const titles[] = {"TYPE", "PURPOSE", "RECORDS"};
    struct cli_table *table = cli_table_new(call->format, titles, 3);
    char number[24];

    for (size_t i = 0; i < tallies->count; i++) {
        const char *cells[] = {tallies->items[i].type, tallies->items[i].purpose, number};

        (void)snprintf(number, sizeof number, "%" PRId64, tallies->items[i].records);
        cli_table_row(table, cells);
    }
    cli_table_print_free(table);
}

/* All pages, added up. */
static enum cli_exit add_up(struct cli_call *call)
{
    struct tallies tallies = {0};
    char cursor[CURSOR_BYTES] = "";
    enum kl_status status = add_page(call, &tallies, cli_call_value(call, "cursor"), cursor);

    while (status == KL_OK && cursor[0] != '\0') {
        char from[CURSOR_BYTES];

        memcpy(from, cursor, sizeof from);
        status = add_page(call, &tallies, from, cursor);
    }
    if (status == KL_OK)
        print_tallies(call, &tallies);
    free(tallies.items);
    return status == KL_OK ? CLI_DONE : CLI_FAILED;
}

enum cli_exit cli_report_retention(struct cli_call *call)
{
    static const struct cli_column columns[] = {{"SUBJECT", "id"},
                                                {"WHOLE", "whole"},
                                                {"RECORDS", "records.id"},
                                                {"TYPE", "records.type"},
                                                {"PURPOSE", "records.purpose"},
                                                {"DUE", "records.due_at"}};
    struct cli_path path;

    if (call->format != CLI_FORMAT_JSON && !cli_call_is_set(call, "ids"))
        return add_up(call);
    due_path(call, cli_call_value(call, "cursor"), &path);
    return cli_common_show(call, &path, "subjects", columns, sizeof columns / sizeof columns[0]);
}

/* ---- the record of processing ---- */

/* Of an operator who names no tenant: a line for each. */
static enum cli_exit show_register(struct cli_call *call, const struct cli_response *response)
{
    static const struct cli_column columns[] = {{"TENANT", "tenant"},
                                                {"STORE", "store"},
                                                {"COUNTRY", "country"},
                                                {"ACTING AS", "acting_as"},
                                                {"CONTROLLER", "controller.name"},
                                                {"CONTACT", "controller.contact"},
                                                {"PROCESSING", "processing"},
                                                {"PURPOSES", "purposes"},
                                                {"TRANSFERS", "transfers.mechanism"}};

    return cli_output_rows(call, response, "tenants", columns, sizeof columns / sizeof columns[0]);
}

static enum cli_exit show_record(struct cli_call *call, const struct cli_response *response)
{
    static const struct cli_column columns[] = {{"PURPOSE", "purpose"},
                                                {"BASIS", "basis"},
                                                {"DATA", "data.record_type"},
                                                {"CATEGORIES", "data.categories"},
                                                {"SPECIAL", "data.special_categories"},
                                                {"RECIPIENTS", "recipients"},
                                                {"KEPT FOR", "time_limit.duration"},
                                                {"AFTER", "time_limit.after"}};

    return cli_output_rows(call, response, "activities", columns,
                           sizeof columns / sizeof columns[0]);
}

/* Which of the two it is. */
static bool is_register(const struct cli_response *response)
{
    struct kl_json *json = NULL;
    bool found = false;

    if (kl_json_parse(response->body.bytes, response->body.size, &json, NULL) == KL_OK)
        found = kl_json_type(kl_json_member(kl_json_root(json), "tenants")) == KL_JSON_ARRAY;
    kl_json_free(json);
    return found;
}

enum cli_exit cli_report_processing(struct cli_call *call)
{
    const char *form = cli_call_value(call, "as");
    struct cli_response response;
    struct cli_path path;
    enum cli_exit result = CLI_DONE;

    cli_path_start(&path, "/v1/reports/processing");
    cli_path_query(&path, "format", form);
    cli_path_query(&path, "lang", cli_call_value(call, "lang"));
    if (form != NULL || cli_call_is_set(call, "out"))
        return cli_common_fetch(call, &path);
    if (cli_call_send(call, "GET", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    result = is_register(&response) ? show_register(call, &response) : show_record(call, &response);
    cli_response_done(&response);
    return result;
}
