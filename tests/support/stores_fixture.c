#include "tests/support/stores_fixture.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int stores_setup(void **state)
{
    struct stores_fixture *fixture = calloc(1, sizeof *fixture);
    void *admin = NULL;

    assert_non_null(fixture);
    (void)admin_setup_empty(&admin);
    fixture->admin = admin;
    fixture->admin->options.argon2_light = true;
    assert_int_equal(vault_init(&fixture->admin->options, &fixture->admin->operator_token,
                                &fixture->admin->steward_token, NULL),
                     KL_OK);
    stores_reopen(fixture);
    *state = fixture;
    return 0;
}

void stores_close(struct stores_fixture *fixture)
{
    vault_stores_close(fixture->stores);
    fixture->stores = NULL;
}

int stores_teardown(void **state)
{
    struct stores_fixture *fixture = *state;
    void *admin = fixture->admin;

    stores_close(fixture);
    (void)admin_teardown(&admin);
    free(fixture);
    return 0;
}

void stores_reopen(struct stores_fixture *fixture)
{
    const struct vault_stores_options options = {.main = fixture->admin->options};
    struct kl_err err = {0};

    stores_close(fixture);
    if (vault_stores_open(&options, &fixture->stores, &err) != KL_OK) {
        fail_msg("the vault does not open: %s %s %s", err.code, err.client_text, err.log_text);
    }
}

struct stores_place stores_place_of(const struct stores_fixture *fixture, const char *name)
{
    struct stores_place place;
    char parent[2 * ADMIN_PATH_BYTES];

    (void)snprintf(parent, sizeof parent, "%s/%s", fixture->admin->folder, name);
    (void)mkdir(parent, 0700);
    (void)snprintf(place.directory, sizeof place.directory, "%.1000s/data", parent);
    (void)snprintf(place.root_file, sizeof place.root_file, "%.1000s.key", parent);
    (void)snprintf(place.custodian, sizeof place.custodian, "file:%s", place.root_file);
    return place;
}

struct vault_caller stores_caller(struct stores_fixture *fixture, const char *token,
                                  const char *tenant, const char *store, struct vault **ret_vault)
{
    const struct vault_proof proof = {.token = token};
    const struct vault_scope scope = {.tenant = tenant, .store = store};
    struct vault_caller caller;
    struct vault *vault = NULL;
    struct kl_err err = {0};

    if (vault_stores_caller_open(fixture->stores, &proof, &scope, "test", &caller, &vault, &err) !=
        KL_OK) {
        fail_msg("not let in: %s %s %s", err.code, err.client_text, err.log_text);
    }
    if (ret_vault != NULL) {
        *ret_vault = vault;
    }
    return caller;
}

struct vault_caller stores_operator(struct stores_fixture *fixture)
{
    return stores_caller(fixture, fixture->admin->operator_token.text, NULL, NULL, NULL);
}

enum kl_status stores_let_in(struct stores_fixture *fixture, const char *token, const char *tenant,
                             const char *store, struct kl_err *err)
{
    const struct vault_proof proof = {.token = token};
    const struct vault_scope scope = {.tenant = tenant, .store = store};
    struct vault_caller caller;
    struct vault *vault = NULL;
    enum kl_status status =
        vault_stores_caller_open(fixture->stores, &proof, &scope, "test", &caller, &vault, err);

    if (status == KL_OK) {
        vault_caller_done(&caller);
    }
    return status;
}

enum kl_status stores_add(struct stores_fixture *fixture, const char *name, const char *country,
                          struct kl_err *err)
{
    struct stores_place place = stores_place_of(fixture, name);
    const struct vault_store_input input = {.name = name,
                                            .directory = place.directory,
                                            .country = country,
                                            .custodian = place.custodian};
    struct vault_caller caller = stores_operator(fixture);
    struct vault_store_result result;
    enum kl_status status = vault_stores_add(fixture->stores, vault_stores_main(fixture->stores),
                                             &caller, &input, &result, err);

    vault_caller_done(&caller);
    return status;
}

enum kl_status stores_tenant(struct stores_fixture *fixture, const char *name, const char *store,
                             struct vault **ret_vault, struct kl_err *err)
{
    struct vault_caller caller = stores_operator(fixture);
    struct vault *vault = NULL;
    bool created = false;
    enum kl_status status =
        vault_stores_tenant_put(fixture->stores, vault_stores_main(fixture->stores), &caller, name,
                                store, NULL, &created, &vault, err);

    vault_caller_done(&caller);
    if (status == KL_OK && ret_vault != NULL) {
        *ret_vault = vault;
    }
    return status;
}

struct vault_token stores_steward(struct stores_fixture *fixture, const char *tenant)
{
    const struct vault_credential_input input = {.role = "steward", .expires_in = "P1Y"};
    struct vault *vault = NULL;
    struct vault_caller caller =
        stores_caller(fixture, fixture->admin->operator_token.text, tenant, NULL, &vault);
    struct vault_credential_result result;
    struct vault_token token = {{0}};
    struct kl_err err = {0};

    if (vault_stores_credential_create(fixture->stores, vault, &caller, &input, NULL, &token,
                                       &result, &err) != KL_OK) {
        fail_msg("no steward: %s %s", err.code, err.client_text);
    }
    vault_caller_done(&caller);
    return token;
}

struct vault_store_result stores_listed(struct stores_fixture *fixture, const char *name,
                                        int *ret_state)
{
    struct vault_caller caller = stores_operator(fixture);
    struct vault_store_result *results = NULL;
    struct vault_store_result found = {.generation = 0};
    size_t count = 0;
    size_t i;

    assert_int_equal(vault_stores_list(fixture->stores, vault_stores_main(fixture->stores), &caller,
                                       fixture->admin->arena, &results, &count, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    *ret_state = -1;
    for (i = 0; i < count; i++) {
        if (strcmp(results[i].name, name) == 0) {
            found = results[i];
            *ret_state = (int)found.state;
        }
    }
    return found;
}
