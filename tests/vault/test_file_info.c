#include "tests/support/test.h"
#include "vault/files.h"

#include <string.h>

static const struct vault_file_place a_place = {
    .of = {1, 0x44, 0x10000000006}, .id = 0xb8e3edd3fe6c04ff, .bytes = 70000};

static void test_a_name_is_numbers_and_reads_back(void **state)
{
    char name[VAULT_FILE_NAME_BYTES];
    struct vault_file_place seen = {0};

    (void)state;
    vault_file_name(&a_place, name);
    assert_string_equal(name, "0000000001-0000000044-0000010000000006-b8e3edd3fe6c04ff.file");
    assert_true(vault_file_name_parse(name, &seen));
    assert_int_equal(seen.of.tenant, 1);
    assert_int_equal(seen.of.slot, 0x44);
    assert_int_equal(seen.of.value, 0x10000000006);
    assert_true(seen.id == a_place.id);
}

static void test_other_names_are_none(void **state)
{
    static const char *const bad[] = {
        "",
        "000012.sst",
        "0000000001-0000000044-0000010000000006-b8e3edd3fe6c04ff.file.part",
        "0000000001-0000000044-0000010000000006-b8e3edd3fe6c04ff",
        "0000000001-0000000044-0000010000000006-B8E3EDD3FE6C04FF.file",
        "000000001-0000000044-0000010000000006-b8e3edd3fe6c04ff.file",
        "0000000001_0000000044-0000010000000006-b8e3edd3fe6c04ff.file",
        "0000000001-0000000044-0000010000000006-b8e3edd3fe6c04f"};
    struct vault_file_place seen = {.id = 7};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(vault_file_name_parse(bad[i], &seen));
    }
    assert_int_equal(seen.id, 7);
}

static void test_a_file_has_a_chunk_for_each_begun_64_kib_and_never_none(void **state)
{
    (void)state;
    assert_int_equal(vault_file_chunks(0), 1);
    assert_int_equal(vault_file_chunks(1), 1);
    assert_int_equal(vault_file_chunks(65536), 1);
    assert_int_equal(vault_file_chunks(65537), 2);
    assert_int_equal(vault_file_sealed_bytes(0), KMS_SEAL_OVERHEAD_BYTES);
    assert_int_equal(vault_file_sealed_bytes(65537), 65537 + 2 * KMS_SEAL_OVERHEAD_BYTES);
}

static void test_a_row_reads_back_and_others_are_refused(void **state)
{
    unsigned char row[VAULT_FILE_ROW_BYTES];
    struct vault_file_place seen = {0};

    (void)state;
    vault_file_row(&a_place, row);
    assert_true(vault_file_row_parse(kl_slice_of(row, sizeof row), &seen));
    assert_true(seen.id == a_place.id && seen.bytes == a_place.bytes);
    seen.id = 7;
    assert_false(vault_file_row_parse(kl_slice_of(row, sizeof row - 1), &seen));
    row[8] = 0xff; /* larger than any file */
    assert_false(vault_file_row_parse(kl_slice_of(row, sizeof row), &seen));
    assert_int_equal(seen.id, 7);
}

static void test_a_context_differs_by_file_chunk_and_end(void **state)
{
    unsigned char one[VAULT_FILE_CONTEXT_BYTES];
    unsigned char other[VAULT_FILE_CONTEXT_BYTES];
    struct vault_file_place place = a_place;

    (void)state;
    vault_file_context(&a_place, 5, false, one);
    vault_file_context(&a_place, 6, false, other);
    assert_memory_not_equal(one, other, sizeof one);
    vault_file_context(&a_place, 5, true, other);
    assert_memory_not_equal(one, other, sizeof one);
    place.id++;
    vault_file_context(&place, 5, false, other);
    assert_memory_not_equal(one, other, sizeof one);
}

static void test_media_types_are_those_of_rfc_9110(void **state)
{
    static const char *const good[] = {"a/b", "application/pdf", "text/plain; charset=utf-8",
                                       "text/plain;charset=\"utf-8\"",
                                       "application/vnd.a+json;a=b; c=\"d e\""};
    static const char *const bad[] = {"",       "text",          "/",           "text/",
                                      "/plain", "text plain",    "text/plain;", "text/plain; a",
                                      "a/b;=c", "a/b; c=\"d",    "a/b c",       "a/b\r\nX: y",
                                      "a//b",   "a/b; c=\"\\\"", "t\xc3\xa9/b", "a/b;c=d "};
    char longest[VAULT_MEDIA_TYPE_MAX_BYTES + 2];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(vault_media_type_valid(good[i], strlen(good[i])));
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(vault_media_type_valid(bad[i], strlen(bad[i])));
    }
    memset(longest, 'a', sizeof longest);
    longest[1] = '/';
    assert_true(vault_media_type_valid(longest, VAULT_MEDIA_TYPE_MAX_BYTES));
    assert_false(vault_media_type_valid(longest, VAULT_MEDIA_TYPE_MAX_BYTES + 1));
    assert_false(vault_media_type_valid("a/b\0c", 5));
}

#define WITH_HASH(media)                   \
    ("{\"size\":1,\"media_type\":\"" media \
     "\",\"sha256\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}")

static void test_what_is_known_reads_back_and_damage_is_seen(void **state)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "{\"size\":-1,\"media_type\":\"a/b\",\"sha256\":\"\"}",
                                      WITH_HASH("a"),
                                      "{\"size\":1,\"media_type\":\"a/b\",\"sha256\":\"9f\"}"};
    struct vault_file_info info = {.bytes = 12, .media_type = "a/b", .sha256 = {1, 2, 255}};
    struct vault_file_info seen = {0};
    struct kl_err err = {0};
    struct kl_buf text;
    size_t i;

    (void)state;
    kl_buf_init(&text, 1024);
    vault_file_info_write(&info, &text);
    assert_int_equal(vault_file_info_parse(kl_buf_slice(&text), &seen, &err), KL_OK);
    assert_int_equal(seen.bytes, 12);
    assert_string_equal(seen.media_type, "a/b");
    assert_memory_equal(seen.sha256, info.sha256, sizeof info.sha256);
    kl_buf_done(&text);
    seen.bytes = 7;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kl_err_clear(&err);
        assert_int_equal(vault_file_info_parse(kl_slice_text(bad[i]), &seen, &err), KL_ERR_CORRUPT);
        assert_string_equal(err.code, "file_damaged");
    }
    assert_int_equal(seen.bytes, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_numbers_and_reads_back),
        cmocka_unit_test(test_other_names_are_none),
        cmocka_unit_test(test_a_file_has_a_chunk_for_each_begun_64_kib_and_never_none),
        cmocka_unit_test(test_a_row_reads_back_and_others_are_refused),
        cmocka_unit_test(test_a_context_differs_by_file_chunk_and_end),
        cmocka_unit_test(test_media_types_are_those_of_rfc_9110),
        cmocka_unit_test(test_what_is_known_reads_back_and_damage_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
