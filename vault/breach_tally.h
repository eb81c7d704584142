/*
 * What credentials did, added up from their entries of the trail: kinds of
 * access (which field, in which view, for which purpose, to whom), changes,
 * what was withheld and refused, from where, over which transfers, which credentials they
 * made, which of them did how much; and each person, by slot, with what was done to them.
 *
 * Memory is bounded: an entry is added only where whatever it may say has room (vault_breach_has_room()); else the piece ends before
 * it, and what was added up is exact for the piece.
 *
 * Threads: one.
 */
#ifndef VAULT_BREACH_TALLY_H
#define VAULT_BREACH_TALLY_H

#include "kluis/vault/breach.h"
#include "vault/audit_walk.h"
#include "vault/word_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_BREACH_ROWS_MAX 4096
/* Of a piece and of a whole; records are counted up to as many for each person on average. */
#define VAULT_BREACH_RECORDS_PER_PERSON 8
#define VAULT_BREACH_RECORDS_MIN 65536
#define VAULT_BREACH_POLICIES_MAX 16
#define VAULT_BREACH_WORDS_BYTES ((size_t)16 * 1024 * 1024)

/*
 * What a row tells of, and its words ("" where an entry says none):
 *
 *   ACCESSED     action, type.field, view, purpose, recipient: what was shown. view of a lookup is "found", of a secret that matched "matched".
 *                Without a field: what lies beside the records (consents, requests, ...), as the action says.
 *   CHANGED      action, type.field, what was done to it, purpose, recipient
 *   WITHHELD     action, type.field, gate, purpose, recipient: of a read that was let in
 *   REFUSED      action, reason, purpose: not let in at all; and secrets that did not match
 *   ACT          action: what is about no person
 *   PLACE        the credential's declared location
 *   TRANSFER     a line of the policy that something left the EEA by
 *   MADE         a credential that one of them made: id, role, location, when it expires, for which recipient
 *   BY           the credential: id, role
 */
enum vault_breach_class {
    VAULT_BREACH_ACCESSED,
    VAULT_BREACH_CHANGED,
    VAULT_BREACH_WITHHELD,
    VAULT_BREACH_REFUSED,
    VAULT_BREACH_ACT,
    VAULT_BREACH_PLACE,
    VAULT_BREACH_TRANSFER,
    VAULT_BREACH_MADE,
    VAULT_BREACH_BY,
    VAULT_BREACH_CLASSES
};
/* times: in how many entries. people: of how many persons; who: bits of their numbers, NULL in classes that tell of nobody (vault_breach_tells()). */
struct vault_breach_row {
    enum vault_breach_class class;
    const char *words[VAULT_WORDS];
    uint64_t last_seq; /* of the entry that it was counted for last, plus 1 */
    uint64_t times;
    size_t people;
    uint64_t *who;
    int64_t first_us;
    int64_t last_us;
};
/* records: the index of the last one in the tally's records, plus 1. */
struct vault_breach_person {
    uint64_t slot;
    uint32_t records;
    uint64_t times;
    int64_t first_us;
    int64_t last_us;
};
/* A record by its value slot; before: the person's one before it, plus 1. */
struct vault_breach_record {
    uint64_t value;
    uint32_t person;
    uint32_t before;
};
struct vault_breach_tally;

/* people_max: 1..VAULT_BREACH_PEOPLE_MAX. NULL when out of memory. */
struct vault_breach_tally *vault_breach_tally_new(size_t people_max);
void vault_breach_tally_free(struct vault_breach_tally *tally); /* NULL is fine */

/* Whether whatever an entry of that slot (-1: none) and policy may say has room. True for any entry while the tally is empty. */
bool vault_breach_has_room(const struct vault_breach_tally *tally, int64_t slot, int64_t policy);
/* Add an entry of the credential. There is room for it. KL_ERR_NO_MEMORY; KL_ERR_CORRUPT "audit_damaged": the tally is not to be used. */
KL_MUST_USE enum kl_status vault_breach_add(struct vault_breach_tally *tally, uint64_t seq,
                                            const struct vault_audit_said *said,
                                            struct kl_err *err);

/* What came of it. Pointers live until the next add. */
const struct vault_breach_row *vault_breach_rows(const struct vault_breach_tally *tally,
                                                 size_t *ret_count);
const struct vault_breach_person *vault_breach_people(const struct vault_breach_tally *tally,
                                                      size_t *ret_count);
const struct vault_breach_record *vault_breach_records(const struct vault_breach_tally *tally,
                                                       size_t *ret_count);
/* Numbers of the policies that its entries were decided by. */
const uint64_t *vault_breach_policies(const struct vault_breach_tally *tally, size_t *ret_count);
/* Whether rows of the class tell of people: accessed, changed, transfers, and who did it. */
bool vault_breach_tells(enum vault_breach_class class);
/* Whether the row tells of the person of that number. */
static inline bool vault_breach_person_has(const struct vault_breach_row *row, size_t person)
{
    return row->who != NULL && ((row->who[person / 64] >> (person % 64)) & 1) != 0;
}
/* How many people there are of whom some row tells that counts; asked only about rows that tell of people. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_breach_count(const struct vault_breach_tally *tally,
                                              bool (*counts)(const struct vault_breach_row *row,
                                                             const void *context),
                                              const void *context, size_t *ret_people,
                                              struct kl_err *err);

#endif
