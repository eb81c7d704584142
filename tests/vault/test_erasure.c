#include "tests/support/request_fixture.h"

#include "kluis/base/encode.h"
#include "kluis/base/json.h"
#include "tests/support/test.h"
#include "vault/receipt.h"
#include "vault/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum kl_status erase_record(struct vault_fixture *fixture, const char *role,
                                   const struct kl_id *subject, const struct kl_id *record,
                                   struct kl_buf *ret)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_record_erase(fixture_vault(fixture), &caller, subject, record,
                                VAULT_ERASE_REQUEST, ret, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static struct vault_record_result add_newsletter(struct vault_fixture *fixture,
                                                 const struct kl_id *subject, const char *email)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("email", email);
    const struct vault_record_input record = {
        .type = "newsletter", .fields = &field, .field_count = 1};
    struct vault_record_result added = {0};

    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, subject, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_OK);
    vault_caller_done(&writer);
    return added;
}

static const char *text_of(const struct kl_json *json, const char *key)
{
    return kl_json_text(kl_json_member(kl_json_root(json), key));
}

static int64_t number_of(const struct kl_json_value *object, const char *key)
{
    int64_t number = -1;

    (void)kl_json_int(kl_json_member(object, key), &number);
    return number;
}

/* Rows with that prefix in data/. */
static size_t rows_of(struct vault_fixture *fixture, struct vault_row_key prefix)
{
    struct vault_row_key past = vault_row_past(&prefix);
    struct vault_iter *iter =
        vault_iter_new(fixture_vault(fixture)->data_store, vault_row_slice(&prefix),
                       vault_row_slice(&past), false);
    struct kl_slice key;
    struct kl_slice value;
    size_t count = 0;

    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &value)) {
        count++;
    }
    vault_iter_free(iter);
    return count;
}

/* ---- a subject ---- */

static void test_after_an_erasure_nobody_is_there_for_anybody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result stays = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    const struct vault_record_input record = {.type = "newsletter"};
    const struct vault_field_input field = fixture_field("first_name", "Bo");
    const struct vault_consent_input consent = fixture_consent("mailing");
    struct vault_record_result added = {0};
    struct vault_subject_result read = {.record_count = 77};
    struct vault_consent_result *consents = NULL;
    struct kl_buf receipt;
    uint64_t version = 0;
    size_t count = 0;

    kl_buf_init(&receipt, 65536);
    fixture_erase(fixture, &made.id);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_ERR_NOT_FOUND);
    assert_int_equal(read.record_count, 77);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_record_patch(fixture_vault(fixture), &writer, &made.id,
                                        &made.records[0].id, 0, &field, 1, &version, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, &made.id, &consent, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &dpo, &made.id, fixture->arena,
                                        &consents, &count, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &made.id, VAULT_ERASE_REQUEST, &receipt),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(receipt.size, 0);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", NULL), 0);
    assert_int_equal(fixture_read(fixture, "reader", &stays.id, "mailing", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "bob@example.org"));
    kl_buf_done(&receipt);
    vault_caller_done(&writer);
    vault_caller_done(&dpo);
}

static void test_an_erasure_leaves_no_rows_of_the_subject(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_row_key heads = vault_row_head(reader.tenant, 0);
    struct vault_row_key values = vault_row_value(reader.tenant, 0, 0);

    heads.size -= 8;
    values.size -= 16;
    assert_int_equal(rows_of(fixture, heads), 1);
    assert_int_equal(rows_of(fixture, values), 4); /* two values, the ledger, its evidence */
    fixture_erase(fixture, &made.id);
    assert_int_equal(rows_of(fixture, heads), 0);
    assert_int_equal(rows_of(fixture, values), 0);
    vault_caller_done(&reader);
}

static void test_an_erasure_takes_the_right_on_every_field(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result both = fixture_client(fixture, "a@example.org");
    struct vault_subject_result news = fixture_newsletter(fixture, "b@example.org", false);
    struct vault_subject_result client = fixture_client(fixture, "c@example.org");
    struct vault_subject_result read = {0};
    struct kl_buf receipt;

    kl_buf_init(&receipt, 65536);
    (void)add_newsletter(fixture, &both.id, "a@example.org");
    assert_int_equal(
        fixture_try_erase(fixture, "half_dpo", &both.id, VAULT_ERASE_REQUEST, &receipt),
        KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_int_equal(
        fixture_try_erase(fixture, "half_dpo", &news.id, VAULT_ERASE_REQUEST, &receipt),
        KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_try_erase(fixture, "reader", &news.id, VAULT_ERASE_REQUEST, &receipt),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(receipt.size, 0);
    assert_int_equal(fixture_trail(fixture, "\"result\":\"refused\""), 3);
    assert_int_equal(fixture_read(fixture, "reader", &both.id, "support", &read), KL_OK);
    assert_int_equal(
        fixture_try_erase(fixture, "half_dpo", &client.id, VAULT_ERASE_REQUEST, &receipt), KL_OK);
    kl_buf_done(&receipt);
}

static void test_a_person_may_erase_themselves_and_nobody_else(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result mine = fixture_newsletter(fixture, "a@example.org", false);
    struct vault_subject_result other = fixture_newsletter(fixture, "b@example.org", false);
    struct vault_caller self = fixture_caller_with(fixture, "self", NULL, NULL, &mine.id);
    struct kl_buf receipt;

    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_subject_erase(fixture_vault(fixture), &self, &other.id,
                                         VAULT_ERASE_REQUEST, &receipt, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_subject_erase(fixture_vault(fixture), &self, &mine.id,
                                         VAULT_ERASE_REQUEST, &receipt, NULL),
                     KL_OK);
    kl_buf_done(&receipt);
    vault_caller_done(&self);
}

/* ---- receipts ---- */

static void test_the_answer_names_the_subject_and_what_was_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    const struct kl_json_value *proof = NULL;
    struct kl_json *json = NULL;
    char id[KL_ID_TEXT_BYTES];
    struct kl_buf answer;

    kl_buf_init(&answer, 65536);
    (void)add_newsletter(fixture, &made.id, "second@example.org");
    assert_int_equal(disclosure_read(fixture, &made.id, "mailing", "mailer"), KL_OK);
    assert_int_equal(
        fixture_try_erase(fixture, "dpo", &made.id, VAULT_ERASE_CONSENT_WITHDRAWN, &answer), KL_OK);
    assert_int_equal(kl_json_parse(answer.bytes, answer.size, &json, NULL), KL_OK);
    kl_id_format("sub", &made.id, id);
    assert_string_equal(text_of(json, "subject"), id);
    assert_int_equal(number_of(kl_json_root(json), "records_erased"), 2);
    assert_int_equal(kl_json_count(kl_json_member(kl_json_root(json), "retained")), 0);
    assert_int_equal(kl_json_count(kl_json_member(kl_json_root(json), "notify")), 1);
    assert_non_null(text_of(json, "erased_at"));
    assert_memory_equal(text_of(json, "receipt"), "er_", 3);
    proof = kl_json_member(kl_json_root(json), "proof");
    assert_string_equal(kl_json_text(kl_json_member(proof, "algorithm")), "Ed25519");
    assert_int_equal(number_of(kl_json_member(proof, "generation"), "to"),
                     number_of(kl_json_member(proof, "generation"), "from") + 1);
    kl_json_free(json);
    kl_buf_done(&answer);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"consent_withdrawn\""), 1);
}

static struct kl_buf stored_receipt(struct vault_fixture *fixture, const char *role,
                                    const struct kl_json *answer)
{
    struct vault_caller caller = strcmp(role, "steward") == 0 ? admin_steward(fixture->admin)
                                                              : fixture_caller(fixture, role);
    struct kl_id id;
    struct kl_buf stored;

    kl_buf_init(&stored, 65536);
    assert_int_equal(kl_id_parse("er", text_of(answer, "receipt"), &id, NULL), KL_OK);
    kl_err_clear(&fixture->err);
    if (vault_receipt_read(fixture_vault(fixture), &caller, &id, &stored, &fixture->err) == KL_OK) {
        fixture_receipt_cut(&stored);
    }
    vault_caller_done(&caller);
    return stored;
}

static void test_a_stored_receipt_is_signed_and_names_nobody_without_the_secret(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    unsigned char secret[VAULT_SUBJECT_SECRET_BYTES];
    unsigned char commitment[VAULT_COMMITMENT_BYTES];
    char commitment_text[KL_BASE64_CHARS(VAULT_COMMITMENT_BYTES) + 1];
    struct kl_json *answer_json = NULL;
    struct kl_json *stored_json = NULL;
    char id[KL_ID_TEXT_BYTES];
    struct kl_buf answer;
    struct kl_buf stored;

    kl_buf_init(&answer, 65536);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &made.id, VAULT_ERASE_REQUEST, &answer),
                     KL_OK);
    assert_int_equal(kl_json_parse(answer.bytes, answer.size, &answer_json, NULL), KL_OK);
    fixture_reopen(fixture);
    stored = stored_receipt(fixture, "steward", answer_json);
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&stored), NULL, NULL), KL_OK);
    kl_id_format("sub", &made.id, id);
    assert_null(strstr((const char *)stored.bytes, id + 4));
    assert_null(strstr((const char *)stored.bytes, text_of(answer_json, "subject_secret")));
    assert_int_equal(kl_json_parse(stored.bytes, stored.size, &stored_json, NULL), KL_OK);
    assert_true(kl_base64_decode(text_of(answer_json, "subject_secret"),
                                 strlen(text_of(answer_json, "subject_secret")), secret,
                                 sizeof secret));
    kl_receipt_commit(secret, &made.id, NULL, commitment);
    kl_base64(commitment, sizeof commitment, commitment_text);
    assert_string_equal(text_of(stored_json, "commitment"), commitment_text);
    assert_string_equal(text_of(stored_json, "kind"), "subject");
    assert_string_equal(text_of(stored_json, "tenant"), "default");
    kl_buf_done(&stored);
    stored = stored_receipt(fixture, "dpo", answer_json);
    assert_true(stored.size > 0);
    kl_buf_done(&stored);
    stored = stored_receipt(fixture, "reader", answer_json);
    assert_int_equal(stored.size, 0);
    assert_string_equal(fixture->err.code, "role_forbidden");
    kl_buf_done(&stored);
    kl_json_free(stored_json);
    kl_json_free(answer_json);
    kl_buf_done(&answer);
}

static void test_a_receipt_changed_at_any_byte_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    unsigned char other_key[KMS_PUBLIC_KEY_BYTES] = {1};
    struct kl_json *json = NULL;
    struct kl_err err = {0};
    struct kl_buf answer;
    struct kl_buf stored;
    size_t i;

    kl_buf_init(&answer, 65536);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &made.id, VAULT_ERASE_REQUEST, &answer),
                     KL_OK);
    assert_int_equal(kl_json_parse(answer.bytes, answer.size, &json, NULL), KL_OK);
    stored = stored_receipt(fixture, "steward", json);
    for (i = 0; i < stored.size; i++) {
        stored.bytes[i] ^= 1;
        assert_int_not_equal(vault_receipt_verify(kl_buf_slice(&stored), NULL, NULL), KL_OK);
        stored.bytes[i] ^= 1;
        assert_int_not_equal(vault_receipt_verify(kl_slice_of(stored.bytes, i), NULL, NULL), KL_OK);
    }
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&stored), other_key, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "bad_signature");
    kl_err_clear(&err);
    assert_int_equal(vault_receipt_verify(kl_slice_text("{}"), NULL, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_receipt");
    kl_json_free(json);
    kl_buf_done(&answer);
    kl_buf_done(&stored);
}

static void test_a_receipt_that_never_was_is_not_found(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_id nothing = kl_id_new();
    struct kl_buf stored;

    kl_buf_init(&stored, 65536);
    assert_int_equal(vault_receipt_read(fixture_vault(fixture), &dpo, &nothing, &stored, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(stored.size, 0);
    kl_buf_done(&stored);
    vault_caller_done(&dpo);
}

static void test_reasons_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(vault_erase_reason_name(VAULT_ERASE_REQUEST), "request");
    assert_string_equal(vault_erase_reason_name(VAULT_ERASE_RETENTION), "retention");
    assert_string_equal(vault_erase_reason_name(VAULT_ERASE_CONSENT_WITHDRAWN),
                        "consent_withdrawn");
    assert_string_equal(vault_erase_reason_name(VAULT_ERASE_TENANT_END), "tenant_end");
    assert_string_equal(vault_erase_reason_name(VAULT_ERASE_OTHER), "other");
}

/* ---- a record ---- */

static void test_erasing_one_record_leaves_the_others(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "client@example.org");
    struct vault_record_result news = add_newsletter(fixture, &made.id, "news@example.org");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("notes", "still here");
    struct vault_subject_result read = {0};
    struct kl_json *json = NULL;
    char id[KL_ID_TEXT_BYTES];
    struct kl_buf answer;
    uint64_t version = 0;

    kl_buf_init(&answer, 65536);
    assert_int_equal(erase_record(fixture, "dpo", &made.id, &news.id, &answer), KL_OK);
    assert_int_equal(kl_json_parse(answer.bytes, answer.size, &json, NULL), KL_OK);
    kl_id_format("rec", &news.id, id);
    assert_string_equal(text_of(json, "record"), id);
    assert_int_equal(number_of(kl_json_root(json), "records_erased"), 1);
    kl_json_free(json);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_int_equal(read.record_count, 1);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "client@example.org"));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "news@example.org", NULL), 0);
    assert_int_equal(fixture_lookup(fixture, "client.email", "client@example.org", NULL), 1);
    kl_buf_clear(&answer);
    assert_int_equal(erase_record(fixture, "dpo", &made.id, &news.id, &answer), KL_ERR_NOT_FOUND);
    assert_int_equal(vault_record_patch(fixture_vault(fixture), &writer, &made.id,
                                        &made.records[0].id, 1, &field, 1, &version, NULL),
                     KL_OK);
    fixture_reopen(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_int_equal(read.record_count, 1);
    assert_true(fixture_value_is(fixture_find(&read, "notes"), "still here"));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"erase_record\""), 2);
    kl_buf_done(&answer);
    vault_caller_done(&writer);
}

static void test_erasing_a_record_takes_the_right_on_its_fields(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "client@example.org");
    struct vault_record_result news = add_newsletter(fixture, &made.id, "news@example.org");
    struct kl_id nothing = kl_id_new();
    struct kl_buf answer;

    kl_buf_init(&answer, 65536);
    assert_int_equal(erase_record(fixture, "half_dpo", &made.id, &news.id, &answer),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(erase_record(fixture, "dpo", &made.id, &nothing, &answer), KL_ERR_NOT_FOUND);
    assert_int_equal(erase_record(fixture, "half_dpo", &made.id, &made.records[0].id, &answer),
                     KL_OK);
    kl_buf_done(&answer);
}

static void test_a_unique_value_of_an_erased_record_is_free_again(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_subject_result other = {0};
    struct kl_buf answer;

    kl_buf_init(&answer, 65536);
    assert_int_equal(erase_record(fixture, "dpo", &made.id, &made.records[0].id, &answer), KL_OK);
    assert_int_equal(fixture_try_client(fixture, "a@example.org", &other), KL_OK);
    kl_buf_done(&answer);
}

static void test_a_type_is_in_use_until_its_last_record_is_gone(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    bool in_use = false;

    assert_int_equal(vault_subject_type_in_use(fixture_vault(fixture), reader.tenant, "newsletter",
                                               &in_use, NULL),
                     KL_OK);
    assert_true(in_use);
    assert_int_equal(
        vault_subject_type_in_use(fixture_vault(fixture), reader.tenant, "client", &in_use, NULL),
        KL_OK);
    assert_false(in_use);
    fixture_erase(fixture, &made.id);
    assert_int_equal(vault_subject_type_in_use(fixture_vault(fixture), reader.tenant, "newsletter",
                                               &in_use, NULL),
                     KL_OK);
    assert_false(in_use);
    vault_caller_done(&reader);
}

/* ---- rotation ---- */

static void test_a_rotation_is_in_the_operators_trail_and_harms_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller operator_caller = admin_operator(fixture->admin);
    struct vault_subject_result read = {0};
    const struct vault_idempotency_ticket no_key = {0};
    struct kl_id rotation = kl_id_new();
    uint64_t generation = 0;
    struct kms_state before;

    kms_state(fixture_vault(fixture)->keys, &before);
    assert_int_equal(vault_rotation_commit(fixture_vault(fixture), &operator_caller, &rotation,
                                           &no_key, &generation, NULL),
                     KL_OK);
    assert_int_equal(generation, before.generation + 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"key_rotate\""), 1);
    fixture_reopen(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    vault_caller_done(&operator_caller);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_after_an_erasure_nobody_is_there_for_anybody),
        TEST(test_an_erasure_leaves_no_rows_of_the_subject),
        TEST(test_an_erasure_takes_the_right_on_every_field),
        TEST(test_a_person_may_erase_themselves_and_nobody_else),
        TEST(test_the_answer_names_the_subject_and_what_was_erased),
        TEST(test_a_stored_receipt_is_signed_and_names_nobody_without_the_secret),
        TEST(test_a_receipt_changed_at_any_byte_is_refused),
        TEST(test_a_receipt_that_never_was_is_not_found),
        cmocka_unit_test(test_reasons_have_their_names),
        TEST(test_erasing_one_record_leaves_the_others),
        TEST(test_erasing_a_record_takes_the_right_on_its_fields),
        TEST(test_a_unique_value_of_an_erased_record_is_free_again),
        TEST(test_a_type_is_in_use_until_its_last_record_is_gone),
        TEST(test_a_rotation_is_in_the_operators_trail_and_harms_nobody),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
