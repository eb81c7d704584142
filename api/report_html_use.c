/* The access report's page: purposes, recipients, what was disclosed, where it may go. */
#include "api/report_page.h"

#include <string.h>

static void put_why(struct api_page *page, const struct vault_policy_purpose *of)
{
    const struct vault_policy_notice *notice =
        of->notice == NULL ? NULL : vault_policy_notice(page->policy, of->notice);

    api_page_put(page, "<tr><td>");
    api_page_label(page, of->name, of->description);
    if (of->direct_marketing) {
        api_page_put(page, " (");
        api_page_say(page, "direct_marketing");
        api_page_put(page, ")");
    }
    api_page_next_cell(page);
    api_page_word(page, "basis", vault_basis_name(of->basis));
    if (of->law != NULL || of->interest != NULL) {
        const char *why = of->law != NULL ? of->law : of->interest;
        api_page_put(page, ": ");
        api_page_foreign(page, why, strlen(why));
    }
    api_page_next_cell(page);
    if (of->retain_event != NULL) {
        api_page_duration(page, &of->retain);
        api_page_put(page, " ");
        api_page_say(page, "after");
        api_page_put(page, " ");
        const char *event = api_report_word(page->language, "event", of->retain_event);
        api_page_label(page, of->retain_event, event);
    }
    api_page_next_cell(page);
    if (of->notice != NULL) {
        api_page_label(page, of->notice, notice == NULL ? NULL : notice->title);
    }
    if (notice != NULL && notice->url != NULL) {
        api_page_put(page, "<br>");
        api_page_foreign(page, notice->url, strlen(notice->url));
    }
    api_page_put(page, "</td></tr>\n");
}

void api_page_all_purposes(struct api_page *page)
{
    static const char *const COLUMNS[] = {"purpose", "basis", "period", "notice", NULL};

    api_page_heading(page, "purposes");
    api_page_table_begin(page, COLUMNS);
    for (uint64_t left = page->report->purposes; left != 0; left &= left - 1) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(page->policy, __builtin_ctzll(left));
        if (!of->forbidden) {
            put_why(page, of);
        }
    }
    api_page_table_end(page);
}

void api_page_recipients(struct api_page *page)
{
    static const char *const COLUMNS[] = {"recipient", "kind", "country", "purposes", NULL};
    bool any = false;

    api_page_heading(page, "recipients");
    for (int i = 0; i < (int)vault_policy_recipient_count(page->policy); i++) {
        const struct vault_policy_recipient *of = vault_policy_recipient(page->policy, i);
        if ((of->purposes & page->report->purposes) == 0) {
            continue;
        }
        if (!any) {
            api_page_table_begin(page, COLUMNS);
        }
        any = true;
        api_page_put(page, "<tr><td>");
        api_page_recipient(page, of->name);
        api_page_next_cell(page);
        api_page_word(page, "kind", of->kind);
        if (of->consent_purpose != VAULT_NONE) {
            api_page_put(page, "; ");
            api_page_say(page, "needs_consent");
        }
        api_page_next_cell(page);
        api_page_text(page, of->country.code);
        api_page_next_cell(page);
        api_page_purposes(page, of->purposes);
        api_page_put(page, "</td></tr>\n");
    }
    if (any) {
        api_page_table_end(page);
    } else {
        api_page_paragraph(page, "no_recipients");
    }
}

static void put_disclosure(struct api_page *page, const struct vault_disclosure_result *of)
{
    api_page_put(page, "<tr><td>");
    api_page_recipient(page, of->recipient);
    api_page_put(page, vault_country_is_set(of->country) ? " (" : "");
    api_page_text(page, of->country.code);
    api_page_put(page, vault_country_is_set(of->country) ? ")" : "");
    api_page_next_cell(page);
    for (size_t i = 0; i < of->field_count; i++) {
        api_page_put(page, i == 0 ? "" : ", ");
        api_page_label(page, of->fields[i], NULL);
    }
    api_page_next_cell(page);
    api_page_purpose(page, of->purpose);
    if (of->note != NULL) {
        api_page_put(page, "<br>");
        api_page_foreign(page, of->note, strlen(of->note));
    }
    api_page_next_cell(page);
    api_page_time(page, of->first_us);
    api_page_next_cell(page);
    api_page_time(page, of->last_us);
    kl_buf_addf(page->out, "</td><td>%u</td></tr>\n", (unsigned)of->count);
}

void api_page_disclosures(struct api_page *page)
{
    static const char *const COLUMNS[] = {"recipient", "field", "purpose", "first_at",
                                          "last_at",   "count", NULL};

    api_page_heading(page, "disclosures");
    if (api_page_withholds(page, VAULT_REPORT_DISCLOSURES)) {
        return;
    }
    if (page->report->disclosure_count == 0) {
        api_page_paragraph(page, "no_disclosures");
        return;
    }
    api_page_table_begin(page, COLUMNS);
    for (size_t i = 0; i < page->report->disclosure_count; i++) {
        put_disclosure(page, &page->report->disclosures[i]);
    }
    api_page_table_end(page);
}

static void put_transfer(struct api_page *page, int line)
{
    const struct vault_policy_transfer of = vault_policy_transfer(page->policy, line);
    struct vault_country country;

    api_page_put(page, "<tr><td>");
    if (of.to_adequate) {
        api_page_say(page, "adequate_countries");
    }
    for (size_t i = 0; vault_policy_transfer_country(page->policy, line, i, &country); i++) {
        api_page_put(page, i == 0 ? "" : ", ");
        api_page_text(page, country.code);
    }
    api_page_next_cell(page);
    api_page_word(page, "mechanism", of.mechanism);
    if (of.description != NULL) {
        api_page_put(page, "<br>");
        api_page_foreign(page, of.description, strlen(of.description));
    }
    api_page_next_cell(page);
    if (of.recipients == UINT64_MAX) {
        api_page_say(page, "all");
    } else {
        for (uint64_t left = of.recipients; left != 0; left &= left - 1) {
            api_page_put(page, left == of.recipients ? "" : ", ");
            api_page_recipient(page,
                               vault_policy_recipient(page->policy, __builtin_ctzll(left))->name);
        }
    }
    api_page_next_cell(page);
    api_page_purposes(page, of.purposes);
    api_page_put(page, "</td></tr>\n");
}

void api_page_transfers(struct api_page *page)
{
    static const char *const COLUMNS[] = {"countries", "mechanism", "recipient", "purposes", NULL};
    bool any = false;

    api_page_heading(page, "transfers");
    for (int i = 0; i < (int)vault_policy_transfer_count(page->policy); i++) {
        if ((vault_policy_transfer(page->policy, i).purposes & page->report->purposes) == 0) {
            continue;
        }
        if (!any) {
            api_page_table_begin(page, COLUMNS);
        }
        any = true;
        put_transfer(page, i);
    }
    if (any) {
        api_page_table_end(page);
        api_page_paragraph(page, "transfer_copy");
    } else {
        api_page_paragraph(page, "no_transfers");
    }
}
