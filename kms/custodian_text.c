/* The text of a custodian as it may be written down: where a root key went, and no secret. */
#include "kms/token.h"

#include <p11-kit/uri.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What RFC 7512 knows, written anew, so that nothing goes along that is only there because it was not understood. */
static void token_write(const char *custodian, char ret_text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1])
{
    P11KitUri *uri = p11_kit_uri_new();
    char *text = NULL;

    (void)snprintf(ret_text, KMS_CUSTODIAN_TEXT_MAX_BYTES + 1, "pkcs11:");
    if (uri == NULL || p11_kit_uri_parse(custodian, P11_KIT_URI_FOR_ANY, uri) != P11_KIT_URI_OK) {
        p11_kit_uri_free(uri);
        return;
    }
    p11_kit_uri_set_pin_value(uri, NULL);
    p11_kit_uri_set_pin_source(uri, NULL);
    if (p11_kit_uri_format(uri, P11_KIT_URI_FOR_ANY, &text) == P11_KIT_URI_OK &&
        strlen(text) <= KMS_CUSTODIAN_TEXT_MAX_BYTES) {
        memcpy(ret_text, text, strlen(text) + 1);
    }
    free(text);
    p11_kit_uri_free(uri);
}

void kms_custodian_text_public(const char *custodian,
                               char ret_text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1])
{
    ret_text[0] = '\0';
    if (strlen(custodian) > KMS_CUSTODIAN_TEXT_MAX_BYTES) {
        return;
    }
    if (kms_token_is_named(custodian)) {
        token_write(custodian, ret_text);
    } else if (strncmp(custodian, "file:", 5) == 0 || strncmp(custodian, "passphrase:", 11) == 0) {
        memcpy(ret_text, custodian, strlen(custodian) + 1);
    }
}
