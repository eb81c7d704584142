#include "cli/common.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cli_column made_columns[] = {{"ID", "id"}, {"RESIDENCY", "residency"}};
static const struct cli_column record_columns[] = {
    {"ID", "id"}, {"TYPE", "type"}, {"VERSION", "version"}};

/* /v1/subjects/SUBJECT[/records/RECORD] from the call's arguments. */
static void subject_path(const struct cli_call *call, struct cli_path *path, bool with_record)
{
    cli_path_start(path, "/v1/subjects");
    cli_path_segment(path, call->arguments[0]);
    if (with_record) {
        cli_path_text(path, "/records");
        cli_path_segment(path, call->arguments[1]);
    }
}

static void read_query(const struct cli_call *call, struct cli_path *path)
{
    cli_path_query(path, "purpose", cli_call_value(call, "purpose"));
    cli_path_query(path, "fields", cli_call_value(call, "fields"));
    cli_path_query(path, "recipient", cli_call_value(call, "recipient"));
    cli_path_query(path, "ground", cli_call_value(call, "ground"));
}

static void print_fields(struct cli_table *table, const char *subject,
                         const struct kl_json_value *record)
{
    const char *type = kl_json_text(kl_json_member(record, "type"));
    const char *id = kl_json_text(kl_json_member(record, "id"));
    const struct kl_json_value *views = kl_json_member(record, "views");
    const struct kl_json_value *value = NULL;
    const char *name = NULL;

    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(record, "fields"));
         kl_json_next(&iter, &name, &value);) {
        struct kl_buf cell;
        kl_buf_init(&cell, CLI_RESPONSE_MAX_BYTES);
        cli_output_cell(&cell, value);
        const char *view = kl_json_text(kl_json_member(views, name));
        cli_table_row(table,
                      (const char *[]){subject, id, type, name, view != NULL ? view : "plain",
                                       cell.bytes != NULL ? (const char *)cell.bytes : ""});
        kl_buf_done(&cell);
    }
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(record, "withheld"));
         kl_json_next(&iter, &name, &value);)
        cli_table_row(table,
                      (const char *[]){subject, id, type, name, "withheld", kl_json_text(value)});
}

static void print_subject(struct cli_table *table, const struct kl_json_value *subject)
{
    const char *id = kl_json_text(kl_json_member(subject, "id"));
    const struct kl_json_value *records = kl_json_member(subject, "records");
    if (kl_json_type(records) == KL_JSON_ABSENT) { /* one record by itself */
        print_fields(table, "", subject);
        return;
    }
    const struct kl_json_value *record = NULL;
    for (struct kl_json_iter iter = kl_json_iter(records); kl_json_next(&iter, NULL, &record);)
        print_fields(table, id, record);
}

/* GET and print field by field. list: the member with the subjects; NULL: the body is one. */
static enum cli_exit show_fields(struct cli_call *call, const struct cli_path *path,
                                 const char *list)
{
    static const char *const titles[] = {"SUBJECT", "RECORD", "TYPE",
                                         "FIELD",   "VIEW",   "VALUE OR REASON"};
    struct cli_response response;
    if (cli_call_send(call, "GET", path->text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = CLI_FAILED;
    struct kl_json *json = NULL;
    if (call->format == CLI_FORMAT_JSON) {
        cli_output_json(&response);
        result = CLI_DONE;
    } else if (kl_json_parse(response.body.bytes, response.body.size, &json, &call->err) == KL_OK) {
        struct cli_table *table = cli_table_new(call->format, titles, COUNT(titles));
        const struct kl_json_value *root = kl_json_root(json), *item = NULL;
        if (list == NULL)
            print_subject(table, root);
        for (struct kl_json_iter iter =
                 kl_json_iter(list != NULL ? kl_json_member(root, list) : NULL);
             kl_json_next(&iter, NULL, &item);)
            print_subject(table, item);
        cli_table_print_free(table);
        const char *next = kl_json_text(kl_json_member(root, "next_cursor"));
        if (next != NULL && next[0] != '\0' && !call->quiet)
            (void)fprintf(stderr, "more: add --cursor %s\n", next);
        result = CLI_DONE;
    }
    kl_json_free(json);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_subject_create(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, "/v1/subjects");
    return cli_common_send_file(call, "POST", &path, call->arguments[0], NULL, made_columns,
                                COUNT(made_columns));
}

enum cli_exit cli_subject_read(struct cli_call *call)
{
    struct cli_path path;
    subject_path(call, &path, false);
    read_query(call, &path);
    return show_fields(call, &path, NULL);
}

enum cli_exit cli_subject_list(struct cli_call *call)
{
    if (!cli_call_is_set(call, "type")) {
        (void)fprintf(stderr, "kluis: --type is needed: the record type to list\n");
        return CLI_USAGE;
    }
    struct cli_path path;
    cli_path_start(&path, "/v1/subjects");
    cli_path_query(&path, "type", cli_call_value(call, "type"));
    read_query(call, &path);
    cli_common_page(call, &path);
    return show_fields(call, &path, "subjects");
}

static void lookup_body(const struct cli_call *call, const struct kl_buf *value,
                        struct kl_buf *body)
{
    struct kl_json_out out = kl_json_out(body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "field", call->arguments[0]);
    kl_json_key(&out, "value");
    kl_json_put_text_n(&out, value->bytes, value->size);
    if (cli_call_is_set(call, "purpose"))
        kl_json_add_text(&out, "purpose", cli_call_value(call, "purpose"));
    if (cli_call_is_set(call, "limit")) {
        kl_json_key(&out, "limit");
        kl_json_put_raw(&out, cli_call_value(call, "limit"), strlen(cli_call_value(call, "limit")));
    }
    if (cli_call_is_set(call, "cursor"))
        kl_json_add_text(&out, "cursor", cli_call_value(call, "cursor"));
    kl_json_object_end(&out);
}

enum cli_exit cli_subject_find(struct cli_call *call)
{
    const char *limit = cli_call_value(call, "limit");
    if (limit != NULL && limit[strspn(limit, "0123456789")] != '\0') {
        (void)fprintf(stderr, "kluis: --limit is a number\n");
        return CLI_USAGE;
    }
    struct kl_buf value = {0}, body;
    if (cli_input_line(call->arguments[0], &value, &call->err) != KL_OK)
        return CLI_FAILED;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    lookup_body(call, &value, &body);
    kl_buf_done(&value);

    struct cli_response response;
    struct cli_request request = {.body = &body};
    enum kl_status status = cli_call_send(call, "POST", "/v1/lookup", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;

    enum cli_exit result = CLI_DONE;
    struct kl_json *json = NULL;
    if (call->format == CLI_FORMAT_JSON) {
        cli_output_json(&response);
    } else if (kl_json_parse(response.body.bytes, response.body.size, &json, &call->err) != KL_OK) {
        result = CLI_FAILED;
    } else {
        const struct kl_json_value *id = NULL;
        for (struct kl_json_iter iter =
                 kl_json_iter(kl_json_member(kl_json_root(json), "subjects"));
             kl_json_next(&iter, NULL, &id);)
            (void)puts(kl_json_text(id) != NULL ? kl_json_text(id) : "");
    }
    kl_json_free(json);
    cli_response_done(&response);
    return result;
}

static enum cli_exit erase(struct cli_call *call, bool with_record, const char *question)
{
    struct cli_path path;
    subject_path(call, &path, with_record);
    if (cli_call_is_set(call, "dry-run")) {
        cli_path_query(&path, "purpose", cli_call_value(call, "purpose"));
        (void)fprintf(stderr, "would erase, and cannot be undone:\n");
        return show_fields(call, &path, NULL);
    }
    if (!cli_input_confirm(call, question))
        return CLI_FAILED;

    const char *reason = cli_call_value(call, "reason");
    struct kl_buf body;
    kl_buf_init(&body, 1024);
    struct cli_request request = {0};
    if (with_record) {
        cli_path_query(&path, "reason", reason);
    } else {
        cli_path_text(&path, "/erase");
        struct kl_json_out out = kl_json_out(&body);
        kl_json_object_begin(&out);
        if (reason != NULL)
            kl_json_add_text(&out, "reason", reason);
        kl_json_object_end(&out);
        request.body = &body;
    }
    struct cli_response response;
    enum kl_status status =
        cli_call_send(call, with_record ? "DELETE" : "POST", path.text, &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_common_print_receipt(call, &response);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_subject_erase(struct cli_call *call)
{
    return erase(call, false, "Destroy this person's key? Nothing brings the data back.");
}

/* A document about a person: its path below the subject, and the options that it takes. */
static enum cli_exit document(struct cli_call *call, const char *what, bool with_language)
{
    struct cli_path path;
    subject_path(call, &path, false);
    cli_path_text(&path, what);
    cli_path_query(&path, "purpose", cli_call_value(call, "purpose"));
    cli_path_query(&path, "format", cli_call_value(call, "as"));
    if (with_language)
        cli_path_query(&path, "lang", cli_call_value(call, "lang"));
    return cli_common_fetch(call, &path);
}

enum cli_exit cli_subject_report(struct cli_call *call)
{
    return document(call, "/access-report", true);
}

enum cli_exit cli_subject_export(struct cli_call *call)
{
    return document(call, "/export", false);
}

enum cli_exit cli_record_add(struct cli_call *call)
{
    struct cli_path path;
    subject_path(call, &path, false);
    cli_path_text(&path, "/records");
    return cli_common_send_file(call, "POST", &path, call->arguments[1], NULL, record_columns,
                                COUNT(record_columns));
}

enum cli_exit cli_record_read(struct cli_call *call)
{
    struct cli_path path;
    subject_path(call, &path, true);
    read_query(call, &path);
    return show_fields(call, &path, NULL);
}

enum cli_exit cli_record_patch(struct cli_call *call)
{
    const char *version = cli_call_value(call, "if-version");
    if (version == NULL) {
        (void)fprintf(stderr,
                      "kluis: --if-version is needed: the record's version as read, or \"any\"\n");
        return CLI_USAGE;
    }
    char if_match[40];
    if (strcmp(version, "any") == 0)
        (void)snprintf(if_match, sizeof if_match, "*");
    else
        (void)snprintf(if_match, sizeof if_match, "\"%.32s\"", version);
    struct cli_path path;
    subject_path(call, &path, true);
    return cli_common_send_file(call, "PATCH", &path, call->arguments[2], if_match, record_columns,
                                COUNT(record_columns));
}

/* The value to verify: a file without the end of its last line, a prompt, or a line of standard input. */
static enum kl_status read_secret(struct cli_call *call, struct kl_buf *ret)
{
    const char *file = cli_call_value(call, "value-file");
    if (file == NULL)
        return cli_input_line(cli_call_value(call, "field"), ret, &call->err);
    enum kl_status status = cli_input_read(file, ret, &call->err);
    if (status == KL_OK && ret->size > 0 && ret->bytes[ret->size - 1] == '\n')
        ret->size--;
    if (status == KL_OK && ret->size > 0 && ret->bytes[ret->size - 1] == '\r')
        ret->size--;
    return status;
}

static enum kl_status send_secret(struct cli_call *call, struct cli_response *ret)
{
    struct kl_buf value = {0}, body;
    struct cli_path path;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    subject_path(call, &path, true);
    cli_path_text(&path, "/verify");
    enum kl_status status = read_secret(call, &value);
    if (status == KL_OK) {
        struct kl_json_out out = kl_json_out(&body);
        kl_json_object_begin(&out);
        kl_json_add_text(&out, "field", cli_call_value(call, "field"));
        kl_json_key(&out, "value");
        kl_json_put_text_n(&out, value.bytes, value.size);
        if (cli_call_is_set(call, "purpose"))
            kl_json_add_text(&out, "purpose", cli_call_value(call, "purpose"));
        kl_json_object_end(&out);
        struct cli_request request = {.body = &body};
        status = cli_call_send(call, "POST", path.text, &request, ret);
    }
    kl_buf_done(&value);
    kl_buf_done(&body);
    return status;
}

enum cli_exit cli_record_verify(struct cli_call *call)
{
    if (!cli_call_is_set(call, "field")) {
        (void)fprintf(stderr, "kluis: --field is needed: the field of the record to verify\n");
        return CLI_USAGE;
    }
    struct cli_response response;
    if (send_secret(call, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = CLI_FAILED;
    struct kl_json *json = NULL;
    if (kl_json_parse(response.body.bytes, response.body.size, &json, &call->err) == KL_OK) {
        const bool match = kl_json_bool(kl_json_member(kl_json_root(json), "match"));
        result = match ? CLI_DONE : CLI_FAILED;
        if (call->format == CLI_FORMAT_JSON)
            cli_output_json(&response);
        else
            (void)puts(match ? "match" : "no match");
    }
    kl_json_free(json);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_record_erase(struct cli_call *call)
{
    return erase(call, true, "Shred this record? Nothing brings it back.");
}
