/* What the files of a rotation of values share. On the upkeep's thread alone. */
#ifndef VAULT_ROTATION_VALUES_H
#define VAULT_ROTATION_VALUES_H

#include "vault/erasure.h"
#include "vault/rotation.h"

#include <stdbool.h>
#include <stdint.h>

/* The subjects of a tenant from slot on, below end. Results: where the next chunk begins, how many were sealed anew, how many left, no more. */
struct vault_rotation_chunk {
    uint64_t tenant;
    uint64_t slot;
    uint64_t end;
    uint64_t subjects;
    uint64_t left;
    bool ended;
};
/* KL_ERR_BUSY "subject_busy" the first of them is being erased: again later. Of what fails nothing was changed. Errors of kms_commit(). */
KL_MUST_USE enum kl_status vault_rotation_chunk(struct vault *vault, const struct vault_job *job,
                                                struct vault_rotation_chunk *asked,
                                                struct kl_err *err);

/* The note of a job's key commit into text, and note and work into request. */
KL_MUST_USE enum kl_status vault_rotation_note_fill(const struct vault_job *job,
                                                    struct vault_erasing *erasing,
                                                    struct kl_buf *text,
                                                    struct kms_request *request,
                                                    struct kl_err *err);
/* A key commit with such a note. */
KL_MUST_USE enum kl_status vault_rotation_note_commit(struct vault *vault,
                                                      const struct vault_job *job,
                                                      struct vault_erasing *erasing,
                                                      const struct kms_change *changes,
                                                      size_t count, struct kl_err *err);

#endif
