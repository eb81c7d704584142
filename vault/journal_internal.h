/* What the files of the journal share: rows, and what is held in memory. */
#ifndef VAULT_JOURNAL_INTERNAL_H
#define VAULT_JOURNAL_INTERNAL_H

#include "kluis/base/group.h"
#include "vault/journal.h"

#include <pthread.h>

#define VAULT_JOURNAL_TENANT_LISTS 256
#define VAULT_JOURNAL_HELD_LISTS 16384
#define VAULT_JOURNAL_KEY_BYTES (2 + 8 + 8)
/* A policy's row and what is around it; all else is far smaller. */
#define VAULT_JOURNAL_ROW_MAX_BYTES KMS_SIDE_VALUE_MAX_BYTES

/* One tenant's journal. from: the first number that was not pruned. last: the last that was written. since_us: see vault_journal_since(). */
struct vault_journal_tenant {
    uint64_t tenant;
    uint64_t from;
    uint64_t last;
    int64_t since_us;
    bool has_head;
    struct vault_journal_tenant *next;
};

/* A closing that is looked at whenever what it closed is read: of a subject by slot; of a credential by mac, where slot is 0. */
struct vault_journal_held {
    uint64_t tenant;
    uint64_t slot;
    uint64_t seq;
    unsigned char mac[KMS_MAC_BYTES];
    struct kl_id credential;
    int64_t at_us;
    bool opened;    /* of a subject: its kind is known by now */
    uint32_t moves; /* then: of a RESIDENCY its entries, else 0 */
    struct vault_journal_held *next;
};

struct vault_journal {
    struct vault *vault;
    struct kl_group *group;
    pthread_mutex_t lock; /* guards what follows */
    struct vault_journal_tenant *tenants[VAULT_JOURNAL_TENANT_LISTS];
    struct vault_journal_held *held[VAULT_JOURNAL_HELD_LISTS];
    struct vault_closing *under_way; /* written, and not yet in data/ */
};

/* The key of a closing; of the tenant's head row with size cut to VAULT_JOURNAL_KEY_BYTES - 8. */
void vault_journal_key(uint64_t tenant, uint64_t seq,
                       unsigned char ret_key[VAULT_JOURNAL_KEY_BYTES]);

/* The row that says from which number on closings may have rows. False: damaged. */
bool vault_journal_head_read(struct kl_slice row, uint64_t *ret_from);
KL_MUST_USE enum kl_status vault_journal_head_put(struct vault *vault, uint64_t tenant,
                                                  uint64_t from, struct kl_err *err);
/* Up to which number data/ has the closings; ret_there: whether it says so at all. KL_ERR_CORRUPT "mark_damaged". */
KL_MUST_USE enum kl_status vault_journal_known(struct vault *vault, uint64_t tenant,
                                               uint64_t *ret_known, bool *ret_there,
                                               struct kl_err *err);

/* The row of a closing under that number, appended to ret. KL_ERR_GONE, and others as kms_seal(). */
KL_MUST_USE enum kl_status vault_closing_encode(struct vault *vault,
                                                const struct vault_closing *closing, uint64_t seq,
                                                struct kl_buf *ret, struct kl_err *err);
/* What is in clear of a row. False: it is not one. */
bool vault_closing_peek(struct kl_slice row, int64_t *ret_at_us, uint64_t *ret_slot);
/*
 * Texts are the arena's, the body points into row. KL_ERR_GONE the subject is gone. KL_ERR_CORRUPT "closing_damaged". KL_ERR_REFUSED
 * "journal_newer" a kind this version does not know.
 */
KL_MUST_USE enum kl_status vault_closing_decode(struct vault *vault, uint64_t tenant, uint64_t seq,
                                                struct kl_slice row, struct kl_arena *arena,
                                                struct vault_closing *ret, struct kl_err *err);
/* What is sealed in a row, with the row's body; sets the members of ret that its kind has, also where it fails. Errors as of vault_closing_decode(). */
KL_MUST_USE enum kl_status vault_closing_plain_decode(struct kl_slice plain, struct kl_slice body,
                                                      struct kl_arena *arena,
                                                      struct vault_closing *ret,
                                                      struct kl_err *err);
/* Read and decode one; row is the caller's and is cleared first. KL_ERR_NOT_FOUND. */
KL_MUST_USE enum kl_status vault_closing_read(struct vault *vault, uint64_t tenant, uint64_t seq,
                                              struct kl_buf *row, struct kl_arena *arena,
                                              struct vault_closing *ret, struct kl_err *err);

/* Mark in a ledger what a closing closed; what is added is the arena's. ret_changed: there was anything. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_closing_mark(const struct vault_closing *closing,
                                              struct kl_arena *arena, struct vault_ledger *ledger,
                                              bool *ret_changed, struct kl_err *err);

/* Under the lock; NULL when out of memory. */
struct vault_journal_tenant *vault_journal_tenant(struct vault_journal *journal, uint64_t tenant);
/* Hold a closing in memory, if it is of a kind that is. Any thread. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_journal_hold(struct vault_journal *journal,
                                              const struct vault_closing *closing, uint64_t seq,
                                              struct kl_err *err);
/* Let go of all below a number. */
void vault_journal_let_go(struct vault_journal *journal, uint64_t tenant, uint64_t below);

#endif
