/* The calls about stores, and what other calls show of several, on a real vault without sockets. */
#include "tests/support/api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct test_api fixture;

static const char *operator_token(void)
{
    return fixture.vault.operator_token.text;
}

static void ask(const char *method, const char *target, const char *body, int status,
                const char *text)
{
    test_api_ask(&fixture, method, target, operator_token(), body, status, text);
}

static void store_body(const char *name, const char *more, char ret[2048])
{
    (void)snprintf(ret, 2048,
                   "{\"name\":\"%s\",\"directory\":\"%s/%s\",\"country\":\"NL\","
                   "\"custodian\":\"file:%s/%s.key\"%s}",
                   name, fixture.vault.dir, name, fixture.vault.dir, name, more);
}

static void test_app_has_one_store_until_another_is_made(void **state)
{
    (void)state;
    ask("GET", "/v1/stores", NULL, 200,
        "{\"stores\":[{\"name\":\"main\",\"country\":\"IE\",\"directory\":\"");
    ask("GET", "/v1/keys?store=main", NULL, 200, "\"country\":\"IE\"");
    ask("GET", "/v1/keys?store=orbit", NULL, 404, "unknown_store");
    ask("GET", "/v1/keys?store=Orbit", NULL, 400, "invalid_store");
    ask("PUT", "/v1/tenants/acme", "{\"store\":\"orbit\"}", 422, "\"pointer\":\"/store\"");
    struct test_call call = {.method = "GET", .target = "/readyz"};
    struct api_response response;
    test_call_make(&fixture.app, &call, &response);
    assert_null(strstr(test_call_body(&response), "stores"));
    api_response_done(&response);
}

static void test_app_refuses_stores_that_cannot_be(void **state)
{
    char body[2048];

    (void)state;
    store_body("orbit", ",\"colour\":\"blue\"", body);
    ask("POST", "/v1/stores", body, 422, "colour");
    store_body("main", "", body);
    ask("POST", "/v1/stores", body, 409, "store_exists");
    store_body("ORBIT", "", body);
    ask("POST", "/v1/stores", body, 422, "\"pointer\":\"/name\"");
    store_body("orbit", ",\"passphrase\":\"a bare file has none\"", body);
    ask("POST", "/v1/stores", body, 422, "unexpected_passphrase");
    ask("POST", "/v1/stores", "{\"name\":\"orbit\"}", 422, NULL);
    store_body("orbit", "", body);
    test_api_ask(&fixture, "POST", "/v1/stores", fixture.vault.steward_token.text, body, 403,
                 "role_forbidden");
    test_api_ask(&fixture, "GET", "/v1/stores", fixture.clerk.text, NULL, 403, "role_forbidden");
    ask("GET", "/v1/stores", NULL, 200, "\"finality\":\"F");
}

static void test_app_makes_a_store_and_places_tenants_in_it(void **state)
{
    char body[2048];

    (void)state;
    store_body("orbit", "", body);
    ask("POST", "/v1/stores", body, 201, "{\"name\":\"orbit\",\"country\":\"NL\"");
    ask("POST", "/v1/stores", body, 409, "store_exists");
    ask("PUT", "/v1/tenants/acme", "{\"store\":\"orbit\"}", 201,
        "\"store\":\"orbit\",\"country\":\"NL\"");
    ask("GET", "/v1/tenants/acme", NULL, 200, "\"store\":\"orbit\"");
    ask("PUT", "/v1/tenants/acme", "{\"store\":\"main\"}", 409, "tenant_elsewhere");
    ask("PUT", "/v1/tenants/acme", "{\"grace\":\"P30D\"}", 200, "\"grace\":\"P30D\"");
    ask("PUT", "/v1/tenants/beta", NULL, 201, "\"store\":\"main\"");
    ask("GET", "/v1/tenants", NULL, 200, "\"name\":\"default\"");
    ask("GET", "/v1/stores", NULL, 200, "\"state\":\"open\",\"tenants\":1,");
}

static void test_app_shows_keys_trail_and_state_of_the_store_that_is_named(void **state)
{
    (void)state;
    ask("GET", "/v1/keys?store=orbit", NULL, 200, "\"country\":\"NL\"");
    ask("GET", "/v1/keys?tenant=acme", NULL, 200, "\"country\":\"NL\"");
    ask("GET", "/v1/keys", NULL, 200, "\"country\":\"IE\"");
    ask("GET", "/v1/keys?tenant=acme&store=main", NULL, 404, "unknown_tenant");
    ask("POST", "/v1/keys/rotations?store=orbit", "{\"level\":\"root\"}", 200,
        "\"to_generation\":");
    ask("GET", "/v1/audit?store=orbit&limit=1000", NULL, 200, "\"tenant_create\"");
    ask("GET", "/v1/audit?limit=1000", NULL, 200, "\"store_add\"");
    test_api_ask(&fixture, "GET", "/v1/keys?store=orbit", fixture.vault.steward_token.text, NULL,
                 403, "store_forbidden");
    test_api_ask(&fixture, "GET", "/v1/keys?store=main", fixture.vault.steward_token.text, NULL,
                 200, "\"country\":\"IE\"");
    ask("GET", "/v1/policy?store=orbit", NULL, 400, "unknown_parameter");
    test_api_ask(&fixture, "GET", "/readyz", NULL, NULL, 200,
                 "{\"store\":\"orbit\",\"ready\":true}");
    ask("GET", "/metrics", NULL, 200, "kluis_ready{store=\"orbit\"} 1\n");
    ask("GET", "/metrics", NULL, 200, "kluis_key_rotations_total{store=\"orbit\"} 1\n");
    ask("GET", "/metrics", NULL, 200, "kluis_key_rotations_total{store=\"main\"} 0\n");
}

static void test_app_refuses_copies_within_another_store(void **state)
{
    char body[2048];

    (void)state;
    (void)snprintf(body, sizeof body, "{\"directory\":\"%s/orbit/backup\",\"country\":\"IE\"}",
                   fixture.vault.dir);
    ask("POST", "/v1/backups", body, 422, "invalid_directory");
    ask("POST", "/v1/keys/mirrors", body, 422, "invalid_directory");
    (void)snprintf(body, sizeof body, "{\"directory\":\"%s/data/backup\",\"country\":\"IE\"}",
                   fixture.vault.dir);
    ask("POST", "/v1/backups?store=orbit", body, 422, "invalid_directory");
    (void)snprintf(body, sizeof body,
                   "{\"custodian\":\"file:%s/data/orbit.key\",\"country\":\"NL\"}",
                   fixture.vault.dir);
    ask("PUT", "/v1/keys/custodian?store=orbit", body, 422, "root_file_in_data");
}

static void test_app_makes_a_credential_in_the_store_of_its_tenant(void **state)
{
    struct test_call call = {.method = "POST",
                             .target = "/v1/credentials?tenant=acme",
                             .token = operator_token(),
                             .body = "{\"role\":\"steward\",\"expires_in\":\"P1D\"}"};
    struct api_response response;
    char token[VAULT_TOKEN_BYTES];

    (void)state;
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    test_call_text(&response, "token", token, sizeof token);
    api_response_done(&response);
    test_api_ask(&fixture, "GET", "/v1/keys", token, NULL, 200, "\"country\":\"NL\"");
    test_api_ask(&fixture, "GET", "/v1/tenants/acme", token, NULL, 200, "\"store\":\"orbit\"");
    test_api_ask(&fixture, "GET", "/v1/tenants/default", token, NULL, 404, "not_found");
    test_api_ask(&fixture, "GET", "/v1/keys?tenant=default", token, NULL, 403, "tenant_forbidden");
    ask("DELETE", "/v1/tenants/acme", NULL, 202, "\"ends_at\"");
    test_api_ask(&fixture, "GET", "/v1/keys", token, NULL, 403, "tenant_closed");
    ask("POST", "/v1/tenants/acme/restore", NULL, 200, "\"store\":\"orbit\"");
    test_api_ask(&fixture, "GET", "/v1/keys", token, NULL, 200, "\"country\":\"NL\"");
}

/* Last: the set is opened anew. */
static void test_app_says_what_is_away(void **state)
{
    char data_dir[TEST_PATH_BYTES + 16];
    char custodian[TEST_PATH_BYTES + 16];
    char from[TEST_PATH_BYTES + 16];
    char to[TEST_PATH_BYTES + 16];
    struct vault_stores_options options = {
        .main = {
            .data_dir = data_dir, .custodian = custodian, .accept_f0 = true, .argon2_light = true}};

    (void)state;
    (void)snprintf(data_dir, sizeof data_dir, "%s/data", fixture.vault.dir);
    (void)snprintf(custodian, sizeof custodian, "file:%s/root.key", fixture.vault.dir);
    (void)snprintf(from, sizeof from, "%s/orbit", fixture.vault.dir);
    (void)snprintf(to, sizeof to, "%s/orbit.aside", fixture.vault.dir);
    vault_stores_close(fixture.vault.stores);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(vault_stores_open(&options, &fixture.vault.stores, NULL), KL_OK);
    fixture.app.stores = fixture.vault.stores;
    fixture.vault.vault = vault_stores_main(fixture.vault.stores);

    ask("GET", "/v1/stores", NULL, 200, "\"state\":\"away\",\"code\":\"no_vault\"");
    ask("GET", "/v1/tenants", NULL, 200, "\"away\":[\"orbit\"]");
    ask("GET", "/v1/tenants/acme", NULL, 503, "store_unavailable");
    ask("GET", "/v1/tenants/default", NULL, 200, "\"store\":\"main\"");
    ask("GET", "/v1/keys?store=orbit", NULL, 503, "store_unavailable");
    test_api_ask(&fixture, "GET", "/v1/keys", "kl_nobody", NULL, 503, "store_unavailable");
    test_api_ask(&fixture, "GET", "/readyz", NULL, NULL, 200,
                 "{\"store\":\"orbit\",\"ready\":false}");
    ask("GET", "/metrics", NULL, 200, "kluis_ready{store=\"orbit\"} 0\n");
    ask("GET", "/v1/keys", NULL, 200, "\"country\":\"IE\"");
}

static int group_setup(void **state)
{
    (void)state;
    test_api_start(&fixture);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    test_api_stop(&fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_app_has_one_store_until_another_is_made),
        cmocka_unit_test(test_app_refuses_stores_that_cannot_be),
        cmocka_unit_test(test_app_makes_a_store_and_places_tenants_in_it),
        cmocka_unit_test(test_app_shows_keys_trail_and_state_of_the_store_that_is_named),
        cmocka_unit_test(test_app_refuses_copies_within_another_store),
        cmocka_unit_test(test_app_makes_a_credential_in_the_store_of_its_tenant),
        cmocka_unit_test(test_app_says_what_is_away),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
