/* A record that several bases keep: each its own fields, until its own end. */
#include "tests/support/cut_short.h"
#include "tests/support/retained_fixture.h"

#include "kluis/base/json.h"
#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "vault/receipt.h"
#include "vault/retained_internal.h"
#include "vault/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char policy_text[] =
    "policy: lines\n"
    "version: 2026-01-01\n"
    "controller: { name: Lines BV, country: BE, contact: privacy@lines.example }\n"
    "records:\n"
    "  client:\n"
    "    fields:\n"
    "      name:    { type: text, purposes: [service, tax] }\n"
    "      iban:    { type: iban, purposes: [service, bookkeeping] }\n"
    "      invoice: { type: text, purposes: [bookkeeping, tax] }\n"
    "      chat:    { type: text, purposes: [service] }\n"
    "    purposes: [service, bookkeeping, tax]\n"
    "purposes:\n"
    "  service:     { basis: contract }\n"
    "  bookkeeping: { basis: legal_obligation, retain: P7Y after created }\n"
    "  tax:         { basis: legal_obligation, retain: P3Y after created }\n"
    "roles:\n"
    "  writer:\n"
    "    - { do: [write], fields: [\"*\"] }\n"
    "  keeper:\n"
    "    - { do: [hold] }\n"
    "  dpo:\n"
    "    - { do: [erase] }\n"
    "  reader:\n"
    "    - { do: [read], fields: [\"*\"], for: [\"*\"] }\n";

enum { NAME, IBAN, INVOICE, CHAT, FIELDS };
static const char *const field_names[FIELDS] = {"name", "iban", "invoice", "chat"};

/* values: the value slots of the fields. */
struct client {
    struct retained_somebody of;
    struct kl_id record;
    struct kl_id receipt;
    uint64_t values[FIELDS];
};

static int lines_setup(void **state)
{
    struct vault_fixture *fixture = NULL;

    assert_int_equal(vault_fixture_setup(state), 0);
    fixture = *state;
    (void)admin_apply(fixture->admin, policy_text);
    return 0;
}

static void values_find(struct vault_fixture *fixture, struct client *client)
{
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct vault_subject subject = {0};
    size_t i;
    size_t k;

    assert_int_equal(vault_subject_load(fixture_vault(fixture), client->of.tenant, client->of.slot,
                                        arena, &subject, NULL),
                     KL_OK);
    for (i = 0; i < FIELDS; i++) {
        for (k = 0; strcmp(subject.records[0].fields[k].name, field_names[i]) != 0; k++) {
        }
        client->values[i] = subject.records[0].fields[k].value;
    }
    vault_subject_done(&subject);
    kl_arena_free(arena);
}

static struct client client_make(struct vault_fixture *fixture)
{
    const struct vault_field_input fields[] = {
        fixture_field("name", "Ana"), fixture_field("iban", "BE68 5390 0754 7034"),
        fixture_field("invoice", "two hundred"), fixture_field("chat", "hello")};
    const struct vault_record_input record = {
        .type = "client", .fields = fields, .field_count = FIELDS};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_subject_result made = {0};
    struct client client = {.of = {.tenant = writer.tenant}};

    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &made, &fixture->err),
                     KL_OK);
    client.of.subject = made.id;
    client.record = made.records[0].id;
    client.of.client = client.record;
    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), writer.tenant, &made.id, &client.of.slot, NULL),
        KL_OK);
    values_find(fixture, &client);
    vault_caller_done(&writer);
    return client;
}

/* Returns how many lines the answer has. */
static size_t erase(struct vault_fixture *fixture, struct client *client)
{
    return retained_erase(fixture, &client->of, &client->receipt, NULL);
}

/* ---- what is left ---- */

static bool is_there(struct vault_fixture *fixture, const struct client *client, uint64_t value)
{
    const struct kms_place place = {client->of.tenant, client->of.slot, value};
    enum kl_status status = kms_place_check(fixture_vault(fixture)->keys, &place, NULL);

    assert_true(status == KL_OK || status == KL_ERR_GONE);
    return status == KL_OK;
}

/* The keys of the fields that are there, as a text: one letter each, of "nivc". */
static const char *keys_left(struct vault_fixture *fixture, const struct client *client)
{
    static const char letters[] = "nivc";
    static char left[FIELDS + 1];
    size_t count = 0;
    size_t i;

    for (i = 0; i < FIELDS; i++) {
        if (is_there(fixture, client, client->values[i])) {
            left[count++] = letters[i];
        }
    }
    left[count] = 0;
    return left;
}

/* Rows of values in data/. */
static size_t rows_left(struct vault_fixture *fixture, const struct client *client)
{
    struct kl_buf row;
    size_t count = 0;
    size_t i;

    for (i = 0; i < FIELDS; i++) {
        struct vault_row_key key =
            vault_row_value(client->of.tenant, client->of.slot, client->values[i]);

        kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
        count += vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row,
                                 NULL) == KL_OK;
        kl_buf_done(&row);
    }
    return count;
}

/* The end of the line with that basis; 0: there is none. */
static int64_t end_of(struct vault_fixture *fixture, const char *basis)
{
    struct vault_retained found[8];
    size_t count = 0;
    size_t i;

    assert_int_equal(
        vault_retained_due_find(fixture_vault(fixture), INT64_MAX, found, 8, &count, NULL), KL_OK);
    for (i = 0; i < count && strcmp(found[i].basis, basis) != 0; i++) {
    }
    return i < count ? found[i].until_us : 0;
}

static void due(struct vault_fixture *fixture, int64_t now_us)
{
    struct kl_err err = {0};

    if (vault_retained_due(fixture_vault(fixture), now_us, &err) != KL_OK) {
        fail_msg("not ended: %s %s", err.code, err.log_text);
    }
}

/* What a role is shown, as names with a space between; NULL: nothing is found. ret_holds (may be NULL): for how many bases. */
static const char *shown(struct vault_fixture *fixture, const struct client *client,
                         const char *role, const char *purpose, int64_t later_us, size_t *ret_holds)
{
    static char names[128];
    struct vault_caller caller = fixture_caller(fixture, role);
    struct vault_record_result read = {0};
    struct vault_hold *holds = NULL;
    size_t count = 77;
    size_t i;
    enum kl_status status;

    caller.now_us += later_us;
    kl_err_clear(&fixture->err);
    status = vault_retained_read(fixture_vault(fixture), &caller, &client->receipt, &client->record,
                                 purpose, fixture->arena, &read, &holds, &count, &fixture->err);
    vault_caller_done(&caller);
    if (status != KL_OK) {
        assert_int_equal(status, KL_ERR_NOT_FOUND);
        assert_int_equal(count, 77);
        return NULL;
    }
    names[0] = 0;
    for (i = 0; i < read.field_count; i++) {
        if (read.fields[i].withheld == VAULT_GATE_NONE) {
            (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                           names[0] == 0 ? "" : " ", read.fields[i].name);
        }
    }
    for (i = 0; i < count; i++) {
        assert_true(purpose == NULL || strcmp(holds[i].basis, purpose) == 0);
    }
    if (ret_holds != NULL) {
        *ret_holds = count;
    }
    return names;
}

/* A member of the stored receipt, as a number; of "retained", how many there are. */
static int64_t receipt_says(struct vault_fixture *fixture, const struct kl_id *receipt,
                            const char *member)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    const struct kl_json_value *value = NULL;
    struct kl_json *json = NULL;
    struct kl_buf stored;
    int64_t number = -1;

    kl_buf_init(&stored, VAULT_RECEIPT_MAX_BYTES);
    assert_int_equal(vault_receipt_read(fixture_vault(fixture), &dpo, receipt, &stored, NULL),
                     KL_OK);
    fixture_receipt_cut(&stored);
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&stored), NULL, NULL), KL_OK);
    assert_int_equal(kl_json_parse(stored.bytes, stored.size, &json, NULL), KL_OK);
    value = kl_json_member(kl_json_root(json), member);
    if (kl_json_type(value) == KL_JSON_ARRAY) {
        number = (int64_t)kl_json_count(value);
    } else {
        assert_true(kl_json_int(value, &number));
    }
    kl_json_free(json);
    vault_caller_done(&dpo);
    kl_buf_done(&stored);
    return number;
}

/* ---- obligations ---- */

static void test_each_obligation_keeps_its_own_fields_for_itself(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);
    size_t holds = 0;

    assert_int_equal(erase(fixture, &client), 2);
    assert_string_equal(shown(fixture, &client, "reader", "tax", 0, &holds), "name invoice");
    assert_int_equal(holds, 1);
    assert_string_equal(shown(fixture, &client, "reader", "bookkeeping", 0, &holds),
                        "iban invoice");
    assert_int_equal(holds, 1);
    assert_null(shown(fixture, &client, "reader", "service", 0, NULL));
    assert_string_equal(shown(fixture, &client, "keeper", NULL, 0, &holds), "iban invoice name");
    assert_int_equal(holds, 2);
    assert_string_equal(keys_left(fixture, &client), "niv");
    assert_int_equal(rows_left(fixture, &client), 3);
    assert_int_equal(receipt_says(fixture, &client.receipt, "retained"), 2);
    assert_int_equal(receipt_says(fixture, &client.receipt, "records_erased"), 0);
    assert_int_equal(receipt_says(fixture, &client.receipt, "fields_erased"), 1);
}

static void test_a_field_goes_with_the_last_that_needs_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);
    int64_t tax_us = 0;
    int64_t books_us = 0;

    assert_int_equal(erase(fixture, &client), 2);
    tax_us = end_of(fixture, "tax");
    books_us = end_of(fixture, "bookkeeping");
    assert_true(tax_us < books_us);
    due(fixture, tax_us - 1);
    assert_string_equal(keys_left(fixture, &client), "niv");
    due(fixture, tax_us);
    assert_string_equal(keys_left(fixture, &client), "iv");
    assert_int_equal(rows_left(fixture, &client), 2);
    assert_null(shown(fixture, &client, "reader", "tax", 0, NULL));
    assert_string_equal(shown(fixture, &client, "reader", "bookkeeping", 0, NULL), "iban invoice");
    assert_string_equal(shown(fixture, &client, "keeper", NULL, 0, NULL), "iban invoice");
    assert_int_equal(fixture_trail(fixture, "\"action\":\"retention_end\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"retention\",\"records\":0,\"fields\":1"),
                     1);
    fixture_reopen(fixture);
    assert_string_equal(keys_left(fixture, &client), "iv");
    due(fixture, books_us);
    assert_string_equal(keys_left(fixture, &client), "");
    assert_false(is_there(fixture, &client, KMS_VALUE_NONE));
    assert_int_equal(rows_left(fixture, &client), 0);
    assert_null(shown(fixture, &client, "keeper", NULL, 0, NULL));
    assert_int_equal(end_of(fixture, "bookkeeping"), 0);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"retention\",\"records\":1,\"fields\":2"),
                     1);
}

/* Nobody reads past an end, whether upkeep came by or not. */
static void test_what_is_over_is_shown_to_nobody(void **state)
{
    const int64_t four_years_us = INT64_C(4) * 366 * KL_TIME_DAY_US;
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);
    size_t holds = 0;

    assert_int_equal(erase(fixture, &client), 2);
    assert_null(shown(fixture, &client, "reader", "tax", four_years_us, NULL));
    assert_string_equal(shown(fixture, &client, "keeper", NULL, four_years_us, &holds),
                        "iban invoice");
    assert_int_equal(holds, 1);
}

static void test_ends_that_come_together_are_one(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);

    assert_int_equal(erase(fixture, &client), 2);
    due(fixture, end_of(fixture, "bookkeeping"));
    assert_string_equal(keys_left(fixture, &client), "");
    assert_int_equal(fixture_trail(fixture, "\"action\":\"retention_end\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"retention\",\"records\":1,\"fields\":3"),
                     1);
}

/* ---- holds ---- */

static void test_a_hold_keeps_the_whole_record_until_its_own_end(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);

    assert_int_equal(retained_hold(fixture, "keeper", &client.of, &client.record, "lawsuit",
                                   retained_in_days(30)),
                     KL_OK);
    assert_int_equal(erase(fixture, &client), 3);
    assert_string_equal(keys_left(fixture, &client), "nivc");
    assert_string_equal(shown(fixture, &client, "keeper", NULL, 0, NULL), "name iban invoice chat");
    assert_string_equal(shown(fixture, &client, "reader", "bookkeeping", 0, NULL), "iban invoice");
    due(fixture, end_of(fixture, "lawsuit"));
    assert_string_equal(keys_left(fixture, &client), "niv");
    assert_string_equal(shown(fixture, &client, "keeper", NULL, 0, NULL), "iban invoice name");
}

static void test_a_hold_named_as_a_purpose_covers_it_while_it_is_longer(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client longer = client_make(fixture);
    struct client shorter = client_make(fixture);
    size_t holds = 0;

    assert_int_equal(
        retained_hold(fixture, "keeper", &longer.of, &longer.record, "tax", retained_in_days(4000)),
        KL_OK);
    assert_int_equal(erase(fixture, &longer), 2);
    assert_string_equal(shown(fixture, &longer, "reader", "tax", 0, NULL), "name invoice");
    assert_int_equal(
        retained_hold(fixture, "keeper", &shorter.of, &shorter.record, "tax", retained_in_days(9)),
        KL_OK);
    assert_int_equal(erase(fixture, &shorter), 3);
    assert_string_equal(shown(fixture, &shorter, "reader", "tax", 0, &holds), "name invoice");
    assert_int_equal(holds, 2);
    due(fixture, retained_in_days(9));
    assert_string_equal(shown(fixture, &shorter, "reader", "tax", 0, &holds), "name invoice");
    assert_int_equal(holds, 1);
    assert_string_equal(keys_left(fixture, &shorter), "niv");
    assert_string_equal(keys_left(fixture, &longer), "nivc");
}

static void test_one_basis_is_ended_and_the_others_are_left(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);
    struct vault_caller keeper = fixture_caller(fixture, "keeper");
    struct kl_buf answer;

    kl_buf_init(&answer, VAULT_RECEIPT_MAX_BYTES);
    assert_int_equal(retained_hold(fixture, "keeper", &client.of, &client.record, "lawsuit",
                                   retained_in_days(9000)),
                     KL_OK);
    assert_int_equal(erase(fixture, &client), 3);
    assert_int_equal(vault_retained_end(fixture_vault(fixture), &keeper, &client.receipt,
                                        &client.record, "nothing", &answer, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(answer.size, 0);
    assert_int_equal(vault_retained_end(fixture_vault(fixture), &keeper, &client.receipt,
                                        &client.record, "lawsuit", &answer, NULL),
                     KL_OK);
    fixture_receipt_cut(&answer);
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&answer), NULL, NULL), KL_OK);
    assert_string_equal(keys_left(fixture, &client), "niv");
    assert_string_equal(shown(fixture, &client, "reader", "tax", 0, NULL), "name invoice");
    assert_int_equal(vault_retained_end(fixture_vault(fixture), &keeper, &client.receipt,
                                        &client.record, NULL, &answer, NULL),
                     KL_OK);
    assert_string_equal(keys_left(fixture, &client), "");
    vault_caller_done(&keeper);
    kl_buf_done(&answer);
}

static void test_a_record_is_not_erased_by_itself_before_the_last_end(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_buf answer;
    char until[KL_TIME_TEXT_BYTES];
    char said[sizeof fixture->err.client_text];

    kl_buf_init(&answer, VAULT_RECEIPT_MAX_BYTES);
    assert_int_equal(retained_hold(fixture, "keeper", &client.of, &client.record, "lawsuit",
                                   retained_in_days(30)),
                     KL_OK);
    dpo.now_us += INT64_C(6) * 365 * KL_TIME_DAY_US;
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &client.of.subject,
                                        &client.record, VAULT_ERASE_REQUEST, &answer,
                                        &fixture->err),
                     KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "record_held");
    (void)snprintf(said, sizeof said, "%s", fixture->err.client_text);
    assert_int_equal(erase(fixture, &client), 3);
    kl_time_format(end_of(fixture, "bookkeeping"), until);
    assert_non_null(strstr(said, until));
    vault_caller_done(&dpo);
    kl_buf_done(&answer);
}

/* ---- crashes, older copies, damage ---- */

static void test_a_receipt_that_a_crash_delayed_has_every_line(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);
    struct vault_retained found;
    struct kl_buf answer;
    size_t count = 0;

    kl_buf_init(&answer, VAULT_RECEIPT_ANSWER_MAX_BYTES);
    cut_short_after_the_commit(fixture);
    assert_int_equal(
        fixture_try_erase(fixture, "dpo", &client.of.subject, VAULT_ERASE_REQUEST, &answer),
        KL_ERR_UNAVAILABLE);
    fixture_reopen(fixture);
    assert_int_equal(
        vault_retained_due_find(fixture_vault(fixture), INT64_MAX, &found, 1, &count, NULL), KL_OK);
    client.receipt = found.receipt;
    assert_int_equal(receipt_says(fixture, &client.receipt, "retained"), 2);
    assert_string_equal(shown(fixture, &client, "reader", "tax", 0, NULL), "name invoice");
    assert_int_equal(rows_left(fixture, &client), 3);
    kl_buf_done(&answer);
}

static void test_an_end_that_a_crash_cut_short_is_done_at_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);
    int64_t tax_us = 0;

    assert_int_equal(erase(fixture, &client), 2);
    tax_us = end_of(fixture, "tax");
    cut_short_after_the_commit(fixture);
    assert_int_equal(vault_retained_due(fixture_vault(fixture), tax_us, NULL), KL_ERR_UNAVAILABLE);
    assert_string_equal(keys_left(fixture, &client), "iv");
    assert_int_equal(rows_left(fixture, &client), 3);
    fixture_reopen(fixture);
    assert_int_equal(end_of(fixture, "tax"), 0);
    assert_int_equal(rows_left(fixture, &client), 2);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"retention_end\""), 1);
    assert_string_equal(shown(fixture, &client, "reader", "bookkeeping", 0, NULL), "iban invoice");
}

static void test_an_older_data_directory_brings_nothing_back_that_ended(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);
    struct vault_caller caller = fixture_caller(fixture, "reader"); /* known to the copy */
    char copy[ADMIN_PATH_BYTES];
    char data[ADMIN_PATH_BYTES];

    vault_caller_done(&caller);
    fixture_path(fixture, "copy", copy);
    fixture_path(fixture, "data/data", data);
    admin_close(fixture->admin);
    admin_copy(data, copy);
    admin_reopen(fixture->admin);
    assert_int_equal(erase(fixture, &client), 2);
    due(fixture, end_of(fixture, "tax"));
    admin_close(fixture->admin);
    admin_remove(data);
    admin_copy(copy, data);
    admin_reopen(fixture->admin);
    assert_string_equal(keys_left(fixture, &client), "iv");
    assert_int_equal(rows_left(fixture, &client), 2);
    assert_null(shown(fixture, &client, "reader", "tax", 0, NULL));
    assert_string_equal(shown(fixture, &client, "reader", "bookkeeping", 0, NULL), "iban invoice");
}

/* The row of a line, with its last byte flipped. */
static enum kl_status flip(void *context, struct kl_slice key, struct kl_slice value,
                           struct kl_err *err)
{
    struct vault_fixture *fixture = context;
    struct vault_retained row;
    struct kl_slice sealed;

    (void)err;
    assert_true(vault_retained_row_read(key, value, &row, &sealed));
    if (strcmp(row.basis, "bookkeeping") == 0) {
        unsigned char *copy = malloc(value.size);
        const struct kms_storage_write write = {.key = key, .value = kl_slice_of(copy, value.size)};

        assert_non_null(copy);
        memcpy(copy, value.bytes, value.size);
        copy[value.size - 1] ^= 1;
        assert_int_equal(kms_side_apply(fixture_vault(fixture)->keys, &write, 1, true, NULL),
                         KL_OK);
        free(copy);
    }
    return KL_OK;
}

/* Nobody can say what a damaged line needs: it keeps what it may need, and all of it goes when it is over. */
static void test_a_damaged_line_keeps_others_from_nothing_and_goes_at_its_end(void **state)
{
    struct vault_fixture *fixture = *state;
    struct client client = client_make(fixture);
    int64_t tax_us = 0;
    int64_t books_us = 0;

    assert_int_equal(erase(fixture, &client), 2);
    tax_us = end_of(fixture, "tax");
    books_us = end_of(fixture, "bookkeeping");
    assert_int_equal(kms_side_range(fixture_vault(fixture)->keys, kl_slice_text(RETAINED_ROW), flip,
                                    fixture, NULL),
                     KL_OK);
    assert_null(shown(fixture, &client, "reader", "bookkeeping", 0, NULL));
    assert_string_equal(shown(fixture, &client, "reader", "tax", 0, NULL), "name invoice");
    due(fixture, tax_us);
    assert_string_equal(keys_left(fixture, &client), "i");
    due(fixture, books_us);
    assert_string_equal(keys_left(fixture, &client), "");
    assert_false(is_there(fixture, &client, KMS_VALUE_NONE));
    assert_int_equal(end_of(fixture, "bookkeeping"), 0);
}

/* ---- many ---- */

#define MANY_OBLIGATIONS 5

static void many_policy(struct vault_fixture *fixture)
{
    char text[8192];
    char names[256] = "service";
    size_t size;
    int i;

    for (i = 0; i < MANY_OBLIGATIONS; i++) {
        (void)snprintf(names + strlen(names), sizeof names - strlen(names), ", law%d", i);
    }
    (void)snprintf(text, sizeof text,
                   "policy: many\nversion: 2026-01-01\n"
                   "controller: { name: Many BV, country: BE, contact: privacy@many.example }\n"
                   "records:\n  client:\n    fields:\n      iban: { type: iban }\n"
                   "    purposes: [%s]\n"
                   "purposes:\n  service: { basis: contract }\n",
                   names);
    for (i = 0; i < MANY_OBLIGATIONS; i++) {
        size = strlen(text);
        (void)snprintf(text + size, sizeof text - size,
                       "  law%d: { basis: legal_obligation, retain: P%dY after created }\n", i,
                       i + 1);
    }
    size = strlen(text);
    (void)snprintf(text + size, sizeof text - size, "%s", strstr(policy_text, "roles:\n"));
    (void)admin_apply(fixture->admin, text);
}

static void test_thousands_of_lines_are_kept_and_told_of(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_field_input field = fixture_field("iban", "BE68 5390 0754 7034");
    const struct vault_record_input record = {.type = "client", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_caller writer;
    struct vault_subject_result made = {0};
    struct vault_record_result added;
    struct client client = {.of = {.tenant = 0}};
    size_t i;

    many_policy(fixture);
    writer = fixture_caller(fixture, "writer");
    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &made, &fixture->err),
                     KL_OK);
    for (i = 1; i < VAULT_RECORDS_MAX; i++) {
        assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, NULL,
                                          fixture->arena, &added, NULL),
                         KL_OK);
    }
    client.of.subject = made.id;
    client.record = added.id;
    assert_int_equal(erase(fixture, &client), (size_t)VAULT_RECORDS_MAX * MANY_OBLIGATIONS);
    assert_int_equal(receipt_says(fixture, &client.receipt, "retained"),
                     VAULT_RECORDS_MAX * MANY_OBLIGATIONS);
    assert_string_equal(shown(fixture, &client, "reader", "law4", 0, NULL), "iban");
    vault_caller_done(&writer);
}

int main(void)
{
#define LINES(name) cmocka_unit_test_setup_teardown(name, lines_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LINES(test_each_obligation_keeps_its_own_fields_for_itself),
        LINES(test_a_field_goes_with_the_last_that_needs_it),
        LINES(test_what_is_over_is_shown_to_nobody),
        LINES(test_ends_that_come_together_are_one),
        LINES(test_a_hold_keeps_the_whole_record_until_its_own_end),
        LINES(test_a_hold_named_as_a_purpose_covers_it_while_it_is_longer),
        LINES(test_one_basis_is_ended_and_the_others_are_left),
        LINES(test_a_record_is_not_erased_by_itself_before_the_last_end),
        LINES(test_a_receipt_that_a_crash_delayed_has_every_line),
        LINES(test_an_end_that_a_crash_cut_short_is_done_at_open),
        LINES(test_an_older_data_directory_brings_nothing_back_that_ended),
        LINES(test_a_damaged_line_keeps_others_from_nothing_and_goes_at_its_end),
        LINES(test_thousands_of_lines_are_kept_and_told_of),
    };

    return cmocka_run_group_tests_name("retained lines", tests, admin_group_setup, NULL);
}
