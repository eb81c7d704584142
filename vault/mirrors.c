#include "vault/mirrors.h"

#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/place.h"
#include "vault/receipt.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <string.h>

_Static_assert(VAULT_MIRRORS_MAX == KMS_MIRRORS_MAX, "as many");
_Static_assert(KL_ID_BYTES == KMS_MIRROR_ID_BYTES, "an id");

static const struct vault_audit_who at_the_machine = {.role = "kluisd"};

/* ---- how they are ---- */

static struct kl_id id_of(const struct kms_mirror_info *info)
{
    struct kl_id id;

    memcpy(id.bytes, info->id, KL_ID_BYTES);
    return id;
}

void vault_mirrors_of(struct vault *vault, uint64_t generation, struct vault_mirrors_of *ret)
{
    struct kms_mirror_info infos[KMS_MIRRORS_MAX];
    struct vault_mirrors_of of = {0};
    struct kms_state state;
    size_t count = 0;
    size_t i;

    kms_mirrors(vault->keys, infos, &count);
    kms_state(vault->keys, &state);
    of.finality = state.finality;
    for (i = 0; i < count; i++) {
        if (infos[i].state == KMS_MIRROR_IN_STEP && infos[i].generation >= generation) {
            of.confirmed++;
        } else {
            of.pending[of.pending_count++] = id_of(&infos[i]);
        }
    }
    *ret = of;
}

static void put_id(struct kl_json_out *out, const struct kl_id *id)
{
    char text[KL_ID_TEXT_BYTES];

    kl_id_format(VAULT_MIRROR_PREFIX, id, text);
    kl_json_put_text(out, text);
}

void vault_mirrors_add(struct kl_json_out *out, const struct vault_mirrors_of *of)
{
    size_t i;

    kl_json_key(out, "mirrors");
    kl_json_object_begin(out);
    kl_json_add_int(out, "confirmed", (int64_t)of->confirmed);
    kl_json_key(out, "pending");
    kl_json_array_begin(out);
    for (i = 0; i < of->pending_count; i++) {
        put_id(out, &of->pending[i]);
    }
    kl_json_array_end(out);
    kl_json_object_end(out);
}

void vault_mirrors_show(struct vault *vault, bool with_directory, struct kl_json_out *out)
{
    struct kms_mirror_info infos[KMS_MIRRORS_MAX];
    struct kl_id id;
    size_t count = 0;
    size_t i;

    kms_mirrors(vault->keys, infos, &count);
    kl_json_key(out, "mirrors");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        bool in_step = infos[i].state == KMS_MIRROR_IN_STEP;

        id = id_of(&infos[i]);
        kl_json_object_begin(out);
        kl_json_key(out, "id");
        put_id(out, &id);
        if (with_directory) {
            kl_json_add_text(out, "directory", infos[i].dir);
        }
        kl_json_add_text(out, "country", infos[i].label);
        kl_json_add_text(out, "state", in_step ? "in_step" : "out_of_step");
        kl_json_add_time(out, "since", infos[i].since_us);
        kl_json_add_int(out, "generation", (int64_t)infos[i].generation);
        if (infos[i].report.file_system[0] != '\0') {
            kl_json_add_text(out, "finality", kms_finality_name(infos[i].report.finality));
        }
        if (!in_step && with_directory) {
            kl_json_add_text(out, "reason", infos[i].reason);
        }
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

static void describe(const struct kms_mirror_info *info, struct vault_mirror_result *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->id = id_of(info);
    (void)snprintf(ret->directory, sizeof ret->directory, "%s", info->dir);
    (void)snprintf(ret->country, sizeof ret->country, "%s", info->label);
    ret->in_step = info->state == KMS_MIRROR_IN_STEP;
    ret->since_us = info->since_us;
    ret->generation = info->generation;
    (void)snprintf(ret->reason, sizeof ret->reason, "%s", info->reason);
    (void)snprintf(ret->finality, sizeof ret->finality, "%s",
                   info->report.file_system[0] == '\0' ? ""
                                                       : kms_finality_name(info->report.finality));
}

/* ---- acts ---- */

static enum kl_status allowed(struct vault *vault, const struct vault_caller *caller,
                              const char *action, struct kl_err *err)
{
    return caller == NULL ? KL_OK
                          : vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, action, err);
}

static struct vault_audit_who who_of(const struct vault_caller *caller, char location[3])
{
    struct vault_audit_who who = at_the_machine;

    who.at_us = kl_time_now_us();
    return caller == NULL ? who : vault_caller_who(caller, location);
}

/* What is going to be done, and that it failed: the entry comes before the act, so that no copy of keys is made that the trail does not know of. */
struct noted {
    const char *action;
    const struct kl_id *mirror; /* NULL: none yet */
    const char *directory;      /* NULL: none */
    const char *country;
    bool declared;
    const char *failed; /* a code; NULL: not */
};

static enum kl_status note(struct vault *vault, const struct vault_caller *caller,
                           const struct noted *noted, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char location[3];
    char id[KL_ID_TEXT_BYTES];
    struct vault_audit_who who = who_of(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};

    vault_act_begin(&act, KMS_TENANT_VAULT, &who, noted->action);
    if (noted->mirror != NULL) {
        kl_id_format(VAULT_MIRROR_PREFIX, noted->mirror, id);
        kl_json_add_text(&act.out, "mirror", id);
    }
    if (noted->directory != NULL) {
        kl_json_add_text(&act.out, "directory", noted->directory);
        kl_json_add_text(&act.out, "country", noted->country);
    }
    if (noted->declared) {
        kl_json_add_bool(&act.out, "declared_destroyed", true);
    }
    if (noted->failed != NULL) {
        kl_json_add_text(&act.out, "code", noted->failed);
    }
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

/* ---- calls ---- */

#define COUNTRY_MARK ",country="

enum kl_status vault_mirror_parse(const char *text, char *ret_directory, const char **ret_country,
                                  struct kl_err *err)
{
    const char *mark = strstr(text, COUNTRY_MARK);
    const char *next = mark;
    size_t size = 0;

    while (next != NULL) { /* the last: a folder may be named anything */
        mark = next;
        next = strstr(next + 1, COUNTRY_MARK);
    }
    size = mark == NULL ? 0 : (size_t)(mark - text);
    if (size == 0 || size > VAULT_MIRROR_DIRECTORY_MAX_BYTES ||
        mark[sizeof COUNTRY_MARK - 1] == '\0') {
        return kl_fail(err, KL_ERR_INVALID, "invalid_mirror",
                       "a mirror is named by folder and country: /mnt/second/kluis,country=IE",
                       NULL);
    }
    memcpy(ret_directory, text, size);
    ret_directory[size] = '\0';
    *ret_country = mark + sizeof COUNTRY_MARK - 1;
    return KL_OK;
}

enum kl_status vault_mirror_list(struct vault *vault, const struct vault_caller *caller,
                                 struct vault_mirror_result ret[VAULT_MIRRORS_MAX],
                                 size_t *ret_count, struct kl_err *err)
{
    struct kms_mirror_info infos[KMS_MIRRORS_MAX];
    enum kl_status status = allowed(vault, caller, "mirror_list", err);
    size_t count = 0;
    size_t i;

    if (status != KL_OK) {
        return status;
    }
    kms_mirrors(vault->keys, infos, &count);
    for (i = 0; i < count; i++) {
        describe(&infos[i], &ret[i]);
    }
    *ret_count = count;
    return KL_OK;
}

static enum kl_status add_checked(struct vault *vault, const struct vault_caller *caller,
                                  const char *directory, const char *country, struct kl_id *ret_id,
                                  struct kl_err *err)
{
    struct noted noted = {.action = "mirror_add", .directory = directory, .country = country};
    struct kl_err cause = {0};
    enum kl_status status = note(vault, caller, &noted, err);

    if (status != KL_OK) {
        return status;
    }
    status = kms_mirror_add(vault->keys, directory, country, ret_id->bytes, &cause);
    if (status != KL_OK) {
        noted.action = "mirror_add_failed";
        noted.failed = cause.code;
        (void)note(vault, caller, &noted, NULL);
        if (status == KL_ERR_IO) { /* of the folder that was named, not of the vault */
            kl_err_where(err, "/directory");
            return kl_fail(err, KL_ERR_INVALID, "mirror_io", cause.client_text, "%s: %s",
                           cause.code, cause.log_text);
        }
        if (strcmp(cause.code, "root_file_foreign") == 0) { /* in the folder that was named */
            kl_err_where(err, "/directory");
            status = KL_ERR_CONFLICT;
        }
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return KL_OK;
}

/* A country that is not allowed is an attempt worth an entry. */
static enum kl_status country_check(struct vault *vault, const struct vault_caller *caller,
                                    const char *directory, struct vault_country country,
                                    struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_copy_allowed(vault, country, kl_time_now_us(), &cause);
    struct noted noted = {.action = "mirror_add_failed",
                          .directory = directory,
                          .country = country.code,
                          .failed = cause.code};

    if (status == KL_ERR_FORBIDDEN && note(vault, caller, &noted, err) != KL_OK) {
        return err == NULL ? KL_ERR_UNAVAILABLE : err->status;
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_mirror_add(struct vault *vault, const struct vault_caller *caller,
                                const char *directory, const char *country,
                                struct vault_mirror_result *ret, struct kl_err *err)
{
    struct vault_mirror_result listed[VAULT_MIRRORS_MAX];
    struct vault_country in;
    struct kl_id id;
    size_t count = 0;
    size_t i;
    enum kl_status status = allowed(vault, caller, "mirror_add", err);

    if (status == KL_OK && (directory[0] != '/' || strlen(directory) > KMS_MIRROR_DIR_MAX_BYTES)) {
        kl_err_where(err, "/directory");
        status = kl_failf(err, KL_ERR_INVALID, "mirror_dir",
                          "the folder of a mirror is an absolute path of at most %d bytes",
                          KMS_MIRROR_DIR_MAX_BYTES);
    }
    if (status == KL_OK) {
        status = vault_place_country(country, &in, err);
    }
    if (status ==
        KL_OK) { /* a policy that comes into force meanwhile would look only at mirrors that are registered */
        vault_turn_take(&vault->turn);
        status = country_check(vault, caller, directory, in, err);
        if (status == KL_OK) {
            status = add_checked(vault, caller, directory, in.code, &id, err);
        }
        vault_turn_give(&vault->turn);
    }
    if (status == KL_OK) {
        status = vault_mirror_list(vault, caller, listed, &count, err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        if (kl_id_equal(&listed[i].id, &id)) {
            *ret = listed[i];
        }
    }
    return status;
}

static bool is_registered(struct vault *vault, const struct kl_id *mirror)
{
    struct kms_mirror_info infos[KMS_MIRRORS_MAX];
    size_t count = 0;
    size_t i;

    kms_mirrors(vault->keys, infos, &count);
    for (i = 0; i < count; i++) {
        if (memcmp(infos[i].id, mirror->bytes, KL_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

enum kl_status vault_mirror_drop(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *mirror, bool declared, bool *ret_destroyed,
                                 struct kl_err *err)
{
    struct noted noted = {.action = "mirror_drop", .mirror = mirror, .declared = declared};
    struct kl_err cause = {0};
    enum kl_status status = allowed(vault, caller, "mirror_drop", err);

    if (status == KL_OK && !is_registered(vault, mirror)) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such mirror", NULL);
    }
    if (status == KL_OK) {
        status = note(vault, caller, &noted, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = kms_mirror_drop(vault->keys, mirror->bytes, declared, ret_destroyed, &cause);
    if (status != KL_OK) {
        noted.action = "mirror_drop_failed";
        noted.failed = cause.code;
        (void)note(vault, caller, &noted, NULL);
        return kl_fail(err, status == KL_ERR_REFUSED ? KL_ERR_CONFLICT : status, cause.code,
                       cause.client_text, "%s", cause.log_text);
    }
    return KL_OK;
}

/* ---- upkeep ---- */

enum kl_status vault_mirrors_task(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    struct kms_state state;

    kms_state(vault->keys, &state);
    if (state.mirrors_out_of_step > 0) {
        (void)kms_mirrors_retry(vault->keys);
    }
    return vault_receipts_confirm(vault, now_us, err);
}

enum kl_status vault_mirrors_place_task(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    struct kms_mirror_info infos[KMS_MIRRORS_MAX];
    enum kl_status status = KL_OK;
    size_t count = 0;
    size_t i;

    kms_mirrors(vault->keys, infos, &count);
    for (i = 0; status == KL_OK && i < count; i++) {
        struct kl_id id = id_of(&infos[i]);
        struct noted noted = {.action = "mirror_misplaced",
                              .mirror = &id,
                              .directory = infos[i].dir,
                              .country = infos[i].label,
                              .failed = "residency"};

        if (vault_copy_misplaced(vault, infos[i].label, now_us)) {
            status = note(vault, NULL, &noted, err);
        }
    }
    return status;
}
