/* The manifest of a backup: written, signed, read, checked. */
#include "vault/backup.h"

#include "kluis/base/encode.h"
#include "kluis/base/file.h"
#include "kluis/base/json.h"
#include "kluis/base/time.h"
#include "vault/rows.h"
#include "vault/signing.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNED_PREFIX "kluis-backup-manifest-v1\n"
#define HEADS_MAX_BYTES ((size_t)8 * 1024 * 1024)

void vault_backup_manifest_init(struct vault_backup_manifest *manifest)
{
    memset(manifest, 0, sizeof *manifest);
    kl_buf_init(&manifest->heads, HEADS_MAX_BYTES);
}

void vault_backup_manifest_done(struct vault_backup_manifest *manifest)
{
    kl_buf_done(&manifest->heads);
    vault_backup_files_done(&manifest->files);
}

/* ---- writing ---- */

static void write_stamp(struct kl_json_out *out, const struct vault_stamp *stamp)
{
    char store_id[2 * KMS_STORE_ID_BYTES + 1];

    kl_hex(stamp->store_id, sizeof stamp->store_id, store_id);
    kl_json_key(out, "stamp");
    kl_json_object_begin(out);
    kl_json_add_text(out, "store_id", store_id);
    kl_json_add_text(out, "country", stamp->country.code);
    kl_json_add_text(out, "place", stamp->place);
    kl_json_add_time(out, "created_at", stamp->created_us);
    kl_json_add_text(out, "software", stamp->software);
    kl_json_object_end(out);
}

static void write_file(struct kl_json_out *out, const struct vault_backup_file *file)
{
    char hash[2 * VAULT_BACKUP_HASH_BYTES + 1];

    kl_hex(file->hash, sizeof file->hash, hash);
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", file->name);
    kl_json_add_int(out, "bytes", (int64_t)file->bytes);
    kl_json_add_text(out, "blake2b", hash);
    if (file->shared) {
        kl_json_add_int(out, "inode", (int64_t)file->inode);
        kl_json_add_int(out, "mtime_ns", file->mtime_ns);
    }
    kl_json_object_end(out);
}

static void write_manifest(struct kl_json_out *out, const struct vault_backup_manifest *manifest)
{
    char id[KL_ID_TEXT_BYTES];
    size_t i;

    kl_id_format(VAULT_BACKUP_PREFIX, &manifest->id, id);
    kl_json_object_begin(out);
    kl_json_add_int(out, "format", VAULT_BACKUP_FORMAT);
    kl_json_add_text(out, "backup", id);
    write_stamp(out, &manifest->stamp);
    kl_json_add_text(out, "country", manifest->country.code);
    kl_json_add_time(out, "taken_at", manifest->taken_us);
    kl_json_add_int(out, "generation", (int64_t)manifest->generation);
    kl_json_add_int(out, "prepared", (int64_t)manifest->prepared);
    kl_json_add_int(out, "noted", (int64_t)manifest->noted);
    kl_json_key(out, "heads");
    if (manifest->heads.size > 0) {
        kl_json_put_raw(out, manifest->heads.bytes, manifest->heads.size);
    } else {
        kl_json_put_raw(out, "[]", 2);
    }
    kl_json_key(out, "files");
    kl_json_array_begin(out);
    for (i = 0; i < manifest->files.count; i++) {
        write_file(out, &manifest->files.items[i]);
    }
    kl_json_array_end(out);
    kl_json_object_end(out);
}

/* What is signed: see backup.h. */
static void hash_line(struct kl_slice line, unsigned char ret[crypto_generichash_BYTES_MAX])
{
    crypto_generichash_state state;

    (void)crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES_MAX);
    (void)crypto_generichash_update(&state, (const unsigned char *)SIGNED_PREFIX,
                                    strlen(SIGNED_PREFIX));
    (void)crypto_generichash_update(&state, line.bytes, line.size);
    (void)crypto_generichash_final(&state, ret, crypto_generichash_BYTES_MAX);
}

struct signing {
    const unsigned char *hash;
    unsigned char *signature;
};

static enum kl_status sign_with(void *context, const struct vault_signer *signer,
                                struct kl_err *err)
{
    const struct signing *signing = context;

    return vault_signer_sign(signer, VAULT_BACKUP_MANIFEST_LABEL,
                             kl_slice_of(signing->hash, crypto_generichash_BYTES_MAX),
                             signing->signature, err);
}

enum kl_status vault_backup_manifest_write(struct kms *keys,
                                           const struct vault_backup_manifest *manifest,
                                           struct kl_buf *ret, struct kl_err *err)
{
    unsigned char hash[crypto_generichash_BYTES_MAX];
    unsigned char signature[KMS_SIGNATURE_BYTES];
    struct signing signing = {.hash = hash, .signature = signature};
    char text[KL_BASE64_CHARS(KMS_SIGNATURE_BYTES) + 1];
    struct kl_json_out out = kl_json_out(ret);
    size_t start = ret->size;
    enum kl_status status = KL_OK;

    write_manifest(&out, manifest);
    status = kl_buf_status(ret, err);
    if (status == KL_OK) {
        hash_line(kl_slice_of(ret->bytes + start, ret->size - start), hash);
        status = vault_signing_with(keys, KMS_TENANT_VAULT, sign_with, &signing, err);
    }
    if (status != KL_OK) {
        return status;
    }
    kl_base64(signature, sizeof signature, text);
    kl_buf_add_byte(ret, '\n');
    out = kl_json_out(ret);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "signature", text);
    kl_json_object_end(&out);
    kl_buf_add_byte(ret, '\n');
    return kl_buf_status(ret, err);
}

/* ---- reading ---- */

static enum kl_status damaged(struct kl_err *err, const char *what)
{
    return kl_failf(err, KL_ERR_CORRUPT, "backup_damaged", "the backup is damaged: %s: %s",
                    VAULT_BACKUP_MANIFEST_FILE, what);
}

static bool take_text(const struct kl_json_value *object, const char *key, char *ret,
                      size_t ret_bytes)
{
    const char *text = kl_json_text(kl_json_member(object, key));

    if (text == NULL || strlen(text) >= ret_bytes) {
        return false;
    }
    memcpy(ret, text, strlen(text) + 1);
    return true;
}

static bool take_number(const struct kl_json_value *object, const char *key, uint64_t *ret)
{
    int64_t number = 0;

    if (!kl_json_int(kl_json_member(object, key), &number) || number < 0) {
        return false;
    }
    *ret = (uint64_t)number;
    return true;
}

static bool take_time(const struct kl_json_value *object, const char *key, int64_t *ret)
{
    const char *text = kl_json_text(kl_json_member(object, key));

    return text != NULL && kl_time_parse(text, strlen(text), ret, NULL) == KL_OK;
}

static bool take_country(const struct kl_json_value *object, struct vault_country *ret)
{
    const char *text = kl_json_text(kl_json_member(object, "country"));

    return text != NULL && vault_country_parse(text, strlen(text), ret, NULL) == KL_OK;
}

static bool take_stamp(const struct kl_json_value *object, struct vault_stamp *ret)
{
    char store_id[2 * KMS_STORE_ID_BYTES + 1];

    return take_text(object, "store_id", store_id, sizeof store_id) &&
           kl_hex_decode(store_id, strlen(store_id), ret->store_id, sizeof ret->store_id) &&
           take_country(object, &ret->country) &&
           take_text(object, "place", ret->place, sizeof ret->place) &&
           take_time(object, "created_at", &ret->created_us) &&
           take_text(object, "software", ret->software, sizeof ret->software);
}

static bool take_file(const struct kl_json_value *object, struct vault_backup_file *ret)
{
    const char *hash = kl_json_text(kl_json_member(object, "blake2b"));
    int64_t number = 0;

    memset(ret, 0, sizeof *ret);
    ret->shared = kl_json_member(object, "inode") != NULL;
    if (ret->shared && (!take_number(object, "inode", &ret->inode) ||
                        !kl_json_int(kl_json_member(object, "mtime_ns"), &number))) {
        return false;
    }
    ret->mtime_ns = number;
    return take_text(object, "name", ret->name, sizeof ret->name) &&
           vault_backup_file_name_valid(ret->name) && take_number(object, "bytes", &ret->bytes) &&
           hash != NULL && kl_hex_decode(hash, strlen(hash), ret->hash, sizeof ret->hash);
}

static enum kl_status take_files(const struct kl_json_value *array,
                                 struct vault_backup_manifest *manifest, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_json_iter iter = kl_json_iter(array);
    const struct kl_json_value *value = NULL;
    struct vault_backup_file file;

    while (status == KL_OK && kl_json_next(&iter, NULL, &value)) {
        status = manifest->files.count < VAULT_BACKUP_FILES_MAX && take_file(value, &file)
                     ? vault_backup_files_add(&manifest->files, &file, err)
                     : damaged(err, "a file");
    }
    return status;
}

static enum kl_status take_all(const struct kl_json_value *root, const struct kl_id *id,
                               struct vault_backup_manifest *manifest, struct kl_err *err)
{
    const char *text = kl_json_text(kl_json_member(root, "backup"));
    uint64_t format = 0;

    if (!take_number(root, "format", &format)) {
        return damaged(err, "no format");
    }
    if (format != VAULT_BACKUP_FORMAT) {
        return kl_failf(err, KL_ERR_REFUSED, "backup_format",
                        "the backup is of format %" PRIu64
                        ", this version knows format %d: use the version that made it",
                        format, VAULT_BACKUP_FORMAT);
    }
    if (text == NULL || kl_id_parse(VAULT_BACKUP_PREFIX, text, &manifest->id, NULL) != KL_OK ||
        !kl_id_equal(&manifest->id, id)) {
        return damaged(err, "it is of another backup");
    }
    if (!take_stamp(kl_json_member(root, "stamp"), &manifest->stamp) ||
        !take_country(root, &manifest->country) ||
        !take_time(root, "taken_at", &manifest->taken_us) ||
        !take_number(root, "generation", &manifest->generation) ||
        !take_number(root, "prepared", &manifest->prepared) ||
        !take_number(root, "noted", &manifest->noted)) {
        return damaged(err, "a member is missing");
    }
    kl_json_write_value(&manifest->heads, kl_json_member(root, "heads"));
    if (kl_buf_status(&manifest->heads, err) != KL_OK) {
        return damaged(err, "too many heads");
    }
    return take_files(kl_json_member(root, "files"), manifest, err);
}

/* A manifest's signature, and the keys that it may be by. chained: the links so far go on after each other. */
struct checking {
    unsigned char hash[crypto_generichash_BYTES_MAX];
    unsigned char signature[KMS_SIGNATURE_BYTES];
    bool chained;
    bool good;
    unsigned char last_key[KMS_PUBLIC_KEY_BYTES];
};

static bool is_signed_by(const struct checking *checking,
                         const unsigned char key[KMS_PUBLIC_KEY_BYTES])
{
    return crypto_sign_verify_detached(checking->signature, checking->hash, sizeof checking->hash,
                                       key) == 0;
}

static enum kl_status check_link(void *visitor, const struct kl_trail_link *link, bool holds,
                                 struct kl_err *err)
{
    struct checking *checking = visitor;

    (void)err;
    checking->chained = checking->chained && holds;
    checking->good =
        checking->good || (link->has_backup_key && is_signed_by(checking, link->backup_key));
    memcpy(checking->last_key, link->new_key, sizeof checking->last_key);
    return KL_OK;
}

/* By the key in use, or by one of before that a chain of signatures leads from to the one in use. */
static enum kl_status check_keys(struct kms *keys, struct checking *checking, struct kl_err *err)
{
    unsigned char key[KMS_PUBLIC_KEY_BYTES];
    struct vault_signer signer;
    enum kl_status status = vault_signer_get(keys, KMS_TENANT_VAULT, &signer, err);

    if (status == KL_OK) {
        status = kms_public_key(keys, &signer.place, VAULT_BACKUP_MANIFEST_LABEL, key, err);
    }
    if (status != KL_OK || is_signed_by(checking, key)) {
        checking->good = status == KL_OK;
        return status;
    }
    checking->chained = true;
    status = vault_signing_each(keys, KMS_TENANT_VAULT, "", check_link, checking, err);
    checking->good = checking->good && checking->chained &&
                     memcmp(checking->last_key, signer.public_key, sizeof signer.public_key) == 0;
    return status;
}

static enum kl_status check_signature(struct kms *keys, struct kl_slice line,
                                      struct kl_slice signed_by, struct kl_err *err)
{
    struct checking checking = {.good = false};
    struct kl_json *json = NULL;
    const char *text = NULL;
    enum kl_status status = KL_OK;

    if (kl_json_parse(signed_by.bytes, signed_by.size, &json, NULL) == KL_OK) {
        text = kl_json_text(kl_json_member(kl_json_root(json), "signature"));
        hash_line(line, checking.hash);
        if (text != NULL &&
            kl_base64_decode(text, strlen(text), checking.signature, sizeof checking.signature)) {
            status = check_keys(keys, &checking, err);
        }
    }
    kl_json_free(json);
    if (status != KL_OK) {
        return status;
    }
    return checking.good
               ? KL_OK
               : kl_fail(
                     err, KL_ERR_REFUSED, "backup_signature",
                     "the backup's manifest is not signed by this vault: it was changed, or is another vault's",
                     NULL);
}

enum kl_status vault_backup_manifest_parse(struct kms *keys, struct kl_slice text,
                                           const struct kl_id *id,
                                           struct vault_backup_manifest *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const unsigned char *end = text.size == 0 ? NULL : memchr(text.bytes, '\n', text.size);
    struct kl_json *json = NULL;
    struct kl_slice line;

    if (end == NULL) {
        return damaged(err, "no second line");
    }
    line = kl_slice_of(text.bytes, (size_t)(end - text.bytes));
    if (keys != NULL) {
        status = check_signature(keys, line, kl_slice_of(end + 1, text.size - line.size - 1), err);
    }
    if (status == KL_OK && kl_json_parse(line.bytes, line.size, &json, NULL) != KL_OK) {
        status = damaged(err, "not JSON");
    }
    if (status == KL_OK) {
        status = take_all(kl_json_root(json), id, ret, err);
    }
    kl_json_free(json);
    return status;
}

/* Whose folder it is need not be looked at: the signature says that the manifest is ours. */
static enum kl_status text_read(int dir, const char *name, struct kl_buf *ret, struct kl_err *err)
{
    int folder = -1;
    enum kl_status status = vault_backup_folder_open(dir, name, false, &folder, err);

    if (status == KL_OK) {
        status = kl_file_read_at(folder, VAULT_BACKUP_MANIFEST_FILE,
                                 VAULT_BACKUP_MANIFEST_MAX_BYTES, ret, err);
    }
    vault_backup_dir_close(folder);
    return status;
}

enum kl_status vault_backup_manifest_read(struct kms *keys, int dir, const struct kl_id *id,
                                          struct vault_backup_manifest *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char name[KL_ID_TEXT_BYTES];
    struct kl_buf text = {0};
    struct kl_err cause = {0};

    kl_id_format(VAULT_BACKUP_PREFIX, id, name);
    status = text_read(dir, name, &text, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        return kl_failf(err, KL_ERR_NOT_FOUND, "no_backup",
                        "there is no backup %s in that directory", name);
    }
    if (status == KL_ERR_TOO_LARGE) {
        return damaged(err, "too large");
    }
    if (status == KL_ERR_CONFLICT) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    if (status != KL_OK) {
        return kl_fail(err, status, "backup_io", "the backup directory cannot be read", "%s",
                       cause.log_text);
    }
    status = vault_backup_manifest_parse(keys, kl_buf_slice(&text), id, ret, err);
    kl_buf_done(&text);
    return status;
}
