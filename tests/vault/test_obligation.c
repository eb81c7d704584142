/* A legal obligation of the policy outlives an erasure: for its purpose, with what is for it, until its end. */
#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"

#include "kluis/base/json.h"

#include <stdio.h>
#include <string.h>

struct kept {
    size_t count;
    struct kl_id receipt;
    struct kl_id record;
    char basis[VAULT_HOLD_BASIS_MAX_BYTES + 1];
};

static struct kept erase(struct vault_fixture *fixture, const struct kl_id *subject)
{
    const struct kl_json_value *item = NULL;
    struct kl_json *json = NULL;
    struct kl_json_iter iter;
    struct kept kept = {0};
    struct kl_buf receipt;

    kl_buf_init(&receipt, 65536);
    if (fixture_try_erase(fixture, "dpo", subject, VAULT_ERASE_REQUEST, &receipt) != KL_OK) {
        fail_msg("not erased: %s %s", fixture->err.code, fixture->err.log_text);
    }
    assert_int_equal(kl_json_parse(receipt.bytes, receipt.size, &json, NULL), KL_OK);
    assert_int_equal(kl_id_parse("er", kl_json_text(kl_json_member(kl_json_root(json), "receipt")),
                                 &kept.receipt, NULL),
                     KL_OK);
    iter = kl_json_iter(kl_json_member(kl_json_root(json), "retained"));
    for (; kl_json_next(&iter, NULL, &item); kept.count++) {
        assert_int_equal(
            kl_id_parse("rec", kl_json_text(kl_json_member(item, "record")), &kept.record, NULL),
            KL_OK);
        (void)snprintf(kept.basis, sizeof kept.basis, "%s",
                       kl_json_text(kl_json_member(item, "basis")));
    }
    kl_json_free(json);
    kl_buf_done(&receipt);
    return kept;
}

static enum kl_status read_kept(struct vault_fixture *fixture, const char *role,
                                const struct kept *kept, const char *purpose,
                                struct vault_record_result *ret, struct vault_hold *ret_hold)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    struct vault_hold *holds = NULL;
    size_t count = 0;
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_retained_read(fixture_vault(fixture), &caller, &kept->receipt, &kept->record,
                                 purpose, fixture->arena, ret, &holds, &count, &fixture->err);
    if (status == KL_OK) {
        assert_int_equal(count, 1);
        *ret_hold = holds[0];
    }
    vault_caller_done(&caller);
    return status;
}

static void test_what_the_law_wants_outlives_an_erasure_and_nothing_else(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct vault_record_result read = {0};
    struct vault_hold hold = {.until_us = 0};
    struct kept kept;

    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", -1, NULL, NULL), KL_OK);
    kept = erase(fixture, &made.id);
    assert_int_equal(kept.count, 1);
    assert_string_equal(kept.basis, "bookkeeping");
    assert_int_equal(read_kept(fixture, "reader", &kept, "bookkeeping", &read, &hold), KL_OK);
    assert_string_equal(hold.basis, "bookkeeping");
    assert_int_equal(read.field_count, 3);
    fixture_reopen(fixture);
    assert_int_equal(read_kept(fixture, "reader", &kept, "bookkeeping", &read, &hold), KL_OK);
}

static void test_only_its_own_purpose_reads_it(void **state)
{
    static const char *const others[] = {"service", "answer_rights", "surveys"};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_record_result read = {.version = 77};
    struct vault_hold hold;
    struct kept kept = erase(fixture, &made.id);

    assert_int_equal(kept.count, 1); /* its clock starts with the erasure */
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(read_kept(fixture, "reader", &kept, others[i], &read, &hold),
                         KL_ERR_NOT_FOUND);
    }
    assert_int_equal(read_kept(fixture, "reader", &kept, NULL, &read, &hold), KL_ERR_NOT_FOUND);
    assert_int_equal(read_kept(fixture, "dpo", &kept, "bookkeeping", &read, &hold),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(read_kept(fixture, "reader", &kept, "nothing", &read, &hold), KL_ERR_INVALID);
    assert_int_equal(read.version, 77);
    assert_int_equal(read_kept(fixture, "dpo", &kept, NULL, &read, &hold), KL_OK);
}

static void test_an_obligation_that_is_over_keeps_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);

    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", -8 * 366, NULL, NULL),
                     KL_OK);
    assert_int_equal(erase(fixture, &made.id).count, 0);
}

static void test_a_record_under_an_obligation_is_not_erased_by_itself(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_buf receipt;

    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &made.id, &made.records[0].id,
                                        VAULT_ERASE_REQUEST, &receipt, &fixture->err),
                     KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "record_held");
    assert_int_equal(receipt.size, 0);
    vault_caller_done(&dpo);
    kl_buf_done(&receipt);
}

static void test_fields_for_other_purposes_go(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made;
    struct vault_record_result read = {0};
    struct vault_hold hold;
    struct kept kept;
    char text[8192];
    const char *at = strstr(rights_policy_text, "email:   { type: email, index: true }");

    /* the same policy, with an address that is not for bookkeeping */
    assert_non_null(at);
    (void)snprintf(text, sizeof text,
                   "%.*semail:   { type: email, index: true, purposes: [service, news] }%s",
                   (int)(at - rights_policy_text), rights_policy_text,
                   at + strlen("email:   { type: email, index: true }"));
    (void)admin_apply(fixture->admin, text);
    made = rights_client(fixture, "ana@example.org", false);
    kept = erase(fixture, &made.id);
    assert_int_equal(kept.count, 1);
    assert_int_equal(read_kept(fixture, "reader", &kept, "bookkeeping", &read, &hold), KL_OK);
    assert_int_equal(read.field_count, 2);
    assert_string_equal(read.fields[0].name, "iban");
    assert_true(fixture_value_is(&read.fields[1], "two hundred euro"));
}

/* What the longer one is for is not there, and must not hide what the shorter one wants. */
static void test_an_obligation_without_a_field_leaves_the_record_to_another_one(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made;
    struct kept kept;
    char text[8192];
    const char *fields = strstr(rights_policy_text, "email:   { type: email, index: true }");
    const char *purposes = strstr(rights_policy_text, "service:       { basis: contract");

    assert_non_null(fields);
    assert_non_null(purposes);
    (void)snprintf(
        text, sizeof text,
        "%.*stax:     { type: text, purposes: [service] }\n"
        "      email:   { type: email, index: true, purposes: [surveys, news] }\n"
        "      iban:    { type: iban, purposes: [bookkeeping] }\n"
        "      invoice: { type: text, purposes: [bookkeeping] }\n"
        "    purposes: [service, surveys, promotion, news, bookkeeping, answer_rights]\n"
        "purposes:\n"
        "  service:       { basis: legal_obligation, retain: P30Y after service_end }\n%s",
        (int)(fields - rights_policy_text), rights_policy_text, strchr(purposes, '\n') + 1);
    (void)admin_apply(fixture->admin, text);
    made = rights_client(fixture, "ana@example.org", false);
    kept = erase(fixture, &made.id);
    assert_int_equal(kept.count, 1);
    assert_string_equal(kept.basis, "bookkeeping");
}

int main(void)
{
#define RIGHTS(name) cmocka_unit_test_setup_teardown(name, rights_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        RIGHTS(test_what_the_law_wants_outlives_an_erasure_and_nothing_else),
        RIGHTS(test_only_its_own_purpose_reads_it),
        RIGHTS(test_an_obligation_that_is_over_keeps_nothing),
        RIGHTS(test_a_record_under_an_obligation_is_not_erased_by_itself),
        RIGHTS(test_fields_for_other_purposes_go),
        RIGHTS(test_an_obligation_without_a_field_leaves_the_record_to_another_one),
    };

    return cmocka_run_group_tests_name("obligation", tests, admin_group_setup, NULL);
}
