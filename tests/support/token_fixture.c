#include "tests/support/token_fixture.h"

#include "kms/token_internal.h"
#include "tests/support/test.h"

#include <string.h>

struct softhsm token_fixture_hsm;

int token_fixture_setup_empty(void **state)
{
    struct kms_fixture *fixture;

    if (kms_fixture_setup_empty(state) != 0 || !softhsm_start(&token_fixture_hsm)) {
        return -1;
    }
    fixture = *state;
    fixture->options.custodian.custodian = token_fixture_hsm.uri;
    fixture->options.custodian.passphrase = SOFTHSM_PIN;
    fixture->options.custodian.passphrase_bytes = strlen(SOFTHSM_PIN);
    return 0;
}

int token_fixture_setup(void **state)
{
    struct kms_fixture *fixture;

    if (token_fixture_setup_empty(state) != 0) {
        return -1;
    }
    fixture = *state;
    return kms_create(&fixture->options, NULL) == KL_OK &&
                   kms_open(&fixture->options, &fixture->kms, NULL) == KL_OK
               ? 0
               : -1;
}

int token_fixture_teardown(void **state)
{
    int result = kms_fixture_teardown(state);

    softhsm_end(&token_fixture_hsm);
    return result;
}

struct kms_token *token_fixture_look(void)
{
    struct kms_token *token = NULL;

    assert_int_equal(
        kms_token_open(token_fixture_hsm.uri, SOFTHSM_PIN, strlen(SOFTHSM_PIN), &token, NULL),
        KL_OK);
    return token;
}

void token_fixture_store(struct memory_storage *storage, unsigned char ret_id[KMS_STORE_ID_BYTES])
{
    struct kl_slice key;
    size_t bytes;
    const unsigned char *value;

    for (size_t i = 0; (value = memory_storage_row(storage, i, &key, &bytes)) != NULL; i++) {
        if (key.size == 1 && key.bytes[0] == KMS_ROW_META) {
            memcpy(ret_id, value + 1, KMS_STORE_ID_BYTES);
            return;
        }
    }
    fail_msg("no meta row");
}

void token_fixture_holds(struct memory_storage *storage, uint64_t generation)
{
    unsigned char id[KMS_STORE_ID_BYTES];
    struct kms_token *token = token_fixture_look();
    uint64_t held[8];
    size_t count = 0;

    token_fixture_store(storage, id);
    assert_int_equal(kms_token_keys_list(token, id, held, 8, &count, NULL), KL_OK);
    kms_token_close(token);
    assert_int_equal(count, 2);
    assert_int_equal(held[0] + held[1], 2 * generation + 1);
    assert_true(held[0] == generation || held[1] == generation);
}

void token_fixture_holds_nothing(void)
{
    struct kms_token *token = token_fixture_look();
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_ATTRIBUTE all = {CKA_CLASS, &class, sizeof class};
    CK_OBJECT_HANDLE key;
    CK_ULONG count = 0;

    assert_int_equal(token->module->C_FindObjectsInit(token->session, &all, 1), CKR_OK);
    assert_int_equal(token->module->C_FindObjects(token->session, &key, 1, &count), CKR_OK);
    assert_int_equal(token->module->C_FindObjectsFinal(token->session), CKR_OK);
    kms_token_close(token);
    assert_int_equal(count, 0);
}

unsigned char *token_fixture_row(struct memory_storage *storage, uint64_t generation)
{
    unsigned char *found = NULL;
    unsigned char *value;
    struct kl_slice key;
    size_t bytes;

    for (size_t i = 0; (value = memory_storage_row(storage, i, &key, &bytes)) != NULL; i++) {
        if (key.size > 0 && key.bytes[0] == KMS_ROW_WRAPPED) {
            assert_null(found);
            assert_int_equal(key.size, KMS_WRAPPED_KEY_BYTES);
            assert_int_equal(kl_get_u64be(key.bytes + 1), generation);
            assert_int_equal(bytes, KMS_TOKEN_WRAPPED_BYTES);
            found = value;
        }
    }
    assert_non_null(found);
    return found;
}
