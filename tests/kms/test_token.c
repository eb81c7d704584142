/* With a real token: SoftHSM. Without SoftHSM the program counts as skipped. */
#include "kms/token.h"

#include "kms/token_internal.h"
#include "tests/support/softhsm.h"
#include "tests/support/test.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const unsigned char store_a[KMS_STORE_ID_BYTES] = "store A, 16 byte";
static const unsigned char store_b[KMS_STORE_ID_BYTES] = "store B, 16 byte";
static const unsigned char root_key[KMS_KEY_BYTES] = "a root key for tests, 32 bytes..";

static struct softhsm hsm;

static int hsm_setup(void **state)
{
    (void)state;
    return sodium_init() >= 0 && softhsm_start(&hsm) ? 0 : -1;
}

static int hsm_teardown(void **state)
{
    (void)state;
    softhsm_end(&hsm);
    return 0;
}

static struct kms_token *opened(void)
{
    struct kms_token *token = NULL;
    struct kl_err err = {0};

    if (kms_token_open(hsm.uri, SOFTHSM_PIN, strlen(SOFTHSM_PIN), &token, &err) != KL_OK) {
        print_error("%s %s %s\n", err.code, err.client_text, err.log_text);
        fail();
    }
    return token;
}

static void open_refused(const char *uri, const char *pin, enum kl_status status, const char *code)
{
    struct kms_token *token = NULL;
    struct kl_err err = {0};

    assert_int_equal(kms_token_open(uri, pin, pin == NULL ? 0 : strlen(pin), &token, &err), status);
    assert_string_equal(err.code, code);
    assert_null(token);
}

static size_t keys_of(struct kms_token *token, const unsigned char *store, uint64_t held[8])
{
    size_t count = 0;

    assert_int_equal(kms_token_keys_list(token, store, held, 8, &count, NULL), KL_OK);
    return count;
}

/* ---- the address ---- */

static void test_an_address_is_refused_when_it_says_too_little_or_too_much(void **state)
{
    static const char *const wrong[] = {
        "",
        "file:/somewhere",
        "pkcs11:",
        "pkcs11:token=a",
        "pkcs11:?module-path=/m.so",
        "pkcs11:token=a%zz?module-path=/m.so",
        "pkcs11:token=a;object=b?module-path=/m.so",
        "pkcs11:token=a;id=%01?module-path=/m.so",
        "pkcs11:token=a;unknown=b?module-path=/m.so",
        "pkcs11:token=a?module-path=/m.so&pin-value=1234",
        "pkcs11:token=a?module-path=/m.so&pin-source=|pinentry",
        "pkcs11:token=a?module-path=/m.so&pin-source=file:relative",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct kl_err err = {0};

        assert_int_equal(kms_token_uri_check(wrong[i], &err), KL_ERR_INVALID);
        assert_string_equal(err.code, "token_uri");
        assert_null(strstr(err.client_text, "1234"));
        open_refused(wrong[i], SOFTHSM_PIN, KL_ERR_INVALID, "token_uri");
    }
}

static void test_an_address_names_a_token_by_label_or_serial_number(void **state)
{
    (void)state;
    assert_int_equal(kms_token_uri_check("pkcs11:token=a?module-path=/m.so", NULL), KL_OK);
    assert_int_equal(kms_token_uri_check("pkcs11:serial=a?module-path=/m.so", NULL), KL_OK);
    assert_int_equal(kms_token_uri_check("pkcs11:token=My%20token;manufacturer=Some%20maker"
                                         "?module-path=/m.so&pin-source=file:/run/pin",
                                         NULL),
                     KL_OK);
}

static void test_a_text_longer_than_any_custodian_is_no_address(void **state)
{
    char uri[KMS_CUSTODIAN_TEXT_MAX_BYTES + 64];
    size_t size;
    struct kl_err err = {0};

    (void)state;
    (void)snprintf(uri, sizeof uri, "pkcs11:token=a?module-path=/m.so");
    size = strlen(uri);
    memset(uri + size, 'x', sizeof uri - size - 1);
    uri[sizeof uri - 1] = '\0';
    assert_int_equal(kms_token_uri_check(uri, &err), KL_ERR_INVALID);
}

/* ---- opening ---- */

static void test_a_module_that_is_not_there_is_said(void **state)
{
    (void)state;
    open_refused("pkcs11:token=kluis-test?module-path=/nowhere/module.so", SOFTHSM_PIN,
                 KL_ERR_NOT_FOUND, "token_module_missing");
    open_refused("pkcs11:token=kluis-test?module-path=/bin/sh", SOFTHSM_PIN, KL_ERR_NOT_FOUND,
                 "token_module_missing");
}

static void test_a_token_that_is_not_there_is_said(void **state)
{
    char uri[SOFTHSM_URI_BYTES];

    (void)state;
    softhsm_uri(&hsm, "another-token", uri);
    open_refused(uri, SOFTHSM_PIN, KL_ERR_NOT_FOUND, "token_missing");
}

static void test_two_tokens_of_one_label_are_told_apart_by_serial_only(void **state)
{
    char uri[SOFTHSM_URI_BYTES];
    struct kms_token *token = opened();
    char serial[17];
    struct kms_token *other = NULL;

    (void)state;
    kms_token_close(token);
    softhsm_add_token(&hsm, "twins");
    softhsm_add_token(&hsm, "twins");
    softhsm_uri(&hsm, "twins", uri);
    open_refused(uri, SOFTHSM_PIN, KL_ERR_INVALID, "token_ambiguous");

    token = opened();
    memcpy(serial, token->info.serialNumber, 16);
    serial[16] = '\0';
    kms_token_close(token);
    (void)snprintf(uri, sizeof uri, "pkcs11:serial=%s?module-path=%s", serial, hsm.module);
    assert_int_equal(kms_token_open(uri, SOFTHSM_PIN, strlen(SOFTHSM_PIN), &other, NULL), KL_OK);
    assert_string_equal(kms_token_facts(other)->label, "kluis-test");
    kms_token_close(other);
}

static void test_a_wrong_pin_is_said_and_never_locks_the_token(void **state)
{
    (void)state;
    for (size_t i = 0; i < 20; i++) {
        open_refused(hsm.uri, "not-the-pin", KL_ERR_UNAUTHORISED, "wrong_pin");
    }
    open_refused(hsm.uri, "1", KL_ERR_UNAUTHORISED,
                 "wrong_pin"); /* shorter than the token allows */
    kms_token_close(opened());
}

static void test_the_last_try_of_a_pin_is_left_to_people(void **state)
{
    const CK_FLAGS usable = CKF_USER_PIN_INITIALIZED | CKF_LOGIN_REQUIRED;
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(kms_token_pin_may_be_tried(usable, NULL), KL_OK);
    assert_int_equal(kms_token_pin_may_be_tried(usable | CKF_USER_PIN_COUNT_LOW, NULL), KL_OK);
    assert_int_equal(kms_token_pin_may_be_tried(CKF_PROTECTED_AUTHENTICATION_PATH, NULL), KL_OK);
    assert_int_equal(kms_token_pin_may_be_tried(usable | CKF_USER_PIN_FINAL_TRY, &err),
                     KL_ERR_REFUSED);
    assert_string_equal(err.code, "token_pin_final_try");
    kl_err_clear(&err);
    assert_int_equal(kms_token_pin_may_be_tried(usable | CKF_USER_PIN_LOCKED, &err),
                     KL_ERR_REFUSED);
    assert_string_equal(err.code, "token_pin_locked");
    kl_err_clear(&err);
    assert_int_equal(kms_token_pin_may_be_tried(CKF_LOGIN_REQUIRED, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "token_pin_unset");
}

static void test_a_pin_must_be_given_and_have_a_length(void **state)
{
    struct kms_token *token = NULL;
    struct kl_err err = {0};
    char pin[KMS_TOKEN_PIN_MAX_BYTES + 2];

    (void)state;
    open_refused(hsm.uri, NULL, KL_ERR_INVALID, "pin_missing");
    open_refused(hsm.uri, "", KL_ERR_INVALID, "pin_length");
    memset(pin, 'p', sizeof pin);
    assert_int_equal(kms_token_open(hsm.uri, pin, KMS_TOKEN_PIN_MAX_BYTES + 1, &token, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "pin_length");
    assert_null(token);
}

static void pin_file(const char *content, char ret_uri[2 * SOFTHSM_URI_BYTES])
{
    char path[300];
    FILE *file;

    (void)snprintf(path, sizeof path, "%.256s/pin", hsm.folder);
    (void)unlink(path);
    if (content != NULL) {
        file = fopen(path, "we");
        assert_non_null(file);
        (void)fputs(content, file);
        (void)fclose(file);
    }
    (void)snprintf(ret_uri, 2 * SOFTHSM_URI_BYTES, "%s&pin-source=file:%s", hsm.uri, path);
}

static void test_the_pin_comes_from_the_file_that_the_address_names(void **state)
{
    char uri[2 * SOFTHSM_URI_BYTES];
    char large[400];
    struct kms_token *token = NULL;

    (void)state;
    pin_file(SOFTHSM_PIN "\n", uri);
    assert_int_equal(kms_token_open(uri, NULL, 0, &token, NULL), KL_OK);
    kms_token_close(token);
    pin_file("wrong-one\n", uri);
    open_refused(uri, NULL, KL_ERR_UNAUTHORISED, "wrong_pin");
    token = NULL;
    assert_int_equal(kms_token_open(uri, SOFTHSM_PIN, strlen(SOFTHSM_PIN), &token, NULL), KL_OK);
    kms_token_close(token);
    pin_file("\n", uri);
    open_refused(uri, NULL, KL_ERR_INVALID, "pin_length");
    memset(large, 'p', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    pin_file(large, uri);
    open_refused(uri, NULL, KL_ERR_INVALID, "pin_length");
    pin_file(NULL, uri);
    open_refused(uri, NULL, KL_ERR_NOT_FOUND, "pin_file_missing");
}

/* ---- what it is ---- */

static void test_a_look_needs_no_pin_and_tells_a_software_token(void **state)
{
    struct kms_custodian_report report;
    struct kms_token_facts facts = {.label = "untouched"};
    char uri[SOFTHSM_URI_BYTES];

    (void)state;
    softhsm_uri(&hsm, "another-token", uri);
    assert_int_equal(kms_token_look(uri, &facts, NULL), KL_ERR_NOT_FOUND);
    assert_string_equal(facts.label, "untouched");
    assert_int_equal(kms_token_look(hsm.uri, &facts, NULL), KL_OK);
    assert_string_equal(facts.label, "kluis-test");
    kms_token_judge(&facts, &report);
    assert_int_equal(report.finality, KMS_FINALITY_F0);
    assert_string_equal(report.kind, "pkcs11");
    assert_string_equal(report.file_system, "kluis-test");
    assert_non_null(strstr(report.reason, "SoftHSM"));
    assert_true(strlen(report.advice) > 0);
}

static void test_only_hardware_that_keeps_its_keys_inside_is_final(void **state)
{
    static const struct {
        struct kms_token_facts facts;
        enum kms_finality finality;
    } cases[] = {
        {{"t", "Yubico (www.yubico.com)", "YubiHSM", "Yubico", true}, KMS_FINALITY_F2},
        {{"t", "Yubico (www.yubico.com)", "YubiHSM", "Yubico", false}, KMS_FINALITY_F0},
        {{"t", "SoftHSM project", "SoftHSM v2", "SoftHSM", true}, KMS_FINALITY_F0},
        {{"t", "Infineon", "SLB9670", "tpm2-software.github.io", true}, KMS_FINALITY_F0},
        {{"t", "nCipher Corp. Ltd", "", "nCipher Corp. Ltd", true}, KMS_FINALITY_F0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kms_custodian_report report;

        kms_token_judge(&cases[i].facts, &report);
        assert_int_equal(report.finality, cases[i].finality);
        assert_true(strlen(report.reason) > 0 && strlen(report.advice) > 0);
    }
}

/* ---- keys ---- */

static void test_a_key_is_made_found_and_destroyed(void **state)
{
    struct kms_token *token = opened();
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(kms_token_answers(token, NULL), KL_OK);
    assert_int_equal(kms_token_key_check(token, store_a, 7, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "token_key_missing");
    assert_int_equal(kms_token_key_make(token, store_a, 7, NULL), KL_OK);
    assert_int_equal(kms_token_key_check(token, store_a, 7, NULL), KL_OK);
    assert_int_equal(kms_token_key_destroy(token, store_a, 7, NULL), KL_OK);
    assert_int_equal(kms_token_key_check(token, store_a, 7, NULL), KL_ERR_NOT_FOUND);
    assert_int_equal(kms_token_key_destroy(token, store_a, 7, NULL), KL_OK);
    kms_token_close(token);
}

static void test_a_key_stays_on_the_token_over_sessions_and_cannot_be_taken_out(void **state)
{
    struct kms_token *token = opened();
    unsigned char value[64];
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_ATTRIBUTE all = {CKA_CLASS, &class, sizeof class};
    CK_ATTRIBUTE ask = {CKA_VALUE, value, sizeof value};
    CK_OBJECT_HANDLE key;
    CK_ULONG count = 0;

    (void)state;
    assert_int_equal(kms_token_key_make(token, store_a, 3, NULL), KL_OK);
    kms_token_close(token);
    token = opened();
    assert_int_equal(kms_token_key_check(token, store_a, 3, NULL), KL_OK);
    assert_int_equal(token->module->C_FindObjectsInit(token->session, &all, 1), CKR_OK);
    assert_int_equal(token->module->C_FindObjects(token->session, &key, 1, &count), CKR_OK);
    assert_int_equal(token->module->C_FindObjectsFinal(token->session), CKR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(token->module->C_GetAttributeValue(token->session, key, &ask, 1),
                     CKR_ATTRIBUTE_SENSITIVE);
    kms_token_close(token);
}

static void test_all_keys_of_a_store_go_but_the_one_to_keep(void **state)
{
    struct kms_token *token = opened();
    uint64_t held[8];

    (void)state;
    for (uint64_t generation = 1; generation <= 70;
         generation++) { /* more than are found at once */
        assert_int_equal(kms_token_key_make(token, store_a, generation, NULL), KL_OK);
    }
    assert_int_equal(kms_token_key_make(token, store_a, 69, NULL), KL_OK); /* one twice */
    assert_int_equal(kms_token_key_make(token, store_b, 69, NULL), KL_OK);
    assert_int_equal(kms_token_keys_keep(token, store_a, 70, NULL), KL_OK);
    assert_int_equal(keys_of(token, store_a, held), 1);
    assert_int_equal(held[0], 70);
    assert_int_equal(keys_of(token, store_b, held), 1);
    assert_int_equal(held[0], 69);
    assert_int_equal(kms_token_keys_keep(token, store_a, KMS_TOKEN_KEEP_NONE, NULL), KL_OK);
    assert_int_equal(keys_of(token, store_a, held), 0);
    assert_int_equal(keys_of(token, store_b, held), 1);
    kms_token_close(token);
}

static void test_a_wrapped_root_key_opens_while_its_key_lives(void **state)
{
    struct kms_token *token = opened();
    unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES] = {0};
    unsigned char again[KMS_TOKEN_WRAPPED_BYTES] = {0};
    unsigned char key[KMS_KEY_BYTES] = {0};
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(kms_token_wrap(token, store_a, 5, root_key, wrapped, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "token_key_missing");
    assert_int_equal(wrapped[0], 0);
    assert_int_equal(kms_token_key_make(token, store_a, 5, NULL), KL_OK);
    assert_int_equal(kms_token_wrap(token, store_a, 5, root_key, wrapped, NULL), KL_OK);
    assert_int_equal(kms_token_wrap(token, store_a, 5, root_key, again, NULL), KL_OK);
    assert_memory_not_equal(wrapped, again, sizeof wrapped);
    kms_token_close(token);

    token = opened();
    assert_int_equal(kms_token_unwrap(token, store_a, 5, wrapped, key, NULL), KL_OK);
    assert_memory_equal(key, root_key, sizeof key);
    assert_int_equal(kms_token_key_destroy(token, store_a, 5, NULL), KL_OK);
    memset(key, 0, sizeof key);
    kl_err_clear(&err);
    assert_int_equal(kms_token_unwrap(token, store_a, 5, wrapped, key, &err), KL_ERR_NOT_FOUND);
    /* A key made anew under the old name is another key. */
    assert_int_equal(kms_token_key_make(token, store_a, 5, NULL), KL_OK);
    kl_err_clear(&err);
    assert_int_equal(kms_token_unwrap(token, store_a, 5, wrapped, key, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "token_wrapped_corrupt");
    assert_int_equal(key[0], 0);
    kms_token_close(token);
}

static void test_a_wrapped_root_key_is_bound_to_every_bit_of_it(void **state)
{
    struct kms_token *token = opened();
    unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES];
    unsigned char key[KMS_KEY_BYTES] = {0};

    (void)state;
    assert_int_equal(kms_token_key_make(token, store_a, 5, NULL), KL_OK);
    assert_int_equal(kms_token_wrap(token, store_a, 5, root_key, wrapped, NULL), KL_OK);
    for (size_t bit = 0; bit < 8 * sizeof wrapped; bit++) {
        struct kl_err err = {0};

        wrapped[bit / 8] = (unsigned char)(wrapped[bit / 8] ^ (1u << (bit % 8)));
        assert_int_equal(kms_token_unwrap(token, store_a, 5, wrapped, key, &err), KL_ERR_CORRUPT);
        assert_string_equal(err.code, "token_wrapped_corrupt");
        wrapped[bit / 8] = (unsigned char)(wrapped[bit / 8] ^ (1u << (bit % 8)));
    }
    assert_int_equal(key[0], 0);
    assert_int_equal(kms_token_unwrap(token, store_a, 5, wrapped, key, NULL), KL_OK);
    kms_token_close(token);
}

/* A key of known bytes under the name of a store and generation, as nobody but a test would make it. */
static void known_key(struct kms_token *token, const unsigned char *store, uint64_t generation)
{
    char hex[2 * KMS_STORE_ID_BYTES + 1];
    char label[64];
    unsigned char id[8];
    unsigned char value[32] = "the same bytes in all of them";
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_LABEL, label, 0},
        {CKA_ID, id, sizeof id},
        {CKA_VALUE, value, sizeof value},
        {CKA_TOKEN, &yes, sizeof yes},
        {CKA_ENCRYPT, &yes, sizeof yes},
        {CKA_DECRYPT, &yes, sizeof yes},
    };
    CK_OBJECT_HANDLE key;

    (void)sodium_bin2hex(hex, sizeof hex, store, KMS_STORE_ID_BYTES);
    (void)snprintf(label, sizeof label, "kluis %s", hex);
    template[2].ulValueLen = strlen(label);
    kl_put_u64be(id, generation);
    assert_int_equal(token->module->C_CreateObject(token->session, template,
                                                   sizeof template / sizeof template[0], &key),
                     CKR_OK);
}

static void test_a_wrapped_root_key_is_bound_to_its_store_and_generation(void **state)
{
    struct kms_token *token = opened();
    unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES];
    unsigned char key[KMS_KEY_BYTES] = {0};

    (void)state;
    known_key(token, store_a, 5);
    known_key(token, store_b, 5);
    known_key(token, store_a, 6);
    assert_int_equal(kms_token_wrap(token, store_a, 5, root_key, wrapped, NULL), KL_OK);
    assert_int_equal(kms_token_unwrap(token, store_b, 5, wrapped, key, NULL), KL_ERR_CORRUPT);
    assert_int_equal(kms_token_unwrap(token, store_a, 6, wrapped, key, NULL), KL_ERR_CORRUPT);
    assert_int_equal(key[0], 0);
    assert_int_equal(kms_token_unwrap(token, store_a, 5, wrapped, key, NULL), KL_OK);
    kms_token_close(token);
}

static void test_two_vaults_of_one_process_share_a_token(void **state)
{
    struct kms_token *one = opened();
    struct kms_token *other = opened();

    (void)state;
    assert_int_equal(kms_token_key_make(one, store_a, 1, NULL), KL_OK);
    assert_int_equal(kms_token_key_make(other, store_b, 1, NULL), KL_OK);
    kms_token_close(one);
    assert_int_equal(kms_token_answers(other, NULL), KL_OK);
    assert_int_equal(kms_token_key_check(other, store_a, 1, NULL), KL_OK);
    assert_int_equal(kms_token_key_check(other, store_b, 1, NULL), KL_OK);
    kms_token_close(other);
}

static void test_a_session_that_ended_is_an_error_of_the_token(void **state)
{
    struct kms_token *token = opened();
    unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES] = {0};
    struct kl_err err = {0};
    uint64_t held[1] = {99};
    size_t count = 99;

    (void)state;
    assert_int_equal(token->module->C_CloseAllSessions(token->slot), CKR_OK);
    assert_int_equal(kms_token_answers(token, &err), KL_ERR_IO);
    assert_string_equal(err.code, "token_io");
    assert_int_equal(kms_token_key_make(token, store_a, 1, NULL), KL_ERR_IO);
    assert_int_equal(kms_token_key_check(token, store_a, 1, NULL), KL_ERR_IO);
    assert_int_equal(kms_token_key_destroy(token, store_a, 1, NULL), KL_ERR_IO);
    assert_int_equal(kms_token_keys_keep(token, store_a, 1, NULL), KL_ERR_IO);
    assert_int_equal(kms_token_keys_list(token, store_a, held, 1, &count, NULL), KL_ERR_IO);
    assert_int_equal(kms_token_wrap(token, store_a, 1, root_key, wrapped, NULL), KL_ERR_IO);
    assert_int_equal(held[0], 99);
    assert_int_equal(count, 99);
    assert_int_equal(wrapped[0], 0);
    kms_token_close(token);
    kms_token_close(NULL);
}

#define WITH_TOKEN(test) cmocka_unit_test_setup_teardown(test, hsm_setup, hsm_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_is_refused_when_it_says_too_little_or_too_much),
        cmocka_unit_test(test_an_address_names_a_token_by_label_or_serial_number),
        cmocka_unit_test(test_a_text_longer_than_any_custodian_is_no_address),
        WITH_TOKEN(test_a_module_that_is_not_there_is_said),
        WITH_TOKEN(test_a_token_that_is_not_there_is_said),
        WITH_TOKEN(test_two_tokens_of_one_label_are_told_apart_by_serial_only),
        WITH_TOKEN(test_a_wrong_pin_is_said_and_never_locks_the_token),
        cmocka_unit_test(test_the_last_try_of_a_pin_is_left_to_people),
        WITH_TOKEN(test_a_pin_must_be_given_and_have_a_length),
        WITH_TOKEN(test_the_pin_comes_from_the_file_that_the_address_names),
        WITH_TOKEN(test_a_look_needs_no_pin_and_tells_a_software_token),
        cmocka_unit_test(test_only_hardware_that_keeps_its_keys_inside_is_final),
        WITH_TOKEN(test_a_key_is_made_found_and_destroyed),
        WITH_TOKEN(test_a_key_stays_on_the_token_over_sessions_and_cannot_be_taken_out),
        WITH_TOKEN(test_all_keys_of_a_store_go_but_the_one_to_keep),
        WITH_TOKEN(test_a_wrapped_root_key_opens_while_its_key_lives),
        WITH_TOKEN(test_a_wrapped_root_key_is_bound_to_every_bit_of_it),
        WITH_TOKEN(test_a_wrapped_root_key_is_bound_to_its_store_and_generation),
        WITH_TOKEN(test_two_vaults_of_one_process_share_a_token),
        WITH_TOKEN(test_a_session_that_ended_is_an_error_of_the_token),
    };

    if (!softhsm_start(&hsm)) {
        return 77;
    }
    softhsm_end(&hsm);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
