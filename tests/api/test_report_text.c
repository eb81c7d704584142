/* Three languages say the same things. */
#include "api/report_text.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/subject.h"

#include "tests/support/test.h"

#include <string.h>

static void test_every_language_has_the_same_keys_in_the_same_order(void **state)
{
    const struct api_report_text *english = api_report_texts(API_ENGLISH);

    (void)state;
    for (int i = 0; i < API_LANGUAGES; i++) {
        const struct api_report_text *texts = api_report_texts((enum api_language)i);
        size_t k;

        for (k = 0; english[k].key != NULL; k++) {
            assert_non_null(texts[k].key);
            assert_string_equal(texts[k].key, english[k].key);
            assert_true(strlen(texts[k].text) > 0);
        }
        assert_null(texts[k].key);
    }
}

static void test_no_key_is_there_twice(void **state)
{
    const struct api_report_text *texts = api_report_texts(API_ENGLISH);

    (void)state;
    for (; texts->key != NULL; texts++) {
        for (const struct api_report_text *other = texts + 1; other->key != NULL; other++) {
            assert_string_not_equal(texts->key, other->key);
        }
    }
}

static void test_the_words_of_a_policy_are_known(void **state)
{
    (void)state;
    for (int i = 0; i < VAULT_BASES; i++) {
        assert_non_null(
            api_report_word(API_FRENCH, "basis", vault_basis_name((enum vault_basis)i)));
    }
    for (int i = VAULT_GATE_ROLE; i < VAULT_GATES; i++) {
        assert_non_null(api_report_word(API_DUTCH, "gate", vault_gate_name((enum vault_gate)i)));
    }
    for (int i = VAULT_VIEW_MASKED; i < VAULT_VIEWS; i++) {
        assert_non_null(api_report_word(API_DUTCH, "view", vault_view_name((enum vault_view)i)));
    }
    for (int i = 0; i < VAULT_RESTRICTION_GROUNDS; i++) {
        assert_non_null(
            api_report_word(API_ENGLISH, "restriction",
                            vault_restriction_ground_name((enum vault_restriction_ground)i)));
    }
    for (int i = 0; i < VAULT_OBJECTION_GROUNDS; i++) {
        assert_non_null(api_report_word(
            API_ENGLISH, "objection", vault_objection_ground_name((enum vault_objection_ground)i)));
    }
    assert_null(api_report_word(API_ENGLISH, "basis", "whim"));
}

static void test_languages_have_codes(void **state)
{
    enum api_language language = API_FRENCH;

    (void)state;
    assert_false(api_language_parse("de", &language));
    assert_false(api_language_parse("", &language));
    assert_int_equal(language, API_FRENCH);
    assert_true(api_language_parse("nl", &language));
    assert_int_equal(language, API_DUTCH);
    assert_string_equal(api_language_code(language), "nl");
    assert_string_equal(api_report_text(API_DUTCH, "title"), "Inzageverslag");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_language_has_the_same_keys_in_the_same_order),
        cmocka_unit_test(test_no_key_is_there_twice),
        cmocka_unit_test(test_the_words_of_a_policy_are_known),
        cmocka_unit_test(test_languages_have_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
