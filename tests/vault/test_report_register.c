/* The register of a processor: a line for each tenant of each store, for an operator alone, of nobody. */
#include "kluis/vault/duties.h"

#include "tests/support/stores_fixture.h"
#include "tests/support/test.h"

#include <string.h>

static const struct vault_measure served = {"encryption_in_transit", "over TLS"};

static enum kl_status ask(struct stores_fixture *fixture, struct vault *vault,
                          struct vault_caller caller, struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status;

    kl_buf_init(ret, 1 << 20);
    status = vault_report_register(fixture->stores, vault, &caller, &served, 1, ret, err);
    vault_caller_done(&caller);
    return status;
}

static bool says(const struct kl_buf *text, const char *piece)
{
    return memmem(text->bytes, text->size, piece, strlen(piece)) != NULL;
}

static void test_each_tenant_of_each_store_has_a_line(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault *vault = vault_stores_main(fixture->stores);
    struct kl_err err = {0};
    struct kl_json *json = NULL;
    struct kl_buf text;

    assert_int_equal(stores_add(fixture, "second", "NL", &err), KL_OK);
    assert_int_equal(stores_tenant(fixture, "young", "second", NULL, &err), KL_OK);
    assert_int_equal(ask(fixture, vault, stores_operator(fixture), &text, &err), KL_OK);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    assert_int_equal(kl_json_count(kl_json_member(kl_json_root(json), "stores")), 2);
    assert_true(says(&text, "\"tenant\":\"default\""));
    assert_true(says(&text, "\"tenant\":\"young\",\"store\":\"second\",\"country\":\"NL\","
                            "\"ends_at\":null,\"policy\":null}"));
    assert_true(says(&text, "\"measure\":\"encryption_in_transit\""));
    assert_true(says(&text, "\"complete\":true}"));
    kl_json_free(json);
    kl_buf_done(&text);
}

static void test_nobody_but_an_operator_has_it(void **state)
{
    struct stores_fixture *fixture = *state;
    struct kl_err err = {0};
    struct kl_buf text;
    struct vault_token steward;
    struct vault *vault = NULL;
    struct vault_caller caller;

    assert_int_equal(stores_tenant(fixture, "other", NULL, NULL, &err), KL_OK);
    steward = stores_steward(fixture, "other");
    caller = stores_caller(fixture, steward.text, NULL, NULL, &vault);
    assert_int_equal(ask(fixture, vault, caller, &text, &err), KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "role_forbidden");
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
}

static void test_what_does_not_fit_leaves_nothing(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault_caller caller = stores_operator(fixture);
    struct kl_err err = {0};
    struct kl_buf text;

    kl_buf_init(&text, 64);
    assert_int_equal(vault_report_register(fixture->stores, vault_stores_main(fixture->stores),
                                           &caller, &served, 1, &text, &err),
                     KL_ERR_TOO_LARGE);
    assert_int_equal(text.size, 0);
    vault_caller_done(&caller);
    kl_buf_done(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stores_setup, stores_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_tenant_of_each_store_has_a_line),
        TEST(test_nobody_but_an_operator_has_it),
        TEST(test_what_does_not_fit_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
