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

/*
 * The note of a key commit of which nothing is told but by the job that it is a step of: a rotation of pages. So that no generation is without
 * a note, from which an older data/ is known.
 */
#define VAULT_NOTE_STEP_BYTES 1
extern const unsigned char vault_note_step[VAULT_NOTE_STEP_BYTES];
bool vault_note_is_step(struct kl_slice text);

enum vault_note_kind {
    VAULT_NOTE_SUBJECT = 1,  /* a subject was shredded */
    VAULT_NOTE_RECORD = 2,   /* one record of a subject */
    VAULT_NOTE_PAST = 3,     /* what a record held before, ahead of the sweep */
    VAULT_NOTE_ROTATION = 4, /* the root key was rotated */
    VAULT_NOTE_TENANT = 5,   /* a tenant was shredded */
    VAULT_NOTE_RETAINED = 6, /* something that an erasure kept has come to its end */
    VAULT_NOTE_CUSTODIAN =
        7,                /* the root key went to another custodian, or under another passphrase */
    VAULT_NOTE_SWEEP = 8, /* past values and slots of old indexes; records and fields count them */
    VAULT_NOTE_UNKNOWN = 9, /* slots that a restored backup did not know; records: how many */
    VAULT_NOTE_VALUES =
        10, /* subjects were sealed anew under fresh keys: slot the first, record the last, records how many */
    VAULT_NOTE_STATISTICS =
        11 /* statistics were published: cohort; records how many, fields how many were too few */
};

/*
 * id          of the receipt, or of the rotation.
 * slot        of the subject. record: value slot of the record's manifest. 0 where there is none.
 * at_us       when it was asked.
 * commitment  to the subject (receipt.h).
 * notify      see VAULT_NOTIFY_MAX_BYTES; notify_all: none was left out for want of room.
 * once        the request had an Idempotency-Key, and mark is what is stored of it.
 * retained    how many lines of what was kept an erasure wrote beside the keys (retained.h); they have its id.
 * request     of the subject's that the erasure answers; all zero: none.
 * of          of VAULT_NOTE_RETAINED: the receipt of the erasure that kept it. record is then the value slot of a line that ended.
 * cohort      where what it gives to statistics waits, in the row given (waiting.h); 0: it gives nothing. Of VAULT_NOTE_STATISTICS: what was published.
 * records, fields  how many went; of VAULT_NOTE_TENANT: statistics that were published at its end, and those of too few people.
 * name        of VAULT_NOTE_TENANT: the tenant's; of VAULT_NOTE_CUSTODIAN: the new custodian's kind.
 * public_key  of VAULT_NOTE_TENANT: what the tenant's receipts and audit heads were signed with.
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
    uint32_t retained;
    struct kl_id request;
    struct kl_id of;
    uint64_t cohort;
    struct kl_id given;
    char name[VAULT_TENANT_NAME_MAX_BYTES + 1];
    unsigned char public_key[KMS_PUBLIC_KEY_BYTES];
};

/* Whether the erasure answers a request. */
bool vault_note_has_request(const struct vault_note *note);

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
