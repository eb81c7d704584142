#include "tests/support/rights_fixture.h"

#include "kluis/base/time.h"
#include "tests/support/test.h"

const char rights_policy_text[] =
    "policy: rights\n"
    "version: 2026-01-01\n"
    "controller: { name: Rights BV, country: BE, contact: privacy@rights.example }\n"
    "residency: { default: EEA, transfers: [{ to: [US], mechanism: standard_clauses, view: token }] }\n"
    "records:\n"
    "  client:\n"
    "    fields:\n"
    "      email:   { type: email, index: true }\n"
    "      iban:    { type: iban }\n"
    "      invoice: { type: text, purposes: [bookkeeping] }\n"
    "    purposes: [service, surveys, promotion, news, bookkeeping, answer_rights]\n"
    "purposes:\n"
    "  service:       { basis: contract, retain: P1Y after service_end }\n"
    "  surveys:       { basis: legitimate_interest, retain: none }\n"
    "  promotion:     { basis: legitimate_interest, direct_marketing: true, retain: none }\n"
    "  news:          { basis: consent, notice: n1, retain: P1Y after consent, renew: ask }\n"
    "  bookkeeping:   { basis: legal_obligation, retain: P7Y after service_end }\n"
    "  answer_rights: { basis: legal_obligation, answers_rights: true, retain: none }\n"
    "roles:\n"
    "  writer:\n"
    "    - { do: [write], fields: [\"*\"] }\n"
    "  dpo:\n"
    "    - { do: [restrict, object, consent, erase, hold] }\n"
    "    - { do: [read, lookup], fields: [\"*\"], for: [answer_rights] }\n"
    "  reader:\n"
    "    - { do: [read, lookup], fields: [\"*\"], for: [\"*\"] }\n"
    "  lawyer:\n"
    "    - { do: [read, lookup], fields: [\"*\"], for: [\"*\"], grounds: [legal_claim, protect_person, public_interest] }\n"
    "  surveyor:\n"
    "    - { do: [object], for: [surveys] }\n"
    "  reporter:\n"
    "    - { do: [report], fields: [\"*\"], for: [\"*\"] }\n"
    "  book_reporter:\n"
    "    - { do: [report], fields: [client.invoice], for: [bookkeeping] }\n"
    "  asker:\n"
    "    - { do: [consent], when: { volume_per_hour: 2 } }\n"
    "  self:\n"
    "    - { do: [consent], when: { own_subject: true } }\n"
    "    - { do: [read], fields: [\"*\"], for: [\"*\"], when: { own_subject: true } }\n"
    "    - { do: [object], when: { own_subject: true } }\n";

int rights_setup(void **state)
{
    struct vault_fixture *fixture = NULL;

    assert_int_equal(vault_fixture_setup(state), 0);
    fixture = *state;
    (void)admin_apply(fixture->admin, rights_policy_text);
    return 0;
}

struct vault_subject_result rights_client(struct vault_fixture *fixture, const char *email,
                                          bool consents)
{
    const struct vault_field_input fields[] = {fixture_field("email", email),
                                               fixture_field("iban", "BE68 5390 0754 7034"),
                                               fixture_field("invoice", "two hundred euro")};
    const struct vault_consent_input consent = fixture_consent("news");
    const struct vault_record_input record = {.type = "client",
                                              .fields = fields,
                                              .field_count = 3,
                                              .consents = &consent,
                                              .consent_count = consents ? 1 : 0};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_subject_result made = {0};

    if (vault_subject_create(fixture_vault(fixture), &writer, &input, NULL, fixture->arena, &made,
                             &fixture->err) != KL_OK) {
        fail_msg("not made: %s %s %s", fixture->err.code, fixture->err.where,
                 fixture->err.client_text);
    }
    vault_caller_done(&writer);
    return made;
}

enum vault_gate rights_gate(struct vault_fixture *fixture, const char *role,
                            const struct kl_id *subject, const char *purpose,
                            enum vault_ground ground, int64_t days)
{
    static const char *const fields[] = {"client.email"};
    struct vault_caller caller = fixture_caller(fixture, role);
    const struct vault_read_input input = {.subject = *subject,
                                           .purpose = purpose,
                                           .ground = ground,
                                           .fields = fields,
                                           .field_count = 1};
    struct vault_subject_result read = {0};
    enum kl_status status;

    caller.now_us += days * KL_TIME_DAY_US;
    status = vault_subject_read(fixture_vault(fixture), &caller, &input, fixture->arena, &read,
                                &fixture->err);
    vault_caller_done(&caller);
    if (status != KL_OK) {
        fail_msg("not read: %s %s", fixture->err.code, fixture->err.client_text);
    }
    return fixture_find(&read, "email")->withheld;
}

enum vault_gate rights_gate_now(struct vault_fixture *fixture, const char *role,
                                const struct kl_id *subject, const char *purpose)
{
    return rights_gate(fixture, role, subject, purpose, VAULT_GROUND_NONE, 0);
}

enum kl_status rights_restrict(struct vault_fixture *fixture, const char *role,
                               const struct kl_id *subject)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_restriction_set(fixture_vault(fixture), &caller, subject,
                                   VAULT_RESTRICTION_ACCURACY_CONTESTED, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

enum kl_status rights_object(struct vault_fixture *fixture, const char *role,
                             const struct kl_id *subject, const char *purpose,
                             const char *compelling)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    const struct vault_objection_input input = {
        .purpose = purpose, .ground = VAULT_OBJECTION_SITUATION, .compelling_grounds = compelling};
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_objection_set(fixture_vault(fixture), &caller, subject, &input, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

enum kl_status rights_event(struct vault_fixture *fixture, const char *role,
                            const struct vault_subject_result *of, const char *event, int64_t days,
                            struct vault_keeping **ret_keeping, size_t *ret_count)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    struct vault_keeping *keeping = NULL;
    size_t count = 0;
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_record_event(fixture_vault(fixture), &caller, &of->id, &of->records[0].id, event,
                                caller.now_us + days * KL_TIME_DAY_US, fixture->arena, &keeping,
                                &count, &fixture->err);
    vault_caller_done(&caller);
    if (status == KL_OK && ret_keeping != NULL) {
        *ret_keeping = keeping;
        *ret_count = count;
    }
    return status;
}

void rights_give_news(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    const struct vault_consent_input input = fixture_consent("news");

    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, subject, &input, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
}
