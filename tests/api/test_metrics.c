#include "kluis/base/log.h"
#include "tests/support/api_call.h"
#include "tests/support/api_vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct test_vault vault;
static struct api_app app;

static char *figures(void)
{
    struct kl_buf out;

    kl_buf_init(&out, 1u << 20);
    api_metrics_write(&app, &out);
    assert_false(out.failed);
    char *text = strdup((const char *)out.bytes);
    assert_non_null(text);
    kl_buf_done(&out);
    return text;
}

static void expect_line(const char *line)
{
    char *text = figures();

    if (strstr(text, line) == NULL) {
        fail_msg("missing: %s", line);
    }
    free(text);
}

static void test_metrics_count_by_route_method_and_code(void **state)
{
    (void)state;
    api_metrics_count(app.metrics, 0, 200, 100);
    api_metrics_count(app.metrics, 0, 200, 3000);
    api_metrics_count(app.metrics, 0, 404, 20000000);
    api_metrics_count(app.metrics, API_METRICS_NO_ROUTE, 404, 1);
    expect_line(
        "kluis_http_requests_total{route=\"/v1/subjects/{sub}\",method=\"GET\",code=\"200\"} 2\n");
    expect_line(
        "kluis_http_requests_total{route=\"/v1/subjects/{sub}\",method=\"GET\",code=\"404\"} 1\n");
    expect_line("kluis_http_requests_total{route=\"none\",method=\"none\",code=\"404\"} 1\n");
}

static void test_metrics_histogram_buckets_are_cumulative(void **state)
{
    static const char START[] =
        "kluis_http_request_duration_seconds_bucket{route=\"/v1/subjects/{sub}\",method=\"GET\","
        "le=";
    char line[256];
    static const struct {
        const char *bound;
        int count;
    } CASES[] = {{"0.00025", 1}, {"0.0025", 1}, {"0.005", 2}, {"10", 2}, {"+Inf", 3}};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        snprintf(line, sizeof line, "%s\"%s\"} %d\n", START, CASES[i].bound, CASES[i].count);
        expect_line(line);
    }
    expect_line(
        "kluis_http_request_duration_seconds_sum{route=\"/v1/subjects/{sub}\",method=\"GET\"} "
        "20.003100\n");
    expect_line(
        "kluis_http_request_duration_seconds_count{route=\"/v1/subjects/{sub}\",method=\"GET\"} "
        "3\n");
}

/* A line is a comment, or a name with labels or none, a space and a number. */
static void check_line(const char *line)
{
    double number;
    int used = 0;

    if (line[0] == '#') {
        assert_true(strncmp(line, "# HELP kluis_", 13) == 0 ||
                    strncmp(line, "# TYPE kluis_", 13) == 0);
        return;
    }
    const char *space = strrchr(line, ' ');
    assert_non_null(space);
    assert_int_equal(strncmp(line, "kluis_", 6), 0);
    assert_int_equal(sscanf(space + 1, "%lf%n", &number, &used), 1);
    assert_int_equal(space[1 + used], '\0');
    const char *brace = strchr(line, '{');
    assert_true(brace == NULL || space[-1] == '}');
}

static void test_metrics_text_is_well_formed_and_each_family_comes_once(void **state)
{
    char *text = figures();
    char *rest = text;
    char *line;

    (void)state;
    while ((line = strsep(&rest, "\n")) != NULL && rest != NULL) {
        check_line(line);
        if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_null(strstr(rest, line));
        }
    }
    assert_string_equal(line, "");
    free(text);
}

static void test_metrics_count_requests_under_way(void **state)
{
    (void)state;
    api_metrics_in_flight(app.metrics, 1);
    api_metrics_in_flight(app.metrics, 1);
    assert_int_equal(api_metrics_in_flight_now(app.metrics), 2);
    expect_line("kluis_http_requests_in_flight 2\n");
    api_metrics_in_flight(app.metrics, -2);
    assert_int_equal(api_metrics_in_flight_now(app.metrics), 0);
}

static int setup(void **state)
{
    (void)state;
    kl_log_level_set(KL_LOG_ERROR);
    test_vault_start(&vault);
    test_app_start(&app, vault.stores);
    return 0;
}

static void test_metrics_tell_of_retention(void **state)
{
    (void)state;
    expect_line(
        "# TYPE kluis_retention_runs_total counter\nkluis_retention_runs_total{store=\"main\"} 0\n");
    expect_line("kluis_retention_records_erased_total{store=\"main\"} 0\n");
    expect_line("kluis_retention_failures_total{store=\"main\"} 0\n");
    expect_line(
        "# TYPE kluis_retention_records_due gauge\nkluis_retention_records_due{store=\"main\"} 0\n");
    expect_line("kluis_retention_records_overdue{store=\"main\"} 0\n");
    expect_line("kluis_retention_last_run_timestamp_seconds{store=\"main\"} 0\n");
}

static int teardown(void **state)
{
    (void)state;
    test_app_stop(&app);
    test_vault_stop(&vault);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_count_by_route_method_and_code),
        cmocka_unit_test(test_metrics_histogram_buckets_are_cumulative),
        cmocka_unit_test(test_metrics_text_is_well_formed_and_each_family_comes_once),
        cmocka_unit_test(test_metrics_count_requests_under_way),
        cmocka_unit_test(test_metrics_tell_of_retention),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
