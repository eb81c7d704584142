/*
 * The ledger of disclosures of a subject: its sealed text, and how it grows.
 * Big-endian:
 *
 *   format u8       1
 *   names           count u16, each sized (u8): recipients, purposes, channels and fields ("type.field")
 *   entries         count u16, each: recipient u16, purpose u16, channel u16 (0xffff: none), country 2 bytes (0 0: unknown), first i64 and last
 *                   i64 in microseconds, count u32, note's value slot u64 (KMS_VALUE_NONE: none), flags u8 (1: merged), fields: a bit
 *                   for each name, the first name's in the first byte's lowest, (names + 7) / 8 bytes
 *
 * Threads: any; a ledger belongs to one.
 */
#ifndef VAULT_DISCLOSURE_TEXT_H
#define VAULT_DISCLOSURE_TEXT_H

#include "kluis/base/arena.h"
#include "kluis/base/buf.h"
#include "kluis/vault/disclosure.h"

#define VAULT_DISCLOSURE_NAMES_MAX 1024
#define VAULT_DISCLOSURE_NAME_MAX_BYTES 255
#define VAULT_DISCLOSURE_FIELD_BYTES (VAULT_DISCLOSURE_NAMES_MAX / 8)
#define VAULT_DISCLOSURE_NO_NAME 0xffff

/* Numbers are those of the ledger's names. */
struct vault_disclosure {
    uint16_t recipient;
    uint16_t purpose;
    uint16_t channel; /* VAULT_DISCLOSURE_NO_NAME: read from this vault */
    struct vault_country country;
    int64_t first_us;
    int64_t last_us;
    uint32_t count;
    uint64_t note; /* KMS_VALUE_NONE: none */
    bool merged;
    unsigned char fields[VAULT_DISCLOSURE_FIELD_BYTES];
};
/* Zeroed: empty. Arrays have room for the maxima once something was added; they are the arena's. */
struct vault_disclosures {
    const char **names;
    size_t name_count;
    struct vault_disclosure *entries;
    size_t count;
    size_t entry_room;
    size_t name_room;
};

/* KL_ERR_TOO_LARGE "too_many_disclosures": longer than VAULT_MANIFEST_MAX_BYTES. */
KL_MUST_USE enum kl_status vault_disclosures_encode(const struct vault_disclosures *ledger,
                                                    struct kl_buf *ret, struct kl_err *err);
/* KL_ERR_CORRUPT "disclosures_damaged", KL_ERR_NO_MEMORY; ret untouched. */
KL_MUST_USE enum kl_status vault_disclosures_decode(struct kl_slice text, struct kl_arena *arena,
                                                    struct vault_disclosures *ret,
                                                    struct kl_err *err);
/* The number of a name, which is added when it is new. KL_ERR_TOO_LARGE "too_many_disclosures". */
KL_MUST_USE enum kl_status vault_disclosures_name(struct vault_disclosures *ledger,
                                                  struct kl_arena *arena, const char *name,
                                                  uint16_t *ret_number, struct kl_err *err);
void vault_disclosure_field_add(struct vault_disclosure *entry, uint16_t name);
bool vault_disclosure_field_has(const struct vault_disclosure *entry, size_t name);
/*
 * Add one, counted into the entry that is alike when neither has a note; a full ledger is merged first. KL_ERR_TOO_LARGE
 * "too_many_disclosures".
 */
KL_MUST_USE enum kl_status vault_disclosures_add(struct vault_disclosures *ledger,
                                                 struct kl_arena *arena,
                                                 const struct vault_disclosure *entry,
                                                 struct kl_err *err);
/* Merge entries without a note that differ in their fields alone. */
void vault_disclosures_merge(struct vault_disclosures *ledger);

#endif
