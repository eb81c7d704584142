/* The state of the keys and the rotation of the root key, as operators see them. */
#include "kluis/base/json.h"
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 8192

/* A JSON answer; ends with kl_json_free(). */
static struct kl_json *parsed(const struct kl_buf *text)
{
    struct kl_json *json = NULL;

    assert_int_equal(kl_json_parse(text->bytes, text->size, &json, NULL), KL_OK);
    return json;
}

static int64_t number_in(const struct kl_json *json, const char *key)
{
    int64_t number = -1;

    assert_true(kl_json_int(kl_json_member(kl_json_root(json), key), &number));
    return number;
}

static const char *text_in(const struct kl_json *json, const char *key)
{
    const char *text = kl_json_text(kl_json_member(kl_json_root(json), key));

    assert_non_null(text);
    return text;
}

static void rotation_id(const struct kl_json *job, struct kl_id *ret)
{
    assert_int_equal(kl_id_parse(VAULT_ROTATION_PREFIX, text_in(job, "id"), ret, NULL), KL_OK);
}

static void test_the_state_names_generation_custodian_and_public_key(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_steward(fixture);
    struct vault_figures figures;
    struct kl_json *json;
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_keys_state(fixture->vault, &caller, &text, NULL), KL_OK);
    json = parsed(&text);
    vault_figures(fixture->vault, &figures);
    assert_int_equal(number_in(json, "generation"), figures.key_generation);
    assert_string_equal(text_in(json, "custodian"), "file");
    assert_int_equal(strlen(text_in(json, "store_id")), 2 * KMS_STORE_ID_BYTES);
    assert_int_equal(strlen(text_in(json, "public_key")), 43);
    assert_int_equal(text_in(json, "finality")[0], 'F');
    assert_string_equal(text_in(json, "country"), "IE");
    assert_non_null(strstr(text_in(json, "root_key_since"), "T"));
    assert_int_equal(kl_json_type(kl_json_member(kl_json_root(json), "old_root_destroyed")),
                     KL_JSON_BOOL);
    kl_json_free(json);
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

static void test_the_public_key_is_the_one_that_signs_the_trails_head(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller callers[2] = {admin_steward(fixture), admin_operator(fixture)};
    char keys[2][64];
    int i;

    for (i = 0; i < 2; i++) {
        struct kl_json *state_json;
        struct kl_json *head_json;
        struct kl_buf text;
        struct kl_buf head;

        kl_buf_init(&text, TEXT_BYTES);
        kl_buf_init(&head, TEXT_BYTES);
        assert_int_equal(vault_keys_state(fixture->vault, &callers[i], &text, NULL), KL_OK);
        assert_int_equal(vault_audit_head(fixture->vault, &callers[i], &head, NULL), KL_OK);
        state_json = parsed(&text);
        head_json = parsed(&head);
        (void)snprintf(keys[i], sizeof keys[i], "%s", text_in(state_json, "public_key"));
        assert_string_equal(text_in(head_json, "public_key"), keys[i]);
        kl_json_free(state_json);
        kl_json_free(head_json);
        kl_buf_done(&text);
        kl_buf_done(&head);
        vault_caller_done(&callers[i]);
    }
    assert_string_not_equal(keys[0], keys[1]);
}

static void test_roles_of_the_policy_do_not_see_the_keys(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_token token;
    struct vault_caller caller;
    struct kl_err err = {0};
    struct kl_buf text;

    (void)admin_apply(fixture, admin_policy);
    token = admin_make(fixture, "reader", NULL);
    caller = admin_caller(fixture, &token, NULL);
    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_keys_state(fixture->vault, &caller, &text, &err), KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "role_forbidden");
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

static void test_a_rotation_takes_the_old_root_key_out_of_use(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct vault_figures before;
    struct vault_figures after;
    struct kl_json *job;
    struct kl_json *again;
    struct kl_buf text;
    struct kl_buf read;
    struct kl_id id;

    kl_buf_init(&text, TEXT_BYTES);
    kl_buf_init(&read, TEXT_BYTES);
    vault_figures(fixture->vault, &before);
    assert_int_equal(
        vault_keys_rotate(fixture->vault, &caller, "root", 0, false, NULL, &text, NULL, NULL),
        KL_OK);
    vault_figures(fixture->vault, &after);
    job = parsed(&text);
    assert_string_equal(text_in(job, "state"), "done");
    assert_string_equal(text_in(job, "level"), "root");
    assert_int_equal(number_in(job, "from_generation"), before.key_generation);
    assert_int_equal(number_in(job, "to_generation"), after.key_generation);
    assert_int_equal(after.key_generation, before.key_generation + 1);
    assert_true(kl_json_bool(kl_json_member(kl_json_root(job), "old_key_out_of_use")));
    rotation_id(job, &id);
    assert_int_equal(vault_keys_rotation(fixture->vault, &caller, &id, &read, NULL), KL_OK);
    again = parsed(&read);
    assert_string_equal(text_in(again, "id"), text_in(job, "id"));
    assert_string_equal(text_in(again, "state"), "done");
    assert_string_equal(text_in(again, "ended_at"), text_in(job, "ended_at"));
    kl_json_free(job);
    kl_json_free(again);
    kl_buf_done(&text);
    kl_buf_done(&read);
    vault_caller_done(&caller);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"key_rotate\""), 1);
    admin_reopen(fixture);
    caller = admin_steward(fixture);
    vault_caller_done(&caller);
}

static void test_other_levels_are_refused(void **state)
{
    static const char *const levels[] = {"", "ROOT", "pages"};
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct vault_figures before;
    struct vault_figures after;
    struct kl_buf text;
    size_t i;

    kl_buf_init(&text, TEXT_BYTES);
    vault_figures(fixture->vault, &before);
    for (i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        struct kl_err err = {0};

        assert_int_equal(vault_keys_rotate(fixture->vault, &caller, levels[i], 0, false, NULL,
                                           &text, NULL, &err),
                         KL_ERR_INVALID);
        assert_string_equal(err.code, "level_not_supported");
        assert_string_equal(err.where, "/level");
    }
    vault_figures(fixture->vault, &after);
    assert_int_equal(before.key_generation, after.key_generation);
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

static void test_only_operators_rotate(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kl_id nobody = kl_id_new();
    struct vault_caller caller = admin_steward(fixture);
    struct kl_err err = {0};
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(
        vault_keys_rotate(fixture->vault, &caller, "root", 0, false, NULL, &text, NULL, &err),
        KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "role_forbidden");
    assert_int_equal(vault_keys_rotation(fixture->vault, &caller, &nobody, &text, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(text.size, 0);
    vault_caller_done(&caller);
    caller = admin_operator(fixture);
    kl_err_clear(&err);
    assert_int_equal(vault_keys_rotation(fixture->vault, &caller, &nobody, &text, &err),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "not_found");
    vault_caller_done(&caller);
    kl_buf_done(&text);
}

static void job_put(struct admin_fixture *fixture, const struct kl_id *id, const char *text)
{
    struct vault_row_key key = vault_row_rotation(KMS_TENANT_VAULT, id);
    struct vault_batch *batch = vault_batch_new();

    assert_non_null(batch);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_text(text));
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
}

static void test_a_rotation_that_a_crash_cut_short_is_judged_by_the_generation(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kl_id before = kl_id_new();
    const struct kl_id now = kl_id_new();
    struct vault_caller caller = admin_operator(fixture);
    struct vault_figures figures;
    struct kl_json *json;
    struct kl_buf text;
    char row[256];

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(
        vault_keys_rotate(fixture->vault, &caller, "root", 0, false, NULL, &text, NULL, NULL),
        KL_OK);
    vault_figures(fixture->vault, &figures);
    (void)snprintf(
        row, sizeof row,
        "{\"state\":\"running\",\"from_generation\":%llu,\"started_at\":\"2026-01-01T00:00:00Z\"}",
        (unsigned long long)(figures.key_generation - 1));
    job_put(fixture, &before, row);
    (void)snprintf(row, sizeof row, "{\"state\":\"running\",\"from_generation\":%llu}",
                   (unsigned long long)figures.key_generation);
    job_put(fixture, &now, row);

    kl_buf_clear(&text);
    assert_int_equal(vault_keys_rotation(fixture->vault, &caller, &before, &text, NULL), KL_OK);
    json = parsed(&text);
    assert_string_equal(text_in(json, "state"), "done");
    assert_string_equal(text_in(json, "started_at"), "2026-01-01T00:00:00.000000Z");
    kl_json_free(json);
    kl_buf_clear(&text);
    assert_int_equal(vault_keys_rotation(fixture->vault, &caller, &now, &text, NULL), KL_OK);
    json = parsed(&text);
    assert_string_equal(text_in(json, "state"), "running");
    kl_json_free(json);
    job_put(fixture, &now, "not JSON");
    kl_buf_clear(&text);
    assert_int_equal(vault_keys_rotation(fixture->vault, &caller, &now, &text, NULL),
                     KL_ERR_CORRUPT);
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

struct reader {
    struct admin_fixture *fixture;
    atomic_bool *ended;
    int failures;
    int reads;
};

static void *read_on(void *argument)
{
    struct reader *reader = argument;

    while (!atomic_load(reader->ended)) {
        const struct vault_proof proof = {.token = reader->fixture->steward_token.text};
        struct vault_caller caller;

        if (vault_caller_open(reader->fixture->vault, &proof, NULL, NULL, &caller, NULL) == KL_OK) {
            vault_caller_done(&caller);
            reader->reads++;
        } else {
            reader->failures++;
        }
    }
    return NULL;
}

static void test_callers_come_in_while_the_root_key_is_rotated(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    atomic_bool ended = false;
    struct reader readers[2];
    pthread_t threads[2];
    struct kl_buf text;
    int i;

    kl_buf_init(&text, TEXT_BYTES);
    for (i = 0; i < 2; i++) {
        readers[i] = (struct reader){.fixture = fixture, .ended = &ended};
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    for (i = 0; i < 10; i++) {
        kl_buf_clear(&text);
        assert_int_equal(
            vault_keys_rotate(fixture->vault, &caller, "root", 0, false, NULL, &text, NULL, NULL),
            KL_OK);
    }
    atomic_store(&ended, true);
    for (i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(readers[i].failures, 0);
    }
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_the_state_names_generation_custodian_and_public_key),
        OPENED(test_the_public_key_is_the_one_that_signs_the_trails_head),
        OPENED(test_roles_of_the_policy_do_not_see_the_keys),
        OPENED(test_a_rotation_takes_the_old_root_key_out_of_use),
        OPENED(test_other_levels_are_refused),
        OPENED(test_only_operators_rotate),
        OPENED(test_a_rotation_that_a_crash_cut_short_is_judged_by_the_generation),
        OPENED(test_callers_come_in_while_the_root_key_is_rotated),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
