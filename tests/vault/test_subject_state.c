/* Rows that somebody changed behind the vault's back. */
#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <string.h>

static uint64_t slot_of(struct vault_fixture *fixture, const struct kl_id *subject,
                        uint64_t *ret_tenant)
{
    struct vault_caller reader = fixture_caller(fixture, "reader");
    uint64_t slot = 0;

    *ret_tenant = reader.tenant;
    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), reader.tenant, subject, &slot, NULL), KL_OK);
    vault_caller_done(&reader);
    return slot;
}

static struct kl_buf row_get(struct vault_fixture *fixture, const struct vault_row_key *key)
{
    struct kl_buf row;

    kl_buf_init(&row, 1024 * 1024);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(key), &row, NULL),
        KL_OK);
    return row;
}

static void row_put(struct vault_fixture *fixture, const struct vault_row_key *key,
                    struct kl_slice row)
{
    struct vault_batch *batch = vault_batch_new();

    vault_batch_put(batch, vault_row_slice(key), row);
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, true, NULL),
                     KL_OK);
    vault_batch_free(batch);
}

/* The head row with the byte at that place changed, or cut there. */
static enum kl_status read_changed(struct vault_fixture *fixture, const struct kl_id *subject,
                                   const struct vault_row_key *key, const struct kl_buf *row,
                                   size_t at, bool cut)
{
    struct vault_subject_result read = {.record_count = 77};
    unsigned char *copy = kl_arena_alloc(fixture->arena, row->size);
    enum kl_status status = KL_OK;

    assert_non_null(copy);
    memcpy(copy, row->bytes, row->size);
    copy[at] ^= cut ? 0 : 1;
    row_put(fixture, key, kl_slice_of(copy, cut ? at : row->size));
    status = fixture_read(fixture, "reader", subject, "support", &read);
    assert_true(status == KL_OK || read.record_count == 77);
    return status;
}

static void test_a_head_row_changed_at_any_sealed_byte_does_not_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_row_key key;
    struct kl_buf row;
    uint64_t tenant = 0;
    uint64_t slot = slot_of(fixture, &made.id, &tenant);
    size_t at;

    key = vault_row_head(tenant, slot);
    row = row_get(fixture, &key);
    /* behind version, format, flags, epoch and counter; the numbers in clear may be of any value */
    for (at = 22; at < row.size; at += 7) {
        enum kl_status status = read_changed(fixture, &made.id, &key, &row, at, false);

        assert_true(status == KL_ERR_CORRUPT || status == KL_ERR_NOT_FOUND);
        assert_int_equal(read_changed(fixture, &made.id, &key, &row, at, true), KL_ERR_CORRUPT);
    }
    kl_buf_done(&row);
}

static void test_a_value_changed_cut_or_taken_from_another_place_does_not_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result a = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result b = fixture_newsletter(fixture, "bob@example.org", false);
    uint64_t tenant = 0;
    uint64_t slot_a = slot_of(fixture, &a.id, &tenant);
    uint64_t slot_b = slot_of(fixture, &b.id, &tenant);
    struct vault_row_key email_a = vault_row_value(tenant, slot_a, VAULT_VALUE_FIRST + 1);
    struct vault_row_key name_a = vault_row_value(tenant, slot_a, VAULT_VALUE_FIRST + 2);
    struct vault_row_key email_b = vault_row_value(tenant, slot_b, VAULT_VALUE_FIRST + 1);
    struct kl_buf value = row_get(fixture, &email_a);
    struct kl_buf name = row_get(fixture, &name_a);
    struct kl_buf other = row_get(fixture, &email_b);
    struct vault_subject_result read = {0};
    size_t at;

    for (at = 0; at < value.size; at += 5) {
        assert_int_equal(read_changed(fixture, &a.id, &email_a, &value, at, false), KL_ERR_CORRUPT);
        assert_int_equal(read_changed(fixture, &a.id, &email_a, &value, at, true), KL_ERR_CORRUPT);
    }
    row_put(fixture, &email_a, kl_buf_slice(&name));
    assert_int_equal(fixture_read(fixture, "reader", &a.id, "support", &read), KL_ERR_CORRUPT);
    row_put(fixture, &email_a, kl_buf_slice(&other));
    assert_int_equal(fixture_read(fixture, "reader", &a.id, "support", &read), KL_ERR_CORRUPT);
    row_put(fixture, &email_a, kl_buf_slice(&value));
    assert_int_equal(fixture_read(fixture, "reader", &a.id, "support", &read), KL_OK);
    kl_buf_done(&value);
    kl_buf_done(&name);
    kl_buf_done(&other);
}

static void test_a_head_row_of_another_subject_does_not_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result a = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result b = fixture_newsletter(fixture, "bob@example.org", false);
    uint64_t tenant = 0;
    struct vault_row_key head_a = vault_row_head(0, 0);
    struct vault_row_key head_b = vault_row_head(0, 0);
    struct vault_subject_result read = {0};
    struct kl_buf row;
    uint64_t slot = slot_of(fixture, &a.id, &tenant);

    head_a = vault_row_head(tenant, slot);
    head_b = vault_row_head(tenant, slot_of(fixture, &b.id, &tenant));
    row = row_get(fixture, &head_b);
    row_put(fixture, &head_a, kl_buf_slice(&row));
    assert_int_equal(fixture_read(fixture, "reader", &a.id, "support", &read), KL_ERR_CORRUPT);
    kl_buf_done(&row);
}

static void test_a_person_whose_values_are_damaged_can_still_be_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result read = {0};
    uint64_t tenant = 0;
    uint64_t slot = slot_of(fixture, &made.id, &tenant);
    struct vault_row_key email = vault_row_value(tenant, slot, VAULT_VALUE_FIRST + 1);

    row_put(fixture, &email, kl_slice_text("not what was sealed"));
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_ERR_CORRUPT);
    fixture_erase(fixture, &made.id);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_ERR_NOT_FOUND);
}

/* What the index still holds of a value, whoever it leads to. */
static size_t entries_of(struct vault_fixture *fixture, uint64_t tenant, const char *email)
{
    struct vault_index_entry entries[8];
    unsigned char tag[VAULT_TAG_BYTES];
    size_t count = 0;

    assert_int_equal(vault_index_tag(fixture_vault(fixture)->index, tenant, "newsletter.email",
                                     kl_slice_text(email), tag, NULL),
                     KL_OK);
    assert_int_equal(
        vault_index_find(fixture_vault(fixture)->index, tenant, tag, 0, 8, entries, &count, NULL),
        KL_OK);
    return count;
}

static enum kl_status place_state(struct vault_fixture *fixture, uint64_t tenant, uint64_t slot,
                                  uint64_t value)
{
    const struct kms_place place = {tenant, slot, value};

    return kms_place_check(fixture_vault(fixture)->keys, &place, NULL);
}

static void test_an_erased_record_takes_its_former_values_and_traces_with_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "old@example.org", false);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    const struct vault_field_input field = fixture_field("email", "new@example.org");
    uint64_t tenant = 0;
    uint64_t slot = slot_of(fixture, &made.id, &tenant);
    uint64_t version = 0;
    struct kl_buf answer;
    uint64_t value;

    kl_buf_init(&answer, 65536);
    assert_int_equal(vault_record_patch(fixture_vault(fixture), &writer, &made.id,
                                        &made.records[0].id, 1, &field, 1, &version, NULL),
                     KL_OK);
    assert_int_equal(entries_of(fixture, tenant, "old@example.org"), 0);
    assert_int_equal(entries_of(fixture, tenant, "new@example.org"), 1);
    /* manifest, email, first_name, the new email: all there until the record goes */
    for (value = VAULT_VALUE_FIRST; value < VAULT_VALUE_FIRST + 4; value++) {
        assert_int_equal(place_state(fixture, tenant, slot, value), KL_OK);
    }
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &made.id, &made.records[0].id,
                                        VAULT_ERASE_REQUEST, &answer, NULL),
                     KL_OK);
    for (value = VAULT_VALUE_FIRST; value < VAULT_VALUE_FIRST + 4; value++) {
        assert_int_equal(place_state(fixture, tenant, slot, value), KL_ERR_GONE);
    }
    assert_int_equal(place_state(fixture, tenant, slot, VAULT_VALUE_BASE), KL_OK);
    assert_int_equal(entries_of(fixture, tenant, "new@example.org"), 0);
    fixture_erase(fixture, &made.id);
    assert_int_equal(place_state(fixture, tenant, slot, VAULT_VALUE_BASE), KL_ERR_GONE);
    kl_buf_done(&answer);
    vault_caller_done(&writer);
    vault_caller_done(&dpo);
}

static void test_a_slot_leads_back_to_its_subject_until_it_is_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct kl_id found = {0};
    struct kl_id untouched = {0};
    uint64_t tenant = 0;
    uint64_t slot = slot_of(fixture, &made.id, &tenant);

    assert_int_equal(vault_subject_id(fixture_vault(fixture), tenant, slot, &found, NULL), KL_OK);
    assert_true(kl_id_equal(&found, &made.id));
    fixture_erase(fixture, &made.id);
    assert_int_equal(vault_subject_id(fixture_vault(fixture), tenant, slot, &untouched, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), tenant, &made.id, &slot, &fixture->err),
        KL_ERR_NOT_FOUND);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_head_row_changed_at_any_sealed_byte_does_not_open),
        TEST(test_a_value_changed_cut_or_taken_from_another_place_does_not_open),
        TEST(test_a_head_row_of_another_subject_does_not_open),
        TEST(test_a_person_whose_values_are_damaged_can_still_be_erased),
        TEST(test_an_erased_record_takes_its_former_values_and_traces_with_it),
        TEST(test_a_slot_leads_back_to_its_subject_until_it_is_erased),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
