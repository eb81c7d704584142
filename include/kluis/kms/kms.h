/*
 * The key tree: every key of a store hangs under one root key, which lies in
 * the only place that is really overwritten. Shredding a key rewrites the
 * pages on its path under fresh keys and destroys the old root key; whoever
 * kept every old byte then has no way down to it (Di Crescenzo et al. 1999;
 * Reardon, Basin, Capkun, CCS 2013).
 *
 *   root key ─ store tree (slots: tenants) ─ tenant tree (slots: subjects,
 *   buckets, a tenant's own keys) ─ subject tree (slots: values)
 *
 * A slot that was never punctured is derived from a seed above it, so taking
 * a slot writes no key. Keys never leave kms: callers seal, unseal, sign and
 * authenticate by naming a place.
 *
 * Threads: everything here from any number of threads at once, but for
 * kms_create, kms_open and kms_close.
 */
#ifndef KLUIS_KMS_KMS_H
#define KLUIS_KMS_KMS_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/kms/custodian.h"
#include "kluis/kms/storage.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kms;
struct kms_staged;

#define KMS_STORE_ID_BYTES 16
#define KMS_SLOT_MAX ((UINT64_C(1) << 40) - 1)
#define KMS_VALUE_NONE UINT64_MAX /* the slot itself, not a value below it */
/* version 1, salt 24, commitment 32, tag 16 */
#define KMS_SEAL_OVERHEAD_BYTES 73
#define KMS_SEAL_MAX_BYTES (64 * 1024 + 4096)
#define KMS_CONTEXT_MAX_BYTES 1024
#define KMS_LABEL_MAX_BYTES 64
#define KMS_NOTE_MAX_BYTES 7168
#define KMS_CHANGES_MAX 65536
#define KMS_GROUP_MAX 1024
#define KMS_MAC_BYTES 32
#define KMS_PUBLIC_KEY_BYTES 32
#define KMS_SIGNATURE_BYTES 64
#define KMS_ROOT_HASH_BYTES 32

/*
 * A place in the tree. tenant: slot of the store tree. slot: slot of the tenant's tree. value: slot of the subject's tree, or
 * KMS_VALUE_NONE when the slot holds no tree of its own (a bucket, a tenant's own key). One slot is used in one of the two ways only.
 */
struct kms_place {
    uint64_t tenant;
    uint64_t slot;
    uint64_t value;
};

/* ---- life ---- */

enum kms_change_kind {
    KMS_CHANGE_SHRED, /* the slot, and all below it, is gone for ever */
    KMS_CHANGE_REKEY, /* the slot gets a fresh key; what was sealed under the old one no longer opens */
    /*
     * Of a value, with a SHRED of its slot in the same request: this value's key stays as it is, every other value of the slot, used or
     * not, is gone. The slot lives on with nothing but what was kept. Of several requests of one commit that shred the slot, each must keep the
     * value: a plain shred wins. What is kept and gone already stays gone; with nothing left to keep the slot is gone.
     */
    KMS_CHANGE_KEEP,
    /* The pages on the way to the place get fresh page keys; no key below them changes. Of what is gone: nothing happens. */
    KMS_CHANGE_TOUCH,
    /* As TOUCH, and no seed stays above the place: pages that were only derived are written out, down to the leaf page that holds it. */
    KMS_CHANGE_EXPAND,
    /* Of a slot: it and all behind it that were never used grow from fresh keys. kms's own (kms_slots_renew); of a caller KL_ERR_INVALID. */
    KMS_CHANGE_RENEW
};
/*
 * tenant only (slot = KMS_SLOT_NONE): the whole tenant. value KMS_VALUE_NONE: the slot with all its values; else one value.
 * A shred of what is gone already is no error and changes nothing. Of a shred and a rekey of the same place, or of a place above it, in
 * one commit the shred wins.
 */
#define KMS_SLOT_NONE UINT64_MAX
struct kms_change {
    enum kms_change_kind kind;
    struct kms_place place;
};

/*
 * Values of one slot, from first up to and without past (KMS_RANGE_END: all behind first): every one of them, whether it was used or not, gets
 * a fresh key, so that what was sealed under them is gone as after a SHRED, but the numbers can be used; one that was shredded before may
 * have a fresh key as well, or none. Below a slot that is shredded in the same commit nothing happens; a SHRED or REKEY of a value inside is
 * done after it. The cost is that of the pages on the way to both ends, however many values lie between.
 */
#define KMS_RANGE_END UINT64_MAX
struct kms_range {
    uint64_t tenant;
    uint64_t slot;
    uint64_t first;
    uint64_t past;
};

/*
 * One caller's part of a commit. note is kept in the key store from the commit on, in clear, until kms_notes_forget(): it must not
 * hold personal data. work is the caller's own, handed back to the hooks.
 */
struct kms_request {
    const struct kms_change *changes;
    size_t changes_count; /* 0..KMS_CHANGES_MAX; 0 with a note is a rotation of the root key */
    const struct kms_range *ranges;
    size_t ranges_count; /* 0..KMS_CHANGES_MAX */
    const void *note;
    size_t note_bytes; /* 0..KMS_NOTE_MAX_BYTES */
    void *work;
    uint64_t ret_generation; /* set on KL_OK: the generation that this commit made */
    /* Set before finish: mirrors that hold the new and destroyed the old root key by now, and those that do not (they stop answering within the commit). */
    uint32_t ret_mirrors_confirmed;
    uint32_t ret_mirrors_pending;
    enum kms_finality ret_finality; /* F3 when all places confirmed and none is worse than F1 */
};

/*
 * What the layer above does inside a commit, on the leader's thread, with no lock of kms held.
 *
 * prepare  before anything is committed: write, beside what is there, whatever must exist under the fresh keys of the REKEYed slots
 *          (kms_staged_seal). A failure ends the whole group without any change, and staged ends with the hook. After success it lives until publish
 *          returns; should the commit fail in between, fatal is called instead and staged ends when fatal returns.
 * publish  the fresh keys count from now on (kms_unseal uses them); called after the old root key was destroyed. Cannot fail.
 * finish   make the notes durable as audit entries and receipts. A failure is returned to every request of the group although the
 *          shredding is done and stays done; the notes come again at the next open.
 * generation is the one being made; a generation whose prepare failed is made again by the next commit. Hooks may be NULL. They may use
 * keys, take slots and forget notes, but not commit.
 */
struct kms_hooks {
    void *context;
    enum kl_status (*prepare)(void *context, struct kms_staged *staged, uint64_t generation,
                              struct kms_request **requests, size_t count, struct kl_err *err);
    void (*publish)(void *context, uint64_t generation);
    enum kl_status (*finish)(void *context, uint64_t generation, struct kms_request **requests,
                             size_t count, struct kl_err *err);
    /*
     * A write to the key store or the root file failed: the process must end and recover at its next start. NULL: log and abort(). On
     * the thread that wrote. Should it return, every later change is refused with KL_ERR_IO "key_store_broken".
     */
    void (*fatal)(void *context, const struct kl_err *err);
};

/*
 * pages_max  how many explicit pages the cache keeps in locked memory (64..16777216); 0 takes KMS_PAGES_MAX_DEFAULT. When less memory can
 *            be locked the cache is smaller, never unlocked.
 * keys_max   how many slots are kept ready in locked memory (up to 16777216; 0 takes KMS_KEYS_MAX_DEFAULT), in shards of 2,048; as many as
 *            can be locked. What a commit shreds or rekeys is wiped from it before the commit is acknowledged.
 */
#define KMS_PAGES_MAX_DEFAULT 16384
#define KMS_KEYS_MAX_DEFAULT 65536
struct kms_options {
    struct kms_custodian_options custodian;
    const struct kms_storage *storage; /* must outlive the kms */
    size_t pages_max;
    size_t keys_max;                         /* of slots, kept ready to be used; see above */
    const struct kms_mirror_source *mirrors; /* NULL: none can be opened; must outlive the kms */
    uint32_t mirror_patience_ms;             /* 0 takes KMS_MIRROR_PATIENCE_MS */
};

/*
 * Make a new key store: a fresh store id, a root file that was not there, the first rows of storage.
 * KL_ERR_EXISTS "root_file_exists", "key_store_exists". KL_ERR_REFUSED finality F0. KL_ERR_INVALID, KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kms_create(const struct kms_options *options, struct kl_err *err);

/*
 * Open, and recover what a crash left: a torn or older slot, and a staged root key that may have taken part in a failed attempt, are
 * overwritten with a fresh one.
 *
 * KL_ERR_REFUSED "root_key_generation"  no slot of the root file is of the store's generation: the key store is older or newer than the
 *                root file (a copy from before an erasure or a rotation); the text says both generations. Nothing was changed.
 * KL_ERR_REFUSED "root_file_other_store"  the root file belongs to another store.
 * KL_ERR_REFUSED "finality_f0"          see kms_custodian_options.
 * KL_ERR_REFUSED "custodian_moved"      the root key lies elsewhere, since a change of custodian; the text says where.
 * KL_ERR_REFUSED "custodian_leftover"   a change of custodian was cut short, and what is left of it cannot be reached to be destroyed.
 * KL_ERR_REFUSED "mirror_incomplete"    these rows are a mirror's that was being brought up to date, or was dropped.
 * KL_ERR_REFUSED "keys_older_than_mirror"  a mirror is ahead and has destroyed this generation's root key: this key store was put back from
 *                before an erasure. Open from the mirror.
 * KL_ERR_UNAUTHORISED "wrong_passphrase".  KL_ERR_NOT_FOUND "root_file_missing", "key_store_missing".  KL_ERR_BUSY "root_file_locked" another
 * process has it open.  KL_ERR_CORRUPT the root file, the meta row or the root page is damaged; nothing was changed.  KL_ERR_IO,
 * KL_ERR_NO_MEMORY, KL_ERR_INVALID (the custodian's text, "custodian_kind", "key_pages_max", "key_keys_max").
 */
KL_MUST_USE enum kl_status kms_open(const struct kms_options *options, struct kms **ret_kms,
                                    struct kl_err *err);
void kms_close(struct kms *kms); /* wipes; NULL is fine; nobody may be inside */

/* Before the first kms_commit, once. The struct is copied. */
void kms_hooks_set(struct kms *kms, const struct kms_hooks *hooks);

/* ---- taking slots: no key is written ---- */

#define KMS_RESERVE_BLOCK 4096
#define KMS_TENANT_OWN_SLOTS 64

/*
 * The next free tenant number; its mark is durable when this returns. KL_ERR_TOO_LARGE "key_tree_full"; KL_ERR_IO, KL_ERR_CORRUPT,
 * KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kms_tenant_take(struct kms *kms, uint64_t *ret_tenant,
                                           struct kl_err *err);
/*
 * count (1..65536) consecutive free slots of a tenant's tree, never given out before and never again. Numbers are reserved in blocks of
 * KMS_RESERVE_BLOCK, durably; what a crash leaves unused of a block stays unused. Slots below KMS_TENANT_OWN_SLOTS are the tenant's own
 * and never given out here.
 * KL_ERR_GONE the tenant was shredded. KL_ERR_TOO_LARGE the tree is full. KL_ERR_INVALID the count, or a tenant that was never taken.
 * KL_ERR_IO, KL_ERR_CORRUPT, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kms_slot_take(struct kms *kms, uint64_t tenant, uint32_t count,
                                         uint64_t *ret_first, struct kl_err *err);

/* ---- using keys ---- */

/*
 * Seal plaintext under the key of a place: ChaCha20-Poly1305 (RFC 8439) with key and commitment from one BLAKE2b-512 (RFC 7693) over
 * (slot key; tenant, slot, value, context, 24-byte salt). Key-committing, bound to its place and context, safe against a repeated place.
 * Lengths are the caller's to pad.
 *
 * context     1..KMS_CONTEXT_MAX_BYTES: record, field, version, as the caller lays them out (unambiguously).
 * plaintext   0..KMS_SEAL_MAX_BYTES.
 * ret_sealed  appended to: plaintext.size + KMS_SEAL_OVERHEAD_BYTES bytes.
 *
 * KL_ERR_GONE the place was shredded. KL_ERR_INVALID a size is outside. KL_ERR_TOO_LARGE ret_sealed is full. KL_ERR_IO, KL_ERR_CORRUPT a
 * page cannot be read. KL_ERR_NO_MEMORY. KL_ERR_BUSY "key_cache_busy" the page cache is too small for the work under way.
 */
KL_MUST_USE enum kl_status kms_seal(struct kms *kms, const struct kms_place *place,
                                    struct kl_slice context, struct kl_slice plaintext,
                                    struct kl_buf *ret_sealed, struct kl_err *err);
/*
 * Open what kms_seal wrote. ret_plaintext is appended to; on failure it is as before.
 * KL_ERR_CORRUPT "unseal_failed": another place, context or key, or tampering: the answer does not tell which. Others as kms_seal.
 * When a shred of the place is acknowledged, no call that started before is still using its key.
 */
KL_MUST_USE enum kl_status kms_unseal(struct kms *kms, const struct kms_place *place,
                                      struct kl_slice context, struct kl_slice sealed,
                                      struct kl_buf *ret_plaintext, struct kl_err *err);

/* Several opens with one walk to the subject: items share tenant and slot. Each item has its own status, and nothing is appended for
 * one that fails. Returns the walk's. */
struct kms_unseal_item {
    uint64_t value;
    struct kl_slice context;
    struct kl_slice sealed;
    struct kl_buf *ret_plaintext;
    enum kl_status status;
};
KL_MUST_USE enum kl_status kms_unseal_many(struct kms *kms, uint64_t tenant, uint64_t slot,
                                           struct kms_unseal_item *items, size_t count,
                                           struct kl_err *err);

/*
 * Keyed BLAKE2b-256 over label and data, under the key of a place (value KMS_VALUE_NONE). label 1..KMS_LABEL_MAX_BYTES.
 * KL_ERR_INVALID "key_label_size", "key_place_invalid"; others as kms_seal, but TOO_LARGE.
 */
KL_MUST_USE enum kl_status kms_mac(struct kms *kms, const struct kms_place *place,
                                   const char *label, struct kl_slice data,
                                   unsigned char ret_mac[KMS_MAC_BYTES], struct kl_err *err);
/* Ed25519 (RFC 8032) with the seed that the place gives under label; its public key. Errors as kms_mac. */
KL_MUST_USE enum kl_status kms_sign(struct kms *kms, const struct kms_place *place,
                                    const char *label, struct kl_slice message,
                                    unsigned char ret_signature[KMS_SIGNATURE_BYTES],
                                    struct kl_err *err);
KL_MUST_USE enum kl_status kms_public_key(struct kms *kms, const struct kms_place *place,
                                          const char *label,
                                          unsigned char ret_key[KMS_PUBLIC_KEY_BYTES],
                                          struct kl_err *err);
/* A vault-wide place for keys that belong to no tenant (credential hashes, operator trail): tenant 0, made by kms_create. */
#define KMS_TENANT_VAULT 0

/* Whether the place still has a key: KL_OK, KL_ERR_GONE, or an error. */
KL_MUST_USE enum kl_status kms_place_check(struct kms *kms, const struct kms_place *place,
                                           struct kl_err *err);

/* ---- changing keys ---- */

/*
 * Shred and rekey, durably; requests of many threads share one commit (group commit, at most KMS_GROUP_MAX requests). When it returns
 * KL_OK the old root key is destroyed and nothing shredded can be opened by anybody.
 *
 * Order: prepare hook; one synced batch to storage (pages, generation, notes: the commit point); the old root slot overwritten in place
 * with a newly staged key, synced (the point of no return); pages swapped and old keys wiped; publish; finish hook.
 *
 * KL_ERR_INVALID "key_note_too_large", "key_changes_too_many", "key_place_invalid" (a range without values too), "key_keep_alone" (a KEEP whose slot is not shredded
 * in the same request); whatever prepare or finish returned; KL_ERR_IO.
 * KL_ERR_GONE a slot to be rekeyed is gone: nothing of this request is done, others are not touched. KL_ERR_CORRUPT, KL_ERR_IO,
 * KL_ERR_NO_MEMORY a page on the way cannot be had: likewise. KL_ERR_REFUSED "finality_f0" the blocks of the root file moved or were
 * shared at an earlier commit, and that is not accepted.
 * KL_ERR_UNAVAILABLE "token_unreachable" the token of the root key does not answer.
 * After a failed write to storage, the root file or the token the fatal hook ends the process.
 */
KL_MUST_USE enum kl_status kms_commit(struct kms *kms, struct kms_request *request,
                                      struct kl_err *err);

/*
 * From prepare until publish returns, from any thread: seal under the key that a REKEYed slot, or a place below it, is about to get. As
 * kms_seal; KL_ERR_INVALID "key_place_invalid" for any other place.
 */
KL_MUST_USE enum kl_status kms_staged_seal(struct kms_staged *staged, const struct kms_place *place,
                                           struct kl_slice context, struct kl_slice plaintext,
                                           struct kl_buf *ret_sealed, struct kl_err *err);
/* The slots that are being rekeyed and not shredded, without repeats, tenants before slots before values. The array lives as long as staged. */
size_t kms_staged_rekeyed(const struct kms_staged *staged, const struct kms_place **ret_places);

/* ---- notes of past commits ---- */

typedef enum kl_status (*kms_note_visit)(void *visitor, uint64_t generation, struct kl_slice note,
                                         struct kl_err *err);
/* Every note of a generation > after, in order. KL_ERR_CORRUPT "key_note_corrupt", KL_ERR_IO; what visit returns ends it. */
KL_MUST_USE enum kl_status kms_notes_each(struct kms *kms, uint64_t after, kms_note_visit visit,
                                          void *visitor, struct kl_err *err);
/* Notes up to and including that generation are safe elsewhere; not synced. KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_notes_forget(struct kms *kms, uint64_t up_to, struct kl_err *err);

/*
 * The root hashes before and after the commit that made a generation, of one that has notes: they were written with them and are forgotten with
 * them. A root hash (BLAKE2b-256, kms/format.h says over what) is of the sealed root page as it lies on the disk: it names one state of the key
 * tree, for whoever has that page, and tells nothing of a key. KL_ERR_NOT_FOUND "key_root_hashes_unknown": not of such a commit, or an older
 * version made it. KL_ERR_CORRUPT "key_root_hashes_corrupt", KL_ERR_IO. Any thread.
 */
struct kms_root_hashes {
    unsigned char from[KMS_ROOT_HASH_BYTES];
    unsigned char to[KMS_ROOT_HASH_BYTES];
};
KL_MUST_USE enum kl_status kms_root_hashes(struct kms *kms, uint64_t generation,
                                           struct kms_root_hashes *ret, struct kl_err *err);

/* ---- rows of the layer above, beside the keys ---- */

/*
 * Rows that the layer above keeps in the key store, outside of every backup: they go to every mirror like the pages, in the same order, and
 * are written by the same rules (a failed write is fatal). Keys start with KMS_SIDE_ROW and are 2..KMS_SIDE_KEY_MAX_BYTES; values
 * 0..KMS_SIDE_VALUE_MAX_BYTES; value.bytes NULL deletes. In clear unless the caller seals them.
 * KL_ERR_INVALID "key_side_row". KL_ERR_IO. Get: KL_ERR_NOT_FOUND. Any thread.
 */
#define KMS_SIDE_ROW 'V'
#define KMS_SIDE_KEY_MAX_BYTES 96
#define KMS_SIDE_VALUE_MAX_BYTES (1024 * 1024 + 4096)
KL_MUST_USE enum kl_status kms_side_apply(struct kms *kms, const struct kms_storage_write *writes,
                                          size_t count, bool sync, struct kl_err *err);
KL_MUST_USE enum kl_status kms_side_get(struct kms *kms, struct kl_slice key, struct kl_buf *ret,
                                        struct kl_err *err);
KL_MUST_USE enum kl_status kms_side_range(struct kms *kms, struct kl_slice prefix,
                                          kms_storage_visit visit, void *visitor,
                                          struct kl_err *err);
/* The same, of the rows behind that key alone; empty: all. Past rows that were deleted it is as quick as if they had never been. */
KL_MUST_USE enum kl_status kms_side_range_after(struct kms *kms, struct kl_slice prefix,
                                                struct kl_slice after, kms_storage_visit visit,
                                                void *visitor, struct kl_err *err);

/* ---- numbers, for a restore ---- */

/* All slots of that tenant at or above *ret_mark were never given out. KL_ERR_INVALID a tenant that was never taken. */
KL_MUST_USE enum kl_status kms_slot_mark(struct kms *kms, uint64_t tenant, uint64_t *ret_mark,
                                         struct kl_err *err);
/* No slot below at_least is given out from now on; durable. Lower than the mark: nothing happens. KL_ERR_TOO_LARGE past KMS_SLOT_MAX. */
KL_MUST_USE enum kl_status kms_slot_mark_raise(struct kms *kms, uint64_t tenant, uint64_t at_least,
                                               struct kl_err *err);
/* The same for tenant numbers. */
KL_MUST_USE enum kl_status kms_tenant_mark(struct kms *kms, uint64_t *ret_mark, struct kl_err *err);
KL_MUST_USE enum kl_status kms_tenant_mark_raise(struct kms *kms, uint64_t at_least,
                                                 struct kl_err *err);
/*
 * Slots of a tenant that were not given out yet get fresh keys, and only such are given out when this returns: who knows every key and
 * seed of before knows none of a slot at or above *ret_from. Up to KMS_RENEW_GAP numbers stay unused. commit is a request without
 * changes; its note, work and results are as for kms_commit(), whose errors this returns. While it runs, a taker of more than
 * KMS_RENEW_GAP slots gets KL_ERR_BUSY "key_slots_busy". One at a time for a tenant. KL_ERR_TOO_LARGE the tree is full.
 */
#define KMS_RENEW_GAP 16384
KL_MUST_USE enum kl_status kms_slots_renew(struct kms *kms, uint64_t tenant,
                                           struct kms_request *commit, uint64_t *ret_from,
                                           struct kl_err *err);

/* ---- going through the pages, for a rotation ---- */

/*
 * Places such that a TOUCH of them all gives every page of a tenant that was written out (tenant KMS_TENANT_ALL: every page of the
 * store) a fresh key. In the order of the rows, from cursor on (zeroed: from the start), at most max; *ret_count 0: that was all. Pages
 * that come into being meanwhile have fresh keys anyway.
 */
#define KMS_TENANT_ALL UINT64_MAX
#define KMS_PAGES_CURSOR_BYTES 28
struct kms_pages_cursor {
    unsigned char after[KMS_PAGES_CURSOR_BYTES];
};
KL_MUST_USE enum kl_status kms_pages_next(struct kms *kms, uint64_t tenant,
                                          struct kms_pages_cursor *cursor, size_t max,
                                          struct kms_place *ret_places, size_t *ret_count,
                                          struct kl_err *err);

/* ---- mirrors ---- */

/*
 * A mirror is a second place for all that is needed to open the vault: the rows of the key store and, where the custodian is a file, the
 * slots of the root key. DIR/keys is a storage that the layer above opens, DIR/root a root file like the first. Mirrors are part of every
 * commit: they have the batch before the old root key is destroyed, and destroy theirs right after. A mirror that fails, or does not
 * answer within KMS_MIRROR_PATIENCE_MS, is out of step: what was under way is done without it and says so (ret_mirrors_pending), and
 * every later kms_commit is KL_ERR_UNAVAILABLE "mirror_unreachable" until it is in step again or was dropped. Taking slots and
 * side rows go on without it. When it answers again it is brought up to date (kms_mirrors_retry, and at open) by its differences.
 */
#define KMS_MIRRORS_MAX 8
#define KMS_MIRROR_ID_BYTES 16
#define KMS_MIRROR_DIR_MAX_BYTES 1024
#define KMS_MIRROR_LABEL_MAX_BYTES 64
#define KMS_MIRROR_PATIENCE_MS 5000

/* How the layer above opens the rows of a mirror. close is called once for each open. */
struct kms_mirror_source {
    void *context;
    enum kl_status (*open)(void *context, const char *dir, bool create,
                           struct kms_storage *ret_storage, struct kl_err *err);
    void (*close)(void *context, struct kms_storage *storage);
};

enum kms_mirror_state {
    KMS_MIRROR_IN_STEP,
    KMS_MIRROR_OUT_OF_STEP /* unreachable, or being brought up to date */
};
struct kms_mirror_info {
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char dir[KMS_MIRROR_DIR_MAX_BYTES + 1];
    char label[KMS_MIRROR_LABEL_MAX_BYTES + 1]; /* the caller's: its country */
    enum kms_mirror_state state;
    int64_t since_us;    /* in that state since */
    uint64_t generation; /* the last that it confirmed */
    char reason[160];    /* why it is out of step; names no secret */
    struct kms_custodian_report report;
};
/*
 * Make a mirror in an existing, empty or missing directory, copy everything to it, and register it: when this returns it is in step.
 * KL_ERR_EXISTS "mirror_exists" (the directory is not empty), KL_ERR_TOO_LARGE "mirrors_too_many", KL_ERR_REFUSED "finality_f0",
 * KL_ERR_INVALID "mirror_dir" (relative, too long, inside the forbidden directory), "mirror_label", KL_ERR_IO;
 * KL_ERR_CONFLICT "mirror_dir_unsafe" the directory is another user's, or others may write to it; KL_ERR_REFUSED "root_file_foreign" something that is
 * no root file of this store lies where the mirror's goes: it was not touched.
 */
KL_MUST_USE enum kl_status kms_mirror_add(struct kms *kms, const char *dir, const char *label,
                                          unsigned char ret_id[KMS_MIRROR_ID_BYTES],
                                          struct kl_err *err);
/*
 * Take a mirror out. One that answers has its root slots overwritten first, and *ret_destroyed is true. One that does not is only
 * forgotten when declared says that an operator answers for its destruction; else KL_ERR_REFUSED "mirror_not_destroyed".
 * KL_ERR_NOT_FOUND "mirror_unknown".
 */
KL_MUST_USE enum kl_status kms_mirror_drop(struct kms *kms,
                                           const unsigned char id[KMS_MIRROR_ID_BYTES],
                                           bool declared, bool *ret_destroyed, struct kl_err *err);
/* All that are registered; ret_infos has room for KMS_MIRRORS_MAX. */
void kms_mirrors(struct kms *kms, struct kms_mirror_info *ret_infos, size_t *ret_count);
/* Try those that are out of step once more; returns how many still are. Any thread; takes as long as their disks need. */
size_t kms_mirrors_retry(struct kms *kms);

/* ---- change of custodian ---- */

/*
 * Move the root key to another custodian, or under another passphrase, while keys are in use: the root key is rotated on the way, so
 * neither the old file nor the old passphrase opens anything when this returns, and the old slots are overwritten and removed (a
 * passphrase at the same path: overwritten in place). Mirrors go along. note as in kms_request. A crash leaves the old or the new one in use;
 * kms_open says which when it is given the other (KL_ERR_REFUSED "custodian_moved").
 * KL_ERR_EXISTS "root_file_exists", KL_ERR_REFUSED "finality_f0", KL_ERR_UNAVAILABLE "mirror_unreachable", as kms_create and kms_commit.
 * KL_ERR_BUSY "custodian_changing" another change is under way. note may be NULL.
 */
KL_MUST_USE enum kl_status kms_custodian_change(struct kms *kms,
                                                const struct kms_custodian_options *to,
                                                struct kms_request *note, struct kl_err *err);

/* ---- state ---- */

struct kms_state {
    unsigned char store_id[KMS_STORE_ID_BYTES];
    uint64_t generation;                          /* of the root key in use */
    unsigned char root_hash[KMS_ROOT_HASH_BYTES]; /* of that generation; kms_root_hashes() */
    int64_t root_key_since_us;                    /* when it came into use */
    int64_t created_us;
    enum kms_finality finality;
    char custodian_kind[16];
    uint64_t
        root_folder_device; /* where the root file lies, as in kms_custodian_report; 0: there is none */
    uint64_t root_folder_inode;
    uint64_t commits; /* since open */
    uint64_t pages_cached;
    uint64_t page_cache_max;
    uint64_t keys_cached;
    uint64_t key_cache_max;
    uint32_t mirrors;             /* registered */
    uint32_t mirrors_out_of_step; /* of them */
    bool
        old_root_destroyed; /* both slots hold only the current and a never used key: true after every commit */
};
void kms_state(struct kms *kms, struct kms_state *ret_state);
/* The path of the root file, without links; empty where a token keeps the root key. Any thread. */
void kms_root_file(struct kms *kms, char ret_path[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1]);

#endif
