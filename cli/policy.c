#include "cli/common.h"

#include <inttypes.h>
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

/* Send the file as a policy (path: without the tenant yet); whatever the answer, its findings are shown. ret_response only on KL_OK. */
static enum kl_status send_policy(struct cli_call *call, const char *method, struct cli_path *path,
                                  struct cli_response *ret_response)
{
    struct kl_buf text = {0};
    enum kl_status status = cli_input_read(call->arguments[0], &text, &call->err);
    if (status != KL_OK)
        return status;
    cli_path_query(path, "tenant", call->profile.tenant);
    struct cli_request request = {.content_type = "application/yaml", .body = &text};
    struct cli_response response;
    status = cli_client_send(call->client, method, path->text, &request, &response, &call->err);
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
    struct cli_path path;
    cli_path_start(&path, "/v1/policy/check");
    if (send_policy(call, "POST", &path, &response) != KL_OK)
        return CLI_FAILED;
    struct kl_json *json = NULL;
    bool valid = false;
    const char *keep = NULL;
    if (kl_json_parse(response.body.bytes, response.body.size, &json, &call->err) == KL_OK) {
        valid = kl_json_bool(kl_json_member(kl_json_root(json), "valid"));
        keep = kl_json_text(kl_json_member(kl_json_root(json), "audit_keep"));
    }
    if (call->format == CLI_FORMAT_JSON)
        cli_output_json(&response);
    else if (!call->quiet)
        (void)printf("%s: %s\n", call->arguments[0],
                     valid ? "valid, all its tests pass" : "not valid");
    if (call->format != CLI_FORMAT_JSON && !call->quiet && keep != NULL)
        (void)printf("entries of the audit trail are kept %s%s\n",
                     strcmp(keep, "for ever") == 0 ? "" : "for ", keep);
    kl_json_free(json);
    cli_response_done(&response);
    return valid ? CLI_DONE : CLI_FAILED;
}

static int64_t number(const struct kl_json_value *object, const char *member)
{
    int64_t value = 0;
    (void)kl_json_int(kl_json_member(object, member), &value);
    return value;
}

static void print_extent(const struct kl_json_value *root, const char *member, const char *what)
{
    const struct kl_json_value *extent = kl_json_member(root, member);
    (void)printf("%s: %" PRId64 " answers of %" PRId64 " roles, about %" PRId64 " fields\n", what,
                 number(extent, "answers"), number(extent, "roles"), number(extent, "fields"));
}

/* The numbers of people and records, in sentences; what is none is not said. */
static void print_people(const struct kl_json_value *people)
{
    static const struct {
        const char *member;
        const char *text;
    } counts[] = {
        {"newly_due", "records would newly fall due and be erased"},
        {"no_longer_due", "records that are due would be kept"},
        {"consents_lost", "consents would count no longer"},
        {"consents_regained", "consents would count that do not now"},
        {"unknown_records", "records are of types that are gone: it cannot be put in force"},
        {"unknown_fields", "stored fields are gone: it cannot be put in force"},
        {"unreadable", "people's records do not open, and were not counted"},
    };
    bool complete = kl_json_bool(kl_json_member(people, "complete"));
    (void)printf("looked at %" PRId64 " people with %" PRId64 " records%s\n",
                 number(people, "subjects"), number(people, "records"),
                 complete ? "" : "; there are more, so each number is 'at least'");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (number(people, counts[i].member) > 0)
            (void)printf("%s%" PRId64 " %s\n", complete ? "" : "at least ",
                         number(people, counts[i].member), counts[i].text);
}

static void print_alerts(const struct kl_json_value *alerts)
{
    struct kl_json_iter iter = kl_json_iter(alerts);
    const struct kl_json_value *alert = NULL;
    while (kl_json_next(&iter, NULL, &alert)) {
        const char *role = kl_json_text(kl_json_member(alert, "role"));
        const char *texts[] = {kl_json_text(kl_json_member(alert, "alert")),
                               kl_json_text(kl_json_member(alert, "was")),
                               kl_json_text(kl_json_member(alert, "now"))};
        if (texts[0] != NULL && texts[1] != NULL && texts[2] != NULL)
            (void)printf("%s: alert %s: %s -> %s\n", role == NULL ? "all roles" : role, texts[0],
                         texts[1], texts[2]);
    }
}

static enum cli_exit print_diff(struct cli_call *call, const struct cli_response *response)
{
    static const struct cli_column columns[] = {
        {"CHANGE", "change"},   {"ROLE", "role"},         {"ACTIONS", "actions"},
        {"FIELDS", "fields"},   {"PURPOSES", "purposes"}, {"RECIPIENT", "recipient"},
        {"WAS", "was"},         {"NOW", "now"},           {"PLACES", "places"},
        {"TIMES", "times"},     {"WHOSE", "whose"},       {"CIRCUMSTANCES", "circumstances"},
        {"PEOPLE", "subjects"}, {"RECORDS", "records"},
    };
    struct kl_json *json = NULL;
    if (kl_json_parse(response->body.bytes, response->body.size, &json, &call->err) != KL_OK)
        return CLI_FAILED;
    const struct kl_json_value *root = kl_json_root(json);
    bool allows = number(kl_json_member(root, "allows"), "answers") > 0;
    enum cli_exit result =
        cli_output_rows(call, response, "lines", columns, sizeof columns / sizeof columns[0]);
    if (result == CLI_DONE && call->format == CLI_FORMAT_TABLE) {
        print_alerts(kl_json_member(root, "alerts"));
        print_extent(root, "allows", "newly allowed");
        print_extent(root, "withholds", "newly withheld");
        if (!kl_json_bool(kl_json_member(root, "complete")))
            (void)printf("there are more changes than are shown here\n");
        print_people(kl_json_member(root, "people"));
    }
    kl_json_free(json);
    if (result == CLI_DONE && allows && cli_call_is_set(call, "strict")) {
        (void)kl_fail(&call->err, KL_ERR_REFUSED, "newly_allows",
                      "it allows what is not allowed now", NULL);
        return CLI_FAILED;
    }
    return result;
}

enum cli_exit cli_policy_diff(struct cli_call *call)
{
    struct cli_response response;
    struct cli_path path;
    cli_path_start(&path, "/v1/policy/diff");
    cli_path_query(&path, "subjects", cli_call_value(call, "subjects"));
    if (send_policy(call, "POST", &path, &response) != KL_OK)
        return CLI_FAILED;
    enum cli_exit result = print_diff(call, &response);
    cli_response_done(&response);
    return result;
}

enum cli_exit cli_policy_apply(struct cli_call *call)
{
    struct cli_response response;
    struct cli_path path;
    if (cli_call_is_set(call, "dry-run"))
        return cli_policy_diff(call);
    cli_path_start(&path, "/v1/policy");
    if (send_policy(call, "PUT", &path, &response) != KL_OK)
        return CLI_FAILED;
    static const struct cli_column columns[] = {
        {"POLICY", "policy"}, {"VERSION", "version"}, {"NUMBER", "number"}};
    enum cli_exit result =
        cli_output_rows(call, &response, NULL, columns, sizeof columns / sizeof columns[0]);
    cli_response_done(&response);
    return result;
}
