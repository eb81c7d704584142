/* The record of processing and the register as pages: what is not ours is text, and the paragraphs' items are there. */
#include "api/report_write.h"
#include "kluis/base/encode.h"

#include "tests/support/test.h"

#include <string.h>

#define EVIL "</td><script>alert(1)</script>\\\"'&"
#define PARTY "{\"name\":\"" EVIL "\",\"country\":\"" EVIL "\",\"contact\":\"" EVIL "\"}"
#define PARTIES                                                                            \
    "\"controller\":{\"name\":\"" EVIL "\",\"country\":\"" EVIL "\",\"contact\":\"" EVIL   \
    "\",\"data_protection_officer\":\"" EVIL "\",\"supervisory_authority\":\"" EVIL        \
    "\",\"representative\":" PARTY ",\"joint_controllers\":[" PARTY "," PARTY              \
    "]},\"processor\":{\"name\":\"" EVIL "\",\"country\":\"" EVIL "\",\"contact\":\"" EVIL \
    "\",\"data_protection_officer\":\"" EVIL "\",\"representative\":" PARTY                \
    "},\"processing\":[\"" EVIL "\",\"Backups\"],"
#define RECIPIENTS                                                                           \
    "\"recipients\":[{\"name\":\"" EVIL "\",\"description\":\"" EVIL "\",\"kind\":\"" EVIL   \
    "\",\"contact\":\"" EVIL "\",\"country\":\"" EVIL "\",\"purposes\":[\"" EVIL             \
    "\"]}],\"transfers\":[{\"to\":[\"" EVIL "\"],\"adequate_countries\":false,"              \
    "\"mechanism\":\"explicit_consent\",\"purposes\":[\"" EVIL "\"],\"recipients\":[\"" EVIL \
    "\"],\"view\":\"" EVIL "\",\"description\":\"" EVIL "\"}],"

static const char RECORD[] =
    "{\"article\":\"30(1)\",\"made_at\":\"2026-03-02T10:15:00.000000Z\",\"tenant\":\"" EVIL
    "\",\"policy\":{\"name\":\"" EVIL "\",\"version\":\"" EVIL "\"},\"acting_as\":\"" EVIL
    "\"," PARTIES "\"activities\":[{\"purpose\":\"" EVIL "\",\"description\":\"" EVIL
    "\",\"basis\":\"contract\","
    "\"interest\":\"" EVIL "\",\"law\":\"" EVIL "\",\"ground\":\"" EVIL
    "\",\"automated_decision\":\"" EVIL "\",\"data\":[{\"record_type\":\"" EVIL
    "\",\"categories\":[\"" EVIL "\"],\"special_categories\":[\"" EVIL
    "\"]}],\"recipients\":[\"" EVIL "\"],\"time_limit\":{\"duration\":\"P4W\",\"after\":\"" EVIL
    "\"},\"keeps\":true}],"
    "\"forbidden_purposes\":[\"" EVIL "\"],\"data_subjects\":[{\"record_type\":\"" EVIL
    "\",\"data_subjects\":\"" EVIL "\",\"description\":\"" EVIL "\",\"categories\":[\"" EVIL
    "\"],\"special_categories\":[\"health\"]}]," RECIPIENTS
    "\"residency\":\"EEA\",\"security_measures\":[{\"measure\":\"backups\",\"text\":\"x\"},"
    "{\"measure\":\"organisation\",\"text\":\"" EVIL "\"}],"
    "\"held\":{\"subjects\":7,\"records\":9,\"complete\":true}}";

static const char REGISTER[] =
    "{\"article\":\"30(2)\",\"made_at\":\"2026-03-02T10:15:00.000000Z\",\"tenants\":[{\"tenant\":\"" EVIL
    "\",\"store\":\"" EVIL "\",\"country\":\"" EVIL
    "\",\"ends_at\":\"2026-05-02T10:15:00.000000Z\","
    "\"policy\":{\"name\":\"" EVIL "\",\"version\":\"" EVIL
    "\"},\"acting_as\":\"processor\"," PARTIES "\"purposes\":[\"" EVIL "\"]," RECIPIENTS
    "\"measures\":[\"" EVIL "\"]},"
    "{\"tenant\":\"young\",\"store\":\"main\",\"country\":\"IE\",\"ends_at\":null,\"policy\":null}],"
    "\"stores\":[{\"store\":\"" EVIL "\",\"country\":\"" EVIL
    "\",\"security_measures\":[{\"measure\":\"location\",\"text\":\"" EVIL
    "\"}]}],\"complete\":false}";

static void make_page(const char *text, enum api_language language, struct kl_buf *ret)
{
    struct kl_json *json = NULL;

    assert_int_equal(kl_json_parse(text, strlen(text), &json, NULL), KL_OK);
    kl_buf_init(ret, 1024 * 1024);
    assert_int_equal(api_processing_html(kl_json_root(json), language, ret, NULL), KL_OK);
    kl_buf_add_byte(ret, '\0');
    kl_json_free(json);
}

static void test_nothing_of_anybodys_making_is_markup(void **state)
{
    static const char *const texts[] = {RECORD, REGISTER};
    static const char *const never[] = {"<script", "href", "src=", "action="};

    (void)state;
    for (int i = 0; i < 2 * API_LANGUAGES; i++) {
        struct kl_buf page;

        make_page(texts[i % 2], (enum api_language)(i / 2), &page);
        for (size_t k = 0; k < sizeof never / sizeof never[0]; k++) {
            if (strstr((const char *)page.bytes, never[k]) != NULL) {
                fail_msg("%s is in the page", never[k]);
            }
        }
        assert_true(kl_utf8_valid(page.bytes, page.size - 1));
        kl_buf_done(&page);
    }
}

static void expect(const struct kl_buf *page, const char *piece)
{
    if (strstr((const char *)page->bytes, piece) == NULL) {
        fail_msg("missing: %s", piece);
    }
}

static void test_a_record_has_what_the_article_asks(void **state)
{
    struct kl_buf page;

    (void)state;
    make_page(RECORD, API_ENGLISH, &page);
    expect(&page, "Of a controller (Article 30(1) GDPR)");
    expect(&page, "<dt>Joint controller</dt>");
    expect(&page, "<dt>Representative in the Union (Article 27 GDPR)</dt>");
    expect(&page, "a contract with the person, Article 6(1)(b) GDPR");
    expect(&page, "28 days after");
    expect(&page, "explicit consent, Article 49(1)(a)");
    expect(&page, "backups hold ciphertext and no keys");
    expect(&page, "People of whom data are held now: 7; Records of theirs: 9");
    kl_buf_done(&page);
    make_page(RECORD, API_DUTCH, &page);
    expect(&page, "back-ups bevatten versleutelde gegevens en geen sleutels");
    kl_buf_done(&page);
}

static void test_a_register_has_a_line_for_each_tenant(void **state)
{
    struct kl_buf page;

    (void)state;
    make_page(REGISTER, API_FRENCH, &page);
    expect(&page, "<dt>Traitements effectués pour le compte du responsable</dt>");
    expect(&page, "Backups");
    expect(&page, "<h2><bdi>young</bdi></h2>");
    expect(&page, "Un stockage ne peut être ouvert en ce moment");
    kl_buf_done(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_of_anybodys_making_is_markup),
        cmocka_unit_test(test_a_record_has_what_the_article_asks),
        cmocka_unit_test(test_a_register_has_a_line_for_each_tenant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
