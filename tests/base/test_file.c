#include "kluis/base/file.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each test works in a folder of its own, which is the current one. */
static char folder[] = "/tmp/kluis-test-file-XXXXXX";

static int setup(void **state)
{
    (void)state;
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static size_t files_here(void)
{
    DIR *dir = opendir(".");
    size_t count = 0;

    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(dir);
    return count;
}

static int teardown(void **state)
{
    static const char *const names[] = {"a", "b", "fifo", "sub"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)remove(names[i]);
    }
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void assert_content(const char *path, const char *expected)
{
    struct kl_buf buf = {0};

    assert_int_equal(kl_file_read(path, 1 << 20, &buf, NULL), KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&buf), expected));
    kl_buf_done(&buf);
}

static unsigned mode_of(const char *path)
{
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 07777;
}

static void assert_read_refused(const char *path, size_t max, enum kl_status status,
                                const char *code)
{
    struct kl_err err = {0};
    struct kl_buf buf = {.max = 77};

    assert_int_equal(kl_file_read(path, max, &buf, &err), status);
    assert_string_equal(err.code, code);
    assert_non_null(strstr(err.log_text, path));
    assert_true(strlen(path) < 4 || strstr(err.client_text, path) == NULL);
    assert_true(buf.bytes == NULL && buf.max == 77);
}

static void test_a_created_file_is_read_back(void **state)
{
    (void)state;
    assert_int_equal(kl_file_create("a", 0640, "content", 7, NULL), KL_OK);
    assert_content("a", "content");
    assert_int_equal(kl_file_create("b", 0600, NULL, 0, NULL), KL_OK);
    assert_content("b", "");
}

static void test_the_mode_is_as_asked_whatever_the_umask(void **state)
{
    mode_t before = umask(0777);
    enum kl_status status = kl_file_create("a", 0644, "x", 1, NULL);

    (void)state;
    (void)umask(before);
    assert_int_equal(status, KL_OK);
    assert_int_equal(mode_of("a"), 0644);
    assert_int_equal(kl_file_replace("a", 0600, "y", 1, NULL), KL_OK);
    assert_int_equal(mode_of("a"), 0600);
}

static void test_a_file_that_is_there_is_not_created_again(void **state)
{
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(kl_file_create("a", 0600, "first", 5, NULL), KL_OK);
    assert_int_equal(kl_file_create("a", 0600, "second", 6, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "file_exists");
    assert_content("a", "first");
    assert_int_equal(symlink("nowhere", "b"), 0);
    assert_int_equal(kl_file_create("b", 0600, "x", 1, NULL), KL_ERR_EXISTS);
}

static void test_what_cannot_be_read_is_refused(void **state)
{
    (void)state;
    assert_read_refused("a", 100, KL_ERR_NOT_FOUND, "file_not_found");
    assert_read_refused("a/b", 100, KL_ERR_NOT_FOUND, "file_not_found");
    assert_read_refused(".", 100, KL_ERR_IO, "file_error");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_read_refused("fifo", 100, KL_ERR_IO, "file_error");
    assert_read_refused("/dev/null", 100, KL_ERR_IO, "file_error");
    assert_int_equal(kl_file_create("a", 0600, "x", 1, NULL), KL_OK);
    assert_read_refused("a/b", 100, KL_ERR_IO, "file_error");
}

static void test_max_bytes_are_read_and_no_more(void **state)
{
    static char large[10000];
    struct kl_buf buf = {0};

    (void)state;
    memset(large, 'x', sizeof(large));
    assert_int_equal(kl_file_create("a", 0600, large, sizeof(large), NULL), KL_OK);
    assert_int_equal(kl_file_read("a", sizeof(large), &buf, NULL), KL_OK);
    assert_true(kl_slice_equal(kl_buf_slice(&buf), kl_slice_of(large, sizeof(large))));
    kl_buf_done(&buf);
    assert_read_refused("a", sizeof(large) - 1, KL_ERR_TOO_LARGE, "file_too_large");
    assert_read_refused("a", 1, KL_ERR_TOO_LARGE, "file_too_large");
}

static void test_a_file_is_replaced_whole(void **state)
{
    (void)state;
    assert_int_equal(kl_file_replace("a", 0600, "first and longer", 16, NULL), KL_OK);
    assert_content("a", "first and longer");
    assert_int_equal(kl_file_replace("a", 0600, "second", 6, NULL), KL_OK);
    assert_content("a", "second");
    assert_int_equal(files_here(), 1);
}

/* Writing more than 4 bytes to a file fails with EFBIG in the child. */
static int writes_fail_half_way(void)
{
    const struct rlimit four = {4, 4};
    struct kl_err err = {0};

    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &four) != 0) {
        return 1;
    }
    if (kl_file_replace("a", 0600, "larger", 6, &err) != KL_ERR_IO ||
        strcmp(err.code, "file_error") != 0) {
        return 2;
    }
    return kl_file_create("b", 0600, "larger", 6, NULL) == KL_ERR_IO ? 0 : 3;
}

static void test_a_failed_write_leaves_the_old_file_and_no_half_one(void **state)
{
    int status = 0;
    pid_t child;

    (void)state;
    assert_int_equal(kl_file_create("a", 0600, "old", 3, NULL), KL_OK);
    child = fork();
    if (child == 0) {
        _exit(writes_fail_half_way());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_content("a", "old");
    assert_int_equal(files_here(), 1);
}

static void test_folders_that_are_not_there_are_an_io_error(void **state)
{
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(kl_file_create("sub/a", 0600, "x", 1, &err), KL_ERR_IO);
    assert_string_equal(err.code, "file_error");
    assert_int_equal(kl_file_replace("sub/a", 0600, "x", 1, NULL), KL_ERR_IO);
    assert_int_equal(kl_dir_sync("sub", NULL), KL_ERR_IO);
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(kl_dir_sync("sub", NULL), KL_OK);
    assert_int_equal(kl_file_replace("sub", 0600, "x", 1, NULL), KL_ERR_IO);
    assert_int_equal(files_here(), 1);
}

static void test_running_out_of_memory_is_said_and_leaves_nothing(void **state)
{
    struct kl_buf buf = {0};
    long hit = 1;

    (void)state;
    for (long n = 0; hit; n++) {
        no_memory_begin(n);
        enum kl_status status = kl_file_create("a", 0600, "x", 1, NULL);
        hit = no_memory_end();
        assert_int_equal(status, hit ? KL_ERR_NO_MEMORY : KL_OK);
        assert_int_equal(files_here(), hit ? 0 : 1);
    }
    no_memory_begin(0);
    assert_int_equal(kl_file_replace("a", 0600, "y", 1, NULL), KL_ERR_NO_MEMORY);
    assert_true(no_memory_end());
    assert_content("a", "x");
    no_memory_begin(0);
    assert_int_equal(kl_file_read("a", 10, &buf, NULL), KL_ERR_NO_MEMORY);
    assert_true(no_memory_end());
    assert_null(buf.bytes);
}

static void test_a_file_in_an_open_folder_is_never_behind_a_link(void **state)
{
    struct kl_buf buf = {0};
    struct kl_err err = {0};
    int here = open(".", O_RDONLY | O_DIRECTORY);
    int sub = -1;

    (void)state;
    assert_true(here >= 0);
    assert_int_equal(mkdir("sub", 0700), 0);
    sub = openat(here, "sub", O_RDONLY | O_DIRECTORY);
    assert_int_equal(kl_file_create_at(here, "a", 0600, "one", 3, &err), KL_OK);
    assert_int_equal(kl_file_create_at(here, "a", 0600, "two", 3, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "file_exists");
    kl_err_clear(&err);
    assert_int_equal(kl_file_read_at(here, "a", 10, &buf, &err), KL_OK);
    assert_int_equal(buf.size, 3);
    assert_memory_equal(buf.bytes, "one", 3);
    kl_buf_done(&buf);
    buf = (struct kl_buf){0};
    assert_int_equal(kl_file_read_at(here, "a", 2, &buf, NULL), KL_ERR_TOO_LARGE);
    assert_int_equal(kl_file_read_at(here, "b", 2, &buf, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "file_not_found");
    kl_err_clear(&err);
    assert_int_equal(symlink("a", "b"), 0);
    assert_int_equal(kl_file_read_at(here, "b", 10, &buf, &err), KL_ERR_IO);
    assert_string_equal(err.code, "file_error");
    assert_null(buf.bytes);
    assert_int_equal(kl_file_create_at(here, "b", 0600, "x", 1, NULL), KL_ERR_EXISTS);
    /* replaced itself, not what it leads to */
    assert_int_equal(kl_file_replace_at(here, "b", 0640, "three", 5, NULL), KL_OK);
    assert_content("a", "one");
    assert_content("b", "three");
    assert_int_equal(files_here(), 3);
    assert_int_equal(kl_file_replace_at(here, "sub", 0600, "x", 1, &err), KL_ERR_IO);
    assert_int_equal(files_here(), 3);
    no_memory_begin(0);
    assert_int_equal(kl_file_replace_at(here, "a", 0600, "y", 1, NULL), KL_ERR_NO_MEMORY);
    assert_true(no_memory_end());
    /* the folder, not its name */
    assert_int_equal(rmdir("sub"), 0);
    assert_int_equal(kl_file_create_at(sub, "a", 0600, "x", 1, NULL), KL_ERR_IO);
    assert_int_equal(close(sub), 0);
    assert_int_equal(close(here), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void test_reading_leaves_nothing_behind(void **state)
{
    struct kl_buf buf = {0};

    (void)state;
    assert_int_equal(kl_file_create("a", 0600, "Ada Lovelace", 12, NULL), KL_OK);
    freed_watch("Ada Lovelace");
    assert_int_equal(kl_file_read("a", 100, &buf, NULL), KL_OK);
    kl_buf_done(&buf);
    assert_int_equal(kl_file_read("a", 11, &buf, NULL), KL_ERR_TOO_LARGE);
    assert_int_equal(freed_with_it(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_created_file_is_read_back),
        TEST(test_the_mode_is_as_asked_whatever_the_umask),
        TEST(test_a_file_that_is_there_is_not_created_again),
        TEST(test_what_cannot_be_read_is_refused),
        TEST(test_max_bytes_are_read_and_no_more),
        TEST(test_a_file_is_replaced_whole),
        TEST(test_a_failed_write_leaves_the_old_file_and_no_half_one),
        TEST(test_folders_that_are_not_there_are_an_io_error),
        TEST(test_a_file_in_an_open_folder_is_never_behind_a_link),
        TEST(test_running_out_of_memory_is_said_and_leaves_nothing),
        TEST(test_reading_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
