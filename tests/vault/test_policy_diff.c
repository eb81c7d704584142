/* What one policy allows that another does not. */
#include "kluis/vault/policy_diff.h"
#include "tests/support/test.h"
#include "tests/vault/policy_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_US INT64_C(1767225600000000) /* 2026-01-01 */
#define TEXT_BYTES_MAX (1024 * 1024)

static struct vault_diff *diff_of(struct vault_policy *before, struct vault_policy *after)
{
    struct vault_diff *diff = NULL;

    assert_int_equal(vault_diff_new(before, after, NOW_US, &diff, NULL), KL_OK);
    assert_non_null(diff);
    return diff;
}

/* All lines as one text, an end of line behind each; the caller ends ret. */
static void text_of(const struct vault_diff *diff, struct kl_buf *ret)
{
    kl_buf_init(ret, TEXT_BYTES_MAX);
    for (size_t i = 0; i < vault_diff_count(diff); i++) {
        vault_diff_line_text(vault_diff_line(diff, i), ret);
        kl_buf_add_text(ret, "\n");
    }
    kl_buf_add_text(ret, "");
    assert_false(ret->failed);
}

static void expect_diff(const char *before, const char *after, const char *expected)
{
    struct vault_policy *old = before == NULL ? NULL : policy_of(before);
    struct vault_policy *new = policy_of(after);
    struct vault_diff *diff = diff_of(old, new);
    struct kl_buf text;

    text_of(diff, &text);
    assert_true(vault_diff_is_complete(diff));
    assert_string_equal(text.size == 0 ? "" : (const char *)text.bytes, expected);
    kl_buf_done(&text);
    vault_diff_free(diff);
    vault_policy_unref(old);
    vault_policy_unref(new);
}

#define HEAD         \
    "policy: shop\n" \
    "version: 1\n"   \
    "controller: { name: Shop BV, country: BE, contact: privacy@shop.example }\n"
#define RECORDS                                                                               \
    "records:\n"                                                                              \
    "  customer: { fields: { email: { type: email, index: true }, name: { type: text, mask: " \
    "initials }, "                                                                            \
    "notes: { type: text } }, purposes: [service, news] }\n"                                  \
    "  visitor: { fields: { name: { type: text } }, purposes: [service] }\n"
#define PURPOSES "purposes: { service: { basis: contract }, news: { basis: consent } }\n"
#define BASE                            \
    HEAD RECORDS PURPOSES "roles:\n"    \
                          "  reader:\n" \
                          "    - { do: [read], fields: [customer.name], for: [service] }\n"

static void test_the_same_policy_twice_is_no_difference(void **state)
{
    (void)state;
    expect_diff(BASE, BASE, "");
}

static void test_a_grant_is_said_with_the_fields_that_change_alike(void **state)
{
    (void)state;
    expect_diff(BASE, BASE "    - { do: [read], fields: [customer.*], for: [service] }\n",
                "+ reader: read customer.email, customer.notes for service: withheld role -> plain "
                "(home, EEA)\n");
    expect_diff(BASE, BASE "    - { do: [read, export], fields: [customer.*], for: [news] }\n",
                "+ reader: read, export customer.* for news: withheld role -> plain (home, EEA; "
                "with consent or with explicit consent)\n");
    expect_diff(BASE, BASE "  writer:\n    - { do: [write], fields: [\"*\"] }\n",
                "+ writer: write *: withheld role -> allowed (everywhere)\n");
}

static void test_a_stricter_view_withholds_and_a_wider_one_allows(void **state)
{
    const char *masked = HEAD RECORDS PURPOSES
        "roles:\n"
        "  reader:\n"
        "    - { do: [read], fields: [customer.name], for: [service], view: masked }\n";

    (void)state;
    expect_diff(BASE, masked,
                "- reader: read customer.name for service: plain -> masked (home, EEA)\n");
    expect_diff(masked, BASE,
                "+ reader: read customer.name for service: masked -> plain (home, EEA)\n");
}

static void test_a_basis_changes_the_answer_for_whom_it_asks(void **state)
{
    const char *consent =
        HEAD RECORDS "purposes: { service: { basis: consent }, news: { basis: consent } }\n"
                     "roles:\n"
                     "  reader:\n"
                     "    - { do: [read], fields: [customer.name], for: [service] }\n";

    (void)state;
    expect_diff(BASE, consent,
                "- reader: read customer.name for service: plain -> withheld consent (home, EEA; "
                "without consent)\n");
}

static void test_places_are_told_apart_as_the_policies_do(void **state)
{
    const char *to_us = HEAD RECORDS PURPOSES
        "residency: { transfers: [{ to: [US], mechanism: standard_clauses, view: token }] }\n"
        "roles:\n"
        "  reader:\n"
        "    - { do: [read], fields: [customer.name], for: [service] }\n";

    (void)state;
    expect_diff(BASE, to_us,
                "+ reader: read customer.name for service: withheld transfer -> token (US)\n");
}

static void test_hours_own_data_and_volumes_are_told(void **state)
{
    (void)state;
    expect_diff(
        BASE,
        BASE "    - { do: [read], fields: [customer.email], for: [service], when: { hours: "
             "\"08:00-18:00 +01:00\" } }\n",
        "+ reader: read customer.email for service: withheld role -> plain (home, EEA; 07:00-17:00 "
        "UTC)\n");
    expect_diff(BASE,
                BASE "    - { do: [read], fields: [visitor.name], for: [service], when: { "
                     "own_subject: true } }\n",
                "+ reader: read visitor.name for service: withheld role -> plain (home, EEA; of "
                "themselves)\n");
    expect_diff(BASE "    - { do: [read], fields: [visitor.name], for: [service], when: { "
                     "volume_per_hour: 10 } }\n",
                BASE "    - { do: [read], fields: [visitor.name], for: [service], when: { "
                     "volume_per_hour: 100 } }\n",
                "+ reader: read visitor.name for service: plain, 10 an hour -> plain, 100 an hour "
                "(home, EEA)\n");
}

static void test_a_ground_that_may_be_claimed_is_told(void **state)
{
    (void)state;
    expect_diff(BASE,
                HEAD RECORDS PURPOSES
                "roles:\n"
                "  reader:\n"
                "    - { do: [read], fields: [customer.name], for: [service], grounds: "
                "[legal_claim] }\n",
                "+ reader: read customer.name for service: withheld restriction -> plain (home, "
                "EEA; restricted, claiming legal_claim)\n");
}

static void test_a_recipient_has_lines_where_its_answer_differs(void **state)
{
    (void)state;
    expect_diff(
        BASE "recipients: { speaker: { kind: controller, country: BE, purposes: [news] } }\n",
        BASE "recipients: { speaker: { kind: controller, country: BE, purposes: [service] } }\n",
        "+ reader: read customer.name for service to speaker: withheld purpose -> plain "
        "(home, EEA)\n");
}

static void test_without_a_policy_before_all_that_is_allowed_is_new(void **state)
{
    (void)state;
    expect_diff(NULL, BASE,
                "+ reader: read customer.name for service: withheld role -> plain (home, EEA)\n");
}

static void test_extents_count_answers_roles_and_fields(void **state)
{
    struct vault_policy *before = policy_of(BASE);
    struct vault_policy *after = policy_of(
        BASE "    - { do: [read], fields: [customer.*], for: [service, news] }\n"
             "  second:\n    - { do: [lookup], fields: [customer.email], for: [service] }\n");
    struct vault_diff *diff = diff_of(before, after);
    struct vault_diff_extent allows = vault_diff_extent(diff, true);
    struct vault_diff_extent withholds = vault_diff_extent(diff, false);

    (void)state;
    assert_int_equal(allows.answers, 6); /* two fields for service, three for news, one lookup */
    assert_int_equal(allows.roles, 2);
    assert_int_equal(allows.fields, 3);
    assert_int_equal(withholds.answers, 0);
    assert_int_equal(withholds.roles, 0);
    vault_diff_free(diff);
    vault_policy_unref(before);
    vault_policy_unref(after);
}

/* ---- what holds for any two policies ---- */

static const char *const files[] = {"tests/fixtures/policies/good/conditions.yaml",
                                    "tests/fixtures/policies/good/design-example.yaml",
                                    "tests/fixtures/policies/good/every-word.yaml",
                                    "tests/fixtures/policies/warnings/wider-grant-useless.yaml",
                                    "tests/scenarios/worksmarter/policy.yaml",
                                    "tests/scenarios/we-are/policy.yaml"};
#define FILES (sizeof files / sizeof files[0])

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The words of a text in the order of the alphabet: lists have the order of the first policy. */
static char *words_sorted(const char *text)
{
    char *copy = strdup(text);
    char *sorted = calloc(1, strlen(text) + 2);
    char **words = calloc(strlen(text) + 1, sizeof words[0]);
    size_t count = 0;

    assert_true(copy != NULL && sorted != NULL && words != NULL);
    for (char *word = strtok(copy, " ,:"); word != NULL; word = strtok(NULL, " ,:"))
        words[count++] = word;
    qsort(words, count, sizeof words[0], compare_words);
    for (size_t i = 0; i < count; i++) {
        strcat(sorted, words[i]);
        strcat(sorted, " ");
    }
    free(words);
    free(copy);
    return sorted;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The texts of all lines, turned round: what it allows as what it withholds and the other way; sorted. */
static char **turned(const struct vault_diff *diff, bool turn)
{
    char **texts = calloc(vault_diff_count(diff) + 1, sizeof texts[0]);

    assert_non_null(texts);
    for (size_t i = 0; i < vault_diff_count(diff); i++) {
        struct vault_diff_line line = *vault_diff_line(diff, i);
        struct kl_buf text;

        if (turn) {
            line.allows = !line.allows;
            line.was = vault_diff_line(diff, i)->now;
            line.now = vault_diff_line(diff, i)->was;
        }
        kl_buf_init(&text, TEXT_BYTES_MAX);
        vault_diff_line_text(&line, &text);
        assert_false(text.failed);
        texts[i] = words_sorted((const char *)text.bytes);
        kl_buf_done(&text);
    }
    qsort(texts, vault_diff_count(diff), sizeof texts[0], compare_texts);
    return texts;
}

static void texts_free(char **texts)
{
    for (size_t i = 0; texts[i] != NULL; i++)
        free(texts[i]);
    free(texts);
}

static void expect_extent(struct vault_diff_extent a, struct vault_diff_extent b)
{
    assert_int_equal(a.answers, b.answers);
    assert_int_equal(a.roles, b.roles);
    assert_int_equal(a.fields, b.fields);
}

static void test_what_is_newly_allowed_one_way_is_newly_withheld_the_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < FILES; i++)
        for (size_t j = 0; j < FILES; j++) {
            struct vault_policy *a = policy_of_file(files[i]);
            struct vault_policy *b = policy_of_file(files[j]);
            struct vault_diff *there = diff_of(a, b);
            struct vault_diff *back = diff_of(b, a);
            char **there_texts = turned(there, false);
            char **back_texts = turned(back, true);

            assert_int_equal(vault_diff_count(there) > 0, i != j);
            assert_int_equal(vault_diff_count(there), vault_diff_count(back));
            for (size_t k = 0; k < vault_diff_count(there); k++)
                assert_string_equal(there_texts[k], back_texts[k]);
            expect_extent(vault_diff_extent(there, true), vault_diff_extent(back, false));
            expect_extent(vault_diff_extent(there, false), vault_diff_extent(back, true));
            texts_free(there_texts);
            texts_free(back_texts);
            vault_diff_free(there);
            vault_diff_free(back);
            vault_policy_unref(a);
            vault_policy_unref(b);
        }
}

/* The text with a purpose more before all others, which nothing is kept for: numbers change, and no answer does. */
static struct vault_policy *with_other_numbers(const char *text)
{
    static const char section[] = "\npurposes:\n";
    static const char more[] = "  unused_one: { basis: contract }\n";
    const char *at = strstr(text, section);
    char *copy = calloc(1, strlen(text) + sizeof more);
    struct vault_policy *policy;

    assert_true(at != NULL && copy != NULL);
    at += strlen(section);
    memcpy(copy, text, (size_t)(at - text));
    strcat(copy, more);
    strcat(copy, at);
    policy = policy_of(copy);
    free(copy);
    return policy;
}

/* The same for another basis throughout, in place, and without its tests. */
static struct vault_policy *with_consent(const char *text)
{
    static const char from[] = "basis: contract";
    char *copy = strdup(text);
    char *tests;
    struct vault_policy *policy;

    assert_non_null(copy);
    for (char *at = strstr(copy, from); at != NULL; at = strstr(at, from))
        memcpy(at, "basis: consent ", strlen(from));
    tests = strstr(copy, "\ntests:");
    if (tests != NULL)
        *tests = '\0';
    policy = policy_of(copy);
    free(copy);
    return policy;
}

static void test_what_is_not_asked_as_nothing_differs_would_have_said_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < FILES; i++) {
        char *text = policy_file(files[i]);
        struct vault_policy *policy = policy_of(text);
        struct vault_policy *renumbered = with_other_numbers(text);
        struct vault_policy *changed = with_consent(text);
        struct vault_diff *none = diff_of(policy, renumbered);
        struct vault_diff *quick = diff_of(policy, changed);
        struct vault_diff *slow = diff_of(renumbered, changed);
        char **quick_texts = turned(quick, false);
        char **slow_texts = turned(slow, false);

        assert_int_equal(vault_diff_count(none), 0);
        assert_int_not_equal(vault_diff_count(quick), 0);
        assert_int_equal(vault_diff_count(quick), vault_diff_count(slow));
        for (size_t k = 0; k < vault_diff_count(quick); k++)
            assert_string_equal(quick_texts[k], slow_texts[k]);
        texts_free(quick_texts);
        texts_free(slow_texts);
        vault_diff_free(none);
        vault_diff_free(quick);
        vault_diff_free(slow);
        vault_policy_unref(policy);
        vault_policy_unref(renumbered);
        vault_policy_unref(changed);
        free(text);
    }
}

static void test_what_the_steward_may_take_along_is_a_line_of_its_own(void **state)
{
    static const char at_end[] = HEAD RECORDS PURPOSES "roles: {}\n";
    static const char before[] = HEAD "return_of_data: at_end\n" RECORDS PURPOSES "roles: {}\n";
    static const char any_time[] =
        HEAD "return_of_data: at_any_time\n" RECORDS PURPOSES "roles: {}\n";

    (void)state;
    expect_diff(at_end, before, "");
    expect_diff(before, any_time, "+ steward: export *: withheld role -> plain (everywhere)\n");
    expect_diff(any_time, at_end, "- steward: export *: plain -> withheld role (everywhere)\n");
    expect_diff(NULL, any_time, "+ steward: export *: withheld role -> plain (everywhere)\n");
}

/* ---- alerts ---- */

static void expect_alerts(const char *before, const char *after, const char *expected)
{
    struct vault_policy *old = before == NULL ? NULL : policy_of(before);
    struct vault_policy *new = policy_of(after);
    struct vault_diff *diff = diff_of(old, new);
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES_MAX);
    for (size_t i = 0; i < vault_diff_alert_count(diff); i++) {
        const struct vault_diff_alert *alert = vault_diff_alert(diff, i);

        kl_buf_addf(&text, "%s %s: %s -> %s\n", alert->role == NULL ? "all" : alert->role,
                    alert->alert, alert->was, alert->now);
    }
    assert_string_equal(text.size == 0 ? "" : (const char *)text.bytes, expected);
    kl_buf_done(&text);
    vault_diff_free(diff);
    vault_policy_unref(old);
    vault_policy_unref(new);
}

#define TWO_ROLES                                                      \
    "roles:\n"                                                         \
    "  desk: [{ do: [read], fields: [customer.*], for: [service] }]\n" \
    "  mailer: [{ do: [read], fields: [customer.email], for: [news] }]\n"
#define POLICY HEAD RECORDS PURPOSES TWO_ROLES

static void test_what_is_told_of_is_compared_too(void **state)
{
    (void)state;
    expect_alerts(POLICY, POLICY, "");
    expect_alerts(NULL, POLICY, "");
    expect_alerts(POLICY, POLICY "alerts: { volume: { bulk: 500, per_hour: 1000 } }\n", "");
    expect_alerts(POLICY, POLICY "alerts: { volume: off, window: PT2H }\n",
                  "all volume: 500 at once, 1000 an hour -> off\n"
                  "all window: PT3600S -> PT7200S\n");
    expect_alerts(POLICY "alerts: { hours: 08:00-18:00 UTC, roles: { desk: { volume: { bulk: 9, "
                         "per_hour: 9 } } } }\n",
                  POLICY "alerts: { hours: 08:00-18:00 UTC, days: weekdays, roles: { mailer: { "
                         "hours: off } } }\n",
                  "desk volume: 9 at once, 9 an hour -> 500 at once, 1000 an hour\n"
                  "all hours: 08:00-18:00 UTC -> 08:00-18:00 UTC, weekdays\n"
                  "mailer hours: 08:00-18:00 UTC -> any\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_policy_twice_is_no_difference),
        cmocka_unit_test(test_a_grant_is_said_with_the_fields_that_change_alike),
        cmocka_unit_test(test_a_stricter_view_withholds_and_a_wider_one_allows),
        cmocka_unit_test(test_a_basis_changes_the_answer_for_whom_it_asks),
        cmocka_unit_test(test_places_are_told_apart_as_the_policies_do),
        cmocka_unit_test(test_hours_own_data_and_volumes_are_told),
        cmocka_unit_test(test_a_ground_that_may_be_claimed_is_told),
        cmocka_unit_test(test_a_recipient_has_lines_where_its_answer_differs),
        cmocka_unit_test(test_without_a_policy_before_all_that_is_allowed_is_new),
        cmocka_unit_test(test_extents_count_answers_roles_and_fields),
        cmocka_unit_test(test_what_is_newly_allowed_one_way_is_newly_withheld_the_other),
        cmocka_unit_test(test_what_is_not_asked_as_nothing_differs_would_have_said_nothing),
        cmocka_unit_test(test_what_the_steward_may_take_along_is_a_line_of_its_own),
        cmocka_unit_test(test_what_is_told_of_is_compared_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
