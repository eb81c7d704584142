/*
 * Rows of jobs, from a disk that somebody else wrote to. The first byte says what it is meant to be: a row, or what was asked of a job
 * about backups. What is taken can be written, and is the same when read again.
 */
#include "vault/backup_params.h"
#include "vault/job_internal.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_row(struct kl_slice row)
{
    const struct kl_id id = {{1}};
    struct vault_job job;
    struct kl_buf written;

    vault_job_init(&job);
    kl_buf_init(&written, VAULT_JOB_ROW_MAX_BYTES);
    if (vault_job_decode(row, &id, &job, NULL) == KL_OK) {
        enum kl_status status = KL_OK;

        assert(memchr(job.failed_code, 0, sizeof job.failed_code) != NULL);
        status = vault_job_encode(&job, &written, NULL);
        assert(status == KL_OK);
        status = vault_job_decode(kl_buf_slice(&written), &id, &job, NULL);
        assert(status == KL_OK);
    }
    kl_buf_done(&written);
    vault_job_done(&job);
}

static void try_params(struct kl_slice text)
{
    struct vault_backup_params params = {.keep = 77};
    struct vault_backup_params again = {0};
    struct kl_buf written;
    enum kl_status status = KL_OK;

    if (vault_backup_params_read(text, &params, NULL) != KL_OK) {
        assert(params.keep == 77 && params.directory[0] == 0);
        return;
    }
    kl_buf_init(&written, (size_t)8 * VAULT_BACKUP_DIRECTORY_MAX_BYTES);
    status = vault_backup_params_write(&params, &written, NULL);
    assert(status == KL_OK);
    status = vault_backup_params_read(kl_buf_slice(&written), &again, NULL);
    assert(status == KL_OK);
    assert(strcmp(params.directory, again.directory) == 0 && params.keep == again.keep);
    assert(params.is_verification == again.is_verification &&
           params.rate_mib_s == again.rate_mib_s);
    kl_buf_done(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        const struct kl_slice rest = kl_slice_of(data + 1, size - 1);

        if (data[0] % 2 == 0) {
            try_row(rest);
        } else {
            try_params(rest);
        }
    }
    return 0;
}
