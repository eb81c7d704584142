#include "vault/erasure_note.h"

#include <string.h>

/*
 * 1  without a mark; 2  the mark of an Idempotency-Key behind it; 3  flags, the mark if there is one, what was retained, request, of, name
 * and public key behind it; 4  what it gives to statistics behind that; 5  of what was retained only how many lines there are (before, they stood there
 * again as they lie beside the keys). What earlier versions left in a key store is still read.
 */
#define FORMAT 1
#define FORMAT_ONCE 2
#define FORMAT_MORE 3
#define FORMAT_GIVEN 4
#define FORMAT_COUNTED 5
#define FLAG_ONCE 1u
/* What all but notify takes at most. */
#define REST_MAX_BYTES 768
/* Lines that a note before FORMAT_COUNTED has at most. */
#define LINES_MAX 48

_Static_assert(VAULT_NOTIFY_MAX_BYTES + REST_MAX_BYTES <= KMS_NOTE_MAX_BYTES, "a note fits");

void vault_note_notify(struct vault_note *note, const char *name)
{
    size_t size = strlen(name) + 1;

    if (note->notify_bytes + size > sizeof note->notify) {
        note->notify_all = false;
        return;
    }
    memcpy(note->notify + note->notify_bytes, name, size);
    note->notify_bytes += size;
}

bool vault_note_has_request(const struct vault_note *note)
{
    static const struct kl_id none = {{0}};

    return !kl_id_equal(&note->request, &none);
}

void vault_note_once(struct vault_note *note, const struct vault_idempotency_ticket *ticket)
{
    if (ticket->held) {
        note->once = true;
        note->mark = ticket->mark;
    }
}

const unsigned char vault_note_step[VAULT_NOTE_STEP_BYTES] = {0};

bool vault_note_is_step(struct kl_slice text)
{
    return text.size == VAULT_NOTE_STEP_BYTES && text.bytes[0] == vault_note_step[0];
}

enum kl_status vault_note_encode(const struct vault_note *note, struct kl_buf *ret,
                                 struct kl_err *err)
{
    kl_buf_add_byte(ret, FORMAT_COUNTED);
    kl_buf_add_byte(ret, (unsigned char)note->kind);
    kl_buf_add(ret, note->id.bytes, KL_ID_BYTES);
    kl_buf_add_u64be(ret, note->tenant);
    kl_buf_add_u64be(ret, note->slot);
    kl_buf_add_u64be(ret, note->record);
    kl_buf_add_u64be(ret, (uint64_t)note->at_us);
    kl_buf_add(ret, note->credential.bytes, KL_ID_BYTES);
    kl_buf_add_sized(ret, note->role, strlen(note->role));
    kl_buf_add_sized(ret, note->request_id, strlen(note->request_id));
    kl_buf_add_sized(ret, note->location.code, strlen(note->location.code));
    kl_buf_add_byte(ret, (unsigned char)note->reason);
    kl_buf_add_u32be(ret, note->records);
    kl_buf_add_u32be(ret, note->fields);
    kl_buf_add(ret, note->commitment, sizeof note->commitment);
    kl_buf_add_sized(ret, note->notify, note->notify_bytes);
    kl_buf_add_byte(ret, note->notify_all ? 1 : 0);
    kl_buf_add_byte(ret, note->once ? FLAG_ONCE : 0);
    if (note->once) {
        kl_buf_add_u64be(ret, note->mark.tenant);
        kl_buf_add(ret, note->mark.mac, sizeof note->mark.mac);
        kl_buf_add(ret, note->mark.fingerprint, sizeof note->mark.fingerprint);
    }
    kl_buf_add_u32be(ret, note->retained);
    kl_buf_add(ret, note->request.bytes, KL_ID_BYTES);
    kl_buf_add(ret, note->of.bytes, KL_ID_BYTES);
    kl_buf_add_sized(ret, note->name, strlen(note->name));
    kl_buf_add(ret, note->public_key, sizeof note->public_key);
    kl_buf_add_u64be(ret, note->cohort);
    kl_buf_add(ret, note->given.bytes, KL_ID_BYTES);
    return kl_buf_status(ret, err);
}

/* A text of at most room - 1 bytes without a 0 byte, and a 0 byte behind it. */
static void read_text(struct kl_reader *in, char *ret, size_t room)
{
    struct kl_slice text = kl_read_sized(in);

    if (!in->ok || text.size >= room ||
        (text.size > 0 && memchr(text.bytes, 0, text.size) != NULL)) {
        in->ok = false;
        return;
    }
    if (text.size > 0) {
        memcpy(ret, text.bytes, text.size);
    }
    ret[text.size] = 0;
}

static void read_bytes(struct kl_reader *in, unsigned char *ret, size_t size)
{
    struct kl_slice bytes = kl_read_bytes(in, size);

    if (in->ok) {
        memcpy(ret, bytes.bytes, size);
    }
}

static void read_retained(struct kl_reader *in, unsigned char format, struct vault_note *note)
{
    uint32_t count = format >= FORMAT_COUNTED ? kl_read_u32be(in) : kl_read_byte(in);
    uint32_t i;

    if (count > (format >= FORMAT_COUNTED ? VAULT_RETAINED_MAX : LINES_MAX)) {
        in->ok = false;
        return;
    }
    note->retained = count;
    for (i = 0; format < FORMAT_COUNTED && i < count; i++) {
        (void)kl_read_bytes(in, 8 + 8 + VAULT_COMMITMENT_BYTES);
        (void)kl_read_sized(in);
    }
}

/* What is behind notify. */
static void read_rest(struct kl_reader *in, unsigned char format, struct vault_note *note)
{
    unsigned char flags = format == FORMAT_ONCE ? FLAG_ONCE : 0;

    if (format >= FORMAT_MORE) {
        flags = kl_read_byte(in);
    }
    if (flags > FLAG_ONCE) {
        in->ok = false;
    }
    note->once = flags == FLAG_ONCE;
    if (note->once) {
        note->mark.tenant = kl_read_u64be(in);
        read_bytes(in, note->mark.mac, sizeof note->mark.mac);
        read_bytes(in, note->mark.fingerprint, sizeof note->mark.fingerprint);
    }
    if (format >= FORMAT_MORE) {
        read_retained(in, format, note);
        read_bytes(in, note->request.bytes, KL_ID_BYTES);
        read_bytes(in, note->of.bytes, KL_ID_BYTES);
        read_text(in, note->name, sizeof note->name);
        read_bytes(in, note->public_key, sizeof note->public_key);
    }
    if (format >= FORMAT_GIVEN) {
        note->cohort = kl_read_u64be(in);
        read_bytes(in, note->given.bytes, KL_ID_BYTES);
    }
}

enum kl_status vault_note_decode(struct kl_slice text, struct vault_note *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(text);
    struct vault_note note = {0};
    struct kl_slice notify;
    unsigned char format = kl_read_byte(&in);
    unsigned char kind = kl_read_byte(&in);
    unsigned char reason = 0;
    unsigned char notify_all = 0;

    read_bytes(&in, note.id.bytes, KL_ID_BYTES);
    note.tenant = kl_read_u64be(&in);
    note.slot = kl_read_u64be(&in);
    note.record = kl_read_u64be(&in);
    note.at_us = (int64_t)kl_read_u64be(&in);
    read_bytes(&in, note.credential.bytes, KL_ID_BYTES);
    read_text(&in, note.role, sizeof note.role);
    read_text(&in, note.request_id, sizeof note.request_id);
    read_text(&in, note.location.code, sizeof note.location.code);
    reason = kl_read_byte(&in);
    note.records = kl_read_u32be(&in);
    note.fields = kl_read_u32be(&in);
    read_bytes(&in, note.commitment, sizeof note.commitment);
    notify = kl_read_sized(&in);
    notify_all = kl_read_byte(&in);
    note.notify_all = notify_all == 1;
    read_rest(&in, format, &note);
    if (format < FORMAT || format > FORMAT_COUNTED || kind < VAULT_NOTE_SUBJECT ||
        kind > VAULT_NOTE_STATISTICS || reason >= VAULT_ERASE_REASONS || notify_all > 1 ||
        !kl_reader_done(&in) || notify.size > sizeof note.notify ||
        (notify.size > 0 && notify.bytes[notify.size - 1] != 0)) {
        return kl_fail(err, KL_ERR_CORRUPT, "key_note_damaged",
                       "a note in the key store cannot be read", NULL);
    }
    note.kind = (enum vault_note_kind)kind;
    note.reason = (enum vault_erase_reason)reason;
    if (notify.size > 0) {
        memcpy(note.notify, notify.bytes, notify.size);
    }
    note.notify_bytes = notify.size;
    *ret = note;
    return KL_OK;
}
