#include "kms/page.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(KMS_PAGE_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
               "XChaCha20's nonce");
_Static_assert(KMS_PAGE_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "Poly1305's tag");

#define DOMAIN_BYTES (sizeof KMS_PAGE_DOMAIN - 1)
#define AD_BYTES (DOMAIN_BYTES + KMS_STORE_ID_BYTES + KMS_PAGE_KEY_BYTES + 8)

enum kms_entry_kind kms_entry_kind(const unsigned char *entries, size_t i)
{
    return (enum kms_entry_kind)entries[i * KMS_ENTRY_BYTES];
}

const unsigned char *kms_entry_key(const unsigned char *entries, size_t i)
{
    return entries + i * KMS_ENTRY_BYTES + 1;
}

void kms_entry_set(unsigned char *entries, size_t i, enum kms_entry_kind kind,
                   const unsigned char *key)
{
    unsigned char *entry = entries + i * KMS_ENTRY_BYTES;

    entry[0] = (unsigned char)kind;
    if (kind == KMS_ENTRY_GONE) {
        sodium_memzero(entry + 1, KMS_KEY_BYTES);
    } else {
        memcpy(entry + 1, key, KMS_KEY_BYTES);
    }
}

bool kms_entries_all_gone(const unsigned char *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (kms_entry_kind(entries, i) != KMS_ENTRY_GONE) {
            return false;
        }
    }
    return true;
}

size_t kms_page_bytes(const struct kms_address *address)
{
    return kms_address_entries(address) * KMS_ENTRY_BYTES;
}

size_t kms_page_row_bytes(const struct kms_address *address)
{
    return kms_page_bytes(address) + KMS_PAGE_OVERHEAD_BYTES;
}

void kms_page_row_key(const struct kms_address *address, unsigned char ret_key[KMS_PAGE_KEY_BYTES])
{
    ret_key[0] = KMS_ROW_PAGE;
    ret_key[1] = address->tree;
    kl_put_u64be(ret_key + 2, address->tenant);
    kl_put_u64be(ret_key + 10, address->slot);
    ret_key[18] = address->height;
    ret_key[19] = address->level;
    kl_put_u64be(ret_key + 20, address->index);
}

void kms_page_row_address(const unsigned char row_key[KMS_PAGE_KEY_BYTES],
                          struct kms_address *ret_address)
{
    *ret_address = (struct kms_address){.tree = row_key[1],
                                        .tenant = kl_get_u64be(row_key + 2),
                                        .slot = kl_get_u64be(row_key + 10),
                                        .height = row_key[18],
                                        .level = row_key[19],
                                        .index = kl_get_u64be(row_key + 20)};
}

static void page_ad(const struct kms_page_binding *binding, unsigned char ret_ad[AD_BYTES])
{
    unsigned char *at = ret_ad;

    memcpy(at, KMS_PAGE_DOMAIN, DOMAIN_BYTES);
    at += DOMAIN_BYTES;
    memcpy(at, binding->store_id, KMS_STORE_ID_BYTES);
    at += KMS_STORE_ID_BYTES;
    kms_page_row_key(binding->address, at);
    at += KMS_PAGE_KEY_BYTES;
    kl_put_u64be(at, binding->generation);
}

void kms_page_seal(const struct kms_page_binding *binding, const unsigned char key[KMS_KEY_BYTES],
                   const unsigned char *entries, unsigned char *ret_row)
{
    unsigned char ad[AD_BYTES];
    unsigned char *nonce = ret_row + 1;

    page_ad(binding, ad);
    ret_row[0] = KMS_FORMAT_VERSION;
    randombytes_buf(nonce, KMS_PAGE_NONCE_BYTES);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + KMS_PAGE_NONCE_BYTES, NULL, entries,
                                                     kms_page_bytes(binding->address), ad,
                                                     sizeof ad, NULL, nonce, key);
}

void kms_root_hash(const unsigned char store_id[KMS_STORE_ID_BYTES], uint64_t generation,
                   struct kl_slice row, unsigned char ret_hash[KMS_ROOT_HASH_BYTES])
{
    unsigned char number[8];
    crypto_generichash_state state;

    kl_put_u64be(number, generation);
    crypto_generichash_init(&state, NULL, 0, KMS_ROOT_HASH_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)KMS_ROOT_HASH_DOMAIN,
                              sizeof KMS_ROOT_HASH_DOMAIN - 1);
    crypto_generichash_update(&state, store_id, KMS_STORE_ID_BYTES);
    crypto_generichash_update(&state, number, sizeof number);
    crypto_generichash_update(&state, row.bytes, row.size);
    crypto_generichash_final(&state, ret_hash, KMS_ROOT_HASH_BYTES);
}

static bool entries_known(const struct kms_address *address, const unsigned char *entries)
{
    size_t count = kms_address_entries(address);
    bool values = address->tree == KMS_TREE_SUBJECT && kms_address_kind(address) == KMS_PAGE_LEAF;

    for (size_t i = 0; i < count; i++) {
        enum kms_entry_kind kind = kms_entry_kind(entries, i);

        if (kind == KMS_ENTRY_GONE) {
            if (!sodium_is_zero(kms_entry_key(entries, i), KMS_KEY_BYTES)) {
                return false;
            }
        } else if (kind != KMS_ENTRY_SEED && (kind != KMS_ENTRY_PAGE || values)) {
            return false;
        }
    }
    return true;
}

enum kl_status kms_page_open(const struct kms_page_binding *binding,
                             const unsigned char key[KMS_KEY_BYTES], struct kl_slice row,
                             unsigned char *ret_entries, struct kl_err *err)
{
    unsigned char ad[AD_BYTES];
    const unsigned char *nonce;
    size_t bytes = kms_page_bytes(binding->address);

    if (row.size != bytes + KMS_PAGE_OVERHEAD_BYTES || row.bytes[0] != KMS_FORMAT_VERSION) {
        goto corrupt;
    }
    page_ad(binding, ad);
    nonce = row.bytes + 1;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            ret_entries, NULL, NULL, nonce + KMS_PAGE_NONCE_BYTES, bytes + KMS_PAGE_TAG_BYTES, ad,
            sizeof ad, nonce, key) != 0) {
        goto corrupt;
    }
    if (!entries_known(binding->address, ret_entries)) {
        goto corrupt;
    }
    return KL_OK;

corrupt:
    sodium_memzero(ret_entries, bytes);
    return kl_fail(err, KL_ERR_CORRUPT, "key_page_corrupt", "the key store is damaged",
                   "a page of the key tree does not open: tree %u, height %u, level %u, index %llu",
                   binding->address->tree, binding->address->height, binding->address->level,
                   (unsigned long long)binding->address->index);
}
