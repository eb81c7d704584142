/* Statistics while people and tenants go at the same time. */
#include "tests/support/statistics_fixture.h"
#include "tests/support/test.h"
#include "vault/erasure.h"
#include "vault/tenants.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 3
#define ERASED_BY_EACH 12

struct eraser {
    struct vault_fixture *fixture;
    struct vault_caller caller;
    struct kl_id subjects[ERASED_BY_EACH];
};

static void *erase_all(void *context)
{
    struct eraser *eraser = context;
    size_t i;

    for (i = 0; i < ERASED_BY_EACH; i++) {
        struct kl_err err = {0};
        struct kl_buf receipt;

        kl_buf_init(&receipt, 65536);
        if (vault_subject_erase(fixture_vault(eraser->fixture), &eraser->caller,
                                &eraser->subjects[i], VAULT_ERASE_REQUEST, &receipt,
                                &err) != KL_OK) {
            abort();
        }
        kl_buf_done(&receipt);
    }
    return NULL;
}

static void test_who_is_erased_while_others_are_published_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct eraser erasers[THREADS];
    pthread_t threads[THREADS];
    uint64_t dropped = 0;
    uint64_t counted = 0;
    int days = 0;
    size_t i;
    size_t k;

    for (i = 0; i < THREADS; i++) {
        erasers[i].fixture = fixture;
        erasers[i].caller = fixture_caller(fixture, "dpo");
        for (k = 0; k < ERASED_BY_EACH; k++) {
            erasers[i].subjects[k] = statistics_person(fixture, STATISTICS_BELGIAN).id;
        }
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, erase_all, &erasers[i]), 0);
    }
    for (days = 31; days < 31 * 20; days += 31) {
        assert_int_equal(statistics_publish_in(fixture, days), KL_OK);
    }
    for (i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        vault_caller_done(&erasers[i].caller);
    }
    assert_int_equal(statistics_publish_in(fixture, days), KL_OK);
    assert_int_equal(statistics_rows(fixture, "VG") + statistics_rows(fixture, "VC"), 0);
    dropped = fixture_trail(fixture, "\"too_few\":1");
    counted = statistics_clients(fixture);
    assert_true(counted <= THREADS * ERASED_BY_EACH);
    assert_true(counted + dropped * (STATISTICS_MINIMUM - 1) >= THREADS * ERASED_BY_EACH);
}

#define CROWD 400

static void *end_tenant(void *context)
{
    struct vault_fixture *fixture = context;
    struct vault_caller chief = admin_operator(fixture->admin);
    struct kl_err err = {0};
    struct kl_buf receipt;
    int64_t ends_us = 0;

    kl_buf_init(&receipt, TENANT_RECEIPT_BYTES);
    if (vault_tenant_end(fixture_vault(fixture), &chief, "default", &receipt, &ends_us, &err) !=
        KL_OK) {
        abort();
    }
    kl_buf_done(&receipt);
    vault_caller_done(&chief);
    return NULL;
}

static void test_others_have_the_turn_while_the_people_of_a_tenant_are_counted(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    const uint64_t number = fixture_tenant(fixture);
    enum kl_status status = KL_OK;
    pthread_t thread;
    bool gone = true;
    int i;

    for (i = 0; i < CROWD; i++) {
        (void)statistics_person(fixture, STATISTICS_DUTCH);
    }
    assert_int_equal(pthread_create(&thread, NULL, end_tenant, fixture), 0);
    for (i = 0; status == KL_OK; i++) { /* until it is marked */
        struct vault_subject_result late;
        char email[64];

        (void)snprintf(email, sizeof email, "late%d@example.org", i);
        status = fixture_try_client(fixture, email, &late);
    }
    assert_string_equal(fixture->err.code, "tenant_gone");
    vault_turn_take(&vault->turn);
    assert_int_equal(vault_tenant_is_gone(vault, number, &gone, NULL), KL_OK);
    vault_turn_give(&vault->turn);
    (void)pthread_join(thread, NULL);
    assert_false(gone);
    assert_true(statistics_people(fixture, "default", "client.iban", NULL) >= CROWD);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, statistics_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_is_erased_while_others_are_published_counts_once),
        TEST(test_others_have_the_turn_while_the_people_of_a_tenant_are_counted),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
