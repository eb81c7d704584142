/* The access report and the export for programs. */
#include "api/output.h"
#include "api/report_write.h"

#include <stdio.h>
#include <string.h>

/* ---- shared ---- */

void api_duration_format(const struct kl_duration *duration, char ret[API_DURATION_BYTES])
{
    struct kl_buf text;

    kl_buf_init(&text, API_DURATION_BYTES - 1);
    kl_buf_add_text(&text, "P");
    if (duration->months >= 12) {
        kl_buf_addf(&text, "%uY", (unsigned)(duration->months / 12));
    }
    if (duration->months % 12 != 0) {
        kl_buf_addf(&text, "%uM", (unsigned)(duration->months % 12));
    }
    if (duration->days != 0) {
        kl_buf_addf(&text, "%uD", (unsigned)duration->days);
    }
    if (duration->seconds != 0 || text.size == 1) {
        kl_buf_addf(&text, "T%lluS", (unsigned long long)duration->seconds);
    }
    snprintf(ret, API_DURATION_BYTES, "%s", text.bytes == NULL ? "" : (const char *)text.bytes);
    kl_buf_done(&text);
}

void api_export_path(const struct kl_id *subject, const struct kl_id *record, const char *field,
                     char ret[API_LOCATION_BYTES])
{
    char sub[KL_ID_TEXT_BYTES];
    char rec[KL_ID_TEXT_BYTES];

    kl_id_format("sub", subject, sub);
    kl_id_format("rec", record, rec);
    snprintf(ret, API_LOCATION_BYTES, "/v1/subjects/%s/records/%s/files/%s", sub, rec, field);
}

void api_report_rights(const struct vault_report *report, struct api_right ret[API_RIGHTS])
{
    const struct vault_policy *policy = report->told.policy;
    bool portable = false;
    bool objection = false;
    bool consent = false;
    bool automated = false;

    for (uint64_t left = report->purposes; left != 0; left &= left - 1) {
        int purpose = __builtin_ctzll(left);
        const struct vault_policy_purpose *of = vault_policy_purpose(policy, purpose);
        portable = portable || vault_policy_portable(policy, purpose);
        objection = objection || vault_policy_may_object(policy, purpose);
        consent = consent || (!of->forbidden && (of->basis == VAULT_BASIS_CONSENT ||
                                                 of->basis == VAULT_BASIS_EXPLICIT_CONSENT));
        automated = automated || of->automated_decision != NULL;
    }
    ret[0] = (struct api_right){"rectification", "16", true};
    ret[1] = (struct api_right){"erasure", "17", true};
    ret[2] = (struct api_right){"restriction", "18", true};
    ret[3] = (struct api_right){"portability", "20", portable};
    ret[4] = (struct api_right){"objection", "21", objection};
    ret[5] = (struct api_right){"automated_decision", "22", automated};
    ret[6] = (struct api_right){"withdrawal", "7(3)", consent || report->consent_count > 0};
}

const char *api_report_provided(const struct vault_told *told, size_t record)
{
    const char *name = told->subject.records[record].source;
    const struct vault_policy_source *source =
        name == NULL ? NULL : vault_policy_source(told->policy, name);

    if (source != NULL) {
        return source->provided_by;
    }
    return name == NULL ? NULL : told->records[record].from_others ? "other" : "person";
}

enum kl_status api_report_finish(const struct kl_buf *buf, struct kl_err *err)
{
    enum kl_status status = kl_buf_status(buf, err);

    if (status == KL_ERR_TOO_LARGE || (status == KL_OK && buf->size > VAULT_REPORT_MAX_BYTES)) {
        kl_err_clear(err);
        return kl_failf(err, KL_ERR_TOO_LARGE, "report_too_large",
                        "what is stored about this person does not fit a document of %u bytes",
                        VAULT_REPORT_MAX_BYTES);
    }
    return status;
}

static void add_if(struct kl_json_out *out, const char *key, const char *text)
{
    if (text != NULL) {
        kl_json_add_text(out, key, text);
    }
}

static void add_names(struct kl_json_out *out, const char *key, const struct vault_policy *policy,
                      uint64_t purposes)
{
    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (int i = 0; i < (int)vault_policy_purpose_count(policy); i++) {
        if (((purposes >> i) & 1) != 0 && !vault_policy_purpose(policy, i)->forbidden) {
            kl_json_put_text(out, vault_policy_purpose(policy, i)->name);
        }
    }
    kl_json_array_end(out);
}

static void add_controller(struct kl_json_out *out, const struct vault_policy *policy)
{
    const struct vault_policy_controller *controller = vault_policy_controller(policy);

    kl_json_key(out, "controller");
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", controller->name);
    kl_json_add_text(out, "country", controller->country.code);
    kl_json_add_text(out, "contact", controller->contact);
    kl_json_add_text(out, "dpo", controller->dpo);
    kl_json_add_text(out, "authority", controller->authority);
    kl_json_add_text(out, "acting_as", controller->acting_as);
    kl_json_object_end(out);
}

static void add_head(struct kl_json_out *out, const struct vault_told *told)
{
    kl_json_add_time(out, "made_at", told->made_us);
    api_output_id(out, "subject", "sub", &told->subject.id);
    kl_json_add_text(out, "residency", vault_residency_name(told->subject.residency));
    kl_json_key(out, "policy");
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", vault_policy_name(told->policy));
    kl_json_add_text(out, "version", vault_policy_version(told->policy));
    kl_json_object_end(out);
    add_controller(out, told->policy);
}

static void add_record_head(struct kl_json_out *out, const struct vault_told *told, size_t i)
{
    const struct vault_record_result *record = &told->subject.records[i];
    const struct vault_policy_source *source =
        record->source == NULL ? NULL : vault_policy_source(told->policy, record->source);

    api_output_id(out, "id", "rec", &record->id);
    kl_json_add_text(out, "type", record->type);
    kl_json_add_text(out, "source", record->source);
    add_if(out, "provided_by", api_report_provided(told, i));
    add_if(out, "source_description", source == NULL ? NULL : source->description);
    kl_json_add_time(out, "created_at", record->created_us);
    kl_json_add_int(out, "version", (int64_t)record->version);
}

static void add_value(struct kl_json_out *out, const struct vault_field_result *field)
{
    if (field->view == VAULT_VIEW_PRESENT) {
        return;
    }
    kl_json_key(out, "value");
    if (field->view == VAULT_VIEW_PLAIN) {
        vault_value_write_json(field->type, field->value, out);
    } else {
        kl_json_put_text_n(out, field->value.bytes, field->value.size);
    }
}

/* ---- the report ---- */

static void add_report_field(struct kl_json_out *out, const struct vault_told *told, size_t i,
                             size_t k)
{
    const struct vault_field_result *shown = &told->subject.records[i].fields[k];
    const struct vault_told_field *known = &told->records[i].fields[k];
    const struct vault_policy_field *of =
        known->field == VAULT_NONE ? NULL : vault_policy_field(told->policy, known->field);

    kl_json_object_begin(out);
    kl_json_add_text(out, "name", shown->name);
    kl_json_add_text(out, "type", vault_type_name(shown->type));
    if (of != NULL) {
        add_if(out, "description", of->description);
        add_if(out, "category", of->category);
        add_if(out, "special", of->special);
    }
    if (shown->withheld == VAULT_GATE_NONE) {
        kl_json_add_text(out, "view", vault_view_name(shown->view));
        add_value(out, shown);
    } else {
        kl_json_add_text(out, "withheld", vault_gate_name(shown->withheld));
    }
    kl_json_object_end(out);
}

static void add_until(struct kl_json_out *out, int64_t until_us)
{
    kl_json_key(out, "until");
    if (until_us >= KL_TIME_MAX_US) {
        kl_json_put_null(out);
    } else {
        kl_json_put_time(out, until_us);
    }
}

static void add_kept(struct kl_json_out *out, const struct vault_told *told, size_t i)
{
    const struct vault_told_record *known = &told->records[i];

    kl_json_key(out, "kept_for");
    kl_json_array_begin(out);
    for (size_t k = 0; k < known->purpose_count; k++) {
        const struct vault_told_purpose *kept = &known->purposes[k];
        const struct vault_policy_purpose *of = vault_policy_purpose(told->policy, kept->purpose);
        kl_json_object_begin(out);
        kl_json_add_text(out, "purpose", of->name);
        if (of->keeps_nothing) {
            kl_json_add_bool(out, "reason_to_keep", false);
        } else {
            add_until(out, kept->until_us);
        }
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
    if (known->hold_basis != NULL) {
        kl_json_key(out, "hold");
        kl_json_object_begin(out);
        kl_json_add_text(out, "basis", known->hold_basis);
        kl_json_add_time(out, "until", known->hold_until_us);
        kl_json_object_end(out);
    }
}

static void add_categories(struct kl_json_out *out, const struct vault_policy_record *of)
{
    kl_json_key(out, "categories");
    kl_json_array_begin(out);
    for (const char *const *name = of->categories; name != NULL && *name != NULL; name++) {
        kl_json_put_text(out, *name);
    }
    kl_json_array_end(out);
}

static void add_records(struct kl_json_out *out, const struct vault_told *told)
{
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    for (size_t i = 0; i < told->subject.record_count; i++) {
        const struct vault_record_result *record = &told->subject.records[i];
        const struct vault_policy_record *of =
            vault_policy_record(told->policy, vault_policy_record_find(told->policy, record->type));
        kl_json_object_begin(out);
        add_record_head(out, told, i);
        add_if(out, "description", of->description);
        add_categories(out, of);
        kl_json_key(out, "fields");
        kl_json_array_begin(out);
        for (size_t k = 0; k < record->field_count; k++) {
            add_report_field(out, told, i, k);
        }
        kl_json_array_end(out);
        add_kept(out, told, i);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
    kl_json_add_int(out, "records_not_shown", (int64_t)told->records_not_shown);
}

static void add_purpose(struct kl_json_out *out, const struct vault_policy *policy,
                        const struct vault_policy_purpose *of)
{
    char retain[API_DURATION_BYTES];
    const struct vault_policy_notice *notice =
        of->notice == NULL ? NULL : vault_policy_notice(policy, of->notice);

    kl_json_object_begin(out);
    kl_json_add_text(out, "name", of->name);
    add_if(out, "description", of->description);
    kl_json_add_text(out, "basis", vault_basis_name(of->basis));
    add_if(out, "law", of->law);
    add_if(out, "interest", of->interest);
    add_if(out, "special_ground", of->special_ground);
    if (of->notice != NULL) {
        kl_json_key(out, "notice");
        kl_json_object_begin(out);
        kl_json_add_text(out, "name", of->notice);
        add_if(out, "title", notice == NULL ? NULL : notice->title);
        add_if(out, "url", notice == NULL ? NULL : notice->url);
        kl_json_object_end(out);
    }
    if (of->retain_event != NULL) {
        api_duration_format(&of->retain, retain);
        kl_json_add_text(out, "retain", retain);
        kl_json_add_text(out, "after", of->retain_event);
    }
    kl_json_add_bool(out, "direct_marketing", of->direct_marketing);
    add_if(out, "automated_decision", of->automated_decision);
    kl_json_object_end(out);
}

static void add_purposes(struct kl_json_out *out, const struct vault_report *report)
{
    kl_json_key(out, "purposes");
    kl_json_array_begin(out);
    for (uint64_t left = report->purposes; left != 0; left &= left - 1) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(report->told.policy, __builtin_ctzll(left));
        if (!of->forbidden) {
            add_purpose(out, report->told.policy, of);
        }
    }
    kl_json_array_end(out);
}

static void add_recipients(struct kl_json_out *out, const struct vault_report *report)
{
    const struct vault_policy *policy = report->told.policy;

    kl_json_key(out, "recipients");
    kl_json_array_begin(out);
    for (int i = 0; i < (int)vault_policy_recipient_count(policy); i++) {
        const struct vault_policy_recipient *of = vault_policy_recipient(policy, i);
        if ((of->purposes & report->purposes) == 0) {
            continue;
        }
        kl_json_object_begin(out);
        kl_json_add_text(out, "name", of->name);
        add_if(out, "description", of->description);
        kl_json_add_text(out, "kind", of->kind);
        kl_json_add_text(out, "country", of->country.code);
        kl_json_add_bool(out, "in_eea", vault_country_in_eea(of->country));
        add_names(out, "purposes", policy, of->purposes & report->purposes);
        if (of->consent_purpose != VAULT_NONE) {
            kl_json_add_text(out, "needs_consent",
                             vault_policy_purpose(policy, of->consent_purpose)->name);
        }
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

static void add_transfer(struct kl_json_out *out, const struct vault_report *report, int line)
{
    const struct vault_policy *policy = report->told.policy;
    const struct vault_policy_transfer of = vault_policy_transfer(policy, line);
    struct vault_country country;

    kl_json_object_begin(out);
    kl_json_add_text(out, "mechanism", of.mechanism);
    kl_json_key(out, "countries");
    if (of.to_adequate) {
        kl_json_put_text(out, "adequate");
    } else {
        kl_json_array_begin(out);
        for (size_t i = 0; vault_policy_transfer_country(policy, line, i, &country); i++) {
            kl_json_put_text(out, country.code);
        }
        kl_json_array_end(out);
    }
    add_names(out, "purposes", policy, of.purposes & report->purposes);
    kl_json_key(out, "recipients");
    if (of.recipients == UINT64_MAX) {
        kl_json_put_null(out);
    } else {
        kl_json_array_begin(out);
        for (uint64_t left = of.recipients; left != 0; left &= left - 1) {
            kl_json_put_text(out, vault_policy_recipient(policy, __builtin_ctzll(left))->name);
        }
        kl_json_array_end(out);
    }
    kl_json_add_text(out, "view", vault_view_name(of.view));
    add_if(out, "description", of.description);
    kl_json_object_end(out);
}

static void add_transfers(struct kl_json_out *out, const struct vault_report *report)
{
    const struct vault_policy *policy = report->told.policy;

    kl_json_key(out, "transfers");
    kl_json_array_begin(out);
    for (int i = 0; i < (int)vault_policy_transfer_count(policy); i++) {
        if ((vault_policy_transfer(policy, i).purposes & report->purposes) != 0) {
            add_transfer(out, report, i);
        }
    }
    kl_json_array_end(out);
}

static void add_ledgers(struct kl_json_out *out, const struct vault_report *report)
{
    kl_json_key(out, "disclosures");
    kl_json_array_begin(out);
    for (size_t i = 0; i < report->disclosure_count; i++) {
        api_output_disclosure(out, &report->disclosures[i]);
    }
    kl_json_array_end(out);
    kl_json_key(out, "consents");
    kl_json_array_begin(out);
    for (size_t i = 0; i < report->consent_count; i++) {
        api_output_consent(out, &report->consents[i]);
    }
    kl_json_array_end(out);
    kl_json_key(out, "objections");
    kl_json_array_begin(out);
    for (size_t i = 0; i < report->objection_count; i++) {
        api_output_objection(out, &report->objections[i]);
    }
    kl_json_array_end(out);
    kl_json_key(out, "restriction");
    if (!report->restriction.in_force) {
        kl_json_put_null(out);
    } else {
        kl_json_object_begin(out);
        kl_json_add_text(out, "ground", vault_restriction_ground_name(report->restriction.ground));
        kl_json_add_time(out, "since", report->restriction.since_us);
        kl_json_object_end(out);
    }
}

static void add_withheld(struct kl_json_out *out, const struct vault_report *report)
{
    static const struct {
        unsigned bit;
        const char *name;
    } LEDGERS[] = {{VAULT_REPORT_CONSENTS, "consents"},
                   {VAULT_REPORT_OBJECTIONS, "objections"},
                   {VAULT_REPORT_RESTRICTION, "restriction"},
                   {VAULT_REPORT_DISCLOSURES, "disclosures"}};

    kl_json_key(out, "withheld");
    kl_json_object_begin(out);
    for (size_t i = 0; i < sizeof LEDGERS / sizeof LEDGERS[0]; i++) {
        if ((report->withheld & LEDGERS[i].bit) != 0) {
            kl_json_add_text(out, LEDGERS[i].name, vault_gate_name(VAULT_GATE_TRANSFER));
        }
    }
    kl_json_object_end(out);
}

static void add_automated(struct kl_json_out *out, const struct vault_report *report)
{
    const struct vault_policy *policy = report->told.policy;
    int forbidden = vault_policy_purpose_find(policy, VAULT_AUTOMATED_DECISION);

    kl_json_key(out, "automated_decisions");
    kl_json_object_begin(out);
    kl_json_add_bool(out, "forbidden",
                     forbidden != VAULT_NONE && vault_policy_purpose(policy, forbidden)->forbidden);
    kl_json_key(out, "purposes");
    kl_json_array_begin(out);
    for (uint64_t left = report->purposes; left != 0; left &= left - 1) {
        const struct vault_policy_purpose *of = vault_policy_purpose(policy, __builtin_ctzll(left));
        if (of->automated_decision != NULL) {
            kl_json_put_text(out, of->name);
        }
    }
    kl_json_array_end(out);
    kl_json_object_end(out);
}

static void add_rights(struct kl_json_out *out, const struct vault_report *report)
{
    struct api_right rights[API_RIGHTS];

    api_report_rights(report, rights);
    kl_json_key(out, "rights");
    kl_json_array_begin(out);
    for (size_t i = 0; i < API_RIGHTS; i++) {
        kl_json_object_begin(out);
        kl_json_add_text(out, "right", rights[i].name);
        kl_json_add_text(out, "article", rights[i].article);
        kl_json_add_bool(out, "applies", rights[i].applies);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
    kl_json_key(out, "complaint");
    kl_json_object_begin(out);
    kl_json_add_text(out, "authority", vault_policy_controller(report->told.policy)->authority);
    kl_json_add_text(out, "authorities", API_AUTHORITIES_URL);
    kl_json_object_end(out);
}

enum kl_status api_report_json(const struct vault_report *report, struct kl_buf *ret,
                               struct kl_err *err)
{
    struct kl_json_out out = kl_json_out(ret);

    kl_json_object_begin(&out);
    kl_json_add_text(&out, "document", "access_report");
    add_head(&out, &report->told);
    add_records(&out, &report->told);
    add_purposes(&out, report);
    add_recipients(&out, report);
    add_transfers(&out, report);
    add_ledgers(&out, report);
    add_withheld(&out, report);
    add_automated(&out, report);
    add_rights(&out, report);
    kl_json_object_end(&out);
    return api_report_finish(ret, err);
}

/* ---- the export ---- */

static bool is_exported(const struct vault_told *told, size_t i, size_t k)
{
    return told->subject.records[i].fields[k].withheld == VAULT_GATE_NONE &&
           told->records[i].fields[k].unportable == VAULT_PORTABLE;
}

static void add_export_field(struct kl_json_out *out, const struct vault_told *told, size_t i,
                             size_t k)
{
    const struct vault_field_result *shown = &told->subject.records[i].fields[k];
    const struct vault_policy_purpose *purpose =
        vault_policy_purpose(told->policy, told->records[i].fields[k].purpose);
    char path[API_LOCATION_BYTES];

    kl_json_key(out, shown->name);
    kl_json_object_begin(out);
    kl_json_add_text(out, "type", vault_type_name(shown->type));
    kl_json_add_text(out, "view", vault_view_name(shown->view));
    add_value(out, shown);
    if (shown->type == VAULT_TYPE_FILE && shown->view == VAULT_VIEW_PLAIN) {
        api_export_path(&told->subject.id, &told->subject.records[i].id, shown->name, path);
        kl_json_add_text(out, "path", path);
    }
    kl_json_add_text(out, "purpose", purpose->name);
    kl_json_add_text(out, "basis", vault_basis_name(purpose->basis));
    kl_json_object_end(out);
}

static void add_export_record(struct kl_json_out *out, const struct vault_told *told, size_t i)
{
    const struct vault_record_result *record = &told->subject.records[i];

    kl_json_object_begin(out);
    add_record_head(out, told, i);
    kl_json_key(out, "fields");
    kl_json_object_begin(out);
    for (size_t k = 0; k < record->field_count; k++) {
        if (is_exported(told, i, k)) {
            add_export_field(out, told, i, k);
        }
    }
    kl_json_object_end(out);
    kl_json_key(out, "withheld");
    kl_json_object_begin(out);
    for (size_t k = 0; k < record->field_count; k++) {
        if (!is_exported(told, i, k)) {
            const struct vault_told_field *known = &told->records[i].fields[k];
            kl_json_add_text(out, record->fields[k].name,
                             known->unportable == VAULT_PORTABLE
                                 ? vault_gate_name(record->fields[k].withheld)
                                 : vault_unportable_name(known->unportable));
        }
    }
    kl_json_object_end(out);
    kl_json_object_end(out);
}

enum kl_status api_export_json(const struct vault_told *told, struct kl_buf *ret,
                               struct kl_err *err)
{
    struct kl_json_out out = kl_json_out(ret);

    kl_json_object_begin(&out);
    kl_json_add_text(&out, "document", "export");
    add_head(&out, told);
    kl_json_key(&out, "records");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < told->subject.record_count; i++) {
        add_export_record(&out, told, i);
    }
    kl_json_array_end(&out);
    kl_json_add_int(&out, "records_not_shown", (int64_t)told->records_not_shown);
    kl_json_object_end(&out);
    return api_report_finish(ret, err);
}
