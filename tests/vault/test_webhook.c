/* Webhooks on a vault: declared, told, sent, tried again; what survives, what may not leave, what goes with its tenant. */
#include "vault/webhook_internal.h"

#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

#define URL "https://siem.example/hooks"
#define HEADS_DATA "{\"size\":3}"

static const char eea_policy[] =
    "policy: desk\n"
    "version: 1\n"
    "controller: { name: Desk BV, country: BE, contact: privacy@desk.example }\n"
    "residency: { default: EEA }\n"
    "records: { person: { fields: { name: { type: text } }, purposes: [service] } }\n"
    "purposes: { service: { basis: contract } }\n"
    "roles: { reader: [ { do: [read], fields: [\"*\"], for: [service] } ] }\n";
static const char us_policy[] =
    "policy: desk\n"
    "version: 2\n"
    "controller: { name: Desk BV, country: BE, contact: privacy@desk.example }\n"
    "residency: { default: EEA, transfers: [ { to: [US], mechanism: standard_clauses } ] }\n"
    "records: { person: { fields: { name: { type: text } }, purposes: [service] } }\n"
    "purposes: { service: { basis: contract } }\n"
    "roles: { reader: [ { do: [read], fields: [\"*\"], for: [service] } ] }\n";
static const char narrow_policy[] =
    "policy: desk\n"
    "version: 3\n"
    "controller: { name: Desk BV, country: BE, contact: privacy@desk.example }\n"
    "residency: { default: EEA, transfers: [ { to: [US], mechanism: standard_clauses, purposes: "
    "[service] } ] }\n"
    "records: { person: { fields: { name: { type: text } }, purposes: [service] } }\n"
    "purposes: { service: { basis: contract } }\n"
    "roles: { reader: [ { do: [read], fields: [\"*\"], for: [service] } ] }\n";

static enum kl_status try_add(struct vault_fixture *fixture, const char *url, const char *country,
                              unsigned events, const char *key, struct vault_webhook_result *ret,
                              struct vault_webhook_secret *ret_secret)
{
    const struct vault_webhook_input input = {.url = url, .country = country, .events = events};
    const struct vault_idempotency idempotency = {.key = key};
    struct vault_caller steward = admin_steward(fixture->admin);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_webhook_add(fixture_vault(fixture), &steward, &input,
                               key == NULL ? NULL : &idempotency, fixture->arena, ret_secret, ret,
                               &fixture->err);
    vault_caller_done(&steward);
    return status;
}

static struct kl_id add(struct vault_fixture *fixture, const char *country, unsigned events)
{
    struct vault_webhook_result made;
    struct vault_webhook_secret secret;

    if (try_add(fixture, URL, country, events, NULL, &made, &secret) != KL_OK) {
        fail_msg("not added: %s %s", fixture->err.code, fixture->err.client_text);
    }
    assert_int_equal(strlen(secret.text), 50);
    return made.id;
}

static struct vault_webhook_result now(struct vault_fixture *fixture, const struct kl_id *id)
{
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_webhook_result ret;

    assert_int_equal(
        vault_webhook_get(fixture_vault(fixture), &steward, id, fixture->arena, &ret, NULL), KL_OK);
    vault_caller_done(&steward);
    return ret;
}

static struct kl_id try(struct vault_fixture *fixture, const struct kl_id *id)
{
    struct vault_caller steward = admin_steward(fixture->admin);
    struct kl_id event;

    assert_int_equal(
        vault_webhook_test(fixture_vault(fixture), &steward, id, &event, &fixture->err), KL_OK);
    vault_caller_done(&steward);
    return event;
}

static enum kl_status remove_hook(struct vault_fixture *fixture, const struct kl_id *id)
{
    struct vault_caller steward = admin_steward(fixture->admin);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_webhook_remove(fixture_vault(fixture), &steward, id, &fixture->err);
    vault_caller_done(&steward);
    return status;
}

static enum kl_status next(struct vault_fixture *fixture, struct vault_webhook_delivery *ret)
{
    kl_err_clear(&fixture->err);
    memset(ret, 0, sizeof *ret);
    return vault_webhook_next(fixture_vault(fixture), ret, &fixture->err);
}

static void expect_event(const struct vault_webhook_delivery *delivery, const struct kl_id *event)
{
    char id[KL_ID_TEXT_BYTES];

    kl_id_format(VAULT_WEBHOOK_EVENT_PREFIX, event, id);
    assert_string_equal(delivery->id, id);
}

/* So that what failed is due again. */
static void make_due(struct vault_fixture *fixture)
{
    struct vault_webhooks *webhooks = fixture_vault(fixture)->webhooks;

    for (struct vault_webhook *webhook = webhooks->first; webhook != NULL;
         webhook = webhook->next) {
        webhook->due_ms = 0;
    }
}

/* ---- tests ---- */

static void test_what_is_told_waits_until_it_is_delivered(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct kl_id id = add(fixture, "BE", 0);
    struct vault_webhook_delivery delivery;
    struct kl_id first;
    struct kl_id second;

    assert_int_equal(next(fixture, &delivery), KL_ERR_NOT_FOUND);
    first = try(fixture, &id);
    second = try(fixture, &id);
    assert_int_equal(now(fixture, &id).waiting, 2);
    assert_int_equal(next(fixture, &delivery), KL_OK);
    expect_event(&delivery, &first);
    assert_string_equal(delivery.url, URL);
    assert_memory_equal(delivery.signature, "v1,", 3);
    assert_memory_equal(delivery.body.bytes, "{\"specversion\":\"1.0\"", 20);
    {
        struct vault_webhook_delivery other;

        assert_int_equal(next(fixture, &other), KL_ERR_NOT_FOUND); /* one at a time */
    }
    assert_int_equal(vault_webhook_done(fixture_vault(fixture), &delivery, NULL, NULL), KL_OK);
    assert_int_equal(next(fixture, &delivery), KL_OK);
    expect_event(&delivery, &second);
    vault_webhook_give_back(fixture_vault(fixture), &delivery);
    assert_int_equal(next(fixture, &delivery), KL_OK);
    expect_event(&delivery, &second);
    assert_int_equal(vault_webhook_done(fixture_vault(fixture), &delivery, NULL, NULL), KL_OK);
    assert_int_equal(next(fixture, &delivery), KL_ERR_NOT_FOUND);
    assert_int_equal(now(fixture, &id).delivered, 2);
    assert_int_equal(now(fixture, &id).waiting, 0);
    fixture_reopen(fixture);
    assert_int_equal(next(fixture, &delivery), KL_ERR_NOT_FOUND);
}

static void test_what_failed_comes_again_after_a_pause_that_grows(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct kl_id id = add(fixture, "BE", 0);
    const struct kl_id event = try(fixture, &id);
    struct vault_webhook_delivery delivery;
    int64_t least = VAULT_WEBHOOK_PAUSE_FIRST_MS / 2;

    for (int i = 0; i < 15; i++) {
        const struct vault_webhook *webhook = fixture_vault(fixture)->webhooks->first;
        const int64_t before = kl_time_monotonic_us() / 1000;
        int64_t pause = 0;

        assert_int_equal(next(fixture, &delivery), KL_OK);
        expect_event(&delivery, &event);
        assert_int_equal(vault_webhook_done(fixture_vault(fixture), &delivery, "status 500", NULL),
                         KL_OK);
        pause = webhook->due_ms - before;
        assert_in_range(pause, least, 2 * least + 1000);
        assert_int_equal(next(fixture, &delivery), KL_ERR_NOT_FOUND);
        make_due(fixture);
        least =
            2 * least > VAULT_WEBHOOK_PAUSE_MAX_MS / 2 ? VAULT_WEBHOOK_PAUSE_MAX_MS / 2 : 2 * least;
    }
    assert_int_equal(now(fixture, &id).failed, 15);
    assert_string_equal(now(fixture, &id).last_failure, "status 500");
    assert_int_equal(next(fixture, &delivery), KL_OK);
    assert_int_equal(vault_webhook_done(fixture_vault(fixture), &delivery, NULL, NULL), KL_OK);
    assert_int_equal(fixture_vault(fixture)->webhooks->first->tries, 0);
}

static void test_it_is_given_up_after_three_days(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct kl_id id = add(fixture, "BE", 0);
    struct vault_webhook_delivery delivery;
    struct kl_id young;

    (void)try(fixture, &id);
    young = try(fixture, &id);
    fixture_vault(fixture)->webhooks->first->first->made_us -=
        (VAULT_WEBHOOK_LIFE_S + 1) * KL_TIME_SECOND_US;
    assert_int_equal(next(fixture, &delivery), KL_OK);
    expect_event(&delivery, &young);
    vault_webhook_give_back(fixture_vault(fixture), &delivery);
    assert_int_equal(now(fixture, &id).dropped, 1);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"expired\""), 1);
}

static void test_what_waits_and_whom_it_is_for_survive(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct kl_id id = add(fixture, "BE", VAULT_WEBHOOK_HEADS);
    const struct kl_id removed = add(fixture, "BE", 0);
    const struct kl_id event = try(fixture, &id);
    struct vault_webhook_delivery delivery;

    (void)try(fixture, &removed);
    assert_int_equal(remove_hook(fixture, &removed), KL_OK);
    fixture_reopen(fixture);
    assert_int_equal(now(fixture, &id).waiting, 1);
    assert_int_equal(now(fixture, &id).events, VAULT_WEBHOOK_HEADS);
    assert_int_equal(remove_hook(fixture, &removed), KL_ERR_NOT_FOUND);
    assert_int_equal(next(fixture, &delivery), KL_OK);
    expect_event(&delivery, &event);
    assert_string_equal(delivery.url, URL);
    assert_int_equal(vault_webhook_done(fixture_vault(fixture), &delivery, NULL, NULL), KL_OK);
    assert_int_equal(next(fixture, &delivery), KL_ERR_NOT_FOUND);
}

static void test_an_older_copy_of_the_data_brings_no_target_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_webhook_delivery delivery;
    struct kl_id id = add(fixture, "BE", 0);

    (void)try(fixture, &id);
    fixture_copy(fixture);
    assert_int_equal(remove_hook(fixture, &id), KL_OK);
    fixture_put_back_data(fixture);
    assert_int_equal(remove_hook(fixture, &id), KL_ERR_NOT_FOUND);
    assert_int_equal(next(fixture, &delivery), KL_ERR_NOT_FOUND);
}

static void test_each_is_told_what_it_asks_for(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct kl_id heads = add(fixture, "BE", VAULT_WEBHOOK_HEADS);
    const struct kl_id alerts = add(fixture, "BE", VAULT_WEBHOOK_ALERTS);
    const struct kl_id all = add(fixture, "BE", 0);
    size_t entries = fixture_trail(fixture, "\"action\"");
    struct vault_webhook_delivery delivery;

    assert_int_equal(vault_webhook_tell(fixture_vault(fixture), fixture_tenant(fixture),
                                        VAULT_WEBHOOK_HEADS, "kluis.audit.head",
                                        kl_slice_text(HEADS_DATA), NULL),
                     KL_OK);
    assert_int_equal(now(fixture, &heads).waiting, 1);
    assert_int_equal(now(fixture, &alerts).waiting, 0);
    assert_int_equal(now(fixture, &all).waiting, 1);
    /* a trail that tells of its heads comes to rest: only that it was read is in it since */
    assert_int_equal(fixture_trail(fixture, "\"action\""), entries + 1);
    assert_int_equal(next(fixture, &delivery), KL_OK);
    kl_buf_add_byte(&delivery.body, '\0');
    assert_non_null(strstr((const char *)delivery.body.bytes, HEADS_DATA));
    assert_non_null(strstr((const char *)delivery.body.bytes, "\"type\":\"kluis.audit.head\""));
    vault_webhook_give_back(fixture_vault(fixture), &delivery);
    assert_int_equal(vault_webhook_tell(fixture_vault(fixture), KMS_TENANT_VAULT,
                                        VAULT_WEBHOOK_HEADS, "kluis.audit.head",
                                        kl_slice_text(HEADS_DATA), NULL),
                     KL_OK);
    assert_int_equal(now(fixture, &heads).waiting, 1); /* another trail's are not theirs */
    {
        static char big[VAULT_WEBHOOK_DATA_MAX_BYTES + 1];

        assert_int_equal(vault_webhook_tell(fixture_vault(fixture), fixture_tenant(fixture),
                                            VAULT_WEBHOOK_HEADS, "kluis.audit.head",
                                            kl_slice_of(big, sizeof big), NULL),
                         KL_ERR_TOO_LARGE);
    }
}

static void test_the_oldest_makes_room_and_the_trail_says_which(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct kl_id id = add(fixture, "BE", 0);
    const struct kl_id oldest = try(fixture, &id);
    struct vault_webhook_delivery delivery;
    char text[KL_ID_TEXT_BYTES];
    struct kl_id second;

    second = try(fixture, &id);
    assert_int_equal(next(fixture, &delivery), KL_OK); /* the first is with the sender */
    for (size_t i = 2; i < VAULT_WEBHOOK_WAITING_MAX; i++) {
        assert_int_equal(vault_webhook_tell(fixture_vault(fixture), fixture_tenant(fixture),
                                            VAULT_WEBHOOK_ALERTS, "kluis.alert.volume",
                                            kl_slice_text("{}"), NULL),
                         KL_OK);
    }
    assert_int_equal(now(fixture, &id).waiting, VAULT_WEBHOOK_WAITING_MAX);
    assert_int_equal(now(fixture, &id).dropped, 0);
    assert_int_equal(vault_webhook_tell(fixture_vault(fixture), fixture_tenant(fixture),
                                        VAULT_WEBHOOK_ALERTS, "kluis.alert.volume",
                                        kl_slice_text("{}"), NULL),
                     KL_OK);
    assert_int_equal(now(fixture, &id).waiting, VAULT_WEBHOOK_WAITING_MAX);
    assert_int_equal(now(fixture, &id).dropped, 1);
    kl_id_format(VAULT_WEBHOOK_EVENT_PREFIX, &second, text);
    assert_int_equal(fixture_trail(fixture, text), 2); /* told of as a test, and as dropped */
    kl_id_format(VAULT_WEBHOOK_EVENT_PREFIX, &oldest, text);
    assert_int_equal(fixture_trail(fixture, text), 1);
    assert_int_equal(vault_webhook_done(fixture_vault(fixture), &delivery, NULL, NULL), KL_OK);
    fixture_reopen(fixture);
    assert_int_equal(now(fixture, &id).waiting, VAULT_WEBHOOK_WAITING_MAX - 1);
}

static void test_nothing_goes_where_the_policy_lets_nothing_go(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_webhook_delivery delivery;
    struct vault_webhook_result made;
    struct vault_webhook_secret secret = {"untouched"};
    struct kl_id id;

    (void)admin_apply(fixture->admin, eea_policy);
    assert_int_equal(try_add(fixture, URL, "US", 0, NULL, &made, &secret), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "residency");
    assert_string_equal(secret.text, "untouched");
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"residency\""), 1);
    (void)admin_apply(fixture->admin, narrow_policy); /* for one purpose is not for events */
    assert_int_equal(try_add(fixture, URL, "US", 0, NULL, &made, &secret), KL_ERR_FORBIDDEN);
    (void)admin_apply(fixture->admin, us_policy);
    id = add(fixture, "US", 0);
    (void)try(fixture, &id);
    assert_int_equal(next(fixture, &delivery), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"webhook_transfer\""), 1);
    assert_int_equal(vault_webhook_done(fixture_vault(fixture), &delivery, "timed_out", NULL),
                     KL_OK);
    make_due(fixture);
    assert_int_equal(next(fixture, &delivery), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"webhook_transfer\""), 1); /* once */
    vault_webhook_give_back(fixture_vault(fixture), &delivery);
    (void)admin_apply(fixture->admin, eea_policy);
    assert_int_equal(next(fixture, &delivery), KL_ERR_NOT_FOUND);
    assert_int_equal(now(fixture, &id).dropped, 1);
    assert_int_equal(now(fixture, &id).waiting, 0);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"webhook_drop\""), 1);
}

static void test_a_secret_is_shown_once_and_there_are_not_many(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_webhook_result made;
    struct vault_webhook_secret secret;

    assert_int_equal(try_add(fixture, URL, "BE", 0, "k", &made, &secret), KL_OK);
    assert_int_equal(try_add(fixture, URL, "BE", 0, "k", &made, &secret), KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "secret_already_shown");
    for (int i = 1; i < VAULT_WEBHOOKS_MAX; i++) {
        (void)add(fixture, "BE", 0);
    }
    assert_int_equal(try_add(fixture, URL, "BE", 0, NULL, &made, &secret), KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_webhooks");
    assert_int_equal(try_add(fixture, "http://a/", "BE", 0, NULL, &made, &secret), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_url");
    assert_string_equal(fixture->err.where, "/url");
    assert_int_equal(try_add(fixture, URL, "XX", 0, NULL, &made, &secret), KL_ERR_INVALID);
    assert_string_equal(fixture->err.where, "/country");
}

static void test_only_who_answers_for_the_trail_declares_its_targets(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_webhook_input input = {.url = URL, .country = "BE"};
    const struct kl_id id = add(fixture, "BE", 0);
    struct vault_token token = admin_make(fixture->admin, "auditor", NULL);
    struct vault_caller callers[] = {fixture_caller(fixture, "reader"),
                                     admin_caller(fixture->admin, &token, NULL)};
    struct vault_webhook_secret secret;
    struct vault_webhook_result made;
    struct vault_webhook_result *list = NULL;
    struct kl_id event;
    size_t count = 0;

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vault_webhook_add(fixture_vault(fixture), &callers[i], &input, NULL,
                                           fixture->arena, &secret, &made, NULL),
                         KL_ERR_FORBIDDEN);
        assert_int_equal(vault_webhook_remove(fixture_vault(fixture), &callers[i], &id, NULL),
                         KL_ERR_FORBIDDEN);
        assert_int_equal(vault_webhook_test(fixture_vault(fixture), &callers[i], &id, &event, NULL),
                         KL_ERR_FORBIDDEN);
    }
    assert_int_equal(vault_webhook_list(fixture_vault(fixture), &callers[0], fixture->arena, &list,
                                        &count, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(vault_webhook_list(fixture_vault(fixture), &callers[1], fixture->arena, &list,
                                        &count, NULL),
                     KL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(list[0].url, URL);
    vault_caller_done(&callers[0]);
    vault_caller_done(&callers[1]);
}

static void test_a_row_that_was_changed_or_moved_is_no_target(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct kl_id id = add(fixture, "BE", 0);
    const struct kl_id other = kl_id_new();
    unsigned char key[2 + 8 + KL_ID_BYTES] = VAULT_WEBHOOK_ROW;
    struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key)};
    struct vault_webhook_text text;
    struct kl_buf row;

    kl_buf_init(&row, 65536);
    kl_put_u64be(key + 2, fixture_tenant(fixture));
    memcpy(key + 10, id.bytes, KL_ID_BYTES);
    assert_int_equal(
        kms_side_get(fixture_vault(fixture)->keys, kl_slice_of(key, sizeof key), &row, NULL),
        KL_OK);
    assert_null(memmem(row.bytes, row.size, "siem.example", 12));
    memcpy(key + 10, other.bytes, KL_ID_BYTES);
    write.value = kl_buf_slice(&row);
    assert_int_equal(kms_side_apply(fixture_vault(fixture)->keys, &write, 1, true, NULL), KL_OK);
    assert_int_equal(vault_webhook_row_read(fixture_vault(fixture), fixture_tenant(fixture), &other,
                                            &text, NULL),
                     KL_ERR_CORRUPT);
    row.bytes[row.size - 1] ^= 1;
    memcpy(key + 10, id.bytes, KL_ID_BYTES);
    write.value = kl_buf_slice(&row);
    assert_int_equal(kms_side_apply(fixture_vault(fixture)->keys, &write, 1, true, NULL), KL_OK);
    fixture_reopen(fixture); /* which works without it */
    assert_null(fixture_vault(fixture)->webhooks->first);
    kl_buf_done(&row);
}

static void test_targets_go_with_their_tenant(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller operator= admin_operator(fixture->admin);
    const struct kl_id id = add(fixture, "BE", 0);
    struct vault_webhook_delivery delivery;
    struct kl_buf receipt;
    int64_t ends_us = 0;

    (void)try(fixture, &id);
    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_tenant_end(fixture_vault(fixture), &operator, VAULT_DEFAULT_TENANT,
                                      &receipt, &ends_us, &fixture->err),
                     KL_OK);
    assert_null(fixture_vault(fixture)->webhooks->first);
    assert_int_equal(next(fixture, &delivery), KL_ERR_NOT_FOUND);
    fixture_reopen(fixture);
    assert_null(fixture_vault(fixture)->webhooks->first);
    kl_buf_done(&receipt);
    vault_caller_done(&operator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)
        TEST(test_what_is_told_waits_until_it_is_delivered),
        TEST(test_what_failed_comes_again_after_a_pause_that_grows),
        TEST(test_it_is_given_up_after_three_days),
        TEST(test_what_waits_and_whom_it_is_for_survive),
        TEST(test_an_older_copy_of_the_data_brings_no_target_back),
        TEST(test_each_is_told_what_it_asks_for),
        TEST(test_the_oldest_makes_room_and_the_trail_says_which),
        TEST(test_nothing_goes_where_the_policy_lets_nothing_go),
        TEST(test_a_secret_is_shown_once_and_there_are_not_many),
        TEST(test_only_who_answers_for_the_trail_declares_its_targets),
        TEST(test_a_row_that_was_changed_or_moved_is_no_target),
        TEST(test_targets_go_with_their_tenant),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
