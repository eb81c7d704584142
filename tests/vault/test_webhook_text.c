/* Targets and events as texts: what a URL may be, what is written is read, what is signed. */
#include "vault/webhook_text.h"

#include "kluis/base/json.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static void test_a_url_is_https_and_nothing_that_two_readers_take_differently(void **state)
{
    static const char *const good[] = {
        "https://a",           "https://a.example/",   "https://a.example:8443/hooks/x?y=%20z&b[]",
        "https://a.example?x", "https://192.0.2.1:1/", "https://[2001:db8::1]:65535/x",
        "https://a/b@c"};
    static const char *const bad[] = {"",
                                      "http://a.example/",
                                      "HTTPS://a.example/",
                                      "https:/a",
                                      "https://",
                                      "https:///x",
                                      "https://:443/",
                                      "https://user@a.example/",
                                      "https://user:pass@a.example/",
                                      "https://a.example:/",
                                      "https://a.example:0/",
                                      "https://a.example:65536/",
                                      "https://a.example:123456/",
                                      "https://a.example/#x",
                                      "https://a.example\\@b.example/",
                                      "https://a.example/\\x",
                                      "https://a.example/ x",
                                      "https://a.example/\x01",
                                      "https://a.example/\xc3\xa9",
                                      "https://a.example/\"",
                                      "https://[::1/",
                                      "https://[]/",
                                      "https://[::1]x/",
                                      "https://.a/",
                                      "https://-a/",
                                      "https://a_b/",
                                      " https://a/"};
    char url[VAULT_WEBHOOK_URL_MAX_BYTES + 2] = "https://a/";

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!vault_webhook_url_valid(good[i])) {
            fail_msg("refused: %s", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (vault_webhook_url_valid(bad[i])) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    memset(url + 10, 'x', sizeof url - 10);
    url[VAULT_WEBHOOK_URL_MAX_BYTES] = '\0';
    assert_true(vault_webhook_url_valid(url));
    url[VAULT_WEBHOOK_URL_MAX_BYTES] = 'x';
    url[VAULT_WEBHOOK_URL_MAX_BYTES + 1] = '\0';
    assert_false(vault_webhook_url_valid(url));
}

static struct vault_webhook_text example(void)
{
    struct vault_webhook_text text = {.url = "https://a.example/x?y",
                                      .country = {"BE"},
                                      .events = VAULT_WEBHOOK_HEADS,
                                      .created_us = 17};

    memset(text.id.bytes, 0x11, sizeof text.id.bytes);
    memset(text.created_by.bytes, 0x22, sizeof text.created_by.bytes);
    memset(text.secret, 0x33, sizeof text.secret);
    return text;
}

static void test_what_is_written_of_a_target_is_read(void **state)
{
    const struct vault_webhook_text text = example();
    struct vault_webhook_text read = {.events = 0};
    struct kl_buf out;

    (void)state;
    kl_buf_init(&out, VAULT_WEBHOOK_TEXT_MAX_BYTES);
    vault_webhook_text_write(&text, &out);
    assert_true(vault_webhook_text_parse(kl_buf_slice(&out), &read));
    assert_string_equal(read.url, text.url);
    assert_string_equal(read.country.code, "BE");
    assert_int_equal(read.events, VAULT_WEBHOOK_HEADS);
    assert_memory_equal(read.secret, text.secret, sizeof text.secret);
    assert_true(kl_id_equal(&read.id, &text.id));
    assert_true(kl_id_equal(&read.created_by, &text.created_by));
    assert_int_equal(read.created_us, 17);
    for (size_t size = 0; size < out.size; size++) {
        memset(&read, 0x5a, sizeof read);
        assert_false(vault_webhook_text_parse(kl_slice_of(out.bytes, size), &read));
        assert_int_equal(read.created_us, 0x5a5a5a5a5a5a5a5a);
    }
    kl_buf_done(&out);
}

static void test_what_waits_is_read_as_it_was_written(void **state)
{
    struct vault_webhook_waiting waiting = {.made_us = 9, .body = kl_slice_text("{\"a\":1}")};
    struct vault_webhook_waiting read = {.made_us = 0};
    struct kl_buf out;

    (void)state;
    memset(waiting.event.bytes, 0x44, sizeof waiting.event.bytes);
    kl_buf_init(&out, 2 * VAULT_WEBHOOK_BODY_MAX_BYTES);
    vault_webhook_waiting_write(&waiting, &out);
    assert_true(vault_webhook_waiting_parse(kl_buf_slice(&out), &read));
    assert_true(kl_slice_equal(read.body, waiting.body));
    assert_true(kl_id_equal(&read.event, &waiting.event));
    assert_int_equal(read.made_us, 9);
    for (size_t size = 0; size <= 25; size++) { /* without a body too */
        assert_false(vault_webhook_waiting_parse(kl_slice_of(out.bytes, size), &read));
    }
    out.bytes[0] = 2;
    assert_false(vault_webhook_waiting_parse(kl_buf_slice(&out), &read));
    out.bytes[0] = 1;
    out.bytes[17] = 0x80; /* before all time */
    assert_false(vault_webhook_waiting_parse(kl_buf_slice(&out), &read));
    out.bytes[17] = 0;
    memset(kl_buf_extend(&out, VAULT_WEBHOOK_BODY_MAX_BYTES), 'x', VAULT_WEBHOOK_BODY_MAX_BYTES);
    assert_false(vault_webhook_waiting_parse(kl_buf_slice(&out), &read));
    kl_buf_done(&out);
}

/* The example of Standard Webhooks' reference libraries; HMAC fills a shorter key with zeros. */
static void test_a_signature_is_that_of_standard_webhooks(void **state)
{
    static const unsigned char secret[VAULT_WEBHOOK_SECRET_BYTES] = {
        0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a, 0xab, 0x4f, 0x08, 0xd4,
        0x3c, 0x3f, 0x08, 0x2c, 0xf6, 0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4, 0xb0};
    char signature[VAULT_WEBHOOK_SIGNATURE_BYTES];

    (void)state;
    vault_webhook_sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
                       kl_slice_text("{\"test\": 2432232314}"), signature);
    assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void test_an_event_is_a_cloud_event(void **state)
{
    struct vault_webhook_event event = {.store = "main",
                                        .tenant = "shop",
                                        .type = "kluis.test",
                                        .at_us = 0,
                                        .data = kl_slice_text("{\"n\":1}")};
    struct kl_buf out;

    (void)state;
    kl_buf_init(&out, 1024);
    vault_webhook_event_write(&event, &out);
    kl_buf_add_byte(&out, '\0');
    assert_string_equal(
        (const char *)out.bytes,
        "{\"specversion\":\"1.0\",\"id\":\"evt_00000000000000000000000000\",\"source\":\"/stores/"
        "main/tenants/shop\",\"type\":\"kluis.test\",\"time\":\"1970-01-01T00:00:00.000000Z\","
        "\"datacontenttype\":\"application/json\",\"data\":{\"n\":1}}");
    kl_buf_clear(&out);
    event.tenant = NULL;
    vault_webhook_event_write(&event, &out);
    kl_buf_add_byte(&out, '\0');
    assert_non_null(strstr((const char *)out.bytes, "\"source\":\"/stores/main\","));
    kl_buf_done(&out);
}

static void test_a_secret_is_shown_as_libraries_take_it(void **state)
{
    static const unsigned char secret[VAULT_WEBHOOK_SECRET_BYTES] = {0xff, 0xff, 0xff};
    struct vault_webhook_secret text;

    (void)state;
    vault_webhook_secret_text(secret, &text);
    assert_string_equal(text.text, "whsec_////AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_url_is_https_and_nothing_that_two_readers_take_differently),
        cmocka_unit_test(test_what_is_written_of_a_target_is_read),
        cmocka_unit_test(test_what_waits_is_read_as_it_was_written),
        cmocka_unit_test(test_a_signature_is_that_of_standard_webhooks),
        cmocka_unit_test(test_an_event_is_a_cloud_event),
        cmocka_unit_test(test_a_secret_is_shown_as_libraries_take_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
