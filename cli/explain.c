#include "cli/common.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

static int64_t number(const struct kl_json_value *object, const char *member)
{
    int64_t value = 0;
    (void)kl_json_int(kl_json_member(object, member), &value);
    return value;
}

static const char *text(const struct kl_json_value *object, const char *member)
{
    const char *value = kl_json_text(kl_json_member(object, member));
    return value != NULL ? value : "";
}

/* What an edit puts in or takes out, without the spaces and ends of line around it. */
static void print_trimmed(const char *verb, const char *bytes)
{
    size_t size;
    bytes += strspn(bytes, " \n");
    size = strlen(bytes);
    while (size > 0 && (bytes[size - 1] == ' ' || bytes[size - 1] == '\n'))
        size--;
    if (size > 0)
        (void)printf(" %s %.*s", verb, (int)size, bytes);
}

static void print_edit(const struct kl_json_value *edit)
{
    (void)printf("      line %" PRId64 ", column %" PRId64 " (%s):", number(edit, "line"),
                 number(edit, "column"), text(edit, "where"));
    print_trimmed("take out", text(edit, "remove"));
    print_trimmed("put in", text(edit, "insert"));
    if (text(edit, "choose")[0] != '\0')
        (void)printf("  [the %s is an example: name the one that is true]", text(edit, "choose"));
    (void)printf("\n");
}

static void print_change(const struct kl_json_value *change)
{
    const struct kl_json_value *edit = NULL;
    (void)printf("    change the policy (other answers: %" PRId64 " newly allowed, %" PRId64
                 " newly withheld; its own tests that fail: %" PRId64 ")\n",
                 number(change, "also_allows"), number(change, "also_withholds"),
                 number(change, "tests_failed"));
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(change, "edits"));
         kl_json_next(&iter, NULL, &edit);)
        print_edit(edit);
}

/* What would alter the answer: one of the changes, with all that must happen. */
static void print_remedy(const struct kl_json_value *field)
{
    const struct kl_json_value *item = NULL;
    bool shown = kl_json_bool(kl_json_member(field, "shown"));
    (void)printf("\n%s: it is %s unless\n", text(field, "field"), shown ? "shown" : "withheld");
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(field, "must_happen"));
         kl_json_next(&iter, NULL, &item);)
        (void)printf("    %s\n", text(item, "detail"));
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(field, "changes"));
         kl_json_next(&iter, NULL, &item);)
        print_change(item);
    if (!kl_json_bool(kl_json_member(field, "searched")))
        (void)printf("    (not looked for to the end: ask about fewer fields)\n");
}

/* A steward's; a role is told nothing of the kind. */
static enum cli_exit print_remedies(struct cli_call *call, const struct cli_response *response)
{
    struct kl_json *json = NULL;
    const struct kl_json_value *field = NULL;
    if (kl_json_parse(response->body.bytes, response->body.size, &json, &call->err) != KL_OK)
        return CLI_FAILED;
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(kl_json_root(json), "fields"));
         kl_json_next(&iter, NULL, &field);) {
        const struct kl_json_value *first = NULL;
        struct kl_json_iter changes = kl_json_iter(kl_json_member(field, "changes"));
        struct kl_json_iter needs = kl_json_iter(kl_json_member(field, "must_happen"));
        if (kl_json_next(&changes, NULL, &first) || kl_json_next(&needs, NULL, &first))
            print_remedy(field);
    }
    kl_json_free(json);
    return CLI_DONE;
}

enum cli_exit cli_policy_explain(struct cli_call *call)
{
    struct kl_buf body;
    kl_buf_init(&body, CLI_INPUT_MAX_BYTES);
    explain_body(call, &body);
    struct cli_request request = {.body = &body};
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
    if (result == CLI_DONE && call->format == CLI_FORMAT_TABLE)
        result = print_remedies(call, &response);
    cli_response_done(&response);
    return result;
}
