/*
 * Rows of the key store as an attacker would write them. The first byte says how: a sealed page as it
 * lies there; a page sealed rightly with these entries (only kinds that exist may open); a meta row.
 */
#include "kms/page.h"
#include "kms/rows.h"

#include <assert.h>
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kms_address addresses[] = {
    {0, 0, 0, KMS_TREE_STORE, KMS_SPINE_MARK, KMS_SPINE_MARK},
    {1, 0, 0, KMS_TREE_TENANT, 2, 1},
    {1, 2, 0, KMS_TREE_SUBJECT, 0, 0},
};
static const unsigned char store_id[KMS_STORE_ID_BYTES] = "store";
static const unsigned char key[KMS_KEY_BYTES] = "key";

static void try_row(const struct kms_page_binding *binding, struct kl_slice row)
{
    unsigned char entries[KMS_PAGE_MAX_BYTES];

    if (kms_page_open(binding, key, row, entries, NULL) != KL_OK) {
        assert(sodium_is_zero(entries, kms_page_bytes(binding->address)));
    }
}

static void try_entries(const struct kms_page_binding *binding, struct kl_slice content)
{
    unsigned char entries[KMS_PAGE_MAX_BYTES] = {0};
    unsigned char opened[KMS_PAGE_MAX_BYTES];
    unsigned char row[KMS_PAGE_ROW_MAX_BYTES];
    size_t count = kms_address_entries(binding->address);

    if (content.size > 0) {
        memcpy(entries, content.bytes,
               content.size < sizeof entries ? content.size : sizeof entries);
    }
    kms_page_seal(binding, key, entries, row);
    if (kms_page_open(binding, key, kl_slice_of(row, kms_page_row_bytes(binding->address)), opened,
                      NULL) != KL_OK) {
        return;
    }
    assert(memcmp(entries, opened, count * KMS_ENTRY_BYTES) == 0);
    for (size_t i = 0; i < count; i++) {
        enum kms_entry_kind kind = kms_entry_kind(opened, i);

        assert(kind == KMS_ENTRY_SEED || kind == KMS_ENTRY_PAGE || kind == KMS_ENTRY_GONE);
    }
}

static void try_meta(struct kl_slice row)
{
    struct kms_meta meta = {.generation = 77};
    unsigned char written[KMS_META_BYTES];

    if (kms_meta_parse(row, &meta, NULL) != KL_OK) {
        assert(meta.generation == 77);
        return;
    }
    kms_meta_write(&meta, written);
    assert(row.size == sizeof written && memcmp(row.bytes, written, sizeof written) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kms_page_binding binding = {store_id, &addresses[0], 0};
    struct kl_slice rest;

    if (size < 1 || sodium_init() < 0) {
        return 0;
    }
    binding.address = &addresses[data[0] / 3 % 3];
    rest = kl_slice_of(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        try_row(&binding, rest);
        break;
    case 1:
        try_entries(&binding, rest);
        break;
    default:
        try_meta(rest);
        break;
    }
    return 0;
}
