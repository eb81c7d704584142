/* Tenants that come and go, on top of vault_fixture. A test fails where a call that returns no status does not work. */
#ifndef KLUIS_TESTS_TENANT_FIXTURE_H
#define KLUIS_TESTS_TENANT_FIXTURE_H

#include "tests/support/vault_fixture.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TENANT_RECEIPT_BYTES 65536

/* 0: there is none of that name. */
uint64_t tenant_number(struct vault_fixture *fixture, const char *name);
/* grace may be NULL. */
void tenant_put(struct vault_fixture *fixture, const char *name, const char *grace);
/* As an operator; receipt and ret_ends_us may be NULL; err in the fixture. */
enum kl_status tenant_end(struct vault_fixture *fixture, const char *name, struct kl_buf *receipt,
                          int64_t *ret_ends_us);
/* Rows in data/ that are of a tenant, by the lists of rows.c and without them. */
size_t tenant_rows(struct vault_fixture *fixture, uint64_t number);

/* A second tenant with a policy and one person. */
struct tenant_other {
    struct vault_token steward;
    struct vault_token writer;
    struct vault_token reader;
    struct kl_id subject;
};
/* A person with one client record {email}, made with that credential. */
struct kl_id tenant_person(struct vault_fixture *fixture, const struct vault_token *writer,
                           const char *email);
struct tenant_other tenant_other_make(struct vault_fixture *fixture, const char *name);
/* Whether that person can be read as before. */
bool tenant_other_reads(struct vault_fixture *fixture, const struct tenant_other *other);

#endif
