#include "tests/support/report_fixture.h"

#include "tests/support/test.h"

#include <string.h>

const char report_policy_text[] =
    "policy: report\n"
    "version: 2026-01-01\n"
    "controller: { name: Report BV, country: BE, contact: privacy@report.example }\n"
    "residency:\n"
    "  default: EEA\n"
    "  transfers:\n"
    "    - { to: [US], mechanism: standard_clauses, view: masked }\n"
    "    - { to: [US], mechanism: certification, purposes: [news], view: token }\n"
    "sources:\n"
    "  counter: { provided_by: person, description: at the counter }\n"
    "  scoring: { provided_by: controller }\n"
    "records:\n"
    "  member:\n"
    "    fields:\n"
    "      name:    { type: text, mask: initials }\n"
    "      email:   { type: email, index: true }\n"
    "      diet:    { type: text, special: health, purposes: [service] }\n"
    "      invoice: { type: text, purposes: [bookkeeping] }\n"
    "      score:   { type: number, purposes: [surveys] }\n"
    "      pin:     { type: secret }\n"
    "    purposes: [service, trial, news, bookkeeping, surveys]\n"
    "  note:\n"
    "    fields:\n"
    "      story: { type: text }\n"
    "    purposes: [service]\n"
    "purposes:\n"
    "  service:     { basis: contract, retain: P1Y after service_end }\n"
    "  trial:       { basis: precontract, retain: none }\n"
    "  news:        { basis: consent, notice: n1, retain: P1Y after consent }\n"
    "  bookkeeping: { basis: legal_obligation, retain: P7Y after created }\n"
    "  surveys:     { basis: legitimate_interest, retain: none }\n"
    "roles:\n"
    "  writer:\n"
    "    - { do: [write], fields: [\"*\"] }\n"
    "  dpo:\n"
    "    - { do: [consent, object, restrict, manage_requests] }\n"
    "    - { do: [report, export], fields: [\"*\"], for: [\"*\"] }\n"
    "  half:\n"
    "    - { do: [report], fields: [member.name] }\n"
    "    - { do: [export], fields: [member.name], for: [news] }\n"
    "  trial_only:\n"
    "    - { do: [export], fields: [\"*\"], for: [trial] }\n"
    "  member_only:\n"
    "    - { do: [report, export], fields: [member.*], for: [service] }\n"
    "  self:\n"
    "    - { do: [report, export], fields: [\"*\"], for: [\"*\"], when: { own_subject: true } }\n"
    "  manager:\n"
    "    - { do: [manage_requests] }\n"
    "  once:\n"
    "    - { do: [report, export], fields: [member.*], for: [\"*\"], when: { volume_per_hour: 1 } }\n";

int report_setup(void **state)
{
    struct vault_fixture *fixture = NULL;

    assert_int_equal(vault_fixture_setup(state), 0);
    fixture = *state;
    (void)admin_apply(fixture->admin, report_policy_text);
    return 0;
}

struct vault_subject_result report_person(struct vault_fixture *fixture, const char *source,
                                          bool more)
{
    struct vault_field_input fields[] = {
        fixture_field("name", "Ana Maes"),     fixture_field("email", "ana@example.org"),
        fixture_field("diet", "no nuts"),      fixture_field("invoice", "twelve euro"),
        fixture_field("pin", "correct horse"), fixture_field("score", "3")};
    const struct vault_field_input story = fixture_field("story", "a long story");
    const struct vault_consent_input consent = fixture_consent("news");
    const struct vault_record_input records[] = {
        {.type = "member",
         .source = source,
         .fields = fields,
         .field_count = 6,
         .consents = &consent,
         .consent_count = 1},
        {.type = "note", .fields = &story, .field_count = 1}};
    const struct vault_subject_input input = {.records = records, .record_count = more ? 2 : 1};
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_subject_result made = {0};

    fields[5].value.kind = KL_JSON_NUMBER;
    if (vault_subject_create(fixture_vault(fixture), &writer, &input, NULL, fixture->arena, &made,
                             &fixture->err) != KL_OK) {
        fail_msg("not made: %s %s %s", fixture->err.code, fixture->err.where,
                 fixture->err.client_text);
    }
    vault_caller_done(&writer);
    return made;
}

enum kl_status report_as(struct vault_fixture *fixture, struct vault_caller caller,
                         const struct kl_id *subject, const char *purpose, struct vault_report *ret)
{
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_report_read(fixture_vault(fixture), &caller, subject, purpose, fixture->arena,
                               ret, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

enum kl_status export_as(struct vault_fixture *fixture, struct vault_caller caller,
                         const struct kl_id *subject, const char *purpose, struct vault_told *ret)
{
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_export_read(fixture_vault(fixture), &caller, subject, purpose, fixture->arena,
                               ret, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

const struct vault_field_result *report_field(const struct vault_told *told, const char *name,
                                              const struct vault_told_field **ret_told)
{
    const struct vault_record_result *record = &told->subject.records[0];
    size_t i;

    assert_true(told->subject.record_count > 0);
    for (i = 0; i < record->field_count; i++) {
        if (strcmp(record->fields[i].name, name) == 0) {
            if (ret_told != NULL) {
                *ret_told = &told->records[0].fields[i];
            }
            return &record->fields[i];
        }
    }
    fail_msg("no field %s", name);
    return NULL;
}
