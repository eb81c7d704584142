#include "tests/support/pseudonym_fixture.h"

#include "tests/support/test.h"

#include <string.h>

const char pseudonym_policy_text[] =
    "policy: abroad\n"
    "version: 1\n"
    "controller: { name: Abroad BV, country: BE, contact: privacy@abroad.example }\n"
    "residency:\n"
    "  default: EEA\n"
    "  transfers:\n"
    "    - { to: [US], mechanism: standard_clauses, purposes: [hosting], view: token }\n"
    "records:\n"
    "  person:\n"
    "    fields: { email: { type: email, index: true }, name: { type: text }, pin: { type: secret } }\n"
    "    purposes: [hosting, support]\n"
    "  purchase:\n"
    "    fields: { item: { type: text } }\n"
    "    purposes: [hosting, support]\n"
    "purposes:\n"
    "  hosting: { basis: contract }\n"
    "  support: { basis: contract }\n"
    "recipients:\n"
    "  cloud:   { kind: processor, country: US, purposes: [hosting] }\n"
    "  archive: { kind: processor, country: US, purposes: [hosting] }\n"
    "  printer: { kind: processor, country: DE, purposes: [hosting] }\n"
    "roles:\n"
    "  app:\n"
    "    - { do: [read, lookup], fields: [\"*\"], for: [hosting, support] }\n"
    "    - { do: [write], fields: [\"*\"] }\n"
    "  analyst:\n"
    "    - { do: [read], fields: [person.email, person.name, purchase.*], for: [hosting], view: token }\n"
    "  half:\n"
    "    - { do: [lookup], fields: [person.name], for: [hosting] }\n"
    "  few:\n"
    "    - { do: [lookup], fields: [\"*\"], for: [hosting], when: { volume_per_hour: 3 } }\n"
    "  seer:\n"
    "    - { do: [lookup], fields: [\"*\"], for: [hosting], view: token }\n"
    "  keeper:\n"
    "    - { do: [hold], fields: [person.*], view: token }\n"
    "    - { do: [read], fields: [person.*], for: [hosting], view: token }\n"
    "  reader:\n" /* fixture_copy() wants one, and a writer */
    "    - { do: [read], fields: [\"*\"], for: [support] }\n"
    "  writer:\n"
    "    - { do: [write], fields: [\"*\"] }\n"
    "  self:\n"
    "    - { do: [lookup], fields: [\"*\"], for: [hosting], when: { own_subject: true } }\n"
    "  dpo:\n"
    "    - { do: [erase, restrict, hold], fields: [\"*\"] }\n"
    "    - { do: [report], fields: [\"*\"], for: [\"*\"] }\n"
    "    - { do: [lookup], fields: [\"*\"], for: [support] }\n";

int pseudonym_setup(void **state)
{
    struct vault_fixture *fixture = NULL;
    int result = vault_fixture_setup(state);

    if (result == 0) {
        fixture = *state;
        (void)admin_apply(fixture->admin, pseudonym_policy_text);
    }
    return result;
}

static struct vault_subject_result make(struct vault_fixture *fixture, const char *email,
                                        size_t field_count)
{
    const struct vault_field_input person[] = {fixture_field("email", email),
                                               fixture_field("name", "Ann Ash"),
                                               fixture_field("pin", "a long enough secret")};
    const struct vault_field_input purchase[] = {fixture_field("item", "a chair")};
    const struct vault_record_input records[] = {
        {.type = "person", .source = "web-form", .fields = person, .field_count = field_count},
        {.type = "purchase", .fields = purchase, .field_count = 1}};
    const struct vault_subject_input input = {.records = records, .record_count = 2};
    struct vault_caller app = fixture_caller(fixture, "app");
    struct vault_subject_result made = {0};

    assert_int_equal(vault_subject_create(fixture_vault(fixture), &app, &input, NULL,
                                          fixture->arena, &made, &fixture->err),
                     KL_OK);
    vault_caller_done(&app);
    return made;
}

struct vault_subject_result pseudonym_person(struct vault_fixture *fixture, const char *email)
{
    return make(fixture, email, 3);
}

void pseudonym_crowd(struct vault_fixture *fixture, struct kl_id *ret_ids, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        ret_ids[i] = make(fixture, "ann@mail.example", 2).id;
    }
}

struct vault_subject_result pseudonym_read(struct vault_fixture *fixture,
                                           const struct kl_id *subject, const char *recipient)
{
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read_as(fixture, fixture_caller(fixture, "app"),
                                     (struct vault_read_input){.subject = *subject,
                                                               .purpose = "hosting",
                                                               .recipient = recipient},
                                     &read),
                     KL_OK);
    return read;
}

const char *pseudonym_of(struct vault_fixture *fixture, const struct kl_id *subject,
                         const char *recipient, const char *type, const char *field)
{
    struct vault_subject_result read = pseudonym_read(fixture, subject, recipient);
    const char *text = NULL;
    size_t i;
    size_t k;

    if (type == NULL) {
        return read.pseudonym;
    }
    for (i = 0; i < read.record_count; i++) {
        if (strcmp(read.records[i].type, type) != 0) {
            continue;
        }
        text = field == NULL ? read.records[i].pseudonym : text;
        for (k = 0; field != NULL && k < read.records[i].field_count; k++) {
            if (strcmp(read.records[i].fields[k].name, field) == 0) {
                assert_int_equal(read.records[i].fields[k].view, VAULT_VIEW_TOKEN);
                text = (const char *)read.records[i].fields[k].value.bytes;
            }
        }
    }
    assert_non_null(text);
    return text;
}

enum kl_status pseudonym_resolve_as(struct vault_fixture *fixture, struct vault_caller caller,
                                    const char *recipient, const char *pseudonym,
                                    struct vault_resolved *ret)
{
    const struct vault_resolve_input input = {
        .pseudonyms = &pseudonym, .count = 1, .recipient = recipient, .purpose = "hosting"};
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_pseudonyms_resolve(fixture_vault(fixture), &caller, &input, fixture->arena, ret,
                                      &fixture->err);
    vault_caller_done(&caller);
    return status;
}

struct vault_resolved pseudonym_resolve(struct vault_fixture *fixture, const char *recipient,
                                        const char *pseudonym)
{
    struct vault_resolved resolved = {0};

    assert_int_equal(pseudonym_resolve_as(fixture, fixture_caller(fixture, "app"), recipient,
                                          pseudonym, &resolved),
                     KL_OK);
    return resolved;
}
