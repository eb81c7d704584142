#include "cli/common.h"

#include <stdio.h>
#include <string.h>

#define BODY_MAX_BYTES (256 * 1024)

static void disclosures_path(const struct cli_call *call, struct cli_path *path)
{
    cli_path_start(path, "/v1/subjects");
    cli_path_segment(path, call->arguments[0]);
    cli_path_text(path, "/disclosures");
}

enum cli_exit cli_disclosure_list(struct cli_call *call)
{
    static const struct cli_column columns[] = {
        {"RECIPIENT", "recipient"}, {"COUNTRY", "country"}, {"PURPOSE", "purpose"},
        {"FIELDS", "fields"},       {"FIRST", "first_at"},  {"LAST", "last_at"},
        {"TIMES", "count"},         {"CHANNEL", "channel"}, {"NOTE", "note"}};
    struct cli_path path;
    disclosures_path(call, &path);
    return cli_common_show(call, &path, "disclosures", columns, sizeof columns / sizeof columns[0]);
}

/* "a,b,c" as an array. */
static void add_list(struct kl_json_out *out, const char *key, const char *list)
{
    kl_json_key(out, key);
    kl_json_array_begin(out);
    while (*list != '\0') {
        size_t size = strcspn(list, ",");
        kl_json_put_text_n(out, list, size);
        list += size + (list[size] == ',' ? 1 : 0);
    }
    kl_json_array_end(out);
}

enum cli_exit cli_disclosure_add(struct cli_call *call)
{
    static const char *const texts[] = {"recipient", "purpose", "at", "country", "channel"};
    if (!cli_call_is_set(call, "recipient") || !cli_call_is_set(call, "fields")) {
        (void)fprintf(stderr, "kluis: --recipient and --fields are needed: who received what\n");
        return CLI_USAGE;
    }
    struct kl_buf body;
    kl_buf_init(&body, BODY_MAX_BYTES);
    struct kl_json_out out = kl_json_out(&body);
    kl_json_object_begin(&out);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (cli_call_is_set(call, texts[i]))
            kl_json_add_text(&out, texts[i], cli_call_value(call, texts[i]));
    add_list(&out, "fields", cli_call_value(call, "fields"));
    enum kl_status status = cli_common_add_file(call, "note", &out);
    kl_json_object_end(&out);

    struct cli_path path;
    struct cli_response response;
    char key[40];
    disclosures_path(call, &path);
    cli_common_idempotency_key(key);
    struct cli_request request = {.body = &body, .idempotency_key = key};
    if (status == KL_OK)
        status = cli_call_send(call, "POST", path.text, &request, &response);
    kl_buf_done(&body);
    if (status != KL_OK)
        return CLI_FAILED;
    cli_response_done(&response);
    if (!call->quiet)
        (void)puts("noted");
    return CLI_DONE;
}
