/* The text of a custodian as it may be written down: where a root key went, and no secret. */
#include "kms/token.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* RFC 7512, 2.3 and 2.4, without pin-value and pin-source: what says which token. Vendors' own attributes may hold anything. */
static const char *const of_path[] = {
    "token",  "manufacturer",    "serial", "model", "library-manufacturer", "library-description",
    "object", "library-version", "id",     "type",  "slot-manufacturer",    "slot-description",
    "slot-id"};
static const char *const of_query[] = {"module-name", "module-path"};

static bool is_one_of(const char *name, size_t size, const char *const *names, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strlen(names[i]) == size && memcmp(names[i], name, size) == 0) {
            return true;
        }
    }
    return false;
}

/* The attributes of one kind, in their order. Every separator parts here, also where it should not be: a PIN after a wrong one is one too. */
static void attributes_add(const char *uri, const char *const *names, size_t count,
                           const char *first, const char *next, char *text)
{
    static const char separators[] = ";&?";
    const char *at = uri + strlen(KMS_TOKEN_SCHEME);
    const char *between = first;
    size_t used = strlen(text);

    while (*at != '\0') {
        size_t size = strcspn(at, separators);
        const char *equals = memchr(at, '=', size);

        if (equals != NULL && is_one_of(at, (size_t)(equals - at), names, count) &&
            used + strlen(between) + size <= KMS_CUSTODIAN_TEXT_MAX_BYTES) {
            used += (size_t)snprintf(text + used, KMS_CUSTODIAN_TEXT_MAX_BYTES + 1 - used, "%s%.*s",
                                     between, (int)size, at);
            between = next;
        }
        at += size + (at[size] != '\0' ? 1 : 0);
    }
}

void kms_custodian_text_public(const char *custodian,
                               char ret_text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1])
{
    ret_text[0] = '\0';
    if (strlen(custodian) > KMS_CUSTODIAN_TEXT_MAX_BYTES) {
        return;
    }
    if (kms_token_is_named(custodian)) {
        memcpy(ret_text, KMS_TOKEN_SCHEME, sizeof KMS_TOKEN_SCHEME);
        attributes_add(custodian, of_path, sizeof of_path / sizeof of_path[0], "", ";", ret_text);
        attributes_add(custodian, of_query, sizeof of_query / sizeof of_query[0], "?", "&",
                       ret_text);
    } else if (strncmp(custodian, "file:", 5) == 0 || strncmp(custodian, "passphrase:", 11) == 0) {
        memcpy(ret_text, custodian, strlen(custodian) + 1);
    }
}
