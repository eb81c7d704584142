#include "api/request_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS_MAX 12

static bool is_number(const char *text, size_t digits_max)
{
    size_t digits = strspn(text, "0123456789");

    return digits >= 1 && digits <= digits_max && text[digits] == '\0';
}

static size_t number_of(const char *text)
{
    size_t number = 0;

    for (; *text != '\0'; text++) {
        number = number * 10 + (size_t)(*text - '0');
    }
    return number;
}

static enum kl_status check_once(const struct api_head *head, struct kl_err *err)
{
    static const char *const ONCE[] = {
        "Authorization", "Content-Type", "Host",         "Idempotency-Key",
        "If-Match",      "Expect",       "X-Request-Id", NULL};

    for (size_t i = 0; ONCE[i] != NULL; i++) {
        size_t count;
        api_head_get(head, ONCE[i], &count);
        if (count > 1) {
            return kl_failf(err, KL_ERR_INVALID, "invalid_header",
                            "the header %s is given more than once", ONCE[i]);
        }
    }
    return KL_OK;
}

/* RFC 9110, 7.2; RFC 9112, 3.2. */
static enum kl_status check_host(const struct api_head *head, struct kl_err *err)
{
    if (head->needs_host && api_head_get(head, "Host", NULL) == NULL) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_header",
                       "a request over HTTP/1.1 needs the header Host", NULL);
    }
    return KL_OK;
}

static enum kl_status check_values(const struct api_head *head, struct kl_err *err)
{
    for (size_t i = 0; i < head->header_count; i++) {
        for (const char *at = head->headers[i].value; *at != '\0'; at++) {
            if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f) {
                return kl_fail(err, KL_ERR_INVALID, "invalid_header",
                               "a header has a control character in it", NULL);
            }
        }
    }
    return KL_OK;
}

enum kl_status api_request_frame(const struct api_head *head, size_t *ret_length,
                                 struct kl_err *err)
{
    size_t lengths;
    size_t codings;
    const char *length = api_head_get(head, "Content-Length", &lengths);
    const char *expect = api_head_get(head, "Expect", NULL);
    enum kl_status status;

    api_head_get(head, "Transfer-Encoding", &codings);
    if (codings > 0 && lengths == 0) {
        return kl_fail(err, KL_ERR_INVALID, "length_required",
                       "send the body with Content-Length; transfer codings are not taken", NULL);
    }
    if (codings > 0 || lengths > 1 || (lengths == 1 && !is_number(length, LENGTH_DIGITS_MAX))) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_length",
                       "the length of the body is not stated clearly", NULL);
    }
    if (expect != NULL && strcasecmp(expect, "100-continue") != 0) {
        return kl_fail(err, KL_ERR_INVALID, "expectation_failed", "Expect can be 100-continue only",
                       NULL);
    }
    status = check_once(head, err);
    if (status == KL_OK) {
        status = check_host(head, err);
    }
    if (status == KL_OK) {
        status = check_values(head, err);
    }
    if (status == KL_OK) {
        *ret_length = lengths == 1 ? number_of(length) : 0;
    }
    return status;
}

enum kl_status api_request_bearer(const struct api_head *head, const char **ret_token,
                                  struct kl_err *err)
{
    const char *value = api_head_get(head, "Authorization", NULL);

    if (value == NULL) {
        *ret_token = NULL;
        return KL_OK;
    }
    if (strncasecmp(value, "Bearer ", 7) != 0) {
        return kl_fail(err, KL_ERR_UNAUTHORISED, "unauthorised",
                       "Authorization must be of the form Bearer kl_...", NULL);
    }
    value += 7;
    *ret_token = value + strspn(value, " ");
    return KL_OK;
}

/* Compare a media type, without its parameters, with name. */
static bool is_type(const char *value, const char *name)
{
    size_t size = strcspn(value, " \t;");

    return size == strlen(name) && strncasecmp(value, name, size) == 0;
}

enum kl_status api_request_content_type(const struct api_head *head, bool yaml, struct kl_err *err)
{
    static const char *const JSON[] = {"application/json", "application/merge-patch+json", NULL};
    static const char *const YAML[] = {"application/yaml", "application/x-yaml", "text/yaml", NULL};
    const char *value = api_head_get(head, "Content-Type", NULL);
    const char *const *names = yaml ? YAML : JSON;

    for (; value != NULL && *names != NULL; names++) {
        if (is_type(value, *names)) {
            return KL_OK;
        }
    }
    return kl_failf(err, KL_ERR_INVALID, "unsupported_media_type",
                    "send the body with Content-Type: %s", yaml ? YAML[0] : JSON[0]);
}

/* ---- shorthands of handlers ---- */

const struct kl_json_value *api_request_json(const struct api_request *request)
{
    return request->json == NULL ? NULL : kl_json_root(request->json);
}

const char *api_request_query(const struct api_request *request, const char *name)
{
    return api_query_get(&request->query, name);
}

enum kl_status api_request_limit(const struct api_request *request, size_t *ret_limit,
                                 struct kl_err *err)
{
    const char *text = api_request_query(request, "limit");
    size_t limit = VAULT_PAGE_DEFAULT;

    if (text != NULL) {
        limit = is_number(text, 6) ? number_of(text) : 0;
        if (limit < 1 || limit > VAULT_PAGE_MAX) {
            return kl_failf(err, KL_ERR_INVALID, "invalid_limit", "limit is a number from 1 to %d",
                            VAULT_PAGE_MAX);
        }
    }
    *ret_limit = limit;
    return KL_OK;
}

enum kl_status api_request_number(const struct api_request *request, const char *name,
                                  int64_t *ret_number, struct kl_err *err)
{
    const char *text = api_request_query(request, name);

    if (text != NULL && !is_number(text, 15)) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_parameter",
                        "%s is a number of at most 15 digits", name);
    }
    *ret_number = text == NULL ? -1 : (int64_t)number_of(text);
    return KL_OK;
}

enum kl_status api_request_moment(const struct api_request *request, const char *name,
                                  int64_t *ret_time_us, struct kl_err *err)
{
    const char *text = api_request_query(request, name);
    struct kl_duration duration;

    if (text == NULL) {
        *ret_time_us = 0;
        return KL_OK;
    }
    if (kl_duration_parse(text, strlen(text), &duration, NULL) == KL_OK) {
        *ret_time_us = kl_time_add(request->caller.now_us, &duration);
        return KL_OK;
    }
    if (kl_time_parse(text, strlen(text), ret_time_us, NULL) != KL_OK || *ret_time_us <= 0) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_parameter",
                        "%s is a time (RFC 3339) or a duration from now (ISO 8601, P7D)", name);
    }
    return KL_OK;
}

/*
 * The key without the quotes that the draft wants and many clients leave out; NULL when it is not
 * one.
 */
static const char *idempotency_key(const struct api_request *request, const char *value)
{
    size_t size = strlen(value);

    if (size >= 2 && value[0] == '"' && value[size - 1] == '"') {
        value++;
        size -= 2;
    }
    if (size < 1 || size > VAULT_IDEMPOTENCY_KEY_MAX_BYTES) {
        return NULL;
    }
    for (size_t i = 0; i < size; i++) {
        if (value[i] < 0x21 || value[i] > 0x7e || value[i] == '"') {
            return NULL;
        }
    }
    return kl_arena_text(request->arena, value, size);
}

static void hash_part(crypto_hash_sha256_state *state, const void *bytes, size_t size)
{
    unsigned char length[8];

    kl_put_u64be(length, size);
    crypto_hash_sha256_update(state, length, sizeof length);
    crypto_hash_sha256_update(state, bytes, size);
}

/* A key of its own for one operation of a batch. */
static const char *salted_key(const struct api_request *request, const char *key, const void *salt,
                              size_t salt_bytes)
{
    crypto_hash_sha256_state state;
    unsigned char digest[crypto_hash_sha256_BYTES];
    char text[2 * sizeof digest + 1];

    crypto_hash_sha256_init(&state);
    hash_part(&state, key, strlen(key));
    hash_part(&state, salt, salt_bytes);
    crypto_hash_sha256_final(&state, digest);
    sodium_bin2hex(text, sizeof text, digest, sizeof digest);
    return kl_arena_text(request->arena, text, sizeof text - 1);
}

enum kl_status api_request_idempotency(const struct api_request *request, const void *salt,
                                       size_t salt_bytes, struct vault_idempotency *ret,
                                       struct kl_err *err)
{
    const char *value = api_head_get(request->head, "Idempotency-Key", NULL);
    struct vault_idempotency idempotency = {0};
    crypto_hash_sha256_state state;

    if (value != NULL) {
        idempotency.key = idempotency_key(request, value);
        if (idempotency.key == NULL) {
            return kl_failf(err, KL_ERR_INVALID, "invalid_header",
                            "Idempotency-Key is 1 to %d visible ASCII characters, in quotes or not",
                            VAULT_IDEMPOTENCY_KEY_MAX_BYTES);
        }
        crypto_hash_sha256_init(&state);
        hash_part(&state, request->head->method, strlen(request->head->method));
        hash_part(&state, request->head->path, strlen(request->head->path));
        hash_part(&state, request->body.bytes, request->body.size);
        crypto_hash_sha256_final(&state, idempotency.fingerprint);
        sodium_memzero(&state, sizeof state);
        if (salt != NULL) {
            idempotency.key = salted_key(request, idempotency.key, salt, salt_bytes);
        }
        if (idempotency.key == NULL) {
            return kl_fail_memory(err);
        }
    }
    *ret = idempotency;
    return KL_OK;
}

enum kl_status api_request_if_match(const struct api_request *request, uint64_t *ret_version,
                                    struct kl_err *err)
{
    const char *value = api_head_get(request->head, "If-Match", NULL);
    char digits[24];
    size_t size = value == NULL ? 0 : strlen(value);

    if (value == NULL) {
        return kl_fail(err, KL_ERR_REQUIRED, "if_match_required",
                       "say which version you change: If-Match with the ETag that you read, or *",
                       NULL);
    }
    if (strcmp(value, "*") == 0) {
        *ret_version = 0;
        return KL_OK;
    }
    if (size >= 3 && size <= 20 && value[0] == '"' && value[size - 1] == '"') {
        memcpy(digits, value + 1, size - 2);
        digits[size - 2] = '\0';
        if (is_number(digits, 18) && number_of(digits) > 0) {
            *ret_version = number_of(digits);
            return KL_OK;
        }
    }
    return kl_fail(err, KL_ERR_INVALID, "invalid_header",
                   "If-Match is one ETag as it was read (\"3\"), or *", NULL);
}
