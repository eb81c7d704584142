/* The access report as a page: what is not ours is text, whatever it is. */
#include "api/report_write.h"
#include "kluis/base/encode.h"

#include "tests/support/test.h"

#include <string.h>

#define EVIL "</td><script>alert(1)</script>\"'&\x01\xff"

static const char POLICY[] =
    "policy: page\nversion: 1\n"
    "controller: { name: \"<b>Page</b>\", country: BE, contact: \"<i>\", authority: \"<u>\" }\n"
    "notices:\n  n1: { title: \"<em>\", url: \"javascript:alert(1)\" }\n"
    "records:\n  person:\n    description: \"<p>\"\n    purposes: [service]\n"
    "    fields:\n      value: { type: text, description: \"<q>\" }\n"
    "purposes:\n  service: { basis: consent, notice: n1, description: \"<s>\", automated_decision: \"<a>\" }\n"
    "recipients:\n  host: { kind: processor, country: BE, purposes: [service], description: \"<h1>\" }\n"
    "roles:\n  reader:\n    - { do: [report], fields: [person.*] }\n";

static void make_page(enum api_language language, struct kl_buf *ret)
{
    struct vault_policy *policy = NULL;
    struct vault_field_result field = {.name = "value",
                                       .type = VAULT_TYPE_TEXT,
                                       .view = VAULT_VIEW_PLAIN,
                                       .value = kl_slice_text(EVIL)};
    struct vault_record_result record = {
        .type = "person", .source = "web-form", .fields = &field, .field_count = 1};
    const struct vault_told_field known = {0, VAULT_NONE, VAULT_PORTABLE};
    struct vault_told_purpose kept = {0, KL_TIME_MAX_US};
    struct vault_told_record told = {.fields = &known,
                                     .purposes = &kept,
                                     .purpose_count = 1,
                                     .hold_basis = "law",
                                     .hold_until_us = 0};
    struct vault_consent_result consent = {
        .purpose = "service", .notice = "n1", .channel = "web", .evidence = EVIL};
    const char *received[] = {"person.value"};
    struct vault_disclosure_result disclosure = {
        .recipient = "host", .purpose = "gone", .fields = received, .field_count = 1, .note = EVIL};
    struct vault_objection_result objection = {.purpose = "service", .compelling_grounds = EVIL};
    struct vault_report report = {
        .told = {.subject = {.records = &record, .record_count = 1}, .records = &told},
        .purposes = 1,
        .consents = &consent,
        .consent_count = 1,
        .objections = &objection,
        .objection_count = 1,
        .restriction = {.in_force = true},
        .disclosures = &disclosure,
        .disclosure_count = 1};

    assert_int_equal(vault_policy_compile(POLICY, sizeof POLICY - 1, &policy, NULL), KL_OK);
    report.told.policy = policy;
    kl_buf_init(ret, 1024 * 1024);
    assert_int_equal(api_report_html(&report, language, ret, NULL), KL_OK);
    vault_policy_unref(policy);
}

static size_t count(const char *text, const char *piece)
{
    size_t found = 0;

    for (const char *at = strstr(text, piece); at != NULL; at = strstr(at + 1, piece)) {
        found++;
    }
    return found;
}

static void test_nothing_of_anybodys_making_is_markup(void **state)
{
    static const char *const never[] = {"<script", "<b>Page", "<i>",  "<u>",  "<em>", "<q>",
                                        "<s>",     "<a>",     "href", "src=", "\x01"};

    (void)state;
    for (int language = 0; language < API_LANGUAGES; language++) {
        struct kl_buf page;
        const char *text = NULL;

        make_page((enum api_language)language, &page);
        text = (const char *)page.bytes;
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
            if (strstr(text, never[i]) != NULL) {
                fail_msg("%s is in the page", never[i]);
            }
        }
        /* the value, evidence, note and grounds; what is no character is U+FFFD */
        assert_int_equal(count(text, "&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;"
                                     "&amp;\xef\xbf\xbd\xef\xbf\xbd"),
                         4);
        assert_int_equal(count(text, "<h1>"), 1);
        assert_true(kl_utf8_valid(page.bytes, page.size));
        kl_buf_done(&page);
    }
}

static void test_the_header_fits_the_page(void **state)
{
    char security[API_SECURITY_BYTES];
    struct kl_buf page;

    (void)state;
    api_report_security(security);
    assert_true(strlen(security) < API_SECURITY_BYTES - 1);
    assert_null(strstr(security, "unsafe"));
    assert_non_null(strstr(security, "base-uri 'none'; form-action 'none'"));
    make_page(API_ENGLISH, &page);
    assert_non_null(strstr((const char *)page.bytes, strstr(security, "style-src")));
    kl_buf_done(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_of_anybodys_making_is_markup),
        cmocka_unit_test(test_the_header_fits_the_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
