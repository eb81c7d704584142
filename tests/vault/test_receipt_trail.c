/* What is handed out with a receipt proves it, to base's check of receipts, which knows nothing of a vault. */
#include "tests/support/vault_fixture.h"

#include "kluis/base/receipt.h"
#include "tests/support/test.h"
#include "vault/mirrors.h"
#include "vault/receipt.h"
#include "vault/rows.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES VAULT_RECEIPT_ANSWER_MAX_BYTES

/* Erase somebody: the answer, and the receipt's id. */
static struct kl_buf erased(struct vault_fixture *fixture, struct kl_id *ret_receipt)
{
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct kl_json *json = NULL;
    struct kl_buf answer;

    kl_buf_init(&answer, ANSWER_BYTES);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &made.id, VAULT_ERASE_REQUEST, &answer),
                     KL_OK);
    assert_int_equal(kl_json_parse(answer.bytes, answer.size, &json, NULL), KL_OK);
    assert_int_equal(kl_id_parse("er", kl_json_text(kl_json_member(kl_json_root(json), "receipt")),
                                 ret_receipt, NULL),
                     KL_OK);
    kl_json_free(json);
    return answer;
}

static struct kl_buf handed_out(struct vault_fixture *fixture, const struct kl_id *receipt)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_buf text;

    kl_buf_init(&text, ANSWER_BYTES);
    assert_int_equal(vault_receipt_read(fixture_vault(fixture), &dpo, receipt, &text, NULL), KL_OK);
    vault_caller_done(&dpo);
    return text;
}

/* The state of the check of that code; -1: there is none. By the tenant's key of today. */
static int state_of(struct vault_fixture *fixture, const struct kl_buf *text, const char *code,
                    bool *ret_holds)
{
    struct kl_receipt_checks *checks = calloc(1, sizeof *checks);
    int found = -1;
    struct kl_receipt_trust trust = {0};
    struct kl_receipt *receipt = NULL;
    struct vault_signer signer;
    size_t i;

    assert_non_null(checks);
    assert_int_equal(
        vault_signer_get(fixture_vault(fixture)->keys, fixture_tenant(fixture), &signer, NULL),
        KL_OK);
    memcpy(trust.key, signer.public_key, sizeof trust.key);
    assert_int_equal(kl_receipt_read(text->bytes, text->size, &receipt, NULL), KL_OK);
    assert_int_equal(kl_receipt_check(receipt, &trust, checks, NULL), KL_OK);
    for (i = 0; i < checks->count; i++) {
        if (strcmp(checks->items[i].code, code) == 0) {
            found = (int)checks->items[i].state;
        }
    }
    *ret_holds = kl_receipt_holds(checks);
    kl_receipt_free(receipt);
    free(checks);
    return found;
}

static void test_the_answer_and_what_is_handed_out_later_prove_themselves(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id receipt;
    struct kl_buf answer = erased(fixture, &receipt);
    struct kl_buf later;
    bool holds = false;

    assert_int_equal(state_of(fixture, &answer, "inclusion", &holds), KL_RECEIPT_HOLDS);
    assert_true(holds);
    assert_int_equal(state_of(fixture, &answer, "person", &holds), KL_RECEIPT_HOLDS);
    fixture_reopen(fixture);
    later = handed_out(fixture, &receipt);
    assert_int_equal(state_of(fixture, &later, "entry", &holds), KL_RECEIPT_HOLDS);
    assert_true(holds);
    assert_int_equal(state_of(fixture, &later, "person", &holds), KL_RECEIPT_OPEN);
    kl_buf_done(&answer);
    kl_buf_done(&later);
}

static void remove_row(struct vault_fixture *fixture, const struct vault_row_key *key)
{
    struct vault_batch *batch = vault_batch_new();

    assert_non_null(batch);
    vault_batch_remove(batch, vault_row_slice(key));
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, false, NULL),
                     KL_OK);
    vault_batch_free(batch);
}

static uint64_t number_of(struct vault_fixture *fixture, const struct kl_id *receipt)
{
    struct vault_row_key key = vault_row_receipt_entry(fixture_tenant(fixture), receipt);
    struct kl_buf row;
    uint64_t number = 0;

    kl_buf_init(&row, 64);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL),
        KL_OK);
    assert_int_equal(row.size, 8);
    number = kl_get_u64be(row.bytes);
    kl_buf_done(&row);
    return number;
}

/* The tree's tiles have the leaf; only entries of the last one are hashed from their rows. */
static void test_of_an_entry_whose_text_is_gone_the_leaf_proves_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_row_key row;
    struct kl_id receipt;
    struct kl_buf answer = erased(fixture, &receipt);
    struct kl_buf later;
    bool holds = false;
    int i;

    for (i = 0; i < 300; i++) {
        (void)fixture_lookup(fixture, "newsletter.email", "nobody@example.org", NULL);
    }
    row = vault_row_audit(fixture_tenant(fixture), number_of(fixture, &receipt));
    remove_row(fixture, &row);
    later = handed_out(fixture, &receipt);
    assert_non_null(memmem(later.bytes, later.size, "\"trail\":{\"entry\":null,", 22));
    assert_int_equal(state_of(fixture, &later, "entry", &holds), KL_RECEIPT_HOLDS);
    assert_true(holds);
    kl_buf_done(&answer);
    kl_buf_done(&later);
}

/* What cannot be proved is said; the receipt is there all the same. */
static void test_without_its_entry_a_receipt_says_why(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_row_key row;
    struct kl_id receipt;
    struct kl_buf answer = erased(fixture, &receipt);
    struct kl_buf later;
    bool holds = true;

    row = vault_row_receipt_entry(fixture_tenant(fixture), &receipt);
    remove_row(fixture, &row);
    later = handed_out(fixture, &receipt);
    assert_non_null(memmem(later.bytes, later.size, "\"trail\":{\"missing\":\"entry_unknown\"}",
                           strlen("\"trail\":{\"missing\":\"entry_unknown\"}")));
    assert_int_equal(state_of(fixture, &later, "signature", &holds), KL_RECEIPT_HOLDS);
    assert_int_equal(state_of(fixture, &later, "inclusion", &holds), KL_RECEIPT_FAILED);
    assert_false(holds);
    kl_buf_done(&answer);
    kl_buf_done(&later);
}

/* Of a commit without root hashes, as an older version made it. */
static void test_root_hashes_that_nobody_knows_are_null(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_note note = {.kind = VAULT_NOTE_SUBJECT, .notify_all = true, .role = "dpo"};
    const struct vault_mirrors_of of = {.finality = KMS_FINALITY_F1};
    struct vault_audit_entry entry = {.id = {{1}}};
    struct kl_buf text;

    kl_buf_init(&text, VAULT_RECEIPT_MAX_BYTES);
    assert_int_equal(vault_receipt_write(fixture_vault(fixture), &note, fixture_tenant(fixture),
                                         987654, &entry, &of, &text, NULL),
                     KL_OK);
    assert_non_null(
        strstr((const char *)text.bytes, "\"key_tree_root\":{\"from\":null,\"to\":null}"));
    kl_buf_done(&text);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_answer_and_what_is_handed_out_later_prove_themselves),
        TEST(test_of_an_entry_whose_text_is_gone_the_leaf_proves_it),
        TEST(test_without_its_entry_a_receipt_says_why),
        TEST(test_root_hashes_that_nobody_knows_are_null),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
