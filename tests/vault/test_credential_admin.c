/* Credentials made, listed and revoked, and by whom. */
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/credentials.h"
#include "vault/rows.h"

#include <stdio.h>
#include <string.h>

#define CERTIFICATE "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define DAY_US (INT64_C(86400) * 1000000)

/* Create, expecting a refusal that leaves the outputs as they were. */
static enum kl_status refused(struct admin_fixture *fixture, const struct vault_caller *caller,
                              const struct vault_credential_input *input, struct kl_err *err)
{
    struct vault_token token = {"untouched"};
    struct vault_credential_result result = {.role = "untouched"};
    enum kl_status status =
        vault_credential_create(fixture->vault, caller, input, NULL, &token, &result, err);

    assert_int_not_equal(status, KL_OK);
    assert_string_equal(token.text, "untouched");
    assert_string_equal(result.role, "untouched");
    return status;
}

/* As the steward of "default". */
static void steward_refused(struct admin_fixture *fixture,
                            const struct vault_credential_input *input, enum kl_status status,
                            const char *code)
{
    struct vault_caller caller = admin_steward(fixture);
    struct kl_err err = {0};

    assert_int_equal(refused(fixture, &caller, input, &err), status);
    assert_string_equal(err.code, code);
    vault_caller_done(&caller);
}

static void test_an_operator_makes_a_tenants_first_steward_only(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_credential_input steward = {.role = "steward", .expires_in = "P1Y"};
    const struct vault_credential_input auditor = {.role = "auditor", .expires_in = "P1Y"};
    struct vault_caller caller = admin_operator(fixture);
    struct vault_credential_result result;
    struct vault_token token;
    struct kl_err err = {0};
    bool created = false;

    assert_int_equal(refused(fixture, &caller, &steward, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "tenant_required");
    assert_int_equal(vault_tenant_put(fixture->vault, &caller, "shop", NULL, NULL, &created, NULL),
                     KL_OK);
    vault_caller_done(&caller);

    caller = admin_caller(fixture, &fixture->operator_token, "default");
    kl_err_clear(&err);
    assert_int_equal(refused(fixture, &caller, &steward, &err), KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "role_forbidden");
    vault_caller_done(&caller);

    caller = admin_caller(fixture, &fixture->operator_token, "shop");
    assert_int_equal(refused(fixture, &caller, &auditor, NULL), KL_ERR_FORBIDDEN);
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &steward, NULL, &token, &result, NULL),
        KL_OK);
    assert_int_equal(refused(fixture, &caller, &steward, NULL), KL_ERR_FORBIDDEN);
    vault_caller_done(&caller);

    caller = admin_caller(fixture, &token, NULL);
    assert_string_equal(caller.tenant_name, "shop");
    assert_int_equal(caller.builtin, VAULT_BUILTIN_STEWARD);
    vault_caller_done(&caller);
    assert_int_equal(admin_trail_count(fixture, true, "\"tenant\":\"shop\",\"target\":\"cred_"), 1);
}

/* Not even when the credential was revoked, has expired, or data/ knows of none: a mark beside the keys does. */
static void test_an_operator_makes_no_second_steward_whatever_became_of_the_first(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_credential_input steward = {.role = "steward", .expires_in = "P1Y"};
    struct vault_caller caller = admin_steward(fixture);
    struct kl_id own = caller.credential;
    struct vault_row_key key = vault_row_credential_id(caller.tenant, &own);
    struct vault_batch *batch = vault_batch_new();

    assert_int_equal(vault_credential_revoke(fixture->vault, &caller, &own, NULL), KL_OK);
    vault_caller_done(&caller);
    caller = admin_caller(fixture, &fixture->operator_token, "default");
    assert_int_equal(refused(fixture, &caller, &steward, NULL), KL_ERR_FORBIDDEN);
    caller.now_us += INT64_C(20) * 365 * 86400 * 1000000;
    assert_int_equal(refused(fixture, &caller, &steward, NULL), KL_ERR_FORBIDDEN);
    vault_batch_remove(batch, vault_row_slice(&key));
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, true, NULL), KL_OK);
    assert_int_equal(refused(fixture, &caller, &steward, NULL), KL_ERR_FORBIDDEN);
    vault_batch_free(batch);
    vault_caller_done(&caller);
}

static void test_operators_make_operators(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_credential_input input = {.role = "operator", .expires_in = "P1Y"};
    struct vault_caller caller = admin_operator(fixture);
    struct vault_credential_result result;
    struct vault_token token;

    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, NULL, &token, &result, NULL),
        KL_OK);
    vault_caller_done(&caller);
    caller = admin_caller(fixture, &token, NULL);
    assert_int_equal(caller.builtin, VAULT_BUILTIN_OPERATOR);
    vault_caller_done(&caller);
    steward_refused(fixture, &input, KL_ERR_FORBIDDEN, "role_forbidden");
}

static void test_roles_of_the_policy_and_auditors_make_nobody(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_credential_input input = {.role = "reader", .expires_in = "P1Y"};
    struct vault_token tokens[2];
    struct vault_caller caller;
    struct vault_credential_result *list = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    size_t count = 0;
    struct kl_id id = kl_id_new();
    int i;

    (void)admin_apply(fixture, admin_policy);
    tokens[0] = admin_make(fixture, "reader", NULL);
    tokens[1] = admin_make(fixture, "auditor", NULL);
    for (i = 0; i < 2; i++) {
        caller = admin_caller(fixture, &tokens[i], NULL);
        assert_int_equal(refused(fixture, &caller, &input, NULL), KL_ERR_FORBIDDEN);
        assert_int_equal(vault_credential_list(fixture->vault, &caller, 10, NULL, fixture->arena,
                                               &list, &count, cursor, NULL),
                         KL_ERR_FORBIDDEN);
        assert_null(list);
        assert_int_equal(vault_credential_revoke(fixture->vault, &caller, &id, NULL),
                         KL_ERR_FORBIDDEN);
        vault_caller_done(&caller);
    }
    assert_int_equal(admin_trail_count(fixture, false, "\"reason\":\"role_forbidden\""), 6);
}

static void test_wrong_input_says_where(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const purposes[] = {"service", "selling"};
    struct vault_credential_input input = {.role = "reader", .expires_in = "P1Y"};
    char longest[VAULT_NAME_MAX_BYTES + 2];

    steward_refused(fixture, &input, KL_ERR_INVALID, "unknown_role");
    (void)admin_apply(fixture, admin_policy);
    input.role = "sailor";
    steward_refused(fixture, &input, KL_ERR_INVALID, "unknown_role");
    input.role = NULL;
    steward_refused(fixture, &input, KL_ERR_INVALID, "unknown_role");
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    input.role = longest;
    steward_refused(fixture, &input, KL_ERR_INVALID, "unknown_role");
    input.role = "reader";
    input.purposes = purposes;
    input.purpose_count = 2;
    steward_refused(fixture, &input, KL_ERR_INVALID, "unknown_purpose");
    input.purpose_count = VAULT_PURPOSES_MAX + 1;
    steward_refused(fixture, &input, KL_ERR_INVALID, "unknown_purpose");
    input.purpose_count = 1;
    input.location = "XX";
    steward_refused(fixture, &input, KL_ERR_INVALID, "invalid_country");
    input.location = "aws:nowhere-9";
    steward_refused(fixture, &input, KL_ERR_INVALID, "unknown_region");
    input.location = NULL;
    input.certificate_sha256 = "0011";
    steward_refused(fixture, &input, KL_ERR_INVALID, "invalid_certificate");
    input.certificate_sha256 = NULL;
    input.role = "auditor";
    steward_refused(fixture, &input, KL_ERR_INVALID, "not_for_built_in_role");
}

static void test_an_unknown_purpose_is_pointed_at(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const purposes[] = {"service", "selling"};
    const struct vault_credential_input input = {
        .role = "reader", .purposes = purposes, .purpose_count = 2, .expires_in = "P1Y"};
    struct vault_caller caller;
    struct kl_err err = {0};

    (void)admin_apply(fixture, admin_policy);
    caller = admin_steward(fixture);
    assert_int_equal(refused(fixture, &caller, &input, &err), KL_ERR_INVALID);
    assert_string_equal(err.where, "/purposes/1");
    vault_caller_done(&caller);
}

static void test_a_credential_lives_a_while_and_not_for_ever(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const wrong[] = {NULL,     "",     "1 year", "P0D", "PT0S",
                                        "P3661D", "P11Y", "P9999Y", "-P1D"};
    struct vault_credential_input input = {.role = "auditor"};
    struct vault_caller caller = admin_steward(fixture);
    struct vault_credential_result result;
    struct vault_token token;
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct kl_err err = {0};

        input.expires_in = wrong[i];
        assert_int_equal(refused(fixture, &caller, &input, &err), KL_ERR_INVALID);
        assert_string_equal(err.code, "invalid_duration");
        assert_string_equal(err.where, "/expires_in");
    }
    input.expires_in = "P3660D";
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, NULL, &token, &result, NULL),
        KL_OK);
    assert_true(result.expires_us - result.created_us == 3660 * DAY_US);
    vault_caller_done(&caller);
}

static void test_a_credential_for_an_unknown_subject_is_not_made(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kl_id nobody = kl_id_new();
    const struct vault_credential_input input = {
        .role = "reader", .subject = &nobody, .expires_in = "P1Y"};
    const struct vault_credential_input builtin = {
        .role = "auditor", .subject = &nobody, .expires_in = "P1Y"};

    (void)admin_apply(fixture, admin_policy);
    steward_refused(fixture, &input, KL_ERR_NOT_FOUND, "not_found");
    steward_refused(fixture, &builtin, KL_ERR_INVALID, "not_for_built_in_role");
}

static void test_an_idempotency_key_makes_one_credential_and_shows_its_token_once(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_credential_input input = {.role = "auditor", .expires_in = "P1Y"};
    struct vault_idempotency once = {.key = "first"};
    struct vault_caller caller = admin_steward(fixture);
    struct vault_credential_result result = {.role = "untouched"};
    struct vault_credential_result *page = NULL;
    struct vault_token token;
    struct vault_token again = {"untouched"};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    struct kl_err err = {0};
    size_t count = 0;

    memset(once.fingerprint, 7, sizeof once.fingerprint);
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, &once, &token, &result, NULL),
        KL_OK);
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, &once, &again, &result, &err),
        KL_ERR_CONFLICT);
    assert_string_equal(err.code, "token_already_shown");
    assert_string_equal(again.text, "untouched");
    once.fingerprint[0] ^= 1;
    kl_err_clear(&err);
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, &once, &again, &result, &err),
        KL_ERR_INVALID);
    assert_string_equal(err.code, "idempotency_key_reused");
    assert_int_equal(vault_credential_list(fixture->vault, &caller, 100, NULL, fixture->arena,
                                           &page, &count, cursor, NULL),
                     KL_OK);
    assert_int_equal(count, 2);
    vault_caller_done(&caller);
    assert_int_equal(admin_let_in(fixture, token.text, NULL), KL_OK);
}

static void test_a_refused_creation_leaves_its_idempotency_key_free(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_credential_input input = {.role = "sailor", .expires_in = "P1Y"};
    const struct vault_idempotency once = {.key = "first"};
    struct vault_caller caller = admin_operator(fixture);
    struct vault_credential_result result;
    struct vault_token token;

    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, &once, &token, &result, NULL),
        KL_ERR_FORBIDDEN);
    input.role = "operator";
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, &once, &token, &result, NULL),
        KL_OK);
    vault_caller_done(&caller);
}

static void test_the_list_goes_on_where_the_last_page_ended(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller;
    struct vault_credential_result *page = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct kl_id seen[16];
    size_t seen_count = 0;
    size_t count = 0;
    size_t pages = 0;
    size_t i;
    size_t j;

    for (i = 0; i < 6; i++) {
        (void)admin_make(fixture, "auditor", NULL);
    }
    caller = admin_steward(fixture);
    do {
        assert_int_equal(vault_credential_list(fixture->vault, &caller, 3, cursor, fixture->arena,
                                               &page, &count, cursor, NULL),
                         KL_OK);
        for (i = 0; i < count; i++) {
            for (j = 0; j < seen_count; j++) {
                assert_false(kl_id_equal(&seen[j], &page[i].id));
            }
            assert_null(page[i].purposes);
            seen[seen_count++] = page[i].id;
        }
        pages++;
    } while (cursor[0] != '\0');
    assert_int_equal(seen_count, 7);
    assert_int_equal(pages, 3);
    vault_caller_done(&caller);
}

static void test_the_list_shows_what_was_asked_for(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const purposes[] = {"service", "news"};
    const struct vault_credential_input input = {.role = "reader",
                                                 .purposes = purposes,
                                                 .purpose_count = 2,
                                                 .location = "NO",
                                                 .expires_in = "P1Y"};
    struct vault_credential_result made;
    struct vault_credential_result *page = NULL;
    struct vault_token token;
    struct vault_caller caller;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    size_t count = 0;
    size_t i;

    (void)admin_apply(fixture, admin_policy);
    caller = admin_steward(fixture);
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, NULL, &token, &made, NULL), KL_OK);
    assert_int_equal(vault_credential_revoke(fixture->vault, &caller, &made.id, NULL), KL_OK);
    assert_int_equal(vault_credential_list(fixture->vault, &caller, 100, NULL, fixture->arena,
                                           &page, &count, cursor, NULL),
                     KL_OK);
    assert_int_equal(count, 2);
    i = kl_id_equal(&page[0].id, &made.id) ? 0 : 1;
    assert_string_equal(page[i].role, "reader");
    assert_int_equal(page[i].purpose_count, 2);
    assert_string_equal(page[i].purposes[0], "service");
    assert_string_equal(page[i].purposes[1], "news");
    assert_string_equal(page[i].location.code, "NO");
    assert_true(page[i].revoked_us > 0);
    assert_true(page[i].expires_us == made.expires_us);
    assert_string_equal(page[1 - i].role, "steward");
    vault_caller_done(&caller);
}

static void test_list_refuses_odd_limits_and_cursors(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_steward(fixture);
    struct vault_credential_result *page = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "untouched";
    size_t count = 77;
    struct kl_err err = {0};

    assert_int_equal(vault_credential_list(fixture->vault, &caller, 0, NULL, fixture->arena, &page,
                                           &count, cursor, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_limit");
    assert_int_equal(vault_credential_list(fixture->vault, &caller, VAULT_PAGE_MAX + 1, NULL,
                                           fixture->arena, &page, &count, cursor, NULL),
                     KL_ERR_INVALID);
    kl_err_clear(&err);
    assert_int_equal(vault_credential_list(fixture->vault, &caller, 1, "nonsense!", fixture->arena,
                                           &page, &count, cursor, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_cursor");
    assert_null(page);
    assert_int_equal(count, 77);
    assert_string_equal(cursor, "untouched");
    vault_caller_done(&caller);
}

static void test_an_operator_looks_after_operators_only(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct vault_credential_result *page = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    size_t count = 0;
    struct kl_id id;

    assert_int_equal(vault_credential_list(fixture->vault, &caller, 100, NULL, fixture->arena,
                                           &page, &count, cursor, NULL),
                     KL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(page[0].role, "operator");
    (void)admin_make(fixture, "auditor", &id);
    assert_int_equal(vault_credential_revoke(fixture->vault, &caller, &id, NULL), KL_ERR_NOT_FOUND);
    vault_caller_done(&caller);
    caller = admin_caller(fixture, &fixture->operator_token, "default");
    assert_int_equal(vault_credential_list(fixture->vault, &caller, 100, NULL, fixture->arena,
                                           &page, &count, cursor, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(vault_credential_revoke(fixture->vault, &caller, &id, NULL), KL_ERR_FORBIDDEN);
    vault_caller_done(&caller);
}

static void test_nobody_revokes_what_is_not_there(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller steward = admin_steward(fixture);
    const struct kl_id nobody = kl_id_new();
    struct kl_err err = {0};

    assert_int_equal(vault_credential_revoke(fixture->vault, &steward, &nobody, &err),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "not_found");
    vault_caller_done(&steward);
}

static void test_revoking_ends_a_cached_credential_at_once(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_id id;
    struct vault_token token = admin_make(fixture, "auditor", &id);
    struct vault_caller steward = admin_steward(fixture);

    assert_int_equal(admin_let_in(fixture, token.text, NULL), KL_OK);
    assert_int_equal(admin_let_in(fixture, token.text, NULL), KL_OK);
    assert_int_equal(vault_credential_revoke(fixture->vault, &steward, &id, NULL), KL_OK);
    assert_int_equal(admin_let_in(fixture, token.text, NULL), KL_ERR_UNAUTHORISED);
    assert_int_equal(vault_credential_revoke(fixture->vault, &steward, &id, NULL), KL_OK);
    vault_caller_done(&steward);
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"credential_revoke\""), 1);
    admin_reopen(fixture);
    assert_int_equal(admin_let_in(fixture, token.text, NULL), KL_ERR_UNAUTHORISED);
}

static void test_a_certificate_has_one_credential_for_ever(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_credential_input input = {
        .role = "auditor", .expires_in = "P1D", .certificate_sha256 = CERTIFICATE};
    struct vault_caller caller = admin_steward(fixture);
    struct vault_credential_result result;
    struct vault_token token;

    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &input, NULL, &token, &result, NULL),
        KL_OK);
    steward_refused(fixture, &input, KL_ERR_CONFLICT, "certificate_in_use");
    assert_int_equal(vault_credential_revoke(fixture->vault, &caller, &result.id, NULL), KL_OK);
    steward_refused(fixture, &input, KL_ERR_CONFLICT, "certificate_in_use");
    vault_caller_done(&caller);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_an_operator_makes_a_tenants_first_steward_only),
        OPENED(test_an_operator_makes_no_second_steward_whatever_became_of_the_first),
        OPENED(test_operators_make_operators),
        OPENED(test_roles_of_the_policy_and_auditors_make_nobody),
        OPENED(test_wrong_input_says_where),
        OPENED(test_an_unknown_purpose_is_pointed_at),
        OPENED(test_a_credential_lives_a_while_and_not_for_ever),
        OPENED(test_a_credential_for_an_unknown_subject_is_not_made),
        OPENED(test_an_idempotency_key_makes_one_credential_and_shows_its_token_once),
        OPENED(test_a_refused_creation_leaves_its_idempotency_key_free),
        OPENED(test_the_list_goes_on_where_the_last_page_ended),
        OPENED(test_the_list_shows_what_was_asked_for),
        OPENED(test_list_refuses_odd_limits_and_cursors),
        OPENED(test_an_operator_looks_after_operators_only),
        OPENED(test_nobody_revokes_what_is_not_there),
        OPENED(test_revoking_ends_a_cached_credential_at_once),
        OPENED(test_a_certificate_has_one_credential_for_ever),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
