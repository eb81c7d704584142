/* Many threads at once: commits share their syncs, readers go on, an acknowledged shred is final for all of them. */
#include "tests/support/kms_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1
#define WRITERS 16
#define READERS 4
#define EACH 24

struct arena {
    struct kms *kms;
    atomic_bool stop;
    atomic_uint failures;
    atomic_uint reads;
    struct kl_buf kept[READERS]; /* values that nobody touches */
};

struct worker {
    struct arena *arena;
    uint64_t number;
};

static struct kms_place kept_at(uint64_t reader)
{
    return (struct kms_place){T, 64 + reader * 500, 5};
}

static void note_failure(struct arena *arena, bool good)
{
    if (!good) {
        atomic_fetch_add(&arena->failures, 1);
    }
}

/* Shreds slots and values of its own, one commit each, and looks at once whether they are gone. */
static void *writer(void *argument)
{
    struct worker *worker = argument;
    struct arena *arena = worker->arena;

    for (uint64_t i = 0; i < EACH; i++) {
        struct kms_place place = {T, 2000 + worker->number * EACH + i,
                                  i % 2 == 0 ? KMS_VALUE_NONE : i};
        struct kl_buf sealed;

        kms_fixture_seal(arena->kms, place, &sealed);
        note_failure(arena, kms_fixture_unseal(arena->kms, place, &sealed) == KL_OK);
        note_failure(arena, kms_fixture_change(arena->kms, KMS_CHANGE_SHRED, place) == KL_OK);
        note_failure(arena, kms_fixture_unseal(arena->kms, place, &sealed) == KL_ERR_GONE);
        kl_buf_done(&sealed);
    }
    return NULL;
}

/* What nobody shreds opens at any moment; numbers are taken all the while. */
static void *reader(void *argument)
{
    struct worker *worker = argument;
    struct arena *arena = worker->arena;
    uint64_t previous = 0;

    while (!atomic_load(&arena->stop)) {
        uint64_t first = 0;
        struct kms_state state;

        note_failure(arena, kms_fixture_unseal(arena->kms, kept_at(worker->number),
                                               &arena->kept[worker->number]) == KL_OK);
        note_failure(arena, kms_slot_take(arena->kms, KMS_TENANT_VAULT, 7, &first, NULL) == KL_OK);
        note_failure(arena, first > previous);
        previous = first;
        kms_state(arena->kms, &state);
        note_failure(arena, state.old_root_destroyed);
        atomic_fetch_add(&arena->reads, 1);
    }
    return NULL;
}

/* Turns the root key without a change. */
static void *turner(void *argument)
{
    struct arena *arena = argument;

    while (!atomic_load(&arena->stop)) {
        struct kms_request request = {0};

        note_failure(arena, kms_commit(arena->kms, &request, NULL) == KL_OK);
    }
    return NULL;
}

static void arena_make(struct arena *arena, struct kms_fixture *fixture)
{
    memset(arena, 0, sizeof *arena);
    arena->kms = fixture->kms;
    for (uint64_t i = 0; i < READERS; i++) {
        kms_fixture_seal(arena->kms, kept_at(i), &arena->kept[i]);
    }
}

static void arena_done(struct arena *arena)
{
    for (size_t i = 0; i < READERS; i++) {
        kl_buf_done(&arena->kept[i]);
    }
}

static void run(struct arena *arena)
{
    pthread_t writers[WRITERS];
    pthread_t readers[READERS];
    pthread_t turning;
    struct worker writing[WRITERS];
    struct worker reading[READERS];

    for (size_t i = 0; i < READERS; i++) {
        reading[i] = (struct worker){arena, i};
        assert_int_equal(pthread_create(&readers[i], NULL, reader, &reading[i]), 0);
    }
    assert_int_equal(pthread_create(&turning, NULL, turner, arena), 0);
    for (size_t i = 0; i < WRITERS; i++) {
        writing[i] = (struct worker){arena, i};
        assert_int_equal(pthread_create(&writers[i], NULL, writer, &writing[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i], NULL), 0);
    }
    atomic_store(&arena->stop, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    assert_int_equal(pthread_join(turning, NULL), 0);
}

static void test_commits_of_many_threads_share_generations_and_keep_readers_whole(void **state)
{
    struct kms_fixture *fixture = *state;
    struct arena arena;
    struct kms_state after;

    arena_make(&arena, fixture);
    run(&arena);
    assert_int_equal(atomic_load(&arena.failures), 0);
    assert_true(atomic_load(&arena.reads) > 0);
    kms_state(fixture->kms, &after);
    assert_int_equal(after.generation, 1 + after.commits);
    kms_fixture_reopen(fixture);
    for (uint64_t i = 0; i < READERS; i++) {
        assert_int_equal(kms_fixture_unseal(fixture->kms, kept_at(i), &arena.kept[i]), KL_OK);
    }
    for (uint64_t i = 0; i < (uint64_t)WRITERS * EACH; i += 2) {
        struct kms_place place = {T, 2000 + i, KMS_VALUE_NONE};

        assert_int_equal(kms_place_check(fixture->kms, &place, NULL), KL_ERR_GONE);
    }
    arena_done(&arena);
}

static void test_a_small_cache_serves_many_threads(void **state)
{
    struct kms_fixture *fixture = *state;
    struct arena arena;
    struct kms_state after;

    kms_fixture_close(fixture);
    fixture->options.pages_max = 64;
    kms_fixture_reopen(fixture);
    arena_make(&arena, fixture);
    run(&arena);
    assert_int_equal(atomic_load(&arena.failures), 0);
    kms_state(fixture->kms, &after);
    assert_true(after.pages_cached <= 64);
    arena_done(&arena);
}

/* ---- a group ---- */

/* Holds the first commit in prepare until the others wait behind it. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
    atomic_uint entered;
    unsigned prepared;
    size_t largest;
};

static enum kl_status gate_prepare(void *context, struct kms_staged *staged, uint64_t generation,
                                   struct kms_request **requests, size_t count, struct kl_err *err)
{
    struct gate *gate = context;

    (void)staged;
    (void)generation;
    (void)requests;
    (void)err;
    (void)pthread_mutex_lock(&gate->lock);
    gate->prepared++;
    gate->largest = count > gate->largest ? count : gate->largest;
    while (!gate->open) {
        (void)pthread_cond_wait(&gate->opened, &gate->lock);
    }
    (void)pthread_mutex_unlock(&gate->lock);
    return KL_OK;
}

struct member {
    struct kms *kms;
    struct gate *gate;
    struct kms_change change;
    enum kl_status status;
    uint64_t generation;
};

static void *member_commit(void *argument)
{
    struct member *member = argument;
    struct kms_request request = {.changes = &member->change, .changes_count = 1};

    atomic_fetch_add(&member->gate->entered, 1);
    member->status = kms_commit(member->kms, &request, NULL);
    member->generation = request.ret_generation;
    return NULL;
}

static void test_one_bad_request_does_not_harm_its_group(void **state)
{
    struct kms_fixture *fixture = *state;
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
    struct kms_hooks hooks = {.context = &gate, .prepare = gate_prepare};
    struct member members[WRITERS];
    pthread_t threads[WRITERS];

    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){T, 90, KMS_VALUE_NONE}),
                     KL_OK);
    kms_hooks_set(fixture->kms, &hooks);
    for (uint64_t i = 0; i < WRITERS; i++) {
        /* The last one wants a fresh key for what is gone. */
        members[i] = (struct member){
            .kms = fixture->kms,
            .gate = &gate,
            .change = {i == WRITERS - 1 ? KMS_CHANGE_REKEY : KMS_CHANGE_SHRED,
                       {T, i == WRITERS - 1 ? 90 : 100 + i, KMS_VALUE_NONE}},
        };
        assert_int_equal(pthread_create(&threads[i], NULL, member_commit, &members[i]), 0);
    }
    while (atomic_load(&gate.entered) < WRITERS) {
        (void)sched_yield();
    }
    (void)pthread_mutex_lock(&gate.lock);
    gate.open = true;
    (void)pthread_cond_broadcast(&gate.opened);
    (void)pthread_mutex_unlock(&gate.lock);
    for (size_t i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(members[i].status, i == WRITERS - 1 ? KL_ERR_GONE : KL_OK);
        assert_int_equal(members[i].generation != 0, i != WRITERS - 1);
        assert_int_equal(kms_place_check(fixture->kms, &members[i].change.place, NULL),
                         KL_ERR_GONE);
    }
    assert_true(gate.prepared <= WRITERS);
}

/* ---- the staged keys, while their commit is under way ---- */

#define SEALED_MAX 64

struct staging {
    struct kms *kms;
    pthread_mutex_t lock; /* guards staged and sealed */
    struct kms_staged *staged;
    struct kl_buf sealed[SEALED_MAX];
    size_t sealed_count;
    atomic_bool stop;
};

static const struct kms_place rekeyed_place = {T, 70, KMS_VALUE_NONE};

static enum kl_status staging_prepare(void *context, struct kms_staged *staged, uint64_t generation,
                                      struct kms_request **requests, size_t count,
                                      struct kl_err *err)
{
    struct staging *staging = context;

    (void)generation;
    (void)requests;
    (void)count;
    (void)err;
    (void)pthread_mutex_lock(&staging->lock);
    staging->staged = staged;
    (void)pthread_mutex_unlock(&staging->lock);
    return KL_OK;
}

static void staging_publish(void *context, uint64_t generation)
{
    struct staging *staging = context;

    (void)generation;
    (void)pthread_mutex_lock(&staging->lock);
    staging->staged = NULL;
    (void)pthread_mutex_unlock(&staging->lock);
}

/* What the leader of a data commit does: seal once more under what is coming. */
static void *staging_writer(void *argument)
{
    struct staging *staging = argument;

    while (!atomic_load(&staging->stop)) {
        (void)pthread_mutex_lock(&staging->lock);
        if (staging->staged != NULL && staging->sealed_count < SEALED_MAX) {
            struct kl_buf *sealed = &staging->sealed[staging->sealed_count++];

            kl_buf_init(sealed, 4096);
            if (kms_staged_seal(staging->staged, &rekeyed_place, kms_fixture_context,
                                kl_slice_text("late"), sealed, NULL) != KL_OK) {
                kl_buf_clear(sealed);
            }
        }
        (void)pthread_mutex_unlock(&staging->lock);
    }
    return NULL;
}

static void test_staged_keys_serve_other_threads_until_published(void **state)
{
    struct kms_fixture *fixture = *state;
    struct staging staging = {.kms = fixture->kms, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct kms_hooks hooks = {
        .context = &staging, .prepare = staging_prepare, .publish = staging_publish};
    pthread_t thread;
    size_t opened = 0;

    kms_hooks_set(fixture->kms, &hooks);
    assert_int_equal(pthread_create(&thread, NULL, staging_writer, &staging), 0);
    for (unsigned i = 0; i < 1000 && opened == 0; i++) {
        size_t first;

        (void)pthread_mutex_lock(&staging.lock);
        first = staging.sealed_count;
        (void)pthread_mutex_unlock(&staging.lock);
        assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_REKEY, rekeyed_place), KL_OK);
        (void)pthread_mutex_lock(&staging.lock);
        for (size_t s = first; s < staging.sealed_count; s++) {
            struct kl_buf plaintext;

            kl_buf_init(&plaintext, 64);
            assert_int_equal(kms_unseal(fixture->kms, &rekeyed_place, kms_fixture_context,
                                        kl_buf_slice(&staging.sealed[s]), &plaintext, NULL),
                             KL_OK);
            kl_buf_done(&plaintext);
            opened++;
        }
        (void)pthread_mutex_unlock(&staging.lock);
    }
    atomic_store(&staging.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(opened > 0);
    for (size_t i = 0; i < staging.sealed_count; i++) {
        kl_buf_done(&staging.sealed[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_commits_of_many_threads_share_generations_and_keep_readers_whole),
        TEST(test_a_small_cache_serves_many_threads),
        TEST(test_one_bad_request_does_not_harm_its_group),
        TEST(test_staged_keys_serve_other_threads_until_published),
    };

    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
