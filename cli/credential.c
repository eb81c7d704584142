#include "cli/common.h"

#include "kluis/base/file.h"

#include <stdio.h>
#include <string.h>

static const struct cli_column credential_columns[] = {{"ID", "id"},
                                                       {"ROLE", "role"},
                                                       {"PURPOSES", "purposes"},
                                                       {"LOCATION", "location"},
                                                       {"RECIPIENT", "recipient"},
                                                       {"KIND", "kind"},
                                                       {"CREATED", "created_at"},
                                                       {"EXPIRES", "expires_at"},
                                                       {"REVOKED", "revoked_at"},
                                                       {"REASON", "reason"}};
#define COLUMN_COUNT (sizeof credential_columns / sizeof credential_columns[0])

static enum kl_status create_body(struct cli_call *call, struct kl_buf *body)
{
    struct kl_json_out out = kl_json_out(body);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "role", cli_call_value(call, "role"));
    const char *purposes = cli_call_value(call, "purposes");
    if (purposes != NULL) {
        kl_json_key(&out, "purposes");
        kl_json_array_begin(&out);
        for (const char *at = purposes; *at != '\0';) {
            size_t size = strcspn(at, ",");
            kl_json_put_text_n(&out, at, size);
            at += size + (at[size] == ',');
        }
        kl_json_array_end(&out);
    }
    if (cli_call_is_set(call, "location"))
        kl_json_add_text(&out, "location", cli_call_value(call, "location"));
    if (cli_call_is_set(call, "recipient"))
        kl_json_add_text(&out, "recipient", cli_call_value(call, "recipient"));
    if (cli_call_is_set(call, "subject"))
        kl_json_add_text(&out, "subject", cli_call_value(call, "subject"));
    if (cli_call_is_set(call, "client-certificate"))
        kl_json_add_text(&out, "certificate_sha256", cli_call_value(call, "client-certificate"));
    const char *expires = cli_call_value(call, "expires-in");
    kl_json_add_text(&out, "expires_in", expires != NULL ? expires : "P90D");
    enum kl_status status = cli_common_add_file(call, "reason", &out);
    kl_json_object_end(&out);
    return status;
}

/* Write the token of the answer to a new file, so that it is never on a screen. */
static enum kl_status keep_token(struct cli_call *call, const struct kl_json_value *answer,
                                 const char *file)
{
    const char *token = kl_json_text(kl_json_member(answer, "token"));
    if (token == NULL)
        return kl_fail(&call->err, KL_ERR_REFUSED, "no_token", "the answer holds no token", NULL);
    struct kl_buf line;
    kl_buf_init(&line, 256);
    kl_buf_add_text(&line, token);
    kl_buf_add_byte(&line, '\n');
    enum kl_status status = kl_file_create(file, 0600, line.bytes, line.size, &call->err);
    kl_buf_done(&line);
    return status;
}

static enum cli_exit show_created(struct cli_call *call, const struct cli_response *response)
{
    const char *file = cli_call_value(call, "out");
    struct kl_json *json = NULL;
    if (kl_json_parse(response->body.bytes, response->body.size, &json, &call->err) != KL_OK)
        return CLI_FAILED;
    const struct kl_json_value *root = kl_json_root(json);
    enum cli_exit result = CLI_DONE;
    if (file != NULL) {
        if (keep_token(call, root, file) != KL_OK)
            result = CLI_FAILED;
        else
            (void)printf("%s\n", kl_json_text(kl_json_member(root, "id")));
    } else if (call->format == CLI_FORMAT_TABLE) {
        const char *token = kl_json_text(kl_json_member(root, "token"));
        result = cli_output_rows(call, response, NULL, credential_columns, COLUMN_COUNT);
        if (token != NULL && token[0] != '\0')
            (void)printf("\ntoken, shown this once:\n%s\n", token);
    } else {
        cli_output_json(response);
    }
    kl_json_free(json);
    return result;
}

enum cli_exit cli_credential_create(struct cli_call *call)
{
    if (!cli_call_is_set(call, "role")) {
        (void)fprintf(stderr, "kluis: --role is needed\n");
        return CLI_USAGE;
    }
    struct kl_buf body;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    char key[40];
    cli_common_idempotency_key(key);
    struct cli_response response;
    enum kl_status status = create_body(call, &body);
    if (status == KL_OK) {
        struct cli_request request = {.body = &body, .idempotency_key = key};
        status = cli_call_send(call, "POST", "/v1/credentials", &request, &response);
    }
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = show_created(call, &response);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_credential_list(struct cli_call *call)
{
    struct cli_path path;
    cli_path_start(&path, "/v1/credentials");
    cli_common_page(call, &path);
    return cli_common_show(call, &path, "credentials", credential_columns, COLUMN_COUNT);
}

enum cli_exit cli_credential_revoke(struct cli_call *call)
{
    if (!cli_input_confirm(call, "Revoke this credential? Who uses it is locked out at once."))
        return CLI_FAILED;
    struct cli_path path;
    struct cli_response response;
    cli_path_start(&path, "/v1/credentials");
    cli_path_segment(&path, call->arguments[0]);
    if (cli_call_send(call, "DELETE", path.text, NULL, &response) != KL_OK)
        return CLI_FAILED;
    cli_response_done(&response);
    if (!call->quiet)
        (void)puts("revoked");
    return CLI_DONE;
}
