/*
 * Webhooks: where a tenant's events go. An event is told as CloudEvents 1.0 (structured JSON) and signed as Standard Webhooks has it: HMAC-SHA-256
 * over "ID.TIMESTAMP.BODY" with the target's own secret, which is shown once, when the target is declared.
 *
 * The vault keeps the targets and what waits for them; it sends nothing by itself. A sender (api/webhook_sender.c) takes what is due and says
 * what became of it. What waits survives a restart: an event comes at least once, in the order of its target, and always with the same id.
 *
 * An event holds codes, counts, times, ids of credentials and entries, names of roles: nothing of a person.
 *
 * A target is declared with its country. In the EEA it gets everything; elsewhere only what the policy's transfers let go there for all purposes
 * and recipients in plain, or of a tenant whose data is not tagged EEA. That is asked when it is declared, and again for each event: what may
 * not go any more is dropped. Refusals, what goes outside of the EEA, what is dropped: all of it is in the tenant's trail.
 *
 * Errors as in kluis/vault/admin.h. Threads: any.
 */
#ifndef KLUIS_VAULT_WEBHOOK_H
#define KLUIS_VAULT_WEBHOOK_H

#include "kluis/base/arena.h"
#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "kluis/vault/subject.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_WEBHOOKS_MAX 16 /* of a tenant */
#define VAULT_WEBHOOK_PREFIX "hook"
#define VAULT_WEBHOOK_EVENT_PREFIX "evt"
#define VAULT_WEBHOOK_URL_MAX_BYTES 1024
#define VAULT_WEBHOOK_DATA_MAX_BYTES 8192
/* Of one target; where one more comes the oldest is dropped. */
#define VAULT_WEBHOOK_WAITING_MAX 1000
/* An event that could not be delivered for so long is given up. */
#define VAULT_WEBHOOK_LIFE_S (3 * 24 * 3600)
#define VAULT_WEBHOOK_PAUSE_FIRST_MS 5000
#define VAULT_WEBHOOK_PAUSE_MAX_MS (3600 * 1000)

/* What a target may be told of; bits. A test comes whatever it asked for. */
enum vault_webhook_events {
    VAULT_WEBHOOK_ALERTS =
        1, /* "alerts": kluis.alert.volume, .refusals, .hours; kluis.audit.keep_shortened */
    VAULT_WEBHOOK_HEADS =
        2, /* "heads": kluis.audit.head, the trail's signed heads, when the server publishes them */
    VAULT_WEBHOOK_ALL = 3
};
#define VAULT_WEBHOOK_EVENT_WORDS 2
/* "alerts", "heads": of the bits from the lowest. */
const char *vault_webhook_events_name(int number);
bool vault_webhook_events_parse(const char *name, unsigned *ret_bit);

/* "whsec_" and 44 characters of base64, 0-terminated, as libraries of Standard Webhooks take it. Wipe it after use. */
#define VAULT_WEBHOOK_SECRET_BYTES 32
#define VAULT_WEBHOOK_SECRET_TEXT_BYTES 52
struct vault_webhook_secret {
    char text[VAULT_WEBHOOK_SECRET_TEXT_BYTES];
};

/*
 * url      https://HOST[:PORT][/PATH][?QUERY] in visible ASCII, with no user and no fragment. country: where the target is, "IE" or
 *          "aws:eu-west-1". events: bits; 0: all.
 */
struct vault_webhook_input {
    const char *url;
    const char *country;
    unsigned events;
};
/* last_failure: why the last delivery that failed did ("status 500", "timed_out"); empty: none did. Counts since the vault was opened. */
#define VAULT_WEBHOOK_FAILURE_BYTES 32
struct vault_webhook_result {
    struct kl_id id;
    const char *url;
    struct vault_country country;
    unsigned events;
    int64_t created_us;
    struct kl_id created_by;
    uint64_t waiting;
    uint64_t delivered;
    uint64_t failed;
    uint64_t dropped;
    int64_t delivered_us; /* the last that was; 0: none was */
    int64_t failed_us;
    char last_failure[VAULT_WEBHOOK_FAILURE_BYTES];
};

/* ---- targets (a steward, of its tenant; an operator who names none, of the vault's own trail) ---- */

/*
 * KL_ERR_INVALID "invalid_url", "names_subject", "invalid_country", "unknown_region" (err->where); KL_ERR_TOO_LARGE "value_too_large",
 * "too_many_webhooks"; KL_ERR_FORBIDDEN "residency"; KL_ERR_CONFLICT "secret_already_shown": the same request came before.
 */
KL_MUST_USE enum kl_status vault_webhook_add(struct vault *vault, const struct vault_caller *caller,
                                             const struct vault_webhook_input *input,
                                             const struct vault_idempotency *idempotency,
                                             struct kl_arena *arena,
                                             struct vault_webhook_secret *ret_secret,
                                             struct vault_webhook_result *ret, struct kl_err *err);
/* All of them, the oldest first; an auditor too. Texts are the arena's. */
KL_MUST_USE enum kl_status vault_webhook_list(struct vault *vault,
                                              const struct vault_caller *caller,
                                              struct kl_arena *arena,
                                              struct vault_webhook_result **ret, size_t *ret_count,
                                              struct kl_err *err);
/* KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_webhook_get(struct vault *vault, const struct vault_caller *caller,
                                             const struct kl_id *id, struct kl_arena *arena,
                                             struct vault_webhook_result *ret, struct kl_err *err);
/* What waits for it is dropped with it. KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_webhook_remove(struct vault *vault,
                                                const struct vault_caller *caller,
                                                const struct kl_id *id, struct kl_err *err);
/* Have an event "kluis.test" sent to it. KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_webhook_test(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *id, struct kl_id *ret_event,
                                              struct kl_err *err);
/*
 * Tell all targets of a trail (KMS_TENANT_VAULT, or a tenant's number) that ask for events of that kind (one bit). type: "kluis.audit.head"; data:
 * a JSON value of at most VAULT_WEBHOOK_DATA_MAX_BYTES that holds nothing of a person. Durable when this returns; nothing happens without a
 * target. That it was told is not in the trail, or a trail that tells of its heads would never come to rest; what is dropped for it is. KL_ERR_UNAVAILABLE "audit_unavailable", KL_ERR_NO_MEMORY, KL_ERR_TOO_LARGE.
 */
KL_MUST_USE enum kl_status vault_webhook_tell(struct vault *vault, uint64_t trail, unsigned kind,
                                              const char *type, struct kl_slice data,
                                              struct kl_err *err);

/* ---- sending ---- */

/*
 * One delivery, and its three headers; body: the CloudEvent. Zeroed before vault_webhook_next(), ended by vault_webhook_done(). A target has one at
 * a time.
 */
#define VAULT_WEBHOOK_SIGNATURE_BYTES 48
struct vault_webhook_delivery {
    struct kl_id webhook;
    uint64_t trail;
    uint64_t number;
    char url[VAULT_WEBHOOK_URL_MAX_BYTES + 1];
    char id[KL_ID_TEXT_BYTES];                     /* webhook-id */
    char timestamp[24];                            /* webhook-timestamp */
    char signature[VAULT_WEBHOOK_SIGNATURE_BYTES]; /* webhook-signature */
    struct kl_buf body;
};
/*
 * What is due next. KL_ERR_NOT_FOUND: nothing is. What may not go where its target is was dropped on the way, and what goes outside of the EEA
 * is in the trail when this returns. KL_ERR_UNAVAILABLE "audit_unavailable", KL_ERR_NO_MEMORY, KL_ERR_IO.
 */
KL_MUST_USE enum kl_status vault_webhook_next(struct vault *vault,
                                              struct vault_webhook_delivery *ret,
                                              struct kl_err *err);
/*
 * What became of it. failure NULL: it was taken (a status of 200 to 299); else a word of the sender's, kept as last_failure: it is tried again after
 * a pause that doubles, and is up to half shorter by chance.
 */
KL_MUST_USE enum kl_status vault_webhook_done(struct vault *vault,
                                              struct vault_webhook_delivery *delivery,
                                              const char *failure, struct kl_err *err);
/* Give one back untried: the sender stops. */
void vault_webhook_give_back(struct vault *vault, struct vault_webhook_delivery *delivery);

#endif
