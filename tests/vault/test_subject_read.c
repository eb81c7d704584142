/*
 * No value leaves before its audit entry is on the disk. A process of its own reads after its disk
 * was taken away (no file may grow), so that whatever a full disk does to the engine ends with it.
 */
#include "tests/support/vault_fixture.h"

#include "kluis/base/file.h"
#include "kluis/base/secret.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define EXIT_SHOWN 41

/* argv: --read folder subject; the token lies in the folder. */
static int read_main(char **argv)
{
    const struct rlimit nothing = {0, 0};
    char data[ADMIN_PATH_BYTES];
    char custodian[ADMIN_PATH_BYTES];
    struct vault_options options = {
        .data_dir = data, .country = "IE", .custodian = custodian, .accept_f0 = true};
    struct vault_token token = {0};
    const struct vault_proof proof = {.token = token.text};
    char path[ADMIN_PATH_BYTES];
    struct kl_buf text = {0};
    struct vault_read_input input = {.purpose = "support"};
    struct vault_subject_result result = {0};
    struct kl_arena *arena = kl_arena_new(4 * 1024 * 1024);
    struct vault_caller caller = {0};
    struct vault *vault = NULL;

    (void)snprintf(data, sizeof data, "%s/data", argv[2]);
    (void)snprintf(custodian, sizeof custodian, "file:%s/root.key", argv[2]);
    (void)snprintf(path, sizeof path, "%s/reader.token", argv[2]);
    if (kl_file_read(path, sizeof token.text - 1, &text, NULL) != KL_OK) {
        return 1;
    }
    memcpy(token.text, text.bytes, text.size);
    kl_buf_done(&text);
    if (arena == NULL || kl_secret_process_init(true, NULL) != KL_OK ||
        vault_open(&options, &vault, NULL) != KL_OK ||
        vault_caller_open(vault, &proof, NULL, "r-1", &caller, NULL) != KL_OK ||
        kl_id_parse("sub", argv[3], &input.subject, NULL) != KL_OK) {
        return 1;
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &nothing) != 0) {
        return 2;
    }
    _exit(vault_subject_read(vault, &caller, &input, arena, &result, NULL) == KL_OK ? EXIT_SHOWN
                                                                                    : 3);
}

static int run(struct vault_fixture *fixture, const struct kl_id *subject)
{
    char id[KL_ID_TEXT_BYTES];
    char *const arguments[] = {(char *)"test_subject_read", (char *)"--read",
                               fixture->admin->folder, id, NULL};
    int status = 0;
    pid_t child;

    kl_id_format("sub", subject, id);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        int nowhere = open("/dev/null", O_WRONLY);

        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)dup2(nowhere, STDERR_FILENO);
        (void)execv("/proc/self/exe", arguments);
        _exit(4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_no_value_leaves_when_the_trail_cannot_be_written(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_token token = admin_make(fixture->admin, "reader", NULL);
    struct vault_subject_result read = {0};
    char path[ADMIN_PATH_BYTES];
    int status = 0;

    fixture_path(fixture, "reader.token", path);
    assert_int_equal(kl_file_create(path, 0600, token.text, strlen(token.text), NULL), KL_OK);
    admin_close(fixture->admin);
    status = run(fixture, &made.id);
    admin_reopen(fixture->admin);
    /* an engine built with assertions may have been before */
    assert_true((WIFEXITED(status) && WEXITSTATUS(status) == VAULT_EXIT_DISK) ||
                (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"read\""), 0);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"read\""), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_value_leaves_when_the_trail_cannot_be_written,
                                        vault_fixture_setup, vault_fixture_teardown),
    };

    if (argc == 4 && strcmp(argv[1], "--read") == 0) {
        return read_main(argv);
    }
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
