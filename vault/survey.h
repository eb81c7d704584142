/*
 * Everything about people in a store, opened with today's keys: what a backup is worth. Nothing is changed, nothing is kept.
 *
 * Threads: one at a time; the store may be read by others meanwhile.
 */
#ifndef VAULT_SURVEY_H
#define VAULT_SURVEY_H

#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Of subjects: opened with all that is theirs; erased since, so that nothing opens; unknown: of slots that the key store never gave out (keys
 * from before this store, or of another vault); damaged: something of them does not open although its key is there, or a row is missing.
 * Of values (fields, what they were before, consents, evidence): opened; erased since, swept or retained elsewhere; damaged.
 */
struct vault_survey_counts {
    uint64_t opened;
    uint64_t erased;
    uint64_t unknown;
    uint64_t damaged;
    uint64_t values;
    uint64_t values_erased;
    uint64_t values_damaged;
};

struct vault_survey;
/* keys and store outlive the survey. files_dir: where files of values lie, flat (files.h). KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_survey_new(struct kms *keys, struct vault_store *store,
                                            const char *files_dir, struct vault_survey **ret_survey,
                                            struct kl_err *err);
/* Go on for about time_us; ret_done: all was seen. KL_ERR_IO, KL_ERR_CORRUPT the store itself does not read, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_survey_step(struct vault_survey *survey, int64_t time_us,
                                             bool *ret_done, struct kl_err *err);
/* So far. */
void vault_survey_counts_get(const struct vault_survey *survey, struct vault_survey_counts *ret);
void vault_survey_free(struct vault_survey *survey); /* NULL is fine */

#endif
