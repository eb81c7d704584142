#include "kluis/base/secret.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static void test_a_secret_is_zeroed_and_writable(void **state)
{
    const size_t sizes[] = {1, 32, 4096, 65536};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct kl_secret *secret = kl_secret_new(sizes[i]);
        assert_int_equal(kl_secret_size(secret), sizes[i]);
        assert_true(sodium_is_zero(kl_secret_peek(secret), sizes[i]));
        memset(kl_secret_bytes(secret), 0x5A, sizes[i]);
        assert_int_equal(kl_secret_peek(secret)[sizes[i] - 1], 0x5A);
        kl_secret_free(secret);
    }
    kl_secret_free(NULL);
}

static void read_behind_a_secret(void)
{
    struct kl_secret *secret = kl_secret_new(32);
    volatile unsigned char *bytes = kl_secret_bytes(secret);

    (void)bytes[32];
}

static void test_reading_behind_a_secret_ends_the_process(void **state)
{
    int status = 0;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)close(STDERR_FILENO);
        read_behind_a_secret();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_no_guarded_memory_gives_null(void **state)
{
    (void)state;
    for (long n = 0; n < 2; n++) {
        no_memory_begin(n);
        assert_null(kl_secret_new(32));
        assert_true(no_memory_end());
    }
}

/* In a child of its own, as these change the process: exit status 0 says all was as expected. */
static int in_child(int (*call)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        _exit(call());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Which kinds of memory would go into a core dump of this process (core(5)); -1 when it cannot be seen. */
static long coredump_filter(void)
{
    char text[32] = "";
    FILE *file = fopen("/proc/self/coredump_filter", "re");

    if (file == NULL || fgets(text, sizeof text, file) == NULL) {
        return -1;
    }
    (void)fclose(file);
    return strtol(text, NULL, 16);
}

static int init_turns_core_dumps_off(void)
{
    struct rlimit core;

    if (kl_secret_process_init(true, NULL) != KL_OK || getrlimit(RLIMIT_CORE, &core) != 0) {
        return 1;
    }
    if (core.rlim_max != 0) {
        return 2;
    }
    if (coredump_filter() != 0) {
        return 4;
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
    if (prctl(PR_GET_DUMPABLE) != 0) {
        return 3;
    }
#endif
    return 0;
}

static void test_process_init_turns_core_dumps_off(void **state)
{
    (void)state;
    assert_int_equal(in_child(init_turns_core_dumps_off), 0);
}

/*
 * Sanitizers make mlock() succeed always, and root passes every limit: then there is nothing to
 * see (77).
 */
static int init_without_lockable_memory(void)
{
    const struct rlimit none = {0, 0};
    struct kl_err err = {0};
    unsigned char page[64];

    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0)) {
        return 1;
    }
    if (sodium_mlock(page, sizeof(page)) == 0) {
        return 77;
    }
    if (kl_secret_process_init(false, &err) != KL_ERR_NO_MEMORY) {
        return 2;
    }
    if (strcmp(err.code, "memory_not_lockable") != 0 ||
        strstr(err.client_text, "RLIMIT_MEMLOCK") == NULL) {
        return 3;
    }
    return kl_secret_process_init(true, NULL) == KL_OK ? 0 : 4;
}

static void test_process_init_refuses_memory_that_cannot_be_locked(void **state)
{
    int result = in_child(init_without_lockable_memory);

    (void)state;
    if (result == 77) {
        skip();
    }
    assert_int_equal(result, 0);
}

static int secrets_after_the_limit_is_reached(void)
{
    const struct rlimit little = {1 << 20, 1 << 20};
    struct kl_secret *secret = NULL;
    int made = 0;

    if (setrlimit(RLIMIT_MEMLOCK, &little) != 0 || (geteuid() == 0 && setuid(65534) != 0)) {
        return 1;
    }
    if (kl_secret_process_init(false, NULL) != KL_OK) {
        return 2;
    }
    for (; made < 40; made++) {
        secret = kl_secret_new(65536);
        if (secret == NULL) {
            return made > 0 ? 0 : 3;
        }
    }
    return 77;
}

static void test_a_secret_that_cannot_be_locked_is_not_given(void **state)
{
    int result = in_child(secrets_after_the_limit_is_reached);

    (void)state;
    if (result == 77) {
        skip();
    }
    assert_int_equal(result, 0);
}

/* Whether the mapping that holds the byte has that flag (VmFlags in /proc/self/smaps, proc(5)). */
static bool mapping_has(const void *byte, const char *flag)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[1024];
    bool inside = false;
    bool has = false;

    assert_non_null(maps);
    while (!has && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start = 0;
        uintptr_t end = 0;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2) {
            inside = (uintptr_t)byte >= start && (uintptr_t)byte < end;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            has = strstr(line, flag) != NULL;
        }
    }
    (void)fclose(maps);
    return has;
}

static void is_guarded(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 4096) {
        assert_true(mapping_has(bytes + i, " lo")); /* locked */
        assert_true(mapping_has(bytes + i, " dd")); /* not in a core dump */
        assert_true(mapping_has(bytes + i, " wf")); /* zeros in the child of a fork */
    }
}

static void test_secrets_are_locked_and_left_out_of_dumps_and_children(void **state)
{
    struct kl_secret *small;
    struct kl_secret *large;
    struct kl_secret_arena *arena;
    const int on_stack = 0;

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
    skip(); /* sanitizers do not lock */
#endif
    small = kl_secret_new(32);
    large = kl_secret_new(65536);
    arena = kl_secret_arena_new(4000, 64);
    is_guarded(kl_secret_peek(small), 32);
    is_guarded(kl_secret_peek(large), 65536);
    for (int i = 0; i < 64; i++) {
        is_guarded(kl_secret_arena_take(arena), 4000);
    }
    assert_false(mapping_has(&on_stack, " dd"));
    kl_secret_arena_free(arena);
    kl_secret_free(large);
    kl_secret_free(small);
}

static void test_the_child_of_a_fork_finds_zeros(void **state)
{
    struct kl_secret *secret = kl_secret_new(64);
    int result = 0;
    pid_t child;

    (void)state;
    memset(kl_secret_bytes(secret), 0x5A, 64);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(sodium_is_zero(kl_secret_peek(secret), 64) == 1 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    assert_int_equal(kl_secret_peek(secret)[63], 0x5A);
    kl_secret_free(secret);
}

static void new_of_nothing(void)
{
    (void)!kl_secret_new(0);
}

static void new_of_too_much(void)
{
    (void)!kl_secret_new(65537);
}

static void test_sizes_out_of_range_abort(void **state)
{
    (void)state;
    assert_true(test_aborts(new_of_nothing));
    assert_true(test_aborts(new_of_too_much));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_secret_is_zeroed_and_writable),
        cmocka_unit_test(test_reading_behind_a_secret_ends_the_process),
        cmocka_unit_test(test_no_guarded_memory_gives_null),
        cmocka_unit_test(test_process_init_turns_core_dumps_off),
        cmocka_unit_test(test_process_init_refuses_memory_that_cannot_be_locked),
        cmocka_unit_test(test_a_secret_that_cannot_be_locked_is_not_given),
        cmocka_unit_test(test_secrets_are_locked_and_left_out_of_dumps_and_children),
        cmocka_unit_test(test_the_child_of_a_fork_finds_zeros),
        cmocka_unit_test(test_sizes_out_of_range_abort),
    };
    if (kl_secret_process_init(true, NULL) != KL_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
