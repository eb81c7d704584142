/* Sealed values, by the texts of vault/rows.h, vault/manifest.h, vault/index_rows.h, vault/files.h and kms/format.h. */
#include "adversary.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SALT_AT 1
#define SALT_BYTES 24
#define COMMITMENT_AT 25
#define COMMITMENT_BYTES 32
#define CIPHERTEXT_AT 57
#define OVERHEAD_BYTES 73
#define DOMAIN "kluis/seal/1"

#define VALUE_BASE 0
#define VALUE_LEDGER 1
#define VALUE_CLOSINGS 2
#define SLOT_REMARKS 5 /* of a tenant's own */
#define SLOT_JOURNAL 4
#define CLOSING_KEY_BYTES 18
#define RETAINED_KEY_BYTES 26
#define GIVEN_KEY_BYTES 34
#define PUBLISHED_KEY_BYTES 20
#define WEBHOOK_KEY_BYTES 26
#define BESIDE_KEY_BYTES 26
#define CHUNK_BYTES (65536 + OVERHEAD_BYTES)
#define FILE_NAME "%10llx-%10llx-%16llx-%16llx.file%n"
#define BUCKET_KEY_BYTES 22 /* of all rows of one bucket */
#define BUCKET_ROW_KEY_BYTES 27

/* ---- reading ---- */

struct reader {
    struct bytes in;
    bool ok;
};

static struct bytes take(struct reader *reader, size_t size)
{
    struct bytes taken = {reader->in.at, size};

    if (!reader->ok || size > reader->in.size) {
        reader->ok = false;
        return (struct bytes){NULL, 0};
    }
    reader->in.at += size;
    reader->in.size -= size;
    return taken;
}

static uint64_t take_number(struct reader *reader, unsigned bytes)
{
    struct bytes taken = take(reader, bytes);

    return reader->ok ? get_be(taken.at, bytes) : 0;
}

static struct bytes take_sized(struct reader *reader)
{
    return take(reader, (size_t)take_number(reader, 4));
}

static struct bytes take_name(struct reader *reader)
{
    return take(reader, (size_t)take_number(reader, 1));
}

/* ---- blobs ---- */

void blob_context_add(struct blob *blob, const void *context, size_t size)
{
    for (size_t i = 0; i < blob->context_count; i++) {
        if (blob->contexts[i].size == size && memcmp(blob->contexts[i].at, context, size) == 0) {
            return;
        }
    }
    blob->contexts = grown(blob->contexts, blob->context_count + 1, sizeof *blob->contexts);
    blob->contexts[blob->context_count].at = make(size, 1);
    blob->contexts[blob->context_count].size = size;
    memcpy(blob->contexts[blob->context_count++].at, context, size);
}

static struct blob *blob_add(struct blobs *blobs, char kind, struct place place,
                             struct bytes sealed, const struct row *row)
{
    struct blob *blob;

    if (sealed.size < OVERHEAD_BYTES || sealed.at[0] != 1) {
        stop("a sealed value of kind %c that the format does not know", kind);
    }
    if (blobs->count == blobs->room) {
        blobs->room = blobs->room == 0 ? 4096 : blobs->room * 2;
        blobs->blobs = grown(blobs->blobs, blobs->room, sizeof *blobs->blobs);
    }
    blob = &blobs->blobs[blobs->count++];
    *blob = (struct blob){
        .kind = kind, .place = place, .sealed = sealed, .order = row->order, .row_key = row->key};
    return blob;
}

static void head_read(struct blobs *blobs, const struct row *row)
{
    struct place place = {get_be(row->key.at + 1, 8), get_be(row->key.at + 9, 8), VALUE_BASE};
    struct reader reader = {row->value, true};
    struct bytes base;
    uint64_t count;

    (void)take(&reader, 8 + 1 + 1 + 4 + 8);
    (void)take(&reader, (size_t)take_number(&reader, 1) * 16); /* gaps */
    base = take_sized(&reader);
    count = take_number(&reader, 2);
    if (!reader.ok) {
        stop("a head row that the format does not know");
    }
    blob_context_add(blob_add(blobs, 'H', place, base, row), "base", 4);
    for (uint64_t i = 0; i < count; i++) {
        place.value = take_number(&reader, 8);
        base = take_sized(&reader);
        if (!reader.ok) {
            stop("a head row that the format does not know");
        }
        blob_context_add(blob_add(blobs, 'H', place, base, row), "record", 6);
    }
}

static void value_read(struct blobs *blobs, const struct row *row)
{
    struct place place = {get_be(row->key.at + 1, 8), get_be(row->key.at + 9, 8),
                          get_be(row->key.at + 17, 8)};
    struct blob *blob = blob_add(blobs, 'V', place, row->value, row);

    if (place.value == VALUE_LEDGER) {
        blob_context_add(blob, "ledger", 6);
    } else { /* what lies beside a subject's records (vault/aside.h), and evidence of consents */
        blob_context_add(blob, "evidence", 8);
        blob_context_add(blob, "request", 7);
        blob_context_add(blob, "disclosures", 11);
        blob_context_add(blob, "disclosure_note", 15);
    }
}

/* 'w' tenant8 slot8 kind1 value8: a row that is to take another one's place. */
static void beside_read(struct blobs *blobs, const struct row *row)
{
    unsigned char key[BESIDE_KEY_BYTES];
    struct row as = *row;

    if (row->key.size != BESIDE_KEY_BYTES) {
        stop("a row beside of a size that the format does not know");
    }
    key[0] = row->key.at[17];
    memcpy(key + 1, row->key.at + 1, 16);
    memcpy(key + 17, row->key.at + 18, 8);
    as.key = (struct bytes){key, BESIDE_KEY_BYTES - 1};
    if (key[0] == 'H') {
        head_read(blobs, &as);
    } else if (key[0] == 'V') {
        value_read(blobs, &as);
    } else if (key[0] != 'L') { /* where a file lies: nothing sealed */
        stop("a row beside for a kind not known here: %c", key[0]);
    }
    for (size_t i = blobs->count; i-- > 0 && blobs->blobs[i].row_key.at == key;) {
        blobs->blobs[i].row_key = row->key;
    }
}

static void bucket_context(struct blob *blob, const struct row *row)
{
    unsigned char context[6 + BUCKET_ROW_KEY_BYTES - 9] = {'b', 'u', 'c', 'k', 'e', 't'};

    memcpy(context + 6, row->key.at + 9, BUCKET_ROW_KEY_BYTES - 9);
    blob_context_add(blob, context, sizeof context);
}

/* A delta is under the slot of its bucket's base, of whichever version: one blob for each that there was. */
static void delta_read(struct blobs *blobs, const struct rows *rows, const struct row *row)
{
    uint64_t seen = NONE;

    for (size_t i = 0; i < rows->count; i++) {
        const struct row *base = &rows->rows[i];
        struct place place = {get_be(row->key.at + 1, 8), 0, NONE};

        if (base->keys || base->key.size != BUCKET_ROW_KEY_BYTES || base->key.at[0] != 'B' ||
            base->key.at[BUCKET_ROW_KEY_BYTES - 1] != 0 || base->value.size <= 8 ||
            memcmp(base->key.at, row->key.at, BUCKET_KEY_BYTES) != 0) {
            continue;
        }
        place.slot = get_be(base->value.at, 8);
        if (place.slot != seen) {
            bucket_context(blob_add(blobs, 'B', place, row->value, row), row);
            seen = place.slot;
        }
    }
}

static void bucket_read(struct blobs *blobs, const struct rows *rows, const struct row *row)
{
    struct place place = {get_be(row->key.at + 1, 8), 0, NONE};

    if (row->key.at[BUCKET_ROW_KEY_BYTES - 1] != 0) {
        delta_read(blobs, rows, row);
    } else if (row->value.size > 8) { /* else: it was split */
        place.slot = get_be(row->value.at, 8);
        bucket_context(blob_add(blobs, 'B', place,
                                (struct bytes){row->value.at + 8, row->value.size - 8}, row),
                       row);
    }
}

static void answer_read(struct blobs *blobs, const struct row *row)
{
    struct reader reader = {row->value, true};
    struct place place = {get_be(row->key.at + 1, 8), 0, 0};
    struct bytes sealed;

    (void)take(&reader, 1 + 8);
    place.slot = take_number(&reader, 8);
    place.value = take_number(&reader, 8);
    sealed = take_sized(&reader);
    if (!reader.ok) {
        stop("a stored answer that the format does not know");
    }
    blob_context_add(blob_add(blobs, 'I', place, sealed, row), "idempotency", 11);
}

/* A review of the trail (vault/review_row.h): the whole row, under the tenant's slot of remarks. */
static void review_read(struct blobs *blobs, const struct row *row)
{
    struct place place = {get_be(row->key.at + 1, 8), SLOT_REMARKS, NONE};
    unsigned char context[4 + 6 + 16] = {0, 0, 0, 6, 'r', 'e', 'v', 'i', 'e', 'w'};

    if (row->key.size != 1 + 8 + 8 + 16) {
        stop("a review that the format does not know");
    }
    memcpy(context + 10, row->key.at + 17, 16);
    blob_context_add(blob_add(blobs, 'U', place, row->value, row), context, sizeof context);
}

/* Where events go (vault/webhook_text.h), beside the keys: the whole row, under the tenant's slot of remarks. */
static void webhook_read(struct blobs *blobs, const struct row *row)
{
    struct place place = {get_be(row->key.at + 2, 8), SLOT_REMARKS, NONE};
    unsigned char context[4 + 7 + 16] = {0, 0, 0, 7, 'w', 'e', 'b', 'h', 'o', 'o', 'k'};

    memcpy(context + 11, row->key.at + 10, 16);
    blob_context_add(blob_add(blobs, 'h', place, row->value, row), context, sizeof context);
}

/* A closing of the journal (vault/journal.h), beside the keys. */
static void closing_read(struct blobs *blobs, const struct row *row)
{
    struct place place = {get_be(row->key.at + 2, 8), 0, VALUE_CLOSINGS};
    struct reader reader = {row->value, true};
    unsigned char context[7 + 8 + 8] = {'c', 'l', 'o', 's', 'i', 'n', 'g'};
    struct bytes sealed;

    (void)take(&reader, 1);
    memcpy(context + 7, row->key.at + 10, 8);
    sealed = take(&reader, 8);
    if (reader.ok) {
        memcpy(context + 15, sealed.at, 8);
    }
    place.slot = take_number(&reader, 8);
    sealed = take_sized(&reader);
    if (!reader.ok) {
        stop("a closing that the format does not know");
    }
    if (place.slot == SLOT_JOURNAL) {
        place.value = NONE;
    }
    blob_context_add(blob_add(blobs, 'J', place, sealed, row), context, sizeof context);
}

/* What leads to a record that an erasure kept (vault/retained.h), beside the keys. */
static void retained_read(struct blobs *blobs, const struct row *row)
{
    struct place place = {get_be(row->key.at + 2, 8), get_be(row->key.at + 10, 8),
                          get_be(row->key.at + 18, 8)};
    struct reader reader = {row->value, true};
    struct bytes sealed;

    (void)take(&reader, 1 + 16 + 8 + 32);
    (void)take_sized(&reader);
    sealed = take_sized(&reader);
    if (!reader.ok) {
        stop("a row of a record that was kept that the format does not know");
    }
    blob_context_add(blob_add(blobs, 'K', place, sealed, row), "retained", 8);
}

/* What somebody who was erased gave to statistics, until it is published (vault/waiting.h), beside the keys. */
static void given_read(struct blobs *blobs, const struct row *row)
{
    struct place place = {get_be(row->key.at + 2, 8), get_be(row->key.at + 10, 8), NONE};
    unsigned char context[19 + 16] = "given to statistics";

    if (row->value.size < 2) {
        stop("a row that waits for statistics that the format does not know");
    }
    memcpy(context + 19, row->key.at + 18, 16);
    blob_context_add(
        blob_add(blobs, 'G', place, (struct bytes){row->value.at + 2, row->value.size - 2}, row),
        context, sizeof context);
}

/* Published statistics (vault/statistics.h), under a slot of the vault's own tree. */
static void published_read(struct blobs *blobs, const struct row *row)
{
    struct place place = {0, get_be(row->key.at + 10, 8), NONE};

    if (row->value.size < 13) {
        stop("published statistics that the format does not know");
    }
    blob_context_add(
        blob_add(blobs, 'P', place, (struct bytes){row->value.at + 13, row->value.size - 13}, row),
        "published statistics", 20);
}

static void side_read(struct blobs *blobs, const struct row *row)
{
    char kind = row->key.size < 2 ? 0 : (char)row->key.at[1];

    if (row->key.size == CLOSING_KEY_BYTES && kind == 'J') {
        closing_read(blobs, row);
    } else if (row->key.size == RETAINED_KEY_BYTES && kind == 'K') {
        retained_read(blobs, row);
    } else if (row->key.size == GIVEN_KEY_BYTES && kind == 'G') {
        given_read(blobs, row);
    } else if (row->key.size == PUBLISHED_KEY_BYTES && kind == 'T') {
        published_read(blobs, row);
    } else if (row->key.size == WEBHOOK_KEY_BYTES && kind == 'O') {
        webhook_read(blobs, row);
    } else if (kind == 0 || strchr("JALNRSWrCPH", kind) == NULL) {
        stop("a row beside the keys of a kind not known here: %c", row->key.at[1]);
    }
}

void blobs_collect(struct blobs *blobs, const struct rows *rows)
{
    *blobs = (struct blobs){0};
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->rows[i];
        char kind = row->key.size == 0 ? 0 : (char)row->key.at[0];

        if (row->keys && kind == 'V') {
            side_read(blobs, row);
        }
        /* What is sealed must not be passed over: a new kind of row is to be looked at here. */
        if (kind == 0 ||
            strchr(row->keys ? "MPSTDNHVQXWYC" : "MTPCDHVLOBAFEeIRwQqUNGJK", kind) == NULL) {
            stop("a row of a kind not known here: %c", kind);
        }
        if (row->keys) {
            continue;
        }
        switch (row->key.at[0]) {
        case 'H':
            head_read(blobs, row);
            break;
        case 'V':
            value_read(blobs, row);
            break;
        case 'B':
            bucket_read(blobs, rows, row);
            break;
        case 'I':
            answer_read(blobs, row);
            break;
        case 'w':
            beside_read(blobs, row);
            break;
        case 'U':
            review_read(blobs, row);
            break;
        default:
            break;
        }
    }
}

/* ---- files ---- */

/* In files/ one write is one chunk: that is how they are written; whether it is the last nobody knows, so both are tried. */
static void chunk_read(struct blobs *blobs, const struct record *record, struct place place,
                       uint64_t id)
{
    unsigned char context[10 + 8 + 8 + 1] = {'f', 'i', 'l', 'e', '-', 'c', 'h', 'u', 'n', 'k'};
    unsigned char *key = make(16, 1);
    unsigned char *sealed = make(record->data.size, 1);
    struct row row = {.key = {key, 16}, .order = record->place};
    struct blob *blob;

    if (record->number % CHUNK_BYTES != 0 || record->data.size > CHUNK_BYTES) {
        stop("a chunk of a file that is not written as the format says");
    }
    memcpy(sealed, record->data.at, record->data.size);
    put_be(key, id, 8);
    put_be(key + 8, record->number / CHUNK_BYTES, 8);
    memcpy(context + 10, key, 16);
    blob = blob_add(blobs, 'F', place, (struct bytes){sealed, record->data.size}, &row);
    blob_context_add(blob, context, sizeof context);
    context[26] = 1;
    blob_context_add(blob, context, sizeof context);
}

void blobs_collect_files(struct blobs *blobs, const char *log_path)
{
    struct record record;
    struct log log;

    log_open(&log, log_path);
    while (log_next(&log, &record)) {
        const char *name = strrchr(record.path, '/');
        unsigned long long tenant;
        unsigned long long slot;
        unsigned long long value;
        unsigned long long id;
        int size = 0;

        if (record.op != 'W' || name == NULL || /* a backup has copies of what was written there */
            strstr(record.path, "/data/files/") == NULL ||
            sscanf(name + 1, FILE_NAME, &tenant, &slot, &value, &id, &size) != 4 ||
            strcmp(name + 1 + size, ".part") != 0) {
            continue;
        }
        chunk_read(blobs, &record, (struct place){tenant, slot, value}, id);
    }
}

/* ---- what a manifest tells ---- */

/* In no order; the few values of one subject lie together only by chance, so look through an index. */
struct learner {
    uint32_t *cells;
    uint32_t *next;
    size_t cell_count;
    size_t covers;
};
static struct learner learner;

static size_t learner_cell(const struct place *place)
{
    uint64_t words[3] = {place->tenant, place->slot, place->value};

    return (size_t)hash_of(words, sizeof words, 0) & (learner.cell_count - 1);
}

static void learner_make(const struct blobs *blobs)
{
    learner.cell_count = 1;
    while (learner.cell_count < blobs->count) {
        learner.cell_count *= 2;
    }
    learner.cells = make(learner.cell_count, sizeof *learner.cells);
    learner.next = make(blobs->count + 1, sizeof *learner.next);
    learner.covers = blobs->count;
    for (size_t i = 0; i < blobs->count; i++) {
        size_t cell = learner_cell(&blobs->blobs[i].place);

        learner.next[i + 1] = learner.cells[cell];
        learner.cells[cell] = (uint32_t)(i + 1);
    }
}

static void learn_one(struct blobs *blobs, const struct place *place, const void *context,
                      size_t size)
{
    for (uint32_t i = learner.cells[learner_cell(place)]; i != 0; i = learner.next[i]) {
        struct blob *blob = &blobs->blobs[i - 1];

        if (blob->kind == 'V' && blob->place.tenant == place->tenant &&
            blob->place.slot == place->slot && blob->place.value == place->value) {
            blob_context_add(blob, context, size);
        }
    }
}

static void learn_fields(struct blobs *blobs, struct place place, const unsigned char *id,
                         struct reader *reader)
{
    uint64_t count = take_number(reader, 2);

    for (uint64_t i = 0; i < count && reader->ok; i++) {
        unsigned char context[16 + 4 + 255 + 8];
        struct bytes name = take_name(reader);
        uint64_t version;

        (void)take(reader, 2);
        place.value = take_number(reader, 8);
        version = take_number(reader, 8);
        if (!reader->ok) {
            return;
        }
        memcpy(context, id, 16);
        put_be(context + 16, name.size, 4);
        memcpy(context + 20, name.at, name.size);
        put_be(context + 20 + name.size, version, 8);
        learn_one(blobs, &place, context, 20 + name.size + 8);
    }
}

void blobs_learn(struct blobs *blobs, const struct place *place, struct bytes manifest)
{
    struct reader reader = {manifest, true};
    struct bytes id;

    if (learner.covers != blobs->count) {
        learner_make(blobs);
    }
    while (reader.in.size > 0 && reader.in.at[reader.in.size - 1] == 0) {
        reader.in.size--;
    }
    if (reader.in.size == 0 || reader.in.at[reader.in.size - 1] != 0x80) {
        stop("a manifest that is not padded");
    }
    reader.in.size--;
    (void)take(&reader, 1);
    id = take(&reader, 16);
    (void)take_name(&reader);
    (void)take_name(&reader);
    (void)take(&reader, 8 + 8);
    if (reader.ok) {
        learn_fields(blobs, *place, id.at, &reader);
        learn_fields(blobs, *place, id.at, &reader);
    }
    for (uint64_t events = take_number(&reader, 2); events > 0 && reader.ok; events--) {
        (void)take_name(&reader);
        (void)take(&reader, 8);
    }
    (void)take_name(&reader);
    (void)take(&reader, 8);
    if (!reader.ok || reader.in.size > 0) {
        stop("a record's manifest that the format does not know");
    }
}

/* ---- opening ---- */

static bool context_opens(const struct blob *blob, const struct context *context,
                          const unsigned char key[KEY_BYTES], unsigned char *ret_plain)
{
    static const unsigned char nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    unsigned char numbers[28];
    unsigned char both[64];
    crypto_generichash_state state;

    put_be(numbers, blob->place.tenant, 8);
    put_be(numbers + 8, blob->place.slot, 8);
    put_be(numbers + 16, blob->place.value, 8);
    put_be(numbers + 24, context->size, 4);
    (void)crypto_generichash_init(&state, key, KEY_BYTES, sizeof both);
    (void)crypto_generichash_update(&state, (const unsigned char *)DOMAIN, sizeof DOMAIN - 1);
    (void)crypto_generichash_update(&state, numbers, sizeof numbers);
    (void)crypto_generichash_update(&state, context->at, context->size);
    (void)crypto_generichash_update(&state, blob->sealed.at + SALT_AT, SALT_BYTES);
    (void)crypto_generichash_final(&state, both, sizeof both);
    return memcmp(both + 32, blob->sealed.at + COMMITMENT_AT, COMMITMENT_BYTES) == 0 &&
           crypto_aead_chacha20poly1305_ietf_decrypt(
               ret_plain, NULL, NULL, blob->sealed.at + CIPHERTEXT_AT,
               blob->sealed.size - CIPHERTEXT_AT, NULL, 0, nonce, both) == 0;
}

bool blob_open(const struct blob *blob, const unsigned char key[KEY_BYTES],
               unsigned char *ret_plain, size_t *ret_bytes)
{
    for (size_t i = 0; i < blob->context_count; i++) {
        if (context_opens(blob, &blob->contexts[i], key, ret_plain)) {
            *ret_bytes = blob->sealed.size - OVERHEAD_BYTES;
            return true;
        }
    }
    return false;
}
