/*
 * Small files: configuration, credentials, stamps.
 *
 * Client texts name no path, log texts do. Codes: KL_ERR_IO "file_error",
 * KL_ERR_NOT_FOUND "file_not_found", KL_ERR_EXISTS "file_exists",
 * KL_ERR_TOO_LARGE "file_too_large", KL_ERR_NO_MEMORY "no_memory".
 * Threads: any number at once.
 */
#ifndef KLUIS_BASE_FILE_H
#define KLUIS_BASE_FILE_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"

#include <stddef.h>
#include <sys/types.h>

/*
 * Read a whole regular file of at most max bytes.
 *
 * ret  out  set on KL_OK only, made with kl_buf_init(); the caller ends it with kl_buf_done().
 *
 * KL_ERR_NOT_FOUND, KL_ERR_TOO_LARGE, KL_ERR_NO_MEMORY; KL_ERR_IO, also for what is no regular
 * file.
 */
KL_MUST_USE enum kl_status kl_file_read(const char *path, size_t max, struct kl_buf *ret,
                                        struct kl_err *err);
/*
 * Make a file that was not there, of that mode whatever the umask; sync it and its folder.
 * KL_ERR_EXISTS; KL_ERR_IO, KL_ERR_NO_MEMORY: what was begun is removed.
 */
KL_MUST_USE enum kl_status kl_file_create(const char *path, mode_t mode, const void *bytes,
                                          size_t size, struct kl_err *err);
/*
 * Write a file through a temporary one beside it and rename, synced; it need not have been there.
 * Never for keys: the old bytes stay on the disk. KL_ERR_IO, KL_ERR_NO_MEMORY: the old file is as
 * it was, unless only the last sync failed.
 */
KL_MUST_USE enum kl_status kl_file_replace(const char *path, mode_t mode, const void *bytes,
                                           size_t size, struct kl_err *err);
/*
 * The same by a name in an open folder, which is a descriptor, where nothing may lead elsewhere: name has no '/', and a link is KL_ERR_IO.
 * Errors as above; kl_file_replace_at: KL_ERR_EXISTS never in practice (its temporary name is taken).
 */
KL_MUST_USE enum kl_status kl_file_read_at(int folder, const char *name, size_t max,
                                           struct kl_buf *ret, struct kl_err *err);
KL_MUST_USE enum kl_status kl_file_create_at(int folder, const char *name, mode_t mode,
                                             const void *bytes, size_t size, struct kl_err *err);
KL_MUST_USE enum kl_status kl_file_replace_at(int folder, const char *name, mode_t mode,
                                              const void *bytes, size_t size, struct kl_err *err);
/* fsync a folder, so that names in it are durable. KL_ERR_IO. */
KL_MUST_USE enum kl_status kl_dir_sync(const char *path, struct kl_err *err);

#endif
