/* The access report's page: a person's records, each with its fields, source and terms. */
#include "api/report_page.h"
#include "api/report_write.h"

static void put_value(struct api_page *page, const struct vault_field_result *field)
{
    if (field->withheld != VAULT_GATE_NONE) {
        api_page_put(page, "<span class=\"note\">");
        api_page_say(page, "withheld");
        api_page_put(page, " ");
        api_page_word(page, "gate", vault_gate_name(field->withheld));
        api_page_put(page, "</span>");
        return;
    }
    if (field->view == VAULT_VIEW_PLAIN && field->type == VAULT_TYPE_BOOLEAN) {
        api_page_say(page, kl_slice_equal_text(field->value, "true") ? "yes" : "no");
    } else if (field->view != VAULT_VIEW_PRESENT) {
        api_page_foreign(page, field->value.bytes, field->value.size);
    }
    if (field->view != VAULT_VIEW_PLAIN) {
        api_page_put(page, " <span class=\"note\">(");
        api_page_word(page, "view", vault_view_name(field->view));
        api_page_put(page, ")</span>");
    }
}

static void put_field(struct api_page *page, size_t i, size_t k)
{
    const struct vault_told *told = &page->report->told;
    const struct vault_field_result *shown = &told->subject.records[i].fields[k];
    int number = told->records[i].fields[k].field;
    const struct vault_policy_field *of =
        number == VAULT_NONE ? NULL : vault_policy_field(page->policy, number);

    api_page_put(page, "<tr><td>");
    api_page_label(page, shown->name, of == NULL ? NULL : of->description);
    api_page_put(page, "</td><td class=\"value\">");
    put_value(page, shown);
    api_page_next_cell(page);
    if (of != NULL && of->category != NULL) {
        api_page_label(page, of->category, NULL);
    }
    if (of != NULL && of->special != NULL) {
        api_page_put(page, of->category != NULL ? "; " : "");
        api_page_word(page, "special", of->special);
    }
    api_page_put(page, "</td></tr>\n");
}

static void put_source(struct api_page *page, size_t i)
{
    const struct vault_told *told = &page->report->told;
    const char *name = told->subject.records[i].source;
    const struct vault_policy_source *source =
        name == NULL ? NULL : vault_policy_source(page->policy, name);
    const char *provided = api_report_provided(told, i);

    api_page_term(page, "source");
    if (name == NULL) {
        api_page_say(page, "source_unknown");
    } else {
        api_page_label(page, name, source == NULL ? NULL : source->description);
        api_page_put(page, " (");
        api_page_word(page, "provided", provided);
        api_page_put(page, ")");
    }
    api_page_put(page, "</dd>\n");
}

static void put_until(struct api_page *page, const struct vault_policy_purpose *of,
                      int64_t until_us)
{
    if (of->keeps_nothing) {
        api_page_say(page, "keeps_nothing");
    } else if (until_us >= KL_TIME_MAX_US) {
        api_page_say(page, of->retain_event != NULL ? "until_event" : "until_open");
    } else if (until_us <= page->report->told.made_us) {
        api_page_say(page, "until_past");
    } else {
        api_page_say(page, "until");
        api_page_put(page, " ");
        api_page_time(page, until_us);
    }
}

static void put_kept(struct api_page *page, size_t i)
{
    const struct vault_told_record *known = &page->report->told.records[i];

    api_page_term(page, "kept");
    api_page_put(page, "<ul>\n");
    for (size_t k = 0; k < known->purpose_count; k++) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(page->policy, known->purposes[k].purpose);
        api_page_put(page, "<li>");
        api_page_label(page, of->name, of->description);
        api_page_put(page, ": ");
        put_until(page, of, known->purposes[k].until_us);
        api_page_put(page, "</li>\n");
    }
    if (known->hold_basis != NULL) {
        api_page_put(page, "<li>");
        api_page_label(page, known->hold_basis, NULL);
        api_page_put(page, ": ");
        api_page_say(page, "held");
        api_page_put(page, " ");
        api_page_say(page, "until");
        api_page_put(page, " ");
        api_page_time(page, known->hold_until_us);
        api_page_put(page, "</li>\n");
    }
    api_page_put(page, "</ul></dd>\n");
}

static void put_categories(struct api_page *page, const struct vault_policy_record *of)
{
    if (of->categories == NULL) {
        return;
    }
    api_page_term(page, "categories");
    for (const char *const *name = of->categories; *name != NULL; name++) {
        api_page_put(page, name == of->categories ? "" : ", ");
        api_page_label(page, *name, NULL);
    }
    api_page_put(page, "</dd>\n");
}

static void put_record(struct api_page *page, size_t i)
{
    static const char *const COLUMNS[] = {"field", "value", "category", NULL};
    const struct vault_record_result *record = &page->report->told.subject.records[i];
    const struct vault_policy_record *of =
        vault_policy_record(page->policy, vault_policy_record_find(page->policy, record->type));

    api_page_put(page, "<section>\n<h3>");
    api_page_label(page, record->type, of->description);
    api_page_put(page, "</h3>\n");
    api_page_table_begin(page, COLUMNS);
    for (size_t k = 0; k < record->field_count; k++) {
        put_field(page, i, k);
    }
    api_page_table_end(page);
    api_page_put(page, "<dl>\n");
    put_categories(page, of);
    put_source(page, i);
    api_page_term(page, "created_at");
    api_page_time(page, record->created_us);
    api_page_put(page, "</dd>\n");
    put_kept(page, i);
    api_page_put(page, "</dl>\n</section>\n");
}

void api_page_data(struct api_page *page)
{
    const struct vault_told *told = &page->report->told;

    api_page_heading(page, "data");
    if (told->subject.record_count == 0) {
        api_page_paragraph(page, "no_data");
    }
    for (size_t i = 0; i < told->subject.record_count; i++) {
        put_record(page, i);
    }
}
