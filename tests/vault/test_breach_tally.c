/* What a credential did, added up from entries. */
#include "vault/breach_tally.h"

#include "tests/support/test.h"
#include "vault/audit_action.h"

#include <stdio.h>
#include <string.h>

#define HEAD "{\"at\":\"2026-03-02T09:15:0%d.000000Z\",\"credential\":\"cred_x\",\"role\":\"r\","

/* Add an entry, the second-th of a minute. */
static void add(struct vault_breach_tally *tally, int second, const char *rest)
{
    struct vault_audit_said said = {0};
    char text[2048];
    int size = snprintf(text, sizeof text, HEAD "%s}", second, rest);

    assert_true(size > 0 && (size_t)size < sizeof text);
    assert_int_equal(vault_audit_read(kl_slice_text(text), &said, NULL), KL_OK);
    assert_true(vault_breach_has_room(tally, said.slot, said.policy));
    assert_int_equal(vault_breach_add(tally, (uint64_t)second, &said, NULL), KL_OK);
    vault_audit_said_done(&said);
}

/* The row of a class whose words start with these (NULL: whatever it is); its number in ret. */
static const struct vault_breach_row *find(const struct vault_breach_tally *tally,
                                           enum vault_breach_class class, const char *a,
                                           const char *b, const char *c, size_t *ret)
{
    size_t count = 0;
    const struct vault_breach_row *rows = vault_breach_rows(tally, &count);
    const char *const words[] = {a, b, c};
    size_t i;
    size_t k;

    for (i = 0; i < count; i++) {
        for (k = 0; k < 3; k++) {
            if (words[k] != NULL && strcmp(rows[i].words[k], words[k]) != 0) {
                break;
            }
        }
        if (rows[i].class == class && k == 3) {
            *ret = i;
            return &rows[i];
        }
    }
    return NULL;
}

static size_t people(const struct vault_breach_tally *tally)
{
    size_t count = 0;

    (void)vault_breach_people(tally, &count);
    return count;
}

static void test_a_read_tells_of_fields_records_and_people(void **state)
{
    struct vault_breach_tally *tally = vault_breach_tally_new(10);
    const struct vault_breach_row *row = NULL;
    size_t records = 0;
    size_t at = 0;

    (void)state;
    add(tally, 1,
        "\"action\":\"read\",\"slot\":7,\"policy\":2,\"purpose\":\"care\",\"recipient\":\"lab\","
        "\"shown\":[{\"type\":\"file\",\"records\":[2,5],\"fields\":{\"name\":\"plain\"},"
        "\"withheld\":{\"notes\":\"role\"}}],\"transfers\":[\"adequate\"],\"result\":\"ok\"");
    add(tally, 3,
        "\"action\":\"read\",\"slot\":7,\"policy\":2,\"purpose\":\"care\",\"recipient\":\"lab\","
        "\"shown\":[{\"type\":\"file\",\"records\":[5],\"fields\":{\"name\":\"plain\"},"
        "\"withheld\":{}}],\"result\":\"ok\"");
    row = find(tally, VAULT_BREACH_ACCESSED, "read", "file.name", "plain", &at);
    assert_non_null(row);
    assert_string_equal(row->words[3], "care");
    assert_string_equal(row->words[4], "lab");
    assert_int_equal(row->people, 1);
    assert_int_equal(row->times, 2);
    assert_int_equal(row->last_us - row->first_us, 2000000);
    assert_true(vault_breach_person_has(row, 0));
    assert_false(vault_breach_person_has(row, 1));
    row = find(tally, VAULT_BREACH_WITHHELD, "read", "file.notes", "role", &at);
    assert_non_null(row);
    assert_false(vault_breach_person_has(row, 0));
    row = find(tally, VAULT_BREACH_BY, "cred_x", "r", NULL, &at);
    assert_non_null(row);
    assert_int_equal(row->people, 1);
    assert_int_equal(row->times, 2);
    row = find(tally, VAULT_BREACH_TRANSFER, "adequate", NULL, NULL, &at);
    assert_non_null(row);
    assert_int_equal(row->people, 1);
    assert_int_equal(people(tally), 1);
    (void)vault_breach_records(tally, &records);
    assert_int_equal(records, 2);
    (void)vault_breach_policies(tally, &at);
    assert_int_equal(at, 1);
    vault_breach_tally_free(tally);
}

static void test_who_was_shown_nothing_is_nobody(void **state)
{
    struct vault_breach_tally *tally = vault_breach_tally_new(10);
    size_t at = 0;

    (void)state;
    add(tally, 1,
        "\"action\":\"read\",\"slot\":7,\"shown\":[{\"type\":\"file\",\"records\":[2],\"fields\":{"
        "},\"withheld\":{\"name\":\"consent\"}}],\"result\":\"ok\"");
    add(tally, 2, "\"action\":\"read\",\"result\":\"refused\",\"reason\":\"not_found\"");
    add(tally, 3,
        "\"action\":\"verify\",\"slot\":8,\"field\":\"file.pin\",\"match\":false,\"result\":"
        "\"ok\"");
    add(tally, 4, "\"action\":\"list\",\"found\":0,\"result\":\"ok\"");
    assert_int_equal(people(tally), 0);
    assert_non_null(find(tally, VAULT_BREACH_WITHHELD, "read", "file.name", "consent", &at));
    assert_non_null(find(tally, VAULT_BREACH_REFUSED, "read", "not_found", NULL, &at));
    assert_non_null(find(tally, VAULT_BREACH_REFUSED, "verify", "no_match", NULL, &at));
    assert_non_null(find(tally, VAULT_BREACH_ACT, "list", NULL, NULL, &at));
    vault_breach_tally_free(tally);
}

static void test_what_was_found_matched_or_lies_beside_counts(void **state)
{
    struct vault_breach_tally *tally = vault_breach_tally_new(10);
    size_t at = 0;

    (void)state;
    add(tally, 1, "\"action\":\"lookup\",\"slot\":1,\"field\":\"file.mail\",\"result\":\"ok\"");
    add(tally, 2,
        "\"action\":\"verify\",\"slot\":2,\"field\":\"file.pin\",\"record\":3,\"match\":true,"
        "\"result\":\"ok\"");
    add(tally, 3, "\"action\":\"consent_list\",\"slot\":3,\"result\":\"ok\"");
    add(tally, 4, "\"action\":\"something_new\",\"slot\":4,\"result\":\"ok\"");
    assert_int_equal(people(tally), 4);
    assert_non_null(find(tally, VAULT_BREACH_ACCESSED, "lookup", "file.mail", "found", &at));
    assert_non_null(find(tally, VAULT_BREACH_ACCESSED, "verify", "file.pin", "matched", &at));
    assert_non_null(find(tally, VAULT_BREACH_ACCESSED, "consent_list", "", "", &at));
    assert_non_null(find(tally, VAULT_BREACH_ACCESSED, "something_new", "", "", &at));
    vault_breach_tally_free(tally);
}

/* Alone in a tally: an entry of that action that names a slot and says nothing else. */
static bool counts_as(const char *action, enum vault_breach_class class, size_t people_expected)
{
    struct vault_breach_tally *tally = vault_breach_tally_new(10);
    char text[256];
    size_t at = 0;
    bool ret = false;

    (void)snprintf(text, sizeof text,
                   "\"action\":\"%s\",\"slot\":7,\"match\":true,\"result\":\"ok\"", action);
    add(tally, 1, text);
    ret = find(tally, class, action, NULL, NULL, &at) != NULL && people(tally) == people_expected;
    vault_breach_tally_free(tally);
    return ret;
}

static void test_every_action_counts_as_what_the_table_says(void **state)
{
    static const enum vault_breach_class classes[] = {[VAULT_AUDIT_SHOWS] = VAULT_BREACH_ACCESSED,
                                                      [VAULT_AUDIT_CHANGES] = VAULT_BREACH_CHANGED,
                                                      [VAULT_AUDIT_RUNS] = VAULT_BREACH_ACT};
    size_t count = 0;
    const struct vault_audit_action *actions = vault_audit_actions(&count);
    size_t i;

    (void)state;
    assert_true(count > 0);
    for (i = 0; i < count; i++) {
        if (!counts_as(actions[i].name, classes[actions[i].effect],
                       actions[i].effect == VAULT_AUDIT_RUNS ? 0 : 1)) {
            fail_msg("%s does not count as what it does", actions[i].name);
        }
    }
}

static void test_changes_are_told_apart_from_reads(void **state)
{
    struct vault_breach_tally *tally = vault_breach_tally_new(10);
    size_t at = 0;

    (void)state;
    add(tally, 1,
        "\"action\":\"patch\",\"slot\":1,\"record\":2,\"type\":\"file\",\"fields\":{\"name\":"
        "\"set\",\"mail\":\"removed\"},\"result\":\"ok\"");
    add(tally, 2,
        "\"action\":\"create\",\"slot\":2,\"fields\":{\"file\":[\"name\"]},\"result\":\"ok\"");
    add(tally, 3,
        "\"action\":\"disclose\",\"slot\":3,\"fields\":[\"file.name\"],\"result\":\"ok\"");
    add(tally, 4, "\"action\":\"erase\",\"slot\":4,\"receipt\":\"er_1\"");
    assert_int_equal(people(tally), 4);
    assert_non_null(find(tally, VAULT_BREACH_CHANGED, "patch", "file.name", "set", &at));
    assert_non_null(find(tally, VAULT_BREACH_CHANGED, "patch", "file.mail", "removed", &at));
    assert_non_null(find(tally, VAULT_BREACH_CHANGED, "create", "file.name", "set", &at));
    assert_non_null(find(tally, VAULT_BREACH_CHANGED, "disclose", "file.name", "noted", &at));
    assert_non_null(find(tally, VAULT_BREACH_CHANGED, "erase", "", "", &at));
    assert_null(find(tally, VAULT_BREACH_ACCESSED, NULL, NULL, NULL, &at));
    vault_breach_tally_free(tally);
}

static void test_credentials_that_it_made_are_named(void **state)
{
    struct vault_breach_tally *tally = vault_breach_tally_new(10);
    const struct vault_breach_row *row = NULL;
    size_t at = 0;

    (void)state;
    add(tally, 1,
        "\"action\":\"credential_create\",\"target\":\"cred_y\",\"target_role\":\"app\",\"slot\":9,"
        "\"expires_at\":\"2027\",\"target_location\":\"BR\",\"result\":\"ok\"");
    add(tally, 2, "\"action\":\"credential_revoke\",\"target\":\"cred_z\",\"result\":\"ok\"");
    row = find(tally, VAULT_BREACH_MADE, "cred_y", "app", "BR", &at);
    assert_non_null(row);
    assert_string_equal(row->words[3], "2027");
    assert_null(find(tally, VAULT_BREACH_MADE, "cred_z", NULL, NULL, &at));
    assert_int_equal(people(tally), 0);
    vault_breach_tally_free(tally);
}

static void test_there_is_room_for_so_many_people_and_policies(void **state)
{
    struct vault_breach_tally *tally = vault_breach_tally_new(2);
    char text[128];
    int i;

    (void)state;
    add(tally, 1, "\"action\":\"consent_list\",\"slot\":1,\"policy\":1,\"result\":\"ok\"");
    add(tally, 2, "\"action\":\"consent_list\",\"slot\":2,\"policy\":2,\"result\":\"ok\"");
    assert_false(vault_breach_has_room(tally, 3, 1));
    assert_true(vault_breach_has_room(tally, 2, 1));
    assert_true(vault_breach_has_room(tally, -1, 1));
    for (i = 3; i <= VAULT_BREACH_POLICIES_MAX; i++) {
        (void)snprintf(text, sizeof text,
                       "\"action\":\"consent_list\",\"slot\":1,\"policy\":%d,\"result\":\"ok\"", i);
        add(tally, 3, text);
    }
    assert_false(vault_breach_has_room(tally, 1, VAULT_BREACH_POLICIES_MAX + 1));
    assert_true(vault_breach_has_room(tally, 1, VAULT_BREACH_POLICIES_MAX));
    assert_true(vault_breach_has_room(tally, 1, 0));
    vault_breach_tally_free(tally);
    vault_breach_tally_free(NULL);
}

static void test_an_export_of_the_tenant_counts_who_has_no_record_too(void **state)
{
    struct vault_breach_tally *tally = vault_breach_tally_new(10);
    size_t at = 0;

    (void)state;
    add(tally, 1,
        "\"action\":\"tenant_export\",\"slot\":7,\"policy\":2,\"shown\":[{\"type\":\"file\","
        "\"records\":[2],\"fields\":{\"name\":\"plain\"}}],\"result\":\"ok\"");
    add(tally, 2,
        "\"action\":\"tenant_export\",\"slot\":8,\"policy\":2,\"beside\":3,\"shown\":[],"
        "\"result\":\"ok\"");
    add(tally, 3,
        "\"action\":\"tenant_export\",\"slot\":9,\"policy\":2,\"shown\":[],\"result\":\"ok\"");
    assert_non_null(find(tally, VAULT_BREACH_ACCESSED, "tenant_export", "file.name", "plain", &at));
    assert_non_null(find(tally, VAULT_BREACH_ACCESSED, "tenant_export", "", "", &at));
    assert_int_equal(people(tally), 2);
    vault_breach_tally_free(tally);
}

static bool is_name(const struct vault_breach_row *row, const void *name)
{
    return row->class == VAULT_BREACH_ACCESSED && strcmp(row->words[1], name) == 0;
}

static bool is_any(const struct vault_breach_row *row, const void *context)
{
    (void)context;
    return vault_breach_tells(row->class);
}

/* More people than a word of bits has, each counted once however many rows tell of them. */
static void test_people_of_several_rows_are_counted_once(void **state)
{
    struct vault_breach_tally *tally = vault_breach_tally_new(VAULT_BREACH_PEOPLE_MAX);
    char text[256];
    size_t counted = 77;
    int i;

    (void)state;
    for (i = 0; i < 200; i++) {
        (void)snprintf(text, sizeof text,
                       "\"action\":\"read\",\"slot\":%d,\"shown\":[{\"type\":\"f\",\"records\":[],"
                       "\"fields\":{\"%s\":\"plain\"},\"withheld\":{}}],\"result\":\"ok\"",
                       i % 130 * 1000, i < 130 ? "name" : "mail");
        add(tally, 1, text);
    }
    assert_int_equal(people(tally), 130);
    assert_int_equal(vault_breach_count(tally, is_name, "f.name", &counted, NULL), KL_OK);
    assert_int_equal(counted, 130);
    assert_int_equal(vault_breach_count(tally, is_name, "f.mail", &counted, NULL), KL_OK);
    assert_int_equal(counted, 70);
    assert_int_equal(vault_breach_count(tally, is_name, "f.none", &counted, NULL), KL_OK);
    assert_int_equal(counted, 0);
    assert_int_equal(vault_breach_count(tally, is_any, NULL, &counted, NULL), KL_OK);
    assert_int_equal(counted, 130);
    vault_breach_tally_free(tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_people_of_several_rows_are_counted_once),
        cmocka_unit_test(test_a_read_tells_of_fields_records_and_people),
        cmocka_unit_test(test_who_was_shown_nothing_is_nobody),
        cmocka_unit_test(test_what_was_found_matched_or_lies_beside_counts),
        cmocka_unit_test(test_every_action_counts_as_what_the_table_says),
        cmocka_unit_test(test_changes_are_told_apart_from_reads),
        cmocka_unit_test(test_credentials_that_it_made_are_named),
        cmocka_unit_test(test_there_is_room_for_so_many_people_and_policies),
        cmocka_unit_test(test_an_export_of_the_tenant_counts_who_has_no_record_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
