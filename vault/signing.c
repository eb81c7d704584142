#include "vault/signing.h"

#include "vault/rows.h"

#include <string.h>

#define FORMAT 1
#define STATE_BYTES 6
#define KEY_BYTES (2 + 8)
#define LINK_KEY_BYTES (KEY_BYTES + 4)
#define TRIES 8

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "signing_key_damaged",
                   "what is kept beside the keys about the signing key is damaged", NULL);
}

static void key_make(uint64_t tenant, unsigned char ret_key[KEY_BYTES])
{
    ret_key[0] = KMS_SIDE_ROW;
    ret_key[1] = 'H';
    kl_put_u64be(ret_key + 2, tenant);
}

static void link_key_make(uint64_t tenant, uint32_t number, unsigned char ret_key[LINK_KEY_BYTES])
{
    key_make(tenant, ret_key);
    kl_put_u32be(ret_key + KEY_BYTES, number);
}

struct kms_place vault_signing_place(uint64_t tenant, uint32_t number)
{
    return (struct kms_place){.tenant = tenant,
                              .slot =
                                  number % 2 == 0 ? VAULT_SLOT_SIGNING : VAULT_SLOT_SIGNING_TURN,
                              .value = KMS_VALUE_NONE};
}

/* ---- which one is in use ---- */

enum kl_status vault_signing_state(struct kms *keys, uint64_t tenant,
                                   struct vault_signing_state *ret, struct kl_err *err)
{
    unsigned char key[KEY_BYTES];
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status;

    key_make(tenant, key);
    kl_buf_init(&row, STATE_BYTES);
    status = kms_side_get(keys, kl_slice_of(key, sizeof key), &row, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        *ret = (struct vault_signing_state){.number = 0, .destroyed = true};
        status = KL_OK;
    } else if (status == KL_ERR_TOO_LARGE ||
               (status == KL_OK && (row.size != STATE_BYTES || row.bytes[0] != FORMAT))) {
        status = damaged(err);
    } else if (status == KL_OK) {
        ret->number = kl_get_u32be(row.bytes + 1);
        ret->destroyed = row.bytes[5] != 0;
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status state_put(struct kms *keys, uint64_t tenant,
                                const struct vault_signing_state *state,
                                const struct kms_storage_write *link, struct kl_err *err)
{
    unsigned char key[KEY_BYTES] = {0};
    unsigned char row[STATE_BYTES] = {FORMAT};
    struct kms_storage_write writes[2] = {
        {.key = kl_slice_of(key, sizeof key), .value = kl_slice_of(row, sizeof row)}};

    key_make(tenant, key);
    kl_put_u32be(row + 1, state->number);
    row[5] = state->destroyed ? 1 : 0;
    if (link != NULL) {
        writes[1] = *link;
    }
    return kms_side_apply(keys, writes, link == NULL ? 1 : 2, true, err);
}

enum kl_status vault_signing_put(struct kms *keys, uint64_t tenant,
                                 const struct kl_trail_link *link, struct kl_err *err)
{
    const struct vault_signing_state state = {.number = link->number, .destroyed = false};
    unsigned char key[LINK_KEY_BYTES] = {0};
    struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key)};
    struct kl_buf text;
    enum kl_status status;

    link_key_make(tenant, link->number, key);
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_link_write(link, &text);
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        write.value = kl_buf_slice(&text);
        status = state_put(keys, tenant, &state, &write, err);
    }
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_signing_settled(struct kms *keys, uint64_t tenant, uint32_t number,
                                     struct kl_err *err)
{
    const struct vault_signing_state state = {.number = number, .destroyed = true};

    return state_put(keys, tenant, &state, NULL, err);
}

/* ---- signing ---- */

enum kl_status vault_signer_get(struct kms *keys, uint64_t tenant, struct vault_signer *ret,
                                struct kl_err *err)
{
    struct vault_signing_state state = {0};
    struct vault_signer signer = {.keys = keys};
    enum kl_status status = vault_signing_state(keys, tenant, &state, err);

    if (status == KL_OK) {
        signer.number = state.number;
        signer.place = vault_signing_place(tenant, state.number);
        status = kms_public_key(keys, &signer.place, VAULT_SIGNING_LABEL, signer.public_key, err);
    }
    if (status == KL_OK) {
        *ret = signer;
    }
    return status;
}

/* A slot gets another key only after the number has gone up: as long as that is what it was, the slot held the key that was meant. */
enum kl_status vault_signer_sign(const struct vault_signer *signer, const char *label,
                                 struct kl_slice message,
                                 unsigned char ret_signature[KMS_SIGNATURE_BYTES],
                                 struct kl_err *err)
{
    unsigned char signature[KMS_SIGNATURE_BYTES];
    struct vault_signing_state state = {0};
    enum kl_status status = kms_sign(signer->keys, &signer->place, label, message, signature, err);

    if (status == KL_OK) {
        status = vault_signing_state(signer->keys, signer->place.tenant, &state, err);
    }
    if (status == KL_OK && state.number != signer->number) {
        status = kl_fail(err, KL_ERR_BUSY, "signing_key_changed",
                         "the signing key was changed meanwhile; try again", NULL);
    }
    if (status == KL_OK) {
        memcpy(ret_signature, signature, sizeof signature);
    }
    return status;
}

enum kl_status vault_signing_with(struct kms *keys, uint64_t tenant, vault_signing_make make,
                                  void *context, struct kl_err *err)
{
    enum kl_status status = KL_ERR_BUSY;
    struct vault_signer signer;
    struct kl_err cause = {0};

    for (int i = 0; i < TRIES && status == KL_ERR_BUSY; i++) {
        kl_err_clear(&cause);
        status = vault_signer_get(keys, tenant, &signer, &cause);
        if (status == KL_OK) {
            status = make(context, &signer, &cause);
        }
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* ---- the chain ---- */

static enum kl_status link_get(struct kms *keys, uint64_t tenant, const char *tenant_name,
                               uint32_t number, struct kl_trail_link *ret, struct kl_err *err)
{
    unsigned char key[LINK_KEY_BYTES];
    struct kl_json *json = NULL;
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status;

    link_key_make(tenant, number, key);
    kl_buf_init(&row, KL_TRAIL_JSON_MAX_BYTES);
    status = kms_side_get(keys, kl_slice_of(key, sizeof key), &row, &cause);
    if (status == KL_OK) {
        status = kl_json_parse(row.bytes, row.size, &json, &cause);
    }
    if (status == KL_OK) {
        status = kl_trail_link_read(kl_json_root(json), tenant_name, ret, &cause);
    }
    kl_json_free(json);
    kl_buf_done(&row);
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_TOO_LARGE || status == KL_ERR_INVALID) {
        return damaged(err);
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_signing_each(struct kms *keys, uint64_t tenant, const char *tenant_name,
                                  vault_signing_visit visit, void *visitor, struct kl_err *err)
{
    struct vault_signing_state state = {0};
    struct kl_trail_link links[2];
    enum kl_status status = vault_signing_state(keys, tenant, &state, err);

    for (uint32_t number = 1; status == KL_OK && number <= state.number; number++) {
        struct kl_trail_link *link = &links[number % 2];

        status = link_get(keys, tenant, tenant_name, number, link, err);
        if (status == KL_OK) {
            status =
                visit(visitor, link,
                      kl_trail_link_holds(link, number == 1 ? NULL : &links[1 - number % 2]), err);
        }
    }
    return status;
}
