/*
 * Someone keeps every byte that was ever written outside the root slots. With the root file as it is
 * now they read what lives and nothing else.
 */
#include "tests/support/kms_adversary.h"
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1
#define VALUES 240
#define COMMITS 60

/* What was sealed, and whether it should still open. */
struct value {
    struct kms_place place;
    struct kl_buf sealed;
    bool lives;
};

struct history {
    struct value values[VALUES];
    size_t count;
    unsigned char roots[COMMITS][KMS_FIXTURE_ROOT_BYTES]; /* before each commit */
    size_t roots_count;
};

static struct kms_adversary *adversary_of(struct kms_fixture *fixture)
{
    struct kms_state state;
    struct kms_adversary *adversary;

    kms_state(fixture->kms, &state);
    adversary = kms_adversary_new(state.store_id);
    kms_adversary_give_rows(adversary, fixture->storage, true);
    return adversary;
}

static bool reads(const struct kms_adversary *adversary, const struct value *value)
{
    return kms_adversary_reads(adversary, &value->place, kms_fixture_context,
                               kl_buf_slice(&value->sealed));
}

static void remember(struct kms_fixture *fixture, struct history *history, struct kms_place place)
{
    struct value *value = &history->values[history->count++];

    assert_true(history->count <= VALUES);
    value->place = place;
    value->lives = true;
    kms_fixture_seal(fixture->kms, place, &value->sealed);
}

/* Whether a change of that place takes the value with it. */
static bool covers(const struct kms_place *changed, const struct kms_place *place)
{
    return changed->tenant == place->tenant &&
           (changed->slot == KMS_SLOT_NONE ||
            (changed->slot == place->slot &&
             (changed->value == KMS_VALUE_NONE || changed->value == place->value)));
}

static void change(struct kms_fixture *fixture, struct history *history, enum kms_change_kind kind,
                   struct kms_place place)
{
    kms_fixture_root_read(fixture, history->roots[history->roots_count++]);
    assert_true(history->roots_count <= COMMITS);
    assert_int_equal(kms_fixture_change(fixture->kms, kind, place), KL_OK);
    for (size_t i = 0; i < history->count; i++) {
        if (covers(&place, &history->values[i].place)) {
            history->values[i].lives = false;
        }
    }
}

/* Three tenants, subjects on several heights, values on several heights; shreds and rekeys among them. */
static void live_through(struct kms_fixture *fixture, struct history *history)
{
    static const uint64_t slots[] = {64, 65, 66, 127, 128, 8255, 8256, 8300, 1000000, 1056832};
    static const uint64_t values[] = {0, 1, 63, 64, 8256};

    memset(history, 0, sizeof *history);
    for (uint64_t tenant = 1; tenant <= 3; tenant++) {
        for (size_t s = 0; s < 10; s++) {
            for (size_t v = 0; v < 5; v++) {
                remember(fixture, history, (struct kms_place){tenant, slots[s], values[v]});
            }
        }
        remember(fixture, history, (struct kms_place){tenant, 5, KMS_VALUE_NONE});
    }
    for (size_t s = 0; s < 10; s += 2) {
        change(fixture, history, KMS_CHANGE_SHRED, (struct kms_place){T, slots[s], KMS_VALUE_NONE});
        change(fixture, history, KMS_CHANGE_SHRED,
               (struct kms_place){T, slots[s + 1], values[s % 5]});
        change(fixture, history, KMS_CHANGE_SHRED, (struct kms_place){2, slots[s], values[s / 2]});
        change(fixture, history, KMS_CHANGE_REKEY, (struct kms_place){T, 5, KMS_VALUE_NONE});
        remember(fixture, history, (struct kms_place){T, 5, KMS_VALUE_NONE});
        if (s == 4) {
            kms_fixture_reopen(fixture);
        }
    }
    change(fixture, history, KMS_CHANGE_REKEY, (struct kms_place){2, slots[3], KMS_VALUE_NONE});
    remember(fixture, history, (struct kms_place){2, slots[3], values[2]});
    change(fixture, history, KMS_CHANGE_SHRED,
           (struct kms_place){3, KMS_SLOT_NONE, KMS_VALUE_NONE});
    change(fixture, history, KMS_CHANGE_SHRED, (struct kms_place){2, slots[3], values[3]});
}

static void history_done(struct history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        kl_buf_done(&history->values[i].sealed);
    }
    test_free(history);
}

static void test_hoarder_reads_the_living_and_none_of_the_erased(void **state)
{
    struct kms_fixture *fixture = *state;
    struct history *history = test_malloc(sizeof *history);
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    struct kms_adversary *adversary;
    size_t dead = 0;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    live_through(fixture, history);
    kms_fixture_root_read(fixture, root);
    adversary = adversary_of(fixture);
    kms_adversary_give_root_file(adversary, root);
    assert_true(kms_adversary_search(adversary) > 0);
    for (size_t i = 0; i < history->count; i++) {
        assert_int_equal(reads(adversary, &history->values[i]), history->values[i].lives);
        dead += history->values[i].lives ? 0 : 1;
    }
    assert_true(dead > 60 && dead < history->count - 60);
    kms_adversary_free(adversary);
    history_done(history);
}

static void test_hoarder_with_an_old_root_slot_reads_the_erased(void **state)
{
    struct kms_fixture *fixture = *state;
    struct history *history = test_malloc(sizeof *history);
    struct kms_adversary *adversary;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    live_through(fixture, history);
    adversary = adversary_of(fixture);
    for (size_t i = 0; i < history->roots_count; i++) {
        kms_adversary_give_root_file(adversary, history->roots[i]);
    }
    (void)kms_adversary_search(adversary);
    for (size_t i = 0; i < history->count; i++) {
        assert_true(reads(adversary, &history->values[i]) || history->values[i].lives);
    }
    kms_adversary_free(adversary);
    history_done(history);
}

static void test_rows_without_any_root_key_tell_nothing(void **state)
{
    struct kms_fixture *fixture = *state;
    struct history *history = test_malloc(sizeof *history);
    struct kms_adversary *adversary;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    live_through(fixture, history);
    adversary = adversary_of(fixture);
    assert_int_equal(kms_adversary_search(adversary), 0);
    kms_adversary_free(adversary);
    history_done(history);
}

/*
 * An attempt to erase X fails; its rows lie torn on the disk, under the staged key. Then Y is erased. Y's
 * keys are in X's attempt: were the staged key of the failed attempt used again, it would be the root key
 * now, and Y would be read. Recovery stages a fresh one instead.
 */
static void failed_attempt_then_erase(struct kms_fixture *fixture, struct value *x, struct value *y,
                                      unsigned char ret_before[KMS_FIXTURE_ROOT_BYTES])
{
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    *x = (struct value){.place = {T, 64, 3}, .lives = true};
    *y = (struct value){.place = {T, 65, 3}, .lives = false};
    kms_fixture_seal(fixture->kms, x->place, &x->sealed);
    kms_fixture_seal(fixture->kms, y->place, &y->sealed);
    kms_fixture_root_read(fixture, ret_before);
    kms_hooks_set(fixture->kms, &hooks);
    memory_storage_fail_apply(fixture->storage, 1, false);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, x->place), KL_ERR_IO);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, x->place, &x->sealed), KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, y->place), KL_OK);
}

static void test_a_failed_attempt_does_not_keep_what_is_erased_next(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char now[KMS_FIXTURE_ROOT_BYTES];
    struct kms_adversary *adversary;
    struct value x;
    struct value y;

    failed_attempt_then_erase(fixture, &x, &y, before);
    kms_fixture_root_read(fixture, now);
    adversary = adversary_of(fixture);
    kms_adversary_give_root_file(adversary, now);
    (void)kms_adversary_search(adversary);
    assert_true(reads(adversary, &x));
    assert_false(reads(adversary, &y));
    kms_adversary_free(adversary);
    kl_buf_done(&x.sealed);
    kl_buf_done(&y.sealed);
}

static void test_the_staged_key_of_a_failed_attempt_would_have_kept_it(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    struct kms_adversary *adversary;
    struct value x;
    struct value y;

    failed_attempt_then_erase(fixture, &x, &y, before);
    adversary = adversary_of(fixture);
    kms_adversary_give_root_slot(adversary, before, 0); /* generation 2, staged at the time */
    (void)kms_adversary_search(adversary);
    assert_true(reads(adversary, &y));
    kms_adversary_free(adversary);
    kl_buf_done(&x.sealed);
    kl_buf_done(&y.sealed);
}

/* ---- crashes ---- */

#define CRASH_ROUNDS 60
#define LOOK_EACH 20

/* Same numbers in every run. Xorshift (Marsaglia 2003). */
static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void look(struct kms_fixture *fixture, struct history *history)
{
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    struct kms_adversary *adversary = adversary_of(fixture);

    kms_fixture_root_read(fixture, root);
    kms_adversary_give_root_file(adversary, root);
    (void)kms_adversary_search(adversary);
    for (size_t i = 0; i < history->count; i++) {
        struct value *value = &history->values[i];
        enum kl_status status = kms_fixture_unseal(fixture->kms, value->place, &value->sealed);

        assert_int_equal(reads(adversary, value), value->lives);
        assert_int_equal(status == KL_OK, value->lives);
    }
    kms_adversary_free(adversary);
}

/* Shreds and rekeys of any of them; or a shred that keeps one value of its slot, with pages touched and written out beside it. */
static void changes_pick(struct kms_fixture *fixture, const struct history *history, uint32_t *seed,
                         struct kms_change changes[3], struct kms_request *request)
{
    if (next_random(seed) % 4 == 0) {
        struct kms_place kept = history->values[next_random(seed) % history->count].place;
        struct kms_place other = history->values[next_random(seed) % history->count].place;

        request->changes_count = 3;
        changes[0] = (struct kms_change){KMS_CHANGE_KEEP, kept};
        changes[1] = (struct kms_change){
            next_random(seed) % 2 == 0 ? KMS_CHANGE_TOUCH : KMS_CHANGE_EXPAND, other};
        changes[2] =
            (struct kms_change){KMS_CHANGE_SHRED, {kept.tenant, kept.slot, KMS_VALUE_NONE}};
        return;
    }
    for (size_t i = 0; i < request->changes_count; i++) {
        changes[i].kind = next_random(seed) % 5 == 0 ? KMS_CHANGE_REKEY : KMS_CHANGE_SHRED;
        changes[i].place = history->values[next_random(seed) % history->count].place;
        if (next_random(seed) % 6 == 0) {
            changes[i].place.value = KMS_VALUE_NONE;
        }
        if (kms_place_check(fixture->kms, &changes[i].place, NULL) != KL_OK) {
            changes[i].kind = KMS_CHANGE_SHRED;
        }
    }
}

/* A range beside them, or instead of them. */
static void ranges_pick(const struct history *history, uint32_t *seed, struct kms_range *range,
                        struct kms_request *request)
{
    const struct kms_place *place = &history->values[next_random(seed) % history->count].place;

    if (next_random(seed) % 3 != 0) {
        return;
    }
    range->tenant = place->tenant;
    range->slot = place->slot;
    range->first = next_random(seed) % 6;
    range->past =
        next_random(seed) % 2 == 0 ? KMS_RANGE_END : range->first + 1 + next_random(seed) % 4;
    request->ranges = range;
    request->ranges_count = 1;
    request->changes_count *= next_random(seed) % 2;
}

/* What a request takes with it: what its shreds, rekeys and ranges cover, but for what it keeps. */
static bool takes(const struct kms_request *request, const struct kms_place *place)
{
    bool taken = false;

    for (size_t r = 0; r < request->ranges_count; r++) {
        const struct kms_range *range = &request->ranges[r];

        taken |= range->tenant == place->tenant && range->slot == place->slot &&
                 place->value >= range->first && place->value < range->past;
    }

    for (size_t c = 0; c < request->changes_count; c++) {
        const struct kms_change *change = &request->changes[c];

        if (change->kind == KMS_CHANGE_KEEP && covers(&change->place, place)) {
            return false;
        }
        taken |= (change->kind == KMS_CHANGE_SHRED || change->kind == KMS_CHANGE_REKEY) &&
                 covers(&change->place, place);
    }
    return taken;
}

/* One commit of a few changes. Its batch arrives, or is lost, or arrives although the write is said to have failed. */
static void crash_round(struct kms_fixture *fixture, struct history *history, uint32_t *seed)
{
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    struct kms_change changes[3];
    struct kms_range range = {0};
    struct kms_request request = {.changes = changes, .changes_count = 1 + next_random(seed) % 3};
    uint32_t fate = next_random(seed) % 4;
    bool arrives = fate != 1;
    enum kl_status status;

    changes_pick(fixture, history, seed, changes, &request);
    ranges_pick(history, seed, &range, &request);
    kms_hooks_set(fixture->kms, &hooks);
    if (fate == 1 || fate == 2) {
        memory_storage_fail_apply(fixture->storage, 1, arrives);
    }
    status = kms_commit(fixture->kms, &request, NULL);
    assert_int_equal(status, fate == 1 || fate == 2 ? KL_ERR_IO : KL_OK);
    for (size_t i = 0; arrives && i < history->count; i++) {
        if (takes(&request, &history->values[i].place)) {
            history->values[i].lives = false;
        }
    }
    if (status != KL_OK || fate == 3) {
        kms_fixture_reopen(fixture);
    }
}

static void test_hoarder_gains_nothing_from_crashes(void **state)
{
    struct kms_fixture *fixture = *state;
    struct history *history = test_calloc(1, sizeof *history);
    uint32_t seed = 20231117;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    for (uint64_t i = 0; i < VALUES; i++) {
        remember(fixture, history, (struct kms_place){T + i % 2, 60 + i / 12 * 5, i % 6});
    }
    for (unsigned round = 1; round <= CRASH_ROUNDS; round++) {
        crash_round(fixture, history, &seed);
        if (round % LOOK_EACH == 0) {
            look(fixture, history);
        }
    }
    history_done(history);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, kms_fixture_setup_empty, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_hoarder_reads_the_living_and_none_of_the_erased),
        TEST(test_hoarder_with_an_old_root_slot_reads_the_erased),
        TEST(test_rows_without_any_root_key_tell_nothing),
        TEST(test_a_failed_attempt_does_not_keep_what_is_erased_next),
        TEST(test_the_staged_key_of_a_failed_attempt_would_have_kept_it),
        TEST(test_hoarder_gains_nothing_from_crashes),
    };

    return cmocka_run_group_tests_name("hoarder", tests, NULL, NULL);
}
