/*
 * Policies: what is found wrong in them, with place and suggestion; their limits; what is in them.
 *
 * Files of tests/fixtures/policies/{good,errors,warnings} end in a comment line for each finding
 * expected: "# error 12:9 unknown_purpose: unknown purpose 'newz', did you mean 'news'?".
 */
#include "tests/vault/policy_fixture.h"

#include "kluis/base/buf.h"

#include <dirent.h>

#define LINE_BYTES 600

static const char minimal[] =
    "policy: example\n"
    "version: v1\n"
    "controller: { name: N, country: BE, contact: c@n.example }\n"
    "records:\n"
    "  person: { purposes: [service], fields: { name: { type: text } } }\n"
    "purposes: { service: { basis: contract } }\n"
    "roles: { reader: [{ do: [read], fields: [person.name], for: "
    "[service] }] }\n";

static struct vault_findings findings;

/* ---- fixtures ---- */

static const char *next_expectation(const char *at, char line[LINE_BYTES])
{
    while (at != NULL && *at != '\0') {
        const char *end = strchr(at, '\n');
        const size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        const char *next = end != NULL ? end + 1 : at + size;
        if (strncmp(at, "# error ", 8) == 0 || strncmp(at, "# warning ", 10) == 0) {
            assert_true(size < LINE_BYTES);
            (void)snprintf(line, LINE_BYTES, "%.*s", (int)size, at);
            return next;
        }
        at = next;
    }
    return NULL;
}

static size_t count_expected_errors(const char *text)
{
    char line[LINE_BYTES];
    size_t count = 0;

    for (const char *at = text; (at = next_expectation(at, line)) != NULL;)
        count += strncmp(line, "# error ", 8) == 0;
    return count;
}

static void compare_findings(const char *path, const char *text)
{
    char line[LINE_BYTES];
    char found[LINE_BYTES];
    const char *at = text;

    for (size_t i = 0; i < findings.count; i++) {
        const struct vault_finding *item = &findings.items[i];
        (void)snprintf(found, sizeof found, "# %s %u:%u %s: %s",
                       item->is_error ? "error" : "warning", item->line, item->column, item->code,
                       item->text);
        at = next_expectation(at, line);
        if (at == NULL)
            fail_msg("%s: found but not expected: %s", path, found);
        if (strcmp(found, line) != 0)
            fail_msg("%s:\n  expected %s\n  found    %s", path, line, found);
    }
    if (next_expectation(at, line) != NULL)
        fail_msg("%s: expected but not found: %s", path, line);
}

static void check_fixture(const char *path)
{
    struct vault_policy *const untouched = (struct vault_policy *)(void *)&findings;
    struct vault_policy *policy = untouched;
    struct kl_err err = {0};
    char *text = policy_file(path);
    const size_t errors = count_expected_errors(text);
    const enum kl_status status = vault_policy_parse(text, strlen(text), &findings, &policy, &err);

    compare_findings(path, text);
    assert_int_equal(findings.errors, errors);
    if (errors == 0) {
        assert_int_equal(status, KL_OK);
        vault_policy_unref(policy);
    } else {
        assert_int_equal(status, KL_ERR_INVALID);
        assert_string_equal(err.code, "invalid_policy");
        assert_ptr_equal(policy, untouched);
    }
    free(text);
}

static void check_folder(const char *folder, size_t at_least)
{
    const char *root = getenv("KLUIS_SOURCE_DIR");
    char path[512];
    const struct dirent *entry;
    size_t count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/tests/fixtures/policies/%s", root != NULL ? root : ".",
                   folder);
    dir = opendir(path);
    if (dir == NULL)
        fail_msg("%s cannot be read; KLUIS_SOURCE_DIR names the source tree", path);
    while ((entry = readdir(dir)) != NULL) {
        if (strstr(entry->d_name, ".yaml") == NULL)
            continue;
        (void)snprintf(path, sizeof path, "tests/fixtures/policies/%s/%s", folder, entry->d_name);
        check_fixture(path);
        count++;
    }
    (void)closedir(dir);
    assert_true(count >= at_least);
}

static void test_good_policies_are_taken(void **state)
{
    (void)state;
    check_folder("good", 2);
}

static void test_each_error_is_found_at_its_place_with_a_suggestion(void **state)
{
    (void)state;
    check_folder("errors", 90);
}

static void test_what_has_no_effect_is_warned_of_and_taken(void **state)
{
    (void)state;
    check_folder("warnings", 10);
}

static void test_the_policy_of_work_smarter_is_taken_without_a_finding(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/scenarios/worksmarter/policy.yaml");

    (void)state;
    assert_string_equal(vault_policy_name(policy), "worksmarter");
    assert_int_equal(vault_policy_residency_default(policy), VAULT_RESIDENCY_EEA);
    assert_int_equal(vault_policy_record_find(policy, "newsletter"), 1);
    vault_policy_unref(policy);
    {
        char *text = policy_file("tests/scenarios/worksmarter/policy.yaml");
        assert_int_equal(vault_policy_parse(text, strlen(text), &findings, &policy, NULL), KL_OK);
        assert_int_equal(findings.count, 0);
        vault_policy_unref(policy);
        free(text);
    }
}

/* ---- errors as a whole ---- */

static void test_the_first_error_is_the_one_returned(void **state)
{
    static const char text[] = "policy: example\nversion: 1\nrecordz: {}\n";
    struct vault_policy *policy = NULL;
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(vault_policy_parse(text, sizeof text - 1, &findings, &policy, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_policy");
    assert_string_equal(err.where, "1:1");
    assert_non_null(strstr(err.client_text, "line 1, column 1: a policy needs the key"));
    assert_null(policy);
}

static void test_an_error_says_line_column_and_suggestion(void **state)
{
    char text[sizeof minimal + 8];
    struct vault_policy *policy = NULL;
    struct kl_err err = {0};
    char *at;

    (void)state;
    memcpy(text, minimal, sizeof minimal);
    at = strstr(text, "[service] }] }");
    assert_non_null(at);
    memcpy(at, "[servise] }] }", 14);
    assert_int_equal(vault_policy_parse(text, strlen(text), &findings, &policy, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.client_text,
                        "line 7, column 62: unknown purpose 'servise', did you mean 'service'?");
    assert_string_equal(err.where, "7:62");
}

static void test_a_policy_that_is_too_large_is_refused(void **state)
{
    const size_t size = VAULT_POLICY_BYTES_MAX + 1;
    char *text = malloc(size);
    struct vault_policy *policy = NULL;
    struct kl_err err = {0};

    (void)state;
    assert_non_null(text);
    memset(text, '#', size);
    assert_int_equal(vault_policy_parse(text, size, &findings, &policy, &err), KL_ERR_TOO_LARGE);
    assert_int_equal(findings.errors, 1);
    assert_null(policy);
    free(text);
}

static void test_an_empty_policy_is_refused(void **state)
{
    struct vault_policy *policy = NULL;

    (void)state;
    assert_int_equal(vault_policy_parse("", 0, &findings, &policy, NULL), KL_ERR_INVALID);
    assert_true(findings.errors > 0);
    assert_null(policy);
}

static void test_no_more_findings_are_kept_than_there_is_room_for(void **state)
{
    struct vault_policy *policy = NULL;
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, 1 << 20);
    kl_buf_add_text(&text, minimal);
    for (int i = 0; i < 3 * VAULT_FINDINGS_MAX; i++)
        kl_buf_addf(&text, "nonsense_%d: x\n", i);
    assert_int_equal(vault_policy_parse(text.bytes, text.size, &findings, &policy, NULL),
                     KL_ERR_INVALID);
    assert_int_equal(findings.count, VAULT_FINDINGS_MAX);
    assert_int_equal(findings.errors, 3 * VAULT_FINDINGS_MAX);
    assert_true(findings.more);
    kl_buf_done(&text);
}

/* ---- limits ---- */

static void add_head(struct kl_buf *text)
{
    kl_buf_add_text(text, "policy: big\nversion: 1\n"
                          "controller: { name: N, country: BE, contact: c@n.example }\n");
}

/* A policy with so many of everything. */
static void add_policy(struct kl_buf *text, int records, int fields, int purposes, int roles,
                       int grants)
{
    add_head(text);
    kl_buf_add_text(text, "purposes:\n");
    for (int i = 0; i < purposes; i++)
        kl_buf_addf(text, "  p%d: { basis: contract }\n", i);
    kl_buf_add_text(text, "records:\n");
    for (int i = 0; i < records; i++) {
        kl_buf_addf(text, "  r%d:\n    purposes: [p0]\n    fields:\n", i);
        for (int field = 0; field < fields; field++)
            kl_buf_addf(text, "      f%d: { type: text }\n", field);
    }
    kl_buf_add_text(text, "roles:\n");
    for (int i = 0; i < roles; i++) {
        kl_buf_addf(text, "  role%d:\n", i);
        for (int grant = 0; grant < grants; grant++)
            kl_buf_add_text(text, "    - { do: [read], fields: [\"*\"], for: [p0] }\n");
    }
}

static enum kl_status parse_big(int records, int fields, int purposes, int roles, int grants,
                                struct vault_policy **ret_policy)
{
    struct kl_buf text;
    enum kl_status status;

    kl_buf_init(&text, 1 << 20);
    add_policy(&text, records, fields, purposes, roles, grants);
    assert_false(text.failed);
    status = vault_policy_parse(text.bytes, text.size, &findings, ret_policy, NULL);
    kl_buf_done(&text);
    return status;
}

static void check_too_many(int records, int fields, int purposes, int roles, int grants)
{
    struct vault_policy *policy = NULL;
    bool found = false;

    assert_int_equal(parse_big(records, fields, purposes, roles, grants, &policy), KL_ERR_INVALID);
    for (size_t i = 0; i < findings.count; i++)
        found = found || strcmp(findings.items[i].code, "too_many") == 0;
    assert_true(found);
    assert_null(policy);
}

static void test_a_policy_at_all_its_limits_works(void **state)
{
    struct vault_policy *policy = NULL;
    struct vault_query query = {.purpose = 0, .credential_purposes = UINT64_MAX};

    (void)state;
    assert_int_equal(parse_big(VAULT_RECORD_TYPES_MAX, VAULT_FIELDS_MAX / VAULT_RECORD_TYPES_MAX,
                               VAULT_PURPOSES_MAX, VAULT_ROLES_MAX, VAULT_GRANTS_MAX, &policy),
                     KL_OK);
    assert_int_equal(vault_policy_field_count(policy), VAULT_FIELDS_MAX);
    query.role = VAULT_ROLES_MAX - 1;
    query.recipient = VAULT_NONE;
    assert_int_equal(vault_policy_decide(policy, &query, NULL, VAULT_FIELDS_MAX - 1).withheld,
                     VAULT_GATE_NONE);
    query.purpose = VAULT_PURPOSES_MAX - 1;
    assert_int_equal(vault_policy_decide(policy, &query, NULL, VAULT_FIELDS_MAX - 1).withheld,
                     VAULT_GATE_ROLE);
    vault_policy_unref(policy);
}

static void test_one_more_than_a_limit_is_refused(void **state)
{
    (void)state;
    check_too_many(VAULT_RECORD_TYPES_MAX + 1, 1, 1, 1, 1);
    check_too_many(2, VAULT_FIELDS_MAX / 2 + 1, 1, 1, 1);
    check_too_many(1, 1, VAULT_PURPOSES_MAX + 1, 1, 1);
    check_too_many(1, 1, 1, VAULT_ROLES_MAX + 1, 1);
    check_too_many(1, 1, 1, 1, VAULT_GRANTS_MAX + 1);
}

/* ---- what is in it ---- */

static void test_what_is_kept_for_statistics(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/fixtures/policies/good/every-word.yaml");
    const struct vault_policy_statistics *statistics = vault_policy_statistics(policy);

    (void)state;
    assert_int_equal(statistics->count, 3);
    assert_int_equal(statistics->items[0].how, VAULT_GENERAL_YEAR);
    assert_string_equal(vault_policy_field(policy, statistics->items[1].field)->name, "i_iban");
    assert_int_equal(statistics->items[2].how, VAULT_GENERAL_COUNT);
    assert_int_equal(statistics->minimum, 25);
    assert_int_equal(statistics->purpose, vault_policy_purpose_find(policy, "p_interest"));
    vault_policy_unref(policy);
    policy = policy_of(minimal);
    statistics = vault_policy_statistics(policy);
    assert_int_equal(statistics->count, 0);
    assert_int_equal(statistics->minimum, VAULT_STATISTICS_MINIMUM);
    assert_int_equal(statistics->purpose, VAULT_NONE);
    vault_policy_unref(policy);
}

static void test_names_lead_to_numbers_and_back(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/fixtures/policies/good/every-word.yaml");
    const struct vault_policy_field *field;
    const struct vault_policy_purpose *purpose;
    const struct vault_policy_recipient *recipient;

    (void)state;
    assert_string_equal(vault_policy_name(policy), "every-word_2");
    assert_string_equal(vault_policy_version(policy), "2026-11-22.1");
    assert_int_equal(vault_policy_residency_default(policy), VAULT_RESIDENCY_NONE);
    assert_int_equal(vault_policy_record_count(policy), 1);
    assert_int_equal(vault_policy_field_count(policy), 21);
    assert_int_equal(vault_policy_purpose_count(policy), 11);
    assert_int_equal(vault_policy_recipient_count(policy), 6);
    assert_int_equal(vault_policy_role_count(policy), 3);

    field = vault_policy_field(policy, policy_field_of(policy, "everything.a_text"));
    assert_string_equal(field->name, "a_text");
    assert_int_equal(field->record, 0);
    assert_int_equal(field->type, VAULT_TYPE_TEXT);
    assert_int_equal(field->mask, VAULT_MASK_INITIALS);
    assert_int_equal(field->index, VAULT_INDEX_UNIQUE);
    assert_string_equal(field->category, "contact");
    assert_null(field->special);
    assert_int_equal(field->purposes, vault_policy_record(policy, 0)->purposes);
    field = vault_policy_field(policy, policy_field_of(policy, "everything.n_health"));
    assert_string_equal(field->special, "health");
    assert_int_equal(field->purposes, UINT64_C(1) << vault_policy_purpose_find(policy, "p_law"));
    field = vault_policy_field(policy, policy_field_of(policy, "everything.b_email"));
    assert_int_equal(field->index, VAULT_INDEX_MANY);

    purpose = vault_policy_purpose(policy, vault_policy_purpose_find(policy, "p_consent"));
    assert_string_equal(purpose->name, "p_consent");
    assert_int_equal(purpose->basis, VAULT_BASIS_CONSENT);
    assert_string_equal(purpose->notice, "web.v2");
    assert_string_equal(purpose->retain_event, "consent");
    assert_int_equal(purpose->retain.months, 12);
    assert_true(purpose->asks_renewal);
    assert_false(purpose->forbidden);
    purpose = vault_policy_purpose(policy, vault_policy_purpose_find(policy, "resale"));
    assert_true(purpose->forbidden);

    recipient = vault_policy_recipient(policy, vault_policy_recipient_find(policy, "ctl"));
    assert_string_equal(recipient->kind, "controller");
    assert_string_equal(recipient->country.code, "US");
    assert_int_equal(recipient->consent_purpose, vault_policy_purpose_find(policy, "p_speaker"));
    assert_string_equal(vault_policy_role_name(policy, 1), "patterns");
    assert_int_equal(vault_policy_role_find(policy, "patterns"), 1);
    assert_string_equal(vault_policy_transfer_name(policy, 4), "standard_clauses");
    vault_policy_unref(policy);
}

static void test_unknown_names_have_no_number(void **state)
{
    struct vault_policy *policy = policy_of(minimal);

    (void)state;
    assert_int_equal(vault_policy_record_find(policy, "people"), VAULT_NONE);
    assert_int_equal(vault_policy_field_find(policy, 0, "person.name"), VAULT_NONE);
    assert_int_equal(vault_policy_purpose_find(policy, ""), VAULT_NONE);
    assert_int_equal(vault_policy_role_find(policy, "operator"), VAULT_NONE);
    assert_int_equal(vault_policy_recipient_find(policy, "anybody"), VAULT_NONE);
    vault_policy_unref(policy);
}

static void test_names_of_words_are_those_of_the_language(void **state)
{
    (void)state;
    assert_string_equal(vault_action_name(VAULT_ACTION_LOOKUP), "lookup");
    assert_string_equal(vault_action_name(VAULT_ACTION_MANAGE_REQUESTS), "manage_requests");
    assert_string_equal(vault_basis_name(VAULT_BASIS_LEGITIMATE_INTEREST), "legitimate_interest");
    assert_string_equal(vault_view_name(VAULT_VIEW_PRESENT), "present");
    assert_string_equal(vault_gate_name(VAULT_GATE_ROLE), "role");
    assert_string_equal(vault_gate_name(VAULT_GATE_TRANSFER), "transfer");
}

static void test_a_policy_lives_as_long_as_its_last_reference(void **state)
{
    struct vault_policy *policy = policy_of(minimal);

    (void)state;
    assert_ptr_equal(vault_policy_ref(policy), policy);
    vault_policy_unref(policy);
    assert_string_equal(vault_policy_name(policy), "example");
    vault_policy_unref(policy);
    vault_policy_unref(NULL);
}

static void test_a_policy_applied_before_compiles_though_its_tests_fail_by_now(void **state)
{
    struct vault_policy *policy = NULL;
    struct kl_err err = {0};
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, 1 << 16);
    kl_buf_add_text(&text, minimal);
    kl_buf_add_text(&text, "tests: [{ role: reader, reads: person.name, for: service, from: GB, "
                           "expect: plain }]\n");
    assert_int_equal(vault_policy_parse(text.bytes, text.size, &findings, &policy, NULL),
                     KL_ERR_INVALID);
    assert_string_equal(findings.items[0].code, "test_failed");
    assert_int_equal(vault_policy_compile(text.bytes, text.size, &policy, NULL), KL_OK);
    assert_string_equal(vault_policy_name(policy), "example");
    vault_policy_unref(policy);
    policy = NULL;
    kl_buf_add_text(&text, "nonsense: 1\n");
    assert_int_equal(vault_policy_compile(text.bytes, text.size, &policy, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_policy");
    assert_null(policy);
    kl_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_policies_are_taken),
        cmocka_unit_test(test_each_error_is_found_at_its_place_with_a_suggestion),
        cmocka_unit_test(test_what_has_no_effect_is_warned_of_and_taken),
        cmocka_unit_test(test_the_policy_of_work_smarter_is_taken_without_a_finding),
        cmocka_unit_test(test_the_first_error_is_the_one_returned),
        cmocka_unit_test(test_an_error_says_line_column_and_suggestion),
        cmocka_unit_test(test_a_policy_that_is_too_large_is_refused),
        cmocka_unit_test(test_an_empty_policy_is_refused),
        cmocka_unit_test(test_no_more_findings_are_kept_than_there_is_room_for),
        cmocka_unit_test(test_a_policy_at_all_its_limits_works),
        cmocka_unit_test(test_one_more_than_a_limit_is_refused),
        cmocka_unit_test(test_what_is_kept_for_statistics),
        cmocka_unit_test(test_names_lead_to_numbers_and_back),
        cmocka_unit_test(test_unknown_names_have_no_number),
        cmocka_unit_test(test_names_of_words_are_those_of_the_language),
        cmocka_unit_test(test_a_policy_lives_as_long_as_its_last_reference),
        cmocka_unit_test(test_a_policy_applied_before_compiles_though_its_tests_fail_by_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
