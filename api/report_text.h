/*
 * What pages say besides data: the access report to people, the report of a breach, the record of processing. One table for each
 * language, all with the same keys in the same order. A key with a dot is a word of the policy's language ("basis.contract").
 * Threads: any; the tables are constant.
 */
#ifndef KLUIS_API_REPORT_TEXT_H
#define KLUIS_API_REPORT_TEXT_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>

enum api_language { API_ENGLISH, API_DUTCH, API_FRENCH, API_LANGUAGES };

/* key NULL ends a table. */
struct api_report_text {
    const char *key;
    const char *text;
};
extern const struct api_report_text API_REPORT_TEXTS_EN[];
extern const struct api_report_text API_REPORT_TEXTS_NL[];
extern const struct api_report_text API_REPORT_TEXTS_FR[];
const struct api_report_text *api_report_texts(enum api_language language);

const char *api_language_code(enum api_language language); /* "en", "nl", "fr" */
/* False: it is none of them; ret untouched. */
bool api_language_parse(const char *code, enum api_language *ret);

/* As a request names it; NULL: English. KL_ERR_INVALID "invalid_language". */
KL_MUST_USE enum kl_status api_language_read(const char *code, enum api_language *ret,
                                             struct kl_err *err);

/* The text of a key; an assert when there is none. */
const char *api_report_text(enum api_language language, const char *key);
/* The text of "group.word"; NULL when there is none: then the word itself is what can be said. */
const char *api_report_word(enum api_language language, const char *group, const char *word);

#endif
