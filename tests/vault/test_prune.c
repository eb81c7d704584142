/* Old entries of a trail go by the policy's period, and the tree stays: what goes when, and over crashes, restores and tampering. */
#include "vault/prune_job.h"

#include "kluis/vault/review.h"
#include "kluis/vault/trail.h"
#include "kluis/vault/webhook.h"
#include "tests/support/store_fixture.h"
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/act.h"
#include "vault/audit_check.h"
#include "vault/audit_proof.h"
#include "vault/pruned.h"
#include "vault/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY KL_TIME_DAY_US
#define YEAR (366 * DAY)
#define MARK "request-mark-"

/* ---- making a trail, and looking at it ---- */

static void apply_at(struct vault_fixture *fixture, const char *audit, int64_t at_us)
{
    struct vault_findings *findings = calloc(1, sizeof *findings);
    struct vault_caller steward = admin_steward(fixture->admin);
    char text[VAULT_FIXTURE_POLICY_BYTES];
    uint64_t number = 0;

    assert_non_null(findings);
    (void)snprintf(text, sizeof text, "%s%s", vault_policy_text, audit);
    steward.now_us = at_us;
    assert_int_equal(vault_policy_apply(fixture_vault(fixture), &steward, text, strlen(text),
                                        findings, &number, &fixture->err),
                     KL_OK);
    vault_caller_done(&steward);
    free(findings);
}

static void append(struct vault_fixture *fixture, size_t count, int64_t at_us)
{
    for (size_t i = 0; i < count; i++) {
        char mark[48];
        const struct vault_audit_who who = {.role = "vault", .request_id = mark, .at_us = at_us};
        struct vault_act act;
        struct vault_act *acts[1] = {&act};

        (void)snprintf(mark, sizeof mark, MARK "%zu", i);
        vault_act_begin(&act, fixture_tenant(fixture), &who, "policy_read");
        assert_int_equal(vault_act_commit(fixture_vault(fixture), acts, 1, NULL, NULL), KL_OK);
        vault_act_done(&act);
    }
}

static uint64_t size_of(struct vault_fixture *fixture)
{
    uint64_t size = 0;

    assert_int_equal(
        vault_trails_size(fixture_vault(fixture)->trails, fixture_tenant(fixture), &size, NULL),
        KL_OK);
    return size;
}

static struct vault_pruned pruned_of(struct vault_fixture *fixture)
{
    struct vault_pruned pruned = {.until = 99};

    assert_int_equal(
        vault_trails_pruned(fixture_vault(fixture)->trails, fixture_tenant(fixture), &pruned, NULL),
        KL_OK);
    return pruned;
}

static size_t rows_below(struct vault_fixture *fixture, uint64_t until)
{
    struct vault_row_key first = vault_row_audit(fixture_tenant(fixture), 0);
    struct vault_row_key past = vault_row_audit(fixture_tenant(fixture), until);
    struct vault_iter *iter = vault_iter_new(
        fixture_vault(fixture)->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    struct kl_slice key;
    struct kl_slice value;
    size_t count = 0;

    while (vault_iter_next(iter, &key, &value)) {
        count++;
    }
    vault_iter_free(iter);
    return count;
}

static void root_at(struct vault_fixture *fixture, uint64_t size,
                    unsigned char ret[KL_MERKLE_HASH_BYTES])
{
    struct vault_tree_reader *reader = NULL;

    assert_int_equal(vault_tree_reader_new(fixture_vault(fixture)->trails, fixture_tenant(fixture),
                                           &reader, NULL),
                     KL_OK);
    assert_int_equal(vault_tree_root(reader, size, ret, NULL), KL_OK);
    vault_tree_reader_free(reader);
}

/* code NULL: nothing is wrong. */
static void assert_checked(struct vault_fixture *fixture, const char *code)
{
    struct kl_trail_findings *findings = calloc(1, sizeof *findings);
    uint64_t size = 0;
    bool found = code == NULL;

    assert_non_null(findings);
    assert_int_equal(
        vault_audit_check(fixture_vault(fixture), fixture_tenant(fixture), findings, &size, NULL),
        KL_OK);
    for (size_t i = 0; i < findings->count && i < KL_TRAIL_FINDINGS_MAX; i++) {
        found = found || strcmp(findings->items[i].code, code) == 0;
        if (code == NULL) {
            print_error("%s %llu: %s\n", findings->items[i].code,
                        (unsigned long long)findings->items[i].from, findings->items[i].detail);
        }
    }
    assert_true(found);
    assert_true(code != NULL || findings->count == 0);
    free(findings);
}

/* ---- runs ---- */

static void job_make(struct vault_fixture *fixture, const char *params, struct vault_job *ret)
{
    vault_job_init(ret);
    ret->kind = VAULT_JOB_PRUNE;
    ret->tenant = fixture_tenant(fixture);
    kl_buf_add_text(&ret->params, params);
}

static int64_t result_of(const struct vault_job *job, const char *name)
{
    struct kl_json *json = NULL;
    int64_t number = -1;

    assert_int_equal(kl_json_parse(job->result.bytes, job->result.size, &json, NULL), KL_OK);
    (void)kl_json_int(kl_json_member(kl_json_root(json), name), &number);
    kl_json_free(json);
    return number;
}

/* A run as it would be at now_us; how many entries went. */
static int64_t run_at(struct vault_fixture *fixture, int64_t now_us, const char *params)
{
    struct vault_job job;
    bool done = false;
    int64_t entries = 0;

    job_make(fixture, params, &job);
    while (!done) {
        assert_int_equal(
            vault_prune_step(fixture_vault(fixture), &job, now_us, &done, &fixture->err), KL_OK);
    }
    entries = result_of(&job, "entries");
    vault_job_done(&job);
    return entries;
}

#define BY_HAND "{\"per_second\":1000000}"

/* ---- what counts ---- */

static struct vault_prune_rule rule_at(struct vault_fixture *fixture, int64_t now_us)
{
    struct vault_prune_rule rule = {.policy = 77};

    assert_int_equal(
        vault_prune_rule_read(fixture_vault(fixture), fixture_tenant(fixture), now_us, &rule, NULL),
        KL_OK);
    return rule;
}

static void test_without_a_period_nothing_ever_goes(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t now_us = kl_time_now_us();
    uint64_t size = size_of(fixture);

    assert_true(rule_at(fixture, now_us + 90 * YEAR).forever);
    assert_int_equal(run_at(fixture, now_us + 90 * YEAR, BY_HAND), 0);
    assert_int_equal(size_of(fixture), size);
    assert_int_equal(rows_below(fixture, size), size);
}

static void test_a_shorter_period_waits_for_thirty_days(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t now_us = kl_time_now_us();
    struct vault_prune_rule rule;

    apply_at(fixture, "audit: { keep: P6Y }\n", now_us);
    rule = rule_at(fixture, now_us + 29 * DAY);
    assert_true(rule.forever);
    assert_int_equal(rule.waits_us, now_us + 30 * DAY);
    rule = rule_at(fixture, now_us + 31 * DAY);
    assert_false(rule.forever);
    assert_int_equal(rule.longest.months, 72);

    apply_at(fixture, "audit: { keep: P1Y }\n", now_us + 100 * DAY);
    rule = rule_at(fixture, now_us + 129 * DAY);
    assert_false(rule.forever);
    assert_int_equal(rule.keep_count, 2);
    assert_int_equal(rule.longest.months, 72);
    assert_false(vault_prune_is_over(&rule, now_us - 5 * YEAR, now_us + 129 * DAY));
    rule = rule_at(fixture, now_us + 131 * DAY);
    assert_int_equal(rule.keep_count, 1);
    assert_true(vault_prune_is_over(&rule, now_us - 5 * YEAR, now_us + 131 * DAY));

    apply_at(fixture, "audit: { keep: P2Y }\n", now_us + 140 * DAY);
    rule = rule_at(fixture, now_us + 140 * DAY);
    assert_int_equal(rule.longest.months, 24);
    assert_false(vault_prune_is_over(&rule, now_us - YEAR, now_us + 140 * DAY));
}

/* How many events wait for the target of alerts. */
static uint64_t told_of(struct vault_fixture *fixture)
{
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_webhook_result *list = NULL;
    size_t count = 0;

    assert_int_equal(
        vault_webhook_list(fixture_vault(fixture), &steward, fixture->arena, &list, &count, NULL),
        KL_OK);
    assert_int_equal(count, 1);
    vault_caller_done(&steward);
    return list[0].waiting;
}

static void test_that_a_period_was_shortened_is_said(void **state)
{
    static const struct vault_webhook_input input = {
        .url = "https://siem.example.eu/kluis", .country = "BE", .events = VAULT_WEBHOOK_ALERTS};
    struct vault_fixture *fixture = *state;
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_webhook_secret secret;
    struct vault_webhook_result made;
    int64_t now_us = kl_time_now_us();

    assert_int_equal(vault_webhook_add(fixture_vault(fixture), &steward, &input, NULL,
                                       fixture->arena, &secret, &made, NULL),
                     KL_OK);
    vault_caller_done(&steward);

    apply_at(fixture, "audit: { keep: P6Y, keep_unreviewed: true }\n", now_us);
    assert_int_equal(fixture_trail(fixture, "audit_keep_counts_at"), 1);
    apply_at(fixture, "audit: { keep: P7Y, keep_unreviewed: true }\n", now_us);
    assert_int_equal(fixture_trail(fixture, "audit_keep_counts_at"), 1);
    apply_at(fixture, "audit: { keep: P7Y }\n", now_us);
    assert_int_equal(fixture_trail(fixture, "audit_keep_counts_at"), 2);
    assert_int_equal(told_of(fixture), 2);
    apply_at(fixture, "", now_us);
    assert_int_equal(fixture_trail(fixture, "audit_keep_counts_at"), 2);
    assert_int_equal(told_of(fixture), 2);
}

/* ---- going ---- */

static bool is_in_files(struct vault_fixture *fixture, const char *piece)
{
    char folder[ADMIN_PATH_BYTES];

    fixture_path(fixture, "data/data", folder);
    return store_files_hold(folder, piece);
}

static void assert_entries_told(struct vault_fixture *fixture, uint64_t until)
{
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_audit_filter filter = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    char piece[64];
    struct kl_id gone = {{1}};
    struct kl_buf text;

    kl_buf_init(&text, 16 * 1024 * 1024);
    assert_int_equal(vault_trail_entries(fixture_vault(fixture), &steward, 0, 1000, &text, NULL),
                     KL_OK);
    (void)snprintf(piece, sizeof piece, "\"pruned\":{\"until\":%llu,", (unsigned long long)until);
    assert_non_null(strstr((const char *)text.bytes, piece));
    (void)snprintf(piece, sizeof piece, "\"entries\":[{\"index\":%llu,", (unsigned long long)until);
    assert_non_null(strstr((const char *)text.bytes, piece));
    kl_buf_clear(&text);
    assert_int_equal(vault_audit_list(fixture_vault(fixture), &steward, &filter, 1000, NULL, &text,
                                      cursor, NULL),
                     KL_OK);
    (void)snprintf(piece, sizeof piece, "[{\"seq\":%llu,", (unsigned long long)until);
    assert_memory_equal(text.bytes, piece, strlen(piece));
    kl_buf_clear(&text);
    assert_int_equal(vault_trail_inclusion(fixture_vault(fixture), &steward, NULL,
                                           (int64_t)until - 1, -1, &text, NULL),
                     KL_OK);
    kl_buf_clear(&text);
    assert_int_equal(vault_trail_inclusion(fixture_vault(fixture), &steward, &gone, -1, -1, &text,
                                           &fixture->err),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "entry_pruned");
    kl_err_clear(&fixture->err);
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
    vault_caller_done(&steward);
}

static void test_old_entries_go_and_the_tree_stays(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t now_us = kl_time_now_us();
    unsigned char before[2][KL_MERKLE_HASH_BYTES];
    unsigned char after[2][KL_MERKLE_HASH_BYTES];
    uint64_t until = 0;

    apply_at(fixture, "audit: { keep: P2Y }\n", now_us);
    append(fixture, 300, now_us + DAY);
    until = size_of(fixture);
    append(fixture, 40, now_us + 2 * YEAR);
    root_at(fixture, 100, before[0]);
    root_at(fixture, until + 40, before[1]);
    assert_true(is_in_files(fixture, MARK "299"));

    assert_int_equal(run_at(fixture, now_us + 2 * YEAR - 30 * DAY, BY_HAND), 0);
    assert_int_equal(run_at(fixture, now_us + 2 * YEAR + 2 * DAY, "{\"dry_run\":true}"), until);
    assert_int_equal(pruned_of(fixture).until, 0);
    assert_int_equal(run_at(fixture, now_us + 2 * YEAR + 2 * DAY, BY_HAND), until);
    assert_int_equal(pruned_of(fixture).until, until);
    assert_int_equal(pruned_of(fixture).removed, until);
    assert_int_equal(rows_below(fixture, until), 0);
    assert_int_equal(rows_below(fixture, UINT64_MAX), 41);
    assert_false(is_in_files(fixture, MARK "299"));
    assert_true(is_in_files(fixture, MARK "39"));

    root_at(fixture, 100, after[0]);
    root_at(fixture, until + 40, after[1]);
    assert_memory_equal(before, after, sizeof before);
    assert_checked(fixture, NULL);
    assert_entries_told(fixture, until);
    fixture_reopen(fixture);
    assert_int_equal(pruned_of(fixture).until, until);
    assert_checked(fixture, NULL);
    assert_int_equal(run_at(fixture, now_us + 2 * YEAR + 3 * DAY, BY_HAND), 0);
    /* Those that stayed, and the declaration itself, go in their time. */
    append(fixture, 5, now_us + 9 * YEAR);
    assert_int_equal(run_at(fixture, now_us + 9 * YEAR, BY_HAND),
                     43); /* two that were told above */
    assert_checked(fixture, NULL);
}

/* After each step the vault is opened again, as after a crash, with the job as it was before that step. */
static void test_a_crash_after_any_step_leaves_the_rest_to_do(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t now_us = kl_time_now_us();
    int64_t at_us = now_us + 2 * YEAR;
    uint64_t until = 0;
    struct vault_job job;
    struct kl_buf cursor;
    bool done = false;

    apply_at(fixture, "audit: { keep: P1Y }\n", now_us);
    append(fixture, 260, now_us);
    until = size_of(fixture);
    append(fixture, 10, at_us);
    job_make(fixture, BY_HAND, &job);
    kl_buf_init(&cursor, VAULT_JOB_TEXT_MAX_BYTES);
    for (int steps = 0; !done; steps++) {
        assert_true(steps < 20);
        kl_buf_clear(&cursor);
        kl_buf_add(&cursor, job.cursor.bytes, job.cursor.size);
        assert_int_equal(vault_prune_step(fixture_vault(fixture), &job, at_us, &done, NULL), KL_OK);
        fixture_reopen(fixture);
        assert_checked(fixture, NULL);
        kl_buf_clear(&job.cursor);
        kl_buf_add(&job.cursor, cursor.bytes, cursor.size);
        assert_int_equal(vault_prune_step(fixture_vault(fixture), &job, at_us, &done, NULL), KL_OK);
    }
    kl_buf_done(&cursor);
    vault_job_done(&job);
    assert_int_equal(pruned_of(fixture).until, until);
    assert_int_equal(rows_below(fixture, until), 0);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"trail_pruned\""), 1);
    assert_checked(fixture, NULL);
}

/* The job is gone with the crash, and another run finishes what was declared. */
static void test_what_was_declared_is_removed_by_the_next_run(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t at_us = kl_time_now_us() + 2 * YEAR;
    struct vault_job job;
    bool done = false;
    uint64_t until = 0;

    apply_at(fixture, "audit: { keep: P1Y }\n", kl_time_now_us());
    until = size_of(fixture);
    job_make(fixture, BY_HAND, &job);
    assert_int_equal(vault_prune_step(fixture_vault(fixture), &job, at_us, &done, NULL), KL_OK);
    vault_job_done(&job);
    assert_false(done);
    assert_int_equal(pruned_of(fixture).until, until);
    assert_int_equal(pruned_of(fixture).removed, 0);
    assert_int_equal(rows_below(fixture, until), until);
    assert_entries_told(fixture, until);
    assert_checked(fixture, NULL);
    assert_int_equal(run_at(fixture, at_us, BY_HAND), 0);
    assert_int_equal(rows_below(fixture, until), 0);
    assert_checked(fixture, NULL);
}

static void test_borders_of_tiles_are_borders_of_nothing(void **state)
{
    static const uint64_t borders[] = {255, 256, 257, 511, 512, 513};
    struct vault_fixture *fixture = *state;
    int64_t now_us = kl_time_now_us();

    apply_at(fixture, "audit: { keep: P1Y }\n", now_us);
    for (size_t i = 0; i < sizeof borders / sizeof borders[0]; i++) {
        int64_t at_us = now_us + (int64_t)(2 * i + 2) * YEAR;
        unsigned char before[KL_MERKLE_HASH_BYTES];
        unsigned char after[KL_MERKLE_HASH_BYTES];

        assert_true(size_of(fixture) <= borders[i]);
        append(fixture, borders[i] - size_of(fixture), at_us - 2 * YEAR);
        root_at(fixture, borders[i], before);
        (void)run_at(fixture, at_us, BY_HAND);
        assert_int_equal(pruned_of(fixture).until, borders[i]);
        root_at(fixture, borders[i], after);
        assert_memory_equal(before, after, sizeof before);
        assert_checked(fixture, NULL);
        /* The declaration is one entry more: of the next border it is the first. */
        fixture_reopen(fixture);
        assert_checked(fixture, NULL);
        if (i + 1 < sizeof borders / sizeof borders[0] && borders[i + 1] == borders[i] + 1) {
            assert_int_equal(size_of(fixture), borders[i + 1]);
        }
    }
}

static void test_by_night_few_entries_wait_for_a_month(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t now_us = kl_time_now_us();
    struct vault_job job;
    bool done = false;

    apply_at(fixture, "audit: { keep: P1Y }\n", now_us);
    for (int i = 0; i < 2; i++) {
        int64_t at_us = now_us + YEAR + (i == 0 ? 20 : 40) * DAY;

        done = false;
        job_make(fixture, "{\"nightly\":true,\"per_second\":1000000}", &job);
        job.tenant = KMS_TENANT_VAULT;
        while (!done) {
            assert_int_equal(vault_prune_step(fixture_vault(fixture), &job, at_us, &done, NULL),
                             KL_OK);
        }
        assert_int_equal(result_of(&job, "trails"), i);
        assert_int_equal(pruned_of(fixture).until > 0, i);
        vault_job_done(&job);
    }
}

/* ---- what stays ---- */

static void put(struct vault_fixture *fixture, struct vault_row_key key, const void *bytes,
                size_t size)
{
    struct vault_batch *batch = vault_batch_new();

    if (size > 0) {
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, size));
    } else {
        vault_batch_remove(batch, vault_row_slice(&key));
    }
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, false, NULL),
                     KL_OK);
    vault_batch_free(batch);
}

static void test_an_entry_that_was_tampered_with_stays_as_evidence(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t now_us = kl_time_now_us();
    struct vault_row_key key = vault_row_audit(fixture_tenant(fixture), 12);
    struct kl_buf row;

    apply_at(fixture, "audit: { keep: P1Y }\n", now_us);
    append(fixture, 20, now_us);
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL),
        KL_OK);
    row.bytes[row.size - 4] ^= 1;
    put(fixture, key, row.bytes, row.size);
    kl_buf_done(&row);
    assert_int_equal(run_at(fixture, now_us + 3 * YEAR, BY_HAND), 12);
    assert_int_equal(run_at(fixture, now_us + 4 * YEAR, BY_HAND), 0);
    assert_checked(fixture, "entry_edited");
    put(fixture, key, NULL, 0);
    assert_int_equal(run_at(fixture, now_us + 4 * YEAR, BY_HAND), 0);
    assert_checked(fixture, "entry_dropped");
}

static void test_what_no_review_covers_stays_where_the_policy_says_so(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_review_input input = {.from = 0, .to = 7, .note = "looked at it"};
    struct vault_caller auditor = fixture_caller(fixture, "auditor");
    int64_t now_us = kl_time_now_us();
    bool replayed = false;
    struct kl_buf text;

    apply_at(fixture, "audit: { keep: P1Y, keep_unreviewed: true }\n", now_us);
    append(fixture, 20, now_us);
    assert_int_equal(run_at(fixture, now_us + 3 * YEAR, BY_HAND), 0);
    kl_buf_init(&text, (size_t)32 * 1024 * 1024);
    assert_int_equal(vault_review_make(fixture_vault(fixture), &auditor, &input, NULL, &text,
                                       &replayed, &fixture->err),
                     KL_OK);
    assert_int_equal(run_at(fixture, now_us + 3 * YEAR, BY_HAND), 7);
    assert_int_equal(pruned_of(fixture).until, 7);
    assert_checked(fixture, NULL);
    /* Its note went with what it is about; what it covered is no gap, and cannot be reviewed again. */
    kl_buf_clear(&text);
    assert_int_equal(
        vault_review_list(fixture_vault(fixture), &auditor, 10, NULL, &text, &fixture->err), KL_OK);
    assert_null(strstr((const char *)text.bytes, "looked at it"));
    assert_non_null(strstr((const char *)text.bytes, "\"unreviewed\":[{\"from\":7,"));
    kl_buf_clear(&text);
    assert_int_equal(vault_review_make(fixture_vault(fixture), &auditor, &input, NULL, &text,
                                       &replayed, &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "entry_pruned");
    kl_buf_done(&text);
    vault_caller_done(&auditor);
}

/* ---- older data ---- */

static void test_what_a_restore_brings_back_goes_again_and_lost_is_not_pruned(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t now_us = kl_time_now_us();
    uint64_t until = 0;

    apply_at(fixture, "audit: { keep: P1Y }\n", now_us);
    append(fixture, 30, now_us);
    until = size_of(fixture);
    fixture_copy(fixture);
    assert_true(run_at(fixture, now_us + 2 * YEAR, BY_HAND) >= (int64_t)until);
    fixture_put_back_data(fixture);
    assert_int_equal(pruned_of(fixture).until, 0);
    assert_true(rows_below(fixture, until) == until);
    assert_checked(fixture, NULL);
    /* Lost numbers lie behind; then within what goes. */
    assert_true(size_of(fixture) > VAULT_AUDIT_NUMBERS_BLOCK);
    assert_true(run_at(fixture, now_us + 2 * YEAR, BY_HAND) >= (int64_t)until);
    assert_true(pruned_of(fixture).until > VAULT_AUDIT_NUMBERS_BLOCK);
    assert_checked(fixture, NULL);
}

/* ---- tampering ---- */

static void test_a_row_that_the_vault_did_not_write_hides_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_row_key key = vault_row_pruned(fixture_tenant(fixture));
    unsigned char row[1 + 8 + 8 + KL_ID_BYTES + KMS_MAC_BYTES] = {1};

    append(fixture, 20, kl_time_now_us());
    kl_put_u64be(row + 1, 10);
    put(fixture, key, row, sizeof row);
    fixture_reopen(fixture);
    assert_int_equal(pruned_of(fixture).until, 0);
    assert_checked(fixture, "pruning_forged");
    put(fixture, key, row, 5);
    fixture_reopen(fixture);
    assert_int_equal(pruned_of(fixture).until, 0);
    assert_checked(fixture, "pruning_forged");
}

static void test_what_the_vault_did_not_declare_is_named(void **state)
{
    struct vault_fixture *fixture = *state;
    int64_t now_us = kl_time_now_us();
    struct vault_pruned pruned;
    struct vault_batch *batch = vault_batch_new();

    apply_at(fixture, "audit: { keep: P1Y }\n", now_us);
    append(fixture, 20, now_us);
    (void)run_at(fixture, now_us + 2 * YEAR, BY_HAND);
    append(fixture, 20, now_us);
    assert_checked(fixture, NULL);
    pruned = pruned_of(fixture);
    pruned.until += 5; /* as the vault itself would write it, had it been told to */
    assert_int_equal(vault_pruned_put(fixture_vault(fixture)->keys, fixture_tenant(fixture),
                                      &pruned, batch, NULL),
                     KL_OK);
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, false, NULL),
                     KL_OK);
    vault_batch_free(batch);
    fixture_reopen(fixture);
    assert_checked(fixture, "pruned_undeclared");
}

static void test_who_may(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_prune_input input = {.dry_run = false};
    struct vault_caller callers[] = {
        admin_steward(fixture->admin), fixture_caller(fixture, "auditor"),
        fixture_caller(fixture, "dpo"), admin_operator(fixture->admin)};
    static const enum kl_status wet[] = {KL_OK, KL_ERR_FORBIDDEN, KL_ERR_FORBIDDEN,
                                         KL_ERR_FORBIDDEN};
    static const enum kl_status dry[] = {KL_OK, KL_OK, KL_ERR_FORBIDDEN, KL_ERR_FORBIDDEN};
    struct kl_buf shown;

    kl_buf_init(&shown, 65536);
    for (size_t i = 0; i < 4; i++) {
        input.dry_run = false;
        assert_int_equal(vault_prune_start(fixture_vault(fixture), &callers[i], &input, NULL,
                                           &shown, NULL, NULL),
                         wet[i]);
        input.dry_run = true;
        assert_int_equal(vault_prune_start(fixture_vault(fixture), &callers[i], &input, NULL,
                                           &shown, NULL, NULL),
                         dry[i]);
    }
    input.per_second = 1;
    assert_int_equal(vault_prune_start(fixture_vault(fixture), &callers[0], &input, NULL, &shown,
                                       NULL, &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_rate");
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    kl_buf_clear(&shown);
    assert_int_equal(vault_prune_list(fixture_vault(fixture), &callers[1], 10, &shown, NULL),
                     KL_OK);
    assert_non_null(strstr((const char *)shown.bytes, "\"kept_for_ever\":true"));
    kl_buf_done(&shown);
    for (size_t i = 0; i < 4; i++) {
        vault_caller_done(&callers[i]);
    }
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_a_period_nothing_ever_goes),
        TEST(test_a_shorter_period_waits_for_thirty_days),
        TEST(test_that_a_period_was_shortened_is_said),
        TEST(test_old_entries_go_and_the_tree_stays),
        TEST(test_a_crash_after_any_step_leaves_the_rest_to_do),
        TEST(test_what_was_declared_is_removed_by_the_next_run),
        TEST(test_borders_of_tiles_are_borders_of_nothing),
        TEST(test_by_night_few_entries_wait_for_a_month),
        TEST(test_an_entry_that_was_tampered_with_stays_as_evidence),
        TEST(test_what_no_review_covers_stays_where_the_policy_says_so),
        TEST(test_what_a_restore_brings_back_goes_again_and_lost_is_not_pruned),
        TEST(test_a_row_that_the_vault_did_not_write_hides_nothing),
        TEST(test_what_the_vault_did_not_declare_is_named),
        TEST(test_who_may),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
