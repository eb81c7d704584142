#include "kms/derive.h"

#include "kms/page.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define NONCE_BYTES 12
#define BLOCK_BYTES 64
_Static_assert(NONCE_BYTES == crypto_stream_chacha20_IETF_NONCEBYTES, "the nonce of RFC 8439");
_Static_assert(KMS_KEY_BYTES == crypto_stream_chacha20_IETF_KEYBYTES, "a node is a ChaCha20 key");

static void entry_nonce(const struct kms_address *page, unsigned char ret_nonce[NONCE_BYTES])
{
    unsigned char nonce[NONCE_BYTES] = {'k', 'l', 's', '1', 'E'};

    nonce[5] = page->tree;
    nonce[6] = (unsigned char)kms_address_kind(page);
    nonce[7] = page->level;
    memcpy(ret_nonce, nonce, NONCE_BYTES);
}

static void block_head(const unsigned char key[KMS_KEY_BYTES],
                       const unsigned char nonce[NONCE_BYTES], uint32_t block,
                       unsigned char ret_key[KMS_KEY_BYTES])
{
    static const unsigned char zero[KMS_KEY_BYTES];
    unsigned char head[KMS_KEY_BYTES];

    (void)crypto_stream_chacha20_ietf_xor_ic(head, zero, sizeof head, nonce, block, key);
    memcpy(ret_key, head, sizeof head);
    sodium_memzero(head, sizeof head);
}

void kms_derive_entry(const unsigned char seed[KMS_KEY_BYTES], const struct kms_address *page,
                      uint16_t entry, unsigned char ret_key[KMS_KEY_BYTES])
{
    unsigned char nonce[NONCE_BYTES];

    entry_nonce(page, nonce);
    block_head(seed, nonce, entry, ret_key);
}

void kms_derive_page(const unsigned char seed[KMS_KEY_BYTES], const struct kms_address *page,
                     unsigned char *ret_entries)
{
    unsigned char blocks[KMS_ENTRIES_MAX * BLOCK_BYTES];
    unsigned char nonce[NONCE_BYTES];
    size_t count = kms_address_entries(page);

    entry_nonce(page, nonce);
    (void)crypto_stream_chacha20_ietf(blocks, count * BLOCK_BYTES, nonce, seed);
    for (size_t i = 0; i < count; i++) {
        kms_entry_set(ret_entries, i, KMS_ENTRY_SEED, blocks + i * BLOCK_BYTES);
    }
    sodium_memzero(blocks, sizeof blocks);
}

void kms_derive_key(const unsigned char node[KMS_KEY_BYTES], unsigned char ret_key[KMS_KEY_BYTES])
{
    static const unsigned char nonce[NONCE_BYTES] = {'k', 'l', 's', '1', 'K'};

    block_head(node, nonce, 0, ret_key);
}

void kms_derive_down(unsigned char node[KMS_KEY_BYTES], const struct kms_path *path,
                     size_t trees_done)
{
    assert(trees_done >= 1 && trees_done <= path->trees);
    for (size_t i = path->ends[trees_done - 1]; i < path->count; i++) {
        kms_derive_entry(node, &path->steps[i].page, path->steps[i].entry, node);
    }
}
