/* Small files: configuration, credentials, stamps. */
#ifndef KLUIS_BASE_FILE_H
#define KLUIS_BASE_FILE_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"

#include <stddef.h>
#include <sys/types.h>

/* Read a whole regular file of at most max bytes into ret (made with kl_buf_init by this call; end it with kl_buf_done). KL_ERR_IO, KL_ERR_NOT_FOUND, KL_ERR_TOO_LARGE. */
KL_MUST_USE enum kl_status kl_file_read(const char *path, size_t max, struct kl_buf *ret, struct kl_err *err);
/* Make a file of that mode that was not there (O_EXCL), write, fsync it and its folder. KL_ERR_EXISTS, KL_ERR_IO (the half file is removed). */
KL_MUST_USE enum kl_status kl_file_create(const char *path, mode_t mode, const void *bytes, size_t size,
                                          struct kl_err *err);
/* Replace a file through a temporary one beside it and rename, synced. Never for keys: the old bytes stay on the disk. */
KL_MUST_USE enum kl_status kl_file_replace(const char *path, mode_t mode, const void *bytes, size_t size,
                                           struct kl_err *err);
/* fsync a folder, so that names in it are durable. */
KL_MUST_USE enum kl_status kl_dir_sync(const char *path, struct kl_err *err);

#endif
