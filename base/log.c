#include "kluis/base/log.h"

#include "kluis/base/buf.h"
#include "kluis/base/encode.h"
#include "kluis/base/json.h"
#include "kluis/base/time.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a line ends with when it was cut, and its line feed. */
#define LINE_TAIL_BYTES 16
/*
 * One field on top of a full line: every byte of key and text escaped as \u00xx, and what is
 * between.
 */
#define FIELD_MAX_BYTES (2 * KL_LOG_TEXT_MAX_BYTES * 6 + 64)

static const struct {
    const char *name;
    char priority; /* syslog(3) */
} LEVELS[] = {
    [KL_LOG_DEBUG] = {"debug", '7'},
    [KL_LOG_INFO] = {"info", '6'},
    [KL_LOG_WARNING] = {"warning", '4'},
    [KL_LOG_ERROR] = {"error", '3'},
};

static _Atomic int g_level = KL_LOG_INFO;

static pthread_once_t g_journal_once = PTHREAD_ONCE_INIT;
static bool g_journal; /* written within g_journal_once, read-only after */

static void journal_find(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat info;
    char text[48];

    if (stream == NULL || fstat(STDERR_FILENO, &info) != 0) {
        return;
    }
    (void)snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)info.st_dev, (uintmax_t)info.st_ino);
    g_journal = strcmp(stream, text) == 0;
}

void kl_log_level_set(enum kl_log_level level)
{
    atomic_store_explicit(&g_level, (int)level, memory_order_relaxed);
}

static void put_text_cut(struct kl_json_out *out, const char *text)
{
    size_t size = strnlen(text, KL_LOG_TEXT_MAX_BYTES + 1);

    if (size > KL_LOG_TEXT_MAX_BYTES) {
        size = kl_utf8_cut(text, size, KL_LOG_TEXT_MAX_BYTES);
    }
    kl_json_put_text_n(out, text, size);
}

static void put_field(struct kl_json_out *out, const struct kl_log_field *field)
{
    assert(strlen(field->key) <= KL_LOG_TEXT_MAX_BYTES);
    kl_json_key(out, field->key);
    if (field->kind == KL_LOG_FIELD_INT) {
        kl_json_put_int(out, field->number);
    } else if (field->text == NULL) {
        kl_json_put_null(out);
    } else {
        put_text_cut(out, field->text);
    }
}

/*
 * Write the fields that fit the line; the first that does not is taken back, and the line says so.
 */
static void put_fields(struct kl_json_out *out, const struct kl_log_field *fields)
{
    for (; fields->kind != KL_LOG_FIELD_END; fields++) {
        struct kl_json_out before = *out;
        size_t size = out->buf->size;

        put_field(out, fields);
        if (out->buf->size > KL_LOG_LINE_MAX_BYTES - LINE_TAIL_BYTES) {
            *out = before;
            out->buf->size = size;
            kl_json_add_bool(out, "cut", true);
            return;
        }
    }
}

/* One write(2); the rest of a short one follows, and a stream that takes no more loses the line. */
static void line_write(const struct kl_buf *line)
{
    size_t done = 0;

    while (done < line->size) {
        ssize_t put = write(STDERR_FILENO, line->bytes + done, line->size - done);
        if (put < 0 && errno != EINTR) {
            return;
        }
        done += put > 0 ? (size_t)put : 0;
    }
}

void kl_log_fields(enum kl_log_level level, const char *event, const struct kl_log_field *fields)
{
    int saved_errno = errno;
    struct kl_buf line;
    struct kl_json_out out;

    assert((size_t)level < sizeof(LEVELS) / sizeof(LEVELS[0]));
    if ((int)level < atomic_load_explicit(&g_level, memory_order_relaxed)) {
        return;
    }
    (void)pthread_once(&g_journal_once, journal_find);
    kl_buf_init(&line, KL_LOG_LINE_MAX_BYTES + FIELD_MAX_BYTES);
    if (g_journal) {
        const char prefix[] = {'<', LEVELS[level].priority, '>'};
        kl_buf_add(&line, prefix, sizeof(prefix));
    }
    out = kl_json_out(&line);
    kl_json_object_begin(&out);
    kl_json_add_time(&out, "time", kl_time_now_us());
    kl_json_add_text(&out, "level", LEVELS[level].name);
    kl_json_key(&out, "event");
    put_text_cut(&out, event);
    put_fields(&out, fields);
    kl_json_object_end(&out);
    kl_buf_add_byte(&line, '\n');
    if (!line.failed) {
        line_write(&line);
    }
    kl_buf_done(&line);
    errno = saved_errno;
}

void kl_log_err(enum kl_log_level level, const char *event, const struct kl_err *err)
{
    const struct kl_log_field fields[] = {
        KL_LOG_TEXT("status", kl_status_name(err->status)),
        KL_LOG_TEXT("code", err->code),
        KL_LOG_TEXT("text", err->log_text[0] != '\0' ? err->log_text : err->client_text),
        KL_LOG_END,
    };

    kl_log_fields(level, event, fields);
}
