/* A receipt as a file: in which form it is, and what in it was signed. */
#include "base/receipt_internal.h"
#include "kluis/base/encode.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum kl_status invalid(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_INVALID, "invalid_receipt", "this is not a receipt", NULL);
}

/* ---- helpers ---- */

bool kl_receipt_same(const struct kl_json_value *a, const struct kl_json_value *b)
{
    struct kl_buf texts[2];
    bool same = kl_json_type(a) == kl_json_type(b);

    kl_buf_init(&texts[0], KL_RECEIPT_FILE_MAX_BYTES);
    kl_buf_init(&texts[1], KL_RECEIPT_FILE_MAX_BYTES);
    kl_json_write_value(&texts[0], a);
    kl_json_write_value(&texts[1], b);
    same = same && !texts[0].failed && !texts[1].failed && texts[0].size == texts[1].size &&
           memcmp(texts[0].bytes, texts[1].bytes, texts[0].size) == 0;
    kl_buf_done(&texts[0]);
    kl_buf_done(&texts[1]);
    return same;
}

bool kl_receipt_is_id(const struct kl_json_value *value, const char *prefix)
{
    const char *text = kl_json_text(value);
    char again[KL_ID_TEXT_BYTES];
    struct kl_id id;

    if (text == NULL || kl_id_parse(prefix, text, &id, NULL) != KL_OK) {
        return false;
    }
    kl_id_format(prefix, &id, again);
    return strcmp(again, text) == 0;
}

void kl_receipt_commit(const unsigned char secret[KL_RECEIPT_SECRET_BYTES],
                       const struct kl_id *subject, const struct kl_id *record,
                       unsigned char ret_commitment[KL_RECEIPT_COMMITMENT_BYTES])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, secret, KL_RECEIPT_SECRET_BYTES, KL_RECEIPT_COMMITMENT_BYTES);
    crypto_generichash_update(&state, subject->bytes, KL_ID_BYTES);
    if (record != NULL) {
        crypto_generichash_update(&state, record->bytes, KL_ID_BYTES);
    }
    crypto_generichash_final(&state, ret_commitment, KL_RECEIPT_COMMITMENT_BYTES);
    sodium_memzero(&state, sizeof state);
}

/* ---- reading ---- */

/* Inside another answer: of a request that was completed, of one operation of a batch. */
static const struct kl_json_value *unwrap(const struct kl_json_value *root)
{
    static const char *const wrappers[] = {"receipt", "result"};
    const struct kl_json_value *inside = NULL;
    size_t i;

    for (i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++) {
        inside = kl_json_member(root, wrappers[i]);
        if (kl_json_type(inside) == KL_JSON_OBJECT) {
            return inside;
        }
    }
    return root;
}

/* The vault writes members in their order without white space: so they are written again. */
static enum kl_status take_stored(struct kl_receipt *receipt, struct kl_err *err)
{
    struct kl_json_iter iter = kl_json_iter(receipt->said);
    struct kl_json_out out = kl_json_out(&receipt->text);
    const struct kl_json_value *value = NULL;
    const char *name = NULL;
    struct kl_buf member;
    enum kl_status status = KL_OK;

    kl_buf_init(&member, KL_RECEIPT_FILE_MAX_BYTES);
    kl_json_object_begin(&out);
    while (status == KL_OK && kl_json_next(&iter, &name, &value)) {
        if (strcmp(name, "signature") == 0 || strcmp(name, "trail") == 0) {
            continue;
        }
        kl_buf_clear(&member);
        kl_json_write_value(&member, value);
        status = kl_buf_status(&member, err);
        kl_json_key(&out, name);
        kl_json_put_raw(&out, member.bytes, member.size);
    }
    kl_json_object_end(&out);
    kl_buf_done(&member);
    receipt->proof = receipt->said;
    return status == KL_OK ? kl_buf_status(&receipt->text, err) : status;
}

static enum kl_status take_answer(struct kl_receipt *receipt, struct kl_err *err)
{
    const struct kl_json_value *text = kl_json_member(receipt->proof, "signed");
    enum kl_status status = KL_OK;

    if (kl_json_type(text) != KL_JSON_TEXT) {
        return invalid(err);
    }
    kl_buf_add(&receipt->text, kl_json_text(text), kl_json_text_bytes(text));
    status = kl_buf_status(&receipt->text, err);
    if (status == KL_OK) {
        status = kl_json_parse(receipt->text.bytes, receipt->text.size, &receipt->inner, err);
    }
    receipt->said = kl_json_root(receipt->inner);
    return status;
}

static enum kl_status take(struct kl_receipt *receipt, struct kl_err *err)
{
    const struct kl_json_value *top = unwrap(kl_json_root(receipt->file));
    enum kl_status status = KL_OK;

    if (kl_json_type(kl_json_member(top, "proof")) == KL_JSON_OBJECT) {
        receipt->answer = top;
        receipt->proof = kl_json_member(top, "proof");
        status = take_answer(receipt, err);
    } else {
        receipt->said = top;
        status = take_stored(receipt, err);
    }
    if (status == KL_OK && (!kl_receipt_is_id(kl_json_member(receipt->said, "receipt"), "er") ||
                            kl_json_text(kl_json_member(receipt->proof, "signature")) == NULL)) {
        status = invalid(err);
    }
    return status;
}

enum kl_status kl_receipt_read(const void *text, size_t size, struct kl_receipt **ret_receipt,
                               struct kl_err *err)
{
    struct kl_receipt *receipt = NULL;
    enum kl_status status = KL_OK;

    if (size > KL_RECEIPT_FILE_MAX_BYTES) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "receipt_too_large",
                        "a receipt has at most %d bytes", KL_RECEIPT_FILE_MAX_BYTES);
    }
    receipt = calloc(1, sizeof *receipt);
    if (receipt == NULL) {
        return kl_fail_memory(err);
    }
    kl_buf_init(&receipt->text, KL_RECEIPT_FILE_MAX_BYTES);
    status = kl_json_parse(text, size, &receipt->file, err);
    if (status == KL_OK) {
        status = take(receipt, err);
    }
    if (status != KL_OK) {
        kl_receipt_free(receipt);
        return status;
    }
    *ret_receipt = receipt;
    return KL_OK;
}

void kl_receipt_free(struct kl_receipt *receipt)
{
    if (receipt == NULL) {
        return;
    }
    kl_json_free(receipt->file);
    kl_json_free(receipt->inner);
    kl_buf_done(&receipt->text);
    free(receipt);
}

const struct kl_json_value *kl_receipt_said(const struct kl_receipt *receipt)
{
    return receipt->said;
}

const struct kl_json_value *kl_receipt_answer(const struct kl_receipt *receipt)
{
    return receipt->answer;
}

const struct kl_json_value *kl_receipt_trail(const struct kl_receipt *receipt)
{
    const struct kl_json_value *trail = kl_json_member(receipt->proof, "trail");

    return kl_json_type(trail) == KL_JSON_OBJECT ? trail : NULL;
}

/* ---- all checks ---- */

void kl_receipt_say(struct kl_receipt_checks *checks, const char *code, enum kl_receipt_state state,
                    const char *format, ...)
{
    struct kl_receipt_check *check = NULL;
    va_list arguments;

    if (checks->count == KL_RECEIPT_CHECKS_MAX) {
        return;
    }
    check = &checks->items[checks->count++];
    *check = (struct kl_receipt_check){.code = code, .state = state};
    va_start(arguments, format);
    (void)vsnprintf(check->detail, sizeof check->detail, format, arguments);
    va_end(arguments);
}

static void check_signature(const struct kl_receipt *receipt, struct kl_receipt_checks *checks)
{
    const char *code = "signature";
    unsigned char key[KL_TRAIL_KEY_BYTES];
    unsigned char signature[KL_TRAIL_SIGNATURE_BYTES];

    if (!kl_json_bytes(receipt->said, "public_key", key, sizeof key)) {
        kl_receipt_say(checks, code, KL_RECEIPT_FAILED, "the receipt names no key");
    } else if (!kl_json_bytes(receipt->proof, "signature", signature, sizeof signature)) {
        kl_receipt_say(checks, code, KL_RECEIPT_FAILED, "the receipt has no signature");
    } else if (crypto_sign_verify_detached(signature, receipt->text.bytes, receipt->text.size,
                                           key) != 0) {
        kl_receipt_say(checks, code, KL_RECEIPT_FAILED,
                       "the signature does not fit: the text is not as it was signed, or another "
                       "key signed it");
    } else {
        kl_receipt_say(checks, code, KL_RECEIPT_HOLDS,
                       "the text is as it was signed, by the key that it names");
    }
}

enum kl_status kl_receipt_check(const struct kl_receipt *receipt,
                                const struct kl_receipt_trust *trust, struct kl_receipt_checks *ret,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;

    *ret = (struct kl_receipt_checks){0};
    check_signature(receipt, ret);
    kl_receipt_check_statement(receipt, ret);
    kl_receipt_check_answer(receipt, ret);
    status = kl_receipt_check_trail(receipt, trust, ret, err);
    kl_receipt_check_person(receipt, trust->person, ret);
    return status;
}

bool kl_receipt_holds(const struct kl_receipt_checks *checks)
{
    size_t i;

    for (i = 0; i < checks->count; i++) {
        if (checks->items[i].state == KL_RECEIPT_FAILED) {
            return false;
        }
    }
    return checks->count > 0;
}
