#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"
#include "vault/index.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <string.h>

static enum kl_status look(struct vault_fixture *fixture, const char *role,
                           struct vault_lookup_input input, const char *value, struct kl_id **ret,
                           size_t *ret_count, char *ret_cursor)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    enum kl_status status = KL_OK;

    input.value.kind = KL_JSON_TEXT;
    input.value.text = kl_slice_text(value);
    kl_err_clear(&fixture->err);
    status = vault_lookup(fixture_vault(fixture), &caller, &input, fixture->arena, ret, ret_count,
                          ret_cursor, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static void test_a_value_is_found_in_any_case_and_only_in_its_field(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "Ana@example.org", false);
    struct kl_id found = {0};

    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "aNA@EXAMPLE.ORG", &found), 1);
    assert_true(kl_id_equal(&found, &made.id));
    assert_int_equal(fixture_lookup(fixture, "client.email", "ana@example.org", NULL), 0);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "anna@example.org", NULL), 0);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"lookup\""), 3);
}

static void test_subjects_that_the_purpose_does_not_reach_are_left_out(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result with = fixture_newsletter(fixture, "ana@example.org", true);
    struct kl_id *found = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    size_t count = 0;

    (void)fixture_newsletter(fixture, "ana@example.org", false);
    assert_int_equal(look(fixture, "reader",
                          (struct vault_lookup_input){
                              .field = "newsletter.email", .purpose = "mailing", .limit = 10},
                          "ana@example.org", &found, &count, cursor),
                     KL_OK);
    assert_int_equal(count, 1);
    assert_true(kl_id_equal(&found[0], &with.id));
    assert_string_equal(cursor, "");
    assert_int_equal(look(fixture, "reader",
                          (struct vault_lookup_input){
                              .field = "newsletter.email", .purpose = "support", .limit = 10},
                          "ana@example.org", &found, &count, cursor),
                     KL_OK);
    assert_int_equal(count, 2);
    /* a role that may look up something else finds nobody by this field */
    assert_int_equal(look(fixture, "clerk",
                          (struct vault_lookup_input){
                              .field = "newsletter.email", .purpose = "service", .limit = 10},
                          "ana@example.org", &found, &count, cursor),
                     KL_OK);
    assert_int_equal(count, 0);
}

static void test_pages_follow_each_other_without_repeats(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_lookup_input input = {
        .field = "newsletter.email", .purpose = "support", .limit = 3};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct kl_id seen[16];
    size_t seen_count = 0;
    struct kl_id *found = NULL;
    size_t count = 0;
    size_t i;
    size_t k;

    for (i = 0; i < 10; i++) {
        (void)fixture_newsletter(fixture, "ana@example.org", false);
    }
    do {
        input.cursor = cursor;
        assert_int_equal(look(fixture, "reader", input, "ana@example.org", &found, &count, cursor),
                         KL_OK);
        assert_true(count <= 3);
        for (i = 0; i < count; i++) {
            for (k = 0; k < seen_count; k++) {
                assert_false(kl_id_equal(&seen[k], &found[i]));
            }
            assert_true(seen_count < 16);
            seen[seen_count++] = found[i];
        }
    } while (cursor[0] != 0);
    assert_int_equal(seen_count, 10);
}

static void test_questions_that_cannot_be_answered_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_lookup_input input = {
        .field = "newsletter.email", .purpose = "support", .limit = 10};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "x";
    struct kl_id *found = NULL;
    size_t count = 77;

    input.limit = 0;
    assert_int_equal(look(fixture, "reader", input, "a@example.org", &found, &count, cursor),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_limit");
    input.limit = VAULT_PAGE_MAX + 1;
    assert_int_equal(look(fixture, "reader", input, "a@example.org", &found, &count, cursor),
                     KL_ERR_INVALID);
    input.limit = 10;
    input.field = "newsletter.first_name";
    assert_int_equal(look(fixture, "reader", input, "Ana", &found, &count, cursor), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "field_not_indexed");
    input.field = "newsletter.shoe";
    assert_int_equal(look(fixture, "reader", input, "44", &found, &count, cursor), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_field");
    input.field = "newsletter.email";
    assert_int_equal(look(fixture, "reader", input, "no address", &found, &count, cursor),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.where, "/value");
    input.cursor = "AAAA";
    assert_int_equal(look(fixture, "reader", input, "a@example.org", &found, &count, cursor),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_cursor");
    input.cursor = NULL;
    input.purpose = NULL;
    assert_int_equal(look(fixture, "reader", input, "a@example.org", &found, &count, cursor),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "purpose_required");
    input.purpose = "support";
    assert_int_equal(look(fixture, "writer", input, "a@example.org", &found, &count, cursor),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"withheld\""), 1);
    assert_int_equal(count, 77);
    assert_null(found);
    assert_string_equal(cursor, "x");
}

/* As after a fault: an entry that says that the subject's newsletter record has that email. */
static void index_wrongly(struct vault_fixture *fixture, const struct vault_subject_result *subject,
                          const char *email)
{
    struct vault *vault = fixture_vault(fixture);
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_batch *batch = vault_batch_new();
    struct vault_index_change change = {.kind = VAULT_INDEX_ADD};
    struct vault_commit commit = {
        .tenant = steward.tenant, .batch = batch, .index = &change, .index_count = 1};

    assert_non_null(batch);
    assert_int_equal(
        vault_subject_slot(vault, steward.tenant, &subject->id, &change.entry.slot, NULL), KL_OK);
    change.entry.discriminator = vault_index_discriminator(&subject->records[0].id, "email");
    assert_int_equal(vault_index_tag(vault->index, steward.tenant, "newsletter.email",
                                     kl_slice_text(email), change.entry.tag, NULL),
                     KL_OK);
    assert_int_equal(vault_commit_submit(vault->committer, &commit, NULL), KL_OK);
    vault_batch_free(batch);
    vault_caller_done(&steward);
}

static void test_an_entry_for_a_value_that_nobody_has_finds_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result has = fixture_newsletter(fixture, "bob@example.org", false);
    struct kl_id found = {0};

    index_wrongly(fixture, &made, "bob@example.org");
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "bob@example.org", &found), 1);
    assert_true(kl_id_equal(&found, &has.id));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", &found), 1);
    assert_true(kl_id_equal(&found, &made.id));
}

/* Change the last byte of every value of the subject. */
static void damage_values(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault *vault = fixture_vault(fixture);
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_batch *batch = vault_batch_new();
    struct vault_row_key from;
    struct vault_row_key until;
    struct kl_slice key;
    struct kl_slice value;
    uint64_t slot = 0;

    assert_non_null(batch);
    assert_int_equal(vault_subject_slot(vault, steward.tenant, subject, &slot, NULL), KL_OK);
    from = vault_row_value(steward.tenant, slot, 0);
    until = vault_row_value(steward.tenant, slot, UINT64_MAX);
    struct vault_iter *iter =
        vault_iter_new(vault->data_store, vault_row_slice(&from), vault_row_slice(&until), false);
    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &value)) {
        struct kl_buf changed;
        kl_buf_init(&changed, VAULT_STORE_VALUE_MAX_BYTES);
        kl_buf_add(&changed, value.bytes, value.size);
        changed.bytes[changed.size - 1] ^= 1;
        vault_batch_put(batch, key, kl_buf_slice(&changed));
        kl_buf_done(&changed);
    }
    vault_iter_free(iter);
    assert_true(vault_batch_count(batch) > 0);
    assert_int_equal(vault_store_apply(vault->data_store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
    vault_caller_done(&steward);
}

static void test_a_value_that_does_not_open_keeps_nobody_from_being_found(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result read = {0};
    struct kl_id found = {0};

    damage_values(fixture, &made.id);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_ERR_CORRUPT);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", &found), 1);
    assert_true(kl_id_equal(&found, &made.id));
}

static void test_who_sees_no_more_than_a_token_finds_nobody(void **state)
{
    static const char *const roles[] = {"token_finder", "present_finder"};
    struct vault_fixture *fixture = *state;
    struct kl_id *found = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    size_t count = 77;
    size_t i;

    fixture_apply_changed(
        fixture, vault_policy_text, "roles:\n",
        "roles:\n"
        "  token_finder:\n"
        "    - { do: [lookup], fields: [\"*\"], for: [support], view: token }\n"
        "  present_finder:\n"
        "    - { do: [lookup], fields: [\"*\"], for: [support], view: present }\n");
    (void)fixture_newsletter(fixture, "ana@example.org", false);
    for (i = 0; i < 2; i++) {
        assert_int_equal(look(fixture, roles[i],
                              (struct vault_lookup_input){
                                  .field = "newsletter.email", .purpose = "support", .limit = 10},
                              "ana@example.org", &found, &count, cursor),
                         KL_OK);
        assert_int_equal(count, 0);
    }
}

static void test_the_trail_says_by_which_line_somebody_was_found_abroad(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_lookup_input input = {
        .field = "newsletter.email", .purpose = "support", .limit = 10};
    struct kl_id *found = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    size_t count = 0;
    struct vault_caller caller;

    fixture_apply_changed(fixture, vault_policy_text, "purposes: [support], view: token }",
                          "purposes: [support], view: masked }");
    (void)fixture_newsletter(fixture, "ana@example.org", false);
    input.value.kind = KL_JSON_TEXT;
    input.value.text = kl_slice_text("ana@example.org");
    caller = fixture_caller_with(fixture, "reader", "US", NULL, NULL);
    assert_int_equal(vault_lookup(fixture_vault(fixture), &caller, &input, fixture->arena, &found,
                                  &count, cursor, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
    assert_int_equal(count, 1);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", NULL), 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"lookup\""), 2);
    assert_int_equal(fixture_trail(fixture, "\"transfers\":[\"standard_clauses"), 1);
}

static void test_the_erased_are_not_found(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result gone = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result stays = fixture_newsletter(fixture, "ana@example.org", false);
    struct kl_id found = {0};

    fixture_erase(fixture, &gone.id);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", &found), 1);
    assert_true(kl_id_equal(&found, &stays.id));
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_value_is_found_in_any_case_and_only_in_its_field),
        TEST(test_subjects_that_the_purpose_does_not_reach_are_left_out),
        TEST(test_pages_follow_each_other_without_repeats),
        TEST(test_questions_that_cannot_be_answered_are_refused),
        TEST(test_an_entry_for_a_value_that_nobody_has_finds_nobody),
        TEST(test_a_value_that_does_not_open_keeps_nobody_from_being_found),
        TEST(test_who_sees_no_more_than_a_token_finds_nobody),
        TEST(test_the_trail_says_by_which_line_somebody_was_found_abroad),
        TEST(test_the_erased_are_not_found),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
