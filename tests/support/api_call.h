/* Requests to the app of the api by hand, without sockets. */
#ifndef KLUIS_TESTS_SUPPORT_API_CALL_H
#define KLUIS_TESTS_SUPPORT_API_CALL_H

#include "api/app.h"
#include "kluis/vault/vault.h"

/* An app over that vault (may be NULL for calls that do not reach it). */
void test_app_start(struct api_app *app, struct vault_stores *stores);
void test_app_stop(struct api_app *app);

#define TEST_CALL_HEADERS_MAX 8

/* What to ask. body NULL: none, else content_type goes with it (NULL: JSON). body_bytes 0: it is a text. */
struct test_call {
    const char *method;
    const char *target; /* path, and query */
    const char *token;  /* NULL: none */
    const char *body;
    size_t body_bytes;
    const char *content_type;
    struct api_header headers[TEST_CALL_HEADERS_MAX]; /* more of them; ended by a NULL name */
};

/* The answer; its body is a text with a 0 behind it. End it with api_response_done(). */
void test_call_make(struct api_app *app, const struct test_call *call,
                    struct api_response *ret_response);
/* The body of an answer as a text. */
const char *test_call_body(const struct api_response *response);
/* Copy the string that follows "key":" in the body; an assert when there is none. */
void test_call_text(const struct api_response *response, const char *key, char *ret_text,
                    size_t size);

#endif
