/* What is read as JSON is written in one form, which reads as the same again. */
#include "kluis/base/encode.h"
#include "kluis/base/json.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const struct kl_json_value *value, unsigned depth);

static void check_container(const struct kl_json_value *value, unsigned depth)
{
    struct kl_json_iter iter = kl_json_iter(value);
    const struct kl_json_value *item;
    const char *key;
    size_t count = 0;

    assert(depth <= KL_JSON_DEPTH_MAX);
    while (kl_json_next(&iter, &key, &item)) {
        /* With a key that came twice, the first of the two would be found. */
        assert(key == NULL || kl_json_member(value, key) == item);
        assert(key == NULL || kl_utf8_valid(key, strlen(key)));
        check_value(item, depth);
        count++;
    }
    assert(count == kl_json_count(value));
}

static void check_value(const struct kl_json_value *value, unsigned depth)
{
    int64_t number;
    size_t bytes;

    switch (kl_json_type(value)) {
    case KL_JSON_ABSENT:
        assert(value == NULL);
        break;
    case KL_JSON_TEXT:
        assert(strlen(kl_json_text(value)) == kl_json_text_bytes(value));
        assert(kl_utf8_valid(kl_json_text(value), kl_json_text_bytes(value)));
        break;
    case KL_JSON_NUMBER:
        assert(kl_json_number_text(value, &bytes) != NULL && bytes > 0);
        (void)kl_json_int(value, &number);
        break;
    case KL_JSON_ARRAY:
    case KL_JSON_OBJECT:
        check_container(value, depth + 1);
        break;
    case KL_JSON_NULL:
    case KL_JSON_BOOL:
        break;
    }
}

static void write_all(struct kl_buf *buf, const struct kl_json *json)
{
    kl_buf_init(buf, (size_t)1 << 28);
    kl_json_write_value(buf, kl_json_root(json));
    assert(kl_buf_status(buf, NULL) == KL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_json *json = NULL;
    struct kl_json *again = NULL;
    struct kl_err err = {0};
    struct kl_buf first;
    struct kl_buf second;
    enum kl_status status = kl_json_parse(data, size, &json, &err);

    if (status != KL_OK) {
        assert(json == NULL && err.code[0] != '\0' && err.client_text[0] != '\0');
        assert(kl_utf8_valid(err.where, strlen(err.where)));
        return 0;
    }
    assert(kl_utf8_valid(data, size));
    check_value(kl_json_root(json), 0);
    write_all(&first, json);
    status = kl_json_parse(first.bytes, first.size, &again, NULL);
    assert(status == KL_OK);
    write_all(&second, again);
    assert(kl_slice_equal(kl_buf_slice(&first), kl_buf_slice(&second)));
    kl_buf_done(&first);
    kl_buf_done(&second);
    kl_json_free(json);
    kl_json_free(again);
    return 0;
}
