#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES (64 * 1024 * 1024)

const char vault_policy_text[] =
    "policy: press\n"
    "version: 2024-01-01\n"
    "controller: { name: Press BV, country: BE, contact: privacy@press.example }\n"
    "residency:\n"
    "  default: EEA\n"
    "  transfers:\n"
    "    - { to: [US], mechanism: standard_clauses, purposes: [support], view: token }\n"
    "records:\n"
    "  newsletter:\n"
    "    fields:\n"
    "      email:      { type: email, index: true, mask: email }\n"
    "      first_name: { type: text, mask: initials }\n"
    "      ip:         { type: ip }\n"
    "    purposes: [mailing, support]\n"
    "  client:\n"
    "    fields:\n"
    "      email: { type: email, index: unique }\n"
    "      iban:  { type: iban, mask: last4 }\n"
    "      notes: { type: text }\n"
    "    purposes: [service, support, mailing]\n"
    "purposes:\n"
    "  mailing: { basis: consent, notice: n1 }\n"
    "  service: { basis: contract }\n"
    "  support: { basis: contract }\n"
    "forbidden_purposes: [advertising]\n"
    "recipients:\n"
    "  speaker: { kind: controller, country: BE, purposes: [mailing, support], consent: mailing }\n"
    "  mailer:  { kind: processor, country: DE, purposes: [mailing] }\n"
    "roles:\n"
    "  writer:\n"
    "    - { do: [write], fields: [\"*\"] }\n"
    "  half_writer:\n"
    "    - { do: [write], fields: [newsletter.email] }\n"
    "  reader:\n"
    "    - { do: [read, lookup], fields: [\"*\"], for: [mailing, service, support] }\n"
    "  masked:\n"
    "    - { do: [read], fields: [newsletter.email], for: [support], view: masked }\n"
    "  tokens:\n"
    "    - { do: [read], fields: [newsletter.email], for: [support], view: token }\n"
    "  present:\n"
    "    - { do: [read], fields: [newsletter.email], for: [support], view: present }\n"
    "  clerk:\n"
    "    - { do: [read, lookup], fields: [client.*], for: [service] }\n"
    "  dpo:\n"
    "    - { do: [erase, consent, report], fields: [\"*\"], for: [\"*\"] }\n"
    "  writing_dpo:\n"
    "    - { do: [write, consent], fields: [\"*\"], for: [\"*\"] }\n"
    "  mail_dpo:\n"
    "    - { do: [consent], for: [mailing] }\n"
    "  half_dpo:\n"
    "    - { do: [erase], fields: [client.*] }\n"
    "  self:\n"
    "    - { do: [read, erase, consent], fields: [\"*\"], for: [mailing, service, support], when: { own_subject: true } }\n"
    "  officer:\n"
    "    - { do: [manage_requests, erase, report, disclose], fields: [\"*\"], for: [\"*\"] }\n"
    "  manager:\n"
    "    - { do: [manage_requests] }\n"
    "  requester:\n"
    "    - { do: [manage_requests], when: { own_subject: true } }\n"
    "  keeper:\n"
    "    - { do: [hold], fields: [client.*] }\n"
    "  erasing_clerk:\n"
    "    - { do: [read], fields: [client.*], for: [service] }\n"
    "    - { do: [erase], fields: [newsletter.*] }\n";

int vault_fixture_setup(void **state)
{
    struct vault_fixture *fixture = calloc(1, sizeof *fixture);
    void *admin = NULL;

    assert_non_null(fixture);
    assert_int_equal(admin_setup(&admin), 0);
    fixture->admin = admin;
    fixture->arena = kl_arena_new(ARENA_BYTES);
    assert_non_null(fixture->arena);
    (void)admin_apply(fixture->admin, vault_policy_text);
    *state = fixture;
    return 0;
}

int vault_fixture_teardown(void **state)
{
    struct vault_fixture *fixture = *state;
    void *admin = fixture->admin;

    kl_arena_free(fixture->arena);
    (void)admin_teardown(&admin);
    free(fixture);
    return 0;
}

struct vault *fixture_vault(struct vault_fixture *fixture)
{
    return fixture->admin->vault;
}

void fixture_apply_changed(struct vault_fixture *fixture, const char *policy, const char *piece,
                           const char *with)
{
    char text[VAULT_FIXTURE_POLICY_BYTES];
    const char *at = strstr(policy, piece);
    int size = 0;

    assert_non_null(at);
    size = snprintf(text, sizeof text, "%.*s%s%s", (int)(at - policy), policy, with,
                    at + strlen(piece));
    assert_true(size > 0 && (size_t)size < sizeof text);
    (void)admin_apply(fixture->admin, text);
}

struct vault_caller fixture_caller(struct vault_fixture *fixture, const char *role)
{
    size_t i = 0;

    while (i < fixture->token_count && strcmp(fixture->tokens[i].role, role) != 0) {
        i++;
    }
    if (i == fixture->token_count) {
        assert_true(i < VAULT_FIXTURE_ROLES_MAX);
        (void)snprintf(fixture->tokens[i].role, sizeof fixture->tokens[i].role, "%s", role);
        fixture->tokens[i].token = admin_make(fixture->admin, role, NULL);
        fixture->token_count++;
    }
    return admin_caller(fixture->admin, &fixture->tokens[i].token, NULL);
}

struct vault_caller fixture_caller_with(struct vault_fixture *fixture, const char *role,
                                        const char *location, const char *purpose,
                                        const struct kl_id *subject)
{
    const char *const purposes[] = {purpose};
    const struct vault_credential_input input = {.role = role,
                                                 .purposes = purpose == NULL ? NULL : purposes,
                                                 .purpose_count = purpose == NULL ? 0 : 1,
                                                 .location = location,
                                                 .subject = subject,
                                                 .expires_in = "P1Y"};
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_credential_result result;
    struct vault_token token;
    struct kl_err err = {0};

    if (vault_credential_create(fixture_vault(fixture), &steward, &input, NULL, &token, &result,
                                &err) != KL_OK) {
        fail_msg("no credential: %s %s", err.code, err.client_text);
    }
    vault_caller_done(&steward);
    return admin_caller(fixture->admin, &token, NULL);
}

struct vault_field_input fixture_field(const char *name, const char *text)
{
    struct vault_field_input field = {.name = name};

    field.value.kind = KL_JSON_TEXT;
    field.value.text = kl_slice_text(text);
    return field;
}

struct vault_field_input fixture_removal(const char *name)
{
    struct vault_field_input field = {.name = name, .remove = true};

    field.value.kind = KL_JSON_NULL;
    return field;
}

struct vault_consent_input fixture_consent(const char *purpose)
{
    struct vault_consent_input consent = {
        .purpose = purpose, .notice = "n1", .channel = "web-form", .evidence = "ticked the box"};

    return consent;
}

static enum kl_status make(struct vault_fixture *fixture, const struct vault_record_input *record,
                           struct vault_subject_result *ret)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_subject_input input = {.records = record, .record_count = 1};
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_subject_create(fixture_vault(fixture), &writer, &input, NULL, fixture->arena,
                                  ret, &fixture->err);
    vault_caller_done(&writer);
    return status;
}

struct vault_subject_result fixture_newsletter(struct vault_fixture *fixture, const char *email,
                                               bool consents)
{
    const struct vault_field_input fields[] = {fixture_field("email", email),
                                               fixture_field("first_name", "Ana Maria")};
    const struct vault_consent_input consent = fixture_consent("mailing");
    const struct vault_record_input record = {.type = "newsletter",
                                              .source = "web-form",
                                              .fields = fields,
                                              .field_count = 2,
                                              .consents = &consent,
                                              .consent_count = consents ? 1 : 0};
    struct vault_subject_result result = {0};

    if (make(fixture, &record, &result) != KL_OK) {
        fail_msg("not made: %s %s %s (%s)", fixture->err.code, fixture->err.where,
                 fixture->err.client_text, fixture->err.log_text);
    }
    return result;
}

enum kl_status fixture_try_client(struct vault_fixture *fixture, const char *email,
                                  struct vault_subject_result *ret)
{
    const struct vault_field_input fields[] = {fixture_field("email", email),
                                               fixture_field("iban", "BE68 5390 0754 7034")};
    const struct vault_record_input record = {.type = "client", .fields = fields, .field_count = 2};

    return make(fixture, &record, ret);
}

struct vault_subject_result fixture_client(struct vault_fixture *fixture, const char *email)
{
    struct vault_subject_result result = {0};

    if (fixture_try_client(fixture, email, &result) != KL_OK) {
        fail_msg("not made: %s %s %s (%s)", fixture->err.code, fixture->err.where,
                 fixture->err.client_text, fixture->err.log_text);
    }
    return result;
}

enum kl_status fixture_read(struct vault_fixture *fixture, const char *role,
                            const struct kl_id *subject, const char *purpose,
                            struct vault_subject_result *ret)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    const struct vault_read_input input = {.subject = *subject, .purpose = purpose};
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_subject_read(fixture_vault(fixture), &caller, &input, fixture->arena, ret,
                                &fixture->err);
    vault_caller_done(&caller);
    return status;
}

const struct vault_field_result *fixture_find(const struct vault_subject_result *result,
                                              const char *field)
{
    size_t i;
    size_t k;

    for (i = 0; i < result->record_count; i++) {
        for (k = 0; k < result->records[i].field_count; k++) {
            if (strcmp(result->records[i].fields[k].name, field) == 0) {
                return &result->records[i].fields[k];
            }
        }
    }
    return NULL;
}

bool fixture_value_is(const struct vault_field_result *field, const char *text)
{
    return field != NULL && field->withheld == VAULT_GATE_NONE &&
           kl_slice_equal_text(field->value, text);
}

size_t fixture_lookup(struct vault_fixture *fixture, const char *field, const char *value,
                      struct kl_id *ret_first)
{
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_lookup_input input = {.field = field, .purpose = "support", .limit = 100};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    struct kl_id *subjects = NULL;
    size_t count = 0;

    input.value.kind = KL_JSON_TEXT;
    input.value.text = kl_slice_text(value);
    kl_err_clear(&fixture->err);
    if (vault_lookup(fixture_vault(fixture), &reader, &input, fixture->arena, &subjects, &count,
                     cursor, &fixture->err) != KL_OK) {
        fail_msg("no lookup: %s %s", fixture->err.code, fixture->err.client_text);
    }
    if (count > 0 && ret_first != NULL) {
        *ret_first = subjects[0];
    }
    vault_caller_done(&reader);
    return count;
}

void fixture_erase(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_buf receipt;

    kl_buf_init(&receipt, 65536);
    kl_err_clear(&fixture->err);
    if (vault_subject_erase(fixture_vault(fixture), &dpo, subject, VAULT_ERASE_REQUEST, &receipt,
                            &fixture->err) != KL_OK) {
        fail_msg("not erased: %s %s (%s)", fixture->err.code, fixture->err.client_text,
                 fixture->err.log_text);
    }
    kl_buf_done(&receipt);
    vault_caller_done(&dpo);
}

size_t fixture_trail(struct vault_fixture *fixture, const char *piece)
{
    return admin_trail_count(fixture->admin, false, piece);
}

void fixture_reopen(struct vault_fixture *fixture)
{
    admin_reopen(fixture->admin);
}

void fixture_path(struct vault_fixture *fixture, const char *name, char ret[ADMIN_PATH_BYTES])
{
    (void)snprintf(ret, ADMIN_PATH_BYTES, "%.240s/%.200s", fixture->admin->folder, name);
}

uint64_t fixture_tenant(struct vault_fixture *fixture)
{
    return vault_tenants_find(fixture_vault(fixture), VAULT_DEFAULT_TENANT)->number;
}

uint64_t fixture_slot(struct vault_fixture *fixture, const struct kl_id *subject)
{
    uint64_t slot = 0;

    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), fixture_tenant(fixture), subject, &slot, NULL),
        KL_OK);
    return slot;
}

/* Callers made after a copy would not be known to it. */
static void make_callers(struct vault_fixture *fixture)
{
    static const char *const roles[] = {"reader", "writer", "dpo"};
    size_t i;

    for (i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct vault_caller caller = fixture_caller(fixture, roles[i]);

        vault_caller_done(&caller);
    }
}

void fixture_copy(struct vault_fixture *fixture)
{
    char copy[ADMIN_PATH_BYTES];

    make_callers(fixture);
    fixture_path(fixture, FIXTURE_COPY, copy);
    admin_close(fixture->admin);
    admin_remove(copy);
    admin_copy(fixture->admin->data, copy);
    admin_reopen(fixture->admin);
}

void fixture_swap_data(struct vault_fixture *fixture)
{
    char from[ADMIN_PATH_BYTES];
    char to[ADMIN_PATH_BYTES];

    fixture_path(fixture, FIXTURE_COPY "/data", from);
    fixture_path(fixture, "data/data", to);
    admin_close(fixture->admin);
    admin_remove(to);
    admin_copy(from, to);
}

void fixture_put_back_data(struct vault_fixture *fixture)
{
    fixture_swap_data(fixture);
    admin_reopen(fixture->admin);
}

enum kl_status fixture_try_erase(struct vault_fixture *fixture, const char *role,
                                 const struct kl_id *subject, enum vault_erase_reason reason,
                                 struct kl_buf *ret)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status =
        vault_subject_erase(fixture_vault(fixture), &caller, subject, reason, ret, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

void fixture_damage(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_batch *batch = vault_batch_new();
    struct vault_row_key key;
    struct kl_buf row;
    uint64_t slot = 0;

    assert_non_null(batch);
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), steward.tenant, subject, &slot, NULL), KL_OK);
    key = vault_row_head(steward.tenant, slot);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL),
        KL_OK);
    row.bytes[row.size - 1] ^= 1;
    vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, false, NULL),
                     KL_OK);
    vault_batch_free(batch);
    kl_buf_done(&row);
    vault_caller_done(&steward);
}

enum kl_status fixture_read_as(struct vault_fixture *fixture, struct vault_caller caller,
                               struct vault_read_input input, struct vault_subject_result *ret)
{
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_subject_read(fixture_vault(fixture), &caller, &input, fixture->arena, ret,
                                &fixture->err);
    vault_caller_done(&caller);
    return status;
}

void fixture_receipt_cut(struct kl_buf *receipt)
{
    static const char member[] = ",\"trail\":{";
    unsigned char *at = memmem(receipt->bytes, receipt->size, member, sizeof member - 1);

    assert_non_null(at);
    *at = '}';
    receipt->size = (size_t)(at - receipt->bytes) + 1;
    receipt->bytes[receipt->size] = 0;
}
