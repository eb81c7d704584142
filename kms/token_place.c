#include "kms/token_place.h"

#include "kms/token.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Generations looked at where only two should be. */
#define HELD_MAX 16

/* A root key of this place that may still be put into a batch. */
struct wrapped {
    uint64_t generation; /* 0: none */
    unsigned char bytes[KMS_TOKEN_WRAPPED_BYTES];
};

struct token_place {
    struct kms_root_place head; /* first: the interface hands it around */
    struct kms_token *token;
    const struct kms_storage *storage;
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct wrapped wrapped[2]; /* of generation g at g mod 2 */
    unsigned char row_keys[KMS_ROOT_PLACE_ROWS_MAX][KMS_WRAPPED_KEY_BYTES];
};

static struct token_place *of(struct kms_root_place *place)
{
    return (struct token_place *)(void *)place;
}

static struct kl_slice row_key(uint64_t generation, unsigned char bytes[KMS_WRAPPED_KEY_BYTES])
{
    bytes[0] = KMS_ROW_WRAPPED;
    kl_put_u64be(bytes + 1, generation);
    return (struct kl_slice){bytes, KMS_WRAPPED_KEY_BYTES};
}

/* Whatever is on the token beside the generation before goes: an older one, and a staged one that an attempt may have used. */
static enum kl_status store(struct kms_root_place *place, uint64_t generation,
                            const unsigned char key[KMS_KEY_BYTES], struct kl_err *err)
{
    struct token_place *own = of(place);
    struct wrapped *wrapped = &own->wrapped[generation % 2];
    unsigned char bytes[KMS_TOKEN_WRAPPED_BYTES];
    enum kl_status status;

    wrapped->generation = 0;
    status = kms_token_keys_keep(own->token, own->store_id, generation - 1, err);
    if (status == KL_OK) {
        status = kms_token_key_make(own->token, own->store_id, generation, err);
    }
    if (status == KL_OK) {
        status = kms_token_wrap(own->token, own->store_id, generation, key, bytes, err);
    }
    if (status == KL_OK) {
        memcpy(wrapped->bytes, bytes, sizeof bytes);
        wrapped->generation = generation;
    }
    return status;
}

/* A PIN is not kept, so a session that ended cannot be opened again here. */
static enum kl_status ready(struct kms_root_place *place, struct kl_err *err)
{
    struct kl_err asking = {0};

    if (kms_token_answers(of(place)->token, &asking) == KL_OK) {
        return KL_OK;
    }
    return kl_fail(
        err, KL_ERR_UNAVAILABLE, "token_unreachable",
        "the token of the root key does not answer: start the vault again when it is back", "%s",
        asking.log_text);
}

/* The text tells which generations the token does hold. */
static enum kl_status fail_generation(struct token_place *own, uint64_t generation,
                                      struct kl_err *err)
{
    uint64_t held[2] = {0, 0};
    size_t count = 0;
    enum kl_status status = kms_token_keys_list(own->token, own->store_id, held, 2, &count, err);

    if (status != KL_OK) {
        return status;
    }
    if (count == 0) {
        return kl_failf(
            err, KL_ERR_REFUSED, "root_key_generation",
            "the token holds no root key of this vault; its key store is of generation %llu",
            (unsigned long long)generation);
    }
    return kl_failf(
        err, KL_ERR_REFUSED, "root_key_generation",
        "the key store is of generation %llu, the token holds generation %llu%s: one of them is an older copy",
        (unsigned long long)generation,
        (unsigned long long)(count > 1 && held[1] < held[0] ? held[1] : held[0]),
        count > 1 ? " and the one staged after it" : "");
}

static enum kl_status row_read(struct token_place *own, uint64_t generation,
                               unsigned char ret_wrapped[KMS_TOKEN_WRAPPED_BYTES],
                               struct kl_err *err)
{
    unsigned char bytes[KMS_WRAPPED_KEY_BYTES];
    struct kl_err reading = {0};
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    status = own->storage->get(own->storage->context, row_key(generation, bytes), &row, &reading);
    if (status == KL_ERR_NOT_FOUND) {
        status = fail_generation(own, generation, err);
    } else if (status != KL_OK) {
        status = kl_fail(err, status, "key_store_io", "the key store could not be read",
                         "the wrapped root key could not be read: %s", reading.log_text);
    } else if (row.size != KMS_TOKEN_WRAPPED_BYTES) {
        status = kl_fail(err, KL_ERR_CORRUPT, "token_wrapped_corrupt",
                         "the wrapped root key in the key store is damaged", NULL);
    } else {
        memcpy(ret_wrapped, row.bytes, KMS_TOKEN_WRAPPED_BYTES);
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status load(struct kms_root_place *place, uint64_t generation,
                           unsigned char ret_key[KMS_KEY_BYTES], struct kl_err *err)
{
    struct token_place *own = of(place);
    unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES];
    struct kl_err opening = {0};
    enum kl_status status = row_read(own, generation, wrapped, err);

    if (status != KL_OK) {
        return status;
    }
    status = kms_token_unwrap(own->token, own->store_id, generation, wrapped, ret_key, &opening);
    if (status == KL_ERR_NOT_FOUND) {
        return fail_generation(own, generation, err);
    }
    if (status != KL_OK && err != NULL) {
        *err = opening;
    }
    return status;
}

static size_t rows(struct kms_root_place *place, uint64_t generation,
                   struct kms_storage_write ret_writes[KMS_ROOT_PLACE_ROWS_MAX])
{
    struct token_place *own = of(place);
    const struct wrapped *wrapped = &own->wrapped[generation % 2];

    assert(wrapped->generation == generation);
    ret_writes[0] = (struct kms_storage_write){row_key(generation, own->row_keys[0]),
                                               {wrapped->bytes, sizeof wrapped->bytes}};
    ret_writes[1] =
        (struct kms_storage_write){row_key(generation - 1, own->row_keys[1]), {NULL, 0}};
    return 2;
}

static size_t rows_leave(struct kms_root_place *place, uint64_t generation,
                         struct kms_storage_write ret_writes[KMS_ROOT_PLACE_ROWS_MAX])
{
    ret_writes[0] =
        (struct kms_storage_write){row_key(generation - 1, of(place)->row_keys[0]), {NULL, 0}};
    return 1;
}

/*
 * Whether a key of this token opens a wrapped root key of the key store: then this is the very token that is in use, maybe under
 * another address.
 */
static enum kl_status in_use(struct token_place *own, bool *ret_in_use, struct kl_err *err)
{
    uint64_t held[HELD_MAX];
    unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES];
    unsigned char key[KMS_KEY_BYTES];
    size_t count = 0;
    bool opens = false;
    enum kl_status status =
        kms_token_keys_list(own->token, own->store_id, held, HELD_MAX, &count, err);

    for (size_t i = 0; status == KL_OK && !opens && i < count && i < HELD_MAX; i++) {
        struct kl_err opening = {0};

        status = row_read(own, held[i], wrapped, &opening);
        if (status == KL_OK) {
            status = kms_token_unwrap(own->token, own->store_id, held[i], wrapped, key, &opening);
            opens = status == KL_OK;
        }
        if (status == KL_ERR_REFUSED || status == KL_ERR_CORRUPT || status == KL_ERR_NOT_FOUND) {
            status = KL_OK; /* no such row, or of another token */
        } else if (status != KL_OK && err != NULL) {
            *err = opening;
        }
    }
    sodium_memzero(key, sizeof key);
    if (status == KL_OK) {
        *ret_in_use = opens;
    }
    return status;
}

/* Never what is in use: a move from a token to itself, by another address, must not end the vault. */
static enum kl_status wipe(struct kms_root_place *place, struct kl_err *err)
{
    struct token_place *own = of(place);
    bool needed = true;
    enum kl_status status = in_use(own, &needed, err);

    if (status != KL_OK || needed) {
        return status;
    }
    return kms_token_keys_keep(own->token, own->store_id, KMS_TOKEN_KEEP_NONE, err);
}

static void place_close(struct kms_root_place *place)
{
    kms_token_close(of(place)->token);
    free(place);
}

static const struct kms_root_place_kind token_kind = {
    .store = store,
    .ready = ready,
    .load = load,
    .rows = rows,
    .rows_leave = rows_leave,
    .wipe = wipe,
    .close = place_close,
};

enum kl_status kms_token_place_open(const struct kms_custodian_options *options,
                                    const unsigned char store_id[KMS_STORE_ID_BYTES],
                                    const struct kms_storage *storage,
                                    struct kms_root_place **ret_place, struct kl_err *err)
{
    struct token_place *own = calloc(1, sizeof *own);
    enum kl_status status;

    if (own == NULL) {
        return kl_fail_memory(err);
    }
    status = kms_token_open(options->custodian, options->passphrase, options->passphrase_bytes,
                            &own->token, err);
    if (status != KL_OK) {
        free(own);
        return status;
    }
    own->head.kind = &token_kind;
    own->head.accept_f0 = options->accept_f0;
    kms_token_judge(kms_token_facts(own->token), &own->head.report);
    own->storage = storage;
    memcpy(own->store_id, store_id, KMS_STORE_ID_BYTES);
    *ret_place = &own->head;
    return KL_OK;
}

enum kl_status kms_token_place_make(const struct kms_custodian_options *options,
                                    const unsigned char store_id[KMS_STORE_ID_BYTES],
                                    const struct kms_storage *storage,
                                    struct kms_root_place **ret_place, struct kl_err *err)
{
    struct kms_root_place *place = NULL;
    uint64_t held = 0;
    size_t count = 0;
    enum kl_status status = kms_token_place_open(options, store_id, storage, &place, err);

    if (status == KL_OK) {
        status = kms_token_keys_list(of(place)->token, store_id, &held, 1, &count, err);
    }
    if (status == KL_OK && count > 0) {
        status = kl_fail(err, KL_ERR_EXISTS, "token_key_exists",
                         "the token holds keys of this vault already", NULL);
    }
    if (status != KL_OK) {
        kms_root_place_close(place);
        return status;
    }
    *ret_place = place;
    return KL_OK;
}
