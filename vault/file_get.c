/* A file going out: decided on and in the trail before its first byte, opened chunk by chunk. */
#include "kluis/vault/file.h"

#include "vault/disclosure.h"
#include "vault/files.h"
#include "vault/rekeying.h"
#include "vault/subject_read.h"
#include "vault/volume.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often a subject, or the place of a file, is looked at again when what was to be read went away meanwhile. */
#define TRIES 16

struct vault_download {
    struct vault *vault;
    struct vault_file_place place;
    int fd;
    uint64_t at;   /* the next byte */
    uint64_t left; /* how many more */
    uint64_t seen; /* rekeyings; rekeying.h */
    struct kl_buf sealed;
    struct kl_buf plain;
};

/* ---- finding ---- */

/* The fields of that name, in every type: the record's type is not known yet. */
static enum kl_status plan_make(const struct vault_caller *caller,
                                const struct vault_read_input *input, const char *name,
                                struct vault_read_plan *plan, struct kl_err *err)
{
    struct vault_read_input all = *input;
    enum kl_status status = KL_OK;
    size_t count = 0;
    size_t field;

    all.field_count = 0;
    status = vault_read_plan_make(caller, &all, VAULT_NONE, &input->subject, plan, err);
    if (status != KL_OK) {
        return status;
    }
    count = vault_policy_field_count(caller->policy);
    plan->named = true;
    plan->action = "file_read";
    for (field = 0; field < count; field++) {
        bool same = strcmp(vault_policy_field(caller->policy, (int)field)->name, name) == 0;

        plan->wanted[field] = same;
        plan->by_name[field] = same;
    }
    return KL_OK;
}

static const struct vault_manifest_field *field_find(const struct vault_subject *subject,
                                                     const struct kl_id *record, const char *name)
{
    int at = vault_subject_record_find(subject, record);
    size_t i;

    for (i = 0; at != VAULT_NONE && i < subject->records[at].field_count; i++) {
        if (strcmp(subject->records[at].fields[i].name, name) == 0) {
            return &subject->records[at].fields[i];
        }
    }
    return NULL;
}

static enum kl_status not_a_file(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_INVALID, "not_a_file",
                   "this field holds no file: read it with the record", NULL);
}

/* Plain or nothing. */
static enum kl_status shown_check(const struct vault_subject_result *result,
                                  const struct vault_policy *policy, const char *name,
                                  struct kl_err *err)
{
    const struct vault_field_result *shown = NULL;

    if (result->record_count != 1 || result->records[0].field_count != 1) {
        return vault_not_found(err);
    }
    shown = &result->records[0].fields[0];
    if (shown->withheld != VAULT_GATE_NONE) {
        int type = vault_policy_record_find(policy, result->records[0].type);

        return vault_withheld(err, policy, vault_policy_field_find(policy, type, name),
                              shown->withheld);
    }
    if (shown->type != VAULT_TYPE_FILE) {
        return not_a_file(err);
    }
    if (shown->view != VAULT_VIEW_PLAIN) {
        return kl_failf(err, KL_ERR_FORBIDDEN, "withheld",
                        "the bytes of %s are withheld: you may only know that it is there", name);
    }
    return KL_OK;
}

/* By its row. A rotation of values may put another file into its place meanwhile. */
static enum kl_status file_open(struct vault_download *download, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned tries = 0;

    do {
        kl_err_clear(err);
        status = vault_file_find(download->vault->data_store, &download->place, err);
        if (status == KL_OK) {
            status = vault_files_open(download->vault->files, &download->place, &download->fd, err);
        }
    } while (status == KL_ERR_NOT_FOUND && ++tries < TRIES);
    return status;
}

/* The file itself: nothing is written down as disclosed that could not be read. */
static enum kl_status file_take(struct vault_download *download, const struct vault_file_info *info,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (download->fd >= 0) { /* of an attempt before */
        (void)close(download->fd);
        download->fd = -1;
    }
    status = file_open(download, err);
    if (status == KL_ERR_NOT_FOUND) {
        return KL_ERR_GONE;
    }
    if (status == KL_OK && download->place.bytes != info->bytes) {
        status = kl_fail(err, KL_ERR_CORRUPT, "file_damaged", "the file is damaged",
                         "row 'L' and its value disagree");
    }
    return status;
}

/* Find, decide, open the file, and begin the audit entry; for a recipient the disclosure is written down. */
static enum kl_status look(struct vault_download *download, const struct vault_caller *caller,
                           const struct vault_read_input *input, const struct vault_read_plan *plan,
                           const char *name, struct kl_arena *arena, struct vault_act *act,
                           struct vault_file_info *info, struct kl_err *err)
{
    struct vault_subject subject = {0};
    struct vault_subject_result result = {0};
    const struct vault_manifest_field *field = NULL;
    bool reached = false;
    enum kl_status status = KL_OK;

    download->seen = vault_rekeying_now(download->vault);
    status = vault_subject_find(download->vault, caller, &input->subject, arena, &subject, err);
    if (status == KL_OK) {
        status = vault_read_loaded(download->vault, caller, plan, input->record, &subject, arena,
                                   act, &result, &reached, err);
    }
    if (status == KL_OK) {
        status = shown_check(&result, caller->policy, name, err);
    }
    if (status == KL_OK) {
        field = field_find(&subject, input->record, name);
        status = field == NULL
                     ? vault_not_found(err)
                     : vault_file_info_parse(result.records[0].fields[0].value, info, err);
    }
    if (status == KL_OK) {
        info->version = field->version;
        download->place.of = (struct kms_place){subject.tenant, subject.slot, field->value};
        status = file_take(download, info, err);
    }
    if (status == KL_OK) {
        status = vault_read_disclose(download->vault, caller, plan, &subject, act, &result, err);
    }
    vault_subject_done(&subject);
    return status;
}

static enum kl_status found(struct vault_download *download, const struct vault_caller *caller,
                            const struct vault_read_input *input,
                            const struct vault_read_plan *plan, const char *name,
                            struct kl_arena *arena, struct vault_act *act,
                            struct vault_file_info *info, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool again = false;
    unsigned gone = 0;
    unsigned tries = 0;
    int64_t waited_ms = 0;

    do {
        kl_err_clear(err);
        vault_act_done(act);
        memset(act, 0, sizeof *act);
        status = look(download, caller, input, plan, name, arena, act, info, err);
        again = vault_read_met_change(status, err)
                    ? vault_change_again(status, &tries, &waited_ms, err)
                    : status == KL_ERR_GONE && ++gone < TRIES;
    } while (again);
    if (vault_read_met_change(status, err)) {
        return vault_change_busy(status, err);
    }
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        return vault_not_found(err);
    }
    return status;
}

/* ---- opening ---- */

static enum kl_status open_for(struct vault_download *download, const struct vault_caller *caller,
                               const struct vault_read_input *input, const char *name,
                               struct kl_arena *arena, struct vault_file_info *info,
                               struct kl_err *err)
{
    struct vault_read_plan *plan = kl_arena_alloc(arena, sizeof *plan);
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    enum kl_status status = KL_OK;

    if (plan == NULL) {
        return kl_fail_memory(err);
    }
    status = plan_make(caller, input, name, plan, err);
    if (status != KL_OK) {
        return status;
    }
    if (plan->query.role == VAULT_NONE || !vault_policy_may(caller->policy, &plan->query)) {
        uint64_t slot = 0;
        struct kl_err ignored = {0};

        (void)!vault_subject_slot(download->vault, caller->tenant, &input->subject, &slot,
                                  &ignored);
        status = vault_not_found(err);
    } else if (vault_volume_is_closed(download->vault, caller, &plan->query, plan->wanted)) {
        status = vault_volume_exceeded(download->vault, caller, err);
    } else {
        status = found(download, caller, input, plan, name, arena, &act, info, err);
    }
    if (status == KL_OK) {
        status = vault_audit_commit(download->vault, entries, 1, err);
    } else {
        status = vault_subject_refused(download->vault, caller, "file_read", plan->query.purpose,
                                       status, err);
    }
    vault_act_done(&act);
    return status;
}

static struct vault_download *download_new(struct vault *vault)
{
    struct vault_download *download = calloc(1, sizeof *download);

    if (download != NULL) {
        download->vault = vault;
        download->fd = -1;
        kl_buf_init(&download->sealed, VAULT_FILE_SEALED_BYTES);
        kl_buf_init(&download->plain, VAULT_FILE_CHUNK_BYTES);
    }
    return download;
}

enum kl_status vault_download_open(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_read_input *input, const char *field,
                                   struct kl_arena *arena, struct vault_download **ret_download,
                                   struct vault_file_info *ret_info, struct kl_err *err)
{
    struct kl_err own = {0};
    struct vault_file_info info = {0};
    struct vault_download *download = download_new(vault);
    enum kl_status status = KL_OK;

    assert(input->record != NULL);
    err = err == NULL ? &own : err;
    if (download == NULL) {
        return kl_fail_memory(err);
    }
    status = open_for(download, caller, input, field, arena, &info, err);
    if (status != KL_OK) {
        vault_download_free(download);
        return status;
    }
    atomic_fetch_add_explicit(&vault->counters.fields_read, 1, memory_order_relaxed);
    download->left = info.bytes;
    *ret_info = info;
    *ret_download = download;
    return KL_OK;
}

enum kl_status vault_download_of(struct vault *vault, const struct vault_subject *subject,
                                 const struct vault_manifest_record *record,
                                 const struct vault_manifest_field *field, struct kl_arena *arena,
                                 struct vault_download **ret_download,
                                 struct vault_file_info *ret_info, struct kl_err *err)
{
    struct vault_value_wanted wanted = {.record = record, .field = field};
    struct vault_file_info info = {0};
    struct vault_download *download = NULL;
    enum kl_status status = KL_OK;

    if (field->type != VAULT_TYPE_FILE) {
        return not_a_file(err);
    }
    download = download_new(vault);
    if (download == NULL) {
        return kl_fail_memory(err);
    }
    download->seen = vault_rekeying_now(vault);
    download->place.of = (struct kms_place){subject->tenant, subject->slot, field->value};
    status = vault_subject_values(vault, subject->tenant, subject->slot, &wanted, 1, arena, err);
    if (status == KL_OK) {
        status = vault_file_info_parse(wanted.value, &info, err);
    }
    if (status == KL_OK) {
        status = file_take(download, &info, err);
    }
    if (status != KL_OK) {
        vault_download_free(download);
        return status;
    }
    info.version = field->version;
    download->left = info.bytes;
    *ret_info = info;
    *ret_download = download;
    return KL_OK;
}

void vault_download_range(struct vault_download *download, uint64_t first, uint64_t count)
{
    assert(download->at == 0 && first <= download->place.bytes &&
           count <= download->place.bytes - first);
    download->at = first;
    download->left = count;
}

void vault_download_free(struct vault_download *download)
{
    if (download == NULL) {
        return;
    }
    if (download->fd >= 0) {
        (void)close(download->fd);
    }
    kl_buf_done(&download->sealed);
    kl_buf_done(&download->plain);
    free(download);
}

/* ---- bytes ---- */

/* The file was written anew under fresh keys, or is being: the one that is there now has the same bytes. */
static enum kl_status open_again(struct vault_download *download, struct kl_err *err)
{
    if (download->fd >= 0) {
        (void)close(download->fd);
        download->fd = -1;
    }
    return file_open(download, err);
}

enum kl_status vault_download_next(struct vault_download *download, struct kl_slice *ret,
                                   struct kl_err *err)
{
    const struct kms_place *of = &download->place.of;
    uint64_t index = download->at / VAULT_FILE_CHUNK_BYTES;
    size_t skip = (size_t)(download->at % VAULT_FILE_CHUNK_BYTES);
    struct kl_err own = {0};
    enum kl_status status = KL_OK;
    size_t count = 0;

    err = err == NULL ? &own : err;
    if (download->left == 0) {
        *ret = kl_slice_of("", 0);
        return KL_OK;
    }
    status = vault_file_chunk_read(download->vault->keys, download->fd, &download->place, index,
                                   &download->sealed, &download->plain, err);
    while (status == KL_ERR_CORRUPT &&
           vault_rekeying_again(download->vault, of->tenant, of->slot, &download->seen)) {
        kl_err_clear(err);
        status = open_again(download, err);
        if (status == KL_OK) {
            status = vault_file_chunk_read(download->vault->keys, download->fd, &download->place,
                                           index, &download->sealed, &download->plain, err);
        }
    }
    if (status == KL_ERR_GONE || status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        return kl_fail(err, KL_ERR_GONE, "file_gone", "the file was erased while it was read",
                       NULL);
    }
    if (status != KL_OK) {
        return status;
    }
    count = download->plain.size - skip;
    count = count < download->left ? count : (size_t)download->left;
    *ret = kl_slice_of(download->plain.bytes + skip, count);
    download->at += count;
    download->left -= count;
    return KL_OK;
}
