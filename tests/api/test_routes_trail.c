/* Calls that prove what the audit trail says. */
#include "tests/support/api_fixture.h"
#include "tests/support/test.h"

#include "kluis/base/encode.h"
#include "kluis/base/json.h"
#include "kluis/base/merkle.h"

#include <stdio.h>
#include <string.h>

static struct test_api fixture;

static const char *steward(void)
{
    return fixture.vault.steward_token.text;
}

static void ask(const char *target, int status, const char *text)
{
    test_api_ask(&fixture, "GET", target, steward(), NULL, status, text);
}

static struct kl_json *get(const char *target)
{
    struct test_call call = {.method = "GET", .target = target, .token = steward()};
    struct api_response response;
    struct kl_json *json = NULL;

    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_int_equal(kl_json_parse(response.body.bytes, response.body.size, &json, NULL), KL_OK);
    api_response_done(&response);
    return json;
}

static const struct kl_json_value *member(const struct kl_json *json, const char *key)
{
    return kl_json_member(kl_json_root(json), key);
}

static int64_t number(const struct kl_json_value *value)
{
    int64_t ret = -1;

    assert_true(kl_json_int(value, &ret));
    return ret;
}

static void hash_of(const struct kl_json_value *value, unsigned char ret[KL_MERKLE_HASH_BYTES])
{
    const char *text = kl_json_text(value);

    assert_non_null(text);
    assert_true(kl_base64_decode(text, strlen(text), ret, KL_MERKLE_HASH_BYTES));
}

static size_t hashes_of(const struct kl_json *json, struct kl_merkle_hash *ret)
{
    struct kl_json_iter iter = kl_json_iter(member(json, "hashes"));
    const struct kl_json_value *item = NULL;
    size_t count = 0;

    while (kl_json_next(&iter, NULL, &item)) {
        assert_in_range(count, 0, KL_MERKLE_PROOF_MAX - 1);
        hash_of(item, ret[count++].bytes);
    }
    return count;
}

static void test_an_entry_that_was_read_can_be_proved(void **state)
{
    struct kl_json *entries = get("/v1/audit/entries?from=1&limit=1");
    struct kl_json_iter iter = kl_json_iter(member(entries, "entries"));
    const struct kl_json_value *entry = NULL;
    struct kl_merkle_hash hashes[KL_MERKLE_PROOF_MAX];
    unsigned char leaf[KL_MERKLE_HASH_BYTES];
    unsigned char told[KL_MERKLE_HASH_BYTES];
    unsigned char root[KL_MERKLE_HASH_BYTES];
    struct kl_json *proof = NULL;
    char target[TEST_TARGET_BYTES];
    const char *text = NULL;
    size_t count;

    (void)state;
    assert_true(kl_json_next(&iter, NULL, &entry));
    assert_int_equal(number(kl_json_member(entry, "index")), 1);
    assert_int_equal(number(member(entries, "next")), 2);
    text = kl_json_text(kl_json_member(entry, "text"));
    kl_merkle_leaf(kl_slice_text(text), leaf);
    hash_of(kl_json_member(entry, "leaf_hash"), told);
    assert_memory_equal(told, leaf, sizeof leaf);
    snprintf(target, sizeof target, "/v1/audit/proof?entry=%.30s", text + strlen("{\"id\":\""));
    proof = get(target);
    count = hashes_of(proof, hashes);
    hash_of(member(proof, "root_hash"), root);
    assert_int_equal(number(member(proof, "leaf_index")), 1);
    assert_true(
        kl_merkle_includes(1, (uint64_t)number(member(proof, "size")), leaf, hashes, count, root));
    kl_json_free(proof);
    kl_json_free(entries);
}

static void test_one_head_continues_another(void **state)
{
    struct kl_json *proof = get("/v1/audit/consistency?from=2");
    struct kl_merkle_hash hashes[KL_MERKLE_PROOF_MAX];
    unsigned char from[KL_MERKLE_HASH_BYTES];
    unsigned char to[KL_MERKLE_HASH_BYTES];
    size_t count = hashes_of(proof, hashes);

    (void)state;
    hash_of(member(proof, "from_root_hash"), from);
    hash_of(member(proof, "to_root_hash"), to);
    assert_true(
        kl_merkle_consistent(2, (uint64_t)number(member(proof, "to")), from, to, hashes, count));
    kl_json_free(proof);
}

static void test_pages_of_entries_join(void **state)
{
    int64_t next = 0;
    int64_t size = 4;

    (void)state;
    while (next < size) {
        char target[TEST_TARGET_BYTES];
        struct kl_json *page = NULL;

        snprintf(target, sizeof target, "/v1/audit/entries?from=%lld&limit=3", (long long)next);
        page = get(target);
        assert_int_equal(number(member(page, "from")), next);
        assert_true(number(member(page, "next")) > next);
        size = size == 4 ? number(member(page, "size")) : size;
        next = number(member(page, "next"));
        kl_json_free(page);
    }
    assert_true(size > 4);
    ask("/v1/audit?limit=1000", 200, "\"action\":\"audit_read\"");
}

static void test_what_is_asked_is_checked(void **state)
{
    (void)state;
    ask("/v1/audit/proof", 400, "invalid_parameter");
    ask("/v1/audit/proof?entry=aud_00000000000000000000000000&index=1", 400, "invalid_parameter");
    ask("/v1/audit/proof?index=x", 400, "invalid_parameter");
    ask("/v1/audit/proof?index=1234567890123456", 400, "invalid_parameter");
    ask("/v1/audit/proof?entry=sub_00000000000000000000000000", 400, "invalid_id");
    ask("/v1/audit/proof?entry=aud_00000000000000000000000000", 404, "not_found");
    ask("/v1/audit/proof?index=100000", 422, "invalid_index");
    ask("/v1/audit/proof?index=3&size=3", 422, "invalid_size");
    ask("/v1/audit/proof?index=3&size=100000", 422, "invalid_size");
    ask("/v1/audit/proof?index=3&size=4", 200, "\"leaf_index\":3,\"size\":4,");
    ask("/v1/audit/consistency", 422, "invalid_range");
    ask("/v1/audit/consistency?from=0", 422, "invalid_range");
    ask("/v1/audit/consistency?from=3&to=2", 422, "invalid_range");
    ask("/v1/audit/consistency?from=3&to=100000", 422, "invalid_range");
    ask("/v1/audit/consistency?from=3&to=3", 200, "\"hashes\":[]");
    ask("/v1/audit/entries?from=100000", 422, "invalid_range");
    ask("/v1/audit/entries?limit=0", 400, "invalid_limit");
    ask("/v1/audit/entries?entry=3", 400, "unknown_parameter");
}

static void test_only_who_may_see_the_trail_may_have_it_proved(void **state)
{
    static const char *const targets[] = {"/v1/audit/proof?index=0", "/v1/audit/consistency?from=1",
                                          "/v1/audit/entries"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        test_api_ask(&fixture, "GET", targets[i], fixture.reader.text, NULL, 403, "role_forbidden");
        test_api_ask(&fixture, "GET", targets[i], NULL, NULL, 401, NULL);
        test_api_ask(&fixture, "GET", targets[i], fixture.vault.operator_token.text, NULL, 200,
                     NULL);
    }
    test_api_ask(&fixture, "GET", "/v1/audit/entries?tenant=default",
                 fixture.vault.operator_token.text, NULL, 403, "role_forbidden");
}

static void test_a_run_that_lets_entries_go_is_asked_for_and_shown(void **state)
{
    char id[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    struct test_call call = {.method = "POST",
                             .target = "/v1/audit/prunes",
                             .token = steward(),
                             .body = "{\"dry_run\":true}"};
    struct api_response response;

    (void)state;
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 202);
    test_call_text(&response, "id", id, sizeof id);
    api_response_done(&response);
    assert_memory_equal(id, "prn_", 4);
    (void)snprintf(target, sizeof target, "/v1/audit/prunes/%s", id);
    ask(target, 200, "\"dry_run\":true");
    ask("/v1/audit/prunes", 200, id);
    ask("/v1/audit/prunes/prn_00000000000000000000000000", 404, "not_found");
    ask("/v1/audit/entries?limit=1", 200, "\"pruned\":null");
    test_api_ask(&fixture, "POST", "/v1/audit/prunes", steward(), "{\"dry\":true}", 422,
                 "unknown_key");
    test_api_ask(&fixture, "POST", "/v1/audit/prunes", steward(), "{\"per_second\":1}", 422,
                 "invalid_value");
    test_api_ask(&fixture, "POST", "/v1/audit/prunes?tenant=default",
                 fixture.vault.operator_token.text, "{\"dry_run\":true}", 403, "role_forbidden");
    test_api_ask(&fixture, "GET", target, fixture.vault.operator_token.text, NULL, 404,
                 "not_found");
}

static int group_setup(void **state)
{
    (void)state;
    test_api_start(&fixture);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    test_api_stop(&fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_that_was_read_can_be_proved),
        cmocka_unit_test(test_one_head_continues_another),
        cmocka_unit_test(test_pages_of_entries_join),
        cmocka_unit_test(test_what_is_asked_is_checked),
        cmocka_unit_test(test_only_who_may_see_the_trail_may_have_it_proved),
        cmocka_unit_test(test_a_run_that_lets_entries_go_is_asked_for_and_shown),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
