/*
 * That no member of a compiled policy is forgotten where two policies are compared.
 *
 * Every byte of what a policy compiles to, padding aside, is either noticed when it changes, or belongs to a member that is named here with
 * the reason why no answer hangs on it. A member that is added is neither, until somebody decides.
 */
#include "vault/policy_diff_internal.h"

#include "tests/support/test.h"

#include <stddef.h>
#include <string.h>

#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define HAS_CLEAR_PADDING 1
#endif
#endif

/* A member of which a single byte may change unnoticed. */
struct member {
    size_t at;
    size_t size;
    const char *why;
};
#define MEMBER(type, name, why)                                    \
    {                                                              \
        offsetof(type, name), sizeof(((const type *)0)->name), why \
    }
#define SHOWN "shown to people, and asked by no gate"
#define PLACE "where it stands in the file"
#define DERIVED "made from the grants"
#define NUMBERS "names and their numbers are compared as axes"
#define FACT "comes into an answer as what is known of the subject, and every circumstance is asked"
#define NULLNESS "whether there is one is compared, and tested below"
#define TOLD "alerts refuse nothing; policy_diff_alerts.c compares them"
#define PARTS "compared one by one"

static const struct member grant_left[] = {
    MEMBER(struct policy_grant, named, "for warnings: which fields were named rather than starred"),
    MEMBER(struct policy_grant, line, PLACE), MEMBER(struct policy_grant, column, PLACE)};
static const struct member role_left[] = {MEMBER(struct policy_role, name, NUMBERS),
                                          MEMBER(struct policy_role, grant_count, PARTS),
                                          MEMBER(struct policy_role, grants, PARTS),
                                          MEMBER(struct policy_role, by_action, DERIVED),
                                          MEMBER(struct policy_role, by_view, DERIVED),
                                          MEMBER(struct policy_role, by_ground, DERIVED),
                                          MEMBER(struct policy_role, conditional, DERIVED),
                                          MEMBER(struct policy_role, limited, DERIVED),
                                          MEMBER(struct policy_role, by_purpose, DERIVED),
                                          MEMBER(struct policy_role, by_field, DERIVED),
                                          MEMBER(struct policy_role, line, PLACE),
                                          MEMBER(struct policy_role, column, PLACE)};
static const struct member transfer_left[] = {MEMBER(struct policy_transfer, description, SHOWN)};
static const struct member field_left[] = {
    MEMBER(struct vault_policy_field, name, NUMBERS),
    MEMBER(struct vault_policy_field, record, NUMBERS),
    MEMBER(struct vault_policy_field, type, "whether it is a secret is compared, and tested below"),
    MEMBER(struct vault_policy_field, mask, "how masked looks is no other view"),
    MEMBER(struct vault_policy_field, index, "what is found is decided by grants"),
    MEMBER(struct vault_policy_field, category, SHOWN),
    MEMBER(struct vault_policy_field, special, NULLNESS),
    MEMBER(struct vault_policy_field, description, SHOWN)};
static const struct member purpose_left[] = {
    MEMBER(struct policy_purpose, shown.name, NUMBERS),
    MEMBER(struct policy_purpose, shown.notice, FACT),
    MEMBER(struct policy_purpose, shown.retain_event, FACT),
    MEMBER(struct policy_purpose, shown.retain, FACT),
    MEMBER(struct policy_purpose, shown.keeps_nothing, FACT),
    MEMBER(struct policy_purpose, shown.asks_renewal, SHOWN),
    MEMBER(struct policy_purpose, shown.special_ground, NULLNESS),
    MEMBER(struct policy_purpose, shown.law, SHOWN),
    MEMBER(struct policy_purpose, shown.interest, SHOWN),
    MEMBER(struct policy_purpose, shown.automated_decision, SHOWN),
    MEMBER(struct policy_purpose, shown.description, SHOWN),
    MEMBER(struct policy_purpose, of_recipient, "for warnings: it is used"),
    MEMBER(struct policy_purpose, line, PLACE),
    MEMBER(struct policy_purpose, column, PLACE)};
static const struct member recipient_left[] = {
    MEMBER(struct policy_recipient, shown.name, NUMBERS),
    MEMBER(struct policy_recipient, shown.kind, SHOWN),
    MEMBER(struct policy_recipient, shown.contact, SHOWN),
    MEMBER(struct policy_recipient, shown.description, SHOWN)};
static const struct member policy_left[] = {
    MEMBER(struct vault_policy, references, "not of the policy's text"),
    MEMBER(struct vault_policy, arena, "not of the policy's text"),
    MEMBER(struct vault_policy, name, SHOWN),
    MEMBER(struct vault_policy, version, SHOWN),
    MEMBER(struct vault_policy, residency, FACT),
    MEMBER(struct vault_policy, returns_at_any_time, "no role's; compared beside them"),
    MEMBER(struct vault_policy, requests, "how requests are answered is no access to a field"),
    MEMBER(struct vault_policy, controller, SHOWN),
    MEMBER(struct vault_policy, notices, SHOWN),
    MEMBER(struct vault_policy, returns_at_any_time, "it is the steward's, and a line by itself"),
    MEMBER(struct vault_policy, sources, "an export asks it beside the gates"),
    MEMBER(struct vault_policy, statistics, "what is published is of nobody in particular"),
    MEMBER(struct vault_policy, alerts, TOLD),
    MEMBER(struct vault_policy, role_alerts, TOLD),
    MEMBER(struct vault_policy, alert_window_s, TOLD),
    MEMBER(struct vault_policy, audit, "how long the trail is kept is told of beside alerts"),
    MEMBER(struct vault_policy, record_count, NUMBERS),
    MEMBER(struct vault_policy, field_count, NUMBERS),
    MEMBER(struct vault_policy, purpose_count, NUMBERS),
    MEMBER(struct vault_policy, recipient_count, NUMBERS),
    MEMBER(struct vault_policy, transfer_count, PARTS),
    MEMBER(struct vault_policy, role_count, NUMBERS),
    MEMBER(struct vault_policy, records,
           "its purposes are in its fields' own, what else it says is shown to people"),
    MEMBER(struct vault_policy, fields, PARTS),
    MEMBER(struct vault_policy, purposes, PARTS),
    MEMBER(struct vault_policy, recipients, PARTS),
    MEMBER(struct vault_policy, transfers, PARTS),
    MEMBER(struct vault_policy, roles, PARTS),
    MEMBER(struct vault_policy, record_names, NUMBERS),
    MEMBER(struct vault_policy, field_names, NUMBERS),
    MEMBER(struct vault_policy, purpose_names, NUMBERS),
    MEMBER(struct vault_policy, recipient_names, NUMBERS),
    MEMBER(struct vault_policy, role_names, NUMBERS)};

#ifdef HAS_CLEAR_PADDING

static bool is_left(const struct member *left, size_t count, size_t at)
{
    for (size_t i = 0; i < count; i++)
        if (at >= left[i].at && at - left[i].at < left[i].size)
            return true;
    return false;
}

/* Whether a change of one byte is noticed; a and b are structs of the kind. NULL: nothing is compared as a whole. */
typedef bool (*same_of)(const void *a, const void *b);

static bool same_grant(const void *a, const void *b)
{
    return vault_diff_same_grant(a, b);
}
static bool same_transfer(const void *a, const void *b)
{
    return vault_diff_same_transfer(a, b);
}
static bool same_field(const void *a, const void *b)
{
    return vault_diff_same_field(a, b);
}
static bool same_purpose(const void *a, const void *b)
{
    return vault_diff_same_purpose(a, b);
}
static bool same_recipient(const void *a, const void *b)
{
    return vault_diff_same_recipient(a, b, true);
}

#define STRUCT_BYTES_MAX 4096

/* values: 0 where there is padding. Flips each other byte's lowest bit, which is a value of a bool too. */
static void every_byte(const char *kind, const unsigned char *values, size_t size,
                       const struct member *left, size_t count, same_of same)
{
    _Alignas(max_align_t) unsigned char a[STRUCT_BYTES_MAX] = {0};
    _Alignas(max_align_t) unsigned char b[STRUCT_BYTES_MAX] = {0};

    assert_true(size <= STRUCT_BYTES_MAX);
    assert_true(same == NULL || same(a, b));
    for (size_t at = 0; at < size; at++) {
        b[at] ^= 1;
        if (values[at] != 0 && !is_left(left, count, at) && (same == NULL || same(a, b)))
            fail_msg("byte %zu of a %s may change and nobody notices", at, kind);
        b[at] ^= 1;
    }
}

#define CHECK(type, left, same)                                                \
    do {                                                                       \
        type values;                                                           \
        memset(&values, 0xff, sizeof values);                                  \
        __builtin_clear_padding(&values);                                      \
        every_byte(#type, (const unsigned char *)&values, sizeof values, left, \
                   sizeof(left) / sizeof(left)[0], same);                      \
    } while (0)

static void test_every_member_is_compared_or_left_out_for_a_reason(void **state)
{
    (void)state;
    CHECK(struct policy_grant, grant_left, same_grant);
    CHECK(struct policy_transfer, transfer_left, same_transfer);
    CHECK(struct vault_policy_field, field_left, same_field);
    CHECK(struct policy_purpose, purpose_left, same_purpose);
    CHECK(struct policy_recipient, recipient_left, same_recipient);
    CHECK(struct policy_role, role_left, NULL);
    CHECK(struct vault_policy, policy_left, NULL);
}

#else

static void test_every_member_is_compared_or_left_out_for_a_reason(void **state)
{
    (void)state;
    (void)grant_left, (void)role_left, (void)transfer_left, (void)field_left;
    (void)purpose_left, (void)recipient_left, (void)policy_left;
    skip(); /* this compiler does not say where padding is */
}

#endif

static void test_what_is_compared_in_part_is_noticed(void **state)
{
    const struct vault_policy_field plain = {.type = VAULT_TYPE_TEXT};
    const struct vault_policy_field secret = {.type = VAULT_TYPE_SECRET};
    const struct vault_policy_field special = {.type = VAULT_TYPE_TEXT, .special = "health"};
    const struct policy_purpose purpose = {.of_recipient = false};
    const struct policy_purpose grounded = {.shown.special_ground = "health_care"};
    const struct policy_recipient asks = {.shown.consent_purpose = 0};
    const struct policy_recipient needs_none = {.shown.consent_purpose = VAULT_NONE};

    (void)state;
    assert_false(vault_diff_same_field(&plain, &secret));
    assert_false(vault_diff_same_field(&plain, &special));
    assert_false(vault_diff_same_purpose(&purpose, &grounded));
    assert_false(vault_diff_same_recipient(&asks, &asks, false));
    assert_true(vault_diff_same_recipient(&needs_none, &needs_none, false));
}

static void test_a_role_is_its_grants(void **state)
{
    struct policy_grant grants[2] = {{.actions = 1}, {.actions = 2}};
    struct policy_grant others[2] = {{.actions = 1}, {.actions = 2, .volume = 3}};
    const struct policy_role role = {.grant_count = 2, .grants = grants};
    const struct policy_role shorter = {.grant_count = 1, .grants = grants};
    const struct policy_role other = {.grant_count = 2, .grants = others};

    (void)state;
    assert_true(vault_diff_same_role(&role, &role));
    assert_false(vault_diff_same_role(&role, &shorter));
    assert_false(vault_diff_same_role(&role, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_member_is_compared_or_left_out_for_a_reason),
        cmocka_unit_test(test_what_is_compared_in_part_is_noticed),
        cmocka_unit_test(test_a_role_is_its_grants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
