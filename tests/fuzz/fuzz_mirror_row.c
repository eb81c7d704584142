/* A row of the key store that names a mirror: the first byte says where its key ends. What is taken is written again as it was. */
#include "kms/mirrors_internal.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(struct kl_slice key, struct kl_slice value)
{
    unsigned char key_written[KMS_MIRROR_KEY_BYTES];
    struct kms_mirror_row row = {.registered_us = 77};
    struct kl_buf written;
    enum kl_status status = KL_OK;

    if (kms_mirror_row_parse(key, value, &row, NULL) != KL_OK) {
        assert(row.registered_us == 77 && row.dir[0] == 0);
        return;
    }
    kms_mirror_key(row.id, key_written);
    assert(memcmp(key.bytes + 1, key_written + 1, sizeof key_written - 1) == 0);
    kl_buf_init(&written, KMS_MIRROR_ROW_MAX_BYTES);
    status =
        kms_mirror_row_write(row.joined, row.registered_us, row.dir, row.label, &written, NULL);
    assert(status == KL_OK);
    assert(kl_slice_equal(value, kl_buf_slice(&written)));
    kl_buf_done(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] < size) {
        again(kl_slice_of(data + 1, data[0]), kl_slice_of(data + 1 + data[0], size - 1 - data[0]));
    }
    return 0;
}
