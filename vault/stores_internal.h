/*
 * The inside of a set of stores, and the rows of the list.
 *
 *   "VP" name   beside the keys of the main store: a keyed hash (KMS_MAC_BYTES, VAULT_SLOT_CREDENTIAL, label "store") over the name and what follows,
 *               then JSON {"format":1,"directory","country","place","custodian","next"?,"added_us","store_id"?}
 *
 * store_id is there from when the store is whole: before, it is being made, and what the directory has may be removed. next: a change of
 * custodian was begun; the root key is at the one or the other.
 *
 * Threads: as each call says.
 */
#ifndef VAULT_STORES_INTERNAL_H
#define VAULT_STORES_INTERNAL_H

#include "kluis/vault/stores.h"
#include "vault/stamp.h"
#include "vault/vault_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What the list says of a store. next empty: none. */
struct vault_store_row {
    char name[VAULT_STORE_NAME_MAX_BYTES + 1];
    char directory[VAULT_STORE_DIRECTORY_MAX_BYTES + 1];
    struct vault_country country;
    char place[VAULT_PLACE_MAX_BYTES + 1];
    char custodian[VAULT_STORE_CUSTODIAN_MAX_BYTES + 1];
    char next[VAULT_STORE_CUSTODIAN_MAX_BYTES + 1];
    int64_t added_us;
    bool whole;
    unsigned char store_id[KMS_STORE_ID_BYTES];
};

/*
 * A store of the set. name never changes. vault is set once, when the store is open: who sees it may use it until the set is closed. The rest
 * is under the lock of the set.
 */
struct vault_store_entry {
    char name[VAULT_STORE_NAME_MAX_BYTES + 1];
    _Atomic(struct vault *) vault;
    atomic_bool away; /* it is whole, and cannot be opened */
    struct vault_store_row row;
    struct kl_err why;
    int64_t tried_us; /* when it was tried last, and found to be away */
};

#define VAULT_STORE_HINTS 16384

struct vault_stores {
    struct vault *main;
    struct vault_store_entry *entries[VAULT_STORES_MAX]; /* main is the first; they only grow */
    atomic_size_t count;
    pthread_mutex_t lock;
    struct vault_turn turn; /* stores, tenants and certificates are made one at a time */
    struct vault_options common;
    bool upkeep_runs;
    struct vault_upkeep_options upkeep;
    vault_store_secret secret;
    void *secret_context;
    int64_t retry_ms;
    pthread_t retrier; /* stores_retry.c, while it runs; closing is under the lock */
    pthread_cond_t closed;
    bool retrier_runs;
    bool closing;
    unsigned char hint_key[16];
    atomic_uint_fast64_t hints[VAULT_STORE_HINTS]; /* stores_caller.c */
};

/* KL_ERR_UNAVAILABLE "store_unavailable". */
enum kl_status vault_store_unavailable(struct kl_err *err);
/* Whether any is away. */
bool vault_stores_any_away(const struct vault_stores *stores);
/* The entry of that name; NULL: there is none. */
struct vault_store_entry *vault_stores_find(const struct vault_stores *stores, const char *name);
bool vault_store_name_valid(const char *name);

/*
 * Open a store of the list into entry; one that was being made and is whole is so in the trail and on the list then. who: the operator that
 * made it, or the vault itself after a crash. The turn is held, or no thread is there yet.
 */
KL_MUST_USE enum kl_status vault_store_entry_open(struct vault_stores *stores,
                                                  struct vault_store_entry *entry,
                                                  const void *passphrase, size_t passphrase_bytes,
                                                  const struct vault_audit_who *who,
                                                  struct kl_err *err);
/*
 * The same in two steps, for who may not keep the turn as long as a directory takes to answer: open it, with no turn; then, with the turn, let it
 * in. Both close what they opened when they fail. row: a copy of the entry's. ret_vault and row go from the one to the other.
 */
KL_MUST_USE enum kl_status vault_store_row_open(struct vault_stores *stores,
                                                struct vault_store_row *row, const void *passphrase,
                                                size_t passphrase_bytes, struct vault **ret_vault,
                                                struct kl_err *err);
KL_MUST_USE enum kl_status vault_store_entry_take(struct vault_stores *stores,
                                                  struct vault_store_entry *entry,
                                                  struct vault_store_row *row, struct vault *vault,
                                                  const struct vault_audit_who *who,
                                                  struct kl_err *err);
/* It cannot be opened, and why; said in the log when that is news. Any thread. */
void vault_store_entry_away(struct vault_stores *stores, struct vault_store_entry *entry,
                            const struct kl_err *why);
/* The passphrase of a store, as the options' secret gives it. */
KL_MUST_USE enum kl_status vault_store_secret_of(struct vault_stores *stores,
                                                 const struct vault_store_entry *entry,
                                                 const struct vault_store_row *row,
                                                 struct kl_secret **ret, size_t *ret_bytes,
                                                 struct kl_err *err);
/* The row as it is on the list from now on. The turn is held, or no thread is there yet. */
void vault_store_row_take(struct vault_stores *stores, struct vault_store_entry *entry,
                          const struct vault_store_row *row);
/* One more; nothing is open in it. The turn is held. KL_ERR_TOO_LARGE "stores_too_many". */
KL_MUST_USE enum kl_status vault_store_entry_add(struct vault_stores *stores,
                                                 const struct vault_store_row *row,
                                                 struct vault_store_entry **ret,
                                                 struct kl_err *err);
/* ---- stores that are away (stores_retry.c) ---- */

/* Try all of them once, now. */
void vault_stores_retry(struct vault_stores *stores);
/* A thread that does so every retry_ms, until it is stopped. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_stores_retry_start(struct vault_stores *stores,
                                                    struct kl_err *err);
void vault_stores_retry_stop(struct vault_stores *stores);

void vault_store_describe(struct vault_stores *stores, const struct vault_store_entry *entry,
                          struct vault_store_result *ret);

/* ---- rows (stores_row.c) ---- */

/* Write, or remove, a row; synced. KL_ERR_IO, KL_ERR_NO_MEMORY, KL_ERR_TOO_LARGE. */
KL_MUST_USE enum kl_status vault_store_row_put(struct vault *main,
                                               const struct vault_store_row *row,
                                               struct kl_err *err);
KL_MUST_USE enum kl_status vault_store_row_remove(struct vault *main, const char *name,
                                                  struct kl_err *err);
/*
 * All rows, by the time they were added; *ret is the caller's to free(). KL_ERR_CORRUPT "store_list_damaged": one does not read, or is of no
 * maker that has the keys.
 */
KL_MUST_USE enum kl_status vault_store_rows_read(struct vault *main, struct vault_store_row **ret,
                                                 size_t *ret_count, struct kl_err *err);
/* One row from its bytes, without its keyed hash. False: it does not read. ret->name is left alone. */
bool vault_store_row_parse(struct kl_slice json, struct vault_store_row *ret);

#endif
