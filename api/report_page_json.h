/*
 * Pieces of a page that show members of a JSON object which the vault wrote.
 * Threads: one page belongs to one thread at a time.
 */
#ifndef KLUIS_API_REPORT_PAGE_JSON_H
#define KLUIS_API_REPORT_PAGE_JSON_H

#include "api/report_page.h"
#include "kluis/base/json.h"

/* The member as text of somebody's making; nothing where there is none. */
void api_page_json_text(struct api_page *page, const struct kl_json_value *object, const char *key);
/* A name of the policy ("send_newsletter") as words. */
void api_page_json_label(struct api_page *page, const struct kl_json_value *object,
                         const char *key);
/* A word of the policy's language in the page's. */
void api_page_json_word(struct api_page *page, const struct kl_json_value *object, const char *key,
                        const char *group);
/* What allows a transfer, said of anybody rather than to the person. */
void api_page_json_mechanism(struct api_page *page, const struct kl_json_value *object,
                             const char *key);
void api_page_json_time(struct api_page *page, const struct kl_json_value *object, const char *key);
/* 0 where there is none. */
int64_t api_page_json_number(const struct kl_json_value *object, const char *key);
void api_page_json_count(struct api_page *page, int64_t number);
/* Its strings, between semicolons, each as api_page_json_text() or, with as_labels, as api_page_json_label(); "none" for an empty one. */
void api_page_json_list(struct api_page *page, const struct kl_json_value *object, const char *key,
                        bool as_labels);
/* The same as words of a group. */
void api_page_json_words(struct api_page *page, const struct kl_json_value *object, const char *key,
                         const char *group);

/* Terms of a list of descriptions. */
void api_page_json_term(struct api_page *page, const char *term, const struct kl_json_value *object,
                        const char *key);
void api_page_json_term_time(struct api_page *page, const char *term,
                             const struct kl_json_value *object, const char *key);
void api_page_json_term_count(struct api_page *page, const char *term, int64_t number);
/* {"name","country","contact"} in one line; nothing at all when it is null. */
void api_page_json_party(struct api_page *page, const char *term,
                         const struct kl_json_value *party);
/* "controller" with its representative, joint controllers, officer (under that key) and authority, and "processor" of an object, as a list of descriptions. */
void api_page_json_parties(struct api_page *page, const struct kl_json_value *object,
                           const char *dpo, const char *authority);

/* A row of a table, with its first cell begun, and with its last ended. */
void api_page_row_begin(struct api_page *page);
void api_page_row_end(struct api_page *page);

#endif
