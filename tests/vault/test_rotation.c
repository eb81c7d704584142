/* Rotations that are jobs: every page gets a fresh key, the old ones open with no key there is; erasures go on meanwhile. */
#include "vault/rotation.h"

#include "kms/page.h"
#include "tests/support/kms_fixture.h"
#include "tests/support/rotation_fixture.h"
#include "tests/support/test.h"

#include <string.h>
#include <time.h>

#define RATE 150

/* ---- levels ---- */

static void test_a_tenants_rotation_leaves_no_page_under_an_old_key(void **state)
{
    struct admin_fixture *fixture = *state;
    struct rotation_lived lived;
    struct rotation_rows before;
    struct rotation_rows now;
    struct kl_id id;

    rotation_live(fixture, &lived);
    before = rotation_rows_now(fixture, lived.tenant);
    assert_true(before.of_tenant > 2 * ROTATION_SEALED);
    id = rotation_ask(fixture, "tenant", 0);
    rotation_assert_running(fixture, &id);
    rotation_run(fixture);
    rotation_assert_done(fixture, &id);
    now = rotation_rows_now(fixture, lived.tenant);
    assert_int_equal(rotation_rows_as_before(&before, &now, false), 0);
    rotation_assert_alive(fixture, &lived);
    assert_int_equal(rotation_pages_that_open(fixture, &before, &now), now.count);
    admin_reopen(fixture);
    rotation_assert_alive(fixture, &lived);
    rotation_assert_done(fixture, &id);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"key_rotate_done\""), 1);
    assert_int_equal(fixture->vault->restores, 0); /* data/ is not taken for an older copy */
    memory_storage_free(before.pages);
    memory_storage_free(now.pages);
    rotation_lived_done(&lived);
}

static void test_a_rotation_of_all_leaves_neither_old_pages_nor_seeds_above_subjects(void **state)
{
    struct admin_fixture *fixture = *state;
    struct rotation_lived lived;
    struct rotation_rows before;
    struct rotation_rows now;
    struct kl_id id;

    rotation_live(fixture, &lived);
    before = rotation_rows_now(fixture, lived.tenant);
    id = rotation_ask(fixture, "all", 0);
    rotation_run(fixture);
    rotation_assert_done(fixture, &id);
    now = rotation_rows_now(fixture, lived.tenant);
    assert_int_equal(rotation_rows_as_before(&before, &now, true), 0);
    rotation_assert_alive(fixture, &lived);
    /* A row of a leaf page for each 64 slots of the tenant that were given out. */
    assert_true(now.of_tenant >= before.of_tenant + ROTATION_SLOTS / 64 - 2 * ROTATION_SEALED);
    for (uint64_t slot = lived.first; slot < lived.first + ROTATION_SLOTS; slot += 64) {
        const struct kms_place place = {lived.tenant, slot, KMS_VALUE_NONE};
        const struct kms_storage *storage = memory_storage_face(now.pages);
        unsigned char key[KMS_PAGE_KEY_BYTES];
        struct kms_path path;
        struct kl_buf row;

        kms_path_of(&place, &path);
        kms_page_row_key(&path.steps[path.count - 1].page, key);
        kl_buf_init(&row, 16384);
        assert_int_equal(storage->get(storage->context, kl_slice_of(key, sizeof key), &row, NULL),
                         KL_OK);
        kl_buf_done(&row);
    }
    assert_int_equal(rotation_pages_that_open(fixture, &before, &now), now.count);
    memory_storage_free(before.pages);
    memory_storage_free(now.pages);
    rotation_lived_done(&lived);
}

static void test_a_store_without_pages_gets_a_fresh_root_key_all_the_same(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kms_state before;
    struct kms_state now;
    struct kl_id id;

    kms_state(fixture->vault->keys, &before);
    id = rotation_ask(fixture, "tenant", 0);
    rotation_run(fixture);
    rotation_assert_done(fixture, &id);
    kms_state(fixture->vault->keys, &now);
    assert_true(now.generation > before.generation);
}

/* ---- beside it ---- */

static struct timespec milliseconds(long count)
{
    return (struct timespec){0, count * 1000 * 1000};
}

/* Until the rotation is so far, at most half a minute. */
static void wait_for(struct admin_fixture *fixture, const struct kl_id *id, double progress)
{
    const struct timespec pause = milliseconds(20);
    bool there = false;

    for (unsigned i = 0; i < 1500 && !there; i++) {
        struct kl_json *json = rotation_look(fixture, id);

        there = rotation_progress(json) >= progress;
        kl_json_free(json);
        if (!there) {
            (void)nanosleep(&pause, NULL);
        }
    }
    assert_true(there);
}

static void test_erasures_go_on_and_stay_while_keys_are_rotated(void **state)
{
    const struct vault_upkeep_options upkeep = {.sweep_at_s = -1};
    struct admin_fixture *fixture = *state;
    struct rotation_lived lived;
    struct kl_id id;

    rotation_live(fixture, &lived);
    id = rotation_ask(fixture, "tenant", RATE);
    assert_int_equal(vault_upkeep_start(fixture->vault, &upkeep, NULL), KL_OK);
    for (uint64_t i = 0; i < ROTATION_SEALED; i += 2) {
        struct kms_place place = rotation_place(&lived, i);

        place.value = KMS_VALUE_NONE;
        rotation_shred(fixture->vault, place);
    }
    rotation_assert_running(fixture, &id);
    wait_for(fixture, &id, 1.0);
    vault_upkeep_stop(fixture->vault);
    rotation_assert_done(fixture, &id);
    admin_reopen(fixture);
    for (uint64_t i = 0; i < ROTATION_SEALED; i++) {
        assert_int_equal(
            kms_fixture_unseal(fixture->vault->keys, rotation_place(&lived, i), &lived.sealed[i]),
            i % 2 == 0 ? KL_ERR_GONE : KL_OK);
    }
    rotation_lived_done(&lived);
}

static void test_a_rate_is_kept(void **state)
{
    struct admin_fixture *fixture = *state;
    struct rotation_lived lived;
    struct timespec begin;
    struct timespec end;
    struct kl_json *json;
    struct kl_id id;
    double seconds;
    int64_t pages;

    rotation_live(fixture, &lived);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    id = rotation_ask(fixture, "tenant", RATE);
    rotation_run(fixture);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    rotation_assert_done(fixture, &id);
    json = rotation_look(fixture, &id);
    pages = rotation_number(json, "pages");
    assert_int_equal(rotation_number(json, "pages_per_second"), RATE);
    seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    assert_true(seconds >= ((double)pages - RATE / 10.0) / RATE);
    kl_json_free(json);
    rotation_lived_done(&lived);
}

/* ---- what is refused, what is listed ---- */

static void refused(struct admin_fixture *fixture, const char *tenant, const char *level,
                    uint32_t rate, const char *code)
{
    struct vault_caller caller = rotation_operator(fixture, tenant);
    struct kl_err err = {0};
    struct kl_buf text;

    kl_buf_init(&text, ROTATION_TEXT_BYTES);
    assert_int_equal(
        vault_keys_rotate(fixture->vault, &caller, level, rate, false, NULL, &text, NULL, &err),
        KL_ERR_INVALID);
    assert_string_equal(err.code, code);
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

static void test_what_cannot_be_is_refused(void **state)
{
    struct admin_fixture *fixture = *state;

    refused(fixture, NULL, "tenant", 0, "tenant_required");
    refused(fixture, "default", "tenant", VAULT_ROTATION_RATE_MAX + 1, "invalid_rate");
    refused(fixture, NULL, "root", 10, "invalid_rate");
    refused(fixture, NULL, "subject", 0, "level_not_supported");
}

static void test_the_newest_rotation_is_listed_first(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = rotation_operator(fixture, NULL);
    struct kl_id ids[3] = {rotation_ask(fixture, "root", 0), rotation_ask(fixture, "tenant", 0),
                           rotation_ask(fixture, "root", 0)};
    const struct kl_json_value *item;
    struct kl_json_iter iter;
    struct kl_json *json;
    struct kl_buf text;

    kl_buf_init(&text, ROTATION_TEXT_BYTES);
    assert_int_equal(vault_keys_rotations(fixture->vault, &caller, &text, NULL), KL_OK);
    json = rotation_parsed(&text);
    assert_int_equal(kl_json_count(kl_json_root(json)), 3);
    iter = kl_json_iter(kl_json_root(json));
    for (size_t i = 0; kl_json_next(&iter, NULL, &item); i++) {
        char expected[KL_ID_TEXT_BYTES];

        kl_id_format(VAULT_ROTATION_PREFIX, &ids[2 - i], expected);
        assert_string_equal(kl_json_text(kl_json_member(item, "id")), expected);
    }
    kl_json_free(json);
    vault_caller_done(&caller);
    caller = admin_steward(fixture);
    kl_buf_clear(&text);
    assert_int_equal(vault_keys_rotations(fixture->vault, &caller, &text, NULL), KL_ERR_FORBIDDEN);
    assert_int_equal(text.size, 0);
    vault_caller_done(&caller);
    kl_buf_done(&text);
}

int main(void)
{
#define OPENED(name) cmocka_unit_test_setup_teardown(name, admin_setup, admin_teardown)
    const struct CMUnitTest tests[] = {
        OPENED(test_a_tenants_rotation_leaves_no_page_under_an_old_key),
        OPENED(test_a_rotation_of_all_leaves_neither_old_pages_nor_seeds_above_subjects),
        OPENED(test_a_store_without_pages_gets_a_fresh_root_key_all_the_same),
        OPENED(test_erasures_go_on_and_stay_while_keys_are_rotated),
        OPENED(test_a_rate_is_kept),
        OPENED(test_what_cannot_be_is_refused),
        OPENED(test_the_newest_rotation_is_listed_first),
    };

    return cmocka_run_group_tests_name("rotation", tests, admin_group_setup, NULL);
}
