/* Which files are watched, the log, counting, and the end. */
#include "watch_io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES 32
#define BEGIN_MARK "KLUIS IO BEGINS\n"
#define PARTS_MAX 64
/* linux/ext4.h is for the kernel alone: Documentation/filesystems/ext4, and fs/ext4/ext4.h. */
#define EXT4_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define NO_JOURNAL_FLUSH 2

enum { END_BEFORE, END_AFTER, FAIL };

struct control {
    volatile uint64_t count;
    volatile uint64_t end_at;
    volatile uint64_t how;
};

static char root[PATH_MAX];
static size_t root_bytes;
static int log_fd = -1;
static int cut_fd = -1;
static struct control own_control;
static struct control *control = &own_control;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

void *watch_real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL) {
        abort();
    }
    return found;
}

bool watch_is_on(void)
{
    return root_bytes > 0;
}

const char *watch_root(void)
{
    return root;
}

/* ---- which file ---- */

static bool is_below_root(const char *path)
{
    return root_bytes > 0 && strncmp(path, root, root_bytes) == 0 &&
           (path[root_bytes] == '/' || path[root_bytes] == 0);
}

bool watch_fd(int fd, char ret_path[PATH_MAX])
{
    char link[64];
    ssize_t size;

    if (root_bytes == 0 || fd < 0) {
        return false;
    }
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, ret_path, PATH_MAX - 1);
    if (size <= 0) {
        return false;
    }
    ret_path[size] = 0;
    return is_below_root(ret_path);
}

bool watch_name(int folder, const char *name, char ret_path[PATH_MAX])
{
    char text[PATH_MAX];
    char parent[PATH_MAX];
    char whole[PATH_MAX];
    char *last = NULL;

    if (root_bytes == 0 || name == NULL) {
        return false;
    }
    if (name[0] == '/' || folder == AT_FDCWD) {
        (void)snprintf(text, sizeof text, "%s", name);
    } else {
        char link[64];
        char at[PATH_MAX];
        ssize_t size;

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        size = readlink(link, at, sizeof at - 1);
        if (size <= 0 || (size_t)size + strlen(name) + 2 > sizeof text) {
            return false;
        }
        at[size] = 0;
        memcpy(text, at, (size_t)size);
        text[size] = '/';
        memcpy(text + size + 1, name, strlen(name) + 1);
    }
    last = strrchr(text, '/');
    if (last == NULL) {
        if (getcwd(parent, sizeof parent) == NULL) {
            return false;
        }
        last = text;
    } else {
        *last++ = 0;
        if (realpath(text[0] == 0 ? "/" : text, parent) == NULL) {
            return false;
        }
    }
    if (strlen(parent) + strlen(last) + 2 > sizeof whole) {
        return false;
    }
    memcpy(whole, parent, strlen(parent));
    whole[strlen(parent)] = '/';
    memcpy(whole + strlen(parent) + 1, last, strlen(last) + 1);
    memcpy(ret_path, whole, strlen(whole) + 1);
    return is_below_root(ret_path);
}

static bool is_text_log(const char *path)
{
    const char *name = strrchr(path, '/');

    return name != NULL && strncmp(name, "/LOG", 4) == 0 && (name[4] == 0 || name[4] == '.');
}

/* ---- the log ---- */

static void put_u32(unsigned char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (unsigned char)(number >> (8 * i));
    }
}

static void put_u64(unsigned char *at, uint64_t number)
{
    put_u32(at, (uint32_t)number);
    put_u32(at + 4, (uint32_t)(number >> 32));
}

static void fail(const char *what)
{
    static const char text[] = "watch_io: ";

    (void)!REAL(write)(2, text, sizeof text - 1);
    (void)!REAL(write)(2, what, strlen(what));
    (void)!REAL(write)(2, "\n", 1);
    abort();
}

static void append(const struct iovec *parts, int count)
{
    size_t bytes = 0;

    for (int i = 0; i < count; i++) {
        bytes += parts[i].iov_len;
    }
    if (REAL(writev)(log_fd, parts, count) != (ssize_t)bytes) {
        fail("the log cannot be written");
    }
}

void watch_note(char op, const char *path, uint64_t number, const struct iovec *data, int count)
{
    unsigned char header[HEADER_BYTES] = {'K', 'L', 'I', 'O', (unsigned char)op};
    struct iovec parts[PARTS_MAX + 2];
    struct timespec now;
    size_t bytes = 0;

    if (log_fd < 0) {
        return;
    }
    if (count > PARTS_MAX) {
        fail("a write of too many parts");
    }
    parts[0] = (struct iovec){header, sizeof header};
    parts[1] = (struct iovec){(void *)(uintptr_t)path, strlen(path)};
    for (int i = 0; i < count; i++) {
        parts[i + 2] = data[i];
        bytes += data[i].iov_len;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    header[6] = (unsigned char)parts[1].iov_len;
    header[7] = (unsigned char)(parts[1].iov_len >> 8);
    put_u32(header + 8, (uint32_t)syscall(SYS_gettid));
    put_u32(header + 12, (uint32_t)bytes);
    put_u64(header + 16, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    put_u64(header + 24, number);
    append(parts, count + 2);
}

void watch_note_path(char op, const char *path, uint64_t number, const char *other)
{
    struct iovec data = {(void *)(uintptr_t)other, other == NULL ? 0 : strlen(other)};

    watch_note(op, path, number, &data, 1);
}

/* ---- counting and ending ---- */

/* Nothing that the file system has not written yet is written any more; the process goes on and meets errors. */
static void power_cut(void)
{
    uint32_t how = NO_JOURNAL_FLUSH;

    if (ioctl(cut_fd, EXT4_IOC_SHUTDOWN, &how) != 0) {
        fail("the file system cannot be shut down");
    }
}

static void end_now(void)
{
    if (cut_fd >= 0) {
        power_cut();
        return;
    }
    for (;;) {
        (void)kill(getpid(), SIGKILL);
    }
}

uint64_t watch_change_begin(const char *path)
{
    uint64_t number = 0;

    if (!is_text_log(path)) {
        number = control->count + 1;
        control->count = number;
        if (number == control->end_at && control->how == END_BEFORE) {
            end_now();
        }
    }
    return number;
}

void watch_change_end(uint64_t number)
{
    if (number != 0 && number == control->end_at && control->how == END_AFTER) {
        end_now();
    }
}

bool watch_change_fails(uint64_t number, const char *path)
{
    char text[PATH_MAX + 64];
    int bytes;

    if (number == 0 || number != control->end_at || control->how != FAIL) {
        return false;
    }
    control->end_at = 0; /* not again after a start */
    bytes = snprintf(text, sizeof text, "watch_io: failed %s\n", path);
    (void)!REAL(write)(2, text, (size_t)bytes);
    errno = EIO;
    return true;
}

void watch_turn_take(void)
{
    (void)pthread_mutex_lock(&turn);
}

void watch_turn_give(void)
{
    int kept = errno;

    (void)pthread_mutex_unlock(&turn);
    errno = kept;
}

/* ---- the start ---- */

static void control_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *mapped = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, (off_t)sizeof *control) == 0) {
        mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (mapped == MAP_FAILED) {
        fail("the control file cannot be mapped");
    }
    (void)close(fd);
    control = mapped;
    control->count = 0;
}

__attribute__((constructor)) static void watch_begin(void)
{
    const char *at_root = getenv("KLUIS_IO_ROOT");
    const char *at_log = getenv("KLUIS_IO_LOG");
    const char *at_control = getenv("KLUIS_IO_CONTROL");
    const char *at_cut = getenv("KLUIS_IO_CUT");
    const char *end = getenv("KLUIS_IO_KILL");
    struct iovec mark = {BEGIN_MARK, sizeof BEGIN_MARK - 1};

    if (at_root == NULL) {
        return;
    }
    if (at_log != NULL) {
        log_fd = open(at_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log_fd < 0) {
            fail("the log cannot be opened");
        }
        watch_note('S', "", (uint64_t)getpid(), &mark, 1);
    }
    if (at_control != NULL) {
        control_open(at_control);
    }
    if (end != NULL) {
        char *rest = NULL;

        control->end_at = strtoull(end, &rest, 10);
        control->how = END_BEFORE;
        control->how = strcmp(rest, ":after") == 0 ? END_AFTER : control->how;
        control->how = strcmp(rest, ":fail") == 0 ? FAIL : control->how;
    }
    if (at_cut != NULL) {
        cut_fd = open(at_cut, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (cut_fd < 0) {
            fail("the folder to cut off is not there");
        }
    }
    if (realpath(at_root, root) == NULL) {
        fail("the root is not there");
    }
    root_bytes = strlen(root);
}
