#include "cli/common.h"

#include <stdio.h>
#include <string.h>

#define ID_BYTES 64
#define BACKUPS_PATH "/v1/backups"
#define VERIFICATIONS_PATH "/v1/backups/verifications"

static const struct cli_column backup_columns[] = {
    {"BACKUP", "id"},       {"STATE", "state"},          {"TAKEN", "taken_at"},
    {"SIZE", "size"},       {"WRITTEN", "written"},      {"DIRECTORY", "directory"},
    {"COUNTRY", "country"}, {"VERIFIED", "verified_at"}, {"FAILED", "failed_code"},
    {"WHY", "failed_text"}};
#define BACKUP_COLUMNS (sizeof backup_columns / sizeof backup_columns[0])
static const struct cli_column verify_columns[] = {
    {"BACKUP", "backup"}, {"STATE", "state"},        {"OPENED", "opened"},
    {"ERASED", "erased"}, {"UNKNOWN", "unknown"},    {"DAMAGED", "damaged"},
    {"VALUES", "values"}, {"FAILED", "failed_code"}, {"WHY", "failed_text"}};
#define VERIFY_COLUMNS (sizeof verify_columns / sizeof verify_columns[0])

/* Ask for a job; its first answer, or with waiting its last, is printed. */
static enum cli_exit run_job(struct cli_call *call, const char *ask_path, const char *job_path,
                             const char *what, const struct kl_buf *body,
                             const struct cli_column *columns, size_t column_count)
{
    char key[40];
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = body, .idempotency_key = key};
    struct cli_response response;
    if (cli_call_send(call, "POST", ask_path, &request, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result =
        cli_call_is_set(call, "no-wait") ? CLI_DONE : cli_job_wait(call, job_path, what, &response);
    enum cli_exit shown = cli_output_rows(call, &response, NULL, columns, column_count);
    cli_response_done(&response);
    return result == CLI_DONE ? shown : result;
}

/* --name as a number into the body; nothing when it is not given. False: no number. */
static bool add_number(struct cli_call *call, const char *option, const char *member,
                       struct kl_json_out *out)
{
    const char *text = cli_call_value(call, option);
    int64_t number = 0;
    if (text == NULL)
        return true;
    for (const char *digit = text; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9' || number > 100000000)
            return false;
        number = number * 10 + (*digit - '0');
    }
    kl_json_add_int(out, member, number);
    return text[0] != '\0';
}

enum cli_exit cli_backup_create(struct cli_call *call)
{
    const char *directory = cli_call_value(call, "directory");
    const char *country = cli_call_value(call, "country");
    if (directory == NULL || country == NULL) {
        (void)fputs(
            "kluis: --directory DIR and --country COUNTRY are needed: where the backup goes, "
            "and where that lies\n",
            stderr);
        return CLI_USAGE;
    }
    struct kl_buf body;
    kl_buf_init(&body, 8192);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "directory", directory);
    kl_json_add_text(&out, "country", country);
    bool usable =
        add_number(call, "keep", "keep", &out) && add_number(call, "rate", "rate_mib_s", &out);
    kl_json_object_end(&out);
    enum cli_exit result = CLI_USAGE;
    if (usable)
        result = run_job(call, BACKUPS_PATH, BACKUPS_PATH, "backing up", &body, backup_columns,
                         BACKUP_COLUMNS);
    else
        (void)fputs("kluis: --keep and --rate are numbers\n", stderr);
    kl_buf_done(&body);
    return result;
}

enum cli_exit cli_backup_list(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, BACKUPS_PATH);
    return cli_common_show(call, &path, "backups", backup_columns, BACKUP_COLUMNS);
}

/* The newest backup that is done; false when there is none. */
static bool newest_done(struct cli_call *call, char ret_id[ID_BYTES])
{
    struct cli_response response;
    struct kl_json *json = NULL;
    if (cli_call_send(call, "GET", BACKUPS_PATH, NULL, &response) != KL_OK)
        return false;
    bool found = false;
    if (kl_json_parse(response.body.bytes, response.body.size, &json, &call->err) == KL_OK) {
        struct kl_json_iter iter = kl_json_iter(kl_json_member(kl_json_root(json), "backups"));
        const struct kl_json_value *one = NULL;
        while (!found && kl_json_next(&iter, NULL, &one)) {
            const char *id = kl_json_text(kl_json_member(one, "id"));
            const char *state = kl_json_text(kl_json_member(one, "state"));
            found =
                id != NULL && state != NULL && strcmp(state, "done") == 0 && strlen(id) < ID_BYTES;
            if (found)
                memcpy(ret_id, id, strlen(id) + 1);
        }
        if (!found)
            kl_fail(&call->err, KL_ERR_NOT_FOUND, "no_backup", "there is no backup to verify",
                    NULL);
    }
    kl_json_free(json);
    cli_response_done(&response);
    return found;
}

enum cli_exit cli_backup_verify(struct cli_call *call)
{
    char newest[ID_BYTES] = "";
    const char *id = call->argument_count > 0 ? call->arguments[0] : newest;
    if (call->argument_count == 0 && !newest_done(call, newest))
        return CLI_FAILED;
    struct cli_path path;
    cli_path_start(&path, BACKUPS_PATH);
    cli_path_segment(&path, id);
    cli_path_segment(&path, "verify");
    const char *directory = cli_call_value(call, "directory");
    struct kl_buf body;
    kl_buf_init(&body, 8192);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    if (directory != NULL)
        kl_json_add_text(&out, "directory", directory);
    kl_json_object_end(&out);
    enum cli_exit result = run_job(call, path.text, VERIFICATIONS_PATH, "verifying", &body,
                                   verify_columns, VERIFY_COLUMNS);
    kl_buf_done(&body);
    return result;
}
