/* Mirrors as operators make and drop them, what receipts say of them, and the change of custodian. */
#include "tests/support/vault_fixture.h"

#include "kluis/base/json.h"
#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "vault/mirrors.h"
#include "vault/place.h"
#include "vault/receipt.h"
#include "vault/tenants.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_BYTES 65536

static enum kl_status add(struct vault_fixture *fixture, const char *name, const char *country,
                          struct vault_mirror_result *ret)
{
    struct vault_caller chief = admin_operator(fixture->admin);
    char directory[ADMIN_PATH_BYTES];
    enum kl_status status = KL_OK;

    fixture_path(fixture, name, directory);
    kl_err_clear(&fixture->err);
    status =
        vault_mirror_add(fixture_vault(fixture), &chief, directory, country, ret, &fixture->err);
    vault_caller_done(&chief);
    return status;
}

static enum kl_status drop(struct vault_fixture *fixture, const struct kl_id *mirror, bool declared,
                           bool *ret_destroyed)
{
    struct vault_caller chief = admin_operator(fixture->admin);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_mirror_drop(fixture_vault(fixture), &chief, mirror, declared, ret_destroyed,
                               &fixture->err);
    vault_caller_done(&chief);
    return status;
}

static size_t count_of(struct vault_fixture *fixture, struct vault_mirror_result *ret_first)
{
    struct vault_mirror_result all[VAULT_MIRRORS_MAX];
    size_t count = 0;

    assert_int_equal(vault_mirror_list(fixture_vault(fixture), NULL, all, &count, NULL), KL_OK);
    if (count > 0 && ret_first != NULL) {
        *ret_first = all[0];
    }
    return count;
}

static void test_a_mirror_is_named_by_folder_and_country(void **state)
{
    static const char *const wrong[] = {"", "/mnt", ",country=IE",
                                        "/mnt,country=", "/mnt, country=IE"};
    char directory[VAULT_MIRROR_DIRECTORY_MAX_BYTES + 1] = "untouched";
    const char *country = NULL;
    struct kl_err err = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        kl_err_clear(&err);
        assert_int_equal(vault_mirror_parse(wrong[i], directory, &country, &err), KL_ERR_INVALID);
        assert_string_equal(err.code, "invalid_mirror");
        assert_string_equal(directory, "untouched");
    }
    assert_int_equal(
        vault_mirror_parse("/mnt/a,country=US,country=aws:eu-west-1", directory, &country, NULL),
        KL_OK);
    assert_string_equal(directory, "/mnt/a,country=US");
    assert_string_equal(country, "aws:eu-west-1");
}

static void test_a_mirror_comes_and_goes_and_the_trail_says_so(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_mirror_result mirror = {.in_step = false};
    struct vault_mirror_result listed = {.in_step = false};
    bool destroyed = false;

    assert_int_equal(add(fixture, "mirror", "aws:eu-west-1", &mirror), KL_OK);
    assert_true(mirror.in_step);
    assert_string_equal(mirror.country, "IE");
    assert_int_equal(count_of(fixture, &listed), 1);
    assert_true(kl_id_equal(&listed.id, &mirror.id));
    fixture_reopen(fixture);
    assert_int_equal(count_of(fixture, &listed), 1);
    assert_true(listed.in_step);
    assert_int_equal(drop(fixture, &mirror.id, false, &destroyed), KL_OK);
    assert_true(destroyed);
    assert_int_equal(count_of(fixture, NULL), 0);
    assert_int_equal(drop(fixture, &mirror.id, true, &destroyed), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "not_found");
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"mirror_add\""), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"mirror_drop\""), 1);
}

static void test_a_mirror_lies_where_its_data_may(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_mirror_result mirror = {.country = "untouched"};

    assert_int_equal(add(fixture, "mirror", "US", &mirror), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "residency");
    assert_int_equal(add(fixture, "mirror", "Ireland", &mirror), KL_ERR_INVALID);
    assert_int_equal(add(fixture, "data/inside", "IE", &mirror), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "mirror_dir");
    assert_string_equal(mirror.country, "untouched");
    assert_int_equal(count_of(fixture, NULL), 0);
    assert_int_equal(add(fixture, "mirror", "BE", &mirror), KL_OK);
    assert_int_equal(add(fixture, "mirror", "BE", &mirror), KL_ERR_EXISTS);
    assert_string_equal(fixture->err.code, "mirror_exists");
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"mirror_add_failed\""),
                     3);
}

static enum kl_status apply(struct vault_fixture *fixture, const char *yaml)
{
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_findings *findings = calloc(1, sizeof *findings);
    enum kl_status status = KL_OK;
    uint64_t number = 0;

    assert_non_null(findings);
    kl_err_clear(&fixture->err);
    status = vault_policy_apply(fixture_vault(fixture), &steward, yaml, strlen(yaml), findings,
                                &number, &fixture->err);
    free(findings);
    vault_caller_done(&steward);
    return status;
}

static void test_a_policy_does_not_leave_a_mirror_where_its_data_may_not_be(void **state)
{
    static const char mark[] = "  transfers:\n";
    struct vault_fixture *fixture = *state;
    struct vault_mirror_result mirror = {.country = ""};
    const char *rest = strstr(vault_policy_text, mark);
    bool destroyed = false;
    char text[16384];

    assert_non_null(rest);
    rest += strlen(mark);
    assert_true(
        snprintf(text, sizeof text, "%.*s    - { to: [US], mechanism: standard_clauses }\n%s",
                 (int)(rest - vault_policy_text), vault_policy_text, rest) < (int)sizeof text);
    assert_int_equal(apply(fixture, text), KL_OK);
    assert_int_equal(add(fixture, "mirror", "US", &mirror), KL_OK);
    assert_int_equal(apply(fixture, vault_policy_text), KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "mirror_residency");
    assert_int_equal(apply(fixture, text), KL_OK);
    assert_int_equal(drop(fixture, &mirror.id, false, &destroyed), KL_OK);
    assert_int_equal(apply(fixture, vault_policy_text), KL_OK);
}

static void test_only_operators_see_to_mirrors_and_custodians(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    struct vault_caller steward = admin_steward(fixture->admin);
    const struct vault_custodian_input input = {.custodian = "file:/nowhere/root.key",
                                                .country = "IE"};
    struct vault_custodian_result moved = {.kind = "untouched"};
    struct vault_mirror_result all[VAULT_MIRRORS_MAX];
    const struct kl_id nobody = {{0}};
    size_t count = 77;
    bool destroyed = false;

    assert_int_equal(vault_mirror_list(vault, &steward, all, &count, NULL), KL_ERR_FORBIDDEN);
    assert_int_equal(count, 77);
    assert_int_equal(vault_mirror_add(vault, &steward, "/mnt/x", "IE", all, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(vault_mirror_drop(vault, &steward, &nobody, true, &destroyed, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(vault_custodian_change(vault, &steward, &input, &moved, NULL),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(moved.kind, "untouched");
    vault_caller_done(&steward);
}

static int64_t time_of(const char *text)
{
    int64_t time = 0;

    assert_int_equal(kl_time_parse(text, strlen(text), &time, NULL), KL_OK);
    return time;
}

/* The decision about the United Kingdom has an end. */
static void test_a_mirror_whose_adequacy_decision_ended_is_in_the_trail(void **state)
{
    static const char mark[] = "  transfers:\n";
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    struct vault_mirror_result made;
    const char *rest = strstr(vault_policy_text, mark);
    char country[8];
    char text[8192];

    assert_non_null(rest);
    rest += strlen(mark);
    assert_true(snprintf(text, sizeof text, "%.*s    - { to: adequate }\n%s",
                         (int)(rest - vault_policy_text), vault_policy_text,
                         rest) < (int)sizeof text);
    assert_int_equal(apply(fixture, text), KL_OK);
    assert_int_equal(add(fixture, "mirror", "GB", &made), KL_OK);
    assert_int_equal(vault_mirrors_place_task(vault, time_of("2026-12-01T00:00:00Z"), NULL), KL_OK);
    assert_int_equal(vault_copies_misplaced(vault, time_of("2026-12-01T00:00:00Z"), country), 0);
    assert_string_equal(country, "");
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"mirror_misplaced\""), 0);
    assert_int_equal(vault_mirrors_place_task(vault, time_of("2033-01-01T00:00:00Z"), NULL), KL_OK);
    assert_int_equal(vault_copies_misplaced(vault, time_of("2033-01-01T00:00:00Z"), country), 1);
    assert_string_equal(country, "GB");
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"mirror_misplaced\""), 1);
}

/* As a decision that ended leaves it. */
static void test_a_misplaced_mirror_is_warned_of(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_readiness readiness;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char path[ADMIN_PATH_BYTES];

    vault_readiness(fixture_vault(fixture), &readiness);
    assert_string_equal(readiness.warning, "");
    fixture_path(fixture, "mirror", path);
    assert_int_equal(kms_mirror_add(fixture_vault(fixture)->keys, path, "US", id, NULL), KL_OK);
    vault_readiness(fixture_vault(fixture), &readiness);
    assert_true(readiness.ready);
    assert_non_null(strstr(readiness.warning, "US"));
}

struct adding {
    struct vault_fixture *fixture;
    atomic_bool ended;
};

static void *add_on(void *context)
{
    struct adding *adding = context;
    struct vault_mirror_result made;

    assert_int_equal(add(adding->fixture, "mirror", "IE", &made), KL_OK);
    atomic_store(&adding->ended, true);
    return NULL;
}

/* So that none is checked against one policy and registered under the next. */
static void test_a_mirror_is_added_in_its_turn(void **state)
{
    struct vault_fixture *fixture = *state;
    struct adding adding = {.fixture = fixture};
    const struct timespec pause = {0, 200 * 1000 * 1000};
    struct vault *vault = fixture_vault(fixture);
    struct vault_mirror_result first;
    pthread_t thread;

    vault_turn_take(&vault->turn);
    assert_int_equal(pthread_create(&thread, NULL, add_on, &adding), 0);
    (void)nanosleep(&pause, NULL);
    assert_false(atomic_load(&adding.ended));
    assert_int_equal(count_of(fixture, &first), 0);
    vault_turn_give(&vault->turn);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(count_of(fixture, &first), 1);
}

/* An erasure's stored receipt. */
static void erase(struct vault_fixture *fixture, const struct kl_id *subject, struct kl_id *ret_id,
                  struct kl_buf *ret_stored)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_json *json = NULL;
    struct kl_buf answer;

    kl_buf_init(&answer, ANSWER_BYTES);
    assert_int_equal(fixture_try_erase(fixture, "dpo", subject, VAULT_ERASE_REQUEST, &answer),
                     KL_OK);
    assert_int_equal(kl_json_parse(answer.bytes, answer.size, &json, NULL), KL_OK);
    assert_int_equal(kl_id_parse("er", kl_json_text(kl_json_member(kl_json_root(json), "receipt")),
                                 ret_id, NULL),
                     KL_OK);
    assert_int_equal(vault_receipt_read(fixture_vault(fixture), &dpo, ret_id, ret_stored, NULL),
                     KL_OK);
    fixture_receipt_cut(ret_stored);
    kl_json_free(json);
    kl_buf_done(&answer);
    vault_caller_done(&dpo);
}

static bool has(const struct kl_buf *text, const char *piece)
{
    return memmem(text->bytes, text->size, piece, strlen(piece)) != NULL;
}

static void test_a_receipt_says_which_mirrors_went_along(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_mirror_result mirror;
    struct kl_buf stored;
    struct kl_id receipt;

    kl_buf_init(&stored, ANSWER_BYTES);
    assert_int_equal(add(fixture, "mirror", "IE", &mirror), KL_OK);
    erase(fixture, &made.id, &receipt, &stored);
    assert_true(has(&stored, "\"mirrors\":{\"confirmed\":1,\"pending\":[]}"));
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&stored), NULL, NULL), KL_OK);
    assert_int_equal(vault_receipts_confirm(fixture_vault(fixture), 1, NULL), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"receipt_confirmed\""), 0);
    kl_buf_done(&stored);
}

static void test_a_receipt_is_signed_anew_and_only_a_true_one(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_caller steward = admin_steward(fixture->admin);
    const struct vault_mirrors_of of = {.confirmed = 2, .finality = KMS_FINALITY_F3};
    struct kl_buf stored;
    struct kl_buf anew;
    struct kl_id receipt;

    kl_buf_init(&stored, ANSWER_BYTES);
    kl_buf_init(&anew, ANSWER_BYTES);
    erase(fixture, &made.id, &receipt, &stored);
    assert_int_equal(vault_receipt_sign_anew(fixture_vault(fixture), steward.tenant,
                                             kl_buf_slice(&stored), &of, &anew, NULL),
                     KL_OK);
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&anew), NULL, NULL), KL_OK);
    assert_true(has(&anew, "\"finality\":\"F3\",\"mirrors\":{\"confirmed\":2,\"pending\":[]}"));
    stored.bytes[40] ^= 1;
    kl_buf_clear(&anew);
    assert_int_not_equal(vault_receipt_sign_anew(fixture_vault(fixture), steward.tenant,
                                                 kl_buf_slice(&stored), &of, &anew, NULL),
                         KL_OK);
    assert_int_equal(anew.size, 0);
    vault_caller_done(&steward);
    kl_buf_done(&stored);
    kl_buf_done(&anew);
}

static enum kl_status move(struct vault_fixture *fixture, const char *kind, const char *name,
                           const char *passphrase, struct vault_custodian_result *ret)
{
    struct vault_caller chief = admin_operator(fixture->admin);
    struct vault_custodian_input input = {.country = "IE", .passphrase = kl_slice_text(passphrase)};
    char path[ADMIN_PATH_BYTES];
    char custodian[ADMIN_PATH_BYTES + 16];
    enum kl_status status = KL_OK;

    fixture_path(fixture, name, path);
    (void)snprintf(custodian, sizeof custodian, "%s:%s", kind, path);
    input.custodian = custodian;
    kl_err_clear(&fixture->err);
    status = vault_custodian_change(fixture_vault(fixture), &chief, &input, ret, &fixture->err);
    vault_caller_done(&chief);
    return status;
}

static void test_the_root_key_goes_to_another_custodian(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_subject_result read;
    struct vault_custodian_result moved = {.kind = ""};

    assert_int_equal(move(fixture, "file", "moved.key", "", &moved), KL_OK);
    assert_string_equal(moved.kind, "file");
    assert_true(moved.generation > 1);
    assert_int_not_equal(access(fixture->admin->root_file, F_OK), 0);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_OK);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"custodian_change\""), 1);
    fixture_path(fixture, "moved.key", fixture->admin->root_file);
    (void)snprintf(fixture->admin->custodian, sizeof fixture->admin->custodian, "file:%s",
                   fixture->admin->root_file);
    fixture_reopen(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_OK);
}

static void test_a_custodian_that_cannot_be_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_custodian_result moved = {.kind = "untouched"};

    assert_int_equal(move(fixture, "vault", "x", "", &moved), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_custodian");
    assert_int_equal(move(fixture, "passphrase", "x", "short", &moved), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "passphrase_length");
    assert_int_equal(move(fixture, "file", "x", "long enough", &moved), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unexpected_passphrase");
    assert_int_equal(move(fixture, "file", "data/root.key", "", &moved), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "root_file_in_data");
    assert_string_equal(moved.kind, "untouched");
    assert_int_equal(
        admin_trail_count(fixture->admin, true, "\"action\":\"custodian_change_failed\""), 4);
    assert_int_equal(
        admin_trail_count(fixture->admin, true, "\"action\":\"custodian_change_asked\""), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"code\":\"passphrase_length\""), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "/data/root.key\""), 2);
    assert_int_equal(admin_trail_count(fixture->admin, true, "vault:"), 0); /* may be anything */
    fixture_reopen(fixture);                                                /* nothing moved */
}

static void test_a_root_key_goes_to_no_country_that_policies_do_not_name(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller chief = admin_operator(fixture->admin);
    struct vault_custodian_input input = {.country = "US"};
    struct vault_custodian_result moved = {.kind = "untouched"};
    char path[ADMIN_PATH_BYTES];
    char custodian[ADMIN_PATH_BYTES + 16];

    fixture_path(fixture, "moved.key", path);
    (void)snprintf(custodian, sizeof custodian, "file:%s", path);
    input.custodian = custodian;
    assert_int_equal(
        vault_custodian_change(fixture_vault(fixture), &chief, &input, &moved, &fixture->err),
        KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "residency");
    assert_string_equal(fixture->err.where, "/country");
    kl_err_clear(&fixture->err);
    input.country = "XX";
    assert_int_equal(
        vault_custodian_change(fixture_vault(fixture), &chief, &input, &moved, &fixture->err),
        KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_country");
    assert_string_equal(moved.kind, "untouched");
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"code\":\"residency\""), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"code\":\"invalid_country\""), 1);
    vault_caller_done(&chief);
}

/* Its code would run where the keys are. */
static void test_a_module_that_is_not_the_administrators_is_not_loaded(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller chief = admin_operator(fixture->admin);
    struct vault_custodian_input input = {.country = "IE", .passphrase = kl_slice_text("1234")};
    struct vault_custodian_result moved = {.kind = "untouched"};
    char path[ADMIN_PATH_BYTES];
    char custodian[ADMIN_PATH_BYTES + 64];
    FILE *module = NULL;

    fixture_path(fixture, "module.so", path);
    module = fopen(path, "w");
    assert_non_null(module);
    assert_int_equal(fclose(module), 0);
    (void)snprintf(custodian, sizeof custodian,
                   "pkcs11:token=a?module-path=%s&pin-source=file:/secret", path);
    input.custodian = custodian;
    assert_int_equal(
        vault_custodian_change(fixture_vault(fixture), &chief, &input, &moved, &fixture->err),
        KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "token_module_untrusted");
    assert_string_equal(fixture->err.where, "/custodian");
    assert_string_equal(moved.kind, "untouched");
    assert_int_equal(admin_trail_count(fixture->admin, true, "token_module_untrusted"), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "module.so"), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "pin-source"), 0);
    vault_caller_done(&chief);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mirror_is_named_by_folder_and_country),
        TEST(test_a_mirror_comes_and_goes_and_the_trail_says_so),
        TEST(test_a_mirror_lies_where_its_data_may),
        TEST(test_a_policy_does_not_leave_a_mirror_where_its_data_may_not_be),
        TEST(test_a_module_that_is_not_the_administrators_is_not_loaded),
        TEST(test_only_operators_see_to_mirrors_and_custodians),
        TEST(test_a_receipt_says_which_mirrors_went_along),
        TEST(test_a_receipt_is_signed_anew_and_only_a_true_one),
        TEST(test_the_root_key_goes_to_another_custodian),
        TEST(test_a_mirror_whose_adequacy_decision_ended_is_in_the_trail),
        TEST(test_a_misplaced_mirror_is_warned_of),
        TEST(test_a_mirror_is_added_in_its_turn),
        TEST(test_a_custodian_that_cannot_be_is_refused),
        TEST(test_a_root_key_goes_to_no_country_that_policies_do_not_name),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
