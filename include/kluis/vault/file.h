/*
 * Fields of type file: their bytes come and go as a stream, in constant
 * memory, and are never part of a record's JSON. In a read such a field is
 * {"size", "media_type", "sha256"} where it may be seen plain.
 *
 * Every chunk of at most VAULT_FILE_CHUNK_BYTES is sealed by itself under one value slot of the subject, so that a file goes with its record
 * and its subject; it is bound to its file, its place in it and whether it is the last (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, "Online
 * Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015).
 *
 * Threads: an upload and a download belong to one at a time; any number of them at once.
 */
#ifndef KLUIS_VAULT_FILE_H
#define KLUIS_VAULT_FILE_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/subject.h"
#include "kluis/vault/vault.h"

#include <stddef.h>
#include <stdint.h>

#define VAULT_FILE_CHUNK_BYTES 65536u
#define VAULT_FILE_MAX_BYTES_DEFAULT (INT64_C(5) * 1024 * 1024 * 1024)
#define VAULT_FILE_MAX_BYTES_LIMIT (INT64_C(512) * 1024 * 1024 * 1024)
/* "type/subtype", with parameters, as it stands in Content-Type (RFC 9110, 8.3.1). */
#define VAULT_MEDIA_TYPE_MAX_BYTES 127
#define VAULT_UPLOADS_MAX 1024 /* at once in one vault */
#define VAULT_FILE_SHA256_BYTES 32

/* Whether text (size bytes) is a media type: type/subtype, then parameters name=token or name="text". Any bytes may be asked about. */
bool vault_media_type_valid(const char *text, size_t size);

/* What is known of a file. version: the record's when the file was put; the ETag. */
struct vault_file_info {
    uint64_t bytes;
    uint64_t version;
    char media_type[VAULT_MEDIA_TYPE_MAX_BYTES + 1];
    unsigned char sha256[VAULT_FILE_SHA256_BYTES];
};

/*
 * What to put. if_version: the record's version that the caller saw (If-Match); 0: any. bytes: how many will come. All of it is copied.
 */
struct vault_upload_input {
    struct kl_id subject;
    struct kl_id record;
    const char *field;
    const char *media_type;
    uint64_t if_version;
    uint64_t bytes;
};

struct vault_upload;

/*
 * Begin: everything is checked that can be before the bytes come. Takes a value slot, durably, with an audit entry "file_begin"; until the end
 * the slot is listed for a sweep, so that an upload that comes to nothing leaves no key behind. caller must outlive the upload.
 *
 * KL_ERR_NOT_FOUND "not_found": no such subject or record, or none that the role may write to. KL_ERR_FORBIDDEN "withheld". KL_ERR_INVALID
 * "unknown_field", "not_a_file" (the field has another type), "invalid_media_type". KL_ERR_PRECONDITION "version_mismatch". KL_ERR_TOO_LARGE
 * "file_too_large" (VAULT_FILE_MAX_BYTES_LIMIT). KL_ERR_UNAVAILABLE "vault_disk_full": so many bytes would fill the disk. KL_ERR_BUSY
 * "uploads_under_way": VAULT_UPLOADS_MAX. KL_ERR_REFUSED "no_policy"; KL_ERR_IO "file_io"; KL_ERR_NO_MEMORY; as vault_record_patch().
 */
KL_MUST_USE enum kl_status vault_upload_begin(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct vault_upload_input *input,
                                              struct vault_upload **ret_upload, struct kl_err *err);
/*
 * Take size bytes more, any number at a time. KL_ERR_UNAVAILABLE "vault_disk_full"; KL_ERR_INVALID "file_longer": more than was said;
 * KL_ERR_BUSY "upload_cut": the subject or its record was erased, or its keys were made anew; KL_ERR_IO "file_io". After an error it can only be ended.
 */
KL_MUST_USE enum kl_status vault_upload_write(struct vault_upload *upload, const void *bytes,
                                              size_t size, struct kl_err *err);
/*
 * All came: synced, then made the field's value in one commit; what was there before is retired for a sweep. Errors as of
 * vault_upload_begin() (things may have changed) and vault_upload_write(); KL_ERR_INVALID "file_shorter".
 * ret_version: the record's new version. ret_info may be NULL.
 */
KL_MUST_USE enum kl_status vault_upload_finish(struct vault_upload *upload, uint64_t *ret_version,
                                               struct vault_file_info *ret_info,
                                               struct kl_err *err);
/* End it; what was not finished is removed. NULL is fine. */
void vault_upload_free(struct vault_upload *upload);

struct vault_download;

/*
 * Open a file for a reader: the decision of every read, plain or nothing, and its audit entry "file_read", durable when this returns; for a
 * recipient it is a disclosure, which is in the ledger then. A volume counts it as one subject shown.
 * input: as for vault_subject_read(), with record set; its fields are not looked at. KL_ERR_NOT_FOUND "not_found": also when the record has
 * no such file. KL_ERR_FORBIDDEN "withheld": a gate says no, or shows another view than plain. KL_ERR_INVALID "unknown_field",
 * "not_a_file", "purpose_required", ...; KL_ERR_FORBIDDEN "volume_exceeded", KL_ERR_BUSY "subject_busy", KL_ERR_TOO_LARGE
 * "too_many_disclosures" as vault_subject_read(); KL_ERR_CORRUPT "file_damaged"; KL_ERR_UNAVAILABLE "audit_unavailable".
 */
KL_MUST_USE enum kl_status vault_download_open(
    struct vault *vault, const struct vault_caller *caller, const struct vault_read_input *input,
    const char *field, struct kl_arena *arena, struct vault_download **ret_download,
    struct vault_file_info *ret_info, struct kl_err *err);
/* Only count bytes from first on (first + count <= the file's bytes: an assert). Before the first vault_download_next(). */
void vault_download_range(struct vault_download *download, uint64_t first, uint64_t count);
/*
 * The next bytes: a slice that lives until the next call; size 0: that was all. A key is held for one chunk and never between two calls.
 * KL_ERR_GONE "file_gone": the file, its record or its subject was erased meanwhile. KL_ERR_CORRUPT "file_damaged"; KL_ERR_IO "file_io".
 */
KL_MUST_USE enum kl_status vault_download_next(struct vault_download *download,
                                               struct kl_slice *ret, struct kl_err *err);
void vault_download_free(struct vault_download *download); /* wipes; NULL is fine */

#endif
