#include "vault/webhook_text.h"

#include "kluis/base/encode.h"
#include "kluis/base/json.h"
#include "vault/credentials.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "https://"
#define PORT_MAX 65535
#define WAITING_FORMAT 1
#define SIGNATURE_VERSION "v1,"
#define SECRET_MARK "whsec_"
#define BASE64 sodium_base64_VARIANT_ORIGINAL

_Static_assert(sizeof SIGNATURE_VERSION - 1 +
                       sodium_base64_ENCODED_LEN(crypto_auth_hmacsha256_BYTES, BASE64) <=
                   VAULT_WEBHOOK_SIGNATURE_BYTES,
               "a signature fits");
_Static_assert(sizeof SECRET_MARK - 1 +
                       sodium_base64_ENCODED_LEN(VAULT_WEBHOOK_SECRET_BYTES, BASE64) <=
                   VAULT_WEBHOOK_SECRET_TEXT_BYTES,
               "a secret fits");

/* ---- URLs ---- */

/* How many characters a host has: a name, an IPv4 address, or an IPv6 address in brackets; 0: it is none. */
static size_t host_chars(const char *at)
{
    static const char name_chars[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    size_t size;

    if (*at == '[') {
        size = strspn(at + 1, "0123456789abcdefABCDEF:.");
        return size > 0 && at[1 + size] == ']' ? size + 2 : 0;
    }
    size = strspn(at, name_chars);
    return size > 0 && at[0] != '.' && at[0] != '-' ? size : 0;
}

/* ":8443", or nothing. False: something else. */
static bool take_port(const char **at)
{
    unsigned port = 0;
    size_t digits = 0;

    if (**at != ':') {
        return true;
    }
    for ((*at)++; **at >= '0' && **at <= '9' && digits < 6; (*at)++, digits++) {
        port = port * 10 + (unsigned)(**at - '0');
    }
    return digits > 0 && port > 0 && port <= PORT_MAX;
}

bool vault_webhook_url_valid(const char *url)
{
    const char *at = url + sizeof SCHEME - 1;

    if (strncmp(url, SCHEME, sizeof SCHEME - 1) != 0 ||
        strnlen(url, VAULT_WEBHOOK_URL_MAX_BYTES + 1) > VAULT_WEBHOOK_URL_MAX_BYTES ||
        host_chars(at) == 0) {
        return false;
    }
    at += host_chars(at);
    if (!take_port(&at) || (*at != '\0' && *at != '/' && *at != '?')) {
        return false;
    }
    for (; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f || strchr("#\\\"<>^`{|}", *at) != NULL) {
            return false;
        }
    }
    return true;
}

/* ---- words ---- */

const char *vault_webhook_events_name(int number)
{
    static const char *const names[VAULT_WEBHOOK_EVENT_WORDS] = {"alerts", "heads"};

    assert(number >= 0 && number < VAULT_WEBHOOK_EVENT_WORDS);
    return names[number];
}

bool vault_webhook_events_parse(const char *name, unsigned *ret_bit)
{
    for (int i = 0; i < VAULT_WEBHOOK_EVENT_WORDS; i++) {
        if (strcmp(vault_webhook_events_name(i), name) == 0) {
            *ret_bit = 1u << i;
            return true;
        }
    }
    return false;
}

/* ---- a target ---- */

void vault_webhook_text_write(const struct vault_webhook_text *text, struct kl_buf *buf)
{
    struct kl_json_out out = kl_json_out(buf);
    char id[KL_ID_TEXT_BYTES];
    char secret[KL_BASE64_CHARS(VAULT_WEBHOOK_SECRET_BYTES) + 1];

    kl_json_object_begin(&out);
    kl_id_format(VAULT_WEBHOOK_PREFIX, &text->id, id);
    kl_json_add_text(&out, "id", id);
    kl_json_add_text(&out, "url", text->url);
    kl_json_add_text(&out, "country", text->country.code);
    kl_json_key(&out, "events");
    kl_json_array_begin(&out);
    for (int i = 0; i < VAULT_WEBHOOK_EVENT_WORDS; i++) {
        if ((text->events & (1u << i)) != 0) {
            kl_json_put_text(&out, vault_webhook_events_name(i));
        }
    }
    kl_json_array_end(&out);
    kl_base64(text->secret, sizeof text->secret, secret);
    kl_json_add_text(&out, "secret", secret);
    sodium_memzero(secret, sizeof secret);
    kl_json_add_int(&out, "created_us", text->created_us);
    kl_id_format(VAULT_CREDENTIAL_PREFIX, &text->created_by, id);
    kl_json_add_text(&out, "created_by", id);
    kl_json_object_end(&out);
}

static bool take_id(const struct kl_json_value *root, const char *key, const char *prefix,
                    struct kl_id *ret)
{
    const char *text = kl_json_text(kl_json_member(root, key));

    return text != NULL && kl_id_parse(prefix, text, ret, NULL) == KL_OK;
}

static bool take_events(const struct kl_json_value *list, unsigned *ret)
{
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *item = NULL;
    unsigned bit = 0;

    *ret = 0;
    while (kl_json_next(&iter, NULL, &item)) {
        if (kl_json_text(item) == NULL || !vault_webhook_events_parse(kl_json_text(item), &bit)) {
            return false;
        }
        *ret |= bit;
    }
    return *ret != 0;
}

static bool take_text(const struct kl_json_value *root, struct vault_webhook_text *ret)
{
    const char *url = kl_json_text(kl_json_member(root, "url"));
    const char *country = kl_json_text(kl_json_member(root, "country"));
    const char *secret = kl_json_text(kl_json_member(root, "secret"));

    if (url == NULL || !vault_webhook_url_valid(url) || country == NULL || secret == NULL ||
        vault_country_parse(country, strlen(country), &ret->country, NULL) != KL_OK ||
        !kl_base64_decode(secret, strlen(secret), ret->secret, sizeof ret->secret)) {
        return false;
    }
    (void)snprintf(ret->url, sizeof ret->url, "%s", url);
    return take_id(root, "id", VAULT_WEBHOOK_PREFIX, &ret->id) &&
           take_id(root, "created_by", VAULT_CREDENTIAL_PREFIX, &ret->created_by) &&
           kl_json_int(kl_json_member(root, "created_us"), &ret->created_us) &&
           take_events(kl_json_member(root, "events"), &ret->events);
}

bool vault_webhook_text_parse(struct kl_slice text, struct vault_webhook_text *ret)
{
    struct vault_webhook_text taken = {.events = 0};
    struct kl_json *json = NULL;
    bool good = false;

    if (kl_json_parse(text.bytes, text.size, &json, NULL) != KL_OK) {
        return false;
    }
    good = take_text(kl_json_root(json), &taken);
    kl_json_free(json);
    if (good) {
        *ret = taken;
    }
    sodium_memzero(&taken, sizeof taken);
    return good;
}

void vault_webhook_secret_text(const unsigned char secret[VAULT_WEBHOOK_SECRET_BYTES],
                               struct vault_webhook_secret *ret)
{
    memcpy(ret->text, SECRET_MARK, sizeof SECRET_MARK - 1);
    (void)sodium_bin2base64(ret->text + sizeof SECRET_MARK - 1,
                            sizeof ret->text - sizeof SECRET_MARK + 1, secret,
                            VAULT_WEBHOOK_SECRET_BYTES, BASE64);
}

/* ---- what waits ---- */

void vault_webhook_waiting_write(const struct vault_webhook_waiting *waiting, struct kl_buf *out)
{
    kl_buf_add_byte(out, WAITING_FORMAT);
    kl_buf_add(out, waiting->event.bytes, KL_ID_BYTES);
    kl_buf_add_u64be(out, (uint64_t)waiting->made_us);
    kl_buf_add(out, waiting->body.bytes, waiting->body.size);
}

bool vault_webhook_waiting_parse(struct kl_slice row, struct vault_webhook_waiting *ret)
{
    struct kl_reader in = kl_reader_of(row);
    struct vault_webhook_waiting waiting = {.made_us = 0};
    uint8_t format = kl_read_byte(&in);
    struct kl_slice event = kl_read_bytes(&in, KL_ID_BYTES);
    uint64_t made_us = kl_read_u64be(&in);

    if (!in.ok || format != WAITING_FORMAT || made_us > INT64_MAX || in.at == row.size ||
        row.size - in.at > VAULT_WEBHOOK_BODY_MAX_BYTES) {
        return false;
    }
    memcpy(waiting.event.bytes, event.bytes, KL_ID_BYTES);
    waiting.made_us = (int64_t)made_us;
    waiting.body = kl_slice_of(row.bytes + in.at, row.size - in.at);
    *ret = waiting;
    return true;
}

/* ---- an event ---- */

void vault_webhook_event_write(const struct vault_webhook_event *event, struct kl_buf *buf)
{
    struct kl_json_out out = kl_json_out(buf);
    char source[32 + VAULT_STORE_NAME_MAX_BYTES + VAULT_TENANT_NAME_MAX_BYTES];
    char id[KL_ID_TEXT_BYTES];

    (void)snprintf(source, sizeof source, "/stores/%s%s%s", event->store,
                   event->tenant == NULL ? "" : "/tenants/",
                   event->tenant == NULL ? "" : event->tenant);
    kl_id_format(VAULT_WEBHOOK_EVENT_PREFIX, &event->id, id);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "specversion", "1.0");
    kl_json_add_text(&out, "id", id);
    kl_json_add_text(&out, "source", source);
    kl_json_add_text(&out, "type", event->type);
    kl_json_add_time(&out, "time", event->at_us);
    kl_json_add_text(&out, "datacontenttype", "application/json");
    kl_json_key(&out, "data");
    kl_json_put_raw(&out, event->data.bytes, event->data.size);
    kl_json_object_end(&out);
}

void vault_webhook_sign(const unsigned char secret[VAULT_WEBHOOK_SECRET_BYTES], const char *id,
                        const char *timestamp, struct kl_slice body,
                        char ret[VAULT_WEBHOOK_SIGNATURE_BYTES])
{
    crypto_auth_hmacsha256_state state;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];

    crypto_auth_hmacsha256_init(&state, secret, VAULT_WEBHOOK_SECRET_BYTES);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)id, strlen(id));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)timestamp, strlen(timestamp));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, body.bytes, body.size);
    crypto_auth_hmacsha256_final(&state, mac);
    memcpy(ret, SIGNATURE_VERSION, sizeof SIGNATURE_VERSION - 1);
    (void)sodium_bin2base64(ret + sizeof SIGNATURE_VERSION - 1,
                            VAULT_WEBHOOK_SIGNATURE_BYTES - sizeof SIGNATURE_VERSION + 1, mac,
                            sizeof mac, BASE64);
    sodium_memzero(&state, sizeof state);
}
