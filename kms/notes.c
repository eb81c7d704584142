/* Notes of past commits, and their root hashes: rows that were written with the commit, until their tellings are safe elsewhere. */
#include "kms/internal.h"

#include <stdlib.h>
#include <string.h>

#define FORGET_BATCH 1024

static const unsigned char note_prefix[1] = {KMS_ROW_NOTE};
static const unsigned char roots_prefix[1] = {KMS_ROW_ROOTS};

struct each {
    uint64_t after;
    kms_note_visit visit;
    void *visitor;
};

static bool note_key_parse(struct kl_slice key, uint64_t *ret_generation)
{
    if (key.size != KMS_NOTE_KEY_BYTES) {
        return false;
    }
    *ret_generation = kl_get_u64be(key.bytes + 1);
    return true;
}

static enum kl_status visit_row(void *visitor, struct kl_slice key, struct kl_slice value,
                                struct kl_err *err)
{
    struct each *each = visitor;
    uint64_t generation = 0;

    if (!note_key_parse(key, &generation) || value.size < 1 ||
        value.bytes[0] != KMS_FORMAT_VERSION) {
        return kl_fail(err, KL_ERR_CORRUPT, "key_note_corrupt", "the key store is damaged",
                       "a note of the key store cannot be read");
    }
    if (generation <= each->after) {
        return KL_OK;
    }
    return each->visit(each->visitor, generation,
                       (struct kl_slice){value.bytes + 1, value.size - 1}, err);
}

enum kl_status kms_notes_each(struct kms *kms, uint64_t after, kms_note_visit visit, void *visitor,
                              struct kl_err *err)
{
    struct each each = {after, visit, visitor};
    const struct kms_storage *storage = kms->rows.storage;

    return storage->range(storage->context, (struct kl_slice){note_prefix, sizeof note_prefix},
                          visit_row, &each, err);
}

enum kl_status kms_root_hashes(struct kms *kms, uint64_t generation, struct kms_root_hashes *ret,
                               struct kl_err *err)
{
    unsigned char key[KMS_ROOTS_KEY_BYTES];
    struct kl_err reading = {0};
    struct kl_buf row;
    enum kl_status status;

    kms_roots_key(generation, key);
    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    status = kms_rows_get(&kms->rows, (struct kl_slice){key, sizeof key}, &row, &reading);
    if (status == KL_ERR_NOT_FOUND) {
        status = kl_fail(err, status, "key_root_hashes_unknown",
                         "the root hashes of this change of the keys are not known", NULL);
    } else if (status != KL_OK) {
        status = kl_fail(err, status, "key_store_io", "the key store could not be read", "%s",
                         reading.log_text);
    } else if (row.size != KMS_ROOTS_BYTES || row.bytes[0] != KMS_FORMAT_VERSION) {
        status = kl_fail(err, KL_ERR_CORRUPT, "key_root_hashes_corrupt", "the key store is damaged",
                         "root hashes cannot be read");
    } else {
        memcpy(ret->from, row.bytes + 1, sizeof ret->from);
        memcpy(ret->to, row.bytes + 1 + sizeof ret->from, sizeof ret->to);
    }
    kl_buf_done(&row);
    return status;
}

/* Keys of old notes and root hashes, a batch of them. */
struct old_notes {
    uint64_t up_to;
    size_t count;
    bool more;
    unsigned char keys[FORGET_BATCH][KMS_NOTE_KEY_BYTES];
    struct kms_storage_write writes[FORGET_BATCH + 1];
};

static enum kl_status collect_row(void *visitor, struct kl_slice key, struct kl_slice value,
                                  struct kl_err *err)
{
    struct old_notes *old = visitor;

    (void)value;
    (void)err;
    if ((key.size != KMS_NOTE_KEY_BYTES && key.size != KMS_ROOTS_KEY_BYTES) ||
        kl_get_u64be(key.bytes + 1) > old->up_to || old->more) {
        return KL_OK;
    }
    if (old->count == FORGET_BATCH) {
        old->more = true;
        return KL_OK;
    }
    memcpy(old->keys[old->count], key.bytes, key.size);
    old->writes[old->count].key = (struct kl_slice){old->keys[old->count], key.size};
    old->writes[old->count].value = (struct kl_slice){NULL, 0};
    old->count++;
    return KL_OK;
}

static enum kl_status forget_batch(struct kms *kms, struct old_notes *old, struct kl_err *err)
{
    const struct kms_storage *storage = kms->rows.storage;
    struct kl_err failure = {0};
    enum kl_status status;

    old->count = 0;
    old->more = false;
    status = storage->range(storage->context, (struct kl_slice){note_prefix, sizeof note_prefix},
                            collect_row, old, err);
    if (status == KL_OK) {
        status =
            storage->range(storage->context, (struct kl_slice){roots_prefix, sizeof roots_prefix},
                           collect_row, old, err);
    }
    if (status != KL_OK || old->count == 0) {
        return status;
    }
    status = kms_rows_apply_room(&kms->rows, old->writes, old->count, false, &failure);
    if (status != KL_OK) {
        kms_fatal(kms, &failure);
        return kl_fail(err, KL_ERR_IO, "key_store_io", "the key store could not be written", "%s",
                       failure.log_text);
    }
    return KL_OK;
}

enum kl_status kms_notes_forget(struct kms *kms, uint64_t up_to, struct kl_err *err)
{
    struct old_notes *old = malloc(sizeof *old);
    enum kl_status status = kms_broken_check(kms, err);

    if (old == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "no memory for the keys of notes");
    }
    old->up_to = up_to;
    old->more = true;
    while (status == KL_OK && old->more) {
        status = forget_batch(kms, old, err);
    }
    free(old);
    return status;
}
