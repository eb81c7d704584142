/*
 * Erasing: what erasure.c hands to kms and finds again in the hooks
 * (erasure_hooks.c).
 *
 * Order, for whoever waits together: slots marked dying, so that what is read of them now is their last state; kms_commit, in which
 * prepare   writes the rekeyed buckets beside the old ones, and that this generation was prepared
 * publish   makes the new buckets count
 * finish    writes audit entries, receipts, and that this generation's notes are done; deletes rows
 * Before the commit point a crash leaves everything as it was; after it, the notes in the key store say what is still to be written.
 */
#ifndef VAULT_ERASURE_H
#define VAULT_ERASURE_H

#include "vault/erasure_note.h"
#include "vault/subject_internal.h"

#define VAULT_META_PREPARED "prepared"
#define VAULT_META_NOTED "noted"

/*
 * One request's work. dying: what the rekeyed buckets are to leave out: a whole subject, or single entries by discriminator.
 * values: what is sealed anew in this commit (values.h); NULL: nothing. rows: value slots whose rows are deleted; a crash may leave them, unreadable. receipt: the stored receipt, set by finish.
 * swept: of a sweep, the rows that go; NULL else. After a crash they are still there, and go with the next sweep.
 */
struct vault_values;
struct vault_erasing {
    struct vault_note note;
    const struct vault_values *values;
    struct kms_place *dying;
    size_t dying_count;
    uint64_t *rows;
    size_t row_count;
    const struct vault_batch *swept;
    struct kl_buf receipt;
};

/* Write audit entries and receipts of a generation's notes; works[i] may be NULL. On kms's leader thread, or at open. */
KL_MUST_USE enum kl_status vault_erasure_finish(struct vault *vault, uint64_t generation,
                                                const struct vault_note *notes,
                                                struct vault_erasing *const *works, size_t count,
                                                struct kl_err *err);

/* Begin the entry that a note becomes, in the trail of its home, and add its members. The trail of a tenant that ends is read for it. */
KL_MUST_USE enum kl_status vault_erasure_entry(struct vault_act *act, struct vault *vault,
                                               const struct vault_note *note, uint64_t home,
                                               uint64_t generation, struct kl_err *err);
/* Whether it is about something that was shredded, with a receipt for it. */
bool vault_note_has_receipt(const struct vault_note *note);

/*
 * Finish what the key store still has notes of, of generations below before, in order. ret_complete (may be NULL): the notes left no
 * generation out, from the last that data/ knows to before - 1. Not while another commit is in its hooks.
 */
KL_MUST_USE enum kl_status vault_erasure_notes_finish(struct vault *vault, uint64_t before,
                                                      bool *ret_complete, struct kl_err *err);

#define VAULT_ERASE_NOT_DUE "not_due"
/* What is asked. record NULL: of the whole subject. */
struct vault_erase_asked {
    enum vault_note_kind kind;
    const struct kl_id *subject;
    const struct kl_id *record;
    enum vault_erase_reason reason;
    bool
        by_vault; /* the vault's own act: no role is asked, and it is due or KL_ERR_CONFLICT VAULT_ERASE_NOT_DUE */
    const struct kl_id *request; /* that it answers, of the whole subject; NULL: none */
    const struct vault_idempotency *idempotency; /* NULL: not to be remembered */
};
/*
 * Do it, as often as others come first. ticket: not held, or the turn of the request's key; the erasure is remembered with its receipt.
 * secret and ret_receipt NULL: without a receipt. KL_ERR_NOT_FOUND "not_found", KL_ERR_FORBIDDEN "withheld", KL_ERR_BUSY "subject_busy". With a request
 * those of vault_request_erasable().
 */
KL_MUST_USE enum kl_status vault_erase(struct vault *vault, const struct vault_caller *caller,
                                       const struct vault_erase_asked *asked,
                                       const struct vault_idempotency_ticket *ticket,
                                       const unsigned char *secret, struct kl_buf *ret_receipt,
                                       struct kl_err *err);

/* who of a note, from the caller. */
void vault_note_who(struct vault_note *note, const struct vault_caller *caller);

#endif
