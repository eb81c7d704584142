/* The root key moves to a token, from one, and from one to another. Without SoftHSM the program counts as skipped. */
#include "kms/format.h"
#include "tests/support/test.h"
#include "tests/support/token_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kms_place value_place = {KMS_TENANT_VAULT, 1000, 3};

static uint64_t generation_of(struct kms *kms)
{
    struct kms_state state;

    kms_state(kms, &state);
    return state.generation;
}

static enum kl_status move_to(struct kms_fixture *fixture, const char *custodian,
                              const char *passphrase, struct kl_err *err)
{
    const struct kms_custodian_options to = {
        .custodian = custodian,
        .passphrase = passphrase,
        .passphrase_bytes = passphrase == NULL ? 0 : strlen(passphrase),
        .accept_f0 = true,
        .argon2_light = true,
    };

    return kms_custodian_change(fixture->kms, &to, NULL, err);
}

/* From now on the fixture opens with that. */
static void use(struct kms_fixture *fixture, const char *custodian, const char *passphrase)
{
    fixture->options.custodian.custodian = custodian;
    fixture->options.custodian.passphrase = passphrase;
    fixture->options.custodian.passphrase_bytes = passphrase == NULL ? 0 : strlen(passphrase);
}

static void open_refused(struct kms_fixture *fixture, const char *code)
{
    struct kms *kms = NULL;
    struct kl_err err = {0};

    assert_int_not_equal(kms_open(&fixture->options, &kms, &err), KL_OK);
    assert_string_equal(err.code, code);
    assert_null(kms);
}

static void test_from_a_passphrase_to_a_token(void **state)
{
    struct kms_fixture *fixture = *state;
    char with_passphrase[KMS_FIXTURE_PATH_BYTES + 16];
    struct kl_buf sealed;

    (void)snprintf(with_passphrase, sizeof with_passphrase, "passphrase:%s", fixture->root_path);
    use(fixture, with_passphrase, "correct horse");
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    kms_fixture_reopen(fixture);
    kms_fixture_seal(fixture->kms, value_place, &sealed);
    assert_int_equal(move_to(fixture, token_fixture_hsm.uri, SOFTHSM_PIN, NULL), KL_OK);
    assert_int_equal(generation_of(fixture->kms), 2);
    token_fixture_holds(fixture->storage, 2);
    (void)token_fixture_row(fixture->storage, 2);
    assert_int_not_equal(access(fixture->root_path, F_OK), 0);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){KMS_TENANT_VAULT, 2000, KMS_VALUE_NONE}),
                     KL_OK);
    token_fixture_holds(fixture->storage, 3);

    kms_fixture_close(fixture);
    open_refused(fixture, "custodian_moved");
    use(fixture, token_fixture_hsm.uri, SOFTHSM_PIN);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    kl_buf_done(&sealed);
}

static void test_from_a_token_to_a_file(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf sealed;

    kms_fixture_seal(fixture->kms, value_place, &sealed);
    assert_int_equal(move_to(fixture, fixture->custodian, NULL, NULL), KL_OK);
    token_fixture_holds_nothing();
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    kms_fixture_close(fixture);
    open_refused(fixture, "custodian_moved");
    use(fixture, fixture->custodian, NULL);
    kms_fixture_reopen(fixture);
    assert_int_equal(generation_of(fixture->kms), 2);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    kl_buf_done(&sealed);
}

static void test_from_a_token_to_another(void **state)
{
    struct kms_fixture *fixture = *state;
    char other[SOFTHSM_URI_BYTES];
    struct kl_buf sealed;

    kms_fixture_close(fixture); /* SoftHSM sees a new token when its module starts */
    softhsm_add_token(&token_fixture_hsm, "kluis-other");
    softhsm_uri(&token_fixture_hsm, "kluis-other", other);
    kms_fixture_reopen(fixture);
    kms_fixture_seal(fixture->kms, value_place, &sealed);
    assert_int_equal(move_to(fixture, other, SOFTHSM_PIN, NULL), KL_OK);
    token_fixture_holds_nothing();
    (void)token_fixture_row(fixture->storage, 2);
    kms_fixture_close(fixture);
    open_refused(fixture, "custodian_moved");
    use(fixture, other, SOFTHSM_PIN);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    kl_buf_done(&sealed);
}

static void test_to_the_same_token_by_another_address_is_refused_and_harms_nothing(void **state)
{
    struct kms_fixture *fixture = *state;
    char same[SOFTHSM_URI_BYTES];
    struct kl_err err = {0};
    struct kl_buf sealed;

    (void)snprintf(same, sizeof same, "pkcs11:model=SoftHSM%%20v2;token=kluis-test?module-path=%s",
                   token_fixture_hsm.module);
    kms_fixture_seal(fixture->kms, value_place, &sealed);
    assert_int_equal(move_to(fixture, same, SOFTHSM_PIN, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "token_key_exists");
    token_fixture_holds(fixture->storage, 1);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){KMS_TENANT_VAULT, 2000, KMS_VALUE_NONE}),
                     KL_OK);
    use(fixture, same, SOFTHSM_PIN); /* an address is no custodian: either opens */
    kms_fixture_reopen(fixture);
    token_fixture_holds(fixture->storage, 2);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value_place, &sealed), KL_OK);
    kl_buf_done(&sealed);
}

static void test_a_wrong_pin_or_a_missing_token_leaves_the_root_key_where_it_is(void **state)
{
    struct kms_fixture *fixture = *state;
    char nowhere[SOFTHSM_URI_BYTES];
    struct kl_err err = {0};

    use(fixture, fixture->custodian, NULL);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    kms_fixture_reopen(fixture);
    assert_int_equal(move_to(fixture, token_fixture_hsm.uri, "not-the-pin", &err),
                     KL_ERR_UNAUTHORISED);
    assert_string_equal(err.code, "wrong_pin");
    softhsm_uri(&token_fixture_hsm, "another", nowhere);
    kl_err_clear(&err);
    assert_int_equal(move_to(fixture, nowhere, SOFTHSM_PIN, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "token_missing");
    token_fixture_holds_nothing();
    kms_fixture_reopen(fixture);
    assert_int_equal(generation_of(fixture->kms), 1);
}

/* Row 'C' as custodian_move.h describes it: where the root key lies, and what a change that was cut short left. */
static void note_leftover(struct kms_fixture *fixture, const char *current, const char *leftover)
{
    static const unsigned char key[1] = {KMS_ROW_CUSTODIAN};
    struct kl_buf row;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    kl_buf_add_byte(&row, KMS_FORMAT_VERSION);
    kl_buf_add_sized(&row, current, strlen(current));
    kl_buf_add_sized(&row, leftover, strlen(leftover));
    memory_storage_put(fixture->storage, (struct kl_slice){key, sizeof key}, kl_buf_slice(&row));
    kl_buf_done(&row);
}

static void pin_file(char ret_path[KMS_FIXTURE_PATH_BYTES])
{
    FILE *file;

    (void)snprintf(ret_path, KMS_FIXTURE_PATH_BYTES, "%.200s/pin", token_fixture_hsm.folder);
    file = fopen(ret_path, "we");
    assert_non_null(file);
    (void)fprintf(file, "%s\n", SOFTHSM_PIN);
    (void)fclose(file);
}

static void test_a_move_to_a_token_that_was_cut_short_is_cleaned_up_with_its_pin(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char id[KMS_STORE_ID_BYTES];
    char path[KMS_FIXTURE_PATH_BYTES];
    char with_source[SOFTHSM_URI_BYTES + KMS_FIXTURE_PATH_BYTES + 32];
    struct kms_token *token;

    use(fixture, fixture->custodian, NULL);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    note_leftover(fixture, fixture->custodian, token_fixture_hsm.uri);
    token_fixture_store(fixture->storage, id);
    token = token_fixture_look();
    assert_int_equal(kms_token_key_make(token, id, 2, NULL), KL_OK);
    kms_token_close(token);

    open_refused(fixture, "custodian_leftover");
    pin_file(path);
    /* Nor is a module loaded and a PIN read because the key store says so. */
    (void)snprintf(with_source, sizeof with_source, "%s&pin-source=file:%s", token_fixture_hsm.uri,
                   path);
    note_leftover(fixture, fixture->custodian, with_source);
    open_refused(fixture, "custodian_leftover");
    fixture->options.custodian.leftover_pin_file = path;
    kms_fixture_reopen(fixture);
    token_fixture_holds_nothing();
    fixture->options.custodian.leftover_pin_file = NULL;
    kms_fixture_reopen(fixture);
}

static void test_a_note_of_the_token_in_use_under_another_address_harms_nothing(void **state)
{
    struct kms_fixture *fixture = *state;
    char same[SOFTHSM_URI_BYTES];
    char path[KMS_FIXTURE_PATH_BYTES];

    (void)snprintf(same, sizeof same, "pkcs11:model=SoftHSM%%20v2;token=kluis-test?module-path=%s",
                   token_fixture_hsm.module);
    kms_fixture_close(fixture);
    note_leftover(fixture, token_fixture_hsm.uri, same);
    pin_file(path);
    fixture->options.custodian.leftover_pin_file = path;
    kms_fixture_reopen(fixture);
    token_fixture_holds(fixture->storage, 1);
    kms_fixture_reopen(fixture);
}

#define WITH_STORE(test) \
    cmocka_unit_test_setup_teardown(test, token_fixture_setup, token_fixture_teardown)
#define WITH_NOTHING(test) \
    cmocka_unit_test_setup_teardown(test, token_fixture_setup_empty, token_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NOTHING(test_from_a_passphrase_to_a_token),
        WITH_STORE(test_from_a_token_to_a_file),
        WITH_STORE(test_from_a_token_to_another),
        WITH_STORE(test_to_the_same_token_by_another_address_is_refused_and_harms_nothing),
        WITH_NOTHING(test_a_move_to_a_token_that_was_cut_short_is_cleaned_up_with_its_pin),
        WITH_STORE(test_a_note_of_the_token_in_use_under_another_address_harms_nothing),
        WITH_NOTHING(test_a_wrong_pin_or_a_missing_token_leaves_the_root_key_where_it_is),
    };

    if (!softhsm_start(&token_fixture_hsm)) {
        return 77;
    }
    softhsm_end(&token_fixture_hsm);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
