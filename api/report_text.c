#include "api/report_text.h"

#include <assert.h>
#include <string.h>

const struct api_report_text *api_report_texts(enum api_language language)
{
    static const struct api_report_text *const TABLES[API_LANGUAGES] = {
        [API_ENGLISH] = API_REPORT_TEXTS_EN,
        [API_DUTCH] = API_REPORT_TEXTS_NL,
        [API_FRENCH] = API_REPORT_TEXTS_FR,
    };

    assert((unsigned)language < API_LANGUAGES);
    return TABLES[language];
}

const char *api_language_code(enum api_language language)
{
    static const char *const CODES[API_LANGUAGES] = {"en", "nl", "fr"};

    assert((unsigned)language < API_LANGUAGES);
    return CODES[language];
}

bool api_language_parse(const char *code, enum api_language *ret)
{
    for (int i = 0; i < API_LANGUAGES; i++) {
        if (strcmp(code, api_language_code((enum api_language)i)) == 0) {
            *ret = (enum api_language)i;
            return true;
        }
    }
    return false;
}

enum kl_status api_language_read(const char *code, enum api_language *ret, struct kl_err *err)
{
    if (code == NULL) {
        *ret = API_ENGLISH;
        return KL_OK;
    }
    return api_language_parse(code, ret)
               ? KL_OK
               : kl_fail(err, KL_ERR_INVALID, "invalid_language", "lang is en, nl or fr", NULL);
}

const char *api_report_text(enum api_language language, const char *key)
{
    const struct api_report_text *text = api_report_texts(language);

    while (text->key != NULL && strcmp(text->key, key) != 0) {
        text++;
    }
    assert(text->key != NULL);
    return text->text;
}

const char *api_report_word(enum api_language language, const char *group, const char *word)
{
    const struct api_report_text *text = api_report_texts(language);
    size_t size = strlen(group);

    for (; text->key != NULL; text++) {
        if (strncmp(text->key, group, size) == 0 && text->key[size] == '.' &&
            strcmp(text->key + size + 1, word) == 0) {
            return text->text;
        }
    }
    return NULL;
}
