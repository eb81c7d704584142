#include "tests/support/api_call.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void test_app_start(struct api_app *app, struct vault_stores *stores)
{
    memset(app, 0, sizeof *app);
    app->stores = stores;
    app->routes = API_ROUTES;
    app->route_count = API_ROUTES_COUNT;
    app->body_max_bytes = 1u << 20;
    app->batch_max_bytes = 8u << 20;
    app->metrics = api_metrics_new();
    assert(app->metrics != NULL);
}

void test_app_stop(struct api_app *app)
{
    api_metrics_free(app->metrics);
}

static enum kl_status read_body(void *context, size_t size, struct kl_buf *body, struct kl_err *err)
{
    (void)err;
    kl_buf_add(body, context, size);
    return KL_OK;
}

static size_t add_header(struct api_header *headers, size_t count, const char *name,
                         const char *value)
{
    headers[count] = (struct api_header){name, value};
    return count + 1;
}

void test_call_make(struct api_app *app, const struct test_call *call,
                    struct api_response *ret_response)
{
    struct api_header headers[TEST_CALL_HEADERS_MAX + 3];
    char path[2048];
    char authorization[128];
    char length[32];
    char request_id[VAULT_REQUEST_ID_MAX_BYTES + 1];
    const char *query = strchr(call->target, '?');
    size_t body_bytes = call->body == NULL      ? 0
                        : call->body_bytes != 0 ? call->body_bytes
                                                : strlen(call->body);
    size_t count = 0;

    snprintf(path, sizeof path, "%.*s", (int)strcspn(call->target, "?"), call->target);
    struct api_head head = {.method = call->method,
                            .path = path,
                            .query = query == NULL ? NULL : query + 1,
                            .headers = headers};
    if (call->token != NULL) {
        snprintf(authorization, sizeof authorization, "Bearer %s", call->token);
        count = add_header(headers, count, "Authorization", authorization);
    }
    if (call->body != NULL) {
        snprintf(length, sizeof length, "%zu", body_bytes);
        count = add_header(headers, count, "Content-Length", length);
        count = add_header(headers, count, "Content-Type",
                           call->content_type == NULL ? "application/json" : call->content_type);
    }
    for (size_t i = 0; i < TEST_CALL_HEADERS_MAX && call->headers[i].name != NULL; i++) {
        count = add_header(headers, count, call->headers[i].name, call->headers[i].value);
    }
    head.header_count = count;
    api_response_init(ret_response);
    api_app_answer(app, &head, read_body, (void *)call->body, ret_response, request_id);
}

const char *test_call_body(const struct api_response *response)
{
    return response->body.bytes == NULL ? "" : (const char *)response->body.bytes;
}

void test_call_text(const struct api_response *response, const char *key, char *ret_text,
                    size_t size)
{
    char start[64];
    const char *found;

    snprintf(start, sizeof start, "\"%s\":\"", key);
    found = strstr(test_call_body(response), start);
    assert(found != NULL);
    found += strlen(start);
    snprintf(ret_text, size, "%.*s", (int)strcspn(found, "\""), found);
}
