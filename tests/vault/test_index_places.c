/* What erasures hold, under everything at once: writers, erasers and readers on one index, as the vault runs them. */
#include "tests/support/store_fixture.h"
#include "tests/support/test.h"
#include "vault/commit.h"
#include "vault/index_rows.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ADDERS 3
#define ERASERS 3
#define READERS 2
#define PEOPLE_MAX 600
#define PER_SUBJECT 3
#define PLACES_MAX 512
#define ERASED_MIN 120

enum person_state { NOBODY, ADDED, ERASING, ERASED };

struct storm {
    struct store_fixture *base;
    struct vault_index_store *index;
    struct vault_trails *trails;
    struct vault_committer *committer;
    uint64_t tenant;
    uint64_t slots[PEOPLE_MAX];
    atomic_int states[PEOPLE_MAX];
    atomic_size_t people;
    atomic_size_t next;
    atomic_size_t adders_left;
    atomic_size_t prepares;
    atomic_size_t failures;
    atomic_size_t lookups;
    atomic_size_t erased;
};

static uint64_t spread(uint64_t i)
{
    i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    return i ^ (i >> 31);
}

/* An id, a value of its own, and one that many share. */
static struct vault_index_entry entry_of(uint64_t slot, uint64_t i)
{
    uint64_t what = i == 2 ? 1000000 + slot % 3 : slot * 8 + i;
    struct vault_index_entry entry = {.slot = slot, .discriminator = i};
    kl_put_u64be(entry.tag, spread(what));
    kl_put_u64be(entry.tag + 8, what);
    return entry;
}

static void expect(struct storm *storm, bool holds)
{
    if (!holds) {
        atomic_fetch_add(&storm->failures, 1);
    }
}

/* ---- adding ---- */

static void add_person(struct storm *storm, size_t i)
{
    struct vault_index_change changes[PER_SUBJECT];
    unsigned char version[8];
    struct vault_batch *batch = vault_batch_new();
    expect(storm, kms_slot_take(storm->base->keys->kms, storm->tenant, 1, &storm->slots[i], NULL) ==
                      KL_OK);
    for (uint64_t j = 0; j < PER_SUBJECT; j++) {
        changes[j].kind = j == 0 ? VAULT_INDEX_ADD_UNIQUE : VAULT_INDEX_ADD;
        changes[j].entry = entry_of(storm->slots[i], j);
    }
    struct vault_row_key key = vault_row_head(storm->tenant, storm->slots[i]);
    kl_put_u64be(version, 1);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(version, sizeof(version)));
    struct vault_commit commit = {.tenant = storm->tenant,
                                  .batch = batch,
                                  .check_head = true,
                                  .slot = storm->slots[i],
                                  .index = changes,
                                  .index_count = PER_SUBJECT,
                                  .unsynced = true};
    expect(storm, vault_commit_submit(storm->committer, &commit, NULL) == KL_OK);
    vault_batch_free(batch);
    atomic_store(&storm->states[i], ADDED);
}

static void *add_people(void *argument)
{
    struct storm *storm = argument;
    for (size_t i = atomic_fetch_add(&storm->next, 1); i < PEOPLE_MAX;
         i = atomic_fetch_add(&storm->next, 1)) {
        add_person(storm, i);
    }
    atomic_fetch_sub(&storm->adders_left, 1);
    return NULL;
}

static bool goes_on(struct storm *storm)
{
    return atomic_load(&storm->adders_left) > 0 || atomic_load(&storm->erased) < ERASED_MIN;
}

/* ---- erasing ---- */

struct stage {
    struct storm *storm;
    struct kms_staged *staged;
    struct kms_place dying[KMS_GROUP_MAX];
    size_t count;
};

static enum kl_status stage_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct stage *stage = context;
    return vault_index_stage(stage->storm->index, stage->staged, stage->dying, stage->count, batch,
                             err);
}

static enum kl_status tidy_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct storm *storm = context;
    return vault_index_tidy(storm->index, batch, err);
}

static enum kl_status on_prepare(void *context, struct kms_staged *staged, uint64_t generation,
                                 struct kms_request **requests, size_t count, struct kl_err *err)
{
    struct storm *storm = context;
    struct stage *stage = calloc(1, sizeof(*stage));
    struct vault_commit commit = {
        .tenant = storm->tenant, .inside = stage_inside, .inside_context = stage};
    (void)generation;
    stage->storm = storm;
    stage->staged = staged;
    stage->count = count;
    for (size_t i = 0; i < count; i++) {
        stage->dying[i] = *(const struct kms_place *)requests[i]->work;
    }
    enum kl_status status = vault_commit_submit(storm->committer, &commit, err);
    free(stage);
    if (status == KL_OK && atomic_fetch_add(&storm->prepares, 1) % 5 == 4) {
        vault_index_published(storm->index, false);
        status = kl_fail(err, KL_ERR_BUSY, "prepare_failed", "prepare failed", NULL);
    }
    return status;
}

static void on_publish(void *context, uint64_t generation)
{
    struct storm *storm = context;
    (void)generation;
    vault_index_published(storm->index, true);
}

static enum kl_status on_finish(void *context, uint64_t generation, struct kms_request **requests,
                                size_t count, struct kl_err *err)
{
    struct storm *storm = context;
    struct vault_commit commit = {
        .tenant = storm->tenant, .inside = tidy_inside, .inside_context = storm, .unsynced = true};
    (void)generation;
    (void)requests;
    (void)count;
    return vault_commit_submit(storm->committer, &commit, err);
}

static enum kl_status erase_slot(struct storm *storm, uint64_t slot)
{
    struct vault_index_entry entries[PER_SUBJECT];
    struct kms_place places[PLACES_MAX];
    struct kms_change changes[PLACES_MAX + 1];
    struct kms_place dying = {.tenant = storm->tenant, .slot = slot, .value = KMS_VALUE_NONE};
    size_t count = 0;
    for (uint64_t i = 0; i < PER_SUBJECT; i++) {
        entries[i] = entry_of(slot, i);
    }
    expect(storm, vault_commit_dying_begin(storm->committer, storm->tenant, slot, NULL) == KL_OK);
    expect(storm, vault_index_places(storm->index, storm->tenant, entries, PER_SUBJECT, places,
                                     PLACES_MAX, &count, NULL) == KL_OK);
    changes[0] = (struct kms_change){KMS_CHANGE_SHRED, dying};
    for (size_t i = 0; i < count; i++) {
        changes[i + 1] = (struct kms_change){KMS_CHANGE_REKEY, places[i]};
    }
    struct kms_request request = {.changes = changes, .changes_count = count + 1, .work = &dying};
    enum kl_status status = kms_commit(storm->base->keys->kms, &request, NULL);
    vault_index_release(storm->index, storm->tenant, entries, PER_SUBJECT);
    vault_commit_dying_end(storm->committer, storm->tenant, slot);
    return status;
}

static void *erase_people(void *argument)
{
    struct storm *storm = argument;
    uint64_t random = (uintptr_t)&random;
    while (goes_on(storm)) {
        int expected = ADDED;
        random = spread(random + 1);
        size_t i = random % PEOPLE_MAX;
        if (!atomic_compare_exchange_strong(&storm->states[i], &expected, ERASING)) {
            sched_yield();
            continue;
        }
        enum kl_status status = erase_slot(storm, storm->slots[i]);
        expect(storm, status == KL_OK || status == KL_ERR_BUSY);
        atomic_store(&storm->states[i], status == KL_OK ? ERASED : ADDED);
        atomic_fetch_add(&storm->erased, status == KL_OK ? 1 : 0);
    }
    return NULL;
}

/* ---- reading ---- */

static bool is_found(struct storm *storm, uint64_t slot, uint64_t i)
{
    static _Thread_local struct vault_index_entry found[PEOPLE_MAX];
    struct vault_index_entry entry = entry_of(slot, i);
    size_t count = 0;
    expect(storm, vault_index_find(storm->index, storm->tenant, entry.tag, 0, PEOPLE_MAX, found,
                                   &count, NULL) == KL_OK);
    for (size_t j = 0; j < count; j++) {
        if (found[j].slot == slot) {
            return true;
        }
    }
    return false;
}

static void *look_up(void *argument)
{
    struct storm *storm = argument;
    uint64_t random = (uintptr_t)&random;
    while (goes_on(storm)) {
        random = spread(random + 1);
        size_t i = random % PEOPLE_MAX;
        int before = atomic_load(&storm->states[i]);
        if (before == NOBODY) {
            sched_yield();
            continue;
        }
        bool found = is_found(storm, storm->slots[i], random % PER_SUBJECT);
        int after = atomic_load(&storm->states[i]);
        expect(storm, before != ERASED || !found);
        expect(storm, before != ADDED || after != ADDED || found);
        atomic_fetch_add(&storm->lookups, 1);
    }
    return NULL;
}

/* ---- the test ---- */

static int setup(void **state)
{
    void *base = NULL;
    struct storm *storm = calloc(1, sizeof(*storm));
    if (storm == NULL || store_fixture_setup(&base) != 0) {
        return -1;
    }
    struct kms_hooks hooks = {.context = storm,
                              .prepare = on_prepare,
                              .publish = on_publish,
                              .finish = on_finish,
                              .fatal = kms_fixture_fatal};
    storm->base = base;
    storm->tenant = storm->base->tenant;
    kms_hooks_set(storm->base->keys->kms, &hooks);
    storm->index = vault_index_new(storm->base->keys->kms, storm->base->store);
    storm->trails = vault_trails_new(storm->base->keys->kms, storm->base->store);
    storm->committer = vault_committer_new(storm->base->store, storm->index, storm->trails);
    *state = storm;
    return 0;
}

static int teardown(void **state)
{
    struct storm *storm = *state;
    void *base = storm->base;
    vault_committer_free(storm->committer);
    vault_trails_free(storm->trails);
    vault_index_free(storm->index);
    free(storm);
    return store_fixture_teardown(&base);
}

static void assert_people(struct storm *storm)
{
    for (size_t i = 0; i < PEOPLE_MAX; i++) {
        for (uint64_t j = 0; j < PER_SUBJECT; j++) {
            assert_int_equal(is_found(storm, storm->slots[i], j),
                             atomic_load(&storm->states[i]) == ADDED);
        }
    }
    assert_int_equal(atomic_load(&storm->failures), 0);
}

static void test_writers_erasers_and_readers_agree(void **state)
{
    struct storm *storm = *state;
    pthread_t threads[ADDERS + ERASERS + READERS];
    void *(*const work[])(void *) = {add_people, erase_people, look_up};
    const size_t counts[] = {ADDERS, ERASERS, READERS};
    size_t started = 0;
    atomic_store(&storm->adders_left, ADDERS);
    for (size_t kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < counts[kind]; i++) {
            assert_int_equal(pthread_create(&threads[started++], NULL, work[kind], storm), 0);
        }
    }
    for (size_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(atomic_load(&storm->erased) >= ERASED_MIN);
    assert_true(atomic_load(&storm->lookups) > 0);
    assert_people(storm);
    vault_index_free(storm->index);
    vault_committer_free(storm->committer);
    store_fixture_reopen(storm->base);
    storm->index = vault_index_new(storm->base->keys->kms, storm->base->store);
    storm->committer = vault_committer_new(storm->base->store, storm->index, storm->trails);
    assert_people(storm);
}

/* A split that has begun is waited for: its group applies before the places are looked for. */
struct splitting {
    struct storm *storm;
    atomic_bool split;
    atomic_bool asked;
};

static enum kl_status split_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct splitting *splitting = context;
    struct vault_index_change changes[100];
    for (uint64_t i = 0; i < 100; i++) {
        changes[i] =
            (struct vault_index_change){.kind = VAULT_INDEX_ADD, .entry = entry_of(5000 + i, 0)};
    }
    enum kl_status status = vault_index_change(splitting->storm->index, splitting->storm->tenant,
                                               changes, 100, batch, err);
    atomic_store(&splitting->split, true);
    while (!atomic_load(&splitting->asked)) {
        sched_yield();
    }
    return status;
}

static void *split_it(void *argument)
{
    struct splitting *splitting = argument;
    struct vault_commit commit = {
        .tenant = splitting->storm->tenant, .inside = split_inside, .inside_context = splitting};
    expect(splitting->storm,
           vault_commit_submit(splitting->storm->committer, &commit, NULL) == KL_OK);
    return NULL;
}

static void test_places_wait_for_a_split_that_has_begun(void **state)
{
    struct storm *storm = *state;
    struct splitting splitting = {.storm = storm};
    struct vault_index_change first = {.kind = VAULT_INDEX_ADD, .entry = entry_of(4000, 0)};
    struct vault_commit commit = {.tenant = storm->tenant, .index = &first, .index_count = 1};
    struct kms_place places[64];
    pthread_t thread;
    size_t count = 0;
    assert_int_equal(vault_commit_submit(storm->committer, &commit, NULL), KL_OK);
    assert_int_equal(pthread_create(&thread, NULL, split_it, &splitting), 0);
    while (!atomic_load(&splitting.split)) {
        sched_yield();
    }
    atomic_store(&splitting.asked, true);
    assert_int_equal(
        vault_index_places(storm->index, storm->tenant, &first.entry, 1, places, 64, &count, NULL),
        KL_OK);
    assert_true(count >
                1); /* the split bucket's and its new one's; before the split there was only one */
    vault_index_release(storm->index, storm->tenant, &first.entry, 1);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&storm->failures), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writers_erasers_and_readers_agree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_wait_for_a_split_that_has_begun, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
