/* Tokens that somebody sends back: any text is refused, or read and written as the same again; and where a list was. */
#include "vault/list_order.h"
#include "vault/pseudonym.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);

#define TEXT_MAX_BYTES 256

static void write_half(const unsigned char *bytes, char *at)
{
    struct kl_id half;
    char text[KL_ID_TEXT_BYTES];

    memcpy(half.bytes, bytes, KL_ID_BYTES);
    kl_id_format("tok", &half, text);
    memcpy(at, text + 4, KL_ID_DIGITS + 1);
}

static void check_token(const char *text)
{
    unsigned char token[VAULT_PSEUDONYM_BYTES];
    unsigned char again[VAULT_PSEUDONYM_BYTES];
    char written[VAULT_PSEUDONYM_TEXT_BYTES] = "tok_";
    struct kl_err err = {0};
    enum kl_status status = vault_pseudonym_parse(text, token, &err);

    if (status != KL_OK) {
        assert(status == KL_ERR_INVALID && strcmp(err.code, "invalid_token") == 0);
        return;
    }
    write_half(token, written + 4);
    write_half(token + KL_ID_BYTES, written + 4 + KL_ID_DIGITS);
    assert(strlen(written) == strlen(text));
    status = vault_pseudonym_parse(written, again, NULL);
    assert(status == KL_OK && memcmp(token, again, sizeof token) == 0);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    struct vault_list_position position;
    unsigned char written[VAULT_LIST_POSITION_BYTES];
    char text[TEXT_MAX_BYTES + 1];

    if (vault_list_position_decode(kl_slice_of(bytes, size), &position)) {
        vault_list_position_encode(&position, written);
        assert(size == sizeof written && memcmp(bytes, written, size) == 0);
    }
    if (size <= TEXT_MAX_BYTES) {
        if (size > 0) {
            memcpy(text, bytes, size);
        }
        text[size] = '\0';
        check_token(text);
    }
    return 0;
}
