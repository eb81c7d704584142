/*
 * An entry of the audit trail as a line for somebody else's system: its own text, CEF or OCSF.
 *
 * What a line says of a person is what the entry says: a slot number, never an id, never a value. What does not stand in the table of actions, as of an earlier
 * version, goes as API activity "other" of medium severity.
 *
 * Threads: any.
 */
#ifndef VAULT_AUDIT_FORMS_H
#define VAULT_AUDIT_FORMS_H

#include "kluis/vault/audit_export.h"
#include "vault/audit_action.h"
#include "vault/audit_walk.h"

/* said: of entry. tenant_name: whose trail it is; empty: the vault's own. */
struct vault_audit_line {
    uint64_t seq;
    struct kl_slice entry;
    const struct vault_audit_said *said;
    const char *tenant_name;
};

/* Appends the line with its \n; the caller looks at kl_buf_status(). */
void vault_audit_form_ndjson(const struct vault_audit_line *line, struct kl_buf *out);
/*
 * CEF:0 as in "Implementing ArcSight Common Event Format (CEF)", version 25 (Micro Focus, 2017), without a syslog prefix:
 *
 *   CEF:0|Kluis|Kluis|VERSION|ACTION|TITLE|SEVERITY|EXTENSION
 *
 * In the header | and \ stand behind a \; in values of the extension = and \ do, and a line feed or carriage return is written \n or \r; what is no
 * printing character else becomes a space. Severity: 1, 3, 5, 8, 10 for the weights; what was refused counts one weight more, and as medium at least.
 * Keys, all of the dictionary: rt, externalId (the entry's id), cat (the class of OCSF), act, outcome (success, failure), reason, suid (credential), spriv (role), cn1 the number in the trail,
 * cn2 the slot, cs1 purposes, cs2 fields, cs3 the request's id, cs4 the declared country, cs5 the tenant, cs6 the recipient. A value is at most VAULT_CEF_VALUE_MAX_BYTES: names that go
 * past it are left out, and "..." says so.
 */
#define VAULT_CEF_VALUE_MAX_BYTES 1023
void vault_audit_form_cef(const struct vault_audit_line *line, struct kl_buf *out);
/*
 * OCSF 1.3.0 (schema.ocsf.io/1.3.0): Datastore Activity (6005) or API Activity (6003), one JSON object. What has no place of its own there is in "unmapped" as the
 * entry has it.
 */
#define VAULT_OCSF_VERSION "1.3.0"
void vault_audit_form_ocsf(const struct vault_audit_line *line, struct kl_buf *out);

/* Of an action that the table does not have: what is taken instead; title is its own name. */
struct vault_audit_action vault_audit_action_of(const char *name);
/* The weight of an entry: that of its action, more when it was refused. */
enum vault_audit_weight vault_audit_weight_of(const struct vault_audit_action *action,
                                              bool refused);

#endif
