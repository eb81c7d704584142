/* A policy's life: parsed, compiled, counted, asked for what is in it. */
#include "kluis/vault/policy.h"

#include "vault/policy_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *vault_action_name(enum vault_action action)
{
    assert((unsigned)action < VAULT_ACTIONS);
    return vault_policy_action_words[action];
}

const char *vault_basis_name(enum vault_basis basis)
{
    assert((unsigned)basis < VAULT_BASES);
    return vault_policy_basis_words[basis];
}

const char *vault_view_name(enum vault_view view)
{
    assert((unsigned)view < VAULT_VIEWS);
    return vault_policy_view_words[view];
}

const char *vault_gate_name(enum vault_gate gate)
{
    static const char *const names[VAULT_GATES] = {
        [VAULT_GATE_NONE] = "none",           [VAULT_GATE_ROLE] = "role",
        [VAULT_GATE_PURPOSE] = "purpose",     [VAULT_GATE_CONSENT] = "consent",
        [VAULT_GATE_OBJECTION] = "objection", [VAULT_GATE_RESTRICTION] = "restriction",
        [VAULT_GATE_RETENTION] = "retention", [VAULT_GATE_TRANSFER] = "transfer",
    };

    assert((unsigned)gate < VAULT_GATES);
    return names[gate];
}

const char *vault_ground_name(enum vault_ground ground)
{
    assert((unsigned)ground < VAULT_GROUNDS);
    return ground == VAULT_GROUND_NONE ? "none" : vault_policy_ground_words[ground - 1];
}

bool vault_ground_parse(const char *name, enum vault_ground *ret)
{
    int word = vault_policy_find(vault_policy_ground_words, name);

    if (word < 0)
        return false;
    *ret = (enum vault_ground)(word + 1);
    return true;
}

/* ---- parsing ---- */

static struct vault_policy *policy_new(void)
{
    struct vault_policy *policy = calloc(1, sizeof *policy);

    if (policy == NULL)
        return NULL;
    policy->arena = kl_arena_new(POLICY_ARENA_BYTES_MAX);
    if (policy->arena == NULL) {
        free(policy);
        return NULL;
    }
    atomic_init(&policy->references, 1);
    return policy;
}

struct vault_policy *vault_policy_ref(struct vault_policy *policy)
{
    (void)atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed);
    return policy;
}

void vault_policy_unref(struct vault_policy *policy)
{
    if (policy == NULL ||
        atomic_fetch_sub_explicit(&policy->references, 1, memory_order_acq_rel) != 1)
        return;
    kl_arena_free(policy->arena);
    free(policy);
}

/* What becomes of a policy's own tests. */
enum tests { TESTS_LEFT_OUT, TESTS_READ, TESTS_RUN };

/*
 * Sections refer to each other, whatever their order in the file: what is named comes before what
 * names it.
 */
static void read_all(struct policy_parse *parse, const struct kl_yaml_node *root, enum tests tests)
{
    static void (*const sections[])(struct policy_parse *, policy_node) = {
        vault_policy_read_top,        vault_policy_read_sources,  vault_policy_read_purposes,
        vault_policy_read_recipients, vault_policy_read_records,  vault_policy_read_residency,
        vault_policy_read_roles,      vault_policy_read_requests, vault_policy_read_on_erase,
        vault_policy_read_alerts,     vault_policy_read_audit};

    if (!vault_policy_mapping(parse, root, "a policy", NULL))
        return;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0] && !parse->no_memory; i++)
        sections[i](parse, root);
    if (parse->no_memory)
        return;
    if (parse->findings->errors == 0)
        vault_policy_check(parse);
    if (tests != TESTS_LEFT_OUT)
        vault_policy_read_tests(parse, root, tests == TESTS_RUN && parse->findings->errors == 0);
}

static int compare_places(const void *left, const void *right)
{
    const struct vault_finding *a = left;
    const struct vault_finding *b = right;

    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return strcmp(a->text, b->text);
}

/* In the order of the file, which is how they are read and mended. */
static void sort_findings(struct vault_findings *findings)
{
    qsort(findings->items, findings->count, sizeof findings->items[0], compare_places);
}

/* What the YAML reader refused is a finding as well. */
static enum kl_status refused_yaml(enum kl_status status, const struct kl_err *yaml,
                                   struct policy_parse *parse, struct kl_err *err)
{
    struct kl_yaml_node place = {0};

    if (status == KL_ERR_NO_MEMORY)
        return kl_fail(err, KL_ERR_NO_MEMORY, "server_busy", "the server is busy", "policy: yaml");
    if (sscanf(yaml->where, "%u:%u", &place.line, &place.column) != 2)
        place.line = place.column = 0;
    vault_policy_error(parse, &place, yaml->code, "%s", yaml->client_text);
    kl_err_where(err, "%u:%u", place.line, place.column);
    if (status == KL_ERR_TOO_LARGE)
        return kl_failf(err, KL_ERR_TOO_LARGE, yaml->code, "%s", yaml->client_text);
    return kl_failf(err, KL_ERR_INVALID, "invalid_policy", "line %u, column %u: %s", place.line,
                    place.column, yaml->client_text);
}

static enum kl_status first_error(const struct vault_findings *findings, struct kl_err *err)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct vault_finding *item = &findings->items[i];
        if (!item->is_error)
            continue;
        kl_err_where(err, "%u:%u", item->line, item->column);
        return kl_failf(err, KL_ERR_INVALID, "invalid_policy", "line %u, column %u: %s", item->line,
                        item->column, item->text);
    }
    return kl_fail(err, KL_ERR_INVALID, "invalid_policy", "the policy has errors", NULL);
}

/* From a tree; ret_findings zeroed before, or with what the YAML reader said. */
static enum kl_status compile_tree(struct policy_parse *parse, const struct kl_yaml_node *root,
                                   enum tests tests, struct vault_policy **ret_policy,
                                   struct kl_err *err)
{
    read_all(parse, root, tests);
    if (parse->no_memory)
        return kl_fail(err, KL_ERR_NO_MEMORY, "server_busy", "the server is busy",
                       "policy: arena of %zu bytes", POLICY_ARENA_BYTES_MAX);
    sort_findings(parse->findings);
    if (parse->findings->errors > 0)
        return first_error(parse->findings, err);
    *ret_policy = vault_policy_ref(parse->policy);
    return KL_OK;
}

static enum kl_status parse_policy(const void *text, size_t size, enum tests tests,
                                   struct vault_findings *ret_findings,
                                   struct vault_policy **ret_policy, struct kl_err *err)
{
    struct policy_parse parse = {.findings = ret_findings};
    struct kl_yaml *yaml = NULL;
    struct kl_err yaml_err = {0};
    enum kl_status status;

    memset(ret_findings, 0, sizeof *ret_findings);
    parse.policy = policy_new();
    if (parse.policy == NULL) {
        status = kl_fail(err, KL_ERR_NO_MEMORY, "server_busy", "the server is busy", "policy");
        goto out;
    }
    status = kl_yaml_parse(text, size, &yaml, &yaml_err);
    if (status != KL_OK)
        status = refused_yaml(status, &yaml_err, &parse, err);
    else
        status = compile_tree(&parse, kl_yaml_root(yaml), tests, ret_policy, err);

out:
    kl_yaml_free(yaml);
    vault_policy_unref(parse.policy);
    return status;
}

enum kl_status vault_policy_parse(const void *yaml, size_t yaml_bytes,
                                  struct vault_findings *ret_findings,
                                  struct vault_policy **ret_policy, struct kl_err *err)
{
    return parse_policy(yaml, yaml_bytes, TESTS_RUN, ret_findings, ret_policy, err);
}

enum kl_status vault_policy_compile(const void *yaml, size_t yaml_bytes,
                                    struct vault_policy **ret_policy, struct kl_err *err)
{
    struct vault_findings *findings = calloc(1, sizeof *findings);
    enum kl_status status;

    if (findings == NULL)
        return kl_fail(err, KL_ERR_NO_MEMORY, "server_busy", "the server is busy", "policy");
    status = parse_policy(yaml, yaml_bytes, TESTS_READ, findings, ret_policy, err);
    free(findings);
    return status;
}

enum kl_status vault_policy_compile_rules(const struct kl_yaml_node *root,
                                          struct vault_policy **ret_policy, struct kl_err *err)
{
    struct policy_parse parse = {.findings = calloc(1, sizeof *parse.findings),
                                 .policy = policy_new()};
    enum kl_status status =
        parse.findings == NULL || parse.policy == NULL
            ? kl_fail(err, KL_ERR_NO_MEMORY, "server_busy", "the server is busy", "policy")
            : compile_tree(&parse, root, TESTS_LEFT_OUT, ret_policy, err);

    vault_policy_unref(parse.policy);
    free(parse.findings);
    return status;
}

/* ---- what is in it ---- */

const char *vault_policy_name(const struct vault_policy *policy)
{
    return policy->name;
}

const char *vault_policy_version(const struct vault_policy *policy)
{
    return policy->version;
}

size_t vault_policy_record_count(const struct vault_policy *policy)
{
    return policy->record_count;
}

size_t vault_policy_field_count(const struct vault_policy *policy)
{
    return policy->field_count;
}

size_t vault_policy_purpose_count(const struct vault_policy *policy)
{
    return policy->purpose_count;
}

size_t vault_policy_role_count(const struct vault_policy *policy)
{
    return policy->role_count;
}

size_t vault_policy_recipient_count(const struct vault_policy *policy)
{
    return policy->recipient_count;
}

int vault_policy_record_find(const struct vault_policy *policy, const char *name)
{
    return vault_policy_find(policy->record_names, name);
}

int vault_policy_field_find(const struct vault_policy *policy, int record, const char *name)
{
    const struct vault_policy_record *of = vault_policy_record(policy, record);

    for (int i = of->field_first; i < of->field_first + of->field_count; i++)
        if (strcmp(policy->fields[i].name, name) == 0)
            return i;
    return VAULT_NONE;
}

bool vault_policy_is_obligation(const struct vault_policy_purpose *purpose)
{
    return purpose->basis == VAULT_BASIS_LEGAL_OBLIGATION && !purpose->forbidden &&
           !purpose->keeps_nothing && purpose->retain_event != NULL;
}

int vault_policy_purpose_find(const struct vault_policy *policy, const char *name)
{
    return vault_policy_find(policy->purpose_names, name);
}

int vault_policy_role_find(const struct vault_policy *policy, const char *name)
{
    return vault_policy_find(policy->role_names, name);
}

int vault_policy_recipient_find(const struct vault_policy *policy, const char *name)
{
    return vault_policy_find(policy->recipient_names, name);
}

const struct vault_policy_record *vault_policy_record(const struct vault_policy *policy, int record)
{
    assert(record >= 0 && (size_t)record < policy->record_count);
    return &policy->records[record];
}

const struct vault_policy_field *vault_policy_field(const struct vault_policy *policy, int field)
{
    assert(field >= 0 && (size_t)field < policy->field_count);
    return &policy->fields[field];
}

const struct vault_policy_purpose *vault_policy_purpose(const struct vault_policy *policy,
                                                        int purpose)
{
    assert(purpose >= 0 && (size_t)purpose < policy->purpose_count);
    return &policy->purposes[purpose].shown;
}

const struct vault_policy_recipient *vault_policy_recipient(const struct vault_policy *policy,
                                                            int recipient)
{
    assert(recipient >= 0 && (size_t)recipient < policy->recipient_count);
    return &policy->recipients[recipient].shown;
}

const char *vault_policy_role_name(const struct vault_policy *policy, int role)
{
    assert(role >= 0 && (size_t)role < policy->role_count);
    return policy->roles[role].name;
}

bool vault_policy_may_object(const struct vault_policy *policy, int purpose)
{
    const struct vault_policy_purpose *of = vault_policy_purpose(policy, purpose);

    return !of->forbidden &&
           (of->direct_marketing || of->basis == VAULT_BASIS_LEGITIMATE_INTEREST ||
            of->basis == VAULT_BASIS_PUBLIC_TASK);
}

bool vault_policy_event_known(const struct vault_policy *policy, int record, const char *event)
{
    const uint64_t purposes = vault_policy_record(policy, record)->purposes;

    for (size_t i = 0; i < policy->purpose_count; i++) {
        const struct vault_policy_purpose *purpose = &policy->purposes[i].shown;

        if (policy_bit(purposes, (int)i) && purpose->retain_event != NULL &&
            strcmp(purpose->retain_event, event) == 0)
            return true;
    }
    return false;
}

bool vault_policy_returns_at_any_time(const struct vault_policy *policy)
{
    return policy->returns_at_any_time;
}

const struct vault_policy_audit *vault_policy_audit(const struct vault_policy *policy)
{
    return &policy->audit;
}

void vault_policy_audit_text(const struct vault_policy_audit *audit, struct kl_buf *out)
{
    char keep[KL_DURATION_TEXT_BYTES];

    if (!audit->has_keep) {
        kl_buf_add_text(out, "for ever");
        return;
    }
    kl_duration_format(&audit->keep, keep);
    kl_buf_add_text(out, keep);
    if (audit->keep_unreviewed)
        kl_buf_add_text(out, ", and what no review covers");
}

const struct vault_policy_requests *vault_policy_requests(const struct vault_policy *policy)
{
    return &policy->requests;
}

enum vault_residency vault_policy_residency_default(const struct vault_policy *policy)
{
    return policy->residency;
}

const char *vault_policy_transfer_name(const struct vault_policy *policy, int transfer)
{
    assert(transfer >= 0 && (size_t)transfer < policy->transfer_count);
    return vault_policy_mechanism_words[policy->transfers[transfer].mechanism];
}
