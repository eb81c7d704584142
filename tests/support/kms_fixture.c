#include "tests/support/kms_fixture.h"

#include "kluis/base/secret.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct kl_slice kms_fixture_context = {(const unsigned char *)"record 1, field 2", 17};

int kms_fixture_setup_empty(void **state)
{
    struct kms_fixture *fixture = calloc(1, sizeof *fixture);
    const char *place = getenv("TMPDIR");
    struct kl_err err = {0};

    if (fixture == NULL || kl_secret_process_init(true, &err) != KL_OK) {
        return -1;
    }
    (void)snprintf(fixture->folder, sizeof fixture->folder, "%s/kluis-kms-XXXXXX",
                   place != NULL ? place : "/tmp");
    if (mkdtemp(fixture->folder) == NULL) {
        free(fixture);
        return -1;
    }
    (void)snprintf(fixture->root_path, sizeof fixture->root_path, "%.200s/root", fixture->folder);
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s", fixture->root_path);
    fixture->storage = memory_storage_new();
    fixture->options.custodian.custodian = fixture->custodian;
    fixture->options.custodian.accept_f0 = true;
    fixture->options.custodian.argon2_light = true;
    fixture->options.storage = memory_storage_face(fixture->storage);
    *state = fixture;
    return 0;
}

int kms_fixture_setup(void **state)
{
    struct kms_fixture *fixture;

    if (kms_fixture_setup_empty(state) != 0) {
        return -1;
    }
    fixture = *state;
    if (kms_create(&fixture->options, NULL) != KL_OK) {
        return -1;
    }
    return kms_open(&fixture->options, &fixture->kms, NULL) == KL_OK ? 0 : -1;
}

int kms_fixture_teardown(void **state)
{
    struct kms_fixture *fixture = *state;

    kms_fixture_close(fixture);
    memory_storage_free(fixture->storage);
    (void)unlink(fixture->root_path);
    (void)rmdir(fixture->folder);
    free(fixture);
    return 0;
}

void kms_fixture_close(struct kms_fixture *fixture)
{
    kms_close(fixture->kms);
    fixture->kms = NULL;
}

void kms_fixture_reopen(struct kms_fixture *fixture)
{
    enum kl_status status;

    kms_fixture_close(fixture);
    status = kms_open(&fixture->options, &fixture->kms, NULL);
    assert(status == KL_OK);
}

void kms_fixture_root_read(const struct kms_fixture *fixture,
                           unsigned char ret_bytes[KMS_FIXTURE_ROOT_BYTES])
{
    int fd = open(fixture->root_path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    assert(fd >= 0);
    got = read(fd, ret_bytes, KMS_FIXTURE_ROOT_BYTES);
    assert(got == KMS_FIXTURE_ROOT_BYTES);
    (void)close(fd);
}

void kms_fixture_root_write(const struct kms_fixture *fixture,
                            const unsigned char bytes[KMS_FIXTURE_ROOT_BYTES])
{
    int fd = open(fixture->root_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ssize_t put;

    assert(fd >= 0);
    put = write(fd, bytes, KMS_FIXTURE_ROOT_BYTES);
    assert(put == KMS_FIXTURE_ROOT_BYTES);
    (void)close(fd);
}

static size_t value_of(struct kms_place place, char text[96])
{
    return (size_t)snprintf(text, 96, "value of %llu/%llu/%llu", (unsigned long long)place.tenant,
                            (unsigned long long)place.slot, (unsigned long long)place.value);
}

void kms_fixture_seal(struct kms *kms, struct kms_place place, struct kl_buf *ret_sealed)
{
    char text[96];
    size_t size = value_of(place, text);
    enum kl_status status;

    kl_buf_init(ret_sealed, 4096);
    status = kms_seal(kms, &place, kms_fixture_context, kl_slice_of(text, size), ret_sealed, NULL);
    assert(status == KL_OK);
}

enum kl_status kms_fixture_unseal(struct kms *kms, struct kms_place place,
                                  const struct kl_buf *sealed)
{
    char text[96];
    size_t size = value_of(place, text);
    struct kl_buf plaintext;
    enum kl_status status;

    kl_buf_init(&plaintext, 4096);
    status = kms_unseal(kms, &place, kms_fixture_context, kl_buf_slice(sealed), &plaintext, NULL);
    if (status == KL_OK && (plaintext.size != size || memcmp(plaintext.bytes, text, size) != 0)) {
        status = KL_ERR_INTERNAL;
    }
    kl_buf_done(&plaintext);
    return status;
}

enum kl_status kms_fixture_change(struct kms *kms, enum kms_change_kind kind,
                                  struct kms_place place)
{
    struct kms_change change = {kind, place};
    struct kms_request request = {.changes = &change, .changes_count = 1};

    return kms_commit(kms, &request, NULL);
}

void kms_fixture_fatal(void *context, const struct kl_err *err)
{
    (void)context;
    (void)err;
}
