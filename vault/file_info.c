/* Names, rows and texts about files: pure. */
#include "vault/files.h"

#include "kluis/base/encode.h"
#include "kluis/base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- names and numbers ---- */

void vault_file_name(const struct vault_file_place *place, char ret[VAULT_FILE_NAME_BYTES])
{
    (void)snprintf(ret, VAULT_FILE_NAME_BYTES,
                   "%010" PRIx64 "-%010" PRIx64 "-%016" PRIx64 "-%016" PRIx64 VAULT_FILE_SUFFIX,
                   place->of.tenant, place->of.slot, place->of.value, place->id);
}

/* Exactly digits lower case digits of hex, then the byte end. */
static bool take_hex(const char **at, unsigned digits, char end, uint64_t *ret)
{
    uint64_t number = 0;
    unsigned i;

    for (i = 0; i < digits; i++) {
        char c = (*at)[i];

        if (c >= '0' && c <= '9') {
            number = number << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            number = number << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;
        }
    }
    if ((*at)[digits] != end) {
        return false;
    }
    *at += digits + 1;
    *ret = number;
    return true;
}

bool vault_file_name_parse(const char *name, struct vault_file_place *ret)
{
    struct vault_file_place place = {0};

    if (!take_hex(&name, 10, '-', &place.of.tenant) || !take_hex(&name, 10, '-', &place.of.slot) ||
        !take_hex(&name, 16, '-', &place.of.value) || !take_hex(&name, 16, '.', &place.id) ||
        strcmp(name, &VAULT_FILE_SUFFIX[1]) != 0) {
        return false;
    }
    *ret = place;
    return true;
}

uint64_t vault_file_chunks(uint64_t bytes)
{
    return bytes == 0 ? 1 : (bytes + VAULT_FILE_CHUNK_BYTES - 1) / VAULT_FILE_CHUNK_BYTES;
}

uint64_t vault_file_sealed_bytes(uint64_t bytes)
{
    return bytes + vault_file_chunks(bytes) * KMS_SEAL_OVERHEAD_BYTES;
}

void vault_file_row(const struct vault_file_place *place, unsigned char ret[VAULT_FILE_ROW_BYTES])
{
    kl_put_u64be(ret, place->id);
    kl_put_u64be(ret + 8, place->bytes);
}

bool vault_file_row_parse(struct kl_slice row, struct vault_file_place *ret)
{
    if (row.size != VAULT_FILE_ROW_BYTES ||
        kl_get_u64be(row.bytes + 8) > (uint64_t)VAULT_FILE_MAX_BYTES_LIMIT) {
        return false;
    }
    ret->id = kl_get_u64be(row.bytes);
    ret->bytes = kl_get_u64be(row.bytes + 8);
    return true;
}

void vault_file_context(const struct vault_file_place *place, uint64_t index, bool last,
                        unsigned char ret[VAULT_FILE_CONTEXT_BYTES])
{
    memcpy(ret, "file-chunk", 10);
    kl_put_u64be(ret + 10, place->id);
    kl_put_u64be(ret + 18, index);
    ret[26] = last ? 1 : 0;
}

/* ---- media types ---- */

/* RFC 9110, 5.6.2. */
static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static size_t token_bytes(const char *text, size_t size)
{
    size_t count = 0;

    while (count < size && is_token_char(text[count])) {
        count++;
    }
    return count;
}

/* A quoted string without escapes, of printable ASCII; 0 when there is none. */
static size_t quoted_bytes(const char *text, size_t size)
{
    size_t count = 1;

    if (size < 2 || text[0] != '"') {
        return 0;
    }
    while (count < size && text[count] >= 0x20 && text[count] < 0x7f && text[count] != '"' &&
           text[count] != '\\') {
        count++;
    }
    return count < size && text[count] == '"' ? count + 1 : 0;
}

static size_t space_bytes(const char *text, size_t size)
{
    size_t count = 0;

    while (count < size && text[count] == ' ') {
        count++;
    }
    return count;
}

/* "; name=value" at text; how long it is, 0 when it is none. */
static size_t parameter_bytes(const char *text, size_t size)
{
    size_t at = space_bytes(text, size);
    size_t part = 0;

    if (at == size || text[at] != ';') {
        return 0;
    }
    at++;
    at += space_bytes(text + at, size - at);
    part = token_bytes(text + at, size - at);
    at += part;
    if (part == 0 || at == size || text[at] != '=') {
        return 0;
    }
    at++;
    part = quoted_bytes(text + at, size - at);
    if (part == 0) {
        part = token_bytes(text + at, size - at);
    }
    return part == 0 ? 0 : at + part;
}

bool vault_media_type_valid(const char *text, size_t size)
{
    size_t at = size > VAULT_MEDIA_TYPE_MAX_BYTES ? 0 : token_bytes(text, size);
    size_t part = 0;

    if (at == 0 || at == size || text[at] != '/') {
        return false;
    }
    at++;
    part = token_bytes(text + at, size - at);
    at += part;
    while (part > 0 && at < size) {
        part = parameter_bytes(text + at, size - at);
        at += part;
    }
    return part > 0;
}

/* ---- the value ---- */

void vault_file_info_write(const struct vault_file_info *info, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);
    char hex[2 * VAULT_FILE_SHA256_BYTES + 1];

    kl_hex(info->sha256, sizeof info->sha256, hex);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "size", (int64_t)info->bytes);
    kl_json_add_text(&out, "media_type", info->media_type);
    kl_json_add_text(&out, "sha256", hex);
    kl_json_object_end(&out);
}

static bool info_take(const struct kl_json_value *root, struct vault_file_info *info)
{
    const char *media_type = kl_json_text(kl_json_member(root, "media_type"));
    const char *hex = kl_json_text(kl_json_member(root, "sha256"));
    int64_t bytes = 0;

    if (!kl_json_int(kl_json_member(root, "size"), &bytes) || bytes < 0 ||
        bytes > VAULT_FILE_MAX_BYTES_LIMIT || media_type == NULL || hex == NULL ||
        !vault_media_type_valid(media_type, strlen(media_type)) ||
        !kl_hex_decode(hex, strlen(hex), info->sha256, sizeof info->sha256)) {
        return false;
    }
    info->bytes = (uint64_t)bytes;
    (void)snprintf(info->media_type, sizeof info->media_type, "%s", media_type);
    return true;
}

enum kl_status vault_file_info_parse(struct kl_slice text, struct vault_file_info *ret,
                                     struct kl_err *err)
{
    struct vault_file_info info = {0};
    struct kl_json *json = NULL;
    enum kl_status status = kl_json_parse(text.bytes, text.size, &json, err);

    if (status == KL_ERR_NO_MEMORY) {
        return status;
    }
    if (status != KL_OK || !info_take(kl_json_root(json), &info)) {
        kl_err_clear(err);
        status = kl_fail(err, KL_ERR_CORRUPT, "file_damaged",
                         "what is written down about a file is damaged", NULL);
    } else {
        *ret = info;
    }
    kl_json_free(json);
    return status;
}
