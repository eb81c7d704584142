/* Edits of a YAML text that leave the rest of it alone. */
#include "tests/support/test.h"
#include "vault/policy_edit.h"

#include <string.h>

enum call { LIST_ADD, LIST_REMOVE, MEMBER_ADD, MEMBER_REMOVE, REPLACE };

/* What a call makes of the value of key "at" (or of the whole); NULL: it cannot be done. */
static const struct {
    const char *text;
    enum call call;
    size_t number;
    const char *expected;
} cases[] = {
    {"at: [a]\n", LIST_ADD, 0, "at: [a, x]\n"},
    {"at: []\n", LIST_ADD, 0, "at: [x]\n"},
    {"at: [\n  a, # one\n  b # two\n]\n", LIST_ADD, 0, "at: [\n  a, # one\n  b, x # two\n]\n"},
    {"at:\n  - a # one\n# two\nnext: 1\n", LIST_ADD, 0,
     "at:\n  - a # one\n  - x\n# two\nnext: 1\n"},
    {"at:\n- a\n- b: 1\n  c: [1]\n", LIST_ADD, 0, "at:\n- a\n- b: 1\n  c: [1]\n- x\n"},
    {"at:\n  - a", LIST_ADD, 0, "at:\n  - a\n  - x"},
    {"at: a\n", LIST_ADD, 0, NULL},
    {"at: [a, b, c]\n", LIST_REMOVE, 0, "at: [b, c]\n"},
    {"at: [a, b, c]\n", LIST_REMOVE, 1, "at: [a, c]\n"},
    {"at: [a, b, c ]\n", LIST_REMOVE, 2, "at: [a, b ]\n"},
    {"at: [a]\n", LIST_REMOVE, 0, NULL},
    {"at:\n  - { b: 1 } # one\n  # two\n  - c\n", LIST_REMOVE, 0, "at:\n  # two\n  - c\n"},
    {"at:\n  - a\n  - b:\n      c\n    d: e\nnext: 1\n", LIST_REMOVE, 1, "at:\n  - a\nnext: 1\n"},
    {"at:\n  - a\n  -\n    b: 1\n", LIST_REMOVE, 1, NULL}, /* the dash is on another line */
    {"at: { a: 1 }\n", MEMBER_ADD, 0, "at: { a: 1, k: v }\n"},
    {"at: {}\n", MEMBER_ADD, 0, "at: {k: v}\n"},
    {"at:\n    a: 1\n    b:\n      c: 2\nnext: 1\n", MEMBER_ADD, 0,
     "at:\n    a: 1\n    b:\n      c: 2\n    k: v\nnext: 1\n"},
    {"at: \xc3\xa9\nk: 1\n", MEMBER_REMOVE, 1, NULL}, /* no mapping */
    {"at: { a: 1, b: 2 }\n", MEMBER_REMOVE, 0, "at: { b: 2 }\n"},
    {"at: { a: 1, b: 2 }\n", MEMBER_REMOVE, 1, "at: { a: 1 }\n"},
    {"at:\n  a: 1\n  b:\n    - 2\n  c: 3\n", MEMBER_REMOVE, 1, "at:\n  a: 1\n  c: 3\n"},
    {"\xc3\xa9: \xe2\x82\xac\nat: [a, \"\xc3\xa9\"] # \xc3\xa9\n", LIST_REMOVE, 1,
     "\xc3\xa9: \xe2\x82\xac\nat: [a] # \xc3\xa9\n"},
    {"at: P4W after end # four\n", REPLACE, 0, "at: x # four\n"},
    {"at:\n  - a\n  - b\nnext: 1\n", REPLACE, 0, "at:\n  x\nnext: 1\n"},
};

static bool call(const struct policy_text *text, enum call which, size_t number,
                 const struct kl_yaml_node *node, struct policy_edit *ret)
{
    switch (which) {
    case LIST_ADD:
        return vault_edit_list_add(text, node, "x", ret);
    case LIST_REMOVE:
        return vault_edit_list_remove(text, node, number, ret);
    case MEMBER_ADD:
        return vault_edit_member_add(text, node, "k", "v", ret);
    case MEMBER_REMOVE:
        return vault_edit_member_remove(text, node, number, ret);
    case REPLACE:
        break;
    }
    return vault_edit_replace(text, node, "x", ret);
}

static void test_an_edit_changes_its_place_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kl_arena *arena = kl_arena_new(65536);
        const struct policy_text text = {cases[i].text, strlen(cases[i].text), arena};
        struct policy_edit edit = {.at = 77};
        struct kl_yaml *yaml = NULL;
        size_t size = 0;
        char *changed;
        const struct kl_yaml_node *node;

        assert_int_equal(kl_yaml_parse(text.bytes, text.size, &yaml, NULL), KL_OK);
        node = kl_yaml_member(kl_yaml_root(yaml), "at");
        assert_non_null(node);
        if (!call(&text, cases[i].call, cases[i].number, node, &edit)) {
            if (cases[i].expected != NULL)
                fail_msg("it cannot be done: %s", cases[i].text);
            assert_int_equal(edit.at, 77);
        } else {
            changed = vault_edit_apply(&text, &edit, &size);
            assert_non_null(changed);
            assert_int_equal(size, strlen(changed));
            if (cases[i].expected == NULL)
                fail_msg("it was done: %s", changed);
            assert_string_equal(changed, cases[i].expected);
        }
        kl_yaml_free(yaml);
        kl_arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_edit_changes_its_place_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
