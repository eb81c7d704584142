#include "vault/audit_postings.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define FORMAT 1
#define CHECK_BYTES 8
#define HEAD_BYTES (1 + CHECK_BYTES)
#define BITMAP_BYTES (VAULT_POSTINGS_BLOCK / 8)
#define WORD_BITS 64

unsigned vault_postings_buckets(enum vault_term_kind kind)
{
    static const unsigned buckets[VAULT_TERM_KINDS + 1] = {
        [VAULT_TERM_SLOT] = 64,   [VAULT_TERM_CREDENTIAL] = 16, [VAULT_TERM_FIELD] = 16,
        [VAULT_TERM_PURPOSE] = 4, [VAULT_TERM_ACTION] = 4,      [VAULT_TERM_RESULT] = 1};

    return buckets[kind];
}

/* ---- places ---- */

static void places_add(struct vault_places *places, unsigned place)
{
    places->words[place / WORD_BITS] |= UINT64_C(1) << (place % WORD_BITS);
}

static unsigned places_count(const struct vault_places *places)
{
    unsigned count = 0;

    for (size_t i = 0; i < VAULT_POSTINGS_WORDS; i++) {
        count += (unsigned)__builtin_popcountll(places->words[i]);
    }
    return count;
}

bool vault_places_any(const struct vault_places *places)
{
    return vault_places_next(places, 0) < VAULT_POSTINGS_BLOCK;
}

unsigned vault_places_next(const struct vault_places *places, unsigned from)
{
    unsigned at = from / WORD_BITS;
    uint64_t word;

    if (from >= VAULT_POSTINGS_BLOCK) {
        return VAULT_POSTINGS_BLOCK;
    }
    word = places->words[at] & (UINT64_MAX << (from % WORD_BITS));
    while (word == 0 && ++at < VAULT_POSTINGS_WORDS) {
        word = places->words[at];
    }
    return word == 0 ? VAULT_POSTINGS_BLOCK : at * WORD_BITS + (unsigned)__builtin_ctzll(word);
}

int vault_posting_compare(const void *left, const void *right)
{
    const struct vault_posting *a = left;
    const struct vault_posting *b = right;

    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->bucket != b->bucket) {
        return a->bucket < b->bucket ? -1 : 1;
    }
    if (a->value != b->value) {
        return a->value < b->value ? -1 : 1;
    }
    return (a->place > b->place) - (a->place < b->place);
}

/* ---- writing ---- */

static size_t varint_bytes(uint64_t number)
{
    size_t size = 1;

    while ((number >>= 7) != 0) {
        size++;
    }
    return size;
}

static void varint_add(struct kl_buf *out, uint64_t number)
{
    while (number >= 0x80) {
        kl_buf_add_byte(out, (unsigned char)(number | 0x80));
        number >>= 7;
    }
    kl_buf_add_byte(out, (unsigned char)number);
}

static void check_make(struct kl_slice key, struct kl_slice content,
                       unsigned char ret[crypto_generichash_BYTES_MIN])
{
    crypto_generichash_state state;

    (void)crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES_MIN);
    (void)crypto_generichash_update(&state, key.bytes, key.size);
    (void)crypto_generichash_update(&state, content.bytes, content.size);
    (void)crypto_generichash_final(&state, ret, crypto_generichash_BYTES_MIN);
}

static size_t list_bytes(const struct vault_posting *postings, size_t count)
{
    size_t size = varint_bytes(postings[0].place);

    for (size_t i = 1; i < count; i++) {
        size += varint_bytes((uint64_t)postings[i].place - postings[i - 1].place - 1);
    }
    return size;
}

static void list_add(struct kl_buf *out, const struct vault_posting *postings, size_t count)
{
    varint_add(out, postings[0].place);
    for (size_t i = 1; i < count; i++) {
        varint_add(out, (uint64_t)postings[i].place - postings[i - 1].place - 1);
    }
}

static void bitmap_add(struct kl_buf *out, const struct vault_posting *postings, size_t count)
{
    unsigned char bitmap[BITMAP_BYTES] = {0};

    for (size_t i = 0; i < count; i++) {
        bitmap[postings[i].place / 8] |= (unsigned char)(1u << (postings[i].place % 8));
    }
    kl_buf_add(out, bitmap, sizeof bitmap);
}

/* How many of the postings are of the first one's term. */
static size_t run_of(const struct vault_posting *postings, size_t count)
{
    size_t run = 1;

    while (run < count && postings[run].value == postings[0].value) {
        run++;
    }
    return run;
}

static void term_add(struct kl_buf *out, const struct vault_posting *postings, size_t count)
{
    bool is_bitmap = list_bytes(postings, count) > BITMAP_BYTES;

    varint_add(out, (uint64_t)count * 2 + is_bitmap);
    if (is_bitmap) {
        bitmap_add(out, postings, count);
    } else {
        list_add(out, postings, count);
    }
}

void vault_postings_write(struct kl_slice key, const struct vault_posting *postings, size_t count,
                          struct kl_buf *ret)
{
    unsigned char check[crypto_generichash_BYTES_MIN] = {0};
    uint64_t next_value = 0;
    uint64_t terms = 0;

    assert(ret->size == 0);
    for (size_t i = 0; i < count; i += run_of(postings + i, count - i)) {
        terms++;
    }
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add(ret, check, CHECK_BYTES);
    varint_add(ret, terms);
    for (size_t i = 0; i < count;) {
        size_t run = run_of(postings + i, count - i);

        varint_add(ret, postings[i].value - next_value);
        term_add(ret, postings + i, run);
        next_value = postings[i].value + 1;
        i += run;
    }
    if (!ret->failed) {
        check_make(key, kl_slice_of(ret->bytes + HEAD_BYTES, ret->size - HEAD_BYTES), check);
        memcpy(ret->bytes + 1, check, CHECK_BYTES);
    }
}

/* ---- reading ---- */

/* In the fewest bytes, and in 64 bits; else the reader is not ok any more. */
static uint64_t varint_read(struct kl_reader *reader)
{
    uint64_t number = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        byte = kl_read_byte(reader);
        if (shift == 63 && byte > 1) {
            reader->ok = false;
        }
        if (!reader->ok) {
            return 0;
        }
        number |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    if (byte == 0 && shift > 7) {
        reader->ok = false;
    }
    return number;
}

static bool list_read(struct kl_reader *reader, uint64_t count, struct vault_places *ret)
{
    uint64_t next = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t gap = varint_read(reader);

        if (!reader->ok || gap >= VAULT_POSTINGS_BLOCK || next + gap >= VAULT_POSTINGS_BLOCK) {
            return false;
        }
        places_add(ret, (unsigned)(next + gap));
        next += gap + 1;
    }
    return true;
}

/* Only where a list would be longer. */
static bool bitmap_read(struct kl_reader *reader, uint64_t count, struct vault_places *ret)
{
    struct kl_slice bitmap = kl_read_bytes(reader, BITMAP_BYTES);
    size_t as_list = 0;
    uint64_t next = 0;

    if (!reader->ok) {
        return false;
    }
    for (unsigned place = 0; place < VAULT_POSTINGS_BLOCK; place++) {
        if ((bitmap.bytes[place / 8] >> (place % 8) & 1) != 0) {
            places_add(ret, place);
            as_list += varint_bytes(place - next);
            next = place + 1;
        }
    }
    return places_count(ret) == count && as_list > BITMAP_BYTES;
}

static bool places_read(struct kl_reader *reader, struct vault_places *ret)
{
    uint64_t head = varint_read(reader);
    size_t start = reader->at;

    memset(ret, 0, sizeof *ret);
    if (!reader->ok || head / 2 < 1 || head / 2 > VAULT_POSTINGS_BLOCK) {
        return false;
    }
    if (head % 2 == 1) {
        return bitmap_read(reader, head / 2, ret);
    }
    return list_read(reader, head / 2, ret) && reader->at - start <= BITMAP_BYTES;
}

static bool head_read(struct kl_slice key, struct kl_slice row)
{
    unsigned char check[crypto_generichash_BYTES_MIN];

    if (row.size <= HEAD_BYTES || row.bytes[0] != FORMAT) {
        return false;
    }
    check_make(key, kl_slice_of(row.bytes + HEAD_BYTES, row.size - HEAD_BYTES), check);
    return memcmp(check, row.bytes + 1, CHECK_BYTES) == 0;
}

bool vault_postings_read(struct kl_slice key, struct kl_slice row, vault_postings_visit visit,
                         void *visitor)
{
    struct vault_places places;
    struct kl_reader reader;
    uint64_t next_value = 0;
    uint64_t terms = 0;
    bool goes_on = true;

    if (!head_read(key, row)) {
        return false;
    }
    reader = kl_reader_of(kl_slice_of(row.bytes + HEAD_BYTES, row.size - HEAD_BYTES));
    terms = varint_read(&reader);
    for (uint64_t i = 0; reader.ok && i < terms; i++) {
        uint64_t gap = varint_read(&reader);

        if (!reader.ok || gap > UINT64_MAX - next_value || (i > 0 && next_value == 0) ||
            !places_read(&reader, &places)) {
            return false;
        }
        goes_on = goes_on && visit(visitor, next_value + gap, &places);
        next_value += gap + 1; /* 0 behind the highest: then none can follow */
    }
    return kl_reader_done(&reader);
}

struct finding {
    uint64_t value;
    struct vault_places places;
};

static bool take_found(void *visitor, uint64_t value, const struct vault_places *places)
{
    struct finding *finding = visitor;

    if (value == finding->value) {
        finding->places = *places;
    }
    return value < finding->value;
}

bool vault_postings_find(struct kl_slice key, struct kl_slice row, uint64_t value,
                         struct vault_places *ret)
{
    struct finding finding = {.value = value};

    if (!vault_postings_read(key, row, take_found, &finding)) {
        return false;
    }
    *ret = finding.places;
    return true;
}
