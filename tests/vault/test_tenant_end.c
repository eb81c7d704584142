/* The end of a tenant: at once, after its grace period, cut short by a crash, and with an older data/ put back. */
#include "tests/support/cut_short.h"
#include "tests/support/tenant_fixture.h"

#include "kluis/base/json.h"
#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "vault/receipt.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <string.h>

#define FAR_US (INT64_C(40) * 86400 * 1000000)

static enum kl_status restore(struct vault_fixture *fixture, const char *name)
{
    struct vault_caller chief = admin_operator(fixture->admin);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_tenant_restore(fixture_vault(fixture), &chief, name, &fixture->err);
    vault_caller_done(&chief);
    return status;
}

static enum kl_status count_side(void *visitor, struct kl_slice key, struct kl_slice value,
                                 struct kl_err *err)
{
    (void)key;
    (void)value;
    (void)err;
    (*(size_t *)visitor)++;
    return KL_OK;
}

/* Rows beside the keys that are of a tenant. */
static size_t side_rows_of(struct vault_fixture *fixture, uint64_t number)
{
    unsigned char prefix[10] = {KMS_SIDE_ROW};
    size_t count = 0;
    unsigned kind;

    kl_put_u64be(prefix + 2, number);
    for (kind = 'A'; kind <= 'Z'; kind++) {
        prefix[1] = (unsigned char)kind;
        assert_int_equal(kms_side_range(fixture_vault(fixture)->keys,
                                        kl_slice_of(prefix, sizeof prefix), count_side, &count,
                                        NULL),
                         KL_OK);
    }
    return count;
}

static enum kl_status steward_status(struct vault_fixture *fixture, const char **ret_code)
{
    static struct kl_err err;
    enum kl_status status;

    kl_err_clear(&err);
    status = admin_let_in(fixture->admin, fixture->admin->steward_token.text, &err);
    *ret_code = err.code;
    return status;
}

static void assert_void(struct vault_fixture *fixture)
{
    const char *code = NULL;

    assert_int_equal(steward_status(fixture, &code), KL_ERR_UNAUTHORISED);
    assert_string_equal(code, "unauthorised");
}

/* ---- at once ---- */

static void test_a_tenant_without_grace_ends_at_once_and_nothing_of_it_is_left(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t number = tenant_number(fixture, "default");
    struct vault_tenant_result shown;
    struct vault_caller chief;

    (void)fixture_newsletter(fixture, "a@example.org", true);
    (void)fixture_client(fixture, "b@example.org");
    assert_true(tenant_rows(fixture, number) > 10);
    assert_true(side_rows_of(fixture, number) > 0);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    assert_int_equal(tenant_rows(fixture, number), 0);
    assert_int_equal(side_rows_of(fixture, number), 0);
    assert_void(fixture);
    chief = admin_operator(fixture->admin);
    assert_int_equal(vault_tenant_read(fixture_vault(fixture), &chief, "default", &shown, NULL),
                     KL_ERR_NOT_FOUND);
    vault_caller_done(&chief);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "not_found");
    fixture_reopen(fixture);
    assert_void(fixture);
    assert_int_equal(tenant_rows(fixture, number), 0);
}

static void test_its_receipt_is_signed_by_the_vault_and_names_where_its_trail_ended(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    const struct kms_place vaults = {KMS_TENANT_VAULT, VAULT_SLOT_SIGNING, KMS_VALUE_NONE};
    unsigned char key[KMS_PUBLIC_KEY_BYTES];
    unsigned char root[VAULT_AUDIT_HASH_BYTES];
    struct vault_caller chief;
    struct kl_json *json = NULL;
    const struct kl_json_value *of = NULL;
    struct kl_buf receipt;
    struct kl_buf again;
    struct kl_id id;
    uint64_t size = 0;
    int64_t ends_us = -1;
    int64_t told = 0;
    char piece[64];

    kl_buf_init(&receipt, TENANT_RECEIPT_BYTES);
    kl_buf_init(&again, TENANT_RECEIPT_BYTES);
    (void)fixture_client(fixture, "b@example.org");
    assert_int_equal(
        vault_trails_root(vault->trails, tenant_number(fixture, "default"), &size, root, NULL),
        KL_OK);
    assert_int_equal(tenant_end(fixture, "default", &receipt, &ends_us), KL_OK);
    assert_int_equal(ends_us, 0);
    assert_int_equal(kms_public_key(vault->keys, &vaults, VAULT_SIGNING_LABEL, key, NULL), KL_OK);
    fixture_receipt_cut(&receipt);
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&receipt), key, NULL), KL_OK);
    assert_int_equal(kl_json_parse(receipt.bytes, receipt.size, &json, NULL), KL_OK);
    of = kl_json_root(json);
    assert_string_equal(kl_json_text(kl_json_member(of, "kind")), "tenant");
    assert_string_equal(kl_json_text(kl_json_member(of, "tenant")), "default");
    assert_string_equal(kl_json_text(kl_json_member(of, "reason")), "tenant_end");
    assert_true(kl_json_int(kl_json_member(kl_json_member(of, "audit"), "size"), &told));
    assert_int_equal(told, (int64_t)size);
    (void)snprintf(piece, sizeof piece, "\"audit_size\":%lld", (long long)size);
    assert_int_equal(admin_trail_count(fixture->admin, true, piece), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"tenant_end\""), 1);

    /* The operator finds it again. */
    assert_int_equal(kl_id_parse("er", kl_json_text(kl_json_member(of, "receipt")), &id, NULL),
                     KL_OK);
    chief = admin_operator(fixture->admin);
    assert_int_equal(vault_receipt_read(vault, &chief, &id, &again, NULL), KL_OK);
    fixture_receipt_cut(&again);
    assert_true(again.size == receipt.size && memcmp(again.bytes, receipt.bytes, again.size) == 0);
    vault_caller_done(&chief);
    kl_json_free(json);
    kl_buf_done(&receipt);
    kl_buf_done(&again);
}

static void test_other_tenants_are_not_harmed(void **state)
{
    struct vault_fixture *fixture = *state;
    struct tenant_other shop = tenant_other_make(fixture, "shop");

    (void)fixture_client(fixture, "b@example.org");
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    assert_true(tenant_other_reads(fixture, &shop));
    (void)tenant_person(fixture, &shop.writer, "new@example.org");
    fixture_reopen(fixture);
    assert_true(tenant_other_reads(fixture, &shop));
}

static void test_its_name_can_be_used_again_and_brings_nothing_back(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t number = tenant_number(fixture, "default");

    (void)fixture_client(fixture, "b@example.org");
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    tenant_put(fixture, "default", NULL);
    assert_true(tenant_number(fixture, "default") > number);
    assert_void(fixture);
    fixture_reopen(fixture);
    assert_true(tenant_number(fixture, "default") > number);
    assert_int_equal(tenant_rows(fixture, number), 0);
}

static void test_only_operators_end_and_restore(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller steward = admin_steward(fixture->admin);
    struct kl_buf receipt;
    int64_t ends_us = 77;

    kl_buf_init(&receipt, TENANT_RECEIPT_BYTES);
    assert_int_equal(vault_tenant_end(fixture_vault(fixture), &steward, "default", &receipt,
                                      &ends_us, &fixture->err),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
    assert_int_equal(receipt.size, 0);
    assert_int_equal(ends_us, 77);
    assert_int_equal(vault_tenant_restore(fixture_vault(fixture), &steward, "default", NULL),
                     KL_ERR_FORBIDDEN);
    vault_caller_done(&steward);
    assert_int_equal(tenant_end(fixture, "nobody", NULL, NULL), KL_ERR_NOT_FOUND);
    assert_int_equal(restore(fixture, "nobody"), KL_ERR_NOT_FOUND);
    assert_int_equal(restore(fixture, "default"), KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "tenant_open");
}

/* ---- with a grace period ---- */

static void test_in_its_grace_period_it_is_closed_and_can_come_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "b@example.org");
    struct vault_subject_result read = {0};
    struct vault_caller chief;
    struct vault_caller refused;
    const struct vault_proof proof = {.token = fixture->admin->operator_token.text};
    struct vault_tenant_result shown;
    const char *code = NULL;
    int64_t ends_us = 0;
    int64_t again_us = 0;
    bool created = false;

    tenant_put(fixture, "default", "P30D");
    assert_int_equal(tenant_end(fixture, "default", NULL, &ends_us), KL_OK);
    assert_true(ends_us > kl_time_now_us() + INT64_C(29) * KL_TIME_DAY_US);
    assert_int_equal(steward_status(fixture, &code), KL_ERR_FORBIDDEN);
    assert_string_equal(code, "tenant_closed");
    assert_int_equal(
        vault_caller_open(fixture_vault(fixture), &proof, "default", NULL, &refused, NULL),
        KL_ERR_FORBIDDEN);
    assert_int_equal(tenant_end(fixture, "default", NULL, &again_us), KL_OK);
    assert_int_equal(again_us, ends_us);
    chief = admin_operator(fixture->admin);
    assert_int_equal(vault_tenant_put(fixture_vault(fixture), &chief, "default", NULL, "P60D",
                                      &created, &fixture->err),
                     KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "tenant_closed");
    assert_int_equal(vault_tenant_read(fixture_vault(fixture), &chief, "default", &shown, NULL),
                     KL_OK);
    assert_int_equal(shown.ends_us, ends_us);
    vault_caller_done(&chief);

    fixture_reopen(fixture);
    assert_int_equal(steward_status(fixture, &code), KL_ERR_FORBIDDEN);
    assert_int_equal(restore(fixture, "default"), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_OK);
    fixture_reopen(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_OK);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"tenant_close\""), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"tenant_restore\""), 1);
}

static void test_upkeep_ends_it_when_its_time_has_come_and_not_before(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t number = tenant_number(fixture, "default");
    struct tenant_other shop = tenant_other_make(fixture, "shop");
    const char *code = NULL;
    int64_t ends_us = 0;

    tenant_put(fixture, "default", "P30D");
    assert_int_equal(tenant_end(fixture, "default", NULL, &ends_us), KL_OK);
    assert_int_equal(vault_tenants_due(fixture_vault(fixture), ends_us - 1, NULL), KL_OK);
    assert_int_equal(steward_status(fixture, &code), KL_ERR_FORBIDDEN);
    assert_int_equal(vault_tenants_due(fixture_vault(fixture), ends_us, NULL), KL_OK);
    assert_void(fixture);
    assert_int_equal(tenant_rows(fixture, number), 0);
    assert_int_equal(restore(fixture, "default"), KL_ERR_NOT_FOUND);
    assert_int_equal(vault_tenants_due(fixture_vault(fixture), ends_us + FAR_US, NULL), KL_OK);
    assert_true(tenant_other_reads(fixture, &shop));
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"tenant_end\""), 1);
}

static void test_one_that_came_back_is_not_ended_when_the_time_has_come(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t ends_us = 0;

    tenant_put(fixture, "default", "P30D");
    assert_int_equal(tenant_end(fixture, "default", NULL, &ends_us), KL_OK);
    assert_int_equal(restore(fixture, "default"), KL_OK);
    assert_int_equal(vault_tenants_due(fixture_vault(fixture), ends_us + FAR_US, NULL), KL_OK);
    (void)fixture_client(fixture, "b@example.org");
}

/* ---- crashes and older copies ---- */

static void test_an_end_cut_short_after_its_commit_is_finished_at_the_next_open(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t number = tenant_number(fixture, "default");
    struct tenant_other shop = tenant_other_make(fixture, "shop");

    (void)fixture_client(fixture, "b@example.org");
    cut_short_after_the_commit(fixture);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_ERR_UNAVAILABLE);
    assert_void(fixture); /* its keys are gone already */
    assert_true(tenant_rows(fixture, number) > 0);
    fixture_reopen(fixture);
    assert_void(fixture);
    assert_int_equal(tenant_rows(fixture, number), 0);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"tenant_end\""), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"receipt\":\"er_"), 1);
    assert_true(tenant_other_reads(fixture, &shop));
}

static void
test_an_erasure_whose_tenant_ended_before_its_receipt_was_written_is_in_the_vaults_trail(
    void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "b@example.org");
    struct kl_buf receipt;

    kl_buf_init(&receipt, TENANT_RECEIPT_BYTES);
    cut_short_after_the_commit(fixture);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &made.id, VAULT_ERASE_REQUEST, &receipt),
                     KL_ERR_UNAVAILABLE);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_ERR_UNAVAILABLE);
    fixture_reopen(fixture);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"erase\""), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"tenant_end\""), 1);
    kl_buf_done(&receipt);
}

static void test_an_end_that_fails_before_its_commit_leaves_the_tenant_as_it_was(void **state)
{
    struct vault_fixture *fixture = *state;

    cut_short_before_the_commit(fixture);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_ERR_UNAVAILABLE);
    (void)fixture_client(fixture, "b@example.org");
}

static void test_an_older_data_directory_brings_no_ended_tenant_back(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t number = tenant_number(fixture, "default");
    struct tenant_other shop = tenant_other_make(fixture, "shop");
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", true);
    struct kms_place place = {.value = KMS_VALUE_NONE};
    char copy[ADMIN_PATH_BYTES];
    char data[ADMIN_PATH_BYTES];

    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), number, &made.id, &place.slot, NULL), KL_OK);
    fixture_path(fixture, "copy", copy);
    fixture_path(fixture, "data/data", data);
    admin_close(fixture->admin);
    admin_copy(data, copy);
    admin_reopen(fixture->admin);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    admin_close(fixture->admin);
    admin_remove(data);
    admin_copy(copy, data);
    admin_reopen(fixture->admin);
    assert_void(fixture);
    assert_int_equal(tenant_rows(fixture, number), 0);
    assert_true(tenant_other_reads(fixture, &shop));
    place.tenant = number;
    assert_int_equal(kms_place_check(fixture_vault(fixture)->keys, &place, NULL), KL_ERR_GONE);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"tenant_end_again\""), 1);
}

/* ---- somebody who kept every row ---- */

/* What data/ was when it was copied takes the place of what it is. */
static void put_back(struct vault_fixture *fixture, const char *copy)
{
    char data[ADMIN_PATH_BYTES];

    fixture_path(fixture, "data/data", data);
    admin_close(fixture->admin);
    admin_remove(data);
    admin_copy(copy, data);
    admin_reopen(fixture->admin);
}

static void copy_data(struct vault_fixture *fixture, const char *name, char ret[ADMIN_PATH_BYTES])
{
    char data[ADMIN_PATH_BYTES];

    fixture_path(fixture, name, ret);
    fixture_path(fixture, "data/data", data);
    admin_close(fixture->admin);
    admin_copy(data, ret);
    admin_reopen(fixture->admin);
}

static void test_an_older_data_directory_opens_no_tenant_that_was_closed(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t number = tenant_number(fixture, "default");
    struct tenant_other shop = tenant_other_make(fixture, "shop");
    char copy[ADMIN_PATH_BYTES];
    const char *code = NULL;
    int64_t ends_us = 0;

    tenant_put(fixture, "default", "P30D");
    copy_data(fixture, "copy", copy);
    assert_int_equal(tenant_end(fixture, "default", NULL, &ends_us), KL_OK);
    for (int round = 0; round < 2; round++) {
        put_back(fixture, copy);
        assert_int_equal(steward_status(fixture, &code), KL_ERR_FORBIDDEN);
        assert_string_equal(code, "tenant_closed");
        assert_true(tenant_other_reads(fixture, &shop));
    }
    fixture_reopen(fixture);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"tenant_close_again\""),
                     1);
    assert_int_equal(vault_tenants_due(fixture_vault(fixture), ends_us, NULL), KL_OK);
    assert_void(fixture);
    assert_int_equal(side_rows_of(fixture, number), 0);
}

static void test_an_older_data_directory_ends_no_tenant_that_came_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "b@example.org");
    struct vault_subject_result read = {0};
    char copy[ADMIN_PATH_BYTES];
    int64_t ends_us = 0;

    tenant_put(fixture, "default", "P30D");
    assert_int_equal(tenant_end(fixture, "default", NULL, &ends_us), KL_OK);
    copy_data(fixture, "copy", copy);
    assert_int_equal(restore(fixture, "default"), KL_OK);
    put_back(fixture, copy);
    assert_int_equal(vault_tenants_due(fixture_vault(fixture), ends_us + FAR_US, NULL), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_OK);
}

static void test_no_row_that_was_kept_opens_after_the_end(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    uint64_t number = tenant_number(fixture, "default");
    struct vault_row_key first = vault_row_head(number, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice value;
    uint64_t slots[16];
    size_t count = 0;
    size_t i;
    uint64_t own;

    (void)fixture_newsletter(fixture, "a@example.org", true);
    (void)fixture_client(fixture, "b@example.org");
    first.size = 9;
    past = vault_row_past(&first);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    while (count < 16 && vault_iter_next(iter, &key, &value)) {
        slots[count++] = kl_get_u64be(key.bytes + 9);
    }
    vault_iter_free(iter);
    assert_int_equal(count, 2);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    for (i = 0; i < count; i++) {
        for (own = 0; own < 64; own++) {
            const struct kms_place place = {number, slots[i], own};

            assert_int_equal(kms_place_check(vault->keys, &place, NULL), KL_ERR_GONE);
        }
    }
    for (own = 0; own < 200; own++) {
        const struct kms_place place = {number, own, KMS_VALUE_NONE};

        assert_int_equal(kms_place_check(vault->keys, &place, NULL), KL_ERR_GONE);
    }
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_tenant_without_grace_ends_at_once_and_nothing_of_it_is_left),
        TEST(test_its_receipt_is_signed_by_the_vault_and_names_where_its_trail_ended),
        TEST(test_other_tenants_are_not_harmed),
        TEST(test_its_name_can_be_used_again_and_brings_nothing_back),
        TEST(test_only_operators_end_and_restore),
        TEST(test_in_its_grace_period_it_is_closed_and_can_come_back),
        TEST(test_upkeep_ends_it_when_its_time_has_come_and_not_before),
        TEST(test_one_that_came_back_is_not_ended_when_the_time_has_come),
        TEST(test_an_end_cut_short_after_its_commit_is_finished_at_the_next_open),
        TEST(
            test_an_erasure_whose_tenant_ended_before_its_receipt_was_written_is_in_the_vaults_trail),
        TEST(test_an_end_that_fails_before_its_commit_leaves_the_tenant_as_it_was),
        TEST(test_an_older_data_directory_brings_no_ended_tenant_back),
        TEST(test_an_older_data_directory_opens_no_tenant_that_was_closed),
        TEST(test_an_older_data_directory_ends_no_tenant_that_came_back),
        TEST(test_no_row_that_was_kept_opens_after_the_end),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
