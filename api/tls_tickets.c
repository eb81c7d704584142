/*
 * Session tickets: name of the key (8) | nonce (24) | sealed { made at (8) | has certificate (1) |
 * its SHA-256 (32) | its end (8) | the session as Mbed TLS writes it } | tag (16).
 * XChaCha20-Poly1305, the name is authenticated with it.
 */
#include "api/tls_internal.h"
#include "kluis/base/buf.h"
#include "kluis/base/secret.h"
#include "kluis/base/time.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITY_BYTES (8 + 1 + API_TLS_CERTIFICATE_HASH_BYTES + 8)
#define HEAD_BYTES (API_TLS_TICKET_NAME_BYTES + API_TLS_TICKET_NONCE_BYTES)
#define LIFETIME_US ((int64_t)API_TLS_TICKET_LIFETIME_S * 1000000)

static_assert(API_TLS_TICKET_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
              "ticket key");
static_assert(API_TLS_TICKET_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
              "ticket nonce");
static_assert(API_TLS_TICKET_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "ticket tag");

struct ticket_key {
    unsigned char name[API_TLS_TICKET_NAME_BYTES];
    unsigned char key[API_TLS_TICKET_KEY_BYTES];
    int64_t made_us; /* 0: there is none yet */
};

struct api_tls_tickets {
    pthread_mutex_t lock;   /* guards keys */
    struct kl_secret *keys; /* two struct ticket_key: in use, and the one before */
};

static struct ticket_key *keys_of(struct api_tls_tickets *tickets)
{
    return (struct ticket_key *)(void *)kl_secret_bytes(tickets->keys);
}

struct api_tls_tickets *api_tls_tickets_new(void)
{
    struct api_tls_tickets *tickets = calloc(1, sizeof *tickets);

    if (tickets == NULL) {
        return NULL;
    }
    tickets->keys = kl_secret_new(2 * sizeof(struct ticket_key));
    if (tickets->keys == NULL || pthread_mutex_init(&tickets->lock, NULL) != 0) {
        kl_secret_free(tickets->keys);
        free(tickets);
        return NULL;
    }
    return tickets;
}

void api_tls_tickets_free(struct api_tls_tickets *tickets)
{
    if (tickets != NULL) {
        pthread_mutex_destroy(&tickets->lock);
        kl_secret_free(tickets->keys);
        free(tickets);
    }
}

/* A copy of the key to seal with; a new one is made when that in use has served its time. */
static void key_to_seal(struct api_tls_tickets *tickets, int64_t now_us, struct ticket_key *ret_key)
{
    pthread_mutex_lock(&tickets->lock);
    struct ticket_key *keys = keys_of(tickets);
    if (keys[0].made_us == 0 || now_us - keys[0].made_us > LIFETIME_US) {
        keys[1] = keys[0];
        randombytes_buf(keys[0].name, sizeof keys[0].name);
        randombytes_buf(keys[0].key, sizeof keys[0].key);
        keys[0].made_us = now_us;
    }
    *ret_key = keys[0];
    pthread_mutex_unlock(&tickets->lock);
}

static bool key_to_open(struct api_tls_tickets *tickets, const unsigned char *name,
                        struct ticket_key *ret_key)
{
    bool found = false;

    pthread_mutex_lock(&tickets->lock);
    struct ticket_key *keys = keys_of(tickets);
    for (size_t i = 0; i < 2 && !found; i++) {
        if (keys[i].made_us != 0 && sodium_memcmp(keys[i].name, name, sizeof keys[i].name) == 0) {
            *ret_key = keys[i];
            found = true;
        }
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

size_t api_tls_ticket_seal(struct api_tls_tickets *tickets, const struct api_tls_identity *identity,
                           const unsigned char *payload, size_t size, unsigned char *out,
                           size_t out_max, int64_t now_us)
{
    struct ticket_key key;
    unsigned char *nonce = out + API_TLS_TICKET_NAME_BYTES;
    unsigned char *text = out + HEAD_BYTES;

    if (size > out_max || out_max - size < API_TLS_TICKET_OVERHEAD_BYTES + IDENTITY_BYTES) {
        return 0;
    }
    key_to_seal(tickets, now_us, &key);
    memcpy(out, key.name, sizeof key.name);
    randombytes_buf(nonce, API_TLS_TICKET_NONCE_BYTES);
    memmove(text + IDENTITY_BYTES, payload, size);
    kl_put_u64be(text, (uint64_t)now_us);
    text[8] = identity->has_certificate ? 1 : 0;
    memcpy(text + 9, identity->sha256, sizeof identity->sha256);
    kl_put_u64be(text + 9 + sizeof identity->sha256, (uint64_t)identity->not_after_us);
    crypto_aead_xchacha20poly1305_ietf_encrypt(text, NULL, text, IDENTITY_BYTES + size, out,
                                               API_TLS_TICKET_NAME_BYTES, NULL, nonce, key.key);
    sodium_memzero(&key, sizeof key);
    return API_TLS_TICKET_OVERHEAD_BYTES + IDENTITY_BYTES + size;
}

bool api_tls_ticket_open(struct api_tls_tickets *tickets, unsigned char *ticket, size_t size,
                         int64_t now_us, struct api_tls_identity *ret_identity,
                         unsigned char **ret_payload, size_t *ret_payload_size)
{
    struct ticket_key key;
    struct api_tls_identity identity = {0};
    unsigned char *text = ticket + HEAD_BYTES;
    bool ok;

    if (size < API_TLS_TICKET_OVERHEAD_BYTES + IDENTITY_BYTES ||
        !key_to_open(tickets, ticket, &key)) {
        return false;
    }
    ok = crypto_aead_xchacha20poly1305_ietf_decrypt(
             text, NULL, NULL, text, size - HEAD_BYTES, ticket, API_TLS_TICKET_NAME_BYTES,
             ticket + API_TLS_TICKET_NAME_BYTES, key.key) == 0;
    sodium_memzero(&key, sizeof key);
    if (!ok) {
        return false;
    }
    int64_t made_us = (int64_t)kl_get_u64be(text);
    identity.has_certificate = text[8] == 1;
    memcpy(identity.sha256, text + 9, sizeof identity.sha256);
    identity.not_after_us = (int64_t)kl_get_u64be(text + 9 + sizeof identity.sha256);
    if (made_us > now_us || now_us - made_us > LIFETIME_US ||
        (identity.has_certificate && now_us >= identity.not_after_us)) {
        return false;
    }
    *ret_identity = identity;
    *ret_payload = text + IDENTITY_BYTES;
    *ret_payload_size = size - API_TLS_TICKET_OVERHEAD_BYTES - IDENTITY_BYTES;
    return true;
}

int api_tls_ticket_write(void *p_ticket, const mbedtls_ssl_session *session, unsigned char *start,
                         const unsigned char *end, size_t *tlen, uint32_t *lifetime)
{
    const struct api_tls_config *config = p_ticket;
    const struct api_tls_conn *conn = api_tls_current();
    struct api_tls_identity identity = {0};
    unsigned char *text = start + HEAD_BYTES + IDENTITY_BYTES;
    size_t room = (size_t)(end - start);
    size_t size = 0;

    if (!api_tls_session_identity(session, &identity) && conn != NULL && !conn->sent_certificate &&
        conn->has_candidate) {
        identity = conn->candidate;
    }
    if (room < API_TLS_TICKET_OVERHEAD_BYTES + IDENTITY_BYTES) {
        return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
    }
    int code = mbedtls_ssl_session_save(
        session, text, room - API_TLS_TICKET_OVERHEAD_BYTES - IDENTITY_BYTES, &size);
    if (code != 0) {
        return code;
    }
    *tlen =
        api_tls_ticket_seal(config->tickets, &identity, text, size, start, room, kl_time_now_us());
    *lifetime = API_TLS_TICKET_LIFETIME_S;
    return *tlen == 0 ? MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL : 0;
}

/*
 * A TLS 1.3 ClientHello may offer several tickets, and which one Mbed TLS then takes cannot be
 * asked. So that the identity is always that of the ticket in use, only the first good one of a
 * ClientHello is opened.
 */
int api_tls_ticket_parse(void *p_ticket, mbedtls_ssl_session *session, unsigned char *ticket,
                         size_t size)
{
    const struct api_tls_config *config = p_ticket;
    struct api_tls_conn *conn = api_tls_current();
    struct api_tls_identity identity;
    unsigned char *payload;
    size_t payload_size;

    if (conn == NULL || conn->has_candidate ||
        !api_tls_ticket_open(config->tickets, ticket, size, kl_time_now_us(), &identity, &payload,
                             &payload_size)) {
        return MBEDTLS_ERR_SSL_INVALID_MAC;
    }
    int code = mbedtls_ssl_session_load(session, payload, payload_size);
    sodium_memzero(payload, payload_size);
    if (code == 0) {
        conn->candidate = identity;
        conn->has_candidate = true;
    }
    return code;
}
