/*
 * The targets of a vault in memory, and the numbers of what waits for each. URLs and secrets stay sealed beside the keys (webhook_text.h) until a
 * delivery, or a list, needs them.
 *
 * webhook.c: opened, found, forgotten. webhook_admin.c: declared, listed, removed, tested. webhook_queue.c: what waits. webhook_send.c: what is due.
 *
 * Lock: a leaf, held over memory alone. Threads: any.
 */
#ifndef VAULT_WEBHOOK_INTERNAL_H
#define VAULT_WEBHOOK_INTERNAL_H

#include "kluis/vault/webhook.h"
#include "vault/act.h"
#include "vault/vault_internal.h"
#include "vault/webhook_text.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One event that waits for one target: where its row is. */
struct vault_webhook_item {
    uint64_t number;
    int64_t made_us;
    struct kl_id event;
    struct vault_webhook_item *next;
};

/* A target. id, trail, country and events never change; the rest is under the lock. busy: its first item is with the sender. */
struct vault_webhook {
    struct kl_id id;
    uint64_t trail;
    struct vault_country country;
    unsigned events;
    struct vault_webhook_item *first;
    struct vault_webhook_item *last;
    size_t waiting;
    bool busy;
    unsigned tries; /* that failed in a row */
    int64_t due_ms; /* monotonic; not before */
    uint64_t delivered, failed, dropped;
    int64_t delivered_us, failed_us;
    char last_failure[VAULT_WEBHOOK_FAILURE_BYTES];
    struct vault_webhook *next;
};

struct vault_webhooks {
    pthread_mutex_t lock; /* guards all of it */
    struct vault_webhook *first;
    uint64_t next_number;
    uint64_t delivered, failed, dropped;
};

struct vault_webhooks *vault_webhooks_new(void); /* NULL when out of memory */
void vault_webhooks_free(struct vault_webhooks *webhooks);
/* At open, when the tenants are known. A target that does not open is logged and left out. KL_ERR_IO, KL_ERR_CORRUPT, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_webhooks_open(struct vault *vault, struct kl_err *err);
/* id NULL: all targets of a trail, whose tenant is gone; else that one. What waited for them is forgotten too, in memory. False: there was none. */
bool vault_webhooks_forget(struct vault *vault, uint64_t trail, const struct kl_id *id);
/* Under the lock. NULL: there is none. */
struct vault_webhook *vault_webhooks_find(struct vault_webhooks *webhooks, uint64_t trail,
                                          const struct kl_id *id);
/* The figures of webhooks. */
void vault_webhooks_count(struct vault_webhooks *webhooks, struct vault_figures *ret_figures);

/* ---- rows (webhook.c) ---- */

/* The row of a target as it is stored, opened. ret is wiped by the caller. KL_ERR_NOT_FOUND; KL_ERR_CORRUPT "webhook_damaged"; as kms_unseal(). */
KL_MUST_USE enum kl_status vault_webhook_row_read(struct vault *vault, uint64_t trail,
                                                  const struct kl_id *id,
                                                  struct vault_webhook_text *ret,
                                                  struct kl_err *err);
/* Durable when it returns KL_OK. */
KL_MUST_USE enum kl_status vault_webhook_row_put(struct vault *vault, uint64_t trail,
                                                 const struct vault_webhook_text *text,
                                                 struct kl_err *err);
KL_MUST_USE enum kl_status vault_webhook_row_remove(struct vault *vault, uint64_t trail,
                                                    const struct kl_id *id, struct kl_err *err);

/*
 * May a trail's events go to that country at that moment? KL_ERR_FORBIDDEN "residency".
 */
KL_MUST_USE enum kl_status vault_webhook_allowed(struct vault *vault, uint64_t trail,
                                                 struct vault_country country, int64_t at_us,
                                                 struct kl_err *err);

/* ---- what waits (webhook_queue.c) ---- */

/*
 * An event put to its targets: vault_webhook_put() writes the rows into a batch, vault_webhook_put_end() follows the commit of that batch,
 * whatever became of it. to: NULL: all of the trail that ask for kind; else that one.
 * dropped: how many that waited make room; the caller's entry says so (vault_webhook_put_say()).
 */
struct vault_webhook_put {
    struct {
        struct kl_id webhook;
        struct vault_webhook_item *item;
    } items[VAULT_WEBHOOKS_MAX];
    size_t count;
    struct {
        struct kl_id webhook;
        struct kl_id event;
    } dropped[VAULT_WEBHOOKS_MAX];
    size_t dropped_count;
    uint64_t trail;
};
/* What an event is of: kind (0: a test, for `to` alone), type, its id and data. */
struct vault_webhook_said {
    struct kl_id id;
    unsigned kind;
    const char *type;
    int64_t at_us;
    struct kl_slice data;
};
/* Whether anybody asks for it: else there is nothing to write. */
bool vault_webhook_wanted(struct vault *vault, uint64_t trail, unsigned kind);
/* KL_ERR_NO_MEMORY, KL_ERR_TOO_LARGE: nothing was put. KL_ERR_NOT_FOUND "not_found": `to` is gone. */
KL_MUST_USE enum kl_status vault_webhook_put(struct vault *vault, uint64_t trail,
                                             const struct kl_id *to,
                                             const struct vault_webhook_said *said,
                                             struct vault_batch *batch,
                                             struct vault_webhook_put *ret, struct kl_err *err);
void vault_webhook_put_end(struct vault *vault, struct vault_webhook_put *put, bool committed);
/* Members "webhooks" (whom it is told) and, when there are any, "dropped"; into an entry that is open. */
void vault_webhook_put_say(const struct vault_webhook_put *put, struct kl_json_out *out);
/* The first that waits for a target, off the list; the caller's. There is one. Under the lock. */
struct vault_webhook_item *vault_webhook_take_first(struct vault_webhook *webhook);

#endif
