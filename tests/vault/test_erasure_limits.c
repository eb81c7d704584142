/* Erasures at the limits: of indexed values, of memory, and of what still opens. */
#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"
#include "vault/receipt.h"
#include "vault/subject_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char many_fields[] =
    "policy: press\n"
    "version: 2024-02-01\n"
    "controller: { name: Press BV, country: BE, contact: privacy@press.example }\n"
    "residency: { default: EEA }\n"
    "records:\n"
    "  card:\n"
    "    fields:\n"
    "      a: { type: text, index: true }\n"
    "      b: { type: text, index: true }\n"
    "      c: { type: text, index: true }\n"
    "      d: { type: text, index: true }\n"
    "      e: { type: text, index: true }\n"
    "      f: { type: text, index: true }\n"
    "      g: { type: text, index: true }\n"
    "      h: { type: text, index: true }\n"
    "      i: { type: text, index: true }\n"
    "      j: { type: text, index: true }\n"
    "      k: { type: text, index: true }\n"
    "      l: { type: text, index: true }\n"
    "      m: { type: text, index: true }\n"
    "      n: { type: text, index: true }\n"
    "      o: { type: text, index: true }\n"
    "      p: { type: text, index: true }\n"
    "      q: { type: text, index: true }\n"
    "    purposes: [service]\n"
    "purposes: { service: { basis: contract } }\n"
    "roles:\n"
    "  writer:\n"
    "    - { do: [write], fields: [\"*\"] }\n"
    "  reader:\n"
    "    - { do: [read, lookup], fields: [\"*\"], for: [service] }\n"
    "  dpo:\n"
    "    - { do: [erase], fields: [\"*\"] }\n";
#define CARD_FIELDS 17

/* One more card of that many fields, each with a value of that many bytes that nobody else has. */
static enum kl_status add_card(struct vault_fixture *fixture, const struct kl_id *subject,
                               size_t fields, size_t bytes)
{
    static const char *const names[CARD_FIELDS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i",
                                                   "j", "k", "l", "m", "n", "o", "p", "q"};
    static size_t number;
    struct vault_field_input inputs[CARD_FIELDS];
    char *texts = malloc(fields * (bytes + 1));
    const struct vault_record_input record = {
        .type = "card", .fields = inputs, .field_count = fields};
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_record_result added;
    enum kl_status status = KL_OK;
    size_t i;

    assert_non_null(texts);
    memset(texts, 'x', fields * (bytes + 1));
    for (i = 0; i < fields; i++) {
        char *text = texts + i * (bytes + 1);

        memcpy(text + snprintf(text, bytes, "%zu", number++), "x", 1);
        text[bytes] = 0;
        inputs[i] = fixture_field(names[i], text);
    }
    kl_arena_reset(fixture->arena);
    kl_err_clear(&fixture->err);
    status = vault_record_add(fixture_vault(fixture), &writer, subject, &record, NULL,
                              fixture->arena, &added, &fixture->err);
    vault_caller_done(&writer);
    free(texts);
    return status;
}

static struct kl_id make_nobody(struct vault_fixture *fixture)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_subject_input input = {0};
    struct vault_subject_result made = {0};

    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &made, NULL),
                     KL_OK);
    vault_caller_done(&writer);
    return made.id;
}

/* Nobody may be stored who could not be erased. */
static void test_nobody_has_more_indexed_values_than_one_erasure_holds(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result read = {0};
    struct kl_id subject;
    size_t i;

    (void)admin_apply(fixture->admin, many_fields);
    subject = make_nobody(fixture);
    for (i = 0; i < VAULT_INDEXED_MAX / CARD_FIELDS; i++) {
        assert_int_equal(add_card(fixture, &subject, CARD_FIELDS, 16), KL_OK);
    }
    assert_int_equal(add_card(fixture, &subject, CARD_FIELDS, 16), KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_indexed_values");
    fixture_erase(fixture, &subject);
    assert_int_equal(fixture_read(fixture, "reader", &subject, "service", &read), KL_ERR_NOT_FOUND);
}

static void test_more_indexed_values_than_there_is_room_for_are_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id subject;
    size_t i;

    (void)admin_apply(fixture->admin, many_fields);
    subject = make_nobody(fixture);
    for (i = 0; i < VAULT_WORK_MAX_BYTES / (CARD_FIELDS * (size_t)65000) + 1; i++) {
        assert_int_equal(add_card(fixture, &subject, CARD_FIELDS, 65000), KL_OK);
    }
    fixture_erase(fixture, &subject);
}

static void test_damage_keeps_nobody_from_being_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "ana@example.org");
    struct vault_subject_result read = {0};
    struct kl_buf receipt;

    kl_buf_init(&receipt, VAULT_RECEIPT_MAX_BYTES);
    fixture_damage(fixture, &made.id);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_ERR_CORRUPT);
    assert_int_equal(
        fixture_try_erase(fixture, "half_dpo", &made.id, VAULT_ERASE_REQUEST, &receipt),
        KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &made.id, VAULT_ERASE_REQUEST, &receipt),
                     KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &made.id, VAULT_ERASE_REQUEST, &receipt),
                     KL_ERR_NOT_FOUND);
    kl_buf_done(&receipt);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nobody_has_more_indexed_values_than_one_erasure_holds),
        TEST(test_more_indexed_values_than_there_is_room_for_are_erased),
        TEST(test_damage_keeps_nobody_from_being_erased),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
