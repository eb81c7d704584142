/* Using the key of a place: seal, unseal, authenticate, sign. */
#include "kms/seal.h"
#include "kms/walk.h"

#include <sodium.h>
#include <string.h>

/* Sealed bytes opened under one holding of the lock. */
#define HOLD_MAX_BYTES (64 * 1024)

static enum kl_status fail_place(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_INVALID, "key_place_invalid", "there is no such place for a key",
                   "a tenant as a whole has no key to use");
}

/* A key, and the lock that is held while it is used. */
struct key {
    unsigned char bytes[KMS_KEY_BYTES];
    pthread_rwlock_t *held;
};

/* Walk to the key of a place. On KL_OK a lock is held until key_end(). */
static enum kl_status key_begin(struct kms *kms, const struct kms_place *place, struct key *ret_key,
                                struct kl_err *err)
{
    struct kms_node node;
    enum kl_status status;

    if (place->slot == KMS_SLOT_NONE) {
        return fail_place(err);
    }
    status = kms_walk_begin(kms, place, &node, err);
    if (status != KL_OK) {
        return status;
    }
    status = kms_node_key(&node, ret_key->bytes, err);
    if (status != KL_OK) {
        kms_walk_end(&node);
        return status;
    }
    ret_key->held = node.held;
    sodium_memzero(&node, sizeof node);
    return KL_OK;
}

static void key_end(struct key *key)
{
    (void)pthread_rwlock_unlock(key->held);
    sodium_memzero(key, sizeof *key);
}

/* Take size bytes off the end of a buffer again, wiped. */
static void buf_shorten(struct kl_buf *buf, size_t size)
{
    if (size > 0) {
        buf->size -= size;
        sodium_memzero(buf->bytes + buf->size, size);
    }
}

/* Room at the end of a buffer; for no bytes at all a pointer that is never written to. */
static enum kl_status buf_room(struct kl_buf *buf, size_t size, unsigned char **ret_room,
                               struct kl_err *err)
{
    static unsigned char nowhere[1];
    unsigned char *room = size == 0 ? nowhere : kl_buf_extend(buf, size);
    enum kl_status status = kl_buf_status(buf, err);

    if (status == KL_OK) {
        *ret_room = room;
    }
    return status;
}

enum kl_status kms_seal(struct kms *kms, const struct kms_place *place, struct kl_slice context,
                        struct kl_slice plaintext, struct kl_buf *ret_sealed, struct kl_err *err)
{
    size_t sealed_bytes = plaintext.size + KMS_SEAL_OVERHEAD_BYTES;
    struct key key;
    unsigned char *room = NULL;
    enum kl_status status = kms_seal_sizes_check(context, plaintext.size, err);

    if (status == KL_OK) {
        status = buf_room(ret_sealed, sealed_bytes, &room, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = key_begin(kms, place, &key, err);
    if (status != KL_OK) {
        buf_shorten(ret_sealed, sealed_bytes);
        return status;
    }
    kms_value_seal(key.bytes, place, context, plaintext, room);
    key_end(&key);
    return KL_OK;
}

/* A sealed value too short or too long to be one looks like any other that does not open. */
static enum kl_status sealed_size_check(struct kl_slice context, struct kl_slice sealed,
                                        struct kl_err *err)
{
    enum kl_status status = kms_seal_sizes_check(context, 0, err);

    if (status != KL_OK) {
        return status;
    }
    if (sealed.size < KMS_SEAL_OVERHEAD_BYTES ||
        sealed.size > KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES) {
        return kl_fail(err, KL_ERR_CORRUPT, "unseal_failed", "a stored value does not open",
                       "a sealed value has a size that cannot be");
    }
    return KL_OK;
}

enum kl_status kms_unseal(struct kms *kms, const struct kms_place *place, struct kl_slice context,
                          struct kl_slice sealed, struct kl_buf *ret_plaintext, struct kl_err *err)
{
    struct key key;
    unsigned char *room = NULL;
    enum kl_status status = sealed_size_check(context, sealed, err);

    if (status == KL_OK) {
        status = buf_room(ret_plaintext, sealed.size - KMS_SEAL_OVERHEAD_BYTES, &room, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = key_begin(kms, place, &key, err);
    if (status == KL_OK) {
        status = kms_value_unseal(key.bytes, place, context, sealed, room, err);
        key_end(&key);
    }
    if (status != KL_OK) {
        buf_shorten(ret_plaintext, sealed.size - KMS_SEAL_OVERHEAD_BYTES);
    }
    return status;
}

/* ---- many values of one slot ---- */

/* Open one item with the walk to its slot at hand. The lock is held. KL_ERR_BUSY: a page must be loaded first. */
static enum kl_status item_open(struct kms *kms, const struct kms_node *slot_node,
                                const struct kms_place *place, struct kms_unseal_item *item,
                                struct kl_err *err)
{
    size_t plaintext_bytes = item->sealed.size - KMS_SEAL_OVERHEAD_BYTES;
    unsigned char key[KMS_KEY_BYTES];
    unsigned char *room = NULL;
    struct kms_node node;
    enum kl_status status;

    if (place->value == KMS_VALUE_NONE) {
        status = kms_node_key(slot_node, key, err);
    } else {
        status = kms_walk_on(kms, slot_node, place, &node, err);
        if (status == KL_OK) {
            status = kms_node_key(&node, key, err);
            sodium_memzero(&node, sizeof node);
        }
    }
    if (status != KL_OK) {
        return status;
    }
    status = buf_room(item->ret_plaintext, plaintext_bytes, &room, err);
    if (status == KL_OK) {
        status = kms_value_unseal(key, place, item->context, item->sealed, room, err);
        if (status != KL_OK) {
            buf_shorten(item->ret_plaintext, plaintext_bytes);
        }
    }
    sodium_memzero(key, sizeof key);
    return status;
}

/* Open items from *at on until enough was opened under one lock, or a page is missing. */
static void items_open(struct kms *kms, const struct kms_node *slot_node, struct kms_place place,
                       struct kms_unseal_item *items, size_t count, size_t *at, bool *ret_missing)
{
    size_t held_bytes = 0;

    while (*at < count && held_bytes < HOLD_MAX_BYTES) {
        struct kms_unseal_item *item = &items[*at];

        place.value = item->value;
        item->status = sealed_size_check(item->context, item->sealed, NULL);
        if (item->status == KL_OK) {
            item->status = item_open(kms, slot_node, &place, item, NULL);
        }
        if (item->status == KL_ERR_BUSY) {
            *ret_missing = true;
            return;
        }
        held_bytes += item->sealed.size;
        (*at)++;
    }
}

enum kl_status kms_unseal_many(struct kms *kms, uint64_t tenant, uint64_t slot,
                               struct kms_unseal_item *items, size_t count, struct kl_err *err)
{
    struct kms_place place = {tenant, slot, KMS_VALUE_NONE};
    size_t at = 0;

    if (slot == KMS_SLOT_NONE) {
        return fail_place(err);
    }
    while (at < count) {
        struct kms_node node;
        bool missing = false;
        enum kl_status status = kms_walk_begin(kms, &place, &node, err);

        if (status != KL_OK) {
            return status;
        }
        items_open(kms, &node, place, items, count, &at, &missing);
        kms_walk_end(&node);
        if (missing) {
            /* The walk of a single value brings its pages in. */
            struct kms_unseal_item *item = &items[at++];
            struct kms_place value = {tenant, slot, item->value};

            item->status =
                kms_unseal(kms, &value, item->context, item->sealed, item->ret_plaintext, NULL);
        }
    }
    return KL_OK;
}

/* ---- authenticate and sign ---- */

/* Keyed BLAKE2b-256 over domain, place, label and data. */
static enum kl_status labelled_hash(struct kms *kms, const struct kms_place *place,
                                    const char *domain, const char *label, struct kl_slice data,
                                    unsigned char ret_hash[32], struct kl_err *err)
{
    size_t label_bytes = strnlen(label, KMS_LABEL_MAX_BYTES + 1);
    unsigned char numbers[8 + 8 + 8 + 4];
    struct key key;
    crypto_generichash_state state;
    enum kl_status status;

    if (label_bytes == 0 || label_bytes > KMS_LABEL_MAX_BYTES) {
        return kl_fail(err, KL_ERR_INVALID, "key_label_size", "a label is empty or too long", NULL);
    }
    kl_put_u64be(numbers, place->tenant);
    kl_put_u64be(numbers + 8, place->slot);
    kl_put_u64be(numbers + 16, place->value);
    kl_put_u32be(numbers + 24, (uint32_t)label_bytes);
    status = key_begin(kms, place, &key, err);
    if (status != KL_OK) {
        return status;
    }
    (void)crypto_generichash_init(&state, key.bytes, sizeof key.bytes, 32);
    (void)crypto_generichash_update(&state, (const unsigned char *)domain, strlen(domain));
    (void)crypto_generichash_update(&state, numbers, sizeof numbers);
    (void)crypto_generichash_update(&state, (const unsigned char *)label, label_bytes);
    (void)crypto_generichash_update(&state, data.bytes, data.size);
    (void)crypto_generichash_final(&state, ret_hash, 32);
    key_end(&key);
    sodium_memzero(&state, sizeof state);
    return KL_OK;
}

enum kl_status kms_mac(struct kms *kms, const struct kms_place *place, const char *label,
                       struct kl_slice data, unsigned char ret_mac[KMS_MAC_BYTES],
                       struct kl_err *err)
{
    return labelled_hash(kms, place, KMS_MAC_DOMAIN, label, data, ret_mac, err);
}

/* The pair of RFC 8032 that grows from the labelled seed. The secret half is the caller's to wipe. */
static enum kl_status sign_pair(struct kms *kms, const struct kms_place *place, const char *label,
                                unsigned char ret_public[crypto_sign_PUBLICKEYBYTES],
                                unsigned char ret_secret[crypto_sign_SECRETKEYBYTES],
                                struct kl_err *err)
{
    unsigned char seed[crypto_sign_SEEDBYTES];
    enum kl_status status =
        labelled_hash(kms, place, KMS_SIGN_DOMAIN, label, (struct kl_slice){NULL, 0}, seed, err);

    if (status == KL_OK) {
        (void)crypto_sign_seed_keypair(ret_public, ret_secret, seed);
    }
    sodium_memzero(seed, sizeof seed);
    return status;
}

enum kl_status kms_sign(struct kms *kms, const struct kms_place *place, const char *label,
                        struct kl_slice message, unsigned char ret_signature[KMS_SIGNATURE_BYTES],
                        struct kl_err *err)
{
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
    unsigned char secret_key[crypto_sign_SECRETKEYBYTES];
    enum kl_status status = sign_pair(kms, place, label, public_key, secret_key, err);

    if (status == KL_OK) {
        (void)crypto_sign_detached(ret_signature, NULL, message.bytes, message.size, secret_key);
    }
    sodium_memzero(secret_key, sizeof secret_key);
    return status;
}

enum kl_status kms_public_key(struct kms *kms, const struct kms_place *place, const char *label,
                              unsigned char ret_key[KMS_PUBLIC_KEY_BYTES], struct kl_err *err)
{
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
    unsigned char secret_key[crypto_sign_SECRETKEYBYTES];
    enum kl_status status = sign_pair(kms, place, label, public_key, secret_key, err);

    if (status == KL_OK) {
        memcpy(ret_key, public_key, sizeof public_key);
    }
    sodium_memzero(secret_key, sizeof secret_key);
    return status;
}

enum kl_status kms_place_check(struct kms *kms, const struct kms_place *place, struct kl_err *err)
{
    return kms_walk_check(kms, place, err);
}
