/* Heads given to whoever keeps them outside of the vault. */
#include "kluis/vault/trail.h"

#include "kluis/base/trail.h"
#include "kluis/kms/kms.h"
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"

#include <string.h>

struct given {
    size_t count;
    bool refuse;
    struct kl_trail_head last; /* of the tenant "default" */
    char store[40];
};

static enum kl_status take(void *context, uint64_t trail, struct kl_slice head, struct kl_err *err)
{
    struct given *given = context;
    struct kl_json *json = NULL;
    struct kl_trail_head read;

    if (given->refuse) {
        return kl_fail(err, KL_ERR_IO, "full", "the disk is full", NULL);
    }
    assert_null(memchr(head.bytes, '\n', head.size));
    assert_true(head.size <= KL_TRAIL_JSON_MAX_BYTES);
    assert_int_equal(kl_json_parse(head.bytes, head.size, &json, NULL), KL_OK);
    assert_int_equal(kl_trail_head_read(kl_json_root(json), &read, NULL), KL_OK);
    assert_true(kl_trail_head_holds(&read));
    assert_true((trail == KMS_TENANT_VAULT) == (read.tenant[0] == '\0'));
    (void)strncpy(given->store, kl_json_text(kl_json_member(kl_json_root(json), "store")),
                  sizeof given->store - 1);
    given->last = strcmp(read.tenant, "default") == 0 ? read : given->last;
    given->count++;
    kl_json_free(json);
    return KL_OK;
}

static void test_only_trails_that_grew_are_given(void **state)
{
    struct vault_fixture *fixture = *state;
    struct given given = {0};
    uint64_t before = 0;

    assert_int_equal(vault_trail_heads(fixture_vault(fixture), take, &given, NULL), KL_OK);
    assert_int_equal(given.count, 2); /* the vault's own, and the tenant's */
    assert_int_equal(strlen(given.store), 32);
    before = given.last.size;
    assert_int_equal(vault_trail_heads(fixture_vault(fixture), take, &given, NULL), KL_OK);
    assert_int_equal(given.count, 2);
    (void)fixture_newsletter(fixture, "ana@example.org", true);
    assert_int_equal(vault_trail_heads(fixture_vault(fixture), take, &given, NULL), KL_OK);
    assert_int_equal(given.count, 3);
    assert_true(given.last.size > before);
}

static void test_what_was_not_taken_is_given_again(void **state)
{
    struct vault_fixture *fixture = *state;
    struct given given = {.refuse = true};
    struct kl_err err = {0};

    assert_int_equal(vault_trail_heads(fixture_vault(fixture), take, &given, &err), KL_ERR_IO);
    assert_string_equal(err.code, "full");
    given.refuse = false;
    assert_int_equal(vault_trail_heads(fixture_vault(fixture), take, &given, NULL), KL_OK);
    assert_int_equal(given.count, 2);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_trails_that_grew_are_given),
        TEST(test_what_was_not_taken_is_given_again),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
