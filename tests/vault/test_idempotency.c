#include "tests/support/vault_fixture.h"

#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "vault/idempotency.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct vault_idempotency key_of(const char *key, unsigned char of)
{
    struct vault_idempotency idempotency = {.key = key, .fingerprint = {of}};

    return idempotency;
}

static enum kl_status create_as(struct vault_fixture *fixture, struct vault_caller *caller,
                                const struct vault_idempotency *idempotency, struct kl_arena *arena,
                                struct vault_subject_result *ret, struct kl_err *err)
{
    const struct vault_field_input field = fixture_field("email", "ana@example.org");
    const struct vault_record_input record = {
        .type = "newsletter", .source = "web-form", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};

    return vault_subject_create(fixture_vault(fixture), caller, &input, idempotency, arena, ret,
                                err);
}

static enum kl_status create(struct vault_fixture *fixture,
                             const struct vault_idempotency *idempotency,
                             struct vault_subject_result *ret)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = create_as(fixture, &writer, idempotency, fixture->arena, ret, &fixture->err);
    vault_caller_done(&writer);
    return status;
}

static void test_a_request_that_comes_again_gets_the_same_ids(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_idempotency key = key_of("order-1", 1);
    struct vault_subject_result first = {0};
    struct vault_subject_result again = {0};

    assert_int_equal(create(fixture, &key, &first), KL_OK);
    fixture_reopen(fixture);
    assert_int_equal(create(fixture, &key, &again), KL_OK);
    assert_false(first.replayed);
    assert_true(again.replayed);
    assert_true(kl_id_equal(&first.id, &again.id));
    assert_int_equal(again.record_count, 1);
    assert_true(kl_id_equal(&first.records[0].id, &again.records[0].id));
    assert_string_equal(again.records[0].type, "newsletter");
    assert_string_equal(again.records[0].source, "web-form");
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", NULL), 1);
}

static void test_another_request_with_the_key_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_idempotency key = key_of("order-1", 1);
    struct vault_subject_result result = {0};
    struct vault_subject_result untouched = {.record_count = 77};

    assert_int_equal(create(fixture, &key, &result), KL_OK);
    key.fingerprint[31] = 1;
    assert_int_equal(create(fixture, &key, &untouched), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "idempotency_key_reused");
    assert_int_equal(untouched.record_count, 77);
}

static void test_a_key_of_another_credential_is_another_key(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_idempotency key = key_of("order-1", 1);
    struct vault_caller other = fixture_caller_with(fixture, "writer", NULL, NULL, NULL);
    struct vault_subject_result first = {0};
    struct vault_subject_result second = {0};

    assert_int_equal(create(fixture, &key, &first), KL_OK);
    assert_int_equal(create_as(fixture, &other, &key, fixture->arena, &second, NULL), KL_OK);
    assert_false(second.replayed);
    assert_false(kl_id_equal(&first.id, &second.id));
    vault_caller_done(&other);
}

static void test_a_key_is_forgotten_after_a_day(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_idempotency key = key_of("order-1", 1);
    struct vault_caller later = fixture_caller(fixture, "writer");
    struct vault_subject_result first = {0};
    struct vault_subject_result second = {0};

    assert_int_equal(create(fixture, &key, &first), KL_OK);
    later.now_us += 25 * 3600 * KL_TIME_SECOND_US;
    assert_int_equal(create_as(fixture, &later, &key, fixture->arena, &second, NULL), KL_OK);
    assert_false(second.replayed);
    vault_caller_done(&later);
}

static void test_the_answer_goes_with_the_subject(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_idempotency key = key_of("order-1", 1);
    struct vault_subject_result first = {0};
    struct vault_subject_result untouched = {.record_count = 77};

    assert_int_equal(create(fixture, &key, &first), KL_OK);
    fixture_erase(fixture, &first.id);
    assert_int_equal(create(fixture, &key, &untouched), KL_ERR_GONE);
    assert_string_equal(fixture->err.code, "idempotent_result_erased");
    assert_int_equal(untouched.record_count, 77);
}

static void test_keys_that_are_no_keys_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    static char long_key[VAULT_IDEMPOTENCY_KEY_MAX_BYTES + 2];
    const char *const bad[] = {"", "with space", "tab\t", "caf\xc3\xa9", long_key};
    struct vault_subject_result untouched = {.record_count = 77};
    struct vault_idempotency key;
    size_t i;

    memset(long_key, 'k', sizeof long_key - 1);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        key = key_of(bad[i], 1);
        assert_int_equal(create(fixture, &key, &untouched), KL_ERR_INVALID);
        assert_string_equal(fixture->err.code, "invalid_idempotency_key");
    }
    long_key[VAULT_IDEMPOTENCY_KEY_MAX_BYTES] = 0;
    key = key_of(long_key, 1);
    assert_int_equal(untouched.record_count, 77);
    assert_int_equal(create(fixture, &key, &untouched), KL_OK);
}

static void test_a_refused_request_is_not_remembered(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_idempotency key = key_of("order-1", 1);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_subject_result result = {0};

    assert_int_equal(create_as(fixture, &reader, &key, fixture->arena, &result, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(create_as(fixture, &reader, &key, fixture->arena, &result, NULL),
                     KL_ERR_FORBIDDEN);
    vault_caller_done(&reader);
}

static void test_adding_a_record_again_gives_the_same_record(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_record_input record = {.type = "newsletter"};
    struct vault_idempotency key = key_of("add-1", 1);
    struct vault_record_result first = {0};
    struct vault_record_result again = {0};
    struct vault_subject_result read = {0};

    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, &key,
                                      fixture->arena, &first, NULL),
                     KL_OK);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, &key,
                                      fixture->arena, &again, NULL),
                     KL_OK);
    assert_true(kl_id_equal(&first.id, &again.id));
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_int_equal(read.record_count, 2);
    vault_caller_done(&writer);
}

struct racing {
    struct vault_fixture *fixture;
    struct vault_caller caller;
    struct kl_id id;
    bool replayed;
};

static void *race(void *context)
{
    struct racing *racing = context;
    struct vault_idempotency key = key_of("race-1", 1);
    struct kl_arena *arena = kl_arena_new(4 * 1024 * 1024);
    struct vault_subject_result result = {0};

    if (arena != NULL &&
        create_as(racing->fixture, &racing->caller, &key, arena, &result, NULL) == KL_OK) {
        racing->id = result.id;
        racing->replayed = result.replayed;
    }
    kl_arena_free(arena);
    return NULL;
}

static void test_of_many_at_once_one_makes_it_and_the_others_see_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct racing racing[16] = {0};
    pthread_t threads[16];
    size_t made = 0;
    size_t i;

    for (i = 0; i < 16; i++) {
        racing[i].fixture = fixture;
        racing[i].caller = fixture_caller(fixture, "writer");
    }
    for (i = 0; i < 16; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racing[i]), 0);
    }
    for (i = 0; i < 16; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        made += racing[i].replayed ? 0 : 1;
        assert_true(kl_id_equal(&racing[i].id, &racing[0].id));
        vault_caller_done(&racing[i].caller);
    }
    assert_int_equal(made, 1);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ana@example.org", NULL), 1);
}

static void test_what_is_remembered_of_a_record_goes_with_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_idempotency key = key_of("add-1", 1);
    const struct vault_field_input field = fixture_field("email", "ana@example.org");
    const struct vault_record_input record = {
        .type = "newsletter", .fields = &field, .field_count = 1};
    struct vault_subject_result made = fixture_client(fixture, "bo@example.org");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_record_result added = {0};
    struct kl_err err = {0};
    struct kl_buf receipt;

    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, &key,
                                      fixture->arena, &added, NULL),
                     KL_OK);
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &made.id, &added.id,
                                        VAULT_ERASE_REQUEST, &receipt, NULL),
                     KL_OK);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, &key,
                                      fixture->arena, &added, &err),
                     KL_ERR_GONE);
    assert_string_equal(err.code, "idempotent_result_erased");
    kl_buf_done(&receipt);
    vault_caller_done(&writer);
    vault_caller_done(&dpo);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_remembered_of_a_record_goes_with_it),
        TEST(test_a_request_that_comes_again_gets_the_same_ids),
        TEST(test_another_request_with_the_key_is_refused),
        TEST(test_a_key_of_another_credential_is_another_key),
        TEST(test_a_key_is_forgotten_after_a_day),
        TEST(test_the_answer_goes_with_the_subject),
        TEST(test_keys_that_are_no_keys_are_refused),
        TEST(test_a_refused_request_is_not_remembered),
        TEST(test_adding_a_record_again_gives_the_same_record),
        TEST(test_of_many_at_once_one_makes_it_and_the_others_see_it),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
