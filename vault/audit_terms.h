/*
 * What the audit trail can be searched by: the terms of an entry, as it names them itself.
 *
 * An entry has the slot it is about, the credential, the action, the result, every purpose ("purpose", "purposes") and every field: those shown and those
 * withheld ("shown"), those changed or noted ("fields"), the one looked up or verified ("field"), each as TYPE.FIELD. As an entry names
 * nobody but by a slot number, so does a term.
 *
 * Threads: any.
 */
#ifndef VAULT_AUDIT_TERMS_H
#define VAULT_AUDIT_TERMS_H

#include "kluis/vault/policy.h"
#include "vault/audit_walk.h"

#include <stdbool.h>
#include <stdint.h>

/* In the order in which a search asks for them: what is rarest first. The numbers are in rows. */
enum vault_term_kind {
    VAULT_TERM_SLOT = 1,
    VAULT_TERM_CREDENTIAL = 2,
    VAULT_TERM_FIELD = 3,
    VAULT_TERM_PURPOSE = 4,
    VAULT_TERM_ACTION = 5,
    VAULT_TERM_RESULT = 6
};
#define VAULT_TERM_KINDS 6
#define VAULT_TERM_FIELD_MAX_BYTES (2 * VAULT_NAME_MAX_BYTES + 1)

/*
 * value: of a slot its number, of a text the first 8 bytes of BLAKE2b-128(kind1 text): two texts may have the same, so that an entry has to be asked itself
 * (vault_audit_has()). Not keyed: the texts are in the entries beside, in clear, and say nothing of a person.
 */
struct vault_term {
    enum vault_term_kind kind;
    uint64_t value;
};
struct vault_term vault_term_of_slot(uint64_t slot);
struct vault_term vault_term_of_text(enum vault_term_kind kind, const char *text);

/*
 * Each term of an entry; a term may come several times. text: NULL of a slot; else it lives for the call. Visiting ends when visit says false.
 */
typedef bool (*vault_term_visit)(void *visitor, enum vault_term_kind kind, uint64_t slot,
                                 const char *text);
void vault_audit_terms(const struct vault_audit_said *said, vault_term_visit visit, void *visitor);

/* Whether an entry has that very term. text NULL: the slot. */
bool vault_audit_has(const struct vault_audit_said *said, enum vault_term_kind kind, uint64_t slot,
                     const char *text);

#endif
