#include "vault/values_file.h"

#include "vault/files.h"
#include "vault/rows.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

/* A file that is gone through: each chunk is opened, and handed to writer where there is one. */
struct reading {
    struct vault *vault;
    struct vault_file_place place;
    int fd;
    struct kl_buf sealed;
    struct kl_buf plain;
};

static enum kl_status reading_begin(struct reading *reading, struct vault *vault, uint64_t tenant,
                                    uint64_t slot, uint64_t value, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    memset(reading, 0, sizeof *reading);
    reading->vault = vault;
    reading->place.of = (struct kms_place){tenant, slot, value};
    reading->fd = -1;
    kl_buf_init(&reading->sealed, VAULT_FILE_SEALED_BYTES);
    kl_buf_init(&reading->plain, VAULT_FILE_CHUNK_BYTES);
    status = vault_file_find(vault->data_store, &reading->place, err);
    if (status == KL_OK) {
        status = vault_files_open(vault->files, &reading->place, &reading->fd, err);
    }
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = kl_fail(err, KL_ERR_CORRUPT, "file_damaged", "a file is missing", NULL);
    }
    return status;
}

static void reading_end(struct reading *reading)
{
    if (reading->fd >= 0) {
        (void)close(reading->fd);
    }
    kl_buf_done(&reading->sealed);
    kl_buf_done(&reading->plain);
}

static enum kl_status chunks_each(struct reading *reading, struct vault_file_writer *writer,
                                  struct kl_err *err)
{
    uint64_t count = vault_file_chunks(reading->place.bytes);
    enum kl_status status = KL_OK;
    uint64_t i;

    for (i = 0; status == KL_OK && i < count; i++) {
        status = vault_file_chunk_read(reading->vault->keys, reading->fd, &reading->place, i,
                                       &reading->sealed, &reading->plain, err);
        if (status == KL_OK && writer != NULL) {
            status = vault_file_writer_add(writer, reading->plain.bytes, reading->plain.size, err);
        }
    }
    return status;
}

enum kl_status vault_values_file_check(struct vault_values *values, uint64_t slot, uint64_t value,
                                       struct kl_err *err)
{
    struct reading reading;
    enum kl_status status =
        reading_begin(&reading, values->vault, values->tenant, slot, value, err);

    if (status == KL_OK) {
        status = chunks_each(&reading, NULL, err);
    }
    values->bytes += (size_t)reading.place.bytes;
    reading_end(&reading);
    return status;
}

static enum kl_status seal_staged(void *staged, const struct kms_place *place, struct kl_slice aad,
                                  struct kl_slice plain, struct kl_buf *ret, struct kl_err *err)
{
    return kms_staged_seal(staged, place, aad, plain, ret, err);
}

static enum kl_status copy(struct reading *reading, struct kms_staged *staged,
                           struct vault_file_place *place, struct kl_err *err)
{
    struct vault_files *files = reading->vault->files;
    struct vault_file_writer writer;
    int fd = -1;
    enum kl_status status = vault_files_room(files, reading->place.bytes, err);

    if (status == KL_OK) {
        status = vault_files_create(files, place, &fd, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault_file_writer_init(&writer, seal_staged, staged, place, fd);
    status = chunks_each(reading, &writer, err);
    if (status == KL_OK) {
        status = vault_file_writer_end(&writer, err);
    }
    vault_file_writer_done(&writer);
    if (status == KL_OK) {
        status = vault_files_keep(files, place, fd, err);
    } else {
        (void)close(fd);
    }
    if (status != KL_OK) {
        vault_files_drop(files, place);
    }
    return status;
}

enum kl_status vault_values_file_stage(const struct vault_values *values, struct kms_staged *staged,
                                       uint64_t slot, uint64_t value, struct vault_batch *batch,
                                       struct kl_err *err)
{
    struct vault_row_key key = vault_row_beside(values->tenant, slot, 'L', value);
    unsigned char row[VAULT_FILE_ROW_BYTES];
    struct vault_file_place place;
    struct reading reading;
    enum kl_status status =
        reading_begin(&reading, values->vault, values->tenant, slot, value, err);

    place = reading.place;
    randombytes_buf(&place.id, sizeof place.id);
    if (status == KL_OK) {
        status = copy(&reading, staged, &place, err);
    }
    if (status == KL_OK) {
        vault_file_row(&place, row);
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(row, sizeof row));
    }
    vault_files_changed(values->vault->files, slot);
    reading_end(&reading);
    return status;
}
