/*
 * files/ of the data directory: where the chunks of fields of type file lie.
 *
 *   DIR/files/<2 hex>/<tenant 10 hex>-<slot 10>-<value 16>-<id 16>.file        one upload, complete; never changed, only removed
 *   DIR/files/<2 hex>/….file.part                                              one that is being written
 *
 * The folder is the last byte of the slot. A name is numbers alone: whose value slot seals the chunks, and a random id, so that no two files
 * ever have one name: after a restore, and when a rotation of values writes a file anew. Row 'L' says which id counts.
 *
 * A FILE is its chunks one behind the other, each of VAULT_FILE_CHUNK_BYTES but the last (0 bytes only when the file is empty), each sealed
 * by kms under the place {tenant, slot, value} with the context
 *
 *   "file-chunk" id8 index8 last1      big-endian; last 1: no chunk follows
 *
 * so every chunk has a key of its own (kms derives it from the context and a salt), and one that was moved, left out, or taken from another
 * file, or a file that was cut at a chunk's end, does not open.
 *
 * ORDER. A file is written, synced, gets its name, its folder is synced; then its rows are committed. Rows go first, and only when the keys
 * are gone; the file goes later, for space. So a file without rows 'L' and 'V' that name it is of no use: vault_files_task removes it, in
 * folders where something changed, and in all of them after an opening. An upload under way is known in memory, and spared.
 *
 * A BACKUP has the files flat beside its tables, under the same names; where a restore put them in data/, the next opening moves them here
 * (vault_files_adopt).
 *
 * Threads: any. The lock guards who is uploading and which folders are to be looked at; it is a leaf.
 */
#ifndef VAULT_FILES_H
#define VAULT_FILES_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "kluis/vault/file.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vault;
struct vault_files;
struct vault_upkeep_task;

#define VAULT_FILES_DIR "files"
#define VAULT_FILE_SUFFIX ".file"
#define VAULT_FILE_PART ".part"
#define VAULT_FILE_NAME_BYTES 64 /* with the 0 */
#define VAULT_FILE_ROW_BYTES 16
#define VAULT_FILE_SEALED_BYTES (VAULT_FILE_CHUNK_BYTES + KMS_SEAL_OVERHEAD_BYTES)
#define VAULT_FILE_CONTEXT_BYTES (10 + 8 + 8 + 1)
/* An upload leaves so much of the disk to the databases, which must never find it full; vault_files_headroom() says otherwise. */
#define VAULT_FILES_HEADROOM_BYTES ((uint64_t)64 * 1024 * 1024)

/* Which file: its value slot, its id, and how many bytes of plaintext it has. */
struct vault_file_place {
    struct kms_place of;
    uint64_t id;
    uint64_t bytes;
};

/* ---- names and numbers: pure ---- */

void vault_file_name(const struct vault_file_place *place, char ret[VAULT_FILE_NAME_BYTES]);
/* False when name is none that vault_file_name makes; bytes is not set. */
bool vault_file_name_parse(const char *name, struct vault_file_place *ret);
uint64_t vault_file_chunks(uint64_t bytes); /* at least 1 */
uint64_t vault_file_sealed_bytes(uint64_t bytes);
/* Row 'L'. False: the row is not one. */
void vault_file_row(const struct vault_file_place *place, unsigned char ret[VAULT_FILE_ROW_BYTES]);
bool vault_file_row_parse(struct kl_slice row, struct vault_file_place *ret);
void vault_file_context(const struct vault_file_place *place, uint64_t index, bool last,
                        unsigned char ret[VAULT_FILE_CONTEXT_BYTES]);

/* The file of a value slot, by its row. place->of is set by the caller. KL_ERR_NOT_FOUND "file_gone"; KL_ERR_CORRUPT "file_damaged"; KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_file_find(struct vault_store *store,
                                           struct vault_file_place *place, struct kl_err *err);

/* ---- the folder ---- */

/* Makes DIR/files when it is missing. KL_ERR_IO "file_io"; KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_files_new(const char *data_dir, struct vault_files **ret,
                                           struct kl_err *err);
void vault_files_free(struct vault_files *files);
/* Before any upload. */
void vault_files_headroom(struct vault_files *files, uint64_t bytes);

/* Somebody is writing files of that value slot. KL_ERR_BUSY "uploads_under_way". */
KL_MUST_USE enum kl_status vault_files_uploading_begin(struct vault_files *files,
                                                       const struct kms_place *of,
                                                       struct kl_err *err);
void vault_files_uploading_end(struct vault_files *files, const struct kms_place *of);
bool vault_files_uploading(struct vault_files *files, const struct kms_place *of);

/* KL_ERR_UNAVAILABLE "vault_disk_full": bytes more would leave less than the headroom. */
KL_MUST_USE enum kl_status vault_files_room(struct vault_files *files, uint64_t bytes,
                                            struct kl_err *err);
/* Begin a file: its folder, and the file with the suffix .part, open for writing. KL_ERR_IO "file_io", KL_ERR_UNAVAILABLE "vault_disk_full". */
KL_MUST_USE enum kl_status vault_files_create(struct vault_files *files,
                                              const struct vault_file_place *place, int *ret_fd,
                                              struct kl_err *err);
/* All is written: synced, closed (in every case), named, durably. Errors as above. */
KL_MUST_USE enum kl_status vault_files_keep(struct vault_files *files,
                                            const struct vault_file_place *place, int fd,
                                            struct kl_err *err);
/* Remove a file that no row names, finished or not. */
void vault_files_drop(struct vault_files *files, const struct vault_file_place *place);
/* For reading. KL_ERR_NOT_FOUND "file_gone"; KL_ERR_CORRUPT "file_damaged": it has another size; KL_ERR_IO "file_io". */
KL_MUST_USE enum kl_status vault_files_open(struct vault_files *files,
                                            const struct vault_file_place *place, int *ret_fd,
                                            struct kl_err *err);
/* The same in a folder of our own where they lie flat: what a backup is verified or restored in. A link is followed: vault_backup_link(). */
KL_MUST_USE enum kl_status vault_files_open_in(const char *dir,
                                               const struct vault_file_place *place, int *ret_fd,
                                               struct kl_err *err);

/*
 * A download of a field of a subject at hand, which has no audit entry yet: that is the caller's, before the first byte. Ends with vault_download_free().
 * KL_ERR_INVALID "not_a_file"; KL_ERR_GONE: look at the subject again; KL_ERR_CORRUPT "file_damaged"; others as vault_subject_values().
 */
struct vault_subject;
struct vault_manifest_record;
struct vault_manifest_field;
KL_MUST_USE enum kl_status vault_download_of(struct vault *vault,
                                             const struct vault_subject *subject,
                                             const struct vault_manifest_record *record,
                                             const struct vault_manifest_field *field,
                                             struct kl_arena *arena,
                                             struct vault_download **ret_download,
                                             struct vault_file_info *ret_info, struct kl_err *err);

/* Rows of that slot went, or of anybody (KMS_SLOT_NONE): its folder is to be looked at. */
void vault_files_changed(struct vault_files *files, uint64_t slot);
/* Upkeep: remove what no row names, a folder at a time. */
extern const struct vault_upkeep_task vault_files_task;
/* All of it at once, for tests. */
KL_MUST_USE enum kl_status vault_files_tidy(struct vault *vault, struct kl_err *err);

/* Links to all complete files into the folder to (a checkpoint of the store), flat. KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_files_link(struct vault_files *files, const char *to,
                                            struct kl_err *err);
/* Before the store of data_dir is opened: files that a restore put into its folder data/ go to files/. KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_files_adopt(const char *data_dir, struct kl_err *err);

/* ---- chunks (file_chunks.c) ---- */

/*
 * Open chunk index of a file into ret_plain (cleared first; room for VAULT_FILE_CHUNK_BYTES). sealed: room for VAULT_FILE_SEALED_BYTES, used
 * on the way. KL_ERR_CORRUPT "file_damaged" the file is shorter; others as kms_unseal().
 */
KL_MUST_USE enum kl_status vault_file_chunk_read(struct kms *keys, int fd,
                                                 const struct vault_file_place *place,
                                                 uint64_t index, struct kl_buf *sealed,
                                                 struct kl_buf *ret_plain, struct kl_err *err);

/* What seals: kms_seal, or kms_staged_seal. */
typedef enum kl_status (*vault_file_seal)(void *context, const struct kms_place *place,
                                          struct kl_slice aad, struct kl_slice plain,
                                          struct kl_buf *ret, struct kl_err *err);
/* A file being written, chunk by chunk. place.bytes counts. fd is the caller's. */
struct vault_file_writer {
    vault_file_seal seal;
    void *seal_context;
    struct vault_file_place place;
    int fd;
    uint64_t index;
    uint64_t unsynced;
    struct kl_buf plain;
    struct kl_buf sealed;
};
void vault_file_writer_init(struct vault_file_writer *writer, vault_file_seal seal,
                            void *seal_context, const struct vault_file_place *place, int fd);
/* KL_ERR_UNAVAILABLE "vault_disk_full", KL_ERR_IO "file_io", KL_ERR_NO_MEMORY, as the sealing call. */
KL_MUST_USE enum kl_status vault_file_writer_add(struct vault_file_writer *writer,
                                                 const void *bytes, size_t size,
                                                 struct kl_err *err);
/* The last chunk. */
KL_MUST_USE enum kl_status vault_file_writer_end(struct vault_file_writer *writer,
                                                 struct kl_err *err);
void vault_file_writer_done(struct vault_file_writer *writer); /* wipes */
enum kl_status vault_file_seal_now(void *keys, const struct kms_place *place, struct kl_slice aad,
                                   struct kl_slice plain, struct kl_buf *ret, struct kl_err *err);

/*
 * errno of a sync that failed, or of a write that did not for want of room: the end of the process (fail_stop.h). A file that found no room is only given up: it
 * has no name yet, and nobody was told of it.
 */
_Noreturn void vault_file_failed(const char *what);
/* errno of a failed write or open, as "vault_disk_full" or "file_io". what: for the log. */
enum kl_status vault_file_fail(struct kl_err *err, const char *what);

/* ---- what is written down about a file (file_info.c) ---- */

/* The field's value: {"size":…,"media_type":"…","sha256":"…"}, appended. */
void vault_file_info_write(const struct vault_file_info *info, struct kl_buf *ret);
/* KL_ERR_CORRUPT "file_damaged". version is not set. */
KL_MUST_USE enum kl_status vault_file_info_parse(struct kl_slice text, struct vault_file_info *ret,
                                                 struct kl_err *err);

#endif
