#include "tests/support/tenant_fixture.h"

#include "tests/support/test.h"
#include "vault/rows.h"
#include "vault/tenants.h"
#include "vault/vault_internal.h"

#include <stdlib.h>
#include <string.h>

uint64_t tenant_number(struct vault_fixture *fixture, const char *name)
{
    const struct vault_tenant *tenant = vault_tenants_find(fixture_vault(fixture), name);

    return tenant == NULL ? 0 : tenant->number;
}

void tenant_put(struct vault_fixture *fixture, const char *name, const char *grace)
{
    struct vault_caller chief = admin_operator(fixture->admin);
    bool created = false;

    assert_int_equal(vault_tenant_put(fixture_vault(fixture), &chief, name, NULL, grace, &created,
                                      &fixture->err),
                     KL_OK);
    vault_caller_done(&chief);
}

enum kl_status tenant_end(struct vault_fixture *fixture, const char *name, struct kl_buf *receipt,
                          int64_t *ret_ends_us)
{
    struct vault_caller chief = admin_operator(fixture->admin);
    enum kl_status status = KL_OK;
    int64_t ends_us = -1;
    struct kl_buf own;

    kl_buf_init(&own, TENANT_RECEIPT_BYTES);
    kl_err_clear(&fixture->err);
    status = vault_tenant_end(fixture_vault(fixture), &chief, name,
                              receipt == NULL ? &own : receipt, &ends_us, &fixture->err);
    if (ret_ends_us != NULL) {
        *ret_ends_us = ends_us;
    }
    kl_buf_done(&own);
    vault_caller_done(&chief);
    return status;
}

size_t tenant_rows(struct vault_fixture *fixture, uint64_t number)
{
    struct vault_row_key prefix;
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice value;
    unsigned char tenant[8];
    size_t found = 0;

    kl_put_u64be(tenant, number);
    prefix.bytes[0] = 0;
    prefix.size = 1;
    past.bytes[0] = 0xff;
    past.size = 1;
    iter = vault_iter_new(fixture_vault(fixture)->data_store, vault_row_slice(&prefix),
                          vault_row_slice(&past), false);
    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &value)) {
        bool behind_kind =
            key.size >= 9 && memcmp(key.bytes + 1, tenant, 8) == 0 && key.bytes[0] != 'C';
        bool behind_meta =
            key.bytes[0] == 'M' && key.size >= 13 && memmem(key.bytes, key.size, tenant, 8) != NULL;

        found += behind_kind || behind_meta ? 1 : 0;
    }
    assert_int_equal(vault_iter_status(iter, NULL), KL_OK);
    vault_iter_free(iter);
    return found;
}

static struct vault_token credential(struct vault_fixture *fixture, struct vault_caller *maker,
                                     const char *role)
{
    const struct vault_credential_input input = {.role = role, .expires_in = "P1Y"};
    struct vault_credential_result result;
    struct vault_token token;

    if (vault_credential_create(fixture_vault(fixture), maker, &input, NULL, &token, &result,
                                &fixture->err) != KL_OK) {
        fail_msg("no credential: %s", fixture->err.code);
    }
    vault_caller_done(maker);
    return token;
}

struct kl_id tenant_person(struct vault_fixture *fixture, const struct vault_token *writer,
                           const char *email)
{
    const struct vault_field_input field = fixture_field("email", email);
    const struct vault_record_input record = {.type = "client", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_caller caller = admin_caller(fixture->admin, writer, NULL);
    struct vault_subject_result made = {0};

    assert_int_equal(vault_subject_create(fixture_vault(fixture), &caller, &input, NULL,
                                          fixture->arena, &made, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
    return made.id;
}

struct tenant_other tenant_other_make(struct vault_fixture *fixture, const char *name)
{
    struct tenant_other other;
    struct vault_caller caller;
    struct vault_findings *findings = calloc(1, sizeof *findings);
    uint64_t number = 0;

    assert_non_null(findings);
    tenant_put(fixture, name, NULL);
    caller = admin_caller(fixture->admin, &fixture->admin->operator_token, name);
    other.steward = credential(fixture, &caller, "steward");
    caller = admin_caller(fixture->admin, &other.steward, NULL);
    assert_int_equal(vault_policy_apply(fixture_vault(fixture), &caller, vault_policy_text,
                                        strlen(vault_policy_text), findings, &number,
                                        &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
    caller = admin_caller(fixture->admin, &other.steward, NULL); /* who sees the policy */
    other.writer = credential(fixture, &caller, "writer");
    caller = admin_caller(fixture->admin, &other.steward, NULL);
    other.reader = credential(fixture, &caller, "reader");
    other.subject = tenant_person(fixture, &other.writer, "other@example.org");
    free(findings);
    return other;
}

bool tenant_other_reads(struct vault_fixture *fixture, const struct tenant_other *other)
{
    const struct vault_read_input input = {.subject = other->subject, .purpose = "service"};
    struct vault_subject_result read = {0};
    struct vault_caller caller = admin_caller(fixture->admin, &other->reader, NULL);

    bool right = vault_subject_read(fixture_vault(fixture), &caller, &input, fixture->arena, &read,
                                    NULL) == KL_OK &&
                 fixture_value_is(fixture_find(&read, "email"), "other@example.org");

    vault_caller_done(&caller);
    return right;
}
