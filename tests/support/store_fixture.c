#include "tests/support/store_fixture.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

void store_fixture_remove(const char *folder)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int store_fixture_setup_store(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof(*fixture));
    const char *place = getenv("TMPDIR");
    if (fixture == NULL) {
        return -1;
    }
    (void)snprintf(fixture->folder, sizeof(fixture->folder), "%s/kluis-store-XXXXXX",
                   place != NULL ? place : "/tmp");
    if (mkdtemp(fixture->folder) == NULL) {
        free(fixture);
        return -1;
    }
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/data", fixture->folder);
    struct vault_store_options options = {.path = fixture->path, .create = true};
    if (vault_store_open(&options, &fixture->store, NULL) != KL_OK) {
        return -1;
    }
    *state = fixture;
    return 0;
}

int store_fixture_setup(void **state)
{
    void *keys = NULL;
    if (kms_fixture_setup(&keys) != 0 || store_fixture_setup_store(state) != 0) {
        return -1;
    }
    struct store_fixture *fixture = *state;
    fixture->keys = keys;
    return kms_tenant_take(fixture->keys->kms, &fixture->tenant, NULL) == KL_OK ? 0 : -1;
}

int store_fixture_teardown(void **state)
{
    struct store_fixture *fixture = *state;
    vault_store_close(fixture->store);
    if (fixture->keys != NULL) {
        void *keys = fixture->keys;
        kms_fixture_teardown(&keys);
    }
    store_fixture_remove(fixture->folder);
    free(fixture);
    return 0;
}

void store_fixture_reopen(struct store_fixture *fixture)
{
    struct vault_store_options options = {.path = fixture->path};
    vault_store_close(fixture->store);
    fixture->store = NULL;
    enum kl_status status = vault_store_open(&options, &fixture->store, NULL);
    assert(status == KL_OK);
}

size_t store_fixture_rows(struct vault_store *store, char kind)
{
    unsigned char first = (unsigned char)kind;
    unsigned char past = (unsigned char)(kind + 1);
    struct kl_slice key;
    struct kl_slice value;
    size_t count = 0;
    struct vault_iter *iter =
        vault_iter_new(store, kl_slice_of(&first, 1), kl_slice_of(&past, 1), false);
    assert(iter != NULL);
    while (vault_iter_next(iter, &key, &value)) {
        count++;
    }
    vault_iter_free(iter);
    return count;
}
