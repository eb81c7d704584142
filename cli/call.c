#include "cli/command.h"

#include "kluis/base/json.h"

#include <stdio.h>
#include <string.h>

/* Make call->err out of a problem document (RFC 9457). */
static enum kl_status take_problem(struct cli_call *call, const struct cli_response *response)
{
    struct kl_json *json = NULL;
    struct kl_err ignored = {0};
    enum kl_status status = response->status == 404 ? KL_ERR_NOT_FOUND : KL_ERR_REFUSED;
    if (kl_json_parse(response->body.bytes, response->body.size, &json, &ignored) != KL_OK)
        return kl_failf(&call->err, status, "http_error", "the server answered %ld",
                        response->status);

    const struct kl_json_value *root = kl_json_root(json);
    const char *detail = kl_json_text(kl_json_member(root, "detail"));
    const char *title = kl_json_text(kl_json_member(root, "title"));
    const char *code = kl_json_text(kl_json_member(root, "code"));
    (void)kl_failf(
        &call->err, status, code != NULL ? code : "http_error", "%s (HTTP %ld, request %s)",
        detail != NULL  ? detail
        : title != NULL ? title
                        : "refused",
        response->status, response->request_id[0] != '\0' ? response->request_id : "unknown");

    const struct kl_json_value *item = NULL;
    struct kl_json_iter iter = kl_json_iter(kl_json_member(root, "errors"));
    if (kl_json_next(&iter, NULL, &item)) {
        const char *pointer = kl_json_text(kl_json_member(item, "pointer"));
        if (pointer != NULL)
            kl_err_where(&call->err, "%s", pointer);
    }
    kl_json_free(json);
    return status;
}

enum kl_status cli_call_send(struct cli_call *call, const char *method, const char *path,
                             const struct cli_request *request, struct cli_response *ret)
{
    struct cli_path full;
    cli_path_start(&full, path);
    if (strncmp(path, "/v1/stores", 10) != 0 && strncmp(path, "/v1/tenants", 11) != 0) {
        cli_path_query(&full, "tenant", call->profile.tenant);
        cli_path_query(&full, "store", cli_call_value_if_any(call, "store"));
    } /* else the path says whose, or nobody's */
    if (path[0] == '\0' || full.failed)
        return kl_fail(&call->err, KL_ERR_TOO_LARGE, "path_too_long", "the arguments are too long",
                       NULL);

    struct cli_response response;
    enum kl_status status =
        cli_client_send(call->client, method, full.text, request, &response, &call->err);
    if (status != KL_OK)
        return status;
    if (response.status >= 400) {
        status = take_problem(call, &response);
        cli_response_done(&response);
        return status;
    }
    *ret = response;
    return KL_OK;
}
