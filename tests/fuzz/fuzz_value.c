/*
 * Field values from outside. The first byte is the type, the rest the value. What is taken is in
 * its
 * normal form, is masked without being shown, is padded and back, and is JSON when written.
 */
#include "kluis/base/buf.h"
#include "kluis/base/json.h"
#include "kluis/vault/value.h"

#include <assert.h>
#include <string.h>

#define OUT_MAX ((size_t)4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum kl_json_type kind_of(enum vault_type type)
{
    if (type == VAULT_TYPE_NUMBER)
        return KL_JSON_NUMBER;
    if (type == VAULT_TYPE_BOOLEAN)
        return KL_JSON_BOOL;
    return type == VAULT_TYPE_JSON ? KL_JSON_OBJECT : KL_JSON_TEXT;
}

static void check_again(enum vault_type type, struct kl_slice normal)
{
    const struct vault_value_input input = {kind_of(type), normal};
    struct kl_buf again;

    kl_buf_init(&again, OUT_MAX);
    assert(vault_value_normalise(type, &input, &again, NULL) == KL_OK);
    assert(kl_slice_equal(kl_buf_slice(&again), normal));
    kl_buf_done(&again);
}

static void check_index_form(enum vault_type type, struct kl_slice normal)
{
    struct kl_buf form;
    struct kl_err err = {0};

    kl_buf_init(&form, OUT_MAX);
    if (vault_value_index_form(type, normal, &form, &err) == KL_OK)
        assert(form.size > 0);
    else
        assert(strcmp(err.code, "unassigned_character") == 0 ||
               strcmp(err.code, "empty_value") == 0 || strcmp(err.code, "not_indexable") == 0);
    kl_buf_done(&form);
}

/* Does the value look like a masked one by itself? */
static bool looks_masked(struct kl_slice value)
{
    return memchr(value.bytes, '*', value.size) != NULL;
}

static void check_masks(enum vault_type type, struct kl_slice normal)
{
    for (int mask = 0; mask < VAULT_MASKS; mask++) {
        struct kl_buf out;
        kl_buf_init(&out, OUT_MAX);
        assert(vault_value_mask((enum vault_mask)mask, type, normal, &out, NULL) == KL_OK);
        assert(out.size > 0);
        assert(looks_masked(normal) || !kl_slice_equal(kl_buf_slice(&out), normal));
        kl_buf_done(&out);
    }
}

static void check_padding(struct kl_slice normal)
{
    struct kl_slice back = {0};
    struct kl_buf out;

    kl_buf_init(&out, OUT_MAX);
    assert(vault_pad(normal, &out, NULL) == KL_OK);
    assert(vault_unpad(kl_buf_slice(&out), &back, NULL) == KL_OK);
    assert(kl_slice_equal(back, normal));
    kl_buf_done(&out);
}

static void check_json(enum vault_type type, struct kl_slice normal)
{
    struct kl_json *parsed = NULL;
    struct kl_json_out out;
    struct kl_buf buf;

    kl_buf_init(&buf, OUT_MAX);
    out = kl_json_out(&buf);
    kl_json_array_begin(&out);
    vault_value_write_json(type, normal, &out);
    kl_json_array_end(&out);
    /* in an array it is one level deeper than it was */
    if (type != VAULT_TYPE_JSON)
        assert(kl_json_parse(buf.bytes, buf.size, &parsed, NULL) == KL_OK);
    kl_json_free(parsed);
    kl_buf_done(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vault_value_input input;
    struct kl_slice unpadded = {0};
    struct kl_err err = {0};
    struct kl_buf normal;
    enum vault_type type;

    if (size < 1)
        return 0;
    if (vault_unpad(kl_slice_of(data, size), &unpadded, NULL) == KL_OK)
        assert(vault_pad_size(unpadded.size) == size);
    type = (enum vault_type)(data[0] % VAULT_TYPES);
    input = (struct vault_value_input){kind_of(type), kl_slice_of(data + 1, size - 1)};
    kl_buf_init(&normal, OUT_MAX);
    if (vault_value_normalise(type, &input, &normal, &err) == KL_OK) {
        const struct kl_slice value = kl_buf_slice(&normal);
        assert(value.size > 0);
        check_again(type, value);
        check_index_form(type, value);
        check_masks(type, value);
        check_padding(value);
        check_json(type, value);
    } else {
        assert(normal.size == 0 && err.code[0] != '\0');
    }
    kl_buf_done(&normal);
    return 0;
}
