#include "tests/support/admin_fixture.h"

#include "kluis/base/file.h"
#include "kluis/base/secret.h"
#include "tests/support/test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ARENA_BYTES (16 * 1024 * 1024)

const char admin_policy[] =
    "policy: shop\n"
    "version: 2024-01-01\n"
    "controller: { name: Shop BV, country: BE, contact: privacy@shop.example }\n"
    "residency: { default: EEA }\n"
    "records:\n"
    "  customer:\n"
    "    fields:\n"
    "      email: { type: email, index: true }\n"
    "      name:  { type: text, mask: initials }\n"
    "    purposes: [service, news]\n"
    "purposes:\n"
    "  service: { basis: contract }\n"
    "  news:    { basis: consent }\n"
    "roles:\n"
    "  reader:\n"
    "    - { do: [read, lookup], fields: [customer.*], for: [service, news] }\n"
    "  writer:\n"
    "    - { do: [write], fields: [customer.*] }\n"
    "    - { do: [erase], fields: [customer.*] }\n";

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

void admin_remove(const char *folder)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char copy_from[ADMIN_PATH_BYTES];
static char copy_to[ADMIN_PATH_BYTES];

static int copy_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    char target[2 * ADMIN_PATH_BYTES];
    struct kl_buf bytes;

    (void)place;
    (void)snprintf(target, sizeof target, "%s%s", copy_to, path + strlen(copy_from));
    if (kind == FTW_D) {
        return mkdir(target, 0700);
    }
    assert_int_equal(kl_file_read(path, 256 * 1024 * 1024, &bytes, NULL), KL_OK);
    assert_int_equal(kl_file_create(target, info->st_mode & 0777, bytes.bytes, bytes.size, NULL),
                     KL_OK);
    kl_buf_done(&bytes);
    return 0;
}

void admin_copy(const char *from, const char *to)
{
    (void)snprintf(copy_from, sizeof copy_from, "%s", from);
    (void)snprintf(copy_to, sizeof copy_to, "%s", to);
    assert_int_equal(nftw(from, copy_one, 16, FTW_PHYS), 0);
}

int admin_group_setup(void **state)
{
    (void)state;
    return kl_secret_process_init(true, NULL) == KL_OK ? 0 : -1;
}

int admin_setup_empty(void **state)
{
    struct admin_fixture *fixture = calloc(1, sizeof *fixture);
    const char *place = getenv("TMPDIR");

    assert_non_null(fixture);
    (void)snprintf(fixture->folder, sizeof fixture->folder, "%.400s/kluis-admin-XXXXXX",
                   place == NULL ? "/tmp" : place);
    assert_non_null(mkdtemp(fixture->folder));
    (void)snprintf(fixture->data, sizeof fixture->data, "%.480s/data", fixture->folder);
    (void)snprintf(fixture->root_file, sizeof fixture->root_file, "%.480s/root.key",
                   fixture->folder);
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s", fixture->root_file);
    fixture->options.data_dir = fixture->data;
    fixture->options.country = "IE";
    fixture->options.custodian = fixture->custodian;
    fixture->options.accept_f0 = true;
    fixture->arena = kl_arena_new(ARENA_BYTES);
    assert_non_null(fixture->arena);
    *state = fixture;
    return 0;
}

int admin_setup(void **state)
{
    struct admin_fixture *fixture;

    (void)admin_setup_empty(state);
    fixture = *state;
    assert_int_equal(
        vault_init(&fixture->options, &fixture->operator_token, &fixture->steward_token, NULL),
        KL_OK);
    admin_reopen(fixture);
    return 0;
}

void admin_close(struct admin_fixture *fixture)
{
    vault_close(fixture->vault);
    fixture->vault = NULL;
}

void admin_reopen(struct admin_fixture *fixture)
{
    struct kl_err err = {0};

    admin_close(fixture);
    if (vault_open(&fixture->options, &fixture->vault, &err) != KL_OK) {
        fail_msg("the vault does not open: %s %s %s", err.code, err.client_text, err.log_text);
    }
}

int admin_teardown(void **state)
{
    struct admin_fixture *fixture = *state;

    admin_close(fixture);
    kl_arena_free(fixture->arena);
    admin_remove(fixture->folder);
    free(fixture);
    return 0;
}

struct vault_caller admin_caller(struct admin_fixture *fixture, const struct vault_token *token,
                                 const char *tenant)
{
    const struct vault_proof proof = {.token = token->text};
    struct vault_caller caller = {0};
    struct kl_err err = {0};

    if (vault_caller_open(fixture->vault, &proof, tenant, "test-1", &caller, &err) != KL_OK) {
        fail_msg("not let in: %s %s", err.code, err.log_text);
    }
    return caller;
}

struct vault_caller admin_operator(struct admin_fixture *fixture)
{
    return admin_caller(fixture, &fixture->operator_token, NULL);
}

struct vault_caller admin_steward(struct admin_fixture *fixture)
{
    return admin_caller(fixture, &fixture->steward_token, NULL);
}

enum kl_status admin_let_in(struct admin_fixture *fixture, const char *token, struct kl_err *err)
{
    const struct vault_proof proof = {.token = token};
    struct vault_caller caller;
    enum kl_status status = vault_caller_open(fixture->vault, &proof, NULL, NULL, &caller, err);

    if (status == KL_OK) {
        vault_caller_done(&caller);
    }
    return status;
}

struct vault_token admin_make(struct admin_fixture *fixture, const char *role, struct kl_id *ret_id)
{
    const struct vault_credential_input input = {.role = role, .expires_in = "P1Y"};
    struct vault_caller steward = admin_steward(fixture);
    struct vault_credential_result result;
    struct vault_token token;
    struct kl_err err = {0};

    if (vault_credential_create(fixture->vault, &steward, &input, NULL, &token, &result, &err) !=
        KL_OK) {
        fail_msg("no credential: %s %s", err.code, err.client_text);
    }
    vault_caller_done(&steward);
    if (ret_id != NULL) {
        *ret_id = result.id;
    }
    return token;
}

uint64_t admin_apply(struct admin_fixture *fixture, const char *yaml)
{
    struct vault_findings *findings = calloc(1, sizeof *findings);
    struct vault_caller steward = admin_steward(fixture);
    struct kl_err err = {0};
    uint64_t number = 0;

    assert_non_null(findings);
    if (vault_policy_apply(fixture->vault, &steward, yaml, strlen(yaml), findings, &number, &err) !=
        KL_OK) {
        fail_msg("policy refused: %s %s: %s", err.code, err.where, err.client_text);
    }
    vault_caller_done(&steward);
    free(findings);
    return number;
}

static size_t count_pieces(const struct kl_buf *text, const char *piece)
{
    const char *at = (const char *)text->bytes;
    size_t count = 0;

    while (at != NULL && (at = strstr(at, piece)) != NULL) {
        count++;
        at += strlen(piece);
    }
    return count;
}

size_t admin_trail_count(struct admin_fixture *fixture, bool of_operator, const char *piece)
{
    const struct vault_audit_filter filter = {0};
    struct vault_caller caller = of_operator ? admin_operator(fixture) : admin_steward(fixture);
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct kl_buf text;
    size_t count = 0;

    kl_buf_init(&text, 8 * 1024 * 1024);
    do {
        kl_buf_clear(&text);
        assert_int_equal(vault_audit_list(fixture->vault, &caller, &filter, VAULT_PAGE_MAX, cursor,
                                          &text, cursor, NULL),
                         KL_OK);
        count += count_pieces(&text, piece);
    } while (cursor[0] != '\0');
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return count;
}
