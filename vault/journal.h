/*
 * The journal of closings: what was closed must stay closed when an older
 * data/ is put back. It lies beside the keys (kms_side_*), outside of every
 * backup and in every mirror.
 *
 *   "VJ" tenant8        format 1, from u64: closings below that number were pruned
 *   "VJ" tenant8 seq8   format 1, time u64, slot u64, sized seal, body
 *
 * A closing about a subject is sealed under the subject's slot, at value VAULT_VALUE_CLOSINGS, and goes with the subject; what is about
 * nobody is sealed under the tenant's VAULT_SLOT_JOURNAL. The context of a seal has number and time. The body is a policy as it lies in
 * data/, in clear and with its own keyed hash, and empty for all else; the seal holds its hash.
 *
 * ORDER. A closing is in the journal, synced and in every mirror that answers, before data/ is written, and both before it is acknowledged.
 * Closings that wait at the same time share one write; their numbers are taken by the leader of the group with that write, so that there is
 * never a gap. Row 'M' "journal" of data/ says up to which number data/ has all closings. It is written by the leader of the data commit,
 * in the same batch as the closing itself, as the lowest number that is still on its way minus one: what is above may be in data/ or not.
 *
 * CRASH between the two: data/ says a lower number than the journal. At open such closings are applied, whether data/ lags behind by a
 * crash or is a copy from last month; applying twice changes nothing. A crash before the first: nothing happened. A closing whose data
 * commit was refused (the subject was erased meanwhile) becomes void: its row stays, and closes nothing.
 *
 * AGAIN. A consent that was given again after its withdrawal counts: a closing says how many entries the ledger had when it was made, and
 * closes none that came later, whatever times they carry (ledgers only grow; a copy of data/ that is older has fewer). In the same way a
 * ledger counts how often a purpose was objected to, and the subject restricted, and a closing says which of those it was.
 *
 * LOST. When data/ knows closings that the journal has not (its rows were lost, or are damaged), or the journal was pruned past what
 * data/ has, nobody can say what else was closed. Then a time is written beside the keys ("VS" tenant8): credentials made before it are
 * void, but for the operators', consents that were in a ledger before it count as withdrawn, and a residency tag that was set before it is taken
 * for EEA; it is said in the trail.
 *
 * A tag taken off again after it was set counts in the same way: the subject's base says how often it got stricter.
 *
 * ONE BY ONE. Who can write to data/ may put back single older rows. A ledger is read with the closings of its subject, a credential with
 * its revocation, for as long as the journal has them; which they are is held in memory.
 *
 * Threads: any, but for new, open and free.
 */
#ifndef VAULT_JOURNAL_H
#define VAULT_JOURNAL_H

#include "kluis/base/arena.h"
#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "vault/credentials.h"
#include "vault/manifest.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_JOURNAL_GROUP_MAX 256

enum vault_closing_kind {
    VAULT_CLOSING_VOID,        /* nothing was closed after all */
    VAULT_CLOSING_CONSENT,     /* withdrawn: purpose, recipient, entries */
    VAULT_CLOSING_CREDENTIAL,  /* revoked: mac, credential */
    VAULT_CLOSING_POLICY,      /* in force: policy, body */
    VAULT_CLOSING_OBJECTION,   /* purpose, entries, ground */
    VAULT_CLOSING_RESTRICTION, /* entries, ground */
    VAULT_CLOSING_RESIDENCY    /* the tag got stricter, for the how manieth time: entries */
};

/*
 * One closing. Filled by the caller up to the line, zeroed below it; texts and body are the caller's. Lives from write to end at one place.
 *
 * slot  the subject's, for CONSENT, OBJECTION, RESTRICTION and RESIDENCY.
 */
struct vault_closing {
    enum vault_closing_kind kind;
    uint64_t tenant;
    uint64_t slot;
    int64_t at_us;
    const char *purpose;
    const char *recipient; /* NULL: the controller */
    uint32_t entries;
    unsigned char ground; /* enum vault_objection_ground, enum vault_restriction_ground */
    unsigned char mac[KMS_MAC_BYTES];
    struct kl_id credential;
    uint64_t policy;
    struct kl_slice body;
    /* ---- the journal's ---- */
    uint64_t seq;   /* 0: not written yet */
    bool committed; /* its data commit was taken in */
    struct vault_journal *journal;
    struct vault_closing *next;
};

/* KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_journal_new(struct vault *vault, struct kl_err *err);
void vault_journal_free(struct vault_journal *journal); /* NULL is fine */

/*
 * Make a closing durable; closing->seq is set. Again for one that was written: the row is replaced (its data commit is tried again, and
 * something of it changed). KL_ERR_GONE the subject is gone; what kms_seal() and kms_side_apply() return.
 */
KL_MUST_USE enum kl_status vault_journal_write(struct vault *vault, struct vault_closing *closing,
                                               struct kl_err *err);
/* vault_commit.inside of the data commit that makes a closing, which is its context. */
KL_MUST_USE enum kl_status vault_journal_inside(void *closing, struct vault_batch *batch,
                                                struct kl_err *err);
/* Always, after the last attempt, also when there was none: a closing that was written and is not in data/ becomes void. */
void vault_journal_end(struct vault *vault, struct vault_closing *closing);

/* ---- what is closed ---- */

/*
 * Mark in a ledger that was just read what the journal says was withdrawn, objected to or restricted; what is added is the arena's.
 * ret_changed: there was such. Errors as kms_unseal().
 */
KL_MUST_USE enum kl_status vault_journal_ledger(struct vault *vault, uint64_t tenant, uint64_t slot,
                                                struct kl_arena *arena, struct vault_ledger *ledger,
                                                bool *ret_changed, struct kl_err *err);
/* Whether the journal holds a closing about that subject: then its ledger must be read, whatever data/ says of it. */
bool vault_journal_holds(struct vault *vault, uint64_t tenant, uint64_t slot);
/* Make the residency tag of a base that was just read as strict as the journal says. Errors as kms_unseal(). */
KL_MUST_USE enum kl_status vault_journal_base(struct vault *vault, uint64_t tenant, uint64_t slot,
                                              struct vault_manifest_base *base, struct kl_err *err);
/* The time that a lost journal of this tenant voids everything before; 0: none. */
int64_t vault_journal_since(struct vault *vault, uint64_t tenant);
/* Mark a credential that was just read as revoked, if the journal says so. */
void vault_journal_credential(struct vault *vault, struct vault_credential *credential);

/* ---- at open, and later ---- */

/*
 * After vault_erasure_recover(): read what the journal has, and apply what data/ does not (journal_apply.c). KL_ERR_REFUSED
 * "journal_newer": a closing of a kind that this version does not know. KL_ERR_IO, KL_ERR_NO_MEMORY, KL_ERR_UNAVAILABLE.
 */
KL_MUST_USE enum kl_status vault_journal_open(struct vault *vault, struct kl_err *err);
/* Remove closings that are older than keep_us and that data/ has. One at a time. KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_journal_prune(struct vault *vault, int64_t now_us, int64_t keep_us,
                                               struct kl_err *err);
struct vault_upkeep_task;
extern const struct vault_upkeep_task
    vault_journal_task; /* prunes, as upkeep was started with backup_keep_us */
extern const struct vault_upkeep_task
    vault_trail_task; /* writes the trails' heads beside the keys */

#endif
