/* Who gets in: tokens and certificates, the cache, and the end of a credential. */
#include "vault/credentials.h"

#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CERTIFICATE "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

/* Store the credential behind a token as one that ended long ago. */
static void expire(struct admin_fixture *fixture, const struct vault_token *token)
{
    const struct vault_proof proof = {.token = token->text};
    struct vault_batch *batch = vault_batch_new();
    struct vault_credential *credential = NULL;
    unsigned char mac[KMS_MAC_BYTES];

    assert_non_null(batch);
    assert_int_equal(vault_credential_mac(fixture->vault, &proof, mac, NULL), KL_OK);
    assert_int_equal(vault_credential_load(fixture->vault, mac, &credential, NULL), KL_OK);
    credential->expires_us = 1;
    assert_int_equal(vault_credential_put(fixture->vault, credential, batch, NULL), KL_OK);
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, false, NULL), KL_OK);
    vault_credential_unref(credential);
    vault_batch_free(batch);
}

static void test_unknown_expired_and_revoked_look_alike(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller steward = admin_steward(fixture);
    struct kl_id id;
    struct vault_token expired = admin_make(fixture, "auditor", NULL);
    struct vault_token revoked = admin_make(fixture, "auditor", &id);
    struct kl_err errs[3] = {{0}, {0}, {0}};
    int i;

    expire(fixture, &expired);
    assert_int_equal(vault_credential_revoke(fixture->vault, &steward, &id, NULL), KL_OK);
    vault_caller_done(&steward);
    assert_int_equal(
        admin_let_in(fixture, "kl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &errs[0]),
        KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture, expired.text, &errs[1]), KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture, revoked.text, &errs[2]), KL_ERR_UNAUTHORISED);
    for (i = 0; i < 3; i++) {
        assert_string_equal(errs[i].code, "unauthorised");
        assert_string_equal(errs[i].client_text, errs[0].client_text);
        assert_string_equal(errs[i].where, "");
    }
    assert_string_equal(errs[0].log_text, "unknown");
    assert_string_equal(errs[1].log_text, "expired");
    assert_string_equal(errs[2].log_text, "revoked");
}

static void test_a_cached_credential_ends_when_its_time_comes(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_token token = admin_make(fixture, "auditor", NULL);
    const struct vault_proof proof = {.token = token.text};
    struct vault_credential *cached = NULL;

    assert_int_equal(admin_let_in(fixture, token.text, NULL), KL_OK);
    assert_int_equal(vault_credential_find(fixture->vault, &proof, &cached, NULL), KL_OK);
    cached->expires_us = cached->created_us;
    vault_credential_unref(cached);
    assert_int_equal(admin_let_in(fixture, token.text, NULL), KL_ERR_UNAUTHORISED);
}

static void test_nonsense_is_no_token(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_proof nothing = {0};
    struct vault_caller caller;
    struct vault_caller before;
    char longest[4096];
    char almost[VAULT_TOKEN_BYTES];

    memset(&caller, 0x5a, sizeof caller);
    before = caller;
    assert_int_equal(vault_caller_open(fixture->vault, &nothing, NULL, NULL, &caller, NULL),
                     KL_ERR_UNAUTHORISED);
    assert_memory_equal(&caller, &before, sizeof caller);
    assert_int_equal(admin_let_in(fixture, "", NULL), KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture, "kl_", NULL), KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture, "\xff\xfe", NULL), KL_ERR_UNAUTHORISED);
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(admin_let_in(fixture, longest, NULL), KL_ERR_UNAUTHORISED);
    memcpy(almost, fixture->steward_token.text, sizeof almost);
    almost[10] = almost[10] == 'A' ? 'B' : 'A';
    assert_int_equal(admin_let_in(fixture, almost, NULL), KL_ERR_UNAUTHORISED);
}

static void test_a_token_lies_nowhere_in_the_store(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_iter *iter =
        vault_iter_new(fixture->vault->data_store, kl_slice_text(""), kl_slice_text(""), false);
    struct kl_slice key;
    struct kl_slice value;
    size_t rows = 0;

    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &value)) {
        assert_null(memmem(key.bytes, key.size, fixture->steward_token.text + 3, 8));
        assert_null(memmem(value.bytes, value.size, fixture->steward_token.text + 3, 8));
        assert_null(memmem(value.bytes, value.size, fixture->operator_token.text + 3, 8));
        rows++;
    }
    vault_iter_free(iter);
    assert_true(rows > 5);
}

static void test_a_caller_carries_what_its_credential_says(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const purposes[] = {"news", "news"};
    const struct vault_credential_input input = {.role = "reader",
                                                 .purposes = purposes,
                                                 .purpose_count = 2,
                                                 .location = "aws:eu-central-1",
                                                 .expires_in = "P1D"};
    struct vault_credential_result result;
    struct vault_token token;
    struct vault_caller caller;

    (void)admin_apply(fixture, admin_policy);
    caller = admin_steward(fixture);
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, NULL, &token, &result, NULL),
        KL_OK);
    vault_caller_done(&caller);
    assert_string_equal(result.location.code, "DE");
    caller = admin_caller(fixture, &token, NULL);
    assert_int_equal(caller.builtin, VAULT_BUILTIN_NONE);
    assert_string_equal(caller.role_name, "reader");
    assert_int_equal(caller.role, vault_policy_role_find(caller.policy, "reader"));
    assert_int_equal(caller.single_purpose, vault_policy_purpose_find(caller.policy, "news"));
    assert_true(caller.purposes == UINT64_C(1) << (unsigned)caller.single_purpose);
    assert_string_equal(caller.location.code, "DE");
    assert_string_equal(caller.request_id, "test-1");
    assert_true(kl_id_equal(&caller.credential, &result.id));
    assert_false(caller.bound);
    vault_caller_done(&caller);
    assert_null(caller.policy);
}

static void test_a_role_that_the_policy_dropped_is_no_role(void **state)
{
    struct admin_fixture *fixture = *state;
    char without[4096];
    struct vault_token token;
    struct vault_caller caller;

    (void)admin_apply(fixture, admin_policy);
    token = admin_make(fixture, "writer", NULL);
    (void)snprintf(without, sizeof without, "%s", admin_policy);
    *strstr(without, "  writer:") = '\0';
    (void)admin_apply(fixture, without);
    caller = admin_caller(fixture, &token, NULL);
    assert_int_equal(caller.role, VAULT_NONE);
    assert_int_equal(caller.builtin, VAULT_BUILTIN_NONE);
    vault_caller_done(&caller);
}

static void test_a_certificate_opens_as_a_token_does(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_credential_input input = {
        .role = "auditor", .expires_in = "P1D", .certificate_sha256 = CERTIFICATE};
    unsigned char hash[VAULT_CERTIFICATE_HASH_BYTES];
    struct vault_proof proof = {.certificate_sha256 = hash};
    struct vault_caller caller = admin_steward(fixture);
    struct vault_credential_result result;
    struct vault_token token = {"not empty"};
    size_t i;

    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, NULL, &token, &result, NULL),
        KL_OK);
    assert_string_equal(token.text, "");
    assert_true(result.has_certificate);
    vault_caller_done(&caller);
    for (i = 0; i < sizeof hash; i++) {
        hash[i] = (unsigned char)((i % 16) * 0x11);
    }
    assert_int_equal(vault_caller_open(fixture->vault, &proof, NULL, NULL, &caller, NULL), KL_OK);
    assert_int_equal(caller.builtin, VAULT_BUILTIN_AUDITOR);
    vault_caller_done(&caller);
    hash[0] ^= 1;
    assert_int_equal(vault_caller_open(fixture->vault, &proof, NULL, NULL, &caller, NULL),
                     KL_ERR_UNAUTHORISED);
}

static enum kl_status open_on(struct admin_fixture *fixture, const struct vault_token *token,
                              const char *tenant, struct kl_err *err)
{
    const struct vault_proof proof = {.token = token->text};
    struct vault_caller caller;
    enum kl_status status = vault_caller_open(fixture->vault, &proof, tenant, NULL, &caller, err);

    if (status == KL_OK) {
        vault_caller_done(&caller);
    }
    return status;
}

static void test_only_an_operator_names_another_tenant(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err errs[4] = {{0}, {0}, {0}, {0}};

    assert_int_equal(open_on(fixture, &fixture->operator_token, "default", NULL), KL_OK);
    assert_int_equal(open_on(fixture, &fixture->steward_token, "default", NULL), KL_OK);
    assert_int_equal(open_on(fixture, &fixture->operator_token, "nobody", &errs[0]),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(errs[0].code, "unknown_tenant");
    assert_int_equal(open_on(fixture, &fixture->steward_token, "nobody", &errs[1]),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(errs[1].code, "tenant_forbidden");
    assert_int_equal(open_on(fixture, &fixture->operator_token, "No Body", &errs[2]),
                     KL_ERR_INVALID);
    assert_string_equal(errs[2].code, "invalid_tenant");
    assert_int_equal(open_on(fixture, &fixture->steward_token, "", &errs[3]), KL_ERR_INVALID);
}

static void test_a_credential_bound_to_a_subject_ends_with_it(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_field_input field = {
        .name = "name", .value = {.kind = KL_JSON_TEXT, .text = kl_slice_text("Ann Example")}};
    const struct vault_record_input record = {
        .type = "customer", .fields = &field, .field_count = 1};
    const struct vault_subject_input subject = {.records = &record, .record_count = 1};
    struct vault_credential_input input = {.role = "reader", .expires_in = "P1Y"};
    struct vault_credential_result made;
    struct vault_subject_result result;
    struct vault_token writer;
    struct vault_token bound;
    struct vault_caller caller;
    struct kl_err err = {0};
    struct kl_buf receipt;

    (void)admin_apply(fixture, admin_policy);
    writer = admin_make(fixture, "writer", NULL);
    caller = admin_caller(fixture, &writer, NULL);
    assert_int_equal(vault_subject_create(fixture->vault, &caller, &subject, NULL, fixture->arena,
                                          &result, NULL),
                     KL_OK);
    vault_caller_done(&caller);

    input.subject = &result.id;
    caller = admin_steward(fixture);
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, NULL, &bound, &made, NULL), KL_OK);
    assert_true(made.bound);
    vault_caller_done(&caller);
    caller = admin_caller(fixture, &bound, NULL);
    assert_true(caller.bound);
    assert_true(kl_id_equal(&caller.bound_subject, &result.id));
    vault_caller_done(&caller);

    kl_buf_init(&receipt, 65536);
    caller = admin_caller(fixture, &writer, NULL);
    assert_int_equal(vault_subject_erase(fixture->vault, &caller, &result.id, VAULT_ERASE_REQUEST,
                                         &receipt, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    kl_buf_done(&receipt);
    assert_int_equal(admin_let_in(fixture, bound.text, &err), KL_ERR_UNAUTHORISED);
    assert_string_equal(err.code, "unauthorised");
}

static void test_the_row_of_a_bound_credential_does_not_name_the_subject(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_field_input field = {
        .name = "name", .value = {.kind = KL_JSON_TEXT, .text = kl_slice_text("Ann Example")}};
    const struct vault_record_input record = {
        .type = "customer", .fields = &field, .field_count = 1};
    const struct vault_subject_input subject = {.records = &record, .record_count = 1};
    struct vault_credential_input input = {.role = "reader", .expires_in = "P1Y"};
    struct vault_credential_result made;
    struct vault_subject_result result;
    struct vault_token token;
    struct vault_caller caller;
    struct vault_iter *iter;
    struct kl_slice key;
    struct kl_slice value;
    char text[KL_ID_TEXT_BYTES];

    (void)admin_apply(fixture, admin_policy);
    token = admin_make(fixture, "writer", NULL);
    caller = admin_caller(fixture, &token, NULL);
    assert_int_equal(vault_subject_create(fixture->vault, &caller, &subject, NULL, fixture->arena,
                                          &result, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    input.subject = &result.id;
    caller = admin_steward(fixture);
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, NULL, &token, &made, NULL), KL_OK);
    vault_caller_done(&caller);
    kl_id_format("sub", &result.id, text);
    iter = vault_iter_new(fixture->vault->data_store, kl_slice_text(""), kl_slice_text(""), false);
    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &value)) {
        assert_null(memmem(value.bytes, value.size, text, strlen(text)));
        assert_null(memmem(value.bytes, value.size, result.id.bytes, KL_ID_BYTES));
        assert_null(memmem(key.bytes, key.size, result.id.bytes, KL_ID_BYTES));
    }
    vault_iter_free(iter);
}

struct prober {
    struct admin_fixture *fixture;
    const struct vault_token *token;
    atomic_bool *revoked;
    int let_in_after;
};

static void *probe(void *argument)
{
    struct prober *prober = argument;
    int i;

    for (i = 0; i < 4000; i++) {
        bool was_revoked = atomic_load(prober->revoked);

        if (admin_let_in(prober->fixture, prober->token->text, NULL) == KL_OK && was_revoked) {
            prober->let_in_after++;
        }
    }
    return NULL;
}

static void test_no_request_after_a_revocation_is_let_in_by_the_cache(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_id id;
    struct vault_token token = admin_make(fixture, "auditor", &id);
    struct vault_caller steward = admin_steward(fixture);
    atomic_bool revoked = false;
    struct prober probers[3];
    pthread_t threads[3];
    int i;

    for (i = 0; i < 3; i++) {
        probers[i] = (struct prober){.fixture = fixture, .token = &token, .revoked = &revoked};
        assert_int_equal(pthread_create(&threads[i], NULL, probe, &probers[i]), 0);
    }
    assert_int_equal(vault_credential_revoke(fixture->vault, &steward, &id, NULL), KL_OK);
    atomic_store(&revoked, true);
    for (i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(probers[i].let_in_after, 0);
    }
    vault_caller_done(&steward);
    assert_int_equal(admin_let_in(fixture, token.text, NULL), KL_ERR_UNAUTHORISED);
}

/* The row of a token's credential, with what stands there first replaced by something as long. */
static void forge(struct admin_fixture *fixture, const struct vault_token *token, const char *from,
                  const char *to)
{
    const struct vault_proof proof = {.token = token->text};
    struct vault_batch *batch = vault_batch_new();
    unsigned char mac[KMS_MAC_BYTES];
    struct vault_row_key key;
    struct kl_buf row;
    unsigned char *at;

    assert_non_null(batch);
    kl_buf_init(&row, 65536);
    assert_int_equal(vault_credential_mac(fixture->vault, &proof, mac, NULL), KL_OK);
    key = vault_row_credential(mac);
    assert_int_equal(vault_store_get(fixture->vault->data_store, vault_row_slice(&key), &row, NULL),
                     KL_OK);
    at = memmem(row.bytes, row.size, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(from));
    vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
    kl_buf_done(&row);
}

static void test_a_row_written_by_another_hand_lets_nobody_in(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_token auditor = admin_make(fixture, "auditor", NULL);
    struct vault_token lasting = admin_make(fixture, "auditor", NULL);
    struct kl_err err = {0};

    forge(fixture, &auditor, "\"auditor\"", "\"steward\"");
    assert_int_equal(admin_let_in(fixture, auditor.text, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "credential_damaged");
    forge(fixture, &lasting, "\"expires_us\":1", "\"expires_us\":9");
    assert_int_equal(admin_let_in(fixture, lasting.text, NULL), KL_ERR_CORRUPT);
}

static void test_a_damaged_row_lets_nobody_in(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const rows[] = {"", "{}", "{\"id\":\"cred_\"}", "[1]"};
    struct kl_id id;
    struct vault_token token = admin_make(fixture, "auditor", &id);
    const struct vault_proof proof = {.token = token.text};
    unsigned char mac[KMS_MAC_BYTES];
    size_t i;

    assert_int_equal(vault_credential_mac(fixture->vault, &proof, mac, NULL), KL_OK);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vault_row_key key = vault_row_credential(mac);
        struct vault_batch *batch = vault_batch_new();
        struct kl_err err = {0};

        assert_non_null(batch);
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_text(rows[i]));
        assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, false, NULL), KL_OK);
        vault_batch_free(batch);
        assert_int_equal(admin_let_in(fixture, token.text, &err), KL_ERR_CORRUPT);
        assert_string_equal(err.code, "credential_damaged");
    }
}

static void test_credentials_that_push_each_other_out_of_the_cache_still_open(void **state)
{
    enum { MANY = 6000 };
    struct admin_fixture *fixture = *state;
    struct vault_token *tokens = calloc(MANY, sizeof tokens[0]);
    struct vault_batch *batch = vault_batch_new();
    size_t i;
    int round;

    assert_non_null(tokens);
    assert_non_null(batch);
    for (i = 0; i < MANY; i++) {
        struct vault_credential *credential = vault_credential_new(0);

        assert_non_null(credential);
        credential->builtin = VAULT_BUILTIN_OPERATOR;
        credential->any_purpose = true;
        credential->expires_us = INT64_MAX;
        (void)snprintf(credential->role, sizeof credential->role, "operator");
        assert_int_equal(
            vault_credential_make(fixture->vault, credential, NULL, NULL, batch, &tokens[i], NULL),
            KL_OK);
        vault_credential_unref(credential);
    }
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, false, NULL), KL_OK);
    for (round = 0; round < 2; round++) {
        for (i = 0; i < MANY; i++) {
            assert_int_equal(admin_let_in(fixture, tokens[i].text, NULL), KL_OK);
        }
    }
    vault_batch_free(batch);
    free(tokens);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_unknown_expired_and_revoked_look_alike),
        OPENED(test_a_cached_credential_ends_when_its_time_comes),
        OPENED(test_nonsense_is_no_token),
        OPENED(test_a_token_lies_nowhere_in_the_store),
        OPENED(test_a_caller_carries_what_its_credential_says),
        OPENED(test_a_role_that_the_policy_dropped_is_no_role),
        OPENED(test_a_certificate_opens_as_a_token_does),
        OPENED(test_only_an_operator_names_another_tenant),
        OPENED(test_a_credential_bound_to_a_subject_ends_with_it),
        OPENED(test_the_row_of_a_bound_credential_does_not_name_the_subject),
        OPENED(test_no_request_after_a_revocation_is_let_in_by_the_cache),
        OPENED(test_a_row_written_by_another_hand_lets_nobody_in),
        OPENED(test_a_damaged_row_lets_nobody_in),
        OPENED(test_credentials_that_push_each_other_out_of_the_cache_still_open),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
