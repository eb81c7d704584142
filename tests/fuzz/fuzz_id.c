/* Ids, and the texts of bytes: what is read is written in one form, which reads as the same again. */
#include "kluis/base/encode.h"
#include "kluis/base/id.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX_BYTES 256

static void check_id(const char *text)
{
    struct kl_id id;
    struct kl_id again;
    char written[KL_ID_TEXT_BYTES];
    enum kl_status status = kl_id_parse("sub", text, &id, NULL);

    if (status != KL_OK) {
        assert(status == KL_ERR_INVALID);
        return;
    }
    kl_id_format("sub", &id, written);
    assert(strlen(written) == strlen(text));
    status = kl_id_parse("sub", written, &again, NULL);
    assert(status == KL_OK && kl_id_equal(&id, &again));
}

static void check_base64(const char *text, size_t size)
{
    unsigned char bytes[TEXT_MAX_BYTES];
    char again[TEXT_MAX_BYTES + 4];

    for (size_t count = size / 4 * 3; count <= size / 4 * 3 + 2; count++) {
        if (kl_base64_decode(text, size, bytes, count)) {
            kl_base64(bytes, count, again);
            assert(strlen(again) == size && memcmp(again, text, size) == 0);
        }
    }
}

static void check_hex(const char *text, size_t size)
{
    unsigned char bytes[TEXT_MAX_BYTES / 2];
    unsigned char again[TEXT_MAX_BYTES / 2];
    char written[TEXT_MAX_BYTES + 1];

    if (kl_hex_decode(text, size, bytes, size / 2)) {
        bool decoded;
        assert(strspn(text, "0123456789abcdefABCDEF") == size);
        kl_hex(bytes, size / 2, written);
        decoded = kl_hex_decode(written, size, again, size / 2);
        assert(decoded && memcmp(bytes, again, size / 2) == 0);
    }
}

static void check_utf8(const char *text, size_t size)
{
    size_t at = 0;
    size_t cut = kl_utf8_cut(text, size, size / 2);
    size_t bytes;

    while (at < size && (bytes = kl_utf8_char_bytes(text + at, size - at)) > 0) {
        at += bytes;
    }
    assert((at == size) == kl_utf8_valid(text, size));
    assert(cut <= size / 2 && (at < size || kl_utf8_valid(text, cut)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX_BYTES + 1];

    if (size > TEXT_MAX_BYTES) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    check_id(text);
    check_base64(text, size);
    check_hex(text, size);
    check_utf8(text, size);
    return 0;
}
