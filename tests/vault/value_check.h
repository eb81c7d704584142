/* Asking for the normal form of one value, in one line. */
#ifndef KLUIS_TESTS_VALUE_CHECK_H
#define KLUIS_TESTS_VALUE_CHECK_H

#include "kluis/vault/value.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define VALUE_CHECK_BYTES_MAX (1024 * 1024)

static inline enum kl_json_type value_kind(enum vault_type type)
{
    return type == VAULT_TYPE_NUMBER    ? KL_JSON_NUMBER
           : type == VAULT_TYPE_BOOLEAN ? KL_JSON_BOOL
           : type == VAULT_TYPE_JSON    ? KL_JSON_OBJECT
                                        : KL_JSON_TEXT;
}

static inline void value_becomes(enum vault_type type, const char *text, const char *expected)
{
    const struct vault_value_input input = {value_kind(type), kl_slice_text(text)};
    struct kl_err err = {0};
    struct kl_buf out;

    kl_buf_init(&out, VALUE_CHECK_BYTES_MAX);
    if (vault_value_normalise(type, &input, &out, &err) != KL_OK)
        fail_msg("%s '%s': %s", vault_type_name(type), text, err.client_text);
    if (!kl_slice_equal_text(kl_buf_slice(&out), expected))
        fail_msg("%s '%s': became '%.*s', not '%s'", vault_type_name(type), text, (int)out.size,
                 (const char *)out.bytes, expected);
    kl_buf_done(&out);
}

/* Refused with that code, nothing appended, and the value not repeated. */
static inline void value_refused(enum vault_type type, struct kl_slice text, enum kl_json_type kind,
                                 enum kl_status status, const char *code)
{
    const struct vault_value_input input = {kind, text};
    struct kl_err err = {0};
    struct kl_buf out;
    char value[64] = "";

    kl_buf_init(&out, VALUE_CHECK_BYTES_MAX);
    kl_buf_add_text(&out, "kept");
    if (vault_value_normalise(type, &input, &out, &err) != status || strcmp(err.code, code) != 0)
        fail_msg("%s '%.*s': status %s code '%s', expected '%s'", vault_type_name(type),
                 (int)(text.size < 80 ? text.size : 80), (const char *)text.bytes,
                 kl_status_name(err.status), err.code, code);
    assert_true(kl_slice_equal_text(kl_buf_slice(&out), "kept"));
    if (text.size > 12 && text.size < sizeof value) {
        memcpy(value, text.bytes, text.size);
        assert_null(strstr(err.client_text, value));
        assert_null(strstr(err.log_text, value));
    }
    kl_buf_done(&out);
}

static inline void value_invalid_text(enum vault_type type, const char *text)
{
    value_refused(type, kl_slice_text(text), value_kind(type), KL_ERR_INVALID,
                  text[0] == '\0' ? "empty_value" : "invalid_value");
}

static inline void index_becomes(enum vault_type type, const char *text, const char *expected)
{
    const struct vault_value_input input = {value_kind(type), kl_slice_text(text)};
    struct kl_buf normal;
    struct kl_buf out;

    kl_buf_init(&normal, VALUE_CHECK_BYTES_MAX);
    kl_buf_init(&out, VALUE_CHECK_BYTES_MAX);
    assert_int_equal(vault_value_normalise(type, &input, &normal, NULL), KL_OK);
    assert_int_equal(vault_value_index_form(type, kl_buf_slice(&normal), &out, NULL), KL_OK);
    if (!kl_slice_equal_text(kl_buf_slice(&out), expected))
        fail_msg("%s '%s': index form '%.*s', not '%s'", vault_type_name(type), text, (int)out.size,
                 (const char *)out.bytes, expected);
    kl_buf_done(&out);
    kl_buf_done(&normal);
}

static inline void mask_becomes(enum vault_mask mask, enum vault_type type, const char *text,
                                const char *expected)
{
    struct kl_buf out;

    kl_buf_init(&out, VALUE_CHECK_BYTES_MAX);
    assert_int_equal(vault_value_mask(mask, type, kl_slice_text(text), &out, NULL), KL_OK);
    if (!kl_slice_equal_text(kl_buf_slice(&out), expected))
        fail_msg("%s of '%s': '%.*s', not '%s'", vault_mask_name(mask), text, (int)out.size,
                 (const char *)out.bytes, expected);
    kl_buf_done(&out);
}

#endif
