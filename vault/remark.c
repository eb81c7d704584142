#include "vault/remark.h"

#include "kluis/vault/value.h"
#include "vault/rows.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define KIND_MAX_BYTES 32
#define SUBJECT_MARK "sub_"
#define SUBJECT_CHARS (sizeof SUBJECT_MARK - 1 + KL_ID_DIGITS)

static enum kl_status refuse(const char *member, enum kl_status status, const char *code,
                             const char *text, struct kl_err *err)
{
    kl_err_where(err, "/%s", member);
    return kl_fail(err, status, code, text, NULL);
}

/* Anywhere in the text, whatever stands around it. */
static bool names_subject(const char *text)
{
    const char *at = text;
    char id[KL_ID_TEXT_BYTES];
    struct kl_id parsed;

    while ((at = strstr(at, SUBJECT_MARK)) != NULL) {
        (void)snprintf(id, sizeof id, "%.*s", (int)SUBJECT_CHARS, at);
        if (kl_id_parse("sub", id, &parsed, NULL) == KL_OK) {
            return true;
        }
        at += strlen(SUBJECT_MARK);
    }
    return false;
}

enum kl_status vault_remark_check(const char *text, const char *member, size_t max_bytes,
                                  struct kl_err *err)
{
    const char *at;

    assert(max_bytes <= VAULT_REMARK_MAX_BYTES);
    if (strnlen(text, max_bytes + 1) > max_bytes) {
        return refuse(member, KL_ERR_TOO_LARGE, "value_too_large", "this text is too long", err);
    }
    if (text[0] == '\0') {
        return refuse(member, KL_ERR_INVALID, "invalid_value", "this text is empty", err);
    }
    for (at = text; *at != '\0'; at++) {
        if (((unsigned char)*at < 0x20 && *at != '\n' && *at != '\t') || *at == 0x7f) {
            return refuse(member, KL_ERR_INVALID, "invalid_value",
                          "this text has control characters", err);
        }
    }
    if (names_subject(text)) {
        return refuse(member, KL_ERR_INVALID, "names_subject",
                      "this text outlives people: it must not hold a subject's id; name entries of "
                      "the trail by their number",
                      err);
    }
    return KL_OK;
}

static struct kms_place place_of(uint64_t tenant)
{
    return (struct kms_place){tenant, VAULT_SLOT_REMARKS, KMS_VALUE_NONE};
}

static void context_of(const char *kind, const struct kl_id *of, struct kl_buf *ret)
{
    assert(strlen(kind) <= KIND_MAX_BYTES);
    kl_buf_init(ret, KIND_MAX_BYTES + 4 + KL_ID_BYTES);
    kl_buf_add_sized(ret, kind, strlen(kind));
    kl_buf_add(ret, of->bytes, KL_ID_BYTES);
}

enum kl_status vault_remark_seal(struct vault *vault, uint64_t tenant, const char *kind,
                                 const struct kl_id *of, struct kl_slice text,
                                 struct kl_buf *ret_sealed, struct kl_err *err)
{
    const struct kms_place place = place_of(tenant);
    enum kl_status status = KL_OK;
    struct kl_buf context;
    struct kl_buf padded;

    kl_buf_init(&padded, 2 * VAULT_REMARK_MAX_BYTES);
    context_of(kind, of, &context);
    status = kl_buf_status(&context, err);
    if (status == KL_OK) {
        status = vault_pad(text, &padded, err);
    }
    if (status == KL_OK) {
        status = kms_seal(vault->keys, &place, kl_buf_slice(&context), kl_buf_slice(&padded),
                          ret_sealed, err);
    }
    kl_buf_done(&context);
    kl_buf_done(&padded);
    return status;
}

enum kl_status vault_remark_open(struct vault *vault, uint64_t tenant, const char *kind,
                                 const struct kl_id *of, struct kl_slice sealed,
                                 struct kl_buf *ret_text, struct kl_err *err)
{
    const struct kms_place place = place_of(tenant);
    enum kl_status status = KL_OK;
    struct kl_slice text;
    struct kl_buf context;
    struct kl_buf padded;

    kl_buf_init(&padded, 2 * VAULT_REMARK_MAX_BYTES);
    context_of(kind, of, &context);
    status = kl_buf_status(&context, err);
    if (status == KL_OK) {
        status = kms_unseal(vault->keys, &place, kl_buf_slice(&context), sealed, &padded, err);
    }
    if (status == KL_OK) {
        status = vault_unpad(kl_buf_slice(&padded), &text, err);
    }
    if (status == KL_OK) {
        kl_buf_add(ret_text, text.bytes, text.size);
        status = kl_buf_status(ret_text, err);
    }
    kl_buf_done(&context);
    kl_buf_done(&padded);
    return status;
}
