/* Texts about no subject, under the tenant's keys. */
#include "vault/remark.h"

#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"

#include <stdio.h>
#include <string.h>

static void refused(const char *text, size_t max_bytes, enum kl_status status, const char *code)
{
    struct kl_err err = {0};

    assert_int_equal(vault_remark_check(text, "note", max_bytes, &err), status);
    assert_string_equal(err.code, code);
    assert_string_equal(err.where, "/note");
}

static void test_a_text_that_leads_to_a_person_is_refused(void **state)
{
    const struct kl_id id = kl_id_new();
    char subject[KL_ID_TEXT_BYTES];
    char text[128];

    (void)state;
    kl_id_format("sub", &id, subject);
    (void)snprintf(text, sizeof text, "look: sub_ and (%s).", subject);
    refused(text, 1000, KL_ERR_INVALID, "names_subject");
    refused(subject, 1000, KL_ERR_INVALID, "names_subject");
    subject[sizeof "sub_" + KL_ID_DIGITS - 2] = '\0';
    assert_int_equal(vault_remark_check(subject, "note", 1000, NULL), KL_OK);
    assert_int_equal(vault_remark_check("entry 412, sub_", "note", 1000, NULL), KL_OK);
}

static void test_a_text_has_a_size_and_no_controls(void **state)
{
    (void)state;
    refused("", 10, KL_ERR_INVALID, "invalid_value");
    refused("a\x1b[2J", 10, KL_ERR_INVALID, "invalid_value");
    refused("a\x7f", 10, KL_ERR_INVALID, "invalid_value");
    refused("12345678901", 10, KL_ERR_TOO_LARGE, "value_too_large");
    assert_int_equal(vault_remark_check("1234567890", "note", 10, NULL), KL_OK);
    assert_int_equal(vault_remark_check("a\n\tb", "note", 10, NULL), KL_OK);
}

static void test_it_opens_only_as_what_it_is_and_where_it_was_sealed(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    const uint64_t tenant = fixture_tenant(fixture);
    const struct kl_id of = kl_id_new();
    const struct kl_id other = kl_id_new();
    struct kl_buf sealed;
    struct kl_buf text;
    size_t i;

    kl_buf_init(&sealed, VAULT_REMARK_SEALED_MAX_BYTES);
    kl_buf_init(&text, VAULT_REMARK_MAX_BYTES);
    assert_int_equal(
        vault_remark_seal(vault, tenant, "kind", &of, kl_slice_text("why"), &sealed, NULL), KL_OK);
    assert_null(memmem(sealed.bytes, sealed.size, "why", 3));
    assert_int_equal(
        vault_remark_open(vault, tenant, "dnik", &of, kl_buf_slice(&sealed), &text, NULL),
        KL_ERR_CORRUPT);
    assert_int_equal(
        vault_remark_open(vault, tenant, "kind", &other, kl_buf_slice(&sealed), &text, NULL),
        KL_ERR_CORRUPT);
    assert_int_equal(
        vault_remark_open(vault, KMS_TENANT_VAULT, "kind", &of, kl_buf_slice(&sealed), &text, NULL),
        KL_ERR_CORRUPT);
    for (i = 0; i < sealed.size; i += 7) {
        sealed.bytes[i] ^= 1;
        assert_int_not_equal(
            vault_remark_open(vault, tenant, "kind", &of, kl_buf_slice(&sealed), &text, NULL),
            KL_OK);
        sealed.bytes[i] ^= 1;
    }
    assert_int_equal(text.size, 0);
    assert_int_equal(
        vault_remark_open(vault, tenant, "kind", &of, kl_buf_slice(&sealed), &text, NULL), KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&text), "why"));
    kl_buf_done(&sealed);
    kl_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_that_leads_to_a_person_is_refused),
        cmocka_unit_test(test_a_text_has_a_size_and_no_controls),
        cmocka_unit_test_setup_teardown(test_it_opens_only_as_what_it_is_and_where_it_was_sealed,
                                        vault_fixture_setup, vault_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
