#include "vault/commit.h"

#include "kluis/base/secret.h"
#include "tests/support/store_fixture.h"
#include "tests/support/test.h"
#include "vault/audit_tree.h"
#include "vault/key_storage.h"
#include "vault/rows.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a vault's lower half ---- */

struct half {
    struct store_fixture *base;
    struct vault_index_store *index;
    struct vault_trails *trails;
    struct vault_committer *committer;
    uint64_t tenant;
};

static void half_open(struct half *half)
{
    half->index = vault_index_new(half->base->keys->kms, half->base->store);
    half->trails = vault_trails_new(half->base->keys->kms, half->base->store);
    half->committer = vault_committer_new(half->base->store, half->index, half->trails);
    assert_non_null(half->committer);
}

static void half_close(struct half *half)
{
    vault_committer_free(half->committer);
    vault_trails_free(half->trails);
    vault_index_free(half->index);
}

static int setup(void **state)
{
    void *base = NULL;
    struct half *half = calloc(1, sizeof(*half));
    if (half == NULL || store_fixture_setup(&base) != 0) {
        return -1;
    }
    half->base = base;
    half->tenant = half->base->tenant;
    half_open(half);
    *state = half;
    return 0;
}

static int teardown(void **state)
{
    struct half *half = *state;
    void *base = half->base;
    half_close(half);
    free(half);
    return store_fixture_teardown(&base);
}

/* ---- pieces of requests ---- */

static void entry_make(struct vault_audit_entry *entry, uint64_t tenant, const char *action)
{
    const struct vault_audit_who who = {.role = "operator", .at_us = 1700000000000000};
    struct kl_json_out out;
    vault_audit_begin(entry, tenant, &who, action, &out);
    assert_int_equal(vault_audit_end(entry, &out, NULL), KL_OK);
}

static void put_head(struct vault_batch *batch, uint64_t tenant, uint64_t slot, uint64_t version)
{
    unsigned char value[16] = {0};
    struct vault_row_key key = vault_row_head(tenant, slot);
    kl_put_u64be(value, version);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(value, sizeof(value)));
}

/* Write a head from one version to the next. */
static enum kl_status submit_head(struct half *half, uint64_t slot, uint64_t from, uint64_t to,
                                  struct kl_err *err)
{
    struct vault_batch *batch = vault_batch_new();
    put_head(batch, half->tenant, slot, to);
    struct vault_commit commit = {.tenant = half->tenant,
                                  .batch = batch,
                                  .check_head = true,
                                  .slot = slot,
                                  .head_version = from};
    enum kl_status status = vault_commit_submit(half->committer, &commit, err);
    vault_batch_free(batch);
    return status;
}

static uint64_t head_of(struct half *half, uint64_t slot)
{
    struct vault_row_key key = vault_row_head(half->tenant, slot);
    struct kl_buf row;
    kl_buf_init(&row, 100);
    enum kl_status status = vault_store_get(half->base->store, vault_row_slice(&key), &row, NULL);
    uint64_t version = status == KL_OK ? kl_get_u64be(row.bytes) : 0;
    kl_buf_done(&row);
    return version;
}

static uint64_t trail_size(struct half *half)
{
    uint64_t size = 0;
    assert_int_equal(vault_trails_size(half->trails, half->tenant, &size, NULL), KL_OK);
    return size;
}

static enum kl_status submit_audit(struct half *half, const char *action)
{
    struct vault_audit_entry entry;
    struct vault_audit_entry *const entries[1] = {&entry};
    entry_make(&entry, half->tenant, action);
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
    put_head(batch, half->tenant, 100, 1);
    entry_make(&entry, half->tenant, "subject.create");
    struct vault_commit commit = {.tenant = half->tenant,
                                  .batch = batch,
                                  .check_head = true,
                                  .slot = 100,
                                  .index = &change,
                                  .index_count = 1,
                                  .audit = entries,
                                  .audit_count = 1};
    assert_int_equal(vault_commit_submit(half->committer, &commit, NULL), KL_OK);
    assert_int_equal(head_of(half, 100), 1);
    assert_int_equal(trail_size(half), 1);
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
    assert_int_equal(head_of(half, 100), 2);
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
    put_head(batch, half->tenant, 101, 1);
    entry_make(&good, half->tenant, "subject.create");
    entry_make(&bad, half->tenant, "subject.create.refused");
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
    assert_int_equal(head_of(half, 101), 0);
    assert_int_equal(vault_index_find(half->index, half->tenant, changes[0].entry.tag, 0, 1, &found,
                                      &count, NULL),
                     KL_OK);
    assert_int_equal(count, 0);
    struct vault_row_key key = vault_row_audit(half->tenant, 0);
    struct kl_buf row;
    kl_buf_init(&row, 10000);
    assert_int_equal(trail_size(half), 1);
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
    put_head(batch, inside->half->tenant, 200, 5);
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
    assert_int_equal(head_of(half, 200), 0);
    inside.status = KL_OK;
    assert_int_equal(vault_commit_submit(half->committer, &commit, NULL), KL_OK);
    assert_int_equal(head_of(half, 200), 5);
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
    enum kl_status status = submit_audit(half, "subject.read");
    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    close(nowhere);
    assert_int_equal(status, KL_ERR_UNAVAILABLE);
    assert_int_equal(submit_head(half, 100, 0, 1, &err), KL_ERR_UNAVAILABLE);
    assert_string_equal(err.code, "audit_unavailable");
    assert_int_equal(head_of(half, 100), 0);
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
    put_head(batch, admitted->half->tenant, 100, 1);
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
    assert_int_equal(head_of(half, 100), 1);
    pthread_join(thread, &failed);
    assert_null(failed);
    vault_commit_dying_end(half->committer, half->tenant, 100);
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
        entry_make(&entry, half->tenant, "subject.patch");
        while (status == KL_ERR_PRECONDITION) {
            struct vault_batch *batch = vault_batch_new();
            uint64_t version = head_of(half, 100);
            put_head(batch, half->tenant, 100, version + 1);
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
    assert_int_equal(head_of(half, 100), WORKERS * ROUNDS);
    assert_int_equal(trail_size(half), WORKERS * ROUNDS);
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

/* ---- kill -9 ---- */

#define KILL_ROUNDS 4
#define KILL_WRITERS 4

/* What the writing process has: its own stores and keys under one folder. */
struct killed {
    char keys_path[512];
    char data_path[512];
    char custodian[512];
    struct vault_store *keys_store;
    struct vault_store *data_store;
    struct kms_storage storage;
    struct kms *kms;
    struct half half;
    struct store_fixture base;
    struct kms_fixture keys;
};

static bool killed_open(struct killed *killed, const char *folder, bool create)
{
    (void)snprintf(killed->keys_path, sizeof(killed->keys_path), "%s/killed-keys", folder);
    (void)snprintf(killed->data_path, sizeof(killed->data_path), "%s/killed-data", folder);
    (void)snprintf(killed->custodian, sizeof(killed->custodian), "file:%s/killed-root", folder);
    struct vault_store_options keys = {.path = killed->keys_path, .create = create};
    struct vault_store_options data = {.path = killed->data_path, .create = create};
    if (kl_secret_process_init(true, NULL) != KL_OK ||
        vault_store_open(&keys, &killed->keys_store, NULL) != KL_OK ||
        vault_store_open(&data, &killed->data_store, NULL) != KL_OK) {
        return false;
    }
    killed->storage = vault_key_storage(killed->keys_store);
    struct kms_options options = {.custodian = {.custodian = killed->custodian, .accept_f0 = true},
                                  .storage = &killed->storage};
    if ((create && kms_create(&options, NULL) != KL_OK) ||
        kms_open(&options, &killed->kms, NULL) != KL_OK) {
        return false;
    }
    killed->keys.kms = killed->kms;
    killed->base.keys = &killed->keys;
    killed->base.store = killed->data_store;
    killed->half.base = &killed->base;
    killed->half.tenant = 1;
    half_open(&killed->half);
    return true;
}

static void killed_close(struct killed *killed)
{
    half_close(&killed->half);
    kms_close(killed->kms);
    vault_store_close(killed->data_store);
    vault_store_close(killed->keys_store);
}

struct writer {
    struct half *half;
    uint64_t first;
};

static void tag_of(uint64_t slot, unsigned char ret_tag[VAULT_TAG_BYTES])
{
    memset(ret_tag, 0, VAULT_TAG_BYTES);
    kl_put_u64be(ret_tag, slot * UINT64_C(0x9e3779b97f4a7c15));
}

/* Write until killed; each slot that was acknowledged is told on standard output. */
static void *write_for_ever(void *argument)
{
    struct writer *writer = argument;
    struct half *half = writer->half;
    for (uint64_t slot = writer->first;; slot += KILL_WRITERS) {
        struct vault_audit_entry entry;
        struct vault_audit_entry *const entries[1] = {&entry};
        struct vault_index_change change = {.kind = VAULT_INDEX_ADD_UNIQUE,
                                            .entry = {.slot = slot}};
        struct vault_batch *batch = vault_batch_new();
        tag_of(slot, change.entry.tag);
        put_head(batch, half->tenant, slot, 1);
        entry_make(&entry, half->tenant, "subject.create");
        struct vault_commit commit = {.tenant = half->tenant,
                                      .batch = batch,
                                      .check_head = true,
                                      .slot = slot,
                                      .index = &change,
                                      .index_count = 1,
                                      .audit = entries,
                                      .audit_count = 1};
        if (vault_commit_submit(half->committer, &commit, NULL) != KL_OK ||
            write(STDOUT_FILENO, &slot, sizeof(slot)) != (ssize_t)sizeof(slot)) {
            _exit(1);
        }
        vault_audit_done(&entry);
        vault_batch_free(batch);
    }
    return NULL;
}

/* This program again, as the process that is going to be killed. */
static int write_until_killed(const char *folder, uint64_t first)
{
    static struct killed killed;
    struct writer writers[KILL_WRITERS];
    pthread_t threads[KILL_WRITERS];
    if (!killed_open(&killed, folder, false)) {
        return 1;
    }
    for (uint64_t i = 0; i < KILL_WRITERS; i++) {
        writers[i] = (struct writer){.half = &killed.half, .first = first + i};
        if (pthread_create(&threads[i], NULL, write_for_ever, &writers[i]) != 0) {
            return 1;
        }
    }
    pthread_join(threads[0], NULL);
    return 1;
}

static pid_t start_writer(const char *folder, uint64_t first, int *ret_output)
{
    char number[32];
    int pipe_ends[2];
    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)first);
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], STDOUT_FILENO);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        execl("/proc/self/exe", "test_commit", "--write-until-killed", folder, number,
              (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    close(pipe_ends[1]);
    *ret_output = pipe_ends[0];
    return child;
}

/* Everything that was told to be written is there whole, and rows and frontier of the trail agree. */
static void assert_acknowledged(const char *folder, const uint64_t *slots, size_t count)
{
    struct killed killed = {.kms = NULL};
    struct vault_index_entry found;
    size_t found_count = 0;
    assert_true(killed_open(&killed, folder, false));
    for (size_t i = 0; i < count; i++) {
        unsigned char tag[VAULT_TAG_BYTES];
        tag_of(slots[i], tag);
        assert_int_equal(head_of(&killed.half, slots[i]), 1);
        assert_int_equal(
            vault_index_find(killed.half.index, 1, tag, 0, 1, &found, &found_count, NULL), KL_OK);
        assert_int_equal(found_count, 1);
        assert_int_equal(found.slot, slots[i]);
    }
    assert_true(trail_size(&killed.half) >= count);
    assert_int_equal(trail_size(&killed.half), store_fixture_rows(killed.data_store, 'A'));
    assert_int_equal(trail_size(&killed.half), store_fixture_rows(killed.data_store, 'H'));
    killed_close(&killed);
}

static void test_what_was_acknowledged_survives_kill_9(void **state)
{
    struct store_fixture *fixture = *state;
    struct killed killed = {.kms = NULL};
    uint64_t tenant = 0;
    uint64_t *slots = calloc(100000, sizeof(*slots));
    size_t count = 0;
    assert_true(killed_open(&killed, fixture->folder, true));
    assert_int_equal(kms_tenant_take(killed.kms, &tenant, NULL), KL_OK);
    assert_int_equal(tenant, 1);
    killed_close(&killed);
    for (uint64_t round = 0; round < KILL_ROUNDS; round++) {
        int output = -1;
        int ended = 0;
        size_t until = count + 50 + round * 77;
        pid_t child = start_writer(fixture->folder, 1000000 * (round + 1), &output);
        while (count < until &&
               read(output, &slots[count], sizeof(*slots)) == (ssize_t)sizeof(*slots)) {
            count++;
        }
        assert_int_equal(count, until);
        kill(child, SIGKILL);
        while (count < 100000 &&
               read(output, &slots[count], sizeof(*slots)) == (ssize_t)sizeof(*slots)) {
            count++;
        }
        close(output);
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_true(WIFSIGNALED(ended));
        assert_acknowledged(fixture->folder, slots, count);
    }
    free(slots);
}

int main(int argc, char **argv)
{
#define COMMIT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        COMMIT_TEST(test_a_commit_writes_rows_index_and_audit_together),
        COMMIT_TEST(test_a_head_that_has_changed_is_refused),
        COMMIT_TEST(test_a_refused_commit_leaves_only_what_says_so),
        COMMIT_TEST(test_too_large_a_value_is_refused_and_the_next_request_works),
        COMMIT_TEST(test_what_inside_writes_counts_only_when_it_succeeds),
        COMMIT_TEST(test_a_trail_that_cannot_be_written_stops_all_commits),
        COMMIT_TEST(test_a_dying_subject_takes_no_commit_until_its_mark_ends),
        COMMIT_TEST(test_what_was_admitted_before_the_mark_is_seen_after_it),
        COMMIT_TEST(test_many_submitters_lose_nothing),
        cmocka_unit_test_setup_teardown(test_what_was_acknowledged_survives_kill_9,
                                        store_fixture_setup_store, store_fixture_teardown),
    };
    if (argc == 4 && strcmp(argv[1], "--write-until-killed") == 0) {
        return write_until_killed(argv[2], strtoull(argv[3], NULL, 10));
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
