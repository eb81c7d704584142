/* People of a vault_fixture whose values are sealed anew. A test fails where a call that returns no status does not work. */
#ifndef KLUIS_TESTS_VALUES_FIXTURE_H
#define KLUIS_TESTS_VALUES_FIXTURE_H

#include "tests/support/vault_fixture.h"
#include "vault/job.h"

#include <stddef.h>
#include <stdint.h>

#define VALUES_PEOPLE 70 /* more than two chunks */

struct values_people {
    struct kl_id ids[VALUES_PEOPLE];
    struct kl_id records[VALUES_PEOPLE];
};
/* With the credentials of reader, writer and dpo made before: what is copied then knows them. */
void values_people_make(struct vault_fixture *fixture, struct values_people *people);
void values_email(size_t i, char ret[64]);
/* Change the first name of one. */
enum kl_status values_patch(struct vault_fixture *fixture, const struct values_people *people,
                            size_t i, const char *name);
/* One, or all as they were made, can be read and looked up. */
void values_assert_reads(struct vault_fixture *fixture, const struct values_people *people,
                         size_t i, const char *name);
void values_assert_all_read(struct vault_fixture *fixture, const struct values_people *people);

/* A whole rotation of a tenant; job ends with vault_job_done(), and its result has these numbers. */
void values_rotate(struct vault *vault, uint64_t tenant, struct vault_job *job);
int64_t values_result(const struct vault_job *job, const char *name);
size_t values_rows_beside(struct vault_fixture *fixture);

#endif
