/* The keys as operators see them. */
#include "kluis/base/encode.h"
#include "vault/act.h"
#include "vault/mirrors.h"
#include "vault/signing.h"
#include "vault/sweep.h"

#include <string.h>

/* ---- state ---- */

enum kl_status vault_keys_state(struct vault *vault, const struct vault_caller *caller,
                                struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    uint64_t tenant = vault_act_trail(caller);
    struct vault_signer signer;
    char key_text[KL_BASE64_CHARS(KMS_PUBLIC_KEY_BYTES) + 1];
    char root_text[KL_BASE64_CHARS(KMS_ROOT_HASH_BYTES) + 1];
    char store_id[2 * KMS_STORE_ID_BYTES + 1];
    struct vault_readiness readiness;
    struct kms_state state;
    struct kl_json_out out;

    status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR | VAULT_MAY_STEWARD | VAULT_MAY_AUDITOR,
                          "keys_state", err);
    if (status != KL_OK) {
        return status;
    }
    if (caller->tenant != UINT64_MAX) {
        tenant = caller->tenant;
    }
    status = vault_signer_get(vault->keys, tenant, &signer, err);
    if (status != KL_OK) {
        return status;
    }
    kms_state(vault->keys, &state);
    kl_base64(signer.public_key, sizeof signer.public_key, key_text);
    kl_hex(state.store_id, sizeof state.store_id, store_id);
    kl_base64(state.root_hash, sizeof state.root_hash, root_text);
    out = kl_json_out(ret);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "generation", (int64_t)state.generation);
    kl_json_add_text(&out, "key_tree_root", root_text);
    kl_json_add_time(&out, "root_key_since", state.root_key_since_us);
    kl_json_add_text(&out, "custodian", state.custodian_kind);
    kl_json_add_text(&out, "finality", kms_finality_name(state.finality));
    kl_json_add_bool(&out, "old_root_destroyed", state.old_root_destroyed);
    kl_json_add_text(&out, "store_id", store_id);
    kl_json_add_text(&out, "country", vault->country.code);
    kl_json_add_time(&out, "created_at", state.created_us);
    kl_json_add_text(&out, "public_key", key_text);
    vault_readiness(vault, &readiness);
    if (!readiness.ready) {
        kl_json_add_text(&out, "reason", readiness.reason);
    }
    if (readiness.warning[0] != '\0') {
        kl_json_add_text(&out, "warning", readiness.warning);
    }
    vault_mirrors_show(vault, caller->builtin == VAULT_BUILTIN_OPERATOR, &out);
    status = vault_sweep_state_add(vault, caller->tenant, &out, err);
    kl_json_object_end(&out);
    return status == KL_OK ? kl_buf_status(ret, err) : status;
}
