/*
 * Rotations that are jobs: every page gets a fresh key, the old ones open with no key there is; erasures go on meanwhile, and a kill in
 * the middle costs nothing. This program runs itself as the one that is killed.
 */
#include "vault/rotation.h"

#include "kluis/base/file.h"
#include "kluis/base/json.h"
#include "kluis/base/secret.h"
#include "kms/page.h"
#include "tests/support/admin_fixture.h"
#include "tests/support/kms_adversary.h"
#include "tests/support/kms_fixture.h"
#include "tests/support/test.h"
#include "vault/erasure_note.h"
#include "vault/tenants.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEXT_BYTES 65536
#define SLOTS 3000
#define STEP 97
#define SEALED 40
#define RATE 150

/* ---- a tenant that has lived ---- */

struct lived {
    uint64_t tenant;
    uint64_t first; /* of SLOTS slots */
    struct kl_buf sealed[SEALED];
};

static struct kms_place place_of(const struct lived *lived, uint64_t i)
{
    return (struct kms_place){lived->tenant, lived->first + i * STEP % SLOTS, i % 3};
}

static void shred(struct vault *vault, struct kms_place place)
{
    struct kms_change change = {KMS_CHANGE_SHRED, place};
    struct kms_request request = {.changes = &change,
                                  .changes_count = 1,
                                  .note = vault_note_step,
                                  .note_bytes = VAULT_NOTE_STEP_BYTES};

    assert_int_equal(kms_commit(vault->keys, &request, NULL), KL_OK);
}

/* Values sealed under many slots, and of as many others one value shredded, so that their pages are written out. */
static void live(struct admin_fixture *fixture, struct lived *lived)
{
    struct vault *vault = fixture->vault;

    lived->tenant = vault_tenants_find(vault, "default")->number;
    assert_int_equal(kms_slot_take(vault->keys, lived->tenant, SLOTS, &lived->first, NULL), KL_OK);
    for (uint64_t i = 0; i < SEALED; i++) {
        kms_fixture_seal(vault->keys, place_of(lived, i), &lived->sealed[i]);
    }
    for (uint64_t i = 0; i < 2 * SEALED; i++) {
        struct kms_place place = place_of(lived, i);

        place.value = 9;
        shred(vault, place);
    }
}

static void assert_alive(struct admin_fixture *fixture, struct lived *lived)
{
    for (uint64_t i = 0; i < SEALED; i++) {
        struct kms_place place = place_of(lived, i);

        assert_int_equal(kms_fixture_unseal(fixture->vault->keys, place, &lived->sealed[i]), KL_OK);
        place.value = 9;
        assert_int_equal(kms_place_check(fixture->vault->keys, &place, NULL), KL_ERR_GONE);
    }
}

static void lived_done(struct lived *lived)
{
    for (size_t i = 0; i < SEALED; i++) {
        kl_buf_done(&lived->sealed[i]);
    }
}

/* ---- pages ---- */

struct rows {
    struct memory_storage *pages;
    size_t count;
    size_t of_tenant;
    uint64_t tenant;
};

static enum kl_status keep(void *visitor, struct kl_slice key, struct kl_slice value,
                           struct kl_err *err)
{
    struct rows *rows = visitor;

    (void)err;
    memory_storage_put(rows->pages, key, value);
    rows->count++;
    rows->of_tenant +=
        key.bytes[1] != KMS_TREE_STORE && kl_get_u64be(key.bytes + 2) == rows->tenant;
    return KL_OK;
}

static struct rows rows_now(struct admin_fixture *fixture, uint64_t tenant)
{
    struct rows rows = {.pages = memory_storage_new(), .tenant = tenant};
    const struct kms_storage *storage = &fixture->vault->key_storage;

    assert_int_equal(storage->range(storage->context, kl_slice_text("P"), keep, &rows, NULL),
                     KL_OK);
    return rows;
}

/* How many rows that were there then are there now, byte for byte; of the tenant, or of all. */
static size_t rows_as_before(struct rows *before, struct rows *now, bool all)
{
    const struct kms_storage *storage = memory_storage_face(now->pages);
    struct kl_slice key;
    size_t value_bytes = 0;
    size_t same = 0;
    const unsigned char *value;

    for (size_t i = 0; (value = memory_storage_row(before->pages, i, &key, &value_bytes)) != NULL;
         i++) {
        struct kl_buf row;

        kl_buf_init(&row, 16384);
        if ((all ||
             (key.bytes[1] != KMS_TREE_STORE && kl_get_u64be(key.bytes + 2) == before->tenant)) &&
            storage->get(storage->context, key, &row, NULL) == KL_OK && row.size == value_bytes &&
            memcmp(row.bytes, value, value_bytes) == 0) {
            same++;
        }
        kl_buf_done(&row);
    }
    return same;
}

/* Who has the pages of then and of now, and the root file as it is: how many of the pages open. */
static size_t pages_that_open(struct admin_fixture *fixture, struct rows *before, struct rows *now)
{
    struct kms_adversary *adversary = kms_adversary_new(fixture->vault->store_id);
    struct kl_buf root;
    size_t opened;

    assert_int_equal(kl_file_read(fixture->root_file, 16384, &root, NULL), KL_OK);
    kms_adversary_give_rows(adversary, before->pages, false);
    kms_adversary_give_rows(adversary, now->pages, false);
    kms_adversary_give_root_file(adversary, root.bytes);
    opened = kms_adversary_search(adversary);
    kms_adversary_free(adversary);
    kl_buf_done(&root);
    return opened;
}

/* ---- asking ---- */

static struct kl_json *parsed(const struct kl_buf *text)
{
    struct kl_json *json = NULL;

    assert_int_equal(kl_json_parse(text->bytes, text->size, &json, NULL), KL_OK);
    return json;
}

static const struct kl_json_value *in(const struct kl_json *json, const char *key)
{
    return kl_json_member(kl_json_root(json), key);
}

static int64_t number_in(const struct kl_json *json, const char *key)
{
    int64_t number = -1;

    assert_true(kl_json_int(in(json, key), &number));
    return number;
}

static double progress_in(const struct kl_json *json)
{
    size_t bytes = 0;
    const char *text = kl_json_number_text(in(json, "progress"), &bytes);

    assert_non_null(text);
    return strtod(text, NULL);
}

static struct vault_caller operator_of(struct admin_fixture *fixture, const char *tenant)
{
    return admin_caller(fixture, &fixture->operator_token, tenant);
}

/* Ask for a rotation; its id. */
static struct kl_id ask(struct admin_fixture *fixture, const char *level, uint32_t rate)
{
    struct vault_caller caller =
        operator_of(fixture, strcmp(level, "tenant") == 0 ? "default" : NULL);
    struct kl_json *json;
    struct kl_buf text;
    struct kl_id id;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(
        vault_keys_rotate(fixture->vault, &caller, level, rate, false, NULL, &text, NULL, NULL),
        KL_OK);
    json = parsed(&text);
    assert_string_equal(kl_json_text(in(json, "level")), level);
    assert_int_equal(kl_id_parse(VAULT_ROTATION_PREFIX, kl_json_text(in(json, "id")), &id, NULL),
                     KL_OK);
    kl_json_free(json);
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return id;
}

static struct kl_json *look(struct admin_fixture *fixture, const struct kl_id *id)
{
    struct vault_caller caller = operator_of(fixture, NULL);
    struct kl_json *json;
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_keys_rotation(fixture->vault, &caller, id, &text, NULL), KL_OK);
    json = parsed(&text);
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return json;
}

static void assert_running(struct admin_fixture *fixture, const struct kl_id *id)
{
    struct kl_json *json = look(fixture, id);

    assert_string_equal(kl_json_text(in(json, "state")), "running");
    assert_false(kl_json_bool(in(json, "old_key_out_of_use")));
    assert_int_equal(kl_json_type(in(json, "to_generation")), KL_JSON_NULL);
    kl_json_free(json);
}

static void assert_done(struct admin_fixture *fixture, const struct kl_id *id)
{
    struct kl_json *json = look(fixture, id);
    struct kms_state now;

    kms_state(fixture->vault->keys, &now);
    assert_string_equal(kl_json_text(in(json, "state")), "done");
    assert_true(kl_json_bool(in(json, "old_key_out_of_use")));
    assert_true(number_in(json, "to_generation") > number_in(json, "from_generation"));
    assert_true((uint64_t)number_in(json, "to_generation") <= now.generation);
    assert_true(progress_in(json) >= 1.0);
    kl_json_free(json);
}

static void run(struct admin_fixture *fixture)
{
    struct kl_err err = {0};

    if (vault_upkeep_run(fixture->vault, &err) != KL_OK) {
        fail_msg("%s: %s", err.code, err.log_text);
    }
}

/* ---- levels ---- */

static void test_a_tenants_rotation_leaves_no_page_under_an_old_key(void **state)
{
    struct admin_fixture *fixture = *state;
    struct lived lived;
    struct rows before;
    struct rows now;
    struct kl_id id;

    live(fixture, &lived);
    before = rows_now(fixture, lived.tenant);
    assert_true(before.of_tenant > 2 * SEALED);
    id = ask(fixture, "tenant", 0);
    assert_running(fixture, &id);
    run(fixture);
    assert_done(fixture, &id);
    now = rows_now(fixture, lived.tenant);
    assert_int_equal(rows_as_before(&before, &now, false), 0);
    assert_alive(fixture, &lived);
    assert_int_equal(pages_that_open(fixture, &before, &now), now.count);
    admin_reopen(fixture);
    assert_alive(fixture, &lived);
    assert_done(fixture, &id);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"key_rotate_done\""), 1);
    assert_int_equal(fixture->vault->restores, 0); /* data/ is not taken for an older copy */
    memory_storage_free(before.pages);
    memory_storage_free(now.pages);
    lived_done(&lived);
}

static void test_a_rotation_of_all_leaves_neither_old_pages_nor_seeds_above_subjects(void **state)
{
    struct admin_fixture *fixture = *state;
    struct lived lived;
    struct rows before;
    struct rows now;
    struct kl_id id;

    live(fixture, &lived);
    before = rows_now(fixture, lived.tenant);
    id = ask(fixture, "all", 0);
    run(fixture);
    assert_done(fixture, &id);
    now = rows_now(fixture, lived.tenant);
    assert_int_equal(rows_as_before(&before, &now, true), 0);
    assert_alive(fixture, &lived);
    /* A row of a leaf page for each 64 slots of the tenant that were given out. */
    assert_true(now.of_tenant >= before.of_tenant + SLOTS / 64 - 2 * SEALED);
    for (uint64_t slot = lived.first; slot < lived.first + SLOTS; slot += 64) {
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
    assert_int_equal(pages_that_open(fixture, &before, &now), now.count);
    memory_storage_free(before.pages);
    memory_storage_free(now.pages);
    lived_done(&lived);
}

static void test_a_store_without_pages_gets_a_fresh_root_key_all_the_same(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kms_state before;
    struct kms_state now;
    struct kl_id id;

    kms_state(fixture->vault->keys, &before);
    id = ask(fixture, "tenant", 0);
    run(fixture);
    assert_done(fixture, &id);
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
        struct kl_json *json = look(fixture, id);

        there = progress_in(json) >= progress;
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
    struct lived lived;
    struct kl_id id;

    live(fixture, &lived);
    id = ask(fixture, "tenant", RATE);
    assert_int_equal(vault_upkeep_start(fixture->vault, &upkeep, NULL), KL_OK);
    for (uint64_t i = 0; i < SEALED; i += 2) {
        struct kms_place place = place_of(&lived, i);

        place.value = KMS_VALUE_NONE;
        shred(fixture->vault, place);
    }
    assert_running(fixture, &id);
    wait_for(fixture, &id, 1.0);
    vault_upkeep_stop(fixture->vault);
    assert_done(fixture, &id);
    admin_reopen(fixture);
    for (uint64_t i = 0; i < SEALED; i++) {
        assert_int_equal(
            kms_fixture_unseal(fixture->vault->keys, place_of(&lived, i), &lived.sealed[i]),
            i % 2 == 0 ? KL_ERR_GONE : KL_OK);
    }
    lived_done(&lived);
}

static void test_a_rate_is_kept(void **state)
{
    struct admin_fixture *fixture = *state;
    struct lived lived;
    struct timespec begin;
    struct timespec end;
    struct kl_json *json;
    struct kl_id id;
    double seconds;
    int64_t pages;

    live(fixture, &lived);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    id = ask(fixture, "tenant", RATE);
    run(fixture);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    assert_done(fixture, &id);
    json = look(fixture, &id);
    pages = number_in(json, "pages");
    assert_int_equal(number_in(json, "pages_per_second"), RATE);
    seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    assert_true(seconds >= ((double)pages - RATE / 10.0) / RATE);
    kl_json_free(json);
    lived_done(&lived);
}

/* ---- a kill in the middle ---- */

/* This program again: rotate until killed, telling how far it is. */
static int rotate_until_killed(char **argv)
{
    const struct vault_upkeep_options upkeep = {.sweep_at_s = -1};
    const struct timespec pause = milliseconds(5);
    struct vault_options options = {
        .data_dir = argv[2], .country = "IE", .custodian = argv[3], .accept_f0 = true};
    struct vault *vault = NULL;
    struct kl_id id;

    if (kl_secret_process_init(true, NULL) != KL_OK ||
        kl_id_parse(VAULT_ROTATION_PREFIX, argv[4], &id, NULL) != KL_OK ||
        vault_open(&options, &vault, NULL) != KL_OK ||
        vault_upkeep_start(vault, &upkeep, NULL) != KL_OK) {
        return 1;
    }
    for (;;) {
        struct vault_job job;

        vault_job_init(&job);
        if (vault_job_read(vault, VAULT_JOB_ROTATION, &id, &job, NULL) != KL_OK ||
            write(STDOUT_FILENO, &job.progress, sizeof job.progress) !=
                (ssize_t)sizeof job.progress) {
            return 1;
        }
        vault_job_done(&job);
        (void)nanosleep(&pause, NULL);
    }
}

static pid_t start_rotator(struct admin_fixture *fixture, const struct kl_id *id, int *ret_output)
{
    char text[KL_ID_TEXT_BYTES];
    int pipe_ends[2];
    pid_t child;

    kl_id_format(VAULT_ROTATION_PREFIX, id, text);
    assert_int_equal(pipe(pipe_ends), 0);
    child = fork();
    if (child == 0) {
        (void)dup2(pipe_ends[1], STDOUT_FILENO);
        (void)close(pipe_ends[0]);
        (void)close(pipe_ends[1]);
        (void)execl("/proc/self/exe", "test_rotation", "--rotate-until-killed", fixture->data,
                    fixture->custodian, text, (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    (void)close(pipe_ends[1]);
    *ret_output = pipe_ends[0];
    return child;
}

/* Kill it once it is past that far; how far it said it was. */
static double kill_past(struct admin_fixture *fixture, const struct kl_id *id, double past)
{
    double progress = 0.0;
    int output = -1;
    int ended = 0;
    pid_t child = start_rotator(fixture, id, &output);

    while (progress <= past &&
           read(output, &progress, sizeof progress) == (ssize_t)sizeof progress) {
    }
    (void)kill(child, SIGKILL);
    (void)close(output);
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFSIGNALED(ended));
    assert_true(progress > past && progress < 1.0);
    return progress;
}

static void test_a_rotation_goes_on_after_a_kill_where_it_was(void **state)
{
    struct admin_fixture *fixture = *state;
    struct lived lived;
    struct rows before;
    struct rows now;
    struct kl_json *json;
    struct kl_id id;

    live(fixture, &lived);
    before = rows_now(fixture, lived.tenant);
    id = ask(fixture, "all", RATE);
    admin_close(fixture);
    for (unsigned round = 1; round <= 3; round++) {
        double reached = kill_past(fixture, &id, round * 0.2);

        admin_reopen(fixture);
        assert_running(fixture, &id);
        json = look(fixture, &id);
        assert_true(progress_in(json) >= reached - 0.001);
        assert_int_equal(fixture->vault->restores, 0);
        kl_json_free(json);
        assert_alive(fixture, &lived);
        admin_close(fixture);
    }
    admin_reopen(fixture);
    run(fixture);
    assert_done(fixture, &id);
    now = rows_now(fixture, lived.tenant);
    assert_int_equal(rows_as_before(&before, &now, true), 0);
    assert_int_equal(pages_that_open(fixture, &before, &now), now.count);
    assert_alive(fixture, &lived);
    memory_storage_free(before.pages);
    memory_storage_free(now.pages);
    lived_done(&lived);
}

/* ---- what is refused, what is listed ---- */

static void refused(struct admin_fixture *fixture, const char *tenant, const char *level,
                    uint32_t rate, const char *code)
{
    struct vault_caller caller = operator_of(fixture, tenant);
    struct kl_err err = {0};
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
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
    struct vault_caller caller = operator_of(fixture, NULL);
    struct kl_id ids[3] = {ask(fixture, "root", 0), ask(fixture, "tenant", 0),
                           ask(fixture, "root", 0)};
    const struct kl_json_value *item;
    struct kl_json_iter iter;
    struct kl_json *json;
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_keys_rotations(fixture->vault, &caller, &text, NULL), KL_OK);
    json = parsed(&text);
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

int main(int argc, char **argv)
{
#define OPENED(name) cmocka_unit_test_setup_teardown(name, admin_setup, admin_teardown)
    const struct CMUnitTest tests[] = {
        OPENED(test_a_tenants_rotation_leaves_no_page_under_an_old_key),
        OPENED(test_a_rotation_of_all_leaves_neither_old_pages_nor_seeds_above_subjects),
        OPENED(test_a_store_without_pages_gets_a_fresh_root_key_all_the_same),
        OPENED(test_erasures_go_on_and_stay_while_keys_are_rotated),
        OPENED(test_a_rate_is_kept),
        OPENED(test_a_rotation_goes_on_after_a_kill_where_it_was),
        OPENED(test_what_cannot_be_is_refused),
        OPENED(test_the_newest_rotation_is_listed_first),
    };

    if (argc == 5 && strcmp(argv[1], "--rotate-until-killed") == 0) {
        return rotate_until_killed(argv);
    }
    return cmocka_run_group_tests_name("rotation", tests, admin_group_setup, NULL);
}
