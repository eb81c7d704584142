/* What every test program includes: cmocka with what it needs before it, and a look at asserts. */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* True when the call ends its process with abort(), as a failed assert does. It runs in a child. */
static inline bool test_aborts(void (*call)(void))
{
    const struct rlimit no_core = {0, 0};
    int state = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(nowhere, STDERR_FILENO);
        call();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &state, 0), child);
    return WIFSIGNALED(state) && WTERMSIG(state) == SIGABRT;
}

#endif
