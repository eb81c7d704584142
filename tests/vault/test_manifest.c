#include "vault/manifest.h"

#include "tests/support/test.h"

#include <string.h>

static struct kl_arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = kl_arena_new(16 * 1024 * 1024);
    return arena == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    kl_arena_free(arena);
    return 0;
}

static struct vault_manifest_field fields[] = {
    {"email", VAULT_TYPE_EMAIL, VAULT_INDEX_UNIQUE, 3, 1},
    {"notes", VAULT_TYPE_TEXT, VAULT_INDEX_NONE, 900, 7}};
static struct vault_manifest_field past[] = {{"email", VAULT_TYPE_EMAIL, VAULT_INDEX_MANY, 4, 1}};

static struct vault_manifest_record a_record(void)
{
    struct vault_manifest_record record = {.id = {{1, 2, 3}},
                                           .type = "client",
                                           .source = "web-form",
                                           .version = 7,
                                           .created_us = 1234567,
                                           .fields = fields,
                                           .field_count = 2,
                                           .past = past,
                                           .past_count = 1};

    return record;
}

static struct kl_buf record_text(const struct vault_manifest_record *record)
{
    struct kl_buf text;

    kl_buf_init(&text, 1024 * 1024);
    assert_int_equal(vault_manifest_record_encode(record, &text, NULL), KL_OK);
    return text;
}

static struct kl_buf head_text(struct vault_head_record *records, size_t count)
{
    struct vault_head head = {.version = 9,
                              .epoch = 2,
                              .next_value = 40,
                              .gaps = {{5, 9}, {9, 12}, {20, 40}},
                              .gap_count = 3,
                              .has_ledger = true,
                              .base = kl_slice_text("base")};
    struct kl_buf text;

    head.records = records;
    head.record_count = count;
    kl_buf_init(&text, 4 * 1024 * 1024);
    assert_int_equal(vault_head_encode(&head, &text, NULL), KL_OK);
    return text;
}

static struct vault_ledger_entry entries[] = {
    {"mailing", NULL, "n1", "web", 5, 10, 0, 0, false},
    {"mailing", "speaker", "n1", "web", KMS_VALUE_NONE, 10, 99, 50, true},
};

static struct kl_buf ledger_text(void)
{
    struct vault_ledger ledger = {.entries = entries, .count = 2};
    struct kl_buf text;

    kl_buf_init(&text, 1024 * 1024);
    assert_int_equal(vault_ledger_encode(&ledger, &text, NULL), KL_OK);
    return text;
}

static void test_a_record_reads_back_as_it_was_written(void **state)
{
    struct vault_manifest_record record = a_record();
    struct vault_manifest_record read = {0};
    struct kl_buf text = record_text(&record);

    (void)state;
    assert_int_equal(vault_manifest_record_decode(kl_buf_slice(&text), arena, &read, NULL), KL_OK);
    assert_true(kl_id_equal(&read.id, &record.id));
    assert_string_equal(read.type, "client");
    assert_string_equal(read.source, "web-form");
    assert_int_equal(read.version, 7);
    assert_int_equal(read.created_us, 1234567);
    assert_int_equal(read.field_count, 2);
    assert_string_equal(read.fields[0].name, "email");
    assert_int_equal(read.fields[0].type, VAULT_TYPE_EMAIL);
    assert_int_equal(read.fields[0].index, VAULT_INDEX_UNIQUE);
    assert_int_equal(read.fields[1].value, 900);
    assert_int_equal(read.fields[1].version, 7);
    assert_int_equal(read.past_count, 1);
    assert_int_equal(read.past[0].value, 4);
    kl_buf_done(&text);
}

static void test_a_record_without_source_and_fields_reads_back(void **state)
{
    struct vault_manifest_record record = {.type = "client", .version = 1};
    struct vault_manifest_record read = {0};
    struct kl_buf text = record_text(&record);

    (void)state;
    assert_int_equal(vault_manifest_record_decode(kl_buf_slice(&text), arena, &read, NULL), KL_OK);
    assert_null(read.source);
    assert_int_equal(read.field_count, 0);
    kl_buf_done(&text);
}

static void test_a_head_with_gaps_that_are_none_is_damaged(void **state)
{
    static const struct vault_gap bad[][2] = {{{2, 9}, {20, 40}},  /* below all that is taken */
                                              {{5, 5}, {20, 40}},  /* empty */
                                              {{5, 9}, {8, 40}},   /* over each other */
                                              {{5, 9}, {20, 41}}}; /* not used yet */
    struct vault_head read = {.version = 77};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vault_head head = {.version = 9, .epoch = 2, .next_value = 40, .gap_count = 2};
        struct kl_buf text;

        memcpy(head.gaps, bad[i], sizeof bad[i]);
        kl_buf_init(&text, 1024);
        assert_int_equal(vault_head_encode(&head, &text, NULL), KL_OK);
        assert_int_equal(vault_head_decode(kl_buf_slice(&text), arena, &read, NULL),
                         KL_ERR_CORRUPT);
        assert_int_equal(read.version, 77);
        text.bytes[8 + 1 + 1 + 4 + 8] = VAULT_GAPS_MAX + 1;
        assert_int_equal(vault_head_decode(kl_buf_slice(&text), arena, &read, NULL),
                         KL_ERR_CORRUPT);
        kl_buf_done(&text);
    }
}

static void test_a_head_reads_back_as_it_was_written(void **state)
{
    struct vault_head_record records[] = {{3, {(const unsigned char *)"one", 3}},
                                          {900, {(const unsigned char *)"three", 5}}};
    struct vault_head read = {0};
    struct kl_buf text = head_text(records, 2);

    (void)state;
    assert_int_equal(vault_head_decode(kl_buf_slice(&text), arena, &read, NULL), KL_OK);
    assert_int_equal(read.version, 9);
    assert_int_equal(read.epoch, 2);
    assert_int_equal(read.next_value, 40);
    assert_int_equal(read.gap_count, 3);
    assert_int_equal(read.gaps[0].first, 5);
    assert_int_equal(read.gaps[2].first, 20);
    assert_int_equal(read.gaps[2].past, 40);
    assert_true(read.has_ledger);
    assert_true(kl_slice_equal_text(read.base, "base"));
    assert_int_equal(read.record_count, 2);
    assert_int_equal(read.records[1].value, 900);
    assert_true(kl_slice_equal_text(read.records[1].sealed, "three"));
    assert_int_equal(kl_get_u64be(text.bytes), 9);
    kl_buf_done(&text);
}

static void test_a_base_reads_back_as_it_was_written(void **state)
{
    struct vault_manifest_base base = {.subject = {{9, 8}},
                                       .residency = VAULT_RESIDENCY_NONE,
                                       .moves = 3,
                                       .moved_us = 6,
                                       .created_us = 5,
                                       .token_seed = {1}};
    struct vault_manifest_base read = {0};
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, 1024);
    assert_int_equal(vault_manifest_base_encode(&base, &text, NULL), KL_OK);
    assert_int_equal(vault_manifest_base_decode(kl_buf_slice(&text), &read, NULL), KL_OK);
    assert_true(kl_id_equal(&read.subject, &base.subject));
    assert_int_equal(read.residency, VAULT_RESIDENCY_NONE);
    assert_int_equal(read.moves, 3);
    assert_int_equal(read.moved_us, 6);
    assert_int_equal(read.created_us, 5);
    assert_int_equal(read.token_seed[0], 1);
    text.bytes[17] = 7; /* no such residency */
    assert_int_equal(vault_manifest_base_decode(kl_buf_slice(&text), &read, NULL), KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

static void test_a_base_has_its_handles_behind_it(void **state)
{
    struct vault_manifest_base base = {.subject = {{9, 8}}};
    struct vault_manifest_base read = {0};
    struct kl_buf text;
    size_t without = 0;
    size_t i;

    (void)state;
    kl_buf_init(&text, 4096);
    assert_int_equal(vault_manifest_base_encode(&base, &text, NULL), KL_OK);
    without = text.size;
    assert_int_equal(text.bytes[0], 1);
    for (base.handle_count = 0; base.handle_count < VAULT_HANDLES_MAX; base.handle_count++) {
        memset(base.handles[base.handle_count], (int)base.handle_count, VAULT_HANDLE_BYTES);
    }
    kl_buf_clear(&text);
    assert_int_equal(vault_manifest_base_encode(&base, &text, NULL), KL_OK);
    assert_int_equal(text.size, without + 2 + sizeof base.handles);
    assert_int_equal(vault_manifest_base_decode(kl_buf_slice(&text), &read, NULL), KL_OK);
    assert_int_equal(read.handle_count, VAULT_HANDLES_MAX);
    assert_memory_equal(read.handles, base.handles, sizeof base.handles);
    memset(&read, 0, sizeof read);
    for (i = 0; i < text.size; i++) {
        assert_int_equal(vault_manifest_base_decode(kl_slice_of(text.bytes, i), &read, NULL),
                         KL_ERR_CORRUPT);
        assert_int_equal(read.handle_count, 0);
    }
    text.bytes[without + 1]++; /* one more than there may be */
    assert_int_equal(vault_manifest_base_decode(kl_buf_slice(&text), &read, NULL), KL_ERR_CORRUPT);
    text.bytes[without] = 0;
    text.bytes[without + 1] = 0; /* none: that is the other format */
    assert_int_equal(vault_manifest_base_decode(kl_slice_of(text.bytes, without + 2), &read, NULL),
                     KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

static void test_a_ledger_reads_back_as_it_was_written(void **state)
{
    struct vault_ledger read = {0};
    struct kl_buf text = ledger_text();

    (void)state;
    assert_int_equal(vault_ledger_decode(kl_buf_slice(&text), arena, &read, NULL), KL_OK);
    assert_int_equal(read.count, 2);
    assert_null(read.entries[0].recipient);
    assert_int_equal(read.entries[0].evidence, 5);
    assert_string_equal(read.entries[1].recipient, "speaker");
    assert_int_equal(read.entries[1].expires_us, 99);
    assert_int_equal(read.entries[1].withdrawn_us, 50);
    assert_true(read.entries[1].is_explicit);
    kl_buf_done(&text);
}

static void test_texts_cut_short_at_any_byte_are_refused(void **state)
{
    struct vault_head_record records[] = {{2, {(const unsigned char *)"one", 3}}};
    struct vault_manifest_record record = a_record();
    struct kl_buf texts[3] = {record_text(&record), head_text(records, 1), ledger_text()};
    struct vault_manifest_record read_record = {0};
    struct vault_head read_head = {0};
    struct vault_ledger read_ledger = {0};
    struct kl_err err;
    size_t size;

    (void)state;
    for (size = 0; size < texts[0].size; size++) {
        kl_err_clear(&err);
        assert_int_equal(vault_manifest_record_decode(kl_slice_of(texts[0].bytes, size), arena,
                                                      &read_record, &err),
                         KL_ERR_CORRUPT);
        assert_string_equal(err.code, "manifest_damaged");
        assert_null(read_record.type);
    }
    for (size = 0; size < texts[1].size; size++) {
        assert_int_equal(
            vault_head_decode(kl_slice_of(texts[1].bytes, size), arena, &read_head, NULL),
            KL_ERR_CORRUPT);
        assert_int_equal(read_head.version, 0);
    }
    for (size = 0; size < texts[2].size; size++) {
        assert_int_equal(
            vault_ledger_decode(kl_slice_of(texts[2].bytes, size), arena, &read_ledger, NULL),
            KL_ERR_CORRUPT);
        assert_int_equal(read_ledger.count, 0);
    }
    for (size = 0; size < 3; size++) {
        kl_buf_done(&texts[size]);
    }
}

static void test_texts_with_more_behind_them_are_refused(void **state)
{
    struct vault_manifest_record record = a_record();
    struct kl_buf text = record_text(&record);
    struct vault_manifest_record read = {0};

    (void)state;
    kl_buf_add_byte(&text, 0);
    assert_int_equal(vault_manifest_record_decode(kl_buf_slice(&text), arena, &read, NULL),
                     KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

static void test_another_format_is_refused(void **state)
{
    struct vault_manifest_record record = a_record();
    struct kl_buf text = record_text(&record);
    struct vault_manifest_record read = {0};

    (void)state;
    text.bytes[0]++;
    assert_int_equal(vault_manifest_record_decode(kl_buf_slice(&text), arena, &read, NULL),
                     KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

static void test_numbers_of_value_slots_that_belong_to_others_are_refused(void **state)
{
    struct vault_head_record records[] = {{VAULT_VALUE_LEDGER, {(const unsigned char *)"one", 3}}};
    struct kl_buf text = head_text(records, 1);
    struct vault_head read = {0};

    (void)state;
    assert_int_equal(vault_head_decode(kl_buf_slice(&text), arena, &read, NULL), KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

static void test_a_name_with_a_zero_byte_inside_is_refused(void **state)
{
    struct vault_manifest_record record = a_record();
    struct kl_buf text = record_text(&record);
    struct vault_manifest_record read = {0};

    (void)state;
    text.bytes[1 + KL_ID_BYTES + 1 + 2] = 0;
    assert_int_equal(vault_manifest_record_decode(kl_buf_slice(&text), arena, &read, NULL),
                     KL_ERR_CORRUPT);
    kl_buf_done(&text);
}

static void test_a_head_that_is_too_large_is_not_written(void **state)
{
    static unsigned char sealed[1024 * 1024];
    struct vault_head_record records[] = {{2, {sealed, sizeof sealed}},
                                          {3, {sealed, sizeof sealed}}};
    struct vault_head head = {.version = 1, .records = records, .record_count = 2};
    struct kl_err err = {0};
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, 4 * 1024 * 1024);
    assert_int_equal(vault_head_encode(&head, &text, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "subject_full");
    kl_buf_done(&text);
}

static void test_a_record_manifest_that_is_too_large_is_not_written(void **state)
{
    static struct vault_manifest_field many[VAULT_FIELDS_INPUT_MAX];
    static char name[VAULT_MANIFEST_NAME_MAX_BYTES + 1];
    struct vault_manifest_record record = {
        .type = "client", .version = 1, .fields = many, .field_count = VAULT_FIELDS_INPUT_MAX};
    struct kl_err err = {0};
    struct kl_buf text;
    size_t i;

    (void)state;
    memset(name, 'a', sizeof name - 1);
    for (i = 0; i < VAULT_FIELDS_INPUT_MAX; i++) {
        many[i] = (struct vault_manifest_field){.name = name, .value = 2 + i, .version = 1};
    }
    kl_buf_init(&text, 1024 * 1024);
    assert_int_equal(vault_manifest_record_encode(&record, &text, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "record_full");
    kl_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_reads_back_as_it_was_written),
        cmocka_unit_test(test_a_record_without_source_and_fields_reads_back),
        cmocka_unit_test(test_a_head_reads_back_as_it_was_written),
        cmocka_unit_test(test_a_head_with_gaps_that_are_none_is_damaged),
        cmocka_unit_test(test_a_base_reads_back_as_it_was_written),
        cmocka_unit_test(test_a_base_has_its_handles_behind_it),
        cmocka_unit_test(test_a_ledger_reads_back_as_it_was_written),
        cmocka_unit_test(test_texts_cut_short_at_any_byte_are_refused),
        cmocka_unit_test(test_texts_with_more_behind_them_are_refused),
        cmocka_unit_test(test_another_format_is_refused),
        cmocka_unit_test(test_numbers_of_value_slots_that_belong_to_others_are_refused),
        cmocka_unit_test(test_a_name_with_a_zero_byte_inside_is_refused),
        cmocka_unit_test(test_a_head_that_is_too_large_is_not_written),
        cmocka_unit_test(test_a_record_manifest_that_is_too_large_is_not_written),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
