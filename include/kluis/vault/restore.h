/*
 * Putting a backup back, while no server runs. data/ is replaced by the backup's and the keys stay as they are: everybody comes back but those
 * who were erased since, and what was closed since stays closed (the vault sees to it when it is opened, which this does at its end).
 *
 * Slots that were given out and that the backup does not know (people who came after it) are set aside, unused: another backup, a newer one, can
 * still be put back and finds them. So are values of subjects that it knows: what they were changed to after it. vault_restore_finish() shreds both.
 *
 * Threads: one.
 */
#ifndef KLUIS_VAULT_RESTORE_H
#define KLUIS_VAULT_RESTORE_H

#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stdint.h>

#define VAULT_RESTORE_PATH_MAX_BYTES 4096

/*
 * vault      data directory, custodian, passphrase: as for vault_open(). country NULL, or as it was.
 * from       the directory of backups.
 * backup     which; NULL: the newest.
 * keys_from  NULL: the keys in the data directory. Else the directory of a mirror: the machine is lost, and the data directory (which must be missing or empty, or
 *            left by an attempt that was cut short) and the root file (must be missing) are made from the mirror's. It is no mirror any more then.
 * progress   called now and then with 0..1; may be NULL.
 */
struct vault_restore_options {
    const struct vault_options *vault;
    const char *from;
    const struct kl_id *backup;
    const char *keys_from;
    void (*progress)(void *context, double done);
    void *context;
};

/*
 * aside     where the data/ that was there lies now; empty: there was none.
 * subjects  that open; erased since; unknown to the keys; damaged. values likewise.
 * unknown_slots  given out, with a key, and not in the backup; see vault_restore_finish().
 */
struct vault_restore_result {
    struct kl_id backup;
    int64_t taken_us;
    char aside[VAULT_RESTORE_PATH_MAX_BYTES];
    uint64_t subjects, subjects_erased, subjects_unknown, subjects_damaged;
    uint64_t values, values_erased, values_damaged;
    uint64_t unknown_slots;
};

/*
 * Put a backup back, and open and close the vault once. A crash at any point leaves the data/ that was there or the backup's, whole; asked again it
 * goes on where it was.
 *
 * KL_ERR_BUSY "store_in_use" a server holds the vault. KL_ERR_NOT_FOUND "backup_directory", "no_backup", "no_vault", "no_mirror".
 * KL_ERR_REFUSED "backup_other_store"; "backup_signature"; "keys_older_than_backup": the keys are an old copy, nothing would be erased that was;
 * "backup_format". KL_ERR_EXISTS "data_dir_not_empty", "root_file_exists" (keys_from). KL_ERR_CORRUPT "backup_damaged"; KL_ERR_IO "backup_io",
 * "backup_disk_full" (the disk of the data directory). What vault_open() returns. Nothing is put in place then.
 */
KL_MUST_USE enum kl_status vault_restore(const struct vault_restore_options *options,
                                         struct vault_restore_result *ret, struct kl_err *err);

/* slots: of people whom the backup does not know. subjects: that it knows, with values after it, or room for such. */
struct vault_restore_aside {
    uint64_t slots;
    uint64_t subjects;
};

/*
 * What restores set aside: counted, and shredded when confirm says so and confirmed is the number of slots. Numbers are reserved in blocks, so up to
 * 4095 for each tenant and each crash may never have been used. No newer backup brings anybody back in them afterwards.
 * KL_ERR_NOT_FOUND "no_restore" none is unfinished. KL_ERR_CONFLICT "count_differs": ret is set, nothing is shredded. KL_ERR_BUSY "store_in_use". What
 * vault_open() and an erasure return; after a failure some may be shredded, and asking again goes on.
 */
KL_MUST_USE enum kl_status vault_restore_finish(const struct vault_options *options, bool confirm,
                                                uint64_t confirmed, struct vault_restore_aside *ret,
                                                struct kl_err *err);

#endif
