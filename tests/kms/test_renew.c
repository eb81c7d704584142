/* Fresh keys for all slots that were not given out yet: after a leak, nobody new lives under keys that leaked. */
#include "tests/support/kms_adversary.h"
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SLOTS 40

/* Sealed under a slot that was taken for it. */
struct sealed {
    struct kms_place place;
    struct kl_buf text;
};

static void seal_new(struct kms_fixture *fixture, uint64_t tenant, struct sealed *ret)
{
    uint64_t slot = 0;

    assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &slot, NULL), KL_OK);
    ret->place = (struct kms_place){tenant, slot, 0};
    kms_fixture_seal(fixture->kms, ret->place, &ret->text);
}

static uint64_t renew(struct kms_fixture *fixture, uint64_t tenant)
{
    struct kms_request commit = {.note = "n", .note_bytes = 1};
    uint64_t from = 0;

    assert_int_equal(kms_slots_renew(fixture->kms, tenant, &commit, &from, NULL), KL_OK);
    assert_true(commit.ret_generation > 0);
    return from;
}

static uint64_t tenant_new(struct kms_fixture *fixture)
{
    uint64_t tenant = 0;

    assert_int_equal(kms_tenant_take(fixture->kms, &tenant, NULL), KL_OK);
    return tenant;
}

static void test_what_was_sealed_before_still_opens(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_new(fixture);
    struct sealed before[SLOTS];
    struct sealed after[SLOTS];
    size_t i;

    for (i = 0; i < SLOTS; i++) {
        if (i == SLOTS / 2) { /* in the middle of a page, with holes in it */
            assert_int_equal(kms_fixture_change(
                                 fixture->kms, KMS_CHANGE_SHRED,
                                 (struct kms_place){tenant, before[3].place.slot, KMS_VALUE_NONE}),
                             KL_OK);
            (void)renew(fixture, tenant);
        }
        seal_new(fixture, tenant, &before[i]);
    }
    (void)renew(fixture, tenant);
    for (i = 0; i < SLOTS; i++) {
        seal_new(fixture, tenant, &after[i]);
    }
    kms_fixture_reopen(fixture);
    for (i = 0; i < SLOTS; i++) {
        assert_int_equal(kms_fixture_unseal(fixture->kms, before[i].place, &before[i].text),
                         i == 3 ? KL_ERR_GONE : KL_OK);
        assert_int_equal(kms_fixture_unseal(fixture->kms, after[i].place, &after[i].text), KL_OK);
        kl_buf_done(&before[i].text);
        kl_buf_done(&after[i].text);
    }
}

/* Somebody looked at numbers that were not given out yet: what is sealed there later is sealed under the fresh keys. */
static void test_a_key_that_was_ready_before_is_not_used_after(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_new(fixture);
    uint64_t from = (KMS_TENANT_OWN_SLOTS + KMS_RENEW_GAP + KMS_RESERVE_BLOCK - 1) /
                    KMS_RESERVE_BLOCK * KMS_RESERVE_BLOCK;
    struct sealed after[SLOTS];

    for (uint64_t i = 0; i < SLOTS; i++) {
        assert_int_equal(
            kms_place_check(fixture->kms, &(struct kms_place){tenant, from + i, 0}, NULL), KL_OK);
    }
    assert_int_equal(renew(fixture, tenant), from);
    for (size_t i = 0; i < SLOTS; i++) {
        seal_new(fixture, tenant, &after[i]);
    }
    kms_fixture_reopen(fixture);
    for (size_t i = 0; i < SLOTS; i++) {
        assert_int_equal(kms_fixture_unseal(fixture->kms, after[i].place, &after[i].text), KL_OK);
        kl_buf_done(&after[i].text);
    }
}

/* Without a renewal they do: that is what it is for. */
static void test_who_had_all_keys_reads_nothing_that_is_given_out_after(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_new(fixture);
    struct sealed before;
    struct sealed unrenewed;
    struct sealed after[SLOTS];
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    struct kms_adversary *adversary = NULL;
    struct kms_state now;
    size_t i;

    memory_storage_record(fixture->storage);
    seal_new(fixture, tenant, &before);
    /* pages of the tenant are written out */
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){tenant, before.place.slot, 9}),
                     KL_OK);
    kms_fixture_root_read(fixture, root);
    kms_state(fixture->kms, &now);
    adversary = kms_adversary_new(now.store_id);
    kms_adversary_give_rows(adversary, fixture->storage, true);
    kms_adversary_give_root_file(adversary, root);
    seal_new(fixture, tenant, &unrenewed);
    (void)renew(fixture, tenant);
    for (i = 0; i < SLOTS; i++) {
        seal_new(fixture, tenant, &after[i]);
    }
    (void)kms_adversary_search(adversary);
    assert_true(kms_adversary_reads(adversary, &before.place, kms_fixture_context,
                                    kl_buf_slice(&before.text)));
    assert_true(kms_adversary_reads(adversary, &unrenewed.place, kms_fixture_context,
                                    kl_buf_slice(&unrenewed.text)));
    for (i = 0; i < SLOTS; i++) {
        assert_false(kms_adversary_reads(adversary, &after[i].place, kms_fixture_context,
                                         kl_buf_slice(&after[i].text)));
        kl_buf_done(&after[i].text);
    }
    kl_buf_done(&before.text);
    kl_buf_done(&unrenewed.text);
    kms_adversary_free(adversary);
}

static void test_numbers_go_on_behind_the_renewal_also_after_opening_again(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_new(fixture);
    uint64_t slot = 0;
    uint64_t from = 0;

    assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &slot, NULL), KL_OK);
    from = renew(fixture, tenant);
    assert_true(from > slot && from <= slot + KMS_RENEW_GAP + 2 * KMS_RESERVE_BLOCK);
    assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &slot, NULL), KL_OK);
    assert_int_equal(slot, from);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &slot, NULL), KL_OK);
    assert_true(slot > from);
    from = renew(fixture, tenant);
    assert_true(from > slot);
}

/* ---- meanwhile ---- */

struct taking {
    struct kms *kms;
    uint64_t tenant;
    uint64_t last;
    enum kl_status status;
    size_t taken;
    size_t wanted;
    bool fails;
};

static enum kl_status take_meanwhile(void *context, struct kms_staged *staged, uint64_t generation,
                                     struct kms_request **requests, size_t count,
                                     struct kl_err *err)
{
    struct taking *taking = context;

    (void)staged;
    (void)generation;
    (void)requests;
    (void)count;
    for (size_t i = 0; i < taking->wanted && taking->status == KL_OK; i++) {
        taking->status = kms_slot_take(taking->kms, taking->tenant, 1, &taking->last, NULL);
        taking->taken += taking->status == KL_OK;
    }
    return taking->fails ? kl_fail(err, KL_ERR_UNAVAILABLE, "not_now", "not now", NULL) : KL_OK;
}

static void test_numbers_are_given_out_meanwhile_but_none_that_changes(void **state)
{
    struct kms_fixture *fixture = *state;
    struct taking taking = {.kms = fixture->kms, .wanted = 100};
    struct kms_hooks hooks = {.context = &taking, .prepare = take_meanwhile};
    uint64_t from = 0;

    taking.tenant = tenant_new(fixture);
    kms_hooks_set(fixture->kms, &hooks);
    from = renew(fixture, taking.tenant);
    assert_int_equal(taking.taken, 100);
    assert_true(taking.last < from);
    taking.wanted = 2 * KMS_RENEW_GAP;
    from = renew(fixture, taking.tenant);
    assert_int_equal(taking.status, KL_ERR_BUSY);
    assert_true(taking.taken >= KMS_RENEW_GAP && taking.last < from);
    taking.status = KL_OK;
    taking.wanted = 1;
    (void)renew(fixture, taking.tenant);
    assert_int_equal(taking.status, KL_OK);
}

static void test_a_renewal_that_fails_changes_nothing(void **state)
{
    struct kms_fixture *fixture = *state;
    struct taking taking = {.kms = fixture->kms, .fails = true};
    struct kms_hooks hooks = {.context = &taking, .prepare = take_meanwhile};
    struct kms_request commit = {.note = "n", .note_bytes = 1};
    struct sealed before;
    struct sealed after;
    uint64_t from = 77;
    uint64_t tenant = tenant_new(fixture);

    taking.tenant = tenant;
    seal_new(fixture, tenant, &before);
    kms_hooks_set(fixture->kms, &hooks);
    assert_int_equal(kms_slots_renew(fixture->kms, tenant, &commit, &from, NULL),
                     KL_ERR_UNAVAILABLE);
    assert_int_equal(from, 77);
    assert_int_equal(commit.changes_count, 0);
    for (size_t i = 0; i < 2 * KMS_RENEW_GAP; i++) { /* past where it would have begun */
        assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &after.place.slot, NULL), KL_OK);
    }
    seal_new(fixture, tenant, &after);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, before.place, &before.text), KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms, after.place, &after.text), KL_OK);
    kl_buf_done(&before.text);
    kl_buf_done(&after.text);
}

static void test_it_is_refused_where_there_is_no_such_tenant_and_to_callers(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_request commit = {.note = "n", .note_bytes = 1};
    uint64_t tenant = tenant_new(fixture);
    uint64_t from = 77;
    struct kl_err err = {0};

    assert_int_equal(kms_slots_renew(fixture->kms, tenant + 9, &commit, &from, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "key_place_invalid");
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_RENEW,
                                        (struct kms_place){tenant, 5000, KMS_VALUE_NONE}),
                     KL_ERR_INVALID);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){tenant, KMS_SLOT_NONE, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(kms_slots_renew(fixture->kms, tenant, &commit, &from, NULL), KL_ERR_GONE);
    assert_int_equal(from, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_sealed_before_still_opens),
        TEST(test_a_key_that_was_ready_before_is_not_used_after),
        TEST(test_who_had_all_keys_reads_nothing_that_is_given_out_after),
        TEST(test_numbers_go_on_behind_the_renewal_also_after_opening_again),
        TEST(test_numbers_are_given_out_meanwhile_but_none_that_changes),
        TEST(test_a_renewal_that_fails_changes_nothing),
        TEST(test_it_is_refused_where_there_is_no_such_tenant_and_to_callers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
