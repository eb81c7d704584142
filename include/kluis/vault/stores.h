/*
 * The stores of a vault. The first one, "main", is the vault itself: its operators, and the list of the others. Each is a `struct vault` of
 * its own: data directory, country, root key, journal, mirrors, backups, upkeep, the trail of what operators did in it. A tenant lies wholly
 * in one of them, and no two tenants have one name.
 *
 * The list lies beside the keys of the main store, in every mirror of them and in no backup of data, and is written down in its trail.
 *
 * A store that cannot be opened is away; while the upkeep runs it is tried again, once a minute at most, and comes back by itself. Until then its tenants get KL_ERR_UNAVAILABLE "store_unavailable", and so does everybody
 * of whom it cannot be said that they are not its own: an unknown token, a tenant's name that is to be found or made. The other stores serve.
 *
 * Every call that takes a caller takes one of vault_stores_caller_open(), with the store that it gave. Errors as in kluis/vault/admin.h.
 * Threads: open, wrap and close from one; the rest from any number at once.
 */
#ifndef KLUIS_VAULT_STORES_H
#define KLUIS_VAULT_STORES_H

#include "kluis/base/arena.h"
#include "kluis/base/secret.h"
#include "kluis/base/status.h"
#include "kluis/vault/admin.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_STORES_MAX 16 /* with "main" */
#define VAULT_STORE_DIRECTORY_MAX_BYTES 1024
#define VAULT_STORE_CUSTODIAN_MAX_BYTES 4096

struct vault_stores;

/* ---- life ---- */

/*
 * The passphrase, or PIN, of a store's custodian; *ret stays NULL when it needs none, else the callee's caller ends it with kl_secret_free().
 * A failure leaves that store away. Called when stores are opened and, from a thread of the set's, when one that is away is tried again.
 */
typedef enum kl_status (*vault_store_secret)(void *context, const char *store,
                                             const char *custodian, struct kl_secret **ret,
                                             size_t *ret_bytes, struct kl_err *err);
/*
 * main: of vault_open(). secret, and what its context points to, are the caller's until the set is closed; NULL: no store has a passphrase.
 * retry_ms: how long after a try a store that is away is tried again; 0: VAULT_STORES_RETRY_MS.
 */
#define VAULT_STORES_RETRY_MS 60000
struct vault_stores_options {
    struct vault_options main;
    vault_store_secret secret;
    void *secret_context;
    int64_t retry_ms;
};

/* Open the main store, then the others; one of those that does not open is logged and away. What vault_open() returns, of the main store. */
KL_MUST_USE enum kl_status vault_stores_open(const struct vault_stores_options *options,
                                             struct vault_stores **ret_stores, struct kl_err *err);
/* The same with a main store that is open already, and is the set's when this returns KL_OK. */
KL_MUST_USE enum kl_status vault_stores_wrap(struct vault *main,
                                             const struct vault_stores_options *options,
                                             struct vault_stores **ret_stores, struct kl_err *err);
void vault_stores_close(struct vault_stores *stores); /* all; NULL is fine; nobody may be inside */

struct vault *vault_stores_main(const struct vault_stores *stores);
/* How many there are, those away too; and one of them, in the order in which they were added: NULL, it is away. Its name lives as long as stores. */
size_t vault_stores_count(const struct vault_stores *stores);
struct vault *vault_stores_at(const struct vault_stores *stores, size_t index,
                              const char **ret_name);
/* Whether one that should be open is not. */
bool vault_stores_is_away(const struct vault_stores *stores, size_t index);

/*
 * As vault_upkeep_start(), for all of them, and those that come; once. Stores that are away are tried again from then on, but for those whose
 * passphrase or PIN was wrong: a token has few tries. KL_ERR_NO_MEMORY: no thread for that.
 */
KL_MUST_USE enum kl_status vault_stores_upkeep_start(struct vault_stores *stores,
                                                     const struct vault_upkeep_options *options,
                                                     struct kl_err *err);

/*
 * As vault_doctor(), and all checks of every other store, which have its name as a member "store". One that a server has open is not looked at,
 * and neither is the list then.
 */
KL_MUST_USE enum kl_status vault_stores_doctor(const struct vault_stores_options *options,
                                               struct kl_buf *ret, struct kl_err *err);

/* ---- who asks, and where ---- */

/*
 * tenant, store: what ?tenant= and ?store= said; NULL: nothing. closed_too: for a call that a tenant's steward may make while its grace period runs
 * (tenant_export.h), which the caller's closed_us says then; every other call leaves it false.
 */
struct vault_scope {
    const char *tenant;
    const char *store;
    bool closed_too;
};
/*
 * As vault_caller_open(), in the store that the caller acts on: its credential's own; an operator's: the one that has the tenant it names, or
 * the one it names, or main. One credential in two stores is let into none.
 * Also KL_ERR_INVALID "invalid_store"; KL_ERR_NOT_FOUND "unknown_store", "unknown_tenant" (also: not in that store); KL_ERR_FORBIDDEN
 * "store_forbidden": only an operator may name another store. KL_ERR_UNAVAILABLE "store_unavailable".
 */
KL_MUST_USE enum kl_status vault_stores_caller_open(struct vault_stores *stores,
                                                    const struct vault_proof *proof,
                                                    const struct vault_scope *scope,
                                                    const char *request_id,
                                                    struct vault_caller *ret_caller,
                                                    struct vault **ret_vault, struct kl_err *err);

/* ---- tenants ---- */

/*
 * The store in which a caller acts on a tenant: an operator, the one that has it; anybody else, its own. KL_ERR_NOT_FOUND "not_found";
 * KL_ERR_UNAVAILABLE "store_unavailable".
 */
KL_MUST_USE enum kl_status vault_stores_tenant(struct vault_stores *stores, struct vault *vault,
                                               const struct vault_caller *caller, const char *name,
                                               struct vault **ret_vault, struct kl_err *err);
/*
 * As vault_tenant_put(). store: where a new tenant's data is to lie; NULL: in main, or, when that is outside of the EEA, in the first store that is
 * inside, if there is one. ret_vault: the store that has it. Also KL_ERR_CONFLICT "tenant_elsewhere": it lies in another store already;
 * KL_ERR_INVALID "unknown_store"; KL_ERR_UNAVAILABLE "store_unavailable".
 */
KL_MUST_USE enum kl_status vault_stores_tenant_put(struct vault_stores *stores, struct vault *vault,
                                                   const struct vault_caller *caller,
                                                   const char *name, const char *store,
                                                   const char *grace, bool *ret_created,
                                                   struct vault **ret_vault, struct kl_err *err);
/* As vault_tenant_list(), of all stores that are open. */
KL_MUST_USE enum kl_status vault_stores_tenant_list(struct vault_stores *stores,
                                                    struct vault *vault,
                                                    const struct vault_caller *caller,
                                                    struct kl_arena *arena,
                                                    struct vault_tenant_result **ret,
                                                    size_t *ret_count, struct kl_err *err);

/* ---- credentials ---- */

/* As vault_credential_create(); operators are main's, and a certificate has one credential in all stores. Also KL_ERR_UNAVAILABLE "store_unavailable". */
KL_MUST_USE enum kl_status vault_stores_credential_create(
    struct vault_stores *stores, struct vault *vault, const struct vault_caller *caller,
    const struct vault_credential_input *input, const struct vault_idempotency *idempotency,
    struct vault_token *ret_token, struct vault_credential_result *ret, struct kl_err *err);

/* ---- stores (operator) ---- */

enum vault_store_state {
    VAULT_STORE_OPEN,
    VAULT_STORE_AWAY,     /* it cannot be opened: code and reason say why */
    VAULT_STORE_CUT_SHORT /* it was being made, and never was whole: nothing is in it */
};
const char *vault_store_state_name(enum vault_store_state state); /* "open", "away", "cut_short" */

/* custodian: its text, never a PIN or passphrase. finality, generation, tenants, space: of one that is open. tried_us: when one that is away was tried last; 0: not since the start. */
struct vault_store_result {
    char name[VAULT_STORE_NAME_MAX_BYTES + 1];
    char directory[VAULT_STORE_DIRECTORY_MAX_BYTES + 1];
    char custodian[VAULT_STORE_CUSTODIAN_MAX_BYTES + 1];
    struct vault_country country;
    enum vault_store_state state;
    char code[KL_ERR_CODE_BYTES];
    char reason[KL_ERR_TEXT_BYTES];
    int64_t tried_us;
    char finality[4];
    uint64_t generation;
    uint64_t tenants;
    struct vault_space_figures space;
};
/* All of them, main first. */
KL_MUST_USE enum kl_status vault_stores_list(struct vault_stores *stores, struct vault *vault,
                                             const struct vault_caller *caller,
                                             struct kl_arena *arena,
                                             struct vault_store_result **ret, size_t *ret_count,
                                             struct kl_err *err);

/*
 * name        [a-z0-9][a-z0-9-]*, at most VAULT_STORE_NAME_MAX_BYTES.
 * directory   absolute; missing (its parent is there), or empty, the server's user's own and nobody else's to write to; apart from those of all stores.
 * country     where it lies, and its custodian with it: "NL" or "azure:westeurope". Stamped for ever.
 * custodian   "file:/PATH", "passphrase:/PATH", outside of all stores' directories, or "pkcs11:URI".
 * passphrase  of the custodian, or a token's PIN; empty: none. Read, not kept: the next start needs it from the configuration.
 */
struct vault_store_input {
    const char *name;
    const char *directory;
    const char *country;
    const char *custodian;
    struct kl_slice passphrase;
};
/*
 * Make a store. When this returns KL_OK it is open, and on the list. A crash leaves no store, a whole one, or one that the list calls cut short;
 * asked again with that name it is made anew, once its directory and root file are removed. In the main store's trail before it is begun
 * ("store_add_asked", with the custodian's public text), when it is there ("store_add") and when it failed ("store_add_failed").
 * KL_ERR_INVALID "invalid_store_name", "invalid_directory", "invalid_country", "unknown_region", "invalid_custodian", "passphrase_length",
 * "unexpected_passphrase", "root_file_in_data", those of a custodian's text; KL_ERR_EXISTS "store_exists", "data_dir_not_empty", "root_file_exists"; KL_ERR_CONFLICT
 * "store_directory_unsafe"; KL_ERR_TOO_LARGE "stores_too_many"; KL_ERR_REFUSED "finality_f0"; KL_ERR_IO.
 */
KL_MUST_USE enum kl_status vault_stores_add(struct vault_stores *stores, struct vault *vault,
                                            const struct vault_caller *caller,
                                            const struct vault_store_input *input,
                                            struct vault_store_result *ret, struct kl_err *err);
/*
 * As vault_custodian_change(), of the caller's store. Where it is not main the list says where the root key lies, from before the change on, so
 * that a crash leaves a store that opens.
 */
KL_MUST_USE enum kl_status vault_stores_custodian_change(struct vault_stores *stores,
                                                         struct vault *vault,
                                                         const struct vault_caller *caller,
                                                         const struct vault_custodian_input *input,
                                                         struct vault_custodian_result *ret,
                                                         struct kl_err *err);
/*
 * Whether a directory for backups or mirrors of one store is apart from the data directories and mirrors of all others, and is not, and does not hold, the folder
 * of one of their root files. Anybody but an operator learns nothing. KL_ERR_INVALID "invalid_directory".
 */
KL_MUST_USE enum kl_status vault_stores_apart(struct vault_stores *stores,
                                              const struct vault *vault,
                                              const struct vault_caller *caller,
                                              const char *directory, struct kl_err *err);

#endif
