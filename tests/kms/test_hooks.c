/* What the layer above does inside a commit: prepare, publish, finish; failures of each; notes. */
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1

/* What the hooks saw, and what they are told to do. */
struct seen {
    struct kms *kms;
    unsigned prepared;
    unsigned published;
    unsigned finished;
    unsigned fatal;
    uint64_t generation;
    size_t requests;
    size_t rekeyed;
    struct kms_place first_rekeyed;
    enum kl_status prepare_answer;
    enum kl_status finish_answer;
    struct kms_place staged_place; /* sealed under in prepare, when its tenant is not 0 */
    struct kl_buf staged_value;
    enum kl_status staged_status;
    struct kms_staged *staged;
    enum kl_status old_opens_in_prepare;
    struct kl_buf old_value;
};

static enum kl_status on_prepare(void *context, struct kms_staged *staged, uint64_t generation,
                                 struct kms_request **requests, size_t count, struct kl_err *err)
{
    struct seen *seen = context;
    const struct kms_place *places = NULL;

    (void)requests;
    seen->prepared++;
    seen->generation = generation;
    seen->requests = count;
    seen->rekeyed = kms_staged_rekeyed(staged, &places);
    if (seen->rekeyed > 0) {
        seen->first_rekeyed = places[0];
    }
    seen->staged = staged;
    if (seen->staged_place.tenant != 0) {
        seen->staged_status =
            kms_staged_seal(staged, &seen->staged_place, kms_fixture_context,
                            kl_slice_text("a new version"), &seen->staged_value, NULL);
        seen->old_opens_in_prepare =
            kms_fixture_unseal(seen->kms, seen->staged_place, &seen->old_value);
    }
    if (seen->prepare_answer != KL_OK) {
        return kl_fail(err, seen->prepare_answer, "prepare_failed", "prepare was told to fail",
                       NULL);
    }
    return KL_OK;
}

static void on_publish(void *context, uint64_t generation)
{
    struct seen *seen = context;

    seen->published++;
    assert_int_equal(generation, seen->generation);
}

static enum kl_status on_finish(void *context, uint64_t generation, struct kms_request **requests,
                                size_t count, struct kl_err *err)
{
    struct seen *seen = context;

    seen->finished++;
    assert_int_equal(generation, seen->generation);
    assert_int_equal(count, seen->requests);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(requests[i]->ret_generation, generation);
    }
    if (seen->finish_answer != KL_OK) {
        return kl_fail(err, seen->finish_answer, "finish_failed", "finish was told to fail", NULL);
    }
    return KL_OK;
}

static void on_fatal(void *context, const struct kl_err *err)
{
    struct seen *seen = context;

    seen->fatal++;
    assert_int_equal(err->status, KL_ERR_IO);
}

static void hooks_set(struct kms_fixture *fixture, struct seen *seen)
{
    struct kms_hooks hooks = {seen, on_prepare, on_publish, on_finish, on_fatal};

    memset(seen, 0, sizeof *seen);
    seen->kms = fixture->kms;
    kl_buf_init(&seen->staged_value, 4096);
    kms_hooks_set(fixture->kms, &hooks);
}

static struct kms_place bucket(uint64_t slot)
{
    return (struct kms_place){T, slot, KMS_VALUE_NONE};
}

static enum kl_status unseal_text(struct kms *kms, struct kms_place place, struct kl_buf *sealed,
                                  const char *text)
{
    struct kl_buf plaintext;
    enum kl_status status;

    kl_buf_init(&plaintext, 4096);
    status = kms_unseal(kms, &place, kms_fixture_context, kl_buf_slice(sealed), &plaintext, NULL);
    if (status == KL_OK) {
        assert_true(kl_slice_equal_text(kl_buf_slice(&plaintext), text));
    }
    kl_buf_done(&plaintext);
    return status;
}

static void test_prepare_seals_under_the_key_that_is_coming(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change changes[] = {{KMS_CHANGE_REKEY, bucket(71)},
                                   {KMS_CHANGE_REKEY, bucket(70)},
                                   {KMS_CHANGE_REKEY, bucket(71)},
                                   {KMS_CHANGE_SHRED, bucket(72)}};
    struct kms_request request = {.changes = changes, .changes_count = 4};
    struct seen seen;

    hooks_set(fixture, &seen);
    seen.staged_place = bucket(70);
    kms_fixture_seal(fixture->kms, bucket(70), &seen.old_value);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    assert_int_equal(seen.prepared, 1);
    assert_int_equal(seen.published, 1);
    assert_int_equal(seen.finished, 1);
    assert_int_equal(seen.generation, 2);
    assert_int_equal(seen.rekeyed, 2);
    assert_int_equal(seen.first_rekeyed.slot, 70);
    assert_int_equal(seen.staged_status, KL_OK);
    assert_int_equal(seen.old_opens_in_prepare, KL_OK);
    assert_int_equal(unseal_text(fixture->kms, bucket(70), &seen.staged_value, "a new version"),
                     KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms, bucket(70), &seen.old_value), KL_ERR_CORRUPT);
    kl_buf_done(&seen.staged_value);
    kl_buf_done(&seen.old_value);
}

/* Below a slot, and below a tenant, that get fresh keys. */
static void staged_below(struct kms_fixture *fixture, struct kms_place rekeyed,
                         struct kms_place used)
{
    struct seen seen;

    hooks_set(fixture, &seen);
    seen.staged_place = used;
    kms_fixture_seal(fixture->kms, used, &seen.old_value);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_REKEY, rekeyed), KL_OK);
    assert_int_equal(seen.staged_status, KL_OK);
    assert_int_equal(unseal_text(fixture->kms, used, &seen.staged_value, "a new version"), KL_OK);
    kl_buf_done(&seen.staged_value);
    kl_buf_done(&seen.old_value);
}

static void test_prepare_seals_below_what_is_rekeyed(void **state)
{
    staged_below(*state, (struct kms_place){T, 80, KMS_VALUE_NONE},
                 (struct kms_place){T, 80, 9000});
    staged_below(*state, (struct kms_place){2, KMS_SLOT_NONE, KMS_VALUE_NONE},
                 (struct kms_place){2, 80, 3});
    staged_below(*state, (struct kms_place){2, KMS_SLOT_NONE, KMS_VALUE_NONE},
                 (struct kms_place){2, 9, KMS_VALUE_NONE});
    staged_below(*state, (struct kms_place){T, 81, 5}, (struct kms_place){T, 81, 5});
}

static void test_staged_seal_refuses_what_is_not_rekeyed(void **state)
{
    struct kms_fixture *fixture = *state;
    struct seen seen;

    hooks_set(fixture, &seen);
    seen.staged_place = bucket(71);
    kms_fixture_seal(fixture->kms, bucket(71), &seen.old_value);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_REKEY, bucket(70)), KL_OK);
    assert_int_equal(seen.staged_status, KL_ERR_INVALID);
    assert_int_equal(seen.staged_value.size, 0);
    kl_buf_done(&seen.staged_value);
    kl_buf_done(&seen.old_value);
}

static void test_a_failed_prepare_changes_nothing(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    struct memory_storage_counts counts;
    struct kms_change change = {KMS_CHANGE_SHRED, bucket(70)};
    struct kms_request request = {
        .changes = &change, .changes_count = 1, .note = "n", .note_bytes = 1};
    struct seen seen;
    struct kl_err err = {0};

    hooks_set(fixture, &seen);
    seen.prepare_answer = KL_ERR_UNAVAILABLE;
    kms_fixture_root_read(fixture, before);
    counts = memory_storage_counts(fixture->storage);
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_UNAVAILABLE);
    assert_string_equal(err.code, "prepare_failed");
    assert_int_equal(request.ret_generation, 0);
    assert_int_equal(seen.published, 0);
    assert_int_equal(seen.finished, 0);
    assert_int_equal(memory_storage_counts(fixture->storage).writes, counts.writes);
    kms_fixture_root_read(fixture, after);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(kms_place_check(fixture->kms, &change.place, NULL), KL_OK);
    /* The attempt did not happen: the same staged key may serve the next one. */
    seen.prepare_answer = KL_OK;
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    assert_int_equal(request.ret_generation, 2);
    assert_int_equal(kms_place_check(fixture->kms, &change.place, NULL), KL_ERR_GONE);
}

static void test_a_failed_finish_is_returned_and_the_shred_stays(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change change = {KMS_CHANGE_SHRED, bucket(70)};
    struct kms_request request = {
        .changes = &change, .changes_count = 1, .note = "n", .note_bytes = 1};
    struct seen seen;
    struct kl_err err = {0};

    hooks_set(fixture, &seen);
    seen.finish_answer = KL_ERR_IO;
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_IO);
    assert_string_equal(err.code, "finish_failed");
    assert_int_equal(seen.fatal, 0);
    assert_int_equal(request.ret_generation, 2);
    assert_int_equal(kms_place_check(fixture->kms, &change.place, NULL), KL_ERR_GONE);
}

static void failed_write_is_fatal(struct kms_fixture *fixture, bool kept)
{
    struct kms_change change = {KMS_CHANGE_SHRED, bucket(70)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct kms_state now;
    struct seen seen;
    struct kl_err err = {0};
    uint64_t slot = 99;

    hooks_set(fixture, &seen);
    memory_storage_fail_apply(fixture->storage, 1, kept);
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_IO);
    assert_int_equal(seen.fatal, 1);
    assert_int_equal(seen.published, 0);
    assert_int_equal(seen.finished, 0);
    kms_state(fixture->kms, &now);
    assert_false(now.old_root_destroyed);
    /* Should the hook return, nothing is changed any more. */
    kl_err_clear(&err);
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_IO);
    assert_string_equal(err.code, "key_store_broken");
    assert_int_equal(kms_slot_take(fixture->kms, KMS_TENANT_VAULT, 1, &slot, NULL), KL_ERR_IO);
    assert_int_equal(slot, 99);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_place_check(fixture->kms, &change.place, NULL),
                     kept ? KL_ERR_GONE : KL_OK);
}

static void test_a_failed_batch_is_fatal_and_recovery_finds_before(void **state)
{
    failed_write_is_fatal(*state, false);
}

static void test_a_failed_batch_that_arrived_is_fatal_and_recovery_finds_after(void **state)
{
    failed_write_is_fatal(*state, true);
}

static void test_a_failed_mark_is_fatal(void **state)
{
    struct kms_fixture *fixture = *state;
    struct seen seen;
    uint64_t first = 99;

    hooks_set(fixture, &seen);
    memory_storage_fail_apply(fixture->storage, 1, false);
    assert_int_equal(kms_slot_take(fixture->kms, KMS_TENANT_VAULT, 1, &first, NULL), KL_ERR_IO);
    assert_int_equal(first, 99);
    assert_int_equal(seen.fatal, 1);
}

static void test_a_damaged_page_stops_its_request_before_anything(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change change = {KMS_CHANGE_SHRED, bucket(71)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct seen seen;

    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, bucket(70)), KL_OK);
    kms_fixture_reopen(fixture);
    for (size_t i = 0;; i++) {
        struct kl_slice key;
        size_t bytes = 0;
        unsigned char *value = memory_storage_row(fixture->storage, i, &key, &bytes);

        assert_non_null(value);
        if (key.bytes[0] == 'P' && key.bytes[1] == 2 && key.bytes[19] == 0) {
            value[bytes / 2] ^= 1; /* the tenant's leaf page */
            break;
        }
    }
    hooks_set(fixture, &seen);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_ERR_CORRUPT);
    assert_int_equal(seen.prepared, 0);
    assert_int_equal(seen.fatal, 0);
    change.place.slot = 500;
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
}

static void test_a_page_that_cannot_be_read_stops_its_request(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change change = {KMS_CHANGE_SHRED, bucket(71)};
    struct kms_request request = {.changes = &change, .changes_count = 1};
    struct seen seen;

    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, bucket(70)), KL_OK);
    kms_fixture_reopen(fixture);
    hooks_set(fixture, &seen);
    memory_storage_fail_get(fixture->storage, 'P');
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_ERR_IO);
    assert_int_equal(kms_place_check(fixture->kms, &change.place, NULL), KL_ERR_IO);
    assert_int_equal(seen.prepared, 0);
    assert_int_equal(seen.fatal, 0);
    memory_storage_fail_get(fixture->storage, 0);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_prepare_seals_under_the_key_that_is_coming),
        TEST(test_prepare_seals_below_what_is_rekeyed),
        TEST(test_staged_seal_refuses_what_is_not_rekeyed),
        TEST(test_a_failed_prepare_changes_nothing),
        TEST(test_a_failed_finish_is_returned_and_the_shred_stays),
        TEST(test_a_failed_batch_is_fatal_and_recovery_finds_before),
        TEST(test_a_failed_batch_that_arrived_is_fatal_and_recovery_finds_after),
        TEST(test_a_failed_mark_is_fatal),
        TEST(test_a_damaged_page_stops_its_request_before_anything),
        TEST(test_a_page_that_cannot_be_read_stops_its_request),
    };

    return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}
