/* From a failure to HTTP: which status, which words (RFC 9457). */
#include "api/response.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define RETRY_BUSY_S 1
#define RETRY_UNAVAILABLE_S 5
#define RETRY_MAX_S 86400

/*
 * Failures in how a request is made; the other KL_ERR_INVALID are about what it says, and are 422.
 */
static const char *const MALFORMED[] = {
    "invalid_json",    "duplicate_key",     "json_too_deep",       "invalid_id",
    "invalid_path",    "unknown_parameter", "duplicate_parameter", "invalid_parameter",
    "invalid_cursor",  "invalid_limit",     "invalid_header",      "invalid_request",
    "unexpected_body", "missing_body",      "truncated_body",      "purpose_required",
    "invalid_tenant",  "invalid_store",     "invalid_length",      NULL};

static const struct {
    const char *code;
    int status;
} BY_CODE[] = {
    {"length_required", 411},    {"unsupported_media_type", 415}, {"expectation_failed", 417},
    {"method_not_allowed", 405}, {"header_too_large", 431},       {"request_timeout", 408},
    {"http_version", 505},       {"too_many_requests", 429},      {"not_acceptable", 406},
    {"uri_too_long", 414},       {"query_too_long", 414},         {"too_many_attempts", 429},
    {"volume_exceeded", 429},    {"range_not_satisfiable", 416},  {"vault_disk_full", 507},
};

static const struct {
    int status;
    const char *text;
} TEXTS[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *api_status_text(int http_status)
{
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        if (TEXTS[i].status == http_status) {
            return TEXTS[i].text;
        }
    }
    return "Unknown";
}

static int status_of_invalid(const char *code)
{
    for (size_t i = 0; MALFORMED[i] != NULL; i++) {
        if (strcmp(MALFORMED[i], code) == 0) {
            return 400;
        }
    }
    return 422;
}

int api_problem_status(const struct kl_err *err)
{
    for (size_t i = 0; i < sizeof BY_CODE / sizeof BY_CODE[0]; i++) {
        if (strcmp(BY_CODE[i].code, err->code) == 0) {
            return BY_CODE[i].status;
        }
    }
    switch (err->status) {
    case KL_ERR_INVALID:
        return status_of_invalid(err->code);
    case KL_ERR_TOO_LARGE:
        return 413;
    case KL_ERR_UNAUTHORISED:
        return 401;
    case KL_ERR_FORBIDDEN:
        return 403;
    case KL_ERR_NOT_FOUND:
        return 404;
    case KL_ERR_CONFLICT:
    case KL_ERR_EXISTS:
        return 409;
    case KL_ERR_PRECONDITION:
        return 412;
    case KL_ERR_REQUIRED:
        return 428;
    case KL_ERR_GONE:
        return 410;
    case KL_ERR_REFUSED:
        return strcmp(err->code, "no_policy") == 0 ? 409 : 503;
    case KL_ERR_BUSY:
    case KL_ERR_UNAVAILABLE:
    case KL_ERR_NO_MEMORY:
        return 503;
    case KL_OK:
    case KL_ERR_CORRUPT:
    case KL_ERR_IO:
    case KL_ERR_INTERNAL:
        break;
    }
    return 500;
}

static int retry_after_s(const struct kl_err *err, int http_status)
{
    if (http_status != 503 && http_status != 429) {
        return 0;
    }
    if (err->retry_after_s > 0) {
        return (int)(err->retry_after_s < RETRY_MAX_S ? err->retry_after_s : RETRY_MAX_S);
    }
    return err->status == KL_ERR_BUSY ? RETRY_BUSY_S : RETRY_UNAVAILABLE_S;
}

/* What a client may read about a failure inside the server: nothing but that there was one. */
static const char *detail_of(const struct kl_err *err, int http_status)
{
    if (http_status == 500) {
        return "the server made a mistake; its log has more under this request's id";
    }
    return err->client_text[0] != '\0' ? err->client_text : kl_status_name(err->status);
}

static void write_place(struct kl_json_out *out, const struct kl_err *err, int http_status)
{
    kl_json_key(out, "errors");
    kl_json_array_begin(out);
    kl_json_object_begin(out);
    kl_json_add_text(out, err->where[0] == '/' ? "pointer" : "place", err->where);
    kl_json_add_text(out, "detail", detail_of(err, http_status));
    kl_json_add_text(out, "code", err->code);
    kl_json_object_end(out);
    kl_json_array_end(out);
}

void api_problem_write(struct kl_json_out *out, const struct kl_err *err, const char *request_id,
                       const struct kl_slice *extra)
{
    int http_status = api_problem_status(err);
    const char *code = http_status == 500 ? "internal_error" : err->code;
    char text[KL_ERR_CODE_BYTES + 128];

    assert(err->status != KL_OK && err->code[0] != '\0');
    kl_json_object_begin(out);
    snprintf(text, sizeof text, "urn:kluis:problem:%s", code);
    kl_json_add_text(out, "type", text);
    kl_json_add_text(out, "title", api_status_text(http_status));
    kl_json_add_int(out, "status", http_status);
    kl_json_add_text(out, "detail", detail_of(err, http_status));
    kl_json_add_text(out, "code", code);
    snprintf(text, sizeof text, "urn:kluis:request:%s", request_id);
    kl_json_add_text(out, "instance", text);
    if (extra != NULL) {
        kl_json_key(out, "errors");
        kl_json_put_raw(out, extra->bytes, extra->size);
    } else if (err->where[0] != '\0' && http_status != 500) {
        write_place(out, err, http_status);
    }
    kl_json_object_end(out);
}

void api_response_problem(struct api_response *response, const struct kl_err *err,
                          const char *request_id, const struct kl_slice *extra)
{
    int http_status = api_problem_status(err);
    struct kl_json_out out = api_response_json(response, http_status);

    response->content_type = API_TYPE_PROBLEM;
    response->has_etag = false;
    response->location[0] = '\0';
    response->security[0] = '\0';
    response->file_name = NULL;
    response->replayed = false;
    if (http_status != 416) {
        response->range[0] = '\0';
    }
    response->challenge = http_status == 401;
    response->retry_after_s = retry_after_s(err, http_status);
    api_problem_write(&out, err, request_id, extra);
}
