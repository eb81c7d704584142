/*
 * Heads of the audit trails published outside of the vault, so that a history
 * that is rewritten shows: every so often, and at the end, to each target.
 * A target is a function that takes a head; a new kind is a line in
 * publish.c.
 *
 *   file:PATH   a line is appended, and synced; the file is made (mode 0600) where there is none. Opened anew for each, so that it may be moved away.
 *   syslog      a message of the facility authpriv, "kluis-audit-head " and the JSON
 *   webhooks    an event "kluis.audit.head" to those webhooks of the trail that ask for heads (kluis/vault/webhook.h)
 *
 * A head that a target did not take is published again in the next round, to all of them.
 * Threads: start and stop from one; the rounds are on a thread of its own.
 */
#ifndef API_PUBLISH_H
#define API_PUBLISH_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/vault/stores.h"

#include <stdint.h>

#define API_PUBLISH_TARGETS_MAX 8

/* json: without a line feed, at most KL_TRAIL_JSON_MAX_BYTES. trail: whose head it is, as of vault_head_visit. */
struct api_head {
    struct vault *vault;
    uint64_t trail;
    struct kl_slice json;
};
/* rest: what the target's text has behind its kind. */
typedef enum kl_status (*api_publish_to)(const char *rest, const struct api_head *head,
                                         struct kl_err *err);

struct api_publisher;
/*
 * targets (ended by NULL) and stores are the caller's and outlive the publisher. No target: *ret_publisher is NULL. every_s 1..86400.
 * KL_ERR_INVALID "usage": a target that is none, or too many. KL_ERR_IO "publish_file": a file cannot be appended to. KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status api_publisher_start(struct vault_stores *stores,
                                               const char *const *targets, int every_s,
                                               struct api_publisher **ret_publisher,
                                               struct kl_err *err);
/* A last round, and the end; NULL is fine. Failures are logged. */
void api_publisher_stop(struct api_publisher *publisher);

#endif
