/*
 * Moving the root key to another custodian, or under another passphrase. It
 * is a commit that changes no key of the tree: the root key of the new
 * generation is a fresh one that only the new place has, and the batch that
 * makes it the one in use says in row 'C' where it lies.
 *
 *   1  row 'C': here, and the new place as a leftover
 *   2  the new place is made; it, and the mirrors, store the new staged key
 *   3  the batch: all is sealed under that key; row 'C': there, and the old
 *      place as a leftover                                  (commit point)
 *   4  the old place is destroyed                           (no return)
 *   5  row 'C': no leftover
 *
 * Where old and new are one file (another passphrase), its slots are of two
 * forms between 2 and 4, and there is no leftover. A leftover that a crash
 * leaves is destroyed at the next open, before anything is changed: what an
 * attempt sealed under the new staged key must not stay readable.
 *
 * Threads: the leader of a commit, but for kms_custodian_row_* at open.
 */
#ifndef KLUIS_KMS_CUSTODIAN_MOVE_H
#define KLUIS_KMS_CUSTODIAN_MOVE_H

#include "kluis/kms/kms.h"
#include "kms/root_file.h"

/* Row 'C': where the root key lies, and what is left of another place. Texts of custodians, paths without links. */
struct kms_custodian_row {
    bool found;
    char current[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1];
    char leftover[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1]; /* empty: nothing */
};
#define KMS_CUSTODIAN_ROW_MAX_BYTES (1 + 2 * (4 + KMS_CUSTODIAN_TEXT_MAX_BYTES))
/* KL_ERR_CORRUPT "key_custodian_corrupt", KL_ERR_IO. */
KL_MUST_USE enum kl_status kms_custodian_row_read(struct kms *kms,
                                                  struct kms_custodian_row *ret_row,
                                                  struct kl_err *err);
/* The text of a custodian with its path resolved. KL_ERR_INVALID "custodian_invalid". */
KL_MUST_USE enum kl_status kms_custodian_text(const char *custodian,
                                              char ret_text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1],
                                              struct kl_err *err);

/*
 * At open, with the text of the custodian that was given. KL_ERR_REFUSED "custodian_moved" it is what is left of another one; the text
 * says where the root key lies.
 */
KL_MUST_USE enum kl_status kms_custodian_moved_check(const struct kms_custodian_row *row,
                                                     const char *given, struct kl_err *err);
/* Why it failed to open what was given: status and err, which is not NULL, or "custodian_moved" where the root key lies elsewhere. */
KL_MUST_USE enum kl_status kms_custodian_moved_explain(const struct kms_custodian_row *row,
                                                       const char *given, enum kl_status status,
                                                       struct kl_err *err);
/*
 * After the root key was staged: destroy what is left, and note that. pin_file: of a token that is left, which is not touched without it.
 * KL_ERR_REFUSED "custodian_leftover" it cannot be reached, or pin_file is NULL.
 * KL_ERR_IO, KL_ERR_BUSY.
 */
KL_MUST_USE enum kl_status kms_custodian_leftover_destroy(struct kms *kms,
                                                          const struct kms_custodian_row *row,
                                                          const char *given, const char *pin_file,
                                                          struct kl_err *err);

/* A change under way. */
struct kms_move {
    const struct kms_request *request;
    const struct kms_custodian_options *to;
    char text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1];
    bool with_file; /* the new one is a root file */
    struct kms_root_form
        form; /* of its slots, made before the leader begins; later the form before */
    struct kms_root_form
        mirror_form; /* these two: what the mirrors get; once they have it, what they had */
    bool mirror_with_file;
    bool mirrors_have_it;
    bool same; /* the file stays where it is */
    struct kms_root_place *place;
    struct kl_secret *staged;
    unsigned char row[KMS_CUSTODIAN_ROW_MAX_BYTES];
};

/* Steps 1 and 2. After a failure all is as before, or the process must end (kms_fatal was told). */
KL_MUST_USE enum kl_status kms_move_begin(struct kms *kms, struct kms_move *move,
                                          struct kl_err *err);
/* Back to before. After kms_move_begin, when the attempt is not made. */
void kms_move_undo(struct kms *kms, struct kms_move *move);
/* What joins the batch of generation; at most KMS_MOVE_ROWS_MAX rows, whose bytes live as long as move. */
#define KMS_MOVE_ROWS_MAX (1 + 2 * KMS_ROOT_PLACE_ROWS_MAX)
size_t kms_move_rows(struct kms *kms, struct kms_move *move, uint64_t generation,
                     struct kms_storage_write ret_writes[KMS_MOVE_ROWS_MAX]);
/* Step 4, after the batch: the next key is staged there, the old place destroyed. After an error the process must end. */
KL_MUST_USE enum kl_status kms_move_overwrite(struct kms *kms, struct kms_move *move,
                                              struct kl_err *err);
/* Step 5, after the root keys turned: the new place is the first one. */
void kms_move_end(struct kms *kms, struct kms_move *move);

#endif
