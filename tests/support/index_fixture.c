#include "tests/support/index_fixture.h"

#include "vault/index_rows.h"
#include "vault/store/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static enum kl_status on_prepare(void *context, struct kms_staged *staged, uint64_t generation,
                                 struct kms_request **requests, size_t count, struct kl_err *err);
static void on_publish(void *context, uint64_t generation);

static void index_open(struct index_fixture *fixture)
{
    struct kms_hooks hooks = {.context = fixture,
                              .prepare = on_prepare,
                              .publish = on_publish,
                              .fatal = kms_fixture_fatal};
    fixture->index = vault_index_new(fixture->base->keys->kms, fixture->base->store);
    assert(fixture->index != NULL);
    kms_hooks_set(fixture->base->keys->kms, &hooks);
}

int index_fixture_setup(void **state)
{
    void *base = NULL;
    struct index_fixture *fixture = calloc(1, sizeof(*fixture));
    if (fixture == NULL || store_fixture_setup(&base) != 0) {
        free(fixture);
        return -1;
    }
    fixture->base = base;
    fixture->tenant = fixture->base->tenant;
    fixture->group = vault_batch_new();
    fixture->hoarded = vault_batch_new();
    index_open(fixture);
    *state = fixture;
    return 0;
}

int index_fixture_teardown(void **state)
{
    struct index_fixture *fixture = *state;
    void *base = fixture->base;
    vault_index_free(fixture->index);
    vault_batch_free(fixture->group);
    vault_batch_free(fixture->hoarded);
    free(fixture);
    return store_fixture_teardown(&base);
}

void index_fixture_reopen(struct index_fixture *fixture)
{
    vault_index_free(fixture->index);
    kms_fixture_reopen(fixture->base->keys);
    store_fixture_reopen(fixture->base);
    index_open(fixture);
}

struct vault_index_entry index_fixture_entry(uint64_t bits, uint64_t salt, uint64_t slot,
                                             uint64_t discriminator)
{
    struct vault_index_entry entry = {.slot = slot, .discriminator = discriminator};
    kl_put_u64be(entry.tag, bits);
    kl_put_u64be(entry.tag + 8, salt);
    return entry;
}

enum kl_status index_fixture_change(struct index_fixture *fixture,
                                    enum vault_index_change_kind kind,
                                    struct vault_index_entry entry, struct kl_err *err)
{
    struct vault_index_change change = {.kind = kind, .entry = entry};
    return vault_index_change(fixture->index, fixture->tenant, &change, 1, fixture->group, err);
}

static void hoard(struct index_fixture *fixture)
{
    struct vault_batch_op op;
    size_t at = 0;
    while (vault_batch_next(fixture->group, &at, &op)) {
        if (op.kind == VAULT_BATCH_PUT && op.key.bytes[0] == 'B') {
            vault_batch_put(fixture->hoarded, op.key, op.value);
        }
    }
}

void index_fixture_commit(struct index_fixture *fixture)
{
    hoard(fixture);
    enum kl_status status = vault_store_apply(fixture->base->store, fixture->group, false, NULL);
    assert(status == KL_OK);
    vault_batch_clear(fixture->group);
    vault_index_applied(fixture->index, true);
}

void index_fixture_do(struct index_fixture *fixture, enum vault_index_change_kind kind,
                      struct vault_index_entry entry)
{
    enum kl_status status = index_fixture_change(fixture, kind, entry, NULL);
    assert(status == KL_OK);
    index_fixture_commit(fixture);
}

size_t index_fixture_count(struct index_fixture *fixture, struct vault_index_entry entry)
{
    static struct vault_index_entry found[VAULT_TAG_ENTRIES_MAX + 1];
    size_t count = 0;
    enum kl_status status = vault_index_find(fixture->index, fixture->tenant, entry.tag, 0,
                                             VAULT_TAG_ENTRIES_MAX + 1, found, &count, NULL);
    assert(status == KL_OK);
    return count;
}

bool index_fixture_has(struct index_fixture *fixture, struct vault_index_entry entry)
{
    static struct vault_index_entry found[VAULT_TAG_ENTRIES_MAX + 1];
    size_t count = 0;
    enum kl_status status = vault_index_find(fixture->index, fixture->tenant, entry.tag, 0,
                                             VAULT_TAG_ENTRIES_MAX + 1, found, &count, NULL);
    assert(status == KL_OK);
    for (size_t i = 0; i < count; i++) {
        if (found[i].slot == entry.slot && found[i].discriminator == entry.discriminator) {
            return true;
        }
    }
    return false;
}

static enum kl_status on_prepare(void *context, struct kms_staged *staged, uint64_t generation,
                                 struct kms_request **requests, size_t count, struct kl_err *err)
{
    struct index_fixture *fixture = context;
    struct kms_place dying[64];
    (void)generation;
    assert(count <= 64);
    for (size_t i = 0; i < count; i++) {
        dying[i] = *(const struct kms_place *)requests[i]->work;
    }
    enum kl_status status =
        vault_index_stage(fixture->index, staged, dying, count, fixture->group, err);
    if (status != KL_OK) {
        return status;
    }
    index_fixture_commit(fixture);
    if (fixture->staged != NULL) {
        fixture->staged(fixture);
    }
    if (fixture->fail_prepare) {
        vault_index_published(fixture->index, false);
        return kl_fail(err, KL_ERR_BUSY, "prepare_failed", "prepare failed", NULL);
    }
    return KL_OK;
}

static void on_publish(void *context, uint64_t generation)
{
    struct index_fixture *fixture = context;
    (void)generation;
    if (fixture->swapped != NULL) {
        fixture->swapped(fixture);
    }
    vault_index_published(fixture->index, true);
}

#define ERASE_PLACES_MAX 4096

/* What is dying, with the places of those entries rekeyed. */
static enum kl_status erase(struct index_fixture *fixture, struct kms_place dying,
                            const struct vault_index_entry *entries, size_t count,
                            struct kl_err *err)
{
    struct kms_place *places = calloc(ERASE_PLACES_MAX, sizeof(*places));
    struct kms_change *changes = calloc(ERASE_PLACES_MAX + 1, sizeof(*changes));
    size_t changed = 0;
    size_t place_count = 0;
    assert(places != NULL && changes != NULL);
    enum kl_status status = vault_index_places(fixture->index, fixture->tenant, entries, count,
                                               places, ERASE_PLACES_MAX, &place_count, err);
    if (status == KL_OK) {
        if (dying.value == KMS_VALUE_NONE) {
            changes[changed++] = (struct kms_change){.kind = KMS_CHANGE_SHRED, .place = dying};
        }
        for (size_t i = 0; i < place_count; i++) {
            changes[changed++] = (struct kms_change){.kind = KMS_CHANGE_REKEY, .place = places[i]};
        }
        struct kms_request request = {.changes = changes, .changes_count = changed, .work = &dying};
        status = kms_commit(fixture->base->keys->kms, &request, err);
        vault_index_release(fixture->index, fixture->tenant, entries, count);
    }
    free(changes);
    free(places);
    return status;
}

enum kl_status index_fixture_erase(struct index_fixture *fixture, uint64_t slot,
                                   const struct vault_index_entry *entries, size_t count,
                                   struct kl_err *err)
{
    struct kms_place dying = {.tenant = fixture->tenant, .slot = slot, .value = KMS_VALUE_NONE};
    return erase(fixture, dying, entries, count, err);
}

enum kl_status index_fixture_erase_entry(struct index_fixture *fixture,
                                         struct vault_index_entry entry, struct kl_err *err)
{
    struct kms_place dying = {
        .tenant = fixture->tenant, .slot = entry.slot, .value = entry.discriminator};
    return erase(fixture, dying, &entry, 1, err);
}

/* ---- the hoarder ---- */

/* The slot that a hoarded bucket was under: every base of an address says it. */
static bool hoarded_slot(const struct vault_batch *hoarded, struct kl_slice key, uint64_t *ret_slot)
{
    struct vault_batch_op op;
    size_t at = 0;
    while (vault_batch_next(hoarded, &at, &op)) {
        uint32_t version = kl_get_u32be(op.key.bytes + VAULT_BUCKET_KEY_PREFIX_BYTES);
        if (version > 0 && op.key.bytes[op.key.size - 1] == 0 &&
            memcmp(op.key.bytes, key.bytes, VAULT_BUCKET_KEY_PREFIX_BYTES) == 0) {
            *ret_slot = kl_get_u64be(op.value.bytes);
            return true;
        }
    }
    return false;
}

bool index_fixture_hoarder_opens(struct index_fixture *fixture, const struct vault_batch_op *op,
                                 struct kl_buf *plain)
{
    struct kms_place place = {.tenant = fixture->tenant, .value = KMS_VALUE_NONE};
    size_t clear = op->key.bytes[op->key.size - 1] == 0 ? 8 : 0;
    unsigned char context[6 + VAULT_BUCKET_KEY_PREFIX_BYTES];
    size_t tail = op->key.size - 9; /* all but 'B' and the tenant: as index_rows.h says */
    memcpy(context, "bucket", 6);
    memcpy(context + 6, op->key.bytes + 9, tail);
    kl_buf_clear(plain);
    if (!hoarded_slot(fixture->hoarded, op->key, &place.slot)) {
        return false;
    }
    return kms_unseal(fixture->base->keys->kms, &place, kl_slice_of(context, 6 + tail),
                      kl_slice_of(op->value.bytes + clear, op->value.size - clear), plain,
                      NULL) == KL_OK;
}

/* Base and delta alike: entries are looked for at the end of 32 or 33 byte pieces. */
static size_t mentions(struct kl_slice plain, uint64_t slot)
{
    size_t step = plain.bytes[0] == 1 ? VAULT_BUCKET_ENTRY_BYTES : VAULT_BUCKET_ENTRY_BYTES + 1;
    size_t count = 0;
    for (size_t at = 1; at + step <= plain.size; at += step) {
        const unsigned char *entry = plain.bytes + at + (step - VAULT_BUCKET_ENTRY_BYTES);
        count += kl_get_u64be(entry + VAULT_TAG_BYTES) == slot ? 1 : 0;
    }
    return count;
}

size_t index_fixture_hoarder_finds(struct index_fixture *fixture, uint64_t slot, size_t *ret_opened)
{
    struct vault_batch_op op;
    struct kl_buf plain;
    size_t at = 0;
    size_t count = 0;
    size_t opened = 0;
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    while (vault_batch_next(fixture->hoarded, &at, &op)) {
        uint32_t version = kl_get_u32be(op.key.bytes + VAULT_BUCKET_KEY_PREFIX_BYTES);
        if (version > 0 && index_fixture_hoarder_opens(fixture, &op, &plain)) {
            opened++;
            count += mentions(kl_buf_slice(&plain), slot);
        }
    }
    kl_buf_done(&plain);
    if (ret_opened != NULL) {
        *ret_opened = opened;
    }
    return count;
}
