/* Many threads at once, on the same people. */
#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"
#include "vault/subject_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 16

struct shared {
    struct vault_fixture *fixture;
    struct vault_subject_result *people;
    size_t people_count;
    atomic_uint patched;
    atomic_uint erased;
    atomic_uint unexpected;
};
struct worker {
    struct shared *shared;
    unsigned number;
    unsigned rounds;
    struct vault_caller writer;
    struct vault_caller reader;
    struct vault_caller dpo;
};

static void workers_run(struct shared *shared, unsigned rounds, void *(*run)(void *))
{
    struct worker workers[THREADS] = {0};
    pthread_t threads[THREADS];
    unsigned i;

    for (i = 0; i < THREADS; i++) {
        workers[i].shared = shared;
        workers[i].number = i;
        workers[i].rounds = rounds;
        workers[i].writer = fixture_caller(shared->fixture, "writer");
        workers[i].reader = fixture_caller(shared->fixture, "reader");
        workers[i].dpo = fixture_caller(shared->fixture, "dpo");
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run, &workers[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        vault_caller_done(&workers[i].writer);
        vault_caller_done(&workers[i].reader);
        vault_caller_done(&workers[i].dpo);
    }
}

static void unexpected(struct shared *shared, const char *what, const struct kl_err *err)
{
    (void)fprintf(stderr, "%s: %s %s %s\n", what, err->code, err->client_text, err->log_text);
    atomic_fetch_add(&shared->unexpected, 1);
}

/* ---- one record, changed by all ---- */

static void *patch_one_record(void *context)
{
    struct worker *worker = context;
    struct shared *shared = worker->shared;
    const struct vault_subject_result *person = &shared->people[0];
    char email[64];
    unsigned i;

    for (i = 0; i < worker->rounds; i++) {
        struct vault_field_input field;
        struct kl_err err = {0};
        uint64_t version = 0;

        (void)snprintf(email, sizeof email, "t%u-%u@example.org", worker->number, i);
        field = fixture_field("email", email);
        if (vault_record_patch(fixture_vault(shared->fixture), &worker->writer, &person->id,
                               &person->records[0].id, 0, &field, 1, &version, &err) == KL_OK) {
            atomic_fetch_add(&shared->patched, 1);
        } else {
            unexpected(shared, "patch", &err);
        }
    }
    return NULL;
}

static void test_no_change_is_lost_when_many_change_one_record(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "first@example.org", false);
    struct shared shared = {.fixture = fixture, .people = &made, .people_count = 1};
    struct vault_subject_result read = {0};
    struct kl_id found = {0};
    char email[64];

    workers_run(&shared, 10, patch_one_record);
    assert_int_equal(shared.unexpected, 0);
    assert_int_equal(shared.patched, 10 * THREADS);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_int_equal(read.records[0].version, 1 + 10 * THREADS);
    (void)snprintf(email, sizeof email, "%.*s", (int)fixture_find(&read, "email")->value.size,
                   (const char *)fixture_find(&read, "email")->value.bytes);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, &found), 1);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "first@example.org", NULL), 0);
}

/* ---- everything at once ---- */

static void mixed_create(struct worker *worker, struct kl_arena *arena, unsigned i)
{
    char email[64];
    struct vault_field_input field;
    struct vault_record_input record = {.type = "client", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_subject_result result = {0};
    struct kl_err err = {0};
    struct kl_buf answer;

    kl_buf_init(&answer, 65536);
    (void)snprintf(email, sizeof email, "m%u-%u@example.org", worker->number, i);
    field = fixture_field("email", email);
    if (vault_subject_create(fixture_vault(worker->shared->fixture), &worker->writer, &input, NULL,
                             arena, &result, &err) != KL_OK) {
        unexpected(worker->shared, "create", &err);
    } else if (i % 2 == 0 &&
               vault_subject_erase(fixture_vault(worker->shared->fixture), &worker->dpo, &result.id,
                                   VAULT_ERASE_OTHER, &answer, &err) != KL_OK) {
        unexpected(worker->shared, "erase own", &err);
    }
    kl_buf_done(&answer);
}

static bool is_expected(enum kl_status status)
{
    return status == KL_OK || status == KL_ERR_NOT_FOUND;
}

static void *mix(void *context)
{
    struct worker *worker = context;
    struct shared *shared = worker->shared;
    struct vault *vault = fixture_vault(shared->fixture);
    struct kl_arena *arena = kl_arena_new(16 * 1024 * 1024);
    unsigned i;

    for (i = 0; arena != NULL && i < worker->rounds; i++) {
        const struct vault_subject_result *person =
            &shared->people[(worker->number + i) % shared->people_count];
        const struct vault_field_input field = fixture_field("first_name", "Bo");
        const struct vault_read_input input = {.subject = person->id, .purpose = "support"};
        struct vault_subject_result read = {0};
        enum kl_status status = KL_OK;
        struct kl_err err = {0};
        uint64_t version = 0;
        struct kl_buf answer;

        kl_buf_init(&answer, 65536);
        switch ((worker->number + i) % 4) {
        case 0:
            mixed_create(worker, arena, i);
            break;
        case 1:
            status = vault_record_patch(vault, &worker->writer, &person->id, &person->records[0].id,
                                        0, &field, 1, &version, &err);
            break;
        case 2:
            status = vault_subject_read(vault, &worker->reader, &input, arena, &read, &err);
            break;
        default:
            if (i % 3 == 0) {
                status = vault_subject_erase(vault, &worker->dpo, &person->id, VAULT_ERASE_OTHER,
                                             &answer, &err);
                atomic_fetch_add(&shared->erased, status == KL_OK ? 1 : 0);
            }
            break;
        }
        if (!is_expected(status)) {
            unexpected(shared, "mixed", &err);
        }
        kl_buf_done(&answer);
        kl_arena_reset(arena);
    }
    kl_arena_free(arena);
    return NULL;
}

static void test_threads_that_make_change_read_and_erase_leave_a_whole_vault(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result people[24];
    struct shared shared = {.fixture = fixture, .people = people, .people_count = 24};
    struct vault_subject_result read = {0};
    char email[64];
    size_t there = 0;
    size_t i;

    for (i = 0; i < 24; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        people[i] = fixture_newsletter(fixture, email, false);
    }
    workers_run(&shared, 12, mix);
    assert_int_equal(shared.unexpected, 0);
    fixture_reopen(fixture);
    for (i = 0; i < 24; i++) {
        enum kl_status status = fixture_read(fixture, "reader", &people[i].id, "support", &read);

        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        assert_true(is_expected(status));
        assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, NULL),
                         status == KL_OK ? 1 : 0);
        if (status == KL_OK) {
            assert_true(fixture_value_is(fixture_find(&read, "email"), email));
            there++;
        }
    }
    assert_int_equal(there + shared.erased, 24);
}

static void *erase_same(void *context)
{
    struct worker *worker = context;
    struct shared *shared = worker->shared;
    struct kl_err err = {0};
    enum kl_status status = KL_OK;
    struct kl_buf answer;

    kl_buf_init(&answer, 65536);
    status = vault_subject_erase(fixture_vault(shared->fixture), &worker->dpo,
                                 &shared->people[0].id, VAULT_ERASE_REQUEST, &answer, &err);
    atomic_fetch_add(&shared->erased, status == KL_OK ? 1 : 0);
    if (!is_expected(status)) {
        unexpected(shared, "erase", &err);
    }
    kl_buf_done(&answer);
    return NULL;
}

static void test_of_many_who_erase_one_person_one_gets_the_receipt(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct shared shared = {.fixture = fixture, .people = &made, .people_count = 1};

    workers_run(&shared, 1, erase_same);
    assert_int_equal(shared.unexpected, 0);
    assert_int_equal(shared.erased, 1);
    assert_int_equal(fixture_trail(fixture, "\"receipt\":\"er_"), 1);
}

static void *claim_unique(void *context)
{
    struct worker *worker = context;
    struct shared *shared = worker->shared;
    const struct vault_field_input field = fixture_field("email", "only@example.org");
    const struct vault_record_input record = {.type = "client", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct kl_arena *arena = kl_arena_new(4 * 1024 * 1024);
    struct vault_subject_result result = {0};
    struct kl_err err = {0};
    enum kl_status status = KL_ERR_NO_MEMORY;

    if (arena != NULL) {
        status = vault_subject_create(fixture_vault(shared->fixture), &worker->writer, &input, NULL,
                                      arena, &result, &err);
    }
    atomic_fetch_add(&shared->patched, status == KL_OK ? 1 : 0);
    if (status != KL_OK && status != KL_ERR_CONFLICT) {
        unexpected(shared, "claim", &err);
    }
    kl_arena_free(arena);
    return NULL;
}

static void test_of_many_who_claim_a_unique_value_one_gets_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct shared shared = {.fixture = fixture};

    workers_run(&shared, 1, claim_unique);
    assert_int_equal(shared.unexpected, 0);
    assert_int_equal(shared.patched, 1);
    assert_int_equal(fixture_lookup(fixture, "client.email", "only@example.org", NULL), 1);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_change_is_lost_when_many_change_one_record),
        TEST(test_threads_that_make_change_read_and_erase_leave_a_whole_vault),
        TEST(test_of_many_who_erase_one_person_one_gets_the_receipt),
        TEST(test_of_many_who_claim_a_unique_value_one_gets_it),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
