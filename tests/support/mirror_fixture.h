/* A key store with mirrors for a test: kms_fixture with disks of its own for the mirrors. */
#ifndef KLUIS_TESTS_MIRROR_FIXTURE_H
#define KLUIS_TESTS_MIRROR_FIXTURE_H

#include "tests/support/kms_fixture.h"
#include "tests/support/mirror_disks.h"

#define MIRROR_FIXTURE_PATH_BYTES (KMS_FIXTURE_PATH_BYTES + 32)
/* Of a machine that has much else to do; and where a test waits for it to run out. */
#define MIRROR_FIXTURE_PATIENCE_MS 20000
#define MIRROR_FIXTURE_LITTLE_PATIENCE_MS 200

struct mirror_fixture {
    struct kms_fixture *kms; /* its store is open */
    struct mirror_disks *disks;
};

/* For cmocka: *state is the fixture, made and opened, without mirrors. */
int mirror_fixture_setup(void **state);
int mirror_fixture_teardown(void **state);

/* Add the mirror of that name, a folder beside the root file; fails the test when that fails. */
void mirror_fixture_add(struct mirror_fixture *fixture, const char *name,
                        unsigned char ret_id[KMS_MIRROR_ID_BYTES]);
/* Open again with little patience, and wait until all mirrors are in step. */
void mirror_fixture_hurry(struct mirror_fixture *fixture);
/* Its folder, or something in it ("root", "keys"). */
void mirror_fixture_path(const struct mirror_fixture *fixture, const char *name, const char *what,
                         char ret_path[MIRROR_FIXTURE_PATH_BYTES]);
struct memory_storage *mirror_fixture_rows(struct mirror_fixture *fixture, const char *name);
void mirror_fixture_root_read(const struct mirror_fixture *fixture, const char *name,
                              unsigned char ret_bytes[KMS_FIXTURE_ROOT_BYTES]);
void mirror_fixture_root_write(const struct mirror_fixture *fixture, const char *name,
                               const unsigned char bytes[KMS_FIXTURE_ROOT_BYTES]);
/* The first of kms_mirrors(). */
struct kms_mirror_info mirror_fixture_info(struct mirror_fixture *fixture);
/* Open with the rows and the root file of that mirror, as after the loss of the first place; into fixture->kms->kms. */
enum kl_status mirror_fixture_open_mirror(struct mirror_fixture *fixture, const char *name,
                                          struct kl_err *err);

#endif
