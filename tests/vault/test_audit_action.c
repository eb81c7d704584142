/* The table of actions, and that nothing else gets into the trail. */
#include "vault/audit_action.h"

#include "tests/support/test.h"
#include "vault/audit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_the_table_is_in_order_and_finds_each(void **state)
{
    size_t count = 0;
    const struct vault_audit_action *actions = vault_audit_actions(&count);
    size_t i;

    (void)state;
    for (i = 0; i < count; i++) {
        assert_ptr_equal(vault_audit_action_find(actions[i].name), &actions[i]);
        assert_true(i == 0 || strcmp(actions[i - 1].name, actions[i].name) < 0);
        assert_true((unsigned)actions[i].effect <= VAULT_AUDIT_RUNS);
    }
    assert_null(vault_audit_action_find("reads"));
    assert_null(vault_audit_action_find(""));
}

static void test_every_action_has_a_place_in_other_systems(void **state)
{
    size_t count = 0;
    const struct vault_audit_action *actions = vault_audit_actions(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct vault_audit_action *action = &actions[i];
        const char *at;

        assert_true(action->title != NULL && action->title[0] != '\0');
        for (at = action->title; *at != '\0'; at++) {
            assert_true(*at >= ' ' && *at < 0x7f && *at != '|' && *at != '\\');
        }
        assert_in_range(action->weight, VAULT_AUDIT_INFO, VAULT_AUDIT_CRITICAL);
        if (action->ocsf_class == VAULT_OCSF_DATA) {
            assert_in_range(action->ocsf_activity, VAULT_OCSF_DATA_READ, VAULT_OCSF_DATA_LIST);
            assert_int_not_equal(action->effect, VAULT_AUDIT_RUNS);
        } else {
            assert_int_equal(action->ocsf_class, VAULT_OCSF_API);
            assert_true((action->ocsf_activity >= VAULT_OCSF_API_CREATE &&
                         action->ocsf_activity <= VAULT_OCSF_API_DELETE) ||
                        action->ocsf_activity == VAULT_OCSF_API_OTHER);
        }
    }
}

static void test_looking_at_the_trail_changes_nothing(void **state)
{
    size_t count = 0;
    const struct vault_audit_action *actions = vault_audit_actions(&count);
    size_t i;

    (void)state;
    for (i = 0; i < count; i++) {
        assert_true(!actions[i].is_looking || actions[i].effect != VAULT_AUDIT_CHANGES);
    }
    assert_true(vault_audit_action_find("audit_read")->is_looking);
    assert_false(vault_audit_action_find("read")->is_looking);
}

/* The signal that ends a process which begins an entry of that action; 0: none. */
static int signal_of(const char *action)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        const struct vault_audit_who who = {.role = "tester", .at_us = 1};
        struct vault_audit_entry entry;
        struct kl_json_out out;

        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        vault_audit_begin(&entry, 1, &who, action, &out);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_no_entry_is_begun_of_what_the_table_does_not_have(void **state)
{
    (void)state;
    assert_int_equal(signal_of("read"), 0);
    assert_int_equal(signal_of("reads"), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_in_order_and_finds_each),
        cmocka_unit_test(test_every_action_has_a_place_in_other_systems),
        cmocka_unit_test(test_looking_at_the_trail_changes_nothing),
        cmocka_unit_test(test_no_entry_is_begun_of_what_the_table_does_not_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
