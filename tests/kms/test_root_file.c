#include "kms/root.h"
#include "kms/root_file.h"

#include "tests/support/kms_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const unsigned char store_id[KMS_STORE_ID_BYTES] = "a store, 16 byte";

/* A root file and the keys that it holds. */
struct rooted {
    struct kms_root_place *place;
    struct kms_root root;
};

static void rooted_done(struct rooted *rooted)
{
    kms_root_place_close(rooted->place);
    kms_root_done(&rooted->root);
    rooted->place = NULL;
}

static struct rooted created(struct kms_fixture *fixture)
{
    struct rooted rooted = {0};

    assert_int_equal(
        kms_root_place_make(&fixture->options.custodian, store_id, NULL, &rooted.place, NULL),
        KL_OK);
    assert_int_equal(kms_root_begin(&rooted.root, rooted.place, NULL), KL_OK);
    return rooted;
}

static void create_and_close(struct kms_fixture *fixture)
{
    struct rooted rooted = created(fixture);

    rooted_done(&rooted);
}

static enum kl_status open_file(struct kms_fixture *fixture, const unsigned char *id,
                                uint64_t generation, struct rooted *ret_rooted, struct kl_err *err)
{
    struct rooted rooted = {0};
    enum kl_status status =
        kms_root_place_open(&fixture->options.custodian, id, NULL, &rooted.place, err);

    if (status == KL_OK) {
        status = kms_root_load(&rooted.root, rooted.place, generation, err);
    }
    if (status != KL_OK) {
        rooted_done(&rooted);
        return status;
    }
    *ret_rooted = rooted;
    return KL_OK;
}

static void refused(struct kms_fixture *fixture, const unsigned char *id, uint64_t generation,
                    enum kl_status status, const char *code)
{
    struct rooted rooted = {0};
    struct kl_err err = {0};

    assert_int_equal(open_file(fixture, id, generation, &rooted, &err), status);
    assert_string_equal(err.code, code);
    assert_null(rooted.place);
}

static const unsigned char *current(const struct rooted *rooted)
{
    return kl_secret_peek(rooted->root.current);
}

static const unsigned char *staged(const struct rooted *rooted)
{
    return kl_secret_peek(rooted->root.staged);
}

/* Destroy the key in use, as a commit does. */
static void advance(struct rooted *rooted)
{
    assert_int_equal(kms_root_ready(&rooted->root, NULL), KL_OK);
    assert_int_equal(kms_root_overwrite(&rooted->root, rooted->place, NULL), KL_OK);
    kms_root_turn(&rooted->root);
}

static void with_passphrase(struct kms_fixture *fixture, const char *passphrase)
{
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "passphrase:%s",
                   fixture->root_path);
    fixture->options.custodian.passphrase = passphrase;
    fixture->options.custodian.passphrase_bytes = strlen(passphrase);
}

static void test_create_makes_a_file_for_its_owner_only(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rooted file = created(fixture);
    struct stat facts;

    assert_int_equal(stat(fixture->root_path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_int_equal(facts.st_size, KMS_ROOT_FILE_BYTES);
    assert_int_equal(file.root.generation, 1);
    assert_memory_not_equal(current(&file), staged(&file), KMS_KEY_BYTES);
    rooted_done(&file);
}

static void test_create_never_overwrites(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rooted file = {0};
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    struct kl_err err = {0};

    create_and_close(fixture);
    kms_fixture_root_read(fixture, before);
    assert_int_equal(
        kms_root_place_make(&fixture->options.custodian, store_id, NULL, &file.place, &err),
        KL_ERR_EXISTS);
    assert_string_equal(err.code, "root_file_exists");
    assert_null(file.place);
    kms_fixture_root_read(fixture, after);
    assert_memory_equal(before, after, sizeof before);
}

static void test_create_in_no_folder_is_an_io_error(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rooted file = {0};

    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s/none/root",
                   fixture->folder);
    assert_int_equal(
        kms_root_place_make(&fixture->options.custodian, store_id, NULL, &file.place, NULL),
        KL_ERR_IO);
    assert_null(file.place);
}

static void test_open_gives_the_key_that_create_made(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rooted file = created(fixture);
    unsigned char key[KMS_KEY_BYTES];

    memcpy(key, current(&file), sizeof key);
    rooted_done(&file);
    assert_int_equal(open_file(fixture, store_id, 1, &file, NULL), KL_OK);
    assert_memory_equal(current(&file), key, sizeof key);
    rooted_done(&file);
}

static void test_advance_overwrites_the_old_key_and_uses_the_staged(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rooted file = created(fixture);
    unsigned char old[KMS_KEY_BYTES];
    unsigned char second[KMS_KEY_BYTES];
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];

    memcpy(old, current(&file), sizeof old);
    memcpy(second, staged(&file), sizeof second);
    kms_fixture_root_read(fixture, bytes);
    assert_non_null(memmem(bytes, sizeof bytes, old, sizeof old));
    advance(&file);
    kms_fixture_root_read(fixture, bytes);
    assert_null(memmem(bytes, sizeof bytes, old, sizeof old));
    assert_non_null(memmem(bytes, sizeof bytes, second, sizeof second));
    assert_memory_equal(current(&file), second, sizeof second);
    assert_memory_not_equal(staged(&file), second, sizeof second);
    assert_int_equal(file.root.generation, 2);
    rooted_done(&file);
    refused(fixture, store_id, 1, KL_ERR_REFUSED, "root_key_generation");
    assert_int_equal(open_file(fixture, store_id, 2, &file, NULL), KL_OK);
    rooted_done(&file);
}

static void test_restage_replaces_only_the_staged_key(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rooted file = created(fixture);
    unsigned char first[KMS_KEY_BYTES];
    unsigned char second[KMS_KEY_BYTES];
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];

    memcpy(first, current(&file), sizeof first);
    memcpy(second, staged(&file), sizeof second);
    assert_int_equal(kms_root_restage(&file.root, file.place, NULL), KL_OK);
    kms_fixture_root_read(fixture, bytes);
    assert_null(memmem(bytes, sizeof bytes, second, sizeof second));
    assert_non_null(memmem(bytes, sizeof bytes, first, sizeof first));
    rooted_done(&file);
}

static void test_open_refuses_what_does_not_fit(void **state)
{
    struct kms_fixture *fixture = *state;
    const unsigned char other[KMS_STORE_ID_BYTES] = "another store...";

    refused(fixture, store_id, 1, KL_ERR_NOT_FOUND, "root_file_missing");
    create_and_close(fixture);
    refused(fixture, other, 1, KL_ERR_REFUSED, "root_file_other_store");
    refused(fixture, store_id, 3, KL_ERR_REFUSED, "root_key_generation");
    with_passphrase(fixture, "a passphrase");
    refused(fixture, store_id, 1, KL_ERR_INVALID, "custodian_kind");
}

static void test_open_refuses_a_file_in_use(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rooted file = created(fixture);

    refused(fixture, store_id, 1, KL_ERR_BUSY, "root_file_locked");
    rooted_done(&file);
}

static void test_open_refuses_damage(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];
    struct rooted file = {0};

    create_and_close(fixture);
    kms_fixture_root_read(fixture, bytes);
    bytes[100] ^= 1; /* the staged slot: recovery stages anew */
    kms_fixture_root_write(fixture, bytes);
    assert_int_equal(open_file(fixture, store_id, 1, &file, NULL), KL_OK);
    rooted_done(&file);
    bytes[KMS_ROOT_SLOT_BYTES + 100] ^= 1;
    kms_fixture_root_write(fixture, bytes);
    refused(fixture, store_id, 1, KL_ERR_CORRUPT, "root_file_corrupt");
    bytes[100] ^= 1; /* now only the slot in use is damaged */
    kms_fixture_root_write(fixture, bytes);
    refused(fixture, store_id, 1, KL_ERR_REFUSED, "root_key_generation");
    assert_int_equal(truncate(fixture->root_path, 4096), 0);
    refused(fixture, store_id, 1, KL_ERR_CORRUPT, "root_file_corrupt");
}

static void test_open_refuses_slots_that_changed_places(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];
    unsigned char swapped[KMS_FIXTURE_ROOT_BYTES];

    create_and_close(fixture);
    kms_fixture_root_read(fixture, bytes);
    memcpy(swapped, bytes + KMS_ROOT_SLOT_BYTES, KMS_ROOT_SLOT_BYTES);
    memcpy(swapped + KMS_ROOT_SLOT_BYTES, bytes, KMS_ROOT_SLOT_BYTES);
    kms_fixture_root_write(fixture, swapped);
    refused(fixture, store_id, 1, KL_ERR_CORRUPT, "root_file_corrupt");
}

static void test_a_passphrase_opens_its_file_and_no_other_does(void **state)
{
    struct kms_fixture *fixture = *state;
    struct rooted file;
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];
    unsigned char key[KMS_KEY_BYTES];

    with_passphrase(fixture, "correct horse");
    file = created(fixture);
    memcpy(key, current(&file), sizeof key);
    kms_fixture_root_read(fixture, bytes);
    assert_null(memmem(bytes, sizeof bytes, key, sizeof key));
    rooted_done(&file);
    with_passphrase(fixture, "correct horsf");
    refused(fixture, store_id, 1, KL_ERR_UNAUTHORISED, "wrong_passphrase");
    with_passphrase(fixture, "correct horse");
    assert_int_equal(open_file(fixture, store_id, 1, &file, NULL), KL_OK);
    assert_memory_equal(current(&file), key, sizeof key);
    /* Slots made after the opening are wrapped under the same passphrase. */
    assert_int_equal(kms_root_restage(&file.root, file.place, NULL), KL_OK);
    advance(&file);
    memcpy(key, current(&file), sizeof key);
    rooted_done(&file);
    assert_int_equal(open_file(fixture, store_id, 2, &file, NULL), KL_OK);
    assert_memory_equal(current(&file), key, sizeof key);
    rooted_done(&file);
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s", fixture->root_path);
    refused(fixture, store_id, 2, KL_ERR_INVALID, "custodian_kind");
}

/* ---- one slot ---- */

static struct kms_root_slot a_slot(enum kms_root_kind kind)
{
    struct kms_root_slot slot = {.kind = kind, .generation = 9};

    memcpy(slot.store_id, store_id, sizeof slot.store_id);
    memset(slot.key, 0x5a, KMS_KEY_BYTES);
    if (kind == KMS_ROOT_PASSPHRASE) {
        slot.passes = 3;
        slot.memory_bytes = 8192;
        memset(slot.salt, 1, sizeof slot.salt);
        memset(slot.nonce, 2, sizeof slot.nonce);
    }
    return slot;
}

static void test_a_slot_is_read_as_it_was_written(void **state)
{
    const enum kms_root_kind kinds[] = {KMS_ROOT_BARE, KMS_ROOT_PASSPHRASE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kms_root_slot slot = a_slot(kinds[i]);
        struct kms_root_slot read;
        unsigned char bytes[KMS_ROOT_SLOT_BYTES];

        kms_root_slot_write(&slot, bytes);
        assert_true(kms_root_slot_parse(bytes, &read));
        assert_int_equal(read.kind, slot.kind);
        assert_int_equal(read.passes, slot.passes);
        assert_int_equal(read.memory_bytes, slot.memory_bytes);
        assert_int_equal(read.generation, 9);
        assert_memory_equal(read.store_id, slot.store_id, sizeof read.store_id);
        assert_memory_equal(read.salt, slot.salt, sizeof read.salt);
        assert_memory_equal(read.nonce, slot.nonce, sizeof read.nonce);
        assert_memory_equal(read.key, slot.key, sizeof read.key);
    }
}

static void test_every_flipped_bit_of_a_slot_is_seen(void **state)
{
    struct kms_root_slot slot = a_slot(KMS_ROOT_PASSPHRASE);
    unsigned char bytes[KMS_ROOT_SLOT_BYTES];
    struct kms_root_slot read;

    (void)state;
    kms_root_slot_write(&slot, bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        assert_false(kms_root_slot_parse(bytes, &read));
        bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
}

static void slot_refused(struct kms_root_slot slot)
{
    unsigned char bytes[KMS_ROOT_SLOT_BYTES];
    struct kms_root_slot read = {.generation = 77};

    kms_root_slot_write(&slot, bytes);
    assert_false(kms_root_slot_parse(bytes, &read));
    assert_int_equal(read.generation, 77);
}

/* A slot with a right checksum that would make Argon2id take all memory, or no time at all. */
static void test_a_slot_that_no_writer_makes_is_refused(void **state)
{
    struct kms_root_slot slot = a_slot(KMS_ROOT_PASSPHRASE);

    (void)state;
    slot.memory_bytes = KMS_ROOT_MEMORY_MAX_BYTES + 1;
    slot_refused(slot);
    slot.memory_bytes = 0;
    slot_refused(slot);
    slot = a_slot(KMS_ROOT_PASSPHRASE);
    slot.passes = KMS_ROOT_PASSES_MAX + 1;
    slot_refused(slot);
    slot.passes = 0;
    slot_refused(slot);
    slot = a_slot(KMS_ROOT_BARE);
    slot.passes = 1;
    slot_refused(slot);
    slot = a_slot((enum kms_root_kind)3);
    slot_refused(slot);
    slot = a_slot(KMS_ROOT_BARE);
    slot.generation = 0;
    slot_refused(slot);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, kms_fixture_setup_empty, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_create_makes_a_file_for_its_owner_only),
        TEST(test_create_never_overwrites),
        TEST(test_create_in_no_folder_is_an_io_error),
        TEST(test_open_gives_the_key_that_create_made),
        TEST(test_advance_overwrites_the_old_key_and_uses_the_staged),
        TEST(test_restage_replaces_only_the_staged_key),
        TEST(test_open_refuses_what_does_not_fit),
        TEST(test_open_refuses_a_file_in_use),
        TEST(test_open_refuses_damage),
        TEST(test_open_refuses_slots_that_changed_places),
        TEST(test_a_passphrase_opens_its_file_and_no_other_does),
        cmocka_unit_test(test_a_slot_is_read_as_it_was_written),
        cmocka_unit_test(test_every_flipped_bit_of_a_slot_is_seen),
        cmocka_unit_test(test_a_slot_that_no_writer_makes_is_refused),
    };

    return cmocka_run_group_tests_name("root_file", tests, NULL, NULL);
}
