/* A candidate compared with the policy in force, on the people there are: who may ask, and what is refused. */
#include "kluis/vault/policy_diff.h"
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/vault_internal.h"

#include <string.h>

#define ANSWER_BYTES_MAX (1024 * 1024)

static const char wider[] =
    "policy: shop\n"
    "version: 2024-01-02\n"
    "controller: { name: Shop BV, country: BE, contact: privacy@shop.example }\n"
    "records:\n"
    "  customer:\n"
    "    fields:\n"
    "      email: { type: email, index: true }\n"
    "      name:  { type: text, mask: initials }\n"
    "    purposes: [service, news]\n"
    "purposes:\n"
    "  service: { basis: contract, retain: P1D after created }\n"
    "  news:    { basis: consent }\n"
    "roles:\n"
    "  reader:\n"
    "    - { do: [read, lookup], fields: [customer.*], for: [service, news] }\n"
    "  writer:\n"
    "    - { do: [write], fields: [customer.*] }\n"
    "    - { do: [erase], fields: [customer.*] }\n"
    "    - { do: [read], fields: [customer.*], for: [news] }\n";

static void make_customer(struct admin_fixture *fixture, const char *email, bool consents)
{
    const struct vault_field_input field = {
        .name = "email", .value = {.kind = KL_JSON_TEXT, .text = kl_slice_text(email)}};
    const struct vault_consent_input consent = {
        .purpose = "news", .notice = "n1", .channel = "form"};
    const struct vault_record_input record = {.type = "customer",
                                              .fields = &field,
                                              .field_count = 1,
                                              .consents = &consent,
                                              .consent_count = consents ? 1 : 0};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    const struct vault_token token = admin_make(fixture, "writer", NULL);
    struct vault_caller caller = admin_caller(fixture, &token, NULL);
    struct vault_subject_result result;

    assert_int_equal(
        vault_subject_create(fixture->vault, &caller, &input, NULL, fixture->arena, &result, NULL),
        KL_OK);
    vault_caller_done(&caller);
}

static enum kl_status compare(struct admin_fixture *fixture, struct vault_caller *caller,
                              const char *yaml, int64_t subjects, struct kl_buf *ret,
                              struct kl_err *err)
{
    static struct vault_findings findings;

    kl_buf_init(ret, ANSWER_BYTES_MAX);
    return vault_policy_diff(fixture->vault, caller, yaml, strlen(yaml), subjects, &findings, ret,
                             err);
}

static void expect_answer(struct admin_fixture *fixture, const char *yaml, int64_t subjects,
                          const char *const *pieces)
{
    struct vault_caller caller = admin_steward(fixture);
    struct kl_buf answer;

    assert_int_equal(compare(fixture, &caller, yaml, subjects, &answer, NULL), KL_OK);
    for (size_t i = 0; pieces[i] != NULL; i++)
        if (strstr((const char *)answer.bytes, pieces[i]) == NULL)
            fail_msg("%s is not in %s", pieces[i], (const char *)answer.bytes);
    kl_buf_done(&answer);
    vault_caller_done(&caller);
}

static void test_a_line_counts_the_people_whose_answer_changes(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const pieces[] = {
        "\"complete\":true,\"allows\":{\"answers\":2,\"roles\":1,\"fields\":2}",
        "\"role\":\"writer\",\"actions\":[\"read\"],\"fields\":[\"customer.*\"],\"purposes\":["
        "\"news\"]",
        "\"circumstances\":[\"consent\",\"explicit_consent\"],\"subjects\":1,\"records\":1}",
        "\"people\":{\"complete\":true,\"subjects\":3,\"records\":3,\"unreadable\":0,\"newly_due\":"
        "0",
        NULL};

    (void)admin_apply(fixture, admin_policy);
    make_customer(fixture, "a@customer.example", true);
    make_customer(fixture, "b@customer.example", false);
    make_customer(fixture, "c@customer.example", false);
    expect_answer(fixture, wider, 10, pieces);
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"policy_diff\""), 1);
    assert_int_equal(admin_trail_count(fixture, false, "customer.example"), 0);
}

static void test_with_more_people_than_it_looks_at_it_says_so(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const two[] = {"\"people\":{\"complete\":false,\"subjects\":2,", NULL};
    static const char *const all[] = {"\"people\":{\"complete\":true,\"subjects\":3,", NULL};

    (void)admin_apply(fixture, admin_policy);
    make_customer(fixture, "a@customer.example", true);
    make_customer(fixture, "b@customer.example", true);
    make_customer(fixture, "c@customer.example", true);
    expect_answer(fixture, wider, 2, two);
    expect_answer(fixture, wider, 3, all);
}

static void test_without_a_policy_in_force_all_is_new(void **state)
{
    static const char *const pieces[] = {"\"withholds\":{\"answers\":0,",
                                         "\"people\":{\"complete\":true,\"subjects\":0,", NULL};

    expect_answer(*state, wider, 0, pieces);
}

static void expect_refused(struct admin_fixture *fixture, struct vault_caller *caller,
                           const char *yaml, int64_t subjects, enum kl_status status,
                           const char *code)
{
    struct kl_err err = {0};
    struct kl_buf answer;

    assert_int_equal(compare(fixture, caller, yaml, subjects, &answer, &err), status);
    assert_string_equal(err.code, code);
    assert_int_equal(answer.size, 0);
    kl_buf_done(&answer);
}

static void test_what_is_refused(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller steward;
    struct vault_caller other;
    struct vault_token token;

    (void)admin_apply(fixture, admin_policy);
    steward = admin_steward(fixture);
    expect_refused(fixture, &steward, wider, -1, KL_ERR_INVALID, "invalid_subjects");
    expect_refused(fixture, &steward, wider, VAULT_DIFF_SUBJECTS_MAX + 1, KL_ERR_INVALID,
                   "invalid_subjects");
    expect_refused(fixture, &steward, "policy: x\n", 1, KL_ERR_INVALID, "invalid_policy");
    atomic_store(&fixture->vault->diffs, VAULT_DIFF_WALKS_MAX);
    expect_refused(fixture, &steward, wider, 1, KL_ERR_BUSY, "diffs_busy");
    assert_int_equal(atomic_load(&fixture->vault->diffs), VAULT_DIFF_WALKS_MAX);
    atomic_store(&fixture->vault->diffs, 0);
    vault_caller_done(&steward);
    token = admin_make(fixture, "reader", NULL);
    other = admin_caller(fixture, &token, NULL);
    expect_refused(fixture, &other, wider, 1, KL_ERR_FORBIDDEN, "role_forbidden");
    vault_caller_done(&other);
    other = admin_caller(fixture, &fixture->operator_token, "default");
    expect_refused(fixture, &other, wider, 1, KL_ERR_FORBIDDEN, "role_forbidden");
    vault_caller_done(&other);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_a_line_counts_the_people_whose_answer_changes),
        OPENED(test_with_more_people_than_it_looks_at_it_says_so),
        OPENED(test_without_a_policy_in_force_all_is_new),
        OPENED(test_what_is_refused),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
