/* How the vault is: readiness and figures. */
#include "kluis/base/time.h"
#include "vault/alerts.h"
#include "vault/place.h"
#include "vault/request_rows.h"
#include "vault/retention_job.h"
#include "vault/rows.h"
#include "vault/space.h"
#include "vault/tenants.h"
#include "vault/vault_internal.h"
#include "vault/webhook_internal.h"

#include <stdio.h>
#include <string.h>

/* Whether a stored policy does not compile. */
static bool is_any_broken(struct vault *vault)
{
    bool broken = false;
    size_t i;

    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    for (i = 0; i < vault->tenants.count && !broken; i++) {
        broken = vault->tenants.items[i]->policy_broken;
    }
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    return broken;
}

static enum kl_status store_answers(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_meta("stamp");
    struct kl_buf row = {0};

    kl_buf_init(&row, KMS_STORE_ID_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    kl_buf_done(&row);
    return status;
}

void vault_readiness(struct vault *vault, struct vault_readiness *ret_readiness)
{
    struct kms_state state;
    struct kl_err err = {0};
    char country[8];

    memset(ret_readiness, 0, sizeof *ret_readiness);
    kms_state(vault->keys, &state);
    ret_readiness->key_generation = state.generation;
    (void)snprintf(ret_readiness->finality, sizeof ret_readiness->finality, "%s",
                   kms_finality_name(state.finality));
    if (state.mirrors_out_of_step > 0) {
        (void)snprintf(ret_readiness->warning, sizeof ret_readiness->warning,
                       "%u of %u key mirrors out of step: erasures and rotations are refused",
                       (unsigned)state.mirrors_out_of_step, (unsigned)state.mirrors);
    }
    if (vault_copies_misplaced(vault, kl_time_now_us(), country) > 0 &&
        state.mirrors_out_of_step == 0) {
        (void)snprintf(
            ret_readiness->warning, sizeof ret_readiness->warning,
            "a key mirror lies in %s, where the policies in force do not let it lie: drop it, "
            "or name a transfer",
            country);
    }
    if (store_answers(vault, &err) != KL_OK) {
        (void)snprintf(ret_readiness->reason, sizeof ret_readiness->reason,
                       "the store does not answer: %s", err.code);
    } else if (vault_committer_failed(vault->committer)) {
        (void)snprintf(ret_readiness->reason, sizeof ret_readiness->reason,
                       "a write failed: nothing more is written until the server is started again");
    } else if (vault_space_is_low(vault->space)) {
        vault_space_reason(vault->space, ret_readiness->reason, sizeof ret_readiness->reason);
    } else if (is_any_broken(vault)) {
        (void)snprintf(
            ret_readiness->reason, sizeof ret_readiness->reason,
            "the stored policy of a tenant does not compile (the log says whose): it reads nothing until one is applied");
    } else {
        ret_readiness->ready = true;
    }
}

static uint64_t count_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- requests ---- */

/* The most requests that are counted: more than that are that many. */
#define COUNTED_MAX 1000000
#define HELD_TIMES 100
#define HELD_MAX_US (60 * KL_TIME_SECOND_US)

struct counting {
    int64_t now_us;
    uint64_t open;
    uint64_t overdue;
};

static bool count_request(void *visitor, const struct vault_request_place *place, uint64_t slot)
{
    struct counting *counting = visitor;

    (void)slot;
    counting->open++;
    counting->overdue += place->due_us < counting->now_us ? 1 : 0;
    return counting->open < COUNTED_MAX;
}

/* By the rows in clear, tenant by tenant; the lock is not held meanwhile. */
static void count_requests(struct vault *vault, struct counting *counting)
{
    const struct vault_tenant *tenant = NULL;

    for (tenant = vault_tenants_next(vault, KMS_TENANT_VAULT);
         tenant != NULL && counting->open < COUNTED_MAX;
         tenant = vault_tenants_next(vault, tenant->number)) {
        if (vault_request_rows_each(vault->data_store, tenant->number, true, INT64_MAX, NULL,
                                    count_request, counting, NULL) != KL_OK) {
            return;
        }
    }
}

/*
 * Whoever asks for figures asks again and again: what was counted holds a hundred times as long as the counting took, so that it takes one
 * worker in a hundred, and a minute at most. Meanwhile one counts, and the others are told what was.
 */
static void requests_counted(struct vault *vault, struct counting *counting)
{
    struct vault_requests_counted *counted = &vault->requests_counted;
    const int64_t began_us = kl_time_monotonic_us();
    long long until_us = atomic_load(&counted->until_us);
    int64_t held_us = 0;

    if (until_us != 0 &&
        (began_us < until_us ||
         !atomic_compare_exchange_strong(&counted->until_us, &until_us, began_us + HELD_MAX_US))) {
        counting->open = atomic_load(&counted->open);
        counting->overdue = atomic_load(&counted->overdue);
        return;
    }
    count_requests(vault, counting);
    atomic_store(&counted->open, counting->open);
    atomic_store(&counted->overdue, counting->overdue);
    held_us = HELD_TIMES * (kl_time_monotonic_us() - began_us);
    atomic_store(&counted->until_us,
                 kl_time_monotonic_us() + (held_us < HELD_MAX_US ? held_us : HELD_MAX_US));
}

void vault_figures(struct vault *vault, struct vault_figures *ret_figures)
{
    struct counting counting = {.now_us = kl_time_now_us()};
    struct vault_retention_last last = {0};
    struct kms_state state;

    requests_counted(vault, &counting);
    vault_retention_last(vault, &last);
    kms_state(vault->keys, &state);
    memset(ret_figures, 0, sizeof *ret_figures);
    ret_figures->subjects_created = count_of(&vault->counters.subjects_created);
    ret_figures->records_created = count_of(&vault->counters.records_created);
    ret_figures->fields_read = count_of(&vault->counters.fields_read);
    ret_figures->fields_withheld = count_of(&vault->counters.fields_withheld);
    ret_figures->records_rectified = count_of(&vault->counters.records_rectified);
    ret_figures->erasures = count_of(&vault->counters.erasures);
    ret_figures->rotations = count_of(&vault->counters.rotations);
    ret_figures->audit_entries = count_of(&vault->counters.audit_entries);
    ret_figures->refused_unauthorised = count_of(&vault->counters.refused_unauthorised);
    ret_figures->requests_open = counting.open;
    ret_figures->requests_overdue = counting.overdue;
    ret_figures->retention_runs = count_of(&vault->counters.retention_runs);
    ret_figures->retention_erased = count_of(&vault->counters.retention_erased);
    ret_figures->retention_failed = count_of(&vault->counters.retention_failed);
    ret_figures->retention_due = last.records_due;
    ret_figures->retention_overdue = last.records_overdue;
    ret_figures->retention_last_s = (uint64_t)last.ended_us / 1000000;
    ret_figures->key_generation = state.generation;
    ret_figures->key_pages_cached = state.pages_cached;
    ret_figures->key_slots_cached = state.keys_cached;
    ret_figures->key_mirrors = state.mirrors;
    ret_figures->key_mirrors_out_of_step = state.mirrors_out_of_step;
    ret_figures->alerts_volume = vault_alerts_raised(vault->alerts, VAULT_ALERT_VOLUME);
    ret_figures->alerts_refusals = vault_alerts_raised(vault->alerts, VAULT_ALERT_REFUSALS);
    ret_figures->alerts_hours = vault_alerts_raised(vault->alerts, VAULT_ALERT_HOURS);
    vault_webhooks_count(vault->webhooks, ret_figures);
    vault_committer_counts(vault->committer, &ret_figures->commits, &ret_figures->commit_syncs);
}
