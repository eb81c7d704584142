/* What the files about reports and exports share: one gathered, not yet in the audit trail. Threads: as a dossier. */
#ifndef VAULT_REPORT_INTERNAL_H
#define VAULT_REPORT_INTERNAL_H

#include "vault/dossier.h"

/*
 * Gather; vault_dossier_commit() has to come before anything leaves, vault_dossier_done() and vault_dossier_ended() in every case. dossier: vault,
 * caller and arena set, the rest zeroed. What is gathered may live in the subject of the dossier only as far as the arena does.
 */
KL_MUST_USE enum kl_status vault_report_open(struct vault_dossier *dossier,
                                             const struct kl_id *subject, const char *purpose,
                                             struct vault_report *ret, struct kl_err *err);
KL_MUST_USE enum kl_status vault_export_open(struct vault_dossier *dossier,
                                             const struct kl_id *subject, const char *purpose,
                                             struct vault_told *ret, struct kl_err *err);
/* The status as the caller is told it; a refusal is in the trail then. */
enum kl_status vault_dossier_ended(const struct vault_dossier *dossier, enum kl_status status,
                                   struct kl_err *err);

/*
 * A document in answer to a request, for its right of access (else of portability): the audit entry is durable, and answering->document has
 * it. ret_reference: which document, with its SHA-256, in the arena; never a piece of it.
 */
KL_MUST_USE enum kl_status vault_answer_make(struct vault *vault, const struct vault_caller *caller,
                                             const struct kl_id *subject, bool access,
                                             const struct vault_answering *answering,
                                             struct kl_arena *arena, const char **ret_reference,
                                             struct kl_err *err);

#endif
