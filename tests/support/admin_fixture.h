/* A vault on a real directory for a test of what operators and stewards do, with the callers to do it. */
#ifndef KLUIS_TESTS_ADMIN_FIXTURE_H
#define KLUIS_TESTS_ADMIN_FIXTURE_H

#include "kluis/vault/admin.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>

#define ADMIN_PATH_BYTES 512

struct admin_fixture {
    char folder[ADMIN_PATH_BYTES]; /* holds data/ and root.key, nothing else */
    char data[ADMIN_PATH_BYTES];
    char root_file[ADMIN_PATH_BYTES];
    char custodian[ADMIN_PATH_BYTES + 16];
    struct vault_options options; /* of country IE; accepts F0, so that the tests run anywhere */
    struct vault_token operator_token;
    struct vault_token steward_token;
    struct vault *vault; /* open; NULL when the test closed it */
    struct kl_arena *arena;
};

/* For a group: locks no memory it cannot get. */
int admin_group_setup(void **state);
/* For cmocka: *state is the fixture; a vault of IE with tenant "default", open. */
int admin_setup(void **state);
/* Only the folder and the options: no vault yet. */
int admin_setup_empty(void **state);
int admin_teardown(void **state);

void admin_close(struct admin_fixture *fixture);
void admin_reopen(struct admin_fixture *fixture);

/* The caller behind a token; the test fails when it is not let in. Ends with vault_caller_done(). */
struct vault_caller admin_caller(struct admin_fixture *fixture, const struct vault_token *token,
                                 const char *tenant);
struct vault_caller admin_operator(struct admin_fixture *fixture);
struct vault_caller admin_steward(struct admin_fixture *fixture);

/* Whether a token is let in, ended at once. */
enum kl_status admin_let_in(struct admin_fixture *fixture, const char *token, struct kl_err *err);

/* A credential of that role for a year, made by the steward of "default". */
struct vault_token admin_make(struct admin_fixture *fixture, const char *role,
                              struct kl_id *ret_id);
/* Put a policy in force for "default"; the test fails when it is refused. */
uint64_t admin_apply(struct admin_fixture *fixture, const char *yaml);
/* Record type customer {email, name}, purposes service and news, roles reader and writer. */
extern const char admin_policy[];

/* How many entries a trail has whose text holds that piece: read as the auditor of "default", or as the operator. */
size_t admin_trail_count(struct admin_fixture *fixture, bool of_operator, const char *piece);

/* Copy or remove a folder with all in it. */
void admin_copy(const char *from, const char *to);
void admin_remove(const char *folder);

#endif
