#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"
#include "vault/vault_internal.h"

#include <string.h>

static enum kl_status open_as(struct vault_fixture *fixture, const struct vault_caller *caller,
                              const char *kind, const char *cursor, struct kl_buf *ret)
{
    kl_err_clear(&fixture->err);
    return vault_cursor_open(fixture_vault(fixture), caller, kind, cursor, ret, &fixture->err);
}

static void test_a_cursor_gives_back_its_position(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller reader = fixture_caller(fixture, "reader");
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    unsigned char position[64];
    struct kl_buf read;

    memset(position, 5, sizeof position);
    kl_buf_init(&read, 128);
    assert_int_equal(vault_cursor_seal(fixture_vault(fixture), &reader, "list",
                                       kl_slice_of(position, sizeof position), cursor, NULL),
                     KL_OK);
    assert_true(strlen(cursor) <= VAULT_CURSOR_MAX_BYTES);
    assert_int_equal(open_as(fixture, &reader, "list", cursor, &read), KL_OK);
    assert_int_equal(read.size, sizeof position);
    assert_memory_equal(read.bytes, position, sizeof position);
    kl_buf_done(&read);
    vault_caller_done(&reader);
}

static void test_a_cursor_serves_one_list_and_one_credential(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_caller other = fixture_caller(fixture, "clerk");
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    struct kl_buf read;

    kl_buf_init(&read, 128);
    assert_int_equal(vault_cursor_seal(fixture_vault(fixture), &reader, "list",
                                       kl_slice_text("12345678"), cursor, NULL),
                     KL_OK);
    assert_int_equal(open_as(fixture, &reader, "lookup", cursor, &read), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_cursor");
    assert_int_equal(open_as(fixture, &other, "list", cursor, &read), KL_ERR_INVALID);
    assert_int_equal(read.size, 0);
    kl_buf_done(&read);
    vault_caller_done(&reader);
    vault_caller_done(&other);
}

static void test_a_cursor_with_any_character_changed_or_cut_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller reader = fixture_caller(fixture, "reader");
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    char changed[VAULT_CURSOR_MAX_BYTES + 1];
    struct kl_buf read;
    size_t i;

    kl_buf_init(&read, 128);
    assert_int_equal(vault_cursor_seal(fixture_vault(fixture), &reader, "list",
                                       kl_slice_text("12345678"), cursor, NULL),
                     KL_OK);
    for (i = 0; i < strlen(cursor); i++) {
        memcpy(changed, cursor, sizeof changed);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(open_as(fixture, &reader, "list", changed, &read), KL_ERR_INVALID);
        memcpy(changed, cursor, sizeof changed);
        changed[i] = 0;
        assert_int_equal(open_as(fixture, &reader, "list", changed, &read), KL_ERR_INVALID);
        assert_string_equal(fixture->err.code, "invalid_cursor");
    }
    assert_int_equal(read.size, 0);
    kl_buf_done(&read);
    vault_caller_done(&reader);
}

static void test_a_number_comes_back_unless_it_is_past_the_end_of_the_list(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller reader = fixture_caller(fixture, "reader");
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    char text[VAULT_CURSOR_MAX_BYTES + 1];
    struct vault *vault = fixture_vault(fixture);
    uint64_t number = 5;

    assert_int_equal(vault_cursor_number_seal(vault, &reader, "list", 40, cursor, NULL), KL_OK);
    assert_int_equal(vault_cursor_number_open(vault, &reader, "list", cursor, 39, &number, NULL),
                     KL_ERR_INVALID);
    assert_int_equal(number, 5);
    assert_int_equal(vault_cursor_number_open(vault, &reader, "list", cursor, 40, &number, NULL),
                     KL_OK);
    assert_int_equal(number, 40);
    assert_int_equal(vault_cursor_number_open(vault, &reader, "list", NULL, 40, &number, NULL),
                     KL_OK);
    assert_int_equal(number, 0);

    assert_int_equal(
        vault_cursor_seal(vault, &reader, "list", kl_slice_text("1234567"), text, NULL), KL_OK);
    number = 5;
    kl_err_clear(&fixture->err);
    assert_int_equal(
        vault_cursor_number_open(vault, &reader, "list", text, UINT64_MAX, &number, &fixture->err),
        KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_cursor");
    assert_int_equal(number, 5);
    vault_caller_done(&reader);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cursor_gives_back_its_position),
        TEST(test_a_cursor_serves_one_list_and_one_credential),
        TEST(test_a_cursor_with_any_character_changed_or_cut_is_refused),
        TEST(test_a_number_comes_back_unless_it_is_past_the_end_of_the_list),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
