/* Erasing as it is asked for: by whom it may be, and once for each Idempotency-Key. */
#include "vault/erasure.h"
#include "vault/receipt.h"
#include "vault/subject_erase.h"

#include <assert.h>
#include <sodium.h>

/* The turn of the request's key is held, if it has one. */
static enum kl_status erase_first(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_erase_asked *asked,
                                  const struct vault_idempotency_ticket *ticket,
                                  struct kl_buf *ret_receipt, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char secret[VAULT_SUBJECT_SECRET_BYTES];

    randombytes_buf(secret, sizeof secret);
    status = vault_erase(vault, caller, asked, ticket, secret, ret_receipt, err);
    sodium_memzero(secret, sizeof secret);
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.erasures, 1, memory_order_relaxed);
    }
    return status;
}

static enum kl_status erase_once(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_erase_asked *asked, struct kl_buf *ret_receipt,
                                 bool *ret_replayed, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_idempotency_ticket ticket = {0};
    struct kl_id receipt;
    bool replayed = false;

    status = vault_idempotency_begin_id(vault, caller, asked->idempotency, &ticket, &receipt,
                                        &replayed, err);
    if (status == KL_OK && replayed) {
        status =
            vault_receipt_again(vault, caller->tenant, &receipt, asked->subject, ret_receipt, err);
    } else if (status == KL_OK) {
        status = erase_first(vault, caller, asked, &ticket, ret_receipt, err);
    }
    vault_idempotency_end(vault, &ticket);
    if (status == KL_OK) {
        *ret_replayed = replayed;
    }
    return status;
}

/* Without any grant for erasing, the subject is looked for all the same and then not found. */
static enum kl_status erase_asked(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_erase_asked *asked, struct kl_buf *ret_receipt,
                                  bool *ret_replayed, struct kl_err *err)
{
    enum kl_status status = vault_policy_required(caller, err);
    struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_ERASE, VAULT_NONE, VAULT_NONE, asked->subject);
    struct kl_err looked = {0};
    uint64_t slot = 0;

    if (status != KL_OK) {
        return status;
    }
    if (query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        status = vault_subject_slot(vault, caller->tenant, asked->subject, &slot, &looked);
        status = vault_not_found(err);
    } else {
        status = erase_once(vault, caller, asked, ret_receipt, ret_replayed, err);
    }
    return vault_subject_refused(vault, caller,
                                 asked->kind == VAULT_NOTE_RECORD ? "erase_record" : "erase",
                                 VAULT_NONE, status, err);
}

enum kl_status vault_subject_erase_for(struct vault *vault, const struct vault_caller *caller,
                                       const struct kl_id *subject, enum vault_erase_reason reason,
                                       const struct kl_id *request,
                                       const struct vault_idempotency *idempotency,
                                       struct kl_buf *ret_receipt, bool *ret_replayed,
                                       struct kl_err *err)
{
    const struct vault_erase_asked asked = {.kind = VAULT_NOTE_SUBJECT,
                                            .subject = subject,
                                            .reason = reason,
                                            .request = request,
                                            .idempotency = idempotency};
    struct kl_err own = {0};

    assert(reason < VAULT_ERASE_REASONS);
    return erase_asked(vault, caller, &asked, ret_receipt, ret_replayed, err == NULL ? &own : err);
}

enum kl_status vault_subject_erase_once(struct vault *vault, const struct vault_caller *caller,
                                        const struct kl_id *subject, enum vault_erase_reason reason,
                                        const struct vault_idempotency *idempotency,
                                        struct kl_buf *ret_receipt, bool *ret_replayed,
                                        struct kl_err *err)
{
    return vault_subject_erase_for(vault, caller, subject, reason, NULL, idempotency, ret_receipt,
                                   ret_replayed, err);
}

enum kl_status vault_subject_erase(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *subject, enum vault_erase_reason reason,
                                   struct kl_buf *ret_receipt, struct kl_err *err)
{
    bool replayed = false;

    return vault_subject_erase_once(vault, caller, subject, reason, NULL, ret_receipt, &replayed,
                                    err);
}

enum kl_status vault_record_erase(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *subject, const struct kl_id *record,
                                  enum vault_erase_reason reason, struct kl_buf *ret_receipt,
                                  struct kl_err *err)
{
    const struct vault_erase_asked asked = {
        .kind = VAULT_NOTE_RECORD, .subject = subject, .record = record, .reason = reason};
    struct kl_err own = {0};
    bool replayed = false;

    assert(reason < VAULT_ERASE_REASONS);
    return erase_asked(vault, caller, &asked, ret_receipt, &replayed, err == NULL ? &own : err);
}

enum kl_status vault_record_past_shred(struct vault *vault, const struct vault_caller *caller,
                                       const struct kl_id *subject, const struct kl_id *record,
                                       struct kl_err *err)
{
    const struct vault_erase_asked asked = {
        .kind = VAULT_NOTE_PAST, .subject = subject, .record = record, .reason = VAULT_ERASE_OTHER};
    const struct vault_idempotency_ticket none = {0};

    return vault_erase(vault, caller, &asked, &none, NULL, NULL, err);
}
