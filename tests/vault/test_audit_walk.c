/* Going over the trail, and what an entry says of itself. */
#include "vault/audit_walk.h"

#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"

#include <string.h>

static void test_every_entry_comes_once_in_order(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_audit_walk walk = {0};
    struct vault_audit_said said;
    struct kl_slice entry;
    uint64_t seq = 77;
    uint64_t size = 0;
    uint64_t expected = 2;
    enum kl_status status = KL_OK;

    (void)fixture_newsletter(fixture, "ana@example.org", true);
    (void)fixture_newsletter(fixture, "ben@example.org", true);
    assert_int_equal(
        vault_trails_size(fixture_vault(fixture)->trails, fixture_tenant(fixture), &size, NULL),
        KL_OK);
    assert_true(size > 3);
    assert_int_equal(
        vault_audit_walk_begin(&walk, fixture_vault(fixture), fixture_tenant(fixture), 2, NULL),
        KL_OK);
    while ((status = vault_audit_walk_next(&walk, &seq, &entry, NULL)) == KL_OK) {
        assert_int_equal(seq, expected++);
        assert_int_equal(vault_audit_read(entry, &said, NULL), KL_OK);
        assert_true(said.at_us > 0);
        assert_non_null(said.action);
        vault_audit_said_done(&said);
    }
    assert_int_equal(status, KL_ERR_NOT_FOUND);
    assert_int_equal(expected, size);
    assert_int_equal(walk.lost, 0);
    vault_audit_walk_end(&walk);
}

static void test_numbers_that_were_lost_are_counted(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_audit_walk walk = {0};
    struct kl_slice entry;
    uint64_t seq = 0;
    uint64_t count = 0;
    uint64_t size = 0;

    (void)fixture_newsletter(fixture, "ana@example.org", true);
    fixture_copy(fixture);
    (void)fixture_newsletter(fixture, "ben@example.org", true);
    fixture_put_back_data(fixture);
    assert_int_equal(
        vault_audit_walk_begin(&walk, fixture_vault(fixture), fixture_tenant(fixture), 0, NULL),
        KL_OK);
    while (vault_audit_walk_next(&walk, &seq, &entry, NULL) == KL_OK) {
        count++;
    }
    assert_int_equal(
        vault_trails_size(fixture_vault(fixture)->trails, fixture_tenant(fixture), &size, NULL),
        KL_OK);
    assert_true(walk.lost > 0);
    assert_int_equal(walk.lost + count, size);
    vault_audit_walk_end(&walk);
}

static void test_an_entry_is_read(void **state)
{
    static const char text[] =
        "{\"at\":\"2026-03-02T09:15:00.000000Z\",\"action\":\"read\",\"credential\":\"cred_x\","
        "\"role\":\"clerk\",\"location\":\"BE\",\"slot\":7,\"policy\":3,\"purpose\":\"care\","
        "\"result\":\"refused\",\"reason\":\"withheld\"}";
    struct vault_audit_said said;

    (void)state;
    assert_int_equal(vault_audit_read(kl_slice_text(text), &said, NULL), KL_OK);
    assert_string_equal(said.action, "read");
    assert_string_equal(said.credential, "cred_x");
    assert_string_equal(said.role, "clerk");
    assert_string_equal(said.location, "BE");
    assert_string_equal(said.purpose, "care");
    assert_string_equal(said.reason, "withheld");
    assert_int_equal(said.slot, 7);
    assert_int_equal(said.policy, 3);
    assert_true(said.refused);
    vault_audit_said_done(&said);
    assert_true(vault_audit_names(kl_slice_text(text), "cred_x"));
    assert_false(vault_audit_names(kl_slice_text(text), "cred_y"));
}

static void test_what_is_no_entry_is_damage(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"at\":\"2026-03-02T09:15:00.000000Z\"}",
        "{\"action\":\"read\"}",
        "{\"at\":\"yesterday\",\"action\":\"read\"}",
        "{\"at\":\"2026-03-02T09:15:00.000000Z\",\"action\":7}",
    };
    struct vault_audit_said said = {.slot = 77};
    struct kl_err err = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(vault_audit_read(kl_slice_text(texts[i]), &said, &err), KL_ERR_CORRUPT);
        assert_string_equal(err.code, "audit_damaged");
        assert_int_equal(said.slot, 77);
    }
    assert_int_equal(vault_audit_read(kl_slice_text("{\"at\":\"2026-03-02T09:15:00.000000Z\","
                                                    "\"action\":\"x\",\"slot\":-4,\"policy\":"
                                                    "\"a name\"}"),
                                      &said, NULL),
                     KL_OK);
    assert_int_equal(said.slot, -1);
    assert_int_equal(said.policy, 0);
    vault_audit_said_done(&said);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_entry_comes_once_in_order),
        TEST(test_numbers_that_were_lost_are_counted),
        cmocka_unit_test(test_an_entry_is_read),
        cmocka_unit_test(test_what_is_no_entry_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
