/* A store in a folder of its own, and keys for it: a kms over a storage in memory. */
#ifndef TESTS_SUPPORT_STORE_FIXTURE_H
#define TESTS_SUPPORT_STORE_FIXTURE_H

#include "tests/support/kms_fixture.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct store_fixture {
    char folder[KMS_FIXTURE_PATH_BYTES];
    char path[KMS_FIXTURE_PATH_BYTES + 16]; /* of the store */
    struct vault_store *store;              /* open; NULL when the test closed it */
    struct kms_fixture *keys;
    uint64_t tenant; /* one that was taken */
};

/* For cmocka: *state is the fixture, everything made and opened. */
int store_fixture_setup(void **state);
/* The same without keys. */
int store_fixture_setup_store(void **state);
int store_fixture_teardown(void **state);
/* Close and open the store again. */
void store_fixture_reopen(struct store_fixture *fixture);
/* Remove a folder and all in it. */
void store_fixture_remove(const char *folder);
/* How many rows start with that byte. */
size_t store_fixture_rows(struct vault_store *store, char kind);

/* Whether a text is in any table or log of a store. */
bool store_files_hold(const char *folder, const char *piece);

#endif
