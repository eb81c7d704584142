/* The access report as a page for a person: its frame, and the order of its sections. */
#include "api/report_page.h"
#include "api/report_write.h"

#include <string.h>

static void put_head(struct api_page *page)
{
    api_page_begin(page, "title");
    api_page_paragraph(page, "intro");
    api_page_put(page, "<dl>\n");
    api_page_term(page, "made_at");
    api_page_time(page, page->report->told.made_us);
    api_page_put(page, "</dd>\n");
    api_page_term(page, "policy");
    api_page_text(page, vault_policy_name(page->policy));
    api_page_put(page, ", ");
    api_page_text(page, vault_policy_version(page->policy));
    api_page_put(page, "</dd>\n</dl>\n");
}

static void put_controller(struct api_page *page)
{
    const struct vault_policy_controller *controller = vault_policy_controller(page->policy);

    api_page_heading(page, "controller");
    api_page_put(page, "<dl>\n<dt>");
    api_page_word(page, "acting", controller->acting_as);
    api_page_put(page, "</dt><dd>");
    api_page_foreign(page, controller->name, strlen(controller->name));
    api_page_put(page, "</dd>\n");
    api_page_term_text(page, "country", controller->country.code);
    api_page_term_text(page, "contact", controller->contact);
    api_page_term_text(page, "dpo", controller->dpo);
    api_page_put(page, "</dl>\n");
}

static void put_automated(struct api_page *page)
{
    int forbidden = vault_policy_purpose_find(page->policy, VAULT_AUTOMATED_DECISION);
    bool any = false;

    api_page_heading(page, "automated");
    for (uint64_t left = page->report->purposes; left != 0; left &= left - 1) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(page->policy, __builtin_ctzll(left));
        if (of->automated_decision == NULL) {
            continue;
        }
        if (!any) {
            api_page_paragraph(page, "automated_some");
            api_page_put(page, "<ul>\n");
        }
        any = true;
        api_page_put(page, "<li>");
        api_page_label(page, of->name, of->description);
        api_page_put(page, ": ");
        api_page_foreign(page, of->automated_decision, strlen(of->automated_decision));
        api_page_put(page, "</li>\n");
    }
    if (any) {
        api_page_put(page, "</ul>\n");
        return;
    }
    api_page_paragraph(page, forbidden != VAULT_NONE &&
                                     vault_policy_purpose(page->policy, forbidden)->forbidden
                                 ? "automated_forbidden"
                                 : "automated_none");
}

static void put_rights(struct api_page *page)
{
    struct api_right rights[API_RIGHTS];
    const char *authority = vault_policy_controller(page->policy)->authority;

    api_report_rights(page->report, rights);
    api_page_heading(page, "rights");
    api_page_put(page, "<ul>\n");
    for (size_t i = 0; i < API_RIGHTS; i++) {
        if (rights[i].applies) {
            api_page_put(page, "<li>");
            api_page_word(page, "right", rights[i].name);
            api_page_put(page, "</li>\n");
        }
    }
    api_page_put(page, "</ul>\n");
    api_page_heading(page, "complaint");
    api_page_paragraph(page, "complaint_text");
    if (authority != NULL) {
        api_page_put(page, "<p>");
        api_page_foreign(page, authority, strlen(authority));
        api_page_put(page, "</p>\n");
    }
    api_page_put(page, "<p>");
    api_page_say(page, "complaint_directory");
    api_page_put(page, " " API_AUTHORITIES_URL "</p>\n");
}

static size_t count_withheld(const struct vault_told *told)
{
    size_t count = 0;

    for (size_t i = 0; i < told->subject.record_count; i++) {
        for (size_t k = 0; k < told->subject.records[i].field_count; k++) {
            count += told->subject.records[i].fields[k].withheld != VAULT_GATE_NONE ? 1 : 0;
        }
    }
    return count;
}

static void put_left_out(struct api_page *page)
{
    const struct vault_told *told = &page->report->told;
    size_t fields = count_withheld(told);

    api_page_heading(page, "left_out");
    if (fields == 0 && told->records_not_shown == 0 && page->report->withheld == 0) {
        api_page_paragraph(page, "left_out_nothing");
        return;
    }
    api_page_put(page, "<p>");
    api_page_say(page, "left_out_fields");
    kl_buf_addf(page->out, " %zu. ", fields);
    api_page_say(page, "left_out_records");
    kl_buf_addf(page->out, " %zu. ", told->records_not_shown);
    api_page_say(page, "left_out_ask");
    api_page_put(page, "</p>\n");
}

enum kl_status api_report_html(const struct vault_report *report, enum api_language language,
                               struct kl_buf *ret, struct kl_err *err)
{
    struct api_page page = {
        .out = ret, .language = language, .report = report, .policy = report->told.policy};

    put_head(&page);
    put_controller(&page);
    api_page_data(&page);
    api_page_all_purposes(&page);
    api_page_recipients(&page);
    api_page_disclosures(&page);
    api_page_transfers(&page);
    api_page_heading(&page, "choices");
    api_page_consents(&page);
    api_page_objections(&page);
    api_page_restriction(&page);
    put_automated(&page);
    put_rights(&page);
    put_left_out(&page);
    api_page_end(&page);
    return api_report_finish(ret, err);
}
