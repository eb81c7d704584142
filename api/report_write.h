/*
 * Documents made of what a person is owed: the access report as JSON and as a
 * page, the export as JSON and as CSV. Threads: any.
 *
 * Errors of all of them: as kl_buf_status() of the buffer (KL_ERR_TOO_LARGE "report_too_large", KL_ERR_NO_MEMORY).
 */
#ifndef KLUIS_API_REPORT_WRITE_H
#define KLUIS_API_REPORT_WRITE_H

#include "api/report_text.h"
#include "api/response.h"
#include "kluis/base/buf.h"
#include "kluis/vault/report.h"

/* Codes and names, no texts: it is for programs, and alike in all languages. The contract: AccessReport in openapi.json. */
KL_MUST_USE enum kl_status api_report_json(const struct vault_report *report, struct kl_buf *ret,
                                           struct kl_err *err);
/*
 * One page (HTML 5) that needs nothing else: no script, no picture, no address that a browser would ask; everything that is not ours is
 * escaped, and set apart from the direction of the text around it. The policy of its header is in it too, for when it is opened from a disk.
 */
KL_MUST_USE enum kl_status api_report_html(const struct vault_report *report,
                                           enum api_language language, struct kl_buf *ret,
                                           struct kl_err *err);
/* The Content-Security-Policy that goes with the page: nothing but its own style, by its hash. */
void api_report_security(char ret[API_SECURITY_BYTES]);

/*
 * Pages of what the vault wrote as JSON: a report of a breach as a whole (BreachReport in openapi.json), for the authority; a record of processing
 * (ProcessingRecord), or the register of a processor (ProcessingRegister). Likewise. is_aware: when the controller became aware was asked with,
 * else the page leaves it blank. What the JSON does not have is said to be not named.
 */
KL_MUST_USE enum kl_status api_breach_html(const struct kl_json_value *report, bool is_aware,
                                           enum api_language language, struct kl_buf *ret,
                                           struct kl_err *err);
KL_MUST_USE enum kl_status api_processing_html(const struct kl_json_value *record,
                                               enum api_language language, struct kl_buf *ret,
                                               struct kl_err *err);

/* The contract: Export in openapi.json. Values by their types; of a file size, media type, hash and where to get it. */
KL_MUST_USE enum kl_status api_export_json(const struct vault_told *told, struct kl_buf *ret,
                                           struct kl_err *err);
/*
 * RFC 4180: a header, lines ended by CR LF, every field in quotes, quotes doubled; UTF-8. One line for each field of a record; those that are
 * withheld have no value and say what withheld them.
 *
 * No program that opens it runs a value as a formula: in texts an apostrophe goes before each = + - @ (full-width ones too) and each
 * apostrophe that starts the value, or follows a comma, semicolon, bar, tab or line break in it, spaces and quotes between them not counted. To
 * have the value back, take the first apostrophe of each such place away. Values whose type has a form of its own (numbers, dates,
 * telephone numbers) stay as they are.
 */
KL_MUST_USE enum kl_status api_export_csv(const struct vault_told *told, struct kl_buf *ret,
                                          struct kl_err *err);

/* What the documents share: the status of a whole one; where a file is got. */
KL_MUST_USE enum kl_status api_report_finish(const struct kl_buf *buf, struct kl_err *err);
void api_export_path(const struct kl_id *subject, const struct kl_id *record, const char *field,
                     char ret[API_LOCATION_BYTES]);
/* "P10Y6M3DT60S", never empty; ret has room for API_DURATION_BYTES. */
#define API_DURATION_BYTES 64
void api_duration_format(const struct kl_duration *duration, char ret[API_DURATION_BYTES]);
/* Where a person finds the supervisory authorities of all countries of the EEA. */
#define API_AUTHORITIES_URL "https://www.edpb.europa.eu/about-edpb/about-edpb/members_en"
/* Of a right that depends on the purposes there are: whether it applies to this report. */
struct api_right {
    const char *name; /* as a request's right */
    const char *article;
    bool applies;
};
#define API_RIGHTS 7
void api_report_rights(const struct vault_report *report, struct api_right ret[API_RIGHTS]);
/* "person", "other", "controller"; NULL: nothing says. */
const char *api_report_provided(const struct vault_told *told, size_t record);

#endif
