/* Chunks on the disk: what was changed, moved, left out or taken from another file does not open. */
#include "tests/support/file_fixture.h"

#include "tests/support/test.h"
#include "vault/vault_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK VAULT_FILE_CHUNK_BYTES
#define SEALED VAULT_FILE_SEALED_BYTES

static void test_every_size_comes_back(void **state)
{
    static const size_t sizes[] = {0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_file_place place;
    char path[ADMIN_PATH_BYTES];
    struct stat info;
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *bytes = file_bytes((unsigned)i, sizes[i]);

        assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, sizes[i]), KL_OK);
        file_assert_is(fixture, &person, "scan", bytes, sizes[i]);
        place = file_last(fixture, &person);
        assert_int_equal(place.bytes, sizes[i]);
        file_path_of(fixture, &place, path);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_size, vault_file_sealed_bytes(sizes[i]));
        assert_int_equal(info.st_mode & 0777, 0600);
        free(bytes);
    }
}

/* The file of 3 chunks and a bit, as it lies on the disk. */
struct laid {
    struct vault_subject_result person;
    char path[ADMIN_PATH_BYTES];
    unsigned char *sealed;
    size_t size;
};

static void lay(struct vault_fixture *fixture, unsigned seed, struct laid *laid)
{
    size_t size = 3 * (size_t)CHUNK + 100;
    unsigned char *bytes = file_bytes(seed, size);
    struct vault_file_place place;
    int fd = -1;

    laid->person = file_person(fixture);
    assert_int_equal(file_put(fixture, "writer", &laid->person, "scan", bytes, size), KL_OK);
    free(bytes);
    place = file_last(fixture, &laid->person);
    file_path_of(fixture, &place, laid->path);
    laid->size = (size_t)vault_file_sealed_bytes(size);
    laid->sealed = malloc(laid->size);
    assert_non_null(laid->sealed);
    fd = open(laid->path, O_RDONLY);
    assert_int_equal(read(fd, laid->sealed, laid->size), laid->size);
    (void)close(fd);
}

static void overwrite(const struct laid *laid, const unsigned char *bytes, size_t size)
{
    int fd = open(laid->path, O_WRONLY | O_TRUNC);

    assert_int_equal(write(fd, bytes, size), size);
    (void)close(fd);
}

static void assert_damaged(struct vault_fixture *fixture, const struct laid *laid)
{
    struct kl_buf got;

    kl_buf_init(&got, 1024 * 1024);
    assert_int_equal(file_get(fixture, "reader", &laid->person, "scan", &got), KL_ERR_CORRUPT);
    kl_buf_done(&got);
}

static void test_any_flipped_bit_is_seen(void **state)
{
    struct vault_fixture *fixture = *state;
    struct laid laid;
    size_t at;

    lay(fixture, 1, &laid);
    for (at = 0; at < laid.size; at += 9973) {
        laid.sealed[at] ^= (unsigned char)(1u << at % 8);
        overwrite(&laid, laid.sealed, laid.size);
        assert_damaged(fixture, &laid);
        laid.sealed[at] ^= (unsigned char)(1u << at % 8);
    }
    free(laid.sealed);
}

static void test_chunks_do_not_change_places(void **state)
{
    struct vault_fixture *fixture = *state;
    unsigned char *swapped = NULL;
    struct laid laid;

    lay(fixture, 2, &laid);
    swapped = malloc(laid.size);
    assert_non_null(swapped);
    memcpy(swapped, laid.sealed, laid.size);
    memcpy(swapped, laid.sealed + SEALED, SEALED);
    memcpy(swapped + SEALED, laid.sealed, SEALED);
    overwrite(&laid, swapped, laid.size);
    assert_damaged(fixture, &laid);
    memcpy(swapped, laid.sealed, laid.size);
    memcpy(swapped + SEALED, laid.sealed, SEALED); /* one twice */
    overwrite(&laid, swapped, laid.size);
    assert_damaged(fixture, &laid);
    free(swapped);
    free(laid.sealed);
}

/* Cut at the end of a chunk, with a row that says so too: the chunk before was not sealed as the last. */
static void test_a_file_that_was_cut_short_does_not_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_buf sealed;
    struct kl_buf plain;
    struct vault_file_place place;
    struct laid laid;
    int fd = -1;

    lay(fixture, 3, &laid);
    overwrite(&laid, laid.sealed, laid.size - 50);
    assert_damaged(fixture, &laid);
    overwrite(&laid, laid.sealed, 2 * (size_t)SEALED);
    assert_damaged(fixture, &laid);
    place = file_last(fixture, &laid.person);
    place.bytes = 2 * (uint64_t)CHUNK;
    kl_buf_init(&sealed, SEALED);
    kl_buf_init(&plain, CHUNK);
    fd = open(laid.path, O_RDONLY);
    assert_int_equal(vault_file_chunk_read(fixture_vault(fixture)->keys, fd, &place, 0, &sealed,
                                           &plain, &fixture->err),
                     KL_OK);
    assert_int_equal(vault_file_chunk_read(fixture_vault(fixture)->keys, fd, &place, 1, &sealed,
                                           &plain, &fixture->err),
                     KL_ERR_CORRUPT);
    assert_int_equal(plain.size, 0);
    kl_err_clear(&fixture->err);
    place.bytes = 4 * (uint64_t)CHUNK;
    assert_int_equal(vault_file_chunk_read(fixture_vault(fixture)->keys, fd, &place, 3, &sealed,
                                           &plain, &fixture->err),
                     KL_ERR_CORRUPT);
    assert_string_equal(fixture->err.code, "file_damaged");
    (void)close(fd);
    kl_buf_done(&sealed);
    kl_buf_done(&plain);
    free(laid.sealed);
}

static void test_chunks_of_another_file_do_not_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct laid one;
    struct laid other;

    lay(fixture, 4, &one);
    lay(fixture, 5, &other);
    overwrite(&one, other.sealed, other.size);
    assert_damaged(fixture, &one);
    memcpy(other.sealed, one.sealed, SEALED); /* the first chunk of the one in the other */
    overwrite(&other, other.sealed, other.size);
    assert_damaged(fixture, &other);
    overwrite(&one, one.sealed, one.size);
    free(one.sealed);
    free(other.sealed);
}

static void test_a_write_without_room_says_so(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_file_place place = {.of = {fixture_tenant(fixture), 4096, 1}, .id = 1};
    struct vault_file_writer writer;
    unsigned char *bytes = file_bytes(6, 2 * CHUNK);
    int full = open("/dev/full", O_WRONLY);

    vault_file_writer_init(&writer, vault_file_seal_now, fixture_vault(fixture)->keys, &place,
                           full);
    assert_int_equal(vault_file_writer_add(&writer, bytes, 2 * CHUNK, &fixture->err),
                     KL_ERR_UNAVAILABLE);
    assert_string_equal(fixture->err.code, "vault_disk_full");
    vault_file_writer_done(&writer);
    (void)close(full);
    free(bytes);
}

/* Keys do not go along into a child. */
static enum kl_status seal_nothing(void *context, const struct kms_place *place,
                                   struct kl_slice aad, struct kl_slice plain, struct kl_buf *ret,
                                   struct kl_err *err)
{
    (void)context;
    (void)place;
    (void)plain;
    kl_buf_add(ret, aad.bytes, aad.size);
    return kl_buf_status(ret, err);
}

static void write_what_fails(struct vault_fixture *fixture)
{
    struct vault_file_place place = {.of = {fixture_tenant(fixture), 4096, 1}, .id = 1};
    struct vault_file_writer writer;

    vault_file_writer_init(&writer, seal_nothing, NULL, &place, open("/dev/null", O_RDONLY));
    _exit(vault_file_writer_end(&writer, &fixture->err) == KL_OK ? 0 : 1);
}

static void sync_what_fails(struct vault_fixture *fixture)
{
    struct vault_file_place place = {.of = {fixture_tenant(fixture), 4096, 1}, .id = 1};
    int ends[2];

    if (pipe(ends) == 0) { /* which cannot be synced */
        _exit(vault_files_keep(fixture_vault(fixture)->files, &place, ends[1], &fixture->err) ==
                      KL_OK
                  ? 0
                  : 1);
    }
    _exit(2);
}

static void assert_ends_the_process(struct vault_fixture *fixture,
                                    void (*work)(struct vault_fixture *fixture))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        (void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO); /* it is logged */
        work(fixture);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), VAULT_EXIT_DISK);
}

static void test_a_write_or_sync_that_fails_otherwise_ends_the_process(void **state)
{
    assert_ends_the_process(*state, write_what_fails);
    assert_ends_the_process(*state, sync_what_fails);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_fixture_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_size_comes_back),
        TEST(test_any_flipped_bit_is_seen),
        TEST(test_chunks_do_not_change_places),
        TEST(test_a_file_that_was_cut_short_does_not_open),
        TEST(test_chunks_of_another_file_do_not_open),
        TEST(test_a_write_without_room_says_so),
        TEST(test_a_write_or_sync_that_fails_otherwise_ends_the_process),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
