#include "cli/client.h"
#include "cli/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_paths_are_percent_encoded(void **state)
{
    (void)state;
    struct cli_path path;
    cli_path_start(&path, "/v1/subjects");
    cli_path_segment(&path, "a/b ?");
    cli_path_query(&path, "purpose", "x&y=1");
    cli_path_query(&path, "none", NULL);
    cli_path_query(&path, "fields", "a.b,c_d~");
    assert_false(path.failed);
    assert_string_equal(path.text, "/v1/subjects/a%2Fb%20%3F?purpose=x%26y%3D1&fields=a.b%2Cc_d~");
}

static void test_a_path_with_a_query_is_gone_on_with(void **state)
{
    (void)state;
    struct cli_path path;
    cli_path_start(&path, "/v1/policy?a=true");
    cli_path_query(&path, "tenant", "t");
    assert_string_equal(path.text, "/v1/policy?a=true&tenant=t");
}

static void test_a_path_that_is_too_long_says_so(void **state)
{
    (void)state;
    static char text[CLI_PATH_MAX_BYTES];
    memset(text, 'a', sizeof text - 1);
    struct cli_path path;
    cli_path_start(&path, "/");
    cli_path_text(&path, text);
    assert_true(path.failed);
    assert_string_equal(path.text, "");
}

static void test_a_body_cut_short_is_not_sent(void **state)
{
    (void)state;
    char server[] = "https://127.0.0.1:1";
    struct cli_profile profile = {.server = server};
    struct cli_client *client = NULL;
    struct cli_response response;
    struct kl_err err = {0};
    struct kl_buf body;
    kl_buf_init(&body, 8);
    kl_buf_add_text(&body, "{\"basis\":1}");
    struct cli_request request = {.body = &body};
    assert_int_equal(cli_client_new(&profile, &client, &err), KL_OK);
    assert_int_equal(cli_client_send(client, "PUT", "/v1/x", &request, &response, &err),
                     KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "body_too_long");
    cli_client_free(client);
    kl_buf_done(&body);
}

static void test_a_client_wants_https_and_a_readable_credential(void **state)
{
    (void)state;
    char http[] = "http://127.0.0.1", https[] = "https://127.0.0.1",
         missing[] = "/nonexistent/token";
    struct kl_err err = {0};
    struct cli_client *client = NULL;
    struct cli_profile profile = {0};
    assert_int_equal(cli_client_new(&profile, &client, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "no_server");
    kl_err_clear(&err);
    profile.server = http;
    assert_int_equal(cli_client_new(&profile, &client, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "no_tls");
    kl_err_clear(&err);
    profile.server = https;
    profile.credential = missing;
    assert_int_not_equal(cli_client_new(&profile, &client, &err), KL_OK);
    assert_null(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_percent_encoded),
        cmocka_unit_test(test_a_path_with_a_query_is_gone_on_with),
        cmocka_unit_test(test_a_path_that_is_too_long_says_so),
        cmocka_unit_test(test_a_body_cut_short_is_not_sent),
        cmocka_unit_test(test_a_client_wants_https_and_a_readable_credential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
