/* Somebody in a vault_fixture of whom much is known, for tests of the access report and the export. */
#ifndef KLUIS_TESTS_REPORT_FIXTURE_H
#define KLUIS_TESTS_REPORT_FIXTURE_H

#include "kluis/vault/report.h"
#include "tests/support/vault_fixture.h"

/*
 * member {name, email, diet (special), invoice (bookkeeping alone), score (surveys alone), pin (secret)} for service (contract, P1Y after service_end),
 * trial (precontract), news (consent, notice n1, retain P1Y after consent), bookkeeping (legal obligation, P7Y after created), surveys (legitimate
 * interest); note {story} for service.
 * Sources: counter (the person), scoring (the controller). US as masked, and as token for news.
 * Roles: writer; dpo (reports and exports all, consents, objects, restricts, manages requests); half (reports member.name, exports it for news); trial_only (exports for
 * trial); member_only (reports and exports member.* for service); self (its own); manager (manages requests alone); once (reports and exports member.*, one an hour).
 */
extern const char report_policy_text[];
int report_setup(void **state);

/* member {name, email, diet, invoice, score, pin} with a consent to news, of that source (NULL: none); with more: a note too. */
struct vault_subject_result report_person(struct vault_fixture *fixture, const char *source,
                                          bool more);
/* As that caller, who is done with then; err in the fixture. */
enum kl_status report_as(struct vault_fixture *fixture, struct vault_caller caller,
                         const struct kl_id *subject, const char *purpose,
                         struct vault_report *ret);
enum kl_status export_as(struct vault_fixture *fixture, struct vault_caller caller,
                         const struct kl_id *subject, const char *purpose, struct vault_told *ret);
/* A field of the first record. ret_told may be NULL. The test fails when it is not there. */
const struct vault_field_result *report_field(const struct vault_told *told, const char *name,
                                              const struct vault_told_field **ret_told);

#endif
