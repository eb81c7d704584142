/* A real vault in a temporary folder, with a small policy, for tests of the api. */
#ifndef KLUIS_TESTS_SUPPORT_API_VAULT_H
#define KLUIS_TESTS_SUPPORT_API_VAULT_H

#include "kluis/vault/stores.h"
#include "tests/support/tls_certificates.h"

/*
 * The policy: record type `person` {name, email (indexed), age, note, photo (a file)} for the purposes `care`
 * (contract) and `news` (consent, notice n1); roles `clerk` (reads and writes all, looks up),
 * `reader` (name masked, email plain, for news), `officer` (erases, consents).
 */
extern const char TEST_POLICY[];

struct test_vault {
    char dir[TEST_PATH_BYTES];
    struct vault_stores *stores;
    struct vault *vault; /* the main one of them */
    struct vault_token operator_token;
    struct vault_token steward_token;
};

/* Make and open it, apply the policy. Any failure is an assert. */
void test_vault_start(struct test_vault *ret_vault);
void test_vault_stop(struct test_vault *vault);
/* A credential of that role, by the steward; certificate_sha256 (hex, may be NULL) instead of a token. */
void test_vault_credential(struct test_vault *vault, const char *role,
                           const char *certificate_sha256, struct vault_token *ret_token);

#endif
