/* The ledger of disclosures: written, read, counted up, merged when it is full. */
#include "vault/disclosure_text.h"

#include "tests/support/test.h"
#include "vault/manifest.h"

#include <stdio.h>
#include <string.h>

#define ARENA_BYTES (16 * 1024 * 1024)

struct ledger_fixture {
    struct kl_arena *arena;
    struct vault_disclosures ledger;
    struct kl_err err;
};

static uint16_t name_of(struct ledger_fixture *fixture, const char *name)
{
    uint16_t number = 0;

    assert_int_equal(
        vault_disclosures_name(&fixture->ledger, fixture->arena, name, &number, &fixture->err),
        KL_OK);
    return number;
}

static struct vault_disclosure entry_of(struct ledger_fixture *fixture, const char *recipient,
                                        const char *field, int64_t at_us)
{
    struct vault_disclosure entry = {.channel = VAULT_DISCLOSURE_NO_NAME,
                                     .country = {"BE"},
                                     .first_us = at_us,
                                     .last_us = at_us,
                                     .count = 1,
                                     .note = KMS_VALUE_NONE};

    entry.recipient = name_of(fixture, recipient);
    entry.purpose = name_of(fixture, "mailing");
    vault_disclosure_field_add(&entry, name_of(fixture, field));
    return entry;
}

static enum kl_status add(struct ledger_fixture *fixture, const char *recipient, const char *field,
                          int64_t at_us)
{
    struct vault_disclosure entry = entry_of(fixture, recipient, field, at_us);

    return vault_disclosures_add(&fixture->ledger, fixture->arena, &entry, &fixture->err);
}

static int setup(void **state)
{
    static struct ledger_fixture fixture;

    memset(&fixture, 0, sizeof fixture);
    fixture.arena = kl_arena_new(ARENA_BYTES);
    *state = &fixture;
    return fixture.arena == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    kl_arena_free(((struct ledger_fixture *)*state)->arena);
    return 0;
}

static struct kl_buf encoded(struct ledger_fixture *fixture)
{
    struct kl_buf text;

    kl_buf_init(&text, VAULT_MANIFEST_MAX_BYTES + 1024);
    assert_int_equal(vault_disclosures_encode(&fixture->ledger, &text, &fixture->err), KL_OK);
    return text;
}

static void test_a_ledger_is_read_as_it_was_written(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct vault_disclosure noted = entry_of(fixture, "speaker", "client.email", 20);
    struct vault_disclosures read = {0};
    struct kl_buf text;

    noted.channel = name_of(fixture, "e-mail");
    noted.note = VAULT_VALUE_FIRST;
    noted.country = (struct vault_country){""};
    assert_int_equal(add(fixture, "mailer", "newsletter.email", 10), KL_OK);
    assert_int_equal(vault_disclosures_add(&fixture->ledger, fixture->arena, &noted, &fixture->err),
                     KL_OK);
    text = encoded(fixture);
    assert_int_equal(
        vault_disclosures_decode(kl_buf_slice(&text), fixture->arena, &read, &fixture->err), KL_OK);
    assert_int_equal(read.count, 2);
    assert_string_equal(read.names[read.entries[0].recipient], "mailer");
    assert_string_equal(read.entries[0].country.code, "BE");
    assert_int_equal(read.entries[0].channel, VAULT_DISCLOSURE_NO_NAME);
    assert_string_equal(read.names[read.entries[1].channel], "e-mail");
    assert_string_equal(read.entries[1].country.code, "");
    assert_int_equal(read.entries[1].note, VAULT_VALUE_FIRST);
    assert_memory_equal(read.entries[1].fields, noted.fields, sizeof noted.fields);
    kl_buf_done(&text);
}

static void test_a_damaged_ledger_is_refused(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct vault_disclosures read = {.count = 77};
    struct kl_buf text;
    size_t i;

    assert_int_equal(add(fixture, "mailer", "newsletter.email", 10), KL_OK);
    text = encoded(fixture);
    for (i = 0; i < text.size; i++) {
        assert_int_equal(vault_disclosures_decode(kl_slice_of(text.bytes, i), fixture->arena, &read,
                                                  &fixture->err),
                         KL_ERR_CORRUPT);
        assert_string_equal(fixture->err.code, "disclosures_damaged");
    }
    text.bytes[text.size - 1] |= 0x80; /* a field that has no name */
    assert_int_equal(vault_disclosures_decode(kl_buf_slice(&text), fixture->arena, &read, NULL),
                     KL_ERR_CORRUPT);
    assert_int_equal(read.count, 77);
    kl_buf_done(&text);
}

/* An arena that has no room left. */
static struct kl_arena *full_arena(void)
{
    struct kl_arena *arena = kl_arena_new(4096);

    while (kl_arena_alloc(arena, 1) != NULL) {
    }
    return arena;
}

static void test_memory_that_ends_is_no_damage(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct kl_arena *small = full_arena();
    struct vault_disclosures read = {.count = 77};
    struct kl_buf text;

    assert_int_equal(add(fixture, "mailer", "newsletter.email", 10), KL_OK);
    text = encoded(fixture);
    assert_int_equal(vault_disclosures_decode(kl_buf_slice(&text), small, &read, NULL),
                     KL_ERR_NO_MEMORY);
    assert_int_equal(read.count, 77);
    kl_arena_free(small);
    kl_buf_done(&text);
}

static void test_the_same_again_counts_up(void **state)
{
    struct ledger_fixture *fixture = *state;

    assert_int_equal(add(fixture, "mailer", "newsletter.email", 20), KL_OK);
    assert_int_equal(add(fixture, "mailer", "newsletter.email", 30), KL_OK);
    assert_int_equal(add(fixture, "mailer", "newsletter.email", 10), KL_OK);
    assert_int_equal(add(fixture, "mailer", "newsletter.ip", 40), KL_OK);
    assert_int_equal(fixture->ledger.count, 2);
    assert_int_equal(fixture->ledger.entries[0].count, 3);
    assert_int_equal(fixture->ledger.entries[0].first_us, 10);
    assert_int_equal(fixture->ledger.entries[0].last_us, 30);
    assert_false(fixture->ledger.entries[0].merged);
}

static void test_what_has_a_note_stands_by_itself(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct vault_disclosure entry = entry_of(fixture, "mailer", "newsletter.email", 10);

    entry.note = VAULT_VALUE_FIRST;
    assert_int_equal(vault_disclosures_add(&fixture->ledger, fixture->arena, &entry, NULL), KL_OK);
    assert_int_equal(vault_disclosures_add(&fixture->ledger, fixture->arena, &entry, NULL), KL_OK);
    vault_disclosures_merge(&fixture->ledger);
    assert_int_equal(fixture->ledger.count, 2);
}

/* Who received what is still there, with all fields, after many more sets of fields than there is room for. */
static void test_a_full_ledger_is_merged_and_loses_nobody(void **state)
{
    struct ledger_fixture *fixture = *state;
    char field[64];
    size_t fields = 0;
    size_t i;

    assert_int_equal(add(fixture, "speaker", "client.email", 1), KL_OK);
    for (i = 0; i < VAULT_DISCLOSURES_MAX + 5; i++) {
        (void)snprintf(field, sizeof field, "newsletter.f%zu", i);
        assert_int_equal(add(fixture, "mailer", field, (int64_t)i + 10), KL_OK);
    }
    assert_true(fixture->ledger.count <= VAULT_DISCLOSURES_MAX);
    vault_disclosures_merge(&fixture->ledger);
    assert_int_equal(fixture->ledger.count, 2);
    assert_string_equal(fixture->ledger.names[fixture->ledger.entries[0].recipient], "speaker");
    assert_false(fixture->ledger.entries[0].merged);
    assert_true(fixture->ledger.entries[1].merged);
    assert_int_equal(fixture->ledger.entries[1].count, VAULT_DISCLOSURES_MAX + 5);
    assert_int_equal(fixture->ledger.entries[1].first_us, 10);
    for (i = 0; i < fixture->ledger.name_count; i++) {
        fields += vault_disclosure_field_has(&fixture->ledger.entries[1], i) ? 1 : 0;
    }
    assert_int_equal(fields, VAULT_DISCLOSURES_MAX + 5);
}

static void test_a_ledger_that_cannot_be_merged_takes_no_more(void **state)
{
    struct ledger_fixture *fixture = *state;
    char recipient[64];
    size_t i;

    for (i = 0; i < VAULT_DISCLOSURES_MAX; i++) {
        (void)snprintf(recipient, sizeof recipient, "r%zu", i);
        assert_int_equal(add(fixture, recipient, "client.email", 1), KL_OK);
    }
    assert_int_equal(add(fixture, "one_more", "client.email", 1), KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_disclosures");
    assert_int_equal(fixture->ledger.count, VAULT_DISCLOSURES_MAX);
    assert_int_equal(add(fixture, "r7", "client.email", 2), KL_OK);
}

static void test_names_have_a_maximum(void **state)
{
    struct ledger_fixture *fixture = *state;
    char name[64];
    uint16_t number = 7;
    size_t i;

    for (i = 0; i < VAULT_DISCLOSURE_NAMES_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%zu", i);
        assert_int_equal(name_of(fixture, name), i);
    }
    assert_int_equal(
        vault_disclosures_name(&fixture->ledger, fixture->arena, "more", &number, &fixture->err),
        KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_disclosures");
    assert_int_equal(number, 7);
    assert_int_equal(name_of(fixture, "n5"), 5);
}

static void test_a_text_that_is_too_long_is_told(void **state)
{
    struct ledger_fixture *fixture = *state;
    char name[VAULT_DISCLOSURE_NAME_MAX_BYTES + 1];
    struct kl_buf text;
    size_t i;

    for (i = 0; i < 300; i++) {
        memset(name, 'x', sizeof name - 1);
        name[sizeof name - 1] = 0;
        (void)snprintf(name, 8, "%06zu", i);
        name[6] = 'x';
        (void)name_of(fixture, name);
    }
    kl_buf_init(&text, VAULT_MANIFEST_MAX_BYTES + 65536);
    assert_int_equal(vault_disclosures_encode(&fixture->ledger, &text, &fixture->err),
                     KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_disclosures");
    kl_buf_done(&text);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_ledger_is_read_as_it_was_written),
        TEST(test_a_damaged_ledger_is_refused),
        TEST(test_memory_that_ends_is_no_damage),
        TEST(test_the_same_again_counts_up),
        TEST(test_what_has_a_note_stands_by_itself),
        TEST(test_a_full_ledger_is_merged_and_loses_nobody),
        TEST(test_a_ledger_that_cannot_be_merged_takes_no_more),
        TEST(test_names_have_a_maximum),
        TEST(test_a_text_that_is_too_long_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
