#include "vault/store/store.h"

#include "tests/support/store_fixture.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct kl_slice text(const char *value)
{
    return kl_slice_text(value);
}

static void put(struct vault_store *store, const char *key, const char *value)
{
    struct vault_batch *batch = vault_batch_new();
    vault_batch_put(batch, text(key), text(value));
    assert_int_equal(vault_store_apply(store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
}

static void assert_row(struct vault_store *store, const char *key, const char *value)
{
    struct kl_buf buf;
    kl_buf_init(&buf, 1024);
    enum kl_status status = vault_store_get(store, text(key), &buf, NULL);
    if (value == NULL) {
        assert_int_equal(status, KL_ERR_NOT_FOUND);
        assert_int_equal(buf.size, 0);
    } else {
        assert_int_equal(status, KL_OK);
        assert_true(kl_slice_equal_text(kl_buf_slice(&buf), value));
    }
    kl_buf_done(&buf);
}

/* Joins the keys that an iterator gives. */
static void assert_keys(struct vault_iter *iter, const char *expected)
{
    struct kl_slice key;
    struct kl_slice value;
    char seen[256] = "";
    while (vault_iter_next(iter, &key, &value)) {
        strncat(seen, (const char *)key.bytes, key.size);
        strcat(seen, " ");
    }
    assert_int_equal(vault_iter_status(iter, NULL), KL_OK);
    assert_string_equal(seen, expected);
}

static void test_a_row_is_read_as_it_was_written(void **state)
{
    struct store_fixture *fixture = *state;
    put(fixture->store, "a", "one");
    put(fixture->store, "b", "");
    assert_row(fixture->store, "a", "one");
    assert_row(fixture->store, "b", "");
    assert_row(fixture->store, "c", NULL);
}

static void test_get_appends_and_says_when_it_does_not_fit(void **state)
{
    struct store_fixture *fixture = *state;
    struct kl_err err = {.status = KL_OK};
    struct kl_buf buf;
    kl_buf_init(&buf, 6);
    put(fixture->store, "a", "one");
    kl_buf_add_text(&buf, "x");
    assert_int_equal(vault_store_get(fixture->store, text("a"), &buf, NULL), KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&buf), "xone"));
    assert_int_equal(vault_store_get(fixture->store, text("a"), &buf, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "too_large");
    kl_buf_done(&buf);
}

static void test_get_many_tells_each_status(void **state)
{
    struct store_fixture *fixture = *state;
    struct kl_slice keys[3] = {text("a"), text("missing"), text("b")};
    struct kl_buf rets[3];
    enum kl_status statuses[3];
    for (size_t i = 0; i < 3; i++) {
        kl_buf_init(&rets[i], 100);
    }
    put(fixture->store, "a", "one");
    put(fixture->store, "b", "two");
    assert_int_equal(vault_store_get_many(fixture->store, keys, 3, rets, statuses, NULL), KL_OK);
    assert_int_equal(statuses[0], KL_OK);
    assert_int_equal(statuses[1], KL_ERR_NOT_FOUND);
    assert_int_equal(statuses[2], KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&rets[2]), "two"));
    for (size_t i = 0; i < 3; i++) {
        kl_buf_done(&rets[i]);
    }
}

static void test_a_batch_is_applied_in_order(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_batch *batch = vault_batch_new();
    put(fixture->store, "m1", "old");
    put(fixture->store, "m2", "old");
    put(fixture->store, "n", "old");
    vault_batch_remove_range(batch, text("m"), text("n"));
    vault_batch_put(batch, text("m2"), text("new"));
    vault_batch_put(batch, text("x"), text("1"));
    vault_batch_remove(batch, text("x"));
    assert_int_equal(vault_batch_count(batch), 4);
    assert_int_equal(vault_store_apply(fixture->store, batch, true, NULL), KL_OK);
    vault_batch_free(batch);
    assert_row(fixture->store, "m1", NULL);
    assert_row(fixture->store, "m2", "new");
    assert_row(fixture->store, "n", "old");
    assert_row(fixture->store, "x", NULL);
}

static void test_a_batch_that_holds_too_large_a_value_writes_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    struct kl_err err = {.status = KL_OK};
    struct vault_batch *batch = vault_batch_new();
    struct vault_batch *other = vault_batch_new();
    unsigned char *large = calloc(1, VAULT_STORE_VALUE_MAX_BYTES + 1);
    vault_batch_put(batch, text("a"), text("one"));
    vault_batch_put(batch, text("b"), kl_slice_of(large, VAULT_STORE_VALUE_MAX_BYTES + 1));
    assert_int_equal(vault_store_apply(fixture->store, batch, true, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "store_value_too_large");
    assert_row(fixture->store, "a", NULL);
    vault_batch_append(other, batch);
    assert_int_equal(vault_store_apply(fixture->store, other, true, NULL), KL_ERR_TOO_LARGE);

    vault_batch_clear(batch);
    vault_batch_put(batch, text("b"), kl_slice_of(large, VAULT_STORE_VALUE_MAX_BYTES));
    assert_int_equal(vault_store_apply(fixture->store, batch, true, NULL), KL_OK);
    free(large);
    vault_batch_free(other);
    vault_batch_free(batch);
}

static void test_what_was_removed_is_in_no_file_after_compacting(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_batch *batch = vault_batch_new();
    put(fixture->store, "a1", "stays-before");
    put(fixture->store, "b1", "goes-by-itself");
    put(fixture->store, "b2", "goes-by-range");
    put(fixture->store, "c1", "stays-behind");
    vault_store_compact(fixture->store, text("a"), text("z"));
    assert_true(store_files_hold(fixture->path, "goes-by-range"));
    vault_batch_remove(batch, text("b1"));
    vault_batch_remove_range(batch, text("b2"), text("b9"));
    assert_int_equal(vault_store_apply(fixture->store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
    vault_store_compact(fixture->store, text("b"), text("c"));
    assert_false(store_files_hold(fixture->path, "goes-by-range"));
    assert_false(store_files_hold(fixture->path, "goes-by-itself"));
    assert_row(fixture->store, "a1", "stays-before");
    assert_row(fixture->store, "b2", NULL);
    assert_row(fixture->store, "c1", "stays-behind");
}

static void test_batches_join_and_are_searched(void **state)
{
    (void)state;
    struct kl_slice value = {NULL, 0};
    struct vault_batch *batch = vault_batch_new();
    struct vault_batch *more = vault_batch_new();
    vault_batch_put(batch, text("a"), text("1"));
    vault_batch_put(more, text("a"), text("2"));
    vault_batch_remove(more, text("b"));
    vault_batch_append(batch, more);
    assert_int_equal(vault_batch_count(batch), 3);
    assert_true(vault_batch_find(batch, text("a"), &value));
    assert_true(kl_slice_equal_text(value, "2"));
    assert_true(vault_batch_find(batch, text("b"), &value));
    assert_null(value.bytes);
    assert_false(vault_batch_find(batch, text("c"), &value));
    vault_batch_free(more);
    vault_batch_free(batch);
}

static void test_a_cleared_batch_is_as_a_new_one(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_batch *batch = vault_batch_new();
    unsigned char *large = calloc(1, VAULT_STORE_VALUE_MAX_BYTES);
    for (int i = 0; i < 5; i++) {
        vault_batch_put(batch, text("a"), kl_slice_of(large, VAULT_STORE_VALUE_MAX_BYTES));
    }
    vault_batch_clear(batch);
    assert_int_equal(vault_batch_count(batch), 0);
    vault_batch_put(batch, text("b"), text("two"));
    assert_int_equal(vault_store_apply(fixture->store, batch, false, NULL), KL_OK);
    assert_row(fixture->store, "a", NULL);
    assert_row(fixture->store, "b", "two");
    free(large);
    vault_batch_free(batch);
}

static struct vault_iter *range(struct vault_store *store, const char *first, const char *past,
                                bool backwards)
{
    struct vault_iter *iter = vault_iter_new(store, text(first), text(past), backwards);
    assert_non_null(iter);
    return iter;
}

static void test_ranges_go_both_ways(void **state)
{
    struct store_fixture *fixture = *state;
    const char *const keys[] = {"a", "b", "ba", "bz", "c", "d"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        put(fixture->store, keys[i], "v");
    }
    struct {
        const char *first;
        const char *past;
        const char *forwards;
        const char *backwards;
    } cases[] = {
        {"b", "c", "b ba bz ", "bz ba b "},
        {"", "b", "a ", "a "},
        {"bb", "", "bz c d ", "d c bz "},
        {"", "", "a b ba bz c d ", "d c bz ba b a "},
        {"x", "z", "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vault_iter *iter = range(fixture->store, cases[i].first, cases[i].past, false);
        assert_keys(iter, cases[i].forwards);
        vault_iter_free(iter);
        iter = range(fixture->store, cases[i].first, cases[i].past, true);
        assert_keys(iter, cases[i].backwards);
        vault_iter_free(iter);
    }
}

static void test_an_iterator_seeks_within_its_range(void **state)
{
    struct store_fixture *fixture = *state;
    const char *const keys[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        put(fixture->store, keys[i], "v");
    }
    struct vault_iter *iter = range(fixture->store, "b", "e", false);
    vault_iter_seek(iter, text("c"));
    assert_keys(iter, "c d ");
    vault_iter_seek(iter, text("a"));
    assert_keys(iter, "b c d ");
    vault_iter_seek(iter, text("x"));
    assert_keys(iter, "");
    vault_iter_free(iter);
    iter = range(fixture->store, "b", "e", true);
    vault_iter_seek(iter, text("c"));
    assert_keys(iter, "c b ");
    vault_iter_seek(iter, text("x"));
    assert_keys(iter, "d c b ");
    vault_iter_seek(iter, text("a"));
    assert_keys(iter, "");
    vault_iter_free(iter);
}

static void test_an_iterator_sees_the_store_as_of_its_making(void **state)
{
    struct store_fixture *fixture = *state;
    put(fixture->store, "a", "1");
    put(fixture->store, "b", "1");
    struct vault_iter *iter = range(fixture->store, "", "", false);
    struct vault_batch *batch = vault_batch_new();
    vault_batch_remove(batch, text("a"));
    vault_batch_put(batch, text("c"), text("1"));
    assert_int_equal(vault_store_apply(fixture->store, batch, false, NULL), KL_OK);
    assert_keys(iter, "a b ");
    vault_iter_seek(iter, text("a"));
    assert_keys(iter, "a b ");
    vault_batch_free(batch);
    vault_iter_free(iter);
}

static void test_rows_are_there_after_opening_again(void **state)
{
    struct store_fixture *fixture = *state;
    put(fixture->store, "a", "one");
    store_fixture_reopen(fixture);
    assert_row(fixture->store, "a", "one");
}

static void test_open_and_create_do_not_take_one_for_the_other(void **state)
{
    struct store_fixture *fixture = *state;
    char missing[KMS_FIXTURE_PATH_BYTES + 32];
    struct kl_err err = {.status = KL_OK};
    struct vault_store *store = NULL;
    struct vault_store_options options = {.path = fixture->path, .create = true};
    assert_int_equal(vault_store_open(&options, &store, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "store_exists");
    assert_null(store);
    (void)snprintf(missing, sizeof(missing), "%s/none", fixture->folder);
    options = (struct vault_store_options){.path = missing};
    kl_err_clear(&err);
    assert_int_equal(vault_store_open(&options, &store, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "store_missing");
    assert_null(store);
    assert_int_not_equal(access(missing, F_OK), 0);
}

static void test_the_folder_is_for_its_owner_alone(void **state)
{
    struct store_fixture *fixture = *state;
    char path[KMS_FIXTURE_PATH_BYTES + 32];
    struct stat about;
    struct vault_store *store = NULL;
    (void)snprintf(path, sizeof(path), "%s/second", fixture->folder);
    struct vault_store_options options = {.path = path, .create = true};
    mode_t before = umask(0);
    assert_int_equal(vault_store_open(&options, &store, NULL), KL_OK);
    umask(before);
    vault_store_close(store);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
}

static void test_a_store_opens_once(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_store_options options = {.path = fixture->path};
    struct kl_err err = {.status = KL_OK};
    struct vault_store *store = NULL;
    assert_int_equal(vault_store_open(&options, &store, &err), KL_ERR_BUSY);
    assert_string_equal(err.code, "store_in_use");
    assert_null(store);
}

/* In a process of its own: holds the store as RocksDB does, by a lock on its LOCK file, until its input closes. */
static int hold_store(const char *path, int from_parent, int to_parent)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char lock[KMS_FIXTURE_PATH_BYTES + 32];
    char byte = 0;
    (void)snprintf(lock, sizeof(lock), "%s/LOCK", path);
    int file = open(lock, O_RDWR);
    if (file < 0 || fcntl(file, F_SETLK, &whole) != 0 || write(to_parent, "+", 1) != 1) {
        return 1;
    }
    (void)!read(from_parent, &byte, 1);
    return 0;
}

static void test_a_store_that_another_process_holds_is_busy(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_store_options options = {.path = fixture->path};
    struct kl_err err = {.status = KL_OK};
    struct vault_store *store = NULL;
    int down[2];
    int up[2];
    int exited = 0;
    char byte = 0;
    vault_store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    pid_t child = fork();
    if (child == 0) {
        close(down[1]);
        _exit(hold_store(fixture->path, down[0], up[1]));
    }
    close(down[0]);
    close(up[1]);
    assert_int_equal(read(up[0], &byte, 1), 1);
    assert_int_equal(vault_store_open(&options, &store, &err), KL_ERR_BUSY);
    assert_string_equal(err.code, "store_in_use");
    close(down[1]);
    close(up[0]);
    assert_int_equal(waitpid(child, &exited, 0), child);
    assert_int_equal(exited, 0);
    assert_int_equal(vault_store_open(&options, &fixture->store, NULL), KL_OK);
}

/* Spoil the start of every file whose name starts so; returns how many there were. */
static size_t damage(const char *folder, const char *name)
{
    size_t count = 0;
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        if (strncmp(entry->d_name, name, strlen(name)) == 0) {
            int file = openat(dirfd(listing), entry->d_name, O_WRONLY);
            assert_true(file >= 0);
            assert_int_equal(pwrite(file, "spoilt", 6, 9), 6);
            close(file);
            count++;
        }
    }
    closedir(listing);
    return count;
}

static void test_a_damaged_store_does_not_open(void **state)
{
    struct store_fixture *fixture = *state;
    struct vault_store_options options = {.path = fixture->path};
    struct kl_err err = {.status = KL_OK};
    struct vault_store *store = NULL;
    put(fixture->store, "a", "one");
    vault_store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(damage(fixture->path, "MANIFEST-"), 1);
    assert_int_equal(vault_store_open(&options, &store, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "store_corrupt");
    assert_null(store);
}

/* ---- a disk that is full ---- */

#define ROOM_BYTES ((rlim_t)1024 * 1024)
#define ENDED_AS_IT_SHOULD 7

/*
 * This program again: write until the log file may not grow any more. Debian 12's RocksDB ends the process there; later ones return,
 * and then no write may come through any more, not even when there is room again.
 */
static int write_until_full(const char *path)
{
    const struct rlimit no_core = {0, 0};
    struct rlimit room = {ROOM_BYTES, RLIM_INFINITY};
    struct vault_store_options options = {.path = path};
    struct vault_store *store = NULL;
    struct vault_batch *batch = vault_batch_new();
    struct kl_err err = {.status = KL_OK};
    enum kl_status status = KL_OK;
    unsigned char *large = calloc(1, 100000);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    if (vault_store_open(&options, &store, NULL) != KL_OK || setrlimit(RLIMIT_FSIZE, &room) != 0) {
        return 1;
    }
    vault_batch_put(batch, text("a"), kl_slice_of(large, 100000));
    for (int i = 0; i < 100 && status == KL_OK; i++) {
        status = vault_store_apply(store, batch, true, &err);
    }
    bool stopped = status == KL_ERR_IO && strcmp(err.code, "store_failed") == 0;
    room.rlim_cur = RLIM_INFINITY;
    stopped = stopped && setrlimit(RLIMIT_FSIZE, &room) == 0 &&
              vault_store_apply(store, batch, true, NULL) == KL_ERR_IO;
    free(large);
    vault_batch_free(batch);
    vault_store_close(store);
    return stopped ? ENDED_AS_IT_SHOULD : 2;
}

static void test_a_failed_write_is_the_last_one(void **state)
{
    struct store_fixture *fixture = *state;
    int ended = 0;
    vault_store_close(fixture->store);
    fixture->store = NULL;
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        (void)dup2(nowhere, STDERR_FILENO);
        execl("/proc/self/exe", "test_store", "--write-until-full", fixture->path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true((WIFSIGNALED(ended) && WTERMSIG(ended) == SIGABRT) ||
                (WIFEXITED(ended) && WEXITSTATUS(ended) == ENDED_AS_IT_SHOULD));
    store_fixture_reopen(fixture);
}

int main(int argc, char **argv)
{
#define STORE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, store_fixture_setup_store, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_a_row_is_read_as_it_was_written),
        STORE_TEST(test_get_appends_and_says_when_it_does_not_fit),
        STORE_TEST(test_get_many_tells_each_status),
        STORE_TEST(test_a_batch_is_applied_in_order),
        STORE_TEST(test_a_batch_that_holds_too_large_a_value_writes_nothing),
        cmocka_unit_test(test_batches_join_and_are_searched),
        STORE_TEST(test_what_was_removed_is_in_no_file_after_compacting),
        STORE_TEST(test_a_cleared_batch_is_as_a_new_one),
        STORE_TEST(test_ranges_go_both_ways),
        STORE_TEST(test_an_iterator_seeks_within_its_range),
        STORE_TEST(test_an_iterator_sees_the_store_as_of_its_making),
        STORE_TEST(test_rows_are_there_after_opening_again),
        STORE_TEST(test_open_and_create_do_not_take_one_for_the_other),
        STORE_TEST(test_the_folder_is_for_its_owner_alone),
        STORE_TEST(test_a_store_opens_once),
        STORE_TEST(test_a_store_that_another_process_holds_is_busy),
        STORE_TEST(test_a_damaged_store_does_not_open),
        STORE_TEST(test_a_failed_write_is_the_last_one),
    };
    if (argc == 3 && strcmp(argv[1], "--write-until-full") == 0) {
        return write_until_full(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
