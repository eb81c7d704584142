/*
 * The pieces of which pages are made. report and policy are the access report's; NULL in others, whose writers use none that ask them. All of them write to
 * the page's buffer, whose errors stay in it (api_report_finish()). Threads: one page belongs to one thread at a time.
 */
#ifndef KLUIS_API_REPORT_PAGE_H
#define KLUIS_API_REPORT_PAGE_H

#include "api/report_text.h"
#include "api/response.h"
#include "kluis/base/buf.h"
#include "kluis/vault/report.h"

#include <stdbool.h>
#include <stdint.h>

struct api_page {
    struct kl_buf *out;
    enum api_language language;
    const struct vault_report *report;
    const struct vault_policy *policy;
};

/* Markup of ours, as it is. */
void api_page_put(struct api_page *page, const char *markup);
/* Text as text: markup escaped, what is no character U+FFFD. */
void api_page_text(struct api_page *page, const char *text);
/* A text of the language's table. */
void api_page_say(struct api_page *page, const char *key);
/* A word of the policy's language in the page's; one that the table does not know as it is. */
void api_page_word(struct api_page *page, const char *group, const char *word);
/* Something of somebody's making, apart from the direction of the text around it. */
void api_page_foreign(struct api_page *page, const void *text, size_t size);
/* "send_newsletter" as "send newsletter", or what the policy says about it; description may be NULL. */
void api_page_label(struct api_page *page, const char *name, const char *description);
void api_page_purpose(struct api_page *page, const char *name);
/* Those of the set that the report is about and that are not forbidden. */
void api_page_purposes(struct api_page *page, uint64_t purposes);
void api_page_recipient(struct api_page *page, const char *name);
void api_page_time(struct api_page *page, int64_t time_us);
/* Nothing for 0. */
void api_page_time_if(struct api_page *page, int64_t time_us);
void api_page_duration(struct api_page *page, const struct kl_duration *duration);

/* The frame: up to and with the title, and what closes it. */
void api_page_begin(struct api_page *page, const char *title);
void api_page_end(struct api_page *page);
/* The answer is a page, to be saved under that name [a-z.-]. */
void api_page_answer(struct api_response *response, const char *file_name);

void api_page_heading(struct api_page *page, const char *key);
void api_page_subheading(struct api_page *page, const char *key);
void api_page_paragraph(struct api_page *page, const char *key);
/* keys: of the columns, ended by NULL. */
void api_page_table_begin(struct api_page *page, const char *const *keys);
void api_page_table_end(struct api_page *page);
void api_page_next_cell(struct api_page *page);
/* A term of a list; whoever writes its description ends that with "</dd>". */
void api_page_term(struct api_page *page, const char *key);
/* With an empty place to write in (in the page itself too, without a script): what the vault cannot know. */
void api_page_blank(struct api_page *page, const char *key);
/* With its description; NULL: it is not named. */
void api_page_term_text(struct api_page *page, const char *key, const char *text);
/* True: this ledger (VAULT_REPORT_*) is withheld, and the page says so. */
bool api_page_withholds(struct api_page *page, unsigned ledger);

/* Sections, each with its heading. */
void api_page_data(struct api_page *page);
void api_page_all_purposes(struct api_page *page);
void api_page_recipients(struct api_page *page);
void api_page_disclosures(struct api_page *page);
void api_page_transfers(struct api_page *page);
void api_page_consents(struct api_page *page);
void api_page_objections(struct api_page *page);
void api_page_restriction(struct api_page *page);

#endif
