#include "vault/audit_walk.h"

#include "kluis/base/time.h"
#include "vault/pruned.h"
#include "vault/rows.h"

#include <string.h>

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "audit_damaged", "an entry of the audit trail is damaged",
                   NULL);
}

/* ---- walking ---- */

enum kl_status vault_audit_walk_begin(struct vault_audit_walk *walk, struct vault *vault,
                                      uint64_t tenant, uint64_t first, struct kl_err *err)
{
    struct vault_row_key from;
    struct vault_row_key past = vault_row_audit(tenant, UINT64_MAX);
    struct vault_iter *iter = NULL;
    struct vault_pruned pruned = {.until = 0};
    enum kl_status status = vault_trails_pruned(vault->trails, tenant, &pruned, err);

    if (status != KL_OK) {
        return status;
    }
    first = first < pruned.until ? pruned.until : first;
    from = vault_row_audit(tenant, first);
    iter = vault_iter_new(vault->data_store, vault_row_slice(&from), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "audit: no iterator");
    }
    *walk = (struct vault_audit_walk){.iter = iter, .next = first, .pruned_until = pruned.until};
    return KL_OK;
}

enum kl_status vault_audit_walk_next(struct vault_audit_walk *walk, uint64_t *ret_seq,
                                     struct kl_slice *ret_entry, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_slice key;
    struct kl_slice entry;
    uint64_t seq = 0;

    if (!vault_iter_next(walk->iter, &key, &entry)) {
        status = vault_iter_status(walk->iter, err);
        return status == KL_OK ? KL_ERR_NOT_FOUND : status;
    }
    if (key.size < 8) {
        return damaged(err);
    }
    seq = kl_get_u64be(key.bytes + key.size - 8);
    walk->lost += seq - walk->next;
    walk->next = seq + 1;
    *ret_seq = seq;
    *ret_entry = entry;
    return KL_OK;
}

void vault_audit_walk_end(struct vault_audit_walk *walk)
{
    vault_iter_free(walk->iter);
    walk->iter = NULL;
}

/* The first entry from seq on, past those that were lost: its number and time. KL_ERR_NOT_FOUND past the end. */
static enum kl_status time_at(struct vault *vault, uint64_t tenant, uint64_t seq, uint64_t *ret_seq,
                              int64_t *ret_us, struct kl_err *err)
{
    struct vault_audit_walk walk = {0};
    struct vault_audit_said said = {0};
    struct kl_slice entry;
    enum kl_status status = vault_audit_walk_begin(&walk, vault, tenant, seq, err);

    if (status == KL_OK) {
        status = vault_audit_walk_next(&walk, ret_seq, &entry, err);
    }
    if (status == KL_OK) {
        status = vault_audit_read(entry, &said, err);
    }
    if (status == KL_OK) {
        *ret_us = said.at_us;
    }
    vault_audit_said_done(&said);
    vault_audit_walk_end(&walk);
    return status;
}

/* By halves: a number from which on entries have that time or a later one, and before which they have an earlier one, where times are in order. */
static enum kl_status halve(struct vault *vault, uint64_t tenant, int64_t wanted_us,
                            uint64_t *ret_seq, struct kl_err *err)
{
    int64_t at_us = 0;
    uint64_t found = 0;
    uint64_t low = 0;
    uint64_t high = 0;
    struct vault_pruned pruned = {.until = 0};
    enum kl_status status = vault_trails_pruned(vault->trails, tenant, &pruned, err);

    low = pruned.until;
    if (status == KL_OK) {
        status = vault_trails_size(vault->trails, tenant, &high, err);
    }
    while (status == KL_OK && low < high) {
        uint64_t middle = low + (high - low) / 2;

        status = time_at(vault, tenant, middle, &found, &at_us, err);
        if (status == KL_OK && found < high && at_us < wanted_us) {
            low = found + 1;
        } else {
            high = middle;
        }
        status = status == KL_ERR_NOT_FOUND ? KL_OK : status;
    }
    if (status == KL_OK) {
        *ret_seq = low;
    }
    return status;
}

enum kl_status vault_audit_first_from(struct vault *vault, uint64_t tenant, int64_t from_us,
                                      uint64_t *ret_seq, struct kl_err *err)
{
    struct vault_pruned pruned = {.until = 0};

    if (from_us == 0) {
        enum kl_status status = vault_trails_pruned(vault->trails, tenant, &pruned, err);

        *ret_seq = pruned.until;
        return status;
    }
    return halve(vault, tenant, from_us - VAULT_AUDIT_DISORDER_US, ret_seq, err);
}

enum kl_status vault_audit_past_to(struct vault *vault, uint64_t tenant, int64_t to_us,
                                   uint64_t *ret_seq, struct kl_err *err)
{
    if (to_us == 0) {
        return vault_trails_size(vault->trails, tenant, ret_seq, err);
    }
    return halve(vault, tenant, to_us + VAULT_AUDIT_DISORDER_US, ret_seq, err);
}

/* ---- reading ---- */

enum kl_status vault_audit_read(struct kl_slice entry, struct vault_audit_said *ret,
                                struct kl_err *err)
{
    struct vault_audit_said said = {.slot = -1};
    struct kl_err cause = {0};
    const char *at = NULL;
    const char *result = NULL;

    if (kl_json_parse(entry.bytes, entry.size, &said.json, &cause) != KL_OK) {
        return cause.status == KL_ERR_NO_MEMORY ? kl_fail_memory(err) : damaged(err);
    }
    said.root = kl_json_root(said.json);
    at = kl_json_text(kl_json_member(said.root, "at"));
    said.action = kl_json_text(kl_json_member(said.root, "action"));
    if (at == NULL || said.action == NULL ||
        kl_time_parse(at, strlen(at), &said.at_us, NULL) != KL_OK) {
        kl_json_free(said.json);
        return damaged(err);
    }
    said.credential = kl_json_text(kl_json_member(said.root, "credential"));
    said.role = kl_json_text(kl_json_member(said.root, "role"));
    said.location = kl_json_text(kl_json_member(said.root, "location"));
    said.purpose = kl_json_text(kl_json_member(said.root, "purpose"));
    said.reason = kl_json_text(kl_json_member(said.root, "reason"));
    result = kl_json_text(kl_json_member(said.root, "result"));
    said.refused = result != NULL && strcmp(result, "refused") == 0;
    if (!kl_json_int(kl_json_member(said.root, "slot"), &said.slot) || said.slot < 0) {
        said.slot = -1;
    }
    if (!kl_json_int(kl_json_member(said.root, "policy"), &said.policy) || said.policy < 0) {
        said.policy = 0;
    }
    *ret = said;
    return KL_OK;
}

void vault_audit_said_done(struct vault_audit_said *said)
{
    kl_json_free(said->json);
    said->json = NULL;
}

bool vault_audit_names(struct kl_slice entry, const char *credential)
{
    return memmem(entry.bytes, entry.size, credential, strlen(credential)) != NULL;
}
