#include "vault/erasure_note.h"

#include <string.h>

#define FORMAT 1
#define FORMAT_ONCE 2 /* the same, and the mark of an Idempotency-Key behind it */

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

void vault_note_once(struct vault_note *note, const struct vault_idempotency_ticket *ticket)
{
    if (ticket->held) {
        note->once = true;
        note->mark = ticket->mark;
    }
}

enum kl_status vault_note_encode(const struct vault_note *note, struct kl_buf *ret,
                                 struct kl_err *err)
{
    kl_buf_add_byte(ret, note->once ? FORMAT_ONCE : FORMAT);
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
    if (note->once) {
        kl_buf_add_u64be(ret, note->mark.tenant);
        kl_buf_add(ret, note->mark.mac, sizeof note->mark.mac);
        kl_buf_add(ret, note->mark.fingerprint, sizeof note->mark.fingerprint);
    }
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
    note.once = format == FORMAT_ONCE;
    if (note.once) {
        note.mark.tenant = kl_read_u64be(&in);
        read_bytes(&in, note.mark.mac, sizeof note.mark.mac);
        read_bytes(&in, note.mark.fingerprint, sizeof note.mark.fingerprint);
    }
    if ((format != FORMAT && format != FORMAT_ONCE) || kind < VAULT_NOTE_SUBJECT ||
        kind > VAULT_NOTE_ROTATION || reason >= VAULT_ERASE_REASONS || notify_all > 1 ||
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
