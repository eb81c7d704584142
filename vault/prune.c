#include "vault/prune.h"

#include "vault/act.h"
#include "vault/audit_index.h"
#include "vault/audit_internal.h"
#include "vault/audit_proof.h"
#include "vault/audit_walk.h"
#include "vault/review_row.h"
#include "vault/rows.h"
#include "vault/signing.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <string.h>

/* So many numbers a step compacts: their texts are some 40 MB. */
#define COMPACT_NUMBERS 65536

/* ---- what counts ---- */

static void rule_add(struct vault_prune_rule *rule, const struct vault_policy *policy,
                     uint64_t number)
{
    const struct vault_policy_audit *audit = vault_policy_audit(policy);
    size_t i = 0;

    if (!audit->has_keep || rule->keep_count == VAULT_PRUNE_POLICIES_MAX) {
        rule->forever = true;
        return;
    }
    rule->keep_unreviewed = rule->keep_unreviewed || audit->keep_unreviewed;
    while (i < rule->keep_count &&
           memcmp(&rule->keeps[i], &audit->keep, sizeof rule->keeps[i]) != 0) {
        i++;
    }
    if (i == rule->keep_count) {
        rule->keeps[rule->keep_count++] = audit->keep;
    }
    if (rule->policy == 0 || kl_time_add(0, &audit->keep) > kl_time_add(0, &rule->longest)) {
        rule->longest = audit->keep;
        rule->policy = number;
    }
}

/* What cannot be read kept everything. */
static enum kl_status rule_add_number(struct vault *vault, uint64_t tenant, uint64_t number,
                                      struct vault_prune_rule *rule, int64_t *ret_applied_us,
                                      struct kl_err *err)
{
    struct vault_policy *policy = NULL;
    struct kl_err cause = {0};
    enum kl_status status =
        vault_policy_load_number(vault, tenant, number, &policy, ret_applied_us, &cause);

    if (status == KL_ERR_IO || status == KL_ERR_NO_MEMORY) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    if (status == KL_OK) {
        rule_add(rule, policy, number);
    }
    rule->forever = rule->forever || status != KL_OK;
    vault_policy_unref(policy);
    return KL_OK;
}

enum kl_status vault_prune_rule_read(struct vault *vault, uint64_t tenant, int64_t now_us,
                                     struct vault_prune_rule *ret, struct kl_err *err)
{
    const struct kl_duration delay = {.days = KL_TRAIL_KEEP_DELAY_DAYS};
    const struct vault_tenant *there = vault_tenants_by_number(vault, tenant);
    struct vault_prune_rule rule = {.forever = false};
    enum kl_status status = KL_OK;
    uint64_t number = 0;
    size_t asked = 0;
    bool counts = true; /* the policy of that number, at now or less than the delay before */

    if (there != NULL) {
        vault_policy_unref(vault_tenant_policy(vault, there, &number));
    }
    while (status == KL_OK && !rule.forever && counts) {
        int64_t applied_us = 0;

        rule.forever = number == 0 || asked++ == VAULT_PRUNE_POLICIES_MAX;
        if (!rule.forever) {
            status = rule_add_number(vault, tenant, number--, &rule, &applied_us, err);
        }
        counts = kl_time_add(applied_us, &delay) > now_us;
        if (asked == 1 && !rule.forever && counts) {
            rule.waits_us = kl_time_add(applied_us, &delay);
        }
    }
    if (status == KL_OK) {
        *ret = rule;
    }
    return status;
}

bool vault_prune_is_over(const struct vault_prune_rule *rule, int64_t at_us, int64_t now_us)
{
    bool over = !rule->forever;

    for (size_t i = 0; over && i < rule->keep_count; i++) {
        over = kl_time_add(at_us, &rule->keeps[i]) <= now_us;
    }
    return over;
}

/* ---- looking ---- */

struct looking {
    const struct vault_prune_rule *rule;
    int64_t now_us;
    struct vault_prune_stretch *stretch;
    struct vault_tree_reader *reader;
    size_t looked_at;
    bool ended;
    bool paused;
};

/* The time of an entry that is what was hashed; false: it is not, or says no time. */
static enum kl_status entry_time(const struct looking *looking, const struct vault_leaf *leaf,
                                 int64_t *ret_us, bool *ret_right, struct kl_err *err)
{
    unsigned char stored[KL_MERKLE_HASH_BYTES];
    struct vault_audit_said said = {0};
    struct kl_err cause = {0};
    enum kl_status status = vault_tree_leaf(looking->reader, leaf->number, stored, err);

    if (status != KL_OK) {
        return status;
    }
    *ret_right = memcmp(stored, leaf->hash, sizeof stored) == 0;
    status = *ret_right ? vault_audit_read(leaf->entry, &said, &cause) : KL_OK;
    if (status == KL_ERR_NO_MEMORY) {
        return kl_fail_memory(err);
    }
    *ret_right = *ret_right && status == KL_OK;
    *ret_us = said.at_us;
    vault_audit_said_done(&said);
    return KL_OK;
}

static void take(struct vault_prune_stretch *stretch, uint64_t number, int64_t at_us)
{
    if (stretch->entries == 0 || at_us < stretch->oldest_us) {
        stretch->oldest_us = at_us;
    }
    if (stretch->entries == 0 || at_us > stretch->newest_us) {
        stretch->newest_us = at_us;
    }
    stretch->entries++;
    stretch->until = number + 1;
}

/* KL_ERR_BUSY, which goes no further, ends the walk. */
static enum kl_status look_at(void *visitor, const struct vault_leaf *leaf, struct kl_err *err)
{
    struct looking *looking = visitor;
    struct vault_prune_stretch *stretch = looking->stretch;
    enum kl_status status = KL_OK;
    int64_t at_us = 0;
    bool right = false;

    stretch->next = leaf->number;
    if (leaf->kind != VAULT_LEAF_LOST) {
        looking->paused = looking->looked_at++ == VAULT_PRUNE_STEP_ENTRIES;
        if (looking->paused) {
            return KL_ERR_BUSY;
        }
        if (leaf->kind == VAULT_LEAF_ENTRY) {
            status = entry_time(looking, leaf, &at_us, &right, err);
        }
        if (status != KL_OK) {
            return status;
        }
        if (!right || !vault_prune_is_over(looking->rule, at_us, looking->now_us)) {
            stretch->blocked = !right;
            stretch->next_at_us = right ? kl_time_add(at_us, &looking->rule->longest) : 0;
            looking->ended = true;
            return KL_ERR_BUSY;
        }
        take(stretch, leaf->number, at_us);
    }
    stretch->next = leaf->number + 1;
    return KL_OK;
}

/* Numbers up to which entries may go: all that there are, or those that reviews cover. */
static enum kl_status limit_of(struct vault *vault, uint64_t tenant,
                               const struct vault_prune_rule *rule, uint64_t size, uint64_t *ret,
                               struct kl_err *err)
{
    uint64_t gap = size;
    enum kl_status status =
        rule->keep_unreviewed ? vault_review_first_gap(vault, tenant, &gap, err) : KL_OK;

    if (status == KL_OK) {
        *ret = gap < size ? gap : size;
    }
    return status;
}

enum kl_status vault_prune_look(struct vault *vault, uint64_t tenant,
                                const struct vault_prune_rule *rule, int64_t now_us,
                                struct vault_prune_stretch *stretch, bool *ret_ended,
                                struct kl_err *err)
{
    struct looking looking = {.rule = rule, .now_us = now_us, .stretch = stretch};
    struct vault_pruned pruned = {.until = 0};
    struct vault_lost lost = {0};
    uint64_t limit = 0;
    enum kl_status status = vault_trails_pruned(vault->trails, tenant, &pruned, err);

    if (status == KL_OK && stretch->from < pruned.until) {
        *stretch = (struct vault_prune_stretch){
            .from = pruned.until, .until = pruned.until, .next = pruned.until};
    }
    if (status != KL_OK || rule->forever) {
        *ret_ended = true;
        return status;
    }
    status = vault_tree_reader_new(vault->trails, tenant, &looking.reader, err);
    if (status == KL_OK) {
        status = vault_lost_read(vault->data_store, tenant, &lost, err);
    }
    if (status == KL_OK) {
        status = limit_of(vault, tenant, rule, vault_tree_size(looking.reader), &limit, err);
    }
    if (status == KL_OK) {
        status = vault_leaves_each(vault->data_store, tenant, &lost, stretch->next, limit, look_at,
                                   &looking, err);
        status = status == KL_ERR_BUSY && (looking.ended || looking.paused) ? KL_OK : status;
    }
    vault_lost_done(&lost);
    vault_tree_reader_free(looking.reader);
    *ret_ended = !looking.paused;
    return status;
}

/* ---- declaring ---- */

static enum kl_status sign_with(void *context, const struct vault_signer *signer,
                                struct kl_err *err)
{
    struct kl_trail_pruning *pruning = context;
    struct kl_buf text;
    enum kl_status status;

    kl_buf_init(&text, KL_TRAIL_PRUNED_TEXT_MAX_BYTES);
    kl_trail_pruning_text(pruning, &text);
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        status = vault_signer_sign(signer, VAULT_SIGNING_LABEL, kl_buf_slice(&text),
                                   pruning->signature, err);
    }
    if (status == KL_OK) {
        memcpy(pruning->key, signer->public_key, sizeof pruning->key);
    }
    kl_buf_done(&text);
    return status;
}

static enum kl_status root_at(struct vault *vault, uint64_t tenant, uint64_t size,
                              unsigned char ret_root[KL_MERKLE_HASH_BYTES], struct kl_err *err)
{
    struct vault_tree_reader *reader = NULL;
    enum kl_status status = vault_tree_reader_new(vault->trails, tenant, &reader, err);

    if (status == KL_OK) {
        status = vault_tree_root(reader, size, ret_root, err);
    }
    vault_tree_reader_free(reader);
    return status;
}

static enum kl_status pruning_make(struct vault *vault, uint64_t tenant,
                                   const struct vault_prune_rule *rule, int64_t now_us,
                                   const struct vault_prune_stretch *stretch,
                                   struct kl_trail_pruning *ret, struct kl_err *err)
{
    const struct vault_tenant *there = vault_tenants_by_number(vault, tenant);
    enum kl_status status = KL_OK;

    if (there == NULL) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "tenant_gone", "this tenant was ended", NULL);
    }
    *ret = (struct kl_trail_pruning){.from = stretch->from,
                                     .until = stretch->until,
                                     .policy = rule->policy,
                                     .keep = rule->longest};
    (void)snprintf(ret->tenant, sizeof ret->tenant, "%s", there->name);
    kl_duration_format(&rule->longest, ret->keep_text);
    kl_time_format(stretch->oldest_us, ret->oldest);
    kl_time_format(stretch->newest_us, ret->newest);
    kl_time_format(now_us, ret->at);
    status = root_at(vault, tenant, stretch->until, ret->root, err);
    return status == KL_OK ? vault_signing_with(vault->keys, tenant, sign_with, ret, err) : status;
}

enum kl_status vault_prune_declare(struct vault *vault, uint64_t tenant,
                                   const struct vault_prune_rule *rule, int64_t now_us,
                                   const struct vault_prune_stretch *stretch, struct kl_err *err)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = now_us};
    struct vault_pruned pruned = {.until = 0};
    struct kl_trail_pruning pruning = {.from = 0};
    struct vault_batch *batch = vault_batch_new();
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = batch == NULL ? kl_fail_memory(err) : KL_OK;

    vault_act_begin(&act, tenant, &who, KL_TRAIL_PRUNED_ACTION);
    if (status == KL_OK) {
        status = vault_trails_pruned(vault->trails, tenant, &pruned, err);
    }
    if (status == KL_OK) {
        status = pruning_make(vault, tenant, rule, now_us, stretch, &pruning, err);
    }
    if (status == KL_OK) {
        pruned.until = stretch->until;
        pruned.entry = act.entry.id;
        kl_trail_pruning_write(&pruning, &act.out);
        kl_json_add_int(&act.out, "entries", (int64_t)stretch->entries);
        status = vault_pruned_put(vault->keys, tenant, &pruned, batch, err);
    }
    if (status == KL_OK) {
        status = vault_act_commit(vault, acts, 1, batch, err);
    }
    if (status == KL_OK) {
        vault_trails_pruned_set(vault->trails, tenant, &pruned);
    }
    vault_act_done(&act);
    vault_batch_free(batch);
    return status;
}

/* ---- removing ---- */

/* Rows 'A' of the numbers from up to and without until, and what leads to them. */
static enum kl_status remove_entries(struct vault *vault, uint64_t tenant, uint64_t from,
                                     uint64_t until, struct vault_batch *batch, struct kl_err *err)
{
    struct vault_row_key first = vault_row_audit(tenant, from);
    struct vault_row_key past = vault_row_audit(tenant, until);
    struct vault_iter *iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    struct kl_slice key;
    struct kl_slice entry;
    enum kl_status status = KL_OK;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (vault_iter_next(iter, &key, &entry)) {
        struct kl_id id;

        if (key.size == first.size && vault_audit_entry_id(entry, &id, NULL) == KL_OK) {
            struct vault_row_key by_id =
                vault_row_audit_id(tenant, &id, kl_get_u64be(key.bytes + key.size - 8));

            vault_batch_remove(batch, vault_row_slice(&by_id));
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    if (status == KL_OK) {
        vault_batch_remove_range(batch, vault_row_slice(&first), vault_row_slice(&past));
    }
    return status;
}

/* Reviews of nothing that is left: that they were made is told by their own entries; their notes go. One that does not open stays. */
static enum kl_status remove_reviews(struct vault *vault, uint64_t tenant, uint64_t until,
                                     struct vault_batch *batch, struct kl_err *err)
{
    struct vault_review_walk walk = {0};
    struct vault_review_span span = {.from = 0};
    struct kl_err cause = {0};
    enum kl_status status = vault_review_walk_begin(&walk, vault, tenant, 0, NULL, err);

    while (status == KL_OK) {
        status = vault_review_walk_next(&walk, &span, &cause);
        if (status == KL_OK && span.from >= until) {
            break;
        }
        if (status == KL_OK && span.to <= until) {
            struct vault_row_key key = vault_row_review(tenant, span.from, &span.id);

            vault_batch_remove(batch, vault_row_slice(&key));
        }
        if (status == KL_ERR_CORRUPT) {
            status = KL_OK;
        }
    }
    vault_review_walk_end(&walk);
    return status == KL_OK || status == KL_ERR_NOT_FOUND
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_prune_remove(struct vault *vault, uint64_t tenant, bool *ret_ended,
                                  struct kl_err *err)
{
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {.tenant = tenant, .batch = batch, .unsynced = true};
    struct vault_pruned pruned = {.until = 0};
    uint64_t from = 0;
    enum kl_status status = batch == NULL
                                ? kl_fail_memory(err)
                                : vault_trails_pruned(vault->trails, tenant, &pruned, err);

    *ret_ended = pruned.removed == pruned.until;
    if (status != KL_OK || *ret_ended) {
        goto out;
    }
    from = pruned.removed;
    pruned.removed = pruned.until - from > VAULT_PRUNE_STEP_ENTRIES
                         ? from + VAULT_PRUNE_STEP_ENTRIES
                         : pruned.until;
    vault_audit_index_prune(tenant, pruned.removed, batch);
    status = remove_entries(vault, tenant, from, pruned.removed, batch, err);
    if (status == KL_OK && pruned.removed == pruned.until) {
        status = remove_reviews(vault, tenant, pruned.until, batch, err);
    }
    if (status == KL_OK) {
        status = vault_pruned_put(vault->keys, tenant, &pruned, batch, err);
    }
    if (status == KL_OK) {
        status = vault_commit_submit(vault->committer, &commit, err);
    }
    if (status == KL_OK) {
        vault_trails_pruned_set(vault->trails, tenant, &pruned);
        *ret_ended = pruned.removed == pruned.until;
    }

out:
    vault_batch_free(batch);
    return status;
}

enum kl_status vault_prune_compact(struct vault *vault, uint64_t tenant, uint64_t *next,
                                   bool *ret_ended, struct kl_err *err)
{
    struct vault_pruned pruned = {.until = 0};
    enum kl_status status = vault_trails_pruned(vault->trails, tenant, &pruned, err);
    uint64_t until = pruned.removed;

    if (status != KL_OK) {
        return status;
    }
    *ret_ended = until <= *next || until - *next <= COMPACT_NUMBERS;
    if (*next < until) {
        until = *ret_ended ? until : *next + COMPACT_NUMBERS;
        struct vault_row_key first = vault_row_audit(tenant, *next);
        struct vault_row_key past = vault_row_audit(tenant, until);

        vault_store_compact(vault->data_store, vault_row_slice(&first), vault_row_slice(&past));
        *next = until;
    }
    return KL_OK;
}
