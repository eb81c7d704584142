/*
 * An index over a store and keys, with the test as its commit's leader, and
 * a hoarder: every bucket row ever written, kept as somebody with all old
 * bytes would.
 */
#ifndef TESTS_SUPPORT_INDEX_FIXTURE_H
#define TESTS_SUPPORT_INDEX_FIXTURE_H

#include "tests/support/store_fixture.h"
#include "vault/index.h"
#include "vault/store/batch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_fixture {
    struct store_fixture *base;
    struct vault_index_store *index;
    uint64_t tenant;
    struct vault_batch *group;   /* what the group under way writes */
    struct vault_batch *hoarded; /* every write of a bucket row there ever was */
    /* Run on the leader's thread during an erasure: after the stage was written; after the keys were swapped, before that is known. */
    void (*staged)(struct index_fixture *fixture);
    void (*swapped)(struct index_fixture *fixture);
    bool fail_prepare; /* after the stage was written */
    void *own;         /* the test's */
};

int index_fixture_setup(void **state);
int index_fixture_teardown(void **state);
/* A new index over the same store and keys, as after a restart. */
void index_fixture_reopen(struct index_fixture *fixture);

/* A tag that starts with these bits; the rest is made of salt. */
struct vault_index_entry index_fixture_entry(uint64_t bits, uint64_t salt, uint64_t slot,
                                             uint64_t discriminator);

/* Changes go to the group under way; commit applies it. */
enum kl_status index_fixture_change(struct index_fixture *fixture,
                                    enum vault_index_change_kind kind,
                                    struct vault_index_entry entry, struct kl_err *err);
void index_fixture_commit(struct index_fixture *fixture);
/* Both, for one change that has to work. */
void index_fixture_do(struct index_fixture *fixture, enum vault_index_change_kind kind,
                      struct vault_index_entry entry);

/* How many entries are found by the entry's tag; whether it is one of them. */
size_t index_fixture_count(struct index_fixture *fixture, struct vault_index_entry entry);
bool index_fixture_has(struct index_fixture *fixture, struct vault_index_entry entry);

/* Erase a subject: the slot shredded, the places of its entries rekeyed. */
enum kl_status index_fixture_erase(struct index_fixture *fixture, uint64_t slot,
                                   const struct vault_index_entry *entries, size_t count,
                                   struct kl_err *err);

/* Take one entry of a subject that lives on. */
enum kl_status index_fixture_erase_entry(struct index_fixture *fixture,
                                         struct vault_index_entry entry, struct kl_err *err);

/* Whether a hoarded row of a bucket opens with the keys there are now; plain is its content then. */
bool index_fixture_hoarder_opens(struct index_fixture *fixture, const struct vault_batch_op *op,
                                 struct kl_buf *plain);

/*
 * Try every hoarded row with every key there is now. How many of the entries in those that open are of that slot; ret_opened (may be
 * NULL): how many rows opened.
 */
size_t index_fixture_hoarder_finds(struct index_fixture *fixture, uint64_t slot,
                                   size_t *ret_opened);

#endif
