/* Field values: the table of types, and which check each goes through. */
#include "kluis/vault/value.h"

#include "kluis/base/encode.h"
#include "kluis/base/time.h"
#include "kluis/vault/residency.h"
#include "value_internal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <utf8proc.h>

#define INDEX_OPTIONS                                                                             \
    (UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE | \
     UTF8PROC_REJECTNA)

static const char *const type_names[VAULT_TYPES] = {
    [VAULT_TYPE_TEXT] = "text",         [VAULT_TYPE_EMAIL] = "email",
    [VAULT_TYPE_PHONE] = "phone",       [VAULT_TYPE_DATE] = "date",
    [VAULT_TYPE_DATETIME] = "datetime", [VAULT_TYPE_NUMBER] = "number",
    [VAULT_TYPE_BOOLEAN] = "boolean",   [VAULT_TYPE_COUNTRY] = "country",
    [VAULT_TYPE_IBAN] = "iban",         [VAULT_TYPE_IP] = "ip",
    [VAULT_TYPE_JSON] = "json",         [VAULT_TYPE_SECRET] = "secret",
    [VAULT_TYPE_FILE] = "file",
};

const char *vault_type_name(enum vault_type type)
{
    assert((unsigned)type < VAULT_TYPES);
    return type_names[type];
}

const char *vault_value_unicode_version(void)
{
    return utf8proc_unicode_version();
}

enum kl_status vault_value_invalid(struct kl_err *err, const char *client_text)
{
    return kl_fail(err, KL_ERR_INVALID, "invalid_value", client_text, NULL);
}

bool vault_value_is_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9';
}

bool vault_value_is_ascii(struct kl_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.bytes[i] >= 0x80)
            return false;
    return true;
}

static bool is_space(unsigned char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Without the ASCII white space at both ends. */
static struct kl_slice trim(struct kl_slice text)
{
    while (text.size > 0 && is_space(text.bytes[0]))
        text = kl_slice_of(text.bytes + 1, text.size - 1);
    while (text.size > 0 && is_space(text.bytes[text.size - 1]))
        text.size--;
    return text;
}

static enum kl_status date(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    char out[KL_DATE_TEXT_BYTES];
    int64_t midnight_us = 0;

    if (kl_date_parse((const char *)text.bytes, text.size, &midnight_us, NULL) != KL_OK)
        return vault_value_invalid(err, "a date is written YYYY-MM-DD and is a day that exists");
    kl_date_format(midnight_us, out);
    kl_buf_add_text(ret, out);
    sodium_memzero(out, sizeof out);
    return kl_buf_status(ret, err);
}

static enum kl_status datetime(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    char out[KL_TIME_TEXT_BYTES];
    int64_t time_us = 0;

    if (kl_time_parse((const char *)text.bytes, text.size, &time_us, NULL) != KL_OK)
        return vault_value_invalid(err,
                                   "a moment is written as RFC 3339 does, 2026-11-22T16:50:40Z");
    kl_time_format(time_us, out);
    kl_buf_add_text(ret, out);
    sodium_memzero(out, sizeof out);
    return kl_buf_status(ret, err);
}

static enum kl_status country(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    struct vault_country found;
    char upper[2] = {0};

    for (size_t i = 0; i < text.size && i < sizeof upper; i++) {
        unsigned char byte = text.bytes[i];
        upper[i] = (char)(byte >= 'a' && byte <= 'z' ? byte - 'a' + 'A' : byte);
    }
    if (text.size != sizeof upper ||
        vault_country_parse(upper, sizeof upper, &found, NULL) != KL_OK)
        return vault_value_invalid(err,
                                   "a country is two letters of ISO 3166-1 (GR and GB, not EL and "
                                   "UK)");
    kl_buf_add(ret, found.code, 2);
    return kl_buf_status(ret, err);
}

/* refusal: what the client is told when the text is not strict JSON. */
static enum kl_status parse_json(struct kl_slice text, const char *refusal,
                                 struct kl_json **ret_json, struct kl_err *err)
{
    const enum kl_status status = kl_json_parse(text.bytes, text.size, ret_json, NULL);

    if (status == KL_ERR_INVALID || status == KL_ERR_TOO_LARGE)
        return vault_value_invalid(err, refusal);
    if (status != KL_OK)
        return kl_fail(err, status, "server_busy", "the server is busy", "json value: memory");
    return KL_OK;
}

/*
 * The text is written anew (compact, escapes undone) and composed. Structure is ASCII and no
 * combining mark composes with it; only names of members could fall together, so it is read again.
 */
static enum kl_status json(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    struct kl_json *parsed = NULL;
    struct kl_json *again = NULL;
    struct kl_buf compact;
    struct kl_buf composed;
    enum kl_status status;

    kl_buf_init(&compact, VALUE_INPUT_MAX_BYTES);
    kl_buf_init(&composed, VALUE_INPUT_MAX_BYTES);
    status =
        parse_json(text, "a json field takes one JSON value without duplicate keys", &parsed, err);
    if (status != KL_OK)
        goto out;
    kl_json_write_value(&compact, kl_json_root(parsed));
    status = kl_buf_status(&compact, err);
    if (status == KL_OK)
        status = vault_value_map(kl_buf_slice(&compact), UTF8PROC_STABLE | UTF8PROC_COMPOSE,
                                 &composed, err);
    if (status == KL_OK && !vault_value_is_ascii(kl_buf_slice(&composed)))
        status =
            parse_json(kl_buf_slice(&composed),
                       "two keys of the json value are the same in Unicode's NFC", &again, err);
    if (status != KL_OK)
        goto out;
    kl_buf_add(ret, composed.bytes, composed.size);
    status = kl_buf_status(ret, err);

out:
    kl_json_free(again);
    kl_json_free(parsed);
    kl_buf_done(&composed);
    kl_buf_done(&compact);
    return status;
}

static bool takes_kind(enum vault_type type, enum kl_json_type kind)
{
    switch (type) {
    case VAULT_TYPE_NUMBER:
        return kind == KL_JSON_NUMBER;
    case VAULT_TYPE_BOOLEAN:
        return kind == KL_JSON_BOOL;
    case VAULT_TYPE_JSON:
        return kind != KL_JSON_ABSENT && kind != KL_JSON_NULL;
    default:
        return kind == KL_JSON_TEXT;
    }
}

static enum kl_status normalise(enum vault_type type, struct kl_slice text, struct kl_buf *ret,
                                struct kl_err *err)
{
    switch (type) {
    case VAULT_TYPE_TEXT:
        return vault_value_text(text, ret, err);
    case VAULT_TYPE_EMAIL:
        return vault_value_email(trim(text), ret, err);
    case VAULT_TYPE_PHONE:
        return vault_value_phone(trim(text), ret, err);
    case VAULT_TYPE_DATE:
        return date(text, ret, err);
    case VAULT_TYPE_DATETIME:
        return datetime(text, ret, err);
    case VAULT_TYPE_NUMBER:
        return vault_value_number(text, ret, err);
    case VAULT_TYPE_BOOLEAN:
        if (!kl_slice_equal_text(text, "true") && !kl_slice_equal_text(text, "false"))
            return vault_value_invalid(err, "a boolean is true or false");
        kl_buf_add(ret, text.bytes, text.size);
        return kl_buf_status(ret, err);
    case VAULT_TYPE_COUNTRY:
        return country(trim(text), ret, err);
    case VAULT_TYPE_IBAN:
        return vault_value_iban(text, ret, err);
    case VAULT_TYPE_IP:
        return vault_value_ip(trim(text), ret, err);
    case VAULT_TYPE_JSON:
        return json(text, ret, err);
    case VAULT_TYPE_SECRET:
        return vault_value_secret(text, ret, err);
    default:
        return kl_fail(err, KL_ERR_INTERNAL, "internal", "internal error", "type %d", (int)type);
    }
}

static size_t type_max_bytes(enum vault_type type)
{
    if (type == VAULT_TYPE_TEXT || type == VAULT_TYPE_JSON)
        return VAULT_VALUE_MAX_BYTES;
    if (type == VAULT_TYPE_SECRET)
        return VAULT_SECRET_MAX_BYTES;
    return type == VAULT_TYPE_EMAIL ? VAULT_EMAIL_MAX_BYTES : VAULT_SHORT_MAX_BYTES;
}

enum kl_status vault_value_normalise(enum vault_type type, const struct vault_value_input *input,
                                     struct kl_buf *ret, struct kl_err *err)
{
    const size_t max = type_max_bytes(type);
    struct kl_buf out;
    enum kl_status status;

    if (type == VAULT_TYPE_FILE)
        return kl_fail(err, KL_ERR_INVALID, "value_is_a_file",
                       "a file is sent by itself: PUT its bytes to .../records/REC/files/FIELD",
                       NULL);
    if (!takes_kind(type, input->kind))
        return kl_failf(err, KL_ERR_INVALID, "invalid_type", "a field of type %s takes %s",
                        vault_type_name(type),
                        type == VAULT_TYPE_NUMBER    ? "a number"
                        : type == VAULT_TYPE_BOOLEAN ? "true or false"
                        : type == VAULT_TYPE_JSON    ? "any JSON value but null"
                                                     : "a string");
    if (input->text.size == 0)
        return kl_fail(err, KL_ERR_INVALID, "empty_value",
                       "a value is not empty; leave the field out, or remove it with null", NULL);
    if (input->text.size > 4 * max)
        return kl_failf(err, KL_ERR_TOO_LARGE, "value_too_large",
                        "a value of type %s has at most %zu bytes", vault_type_name(type), max);
    if (!kl_utf8_valid(input->text.bytes, input->text.size))
        return vault_value_invalid(err, "a value is valid UTF-8");

    kl_buf_init(&out, VALUE_INPUT_MAX_BYTES);
    status = normalise(type, input->text, &out, err);
    if (status == KL_OK && out.size > max)
        status = kl_failf(err, KL_ERR_TOO_LARGE, "value_too_large",
                          "a value of type %s has at most %zu bytes", vault_type_name(type), max);
    if (status == KL_OK) {
        kl_buf_add(ret, out.bytes, out.size);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&out);
    return status;
}

/* The local part is folded; the domain is lower case ASCII already. */
static enum kl_status email_index_form(struct kl_slice email, struct kl_buf *ret,
                                       struct kl_err *err)
{
    size_t at = email.size;
    enum kl_status status;

    while (at > 0 && email.bytes[at - 1] != '@')
        at--;
    assert(at > 0);
    status = vault_value_map(kl_slice_of(email.bytes, at - 1), INDEX_OPTIONS, ret, err);
    if (status != KL_OK)
        return status;
    kl_buf_add(ret, email.bytes + at - 1, email.size - (at - 1));
    return kl_buf_status(ret, err);
}

static enum kl_status text_index_form(struct kl_slice text, struct kl_buf *ret, struct kl_err *err)
{
    const size_t before = ret->size;
    enum kl_status status = vault_value_map(text, INDEX_OPTIONS, ret, err);

    if (status == KL_OK && ret->size == before)
        return kl_fail(err, KL_ERR_INVALID, "empty_value",
                       "nothing visible is left of the value to find it by", NULL);
    return status;
}

enum kl_status vault_value_index_form(enum vault_type type, struct kl_slice normalised,
                                      struct kl_buf *ret, struct kl_err *err)
{
    switch (type) {
    case VAULT_TYPE_TEXT:
        return text_index_form(normalised, ret, err);
    case VAULT_TYPE_EMAIL:
        return email_index_form(normalised, ret, err);
    case VAULT_TYPE_NUMBER:
        vault_value_number_shorten(normalised, ret);
        return kl_buf_status(ret, err);
    case VAULT_TYPE_JSON:
    case VAULT_TYPE_SECRET:
    case VAULT_TYPE_FILE:
        return kl_failf(err, KL_ERR_INVALID, "not_indexable",
                        "a field of type %s cannot be looked up", vault_type_name(type));
    default:
        kl_buf_add(ret, normalised.bytes, normalised.size);
        return kl_buf_status(ret, err);
    }
}

void vault_value_write_json(enum vault_type type, struct kl_slice normalised,
                            struct kl_json_out *out)
{
    if (type == VAULT_TYPE_NUMBER || type == VAULT_TYPE_BOOLEAN || type == VAULT_TYPE_JSON ||
        type == VAULT_TYPE_FILE)
        kl_json_put_raw(out, normalised.bytes, normalised.size);
    else
        kl_json_put_text_n(out, normalised.bytes, normalised.size);
}
