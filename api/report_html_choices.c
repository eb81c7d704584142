/* The access report's page: what the person has decided. */
#include "api/report_page.h"

#include <string.h>

static void put_consent(struct api_page *page, const struct vault_consent_result *of)
{
    api_page_put(page, "<tr><td>");
    api_page_purpose(page, of->purpose);
    api_page_next_cell(page);
    if (of->recipient != NULL) {
        api_page_recipient(page, of->recipient);
    }
    api_page_next_cell(page);
    api_page_time(page, of->given_us);
    api_page_next_cell(page);
    api_page_time_if(page, of->withdrawn_us);
    api_page_next_cell(page);
    api_page_time_if(page, of->expires_us);
    api_page_next_cell(page);
    api_page_text(page, of->channel == NULL ? "" : of->channel);
    api_page_put(page, ", ");
    api_page_text(page, of->notice == NULL ? "" : of->notice);
    if (of->evidence != NULL) {
        api_page_put(page, "<br>");
        api_page_foreign(page, of->evidence, strlen(of->evidence));
    }
    api_page_put(page, "</td></tr>\n");
}

void api_page_consents(struct api_page *page)
{
    static const char *const COLUMNS[] = {"purpose",    "recipient", "given_at", "withdrawn_at",
                                          "expires_at", "channel",   NULL};

    api_page_subheading(page, "consents");
    if (api_page_withholds(page, VAULT_REPORT_CONSENTS)) {
        return;
    }
    if (page->report->consent_count == 0) {
        api_page_paragraph(page, "no_consents");
        return;
    }
    api_page_table_begin(page, COLUMNS);
    for (size_t i = 0; i < page->report->consent_count; i++) {
        put_consent(page, &page->report->consents[i]);
    }
    api_page_table_end(page);
}

void api_page_objections(struct api_page *page)
{
    static const char *const COLUMNS[] = {"purpose",  "ground",     "since",
                                          "ended_at", "compelling", NULL};

    api_page_subheading(page, "objections");
    if (api_page_withholds(page, VAULT_REPORT_OBJECTIONS)) {
        return;
    }
    if (page->report->objection_count == 0) {
        api_page_paragraph(page, "no_objections");
        return;
    }
    api_page_table_begin(page, COLUMNS);
    for (size_t i = 0; i < page->report->objection_count; i++) {
        const struct vault_objection_result *of = &page->report->objections[i];
        api_page_put(page, "<tr><td>");
        api_page_purpose(page, of->purpose);
        api_page_next_cell(page);
        api_page_word(page, "objection", vault_objection_ground_name(of->ground));
        api_page_next_cell(page);
        api_page_time(page, of->since_us);
        api_page_next_cell(page);
        api_page_time_if(page, of->ended_us);
        api_page_next_cell(page);
        if (of->compelling_grounds != NULL) {
            api_page_foreign(page, of->compelling_grounds, strlen(of->compelling_grounds));
        } else {
            api_page_say(page, of->has_compelling_grounds ? "yes" : "no");
        }
        api_page_put(page, "</td></tr>\n");
    }
    api_page_table_end(page);
}

void api_page_restriction(struct api_page *page)
{
    const struct vault_restriction *restriction = &page->report->restriction;

    api_page_subheading(page, "restriction");
    if (api_page_withholds(page, VAULT_REPORT_RESTRICTION)) {
        return;
    }
    if (!restriction->in_force) {
        api_page_paragraph(page, "no_restriction");
        return;
    }
    api_page_put(page, "<p>");
    api_page_say(page, "restricted");
    api_page_put(page, " ");
    api_page_time(page, restriction->since_us);
    api_page_put(page, ": ");
    api_page_word(page, "restriction", vault_restriction_ground_name(restriction->ground));
    api_page_put(page, "</p>\n");
}
