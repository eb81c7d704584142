/*
 * The proof that goes with a receipt: that its erasure is written in the trail, under a head signed now. It is made when the receipt is handed out,
 * so that who has the receipt alone can check it for ever.
 */
#include "kluis/base/log.h"
#include "vault/audit_write.h"
#include "vault/receipt_internal.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#define LINKS_MAX 64
#define PROOF_MAX_BYTES 8192
#define KEYS_MAX_BYTES ((LINKS_MAX + 1) * KL_TRAIL_JSON_MAX_BYTES)
_Static_assert(6 * VAULT_AUDIT_ENTRY_MAX_BYTES + PROOF_MAX_BYTES + KEYS_MAX_BYTES +
                       KL_TRAIL_JSON_MAX_BYTES + 256 <=
                   VAULT_RECEIPT_TRAIL_MAX_BYTES,
               "what is told of the trail fits");

/* text: of the entry; size 0 when only its leaf is left. */
struct told {
    uint64_t number;
    struct kl_buf text;
    struct kl_buf proof;
    struct kl_buf head;
    struct kl_buf keys;
};

static enum kl_status number_read(struct vault *vault, uint64_t home, const struct kl_id *receipt,
                                  uint64_t *ret_number, struct kl_err *err)
{
    struct vault_row_key key = vault_row_receipt_entry(home, receipt);
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, 16);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        status = kl_fail(err, status, "entry_unknown",
                         "which entry is of this erasure is not known", NULL);
    } else if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    } else if (row.size != 8) {
        status = kl_fail(err, KL_ERR_CORRUPT, "entry_unknown",
                         "which entry is of this erasure is not known", NULL);
    } else {
        *ret_number = kl_get_u64be(row.bytes);
    }
    kl_buf_done(&row);
    return status;
}

/* Its exact bytes; of an entry whose text is gone nothing. */
static enum kl_status text_read(struct vault *vault, uint64_t home, struct told *told,
                                struct kl_err *err)
{
    struct vault_row_key key = vault_row_audit(home, told->number);
    struct kl_err cause = {0};
    enum kl_status status =
        vault_store_get(vault->data_store, vault_row_slice(&key), &told->text, &cause);

    return status == KL_OK || status == KL_ERR_NOT_FOUND
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* What is on the disk; an entry that is not yet, though committed, is told of all the same. */
static enum kl_status tree_of(struct vault *vault, uint64_t home, uint64_t number,
                              struct kl_merkle_tree *ret, struct kl_err *err)
{
    enum kl_status status = vault_trails_tree(vault->trails, home, true, ret, err);

    if (status == KL_OK && number >= ret->size) {
        status = vault_trails_tree(vault->trails, home, false, ret, err);
    }
    if (status == KL_OK && number >= ret->size) {
        status = kl_fail(err, KL_ERR_CORRUPT, "entry_unknown",
                         "the entry of this erasure is not in the trail", NULL);
    }
    return status;
}

/* The head first: the tree that is read afterwards is at least as large. */
static enum kl_status tell(struct vault *vault, uint64_t home, const char *name, struct told *told,
                           struct kl_err *err)
{
    struct kl_json_out out = kl_json_out(&told->proof);
    struct vault_tree_reader *reader = NULL;
    struct kl_merkle_tree tree;
    enum kl_status status = tree_of(vault, home, told->number, &tree, err);

    if (status == KL_OK) {
        status = vault_trails_head_of(vault->trails, home, name, &tree, &told->head, err);
    }
    if (status == KL_OK) {
        status = vault_tree_reader_new(vault->trails, home, &reader, err);
    }
    if (status == KL_OK) {
        status =
            vault_audit_inclusion_write(reader, name, NULL, told->number, tree.size, &out, err);
    }
    if (status == KL_OK) {
        status = vault_audit_keys_write(vault->keys, home, name, LINKS_MAX, &told->keys, err);
    }
    vault_tree_reader_free(reader);
    return status;
}

static void put(const struct told *told, struct kl_json_out *out)
{
    if (told->text.size > 0) {
        kl_json_key(out, "entry");
        kl_json_put_text_n(out, told->text.bytes, told->text.size);
    } else {
        kl_json_add_text(out, "entry", NULL);
    }
    kl_json_key(out, "proof");
    kl_json_put_raw(out, told->proof.bytes, told->proof.size);
    kl_json_key(out, "head");
    kl_json_put_raw(out, told->head.bytes, told->head.size);
    kl_json_key(out, "keys");
    kl_json_put_raw(out, told->keys.bytes, told->keys.size);
}

/* The name that the trail's heads have; the vault's own have none. */
static const char *name_of(struct vault *vault, uint64_t home)
{
    const struct vault_tenant *tenant =
        home == KMS_TENANT_VAULT ? NULL : vault_tenants_by_number(vault, home);

    return tenant == NULL ? "" : tenant->name;
}

void vault_receipt_trail(struct vault *vault, uint64_t home, const struct kl_id *receipt,
                         struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);
    struct kl_err err = {0};
    struct told told = {0};
    enum kl_status status = number_read(vault, home, receipt, &told.number, &err);

    kl_buf_init(&told.text, VAULT_AUDIT_ENTRY_MAX_BYTES);
    kl_buf_init(&told.proof, PROOF_MAX_BYTES);
    kl_buf_init(&told.head, KL_TRAIL_JSON_MAX_BYTES);
    kl_buf_init(&told.keys, KEYS_MAX_BYTES);
    if (status == KL_OK) {
        status = text_read(vault, home, &told, &err);
    }
    if (status == KL_OK) {
        status = tell(vault, home, name_of(vault, home), &told, &err);
    }
    kl_json_object_begin(&out);
    if (status == KL_OK) {
        put(&told, &out);
    } else {
        kl_log_err(KL_LOG_WARNING, "receipt_without_proof", &err);
        kl_json_add_text(&out, "missing", err.code);
    }
    kl_json_object_end(&out);
    kl_buf_done(&told.text);
    kl_buf_done(&told.proof);
    kl_buf_done(&told.head);
    kl_buf_done(&told.keys);
}
