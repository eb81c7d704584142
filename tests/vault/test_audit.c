/* Entries, and the trail that keeps them. */
#include "vault/audit.h"

#include "kluis/base/encode.h"
#include "kluis/base/time.h"
#include "tests/support/store_fixture.h"
#include "tests/support/test.h"
#include "vault/audit_tree.h"
#include "vault/rows.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct vault_audit_who nobody = {.role = "operator", .at_us = 1700000000000000};

static void make_entry(struct vault_audit_entry *entry, uint64_t tenant, int64_t number)
{
    struct kl_json_out out;
    vault_audit_begin(entry, tenant, &nobody, "read", &out);
    kl_json_add_int(&out, "number", number);
    assert_int_equal(vault_audit_end(entry, &out, NULL), KL_OK);
}

/* Append one entry as a group of its own. */
static void append(struct vault_trails *trails, struct vault_store *store, uint64_t tenant,
                   int64_t number)
{
    struct vault_audit_entry entry;
    const struct vault_audit_entry *entries[1] = {&entry};
    struct vault_batch *batch = vault_batch_new();
    make_entry(&entry, tenant, number);
    assert_int_equal(vault_trails_append(trails, entries, 1, batch, NULL), KL_OK);
    vault_trails_frontiers(trails, batch);
    assert_int_equal(vault_store_apply(store, batch, false, NULL), KL_OK);
    vault_trails_applied(trails, true, true);
    vault_audit_done(&entry);
    vault_batch_free(batch);
}

/* The root over the rows as they lie in the store. */
static size_t root_of_rows(struct vault_store *store, uint64_t tenant,
                           unsigned char ret_root[VAULT_AUDIT_HASH_BYTES])
{
    struct kl_merkle_tree tree = {.size = 0};
    struct vault_row_key first = vault_row_audit(tenant, 0);
    struct vault_row_key past = vault_row_audit(tenant, UINT64_MAX);
    struct kl_slice key;
    struct kl_slice value;
    struct vault_iter *iter =
        vault_iter_new(store, vault_row_slice(&first), vault_row_slice(&past), false);
    while (vault_iter_next(iter, &key, &value)) {
        unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
        kl_merkle_leaf(value, leaf);
        assert_int_equal(kl_get_u64be(key.bytes + 9), tree.size);
        kl_merkle_append(&tree, leaf);
    }
    vault_iter_free(iter);
    kl_merkle_root(&tree, ret_root);
    return tree.size;
}

static const char *member(const struct kl_json *json, const char *key)
{
    return kl_json_text(kl_json_member(kl_json_root(json), key));
}

static struct kl_json *head_of(struct vault_trails *trails, uint64_t tenant)
{
    struct kl_json *json = NULL;
    struct kl_buf buf;
    kl_buf_init(&buf, 4096);
    assert_int_equal(vault_trails_head(trails, tenant, "default", &buf, NULL), KL_OK);
    assert_int_equal(kl_json_parse(buf.bytes, buf.size, &json, NULL), KL_OK);
    kl_buf_done(&buf);
    return json;
}

static void assert_head(struct vault_trails *trails, struct vault_store *store, uint64_t tenant)
{
    unsigned char root[VAULT_AUDIT_HASH_BYTES];
    char text[KL_BASE64_CHARS(VAULT_AUDIT_HASH_BYTES) + 1];
    int64_t size = -1;
    struct kl_json *head = head_of(trails, tenant);
    size_t rows = root_of_rows(store, tenant, root);
    kl_base64(root, sizeof(root), text);
    assert_true(kl_json_int(kl_json_member(kl_json_root(head), "size"), &size));
    assert_int_equal(size, rows);
    assert_string_equal(member(head, "root_hash"), text);
    kl_json_free(head);
}

static void test_an_entry_says_who_what_and_when(void **state)
{
    (void)state;
    struct vault_audit_entry entry;
    struct kl_json_out out;
    struct kl_json *json = NULL;
    struct kl_id credential = kl_id_new();
    unsigned char expected[VAULT_AUDIT_HASH_BYTES];
    char text[KL_ID_TEXT_BYTES];
    struct vault_audit_who who = {.credential = &credential,
                                  .role = "recruiter",
                                  .request_id = "req-1",
                                  .location = "IE",
                                  .at_us = 1700000000123456};
    vault_audit_begin(&entry, 7, &who, "read", &out);
    kl_json_add_text(&out, "purpose", "service");
    assert_int_equal(vault_audit_end(&entry, &out, NULL), KL_OK);
    assert_int_equal(entry.tenant, 7);
    assert_int_equal(kl_json_parse(entry.json.bytes, entry.json.size, &json, NULL), KL_OK);
    assert_int_equal(strncmp(member(json, "id"), "aud_", 4), 0);
    assert_string_equal(member(json, "at"), "2023-11-14T22:13:20.123456Z");
    assert_int_equal(strlen(member(json, "salt")), 22);
    assert_string_equal(member(json, "action"), "read");
    kl_id_format("cred", &credential, text);
    assert_string_equal(member(json, "credential"), text);
    assert_string_equal(member(json, "role"), "recruiter");
    assert_string_equal(member(json, "request_id"), "req-1");
    assert_string_equal(member(json, "location"), "IE");
    assert_string_equal(member(json, "purpose"), "service");
    kl_merkle_leaf(kl_buf_slice(&entry.json), expected);
    assert_memory_equal(entry.hash, expected, sizeof(expected));
    kl_json_free(json);
    vault_audit_done(&entry);
}

static void test_an_entry_of_the_vault_itself_names_no_credential(void **state)
{
    (void)state;
    struct vault_audit_entry entry;
    struct kl_json *json = NULL;
    make_entry(&entry, 0, 1);
    assert_int_equal(kl_json_parse(entry.json.bytes, entry.json.size, &json, NULL), KL_OK);
    assert_int_equal(kl_json_type(kl_json_member(kl_json_root(json), "credential")), KL_JSON_NULL);
    assert_int_equal(kl_json_type(kl_json_member(kl_json_root(json), "request_id")), KL_JSON_NULL);
    assert_null(kl_json_member(kl_json_root(json), "location"));
    kl_json_free(json);
    vault_audit_done(&entry);
}

static void test_equal_entries_hash_differently(void **state)
{
    (void)state;
    struct vault_audit_entry one;
    struct vault_audit_entry two;
    make_entry(&one, 0, 1);
    make_entry(&two, 0, 1);
    assert_memory_not_equal(one.hash, two.hash, VAULT_AUDIT_HASH_BYTES);
    vault_audit_done(&one);
    vault_audit_done(&two);
}

static void test_an_entry_has_a_maximum(void **state)
{
    (void)state;
    struct vault_audit_entry entry;
    struct kl_json_out out;
    struct kl_err err = {.status = KL_OK};
    char *large = calloc(1, VAULT_AUDIT_ENTRY_MAX_BYTES);
    memset(large, 'a', VAULT_AUDIT_ENTRY_MAX_BYTES - 1);
    vault_audit_begin(&entry, 0, &nobody, "read", &out);
    kl_json_add_text(&out, "fields", large);
    assert_int_equal(vault_audit_end(&entry, &out, &err), KL_ERR_TOO_LARGE);
    vault_audit_done(&entry);
    free(large);
}

static void test_the_trail_of_any_size_has_the_root_of_its_rows(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_trails *trails = vault_trails_new(fixture->keys->kms, fixture->store);
    assert_head(trails, fixture->store, fixture->tenant);
    for (int64_t i = 0; i < 40; i++) {
        append(trails, fixture->store, fixture->tenant, i);
        assert_head(trails, fixture->store, fixture->tenant);
    }
    vault_trails_free(trails);
}

static void test_a_trail_goes_on_after_a_restart(void **state)
{
    struct store_fixture *fixture = *state;
    for (int round = 0; round < 4; round++) {
        uint64_t size = 99;
        struct vault_trails *trails = vault_trails_new(fixture->keys->kms, fixture->store);
        for (int64_t i = 0; i < 5; i++) {
            append(trails, fixture->store, fixture->tenant, i);
        }
        assert_int_equal(vault_trails_size(trails, fixture->tenant, &size, NULL), KL_OK);
        assert_int_equal(size, 5 * (round + 1));
        assert_head(trails, fixture->store, fixture->tenant);
        vault_trails_free(trails);
        store_fixture_reopen(fixture);
    }
}

static void test_one_group_may_append_to_several_trails(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_trails *trails = vault_trails_new(fixture->keys->kms, fixture->store);
    struct vault_audit_entry made[6];
    const struct vault_audit_entry *entries[6];
    struct vault_batch *batch = vault_batch_new();
    uint64_t size = 0;
    for (int64_t i = 0; i < 6; i++) {
        make_entry(&made[i], i % 3 == 0 ? 0 : fixture->tenant, i);
        entries[i] = &made[i];
    }
    assert_int_equal(vault_trails_append(trails, entries, 4, batch, NULL), KL_OK);
    assert_int_equal(vault_trails_append(trails, entries + 4, 2, batch, NULL), KL_OK);
    vault_trails_frontiers(trails, batch);
    assert_int_equal(vault_store_apply(fixture->store, batch, false, NULL), KL_OK);
    assert_int_equal(vault_trails_size(trails, fixture->tenant, &size, NULL), KL_OK);
    assert_int_equal(size, 0); /* not yet: nobody said that it was applied */
    vault_trails_applied(trails, true, true);
    assert_int_equal(vault_trails_size(trails, fixture->tenant, &size, NULL), KL_OK);
    assert_int_equal(size, 4);
    assert_head(trails, fixture->store, fixture->tenant);
    assert_head(trails, fixture->store, 0);
    for (int i = 0; i < 6; i++) {
        vault_audit_done(&made[i]);
    }
    vault_batch_free(batch);
    vault_trails_free(trails);
}

static void test_a_group_given_up_never_was(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_trails *trails = vault_trails_new(fixture->keys->kms, fixture->store);
    struct vault_audit_entry entry;
    const struct vault_audit_entry *entries[1] = {&entry};
    struct vault_batch *batch = vault_batch_new();
    append(trails, fixture->store, fixture->tenant, 1);
    make_entry(&entry, fixture->tenant, 2);
    assert_int_equal(vault_trails_append(trails, entries, 1, batch, NULL), KL_OK);
    vault_trails_applied(trails, false, false);
    assert_head(trails, fixture->store, fixture->tenant);
    append(trails, fixture->store, fixture->tenant, 3);
    assert_head(trails, fixture->store, fixture->tenant);
    vault_audit_done(&entry);
    vault_batch_free(batch);
    vault_trails_free(trails);
}

static void test_a_damaged_frontier_is_told_and_adds_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_row_key key = vault_row_frontier(fixture->tenant);
    struct vault_trails *trails = NULL;
    struct vault_audit_entry entry;
    const struct vault_audit_entry *entries[1] = {&entry};
    struct vault_batch *batch = vault_batch_new();
    struct kl_err err = {.status = KL_OK};
    struct kl_buf head;
    uint64_t size = 99;
    kl_buf_init(&head, 4096);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_text("spoilt"));
    assert_int_equal(vault_store_apply(fixture->store, batch, false, NULL), KL_OK);
    vault_batch_clear(batch);
    trails = vault_trails_new(fixture->keys->kms, fixture->store);
    make_entry(&entry, fixture->tenant, 1);
    assert_int_equal(vault_trails_append(trails, entries, 1, batch, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "audit_frontier_corrupt");
    assert_int_equal(vault_batch_count(batch), 0);
    assert_int_equal(vault_trails_size(trails, fixture->tenant, &size, NULL), KL_ERR_CORRUPT);
    assert_int_equal(size, 99);
    assert_int_equal(vault_trails_head(trails, fixture->tenant, "default", &head, NULL),
                     KL_ERR_CORRUPT);
    assert_int_equal(head.size, 0);
    vault_audit_done(&entry);
    vault_batch_free(batch);
    kl_buf_done(&head);
    vault_trails_free(trails);
}

static void test_the_signature_is_over_the_five_lines(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_trails *trails = vault_trails_new(fixture->keys->kms, fixture->store);
    unsigned char signature[KMS_SIGNATURE_BYTES];
    unsigned char public_key[KMS_PUBLIC_KEY_BYTES];
    char message[512];
    append(trails, fixture->store, fixture->tenant, 1);
    struct kl_json *head = head_of(trails, fixture->tenant);
    const char *key_text = member(head, "public_key");
    const char *signature_text = member(head, "signature");
    assert_true(kl_base64_decode(key_text, strlen(key_text), public_key, sizeof(public_key)));
    assert_true(
        kl_base64_decode(signature_text, strlen(signature_text), signature, sizeof(signature)));
    (void)snprintf(message, sizeof(message), "kluis-audit-head-v1\n%s\n1\n%s\n%s\n",
                   member(head, "tenant"), member(head, "root_hash"), member(head, "at"));
    assert_int_equal(crypto_sign_verify_detached(signature, (unsigned char *)message,
                                                 strlen(message), public_key),
                     0);
    message[strlen("kluis-audit-head-v1\n")] ^= 1;
    assert_int_not_equal(crypto_sign_verify_detached(signature, (unsigned char *)message,
                                                     strlen(message), public_key),
                         0);
    kl_json_free(head);
    vault_trails_free(trails);
}

int main(void)
{
#define TRAIL_TEST(test) \
    cmocka_unit_test_setup_teardown(test, store_fixture_setup, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_says_who_what_and_when),
        cmocka_unit_test(test_an_entry_of_the_vault_itself_names_no_credential),
        cmocka_unit_test(test_equal_entries_hash_differently),
        cmocka_unit_test(test_an_entry_has_a_maximum),
        TRAIL_TEST(test_the_trail_of_any_size_has_the_root_of_its_rows),
        TRAIL_TEST(test_a_trail_goes_on_after_a_restart),
        TRAIL_TEST(test_one_group_may_append_to_several_trails),
        TRAIL_TEST(test_a_group_given_up_never_was),
        TRAIL_TEST(test_a_damaged_frontier_is_told_and_adds_nothing),
        TRAIL_TEST(test_the_signature_is_over_the_five_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
