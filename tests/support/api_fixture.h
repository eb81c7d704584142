/* The API on a real vault without sockets, with people in it and callers of its roles. */
#ifndef KLUIS_TESTS_SUPPORT_API_FIXTURE_H
#define KLUIS_TESTS_SUPPORT_API_FIXTURE_H

#include "tests/support/api_call.h"
#include "tests/support/api_vault.h"

#define TEST_ID_BYTES 40
#define TEST_TARGET_BYTES 256

/* The roles are those of TEST_POLICY. */
struct test_api {
    struct test_vault vault;
    struct api_app app;
    struct vault_token clerk, reader, officer;
};

void test_api_start(struct test_api *ret_api);
void test_api_stop(struct test_api *api);

/*
 * Ask and expect that status; text (may be NULL) is the problem's code, or anything that the body
 * must have in it.
 */
void test_api_expect(struct test_api *api, const struct test_call *call, int status,
                     const char *text);
/* The same without headers of its own; token and body may be NULL. */
void test_api_ask(struct test_api *api, const char *method, const char *target, const char *token,
                  const char *body, int status, const char *text);
/*
 * A subject with one person record {name "Anna Peeters", email, age 41.50, note}, made by the clerk;
 * with a consent for news when asked. Ids as text.
 */
void test_api_person(struct test_api *api, const char *email, bool with_consent,
                     char ret_subject[TEST_ID_BYTES], char ret_record[TEST_ID_BYTES]);

#endif
