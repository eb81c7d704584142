#include "cli/common.h"

#include <stdio.h>
#include <string.h>

enum cli_exit cli_policy_show(struct cli_call *call)
{
    struct cli_response response;
    if (cli_call_send(call, "GET", "/v1/policy", NULL, &response) != KL_OK)
        return CLI_FAILED;
    (void)fwrite(response.body.bytes, 1, response.body.size, stdout);
    cli_response_done(&response);
    return CLI_DONE;
}

/* file:line:column: error: text, the way compilers say it. */
static void print_findings(const struct kl_json_value *findings, const char *file)
{
    const struct kl_json_value *item = NULL;
    for (struct kl_json_iter iter = kl_json_iter(findings); kl_json_next(&iter, NULL, &item);) {
        const char *place = kl_json_text(kl_json_member(item, "place"));
        const char *severity = kl_json_text(kl_json_member(item, "severity"));
        const char *detail = kl_json_text(kl_json_member(item, "detail"));
        (void)fprintf(stderr, "%s:%s%s %s: %s\n", file, place != NULL ? place : "",
                      place != NULL ? ":" : "", severity != NULL ? severity : "error",
                      detail != NULL ? detail : "");
    }
}

/* Send the file as a policy; whatever the answer, its findings are shown. ret_response only on KL_OK. */
static enum kl_status send_policy(struct cli_call *call, const char *method, const char *path,
                                  struct cli_response *ret_response)
{
    struct kl_buf text = {0};
    enum kl_status status = cli_input_read(call->arguments[0], &text, &call->err);
    if (status != KL_OK)
        return status;
    struct cli_path full;
    cli_path_start(&full, path);
    cli_path_query(&full, "tenant", call->profile.tenant);
    struct cli_request request = {.content_type = "application/yaml", .body = kl_buf_slice(&text)};
    struct cli_response response;
    status = cli_client_send(call->client, method, full.text, &request, &response, &call->err);
    kl_buf_done(&text);
    if (status != KL_OK)
        return status;

    struct kl_json *json = NULL;
    struct kl_err ignored = {0};
    if (kl_json_parse(response.body.bytes, response.body.size, &json, &ignored) == KL_OK) {
        const struct kl_json_value *root = kl_json_root(json);
        if (call->format != CLI_FORMAT_JSON || response.status >= 400)
            print_findings(kl_json_member(root, response.status >= 400 ? "errors" : "findings"),
                           call->arguments[0]);
        const char *detail = kl_json_text(kl_json_member(root, "detail"));
        const char *code = kl_json_text(kl_json_member(root, "code"));
        if (response.status >= 400)
            status = kl_fail(&call->err, KL_ERR_REFUSED, code != NULL ? code : "http_error",
                             detail != NULL ? detail : "the server refused the policy", NULL);
    } else if (response.status >= 400) {
        status = kl_failf(&call->err, KL_ERR_REFUSED, "http_error", "the server answered %ld",
                          response.status);
    }
    kl_json_free(json);
    if (status != KL_OK)
        cli_response_done(&response);
    else
        *ret_response = response;
    return status;
}

enum cli_exit cli_policy_check(struct cli_call *call)
{
    struct cli_response response;
    if (send_policy(call, "POST", "/v1/policy/check", &response) != KL_OK)
        return CLI_FAILED;
    struct kl_json *json = NULL;
    bool valid = false;
    if (kl_json_parse(response.body.bytes, response.body.size, &json, &call->err) == KL_OK)
        valid = kl_json_bool(kl_json_member(kl_json_root(json), "valid"));
    if (call->format == CLI_FORMAT_JSON)
        cli_output_json(&response);
    else if (!call->quiet)
        (void)printf("%s: %s\n", call->arguments[0],
                     valid ? "valid, all its tests pass" : "not valid");
    kl_json_free(json);
    cli_response_done(&response);
    return valid ? CLI_DONE : CLI_FAILED;
}

enum cli_exit cli_policy_apply(struct cli_call *call)
{
    struct cli_response response;
    if (send_policy(call, "PUT", "/v1/policy", &response) != KL_OK)
        return CLI_FAILED;
    static const struct cli_column columns[] = {
        {"POLICY", "policy"}, {"VERSION", "version"}, {"NUMBER", "number"}};
    enum cli_exit result =
        cli_output_rows(call, &response, NULL, columns, sizeof columns / sizeof columns[0]);
    cli_response_done(&response);
    return result;
}

static void explain_body(const struct cli_call *call, struct kl_buf *body)
{
    static const char *const texts[] = {"role", "purpose",   "action",
                                        "from", "recipient", "subject"};
    struct kl_json_out out = kl_json_out(body);
    kl_json_object_begin(&out);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (cli_call_is_set(call, texts[i]))
            kl_json_add_text(&out, texts[i], cli_call_value(call, texts[i]));
    kl_json_key(&out, "fields");
    kl_json_array_begin(&out);
    for (const char *at = cli_call_value(call, "fields"); at != NULL && *at != '\0';) {
        size_t size = strcspn(at, ",");
        kl_json_put_text_n(&out, at, size);
        at += size + (at[size] == ',');
    }
    kl_json_array_end(&out);
    kl_json_object_end(&out);
}

enum cli_exit cli_policy_explain(struct cli_call *call)
{
    struct kl_buf body;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    explain_body(call, &body);
    struct cli_request request = {.body = kl_buf_slice(&body)};
    struct cli_response response;
    enum kl_status status = cli_call_send(call, "POST", "/v1/explain", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    static const struct cli_column columns[] = {{"FIELD", "field"},
                                                {"SHOWN", "shown"},
                                                {"VIEW", "view"},
                                                {"WITHHELD BY", "withheld"},
                                                {"GATES", "gates"}};
    enum cli_exit result =
        cli_output_rows(call, &response, "fields", columns, sizeof columns / sizeof columns[0]);
    cli_response_done(&response);
    return result;
}
