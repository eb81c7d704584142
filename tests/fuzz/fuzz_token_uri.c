/*
 * The address of a PKCS#11 token (RFC 7512), as a configuration or a request gives it: no module is loaded. And the text of any custodian as a trail
 * has it, where no attribute may be that leads to a PIN.
 */
#include "kms/token.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1] = {0};
    char shown[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1];

    if (size > KMS_CUSTODIAN_TEXT_MAX_BYTES) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    if (kms_token_uri_check(text, NULL) == KL_OK) {
        assert(kms_token_is_named(text));
        assert(strstr(text, "pin-value") == NULL && strstr(text, "module-path") != NULL);
    }
    kms_custodian_text_public(text, shown);
    assert(strlen(shown) <= KMS_CUSTODIAN_TEXT_MAX_BYTES);
    if (kms_token_is_named(text)) {
        assert(kms_token_is_named(shown));
        assert(strstr(shown, ";pin-") == NULL && strstr(shown, "?pin-") == NULL &&
               strstr(shown, "&pin-") == NULL && strncmp(shown, "pkcs11:pin-", 11) != 0);
    } else {
        assert(shown[0] == '\0' || strcmp(shown, text) == 0);
    }
    return 0;
}
