/* What is answered while the vault's disk has less room than its reserve, on a real vault without sockets: every route of the table. */
#include "tests/support/api_fixture.h"
#include "vault/space.h"
#include "vault/vault_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB ((uint64_t)1024 * 1024)
#define RESERVE (256 * MIB)

static struct test_api fixture;
static uint64_t free_bytes = 1024 * MIB;

static int disk(const char *path, struct statvfs *ret)
{
    (void)path;
    *ret = (struct statvfs){.f_bavail = free_bytes / 4096, .f_frsize = 4096};
    return 0;
}

/* The vault's disk has so much from now on; it is noticed at once. */
static void disk_has(uint64_t bytes)
{
    free_bytes = bytes;
    vault_space_look(fixture.vault.vault->space, false);
}

/* The path of a route with something in each of its parts; of those that are ids nobody has one. */
static void target_of(const char *pattern, char ret[TEST_TARGET_BYTES])
{
    size_t used = 0;

    while (*pattern != '\0') {
        const char *end = strchr(pattern, '}');
        char name[16] = {0};

        if (*pattern != '{') {
            ret[used++] = *pattern++;
            continue;
        }
        memcpy(name, pattern + 1, (size_t)(end - pattern) - 1);
        if (strlen(name) <= KL_ID_PREFIX_MAX_CHARS) {
            struct kl_id id = kl_id_new();

            kl_id_format(name, &id, ret + used);
        } else {
            (void)snprintf(ret + used, TEST_TARGET_BYTES - used, "nothing");
        }
        used += strlen(ret + used);
        pattern = end + 1;
    }
    ret[used] = '\0';
}

/* Whether a call is refused for want of room; whatever else becomes of it. */
static bool is_refused(const struct api_route *route, const char *token)
{
    char target[TEST_TARGET_BYTES];
    struct test_call call = {.method = route->method, .target = target, .token = token};
    struct api_response response;
    bool refused;

    target_of(route->pattern, target);
    if ((route->flags & (API_ROUTE_JSON | API_ROUTE_YAML)) != 0) {
        call.body = "{}";
        call.content_type = (route->flags & API_ROUTE_YAML) != 0 ? "application/yaml" : NULL;
    }
    test_call_make(&fixture.app, &call, &response);
    refused = strstr(test_call_body(&response), "\"code\":\"storage_low\"") != NULL;
    if (refused) {
        assert_int_equal(response.status, 503);
        assert_true(response.retry_after_s > 0);
    }
    api_response_done(&response);
    return refused;
}

static void test_below_the_reserve_only_the_routes_that_say_so_are_answered(void **state)
{
    (void)state;
    disk_has(RESERVE - 4096);
    for (size_t i = 0; i < API_ROUTES_COUNT; i++) {
        const struct api_route *route = &API_ROUTES[i];
        bool open = (route->flags & API_ROUTE_OPEN) != 0;
        bool expected = (route->flags & API_ROUTE_WHEN_LOW) == 0 && !open;

        if (is_refused(route, fixture.vault.operator_token.text) != expected) {
            fail_msg("%s %s", route->method, route->pattern);
        }
        assert_false(is_refused(route, NULL)); /* nobody else is told */
    }
    disk_has(1024 * MIB);
    for (size_t i = 0; i < API_ROUTES_COUNT; i++) {
        assert_false(is_refused(&API_ROUTES[i], fixture.vault.operator_token.text));
    }
}

static void test_who_erases_withdraws_or_revokes_is_not_refused(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];

    (void)state;
    test_api_person(&fixture, "low@example.org", true, subject, record);
    disk_has(0);
    (void)snprintf(target, sizeof target, "/v1/subjects/%s?purpose=care", subject);
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 503, "storage_low");
    (void)snprintf(target, sizeof target, "/v1/subjects/%s/consents/news", subject);
    test_api_ask(&fixture, "DELETE", target, fixture.officer.text, NULL, 204, NULL);
    (void)snprintf(target, sizeof target, "/v1/subjects/%s", subject);
    test_api_ask(&fixture, "DELETE", target, fixture.officer.text, NULL, 200, "\"receipt\":\"er_");
    disk_has(1024 * MIB);
    test_api_ask(&fixture, "DELETE", target, fixture.officer.text, NULL, 404, "not_found");
}

static void test_of_a_batch_the_erasures_are_done(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char body[1024];

    (void)state;
    test_api_person(&fixture, "batch@example.org", false, subject, record);
    (void)snprintf(
        body, sizeof body,
        "{\"operations\":[{\"op\":\"read\",\"subject\":\"%s\",\"purpose\":\"care\"},"
        "{\"op\":\"create\",\"records\":[{\"type\":\"person\",\"fields\":{\"name\":\"x\"}}]},"
        "{\"op\":\"erase\",\"subject\":\"%s\"}]}",
        subject, subject);
    disk_has(0);
    struct test_call call = {
        .method = "POST", .target = "/v1/batch", .token = fixture.officer.text, .body = body};
    struct api_response response;
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    const char *first = strstr(test_call_body(&response), "\"status\":503");
    assert_non_null(first);
    const char *second = strstr(first + 1, "\"status\":503,\"problem\"");
    assert_non_null(second);
    const char *third = strstr(second, "{\"status\":200,\"result\":");
    assert_non_null(third);
    assert_null(strstr(third, "storage_low"));
    api_response_done(&response);
    disk_has(1024 * MIB);
}

static void test_it_is_told_to_operators_and_load_balancers(void **state)
{
    const char *operator_token = fixture.vault.operator_token.text;

    (void)state;
    test_api_ask(&fixture, "GET", "/readyz", NULL, NULL, 200, "\"ready\":true");
    test_api_ask(&fixture, "GET", "/v1/stores", operator_token, NULL, 200,
                 "\"storage\":{\"low\":false,\"reserve_bytes\":268435456,");
    disk_has(3 * MIB);
    test_api_ask(&fixture, "GET", "/readyz", NULL, NULL, 503, "{\"ready\":false}");
    test_api_ask(&fixture, "GET", "/healthz", NULL, NULL, 200, NULL);
    test_api_ask(&fixture, "GET", "/v1/stores", operator_token, NULL, 200,
                 "\"storage\":{\"low\":true,\"reserve_bytes\":268435456,\"ballast_bytes\":0,"
                 "\"free_bytes\":{\"data\":3145728,\"keys\":3145728,\"files\":3145728}}");
    test_api_ask(&fixture, "GET", "/v1/keys", operator_token, NULL, 200,
                 "data/ has 3 MiB free, and 384 are kept for erasures");
    test_api_ask(&fixture, "GET", "/metrics", operator_token, NULL, 200,
                 "kluis_storage_free_bytes{store=\"main\",place=\"keys\"} 3145728\n");
    test_api_ask(&fixture, "GET", "/metrics", operator_token, NULL, 200,
                 "kluis_storage_low{store=\"main\"} 1\n");
    test_api_ask(&fixture, "GET", "/metrics", operator_token, NULL, 200,
                 "kluis_storage_reserve_bytes{store=\"main\"} 268435456\n");
    disk_has(1024 * MIB);
    test_api_ask(&fixture, "GET", "/metrics", operator_token, NULL, 200,
                 "kluis_storage_low{store=\"main\"} 0\n");
}

static void test_backups_and_rotations_are_not_begun(void **state)
{
    (void)state;
    disk_has(0);
    test_api_ask(&fixture, "POST", "/v1/backups", fixture.vault.operator_token.text,
                 "{\"directory\":\"/nowhere\",\"country\":\"IE\"}", 503, "storage_low");
    test_api_ask(&fixture, "POST", "/v1/keys/rotations", fixture.vault.operator_token.text,
                 "{\"level\":\"root\"}", 503, "storage_low");
    disk_has(1024 * MIB);
}

static int stderr_before;

static int begin(void **state)
{
    struct vault *vault;

    (void)state;
    test_api_start(&fixture);
    vault = fixture.vault.vault;
    vault_space_free(vault->space);
    stderr_before = dup(STDERR_FILENO); /* what is refused is logged */
    (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    return vault_space_new(vault->data_dir, "main", RESERVE, true, disk, &vault->space, NULL) ==
                   KL_OK
               ? 0
               : 1;
}

static int end(void **state)
{
    (void)state;
    (void)dup2(stderr_before, STDERR_FILENO);
    (void)close(stderr_before);
    test_api_stop(&fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_told_to_operators_and_load_balancers),
        cmocka_unit_test(test_below_the_reserve_only_the_routes_that_say_so_are_answered),
        cmocka_unit_test(test_who_erases_withdraws_or_revokes_is_not_refused),
        cmocka_unit_test(test_of_a_batch_the_erasures_are_done),
        cmocka_unit_test(test_backups_and_rotations_are_not_begun),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
