/* A key store for a test: a root file in a folder of its own, and a storage in memory. */
#ifndef KLUIS_TESTS_KMS_FIXTURE_H
#define KLUIS_TESTS_KMS_FIXTURE_H

#include "kluis/kms/kms.h"
#include "tests/support/memory_storage.h"

#define KMS_FIXTURE_PATH_BYTES 256
#define KMS_FIXTURE_ROOT_BYTES 8192

struct kms_fixture {
    char folder[KMS_FIXTURE_PATH_BYTES];
    char root_path[KMS_FIXTURE_PATH_BYTES];
    char custodian[KMS_FIXTURE_PATH_BYTES + 16];
    struct memory_storage *storage;
    struct kms_options options; /* of file:root_path; accepts F0, so that the tests run anywhere */
    struct kms *kms;            /* open; NULL when the test closed it */
};

/* For cmocka: *state is the fixture, made and opened. */
int kms_fixture_setup(void **state);
int kms_fixture_teardown(void **state);

/* Only the folder, an empty storage and the options. */
int kms_fixture_setup_empty(void **state);

/* Close and open again; aborts the test when that fails. */
void kms_fixture_reopen(struct kms_fixture *fixture);
void kms_fixture_close(struct kms_fixture *fixture);

/* The root file's bytes, and putting such bytes in its place. */
void kms_fixture_root_read(const struct kms_fixture *fixture,
                           unsigned char ret_bytes[KMS_FIXTURE_ROOT_BYTES]);
void kms_fixture_root_write(const struct kms_fixture *fixture,
                            const unsigned char bytes[KMS_FIXTURE_ROOT_BYTES]);

/* One value, a few bytes that name its place, sealed there; and whether sealed opens to just that. */
void kms_fixture_seal(struct kms *kms, struct kms_place place, struct kl_buf *ret_sealed);
enum kl_status kms_fixture_unseal(struct kms *kms, struct kms_place place,
                                  const struct kl_buf *sealed);

/* The context that these two seal under. */
extern const struct kl_slice kms_fixture_context;

/* A fatal hook that lets the test go on with a vault that is broken. */
void kms_fixture_fatal(void *context, const struct kl_err *err);

/* Shred, or rekey, one place. */
enum kl_status kms_fixture_change(struct kms *kms, enum kms_change_kind kind,
                                  struct kms_place place);

#endif
