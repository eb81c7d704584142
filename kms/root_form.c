#include "kms/root_form.h"

#include <sodium.h>
#include <string.h>

_Static_assert(KMS_ROOT_SALT_BYTES == crypto_pwhash_SALTBYTES, "Argon2id's salt");
_Static_assert(KMS_ROOT_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
               "XChaCha20's nonce");
_Static_assert(KMS_ROOT_WRAPPED_BYTES == KMS_KEY_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "a wrapped root key");

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                   "no memory can be locked for a root key");
}

enum kl_status kms_root_form_derive(struct kms_root_form *form, const char *passphrase,
                                    size_t passphrase_bytes, struct kl_err *err)
{
    struct kl_secret *wrapping = kl_secret_new(KMS_KEY_BYTES);

    if (wrapping == NULL) {
        return fail_memory(err);
    }
    if (crypto_pwhash(kl_secret_bytes(wrapping), KMS_KEY_BYTES, passphrase, passphrase_bytes,
                      form->salt, form->passes, (size_t)form->memory_bytes,
                      crypto_pwhash_ALG_ARGON2ID13) != 0) {
        kl_secret_free(wrapping);
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "Argon2id needs %llu bytes of memory",
                       (unsigned long long)form->memory_bytes);
    }
    form->wrapping = wrapping;
    return KL_OK;
}

enum kl_status kms_root_form_make(const struct kms_custodian_options *options,
                                  enum kms_root_kind kind, struct kms_root_form *ret_form,
                                  struct kl_err *err)
{
    struct kms_root_form form = {.kind = kind};
    enum kl_status status = KL_OK;

    if (kind == KMS_ROOT_PASSPHRASE) {
        form.passes =
            options->argon2_light ? crypto_pwhash_OPSLIMIT_MIN : crypto_pwhash_OPSLIMIT_MODERATE;
        form.memory_bytes =
            options->argon2_light ? crypto_pwhash_MEMLIMIT_MIN : crypto_pwhash_MEMLIMIT_MODERATE;
        randombytes_buf(form.salt, sizeof form.salt);
        status = kms_root_form_derive(&form, options->passphrase, options->passphrase_bytes, err);
    }
    if (status == KL_OK) {
        *ret_form = form;
    }
    return status;
}

enum kl_status kms_root_form_copy(const struct kms_root_form *form, struct kms_root_form *ret_form,
                                  struct kl_err *err)
{
    struct kms_root_form copy = *form;

    if (form->wrapping != NULL) {
        copy.wrapping = kl_secret_new(KMS_KEY_BYTES);
        if (copy.wrapping == NULL) {
            return fail_memory(err);
        }
        memcpy(kl_secret_bytes(copy.wrapping), kl_secret_peek(form->wrapping), KMS_KEY_BYTES);
    }
    *ret_form = copy;
    return KL_OK;
}

void kms_root_form_done(struct kms_root_form *form)
{
    kl_secret_free(form->wrapping);
    memset(form, 0, sizeof *form);
}

static bool form_fits(const struct kms_root_form *form, const struct kms_root_slot *slot)
{
    return form->kind == slot->kind && form->passes == slot->passes &&
           form->memory_bytes == slot->memory_bytes &&
           memcmp(form->salt, slot->salt, sizeof form->salt) == 0;
}

struct kms_root_form kms_root_form_of(const struct kms_root_slot *slot)
{
    struct kms_root_form form = {
        .kind = slot->kind, .passes = slot->passes, .memory_bytes = slot->memory_bytes};

    memcpy(form.salt, slot->salt, sizeof form.salt);
    return form;
}

/* ---- wrapping ---- */

/* The header that the wrapped key is bound to: the slot as it will be written, up to the nonce. */
static void slot_header(const struct kms_root_slot *slot,
                        unsigned char ret_header[KMS_ROOT_HEADER_BYTES])
{
    unsigned char bytes[KMS_ROOT_SLOT_BYTES];

    kms_root_slot_write(slot, bytes);
    memcpy(ret_header, bytes, KMS_ROOT_HEADER_BYTES);
    sodium_memzero(bytes, sizeof bytes);
}

void kms_root_slot_wrap(const struct kms_root_form *form,
                        const unsigned char store_id[KMS_STORE_ID_BYTES], uint64_t generation,
                        const unsigned char key[KMS_KEY_BYTES], struct kms_root_slot *ret_slot)
{
    unsigned char header[KMS_ROOT_HEADER_BYTES];
    struct kms_root_slot *slot = ret_slot;

    memset(slot, 0, sizeof *slot);
    slot->kind = form->kind;
    slot->passes = form->passes;
    slot->memory_bytes = form->memory_bytes;
    slot->generation = generation;
    memcpy(slot->store_id, store_id, sizeof slot->store_id);
    memcpy(slot->salt, form->salt, sizeof slot->salt);
    if (form->wrapping == NULL) {
        memcpy(slot->key, key, KMS_KEY_BYTES);
        return;
    }
    slot_header(slot, header);
    randombytes_buf(slot->nonce, sizeof slot->nonce);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(slot->key, NULL, key, KMS_KEY_BYTES, header,
                                                     sizeof header, NULL, slot->nonce,
                                                     kl_secret_peek(form->wrapping));
}

enum kl_status kms_root_slot_unwrap(const struct kms_root_form *form,
                                    const struct kms_root_slot *slot,
                                    unsigned char ret_key[KMS_KEY_BYTES], struct kl_err *err)
{
    unsigned char header[KMS_ROOT_HEADER_BYTES];

    if (slot->kind == KMS_ROOT_BARE) {
        memcpy(ret_key, slot->key, KMS_KEY_BYTES);
        return KL_OK;
    }
    slot_header(slot, header);
    if (!form_fits(form, slot) ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(ret_key, NULL, NULL, slot->key, sizeof slot->key,
                                                   header, sizeof header, slot->nonce,
                                                   kl_secret_peek(form->wrapping)) != 0) {
        return kl_fail(err, KL_ERR_UNAUTHORISED, "wrong_passphrase",
                       "the passphrase does not open the root file", NULL);
    }
    return KL_OK;
}
