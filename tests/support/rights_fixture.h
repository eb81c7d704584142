/* Somebody in a vault_fixture whose policy knows people's rights: objection, restriction, clocks. */
#ifndef KLUIS_TESTS_RIGHTS_FIXTURE_H
#define KLUIS_TESTS_RIGHTS_FIXTURE_H

#include "tests/support/vault_fixture.h"

#include <stdint.h>

/*
 * client {email (index), iban, invoice (bookkeeping alone)} for service (contract, P1Y after service_end), surveys (legitimate interest, no
 * reason to keep), promotion (direct marketing), news (consent, notice n1, P1Y after consent, renew: ask), bookkeeping (legal obligation, P7Y
 * after service_end) and answer_rights (answers rights).
 * Roles: writer, dpo (restrict, object, consent, erase, hold on all; reads for answer_rights), reader (reads, looks up for all), lawyer (the same, and
 * may claim every ground), surveyor (object for surveys alone), reporter (reports on all), book_reporter (on invoices, for
 * bookkeeping), asker (consent, two subjects an hour), self (reads, consents and objects, its own subject).
 */
extern const char rights_policy_text[];
int rights_setup(void **state);

/* A subject with one client record {email, iban, invoice}, consented to news where asked. */
struct vault_subject_result rights_client(struct vault_fixture *fixture, const char *email,
                                          bool consents);
/* What keeps client.email from that role for a purpose, or VAULT_GATE_NONE; in so many days from now, claiming that ground. */
enum vault_gate rights_gate(struct vault_fixture *fixture, const char *role,
                            const struct kl_id *subject, const char *purpose,
                            enum vault_ground ground, int64_t days);
/* The same now, without a ground. */
enum vault_gate rights_gate_now(struct vault_fixture *fixture, const char *role,
                                const struct kl_id *subject, const char *purpose);

enum kl_status rights_restrict(struct vault_fixture *fixture, const char *role,
                               const struct kl_id *subject);
/* compelling NULL: none. */
enum kl_status rights_object(struct vault_fixture *fixture, const char *role,
                             const struct kl_id *subject, const char *purpose,
                             const char *compelling);
/* days: from now. ret_keeping, ret_count may be NULL. */
enum kl_status rights_event(struct vault_fixture *fixture, const char *role,
                            const struct vault_subject_result *of, const char *event, int64_t days,
                            struct vault_keeping **ret_keeping, size_t *ret_count);
void rights_give_news(struct vault_fixture *fixture, const struct kl_id *subject);

#endif
