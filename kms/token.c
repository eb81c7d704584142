/* From a PKCS#11 URI to a session: the module, the token, the PIN; and what to think of such a token. */
#include "kms/token.h"

#include "kluis/base/file.h"
#include "kms/token_internal.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SLOTS_MAX 256

enum kl_status kms_token_fail(struct kl_err *err, CK_RV result, const char *what)
{
    if (result == CKR_HOST_MEMORY) {
        return kl_fail_memory(err);
    }
    return kl_fail(err, KL_ERR_IO, "token_io", "the token of the root key could not be used",
                   "the token could not %s: %s", what, p11_kit_strerror(result));
}

/* ---- the address ---- */

bool kms_token_is_named(const char *custodian)
{
    return custodian != NULL && strncmp(custodian, KMS_TOKEN_SCHEME, strlen(KMS_TOKEN_SCHEME)) == 0;
}

static enum kl_status fail_uri(struct kl_err *err, const char *text)
{
    return kl_failf(err, KL_ERR_INVALID, "token_uri",
                    "%s; a token is pkcs11:token=LABEL?module-path=FILE", text);
}

static enum kl_status uri_check(P11KitUri *uri, struct kl_err *err)
{
    const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(uri);
    const char *source = p11_kit_uri_get_pin_source(uri);
    CK_ULONG attributes = 0;

    if (p11_kit_uri_any_unrecognized(uri)) {
        return fail_uri(err, "the address of the token holds a word that is not known");
    }
    if (p11_kit_uri_get_pin_value(uri) != NULL) {
        return fail_uri(err, "a PIN does not belong into an address: use pin-source=file:PATH");
    }
    if (source != NULL && strncmp(source, "file:/", 6) != 0) {
        return fail_uri(err, "pin-source must be file: and an absolute path");
    }
    (void)p11_kit_uri_get_attributes(uri, &attributes);
    if (attributes > 0) {
        return fail_uri(err, "the address names an object; kluis makes its own");
    }
    if (p11_kit_uri_get_module_path(uri) == NULL) {
        return fail_uri(err, "module-path is missing");
    }
    if (token->label[0] == '\0' && token->serialNumber[0] == '\0') {
        return fail_uri(err, "token= or serial= is missing");
    }
    return KL_OK;
}

static enum kl_status uri_parse(const char *text, P11KitUri **ret_uri, struct kl_err *err)
{
    P11KitUri *uri = p11_kit_uri_new();
    enum kl_status status;

    if (uri == NULL) {
        return kl_fail_memory(err);
    }
    if (strlen(text) > KMS_CUSTODIAN_TEXT_MAX_BYTES ||
        p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri) != P11_KIT_URI_OK) {
        status = fail_uri(err, "the address of the token is no PKCS#11 URI (RFC 7512)");
    } else {
        status = uri_check(uri, err);
    }
    if (status != KL_OK) {
        p11_kit_uri_free(uri);
        return status;
    }
    *ret_uri = uri;
    return KL_OK;
}

enum kl_status kms_token_uri_check(const char *uri, struct kl_err *err)
{
    P11KitUri *parsed = NULL;
    enum kl_status status = uri_parse(uri, &parsed, err);

    p11_kit_uri_free(parsed);
    return status;
}

/* ---- the module and the token ---- */

/* PKCS#11 pads with spaces. ret_text has one byte more than the field. */
static void text_of(const unsigned char *field, size_t bytes, char *ret_text)
{
    size_t length = p11_kit_space_strlen(field, bytes);

    memcpy(ret_text, field, length);
    ret_text[length] = '\0';
}

static enum kl_status module_load(struct kms_token *token, P11KitUri *uri, struct kl_err *err)
{
    CK_FUNCTION_LIST *module;
    CK_RV result;

    p11_kit_be_quiet();
    module = p11_kit_module_load(p11_kit_uri_get_module_path(uri), 0);
    if (module == NULL) {
        const char *reason = p11_kit_message();

        return kl_fail(err, KL_ERR_NOT_FOUND, "token_module_missing",
                       "the module that module-path names cannot be loaded",
                       "the PKCS#11 module cannot be loaded: %s",
                       reason != NULL ? reason : "no reason given");
    }
    result = p11_kit_module_initialize(module); /* with CKF_OS_LOCKING_OK; counts who uses it */
    if (result != CKR_OK) {
        p11_kit_module_release(module);
        return kms_token_fail(err, result, "start");
    }
    token->module = module;
    return KL_OK;
}

static bool slot_matches(CK_FUNCTION_LIST *module, P11KitUri *uri, CK_SLOT_ID slot,
                         CK_TOKEN_INFO *ret_info)
{
    CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(uri);
    CK_SLOT_INFO slot_info;

    return (wanted == (CK_SLOT_ID)-1 || wanted == slot) &&
           module->C_GetSlotInfo(slot, &slot_info) == CKR_OK &&
           p11_kit_uri_match_slot_info(uri, &slot_info) &&
           module->C_GetTokenInfo(slot, ret_info) == CKR_OK &&
           (ret_info->flags & CKF_TOKEN_INITIALIZED) != 0 &&
           p11_kit_uri_match_token_info(uri, ret_info);
}

static enum kl_status facts_read(struct kms_token *token, struct kl_err *err)
{
    CK_SLOT_INFO slot;
    CK_INFO module;
    CK_RV result = token->module->C_GetSlotInfo(token->slot, &slot);

    if (result == CKR_OK) {
        result = token->module->C_GetInfo(&module);
    }
    if (result != CKR_OK) {
        return kms_token_fail(err, result, "describe itself");
    }
    text_of(token->info.label, sizeof token->info.label, token->facts.label);
    text_of(token->info.manufacturerID, sizeof token->info.manufacturerID,
            token->facts.manufacturer);
    text_of(token->info.model, sizeof token->info.model, token->facts.model);
    text_of(module.manufacturerID, sizeof module.manufacturerID, token->facts.module);
    token->facts.hardware = (slot.flags & CKF_HW_SLOT) != 0;
    return KL_OK;
}

static enum kl_status token_find(struct kms_token *token, P11KitUri *uri, struct kl_err *err)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    CK_TOKEN_INFO info;
    size_t matches = 0;
    CK_RV result = token->module->C_GetSlotList(CK_TRUE, slots, &count);

    if (result != CKR_OK) {
        return kms_token_fail(err, result, "be looked for");
    }
    for (CK_ULONG i = 0; i < count; i++) {
        if (slot_matches(token->module, uri, slots[i], &info)) {
            token->slot = slots[i];
            token->info = info;
            matches++;
        }
    }
    if (matches == 0) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "token_missing",
                       "there is no token that the address describes", NULL);
    }
    if (matches > 1) {
        return kl_fail(err, KL_ERR_INVALID, "token_ambiguous",
                       "several tokens are as the address describes: add serial=", NULL);
    }
    return facts_read(token, err);
}

/* ---- the PIN ---- */

enum kl_status kms_token_pin_may_be_tried(unsigned long flags, struct kl_err *err)
{
    if ((flags & CKF_USER_PIN_LOCKED) != 0) {
        return kl_fail(err, KL_ERR_REFUSED, "token_pin_locked",
                       "the PIN of the token is locked: its security officer can set a new one",
                       NULL);
    }
    if ((flags & CKF_USER_PIN_FINAL_TRY) != 0) {
        return kl_fail(
            err, KL_ERR_REFUSED, "token_pin_final_try",
            "one more wrong PIN would lock the token: log in with the token's own tool first",
            NULL);
    }
    if ((flags & (CKF_USER_PIN_INITIALIZED | CKF_PROTECTED_AUTHENTICATION_PATH)) == 0) {
        return kl_fail(err, KL_ERR_REFUSED, "token_pin_unset", "the token has no PIN yet", NULL);
    }
    return KL_OK;
}

static enum kl_status login(struct kms_token *token, const unsigned char *pin, size_t pin_bytes,
                            struct kl_err *err)
{
    unsigned char copy[KMS_TOKEN_PIN_MAX_BYTES]; /* the interface asks for bytes it may write to */
    CK_RV result;
    enum kl_status status = kms_token_pin_may_be_tried(token->info.flags, err);

    if (status != KL_OK) {
        return status;
    }
    if (pin == NULL && (token->info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) == 0) {
        return kl_fail(err, KL_ERR_INVALID, "pin_missing", "the PIN of the token is needed", NULL);
    }
    if (pin != NULL) {
        memcpy(copy, pin, pin_bytes);
    }
    result = token->module->C_Login(token->session, CKU_USER, pin == NULL ? NULL : copy, pin_bytes);
    sodium_memzero(copy, sizeof copy);
    switch (result) {
    case CKR_OK:
    case CKR_USER_ALREADY_LOGGED_IN: /* by another vault of this process */
        return KL_OK;
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
        return kl_fail(err, KL_ERR_UNAUTHORISED, "wrong_pin", "the PIN does not open the token",
                       NULL);
    case CKR_PIN_LOCKED:
        return kms_token_pin_may_be_tried(CKF_USER_PIN_LOCKED, err);
    default:
        return kms_token_fail(err, result, "log in");
    }
}

enum kl_status kms_token_pin_read(const char *path, struct kl_buf *ret, struct kl_err *err)
{
    struct kl_err reading = {0};
    struct kl_buf file = {0};
    enum kl_status status = kl_file_read(path, KMS_TOKEN_PIN_MAX_BYTES + 2, &file, &reading);

    if (status != KL_OK) {
        return kl_fail(err, status == KL_ERR_NOT_FOUND ? status : KL_ERR_INVALID,
                       status == KL_ERR_NOT_FOUND ? "pin_file_missing" : "pin_length",
                       "the file of the token's PIN cannot be read", "%s", reading.log_text);
    }
    while (file.size > 0 &&
           (file.bytes[file.size - 1] == '\n' || file.bytes[file.size - 1] == '\r')) {
        file.size--;
    }
    if (file.size == 0 || file.size > KMS_TOKEN_PIN_MAX_BYTES) {
        kl_buf_done(&file);
        return kl_failf(err, KL_ERR_INVALID, "pin_length", "a PIN has 1 to %d bytes",
                        KMS_TOKEN_PIN_MAX_BYTES);
    }
    *ret = file;
    return KL_OK;
}

/* source is a URI of a file. */
static enum kl_status login_by_file(struct kms_token *token, const char *source, struct kl_err *err)
{
    struct kl_buf pin = {0};
    enum kl_status status = kms_token_pin_read(source + strlen("file:"), &pin, err);

    if (status == KL_OK) {
        status = login(token, pin.bytes, pin.size, err);
    }
    kl_buf_done(&pin);
    return status;
}

/* ---- what it can do ---- */

static bool has_mechanism(const struct kms_token *token, CK_MECHANISM_TYPE type, CK_FLAGS flags)
{
    CK_MECHANISM_INFO info;

    return token->module->C_GetMechanismInfo(token->slot, type, &info) == CKR_OK &&
           (info.flags & flags) == flags;
}

static enum kl_status fitness_check(const struct kms_token *token, struct kl_err *err)
{
    if ((token->info.flags & CKF_WRITE_PROTECTED) != 0) {
        return kl_fail(err, KL_ERR_REFUSED, "token_unfit", "the token is write-protected", NULL);
    }
    if (!has_mechanism(token, CKM_AES_KEY_GEN, CKF_GENERATE) ||
        !has_mechanism(token, CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT)) {
        return kl_fail(err, KL_ERR_REFUSED, "token_unfit",
                       "the token cannot make AES keys and encrypt with AES-GCM", NULL);
    }
    return KL_OK;
}

/* ---- life ---- */

static struct kms_token *token_new(void)
{
    struct kms_token *token = calloc(1, sizeof *token);

    if (token != NULL) {
        token->session = CK_INVALID_HANDLE;
    }
    return token;
}

void kms_token_close(struct kms_token *token)
{
    if (token == NULL) {
        return;
    }
    if (token->session != CK_INVALID_HANDLE) {
        (void)token->module->C_CloseSession(token->session);
    }
    if (token->module != NULL) {
        (void)p11_kit_module_finalize(token->module);
        p11_kit_module_release(token->module);
    }
    free(token);
}

/* The token that the address describes, without a session. */
static enum kl_status token_reach(P11KitUri *uri, struct kms_token **ret_token, struct kl_err *err)
{
    struct kms_token *token = token_new();
    enum kl_status status;

    if (token == NULL) {
        return kl_fail_memory(err);
    }
    status = module_load(token, uri, err);
    if (status == KL_OK) {
        status = token_find(token, uri, err);
    }
    if (status != KL_OK) {
        kms_token_close(token);
        return status;
    }
    *ret_token = token;
    return KL_OK;
}

static enum kl_status session_open(struct kms_token *token, P11KitUri *uri, const char *pin,
                                   size_t pin_bytes, struct kl_err *err)
{
    const char *source = p11_kit_uri_get_pin_source(uri);
    CK_RV result;
    enum kl_status status = fitness_check(token, err);

    if (status != KL_OK) {
        return status;
    }
    result = token->module->C_OpenSession(token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
                                          NULL, &token->session);
    if (result != CKR_OK) {
        token->session = CK_INVALID_HANDLE;
        return kms_token_fail(err, result, "open a session");
    }
    if (pin == NULL && source != NULL) {
        return login_by_file(token, source, err);
    }
    return login(token, (const unsigned char *)pin, pin_bytes, err);
}

enum kl_status kms_token_open(const char *uri, const char *pin, size_t pin_bytes,
                              struct kms_token **ret_token, struct kl_err *err)
{
    struct kms_token *token = NULL;
    P11KitUri *parsed = NULL;
    enum kl_status status;

    if (pin != NULL && (pin_bytes == 0 || pin_bytes > KMS_TOKEN_PIN_MAX_BYTES)) {
        return kl_failf(err, KL_ERR_INVALID, "pin_length", "a PIN has 1 to %d bytes",
                        KMS_TOKEN_PIN_MAX_BYTES);
    }
    status = uri_parse(uri, &parsed, err);
    if (status == KL_OK) {
        status = token_reach(parsed, &token, err);
    }
    if (status == KL_OK) {
        status = session_open(token, parsed, pin, pin_bytes, err);
    }
    p11_kit_uri_free(parsed);
    if (status != KL_OK) {
        kms_token_close(token);
        return status;
    }
    *ret_token = token;
    return KL_OK;
}

enum kl_status kms_token_look(const char *uri, struct kms_token_facts *ret_facts,
                              struct kl_err *err)
{
    struct kms_token *token = NULL;
    P11KitUri *parsed = NULL;
    enum kl_status status = uri_parse(uri, &parsed, err);

    if (status == KL_OK) {
        status = token_reach(parsed, &token, err);
    }
    if (status == KL_OK) {
        *ret_facts = token->facts;
    }
    p11_kit_uri_free(parsed);
    kms_token_close(token);
    return status;
}

const struct kms_token_facts *kms_token_facts(const struct kms_token *token)
{
    return &token->facts;
}

enum kl_status kms_token_answers(struct kms_token *token, struct kl_err *err)
{
    CK_SESSION_INFO info;
    CK_RV result = token->module->C_GetSessionInfo(token->session, &info);

    if (result == CKR_OK && info.state != CKS_RW_USER_FUNCTIONS) {
        result = CKR_USER_NOT_LOGGED_IN;
    }
    return result == CKR_OK ? KL_OK : kms_token_fail(err, result, "answer");
}

/* ---- what to think of it ---- */

#define ADVICE_HARDWARE \
    "use a token that keeps its keys inside the hardware, or the kind file: on ext4"

/* Makers whose tokens leave keys, wrapped or not, where old copies of them can be kept. */
static const struct {
    const char *word; /* part of a manufacturer's or model's name */
    const char *reason;
} leaving[] = {
    {"softhsm", "keeps its keys in files that can be copied and put back"},
    {"mozilla", "keeps its keys in files that can be copied and put back"},
    {"kryoptic", "keeps its keys in files that can be copied and put back"},
    {"opencryptoki", "keeps its keys in files that can be copied and put back"},
    {"tpm2-software",
     "keeps its keys, wrapped by the TPM, in files that can be copied and put back"},
    {"ncipher", "keeps its keys, wrapped, in files that can be copied and put back"},
    {"entrust", "keeps its keys, wrapped, in files that can be copied and put back"},
};

static const char *leaves_keys(const struct kms_token_facts *facts)
{
    for (size_t i = 0; i < sizeof leaving / sizeof leaving[0]; i++) {
        if (strcasestr(facts->manufacturer, leaving[i].word) != NULL ||
            strcasestr(facts->model, leaving[i].word) != NULL ||
            strcasestr(facts->module, leaving[i].word) != NULL) {
            return leaving[i].reason;
        }
    }
    return facts->hardware ? NULL : "says that it is no hardware";
}

void kms_token_judge(const struct kms_token_facts *facts, struct kms_custodian_report *ret_report)
{
    const char *reason = leaves_keys(facts);

    memset(ret_report, 0, sizeof *ret_report);
    (void)snprintf(ret_report->kind, sizeof ret_report->kind, "pkcs11");
    (void)snprintf(ret_report->file_system, sizeof ret_report->file_system, "%.31s", facts->label);
    ret_report->finality = reason == NULL ? KMS_FINALITY_F2 : KMS_FINALITY_F0;
    (void)snprintf(ret_report->reason, sizeof ret_report->reason, "the token of %s (%s) %s",
                   facts->manufacturer, facts->model,
                   reason == NULL ? "destroys a key inside the hardware" : reason);
    (void)snprintf(ret_report->advice, sizeof ret_report->advice, "%s",
                   reason == NULL
                       ? "keep no backup of the token's keys: it would bring an old root key back"
                       : ADVICE_HARDWARE);
}
