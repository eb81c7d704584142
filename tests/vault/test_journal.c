/* What was closed stays closed when an older data/ is put back. */
#include "tests/support/vault_fixture.h"

#include "kluis/base/encode.h"
#include "tests/support/test.h"
#include "vault/audit_tree.h"
#include "vault/journal_internal.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define COPY "copy"
#define OWN_SLOT_KEY_BYTES 10

/* ---- copies ---- */

/* Callers made after a copy would not be known to it. */
static void make_callers(struct vault_fixture *fixture)
{
    static const char *const roles[] = {"reader", "writer", "dpo"};
    size_t i;

    for (i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct vault_caller caller = fixture_caller(fixture, roles[i]);

        vault_caller_done(&caller);
    }
}

static void copy_data(struct vault_fixture *fixture)
{
    char copy[ADMIN_PATH_BYTES];

    make_callers(fixture);
    fixture_path(fixture, COPY, copy);
    admin_close(fixture->admin);
    admin_remove(copy);
    admin_copy(fixture->admin->data, copy);
    admin_reopen(fixture->admin);
}

/* Today's keys, the copy's data; closed. */
static void swap_data(struct vault_fixture *fixture)
{
    char from[ADMIN_PATH_BYTES];
    char to[ADMIN_PATH_BYTES];

    fixture_path(fixture, COPY "/data", from);
    fixture_path(fixture, "data/data", to);
    admin_close(fixture->admin);
    admin_remove(to);
    admin_copy(from, to);
}

static void put_back(struct vault_fixture *fixture)
{
    swap_data(fixture);
    admin_reopen(fixture->admin);
}

/* ---- acts ---- */

static uint64_t tenant_of(struct vault_fixture *fixture)
{
    struct vault_caller reader = fixture_caller(fixture, "reader");
    uint64_t tenant = reader.tenant;

    vault_caller_done(&reader);
    return tenant;
}

static void give(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    const struct vault_consent_input input = fixture_consent("mailing");

    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, subject, &input, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
}

static enum kl_status withdraw(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    enum kl_status status = vault_consent_withdraw(fixture_vault(fixture), &dpo, subject, "mailing",
                                                   NULL, &fixture->err);

    vault_caller_done(&dpo);
    return status;
}

/* Whether the consent for mailing counts for this subject. */
static bool consents(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "reader", subject, "mailing", &read), KL_OK);
    return fixture_find(&read, "email")->withheld == VAULT_GATE_NONE;
}

static uint64_t slot_of(struct vault_fixture *fixture, const struct kl_id *subject)
{
    uint64_t slot = 0;

    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), tenant_of(fixture), subject, &slot, NULL),
        KL_OK);
    return slot;
}

static uint64_t known(struct vault_fixture *fixture)
{
    uint64_t number = 0;
    bool there = false;

    assert_int_equal(
        vault_journal_known(fixture_vault(fixture), tenant_of(fixture), &number, &there, NULL),
        KL_OK);
    return number;
}

static uint64_t policy_number(struct vault_fixture *fixture)
{
    struct vault_caller reader = fixture_caller(fixture, "reader");
    uint64_t number = reader.policy_number;

    vault_caller_done(&reader);
    return number;
}

static void revoke_one(struct vault_fixture *fixture, const struct kl_id *credential)
{
    struct vault_caller steward = admin_steward(fixture->admin);

    assert_int_equal(vault_credential_revoke(fixture_vault(fixture), &steward, credential, NULL),
                     KL_OK);
    vault_caller_done(&steward);
}

struct keys {
    unsigned char keys[64][VAULT_JOURNAL_KEY_BYTES];
    size_t sizes[64];
    size_t count;
};

static enum kl_status gather_key(void *visitor, struct kl_slice key, struct kl_slice value,
                                 struct kl_err *err)
{
    struct keys *keys = visitor;

    (void)value;
    (void)err;
    assert_true(keys->count < 64 && key.size <= VAULT_JOURNAL_KEY_BYTES);
    memcpy(keys->keys[keys->count], key.bytes, key.size);
    keys->sizes[keys->count++] = key.size;
    return KL_OK;
}

static struct keys journal_keys(struct vault_fixture *fixture, uint64_t tenant)
{
    struct keys keys = {.count = 0};
    unsigned char prefix[VAULT_JOURNAL_KEY_BYTES];

    vault_journal_key(tenant, 0, prefix);
    assert_int_equal(kms_side_range(fixture_vault(fixture)->keys,
                                    kl_slice_of(prefix, OWN_SLOT_KEY_BYTES), gather_key, &keys,
                                    NULL),
                     KL_OK);
    return keys;
}

/* All rows of the tenant's journal, the head too. */
static void lose_journal(struct vault_fixture *fixture, uint64_t tenant)
{
    struct keys keys = journal_keys(fixture, tenant);
    struct kms_storage_write write = {.value = {NULL, 0}};
    size_t i;

    for (i = 0; i < keys.count; i++) {
        write.key = kl_slice_of(keys.keys[i], keys.sizes[i]);
        assert_int_equal(kms_side_apply(fixture_vault(fixture)->keys, &write, 1, true, NULL),
                         KL_OK);
    }
}

/* ---- an older data/ ---- */

static void test_a_withdrawn_consent_stays_withdrawn_in_an_older_data(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "bob@example.org", true);
    uint64_t number = 0;

    copy_data(fixture);
    assert_true(consents(fixture, &made.id));
    assert_int_equal(withdraw(fixture, &made.id), KL_OK);
    number = known(fixture);
    put_back(fixture);
    assert_false(consents(fixture, &made.id));
    assert_true(consents(fixture, &other.id));
    assert_int_equal(known(fixture), number);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"consent_withdrawn_again\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_applied\""), 1);
    fixture_reopen(fixture);
    assert_false(consents(fixture, &made.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_applied\""), 1);
    give(fixture, &made.id);
    assert_true(consents(fixture, &made.id));
    fixture_reopen(fixture);
    assert_true(consents(fixture, &made.id));
}

static void test_a_consent_given_again_counts_where_data_has_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo;
    struct vault_consent_input backdated = fixture_consent("mailing");

    assert_int_equal(withdraw(fixture, &made.id), KL_OK);
    /* on paper, signed before the withdrawal, entered after it */
    dpo = fixture_caller(fixture, "dpo");
    backdated.at_us = dpo.now_us - INT64_C(86400000000);
    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, &made.id, &backdated, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    assert_true(consents(fixture, &made.id));
    copy_data(fixture);
    assert_int_equal(withdraw(fixture, &made.id), KL_OK);
    give(fixture, &made.id);
    fixture_reopen(fixture);
    assert_true(consents(fixture, &made.id));
    put_back(
        fixture); /* the last consent is lost with the newer data, the withdrawal before it is not */
    assert_false(consents(fixture, &made.id));
}

/* What it narrows is gone with the newer data; the wider one does not come back in its place. */
static void test_a_consent_that_was_narrowed_does_not_come_back_wide(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_consent_input narrow = fixture_consent("mailing");
    struct vault_caller dpo;

    copy_data(fixture);
    dpo = fixture_caller(fixture, "dpo");
    narrow.expires_us = dpo.now_us + INT64_C(3600000000);
    assert_int_equal(vault_consent_give(fixture_vault(fixture), &dpo, &made.id, &narrow, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    give(fixture, &other.id);
    assert_true(consents(fixture, &made.id));
    fixture_reopen(fixture);
    assert_true(consents(fixture, &made.id));
    put_back(fixture);
    assert_false(consents(fixture, &made.id));
    assert_true(consents(fixture, &other.id));
}

static void test_a_revoked_credential_stays_revoked_in_an_older_data(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id id;
    struct kl_id later;
    struct kl_err err = {0};
    struct vault_token token = admin_make(fixture->admin, "reader", &id);
    struct vault_token unknown;

    copy_data(fixture);
    revoke_one(fixture, &id);
    unknown = admin_make(fixture->admin, "reader", &later);
    revoke_one(fixture, &later);
    put_back(fixture);
    assert_int_equal(admin_let_in(fixture->admin, token.text, &err), KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture->admin, unknown.text, &err), KL_ERR_UNAUTHORISED);
    fixture_reopen(fixture);
    assert_int_equal(admin_let_in(fixture->admin, token.text, &err), KL_ERR_UNAUTHORISED);
}

static void test_the_newest_policy_stays_in_force_in_an_older_data(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller steward;
    struct kl_buf yaml;
    uint64_t number = 0;
    uint64_t now = 0;

    copy_data(fixture);
    (void)admin_apply(fixture->admin, vault_policy_text);
    now = admin_apply(fixture->admin, vault_policy_text);
    put_back(fixture);
    assert_int_equal(policy_number(fixture), now);
    kl_buf_init(&yaml, 1024 * 1024);
    steward = admin_steward(fixture->admin);
    assert_int_equal(vault_policy_read(fixture_vault(fixture), &steward, &yaml, &number, NULL),
                     KL_OK);
    vault_caller_done(&steward);
    assert_int_equal(number, now);
    assert_int_equal(yaml.size, strlen(vault_policy_text));
    fixture_reopen(fixture);
    assert_int_equal(policy_number(fixture), now);
    assert_int_equal(admin_apply(fixture->admin, vault_policy_text), now + 1);
    kl_buf_done(&yaml);
}

static void test_the_closings_of_an_erased_subject_are_passed_over(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result erased = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result made = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_subject_result read = {0};

    copy_data(fixture);
    assert_int_equal(withdraw(fixture, &erased.id), KL_OK);
    fixture_erase(fixture, &erased.id);
    assert_int_equal(withdraw(fixture, &made.id), KL_OK);
    put_back(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &erased.id, "mailing", &read),
                     KL_ERR_NOT_FOUND);
    assert_false(consents(fixture, &made.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
}

/* ---- a crash ---- */

static struct vault_closing closing_of(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_closing closing = {.kind = VAULT_CLOSING_CONSENT,
                                    .tenant = tenant_of(fixture),
                                    .slot = slot_of(fixture, subject),
                                    .at_us = 1700000000000000,
                                    .purpose = "mailing",
                                    .entries = 1};

    return closing;
}

static void test_a_crash_before_data_closes_at_the_next_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing closing = closing_of(fixture, &made.id);

    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_OK);
    assert_int_equal(closing.seq, known(fixture) + 1);
    assert_true(consents(fixture, &made.id));
    fixture_reopen(fixture);
    assert_false(consents(fixture, &made.id));
    assert_int_equal(known(fixture), closing.seq);
}

static void test_a_closing_that_came_to_nothing_closes_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing closing = closing_of(fixture, &made.id);

    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_OK);
    vault_journal_end(fixture_vault(fixture), &closing);
    fixture_reopen(fixture);
    assert_true(consents(fixture, &made.id));
    assert_int_equal(known(fixture), closing.seq);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
}

/* Of two that are on their way the later is first in data/: what data/ says it has leaves both out. */
static void test_data_says_no_more_than_it_has_of_closings_under_way(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result first = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result second = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_closing closing = closing_of(fixture, &first.id);
    uint64_t before = known(fixture);

    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_OK);
    assert_int_equal(withdraw(fixture, &second.id), KL_OK);
    assert_int_equal(known(fixture), before);
    vault_journal_end(fixture_vault(fixture), &closing);
    give(fixture, &second.id);
    assert_int_equal(withdraw(fixture, &second.id), KL_OK);
    assert_int_equal(known(fixture), before + 3);
}

static void test_a_closing_about_somebody_gone_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing closing = closing_of(fixture, &made.id);

    fixture_erase(fixture, &made.id);
    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_ERR_GONE);
    assert_int_equal(closing.seq, 0);
    vault_journal_end(fixture_vault(fixture), &closing);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
}

/* ---- lost ---- */

static void test_a_lost_journal_voids_credentials_and_consents(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    const struct vault_credential_input input = {.role = "steward", .expires_in = "P1Y"};
    struct vault_credential_result result;
    struct vault_caller operator;
    struct vault_token reader = admin_make(fixture->admin, "reader", NULL);
    struct kl_err err = {0};

    assert_true(consents(fixture, &made.id));
    lose_journal(fixture, tenant_of(fixture));
    fixture_reopen(fixture);
    assert_int_equal(admin_let_in(fixture->admin, reader.text, &err), KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->steward_token.text, &err),
                     KL_ERR_UNAUTHORISED);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->operator_token.text, &err),
                     KL_OK);
    operator= admin_caller(fixture->admin, &fixture->admin->operator_token, "default");
    assert_int_equal(vault_credential_create(fixture_vault(fixture), &operator, & input, NULL,
                                             &fixture->admin->steward_token, &result, &err),
                     KL_OK);
    vault_caller_done(&operator);
    fixture->token_count = 0;
    assert_false(consents(fixture, &made.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 1);
    give(fixture, &made.id);
    assert_true(consents(fixture, &made.id));
    fixture_reopen(fixture);
    assert_true(consents(fixture, &made.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 1);
}

static void test_a_damaged_closing_that_data_lacks_is_a_lost_journal(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing closing = closing_of(fixture, &made.id);
    unsigned char key[VAULT_JOURNAL_KEY_BYTES];
    struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                      .value = kl_slice_text("nonsense")};
    struct kl_err err = {0};

    assert_int_equal(vault_journal_write(fixture_vault(fixture), &closing, NULL), KL_OK);
    vault_journal_key(closing.tenant, closing.seq, key);
    assert_int_equal(kms_side_apply(fixture_vault(fixture)->keys, &write, 1, true, NULL), KL_OK);
    fixture_reopen(fixture);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->steward_token.text, &err),
                     KL_ERR_UNAUTHORISED);
}

static void test_closings_are_pruned_once_no_backup_can_lack_them(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_closing left = closing_of(fixture, &made.id);
    struct kl_err err = {0};
    uint64_t tenant = tenant_of(fixture);
    int64_t now_us = kl_time_now_us();

    copy_data(fixture);
    assert_int_equal(withdraw(fixture, &made.id), KL_OK);
    assert_int_equal(journal_keys(fixture, tenant).count, 3); /* head, policy, consent */
    assert_int_equal(vault_journal_prune(fixture_vault(fixture), now_us, 60 * 1000000, NULL),
                     KL_OK);
    assert_int_equal(journal_keys(fixture, tenant).count, 3);
    assert_int_equal(vault_journal_write(fixture_vault(fixture), &left, NULL),
                     KL_OK); /* data/ has it not */
    assert_int_equal(
        vault_journal_prune(fixture_vault(fixture), now_us + 120 * 1000000, 60 * 1000000, NULL),
        KL_OK);
    assert_int_equal(journal_keys(fixture, tenant).count, 2);
    vault_journal_end(fixture_vault(fixture), &left);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
    assert_false(consents(fixture, &made.id));
    /* a backup that should not be there any more */
    put_back(fixture);
    assert_int_equal(admin_let_in(fixture->admin, fixture->admin->steward_token.text, &err),
                     KL_ERR_UNAUTHORISED);
}

/* ---- rows one by one ---- */

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
    fixture_path(fixture, COPY "/data", path);
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

    copy_data(fixture);
    assert_int_equal(withdraw(fixture, &made.id), KL_OK);
    key = vault_row_value(tenant_of(fixture), slot_of(fixture, &made.id), VAULT_VALUE_LEDGER);
    put_back_rows(fixture, vault_row_slice(&key));
    assert_false(consents(fixture, &made.id));
}

static void test_older_credentials_put_back_alone_let_nobody_in(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id id;
    struct kl_err err = {0};
    struct vault_token token = admin_make(fixture->admin, "reader", &id);

    copy_data(fixture);
    revoke_one(fixture, &id);
    put_back_rows(fixture, kl_slice_text("C"));
    assert_int_equal(admin_let_in(fixture->admin, token.text, &err), KL_ERR_UNAUTHORISED);
}

static void test_an_older_policy_put_back_alone_is_not_in_force(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_row_key key = vault_row_policy(tenant_of(fixture), 0);
    uint64_t now = 0;

    copy_data(fixture);
    now = admin_apply(fixture->admin, vault_policy_text);
    put_back_rows(fixture, vault_row_slice(&key));
    assert_int_equal(policy_number(fixture), now);
}

/* ---- many at once ---- */

#define PEOPLE 24
#define THREADS 4

struct crowd {
    struct vault_fixture *fixture;
    struct vault_caller dpo;
    struct kl_id people[PEOPLE];
    size_t first;
};

static void *withdraw_some(void *context)
{
    struct crowd *crowd = context;
    size_t i;

    for (i = crowd->first; i < PEOPLE; i += THREADS) {
        if (vault_consent_withdraw(fixture_vault(crowd->fixture), &crowd->dpo, &crowd->people[i],
                                   "mailing", NULL, NULL) != KL_OK) {
            return crowd;
        }
    }
    return NULL;
}

static void test_many_withdrawals_at_once_leave_no_gap(void **state)
{
    struct vault_fixture *fixture = *state;
    struct crowd crowds[THREADS];
    struct kl_id people[PEOPLE];
    pthread_t threads[THREADS];
    void *failed = NULL;
    char email[64];
    uint64_t before = known(fixture);
    size_t i;

    for (i = 0; i < PEOPLE; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        people[i] = fixture_newsletter(fixture, email, true).id;
    }
    copy_data(fixture);
    for (i = 0; i < THREADS; i++) {
        crowds[i].fixture = fixture;
        crowds[i].dpo = fixture_caller(fixture, "dpo");
        memcpy(crowds[i].people, people, sizeof people);
        crowds[i].first = i;
        assert_int_equal(pthread_create(&threads[i], NULL, withdraw_some, &crowds[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        vault_caller_done(&crowds[i].dpo);
    }
    assert_int_equal(known(fixture), before + PEOPLE);
    put_back(fixture);
    for (i = 0; i < PEOPLE; i++) {
        assert_false(consents(fixture, &people[i]));
    }
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
}

/* ---- the trail ---- */

static struct vault_audit_tree tree_of(struct vault_fixture *fixture)
{
    struct vault_audit_tree tree = {0};
    struct vault_row_key key = vault_row_frontier(tenant_of(fixture));
    struct kl_buf row;

    kl_buf_init(&row, VAULT_AUDIT_TREE_MAX_BYTES);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL),
        KL_OK);
    assert_int_equal(vault_audit_tree_read(kl_buf_slice(&row), &tree, NULL), KL_OK);
    kl_buf_done(&row);
    return tree;
}

/* From the rows alone: entries, and what is said to be lost. ret_entries: how many rows there are. */
static struct vault_audit_tree tree_again(struct vault_fixture *fixture, size_t *ret_entries)
{
    struct vault_audit_tree tree = {0};
    struct vault_row_key first = vault_row_audit(tenant_of(fixture), 0);
    struct vault_row_key past = vault_row_audit(tenant_of(fixture), UINT64_MAX);
    struct vault_iter *iter = vault_iter_new(
        fixture_vault(fixture)->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
    struct vault_row_key lost;
    struct kl_slice key;
    struct kl_slice entry;
    struct kl_buf until;
    uint64_t seq;

    *ret_entries = 0;
    kl_buf_init(&until, 64);
    while (vault_iter_next(iter, &key, &entry)) {
        seq = kl_get_u64be(key.bytes + key.size - 8);
        if (seq != tree.size) {
            lost = vault_row_lost(tenant_of(fixture), tree.size);
            kl_buf_clear(&until);
            assert_int_equal(vault_store_get(fixture_vault(fixture)->data_store,
                                             vault_row_slice(&lost), &until, NULL),
                             KL_OK);
            assert_int_equal(kl_get_u64be(until.bytes), seq);
            vault_audit_leaf_hash(kl_slice_text(VAULT_AUDIT_LOST_ENTRY), leaf);
            while (tree.size < seq) {
                vault_audit_tree_append(&tree, leaf);
            }
        }
        vault_audit_leaf_hash(entry, leaf);
        vault_audit_tree_append(&tree, leaf);
        (*ret_entries)++;
    }
    vault_iter_free(iter);
    kl_buf_done(&until);
    return tree;
}

static void test_the_trail_goes_on_behind_all_numbers_ever_used(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_audit_tree then;
    struct vault_audit_tree now;
    struct vault_audit_tree again;
    unsigned char root[VAULT_AUDIT_HASH_BYTES];
    unsigned char root_again[VAULT_AUDIT_HASH_BYTES];
    char text[KL_BASE64_CHARS(VAULT_AUDIT_HASH_BYTES) + 32];
    char root_text[KL_BASE64_CHARS(VAULT_AUDIT_HASH_BYTES) + 1];
    size_t entries = 0;
    uint64_t copied = 0;

    copy_data(fixture);
    copied = tree_of(fixture).size;
    (void)fixture_newsletter(fixture, "ana@example.org", true);
    (void)fixture_newsletter(fixture, "bob@example.org", true);
    then = tree_of(fixture);
    assert_true(then.size > copied);
    put_back(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 1);
    vault_audit_tree_root(&then, root);
    kl_base64(root, sizeof root, root_text);
    (void)snprintf(text, sizeof text, "\"known_root_hash\":\"%s\"", root_text);
    assert_int_equal(fixture_trail(fixture, text), 1);
    (void)snprintf(text, sizeof text, "\"data_entries\":%llu", (unsigned long long)copied);
    assert_int_equal(fixture_trail(fixture, text), 1);
    now = tree_of(fixture);
    assert_true(now.size > then.size);
    again = tree_again(fixture, &entries);
    assert_true(entries < then.size + 32);
    assert_int_equal(again.size, now.size);
    vault_audit_tree_root(&now, root);
    vault_audit_tree_root(&again, root_again);
    assert_memory_equal(root, root_again, sizeof root);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 1);
    assert_true(tree_of(fixture).size < now.size + 32);
}

static void test_times_find_entries_on_both_sides_of_what_was_lost(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_audit_filter filter = {.from_us = 1};
    struct vault_caller steward;
    struct kl_buf text;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];

    copy_data(fixture);
    (void)fixture_newsletter(fixture, "ana@example.org", true);
    put_back(fixture);
    (void)fixture_newsletter(fixture, "bob@example.org", true);
    kl_buf_init(&text, 4 * 1024 * 1024);
    steward = admin_steward(fixture->admin);
    assert_int_equal(vault_audit_list(fixture_vault(fixture), &steward, &filter, VAULT_PAGE_MAX,
                                      NULL, &text, cursor, NULL),
                     KL_OK);
    vault_caller_done(&steward);
    assert_non_null(strstr((const char *)text.bytes, "policy_apply"));
    assert_non_null(strstr((const char *)text.bytes, "data_restored"));
    assert_non_null(strstr((const char *)text.bytes, "\"create\""));
    kl_buf_done(&text);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_withdrawn_consent_stays_withdrawn_in_an_older_data),
        TEST(test_a_consent_given_again_counts_where_data_has_it),
        TEST(test_a_consent_that_was_narrowed_does_not_come_back_wide),
        TEST(test_a_revoked_credential_stays_revoked_in_an_older_data),
        TEST(test_the_newest_policy_stays_in_force_in_an_older_data),
        TEST(test_the_closings_of_an_erased_subject_are_passed_over),
        TEST(test_a_crash_before_data_closes_at_the_next_open),
        TEST(test_a_closing_that_came_to_nothing_closes_nothing),
        TEST(test_data_says_no_more_than_it_has_of_closings_under_way),
        TEST(test_a_closing_about_somebody_gone_is_refused),
        TEST(test_a_lost_journal_voids_credentials_and_consents),
        TEST(test_a_damaged_closing_that_data_lacks_is_a_lost_journal),
        TEST(test_closings_are_pruned_once_no_backup_can_lack_them),
        TEST(test_an_older_ledger_put_back_alone_reopens_nothing),
        TEST(test_older_credentials_put_back_alone_let_nobody_in),
        TEST(test_an_older_policy_put_back_alone_is_not_in_force),
        TEST(test_many_withdrawals_at_once_leave_no_gap),
        TEST(test_the_trail_goes_on_behind_all_numbers_ever_used),
        TEST(test_times_find_entries_on_both_sides_of_what_was_lost),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
