#include "kluis/base/json.h"

#include "base/json_check.h"
#include "base/wipe_alloc.h"
#include "kluis/base/encode.h"
#include "kluis/base/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

struct kl_json {
    yyjson_doc *doc;
};

static const yyjson_alc ALLOCATOR = {kl_wipe_malloc, kl_wipe_realloc, kl_wipe_free, NULL};

static const struct kl_json_value *value_of(yyjson_val *value)
{
    return (const struct kl_json_value *)value;
}

/* The functions of yyjson only read, but ask for a pointer that could write. */
static yyjson_val *val(const struct kl_json_value *value)
{
    return (yyjson_val *)value;
}

static enum kl_status fail_syntax(const char *text, size_t size, const yyjson_read_err *failure,
                                  struct kl_err *err)
{
    size_t line = 1;
    size_t column = 1;
    size_t character;

    if (failure->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory",
                       "the server is short of memory; try again", "no memory to read JSON");
    }
    if (size > 0) {
        (void)yyjson_locate_pos(text, size, failure->pos < size ? failure->pos : size, &line,
                                &column, &character);
    }
    kl_err_where(err, "%zu:%zu", line, column);
    return kl_failf(err, KL_ERR_INVALID, "invalid_json", "this is not valid JSON: %s",
                    failure->msg);
}

enum kl_status kl_json_parse(const void *text, size_t size, struct kl_json **ret_json,
                             struct kl_err *err)
{
    enum kl_status status;
    yyjson_read_err failure = {0};
    struct kl_json *json = NULL;
    yyjson_doc *doc = NULL;

    doc = yyjson_read_opts((char *)text, size, YYJSON_READ_NUMBER_AS_RAW, &ALLOCATOR, &failure);
    if (doc == NULL) {
        return fail_syntax(text, size, &failure, err);
    }
    status = kl_json_check(yyjson_doc_get_root(doc), text, size, err);
    if (status != KL_OK) {
        goto out;
    }
    json = malloc(sizeof(*json));
    if (json == NULL) {
        status = kl_fail(err, KL_ERR_NO_MEMORY, "no_memory",
                         "the server is short of memory; try again", "no memory to read JSON");
        goto out;
    }
    json->doc = doc;
    doc = NULL;
    *ret_json = json;

out:
    yyjson_doc_free(doc);
    return status;
}

void kl_json_free(struct kl_json *json)
{
    if (json != NULL) {
        yyjson_doc_free(json->doc);
        free(json);
    }
}

const struct kl_json_value *kl_json_root(const struct kl_json *json)
{
    return json != NULL ? value_of(yyjson_doc_get_root(json->doc)) : NULL;
}

enum kl_json_type kl_json_type(const struct kl_json_value *value)
{
    switch (yyjson_get_type(val(value))) {
    case YYJSON_TYPE_NULL:
        return KL_JSON_NULL;
    case YYJSON_TYPE_BOOL:
        return KL_JSON_BOOL;
    case YYJSON_TYPE_RAW:
        return KL_JSON_NUMBER;
    case YYJSON_TYPE_STR:
        return KL_JSON_TEXT;
    case YYJSON_TYPE_ARR:
        return KL_JSON_ARRAY;
    case YYJSON_TYPE_OBJ:
        return KL_JSON_OBJECT;
    default:
        return KL_JSON_ABSENT;
    }
}

const struct kl_json_value *kl_json_member(const struct kl_json_value *value, const char *key)
{
    return value_of(yyjson_obj_get(val(value), key));
}

size_t kl_json_count(const struct kl_json_value *value)
{
    return yyjson_is_ctn(val(value)) ? yyjson_get_len(val(value)) : 0;
}

struct kl_json_iter kl_json_iter(const struct kl_json_value *container)
{
    struct kl_json_iter iter = {.container = container};

    if (kl_json_count(container) > 0) {
        iter.next = unsafe_yyjson_get_first(val(container));
    }
    return iter;
}

bool kl_json_next(struct kl_json_iter *iter, const char **ret_key,
                  const struct kl_json_value **ret_value)
{
    yyjson_val *item = (yyjson_val *)iter->next;
    const char *key = NULL;

    if (iter->at == kl_json_count(iter->container)) {
        return false;
    }
    if (yyjson_is_obj(val(iter->container))) {
        key = unsafe_yyjson_get_str(item);
        item++; /* a member's value lies behind its key */
    }
    iter->at++;
    iter->next = unsafe_yyjson_get_next(item);
    if (ret_key != NULL) {
        *ret_key = key;
    }
    *ret_value = value_of(item);
    return true;
}

bool kl_json_bool(const struct kl_json_value *value)
{
    return yyjson_is_true(val(value));
}

const char *kl_json_text(const struct kl_json_value *value)
{
    return yyjson_get_str(val(value));
}

size_t kl_json_text_bytes(const struct kl_json_value *value)
{
    return yyjson_is_str(val(value)) ? yyjson_get_len(val(value)) : 0;
}

bool kl_json_bytes(const struct kl_json_value *object, const char *key, void *ret, size_t size)
{
    const struct kl_json_value *member = kl_json_member(object, key);
    const char *text = kl_json_text(member);

    return text != NULL && kl_base64_decode(text, kl_json_text_bytes(member), ret, size);
}

const char *kl_json_number_text(const struct kl_json_value *value, size_t *ret_bytes)
{
    if (!yyjson_is_raw(val(value))) {
        return NULL;
    }
    *ret_bytes = yyjson_get_len(val(value));
    return yyjson_get_raw(val(value));
}

bool kl_json_int(const struct kl_json_value *value, int64_t *ret_number)
{
    size_t bytes;
    const char *text = kl_json_number_text(value, &bytes);
    int64_t number = 0;
    bool negative;

    if (text == NULL) {
        return false;
    }
    negative = text[0] == '-';
    for (size_t i = negative ? 1 : 0; i < bytes; i++) {
        int digit = text[i] - '0';
        /* Counted downwards, as the smallest number has no positive twin. */
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, digit, &number)) {
            return false;
        }
    }
    if (!negative && __builtin_sub_overflow(0, number, &number)) {
        return false;
    }
    *ret_number = number;
    return true;
}

static void write_value(struct kl_json_out *out, const struct kl_json_value *value);

static void write_container(struct kl_json_out *out, const struct kl_json_value *value)
{
    struct kl_json_iter iter = kl_json_iter(value);
    const struct kl_json_value *item;
    const char *key;

    while (kl_json_next(&iter, &key, &item)) {
        if (key != NULL) {
            kl_json_key(out, key);
        }
        write_value(out, item);
    }
}

/* As deep as what was parsed: KL_JSON_DEPTH_MAX. */
static void write_value(struct kl_json_out *out, const struct kl_json_value *value)
{
    switch (kl_json_type(value)) {
    case KL_JSON_ABSENT:
    case KL_JSON_NULL:
        kl_json_put_null(out);
        break;
    case KL_JSON_BOOL:
        kl_json_put_bool(out, kl_json_bool(value));
        break;
    case KL_JSON_NUMBER: {
        size_t bytes;
        const char *text = kl_json_number_text(value, &bytes);
        kl_json_put_raw(out, text, bytes);
        break;
    }
    case KL_JSON_TEXT:
        kl_json_put_text_n(out, kl_json_text(value), kl_json_text_bytes(value));
        break;
    case KL_JSON_ARRAY:
        kl_json_array_begin(out);
        write_container(out, value);
        kl_json_array_end(out);
        break;
    case KL_JSON_OBJECT:
        kl_json_object_begin(out);
        write_container(out, value);
        kl_json_object_end(out);
        break;
    }
}

void kl_json_write_value(struct kl_buf *out, const struct kl_json_value *value)
{
    struct kl_json_out writer = kl_json_out(out);

    write_value(&writer, value);
}

static bool is_known(const char *key, const char *const *known)
{
    for (; *known != NULL; known++) {
        if (strcmp(key, *known) == 0) {
            return true;
        }
    }
    return false;
}

static enum kl_status fail_unknown(const char *key, const char *const *known,
                                   const char *where_prefix, struct kl_err *err)
{
    const char *near = kl_suggest(key, known);
    char pointer[KL_ERR_WHERE_BYTES];

    kl_json_pointer_escape(key, strlen(key), pointer, sizeof(pointer));
    kl_err_where(err, "%s/%s", where_prefix, pointer);
    if (near == NULL) {
        return kl_failf(err, KL_ERR_INVALID, "unknown_key", "there is no such key here");
    }
    return kl_failf(err, KL_ERR_INVALID, "unknown_key",
                    "there is no such key here; did you mean \"%s\"?", near);
}

enum kl_status kl_json_expect(const struct kl_json_value *value, const char *const *known,
                              const char *where_prefix, struct kl_err *err)
{
    struct kl_json_iter iter = kl_json_iter(value);
    const struct kl_json_value *item;
    const char *key;

    if (kl_json_type(value) != KL_JSON_OBJECT) {
        kl_err_where(err, "%s", where_prefix);
        return kl_fail(err, KL_ERR_INVALID, "invalid_type", "an object is expected here", NULL);
    }
    while (kl_json_next(&iter, &key, &item)) {
        if (!is_known(key, known)) {
            return fail_unknown(key, known, where_prefix, err);
        }
    }
    return KL_OK;
}
