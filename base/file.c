#include "kluis/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * errno as a status; the text goes to the log alone, as a path may name what a client need not
 * know.
 */
static enum kl_status fail_errno(const char *what, const char *path, struct kl_err *err)
{
    switch (errno) {
    case ENOENT:
        return kl_fail(err, KL_ERR_NOT_FOUND, "file_not_found", "a file is not there",
                       "cannot %s %s: %m", what, path);
    case EEXIST:
        return kl_fail(err, KL_ERR_EXISTS, "file_exists", "a file is there already",
                       "cannot %s %s: %m", what, path);
    default:
        return kl_fail(err, KL_ERR_IO, "file_error", "a file could not be read or written",
                       "could not %s %s: %m", what, path);
    }
}

/* As fail_errno(), where a missing file is no answer to the caller's question. */
static enum kl_status fail_io(const char *what, const char *path, struct kl_err *err)
{
    return kl_fail(err, KL_ERR_IO, "file_error", "a file could not be read or written",
                   "could not %s %s: %m", what, path);
}

static enum kl_status read_all(int fd, const char *path, size_t max, struct kl_buf *buf,
                               struct kl_err *err)
{
    for (;;) {
        unsigned char chunk[4096];
        ssize_t got = read(fd, chunk, sizeof(chunk));

        if (got > 0) {
            kl_buf_add(buf, chunk, (size_t)got);
        }
        explicit_bzero(chunk, sizeof(chunk));
        if (got < 0 && errno != EINTR) {
            return fail_io("read", path, err);
        }
        if (got == 0) {
            return KL_OK;
        }
        if (buf->failed && !buf->no_memory) {
            return kl_fail(err, KL_ERR_TOO_LARGE, "file_too_large", "a file is too large",
                           "%s is larger than %zu bytes", path, max);
        }
        if (buf->failed) {
            return kl_buf_status(buf, err);
        }
    }
}

/* Without O_NONBLOCK the open of a pipe would wait for its writer. */
#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* fd is closed in every case; one below 0 is an open that failed. */
static enum kl_status read_and_close(int fd, const char *path, size_t max, struct kl_buf *ret,
                                     struct kl_err *err)
{
    enum kl_status status;
    struct kl_buf buf;
    struct stat info;

    kl_buf_init(&buf, max);
    if (fd < 0) {
        return fail_errno("open", path, err);
    }
    if (fstat(fd, &info) != 0) {
        status = fail_io("examine", path, err);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        status = kl_fail(err, KL_ERR_IO, "file_error", "a file could not be read or written",
                         "%s is not a regular file", path);
        goto out;
    }
    status = read_all(fd, path, max, &buf, err);
    if (status == KL_OK) {
        *ret = buf;
        buf = (struct kl_buf){.max = max};
    }

out:
    kl_buf_done(&buf);
    (void)close(fd);
    return status;
}

enum kl_status kl_file_read(const char *path, size_t max, struct kl_buf *ret, struct kl_err *err)
{
    return read_and_close(open(path, READ_FLAGS), path, max, ret, err);
}

enum kl_status kl_file_read_at(int folder, const char *name, size_t max, struct kl_buf *ret,
                               struct kl_err *err)
{
    return read_and_close(openat(folder, name, READ_FLAGS | O_NOFOLLOW), name, max, ret, err);
}

static bool write_all(int fd, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, bytes, size);

        if (put < 0 && errno != EINTR) {
            return false;
        }
        if (put > 0) {
            bytes += put;
            size -= (size_t)put;
        }
    }
    return true;
}

/* Write, set the mode whatever the umask, sync and close; fd is closed in every case. */
static enum kl_status fill_and_close(int fd, const char *path, mode_t mode, const void *bytes,
                                     size_t size, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (fchmod(fd, mode) != 0 || !write_all(fd, bytes, size) || fsync(fd) != 0) {
        status = fail_io("write", path, err);
    }
    if (close(fd) != 0 && status == KL_OK) {
        status = fail_io("close", path, err);
    }
    return status;
}

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is short of memory; try again",
                   "no memory for a path");
}

/* The folder a path lies in; NULL when out of memory. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return strdup(".");
    }
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static enum kl_status folder_sync(const char *path, struct kl_err *err)
{
    enum kl_status status;
    char *folder = folder_of(path);

    if (folder == NULL) {
        return fail_memory(err);
    }
    status = kl_dir_sync(folder, err);
    free(folder);
    return status;
}

enum kl_status kl_file_create(const char *path, mode_t mode, const void *bytes, size_t size,
                              struct kl_err *err)
{
    enum kl_status status;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        return errno == EEXIST ? fail_errno("make", path, err) : fail_io("make", path, err);
    }
    status = fill_and_close(fd, path, mode, bytes, size, err);
    if (status == KL_OK) {
        status = folder_sync(path, err);
    }
    if (status != KL_OK) {
        (void)unlink(path);
    }
    return status;
}

enum kl_status kl_file_create_at(int folder, const char *name, mode_t mode, const void *bytes,
                                 size_t size, struct kl_err *err)
{
    enum kl_status status;
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        return errno == EEXIST ? fail_errno("make", name, err) : fail_io("make", name, err);
    }
    status = fill_and_close(fd, name, mode, bytes, size, err);
    if (status == KL_OK && fsync(folder) != 0) {
        status = fail_io("sync the folder of", name, err);
    }
    if (status != KL_OK) {
        (void)unlinkat(folder, name, 0);
    }
    return status;
}

enum kl_status kl_file_replace_at(int folder, const char *name, mode_t mode, const void *bytes,
                                  size_t size, struct kl_err *err)
{
    enum kl_status status;
    size_t temporary_bytes = strlen(name) + sizeof ".xxxxxxxx";
    char *temporary = malloc(temporary_bytes);

    if (temporary == NULL) {
        return fail_memory(err);
    }
    (void)snprintf(temporary, temporary_bytes, "%s.%08" PRIx32, name, randombytes_random());
    status = kl_file_create_at(folder, temporary, mode, bytes, size, err);
    if (status == KL_OK && renameat(folder, temporary, folder, name) != 0) {
        status = fail_io("replace", name, err);
        (void)unlinkat(folder, temporary, 0);
    }
    if (status == KL_OK && fsync(folder) != 0) {
        status = fail_io("sync the folder of", name, err);
    }
    free(temporary);
    return status;
}

enum kl_status kl_file_replace(const char *path, mode_t mode, const void *bytes, size_t size,
                               struct kl_err *err)
{
    enum kl_status status;
    static const char suffix[] = ".XXXXXX";
    size_t chars = strlen(path);
    char *temporary = malloc(chars + sizeof(suffix));
    int fd;

    if (temporary == NULL) {
        return fail_memory(err);
    }
    memcpy(temporary, path, chars);
    memcpy(temporary + chars, suffix, sizeof(suffix));
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        status = fail_io("make", temporary, err);
        goto out;
    }
    status = fill_and_close(fd, temporary, mode, bytes, size, err);
    if (status == KL_OK && rename(temporary, path) != 0) {
        status = fail_io("replace", path, err);
    }
    if (status != KL_OK) {
        (void)unlink(temporary);
        goto out;
    }
    status = folder_sync(path, err);

out:
    free(temporary);
    return status;
}

enum kl_status kl_dir_sync(const char *path, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return fail_io("open", path, err);
    }
    if (fsync(fd) != 0) {
        status = fail_io("sync", path, err);
    }
    (void)close(fd);
    return status;
}
