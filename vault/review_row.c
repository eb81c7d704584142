#include "vault/review_row.h"

#include "kluis/base/encode.h"
#include "vault/remark.h"
#include "vault/rows.h"

#include <string.h>

#define REMARK_KIND "review"

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "review_damaged", "a stored review is damaged", NULL);
}

/* ---- writing ---- */

static void add_id(struct kl_json_out *out, const char *key, const char *prefix,
                   const struct kl_id *id)
{
    char text[KL_ID_TEXT_BYTES];

    kl_id_format(prefix, id, text);
    kl_json_add_text(out, key, text);
}

void vault_review_write(const struct vault_review *review, struct kl_json_out *out)
{
    char root[KL_BASE64_CHARS(VAULT_AUDIT_HASH_BYTES) + 1];
    size_t i;

    kl_json_add_int(out, "from", (int64_t)review->from);
    kl_json_add_int(out, "to", (int64_t)review->to);
    kl_json_add_int(out, "own_entries", (int64_t)review->own_entries);
    kl_json_add_int(out, "lost", (int64_t)review->lost);
    kl_json_key(out, "findings");
    kl_json_array_begin(out);
    for (i = 0; i < review->finding_count; i++) {
        kl_json_put_int(out, review->findings[i]);
    }
    kl_json_array_end(out);
    kl_base64(review->root, sizeof review->root, root);
    kl_json_add_int(out, "size", (int64_t)review->size);
    kl_json_add_text(out, "root_hash", root);
}

enum kl_status vault_review_put(struct vault *vault, uint64_t tenant,
                                const struct vault_review *review, struct vault_batch *batch,
                                struct kl_buf *ret, struct kl_err *err)
{
    struct vault_row_key key = vault_row_review(tenant, review->from, &review->id);
    struct kl_buf text;
    struct kl_buf sealed;
    struct kl_json_out out = kl_json_out(&text);
    enum kl_status status = KL_OK;

    kl_buf_init(&text, VAULT_REMARK_MAX_BYTES);
    kl_buf_init(&sealed, VAULT_REMARK_SEALED_MAX_BYTES);
    kl_json_object_begin(&out);
    add_id(&out, "id", VAULT_REVIEW_PREFIX, &review->id);
    kl_json_add_time(&out, "at", review->at_us);
    add_id(&out, "credential", "cred", &review->credential);
    kl_json_add_text(&out, "role", review->role);
    vault_review_write(review, &out);
    kl_json_add_text(&out, "note", review->note);
    kl_json_object_end(&out);
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        status = vault_remark_seal(vault, tenant, REMARK_KIND, &review->id, kl_buf_slice(&text),
                                   &sealed, err);
    }
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&sealed));
        kl_buf_add(ret, text.bytes, text.size);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&text);
    kl_buf_done(&sealed);
    return status;
}

/* ---- reading ---- */

bool vault_review_parse(struct kl_slice text, struct vault_review_span *ret)
{
    struct vault_review_span span = {.counts = false};
    struct kl_json *json = NULL;
    const struct kl_json_value *root = NULL;
    const char *id = NULL;
    int64_t from = 0;
    int64_t to = 0;
    int64_t own = 0;
    bool good = false;

    if (kl_json_parse(text.bytes, text.size, &json, NULL) != KL_OK) {
        return false;
    }
    root = kl_json_root(json);
    id = kl_json_text(kl_json_member(root, "id"));
    good = id != NULL && kl_id_parse(VAULT_REVIEW_PREFIX, id, &span.id, NULL) == KL_OK &&
           kl_json_int(kl_json_member(root, "from"), &from) &&
           kl_json_int(kl_json_member(root, "to"), &to) &&
           kl_json_int(kl_json_member(root, "own_entries"), &own) && from >= 0 && from < to &&
           own >= 0;
    kl_json_free(json);
    if (good) {
        span.from = (uint64_t)from;
        span.to = (uint64_t)to;
        span.counts = own == 0;
        *ret = span;
    }
    return good;
}

/* Row and text must speak of the same review: rows do not move. */
static enum kl_status open_row(struct vault *vault, uint64_t tenant, uint64_t from,
                               const struct kl_id *id, struct kl_slice row, struct kl_buf *ret,
                               struct vault_review_span *ret_span, struct kl_err *err)
{
    enum kl_status status = vault_remark_open(vault, tenant, REMARK_KIND, id, row, ret, err);

    if (status == KL_OK && (!vault_review_parse(kl_buf_slice(ret), ret_span) ||
                            ret_span->from != from || !kl_id_equal(&ret_span->id, id))) {
        status = damaged(err);
    }
    return status;
}

enum kl_status vault_review_walk_begin(struct vault_review_walk *walk, struct vault *vault,
                                       uint64_t tenant, uint64_t from, const struct kl_id *after,
                                       struct kl_err *err)
{
    static const struct kl_id lowest = {{0}};
    struct vault_row_key first = vault_row_review(tenant, from, after == NULL ? &lowest : after);
    struct vault_row_key all = vault_row_review(tenant, 0, &lowest);
    struct vault_row_key past;

    all.size -= 8 + KL_ID_BYTES;
    past = vault_row_past(&all);
    if (after != NULL) {
        first = vault_row_past(&first);
    }
    *walk = (struct vault_review_walk){.vault = vault, .tenant = tenant};
    kl_buf_init(&walk->text, VAULT_REMARK_MAX_BYTES);
    walk->iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    return walk->iter == NULL ? kl_fail_memory(err) : KL_OK;
}

enum kl_status vault_review_walk_next(struct vault_review_walk *walk, struct vault_review_span *ret,
                                      struct kl_err *err)
{
    struct kl_slice key;
    struct kl_slice row;
    struct kl_id id;
    enum kl_status status = KL_OK;

    if (!vault_iter_next(walk->iter, &key, &row)) {
        status = vault_iter_status(walk->iter, err);
        return status == KL_OK ? KL_ERR_NOT_FOUND : status;
    }
    if (key.size != 1 + 8 + 8 + KL_ID_BYTES) {
        return damaged(err);
    }
    memcpy(id.bytes, key.bytes + 17, KL_ID_BYTES);
    kl_buf_clear(&walk->text);
    return open_row(walk->vault, walk->tenant, kl_get_u64be(key.bytes + 9), &id, row, &walk->text,
                    ret, err);
}

void vault_review_walk_end(struct vault_review_walk *walk)
{
    vault_iter_free(walk->iter);
    kl_buf_done(&walk->text);
    walk->iter = NULL;
}

enum kl_status vault_review_get(struct vault *vault, uint64_t tenant, uint64_t from,
                                const struct kl_id *id, struct kl_buf *ret, struct kl_err *err)
{
    struct vault_row_key key = vault_row_review(tenant, from, id);
    struct vault_review_span span;
    struct kl_buf row;
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, VAULT_REMARK_SEALED_MAX_BYTES);
    kl_buf_init(&text, VAULT_REMARK_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK) {
        status = open_row(vault, tenant, from, id, kl_buf_slice(&row), &text, &span, err);
    }
    if (status == KL_OK) {
        kl_buf_add(ret, text.bytes, text.size);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&row);
    kl_buf_done(&text);
    return status;
}
