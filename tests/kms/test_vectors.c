/*
 * The formats are final: a key store that another program wrote from the text of kms/format.h alone
 * (make_vectors.py) opens, and its values read as they should.
 */
#include "kluis/base/encode.h"
#include "tests/kms/vectors.h"
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROW_MAX_BYTES 8192
#define ROWS (sizeof vector_rows / sizeof vector_rows[0])

static const struct kms_place bucket = {2, 5, KMS_VALUE_NONE};

/* out has room for what text holds. */
static size_t unhex(const char *text, unsigned char *out)
{
    size_t bytes = strlen(text) / 2;

    assert_true(bytes <= ROW_MAX_BYTES);
    assert_true(kl_hex_decode(text, strlen(text), out, bytes));
    return bytes;
}

static int setup(void **state)
{
    struct kms_fixture *fixture;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES] = {0};
    unsigned char key[ROW_MAX_BYTES];
    unsigned char value[ROW_MAX_BYTES];

    if (kms_fixture_setup_empty(state) != 0) {
        return -1;
    }
    fixture = *state;
    for (size_t i = 0; i < ROWS; i++) {
        size_t key_bytes = unhex(vector_rows[i].key, key);
        size_t value_bytes = unhex(vector_rows[i].value, value);

        memory_storage_put(fixture->storage, kl_slice_of(key, key_bytes),
                           kl_slice_of(value, value_bytes));
    }
    for (size_t i = 0; i < 2; i++) {
        (void)unhex(vector_root_slots[i].head, root + i * 4096);
        (void)unhex(vector_root_slots[i].checksum, root + i * 4096 + 4064);
    }
    kms_fixture_root_write(fixture, root);
    return 0;
}

static enum kl_status open_vectors(struct kms_fixture *fixture)
{
    return kms_open(&fixture->options, &fixture->kms, NULL);
}

static enum kl_status unseal_hex(struct kms *kms, struct kms_place place, const char *context,
                                 const char *hex, struct kl_buf *ret_plaintext)
{
    unsigned char sealed[ROW_MAX_BYTES];
    size_t bytes = unhex(hex, sealed);

    kl_buf_init(ret_plaintext, 4096);
    return kms_unseal(kms, &place, kl_slice_text(context), kl_slice_of(sealed, bytes),
                      ret_plaintext, NULL);
}

static void test_a_store_of_another_program_opens(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_place gone = {3, 71, KMS_VALUE_NONE};
    struct kms_state now;
    struct kl_buf plaintext;
    uint64_t first = 0;

    assert_int_equal(open_vectors(fixture), KL_OK);
    kms_state(fixture->kms, &now);
    assert_int_equal(now.generation, 7);
    assert_int_equal(now.created_us, 1000000);
    assert_int_equal(now.root_key_since_us, 2000000);
    assert_int_equal(unseal_hex(fixture->kms, (struct kms_place){3, 70, 8300}, "context",
                                vector_value, &plaintext),
                     KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&plaintext), "a value"));
    kl_buf_done(&plaintext);
    assert_int_equal(unseal_hex(fixture->kms, bucket, "c", vector_own, &plaintext), KL_OK);
    assert_int_equal(plaintext.size, 0);
    kl_buf_done(&plaintext);
    assert_int_equal(kms_place_check(fixture->kms, &gone, NULL), KL_ERR_GONE);
    assert_int_equal(kms_slot_take(fixture->kms, 3, 1, &first, NULL), KL_OK);
    assert_int_equal(first, 4096);
    assert_int_equal(kms_tenant_take(fixture->kms, &first, NULL), KL_OK);
    assert_int_equal(first, 4);
}

static void test_mac_and_signature_are_as_laid_down(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char expected[ROW_MAX_BYTES];
    unsigned char public_key[KMS_PUBLIC_KEY_BYTES];
    unsigned char secret_key[crypto_sign_SECRETKEYBYTES];
    unsigned char signature[KMS_SIGNATURE_BYTES];
    unsigned char got[KMS_SIGNATURE_BYTES];

    assert_int_equal(open_vectors(fixture), KL_OK);
    assert_int_equal(kms_mac(fixture->kms, &bucket, "label", kl_slice_text("data"), got, NULL),
                     KL_OK);
    assert_int_equal(unhex(vector_mac, expected), KMS_MAC_BYTES);
    assert_memory_equal(got, expected, KMS_MAC_BYTES);
    assert_int_equal(unhex(vector_sign_seed, expected), crypto_sign_SEEDBYTES);
    assert_int_equal(crypto_sign_seed_keypair(public_key, secret_key, expected), 0);
    assert_int_equal(kms_public_key(fixture->kms, &bucket, "label", got, NULL), KL_OK);
    assert_memory_equal(got, public_key, sizeof public_key);
    assert_int_equal(kms_sign(fixture->kms, &bucket, "label", kl_slice_text("m"), got, NULL),
                     KL_OK);
    assert_int_equal(
        crypto_sign_detached(signature, NULL, (const unsigned char *)"m", 1, secret_key), 0);
    assert_memory_equal(got, signature, sizeof signature);
}

static enum kl_status visit_note(void *visitor, uint64_t generation, struct kl_slice note,
                                 struct kl_err *err)
{
    (void)err;
    assert_int_equal(generation, 7);
    assert_true(kl_slice_equal_text(note, "a note"));
    ++*(unsigned *)visitor;
    return KL_OK;
}

static void test_notes_are_read(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned notes = 0;

    assert_int_equal(open_vectors(fixture), KL_OK);
    assert_int_equal(kms_notes_each(fixture->kms, 6, visit_note, &notes, NULL), KL_OK);
    assert_int_equal(notes, 1);
}

#define STRIDE 23

/* Pages on the way to a value: a bit flipped anywhere, and the value is refused. */
static void test_a_flipped_bit_in_any_page_on_the_way_is_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_slice key;
    size_t bytes = 0;
    unsigned char *value;

    assert_int_equal(open_vectors(fixture), KL_OK);
    for (size_t row = 0; (value = memory_storage_row(fixture->storage, row, &key, &bytes)) != NULL;
         row++) {
        for (size_t i = 0; key.bytes[0] == 'P' && i < bytes; i += STRIDE) {
            unsigned char bit = (unsigned char)(1u << (i % 8));
            struct kl_buf plaintext;
            enum kl_status status;

            kms_fixture_close(fixture);
            value[i] ^= bit;
            status = open_vectors(fixture);
            if (status == KL_OK) {
                status = unseal_hex(fixture->kms, (struct kms_place){3, 70, 8300}, "context",
                                    vector_value, &plaintext);
                kl_buf_done(&plaintext);
            }
            assert_int_equal(status, KL_ERR_CORRUPT);
            value[i] ^= bit;
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_store_of_another_program_opens),
        TEST(test_mac_and_signature_are_as_laid_down),
        TEST(test_notes_are_read),
        TEST(test_a_flipped_bit_in_any_page_on_the_way_is_refused),
    };

    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
