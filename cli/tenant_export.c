/*
 * `kluis tenant export`: all pages into one file, a JSON value a line, and the files that they name into a folder.
 *
 * Until it is whole the file is called FILE.part, and holds whole pages: each ends with a line of kind "page" whose cursor is where the next one begins.
 * So what was cut short goes on there (--resume). The files of a page are fetched before the page is written.
 */
#include "cli/common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CURSOR_BYTES 257
#define NAME_BYTES 256 /* an id, a point, a field's name */

/* path: FILE.part. cursor: empty: from the start. done: the last page is in it. */
struct taking {
    struct cli_call *call;
    char path[CLI_OUT_PATH_BYTES];
    FILE *file;
    char cursor[CURSOR_BYTES];
    bool done;
    int64_t subjects;
    int64_t records;
    int64_t files;
    int64_t withheld;
    int64_t damaged;
};

static enum kl_status file_error(struct taking *taking, const char *path)
{
    return kl_failf(&taking->call->err, KL_ERR_IO, "file_error", "%s: %s", path, strerror(errno));
}

/* ---- lines ---- */

static enum kl_status line_read(struct taking *taking, const char *line, size_t size,
                                struct kl_json **ret)
{
    return kl_json_parse(line, size, ret, &taking->call->err);
}

static bool is_kind(const struct kl_json *line, const char *kind)
{
    const char *text = kl_json_text(kl_json_member(kl_json_root(line), "kind"));
    return text != NULL && strcmp(text, kind) == 0;
}

static void add_up(const struct kl_json_value *page, const char *member, int64_t *sum)
{
    int64_t number = 0;
    if (kl_json_int(kl_json_member(page, member), &number))
        *sum += number;
}

/* Where the next page begins, and what this one had. */
static void take_page_line(struct taking *taking, const struct kl_json *line)
{
    const struct kl_json_value *page = kl_json_root(line);
    const char *cursor = kl_json_text(kl_json_member(page, "next_cursor"));
    taking->done = cursor == NULL;
    (void)snprintf(taking->cursor, sizeof taking->cursor, "%s", cursor == NULL ? "" : cursor);
    add_up(page, "subjects", &taking->subjects);
    add_up(page, "records", &taking->records);
    add_up(page, "files", &taking->files);
    add_up(page, "withheld", &taking->withheld);
    add_up(page, "damaged", &taking->damaged);
}

/* ---- the file ---- */

/* Over what was written before: behind the last whole page it is cut off. */
static enum kl_status resume(struct taking *taking)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size = 0;
    off_t whole = 0;
    enum kl_status status = KL_OK;
    while (status == KL_OK && (size = getline(&line, &room, taking->file)) > 0 &&
           line[size - 1] == '\n') {
        struct kl_json *json = NULL;
        status = line_read(taking, line, (size_t)size, &json);
        if (status == KL_OK && is_kind(json, "page")) {
            take_page_line(taking, json);
            whole = ftello(taking->file);
        }
        kl_json_free(json);
    }
    free(line);
    if (status == KL_OK && (ferror(taking->file) || ftruncate(fileno(taking->file), whole) != 0 ||
                            fseeko(taking->file, whole, SEEK_SET) != 0))
        status = file_error(taking, taking->path);
    return status;
}

static enum kl_status open_part(struct taking *taking, const char *path)
{
    const bool resuming = cli_call_is_set(taking->call, "resume");
    int written = snprintf(taking->path, sizeof taking->path, "%s.part", path);
    if (written < 0 || (size_t)written >= sizeof taking->path)
        return kl_fail(&taking->call->err, KL_ERR_INVALID, "path_too_long", "--out is too long",
                       NULL);
    if (access(path, F_OK) == 0)
        return kl_failf(&taking->call->err, KL_ERR_EXISTS, "file_exists", "%s is there already",
                        path);
    int fd = open(taking->path, O_RDWR | O_CLOEXEC | (resuming ? 0 : O_CREAT | O_EXCL), 0600);
    if (fd < 0 && errno == EEXIST)
        return kl_failf(&taking->call->err, KL_ERR_EXISTS, "file_exists",
                        "%s is there, from an export that did not end: go on with --resume, or "
                        "remove it",
                        taking->path);
    taking->file = fd < 0 ? NULL : fdopen(fd, "r+b");
    if (taking->file == NULL)
        return file_error(taking, taking->path);
    return resuming ? resume(taking) : KL_OK;
}

static enum kl_status write_page(struct taking *taking, const struct cli_response *response)
{
    if (fwrite(response->body.bytes, 1, response->body.size, taking->file) != response->body.size ||
        fflush(taking->file) != 0)
        return file_error(taking, taking->path);
    return KL_OK;
}

/* ---- the files of a page ---- */

static void file_path(const struct taking *taking, const struct kl_json_value *line,
                      const char *field, struct cli_path *path)
{
    const char *subject = kl_json_text(kl_json_member(line, "subject"));
    const char *receipt = kl_json_text(kl_json_member(line, "receipt"));
    const char *record = kl_json_text(kl_json_member(kl_json_member(line, "record"), "id"));
    cli_path_start(path, "/v1/tenants");
    cli_path_segment(path, taking->call->arguments[0]);
    cli_path_text(path, subject != NULL ? "/export/subjects" : "/export/erasures");
    cli_path_segment(path, subject != NULL ? subject : receipt);
    cli_path_text(path, "/records");
    cli_path_segment(path, record);
    cli_path_text(path, "/file");
    cli_path_query(path, "field", field);
}

/* Its name in the folder; what the server calls it must be a plain name. */
static enum kl_status file_name(struct taking *taking, const struct kl_json_value *line,
                                const char *field, char ret[CLI_OUT_PATH_BYTES])
{
    const char *record = kl_json_text(kl_json_member(kl_json_member(line, "record"), "id"));
    int size = -1;
    if (record != NULL && field != NULL && strlen(record) + strlen(field) < NAME_BYTES &&
        strpbrk(record, "/.") == NULL && strpbrk(field, "/.") == NULL)
        size = snprintf(ret, CLI_OUT_PATH_BYTES, "%s/%s.%s", cli_call_value(taking->call, "files"),
                        record, field);
    return size > 0 && size < CLI_OUT_PATH_BYTES
               ? KL_OK
               : kl_fail(&taking->call->err, KL_ERR_INVALID, "invalid_answer",
                         "the server names a file as none can be called, or --files is too long",
                         NULL);
}

/* What an export that was killed left of it. */
static void remove_part(const struct taking *taking, const char *name)
{
    char part[CLI_OUT_PATH_BYTES];
    int size = snprintf(part, sizeof part, "%s.part", name);
    if (cli_call_is_set(taking->call, "resume") && size > 0 && (size_t)size < sizeof part)
        (void)unlink(part);
}

static enum kl_status fetch_file(struct taking *taking, const struct kl_json_value *line,
                                 const char *field)
{
    struct cli_stream stream = {.what = "receiving", .progress = cli_progress_show};
    struct cli_request request = {.stream = &stream};
    struct cli_response response;
    struct cli_path path;
    struct cli_out out;
    char name[CLI_OUT_PATH_BYTES];
    enum kl_status status = file_name(taking, line, field, name);
    if (status != KL_OK || access(name, F_OK) == 0) /* of a page that was not written any more */
        return status;
    remove_part(taking, name);
    status = cli_out_open(taking->call, name, &out);
    if (status != KL_OK)
        return status;
    stream.file = out.file;
    file_path(taking, line, field, &path);
    status = cli_call_send(taking->call, "GET", path.text, &request, &response);
    cli_progress_end();
    if (status == KL_OK)
        cli_response_done(&response);
    return cli_out_close(taking->call, &out, status);
}

static enum kl_status fetch_files(struct taking *taking, const struct kl_json *line)
{
    struct kl_json_iter iter = kl_json_iter(kl_json_member(kl_json_root(line), "files"));
    const struct kl_json_value *field = NULL;
    enum kl_status status = KL_OK;
    while (status == KL_OK && cli_call_is_set(taking->call, "files") &&
           kl_json_next(&iter, NULL, &field))
        status = fetch_file(taking, kl_json_root(line), kl_json_text(field));
    return status;
}

/* ---- pages ---- */

static enum kl_status fetch_page(struct taking *taking, struct cli_response *ret)
{
    struct kl_buf body;
    struct cli_path path;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    if (taking->cursor[0] != '\0')
        kl_json_add_text(&out, "cursor", taking->cursor);
    if (cli_call_is_set(taking->call, "limit"))
        kl_json_add_int(&out, "limit", strtoll(cli_call_value(taking->call, "limit"), NULL, 10));
    kl_json_object_end(&out);
    struct cli_request request = {.body = &body};
    cli_path_start(&path, "/v1/tenants");
    cli_path_segment(&path, taking->call->arguments[0]);
    cli_path_text(&path, "/export");
    enum kl_status status = cli_call_send(taking->call, "POST", path.text, &request, ret);
    kl_buf_done(&body);
    return status;
}

/* Each line: fetch what it names; the last has to be that of the page. */
static enum kl_status look_at_lines(struct taking *taking, const struct cli_response *response)
{
    const char *at = (const char *)response->body.bytes;
    size_t left = response->body.size;
    enum kl_status status = KL_OK;
    bool ended = false;
    while (status == KL_OK && left > 0) {
        const char *end = memchr(at, '\n', left);
        const size_t size = end == NULL ? left : (size_t)(end - at) + 1;
        struct kl_json *line = NULL;
        status = line_read(taking, at, size, &line);
        if (status == KL_OK)
            status = fetch_files(taking, line);
        ended = status == KL_OK && end != NULL && is_kind(line, "page");
        if (ended)
            take_page_line(taking, line);
        kl_json_free(line);
        at += size;
        left -= size;
    }
    if (status == KL_OK && !ended)
        status = kl_fail(&taking->call->err, KL_ERR_INVALID, "invalid_answer",
                         "the server's answer does not end as a page does", NULL);
    return status;
}

static enum kl_status take_all(struct taking *taking)
{
    enum kl_status status = KL_OK;
    while (status == KL_OK && !taking->done) {
        struct cli_response response;
        status = fetch_page(taking, &response);
        if (status != KL_OK)
            return status;
        status = look_at_lines(taking, &response);
        if (status == KL_OK)
            status = write_page(taking, &response);
        cli_response_done(&response);
    }
    return status;
}

/* ---- the end ---- */

static enum cli_exit print_sums(struct taking *taking)
{
    static const struct cli_column columns[] = {{"SUBJECTS", "subjects"},
                                                {"RECORDS", "records"},
                                                {"FILES", "files"},
                                                {"WITHHELD", "withheld"},
                                                {"DAMAGED", "damaged"}};
    struct cli_response sums = {.status = 200};
    kl_buf_init(&sums.body, CLI_INPUT_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&sums.body);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "subjects", taking->subjects);
    kl_json_add_int(&out, "records", taking->records);
    kl_json_add_int(&out, "files", taking->files);
    kl_json_add_int(&out, "withheld", taking->withheld);
    kl_json_add_int(&out, "damaged", taking->damaged);
    kl_json_object_end(&out);
    enum cli_exit result =
        cli_output_rows(taking->call, &sums, NULL, columns, sizeof columns / sizeof columns[0]);
    cli_response_done(&sums);
    if (result == CLI_DONE && taking->withheld + taking->damaged > 0) {
        (void)fputs(
            "kluis: this is not all: what is withheld may not go to this credential's place, "
            "what is damaged the server's log names\n",
            stderr);
        result = CLI_FAILED;
    }
    return result;
}

static enum kl_status close_part(struct taking *taking, const char *path)
{
    const bool synced = fflush(taking->file) == 0 && fsync(fileno(taking->file)) == 0;
    FILE *file = taking->file;
    taking->file = NULL;
    if (!synced || fclose(file) != 0 || rename(taking->path, path) != 0)
        return file_error(taking, path);
    return KL_OK;
}

enum cli_exit cli_tenant_export(struct cli_call *call)
{
    struct taking taking = {.call = call};
    const char *path = cli_call_value(call, "out");
    if (path == NULL) {
        (void)fputs("kluis: --out PATH is needed: the file to write\n", stderr);
        return CLI_USAGE;
    }
    if (cli_call_is_set(call, "files") && mkdir(cli_call_value(call, "files"), 0700) != 0 &&
        errno != EEXIST) {
        (void)file_error(&taking, cli_call_value(call, "files"));
        return CLI_FAILED;
    }
    enum kl_status status = open_part(&taking, path);
    if (status == KL_OK)
        status = take_all(&taking);
    if (status == KL_OK)
        status = close_part(&taking, path);
    if (taking.file != NULL)
        (void)fclose(taking.file);
    return status == KL_OK ? print_sums(&taking) : CLI_FAILED;
}
