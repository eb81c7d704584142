/* A whole tenant for its controller to take along: pages of lines of JSON, and the files that they name. */
#include "api/input.h"
#include "api/output.h"
#include "api/range.h"
#include "api/routes.h"
#include "kluis/vault/tenant_export.h"

#include <string.h>

#define LIMIT_DEFAULT 100

/* ---- lines ---- */

static struct kl_json_out line_begin(struct kl_buf *body, const char *kind)
{
    struct kl_json_out out = kl_json_out(body);

    kl_json_object_begin(&out);
    kl_json_add_text(&out, "kind", kind);
    return out;
}

static enum kl_status line_end(struct kl_buf *body, struct kl_json_out *out, struct kl_err *err)
{
    kl_json_object_end(out);
    kl_buf_add_byte(body, '\n');
    return kl_buf_status(body, err);
}

static enum kl_status take_tenant(void *context, const struct vault_exported_tenant *tenant,
                                  struct kl_err *err)
{
    struct kl_buf *body = context;
    struct kl_json_out out = line_begin(body, "tenant");

    kl_json_add_int(&out, "format", VAULT_TENANT_EXPORT_FORMAT);
    kl_json_add_text(&out, "name", tenant->name);
    kl_json_add_text(&out, "store", tenant->store);
    kl_json_add_text(&out, "country", tenant->country.code);
    kl_json_add_time(&out, "made_at", tenant->made_us);
    kl_json_key(&out, "ends_at");
    if (tenant->ends_us == 0) {
        kl_json_put_null(&out);
    } else {
        kl_json_put_time(&out, tenant->ends_us);
    }
    kl_json_key(&out, "policy");
    if (tenant->policy.size == 0) {
        kl_json_put_null(&out);
    } else {
        kl_json_put_text_n(&out, tenant->policy.bytes, tenant->policy.size);
    }
    return line_end(body, &out, err);
}

static void add_restriction(struct kl_json_out *out, const struct vault_restriction *restriction)
{
    kl_json_key(out, "restriction");
    if (!restriction->in_force) {
        kl_json_put_null(out);
        return;
    }
    kl_json_object_begin(out);
    kl_json_add_text(out, "ground", vault_restriction_ground_name(restriction->ground));
    kl_json_add_time(out, "since", restriction->since_us);
    kl_json_object_end(out);
}

static void add_ledgers(struct kl_json_out *out, const struct vault_exported_subject *subject)
{
    size_t i;

    kl_json_key(out, "consents");
    kl_json_array_begin(out);
    for (i = 0; i < subject->consent_count; i++) {
        api_output_consent(out, &subject->consents[i]);
    }
    kl_json_array_end(out);
    kl_json_key(out, "objections");
    kl_json_array_begin(out);
    for (i = 0; i < subject->objection_count; i++) {
        api_output_objection(out, &subject->objections[i]);
    }
    kl_json_array_end(out);
    kl_json_key(out, "disclosures");
    kl_json_array_begin(out);
    for (i = 0; i < subject->disclosure_count; i++) {
        api_output_disclosure(out, &subject->disclosures[i]);
    }
    kl_json_array_end(out);
    kl_json_key(out, "requests");
    kl_json_array_begin(out);
    for (i = 0; i < subject->request_count; i++) {
        kl_json_object_begin(out);
        api_output_request(out, &subject->requests[i]);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

static enum kl_status take_subject(void *context, const struct vault_exported_subject *subject,
                                   struct kl_err *err)
{
    struct kl_buf *body = context;
    struct kl_json_out out = line_begin(body, "subject");

    api_output_id(&out, "id", "sub", &subject->id);
    kl_json_add_text(&out, "residency", vault_residency_name(subject->residency));
    kl_json_add_time(&out, "created_at", subject->created_us);
    kl_json_add_int(&out, "records", (int64_t)subject->record_count);
    add_restriction(&out, &subject->restriction);
    add_ledgers(&out, subject);
    return line_end(body, &out, err);
}

static void add_clocks(struct kl_json_out *out, const struct vault_exported_record *record)
{
    size_t i;

    kl_json_key(out, "events");
    kl_json_array_begin(out);
    for (i = 0; i < record->event_count; i++) {
        kl_json_object_begin(out);
        kl_json_add_text(out, "event", record->events[i].name);
        kl_json_add_time(out, "at", record->events[i].at_us);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
    kl_json_key(out, "hold");
    if (record->hold_basis == NULL) {
        kl_json_put_null(out);
        return;
    }
    kl_json_object_begin(out);
    kl_json_add_text(out, "basis", record->hold_basis);
    kl_json_add_time(out, "until", record->hold_until_us);
    kl_json_object_end(out);
}

static enum kl_status take_record(void *context, const struct vault_exported_record *record,
                                  struct kl_err *err)
{
    struct kl_buf *body = context;
    struct kl_json_out out = line_begin(body, record->receipt == NULL ? "record" : "kept_record");
    size_t i;

    if (record->receipt == NULL) {
        api_output_id(&out, "subject", "sub", record->subject);
    } else {
        api_output_id(&out, "receipt", "er", record->receipt);
    }
    kl_json_key(&out, "record");
    api_output_record(&out, &record->record);
    kl_json_key(&out, "files");
    kl_json_array_begin(&out);
    for (i = 0; i < record->record.field_count; i++) {
        if (record->record.fields[i].type == VAULT_TYPE_FILE) {
            kl_json_put_text(&out, record->record.fields[i].name);
        }
    }
    kl_json_array_end(&out);
    add_clocks(&out, record);
    return line_end(body, &out, err);
}

static size_t size_taken(void *context)
{
    const struct kl_buf *body = context;

    return body->size;
}

/* ---- a page ---- */

static enum kl_status page_input(struct api_request *request, size_t *ret_limit,
                                 const char **ret_cursor, struct kl_err *err)
{
    static const char *const KNOWN[] = {"limit", "cursor", NULL};
    const struct kl_json_value *body = api_request_json(request);
    int64_t limit = LIMIT_DEFAULT;
    enum kl_status status = KL_OK;

    if (body != NULL &&
        ((status = kl_json_expect(body, KNOWN, "", err)) != KL_OK ||
         (status = api_input_text(body, "cursor", "", false, ret_cursor, err)) != KL_OK ||
         (status = api_input_int(body, "limit", "", 1, VAULT_PAGE_MAX, LIMIT_DEFAULT, &limit,
                                 err)) != KL_OK)) {
        return status;
    }
    *ret_limit = (size_t)limit;
    return KL_OK;
}

API_HANDLER(api_tenant_export)
{
    const struct vault_tenant_export_sink sink = {.tenant = take_tenant,
                                                  .subject = take_subject,
                                                  .record = take_record,
                                                  .size = size_taken,
                                                  .context = &response->body};
    struct vault_tenant_export_page page;
    const char *cursor = NULL;
    size_t limit = 0;
    enum kl_status status = page_input(request, &limit, &cursor, err);

    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        response->content_type = API_TYPE_NDJSON;
        status = vault_tenant_export(request->vault, &request->caller, request->match.name, limit,
                                     cursor, &sink, &page, err);
    }
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = line_begin(&response->body, "page");
    kl_json_add_int(&out, "subjects", (int64_t)page.subjects);
    kl_json_add_int(&out, "records", (int64_t)page.records);
    kl_json_add_int(&out, "files", (int64_t)page.files);
    kl_json_add_int(&out, "withheld", (int64_t)page.withheld);
    kl_json_add_int(&out, "damaged", (int64_t)page.damaged);
    api_output_cursor(&out, page.next_cursor);
    return line_end(&response->body, &out, err);
}

/* ---- files ---- */

static enum kl_status open_file(struct api_request *request, bool kept,
                                struct vault_download **ret_download,
                                struct vault_file_info *ret_info, struct kl_err *err)
{
    const struct vault_tenant_export_file file = {.of = request->match.ids[0],
                                                  .kept = kept,
                                                  .record = request->match.ids[1],
                                                  .field = api_request_query(request, "field")};

    if (file.field == NULL) {
        return kl_fail(err, KL_ERR_INVALID, "missing_parameter",
                       "say with ?field= which file of the record", NULL);
    }
    return vault_tenant_export_file(request->vault, &request->caller, request->match.name, &file,
                                    ret_download, ret_info, err);
}

static enum kl_status open_stored(struct api_request *request, struct vault_download **ret_download,
                                  struct vault_file_info *ret_info, struct kl_err *err)
{
    return open_file(request, false, ret_download, ret_info, err);
}

static enum kl_status open_kept(struct api_request *request, struct vault_download **ret_download,
                                struct vault_file_info *ret_info, struct kl_err *err)
{
    return open_file(request, true, ret_download, ret_info, err);
}

API_HANDLER(api_tenant_export_file)
{
    return api_file_send(request, open_stored, response, err);
}

API_HANDLER(api_tenant_export_kept_file)
{
    return api_file_send(request, open_kept, response, err);
}
