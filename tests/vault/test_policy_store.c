/* Policies put in force, kept, and read back. */
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 4096

/* The fixture's policy with one piece of text put in place of another. */
static void changed(const char *from, const char *to, char ret[TEXT_BYTES])
{
    const char *at = strstr(admin_policy, from);

    assert_non_null(at);
    (void)snprintf(ret, TEXT_BYTES, "%.*s%s%s", (int)(at - admin_policy), admin_policy, to,
                   at + strlen(from));
}

static enum kl_status apply(struct admin_fixture *fixture, const struct vault_caller *caller,
                            const char *yaml, uint64_t *number, struct kl_err *err)
{
    struct vault_findings *findings = calloc(1, sizeof *findings);
    enum kl_status status;

    assert_non_null(findings);
    status = vault_policy_apply(fixture->vault, caller, yaml, strlen(yaml), findings, number, err);
    free(findings);
    return status;
}

/* As the steward; the number in force must stay. */
static void apply_refused(struct admin_fixture *fixture, const char *yaml, enum kl_status status,
                          struct kl_err *err)
{
    struct vault_caller caller = admin_steward(fixture);
    uint64_t before = caller.policy_number;
    uint64_t number = 77;

    assert_int_equal(apply(fixture, &caller, yaml, &number, err), status);
    assert_int_equal(number, 77);
    vault_caller_done(&caller);
    caller = admin_steward(fixture);
    assert_int_equal(caller.policy_number, before);
    vault_caller_done(&caller);
}

static void test_a_policy_is_read_back_as_it_was_applied(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller;
    struct kl_buf yaml;
    uint64_t number = 0;

    assert_int_equal(admin_apply(fixture, admin_policy), 1);
    admin_reopen(fixture);
    caller = admin_steward(fixture);
    kl_buf_init(&yaml, VAULT_POLICY_BYTES_MAX);
    assert_int_equal(vault_policy_read(fixture->vault, &caller, &yaml, &number, NULL), KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&yaml), admin_policy));
    assert_int_equal(number, 1);
    assert_string_equal(vault_policy_name(caller.policy), "shop");
    kl_buf_done(&yaml);
    vault_caller_done(&caller);
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"policy_apply\""), 1);
}

static void test_a_request_under_way_keeps_its_policy(void **state)
{
    struct admin_fixture *fixture = *state;
    char text[TEXT_BYTES];
    struct vault_caller caller;

    (void)admin_apply(fixture, admin_policy);
    caller = admin_steward(fixture);
    changed("2024-01-01", "2025-01-01", text);
    assert_int_equal(admin_apply(fixture, text), 2);
    assert_string_equal(vault_policy_version(caller.policy), "2024-01-01");
    vault_caller_done(&caller);
    caller = admin_steward(fixture);
    assert_string_equal(vault_policy_version(caller.policy), "2025-01-01");
    assert_int_equal(caller.policy_number, 2);
    vault_caller_done(&caller);
}

static void test_there_is_no_policy_at_first(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_steward(fixture);
    struct kl_err err = {0};
    struct kl_buf yaml;
    uint64_t number = 77;

    kl_buf_init(&yaml, 100);
    assert_int_equal(vault_policy_read(fixture->vault, &caller, &yaml, &number, &err),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_policy");
    assert_int_equal(yaml.size, 0);
    assert_int_equal(number, 77);
    assert_null(caller.policy);
    kl_buf_done(&yaml);
    vault_caller_done(&caller);
}

static void test_who_may_read_and_who_may_apply(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_token auditor;
    struct vault_caller caller;
    struct kl_err err = {0};
    struct kl_buf yaml;
    uint64_t number = 0;

    (void)admin_apply(fixture, admin_policy);
    kl_buf_init(&yaml, VAULT_POLICY_BYTES_MAX);
    auditor = admin_make(fixture, "auditor", NULL);
    caller = admin_caller(fixture, &auditor, NULL);
    assert_int_equal(vault_policy_read(fixture->vault, &caller, &yaml, &number, NULL), KL_OK);
    assert_int_equal(apply(fixture, &caller, admin_policy, &number, &err), KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "role_forbidden");
    vault_caller_done(&caller);
    caller = admin_caller(fixture, &fixture->operator_token, "default");
    assert_int_equal(vault_policy_read(fixture->vault, &caller, &yaml, &number, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(apply(fixture, &caller, admin_policy, &number, NULL), KL_ERR_FORBIDDEN);
    vault_caller_done(&caller);
    kl_buf_done(&yaml);
}

static void test_a_policy_with_errors_is_refused_with_its_findings(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_findings *findings = calloc(1, sizeof *findings);
    struct vault_caller caller = admin_steward(fixture);
    char text[TEXT_BYTES];
    struct kl_err err = {0};
    uint64_t number = 77;

    assert_non_null(findings);
    changed("purposes: [service, news]", "purpose: [service, news]", text);
    assert_int_equal(
        vault_policy_apply(fixture->vault, &caller, text, strlen(text), findings, &number, &err),
        KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_policy");
    assert_true(findings->errors > 0);
    assert_int_equal(number, 77);
    vault_caller_done(&caller);
    free(findings);
}

static void test_a_policy_that_is_too_large_is_refused(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_findings *findings = calloc(1, sizeof *findings);
    char *text = malloc(VAULT_POLICY_BYTES_MAX + 1);
    struct vault_caller caller = admin_steward(fixture);
    uint64_t number = 77;

    assert_non_null(findings);
    assert_non_null(text);
    memset(text, '#', VAULT_POLICY_BYTES_MAX + 1);
    assert_int_equal(vault_policy_apply(fixture->vault, &caller, text, VAULT_POLICY_BYTES_MAX + 1,
                                        findings, &number, NULL),
                     KL_ERR_TOO_LARGE);
    assert_int_equal(number, 77);
    vault_caller_done(&caller);
    free(text);
    free(findings);
}

/* Earlier versions noted in the row that what they did not enforce was accepted. */
static void test_a_row_of_an_earlier_version_is_read(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kms_place place = {1, VAULT_SLOT_MAC, KMS_VALUE_NONE};
    struct vault_row_key key = vault_row_policy(place.tenant, 1);
    struct vault_batch *batch = vault_batch_new();
    struct vault_readiness readiness;
    unsigned char seal[KMS_MAC_BYTES];
    struct kl_buf row;
    struct kl_buf sealed;

    assert_int_equal(admin_apply(fixture, admin_policy), 1);
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    kl_buf_init(&sealed, VAULT_STORE_VALUE_MAX_BYTES);
    assert_int_equal(vault_store_get(fixture->vault->data_store, vault_row_slice(&key), &row, NULL),
                     KL_OK);
    row.bytes[1] = 1;
    kl_buf_add_u64be(&sealed, 1);
    kl_buf_add(&sealed, row.bytes, row.size - sizeof seal);
    assert_int_equal(
        kms_mac(fixture->vault->keys, &place, "policy", kl_buf_slice(&sealed), seal, NULL), KL_OK);
    memcpy(row.bytes + row.size - sizeof seal, seal, sizeof seal);
    vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, true, NULL), KL_OK);
    vault_batch_free(batch);
    kl_buf_done(&row);
    kl_buf_done(&sealed);
    admin_reopen(fixture);
    vault_readiness(fixture->vault, &readiness);
    assert_true(readiness.ready);
}

/* A row of the tenant's policies with some of its text replaced by as much other text. */
static void forge(struct admin_fixture *fixture, uint64_t tenant, uint64_t number,
                  struct kl_slice from, struct kl_slice to)
{
    struct vault_row_key key = vault_row_policy(tenant, number);
    struct vault_batch *batch = vault_batch_new();
    struct kl_buf row;
    unsigned char *at;

    assert_non_null(batch);
    kl_buf_init(&row, 65536);
    assert_int_equal(vault_store_get(fixture->vault->data_store, vault_row_slice(&key), &row, NULL),
                     KL_OK);
    at = memmem(row.bytes, row.size, from.bytes, from.size);
    assert_non_null(at);
    assert_int_equal(from.size, to.size);
    memcpy(at, to.bytes, to.size);
    vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, true, NULL), KL_OK);
    vault_batch_free(batch);
    kl_buf_done(&row);
}

/* The journal beside the keys knows which one it is. */
static void test_a_policy_that_another_hand_put_in_force_is_not(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller;

    (void)admin_apply(fixture, admin_policy);
    (void)admin_apply(fixture, admin_policy);
    caller = admin_steward(fixture);
    forge(fixture, caller.tenant, 0, kl_slice_of("\0\2", 2), kl_slice_of("\0\1", 2));
    vault_caller_done(&caller);
    admin_reopen(fixture);
    caller = admin_steward(fixture);
    assert_non_null(caller.policy);
    assert_int_equal(caller.policy_number, 2);
    vault_caller_done(&caller);
}

static void test_a_stored_policy_that_another_hand_changed_closes_its_tenant_only(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_readiness readiness;
    struct vault_caller caller;

    (void)admin_apply(fixture, admin_policy);
    caller = admin_steward(fixture);
    forge(fixture, caller.tenant, 1, kl_slice_text("do: [write]"), kl_slice_text("do: [read] "));
    vault_caller_done(&caller);

    admin_reopen(fixture);
    vault_readiness(fixture->vault, &readiness);
    assert_false(readiness.ready);
    assert_string_not_equal(readiness.reason, "");
    caller = admin_steward(fixture);
    assert_null(caller.policy);
    vault_caller_done(&caller);

    assert_int_equal(admin_apply(fixture, admin_policy), 2);
    vault_readiness(fixture->vault, &readiness);
    assert_true(readiness.ready);
}

/* ---- with people in it ---- */

static void subject_make(struct admin_fixture *fixture)
{
    const struct vault_field_input fields[] = {
        {.name = "email",
         .value = {.kind = KL_JSON_TEXT, .text = kl_slice_text("ann@example.org")}},
    };
    const struct vault_record_input record = {
        .type = "customer", .fields = fields, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_token token = admin_make(fixture, "writer", NULL);
    struct vault_caller caller = admin_caller(fixture, &token, NULL);
    struct vault_subject_result result;
    struct kl_err err = {0};

    if (vault_subject_create(fixture->vault, &caller, &input, NULL, fixture->arena, &result,
                             &err) != KL_OK) {
        fail_msg("no subject: %s %s", err.code, err.client_text);
    }
    vault_caller_done(&caller);
}

static void test_what_people_have_cannot_be_taken_out_of_the_policy(void **state)
{
    static const char *const changes[][2] = {
        {"  customer:\n", "  client:\n"},
        {"      email: { type: email, index: true }\n", ""},
        {"email: { type: email, index: true }", "email: { type: text, index: true }"},
        {"email: { type: email, index: true }", "email: { type: email }"},
    };
    struct admin_fixture *fixture = *state;
    char text[TEXT_BYTES];
    size_t i;

    (void)admin_apply(fixture, admin_policy);
    subject_make(fixture);
    for (i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct kl_err err = {0};
        char *at;

        changed(changes[i][0], changes[i][1], text);
        while (i == 0 && (at = strstr(text, "customer.*")) != NULL) {
            memmove(at, "client.*", 8);
            memmove(at + 8, at + 10, strlen(at + 10) + 1);
        }
        apply_refused(fixture, text, KL_ERR_CONFLICT, &err);
        assert_string_equal(err.code, "policy_in_use");
        assert_non_null(strstr(err.client_text, "customer"));
    }
    changed("      name:  { type: text, mask: initials }\n",
            "      name:  { type: text, mask: '***' }\n      phone: { type: phone }\n", text);
    assert_int_equal(admin_apply(fixture, text), 2);
}

static void test_what_nobody_has_can_be_taken_out_of_the_policy(void **state)
{
    struct admin_fixture *fixture = *state;
    char text[TEXT_BYTES];

    (void)admin_apply(fixture, admin_policy);
    changed("      email: { type: email, index: true }\n", "      email: { type: text }\n", text);
    assert_int_equal(admin_apply(fixture, text), 2);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_a_policy_is_read_back_as_it_was_applied),
        OPENED(test_a_request_under_way_keeps_its_policy),
        OPENED(test_there_is_no_policy_at_first),
        OPENED(test_who_may_read_and_who_may_apply),
        OPENED(test_a_policy_with_errors_is_refused_with_its_findings),
        OPENED(test_a_policy_that_is_too_large_is_refused),
        OPENED(test_a_row_of_an_earlier_version_is_read),
        OPENED(test_a_policy_that_another_hand_put_in_force_is_not),
        OPENED(test_a_stored_policy_that_another_hand_changed_closes_its_tenant_only),
        OPENED(test_what_people_have_cannot_be_taken_out_of_the_policy),
        OPENED(test_what_nobody_has_can_be_taken_out_of_the_policy),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
