/*
 * What operators and stewards do: tenants, policies, credentials, keys, and
 * reading the audit trail. Each is itself audited, also when it is refused.
 *
 * Errors of every call, besides those named there: KL_ERR_FORBIDDEN "role_forbidden" (the caller is none of those named). KL_ERR_UNAVAILABLE
 * "audit_unavailable": nothing was shown or changed. KL_ERR_CORRUPT, KL_ERR_IO: what is stored cannot be read. KL_ERR_NO_MEMORY;
 * KL_ERR_TOO_LARGE the arena or the buffer for the answer is full. Results are untouched on failure; a buffer is appended to.
 *
 * Threads: any number in every call; a caller, its arena and its results belong to one at a time.
 */
#ifndef KLUIS_VAULT_ADMIN_H
#define KLUIS_VAULT_ADMIN_H

#include "kluis/base/arena.h"
#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "kluis/base/time.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/subject.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- tenants (operator) ---- */

struct vault_tenant_result {
    char name[VAULT_TENANT_NAME_MAX_BYTES + 1];
    char store[VAULT_STORE_NAME_MAX_BYTES + 1]; /* in which its data lies */
    struct vault_country country;
    char grace[24]; /* ISO 8601; empty: none */
    int64_t created_us;
    int64_t ends_us; /* it was ended, is closed, and is shredded then; 0: it was not */
    char policy_name[VAULT_NAME_MAX_BYTES + 1]; /* empty: none yet */
    char policy_version[VAULT_NAME_MAX_BYTES + 1];
};
/* Make a tenant in this store, or change its grace period; of several: vault_stores_tenant_put(). store NULL, or its name. KL_ERR_INVALID "invalid_tenant", "unknown_store"; KL_ERR_FORBIDDEN. ret_created: it is new. */
KL_MUST_USE enum kl_status vault_tenant_put(struct vault *vault, const struct vault_caller *caller,
                                            const char *name, const char *store, const char *grace,
                                            bool *ret_created, struct kl_err *err);
/* An operator, or the tenant's own steward or auditor. KL_ERR_NOT_FOUND. */
KL_MUST_USE enum kl_status vault_tenant_read(struct vault *vault, const struct vault_caller *caller,
                                             const char *name, struct vault_tenant_result *ret,
                                             struct kl_err *err);
/* All tenants by name, for an operator. */
KL_MUST_USE enum kl_status vault_tenant_list(struct vault *vault, const struct vault_caller *caller,
                                             struct kl_arena *arena,
                                             struct vault_tenant_result **ret, size_t *ret_count,
                                             struct kl_err *err);

/*
 * End a tenant. Without a grace period its keys are shredded when this returns, in one commit whatever its size, and ret_receipt has the
 * receipt, signed by the vault: *ret_ends_us is 0. With one it is closed: its credentials are refused (KL_ERR_FORBIDDEN "tenant_closed") until
 * it is brought back or the time has come (*ret_ends_us), and nothing is appended. Closed already: the same again.
 * KL_ERR_NOT_FOUND "not_found"; KL_ERR_FORBIDDEN; KL_ERR_BUSY "tenant_changed": brought back, or given a grace period, while its people were counted for
 * statistics; of the shred as kms_commit(): KL_ERR_UNAVAILABLE "mirror_unreachable". An error after the
 * old root key was destroyed: the tenant is gone, its receipt follows at the next open.
 */
KL_MUST_USE enum kl_status vault_tenant_end(struct vault *vault, const struct vault_caller *caller,
                                            const char *name, struct kl_buf *ret_receipt,
                                            int64_t *ret_ends_us, struct kl_err *err);
/*
 * End a tenant whose grace period is running, at once: where its controller asks for it earlier. Its keys are shredded when this returns. KL_ERR_CONFLICT
 * "tenant_open": it was not ended; others as vault_tenant_end().
 */
KL_MUST_USE enum kl_status vault_tenant_end_early(struct vault *vault,
                                                  const struct vault_caller *caller,
                                                  const char *name, struct kl_buf *ret_receipt,
                                                  struct kl_err *err);
/* Bring a closed tenant back. KL_ERR_NOT_FOUND "not_found"; KL_ERR_CONFLICT "tenant_open"; KL_ERR_FORBIDDEN. */
KL_MUST_USE enum kl_status vault_tenant_restore(struct vault *vault,
                                                const struct vault_caller *caller, const char *name,
                                                struct kl_err *err);

/* ---- policy (steward) ---- */

/* The policy text in force, as it was applied. KL_ERR_NOT_FOUND "no_policy". Stewards, auditors. */
KL_MUST_USE enum kl_status vault_policy_read(struct vault *vault, const struct vault_caller *caller,
                                             struct kl_buf *ret_yaml, uint64_t *ret_number,
                                             struct kl_err *err);
/*
 * Check and put in force, atomically. KL_ERR_INVALID "invalid_policy" (see ret_findings); KL_ERR_CONFLICT "policy_in_use" when a
 * record type or field that subjects may have is gone or changes its type or index (text says which); "mirror_residency": a mirror lies
 * outside of the EEA, where this policy does not let everything go; "store_residency": so does the tenant's store, and the policy's residency is EEA.
 */
KL_MUST_USE enum kl_status vault_policy_apply(struct vault *vault,
                                              const struct vault_caller *caller, const void *yaml,
                                              size_t yaml_bytes,
                                              struct vault_findings *ret_findings,
                                              uint64_t *ret_number, struct kl_err *err);
/*
 * Each gate's answer. role: NULL: the caller's. Stewards, or a caller about its own role. subject NULL: without facts of anybody.
 * fields: "type.field", "type.*", "*"; none: all. KL_ERR_INVALID "role_required" (stewards), "unknown_role", "unknown_action",
 * "purpose_required", "unknown_purpose", "unknown_recipient", "unknown_field", "invalid_country", "unknown_region", "subject_here_and_now" (a subject with from or at_us,
 * of who is no steward); KL_ERR_NOT_FOUND
 * "not_found" (subject); KL_ERR_REFUSED "no_policy"; KL_ERR_FORBIDDEN "role_forbidden".
 */
struct vault_explain_input {
    const char *role;
    const char *purpose;
    const char *action; /* NULL: "read" */
    const char *from;   /* country; NULL: none */
    const char *recipient;
    enum vault_ground ground;
    int64_t at_us; /* as if it were then, with what is known of the subject now; 0: now */
    const struct kl_id *subject;
    const char *const *fields;
    size_t field_count;
};
/*
 * One edit of the policy's text: remove, which stands at byte offset, gives way to insert. Edits are made one after the other; each place is
 * in the text as those before left it, and line and column (from 1) are of what is inserted, or else removed.
 *
 * what    "grant", "purpose", "condition", "ground", "retain", "transfer", "role"
 * where   "/roles/website", a JSON pointer into the policy
 * choose  "basis", "ground", "mechanism" or "scope": a word in insert that is only an example, as people alone know which is true; NULL: none
 */
struct vault_explain_edit {
    const char *what;
    const char *where;
    unsigned line;
    unsigned column;
    size_t offset;
    const char *remove;
    const char *insert;
    const char *choose;
};
/*
 * Edits that together alter the answer, each needed. What else they change, the answer asked for left out: answers newly allowed and
 * withheld, as kluis/vault/policy_diff.h counts them. tests_failed: of the policy's own tests, that would have to change too.
 */
struct vault_explain_change {
    const struct vault_explain_edit *edits;
    size_t edit_count;
    uint64_t also_allows;
    uint64_t also_withholds;
    size_t tests_failed;
};
/* code: "purpose_named", "consent_given", "objection_ended", "restriction_lifted". detail: for people, names of the policy only. */
struct vault_explain_need {
    const char *code;
    const char *detail;
};
#define VAULT_EXPLAIN_CHANGES_MAX 3
#define VAULT_EXPLAIN_NEEDS_MAX 4
/*
 * changes        the shortest that alter the answer, the fewest edits first, then those that change the fewest others; with all
 *                of must_happen, where there is any. For stewards
 * must_happen    what no change of the policy can do instead, for a field that is withheld; for stewards
 * searched       false: changes were not looked for (to the end), as this is no steward or the request's maxima were spent
 */
struct vault_explain_result {
    const char *field; /* "type.field" */
    struct vault_decision decision;
    bool passes[VAULT_GATES];
    unsigned
        unmet; /* VAULT_UNMET_* bits: conditions because of which a grant does not count; 0 when the role passes */
    bool searched;
    struct vault_explain_change changes[VAULT_EXPLAIN_CHANGES_MAX];
    size_t change_count;
    struct vault_explain_need must_happen[VAULT_EXPLAIN_NEEDS_MAX];
    size_t must_happen_count;
};
KL_MUST_USE enum kl_status vault_explain(struct vault *vault, const struct vault_caller *caller,
                                         const struct vault_explain_input *input,
                                         struct kl_arena *arena, struct vault_explain_result **ret,
                                         size_t *ret_count, struct kl_err *err);

/* ---- credentials ---- */

#define VAULT_CREDENTIAL_LIFE_MAX_DAYS 3660
#define VAULT_CREDENTIAL_REASON_MAX_BYTES 500
struct vault_credential_input {
    const char *role; /* of the policy, or "steward", "auditor"; "operator" by an operator only */
    const char *const *purposes; /* NULL: any that the role has */
    size_t purpose_count;
    const char *location;        /* country or region; NULL: none */
    const char *recipient;       /* of the policy: it reads as that one alone; NULL: none */
    const struct kl_id *subject; /* bound to this subject; NULL: none */
    const char *expires_in;      /* ISO 8601; required, at most VAULT_CREDENTIAL_LIFE_MAX_DAYS */
    const char *
        certificate_sha256; /* 64 hex digits: a client certificate instead of a token; NULL: a token */
    const char *
        reason; /* why it is made, for reviews of the trail: at most VAULT_CREDENTIAL_REASON_MAX_BYTES; NULL: not said */
};
struct vault_credential_result {
    struct kl_id id;
    char role[VAULT_NAME_MAX_BYTES + 1];
    const char *const *purposes; /* NULL: any */
    size_t purpose_count;
    struct vault_country location;
    char recipient[VAULT_NAME_MAX_BYTES + 1]; /* empty: none */
    bool bound;
    int64_t created_us;
    int64_t expires_us;
    int64_t revoked_us; /* 0: not */
    bool has_certificate;
    struct kl_id created_by;
    const char *reason; /* NULL: none */
};
/*
 * An operator can only make a tenant's first steward (and operators); a steward makes the policy's roles, stewards and auditors, never for
 * itself to read. A first steward: the tenant never had one, whatever became of that (vault_steward_recover() makes another). ret_token is empty for a certificate credential.
 * ret->purposes and ret->reason are the input's. A reason lies under the tenant's keys and is never in the trail. With an idempotency key used before: KL_ERR_CONFLICT "token_already_shown"; other errors
 * of it as vault_subject_create().
 * KL_ERR_INVALID "unknown_role", "unknown_purpose", "forbidden_purpose", "unknown_recipient", "recipient_and_subject", "not_for_built_in_role", "invalid_duration", "invalid_country", "unknown_region",
 * "invalid_certificate", "tenant_required" (an operator's first steward), "invalid_value" and "names_subject" (reason); KL_ERR_TOO_LARGE "value_too_large" (reason). KL_ERR_CONFLICT "certificate_in_use". KL_ERR_NOT_FOUND
 * "not_found" (subject). KL_ERR_FORBIDDEN "role_forbidden".
 */
KL_MUST_USE enum kl_status vault_credential_create(
    struct vault *vault, const struct vault_caller *caller,
    const struct vault_credential_input *input, const struct vault_idempotency *idempotency,
    struct vault_token *ret_token, struct vault_credential_result *ret, struct kl_err *err);
/* The members of a credential as JSON, into an object that is open: "id", "role", "purposes", ... "created_by", "reason". */
void vault_credential_write(struct kl_json_out *out,
                            const struct vault_credential_result *credential);
/*
 * Make a steward of a tenant that has lost its own, at the machine, while no server runs: whoever has the custodian of the root key may. It is in
 * the tenant's trail and the vault's, "steward_recovered"; other stewards stay as they are. ret_token is set on KL_OK.
 * KL_ERR_INVALID "invalid_tenant". KL_ERR_NOT_FOUND "unknown_tenant". What vault_open() returns (KL_ERR_BUSY "store_in_use": a server has it).
 */
KL_MUST_USE enum kl_status vault_steward_recover(const struct vault_options *options,
                                                 const char *tenant, struct vault_token *ret_token,
                                                 struct kl_err *err);
/* An operator's: the operators; a steward's: its tenant's, revoked and expired ones too, in no meaningful order. KL_ERR_INVALID "invalid_limit", "invalid_cursor". */
KL_MUST_USE enum kl_status vault_credential_list(struct vault *vault,
                                                 const struct vault_caller *caller, size_t limit,
                                                 const char *cursor, struct kl_arena *arena,
                                                 struct vault_credential_result **ret,
                                                 size_t *ret_count, char *ret_cursor,
                                                 struct kl_err *err);
/* Refused from the next request on. Of those that list shows. KL_ERR_NOT_FOUND "not_found". Revoked already: nothing changes. */
KL_MUST_USE enum kl_status vault_credential_revoke(struct vault *vault,
                                                   const struct vault_caller *caller,
                                                   const struct kl_id *credential,
                                                   struct kl_err *err);

/* ---- keys (operator) ---- */

#define VAULT_ROTATION_PREFIX "rot" /* ids of rotations */

/* Appends {"generation","root_key_since","custodian","finality","old_root_destroyed","store_id","public_key":...,"horizon","sweep":{...}} as JSON. Operators, auditors, stewards. */
KL_MUST_USE enum kl_status vault_keys_state(struct vault *vault, const struct vault_caller *caller,
                                            struct kl_buf *ret, struct kl_err *err);
/*
 * Rotate keys. level "root": the root key alone, done when this returns. "tenant" (of the tenant that caller names): fresh keys for all of its pages;
 * "all": for all pages of the store, and no seed stays above a subject; "values" (of the tenant that caller names): the data is sealed
 * anew, the answer to a leak; backups of before it do not open after it, so it needs one that was verified in the last day, or without_backup;
 * its result has "subjects", "left" (of whom something did not open before: they stay as they are) and "older_backups_open": false; "audit": the key that signs
 * the trail's heads (of the tenant that caller names, or the vault's own); its result has "number" and "public_key" of the one in use then. These are
 * jobs that upkeep does, at most pages_per_second (0: as fast as it goes; up to VAULT_ROTATION_RATE_MAX), and that go on after a crash.
 * ret: the job as JSON {"id","level","state":"running|done|failed","started_at","ended_at","progress","from_generation","to_generation","old_key_out_of_use",
 * of a job also "pages", "pages_done" while it runs, "tenant", "pages_per_second", "failed_code"}. old_key_out_of_use: every page of the level
 * lies under a fresh key and the root key of the beginning is destroyed, in every mirror too.
 * With an idempotency key that a rotation was asked with before: that job, and *ret_replayed (may be NULL) is true. Of the level root only
 * one that was done is remembered. KL_ERR_INVALID "level_not_supported", "invalid_rate", "tenant_required", "idempotency_key_reused",
 * "invalid_idempotency_key". KL_ERR_CONFLICT "backup_needed". KL_ERR_BUSY "jobs_waiting".
 */
#define VAULT_ROTATION_RATE_MAX 1000000
KL_MUST_USE enum kl_status vault_keys_rotate(struct vault *vault, const struct vault_caller *caller,
                                             const char *level, uint32_t pages_per_second,
                                             bool without_backup,
                                             const struct vault_idempotency *idempotency,
                                             struct kl_buf *ret, bool *ret_replayed,
                                             struct kl_err *err);
/* A rotation as it is now. KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_keys_rotation(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct kl_id *rotation, struct kl_buf *ret,
                                               struct kl_err *err);
/* The newest VAULT_ROTATION_LIST_MAX, newest first, as a JSON array. */
#define VAULT_ROTATION_LIST_MAX 100
KL_MUST_USE enum kl_status vault_keys_rotations(struct vault *vault,
                                                const struct vault_caller *caller,
                                                struct kl_buf *ret, struct kl_err *err);

/* ---- mirrors of the keys (operator) ---- */

#define VAULT_MIRROR_PREFIX "mir" /* ids of mirrors */
#define VAULT_MIRRORS_MAX 8
#define VAULT_MIRROR_DIRECTORY_MAX_BYTES 1024
/* country: two letters. finality: of its root slots, "F0".."F3"; empty where a token keeps the root key, or nobody could look. */
struct vault_mirror_result {
    struct kl_id id;
    char directory[VAULT_MIRROR_DIRECTORY_MAX_BYTES + 1];
    char country[65];
    bool in_step;
    int64_t since_us;
    uint64_t generation; /* the last that it confirmed */
    char reason[160];    /* why it is out of step */
    char finality[4];
};
/*
 * "DIR,country=IE" taken apart: ret_directory has room for VAULT_MIRROR_DIRECTORY_MAX_BYTES + 1, ret_country is where in text. KL_ERR_INVALID
 * "invalid_mirror".
 */
KL_MUST_USE enum kl_status vault_mirror_parse(const char *text, char *ret_directory,
                                              const char **ret_country, struct kl_err *err);
/* ret has room for VAULT_MIRRORS_MAX. caller NULL, here and below: whoever works at the machine. */
KL_MUST_USE enum kl_status vault_mirror_list(struct vault *vault, const struct vault_caller *caller,
                                             struct vault_mirror_result ret[VAULT_MIRRORS_MAX],
                                             size_t *ret_count, struct kl_err *err);
/*
 * Make a mirror in an empty or missing folder of that country; when this returns it is in step. The country is checked like that of the store:
 * KL_ERR_FORBIDDEN "residency". KL_ERR_INVALID "mirror_dir", "invalid_country", "unknown_region"; KL_ERR_EXISTS "mirror_exists";
 * KL_ERR_TOO_LARGE "mirrors_too_many"; KL_ERR_REFUSED "finality_f0"; KL_ERR_CONFLICT "mirror_dir_unsafe", "root_file_foreign" (kluis/kms/kms.h); KL_ERR_INVALID "mirror_io" the folder
 * cannot be used.
 */
KL_MUST_USE enum kl_status vault_mirror_add(struct vault *vault, const struct vault_caller *caller,
                                            const char *directory, const char *country,
                                            struct vault_mirror_result *ret, struct kl_err *err);
/*
 * Take a mirror out. One that answers has its root slots overwritten (*ret_destroyed). One that does not is only forgotten when declared: an operator
 * answers for its destruction, and the trail says so; else KL_ERR_CONFLICT "mirror_not_destroyed". KL_ERR_NOT_FOUND "not_found".
 */
KL_MUST_USE enum kl_status vault_mirror_drop(struct vault *vault, const struct vault_caller *caller,
                                             const struct kl_id *mirror, bool declared,
                                             bool *ret_destroyed, struct kl_err *err);

/* ---- the custodian of the root key (operator) ---- */

/* custodian: "file:/PATH", "passphrase:/PATH", "pkcs11:URI". passphrase: the new one, or a token's PIN; empty: none. country: where it lies, as of a mirror. Read, not kept. */
struct vault_custodian_input {
    const char *custodian;
    const char *country;
    struct kl_slice passphrase;
};
/* kind: "file", "passphrase", "pkcs11". generation: of the root key that came into use. */
struct vault_custodian_result {
    char kind[16];
    uint64_t generation;
    char finality[4];
};
/*
 * The root key goes to another custodian, or under another passphrase, while the vault works; it is a new root key, and nothing that was before
 * opens anything when this returns. The configuration must name the new custodian before the next start. The trail has it before it is done
 * ("custodian_change_asked", with the custodian's text, never a PIN), when it is done ("custodian_change") and when it failed ("custodian_change_failed").
 * KL_ERR_INVALID "invalid_custodian", "passphrase_length", "unexpected_passphrase", "token_module_untrusted" (kms/custodian.h), those of a custodian's text; KL_ERR_EXISTS
 * "root_file_exists"; KL_ERR_REFUSED "finality_f0"; KL_ERR_UNAVAILABLE "mirror_unreachable", "audit_unavailable"; KL_ERR_BUSY "custodian_changing";
 * KL_ERR_INVALID "invalid_country"; KL_ERR_FORBIDDEN "residency" the country is not one to which every policy lets everything go.
 */
KL_MUST_USE enum kl_status vault_custodian_change(struct vault *vault,
                                                  const struct vault_caller *caller,
                                                  const struct vault_custodian_input *input,
                                                  struct vault_custodian_result *ret,
                                                  struct kl_err *err);

/* ---- sweeps (operator, or a steward of its own tenant) ---- */

#define VAULT_SWEEP_PREFIX "swp" /* ids of sweeps */
#define VAULT_SWEEP_RATE_MAX 1000000
/* changes_per_second: how many keys go in a second at most, 1..VAULT_SWEEP_RATE_MAX; 0: as fast as it goes, as for a steward always. */
struct vault_sweep_input {
    int64_t changes_per_second;
};
/*
 * Begin to sweep by hand: what was overwritten until now, in the caller's tenant, or (an operator who names none) in all. ret: the job as JSON
 * {"id","state":"running|done|failed","started_at","ended_at","progress","failed_code"?,"tenant","nightly","values","buckets","answers",
 * "indexes","subjects","damaged"}. KL_ERR_INVALID "invalid_rate", "invalid_idempotency_key", "idempotency_key_reused"; KL_ERR_BUSY "jobs_waiting".
 */
KL_MUST_USE enum kl_status vault_sweep_start(struct vault *vault, const struct vault_caller *caller,
                                             const struct vault_sweep_input *input,
                                             const struct vault_idempotency *idempotency,
                                             struct kl_buf *ret, bool *ret_replayed,
                                             struct kl_err *err);
/* One, and the newest first, at most limit and 100, as a JSON array: an operator's all, others' of their tenant; auditors too. KL_ERR_NOT_FOUND "not_found"; KL_ERR_INVALID "invalid_limit". */
KL_MUST_USE enum kl_status vault_sweep_show(struct vault *vault, const struct vault_caller *caller,
                                            const struct kl_id *sweep, struct kl_buf *ret,
                                            struct kl_err *err);
KL_MUST_USE enum kl_status vault_sweep_list(struct vault *vault, const struct vault_caller *caller,
                                            size_t limit, struct kl_buf *ret, struct kl_err *err);

/* ---- what no purpose keeps any more (operator, or a steward of its own tenant) ---- */

#define VAULT_RETENTION_PREFIX "rtn" /* ids of runs */
#define VAULT_RETENTION_RATE_MIN 10
#define VAULT_RETENTION_RATE_MAX 10000
#define VAULT_RETENTION_RATE_DEFAULT 200
/* per_second: how many erasures a second at most, VAULT_RETENTION_RATE_MIN..VAULT_RETENTION_RATE_MAX; 0: VAULT_RETENTION_RATE_DEFAULT. dry_run: only count. */
struct vault_retention_input {
    int64_t per_second;
    bool dry_run;
};
/*
 * Begin to erase what is due: records that no purpose keeps any more, and subjects of whom nothing else is left; each with its receipt, by the
 * role "vault", reason "retention". In the caller's tenant, or (an operator who names none) in all. Done every night as well, but while a restore
 * is unfinished, and not in a tenant whose journal of closings was lost. ret: the job as JSON
 * {"id","state","started_at","ended_at","progress","failed_code"?,"tenant","nightly","dry_run","subjects_seen","subjects_due","records_due",
 * "subjects_erased","records_erased","failed"}. KL_ERR_INVALID "invalid_rate", "invalid_idempotency_key", "idempotency_key_reused";
 * KL_ERR_BUSY "jobs_waiting".
 */
KL_MUST_USE enum kl_status vault_retention_start(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct vault_retention_input *input,
                                                 const struct vault_idempotency *idempotency,
                                                 struct kl_buf *ret, bool *ret_replayed,
                                                 struct kl_err *err);
/* As vault_sweep_show() and vault_sweep_list(). */
KL_MUST_USE enum kl_status vault_retention_show(struct vault *vault,
                                                const struct vault_caller *caller,
                                                const struct kl_id *run, struct kl_buf *ret,
                                                struct kl_err *err);
KL_MUST_USE enum kl_status vault_retention_list(struct vault *vault,
                                                const struct vault_caller *caller, size_t limit,
                                                struct kl_buf *ret, struct kl_err *err);

/* ---- retention of the trail ---- */

#define VAULT_PRUNE_RATE_MIN 10000
#define VAULT_PRUNE_RATE_MAX 1000000
#define VAULT_PRUNE_RATE_DEFAULT 50000
/* per_second: how many entries a second at most, VAULT_PRUNE_RATE_MIN..VAULT_PRUNE_RATE_MAX; 0: VAULT_PRUNE_RATE_DEFAULT. dry_run: only look. */
struct vault_prune_input {
    int64_t per_second;
    bool dry_run;
};
/*
 * Let the entries of the tenant's trail go that are older than its policy keeps them (its section `audit`); vault/prune.h says which and how.
 * A steward, of its tenant; an auditor may only look (dry_run). Done every night as well, for all tenants, but while a restore is unfinished. ret: the job as JSON
 * {"id","state","started_at","ended_at","progress","failed_code"?,"tenant","nightly","dry_run","trails","entries","blocked","from","until",
 * "oldest_at","newest_at","next_at","blocked_at","kept_for_ever","waits_until"}: entries from..until - 1 went (or would), of those times;
 * next_at: when the first that stays may go; blocked_at: the number of an entry that is not what was hashed, or is not there, behind which nothing goes; waits_until:
 * until then what policies before said counts too. Of a nightly run only sums. KL_ERR_INVALID "invalid_rate",
 * "invalid_idempotency_key", "idempotency_key_reused"; KL_ERR_BUSY "jobs_waiting".
 */
KL_MUST_USE enum kl_status vault_prune_start(struct vault *vault, const struct vault_caller *caller,
                                             const struct vault_prune_input *input,
                                             const struct vault_idempotency *idempotency,
                                             struct kl_buf *ret, bool *ret_replayed,
                                             struct kl_err *err);
/* As vault_sweep_show() and vault_sweep_list(): a steward and an auditor of their tenant's runs, an operator of nightly ones. */
KL_MUST_USE enum kl_status vault_prune_show(struct vault *vault, const struct vault_caller *caller,
                                            const struct kl_id *run, struct kl_buf *ret,
                                            struct kl_err *err);
KL_MUST_USE enum kl_status vault_prune_list(struct vault *vault, const struct vault_caller *caller,
                                            size_t limit, struct kl_buf *ret, struct kl_err *err);

/* ---- upkeep ---- */

/*
 * What a server runs beside its requests: jobs (rotations, sweeps, backups), the nightly sweep, what falls due, mirrors that come back.
 * A vault that is opened does none of it until vault_upkeep_start(). vault_close() stops it.
 *
 * sweep_at_s        second of the day, UTC, of the nightly sweep (0..86399); -1: none.
 * sweep_at_latest_us  after how long an overwritten value goes although no verified backup holds the new one; 0 takes P7D.
 * backup_keep_us      how old a backup may be that is restored: what was closed since is kept known for so long; 0 takes P35D.
 */
#define VAULT_BACKUP_KEEP_DEFAULT_US (INT64_C(35) * 86400 * 1000000)
#define VAULT_SWEEP_AT_LATEST_DEFAULT_US (INT64_C(7) * 86400 * 1000000)
struct vault_upkeep_options {
    int32_t sweep_at_s;
    int64_t sweep_at_latest_us;
    int64_t backup_keep_us;
};
KL_MUST_USE enum kl_status vault_upkeep_start(struct vault *vault,
                                              const struct vault_upkeep_options *options,
                                              struct kl_err *err);
/* The job under way is left after its step, and goes on when upkeep starts again. */
void vault_upkeep_stop(struct vault *vault);
/* For who embeds the vault without the thread: do all that waits and all that is due, and return. */
KL_MUST_USE enum kl_status vault_upkeep_run(struct vault *vault, struct kl_err *err);

/* ---- audit (auditor, steward) ---- */

/*
 * What entries are looked for; NULL: any. All that is given has to hold. purpose and field (TYPE.FIELD) are names that an entry has in any place: a field that was
 * shown, withheld, changed, searched for. result: "ok" or "refused".
 */
struct vault_audit_filter {
    const struct kl_id *subject; /* an erased one is KL_ERR_NOT_FOUND */
    const struct kl_id *credential;
    const char *purpose;
    const char *field;
    const char *action;
    const char *result;
    int64_t from_us; /* 0: from the start */
    int64_t to_us;   /* exclusive; 0: to the end */
};
/*
 * Entries, newest last, as a JSON array of the entries' own texts with their "seq" beside: [{"seq":n,"entry":{...}}]. Appended to ret.
 * An auditor's or steward's: the tenant's trail; an operator's who names no tenant: the vault's own. One call looks at a bounded part of
 * the trail: a page may hold fewer than limit, even none, and still have a cursor to go on. That it was read, and what was looked for, is itself an entry.
 * What names a subject, credential, purpose, field, action or result is found by the search index, the newest few thousand entries one by one.
 * from_us and to_us rely on the clock: entries written while it was wrong by more than an hour are found without them.
 * KL_ERR_INVALID "invalid_limit" (1..VAULT_PAGE_MAX), "invalid_cursor", "invalid_range" (from behind to), "invalid_name", "unknown_action", "unknown_result".
 * KL_ERR_FORBIDDEN "role_forbidden"; "transfer": the credential's place is outside the EEA, and the policy lets nothing go there. KL_ERR_NOT_FOUND.
 */
KL_MUST_USE enum kl_status vault_audit_list(struct vault *vault, const struct vault_caller *caller,
                                            const struct vault_audit_filter *filter, size_t limit,
                                            const char *cursor, struct kl_buf *ret,
                                            char *ret_cursor, struct kl_err *err);
/* The trail's signed head, see vault_audit_list for whose. */
KL_MUST_USE enum kl_status vault_audit_head(struct vault *vault, const struct vault_caller *caller,
                                            struct kl_buf *ret, struct kl_err *err);

#endif
