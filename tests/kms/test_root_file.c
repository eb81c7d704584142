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

static struct kms_root_file *created(struct kms_fixture *fixture)
{
    struct kms_root_file *file = NULL;

    assert_int_equal(kms_root_file_create(&fixture->options.custodian, store_id, &file, NULL),
                     KL_OK);
    return file;
}

static enum kl_status open_file(struct kms_fixture *fixture, const unsigned char *id,
                                uint64_t generation, struct kms_root_file **ret_file,
                                struct kl_err *err)
{
    return kms_root_file_open(&fixture->options.custodian, id, generation, ret_file, err);
}

static void refused(struct kms_fixture *fixture, const unsigned char *id, uint64_t generation,
                    enum kl_status status, const char *code)
{
    struct kms_root_file *file = NULL;
    struct kl_err err = {0};

    assert_int_equal(open_file(fixture, id, generation, &file, &err), status);
    assert_string_equal(err.code, code);
    assert_null(file);
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
    struct kms_root_file *file = created(fixture);
    struct stat facts;

    assert_int_equal(stat(fixture->root_path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_int_equal(facts.st_size, KMS_ROOT_FILE_BYTES);
    assert_int_equal(kms_root_file_generation(file), 1);
    assert_memory_not_equal(kms_root_file_current(file), kms_root_file_staged(file), KMS_KEY_BYTES);
    kms_root_file_close(file);
}

static void test_create_never_overwrites(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_file *file = NULL;
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    struct kl_err err = {0};

    kms_root_file_close(created(fixture));
    kms_fixture_root_read(fixture, before);
    assert_int_equal(kms_root_file_create(&fixture->options.custodian, store_id, &file, &err),
                     KL_ERR_EXISTS);
    assert_string_equal(err.code, "root_file_exists");
    assert_null(file);
    kms_fixture_root_read(fixture, after);
    assert_memory_equal(before, after, sizeof before);
}

static void test_create_in_no_folder_is_an_io_error(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_file *file = NULL;

    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s/none/root",
                   fixture->folder);
    assert_int_equal(kms_root_file_create(&fixture->options.custodian, store_id, &file, NULL),
                     KL_ERR_IO);
    assert_null(file);
}

static void test_open_gives_the_key_that_create_made(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_file *file = created(fixture);
    unsigned char key[KMS_KEY_BYTES];

    memcpy(key, kms_root_file_current(file), sizeof key);
    kms_root_file_close(file);
    assert_int_equal(open_file(fixture, store_id, 1, &file, NULL), KL_OK);
    assert_memory_equal(kms_root_file_current(file), key, sizeof key);
    kms_root_file_close(file);
}

static void test_advance_overwrites_the_old_key_and_uses_the_staged(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_file *file = created(fixture);
    unsigned char old[KMS_KEY_BYTES];
    unsigned char staged[KMS_KEY_BYTES];
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];

    memcpy(old, kms_root_file_current(file), sizeof old);
    memcpy(staged, kms_root_file_staged(file), sizeof staged);
    kms_fixture_root_read(fixture, bytes);
    assert_non_null(memmem(bytes, sizeof bytes, old, sizeof old));
    assert_int_equal(kms_root_file_ready(file, NULL), KL_OK);
    assert_int_equal(kms_root_file_advance(file, NULL), KL_OK);
    kms_fixture_root_read(fixture, bytes);
    assert_null(memmem(bytes, sizeof bytes, old, sizeof old));
    assert_non_null(memmem(bytes, sizeof bytes, staged, sizeof staged));
    assert_memory_equal(kms_root_file_current(file), staged, sizeof staged);
    assert_memory_not_equal(kms_root_file_staged(file), staged, sizeof staged);
    assert_int_equal(kms_root_file_generation(file), 2);
    kms_root_file_close(file);
    refused(fixture, store_id, 1, KL_ERR_REFUSED, "root_key_generation");
    assert_int_equal(open_file(fixture, store_id, 2, &file, NULL), KL_OK);
    kms_root_file_close(file);
}

static void test_restage_replaces_only_the_staged_key(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_file *file = created(fixture);
    unsigned char current[KMS_KEY_BYTES];
    unsigned char staged[KMS_KEY_BYTES];
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];

    memcpy(current, kms_root_file_current(file), sizeof current);
    memcpy(staged, kms_root_file_staged(file), sizeof staged);
    assert_int_equal(kms_root_file_restage(file, NULL), KL_OK);
    kms_fixture_root_read(fixture, bytes);
    assert_null(memmem(bytes, sizeof bytes, staged, sizeof staged));
    assert_non_null(memmem(bytes, sizeof bytes, current, sizeof current));
    kms_root_file_close(file);
}

static void test_open_refuses_what_does_not_fit(void **state)
{
    struct kms_fixture *fixture = *state;
    const unsigned char other[KMS_STORE_ID_BYTES] = "another store...";

    refused(fixture, store_id, 1, KL_ERR_NOT_FOUND, "root_file_missing");
    kms_root_file_close(created(fixture));
    refused(fixture, other, 1, KL_ERR_REFUSED, "root_file_other_store");
    refused(fixture, store_id, 3, KL_ERR_REFUSED, "root_key_generation");
    with_passphrase(fixture, "a passphrase");
    refused(fixture, store_id, 1, KL_ERR_INVALID, "custodian_kind");
}

static void test_open_refuses_a_file_in_use(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_file *file = created(fixture);

    refused(fixture, store_id, 1, KL_ERR_BUSY, "root_file_locked");
    kms_root_file_close(file);
}

static void test_open_refuses_damage(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];
    struct kms_root_file *file = NULL;

    kms_root_file_close(created(fixture));
    kms_fixture_root_read(fixture, bytes);
    bytes[100] ^= 1; /* the staged slot: recovery stages anew */
    kms_fixture_root_write(fixture, bytes);
    assert_int_equal(open_file(fixture, store_id, 1, &file, NULL), KL_OK);
    kms_root_file_close(file);
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

    kms_root_file_close(created(fixture));
    kms_fixture_root_read(fixture, bytes);
    memcpy(swapped, bytes + KMS_ROOT_SLOT_BYTES, KMS_ROOT_SLOT_BYTES);
    memcpy(swapped + KMS_ROOT_SLOT_BYTES, bytes, KMS_ROOT_SLOT_BYTES);
    kms_fixture_root_write(fixture, swapped);
    refused(fixture, store_id, 1, KL_ERR_CORRUPT, "root_file_corrupt");
}

static void test_a_passphrase_opens_its_file_and_no_other_does(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_file *file;
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];
    unsigned char key[KMS_KEY_BYTES];

    with_passphrase(fixture, "correct horse");
    file = created(fixture);
    memcpy(key, kms_root_file_current(file), sizeof key);
    kms_fixture_root_read(fixture, bytes);
    assert_null(memmem(bytes, sizeof bytes, key, sizeof key));
    kms_root_file_close(file);
    with_passphrase(fixture, "correct horsf");
    refused(fixture, store_id, 1, KL_ERR_UNAUTHORISED, "wrong_passphrase");
    with_passphrase(fixture, "correct horse");
    assert_int_equal(open_file(fixture, store_id, 1, &file, NULL), KL_OK);
    assert_memory_equal(kms_root_file_current(file), key, sizeof key);
    /* Slots made after the opening are wrapped under the same passphrase. */
    assert_int_equal(kms_root_file_restage(file, NULL), KL_OK);
    assert_int_equal(kms_root_file_ready(file, NULL), KL_OK);
    assert_int_equal(kms_root_file_advance(file, NULL), KL_OK);
    memcpy(key, kms_root_file_current(file), sizeof key);
    kms_root_file_close(file);
    assert_int_equal(open_file(fixture, store_id, 2, &file, NULL), KL_OK);
    assert_memory_equal(kms_root_file_current(file), key, sizeof key);
    kms_root_file_close(file);
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
