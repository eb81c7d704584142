#include "vault/survey.h"

#include "kluis/base/time.h"
#include "vault/aside.h"
#include "vault/files.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEDGER_CONTEXT "ledger"
#define EVIDENCE_CONTEXT "evidence"

/* reading: a vault of nothing but keys and rows, for what opens a subject. mark: of tenant, the first slot never given out. */
struct vault_survey {
    struct vault *reading;
    struct vault_iter *iter;
    struct kl_arena *arena;
    char *files_dir;
    uint64_t tenant;
    uint64_t mark;
    struct vault_survey_counts counts;
};

enum kl_status vault_survey_new(struct kms *keys, struct vault_store *store, const char *files_dir,
                                struct vault_survey **ret_survey, struct kl_err *err)
{
    static const unsigned char heads[] = {'H', 'H' + 1};
    struct vault_survey *survey = calloc(1, sizeof *survey);

    if (survey != NULL) {
        survey->reading = calloc(1, sizeof *survey->reading);
        survey->arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
        survey->iter =
            vault_iter_new(store, kl_slice_of(heads, 1), kl_slice_of(heads + 1, 1), false);
    }
    if (survey != NULL) {
        survey->files_dir = strdup(files_dir);
    }
    if (survey == NULL || survey->reading == NULL || survey->arena == NULL ||
        survey->iter == NULL || survey->files_dir == NULL) {
        vault_survey_free(survey);
        return kl_fail_memory(err);
    }
    survey->reading->keys = keys;
    survey->reading->data_store = store;
    survey->tenant = KMS_TENANT_ALL;
    *ret_survey = survey;
    return KL_OK;
}

void vault_survey_free(struct vault_survey *survey)
{
    if (survey == NULL) {
        return;
    }
    vault_iter_free(survey->iter);
    kl_arena_free(survey->arena);
    free(survey->reading);
    free(survey->files_dir);
    free(survey);
}

void vault_survey_counts_get(const struct vault_survey *survey, struct vault_survey_counts *ret)
{
    *ret = survey->counts;
}

/* ---- values ---- */

/* Whether a failure is about what is stored, and not about this machine at this moment. */
static bool about_stored(enum kl_status status)
{
    return status == KL_ERR_CORRUPT || status == KL_ERR_NOT_FOUND || status == KL_ERR_INVALID ||
           status == KL_ERR_TOO_LARGE;
}

/* Open one value, whose plaintext goes to plain (cleared first), and count it. ret_whole becomes false when it is damaged. */
static enum kl_status value_open(struct vault_survey *survey, const struct vault_subject *subject,
                                 uint64_t value, struct kl_slice context, struct kl_buf *plain,
                                 bool *ret_opened, bool *ret_whole, struct kl_err *err)
{
    const struct kms_place place = {subject->tenant, subject->slot, value};
    struct vault_row_key key = vault_row_value(subject->tenant, subject->slot, value);
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    kl_buf_clear(plain);
    status = kms_place_check(survey->reading->keys, &place, &cause);
    if (status == KL_OK) {
        status = vault_store_get(survey->reading->data_store, vault_row_slice(&key), &row, &cause);
    }
    if (status == KL_OK) {
        status =
            kms_unseal(survey->reading->keys, &place, context, kl_buf_slice(&row), plain, &cause);
    }
    kl_buf_done(&row);
    *ret_opened = status == KL_OK;
    if (status == KL_OK) {
        survey->counts.values++;
    } else if (status == KL_ERR_GONE) {
        survey->counts.values_erased++;
    } else if (about_stored(status)) {
        survey->counts.values_damaged++;
        *ret_whole = false;
    } else {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return KL_OK;
}

static enum kl_status chunks_open(struct vault_survey *survey, const struct vault_file_place *place,
                                  int fd, struct kl_buf *plain, struct kl_err *err)
{
    uint64_t count = vault_file_chunks(place->bytes);
    enum kl_status status = KL_OK;
    struct kl_buf sealed;
    uint64_t i;

    kl_buf_init(&sealed, VAULT_FILE_SEALED_BYTES);
    for (i = 0; status == KL_OK && i < count; i++) {
        status = vault_file_chunk_read(survey->reading->keys, fd, place, i, &sealed, plain, err);
    }
    kl_buf_done(&sealed);
    return status;
}

/*
 * The bytes of a file whose value opened. past: it may be one of an upload that did not come to its end, and have none. Erased meanwhile:
 * as if it had been before.
 */
static enum kl_status file_open(struct vault_survey *survey, const struct vault_subject *subject,
                                uint64_t value, bool past, struct kl_buf *plain, bool *ret_whole,
                                struct kl_err *err)
{
    struct vault_file_place place = {.of = {subject->tenant, subject->slot, value}};
    struct kl_err cause = {0};
    int fd = -1;
    enum kl_status status = vault_file_find(survey->reading->data_store, &place, &cause);

    if (status == KL_ERR_NOT_FOUND && past) {
        return KL_OK;
    }
    if (status == KL_OK) {
        status = vault_files_open_in(survey->files_dir, &place, &fd, &cause);
    }
    if (status == KL_OK) {
        status = chunks_open(survey, &place, fd, plain, &cause);
        (void)close(fd);
    }
    if (about_stored(status)) {
        survey->counts.values_damaged++;
        *ret_whole = false;
    } else if (status != KL_OK && status != KL_ERR_GONE) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return KL_OK;
}

/* past: fields are those that the record had once. */
static enum kl_status fields_open(struct vault_survey *survey, const struct vault_subject *subject,
                                  const struct vault_manifest_record *record,
                                  const struct vault_manifest_field *fields, size_t count,
                                  bool past, struct kl_buf *plain, bool *ret_whole,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf context;
    bool opened = false;
    size_t i;

    kl_buf_init(&context, VAULT_VALUE_CONTEXT_MAX_BYTES);
    for (i = 0; status == KL_OK && i < count; i++) {
        vault_value_context(&record->id, fields[i].name, fields[i].version, &context);
        status = kl_buf_status(&context, err);
        if (status == KL_OK) {
            status = value_open(survey, subject, fields[i].value, kl_buf_slice(&context), plain,
                                &opened, ret_whole, err);
        }
        if (status == KL_OK && opened && fields[i].type == VAULT_TYPE_FILE) {
            status = file_open(survey, subject, fields[i].value, past, plain, ret_whole, err);
        }
    }
    kl_buf_done(&context);
    return status;
}

/* The ledger as it is stored, and the evidence it names. */
static enum kl_status ledger_open(struct vault_survey *survey, const struct vault_subject *subject,
                                  struct kl_buf *plain, bool *ret_whole, struct kl_err *err)
{
    struct vault_ledger ledger = {0};
    struct kl_slice text;
    bool opened = false;
    size_t i;
    enum kl_status status =
        value_open(survey, subject, VAULT_VALUE_LEDGER, kl_slice_text(LEDGER_CONTEXT), plain,
                   &opened, ret_whole, err);

    if (status != KL_OK || !opened) {
        return status;
    }
    if (vault_unpad(kl_buf_slice(plain), &text, NULL) != KL_OK ||
        vault_ledger_decode(text, survey->arena, &ledger, NULL) != KL_OK) {
        survey->counts.values_damaged++;
        *ret_whole = false;
        return KL_OK;
    }
    for (i = 0; status == KL_OK && i < ledger.count + ledger.objection_count; i++) {
        if (vault_ledger_evidence(&ledger, i) != KMS_VALUE_NONE) {
            status = value_open(survey, subject, vault_ledger_evidence(&ledger, i),
                                kl_slice_text(EVIDENCE_CONTEXT), plain, &opened, ret_whole, err);
        }
    }
    return status;
}

/* What lies beside the records: requests, disclosures. */
static enum kl_status asides_open(struct vault_survey *survey, const struct vault_subject *subject,
                                  struct kl_buf *plain, bool *ret_whole, struct kl_err *err)
{
    struct vault_aside *asides = NULL;
    struct kl_err cause = {0};
    size_t count = 0;
    bool opened = false;
    size_t i;
    enum kl_status status = vault_aside_list(survey->reading, subject->tenant, subject->slot,
                                             survey->arena, &asides, &count, &cause);

    if (status == KL_ERR_CORRUPT) {
        survey->counts.values_damaged++;
        *ret_whole = false;
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        status = value_open(survey, subject, asides[i].value, kl_slice_text(asides[i].context),
                            plain, &opened, ret_whole, err);
    }
    return status;
}

static enum kl_status values_open(struct vault_survey *survey, const struct vault_subject *subject,
                                  bool *ret_whole, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf plain;
    size_t i;

    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    for (i = 0; status == KL_OK && i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];

        if (!record->gone) {
            status = fields_open(survey, subject, record, record->fields, record->field_count,
                                 false, &plain, ret_whole, err);
        }
        if (!record->gone && status == KL_OK) {
            status = fields_open(survey, subject, record, record->past, record->past_count, true,
                                 &plain, ret_whole, err);
        }
    }
    if (status == KL_OK && subject->head.has_ledger) {
        status = ledger_open(survey, subject, &plain, ret_whole, err);
    }
    if (status == KL_OK) {
        status = asides_open(survey, subject, &plain, ret_whole, err);
    }
    kl_buf_done(&plain);
    return status;
}

/* ---- subjects ---- */

/* ret_known: the key store gave this slot out. */
static enum kl_status slot_known(struct vault_survey *survey, uint64_t tenant, uint64_t slot,
                                 bool *ret_known, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    if (tenant != survey->tenant) {
        survey->mark = 0;
        status = kms_slot_mark(survey->reading->keys, tenant, &survey->mark, &cause);
        survey->tenant = tenant;
    }
    if (status ==
        KL_ERR_GONE) { /* the whole tenant was shredded: its people are known, and erased */
        survey->mark = UINT64_MAX;
        status = KL_OK;
    }
    if (status != KL_OK && status != KL_ERR_INVALID) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    *ret_known = slot < survey->mark;
    return KL_OK;
}

static enum kl_status subject_open(struct vault_survey *survey, uint64_t tenant, uint64_t slot,
                                   struct kl_slice row, struct kl_err *err)
{
    struct vault_subject subject = {0};
    struct kl_err cause = {0};
    bool whole = true;
    enum kl_status status = KL_OK;

    kl_arena_reset(survey->arena);
    status =
        vault_subject_load_row(survey->reading, tenant, slot, row, survey->arena, &subject, &cause);
    if (status == KL_OK) {
        status = values_open(survey, &subject, &whole, err);
        survey->counts.opened += status == KL_OK && whole ? 1 : 0;
        survey->counts.damaged += status == KL_OK && !whole ? 1 : 0;
    } else if (status == KL_ERR_NOT_FOUND) {
        survey->counts.erased++;
        status = KL_OK;
    } else if (about_stored(status)) {
        survey->counts.damaged++;
        status = KL_OK;
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    vault_subject_done(&subject);
    return status;
}

static enum kl_status head_open(struct vault_survey *survey, struct kl_slice key,
                                struct kl_slice row, struct kl_err *err)
{
    struct kl_reader reader = kl_reader_of(key);
    enum kl_status status = KL_OK;
    uint64_t tenant = 0;
    uint64_t slot = 0;
    bool known = false;

    (void)kl_read_byte(&reader);
    tenant = kl_read_u64be(&reader);
    slot = kl_read_u64be(&reader);
    if (!kl_reader_done(&reader) || tenant > KMS_SLOT_MAX || slot > KMS_SLOT_MAX) {
        survey->counts.damaged++;
        return KL_OK;
    }
    status = slot_known(survey, tenant, slot, &known, err);
    if (status == KL_OK && !known) {
        survey->counts.unknown++;
        return KL_OK;
    }
    return status == KL_OK ? subject_open(survey, tenant, slot, row, err) : status;
}

enum kl_status vault_survey_step(struct vault_survey *survey, int64_t time_us, bool *ret_done,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    int64_t until_us = kl_time_monotonic_us() + time_us;
    struct kl_slice key;
    struct kl_slice row;
    bool more = true;

    while (status == KL_OK && more && kl_time_monotonic_us() < until_us) {
        more = vault_iter_next(survey->iter, &key, &row);
        if (more) {
            status = head_open(survey, key, row, err);
        }
    }
    if (status == KL_OK && !more) {
        status = vault_iter_status(survey->iter, err);
    }
    if (status == KL_OK) {
        *ret_done = !more;
    }
    return status;
}
