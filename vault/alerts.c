#include "vault/alerts.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/policy_internal.h"
#include "vault/tenants.h"
#include "vault/webhook_internal.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 4
#define SETS (VAULT_ALERTS_PLACES / WAYS)
#define RATES 2 /* volume and refusals */
#define HOUR_US (3600 * KL_TIME_SECOND_US)
#define TYPE_BYTES 32

_Static_assert(VAULT_ALERT_VOLUME < RATES && VAULT_ALERT_REFUSALS < RATES, "kinds with a rate");

/*
 * key: the first bytes of the credential's id, which are random; 0: free. full_us: when a bucket is full again, in the past when it is.
 * over: what came since told_us, which is when the last was told (of the wall's clock); 0: nothing was in this window. What stands below is set before key and read
 * under the lock.
 */
struct place {
    atomic_uint_fast64_t key;
    atomic_int_fast64_t full_us[RATES];
    atomic_uint_fast64_t over[VAULT_ALERTS];
    atomic_int_fast64_t told_us[VAULT_ALERTS];
    uint64_t trail;
    struct kl_id credential;
    char role[VAULT_NAME_MAX_BYTES + 1];
};

struct vault_alerts {
    pthread_mutex_t lock; /* whose a place is */
    atomic_uint_fast64_t raised[VAULT_ALERTS];
    struct place places[SETS][WAYS];
};

const char *vault_alert_name(enum vault_alert alert)
{
    static const char *const names[VAULT_ALERTS] = {"volume", "refusals", "hours"};

    assert((unsigned)alert < VAULT_ALERTS);
    return names[alert];
}

struct vault_alerts *vault_alerts_new(void)
{
    struct vault_alerts *alerts = calloc(1, sizeof *alerts);

    if (alerts != NULL && pthread_mutex_init(&alerts->lock, NULL) != 0) {
        free(alerts);
        alerts = NULL;
    }
    return alerts;
}

void vault_alerts_free(struct vault_alerts *alerts)
{
    if (alerts != NULL) {
        (void)pthread_mutex_destroy(&alerts->lock);
        free(alerts);
    }
}

uint64_t vault_alerts_raised(const struct vault_alerts *alerts, enum vault_alert alert)
{
    return atomic_load_explicit(&alerts->raised[alert], memory_order_relaxed);
}

/* ---- places ---- */

static uint64_t key_of(const struct vault_caller *caller)
{
    const uint64_t key = kl_get_u64be(caller->credential.bytes);

    return key == 0 ? 1 : key;
}

static struct place *find(struct vault_alerts *alerts, uint64_t key)
{
    struct place *set = alerts->places[key % SETS];

    for (size_t i = 0; i < WAYS; i++) {
        if (atomic_load_explicit(&set[i].key, memory_order_acquire) == key) {
            return &set[i];
        }
    }
    return NULL;
}

/* How much would be forgotten with a place: nothing, a bucket that is not full, or an alert. Then the older goes. */
static int64_t worth(struct place *place)
{
    int64_t newest = 0;

    if (atomic_load(&place->key) == 0) {
        return -1;
    }
    for (size_t i = 0; i < RATES; i++) {
        const int64_t full_us = atomic_load(&place->full_us[i]);
        newest = full_us > newest ? full_us : newest;
    }
    for (size_t i = 0; i < VAULT_ALERTS; i++) {
        newest += atomic_load(&place->told_us[i]) == 0 ? 0 : INT64_MAX / 4;
    }
    return newest;
}

/* A thread that found the place a moment ago may still count there: that is one count too many, of somebody else. */
static void take_place(struct place *place, uint64_t key, const struct vault_caller *caller)
{
    atomic_store(&place->key, 0);
    for (size_t i = 0; i < RATES; i++) {
        atomic_store(&place->full_us[i], 0);
    }
    for (size_t i = 0; i < VAULT_ALERTS; i++) {
        atomic_store(&place->over[i], 0);
        atomic_store(&place->told_us[i], 0);
    }
    place->trail = vault_act_trail(caller);
    place->credential = caller->credential;
    memcpy(place->role, caller->role_name, sizeof place->role);
    atomic_store_explicit(&place->key, key, memory_order_release);
}

static struct place *place_of(struct vault_alerts *alerts, const struct vault_caller *caller)
{
    const uint64_t key = key_of(caller);
    struct place *place = find(alerts, key);
    struct place *set = alerts->places[key % SETS];

    if (place != NULL) {
        return place;
    }
    pthread_mutex_lock(&alerts->lock);
    place = find(alerts, key);
    if (place == NULL) {
        place = &set[0];
        for (size_t i = 1; i < WAYS; i++) {
            place = worth(&set[i]) < worth(place) ? &set[i] : place;
        }
        take_place(place, key, caller);
    }
    pthread_mutex_unlock(&alerts->lock);
    return place;
}

/* ---- a bucket ---- */

/*
 * Take count from a bucket, as far as it goes; returns what it did not have. One number is the whole of it (the generic cell rate algorithm,
 * ITU-T I.371): each piece puts off the moment when the bucket is full again.
 */
static uint64_t bucket_take(atomic_int_fast64_t *full_us, struct policy_rate rate, uint64_t count,
                            int64_t now_us)
{
    const int64_t piece_us = HOUR_US / rate.per_hour;
    const int64_t whole_us = piece_us * rate.bulk;
    int_fast64_t was = atomic_load_explicit(full_us, memory_order_relaxed);
    int64_t next = 0;
    uint64_t fits = 0;

    do {
        const int64_t from_us = was > now_us ? was : now_us;
        const int64_t room_us = now_us + whole_us - from_us;

        fits = room_us <= 0 ? 0 : (uint64_t)(room_us / piece_us);
        fits = fits < count ? fits : count;
        next = from_us + (int64_t)fits * piece_us;
    } while (!atomic_compare_exchange_weak_explicit(full_us, &was, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return count - fits;
}

/* ---- telling ---- */

/* One alert: of a place as it was under the lock. */
struct telling {
    enum vault_alert alert;
    uint64_t trail;
    struct kl_id credential;
    char role[VAULT_NAME_MAX_BYTES + 1];
    char request_id[VAULT_REQUEST_ID_MAX_BYTES + 1];
    uint64_t count;
    bool repeated;
    int64_t at_us;
    const struct policy_alerts
        *limits; /* NULL for one that is repeated: the policy may be another by now */
    uint32_t window_s;
};

/* What an entry and an event say alike. */
static void describe(const struct telling *telling, struct kl_json_out *out)
{
    const struct policy_alerts *limits = telling->limits;
    char id[KL_ID_TEXT_BYTES];

    kl_json_add_text(out, "alert", vault_alert_name(telling->alert));
    kl_id_format(VAULT_CREDENTIAL_PREFIX, &telling->credential, id);
    kl_json_add_text(out, "alerted", id);
    kl_json_add_text(out, "alerted_role", telling->role);
    kl_json_add_int(out, "count", (int64_t)telling->count);
    kl_json_add_bool(out, "repeated", telling->repeated);
    if (limits != NULL && telling->alert == VAULT_ALERT_HOURS) {
        kl_json_add_text(out, "hours", limits->hours_text);
        kl_json_add_text(out, "days", limits->weekdays ? "weekdays" : "all");
    } else if (limits != NULL) {
        const struct policy_rate *rate =
            telling->alert == VAULT_ALERT_VOLUME ? &limits->volume : &limits->refusals;

        kl_json_add_int(out, "bulk", rate->bulk);
        kl_json_add_int(out, "per_hour", rate->per_hour);
    }
    kl_json_add_int(out, "window_s", telling->window_s);
}

static enum kl_status event_put(struct vault *vault, const struct telling *telling,
                                const struct kl_id *entry, struct vault_batch *batch,
                                struct vault_webhook_put *ret_put, struct kl_err *err)
{
    char type[TYPE_BYTES];
    char id[KL_ID_TEXT_BYTES];
    struct vault_webhook_said said = {
        .id = kl_id_new(), .kind = VAULT_WEBHOOK_ALERTS, .type = type, .at_us = telling->at_us};
    enum kl_status status = KL_OK;
    struct kl_buf data;
    struct kl_json_out out = kl_json_out(&data);

    (void)snprintf(type, sizeof type, "kluis.alert.%s", vault_alert_name(telling->alert));
    kl_buf_init(&data, VAULT_WEBHOOK_DATA_MAX_BYTES);
    kl_json_object_begin(&out);
    describe(telling, &out);
    kl_id_format("aud", entry, id);
    kl_json_add_text(&out, "entry", id);
    kl_json_object_end(&out);
    status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        said.data = kl_buf_slice(&data);
        status = vault_webhook_put(vault, telling->trail, NULL, &said, batch, ret_put, err);
    }
    kl_buf_done(&data);
    return status;
}

/* Entry and events in one commit. */
static enum kl_status tell(struct vault *vault, const struct telling *telling, struct kl_err *err)
{
    const struct vault_audit_who who = {
        .role = "vault",
        .request_id = telling->request_id[0] == '\0' ? NULL : telling->request_id,
        .at_us = telling->at_us};
    struct vault_webhook_put put = {.count = 0};
    struct vault_batch *batch = vault_batch_new();
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    vault_act_begin(&act, telling->trail, &who, "alert");
    describe(telling, &act.out);
    status = event_put(vault, telling, &act.entry.id, batch, &put, err);
    if (status == KL_OK) {
        vault_webhook_put_say(&put, &act.out);
        status = vault_act_commit(vault, acts, 1, batch, err);
        vault_webhook_put_end(vault, &put, status == KL_OK);
    }
    vault_act_done(&act);
    vault_batch_free(batch);
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->alerts->raised[telling->alert], 1, memory_order_relaxed);
    }
    return status;
}

/* Under the lock. False: the place is somebody else's by now. */
static bool telling_of(struct place *place, uint64_t key, enum vault_alert alert,
                       struct telling *ret)
{
    if (atomic_load(&place->key) != key) {
        return false;
    }
    ret->alert = alert;
    ret->trail = place->trail;
    ret->credential = place->credential;
    memcpy(ret->role, place->role, sizeof ret->role);
    ret->count = atomic_exchange(&place->over[alert], 0);
    return true;
}

/* Something came that is to be told of; the first of a window tells it. */
static void over(struct vault *vault, struct place *place, enum vault_alert alert, uint64_t count,
                 const struct vault_caller *caller, const struct policy_alerts *limits)
{
    struct telling telling = {.at_us = caller->now_us,
                              .limits = limits,
                              .window_s = vault_policy_alert_window_s(caller->policy)};
    struct kl_err err = {0};
    int_fast64_t untold = 0;
    bool told = false;

    atomic_fetch_add_explicit(&place->over[alert], count, memory_order_relaxed);
    if (!atomic_compare_exchange_strong(&place->told_us[alert], &untold, caller->now_us)) {
        return;
    }
    (void)snprintf(telling.request_id, sizeof telling.request_id, "%s", caller->request_id);
    pthread_mutex_lock(&vault->alerts->lock);
    told = telling_of(place, key_of(caller), alert, &telling);
    pthread_mutex_unlock(&vault->alerts->lock);
    if (told && tell(vault, &telling, &err) != KL_OK) {
        kl_log_err(KL_LOG_ERROR, "alert_not_told", &err);
        atomic_fetch_add(&place->over[alert], telling.count);
        atomic_store(&place->told_us[alert], 0);
    }
}

/* ---- seeing ---- */

static void see(struct vault *vault, const struct vault_caller *caller, uint64_t shown,
                uint64_t refused)
{
    const struct policy_alerts *limits = vault_policy_alerts(caller->policy, caller->role);
    const int64_t now_us = kl_time_monotonic_us();
    struct place *place = place_of(vault->alerts, caller);
    uint64_t beyond = 0;

    if (shown > 0 && limits->volume.bulk > 0) {
        beyond = bucket_take(&place->full_us[VAULT_ALERT_VOLUME], limits->volume, shown, now_us);
        if (beyond > 0) {
            over(vault, place, VAULT_ALERT_VOLUME, beyond, caller, limits);
        }
    }
    if (refused > 0 && limits->refusals.bulk > 0) {
        beyond =
            bucket_take(&place->full_us[VAULT_ALERT_REFUSALS], limits->refusals, refused, now_us);
        if (beyond > 0) {
            over(vault, place, VAULT_ALERT_REFUSALS, beyond, caller, limits);
        }
    }
    if (shown > 0 && limits->hours_text != NULL &&
        (!vault_hours_hold(&limits->hours, caller->now_us) ||
         (limits->weekdays && vault_hours_weekend(&limits->hours, caller->now_us)))) {
        over(vault, place, VAULT_ALERT_HOURS, shown, caller, limits);
    }
}

void vault_alerts_see(struct vault *vault, struct vault_audit_entry *const *entries, size_t count)
{
    const struct vault_caller *caller = NULL;
    uint64_t counts[VAULT_AUDIT_MEANS_REFUSED + 1] = {0};

    for (size_t i = 0; i < count; i++) {
        if (entries[i]->caller != NULL) {
            assert(caller == NULL || caller == entries[i]->caller);
            caller = entries[i]->caller;
            counts[entries[i]->meaning]++;
        }
    }
    if (caller != NULL) {
        see(vault, caller, counts[VAULT_AUDIT_MEANS_SHOWN], counts[VAULT_AUDIT_MEANS_REFUSED]);
    }
}

/* ---- windows ---- */

/* Of the tenant's policy as it is now; of a trail without one the default. */
static int64_t window_us(struct vault *vault, uint64_t trail, uint32_t *ret_s)
{
    const struct vault_tenant *tenant =
        trail == KMS_TENANT_VAULT ? NULL : vault_tenants_by_number(vault, trail);
    uint64_t number = 0;
    struct vault_policy *policy =
        tenant == NULL ? NULL : vault_tenant_policy(vault, tenant, &number);

    *ret_s = vault_policy_alert_window_s(policy);
    vault_policy_unref(policy);
    return *ret_s * KL_TIME_SECOND_US;
}

static enum kl_status window_end(struct vault *vault, struct place *place, enum vault_alert alert,
                                 int64_t now_us, struct kl_err *err)
{
    struct telling telling = {.at_us = now_us, .repeated = true};
    const int64_t told_us = atomic_load(&place->told_us[alert]);
    enum kl_status status = KL_OK;
    uint64_t trail = 0;

    if (told_us == 0) {
        return KL_OK;
    }
    pthread_mutex_lock(&vault->alerts->lock);
    trail = place->trail;
    pthread_mutex_unlock(&vault->alerts->lock);
    if (now_us - told_us < window_us(vault, trail, &telling.window_s)) {
        return KL_OK;
    }
    pthread_mutex_lock(&vault->alerts->lock);
    (void)telling_of(place, atomic_load(&place->key), alert, &telling);
    atomic_store(&place->told_us[alert], telling.count > 0 ? now_us : 0);
    pthread_mutex_unlock(&vault->alerts->lock);
    status = telling.count > 0 ? tell(vault, &telling, err) : KL_OK;
    if (status == KL_ERR_NOT_FOUND) { /* its tenant is gone */
        kl_err_clear(err);
        status = KL_OK;
    }
    return status;
}

enum kl_status vault_alerts_task(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    for (size_t i = 0; status == KL_OK && i < VAULT_ALERTS_PLACES; i++) {
        struct place *place = &vault->alerts->places[i / WAYS][i % WAYS];

        for (int alert = 0;
             status == KL_OK && atomic_load(&place->key) != 0 && alert < VAULT_ALERTS; alert++) {
            status = window_end(vault, place, (enum vault_alert)alert, now_us, err);
        }
    }
    return status;
}
