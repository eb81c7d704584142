/* The vault's lower half: index, trails and committer over a store and keys; and pieces of requests. */
#ifndef TESTS_SUPPORT_COMMIT_FIXTURE_H
#define TESTS_SUPPORT_COMMIT_FIXTURE_H

#include "tests/support/store_fixture.h"
#include "vault/commit.h"

#include <stdint.h>

struct half {
    struct store_fixture *base;
    struct vault_index_store *index;
    struct vault_trails *trails;
    struct vault_committer *committer;
    uint64_t tenant;
};

/* For cmocka: *state is a half, everything made and opened. */
int half_setup(void **state);
int half_teardown(void **state);
/* Only what is above base, which the caller has set; and only that ended. */
void half_open(struct half *half);
void half_close(struct half *half);

/* An entry that says who and what, and no more; ends with vault_audit_done(). */
void half_entry(struct vault_audit_entry *ret_entry, uint64_t tenant, const char *action);
/* A head row of that version. */
void half_put_head(struct vault_batch *batch, uint64_t tenant, uint64_t slot, uint64_t version);
/* The version in the store; 0: none. */
uint64_t half_head(struct half *half, uint64_t slot);
/* How many entries the tenant's trail has. */
uint64_t half_trail_size(struct half *half);

#endif
