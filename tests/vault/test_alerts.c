/* From when on the use of a credential is told of, and how often. */
#include "vault/alerts.h"

#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/webhook_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define HOUR_US (3600 * KL_TIME_SECOND_US)

static const char policy[] =
    "policy: desk\n"
    "version: 1\n"
    "controller: { name: Desk BV, country: BE, contact: privacy@desk.example }\n"
    "records:\n"
    "  person:\n"
    "    fields: { name: { type: text, mask: initials }, email: { type: email, index: true } }\n"
    "    purposes: [service]\n"
    "purposes: { service: { basis: contract } }\n"
    "roles:\n"
    "  app: [ { do: [write], fields: [\"*\"] } ]\n"
    "  desk: [ { do: [read, lookup], fields: [person.name], for: [service] } ]\n"
    "  quiet: [ { do: [read], fields: [person.name], for: [service] } ]\n"
    "  clock: [ { do: [read], fields: [person.name], for: [service] } ]\n"
    "alerts:\n"
    "  refusals: { bulk: 3, per_hour: 1 }\n"
    "  roles:\n"
    "    desk: { volume: { bulk: 4, per_hour: 1 } }\n"
    "    quiet: { volume: off, refusals: off }\n"
    "    clock: { hours: \"%s UTC\" }\n";

enum { PEOPLE = 3 };
static struct kl_id people[PEOPLE];

static int setup(void **state)
{
    struct vault_fixture *fixture = NULL;
    char text[sizeof policy + 16];
    char hours[16];
    int64_t minute = kl_time_now_us() / (60 * KL_TIME_SECOND_US);

    if (vault_fixture_setup(state) != 0) {
        return -1;
    }
    fixture = *state;
    minute = (minute + 120) % 1440; /* from in two hours on, for one */
    (void)snprintf(hours, sizeof hours, "%02d:%02d-%02d:%02d", (int)(minute / 60),
                   (int)(minute % 60), (int)((minute + 60) % 1440 / 60), (int)(minute % 60));
    (void)snprintf(text, sizeof text, policy, hours);
    (void)admin_apply(fixture->admin, text);
    for (size_t i = 0; i < PEOPLE; i++) {
        const struct vault_field_input fields[] = {fixture_field("name", "Ann Ash"),
                                                   fixture_field("email", "ann@mail.example")};
        const struct vault_record_input record = {
            .type = "person", .fields = fields, .field_count = 2};
        const struct vault_subject_input input = {.records = &record, .record_count = 1};
        struct vault_subject_result made = {0};
        struct vault_caller caller = fixture_caller(fixture, "app");

        if (vault_subject_create(fixture_vault(fixture), &caller, &input, NULL, fixture->arena,
                                 &made, NULL) != KL_OK) {
            return -1;
        }
        vault_caller_done(&caller);
        people[i] = made.id;
    }
    return 0;
}

static size_t raised(struct vault_fixture *fixture, enum vault_alert alert)
{
    return (size_t)vault_alerts_raised(fixture_vault(fixture)->alerts, alert);
}

static size_t entries(struct vault_fixture *fixture, const char *piece)
{
    return fixture_trail(fixture, piece);
}

static void reads(struct vault_fixture *fixture, const char *role, size_t count)
{
    struct vault_subject_result seen;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture_read(fixture, role, &people[i % PEOPLE], "service", &seen), KL_OK);
    }
}

static void misses(struct vault_fixture *fixture, const char *role, size_t count)
{
    struct vault_subject_result seen;
    const struct kl_id nobody = kl_id_new();

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture_read(fixture, role, &nobody, "service", &seen), KL_ERR_NOT_FOUND);
        kl_err_clear(&fixture->err);
    }
}

static void run_task(struct vault_fixture *fixture, int64_t later_us)
{
    assert_int_equal(
        vault_alerts_task(fixture_vault(fixture), kl_time_now_us() + later_us, &fixture->err),
        KL_OK);
}

static void test_more_people_than_the_bucket_holds_is_told_once(void **state)
{
    struct vault_fixture *fixture = *state;

    reads(fixture, "desk", 4);
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 0);
    assert_int_equal(entries(fixture, "\"action\":\"alert\""), 0);
    reads(fixture, "desk", 1);
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 1);
    assert_int_equal(entries(fixture, "\"alert\":\"volume\""), 1);
    assert_int_equal(entries(fixture, "\"alerted_role\":\"desk\",\"count\":1,\"repeated\":false,"
                                      "\"bulk\":4,\"per_hour\":1,\"window_s\":3600"),
                     1);
    reads(fixture, "desk", 20); /* nobody is refused, and no storm */
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 1);
    assert_int_equal(raised(fixture, VAULT_ALERT_REFUSALS), 0);
}

static void test_what_came_in_a_window_is_told_at_its_end(void **state)
{
    struct vault_fixture *fixture = *state;

    reads(fixture, "desk", 4 + 1 + 7);
    run_task(fixture, HOUR_US / 2);
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 1);
    run_task(fixture, HOUR_US + KL_TIME_SECOND_US);
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 2);
    assert_int_equal(entries(fixture, "\"count\":7,\"repeated\":true"), 1);
    run_task(fixture, HOUR_US + HOUR_US / 2);
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 2);
    run_task(fixture, 3 * HOUR_US); /* nothing came: the window is over */
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 2);
    reads(fixture, "desk", 1);
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 3);
}

static void test_refusals_of_all_kinds_count_whatever_comes_between(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller desk = fixture_caller(fixture, "desk");
    struct vault_subject_result seen;
    struct vault_read_input input = {.subject = people[0], .purpose = "service"};
    const char *const email[] = {"person.email"};
    struct kl_buf receipt;

    misses(fixture, "desk", 1);
    reads(fixture, "desk", 1);
    input.fields = email;
    input.field_count = 1;
    assert_int_equal(fixture_read_as(fixture, desk, input, &seen), KL_OK); /* all of it withheld */
    kl_buf_init(&receipt, 65536);
    assert_int_equal(fixture_try_erase(fixture, "desk", &people[0], VAULT_ERASE_REQUEST, &receipt),
                     KL_ERR_NOT_FOUND);
    kl_buf_done(&receipt);
    reads(fixture, "desk", 1);
    assert_int_equal(raised(fixture, VAULT_ALERT_REFUSALS), 0);
    misses(fixture, "desk", 1);
    assert_int_equal(raised(fixture, VAULT_ALERT_REFUSALS), 1);
    assert_int_equal(entries(fixture, "\"alert\":\"refusals\""), 1);
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 0); /* shown twice, of four */
}

static void test_a_role_may_be_quiet(void **state)
{
    struct vault_fixture *fixture = *state;

    reads(fixture, "quiet", 20);
    misses(fixture, "quiet", 20);
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME) + raised(fixture, VAULT_ALERT_REFUSALS),
                     0);
}

static void test_reads_outside_of_the_hours_are_told(void **state)
{
    struct vault_fixture *fixture = *state;

    misses(fixture, "clock", 1); /* nothing was shown */
    assert_int_equal(raised(fixture, VAULT_ALERT_HOURS), 0);
    reads(fixture, "clock", 2);
    assert_int_equal(raised(fixture, VAULT_ALERT_HOURS), 1);
    assert_int_equal(entries(fixture, "\"alert\":\"hours\""), 1);
    reads(fixture, "desk", 1);
    assert_int_equal(raised(fixture, VAULT_ALERT_HOURS), 1);
}

static void test_credentials_have_buckets_of_their_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result seen;

    reads(fixture, "desk", 4);
    for (size_t i = 0; i < 4; i++) {
        struct vault_caller other = fixture_caller_with(fixture, "desk", NULL, NULL, NULL);

        assert_int_equal(
            fixture_read_as(fixture, other,
                            (struct vault_read_input){.subject = people[0], .purpose = "service"},
                            &seen),
            KL_OK);
    }
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 0);
}

static void test_built_in_roles_are_watched_by_what_holds_for_all(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller steward = admin_steward(fixture->admin);
    struct kl_id id = kl_id_new();

    for (size_t i = 0; i < 4; i++) {
        struct vault_tenant_result *tenants = NULL;
        size_t count = 0;

        assert_int_equal(vault_tenant_list(fixture_vault(fixture), &steward, fixture->arena,
                                           &tenants, &count, NULL),
                         KL_ERR_FORBIDDEN);
    }
    (void)id;
    assert_int_equal(raised(fixture, VAULT_ALERT_REFUSALS), 1);
    assert_int_equal(entries(fixture, "\"alerted_role\":\"steward\""), 1);
    vault_caller_done(&steward);
}

static void test_an_alert_waits_for_its_webhooks(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_webhook_input input = {.url = "https://a.example/", .country = "BE"};
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_webhook_delivery delivery = {.number = 0};
    struct vault_webhook_secret secret;
    struct vault_webhook_result made;
    const char *entry = NULL;
    char id[KL_ID_TEXT_BYTES] = "";

    assert_int_equal(vault_webhook_add(fixture_vault(fixture), &steward, &input, NULL,
                                       fixture->arena, &secret, &made, NULL),
                     KL_OK);
    reads(fixture, "desk", 5);
    assert_int_equal(vault_webhook_next(fixture_vault(fixture), &delivery, NULL), KL_OK);
    kl_buf_add_byte(&delivery.body, '\0');
    assert_non_null(strstr((const char *)delivery.body.bytes, "\"type\":\"kluis.alert.volume\""));
    assert_null(strstr((const char *)delivery.body.bytes, "sub_"));
    entry = strstr((const char *)delivery.body.bytes, "\"entry\":\"aud_");
    assert_non_null(entry);
    (void)snprintf(id, sizeof id, "%.30s", entry + 9);
    assert_int_equal(entries(fixture, id), 1);
    vault_webhook_give_back(fixture_vault(fixture), &delivery);
    vault_caller_done(&steward);
}

/* ---- threads ---- */

enum { THREADS = 4, READS = 50 };

static void *read_many(void *context)
{
    struct vault_fixture *fixture = context;
    struct vault_caller caller = fixture_caller(fixture, "desk");
    struct vault_audit_entry entry = {.caller = &caller, .meaning = VAULT_AUDIT_MEANS_SHOWN};
    struct vault_audit_entry *entries_of[1] = {&entry};

    for (int i = 0; i < READS; i++) {
        vault_alerts_see(fixture_vault(fixture), entries_of, 1);
    }
    vault_caller_done(&caller);
    return NULL;
}

static void test_many_at_once_lose_no_count(void **state)
{
    struct vault_fixture *fixture = *state;
    pthread_t threads[THREADS];
    char piece[64];

    {
        struct vault_caller caller = fixture_caller(fixture, "desk"); /* made at its first use */
        vault_caller_done(&caller);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_many, fixture), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 1);
    run_task(fixture, HOUR_US + KL_TIME_SECOND_US);
    assert_int_equal(raised(fixture, VAULT_ALERT_VOLUME), 2);
    for (int first = 1; first <= THREADS * READS;
         first++) { /* those the first told, and the rest */
        (void)snprintf(piece, sizeof piece, "\"count\":%d,\"repeated\":false", first);
        if (entries(fixture, piece) == 1) {
            (void)snprintf(piece, sizeof piece, "\"count\":%d,\"repeated\":true",
                           THREADS * READS - 4 - first);
            assert_int_equal(entries(fixture, piece), 1);
            return;
        }
    }
    fail_msg("no alert in the trail");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, vault_fixture_teardown)
        TEST(test_more_people_than_the_bucket_holds_is_told_once),
        TEST(test_what_came_in_a_window_is_told_at_its_end),
        TEST(test_refusals_of_all_kinds_count_whatever_comes_between),
        TEST(test_a_role_may_be_quiet),
        TEST(test_reads_outside_of_the_hours_are_told),
        TEST(test_credentials_have_buckets_of_their_own),
        TEST(test_built_in_roles_are_watched_by_what_holds_for_all),
        TEST(test_an_alert_waits_for_its_webhooks),
        TEST(test_many_at_once_lose_no_count),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
