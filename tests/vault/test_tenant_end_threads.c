/* A tenant ends beside requests under way. */
#include "tests/support/tenant_fixture.h"

#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define THREADS 6

struct storm {
    struct vault_fixture *fixture;
    struct vault_token writer;
    struct vault_token reader;
    struct vault_token dpo;
    struct kl_id subject;
    atomic_bool stop;
    atomic_int wrong;
    atomic_int made;
    atomic_int refused;
};

/* What a request of a tenant that comes to its end may answer. */
static bool is_expected(enum kl_status status, const struct kl_err *err)
{
    return status == KL_OK || status == KL_ERR_NOT_FOUND ||
           (status == KL_ERR_GONE && strcmp(err->code, "tenant_gone") == 0);
}

static void storm_note(struct storm *storm, enum kl_status status, const struct kl_err *err)
{
    if (status == KL_OK) {
        atomic_fetch_add(&storm->made, 1);
    } else {
        atomic_fetch_add(&storm->refused, 1);
    }
    if (!is_expected(status, err)) {
        (void)fprintf(stderr, "unexpected: %s %s\n", err->code, err->log_text);
        atomic_fetch_add(&storm->wrong, 1);
    }
}

static enum kl_status storm_create(struct storm *storm, struct vault_caller *writer,
                                   struct kl_arena *arena, const char *email, struct kl_id *ret,
                                   struct kl_err *err)
{
    const struct vault_field_input field = fixture_field("email", email);
    const struct vault_record_input record = {
        .type = "newsletter", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_subject_result made = {0};
    enum kl_status status = vault_subject_create(fixture_vault(storm->fixture), writer, &input,
                                                 NULL, arena, &made, err);

    *ret = made.id;
    return status;
}

static void *storm_run(void *context)
{
    struct storm *storm = context;
    struct vault *vault = fixture_vault(storm->fixture);
    struct kl_arena *arena = kl_arena_new(64 * 1024 * 1024);
    struct vault_caller writer = {0};
    struct vault_caller reader = {0};
    struct vault_caller dpo = {0};
    const struct vault_proof proofs[] = {
        {.token = storm->writer.text}, {.token = storm->reader.text}, {.token = storm->dpo.text}};
    struct vault_subject_result read;
    struct vault_read_input input = {.subject = storm->subject, .purpose = "support"};
    struct kl_buf receipt;
    struct kl_id made;
    char email[64];
    unsigned i;

    /* Let in before the end, as requests under way were. */
    assert_int_equal(vault_caller_open(vault, &proofs[0], NULL, NULL, &writer, NULL), KL_OK);
    assert_int_equal(vault_caller_open(vault, &proofs[1], NULL, NULL, &reader, NULL), KL_OK);
    assert_int_equal(vault_caller_open(vault, &proofs[2], NULL, NULL, &dpo, NULL), KL_OK);
    kl_buf_init(&receipt, TENANT_RECEIPT_BYTES);
    for (i = 0; !atomic_load(&storm->stop); i++) {
        struct kl_err err = {0};
        enum kl_status status;

        (void)snprintf(email, sizeof email, "s%u-%p@example.org", i, (void *)&email);
        kl_arena_reset(arena);
        status = storm_create(storm, &writer, arena, email, &made, &err);
        storm_note(storm, status, &err);
        if (status == KL_OK && i % 2 == 0) {
            kl_buf_clear(&receipt);
            status = vault_subject_erase(vault, &dpo, &made, VAULT_ERASE_REQUEST, &receipt, &err);
            storm_note(storm, status, &err);
        }
        kl_err_clear(&err);
        status = vault_subject_read(vault, &reader, &input, arena, &read, &err);
        storm_note(storm, status, &err);
    }
    kl_buf_done(&receipt);
    vault_caller_done(&writer);
    vault_caller_done(&reader);
    vault_caller_done(&dpo);
    kl_arena_free(arena);
    return NULL;
}

static void wait_for(atomic_int *count, int more)
{
    int from = atomic_load(count);

    while (atomic_load(count) < from + more) {
        (void)sched_yield();
    }
}

static void test_requests_under_way_end_with_the_tenant_and_leave_no_row(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t number = tenant_number(fixture, "default");
    struct tenant_other shop = tenant_other_make(fixture, "shop");
    struct storm storm = {.fixture = fixture};
    pthread_t threads[THREADS];
    size_t i;

    storm.subject = fixture_newsletter(fixture, "read@example.org", true).id;
    storm.writer = admin_make(fixture->admin, "writer", NULL);
    storm.reader = admin_make(fixture->admin, "reader", NULL);
    storm.dpo = admin_make(fixture->admin, "dpo", NULL);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, storm_run, &storm), 0);
    }
    wait_for(&storm.made, 50);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    wait_for(&storm.refused, 50);
    atomic_store(&storm.stop, true);
    for (i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&storm.wrong), 0);
    assert_int_equal(tenant_rows(fixture, number), 0);
    assert_true(tenant_other_reads(fixture, &shop));
    fixture_reopen(fixture);
    assert_int_equal(tenant_rows(fixture, number), 0);
    assert_true(tenant_other_reads(fixture, &shop));
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests_under_way_end_with_the_tenant_and_leave_no_row),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
