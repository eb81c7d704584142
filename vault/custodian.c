/* The root key goes to another custodian, or under another passphrase, while the vault works. */
#include "kluis/base/log.h"
#include "vault/act.h"
#include "vault/erasure.h"
#include "vault/place.h"

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

static enum kl_status check_passphrase(struct kl_slice passphrase, const char *kind,
                                       struct kl_err *err)
{
    bool needed = strcmp(kind, "passphrase") == 0;
    bool given = passphrase.size > 0;

    if (needed && (passphrase.size < KMS_PASSPHRASE_MIN_BYTES ||
                   passphrase.size > KMS_PASSPHRASE_MAX_BYTES)) {
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

/*
 * What is asked for, and that it failed. The entry comes before the act, so that no root key goes anywhere that the trail does not know of; the
 * act's own entry, custodian_change, comes with its commit. failed: a code; NULL: not.
 */
static enum kl_status note(struct vault *vault, const struct vault_caller *caller,
                           const struct vault_custodian_input *input, const char *failed,
                           struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char location[3];
    char text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1];
    struct vault_country country;
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};

    vault_act_begin(&act, vault_act_trail(caller), &who,
                    failed == NULL ? "custodian_change_asked" : "custodian_change_failed");
    kms_custodian_text_public(input->custodian, text);
    if (text[0] != '\0') {
        kl_json_add_text(&act.out, "custodian", text);
    }
    if (vault_place_country(input->country, &country, NULL) == KL_OK) {
        kl_json_add_text(&act.out, "country", country.code);
    }
    if (failed != NULL) {
        kl_json_add_text(&act.out, "code", failed);
    }
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

static enum kl_status check_country(struct vault *vault, const struct vault_caller *caller,
                                    const char *text, struct kl_err *err)
{
    struct vault_country country;
    enum kl_status status = vault_place_country(text, &country, err);

    if (status == KL_OK) {
        status = vault_copy_allowed(vault, country, caller->now_us, err);
    }
    if (status != KL_OK) {
        kl_err_where(err, "/country");
    }
    return status;
}

/* A token's code would run where the keys are. */
static enum kl_status check_module(const char *custodian, struct kl_err *err)
{
    enum kl_status status = kms_custodian_module_trusted(custodian, err);

    if (status != KL_OK) {
        kl_err_where(err, "/custodian");
    }
    return status;
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

enum kl_status vault_custodian_check(const char *custodian, struct kl_slice passphrase,
                                     char ret_kind[16], struct kl_err *err)
{
    enum kl_status status = kind_of(custodian, ret_kind, err);

    if (status == KL_OK) {
        status = check_passphrase(passphrase, ret_kind, err);
    }
    return status == KL_OK && strcmp(ret_kind, "pkcs11") == 0 ? check_module(custodian, err)
                                                              : status;
}

static enum kl_status check(struct vault *vault, const struct vault_caller *caller,
                            const struct vault_custodian_input *input, char ret_kind[16],
                            struct kl_err *err)
{
    enum kl_status status =
        vault_custodian_check(input->custodian, input->passphrase, ret_kind, err);

    return status == KL_OK ? check_country(vault, caller, input->country, err) : status;
}

enum kl_status vault_custodian_change(struct vault *vault, const struct vault_caller *caller,
                                      const struct vault_custodian_input *input,
                                      struct vault_custodian_result *ret, struct kl_err *err)
{
    struct vault_custodian_result result = {0};
    struct kl_err cause = {0};
    struct kms_state state;
    enum kl_status noted = KL_OK;
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "custodian_change", err);

    if (status != KL_OK) {
        return status;
    }
    status = check(vault, caller, input, result.kind, &cause);
    if (status == KL_OK) {
        noted = note(vault, caller, input, NULL, err);
        if (noted != KL_OK) {
            return noted;
        }
        status = change(vault, caller, input, result.kind, &result.generation, &cause);
    }
    if (status != KL_OK) {
        if (note(vault, caller, input, cause.code, NULL) != KL_OK) {
            kl_log_err(KL_LOG_ERROR, "custodian_change_failed",
                       &cause); /* the trail is out of use by then */
        }
        if (cause.where[0] != '\0') {
            kl_err_where(err, "%s", cause.where);
        }
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kms_state(vault->keys, &state);
    (void)snprintf(result.finality, sizeof result.finality, "%s",
                   kms_finality_name(state.finality));
    *ret = result;
    return KL_OK;
}
