/*
 * How much room the file systems of a store have, and whether that is enough.
 *
 * Places: data/, keys/ and files/ of the data directory, which may be file systems of their own. RESERVE: so many bytes stay free on each. A store
 * is LOW from when any place has less, until all have a quarter more, so that it does not turn to and fro. While it is low only what frees room,
 * protects people or helps the operator is done (API_ROUTE_WHEN_LOW), out of the reserve.
 *
 * BALLAST: free room can be taken by any other program. So VAULT_SPACE_BALLAST_BYTES are taken beforehand, as blocks of a file "ballast" of size 0 (a copy or
 * a backup of it is empty), in the data directory, and in keys/ or data/ where that is another file system. When a place has less than what the logs of
 * both databases need to become tables, its ballast is given up, before the store is opened too; it is made again when there is room. What it
 * lacks is taken for room that is not there, so that a store which was low still is when it has given up its ballast. What an erasure writes fits into the
 * blocks that RocksDB has taken for its logs; tables and new logs, at a start too, take what the ballast gave. A program that goes on writing gets
 * that as well: then the disk is full, and a write fails (fail_stop.h).
 *
 * Threads: any; looking is done by one at a time, and who comes meanwhile does not wait.
 */
#ifndef VAULT_SPACE_H
#define VAULT_SPACE_H

#include "kluis/base/status.h"
#include "kluis/vault/vault.h"
#include "vault/key_storage.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/statvfs.h>

/* Tables of both logs, and new logs as large. */
#define VAULT_SPACE_TABLES_BYTES \
    ((uint64_t)VAULT_STORE_WRITE_BUFFER_BYTES + VAULT_KEYS_WRITE_BUFFER_BYTES)
#define VAULT_SPACE_BALLAST_BYTES ((uint64_t)128 * 1024 * 1024)

struct vault_space;
struct vault_upkeep_task;

/* As statvfs(2); for tests. */
typedef int (*vault_space_probe)(const char *path, struct statvfs *ret);

/*
 * data_dir, store: copied; a name for the log. reserve_bytes 0: none is kept, it is never low, and there is no ballast. look_only: somebody else's vault, whose
 * ballast is left alone, and nothing is logged. probe NULL: statvfs. Looks once. KL_ERR_NO_MEMORY; KL_ERR_INVALID "path_too_long".
 */
KL_MUST_USE enum kl_status vault_space_new(const char *data_dir, const char *store,
                                           uint64_t reserve_bytes, bool look_only,
                                           vault_space_probe probe, struct vault_space **ret,
                                           struct kl_err *err);
void vault_space_free(struct vault_space *space); /* the ballast stays; NULL is fine */

/* Look at all places; a turn is logged once, ballast given up. make: ballast may be made, which may take a moment. A place that cannot be looked at keeps what it was. */
void vault_space_look(struct vault_space *space, bool make);
/* As it was when somebody last looked: one atomic. NULL: not low. */
bool vault_space_is_low(const struct vault_space *space);
/* All 0 for NULL. */
void vault_space_tell(const struct vault_space *space, struct vault_space_figures *ret);
/* "keys/ has 3 MiB free, and 384 are kept for erasures", with what the ballast lacks; empty: it is not low. */
void vault_space_reason(const struct vault_space *space, char *ret, size_t ret_bytes);

/* Upkeep: looks once a second. */
extern const struct vault_upkeep_task vault_space_task;

#endif
