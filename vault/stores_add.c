/*
 * A new store, and where stores lie.
 *
 * Order: the trail says that it was asked for; the list has it, not whole; its directory is made as kluisd init makes one, the stamp last;
 * it is opened; the trail says that it is there; the list has it whole. A crash before the stamp leaves what the list calls cut short,
 * one after it a store that the next start finishes.
 */
#include "vault/stores_internal.h"

#include "kluis/base/log.h"
#include "vault/act.h"
#include "vault/folder.h"
#include "vault/open.h"
#include "vault/tenants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- apart ---- */

/* The data directory of a store; false: it has none, being cut short. */
static bool directory_of(struct vault_stores *stores, size_t index, char ret[VAULT_PATH_MAX_BYTES])
{
    struct vault_store_entry *entry = stores->entries[index];
    bool is_away = atomic_load(&entry->away); /* before: it may come back */
    const struct vault *vault = atomic_load(&entry->vault);

    if (vault == NULL && !is_away) {
        return false;
    }
    (void)pthread_mutex_lock(&stores->lock);
    (void)snprintf(ret, VAULT_PATH_MAX_BYTES, "%s",
                   vault != NULL ? vault->data_dir : entry->row.directory);
    (void)pthread_mutex_unlock(&stores->lock);
    return true;
}

/*
 * A directory that somebody names, without links. folder: its own, or that in which it would be made. ret of what is asked: whether it and a place of a
 * store lie within each other. That it lies in the folder of a root file is no matter, but for that folder itself: data directories do as well.
 */
struct place {
    const char *path;
    int folder;
};

static struct place place_open(const char *path)
{
    struct place place = {path, open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    char parent[PATH_MAX];
    char *slash = NULL;

    if (place.folder < 0) {
        (void)snprintf(parent, sizeof parent, "%s", path);
        slash = strrchr(parent, '/');
        slash[slash == parent ? 1 : 0] = '\0';
        place.folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    return place;
}

static bool meets_data(const struct place *place, const struct vault *vault)
{
    struct stat facts;

    return stat(vault->data_dir, &facts) == 0 &&
           vault_folder_lies_in(place->folder, facts.st_dev, facts.st_ino);
}

static bool meets_root_file(const struct place *place, const struct vault *vault)
{
    char file[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1];
    struct kms_state state;
    struct stat facts;

    kms_root_file(vault->keys, file);
    kms_state(vault->keys, &state);
    return vault_folder_holds(place->path, file) ||
           (state.root_folder_inode != 0 && stat(place->path, &facts) == 0 &&
            facts.st_dev == (dev_t)state.root_folder_device &&
            facts.st_ino == (ino_t)state.root_folder_inode);
}

static bool meets_mirror(const struct place *place, const struct vault *vault)
{
    struct kms_mirror_info mirrors[KMS_MIRRORS_MAX];
    size_t count = 0;
    bool meets = false;
    size_t i;

    kms_mirrors(vault->keys, mirrors, &count);
    for (i = 0; i < count && !meets; i++) {
        const struct kms_custodian_report *report = &mirrors[i].report;

        meets = vault_folders_touch(place->path, mirrors[i].dir) ||
                (report->folder_inode != 0 &&
                 vault_folder_lies_in(place->folder, (dev_t)report->folder_device,
                                      (ino_t)report->folder_inode));
    }
    return meets;
}

static bool holds_file_of(const char *path, const char *custodian)
{
    const char *file = strchr(custodian, ':');

    return file != NULL && strncmp(custodian, "pkcs11:", 7) != 0 &&
           vault_folder_holds(path, file + 1);
}

/* What the list says of where the root key of a store is that is away; its disk is not touched. */
static bool meets_listed(struct vault_stores *stores, size_t index, const struct place *place)
{
    const struct vault_store_row *row = &stores->entries[index]->row;
    bool meets = false;

    (void)pthread_mutex_lock(&stores->lock);
    meets = holds_file_of(place->path, row->custodian) || holds_file_of(place->path, row->next);
    (void)pthread_mutex_unlock(&stores->lock);
    return meets;
}

static bool meets(struct vault_stores *stores, size_t index, const struct place *place)
{
    const struct vault *vault = vault_stores_at(stores, index, NULL);
    char directory[VAULT_PATH_MAX_BYTES];

    if (!directory_of(stores, index, directory)) {
        return false;
    }
    if (vault_folders_touch(directory, place->path)) {
        return true;
    }
    return vault == NULL ? meets_listed(stores, index, place)
                         : meets_data(place, vault) || meets_root_file(place, vault) ||
                               meets_mirror(place, vault);
}

/* except: whose own places are looked at elsewhere; NULL: none. path is without links. */
static enum kl_status check_apart(struct vault_stores *stores, const struct vault *except,
                                  const char *path, struct kl_err *err)
{
    const struct place place = place_open(path);
    size_t count = vault_stores_count(stores);
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < count; i++) {
        const struct vault *vault = vault_stores_at(stores, i, NULL);

        if ((vault == NULL || vault != except) && meets(stores, i, &place)) {
            status = kl_failf(
                err, KL_ERR_INVALID, "invalid_directory",
                "the directory and a place of the store %s lie within each other: it has to be apart",
                stores->entries[i]->name);
        }
    }
    if (place.folder >= 0) {
        (void)close(place.folder);
    }
    return status;
}

enum kl_status vault_stores_apart(struct vault_stores *stores, const struct vault *vault,
                                  const struct vault_caller *caller, const char *directory,
                                  struct kl_err *err)
{
    char path[PATH_MAX];

    if (caller->builtin != VAULT_BUILTIN_OPERATOR || vault_stores_count(stores) == 1 ||
        vault_folder_check(directory, path, NULL) != KL_OK) {
        return KL_OK; /* who makes something of it looks for itself */
    }
    return check_apart(stores, vault, path, err);
}

/* A root file in another store's directory would go where that one's copies go. */
static enum kl_status check_root_file(struct vault_stores *stores, const char *custodian,
                                      struct kl_err *err)
{
    char directory[VAULT_PATH_MAX_BYTES];
    char path[PATH_MAX];
    size_t count = vault_stores_count(stores);
    size_t i;

    if (strncmp(custodian, "pkcs11:", 7) == 0) {
        return KL_OK;
    }
    if (vault_folder_check(strchr(custodian, ':') + 1, path, NULL) != KL_OK) {
        kl_err_where(err, "/custodian");
        return kl_failf(
            err, KL_ERR_INVALID, "invalid_custodian",
            "the folder of the root file cannot be found, or its path is longer than %d",
            VAULT_FOLDER_MAX_BYTES);
    }
    for (i = 0; i < count; i++) {
        if (directory_of(stores, i, directory) && vault_folder_holds(directory, path)) {
            kl_err_where(err, "/custodian");
            return kl_failf(
                err, KL_ERR_INVALID, "root_file_in_data",
                "the root file may not lie in the data directory of a store: that of %s",
                stores->entries[i]->name);
        }
    }
    return KL_OK;
}

/* ---- what is asked for ---- */

static enum kl_status check_name(struct vault_stores *stores, const char *name, struct kl_err *err)
{
    const struct vault_store_entry *entry = NULL;

    if (!vault_store_name_valid(name)) {
        kl_err_where(err, "/name");
        return kl_failf(err, KL_ERR_INVALID, "invalid_store_name",
                        "a store's name has 1 to %d of a-z, 0-9 and -, and does not start with -",
                        VAULT_STORE_NAME_MAX_BYTES);
    }
    entry = vault_stores_find(stores, name);
    if (entry != NULL && (atomic_load(&entry->vault) != NULL || atomic_load(&entry->away))) {
        kl_err_where(err, "/name");
        return kl_fail(err, KL_ERR_EXISTS, "store_exists", "there is a store of that name", NULL);
    }
    if (entry == NULL && vault_stores_count(stores) == VAULT_STORES_MAX) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "stores_too_many", "a vault has at most %d stores",
                        VAULT_STORES_MAX);
    }
    return KL_OK;
}

/* One that is there already is this user's own, and nobody else may write to it. That it is empty is seen when it is made. */
static enum kl_status check_owner(const char *path, struct kl_err *err)
{
    struct stat facts;

    if (lstat(path, &facts) != 0 && errno == ENOENT) {
        return KL_OK;
    }
    if (!S_ISDIR(facts.st_mode) || facts.st_uid != geteuid() ||
        (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return kl_fail(
            err, KL_ERR_CONFLICT, "store_directory_unsafe",
            "the directory is no folder, another user's, or others may write to it: it has "
            "to be the server's user's own (chown, chmod go-w), or missing",
            NULL);
    }
    return KL_OK;
}

static enum kl_status take_directory(struct vault_stores *stores, const char *directory,
                                     struct vault_store_row *row, struct kl_err *err)
{
    char path[PATH_MAX];
    enum kl_status status = vault_folder_check(directory, path, err);

    if (status == KL_OK && strlen(path) >= sizeof row->directory) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_directory",
                         "the directory has too long a path", NULL);
    }
    if (status == KL_OK) {
        status = check_apart(stores, NULL, path, err);
    }
    if (status == KL_OK) {
        status = check_owner(path, err);
    }
    if (status == KL_OK) {
        memcpy(row->directory, path, strlen(path) + 1);
    } else {
        kl_err_where(err, "/directory");
    }
    return status;
}

static enum kl_status take_country(const char *place, struct vault_store_row *row,
                                   struct kl_err *err)
{
    enum kl_status status = strlen(place) <= VAULT_PLACE_MAX_BYTES
                                ? vault_place_country(place, &row->country, err)
                                : kl_fail(err, KL_ERR_INVALID, "invalid_country",
                                          "a country is two letters, a region at most 64", NULL);

    if (status == KL_OK) {
        memcpy(row->place, place, strlen(place) + 1);
    } else {
        kl_err_where(err, "/country");
    }
    return status;
}

static enum kl_status take_custodian(struct vault_stores *stores,
                                     const struct vault_store_input *input,
                                     struct vault_store_row *row, struct kl_err *err)
{
    char kind[16];
    enum kl_status status = KL_OK;

    if (strlen(input->custodian) > VAULT_STORE_CUSTODIAN_MAX_BYTES) {
        kl_err_where(err, "/custodian");
        return kl_fail(err, KL_ERR_INVALID, "invalid_custodian", "the custodian is too long", NULL);
    }
    status = vault_custodian_check(input->custodian, input->passphrase, kind, err);
    if (status == KL_OK) {
        status = check_root_file(stores, input->custodian, err);
    }
    if (status == KL_OK) {
        memcpy(row->custodian, input->custodian, strlen(input->custodian) + 1);
    }
    return status;
}

static enum kl_status take_input(struct vault_stores *stores, const struct vault_store_input *input,
                                 struct vault_store_row *row, struct kl_err *err)
{
    enum kl_status status = check_name(stores, input->name, err);

    if (status == KL_OK) {
        memcpy(row->name, input->name, strlen(input->name) + 1);
        status = take_directory(stores, input->directory, row, err);
    }
    if (status == KL_OK) {
        status = take_country(input->country, row, err);
    }
    if (status == KL_OK) {
        status = take_custodian(stores, input, row, err);
    }
    return status;
}

/* ---- making ---- */

/* failed: a code; NULL: it is asked for. */
static enum kl_status note(struct vault *main, const struct vault_audit_who *who,
                           const struct vault_store_row *row, const char *failed,
                           struct kl_err *err)
{
    char custodian[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1];
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    vault_act_begin(&act, KMS_TENANT_VAULT, who,
                    failed == NULL ? "store_add_asked" : "store_add_failed");
    if (row->name[0] != '\0') {
        kl_json_add_text(&act.out, "store", row->name);
    }
    if (failed != NULL) {
        kl_json_add_text(&act.out, "code", failed);
    } else {
        kms_custodian_text_public(row->custodian, custodian);
        kl_json_add_text(&act.out, "directory", row->directory);
        kl_json_add_text(&act.out, "country", row->country.code);
        kl_json_add_text(&act.out, "custodian", custodian);
    }
    status = vault_act_commit(main, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

/* Nothing of an attempt is left. */
static bool is_untouched(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry = NULL;
    bool empty = true;

    if (folder == NULL) {
        return errno == ENOENT;
    }
    while (empty && (entry = readdir(folder)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    (void)closedir(folder);
    return empty;
}

static enum kl_status make_directory(struct vault_stores *stores, const struct vault_store_row *row,
                                     struct kl_slice passphrase, struct kl_err *err)
{
    struct vault_options options = stores->common;
    struct vault_token none = {{0}}; /* its operators are main's */

    options.data_dir = row->directory;
    options.country = row->place;
    options.custodian = row->custodian;
    options.passphrase = passphrase.size == 0 ? NULL : (const char *)passphrase.bytes;
    options.passphrase_bytes = passphrase.size;
    options.store = row->name;
    options.main = stores->main;
    return vault_init(&options, &none, &none, err);
}

/* The row is on the list, not whole; the directory may have something in it. */
static enum kl_status entry_for(struct vault_stores *stores, const struct vault_store_row *row,
                                struct vault_store_entry **ret, struct kl_err *err)
{
    struct vault_store_entry *entry = vault_stores_find(stores, row->name);

    if (entry == NULL) {
        return vault_store_entry_add(stores, row, ret, err);
    }
    vault_store_row_take(stores, entry, row); /* it was cut short before */
    *ret = entry;
    return KL_OK;
}

static enum kl_status make(struct vault_stores *stores, const struct vault_store_row *row,
                           struct kl_slice passphrase, const struct vault_audit_who *who,
                           struct vault_store_entry **ret_entry, struct kl_err *err)
{
    struct vault_store_entry *entry = NULL;
    enum kl_status made = KL_OK;
    enum kl_status status = vault_store_row_put(stores->main, row, err);

    if (status != KL_OK) {
        return status;
    }
    made = make_directory(stores, row, passphrase, err);
    if (made != KL_OK && vault_stores_find(stores, row->name) == NULL &&
        is_untouched(row->directory)) {
        if (vault_store_row_remove(stores->main, row->name, NULL) != KL_OK) {
            kl_log(KL_LOG_WARNING, "store_row_left", KL_LOG_TEXT("store", row->name));
        }
        return made;
    }
    status = entry_for(stores, row, &entry, made == KL_OK ? err : NULL);
    if (made != KL_OK || status != KL_OK) {
        return made != KL_OK ? made : status;
    }
    status = vault_store_entry_open(stores, entry, passphrase.size == 0 ? NULL : passphrase.bytes,
                                    passphrase.size, who, err);
    if (status == KL_OK) {
        *ret_entry = entry;
    } else {
        vault_store_entry_away(stores, entry, err); /* it is whole: it is tried again */
    }
    return status;
}

/* The turn is held. */
static enum kl_status add(struct vault_stores *stores, const struct vault_caller *caller,
                          const struct vault_store_input *input,
                          struct vault_store_entry **ret_entry, struct kl_err *err)
{
    char location[3];
    const struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_store_row row = {.added_us = caller->now_us};
    struct kl_err cause = {0};
    enum kl_status noted = KL_OK;
    enum kl_status status = take_input(stores, input, &row, &cause);

    if (status == KL_OK) {
        noted = note(stores->main, &who, &row, NULL, err);
        if (noted != KL_OK) {
            return noted;
        }
        status = make(stores, &row, input->passphrase, &who, ret_entry, &cause);
    }
    if (status == KL_OK) {
        return KL_OK;
    }
    if (note(stores->main, &who, &row, cause.code, NULL) != KL_OK) {
        kl_log_err(KL_LOG_ERROR, "store_add_failed", &cause); /* the trail is out of use by then */
    }
    if (cause.where[0] != '\0') {
        kl_err_where(err, "%s", cause.where);
    }
    return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_stores_add(struct vault_stores *stores, struct vault *vault,
                                const struct vault_caller *caller,
                                const struct vault_store_input *input,
                                struct vault_store_result *ret, struct kl_err *err)
{
    struct vault_store_entry *entry = NULL;
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "store_add", err);

    if (status != KL_OK) {
        return status;
    }
    vault_turn_take(&stores->turn);
    status = add(stores, caller, input, &entry, err);
    vault_turn_give(&stores->turn);
    if (status == KL_OK) {
        vault_store_describe(stores, entry, ret);
    }
    return status;
}

/* ---- another custodian ---- */

/* The turn is held. What fails may have moved the root key nonetheless: the list keeps both places, and the next open finds out. */
static enum kl_status move(struct vault_stores *stores, struct vault *vault,
                           const struct vault_caller *caller,
                           const struct vault_custodian_input *input,
                           struct vault_custodian_result *ret, struct kl_err *err)
{
    struct vault_store_entry *entry = vault_stores_find(stores, vault->name);
    struct vault_store_row row = entry->row;
    enum kl_status status = KL_OK;

    (void)snprintf(row.next, sizeof row.next, "%s", input->custodian);
    status = vault_store_row_put(stores->main, &row, err);
    if (status == KL_OK) {
        vault_store_row_take(stores, entry, &row);
        status = vault_custodian_change(vault, caller, input, ret, err);
    }
    if (status == KL_OK) {
        memcpy(row.custodian, row.next, sizeof row.custodian);
        row.next[0] = '\0';
        status = vault_store_row_put(stores->main, &row, err);
        vault_store_row_take(stores, entry, &row);
    }
    return status;
}

enum kl_status vault_stores_custodian_change(struct vault_stores *stores, struct vault *vault,
                                             const struct vault_caller *caller,
                                             const struct vault_custodian_input *input,
                                             struct vault_custodian_result *ret, struct kl_err *err)
{
    char kind[16];
    enum kl_status status = KL_OK;

    if (caller->builtin != VAULT_BUILTIN_OPERATOR || vault_stores_count(stores) == 1 ||
        strlen(input->custodian) > VAULT_STORE_CUSTODIAN_MAX_BYTES ||
        vault_custodian_check(input->custodian, input->passphrase, kind, NULL) != KL_OK) {
        return vault_custodian_change(vault, caller, input, ret,
                                      err); /* which says what is wrong */
    }
    vault_turn_take(&stores->turn);
    status = check_root_file(stores, input->custodian, err);
    if (status == KL_OK && vault == stores->main) {
        status = vault_custodian_change(vault, caller, input, ret, err);
    } else if (status == KL_OK) {
        status = move(stores, vault, caller, input, ret, err);
    }
    vault_turn_give(&stores->turn);
    return status;
}
