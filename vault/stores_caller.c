/*
 * Who asks, and in which store.
 *
 * A token says nothing of its store, so it is looked for: first where it was found before, which a table of hints in memory says (a keyed hash of the
 * proof, one place each, no lock), then in every store, whichever has it, so that the time of a first use does not tell where. An
 * operator is main's, and acts in the store that it names, or that has the tenant it names.
 */
#include "vault/stores_internal.h"

#include "kluis/base/encode.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/tenants.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- hints: the upper 56 bits of the hash, and which store ---- */

#define STORE_BITS UINT64_C(0xff)

_Static_assert(VAULT_STORES_MAX <= STORE_BITS, "a hint says which store");

static uint64_t proof_hash(const struct vault_stores *stores, const struct vault_proof *proof)
{
    unsigned char hash[crypto_shorthash_BYTES];

    if (proof->token != NULL) {
        crypto_shorthash(hash, (const unsigned char *)proof->token, strlen(proof->token),
                         stores->hint_key);
    } else {
        crypto_shorthash(hash, proof->certificate_sha256, VAULT_CERTIFICATE_HASH_BYTES,
                         stores->hint_key);
    }
    return kl_get_u64be(hash);
}

static struct vault *hint_get(struct vault_stores *stores, uint64_t hash)
{
    uint64_t hint =
        atomic_load_explicit(&stores->hints[hash % VAULT_STORE_HINTS], memory_order_relaxed);
    size_t store = (size_t)(hint & STORE_BITS);

    if (hint == 0 || (hint & ~STORE_BITS) != (hash & ~STORE_BITS) ||
        store >= vault_stores_count(stores)) {
        return NULL;
    }
    return vault_stores_at(stores, store, NULL);
}

static void hint_put(struct vault_stores *stores, uint64_t hash, size_t store)
{
    atomic_store_explicit(&stores->hints[hash % VAULT_STORE_HINTS],
                          (hash & ~STORE_BITS) | (uint64_t)store, memory_order_relaxed);
}

/* ---- looking for a credential ---- */

struct found {
    struct vault *vault;
    struct vault_credential *credential;
    size_t store;
    size_t times;
    struct kl_err failure; /* of a store that could not say */
};

/* In every store that is open; except NULL: in all of them. */
static void look_everywhere(struct vault_stores *stores, const struct vault_proof *proof,
                            const struct vault *except, struct found *found)
{
    size_t count = vault_stores_count(stores);
    size_t i;

    for (i = 0; i < count; i++) {
        struct vault *vault = vault_stores_at(stores, i, NULL);
        struct vault_credential *credential = NULL;
        struct kl_err cause = {0};
        enum kl_status status = KL_ERR_NOT_FOUND;

        if (vault != NULL && vault != except) {
            status = vault_credential_find(vault, proof, &credential, &cause);
        }
        if (status == KL_OK && found->times++ == 0) {
            found->vault = vault;
            found->credential = credential;
            found->store = i;
            continue;
        }
        vault_credential_unref(credential);
        if (status != KL_OK && status != KL_ERR_NOT_FOUND && found->failure.status == KL_OK) {
            found->failure = cause;
        }
    }
}

/* None, or more than one. */
static enum kl_status not_found(struct vault_stores *stores, const struct found *found,
                                bool any_away, struct kl_err *err)
{
    const struct kl_err *failure = &found->failure;

    if (found->times > 1) {
        return vault_caller_unauthorised(stores->main, "in more than one store", err);
    }
    if (failure->status != KL_OK) {
        return kl_fail(err, failure->status, failure->code, failure->client_text, "%s",
                       failure->log_text);
    }
    return any_away ? vault_store_unavailable(err)
                    : vault_caller_unauthorised(stores->main, "unknown", err);
}

static enum kl_status credential_seek(struct vault_stores *stores, const struct vault_proof *proof,
                                      struct vault **ret_vault,
                                      struct vault_credential **ret_credential, struct kl_err *err)
{
    struct found found = {0};
    uint64_t hash = 0;
    struct vault *hinted = NULL;
    bool any_away = false;
    enum kl_status status = vault_proof_check(stores->main, proof, err);

    if (status != KL_OK) {
        return status;
    }
    hash = proof_hash(stores, proof);
    hinted = hint_get(stores, hash);
    if (hinted != NULL && vault_credential_find(hinted, proof, ret_credential, NULL) == KL_OK) {
        *ret_vault = hinted;
        return KL_OK;
    }
    any_away = vault_stores_any_away(
        stores); /* before: one that comes back is looked into, or counts as away */
    look_everywhere(stores, proof, NULL, &found);
    if (found.times == 1 && found.credential->builtin == VAULT_BUILTIN_OPERATOR &&
        found.vault != stores->main) {
        status = vault_caller_unauthorised(stores->main, "an operator of a store", err);
    } else if (found.times != 1) {
        status = not_found(stores, &found, any_away, err);
    }
    if (status != KL_OK) {
        vault_credential_unref(found.credential);
        return status;
    }
    hint_put(stores, hash, found.store);
    *ret_vault = found.vault;
    *ret_credential = found.credential;
    return KL_OK;
}

/* ---- where an operator acts ---- */

/* unknown: as what a name without a store counts. */
static enum kl_status store_named(struct vault_stores *stores, const char *name,
                                  enum kl_status unknown, struct vault **ret_vault,
                                  struct kl_err *err)
{
    const struct vault_store_entry *entry = vault_stores_find(stores, name);
    bool is_away = entry != NULL && atomic_load(&entry->away); /* before: it may come back */
    struct vault *vault = entry == NULL ? NULL : atomic_load(&entry->vault);

    if (entry == NULL || (vault == NULL && !is_away)) {
        return kl_fail(err, unknown, "unknown_store",
                       "there is no such store: kluis store list shows them", NULL);
    }
    if (vault == NULL) {
        return vault_store_unavailable(err);
    }
    *ret_vault = vault;
    return KL_OK;
}

/* The store that has a tenant of that name; NULL: none that is open. */
static struct vault *store_of_tenant(struct vault_stores *stores, const char *name)
{
    size_t count = vault_stores_count(stores);
    size_t i;

    for (i = 0; i < count; i++) {
        struct vault *vault = vault_stores_at(stores, i, NULL);

        if (vault != NULL && vault_tenants_find(vault, name) != NULL) {
            return vault;
        }
    }
    return NULL;
}

static enum kl_status operator_place(struct vault_stores *stores, const struct vault_scope *scope,
                                     struct vault **ret_vault, struct kl_err *err)
{
    struct vault *vault = stores->main;
    bool any_away = vault_stores_any_away(stores); /* before it is looked for */
    enum kl_status status = KL_OK;

    if (scope->store != NULL) {
        status = store_named(stores, scope->store, KL_ERR_NOT_FOUND, &vault, err);
    } else if (scope->tenant != NULL && vault_tenant_name_valid(scope->tenant)) {
        vault = store_of_tenant(stores, scope->tenant);
        if (vault == NULL && any_away) {
            status = vault_store_unavailable(err);
        } else if (vault == NULL) {
            status =
                kl_fail(err, KL_ERR_NOT_FOUND, "unknown_tenant", "there is no such tenant", NULL);
        }
    } /* else vault_caller_of() says what is wrong with the name */
    if (status == KL_OK) {
        *ret_vault = vault;
    }
    return status;
}

static enum kl_status place_choose(struct vault_stores *stores,
                                   const struct vault_credential *credential, struct vault *home,
                                   const struct vault_scope *scope, struct vault **ret_vault,
                                   struct kl_err *err)
{
    if (scope->store != NULL && !vault_store_name_valid(scope->store)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_store", "this is not a store's name", NULL);
    }
    if (credential->builtin == VAULT_BUILTIN_OPERATOR) {
        return operator_place(stores, scope, ret_vault, err);
    }
    if (scope->store != NULL && strcmp(scope->store, home->name) != 0) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "store_forbidden",
                       "only an operator may name another store", NULL);
    }
    *ret_vault = home;
    return KL_OK;
}

enum kl_status vault_stores_caller_open(struct vault_stores *stores,
                                        const struct vault_proof *proof,
                                        const struct vault_scope *scope, const char *request_id,
                                        struct vault_caller *ret_caller, struct vault **ret_vault,
                                        struct kl_err *err)
{
    struct vault_credential *credential = NULL;
    struct vault *home = NULL;
    struct vault *vault = NULL;
    int64_t now_us = kl_time_now_us();
    enum kl_status status = credential_seek(stores, proof, &home, &credential, err);

    if (status == KL_OK) {
        status = vault_credential_holds(home, credential, now_us, request_id, err);
    }
    if (status == KL_OK) {
        status = place_choose(stores, credential, home, scope, &vault, err);
    }
    if (status == KL_OK) {
        status = vault_caller_of(vault, credential, scope->tenant, scope->closed_too, request_id,
                                 now_us, ret_caller, err);
    }
    if (status == KL_OK) {
        *ret_vault = vault;
    }
    vault_credential_unref(credential);
    return status;
}

/* ---- tenants ---- */

static bool is_operator(const struct vault_caller *caller)
{
    return caller->builtin == VAULT_BUILTIN_OPERATOR;
}

enum kl_status vault_stores_tenant(struct vault_stores *stores, struct vault *vault,
                                   const struct vault_caller *caller, const char *name,
                                   struct vault **ret_vault, struct kl_err *err)
{
    bool any_away = vault_stores_any_away(stores); /* before it is looked for */
    struct vault *found = is_operator(caller) ? store_of_tenant(stores, name) : vault;

    if (found == NULL) {
        return any_away
                   ? vault_store_unavailable(err)
                   : kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such tenant", NULL);
    }
    *ret_vault = found;
    return KL_OK;
}

/* Data is for the EEA unless somebody says otherwise. */
static struct vault *store_by_default(struct vault_stores *stores)
{
    size_t count = vault_stores_count(stores);
    size_t i;

    for (i = 0; i < count; i++) {
        struct vault *vault = vault_stores_at(stores, i, NULL);

        if (vault != NULL && vault_country_in_eea(vault->country)) {
            return vault;
        }
    }
    return stores->main;
}

/* Where a tenant is, or is to be. The turn is held. */
static enum kl_status tenant_place(struct vault_stores *stores, const char *name, const char *store,
                                   struct vault **ret_vault, struct kl_err *err)
{
    struct vault *vault = store_of_tenant(stores, name);
    enum kl_status status = KL_OK;

    if (vault != NULL && store != NULL && strcmp(store, vault->name) != 0) {
        kl_err_where(err, "/store");
        return kl_failf(err, KL_ERR_CONFLICT, "tenant_elsewhere",
                        "this tenant lies in the store %s, and a tenant stays in its store",
                        vault->name);
    }
    if (vault == NULL && vault_stores_any_away(stores)) {
        return vault_store_unavailable(err); /* it may have a tenant of that name */
    }
    if (vault == NULL && store != NULL) {
        status = store_named(stores, store, KL_ERR_INVALID, &vault, err);
        if (status != KL_OK) {
            kl_err_where(err, "/store");
        }
    } else if (vault == NULL) {
        vault = store_by_default(stores);
    }
    if (status == KL_OK) {
        *ret_vault = vault;
    }
    return status;
}

enum kl_status vault_stores_tenant_put(struct vault_stores *stores, struct vault *vault,
                                       const struct vault_caller *caller, const char *name,
                                       const char *store, const char *grace, bool *ret_created,
                                       struct vault **ret_vault, struct kl_err *err)
{
    struct vault *place = vault;
    enum kl_status status = KL_OK;

    vault_turn_take(&stores->turn);
    if (is_operator(caller) && vault_tenant_name_valid(name)) {
        status = tenant_place(stores, name, store, &place, err);
    }
    if (status == KL_OK) {
        status = vault_tenant_put(place, caller, name, NULL, grace, ret_created, err);
    }
    vault_turn_give(&stores->turn);
    if (status == KL_OK) {
        *ret_vault = place;
    }
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct vault_tenant_result *)a)->name,
                  ((const struct vault_tenant_result *)b)->name);
}

enum kl_status vault_stores_tenant_list(struct vault_stores *stores, struct vault *vault,
                                        const struct vault_caller *caller, struct kl_arena *arena,
                                        struct vault_tenant_result **ret, size_t *ret_count,
                                        struct kl_err *err)
{
    struct vault_tenant_result *parts[VAULT_STORES_MAX] = {NULL};
    size_t counts[VAULT_STORES_MAX] = {0};
    struct vault_tenant_result *all = NULL;
    size_t stores_count = vault_stores_count(stores);
    size_t total = 0;
    size_t i;
    enum kl_status status = KL_OK;

    if (!is_operator(caller)) {
        return vault_tenant_list(vault, caller, arena, ret, ret_count, err);
    }
    for (i = 0; status == KL_OK && i < stores_count; i++) {
        struct vault *one = vault_stores_at(stores, i, NULL);

        if (one != NULL) {
            status = vault_tenant_list(one, caller, arena, &parts[i], &counts[i], err);
        }
        total += counts[i];
    }
    if (status != KL_OK) {
        return status;
    }
    all = kl_arena_array(arena, total, sizeof *all);
    if (all == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0, total = 0; i < stores_count; i++) {
        if (counts[i] > 0) {
            memcpy(all + total, parts[i], counts[i] * sizeof *all);
        }
        total += counts[i];
    }
    qsort(all, total, sizeof *all, by_name);
    *ret = all;
    *ret_count = total;
    return KL_OK;
}

/* ---- credentials ---- */

/* Operators are main's: one who makes another acts there, whatever it named. ret_caller is a copy without a reference of its own. */
static struct vault *at_home(struct vault_stores *stores, struct vault *vault,
                             const struct vault_caller *caller, struct vault_caller *ret_caller)
{
    *ret_caller = *caller;
    if (!is_operator(caller) || vault == stores->main) {
        return vault;
    }
    ret_caller->tenant = UINT64_MAX;
    ret_caller->tenant_name[0] = '\0';
    ret_caller->policy = NULL;
    ret_caller->policy_number = 0;
    return stores->main;
}

/* That no other store knows the certificate. The turn is held. */
static enum kl_status certificate_check(struct vault_stores *stores, const struct vault *vault,
                                        const char *hex, struct kl_err *err)
{
    unsigned char hash[VAULT_CERTIFICATE_HASH_BYTES];
    const struct vault_proof proof = {.certificate_sha256 = hash};
    struct found found = {0};

    if (vault_stores_any_away(stores)) {
        return vault_store_unavailable(err);
    }
    if (!kl_hex_decode(hex, strlen(hex), hash, sizeof hash)) {
        return KL_OK; /* vault_credential_create() says it */
    }
    look_everywhere(stores, &proof, vault, &found);
    vault_credential_unref(found.credential);
    if (found.times > 0) {
        kl_err_where(err, "/certificate_sha256");
        return kl_fail(err, KL_ERR_CONFLICT, "certificate_in_use",
                       "this certificate has a credential already", NULL);
    }
    return found.failure.status == KL_OK
               ? KL_OK
               : kl_fail(err, found.failure.status, found.failure.code, found.failure.client_text,
                         "%s", found.failure.log_text);
}

/* A certificate that is known elsewhere is something to learn: who asked is in the trail. */
static enum kl_status certificate_refused(struct vault *vault, const struct vault_caller *caller,
                                          const struct kl_err *cause, struct kl_err *err)
{
    kl_err_where(err, "%s", cause->where);
    return cause->status == KL_ERR_CONFLICT
               ? vault_act_refused(vault, caller, "credential_create", cause, err)
               : kl_fail(err, cause->status, cause->code, cause->client_text, "%s",
                         cause->log_text);
}

enum kl_status vault_stores_credential_create(
    struct vault_stores *stores, struct vault *vault, const struct vault_caller *caller,
    const struct vault_credential_input *input, const struct vault_idempotency *idempotency,
    struct vault_token *ret_token, struct vault_credential_result *ret, struct kl_err *err)
{
    struct vault_caller home;
    bool of_operator =
        input->role != NULL && vault_builtin_find(input->role) == VAULT_BUILTIN_OPERATOR;
    struct vault *place = of_operator ? at_home(stores, vault, caller, &home) : vault;
    const struct vault_caller *maker = NULL;
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    if (input->certificate_sha256 == NULL || vault_stores_count(stores) == 1) {
        return vault_credential_create(place, of_operator ? &home : caller, input, idempotency,
                                       ret_token, ret, err);
    }
    maker = of_operator ? &home : caller;
    status = vault_credential_may_make(place, maker, input->role, err);
    if (status != KL_OK) {
        return status;
    }
    vault_turn_take(&stores->turn);
    status = certificate_check(stores, place, input->certificate_sha256, &cause);
    if (status == KL_OK) {
        status = vault_credential_create(place, maker, input, idempotency, ret_token, ret, err);
    } else {
        status = certificate_refused(place, maker, &cause, err);
    }
    vault_turn_give(&stores->turn);
    return status;
}
