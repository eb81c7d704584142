/* The set of stores: opened, gone through, closed. */
#include "vault/stores_internal.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/open.h"
#include "vault/tenants.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kl_status vault_store_unavailable(struct kl_err *err)
{
    kl_err_retry(err, VAULT_STORES_RETRY_MS / 1000);
    return kl_fail(
        err, KL_ERR_UNAVAILABLE, "store_unavailable",
        "a store of this vault is away, and this may be its business: it is tried again every minute",
        NULL);
}

bool vault_store_name_valid(const char *name)
{
    return vault_tenant_name_valid(name); /* the same alphabet and length */
}

_Static_assert(VAULT_STORE_NAME_MAX_BYTES == VAULT_TENANT_NAME_MAX_BYTES, "one check for both");

/* ---- going through ---- */

struct vault *vault_stores_main(const struct vault_stores *stores)
{
    return stores->main;
}

size_t vault_stores_count(const struct vault_stores *stores)
{
    return atomic_load(&stores->count);
}

struct vault *vault_stores_at(const struct vault_stores *stores, size_t index,
                              const char **ret_name)
{
    const struct vault_store_entry *entry = stores->entries[index];

    if (ret_name != NULL) {
        *ret_name = entry->name;
    }
    return atomic_load(&entry->vault);
}

bool vault_stores_is_away(const struct vault_stores *stores, size_t index)
{
    return atomic_load(&stores->entries[index]->away);
}

bool vault_stores_any_away(const struct vault_stores *stores)
{
    size_t count = vault_stores_count(stores);
    size_t i;

    for (i = 0; i < count; i++) {
        if (vault_stores_is_away(stores, i)) {
            return true;
        }
    }
    return false;
}

struct vault_store_entry *vault_stores_find(const struct vault_stores *stores, const char *name)
{
    size_t count = vault_stores_count(stores);
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(stores->entries[i]->name, name) == 0) {
            return stores->entries[i];
        }
    }
    return NULL;
}

/* ---- opening ---- */

/* What was made is whole: in the trail first, then on the list. */
static enum kl_status settle(struct vault_stores *stores, struct vault_store_row *row,
                             const struct vault *vault, const struct vault_audit_who *who,
                             struct kl_err *err)
{
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    vault_act_begin(&act, KMS_TENANT_VAULT, who, "store_add");
    kl_json_add_text(&act.out, "store", row->name);
    kl_json_add_text(&act.out, "country", row->country.code);
    status = vault_act_commit(stores->main, acts, 1, NULL, err);
    vault_act_done(&act);
    if (status == KL_OK) {
        row->whole = true;
        memcpy(row->store_id, vault->store_id, sizeof row->store_id);
        status = vault_store_row_put(stores->main, row, err);
    }
    return status;
}

static enum kl_status check_identity(const struct vault_store_row *row, const struct vault *vault,
                                     struct kl_err *err)
{
    if (row->whole && sodium_memcmp(row->store_id, vault->store_id, KMS_STORE_ID_BYTES) != 0) {
        return kl_fail(err, KL_ERR_REFUSED, "store_other",
                       "another store lies in its directory: put back the one that belongs here",
                       NULL);
    }
    return KL_OK;
}

static enum kl_status open_at(struct vault_stores *stores, const struct vault_store_row *row,
                              const char *custodian, const void *passphrase,
                              size_t passphrase_bytes, struct vault **ret_vault, struct kl_err *err)
{
    struct vault_options options = stores->common;
    struct vault *vault = NULL;
    enum kl_status status = KL_OK;

    options.data_dir = row->directory;
    options.country = row->country.code;
    options.custodian = custodian;
    options.passphrase = passphrase;
    options.passphrase_bytes = passphrase_bytes;
    options.store = row->name;
    options.main = stores->main;
    status = vault_open(&options, &vault, err);
    if (status == KL_OK) {
        status = check_identity(row, vault, err);
    }
    if (status != KL_OK) {
        vault_close(vault);
        return status;
    }
    *ret_vault = vault;
    return KL_OK;
}

/* After a change of custodian that was cut short the root key lies in one of two places; the list still says so when this returns. */
enum kl_status vault_store_row_open(struct vault_stores *stores, struct vault_store_row *row,
                                    const void *passphrase, size_t passphrase_bytes,
                                    struct vault **ret_vault, struct kl_err *err)
{
    struct kl_err first = {0};
    enum kl_status status =
        open_at(stores, row, row->custodian, passphrase, passphrase_bytes, ret_vault, &first);

    if (status != KL_OK && row->next[0] != '\0' &&
        open_at(stores, row, row->next, passphrase, passphrase_bytes, ret_vault, NULL) == KL_OK) {
        memcpy(row->custodian, row->next, sizeof row->custodian);
        status = KL_OK;
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, first.code, first.client_text, "%s", first.log_text);
}

enum kl_status vault_store_entry_take(struct vault_stores *stores, struct vault_store_entry *entry,
                                      struct vault_store_row *row, struct vault *vault,
                                      const struct vault_audit_who *who, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (row->next[0] != '\0') {
        row->next[0] = '\0';
        status = vault_store_row_put(stores->main, row, err);
    }
    if (status == KL_OK && !row->whole) {
        status = settle(stores, row, vault, who, err);
    }
    if (status == KL_OK && stores->upkeep_runs) {
        status = vault_upkeep_start(vault, &stores->upkeep, err);
    }
    if (status != KL_OK) {
        vault_close(vault);
        return status;
    }
    vault_store_row_take(stores, entry, row);
    atomic_store(&entry->vault, vault);
    atomic_store(&entry->away, false); /* last: who sees neither would take it for none */
    return KL_OK;
}

enum kl_status vault_store_entry_open(struct vault_stores *stores, struct vault_store_entry *entry,
                                      const void *passphrase, size_t passphrase_bytes,
                                      const struct vault_audit_who *who, struct kl_err *err)
{
    struct vault_store_row row = entry->row;
    struct vault *vault = NULL;
    enum kl_status status =
        vault_store_row_open(stores, &row, passphrase, passphrase_bytes, &vault, err);

    return status == KL_OK ? vault_store_entry_take(stores, entry, &row, vault, who, err) : status;
}

void vault_store_entry_away(struct vault_stores *stores, struct vault_store_entry *entry,
                            const struct kl_err *why)
{
    bool is_news = false;

    (void)pthread_mutex_lock(&stores->lock);
    is_news = strcmp(entry->why.code, why->code) != 0;
    entry->why = *why;
    entry->tried_us = kl_time_now_us();
    (void)pthread_mutex_unlock(&stores->lock);
    atomic_store(&entry->away, true);
    if (is_news) {
        kl_log(KL_LOG_ERROR, "store_away", KL_LOG_TEXT("store", entry->name),
               KL_LOG_TEXT("code", why->code), KL_LOG_TEXT("text", why->client_text),
               KL_LOG_TEXT("log", why->log_text));
    }
}

void vault_store_row_take(struct vault_stores *stores, struct vault_store_entry *entry,
                          const struct vault_store_row *row)
{
    (void)pthread_mutex_lock(&stores->lock);
    entry->row = *row;
    (void)pthread_mutex_unlock(&stores->lock);
}

/* It was begun, and what makes a directory a store was never written. */
static bool was_cut_short(const struct vault_store_row *row)
{
    struct vault_stamp stamp;

    return !row->whole && vault_stamp_read(row->directory, &stamp, NULL) == KL_ERR_NOT_FOUND;
}

enum kl_status vault_store_secret_of(struct vault_stores *stores,
                                     const struct vault_store_entry *entry,
                                     const struct vault_store_row *row, struct kl_secret **ret,
                                     size_t *ret_bytes, struct kl_err *err)
{
    return stores->secret == NULL ? KL_OK
                                  : stores->secret(stores->secret_context, entry->name,
                                                   row->custodian, ret, ret_bytes, err);
}

static enum kl_status entry_open_with(struct vault_stores *stores, struct vault_store_entry *entry,
                                      struct kl_err *err)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    struct kl_secret *secret = NULL;
    size_t bytes = 0;
    enum kl_status status = vault_store_secret_of(stores, entry, &entry->row, &secret, &bytes, err);

    if (status == KL_OK) {
        status = vault_store_entry_open(
            stores, entry, secret == NULL ? NULL : kl_secret_peek(secret), bytes, &who, err);
    }
    kl_secret_free(secret);
    return status;
}

enum kl_status vault_store_entry_add(struct vault_stores *stores, const struct vault_store_row *row,
                                     struct vault_store_entry **ret, struct kl_err *err)
{
    size_t count = atomic_load(&stores->count);
    struct vault_store_entry *entry = NULL;

    if (count == VAULT_STORES_MAX) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "stores_too_many", "a vault has at most %d stores",
                        VAULT_STORES_MAX);
    }
    entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return kl_fail_memory(err);
    }
    memcpy(entry->name, row->name, sizeof entry->name);
    entry->row = *row;
    stores->entries[count] = entry;
    atomic_store(&stores->count, count + 1);
    *ret = entry;
    return KL_OK;
}

static void open_listed(struct vault_stores *stores, struct vault_store_entry *entry)
{
    struct kl_err why = {0};

    if (was_cut_short(&entry->row)) {
        kl_log(
            KL_LOG_WARNING, "store_cut_short", KL_LOG_TEXT("store", entry->name),
            KL_LOG_TEXT("data", entry->row.directory),
            KL_LOG_TEXT("advice",
                        "remove its directory and its root file, then kluis store add it again"));
        return;
    }
    if (entry_open_with(stores, entry, &why) != KL_OK) {
        vault_store_entry_away(stores, entry, &why);
    }
}

static void warn_of_twins(struct vault_stores *stores, const struct vault *vault)
{
    size_t i;
    size_t k;

    for (i = 0; i < vault->tenants.count; i++) {
        for (k = 0; k < vault_stores_count(stores); k++) {
            struct vault *other = vault_stores_at(stores, k, NULL);

            if (other != NULL && other != vault &&
                vault_tenants_find(other, vault->tenants.items[i]->name) != NULL) {
                kl_log(KL_LOG_ERROR, "tenant_twice",
                       KL_LOG_TEXT("tenant", vault->tenants.items[i]->name),
                       KL_LOG_TEXT("store", vault->name), KL_LOG_TEXT("other", other->name));
            }
        }
    }
}

static enum kl_status open_all(struct vault_stores *stores, struct kl_err *err)
{
    struct vault_store_row *rows = NULL;
    struct vault_store_row main_row = {.name = VAULT_STORE_MAIN, .whole = true};
    struct vault_store_entry *entry = NULL;
    size_t count = 0;
    size_t i;
    enum kl_status status = vault_store_rows_read(stores->main, &rows, &count, err);

    if (status == KL_OK) {
        status = vault_store_entry_add(stores, &main_row, &entry, err);
    }
    if (status == KL_OK) {
        atomic_store(&entry->vault, stores->main);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        status = vault_store_entry_add(stores, &rows[i], &entry, err);
        if (status == KL_OK) {
            open_listed(stores, entry);
        }
        if (status == KL_OK && atomic_load(&entry->vault) != NULL) {
            warn_of_twins(stores, atomic_load(&entry->vault));
        }
    }
    free(rows);
    return status;
}

/* main is not closed when this fails. */
enum kl_status vault_stores_wrap(struct vault *main, const struct vault_stores_options *options,
                                 struct vault_stores **ret_stores, struct kl_err *err)
{
    struct vault_stores *stores = calloc(1, sizeof *stores);
    enum kl_status status = KL_OK;

    if (stores == NULL || pthread_mutex_init(&stores->lock, NULL) != 0) {
        free(stores);
        return kl_fail_memory(err);
    }
    if (!vault_turn_init(&stores->turn)) {
        (void)pthread_mutex_destroy(&stores->lock);
        free(stores);
        return kl_fail_memory(err);
    }
    stores->main = main;
    stores->common = (struct vault_options){.accept_f0 = main->accept_f0,
                                            .argon2_light = main->argon2_light,
                                            .cache_bytes = options->main.cache_bytes,
                                            .reserve_bytes = options->main.reserve_bytes,
                                            .leftover_pin_file = options->main.leftover_pin_file};
    stores->secret = options->secret;
    stores->secret_context = options->secret_context;
    stores->retry_ms = options->retry_ms == 0 ? VAULT_STORES_RETRY_MS : options->retry_ms;
    randombytes_buf(stores->hint_key, sizeof stores->hint_key);
    status = open_all(stores, err);
    if (status != KL_OK) {
        stores->main = NULL;
        vault_stores_close(stores);
        return status;
    }
    *ret_stores = stores;
    return KL_OK;
}

enum kl_status vault_stores_open(const struct vault_stores_options *options,
                                 struct vault_stores **ret_stores, struct kl_err *err)
{
    struct vault *main = NULL;
    enum kl_status status = vault_open(&options->main, &main, err);

    if (status == KL_OK) {
        status = vault_stores_wrap(main, options, ret_stores, err);
    }
    if (status != KL_OK) {
        vault_close(main);
    }
    return status;
}

void vault_stores_close(struct vault_stores *stores)
{
    size_t i;

    if (stores == NULL) {
        return;
    }
    vault_stores_retry_stop(stores);
    for (i = 1; i < stores->count; i++) {
        vault_close(atomic_load(&stores->entries[i]->vault));
        free(stores->entries[i]);
    }
    vault_close(stores->main); /* last: the others use what is its own */
    free(stores->entries[0]);
    vault_turn_done(&stores->turn);
    (void)pthread_mutex_destroy(&stores->lock);
    sodium_memzero(stores, sizeof *stores);
    free(stores);
}

enum kl_status vault_stores_upkeep_start(struct vault_stores *stores,
                                         const struct vault_upkeep_options *options,
                                         struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    vault_turn_take(&stores->turn);
    for (i = 0; status == KL_OK && i < vault_stores_count(stores); i++) {
        struct vault *vault = vault_stores_at(stores, i, NULL);

        if (vault != NULL) {
            status = vault_upkeep_start(vault, options, err);
        }
    }
    stores->upkeep = *options;
    stores->upkeep_runs = status == KL_OK;
    vault_turn_give(&stores->turn);
    return status == KL_OK ? vault_stores_retry_start(stores, err) : status;
}

/* ---- the list ---- */

const char *vault_store_state_name(enum vault_store_state state)
{
    static const char *const names[] = {"open", "away", "cut_short"};

    return names[state];
}

static void describe_open(struct vault *vault, struct vault_store_result *ret)
{
    struct kms_state state;

    kms_state(vault->keys, &state);
    ret->state = VAULT_STORE_OPEN;
    ret->country = vault->country;
    ret->generation = state.generation;
    vault_space_figures(vault, &ret->space);
    (void)snprintf(ret->finality, sizeof ret->finality, "%s", kms_finality_name(state.finality));
    (void)snprintf(ret->directory, sizeof ret->directory, "%s", vault->data_dir);
    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    ret->tenants = vault->tenants.count;
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    if (vault->is_main) { /* where its root key lies is in the configuration */
        (void)snprintf(ret->custodian, sizeof ret->custodian, "%s", state.custodian_kind);
    }
}

void vault_store_describe(struct vault_stores *stores, const struct vault_store_entry *entry,
                          struct vault_store_result *ret)
{
    struct vault *vault = atomic_load(&entry->vault);

    memset(ret, 0, sizeof *ret);
    memcpy(ret->name, entry->name, sizeof ret->name);
    (void)pthread_mutex_lock(&stores->lock);
    memcpy(ret->directory, entry->row.directory, sizeof ret->directory);
    memcpy(ret->custodian, entry->row.custodian, sizeof ret->custodian);
    ret->country = entry->row.country;
    memcpy(ret->code, entry->why.code, sizeof ret->code);
    memcpy(ret->reason, entry->why.client_text, sizeof ret->reason);
    ret->tried_us = entry->tried_us;
    (void)pthread_mutex_unlock(&stores->lock);
    if (vault != NULL) {
        describe_open(vault, ret);
        ret->code[0] = '\0';
        ret->reason[0] = '\0';
        ret->tried_us = 0;
    } else if (atomic_load(&entry->away)) {
        ret->state = VAULT_STORE_AWAY;
    } else {
        ret->state = VAULT_STORE_CUT_SHORT;
        (void)snprintf(ret->code, sizeof ret->code, "store_cut_short");
        (void)snprintf(
            ret->reason, sizeof ret->reason,
            "it never was whole, and nobody is in it: remove its directory and its root file, then add it again");
    }
}

enum kl_status vault_stores_list(struct vault_stores *stores, struct vault *vault,
                                 const struct vault_caller *caller, struct kl_arena *arena,
                                 struct vault_store_result **ret, size_t *ret_count,
                                 struct kl_err *err)
{
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "store_list", err);
    struct vault_store_result *results = NULL;
    size_t count = vault_stores_count(stores);
    size_t i;

    if (status != KL_OK) {
        return status;
    }
    results = kl_arena_array(arena, count, sizeof *results);
    if (results == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < count; i++) {
        vault_store_describe(stores, stores->entries[i], &results[i]);
    }
    *ret = results;
    *ret_count = count;
    return KL_OK;
}
