/*
 * Alerts: a credential that is used in a way that its role is not (the policy's section `alerts`, policy_alerts.c). Nothing is refused by it.
 *
 *   volume    more subjects shown than its bucket holds
 *   refusals  more refusals than its bucket holds: forbidden, unknown ids, reads of which everything was withheld
 *   hours     a subject shown outside of the hours that the policy expects of the role
 *
 * Every entry that vault_audit_commit() made durable is looked at: what shows a subject, and what refuses, says so (audit.h). An alert is an entry
 * of its own in the credential's trail, an event to the webhooks that ask for it, and a figure. Of one credential and kind there is one in a window;
 * when more came meanwhile, one more at its end, with their count ("repeated").
 *
 * A place holds a credential's buckets (each one number: when it will be full again) and counts as atomics, so that looking costs a few reads and
 * one exchange, no allocation and no lock; the lock is for making a place and for what is told. Where all places that fit are in use, one that tells
 * of nothing is forgotten. In memory only: a server that is started again begins anew.
 *
 * Buckets are of the clock that never goes back; windows and hours of the wall's. Threads: any; the task is the upkeep's.
 */
#ifndef VAULT_ALERTS_H
#define VAULT_ALERTS_H

#include "vault/audit.h"
#include "vault/vault_internal.h"

#include <stddef.h>
#include <stdint.h>

#define VAULT_ALERTS_PLACES 8192

enum vault_alert { VAULT_ALERT_VOLUME, VAULT_ALERT_REFUSALS, VAULT_ALERT_HOURS, VAULT_ALERTS };
const char *vault_alert_name(enum vault_alert alert); /* "volume", "refusals", "hours" */

struct vault_alerts *vault_alerts_new(void); /* NULL when out of memory */
void vault_alerts_free(struct vault_alerts *alerts);

/* These entries are durable. An alert that cannot be written is logged, and comes again with the next that it is about. */
void vault_alerts_see(struct vault *vault, struct vault_audit_entry *const *entries, size_t count);
/* How many were raised since the vault was opened. */
uint64_t vault_alerts_raised(const struct vault_alerts *alerts, enum vault_alert alert);
/* Windows that are over: what came in them is told, and the next begins. */
KL_MUST_USE enum kl_status vault_alerts_task(struct vault *vault, int64_t now_us,
                                             struct kl_err *err);

#endif
