/* Operators ask for backups and look at them. */
#include "vault/backup.h"

#include "kluis/base/json.h"
#include "vault/act.h"
#include "vault/backup_params.h"
#include "vault/job.h"
#include "vault/place.h"
#include "vault/vault_internal.h"

#include <string.h>

/* ---- making one ---- */

static enum kl_status numbers_check(const struct vault_backup_input *input, struct kl_err *err)
{
    if (input->keep > VAULT_BACKUP_KEEP_MAX) {
        kl_err_where(err, "/keep");
        return kl_failf(err, KL_ERR_INVALID, "invalid_keep", "keep is at most %d",
                        VAULT_BACKUP_KEEP_MAX);
    }
    if (input->rate_mib_s > VAULT_BACKUP_RATE_MAX) {
        kl_err_where(err, "/rate_mib_s");
        return kl_failf(err, KL_ERR_INVALID, "invalid_rate", "rate_mib_s is at most %d",
                        VAULT_BACKUP_RATE_MAX);
    }
    return KL_OK;
}

/* A country that is not allowed is an attempt worth an entry. */
static enum kl_status refuse_country(struct vault *vault, const struct vault_caller *caller,
                                     struct vault_country country, const struct kl_err *cause,
                                     struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_audit_entry entry = {0};
    struct vault_audit_entry *entries[1] = {&entry};
    struct kl_json_out out;
    enum kl_status status = KL_OK;

    vault_audit_begin(&entry, vault_act_trail(caller), &who, "backup_create", &out);
    kl_json_add_text(&out, "country", country.code);
    kl_json_add_text(&out, "result", "refused");
    kl_json_add_text(&out, "reason", cause->code);
    status = vault_audit_end(&entry, &out, err);
    if (status == KL_OK) {
        status = vault_audit_commit(vault, entries, 1, err);
    }
    vault_audit_done(&entry);
    if (status != KL_OK) {
        return status;
    }
    kl_err_where(err, "/country");
    return kl_fail(err, cause->status, cause->code, cause->client_text, "%s", cause->log_text);
}

static enum kl_status country_take(struct vault *vault, const struct vault_caller *caller,
                                   const char *text, struct vault_country *ret, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    status = vault_place_country(text, ret, err);
    if (status != KL_OK) {
        kl_err_where(err, "/country");
        return status;
    }
    status = vault_copy_allowed(vault, *ret, caller->now_us, &cause);
    if (status == KL_ERR_FORBIDDEN) {
        return refuse_country(vault, caller, *ret, &cause, err);
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

static enum kl_status directory_take(struct vault *vault, const char *directory,
                                     struct vault_backup_params *params, struct kl_err *err)
{
    struct kl_err cause = {0};
    int dir = -1;
    enum kl_status status = vault_backup_directory_valid(directory, vault->data_dir, &cause);

    if (status == KL_OK) {
        memcpy(params->directory, directory, strlen(directory) + 1);
        status = vault_backup_directory_make(directory, &dir, &cause);
    }
    if (status == KL_OK) {
        status = vault_backup_directory_apart(vault, dir, &cause);
    }
    if (status == KL_OK) {
        status = vault_backup_directory_take(dir, vault->store_id, params->country, &cause);
    }
    vault_backup_dir_close(dir);
    if (status != KL_OK) {
        kl_err_where(err, "/directory");
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return KL_OK;
}

static enum kl_status job_ask(struct vault *vault, const struct vault_caller *caller,
                              enum vault_job_kind kind, const struct vault_backup_params *params,
                              const struct vault_idempotency *idempotency, struct kl_buf *ret,
                              bool *ret_replayed, struct kl_err *err)
{
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, VAULT_JOB_TEXT_MAX_BYTES);
    status = vault_backup_params_write(params, &text, err);
    if (status == KL_OK) {
        status = vault_job_start(vault, caller, kind, kl_buf_slice(&text), idempotency, ret,
                                 ret_replayed, err);
    }
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_backup_create(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_backup_input *input,
                                   const struct vault_idempotency *idempotency, struct kl_buf *ret,
                                   bool *ret_replayed, struct kl_err *err)
{
    struct vault_backup_params params = {.keep = input->keep, .rate_mib_s = input->rate_mib_s};
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "backup_create", err);

    if (status == KL_OK) {
        status = numbers_check(input, err);
    }
    if (status == KL_OK) {
        status = country_take(vault, caller, input->country, &params.country, err);
    }
    if (status == KL_OK) {
        status = directory_take(vault, input->directory, &params, err);
    }
    return status == KL_OK ? job_ask(vault, caller, VAULT_JOB_BACKUP, &params, idempotency, ret,
                                     ret_replayed, err)
                           : status;
}

/* ---- looking ---- */

enum kl_status vault_backup_list(struct vault *vault, const struct vault_caller *caller,
                                 struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "backup_list", err);

    return status == KL_OK ? vault_job_list(vault, VAULT_JOB_BACKUP, VAULT_JOB_OF_ANY,
                                            VAULT_JOB_LIST_MAX, ret, err)
                           : status;
}

enum kl_status vault_backup_show(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *backup, struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "backup_read", err);

    return status == KL_OK ? vault_job_show(vault, VAULT_JOB_BACKUP, backup, ret, err) : status;
}

/* ---- verifying ---- */

enum kl_status vault_backup_directory_of(struct vault *vault, const struct kl_id *backup,
                                         char ret[VAULT_BACKUP_DIRECTORY_MAX_BYTES + 1],
                                         struct kl_err *err)
{
    struct vault_backup_params params;
    struct vault_job job;
    enum kl_status status = KL_OK;

    vault_job_init(&job);
    status = vault_job_read(vault, VAULT_JOB_BACKUP, backup, &job, err);
    if (status == KL_OK && job.state != VAULT_JOB_DONE) {
        status = kl_fail(err, KL_ERR_CONFLICT, "backup_not_done",
                         "this backup is still being made, or failed", NULL);
    }
    if (status == KL_OK) {
        status = vault_backup_params_read(kl_buf_slice(&job.params), &params, err);
    }
    if (status == KL_OK) {
        memcpy(ret, params.directory, sizeof params.directory);
    }
    vault_job_done(&job);
    return status;
}

enum kl_status vault_backup_verify(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *backup, const char *directory,
                                   const struct vault_idempotency *idempotency, struct kl_buf *ret,
                                   bool *ret_replayed, struct kl_err *err)
{
    struct vault_backup_params params = {.backup = *backup, .is_verification = true};
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "backup_verify", err);

    if (status == KL_OK && directory == NULL) {
        status = vault_backup_directory_of(vault, backup, params.directory, err);
    } else if (status == KL_OK) {
        status = vault_backup_directory_valid(directory, vault->data_dir, err);
        if (status == KL_OK) {
            memcpy(params.directory, directory, strlen(directory) + 1);
        } else {
            kl_err_where(err, "/directory");
        }
    }
    return status == KL_OK ? job_ask(vault, caller, VAULT_JOB_VERIFY, &params, idempotency, ret,
                                     ret_replayed, err)
                           : status;
}

enum kl_status vault_backup_verification(struct vault *vault, const struct vault_caller *caller,
                                         const struct kl_id *verification, struct kl_buf *ret,
                                         struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "backup_verification", err);

    return status == KL_OK ? vault_job_show(vault, VAULT_JOB_VERIFY, verification, ret, err)
                           : status;
}
