/*
 * Sends what waits for webhooks (kluis/vault/webhook.h): POST over HTTPS through libcurl, on one thread of its own, to several targets at once and to
 * each one event after the other.
 *
 * Whatever a target answers with 200 to 299 is delivered. Nothing else is: redirects are not followed, answers are read up to
 * API_WEBHOOK_ANSWER_MAX_BYTES and not looked at, a certificate that does not verify for the host ends it, and it has API_WEBHOOK_TIMEOUT_MS in all.
 * No proxy, no cookies, no other scheme. An address that is not public (api/address.h) is not called unless the operator says that targets may be private.
 *
 * Threads: start and stop from one.
 */
#ifndef KLUIS_API_WEBHOOK_SENDER_H
#define KLUIS_API_WEBHOOK_SENDER_H

#include "kluis/base/status.h"
#include "kluis/vault/stores.h"

#include <stdbool.h>

#define API_WEBHOOK_TRANSFERS_MAX 16
#define API_WEBHOOK_CONNECT_TIMEOUT_MS 5000
#define API_WEBHOOK_TIMEOUT_MS 15000
#define API_WEBHOOK_ANSWER_MAX_BYTES (64 * 1024)

/* ca_file: who vouches for targets, and nobody else (PEM, copied); NULL: whom the system trusts. */
struct api_webhook_options {
    const char *ca_file;
    bool may_be_private;
};

struct api_webhook_sender;
/* stores must outlive it. KL_ERR_INVALID "invalid_option": the CA file cannot be read. KL_ERR_NO_MEMORY; KL_ERR_INTERNAL. */
KL_MUST_USE enum kl_status api_webhook_sender_start(struct vault_stores *stores,
                                                    const struct api_webhook_options *options,
                                                    struct api_webhook_sender **ret_sender,
                                                    struct kl_err *err);
/* What is on its way is given back, to be sent again after the next start. NULL is fine. */
void api_webhook_sender_stop(struct api_webhook_sender *sender);

#endif
