#include "kluis/base/secret.h"

#include "base/secret_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECRET_MAX_BYTES 65536
/* What is locked for a try: enough for the keys of a small vault. */
#define LOCK_TRY_BYTES ((size_t)256 * 1024)

/* The leak checker of the sanitizers attaches to the process, which undumpable ones refuse. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_LEAK_CHECKER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_LEAK_CHECKER 1
#endif
#endif
#ifndef HAS_LEAK_CHECKER
#define HAS_LEAK_CHECKER 0
#endif

/* Set before the first thread, read-only after: memory that cannot be locked is refused. */
static bool g_locking_required;

struct kl_secret {
    unsigned char *bytes;
    size_t size;
};

static bool memory_can_be_locked(void)
{
    unsigned char *region = malloc(LOCK_TRY_BYTES);
    bool locked;

    if (region == NULL) {
        return false;
    }
    locked = sodium_mlock(region, LOCK_TRY_BYTES) == 0;
    (void)sodium_munlock(region, LOCK_TRY_BYTES);
    free(region);
    return locked;
}

/*
 * Should a core dump be made in spite of all (core(5)): no kind of memory goes into it, so no plaintext on the heap and the stacks either.
 * Where there is no /proc, the two limits below must do.
 */
static void dumps_made_empty(void)
{
    static const char none[] = "0";
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t ignored = write(fd, none, sizeof none - 1);

        (void)ignored;
        (void)close(fd);
    }
}

enum kl_status kl_secret_process_init(bool allow_unlocked, struct kl_err *err)
{
    const struct rlimit no_core = {0, 0};

    if (sodium_init() < 0) {
        return kl_fail(err, KL_ERR_INTERNAL, "crypto_unavailable", "libsodium does not start",
                       NULL);
    }
    dumps_made_empty(); /* while the file is still ours */
    if (setrlimit(RLIMIT_CORE, &no_core) != 0 ||
        (!HAS_LEAK_CHECKER && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)) {
        return kl_fail(err, KL_ERR_INTERNAL, "core_dumps", "core dumps cannot be turned off", "%m");
    }
    if (!allow_unlocked && !memory_can_be_locked()) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "memory_not_lockable",
                       "memory cannot be locked; raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)",
                       NULL);
    }
    g_locking_required = !allow_unlocked;
    return KL_OK;
}

/* CAP_IPC_LOCK lets a process lock what it wants (mlock(2)). */
static bool may_lock_all(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    memset(data, 0, sizeof data);
    if (syscall(SYS_capget, &header, data) != 0) {
        return false;
    }
    return (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

size_t kl_secret_lockable_bytes(void)
{
    struct rlimit limit;

    if (!g_locking_required || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
        limit.rlim_cur == RLIM_INFINITY || may_lock_all()) {
        return SIZE_MAX;
    }
    return (size_t)limit.rlim_cur;
}

/*
 * The child of a fork does not inherit locks: its copy could be swapped out, so it gets zeros instead. Best effort: the programs
 * do not fork, but a library that they load might.
 */
static void keep_from_children(unsigned char *region, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t offset = (uintptr_t)region % page;

    (void)madvise(region - offset, (bytes + offset + page - 1) / page * page, MADV_WIPEONFORK);
}

/* sodium_malloc() says nothing when it could not lock; asking again costs one call and tells. */
unsigned char *kl_guarded_new(size_t bytes)
{
    unsigned char *region = sodium_malloc(bytes);

    if (region == NULL) {
        return NULL;
    }
    if (g_locking_required && sodium_mlock(region, bytes) != 0) {
        sodium_free(region);
        return NULL;
    }
    keep_from_children(region, bytes);
    memset(region, 0, bytes);
    return region;
}

struct kl_secret *kl_secret_new(size_t bytes)
{
    struct kl_secret *secret;

    assert(bytes >= 1 && bytes <= SECRET_MAX_BYTES);
    secret = malloc(sizeof(*secret));
    if (secret == NULL) {
        return NULL;
    }
    secret->size = bytes;
    secret->bytes = kl_guarded_new(bytes);
    if (secret->bytes == NULL) {
        free(secret);
        return NULL;
    }
    return secret;
}

void kl_secret_free(struct kl_secret *secret)
{
    if (secret != NULL) {
        sodium_free(secret->bytes);
        free(secret);
    }
}

unsigned char *kl_secret_bytes(struct kl_secret *secret)
{
    return secret->bytes;
}

const unsigned char *kl_secret_peek(const struct kl_secret *secret)
{
    return secret->bytes;
}

size_t kl_secret_size(const struct kl_secret *secret)
{
    return secret->size;
}
