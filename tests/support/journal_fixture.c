#include "tests/support/journal_fixture.h"

#include "tests/support/test.h"
#include "vault/journal_internal.h"
#include "vault/rows.h"

void journal_give(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    const struct vault_consent_input input = fixture_consent("mailing");

    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, subject, &input, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
}

enum kl_status journal_withdraw(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    enum kl_status status = vault_consent_withdraw(fixture_vault(fixture), &dpo, subject, "mailing",
                                                   NULL, &fixture->err);

    vault_caller_done(&dpo);
    return status;
}

bool journal_consents(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "reader", subject, "mailing", &read), KL_OK);
    return fixture_find(&read, "email")->withheld == VAULT_GATE_NONE;
}

uint64_t journal_known(struct vault_fixture *fixture)
{
    uint64_t number = 0;
    bool there = false;

    assert_int_equal(
        vault_journal_known(fixture_vault(fixture), fixture_tenant(fixture), &number, &there, NULL),
        KL_OK);
    return number;
}

uint64_t journal_policy_number(struct vault_fixture *fixture)
{
    struct vault_caller reader = fixture_caller(fixture, "reader");
    uint64_t number = reader.policy_number;

    vault_caller_done(&reader);
    return number;
}

void journal_revoke(struct vault_fixture *fixture, const struct kl_id *credential)
{
    struct vault_caller steward = admin_steward(fixture->admin);

    assert_int_equal(vault_credential_revoke(fixture_vault(fixture), &steward, credential, NULL),
                     KL_OK);
    vault_caller_done(&steward);
}

void journal_move(struct vault_fixture *fixture, const struct kl_id *subject, const char *to)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");

    if (vault_subject_move(fixture_vault(fixture), &writer, subject, to, &fixture->err) != KL_OK) {
        fail_msg("not moved: %s %s", fixture->err.code, fixture->err.log_text);
    }
    vault_caller_done(&writer);
}

bool journal_is_eea(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "reader", subject, "support", &read), KL_OK);
    return read.residency == VAULT_RESIDENCY_EEA;
}
