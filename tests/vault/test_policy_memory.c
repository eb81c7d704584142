/* Policies when memory runs out: an error without a policy, and nothing left behind. */
#include "tests/support/no_memory.h"
#include "tests/vault/policy_fixture.h"

static struct vault_findings findings;

static void test_every_allocation_of_a_parse_may_fail(void **state)
{
    char *text = policy_file("tests/scenarios/worksmarter/policy.yaml");
    const size_t size = strlen(text);
    bool hit = true;

    (void)state;
    for (long n = 0; hit; n++) {
        struct vault_policy *policy = NULL;
        struct kl_err err = {0};
        enum kl_status status;
        no_memory_begin(n);
        status = vault_policy_parse(text, size, &findings, &policy, &err);
        hit = no_memory_end();
        assert_int_equal(status, hit ? KL_ERR_NO_MEMORY : KL_OK);
        assert_true((policy == NULL) == hit);
        vault_policy_unref(policy);
    }
    free(text);
}

static void test_every_allocation_of_a_compilation_may_fail(void **state)
{
    char *text = policy_file("tests/fixtures/policies/good/every-word.yaml");
    const size_t size = strlen(text);
    bool hit = true;

    (void)state;
    for (long n = 0; hit; n++) {
        struct vault_policy *policy = NULL;
        enum kl_status status;
        no_memory_begin(n);
        status = vault_policy_compile(text, size, &policy, NULL);
        hit = no_memory_end();
        assert_int_equal(status, hit ? KL_ERR_NO_MEMORY : KL_OK);
        assert_true((policy == NULL) == hit);
        vault_policy_unref(policy);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_of_a_parse_may_fail),
        cmocka_unit_test(test_every_allocation_of_a_compilation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
