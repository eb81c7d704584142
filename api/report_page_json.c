#include "api/report_page_json.h"

#include "kluis/base/time.h"

#include <inttypes.h>
#include <string.h>

static const char *text_of(const struct kl_json_value *object, const char *key)
{
    return kl_json_text(kl_json_member(object, key));
}

void api_page_json_text(struct api_page *page, const struct kl_json_value *object, const char *key)
{
    const char *text = text_of(object, key);

    if (text != NULL) {
        api_page_foreign(page, text, strlen(text));
    }
}

void api_page_json_label(struct api_page *page, const struct kl_json_value *object, const char *key)
{
    const char *text = text_of(object, key);

    if (text != NULL) {
        api_page_label(page, text, NULL);
    }
}

void api_page_json_word(struct api_page *page, const struct kl_json_value *object, const char *key,
                        const char *group)
{
    const char *text = text_of(object, key);

    if (text != NULL) {
        api_page_word(page, group, text);
    }
}

void api_page_json_mechanism(struct api_page *page, const struct kl_json_value *object,
                             const char *key)
{
    const char *text = text_of(object, key);

    if (text != NULL && strcmp(text, "explicit_consent") == 0) {
        api_page_say(page, "mechanism_explicit_consent");
    } else {
        api_page_json_word(page, object, key, "mechanism");
    }
}

void api_page_json_time(struct api_page *page, const struct kl_json_value *object, const char *key)
{
    const char *text = text_of(object, key);
    int64_t time_us = 0;

    if (text != NULL && kl_time_parse(text, strlen(text), &time_us, NULL) == KL_OK) {
        api_page_time(page, time_us);
    }
}

int64_t api_page_json_number(const struct kl_json_value *object, const char *key)
{
    int64_t number = 0;

    (void)kl_json_int(kl_json_member(object, key), &number);
    return number;
}

void api_page_json_count(struct api_page *page, int64_t number)
{
    kl_buf_addf(page->out, "%" PRId64, number);
}

static void put_list(struct api_page *page, const struct kl_json_value *list,
                     void (*put)(struct api_page *page, const char *text, const char *group),
                     const char *group)
{
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *item = NULL;
    bool first = true;

    while (kl_json_next(&iter, NULL, &item)) {
        const char *text = kl_json_text(item);

        if (text != NULL) {
            api_page_put(page, first ? "" : "; ");
            put(page, text, group);
            first = false;
        }
    }
    if (first) {
        api_page_say(page, "none");
    }
}

static void put_text(struct api_page *page, const char *text, const char *group)
{
    (void)group;
    api_page_foreign(page, text, strlen(text));
}

static void put_label(struct api_page *page, const char *text, const char *group)
{
    (void)group;
    api_page_label(page, text, NULL);
}

static void put_word(struct api_page *page, const char *text, const char *group)
{
    api_page_word(page, group, text);
}

void api_page_json_list(struct api_page *page, const struct kl_json_value *object, const char *key,
                        bool as_labels)
{
    put_list(page, kl_json_member(object, key), as_labels ? put_label : put_text, NULL);
}

void api_page_json_words(struct api_page *page, const struct kl_json_value *object, const char *key,
                         const char *group)
{
    put_list(page, kl_json_member(object, key), put_word, group);
}

/* ---- terms ---- */

void api_page_json_term(struct api_page *page, const char *term, const struct kl_json_value *object,
                        const char *key)
{
    api_page_term_text(page, term, text_of(object, key));
}

void api_page_json_term_time(struct api_page *page, const char *term,
                             const struct kl_json_value *object, const char *key)
{
    api_page_term(page, term);
    if (text_of(object, key) != NULL) {
        api_page_json_time(page, object, key);
    } else {
        api_page_say(page, "none");
    }
    api_page_put(page, "</dd>\n");
}

void api_page_json_term_count(struct api_page *page, const char *term, int64_t number)
{
    api_page_term(page, term);
    api_page_json_count(page, number);
    api_page_put(page, "</dd>\n");
}

void api_page_json_party(struct api_page *page, const char *term, const struct kl_json_value *party)
{
    if (text_of(party, "name") == NULL) {
        return;
    }
    api_page_term(page, term);
    api_page_json_text(page, party, "name");
    api_page_put(page, ", ");
    api_page_json_text(page, party, "country");
    api_page_put(page, ", ");
    api_page_json_text(page, party, "contact");
    api_page_put(page, "</dd>\n");
}

void api_page_json_parties(struct api_page *page, const struct kl_json_value *object,
                           const char *dpo, const char *authority)
{
    const struct kl_json_value *controller = kl_json_member(object, "controller");
    const struct kl_json_value *processor = kl_json_member(object, "processor");
    struct kl_json_iter iter = kl_json_iter(kl_json_member(controller, "joint_controllers"));
    const struct kl_json_value *joint = NULL;

    api_page_put(page, "<dl>\n");
    api_page_json_term(page, "acting.controller", controller, "name");
    api_page_json_term(page, "country", controller, "country");
    api_page_json_term(page, "contact", controller, "contact");
    api_page_json_term(page, "dpo", controller, dpo);
    api_page_json_term(page, "authority", controller, authority);
    api_page_json_party(page, "representative", kl_json_member(controller, "representative"));
    while (kl_json_next(&iter, NULL, &joint)) {
        api_page_json_party(page, "acting.joint_controller", joint);
    }
    if (text_of(processor, "name") != NULL) {
        api_page_json_party(page, "acting.processor", processor);
        api_page_json_term(page, "processor_dpo", processor, dpo);
        api_page_json_party(page, "processor_representative",
                            kl_json_member(processor, "representative"));
    }
    api_page_put(page, "</dl>\n");
}

/* ---- rows ---- */

void api_page_row_begin(struct api_page *page)
{
    api_page_put(page, "<tr><td>");
}

void api_page_row_end(struct api_page *page)
{
    api_page_put(page, "</td></tr>\n");
}
