/* Statistics of a tenant that comes to its end. */
#include "kluis/base/time.h"
#include "tests/support/cut_short.h"
#include "tests/support/statistics_fixture.h"
#include "tests/support/test.h"
#include "vault/erasure.h"

#include <string.h>

static void test_a_tenants_end_counts_who_waits_and_who_is_there(void **state)
{
    struct vault_fixture *fixture = *state;
    int i;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 2);
    for (i = 0; i < 3; i++) {
        (void)statistics_person(fixture, STATISTICS_BELGIAN);
    }
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    assert_int_equal(statistics_people(fixture, "default", "client.iban", "BE"), 5);
    assert_int_equal(statistics_people(fixture, "another", "client.iban", NULL), 0);
    assert_int_equal(
        admin_trail_count(fixture->admin, true, "\"statistics\":1,\"statistics_too_few\":0"), 1);
    assert_int_equal(statistics_rows(fixture, "VG") + statistics_rows(fixture, "VC"), 0);
    admin_reopen(fixture->admin);
    assert_int_equal(statistics_people(fixture, "default", "client.iban", "BE"), 5);
}

static void test_an_end_that_failed_is_forgotten_by_the_next(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result leaves = statistics_person(fixture, STATISTICS_BELGIAN);
    int i;

    for (i = 0; i < 3; i++) {
        (void)statistics_person(fixture, STATISTICS_DUTCH);
    }
    cut_short_before_the_commit(fixture);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_ERR_UNAVAILABLE);
    assert_int_equal(statistics_rows(fixture, "VT"), 1);
    vault_erasure_hooks_set(fixture_vault(fixture));
    assert_int_equal(statistics_clients(fixture), 0);
    fixture_erase(fixture, &leaves.id); /* whoever enters is let in again */
    assert_int_equal(statistics_publish_in(fixture, 30),
                     KL_OK); /* the leftover is noise from now on */
    assert_int_equal(statistics_clients(fixture), 0);
    assert_int_equal(statistics_rows(fixture, "VT"), 0);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    assert_int_equal(statistics_people(fixture, "default", "client.iban", NULL), 3);
    assert_int_equal(statistics_rows(fixture, "VT"), 1);
}

static void test_an_end_that_was_cut_short_after_its_commit_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    int i;

    for (i = 0; i < 3; i++) {
        (void)statistics_person(fixture, STATISTICS_DUTCH);
    }
    cut_short_after_the_commit(fixture);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_ERR_UNAVAILABLE);
    admin_reopen(fixture->admin);
    assert_int_equal(statistics_people(fixture, "default", "client.iban", NULL), 3);
}

/* Cohorts of tenants that are not there: as many as there may be. */
static void cohorts_fill(struct vault_fixture *fixture)
{
    struct kms *keys = fixture_vault(fixture)->keys;
    unsigned char row[10] = {1};
    uint64_t i;

    kl_put_u64be(row + 1, (uint64_t)kl_time_now_us());
    for (i = 0; i < VAULT_COHORTS_MAX; i++) {
        unsigned char key[18] = "VC";
        const struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                                .value = kl_slice_of(row, sizeof row)};

        kl_put_u64be(key + 2, 1000 + i);
        kl_put_u64be(key + 10, 1000 + i);
        assert_int_equal(kms_side_apply(keys, &write, 1, false, NULL), KL_OK);
    }
}

static void test_a_tenant_ends_though_its_statistics_cannot_be_written(void **state)
{
    struct vault_fixture *fixture = *state;
    int i;

    for (i = 0; i < 3; i++) {
        (void)statistics_person(fixture, STATISTICS_DUTCH);
    }
    cohorts_fill(fixture);
    fixture_reopen(fixture);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    assert_int_equal(tenant_number(fixture, "default"), 0);
    assert_int_equal(statistics_people(fixture, "default", "client.iban", NULL), 0);
    assert_int_equal(statistics_rows(fixture, "VT"), 0);
    assert_int_equal(
        admin_trail_count(fixture->admin, true, "\"statistics\":0,\"statistics_too_few\":0"), 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, statistics_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_tenants_end_counts_who_waits_and_who_is_there),
        TEST(test_an_end_that_failed_is_forgotten_by_the_next),
        TEST(test_a_tenant_ends_though_its_statistics_cannot_be_written),
        TEST(test_an_end_that_was_cut_short_after_its_commit_counts_once),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
