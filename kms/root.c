#include "kms/root.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                   "no memory can be locked for a root key");
}

static struct kl_secret *fresh_key(void)
{
    struct kl_secret *key = kl_secret_new(KMS_KEY_BYTES);

    if (key != NULL) {
        randombytes_buf(kl_secret_bytes(key), KMS_KEY_BYTES);
    }
    return key;
}

void kms_root_done(struct kms_root *root)
{
    kl_secret_free(root->current);
    kl_secret_free(root->staged);
    kl_secret_free(root->next);
    memset(root, 0, sizeof *root);
}

enum kl_status kms_root_begin(struct kms_root *root, struct kms_root_place *place,
                              struct kl_err *err)
{
    enum kl_status status;

    root->generation = 1;
    root->current = fresh_key();
    if (root->current == NULL) {
        return fail_memory(err);
    }
    status = kms_root_restage(root, place, err);
    return status == KL_OK
               ? kms_root_place_store(place, root->generation, kl_secret_peek(root->current), err)
               : status;
}

enum kl_status kms_root_load(struct kms_root *root, struct kms_root_place *place,
                             uint64_t generation, struct kl_err *err)
{
    struct kl_secret *key = kl_secret_new(KMS_KEY_BYTES);
    enum kl_status status;

    if (key == NULL) {
        return fail_memory(err);
    }
    status = kms_root_place_load(place, generation, kl_secret_bytes(key), err);
    if (status != KL_OK) {
        kl_secret_free(key);
        return status;
    }
    kl_secret_free(root->current);
    root->current = key;
    root->generation = generation;
    return KL_OK;
}

enum kl_status kms_root_restage(struct kms_root *root, struct kms_root_place *place,
                                struct kl_err *err)
{
    struct kl_secret *fresh = fresh_key();
    enum kl_status status;

    if (fresh == NULL) {
        return fail_memory(err);
    }
    status = kms_root_place_store(place, root->generation + 1, kl_secret_peek(fresh), err);
    if (status != KL_OK) {
        kl_secret_free(fresh);
        return status;
    }
    kl_secret_free(root->staged);
    root->staged = fresh;
    return KL_OK;
}

enum kl_status kms_root_ready(struct kms_root *root, struct kl_err *err)
{
    if (root->next == NULL) {
        root->next = fresh_key();
    }
    return root->next != NULL ? KL_OK : fail_memory(err);
}

enum kl_status kms_root_overwrite(const struct kms_root *root, struct kms_root_place *place,
                                  struct kl_err *err)
{
    assert(root->staged != NULL && root->next != NULL);
    return kms_root_place_store(place, root->generation + 2, kl_secret_peek(root->next), err);
}

void kms_root_turn(struct kms_root *root)
{
    assert(root->staged != NULL && root->next != NULL);
    kl_secret_free(root->current);
    root->current = root->staged;
    root->staged = root->next;
    root->next = NULL;
    root->generation++;
}
