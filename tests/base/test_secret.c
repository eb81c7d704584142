#include "kluis/base/secret.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <sodium.h>
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

static int init_turns_core_dumps_off(void)
{
    struct rlimit core;

    if (kl_secret_process_init(true, NULL) != KL_OK || getrlimit(RLIMIT_CORE, &core) != 0) {
        return 1;
    }
    if (core.rlim_max != 0) {
        return 2;
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
        cmocka_unit_test(test_sizes_out_of_range_abort),
    };
    if (kl_secret_process_init(true, NULL) != KL_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
