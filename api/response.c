#include "api/response.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define HEAD_MAX_BYTES 2048

void api_response_init(struct api_response *response)
{
    memset(response, 0, sizeof *response);
    response->status = 204;
    kl_buf_init(&response->body, API_RESPONSE_MAX_BYTES);
}

void api_response_done(struct api_response *response)
{
    api_response_stream_end(response);
    kl_buf_done(&response->body);
}

void api_response_stream_end(struct api_response *response)
{
    if (response->stream.next != NULL) {
        response->stream.done(response->stream.context);
        memset(&response->stream, 0, sizeof response->stream);
    }
}

struct kl_json_out api_response_json(struct api_response *response, int status)
{
    kl_buf_clear(&response->body);
    response->status = status;
    response->content_type = API_TYPE_JSON;
    return kl_json_out(&response->body);
}

/* IMF-fixdate (RFC 9110, 5.6.7), made once a second on each thread. */
static const char *date_text(void)
{
    static const char DAYS[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char MONTHS[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static _Thread_local char text[64];
    static _Thread_local time_t text_of = -1;
    time_t now = time(NULL);
    struct tm tm;

    if (now != text_of && gmtime_r(&now, &tm) != NULL) {
        snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", DAYS[tm.tm_wday],
                 tm.tm_mday, MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
        text_of = now;
    }
    return text;
}

static void write_optional(const struct api_response *response, struct kl_buf *out)
{
    if (response->has_etag) {
        kl_buf_addf(out, "ETag: \"%llu\"\r\n", (unsigned long long)response->etag);
    }
    if (response->location[0] != '\0') {
        kl_buf_addf(out, "Location: %s\r\n", response->location);
    }
    if (response->allow[0] != '\0') {
        kl_buf_addf(out, "Allow: %s\r\n", response->allow);
    }
    if (response->retry_after_s > 0) {
        kl_buf_addf(out, "Retry-After: %d\r\n", response->retry_after_s);
    }
    if (response->challenge) {
        kl_buf_add_text(out, "WWW-Authenticate: Bearer realm=\"kluis\"\r\n");
    }
    if (response->range[0] != '\0') {
        kl_buf_addf(out, "Content-Range: %s\r\n", response->range);
    }
    if (response->stream.next != NULL) {
        /* Whatever it is, no browser shows it as a page of this server. */
        kl_buf_add_text(out, "Accept-Ranges: bytes\r\nContent-Disposition: attachment\r\n"
                             "Content-Security-Policy: sandbox; default-src 'none'\r\n");
    }
    if (response->security[0] != '\0') {
        kl_buf_addf(out, "Content-Security-Policy: %s\r\n", response->security);
    }
    if (response->file_name != NULL) {
        kl_buf_addf(out, "Content-Disposition: attachment; filename=\"%s\"\r\n",
                    response->file_name);
    }
    if (response->next_cursor[0] != '\0') {
        kl_buf_addf(out, "X-Next-Cursor: %s\r\n", response->next_cursor);
    }
    if (response->has_next_entry) {
        kl_buf_addf(out, "X-Next-Entry: %llu\r\n", (unsigned long long)response->next_entry);
    }
    if (response->replayed) {
        kl_buf_add_text(out, "Idempotent-Replayed: true\r\n");
    }
}

enum kl_status api_response_write(const struct api_response *response, const char *request_id,
                                  bool head_only, bool keep_alive, struct kl_buf *ret,
                                  struct kl_err *err)
{
    enum kl_status status = kl_buf_status(&response->body, err);

    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(ret, response->body.size + HEAD_MAX_BYTES);
    kl_buf_addf(ret,
                "HTTP/1.1 %d %s\r\nDate: %s\r\nCache-Control: no-store\r\n"
                "X-Content-Type-Options: nosniff\r\n"
                "X-Request-Id: %s\r\nConnection: %s\r\n",
                response->status, api_status_text(response->status), date_text(), request_id,
                keep_alive ? "keep-alive" : "close");
    write_optional(response, ret);
    if (response->content_type != NULL) {
        kl_buf_addf(ret, "Content-Type: %s\r\nContent-Length: %llu\r\n", response->content_type,
                    response->stream.next != NULL ? (unsigned long long)response->stream.bytes
                                                  : (unsigned long long)response->body.size);
    }
    kl_buf_add(ret, "\r\n", 2);
    if (response->content_type != NULL && !head_only) {
        kl_buf_add(ret, response->body.bytes, response->body.size);
    }
    status = kl_buf_status(ret, err);
    if (status != KL_OK) {
        kl_buf_done(ret);
    }
    return status;
}
