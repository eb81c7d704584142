/*
 * The receipt of an erasure, checked by who has nothing but it and a key:
 * no server, no network. It comes as the API answered it, compact or laid out
 * anew: what GET /v1/erasures/{er} gives, or the answer to an erasure, alone
 * or as the "receipt" or "result" inside another answer. vault/receipt.h says
 * what is signed, kluis/base/trail.h what heads and links are.
 * Threads: a receipt may be looked at by any number.
 */
#ifndef KLUIS_BASE_RECEIPT_H
#define KLUIS_BASE_RECEIPT_H

#include "kluis/base/id.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "kluis/base/trail.h"

#include <stdbool.h>
#include <stddef.h>

#define KL_RECEIPT_FILE_MAX_BYTES (4 * 1024 * 1024)
#define KL_RECEIPT_SECRET_BYTES 32
#define KL_RECEIPT_CHECKS_MAX 16
#define KL_RECEIPT_DETAIL_BYTES 320

struct kl_receipt;
/*
 * text: the file, which may go away at once. KL_ERR_INVALID "invalid_receipt", those of kl_json_parse(); KL_ERR_TOO_LARGE "receipt_too_large";
 * KL_ERR_NO_MEMORY. Nothing is checked yet.
 */
KL_MUST_USE enum kl_status kl_receipt_read(const void *text, size_t size,
                                           struct kl_receipt **ret_receipt, struct kl_err *err);
void kl_receipt_free(struct kl_receipt *receipt); /* NULL is fine */
/* What was signed, an object; lives as long as the receipt. */
const struct kl_json_value *kl_receipt_said(const struct kl_receipt *receipt);
/* The answer around it, to who erased; absent (NULL) for what GET gives. */
const struct kl_json_value *kl_receipt_answer(const struct kl_receipt *receipt);
/* The entry, proof, head and keys beside it; absent when there are none. */
const struct kl_json_value *kl_receipt_trail(const struct kl_receipt *receipt);

/*
 * By what it is checked. key: known to be the tenant's (of the end of a tenant the vault's); an older or a newer one does where links lead from it to the
 * one that signed. keys: more links, as GET /v1/audit/keys gives them; NULL: only those of the receipt. person: whom it is said to be about; NULL: nobody but
 * whom the answer itself names.
 */
struct kl_receipt_person {
    struct kl_id subject;
    bool has_record;
    struct kl_id record;
    unsigned char secret[KL_RECEIPT_SECRET_BYTES];
};
struct kl_receipt_trust {
    unsigned char key[KL_TRAIL_KEY_BYTES];
    const struct kl_json_value *keys;
    const struct kl_receipt_person *person;
};

/*
 * One thing that was looked at. code is stable:
 *
 *   signature   the signed text is as it was signed, by the key that it names
 *   statement   what it says is whole and does not contradict itself
 *   answer      what stands around the signed text is what was signed
 *   key         the key that is trusted signed it, or leads to the one that did
 *   chain       every change of the key beside it is signed by both keys
 *   head        the head of the trail is signed, by a key that the trusted one leads to, and of the trail of this receipt
 *   inclusion   an entry with that leaf is in the trail of that head
 *   entry       it is the entry of this erasure
 *   person      the receipt is about that person
 *   tenant_trail  of the end of a tenant: what is left of its own trail
 *
 * OPEN: nothing that is there says yes or no; detail says why, and is for people in every state.
 */
enum kl_receipt_state { KL_RECEIPT_HOLDS, KL_RECEIPT_FAILED, KL_RECEIPT_OPEN };
struct kl_receipt_check {
    const char *code;
    enum kl_receipt_state state;
    char detail[KL_RECEIPT_DETAIL_BYTES];
};
struct kl_receipt_checks {
    size_t count;
    struct kl_receipt_check items[KL_RECEIPT_CHECKS_MAX];
};
/* Look at all of it; ret is set whatever comes of it. KL_ERR_NO_MEMORY: nothing was found out. */
KL_MUST_USE enum kl_status kl_receipt_check(const struct kl_receipt *receipt,
                                            const struct kl_receipt_trust *trust,
                                            struct kl_receipt_checks *ret, struct kl_err *err);
/* Nothing failed. */
bool kl_receipt_holds(const struct kl_receipt_checks *checks);

/* BLAKE2b-256 (RFC 7693), key secret, over the ids of subject and, for one record, record (NULL: of the whole subject). */
#define KL_RECEIPT_COMMITMENT_BYTES 32
void kl_receipt_commit(const unsigned char secret[KL_RECEIPT_SECRET_BYTES],
                       const struct kl_id *subject, const struct kl_id *record,
                       unsigned char ret_commitment[KL_RECEIPT_COMMITMENT_BYTES]);

#endif
