/* The list of stores, as rows beside the keys. */
#include "vault/stores_internal.h"

#include "kluis/base/encode.h"
#include "kluis/base/json.h"
#include "vault/rows.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define KEY_MAX_BYTES (2 + VAULT_STORE_NAME_MAX_BYTES)
#define ROW_MAX_BYTES (64 * 1024)

_Static_assert(KEY_MAX_BYTES <= KMS_SIDE_KEY_MAX_BYTES, "a key fits");
_Static_assert(ROW_MAX_BYTES <= KMS_SIDE_VALUE_MAX_BYTES, "a row fits");

static size_t key_of(const char *name, unsigned char ret[KEY_MAX_BYTES])
{
    size_t size = strlen(name);

    ret[0] = KMS_SIDE_ROW;
    ret[1] = 'P';
    memcpy(ret + 2, name, size);
    return size + 2;
}

/* Who writes to keys/ but has no key leads nobody to another directory or custodian. */
static enum kl_status seal_of(struct vault *main, const char *name, struct kl_slice json,
                              unsigned char ret[KMS_MAC_BYTES], struct kl_err *err)
{
    const struct kms_place place = {KMS_TENANT_VAULT, VAULT_SLOT_CREDENTIAL, KMS_VALUE_NONE};
    struct kl_buf data;
    enum kl_status status = KL_OK;

    kl_buf_init(&data, ROW_MAX_BYTES + KEY_MAX_BYTES);
    kl_buf_add_sized(&data, name, strlen(name));
    kl_buf_add(&data, json.bytes, json.size);
    status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        status = kms_mac(main->keys, &place, "store", kl_buf_slice(&data), ret, err);
    }
    kl_buf_done(&data);
    return status;
}

static void write_row(const struct vault_store_row *row, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);
    char store_id[2 * KMS_STORE_ID_BYTES + 1];

    kl_json_object_begin(&out);
    kl_json_add_int(&out, "format", FORMAT);
    kl_json_add_text(&out, "directory", row->directory);
    kl_json_add_text(&out, "country", row->country.code);
    kl_json_add_text(&out, "place", row->place);
    kl_json_add_text(&out, "custodian", row->custodian);
    if (row->next[0] != '\0') {
        kl_json_add_text(&out, "next", row->next);
    }
    kl_json_add_int(&out, "added_us", row->added_us);
    if (row->whole) {
        kl_hex(row->store_id, sizeof row->store_id, store_id);
        kl_json_add_text(&out, "store_id", store_id);
    }
    kl_json_object_end(&out);
}

enum kl_status vault_store_row_put(struct vault *main, const struct vault_store_row *row,
                                   struct kl_err *err)
{
    unsigned char key[KEY_MAX_BYTES];
    unsigned char seal[KMS_MAC_BYTES];
    struct kms_storage_write write = {.key = {key, key_of(row->name, key)}};
    struct kl_buf json;
    struct kl_buf value;
    enum kl_status status = KL_OK;

    kl_buf_init(&json, ROW_MAX_BYTES - KMS_MAC_BYTES);
    kl_buf_init(&value, ROW_MAX_BYTES);
    write_row(row, &json);
    status = kl_buf_status(&json, err);
    if (status == KL_OK) {
        status = seal_of(main, row->name, kl_buf_slice(&json), seal, err);
    }
    if (status == KL_OK) {
        kl_buf_add(&value, seal, sizeof seal);
        kl_buf_add(&value, json.bytes, json.size);
        status = kl_buf_status(&value, err);
    }
    if (status == KL_OK) {
        write.value = kl_buf_slice(&value);
        status = kms_side_apply(main->keys, &write, 1, true, err);
    }
    kl_buf_done(&json);
    kl_buf_done(&value);
    return status;
}

enum kl_status vault_store_row_remove(struct vault *main, const char *name, struct kl_err *err)
{
    unsigned char key[KEY_MAX_BYTES];
    const struct kms_storage_write write = {.key = {key, key_of(name, key)}};

    return kms_side_apply(main->keys, &write, 1, true, err);
}

/* ---- reading ---- */

/* A member that may be missing, when ret may stay as it is. */
static bool take_text(const struct kl_json_value *root, const char *key, bool needed, char *ret,
                      size_t ret_bytes)
{
    const struct kl_json_value *value = kl_json_member(root, key);
    const char *text = kl_json_text(value);

    if (kl_json_type(value) == KL_JSON_ABSENT) {
        return !needed;
    }
    if (text == NULL || text[0] == '\0' || strlen(text) >= ret_bytes) {
        return false;
    }
    memcpy(ret, text, strlen(text) + 1);
    return true;
}

static bool take_members(const struct kl_json_value *root, struct vault_store_row *row)
{
    char country[4] = "";
    char store_id[2 * KMS_STORE_ID_BYTES + 1] = "";
    int64_t format = 0;

    if (!kl_json_int(kl_json_member(root, "format"), &format) || format != FORMAT ||
        !take_text(root, "directory", true, row->directory, sizeof row->directory) ||
        row->directory[0] != '/' || !take_text(root, "country", true, country, sizeof country) ||
        vault_country_parse(country, strlen(country), &row->country, NULL) != KL_OK ||
        !take_text(root, "place", true, row->place, sizeof row->place) ||
        !take_text(root, "custodian", true, row->custodian, sizeof row->custodian) ||
        !take_text(root, "next", false, row->next, sizeof row->next) ||
        !take_text(root, "store_id", false, store_id, sizeof store_id) ||
        !kl_json_int(kl_json_member(root, "added_us"), &row->added_us)) {
        return false;
    }
    row->whole = store_id[0] != '\0';
    return !row->whole ||
           kl_hex_decode(store_id, strlen(store_id), row->store_id, sizeof row->store_id);
}

bool vault_store_row_parse(struct kl_slice json, struct vault_store_row *ret)
{
    struct kl_json *parsed = NULL;
    struct vault_store_row row = {.whole = false};
    bool good = false;

    if (kl_json_parse(json.bytes, json.size, &parsed, NULL) != KL_OK) {
        return false;
    }
    memcpy(row.name, ret->name, sizeof row.name);
    good = take_members(kl_json_root(parsed), &row);
    kl_json_free(parsed);
    if (good) {
        *ret = row;
    }
    return good;
}

struct reading {
    struct vault *main;
    struct vault_store_row *rows;
    size_t count;
};

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "store_list_damaged",
                   "the list of stores beside the keys is damaged: put keys/ back from a mirror",
                   NULL);
}

static enum kl_status read_row(void *visitor, struct kl_slice key, struct kl_slice value,
                               struct kl_err *err)
{
    struct reading *reading = visitor;
    struct vault_store_row *row = &reading->rows[reading->count];
    unsigned char seal[KMS_MAC_BYTES];
    struct kl_slice json;
    enum kl_status status = KL_OK;

    if (reading->count == VAULT_STORES_MAX || key.size <= 2 ||
        key.size - 2 > VAULT_STORE_NAME_MAX_BYTES || value.size <= KMS_MAC_BYTES) {
        return damaged(err);
    }
    memcpy(row->name, key.bytes + 2, key.size - 2);
    row->name[key.size - 2] = '\0';
    json = kl_slice_of(value.bytes + KMS_MAC_BYTES, value.size - KMS_MAC_BYTES);
    status = seal_of(reading->main, row->name, json, seal, err);
    if (status != KL_OK) {
        return status;
    }
    if (sodium_memcmp(seal, value.bytes, sizeof seal) != 0 || !vault_store_name_valid(row->name) ||
        !vault_store_row_parse(json, row)) {
        return damaged(err);
    }
    reading->count++;
    return KL_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct vault_store_row *one = a;
    const struct vault_store_row *other = b;

    return one->added_us < other->added_us   ? -1
           : one->added_us > other->added_us ? 1
                                             : strcmp(one->name, other->name);
}

enum kl_status vault_store_rows_read(struct vault *main, struct vault_store_row **ret,
                                     size_t *ret_count, struct kl_err *err)
{
    static const unsigned char prefix[2] = {KMS_SIDE_ROW, 'P'};
    struct reading reading = {.main = main};
    enum kl_status status = KL_OK;

    reading.rows = calloc(VAULT_STORES_MAX, sizeof *reading.rows);
    if (reading.rows == NULL) {
        return kl_fail_memory(err);
    }
    status =
        kms_side_range(main->keys, kl_slice_of(prefix, sizeof prefix), read_row, &reading, err);
    if (status != KL_OK) {
        free(reading.rows);
        return status;
    }
    qsort(reading.rows, reading.count, sizeof *reading.rows, by_time);
    *ret = reading.rows;
    *ret_count = reading.count;
    return KL_OK;
}
