/*
 * What a key commit says about itself: kept in the key store, in clear, from
 * the commit until its audit entry and receipt are written. It names slots
 * and roles and holds a commitment; nothing in it leads to a person.
 * Threads: any; nothing is shared.
 */
#ifndef VAULT_ERASURE_NOTE_H
#define VAULT_ERASURE_NOTE_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/subject.h"
#include "vault/idempotency.h"

#include <stdbool.h>
#include <stdint.h>

#define VAULT_COMMITMENT_BYTES 32
#define VAULT_SUBJECT_SECRET_BYTES 32
/* Names of recipients, one behind the other, each with a 0 byte. */
#define VAULT_NOTIFY_MAX_BYTES 3072

enum vault_note_kind {
    VAULT_NOTE_SUBJECT = 1, /* a subject was shredded */
    VAULT_NOTE_RECORD = 2,  /* one record of a subject */
    VAULT_NOTE_PAST = 3,    /* what a record held before, ahead of the sweep */
    VAULT_NOTE_ROTATION = 4 /* the root key was rotated */
};

/*
 * id          of the receipt, or of the rotation.
 * slot        of the subject. record: value slot of the record's manifest. 0 where there is none.
 * at_us       when it was asked.
 * commitment  to the subject (receipt.h).
 * notify      see VAULT_NOTIFY_MAX_BYTES; notify_all: none was left out for want of room.
 * once        the request had an Idempotency-Key, and mark is what is stored of it.
 */
struct vault_note {
    enum vault_note_kind kind;
    struct kl_id id;
    uint64_t tenant;
    uint64_t slot;
    uint64_t record;
    int64_t at_us;
    struct kl_id credential;
    char role[VAULT_NAME_MAX_BYTES + 1];
    char request_id[VAULT_REQUEST_ID_MAX_BYTES + 1];
    struct vault_country location;
    enum vault_erase_reason reason;
    uint32_t records;
    uint32_t fields;
    unsigned char commitment[VAULT_COMMITMENT_BYTES];
    char notify[VAULT_NOTIFY_MAX_BYTES];
    size_t notify_bytes;
    bool notify_all;
    bool once;
    struct vault_idempotency_mark mark;
};

/* Append a name to note->notify. */
void vault_note_notify(struct vault_note *note, const char *name);

/* Take over the mark of a turn that is held; nothing without one. */
void vault_note_once(struct vault_note *note, const struct vault_idempotency_ticket *ticket);

/* At most KMS_NOTE_MAX_BYTES. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_note_encode(const struct vault_note *note, struct kl_buf *ret,
                                             struct kl_err *err);
/* KL_ERR_CORRUPT "key_note_damaged"; ret untouched. */
KL_MUST_USE enum kl_status vault_note_decode(struct kl_slice text, struct vault_note *ret,
                                             struct kl_err *err);

#endif
