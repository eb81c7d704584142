/* The signing key of a trail is changed: a chain of signatures leads from each to the next, and the old one signs no more. */
#include "vault/rotation.h"

#include "kluis/base/encode.h"
#include "kluis/vault/trail.h"
#include "tests/support/backup_fixture.h"
#include "tests/support/rotation_fixture.h"
#include "tests/support/test.h"
#include "vault/receipt.h"
#include "vault/rows.h"
#include "vault/signing.h"

#include <sodium.h>
#include <string.h>

#define TEXT_BYTES 65536

static struct kl_trail_head head_of(struct admin_fixture *fixture, bool of_operator)
{
    struct vault_caller caller = of_operator ? admin_operator(fixture) : admin_steward(fixture);
    struct kl_trail_head head;
    struct kl_json *json = NULL;
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_audit_head(fixture->vault, &caller, &text, NULL), KL_OK);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    assert_int_equal(kl_trail_head_read(kl_json_root(json), &head, NULL), KL_OK);
    kl_json_free(json);
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return head;
}

/* All links as a client has them; how many. */
static size_t links_of(struct admin_fixture *fixture, bool of_operator, struct kl_trail_link *ret,
                       size_t max)
{
    struct vault_caller caller = of_operator ? admin_operator(fixture) : admin_steward(fixture);
    const struct kl_json_value *item = NULL;
    struct kl_json *json = NULL;
    struct kl_json_iter iter;
    struct kl_buf text;
    size_t count = 0;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_trail_keys(fixture->vault, &caller, &text, NULL), KL_OK);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    iter = kl_json_iter(kl_json_member(kl_json_root(json), "links"));
    while (kl_json_next(&iter, NULL, &item)) {
        assert_in_range(count, 0, max - 1);
        assert_int_equal(
            kl_trail_link_read(item, kl_json_text(kl_json_member(kl_json_root(json), "tenant")),
                               &ret[count], NULL),
            KL_OK);
        count++;
    }
    kl_json_free(json);
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return count;
}

/* tenant NULL: the vault's own. */
static void change(struct admin_fixture *fixture, const char *tenant)
{
    struct vault_caller caller = rotation_operator(fixture, tenant);
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(
        vault_keys_rotate(fixture->vault, &caller, "audit", 0, false, NULL, &text, NULL, NULL),
        KL_OK);
    assert_int_equal(vault_upkeep_run(fixture->vault, NULL), KL_OK);
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

static void test_a_chain_leads_from_the_first_key_to_the_one_in_use(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_trail_head first = head_of(fixture, false);
    struct kl_trail_head last;
    struct kl_trail_link links[8];

    assert_true(kl_trail_head_holds(&first));
    assert_int_equal(links_of(fixture, false, links, 8), 0);
    for (int i = 0; i < 3; i++) {
        change(fixture, "default");
    }
    admin_reopen(fixture);
    last = head_of(fixture, false);
    assert_true(kl_trail_head_holds(&last));
    assert_true(kl_trail_head_holds(&first));
    assert_memory_not_equal(first.key, last.key, sizeof first.key);
    assert_int_equal(links_of(fixture, false, links, 8), 3);
    assert_memory_equal(links[0].old_key, first.key, sizeof first.key);
    assert_memory_equal(links[2].new_key, last.key, sizeof last.key);
    for (size_t i = 0; i < 3; i++) {
        assert_true(kl_trail_link_holds(&links[i], i == 0 ? NULL : &links[i - 1]));
        assert_false(links[i].has_backup_key);
    }
    assert_true(links[0].size >= first.size && links[2].size <= last.size);
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"audit_key_change\""), 3);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"key_rotate_done\""), 3);
    assert_int_equal(fixture->vault->restores, 0);
}

static void test_no_key_of_before_signs_any_more(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_signing_state signing;
    unsigned char keys[3][KMS_PUBLIC_KEY_BYTES];
    struct kl_trail_link links[4];
    uint64_t tenant = fixture->vault->tenants.items[0]->number;

    change(fixture, "default");
    change(fixture, "default");
    assert_int_equal(links_of(fixture, false, links, 4), 2);
    memcpy(keys[0], links[0].old_key, sizeof keys[0]);
    memcpy(keys[1], links[0].new_key, sizeof keys[1]);
    assert_int_equal(vault_signing_state(fixture->vault->keys, tenant, &signing, NULL), KL_OK);
    assert_int_equal(signing.number, 2);
    assert_true(signing.destroyed);
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct kms_place place = vault_signing_place(tenant, slot);

        assert_int_equal(
            kms_public_key(fixture->vault->keys, &place, VAULT_SIGNING_LABEL, keys[2], NULL),
            KL_OK);
        assert_memory_not_equal(keys[2], keys[0], sizeof keys[0]);
        assert_memory_not_equal(keys[2], keys[1], sizeof keys[1]);
    }
}

static void test_a_signer_that_was_looked_up_before_signs_nothing_wrong(void **state)
{
    struct admin_fixture *fixture = *state;
    uint64_t tenant = fixture->vault->tenants.items[0]->number;
    unsigned char signature[KMS_SIGNATURE_BYTES] = {0};
    unsigned char untouched[KMS_SIGNATURE_BYTES] = {0};
    struct vault_signer signer;
    struct kl_err err = {0};

    assert_int_equal(vault_signer_get(fixture->vault->keys, tenant, &signer, NULL), KL_OK);
    change(fixture, "default");
    assert_int_equal(
        vault_signer_sign(&signer, VAULT_SIGNING_LABEL, kl_slice_text("x"), signature, &err),
        KL_ERR_BUSY);
    assert_string_equal(err.code, "signing_key_changed");
    assert_memory_equal(signature, untouched, sizeof signature);
    assert_int_equal(vault_signer_get(fixture->vault->keys, tenant, &signer, NULL), KL_OK);
    assert_int_equal(
        vault_signer_sign(&signer, VAULT_SIGNING_LABEL, kl_slice_text("x"), signature, NULL),
        KL_OK);
    assert_int_equal(
        crypto_sign_verify_detached(signature, (const unsigned char *)"x", 1, signer.public_key),
        0);
}

/* As a crash between the link and the end left it, with the job forgotten with an older data/. */
static void test_what_a_crash_left_of_the_old_key_is_destroyed(void **state)
{
    struct admin_fixture *fixture = *state;
    uint64_t tenant = fixture->vault->tenants.items[0]->number;
    struct kms_place old_place;
    unsigned char before[KMS_PUBLIC_KEY_BYTES];
    unsigned char after[KMS_PUBLIC_KEY_BYTES];
    struct vault_signing_state signing;
    struct kl_trail_link links[2];

    change(fixture, "default");
    assert_int_equal(links_of(fixture, false, links, 2), 1);
    old_place = vault_signing_place(tenant, 0);
    assert_int_equal(
        kms_public_key(fixture->vault->keys, &old_place, VAULT_SIGNING_LABEL, before, NULL), KL_OK);
    assert_int_equal(vault_signing_put(fixture->vault->keys, tenant, &links[0], NULL), KL_OK);
    admin_reopen(fixture);
    assert_int_equal(vault_upkeep_run(fixture->vault, NULL), KL_OK);
    assert_int_equal(vault_signing_state(fixture->vault->keys, tenant, &signing, NULL), KL_OK);
    assert_true(signing.destroyed);
    assert_int_equal(
        kms_public_key(fixture->vault->keys, &old_place, VAULT_SIGNING_LABEL, after, NULL), KL_OK);
    assert_memory_not_equal(before, after, sizeof before);
}

static void test_a_chain_that_was_changed_is_not_served(void **state)
{
    struct admin_fixture *fixture = *state;
    uint64_t tenant = fixture->vault->tenants.items[0]->number;
    struct vault_caller caller;
    struct kl_trail_link links[2];
    struct kl_err err = {0};
    struct kl_buf text;

    change(fixture, "default");
    assert_int_equal(links_of(fixture, false, links, 2), 1);
    links[0].size++;
    assert_int_equal(vault_signing_put(fixture->vault->keys, tenant, &links[0], NULL), KL_OK);
    caller = admin_steward(fixture);
    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_trail_keys(fixture->vault, &caller, &text, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "signing_key_damaged");
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

static void test_only_an_operator_changes_it(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_steward(fixture);
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(
        vault_keys_rotate(fixture->vault, &caller, "audit", 0, false, NULL, &text, NULL, NULL),
        KL_ERR_FORBIDDEN);
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

/* ---- what else it signs ---- */

static void bytes_of(const struct kl_json_value *value, void *ret, size_t size)
{
    const char *text = kl_json_text(value);

    assert_non_null(text);
    assert_true(kl_base64_decode(text, strlen(text), ret, size));
}

/* answer: what who erased was told. */
static void assert_receipt_is_by(const struct kl_buf *answer,
                                 const unsigned char key[KMS_PUBLIC_KEY_BYTES])
{
    unsigned char signature[KMS_SIGNATURE_BYTES];
    unsigned char told[KMS_PUBLIC_KEY_BYTES];
    const struct kl_json_value *proof = NULL;
    struct kl_json *json = NULL;
    const char *text = NULL;

    assert_int_equal(kl_json_parse(answer->bytes, answer->size, &json, NULL), KL_OK);
    proof = kl_json_member(kl_json_root(json), "proof");
    bytes_of(kl_json_member(proof, "public_key"), told, sizeof told);
    bytes_of(kl_json_member(proof, "signature"), signature, sizeof signature);
    text = kl_json_text(kl_json_member(proof, "signed"));
    assert_non_null(text);
    assert_memory_equal(told, key, sizeof told);
    assert_int_equal(
        crypto_sign_verify_detached(signature, (const unsigned char *)text, strlen(text), key), 0);
    kl_json_free(json);
}

static void test_receipts_of_before_and_after_hold(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result one = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result two = fixture_newsletter(fixture, "bob@example.org", true);
    struct kl_trail_link links[2];
    struct kl_buf before;
    struct kl_buf after;

    kl_buf_init(&before, TEXT_BYTES);
    kl_buf_init(&after, TEXT_BYTES);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &one.id, VAULT_ERASE_REQUEST, &before),
                     KL_OK);
    change(fixture->admin, "default");
    assert_int_equal(fixture_try_erase(fixture, "dpo", &two.id, VAULT_ERASE_REQUEST, &after),
                     KL_OK);
    assert_int_equal(links_of(fixture->admin, false, links, 2), 1);
    assert_receipt_is_by(&before, links[0].old_key);
    assert_receipt_is_by(&after, links[0].new_key);
    kl_buf_done(&before);
    kl_buf_done(&after);
}

static void test_a_backup_of_before_is_still_this_vaults(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id old = backup_make(fixture, NULL, 0);
    struct kl_id fresh;
    struct kl_json *job;
    struct kl_trail_link links[4];

    change(fixture->admin, NULL);
    change(fixture->admin, NULL);
    assert_int_equal(links_of(fixture->admin, true, links, 4), 2);
    assert_true(links[0].has_backup_key);
    job = backup_verify(fixture, &old);
    backup_assert_text(job, "state", "done");
    kl_json_free(job);
    fresh = backup_make(fixture, NULL, 0);
    job = backup_verify(fixture, &fresh);
    backup_assert_text(job, "state", "done");
    kl_json_free(job);
    links[0].backup_key[0] ^= 1;
    assert_int_equal(
        vault_signing_put(fixture_vault(fixture)->keys, KMS_TENANT_VAULT, &links[0], NULL), KL_OK);
    assert_int_equal(
        vault_signing_put(fixture_vault(fixture)->keys, KMS_TENANT_VAULT, &links[1], NULL), KL_OK);
    job = backup_verify(fixture, &old);
    backup_assert_text(job, "state", "failed");
    kl_json_free(job);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)
#define VAULT_TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_chain_leads_from_the_first_key_to_the_one_in_use),
        TEST(test_no_key_of_before_signs_any_more),
        TEST(test_a_signer_that_was_looked_up_before_signs_nothing_wrong),
        TEST(test_what_a_crash_left_of_the_old_key_is_destroyed),
        TEST(test_a_chain_that_was_changed_is_not_served),
        TEST(test_only_an_operator_changes_it),
        VAULT_TEST(test_receipts_of_before_and_after_hold),
        VAULT_TEST(test_a_backup_of_before_is_still_this_vaults),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
