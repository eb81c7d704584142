/* An open token, shared by token.c and token_keys.c. */
#ifndef KLUIS_KMS_TOKEN_INTERNAL_H
#define KLUIS_KMS_TOKEN_INTERNAL_H

#include "kms/token.h"

#include <p11-kit/pkcs11.h>

struct kms_token {
    CK_FUNCTION_LIST *module; /* initialised */
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session; /* logged in; CK_INVALID_HANDLE before */
    CK_TOKEN_INFO info;
    struct kms_token_facts facts;
};

/* KL_ERR_IO "token_io", with what PKCS#11 calls the result. */
enum kl_status kms_token_fail(struct kl_err *err, CK_RV result, const char *what);

#endif
