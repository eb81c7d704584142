#include "tests/support/mirror_fixture.h"

#include "kms/format.h"
#include "tests/support/test.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TENANT 1
#define SLOT_KEY_AT 88

int mirror_fixture_setup(void **state)
{
    struct mirror_fixture *fixture = calloc(1, sizeof *fixture);
    void *inner = NULL;

    if (fixture == NULL || kms_fixture_setup_empty(&inner) != 0) {
        return -1;
    }
    fixture->kms = inner;
    fixture->disks = mirror_disks_new();
    fixture->kms->options.mirrors = mirror_disks_face(fixture->disks);
    fixture->kms->options.mirror_patience_ms = MIRROR_FIXTURE_PATIENCE_MS;
    *state = fixture;
    if (kms_create(&fixture->kms->options, NULL) != KL_OK) {
        return -1;
    }
    return kms_open(&fixture->kms->options, &fixture->kms->kms, NULL) == KL_OK ? 0 : -1;
}

int mirror_fixture_teardown(void **state)
{
    static const char *const names[] = {"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"};
    struct mirror_fixture *fixture = *state;
    void *inner = fixture->kms;

    kms_fixture_close(fixture->kms);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[MIRROR_FIXTURE_PATH_BYTES];

        mirror_fixture_path(fixture, names[i], "root", path);
        (void)unlink(path);
        mirror_fixture_path(fixture, names[i], "", path);
        (void)rmdir(path);
    }
    mirror_disks_free(fixture->disks);
    (void)kms_fixture_teardown(&inner);
    free(fixture);
    return 0;
}

void mirror_fixture_path(const struct mirror_fixture *fixture, const char *name, const char *what,
                         char ret_path[MIRROR_FIXTURE_PATH_BYTES])
{
    char folder[KMS_FIXTURE_PATH_BYTES];
    const char *resolved = realpath(fixture->kms->folder, NULL);

    assert(resolved != NULL);
    (void)snprintf(folder, sizeof folder, "%s", resolved);
    free((void *)(uintptr_t)resolved);
    (void)snprintf(ret_path, MIRROR_FIXTURE_PATH_BYTES, "%.200s/%s%s%s", folder, name,
                   what[0] == '\0' ? "" : "/", what);
}

void mirror_fixture_add(struct mirror_fixture *fixture, const char *name,
                        unsigned char ret_id[KMS_MIRROR_ID_BYTES])
{
    char path[MIRROR_FIXTURE_PATH_BYTES];
    struct kl_err err = {0};
    enum kl_status status;

    mirror_fixture_path(fixture, name, "", path);
    status = kms_mirror_add(fixture->kms->kms, path, "IE", ret_id, &err);
    if (status != KL_OK) {
        (void)fprintf(stderr, "add: %s: %s %s\n", err.code, err.client_text, err.log_text);
    }
    assert(status == KL_OK);
}

void mirror_fixture_hurry(struct mirror_fixture *fixture)
{
    fixture->kms->options.mirror_patience_ms = MIRROR_FIXTURE_LITTLE_PATIENCE_MS;
    kms_fixture_reopen(fixture->kms);
    while (kms_mirrors_retry(fixture->kms->kms) > 0) {
    }
}

struct memory_storage *mirror_fixture_rows(struct mirror_fixture *fixture, const char *name)
{
    char path[MIRROR_FIXTURE_PATH_BYTES];

    mirror_fixture_path(fixture, name, "keys", path);
    return mirror_disks_at(fixture->disks, path);
}

void mirror_fixture_root_read(const struct mirror_fixture *fixture, const char *name,
                              unsigned char ret_bytes[KMS_FIXTURE_ROOT_BYTES])
{
    char path[MIRROR_FIXTURE_PATH_BYTES];
    ssize_t got;
    int fd;

    mirror_fixture_path(fixture, name, "root", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert(fd >= 0);
    got = read(fd, ret_bytes, KMS_FIXTURE_ROOT_BYTES);
    assert(got == KMS_FIXTURE_ROOT_BYTES);
    (void)close(fd);
}

void mirror_fixture_root_write(const struct mirror_fixture *fixture, const char *name,
                               const unsigned char bytes[KMS_FIXTURE_ROOT_BYTES])
{
    char path[MIRROR_FIXTURE_PATH_BYTES];
    ssize_t put;
    int fd;

    mirror_fixture_path(fixture, name, "root", path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert(fd >= 0);
    put = write(fd, bytes, KMS_FIXTURE_ROOT_BYTES);
    assert(put == KMS_FIXTURE_ROOT_BYTES);
    (void)close(fd);
}

struct kms_mirror_info mirror_fixture_info(struct mirror_fixture *fixture)
{
    struct kms_mirror_info infos[KMS_MIRRORS_MAX];
    size_t count = 0;

    kms_mirrors(fixture->kms->kms, infos, &count);
    assert(count > 0);
    return infos[0];
}

enum kl_status mirror_fixture_open_mirror(struct mirror_fixture *fixture, const char *name,
                                          struct kl_err *err)
{
    struct kms_options options = fixture->kms->options;
    char path[MIRROR_FIXTURE_PATH_BYTES];
    char custodian[MIRROR_FIXTURE_PATH_BYTES + 16];

    mirror_fixture_path(fixture, name, "root", path);
    (void)snprintf(custodian, sizeof custodian, "%s:%s",
                   strncmp(options.custodian.custodian, "file:", 5) == 0 ? "file" : "passphrase",
                   path);
    options.custodian.custodian = custodian;
    options.storage = memory_storage_face(mirror_fixture_rows(fixture, name));
    return kms_open(&options, &fixture->kms->kms, err);
}

struct kms_place mirror_fixture_value(uint64_t slot)
{
    return (struct kms_place){TENANT, slot, 3};
}

enum kl_status mirror_fixture_shred(struct mirror_fixture *fixture, uint64_t slot)
{
    return kms_fixture_change(fixture->kms->kms, KMS_CHANGE_SHRED, mirror_fixture_value(slot));
}

enum kl_status mirror_fixture_shred_soon(struct mirror_fixture *fixture, uint64_t slot)
{
    enum kl_status status = KL_ERR_UNAVAILABLE;

    for (unsigned tries = 0; tries < 50 && status == KL_ERR_UNAVAILABLE; tries++) {
        status = mirror_fixture_shred(fixture, slot);
    }
    return status;
}

void mirror_fixture_assert_in_step(struct mirror_fixture *fixture, const char *name)
{
    struct kms_mirror_info info = mirror_fixture_info(fixture);
    struct kms_state state;

    kms_state(fixture->kms->kms, &state);
    assert_string_equal(info.reason, "");
    assert_int_equal(info.state, KMS_MIRROR_IN_STEP);
    assert_int_equal(info.generation, state.generation);
    assert_int_equal(state.mirrors_out_of_step, 0);
    assert_true(state.old_root_destroyed);
    assert_true(mirror_disks_same(fixture->kms->storage, mirror_fixture_rows(fixture, name)));
}

void mirror_fixture_assert_out_of_step(struct mirror_fixture *fixture, const char *why)
{
    struct kms_mirror_info info = mirror_fixture_info(fixture);
    struct kms_state state;

    kms_state(fixture->kms->kms, &state);
    assert_int_equal(info.state, KMS_MIRROR_OUT_OF_STEP);
    assert_non_null(strstr(info.reason, why));
    assert_int_equal(state.mirrors_out_of_step, 1);
    assert_false(state.old_root_destroyed);
}

void mirror_fixture_assert_unreachable(struct mirror_fixture *fixture, uint64_t slot)
{
    struct kms_change change = {KMS_CHANGE_SHRED, mirror_fixture_value(slot)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct kl_err err = {0};

    assert_int_equal(kms_commit(fixture->kms->kms, &request, &err), KL_ERR_UNAVAILABLE);
    assert_string_equal(err.code, "mirror_unreachable");
    assert_int_equal(request.ret_generation, 0);
    assert_int_equal(kms_place_check(fixture->kms->kms, &change.place, NULL), KL_OK);
}

const unsigned char *mirror_fixture_slot_key(const unsigned char *root, uint64_t generation)
{
    return root + (generation % 2) * KMS_ROOT_SLOT_BYTES + SLOT_KEY_AT;
}

void mirror_fixture_rows_put_back(struct mirror_fixture *fixture, struct memory_storage *rows)
{
    memory_storage_free(fixture->kms->storage);
    fixture->kms->storage = rows;
    fixture->kms->options.storage = memory_storage_face(rows);
}
