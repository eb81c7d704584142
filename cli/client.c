#include "cli/client.h"

#include "cli/profile.h"
#include "kluis/base/file.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CREDENTIAL_MAX_BYTES 512
#define CONNECT_TIMEOUT_S 10L
#define TOTAL_TIMEOUT_S 600L
/* A stream may take as long as it likes, while something moves. */
#define STALL_TIMEOUT_S 60L

struct cli_client {
    CURL *curl;
    const struct cli_profile *profile;
    struct kl_buf authorization; /* the whole header line, or empty */
};

static enum kl_status read_token(const char *path, struct kl_buf *authorization, struct kl_err *err)
{
    struct kl_buf file = {0};
    enum kl_status status = kl_file_read(path, CREDENTIAL_MAX_BYTES, &file, err);
    if (status != KL_OK)
        return status;

    size_t size = file.size;
    while (size > 0 && (file.bytes[size - 1] == '\n' || file.bytes[size - 1] == '\r' ||
                        file.bytes[size - 1] == ' '))
        size--;
    for (size_t i = 0; i < size; i++)
        if (file.bytes[i] <= ' ' || file.bytes[i] > '~') {
            kl_buf_done(&file);
            return kl_failf(err, KL_ERR_INVALID, "invalid_credential_file",
                            "%s does not hold a token: one line starting with kl_ is expected",
                            path);
        }
    kl_buf_add_text(authorization, "Authorization: Bearer ");
    kl_buf_add(authorization, file.bytes, size);
    kl_buf_done(&file);
    return kl_buf_status(authorization, err);
}

enum kl_status cli_client_new(const struct cli_profile *profile, struct cli_client **ret_client,
                              struct kl_err *err)
{
    if (profile->server == NULL)
        return kl_fail(err, KL_ERR_INVALID, "no_server",
                       "no server: give --server https://HOST:PORT, or a profile that names one",
                       NULL);
    if (strncasecmp(profile->server, "https://", 8) != 0)
        return kl_fail(err, KL_ERR_INVALID, "no_tls",
                       "the server must be given as https://HOST:PORT", NULL);

    struct cli_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "out of memory", NULL);
    client->profile = profile;
    kl_buf_init(&client->authorization, CREDENTIAL_MAX_BYTES + 64);

    enum kl_status status = KL_OK;
    client->curl = curl_easy_init();
    if (client->curl == NULL)
        status = kl_fail(err, KL_ERR_INTERNAL, "curl", "the HTTP client does not start", NULL);
    if (status == KL_OK && profile->credential != NULL)
        status = read_token(profile->credential, &client->authorization, err);
    if (status != KL_OK) {
        cli_client_free(client);
        return status;
    }
    *ret_client = client;
    return KL_OK;
}

void cli_client_free(struct cli_client *client)
{
    if (client == NULL)
        return;
    if (client->curl != NULL)
        curl_easy_cleanup(client->curl);
    kl_buf_done(&client->authorization);
    free(client);
}

/* Where a response goes: its body in memory, or a stream. */
struct taking {
    CURL *curl;
    struct cli_response *response;
    struct cli_stream *stream; /* NULL: none, or one that goes up */
    bool file_failed;
};

static size_t take_streamed(char *bytes, size_t size, size_t count, void *context)
{
    struct taking *taking = context;
    long status = 0;
    curl_easy_getinfo(taking->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status >= 300) {
        kl_buf_add(&taking->response->body, bytes, size * count);
        return taking->response->body.failed ? 0 : size * count;
    }
    taking->file_failed = fwrite(bytes, size, count, taking->stream->file) != count;
    return taking->file_failed ? 0 : size * count;
}

static size_t give_streamed(char *into, size_t size, size_t count, void *context)
{
    struct cli_stream *stream = context;
    size_t got = fread(into, size, count, stream->file);
    return got == 0 && ferror(stream->file) ? CURL_READFUNC_ABORT : got * size;
}

static int show_progress(void *context, curl_off_t down_of, curl_off_t down, curl_off_t up_of,
                         curl_off_t up)
{
    const struct cli_stream *stream = context;
    curl_off_t of = stream->up ? up_of : down_of;
    if (of > 0)
        stream->progress(stream->what, (double)(stream->up ? up : down) / (double)of);
    return 0;
}

static void set_stream(CURL *curl, struct cli_stream *stream, struct taking *taking)
{
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 0L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_TIMEOUT_S);
    if (stream->up) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_streamed);
        curl_easy_setopt(curl, CURLOPT_READDATA, stream);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)stream->bytes);
    } else {
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_streamed);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, taking);
    }
    if (stream->progress != NULL) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, show_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, stream);
    }
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct cli_response *response = context;
    kl_buf_add(&response->body, bytes, size * count);
    return response->body.failed ? 0 : size * count;
}

/* Copy the value of header `name` (with its colon) from a header line into out, when it is that one. */
static void header_value(const char *line, size_t size, const char *name, char *out,
                         size_t out_bytes)
{
    size_t name_bytes = strlen(name);
    if (size <= name_bytes || strncasecmp(line, name, name_bytes) != 0)
        return;
    size_t from = name_bytes, to = size;
    while (from < to && (line[from] == ' ' || line[from] == '\t'))
        from++;
    while (to > from && (line[to - 1] == '\r' || line[to - 1] == '\n' || line[to - 1] == ' '))
        to--;
    if (to - from >= out_bytes)
        return;
    memcpy(out, line + from, to - from);
    out[to - from] = '\0';
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
    struct cli_response *response = context;
    header_value(line, size * count, "ETag:", response->etag, sizeof response->etag);
    header_value(line, size * count, "X-Request-Id:", response->request_id,
                 sizeof response->request_id);
    header_value(line, size * count, "X-Next-Cursor:", response->next_cursor,
                 sizeof response->next_cursor);
    header_value(line, size * count, "X-Next-Entry:", response->next_entry,
                 sizeof response->next_entry);
    return size * count;
}

static enum kl_status connection_failed(CURLcode code, const char *server, struct kl_err *err)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return kl_failf(
            err, KL_ERR_UNAVAILABLE, "server_not_trusted",
            "%s shows a certificate that the CA does not vouch for: check --ca and the host name",
            server);
    case CURLE_SSL_CACERT_BADFILE:
        return kl_fail(err, KL_ERR_INVALID, "ca_unreadable",
                       "the CA file cannot be read: check --ca", NULL);
    case CURLE_SSL_CERTPROBLEM:
        return kl_fail(
            err, KL_ERR_INVALID, "certificate_unreadable",
            "the client certificate or its key cannot be used: check --certificate and --key",
            NULL);
    case CURLE_OPERATION_TIMEDOUT:
        return kl_failf(err, KL_ERR_UNAVAILABLE, "server_timeout",
                        "%s did not answer in time: try again", server);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return kl_failf(err, KL_ERR_UNAVAILABLE, "cut_short",
                        "%s ended the connection before all was there", server);
    case CURLE_WRITE_ERROR:
        return kl_fail(err, KL_ERR_TOO_LARGE, "response_too_large",
                       "the answer is too large: ask for less (--limit, --fields)", NULL);
    default:
        return kl_failf(err, KL_ERR_UNAVAILABLE, "server_unreachable", "could not reach %s: %s",
                        server, curl_easy_strerror(code));
    }
}

static bool has_body(const struct cli_request *request)
{
    return request->body != NULL && request->body->size > 0;
}

static struct curl_slist *request_headers(const struct cli_client *client,
                                          const struct cli_request *request)
{
    char line[512];
    struct curl_slist *headers = NULL;
    if (client->authorization.size > 0)
        headers = curl_slist_append(headers, (const char *)client->authorization.bytes);
    if (request == NULL || request->stream == NULL || !request->stream->up)
        headers =
            curl_slist_append(headers, "Expect:"); /* else a refusal comes before the file goes */
    if (request == NULL)
        return headers;
    if (has_body(request) || (request->stream != NULL && request->stream->up)) {
        (void)snprintf(line, sizeof line, "Content-Type: %s",
                       request->content_type != NULL ? request->content_type : "application/json");
        headers = curl_slist_append(headers, line);
    }
    if (request->if_match != NULL) {
        (void)snprintf(line, sizeof line, "If-Match: %s", request->if_match);
        headers = curl_slist_append(headers, line);
    }
    if (request->idempotency_key != NULL) {
        (void)snprintf(line, sizeof line, "Idempotency-Key: %s", request->idempotency_key);
        headers = curl_slist_append(headers, line);
    }
    return headers;
}

static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *at = headers; at != NULL; at = at->next)
        sodium_memzero(at->data, strlen(at->data));
    curl_slist_free_all(headers);
}

static void set_connection(CURL *curl, const struct cli_profile *profile)
{
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TOTAL_TIMEOUT_S);
    if (profile->ca != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, profile->ca);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (profile->certificate != NULL)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, profile->certificate);
    if (profile->key != NULL)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, profile->key);
}

enum kl_status cli_client_send(struct cli_client *client, const char *method, const char *path,
                               const struct cli_request *request, struct cli_response *ret,
                               struct kl_err *err)
{
    char url[CLI_PATH_MAX_BYTES + 512];
    size_t server_bytes = strlen(client->profile->server);
    while (server_bytes > 0 && client->profile->server[server_bytes - 1] == '/')
        server_bytes--;
    int written =
        snprintf(url, sizeof url, "%.*s%s", (int)server_bytes, client->profile->server, path);
    if (path[0] != '/' || written < 0 || (size_t)written >= sizeof url)
        return kl_fail(err, KL_ERR_TOO_LARGE, "path_too_long", "the request's address is too long",
                       NULL);
    if (request != NULL && request->body != NULL && request->body->failed)
        return kl_fail(err, KL_ERR_TOO_LARGE, "body_too_long",
                       "what is to be sent is too long, or memory is at its end", NULL);

    struct cli_response response = {0};
    kl_buf_init(&response.body, CLI_RESPONSE_MAX_BYTES);
    struct curl_slist *headers = request_headers(client, request);

    CURL *curl = client->curl;
    curl_easy_reset(curl);
    set_connection(curl, client->profile);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &response);
    struct taking taking = {.curl = curl, .response = &response};
    if (request != NULL && request->stream != NULL) {
        taking.stream = request->stream;
        set_stream(curl, request->stream, &taking);
    } else if (request != NULL && has_body(request)) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)request->body->bytes);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body->size);
    } else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }

    CURLcode code = curl_easy_perform(curl);
    free_headers(headers);
    if (code == CURLE_ABORTED_BY_CALLBACK || taking.file_failed) {
        cli_response_done(&response);
        return kl_fail(err, KL_ERR_IO, "stream_file", "the file cannot be read or written", NULL);
    }
    if (code != CURLE_OK) {
        cli_response_done(&response);
        return connection_failed(code, client->profile->server, err);
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
    *ret = response;
    return KL_OK;
}

void cli_response_done(struct cli_response *response)
{
    if (response != NULL)
        kl_buf_done(&response->body);
}

void cli_path_text(struct cli_path *path, const char *text)
{
    size_t size = strlen(text);
    if (path->failed || size >= sizeof path->text - path->size) {
        path->failed = true;
        path->text[0] = '\0'; /* what is left of it is no path of anything */
        return;
    }
    memcpy(path->text + path->size, text, size + 1);
    path->size += size;
}

void cli_path_start(struct cli_path *path, const char *text)
{
    path->size = 0;
    path->has_query = strchr(text, '?') != NULL;
    path->failed = false;
    path->text[0] = '\0';
    cli_path_text(path, text);
}

static void add_encoded(struct cli_path *path, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' ||
                     byte == '~';
        char encoded[4];
        (void)snprintf(encoded, sizeof encoded, plain ? "%c" : "%%%02X", byte);
        cli_path_text(path, encoded);
    }
}

void cli_path_segment(struct cli_path *path, const char *segment)
{
    cli_path_text(path, "/");
    add_encoded(path, segment);
}

void cli_path_query(struct cli_path *path, const char *name, const char *value)
{
    if (value == NULL)
        return;
    cli_path_text(path, path->has_query ? "&" : "?");
    path->has_query = true;
    add_encoded(path, name);
    cli_path_text(path, "=");
    add_encoded(path, value);
}
