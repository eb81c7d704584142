#include "tests/support/kms_adversary.h"

#include "kms/derive.h"
#include "kms/page.h"
#include "kms/root_file.h"
#include "kms/seal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define GENERATIONS_MAX 512

/* A page version that was kept. */
struct kept {
    struct kms_address address;
    unsigned char *row;
    size_t row_bytes;
    size_t tried;           /* keys tried so far */
    unsigned char *entries; /* NULL: not open */
};

struct kms_adversary {
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct kept *kept;
    size_t kept_count;
    unsigned char (*keys)[KMS_KEY_BYTES];
    size_t keys_count;
    uint64_t generations[GENERATIONS_MAX]; /* of the root keys given */
    size_t generations_count;
};

struct kms_adversary *kms_adversary_new(const unsigned char store_id[KMS_STORE_ID_BYTES])
{
    struct kms_adversary *adversary = calloc(1, sizeof *adversary);

    assert(adversary != NULL);
    memcpy(adversary->store_id, store_id, KMS_STORE_ID_BYTES);
    return adversary;
}

void kms_adversary_free(struct kms_adversary *adversary)
{
    for (size_t i = 0; i < adversary->kept_count; i++) {
        free(adversary->kept[i].row);
        free(adversary->kept[i].entries);
    }
    free(adversary->kept);
    free(adversary->keys);
    free(adversary);
}

static void keep(struct kms_adversary *adversary, struct kl_slice key, struct kl_slice value)
{
    struct kl_reader reader = kl_reader_of(key);
    struct kept kept = {0};

    if (key.size != KMS_PAGE_KEY_BYTES || key.bytes[0] != KMS_ROW_PAGE || value.bytes == NULL) {
        return;
    }
    (void)kl_read_byte(&reader);
    kept.address.tree = kl_read_byte(&reader);
    kept.address.tenant = kl_read_u64be(&reader);
    kept.address.slot = kl_read_u64be(&reader);
    kept.address.height = kl_read_byte(&reader);
    kept.address.level = kl_read_byte(&reader);
    kept.address.index = kl_read_u64be(&reader);
    assert(kl_reader_done(&reader));
    kept.row = malloc(value.size);
    assert(kept.row != NULL);
    memcpy(kept.row, value.bytes, value.size);
    kept.row_bytes = value.size;
    adversary->kept = realloc(adversary->kept, (adversary->kept_count + 1) * sizeof kept);
    assert(adversary->kept != NULL);
    adversary->kept[adversary->kept_count++] = kept;
}

void kms_adversary_give_rows(struct kms_adversary *adversary, struct memory_storage *storage,
                             bool recorded)
{
    struct kl_slice key;
    struct kl_slice value;

    if (recorded) {
        for (size_t i = 0; i < memory_storage_recorded(storage); i++) {
            memory_storage_recording(storage, i, &key, &value);
            keep(adversary, key, value);
        }
        return;
    }
    for (size_t i = 0; (value.bytes = memory_storage_row(storage, i, &key, &value.size)) != NULL;
         i++) {
        keep(adversary, key, value);
    }
}

static void key_add(struct kms_adversary *adversary, const unsigned char key[KMS_KEY_BYTES])
{
    adversary->keys = realloc(adversary->keys, (adversary->keys_count + 1) * KMS_KEY_BYTES);
    assert(adversary->keys != NULL);
    memcpy(adversary->keys[adversary->keys_count++], key, KMS_KEY_BYTES);
}

void kms_adversary_give_root_slot(struct kms_adversary *adversary, const unsigned char *bytes,
                                  unsigned slot)
{
    struct kms_root_slot parsed;

    if (!kms_root_slot_parse(bytes + (size_t)slot * KMS_ROOT_SLOT_BYTES, &parsed)) {
        return;
    }
    assert(parsed.kind == KMS_ROOT_BARE);
    key_add(adversary, parsed.key);
    for (size_t i = 0; i < adversary->generations_count; i++) {
        if (adversary->generations[i] == parsed.generation) {
            return;
        }
    }
    assert(adversary->generations_count < GENERATIONS_MAX);
    adversary->generations[adversary->generations_count++] = parsed.generation;
}

void kms_adversary_give_root_file(struct kms_adversary *adversary, const unsigned char *bytes)
{
    kms_adversary_give_root_slot(adversary, bytes, 0);
    kms_adversary_give_root_slot(adversary, bytes, 1);
}

static bool page_try(struct kms_adversary *adversary, struct kept *kept, size_t key,
                     uint64_t generation)
{
    struct kms_page_binding binding = {adversary->store_id, &kept->address, generation};
    unsigned char entries[KMS_PAGE_MAX_BYTES];

    if (kms_page_open(&binding, adversary->keys[key], (struct kl_slice){kept->row, kept->row_bytes},
                      entries, NULL) != KL_OK) {
        return false;
    }
    kept->entries = malloc(kms_page_bytes(&kept->address));
    assert(kept->entries != NULL);
    memcpy(kept->entries, entries, kms_page_bytes(&kept->address));
    for (size_t i = 0; i < kms_address_entries(&kept->address); i++) {
        if (kms_entry_kind(entries, i) == KMS_ENTRY_PAGE) {
            key_add(adversary, kms_entry_key(entries, i));
        }
    }
    return true;
}

/* All keys not tried on it yet, as a page and as a root page of each known generation. */
static bool kept_try(struct kms_adversary *adversary, struct kept *kept)
{
    while (kept->entries == NULL && kept->tried < adversary->keys_count) {
        size_t key = kept->tried++;

        if (page_try(adversary, kept, key, 0)) {
            return true;
        }
        for (size_t i = 0; kept->address.tree == KMS_TREE_STORE && i < adversary->generations_count;
             i++) {
            if (page_try(adversary, kept, key, adversary->generations[i])) {
                return true;
            }
        }
    }
    return false;
}

size_t kms_adversary_search(struct kms_adversary *adversary)
{
    size_t opened = 0;
    bool more = true;

    while (more) {
        more = false;
        for (size_t i = 0; i < adversary->kept_count; i++) {
            if (kept_try(adversary, &adversary->kept[i])) {
                opened++;
                more = true;
            }
        }
    }
    return opened;
}

/* From the seed at one step of the path down to the key, and the value. */
static bool seed_reads(const struct kms_path *path, size_t step, const unsigned char *seed,
                       const struct kms_place *place, struct kl_slice context,
                       struct kl_slice sealed)
{
    unsigned char node[KMS_KEY_BYTES];
    unsigned char plaintext[KMS_SEAL_MAX_BYTES];

    memcpy(node, seed, sizeof node);
    for (size_t i = step + 1; i < path->count; i++) {
        kms_derive_entry(node, &path->steps[i].page, path->steps[i].entry, node);
    }
    kms_derive_key(node, node);
    return kms_value_unseal(node, place, context, sealed, plaintext, NULL) == KL_OK;
}

bool kms_adversary_reads(const struct kms_adversary *adversary, const struct kms_place *place,
                         struct kl_slice context, struct kl_slice sealed)
{
    struct kms_path path;

    kms_path_of(place, &path);
    for (size_t i = 0; i < adversary->kept_count; i++) {
        const struct kept *kept = &adversary->kept[i];

        for (size_t step = 0; kept->entries != NULL && step < path.count; step++) {
            if (kms_address_equal(&kept->address, &path.steps[step].page) &&
                kms_entry_kind(kept->entries, path.steps[step].entry) == KMS_ENTRY_SEED &&
                seed_reads(&path, step, kms_entry_key(kept->entries, path.steps[step].entry), place,
                           context, sealed)) {
                return true;
            }
        }
    }
    return false;
}
