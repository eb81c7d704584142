/*
 * Webhooks: the first byte says what the rest is meant to be: a URL of a request; a target, or an event that waits, from a disk that somebody
 * else wrote to. What is taken is written again alike.
 */
#include "vault/webhook_text.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken has a host, and nothing in it ends a header or begins a user. */
static void check_url(struct kl_slice bytes)
{
    char *url = calloc(1, bytes.size + 1);
    size_t host;

    assert(url != NULL);
    memcpy(url, bytes.bytes, bytes.size);
    if (vault_webhook_url_valid(url)) {
        host = strcspn(url + 8, "/?");
        assert(strncmp(url, "https://", 8) == 0 && host > 0);
        assert(memchr(url + 8, '@', host) == NULL && strpbrk(url, "\r\n \t#\\") == NULL);
        assert(strlen(url) <= VAULT_WEBHOOK_URL_MAX_BYTES);
    }
    free(url);
}

static void check_target(struct kl_slice bytes)
{
    struct vault_webhook_text text = {.created_us = 77};
    struct vault_webhook_text again = {.created_us = 0};
    struct kl_buf out;

    if (!vault_webhook_text_parse(bytes, &text)) {
        assert(text.created_us == 77);
        return;
    }
    assert(text.events != 0 && vault_webhook_url_valid(text.url));
    kl_buf_init(&out, 2 * VAULT_WEBHOOK_TEXT_MAX_BYTES);
    vault_webhook_text_write(&text, &out);
    assert(vault_webhook_text_parse(kl_buf_slice(&out), &again));
    assert(strcmp(text.url, again.url) == 0 && text.events == again.events &&
           memcmp(text.secret, again.secret, sizeof text.secret) == 0);
    kl_buf_done(&out);
}

static void check_waiting(struct kl_slice bytes)
{
    struct vault_webhook_waiting waiting = {.made_us = 77};
    struct kl_buf out;

    if (!vault_webhook_waiting_parse(bytes, &waiting)) {
        assert(waiting.made_us == 77);
        return;
    }
    assert(waiting.body.size > 0 && waiting.body.size <= VAULT_WEBHOOK_BODY_MAX_BYTES);
    kl_buf_init(&out, bytes.size);
    vault_webhook_waiting_write(&waiting, &out);
    assert(kl_slice_equal(bytes, kl_buf_slice(&out)));
    kl_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct kl_slice) = {check_url, check_target, check_waiting};

    if (size > 0) {
        checks[data[0] % 3](kl_slice_of(data + 1, size - 1));
    }
    return 0;
}
