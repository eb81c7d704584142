/* Files: their bytes in and out, never more than a chunk of them in memory. */
#include "api/input.h"
#include "api/output.h"
#include "api/range.h"
#include "api/routes.h"
#include "kluis/base/encode.h"
#include "kluis/vault/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEDIA_TYPE_UNKNOWN "application/octet-stream"

/* ---- how many at once ---- */

static enum kl_status stream_begin(struct api_app *app, struct kl_err *err)
{
    if (atomic_fetch_add(&app->streams, 1) >= app->streams_max && app->streams_max > 0) {
        atomic_fetch_sub(&app->streams, 1);
        return kl_fail(err, KL_ERR_BUSY, "streams_under_way",
                       "as many files as the server takes at once are coming and going; try again",
                       NULL);
    }
    return KL_OK;
}

static void stream_end(struct api_app *app)
{
    atomic_fetch_sub(&app->streams, 1);
}

/* ---- in ---- */

static enum kl_status check_length(const struct api_request *request, struct kl_err *err)
{
    uint64_t max = request->app->file_max_bytes == 0 ? (uint64_t)VAULT_FILE_MAX_BYTES_DEFAULT
                                                     : request->app->file_max_bytes;

    if (api_head_get(request->head, "Content-Length", NULL) == NULL) {
        return kl_fail(err, KL_ERR_INVALID, "length_required",
                       "say with Content-Length how many bytes the file has", NULL);
    }
    if (request->content_length > max) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "file_too_large",
                        "the file is larger than the %llu bytes that this vault takes",
                        (unsigned long long)max);
    }
    return KL_OK;
}

static enum kl_status upload_input(const struct api_request *request,
                                   struct vault_upload_input *ret_input, struct kl_err *err)
{
    const char *type = api_head_get(request->head, "Content-Type", NULL);
    struct vault_upload_input input = {.subject = request->match.ids[0],
                                       .record = request->match.ids[1],
                                       .field = request->match.name,
                                       .media_type = type == NULL ? MEDIA_TYPE_UNKNOWN : type,
                                       .bytes = request->content_length};
    enum kl_status status = check_length(request, err);

    if (status == KL_OK && api_head_get(request->head, "If-Match", NULL) != NULL) {
        status = api_request_if_match(request, &input.if_version, err);
    }
    if (status == KL_OK) {
        *ret_input = input;
    }
    return status;
}

/* The whole body into the upload, a chunk at a time. */
static enum kl_status take_bytes(struct api_request *request, struct vault_upload *upload,
                                 struct kl_err *err)
{
    size_t left = request->content_length;
    enum kl_status status = KL_OK;
    struct kl_buf piece;

    kl_buf_init(&piece, VAULT_FILE_CHUNK_BYTES);
    while (status == KL_OK && left > 0) {
        size_t step = left < VAULT_FILE_CHUNK_BYTES ? left : VAULT_FILE_CHUNK_BYTES;
        kl_buf_clear(&piece);
        status = request->read_body(request->read_context, step, &piece, err);
        if (status == KL_OK) {
            status = kl_buf_status(&piece, err);
        }
        if (status == KL_OK) {
            status = vault_upload_write(upload, piece.bytes, piece.size, err);
        }
        left -= step;
    }
    kl_buf_done(&piece);
    return status;
}

static enum kl_status take_file(struct api_request *request, const struct vault_upload_input *input,
                                struct api_response *response, uint64_t *ret_version,
                                struct vault_file_info *ret_info, struct kl_err *err)
{
    struct vault_upload *upload = NULL;
    enum kl_status status =
        vault_upload_begin(request->vault, &request->caller, input, &upload, err);

    if (status != KL_OK) {
        return status;
    }
    status = take_bytes(request, upload, err);
    request->body_read = true;
    if (status != KL_OK) {
        response->close = true; /* somewhere in the middle of a body */
    } else {
        status = vault_upload_finish(upload, ret_version, ret_info, err);
    }
    vault_upload_free(upload);
    return status;
}

API_HANDLER(api_file_put)
{
    struct vault_upload_input input;
    struct vault_file_info info = {0};
    char hex[2 * VAULT_FILE_SHA256_BYTES + 1];
    uint64_t version = 0;
    enum kl_status status = upload_input(request, &input, err);

    if (status == KL_OK) {
        status = stream_begin(request->app, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = take_file(request, &input, response, &version, &info, err);
    stream_end(request->app);
    if (status != KL_OK) {
        return status;
    }
    kl_hex(info.sha256, sizeof info.sha256, hex);
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    api_output_id(&out, "id", "rec", &request->match.ids[1]);
    kl_json_add_int(&out, "version", (int64_t)version);
    kl_json_key(&out, "file");
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "size", (int64_t)info.bytes);
    kl_json_add_text(&out, "media_type", info.media_type);
    kl_json_add_text(&out, "sha256", hex);
    kl_json_object_end(&out);
    kl_json_object_end(&out);
    response->has_etag = true;
    response->etag = version;
    return KL_OK;
}

/* ---- out ---- */

struct outgoing {
    struct api_app *app;
    struct vault_download *download;
};

static enum kl_status outgoing_next(void *context, struct kl_slice *ret, struct kl_err *err)
{
    struct outgoing *outgoing = context;

    return vault_download_next(outgoing->download, ret, err);
}

static void outgoing_done(void *context)
{
    struct outgoing *outgoing = context;

    vault_download_free(outgoing->download);
    stream_end(outgoing->app);
    free(outgoing);
}

/* 200 with all of it, or 206 with the range that was asked for. */
static enum kl_status choose_range(const struct api_request *request,
                                   const struct vault_file_info *info,
                                   struct vault_download *download, struct api_response *response,
                                   struct kl_err *err)
{
    struct api_range range;
    uint64_t first = 0;
    uint64_t count = info->bytes;

    response->status = 200;
    response->stream.bytes = info->bytes;
    if (!api_range_parse(api_head_get(request->head, "Range", NULL), &range) ||
        !api_range_counts(api_head_get(request->head, "If-Range", NULL), info->version)) {
        return KL_OK;
    }
    if (!api_range_resolve(&range, info->bytes, &first, &count)) {
        snprintf(response->range, sizeof response->range, "bytes */%llu",
                 (unsigned long long)info->bytes);
        return kl_failf(err, KL_ERR_INVALID, "range_not_satisfiable",
                        "the file has %llu bytes, and none in that range",
                        (unsigned long long)info->bytes);
    }
    vault_download_range(download, first, count);
    response->status = 206;
    response->stream.bytes = count;
    snprintf(response->range, sizeof response->range, "bytes %llu-%llu/%llu",
             (unsigned long long)first, (unsigned long long)(first + count - 1),
             (unsigned long long)info->bytes);
    return KL_OK;
}

static enum kl_status send_file(struct api_request *request, api_file_open open,
                                struct outgoing *outgoing, struct api_response *response,
                                struct kl_err *err)
{
    struct vault_file_info info = {0};
    enum kl_status status = open(request, &outgoing->download, &info, err);

    if (status == KL_OK) {
        status = choose_range(request, &info, outgoing->download, response, err);
    }
    if (status == KL_OK) {
        snprintf(response->media_type, sizeof response->media_type, "%s", info.media_type);
        response->content_type = response->media_type;
        response->has_etag = true;
        response->etag = info.version;
    }
    return status;
}

enum kl_status api_file_send(struct api_request *request, api_file_open open,
                             struct api_response *response, struct kl_err *err)
{
    struct outgoing *outgoing = calloc(1, sizeof *outgoing);
    enum kl_status status =
        outgoing == NULL ? kl_fail_memory(err) : stream_begin(request->app, err);

    if (status != KL_OK) {
        free(outgoing);
        return status;
    }
    outgoing->app = request->app;
    status = send_file(request, open, outgoing, response, err);
    if (status != KL_OK) {
        outgoing_done(outgoing);
        return status;
    }
    response->stream.context = outgoing;
    response->stream.done = outgoing_done;
    response->stream.next = outgoing_next;
    return KL_OK;
}

static enum kl_status open_read(struct api_request *request, struct vault_download **ret_download,
                                struct vault_file_info *ret_info, struct kl_err *err)
{
    struct vault_read_input input = {.subject = request->match.ids[0],
                                     .record = &request->match.ids[1],
                                     .purpose = api_request_query(request, "purpose"),
                                     .recipient = api_request_query(request, "recipient")};
    enum kl_status status =
        api_input_ground(api_request_query(request, "ground"), &input.ground, err);

    return status == KL_OK
               ? vault_download_open(request->vault, &request->caller, &input, request->match.name,
                                     request->arena, ret_download, ret_info, err)
               : status;
}

API_HANDLER(api_file_get)
{
    return api_file_send(request, open_read, response, err);
}
