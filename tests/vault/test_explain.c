/* Each gate's answer, and who may ask for it. */
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"

#include <string.h>

static const struct vault_explain_result *explained(const struct vault_explain_result *results,
                                                    size_t count, const char *field)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(results[i].field, field) == 0) {
            return &results[i];
        }
    }
    fail_msg("%s is not explained", field);
    return NULL;
}

static void test_explain_names_the_gate_that_says_no(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const fields[] = {"customer.email"};
    struct vault_explain_input input = {.role = "reader", .purpose = "service"};
    struct vault_explain_result *results = NULL;
    const struct vault_explain_result *email;
    struct vault_caller caller;
    size_t count = 0;

    (void)admin_apply(fixture, admin_policy);
    caller = admin_steward(fixture);
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    assert_int_equal(count, 2);
    email = explained(results, count, "customer.email");
    assert_int_equal(email->decision.withheld, VAULT_GATE_NONE);
    assert_true(email->passes[VAULT_GATE_ROLE]);
    input.purpose = "news";
    input.fields = fields;
    input.field_count = 1;
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    assert_int_equal(count, 1);
    assert_int_equal(results[0].decision.withheld, VAULT_GATE_CONSENT);
    assert_true(results[0].passes[VAULT_GATE_ROLE]);
    assert_false(results[0].passes[VAULT_GATE_CONSENT]);
    input.role = "writer";
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    assert_int_equal(results[0].decision.withheld, VAULT_GATE_ROLE);
    vault_caller_done(&caller);
}

static void test_a_role_explains_itself_and_nobody_else(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_explain_input input = {.purpose = "service"};
    struct vault_explain_result *results = NULL;
    struct vault_token token;
    struct vault_caller caller;
    struct kl_err err = {0};
    size_t count = 0;

    (void)admin_apply(fixture, admin_policy);
    token = admin_make(fixture, "reader", NULL);
    caller = admin_caller(fixture, &token, NULL);
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    assert_int_equal(count, 2);
    input.role = "reader";
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    input.role = "writer";
    results = NULL;
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, &err),
        KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "role_forbidden");
    assert_null(results);
    vault_caller_done(&caller);
    caller = admin_caller(fixture, &fixture->operator_token, "default");
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_ERR_FORBIDDEN);
    vault_caller_done(&caller);
}

static void explain_refused(struct admin_fixture *fixture, const struct vault_explain_input *input,
                            enum kl_status status, const char *code)
{
    struct vault_caller caller = admin_steward(fixture);
    struct vault_explain_result *results = NULL;
    struct kl_err err = {0};
    size_t count = 77;

    assert_int_equal(
        vault_explain(fixture->vault, &caller, input, fixture->arena, &results, &count, &err),
        status);
    assert_string_equal(err.code, code);
    assert_null(results);
    assert_int_equal(count, 77);
    vault_caller_done(&caller);
}

static void test_explain_refuses_names_that_are_none(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const wrong_fields[] = {"customer", "customer.", "customer.age",
                                               "nobody.*", ".email",    ""};
    const struct kl_id nobody = kl_id_new();
    struct vault_explain_input input = {.role = "reader", .purpose = "service"};
    size_t i;

    explain_refused(fixture, &input, KL_ERR_REFUSED, "no_policy");
    (void)admin_apply(fixture, admin_policy);
    input.role = NULL;
    explain_refused(fixture, &input, KL_ERR_INVALID, "role_required");
    input.role = "sailor";
    explain_refused(fixture, &input, KL_ERR_INVALID, "unknown_role");
    input.role = "reader";
    input.action = "gaze";
    explain_refused(fixture, &input, KL_ERR_INVALID, "unknown_action");
    input.action = NULL;
    input.purpose = NULL;
    explain_refused(fixture, &input, KL_ERR_INVALID, "purpose_required");
    input.purpose = "selling";
    explain_refused(fixture, &input, KL_ERR_INVALID, "unknown_purpose");
    input.purpose = "service";
    input.from = "XX";
    explain_refused(fixture, &input, KL_ERR_INVALID, "invalid_country");
    input.from = "aws:nowhere-1";
    explain_refused(fixture, &input, KL_ERR_INVALID, "unknown_region");
    input.from = NULL;
    input.recipient = "friend";
    explain_refused(fixture, &input, KL_ERR_INVALID, "unknown_recipient");
    input.recipient = NULL;
    input.field_count = 1;
    for (i = 0; i < sizeof wrong_fields / sizeof wrong_fields[0]; i++) {
        input.fields = &wrong_fields[i];
        explain_refused(fixture, &input, KL_ERR_INVALID, "unknown_field");
    }
    input.field_count = 0;
    input.subject = &nobody;
    explain_refused(fixture, &input, KL_ERR_NOT_FOUND, "not_found");
}

static void test_explain_knows_where_one_asks_from(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_explain_input input = {.role = "reader", .purpose = "service", .from = "US"};
    struct vault_explain_result *results = NULL;
    struct vault_caller caller;
    size_t count = 0;

    (void)admin_apply(fixture, admin_policy);
    caller = admin_steward(fixture);
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    assert_int_equal(explained(results, count, "customer.name")->decision.withheld,
                     VAULT_GATE_TRANSFER);
    input.from = "NO";
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    assert_int_equal(explained(results, count, "customer.name")->decision.withheld,
                     VAULT_GATE_NONE);
    vault_caller_done(&caller);
}

/* What is stored of somebody with a consent for news, given through the writer's credential. */
static struct kl_id somebody(struct admin_fixture *fixture)
{
    const struct vault_field_input field = {
        .name = "name", .value = {.kind = KL_JSON_TEXT, .text = kl_slice_text("Ann Example")}};
    const struct vault_consent_input consent = {
        .purpose = "news", .notice = "n1", .channel = "form"};
    const struct vault_record_input record = {.type = "customer",
                                              .fields = &field,
                                              .field_count = 1,
                                              .consents = &consent,
                                              .consent_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_token token = admin_make(fixture, "writer", NULL);
    struct vault_caller caller = admin_caller(fixture, &token, NULL);
    struct vault_subject_result result;
    struct kl_err err = {0};

    if (vault_subject_create(fixture->vault, &caller, &input, NULL, fixture->arena, &result,
                             &err) != KL_OK) {
        fail_msg("no subject: %s %s %s", err.code, err.where, err.client_text);
    }
    vault_caller_done(&caller);
    return result.id;
}

static void test_explain_about_somebody_counts_their_consents_and_is_written_down(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_explain_input input = {.role = "reader", .purpose = "news"};
    struct vault_explain_result *results = NULL;
    struct vault_caller caller;
    struct kl_id subject;
    size_t count = 0;

    (void)admin_apply(fixture, admin_policy);
    subject = somebody(fixture);
    caller = admin_steward(fixture);
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    assert_int_equal(explained(results, count, "customer.name")->decision.withheld,
                     VAULT_GATE_CONSENT);
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"explain\""), 0);
    input.subject = &subject;
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    assert_int_equal(explained(results, count, "customer.name")->decision.withheld,
                     VAULT_GATE_NONE);
    vault_caller_done(&caller);
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"explain\""), 1);
}

/* A consent of somebody ends, or begins to count, or another country would see them: a read shows no role that. */
static void test_a_role_asks_of_somebody_here_and_now(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_explain_input input = {.purpose = "news"};
    struct vault_explain_result *results = NULL;
    struct vault_token token;
    struct vault_caller caller;
    struct kl_id subject;
    struct kl_err err = {0};
    size_t count = 77;

    (void)admin_apply(fixture, admin_policy);
    subject = somebody(fixture);
    token = admin_make(fixture, "reader", NULL);
    caller = admin_caller(fixture, &token, NULL);
    input.subject = &subject;
    input.from = "BE";
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, &err),
        KL_ERR_INVALID);
    assert_string_equal(err.code, "subject_here_and_now");
    assert_string_equal(err.where, "/from");
    kl_err_clear(&err);
    input.from = NULL;
    input.at_us = caller.now_us + 1;
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, &err),
        KL_ERR_INVALID);
    assert_string_equal(err.code, "subject_here_and_now");
    assert_string_equal(err.where, "/at");
    assert_int_equal(count, 77);
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"explain\""), 0);
    input.subject = NULL;
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    input.subject = &subject;
    input.at_us = 0;
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    vault_caller_done(&caller);
    caller = admin_steward(fixture);
    input.role = "reader";
    input.from = "BE";
    input.at_us = caller.now_us + 1;
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    vault_caller_done(&caller);
}

static const char two_types[] =
    "policy: shop\n"
    "version: 2024-01-02\n"
    "controller: { name: Shop BV, country: BE, contact: privacy@shop.example }\n"
    "residency: { default: EEA }\n"
    "records:\n"
    "  customer:\n"
    "    fields:\n"
    "      email: { type: email, index: true }\n"
    "      name:  { type: text, mask: initials }\n"
    "    purposes: [service, news]\n"
    "  visitor:\n"
    "    fields: { name: { type: text } }\n"
    "    purposes: [service]\n"
    "purposes:\n"
    "  service: { basis: contract }\n"
    "  news:    { basis: consent }\n"
    "roles:\n"
    "  writer:\n"
    "    - { do: [write], fields: [customer.*] }\n"
    "  porter:\n"
    "    - { do: [read], fields: [visitor.*], for: [service] }\n";

static void test_a_role_learns_of_somebody_only_what_a_read_would_tell(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_explain_input input = {.purpose = "news"};
    struct vault_explain_result *results = NULL;
    struct vault_token token;
    struct vault_caller caller;
    struct kl_err err = {0};
    struct kl_id subject;
    size_t count = 77;

    (void)admin_apply(fixture, two_types);
    subject = somebody(fixture);
    input.subject = &subject;
    token = admin_make(fixture, "porter", NULL);
    caller = admin_caller(fixture, &token, NULL);
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, &err),
        KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "not_found");
    assert_null(results);
    assert_int_equal(count, 77);
    vault_caller_done(&caller);
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"explain\""), 1);
    token = admin_make(fixture, "writer", NULL);
    caller = admin_caller(fixture, &token, NULL);
    assert_int_equal(
        vault_explain(fixture->vault, &caller, &input, fixture->arena, &results, &count, NULL),
        KL_OK);
    assert_int_equal(explained(results, count, "customer.name")->decision.withheld,
                     VAULT_GATE_ROLE);
    assert_false(explained(results, count, "customer.name")->passes[VAULT_GATE_CONSENT]);
    vault_caller_done(&caller);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_explain_names_the_gate_that_says_no),
        OPENED(test_a_role_explains_itself_and_nobody_else),
        OPENED(test_explain_refuses_names_that_are_none),
        OPENED(test_explain_knows_where_one_asks_from),
        OPENED(test_explain_about_somebody_counts_their_consents_and_is_written_down),
        OPENED(test_a_role_asks_of_somebody_here_and_now),
        OPENED(test_a_role_learns_of_somebody_only_what_a_read_would_tell),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
