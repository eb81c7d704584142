#include "tests/support/api_fixture.h"

#include "kluis/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

void test_api_start(struct test_api *ret_api)
{
    kl_log_level_set(KL_LOG_ERROR);
    test_vault_start(&ret_api->vault);
    test_app_start(&ret_api->app, ret_api->vault.stores);
    test_vault_credential(&ret_api->vault, "clerk", NULL, &ret_api->clerk);
    test_vault_credential(&ret_api->vault, "reader", NULL, &ret_api->reader);
    test_vault_credential(&ret_api->vault, "officer", NULL, &ret_api->officer);
}

void test_api_stop(struct test_api *api)
{
    test_app_stop(&api->app);
    test_vault_stop(&api->vault);
}

void test_api_expect(struct test_api *api, const struct test_call *call, int status,
                     const char *text)
{
    struct api_response response;

    test_call_make(&api->app, call, &response);
    if (response.status != status) {
        print_message("%s\n", test_call_body(&response));
    }
    assert_int_equal(response.status, status);
    if (text != NULL && strstr(test_call_body(&response), text) == NULL) {
        print_message("%s\n", test_call_body(&response));
        fail_msg("not in the body: %s", text);
    }
    api_response_done(&response);
}

void test_api_ask(struct test_api *api, const char *method, const char *target, const char *token,
                  const char *body, int status, const char *text)
{
    struct test_call call = {.method = method, .target = target, .token = token, .body = body};

    test_api_expect(api, &call, status, text);
}

void test_api_person(struct test_api *api, const char *email, bool with_consent,
                     char ret_subject[TEST_ID_BYTES], char ret_record[TEST_ID_BYTES])
{
    char body[512];
    struct api_response response;
    struct test_call call = {
        .method = "POST", .target = "/v1/subjects", .token = api->clerk.text, .body = body};

    snprintf(body, sizeof body,
             "{\"records\":[{\"type\":\"person\",\"source\":\"form\",\"fields\":{\"name\":\"Anna "
             "Peeters\",\"email\":\"%s\",\"age\":41.50,\"note\":{\"a\":[1,2]}}%s}]}",
             email,
             with_consent
                 ? ",\"consents\":[{\"purpose\":\"news\",\"notice\":\"n1\",\"channel\":\"form\"}]"
                 : "");
    test_call_make(&api->app, &call, &response);
    assert_int_equal(response.status, 201);
    assert_int_equal(strncmp(response.location, "/v1/subjects/sub_", 17), 0);
    test_call_text(&response, "id", ret_subject, TEST_ID_BYTES);
    const char *record = strstr(test_call_body(&response), "rec_");
    assert_non_null(record);
    snprintf(ret_record, TEST_ID_BYTES, "%.30s", record);
    api_response_done(&response);
}
