/*
 * What the files of vault/ share: an open vault and its tenants in memory.
 */
#ifndef VAULT_VAULT_INTERNAL_H
#define VAULT_VAULT_INTERNAL_H

#include "kluis/kms/kms.h"
#include "kluis/vault/admin.h"
#include "kluis/vault/subject.h"
#include "kluis/vault/vault.h"
#include "vault/audit.h"
#include "vault/commit.h"
#include "vault/index.h"
#include "vault/key_storage.h"
#include "vault/store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define VAULT_STAMP_FORMAT 1
#define VAULT_DEFAULT_TENANT "default"
#define VAULT_TENANTS_MAX 10000

/*
 * A tenant in memory. name, number, created never change; the policy does, under the lock of the tenants. ends_us: it was ended and is
 * closed, and its keys are shredded then; 0: it was not. ended_by: who did; set before ends_us, by the holder of the turn.
 */
struct vault_tenant {
    char name[VAULT_TENANT_NAME_MAX_BYTES + 1];
    uint64_t number;
    int64_t created_us;
    char grace[24];
    atomic_int_fast64_t ends_us;
    struct kl_id ended_by;
    struct vault_policy *policy; /* a counted reference; NULL: none */
    uint64_t policy_number;
    bool
        policy_broken; /* a policy is stored that this version does not compile: the tenant has none */
};

/* All tenants, read at open; guarded by lock, which is never held across the store. See tenants.h for the calls. */
struct vault_tenants {
    pthread_rwlock_t lock;
    struct vault_tenant **items; /* by number; a tenant's struct never moves */
    size_t count;
    struct vault_tenant **ended; /* whose keys are gone */
    size_t ended_count;
};

/* Changes of tenants, policies and credentials are made one at a time: whoever holds the turn may go to the disk, the lock is held only to take it. */
struct vault_turn {
    pthread_mutex_t lock;
    pthread_cond_t is_free;
    bool taken;
};

struct vault_counters {
    atomic_uint_fast64_t subjects_created, records_created, fields_read, fields_withheld,
        records_rectified, erasures, rotations, audit_entries, refused_unauthorised, retention_runs,
        retention_erased, retention_failed;
};

/* Long walks under way, and how many there may be; walks.h. */
struct vault_walks {
    atomic_uint under_way;
    unsigned max;
};
/* Open and overdue requests as they were last counted, which holds until then; 0: never. */
struct vault_requests_counted {
    atomic_llong until_us;
    atomic_ullong open;
    atomic_ullong overdue;
};

struct vault {
    char name[VAULT_STORE_NAME_MAX_BYTES + 1]; /* of the store */
    bool is_main;                              /* no store of another vault */
    bool
        is_open; /* set once, before others have it: what fails from then on ends the process (fail_stop.h) */
    struct vault_country country;
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct vault_store *keys_store;
    struct vault_store *data_store;
    struct kms_storage key_storage;
    struct kms *keys;
    struct vault_index_store *index;
    struct vault_trails *trails;
    struct vault_committer *committer;
    struct vault_tenants tenants;
    struct vault_turn turn;
    struct vault_turn
        ending; /* whoever ends a tenant: before the turn, which is given up meanwhile */
    struct vault_credentials *credentials; /* cache of credentials; credentials.h */
    struct vault_idempotency_guard
        *idempotency;                /* requests under way with an Idempotency-Key; idempotency.h */
    struct vault_journal *journal;   /* journal.h */
    struct vault_rekeying *rekeying; /* rekeying.h */
    struct vault_files *files;       /* files.h */
    struct vault_waiting *waiting;   /* what the erased give to statistics; waiting.h */
    struct vault_upkeep *upkeep;     /* upkeep.h; NULL while the vault is being made */
    bool accept_f0;                  /* as it was opened */
    bool argon2_light;               /* likewise */
    char *data_dir; /* absolute, without links; NULL while the vault is being opened */
    struct vault_backup_run *backup_run; /* a backup being made; the upkeep's thread's */
    struct vault_verify_run *verify_run; /* a backup being verified; the upkeep's thread's */
    bool notes_left; /* a key commit's notes could not be written; for the hooks of kms alone */
    uint32_t
        restores; /* how often the key store met an older data/; set by vault_erasure_recover(), read only after */
    struct vault_counters counters;
    struct vault_secrets *
        secrets; /* how many secrets are worked on at once; secret_hash.h. Of a store: its vault's */
    struct vault_limits *tries; /* secrets that did not match; subject_secret.h */
    atomic_uint breach_reports; /* how many are being made */
    struct vault_walks *walks;  /* long walks under way; walks.h. Of a store: its vault's */
    struct vault_walks own_walks;
    struct vault_requests_counted requests_counted; /* figures.c */
    struct vault_limits *volume;     /* subjects shown under grants with a volume; volume.h */
    atomic_uint diffs;               /* policies being compared on live data; policy_diff_live.c */
    struct vault_alerts *alerts;     /* how credentials are used; alerts.h */
    struct vault_webhooks *webhooks; /* webhook_internal.h */
    struct vault_space *space;       /* space.h; NULL while the vault is being made */
};

/* ---- helpers of every operation ---- */

/* who.* of an audit entry from a caller; the pointers live as long as the caller. */
struct vault_audit_who vault_caller_who(const struct vault_caller *caller, char location_text[3]);

/* Commit audit entries alone (reads, refused attempts). KL_ERR_UNAVAILABLE "audit_unavailable": no value may leave. */
KL_MUST_USE enum kl_status vault_audit_commit(struct vault *vault,
                                              struct vault_audit_entry *const *entries,
                                              size_t count, struct kl_err *err);

/* hooks of kms: erasures write their receipts here, rotations their end. Set at open by erasure.c. */
void vault_erasure_hooks_set(struct vault *vault);
/* At open: make audit entries and receipts of key commits whose notes were left by a crash; rebuild the index when data/ is older than keys/. */
KL_MUST_USE enum kl_status vault_erasure_recover(struct vault *vault, struct kl_err *err);
/* Build a tenant's index anew from its subjects. */
KL_MUST_USE enum kl_status vault_subject_index_rebuild(struct vault *vault, uint64_t tenant,
                                                       struct kl_err *err);
#define VAULT_META_UNICODE "unicode"
/* At open, after recovery: build the index anew when the Unicode version it was made with is not the one in use. */
KL_MUST_USE enum kl_status vault_unicode_mark_check(struct vault *vault, struct kl_err *err);
/* Whether any subject of the tenant has a record of that type (policy changes ask). */
KL_MUST_USE enum kl_status vault_subject_type_in_use(struct vault *vault, uint64_t tenant,
                                                     const char *type, bool *ret_in_use,
                                                     struct kl_err *err);
/*
 * A custodian that came over a network, and its passphrase (empty: none): a path in it is absolute, and a token's module is the machine's
 * administrator's. ret_kind: "file", "passphrase" or "pkcs11". KL_ERR_INVALID "invalid_custodian", "passphrase_length", "unexpected_passphrase",
 * "token_uri", "token_module_untrusted".
 */
KL_MUST_USE enum kl_status vault_custodian_check(const char *custodian, struct kl_slice passphrase,
                                                 char ret_kind[16], struct kl_err *err);
struct vault_idempotency_ticket;
/*
 * A root rotation through kms_commit with a note; the hooks write its audit entry, and remember it when the ticket's turn is held.
 */
KL_MUST_USE enum kl_status vault_rotation_commit(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct kl_id *rotation,
                                                 const struct vault_idempotency_ticket *ticket,
                                                 uint64_t *ret_generation, struct kl_err *err);

/*
 * Cursors: sealed, bound to tenant, credential and what is listed (kind); they carry up to 64 bytes of position. Text is base64url.
 */
KL_MUST_USE enum kl_status vault_cursor_seal(struct vault *vault, const struct vault_caller *caller,
                                             const char *kind, struct kl_slice position,
                                             char ret_cursor[VAULT_CURSOR_MAX_BYTES + 1],
                                             struct kl_err *err);
KL_MUST_USE enum kl_status vault_cursor_open(struct vault *vault, const struct vault_caller *caller,
                                             const char *kind, const char *cursor,
                                             struct kl_buf *ret_position, struct kl_err *err);
/* The same of a position that is one number, at most max. No cursor (NULL or empty) is the number 0. KL_ERR_INVALID "invalid_cursor". */
KL_MUST_USE enum kl_status vault_cursor_number_seal(struct vault *vault,
                                                    const struct vault_caller *caller,
                                                    const char *kind, uint64_t number,
                                                    char ret_cursor[VAULT_CURSOR_MAX_BYTES + 1],
                                                    struct kl_err *err);
KL_MUST_USE enum kl_status vault_cursor_number_open(struct vault *vault,
                                                    const struct vault_caller *caller,
                                                    const char *kind, const char *cursor,
                                                    uint64_t max, uint64_t *ret_number,
                                                    struct kl_err *err);

/*
 * Find a subject by id for a caller: its slot. KL_ERR_NOT_FOUND "not_found".
 */
KL_MUST_USE enum kl_status vault_subject_slot(struct vault *vault, uint64_t tenant,
                                              const struct kl_id *subject, uint64_t *ret_slot,
                                              struct kl_err *err);
/*
 * The other way round, for a credential bound to a subject: KL_ERR_NOT_FOUND "not_found" or KL_ERR_GONE when there is none any more.
 */
KL_MUST_USE enum kl_status vault_subject_id(struct vault *vault, uint64_t tenant, uint64_t slot,
                                            struct kl_id *ret_subject, struct kl_err *err);
#endif
