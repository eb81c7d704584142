/* What is there after a crash, and after an older data directory was put back. */
#include "tests/support/cut_short.h"
#include "tests/support/vault_fixture.h"

#include "kluis/base/encode.h"
#include "kluis/base/json.h"
#include "tests/support/test.h"
#include "vault/erasure.h"
#include "vault/manifest.h"
#include "vault/receipt.h"
#include "vault/rows.h"

#include <stdio.h>
#include <string.h>

static enum kl_status patch_name(struct vault_fixture *fixture,
                                 const struct vault_subject_result *of, const char *name)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("first_name", name);
    enum kl_status status = KL_OK;
    uint64_t version = 0;

    kl_err_clear(&fixture->err);
    status = vault_record_patch(fixture_vault(fixture), &writer, &of->id, &of->records[0].id, 0,
                                &field, 1, &version, &fixture->err);
    vault_caller_done(&writer);
    return status;
}

static struct vault_head head_of(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_row_key key;
    struct vault_head head = {0};
    struct kl_buf row;
    uint64_t slot = 0;

    kl_buf_init(&row, 1024 * 1024);
    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), reader.tenant, subject, &slot, NULL), KL_OK);
    key = vault_row_head(reader.tenant, slot);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL),
        KL_OK);
    assert_int_equal(vault_head_decode(kl_buf_slice(&row), fixture->arena, &head, NULL), KL_OK);
    head.base = (struct kl_slice){NULL, 0}; /* the row ends here */
    kl_buf_done(&row);
    vault_caller_done(&reader);
    return head;
}

/* ---- copies ---- */

static void test_a_whole_copy_from_before_an_erasure_opens_nobody_and_says_why(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_options options = fixture->admin->options;
    struct vault *opened = NULL;
    char copy[ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    fixture_copy(fixture);
    fixture_erase(fixture, &made.id);
    admin_close(fixture->admin);
    fixture_path(fixture, FIXTURE_COPY, copy);
    options.data_dir = copy;
    assert_int_equal(vault_open(&options, &opened, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "root_key_generation");
    assert_null(opened);
    admin_reopen(fixture->admin);
}

static void test_the_copys_data_with_todays_keys_opens_everyone_but_the_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result erased = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result people[20];
    struct vault_subject_result read = {0};
    char email[64];
    size_t i;

    for (i = 0; i < 20; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        people[i] = fixture_newsletter(fixture, email, true);
    }
    fixture_copy(fixture);
    fixture_erase(fixture, &erased.id);
    fixture_put_back_data(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &erased.id, "mailing", &read),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", NULL), 0);
    for (i = 0; i < 20; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        assert_int_equal(fixture_read(fixture, "reader", &people[i].id, "mailing", &read), KL_OK);
        assert_true(fixture_value_is(fixture_find(&read, "email"), email));
        assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, NULL), 1);
    }
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 1);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 1);
}

static void test_a_record_erased_since_the_copy_stays_erased_and_its_subject_stays(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "client@example.org");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("email", "news@example.org");
    const struct vault_record_input record = {
        .type = "newsletter", .fields = &field, .field_count = 1};
    struct vault_record_result news = {0};
    struct vault_subject_result read = {0};
    struct vault_caller dpo;
    struct kl_buf answer;

    kl_buf_init(&answer, 65536);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, NULL,
                                      fixture->arena, &news, NULL),
                     KL_OK);
    vault_caller_done(&writer);
    fixture_copy(fixture);
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &made.id, &news.id,
                                        VAULT_ERASE_REQUEST, &answer, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    fixture_put_back_data(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_int_equal(read.record_count, 1);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "client@example.org"));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "news@example.org", NULL), 0);
    kl_buf_done(&answer);
}

static void test_values_written_after_a_restore_take_slots_that_no_restore_has_seen(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_subject_result third = fixture_newsletter(fixture, "cas@example.org", true);
    struct vault_subject_result read = {0};

    fixture_copy(fixture);
    assert_int_equal(patch_name(fixture, &made, "Before"), KL_OK);
    fixture_erase(fixture, &other.id);
    fixture_put_back_data(fixture);
    assert_true(head_of(fixture, &made.id).next_value < (UINT64_C(1) << VAULT_VALUE_EPOCH_BITS));
    assert_int_equal(patch_name(fixture, &made, "After"), KL_OK);
    assert_int_equal(head_of(fixture, &made.id).next_value,
                     (UINT64_C(1) << VAULT_VALUE_EPOCH_BITS) + 1);
    assert_int_equal(patch_name(fixture, &made, "Later"), KL_OK);
    assert_int_equal(head_of(fixture, &made.id).next_value,
                     (UINT64_C(1) << VAULT_VALUE_EPOCH_BITS) + 2);
    fixture_erase(fixture, &third.id);
    fixture_put_back_data(fixture);
    assert_int_equal(patch_name(fixture, &made, "Again"), KL_OK);
    assert_int_equal(head_of(fixture, &made.id).next_value,
                     (UINT64_C(2) << VAULT_VALUE_EPOCH_BITS) + 1);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "first_name"), "Again"));
    assert_int_equal(fixture_read(fixture, "reader", &third.id, "mailing", &read),
                     KL_ERR_NOT_FOUND);
}

static void test_an_older_copy_is_noticed_even_when_only_the_notes_tell(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_row_key key = vault_row_meta(VAULT_META_PREPARED);
    struct vault_batch *batch = NULL;
    unsigned char generation[8];
    struct kms_state keys;

    fixture_copy(fixture);
    fixture_erase(fixture, &made.id);
    kms_state(fixture_vault(fixture)->keys, &keys);
    kl_put_u64be(generation, keys.generation);
    fixture_put_back_data(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 1);
    /* the same copy again, from an attempt of that generation that came to nothing: prepared, but the commit came later */
    admin_close(fixture->admin);
    {
        struct vault_store *store = NULL;
        char from[ADMIN_PATH_BYTES];
        struct vault_store_options options = {.path = from};

        fixture_path(fixture, FIXTURE_COPY "/data", from);
        assert_int_equal(vault_store_open(&options, &store, NULL), KL_OK);
        batch = vault_batch_new();
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(generation, sizeof generation));
        assert_int_equal(vault_store_apply(store, batch, true, NULL), KL_OK);
        vault_batch_free(batch);
        vault_store_close(store);
    }
    fixture_put_back_data(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 1);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", NULL), 0);
}

/* ---- a commit cut short ---- */

/* The receipt that recovery wrote says what the key tree was before and after the commit, as one that was written at once. */
static void assert_has_root_hashes(struct kl_slice receipt,
                                   const unsigned char from[KMS_ROOT_HASH_BYTES],
                                   const unsigned char to[KMS_ROOT_HASH_BYTES])
{
    char texts[2][KL_BASE64_CHARS(KMS_ROOT_HASH_BYTES) + 1];
    char piece[160];

    kl_base64(from, KMS_ROOT_HASH_BYTES, texts[0]);
    kl_base64(to, KMS_ROOT_HASH_BYTES, texts[1]);
    (void)snprintf(piece, sizeof piece, "\"key_tree_root\":{\"from\":\"%s\",\"to\":\"%s\"}",
                   texts[0], texts[1]);
    assert_non_null(memmem(receipt.bytes, receipt.size, piece, strlen(piece)));
}

/* The process ends after the point of no return, before audit entry and receipt; what prepare wrote is lost with it. */
static void test_an_erasure_cut_short_after_its_commit_is_finished_at_the_next_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result stays = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_subject_result read = {0};
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_row_key receipts;
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice value;
    struct kl_err err = {0};
    struct kl_buf answer;
    struct kl_id none = {0};
    uint64_t tenant = dpo.tenant;
    struct kms_state before;
    struct kms_state after;

    kl_buf_init(&answer, 65536);
    kms_state(fixture_vault(fixture)->keys, &before);
    cut_short_after_the_commit(fixture);
    assert_int_equal(vault_subject_erase(fixture_vault(fixture), &dpo, &made.id,
                                         VAULT_ERASE_REQUEST, &answer, &err),
                     KL_ERR_UNAVAILABLE);
    assert_int_equal(answer.size, 0);
    kms_state(fixture_vault(fixture)->keys, &after);
    vault_caller_done(&dpo);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"erase\""), 1);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", NULL), 0);
    assert_int_equal(fixture_read(fixture, "reader", &stays.id, "mailing", &read), KL_OK);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "bob@example.org", NULL), 1);
    receipts = vault_row_receipt(tenant, &none);
    receipts.size -= KL_ID_BYTES;
    past = vault_row_past(&receipts);
    iter = vault_iter_new(fixture_vault(fixture)->data_store, vault_row_slice(&receipts),
                          vault_row_slice(&past), false);
    assert_true(vault_iter_next(iter, &key, &value));
    assert_int_equal(vault_receipt_verify(value, NULL, NULL), KL_OK);
    assert_has_root_hashes(value, before.root_hash, after.root_hash);
    assert_false(vault_iter_next(iter, &key, &value));
    vault_iter_free(iter);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"erase\""), 1);
    kl_buf_done(&answer);
}

static void test_a_record_erasure_cut_short_after_its_commit_is_finished_at_the_next_open(
    void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_buf answer;

    kl_buf_init(&answer, 65536);
    cut_short_after_the_commit(fixture);
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &made.id, &made.records[0].id,
                                        VAULT_ERASE_REQUEST, &answer, NULL),
                     KL_ERR_UNAVAILABLE);
    vault_caller_done(&dpo);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"erase_record\""), 1);
    assert_int_equal(head_of(fixture, &made.id).record_count, 0);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", NULL), 0);
    kl_buf_done(&answer);
}

/* ---- notes ---- */

static void test_notes_read_back_and_damaged_ones_are_refused(void **state)
{
    struct vault_note note = {.kind = VAULT_NOTE_RECORD,
                              .id = {{1}},
                              .tenant = 1,
                              .slot = 70,
                              .record = 5,
                              .at_us = 99,
                              .role = "dpo",
                              .request_id = "r-1",
                              .location = {"BE"},
                              .reason = VAULT_ERASE_RETENTION,
                              .records = 1,
                              .fields = 3,
                              .notify_all = true};
    struct vault_note read = {0};
    struct kl_err err = {0};
    struct kl_buf text;
    size_t i;

    (void)state;
    vault_note_notify(&note, "mailer");
    vault_note_notify(&note, "speaker");
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    assert_int_equal(vault_note_encode(&note, &text, NULL), KL_OK);
    assert_int_equal(vault_note_decode(kl_buf_slice(&text), &read, NULL), KL_OK);
    assert_memory_equal(&note, &read, sizeof note);
    memset(&read, 0, sizeof read);
    for (i = 0; i < text.size; i++) {
        kl_err_clear(&err);
        assert_int_equal(vault_note_decode(kl_slice_of(text.bytes, i), &read, &err),
                         KL_ERR_CORRUPT);
        assert_string_equal(err.code, "key_note_damaged");
    }
    assert_int_equal(read.slot, 0);
    kl_buf_done(&text);
}

static void test_a_note_says_when_it_has_no_room_for_all_recipients(void **state)
{
    static struct vault_note note = {.kind = VAULT_NOTE_SUBJECT, .notify_all = true};
    char name[VAULT_NAME_MAX_BYTES + 1];
    struct kl_buf text;
    size_t i;

    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (i = 0; i < VAULT_RECIPIENTS_MAX; i++) {
        vault_note_notify(&note, name);
    }
    assert_false(note.notify_all);
    memset(note.role, 'r', sizeof note.role - 1);
    memset(note.request_id, 'q', sizeof note.request_id - 1);
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    assert_int_equal(vault_note_encode(&note, &text, NULL), KL_OK);
    kl_buf_done(&text);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_whole_copy_from_before_an_erasure_opens_nobody_and_says_why),
        TEST(test_the_copys_data_with_todays_keys_opens_everyone_but_the_erased),
        TEST(test_a_record_erased_since_the_copy_stays_erased_and_its_subject_stays),
        TEST(test_values_written_after_a_restore_take_slots_that_no_restore_has_seen),
        TEST(test_an_older_copy_is_noticed_even_when_only_the_notes_tell),
        TEST(test_an_erasure_cut_short_after_its_commit_is_finished_at_the_next_open),
        TEST(test_a_record_erasure_cut_short_after_its_commit_is_finished_at_the_next_open),
        cmocka_unit_test(test_notes_read_back_and_damaged_ones_are_refused),
        cmocka_unit_test(test_a_note_says_when_it_has_no_room_for_all_recipients),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
