#include "vault/subject_answer.h"

#include <string.h>

#define FORMAT 1

static const char *copy_text(struct kl_arena *arena, const char *text, bool *no_room)
{
    const char *copy = text == NULL ? NULL : kl_arena_text(arena, text, strlen(text));

    *no_room = *no_room || (text != NULL && copy == NULL);
    return copy;
}

enum kl_status vault_answer_result(const struct vault_subject *subject, size_t first, size_t count,
                                   struct kl_arena *arena, struct vault_subject_result *ret,
                                   struct kl_err *err)
{
    struct vault_record_result *records = kl_arena_array(arena, count, sizeof *records);
    bool no_room = records == NULL;
    size_t i;

    for (i = 0; !no_room && i < count; i++) {
        const struct vault_manifest_record *record = &subject->records[first + i];

        records[i].id = record->id;
        records[i].type = copy_text(arena, record->type, &no_room);
        records[i].source = copy_text(arena, record->source, &no_room);
        records[i].version = record->version;
        records[i].created_us = record->created_us;
    }
    if (no_room) {
        return kl_fail_memory(err);
    }
    memset(ret, 0, sizeof *ret);
    ret->id = subject->base.subject;
    ret->residency = subject->base.residency;
    ret->records = records;
    ret->record_count = count;
    return KL_OK;
}

enum kl_status vault_answer_remember(struct vault_change *change,
                                     const struct vault_idempotency_ticket *ticket, size_t first,
                                     size_t count, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    uint64_t value = 0;
    struct kl_buf answer;
    size_t i;

    if (!ticket->held) {
        return KL_OK;
    }
    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    kl_buf_add_byte(&answer, FORMAT);
    kl_buf_add(&answer, change->subject.base.subject.bytes, KL_ID_BYTES);
    kl_buf_add_byte(&answer, (unsigned char)change->subject.base.residency);
    kl_buf_add_u16be(&answer, (uint16_t)count);
    for (i = first; i < first + count; i++) {
        const struct vault_manifest_record *record = &change->subject.records[i];

        kl_buf_add(&answer, record->id.bytes, KL_ID_BYTES);
        kl_buf_add_sized(&answer, record->type, strlen(record->type));
        kl_buf_add_sized(&answer, record->source,
                         record->source == NULL ? 0 : strlen(record->source));
        kl_buf_add_u64be(&answer, record->version);
        kl_buf_add_u64be(&answer, (uint64_t)record->created_us);
    }
    status = kl_buf_status(&answer, err);
    if (count == 1) {
        value = change->subject.head.records[first].value;
    } else if (status == KL_OK) {
        status = vault_change_value_take(change, &value, err);
    }
    if (status == KL_OK) {
        status =
            vault_idempotency_remember(change->vault, change->caller, ticket, change->subject.slot,
                                       value, kl_buf_slice(&answer), change->batch, err);
    }
    if (status == KL_OK && count != 1) {
        status = vault_change_value_retire(
            change, value, change->caller->now_us + VAULT_IDEMPOTENCY_LIFE_US, false, err);
    }
    kl_buf_done(&answer);
    return status;
}

static bool read_id(struct kl_reader *in, struct kl_id *ret)
{
    struct kl_slice bytes = kl_read_bytes(in, KL_ID_BYTES);

    if (in->ok) {
        memcpy(ret->bytes, bytes.bytes, KL_ID_BYTES);
    }
    return in->ok;
}

static bool read_record(struct kl_reader *in, struct kl_arena *arena,
                        struct vault_record_result *ret, bool *no_room)
{
    struct kl_slice type;
    struct kl_slice source;

    if (!read_id(in, &ret->id)) {
        return false;
    }
    type = kl_read_sized(in);
    source = kl_read_sized(in);
    ret->version = kl_read_u64be(in);
    ret->created_us = (int64_t)kl_read_u64be(in);
    if (!in->ok) {
        return false;
    }
    ret->type = kl_arena_text(arena, type.bytes, type.size);
    ret->source = source.size == 0 ? NULL : kl_arena_text(arena, source.bytes, source.size);
    *no_room = ret->type == NULL || (source.size > 0 && ret->source == NULL);
    return !*no_room;
}

enum kl_status vault_answer_replay(struct kl_slice answer, struct kl_arena *arena,
                                   struct vault_subject_result *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(answer);
    struct vault_subject_result result = {.replayed = true};
    bool known = kl_read_byte(&in) == FORMAT && read_id(&in, &result.id);
    unsigned char residency = kl_read_byte(&in);
    bool no_room = false;
    size_t i;

    result.residency =
        residency == VAULT_RESIDENCY_EEA ? VAULT_RESIDENCY_EEA : VAULT_RESIDENCY_NONE;
    result.record_count = kl_read_u16be(&in);
    if (known && result.record_count <= VAULT_RECORDS_MAX) {
        result.records = kl_arena_array(arena, result.record_count, sizeof *result.records);
        no_room = result.records == NULL;
    } else {
        known = false;
    }
    for (i = 0; known && !no_room && i < result.record_count; i++) {
        known = read_record(&in, arena, &result.records[i], &no_room);
    }
    if (no_room) {
        return kl_fail_memory(err);
    }
    if (!known || !kl_reader_done(&in)) {
        return kl_fail(err, KL_ERR_CORRUPT, "idempotency_damaged", "a stored answer cannot be read",
                       NULL);
    }
    *ret = result;
    return KL_OK;
}
