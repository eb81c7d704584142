/*
 * The pieces of which a page is made. What comes from the vault or the policy
 * goes out through put_escaped() alone; what is between is ours, or from the table of the language.
 */
#include "api/report_page.h"

#include "api/report_text.h"
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
    ".blank{display:block;min-height:1.6rem;padding:.2rem .5rem;border:2px dashed #8a5a00;"
    "background:#fff8e1;white-space:pre-wrap}"
    "@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}";

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
static void put_escaped(struct api_page *page, const void *text, size_t size)
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

void api_page_put(struct api_page *page, const char *markup)
{
    kl_buf_add_text(page->out, markup);
}

void api_page_text(struct api_page *page, const char *text)
{
    put_escaped(page, text, strlen(text));
}

/* A text of the table. */
void api_page_say(struct api_page *page, const char *key)
{
    api_page_text(page, api_report_text(page->language, key));
}

/* A word of the policy's language in the page's; one that the table does not know as it is. */
void api_page_word(struct api_page *page, const char *group, const char *word)
{
    const char *text = api_report_word(page->language, group, word);

    api_page_text(page, text != NULL ? text : word);
}

/* Something of somebody's making, apart from the direction of the text around it. */
void api_page_foreign(struct api_page *page, const void *text, size_t size)
{
    api_page_put(page, "<bdi>");
    put_escaped(page, text, size);
    api_page_put(page, "</bdi>");
}

/* "send_newsletter" as "send newsletter", or what the policy says about it. */
void api_page_label(struct api_page *page, const char *name, const char *description)
{
    if (description != NULL) {
        api_page_foreign(page, description, strlen(description));
        return;
    }
    for (; *name != '\0'; name++) {
        put_escaped(page, *name == '_' || *name == '-' ? " " : name, 1);
    }
}

void api_page_purpose(struct api_page *page, const char *name)
{
    int purpose = vault_policy_purpose_find(page->policy, name);

    api_page_label(
        page, name,
        purpose == VAULT_NONE ? NULL : vault_policy_purpose(page->policy, purpose)->description);
}

void api_page_purposes(struct api_page *page, uint64_t purposes)
{
    bool first = true;

    for (uint64_t left = purposes & page->report->purposes; left != 0; left &= left - 1) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(page->policy, __builtin_ctzll(left));
        if (!of->forbidden) {
            api_page_put(page, first ? "" : "; ");
            api_page_label(page, of->name, of->description);
            first = false;
        }
    }
}

void api_page_recipient(struct api_page *page, const char *name)
{
    int number = vault_policy_recipient_find(page->policy, name);

    api_page_label(
        page, name,
        number == VAULT_NONE ? NULL : vault_policy_recipient(page->policy, number)->description);
}

void api_page_time(struct api_page *page, int64_t time_us)
{
    char text[KL_TIME_TEXT_BYTES];

    kl_time_format(time_us, text);
    kl_buf_addf(page->out, "<time datetime=\"%s\">%.10s %.5s UTC</time>", text, text, text + 11);
}

void api_page_time_if(struct api_page *page, int64_t time_us)
{
    if (time_us != 0) {
        api_page_time(page, time_us);
    }
}

static void put_unit(struct api_page *page, uint64_t number, const char *one, const char *many,
                     bool *first)
{
    if (number > 0) {
        kl_buf_addf(page->out, "%s%llu ", *first ? "" : " ", (unsigned long long)number);
        api_page_say(page, number == 1 ? one : many);
        *first = false;
    }
}

void api_page_duration(struct api_page *page, const struct kl_duration *duration)
{
    bool first = true;

    put_unit(page, duration->months / 12, "year", "years", &first);
    put_unit(page, duration->months % 12, "month", "months", &first);
    put_unit(page, duration->days, "day", "days", &first);
    put_unit(page, duration->seconds, "second", "seconds", &first);
}

/* ---- pieces of a page ---- */

void api_page_begin(struct api_page *page, const char *title)
{
    char security[API_SECURITY_BYTES];

    api_report_security(security);
    kl_buf_addf(page->out,
                "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ",
                api_language_code(page->language));
    api_page_put(page, strstr(security, "style-src"));
    api_page_put(page, "\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    api_page_say(page, title);
    api_page_put(page, "</title>\n<style>");
    api_page_put(page, STYLE);
    api_page_put(page, "</style>\n</head>\n<body>\n<h1>");
    api_page_say(page, title);
    api_page_put(page, "</h1>\n");
}

void api_page_end(struct api_page *page)
{
    api_page_put(page, "</body>\n</html>\n");
}

void api_page_answer(struct api_response *response, const char *file_name)
{
    (void)api_response_json(response, 200);
    response->content_type = API_TYPE_HTML;
    response->file_name = file_name;
    api_report_security(response->security);
}

void api_page_heading(struct api_page *page, const char *key)
{
    api_page_put(page, "<h2>");
    api_page_say(page, key);
    api_page_put(page, "</h2>\n");
}

void api_page_subheading(struct api_page *page, const char *key)
{
    api_page_put(page, "<h3>");
    api_page_say(page, key);
    api_page_put(page, "</h3>\n");
}

void api_page_paragraph(struct api_page *page, const char *key)
{
    api_page_put(page, "<p>");
    api_page_say(page, key);
    api_page_put(page, "</p>\n");
}

/* keys: of the columns, ended by NULL. */
void api_page_table_begin(struct api_page *page, const char *const *keys)
{
    api_page_put(page, "<table>\n<thead><tr>");
    for (; *keys != NULL; keys++) {
        api_page_put(page, "<th scope=\"col\">");
        api_page_say(page, *keys);
        api_page_put(page, "</th>");
    }
    api_page_put(page, "</tr></thead>\n<tbody>\n");
}

void api_page_table_end(struct api_page *page)
{
    api_page_put(page, "</tbody>\n</table>\n");
}

void api_page_next_cell(struct api_page *page)
{
    api_page_put(page, "</td><td>");
}

void api_page_term(struct api_page *page, const char *key)
{
    api_page_put(page, "<dt>");
    api_page_say(page, key);
    api_page_put(page, "</dt><dd>");
}

void api_page_blank(struct api_page *page, const char *key)
{
    api_page_term(page, key);
    api_page_put(page, "<span class=\"blank\" contenteditable=\"true\"></span></dd>\n");
}

void api_page_term_text(struct api_page *page, const char *key, const char *text)
{
    api_page_term(page, key);
    if (text != NULL) {
        api_page_foreign(page, text, strlen(text));
    } else {
        api_page_say(page, "not_named");
    }
    api_page_put(page, "</dd>\n");
}

bool api_page_withholds(struct api_page *page, unsigned ledger)
{
    if ((page->report->withheld & ledger) == 0) {
        return false;
    }
    api_page_put(page, "<p class=\"note\">");
    api_page_say(page, "withheld");
    api_page_put(page, " ");
    api_page_word(page, "gate", vault_gate_name(VAULT_GATE_TRANSFER));
    api_page_put(page, "</p>\n");
    return true;
}
