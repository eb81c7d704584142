/* An erasure or a rotation that is asked for again with its Idempotency-Key. */
#include "tests/support/cut_short.h"
#include "tests/support/vault_fixture.h"

#include "kluis/base/json.h"
#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "vault/erasure.h"
#include "vault/receipt.h"
#include "vault/rows.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 65536

static struct vault_idempotency key_of(const char *key, unsigned char of)
{
    struct vault_idempotency idempotency = {.key = key, .fingerprint = {of}};

    return idempotency;
}

/* ret is emptied first. */
static enum kl_status erase(struct vault_fixture *fixture, struct vault_caller *caller,
                            const struct kl_id *subject, const struct vault_idempotency *key,
                            struct kl_buf *ret, bool *ret_replayed)
{
    kl_buf_clear(ret);
    kl_err_clear(&fixture->err);
    return vault_subject_erase_once(fixture_vault(fixture), caller, subject, VAULT_ERASE_REQUEST,
                                    key, ret, ret_replayed, &fixture->err);
}

static struct kl_json *parsed(const struct kl_buf *text)
{
    struct kl_json *json = NULL;

    assert_int_equal(kl_json_parse(text->bytes, text->size, &json, NULL), KL_OK);
    return json;
}

static const char *text_in(const struct kl_json *json, const char *key)
{
    return kl_json_text(kl_json_member(kl_json_root(json), key));
}

/* The receipt's text as it was signed. */
static const char *signed_in(const struct kl_json *json)
{
    return kl_json_text(kl_json_member(kl_json_member(kl_json_root(json), "proof"), "signed"));
}

static void assert_replay(const struct kl_buf *first, const struct kl_buf *again)
{
    struct kl_json *told = parsed(first);
    struct kl_json *repeated = parsed(again);

    assert_string_equal(text_in(repeated, "receipt"), text_in(told, "receipt"));
    assert_string_equal(text_in(repeated, "subject"), text_in(told, "subject"));
    assert_string_equal(text_in(repeated, "erased_at"), text_in(told, "erased_at"));
    assert_string_equal(signed_in(repeated), signed_in(told));
    assert_non_null(text_in(told, "subject_secret"));
    assert_null(kl_json_member(kl_json_root(repeated), "subject_secret"));
    kl_json_free(told);
    kl_json_free(repeated);
}

static void test_an_erasure_asked_for_again_gets_the_receipt_of_the_first(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_idempotency key = key_of("erase-1", 1);
    struct kl_buf first;
    struct kl_buf again;
    bool replayed = true;

    kl_buf_init(&first, TEXT_BYTES);
    kl_buf_init(&again, TEXT_BYTES);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &first, &replayed), KL_OK);
    assert_false(replayed);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &again, &replayed), KL_OK);
    assert_true(replayed);
    assert_replay(&first, &again);
    vault_caller_done(&dpo);
    fixture_reopen(fixture);
    dpo = fixture_caller(fixture, "dpo");
    replayed = false;
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &again, &replayed), KL_OK);
    assert_true(replayed);
    assert_replay(&first, &again);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"erase\""), 1);
    kl_buf_done(&first);
    kl_buf_done(&again);
    vault_caller_done(&dpo);
}

static void test_the_receipt_is_found_after_the_keys_were_rotated(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_caller operator_caller = admin_operator(fixture->admin);
    struct vault_idempotency key = key_of("erase-1", 1);
    struct kl_buf first;
    struct kl_buf again;
    struct kl_buf job;
    bool replayed = false;

    kl_buf_init(&first, TEXT_BYTES);
    kl_buf_init(&again, TEXT_BYTES);
    kl_buf_init(&job, TEXT_BYTES);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &first, &replayed), KL_OK);
    assert_int_equal(vault_keys_rotate(fixture_vault(fixture), &operator_caller, "root", 0, false,
                                       NULL, &job, NULL, NULL),
                     KL_OK);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &again, &replayed), KL_OK);
    assert_true(replayed);
    assert_replay(&first, &again);
    kl_buf_done(&first);
    kl_buf_done(&again);
    kl_buf_done(&job);
    vault_caller_done(&dpo);
    vault_caller_done(&operator_caller);
}

static void test_another_request_with_the_key_of_an_erasure_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result stays = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_subject_result read = {0};
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_idempotency key = key_of("erase-1", 1);
    struct vault_idempotency other = key_of("erase-1", 2);
    struct kl_buf answer;
    bool replayed = false;

    kl_buf_init(&answer, TEXT_BYTES);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &answer, &replayed), KL_OK);
    replayed = true;
    assert_int_equal(erase(fixture, &dpo, &stays.id, &other, &answer, &replayed), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "idempotency_key_reused");
    assert_int_equal(answer.size, 0);
    assert_true(replayed);
    assert_int_equal(fixture_read(fixture, "reader", &stays.id, "mailing", &read), KL_OK);
    kl_buf_done(&answer);
    vault_caller_done(&dpo);
}

static void test_the_key_of_an_erasure_is_its_credentials_alone_and_for_a_day(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_caller other = fixture_caller_with(fixture, "dpo", NULL, NULL, NULL);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_idempotency key = key_of("erase-1", 1);
    struct kl_buf answer;
    bool replayed = false;

    kl_buf_init(&answer, TEXT_BYTES);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &answer, &replayed), KL_OK);
    assert_int_equal(erase(fixture, &other, &made.id, &key, &answer, &replayed), KL_ERR_NOT_FOUND);
    assert_int_equal(erase(fixture, &reader, &made.id, &key, &answer, &replayed), KL_ERR_NOT_FOUND);
    dpo.now_us += VAULT_IDEMPOTENCY_LIFE_US - KL_TIME_SECOND_US;
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &answer, &replayed), KL_OK);
    dpo.now_us += KL_TIME_SECOND_US;
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &answer, &replayed), KL_ERR_NOT_FOUND);
    assert_int_equal(answer.size, 0);
    kl_buf_done(&answer);
    vault_caller_done(&dpo);
    vault_caller_done(&other);
    vault_caller_done(&reader);
}

static void test_a_refused_erasure_leaves_its_key_free(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_idempotency key = key_of("erase-1", 1);
    struct vault_idempotency bad = key_of("with space", 1);
    struct kl_id nobody = kl_id_new();
    struct kl_buf answer;
    bool replayed = true;

    kl_buf_init(&answer, TEXT_BYTES);
    assert_int_equal(erase(fixture, &dpo, &made.id, &bad, &answer, &replayed), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_idempotency_key");
    assert_int_equal(erase(fixture, &dpo, &nobody, &key, &answer, &replayed), KL_ERR_NOT_FOUND);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &answer, &replayed), KL_OK);
    assert_false(replayed);
    kl_buf_done(&answer);
    vault_caller_done(&dpo);
}

/* ---- what is kept ---- */

static bool holds(struct kl_slice text, const void *piece, size_t size)
{
    return memmem(text.bytes, text.size, piece, size) != NULL;
}

/* The tenant is 8 bytes behind the 'I'. The sealed rest opens under the tenant's MAC slot: fingerprint and receipt id, no more. */
static void test_what_is_kept_of_an_erasure_leads_to_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_idempotency key = key_of("erase-1", 1);
    const unsigned char nothing[16] = {0};
    struct vault_row_key prefix = vault_row_idempotency(dpo.tenant, nothing);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kms_place place = {dpo.tenant, VAULT_SLOT_MAC, KMS_VALUE_NONE};
    struct kl_reader in;
    struct kl_slice name;
    struct kl_slice row;
    struct kl_buf answer;
    struct kl_buf plain;
    bool replayed = false;

    kl_buf_init(&answer, TEXT_BYTES);
    kl_buf_init(&plain, TEXT_BYTES);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &answer, &replayed), KL_OK);
    prefix.size -= 16;
    past = vault_row_past(&prefix);
    iter = vault_iter_new(fixture_vault(fixture)->data_store, vault_row_slice(&prefix),
                          vault_row_slice(&past), false);
    assert_true(vault_iter_next(iter, &name, &row));
    in = kl_reader_of(row);
    assert_int_equal(kl_read_byte(&in), 1);
    assert_true((int64_t)kl_read_u64be(&in) == dpo.now_us + VAULT_IDEMPOTENCY_LIFE_US);
    assert_true(kl_read_u64be(&in) == place.slot);
    assert_true(kl_read_u64be(&in) == place.value);
    assert_int_equal(kms_unseal(fixture_vault(fixture)->keys, &place, kl_slice_text("idempotency"),
                                kl_read_sized(&in), &plain, NULL),
                     KL_OK);
    assert_true(kl_reader_done(&in));
    assert_int_equal(plain.size, VAULT_IDEMPOTENCY_FINGERPRINT_BYTES + KL_ID_BYTES);
    assert_false(holds(kl_buf_slice(&plain), made.id.bytes, KL_ID_BYTES));
    assert_false(holds(kl_buf_slice(&plain), key.fingerprint, sizeof key.fingerprint));
    assert_false(holds(row, made.id.bytes, KL_ID_BYTES));
    assert_false(vault_iter_next(iter, &name, &row));
    vault_iter_free(iter);
    kl_buf_done(&answer);
    kl_buf_done(&plain);
    vault_caller_done(&dpo);
}

/* ---- many at once ---- */

#define RACERS 8

struct racing {
    struct vault_fixture *fixture;
    struct vault_caller caller;
    struct kl_id subject;
    enum kl_status status;
    struct kl_buf answer;
    bool replayed;
};

static void *race(void *context)
{
    struct racing *racing = context;
    struct vault_idempotency key = key_of("race-1", 1);

    racing->status = vault_subject_erase_once(fixture_vault(racing->fixture), &racing->caller,
                                              &racing->subject, VAULT_ERASE_REQUEST, &key,
                                              &racing->answer, &racing->replayed, NULL);
    return NULL;
}

static void test_of_many_erasures_at_once_all_get_one_receipt(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct racing racing[RACERS] = {0};
    pthread_t threads[RACERS];
    size_t first = RACERS;
    size_t i;

    for (i = 0; i < RACERS; i++) {
        racing[i].fixture = fixture;
        racing[i].caller = fixture_caller(fixture, "dpo");
        racing[i].subject = made.id;
        kl_buf_init(&racing[i].answer, TEXT_BYTES);
    }
    for (i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racing[i]), 0);
    }
    for (i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(racing[i].status, KL_OK);
        if (!racing[i].replayed) {
            assert_int_equal(first, RACERS);
            first = i;
        }
    }
    assert_int_not_equal(first, RACERS);
    for (i = 0; i < RACERS; i++) {
        if (i != first) {
            assert_replay(&racing[first].answer, &racing[i].answer);
        }
    }
    for (i = 0; i < RACERS; i++) {
        kl_buf_done(&racing[i].answer);
        vault_caller_done(&racing[i].caller);
    }
    assert_int_equal(fixture_trail(fixture, "\"action\":\"erase\""), 1);
}

/* ---- a commit cut short ---- */

/* The process ends after the point of no return, before audit entry and receipt. */
static void test_an_erasure_cut_short_after_its_commit_is_answered_at_the_next_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_idempotency key = key_of("erase-1", 1);
    struct vault_idempotency other = key_of("erase-1", 2);
    char id[KL_ID_TEXT_BYTES];
    struct kl_json *json = NULL;
    struct kl_id receipt;
    struct kl_buf answer;
    struct kl_buf stored;
    bool replayed = false;

    kl_buf_init(&answer, TEXT_BYTES);
    kl_buf_init(&stored, TEXT_BYTES);
    cut_short_after_the_commit(fixture);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &answer, &replayed), KL_ERR_UNAVAILABLE);
    assert_int_equal(answer.size, 0);
    vault_caller_done(&dpo);
    fixture_reopen(fixture);
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(erase(fixture, &dpo, &made.id, &other, &answer, &replayed), KL_ERR_INVALID);
    assert_int_equal(erase(fixture, &dpo, &made.id, &key, &answer, &replayed), KL_OK);
    assert_true(replayed);
    json = parsed(&answer);
    kl_id_format("sub", &made.id, id);
    assert_string_equal(text_in(json, "subject"), id);
    assert_int_equal(kl_id_parse("er", text_in(json, "receipt"), &receipt, NULL), KL_OK);
    assert_int_equal(vault_receipt_read(fixture_vault(fixture), &dpo, &receipt, &stored, NULL),
                     KL_OK);
    fixture_receipt_cut(&stored);
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&stored), NULL, NULL), KL_OK);
    kl_json_free(json);
    kl_buf_done(&answer);
    kl_buf_done(&stored);
    vault_caller_done(&dpo);
}

/* ---- rotations ---- */

static enum kl_status rotate(struct vault_fixture *fixture, const struct vault_idempotency *key,
                             struct kl_buf *ret, bool *ret_replayed)
{
    struct vault_caller caller = admin_operator(fixture->admin);
    enum kl_status status = KL_OK;

    kl_buf_clear(ret);
    kl_err_clear(&fixture->err);
    status = vault_keys_rotate(fixture_vault(fixture), &caller, "root", 0, false, key, ret,
                               ret_replayed, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static uint64_t generation_of(struct vault_fixture *fixture)
{
    struct kms_state state;

    kms_state(fixture_vault(fixture)->keys, &state);
    return state.generation;
}

static void test_a_rotation_asked_for_again_is_the_same_job(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_idempotency key = key_of("rotate-1", 1);
    struct vault_idempotency other = key_of("rotate-1", 2);
    uint64_t before = generation_of(fixture);
    struct kl_buf first;
    struct kl_buf again;
    bool replayed = true;

    kl_buf_init(&first, TEXT_BYTES);
    kl_buf_init(&again, TEXT_BYTES);
    assert_int_equal(rotate(fixture, &key, &first, &replayed), KL_OK);
    assert_false(replayed);
    assert_int_equal(rotate(fixture, &key, &again, &replayed), KL_OK);
    assert_true(replayed);
    assert_true(kl_slice_equal(kl_buf_slice(&first), kl_buf_slice(&again)));
    assert_int_equal(generation_of(fixture), before + 1);
    assert_int_equal(rotate(fixture, &other, &again, &replayed), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "idempotency_key_reused");
    assert_int_equal(again.size, 0);
    assert_int_equal(generation_of(fixture), before + 1);
    kl_buf_done(&first);
    kl_buf_done(&again);
}

static void test_a_rotation_cut_short_after_its_commit_is_done_when_asked_for_again(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_idempotency key = key_of("rotate-1", 1);
    uint64_t before = generation_of(fixture);
    struct kl_json *json = NULL;
    struct kl_buf answer;
    bool replayed = false;

    kl_buf_init(&answer, TEXT_BYTES);
    cut_short_after_the_commit(fixture);
    assert_int_equal(rotate(fixture, &key, &answer, &replayed), KL_ERR_UNAVAILABLE);
    assert_int_equal(answer.size, 0);
    assert_int_equal(generation_of(fixture), before + 1);
    fixture_reopen(fixture);
    before = generation_of(fixture);
    assert_int_equal(rotate(fixture, &key, &answer, &replayed), KL_OK);
    assert_true(replayed);
    assert_int_equal(generation_of(fixture), before);
    json = parsed(&answer);
    assert_string_equal(text_in(json, "state"), "done");
    kl_json_free(json);
    kl_buf_done(&answer);
}

/* ---- notes ---- */

static void test_notes_with_a_mark_read_back_and_damaged_ones_are_refused(void **state)
{
    struct vault_note note = {.kind = VAULT_NOTE_SUBJECT, .tenant = 1, .once = true};
    struct vault_note read = {0};
    struct kl_err err = {0};
    struct kl_buf text;
    size_t i;

    (void)state;
    note.mark.tenant = 3;
    memset(note.mark.mac, 4, sizeof note.mark.mac);
    memset(note.mark.fingerprint, 5, sizeof note.mark.fingerprint);
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    assert_int_equal(vault_note_encode(&note, &text, NULL), KL_OK);
    for (i = 0; i < text.size; i++) {
        kl_err_clear(&err);
        assert_int_equal(vault_note_decode(kl_slice_of(text.bytes, i), &read, &err),
                         KL_ERR_CORRUPT);
        assert_string_equal(err.code, "key_note_damaged");
    }
    assert_false(read.once);
    assert_int_equal(vault_note_decode(kl_buf_slice(&text), &read, NULL), KL_OK);
    assert_memory_equal(&note, &read, sizeof note);
    text.bytes[0] = 6;
    assert_int_equal(vault_note_decode(kl_buf_slice(&text), &read, &err), KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

/* What is behind the mark: count 4 (before version 5: 1, and the lines), request 16, of 16, an empty name 4, public key 32; cohort 8, given 16. */
#define GIVEN_BYTES (8 + KL_ID_BYTES)
#define MORE_BYTES (4 + KL_ID_BYTES + KL_ID_BYTES + 4 + KMS_PUBLIC_KEY_BYTES + GIVEN_BYTES)
#define MARK_BYTES                                  \
    (8 + sizeof((struct vault_note *)0)->mark.mac + \
     sizeof((struct vault_note *)0)->mark.fingerprint)

/* As versions before 5 wrote it, with that many lines. */
static void encode_earlier(const struct vault_note *note, unsigned char lines, struct kl_buf *ret)
{
    static const unsigned char line[8 + 8 + VAULT_COMMITMENT_BYTES];
    struct kl_buf text;
    unsigned char i;

    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    assert_int_equal(vault_note_encode(note, &text, NULL), KL_OK);
    kl_buf_clear(ret);
    kl_buf_add(ret, text.bytes, text.size - MORE_BYTES);
    ret->bytes[0] = 4;
    kl_buf_add_byte(ret, lines);
    for (i = 0; i < lines; i++) {
        kl_buf_add(ret, line, sizeof line);
        kl_buf_add_sized(ret, "bookkeeping", 11);
    }
    kl_buf_add(ret, text.bytes + text.size - MORE_BYTES + 4, MORE_BYTES - 4);
    kl_buf_done(&text);
}

static void test_notes_of_earlier_versions_are_still_read(void **state)
{
    struct vault_note note = {.kind = VAULT_NOTE_RECORD, .tenant = 7, .notify_all = true};
    struct vault_note read = {0};
    struct kl_buf text;
    size_t flags = 0;

    (void)state;
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    encode_earlier(&note, 48, &text);
    note.retained = 48;
    assert_int_equal(vault_note_decode(kl_buf_slice(&text), &read, NULL), KL_OK);
    assert_memory_equal(&note, &read, sizeof note);
    encode_earlier(&note, 49, &text);
    assert_int_equal(vault_note_decode(kl_buf_slice(&text), &read, NULL), KL_ERR_CORRUPT);
    note.retained = 0;
    encode_earlier(&note, 0, &text);
    text.bytes[0] = 3;
    assert_int_equal(
        vault_note_decode(kl_slice_of(text.bytes, text.size - GIVEN_BYTES), &read, NULL), KL_OK);
    assert_memory_equal(&note, &read, sizeof note);
    text.bytes[0] = 1;
    assert_int_equal(
        vault_note_decode(kl_slice_of(text.bytes, text.size - (MORE_BYTES - 3) - 1), &read, NULL),
        KL_OK);
    assert_memory_equal(&note, &read, sizeof note);

    note.once = true;
    memset(note.mark.mac, 4, sizeof note.mark.mac);
    kl_buf_clear(&text);
    assert_int_equal(vault_note_encode(&note, &text, NULL), KL_OK);
    text.bytes[0] = 2;
    flags = text.size - MORE_BYTES - MARK_BYTES - 1;
    memmove(text.bytes + flags, text.bytes + flags + 1, MARK_BYTES);
    memset(&read, 0, sizeof read);
    assert_int_equal(
        vault_note_decode(kl_slice_of(text.bytes, text.size - MORE_BYTES - 1), &read, NULL), KL_OK);
    assert_memory_equal(&note, &read, sizeof note);
    kl_buf_done(&text);
}

static void test_a_note_of_retained_records_reads_back(void **state)
{
    static struct vault_note note = {
        .kind = VAULT_NOTE_SUBJECT, .notify_all = true, .retained = VAULT_RETAINED_MAX};
    static struct vault_note read;
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    assert_int_equal(vault_note_encode(&note, &text, NULL), KL_OK);
    assert_int_equal(vault_note_decode(kl_buf_slice(&text), &read, NULL), KL_OK);
    assert_memory_equal(&read, &note, sizeof note);
    kl_buf_clear(&text);
    note.retained++;
    assert_int_equal(vault_note_encode(&note, &text, NULL), KL_OK);
    assert_int_equal(vault_note_decode(kl_buf_slice(&text), &read, NULL), KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

static void test_the_largest_note_with_a_mark_fits(void **state)
{
    static struct vault_note note = {.kind = VAULT_NOTE_SUBJECT, .once = true};
    struct kl_buf text;

    (void)state;
    memset(note.role, 'r', sizeof note.role - 1);
    memset(note.request_id, 'q', sizeof note.request_id - 1);
    memset(note.location.code, 'L', sizeof note.location.code - 1);
    note.notify_bytes = sizeof note.notify;
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    assert_int_equal(vault_note_encode(&note, &text, NULL), KL_OK);
    kl_buf_done(&text);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_erasure_asked_for_again_gets_the_receipt_of_the_first),
        TEST(test_the_receipt_is_found_after_the_keys_were_rotated),
        TEST(test_another_request_with_the_key_of_an_erasure_is_refused),
        TEST(test_the_key_of_an_erasure_is_its_credentials_alone_and_for_a_day),
        TEST(test_a_refused_erasure_leaves_its_key_free),
        TEST(test_what_is_kept_of_an_erasure_leads_to_nobody),
        TEST(test_of_many_erasures_at_once_all_get_one_receipt),
        TEST(test_an_erasure_cut_short_after_its_commit_is_answered_at_the_next_open),
        TEST(test_a_rotation_asked_for_again_is_the_same_job),
        TEST(test_a_rotation_cut_short_after_its_commit_is_done_when_asked_for_again),
        cmocka_unit_test(test_notes_with_a_mark_read_back_and_damaged_ones_are_refused),
        cmocka_unit_test(test_notes_of_earlier_versions_are_still_read),
        cmocka_unit_test(test_a_note_of_retained_records_reads_back),
        cmocka_unit_test(test_the_largest_note_with_a_mark_fits),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
