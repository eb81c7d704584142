/* The root key goes to another custodian, or under another passphrase, while the vault works. */
#include "vault/act.h"
#include "vault/erasure.h"

#include <stdio.h>
#include <string.h>

/* "file", "passphrase" or "pkcs11"; a path in it is absolute: the server's own folder is nobody's to know. */
static enum kl_status kind_of(const char *custodian, char ret_kind[16], struct kl_err *err)
{
    static const char *const kinds[] = {"file", "passphrase", "pkcs11"};
    size_t size = strcspn(custodian, ":");
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strlen(kinds[i]) == size && memcmp(kinds[i], custodian, size) == 0 &&
            custodian[size] == ':' && (i == 2 || custodian[size + 1] == '/')) {
            (void)snprintf(ret_kind, 16, "%s", kinds[i]);
            return KL_OK;
        }
    }
    kl_err_where(err, "/custodian");
    return kl_fail(err, KL_ERR_INVALID, "invalid_custodian",
                   "a custodian is file:/PATH, passphrase:/PATH or pkcs11:URI", NULL);
}

static enum kl_status check_passphrase(const struct vault_custodian_input *input, const char *kind,
                                       struct kl_err *err)
{
    bool needed = strcmp(kind, "passphrase") == 0;
    bool given = input->passphrase.size > 0;

    if (needed && (input->passphrase.size < KMS_PASSPHRASE_MIN_BYTES ||
                   input->passphrase.size > KMS_PASSPHRASE_MAX_BYTES)) {
        kl_err_where(err, "/passphrase");
        return kl_failf(err, KL_ERR_INVALID, "passphrase_length", "a passphrase has %d to %d bytes",
                        KMS_PASSPHRASE_MIN_BYTES, KMS_PASSPHRASE_MAX_BYTES);
    }
    if (given && strcmp(kind, "file") == 0) {
        kl_err_where(err, "/passphrase");
        return kl_fail(err, KL_ERR_INVALID, "unexpected_passphrase",
                       "a bare root file has no passphrase: passphrase:/PATH has one", NULL);
    }
    return KL_OK;
}

/* A module that anybody may have put there is an attempt worth an entry: its code would run where the keys are. */
static enum kl_status check_module(struct vault *vault, const struct vault_caller *caller,
                                   const char *custodian, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = kms_custodian_module_trusted(custodian, &cause);

    if (status == KL_OK) {
        return KL_OK;
    }
    kl_err_where(err, "/custodian");
    return vault_act_refused(vault, caller, "custodian_change", &cause, err);
}

static enum kl_status change(struct vault *vault, const struct vault_caller *caller,
                             const struct vault_custodian_input *input, const char *kind,
                             uint64_t *ret_generation, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_note note = {.kind = VAULT_NOTE_CUSTODIAN,
                              .id = kl_id_new(),
                              .tenant = KMS_TENANT_VAULT,
                              .notify_all = true};
    const struct kms_custodian_options to = {
        .custodian = input->custodian,
        .passphrase = input->passphrase.size == 0 ? NULL : (const char *)input->passphrase.bytes,
        .passphrase_bytes = input->passphrase.size,
        .accept_f0 = vault->accept_f0,
        .argon2_light = vault->argon2_light,
        .forbidden_dir = vault->data_dir,
    };
    struct kms_request request = {0};
    struct kl_buf text;

    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    vault_note_who(&note, caller);
    (void)snprintf(note.name, sizeof note.name, "%s", kind);
    status = vault_note_encode(&note, &text, err);
    request.note = text.bytes;
    request.note_bytes = text.size;
    if (status == KL_OK) {
        status = kms_custodian_change(vault->keys, &to, &request, err);
    }
    if (status == KL_OK) {
        *ret_generation = request.ret_generation;
        atomic_fetch_add_explicit(&vault->counters.rotations, 1, memory_order_relaxed);
    }
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_custodian_change(struct vault *vault, const struct vault_caller *caller,
                                      const struct vault_custodian_input *input,
                                      struct vault_custodian_result *ret, struct kl_err *err)
{
    struct vault_custodian_result result = {0};
    struct kms_state state;
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "custodian_change", err);

    if (status == KL_OK) {
        status = kind_of(input->custodian, result.kind, err);
    }
    if (status == KL_OK) {
        status = check_passphrase(input, result.kind, err);
    }
    if (status == KL_OK && strcmp(result.kind, "pkcs11") == 0) {
        status = check_module(vault, caller, input->custodian, err);
    }
    if (status == KL_OK) {
        status = change(vault, caller, input, result.kind, &result.generation, err);
    }
    if (status == KL_OK) {
        kms_state(vault->keys, &state);
        (void)snprintf(result.finality, sizeof result.finality, "%s",
                       kms_finality_name(state.finality));
        *ret = result;
    }
    return status;
}
