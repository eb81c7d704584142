#include "vault/manifest.h"

#include <assert.h>
#include <string.h>

#define FORMAT 1
#define FORMAT_HANDLES 2 /* a base with handles behind the rest */
#define FLAG_LEDGER 1u

static enum kl_status damaged(struct kl_err *err, const char *what)
{
    return kl_fail(err, KL_ERR_CORRUPT, "manifest_damaged",
                   "what is stored about this subject cannot be read",
                   "%s is not as it was written", what);
}

/* What an encoding ends with: the buffer's own failure, or a text that is too long. */
static enum kl_status ended(const struct kl_buf *ret, size_t started, size_t max, const char *code,
                            struct kl_err *err)
{
    if (ret->size - started > max || (ret->failed && !ret->no_memory)) {
        return kl_fail(err, KL_ERR_TOO_LARGE, code,
                       "this subject holds too much for one more change", NULL);
    }
    return kl_buf_status(ret, err);
}

/* ---- writing ---- */

static void add_name(struct kl_buf *out, const char *name)
{
    size_t size = name == NULL ? 0 : strlen(name);

    assert(size <= VAULT_MANIFEST_NAME_MAX_BYTES);
    kl_buf_add_byte(out, (unsigned char)size);
    kl_buf_add(out, name == NULL ? "" : name, size);
}

static void add_count(struct kl_buf *out, size_t count, size_t max)
{
    assert(count <= max && max <= UINT16_MAX);
    kl_buf_add_u16be(out, (uint16_t)count);
}

enum kl_status vault_head_encode(const struct vault_head *head, struct kl_buf *ret,
                                 struct kl_err *err)
{
    size_t started = ret->size;
    size_t i;

    kl_buf_add_u64be(ret, head->version);
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add_byte(ret, head->has_ledger ? FLAG_LEDGER : 0);
    kl_buf_add_u32be(ret, head->epoch);
    kl_buf_add_u64be(ret, head->next_value);
    assert(head->gap_count <= VAULT_GAPS_MAX);
    kl_buf_add_byte(ret, (unsigned char)head->gap_count);
    for (i = 0; i < head->gap_count; i++) {
        kl_buf_add_u64be(ret, head->gaps[i].first);
        kl_buf_add_u64be(ret, head->gaps[i].past);
    }
    kl_buf_add_sized(ret, head->base.bytes, head->base.size);
    add_count(ret, head->record_count, VAULT_RECORDS_MAX);
    for (i = 0; i < head->record_count; i++) {
        kl_buf_add_u64be(ret, head->records[i].value);
        kl_buf_add_sized(ret, head->records[i].sealed.bytes, head->records[i].sealed.size);
    }
    return ended(ret, started, VAULT_HEAD_MAX_BYTES, "subject_full", err);
}

enum kl_status vault_manifest_base_encode(const struct vault_manifest_base *base,
                                          struct kl_buf *ret, struct kl_err *err)
{
    size_t started = ret->size;

    kl_buf_add_byte(ret, base->handle_count == 0 ? FORMAT : FORMAT_HANDLES);
    kl_buf_add(ret, base->subject.bytes, KL_ID_BYTES);
    kl_buf_add_byte(ret, (unsigned char)base->residency);
    kl_buf_add_byte(ret, base->limits ? 1 : 0);
    kl_buf_add_u32be(ret, base->moves);
    kl_buf_add_u64be(ret, (uint64_t)base->moved_us);
    kl_buf_add_u64be(ret, (uint64_t)base->created_us);
    kl_buf_add(ret, base->token_seed, sizeof base->token_seed);
    if (base->handle_count > 0) {
        add_count(ret, base->handle_count, VAULT_HANDLES_MAX);
        kl_buf_add(ret, base->handles, base->handle_count * VAULT_HANDLE_BYTES);
    }
    return ended(ret, started, VAULT_MANIFEST_MAX_BYTES, "subject_full", err);
}

static void add_field(struct kl_buf *out, const struct vault_manifest_field *field)
{
    add_name(out, field->name);
    kl_buf_add_byte(out, (unsigned char)field->type);
    kl_buf_add_byte(out, (unsigned char)field->index);
    kl_buf_add_u64be(out, field->value);
    kl_buf_add_u64be(out, field->version);
}

enum kl_status vault_manifest_record_encode(const struct vault_manifest_record *record,
                                            struct kl_buf *ret, struct kl_err *err)
{
    size_t started = ret->size;
    size_t i;

    assert(!record->gone);
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add(ret, record->id.bytes, KL_ID_BYTES);
    add_name(ret, record->type);
    add_name(ret, record->source);
    kl_buf_add_u64be(ret, record->version);
    kl_buf_add_u64be(ret, (uint64_t)record->created_us);
    add_count(ret, record->field_count, VAULT_FIELDS_INPUT_MAX);
    for (i = 0; i < record->field_count; i++) {
        add_field(ret, &record->fields[i]);
    }
    add_count(ret, record->past_count, VAULT_PAST_MAX);
    for (i = 0; i < record->past_count; i++) {
        add_field(ret, &record->past[i]);
    }
    add_count(ret, record->event_count, VAULT_EVENTS_MAX);
    for (i = 0; i < record->event_count; i++) {
        add_name(ret, record->events[i].name);
        kl_buf_add_u64be(ret, (uint64_t)record->events[i].at_us);
    }
    add_name(ret, record->hold_basis);
    kl_buf_add_u64be(ret, (uint64_t)record->hold_until_us);
    return ended(ret, started, VAULT_MANIFEST_MAX_BYTES, "record_full", err);
}

static void add_objection(struct kl_buf *out, const struct vault_ledger_objection *objection)
{
    add_name(out, objection->purpose);
    kl_buf_add_u32be(out, objection->count);
    kl_buf_add_byte(out, (unsigned char)objection->ground);
    kl_buf_add_u64be(out, objection->compelling);
    kl_buf_add_u64be(out, (uint64_t)objection->at_us);
    kl_buf_add_u64be(out, (uint64_t)objection->ended_us);
}

enum kl_status vault_ledger_encode(const struct vault_ledger *ledger, struct kl_buf *ret,
                                   struct kl_err *err)
{
    size_t started = ret->size;
    size_t i;

    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add_u64be(ret, (uint64_t)ledger->closed_us);
    kl_buf_add_u32be(ret, ledger->restriction.count);
    kl_buf_add_byte(ret, (unsigned char)ledger->restriction.ground);
    kl_buf_add_u64be(ret, (uint64_t)ledger->restriction.at_us);
    add_count(ret, ledger->objection_count, VAULT_OBJECTIONS_MAX);
    for (i = 0; i < ledger->objection_count; i++) {
        add_objection(ret, &ledger->objections[i]);
    }
    add_count(ret, ledger->count, VAULT_CONSENTS_MAX);
    for (i = 0; i < ledger->count; i++) {
        const struct vault_ledger_entry *entry = &ledger->entries[i];

        add_name(ret, entry->purpose);
        add_name(ret, entry->recipient);
        add_name(ret, entry->notice);
        add_name(ret, entry->channel);
        kl_buf_add_u64be(ret, entry->evidence);
        kl_buf_add_u64be(ret, (uint64_t)entry->given_us);
        kl_buf_add_u64be(ret, (uint64_t)entry->expires_us);
        kl_buf_add_u64be(ret, (uint64_t)entry->withdrawn_us);
        kl_buf_add_byte(ret, entry->is_explicit ? 1 : 0);
    }
    return ended(ret, started, VAULT_MANIFEST_MAX_BYTES, "too_many_consents", err);
}

/* ---- reading ---- */

/* A name's text in the arena; NULL for an empty one. False: damaged, or no memory (then *no_room is set). */
static bool read_name(struct kl_reader *in, struct kl_arena *arena, const char **ret_name,
                      bool *no_room)
{
    struct kl_slice text = kl_read_bytes(in, kl_read_byte(in));

    if (!in->ok || (text.size > 0 && memchr(text.bytes, 0, text.size) != NULL)) {
        in->ok = false;
        return false;
    }
    if (text.size == 0) {
        *ret_name = NULL;
        return true;
    }
    *ret_name = kl_arena_text(arena, text.bytes, text.size);
    *no_room = *ret_name == NULL;
    return *ret_name != NULL;
}

static size_t read_count(struct kl_reader *in, size_t max)
{
    size_t count = kl_read_u16be(in);

    if (count > max) {
        in->ok = false;
        return 0;
    }
    return count;
}

/* Whether it is a number that a value slot may have. */
static bool value_valid(uint64_t value)
{
    return value >= VAULT_VALUE_FIRST && value <= KMS_SLOT_MAX;
}

static bool read_gaps(struct kl_reader *in, struct vault_head *head)
{
    uint64_t from = VAULT_VALUE_FIRST;
    size_t i;

    head->gap_count = kl_read_byte(in);
    if (!in->ok || head->gap_count > VAULT_GAPS_MAX) {
        return false;
    }
    for (i = 0; i < head->gap_count; i++) {
        struct vault_gap *gap = &head->gaps[i];

        gap->first = kl_read_u64be(in);
        gap->past = kl_read_u64be(in);
        if (!in->ok || gap->first < from || gap->past <= gap->first ||
            gap->past > head->next_value) {
            return false;
        }
        from = gap->past;
    }
    return true;
}

enum kl_status vault_head_decode(struct kl_slice row, struct kl_arena *arena,
                                 struct vault_head *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(row);
    struct vault_head head = {0};
    unsigned char flags = 0;
    size_t i;

    head.version = kl_read_u64be(&in);
    if (kl_read_byte(&in) != FORMAT || head.version == 0) {
        return damaged(err, "a head row");
    }
    flags = kl_read_byte(&in);
    head.has_ledger = (flags & FLAG_LEDGER) != 0;
    head.epoch = kl_read_u32be(&in);
    head.next_value = kl_read_u64be(&in);
    if (!read_gaps(&in, &head)) {
        return damaged(err, "a head row");
    }
    head.base = kl_read_sized(&in);
    head.record_count = read_count(&in, VAULT_RECORDS_MAX);
    if (!in.ok || flags > FLAG_LEDGER || head.epoch > VAULT_EPOCH_MAX ||
        head.next_value > KMS_SLOT_MAX + 1) {
        return damaged(err, "a head row");
    }
    head.records = kl_arena_array(arena, head.record_count, sizeof *head.records);
    if (head.records == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < head.record_count; i++) {
        head.records[i].value = kl_read_u64be(&in);
        head.records[i].sealed = kl_read_sized(&in);
        if (!in.ok || !value_valid(head.records[i].value)) {
            return damaged(err, "a head row");
        }
    }
    if (!kl_reader_done(&in)) {
        return damaged(err, "a head row");
    }
    *ret = head;
    return KL_OK;
}

static bool read_handles(struct kl_reader *in, struct vault_manifest_base *base)
{
    size_t count = kl_read_u16be(in);
    struct kl_slice bytes;

    if (!in->ok || count == 0 || count > VAULT_HANDLES_MAX) {
        return false;
    }
    bytes = kl_read_bytes(in, count * VAULT_HANDLE_BYTES);
    if (in->ok) {
        memcpy(base->handles, bytes.bytes, bytes.size);
        base->handle_count = count;
    }
    return in->ok;
}

enum kl_status vault_manifest_base_decode(struct kl_slice text, struct vault_manifest_base *ret,
                                          struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(text);
    struct vault_manifest_base base = {0};
    struct kl_slice bytes;
    unsigned char residency = 0;
    unsigned char limits = 0;
    unsigned char format = kl_read_byte(&in);

    bytes = kl_read_bytes(&in, KL_ID_BYTES);
    if (in.ok) {
        memcpy(base.subject.bytes, bytes.bytes, KL_ID_BYTES);
    }
    residency = kl_read_byte(&in);
    limits = kl_read_byte(&in);
    base.moves = kl_read_u32be(&in);
    base.moved_us = (int64_t)kl_read_u64be(&in);
    base.created_us = (int64_t)kl_read_u64be(&in);
    bytes = kl_read_bytes(&in, sizeof base.token_seed);
    if (in.ok) {
        memcpy(base.token_seed, bytes.bytes, sizeof base.token_seed);
    }
    if ((format != FORMAT && format != FORMAT_HANDLES) ||
        (format == FORMAT_HANDLES && !read_handles(&in, &base)) || !kl_reader_done(&in) ||
        residency > VAULT_RESIDENCY_NONE || limits > 1) {
        return damaged(err, "a subject's manifest");
    }
    base.residency = (enum vault_residency)residency;
    base.limits = limits == 1;
    *ret = base;
    return KL_OK;
}

static bool read_field(struct kl_reader *in, struct kl_arena *arena,
                       struct vault_manifest_field *ret, bool *no_room)
{
    unsigned char type = 0;
    unsigned char index = 0;

    if (!read_name(in, arena, &ret->name, no_room)) {
        return false;
    }
    type = kl_read_byte(in);
    index = kl_read_byte(in);
    ret->value = kl_read_u64be(in);
    ret->version = kl_read_u64be(in);
    if (!in->ok || ret->name == NULL || type >= VAULT_TYPES || index > VAULT_INDEX_UNIQUE ||
        !value_valid(ret->value)) {
        return false;
    }
    ret->type = (enum vault_type)type;
    ret->index = (enum vault_index)index;
    return true;
}

static bool read_events(struct kl_reader *in, struct kl_arena *arena,
                        struct vault_manifest_record *ret, bool *no_room)
{
    size_t i;

    ret->event_count = read_count(in, VAULT_EVENTS_MAX);
    ret->events = kl_arena_array(arena, ret->event_count, sizeof *ret->events);
    *no_room = ret->events == NULL;
    for (i = 0; !*no_room && i < ret->event_count; i++) {
        if (!read_name(in, arena, &ret->events[i].name, no_room) || ret->events[i].name == NULL) {
            return false;
        }
        ret->events[i].at_us = (int64_t)kl_read_u64be(in);
    }
    return !*no_room;
}

static bool read_record(struct kl_reader *in, struct kl_arena *arena,
                        struct vault_manifest_record *ret, bool *no_room)
{
    struct kl_slice id;
    size_t i;

    if (kl_read_byte(in) != FORMAT) {
        return false;
    }
    id = kl_read_bytes(in, KL_ID_BYTES);
    if (!read_name(in, arena, &ret->type, no_room) || ret->type == NULL ||
        !read_name(in, arena, &ret->source, no_room)) {
        return false;
    }
    memcpy(ret->id.bytes, id.bytes, KL_ID_BYTES);
    ret->version = kl_read_u64be(in);
    ret->created_us = (int64_t)kl_read_u64be(in);
    ret->field_count = read_count(in, VAULT_FIELDS_INPUT_MAX);
    ret->fields = kl_arena_array(arena, ret->field_count, sizeof *ret->fields);
    *no_room = ret->fields == NULL;
    for (i = 0; ret->fields != NULL && i < ret->field_count; i++) {
        if (!read_field(in, arena, &ret->fields[i], no_room)) {
            return false;
        }
    }
    ret->past_count = read_count(in, VAULT_PAST_MAX);
    ret->past = kl_arena_array(arena, ret->past_count, sizeof *ret->past);
    *no_room = *no_room || ret->past == NULL;
    for (i = 0; ret->past != NULL && i < ret->past_count; i++) {
        if (!read_field(in, arena, &ret->past[i], no_room)) {
            return false;
        }
    }
    if (*no_room || !read_events(in, arena, ret, no_room) ||
        !read_name(in, arena, &ret->hold_basis, no_room)) {
        return false;
    }
    ret->hold_until_us = (int64_t)kl_read_u64be(in);
    return kl_reader_done(in) && ret->version > 0;
}

enum kl_status vault_manifest_record_decode(struct kl_slice text, struct kl_arena *arena,
                                            struct vault_manifest_record *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(text);
    struct vault_manifest_record record = {0};
    bool no_room = false;

    if (!read_record(&in, arena, &record, &no_room)) {
        return no_room ? kl_fail_memory(err) : damaged(err, "a record's manifest");
    }
    *ret = record;
    return KL_OK;
}

static bool read_entry(struct kl_reader *in, struct kl_arena *arena, struct vault_ledger_entry *ret,
                       bool *no_room)
{
    unsigned char is_explicit = 0;

    if (!read_name(in, arena, &ret->purpose, no_room) ||
        !read_name(in, arena, &ret->recipient, no_room) ||
        !read_name(in, arena, &ret->notice, no_room) ||
        !read_name(in, arena, &ret->channel, no_room)) {
        return false;
    }
    ret->evidence = kl_read_u64be(in);
    ret->given_us = (int64_t)kl_read_u64be(in);
    ret->expires_us = (int64_t)kl_read_u64be(in);
    ret->withdrawn_us = (int64_t)kl_read_u64be(in);
    is_explicit = kl_read_byte(in);
    ret->is_explicit = is_explicit == 1;
    return in->ok && is_explicit <= 1 && ret->purpose != NULL &&
           (ret->evidence == KMS_VALUE_NONE || value_valid(ret->evidence));
}

static bool read_objection(struct kl_reader *in, struct kl_arena *arena,
                           struct vault_ledger_objection *ret, bool *no_room)
{
    unsigned char ground = 0;

    if (!read_name(in, arena, &ret->purpose, no_room)) {
        return false;
    }
    ret->count = kl_read_u32be(in);
    ground = kl_read_byte(in);
    ret->ground = (enum vault_objection_ground)ground;
    ret->compelling = kl_read_u64be(in);
    ret->at_us = (int64_t)kl_read_u64be(in);
    ret->ended_us = (int64_t)kl_read_u64be(in);
    return in->ok && ret->purpose != NULL && ret->count > 0 && ground < VAULT_OBJECTION_GROUNDS &&
           (ret->compelling == KMS_VALUE_NONE || value_valid(ret->compelling));
}

static bool read_restriction(struct kl_reader *in, struct vault_ledger_restriction *ret)
{
    unsigned char ground = 0;

    ret->count = kl_read_u32be(in);
    ground = kl_read_byte(in);
    ret->ground = (enum vault_restriction_ground)ground;
    ret->at_us = (int64_t)kl_read_u64be(in);
    return in->ok && ground < VAULT_RESTRICTION_GROUNDS && (ret->at_us == 0 || ret->count > 0);
}

enum kl_status vault_ledger_decode(struct kl_slice text, struct kl_arena *arena,
                                   struct vault_ledger *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(text);
    struct vault_ledger ledger = {0};
    bool known = kl_read_byte(&in) == FORMAT;
    bool no_room = false;
    size_t i;

    ledger.closed_us = (int64_t)kl_read_u64be(&in);
    if (!known || !read_restriction(&in, &ledger.restriction)) {
        return damaged(err, "a ledger");
    }
    ledger.objection_count = read_count(&in, VAULT_OBJECTIONS_MAX);
    ledger.objections = kl_arena_array(arena, ledger.objection_count, sizeof *ledger.objections);
    if (ledger.objections == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < ledger.objection_count; i++) {
        if (!read_objection(&in, arena, &ledger.objections[i], &no_room)) {
            return no_room ? kl_fail_memory(err) : damaged(err, "a ledger");
        }
    }
    ledger.count = read_count(&in, VAULT_CONSENTS_MAX);
    ledger.entries = kl_arena_array(arena, ledger.count, sizeof *ledger.entries);
    if (ledger.entries == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < ledger.count; i++) {
        if (!read_entry(&in, arena, &ledger.entries[i], &no_room)) {
            return no_room ? kl_fail_memory(err) : damaged(err, "a ledger");
        }
    }
    if (!kl_reader_done(&in)) {
        return damaged(err, "a ledger");
    }
    *ret = ledger;
    return KL_OK;
}
