/* What a policy lets a person be told (GDPR art. 13 to 15): who, from where, to where. */
#include "vault/policy_internal.h"

#include <assert.h>
#include <string.h>

#define COUNTRY_LETTERS 26
#define PROVIDED_BY_PERSON "person"

static const char *const provided_words[] = {PROVIDED_BY_PERSON, "other", "controller", NULL};

/* ---- sources ---- */

static bool source_name_valid(const char *text)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

    return text[0] >= 'a' && text[0] <= 'z' && text[strspn(text, good)] == '\0' &&
           strlen(text) <= VAULT_SOURCE_MAX_BYTES;
}

static void read_source(struct policy_parse *parse, policy_node name, policy_node node,
                        struct vault_policy_source *source)
{
    static const char *const keys[] = {"provided_by", "description", NULL};
    const char *text = vault_policy_scalar_text(parse, name, "source");
    int word = VAULT_NONE;

    source->name = text != NULL ? vault_policy_copy(parse, text) : "";
    source->provided_by = provided_words[1];
    if (text != NULL && !source_name_valid(text))
        vault_policy_error(parse, name, "invalid_name",
                           "a source's name is a lower case letter, then lower case letters, "
                           "digits and -, at most %d",
                           VAULT_SOURCE_MAX_BYTES);
    if (!vault_policy_mapping(parse, node, "a source", keys))
        return;
    word = vault_policy_word(parse, vault_policy_member(parse, node, "provided_by", "a source"),
                             "provided_by", provided_words);
    if (word >= 0)
        source->provided_by = provided_words[word];
    source->description = vault_policy_optional_text(parse, node, "description");
}

void vault_policy_read_sources(struct policy_parse *parse, policy_node root)
{
    policy_node node = kl_yaml_member(root, "sources");
    struct vault_policy_source *sources = NULL;

    if (!vault_policy_mapping(parse, node, "sources", NULL))
        return;
    if (node->count > VAULT_SOURCES_MAX) {
        vault_policy_error(parse, node, "too_many", "a policy has at most %d sources",
                           VAULT_SOURCES_MAX);
        return;
    }
    sources = vault_policy_array(parse, node->count + 1, sizeof *sources);
    for (size_t i = 0; i < node->count && !parse->no_memory; i++)
        read_source(parse, node->keys[i], node->items[i], &sources[i]);
    parse->policy->sources = sources;
}

const struct vault_policy_source *vault_policy_source(const struct vault_policy *policy,
                                                      const char *name)
{
    const struct vault_policy_source *source = policy->sources;

    for (; source != NULL && source->name != NULL; source++)
        if (strcmp(source->name, name) == 0)
            return source;
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t size = strlen(text);
    const size_t end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* Words that say by themselves that somebody else provided it, or that it was made of other data (Art. 29 WP, WP 242 rev.01, p. 10). */
static bool is_another(const char *name)
{
    static const char *const others[] = {
        "colleague",   "employer", "manager",  "referee",   "reference",  "relative", "third-party",
        "data-broker", "broker",   "partner",  "supplier",  "authority",  "court",    "staff",
        "derived",     "inferred", "computed", "profiling", "assessment", NULL};

    return vault_policy_find(others, name) >= 0 || strncmp(name, "public-", 7) == 0 ||
           ends_with(name, "-register");
}

bool vault_policy_source_is_person(const struct vault_policy *policy, const char *name)
{
    const struct vault_policy_source *source = NULL;

    if (name == NULL)
        return true;
    source = vault_policy_source(policy, name);
    return source != NULL ? strcmp(source->provided_by, PROVIDED_BY_PERSON) == 0
                          : !is_another(name);
}

/* ---- controller, notices ---- */

const struct vault_policy_controller *vault_policy_controller(const struct vault_policy *policy)
{
    return &policy->controller;
}

const struct vault_policy_notice *vault_policy_notice(const struct vault_policy *policy,
                                                      const char *name)
{
    const struct vault_policy_notice *notice = policy->notices;

    for (; notice != NULL && notice->name != NULL; notice++)
        if (strcmp(notice->name, name) == 0)
            return notice;
    return NULL;
}

/* ---- transfers ---- */

size_t vault_policy_transfer_count(const struct vault_policy *policy)
{
    return policy->transfer_count;
}

struct vault_policy_transfer vault_policy_transfer(const struct vault_policy *policy, int transfer)
{
    const struct policy_transfer *line;

    assert(transfer >= 0 && (size_t)transfer < policy->transfer_count);
    line = &policy->transfers[transfer];
    return (struct vault_policy_transfer){
        .mechanism = vault_policy_transfer_name(policy, transfer),
        .to_adequate = line->to_adequate,
        .purposes = line->any_purpose ? POLICY_ALL : line->purposes,
        .recipients = line->any_recipient ? POLICY_ALL : line->recipients,
        .view = line->view,
        .description = line->description,
    };
}

bool vault_policy_transfer_country(const struct vault_policy *policy, int transfer, size_t at,
                                   struct vault_country *ret)
{
    const struct policy_countries *to;

    assert(transfer >= 0 && (size_t)transfer < policy->transfer_count);
    to = &policy->transfers[transfer].to;
    for (int i = 0; i < COUNTRY_LETTERS * COUNTRY_LETTERS; i++) {
        const struct vault_country country = {
            {(char)('A' + i / COUNTRY_LETTERS), (char)('A' + i % COUNTRY_LETTERS), '\0'}};

        if (vault_policy_countries_has(to, country) && at-- == 0) {
            *ret = country;
            return true;
        }
    }
    return false;
}
