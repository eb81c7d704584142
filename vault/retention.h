/*
 * How long a record may be used, and is kept (GDPR art. 5(1)(e)). A purpose's clock starts with an event (policy.h) and runs by the
 * calendar; the longest purpose wins.
 *
 * Threads: any; nothing is shared.
 */
#ifndef VAULT_RETENTION_H
#define VAULT_RETENTION_H

#include "kluis/vault/policy.h"
#include "vault/manifest.h"

#include <stdbool.h>
#include <stdint.h>

/* A clock that has not started, or a purpose without one. */
#define VAULT_RETENTION_OPEN KL_TIME_MAX_US
/*
 * A record that only consents keep is kept this long while none of them was given yet: for a confirmation by mail. Days from its making;
 * our choice.
 */
#define VAULT_RETENTION_PENDING_DAYS 14

/*
 * When the clock of a purpose runs out for a record. consented_us: when the consent that counts for it was given, for clocks that start
 * with it; 0: none does.
 */
int64_t vault_retention_clock(const struct vault_policy_purpose *purpose,
                              const struct vault_manifest_record *record, int64_t consented_us);

/* Set ret->ended for the query's purpose and one record. The other facts are those of the subject (vault_facts_of()). */
void vault_retention_facts(const struct vault_policy *policy, const struct vault_query *query,
                           const struct vault_manifest_record *record, struct vault_facts *ret);

/* Until when one purpose keeps a record; a time that is past: it does not. purpose must not be forbidden. */
int64_t vault_retention_keeps(const struct vault_policy *policy, int purpose,
                              const struct vault_manifest_record *record,
                              const struct vault_ledger *ledger);

/*
 * until_us   no purpose keeps the record from then on; VAULT_RETENTION_OPEN: it is not known when
 * purpose    the one that keeps it longest, or did; VAULT_NONE: none ever did
 */
struct vault_retention {
    int64_t until_us;
    int purpose;
};
/*
 * Of a record whose type the policy knows. False: it does not (any more), or no purpose of its type keeps or ever kept anything: then nobody
 * said how long, and it is not for a sweeper to say.
 */
bool vault_retention_of(const struct vault_policy *policy,
                        const struct vault_manifest_record *record,
                        const struct vault_ledger *ledger, struct vault_retention *ret);

/*
 * Whether a record is to be erased: no purpose keeps it any more, nobody holds it, and its subject is not restricted (GDPR art. 18(1)(b) and (c):
 * restricted so that it is not erased).
 */
bool vault_retention_is_due(const struct vault_policy *policy,
                            const struct vault_manifest_record *record,
                            const struct vault_ledger *ledger, int64_t now_us);

/* Whether a field that is there is kept for the purpose. */
bool vault_retention_is_for(const struct vault_policy *policy,
                            const struct vault_manifest_record *record,
                            const struct vault_manifest_field *field, int purpose);

/*
 * The records of a subject that are due at that moment: due[i] for each of its records. *ret_all: there are some, and no others. Returns how
 * many.
 */
struct vault_subject;
size_t vault_retention_due(const struct vault_policy *policy, const struct vault_subject *subject,
                           const struct vault_ledger *ledger, int64_t now_us,
                           bool due[VAULT_RECORDS_MAX], bool *ret_all);

/*
 * When the clock of a consent's purpose runs out: as it keeps the longest of the subject's records that are for the purpose; of a clock that
 * starts with the consent, without any record as well. VAULT_RETENTION_OPEN: no end is known. The consent's own end is not looked at.
 */
int64_t vault_retention_consent(const struct vault_policy *policy, int purpose,
                                const struct vault_subject *subject,
                                const struct vault_ledger_entry *entry);

/*
 * The legal obligations that keep something of a record although its subject is erased at now_us, in the policy's order, each with its end, which lies ahead. One for which
 * the record has no field keeps nothing. A clock that was not started starts with the erasure, and a purpose without any clock keeps
 * nothing: an obligation without an end cannot be listed in a receipt, and needs a hold. Returns how many.
 */
size_t vault_retention_obligations(const struct vault_policy *policy,
                                   const struct vault_manifest_record *record, int64_t now_us,
                                   struct vault_retention ret[VAULT_OBLIGATIONS_MAX]);

#endif
