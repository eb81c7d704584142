/*
 * What lies beside a subject's records: requests (request_text.h) and the
 * ledger of disclosures (disclosure_text.h), each sealed under a value slot of the
 * subject, in a 'V' row like any other value. Rows 'Q' say in clear which
 * slots those are, so that whoever goes over all that is stored about a
 * subject (an erasure, a survey, a rotation of values) finds them without
 * opening anything.
 *
 *   'Q' tenant8 slot8 'r' req16    value slot u64, deadline u64, u8: 1 while it is open
 *   'Q' tenant8 slot8 'd'          value slot u64
 *
 * They change in commits that check the subject's head, as all of a subject does. Unlike a field's value, such a text is sealed anew under the
 * same slot when it changes: it grows by facts, nothing in it is replaced.
 *
 * Threads: any.
 */
#ifndef VAULT_ASIDE_H
#define VAULT_ASIDE_H

#include "vault/rows.h"
#include "vault/subject_internal.h"

#define VAULT_ASIDE_REQUEST 'r'
#define VAULT_ASIDE_DISCLOSURES 'd'
/* What each is sealed for; its value slot tells apart those of one subject. */
#define VAULT_REQUEST_CONTEXT "request"
#define VAULT_DISCLOSURES_CONTEXT "disclosures"
#define VAULT_DISCLOSURE_NOTE_CONTEXT "disclosure_note"

/* One value slot beside the records, and what it is sealed for (a constant text). */
struct vault_aside {
    uint64_t value;
    const char *context;
};

/* The value slot that a row 'Q' names: its first 8 bytes. False: no such row of ours. */
bool vault_aside_value(struct kl_slice row, uint64_t *ret_value);
/*
 * The value slot of one: row 'Q' of that kind and id. KL_ERR_NOT_FOUND "not_found" (cleared by who expects it), KL_ERR_CORRUPT
 * "aside_damaged", KL_ERR_IO.
 */
KL_MUST_USE enum kl_status vault_aside_find(struct vault *vault, uint64_t tenant, uint64_t slot,
                                            char kind, const struct kl_id *id, uint64_t *ret_value,
                                            struct kl_err *err);
/*
 * Open one; ret is the arena's. Reads again when its subject was rekeyed meanwhile. KL_ERR_GONE "value_gone": its row or key is not there.
 * KL_ERR_CORRUPT and others as kms_unseal().
 */
KL_MUST_USE enum kl_status vault_aside_open(struct vault *vault, uint64_t tenant, uint64_t slot,
                                            uint64_t value, const char *context,
                                            struct kl_arena *arena, struct kl_slice *ret,
                                            struct kl_err *err);
/*
 * All value slots beside the records of a subject, the notes that its ledger of disclosures names too; when that does not open, it is listed
 * without them. The array is the arena's. KL_ERR_CORRUPT "aside_damaged": a row of a kind not known here.
 */
KL_MUST_USE enum kl_status vault_aside_list(struct vault *vault, uint64_t tenant, uint64_t slot,
                                            struct kl_arena *arena, struct vault_aside **ret_asides,
                                            size_t *ret_count, struct kl_err *err);
/* Put the removal of a subject's rows 'Q' and 'q' into batch; of its values somebody else takes care. KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_aside_rows_remove(struct vault *vault, uint64_t tenant,
                                                   uint64_t slot, struct vault_batch *batch,
                                                   struct kl_err *err);

#endif
