/* `kluis audit save`: a trail taken down with all that checking it needs; `kluis audit prune`: old entries let go. */
#include "cli/common.h"
#include "cli/trail_verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ENTRIES "1000"

struct saving {
    struct cli_call *call;
    FILE *file;
    uint64_t next;
    uint64_t size;
    uint64_t lost_told; /* lost ranges that begin below it are in the file */
};

static enum kl_status not_understood(struct cli_call *call)
{
    return kl_fail(&call->err, KL_ERR_INVALID, "unexpected_answer",
                   "the server's answer is not what was asked for", NULL);
}

/* The answer as a line of the file, and as JSON (NULL: not needed). */
static enum kl_status save_answer(struct saving *saving, const char *route,
                                  struct kl_json **ret_json)
{
    struct cli_response response;
    enum kl_status status = cli_call_send(saving->call, "GET", route, NULL, &response);
    if (status != KL_OK)
        return status;
    (void)fwrite(response.body.bytes, 1, response.body.size, saving->file);
    (void)fputc('\n', saving->file);
    if (ret_json != NULL)
        status =
            kl_json_parse(response.body.bytes, response.body.size, ret_json, &saving->call->err);
    cli_response_done(&response);
    return status;
}

static bool number_of(const struct kl_json_value *value, const char *key, uint64_t *ret)
{
    int64_t number = -1;
    if (!kl_json_int(kl_json_member(value, key), &number) || number < 0)
        return false;
    *ret = (uint64_t)number;
    return true;
}

static bool save_lost(struct saving *saving, const struct kl_json_value *root)
{
    struct kl_json_iter iter = kl_json_iter(kl_json_member(root, "lost"));
    const struct kl_json_value *item = NULL;
    uint64_t from = 0;
    uint64_t until = 0;
    while (kl_json_next(&iter, NULL, &item)) {
        if (!number_of(item, "from", &from) || !number_of(item, "until", &until))
            return false;
        if (from >= saving->lost_told)
            (void)fprintf(saving->file, "{\"lost\":{\"from\":%" PRIu64 ",\"until\":%" PRIu64 "}}\n",
                          from, until);
        saving->lost_told = until > saving->lost_told ? until : saving->lost_told;
    }
    return true;
}

/* A hash that is damaged has no line: who checks the file finds that it is missing. */
static bool save_pruned(struct saving *saving, const struct kl_json_value *root)
{
    struct kl_json_iter runs = kl_json_iter(kl_json_member(kl_json_member(root, "pruned"), "runs"));
    const struct kl_json_value *run = NULL;
    const struct kl_json_value *hash = NULL;
    uint64_t number = 0;
    while (kl_json_next(&runs, NULL, &run)) {
        struct kl_json_iter hashes = kl_json_iter(kl_json_member(run, "leaf_hashes"));
        if (!number_of(run, "from", &number))
            return false;
        for (; kl_json_next(&hashes, NULL, &hash); number++)
            if (kl_json_text(hash) != NULL && number < saving->size)
                (void)fprintf(saving->file, "{\"seq\":%" PRIu64 ",\"leaf_hash\":\"%s\"}\n", number,
                              kl_json_text(hash));
    }
    return true;
}

/* An entry whose text has a line feed is not one that the vault wrote, and would end its line: it is left out, and missed. */
static bool save_entries(struct saving *saving, const struct kl_json_value *root)
{
    struct kl_json_iter iter = kl_json_iter(kl_json_member(root, "entries"));
    const struct kl_json_value *item = NULL;
    uint64_t number = 0;
    while (kl_json_next(&iter, NULL, &item)) {
        const char *text = kl_json_text(kl_json_member(item, "text"));
        if (!number_of(item, "index", &number))
            return false;
        if (text != NULL && number < saving->size && strpbrk(text, "\r\n") == NULL)
            (void)fprintf(saving->file, "{\"seq\":%" PRIu64 ",\"entry\":%s}\n", number, text);
    }
    return true;
}

static enum kl_status save_page(struct saving *saving)
{
    struct cli_path path;
    struct cli_response response;
    struct kl_json *json = NULL;
    uint64_t next = 0;
    char from[24];
    (void)snprintf(from, sizeof from, "%" PRIu64, saving->next);
    cli_path_start(&path, "/v1/audit/entries");
    cli_path_query(&path, "from", from);
    cli_path_query(&path, "limit", PAGE_ENTRIES);
    enum kl_status status = cli_call_send(saving->call, "GET", path.text, NULL, &response);
    if (status != KL_OK)
        return status;
    status = kl_json_parse(response.body.bytes, response.body.size, &json, &saving->call->err);
    cli_response_done(&response);
    if (status == KL_OK &&
        (!number_of(kl_json_root(json), "next", &next) || next <= saving->next ||
         !save_lost(saving, kl_json_root(json)) || !save_pruned(saving, kl_json_root(json)) ||
         !save_entries(saving, kl_json_root(json))))
        status = not_understood(saving->call);
    kl_json_free(json);
    saving->next = next;
    return status;
}

static enum kl_status save_all(struct saving *saving)
{
    struct kl_json *head = NULL;
    enum kl_status status = save_answer(saving, "/v1/audit/head", &head);
    if (status == KL_OK && !number_of(kl_json_root(head), "size", &saving->size))
        status = not_understood(saving->call);
    kl_json_free(head);
    if (status == KL_OK)
        status = save_answer(saving, "/v1/audit/keys", NULL);
    while (status == KL_OK && saving->next < saving->size) {
        status = save_page(saving);
        if (status == KL_OK && !saving->call->quiet)
            cli_progress_show("saving", (double)saving->next / (double)saving->size);
    }
    cli_progress_end();
    return status;
}

enum cli_exit cli_audit_save(struct cli_call *call)
{
    struct saving saving = {.call = call};
    const char *path = call->arguments[0];
    saving.file = fopen(path, "wxe");
    if (saving.file == NULL) {
        (void)kl_failf(&call->err, KL_ERR_IO, "file_error",
                       "%s cannot be made, or is there already", path);
        return CLI_FAILED;
    }
    enum kl_status status = save_all(&saving);
    bool failed = ferror(saving.file) != 0;
    failed = fclose(saving.file) != 0 || failed;
    if (status == KL_OK && failed)
        status = kl_failf(&call->err, KL_ERR_IO, "file_error", "%s cannot be written", path);
    if (status != KL_OK) {
        (void)remove(path);
        return CLI_FAILED;
    }
    if (!call->quiet)
        (void)fprintf(stderr, "%" PRIu64 " entries; check them anywhere: kluis audit verify %s\n",
                      saving.size, path);
    return CLI_DONE;
}

/* ---- letting go ---- */

static const struct cli_column run_columns[] = {{"RUN", "id"},
                                                {"STATE", "state"},
                                                {"ENTRIES", "entries"},
                                                {"FROM", "from"},
                                                {"UNTIL", "until"},
                                                {"OLDEST", "oldest_at"},
                                                {"NEWEST", "newest_at"},
                                                {"NEXT", "next_at"},
                                                {"FOR EVER", "kept_for_ever"},
                                                {"WAITS UNTIL", "waits_until"},
                                                {"BLOCKED AT", "blocked_at"}};
#define RUN_COLUMNS (sizeof run_columns / sizeof run_columns[0])

enum cli_exit cli_audit_prune(struct cli_call *call)
{
    bool dry_run = cli_call_is_set(call, "dry-run");
    struct kl_json_out out;
    struct kl_buf body;
    char key[40];

    if (!dry_run && !cli_input_confirm(call, "Let the entries of the trail go that are older than "
                                             "the policy keeps them? Nothing brings them back."))
        return CLI_FAILED;
    kl_buf_init(&body, 1024);
    out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "dry_run", dry_run);
    kl_json_object_end(&out);
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = &body, .idempotency_key = key};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "POST", "/v1/audit/prunes", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_job_wait(call, "/v1/audit/prunes", "looking", &response);
    enum cli_exit shown = cli_output_rows(call, &response, NULL, run_columns, RUN_COLUMNS);
    cli_response_done(&response);
    return result == CLI_DONE ? shown : result;
}

enum cli_exit cli_audit_prunes(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, "/v1/audit/prunes");
    cli_path_query(&path, "limit", cli_call_value(call, "limit"));
    return cli_common_show(call, &path, "runs", run_columns, RUN_COLUMNS);
}
