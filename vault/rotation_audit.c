/*
 * The level audit: the key that signs for a tenant's trail (signing.h) is followed by a fresh one, step by step:
 *
 *   fresh    the slot that is not in use gets a fresh key
 *   link     an entry of the trail says so; the old key signs the new one, and the new one the old; from now on the new one signs
 *   destroy  the old one's slot gets a fresh key, so that nobody signs with it any more
 *
 * Each can be done twice: which key is in use tells whether the link was made.
 *
 * Cursor: format u8 (1), phase u8, from_generation u64, number u32 of the new key. Big-endian.
 */
#include "vault/rotation.h"

#include "kluis/base/encode.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/backup.h"
#include "vault/erasure_note.h"
#include "vault/signing.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <string.h>

#define FORMAT 1

enum phase { PHASE_FRESH, PHASE_LINK, PHASE_DESTROY, PHASES };

struct cursor {
    enum phase phase;
    uint64_t from_generation;
    uint32_t number;
};

static void cursor_write(const struct cursor *cursor, struct kl_buf *ret)
{
    kl_buf_clear(ret);
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add_byte(ret, (unsigned char)cursor->phase);
    kl_buf_add_u64be(ret, cursor->from_generation);
    kl_buf_add_u32be(ret, cursor->number);
}

/* False: there is none yet. */
static bool cursor_read(struct kl_slice bytes, struct cursor *ret)
{
    struct kl_reader reader = kl_reader_of(bytes);
    struct cursor cursor = {0};
    unsigned format = kl_read_byte(&reader);
    unsigned phase = kl_read_byte(&reader);

    cursor.phase = (enum phase)phase;
    cursor.from_generation = kl_read_u64be(&reader);
    cursor.number = kl_read_u32be(&reader);
    if (!kl_reader_done(&reader) || format != FORMAT || phase >= PHASES) {
        return false;
    }
    *ret = cursor;
    return true;
}

static enum kl_status rekey(struct vault *vault, uint64_t tenant, uint32_t number,
                            struct kl_err *err)
{
    const struct kms_change change = {KMS_CHANGE_REKEY, vault_signing_place(tenant, number)};
    struct kms_request request = {.changes = &change,
                                  .changes_count = 1,
                                  .note = vault_note_step,
                                  .note_bytes = VAULT_NOTE_STEP_BYTES};

    return kms_commit(vault->keys, &request, err);
}

/* ---- fresh ---- */

static enum kl_status fresh_step(struct vault *vault, uint64_t tenant, struct cursor *cursor,
                                 struct kl_err *err)
{
    struct vault_signing_state signing = {0};
    struct kms_state state;
    enum kl_status status = vault_signing_state(vault->keys, tenant, &signing, err);

    if (status == KL_OK && signing.number >= KL_TRAIL_LINKS_MAX) {
        status = kl_failf(err, KL_ERR_TOO_LARGE, "too_many_keys",
                          "the key of a trail can be changed %d times", KL_TRAIL_LINKS_MAX);
    }
    if (status != KL_OK) {
        return status;
    }
    kms_state(vault->keys, &state);
    cursor->from_generation = state.generation;
    cursor->number = signing.number + 1;
    status = rekey(vault, tenant, cursor->number, err);
    if (status == KL_OK) {
        cursor->phase = PHASE_LINK;
    }
    return status;
}

/* ---- link ---- */

static enum kl_status say(struct vault *vault, uint64_t tenant, const struct kl_trail_link *link,
                          struct kl_err *err)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    char key[KL_BASE64_CHARS(KL_TRAIL_KEY_BYTES) + 1];
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status;

    vault_act_begin(&act, tenant, &who, "audit_key_change");
    kl_json_add_int(&act.out, "number", link->number);
    kl_base64(link->old_key, sizeof link->old_key, key);
    kl_json_add_text(&act.out, "old_key", key);
    kl_base64(link->new_key, sizeof link->new_key, key);
    kl_json_add_text(&act.out, "new_key", key);
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

static enum kl_status link_keys(struct vault *vault, uint64_t tenant, struct kl_trail_link *link,
                                struct kl_err *err)
{
    struct kms_place old_place = vault_signing_place(tenant, link->number - 1);
    struct kms_place new_place = vault_signing_place(tenant, link->number);
    enum kl_status status =
        kms_public_key(vault->keys, &old_place, VAULT_SIGNING_LABEL, link->old_key, err);

    if (status == KL_OK) {
        status = kms_public_key(vault->keys, &new_place, VAULT_SIGNING_LABEL, link->new_key, err);
    }
    if (status == KL_OK && tenant == KMS_TENANT_VAULT) {
        link->has_backup_key = true;
        status = kms_public_key(vault->keys, &old_place, VAULT_BACKUP_MANIFEST_LABEL,
                                link->backup_key, err);
    }
    return status;
}

static enum kl_status link_sign(struct vault *vault, uint64_t tenant, struct kl_trail_link *link,
                                struct kl_err *err)
{
    struct kms_place old_place = vault_signing_place(tenant, link->number - 1);
    struct kms_place new_place = vault_signing_place(tenant, link->number);
    enum kl_status status = KL_OK;
    struct kl_buf text;

    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_link_text(link, &text);
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        status = kms_sign(vault->keys, &old_place, VAULT_SIGNING_LABEL, kl_buf_slice(&text),
                          link->old_signature, err);
    }
    if (status == KL_OK) {
        status = kms_sign(vault->keys, &new_place, VAULT_SIGNING_LABEL, kl_buf_slice(&text),
                          link->new_signature, err);
    }
    kl_buf_done(&text);
    return status;
}

static enum kl_status link_make(struct vault *vault, uint64_t tenant, uint32_t number,
                                struct kl_err *err)
{
    const struct vault_tenant *of = vault_tenants_by_number(vault, tenant);
    struct kl_trail_link link = {.number = number};
    enum kl_status status = link_keys(vault, tenant, &link, err);

    (void)snprintf(link.tenant, sizeof link.tenant, "%s", of == NULL ? "" : of->name);
    if (status == KL_OK) {
        status = say(vault, tenant, &link, err);
    }
    if (status == KL_OK) {
        status = vault_trails_root(vault->trails, tenant, &link.size, link.root, err);
    }
    if (status == KL_OK) {
        kl_time_format(kl_time_now_us(), link.at);
        status = link_sign(vault, tenant, &link, err);
    }
    return status == KL_OK ? vault_signing_put(vault->keys, tenant, &link, err) : status;
}

static enum kl_status link_step(struct vault *vault, uint64_t tenant, struct cursor *cursor,
                                struct kl_err *err)
{
    struct vault_signing_state signing = {0};
    enum kl_status status = vault_signing_state(vault->keys, tenant, &signing, err);

    if (status == KL_OK && signing.number < cursor->number) {
        status = link_make(vault, tenant, cursor->number, err);
    }
    if (status == KL_OK) {
        cursor->phase = PHASE_DESTROY;
    }
    return status;
}

/* ---- destroy ---- */

enum kl_status vault_rotation_audit_settle(struct vault *vault, uint64_t tenant, struct kl_err *err)
{
    struct vault_signing_state signing = {0};
    enum kl_status status = vault_signing_state(vault->keys, tenant, &signing, err);

    if (status == KL_OK && !signing.destroyed) {
        status = rekey(vault, tenant, signing.number - 1, err);
    }
    return status == KL_OK && !signing.destroyed
               ? vault_signing_settled(vault->keys, tenant, signing.number, err)
               : status;
}

static enum kl_status destroy_step(struct vault *vault, struct vault_job *job,
                                   const struct cursor *cursor, struct kl_err *err)
{
    enum kl_status status = vault_rotation_audit_settle(vault, job->tenant, err);
    char key[KL_BASE64_CHARS(KL_TRAIL_KEY_BYTES) + 1];
    struct vault_signer signer;
    struct kl_json_out out;
    struct kms_state state;

    kms_state(vault->keys, &state);
    if (status == KL_OK && (state.mirrors_out_of_step > 0 || !state.old_root_destroyed)) {
        status = kl_fail(err, KL_ERR_UNAVAILABLE, "mirror_unreachable",
                         "a mirror of the keys does not answer", NULL);
    }
    if (status == KL_OK) {
        status = vault_signer_get(vault->keys, job->tenant, &signer, err);
    }
    if (status != KL_OK) {
        return status;
    }
    kl_buf_clear(&job->result);
    out = kl_json_out(&job->result);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "from_generation", (int64_t)cursor->from_generation);
    kl_json_add_int(&out, "to_generation", (int64_t)state.generation);
    kl_json_add_bool(&out, "old_key_out_of_use", true);
    kl_json_add_int(&out, "number", cursor->number);
    kl_base64(signer.public_key, sizeof signer.public_key, key);
    kl_json_add_text(&out, "public_key", key);
    kl_json_object_end(&out);
    return kl_buf_status(&job->result, err);
}

/* ---- the level ---- */

enum kl_status vault_rotation_audit_step(struct vault *vault, struct vault_job *job,
                                         const struct vault_rotation *rotation, bool *ret_done,
                                         struct kl_err *err)
{
    struct cursor cursor = {.phase = PHASE_FRESH};
    enum kl_status status = KL_OK;
    bool done = false;

    (void)rotation;
    (void)cursor_read(kl_buf_slice(&job->cursor), &cursor);
    switch (cursor.phase) {
    case PHASE_FRESH:
        status = fresh_step(vault, job->tenant, &cursor, err);
        break;
    case PHASE_LINK:
        status = link_step(vault, job->tenant, &cursor, err);
        break;
    case PHASE_DESTROY:
    case PHASES:
        status = destroy_step(vault, job, &cursor, err);
        done = status == KL_OK;
        break;
    }
    if (status == KL_OK) {
        cursor_write(&cursor, &job->cursor);
        job->progress = (double)cursor.phase / PHASES;
        status = kl_buf_status(&job->cursor, err);
    }
    if (status == KL_OK) {
        *ret_done = done;
    }
    return status;
}
