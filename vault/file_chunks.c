/* A file's chunks: sealed one by one on the way in, opened one by one on the way out. */
#include "vault/files.h"

#include "vault/fail_stop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* So much is written before the disk is made to have it: one sync at the end would hold up everybody else's. */
#define SYNC_EVERY_BYTES ((uint64_t)16 * 1024 * 1024)

enum kl_status vault_file_fail(struct kl_err *err, const char *what)
{
    if (errno == ENOSPC || errno == EDQUOT) {
        return kl_fail(err, KL_ERR_UNAVAILABLE, "vault_disk_full",
                       "the vault's disk has no room for the file", "could not %s: %m", what);
    }
    return kl_fail(err, KL_ERR_IO, "file_io", "the file could not be read or written",
                   "could not %s: %m", what);
}

void vault_file_failed(const char *what)
{
    struct kl_err err = {0};

    (void)kl_fail(&err, KL_ERR_IO, "file_io", "the file could not be read or written",
                  "could not %s: %m", what);
    vault_fail_stop(&err);
}

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "file_damaged", "the file is damaged", NULL);
}

/* ---- reading ---- */

static enum kl_status read_at(int fd, unsigned char *into, size_t size, uint64_t offset,
                              struct kl_err *err)
{
    size_t at = 0;

    while (at < size) {
        ssize_t got = pread(fd, into + at, size - at, (off_t)(offset + at));

        if (got == 0) {
            return damaged(err);
        }
        if (got < 0 && errno != EINTR) {
            return vault_file_fail(err, "read a file");
        }
        at += got > 0 ? (size_t)got : 0;
    }
    return KL_OK;
}

enum kl_status vault_file_chunk_read(struct kms *keys, int fd, const struct vault_file_place *place,
                                     uint64_t index, struct kl_buf *sealed,
                                     struct kl_buf *ret_plain, struct kl_err *err)
{
    bool last = index + 1 == vault_file_chunks(place->bytes);
    size_t plain = last ? (size_t)(place->bytes - index * VAULT_FILE_CHUNK_BYTES)
                        : (size_t)VAULT_FILE_CHUNK_BYTES;
    unsigned char context[VAULT_FILE_CONTEXT_BYTES];
    unsigned char *into = NULL;
    enum kl_status status = KL_OK;

    kl_buf_clear(sealed);
    kl_buf_clear(ret_plain);
    into = kl_buf_extend(sealed, plain + KMS_SEAL_OVERHEAD_BYTES);
    if (into == NULL) {
        return kl_fail_memory(err);
    }
    status = read_at(fd, into, plain + KMS_SEAL_OVERHEAD_BYTES,
                     index * (uint64_t)VAULT_FILE_SEALED_BYTES, err);
    if (status == KL_OK) {
        vault_file_context(place, index, last, context);
        status = kms_unseal(keys, &place->of, kl_slice_of(context, sizeof context),
                            kl_buf_slice(sealed), ret_plain, err);
    }
    return status;
}

/* ---- writing ---- */

enum kl_status vault_file_seal_now(void *keys, const struct kms_place *place, struct kl_slice aad,
                                   struct kl_slice plain, struct kl_buf *ret, struct kl_err *err)
{
    return kms_seal(keys, place, aad, plain, ret, err);
}

void vault_file_writer_init(struct vault_file_writer *writer, vault_file_seal seal,
                            void *seal_context, const struct vault_file_place *place, int fd)
{
    memset(writer, 0, sizeof *writer);
    writer->seal = seal;
    writer->seal_context = seal_context;
    writer->place = *place;
    writer->place.bytes = 0;
    writer->fd = fd;
    kl_buf_init(&writer->plain, VAULT_FILE_CHUNK_BYTES);
    kl_buf_init(&writer->sealed, VAULT_FILE_SEALED_BYTES);
}

void vault_file_writer_done(struct vault_file_writer *writer)
{
    kl_buf_done(&writer->plain);
    kl_buf_done(&writer->sealed);
}

static enum kl_status write_all(int fd, struct kl_slice bytes, struct kl_err *err)
{
    size_t at = 0;

    while (at < bytes.size) {
        ssize_t put = write(fd, bytes.bytes + at, bytes.size - at);

        if (put < 0 && (errno == ENOSPC || errno == EDQUOT)) {
            return vault_file_fail(err, "write a file");
        }
        if (put < 0 && errno != EINTR) {
            vault_file_failed("write a file");
        }
        at += put > 0 ? (size_t)put : 0;
    }
    return KL_OK;
}

static enum kl_status chunk_write(struct vault_file_writer *writer, bool last, struct kl_err *err)
{
    unsigned char context[VAULT_FILE_CONTEXT_BYTES];
    enum kl_status status = KL_OK;

    vault_file_context(&writer->place, writer->index, last, context);
    kl_buf_clear(&writer->sealed);
    status =
        writer->seal(writer->seal_context, &writer->place.of, kl_slice_of(context, sizeof context),
                     kl_buf_slice(&writer->plain), &writer->sealed, err);
    if (status == KL_OK) {
        status = write_all(writer->fd, kl_buf_slice(&writer->sealed), err);
    }
    writer->place.bytes += writer->plain.size;
    writer->unsynced += writer->plain.size;
    writer->index++;
    kl_buf_clear(&writer->plain);
    if (status == KL_OK && writer->unsynced >= SYNC_EVERY_BYTES) {
        writer->unsynced = 0;
        if (fdatasync(writer->fd) != 0) {
            vault_file_failed("sync a file");
        }
    }
    return status;
}

/* A chunk is written when a byte behind it is there: until then it may be the last. */
enum kl_status vault_file_writer_add(struct vault_file_writer *writer, const void *bytes,
                                     size_t size, struct kl_err *err)
{
    const unsigned char *from = bytes;
    enum kl_status status = KL_OK;

    while (status == KL_OK && size > 0) {
        size_t room = VAULT_FILE_CHUNK_BYTES - writer->plain.size;
        size_t take = size < room ? size : room;

        if (room == 0) {
            status = chunk_write(writer, false, err);
            continue;
        }
        kl_buf_add(&writer->plain, from, take);
        status = kl_buf_status(&writer->plain, err);
        from += take;
        size -= take;
    }
    return status;
}

enum kl_status vault_file_writer_end(struct vault_file_writer *writer, struct kl_err *err)
{
    return chunk_write(writer, true, err);
}
