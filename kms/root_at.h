/*
 * Where a root file lies: its folder, held open, and its name in it. A root file is opened, looked for and removed through these alone, so that a
 * folder or a name that somebody changes meanwhile leads to no other file; a link is never followed.
 *
 * Threads: those of the root file.
 */
#ifndef KLUIS_KMS_ROOT_AT_H
#define KLUIS_KMS_ROOT_AT_H

#include "kluis/base/status.h"
#include "kluis/kms/custodian.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* folder below 0: it is not there (errno of the opening is kept in failed). */
struct kms_root_at {
    int folder;
    int failed;
    char name[NAME_MAX + 1];
};

/*
 * folder AT_FDCWD: path is one, and its folder is opened. Else path is a name in that open folder, which stays the caller's. What is not there is found
 * out when it is used: errno is set then as open() would have.
 */
void kms_root_at_init(struct kms_root_at *at, int folder, const char *path);
void kms_root_at_done(struct kms_root_at *at);
/* As openat(), never through a link. */
int kms_root_at_open(const struct kms_root_at *at, int flags);
/* Its name durable, or that it is gone. False: errno. */
bool kms_root_at_sync(const struct kms_root_at *at);
/* Take the name away, durably, if it is that file's; what else has the name stays. False: errno. */
bool kms_root_at_remove(const struct kms_root_at *at, int fd);
/* Device and inode of the folder; false: it is not there. */
bool kms_root_at_folder(const struct kms_root_at *at, dev_t *ret_device, ino_t *ret_inode);

/* Whether what is open is a regular file of one name, no larger than a root file. ret_whole: of that very size. */
bool kms_root_at_is_plain(int fd, bool *ret_whole);
/* And as a root file is made: this user's, mode 0600. */
bool kms_root_at_is_as_made(int fd);

/*
 * Whether a folder is this user's or root's and nobody else may write to it, so that nobody else can put anything there. Code "mirror_dir_unsafe" is
 * what kms says where it is not.
 */
bool kms_folder_is_ours(int folder);

#endif
