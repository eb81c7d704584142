#include "kluis/base/json.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char captured[4 << 20];

/* What a call writes to stderr, in a child process of its own when in_child. */
static const char *capture(void (*call)(void), bool in_child)
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    size_t size;

    assert_non_null(file);
    (void)fflush(stderr);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    if (in_child) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            call();
            _exit(0);
        }
        (void)waitpid(child, &status, 0);
    } else {
        call();
    }
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    (void)close(kept);
    rewind(file);
    size = fread(captured, 1, sizeof(captured) - 1, file);
    captured[size] = '\0';
    (void)fclose(file);
    return captured;
}

static struct kl_json *parsed(const char *line)
{
    struct kl_json *json = NULL;
    const char *end = strchr(line, '\n');

    assert_non_null(end);
    assert_int_equal(kl_json_parse(line, (size_t)(end - line), &json, NULL), KL_OK);
    return json;
}

static void assert_text(const struct kl_json *json, const char *key, const char *expected)
{
    const char *text = kl_json_text(kl_json_member(kl_json_root(json), key));

    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void log_two_fields(void)
{
    kl_log(KL_LOG_INFO, "server_started", KL_LOG_TEXT("listen", "127.0.0.1:8443"),
           KL_LOG_INT("workers", 50));
}

static void test_a_line_is_one_json_object(void **state)
{
    const char *line = capture(log_two_fields, false);
    struct kl_json *json = parsed(line);
    const struct kl_json_value *root = kl_json_root(json);
    const char *time_text = kl_json_text(kl_json_member(root, "time"));
    int64_t number = 0;

    (void)state;
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_text(json, "level", "info");
    assert_text(json, "event", "server_started");
    assert_text(json, "listen", "127.0.0.1:8443");
    assert_true(kl_json_int(kl_json_member(root, "workers"), &number));
    assert_int_equal(number, 50);
    assert_int_equal(kl_time_parse(time_text, strlen(time_text), &number, NULL), KL_OK);
    kl_json_free(json);
}

static void log_no_fields(void)
{
    kl_log(KL_LOG_ERROR, "stopped");
}

static void test_a_line_may_have_no_fields(void **state)
{
    struct kl_json *json = parsed(capture(log_no_fields, false));

    (void)state;
    assert_int_equal(kl_json_count(kl_json_root(json)), 3);
    assert_text(json, "level", "error");
    kl_json_free(json);
}

static void log_awkward_texts(void)
{
    kl_log(KL_LOG_WARNING, "odd", KL_LOG_TEXT("quote", "a\"b\\c\n\x01\x7F"),
           KL_LOG_TEXT("bad", "x\xFFy\xC3"), KL_LOG_TEXT("none", NULL),
           KL_LOG_INT("small", INT64_MIN));
}

static void test_awkward_texts_stay_within_the_line(void **state)
{
    const char *line = capture(log_awkward_texts, false);
    struct kl_json *json = parsed(line);

    (void)state;
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_text(json, "quote", "a\"b\\c\n\x01\x7F");
    assert_text(json, "bad", "x\xEF\xBF\xBDy\xEF\xBF\xBD");
    assert_int_equal(kl_json_type(kl_json_member(kl_json_root(json), "none")), KL_JSON_NULL);
    kl_json_free(json);
}

static char long_text[10000];

static void log_long_texts(void)
{
    kl_log(KL_LOG_INFO, "long", KL_LOG_TEXT("a", long_text), KL_LOG_TEXT("b", long_text),
           KL_LOG_TEXT("c", long_text), KL_LOG_TEXT("d", long_text), KL_LOG_TEXT("e", "short"));
}

static void test_long_texts_and_lines_are_cut_and_say_so(void **state)
{
    const char *line;
    struct kl_json *json;
    const struct kl_json_value *root;

    (void)state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    line = capture(log_long_texts, false);
    assert_true(strlen(line) <= KL_LOG_LINE_MAX_BYTES);
    json = parsed(line);
    root = kl_json_root(json);
    assert_int_equal(kl_json_text_bytes(kl_json_member(root, "a")), KL_LOG_TEXT_MAX_BYTES);
    assert_int_equal(kl_json_text_bytes(kl_json_member(root, "c")), KL_LOG_TEXT_MAX_BYTES);
    assert_null(kl_json_member(root, "d"));
    assert_null(kl_json_member(root, "e"));
    assert_true(kl_json_bool(kl_json_member(root, "cut")));
    kl_json_free(json);
    /* Every byte becomes six. */
    memset(long_text, 1, sizeof(long_text) - 1);
    line = capture(log_long_texts, false);
    assert_true(strlen(line) <= KL_LOG_LINE_MAX_BYTES);
    json = parsed(line);
    assert_true(kl_json_bool(kl_json_member(kl_json_root(json), "cut")));
    kl_json_free(json);
}

static void log_all_levels(void)
{
    kl_log(KL_LOG_DEBUG, "l0");
    kl_log(KL_LOG_INFO, "l1");
    kl_log(KL_LOG_WARNING, "l2");
    kl_log(KL_LOG_ERROR, "l3");
}

static size_t lines_at(enum kl_log_level level)
{
    size_t lines = 0;

    kl_log_level_set(level);
    for (const char *at = capture(log_all_levels, false); *at != '\0'; at++) {
        lines += *at == '\n';
    }
    kl_log_level_set(KL_LOG_INFO);
    return lines;
}

static void test_lines_below_the_level_are_not_written(void **state)
{
    const char *text = capture(log_all_levels, false);

    (void)state;
    assert_null(strstr(text, "l0"));
    assert_non_null(strstr(text, "l1"));
    assert_int_equal(lines_at(KL_LOG_DEBUG), 4);
    assert_int_equal(lines_at(KL_LOG_WARNING), 2);
    assert_int_equal(lines_at(KL_LOG_ERROR), 1);
}

static void log_a_failure(void)
{
    struct kl_err err = {0};

    (void)kl_fail(&err, KL_ERR_IO, "disk", "try again", "write of log 7: EIO");
    kl_log_err(KL_LOG_ERROR, "commit_failed", &err);
}

static void log_a_failure_without_log_text(void)
{
    struct kl_err err = {0};

    (void)kl_fail(&err, KL_ERR_BUSY, "busy", "try again", NULL);
    kl_log_err(KL_LOG_ERROR, "refused", &err);
}

static void test_a_failure_is_logged_with_the_text_for_the_log(void **state)
{
    struct kl_json *json = parsed(capture(log_a_failure, false));

    (void)state;
    assert_text(json, "event", "commit_failed");
    assert_text(json, "status", "io");
    assert_text(json, "code", "disk");
    assert_text(json, "text", "write of log 7: EIO");
    kl_json_free(json);
    json = parsed(capture(log_a_failure_without_log_text, false));
    assert_text(json, "text", "try again");
    kl_json_free(json);
}

static void journal_is_stderr(void)
{
    struct stat info;
    char text[64];

    (void)fstat(STDERR_FILENO, &info);
    (void)snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)info.st_dev, (uintmax_t)info.st_ino);
    (void)setenv("JOURNAL_STREAM", text, 1);
}

/*
 * The journal is looked for once a process, so this program's first line is written in the child.
 */
static void log_to_the_journal(void)
{
    journal_is_stderr();
    kl_log_level_set(KL_LOG_DEBUG);
    log_all_levels();
}

static void log_beside_the_journal(void)
{
    (void)setenv("JOURNAL_STREAM", "1:1", 1);
    log_no_fields();
}

static void test_lines_for_the_journal_begin_with_their_priority(void **state)
{
    static const char prefixes[] = "7643";
    const char *line = capture(log_to_the_journal, true);

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_true(line[0] == '<' && line[1] == prefixes[i] && line[2] == '>' && line[3] == '{');
        line = strchr(line, '\n') + 1;
    }
    assert_int_equal(capture(log_beside_the_journal, true)[0], '{');
}

static void *log_many(void *argument)
{
    for (int i = 0; i < 500; i++) {
        kl_log(KL_LOG_INFO, "many", KL_LOG_TEXT("from", argument), KL_LOG_INT("i", i));
    }
    return NULL;
}

static void log_from_threads(void)
{
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, "a thread"), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void test_lines_of_many_threads_stay_whole(void **state)
{
    const char *line = capture(log_from_threads, false);
    size_t lines = 0;

    (void)state;
    for (; *line != '\0'; lines++) {
        kl_json_free(parsed(line));
        line = strchr(line, '\n') + 1;
    }
    assert_int_equal(lines, 2000);
}

static int errno_after;

/* A line that cannot be written at all. */
static void log_to_a_closed_stream(void)
{
    (void)close(STDERR_FILENO);
    errno = EXDEV;
    log_no_fields();
    errno_after = errno;
}

static void test_errno_stays_as_it_was(void **state)
{
    (void)state;
    (void)capture(log_to_a_closed_stream, false);
    assert_int_equal(errno_after, EXDEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_for_the_journal_begin_with_their_priority),
        cmocka_unit_test(test_a_line_is_one_json_object),
        cmocka_unit_test(test_a_line_may_have_no_fields),
        cmocka_unit_test(test_awkward_texts_stay_within_the_line),
        cmocka_unit_test(test_long_texts_and_lines_are_cut_and_say_so),
        cmocka_unit_test(test_lines_below_the_level_are_not_written),
        cmocka_unit_test(test_a_failure_is_logged_with_the_text_for_the_log),
        cmocka_unit_test(test_lines_of_many_threads_stay_whole),
        cmocka_unit_test(test_errno_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
