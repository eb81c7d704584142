#include "tests/support/store_fixture.h"

#include "kluis/base/file.h"

#include <assert.h>
#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

#define FILE_MAX_BYTES ((size_t)64 * 1024 * 1024)

static bool file_holds(const char *folder, const char *name, const char *piece)
{
    char path[PATH_MAX];
    struct kl_buf bytes = {0};
    bool holds = false;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    /* A table may go away while one looks. */
    if (kl_file_read(path, FILE_MAX_BYTES, &bytes, NULL) == KL_OK && bytes.size > 0) {
        holds = memmem(bytes.bytes, bytes.size, piece, strlen(piece)) != NULL;
    }
    kl_buf_done(&bytes);
    return holds;
}

bool store_files_hold(const char *folder, const char *piece)
{
    DIR *dir = opendir(folder);
    const struct dirent *file = NULL;
    bool holds = false;

    assert(dir != NULL);
    while ((file = readdir(dir)) != NULL) {
        if (strstr(file->d_name, ".sst") != NULL || strstr(file->d_name, ".log") != NULL) {
            holds = holds || file_holds(folder, file->d_name, piece);
        }
    }
    (void)closedir(dir);
    return holds;
}
