/* Receipts as they are handed out: to who erased, and to who asks for one later. */
#include "vault/receipt_internal.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <assert.h>

/* Of the answer: each line as the receipt has it, again inside the signed text with its quotes escaped, and with the id of its record. */
#define ANSWER_LINE_BYTES (2 * VAULT_RECEIPT_LINE_BYTES + 12 + 48)
_Static_assert(VAULT_RETAINED_MAX *ANSWER_LINE_BYTES + 3 * 8192 + VAULT_RECEIPT_TRAIL_MAX_BYTES <=
                   VAULT_RECEIPT_ANSWER_MAX_BYTES,
               "an answer fits");

/* ---- the answer ---- */

/* What was retained, with the records' ids where they are known. */
static void answer_retained(const struct kl_json_value *stored, const struct kl_id *retained,
                            size_t retained_count, struct kl_json_out *out)
{
    static const char *const members[] = {"basis", "until", "commitment"};
    const struct kl_json_value *item = NULL;
    struct kl_json_iter iter = kl_json_iter(kl_json_member(stored, "retained"));
    size_t count = 0;
    size_t i;

    kl_json_key(out, "retained");
    kl_json_array_begin(out);
    for (; kl_json_next(&iter, NULL, &item); count++) {
        kl_json_object_begin(out);
        if (count < retained_count) {
            vault_receipt_add_id(out, "record", "rec", &retained[count]);
        }
        for (i = 0; i < sizeof members / sizeof members[0]; i++) {
            vault_receipt_copy_member(out, item, members[i]);
        }
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

static void write_answer(const struct kl_json_value *stored, const struct kl_buf *signed_text,
                         const struct kl_id *subject, const struct kl_id *record,
                         const struct kl_id *retained, size_t retained_count,
                         const unsigned char secret[VAULT_SUBJECT_SECRET_BYTES],
                         struct kl_slice trail, struct kl_json_out *out)
{
    static const char *const proof[] = {"algorithm",  "public_key", "signature",
                                        "commitment", "generation", "key_tree_root"};
    static const char *const members[] = {"erased_at", "records_erased", "notify", "finality"};
    static const char *const later[] = {"mirrors", "lookup_traces_until",
                                        "request"}; /* not in all */
    size_t i;

    kl_json_object_begin(out);
    vault_receipt_copy_member(out, stored, "receipt");
    if (subject != NULL) {
        vault_receipt_add_id(out, "subject", "sub", subject);
    }
    if (record != NULL) {
        vault_receipt_add_id(out, "record", "rec", record);
    }
    for (i = 0; i < sizeof members / sizeof members[0]; i++) {
        vault_receipt_copy_member(out, stored, members[i]);
    }
    for (i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (kl_json_type(kl_json_member(stored, later[i])) != KL_JSON_ABSENT) {
            vault_receipt_copy_member(out, stored, later[i]);
        }
    }
    answer_retained(stored, retained, retained_count, out);
    if (secret != NULL) {
        kl_json_add_bytes(out, "subject_secret", secret, VAULT_SUBJECT_SECRET_BYTES);
    }
    kl_json_key(out, "proof");
    kl_json_object_begin(out);
    for (i = 0; i < sizeof proof / sizeof proof[0]; i++) {
        vault_receipt_copy_member(out, stored, proof[i]);
    }
    kl_json_key(out, "signed");
    kl_json_put_text_n(out, signed_text->bytes, signed_text->size);
    kl_json_key(out, "trail");
    kl_json_put_raw(out, trail.bytes, trail.size);
    kl_json_object_end(out);
    kl_json_object_end(out);
}

enum kl_status vault_receipt_answer(struct kl_slice receipt, const struct kl_id *subject,
                                    const struct kl_id *record, const struct kl_id *retained,
                                    size_t retained_count,
                                    const unsigned char secret[VAULT_SUBJECT_SECRET_BYTES],
                                    struct kl_slice trail, struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char signature[KMS_SIGNATURE_BYTES];
    struct kl_json *json = NULL;
    struct kl_json_out out;
    struct kl_buf text;

    kl_buf_init(&text, VAULT_RECEIPT_MAX_BYTES);
    status = kl_json_parse(receipt.bytes, receipt.size, &json, err);
    if (status == KL_OK) {
        status = vault_receipt_split(receipt, &text, signature, err);
    }
    if (status == KL_OK) {
        out = kl_json_out(ret);
        write_answer(kl_json_root(json), &text, subject, record, retained, retained_count, secret,
                     trail, &out);
        status = kl_buf_status(ret, err);
    }
    kl_json_free(json);
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_receipt_again(struct vault *vault, uint64_t tenant,
                                   const struct kl_id *receipt, const struct kl_id *subject,
                                   struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_receipt(tenant, receipt);
    struct kl_err cause = {0};
    struct kl_buf row;
    struct kl_buf trail;

    kl_buf_init(&row, VAULT_RECEIPT_MAX_BYTES);
    kl_buf_init(&trail, VAULT_RECEIPT_TRAIL_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, &cause);
    if (status == KL_OK) {
        vault_receipt_trail(vault, tenant, receipt, &trail);
        status = vault_receipt_answer(kl_buf_slice(&row), subject, NULL, NULL, 0, NULL,
                                      kl_buf_slice(&trail), ret, err);
    } else if (status == KL_ERR_NOT_FOUND) {
        status = kl_fail(err, KL_ERR_CORRUPT, "receipt_missing",
                         "the receipt of this erasure is not there any more", NULL);
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    kl_buf_done(&trail);
    return status;
}

/* ---- a stored one ---- */

enum kl_status vault_receipt_hand_out(struct vault *vault, uint64_t home,
                                      const struct kl_id *receipt, struct kl_slice stored,
                                      struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf trail;

    kl_buf_init(&trail, VAULT_RECEIPT_TRAIL_MAX_BYTES);
    vault_receipt_trail(vault, home, receipt, &trail);
    assert(stored.size > 1); /* an object */
    kl_buf_add(ret, stored.bytes, stored.size - 1);
    kl_buf_add_text(ret, ",\"trail\":");
    kl_buf_add(ret, trail.bytes, trail.size);
    kl_buf_add_text(ret, "}");
    status = kl_buf_status(ret, err);
    kl_buf_done(&trail);
    return status;
}

/* Whose receipts a caller may be shown: an operator's are those that the vault itself signed. */
static uint64_t home_of(const struct vault_caller *caller)
{
    return caller->builtin == VAULT_BUILTIN_OPERATOR ? (uint64_t)KMS_TENANT_VAULT : caller->tenant;
}

static bool may_read(const struct vault_caller *caller)
{
    struct vault_query erase =
        vault_query_of(caller, VAULT_ACTION_ERASE, VAULT_NONE, VAULT_NONE, NULL);
    struct vault_query report =
        vault_query_of(caller, VAULT_ACTION_REPORT, VAULT_NONE, VAULT_NONE, NULL);

    if (caller->builtin != VAULT_BUILTIN_NONE) {
        return true;
    }
    if (caller->policy == NULL || caller->role == VAULT_NONE || caller->bound) {
        return false;
    }
    return vault_policy_may(caller->policy, &erase) || vault_policy_may(caller->policy, &report);
}

enum kl_status vault_receipt_read(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *receipt, struct kl_buf *ret,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key;
    struct kl_err own = {0};
    struct kl_buf row;

    err = err == NULL ? &own : err;
    kl_buf_init(&row, VAULT_RECEIPT_MAX_BYTES);
    if (!may_read(caller)) {
        status = kl_fail(err, KL_ERR_FORBIDDEN, "role_forbidden",
                         "the role of this credential does not allow this", NULL);
    } else {
        key = vault_row_receipt(home_of(caller), receipt);
        status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    }
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such receipt", NULL);
    }
    if (status == KL_OK) {
        status =
            vault_receipt_hand_out(vault, home_of(caller), receipt, kl_buf_slice(&row), ret, err);
    }
    kl_buf_done(&row);
    return vault_subject_refused(vault, caller, "receipt_read", VAULT_NONE, status, err);
}
