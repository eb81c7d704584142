#include "cli/common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum cli_exit cli_audit_search(struct cli_call *call)
{
    static const struct cli_column columns[] = {{"SEQ", "seq"},
                                                {"AT", "entry.at"},
                                                {"ACTION", "entry.action"},
                                                {"RESULT", "entry.result"},
                                                {"ROLE", "entry.role"},
                                                {"CREDENTIAL", "entry.credential"},
                                                {"PURPOSE", "entry.purpose"},
                                                {"SLOT", "entry.slot"},
                                                {"REQUEST", "entry.request_id"}};
    struct cli_path path;
    cli_path_start(&path, "/v1/audit");
    cli_path_query(&path, "subject", cli_call_value(call, "subject"));
    cli_path_query(&path, "credential", cli_call_value(call, "credential-id"));
    cli_path_query(&path, "purpose", cli_call_value(call, "purpose"));
    cli_path_query(&path, "field", cli_call_value(call, "field"));
    cli_path_query(&path, "action", cli_call_value(call, "action"));
    cli_path_query(&path, "result", cli_call_value(call, "result"));
    cli_path_query(&path, "from", cli_call_value(call, "from"));
    cli_path_query(&path, "to", cli_call_value(call, "to"));
    cli_common_page(call, &path);
    return cli_common_show(call, &path, "entries", columns, sizeof columns / sizeof columns[0]);
}

enum cli_exit cli_audit_head(struct cli_call *call)
{
    static const struct cli_column columns[] = {
        {"TENANT", "tenant"}, {"SIZE", "size"}, {"ROOT HASH", "root_hash"}, {"AT", "at"}};
    struct cli_path path;
    cli_path_start(&path, "/v1/audit/head");
    return cli_common_show(call, &path, NULL, columns, sizeof columns / sizeof columns[0]);
}

enum cli_exit cli_audit_summary(struct cli_call *call)
{
    static const struct cli_column acts[] = {
        {"CREDENTIAL", "credential"}, {"ROLE", "role"},       {"ACTION", "action"},
        {"TIMES", "times"},           {"REFUSED", "refused"}, {"OUT OF HOURS", "out_of_hours"},
        {"SUBJECTS", "subjects"},     {"FIELDS", "fields"},   {"FIRST", "first_at"},
        {"LAST", "last_at"}};
    static const struct cli_column credentials[] = {{"CREDENTIAL", "id"},
                                                    {"ROLE", "role"},
                                                    {"MADE", "created_at"},
                                                    {"EXPIRES", "expires_at"},
                                                    {"REVOKED", "revoked_at"},
                                                    {"ENDED IN PERIOD", "ended_in_period"},
                                                    {"TRIED AFTER", "tried_after_end"},
                                                    {"BY", "created_by"},
                                                    {"REASON", "reason"}};
    static const struct cli_column entries[] = {{"ENTRIES FROM", "entries.from"},
                                                {"TO", "entries.to"},
                                                {"LOST", "entries.lost"},
                                                {"GO ON WITH --entry", "next_entry"}};
    struct cli_path path;
    struct cli_response response;
    cli_path_start(&path, "/v1/audit/summary");
    cli_path_query(&path, "from", cli_call_value(call, "from"));
    cli_path_query(&path, "to", cli_call_value(call, "to"));
    cli_path_query(&path, "entry", cli_call_value(call, "entry"));
    cli_path_query(&path, "hours", cli_call_value(call, "hours"));
    if (cli_call_send(call, "GET", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result =
        cli_output_rows(call, &response, "acts", acts, sizeof acts / sizeof acts[0]);
    if (result == CLI_DONE && call->format == CLI_FORMAT_TABLE) {
        (void)puts("\nCredentials made, ended, or tried after their end");
        result = cli_output_rows(call, &response, "credentials", credentials,
                                 sizeof credentials / sizeof credentials[0]);
        (void)putchar('\n');
    }
    if (result == CLI_DONE && call->format == CLI_FORMAT_TABLE)
        result =
            cli_output_rows(call, &response, NULL, entries, sizeof entries / sizeof entries[0]);
    cli_response_done(&response);
    return result;
}

static const struct cli_column review_columns[] = {
    {"REVIEW", "id"}, {"FROM", "from"},         {"TO", "to"},
    {"AT", "at"},     {"BY", "credential"},     {"OWN ENTRIES", "own_entries"},
    {"LOST", "lost"}, {"FINDINGS", "findings"}, {"NOTE", "note"}};
#define REVIEW_COLUMNS (sizeof review_columns / sizeof review_columns[0])

/* A number of an entry as JSON; anything else is left for the server to refuse. */
static void put_number(struct kl_json_out *out, const char *text, size_t size)
{
    if (size > 0 && size < 16 && strspn(text, "0123456789") >= size)
        kl_json_put_int(out, strtoll(text, NULL, 10));
    else
        kl_json_put_text_n(out, text, size);
}

static enum kl_status review_body(struct cli_call *call, struct kl_buf *body)
{
    static const char *const numbers[] = {"from", "to"};
    const char *findings = cli_call_value(call, "findings");
    struct kl_json_out out = kl_json_out(body);
    kl_json_object_begin(&out);
    for (size_t i = 0; i < 2; i++) {
        const char *number = cli_call_value(call, numbers[i]);
        if (number != NULL) {
            kl_json_key(&out, numbers[i]);
            put_number(&out, number, strlen(number));
        }
    }
    if (findings != NULL) {
        kl_json_key(&out, "findings");
        kl_json_array_begin(&out);
        for (const char *at = findings; *at != '\0';) {
            size_t size = strcspn(at, ",");
            put_number(&out, at, size);
            at += size + (at[size] == ',');
        }
        kl_json_array_end(&out);
    }
    enum kl_status status = cli_common_add_file(call, "note", &out);
    kl_json_object_end(&out);
    return status;
}

enum cli_exit cli_audit_review(struct cli_call *call)
{
    if (!cli_call_is_set(call, "to")) {
        (void)fprintf(stderr,
                      "kluis: --to is needed: kluis audit summary says how far it looked\n");
        return CLI_USAGE;
    }
    struct kl_buf body;
    struct cli_response response;
    char key[40];
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    cli_common_idempotency_key(key);
    enum kl_status status = review_body(call, &body);
    if (status == KL_OK) {
        struct cli_request request = {.body = &body, .idempotency_key = key};
        status = cli_call_send(call, "POST", "/v1/audit/reviews", &request, &response);
    }
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_output_rows(call, &response, NULL, review_columns, REVIEW_COLUMNS);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_audit_reviews(struct cli_call *call)
{
    static const struct cli_column gaps[] = {{"UNREVIEWED FROM", "from"}, {"TO", "to"}};
    struct cli_path path;
    struct cli_response response;
    cli_path_start(&path, "/v1/audit/reviews");
    cli_common_page(call, &path);
    if (cli_call_send(call, "GET", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result =
        cli_output_rows(call, &response, "reviews", review_columns, REVIEW_COLUMNS);
    if (result == CLI_DONE && call->format == CLI_FORMAT_TABLE) {
        (void)putchar('\n');
        result = cli_output_rows(call, &response, "unreviewed", gaps, sizeof gaps / sizeof gaps[0]);
    }
    cli_response_done(&response);
    return result;
}
