/* What a person is owed about their data: the access report, the export. */
#include "api/input.h"
#include "api/output.h"
#include "api/report_page.h"
#include "api/routes.h"
#include "kluis/base/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char *const FORMATS[] = {
    [API_FORMAT_JSON] = "json", [API_FORMAT_HTML] = "html", [API_FORMAT_CSV] = "csv"};

/* NULL: JSON. */
static enum kl_status read_format(const char *text, enum api_format *ret, struct kl_err *err)
{
    for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++) {
        if (text == NULL || strcmp(text, FORMATS[i]) == 0) {
            *ret = (enum api_format)i;
            return KL_OK;
        }
    }
    return kl_fail(err, KL_ERR_INVALID, "invalid_format",
                   "a report is json or html, an export json or csv", NULL);
}

static enum kl_status format_is_none(struct kl_err *err)
{
    enum api_format unused;

    return read_format("", &unused, err);
}

/* ---- alone ---- */

static enum kl_status write_report(const struct vault_report *report, enum api_format format,
                                   enum api_language language, struct kl_buf *ret,
                                   struct kl_err *err)
{
    return format == API_FORMAT_JSON   ? api_report_json(report, ret, err)
           : format == API_FORMAT_HTML ? api_report_html(report, language, ret, err)
                                       : format_is_none(err);
}

static enum kl_status write_export(const struct vault_told *told, enum api_format format,
                                   struct kl_buf *ret, struct kl_err *err)
{
    return format == API_FORMAT_JSON  ? api_export_json(told, ret, err)
           : format == API_FORMAT_CSV ? api_export_csv(told, ret, err)
                                      : format_is_none(err);
}

API_HANDLER(api_access_report)
{
    struct vault_report report;
    enum api_format format;
    enum api_language language;
    enum kl_status status = read_format(api_request_query(request, "format"), &format, err);

    if (status == KL_OK && format == API_FORMAT_CSV) {
        status = format_is_none(err);
    }
    if (status == KL_OK) {
        status = api_language_read(api_request_query(request, "lang"), &language, err);
    }
    if (status == KL_OK) {
        status =
            vault_report_read(request->vault, &request->caller, &request->match.ids[0],
                              api_request_query(request, "purpose"), request->arena, &report, err);
    }
    if (status != KL_OK) {
        return status;
    }
    (void)api_response_json(response, 200);
    if (format == API_FORMAT_HTML) {
        api_page_answer(response, "access-report.html");
    }
    return write_report(&report, format, language, &response->body, err);
}

API_HANDLER(api_export)
{
    struct vault_told told;
    enum api_format format;
    enum kl_status status = read_format(api_request_query(request, "format"), &format, err);

    if (status == KL_OK && format == API_FORMAT_HTML) {
        status = format_is_none(err);
    }
    if (status == KL_OK) {
        status =
            vault_export_read(request->vault, &request->caller, &request->match.ids[0],
                              api_request_query(request, "purpose"), request->arena, &told, err);
    }
    if (status != KL_OK) {
        return status;
    }
    (void)api_response_json(response, 200);
    if (format == API_FORMAT_CSV) {
        response->content_type = API_TYPE_CSV;
        response->file_name = "export.csv";
    }
    return write_export(&told, format, &response->body, err);
}

/* ---- with the completion of a request ---- */

static enum kl_status render_report(void *context, const struct vault_report *report,
                                    struct kl_buf *ret, struct kl_err *err)
{
    const struct api_form *form = context;

    return write_report(report, form->format, form->language, ret, err);
}

static enum kl_status render_export(void *context, const struct vault_told *told,
                                    struct kl_buf *ret, struct kl_err *err)
{
    const struct api_form *form = context;

    return write_export(told, form->format, ret, err);
}

enum kl_status api_answering(const struct kl_json_value *body, struct kl_buf *document,
                             struct api_form *ret_form, struct vault_answering *ret,
                             struct kl_err *err)
{
    const char *format = NULL;
    const char *language = NULL;
    enum kl_status status = api_input_text(body, "format", "", false, &format, err);

    if (status == KL_OK) {
        status = api_input_text(body, "lang", "", false, &language, err);
    }
    if (status == KL_OK) {
        status = read_format(format, &ret_form->format, err);
    }
    if (status == KL_OK) {
        status = api_language_read(language, &ret_form->language, err);
    }
    if (status != KL_OK) {
        return status;
    }
    snprintf(ret_form->name, sizeof ret_form->name, "%s%s%s", FORMATS[ret_form->format],
             ret_form->format == API_FORMAT_HTML ? "." : "",
             ret_form->format == API_FORMAT_HTML ? api_language_code(ret_form->language) : "");
    *ret = (struct vault_answering){.render_report = render_report,
                                    .render_export = render_export,
                                    .context = ret_form,
                                    .asked = format != NULL || language != NULL,
                                    .form = ret_form->name,
                                    .document = document};
    return KL_OK;
}

void api_output_document(struct kl_json_out *out, const struct vault_answering *answering)
{
    const struct api_form *form = answering->context;
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1];

    crypto_hash_sha256(hash, answering->document->bytes, answering->document->size);
    kl_hex(hash, sizeof hash, hex);
    kl_json_key(out, "document");
    kl_json_object_begin(out);
    kl_json_add_text(out, "media_type",
                     form->format == API_FORMAT_HTML  ? API_TYPE_HTML
                     : form->format == API_FORMAT_CSV ? API_TYPE_CSV
                                                      : API_TYPE_JSON);
    kl_json_add_int(out, "bytes", (int64_t)answering->document->size);
    kl_json_add_text(out, "sha256", hex);
    kl_json_key(out, "text");
    kl_json_put_text_n(out, answering->document->bytes, answering->document->size);
    kl_json_object_end(out);
}
