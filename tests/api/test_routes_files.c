/* The calls about files on a real vault, without sockets. */
#include "tests/support/api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct test_api fixture;

static void photo_of(char ret_target[TEST_TARGET_BYTES], const char *query)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    static unsigned count;
    char email[64];

    snprintf(email, sizeof email, "p%u@example.be", count++);
    test_api_person(&fixture, email, false, subject, record);
    snprintf(ret_target, TEST_TARGET_BYTES, "/v1/subjects/%s/records/%s/files/photo%s", subject,
             record, query);
}

static struct test_call put_call(const char *target, const char *bytes)
{
    return (struct test_call){.method = "PUT",
                              .target = target,
                              .token = fixture.clerk.text,
                              .body = bytes,
                              .content_type = "image/png"};
}

/* All of an answer's stream, as a text. */
static void drain(struct api_response *response, char *ret_text, size_t size)
{
    struct kl_slice piece = {0};
    struct kl_err err = {0};
    size_t at = 0;

    assert_non_null(response->stream.next);
    do {
        assert_int_equal(response->stream.next(response->stream.context, &piece, &err), KL_OK);
        assert_true(at + piece.size < size);
        memcpy(ret_text + at, piece.bytes, piece.size);
        at += piece.size;
    } while (piece.size > 0);
    ret_text[at] = '\0';
    assert_int_equal(at, response->stream.bytes);
}

static void test_app_takes_a_file_and_gives_it_back(void **state)
{
    char target[TEST_TARGET_BYTES];
    char get[TEST_TARGET_BYTES + 32];
    char text[64];
    struct api_response response;
    struct kl_buf bytes = {0};
    struct kl_err err = {0};

    (void)state;
    photo_of(target, "");
    struct test_call put = put_call(target, "0123456789");
    test_api_expect(
        &fixture, &put, 200,
        "\"version\":2,\"file\":{\"size\":10,\"media_type\":\"image/png\",\"sha256\":\"84d89877");
    snprintf(get, sizeof get, "%s?purpose=care", target);
    struct test_call call = {.method = "GET", .target = get, .token = fixture.clerk.text};
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.content_type, "image/png");
    assert_int_equal(response.etag, 2);
    drain(&response, text, sizeof text);
    assert_string_equal(text, "0123456789");
    assert_int_equal(api_response_write(&response, "r", false, true, &bytes, &err), KL_OK);
    assert_non_null(strstr((const char *)bytes.bytes, "Content-Length: 10\r\n"));
    assert_non_null(strstr((const char *)bytes.bytes, "Content-Disposition: attachment\r\n"));
    assert_non_null(strstr((const char *)bytes.bytes, "Accept-Ranges: bytes\r\n"));
    kl_buf_done(&bytes);
    assert_int_equal(atomic_load(&fixture.app.streams), 1);
    api_response_done(&response);
    assert_int_equal(atomic_load(&fixture.app.streams), 0);
}

static void test_app_gives_the_range_that_was_asked_for(void **state)
{
    char target[TEST_TARGET_BYTES];
    char get[TEST_TARGET_BYTES + 32];
    char text[64];
    struct api_response response;

    (void)state;
    photo_of(target, "");
    struct test_call put = put_call(target, "0123456789");
    test_api_expect(&fixture, &put, 200, NULL);
    snprintf(get, sizeof get, "%s?purpose=care", target);
    struct test_call call = {.method = "GET",
                             .target = get,
                             .token = fixture.clerk.text,
                             .headers = {{"Range", "bytes=2-4"}}};
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 206);
    assert_string_equal(response.range, "bytes 2-4/10");
    drain(&response, text, sizeof text);
    assert_string_equal(text, "234");
    api_response_done(&response);
    call.headers[0].value = "bytes=10-";
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 416);
    assert_string_equal(response.range, "bytes */10");
    assert_null(response.stream.next);
    api_response_done(&response);
    call.headers[1] = (struct api_header){"If-Range", "\"1\""};
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    api_response_done(&response);
    assert_int_equal(atomic_load(&fixture.app.streams), 0);
}

static void test_app_refuses_before_it_reads(void **state)
{
    char target[TEST_TARGET_BYTES];

    (void)state;
    photo_of(target, "");
    struct test_call put = put_call(target, "0123456789");
    fixture.app.file_max_bytes = 9;
    test_api_expect(&fixture, &put, 413, "file_too_large");
    fixture.app.file_max_bytes = 0;
    put.token = fixture.reader.text;
    test_api_expect(&fixture, &put, 404, "not_found");
    put.token = NULL;
    test_api_expect(&fixture, &put, 401, "unauthorised");
    put.token = fixture.clerk.text;
    put.headers[0] = (struct api_header){"If-Match", "\"7\""};
    test_api_expect(&fixture, &put, 412, "version_mismatch");
    put.headers[0].value = "7";
    test_api_expect(&fixture, &put, 400, "invalid_header");
    test_api_ask(&fixture, "PUT", target, fixture.clerk.text, NULL, 411, "length_required");
    assert_int_equal(atomic_load(&fixture.app.streams), 0);
}

static void test_app_takes_no_more_streams_than_it_has_workers_for(void **state)
{
    char target[TEST_TARGET_BYTES];

    (void)state;
    photo_of(target, "");
    struct test_call put = put_call(target, "0123456789");
    fixture.app.streams_max = 1;
    atomic_store(&fixture.app.streams, 1);
    test_api_expect(&fixture, &put, 503, "streams_under_way");
    photo_of(target, "?purpose=care");
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 503, "streams_under_way");
    assert_int_equal(atomic_load(&fixture.app.streams), 1);
    atomic_store(&fixture.app.streams, 0);
    fixture.app.streams_max = 0;
}

static void test_app_says_what_a_file_field_takes(void **state)
{
    char target[TEST_TARGET_BYTES];
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];

    (void)state;
    photo_of(target, "?purpose=care");
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 404, "not_found");
    test_api_person(&fixture, "other@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s/files/name", subject, record);
    struct test_call put = put_call(target, "0123456789");
    test_api_expect(&fixture, &put, 422, "not_a_file");
    test_api_ask(&fixture, "POST", "/v1/subjects", fixture.clerk.text,
                 "{\"records\":[{\"type\":\"person\",\"fields\":{\"photo\":\"x\"}}]}", 422,
                 "value_is_a_file");
}

static int setup(void **state)
{
    (void)state;
    test_api_start(&fixture);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_api_stop(&fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_app_takes_a_file_and_gives_it_back),
        cmocka_unit_test(test_app_gives_the_range_that_was_asked_for),
        cmocka_unit_test(test_app_refuses_before_it_reads),
        cmocka_unit_test(test_app_takes_no_more_streams_than_it_has_workers_for),
        cmocka_unit_test(test_app_says_what_a_file_field_takes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
