/* The bytes of a file of a tenant that is exported: in the trail before the first one. */
#include "vault/tenant_export_internal.h"

#include "vault/act.h"
#include "vault/files.h"
#include "vault/retained.h"

#include <string.h>

/* How often a subject is looked at again when what was to be read went away meanwhile. */
#define TRIES 16

/* The subject of a file, with the record as its records[at]. */
struct finding {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_tenant_export_file *file;
    struct kl_arena *arena;
    struct vault_subject subject;
    size_t at;
};

static enum kl_status no_file(struct kl_err *err)
{
    kl_err_clear(err);
    return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such file", NULL);
}

/* Of a subject that is there. */
static enum kl_status find_stored(struct finding *finding, struct kl_err *err)
{
    enum kl_status status = vault_subject_find(finding->vault, finding->caller, &finding->file->of,
                                               finding->arena, &finding->subject, err);
    int at = VAULT_NONE;

    if (status != KL_OK) {
        return status;
    }
    at = vault_subject_record_find(&finding->subject, &finding->file->record);
    if (at == VAULT_NONE) {
        return no_file(err);
    }
    finding->at = (size_t)at;
    return KL_OK;
}

static bool is_wanted(const struct finding *finding, const struct vault_retained_line *line)
{
    return line->opened && kl_id_equal(&line->row.receipt, &finding->file->of) &&
           kl_id_equal(&line->record, &finding->file->record) &&
           line->row.until_us > finding->caller->now_us;
}

/* Of one that an erasure kept, until its end: with all that its lines keep. */
static enum kl_status find_kept(struct finding *finding, struct kl_err *err)
{
    const uint64_t tenant = finding->caller->tenant;
    struct vault_retained_line *lines = NULL;
    struct vault_retained_line **wanted = NULL;
    uint64_t slot = 0;
    size_t count = 0;
    size_t wanted_count = 0;
    size_t i;
    bool stale = false;
    enum kl_status status =
        vault_retained_slot(finding->vault, tenant, &finding->file->of, &slot, err);

    if (status == KL_OK) {
        status = vault_retained_is_stale(finding->vault, tenant, slot, &stale, err);
    }
    if (status == KL_OK && !stale) {
        status = vault_retained_lines(finding->vault, tenant, slot, finding->arena, &lines, &count,
                                      NULL, err);
    }
    if (status != KL_OK) {
        return status;
    }
    wanted = kl_arena_array(finding->arena, count, sizeof(struct vault_retained_line *));
    if (wanted == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < count; i++) {
        if (is_wanted(finding, &lines[i])) {
            wanted[wanted_count++] = &lines[i];
        }
    }
    finding->at = 0;
    return wanted_count == 0 ? no_file(err)
                             : vault_retained_together(finding->vault, wanted, wanted_count,
                                                       finding->arena, &finding->subject, err);
}

static const struct vault_manifest_field *field_find(const struct vault_manifest_record *record,
                                                     const char *name)
{
    size_t i;

    for (i = 0; i < record->field_count; i++) {
        if (strcmp(record->fields[i].name, name) == 0) {
            return &record->fields[i];
        }
    }
    return NULL;
}

static enum kl_status commit_act(const struct finding *finding,
                                 const struct vault_manifest_field *field, uint64_t lines,
                                 struct kl_err *err)
{
    const struct vault_subject *subject = &finding->subject;
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    struct kl_json_out *out = &act.out;
    enum kl_status status = KL_OK;

    vault_subject_act_begin(&act, finding->caller, VAULT_EXPORT_FILE_ACTION, subject->slot);
    vault_subject_act_transfers(&act, finding->caller->policy, lines);
    kl_json_key(out, "shown");
    kl_json_array_begin(out);
    kl_json_object_begin(out);
    kl_json_add_text(out, "type", subject->records[finding->at].type);
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    kl_json_put_int(out, (int64_t)subject->head.records[finding->at].value);
    kl_json_array_end(out);
    kl_json_key(out, "fields");
    kl_json_object_begin(out);
    kl_json_add_text(out, field->name, vault_view_name(VAULT_VIEW_PLAIN));
    kl_json_object_end(out);
    kl_json_object_end(out);
    kl_json_array_end(out);
    status = vault_subject_act_end(&act, err);
    if (status == KL_OK) {
        status = vault_audit_commit(finding->vault, entries, 1, err);
    }
    vault_act_done(&act);
    return status;
}

static enum kl_status open_found(struct finding *finding, struct vault_download **ret_download,
                                 struct vault_file_info *ret_info, struct kl_err *err)
{
    const struct vault_manifest_record *record = &finding->subject.records[finding->at];
    const struct vault_manifest_field *field = field_find(record, finding->file->field);
    struct vault_download *download = NULL;
    struct vault_file_info info;
    uint64_t lines = 0;
    bool may = false;
    enum kl_status status =
        field == NULL
            ? no_file(err)
            : vault_export_may_leave(finding->vault, finding->caller, &finding->subject,
                                     !finding->file->kept, finding->arena, &may, &lines, err);

    if (status == KL_OK && !may) {
        status = kl_failf(err, KL_ERR_FORBIDDEN, "withheld", "files are withheld by the gate %s",
                          vault_gate_name(VAULT_GATE_TRANSFER));
    }
    if (status == KL_OK) {
        status = vault_download_of(finding->vault, &finding->subject, record, field, finding->arena,
                                   &download, &info, err);
    }
    if (status == KL_OK) {
        status = commit_act(finding, field, lines, err);
    }
    if (status != KL_OK) {
        vault_download_free(download);
        return status;
    }
    *ret_download = download;
    *ret_info = info;
    return KL_OK;
}

static enum kl_status open_once(struct finding *finding, struct vault_download **ret_download,
                                struct vault_file_info *ret_info, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    kl_arena_reset(finding->arena);
    memset(&finding->subject, 0, sizeof finding->subject);
    status = finding->file->kept ? find_kept(finding, err) : find_stored(finding, err);
    if (status == KL_OK) {
        status = open_found(finding, ret_download, ret_info, err);
    }
    vault_subject_done(&finding->subject);
    return status;
}

enum kl_status vault_tenant_export_file(struct vault *vault, const struct vault_caller *caller,
                                        const char *name,
                                        const struct vault_tenant_export_file *file,
                                        struct vault_download **ret_download,
                                        struct vault_file_info *ret_info, struct kl_err *err)
{
    struct finding finding = {.vault = vault, .caller = caller, .file = file};
    struct kl_err own = {0};
    unsigned tries = 1;
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_export_allowed(vault, caller, name, VAULT_EXPORT_FILE_ACTION, err);
    if (status != KL_OK) {
        return status;
    }
    finding.arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    if (finding.arena == NULL) {
        return kl_fail_memory(err);
    }
    status = open_once(&finding, ret_download, ret_info, err);
    while (status == KL_ERR_GONE && tries++ < TRIES) {
        kl_err_clear(err);
        status = open_once(&finding, ret_download, ret_info, err);
    }
    kl_arena_free(finding.arena);
    if (status == KL_ERR_GONE) {
        status = no_file(err);
    }
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.fields_read, 1, memory_order_relaxed);
    }
    return vault_subject_refused(vault, caller, VAULT_EXPORT_FILE_ACTION, VAULT_NONE, status, err);
}
