/*
 * Every byte that kms leaves on a disk, in one place. All numbers are
 * big-endian. Version 1 of everything; another version byte is refused.
 *
 * THE TREE
 *
 * Three kinds of tree: the store's (slots are tenants), a tenant's (slots are
 * subjects, buckets, its own keys), a subject's (slots are values). A tree is
 * one node of 32 bytes in an entry of the page above it; its top page is the
 * spine, whose entry h leads to a perfect subtree of height h:
 *
 *   entry 0      a leaf page                     slots 0..63
 *   entry 1      128 leaf pages                  slots 64..8255
 *   entry h      128^h leaf pages
 *
 * so a tree grows without any page being written. Six entries hold more than
 * 2^40 slots.
 *
 *   entry        1 byte kind, 32 bytes
 *                SEED (1)  all below is derived from these 32 bytes
 *                PAGE (2)  the page below was written out; these 32 bytes open it
 *                GONE (3)  32 zero bytes
 *   spine        6 entries, interior page 128 entries, leaf page 64 entries
 *
 * DERIVING (GGM: Goldreich, Goldwasser, Micali 1986)
 *
 *   entry i of a page below a seed
 *                first 32 bytes of block i of ChaCha20 (RFC 8439) under the seed,
 *                nonce "kls1" 'E' tree page_kind level 0 0 0 0
 *   key of a slot that is used itself
 *                first 32 bytes of block 0 under the slot's 32 bytes,
 *                nonce "kls1" 'K' 0 0 0 0 0 0 0
 *
 * ROWS of the key store (struct kms_storage)
 *
 *   'M'                      version, store id 16, generation u64, created u64, root key since u64 (microseconds)
 *   'P' tree tenant u64 slot u64 height level index u64
 *                            version, nonce 24, XChaCha20-Poly1305 of the page's entries (tag 16 at the end),
 *                            under the page key. Associated data: "kluis/page/1", store id, the row's key,
 *                            generation u64 for the root page, 0 for all others
 *   'S' tenant u64           version, u64: all slots of that tenant below it may have been given out
 *   'T'                      version, u64: all tenant numbers below it may have been given out
 *   'D' tree tenant u64 slot u64
 *                            version: a tree was shredded; rows of its pages, and of trees below it, are still to be removed
 *   'N' generation u64 index u32
 *                            version, the note
 *   'H' generation u64       version, root hash of the generation before (32 bytes), root hash of this one: of a commit with notes, as long
 *                            as they are kept
 *   'V' ...                  rows of the layer above, as it writes them
 *   'Q'                      version, 16 random bytes, fresh with every batch: stores with the same ones hold the same rows
 *   'X' mirror id 16         version, state (1 joining, 2 member), since u64 (microseconds), folder (size u32, bytes), label (the same):
 *                            a mirror. Joining: it was not yet whole, and its folder was empty before
 *   'C'                      version, custodian (size u32, text), leftover (the same): where the root key lies; leftover: a place of it
 *                            that is still to be destroyed, size 0 when there is none. Written by a change of custodian; none before the first
 *   'Y'                      in mirrors alone, the one row that is not copied: version, mirror id 16, state (1 being copied, its rows are of no
 *                            single moment; 2 whole; 3 its root file was destroyed)
 *
 *   'W' generation u64       version, nonce 12, AES-256-GCM of the root key (tag 16 at the end) under the token's key of that generation;
 *                            associated data: "kluis/token/1", store id 16, generation u64. Only where a token keeps the root key
 *
 * The root page is the spine of the store's tree, sealed under the root key of
 * the generation in 'M'.
 *
 * A MIRROR is a folder with keys/, the same rows, and root, a root file with the same two generations under the same passphrase (none where a
 * token keeps the root key).
 *
 * ROOT FILE: two slots of 4096 bytes; generation g lies in slot g mod 2. New files start as noise. While a passphrase changes, the two slots
 * are of two kinds or salts.
 *
 *     0  "KLSROOT1"
 *     8  version          9  kind: 1 bare, 2 passphrase
 *    10  zero 2
 *    12  Argon2id passes u32 (0 when bare)
 *    16  Argon2id memory in bytes u64 (0 when bare)
 *    24  store id 16
 *    40  generation u64
 *    48  Argon2id salt 16 (zero when bare)
 *    64  nonce 24 (zero when bare)
 *    88  bare: root key 32, zero 16; passphrase: XChaCha20-Poly1305 of the root key (32 + 16),
 *        associated data: bytes 0..63
 *   136  zero
 *  4064  BLAKE2b-256 of bytes 0..4063
 *
 * ROOT HASH of a generation: BLAKE2b-256 over "kluis/key-root/1", store id 16, generation u64, and the row of the root page as it is stored:
 * version, nonce, ciphertext, tag. The root page holds what opens every page below it.
 *
 * SEALED VALUE: version, salt 24, commitment 32, ciphertext, tag 16.
 *
 *   BLAKE2b-512, key: the place's key, over "kluis/seal/1", tenant u64, slot u64, value u64, context size u32, context,
 *   salt 24. First 32 bytes: key of ChaCha20-Poly1305 (RFC 8439), nonce zero, no associated data; next 32: commitment.
 *
 * MAC: BLAKE2b-256, key: the place's key, over "kluis/mac/1", tenant, slot, value, label size u32, label, data.
 * SIGNING SEED: BLAKE2b-256, key: the place's key, over "kluis/sign/1", tenant, slot, value, label size u32, label.
 */
#ifndef KLUIS_KMS_FORMAT_H
#define KLUIS_KMS_FORMAT_H

#define KMS_FORMAT_VERSION 1
#define KMS_KEY_BYTES 32

#define KMS_SPINE_ENTRIES 6
#define KMS_FAN_ENTRIES 128
#define KMS_LEAF_ENTRIES 64
#define KMS_FAN_BITS 7
#define KMS_LEAF_BITS 6
#define KMS_ENTRIES_MAX KMS_FAN_ENTRIES
#define KMS_ENTRY_BYTES (1 + KMS_KEY_BYTES)
#define KMS_PAGE_MAX_BYTES (KMS_ENTRIES_MAX * KMS_ENTRY_BYTES)

#define KMS_PAGE_NONCE_BYTES 24
#define KMS_PAGE_TAG_BYTES 16
#define KMS_PAGE_OVERHEAD_BYTES (1 + KMS_PAGE_NONCE_BYTES + KMS_PAGE_TAG_BYTES)
#define KMS_PAGE_ROW_MAX_BYTES (KMS_PAGE_MAX_BYTES + KMS_PAGE_OVERHEAD_BYTES)
#define KMS_PAGE_DOMAIN "kluis/page/1"

#define KMS_ROW_META 'M'
#define KMS_ROW_PAGE 'P'
#define KMS_ROW_SLOTS 'S'
#define KMS_ROW_TENANTS 'T'
#define KMS_ROW_DEAD 'D'
#define KMS_ROW_NOTE 'N'
#define KMS_ROW_ROOTS 'H'
#define KMS_ROW_BATCH 'Q'
#define KMS_ROW_MIRROR 'X'
#define KMS_ROW_MIRROR_SELF 'Y'
#define KMS_ROW_CUSTODIAN 'C'
#define KMS_PAGE_KEY_BYTES (1 + 1 + 8 + 8 + 1 + 1 + 8)
#define KMS_SLOTS_KEY_BYTES (1 + 8)
#define KMS_DEAD_KEY_BYTES (1 + 1 + 8 + 8)
#define KMS_NOTE_KEY_BYTES (1 + 8 + 4)
#define KMS_ROOTS_KEY_BYTES (1 + 8)
#define KMS_ROOTS_BYTES (1 + 2 * KMS_ROOT_HASH_BYTES)
#define KMS_META_BYTES (1 + 16 + 8 + 8 + 8)
#define KMS_MARK_BYTES (1 + 8)
#define KMS_ROW_MAX_BYTES 8192

#define KMS_ROOT_MAGIC "KLSROOT1"
#define KMS_ROOT_MAGIC_BYTES 8
#define KMS_ROOT_SLOT_BYTES 4096
#define KMS_ROOT_FILE_BYTES (2 * KMS_ROOT_SLOT_BYTES)
#define KMS_ROOT_SALT_BYTES 16
#define KMS_ROOT_NONCE_BYTES 24
#define KMS_ROOT_WRAPPED_BYTES (KMS_KEY_BYTES + 16)
#define KMS_ROOT_STORE_AT 24
#define KMS_ROOT_HEADER_BYTES 64
#define KMS_ROOT_CHECKSUM_BYTES 32
#define KMS_ROOT_CHECKSUM_AT (KMS_ROOT_SLOT_BYTES - KMS_ROOT_CHECKSUM_BYTES)

#define KMS_ROW_WRAPPED 'W'
#define KMS_WRAPPED_KEY_BYTES (1 + 8)
#define KMS_TOKEN_DOMAIN "kluis/token/1"
#define KMS_TOKEN_NONCE_BYTES 12
#define KMS_TOKEN_TAG_BYTES 16
#define KMS_TOKEN_WRAPPED_BYTES (1 + KMS_TOKEN_NONCE_BYTES + KMS_KEY_BYTES + KMS_TOKEN_TAG_BYTES)

#define KMS_ROOT_HASH_DOMAIN "kluis/key-root/1"

#define KMS_SEAL_DOMAIN "kluis/seal/1"
#define KMS_MAC_DOMAIN "kluis/mac/1"
#define KMS_SIGN_DOMAIN "kluis/sign/1"
#define KMS_SEAL_SALT_BYTES 24
#define KMS_SEAL_COMMITMENT_BYTES 32

#endif
