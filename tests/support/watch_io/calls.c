/* The calls that write, in the C library's place. */
#include "watch_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- writes ---- */

/* Where a write without an offset goes. */
static uint64_t offset_of(int fd)
{
    struct stat file;
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0 && (flags & O_APPEND) != 0 && fstat(fd, &file) == 0) {
        return (uint64_t)file.st_size;
    }
    return (uint64_t)lseek(fd, 0, SEEK_CUR);
}

/* offset -1: at the file's position. */
static ssize_t parts_write(int fd, const char *path, const struct iovec *parts, int count,
                           off_t offset)
{
    ssize_t done;
    uint64_t number;

    watch_turn_take();
    number = watch_change_begin(path);
    if (watch_change_fails(number, path)) {
        watch_turn_give();
        return -1;
    }
    watch_note('W', path, offset < 0 ? offset_of(fd) : (uint64_t)offset, parts, count);
    done = offset < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev)(fd, parts, count, offset);
    watch_change_end(number);
    watch_turn_give();
    return done;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    char path[PATH_MAX];
    struct iovec part = {(void *)(uintptr_t)data, bytes};

    return watch_fd(fd, path) ? parts_write(fd, path, &part, 1, -1) : REAL(write)(fd, data, bytes);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    char path[PATH_MAX];
    struct iovec part = {(void *)(uintptr_t)data, bytes};

    return watch_fd(fd, path) ? parts_write(fd, path, &part, 1, offset)
                              : REAL(pwrite)(fd, data, bytes, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    char path[PATH_MAX];

    return watch_fd(fd, path) ? parts_write(fd, path, parts, count, -1)
                              : REAL(writev)(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    char path[PATH_MAX];

    return watch_fd(fd, path) ? parts_write(fd, path, parts, count, offset)
                              : REAL(pwritev)(fd, parts, count, offset);
}

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    char path[PATH_MAX];

    return watch_fd(fd, path) ? parts_write(fd, path, parts, count, offset)
                              : REAL(pwritev2)(fd, parts, count, offset, flags);
}

/* ---- streams: what they hold back is written at once ---- */

static bool path_of_stream(FILE *stream, char ret_path[PATH_MAX])
{
    return stream != NULL && watch_fd(fileno(stream), ret_path);
}

static bool stream_write(FILE *stream, const char *path, const void *data, size_t bytes)
{
    struct iovec part = {(void *)(uintptr_t)data, bytes};

    (void)fflush(stream);
    return bytes == 0 || parts_write(fileno(stream), path, &part, 1, -1) == (ssize_t)bytes;
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream)
{
    char path[PATH_MAX];

    if (!path_of_stream(stream, path)) {
        return REAL(fwrite)(data, size, count, stream);
    }
    return stream_write(stream, path, data, size * count) ? count : 0;
}

int fputs(const char *text, FILE *stream)
{
    char path[PATH_MAX];

    if (!path_of_stream(stream, path)) {
        return REAL(fputs)(text, stream);
    }
    return stream_write(stream, path, text, strlen(text)) ? 1 : EOF;
}

int vfprintf(FILE *stream, const char *format, va_list arguments)
{
    char path[PATH_MAX];
    char *text = NULL;
    int size;

    if (!path_of_stream(stream, path)) {
        return REAL(vfprintf)(stream, format, arguments);
    }
    size = vasprintf(&text, format, arguments);
    if (size >= 0 && !stream_write(stream, path, text, (size_t)size)) {
        size = -1;
    }
    free(text);
    return size;
}

int fprintf(FILE *stream, const char *format, ...)
{
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vfprintf(stream, format, arguments);
    va_end(arguments);
    return size;
}

/* What fprintf is called in a program built with _FORTIFY_SOURCE. */
int __fprintf_chk(FILE *stream, int flag, const char *format, ...);
int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
    va_list arguments;
    int size;

    (void)flag;
    va_start(arguments, format);
    size = vfprintf(stream, format, arguments);
    va_end(arguments);
    return size;
}

int __vfprintf_chk(FILE *stream, int flag, const char *format, va_list arguments);
int __vfprintf_chk(FILE *stream, int flag, const char *format, va_list arguments)
{
    (void)flag;
    return vfprintf(stream, format, arguments);
}

/* ---- opening, for what it makes or empties ---- */

static int open_any(int folder, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    int fd;

    if ((flags & (O_CREAT | O_TRUNC)) == 0 || !watch_is_on()) {
        return REAL(openat)(folder, name, flags, mode);
    }
    watch_turn_take();
    fd = REAL(openat)(folder, name, flags, mode);
    if (watch_fd(fd, path)) {
        watch_note('O', path, (flags & O_TRUNC) != 0, NULL, 0);
    }
    watch_turn_give();
    return fd;
}

int open(const char *name, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_any(AT_FDCWD, name, flags, mode);
}

int openat(int folder, const char *name, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_any(folder, name, flags, mode);
}

int creat(const char *name, mode_t mode)
{
    return open_any(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

FILE *fopen(const char *name, const char *mode)
{
    char path[PATH_MAX];
    FILE *stream;

    watch_turn_take();
    stream = REAL(fopen)(name, mode);
    if (mode[0] != 'r' && path_of_stream(stream, path)) {
        watch_note('O', path, mode[0] == 'w', NULL, 0);
    }
    watch_turn_give();
    return stream;
}

/* ---- lengths ---- */

int ftruncate(int fd, off_t bytes)
{
    char path[PATH_MAX];
    uint64_t number;
    int done;

    if (!watch_fd(fd, path)) {
        return REAL(ftruncate)(fd, bytes);
    }
    watch_turn_take();
    number = watch_change_begin(path);
    watch_note('T', path, (uint64_t)bytes, NULL, 0);
    done = REAL(ftruncate)(fd, bytes);
    watch_change_end(number);
    watch_turn_give();
    return done;
}

int truncate(const char *name, off_t bytes)
{
    int fd = open_any(AT_FDCWD, name, O_WRONLY | O_CLOEXEC, 0);
    int done = fd < 0 ? -1 : ftruncate(fd, bytes);

    if (fd >= 0) {
        (void)close(fd);
    }
    return done;
}

/* Only one that changes the length shows; one that makes a hole would hide bytes: refused. */
int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    char path[PATH_MAX];
    struct stat file;
    int done;

    if (!watch_fd(fd, path)) {
        return REAL(fallocate)(fd, mode, offset, bytes);
    }
    if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) {
        errno = EOPNOTSUPP;
        return -1;
    }
    watch_turn_take();
    done = REAL(fallocate)(fd, mode, offset, bytes);
    if (done == 0 && mode == 0 && fstat(fd, &file) == 0) {
        watch_note('T', path, (uint64_t)file.st_size, NULL, 0);
    }
    watch_turn_give();
    return done;
}

int posix_fallocate(int fd, off_t offset, off_t bytes)
{
    char path[PATH_MAX];

    if (!watch_fd(fd, path)) {
        return REAL(posix_fallocate)(fd, offset, bytes);
    }
    return fallocate(fd, 0, offset, bytes) == 0 ? 0 : errno;
}

/* ---- names ---- */

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    char old[PATH_MAX];
    char new[PATH_MAX];
    bool watched = watch_name(from_folder, from, old);
    uint64_t number;
    int done;

    if (!watch_name(to_folder, to, new) && !watched) {
        return REAL(renameat2)(from_folder, from, to_folder, to, flags);
    }
    watch_turn_take();
    number = watch_change_begin(new);
    done = REAL(renameat2)(from_folder, from, to_folder, to, flags);
    if (done == 0) {
        watch_note_path('R', old, 0, new);
    }
    watch_change_end(number);
    watch_turn_give();
    return done;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    char old[PATH_MAX];
    char new[PATH_MAX];
    uint64_t number;
    int done;

    if (!watch_name(to_folder, to, new) || !watch_name(from_folder, from, old)) {
        return REAL(linkat)(from_folder, from, to_folder, to, flags);
    }
    watch_turn_take();
    number = watch_change_begin(new);
    done = REAL(linkat)(from_folder, from, to_folder, to, flags);
    if (done == 0) {
        watch_note_path('L', old, 0, new);
    }
    watch_change_end(number);
    watch_turn_give();
    return done;
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int folder, const char *name, int flags)
{
    char path[PATH_MAX];
    uint64_t number;
    int done;

    if ((flags & AT_REMOVEDIR) != 0 || !watch_name(folder, name, path)) {
        return REAL(unlinkat)(folder, name, flags);
    }
    watch_turn_take();
    number = watch_change_begin(path);
    done = REAL(unlinkat)(folder, name, flags);
    if (done == 0) {
        watch_note('U', path, 0, NULL, 0);
    }
    watch_change_end(number);
    watch_turn_give();
    return done;
}

int mkdirat(int folder, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    int done;

    if (!watch_name(folder, name, path)) {
        return REAL(mkdirat)(folder, name, mode);
    }
    watch_turn_take();
    done = REAL(mkdirat)(folder, name, mode);
    if (done == 0) {
        watch_note('D', path, 0, NULL, 0);
    }
    watch_turn_give();
    return done;
}

int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int remove(const char *name)
{
    struct stat file;

    if (lstat(name, &file) == 0 && S_ISDIR(file.st_mode)) {
        return rmdir(name);
    }
    return unlink(name);
}

/* ---- syncs ---- */

/* Not within a turn, so that they take as long, and meet each other, as without us. */
static uint64_t sync_begin(const char *path, uint64_t everything)
{
    uint64_t number;

    watch_turn_take();
    number = watch_change_begin(path);
    watch_note('B', path, everything, NULL, 0);
    watch_turn_give();
    return number;
}

static void sync_end(const char *path, uint64_t everything, uint64_t number, int done)
{
    int kept = errno;

    watch_turn_take();
    if (done == 0) {
        watch_note('F', path, everything, NULL, 0);
    }
    watch_change_end(number);
    watch_turn_give();
    errno = kept;
}

int fsync(int fd)
{
    char path[PATH_MAX];
    uint64_t number;
    int done;

    if (!watch_fd(fd, path)) {
        return REAL(fsync)(fd);
    }
    number = sync_begin(path, 0);
    done = watch_change_fails(number, path) ? -1 : REAL(fsync)(fd);
    sync_end(path, 0, number, done);
    return done;
}

int fdatasync(int fd)
{
    char path[PATH_MAX];
    uint64_t number;
    int done;

    if (!watch_fd(fd, path)) {
        return REAL(fdatasync)(fd);
    }
    number = sync_begin(path, 0);
    done = watch_change_fails(number, path) ? -1 : REAL(fdatasync)(fd);
    sync_end(path, 0, number, done);
    return done;
}

int syncfs(int fd)
{
    uint64_t number = !watch_is_on() ? 0 : sync_begin(watch_root(), 1);
    int done = REAL(syncfs)(fd);

    if (watch_is_on()) {
        sync_end(watch_root(), 1, number, done);
    }
    return done;
}

void sync(void)
{
    uint64_t number = !watch_is_on() ? 0 : sync_begin(watch_root(), 1);

    REAL(sync)();
    if (watch_is_on()) {
        sync_end(watch_root(), 1, number, 0);
    }
}

/* ---- ways to write that would not be seen ---- */

static bool refuse(int fd, int error)
{
    char path[PATH_MAX];

    if (!watch_fd(fd, path)) {
        return false;
    }
    watch_turn_take();
    watch_note('?', path, 0, NULL, 0);
    watch_turn_give();
    errno = error;
    return true;
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t bytes,
                        unsigned flags)
{
    return refuse(to, EXDEV) ? -1 : REAL(copy_file_range)(from, from_at, to, to_at, bytes, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t bytes)
{
    return refuse(to, EINVAL) ? -1 : REAL(sendfile)(to, from, offset, bytes);
}

ssize_t splice(int from, off64_t *from_at, int to, off64_t *to_at, size_t bytes, unsigned flags)
{
    return refuse(to, EINVAL) ? -1 : REAL(splice)(from, from_at, to, to_at, bytes, flags);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if ((request == FICLONE || request == FICLONERANGE) && refuse(fd, EOPNOTSUPP)) {
        return -1;
    }
    return ((int (*)(int, unsigned long, ...))watch_real("ioctl"))(fd, request, argument);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    char path[PATH_MAX];

    if ((flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0 && watch_fd(fd, path)) {
        watch_turn_take();
        watch_note('M', path, (uint64_t)offset, NULL, 0);
        watch_turn_give();
    }
    return REAL(mmap)(at, bytes, protection, flags, fd, offset);
}

/* The names that a program built for large files calls. On the machines we run on off_t has 64 bits. */
_Static_assert(sizeof(off_t) == sizeof(off64_t), "one set of functions serves both names");
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
    __attribute__((alias("pwrite")));
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
    __attribute__((alias("pwritev")));
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags)
    __attribute__((alias("pwritev2")));
int open64(const char *name, int flags, ...) __attribute__((alias("open")));
int openat64(int folder, const char *name, int flags, ...) __attribute__((alias("openat")));
int creat64(const char *name, mode_t mode) __attribute__((alias("creat")));
FILE *fopen64(const char *name, const char *mode) __attribute__((alias("fopen")));
int ftruncate64(int fd, off64_t bytes) __attribute__((alias("ftruncate")));
int truncate64(const char *name, off64_t bytes) __attribute__((alias("truncate")));
int fallocate64(int fd, int mode, off64_t offset, off64_t bytes)
    __attribute__((alias("fallocate")));
int posix_fallocate64(int fd, off64_t offset, off64_t bytes)
    __attribute__((alias("posix_fallocate")));
ssize_t sendfile64(int to, int from, off64_t *offset, size_t bytes)
    __attribute__((alias("sendfile")));
void *mmap64(void *at, size_t bytes, int protection, int flags, int fd, off64_t offset)
    __attribute__((alias("mmap")));
