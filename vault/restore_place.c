/* One data/ takes the place of another; and the mark that it did. */
#include "vault/restore.h"

#include "kluis/base/file.h"
#include "kluis/base/json.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/files.h"
#include "vault/open.h"
#include "vault/rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTENT_FILE "restore.json"
#define INTENT_MAX_BYTES 1024
#define ASIDE_PREFIX "data.before-"

static enum kl_status io(struct kl_err *err, const char *what, const char *path)
{
    return kl_fail(err, KL_ERR_IO, "data_dir", "the data directory could not be written",
                   "could not %s %s: %m", what, path);
}

static bool there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ---- the mark in data/ ---- */

enum kl_status vault_restored_mark(struct vault_store *data, bool *ret_restored,
                                   struct vault_restored_from *ret, struct kl_err *err)
{
    struct vault_row_key key = vault_row_meta(VAULT_META_RESTORED);
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, 64);
    status = vault_store_get(data, vault_row_slice(&key), &row, &cause);
    if (status != KL_OK && status != KL_ERR_NOT_FOUND) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    } else if (status == KL_OK && row.size != KL_ID_BYTES + 8) {
        status =
            kl_fail(err, KL_ERR_CORRUPT, "mark_damaged", "a mark of the vault is damaged", NULL);
    } else {
        *ret_restored = status == KL_OK;
        if (status == KL_OK && ret != NULL) {
            memcpy(ret->backup.bytes, row.bytes, KL_ID_BYTES);
            ret->taken_us = (int64_t)kl_get_u64be(row.bytes + KL_ID_BYTES);
        }
        status = KL_OK;
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status mark_write(struct vault_store *data, struct kl_slice value,
                                 struct kl_err *err)
{
    struct vault_row_key key = vault_row_meta(VAULT_META_RESTORED);
    struct vault_batch *batch = vault_batch_new();
    enum kl_status status = KL_OK;

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    if (value.bytes == NULL) {
        vault_batch_remove(batch, vault_row_slice(&key));
    } else {
        vault_batch_put(batch, vault_row_slice(&key), value);
    }
    status = vault_store_apply(data, batch, true, err);
    vault_batch_free(batch);
    return status;
}

enum kl_status vault_restored_mark_put(struct vault_store *data,
                                       const struct vault_restored_from *from, struct kl_err *err)
{
    unsigned char row[KL_ID_BYTES + 8];

    memcpy(row, from->backup.bytes, KL_ID_BYTES);
    kl_put_u64be(row + KL_ID_BYTES, (uint64_t)from->taken_us);
    return mark_write(data, kl_slice_of(row, sizeof row), err);
}

enum kl_status vault_restored_mark_remove(struct vault_store *data, struct kl_err *err)
{
    return mark_write(data, (struct kl_slice){NULL, 0}, err);
}

/* ---- changing places ---- */

/* A name for what goes aside that nothing has. */
static enum kl_status aside_name(const char *data_dir, char ret[64], struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    char time[KL_TIME_TEXT_BYTES];
    enum kl_status status = KL_OK;
    unsigned more = 0;

    kl_time_format(kl_time_now_us(), time);
    time[19] = '\0'; /* seconds will do */
    do {
        (void)snprintf(ret, 64, "%s%sZ%.0u", ASIDE_PREFIX, time, more);
        status = vault_path(data_dir, ret, path, err);
        more++;
    } while (status == KL_OK && there(path));
    return status;
}

static enum kl_status intent_write(const char *data_dir, const char *aside, struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    struct kl_buf text;
    struct kl_json_out out;
    enum kl_status status = vault_path(data_dir, INTENT_FILE, path, err);

    kl_buf_init(&text, INTENT_MAX_BYTES);
    out = kl_json_out(&text);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "aside", aside);
    kl_json_object_end(&out);
    kl_buf_add_byte(&text, '\n');
    if (status == KL_OK) {
        status = kl_buf_status(&text, err);
    }
    if (status == KL_OK) {
        status = kl_file_replace(path, 0600, text.bytes, text.size, err);
    }
    kl_buf_done(&text);
    return status;
}

/* ret_aside: the name, without the directory. */
static enum kl_status intent_read(const char *path, char ret_aside[64], bool *ret_there,
                                  struct kl_err *err)
{
    struct kl_buf text = {0};
    struct kl_json *json = NULL;
    struct kl_err cause = {0};
    const char *aside = NULL;
    enum kl_status status = kl_file_read(path, INTENT_MAX_BYTES, &text, &cause);

    *ret_there = status != KL_ERR_NOT_FOUND;
    if (status == KL_ERR_NOT_FOUND) {
        return KL_OK;
    }
    if (status == KL_OK && kl_json_parse(text.bytes, text.size, &json, NULL) == KL_OK) {
        aside = kl_json_text(kl_json_member(kl_json_root(json), "aside"));
    }
    if (status == KL_OK && (aside == NULL || strlen(aside) >= 64 || strchr(aside, '/') != NULL ||
                            strncmp(aside, ASIDE_PREFIX, strlen(ASIDE_PREFIX)) != 0)) {
        status = kl_fail(
            err, KL_ERR_CORRUPT, "restore_damaged",
            "restore.json of the data directory is damaged: run kluisd restore again, after removing it",
            NULL);
    } else if (status == KL_OK) {
        memcpy(ret_aside, aside, strlen(aside) + 1);
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_json_free(json);
    kl_buf_done(&text);
    return status;
}

static enum kl_status move(const char *from, const char *to, const char *data_dir,
                           struct kl_err *err)
{
    if (rename(from, to) != 0) {
        return io(err, "rename", from);
    }
    return kl_dir_sync(data_dir, err);
}

/* Files of values go with the data/ that names them: what is restored has its own beside its tables (files.h). */
static enum kl_status files_aside(const char *data_dir, const char *aside, struct kl_err *err)
{
    char files[VAULT_PATH_MAX_BYTES];
    char to[VAULT_PATH_MAX_BYTES];
    enum kl_status status = vault_path(data_dir, VAULT_FILES_DIR, files, err);

    if (status == KL_OK) {
        status = vault_path(aside, VAULT_FILES_DIR, to, err);
    }
    if (status != KL_OK || !there(files) || !there(aside) || there(to)) {
        return status;
    }
    status = move(files, to, data_dir, err);
    return status == KL_OK ? kl_dir_sync(aside, err) : status;
}

/*
 * restore.json is there, so what is restored is complete. What lies where says how far the last attempt came: what is restored still under its own name
 * means that data/ has not been replaced.
 */
static enum kl_status places_change(const char *data_dir, const char *aside_name_,
                                    struct kl_err *err)
{
    char restoring[VAULT_PATH_MAX_BYTES];
    char data[VAULT_PATH_MAX_BYTES];
    char aside[VAULT_PATH_MAX_BYTES];
    char intent[VAULT_PATH_MAX_BYTES];
    enum kl_status status = vault_path(data_dir, VAULT_RESTORING_DIR, restoring, err);

    if (status != KL_OK || (status = vault_path(data_dir, VAULT_DATA_DIR, data, err)) != KL_OK ||
        (status = vault_path(data_dir, aside_name_, aside, err)) != KL_OK ||
        (status = vault_path(data_dir, INTENT_FILE, intent, err)) != KL_OK) {
        return status;
    }
    if (there(restoring) && there(data)) {
        status = move(data, aside, data_dir, err);
    }
    if (status == KL_OK && there(restoring)) {
        status = files_aside(data_dir, aside, err);
    }
    if (status == KL_OK && there(restoring)) {
        status = move(restoring, data, data_dir, err);
    }
    if (status == KL_OK && unlink(intent) != 0) {
        status = io(err, "remove", intent);
    }
    return status == KL_OK ? kl_dir_sync(data_dir, err) : status;
}

enum kl_status vault_restore_settle(const char *data_dir, struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    char aside[64];
    bool is_there = false;
    enum kl_status status = vault_path(data_dir, INTENT_FILE, path, err);

    if (status == KL_OK) {
        status = intent_read(path, aside, &is_there, err);
    }
    if (status == KL_OK && is_there) {
        kl_log(KL_LOG_WARNING, "restore_resumed", KL_LOG_TEXT("aside", aside));
        status = places_change(data_dir, aside, err);
    }
    return status;
}

enum kl_status vault_restore_swap(const char *data_dir,
                                  char ret_aside[VAULT_RESTORE_PATH_MAX_BYTES], struct kl_err *err)
{
    char data[VAULT_PATH_MAX_BYTES];
    char aside[VAULT_PATH_MAX_BYTES];
    char name[64];
    bool had = false;
    enum kl_status status = vault_path(data_dir, VAULT_DATA_DIR, data, err);

    if (status == KL_OK) {
        status = aside_name(data_dir, name, err);
    }
    if (status == KL_OK) {
        status = vault_path(data_dir, name, aside, err);
    }
    if (status == KL_OK) {
        had = there(data);
        status = intent_write(data_dir, name, err);
    }
    if (status == KL_OK) {
        status = places_change(data_dir, name, err);
    }
    if (status == KL_OK) {
        (void)snprintf(ret_aside, VAULT_RESTORE_PATH_MAX_BYTES, "%s", had ? aside : "");
    }
    return status;
}
