/* What was closed stays closed when older rows are put back one by one, by somebody who can write to data/. */
#include "tests/support/journal_fixture.h"
#include "tests/support/test.h"
#include "vault/journal_internal.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <string.h>

/* Take rows from the copy into today's data/: those whose keys start so. */
static void put_back_rows(struct vault_fixture *fixture, struct kl_slice prefix)
{
    struct vault_store_options options = {0};
    struct vault_store *from = NULL;
    struct vault_store *to = NULL;
    struct vault_batch *batch = vault_batch_new();
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice value;
    char path[ADMIN_PATH_BYTES];

    admin_close(fixture->admin);
    options.path = path;
    fixture_path(fixture, FIXTURE_COPY "/data", path);
    assert_int_equal(vault_store_open(&options, &from, NULL), KL_OK);
    fixture_path(fixture, "data/data", path);
    assert_int_equal(vault_store_open(&options, &to, NULL), KL_OK);
    iter = vault_iter_new(from, prefix, (struct kl_slice){NULL, 0}, false);
    while (vault_iter_next(iter, &key, &value) && key.size >= prefix.size &&
           memcmp(key.bytes, prefix.bytes, prefix.size) == 0) {
        vault_batch_put(batch, key, value);
    }
    vault_iter_free(iter);
    assert_true(vault_batch_count(batch) > 0);
    assert_int_equal(vault_store_apply(to, batch, true, NULL), KL_OK);
    vault_batch_free(batch);
    vault_store_close(from);
    vault_store_close(to);
    admin_reopen(fixture->admin);
}

static void test_an_older_ledger_put_back_alone_reopens_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_row_key key;

    fixture_copy(fixture);
    assert_int_equal(journal_withdraw(fixture, &made.id), KL_OK);
    key = vault_row_value(fixture_tenant(fixture), fixture_slot(fixture, &made.id),
                          VAULT_VALUE_LEDGER);
    put_back_rows(fixture, vault_row_slice(&key));
    assert_false(journal_consents(fixture, &made.id));
}

static void test_an_older_head_put_back_alone_takes_no_tag_off(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_row_key key;

    journal_move(fixture, &made.id, "none");
    fixture_copy(fixture);
    journal_move(fixture, &made.id, "EEA");
    key = vault_row_head(fixture_tenant(fixture), fixture_slot(fixture, &made.id));
    put_back_rows(fixture, vault_row_slice(&key));
    assert_true(journal_is_eea(fixture, &made.id));
}

static void test_older_credentials_put_back_alone_let_nobody_in(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id id;
    struct kl_err err = {0};
    struct vault_token token = admin_make(fixture->admin, "reader", &id);

    fixture_copy(fixture);
    journal_revoke(fixture, &id);
    put_back_rows(fixture, kl_slice_text("C"));
    assert_int_equal(admin_let_in(fixture->admin, token.text, &err), KL_ERR_UNAUTHORISED);
}

static void test_an_older_policy_put_back_alone_is_not_in_force(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_row_key key = vault_row_policy(fixture_tenant(fixture), 0);
    uint64_t now = 0;

    fixture_copy(fixture);
    now = admin_apply(fixture->admin, vault_policy_text);
    put_back_rows(fixture, vault_row_slice(&key));
    assert_int_equal(journal_policy_number(fixture), now);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_older_head_put_back_alone_takes_no_tag_off),
        TEST(test_an_older_ledger_put_back_alone_reopens_nothing),
        TEST(test_older_credentials_put_back_alone_let_nobody_in),
        TEST(test_an_older_policy_put_back_alone_is_not_in_force),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
