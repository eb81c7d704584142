/*
 * JSON in and out (RFC 8259), strict: valid UTF-8, no duplicate keys, no
 * lone surrogates, no U+0000 in a string, depth at most KL_JSON_DEPTH_MAX,
 * nothing behind the value. Reading is yyjson with an allocator that wipes.
 */
#ifndef KLUIS_BASE_JSON_H
#define KLUIS_BASE_JSON_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KL_JSON_DEPTH_MAX 32
#define KL_JSON_MEMBERS_MAX 65536 /* members of one object, elements of one array */
#define KL_JSON_OUT_DEPTH_MAX 63  /* of what is written */

/*
 * A parsed text; a value inside one, valid until kl_json_free(). NULL values are allowed as inputs
 * and are "absent".
 */
struct kl_json;
struct kl_json_value; /* opaque; never defined */

enum kl_json_type {
    KL_JSON_ABSENT,
    KL_JSON_NULL,
    KL_JSON_BOOL,
    KL_JSON_NUMBER,
    KL_JSON_TEXT,
    KL_JSON_ARRAY,
    KL_JSON_OBJECT
};

/*
 * text is copied, so it may go away at once. Depth counts arrays and objects within each other.
 * KL_ERR_INVALID "invalid_json" (err->where "line:column"), "duplicate_key" (err->where the
 * JSON pointer of the object; the key is not shown), "json_too_deep"; KL_ERR_TOO_LARGE
 * "json_too_many"; KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kl_json_parse(const void *text, size_t size, struct kl_json **ret_json,
                                         struct kl_err *err);
void kl_json_free(struct kl_json *json); /* wipes; NULL is fine */
const struct kl_json_value *kl_json_root(const struct kl_json *json);

enum kl_json_type kl_json_type(const struct kl_json_value *value);
/* Absent (NULL) when value is no object or has no such member. */
const struct kl_json_value *kl_json_member(const struct kl_json_value *value, const char *key);
size_t kl_json_count(const struct kl_json_value *value); /* members or elements; 0 for others */
/*
 * A walk over the elements of an array or the members of an object; over anything else it ends at
 * once.
 */
struct kl_json_iter {
    const struct kl_json_value *container;
    size_t at;
    const void *next;
};
struct kl_json_iter kl_json_iter(const struct kl_json_value *container);
/*
 * The next one; false at the end. ret_key may be NULL; it gets NULL in an array. Keys have no 0
 * byte inside.
 */
bool kl_json_next(struct kl_json_iter *iter, const char **ret_key,
                  const struct kl_json_value **ret_value);

bool kl_json_bool(const struct kl_json_value *value); /* false when it is none */
const char *kl_json_text(
    const struct kl_json_value *value); /* 0-terminated, no 0 inside; NULL when it is no string */
size_t kl_json_text_bytes(const struct kl_json_value *value);
/* A member that is so many bytes as base64url (encode.h). False, ret undefined: there is none, or it is not that many. */
bool kl_json_bytes(const struct kl_json_value *object, const char *key, void *ret, size_t size);
/* An integer in int64_t; false when it is none or outside. */
bool kl_json_int(const struct kl_json_value *value, int64_t *ret_number);
/*
 * The number as it was written in the input ("1.50" stays "1.50"); NULL when it is no number. Not
 * 0-terminated.
 */
const char *kl_json_number_text(const struct kl_json_value *value, size_t *ret_bytes);
/*
 * Append the value as compact JSON; members in the order they came, numbers as they were written.
 * Absent is null.
 */
void kl_json_write_value(struct kl_buf *out, const struct kl_json_value *value);

/*
 * Refuse members that nobody expects. known: names ended by NULL.
 * KL_ERR_INVALID "unknown_key" with err->where the pointer (prefix + "/" + key, cut) and the
 * nearest known name as a suggestion; "invalid_type" when value is no object.
 */
KL_MUST_USE enum kl_status kl_json_expect(const struct kl_json_value *value,
                                          const char *const *known, const char *where_prefix,
                                          struct kl_err *err);

/*
 * A writer: appends compact JSON to a buffer; commas and escapes are its
 * business. Misuse (a value without its key, ends that do not pair) is an
 * assert. What is no UTF-8 in a text becomes U+FFFD. Look at
 * kl_buf_status() at the end.
 */
struct kl_json_out {
    struct kl_buf *buf;
    uint64_t started; /* bit per depth: something was written at that depth */
    uint64_t objects; /* bit per depth: it is an object */
    unsigned depth;   /* 0..KL_JSON_OUT_DEPTH_MAX */
    bool after_key;
};
struct kl_json_out kl_json_out(struct kl_buf *buf);
void kl_json_object_begin(struct kl_json_out *out);
void kl_json_object_end(struct kl_json_out *out);
void kl_json_array_begin(struct kl_json_out *out);
void kl_json_array_end(struct kl_json_out *out);
void kl_json_key(struct kl_json_out *out, const char *key);
void kl_json_put_text(struct kl_json_out *out, const char *text); /* NULL writes null */
void kl_json_put_text_n(struct kl_json_out *out, const void *text, size_t size);
void kl_json_put_int(struct kl_json_out *out, int64_t number);
void kl_json_put_bool(struct kl_json_out *out, bool value);
void kl_json_put_null(struct kl_json_out *out);
void kl_json_put_raw(struct kl_json_out *out, const void *json, size_t size); /* already JSON */
void kl_json_put_time(struct kl_json_out *out, int64_t time_us);
/* key and value in one */
void kl_json_add_text(struct kl_json_out *out, const char *key, const char *text);
void kl_json_add_int(struct kl_json_out *out, const char *key, int64_t number);
void kl_json_add_bool(struct kl_json_out *out, const char *key, bool value);
void kl_json_add_time(struct kl_json_out *out, const char *key, int64_t time_us);
/* As base64url; at most KL_JSON_ADD_BYTES_MAX (asserted). */
#define KL_JSON_ADD_BYTES_MAX 64
void kl_json_add_bytes(struct kl_json_out *out, const char *key, const void *bytes, size_t size);

#endif
