/* Sealing, opening, authenticating and signing under the key of a place. */
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1

static const struct kms_place place = {T, 64, 5};

static void seal_text(struct kms *kms, struct kms_place at, const char *context, const char *text,
                      struct kl_buf *ret_sealed)
{
    kl_buf_init(ret_sealed, 1024);
    assert_int_equal(
        kms_seal(kms, &at, kl_slice_text(context), kl_slice_text(text), ret_sealed, NULL), KL_OK);
    assert_int_equal(ret_sealed->size, strlen(text) + KMS_SEAL_OVERHEAD_BYTES);
}

/* On failure what the buffer held before is as it was. */
static enum kl_status unseal(struct kms *kms, struct kms_place at, const char *context,
                             struct kl_slice sealed, const char *expected)
{
    struct kl_buf plaintext;
    struct kl_err err = {0};
    enum kl_status status;

    kl_buf_init(&plaintext, 4096);
    kl_buf_add_text(&plaintext, "before,");
    status = kms_unseal(kms, &at, kl_slice_text(context), sealed, &plaintext, &err);
    assert_memory_equal(plaintext.bytes, "before,", 7);
    if (status == KL_OK) {
        assert_true(kl_slice_equal_text((struct kl_slice){plaintext.bytes + 7, plaintext.size - 7},
                                        expected));
    } else {
        assert_int_equal(plaintext.size, 7);
        assert_int_equal(err.status, status);
    }
    kl_buf_done(&plaintext);
    return status;
}

static void test_what_was_sealed_opens(void **state)
{
    struct kms_fixture *fixture = *state;
    const struct kms_place places[] = {
        {0, 0, 0}, {T, 64, 5}, {T, 3, KMS_VALUE_NONE}, {KMS_SLOT_MAX, KMS_SLOT_MAX, KMS_SLOT_MAX}};

    for (size_t i = 0; i < 4; i++) {
        struct kl_buf sealed;

        seal_text(fixture->kms, places[i], "c", "", &sealed);
        assert_int_equal(unseal(fixture->kms, places[i], "c", kl_buf_slice(&sealed), ""), KL_OK);
        kl_buf_done(&sealed);
        seal_text(fixture->kms, places[i], "c", "some text", &sealed);
        assert_int_equal(unseal(fixture->kms, places[i], "c", kl_buf_slice(&sealed), "some text"),
                         KL_OK);
        kl_buf_done(&sealed);
    }
}

static void test_unseal_refuses_every_flipped_bit_and_every_other_length(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf sealed;

    seal_text(fixture->kms, place, "context", "text", &sealed);
    for (size_t bit = 0; bit < sealed.size * 8; bit++) {
        sealed.bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        assert_int_equal(unseal(fixture->kms, place, "context", kl_buf_slice(&sealed), NULL),
                         KL_ERR_CORRUPT);
        sealed.bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    for (size_t size = 0; size < sealed.size; size++) {
        assert_int_equal(
            unseal(fixture->kms, place, "context", (struct kl_slice){sealed.bytes, size}, NULL),
            KL_ERR_CORRUPT);
    }
    kl_buf_add_byte(&sealed, 0);
    assert_int_equal(unseal(fixture->kms, place, "context", kl_buf_slice(&sealed), NULL),
                     KL_ERR_CORRUPT);
    kl_buf_done(&sealed);
}

static void test_unseal_refuses_another_place_and_context(void **state)
{
    struct kms_fixture *fixture = *state;
    const struct kms_place others[] = {
        {2, 64, 5}, {T, 65, 5}, {T, 64, 6}, {T, 64, KMS_VALUE_NONE}, {0, 64, 5}};
    struct kl_buf sealed;

    seal_text(fixture->kms, place, "context", "text", &sealed);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(unseal(fixture->kms, others[i], "context", kl_buf_slice(&sealed), NULL),
                         KL_ERR_CORRUPT);
    }
    assert_int_equal(unseal(fixture->kms, place, "contexu", kl_buf_slice(&sealed), NULL),
                     KL_ERR_CORRUPT);
    assert_int_equal(unseal(fixture->kms, place, "contex", kl_buf_slice(&sealed), NULL),
                     KL_ERR_CORRUPT);
    kl_buf_done(&sealed);
}

static void test_two_seals_of_one_text_share_nothing(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf first;
    struct kl_buf second;

    seal_text(fixture->kms, place, "context", "the same text", &first);
    seal_text(fixture->kms, place, "context", "the same text", &second);
    for (size_t at = 1; at + 8 <= first.size; at += 8) {
        assert_memory_not_equal(first.bytes + at, second.bytes + at, 8);
    }
    kl_buf_done(&first);
    kl_buf_done(&second);
}

static void test_sizes_at_and_past_their_limits(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char *large = test_calloc(1, KMS_SEAL_MAX_BYTES + 1);
    struct kl_slice context = {large, KMS_CONTEXT_MAX_BYTES};
    struct kl_slice text = {large, KMS_SEAL_MAX_BYTES};
    struct kl_buf sealed;
    struct kl_buf plaintext;
    struct kl_err err = {0};

    kl_buf_init(&sealed, 1 << 20);
    kl_buf_init(&plaintext, 1 << 20);
    assert_int_equal(kms_seal(fixture->kms, &place, context, text, &sealed, NULL), KL_OK);
    assert_int_equal(
        kms_unseal(fixture->kms, &place, context, kl_buf_slice(&sealed), &plaintext, NULL), KL_OK);
    assert_int_equal(plaintext.size, KMS_SEAL_MAX_BYTES);
    kl_buf_clear(&sealed);
    text.size++;
    assert_int_equal(kms_seal(fixture->kms, &place, context, text, &sealed, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_seal_size");
    text.size = 1;
    context.size++;
    assert_int_equal(kms_seal(fixture->kms, &place, context, text, &sealed, NULL), KL_ERR_INVALID);
    context.size = 0;
    assert_int_equal(kms_seal(fixture->kms, &place, context, text, &sealed, NULL), KL_ERR_INVALID);
    assert_int_equal(
        kms_unseal(fixture->kms, &place, context, kl_buf_slice(&sealed), &plaintext, NULL),
        KL_ERR_INVALID);
    assert_int_equal(sealed.size, 0);
    kl_buf_done(&sealed);
    kl_buf_done(&plaintext);
    test_free(large);
}

static void test_a_full_buffer_is_said_so(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_slice context = kl_slice_text("c");
    struct kl_buf sealed;
    struct kl_buf small;

    seal_text(fixture->kms, place, "c", "0123456789", &sealed);
    kl_buf_init(&small, 9);
    assert_int_equal(kms_unseal(fixture->kms, &place, context, kl_buf_slice(&sealed), &small, NULL),
                     KL_ERR_TOO_LARGE);
    kl_buf_done(&small);
    kl_buf_init(&small, KMS_SEAL_OVERHEAD_BYTES);
    assert_int_equal(kms_seal(fixture->kms, &place, context, kl_slice_text("1"), &small, NULL),
                     KL_ERR_TOO_LARGE);
    kl_buf_done(&small);
    kl_buf_done(&sealed);
}

static void test_places_that_hold_no_key_are_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    const struct kms_place bad[] = {{T, KMS_SLOT_NONE, KMS_VALUE_NONE},
                                    {KMS_SLOT_MAX + 1, 1, 1},
                                    {T, KMS_SLOT_MAX + 1, 1},
                                    {T, 1, KMS_SLOT_MAX + 1}};
    struct kl_buf out;
    unsigned char mac[KMS_MAC_BYTES] = "untouched";

    kl_buf_init(&out, 1024);
    for (size_t i = 0; i < 4; i++) {
        struct kl_err err = {0};

        assert_int_equal(
            kms_seal(fixture->kms, &bad[i], kl_slice_text("c"), kl_slice_text("t"), &out, &err),
            KL_ERR_INVALID);
        assert_string_equal(err.code, "key_place_invalid");
        assert_int_equal(out.size, 0);
        assert_int_equal(kms_mac(fixture->kms, &bad[i], "l", kl_slice_text("d"), mac, NULL),
                         KL_ERR_INVALID);
    }
    assert_string_equal((char *)mac, "untouched");
    kl_buf_done(&out);
}

/* A slot whose values have pages cannot be used itself: that would be two ways. */
static void test_a_slot_is_used_in_one_way_only(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_place slot = {T, 64, KMS_VALUE_NONE};
    struct kl_buf out;

    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, place), KL_OK);
    kl_buf_init(&out, 1024);
    assert_int_equal(
        kms_seal(fixture->kms, &slot, kl_slice_text("c"), kl_slice_text("t"), &out, NULL),
        KL_ERR_INVALID);
    assert_int_equal(kms_place_check(fixture->kms, &slot, NULL), KL_OK);
    kl_buf_done(&out);
}

static void test_what_is_gone_neither_seals_nor_signs(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char out[KMS_SIGNATURE_BYTES] = "untouched";
    struct kl_buf sealed;

    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, place), KL_OK);
    kl_buf_init(&sealed, 1024);
    assert_int_equal(
        kms_seal(fixture->kms, &place, kl_slice_text("c"), kl_slice_text("t"), &sealed, NULL),
        KL_ERR_GONE);
    assert_int_equal(sealed.size, 0);
    assert_int_equal(kms_mac(fixture->kms, &place, "l", kl_slice_text("d"), out, NULL),
                     KL_ERR_GONE);
    assert_int_equal(kms_sign(fixture->kms, &place, "l", kl_slice_text("d"), out, NULL),
                     KL_ERR_GONE);
    assert_int_equal(kms_public_key(fixture->kms, &place, "l", out, NULL), KL_ERR_GONE);
    assert_string_equal((char *)out, "untouched");
    kl_buf_done(&sealed);
}

static void test_macs_depend_on_place_label_and_data(void **state)
{
    struct kms_fixture *fixture = *state;
    const struct kms_place other = {T, 64, 6};
    unsigned char macs[5][KMS_MAC_BYTES];
    struct kms *kms = fixture->kms;

    assert_int_equal(kms_mac(kms, &place, "label", kl_slice_text("data"), macs[0], NULL), KL_OK);
    assert_int_equal(kms_mac(kms, &other, "label", kl_slice_text("data"), macs[1], NULL), KL_OK);
    assert_int_equal(kms_mac(kms, &place, "labe", kl_slice_text("ldata"), macs[2], NULL), KL_OK);
    assert_int_equal(kms_mac(kms, &place, "label", kl_slice_text("datb"), macs[3], NULL), KL_OK);
    assert_int_equal(kms_mac(kms, &place, "label", kl_slice_text(""), macs[4], NULL), KL_OK);
    for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(macs[i], macs[j], KMS_MAC_BYTES);
        }
    }
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_mac(fixture->kms, &place, "label", kl_slice_text("data"), macs[1], NULL),
                     KL_OK);
    assert_memory_equal(macs[0], macs[1], KMS_MAC_BYTES);
}

static void test_labels_at_and_past_their_limit(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char mac[KMS_MAC_BYTES];
    char label[KMS_LABEL_MAX_BYTES + 2];

    memset(label, 'x', sizeof label);
    label[KMS_LABEL_MAX_BYTES] = '\0';
    assert_int_equal(kms_mac(fixture->kms, &place, label, kl_slice_text("d"), mac, NULL), KL_OK);
    label[KMS_LABEL_MAX_BYTES] = 'x';
    label[KMS_LABEL_MAX_BYTES + 1] = '\0';
    assert_int_equal(kms_mac(fixture->kms, &place, label, kl_slice_text("d"), mac, NULL),
                     KL_ERR_INVALID);
    assert_int_equal(kms_mac(fixture->kms, &place, "", kl_slice_text("d"), mac, NULL),
                     KL_ERR_INVALID);
}

static void test_signatures_verify_with_the_public_key(void **state)
{
    struct kms_fixture *fixture = *state;
    const unsigned char message[] = "a tree head";
    unsigned char public_key[KMS_PUBLIC_KEY_BYTES];
    unsigned char signature[KMS_SIGNATURE_BYTES];

    assert_int_equal(kms_public_key(fixture->kms, &place, "heads", public_key, NULL), KL_OK);
    assert_int_equal(kms_sign(fixture->kms, &place, "heads", kl_slice_of(message, sizeof message),
                              signature, NULL),
                     KL_OK);
    assert_int_equal(crypto_sign_verify_detached(signature, message, sizeof message, public_key),
                     0);
    assert_int_equal(kms_public_key(fixture->kms, &place, "other", public_key, NULL), KL_OK);
    assert_int_not_equal(
        crypto_sign_verify_detached(signature, message, sizeof message, public_key), 0);
}

#define MANY 40

static void test_many_values_open_with_one_call_each_with_its_status(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_unseal_item items[MANY];
    struct kl_buf sealed[MANY];
    struct kl_buf plain[MANY];

    for (size_t i = 0; i < MANY; i++) {
        seal_text(fixture->kms, (struct kms_place){T, 64, i * 60}, "c", "text", &sealed[i]);
        kl_buf_init(&plain[i], 64);
        items[i] = (struct kms_unseal_item){i * 60, kl_slice_text(i == 7 ? "d" : "c"),
                                            kl_buf_slice(&sealed[i]), &plain[i], KL_ERR_INTERNAL};
    }
    for (unsigned round = 0; round < 3; round++) {
        /* All derived; then some gone, pages in the cache; then pages still on the disk. */
        assert_int_equal(kms_unseal_many(fixture->kms, T, 64, items, MANY, NULL), KL_OK);
        for (size_t i = 0; i < MANY; i++) {
            enum kl_status expected = i == 7 ? KL_ERR_CORRUPT : KL_OK;

            if (round > 0 && (i == 0 || i == 33)) {
                expected = KL_ERR_GONE;
            }
            assert_int_equal(items[i].status, expected);
            assert_int_equal(plain[i].size, expected == KL_OK ? 4 : 0);
            kl_buf_clear(&plain[i]);
        }
        if (round == 0) {
            assert_int_equal(
                kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, 64, 0}),
                KL_OK);
            assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                                (struct kms_place){T, 64, 33 * 60}),
                             KL_OK);
        } else {
            kms_fixture_reopen(fixture);
        }
    }
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){T, 64, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(kms_unseal_many(fixture->kms, T, 64, items, MANY, NULL), KL_ERR_GONE);
    assert_int_equal(kms_unseal_many(fixture->kms, T, KMS_SLOT_NONE, items, MANY, NULL),
                     KL_ERR_INVALID);
    for (size_t i = 0; i < MANY; i++) {
        kl_buf_done(&sealed[i]);
        kl_buf_done(&plain[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_sealed_opens),
        TEST(test_unseal_refuses_every_flipped_bit_and_every_other_length),
        TEST(test_unseal_refuses_another_place_and_context),
        TEST(test_two_seals_of_one_text_share_nothing),
        TEST(test_sizes_at_and_past_their_limits),
        TEST(test_a_full_buffer_is_said_so),
        TEST(test_places_that_hold_no_key_are_refused),
        TEST(test_a_slot_is_used_in_one_way_only),
        TEST(test_what_is_gone_neither_seals_nor_signs),
        TEST(test_macs_depend_on_place_label_and_data),
        TEST(test_labels_at_and_past_their_limit),
        TEST(test_signatures_verify_with_the_public_key),
        TEST(test_many_values_open_with_one_call_each_with_its_status),
    };

    return cmocka_run_group_tests_name("use", tests, NULL, NULL);
}
