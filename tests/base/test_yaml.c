#include "kluis/base/buf.h"
#include "kluis/base/yaml.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <string.h>

static struct kl_yaml *parse(const char *text)
{
    struct kl_yaml *yaml = NULL;
    struct kl_err err = {0};

    if (kl_yaml_parse(text, strlen(text), &yaml, &err) != KL_OK) {
        fail_msg("refused: %s: %s at %s", text, err.client_text, err.where);
    }
    return yaml;
}

static void assert_refused_n(const char *text, size_t size, enum kl_status status, const char *code,
                             const char *where)
{
    struct kl_yaml *untouched = (struct kl_yaml *)&untouched;
    struct kl_yaml *yaml = untouched;
    struct kl_err err = {0};

    if (kl_yaml_parse(text, size, &yaml, &err) != status) {
        fail_msg("not refused as expected: %s", text);
    }
    assert_string_equal(err.code, code);
    assert_ptr_equal(yaml, untouched);
    if (where != NULL) {
        assert_string_equal(err.where, where);
    }
}

static void assert_refused(const char *text, const char *where)
{
    assert_refused_n(text, strlen(text), KL_ERR_INVALID, "invalid_yaml", where);
}

static void assert_duplicate(const char *text, const char *where)
{
    assert_refused_n(text, strlen(text), KL_ERR_INVALID, "duplicate_key", where);
}

static void test_mappings_and_sequences_become_a_tree(void **state)
{
    struct kl_yaml *yaml =
        parse("# comment\nroles:\n  - name: reader\n    grants: [a, b]\n  - {name: "
              "writer}\nempty: {}\nnone: []\n");
    const struct kl_yaml_node *root = kl_yaml_root(yaml);
    const struct kl_yaml_node *roles = kl_yaml_member(root, "roles");
    const struct kl_yaml_node *grants;

    (void)state;
    assert_int_equal(root->kind, KL_YAML_MAPPING);
    assert_int_equal(root->count, 3);
    assert_string_equal(root->keys[0]->text, "roles");
    assert_int_equal(roles->kind, KL_YAML_SEQUENCE);
    assert_int_equal(roles->count, 2);
    assert_null(roles->keys);
    assert_null(roles->text);
    assert_string_equal(kl_yaml_member(roles->items[0], "name")->text, "reader");
    grants = kl_yaml_member(roles->items[0], "grants");
    assert_int_equal(grants->count, 2);
    assert_string_equal(grants->items[1]->text, "b");
    assert_string_equal(kl_yaml_member(roles->items[1], "name")->text, "writer");
    assert_int_equal(kl_yaml_member(root, "empty")->count, 0);
    assert_int_equal(kl_yaml_member(root, "none")->count, 0);
    assert_null(kl_yaml_member(root, "absent"));
    assert_null(kl_yaml_member(roles, "name"));
    assert_null(kl_yaml_member(NULL, "name"));
    kl_yaml_free(yaml);
    kl_yaml_free(NULL);
}

static void test_every_node_knows_its_place(void **state)
{
    struct kl_yaml *yaml = parse("a: 1\nb:\n  - x\n  -   y\n");
    const struct kl_yaml_node *list = kl_yaml_member(kl_yaml_root(yaml), "b");

    (void)state;
    assert_int_equal(kl_yaml_root(yaml)->line, 1);
    assert_int_equal(kl_yaml_member(kl_yaml_root(yaml), "a")->column, 4);
    assert_int_equal(list->line, 3);
    assert_int_equal(list->items[1]->line, 4);
    assert_int_equal(list->items[1]->column, 7);
    kl_yaml_free(yaml);
}

static void test_every_scalar_is_text(void **state)
{
    struct kl_yaml *yaml =
        parse("- NO\n- 1.50\n- true\n- ~\n-\n- \"\"\n- '~'\n- 2024-01-01\n- |\n  two\n  "
              "lines\n- >\n  one\n  line\n- \"\\u00e9\\x41\"\n");
    struct kl_yaml_node *const *items = kl_yaml_root(yaml)->items;
    static const char *const texts[] = {
        "NO", "1.50",       "true",         "~",          "",       "",
        "~",  "2024-01-01", "two\nlines\n", "one line\n", "\u00e9A"};
    static const bool quoted[] = {false, false, false, false, false, true,
                                  true,  false, true,  true,  true};

    (void)state;
    assert_int_equal(kl_yaml_root(yaml)->count, 11);
    for (size_t i = 0; i < 11; i++) {
        assert_string_equal(items[i]->text, texts[i]);
        assert_int_equal(items[i]->quoted, quoted[i]);
    }
    kl_yaml_free(yaml);
}

static void test_a_scalar_may_be_the_whole_document(void **state)
{
    struct kl_yaml *yaml = parse("just text");

    (void)state;
    assert_int_equal(kl_yaml_root(yaml)->kind, KL_YAML_SCALAR);
    assert_string_equal(kl_yaml_root(yaml)->text, "just text");
    kl_yaml_free(yaml);
    yaml = parse("%YAML 1.2\n---\na: 1\n...\n");
    assert_int_equal(kl_yaml_root(yaml)->count, 1);
    kl_yaml_free(yaml);
}

static void test_an_empty_document_is_refused(void **state)
{
    (void)state;
    assert_refused("", NULL);
    assert_refused("   \n\n", NULL);
    assert_refused("# nothing\n", NULL);
    assert_refused("---\n", NULL);
    assert_refused("---\n...\n", NULL);
}

static void test_what_makes_yaml_surprising_is_refused(void **state)
{
    (void)state;
    assert_refused("a: &x 1\n", "1:4");
    assert_refused("a: &x [1]\n", "1:4");
    assert_refused("a: &x {b: 1}\n", "1:4");
    assert_refused("a: *x\n", "1:4");
    assert_refused("a: !!str 1\n", "1:4");
    assert_refused("a: !own 1\n", "1:4");
    assert_refused("a: ! 1\n", "1:4");
    assert_refused("a: !!seq [1]\n", "1:4");
    assert_refused("a: !!map {b: 1}\n", "1:4");
    assert_refused("&k a: 1\n", "1:1");
    assert_refused("%TAG ! tag:example.com,2000:\n---\na: 1\n", NULL);
    assert_refused("%FOO bar\n---\na: 1\n", NULL);
    assert_refused("%YAML 2.0\n---\na: 1\n", NULL);
    assert_refused("a: 1\n---\nb: 2\n", "2:1");
    assert_refused("<<: {a: 1}\n", "1:1");
    assert_refused("a:\n  <<: {a: 1}\n", "2:3");
    assert_refused("? [a, b]\n: 1\n", "1:3");
    assert_refused("{a: 1}: 2\n", NULL);
    assert_refused(": 1\n", NULL);
    assert_refused("{: 1}\n", NULL);
}

static void test_a_quoted_merge_sign_is_a_key_like_any_other(void **state)
{
    struct kl_yaml *yaml = parse("\"<<\": 1\n\"\": 2\n");

    (void)state;
    assert_string_equal(kl_yaml_member(kl_yaml_root(yaml), "<<")->text, "1");
    assert_string_equal(kl_yaml_member(kl_yaml_root(yaml), "")->text, "2");
    kl_yaml_free(yaml);
}

static void test_syntax_errors_are_refused_with_their_place(void **state)
{
    (void)state;
    assert_refused("a: [1, 2\n", NULL);
    assert_refused("a: 1\n b: 2\n", "2:3");
    assert_refused("\tx: 1\n", "1:1");
    assert_refused("a: 'open\n", NULL);
    assert_refused("a: \"\\q\"\n", NULL);
    assert_refused("a: b: c\n", "1:5");
    assert_refused("- a\nb: 1\n", NULL);
    assert_refused("@a\n", "1:1");
}

static void test_what_is_no_utf8_or_holds_a_zero_is_refused(void **state)
{
    (void)state;
    assert_refused("a: \xFF\n", "1:4");
    assert_refused("a: 1\nb: \xC3\n", "2:4");
    assert_refused("a: \xED\xA0\x80\n", "1:4");
    assert_refused_n("a: 1\nb: \0\n", 10, KL_ERR_INVALID, "invalid_yaml", "2:4");
    assert_refused_n("\xFF\xFE"
                     "a\0:\0",
                     6, KL_ERR_INVALID, "invalid_yaml", "1:1");
    assert_refused("a: \"x\\0y\"\n", "1:4");
    assert_refused("\"\\u0000\": 1\n", "1:1");
    assert_refused("a: \"\\ud800\"\n", NULL);
    assert_refused("a: \x01\n", NULL);
}

static void test_a_key_twice_is_refused_at_its_second_place(void **state)
{
    struct kl_buf text;

    (void)state;
    assert_duplicate("a: 1\nb: 2\na: 3\nb: 4\n", "3:1");
    assert_duplicate("x:\n  - {a: 1, \"a\": 2}\n", "2:12");
    /* Above sixteen keys another way of finding them is taken. */
    kl_buf_init(&text, 100000);
    for (int i = 0; i < 3000; i++) {
        kl_buf_addf(&text, "k%d: 1\n", i);
    }
    kl_yaml_free(parse((char *)text.bytes));
    kl_buf_add_text(&text, "k2999: 1\nk7: 1\nk7: 1\n");
    assert_duplicate((char *)text.bytes, "3001:1");
    kl_buf_done(&text);
}

static void test_depth_ends_at_its_maximum(void **state)
{
    char text[2 * KL_YAML_DEPTH_MAX + 3];

    (void)state;
    memset(text, '[', KL_YAML_DEPTH_MAX);
    memset(text + KL_YAML_DEPTH_MAX, ']', KL_YAML_DEPTH_MAX);
    text[2 * KL_YAML_DEPTH_MAX] = '\0';
    kl_yaml_free(parse(text));
    memset(text, '[', KL_YAML_DEPTH_MAX + 1);
    memset(text + KL_YAML_DEPTH_MAX + 1, ']', KL_YAML_DEPTH_MAX + 1);
    assert_refused_n(text, 2 * KL_YAML_DEPTH_MAX + 2, KL_ERR_TOO_LARGE, "yaml_too_deep", "1:17");
}

static void test_bytes_end_at_their_maximum(void **state)
{
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, KL_YAML_BYTES_MAX + 1);
    kl_buf_add_text(&text, "a: ");
    memset(kl_buf_extend(&text, KL_YAML_BYTES_MAX - 3), 'x', KL_YAML_BYTES_MAX - 3);
    kl_yaml_free(parse((char *)text.bytes));
    kl_buf_add_byte(&text, 'x');
    assert_refused_n((char *)text.bytes, text.size, KL_ERR_TOO_LARGE, "yaml_too_large", "");
    kl_buf_done(&text);
}

static void test_nodes_end_at_their_maximum(void **state)
{
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, KL_YAML_BYTES_MAX);
    /* The sequence itself is one node. */
    for (int i = 0; i < KL_YAML_NODES_MAX - 1; i++) {
        kl_buf_add_text(&text, "- x\n");
    }
    kl_yaml_free(parse((char *)text.bytes));
    kl_buf_add_text(&text, "- x\n");
    assert_refused_n((char *)text.bytes, text.size, KL_ERR_TOO_LARGE, "yaml_too_large", "65536:3");
    kl_buf_done(&text);
}

static void test_no_error_shows_a_value(void **state)
{
    static const char *const texts[] = {"a: [secretvalue",
                                        "a: &secretvalue x",
                                        "a: *secretvalue",
                                        "a: !secretvalue x",
                                        "secretvalue: 1\nsecretvalue: 2",
                                        "a: \"secretvalue\\q\"",
                                        "%secretvalue\n---\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct kl_yaml *yaml = NULL;
        struct kl_err err = {0};
        assert_int_not_equal(kl_yaml_parse(texts[i], strlen(texts[i]), &yaml, &err), KL_OK);
        assert_null(strstr(err.client_text, "secretvalue"));
        assert_null(strstr(err.log_text, "secretvalue"));
    }
}

static void test_running_out_of_memory_is_said(void **state)
{
    struct kl_buf text;
    long hit = 1;

    (void)state;
    kl_buf_init(&text, 100000);
    for (int i = 0; i < 500; i++) {
        kl_buf_addf(&text, "k%d: [a, b]\n", i);
    }
    for (long n = 0; hit; n++) {
        struct kl_yaml *yaml = NULL;
        struct kl_err err = {0};
        no_memory_begin(n);
        enum kl_status status = kl_yaml_parse(text.bytes, text.size, &yaml, &err);
        hit = no_memory_end();
        assert_int_equal(status, hit ? KL_ERR_NO_MEMORY : KL_OK);
        assert_string_equal(err.code, hit ? "no_memory" : "");
        assert_int_equal(yaml == NULL, hit);
        kl_yaml_free(yaml);
        assert_true(n < 100);
    }
    kl_buf_done(&text);
}

/* The bytes of a node, as they stand in the text. */
static void assert_stands(const char *text, const struct kl_yaml_node *node, const char *bytes)
{
    assert_non_null(node);
    assert_true(node->first <= node->past && node->past <= strlen(text));
    assert_int_equal(node->past - node->first, strlen(bytes));
    assert_memory_equal(text + node->first, bytes, strlen(bytes));
}

static void test_a_node_knows_its_bytes(void **state)
{
    static const char text[] = "\xef\xbb\xbf# caf\xc3\xa9\n"
                               "title: \"caf\xc3\xa9 \\u00e9\" # \xe2\x82\xac\n"
                               "list: [ a, {b: 'c'} ]\r\n"
                               "block:\n"
                               "  - one\n"
                               "  - two # \xf0\x9f\x98\x80\n"
                               "last: end";
    struct kl_yaml *yaml = parse(text);
    const struct kl_yaml_node *root = kl_yaml_root(yaml);
    const struct kl_yaml_node *list = kl_yaml_member(root, "list");

    (void)state;
    assert_stands(text, kl_yaml_member(root, "title"), "\"caf\xc3\xa9 \\u00e9\"");
    assert_stands(text, list, "[ a, {b: 'c'} ]");
    assert_stands(text, list->items[0], "a");
    assert_stands(text, list->items[1], "{b: 'c'}");
    assert_stands(text, list->items[1]->keys[0], "b");
    assert_stands(text, kl_yaml_member(root, "block"), "- one\n  - two # \xf0\x9f\x98\x80\n");
    assert_stands(text, kl_yaml_member(root, "block")->items[1], "two");
    assert_stands(text, root->keys[3], "last");
    assert_stands(text, root->items[3], "end");
    kl_yaml_free(yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mappings_and_sequences_become_a_tree),
        cmocka_unit_test(test_every_node_knows_its_place),
        cmocka_unit_test(test_a_node_knows_its_bytes),
        cmocka_unit_test(test_every_scalar_is_text),
        cmocka_unit_test(test_a_scalar_may_be_the_whole_document),
        cmocka_unit_test(test_an_empty_document_is_refused),
        cmocka_unit_test(test_what_makes_yaml_surprising_is_refused),
        cmocka_unit_test(test_a_quoted_merge_sign_is_a_key_like_any_other),
        cmocka_unit_test(test_syntax_errors_are_refused_with_their_place),
        cmocka_unit_test(test_what_is_no_utf8_or_holds_a_zero_is_refused),
        cmocka_unit_test(test_a_key_twice_is_refused_at_its_second_place),
        cmocka_unit_test(test_depth_ends_at_its_maximum),
        cmocka_unit_test(test_bytes_end_at_their_maximum),
        cmocka_unit_test(test_nodes_end_at_their_maximum),
        cmocka_unit_test(test_no_error_shows_a_value),
        cmocka_unit_test(test_running_out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
