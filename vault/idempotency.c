#include "vault/idempotency.h"

#include "vault/rows.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define CONTEXT "idempotency"
#define ROW_MAX_BYTES (VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES + 256)

struct vault_idempotency_guard {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    struct vault_idempotency_ticket *held; /* under lock */
};

struct vault_idempotency_guard *vault_idempotency_guard_new(void)
{
    struct vault_idempotency_guard *guard = calloc(1, sizeof *guard);

    if (guard == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&guard->lock, NULL) != 0) {
        free(guard);
        return NULL;
    }
    if (pthread_cond_init(&guard->ended, NULL) != 0) {
        pthread_mutex_destroy(&guard->lock);
        free(guard);
        return NULL;
    }
    return guard;
}

void vault_idempotency_guard_free(struct vault_idempotency_guard *guard)
{
    if (guard != NULL) {
        pthread_cond_destroy(&guard->ended);
        pthread_mutex_destroy(&guard->lock);
        free(guard);
    }
}

/* ---- turns ---- */

static bool is_held(const struct vault_idempotency_guard *guard,
                    const struct vault_idempotency_ticket *ticket)
{
    const struct vault_idempotency_ticket *other = guard->held;

    while (other != NULL &&
           (other->mark.tenant != ticket->mark.tenant ||
            sodium_memcmp(other->mark.mac, ticket->mark.mac, sizeof other->mark.mac) != 0)) {
        other = other->next;
    }
    return other != NULL;
}

static void turn_take(struct vault_idempotency_guard *guard,
                      struct vault_idempotency_ticket *ticket)
{
    pthread_mutex_lock(&guard->lock);
    while (is_held(guard, ticket)) {
        pthread_cond_wait(&guard->ended, &guard->lock);
    }
    ticket->next = guard->held;
    guard->held = ticket;
    ticket->held = true;
    pthread_mutex_unlock(&guard->lock);
}

void vault_idempotency_end(struct vault *vault, struct vault_idempotency_ticket *ticket)
{
    struct vault_idempotency_guard *guard = vault->idempotency;
    struct vault_idempotency_ticket **at = NULL;

    if (ticket->held) {
        pthread_mutex_lock(&guard->lock);
        for (at = &guard->held; *at != ticket; at = &(*at)->next) {
        }
        *at = ticket->next;
        ticket->held = false;
        pthread_cond_broadcast(&guard->ended);
        pthread_mutex_unlock(&guard->lock);
    }
    sodium_memzero(ticket->mark.fingerprint, sizeof ticket->mark.fingerprint);
}

/* ---- rows ---- */

static bool key_valid(const char *key)
{
    size_t size = strnlen(key, VAULT_IDEMPOTENCY_KEY_MAX_BYTES + 1);
    size_t i;

    for (i = 0; i < size; i++) {
        if (key[i] < '!' || key[i] > '~') {
            return false;
        }
    }
    return size >= 1 && size <= VAULT_IDEMPOTENCY_KEY_MAX_BYTES;
}

/* The row's address, and the fingerprint keyed, so that what is stored can be compared with nothing else. */
static enum kl_status ticket_fill(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_idempotency *idempotency,
                                  struct vault_idempotency_ticket *ticket, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = {.slot = VAULT_SLOT_MAC, .value = KMS_VALUE_NONE};
    unsigned char mac[KMS_MAC_BYTES];
    struct kl_buf data;

    kl_buf_init(&data, 512);
    ticket->mark.tenant =
        caller->tenant == UINT64_MAX ? (uint64_t)KMS_TENANT_VAULT : caller->tenant;
    place.tenant = ticket->mark.tenant;
    kl_buf_add(&data, caller->credential.bytes, KL_ID_BYTES);
    kl_buf_add_sized(&data, idempotency->key, strlen(idempotency->key));
    status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        status = kms_mac(vault->keys, &place, "idempotency-key", kl_buf_slice(&data), mac, err);
    }
    if (status == KL_OK) {
        memcpy(ticket->mark.mac, mac, sizeof ticket->mark.mac);
        kl_buf_add(&data, idempotency->fingerprint, sizeof idempotency->fingerprint);
        status = kms_mac(vault->keys, &place, "idempotency-fingerprint", kl_buf_slice(&data),
                         ticket->mark.fingerprint, err);
    }
    kl_buf_done(&data);
    return status;
}

/* The row's sealed part, opened. KL_ERR_NOT_FOUND: no row, or its day is over. */
static enum kl_status row_open(struct vault *vault, const struct vault_caller *caller,
                               const struct vault_idempotency_ticket *ticket,
                               struct kl_buf *ret_plain, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_idempotency(ticket->mark.tenant, ticket->mark.mac);
    struct kms_place place = {.tenant = ticket->mark.tenant};
    struct kl_slice sealed;
    struct kl_reader in;
    struct kl_buf row;
    int64_t expires_us = 0;
    bool known = false;

    kl_buf_init(&row, ROW_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status != KL_OK) {
        goto out;
    }
    in = kl_reader_of(kl_buf_slice(&row));
    known = kl_read_byte(&in) == FORMAT;
    expires_us = (int64_t)kl_read_u64be(&in);
    place.slot = kl_read_u64be(&in);
    place.value = kl_read_u64be(&in);
    sealed = kl_read_sized(&in);
    if (!known || !kl_reader_done(&in)) {
        status = kl_fail(err, KL_ERR_CORRUPT, "idempotency_damaged",
                         "a stored answer cannot be read", NULL);
    } else if (expires_us <= caller->now_us) {
        status = KL_ERR_NOT_FOUND;
    } else {
        status = kms_unseal(vault->keys, &place, kl_slice_text(CONTEXT), sealed, ret_plain, err);
    }

out:
    kl_buf_done(&row);
    return status;
}

static enum kl_status answer_find(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_idempotency_ticket *ticket,
                                  struct kl_buf *ret_answer, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf plain;

    kl_buf_init(&plain, ROW_MAX_BYTES);
    status = row_open(vault, caller, ticket, &plain, err);
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = KL_OK;
    } else if (status == KL_ERR_GONE || (status == KL_ERR_CORRUPT && err != NULL &&
                                         strcmp(err->code, "unseal_failed") == 0)) {
        /* Erased; or its subject was sealed anew (values.h), and the answer with it: it must not be done twice either. */
        kl_err_clear(err);
        status = kl_fail(err, KL_ERR_GONE, "idempotent_result_erased",
                         "what this request made has been erased since, or its answer was", NULL);
    } else if (status == KL_OK) {
        if (plain.size < sizeof ticket->mark.fingerprint ||
            sodium_memcmp(plain.bytes, ticket->mark.fingerprint, sizeof ticket->mark.fingerprint) !=
                0) {
            status =
                kl_fail(err, KL_ERR_INVALID, "idempotency_key_reused",
                        "this Idempotency-Key was used for another request; take a new one", NULL);
        } else {
            kl_buf_add(ret_answer, plain.bytes + sizeof ticket->mark.fingerprint,
                       plain.size - sizeof ticket->mark.fingerprint);
            status = kl_buf_status(ret_answer, err);
        }
    }
    kl_buf_done(&plain);
    return status;
}

enum kl_status vault_idempotency_begin(struct vault *vault, const struct vault_caller *caller,
                                       const struct vault_idempotency *idempotency,
                                       struct vault_idempotency_ticket *ticket,
                                       struct kl_buf *ret_answer, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (idempotency == NULL || idempotency->key == NULL) {
        return KL_OK;
    }
    if (!key_valid(idempotency->key)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_idempotency_key",
                       "an Idempotency-Key is 1 to 255 visible ASCII characters without spaces",
                       NULL);
    }
    status = ticket_fill(vault, caller, idempotency, ticket, err);
    if (status != KL_OK) {
        return status;
    }
    turn_take(vault->idempotency, ticket);
    return answer_find(vault, caller, ticket, ret_answer, err);
}

enum kl_status vault_idempotency_begin_id(struct vault *vault, const struct vault_caller *caller,
                                          const struct vault_idempotency *idempotency,
                                          struct vault_idempotency_ticket *ticket,
                                          struct kl_id *ret_id, bool *ret_there, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf answer;

    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    status = vault_idempotency_begin(vault, caller, idempotency, ticket, &answer, err);
    if (status == KL_OK && answer.size == KL_ID_BYTES) {
        memcpy(ret_id->bytes, answer.bytes, KL_ID_BYTES);
        *ret_there = true;
    } else if (status == KL_OK && answer.size > 0) {
        status = kl_fail(err, KL_ERR_CORRUPT, "idempotency_damaged",
                         "a stored answer cannot be read", NULL);
    }
    kl_buf_done(&answer);
    return status;
}

/* place: what seals the answer. */
static enum kl_status row_put(struct vault *vault, const struct kms_place *place,
                              const struct vault_idempotency_mark *mark, int64_t asked_us,
                              struct kl_slice answer, struct vault_batch *batch, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_idempotency(place->tenant, mark->mac);
    struct kl_buf plain;
    struct kl_buf sealed;
    struct kl_buf row;

    kl_buf_init(&plain, ROW_MAX_BYTES);
    kl_buf_init(&sealed, ROW_MAX_BYTES);
    kl_buf_init(&row, ROW_MAX_BYTES);
    kl_buf_add(&plain, mark->fingerprint, sizeof mark->fingerprint);
    kl_buf_add(&plain, answer.bytes, answer.size);
    status = kl_buf_status(&plain, err);
    if (status == KL_OK) {
        status = kms_seal(vault->keys, place, kl_slice_text(CONTEXT), kl_buf_slice(&plain), &sealed,
                          err);
    }
    kl_buf_add_byte(&row, FORMAT);
    kl_buf_add_u64be(&row, (uint64_t)(asked_us + VAULT_IDEMPOTENCY_LIFE_US));
    kl_buf_add_u64be(&row, place->slot);
    kl_buf_add_u64be(&row, place->value);
    kl_buf_add_sized(&row, sealed.bytes, sealed.size);
    if (status == KL_OK) {
        status = kl_buf_status(&row, err);
    }
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    }
    kl_buf_done(&plain);
    kl_buf_done(&sealed);
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_idempotency_remember(struct vault *vault, const struct vault_caller *caller,
                                          const struct vault_idempotency_ticket *ticket,
                                          uint64_t slot, uint64_t value, struct kl_slice answer,
                                          struct vault_batch *batch, struct kl_err *err)
{
    const struct kms_place place = {ticket->mark.tenant, slot, value};

    return ticket->held ? row_put(vault, &place, &ticket->mark, caller->now_us, answer, batch, err)
                        : KL_OK;
}

enum kl_status vault_idempotency_remember_mark(struct vault *vault,
                                               const struct vault_idempotency_mark *mark,
                                               int64_t asked_us, struct kl_slice answer,
                                               struct vault_batch *batch, struct kl_err *err)
{
    const struct kms_place place = {mark->tenant, VAULT_SLOT_MAC, KMS_VALUE_NONE};

    return row_put(vault, &place, mark, asked_us, answer, batch, err);
}
