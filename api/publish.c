#include "api/publish.h"

#include "kluis/base/log.h"
#include "kluis/vault/trail.h"
#include "kluis/vault/webhook.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

struct api_publisher {
    struct vault_stores *stores;
    const char *const *targets;
    int every_s;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool stopping;
};

/* ---- targets ---- */

static enum kl_status file_failed(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_IO, "publish_file", "the file of published heads cannot be written",
                   "%s", strerror(errno));
}

static int file_open(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
}

static enum kl_status to_file(const char *rest, const struct api_head *head, struct kl_err *err)
{
    char end[] = "\n";
    struct iovec parts[2] = {
        {.iov_base = (void *)(uintptr_t)head->json.bytes, .iov_len = head->json.size},
        {.iov_base = end, .iov_len = 1}};
    enum kl_status status = KL_OK;
    int file = file_open(rest);
    if (file < 0)
        return file_failed(err);
    if (writev(file, parts, 2) != (ssize_t)head->json.size + 1 || fsync(file) != 0)
        status = file_failed(err);
    (void)close(file);
    return status;
}

static enum kl_status to_syslog(const char *rest, const struct api_head *head, struct kl_err *err)
{
    (void)rest;
    (void)err;
    syslog(LOG_AUTHPRIV | LOG_INFO, "kluis-audit-head %.*s", (int)head->json.size,
           (const char *)head->json.bytes);
    return KL_OK;
}

static enum kl_status to_webhooks(const char *rest, const struct api_head *head, struct kl_err *err)
{
    (void)rest;
    return vault_webhook_tell(head->vault, head->trail, VAULT_WEBHOOK_HEADS, "kluis.audit.head",
                              head->json, err);
}

/* kind ends with a colon where something follows it. */
static const struct {
    const char *kind;
    api_publish_to to;
} kinds[] = {{"file:", to_file}, {"syslog", to_syslog}, {"webhooks", to_webhooks}};

static api_publish_to target_of(const char *text, const char **ret_rest)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t size = strlen(kinds[i].kind);
        bool has_rest = kinds[i].kind[size - 1] == ':';
        if (strncmp(text, kinds[i].kind, size) == 0 && (text[size] != '\0') == has_rest) {
            *ret_rest = text + size;
            return kinds[i].to;
        }
    }
    return NULL;
}

static enum kl_status check(const char *const *targets, struct kl_err *err)
{
    size_t count = 0;
    for (; targets[count] != NULL; count++) {
        const char *rest = NULL;
        api_publish_to to = target_of(targets[count], &rest);
        if (to == NULL || count == API_PUBLISH_TARGETS_MAX)
            return kl_failf(err, KL_ERR_INVALID, "usage",
                            "--publish-heads is file:PATH, syslog or webhooks, at most %d of them",
                            API_PUBLISH_TARGETS_MAX);
        if (to == to_file) {
            int file = file_open(rest);
            if (file < 0)
                return file_failed(err);
            (void)close(file);
        }
    }
    return KL_OK;
}

/* ---- rounds ---- */

struct round {
    const struct api_publisher *publisher;
    struct vault *vault;
};

/* To all, also when one of them fails; that one's failure is returned. */
static enum kl_status publish(void *context, uint64_t trail, struct kl_slice json,
                              struct kl_err *err)
{
    const struct round *round = context;
    const struct api_publisher *publisher = round->publisher;
    const struct api_head head = {round->vault, trail, json};
    enum kl_status status = KL_OK;
    for (size_t i = 0; publisher->targets[i] != NULL; i++) {
        const char *rest = NULL;
        api_publish_to to = target_of(publisher->targets[i], &rest);
        enum kl_status one = to(rest, &head, err);
        status = status == KL_OK ? one : status;
    }
    return status;
}

static void publish_round(const struct api_publisher *publisher)
{
    for (size_t i = 0; i < vault_stores_count(publisher->stores); i++) {
        const char *name = NULL;
        struct round round = {publisher, vault_stores_at(publisher->stores, i, &name)};
        struct kl_err err = {0};
        if (round.vault != NULL && vault_trail_heads(round.vault, publish, &round, &err) != KL_OK)
            kl_log_err(KL_LOG_ERROR, "heads_not_published", &err);
    }
}

/* The lock is held. False: it is time to end. */
static bool wait_round(struct api_publisher *publisher)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += publisher->every_s;
    int waited = 0;
    while (!publisher->stopping && waited == 0)
        waited = pthread_cond_timedwait(&publisher->changed, &publisher->lock, &until);
    return !publisher->stopping;
}

static void *rounds(void *context)
{
    struct api_publisher *publisher = context;
    (void)pthread_mutex_lock(&publisher->lock);
    bool goes_on = true;
    while (goes_on) {
        goes_on = wait_round(publisher);
        (void)pthread_mutex_unlock(&publisher->lock);
        publish_round(publisher);
        (void)pthread_mutex_lock(&publisher->lock);
    }
    (void)pthread_mutex_unlock(&publisher->lock);
    return NULL;
}

/* ---- life ---- */

static bool cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(cond, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return made;
}

enum kl_status api_publisher_start(struct vault_stores *stores, const char *const *targets,
                                   int every_s, struct api_publisher **ret_publisher,
                                   struct kl_err *err)
{
    enum kl_status status = check(targets, err);
    if (status != KL_OK || targets[0] == NULL) {
        if (status == KL_OK)
            *ret_publisher = NULL;
        return status;
    }
    struct api_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        return kl_fail_memory(err);
    *publisher = (struct api_publisher){.stores = stores, .targets = targets, .every_s = every_s};
    if (pthread_mutex_init(&publisher->lock, NULL) != 0)
        goto fail;
    if (!cond_init(&publisher->changed))
        goto fail_lock;
    if (pthread_create(&publisher->thread, NULL, rounds, publisher) != 0)
        goto fail_cond;
    *ret_publisher = publisher;
    return KL_OK;

fail_cond:
    (void)pthread_cond_destroy(&publisher->changed);
fail_lock:
    (void)pthread_mutex_destroy(&publisher->lock);
fail:
    free(publisher);
    return kl_fail_memory(err);
}

void api_publisher_stop(struct api_publisher *publisher)
{
    if (publisher == NULL)
        return;
    (void)pthread_mutex_lock(&publisher->lock);
    publisher->stopping = true;
    (void)pthread_cond_broadcast(&publisher->changed);
    (void)pthread_mutex_unlock(&publisher->lock);
    (void)pthread_join(publisher->thread, NULL);
    (void)pthread_cond_destroy(&publisher->changed);
    (void)pthread_mutex_destroy(&publisher->lock);
    free(publisher);
}
