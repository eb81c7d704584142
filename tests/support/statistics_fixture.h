/* A vault whose policy keeps statistics of clients: their country, and how many have an address. A test fails where a call that returns no status does not work. */
#ifndef KLUIS_TESTS_STATISTICS_FIXTURE_H
#define KLUIS_TESTS_STATISTICS_FIXTURE_H

#include "tests/support/tenant_fixture.h"
#include "vault/statistics.h"

#include <stddef.h>
#include <stdint.h>

#define STATISTICS_MINIMUM 3
#define STATISTICS_BELGIAN "BE68539007547034"
#define STATISTICS_DUTCH "NL91ABNA0417164300"

/* In the place of vault_fixture_setup(). */
int statistics_setup(void **state);
/* A client with that account and an address of its own. */
struct vault_subject_result statistics_person(struct vault_fixture *fixture, const char *iban);
/* So many of them, each erased again. */
void statistics_come_and_go(struct vault_fixture *fixture, const char *iban, size_t count);
/* What the upkeep does in so many days; err in the fixture. */
enum kl_status statistics_publish_in(struct vault_fixture *fixture, int days);
/* Of one published field: all people, or those of one value; every count that is shown is of enough. ended NULL: of "default". */
uint64_t statistics_people(struct vault_fixture *fixture, const char *ended, const char *field,
                           const char *value);
/* All people of "default" with an account. */
uint64_t statistics_clients(struct vault_fixture *fixture);
/* Rows beside the keys: "VG" what waits, "VC" cohorts, "VT" of tenants that ended. */
size_t statistics_rows(struct vault_fixture *fixture, const char *kind);

/* A row, kept: a visitor of kms_side_range() that keeps the last; value is for the caller to init and end. cohort: the number behind the tenant's. */
struct statistics_row {
    struct kl_id row;
    uint64_t cohort;
    struct kl_buf value;
};
enum kl_status statistics_row_keep(void *visitor, struct kl_slice key, struct kl_slice value,
                                   struct kl_err *err);

#endif
