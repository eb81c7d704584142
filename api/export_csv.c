/* The export for spreadsheets. */
#include "api/report_write.h"
#include "kluis/base/csv.h"
#include "kluis/base/json.h"

/* "record","subject"... of one line; the first begins it. */
static void begin(struct kl_buf *out, bool *first)
{
    kl_buf_add_text(out, *first ? "\"" : ",\"");
    *first = false;
}

static void put_text(struct kl_buf *out, struct kl_slice text, bool *first)
{
    if (!*first) {
        kl_buf_add_text(out, ",");
    }
    *first = false;
    kl_csv_put(out, text);
}

/* What cannot be a formula: it has a form of its own, of digits, letters and signs. */
static void put_plain(struct kl_buf *out, const char *text, bool *first)
{
    begin(out, first);
    kl_buf_add_text(out, text == NULL ? "" : text);
    kl_buf_add_text(out, "\"");
}

static void put_bytes(struct kl_buf *out, struct kl_slice text, bool *first)
{
    begin(out, first);
    kl_buf_add(out, text.bytes, text.size);
    kl_buf_add_text(out, "\"");
}

static bool has_own_form(enum vault_type type)
{
    return type == VAULT_TYPE_NUMBER || type == VAULT_TYPE_BOOLEAN || type == VAULT_TYPE_DATE ||
           type == VAULT_TYPE_DATETIME || type == VAULT_TYPE_PHONE || type == VAULT_TYPE_COUNTRY ||
           type == VAULT_TYPE_IBAN || type == VAULT_TYPE_IP;
}

/* value, then size, sha256 and path, which only a file has. */
static enum kl_status put_value(struct kl_buf *out, const struct vault_told *told, size_t i,
                                size_t k, bool *first, struct kl_err *err)
{
    const struct vault_field_result *shown = &told->subject.records[i].fields[k];
    char path[API_LOCATION_BYTES];
    struct kl_json *json = NULL;
    enum kl_status status = KL_OK;

    if (shown->type != VAULT_TYPE_FILE || shown->view != VAULT_VIEW_PLAIN) {
        if (shown->view == VAULT_VIEW_PLAIN && has_own_form(shown->type)) {
            put_bytes(out, shown->value, first);
        } else {
            put_text(out, shown->value, first);
        }
        put_plain(out, NULL, first);
        put_plain(out, NULL, first);
        put_plain(out, NULL, first);
        return KL_OK;
    }
    status = kl_json_parse(shown->value.bytes, shown->value.size, &json, err);
    if (status == KL_OK) {
        const struct kl_json_value *file = kl_json_root(json);
        struct kl_slice size = {.size = 0};
        const char *type = kl_json_text(kl_json_member(file, "media_type"));
        size.bytes =
            (const unsigned char *)kl_json_number_text(kl_json_member(file, "size"), &size.size);
        put_text(out, kl_slice_text(type == NULL ? "" : type), first);
        put_bytes(out, size, first);
        put_plain(out, kl_json_text(kl_json_member(file, "sha256")), first);
        api_export_path(&told->subject.id, &told->subject.records[i].id, shown->name, path);
        put_plain(out, path, first);
    }
    kl_json_free(json);
    return status;
}

static void put_nothing(struct kl_buf *out, size_t count, bool *first)
{
    for (size_t i = 0; i < count; i++) {
        put_plain(out, NULL, first);
    }
}

static enum kl_status put_field(struct kl_buf *out, const struct vault_told *told, size_t i,
                                size_t k, struct kl_err *err)
{
    const struct vault_record_result *record = &told->subject.records[i];
    const struct vault_field_result *shown = &record->fields[k];
    const struct vault_told_field *known = &told->records[i].fields[k];
    bool exported = shown->withheld == VAULT_GATE_NONE && known->unportable == VAULT_PORTABLE;
    enum kl_status status = KL_OK;
    char text[KL_ID_TEXT_BYTES];
    bool first = true;

    kl_id_format("rec", &record->id, text);
    put_plain(out, text, &first);
    put_plain(out, record->type, &first);
    put_plain(out, record->source, &first);
    put_plain(out, shown->name, &first);
    put_plain(out, vault_type_name(shown->type), &first);
    if (exported) {
        const struct vault_policy_purpose *of = vault_policy_purpose(told->policy, known->purpose);
        put_plain(out, of->name, &first);
        put_plain(out, vault_basis_name(of->basis), &first);
        put_plain(out, vault_view_name(shown->view), &first);
        status = put_value(out, told, i, k, &first, err);
        put_plain(out, NULL, &first);
    } else {
        put_nothing(out, 7, &first);
        put_plain(out,
                  known->unportable == VAULT_PORTABLE ? vault_gate_name(shown->withheld)
                                                      : vault_unportable_name(known->unportable),
                  &first);
    }
    kl_buf_add_text(out, "\r\n");
    return status;
}

enum kl_status api_export_csv(const struct vault_told *told, struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    kl_buf_add_text(ret, "\"record\",\"type\",\"source\",\"field\",\"field_type\",\"purpose\","
                         "\"basis\",\"view\",\"value\",\"size\",\"sha256\",\"path\","
                         "\"withheld\"\r\n");
    for (size_t i = 0; i < told->subject.record_count; i++) {
        for (size_t k = 0; status == KL_OK && k < told->subject.records[i].field_count; k++) {
            status = put_field(ret, told, i, k, err);
        }
    }
    return status == KL_OK ? api_report_finish(ret, err) : status;
}
