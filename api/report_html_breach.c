/*
 * The report of a breach as a page to the supervisory authority (GDPR art. 33(3) to (5), 34): what the trail knows is filled in, what a vault
 * cannot know is a place to write in. In the order of authorities' forms (EDPB Guidelines 9/2022, annex B). It names nobody.
 */
#include "api/report_page_json.h"
#include "api/report_write.h"

#include <string.h>

struct breach_page {
    struct api_page page;
    const struct kl_json_value *report;
    bool complete; /* else every number is "at least" */
};

static const struct kl_json_value *of(const struct breach_page *breach, const char *key)
{
    return kl_json_member(breach->report, key);
}

static void put_number(struct breach_page *breach, int64_t number)
{
    if (!breach->complete) {
        api_page_say(&breach->page, "at_least");
        api_page_put(&breach->page, " ");
    }
    api_page_json_count(&breach->page, number);
}

static void put_number_term(struct breach_page *breach, const char *term, int64_t number)
{
    api_page_term(&breach->page, term);
    put_number(breach, number);
    api_page_put(&breach->page, "</dd>\n");
}

/* ---- who tells whom, by when ---- */

static void put_notification(struct breach_page *breach, bool is_aware)
{
    struct api_page *page = &breach->page;

    api_page_heading(page, "notification");
    api_page_put(page, "<dl>\n");
    api_page_json_term_time(page, "made_at", breach->report, "made_at");
    api_page_json_term(page, "authority", of(breach, "controller"), "authority");
    api_page_blank(page, "notification_kind");
    if (is_aware) {
        api_page_json_term_time(page, "aware_at", breach->report, "aware_at");
        api_page_json_term_time(page, "notify_by", breach->report, "notify_authority_by");
    } else {
        api_page_blank(page, "aware_at");
        api_page_blank(page, "notify_by");
    }
    api_page_blank(page, "delay_reasons");
    api_page_put(page, "</dl>\n");
    api_page_heading(page, "controller");
    api_page_json_parties(page, breach->report, "dpo", "authority");
    api_page_put(page, "<dl>\n");
    api_page_blank(page, "breach_contact");
    api_page_blank(page, "others_involved");
    api_page_put(page, "</dl>\n");
}

/* ---- what happened ---- */

static void put_credentials(struct breach_page *breach)
{
    static const char *const columns[] = {"credential", "role",    "location", "made_on",
                                          "ends_on",    "revoked", NULL};
    struct api_page *page = &breach->page;
    struct kl_json_iter iter = kl_json_iter(of(breach, "credentials"));
    const struct kl_json_value *credential = NULL;

    if (kl_json_count(of(breach, "credentials")) == 0) {
        return;
    }
    api_page_table_begin(page, columns);
    while (kl_json_next(&iter, NULL, &credential)) {
        api_page_row_begin(page);
        api_page_json_text(page, credential, "id");
        api_page_next_cell(page);
        api_page_json_label(page, credential, "role");
        api_page_next_cell(page);
        api_page_json_text(page, credential, "location");
        api_page_next_cell(page);
        api_page_json_time(page, credential, "created_at");
        api_page_next_cell(page);
        api_page_json_time(page, credential, "expires_at");
        api_page_next_cell(page);
        api_page_json_time(page, credential, "revoked_at");
        api_page_row_end(page);
    }
    api_page_table_end(page);
}

/* Of a role or a recipient, which is not among credentials. */
static void put_start(struct breach_page *breach)
{
    static const char *const starts[][2] = {{"role", "through_role"},
                                            {"recipient", "through_recipient"}};

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        if (kl_json_text(of(breach, starts[i][0])) != NULL) {
            api_page_put(&breach->page, "<dl>\n");
            api_page_json_term(&breach->page, starts[i][1], breach->report, starts[i][0]);
            api_page_put(&breach->page, "</dl>\n");
        }
    }
}

static void put_through(struct breach_page *breach)
{
    static const char *const columns[] = {"credential", "role",    "people", "count",
                                          "first_at",   "last_at", NULL};
    struct api_page *page = &breach->page;
    struct kl_json_iter iter = kl_json_iter(of(breach, "by"));
    const struct kl_json_value *row = NULL;

    api_page_subheading(page, "through");
    put_start(breach);
    put_credentials(breach);
    api_page_table_begin(page, columns);
    while (kl_json_next(&iter, NULL, &row)) {
        api_page_row_begin(page);
        api_page_json_text(page, row, "credential");
        api_page_next_cell(page);
        api_page_json_label(page, row, "role");
        api_page_next_cell(page);
        put_number(breach, api_page_json_number(row, "people"));
        api_page_next_cell(page);
        put_number(breach, api_page_json_number(row, "times"));
        api_page_next_cell(page);
        api_page_json_time(page, row, "first_at");
        api_page_next_cell(page);
        api_page_json_time(page, row, "last_at");
        api_page_row_end(page);
    }
    api_page_table_end(page);
}

static void put_events(struct breach_page *breach)
{
    const struct kl_json_value *people = of(breach, "people");
    struct api_page *page = &breach->page;

    api_page_heading(page, "what_happened");
    api_page_put(page, "<dl>\n");
    put_number_term(breach, "kind_confidentiality", api_page_json_number(people, "accessed"));
    put_number_term(breach, "kind_integrity", api_page_json_number(people, "changed"));
    put_number_term(breach, "kind_availability", api_page_json_number(people, "removed"));
    api_page_json_term_time(page, "breach_first", breach->report, "first_at");
    api_page_json_term_time(page, "breach_last", breach->report, "last_at");
    api_page_term(page, "breach_period");
    api_page_json_time(page, breach->report, "from");
    api_page_put(page, " &#8211; ");
    api_page_json_time(page, breach->report, "to");
    api_page_put(page, "</dd>\n");
    api_page_blank(page, "how_happened");
    api_page_blank(page, "how_found");
    api_page_put(page, "</dl>\n");
    put_through(breach);
}

/* ---- the people ---- */

static void put_types(struct breach_page *breach)
{
    static const char *const columns[] = {"people_kind", "description", "people", NULL};
    struct api_page *page = &breach->page;
    struct kl_json_iter iter = kl_json_iter(of(breach, "data_subjects"));
    const struct kl_json_value *type = NULL;

    api_page_table_begin(page, columns);
    while (kl_json_next(&iter, NULL, &type)) {
        api_page_row_begin(page);
        if (kl_json_text(kl_json_member(type, "data_subjects")) != NULL) {
            api_page_json_text(page, type, "data_subjects");
        } else {
            api_page_json_label(page, type, "record_type");
        }
        api_page_next_cell(page);
        api_page_json_text(page, type, "description");
        api_page_next_cell(page);
        put_number(breach, api_page_json_number(type, "people"));
        api_page_row_end(page);
    }
    api_page_table_end(page);
}

static void put_people(struct breach_page *breach)
{
    const struct kl_json_value *people = of(breach, "people");
    const int64_t accessed = api_page_json_number(people, "accessed");
    const int64_t in_plain = api_page_json_number(people, "in_plain");
    struct api_page *page = &breach->page;

    api_page_heading(page, "people");
    api_page_put(page, "<dl>\n");
    put_number_term(breach, "people_all", api_page_json_number(people, "all"));
    put_number_term(breach, "people_in_plain", in_plain);
    if (breach->complete) { /* of a part it would be no "at least": more may yet be seen in full */
        put_number_term(breach, "people_obscured", accessed - in_plain);
    }
    put_number_term(breach, "people_erased", api_page_json_number(people, "erased_since"));
    put_number_term(breach, "records_count", api_page_json_number(breach->report, "records"));
    api_page_put(page, "</dl>\n");
    put_types(breach);
    api_page_put(page, "<dl>\n");
    api_page_blank(page, "people_vulnerable");
    api_page_blank(page, "people_countries");
    api_page_put(page, "</dl>\n");
}

/* ---- the data ---- */

static void put_what(struct api_page *page, const struct kl_json_value *row)
{
    if (kl_json_text(kl_json_member(row, "field")) != NULL) {
        api_page_json_text(page, row, "field");
        return;
    }
    api_page_say(page, "beside");
    api_page_put(page, " ");
    api_page_json_label(page, row, "action");
}

/* how: the member that says how it was seen, or what was done to it. */
static void put_rows(struct breach_page *breach, const char *title, const char *list,
                     const char *how)
{
    static const char *const columns[] = {"field", "how_seen", "category", "purpose", "people",
                                          "count", "first_at", "last_at",  NULL};
    struct api_page *page = &breach->page;
    struct kl_json_iter iter = kl_json_iter(of(breach, list));
    const struct kl_json_value *row = NULL;

    api_page_subheading(page, title);
    if (kl_json_count(of(breach, list)) == 0) {
        api_page_paragraph(page, "none");
        return;
    }
    api_page_table_begin(page, columns);
    while (kl_json_next(&iter, NULL, &row)) {
        api_page_row_begin(page);
        put_what(page, row);
        api_page_next_cell(page);
        api_page_json_word(page, row, how, "view");
        api_page_next_cell(page);
        api_page_json_label(page, row, "category");
        if (kl_json_text(kl_json_member(row, "special")) != NULL) {
            api_page_put(page, " (");
            api_page_json_word(page, row, "special", "special");
            api_page_put(page, ")");
        }
        api_page_next_cell(page);
        api_page_json_label(page, row, "purpose");
        api_page_next_cell(page);
        put_number(breach, api_page_json_number(row, "people"));
        api_page_next_cell(page);
        put_number(breach, api_page_json_number(row, "times"));
        api_page_next_cell(page);
        api_page_json_time(page, row, "first_at");
        api_page_next_cell(page);
        api_page_json_time(page, row, "last_at");
        api_page_row_end(page);
    }
    api_page_table_end(page);
}

static void put_data(struct breach_page *breach)
{
    struct api_page *page = &breach->page;

    api_page_heading(page, "breach_data");
    api_page_put(page, "<dl>\n");
    api_page_term(page, "categories");
    api_page_json_list(page, breach->report, "categories", true);
    api_page_put(page, "</dd>\n");
    api_page_term(page, "special_categories");
    api_page_json_words(page, breach->report, "special_categories", "special");
    api_page_put(page, "</dd>\n</dl>\n");
    put_rows(breach, "data_seen", "accessed", "view");
    put_rows(breach, "data_changed", "changed", "what");
}

/* ---- where it went ---- */

static void put_countries(struct breach_page *breach)
{
    static const char *const columns[] = {"country", "outside_eea", "by", "recipient", NULL};
    struct api_page *page = &breach->page;
    struct kl_json_iter iter = kl_json_iter(of(breach, "countries"));
    const struct kl_json_value *row = NULL;

    api_page_table_begin(page, columns);
    while (kl_json_next(&iter, NULL, &row)) {
        api_page_row_begin(page);
        api_page_json_text(page, row, "country");
        api_page_next_cell(page);
        api_page_say(page, kl_json_bool(kl_json_member(row, "outside_eea")) ? "yes" : "no");
        api_page_next_cell(page);
        api_page_json_word(page, row, "by", "by");
        api_page_next_cell(page);
        api_page_json_label(page, row, "recipient");
        api_page_row_end(page);
    }
    api_page_table_end(page);
}

static void put_where(struct breach_page *breach)
{
    static const char *const columns[] = {"mechanism", "people", "count", NULL};
    struct api_page *page = &breach->page;
    struct kl_json_iter iter = kl_json_iter(of(breach, "transfers"));
    const struct kl_json_value *row = NULL;

    api_page_heading(page, "where");
    if (kl_json_count(of(breach, "countries")) > 0) {
        put_countries(breach);
    } else {
        api_page_paragraph(page, "where_unknown");
    }
    if (kl_json_count(of(breach, "transfers")) > 0) {
        api_page_subheading(page, "transfers");
        api_page_table_begin(page, columns);
        while (kl_json_next(&iter, NULL, &row)) {
            api_page_row_begin(page);
            api_page_json_mechanism(page, row, "transfer");
            api_page_next_cell(page);
            put_number(breach, api_page_json_number(row, "people"));
            api_page_next_cell(page);
            put_number(breach, api_page_json_number(row, "times"));
            api_page_row_end(page);
        }
        api_page_table_end(page);
    }
    api_page_put(page, "<dl>\n");
    api_page_blank(page, "cross_border");
    api_page_put(page, "</dl>\n");
}

/* ---- what follows, and what is done ---- */

static void put_answer(struct breach_page *breach)
{
    const struct kl_json_value *people = of(breach, "people");
    struct api_page *page = &breach->page;

    api_page_heading(page, "consequences");
    api_page_put(page, "<dl>\n");
    api_page_blank(page, "consequences_people");
    api_page_put(page, "</dl>\n");
    api_page_heading(page, "measures");
    api_page_put(page, "<dl>\n");
    api_page_blank(page, "measures_before");
    api_page_blank(page, "measures_taken");
    api_page_put(page, "</dl>\n");
    api_page_heading(page, "informing");
    api_page_put(page, "<dl>\n");
    put_number_term(breach, "informing_count",
                    api_page_json_number(people, "all") -
                        api_page_json_number(people, "erased_since"));
    api_page_blank(page, "informing_done");
    api_page_blank(page, "informing_not");
    api_page_put(page, "</dl>\n");
}

/* ---- what it rests on ---- */

static void put_evidence(struct breach_page *breach)
{
    const struct kl_json_value *evidence = of(breach, "evidence");
    const struct kl_json_value *entries = of(breach, "entries");
    const struct kl_json_value *head = kl_json_member(evidence, "head");
    struct api_page *page = &breach->page;

    api_page_heading(page, "breach_evidence");
    api_page_paragraph(page, "evidence_intro");
    api_page_put(page, "<dl>\n");
    api_page_json_term(page, "evidence_entry", evidence, "entry");
    api_page_json_term_count(page, "evidence_from", api_page_json_number(entries, "from"));
    api_page_json_term_count(page, "evidence_to", api_page_json_number(entries, "to"));
    api_page_json_term_count(page, "evidence_of", api_page_json_number(entries, "of_credential"));
    api_page_json_term_count(page, "evidence_size", api_page_json_number(head, "size"));
    api_page_json_term(page, "evidence_root", head, "root_hash");
    api_page_json_term_time(page, "evidence_at", head, "at");
    api_page_json_term(page, "evidence_key", head, "public_key");
    api_page_json_term(page, "evidence_signature", head, "signature");
    api_page_put(page, "</dl>\n");
    api_page_paragraph(page, "documentation");
}

/* Who is to send it on, and what limits what it says. */
static void put_limits(struct breach_page *breach)
{
    struct api_page *page = &breach->page;
    const int64_t lost = api_page_json_number(of(breach, "entries"), "lost");
    const char *acting = kl_json_text(of(breach, "acting_as"));

    if (acting != NULL && strcmp(acting, "processor") == 0) {
        api_page_paragraph(page, "breach_by_processor");
    }
    if (!breach->complete) {
        api_page_put(page, "<p class=\"note\"><strong>");
        api_page_say(page, "not_complete");
        api_page_put(page, "</strong></p>\n");
    }
    if (lost > 0) {
        api_page_put(page, "<p class=\"note\"><strong>");
        api_page_say(page, "entries_lost");
        api_page_put(page, " ");
        api_page_json_count(page, lost);
        api_page_put(page, "</strong></p>\n");
    }
}

enum kl_status api_breach_html(const struct kl_json_value *report, bool is_aware,
                               enum api_language language, struct kl_buf *ret, struct kl_err *err)
{
    struct breach_page breach = {.page = {.out = ret, .language = language},
                                 .report = report,
                                 .complete = kl_json_bool(kl_json_member(report, "complete"))};

    api_page_begin(&breach.page, "breach_title");
    api_page_paragraph(&breach.page, "breach_intro");
    put_limits(&breach);
    put_notification(&breach, is_aware);
    put_events(&breach);
    put_people(&breach);
    put_data(&breach);
    put_where(&breach);
    put_answer(&breach);
    put_evidence(&breach);
    api_page_end(&breach.page);
    return api_report_finish(ret, err);
}
