#include "api/output.h"

#include <stdio.h>

void api_output_id(struct kl_json_out *out, const char *key, const char *prefix,
                   const struct kl_id *id)
{
    char text[KL_ID_TEXT_BYTES];

    kl_id_format(prefix, id, text);
    kl_json_add_text(out, key, text);
}

void api_output_cursor(struct kl_json_out *out, const char *cursor)
{
    kl_json_add_text(out, "next_cursor", cursor[0] == '\0' ? NULL : cursor);
}

static void add_optional(struct kl_json_out *out, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        kl_json_add_text(out, key, text);
    }
}

void api_output_created(struct kl_json_out *out, const struct vault_subject_result *subject)
{
    kl_json_object_begin(out);
    api_output_id(out, "id", "sub", &subject->id);
    kl_json_add_text(out, "residency", vault_residency_name(subject->residency));
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    for (size_t i = 0; i < subject->record_count; i++) {
        kl_json_object_begin(out);
        api_output_id(out, "id", "rec", &subject->records[i].id);
        kl_json_add_text(out, "type", subject->records[i].type);
        kl_json_add_int(out, "version", (int64_t)subject->records[i].version);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
    kl_json_object_end(out);
}

static void write_value(struct kl_json_out *out, const struct vault_field_result *field)
{
    kl_json_key(out, field->name);
    switch (field->view) {
    case VAULT_VIEW_PLAIN:
        vault_value_write_json(field->type, field->value, out);
        break;
    case VAULT_VIEW_PRESENT:
        kl_json_put_bool(out, true);
        break;
    case VAULT_VIEW_MASKED:
    case VAULT_VIEW_TOKEN:
    case VAULT_VIEWS:
        kl_json_put_text_n(out, field->value.bytes, field->value.size);
        break;
    }
}

void api_output_record(struct kl_json_out *out, const struct vault_record_result *record)
{
    kl_json_object_begin(out);
    if (record->pseudonym != NULL) {
        kl_json_add_text(out, "id", record->pseudonym);
        kl_json_add_text(out, "type", record->type);
    } else {
        api_output_id(out, "id", "rec", &record->id);
        kl_json_add_text(out, "type", record->type);
        add_optional(out, "source", record->source);
        kl_json_add_int(out, "version", (int64_t)record->version);
        kl_json_add_time(out, "created_at", record->created_us);
    }
    kl_json_key(out, "fields");
    kl_json_object_begin(out);
    for (size_t i = 0; i < record->field_count; i++) {
        if (record->fields[i].withheld == VAULT_GATE_NONE) {
            write_value(out, &record->fields[i]);
        }
    }
    kl_json_object_end(out);
    kl_json_key(out, "views");
    kl_json_object_begin(out);
    for (size_t i = 0; i < record->field_count; i++) {
        const struct vault_field_result *field = &record->fields[i];
        if (field->withheld == VAULT_GATE_NONE && field->view != VAULT_VIEW_PLAIN) {
            kl_json_add_text(out, field->name, vault_view_name(field->view));
        }
    }
    kl_json_object_end(out);
    kl_json_key(out, "withheld");
    kl_json_object_begin(out);
    for (size_t i = 0; i < record->field_count; i++) {
        if (record->fields[i].withheld != VAULT_GATE_NONE) {
            kl_json_add_text(out, record->fields[i].name,
                             vault_gate_name(record->fields[i].withheld));
        }
    }
    kl_json_object_end(out);
    kl_json_object_end(out);
}

void api_output_subject(struct kl_json_out *out, const struct vault_subject_result *subject)
{
    kl_json_object_begin(out);
    if (subject->pseudonym != NULL) {
        kl_json_add_text(out, "id", subject->pseudonym);
    } else {
        api_output_id(out, "id", "sub", &subject->id);
    }
    kl_json_add_text(out, "residency", vault_residency_name(subject->residency));
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    for (size_t i = 0; i < subject->record_count; i++) {
        api_output_record(out, &subject->records[i]);
    }
    kl_json_array_end(out);
    kl_json_object_end(out);
}

static void add_time_or_null(struct kl_json_out *out, const char *key, int64_t time_us)
{
    if (time_us == 0) {
        kl_json_add_text(out, key, NULL);
    } else {
        kl_json_add_time(out, key, time_us);
    }
}

void api_output_consent(struct kl_json_out *out, const struct vault_consent_result *consent)
{
    kl_json_object_begin(out);
    api_output_id(out, "id", VAULT_CONSENT_PREFIX, &consent->id);
    kl_json_add_text(out, "purpose", consent->purpose);
    add_optional(out, "recipient", consent->recipient);
    kl_json_add_text(out, "notice", consent->notice);
    kl_json_add_text(out, "channel", consent->channel);
    add_optional(out, "evidence", consent->evidence);
    kl_json_add_bool(out, "explicit", consent->is_explicit);
    kl_json_add_time(out, "given_at", consent->given_us);
    add_time_or_null(out, "expires_at", consent->expires_us);
    add_time_or_null(out, "withdrawn_at", consent->withdrawn_us);
    kl_json_add_bool(out, "counts", consent->counts);
    kl_json_object_end(out);
}

void api_output_disclosure(struct kl_json_out *out,
                           const struct vault_disclosure_result *disclosure)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "recipient", disclosure->recipient);
    kl_json_add_text(out, "country",
                     vault_country_is_set(disclosure->country) ? disclosure->country.code : NULL);
    kl_json_add_text(out, "purpose", disclosure->purpose);
    kl_json_key(out, "fields");
    kl_json_array_begin(out);
    for (size_t i = 0; i < disclosure->field_count; i++) {
        kl_json_put_text(out, disclosure->fields[i]);
    }
    kl_json_array_end(out);
    kl_json_add_time(out, "first_at", disclosure->first_us);
    kl_json_add_time(out, "last_at", disclosure->last_us);
    kl_json_add_int(out, "count", disclosure->count);
    kl_json_add_text(out, "channel", disclosure->channel);
    if (disclosure->merged) {
        kl_json_add_bool(out, "merged", true);
    }
    if (disclosure->note != NULL) {
        kl_json_add_text(out, "note", disclosure->note);
    }
    kl_json_object_end(out);
}

void api_output_objection(struct kl_json_out *out, const struct vault_objection_result *objection)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "purpose", objection->purpose);
    kl_json_add_text(out, "ground", vault_objection_ground_name(objection->ground));
    kl_json_add_time(out, "since", objection->since_us);
    kl_json_key(out, "ended_at");
    if (objection->ended_us == 0) {
        kl_json_put_null(out);
    } else {
        kl_json_put_time(out, objection->ended_us);
    }
    kl_json_add_bool(out, "has_compelling_grounds", objection->has_compelling_grounds);
    if (objection->compelling_grounds != NULL) {
        kl_json_add_text(out, "compelling_grounds", objection->compelling_grounds);
    }
    kl_json_object_end(out);
}

void api_output_tenant(struct kl_json_out *out, const struct vault_tenant_result *tenant)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", tenant->name);
    kl_json_add_text(out, "store", tenant->store);
    kl_json_add_text(out, "country", tenant->country.code);
    kl_json_add_text(out, "grace", tenant->grace[0] == '\0' ? NULL : tenant->grace);
    kl_json_add_time(out, "created_at", tenant->created_us);
    if (tenant->ends_us != 0) {
        kl_json_add_time(out, "ends_at", tenant->ends_us);
    }
    kl_json_key(out, "policy");
    if (tenant->policy_name[0] == '\0') {
        kl_json_put_null(out);
    } else {
        kl_json_object_begin(out);
        kl_json_add_text(out, "name", tenant->policy_name);
        kl_json_add_text(out, "version", tenant->policy_version);
        kl_json_object_end(out);
    }
    kl_json_object_end(out);
}

void api_output_findings(struct kl_json_out *out, const struct vault_findings *findings)
{
    char place[32];

    kl_json_array_begin(out);
    for (size_t i = 0; i < findings->count; i++) {
        const struct vault_finding *finding = &findings->items[i];
        kl_json_object_begin(out);
        if (finding->line > 0) {
            snprintf(place, sizeof place, "%u:%u", finding->line, finding->column);
            kl_json_add_text(out, "place", place);
        }
        kl_json_add_text(out, "severity", finding->is_error ? "error" : "warning");
        kl_json_add_text(out, "code", finding->code);
        kl_json_add_text(out, "detail", finding->text);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}
