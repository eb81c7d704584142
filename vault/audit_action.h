/*
 * What an entry of the audit trail can be about: all actions there are, each with what it does to a person whom its entry names. An entry
 * of any other action cannot be begun (vault_audit_begin()), so that whoever adds an action decides here what the report of a breach makes of it, and what a SIEM is told.
 * Threads: any.
 */
#ifndef VAULT_AUDIT_ACTION_H
#define VAULT_AUDIT_ACTION_H

#include <stdbool.h>
#include <stddef.h>

/* Of an entry that names a slot. */
enum vault_audit_effect {
    VAULT_AUDIT_SHOWS, /* something of that person was shown, or said: in a breach it was accessed */
    VAULT_AUDIT_CHANGES, /* what is kept about that person was changed, and nothing of it shown */
    VAULT_AUDIT_RUNS     /* the vault, its keys, its trail, its credentials: nothing of a person */
};
/* How much it matters to whoever watches a system, as one that was done: in OCSF severity_id 1 to 5, in CEF a severity of 0 to 10 (audit_forms.h). */
enum vault_audit_weight {
    VAULT_AUDIT_INFO = 1,
    VAULT_AUDIT_LOW,
    VAULT_AUDIT_MEDIUM,
    VAULT_AUDIT_HIGH,
    VAULT_AUDIT_CRITICAL
};
/*
 * Classes of OCSF 1.3.0 (schema.ocsf.io/1.3.0/classes) with their activities. Data of people: Datastore Activity; the vault, its keys, its trail, its policies and
 * credentials: API Activity. An erasure deletes; a rotation updates keys, a sweep deletes them.
 */
enum vault_ocsf_class { VAULT_OCSF_API = 6003, VAULT_OCSF_DATA = 6005 };
enum vault_ocsf_activity {
    VAULT_OCSF_API_CREATE = 1,
    VAULT_OCSF_API_READ = 2,
    VAULT_OCSF_API_UPDATE = 3,
    VAULT_OCSF_API_DELETE = 4,
    VAULT_OCSF_API_OTHER = 99,
    VAULT_OCSF_DATA_READ = 1,
    VAULT_OCSF_DATA_UPDATE = 2,
    VAULT_OCSF_DATA_QUERY = 4,
    VAULT_OCSF_DATA_WRITE = 5,
    VAULT_OCSF_DATA_CREATE = 6,
    VAULT_OCSF_DATA_DELETE = 7,
    VAULT_OCSF_DATA_LIST = 8
};
/* is_looking: nobody does anything by it but look at the trail, as its reviewer does. title: what it is called elsewhere, of ASCII without | and \. */
struct vault_audit_action {
    const char *name;
    enum vault_audit_effect effect;
    bool is_looking;
    const char *title;
    enum vault_audit_weight weight;
    enum vault_ocsf_class ocsf_class;
    enum vault_ocsf_activity ocsf_activity;
};

/* NULL: there is none of that name (now: the trail may hold entries of earlier versions). */
const struct vault_audit_action *vault_audit_action_find(const char *name);
/* All of them, by name. */
const struct vault_audit_action *vault_audit_actions(size_t *ret_count);

#endif
