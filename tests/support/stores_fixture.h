/* A vault on a real directory with room for further stores beside it. */
#ifndef KLUIS_TESTS_STORES_FIXTURE_H
#define KLUIS_TESTS_STORES_FIXTURE_H

#include "kluis/vault/stores.h"
#include "tests/support/admin_fixture.h"

struct stores_fixture {
    struct admin_fixture
        *admin; /* its folder holds everything; its vault is not opened by itself */
    struct vault_stores *stores; /* open; NULL when the test closed it */
};

/* For cmocka: *state is the fixture; a vault of IE, opened with no other store. */
int stores_setup(void **state);
int stores_teardown(void **state);

void stores_close(struct stores_fixture *fixture);
/* Close, and open again; the test fails when the main store does not open. */
void stores_reopen(struct stores_fixture *fixture);

/* FOLDER/NAME/data, with the root file FOLDER/NAME.key: for a store. The folder that is to hold the data is made. */
struct stores_place {
    char directory[2 * ADMIN_PATH_BYTES];
    char root_file[2 * ADMIN_PATH_BYTES];
    char custodian[2 * ADMIN_PATH_BYTES + 16];
};
struct stores_place stores_place_of(const struct stores_fixture *fixture, const char *name);
/* What vault_stores_add() says, as the operator asks for it. */
enum kl_status stores_add(struct stores_fixture *fixture, const char *name, const char *country,
                          struct kl_err *err);

/* Who is let in; ret_vault (may be NULL) is the store acted on. The test fails when it is not; vault_caller_done() ends it. */
struct vault_caller stores_caller(struct stores_fixture *fixture, const char *token,
                                  const char *tenant, const char *store, struct vault **ret_vault);
struct vault_caller stores_operator(struct stores_fixture *fixture);
/* Why it is not let in; KL_OK: it is. */
enum kl_status stores_let_in(struct stores_fixture *fixture, const char *token, const char *tenant,
                             const char *store, struct kl_err *err);

/* Make a tenant in that store (NULL: by default) as the operator does; what vault_stores_tenant_put() says. */
enum kl_status stores_tenant(struct stores_fixture *fixture, const char *name, const char *store,
                             struct vault **ret_vault, struct kl_err *err);
/* The first steward of a tenant. */
struct vault_token stores_steward(struct stores_fixture *fixture, const char *tenant);
/* What the list says of a store; state -1: it does not have it. */
struct vault_store_result stores_listed(struct stores_fixture *fixture, const char *name,
                                        int *ret_state);

#endif
