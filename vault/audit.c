/* Entries; the trail they go to is in audit_trail.c. */
#include "vault/audit.h"

#include "kluis/base/encode.h"
#include "vault/audit_action.h"

#include <assert.h>
#include <sodium.h>

static void add_id(struct kl_json_out *out, const char *key, const char *prefix,
                   const struct kl_id *id)
{
    char text[KL_ID_TEXT_BYTES];
    kl_id_format(prefix, id, text);
    kl_json_add_text(out, key, text);
}

void vault_audit_begin(struct vault_audit_entry *entry, uint64_t tenant,
                       const struct vault_audit_who *who, const char *action,
                       struct kl_json_out *ret_out)
{
    unsigned char salt[VAULT_AUDIT_SALT_BYTES];
    char salt_text[KL_BASE64_CHARS(VAULT_AUDIT_SALT_BYTES) + 1];

    assert(vault_audit_action_find(action) != NULL);
    *entry = (struct vault_audit_entry){.tenant = tenant, .id = kl_id_new()};
    kl_buf_init(&entry->json, VAULT_AUDIT_ENTRY_MAX_BYTES);
    *ret_out = kl_json_out(&entry->json);
    randombytes_buf(salt, sizeof(salt));
    kl_base64(salt, sizeof(salt), salt_text);

    kl_json_object_begin(ret_out);
    add_id(ret_out, "id", "aud", &entry->id);
    kl_json_add_time(ret_out, "at", who->at_us);
    kl_json_add_text(ret_out, "salt", salt_text);
    kl_json_add_text(ret_out, "action", action);
    if (who->credential == NULL) {
        kl_json_add_text(ret_out, "credential", NULL);
    } else {
        add_id(ret_out, "credential", "cred", who->credential);
    }
    kl_json_add_text(ret_out, "role", who->role);
    kl_json_add_text(ret_out, "request_id", who->request_id);
    if (who->location != NULL) {
        kl_json_add_text(ret_out, "location", who->location);
    }
}

enum kl_status vault_audit_end(struct vault_audit_entry *entry, struct kl_json_out *out,
                               struct kl_err *err)
{
    kl_json_object_end(out);
    enum kl_status status = kl_buf_status(&entry->json, err);
    if (status == KL_OK) {
        kl_merkle_leaf(kl_buf_slice(&entry->json), entry->hash);
    }
    return status;
}

void vault_audit_done(struct vault_audit_entry *entry)
{
    kl_buf_done(&entry->json);
}
