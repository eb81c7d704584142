/* People who are shown to recipients outside the EEA under pseudonyms: a vault_fixture with a policy of its own. */
#ifndef KLUIS_TESTS_PSEUDONYM_FIXTURE_H
#define KLUIS_TESTS_PSEUDONYM_FIXTURE_H

#include "kluis/vault/pseudonym.h"
#include "tests/support/vault_fixture.h"

/*
 * person {email (index), name, pin (secret)}, purchase {item}; for hosting and support (contract).
 * Recipients for hosting: cloud, archive (US, standard clauses, token), printer (DE).
 * Roles: app (reads, writes, looks up all), analyst (reads all as token), half (looks up person.name), few (looks up all, 3 an hour), seer (looks
 * up all as token), keeper (holds and reads person.* as token), self (looks up its own), dpo (erases, restricts, holds, reports all; looks up for support).
 */
extern const char pseudonym_policy_text[];
int pseudonym_setup(void **state);

/* A person {email, name "Ann Ash", pin} with a purchase; the test fails when it cannot be made. */
struct vault_subject_result pseudonym_person(struct vault_fixture *fixture, const char *email);
/* So many people with one e-mail address and no pin. */
void pseudonym_crowd(struct vault_fixture *fixture, struct kl_id *ret_ids, size_t count);
/* Read all for hosting as app, for that recipient; it has to work. */
struct vault_subject_result pseudonym_read(struct vault_fixture *fixture,
                                           const struct kl_id *subject, const char *recipient);
/* The pseudonym shown for a field, or, with field NULL, for the id of the record of that type; type NULL: for the subject's id. */
const char *pseudonym_of(struct vault_fixture *fixture, const struct kl_id *subject,
                         const char *recipient, const char *type, const char *field);

/* Resolve one for hosting as that caller, who is done with then; the status, err in the fixture. */
enum kl_status pseudonym_resolve_as(struct vault_fixture *fixture, struct vault_caller caller,
                                    const char *recipient, const char *pseudonym,
                                    struct vault_resolved *ret);
/* As app; it has to work. */
struct vault_resolved pseudonym_resolve(struct vault_fixture *fixture, const char *recipient,
                                        const char *pseudonym);

#endif
