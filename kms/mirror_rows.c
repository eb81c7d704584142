/* The rows that name the mirrors; format.h has their layout. */
#include "kms/mirrors_internal.h"

#include <string.h>

static const unsigned char self_key_byte[1] = {KMS_ROW_MIRROR_SELF};
const struct kl_slice kms_mirror_self_key = {self_key_byte, sizeof self_key_byte};

void kms_mirror_key(const unsigned char id[KMS_MIRROR_ID_BYTES],
                    unsigned char ret_key[KMS_MIRROR_KEY_BYTES])
{
    ret_key[0] = KMS_ROW_MIRROR;
    memcpy(ret_key + 1, id, KMS_MIRROR_ID_BYTES);
}

enum kl_status kms_mirror_row_write(enum kms_mirror_joined joined, int64_t registered_us,
                                    const char *dir, const char *label, struct kl_buf *ret_row,
                                    struct kl_err *err)
{
    kl_buf_add_byte(ret_row, KMS_FORMAT_VERSION);
    kl_buf_add_byte(ret_row, (unsigned char)joined);
    kl_buf_add_u64be(ret_row, (uint64_t)registered_us);
    kl_buf_add_sized(ret_row, dir, strlen(dir));
    kl_buf_add_sized(ret_row, label, strlen(label));
    return kl_buf_status(ret_row, err);
}

static bool text_take(struct kl_slice bytes, size_t max, char *ret_text)
{
    if (bytes.size > max || memchr(bytes.bytes, '\0', bytes.size) != NULL) {
        return false;
    }
    memcpy(ret_text, bytes.bytes, bytes.size);
    ret_text[bytes.size] = '\0';
    return true;
}

enum kl_status kms_mirror_row_parse(struct kl_slice key, struct kl_slice value,
                                    struct kms_mirror_row *ret_row, struct kl_err *err)
{
    struct kl_reader reader = kl_reader_of(value);
    uint8_t version = kl_read_byte(&reader);
    struct kms_mirror_row row = {.joined = (enum kms_mirror_joined)kl_read_byte(&reader)};
    struct kl_slice dir;
    struct kl_slice label;

    row.registered_us = (int64_t)kl_read_u64be(&reader);
    dir = kl_read_sized(&reader);
    label = kl_read_sized(&reader);
    if (!kl_reader_done(&reader) || version != KMS_FORMAT_VERSION ||
        key.size != KMS_MIRROR_KEY_BYTES || dir.size == 0 ||
        (row.joined != KMS_MIRROR_JOINING && row.joined != KMS_MIRROR_MEMBER) ||
        !text_take(dir, KMS_MIRROR_DIR_MAX_BYTES, row.dir) ||
        !text_take(label, KMS_MIRROR_LABEL_MAX_BYTES, row.label)) {
        return kl_fail(err, KL_ERR_CORRUPT, "key_mirror_corrupt", "the key store is damaged",
                       "a row that names a mirror cannot be read");
    }
    memcpy(row.id, key.bytes + 1, sizeof row.id);
    *ret_row = row;
    return KL_OK;
}

void kms_mirror_self_write(const unsigned char id[KMS_MIRROR_ID_BYTES], enum kms_mirror_self self,
                           unsigned char ret_bytes[KMS_MIRROR_SELF_BYTES])
{
    ret_bytes[0] = KMS_FORMAT_VERSION;
    memcpy(ret_bytes + 1, id, KMS_MIRROR_ID_BYTES);
    ret_bytes[1 + KMS_MIRROR_ID_BYTES] = (unsigned char)self;
}

enum kl_status kms_mirror_self_read(const struct kms_storage *storage,
                                    unsigned char ret_id[KMS_MIRROR_ID_BYTES],
                                    enum kms_mirror_self *ret_self, struct kl_err *err)
{
    struct kl_buf row;
    unsigned self;
    enum kl_status status;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    status = storage->get(storage->context, kms_mirror_self_key, &row, err);
    if (status != KL_OK) {
        kl_buf_done(&row);
        return status;
    }
    self = row.size == KMS_MIRROR_SELF_BYTES ? row.bytes[1 + KMS_MIRROR_ID_BYTES] : 0;
    if (self < KMS_MIRROR_COPYING || self > KMS_MIRROR_DESTROYED ||
        row.bytes[0] != KMS_FORMAT_VERSION) {
        status = kl_fail(err, KL_ERR_CORRUPT, "key_mirror_corrupt", "the key store is damaged",
                         "the row that says which mirror this is cannot be read");
    } else {
        memcpy(ret_id, row.bytes + 1, KMS_MIRROR_ID_BYTES);
        *ret_self = (enum kms_mirror_self)self;
    }
    kl_buf_done(&row);
    return status;
}
