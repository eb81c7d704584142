#include "vault/index_rows.h"

#include <string.h>

#define CONTEXT_NAME "bucket"
#define CONTEXT_BYTES 64
#define SLOT_BYTES 8
#define ROW_MAX_BYTES (SLOT_BYTES + KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES)

uint64_t vault_tag_bits(const unsigned char tag[VAULT_TAG_BYTES])
{
    return kl_get_u64be(tag);
}

static uint64_t prefix_at(uint8_t depth, uint64_t tag_bits)
{
    return depth == 0 ? 0 : tag_bits & (UINT64_MAX << (64 - depth));
}

struct vault_bucket_address vault_bucket_address(uint64_t tenant, uint32_t epoch, uint8_t depth,
                                                 uint64_t tag_bits)
{
    return (struct vault_bucket_address){
        .tenant = tenant, .epoch = epoch, .depth = depth, .prefix = prefix_at(depth, tag_bits)};
}

bool vault_bucket_covers(const struct vault_bucket_address *at, uint64_t tag_bits)
{
    return prefix_at(at->depth, tag_bits) == at->prefix;
}

int vault_bucket_address_compare(const struct vault_bucket_address *a,
                                 const struct vault_bucket_address *b)
{
    if (a->tenant != b->tenant) {
        return a->tenant < b->tenant ? -1 : 1;
    }
    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }
    if (a->depth != b->depth) {
        return a->depth < b->depth ? -1 : 1;
    }
    if (a->prefix != b->prefix) {
        return a->prefix < b->prefix ? -1 : 1;
    }
    return 0;
}

struct vault_row_key vault_bucket_key(const struct vault_bucket_address *at, uint32_t version,
                                      uint8_t seq)
{
    return vault_row_bucket(at->tenant, at->epoch, at->depth, at->prefix, version, seq);
}

void vault_bucket_rows_done(struct vault_bucket_rows *rows)
{
    vault_bucket_done(&rows->content);
    *rows = (struct vault_bucket_rows){.state = VAULT_BUCKET_ABSENT};
}

struct vault_iter *vault_bucket_iter(struct vault_store *store, uint64_t tenant, uint32_t epoch)
{
    struct vault_row_key first = vault_row_bucket(tenant, epoch, 0, 0, 0, 0);
    first.size = 1 + 8 + 4;
    struct vault_row_key past = vault_row_past(&first);
    return vault_iter_new(store, vault_row_slice(&first), vault_row_slice(&past), false);
}

bool vault_bucket_next(struct vault_iter *iter, const struct vault_bucket_address *at,
                       uint32_t *ret_version, uint8_t *ret_seq, struct kl_slice *ret_value)
{
    struct kl_slice key;
    struct vault_row_key own = vault_bucket_key(at, 0, 0);
    if (!vault_iter_next(iter, &key, ret_value) || key.size != own.size ||
        memcmp(key.bytes, own.bytes, VAULT_BUCKET_KEY_PREFIX_BYTES) != 0) {
        return false;
    }
    *ret_version = kl_get_u32be(key.bytes + VAULT_BUCKET_KEY_PREFIX_BYTES);
    *ret_seq = key.bytes[VAULT_BUCKET_KEY_PREFIX_BYTES + 4];
    return true;
}

bool vault_bucket_first(struct vault_iter *iter, const struct vault_bucket_address *at,
                        uint32_t *ret_version, uint8_t *ret_seq, struct kl_slice *ret_value)
{
    struct vault_row_key first = vault_bucket_key(at, 0, 0);
    vault_iter_seek(iter, vault_row_slice(&first));
    return vault_bucket_next(iter, at, ret_version, ret_seq, ret_value);
}

static void context_of(const struct vault_bucket_address *at, uint32_t version, uint8_t seq,
                       struct kl_buf *ret)
{
    kl_buf_add_text(ret, CONTEXT_NAME);
    kl_buf_add_u32be(ret, at->epoch);
    kl_buf_add_byte(ret, at->depth);
    kl_buf_add_u64be(ret, at->prefix);
    kl_buf_add_u32be(ret, version);
    kl_buf_add_byte(ret, seq);
}

/* Open one row; KL_ERR_CORRUPT and KL_ERR_GONE: it does not open with the key of now. */
static enum kl_status row_open(struct kms *keys, const struct vault_bucket_address *at,
                               uint64_t slot, uint32_t version, uint8_t seq, struct kl_slice sealed,
                               struct kl_buf *ret, struct kl_err *err)
{
    struct kms_place place = {.tenant = at->tenant, .slot = slot, .value = KMS_VALUE_NONE};
    struct kl_buf context;
    kl_buf_init(&context, CONTEXT_BYTES);
    context_of(at, version, seq, &context);
    enum kl_status status = kl_buf_status(&context, err);
    if (status == KL_OK) {
        kl_buf_clear(ret);
        status = kms_unseal(keys, &place, kl_buf_slice(&context), sealed, ret, err);
    }
    kl_buf_done(&context);
    return status;
}

/* A row on the way through a bucket's rows. */
struct row {
    uint32_t version;
    uint8_t seq;
    struct kl_slice value;
};

static enum kl_status load_base(struct kms *keys, const struct vault_bucket_address *at,
                                const struct row *row, struct kl_buf *plain,
                                struct vault_bucket_rows *rows, bool *ret_open, struct kl_err *err)
{
    struct kl_err closed = {.status = KL_OK};
    if (row->value.size < SLOT_BYTES) {
        return kl_fail(err, KL_ERR_CORRUPT, "index_bucket_corrupt", "the index is damaged",
                       "bucket: a base without its slot");
    }
    uint64_t slot = kl_get_u64be(row->value.bytes);
    struct kl_slice sealed = {row->value.bytes + SLOT_BYTES, row->value.size - SLOT_BYTES};
    enum kl_status status = row_open(keys, at, slot, row->version, 0, sealed, plain, &closed);
    if (status == KL_ERR_CORRUPT || status == KL_ERR_GONE) {
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, closed.code, closed.client_text, "%s", closed.log_text);
    }
    vault_bucket_done(&rows->content);
    rows->state = VAULT_BUCKET_ABSENT;
    status = vault_bucket_base_read(kl_buf_slice(plain), &rows->content, err);
    if (status == KL_OK) {
        *ret_open = true;
        rows->state = VAULT_BUCKET_LEAF;
        rows->slot = slot;
        rows->version = row->version;
        rows->deltas = 0;
    }
    return status;
}

static enum kl_status load_delta(struct kms *keys, const struct vault_bucket_address *at,
                                 const struct row *row, struct kl_buf *plain,
                                 struct vault_bucket_rows *rows, bool *open, struct kl_err *err)
{
    struct kl_err closed = {.status = KL_OK};
    enum kl_status status =
        row_open(keys, at, rows->slot, row->version, row->seq, row->value, plain, &closed);
    if (status == KL_ERR_CORRUPT || status == KL_ERR_GONE) {
        *open = false; /* the key changed since the base was read: this version is over */
        rows->state = VAULT_BUCKET_ABSENT;
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, closed.code, closed.client_text, "%s", closed.log_text);
    }
    rows->deltas = row->seq;
    return vault_bucket_delta_read(kl_buf_slice(plain), &rows->content, err);
}

/* Damage, unless the tenant ended meanwhile: then all its keys are gone, as that of its signatures is. */
static enum kl_status none_opens(struct kms *keys, uint64_t tenant, struct kl_err *err)
{
    struct kms_place signing = {tenant, VAULT_SLOT_SIGNING, KMS_VALUE_NONE};
    enum kl_status status = kms_place_check(keys, &signing, err);

    return status != KL_OK ? status
                           : kl_fail(err, KL_ERR_CORRUPT, "index_bucket_corrupt",
                                     "the index is damaged", "bucket: no version opens");
}

static enum kl_status load_rows(struct kms *keys, struct vault_iter *iter,
                                const struct vault_bucket_address *at, uint32_t watch,
                                struct kl_buf *plain, struct vault_bucket_rows *rows,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct row row;
    bool open = false;
    bool more = vault_bucket_first(iter, at, &row.version, &row.seq, &row.value);
    if (more && row.version == 0) {
        rows->state = VAULT_BUCKET_SPLIT;
        rows->slot = row.value.size == SLOT_BYTES ? kl_get_u64be(row.value.bytes) : 0;
        return KL_OK;
    }
    for (; more; more = vault_bucket_next(iter, at, &row.version, &row.seq, &row.value)) {
        if (row.version != rows->highest) {
            open = false;
        }
        rows->highest = row.version;
        if (row.version == watch) {
            rows->watched = row.seq;
        }
        if (row.seq == 0) {
            status = load_base(keys, at, &row, plain, rows, &open, err);
        } else if (open) {
            status = load_delta(keys, at, &row, plain, rows, &open, err);
        }
        if (status != KL_OK) {
            return status;
        }
    }
    status = vault_iter_status(iter, err);
    if (status == KL_OK && rows->highest != 0 && rows->state != VAULT_BUCKET_LEAF) {
        status = none_opens(keys, at->tenant, err);
    }
    return status;
}

enum kl_status vault_bucket_load(struct kms *keys, struct vault_iter *iter,
                                 const struct vault_bucket_address *at, uint32_t watch,
                                 struct vault_bucket_rows *ret_rows, struct kl_err *err)
{
    struct vault_bucket_rows rows = {.state = VAULT_BUCKET_ABSENT};
    struct kl_buf plain;
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    enum kl_status status = load_rows(keys, iter, at, watch, &plain, &rows, err);
    kl_buf_done(&plain);
    if (status == KL_OK) {
        *ret_rows = rows;
    } else {
        vault_bucket_rows_done(&rows);
    }
    return status;
}

enum kl_status vault_bucket_locate(uint64_t tenant, uint32_t epoch, uint64_t tag_bits,
                                   uint8_t likely_depth, vault_bucket_probe probe, void *context,
                                   struct vault_bucket_address *ret_at, struct kl_err *err)
{
    uint8_t depth = likely_depth > VAULT_BUCKET_DEPTH_MAX ? VAULT_BUCKET_DEPTH_MAX : likely_depth;
    bool below_split = false;
    for (;;) {
        struct vault_bucket_address at = vault_bucket_address(tenant, epoch, depth, tag_bits);
        enum vault_bucket_state state = VAULT_BUCKET_ABSENT;
        enum kl_status status = probe(context, &at, &state, err);
        if (status != KL_OK) {
            return status;
        }
        if (state == VAULT_BUCKET_LEAF ||
            (state == VAULT_BUCKET_ABSENT && (below_split || depth == 0))) {
            *ret_at = at;
            return KL_OK;
        }
        if (state == VAULT_BUCKET_ABSENT) {
            depth--;
            continue;
        }
        if (depth == VAULT_BUCKET_DEPTH_MAX) {
            return kl_fail(err, KL_ERR_CORRUPT, "index_bucket_corrupt", "the index is damaged",
                           "bucket: split past the last bit");
        }
        depth++;
        below_split = true;
    }
}

enum kl_status vault_bucket_put(const struct vault_bucket_sealer *sealer,
                                const struct vault_bucket_address *at, uint64_t slot,
                                uint32_t version, uint8_t seq, struct kl_slice plaintext,
                                struct vault_batch *batch, struct kl_err *err)
{
    struct kms_place place = {.tenant = at->tenant, .slot = slot, .value = KMS_VALUE_NONE};
    struct kl_buf context;
    struct kl_buf row;
    kl_buf_init(&context, CONTEXT_BYTES);
    kl_buf_init(&row, ROW_MAX_BYTES);
    context_of(at, version, seq, &context);
    if (seq == 0) {
        kl_buf_add_u64be(&row, slot);
    }
    enum kl_status status = kl_buf_status(&context, err);
    if (status == KL_OK && sealer->staged != NULL) {
        status =
            kms_staged_seal(sealer->staged, &place, kl_buf_slice(&context), plaintext, &row, err);
    } else if (status == KL_OK) {
        status = kms_seal(sealer->keys, &place, kl_buf_slice(&context), plaintext, &row, err);
    }
    if (status == KL_OK) {
        status = kl_buf_status(&row, err);
    }
    if (status == KL_OK) {
        struct vault_row_key key = vault_bucket_key(at, version, seq);
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    }
    kl_buf_done(&row);
    kl_buf_done(&context);
    return status;
}

void vault_bucket_put_split(const struct vault_bucket_address *at, uint64_t slot,
                            struct vault_batch *batch)
{
    unsigned char value[SLOT_BYTES];
    struct vault_row_key key = vault_bucket_key(at, 0, 0);
    kl_put_u64be(value, slot);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(value, sizeof(value)));
}
