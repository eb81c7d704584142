/* Reviews of the trail: what they cover, by whom, and what none covers. */
#include "kluis/vault/review.h"

#include "kluis/base/json.h"
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include <string.h>

#define TEXT_BYTES ((size_t)4 * 1024 * 1024)

static struct vault_caller auditor(struct vault_fixture *fixture)
{
    struct vault_token token = admin_make(fixture->admin, "auditor", NULL);

    return admin_caller(fixture->admin, &token, NULL);
}

/* As that caller, who stays; ret may be NULL. */
static enum kl_status sign(struct vault_fixture *fixture, const struct vault_caller *caller,
                           struct vault_review_input input, const char *key, struct kl_json **ret)
{
    const struct vault_idempotency idempotency = {.key = key};
    struct kl_buf text;
    bool replayed = false;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    kl_buf_init(&text, TEXT_BYTES);
    status = vault_review_make(fixture_vault(fixture), caller, &input,
                               key == NULL ? NULL : &idempotency, &text, &replayed, &fixture->err);
    assert_true(status == KL_OK || text.size == 0);
    if (status == KL_OK && ret != NULL) {
        assert_int_equal(kl_json_parse(text.bytes, text.size, ret, NULL), KL_OK);
    }
    kl_buf_done(&text);
    return status;
}

static struct kl_json *list(struct vault_fixture *fixture, const struct vault_caller *caller)
{
    struct kl_json *json = NULL;
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(
        vault_review_list(fixture_vault(fixture), caller, 100, NULL, &text, &fixture->err), KL_OK);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    kl_buf_done(&text);
    return json;
}

static int64_t number(const struct kl_json_value *object, const char *key)
{
    int64_t found = -1;

    assert_true(kl_json_int(kl_json_member(object, key), &found));
    return found;
}

/* The unreviewed stretches as from, to, from, to, ... The last "to" is the trail's size, which is left out. */
static size_t gaps(struct vault_fixture *fixture, const struct vault_caller *caller,
                   int64_t ret[16])
{
    struct kl_json *json = list(fixture, caller);
    struct kl_json_iter iter = kl_json_iter(kl_json_member(kl_json_root(json), "unreviewed"));
    const struct kl_json_value *gap = NULL;
    size_t count = 0;

    while (kl_json_next(&iter, NULL, &gap)) {
        ret[count++] = number(gap, "from");
        ret[count++] = number(gap, "to");
    }
    kl_json_free(json);
    return count - 1;
}

static void test_what_no_review_covers_is_known(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = auditor(fixture);
    int64_t seen[16];

    while (fixture_trail(fixture, "\"seq\":") < 20) {
    }
    assert_int_equal(gaps(fixture, &caller, seen), 1);
    assert_int_equal(seen[0], 0);
    assert_int_equal(
        sign(fixture, &caller, (struct vault_review_input){.from = 5, .to = 8}, NULL, NULL), KL_OK);
    assert_int_equal(
        sign(fixture, &caller, (struct vault_review_input){.from = 12, .to = 15}, NULL, NULL),
        KL_OK);
    assert_int_equal(
        sign(fixture, &caller, (struct vault_review_input){.from = 6, .to = 10}, NULL, NULL),
        KL_OK);
    assert_int_equal(
        sign(fixture, &caller, (struct vault_review_input){.from = 6, .to = 7}, NULL, NULL), KL_OK);
    assert_int_equal(gaps(fixture, &caller, seen), 5);
    assert_memory_equal(seen, ((const int64_t[]){0, 5, 10, 12, 15}), 5 * sizeof seen[0]);
    assert_int_equal(
        sign(fixture, &caller, (struct vault_review_input){.from = -1, .to = 11}, NULL, NULL),
        KL_OK);
    assert_int_equal(gaps(fixture, &caller, seen), 3);
    assert_memory_equal(seen, ((const int64_t[]){11, 12, 15}), 3 * sizeof seen[0]);
    vault_caller_done(&caller);
}

static void test_a_review_of_oneself_does_not_count(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = auditor(fixture);
    struct vault_caller steward = admin_steward(fixture->admin);
    struct kl_json *review = NULL;
    int64_t seen[16];

    assert_int_equal(
        sign(fixture, &steward, (struct vault_review_input){.from = 0, .to = 3}, NULL, &review),
        KL_OK);
    assert_true(number(kl_json_root(review), "own_entries") > 0);
    kl_json_free(review);
    assert_int_equal(gaps(fixture, &caller, seen), 1);
    assert_int_equal(seen[0], 0);
    assert_int_equal(
        sign(fixture, &caller, (struct vault_review_input){.from = 0, .to = 3}, NULL, &review),
        KL_OK);
    assert_int_equal(number(kl_json_root(review), "own_entries"), 0);
    kl_json_free(review);
    assert_int_equal(gaps(fixture, &caller, seen), 1);
    assert_int_equal(seen[0], 3);
    vault_caller_done(&caller);
    vault_caller_done(&steward);
}

static void test_looking_at_the_trail_is_no_part_in_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = auditor(fixture);
    struct kl_json *json = list(fixture, &caller);
    struct kl_json *review = NULL;

    kl_json_free(json);
    json = list(fixture, &caller);
    assert_int_equal(
        sign(fixture, &caller,
             (struct vault_review_input){.from = 0, .to = number(kl_json_root(json), "size")}, NULL,
             &review),
        KL_OK);
    assert_int_equal(number(kl_json_root(review), "own_entries"), 0);
    kl_json_free(json);
    kl_json_free(review);
    vault_caller_done(&caller);
}

static void test_it_is_in_the_trail_without_its_note(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = auditor(fixture);
    const int64_t findings[] = {1, 2};
    struct kl_json *json = NULL;
    const struct kl_json_value *review = NULL;
    struct kl_json_iter iter;

    assert_int_equal(sign(fixture, &caller,
                          (struct vault_review_input){.from = 0,
                                                      .to = 3,
                                                      .findings = findings,
                                                      .finding_count = 2,
                                                      .note = "seen at noon"},
                          NULL, NULL),
                     KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"audit_review\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"findings\":[1,2]"), 1);
    assert_int_equal(fixture_trail(fixture, "seen at noon"), 0);
    fixture_reopen(fixture);
    vault_caller_done(&caller);
    caller = auditor(fixture);
    json = list(fixture, &caller);
    iter = kl_json_iter(kl_json_member(kl_json_root(json), "reviews"));
    assert_true(kl_json_next(&iter, NULL, &review));
    assert_string_equal(kl_json_text(kl_json_member(review, "note")), "seen at noon");
    kl_json_free(json);
    vault_caller_done(&caller);
}

static void test_the_same_request_again_signs_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = auditor(fixture);
    struct kl_json *first = NULL;
    struct kl_json *second = NULL;
    const struct vault_review_input input = {.from = 0, .to = 2};

    assert_int_equal(sign(fixture, &caller, input, "key", &first), KL_OK);
    assert_int_equal(sign(fixture, &caller, input, "key", &second), KL_OK);
    assert_string_equal(kl_json_text(kl_json_member(kl_json_root(first), "id")),
                        kl_json_text(kl_json_member(kl_json_root(second), "id")));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"audit_review\""), 1);
    kl_json_free(first);
    kl_json_free(second);
    vault_caller_done(&caller);
}

static void test_what_is_asked_wrongly_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = auditor(fixture);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    static char long_note[VAULT_REVIEW_NOTE_MAX_BYTES + 2];
    static int64_t many[VAULT_REVIEW_FINDINGS_MAX + 1];
    const int64_t outside[] = {2};
    const struct {
        struct vault_review_input input;
        enum kl_status status;
        const char *code;
    } cases[] = {
        {{.from = 0, .to = 1000}, KL_ERR_INVALID, "invalid_range"},
        {{.from = 2, .to = 2}, KL_ERR_INVALID, "invalid_range"},
        {{.from = 0, .to = 2, .findings = outside, .finding_count = 1},
         KL_ERR_INVALID,
         "invalid_finding"},
        {{.from = 0, .to = 2, .findings = many, .finding_count = VAULT_REVIEW_FINDINGS_MAX + 1},
         KL_ERR_TOO_LARGE,
         "too_many_items"},
        {{.from = 0, .to = 2, .note = long_note}, KL_ERR_TOO_LARGE, "value_too_large"},
        {{.from = 0, .to = 2, .note = "sub_0000000000000000000000000A"},
         KL_ERR_INVALID,
         "names_subject"},
    };
    size_t i;

    memset(long_note, 'x', sizeof long_note - 1);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sign(fixture, &caller, cases[i].input, NULL, NULL), cases[i].status);
        assert_string_equal(fixture->err.code, cases[i].code);
    }
    assert_int_equal(
        sign(fixture, &reader, (struct vault_review_input){.from = 0, .to = 2}, NULL, NULL),
        KL_ERR_FORBIDDEN);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"audit_review\""), 1);
    vault_caller_done(&caller);
    vault_caller_done(&reader);
}

/* A row that was moved to where another begins, or cut, is no review. */
static void test_a_row_that_was_tampered_with_is_damage(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = auditor(fixture);
    const struct kl_id lowest = {{0}};
    struct vault_row_key first = vault_row_review(fixture_tenant(fixture), 0, &lowest);
    struct vault_row_key past = vault_row_review(fixture_tenant(fixture), 1000, &lowest);
    struct vault_store *store = fixture_vault(fixture)->data_store;
    struct vault_batch *batch = vault_batch_new();
    struct vault_iter *iter = NULL;
    struct vault_row_key moved;
    struct kl_slice key;
    struct kl_slice row;
    struct kl_id id;
    struct kl_buf text;

    assert_int_equal(
        sign(fixture, &caller, (struct vault_review_input){.from = 0, .to = 2}, NULL, NULL), KL_OK);
    iter = vault_iter_new(store, vault_row_slice(&first), vault_row_slice(&past), false);
    assert_true(vault_iter_next(iter, &key, &row));
    memcpy(id.bytes, key.bytes + 17, KL_ID_BYTES);
    moved = vault_row_review(fixture_tenant(fixture), 1, &id);
    vault_batch_put(batch, vault_row_slice(&moved), row);
    vault_iter_free(iter);
    assert_int_equal(vault_store_apply(store, batch, true, NULL), KL_OK);
    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(
        vault_review_list(fixture_vault(fixture), &caller, 100, NULL, &text, &fixture->err),
        KL_ERR_CORRUPT);
    assert_string_equal(fixture->err.code, "review_damaged");
    kl_buf_done(&text);
    vault_batch_free(batch);
    vault_caller_done(&caller);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_no_review_covers_is_known),
        TEST(test_a_review_of_oneself_does_not_count),
        TEST(test_looking_at_the_trail_is_no_part_in_it),
        TEST(test_it_is_in_the_trail_without_its_note),
        TEST(test_the_same_request_again_signs_once),
        TEST(test_what_is_asked_wrongly_is_refused),
        TEST(test_a_row_that_was_tampered_with_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
