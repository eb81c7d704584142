/* From a pseudonym back to the person: for whom it may be, one at a time in the trail, and never after an erasure. */
#include "tests/support/pseudonym_fixture.h"
#include "tests/support/retained_fixture.h"
#include "tests/support/sweep_fixture.h"
#include "tests/support/test.h"
#include "tests/support/values_fixture.h"

#include "vault/pseudonym.h"

#include <string.h>

#define UNKNOWN "tok_0123456789ABCDEFGHJKMNPQRS7ZZZZZZZZZZZZZZZZZZZZZZZZZ"

static void unknown(struct vault_fixture *fixture, struct vault_caller caller,
                    const char *recipient, const char *pseudonym)
{
    struct vault_resolved resolved = {.found = true, .has_record = true, .type = "x", .field = "x"};
    static const struct kl_id none = {{0}};

    assert_int_equal(pseudonym_resolve_as(fixture, caller, recipient, pseudonym, &resolved), KL_OK);
    assert_false(resolved.found);
    assert_true(kl_id_equal(&resolved.subject, &none));
    assert_false(resolved.has_record);
    assert_null(resolved.type);
    assert_null(resolved.field);
}

static void test_each_kind_leads_to_what_it_stands_for(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ann = pseudonym_person(fixture, "ann@mail.example");
    struct vault_resolved resolved;

    (void)pseudonym_person(fixture, "bea@mail.example");
    resolved = pseudonym_resolve(fixture, "cloud",
                                 pseudonym_of(fixture, &ann.id, "cloud", "purchase", "item"));
    assert_true(resolved.found && resolved.has_record);
    assert_true(kl_id_equal(&resolved.subject, &ann.id));
    assert_true(kl_id_equal(&resolved.record, &ann.records[1].id));
    assert_string_equal(resolved.type, "purchase");
    assert_string_equal(resolved.field, "item");
    resolved = pseudonym_resolve(fixture, "cloud",
                                 pseudonym_of(fixture, &ann.id, "cloud", "person", NULL));
    assert_true(kl_id_equal(&resolved.record, &ann.records[0].id));
    assert_null(resolved.field);
    resolved =
        pseudonym_resolve(fixture, "cloud", pseudonym_of(fixture, &ann.id, "cloud", NULL, NULL));
    assert_true(kl_id_equal(&resolved.subject, &ann.id));
    assert_false(resolved.has_record);
    assert_null(resolved.type);
}

static void test_each_is_an_entry_of_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    const char *const pseudonyms[] = {pseudonym_of(fixture, &ann, "cloud", "person", "email"),
                                      UNKNOWN, pseudonym_of(fixture, &ann, "cloud", NULL, NULL),
                                      UNKNOWN};
    const struct vault_resolve_input input = {
        .pseudonyms = pseudonyms, .count = 4, .recipient = "cloud", .purpose = "hosting"};
    struct vault_caller app = fixture_caller(fixture, "app");
    struct vault_resolved resolved[4] = {{0}};

    assert_int_equal(vault_pseudonyms_resolve(fixture_vault(fixture), &app, &input, fixture->arena,
                                              resolved, NULL),
                     KL_OK);
    assert_true(resolved[0].found && !resolved[1].found && resolved[2].found && !resolved[3].found);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"resolve\""), 3);
    assert_int_equal(fixture_trail(fixture,
                                   "\"purpose\":\"hosting\",\"recipient\":\"cloud\",\"field\":"
                                   "\"person.email\",\"result\":\"ok\""),
                     1);
    assert_int_equal(fixture_trail(fixture, "\"not_found\":1"), 1); /* the same one, twice */
    assert_int_equal(fixture_trail(fixture, "tok_"), 0);
    vault_caller_done(&app);
}

static void test_the_trail_says_by_which_line_one_was_resolved_abroad(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    const char *email = pseudonym_of(fixture, &ann, "cloud", "person", "email");
    size_t before = fixture_trail(fixture, "\"transfers\":[\"standard_clauses");
    struct vault_resolved resolved = {.found = false};

    fixture_apply_changed(fixture, pseudonym_policy_text, "view: token }", "view: masked }");
    assert_int_equal(pseudonym_resolve_as(fixture,
                                          fixture_caller_with(fixture, "app", "US", NULL, NULL),
                                          "cloud", email, &resolved),
                     KL_OK);
    assert_true(resolved.found);
    assert_int_equal(fixture_trail(fixture, "\"transfers\":[\"standard_clauses"), before + 1);
}

static void test_anothers_is_unknown(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    const char *cloud = pseudonym_of(fixture, &ann, "cloud", "person", "email");
    struct vault_subject_result read = {0};

    (void)pseudonym_of(fixture, &ann, "archive", "person", "email"); /* who has some as well */
    unknown(fixture, fixture_caller(fixture, "app"), "archive", cloud);
    unknown(fixture, fixture_caller(fixture, "app"), "printer", cloud);
    assert_true(pseudonym_resolve(fixture, "cloud", cloud).found);
    assert_int_equal(fixture_read(fixture, "analyst", &ann, "hosting", &read), KL_OK);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", read.pseudonym);
}

/* The handle of one and the check of another: what somebody makes of two that they have. */
static void test_two_put_together_lead_nowhere(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct kl_id bea = pseudonym_person(fixture, "bea@mail.example").id;
    char mixed[VAULT_PSEUDONYM_TEXT_BYTES];

    memcpy(mixed, pseudonym_of(fixture, &ann, "cloud", NULL, NULL), sizeof mixed);
    memcpy(mixed + 4, pseudonym_of(fixture, &bea, "cloud", NULL, NULL) + 4, KL_ID_DIGITS);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", mixed);
    memcpy(mixed + 4, pseudonym_of(fixture, &ann, "cloud", "person", NULL) + 4, KL_ID_DIGITS);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", mixed);
}

static void test_it_takes_a_lookup_that_is_more_than_a_token(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    const char *email = pseudonym_of(fixture, &ann, "cloud", "person", "email");
    const char *name = pseudonym_of(fixture, &ann, "cloud", "person", "name");
    const char *item = pseudonym_of(fixture, &ann, "cloud", "purchase", NULL);
    const char *id = pseudonym_of(fixture, &ann, "cloud", NULL, NULL);
    struct vault_resolved resolved = {.type = "untouched"};

    assert_int_equal(
        pseudonym_resolve_as(fixture, fixture_caller(fixture, "analyst"), "cloud", id, &resolved),
        KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_string_equal(resolved.type, "untouched");
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"withheld\""), 1);
    unknown(fixture, fixture_caller(fixture, "seer"), "cloud", id);
    unknown(fixture, fixture_caller_with(fixture, "app", "US", NULL, NULL), "cloud", id);
    unknown(fixture, fixture_caller(fixture, "half"), "cloud", email);
    unknown(fixture, fixture_caller(fixture, "half"), "cloud", item);
    assert_int_equal(
        pseudonym_resolve_as(fixture, fixture_caller(fixture, "half"), "cloud", name, &resolved),
        KL_OK);
    assert_true(resolved.found);
    assert_int_equal(
        pseudonym_resolve_as(fixture, fixture_caller(fixture, "half"), "cloud", id, &resolved),
        KL_OK);
    assert_true(resolved.found);
}

static void test_gates_of_the_person_count(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct kl_id bea = pseudonym_person(fixture, "bea@mail.example").id;
    const char *anns = pseudonym_of(fixture, &ann, "cloud", NULL, NULL);
    const char *beas = pseudonym_of(fixture, &bea, "cloud", NULL, NULL);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_resolved resolved = {0};

    unknown(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &ann), "cloud", beas);
    assert_int_equal(pseudonym_resolve_as(fixture,
                                          fixture_caller_with(fixture, "self", NULL, NULL, &ann),
                                          "cloud", anns, &resolved),
                     KL_OK);
    assert_true(resolved.found);
    assert_int_equal(
        vault_restriction_set(fixture_vault(fixture), &dpo, &ann, VAULT_RESTRICTION_UNLAWFUL, NULL),
        KL_OK);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", anns);
    vault_caller_done(&dpo);
}

static void test_a_volume_counts_each(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct kl_id bea = pseudonym_person(fixture, "bea@mail.example").id;
    const char *id = pseudonym_of(fixture, &ann, "cloud", NULL, NULL);
    const char *const pseudonyms[] = {id, UNKNOWN,
                                      pseudonym_of(fixture, &bea, "cloud", NULL, NULL)};
    struct vault_resolve_input input = {
        .pseudonyms = pseudonyms, .count = 3, .recipient = "cloud", .purpose = "hosting"};
    struct vault_caller few = fixture_caller(fixture, "few");
    struct vault_resolved resolved[3] = {{0}};

    assert_int_equal(vault_pseudonyms_resolve(fixture_vault(fixture), &few, &input, fixture->arena,
                                              resolved, NULL),
                     KL_OK);
    memset(resolved, 0, sizeof resolved);
    assert_int_equal(vault_pseudonyms_resolve(fixture_vault(fixture), &few, &input, fixture->arena,
                                              resolved, &fixture->err),
                     KL_ERR_FORBIDDEN); /* one of two */
    assert_string_equal(fixture->err.code, "volume_exceeded");
    assert_true(fixture->err.retry_after_s > 0);
    assert_false(resolved[0].found);
    input.pseudonyms = pseudonyms + 1; /* whoever it is about */
    input.count = 1;
    kl_err_clear(&fixture->err);
    assert_int_equal(vault_pseudonyms_resolve(fixture_vault(fixture), &few, &input, fixture->arena,
                                              resolved, &fixture->err),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "volume_exceeded");
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"volume_exceeded\""), 2);
    vault_caller_done(&few);
}

/* Of a role that may be shown three an hour. */
static void test_the_same_one_is_resolved_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    const char *const one = pseudonym_of(fixture, &ann, "cloud", NULL, NULL);
    const char *const pseudonyms[] = {one, UNKNOWN, one, one, one, UNKNOWN, one};
    const struct vault_resolve_input input = {
        .pseudonyms = pseudonyms, .count = 7, .recipient = "cloud", .purpose = "hosting"};
    struct vault_caller few = fixture_caller(fixture, "few");
    struct vault_resolved resolved[7] = {{0}};
    size_t i;

    assert_int_equal(vault_pseudonyms_resolve(fixture_vault(fixture), &few, &input, fixture->arena,
                                              resolved, NULL),
                     KL_OK);
    for (i = 0; i < 7; i++) {
        assert_int_equal(resolved[i].found, i != 1 && i != 5);
        assert_true(!resolved[i].found || kl_id_equal(&resolved[i].subject, &ann));
    }
    assert_int_equal(fixture_trail(fixture, "\"action\":\"resolve\""), 2);
    vault_caller_done(&few);
}

/* The i-th of tokens that were never given out. */
static const char *made_up(struct vault_fixture *fixture, size_t i)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char text[] = UNKNOWN;
    size_t at;

    for (at = 40; at < 44; at++, i /= 32) {
        text[at] = digits[i % 32];
    }
    return kl_arena_text(fixture->arena, text, sizeof text - 1);
}

static enum kl_status guess(struct vault_fixture *fixture, const struct vault_caller *caller,
                            const char *const *pseudonyms, size_t count)
{
    struct vault_resolved resolved[VAULT_PSEUDONYMS_RESOLVE_MAX] = {{0}};
    const struct vault_resolve_input input = {
        .pseudonyms = pseudonyms, .count = count, .recipient = "cloud", .purpose = "hosting"};

    kl_err_clear(&fixture->err);
    return vault_pseudonyms_resolve(fixture_vault(fixture), caller, &input, fixture->arena,
                                    resolved, &fixture->err);
}

static void test_only_so_many_may_be_unknown(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    const char *known = pseudonym_of(fixture, &ann, "cloud", NULL, NULL);
    struct vault_caller app = fixture_caller(fixture, "app");
    struct vault_caller other = fixture_caller_with(fixture, "app", NULL, NULL, NULL);
    const char *pseudonyms[VAULT_PSEUDONYMS_RESOLVE_MAX];
    size_t done = 0;
    size_t i;

    while (done < VAULT_RESOLVE_MISSES_MAX) {
        for (i = 0; i < VAULT_PSEUDONYMS_RESOLVE_MAX; i++) {
            pseudonyms[i] = made_up(fixture, done++);
        }
        assert_int_equal(guess(fixture, &app, pseudonyms, VAULT_PSEUDONYMS_RESOLVE_MAX), KL_OK);
    }
    assert_int_equal(guess(fixture, &app, &known, 1), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "too_many_attempts");
    assert_true(fixture->err.retry_after_s > 0);
    assert_int_equal(guess(fixture, &other, &known, 1), KL_OK);
    vault_caller_done(&app);
    vault_caller_done(&other);
}

static void test_what_cannot_be_is_refused(void **state)
{
    static const char *many[VAULT_PSEUDONYMS_RESOLVE_MAX + 1];
    static const char *const wrong[] = {UNKNOWN, "sub_0123456789ABCDEFGHJKMNPQRS"};
    const struct {
        struct vault_resolve_input input;
        enum kl_status status;
        const char *code;
        const char *where;
    } cases[] = {
        {{NULL, 0, "cloud", "hosting", VAULT_GROUND_NONE},
         KL_ERR_INVALID,
         "missing_key",
         "/tokens"},
        {{many, VAULT_PSEUDONYMS_RESOLVE_MAX + 1, "cloud", "hosting", VAULT_GROUND_NONE},
         KL_ERR_TOO_LARGE,
         "too_many_items",
         "/tokens"},
        {{wrong, 1, NULL, "hosting", VAULT_GROUND_NONE},
         KL_ERR_INVALID,
         "missing_key",
         "/recipient"},
        {{wrong, 2, "cloud", "hosting", VAULT_GROUND_NONE},
         KL_ERR_INVALID,
         "invalid_token",
         "/tokens/1"},
        {{wrong, 1, "nobody", "hosting", VAULT_GROUND_NONE},
         KL_ERR_INVALID,
         "unknown_recipient",
         ""},
        {{wrong, 1, "cloud", "fun", VAULT_GROUND_NONE}, KL_ERR_INVALID, "unknown_purpose", ""},
        {{wrong, 1, "cloud", NULL, VAULT_GROUND_NONE}, KL_ERR_INVALID, "purpose_required", ""}};
    struct vault_fixture *fixture = *state;
    struct vault_caller app = fixture_caller(fixture, "app");
    struct vault_resolved resolved = {.type = "untouched"};
    size_t i;

    for (i = 0; i <= VAULT_PSEUDONYMS_RESOLVE_MAX; i++) {
        many[i] = UNKNOWN;
    }
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kl_err_clear(&fixture->err);
        assert_int_equal(vault_pseudonyms_resolve(fixture_vault(fixture), &app, &cases[i].input,
                                                  fixture->arena, &resolved, &fixture->err),
                         cases[i].status);
        assert_string_equal(fixture->err.code, cases[i].code);
        assert_string_equal(fixture->err.where, cases[i].where);
        assert_string_equal(resolved.type, "untouched");
    }
    vault_caller_done(&app);
}

/* ---- how long ---- */

static void test_an_erasure_ends_them_all(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct kl_id bea = pseudonym_person(fixture, "bea@mail.example").id;
    const char *anns = pseudonym_of(fixture, &ann, "cloud", NULL, NULL);
    const char *beas = pseudonym_of(fixture, &bea, "cloud", NULL, NULL);

    fixture_erase(fixture, &ann);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", anns);
    assert_true(pseudonym_resolve(fixture, "cloud", beas).found);
    fixture_reopen(fixture);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", anns);
    assert_true(pseudonym_resolve(fixture, "cloud", beas).found);
}

enum { CROWD = 80, ERASED = 20 };

/* Where the index has many buckets, those that only a handle leads to are re-keyed too. */
static void test_an_erasure_leaves_no_handle_in_the_index(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id people[CROWD];
    unsigned char handles[CROWD][VAULT_HANDLE_BYTES];
    unsigned char bytes[VAULT_PSEUDONYM_BYTES];
    struct vault_index_entry entry;
    size_t count = 0;
    size_t i;

    pseudonym_crowd(fixture, people, CROWD);
    for (i = 0; i < CROWD; i++) {
        assert_int_equal(vault_pseudonym_parse(
                             pseudonym_of(fixture, &people[i], "cloud", NULL, NULL), bytes, NULL),
                         KL_OK);
        assert_int_equal(vault_pseudonym_handle(fixture_vault(fixture), fixture_tenant(fixture),
                                                bytes, handles[i], NULL),
                         KL_OK);
    }
    for (i = 0; i < ERASED; i++) {
        fixture_erase(fixture, &people[i]);
    }
    for (i = 0; i < CROWD; i++) {
        assert_int_equal(vault_index_look(fixture_vault(fixture)->index, fixture_tenant(fixture),
                                          VAULT_PSEUDONYM_KIND,
                                          kl_slice_of(handles[i], VAULT_HANDLE_BYTES), 0, 1, &entry,
                                          &count, NULL),
                         KL_OK);
        assert_int_equal(count, i < ERASED ? 0 : 1);
    }
}

static void test_the_erasure_of_a_record_ends_its_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ann = pseudonym_person(fixture, "ann@mail.example");
    const char *gone = pseudonym_of(fixture, &ann.id, "cloud", "purchase", "item");
    const char *stays = pseudonym_of(fixture, &ann.id, "cloud", "person", "email");
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_buf receipt;

    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &ann.id, &ann.records[1].id,
                                        VAULT_ERASE_OTHER, &receipt, NULL),
                     KL_OK);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", gone);
    assert_true(pseudonym_resolve(fixture, "cloud", stays).found);
    kl_buf_done(&receipt);
    vault_caller_done(&dpo);
}

/* The index is built anew from what is stored of each; of what was erased since the copy nothing comes back. */
static void test_an_older_copy_brings_back_those_of_the_living(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct kl_id bea = pseudonym_person(fixture, "bea@mail.example").id;
    const char *anns = pseudonym_of(fixture, &ann, "cloud", "person", "email");
    const char *beas = pseudonym_of(fixture, &bea, "cloud", "person", "email");

    fixture_copy(fixture);
    fixture_erase(fixture, &ann);
    fixture_put_back_data(fixture);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", anns);
    assert_true(pseudonym_resolve(fixture, "cloud", beas).found);
    assert_string_equal(pseudonym_of(fixture, &bea, "cloud", "person", "email"), beas);
}

static void test_a_sweep_and_a_rotation_of_values_leave_them(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id ann = pseudonym_person(fixture, "ann@mail.example").id;
    struct kl_id bea = pseudonym_person(fixture, "bea@mail.example").id;
    const char *anns = pseudonym_of(fixture, &ann, "cloud", "person", "email");
    const char *beas = pseudonym_of(fixture, &bea, "cloud", "person", "email");
    struct vault_job job = {0};

    fixture_erase(fixture, &ann);
    (void)sweep_run(fixture);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", anns);
    assert_true(pseudonym_resolve(fixture, "cloud", beas).found);
    values_rotate(fixture_vault(fixture), fixture_tenant(fixture), &job);
    vault_job_done(&job);
    unknown(fixture, fixture_caller(fixture, "app"), "cloud", anns);
    assert_true(pseudonym_resolve(fixture, "cloud", beas).found);
    assert_string_equal(pseudonym_of(fixture, &bea, "cloud", "person", "email"), beas);
}

/* What a record that is held was known by ends as well, although the record lives on. */
static void test_what_an_erasure_keeps_gets_others(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result ann = pseudonym_person(fixture, "ann@mail.example");
    const struct retained_somebody of = {.subject = ann.id};
    struct vault_caller keeper = fixture_caller(fixture, "keeper");
    struct vault_subject_result before = {0};
    struct vault_record_result after = {0};
    struct vault_hold *holds = NULL;
    struct kl_id receipt;
    size_t count = 0;

    assert_int_equal(fixture_read(fixture, "keeper", &ann.id, "hosting", &before), KL_OK);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &ann.records[0].id, "support", retained_in_days(9)),
        KL_OK);
    assert_int_equal(retained_erase(fixture, &of, &receipt, NULL), 1);
    assert_int_equal(vault_retained_read(fixture_vault(fixture), &keeper, &receipt,
                                         &ann.records[0].id, NULL, fixture->arena, &after, &holds,
                                         &count, &fixture->err),
                     KL_OK);
    assert_string_equal(after.fields[0].name, "email");
    assert_int_equal(after.fields[0].view, VAULT_VIEW_TOKEN);
    assert_false(kl_slice_equal(after.fields[0].value, fixture_find(&before, "email")->value));
    assert_string_not_equal(after.pseudonym, before.records[0].pseudonym);
    vault_caller_done(&keeper);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pseudonym_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_kind_leads_to_what_it_stands_for),
        TEST(test_each_is_an_entry_of_the_trail),
        TEST(test_the_trail_says_by_which_line_one_was_resolved_abroad),
        TEST(test_anothers_is_unknown),
        TEST(test_two_put_together_lead_nowhere),
        TEST(test_it_takes_a_lookup_that_is_more_than_a_token),
        TEST(test_gates_of_the_person_count),
        TEST(test_a_volume_counts_each),
        TEST(test_the_same_one_is_resolved_once),
        TEST(test_only_so_many_may_be_unknown),
        TEST(test_what_cannot_be_is_refused),
        TEST(test_an_erasure_ends_them_all),
        TEST(test_an_erasure_leaves_no_handle_in_the_index),
        TEST(test_the_erasure_of_a_record_ends_its_own),
        TEST(test_a_sweep_and_a_rotation_of_values_leave_them),
        TEST(test_what_an_erasure_keeps_gets_others),
        TEST(test_an_older_copy_brings_back_those_of_the_living),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
