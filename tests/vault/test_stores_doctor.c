/* What doctor says of a vault with several stores. */
#include "kluis/base/json.h"
#include "tests/support/stores_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 131072

/* The state of a check of a store (NULL: of the vault itself); "" when there is no such check. */
static void state_of(struct stores_fixture *fixture, const char *store, const char *name,
                     char ret[16])
{
    const struct vault_stores_options options = {.main = fixture->admin->options};
    struct kl_json *json = NULL;
    struct kl_buf text;
    struct kl_json_iter iter;
    const struct kl_json_value *check = NULL;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_stores_doctor(&options, &text, NULL), KL_OK);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    ret[0] = '\0';
    iter = kl_json_iter(kl_json_member(kl_json_root(json), "checks"));
    while (kl_json_next(&iter, NULL, &check)) {
        const char *whose = kl_json_text(kl_json_member(check, "store"));

        if (strcmp(kl_json_text(kl_json_member(check, "name")), name) == 0 &&
            (whose == NULL) == (store == NULL) && (whose == NULL || strcmp(whose, store) == 0)) {
            (void)snprintf(ret, 16, "%s", kl_json_text(kl_json_member(check, "state")));
        }
    }
    kl_json_free(json);
    kl_buf_done(&text);
}

static void expect(struct stores_fixture *fixture, const char *store, const char *name,
                   const char *state)
{
    char seen[16];

    state_of(fixture, store, name, seen);
    assert_string_equal(seen, state);
}

static void test_each_store_is_examined(void **state)
{
    static const char *const names[] = {"store",          "stamp",     "data_dir",  "country",
                                        "root_file_mode", "root_file", "databases", "keys"};
    struct stores_fixture *fixture = *state;
    size_t i;

    assert_int_equal(stores_add(fixture, "orbit", "NL", NULL), KL_OK);
    stores_close(fixture);
    expect(fixture, NULL, "stamp", "ok");
    expect(fixture, NULL, "store", "");
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        expect(fixture, "orbit", names[i], "ok");
    }
    expect(fixture, "orbit", "mirrors", "warning");
    expect(fixture, "orbit", "swap", ""); /* the machine is looked at once */
    stores_reopen(fixture);
}

static void test_a_store_that_is_away_is_said_to_be(void **state)
{
    struct stores_fixture *fixture = *state;
    struct stores_place place = stores_place_of(fixture, "orbit");
    char aside[3 * ADMIN_PATH_BYTES];

    assert_int_equal(stores_add(fixture, "orbit", "NL", NULL), KL_OK);
    stores_close(fixture);
    (void)snprintf(aside, sizeof aside, "%s.aside", place.directory);
    assert_int_equal(rename(place.directory, aside), 0);
    expect(fixture, NULL, "databases", "ok");
    expect(fixture, "orbit", "stamp", "failed");
    stores_reopen(fixture);
}

static void test_stores_of_a_vault_that_is_in_use_are_left_alone(void **state)
{
    struct stores_fixture *fixture = *state;

    assert_int_equal(stores_add(fixture, "orbit", "NL", NULL), KL_OK);
    expect(fixture, NULL, "stores", "warning");
    expect(fixture, "orbit", "stamp", "");
}

#define STORES(test) cmocka_unit_test_setup_teardown(test, stores_setup, stores_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORES(test_each_store_is_examined),
        STORES(test_a_store_that_is_away_is_said_to_be),
        STORES(test_stores_of_a_vault_that_is_in_use_are_left_alone),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
