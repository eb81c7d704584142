/*
 * Where only 8 MiB can be locked, as on a usual machine: pages come and go, every key is found, and a commit that is too large for it is
 * refused alone. Each test runs in a child without CAP_IPC_LOCK.
 */
#include "kluis/base/secret.h"
#include "kms/internal.h"
#include "tests/support/kms_fixture.h"

#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define T 1
#define LOCKED_BYTES (8 * 1024 * 1024)
#define SUBJECTS 3000
#define STEP 577 /* so that each lies in a leaf page of its own, below many interior pages */
#define THREADS 32
#define MUST(condition)                                                           \
    do {                                                                          \
        if (!(condition)) {                                                       \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                             \
        }                                                                         \
    } while (0)

static void lock_little(void)
{
    struct rlimit limit = {LOCKED_BYTES, LOCKED_BYTES};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    memset(data, 0, sizeof data);
    MUST(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    MUST(syscall(SYS_capget, &header, data) == 0);
    data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    data[CAP_TO_INDEX(CAP_IPC_LOCK)].permitted &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    MUST(syscall(SYS_capset, &header, data) == 0);
    MUST(kl_secret_process_init(false, NULL) == KL_OK);
    MUST(kl_secret_lockable_bytes() == LOCKED_BYTES);
}

/* The body runs in a child, with a key store that was opened there. */
static void in_child(struct kms_fixture *fixture, void (*body)(struct kms_fixture *fixture))
{
    int status = 0;
    pid_t child;

    kms_fixture_close(fixture);
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        lock_little();
        MUST(kms_open(&fixture->options, &fixture->kms, NULL) == KL_OK);
        body(fixture);
        kms_close(fixture->kms);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static uint64_t slot_of(uint64_t i)
{
    return KMS_TENANT_OWN_SLOTS + i * STEP;
}

/* Shred value 1 of many subjects, in commits of 50. */
static void punch(struct kms_fixture *fixture)
{
    struct kms_change changes[50];

    for (uint64_t i = 0; i < SUBJECTS; i += 50) {
        struct kms_request request = {.changes = changes, .changes_count = 50};

        for (uint64_t c = 0; c < 50; c++) {
            changes[c] = (struct kms_change){KMS_CHANGE_SHRED, {T, slot_of(i + c), 1}};
        }
        MUST(kms_commit(fixture->kms, &request, NULL) == KL_OK);
    }
}

static void must_have_key(struct kms_fixture *fixture, struct kms_place place)
{
    struct kl_err err = {0};

    if (kms_place_check(fixture->kms, &place, &err) != KL_OK) {
        (void)fprintf(stderr, "%s: %s\n", err.code, err.log_text);
        _exit(1);
    }
}

static void find_every_key(struct kms_fixture *fixture)
{
    struct kms_state now;

    for (uint64_t i = 0; i < 3 * SUBJECTS; i++) {
        uint64_t slot = slot_of(i * 7919 % SUBJECTS);

        must_have_key(fixture, (struct kms_place){T, slot, 2});
        MUST(kms_place_check(fixture->kms, &(struct kms_place){T, slot, 1}, NULL) == KL_ERR_GONE);
        must_have_key(fixture, (struct kms_place){T, slot + 1, 1});
    }
    kms_state(fixture->kms, &now);
    MUST(now.pages_cached < SUBJECTS); /* more pages than fit */
    MUST(now.keys_cached > 0);
}

static void *find_keys(void *argument)
{
    find_every_key(argument);
    return NULL;
}

static void pages_come_and_go(struct kms_fixture *fixture)
{
    pthread_t threads[4];

    punch(fixture);
    find_every_key(fixture);
    for (size_t i = 0; i < 4; i++) {
        MUST(pthread_create(&threads[i], NULL, find_keys, fixture) == 0);
    }
    for (size_t i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

static void test_every_key_is_found_among_more_pages_than_can_be_locked(void **state)
{
    in_child(*state, pages_come_and_go);
}

/* ---- commits that do not fit ---- */

static struct kms_change *scattered(uint64_t first, size_t count)
{
    struct kms_change *changes = calloc(count, sizeof *changes);

    MUST(changes != NULL);
    for (size_t i = 0; i < count; i++) {
        changes[i] = (struct kms_change){KMS_CHANGE_SHRED, {T, slot_of(first + i), KMS_VALUE_NONE}};
    }
    return changes;
}

struct committer {
    struct kms *kms;
    struct kms_change *changes;
    size_t count;
    enum kl_status status;
    pthread_t thread;
};

static void *commit(void *argument)
{
    struct committer *committer = argument;
    struct kms_request request = {.changes = committer->changes, .changes_count = committer->count};

    committer->status = kms_commit(committer->kms, &request, NULL);
    return NULL;
}

static void gone(struct kms_fixture *fixture, const struct committer *committer,
                 enum kl_status expected)
{
    for (size_t i = 0; i < committer->count; i += 13) {
        MUST(kms_place_check(fixture->kms, &committer->changes[i].place, NULL) == expected);
    }
}

/* Each of them fits, all of them together do not; one in the midst of them is too large by itself. */
static void large_among_small(struct kms_fixture *fixture)
{
    static struct committer committers[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        size_t count = i == 5 ? 5000 : 100;

        committers[i] =
            (struct committer){fixture->kms, scattered(i * 5000, count), count, KL_OK, 0};
        MUST(pthread_create(&committers[i].thread, NULL, commit, &committers[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(committers[i].thread, NULL);
        MUST(committers[i].status == (i == 5 ? KL_ERR_NO_MEMORY : KL_OK));
    }
    for (size_t i = 0; i < THREADS; i++) {
        gone(fixture, &committers[i], i == 5 ? KL_OK : KL_ERR_GONE);
        free(committers[i].changes);
    }
}

static void test_a_commit_too_large_for_it_is_refused_alone(void **state)
{
    in_child(*state, large_among_small);
}

/* What commits need was set aside: a cache full of pages takes none of it. */
static void full_cache_then_commit(struct kms_fixture *fixture)
{
    struct committer committer = {.kms = fixture->kms, .count = 300};

    punch(fixture);
    find_every_key(fixture);
    committer.changes = scattered(SUBJECTS, committer.count);
    (void)commit(&committer);
    MUST(committer.status == KL_OK);
    gone(fixture, &committer, KL_ERR_GONE);
    free(committer.changes);
}

static void test_a_full_cache_leaves_room_for_commits(void **state)
{
    in_child(*state, full_cache_then_commit);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_key_is_found_among_more_pages_than_can_be_locked),
        TEST(test_a_commit_too_large_for_it_is_refused_alone),
        TEST(test_a_full_cache_leaves_room_for_commits),
    };

    return cmocka_run_group_tests_name("small_lock", tests, NULL, NULL);
}
