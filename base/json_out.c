#include "kluis/base/json.h"

#include "kluis/base/encode.h"
#include "kluis/base/time.h"

#include <assert.h>
#include <string.h>

struct kl_json_out kl_json_out(struct kl_buf *buf)
{
    return (struct kl_json_out){.buf = buf};
}

static uint64_t depth_bit(const struct kl_json_out *out)
{
    return UINT64_C(1) << out->depth;
}

static bool in_object(const struct kl_json_out *out)
{
    return (out->objects & depth_bit(out)) != 0;
}

/* A comma where something stands before; at the top there is one value only. */
static void element_begin(struct kl_json_out *out)
{
    if ((out->started & depth_bit(out)) != 0) {
        assert(out->depth > 0);
        kl_buf_add_byte(out->buf, ',');
    }
    out->started |= depth_bit(out);
}

static void value_begin(struct kl_json_out *out)
{
    if (out->after_key) {
        out->after_key = false;
        return;
    }
    assert(!in_object(out));
    element_begin(out);
}

static void container_begin(struct kl_json_out *out, bool object)
{
    value_begin(out);
    assert(out->depth < KL_JSON_OUT_DEPTH_MAX);
    kl_buf_add_byte(out->buf, object ? '{' : '[');
    out->depth++;
    out->started &= ~depth_bit(out);
    if (object) {
        out->objects |= depth_bit(out);
    } else {
        out->objects &= ~depth_bit(out);
    }
}

static void container_end(struct kl_json_out *out, bool object)
{
    assert(out->depth > 0 && in_object(out) == object && !out->after_key);
    kl_buf_add_byte(out->buf, object ? '}' : ']');
    out->depth--;
}

void kl_json_object_begin(struct kl_json_out *out)
{
    container_begin(out, true);
}

void kl_json_object_end(struct kl_json_out *out)
{
    container_end(out, true);
}

void kl_json_array_begin(struct kl_json_out *out)
{
    container_begin(out, false);
}

void kl_json_array_end(struct kl_json_out *out)
{
    container_end(out, false);
}

/* The escape of a control character, a quote or a backslash. */
static void escape_add(struct kl_buf *buf, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    char text[] = "\\u00xx";

    switch (byte) {
    case '"':
        kl_buf_add(buf, "\\\"", 2);
        return;
    case '\\':
        kl_buf_add(buf, "\\\\", 2);
        return;
    case '\n':
        kl_buf_add(buf, "\\n", 2);
        return;
    case '\r':
        kl_buf_add(buf, "\\r", 2);
        return;
    case '\t':
        kl_buf_add(buf, "\\t", 2);
        return;
    default:
        text[4] = hex[byte >> 4];
        text[5] = hex[byte & 15];
        kl_buf_add(buf, text, 6);
    }
}

static bool stands_for_itself(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static void quoted_add(struct kl_buf *buf, const unsigned char *text, size_t size)
{
    size_t run = 0; /* where what is not copied yet begins */
    size_t i = 0;

    kl_buf_add_byte(buf, '"');
    while (i < size) {
        size_t bytes;

        if (stands_for_itself(text[i])) {
            i++;
            continue;
        }
        bytes = text[i] >= 0x80 ? kl_utf8_char_bytes(text + i, size - i) : 0;
        if (bytes > 0) {
            i += bytes;
            continue;
        }
        kl_buf_add(buf, text + run, i - run);
        if (text[i] >= 0x80) {
            kl_buf_add(buf, "\xEF\xBF\xBD", 3);
        } else {
            escape_add(buf, text[i]);
        }
        run = ++i;
    }
    if (size > run) {
        kl_buf_add(buf, text + run, size - run);
    }
    kl_buf_add_byte(buf, '"');
}

void kl_json_key(struct kl_json_out *out, const char *key)
{
    assert(in_object(out) && !out->after_key);
    element_begin(out);
    quoted_add(out->buf, (const unsigned char *)key, strlen(key));
    kl_buf_add_byte(out->buf, ':');
    out->after_key = true;
}

void kl_json_put_text(struct kl_json_out *out, const char *text)
{
    if (text == NULL) {
        kl_json_put_null(out);
        return;
    }
    kl_json_put_text_n(out, text, strlen(text));
}

void kl_json_put_text_n(struct kl_json_out *out, const void *text, size_t size)
{
    value_begin(out);
    quoted_add(out->buf, text, size);
}

void kl_json_put_int(struct kl_json_out *out, int64_t number)
{
    char digits[24];
    char *at = digits + sizeof(digits);
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        *--at = '-';
    }
    kl_json_put_raw(out, at, (size_t)(digits + sizeof(digits) - at));
}

void kl_json_put_bool(struct kl_json_out *out, bool value)
{
    kl_json_put_raw(out, value ? "true" : "false", value ? 4 : 5);
}

void kl_json_put_null(struct kl_json_out *out)
{
    kl_json_put_raw(out, "null", 4);
}

void kl_json_put_raw(struct kl_json_out *out, const void *json, size_t size)
{
    assert(size > 0);
    value_begin(out);
    kl_buf_add(out->buf, json, size);
}

void kl_json_put_time(struct kl_json_out *out, int64_t time_us)
{
    char text[KL_TIME_TEXT_BYTES];

    kl_time_format(time_us, text);
    kl_json_put_text(out, text);
}

void kl_json_add_text(struct kl_json_out *out, const char *key, const char *text)
{
    kl_json_key(out, key);
    kl_json_put_text(out, text);
}

void kl_json_add_int(struct kl_json_out *out, const char *key, int64_t number)
{
    kl_json_key(out, key);
    kl_json_put_int(out, number);
}

void kl_json_add_bool(struct kl_json_out *out, const char *key, bool value)
{
    kl_json_key(out, key);
    kl_json_put_bool(out, value);
}

void kl_json_add_time(struct kl_json_out *out, const char *key, int64_t time_us)
{
    kl_json_key(out, key);
    kl_json_put_time(out, time_us);
}

void kl_json_add_bytes(struct kl_json_out *out, const char *key, const void *bytes, size_t size)
{
    char text[KL_BASE64_CHARS(KL_JSON_ADD_BYTES_MAX) + 1];

    assert(size <= KL_JSON_ADD_BYTES_MAX);
    kl_base64(bytes, size, text);
    kl_json_add_text(out, key, text);
}
