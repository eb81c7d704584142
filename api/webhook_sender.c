#include "api/webhook_sender.h"

#include "api/address.h"
#include "kluis/base/log.h"
#include "kluis/vault/webhook.h"

#include <curl/curl.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How soon what is new is seen. */
#define TICK_MS 500
#define LINE_BYTES 128

/* One delivery under way, or none. is_private: its address was refused. */
struct transfer {
    struct api_webhook_sender *sender;
    CURL *easy;
    struct curl_slist *headers;
    struct vault *vault; /* NULL: idle */
    struct vault_webhook_delivery delivery;
    size_t received;
    bool is_private;
};

struct api_webhook_sender {
    struct vault_stores *stores;
    char *ca_file;
    bool may_be_private;
    atomic_bool stopping;
    bool running;
    pthread_t thread;
    CURLM *multi;
    size_t next_store; /* with which the next look begins */
    struct transfer transfers[API_WEBHOOK_TRANSFERS_MAX];
};

/* ---- what libcurl asks ---- */

static size_t take_answer(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;

    (void)bytes;
    transfer->received += size * count;
    return transfer->received > API_WEBHOOK_ANSWER_MAX_BYTES ? 0 : size * count;
}

/* The address is looked at where it is used, so that no second look-up of the name gives another. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = context;

    (void)purpose;
    if (!transfer->sender->may_be_private && !api_address_is_public(&address->addr)) {
        transfer->is_private = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- one transfer ---- */

static bool add_header(struct curl_slist **headers, const char *name, const char *value)
{
    char line[LINE_BYTES];
    struct curl_slist *more = NULL;

    (void)snprintf(line, sizeof line, "%s: %s", name, value);
    more = curl_slist_append(*headers, line);
    if (more != NULL) {
        *headers = more;
    }
    return more != NULL;
}

static struct curl_slist *headers_of(const struct vault_webhook_delivery *delivery)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

    if (headers == NULL ||
        !add_header(&headers, "Content-Type", "application/cloudevents+json; charset=UTF-8") ||
        !add_header(&headers, "webhook-id", delivery->id) ||
        !add_header(&headers, "webhook-timestamp", delivery->timestamp) ||
        !add_header(&headers, "webhook-signature", delivery->signature)) {
        curl_slist_free_all(headers);
        return NULL;
    }
    return headers;
}

static void set_limits(const struct transfer *transfer)
{
    CURL *easy = transfer->easy;

    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)API_WEBHOOK_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)API_WEBHOOK_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "kluis/" KLUIS_VERSION);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT,
                     1L); /* a stop does not wait for a look-up of a name */
    if (transfer->sender->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, transfer->sender->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

static bool begin(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    const struct kl_buf *body = &transfer->delivery.body;

    transfer->received = 0;
    transfer->is_private = false;
    transfer->headers = headers_of(&transfer->delivery);
    if (transfer->headers == NULL) {
        return false;
    }
    curl_easy_reset(easy);
    set_limits(transfer);
    curl_easy_setopt(easy, CURLOPT_URL, transfer->delivery.url);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *)body->bytes);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)body->size);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)transfer);
    if (curl_multi_add_handle(transfer->sender->multi, easy) != CURLM_OK) {
        curl_slist_free_all(transfer->headers);
        transfer->headers = NULL;
        return false;
    }
    return true;
}

/* Why it was not delivered, in a word; NULL: it was. An answer that is too long was an answer. */
static const char *failure_of(const struct transfer *transfer, CURLcode code,
                              char text[VAULT_WEBHOOK_FAILURE_BYTES])
{
    long status = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->is_private) {
        return "private_address";
    }
    switch (code) {
    case CURLE_OK:
    case CURLE_WRITE_ERROR:
        if (status >= 200 && status < 300) {
            return NULL;
        }
        (void)snprintf(text, VAULT_WEBHOOK_FAILURE_BYTES, "status %ld", status);
        return text;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return "certificate";
    case CURLE_SSL_CONNECT_ERROR:
        return "tls";
    case CURLE_OPERATION_TIMEDOUT:
        return "timed_out";
    case CURLE_COULDNT_RESOLVE_HOST:
        return "name_not_found";
    case CURLE_COULDNT_CONNECT:
        return "cannot_connect";
    default:
        return "cut_short";
    }
}

static void log_failure(const struct transfer *transfer, const char *failure)
{
    char id[KL_ID_TEXT_BYTES];

    kl_id_format(VAULT_WEBHOOK_PREFIX, &transfer->delivery.webhook, id);
    kl_log(KL_LOG_WARNING, "webhook_not_delivered", KL_LOG_TEXT("webhook", id),
           KL_LOG_TEXT("event_id", transfer->delivery.id), KL_LOG_TEXT("why", failure));
}

static void finish(struct transfer *transfer, CURLcode code)
{
    char text[VAULT_WEBHOOK_FAILURE_BYTES];
    const char *failure = failure_of(transfer, code, text);
    struct kl_err err = {0};

    (void)curl_multi_remove_handle(transfer->sender->multi, transfer->easy);
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
    if (failure != NULL) {
        log_failure(transfer, failure);
    }
    if (vault_webhook_done(transfer->vault, &transfer->delivery, failure, &err) != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "webhook_not_noted", &err);
    }
    transfer->vault = NULL;
}

/* ---- the thread ---- */

/* Something due, of one store after the other. */
static bool take_one(struct api_webhook_sender *sender, struct transfer *transfer)
{
    const size_t count = vault_stores_count(sender->stores);

    for (size_t i = 0; i < count; i++) {
        struct vault *vault = vault_stores_at(sender->stores, sender->next_store++ % count, NULL);
        struct kl_err err = {0};
        enum kl_status status = KL_ERR_NOT_FOUND;

        if (vault != NULL) {
            memset(&transfer->delivery, 0, sizeof transfer->delivery);
            status = vault_webhook_next(vault, &transfer->delivery, &err);
        }
        if (status == KL_OK) {
            transfer->vault = vault;
            return true;
        }
        if (status != KL_ERR_NOT_FOUND) {
            kl_log_err(KL_LOG_WARNING, "webhook_not_taken", &err);
        }
    }
    return false;
}

static void begin_what_is_due(struct api_webhook_sender *sender)
{
    for (size_t i = 0; i < API_WEBHOOK_TRANSFERS_MAX; i++) {
        struct transfer *transfer = &sender->transfers[i];

        if (transfer->vault != NULL) {
            continue;
        }
        if (!take_one(sender, transfer)) {
            return;
        }
        if (!begin(transfer)) {
            vault_webhook_give_back(transfer->vault, &transfer->delivery);
            transfer->vault = NULL;
            return;
        }
    }
}

static void finish_what_ended(struct api_webhook_sender *sender)
{
    CURLMsg *message = NULL;
    int left = 0;

    while ((message = curl_multi_info_read(sender->multi, &left)) != NULL) {
        char *transfer = NULL;

        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer) == CURLE_OK) {
            finish((struct transfer *)(void *)transfer, message->data.result);
        }
    }
}

static void *run(void *context)
{
    struct api_webhook_sender *sender = context;
    int running = 0;

    while (!atomic_load(&sender->stopping)) {
        begin_what_is_due(sender);
        (void)curl_multi_perform(sender->multi, &running);
        finish_what_ended(sender);
        (void)curl_multi_poll(sender->multi, NULL, 0, TICK_MS, NULL);
    }
    for (size_t i = 0; i < API_WEBHOOK_TRANSFERS_MAX; i++) {
        struct transfer *transfer = &sender->transfers[i];

        if (transfer->vault != NULL) {
            (void)curl_multi_remove_handle(sender->multi, transfer->easy);
            curl_slist_free_all(transfer->headers);
            vault_webhook_give_back(transfer->vault, &transfer->delivery);
        }
    }
    return NULL;
}

/* ---- life ---- */

static enum kl_status make_handles(struct api_webhook_sender *sender, struct kl_err *err)
{
    sender->multi = curl_multi_init();
    if (sender->multi == NULL) {
        return kl_fail_memory(err);
    }
    for (size_t i = 0; i < API_WEBHOOK_TRANSFERS_MAX; i++) {
        sender->transfers[i].sender = sender;
        sender->transfers[i].easy = curl_easy_init();
        if (sender->transfers[i].easy == NULL) {
            return kl_fail_memory(err);
        }
    }
    return KL_OK;
}

static enum kl_status take_ca(struct api_webhook_sender *sender, const char *ca_file,
                              struct kl_err *err)
{
    if (ca_file == NULL) {
        return KL_OK;
    }
    if (access(ca_file, R_OK) != 0) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_option",
                       "the CA of webhooks' targets cannot be read", NULL);
    }
    sender->ca_file = strdup(ca_file);
    return sender->ca_file == NULL ? kl_fail_memory(err) : KL_OK;
}

enum kl_status api_webhook_sender_start(struct vault_stores *stores,
                                        const struct api_webhook_options *options,
                                        struct api_webhook_sender **ret_sender, struct kl_err *err)
{
    struct api_webhook_sender *sender = NULL;
    enum kl_status status = KL_OK;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return kl_fail(err, KL_ERR_INTERNAL, "internal", "the server failed",
                       "libcurl cannot be used");
    }
    sender = calloc(1, sizeof *sender);
    if (sender == NULL) {
        curl_global_cleanup();
        return kl_fail_memory(err);
    }
    sender->stores = stores;
    sender->may_be_private = options->may_be_private;
    status = take_ca(sender, options->ca_file, err);
    if (status == KL_OK) {
        status = make_handles(sender, err);
    }
    if (status == KL_OK) {
        sender->running = pthread_create(&sender->thread, NULL, run, sender) == 0;
        status = sender->running ? KL_OK : kl_fail_memory(err);
    }
    if (status == KL_OK) {
        *ret_sender = sender;
        sender = NULL;
    }
    api_webhook_sender_stop(sender);
    return status;
}

void api_webhook_sender_stop(struct api_webhook_sender *sender)
{
    if (sender == NULL) {
        return;
    }
    if (sender->running) {
        atomic_store(&sender->stopping, true);
        (void)curl_multi_wakeup(sender->multi);
        (void)pthread_join(sender->thread, NULL);
    }
    for (size_t i = 0; i < API_WEBHOOK_TRANSFERS_MAX; i++) {
        curl_easy_cleanup(sender->transfers[i].easy);
    }
    (void)curl_multi_cleanup(sender->multi);
    free(sender->ca_file);
    free(sender);
    curl_global_cleanup();
}
