/* Requests and disclosures of a vault_fixture's people. A test fails where a call that returns no status does not work. */
#ifndef KLUIS_TESTS_REQUEST_FIXTURE_H
#define KLUIS_TESTS_REQUEST_FIXTURE_H

#include "kluis/vault/disclosure.h"
#include "kluis/vault/request.h"
#include "tests/support/vault_fixture.h"

/* As officer, received at that time ("2026-03-05T09:00:00Z"; NULL: now), with a note. */
struct vault_request_result request_make(struct vault_fixture *fixture, const struct kl_id *subject,
                                         const char *right, const char *received);
/* The status of making one as that role; err in the fixture. */
enum kl_status request_try(struct vault_fixture *fixture, struct vault_caller caller,
                           const struct vault_request_input *input,
                           struct vault_request_result *ret);
/* The same of reading, and of a step (without an Idempotency-Key; receipt may be NULL). */
enum kl_status request_read_as(struct vault_fixture *fixture, struct vault_caller caller,
                               const struct kl_id *request, struct vault_request_result *ret);
enum kl_status request_step_as(struct vault_fixture *fixture, struct vault_caller caller,
                               const struct kl_id *request, const struct vault_request_step *step,
                               struct vault_request_result *ret, struct kl_buf *receipt);
/* officer, at that time; NULL: now. */
struct vault_caller request_officer(struct vault_fixture *fixture, const char *time);
int64_t request_time(const char *text);
/* The fixture's policy with a line more. */
void request_policy(struct vault_fixture *fixture, const char *line);

/* Read everything for that purpose and recipient as reader: the status; err in the fixture. */
enum kl_status disclosure_read(struct vault_fixture *fixture, const struct kl_id *subject,
                               const char *purpose, const char *recipient);
/* Note one as officer, of one field. */
enum kl_status disclosure_note(struct vault_fixture *fixture, const struct kl_id *subject,
                               const char *recipient, const char *purpose, const char *field,
                               const char *note);
/* The ledger as officer; the fixture's arena. */
size_t disclosure_list(struct vault_fixture *fixture, const struct kl_id *subject,
                       struct vault_disclosure_result **ret);

#endif
