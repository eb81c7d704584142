/* Several stores in one vault: made, opened, away, and who is let in where. */
#include "tests/support/stores_fixture.h"
#include "tests/support/test.h"
#include "vault/stores_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct vault *main_of(struct stores_fixture *fixture)
{
    return vault_stores_main(fixture->stores);
}

static void add_orbit(struct stores_fixture *fixture, const char *country)
{
    struct kl_err err = {0};

    if (stores_add(fixture, "orbit", country, &err) != KL_OK) {
        fail_msg("no store: %s %s %s", err.code, err.client_text, err.log_text);
    }
}

static void expect_state(struct stores_fixture *fixture, const char *name, int state)
{
    int seen = 0;

    (void)stores_listed(fixture, name, &seen);
    assert_int_equal(seen, state);
}

/* ---- made ---- */

static void test_a_store_has_its_own_country_keys_and_tenants(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault *vault = NULL;
    struct vault_token steward;
    struct vault_caller caller;
    int seen = 0;

    add_orbit(fixture, "azure:westeurope");
    struct vault_store_result listed = stores_listed(fixture, "orbit", &seen);
    assert_int_equal(seen, VAULT_STORE_OPEN);
    assert_string_equal(listed.country.code, "NL");
    assert_int_equal(listed.tenants, 0);
    assert_int_equal(stores_tenant(fixture, "acme", "orbit", &vault, NULL), KL_OK);
    assert_string_equal(vault_store_name(vault), "orbit");
    assert_memory_not_equal(vault->store_id, main_of(fixture)->store_id, KMS_STORE_ID_BYTES);
    steward = stores_steward(fixture, "acme");
    caller = stores_caller(fixture, steward.text, NULL, NULL, &vault);
    assert_string_equal(vault_store_name(vault), "orbit");
    assert_string_equal(caller.tenant_name, "acme");
    vault_caller_done(&caller);
    assert_int_equal(stores_listed(fixture, "orbit", &seen).tenants, 1);
    assert_int_equal(stores_listed(fixture, "main", &seen).tenants, 1);
}

static void test_stores_and_their_credentials_are_there_after_a_restart(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault *vault = NULL;
    struct vault_token steward;
    struct vault_caller caller;

    add_orbit(fixture, "NL");
    assert_int_equal(stores_tenant(fixture, "acme", "orbit", NULL, NULL), KL_OK);
    steward = stores_steward(fixture, "acme");
    stores_reopen(fixture);
    expect_state(fixture, "orbit", VAULT_STORE_OPEN);
    caller = stores_caller(fixture, steward.text, NULL, NULL, &vault);
    assert_string_equal(vault_store_name(vault), "orbit");
    vault_caller_done(&caller);
    caller = stores_caller(fixture, fixture->admin->steward_token.text, NULL, NULL, &vault);
    assert_string_equal(vault_store_name(vault), "main");
    vault_caller_done(&caller);
}

static void refuse(struct stores_fixture *fixture, const struct vault_store_input *input,
                   enum kl_status status, const char *code)
{
    struct vault_caller caller = stores_operator(fixture);
    struct vault_store_result result = {.tenants = 77};
    struct kl_err err = {0};

    assert_int_equal(
        vault_stores_add(fixture->stores, main_of(fixture), &caller, input, &result, &err), status);
    assert_string_equal(err.code, code);
    assert_int_equal(result.tenants, 77);
    vault_caller_done(&caller);
    expect_state(fixture, "orbit", -1);
    assert_int_equal(vault_stores_count(fixture->stores), 1);
}

static void test_a_store_is_refused_where_it_must_not_lie(void **state)
{
    struct stores_fixture *fixture = *state;
    struct stores_place place = stores_place_of(fixture, "orbit");
    const struct vault_store_input good = {.name = "orbit",
                                           .directory = place.directory,
                                           .country = "NL",
                                           .custodian = place.custodian};
    struct vault_store_input bad = good;
    char path[3 * ADMIN_PATH_BYTES];

    bad.name = "Orbit";
    refuse(fixture, &bad, KL_ERR_INVALID, "invalid_store_name");
    bad.name = "main";
    refuse(fixture, &bad, KL_ERR_EXISTS, "store_exists");
    bad = good;
    bad.directory = "orbit/data";
    refuse(fixture, &bad, KL_ERR_INVALID, "invalid_directory");
    (void)snprintf(path, sizeof path, "%s/inside", fixture->admin->data);
    bad.directory = path;
    refuse(fixture, &bad, KL_ERR_INVALID, "invalid_directory");
    bad.directory = fixture->admin->folder; /* holds main's, and is its root file's */
    refuse(fixture, &bad, KL_ERR_INVALID, "invalid_directory");
    bad = good;
    bad.country = "XX";
    refuse(fixture, &bad, KL_ERR_INVALID, "invalid_country");
    bad = good;
    bad.custodian = "file:orbit.key";
    refuse(fixture, &bad, KL_ERR_INVALID, "invalid_custodian");
    (void)snprintf(path, sizeof path, "file:%s/orbit.key", fixture->admin->data);
    bad.custodian = path;
    refuse(fixture, &bad, KL_ERR_INVALID, "root_file_in_data");
    (void)snprintf(path, sizeof path, "file:%s/orbit.key", place.directory);
    refuse(fixture, &bad, KL_ERR_INVALID, "invalid_custodian"); /* its folder is not there yet */
    (void)snprintf(path, sizeof path, "passphrase:%s", place.root_file);
    refuse(fixture, &bad, KL_ERR_INVALID, "passphrase_length");
    bad.custodian = fixture->admin->custodian;
    refuse(fixture, &bad, KL_ERR_EXISTS, "root_file_exists");
    assert_int_equal(mkdir(place.directory, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/somebody's", place.directory);
    assert_true(close(open(path, O_CREAT | O_WRONLY, 0600)) == 0);
    bad = good;
    struct vault_caller caller = stores_operator(fixture);
    struct kl_err err = {0};
    assert_int_equal(vault_stores_add(fixture->stores, main_of(fixture), &caller, &bad,
                                      &(struct vault_store_result){.tenants = 0}, &err),
                     KL_ERR_EXISTS);
    assert_string_equal(err.code, "data_dir_not_empty");
    assert_int_equal(access(path, F_OK), 0);
    vault_caller_done(&caller);
}

static void test_a_folder_that_others_may_write_to_becomes_no_store(void **state)
{
    struct stores_fixture *fixture = *state;
    struct stores_place place = stores_place_of(fixture, "orbit");
    const struct vault_store_input input = {.name = "orbit",
                                            .directory = place.directory,
                                            .country = "NL",
                                            .custodian = place.custodian};

    assert_int_equal(mkdir(place.directory, 0700), 0);
    assert_int_equal(chmod(place.directory, 0777), 0);
    refuse(fixture, &input, KL_ERR_CONFLICT, "store_directory_unsafe");
    assert_int_equal(chmod(place.directory, 0755), 0);
    add_orbit(fixture, "NL");
}

static void test_only_operators_make_and_see_stores(void **state)
{
    struct stores_fixture *fixture = *state;
    struct stores_place place = stores_place_of(fixture, "orbit");
    const struct vault_store_input input = {.name = "orbit",
                                            .directory = place.directory,
                                            .country = "NL",
                                            .custodian = place.custodian};
    struct vault_caller caller =
        stores_caller(fixture, fixture->admin->steward_token.text, NULL, NULL, NULL);
    struct vault_store_result result;
    struct vault_store_result *results = NULL;
    size_t count = 0;

    assert_int_equal(
        vault_stores_add(fixture->stores, main_of(fixture), &caller, &input, &result, NULL),
        KL_ERR_FORBIDDEN);
    assert_int_equal(vault_stores_list(fixture->stores, main_of(fixture), &caller,
                                       fixture->admin->arena, &results, &count, NULL),
                     KL_ERR_FORBIDDEN);
    vault_caller_done(&caller);
    assert_int_equal(access(place.directory, F_OK), -1);
}

static void test_a_vault_has_at_most_sixteen_stores(void **state)
{
    struct stores_fixture *fixture = *state;
    struct kl_err err = {0};
    char name[16];
    size_t i;

    fixture->admin->options.cache_bytes = 8u << 20;
    stores_reopen(fixture);
    for (i = 1; i < VAULT_STORES_MAX; i++) {
        (void)snprintf(name, sizeof name, "s%zu", i);
        assert_int_equal(stores_add(fixture, name, "NL", NULL), KL_OK);
    }
    assert_int_equal(stores_add(fixture, "one-more", "NL", &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "stores_too_many");
    stores_reopen(fixture);
    assert_int_equal(vault_stores_count(fixture->stores), VAULT_STORES_MAX);
    expect_state(fixture, "s15", VAULT_STORE_OPEN);
}

/* ---- away ---- */

static void test_a_store_that_is_away_refuses_its_own_and_no_others(void **state)
{
    struct stores_fixture *fixture = *state;
    struct stores_place place = stores_place_of(fixture, "orbit");
    struct vault_token steward;
    struct kl_err err = {0};
    char aside[3 * ADMIN_PATH_BYTES];
    int seen = 0;

    add_orbit(fixture, "NL");
    assert_int_equal(stores_tenant(fixture, "acme", "orbit", NULL, NULL), KL_OK);
    steward = stores_steward(fixture, "acme");
    stores_close(fixture);
    (void)snprintf(aside, sizeof aside, "%s.aside", place.directory);
    assert_int_equal(rename(place.directory, aside), 0);
    stores_reopen(fixture);

    assert_int_equal(stores_let_in(fixture, fixture->admin->steward_token.text, NULL, NULL, NULL),
                     KL_OK);
    assert_int_equal(stores_let_in(fixture, steward.text, NULL, NULL, &err), KL_ERR_UNAVAILABLE);
    assert_string_equal(err.code, "store_unavailable");
    assert_int_equal(stores_let_in(fixture, "kl_nobody", NULL, NULL, NULL), KL_ERR_UNAVAILABLE);
    assert_int_equal(
        stores_let_in(fixture, fixture->admin->operator_token.text, "acme", NULL, NULL),
        KL_ERR_UNAVAILABLE);
    assert_int_equal(
        stores_let_in(fixture, fixture->admin->operator_token.text, NULL, "orbit", NULL),
        KL_ERR_UNAVAILABLE);
    assert_int_equal(stores_tenant(fixture, "acme", NULL, NULL, NULL), KL_ERR_UNAVAILABLE);
    assert_int_equal(stores_tenant(fixture, "default", NULL, NULL, NULL), KL_OK);
    assert_string_equal(stores_listed(fixture, "orbit", &seen).code, "no_vault");
    assert_int_equal(seen, VAULT_STORE_AWAY);
    assert_int_equal(stores_add(fixture, "orbit", "NL", &(struct kl_err){0}), KL_ERR_EXISTS);
    assert_int_equal(access(place.directory, F_OK), -1);

    stores_close(fixture);
    assert_int_equal(rename(aside, place.directory), 0);
    stores_reopen(fixture);
    assert_int_equal(stores_let_in(fixture, steward.text, NULL, NULL, NULL), KL_OK);
    assert_int_equal(stores_let_in(fixture, "kl_nobody", NULL, NULL, NULL), KL_ERR_UNAUTHORISED);
}

static void test_another_store_in_its_place_is_not_taken_for_it(void **state)
{
    struct stores_fixture *fixture = *state;
    struct stores_place orbit = stores_place_of(fixture, "orbit");
    struct stores_place focus = stores_place_of(fixture, "focus");
    char aside[3 * ADMIN_PATH_BYTES];
    int seen = 0;

    add_orbit(fixture, "NL");
    assert_int_equal(stores_add(fixture, "focus", "NL", NULL), KL_OK);
    stores_close(fixture);
    (void)snprintf(aside, sizeof aside, "%s.aside", orbit.directory);
    assert_int_equal(rename(orbit.directory, aside), 0);
    assert_int_equal(rename(focus.directory, orbit.directory), 0);
    assert_int_equal(rename(aside, focus.directory), 0);
    assert_int_equal(rename(orbit.root_file, aside), 0);
    assert_int_equal(rename(focus.root_file, orbit.root_file), 0);
    assert_int_equal(rename(aside, focus.root_file), 0);
    stores_reopen(fixture);
    assert_string_equal(stores_listed(fixture, "orbit", &seen).code, "store_other");
    assert_int_equal(seen, VAULT_STORE_AWAY);
    expect_state(fixture, "focus", VAULT_STORE_AWAY);
}

static void test_a_list_that_somebody_wrote_to_opens_nothing(void **state)
{
    struct stores_fixture *fixture = *state;
    unsigned char key[] = {KMS_SIDE_ROW, 'P', 'o', 'r', 'b', 'i', 't'};
    unsigned char other[] = {KMS_SIDE_ROW, 'P', 'f', 'o', 'c', 'u', 's'};
    struct kms_storage_write write = {.key = {key, sizeof key}};
    const struct vault_stores_options options = {.main = fixture->admin->options};
    struct vault_stores *stores = NULL;
    struct kl_buf row;
    struct kl_err err = {0};
    size_t i;

    add_orbit(fixture, "NL");
    kl_buf_init(&row, KMS_SIDE_VALUE_MAX_BYTES);
    assert_int_equal(kms_side_get(main_of(fixture)->keys, write.key, &row, NULL), KL_OK);
    for (i = 0; i < 2; i++) {
        if (i == 0) {
            row.bytes[row.size / 2] ^= 1;
        } else {
            row.bytes[row.size / 2] ^= 1; /* whole again, under another name */
            write.key = kl_slice_of(other, sizeof other);
        }
        write.value = kl_buf_slice(&row);
        assert_int_equal(kms_side_apply(main_of(fixture)->keys, &write, 1, true, NULL), KL_OK);
        stores_close(fixture);
        kl_err_clear(&err);
        assert_int_equal(vault_stores_open(&options, &stores, &err), KL_ERR_CORRUPT);
        assert_string_equal(err.code, "store_list_damaged");
        struct vault *vault = NULL;
        assert_int_equal(vault_open(&options.main, &vault, NULL), KL_OK);
        if (i == 0) { /* put it right */
            row.bytes[row.size / 2] ^= 1;
            write.value = kl_buf_slice(&row);
            assert_int_equal(kms_side_apply(vault->keys, &write, 1, true, NULL), KL_OK);
            row.bytes[row.size / 2] ^= 1;
        } else {
            write.value = (struct kl_slice){NULL, 0};
            assert_int_equal(kms_side_apply(vault->keys, &write, 1, true, NULL), KL_OK);
        }
        vault_close(vault);
        stores_reopen(fixture);
        expect_state(fixture, "orbit", VAULT_STORE_OPEN);
    }
    kl_buf_done(&row);
}

/* ---- another custodian ---- */

static struct vault_custodian_input to_custodian(const char *custodian)
{
    return (struct vault_custodian_input){.custodian = custodian, .country = "NL"};
}

static void test_the_list_follows_a_change_of_custodian(void **state)
{
    struct stores_fixture *fixture = *state;
    struct stores_place other = stores_place_of(fixture, "elsewhere");
    const struct vault_custodian_input input = to_custodian(other.custodian);
    struct vault_custodian_result result;
    struct vault *vault = NULL;
    int seen = 0;

    add_orbit(fixture, "NL");
    struct vault_caller caller =
        stores_caller(fixture, fixture->admin->operator_token.text, NULL, "orbit", &vault);
    assert_int_equal(
        vault_stores_custodian_change(fixture->stores, vault, &caller, &input, &result, NULL),
        KL_OK);
    vault_caller_done(&caller);
    assert_string_equal(stores_listed(fixture, "orbit", &seen).custodian, other.custodian);
    stores_reopen(fixture);
    assert_string_equal(stores_listed(fixture, "orbit", &seen).custodian, other.custodian);
    assert_int_equal(seen, VAULT_STORE_OPEN);
}

static void test_a_change_of_custodian_that_was_cut_short_leaves_a_store_that_opens(void **state)
{
    struct stores_fixture *fixture = *state;
    struct stores_place other = stores_place_of(fixture, "elsewhere");
    struct stores_place never = stores_place_of(fixture, "never");
    const struct vault_custodian_input input = to_custodian(other.custodian);
    struct vault_custodian_result result;
    struct vault *vault = NULL;
    struct vault_store_entry *entry = NULL;
    int seen = 0;

    add_orbit(fixture, "NL");
    struct vault_caller caller =
        stores_caller(fixture, fixture->admin->operator_token.text, NULL, "orbit", &vault);
    entry = vault_stores_find(fixture->stores, "orbit");
    struct vault_store_row row = entry->row;
    (void)snprintf(row.next, sizeof row.next, "%s", other.custodian);
    assert_int_equal(vault_store_row_put(main_of(fixture), &row, NULL), KL_OK);
    assert_int_equal(vault_custodian_change(vault, &caller, &input, &result, NULL), KL_OK);
    vault_caller_done(&caller);
    stores_reopen(fixture); /* after the root key moved, before the list said so */
    assert_string_equal(stores_listed(fixture, "orbit", &seen).custodian, other.custodian);
    assert_int_equal(seen, VAULT_STORE_OPEN);
    entry = vault_stores_find(fixture->stores, "orbit");
    assert_string_equal(entry->row.next, "");

    row = entry->row;
    (void)snprintf(row.next, sizeof row.next, "%s", never.custodian);
    assert_int_equal(vault_store_row_put(main_of(fixture), &row, NULL), KL_OK);
    stores_reopen(fixture); /* before it moved */
    assert_string_equal(stores_listed(fixture, "orbit", &seen).custodian, other.custodian);
    assert_int_equal(seen, VAULT_STORE_OPEN);
}

/* ---- copies ---- */

static void test_copies_of_one_store_lie_apart_from_all_others(void **state)
{
    struct stores_fixture *fixture = *state;
    struct stores_place orbit = stores_place_of(fixture, "orbit");
    char path[3 * ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    struct vault_caller steward =
        stores_caller(fixture, fixture->admin->steward_token.text, NULL, NULL, NULL);
    struct vault_caller caller = stores_operator(fixture);
    add_orbit(fixture, "NL");
    (void)snprintf(path, sizeof path, "%s/backups", orbit.directory);
    assert_int_equal(vault_stores_apart(fixture->stores, main_of(fixture), &steward, path, NULL),
                     KL_OK);
    assert_int_equal(vault_stores_apart(fixture->stores, main_of(fixture), &caller, path, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_directory");
    assert_int_equal(vault_stores_apart(fixture->stores, main_of(fixture), &caller,
                                        fixture->admin->folder, NULL),
                     KL_ERR_INVALID);
    (void)snprintf(path, sizeof path, "%s/backups", fixture->admin->folder);
    assert_int_equal(vault_stores_apart(fixture->stores, main_of(fixture), &caller, path, NULL),
                     KL_OK);
    vault_caller_done(&steward);
    vault_caller_done(&caller);
}

static enum kl_status apart(struct stores_fixture *fixture, const char *name)
{
    struct vault_caller caller = stores_operator(fixture);
    char path[3 * ADMIN_PATH_BYTES];
    enum kl_status status = KL_OK;

    (void)snprintf(path, sizeof path, "%s/%s", fixture->admin->folder, name);
    status = vault_stores_apart(fixture->stores, main_of(fixture), &caller, path, NULL);
    vault_caller_done(&caller);
    return status;
}

/* orbit with its root file FOLDER/vaults/orbit/key and a mirror FOLDER/copies/orbit. */
static void add_orbit_with_mirror(struct stores_fixture *fixture)
{
    struct stores_place orbit = stores_place_of(fixture, "orbit");
    char folder[3 * ADMIN_PATH_BYTES];
    struct vault_store_input input = {
        .name = "orbit", .directory = orbit.directory, .country = "NL", .custodian = folder};
    struct vault_caller caller = stores_operator(fixture);
    struct vault_store_result result;
    struct vault_mirror_result mirror;

    (void)snprintf(folder, sizeof folder, "%s/copies", fixture->admin->folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    (void)snprintf(folder, sizeof folder, "%s/vaults", fixture->admin->folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    (void)snprintf(folder, sizeof folder, "%s/vaults/orbit", fixture->admin->folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    (void)snprintf(folder, sizeof folder, "file:%s/vaults/orbit/key", fixture->admin->folder);
    assert_int_equal(
        vault_stores_add(fixture->stores, main_of(fixture), &caller, &input, &result, NULL), KL_OK);
    (void)snprintf(folder, sizeof folder, "%s/copies/orbit", fixture->admin->folder);
    assert_int_equal(vault_mirror_add(vault_stores_at(fixture->stores, 1, NULL), &caller, folder,
                                      "NL", &mirror, NULL),
                     KL_OK);
    vault_caller_done(&caller);
}

static void test_copies_lie_apart_from_mirrors_and_root_files_of_others(void **state)
{
    static const char *const together[] = {"vaults/orbit", "vaults", "copies/orbit/inside",
                                           "copies/orbit", "copies"};
    struct stores_fixture *fixture = *state;
    struct stores_place orbit = stores_place_of(fixture, "orbit");
    char aside[3 * ADMIN_PATH_BYTES];
    struct kl_err err = {0};
    int seen = 0;
    size_t i;

    add_orbit_with_mirror(fixture);
    for (i = 0; i < sizeof together / sizeof together[0]; i++) {
        assert_int_equal(apart(fixture, together[i]), KL_ERR_INVALID);
    }
    assert_int_equal(apart(fixture, "vaults/orbit/beside"), KL_OK);
    assert_int_equal(apart(fixture, "copies/another"), KL_OK);
    assert_int_equal(stores_add(fixture, "copies", "NL", &err), KL_OK); /* FOLDER/copies/data */
    stores_close(fixture);
    (void)snprintf(aside, sizeof aside, "%s-aside", orbit.directory);
    assert_int_equal(rename(orbit.directory, aside), 0);
    stores_reopen(fixture);
    (void)stores_listed(fixture, "orbit", &seen);
    assert_int_equal(seen, VAULT_STORE_AWAY);
    assert_int_equal(apart(fixture, "vaults/orbit"), KL_ERR_INVALID);
    assert_int_equal(apart(fixture, "vaults"), KL_ERR_INVALID);
    assert_int_equal(apart(fixture, "vaults/orbit/beside"), KL_OK);
    assert_int_equal(apart(fixture, "orbit/data"), KL_ERR_INVALID);
}

#define STORES(test) cmocka_unit_test_setup_teardown(test, stores_setup, stores_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORES(test_a_store_has_its_own_country_keys_and_tenants),
        STORES(test_stores_and_their_credentials_are_there_after_a_restart),
        STORES(test_a_store_is_refused_where_it_must_not_lie),
        STORES(test_a_folder_that_others_may_write_to_becomes_no_store),
        STORES(test_only_operators_make_and_see_stores),
        STORES(test_a_vault_has_at_most_sixteen_stores),
        STORES(test_a_store_that_is_away_refuses_its_own_and_no_others),
        STORES(test_another_store_in_its_place_is_not_taken_for_it),
        STORES(test_a_list_that_somebody_wrote_to_opens_nothing),
        STORES(test_the_list_follows_a_change_of_custodian),
        STORES(test_a_change_of_custodian_that_was_cut_short_leaves_a_store_that_opens),
        STORES(test_copies_of_one_store_lie_apart_from_all_others),
        STORES(test_copies_lie_apart_from_mirrors_and_root_files_of_others),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
