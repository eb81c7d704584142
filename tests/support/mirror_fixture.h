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

/* A value of tenant 1 under that slot, and the change that ends it. */
struct kms_place mirror_fixture_value(uint64_t slot);
enum kl_status mirror_fixture_shred(struct mirror_fixture *fixture, uint64_t slot);
/* A commit tries a mirror that is away once more, but not for long: a busy machine may need several. */
enum kl_status mirror_fixture_shred_soon(struct mirror_fixture *fixture, uint64_t slot);
/* The key that a slot of a bare root file holds. */
const unsigned char *mirror_fixture_slot_key(const unsigned char *root, uint64_t generation);
/* Other rows in the first place; closed. They are the fixture's from now on. */
void mirror_fixture_rows_put_back(struct mirror_fixture *fixture, struct memory_storage *rows);

/* In step: the state says so, the rows are the same, and the root file opens what is there. Of a fixture with one mirror, as the others. */
void mirror_fixture_assert_in_step(struct mirror_fixture *fixture, const char *name);
void mirror_fixture_assert_out_of_step(struct mirror_fixture *fixture, const char *why);
/* A commit is refused for want of the mirror, and changes nothing. */
void mirror_fixture_assert_unreachable(struct mirror_fixture *fixture, uint64_t slot);

#endif
