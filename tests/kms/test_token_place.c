/* A key store whose root key a token keeps: SoftHSM. Without SoftHSM the program counts as skipped. */
#include "kms/token_place.h"

#include "kms/token.h"
#include "kms/token_internal.h"
#include "tests/support/test.h"
#include "tests/support/token_fixture.h"

#include <dlfcn.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kms_place value_place = {KMS_TENANT_VAULT, 1000, 3};

static uint64_t generation_of(const struct kms *kms)
{
    struct kms_state state;

    kms_state((struct kms *)kms, &state);
    return state.generation;
}

static void open_refused(struct kms_fixture *fixture, enum kl_status status, const char *code)
{
    struct kms *kms = NULL;
    struct kl_err err = {0};

    assert_int_equal(kms_open(&fixture->options, &kms, &err), status);
    assert_string_equal(err.code, code);
    assert_null(kms);
}

static void rotate(struct kms_fixture *fixture)
{
    struct kms_request request = {.note = "rotation", .note_bytes = 8};

    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
}

/* ---- life ---- */

static void test_a_new_key_store_has_two_keys_on_the_token(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_state facts;

    token_fixture_holds(fixture->storage, 1);
    (void)token_fixture_row(fixture->storage, 1);
    kms_state(fixture->kms, &facts);
    assert_string_equal(facts.custodian_kind, "pkcs11");
    assert_int_equal(facts.finality, KMS_FINALITY_F0);
}

static void test_what_was_sealed_opens_after_the_next_start(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf sealed;

    kms_fixture_seal(fixture->kms, value_place, &sealed);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    token_fixture_holds(fixture->storage, 1);
    kl_buf_done(&sealed);
}

static void test_a_shred_destroys_the_old_key_on_the_token(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_place slot = {value_place.tenant, value_place.slot, KMS_VALUE_NONE};
    struct memory_storage *before;
    struct kl_buf sealed;

    kms_fixture_seal(fixture->kms, value_place, &sealed);
    before = memory_storage_copy(fixture->storage);
    for (uint64_t generation = 2; generation <= 5; generation++) {
        assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, slot), KL_OK);
        assert_int_equal(generation_of(fixture->kms), generation);
        token_fixture_holds(fixture->storage, generation);
        (void)token_fixture_row(fixture->storage, generation);
    }
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_ERR_GONE);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_ERR_GONE);

    /* Who kept the rows from before has no key for them. */
    kms_fixture_close(fixture);
    fixture->options.storage = memory_storage_face(before);
    open_refused(fixture, KL_ERR_REFUSED, "root_key_generation");
    token_fixture_holds(fixture->storage, 5);
    memory_storage_free(before);
    kl_buf_done(&sealed);
}

static void test_a_rotation_of_the_root_key_changes_the_tokens_key(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf sealed;

    kms_fixture_seal(fixture->kms, value_place, &sealed);
    rotate(fixture);
    rotate(fixture);
    token_fixture_holds(fixture->storage, 3);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    kl_buf_done(&sealed);
}

static void test_two_key_stores_share_a_token_and_touch_only_their_own_keys(void **state)
{
    struct kms_fixture *fixture = *state;
    struct memory_storage *other = memory_storage_new();
    struct kms_options options = fixture->options;
    struct kms *kms = NULL;
    struct kms_request request = {.note = "n", .note_bytes = 1};

    options.storage = memory_storage_face(other);
    assert_int_equal(kms_create(&options, NULL), KL_OK);
    assert_int_equal(kms_open(&options, &kms, NULL), KL_OK);
    rotate(fixture);
    rotate(fixture);
    token_fixture_holds(fixture->storage, 3);
    token_fixture_holds(other, 1);
    assert_int_equal(kms_commit(kms, &request, NULL), KL_OK);
    kms_close(kms);
    token_fixture_holds(fixture->storage, 3);
    token_fixture_holds(other, 2);
    kms_fixture_reopen(fixture);
    memory_storage_free(other);
}

/* ---- what crashes leave ---- */

static void test_leftover_keys_of_other_generations_are_destroyed_when_it_opens(void **state)
{
    struct kms_fixture *fixture = *state;
    struct memory_storage *wrapped_kept;
    unsigned char id[KMS_STORE_ID_BYTES];
    unsigned char staged_wrapped[KMS_TOKEN_WRAPPED_BYTES];
    unsigned char key[KMS_KEY_BYTES] = "a staged key that was used once";
    struct kms_token *token;

    rotate(fixture);
    rotate(fixture);
    kms_fixture_close(fixture);
    token_fixture_store(fixture->storage, id);
    wrapped_kept = memory_storage_copy(fixture->storage);

    /* As after a crash between the batch and the destruction, and as after an attempt that used the staged key. */
    token = token_fixture_look();
    assert_int_equal(kms_token_key_make(token, id, 2, NULL), KL_OK);
    assert_int_equal(kms_token_key_make(token, id, 5, NULL), KL_OK);
    assert_int_equal(kms_token_wrap(token, id, 4, key, staged_wrapped, NULL), KL_OK);
    kms_token_close(token);

    kms_fixture_reopen(fixture);
    token_fixture_holds(fixture->storage, 3);
    token = token_fixture_look();
    assert_int_equal(kms_token_unwrap(token, id, 4, staged_wrapped, key, NULL), KL_ERR_CORRUPT);
    kms_token_close(token);
    memory_storage_free(wrapped_kept);
}

static void test_a_missing_staged_key_is_made_again(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char id[KMS_STORE_ID_BYTES];
    struct kms_token *token;

    kms_fixture_close(fixture);
    token_fixture_store(fixture->storage, id);
    token = token_fixture_look();
    assert_int_equal(kms_token_keys_keep(token, id, 1, NULL), KL_OK);
    kms_token_close(token);
    kms_fixture_reopen(fixture);
    token_fixture_holds(fixture->storage, 1);
}

/* A commit whose batch fails: its rows reached the store, or did not. */
static void crash_in_batch(struct kms_fixture *fixture, bool kept, uint64_t generation)
{
    const struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    struct kms_request request = {.note = "n", .note_bytes = 1};
    struct kl_buf sealed;

    kms_hooks_set(fixture->kms, &hooks);
    kms_fixture_seal(fixture->kms, value_place, &sealed);
    memory_storage_fail_apply(fixture->storage, 1, kept);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_ERR_IO);
    memory_storage_fail_apply(fixture->storage, 0, false);
    kms_fixture_reopen(fixture);
    assert_int_equal(generation_of(fixture->kms), generation);
    token_fixture_holds(fixture->storage, generation);
    (void)token_fixture_row(fixture->storage, generation);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    kl_buf_done(&sealed);
}

static void test_a_crash_before_the_batch_leaves_the_generation(void **state)
{
    crash_in_batch(*state, false, 1);
}

static void test_a_crash_after_the_batch_goes_on_with_the_next_generation(void **state)
{
    crash_in_batch(*state, true, 2);
}

/* End all sessions behind p11-kit's back, as when a token is pulled out. */
static void pull_out(void)
{
    void *library = dlopen(token_fixture_hsm.module, RTLD_NOW | RTLD_NOLOAD);
    struct kms_token *token = token_fixture_look();
    CK_SLOT_ID slot = token->slot;
    CK_C_GetFunctionList list_get;
    CK_FUNCTION_LIST *list = NULL;
    void *symbol;

    kms_token_close(token);
    assert_non_null(library);
    symbol = dlsym(library, "C_GetFunctionList");
    assert_non_null(symbol);
    memcpy(&list_get, &symbol, sizeof list_get);
    assert_int_equal(list_get(&list), CKR_OK);
    assert_int_equal(list->C_CloseAllSessions(slot), CKR_OK);
    (void)dlclose(library);
}

static void test_a_token_that_is_pulled_out_stops_commits_and_nothing_else(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_place slot = {value_place.tenant, value_place.slot, KMS_VALUE_NONE};
    struct kms_change change = {KMS_CHANGE_SHRED, slot};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct kl_err err = {0};
    struct kl_buf sealed;

    kms_fixture_seal(fixture->kms, value_place, &sealed);
    pull_out();
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_UNAVAILABLE);
    assert_string_equal(err.code, "token_unreachable");
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_ERR_GONE);
    token_fixture_holds(fixture->storage, 2);
    kl_buf_done(&sealed);
}

/* ---- what refuses to open ---- */

static void test_a_wrong_pin_a_missing_token_and_a_missing_module_are_told_apart(void **state)
{
    struct kms_fixture *fixture = *state;
    char uri[SOFTHSM_URI_BYTES];

    kms_fixture_close(fixture);
    fixture->options.custodian.passphrase = "not-the-pin";
    open_refused(fixture, KL_ERR_UNAUTHORISED, "wrong_pin");
    fixture->options.custodian.passphrase = NULL;
    fixture->options.custodian.passphrase_bytes = 0;
    open_refused(fixture, KL_ERR_INVALID, "pin_missing");
    softhsm_uri(&token_fixture_hsm, "another", uri);
    fixture->options.custodian.custodian = uri;
    open_refused(fixture, KL_ERR_NOT_FOUND, "token_missing");
    fixture->options.custodian.custodian = "pkcs11:token=kluis-test?module-path=/nowhere.so";
    open_refused(fixture, KL_ERR_NOT_FOUND, "token_module_missing");
    fixture->options.custodian.custodian = "pkcs11:token=kluis-test";
    open_refused(fixture, KL_ERR_INVALID, "token_uri");
    token_fixture_holds(fixture->storage, 1);
}

static void test_a_damaged_wrapped_key_opens_nothing_and_changes_nothing(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char key[KMS_WRAPPED_KEY_BYTES] = {KMS_ROW_WRAPPED};

    kms_fixture_close(fixture);
    token_fixture_row(fixture->storage, 1)[20] ^= 1;
    open_refused(fixture, KL_ERR_CORRUPT, "token_wrapped_corrupt");
    token_fixture_holds(fixture->storage, 1);
    token_fixture_row(fixture->storage, 1)[20] ^= 1;
    kms_fixture_reopen(fixture);
    kms_fixture_close(fixture);

    kl_put_u64be(key + 1, 1);
    memory_storage_put(fixture->storage, (struct kl_slice){key, sizeof key},
                       kl_slice_text("too short"));
    open_refused(fixture, KL_ERR_CORRUPT, "token_wrapped_corrupt");
    memory_storage_put(fixture->storage, (struct kl_slice){key, sizeof key},
                       (struct kl_slice){NULL, 0});
    open_refused(fixture, KL_ERR_REFUSED, "root_key_generation");
    token_fixture_holds(fixture->storage, 1);
}

static void test_without_its_key_on_the_token_a_key_store_is_closed_for_ever(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char id[KMS_STORE_ID_BYTES];
    struct kms_token *token;

    kms_fixture_close(fixture);
    token_fixture_store(fixture->storage, id);
    token = token_fixture_look();
    assert_int_equal(kms_token_keys_keep(token, id, 2, NULL), KL_OK);
    kms_token_close(token);
    open_refused(fixture, KL_ERR_REFUSED, "root_key_generation");
    token = token_fixture_look();
    assert_int_equal(kms_token_keys_keep(token, id, KMS_TOKEN_KEEP_NONE, NULL), KL_OK);
    kms_token_close(token);
    open_refused(fixture, KL_ERR_REFUSED, "root_key_generation");
}

static struct kms_root_place *place_of(struct kms_fixture *fixture)
{
    unsigned char id[KMS_STORE_ID_BYTES];
    struct kms_root_place *place = NULL;

    token_fixture_store(fixture->storage, id);
    assert_int_equal(kms_root_place_open(&fixture->options.custodian, id, fixture->options.storage,
                                         &place, NULL),
                     KL_OK);
    return place;
}

static void test_the_token_in_use_is_not_wiped_under_another_address(void **state)
{
    struct kms_fixture *fixture = *state;
    char uri[SOFTHSM_URI_BYTES];
    struct kms_root_place *place;

    (void)snprintf(uri, sizeof uri, "pkcs11:model=SoftHSM%%20v2;token=kluis-test?module-path=%s",
                   token_fixture_hsm.module);
    fixture->options.custodian.custodian = uri;
    place = place_of(fixture);
    assert_int_equal(kms_root_place_wipe(place, NULL), KL_OK);
    kms_root_place_close(place);
    token_fixture_holds(fixture->storage, 1);
    kms_fixture_reopen(fixture);
}

static void test_a_token_that_the_key_store_left_is_wiped(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char key[KMS_WRAPPED_KEY_BYTES] = {KMS_ROW_WRAPPED};
    struct kms_root_place *place;

    kms_fixture_close(fixture);
    kl_put_u64be(key + 1, 1);
    memory_storage_put(fixture->storage, (struct kl_slice){key, sizeof key},
                       (struct kl_slice){NULL, 0});
    place = place_of(fixture);
    assert_int_equal(kms_root_place_wipe(place, NULL), KL_OK);
    kms_root_place_close(place);
    token_fixture_holds_nothing();
}

static void test_a_token_with_keys_of_the_store_is_no_new_place(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char id[KMS_STORE_ID_BYTES];
    struct kms_root_place *place = NULL;
    struct kl_err err = {0};

    token_fixture_store(fixture->storage, id);
    assert_int_equal(kms_root_place_make(&fixture->options.custodian, id, fixture->options.storage,
                                         &place, &err),
                     KL_ERR_EXISTS);
    assert_string_equal(err.code, "token_key_exists");
    assert_null(place);
    token_fixture_holds(fixture->storage, 1);
}

static void test_a_software_token_is_refused_unless_told(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_custodian_report report;
    struct kl_err err = {0};

    fixture->options.custodian.accept_f0 = false;
    assert_int_equal(kms_create(&fixture->options, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "finality_f0");
    assert_non_null(strstr(err.client_text, "SoftHSM"));
    token_fixture_holds_nothing();

    fixture->options.custodian.passphrase = NULL;
    assert_int_equal(kms_custodian_report(&fixture->options.custodian, &report, NULL), KL_OK);
    assert_int_equal(report.finality, KMS_FINALITY_F0);
    assert_string_equal(report.kind, "pkcs11");
}

static void test_a_key_store_that_was_made_with_acceptance_opens_with_it_only(void **state)
{
    struct kms_fixture *fixture = *state;

    kms_fixture_close(fixture);
    fixture->options.custodian.accept_f0 = false;
    open_refused(fixture, KL_ERR_REFUSED, "finality_f0");
    token_fixture_holds(fixture->storage, 1);
}

#define WITH_STORE(test) \
    cmocka_unit_test_setup_teardown(test, token_fixture_setup, token_fixture_teardown)
#define WITH_NOTHING(test) \
    cmocka_unit_test_setup_teardown(test, token_fixture_setup_empty, token_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_a_new_key_store_has_two_keys_on_the_token),
        WITH_STORE(test_what_was_sealed_opens_after_the_next_start),
        WITH_STORE(test_a_shred_destroys_the_old_key_on_the_token),
        WITH_STORE(test_a_rotation_of_the_root_key_changes_the_tokens_key),
        WITH_STORE(test_two_key_stores_share_a_token_and_touch_only_their_own_keys),
        WITH_STORE(test_leftover_keys_of_other_generations_are_destroyed_when_it_opens),
        WITH_STORE(test_a_missing_staged_key_is_made_again),
        WITH_STORE(test_a_crash_before_the_batch_leaves_the_generation),
        WITH_STORE(test_a_crash_after_the_batch_goes_on_with_the_next_generation),
        WITH_STORE(test_a_token_that_is_pulled_out_stops_commits_and_nothing_else),
        WITH_STORE(test_a_wrong_pin_a_missing_token_and_a_missing_module_are_told_apart),
        WITH_STORE(test_a_damaged_wrapped_key_opens_nothing_and_changes_nothing),
        WITH_STORE(test_without_its_key_on_the_token_a_key_store_is_closed_for_ever),
        WITH_STORE(test_the_token_in_use_is_not_wiped_under_another_address),
        WITH_STORE(test_a_token_that_the_key_store_left_is_wiped),
        WITH_STORE(test_a_token_with_keys_of_the_store_is_no_new_place),
        WITH_NOTHING(test_a_software_token_is_refused_unless_told),
        WITH_STORE(test_a_key_store_that_was_made_with_acceptance_opens_with_it_only),
    };

    if (!softhsm_start(&token_fixture_hsm)) {
        return 77;
    }
    softhsm_end(&token_fixture_hsm);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
