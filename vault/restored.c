#include "vault/restored.h"

#include "kluis/base/encode.h"
#include "kluis/base/time.h"
#include "vault/backup.h"
#include "vault/restore.h"
#include "vault/subject_internal.h"

/* The number of the i-th trail: the vault's own, then the tenants'. */
static uint64_t trail_at(const struct vault *vault, size_t i)
{
    return i == 0 ? (uint64_t)KMS_TENANT_VAULT : vault->tenants.items[i - 1]->number;
}

enum kl_status vault_restored_trails(struct vault *vault, bool *ret_older, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_trail_known known = {0};
    bool older = false;
    uint64_t size = 0;
    size_t i;

    for (i = 0; status == KL_OK && !older && i <= vault->tenants.count; i++) {
        status = vault_trails_known(vault->trails, trail_at(vault, i), &known, err);
        if (status == KL_OK && known.size > 0) {
            status = vault_trails_size(vault->trails, trail_at(vault, i), &size, err);
            older = status == KL_OK && known.size > size;
        }
    }
    if (status == KL_OK) {
        *ret_older = older;
    }
    return status;
}

/* ---- one entry ---- */

/* put_back: by kluisd restore, from a backup. */
struct saying {
    bool put_back;
    struct vault_restored_from from;
    struct vault *vault;
    uint64_t tenant;
    struct vault_trail_known known;
    uint64_t size;    /* of the trail in data/ */
    uint64_t numbers; /* where it goes on */
};

static enum kl_status skip_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    const struct saying *saying = context;
    uint64_t lost = 0;

    return vault_trails_skip(saying->vault->trails, saying->tenant, batch, &lost, err);
}

static void describe(const struct saying *saying, uint64_t data_generation, uint64_t generation,
                     struct kl_json_out *out)
{
    char root[KL_BASE64_CHARS(VAULT_AUDIT_HASH_BYTES) + 1];
    char id[KL_ID_TEXT_BYTES];

    if (saying->put_back) {
        kl_id_format(VAULT_BACKUP_PREFIX, &saying->from.backup, id);
        kl_json_add_text(out, "backup", id);
        kl_json_add_time(out, "backup_taken_at", saying->from.taken_us);
    }
    kl_json_add_int(out, "data_generation", (int64_t)data_generation);
    kl_json_add_int(out, "generation", (int64_t)generation);
    kl_json_add_int(out, "restores", saying->vault->restores);
    kl_json_add_int(out, "data_entries", (int64_t)saying->size);
    if (saying->known.size > 0) {
        kl_base64(saying->known.root, sizeof saying->known.root, root);
        kl_json_add_int(out, "known_entries", (int64_t)saying->known.size);
        kl_json_add_text(out, "known_root_hash", root);
        kl_json_add_time(out, "known_at", saying->known.at_us);
        kl_json_add_int(
            out, "lost_entries_at_least",
            saying->known.size > saying->size ? (int64_t)(saying->known.size - saying->size) : 0);
    }
    if (saying->numbers > saying->size) {
        kl_json_add_int(out, "lost_from", (int64_t)saying->size);
        kl_json_add_int(out, "lost_until", (int64_t)saying->numbers);
    }
}

static enum kl_status say(struct saying *saying, uint64_t data_generation, uint64_t generation,
                          struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault *vault = saying->vault;
    struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    struct vault_commit commit = {.tenant = saying->tenant,
                                  .inside = skip_inside,
                                  .inside_context = saying,
                                  .audit = entries,
                                  .audit_count = 1};

    vault_act_begin(&act, saying->tenant, &who, "data_restored");
    describe(saying, data_generation, generation, &act.out);
    status = vault_subject_act_end(&act, err);
    if (status == KL_OK) {
        status = vault_commit_submit(vault->committer, &commit, err);
    }
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.audit_entries, 1, memory_order_relaxed);
    }
    vault_act_done(&act);
    return status;
}

enum kl_status vault_restored_say(struct vault *vault, uint64_t data_generation,
                                  uint64_t generation, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct saying saying = {.vault = vault};
    size_t i;

    status = vault_restored_mark(vault->data_store, &saying.put_back, &saying.from, err);
    for (i = 0; status == KL_OK && i <= vault->tenants.count; i++) {
        saying.tenant = trail_at(vault, i);
        status = vault_trails_known(vault->trails, saying.tenant, &saying.known, err);
        if (status == KL_OK) {
            status = vault_trails_size(vault->trails, saying.tenant, &saying.size, err);
        }
        if (status == KL_OK) {
            status = vault_trails_numbers(vault->trails, saying.tenant, &saying.numbers, err);
        }
        if (status == KL_OK) {
            status = say(&saying, data_generation, generation, err);
        }
    }
    return status;
}
