#include "vault/commit.h"

#include "tests/support/commit_fixture.h"
#include "tests/support/test.h"
#include "vault/rows.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* ---- pieces of requests ---- */

/* Write a head from one version to the next. */
static enum kl_status submit_head(struct half *half, uint64_t slot, uint64_t from, uint64_t to,
                                  struct kl_err *err)
{
    struct vault_batch *batch = vault_batch_new();
    half_put_head(batch, half->tenant, slot, to);
    struct vault_commit commit = {.tenant = half->tenant,
                                  .batch = batch,
                                  .check_head = true,
                                  .slot = slot,
                                  .head_version = from};
    enum kl_status status = vault_commit_submit(half->committer, &commit, err);
    vault_batch_free(batch);
    return status;
}

static enum kl_status submit_audit(struct half *half, const char *action)
{
    struct vault_audit_entry entry;
    struct vault_audit_entry *const entries[1] = {&entry};
    half_entry(&entry, half->tenant, action);
    struct vault_commit commit = {.tenant = half->tenant, .audit = entries, .audit_count = 1};
    enum kl_status status = vault_commit_submit(half->committer, &commit, NULL);
    vault_audit_done(&entry);
    return status;
}

/* ---- one at a time ---- */

static void test_a_commit_writes_rows_index_and_audit_together(void **state)
{
    struct half *half = *state;
    struct vault_audit_entry entry;
    struct vault_audit_entry *const entries[1] = {&entry};
    struct vault_index_change change = {.kind = VAULT_INDEX_ADD,
                                        .entry = {.tag = {9}, .slot = 100}};
    struct vault_index_entry found;
    size_t count = 0;
    struct vault_batch *batch = vault_batch_new();
    half_put_head(batch, half->tenant, 100, 1);
    half_entry(&entry, half->tenant, "create");
    struct vault_commit commit = {.tenant = half->tenant,
                                  .batch = batch,
                                  .check_head = true,
                                  .slot = 100,
                                  .index = &change,
                                  .index_count = 1,
                                  .audit = entries,
                                  .audit_count = 1};
    assert_int_equal(vault_commit_submit(half->committer, &commit, NULL), KL_OK);
    assert_int_equal(half_head(half, 100), 1);
    assert_int_equal(half_trail_size(half), 1);
    assert_int_equal(
        vault_index_find(half->index, half->tenant, change.entry.tag, 0, 1, &found, &count, NULL),
        KL_OK);
    assert_int_equal(count, 1);
    vault_audit_done(&entry);
    vault_batch_free(batch);
}

static void test_a_head_that_has_changed_is_refused(void **state)
{
    struct half *half = *state;
    struct kl_err err = {.status = KL_OK};
    assert_int_equal(submit_head(half, 100, 1, 2, NULL), KL_ERR_PRECONDITION);
    assert_int_equal(submit_head(half, 100, 0, 1, NULL), KL_OK);
    assert_int_equal(submit_head(half, 100, 0, 1, &err), KL_ERR_PRECONDITION);
    assert_string_equal(err.code, "head_changed");
    assert_int_equal(submit_head(half, 100, 1, 2, NULL), KL_OK);
    assert_int_equal(half_head(half, 100), 2);
}

static void test_a_refused_commit_leaves_only_what_says_so(void **state)
{
    struct half *half = *state;
    struct vault_audit_entry good;
    struct vault_audit_entry bad;
    struct vault_audit_entry *const on_success[1] = {&good};
    struct vault_audit_entry *const on_failure[1] = {&bad};
    struct vault_index_change taken = {.kind = VAULT_INDEX_ADD_UNIQUE,
                                       .entry = {.tag = {9}, .slot = 100}};
    struct vault_commit first = {.tenant = half->tenant, .index = &taken, .index_count = 1};
    assert_int_equal(vault_commit_submit(half->committer, &first, NULL), KL_OK);

    struct vault_index_change changes[2] = {
        {.kind = VAULT_INDEX_ADD, .entry = {.tag = {8}, .slot = 101}},
        {.kind = VAULT_INDEX_ADD_UNIQUE, .entry = {.tag = {9}, .slot = 101}}};
    struct vault_batch *batch = vault_batch_new();
    struct kl_err err = {.status = KL_OK};
    struct vault_index_entry found;
    size_t count = 9;
    half_put_head(batch, half->tenant, 101, 1);
    half_entry(&good, half->tenant, "create");
    half_entry(&bad, half->tenant, "add");
    struct vault_commit commit = {.tenant = half->tenant,
                                  .batch = batch,
                                  .check_head = true,
                                  .slot = 101,
                                  .index = changes,
                                  .index_count = 2,
                                  .audit = on_success,
                                  .audit_count = 1,
                                  .audit_on_fail = on_failure,
                                  .audit_on_fail_count = 1};
    assert_int_equal(vault_commit_submit(half->committer, &commit, &err), KL_ERR_CONFLICT);
    assert_string_equal(err.code, "not_unique");
    assert_int_equal(half_head(half, 101), 0);
    assert_int_equal(vault_index_find(half->index, half->tenant, changes[0].entry.tag, 0, 1, &found,
                                      &count, NULL),
                     KL_OK);
    assert_int_equal(count, 0);
    struct vault_row_key key = vault_row_audit(half->tenant, 0);
    struct kl_buf row;
    kl_buf_init(&row, 10000);
    assert_int_equal(half_trail_size(half), 1);
    assert_int_equal(vault_store_get(half->base->store, vault_row_slice(&key), &row, NULL), KL_OK);
    assert_true(kl_slice_equal(kl_buf_slice(&row), kl_buf_slice(&bad.json)));
    kl_buf_done(&row);
    vault_audit_done(&good);
    vault_audit_done(&bad);
    vault_batch_free(batch);
}

static void test_too_large_a_value_is_refused_and_the_next_request_works(void **state)
{
    struct half *half = *state;
    struct kl_err err = {.status = KL_OK};
    struct vault_row_key key = vault_row_value(half->tenant, 100, 1);
    unsigned char *large = calloc(1, VAULT_STORE_VALUE_MAX_BYTES + 1);
    struct vault_batch *batch = vault_batch_new();
    vault_batch_put(batch, vault_row_slice(&key),
                    kl_slice_of(large, VAULT_STORE_VALUE_MAX_BYTES + 1));
    struct vault_commit commit = {.tenant = half->tenant, .batch = batch};
    assert_int_equal(vault_commit_submit(half->committer, &commit, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "store_value_too_large");
    assert_int_equal(submit_head(half, 100, 0, 1, NULL), KL_OK);
    vault_batch_free(batch);
    free(large);
}

struct inside {
    struct half *half;
    enum kl_status status;
};

static enum kl_status write_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct inside *inside = context;
    half_put_head(batch, inside->half->tenant, 200, 5);
    if (inside->status != KL_OK) {
        return kl_fail(err, inside->status, "inside_failed", "inside failed", NULL);
    }
    return KL_OK;
}

static void test_what_inside_writes_counts_only_when_it_succeeds(void **state)
{
    struct half *half = *state;
    struct inside inside = {.half = half, .status = KL_ERR_BUSY};
    struct kl_err err = {.status = KL_OK};
    struct vault_commit commit = {
        .tenant = half->tenant, .inside = write_inside, .inside_context = &inside};
    assert_int_equal(vault_commit_submit(half->committer, &commit, &err), KL_ERR_BUSY);
    assert_string_equal(err.code, "inside_failed");
    assert_int_equal(half_head(half, 200), 0);
    inside.status = KL_OK;
    assert_int_equal(vault_commit_submit(half->committer, &commit, NULL), KL_OK);
    assert_int_equal(half_head(half, 200), 5);
}

static unsigned failures;

static void note_failure(const struct kl_err *err)
{
    assert_int_not_equal(err->status, KL_OK);
    failures++;
}

static void test_a_trail_that_cannot_be_written_stops_all_commits(void **state)
{
    struct half *half = *state;
    struct kl_err err = {.status = KL_OK};
    struct vault_row_key key = vault_row_frontier(half->tenant);
    struct vault_batch *batch = vault_batch_new();
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_text("spoilt"));
    assert_int_equal(vault_store_apply(half->base->store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
    int nowhere = open("/dev/null", O_WRONLY);
    int stderr_before = dup(STDERR_FILENO);
    dup2(nowhere, STDERR_FILENO); /* it is logged, once */
    vault_committer_on_failure(half->committer, note_failure);
    enum kl_status status = submit_audit(half, "read");
    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    close(nowhere);
    assert_int_equal(status, KL_ERR_UNAVAILABLE);
    assert_int_equal(submit_head(half, 100, 0, 1, &err), KL_ERR_UNAVAILABLE);
    assert_string_equal(err.code, "audit_unavailable");
    assert_int_equal(half_head(half, 100), 0);
    assert_int_equal(failures, 1);
}

/* ---- the dying ---- */

static void test_a_dying_subject_takes_no_commit_until_its_mark_ends(void **state)
{
    struct half *half = *state;
    struct kl_err err = {.status = KL_OK};
    assert_int_equal(submit_head(half, 100, 0, 1, NULL), KL_OK);
    assert_int_equal(vault_commit_dying_begin(half->committer, half->tenant, 100, NULL), KL_OK);
    assert_int_equal(vault_commit_dying_begin(half->committer, half->tenant, 100, &err),
                     KL_ERR_GONE);
    assert_string_equal(err.code, "subject_dying");
    kl_err_clear(&err);
    assert_int_equal(submit_head(half, 100, 1, 2, &err), KL_ERR_GONE);
    assert_string_equal(err.code, "subject_dying");
    assert_int_equal(submit_head(half, 101, 0, 1, NULL), KL_OK);
    assert_int_equal(vault_commit_dying_begin(half->committer, half->tenant + 1, 100, NULL), KL_OK);
    vault_commit_dying_end(half->committer, half->tenant, 100);
    assert_int_equal(submit_head(half, 100, 1, 2, NULL), KL_OK);
    vault_commit_dying_end(half->committer, half->tenant + 1, 100);
    vault_commit_dying_end(half->committer, half->tenant + 1, 100);
}

struct admitted {
    struct half *half;
    atomic_bool inside;
    atomic_bool marking;
};

/* Admitted already, and not yet applied when somebody begins to mark the subject. */
static enum kl_status wait_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct admitted *admitted = context;
    (void)batch;
    (void)err;
    atomic_store(&admitted->inside, true);
    while (!atomic_load(&admitted->marking)) {
        sched_yield();
    }
    return KL_OK;
}

static void *submit_admitted(void *argument)
{
    struct admitted *admitted = argument;
    struct vault_batch *batch = vault_batch_new();
    half_put_head(batch, admitted->half->tenant, 100, 1);
    struct vault_commit commit = {.tenant = admitted->half->tenant,
                                  .batch = batch,
                                  .check_head = true,
                                  .slot = 100,
                                  .inside = wait_inside,
                                  .inside_context = admitted};
    enum kl_status status = vault_commit_submit(admitted->half->committer, &commit, NULL);
    vault_batch_free(batch);
    return status == KL_OK ? NULL : argument;
}

static void test_what_was_admitted_before_the_mark_is_seen_after_it(void **state)
{
    struct half *half = *state;
    struct admitted admitted = {.half = half};
    pthread_t thread;
    void *failed = NULL;
    assert_int_equal(pthread_create(&thread, NULL, submit_admitted, &admitted), 0);
    while (!atomic_load(&admitted.inside)) {
        sched_yield();
    }
    atomic_store(&admitted.marking, true);
    assert_int_equal(vault_commit_dying_begin(half->committer, half->tenant, 100, NULL), KL_OK);
    assert_int_equal(half_head(half, 100), 1);
    pthread_join(thread, &failed);
    assert_null(failed);
    vault_commit_dying_end(half->committer, half->tenant, 100);
}

/* ---- one group for certain ---- */

#define RIVALS 4

struct rival {
    struct half *half;
    atomic_bool *led; /* the first request is in its group: what is submitted now is of the next */
    _Atomic pid_t thread; /* set right before it submits */
    struct vault_index_change change;
    bool with_head;
    enum kl_status status;
};

/* The leader stays in its group until all rivals wait for the next one: then they are of one group. */
static void wait_until_asleep(pid_t thread)
{
    char path[64];
    char line[512];
    char state = 'R';
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
    while (state != 'S') {
        sched_yield();
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        const char *name_end = fgets(line, sizeof(line), file) == NULL ? NULL : strrchr(line, ')');
        state = name_end == NULL ? 'R' : name_end[2];
        fclose(file);
    }
}

static enum kl_status wait_for_rivals(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct rival *rivals = context;
    (void)batch;
    (void)err;
    atomic_store(rivals[0].led, true);
    for (size_t i = 0; i < RIVALS; i++) {
        while (atomic_load(&rivals[i].thread) == 0) {
            sched_yield();
        }
        wait_until_asleep(atomic_load(&rivals[i].thread));
    }
    return KL_OK;
}

static void *submit_rival(void *argument)
{
    struct rival *rival = argument;
    struct vault_batch *batch = vault_batch_new();
    half_put_head(batch, rival->half->tenant, 100, 1);
    while (!atomic_load(rival->led)) {
        sched_yield();
    }
    struct vault_commit commit = {.tenant = rival->half->tenant,
                                  .batch = rival->with_head ? batch : NULL,
                                  .check_head = rival->with_head,
                                  .slot = 100,
                                  .index = &rival->change,
                                  .index_count = rival->with_head ? 0 : 1};
    atomic_store(&rival->thread, (pid_t)syscall(SYS_gettid));
    rival->status = vault_commit_submit(rival->half->committer, &commit, NULL);
    vault_batch_free(batch);
    return NULL;
}

/* How many of the rivals that were in one group were let in. */
static size_t rivals_let_in(struct half *half, bool with_head, enum kl_status refused)
{
    struct rival rivals[RIVALS] = {{.half = NULL}};
    pthread_t threads[RIVALS];
    atomic_bool led = false;
    size_t let_in = 0;
    struct vault_commit first = {
        .tenant = half->tenant, .inside = wait_for_rivals, .inside_context = rivals};
    for (uint64_t i = 0; i < RIVALS; i++) {
        rivals[i].half = half;
        rivals[i].led = &led;
        rivals[i].with_head = with_head;
        rivals[i].change = (struct vault_index_change){.kind = VAULT_INDEX_ADD_UNIQUE,
                                                       .entry = {.tag = {7}, .slot = 200 + i}};
    }
    for (size_t i = 0; i < RIVALS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, submit_rival, &rivals[i]), 0);
    }
    assert_int_equal(vault_commit_submit(half->committer, &first, NULL), KL_OK);
    for (size_t i = 0; i < RIVALS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(rivals[i].status == KL_OK || rivals[i].status == refused);
        let_in += rivals[i].status == KL_OK ? 1 : 0;
    }
    return let_in;
}

static void test_of_one_group_only_one_may_write_a_head(void **state)
{
    struct half *half = *state;
    assert_int_equal(rivals_let_in(half, true, KL_ERR_PRECONDITION), 1);
    assert_int_equal(half_head(half, 100), 1);
}

static void test_of_one_group_only_one_gets_a_unique_value(void **state)
{
    struct half *half = *state;
    assert_int_equal(rivals_let_in(half, false, KL_ERR_CONFLICT), 1);
}

/* ---- many at once ---- */

#define WORKERS 8
#define ROUNDS 60

struct worker {
    struct half *half;
    uint64_t number;
    size_t failures;
};

/* Count one shared head up, ROUNDS times, reading again whenever another was first; and add an own index entry each time. */
static void *count_up(void *argument)
{
    struct worker *worker = argument;
    struct half *half = worker->half;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct vault_audit_entry entry;
        struct vault_audit_entry *const entries[1] = {&entry};
        struct vault_index_change change = {.kind = VAULT_INDEX_ADD,
                                            .entry = {.slot = 1000 + worker->number}};
        enum kl_status status = KL_ERR_PRECONDITION;
        change.entry.tag[0] = (unsigned char)(round * 37);
        change.entry.tag[15] = (unsigned char)round;
        half_entry(&entry, half->tenant, "patch");
        while (status == KL_ERR_PRECONDITION) {
            struct vault_batch *batch = vault_batch_new();
            uint64_t version = half_head(half, 100);
            half_put_head(batch, half->tenant, 100, version + 1);
            struct vault_commit commit = {.tenant = half->tenant,
                                          .batch = batch,
                                          .check_head = true,
                                          .slot = 100,
                                          .head_version = version,
                                          .index = &change,
                                          .index_count = 1,
                                          .audit = entries,
                                          .audit_count = 1,
                                          .unsynced = round % 2 == 0};
            status = vault_commit_submit(half->committer, &commit, NULL);
            vault_batch_free(batch);
        }
        worker->failures += status == KL_OK ? 0 : 1;
        vault_audit_done(&entry);
    }
    return NULL;
}

static void test_many_submitters_lose_nothing(void **state)
{
    struct half *half = *state;
    pthread_t threads[WORKERS];
    struct worker workers[WORKERS];
    for (uint64_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.half = half, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &workers[i]), 0);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(half_head(half, 100), WORKERS * ROUNDS);
    assert_int_equal(half_trail_size(half), WORKERS * ROUNDS);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct vault_index_entry found[WORKERS + 1];
        unsigned char tag[VAULT_TAG_BYTES] = {0};
        size_t count = 0;
        tag[0] = (unsigned char)(round * 37);
        tag[15] = (unsigned char)round;
        assert_int_equal(
            vault_index_find(half->index, half->tenant, tag, 0, WORKERS + 1, found, &count, NULL),
            KL_OK);
        assert_int_equal(count, WORKERS);
    }
}

static void test_the_heads_of_others_are_checked_too(void **state)
{
    struct half *half = *state;
    struct vault_index_change change = {.kind = VAULT_INDEX_ADD,
                                        .entry = {.tag = {7}, .slot = 100}};
    struct vault_commit_head heads[2] = {{100, 1}, {101, 2}};
    struct vault_commit commit = {.tenant = half->tenant,
                                  .heads = heads,
                                  .head_count = 2,
                                  .index = &change,
                                  .index_count = 1};
    struct kl_err err = {.status = KL_OK};
    struct vault_index_entry found;
    size_t count = 9;
    struct vault_batch *batch = vault_batch_new();
    half_put_head(batch, half->tenant, 100, 1);
    half_put_head(batch, half->tenant, 101, 3);
    assert_int_equal(vault_store_apply(half->base->store, batch, false, NULL), KL_OK);
    assert_int_equal(vault_commit_submit(half->committer, &commit, &err), KL_ERR_PRECONDITION);
    assert_string_equal(err.code, "head_changed");
    assert_int_equal(
        vault_index_find(half->index, half->tenant, change.entry.tag, 0, 1, &found, &count, NULL),
        KL_OK);
    assert_int_equal(count, 0);
    heads[1].version = 3;
    assert_int_equal(vault_commit_dying_begin(half->committer, half->tenant, 101, NULL), KL_OK);
    kl_err_clear(&err);
    assert_int_equal(vault_commit_submit(half->committer, &commit, &err), KL_ERR_GONE);
    assert_string_equal(err.code, "subject_dying");
    vault_commit_dying_end(half->committer, half->tenant, 101);
    vault_commit_dying_wait(half->committer, half->tenant, 101);
    assert_int_equal(vault_commit_submit(half->committer, &commit, NULL), KL_OK);
    assert_int_equal(
        vault_index_find(half->index, half->tenant, change.entry.tag, 0, 1, &found, &count, NULL),
        KL_OK);
    assert_int_equal(count, 1);
    vault_batch_free(batch);
}

struct waiter {
    struct half *half;
    atomic_bool waiting;
    atomic_bool back;
};

static void *wait_until_nobody_dies(void *context)
{
    struct waiter *waiter = context;
    atomic_store(&waiter->waiting, true);
    vault_commit_dying_wait(waiter->half->committer, waiter->half->tenant, 77);
    atomic_store(&waiter->back, true);
    return NULL;
}

static void test_who_waits_for_the_dying_is_woken_by_their_end(void **state)
{
    struct half *half = *state;
    struct waiter waiter = {.half = half};
    pthread_t thread;
    assert_int_equal(vault_commit_dying_begin(half->committer, half->tenant, 77, NULL), KL_OK);
    assert_int_equal(pthread_create(&thread, NULL, wait_until_nobody_dies, &waiter), 0);
    while (!atomic_load(&waiter.waiting)) {
        sched_yield();
    }
    assert_false(atomic_load(&waiter.back));
    vault_commit_dying_end(half->committer, half->tenant, 77);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(waiter.back);
}

int main(void)
{
#define COMMIT_TEST(test) cmocka_unit_test_setup_teardown(test, half_setup, half_teardown)
    const struct CMUnitTest tests[] = {
        COMMIT_TEST(test_the_heads_of_others_are_checked_too),
        COMMIT_TEST(test_who_waits_for_the_dying_is_woken_by_their_end),
        COMMIT_TEST(test_a_commit_writes_rows_index_and_audit_together),
        COMMIT_TEST(test_a_head_that_has_changed_is_refused),
        COMMIT_TEST(test_a_refused_commit_leaves_only_what_says_so),
        COMMIT_TEST(test_too_large_a_value_is_refused_and_the_next_request_works),
        COMMIT_TEST(test_what_inside_writes_counts_only_when_it_succeeds),
        COMMIT_TEST(test_a_trail_that_cannot_be_written_stops_all_commits),
        COMMIT_TEST(test_a_dying_subject_takes_no_commit_until_its_mark_ends),
        COMMIT_TEST(test_what_was_admitted_before_the_mark_is_seen_after_it),
        COMMIT_TEST(test_of_one_group_only_one_may_write_a_head),
        COMMIT_TEST(test_of_one_group_only_one_gets_a_unique_value),
        COMMIT_TEST(test_many_submitters_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
