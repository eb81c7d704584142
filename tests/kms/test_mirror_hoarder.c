/*
 * Someone keeps every byte that was ever written to a key store and to its mirrors, outside of the root files. With
 * all root files as they are now they read what lives and nothing else, whatever failed on the way.
 */
#include "tests/support/kms_adversary.h"
#include "tests/support/mirror_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1
#define MIRRORS 2
#define VALUES 120
#define ROUNDS 80
#define LOOK_EACH 10

static const char *const names[MIRRORS] = {"m0", "m1"};

struct value {
    struct kms_place place;
    struct kl_buf sealed;
    bool lives;
};

struct history {
    struct value values[VALUES];
    unsigned char mirror_roots[ROUNDS]
                              [KMS_FIXTURE_ROOT_BYTES]; /* of the first mirror, before each round */
    size_t roots_count;
    size_t pending; /* commits that were done without a mirror */
    size_t refused;
};

/* Same numbers in every run. Xorshift (Marsaglia 2003). */
static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static struct kms_adversary *adversary_of(struct mirror_fixture *fixture)
{
    struct kms_state state;
    struct kms_adversary *adversary;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];

    kms_state(fixture->kms->kms, &state);
    adversary = kms_adversary_new(state.store_id);
    kms_adversary_give_rows(adversary, fixture->kms->storage, true);
    kms_fixture_root_read(fixture->kms, root);
    kms_adversary_give_root_file(adversary, root);
    for (size_t i = 0; i < MIRRORS; i++) {
        kms_adversary_give_rows(adversary, mirror_fixture_rows(fixture, names[i]), true);
        mirror_fixture_root_read(fixture, names[i], root);
        kms_adversary_give_root_file(adversary, root);
    }
    return adversary;
}

static bool reads(const struct kms_adversary *adversary, const struct value *value)
{
    return kms_adversary_reads(adversary, &value->place, kms_fixture_context,
                               kl_buf_slice(&value->sealed));
}

/* When every mirror is in step: the living and nothing else. */
static void look(struct mirror_fixture *fixture, struct history *history)
{
    struct kms_adversary *adversary = adversary_of(fixture);

    assert_true(kms_adversary_search(adversary) > 0);
    for (size_t i = 0; i < VALUES; i++) {
        struct value *value = &history->values[i];

        assert_int_equal(reads(adversary, value), value->lives);
        assert_int_equal(kms_fixture_unseal(fixture->kms->kms, value->place, &value->sealed) ==
                             KL_OK,
                         value->lives);
    }
    kms_adversary_free(adversary);
}

static bool covers(const struct kms_place *changed, const struct kms_place *place)
{
    return changed->tenant == place->tenant && changed->slot == place->slot &&
           (changed->value == KMS_VALUE_NONE || changed->value == place->value);
}

/* A shred, with something that goes wrong in one of the places. */
static void round_of(struct mirror_fixture *fixture, struct history *history, uint32_t *seed)
{
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    struct kms_change change = {KMS_CHANGE_SHRED,
                                history->values[next_random(seed) % VALUES].place};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    uint32_t fate = next_random(seed) % 6;
    enum kl_status status;
    bool arrives;

    if (next_random(seed) % 6 == 0) {
        change.place.value = KMS_VALUE_NONE;
    }
    mirror_fixture_root_read(fixture, "m0", history->mirror_roots[history->roots_count++]);
    kms_hooks_set(fixture->kms->kms, &hooks);
    mirror_disks_reachable(fixture->disks, fate != 1);
    if (fate <=
        2) { /* a mirror fails: it stays away, or comes back, having kept the batch or not */
        memory_storage_fail_apply(mirror_fixture_rows(fixture, names[next_random(seed) % MIRRORS]),
                                  1, fate == 2);
    } else if (fate == 3) { /* the first place fails, and the mirrors have the batch */
        memory_storage_fail_apply(fixture->kms->storage, 1, next_random(seed) % 2 == 0);
    }
    arrives = fate != 3;
    status = kms_commit(fixture->kms->kms, &request, NULL);
    if (fate == 3) {
        assert_int_equal(status, KL_ERR_IO);
        kms_fixture_reopen(fixture->kms);
        arrives = kms_place_check(fixture->kms->kms, &change.place, NULL) == KL_ERR_GONE;
    } else {
        assert_int_equal(status, KL_OK);
        history->pending += request.ret_mirrors_pending > 0 ? 1 : 0;
    }
    for (size_t i = 0; arrives && i < VALUES; i++) {
        history->values[i].lives &= !covers(&change.place, &history->values[i].place);
    }
    if (fate == 1) {
        assert_int_equal(kms_commit(fixture->kms->kms, &request, NULL), KL_ERR_UNAVAILABLE);
        history->refused++;
        mirror_disks_reachable(fixture->disks, true);
    }
    if (next_random(seed) % 5 == 0) {
        kms_fixture_reopen(fixture->kms);
    }
    assert_int_equal(kms_mirrors_retry(fixture->kms->kms), 0);
}

static void live_through(struct mirror_fixture *fixture, struct history *history, bool look_often)
{
    unsigned char id[KMS_MIRROR_ID_BYTES];
    uint32_t seed = 20231119;

    memory_storage_record(fixture->kms->storage);
    for (uint64_t i = 0; i < VALUES; i++) {
        history->values[i].place = (struct kms_place){T + i % 2, 60 + i / 12 * 5, i % 6};
        history->values[i].lives = true;
        kms_fixture_seal(fixture->kms->kms, history->values[i].place, &history->values[i].sealed);
    }
    for (size_t i = 0; i < MIRRORS; i++) {
        mirror_fixture_add(fixture, names[i], id);
        memory_storage_record(mirror_fixture_rows(fixture, names[i]));
    }
    for (unsigned round = 1; round <= ROUNDS; round++) {
        round_of(fixture, history, &seed);
        if (look_often && round % LOOK_EACH == 0) {
            look(fixture, history);
        }
    }
    assert_true(history->pending > 5);
    assert_true(history->refused > 5);
}

static void history_done(struct history *history)
{
    for (size_t i = 0; i < VALUES; i++) {
        kl_buf_done(&history->values[i].sealed);
    }
    test_free(history);
}

static void test_mirrors_keep_nothing_of_the_erased(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct history *history = test_calloc(1, sizeof *history);
    size_t dead = 0;

    live_through(fixture, history, true);
    look(fixture, history);
    for (size_t i = 0; i < VALUES; i++) {
        dead += history->values[i].lives ? 0 : 1;
    }
    assert_true(dead > 20 && dead < VALUES);
    history_done(history);
}

/* The same, with the root files that a mirror once had: they are why mirrors are part of each commit. */
static void test_old_root_files_of_a_mirror_would_read_the_erased(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct history *history = test_calloc(1, sizeof *history);
    struct kms_adversary *adversary;
    size_t dead = 0;
    size_t found = 0;

    live_through(fixture, history, false);
    adversary = adversary_of(fixture);
    for (size_t i = 0; i < 12; i += 3) {
        kms_adversary_give_root_file(adversary, history->mirror_roots[i]);
    }
    (void)kms_adversary_search(adversary);
    for (size_t i = 0; i < VALUES; i++) {
        dead += history->values[i].lives ? 0 : 1;
        found += !history->values[i].lives && reads(adversary, &history->values[i]) ? 1 : 0;
    }
    assert_true(found * 2 > dead);
    kms_adversary_free(adversary);
    history_done(history);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, mirror_fixture_setup, mirror_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_mirrors_keep_nothing_of_the_erased),
        TEST(test_old_root_files_of_a_mirror_would_read_the_erased),
    };

    return cmocka_run_group_tests_name("mirror_hoarder", tests, NULL, NULL);
}
