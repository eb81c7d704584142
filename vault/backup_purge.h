/* Old backups go, and tables that no backup needs. On the upkeep's thread. */
#ifndef VAULT_BACKUP_PURGE_H
#define VAULT_BACKUP_PURGE_H

#include <stdint.h>

struct vault;

/*
 * Keep the newest keep backups of a directory, and the newest that was verified; remove the others, and then the tables that none needs. keep 0: only
 * such tables. Returns how many were removed. What cannot be done is logged and left for the next time; when the manifest of any backup there cannot be
 * read, no table is removed.
 */
uint64_t vault_backup_purge(struct vault *vault, int directory, uint32_t keep);

#endif
