/* Padding of values: ISO/IEC 7816-4 (a byte 0x80, then zeros) up to one of few sizes. */
#include "kluis/vault/value.h"

#include <assert.h>
#include <string.h>

#define PAD_FIRST 16
#define PAD_DOUBLED_TO 1024
#define PAD_VALUE_MAX_BYTES ((size_t)1 << 30)
#define PAD_MARK 0x80

size_t vault_pad_size(size_t size)
{
    size_t padded = PAD_FIRST;

    assert(size <= PAD_VALUE_MAX_BYTES);
    while (padded <= size)
        padded += padded < PAD_DOUBLED_TO ? padded : padded / 10;
    return padded;
}

enum kl_status vault_pad(struct kl_slice value, struct kl_buf *ret, struct kl_err *err)
{
    const size_t padded = vault_pad_size(value.size);
    unsigned char *out = kl_buf_extend(ret, padded);

    if (out == NULL)
        return kl_buf_status(ret, err);
    if (value.size > 0)
        memcpy(out, value.bytes, value.size);
    out[value.size] = PAD_MARK;
    memset(out + value.size + 1, 0, padded - value.size - 1);
    return KL_OK;
}

enum kl_status vault_unpad(struct kl_slice padded, struct kl_slice *ret_value, struct kl_err *err)
{
    size_t size = padded.size;

    while (size > 0 && padded.bytes[size - 1] == 0)
        size--;
    if (size == 0 || padded.bytes[size - 1] != PAD_MARK || size - 1 > PAD_VALUE_MAX_BYTES ||
        vault_pad_size(size - 1) != padded.size)
        return kl_fail(err, KL_ERR_CORRUPT, "corrupt", "stored data is damaged",
                       "a value is not padded as it should be");
    *ret_value = kl_slice_of(padded.bytes, size - 1);
    return KL_OK;
}
