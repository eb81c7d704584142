#include "kluis/base/trail.h"

#include "tests/support/test.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static unsigned char keys[2][KL_TRAIL_KEY_BYTES];
static unsigned char secrets[2][crypto_sign_SECRETKEYBYTES];

static int setup(void **state)
{
    (void)state;
    assert_true(sodium_init() >= 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(crypto_sign_keypair(keys[i], secrets[i]), 0);
    }
    return 0;
}

static struct kl_trail_head head_made(void)
{
    struct kl_trail_head head = {
        .tenant = "default", .size = 23, .at = "2026-03-02T09:15:00.000000Z"};
    struct kl_buf text;

    memset(head.root, 7, sizeof head.root);
    memcpy(head.key, keys[0], sizeof head.key);
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_head_text(&head, &text);
    assert_int_equal(crypto_sign_detached(head.signature, NULL, text.bytes, text.size, secrets[0]),
                     0);
    kl_buf_done(&text);
    return head;
}

static struct kl_trail_link link_made(uint32_t number, int old_key, bool with_backup_key)
{
    struct kl_trail_link link = {.tenant = "default",
                                 .number = number,
                                 .size = 20 + number,
                                 .at = "2026-03-02T09:15:00.000000Z",
                                 .has_backup_key = with_backup_key};
    struct kl_buf text;

    memcpy(link.old_key, keys[old_key], sizeof link.old_key);
    memcpy(link.new_key, keys[1 - old_key], sizeof link.new_key);
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_link_text(&link, &text);
    (void)crypto_sign_detached(link.old_signature, NULL, text.bytes, text.size, secrets[old_key]);
    (void)crypto_sign_detached(link.new_signature, NULL, text.bytes, text.size,
                               secrets[1 - old_key]);
    kl_buf_done(&text);
    return link;
}

static void test_the_lines_of_a_head_are_those_of_the_header(void **state)
{
    struct kl_trail_head head = head_made();
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_head_text(&head, &text);
    assert_true(kl_slice_equal_text(
        kl_buf_slice(&text),
        "kluis-audit-head-v1\ndefault\n23\n"
        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc\n2026-03-02T09:15:00.000000Z\n"));
    kl_buf_done(&text);
}

static void test_a_head_reads_back_and_holds(void **state)
{
    struct kl_trail_head head = head_made();
    struct kl_trail_head back;
    struct kl_json *json = NULL;
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_head_write(&head, &text);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    assert_int_equal(kl_trail_head_read(kl_json_root(json), &back, NULL), KL_OK);
    assert_true(kl_trail_head_holds(&back));
    assert_int_equal(back.size, 23);
    assert_string_equal(back.tenant, "default");
    back.size++;
    assert_false(kl_trail_head_holds(&back));
    back.size--;
    back.root[31] ^= 1;
    assert_false(kl_trail_head_holds(&back));
    back.root[31] ^= 1;
    back.at[0] = '1';
    assert_false(kl_trail_head_holds(&back));
    back.at[0] = '2';
    back.key[0] ^= 1;
    assert_false(kl_trail_head_holds(&back));
    kl_json_free(json);
    kl_buf_done(&text);
}

static void assert_no_head(const char *text)
{
    struct kl_trail_head head = {.size = 99};
    struct kl_json *json = NULL;
    struct kl_err err = {0};

    assert_int_equal(kl_json_parse(text, strlen(text), &json, NULL), KL_OK);
    assert_int_equal(kl_trail_head_read(kl_json_root(json), &head, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_head");
    assert_int_equal(head.size, 99);
    kl_json_free(json);
}

static void test_what_is_no_head_is_refused(void **state)
{
    static const char *const parts[] = {
        "\"default\"",
        "1",
        "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc\"",
        "\"2026-03-02T09:15:00.000000Z\"",
        "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc\"",
        "\"7JC67hT7nwMtuPffyVERGI8k3W-jC3tS9LKGFtX3kkk3Qd03GXnwIaBE2L8F9LxkIrfZItFD34_P3K0uv6_IDA\""};
    static const char *const bad[] = {"\"de\\nfault\"", "-1",   "\"Bwc\"",
                                      "\"today\"",      "null", "\"7JC6\""};
    char text[1024];

    (void)state;
    assert_no_head("[]");
    assert_no_head("{}");
    for (size_t i = 0; i < 6; i++) {
        const char *with[6];

        memcpy(with, parts, sizeof with);
        with[i] = bad[i];
        (void)snprintf(
            text, sizeof text,
            "{\"tenant\":%s,\"size\":%s,\"root_hash\":%s,\"at\":%s,\"public_key\":%s,\"signature\":%s}",
            with[0], with[1], with[2], with[3], with[4], with[5]);
        assert_no_head(text);
    }
}

static void test_a_link_reads_back_and_goes_on_after_the_one_before(void **state)
{
    struct kl_trail_link first = link_made(1, 0, true);
    struct kl_trail_link second = link_made(2, 1, false);
    struct kl_trail_link back;
    struct kl_json *json = NULL;
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_link_write(&first, &text);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    assert_int_equal(kl_trail_link_read(kl_json_root(json), "default", &back, NULL), KL_OK);
    assert_true(back.has_backup_key);
    assert_true(kl_trail_link_holds(&back, NULL));
    assert_true(kl_trail_link_holds(&second, &first));
    assert_false(kl_trail_link_holds(&second, NULL));
    assert_false(kl_trail_link_holds(&first, &second));
    assert_false(kl_trail_link_holds(&second, &second));
    back.backup_key[0] ^= 1;
    assert_false(kl_trail_link_holds(&back, NULL));
    back.backup_key[0] ^= 1;
    back.new_signature[0] ^= 1;
    assert_false(kl_trail_link_holds(&back, NULL));
    kl_json_free(json);
    assert_int_equal(kl_json_parse("{}", 2, &json, NULL), KL_OK);
    struct kl_err err = {0};
    assert_int_equal(kl_trail_link_read(kl_json_root(json), "default", &back, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_link");
    kl_json_free(json);
    kl_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_lines_of_a_head_are_those_of_the_header),
        cmocka_unit_test(test_a_head_reads_back_and_holds),
        cmocka_unit_test(test_what_is_no_head_is_refused),
        cmocka_unit_test(test_a_link_reads_back_and_goes_on_after_the_one_before),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
