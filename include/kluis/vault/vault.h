/*
 * A vault: one data directory with its store, its keys, its tenants. This
 * header makes, opens and closes it, and says how it is.
 *
 *   DIR/stamp.json  store id, country, format: written once by init
 *   DIR/data/       records, sealed; index, audit trail, receipts (RocksDB)
 *   DIR/files/      chunks of files, sealed (vault/files.h)
 *   DIR/keys/       key pages, sealed under the root key (RocksDB)
 *
 * Threads: vault_init, vault_open and vault_close from one; all that takes a vault otherwise from any number at once.
 */
#ifndef KLUIS_VAULT_VAULT_H
#define KLUIS_VAULT_VAULT_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/residency.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vault;

/*
 * The exit status of a process whose vault could not write or sync what it had to: it ends itself, as nothing is known of the disk then (vault/fail_stop.h),
 * and is to be started again. EX_IOERR of sysexits(3).
 */
#define VAULT_EXIT_DISK 74

#define VAULT_STORE_NAME_MAX_BYTES 64 /* [a-z0-9][a-z0-9-]* */
#define VAULT_STORE_MAIN "main"

/*
 * data_dir        the data directory.
 * country         vault_init: the store's country, stamped for ever ("IE" or "aws:eu-west-1"). vault_open: what the configuration says; it must
 *                 agree with the stamp; NULL: take the stamp.
 * custodian       "file:PATH", "passphrase:PATH" (not inside data_dir), "pkcs11:URI" (see kluis/kms/custodian.h).
 * passphrase      for a passphrase custodian; the PIN of a token whose URI has no pin-source; NULL else. Read, not kept.
 * leftover_pin_file  vault_open: see kms/custodian.h; NULL else.
 * accept_f0       work although the old root slot may survive its overwriting (doctor says why).
 * mirrors         vault_init: mirrors of the keys, made with the vault: "DIR,country=IE", ended by NULL; NULL: none. vault_open: not
 *                 looked at, the key store knows its mirrors.
 * cache_bytes     block cache of the store; 0: 64 MiB.
 * reserve_bytes   vault_open: how much room of each file system of the data directory is kept for erasures (below); 0: none, and nobody is told. vault_doctor:
 *                 against what the room is held.
 * check_audit     vault_doctor: go over every entry of the audit trails, which takes as long as reading them.
 * walks_max       how many long walks (over a trail, over all people of a tenant) may be under way at once, in all stores; 0: VAULT_WALKS_MAX.
 * store, main     of one of several stores (kluis/vault/stores.h): its name, and the vault it belongs to, which outlives it; NULL, NULL: the
 *                 vault itself, whose store is called "main".
 */
#define VAULT_WALKS_MAX 32
struct vault_options {
    const char *data_dir;
    const char *country;
    const char *custodian;
    const char *passphrase;
    size_t passphrase_bytes;
    bool accept_f0;
    bool argon2_light;
    const char *leftover_pin_file;
    size_t cache_bytes;
    uint64_t reserve_bytes;
    bool check_audit;
    unsigned walks_max;
    const char *const *mirrors;
    const char *store;
    struct vault *main;
};

/* A secret token shown once: "kl_" and 43 characters of base64url, 0-terminated. Wipe it after use (sodium_memzero). */
#define VAULT_TOKEN_BYTES 48
struct vault_token {
    char text[VAULT_TOKEN_BYTES];
};

/*
 * Make a vault: the directory (0700; must be missing or empty), its databases, the root file, the tenant "default", and two credentials:
 * the operator's, and the steward's of "default".
 * KL_ERR_EXISTS "data_dir_not_empty", "root_file_exists"; KL_ERR_REFUSED "finality_f0"; KL_ERR_INVALID; KL_ERR_IO.
 */
KL_MUST_USE enum kl_status vault_init(const struct vault_options *options,
                                      struct vault_token *ret_operator,
                                      struct vault_token *ret_steward, struct kl_err *err);

/*
 * Open, recover what a crash left (key store, erasures whose receipts were not yet written), and, when data/ is older than keys/ (a
 * restored copy), rebuild the index.
 * KL_ERR_REFUSED "country_mismatch": the stamp says another country than the configuration. "root_key_generation", "root_file_other_store",
 * "finality_f0": see kms_open. KL_ERR_NOT_FOUND "no_vault". KL_ERR_BUSY another process has it open. KL_ERR_UNAUTHORISED "wrong_passphrase".
 */
KL_MUST_USE enum kl_status vault_open(const struct vault_options *options, struct vault **ret_vault,
                                      struct kl_err *err);
void vault_close(struct vault *vault); /* NULL is fine; nobody may be inside */

struct vault_country vault_store_country(const struct vault *vault);
const char *vault_store_name(const struct vault *vault); /* lives as long as the vault */

/* ---- who asks ---- */

#define VAULT_TENANT_NAME_MAX_BYTES 64 /* [a-z0-9][a-z0-9-]* */
#define VAULT_REQUEST_ID_MAX_BYTES 64  /* [A-Za-z0-9-]{1,64} */

enum vault_builtin {
    VAULT_BUILTIN_NONE,
    VAULT_BUILTIN_OPERATOR,
    VAULT_BUILTIN_STEWARD,
    VAULT_BUILTIN_AUDITOR
};

/*
 * Somebody who was let in, for one request: opened by vault_caller_open(), ended by vault_caller_done(). Holds a reference to the
 * tenant's policy of that moment, so a request sees one policy from its start to its end. closed_us: when the grace period of its tenant is over, of a
 * steward who was let in to take it along (tenant_export.h); 0: the tenant is open.
 */
struct vault_caller {
    uint64_t tenant; /* the tenant acted on; UINT64_MAX: none (an operator who named none) */
    char tenant_name[VAULT_TENANT_NAME_MAX_BYTES + 1];
    struct kl_id credential;
    enum vault_builtin builtin;
    char role_name[VAULT_NAME_MAX_BYTES + 1];
    struct vault_policy *policy; /* NULL: the tenant has none yet */
    uint64_t policy_number;      /* counts up with each apply; 0: none */
    int role; /* in policy; VAULT_NONE for built-in roles, or when the policy has no such role any more */
    uint64_t purposes;  /* bits of the policy the credential is made for; all ones: any */
    int single_purpose; /* the one purpose, when it is made for exactly one; VAULT_NONE else */
    struct vault_country location; /* declared by the operator; unset: none */
    int64_t closed_us;             /* see below */
    bool bound;                    /* to one subject */
    struct kl_id bound_subject;
    bool is_recipient; /* it is the policy's recipient of that number, and nobody else */
    int recipient;
    char request_id[VAULT_REQUEST_ID_MAX_BYTES + 1];
    int64_t now_us;
};

/*
 * How the caller proved who it is: a bearer token (0-terminated, any text), or the SHA-256 of a verified client certificate.
 * tenant_name: what ?tenant= said; NULL: none. Only an operator may name a tenant that is not the credential's own.
 * KL_ERR_UNAUTHORISED "unauthorised" for an unknown, expired or revoked one alike (the log text tells them apart).
 * KL_ERR_NOT_FOUND "unknown_tenant" (operators), KL_ERR_FORBIDDEN "tenant_forbidden"; "recipient_gone": made for a recipient that the policy in
 * force does not have; "tenant_closed": it was ended, and can still be brought
 * back. KL_ERR_INVALID "invalid_tenant".
 * request_id is copied. ret_caller untouched on failure.
 */
struct vault_proof {
    const char *token;
    const unsigned char *certificate_sha256; /* 32 bytes; NULL when there is none */
};
KL_MUST_USE enum kl_status vault_caller_open(struct vault *vault, const struct vault_proof *proof,
                                             const char *tenant_name, const char *request_id,
                                             struct vault_caller *ret_caller, struct kl_err *err);
void vault_caller_done(struct vault_caller *caller);

/* ---- how it is ---- */

/*
 * For /readyz (ready alone), GET /v1/keys and doctor. ready: requests can be answered.
 */
struct vault_readiness {
    bool ready;
    uint64_t key_generation;
    char finality[4];
    char reason[160];  /* why not ready; empty when ready */
    char warning[160]; /* ready, but not for everything; empty: for everything */
};
void vault_readiness(struct vault *vault, struct vault_readiness *ret_readiness);

/*
 * The room that the file systems of the data directory have. low: one has less than the reserve; it is over when all have a quarter more. Then only what
 * frees room, protects people or helps the operator is to be done. ballast_bytes: what lies in the data directory to be given up when the disk is
 * full all the same (vault/space.h).
 */
enum vault_space_place {
    VAULT_SPACE_DATA,
    VAULT_SPACE_KEYS,
    VAULT_SPACE_FILES,
    VAULT_SPACE_PLACES
};
struct vault_space_figures {
    uint64_t reserve_bytes;
    uint64_t ballast_bytes;
    bool low;
    struct {
        uint64_t free_bytes;
        bool low;
    } places[VAULT_SPACE_PLACES];
};
void vault_space_figures(struct vault *vault, struct vault_space_figures *ret);
const char *vault_space_place_name(enum vault_space_place place); /* "data", "keys", "files" */
/*
 * Whether something may be begun: KL_ERR_UNAVAILABLE "storage_low" while there is less room than the reserve. when_low: it is something that is done all the
 * same; the disk is looked at, so that there is room for it if that can be had. One atomic where the store is not low.
 */
KL_MUST_USE enum kl_status vault_space_check(struct vault *vault, bool when_low,
                                             struct kl_err *err);

/*
 * Figures for /metrics; counts since open. commits: what was written to data/ and waited for, commit_syncs: the syncs that they shared. retention_runs: those that came to their end, dry ones left out; retention_erased: records that they
 * erased, retention_failed: what they could not erase. retention_due, _overdue, _last_s: of the last run over the whole vault that came to its
 * end, whenever that was: records it found due, those that a run of the day before should have found, and when it ended; 0: there was none.
 * alerts: by kind; webhooks_waiting: events that are not delivered yet.
 */
struct vault_figures {
    uint64_t subjects_created, records_created, fields_read, fields_withheld, records_rectified,
        erasures, rotations, audit_entries, refused_unauthorised, key_generation, key_pages_cached,
        key_slots_cached, key_mirrors, key_mirrors_out_of_step, requests_open, requests_overdue,
        retention_runs, retention_erased, retention_failed, retention_due, retention_overdue,
        retention_last_s, alerts_volume, alerts_refusals, alerts_hours, webhooks_delivered,
        webhooks_failed, webhooks_dropped, webhooks_waiting, commits, commit_syncs;
};
void vault_figures(struct vault *vault, struct vault_figures *ret_figures);

/*
 * Look at a vault that may be closed (no server running) or opened elsewhere, and say what is wrong with it and what to do:
 * the stamp, the root file and its finality, core dumps, locked memory, permissions, free disk space, policies.
 * Appends JSON {"checks":[{"name","state":"ok|warning|failed","text","advice"}]} to ret. Opens the databases only when it can.
 */
KL_MUST_USE enum kl_status vault_doctor(const struct vault_options *options, struct kl_buf *ret,
                                        struct kl_err *err);

#endif
