/* A vault_fixture with a policy that has fields of type file, and files put and got as a whole. */
#ifndef KLUIS_TESTS_FILE_FIXTURE_H
#define KLUIS_TESTS_FILE_FIXTURE_H

#include "kluis/vault/file.h"
#include "tests/support/vault_fixture.h"
#include "vault/files.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Record type paper {title, scan (file), photo (file)} for the purpose service (contract); roles writer (writes all), reader (reads all),
 * masked, counted (reads all, two an hour), clerk (reads paper.title only), title_writer (writes paper.title only), dpo (erases, reports, restricts);
 * recipient printer.
 */
int file_fixture_setup(void **state);

/* count bytes that differ with the seed, from malloc. */
unsigned char *file_bytes(unsigned seed, size_t count);
/* A subject with one record {title}. */
struct vault_subject_result file_person(struct vault_fixture *fixture);
/* Put as that role, in pieces; err in the fixture. */
enum kl_status file_put(struct vault_fixture *fixture, const char *role,
                        const struct vault_subject_result *of, const char *field, const void *bytes,
                        size_t size);
/* Begin as that caller, who has to outlive it. */
enum kl_status file_begin(struct vault_fixture *fixture, const struct vault_caller *caller,
                          const struct vault_subject_result *of, const char *field, size_t size,
                          struct vault_upload **ret);
/* Get all of it as that role; err in the fixture. */
enum kl_status file_get(struct vault_fixture *fixture, const char *role,
                        const struct vault_subject_result *of, const char *field,
                        struct kl_buf *ret);
/* It is there with these bytes. */
void file_assert_is(struct vault_fixture *fixture, const struct vault_subject_result *of,
                    const char *field, const void *bytes, size_t size);
/* Where the file of a value slot lies, by its row; the test fails when there is none. */
struct vault_file_place file_place(struct vault_fixture *fixture,
                                   const struct vault_subject_result *of, uint64_t value);
/* The newest value slot of a subject that has a file. */
struct vault_file_place file_last(struct vault_fixture *fixture,
                                  const struct vault_subject_result *of);
void file_path_of(struct vault_fixture *fixture, const struct vault_file_place *place,
                  char ret[ADMIN_PATH_BYTES]);
/* How many files, finished or not, lie in files/. */
size_t file_count(struct vault_fixture *fixture);

#endif
