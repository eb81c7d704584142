/*
 * A file coming in: a value slot is taken, the chunks are sealed under it
 * as they come, and one commit makes them the field's value.
 *
 * From its taking to the commit that puts it to use the slot is one of the record's past, and in the list of the sweep ('O'): should nothing
 * come of the upload, whatever ended it, the key of its chunks goes as that of an overwritten value does.
 */
#include "kluis/vault/file.h"

#include "vault/files.h"
#include "vault/record.h"
#include "vault/rows.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The room on the disk is looked at again each time that so many bytes came: others may be taking it. */
#define ROOM_EVERY_BYTES ((uint64_t)4 * 1024 * 1024)

struct vault_upload {
    struct vault *vault;
    const struct vault_caller *caller;
    struct kl_id subject;
    struct kl_id record;
    char field[VAULT_NAME_MAX_BYTES + 1];
    uint64_t if_version;
    uint64_t expected;
    struct vault_file_info info;
    struct vault_file_place place;
    int64_t taken_us;
    int fd;
    uint64_t looked;
    bool has_slot; /* place.of is taken, and known as being written */
    bool kept;     /* some commit may name the file: only vault_files_task removes it */
    crypto_hash_sha256_state hash;
    struct vault_file_writer writer;
};

/* ---- what may be put where ---- */

/* Where the record stands in the subject, and its field in the policy. */
struct target {
    struct vault_manifest_record *record;
    size_t record_at;
    int field;
};

static enum kl_status field_check(const struct vault_change *change,
                                  const struct vault_upload *upload,
                                  const struct vault_query *query, int type, int *ret,
                                  struct kl_err *err)
{
    const struct vault_policy *policy = change->caller->policy;
    struct vault_facts facts = {.residency = change->subject.base.residency};
    struct vault_decision decision;
    int field =
        type == VAULT_NONE ? VAULT_NONE : vault_policy_field_find(policy, type, upload->field);

    if (field == VAULT_NONE) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_field",
                       "the policy has no such field in a record of this type", NULL);
    }
    decision = vault_policy_decide(policy, query, &facts, field);
    if (decision.withheld != VAULT_GATE_NONE) {
        return vault_withheld(err, policy, field, decision.withheld);
    }
    if (vault_policy_field(policy, field)->type != VAULT_TYPE_FILE) {
        return kl_fail(err, KL_ERR_INVALID, "not_a_file",
                       "this field holds no file: write it with the record's other fields", NULL);
    }
    *ret = field;
    return KL_OK;
}

static enum kl_status target_find(struct vault_change *change, const struct vault_upload *upload,
                                  struct target *ret, struct kl_err *err)
{
    int at = vault_subject_record_find(&change->subject, &upload->record);
    struct vault_query query = vault_query_of(change->caller, VAULT_ACTION_WRITE, VAULT_NONE,
                                              VAULT_NONE, &change->subject.base.subject);
    enum kl_status status = KL_OK;
    int type = VAULT_NONE;

    if (at == VAULT_NONE) {
        return vault_not_found(err);
    }
    ret->record_at = (size_t)at;
    ret->record = &change->subject.records[at];
    type = vault_policy_record_find(change->caller->policy, ret->record->type);
    status = vault_record_write_allowed(change, &query, type, err);
    if (status == KL_OK) {
        status = field_check(change, upload, &query, type, &ret->field, err);
    }
    if (status == KL_OK && upload->if_version != 0 && upload->if_version != ret->record->version) {
        status = kl_fail(err, KL_ERR_PRECONDITION, "version_mismatch",
                         "the record has changed since; read it again", NULL);
    }
    return status;
}

static void act_begin(struct vault_change *change, const struct target *target, const char *action,
                      const char *said)
{
    struct kl_json_out *out = &change->act.out;

    vault_subject_act_begin(&change->act, change->caller, action, change->subject.slot);
    kl_json_add_int(out, "record", (int64_t)change->subject.head.records[target->record_at].value);
    kl_json_add_text(out, "type", target->record->type);
    kl_json_add_int(out, "version", (int64_t)target->record->version);
    kl_json_key(out, "fields");
    kl_json_object_begin(out);
    kl_json_add_text(out, vault_policy_field(change->caller->policy, target->field)->name, said);
    kl_json_object_end(out);
}

/* ---- what is written down ---- */

static void field_name(struct vault_manifest_field *field, const struct vault_policy_field *of,
                       const struct vault_upload *upload, uint64_t version)
{
    field->name = of->name;
    field->type = of->type;
    field->index = VAULT_INDEX_NONE;
    field->value = upload->place.of.value;
    field->version = version;
}

/* What is known of the file, sealed under its slot. */
static enum kl_status info_put(struct vault_change *change, const struct vault_upload *upload,
                               const struct vault_manifest_record *record,
                               const struct vault_manifest_field *field, struct kl_err *err)
{
    struct kl_buf context;
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&context, VAULT_VALUE_CONTEXT_MAX_BYTES);
    kl_buf_init(&text, VAULT_VALUE_MAX_BYTES);
    vault_file_info_write(&upload->info, &text);
    vault_value_context(&record->id, field->name, field->version, &context);
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        status = kl_buf_status(&context, err);
    }
    if (status == KL_OK) {
        status = vault_change_value_put(change, field->value, kl_buf_slice(&context),
                                        kl_buf_slice(&text), err);
    }
    kl_buf_done(&context);
    kl_buf_done(&text);
    return status;
}

/* ---- beginning ---- */

/* Until it is complete it counts as a value of the past: an erasure of the record takes its key. */
static enum kl_status past_add(struct vault_change *change, const struct vault_upload *upload,
                               const struct target *target, struct kl_err *err)
{
    struct vault_manifest_record *record = target->record;
    struct vault_manifest_field *field = NULL;
    enum kl_status status = vault_record_room(change, record, 1, err);

    if (status == KL_OK) {
        field = &record->past[record->past_count++];
        field_name(field, vault_policy_field(change->caller->policy, target->field), upload,
                   record->version);
        status = info_put(change, upload, record, field, err);
    }
    return status == KL_OK ? vault_change_record_seal(change, target->record_at, err) : status;
}

static enum kl_status begin_body(struct vault_change *change, void *context, struct kl_err *err)
{
    struct vault_upload *upload = context;
    struct target target = {0};
    enum kl_status status =
        vault_residency_place(change->subject.base.residency, change->vault->country, err);

    if (status == KL_OK) {
        status = target_find(change, upload, &target, err);
    }
    upload->place.of.tenant = change->subject.tenant;
    upload->place.of.slot = change->subject.slot;
    if (status == KL_OK) {
        status = vault_change_value_take(change, &upload->place.of.value, err);
    }
    if (status == KL_OK) {
        status =
            vault_change_value_retire(change, upload->place.of.value, upload->taken_us, false, err);
    }
    if (status == KL_OK) {
        status = past_add(change, upload, &target, err);
    }
    if (status == KL_OK) {
        act_begin(change, &target, "file_begin", "coming");
    }
    return status;
}

static enum kl_status slot_take(struct vault_upload *upload, struct kl_err *err)
{
    struct vault_query query = vault_query_of(upload->caller, VAULT_ACTION_WRITE, VAULT_NONE,
                                              VAULT_NONE, &upload->subject);

    if (query.role == VAULT_NONE || !vault_policy_may(upload->caller->policy, &query)) {
        return vault_not_found(err);
    }
    return vault_record_change(upload->vault, upload->caller, &upload->subject, &upload->record,
                               begin_body, upload, err);
}

static enum kl_status input_take(struct vault_upload *upload,
                                 const struct vault_upload_input *input, struct kl_err *err)
{
    size_t type_bytes = strnlen(input->media_type, VAULT_MEDIA_TYPE_MAX_BYTES + 1);

    if (!vault_media_type_valid(input->media_type, type_bytes)) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_media_type",
                        "Content-Type is a media type of at most %d characters, as application/pdf",
                        VAULT_MEDIA_TYPE_MAX_BYTES);
    }
    if (input->bytes > (uint64_t)VAULT_FILE_MAX_BYTES_LIMIT) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "file_too_large",
                       "the file is larger than any vault takes", NULL);
    }
    if (strlen(input->field) > VAULT_NAME_MAX_BYTES) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_field",
                       "the policy has no such field in a record of this type", NULL);
    }
    upload->subject = input->subject;
    upload->record = input->record;
    (void)snprintf(upload->field, sizeof upload->field, "%s", input->field);
    upload->if_version = input->if_version;
    upload->expected = input->bytes;
    (void)snprintf(upload->info.media_type, sizeof upload->info.media_type, "%s",
                   input->media_type);
    return KL_OK;
}

static enum kl_status upload_start(struct vault_upload *upload, struct kl_err *err)
{
    enum kl_status status = slot_take(upload, err);

    if (status == KL_OK) {
        status = vault_files_uploading_begin(upload->vault->files, &upload->place.of, err);
        upload->has_slot = status == KL_OK;
    }
    if (status == KL_OK) {
        randombytes_buf(&upload->place.id, sizeof upload->place.id);
        status = vault_files_create(upload->vault->files, &upload->place, &upload->fd, err);
    }
    if (status == KL_OK) {
        vault_file_writer_init(&upload->writer, vault_file_seal_now, upload->vault->keys,
                               &upload->place, upload->fd);
        (void)crypto_hash_sha256_init(&upload->hash);
    }
    return status;
}

enum kl_status vault_upload_begin(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_upload_input *input,
                                  struct vault_upload **ret_upload, struct kl_err *err)
{
    struct kl_err own = {0};
    struct vault_upload *upload = NULL;
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    upload = calloc(1, sizeof *upload);
    if (upload == NULL) {
        return kl_fail_memory(err);
    }
    upload->vault = vault;
    upload->caller = caller;
    upload->taken_us = caller->now_us;
    upload->fd = -1;
    status = input_take(upload, input, err);
    if (status == KL_OK) {
        status = vault_files_room(vault->files, upload->expected, err);
    }
    if (status == KL_OK) {
        status = upload_start(upload, err);
    }
    if (status != KL_OK) {
        vault_upload_free(upload);
        return vault_subject_refused(vault, caller, "file_begin", VAULT_NONE, status, err);
    }
    *ret_upload = upload;
    return KL_OK;
}

/* ---- bytes ---- */

/* The key went, or is another one than that of the chunks before. */
static enum kl_status upload_cut(struct kl_err *err)
{
    kl_err_clear(err);
    return kl_fail(
        err, KL_ERR_BUSY, "upload_cut",
        "the upload was cut: keys of this subject went or were made anew; send the file again",
        NULL);
}

enum kl_status vault_upload_write(struct vault_upload *upload, const void *bytes, size_t size,
                                  struct kl_err *err)
{
    uint64_t came = upload->info.bytes + size;
    enum kl_status status = KL_OK;

    if (came > upload->expected) {
        return kl_fail(err, KL_ERR_INVALID, "file_longer", "more came than was said", NULL);
    }
    if (came - upload->looked >= ROOM_EVERY_BYTES) {
        upload->looked = came;
        status = vault_files_room(upload->vault->files, upload->expected - came, err);
    }
    if (status == KL_OK) {
        status = vault_file_writer_add(&upload->writer, bytes, size, err);
    }
    if (status == KL_OK) {
        (void)crypto_hash_sha256_update(&upload->hash, bytes, size);
        upload->info.bytes = came;
    }
    return status == KL_ERR_GONE ? upload_cut(err) : status;
}

/* ---- finishing ---- */

/*
 * The key must still be the one of the first chunk: a sweep, an erasure or a rotation of values may have come since. One that comes between
 * this and the commit changes the head, so that this is done again.
 */
static enum kl_status key_check(struct vault_upload *upload, struct kl_err *err)
{
    struct kl_buf sealed;
    struct kl_buf plain;
    enum kl_status status = KL_OK;
    int fd = -1;

    kl_buf_init(&sealed, VAULT_FILE_SEALED_BYTES);
    kl_buf_init(&plain, VAULT_FILE_CHUNK_BYTES);
    status = vault_files_open(upload->vault->files, &upload->place, &fd, err);
    if (status == KL_OK) {
        status =
            vault_file_chunk_read(upload->vault->keys, fd, &upload->place, 0, &sealed, &plain, err);
        (void)close(fd);
    }
    kl_buf_done(&sealed);
    kl_buf_done(&plain);
    return status == KL_ERR_GONE || status == KL_ERR_CORRUPT ? upload_cut(err) : status;
}

/* It is no value of the past any more, and the sweep passes it by; where its bytes are. */
static void slot_use(struct vault_change *change, const struct vault_upload *upload,
                     struct vault_manifest_record *record)
{
    const struct kms_place *of = &upload->place.of;
    struct vault_row_key row = vault_row_file(of->tenant, of->slot, of->value);
    struct vault_row_key old = vault_row_old(of->tenant, upload->taken_us, of->slot, of->value);
    unsigned char bytes[VAULT_FILE_ROW_BYTES];
    size_t i = 0;

    vault_file_row(&upload->place, bytes);
    vault_batch_put(change->batch, vault_row_slice(&row), kl_slice_of(bytes, sizeof bytes));
    vault_batch_remove(change->batch, vault_row_slice(&old));
    while (i < record->past_count && record->past[i].value != of->value) {
        i++;
    }
    if (i < record->past_count) {
        record->past[i] = record->past[--record->past_count];
    }
}

/* Where the field stands in the record, made when it was not there; what it held is retired. */
static enum kl_status field_place(struct vault_change *change, struct target *target,
                                  const struct vault_policy_field *of, size_t *ret,
                                  struct kl_err *err)
{
    struct vault_manifest_record *record = target->record;
    size_t at = 0;
    enum kl_status status = vault_record_room(change, record, 1, err);

    while (status == KL_OK && at < record->field_count &&
           strcmp(record->fields[at].name, of->name) != 0) {
        at++;
    }
    if (status == KL_OK && at < record->field_count) {
        status = vault_record_retire(change, record, at, err);
    } else if (status == KL_OK && at == VAULT_FIELDS_INPUT_MAX) {
        status = kl_fail(err, KL_ERR_TOO_LARGE, "too_many_fields",
                         "a record holds at most 256 fields", NULL);
    } else if (status == KL_OK) {
        record->field_count++;
    }
    *ret = at;
    return status;
}

static enum kl_status finish_body(struct vault_change *change, void *context, struct kl_err *err)
{
    struct vault_upload *upload = context;
    const struct vault_policy_field *of = NULL;
    struct target target = {0};
    size_t at = 0;
    enum kl_status status = target_find(change, upload, &target, err);

    if (status == KL_OK && change->subject.slot != upload->place.of.slot) {
        status = vault_not_found(err);
    }
    if (status == KL_OK) {
        status = key_check(upload, err);
    }
    if (status == KL_OK) {
        of = vault_policy_field(change->caller->policy, target.field);
        status = field_place(change, &target, of, &at, err);
    }
    if (status != KL_OK) {
        return status;
    }
    target.record->version++;
    upload->info.version = target.record->version;
    field_name(&target.record->fields[at], of, upload, target.record->version);
    slot_use(change, upload, target.record);
    status = info_put(change, upload, target.record, &target.record->fields[at], err);
    if (status == KL_OK) {
        status = vault_change_record_seal(change, target.record_at, err);
    }
    if (status == KL_OK) {
        act_begin(change, &target, "file_put", "set");
        kl_json_add_int(&change->act.out, "bytes", (int64_t)upload->info.bytes);
    }
    return status;
}

static enum kl_status bytes_keep(struct vault_upload *upload, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    int fd = upload->fd;

    if (upload->info.bytes != upload->expected) {
        return kl_fail(err, KL_ERR_INVALID, "file_shorter", "less came than was said", NULL);
    }
    status = vault_file_writer_end(&upload->writer, err);
    if (status == KL_OK) {
        upload->fd = -1;
        upload->place.bytes = upload->writer.place.bytes;
        (void)crypto_hash_sha256_final(&upload->hash, upload->info.sha256);
        status = vault_files_keep(upload->vault->files, &upload->place, fd, err);
    }
    return status == KL_ERR_GONE ? upload_cut(err) : status;
}

enum kl_status vault_upload_finish(struct vault_upload *upload, uint64_t *ret_version,
                                   struct vault_file_info *ret_info, struct kl_err *err)
{
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = bytes_keep(upload, err);
    if (status == KL_OK) {
        upload->kept = true;
        status = vault_record_change(upload->vault, upload->caller, &upload->subject,
                                     &upload->record, finish_body, upload, err);
    }
    if (status != KL_OK) {
        return vault_subject_refused(upload->vault, upload->caller, "file_put", VAULT_NONE, status,
                                     err);
    }
    atomic_fetch_add_explicit(&upload->vault->counters.records_rectified, 1, memory_order_relaxed);
    *ret_version = upload->info.version;
    if (ret_info != NULL) {
        *ret_info = upload->info;
    }
    return KL_OK;
}

void vault_upload_free(struct vault_upload *upload)
{
    if (upload == NULL) {
        return;
    }
    if (upload->fd >= 0) {
        (void)close(upload->fd);
    }
    if (upload->has_slot) {
        if (!upload->kept) {
            vault_files_drop(upload->vault->files, &upload->place);
        }
        vault_files_uploading_end(upload->vault->files, &upload->place.of);
        vault_files_changed(upload->vault->files, upload->place.of.slot);
    }
    vault_file_writer_done(&upload->writer);
    sodium_memzero(upload, sizeof *upload);
    free(upload);
}
