/* The report of a breach as a page: what is not ours is text, numbers are at least what was counted, blanks are where nothing is known. */
#include "api/report_write.h"
#include "kluis/base/encode.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define EVIL "</td><script>alert(1)</script>\\\"'&"
#define SHOWN "&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"
#define AT \
    "\"first_at\":\"2026-03-02T09:15:00.000000Z\",\"last_at\":\"2026-03-02T09:16:00.000000Z\""

/* Every text is hostile. */
static const char REPORT[] =
    "{\"credential\":null,\"credentials\":[{\"id\":\"" EVIL "\",\"role\":\"" EVIL
    "\",\"location\":\"" EVIL
    "\",\"created_at\":\"2026-03-01T09:15:00.000000Z\",\"expires_at\":\"" EVIL
    "\",\"revoked_at\":null}],\"role\":\"" EVIL "\",\"recipient\":\"" EVIL
    "\",\"made_at\":\"2026-03-02T10:15:00.000000Z\",\"from\":\"2026-03-01T00:00:00.000000Z\","
    "\"to\":\"2026-03-02T00:00:00.000000Z\",\"complete\":%s,"
    "\"entries\":{\"from\":7,\"to\":900,\"of_credential\":33,\"lost\":%d},"
    "\"people\":{\"all\":120,\"accessed\":110,\"in_plain\":60,\"changed\":5,\"removed\":2,\"erased_since\":9},"
    "\"records\":140," AT ","
    "\"data_subjects\":[{\"record_type\":\"" EVIL "\",\"data_subjects\":\"" EVIL
    "\",\"description\":\"" EVIL "\",\"people\":1},{\"record_type\":\"" EVIL
    "\",\"data_subjects\":null,\"description\":null,\"people\":1}],"
    "\"categories\":[\"" EVIL "\"],\"special_categories\":[\"" EVIL "\",\"health\"],"
    "\"countries\":[{\"country\":\"" EVIL "\",\"outside_eea\":true,\"by\":\"" EVIL
    "\",\"recipient\":\"" EVIL "\"}],"
    "\"accessed\":[{\"action\":\"read\",\"field\":\"" EVIL "\",\"view\":\"" EVIL
    "\",\"purpose\":\"" EVIL "\",\"recipient\":null,\"category\":\"" EVIL "\",\"special\":\"" EVIL
    "\",\"people\":1,\"times\":2," AT "},{\"action\":\"" EVIL
    "\",\"field\":null,\"view\":\"plain\",\"people\":1,\"times\":1," AT "}],"
    "\"changed\":[],\"transfers\":[{\"transfer\":\"" EVIL "\",\"people\":1,\"times\":1," AT "}],"
    "\"by\":[{\"credential\":\"" EVIL "\",\"role\":\"" EVIL "\",\"people\":1,\"times\":2," AT "}],"
    "\"subjects\":[],\"aware_at\":\"2026-03-02T08:00:00.000000Z\","
    "\"notify_authority_by\":\"2026-03-05T08:00:00.000000Z\",\"acting_as\":\"processor\","
    "\"controller\":{\"name\":\"" EVIL "\",\"country\":\"" EVIL "\",\"contact\":\"" EVIL
    "\",\"dpo\":\"" EVIL "\",\"authority\":\"" EVIL "\",\"representative\":{\"name\":\"" EVIL
    "\",\"country\":\"" EVIL "\",\"contact\":\"" EVIL "\"},\"joint_controllers\":[{\"name\":\"" EVIL
    "\",\"country\":\"" EVIL "\",\"contact\":\"" EVIL "\"}]},\"processor\":{\"name\":\"" EVIL
    "\",\"country\":\"" EVIL "\",\"contact\":\"" EVIL "\",\"dpo\":\"" EVIL "\"},"
    "\"evidence\":{\"entry\":\"" EVIL
    "\",\"head\":{\"tenant\":\"t\",\"size\":901,\"root_hash\":\"" EVIL "\",\"at\":\"" EVIL
    "\",\"public_key\":\"" EVIL "\",\"signature\":\"" EVIL "\"}},\"next_cursor\":null}";

static void make_page(enum api_language language, bool complete, int lost, bool is_aware,
                      struct kl_buf *ret)
{
    static char text[16384];
    struct kl_json *json = NULL;
    int size = snprintf(text, sizeof text, REPORT, complete ? "true" : "false", lost);

    assert_true(size > 0 && (size_t)size < sizeof text);
    assert_int_equal(kl_json_parse(text, (size_t)size, &json, NULL), KL_OK);
    kl_buf_init(ret, 1024 * 1024);
    assert_int_equal(api_breach_html(kl_json_root(json), is_aware, language, ret, NULL), KL_OK);
    kl_buf_add_byte(ret, '\0');
    kl_json_free(json);
}

static size_t count(const struct kl_buf *page, const char *piece)
{
    size_t found = 0;

    for (const char *at = strstr((const char *)page->bytes, piece); at != NULL;
         at = strstr(at + 1, piece)) {
        found++;
    }
    return found;
}

static void test_nothing_of_anybodys_making_is_markup(void **state)
{
    static const char *const never[] = {"<script", "href", "src=", "action="};

    (void)state;
    for (int language = 0; language < API_LANGUAGES; language++) {
        struct kl_buf page;

        make_page((enum api_language)language, true, 0, true, &page);
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
            if (count(&page, never[i]) != 0) {
                fail_msg("%s is in the page", never[i]);
            }
        }
        assert_true(count(&page, SHOWN) > 35);
        assert_true(kl_utf8_valid(page.bytes, page.size - 1));
        kl_buf_done(&page);
    }
}

static void test_numbers_of_a_whole_are_exact(void **state)
{
    struct kl_buf page;

    (void)state;
    make_page(API_ENGLISH, true, 0, true, &page);
    assert_int_equal(count(&page, "at least"), 0);
    assert_int_equal(count(&page, "<dt>People affected</dt><dd>120</dd>"), 1);
    assert_int_equal(count(&page, "parts or pseudonyms were seen</dt><dd>50</dd>"), 1);
    assert_int_equal(count(&page, "nothing leads to them any more"), 1);
    assert_int_equal(count(&page, "one by one</dt><dd>111</dd>"), 1);
    assert_int_equal(count(&page, "removed</dt><dd>2</dd>"), 1);
    assert_int_equal(count(&page, "tells the controller without undue delay"), 1);
    kl_buf_done(&page);
}

static void test_numbers_of_a_part_are_at_least(void **state)
{
    struct kl_buf page;

    (void)state;
    make_page(API_ENGLISH, false, 4, true, &page);
    assert_int_equal(count(&page, "<dd>at least 120</dd>"), 1);
    assert_int_equal(count(&page, "<dd>120</dd>"), 0);
    assert_int_equal(count(&page, "parts or pseudonyms were seen"), 0);
    assert_int_equal(count(&page, "Entries of the trail that are lost"), 1);
    assert_int_equal(count(&page, "at least what happened"), 1);
    kl_buf_done(&page);
    make_page(API_DUTCH, false, 0, true, &page);
    assert_int_equal(count(&page, "<dd>ten minste 120</dd>"), 1);
    kl_buf_done(&page);
}

static void test_what_a_vault_cannot_know_is_blank(void **state)
{
    struct kl_buf aware;
    struct kl_buf unaware;

    (void)state;
    make_page(API_ENGLISH, true, 0, true, &aware);
    make_page(API_ENGLISH, true, 0, false, &unaware);
    assert_int_equal(count(&aware, "class=\"blank\""), 14);
    assert_int_equal(count(&unaware, "class=\"blank\""), 16);
    assert_int_equal(count(&aware, "2026-03-05 08:00 UTC"), 1);
    assert_int_equal(count(&unaware, "2026-03-05 08:00 UTC"), 0);
    kl_buf_done(&aware);
    kl_buf_done(&unaware);
}

/* An answer that is cut short is no page. */
static void test_a_page_that_does_not_fit_is_an_error(void **state)
{
    struct kl_json *json = NULL;
    struct kl_err err = {0};
    struct kl_buf page;

    (void)state;
    assert_int_equal(kl_json_parse("{}", 2, &json, NULL), KL_OK);
    kl_buf_init(&page, 64);
    assert_int_equal(api_breach_html(kl_json_root(json), true, API_ENGLISH, &page, &err),
                     KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "report_too_large");
    kl_buf_done(&page);
    kl_json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_of_anybodys_making_is_markup),
        cmocka_unit_test(test_numbers_of_a_whole_are_exact),
        cmocka_unit_test(test_numbers_of_a_part_are_at_least),
        cmocka_unit_test(test_what_a_vault_cannot_know_is_blank),
        cmocka_unit_test(test_a_page_that_does_not_fit_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
