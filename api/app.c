/* The way of a request: its frame, its route, who asks, its body, its handler, its answer. */
#include "api/app.h"
#include "api/request_internal.h"
#include "kluis/base/id.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *api_head_get(const struct api_head *head, const char *name, size_t *ret_count)
{
    const char *value = NULL;
    size_t count = 0;

    for (size_t i = 0; i < head->header_count; i++) {
        if (strcasecmp(head->headers[i].name, name) == 0) {
            value = count == 0 ? head->headers[i].value : value;
            count++;
        }
    }
    if (ret_count != NULL) {
        *ret_count = count;
    }
    return value;
}

static void take_request_id(const struct api_head *head, char *ret_request_id)
{
    static const char ALLOWED[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
    size_t count;
    const char *given = api_head_get(head, "X-Request-Id", &count);
    size_t size = given == NULL ? 0 : strlen(given);

    if (count == 1 && size >= 1 && size <= VAULT_REQUEST_ID_MAX_BYTES &&
        strspn(given, ALLOWED) == size) {
        memcpy(ret_request_id, given, size + 1);
        return;
    }
    char text[KL_ID_TEXT_BYTES];
    struct kl_id id = kl_id_new();
    kl_id_format("rq", &id, text);
    snprintf(ret_request_id, VAULT_REQUEST_ID_MAX_BYTES + 1, "%s", text + 3);
}

/* ---- stages ---- */

static enum kl_status find_route(struct api_request *request, struct api_response *response,
                                 struct kl_err *err)
{
    static const char *const NO_PARAMETERS[] = {NULL};
    struct api_app *app = request->app;
    const struct api_head *head = request->head;
    enum kl_status status;

    request->match.route_index = API_METRICS_NO_ROUTE;
    status = api_router_find(app->routes, app->route_count, head->method, head->path,
                             &request->match, response->allow, err);
    if (status != KL_OK) {
        return status;
    }
    response->allow[0] = '\0';
    const struct api_route *route = request->match.route;
    if (head->metrics_listener && (route->flags & API_ROUTE_METRICS) == 0) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "no_route",
                       "this listener answers /metrics, /healthz and /readyz", NULL);
    }
    return api_query_parse(head->query,
                           route->parameters == NULL ? NO_PARAMETERS : route->parameters,
                           request->arena, &request->query, err);
}

static bool takes(const struct api_route *route, const char *parameter)
{
    for (size_t i = 0; route->parameters != NULL && route->parameters[i] != NULL; i++) {
        if (strcmp(route->parameters[i], parameter) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether a browser says that it asks for a page: of another site, or, where it says no more than an origin, of any. */
static bool is_from_a_page(const struct api_head *head)
{
    size_t count = 0;
    const char *site = api_head_get(head, "Sec-Fetch-Site", &count);

    return api_head_get(head, "Origin", NULL) != NULL || count > 1 ||
           (count == 1 && strcmp(site, "none") != 0 && strcmp(site, "same-origin") != 0);
}

/*
 * A browser shows its client certificate to whoever has it connect, and a page of any site has it send a form; a token is sent by programs
 * alone. So what a certificate proves for a browser's page is good for looking only, which no other site's page is let read.
 */
static enum kl_status check_page(const struct api_head *head, struct kl_err *err)
{
    bool looks = strcmp(head->method, "GET") == 0 || strcmp(head->method, "HEAD") == 0;

    return looks || !is_from_a_page(head)
               ? KL_OK
               : kl_fail(err, KL_ERR_FORBIDDEN, "cross_site",
                         "a client certificate is no credential for what a page in a browser "
                         "sends (Origin, Sec-Fetch-Site): use a token",
                         NULL);
}

static enum kl_status find_caller(struct api_request *request, struct kl_err *err)
{
    struct vault_proof proof = {.certificate_sha256 = request->head->certificate_sha256};
    struct vault_scope scope = {.closed_too =
                                    (request->match.route->flags & API_ROUTE_CLOSED) != 0};
    enum kl_status status;

    if (request->head->metrics_listener || (request->match.route->flags & API_ROUTE_OPEN) != 0) {
        return KL_OK;
    }
    status = api_request_bearer(request->head, &proof.token, err);
    if (status != KL_OK) {
        return status;
    }
    if (proof.token == NULL && proof.certificate_sha256 == NULL) {
        return kl_fail(
            err, KL_ERR_UNAUTHORISED, "unauthorised",
            "this call needs a credential: Authorization: Bearer kl_..., or a client certificate",
            NULL);
    }
    if (proof.token != NULL) {
        proof.certificate_sha256 = NULL;
    } else if ((status = check_page(request->head, err)) != KL_OK) {
        return status;
    }
    if (takes(request->match.route, "tenant")) {
        scope.tenant = api_request_query(request, "tenant");
    }
    if (takes(request->match.route, "store")) {
        scope.store = api_request_query(request, "store");
    }
    status = vault_stores_caller_open(request->app->stores, &proof, &scope, request->request_id,
                                      &request->caller, &request->vault, err);
    request->has_caller = status == KL_OK;
    return status;
}

/* Of who is let in, so that nobody else learns of it. */
static enum kl_status check_space(struct api_request *request, struct kl_err *err)
{
    return request->has_caller
               ? vault_space_check(request->vault,
                                   (request->match.route->flags & API_ROUTE_WHEN_LOW) != 0, err)
               : KL_OK;
}

static enum kl_status take_body(struct api_request *request, api_body_read read_body,
                                void *read_context, struct api_response *response,
                                struct kl_err *err)
{
    unsigned flags = request->match.route->flags;
    size_t max = (flags & API_ROUTE_BATCH) != 0 ? request->app->batch_max_bytes
                                                : request->app->body_max_bytes;
    size_t size = request->content_length;
    enum kl_status status;

    if ((flags & API_ROUTE_STREAM) != 0) {
        request->read_body = read_body;
        request->read_context = read_context;
        return KL_OK;
    }
    if ((flags & (API_ROUTE_JSON | API_ROUTE_JSON_OPTIONAL | API_ROUTE_YAML)) == 0) {
        return size == 0 ? KL_OK
                         : kl_fail(err, KL_ERR_INVALID, "unexpected_body",
                                   "this call takes no body", NULL);
    }
    if (size == 0) {
        request->body_read = true;
        return (flags & API_ROUTE_JSON_OPTIONAL) != 0
                   ? KL_OK
                   : kl_fail(err, KL_ERR_INVALID, "missing_body", "this call needs a body", NULL);
    }
    if (size > max) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "body_too_large",
                        "the body is larger than %zu bytes", max);
    }
    status = api_request_content_type(request->head, (flags & API_ROUTE_YAML) != 0, err);
    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&request->body, max);
    status = read_body(read_context, size, &request->body, err);
    request->body_read = true;
    if (status != KL_OK) {
        response->close = true;
        return status;
    }
    if ((flags & API_ROUTE_YAML) == 0) {
        status = kl_json_parse(request->body.bytes, request->body.size, &request->json, err);
    }
    return status;
}

static enum kl_status run(struct api_request *request, api_body_read read_body, void *read_context,
                          struct api_response *response, struct kl_err *err)
{
    enum kl_status status = api_request_frame(request->head, &request->content_length, err);

    if (status != KL_OK) {
        response->close = true; /* where the next request starts cannot be known */
        return status;
    }
    if (atomic_load(&request->app->draining)) {
        response->close = true;
        return kl_fail(err, KL_ERR_BUSY, "stopping", "the server is stopping; try again", NULL);
    }
    request->arena = kl_arena_new(API_ARENA_MAX_BYTES);
    if (request->arena == NULL) {
        return kl_fail_memory(err);
    }
    status = find_route(request, response, err);
    if (status == KL_ERR_INVALID && strcmp(request->head->method, "OPTIONS") == 0 &&
        response->allow[0] != '\0') {
        kl_err_clear(err);
        return KL_OK; /* 204 with Allow */
    }
    if (status == KL_OK) {
        status = find_caller(request, err);
    }
    if (status == KL_OK) {
        status = check_space(request, err);
    }
    if (status == KL_OK) {
        status = take_body(request, read_body, read_context, response, err);
    }
    if (status == KL_OK) {
        status = request->match.route->handler(request, response, err);
    }
    if (status == KL_OK) {
        status = kl_buf_status(&response->body, err);
    }
    return status;
}

static void request_done(struct api_request *request)
{
    if (request->has_caller) {
        vault_caller_done(&request->caller);
    }
    kl_json_free(request->json);
    kl_buf_done(&request->body);
    kl_buf_done(&request->findings);
    kl_arena_free(request->arena);
}

void api_app_answer(struct api_app *app, const struct api_head *head, api_body_read read_body,
                    void *read_context, struct api_response *response, char *ret_request_id)
{
    struct api_request request = {
        .app = app, .vault = vault_stores_main(app->stores), .head = head};
    struct kl_err err = {0};
    int64_t started_us = kl_time_monotonic_us();

    kl_buf_init(&request.findings, API_RESPONSE_MAX_BYTES);
    take_request_id(head, request.request_id);
    memcpy(ret_request_id, request.request_id, sizeof request.request_id);
    if (run(&request, read_body, read_context, response, &err) != KL_OK) {
        struct kl_slice findings = kl_buf_slice(&request.findings);
        api_response_stream_end(response);
        api_request_log(&request, &err);
        api_response_problem(response, &err, request.request_id,
                             findings.size > 0 ? &findings : NULL);
    }
    if (!request.body_read &&
        (request.content_length > API_DISCARD_MAX_BYTES ||
         (request.content_length > 0 && api_head_get(head, "Expect", NULL) != NULL))) {
        response->close = true;
    }
    response->unread_bytes = request.body_read ? 0 : request.content_length;
    size_t route_index =
        request.match.route == NULL ? API_METRICS_NO_ROUTE : request.match.route_index;
    request_done(&request);
    api_metrics_count(app->metrics, route_index, response->status,
                      kl_time_monotonic_us() - started_us);
}

void api_request_log(const struct api_request *request, const struct kl_err *err)
{
    int http_status = api_problem_status(err);
    bool told = strcmp(err->code, "storage_low") ==
                0; /* once, by the vault: the log may lie on that disk */

    if (http_status >= 500 && !told) {
        kl_log(
            http_status == 500 ? KL_LOG_ERROR : KL_LOG_WARNING, "request_failed",
            KL_LOG_TEXT("request_id", request->request_id),
            KL_LOG_TEXT("route", request->match.route == NULL ? "" : request->match.route->pattern),
            KL_LOG_INT("status", http_status), KL_LOG_TEXT("code", err->code),
            KL_LOG_TEXT("text", err->log_text[0] != '\0' ? err->log_text : err->client_text));
    }
}
