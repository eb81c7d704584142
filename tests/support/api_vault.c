#include "tests/support/api_vault.h"
#include "kluis/base/secret.h"
#include "kluis/vault/admin.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char TEST_POLICY[] =
    "policy: test\n"
    "version: 2026-01-01\n"
    "controller: { name: Test, country: BE, contact: privacy@test.example }\n"
    "notices:\n"
    "  n1: { title: Notice, from: 2026-01-01 }\n"
    "residency:\n"
    "  default: EEA\n"
    "  transfers: [{ to: [US], mechanism: standard_clauses, purposes: [care], view: token }]\n"
    "records:\n"
    "  person:\n"
    "    purposes: [care, news]\n"
    "    fields:\n"
    "      name:  { type: text, mask: initials }\n"
    "      email: { type: email, mask: email, index: true }\n"
    "      age:   { type: number }\n"
    "      note:  { type: json }\n"
    "      photo: { type: file }\n"
    "recipients:\n"
    "  printer: { kind: processor, country: BE, purposes: [care] }\n"
    "  cloud: { kind: processor, country: US, purposes: [care] }\n"
    "purposes:\n"
    "  care: { basis: contract }\n"
    "  news: { basis: consent, notice: n1 }\n"
    "roles:\n"
    "  clerk:\n"
    "    - { do: [read, lookup, export], fields: [person.*], for: [care] }\n"
    "    - { do: [write], fields: [person.*] }\n"
    "  reader:\n"
    "    - { do: [read], fields: [person.email], for: [news] }\n"
    "    - { do: [read], fields: [person.name], for: [news], view: masked }\n"
    "  officer:\n"
    "    - { do: [erase, consent, manage_requests] }\n"
    "    - { do: [report, disclose], fields: [person.*], for: [care] }\n"
    "    - { do: [read], fields: [person.*], for: [care] }\n";

static void fail(const struct kl_err *err)
{
    fprintf(stderr, "%s: %s %s (%s)\n", err->code, err->where, err->client_text, err->log_text);
    abort();
}

static void open_caller(struct test_vault *vault, const struct vault_token *token,
                        struct vault_caller *caller)
{
    struct vault_proof proof = {.token = token->text};
    struct kl_err err = {0};

    if (vault_caller_open(vault->vault, &proof, NULL, "test", caller, &err) != KL_OK) {
        fail(&err);
    }
}

static void apply_policy(struct test_vault *vault)
{
    struct vault_findings *findings = calloc(1, sizeof *findings);
    struct vault_caller caller;
    struct kl_err err = {0};
    uint64_t number;

    assert(findings != NULL);
    open_caller(vault, &vault->steward_token, &caller);
    if (vault_policy_apply(vault->vault, &caller, TEST_POLICY, strlen(TEST_POLICY), findings,
                           &number, &err) != KL_OK) {
        fail(&err);
    }
    vault_caller_done(&caller);
    free(findings);
}

void test_vault_start(struct test_vault *ret_vault)
{
    char data_dir[TEST_PATH_BYTES + 8];
    char custodian[TEST_PATH_BYTES + 16];
    struct vault_options options = {.data_dir = data_dir,
                                    .country = "IE",
                                    .custodian = custodian,
                                    .accept_f0 = true,
                                    .argon2_light = true,
                                    .cache_bytes = 8u << 20};
    struct kl_err err = {0};

    memset(ret_vault, 0, sizeof *ret_vault);
    if (kl_secret_process_init(true, &err) != KL_OK) {
        fail(&err);
    }
    test_folder_make(ret_vault->dir);
    snprintf(data_dir, sizeof data_dir, "%s/data", ret_vault->dir);
    snprintf(custodian, sizeof custodian, "file:%s/root.key", ret_vault->dir);
    if (vault_init(&options, &ret_vault->operator_token, &ret_vault->steward_token, &err) !=
            KL_OK ||
        vault_stores_open(&(struct vault_stores_options){.main = options}, &ret_vault->stores,
                          &err) != KL_OK) {
        fail(&err);
    }
    ret_vault->vault = vault_stores_main(ret_vault->stores);
    apply_policy(ret_vault);
}

void test_vault_stop(struct test_vault *vault)
{
    vault_stores_close(vault->stores);
    test_folder_remove(vault->dir);
}

void test_vault_credential(struct test_vault *vault, const char *role,
                           const char *certificate_sha256, struct vault_token *ret_token)
{
    struct vault_credential_input input = {
        .role = role, .expires_in = "P1D", .certificate_sha256 = certificate_sha256};
    struct vault_idempotency idempotency = {0};
    struct vault_credential_result result = {0};
    struct vault_caller caller;
    struct kl_err err = {0};

    open_caller(vault, &vault->steward_token, &caller);
    if (vault_credential_create(vault->vault, &caller, &input, &idempotency, ret_token, &result,
                                &err) != KL_OK) {
        fail(&err);
    }
    vault_caller_done(&caller);
}
