/*
 * The record of processing activities as a page (GDPR art. 30): of a controller in the order of paragraph 1, (a) to (g), of a processor in that of
 * paragraph 2, (a) to (d); and a processor's register of all whom it keeps data for.
 */
#include "api/report_page_json.h"
#include "api/report_write.h"
#include "kluis/base/time.h"

#include <string.h>

static const struct kl_json_value *of(const struct kl_json_value *object, const char *key)
{
    return kl_json_member(object, key);
}

static bool has(const struct kl_json_value *object, const char *key)
{
    return kl_json_text(of(object, key)) != NULL;
}

static void put_version(struct api_page *page, const struct kl_json_value *record)
{
    const struct kl_json_value *policy = of(record, "policy");

    api_page_term(page, "policy");
    if (has(policy, "name")) {
        api_page_json_text(page, policy, "name");
        api_page_put(page, ", ");
        api_page_json_text(page, policy, "version");
    } else {
        api_page_say(page, "none");
    }
    api_page_put(page, "</dd>\n");
}

/* ---- activities ---- */

static void put_data(struct api_page *page, const struct kl_json_value *activity)
{
    struct kl_json_iter iter = kl_json_iter(of(activity, "data"));
    const struct kl_json_value *data = NULL;
    bool first = true;

    while (kl_json_next(&iter, NULL, &data)) {
        api_page_put(page, first ? "" : "<br>");
        first = false;
        api_page_json_label(page, data, "record_type");
        api_page_put(page, ": ");
        api_page_json_list(page, data, "categories", true);
        if (kl_json_count(of(data, "special_categories")) > 0) {
            api_page_put(page, " (");
            api_page_json_words(page, data, "special_categories", "special");
            api_page_put(page, ")");
        }
    }
}

static void put_event(struct api_page *page, const struct kl_json_value *limit)
{
    const char *event = kl_json_text(of(limit, "after"));

    if (event != NULL) {
        api_page_label(page, event, api_report_word(page->language, "event", event));
    }
}

static void put_time_limit(struct api_page *page, const struct kl_json_value *activity)
{
    const struct kl_json_value *limit = of(activity, "time_limit");
    const char *text = kl_json_text(of(limit, "duration"));
    struct kl_duration duration = {0};

    if (!kl_json_bool(of(activity, "keeps"))) {
        api_page_say(page, "keeps_nothing");
    } else if (text != NULL && kl_duration_parse(text, strlen(text), &duration, NULL) == KL_OK) {
        api_page_duration(page, &duration);
        api_page_put(page, " ");
        api_page_say(page, "after");
        api_page_put(page, " ");
        put_event(page, limit);
    } else {
        api_page_say(page, "until_open");
    }
}

static void put_optional(struct api_page *page, const char *term,
                         const struct kl_json_value *object, const char *key)
{
    if (has(object, key)) {
        api_page_json_term(page, term, object, key);
    }
}

static void put_activity(struct api_page *page, const struct kl_json_value *activity)
{
    api_page_put(page, "<h3>");
    api_page_json_label(page, activity, "purpose");
    api_page_put(page, "</h3>\n<dl>\n");
    put_optional(page, "description", activity, "description");
    api_page_term(page, "basis");
    api_page_json_word(page, activity, "basis", "lawful");
    api_page_put(page, "</dd>\n");
    put_optional(page, "law", activity, "law");
    put_optional(page, "interest", activity, "interest");
    if (has(activity, "ground")) {
        api_page_term(page, "special_ground");
        api_page_json_label(page, activity, "ground");
        api_page_put(page, "</dd>\n");
    }
    put_optional(page, "automated", activity, "automated_decision");
    api_page_term(page, "categories");
    put_data(page, activity);
    api_page_put(page, "</dd>\n");
    api_page_term(page, "recipients");
    api_page_json_list(page, activity, "recipients", true);
    api_page_put(page, "</dd>\n");
    api_page_term(page, "period");
    put_time_limit(page, activity);
    api_page_put(page, "</dd>\n</dl>\n");
}

static void put_activities(struct api_page *page, const struct kl_json_value *record)
{
    struct kl_json_iter iter = kl_json_iter(of(record, "activities"));
    const struct kl_json_value *activity = NULL;

    api_page_heading(page, "activities");
    while (kl_json_next(&iter, NULL, &activity)) {
        put_activity(page, activity);
    }
    api_page_put(page, "<dl>\n");
    api_page_term(page, "forbidden_purposes");
    api_page_json_list(page, record, "forbidden_purposes", true);
    api_page_put(page, "</dd>\n</dl>\n");
}

/* What is done for the controller (art. 30(2)(b)): as the policy says it, or else by its purposes. */
static void put_done_for(struct api_page *page, const struct kl_json_value *record)
{
    api_page_term(page, "processing_for");
    if (kl_json_count(of(record, "processing")) > 0) {
        api_page_json_list(page, record, "processing", false);
    } else {
        api_page_json_list(page, record, "purposes", true);
    }
    api_page_put(page, "</dd>\n");
}

/* ---- people ---- */

static void put_subjects(struct api_page *page, const struct kl_json_value *record)
{
    static const char *const columns[] = {"record",     "people_kind",        "description",
                                          "categories", "special_categories", NULL};
    struct kl_json_iter iter = kl_json_iter(of(record, "data_subjects"));
    const struct kl_json_value *held = of(record, "held");
    const struct kl_json_value *type = NULL;

    api_page_heading(page, "data_subjects");
    api_page_table_begin(page, columns);
    while (kl_json_next(&iter, NULL, &type)) {
        api_page_row_begin(page);
        api_page_json_label(page, type, "record_type");
        api_page_next_cell(page);
        api_page_json_text(page, type, "data_subjects");
        api_page_next_cell(page);
        api_page_json_text(page, type, "description");
        api_page_next_cell(page);
        api_page_json_list(page, type, "categories", true);
        api_page_next_cell(page);
        api_page_json_words(page, type, "special_categories", "special");
        api_page_row_end(page);
    }
    api_page_table_end(page);
    api_page_put(page, "<p>");
    api_page_say(page, "held_now");
    api_page_put(page, kl_json_bool(of(held, "complete")) ? " " : " &#8805; ");
    api_page_json_count(page, api_page_json_number(held, "subjects"));
    api_page_put(page, "; ");
    api_page_say(page, "records_count");
    api_page_put(page, kl_json_bool(of(held, "complete")) ? ": " : ": &#8805; ");
    api_page_json_count(page, api_page_json_number(held, "records"));
    api_page_put(page, "</p>\n");
}

/* ---- recipients and transfers ---- */

static void put_recipients(struct api_page *page, const struct kl_json_value *record)
{
    static const char *const columns[] = {"recipient", "kind",     "description", "contact",
                                          "country",   "purposes", NULL};
    struct kl_json_iter iter = kl_json_iter(of(record, "recipients"));
    const struct kl_json_value *recipient = NULL;

    if (kl_json_count(of(record, "recipients")) == 0) {
        api_page_paragraph(page, "none");
        return;
    }
    api_page_table_begin(page, columns);
    while (kl_json_next(&iter, NULL, &recipient)) {
        api_page_row_begin(page);
        api_page_json_label(page, recipient, "name");
        api_page_next_cell(page);
        api_page_json_word(page, recipient, "kind", "kind");
        api_page_next_cell(page);
        api_page_json_text(page, recipient, "description");
        api_page_next_cell(page);
        api_page_json_text(page, recipient, "contact");
        api_page_next_cell(page);
        api_page_json_text(page, recipient, "country");
        api_page_next_cell(page);
        api_page_json_list(page, recipient, "purposes", true);
        api_page_row_end(page);
    }
    api_page_table_end(page);
}

static void put_transfer(struct api_page *page, const struct kl_json_value *transfer)
{
    api_page_row_begin(page);
    if (kl_json_bool(of(transfer, "adequate_countries"))) {
        api_page_say(page, "adequate_countries");
    } else {
        api_page_json_list(page, transfer, "to", false);
    }
    api_page_next_cell(page);
    api_page_json_mechanism(page, transfer, "mechanism");
    api_page_next_cell(page);
    api_page_json_text(page, transfer, "description");
    api_page_next_cell(page);
    api_page_json_list(page, transfer, "recipients", true);
    api_page_next_cell(page);
    api_page_json_list(page, transfer, "purposes", true);
    api_page_next_cell(page);
    api_page_json_word(page, transfer, "view", "view");
    api_page_row_end(page);
}

static void put_transfers(struct api_page *page, const struct kl_json_value *record)
{
    static const char *const columns[] = {"countries", "mechanism", "safeguards", "recipient",
                                          "purposes",  "how_seen",  NULL};
    struct kl_json_iter iter = kl_json_iter(of(record, "transfers"));
    const struct kl_json_value *transfer = NULL;

    if (kl_json_count(of(record, "transfers")) == 0) {
        api_page_paragraph(page, "none");
        return;
    }
    api_page_table_begin(page, columns);
    while (kl_json_next(&iter, NULL, &transfer)) {
        put_transfer(page, transfer);
    }
    api_page_table_end(page);
}

/* ---- measures ---- */

/* The vault's own in the page's language, where they are the same for all; else as they were written. */
static void put_measure(struct api_page *page, const struct kl_json_value *measure)
{
    const char *name = kl_json_text(of(measure, "measure"));

    if (name != NULL && api_report_word(page->language, "measure", name) != NULL) {
        api_page_word(page, "measure", name);
    } else {
        api_page_json_text(page, measure, "text");
    }
}

static void put_measures(struct api_page *page, const struct kl_json_value *object)
{
    struct kl_json_iter iter = kl_json_iter(of(object, "security_measures"));
    const struct kl_json_value *measure = NULL;

    api_page_put(page, "<ul>\n");
    while (kl_json_next(&iter, NULL, &measure)) {
        api_page_put(page, "<li>");
        put_measure(page, measure);
        api_page_put(page, "</li>\n");
    }
    api_page_put(page, "</ul>\n");
}

/* ---- a record ---- */

static void put_record(struct api_page *page, const struct kl_json_value *record)
{
    const char *article = kl_json_text(of(record, "article"));
    const bool processor = article != NULL && strcmp(article, "30(2)") == 0;

    api_page_begin(page, "processing_title");
    api_page_paragraph(page, processor ? "processing_of_processor" : "processing_of_controller");
    api_page_put(page, "<dl>\n");
    api_page_json_term_time(page, "made_at", record, "made_at");
    put_version(page, record);
    api_page_term(page, "acting");
    api_page_json_word(page, record, "acting_as", "acting");
    api_page_put(page, "</dd>\n</dl>\n");
    api_page_heading(page, "controller");
    api_page_json_parties(page, record, "data_protection_officer", "supervisory_authority");
    if (processor && kl_json_count(of(record, "processing")) > 0) {
        api_page_put(page, "<dl>\n");
        put_done_for(page, record);
        api_page_put(page, "</dl>\n");
    }
    put_activities(page, record);
    put_subjects(page, record);
    api_page_heading(page, "recipients");
    put_recipients(page, record);
    api_page_heading(page, "transfers");
    put_transfers(page, record);
    api_page_heading(page, "security_measures");
    put_measures(page, record);
    api_page_end(page);
}

/* ---- a register ---- */

static void put_tenant(struct api_page *page, const struct kl_json_value *tenant)
{
    api_page_put(page, "<h2>");
    api_page_json_text(page, tenant, "tenant");
    api_page_put(page, "</h2>\n<dl>\n");
    put_version(page, tenant);
    api_page_json_term(page, "store", tenant, "store");
    api_page_json_term(page, "country", tenant, "country");
    if (has(tenant, "ends_at")) {
        api_page_json_term_time(page, "ends_on", tenant, "ends_at");
    }
    if (!has(of(tenant, "policy"), "name")) {
        api_page_put(page, "</dl>\n");
        return;
    }
    api_page_term(page, "acting");
    api_page_json_word(page, tenant, "acting_as", "acting");
    api_page_put(page, "</dd>\n");
    put_done_for(page, tenant);
    if (kl_json_count(of(tenant, "measures")) > 0) {
        api_page_term(page, "measures_agreed");
        api_page_json_list(page, tenant, "measures", false);
        api_page_put(page, "</dd>\n");
    }
    api_page_put(page, "</dl>\n");
    api_page_json_parties(page, tenant, "data_protection_officer", "supervisory_authority");
    api_page_subheading(page, "recipients");
    put_recipients(page, tenant);
    api_page_subheading(page, "transfers");
    put_transfers(page, tenant);
}

static void put_register(struct api_page *page, const struct kl_json_value *record)
{
    struct kl_json_iter iter = kl_json_iter(of(record, "tenants"));
    const struct kl_json_value *item = NULL;

    api_page_begin(page, "register_title");
    api_page_paragraph(page, "register_intro");
    if (!kl_json_bool(of(record, "complete"))) {
        api_page_put(page, "<p class=\"note\"><strong>");
        api_page_say(page, "register_not_complete");
        api_page_put(page, "</strong></p>\n");
    }
    api_page_put(page, "<dl>\n");
    api_page_json_term_time(page, "made_at", record, "made_at");
    api_page_put(page, "</dl>\n");
    while (kl_json_next(&iter, NULL, &item)) {
        put_tenant(page, item);
    }
    api_page_heading(page, "security_measures");
    iter = kl_json_iter(of(record, "stores"));
    while (kl_json_next(&iter, NULL, &item)) {
        api_page_put(page, "<h3>");
        api_page_json_text(page, item, "store");
        api_page_put(page, ", ");
        api_page_json_text(page, item, "country");
        api_page_put(page, "</h3>\n");
        put_measures(page, item);
    }
    api_page_end(page);
}

enum kl_status api_processing_html(const struct kl_json_value *record, enum api_language language,
                                   struct kl_buf *ret, struct kl_err *err)
{
    struct api_page page = {.out = ret, .language = language};

    if (kl_json_type(of(record, "tenants")) == KL_JSON_ARRAY) {
        put_register(&page, record);
    } else {
        put_record(&page, record);
    }
    return api_report_finish(ret, err);
}
