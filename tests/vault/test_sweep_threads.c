/* Sweeps beside people being made, changed, looked up and erased: each ends with exactly the index entries that are theirs. Run under the preset tsan too. */
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"

#include "vault/index.h"
#include "vault/rows.h"
#include "vault/tenants.h"
#include "vault/vault_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define WORKERS 4
#define PEOPLE 6 /* of each worker */
#define ROUNDS 300
#define STANDING 70
#define SWEEPS_MIN 3

struct person {
    struct vault_subject_result made;
    struct kl_arena *arena;
    unsigned number; /* of the address in force */
    bool there;
};

struct worker {
    struct vault_fixture *fixture;
    unsigned worker;
    struct vault_caller writer;
    struct vault_caller reader;
    struct vault_caller dpo;
    struct person people[PEOPLE];
    unsigned next; /* address */
    atomic_uint *running;
    atomic_uint *unexpected;
};

static void unexpected(struct worker *worker, const char *what, const struct kl_err *err)
{
    (void)fprintf(stderr, "%s: %s %s\n", what, err->code, err->log_text);
    atomic_fetch_add(worker->unexpected, 1);
}

static const char *address(const struct worker *worker, unsigned number, char room[64])
{
    (void)snprintf(room, 64, "w%u-%u@example.org", worker->worker, number);
    return room;
}

static void make(struct worker *worker, struct person *person)
{
    char room[64];
    const struct vault_field_input fields[1] = {
        fixture_field("email", address(worker, worker->next, room))};
    const struct vault_record_input record = {
        .type = "newsletter", .fields = fields, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct kl_err err = {0};

    kl_arena_reset(person->arena);
    if (vault_subject_create(fixture_vault(worker->fixture), &worker->writer, &input, NULL,
                             person->arena, &person->made, &err) != KL_OK) {
        unexpected(worker, "create", &err);
        return;
    }
    person->number = worker->next++;
    person->there = true;
}

static void rectify(struct worker *worker, struct person *person)
{
    char room[64];
    const struct vault_field_input field =
        fixture_field("email", address(worker, worker->next, room));
    struct kl_err err = {0};
    uint64_t version = 0;

    if (vault_record_patch(fixture_vault(worker->fixture), &worker->writer, &person->made.id,
                           &person->made.records[0].id, 0, &field, 1, &version, &err) != KL_OK) {
        unexpected(worker, "patch", &err);
        return;
    }
    person->number = worker->next++;
}

static void erase(struct worker *worker, struct person *person)
{
    struct kl_buf receipt;
    struct kl_err err = {0};

    kl_buf_init(&receipt, 65536);
    if (vault_subject_erase(fixture_vault(worker->fixture), &worker->dpo, &person->made.id,
                            VAULT_ERASE_REQUEST, &receipt, &err) != KL_OK) {
        unexpected(worker, "erase", &err);
    }
    kl_buf_done(&receipt);
    person->there = false;
}

/* How many entries of the index say that address, whether they lead to somebody or not. */
static size_t entries_of(struct worker *worker, unsigned number)
{
    struct vault *vault = fixture_vault(worker->fixture);
    uint64_t tenant = vault_tenants_find(vault, VAULT_DEFAULT_TENANT)->number;
    struct vault_index_entry entries[8];
    char room[64];
    size_t count = 99;
    struct kl_err err = {0};

    if (vault_index_look(vault->index, tenant, "newsletter.email",
                         kl_slice_text(address(worker, number, room)), 0, 8, entries, &count,
                         &err) != KL_OK) {
        unexpected(worker, "look", &err);
    }
    return count;
}

static void expect_found(struct worker *worker, const struct person *person)
{
    struct vault_read_input input = {.subject = person->made.id, .purpose = "support"};
    struct vault_subject_result read = {0};
    struct kl_arena *arena = kl_arena_new(1 << 20);
    struct kl_err err = {0};

    if (vault_subject_read(fixture_vault(worker->fixture), &worker->reader, &input, arena, &read,
                           &err) != KL_OK) {
        unexpected(worker, "read", &err);
    }
    kl_arena_free(arena);
    if (entries_of(worker, person->number) != 1) {
        (void)snprintf(err.code, sizeof err.code, "number %u", person->number);
        unexpected(worker, "not found by address", &err);
    }
}

static void *work(void *context)
{
    struct worker *worker = context;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct person *person = &worker->people[round % PEOPLE];

        if (!person->there) {
            make(worker, person);
        } else if (round % 7 == 3) {
            erase(worker, person);
        } else {
            rectify(worker, person);
        }
        if (person->there) {
            expect_found(worker, person);
        }
    }
    atomic_fetch_sub(worker->running, 1);
    return NULL;
}

static void sweep_until_done(struct vault_fixture *fixture, atomic_uint *running, unsigned *sweeps)
{
    while (atomic_load(running) > 0 || *sweeps < SWEEPS_MIN) {
        const struct vault_sweep_input input = {0};
        struct vault_caller operator_ = admin_operator(fixture->admin);
        struct kl_err err = {0};
        struct kl_buf shown;

        kl_buf_init(&shown, 16384);
        assert_int_equal(
            vault_sweep_start(fixture_vault(fixture), &operator_, &input, NULL, &shown, NULL, &err),
            KL_OK);
        kl_buf_done(&shown);
        vault_caller_done(&operator_);
        while (vault_upkeep_run(fixture_vault(fixture), &err) == KL_ERR_BUSY) {
            kl_err_clear(&err);
        }
        assert_int_equal(err.status, KL_OK);
        (*sweeps)++;
    }
}

/* Every address that was ever in force, once for who has it now and not at all else. */
static void check_all(struct worker *worker)
{
    for (unsigned number = 0; number < worker->next; number++) {
        size_t expected = 0;

        for (size_t i = 0; i < PEOPLE; i++) {
            expected += worker->people[i].there && worker->people[i].number == number ? 1 : 0;
        }
        assert_int_equal(entries_of(worker, number), expected);
    }
}

static void test_everybody_ends_with_exactly_their_entries(void **state)
{
    struct vault_fixture *fixture = *state;
    static struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    atomic_uint running = WORKERS;
    atomic_uint unexpected_count = 0;
    unsigned sweeps = 0;
    char room[64];

    for (unsigned i = 0; i < STANDING; i++) {
        (void)snprintf(room, sizeof room, "standing%u@example.org", i);
        (void)fixture_newsletter(fixture, room, false);
    }
    memset(workers, 0, sizeof workers);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].fixture = fixture;
        workers[i].worker = i;
        workers[i].running = &running;
        workers[i].unexpected = &unexpected_count;
        workers[i].writer = fixture_caller(fixture, "writer");
        workers[i].reader = fixture_caller(fixture, "reader");
        workers[i].dpo = fixture_caller(fixture, "dpo");
        for (size_t k = 0; k < PEOPLE; k++) {
            workers[i].people[k].arena = kl_arena_new(1 << 20);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    sweep_until_done(fixture, &running, &sweeps);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(unexpected_count, 0);
    assert_true(sweeps >= SWEEPS_MIN);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < WORKERS; i++) {
            check_all(&workers[i]);
        }
        for (unsigned i = 0; i < STANDING; i++) {
            (void)snprintf(room, sizeof room, "standing%u@example.org", i);
            assert_int_equal(fixture_lookup(fixture, "newsletter.email", room, NULL), 1);
        }
        if (round == 0) {
            for (unsigned i = 0; i < WORKERS; i++) {
                vault_caller_done(&workers[i].writer);
                vault_caller_done(&workers[i].reader);
                vault_caller_done(&workers[i].dpo);
            }
            fixture_reopen(fixture);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        for (size_t k = 0; k < PEOPLE; k++) {
            kl_arena_free(workers[i].people[k].arena);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everybody_ends_with_exactly_their_entries,
                                        vault_fixture_setup, vault_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
