/* Files in and out: never in memory as a whole. */
#include "cli/common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cli_column put_columns[] = {{"RECORD", "id"},
                                                {"VERSION", "version"},
                                                {"SIZE", "file.size"},
                                                {"TYPE", "file.media_type"},
                                                {"SHA256", "file.sha256"}};

static void file_path(const struct cli_call *call, struct cli_path *path)
{
    cli_path_start(path, "/v1/subjects");
    cli_path_segment(path, call->arguments[0]);
    cli_path_text(path, "/records");
    cli_path_segment(path, call->arguments[1]);
    cli_path_text(path, "/files");
    cli_path_segment(path, call->arguments[2]);
}

/* ---- in ---- */

static enum kl_status source_open(const char *path, struct cli_stream *stream, struct kl_err *err)
{
    struct stat info;
    stream->file = fopen(path, "rbe");
    if (stream->file == NULL)
        return kl_failf(err, KL_ERR_IO, "file_error", "%s cannot be read: %s", path,
                        strerror(errno));
    if (fstat(fileno(stream->file), &info) != 0 || !S_ISREG(info.st_mode))
        return kl_failf(err, KL_ERR_INVALID, "file_error",
                        "%s is no regular file: its size has to be known before it is sent", path);
    stream->bytes = (uint64_t)info.st_size;
    return KL_OK;
}

static enum cli_exit put(struct cli_call *call, struct cli_stream *stream)
{
    char if_match[40];
    const char *version = cli_call_value(call, "if-version");
    const char *type = cli_call_value(call, "type");
    struct cli_request request = {.content_type = type == NULL ? "application/octet-stream" : type,
                                  .stream = stream};
    struct cli_response response;
    struct cli_path path;
    if (version != NULL) {
        (void)snprintf(if_match, sizeof if_match, "\"%.32s\"", version);
        request.if_match = if_match;
    }
    file_path(call, &path);
    enum kl_status status = cli_call_send(call, "PUT", path.text, &request, &response);
    cli_progress_end();
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = cli_output_rows(call, &response, NULL, put_columns, COUNT(put_columns));
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_file_put(struct cli_call *call)
{
    const char *file = cli_call_value(call, "file");
    if (file == NULL) {
        (void)fputs("kluis: --file PATH is needed: the file to send\n", stderr);
        return CLI_USAGE;
    }
    struct cli_stream stream = {.up = true, .what = "sending", .progress = cli_progress_show};
    enum cli_exit result = CLI_FAILED;
    if (source_open(file, &stream, &call->err) == KL_OK)
        result = put(call, &stream);
    if (stream.file != NULL)
        (void)fclose(stream.file);
    return result;
}

/* ---- out ---- */

static enum kl_status get(struct cli_call *call, const struct cli_path *path,
                          struct cli_stream *stream)
{
    struct cli_request request = {.stream = stream};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "GET", path->text, &request, &response);
    cli_progress_end();
    if (status != KL_OK)
        return status;
    cli_response_done(&response);
    return fflush(stream->file) == 0 ? KL_OK
                                     : kl_failf(&call->err, KL_ERR_IO, "file_error",
                                                "the file cannot be written: %s", strerror(errno));
}

enum kl_status cli_out_open(struct cli_call *call, const char *path, struct cli_out *ret)
{
    int written = snprintf(ret->part, sizeof ret->part, "%s.part", path);
    if (written < 0 || (size_t)written >= sizeof ret->part)
        return kl_fail(&call->err, KL_ERR_INVALID, "path_too_long", "--out is too long", NULL);
    if (access(path, F_OK) == 0)
        return kl_failf(&call->err, KL_ERR_EXISTS, "file_exists", "%s is there already", path);
    int fd = open(ret->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ret->path = path;
    ret->file = fd < 0 ? NULL : fdopen(fd, "wb");
    return ret->file != NULL ? KL_OK
                             : kl_failf(&call->err, KL_ERR_IO, "file_error",
                                        "%s cannot be made: %s", ret->part, strerror(errno));
}

enum kl_status cli_out_close(struct cli_call *call, struct cli_out *out, enum kl_status status)
{
    if (fclose(out->file) != 0 && status == KL_OK)
        status = kl_failf(&call->err, KL_ERR_IO, "file_error", "%s cannot be written: %s",
                          out->part, strerror(errno));
    if (status == KL_OK && rename(out->part, out->path) != 0)
        status = kl_failf(&call->err, KL_ERR_IO, "file_error", "%s cannot be made: %s", out->path,
                          strerror(errno));
    if (status != KL_OK)
        (void)unlink(out->part);
    return status;
}

/* A document goes to a file or onwards. */
static bool has_place(const struct cli_call *call)
{
    if (cli_call_is_set(call, "out") || !isatty(STDOUT_FILENO))
        return true;
    (void)fputs("kluis: a file is not shown on a terminal: give --out PATH, or send it on\n",
                stderr);
    return false;
}

enum cli_exit cli_common_fetch(struct cli_call *call, const struct cli_path *path)
{
    const char *name = cli_call_value(call, "out");
    struct cli_stream stream = {.file = stdout, .what = "receiving", .progress = cli_progress_show};
    struct cli_out out;
    if (!has_place(call))
        return CLI_USAGE;
    if (name == NULL)
        return get(call, path, &stream) == KL_OK ? CLI_DONE : CLI_FAILED;
    if (cli_out_open(call, name, &out) != KL_OK)
        return CLI_FAILED;
    stream.file = out.file;
    enum kl_status status = get(call, path, &stream);
    return cli_out_close(call, &out, status) == KL_OK ? CLI_DONE : CLI_FAILED;
}

enum cli_exit cli_common_put(struct cli_call *call, const struct kl_buf *bytes)
{
    const char *name = cli_call_value(call, "out");
    struct cli_out out = {.file = stdout};
    enum kl_status status = KL_OK;
    if (!has_place(call))
        return CLI_USAGE;
    if (name != NULL && cli_out_open(call, name, &out) != KL_OK)
        return CLI_FAILED;
    if (fwrite(bytes->bytes, 1, bytes->size, out.file) != bytes->size)
        status = kl_fail(&call->err, KL_ERR_IO, "file_error", "the output cannot be written", NULL);
    if (name != NULL)
        status = cli_out_close(call, &out, status);
    return status == KL_OK ? CLI_DONE : CLI_FAILED;
}

enum cli_exit cli_file_get(struct cli_call *call)
{
    struct cli_path path;
    file_path(call, &path);
    cli_path_query(&path, "purpose", cli_call_value(call, "purpose"));
    cli_path_query(&path, "recipient", cli_call_value(call, "recipient"));
    cli_path_query(&path, "ground", cli_call_value(call, "ground"));
    return cli_common_fetch(call, &path);
}
