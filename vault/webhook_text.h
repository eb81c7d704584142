/*
 * A target as it is written down: a row beside the keys, so that no data/ that is put back brings a removed one back.
 *
 *   "VO" tenant8 hook16   sealed (remark.h, kind "webhook"): {"id","url","country","events":[..],"secret" (base64url, 32 bytes),"created_us",
 *                         "created_by"}
 *
 * What waits for one lies in data/, vault_row_waiting(): format u8 (1), event 16, made_us u64, the CloudEvent.
 */
#ifndef VAULT_WEBHOOK_TEXT_H
#define VAULT_WEBHOOK_TEXT_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/webhook.h"

#include <stdbool.h>
#include <stdint.h>

#define VAULT_WEBHOOK_ROW "VO"
#define VAULT_WEBHOOK_TEXT_MAX_BYTES 4096
#define VAULT_WEBHOOK_BODY_MAX_BYTES (VAULT_WEBHOOK_DATA_MAX_BYTES + 2048)

/* Holds a secret: wiped after use. */
struct vault_webhook_text {
    struct kl_id id;
    char url[VAULT_WEBHOOK_URL_MAX_BYTES + 1];
    struct vault_country country;
    unsigned events; /* not 0 */
    unsigned char secret[VAULT_WEBHOOK_SECRET_BYTES];
    int64_t created_us;
    struct kl_id created_by;
};

/* Whether it is a URL as vault_webhook_input has it. */
bool vault_webhook_url_valid(const char *url);
void vault_webhook_text_write(const struct vault_webhook_text *text, struct kl_buf *out);
/* False, and ret untouched, when it is not as vault_webhook_text_write() makes it. */
bool vault_webhook_text_parse(struct kl_slice text, struct vault_webhook_text *ret);

/* body is a part of row. */
struct vault_webhook_waiting {
    struct kl_id event;
    int64_t made_us;
    struct kl_slice body;
};
void vault_webhook_waiting_write(const struct vault_webhook_waiting *waiting, struct kl_buf *out);
bool vault_webhook_waiting_parse(struct kl_slice row, struct vault_webhook_waiting *ret);

/*
 * The CloudEvent: {"specversion":"1.0","id","source":"/stores/STORE/tenants/TENANT","type","time","datacontenttype":"application/json","data"}.
 * tenant NULL: "/stores/STORE".
 */
struct vault_webhook_event {
    struct kl_id id;
    const char *store;
    const char *tenant;
    const char *type;
    int64_t at_us;
    struct kl_slice data;
};
void vault_webhook_event_write(const struct vault_webhook_event *event, struct kl_buf *out);
/* "v1," and the HMAC-SHA-256 of "ID.TIMESTAMP.BODY" in base64 (Standard Webhooks 1.0.0, "Signature scheme"). */
void vault_webhook_sign(const unsigned char secret[VAULT_WEBHOOK_SECRET_BYTES], const char *id,
                        const char *timestamp, struct kl_slice body,
                        char ret[VAULT_WEBHOOK_SIGNATURE_BYTES]);
/* As it is shown to who declared the target. */
void vault_webhook_secret_text(const unsigned char secret[VAULT_WEBHOOK_SECRET_BYTES],
                               struct vault_webhook_secret *ret);

#endif
