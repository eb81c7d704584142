/*
 * The log: one JSON object a line on stderr. Names of things and ids, never
 * personal data, never a secret. With JOURNAL_STREAM set a line starts with
 * its syslog priority ("<6>", sd-daemon(3)); as systemd.exec(5) asks, only
 * when it names the device and inode that stderr is.
 * Threads: any number; a line is one write(2). errno stays as it was.
 */
#ifndef KLUIS_BASE_LOG_H
#define KLUIS_BASE_LOG_H

#include "kluis/base/status.h"

#include <stdint.h>

/*
 * A longer text is cut; fields that would make a line longer are left out, and it ends with
 * "cut":true.
 */
#define KL_LOG_TEXT_MAX_BYTES 1024
#define KL_LOG_LINE_MAX_BYTES 4096

enum kl_log_level { KL_LOG_DEBUG, KL_LOG_INFO, KL_LOG_WARNING, KL_LOG_ERROR };

/*
 * Lines below this level are not written; KL_LOG_INFO at start. Before the first thread, or with
 * no care for order.
 */
void kl_log_level_set(enum kl_log_level level);

/*
 * Write {"time","level","event", key: value, ...}.
 * event   what happened, snake_case and constant ("server_started").
 * fields  pairs made by the KL_LOG_* macros below, ended by KL_LOG_END.
 */
struct kl_log_field {
    const char *key;
    enum { KL_LOG_FIELD_END, KL_LOG_FIELD_TEXT, KL_LOG_FIELD_INT } kind;
    const char *text;
    int64_t number;
};
#define KL_LOG_TEXT(name, value) \
    ((struct kl_log_field){.key = (name), .kind = KL_LOG_FIELD_TEXT, .text = (value)})
#define KL_LOG_INT(name, value) \
    ((struct kl_log_field){.key = (name), .kind = KL_LOG_FIELD_INT, .number = (int64_t)(value)})
#define KL_LOG_END ((struct kl_log_field){.kind = KL_LOG_FIELD_END})
void kl_log_fields(enum kl_log_level level, const char *event, const struct kl_log_field *fields);
#define kl_log(level, event, ...)   \
    kl_log_fields((level), (event), \
                  (const struct kl_log_field[]){__VA_ARGS__ __VA_OPT__(, ) KL_LOG_END})

/* Log a failure: event, status, code and log_text (client_text where that is empty). */
void kl_log_err(enum kl_log_level level, const char *event, const struct kl_err *err);

#endif
