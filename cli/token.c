/* Pseudonyms that a recipient has, back to whom they stand for. */
#include "cli/common.h"

#include <stdio.h>
#include <string.h>

static const struct cli_column columns[] = {{"TOKEN", "token"},
                                            {"SUBJECT", "subject"},
                                            {"RECORD", "record"},
                                            {"TYPE", "type"},
                                            {"FIELD", "field"}};

/* The lines of text that are not empty, each a token. */
static void add_tokens(struct kl_json_out *out, const struct kl_buf *text)
{
    size_t at = 0;

    while (at < text->size) {
        const char *line = (const char *)text->bytes + at;
        const char *line_end = memchr(line, '\n', text->size - at);
        size_t size = line_end != NULL ? (size_t)(line_end - line) : text->size - at;
        size_t shown = size > 0 && line[size - 1] == '\r' ? size - 1 : size;

        if (shown > 0)
            kl_json_put_text_n(out, line, shown);
        at += size + 1;
    }
}

static void add_option(const struct cli_call *call, const char *name, struct kl_json_out *out)
{
    if (cli_call_is_set(call, name))
        kl_json_add_text(out, name, cli_call_value(call, name));
}

enum cli_exit cli_token_resolve(struct cli_call *call)
{
    struct kl_buf text = {0}, body;
    struct cli_response response;

    if (!cli_call_is_set(call, "recipient")) {
        (void)fprintf(stderr, "kluis: --recipient says whose tokens they are\n");
        return CLI_USAGE;
    }
    if (cli_input_read(call->arguments[0], &text, &call->err) != KL_OK)
        return CLI_FAILED;
    kl_buf_init(&body, 2 * CLI_INPUT_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    kl_json_key(&out, "tokens");
    kl_json_array_begin(&out);
    add_tokens(&out, &text);
    kl_json_array_end(&out);
    add_option(call, "recipient", &out);
    add_option(call, "purpose", &out);
    add_option(call, "ground", &out);
    kl_json_object_end(&out);
    kl_buf_done(&text);

    struct cli_request request = {.body = &body};
    enum kl_status status = cli_call_send(call, "POST", "/v1/tokens/resolve", &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    enum cli_exit result =
        cli_output_rows(call, &response, "results", columns, sizeof columns / sizeof columns[0]);
    cli_response_done(&response);
    return result;
}
