/* Cursors: a position in a list, sealed, so that it tells nothing and serves nobody else. */
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include "kluis/base/encode.h"

#include <assert.h>
#include <string.h>

#define POSITION_MAX_BYTES 64
#define KIND_MAX_BYTES 64
#define SEALED_MAX_BYTES (POSITION_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES)

_Static_assert(KL_BASE64_CHARS(SEALED_MAX_BYTES) <= VAULT_CURSOR_MAX_BYTES, "a cursor must fit");

static struct kms_place place_of(const struct vault_caller *caller)
{
    struct kms_place place = {.slot = VAULT_SLOT_MAC, .value = KMS_VALUE_NONE};

    place.tenant = caller->tenant == UINT64_MAX ? (uint64_t)KMS_TENANT_VAULT : caller->tenant;
    return place;
}

static void context_of(const struct vault_caller *caller, const char *kind, struct kl_buf *ret)
{
    assert(strlen(kind) <= KIND_MAX_BYTES);
    kl_buf_add_text(ret, "cursor");
    kl_buf_add(ret, caller->credential.bytes, KL_ID_BYTES);
    kl_buf_add_sized(ret, kind, strlen(kind));
}

enum kl_status vault_cursor_seal(struct vault *vault, const struct vault_caller *caller,
                                 const char *kind, struct kl_slice position,
                                 char ret_cursor[VAULT_CURSOR_MAX_BYTES + 1], struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = place_of(caller);
    struct kl_buf context;
    struct kl_buf sealed;

    assert(position.size <= POSITION_MAX_BYTES);
    kl_buf_init(&context, KIND_MAX_BYTES + KL_ID_BYTES + 16);
    kl_buf_init(&sealed, SEALED_MAX_BYTES);
    context_of(caller, kind, &context);
    status = kl_buf_status(&context, err);
    if (status == KL_OK) {
        status = kms_seal(vault->keys, &place, kl_buf_slice(&context), position, &sealed, err);
    }
    if (status == KL_OK) {
        kl_base64(sealed.bytes, sealed.size, ret_cursor);
    }
    kl_buf_done(&context);
    kl_buf_done(&sealed);
    return status;
}

static enum kl_status invalid(struct kl_err *err)
{
    kl_err_clear(err);
    return kl_fail(err, KL_ERR_INVALID, "invalid_cursor",
                   "the cursor is not one that this list gave to this credential", NULL);
}

enum kl_status vault_cursor_open(struct vault *vault, const struct vault_caller *caller,
                                 const char *kind, const char *cursor, struct kl_buf *ret_position,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = place_of(caller);
    unsigned char sealed[SEALED_MAX_BYTES];
    size_t chars = strnlen(cursor, VAULT_CURSOR_MAX_BYTES + 1);
    size_t size = chars * 3 / 4;
    struct kl_buf context;

    if (size < KMS_SEAL_OVERHEAD_BYTES || size > sizeof sealed ||
        !kl_base64_decode(cursor, chars, sealed, size)) {
        return invalid(err);
    }
    kl_buf_init(&context, KIND_MAX_BYTES + KL_ID_BYTES + 16);
    context_of(caller, kind, &context);
    status = kl_buf_status(&context, err);
    if (status == KL_OK) {
        status = kms_unseal(vault->keys, &place, kl_buf_slice(&context), kl_slice_of(sealed, size),
                            ret_position, err);
    }
    if (status == KL_ERR_CORRUPT || status == KL_ERR_INVALID) {
        status = invalid(err);
    }
    kl_buf_done(&context);
    return status;
}

enum kl_status vault_cursor_number_seal(struct vault *vault, const struct vault_caller *caller,
                                        const char *kind, uint64_t number,
                                        char ret_cursor[VAULT_CURSOR_MAX_BYTES + 1],
                                        struct kl_err *err)
{
    unsigned char position[8];

    kl_put_u64be(position, number);
    return vault_cursor_seal(vault, caller, kind, kl_slice_of(position, sizeof position),
                             ret_cursor, err);
}

enum kl_status vault_cursor_number_open(struct vault *vault, const struct vault_caller *caller,
                                        const char *kind, const char *cursor, uint64_t max,
                                        uint64_t *ret_number, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf position;

    if (cursor == NULL || cursor[0] == '\0') {
        *ret_number = 0;
        return KL_OK;
    }
    kl_buf_init(&position, POSITION_MAX_BYTES);
    status = vault_cursor_open(vault, caller, kind, cursor, &position, err);
    if (status == KL_OK && (position.size != 8 || kl_get_u64be(position.bytes) > max)) {
        status = invalid(err);
    }
    if (status == KL_OK) {
        *ret_number = kl_get_u64be(position.bytes);
    }
    kl_buf_done(&position);
    return status;
}
