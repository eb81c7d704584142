/* A trail over a store and keys, without a vault: entries appended in groups, and what is known of it: the hash of each leaf. */
#ifndef TESTS_SUPPORT_TRAIL_FIXTURE_H
#define TESTS_SUPPORT_TRAIL_FIXTURE_H

#include "tests/support/merkle_naive.h"
#include "tests/support/store_fixture.h"
#include "vault/audit.h"

#include <stddef.h>
#include <stdint.h>

#define TRAIL_FIXTURE_MAX 70000

struct trail_fixture {
    struct store_fixture *base;
    struct vault_trails *trails;
    struct kl_merkle_hash *leaves; /* of TRAIL_FIXTURE_MAX */
    struct kl_id *ids;
    size_t count;
};

/* For cmocka: *state is the fixture, the trail empty. */
int trail_fixture_setup(void **state);
int trail_fixture_teardown(void **state);
/* Close store and trails, and open both again. */
void trail_fixture_reopen(struct trail_fixture *fixture);
/* Append count entries, group of them at a time. */
void trail_fixture_append(struct trail_fixture *fixture, size_t count, size_t group);
/* What follows in a commit of the vault: the group's frontier, the write, what was applied. batch is empty then. */
void trail_fixture_commit(struct trail_fixture *fixture, struct vault_batch *batch);
/* Lose all numbers that may have been given out, as after an older data/ was put back; how many. */
size_t trail_fixture_lose(struct trail_fixture *fixture);
/* Remove the rows whose key starts with that one, or change a byte of the row with that very key. */
void trail_fixture_remove(struct trail_fixture *fixture, struct kl_slice prefix);
void trail_fixture_edit(struct trail_fixture *fixture, struct kl_slice key, size_t at);

#endif
