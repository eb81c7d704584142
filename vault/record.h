/* What changes of a record share: record.c has them, file_put.c uses them too. */
#ifndef VAULT_RECORD_H
#define VAULT_RECORD_H

#include "vault/subject_internal.h"

/* A role that may write nothing of this type learns nothing of the record: KL_ERR_NOT_FOUND "not_found". query: of action write. */
KL_MUST_USE enum kl_status vault_record_write_allowed(const struct vault_change *change,
                                                      const struct vault_query *query, int type,
                                                      struct kl_err *err);
/*
 * Room for count more fields, and as many in the past; of the past, what is shredded already is left out. KL_ERR_TOO_LARGE
 * VAULT_PAST_FULL: see vault_record_change(). Before vault_record_retire().
 */
KL_MUST_USE enum kl_status vault_record_room(struct vault_change *change,
                                             struct vault_manifest_record *record, size_t count,
                                             struct kl_err *err);
/* fields[at]'s value goes to the record's past and to the sweep; its index entry goes away. */
KL_MUST_USE enum kl_status vault_record_retire(struct vault_change *change,
                                               struct vault_manifest_record *record, size_t at,
                                               struct kl_err *err);
/* vault_subject_change(), and once more after the past of a record that is full of it was shredded. */
KL_MUST_USE enum kl_status vault_record_change(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct kl_id *subject,
                                               const struct kl_id *record, vault_change_body body,
                                               void *context, struct kl_err *err);

#endif
