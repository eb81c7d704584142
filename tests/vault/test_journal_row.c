/* Closings as rows: read back, and damaged. */
#include "tests/support/store_fixture.h"

#include "tests/support/test.h"
#include "vault/journal_internal.h"
#include "vault/rows.h"

#include <stdlib.h>
#include <string.h>

#define SEQ 7
#define SUBJECT 4100
#define ROOM_BYTES 65536

struct fixture {
    struct store_fixture *base;
    struct vault *vault; /* its keys, and nothing else */
    struct kl_arena *arena;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    void *base = NULL;

    assert_non_null(fixture);
    assert_int_equal(store_fixture_setup(&base), 0);
    fixture->base = base;
    fixture->vault = calloc(1, sizeof *fixture->vault);
    fixture->arena = kl_arena_new(1024 * 1024);
    assert_true(fixture->vault != NULL && fixture->arena != NULL);
    fixture->vault->keys = fixture->base->keys->kms;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    void *base = fixture->base;

    kl_arena_free(fixture->arena);
    free(fixture->vault);
    free(fixture);
    return store_fixture_teardown(&base);
}

/* One of each kind; the body is the policy's. */
static struct vault_closing closing_of(const struct fixture *fixture, enum vault_closing_kind kind)
{
    bool of_subject = kind == VAULT_CLOSING_CONSENT || kind == VAULT_CLOSING_OBJECTION ||
                      kind == VAULT_CLOSING_RESTRICTION || kind == VAULT_CLOSING_RESIDENCY;
    struct vault_closing closing = {.kind = kind,
                                    .tenant = fixture->base->tenant,
                                    .slot = of_subject ? SUBJECT : VAULT_SLOT_JOURNAL,
                                    .at_us = 1700000000000001};

    if (kind == VAULT_CLOSING_CONSENT || kind == VAULT_CLOSING_OBJECTION) {
        closing.purpose = "mailing";
    }
    if (of_subject) {
        closing.entries = 3;
    }
    if (kind == VAULT_CLOSING_OBJECTION || kind == VAULT_CLOSING_RESTRICTION) {
        closing.ground = 2;
    }
    if (kind == VAULT_CLOSING_CONSENT) {
        closing.recipient = "speaker";
    }
    if (kind == VAULT_CLOSING_RESIDENCY) {
        closing.entries = 7;
    }
    if (kind == VAULT_CLOSING_CREDENTIAL) {
        memset(closing.mac, 0x5a, sizeof closing.mac);
        memset(closing.credential.bytes, 0xa5, KL_ID_BYTES);
    }
    if (kind == VAULT_CLOSING_POLICY) {
        closing.policy = 12;
        closing.body = kl_slice_text("the row of a policy");
    }
    return closing;
}

static enum kl_status decode(struct fixture *fixture, uint64_t seq, struct kl_slice row,
                             struct vault_closing *ret, struct kl_err *err)
{
    return vault_closing_decode(fixture->vault, fixture->base->tenant, seq, row, fixture->arena,
                                ret, err);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void test_every_kind_reads_back_as_it_was_written(void **state)
{
    struct fixture *fixture = *state;
    struct kl_buf row;
    int kind;

    kl_buf_init(&row, ROOM_BYTES);
    for (kind = VAULT_CLOSING_VOID; kind <= VAULT_CLOSING_RESIDENCY; kind++) {
        struct vault_closing closing = closing_of(fixture, (enum vault_closing_kind)kind);
        struct vault_closing read = {0};
        uint64_t slot = 0;
        int64_t at_us = 0;

        kl_buf_clear(&row);
        assert_int_equal(vault_closing_encode(fixture->vault, &closing, SEQ, &row, NULL), KL_OK);
        assert_true(vault_closing_peek(kl_buf_slice(&row), &at_us, &slot));
        assert_int_equal(slot, closing.slot);
        assert_int_equal(at_us, closing.at_us);
        assert_int_equal(decode(fixture, SEQ, kl_buf_slice(&row), &read, NULL), KL_OK);
        assert_int_equal(read.kind, kind);
        assert_int_equal(read.seq, SEQ);
        assert_int_equal(read.entries, closing.entries);
        assert_int_equal(read.ground, closing.ground);
        assert_int_equal(read.policy, closing.policy);
        assert_true(same_text(read.purpose, closing.purpose));
        assert_true(same_text(read.recipient, closing.recipient));
        assert_memory_equal(read.mac, closing.mac, sizeof read.mac);
        assert_true(kl_id_equal(&read.credential, &closing.credential));
        assert_int_equal(read.body.size, closing.body.size);
    }
    kl_buf_done(&row);
}

static void test_a_row_that_was_changed_cut_or_moved_does_not_open(void **state)
{
    struct fixture *fixture = *state;
    struct vault_closing read = {.policy = 99};
    struct kl_err err = {0};
    struct kl_buf row;
    size_t i;
    int kind;

    kl_buf_init(&row, ROOM_BYTES);
    for (kind = VAULT_CLOSING_CONSENT; kind <= VAULT_CLOSING_POLICY; kind++) {
        struct vault_closing closing = closing_of(fixture, (enum vault_closing_kind)kind);

        kl_buf_clear(&row);
        assert_int_equal(vault_closing_encode(fixture->vault, &closing, SEQ, &row, NULL), KL_OK);
        for (i = 0; i < row.size; i++) {
            row.bytes[i] ^= 1;
            kl_err_clear(&err);
            assert_int_not_equal(decode(fixture, SEQ, kl_buf_slice(&row), &read, &err), KL_OK);
            row.bytes[i] ^= 1;
            assert_int_equal(decode(fixture, SEQ, kl_slice_of(row.bytes, i), &read, &err),
                             KL_ERR_CORRUPT);
            assert_string_equal(err.code, "closing_damaged");
        }
        assert_int_equal(decode(fixture, SEQ + 1, kl_buf_slice(&row), &read, &err), KL_ERR_CORRUPT);
    }
    assert_int_equal(read.policy, 99);
    kl_buf_done(&row);
}

static void test_a_subjects_closings_go_with_the_subject_and_no_others(void **state)
{
    struct fixture *fixture = *state;
    struct vault_closing consent = closing_of(fixture, VAULT_CLOSING_CONSENT);
    struct vault_closing other = consent;
    struct vault_closing revoked = closing_of(fixture, VAULT_CLOSING_CREDENTIAL);
    struct vault_closing read = {0};
    const struct kms_change change = {KMS_CHANGE_SHRED,
                                      {fixture->base->tenant, SUBJECT, KMS_VALUE_NONE}};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct kl_buf rows[3];
    size_t i;

    other.slot = SUBJECT + 1;
    for (i = 0; i < 3; i++) {
        kl_buf_init(&rows[i], ROOM_BYTES);
    }
    assert_int_equal(vault_closing_encode(fixture->vault, &consent, 1, &rows[0], NULL), KL_OK);
    assert_int_equal(vault_closing_encode(fixture->vault, &other, 2, &rows[1], NULL), KL_OK);
    assert_int_equal(vault_closing_encode(fixture->vault, &revoked, 3, &rows[2], NULL), KL_OK);
    assert_int_equal(kms_commit(fixture->vault->keys, &request, NULL), KL_OK);
    assert_int_equal(decode(fixture, 1, kl_buf_slice(&rows[0]), &read, NULL), KL_ERR_GONE);
    assert_int_equal(decode(fixture, 2, kl_buf_slice(&rows[1]), &read, NULL), KL_OK);
    assert_int_equal(decode(fixture, 3, kl_buf_slice(&rows[2]), &read, NULL), KL_OK);
    assert_int_equal(vault_closing_encode(fixture->vault, &consent, 4, &rows[0], NULL),
                     KL_ERR_GONE);
    for (i = 0; i < 3; i++) {
        kl_buf_done(&rows[i]);
    }
}

static bool mark(struct fixture *fixture, const struct vault_closing *closing,
                 struct vault_ledger *ledger)
{
    bool changed = false;

    assert_int_equal(vault_closing_mark(closing, fixture->arena, ledger, &changed, NULL), KL_OK);
    return changed;
}

static void test_a_withdrawal_marks_what_was_in_the_ledger_then(void **state)
{
    struct vault_ledger_entry entries[] = {
        {.purpose = "mailing"},
        {.purpose = "mailing", .recipient = "speaker"},
        {.purpose = "mailing", .recipient = "speaker", .withdrawn_us = 5},
        {.purpose = "service", .recipient = "speaker"},
        {.purpose = "mailing", .recipient = "speaker"},
    };
    struct fixture *fixture = *state;
    struct vault_ledger ledger = {.entries = entries, .count = 5};
    struct vault_closing closing = closing_of(*state, VAULT_CLOSING_CONSENT);

    closing.entries = 4;
    assert_true(mark(fixture, &closing, &ledger));
    assert_int_equal(entries[0].withdrawn_us, 0);
    assert_int_equal(entries[1].withdrawn_us, closing.at_us);
    assert_int_equal(entries[2].withdrawn_us, 5);
    assert_int_equal(entries[3].withdrawn_us, 0);
    assert_int_equal(entries[4].withdrawn_us, 0);
    assert_false(mark(fixture, &closing, &ledger));
    closing.recipient = NULL;
    assert_true(mark(fixture, &closing, &ledger));
    assert_int_equal(entries[0].withdrawn_us, closing.at_us);
}

static void test_an_objection_marks_a_ledger_that_does_not_know_of_it(void **state)
{
    struct fixture *fixture = *state;
    struct vault_closing closing = closing_of(fixture, VAULT_CLOSING_OBJECTION);
    struct vault_ledger ledger = {0};

    assert_true(mark(fixture, &closing, &ledger));
    assert_int_equal(ledger.objection_count, 1);
    assert_string_equal(ledger.objections[0].purpose, closing.purpose);
    assert_int_equal(ledger.objections[0].count, closing.entries);
    assert_int_equal(ledger.objections[0].ground, closing.ground);
    assert_int_equal(ledger.objections[0].at_us, closing.at_us);
    assert_false(mark(fixture, &closing, &ledger));
    ledger.objections[0].ended_us = closing.at_us + 1; /* taken back later: it stays so */
    assert_false(mark(fixture, &closing, &ledger));
    closing.entries++; /* and objected to once more */
    assert_true(mark(fixture, &closing, &ledger));
    assert_int_equal(ledger.objections[0].ended_us, 0);
}

static void test_a_restriction_marks_a_ledger_that_does_not_know_of_it(void **state)
{
    struct fixture *fixture = *state;
    struct vault_closing closing = closing_of(fixture, VAULT_CLOSING_RESTRICTION);
    struct vault_ledger ledger = {.restriction = {.count = closing.entries}};

    assert_false(mark(fixture, &closing, &ledger)); /* lifted by now */
    ledger.restriction.count--;
    assert_true(mark(fixture, &closing, &ledger));
    assert_int_equal(ledger.restriction.at_us, closing.at_us);
    assert_int_equal(ledger.restriction.ground, closing.ground);
    assert_int_equal(ledger.restriction.count, closing.entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_kind_reads_back_as_it_was_written, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_row_that_was_changed_cut_or_moved_does_not_open,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_subjects_closings_go_with_the_subject_and_no_others,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_withdrawal_marks_what_was_in_the_ledger_then, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_objection_marks_a_ledger_that_does_not_know_of_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_restriction_marks_a_ledger_that_does_not_know_of_it,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
