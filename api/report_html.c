/*
 * The access report as a page for a person. What comes from the vault or the
 * policy goes out through put_escaped() alone; what is between is ours, or from the table of the language.
 */
#include "api/report_write.h"
#include "kluis/base/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char STYLE[] =
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1b1b;background:#fff}"
    "h1{font-size:1.8rem}h2{margin-top:2.2rem;border-bottom:2px solid #1b4d6b}"
    "h3{margin-bottom:.3rem}table{border-collapse:collapse;width:100%;margin:.6rem 0}"
    "th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border:1px solid #b9c3c9;"
    "overflow-wrap:anywhere}th{background:#eef3f6}td.value{white-space:pre-wrap}"
    "dt{font-weight:600}dd{margin:0 0 .4rem 1rem}.note{color:#4a555c}"
    "@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}";

struct page {
    struct kl_buf *out;
    enum api_language language;
    const struct vault_report *report;
    const struct vault_policy *policy;
};

/* ---- letters ---- */

static const char *entity_of(unsigned char byte)
{
    switch (byte) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return byte < 0x20 && byte != '\t' && byte != '\n' ? "\xef\xbf\xbd" : NULL;
    }
}

/* Text as text: markup escaped, what is no character U+FFFD. */
static void put_escaped(struct page *page, const void *text, size_t size)
{
    const unsigned char *at = text;
    const unsigned char *end = size == 0 ? at : at + size;

    while (at < end) {
        size_t bytes = kl_utf8_char_bytes(at, (size_t)(end - at));
        const char *entity = bytes == 0 ? "\xef\xbf\xbd" : entity_of(*at);
        if (entity != NULL) {
            kl_buf_add_text(page->out, entity);
        } else {
            kl_buf_add(page->out, at, bytes);
        }
        at += bytes == 0 ? 1 : bytes;
    }
}

static void put(struct page *page, const char *markup)
{
    kl_buf_add_text(page->out, markup);
}

static void put_text(struct page *page, const char *text)
{
    put_escaped(page, text, strlen(text));
}

/* A text of the table. */
static void say(struct page *page, const char *key)
{
    put_text(page, api_report_text(page->language, key));
}

/* A word of the policy's language in the page's; one that the table does not know as it is. */
static void say_word(struct page *page, const char *group, const char *word)
{
    const char *text = api_report_word(page->language, group, word);

    put_text(page, text != NULL ? text : word);
}

/* Something of somebody's making, apart from the direction of the text around it. */
static void put_foreign(struct page *page, const void *text, size_t size)
{
    put(page, "<bdi>");
    put_escaped(page, text, size);
    put(page, "</bdi>");
}

/* "send_newsletter" as "send newsletter", or what the policy says about it. */
static void put_label(struct page *page, const char *name, const char *description)
{
    if (description != NULL) {
        put_foreign(page, description, strlen(description));
        return;
    }
    for (; *name != '\0'; name++) {
        put_escaped(page, *name == '_' || *name == '-' ? " " : name, 1);
    }
}

static void put_purpose(struct page *page, const char *name)
{
    int purpose = vault_policy_purpose_find(page->policy, name);

    put_label(page, name,
              purpose == VAULT_NONE ? NULL
                                    : vault_policy_purpose(page->policy, purpose)->description);
}

static void put_purposes(struct page *page, uint64_t purposes)
{
    bool first = true;

    for (uint64_t left = purposes & page->report->purposes; left != 0; left &= left - 1) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(page->policy, __builtin_ctzll(left));
        if (!of->forbidden) {
            put(page, first ? "" : "; ");
            put_label(page, of->name, of->description);
            first = false;
        }
    }
}

static void put_time(struct page *page, int64_t time_us)
{
    char text[KL_TIME_TEXT_BYTES];

    kl_time_format(time_us, text);
    kl_buf_addf(page->out, "<time datetime=\"%s\">%.10s %.5s UTC</time>", text, text, text + 11);
}

static void put_unit(struct page *page, uint64_t number, const char *one, const char *many,
                     bool *first)
{
    if (number > 0) {
        kl_buf_addf(page->out, "%s%llu ", *first ? "" : " ", (unsigned long long)number);
        say(page, number == 1 ? one : many);
        *first = false;
    }
}

static void put_duration(struct page *page, const struct kl_duration *duration)
{
    bool first = true;

    put_unit(page, duration->months / 12, "year", "years", &first);
    put_unit(page, duration->months % 12, "month", "months", &first);
    put_unit(page, duration->days, "day", "days", &first);
    put_unit(page, duration->seconds, "second", "seconds", &first);
}

/* ---- pieces of a page ---- */

static void heading(struct page *page, const char *key)
{
    put(page, "<h2>");
    say(page, key);
    put(page, "</h2>\n");
}

static void subheading(struct page *page, const char *key)
{
    put(page, "<h3>");
    say(page, key);
    put(page, "</h3>\n");
}

static void paragraph(struct page *page, const char *key)
{
    put(page, "<p>");
    say(page, key);
    put(page, "</p>\n");
}

/* keys: of the columns, ended by NULL. */
static void table_begin(struct page *page, const char *const *keys)
{
    put(page, "<table>\n<thead><tr>");
    for (; *keys != NULL; keys++) {
        put(page, "<th scope=\"col\">");
        say(page, *keys);
        put(page, "</th>");
    }
    put(page, "</tr></thead>\n<tbody>\n");
}

static void table_end(struct page *page)
{
    put(page, "</tbody>\n</table>\n");
}

static void next_cell(struct page *page)
{
    put(page, "</td><td>");
}

static void term(struct page *page, const char *key)
{
    put(page, "<dt>");
    say(page, key);
    put(page, "</dt><dd>");
}

static void term_text(struct page *page, const char *key, const char *text)
{
    term(page, key);
    if (text != NULL) {
        put_foreign(page, text, strlen(text));
    } else {
        say(page, "not_named");
    }
    put(page, "</dd>\n");
}

static bool is_withheld(struct page *page, unsigned ledger)
{
    if ((page->report->withheld & ledger) == 0) {
        return false;
    }
    put(page, "<p class=\"note\">");
    say(page, "withheld");
    put(page, " ");
    say_word(page, "gate", vault_gate_name(VAULT_GATE_TRANSFER));
    put(page, "</p>\n");
    return true;
}

/* ---- sections ---- */

static void put_head(struct page *page)
{
    char security[API_SECURITY_BYTES];

    api_report_security(security);
    kl_buf_addf(page->out,
                "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ",
                api_language_code(page->language));
    put(page, strstr(security, "style-src"));
    put(page, "\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
              "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    say(page, "title");
    put(page, "</title>\n<style>");
    put(page, STYLE);
    put(page, "</style>\n</head>\n<body>\n<h1>");
    say(page, "title");
    put(page, "</h1>\n");
    paragraph(page, "intro");
    put(page, "<dl>\n");
    term(page, "made_at");
    put_time(page, page->report->told.made_us);
    put(page, "</dd>\n");
    term(page, "policy");
    put_text(page, vault_policy_name(page->policy));
    put(page, ", ");
    put_text(page, vault_policy_version(page->policy));
    put(page, "</dd>\n</dl>\n");
}

static void put_controller(struct page *page)
{
    const struct vault_policy_controller *controller = vault_policy_controller(page->policy);

    heading(page, "controller");
    put(page, "<dl>\n<dt>");
    say_word(page, "acting", controller->acting_as);
    put(page, "</dt><dd>");
    put_foreign(page, controller->name, strlen(controller->name));
    put(page, "</dd>\n");
    term_text(page, "country", controller->country.code);
    term_text(page, "contact", controller->contact);
    term_text(page, "dpo", controller->dpo);
    put(page, "</dl>\n");
}

static void put_value(struct page *page, const struct vault_field_result *field)
{
    if (field->withheld != VAULT_GATE_NONE) {
        put(page, "<span class=\"note\">");
        say(page, "withheld");
        put(page, " ");
        say_word(page, "gate", vault_gate_name(field->withheld));
        put(page, "</span>");
        return;
    }
    if (field->view == VAULT_VIEW_PLAIN && field->type == VAULT_TYPE_BOOLEAN) {
        say(page, kl_slice_equal_text(field->value, "true") ? "yes" : "no");
    } else if (field->view != VAULT_VIEW_PRESENT) {
        put_foreign(page, field->value.bytes, field->value.size);
    }
    if (field->view != VAULT_VIEW_PLAIN) {
        put(page, " <span class=\"note\">(");
        say_word(page, "view", vault_view_name(field->view));
        put(page, ")</span>");
    }
}

static void put_field(struct page *page, size_t i, size_t k)
{
    const struct vault_told *told = &page->report->told;
    const struct vault_field_result *shown = &told->subject.records[i].fields[k];
    int number = told->records[i].fields[k].field;
    const struct vault_policy_field *of =
        number == VAULT_NONE ? NULL : vault_policy_field(page->policy, number);

    put(page, "<tr><td>");
    put_label(page, shown->name, of == NULL ? NULL : of->description);
    put(page, "</td><td class=\"value\">");
    put_value(page, shown);
    next_cell(page);
    if (of != NULL && of->category != NULL) {
        put_label(page, of->category, NULL);
    }
    if (of != NULL && of->special != NULL) {
        put(page, of->category != NULL ? "; " : "");
        say_word(page, "special", of->special);
    }
    put(page, "</td></tr>\n");
}

static void put_source(struct page *page, size_t i)
{
    const struct vault_told *told = &page->report->told;
    const char *name = told->subject.records[i].source;
    const struct vault_policy_source *source =
        name == NULL ? NULL : vault_policy_source(page->policy, name);
    const char *provided = api_report_provided(told, i);

    term(page, "source");
    if (name == NULL) {
        say(page, "source_unknown");
    } else {
        put_label(page, name, source == NULL ? NULL : source->description);
        put(page, " (");
        say_word(page, "provided", provided);
        put(page, ")");
    }
    put(page, "</dd>\n");
}

static void put_until(struct page *page, const struct vault_policy_purpose *of, int64_t until_us)
{
    if (of->keeps_nothing) {
        say(page, "keeps_nothing");
    } else if (until_us >= KL_TIME_MAX_US) {
        say(page, of->retain_event != NULL ? "until_event" : "until_open");
    } else if (until_us <= page->report->told.made_us) {
        say(page, "until_past");
    } else {
        say(page, "until");
        put(page, " ");
        put_time(page, until_us);
    }
}

static void put_kept(struct page *page, size_t i)
{
    const struct vault_told_record *known = &page->report->told.records[i];

    term(page, "kept");
    put(page, "<ul>\n");
    for (size_t k = 0; k < known->purpose_count; k++) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(page->policy, known->purposes[k].purpose);
        put(page, "<li>");
        put_label(page, of->name, of->description);
        put(page, ": ");
        put_until(page, of, known->purposes[k].until_us);
        put(page, "</li>\n");
    }
    if (known->hold_basis != NULL) {
        put(page, "<li>");
        put_label(page, known->hold_basis, NULL);
        put(page, ": ");
        say(page, "held");
        put(page, " ");
        say(page, "until");
        put(page, " ");
        put_time(page, known->hold_until_us);
        put(page, "</li>\n");
    }
    put(page, "</ul></dd>\n");
}

static void put_categories(struct page *page, const struct vault_policy_record *of)
{
    if (of->categories == NULL) {
        return;
    }
    term(page, "categories");
    for (const char *const *name = of->categories; *name != NULL; name++) {
        put(page, name == of->categories ? "" : ", ");
        put_label(page, *name, NULL);
    }
    put(page, "</dd>\n");
}

static void put_record(struct page *page, size_t i)
{
    static const char *const COLUMNS[] = {"field", "value", "category", NULL};
    const struct vault_record_result *record = &page->report->told.subject.records[i];
    const struct vault_policy_record *of =
        vault_policy_record(page->policy, vault_policy_record_find(page->policy, record->type));

    put(page, "<section>\n<h3>");
    put_label(page, record->type, of->description);
    put(page, "</h3>\n");
    table_begin(page, COLUMNS);
    for (size_t k = 0; k < record->field_count; k++) {
        put_field(page, i, k);
    }
    table_end(page);
    put(page, "<dl>\n");
    put_categories(page, of);
    put_source(page, i);
    term(page, "created_at");
    put_time(page, record->created_us);
    put(page, "</dd>\n");
    put_kept(page, i);
    put(page, "</dl>\n</section>\n");
}

static void put_data(struct page *page)
{
    const struct vault_told *told = &page->report->told;

    heading(page, "data");
    if (told->subject.record_count == 0) {
        paragraph(page, "no_data");
    }
    for (size_t i = 0; i < told->subject.record_count; i++) {
        put_record(page, i);
    }
}

static void put_why(struct page *page, const struct vault_policy_purpose *of)
{
    const struct vault_policy_notice *notice =
        of->notice == NULL ? NULL : vault_policy_notice(page->policy, of->notice);

    put(page, "<tr><td>");
    put_label(page, of->name, of->description);
    if (of->direct_marketing) {
        put(page, " (");
        say(page, "direct_marketing");
        put(page, ")");
    }
    next_cell(page);
    say_word(page, "basis", vault_basis_name(of->basis));
    if (of->law != NULL || of->interest != NULL) {
        const char *why = of->law != NULL ? of->law : of->interest;
        put(page, ": ");
        put_foreign(page, why, strlen(why));
    }
    next_cell(page);
    if (of->retain_event != NULL) {
        put_duration(page, &of->retain);
        put(page, " ");
        say(page, "after");
        put(page, " ");
        const char *event = api_report_word(page->language, "event", of->retain_event);
        put_label(page, of->retain_event, event);
    }
    next_cell(page);
    if (of->notice != NULL) {
        put_label(page, of->notice, notice == NULL ? NULL : notice->title);
    }
    if (notice != NULL && notice->url != NULL) {
        put(page, "<br>");
        put_foreign(page, notice->url, strlen(notice->url));
    }
    put(page, "</td></tr>\n");
}

static void put_all_purposes(struct page *page)
{
    static const char *const COLUMNS[] = {"purpose", "basis", "period", "notice", NULL};

    heading(page, "purposes");
    table_begin(page, COLUMNS);
    for (uint64_t left = page->report->purposes; left != 0; left &= left - 1) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(page->policy, __builtin_ctzll(left));
        if (!of->forbidden) {
            put_why(page, of);
        }
    }
    table_end(page);
}

static void put_recipient(struct page *page, const char *name)
{
    int number = vault_policy_recipient_find(page->policy, name);

    put_label(page, name,
              number == VAULT_NONE ? NULL
                                   : vault_policy_recipient(page->policy, number)->description);
}

static void put_recipients(struct page *page)
{
    static const char *const COLUMNS[] = {"recipient", "kind", "country", "purposes", NULL};
    bool any = false;

    heading(page, "recipients");
    for (int i = 0; i < (int)vault_policy_recipient_count(page->policy); i++) {
        const struct vault_policy_recipient *of = vault_policy_recipient(page->policy, i);
        if ((of->purposes & page->report->purposes) == 0) {
            continue;
        }
        if (!any) {
            table_begin(page, COLUMNS);
        }
        any = true;
        put(page, "<tr><td>");
        put_recipient(page, of->name);
        next_cell(page);
        say_word(page, "kind", of->kind);
        if (of->consent_purpose != VAULT_NONE) {
            put(page, "; ");
            say(page, "needs_consent");
        }
        next_cell(page);
        put_text(page, of->country.code);
        next_cell(page);
        put_purposes(page, of->purposes);
        put(page, "</td></tr>\n");
    }
    if (any) {
        table_end(page);
    } else {
        paragraph(page, "no_recipients");
    }
}

static void put_disclosure(struct page *page, const struct vault_disclosure_result *of)
{
    put(page, "<tr><td>");
    put_recipient(page, of->recipient);
    put(page, vault_country_is_set(of->country) ? " (" : "");
    put_text(page, of->country.code);
    put(page, vault_country_is_set(of->country) ? ")" : "");
    next_cell(page);
    for (size_t i = 0; i < of->field_count; i++) {
        put(page, i == 0 ? "" : ", ");
        put_label(page, of->fields[i], NULL);
    }
    next_cell(page);
    put_purpose(page, of->purpose);
    if (of->note != NULL) {
        put(page, "<br>");
        put_foreign(page, of->note, strlen(of->note));
    }
    next_cell(page);
    put_time(page, of->first_us);
    next_cell(page);
    put_time(page, of->last_us);
    kl_buf_addf(page->out, "</td><td>%u</td></tr>\n", (unsigned)of->count);
}

static void put_disclosures(struct page *page)
{
    static const char *const COLUMNS[] = {"recipient", "field", "purpose", "first_at",
                                          "last_at",   "count", NULL};

    heading(page, "disclosures");
    if (is_withheld(page, VAULT_REPORT_DISCLOSURES)) {
        return;
    }
    if (page->report->disclosure_count == 0) {
        paragraph(page, "no_disclosures");
        return;
    }
    table_begin(page, COLUMNS);
    for (size_t i = 0; i < page->report->disclosure_count; i++) {
        put_disclosure(page, &page->report->disclosures[i]);
    }
    table_end(page);
}

static void put_transfer(struct page *page, int line)
{
    const struct vault_policy_transfer of = vault_policy_transfer(page->policy, line);
    struct vault_country country;

    put(page, "<tr><td>");
    if (of.to_adequate) {
        say(page, "adequate_countries");
    }
    for (size_t i = 0; vault_policy_transfer_country(page->policy, line, i, &country); i++) {
        put(page, i == 0 ? "" : ", ");
        put_text(page, country.code);
    }
    next_cell(page);
    say_word(page, "mechanism", of.mechanism);
    if (of.description != NULL) {
        put(page, "<br>");
        put_foreign(page, of.description, strlen(of.description));
    }
    next_cell(page);
    if (of.recipients == UINT64_MAX) {
        say(page, "all");
    } else {
        for (uint64_t left = of.recipients; left != 0; left &= left - 1) {
            put(page, left == of.recipients ? "" : ", ");
            put_recipient(page, vault_policy_recipient(page->policy, __builtin_ctzll(left))->name);
        }
    }
    next_cell(page);
    put_purposes(page, of.purposes);
    put(page, "</td></tr>\n");
}

static void put_transfers(struct page *page)
{
    static const char *const COLUMNS[] = {"countries", "mechanism", "recipient", "purposes", NULL};
    bool any = false;

    heading(page, "transfers");
    for (int i = 0; i < (int)vault_policy_transfer_count(page->policy); i++) {
        if ((vault_policy_transfer(page->policy, i).purposes & page->report->purposes) == 0) {
            continue;
        }
        if (!any) {
            table_begin(page, COLUMNS);
        }
        any = true;
        put_transfer(page, i);
    }
    if (any) {
        table_end(page);
        paragraph(page, "transfer_copy");
    } else {
        paragraph(page, "no_transfers");
    }
}

static void put_time_if(struct page *page, int64_t time_us)
{
    if (time_us != 0) {
        put_time(page, time_us);
    }
}

static void put_consent(struct page *page, const struct vault_consent_result *of)
{
    put(page, "<tr><td>");
    put_purpose(page, of->purpose);
    next_cell(page);
    if (of->recipient != NULL) {
        put_recipient(page, of->recipient);
    }
    next_cell(page);
    put_time(page, of->given_us);
    next_cell(page);
    put_time_if(page, of->withdrawn_us);
    next_cell(page);
    put_time_if(page, of->expires_us);
    next_cell(page);
    put_text(page, of->channel == NULL ? "" : of->channel);
    put(page, ", ");
    put_text(page, of->notice == NULL ? "" : of->notice);
    if (of->evidence != NULL) {
        put(page, "<br>");
        put_foreign(page, of->evidence, strlen(of->evidence));
    }
    put(page, "</td></tr>\n");
}

static void put_consents(struct page *page)
{
    static const char *const COLUMNS[] = {"purpose",    "recipient", "given_at", "withdrawn_at",
                                          "expires_at", "channel",   NULL};

    subheading(page, "consents");
    if (is_withheld(page, VAULT_REPORT_CONSENTS)) {
        return;
    }
    if (page->report->consent_count == 0) {
        paragraph(page, "no_consents");
        return;
    }
    table_begin(page, COLUMNS);
    for (size_t i = 0; i < page->report->consent_count; i++) {
        put_consent(page, &page->report->consents[i]);
    }
    table_end(page);
}

static void put_objections(struct page *page)
{
    static const char *const COLUMNS[] = {"purpose",  "ground",     "since",
                                          "ended_at", "compelling", NULL};

    subheading(page, "objections");
    if (is_withheld(page, VAULT_REPORT_OBJECTIONS)) {
        return;
    }
    if (page->report->objection_count == 0) {
        paragraph(page, "no_objections");
        return;
    }
    table_begin(page, COLUMNS);
    for (size_t i = 0; i < page->report->objection_count; i++) {
        const struct vault_objection_result *of = &page->report->objections[i];
        put(page, "<tr><td>");
        put_purpose(page, of->purpose);
        next_cell(page);
        say_word(page, "objection", vault_objection_ground_name(of->ground));
        next_cell(page);
        put_time(page, of->since_us);
        next_cell(page);
        put_time_if(page, of->ended_us);
        next_cell(page);
        if (of->compelling_grounds != NULL) {
            put_foreign(page, of->compelling_grounds, strlen(of->compelling_grounds));
        } else {
            say(page, of->has_compelling_grounds ? "yes" : "no");
        }
        put(page, "</td></tr>\n");
    }
    table_end(page);
}

static void put_restriction(struct page *page)
{
    const struct vault_restriction *restriction = &page->report->restriction;

    subheading(page, "restriction");
    if (is_withheld(page, VAULT_REPORT_RESTRICTION)) {
        return;
    }
    if (!restriction->in_force) {
        paragraph(page, "no_restriction");
        return;
    }
    put(page, "<p>");
    say(page, "restricted");
    put(page, " ");
    put_time(page, restriction->since_us);
    put(page, ": ");
    say_word(page, "restriction", vault_restriction_ground_name(restriction->ground));
    put(page, "</p>\n");
}

static void put_automated(struct page *page)
{
    int forbidden = vault_policy_purpose_find(page->policy, VAULT_AUTOMATED_DECISION);
    bool any = false;

    heading(page, "automated");
    for (uint64_t left = page->report->purposes; left != 0; left &= left - 1) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(page->policy, __builtin_ctzll(left));
        if (of->automated_decision == NULL) {
            continue;
        }
        if (!any) {
            paragraph(page, "automated_some");
            put(page, "<ul>\n");
        }
        any = true;
        put(page, "<li>");
        put_label(page, of->name, of->description);
        put(page, ": ");
        put_foreign(page, of->automated_decision, strlen(of->automated_decision));
        put(page, "</li>\n");
    }
    if (any) {
        put(page, "</ul>\n");
        return;
    }
    paragraph(page,
              forbidden != VAULT_NONE && vault_policy_purpose(page->policy, forbidden)->forbidden
                  ? "automated_forbidden"
                  : "automated_none");
}

static void put_rights(struct page *page)
{
    struct api_right rights[API_RIGHTS];
    const char *authority = vault_policy_controller(page->policy)->authority;

    api_report_rights(page->report, rights);
    heading(page, "rights");
    put(page, "<ul>\n");
    for (size_t i = 0; i < API_RIGHTS; i++) {
        if (rights[i].applies) {
            put(page, "<li>");
            say_word(page, "right", rights[i].name);
            put(page, "</li>\n");
        }
    }
    put(page, "</ul>\n");
    heading(page, "complaint");
    paragraph(page, "complaint_text");
    if (authority != NULL) {
        put(page, "<p>");
        put_foreign(page, authority, strlen(authority));
        put(page, "</p>\n");
    }
    put(page, "<p>");
    say(page, "complaint_directory");
    put(page, " " API_AUTHORITIES_URL "</p>\n");
}

static size_t count_withheld(const struct vault_told *told)
{
    size_t count = 0;

    for (size_t i = 0; i < told->subject.record_count; i++) {
        for (size_t k = 0; k < told->subject.records[i].field_count; k++) {
            count += told->subject.records[i].fields[k].withheld != VAULT_GATE_NONE ? 1 : 0;
        }
    }
    return count;
}

static void put_left_out(struct page *page)
{
    const struct vault_told *told = &page->report->told;
    size_t fields = count_withheld(told);

    heading(page, "left_out");
    if (fields == 0 && told->records_not_shown == 0 && page->report->withheld == 0) {
        paragraph(page, "left_out_nothing");
        return;
    }
    put(page, "<p>");
    say(page, "left_out_fields");
    kl_buf_addf(page->out, " %zu. ", fields);
    say(page, "left_out_records");
    kl_buf_addf(page->out, " %zu. ", told->records_not_shown);
    say(page, "left_out_ask");
    put(page, "</p>\n");
}

void api_report_security(char ret[API_SECURITY_BYTES])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char text[sodium_base64_ENCODED_LEN(sizeof hash, sodium_base64_VARIANT_ORIGINAL)];

    crypto_hash_sha256(hash, (const unsigned char *)STYLE, sizeof STYLE - 1);
    sodium_bin2base64(text, sizeof text, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL);
    snprintf(ret, API_SECURITY_BYTES,
             "sandbox; frame-ancestors 'none'; default-src 'none'; style-src 'sha256-%s'; "
             "base-uri 'none'; form-action 'none'",
             text);
}

enum kl_status api_report_html(const struct vault_report *report, enum api_language language,
                               struct kl_buf *ret, struct kl_err *err)
{
    struct page page = {
        .out = ret, .language = language, .report = report, .policy = report->told.policy};

    put_head(&page);
    put_controller(&page);
    put_data(&page);
    put_all_purposes(&page);
    put_recipients(&page);
    put_disclosures(&page);
    put_transfers(&page);
    heading(&page, "choices");
    put_consents(&page);
    put_objections(&page);
    put_restriction(&page);
    put_automated(&page);
    put_rights(&page);
    put_left_out(&page);
    put(&page, "</body>\n</html>\n");
    return api_report_finish(ret, err);
}
