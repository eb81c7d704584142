/*
 * `kluis audit export`: all pages into one file, or to standard output. With --follow-from it begins where the last one ended: the number of the next entry is
 * in that file, and is written anew when everything before it was.
 */
#include "cli/common.h"
#include "kluis/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMBER_MAX_DIGITS 15

struct exporting {
    struct cli_call *call;
    FILE *file;
    char cursor[CLI_CURSOR_BYTES];
    char entry[24]; /* where to begin, then where to go on another time; empty: with the first */
};

static enum kl_status file_error(struct exporting *exporting, const char *path)
{
    return kl_failf(&exporting->call->err, KL_ERR_IO, "file_error", "%s: %s", path,
                    strerror(errno));
}

/* ---- where to begin ---- */

static enum kl_status take_position(struct exporting *exporting, const char *path)
{
    struct kl_buf text = {0};
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return KL_OK; /* the first time */
    enum kl_status status = cli_input_read(path, &text, &exporting->call->err);
    if (status != KL_OK)
        return status;
    size_t digits = text.size == 0 ? 0 : strspn((const char *)text.bytes, "0123456789");
    if (digits < 1 || digits > NUMBER_MAX_DIGITS || text.size != digits + 1 ||
        text.bytes[digits] != '\n')
        status = kl_failf(&exporting->call->err, KL_ERR_INVALID, "invalid_position",
                          "%s is not what an export left: one number on a line", path);
    else
        (void)snprintf(exporting->entry, sizeof exporting->entry, "%.*s", (int)digits,
                       (const char *)text.bytes);
    kl_buf_done(&text);
    return status;
}

static enum kl_status keep_position(struct exporting *exporting, const char *path)
{
    char line[sizeof exporting->entry + 1];
    int size = snprintf(line, sizeof line, "%s\n", exporting->entry);
    return kl_file_replace(path, 0600, line, (size_t)size, &exporting->call->err);
}

/* ---- pages ---- */

static enum kl_status fetch_page(struct exporting *exporting)
{
    struct cli_call *call = exporting->call;
    struct cli_response response;
    struct cli_path path;
    cli_path_start(&path, "/v1/audit/export");
    cli_path_query(&path, "format", cli_call_value(call, "as"));
    cli_path_query(&path, "from", cli_call_value(call, "from"));
    cli_path_query(&path, "to", cli_call_value(call, "to"));
    cli_path_query(&path, "limit", cli_call_value(call, "limit"));
    if (exporting->cursor[0] != '\0')
        cli_path_query(&path, "cursor", exporting->cursor);
    else if (exporting->entry[0] != '\0')
        cli_path_query(&path, "entry", exporting->entry);
    enum kl_status status = cli_call_send(call, "GET", path.text, NULL, &response);
    if (status != KL_OK)
        return status;
    if (fwrite(response.body.bytes, 1, response.body.size, exporting->file) != response.body.size)
        status = file_error(exporting, "the output");
    memcpy(exporting->cursor, response.next_cursor, sizeof exporting->cursor);
    memcpy(exporting->entry, response.next_entry, sizeof exporting->entry);
    cli_response_done(&response);
    return status;
}

static enum kl_status fetch_all(struct exporting *exporting)
{
    enum kl_status status = KL_OK;
    do
        status = fetch_page(exporting);
    while (status == KL_OK && exporting->cursor[0] != '\0');
    if (status == KL_OK && fflush(exporting->file) != 0)
        status = file_error(exporting, "the output");
    if (status == KL_OK && exporting->file != stdout && fsync(fileno(exporting->file)) != 0)
        status = file_error(exporting, "the output");
    return status;
}

enum cli_exit cli_audit_export(struct cli_call *call)
{
    const char *name = cli_call_value(call, "out");
    const char *position = cli_call_value(call, "follow-from");
    struct exporting exporting = {.call = call, .file = stdout};
    struct cli_out out;
    if (position != NULL && cli_call_is_set(call, "to")) {
        (void)fputs("kluis: --follow-from goes to the end: it cannot be with --to\n", stderr);
        return CLI_USAGE;
    }
    if (position != NULL && take_position(&exporting, position) != KL_OK)
        return CLI_FAILED;
    if (name != NULL) {
        if (cli_out_open(call, name, &out) != KL_OK)
            return CLI_FAILED;
        exporting.file = out.file;
    }
    enum kl_status status = fetch_all(&exporting);
    if (name != NULL)
        status = cli_out_close(call, &out, status);
    if (status == KL_OK && position != NULL)
        status = keep_position(&exporting, position);
    return status == KL_OK ? CLI_DONE : CLI_FAILED;
}
