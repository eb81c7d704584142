/* Closings at the same time. */
#include "tests/support/journal_fixture.h"
#include "tests/support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define PEOPLE 24
#define THREADS 4

struct crowd {
    struct vault_fixture *fixture;
    struct vault_caller dpo;
    struct kl_id people[PEOPLE];
    size_t first;
};

static void *withdraw_some(void *context)
{
    struct crowd *crowd = context;
    size_t i;

    for (i = crowd->first; i < PEOPLE; i += THREADS) {
        if (vault_consent_withdraw(fixture_vault(crowd->fixture), &crowd->dpo, &crowd->people[i],
                                   "mailing", NULL, NULL) != KL_OK) {
            return crowd;
        }
    }
    return NULL;
}

static void test_many_withdrawals_at_once_leave_no_gap(void **state)
{
    struct vault_fixture *fixture = *state;
    struct crowd crowds[THREADS];
    struct kl_id people[PEOPLE];
    pthread_t threads[THREADS];
    void *failed = NULL;
    char email[64];
    uint64_t before = journal_known(fixture);
    size_t i;

    for (i = 0; i < PEOPLE; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        people[i] = fixture_newsletter(fixture, email, true).id;
    }
    fixture_copy(fixture);
    for (i = 0; i < THREADS; i++) {
        crowds[i].fixture = fixture;
        crowds[i].dpo = fixture_caller(fixture, "dpo");
        memcpy(crowds[i].people, people, sizeof people);
        crowds[i].first = i;
        assert_int_equal(pthread_create(&threads[i], NULL, withdraw_some, &crowds[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        vault_caller_done(&crowds[i].dpo);
    }
    assert_int_equal(journal_known(fixture), before + PEOPLE);
    fixture_put_back_data(fixture);
    for (i = 0; i < PEOPLE; i++) {
        assert_false(journal_consents(fixture, &people[i]));
    }
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_many_withdrawals_at_once_leave_no_gap),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
