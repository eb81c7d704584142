/* Backups and restores of a vault_fixture: asked for, run to their end, and what their JSON says. */
#ifndef KLUIS_TESTS_BACKUP_FIXTURE_H
#define KLUIS_TESTS_BACKUP_FIXTURE_H

#include "kluis/base/json.h"
#include "kluis/vault/backup.h"
#include "kluis/vault/restore.h"
#include "tests/support/vault_fixture.h"

#include <stdbool.h>
#include <stddef.h>

/* The operator's, on no tenant; the folder "backups" beside data when directory is NULL. Run to the end; the test fails when it is not done. */
struct kl_id backup_make(struct vault_fixture *fixture, const char *directory, uint32_t keep);
/* The status of asking; err in the fixture. ret_id (may be NULL) is set on KL_OK. Nothing is run. */
enum kl_status backup_ask(struct vault_fixture *fixture, const struct vault_backup_input *input,
                          struct kl_id *ret_id);
/* Run what waits, and give the job of a backup (verification: of a verification) as JSON: end with kl_json_free(). */
struct kl_json *backup_job(struct vault_fixture *fixture, const struct kl_id *id,
                           bool verification);
/* Verify to the end: the job's JSON. */
struct kl_json *backup_verify(struct vault_fixture *fixture, const struct kl_id *backup);
/* Members of a job. */
int64_t backup_number(const struct kl_json *job, const char *member);
void backup_assert_text(const struct kl_json *job, const char *member, const char *text);
/* The fixture's folder "backups", or a file in it. */
void backup_path(struct vault_fixture *fixture, const char *name, char ret[ADMIN_PATH_BYTES]);
/* Change a byte in the middle of the largest file below a folder of the backup directory. */
void backup_flip(struct vault_fixture *fixture, const char *folder);

/* Credentials of the roles reader, writer and dpo: those made after a backup would not be known to it. */
void restore_callers_make(struct vault_fixture *fixture);
/* Put a backup back (NULL: the newest); the vault is closed before and open after. */
enum kl_status restore_try(struct vault_fixture *fixture, const struct kl_id *backup,
                           struct vault_restore_result *ret, struct kl_err *err);
/* The same; the test fails when it does not work. */
struct vault_restore_result restore_make(struct vault_fixture *fixture, const struct kl_id *backup);
/* Somebody made with fixture_newsletter() is read and found; or neither. */
void restore_assert_there(struct vault_fixture *fixture, const struct vault_subject_result *made,
                          const char *email);
void restore_assert_gone(struct vault_fixture *fixture, const struct vault_subject_result *made,
                         const char *email);

#endif
