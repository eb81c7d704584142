#include "vault/disclosure_text.h"

#include "vault/manifest.h"

#include <string.h>

#define FORMAT 1
#define FLAG_MERGED 1u

static enum kl_status full(struct kl_err *err)
{
    kl_err_clear(err);
    return kl_fail(err, KL_ERR_TOO_LARGE, "too_many_disclosures",
                   "this subject's ledger of disclosures is full: nothing more can be disclosed",
                   NULL);
}

static size_t field_bytes(size_t names)
{
    return (names + 7) / 8;
}

void vault_disclosure_field_add(struct vault_disclosure *entry, uint16_t name)
{
    entry->fields[name / 8] |= (unsigned char)(1u << (name % 8));
}

bool vault_disclosure_field_has(const struct vault_disclosure *entry, size_t name)
{
    return (entry->fields[name / 8] >> (name % 8) & 1u) != 0;
}

/* ---- growing ---- */

/* Room for one more in an array of *room elements; the array is the arena's. */
static void *room_for(struct kl_arena *arena, void *old, size_t count, size_t size, size_t *room)
{
    size_t wanted = *room == 0 ? 16 : 2 * *room;
    void *grown = NULL;

    if (count < *room) {
        return old;
    }
    grown = kl_arena_array(arena, wanted, size);
    if (grown != NULL) {
        if (count > 0) {
            memcpy(grown, old, count * size);
        }
        *room = wanted;
    }
    return grown;
}

enum kl_status vault_disclosures_name(struct vault_disclosures *ledger, struct kl_arena *arena,
                                      const char *name, uint16_t *ret_number, struct kl_err *err)
{
    const char **grown = NULL;
    const char *copy = NULL;
    size_t i = 0;

    while (i < ledger->name_count && strcmp(ledger->names[i], name) != 0) {
        i++;
    }
    if (i < ledger->name_count) {
        *ret_number = (uint16_t)i;
        return KL_OK;
    }
    if (ledger->name_count == VAULT_DISCLOSURE_NAMES_MAX ||
        strlen(name) > VAULT_DISCLOSURE_NAME_MAX_BYTES) {
        return full(err);
    }
    grown = room_for(arena, ledger->names, ledger->name_count, sizeof *grown, &ledger->name_room);
    copy = kl_arena_text(arena, name, strlen(name));
    if (grown == NULL || copy == NULL) {
        return kl_fail_memory(err);
    }
    ledger->names = grown;
    ledger->names[ledger->name_count++] = copy;
    *ret_number = (uint16_t)i;
    return KL_OK;
}

/* Alike but for their fields. */
static bool same_but_fields(const struct vault_disclosure *a, const struct vault_disclosure *b)
{
    return a->recipient == b->recipient && a->purpose == b->purpose && a->channel == b->channel &&
           strcmp(a->country.code, b->country.code) == 0 && a->note == KMS_VALUE_NONE &&
           b->note == KMS_VALUE_NONE;
}

static bool same(const struct vault_disclosure *a, const struct vault_disclosure *b)
{
    return same_but_fields(a, b) && memcmp(a->fields, b->fields, sizeof a->fields) == 0;
}

static void take_over(struct vault_disclosure *into, const struct vault_disclosure *from)
{
    into->first_us = from->first_us < into->first_us ? from->first_us : into->first_us;
    into->last_us = from->last_us > into->last_us ? from->last_us : into->last_us;
    into->count = from->count > UINT32_MAX - into->count ? UINT32_MAX : into->count + from->count;
}

void vault_disclosures_merge(struct vault_disclosures *ledger)
{
    size_t kept = 0;
    size_t i;
    size_t k;
    size_t b;

    for (i = 0; i < ledger->count; i++) {
        for (k = 0; k < kept && !same_but_fields(&ledger->entries[k], &ledger->entries[i]); k++) {
        }
        if (k == kept) {
            ledger->entries[kept++] = ledger->entries[i];
            continue;
        }
        take_over(&ledger->entries[k], &ledger->entries[i]);
        ledger->entries[k].merged = true;
        for (b = 0; b < VAULT_DISCLOSURE_FIELD_BYTES; b++) {
            ledger->entries[k].fields[b] |= ledger->entries[i].fields[b];
        }
    }
    ledger->count = kept;
}

enum kl_status vault_disclosures_add(struct vault_disclosures *ledger, struct kl_arena *arena,
                                     const struct vault_disclosure *entry, struct kl_err *err)
{
    struct vault_disclosure *grown = NULL;
    size_t i = 0;

    while (i < ledger->count && !same(&ledger->entries[i], entry)) {
        i++;
    }
    if (i < ledger->count) {
        take_over(&ledger->entries[i], entry);
        return KL_OK;
    }
    if (ledger->count == VAULT_DISCLOSURES_MAX) {
        vault_disclosures_merge(ledger);
    }
    if (ledger->count == VAULT_DISCLOSURES_MAX) {
        return full(err);
    }
    grown = room_for(arena, ledger->entries, ledger->count, sizeof *grown, &ledger->entry_room);
    if (grown == NULL) {
        return kl_fail_memory(err);
    }
    ledger->entries = grown;
    ledger->entries[ledger->count++] = *entry;
    return KL_OK;
}

/* ---- the sealed text ---- */

enum kl_status vault_disclosures_encode(const struct vault_disclosures *ledger, struct kl_buf *ret,
                                        struct kl_err *err)
{
    static const unsigned char unknown[2] = {0};
    size_t started = ret->size;
    size_t i;

    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add_u16be(ret, (uint16_t)ledger->name_count);
    for (i = 0; i < ledger->name_count; i++) {
        kl_buf_add_byte(ret, (unsigned char)strlen(ledger->names[i]));
        kl_buf_add_text(ret, ledger->names[i]);
    }
    kl_buf_add_u16be(ret, (uint16_t)ledger->count);
    for (i = 0; i < ledger->count; i++) {
        const struct vault_disclosure *entry = &ledger->entries[i];

        kl_buf_add_u16be(ret, entry->recipient);
        kl_buf_add_u16be(ret, entry->purpose);
        kl_buf_add_u16be(ret, entry->channel);
        kl_buf_add(
            ret, vault_country_is_set(entry->country) ? (const void *)entry->country.code : unknown,
            2);
        kl_buf_add_u64be(ret, (uint64_t)entry->first_us);
        kl_buf_add_u64be(ret, (uint64_t)entry->last_us);
        kl_buf_add_u32be(ret, entry->count);
        kl_buf_add_u64be(ret, entry->note);
        kl_buf_add_byte(ret, entry->merged ? FLAG_MERGED : 0);
        kl_buf_add(ret, entry->fields, field_bytes(ledger->name_count));
    }
    if (kl_buf_status(ret, NULL) == KL_ERR_TOO_LARGE ||
        ret->size - started > VAULT_MANIFEST_MAX_BYTES) {
        return full(err);
    }
    return kl_buf_status(ret, err);
}

/* False: it is none that encode writes, or no memory (then *no_room is set). */
static bool read_names(struct kl_reader *in, struct kl_arena *arena, struct vault_disclosures *ret,
                       bool *no_room)
{
    size_t count = kl_read_u16be(in);
    size_t i;

    if (!in->ok || count > VAULT_DISCLOSURE_NAMES_MAX) {
        return false;
    }
    ret->names = kl_arena_array(arena, count, sizeof *ret->names);
    ret->name_room = count;
    if (ret->names == NULL) {
        *no_room = true;
        return false;
    }
    for (i = 0; i < count; i++) {
        struct kl_slice name = kl_read_bytes(in, kl_read_byte(in));

        if (!in->ok || name.size == 0 || memchr(name.bytes, 0, name.size) != NULL) {
            return false;
        }
        ret->names[i] = kl_arena_text(arena, name.bytes, name.size);
        if (ret->names[i] == NULL) {
            *no_room = true;
            return false;
        }
    }
    ret->name_count = count;
    return true;
}

/* No field beyond the names. */
static bool fields_valid(const struct vault_disclosure *entry, size_t names)
{
    size_t i;

    for (i = names; i < 8 * field_bytes(names); i++) {
        if (vault_disclosure_field_has(entry, i)) {
            return false;
        }
    }
    return true;
}

static bool read_entry(struct kl_reader *in, size_t names, struct vault_disclosure *ret)
{
    struct kl_slice bytes;
    unsigned char flags;

    ret->recipient = kl_read_u16be(in);
    ret->purpose = kl_read_u16be(in);
    ret->channel = kl_read_u16be(in);
    bytes = kl_read_bytes(in, 2);
    if (in->ok) {
        memcpy(ret->country.code, bytes.bytes, 2);
    }
    ret->first_us = (int64_t)kl_read_u64be(in);
    ret->last_us = (int64_t)kl_read_u64be(in);
    ret->count = kl_read_u32be(in);
    ret->note = kl_read_u64be(in);
    flags = kl_read_byte(in);
    ret->merged = flags == FLAG_MERGED;
    bytes = kl_read_bytes(in, field_bytes(names));
    if (!in->ok || flags > FLAG_MERGED || ret->recipient >= names || ret->purpose >= names ||
        (ret->channel >= names && ret->channel != VAULT_DISCLOSURE_NO_NAME) || ret->first_us < 0 ||
        ret->last_us < ret->first_us || ret->last_us > KL_TIME_MAX_US || ret->count == 0 ||
        (ret->note != KMS_VALUE_NONE &&
         (ret->note < VAULT_VALUE_FIRST || ret->note > KMS_SLOT_MAX)) ||
        (ret->country.code[0] == 0) != (ret->country.code[1] == 0)) {
        return false;
    }
    memcpy(ret->fields, bytes.bytes, bytes.size);
    return fields_valid(ret, names);
}

enum kl_status vault_disclosures_decode(struct kl_slice text, struct kl_arena *arena,
                                        struct vault_disclosures *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(text);
    struct vault_disclosures ledger = {0};
    bool no_room = false;
    bool whole = kl_read_byte(&in) == FORMAT && read_names(&in, arena, &ledger, &no_room);
    size_t count = 0;

    if (whole) {
        count = kl_read_u16be(&in);
        whole = in.ok && count <= VAULT_DISCLOSURES_MAX;
    }
    if (whole) {
        ledger.entries = kl_arena_array(arena, count, sizeof *ledger.entries);
        ledger.entry_room = count;
        no_room = ledger.entries == NULL;
    }
    if (no_room) {
        return kl_fail_memory(err);
    }
    while (whole && ledger.count < count) {
        whole = read_entry(&in, ledger.name_count, &ledger.entries[ledger.count]);
        ledger.count++;
    }
    if (!whole || !kl_reader_done(&in)) {
        return kl_fail(err, KL_ERR_CORRUPT, "disclosures_damaged",
                       "the ledger of disclosures cannot be read", NULL);
    }
    *ret = ledger;
    return KL_OK;
}
