/*
 * What an entry of the audit trail can be about: all actions there are, each with what it does to a person whom its entry names. An entry
 * of any other action cannot be begun (vault_audit_begin()), so that whoever adds an action decides here what the report of a breach makes of it.
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
/* is_looking: nobody does anything by it but look at the trail, as its reviewer does. */
struct vault_audit_action {
    const char *name;
    enum vault_audit_effect effect;
    bool is_looking;
};

/* NULL: there is none of that name (now: the trail may hold entries of earlier versions). */
const struct vault_audit_action *vault_audit_action_find(const char *name);
/* All of them, by name. */
const struct vault_audit_action *vault_audit_actions(size_t *ret_count);

#endif
