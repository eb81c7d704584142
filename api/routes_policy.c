/* The policy: read, check, compare, put in force, explain. */
#include "api/input.h"
#include "api/output.h"
#include "api/routes.h"
#include "kluis/vault/policy_diff.h"

#include <stdlib.h>
#include <string.h>

API_HANDLER(api_policy_read)
{
    uint64_t number = 0;
    enum kl_status status =
        vault_policy_read(request->vault, &request->caller, &response->body, &number, err);

    if (status == KL_OK) {
        response->status = 200;
        response->content_type = API_TYPE_YAML;
        response->has_etag = true;
        response->etag = number;
    }
    return status;
}

static struct vault_findings *findings_new(const struct api_request *request, struct kl_err *err)
{
    struct vault_findings *findings = kl_arena_alloc(request->arena, sizeof *findings);

    if (findings == NULL) {
        (void)kl_fail_memory(err);
    }
    return findings;
}

/* What is in force now, said by its own text: its name and its version. */
static enum kl_status write_applied(struct api_request *request, struct kl_json_out *out,
                                    struct kl_err *err)
{
    struct vault_findings *ignored = findings_new(request, err);
    struct vault_policy *policy = NULL;
    enum kl_status status = KL_ERR_NO_MEMORY;

    if (ignored != NULL) {
        status = vault_policy_parse(request->body.bytes, request->body.size, ignored, &policy, err);
    }
    if (status == KL_OK) {
        kl_json_add_text(out, "policy", vault_policy_name(policy));
        kl_json_add_text(out, "version", vault_policy_version(policy));
    }
    vault_policy_unref(policy);
    return status;
}

API_HANDLER(api_policy_put)
{
    struct vault_findings *findings = findings_new(request, err);
    uint64_t number = 0;
    enum kl_status status;

    if (findings == NULL) {
        return KL_ERR_NO_MEMORY;
    }
    status = vault_policy_apply(request->vault, &request->caller, request->body.bytes,
                                request->body.size, findings, &number, err);
    if (status != KL_OK) {
        if (findings->count > 0) {
            struct kl_json_out errors = kl_json_out(&request->findings);
            api_output_findings(&errors, findings);
        }
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "number", (int64_t)number);
    status = write_applied(request, &out, err);
    kl_json_key(&out, "findings");
    api_output_findings(&out, findings);
    kl_json_object_end(&out);
    response->has_etag = true;
    response->etag = number;
    return status;
}

/* policy NULL: it is not valid. */
static void write_audit_keep(struct kl_json_out *out, const struct vault_policy *policy)
{
    struct kl_buf text;

    kl_buf_init(&text, 2 * KL_DURATION_TEXT_BYTES);
    if (policy != NULL) {
        vault_policy_audit_text(vault_policy_audit(policy), &text);
    }
    kl_json_key(out, "audit_keep");
    if (policy != NULL) {
        kl_json_put_text_n(out, text.bytes, text.size);
    } else {
        kl_json_put_null(out);
    }
    kl_buf_done(&text);
}

API_HANDLER(api_policy_check)
{
    struct vault_findings *findings = findings_new(request, err);
    struct vault_policy *policy = NULL;
    struct kl_err why = {0};

    if (findings == NULL) {
        return KL_ERR_NO_MEMORY;
    }
    if (request->caller.builtin == VAULT_BUILTIN_NONE) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "role_forbidden", "policies are for stewards", NULL);
    }
    enum kl_status status =
        vault_policy_parse(request->body.bytes, request->body.size, findings, &policy, &why);
    if (status != KL_OK && status != KL_ERR_INVALID) {
        *err = why;
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "valid", status == KL_OK);
    kl_json_key(&out, "findings");
    api_output_findings(&out, findings);
    write_audit_keep(&out, policy);
    kl_json_object_end(&out);
    vault_policy_unref(policy);
    return KL_OK;
}

/* How many people to look at. */
static enum kl_status diff_subjects(const struct api_request *request, int64_t *ret_subjects,
                                    struct kl_err *err)
{
    const char *text = api_request_query(request, "subjects");

    *ret_subjects = VAULT_DIFF_SUBJECTS_DEFAULT;
    if (text == NULL) {
        return KL_OK;
    }
    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0' || strlen(text) > 7) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_parameter", "subjects is a number, 0 to %d",
                        VAULT_DIFF_SUBJECTS_MAX);
    }
    *ret_subjects = strtol(text, NULL, 10);
    return KL_OK;
}

API_HANDLER(api_policy_diff)
{
    struct vault_findings *findings = findings_new(request, err);
    int64_t subjects = 0;
    enum kl_status status;

    if (findings == NULL) {
        return KL_ERR_NO_MEMORY;
    }
    status = diff_subjects(request, &subjects, err);
    if (status == KL_OK) {
        (void)api_response_json(response, 200);
        status = vault_policy_diff(request->vault, &request->caller, request->body.bytes,
                                   request->body.size, subjects, findings, &response->body, err);
    }
    if (status != KL_OK && findings->count > 0) {
        struct kl_json_out errors = kl_json_out(&request->findings);
        api_output_findings(&errors, findings);
    }
    return status;
}

static void write_edit(struct kl_json_out *out, const struct vault_explain_edit *edit)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "what", edit->what);
    kl_json_add_text(out, "where", edit->where);
    kl_json_add_int(out, "line", edit->line);
    kl_json_add_int(out, "column", edit->column);
    kl_json_add_int(out, "offset", (int64_t)edit->offset);
    kl_json_add_text(out, "remove", edit->remove);
    kl_json_add_text(out, "insert", edit->insert);
    kl_json_add_text(out, "choose", edit->choose);
    kl_json_object_end(out);
}

static void write_change(struct kl_json_out *out, const struct vault_explain_change *change)
{
    kl_json_object_begin(out);
    kl_json_key(out, "edits");
    kl_json_array_begin(out);
    for (size_t i = 0; i < change->edit_count; i++) {
        write_edit(out, &change->edits[i]);
    }
    kl_json_array_end(out);
    kl_json_add_int(out, "also_allows", (int64_t)change->also_allows);
    kl_json_add_int(out, "also_withholds", (int64_t)change->also_withholds);
    kl_json_add_int(out, "tests_failed", (int64_t)change->tests_failed);
    kl_json_object_end(out);
}

/* What would alter the answer. */
static void write_remedies(struct kl_json_out *out, const struct vault_explain_result *result)
{
    kl_json_add_bool(out, "searched", result->searched);
    kl_json_key(out, "changes");
    kl_json_array_begin(out);
    for (size_t i = 0; i < result->change_count; i++) {
        write_change(out, &result->changes[i]);
    }
    kl_json_array_end(out);
    kl_json_key(out, "must_happen");
    kl_json_array_begin(out);
    for (size_t i = 0; i < result->must_happen_count; i++) {
        kl_json_object_begin(out);
        kl_json_add_text(out, "code", result->must_happen[i].code);
        kl_json_add_text(out, "detail", result->must_happen[i].detail);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

static void write_explained(struct kl_json_out *out, const struct vault_explain_result *result)
{
    bool shown = result->decision.withheld == VAULT_GATE_NONE;

    kl_json_object_begin(out);
    kl_json_add_text(out, "field", result->field);
    kl_json_add_bool(out, "shown", shown);
    kl_json_add_text(out, "view", shown ? vault_view_name(result->decision.view) : NULL);
    kl_json_add_text(out, "withheld", shown ? NULL : vault_gate_name(result->decision.withheld));
    kl_json_key(out, "gates");
    kl_json_object_begin(out);
    for (enum vault_gate gate = VAULT_GATE_NONE + 1; gate < VAULT_GATES; gate++) {
        kl_json_add_bool(out, vault_gate_name(gate), result->passes[gate]);
    }
    kl_json_object_end(out);
    kl_json_key(out, "conditions");
    kl_json_array_begin(out);
    for (int i = 0; i < VAULT_UNMET_COUNT; i++) {
        if ((result->unmet & (1u << i)) != 0) {
            kl_json_put_text(out, vault_unmet_name(i));
        }
    }
    kl_json_array_end(out);
    write_remedies(out, result);
    kl_json_object_end(out);
}

API_HANDLER(api_explain)
{
    static const char *const KNOWN[] = {"role",    "purpose", "action", "from", "recipient",
                                        "subject", "ground",  "fields", "at",   NULL};
    const struct kl_json_value *body = api_request_json(request);
    const char *ground = NULL;
    struct vault_explain_input input = {0};
    struct vault_explain_result *results = NULL;
    size_t count = 0;
    enum kl_status status = kl_json_expect(body, KNOWN, "", err);

    if (status != KL_OK ||
        (status = api_input_text(body, "role", "", false, &input.role, err)) != KL_OK ||
        (status = api_input_text(body, "purpose", "", false, &input.purpose, err)) != KL_OK ||
        (status = api_input_text(body, "action", "", false, &input.action, err)) != KL_OK ||
        (status = api_input_text(body, "from", "", false, &input.from, err)) != KL_OK ||
        (status = api_input_text(body, "recipient", "", false, &input.recipient, err)) != KL_OK ||
        (status = api_input_text(body, "ground", "", false, &ground, err)) != KL_OK ||
        (status = api_input_ground(ground, &input.ground, err)) != KL_OK ||
        (status = api_input_id(body, "subject", "", "sub", false, request->arena, &input.subject,
                               err)) != KL_OK ||
        (status = api_input_time(body, "at", "", &input.at_us, err)) != KL_OK ||
        (status = api_input_names(body, "fields", "", VAULT_FIELDS_MAX, request->arena,
                                  &input.fields, &input.field_count, err)) != KL_OK) {
        return status;
    }
    status = vault_explain(request->vault, &request->caller, &input, request->arena, &results,
                           &count, err);
    if (status != KL_OK) {
        return status;
    }
    struct kl_json_out out = api_response_json(response, 200);
    kl_json_object_begin(&out);
    kl_json_key(&out, "fields");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < count; i++) {
        write_explained(&out, &results[i]);
    }
    kl_json_array_end(&out);
    kl_json_object_end(&out);
    return KL_OK;
}
