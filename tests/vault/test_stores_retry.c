/* A store that is away is tried again, and comes back by itself. */
#include "tests/support/stores_fixture.h"
#include "tests/support/test.h"
#include "vault/stores_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 20
#define LOOKS 500

/* How often a secret was asked for, and what is given. */
struct asked {
    atomic_uint times;
    const char *secret; /* NULL: none */
};

static enum kl_status give(void *context, const char *store, const char *custodian,
                           struct kl_secret **ret, size_t *ret_bytes, struct kl_err *err)
{
    struct asked *asked = context;

    (void)custodian;
    assert_string_equal(store, "orbit");
    atomic_fetch_add(&asked->times, 1);
    if (asked->secret == NULL) {
        return KL_OK;
    }
    *ret_bytes = strlen(asked->secret);
    *ret = kl_secret_new(*ret_bytes);
    if (*ret == NULL) {
        return kl_fail_memory(err);
    }
    memcpy(kl_secret_bytes(*ret), asked->secret, *ret_bytes);
    return KL_OK;
}

/* Close, and open again, with a retrier (retry_ms 0: without one). */
static void reopen(struct stores_fixture *fixture, struct asked *asked, int64_t retry_ms)
{
    const struct vault_stores_options options = {.main = fixture->admin->options,
                                                 .secret = give,
                                                 .secret_context = asked,
                                                 .retry_ms = retry_ms};
    const struct vault_upkeep_options upkeep = {.sweep_at_s = -1};

    stores_close(fixture);
    assert_int_equal(vault_stores_open(&options, &fixture->stores, NULL), KL_OK);
    if (retry_ms != 0) {
        assert_int_equal(vault_stores_upkeep_start(fixture->stores, &upkeep, NULL), KL_OK);
    }
}

static void move(struct stores_fixture *fixture, bool aside)
{
    struct stores_place place = stores_place_of(fixture, "orbit");
    char other[3 * ADMIN_PATH_BYTES];

    (void)snprintf(other, sizeof other, "%s.aside", place.directory);
    assert_int_equal(aside ? rename(place.directory, other) : rename(other, place.directory), 0);
}

static int state_of(struct stores_fixture *fixture)
{
    int seen = 0;

    (void)stores_listed(fixture, "orbit", &seen);
    return seen;
}

static void pause_ms(long ms)
{
    const struct timespec pause = {0, ms * 1000000};

    (void)nanosleep(&pause, NULL);
}

static bool comes_back(struct stores_fixture *fixture)
{
    int i;

    for (i = 0; i < LOOKS && state_of(fixture) != VAULT_STORE_OPEN; i++) {
        pause_ms(10);
    }
    return i < LOOKS;
}

/* "orbit" with the tenant "acme" and its steward. */
static struct vault_token make_orbit(struct stores_fixture *fixture)
{
    struct kl_err err = {0};

    if (stores_add(fixture, "orbit", "NL", &err) != KL_OK) {
        fail_msg("no store: %s %s %s", err.code, err.client_text, err.log_text);
    }
    assert_int_equal(stores_tenant(fixture, "acme", "orbit", NULL, NULL), KL_OK);
    return stores_steward(fixture, "acme");
}

static void test_a_store_comes_back_by_itself(void **state)
{
    struct stores_fixture *fixture = *state;
    struct asked asked = {.secret = NULL};
    struct vault_token steward = make_orbit(fixture);
    struct vault_caller caller;
    struct vault *vault = NULL;
    unsigned before = 0;

    stores_close(fixture);
    move(fixture, true);
    reopen(fixture, &asked, RETRY_MS);
    before = atomic_load(&asked.times);
    assert_int_equal(state_of(fixture), VAULT_STORE_AWAY);
    assert_int_equal(stores_let_in(fixture, steward.text, NULL, NULL, NULL), KL_ERR_UNAVAILABLE);
    while (atomic_load(&asked.times) < before + 3) { /* tried, and still away */
        pause_ms(10);
    }
    assert_int_equal(state_of(fixture), VAULT_STORE_AWAY);
    move(fixture, false);
    assert_true(comes_back(fixture));
    assert_false(vault_stores_any_away(fixture->stores));
    caller = stores_caller(fixture, steward.text, NULL, NULL, &vault);
    assert_string_equal(vault_store_name(vault), "orbit");
    vault_caller_done(&caller);
    assert_int_equal(stores_let_in(fixture, "kl_nobody", NULL, NULL, NULL), KL_ERR_UNAUTHORISED);
    assert_int_equal(stores_tenant(fixture, "new", "orbit", NULL, NULL), KL_OK);
    before = atomic_load(&asked.times);
    pause_ms(5 * RETRY_MS);
    assert_int_equal(atomic_load(&asked.times), before); /* one that is open is not tried */
}

static void test_it_is_said_why_and_when_it_was_tried_last(void **state)
{
    struct stores_fixture *fixture = *state;
    struct asked asked = {.secret = NULL};
    struct stores_place place = stores_place_of(fixture, "orbit");
    struct vault_store_result first;
    struct vault_store_result second;
    int seen = 0;

    (void)make_orbit(fixture);
    stores_close(fixture);
    move(fixture, true);
    reopen(fixture, &asked, 0);
    first = stores_listed(fixture, "orbit", &seen);
    assert_string_equal(first.code, "no_vault");
    assert_int_not_equal(first.tried_us, 0);
    move(fixture, false);
    assert_int_equal(unlink(place.root_file), 0);
    vault_stores_retry(fixture->stores);
    second = stores_listed(fixture, "orbit", &seen);
    assert_int_equal(seen, VAULT_STORE_AWAY);
    assert_string_equal(second.code, "root_file_missing");
    assert_true(second.tried_us > first.tried_us);
}

static void test_a_wrong_passphrase_is_not_tried_again(void **state)
{
    struct stores_fixture *fixture = *state;
    struct asked asked = {.secret = "not what it was"};
    struct stores_place place = stores_place_of(fixture, "orbit");
    char custodian[sizeof place.root_file + 16];
    struct vault_caller caller = stores_operator(fixture);
    struct vault_store_result result;
    struct vault_store_input input = {.name = "orbit",
                                      .directory = place.directory,
                                      .country = "NL",
                                      .custodian = custodian,
                                      .passphrase = kl_slice_text("correct horse battery staple")};
    int seen = 0;

    (void)snprintf(custodian, sizeof custodian, "passphrase:%s", place.root_file);
    assert_int_equal(vault_stores_add(fixture->stores, vault_stores_main(fixture->stores), &caller,
                                      &input, &result, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    reopen(fixture, &asked, 0);
    assert_string_equal(stores_listed(fixture, "orbit", &seen).code, "wrong_passphrase");
    assert_int_equal(atomic_load(&asked.times), 1);
    asked.secret = "correct horse battery staple";
    vault_stores_retry(fixture->stores);
    assert_int_equal(atomic_load(&asked.times), 1);
    assert_int_equal(state_of(fixture), VAULT_STORE_AWAY);
    reopen(fixture, &asked, 0);
    assert_int_equal(state_of(fixture), VAULT_STORE_OPEN);
}

/* The secret is what hangs here, as a directory may: nobody waits for it. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool hangs;
static enum kl_status hang(void *context, const char *store, const char *custodian,
                           struct kl_secret **ret, size_t *ret_bytes, struct kl_err *err)
{
    (void)context, (void)store, (void)custodian, (void)ret, (void)ret_bytes, (void)err;
    atomic_store(&hangs, true);
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
    return KL_OK;
}

static void test_no_request_waits_while_it_is_tried(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault_stores_options options = {
        .main = fixture->admin->options, .secret = hang, .retry_ms = RETRY_MS};
    const struct vault_upkeep_options upkeep = {.sweep_at_s = -1};

    (void)make_orbit(fixture);
    stores_close(fixture);
    move(fixture, true);
    assert_int_equal(vault_stores_open(&options, &fixture->stores, NULL), KL_OK);
    (void)pthread_mutex_lock(&gate);
    atomic_store(&hangs, false);
    assert_int_equal(vault_stores_upkeep_start(fixture->stores, &upkeep, NULL), KL_OK);
    while (!atomic_load(&hangs)) {
        pause_ms(10);
    }
    assert_int_equal(stores_let_in(fixture, fixture->admin->steward_token.text, NULL, NULL, NULL),
                     KL_OK);
    assert_int_equal(stores_tenant(fixture, "default", NULL, NULL, NULL), KL_OK);
    assert_int_equal(stores_tenant(fixture, "new", NULL, NULL, NULL), KL_ERR_UNAVAILABLE);
    assert_int_equal(state_of(fixture), VAULT_STORE_AWAY);
    move(fixture, false);
    (void)pthread_mutex_unlock(&gate);
    assert_true(comes_back(fixture));
}

#define STORES(test) cmocka_unit_test_setup_teardown(test, stores_setup, stores_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORES(test_a_store_comes_back_by_itself),
        STORES(test_it_is_said_why_and_when_it_was_tried_last),
        STORES(test_a_wrong_passphrase_is_not_tried_again),
        STORES(test_no_request_waits_while_it_is_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
