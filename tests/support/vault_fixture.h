/* A vault on a real directory with a policy of two record types, and callers of its roles: for tests about subjects. */
#ifndef KLUIS_TESTS_VAULT_FIXTURE_H
#define KLUIS_TESTS_VAULT_FIXTURE_H

#include "tests/support/admin_fixture.h"

#include "kluis/base/arena.h"
#include "kluis/vault/subject.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * newsletter {email (index), first_name, ip} for mailing (consent, notice n1) and support (contract);
 * client {email (index: unique), iban, notes} for service and support (contract), mailing.
 * Roles: writer (all), reader (all for all purposes), masked, tokens, present (newsletter.email so viewed), clerk (reads client.* for
 * service only), dpo (erase and consent on all), writing_dpo (write and consent on all), mail_dpo (consent for mailing only), half_dpo (erases client.* only), keeper (hold on client.*), self (reads and erases its own), erasing_clerk (as clerk, and erases newsletter.*),
 * officer (manages requests, erases, reports and discloses all), manager (manages requests only), requester (its own).
 * Recipients: speaker (needs a mailing consent of its own), mailer (a processor for mailing). US by standard clauses for support, as token.
 */
extern const char vault_policy_text[];

#define VAULT_FIXTURE_ROLES_MAX 24
#define VAULT_FIXTURE_POLICY_BYTES 16384
struct vault_fixture {
    struct admin_fixture *admin;
    struct kl_arena *arena;
    struct kl_err err;
    struct {
        char role[VAULT_NAME_MAX_BYTES + 1];
        struct vault_token token;
    } tokens[VAULT_FIXTURE_ROLES_MAX];
    size_t token_count;
};

int vault_fixture_setup(void **state);
int vault_fixture_teardown(void **state);
struct vault *fixture_vault(struct vault_fixture *fixture);
/* Apply a policy's text with a piece of it changed, which must be there. */
void fixture_apply_changed(struct vault_fixture *fixture, const char *policy, const char *piece,
                           const char *with);

/* A caller of that role, made at its first use. Ends with vault_caller_done(). */
struct vault_caller fixture_caller(struct vault_fixture *fixture, const char *role);
/* Another credential: location, purpose and subject may be NULL. */
struct vault_caller fixture_caller_with(struct vault_fixture *fixture, const char *role,
                                        const char *location, const char *purpose,
                                        const struct kl_id *subject);

/* Inputs; what they point to is the caller's. */
struct vault_field_input fixture_field(const char *name, const char *text);
struct vault_field_input fixture_removal(const char *name);
struct vault_consent_input fixture_consent(const char *purpose);

/* A subject with one newsletter record {email, first_name}, and a mailing consent when asked. The test fails when it cannot be made. */
struct vault_subject_result fixture_newsletter(struct vault_fixture *fixture, const char *email,
                                               bool consents);
/* A subject with one client record {email, iban}. */
struct vault_subject_result fixture_client(struct vault_fixture *fixture, const char *email);
/* The status of making a client. */
enum kl_status fixture_try_client(struct vault_fixture *fixture, const char *email,
                                  struct vault_subject_result *ret);

/* Read everything for a purpose as that role. */
enum kl_status fixture_read(struct vault_fixture *fixture, const char *role,
                            const struct kl_id *subject, const char *purpose,
                            struct vault_subject_result *ret);
/* The same as that caller, who is done with then; err in the fixture. */
enum kl_status fixture_read_as(struct vault_fixture *fixture, struct vault_caller caller,
                               struct vault_read_input input, struct vault_subject_result *ret);
/* A field of the result; NULL when it is not there. */
const struct vault_field_result *fixture_find(const struct vault_subject_result *result,
                                              const char *field);
bool fixture_value_is(const struct vault_field_result *field, const char *text);
/* How many subjects a lookup finds. */
size_t fixture_lookup(struct vault_fixture *fixture, const char *field, const char *value,
                      struct kl_id *ret_first);
/* Erase as dpo; the test fails when it does not work. */
void fixture_erase(struct vault_fixture *fixture, const struct kl_id *subject);
/* The status of erasing as that role; err in the fixture. */
enum kl_status fixture_try_erase(struct vault_fixture *fixture, const char *role,
                                 const struct kl_id *subject, enum vault_erase_reason reason,
                                 struct kl_buf *ret_receipt);
/* Make the stored receipt of one that was handed out: without its last member, "trail"; the test fails when it has none. */
void fixture_receipt_cut(struct kl_buf *receipt);
/* Change the last byte of the head row: of the last record's manifest. */
void fixture_damage(struct vault_fixture *fixture, const struct kl_id *subject);

/* How many entries of the trail of "default" hold that piece of text. */
size_t fixture_trail(struct vault_fixture *fixture, const char *piece);

/* The number of "default"; the slot of a subject of it. */
uint64_t fixture_tenant(struct vault_fixture *fixture);
uint64_t fixture_slot(struct vault_fixture *fixture, const struct kl_id *subject);

void fixture_reopen(struct vault_fixture *fixture);
#define FIXTURE_COPY "copy"
/* Copy the whole directory beside itself, to FIXTURE_COPY, instead of an earlier copy, with the credentials of reader, writer and dpo made before. */
void fixture_copy(struct vault_fixture *fixture);
/* Today's keys with the data/ of that copy: left closed, or open again. */
void fixture_swap_data(struct vault_fixture *fixture);
void fixture_put_back_data(struct vault_fixture *fixture);
void fixture_path(struct vault_fixture *fixture, const char *name, char ret[ADMIN_PATH_BYTES]);

#endif
