/*
 * What is written down about a subject beside its values, and how: the head
 * row, and the texts sealed inside and beside it.
 *
 * HEAD ROW ('H'): only numbers and sizes are in clear; big-endian.
 *
 *   version u64     counts up with every change (what a commit checks)
 *   format u8       1
 *   flags u8        bit 0: there is a ledger
 *   epoch u32       restores the key store had seen when a value slot was last taken here
 *   next value u64  the next free value slot
 *   gaps            count u8, then for each: first u64, past u64: numbers that a restored copy did not know to be used (subject_unknown.h)
 *   base            sized (u32), sealed under value slot VAULT_VALUE_BASE
 *   count u16, then for each record: its value slot u64, its manifest sized and sealed under that slot
 *
 * Each record's manifest has a value slot of its own for as long as the record lives, and the base and the ledger have theirs. They are
 * sealed anew under the same slot when they change (a fresh salt each time), for two reasons: shredding one record takes its manifest
 * with its values and leaves the others alone; and a head row from an old backup still opens after later changes, erasures of other
 * records and sweeps, so that it gives back every value not erased or changed since. They hold names, numbers and times, never a value;
 * a value that is changed takes a new slot.
 *
 * LEDGER: a 'V' row under value slot VAULT_VALUE_LEDGER: what the subject consented and objected to, and whether it is restricted.
 * Evidence and grounds in words lie in 'V' rows of their own. The base says whether there is anything but consents, so that
 * a read that hangs on no consent need not open the ledger.
 *
 * A base is of format 1, or, with handles behind the rest (count u16, 16 bytes each), of format 2.
 *
 * Sealed texts are padded (vault_pad). Threads: any; nothing is shared.
 */
#ifndef VAULT_MANIFEST_H
#define VAULT_MANIFEST_H

#include "kluis/base/arena.h"
#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/residency.h"
#include "kluis/vault/subject.h"
#include "kluis/vault/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_VALUE_BASE 0
#define VAULT_VALUE_LEDGER 1
/* What the journal beside the keys holds about a subject (journal.h); below all that is taken, so that no restore reaches it. */
#define VAULT_VALUE_CLOSINGS 2
#define VAULT_VALUE_FIRST 3
/* Value slots are taken within a block for each restore the key store has seen: restore n starts at n * 2^24. */
#define VAULT_VALUE_EPOCH_BITS 24
#define VAULT_EPOCH_MAX UINT32_C(65534)
/* How often a subject may be changed after one more restore while none is finished. */
#define VAULT_GAPS_MAX 64

#define VAULT_HEAD_MAX_BYTES (1536 * 1024)
/* A manifest or ledger before padding; padding takes at most a tenth and one step. */
#define VAULT_MANIFEST_MAX_BYTES 57344
/* Values of one record that were replaced and not yet shredded. */
#define VAULT_PAST_MAX 256
/* Events noted on one record. */
#define VAULT_EVENTS_MAX 32
/* Purposes that one subject ever objected to. */
#define VAULT_OBJECTIONS_MAX 128
/*
 * Indexed values of one subject, those in a record's past too. An erasure re-keys every bucket that names the subject, in one commit of
 * KMS_CHANGES_MAX changes: this many values on their way down an index of a hundred million entries stay below it.
 */
#define VAULT_INDEXED_MAX 4096
#define VAULT_TOKEN_SEED_BYTES 16
/* Recipients to whom one subject was shown under pseudonyms: twice as many as a policy names at once. */
#define VAULT_HANDLES_MAX 128
#define VAULT_HANDLE_BYTES 16

/* A value that is there. type and index as the policy had them when it was written. version: of the record, then. */
struct vault_manifest_field {
    const char *name;
    enum vault_type type;
    enum vault_index index;
    uint64_t value;
    uint64_t version;
};
/* What starts a clock (policy.h). */
struct vault_manifest_event {
    const char *name;
    int64_t at_us;
};
/*
 * past: values that were replaced or removed and not yet shredded: they go with the record, and so do their traces in the index.
 * hold: an erasure of the subject keeps the record until then (retained.h). gone: its key is shredded, the rest is not set.
 */
struct vault_manifest_record {
    struct kl_id id;
    const char *type;
    const char *source; /* NULL: not said */
    uint64_t version;
    int64_t created_us;
    struct vault_manifest_field *fields;
    size_t field_count;
    struct vault_manifest_field *past;
    size_t past_count;
    struct vault_manifest_event *events;
    size_t event_count;
    const char *hold_basis; /* NULL: it is not held */
    int64_t hold_until_us;
    bool gone; /* not written */
};
/*
 * limits: an objection in force or a restriction is in the ledger. moves: how often the tag got stricter (journal.h); moved_us: when it was
 * last set, by whoever made the subject or moved it. token_seed: what makes this subject's pseudonyms differ from everybody's, and end with the
 * subject. handles: what leads from those of a recipient to the subject, one for each recipient that has any (pseudonym.h).
 */
struct vault_manifest_base {
    struct kl_id subject;
    enum vault_residency residency;
    bool limits;
    uint32_t moves;
    int64_t moved_us;
    int64_t created_us;
    unsigned char token_seed[VAULT_TOKEN_SEED_BYTES];
    unsigned char handles[VAULT_HANDLES_MAX][VAULT_HANDLE_BYTES];
    size_t handle_count;
};

struct vault_head_record {
    uint64_t value;
    struct kl_slice sealed;
};
struct vault_gap {
    uint64_t first;
    uint64_t past;
};
/* gaps: in rising order, apart, below next_value. */
struct vault_head {
    uint64_t version;
    uint32_t epoch;
    uint64_t next_value;
    struct vault_gap gaps[VAULT_GAPS_MAX];
    size_t gap_count;
    bool has_ledger;
    struct kl_slice base;
    struct vault_head_record *records;
    size_t record_count;
};

/* evidence: its value slot; KMS_VALUE_NONE: none. */
struct vault_ledger_entry {
    const char *purpose;
    const char *recipient; /* NULL: for the controller */
    const char *notice;
    const char *channel;
    uint64_t evidence;
    int64_t given_us;
    int64_t expires_us;   /* 0: never */
    int64_t withdrawn_us; /* 0: not */
    bool is_explicit;
};
/*
 * One for each purpose that was ever objected to. count: how often it was, so that a closing of the journal can be told from a later one.
 * compelling: the value slot of the controller's recorded grounds, with which it does not stand in the way; KMS_VALUE_NONE: none.
 */
struct vault_ledger_objection {
    const char *purpose;
    uint32_t count;
    enum vault_objection_ground ground;
    uint64_t compelling;
    int64_t at_us;
    int64_t ended_us; /* 0: in force */
};
/* count: how often it was restricted. at_us: since when; 0: it is not. */
struct vault_ledger_restriction {
    uint32_t count;
    enum vault_restriction_ground ground;
    int64_t at_us;
};
/* closed_us: what a lost journal voids up to that time is marked as withdrawn (vault_journal_since); 0: nothing was lost. */
struct vault_ledger {
    struct vault_ledger_entry *entries;
    size_t count;
    struct vault_ledger_objection *objections;
    size_t objection_count;
    struct vault_ledger_restriction restriction;
    int64_t closed_us;
};
/* Whether there is an objection in force, or a restriction. */
bool vault_ledger_limits(const struct vault_ledger *ledger);
/* The objection to a purpose, whether in force or not; NULL: there never was one. */
struct vault_ledger_objection *vault_ledger_objection_find(const struct vault_ledger *ledger,
                                                           const char *purpose);
/* The same, made where there is none yet, with count 0; the array is the arena's. NULL: no memory, or VAULT_OBJECTIONS_MAX are there. */
struct vault_ledger_objection *vault_ledger_objection_of(struct vault_ledger *ledger,
                                                         const char *purpose,
                                                         struct kl_arena *arena);
/* The value slots that a ledger names, one for each i below count + objection_count; KMS_VALUE_NONE: that one has none. */
uint64_t vault_ledger_evidence(const struct vault_ledger *ledger, size_t i);

/* Names (of types, fields, purposes, notices, ...) are at most this long, without a 0 byte inside. */
#define VAULT_MANIFEST_NAME_MAX_BYTES 255

/*
 * Append the encoding to ret. Sizes beyond the maxima are the caller's to refuse before: an assert, but for the whole, which is
 * KL_ERR_TOO_LARGE "subject_full" (a head), "record_full", "too_many_consents".
 */
KL_MUST_USE enum kl_status vault_head_encode(const struct vault_head *head, struct kl_buf *ret,
                                             struct kl_err *err);
KL_MUST_USE enum kl_status vault_manifest_base_encode(const struct vault_manifest_base *base,
                                                      struct kl_buf *ret, struct kl_err *err);
KL_MUST_USE enum kl_status vault_manifest_record_encode(const struct vault_manifest_record *record,
                                                        struct kl_buf *ret, struct kl_err *err);
KL_MUST_USE enum kl_status vault_ledger_encode(const struct vault_ledger *ledger,
                                               struct kl_buf *ret, struct kl_err *err);

/*
 * Read what encode wrote. Arrays and texts are the arena's; a head's slices point into row. Outputs untouched on failure.
 * KL_ERR_CORRUPT "manifest_damaged": a length, count or number that encode does not write. KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_head_decode(struct kl_slice row, struct kl_arena *arena,
                                             struct vault_head *ret, struct kl_err *err);
KL_MUST_USE enum kl_status vault_manifest_base_decode(struct kl_slice text,
                                                      struct vault_manifest_base *ret,
                                                      struct kl_err *err);
KL_MUST_USE enum kl_status vault_manifest_record_decode(struct kl_slice text,
                                                        struct kl_arena *arena,
                                                        struct vault_manifest_record *ret,
                                                        struct kl_err *err);
KL_MUST_USE enum kl_status vault_ledger_decode(struct kl_slice text, struct kl_arena *arena,
                                               struct vault_ledger *ret, struct kl_err *err);

#endif
