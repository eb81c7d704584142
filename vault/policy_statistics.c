/* The section on_erase of a policy: what is kept for statistics of those who are erased. */
#include "vault/policy_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_kept(const struct vault_policy_statistics *statistics, int field)
{
    for (size_t i = 0; i < statistics->count; i++) {
        if (statistics->items[i].field == field) {
            return true;
        }
    }
    return false;
}

/* "count, year, decade" */
static void known_of(enum vault_type type, char *ret, size_t room)
{
    size_t used = 0;

    ret[0] = '\0';
    for (unsigned i = 0; i < VAULT_GENERALISATIONS && used < room; i++) {
        if (vault_generalisation_fits((enum vault_generalisation)i, type)) {
            used += (size_t)snprintf(ret + used, room - used, "%s%s", used == 0 ? "" : ", ",
                                     vault_generalisation_name((enum vault_generalisation)i));
        }
    }
}

/* `applicant.birth: year`. Two of one field would tell together what neither tells alone. */
static void read_statistic(struct policy_parse *parse, policy_node node,
                           struct vault_policy_statistics *statistics)
{
    enum vault_generalisation how = VAULT_GENERAL_COUNT;
    const char *text = NULL;
    int field = VAULT_NONE;

    if (node->kind != KL_YAML_MAPPING || node->count != 1) {
        vault_policy_error(parse, node, "wrong_shape",
                           "keep_statistics is a list of fields and what is kept of each: "
                           "[applicant.birth: year]");
        return;
    }
    field = vault_policy_field_number(parse, node->keys[0]);
    text = vault_policy_scalar_text(parse, node->items[0], "what is kept");
    if (field < 0 || text == NULL) {
        return;
    }
    if (!vault_generalisation_parse(text, &how) ||
        !vault_generalisation_fits(how, parse->policy->fields[field].type)) {
        char known[128];

        known_of(parse->policy->fields[field].type, known, sizeof known);
        vault_policy_error(parse, node->items[0], "generalisation_does_not_fit",
                           "this cannot be kept of a field of type %s; what can be: %s",
                           vault_type_name(parse->policy->fields[field].type), known);
    } else if (is_kept(statistics, field)) {
        vault_policy_error(parse, node->keys[0], "kept_twice",
                           "one thing is kept of a field: two could be put together");
    } else {
        statistics->items[statistics->count++] =
            (struct vault_policy_statistic){.field = field, .how = how};
    }
}

static void read_minimum(struct policy_parse *parse, policy_node node, uint32_t *ret)
{
    const char *text = vault_policy_scalar_text(parse, node, "minimum");
    long minimum = 0;

    if (text == NULL) {
        return;
    }
    if (strspn(text, "0123456789") == strlen(text) && strlen(text) <= 5) {
        minimum = strtol(text, NULL, 10);
    }
    if (minimum < VAULT_STATISTICS_MINIMUM_MIN || minimum > VAULT_STATISTICS_MINIMUM_MAX) {
        vault_policy_error(parse, node, "invalid_minimum",
                           "minimum is a number of people from %d to %d",
                           VAULT_STATISTICS_MINIMUM_MIN, VAULT_STATISTICS_MINIMUM_MAX);
        return;
    }
    *ret = (uint32_t)minimum;
}

/* Only a purpose that people may object to leaves anybody out. */
static void read_purpose(struct policy_parse *parse, policy_node node, int *ret)
{
    int purpose = vault_policy_word(parse, node, "purpose", parse->policy->purpose_names);

    if (purpose == VAULT_NONE) {
        return;
    }
    if (!vault_policy_may_object(parse->policy, purpose)) {
        vault_policy_error(parse, node, "no_objection",
                           "nobody can object to this purpose: it needs the basis "
                           "legitimate_interest or public_task");
        return;
    }
    *ret = purpose;
}

void vault_policy_read_on_erase(struct policy_parse *parse, policy_node root)
{
    static const char *const keys[] = {"keep_statistics", "minimum", "purpose", NULL};
    struct vault_policy_statistics *statistics = &parse->policy->statistics;
    policy_node node = kl_yaml_member(root, "on_erase");
    policy_node kept = kl_yaml_member(node, "keep_statistics");

    statistics->minimum = VAULT_STATISTICS_MINIMUM;
    statistics->purpose = VAULT_NONE;
    if (!vault_policy_mapping(parse, node, "on_erase", keys)) {
        return;
    }
    read_minimum(parse, kl_yaml_member(node, "minimum"), &statistics->minimum);
    if (kl_yaml_member(node, "purpose") != NULL) {
        read_purpose(parse, kl_yaml_member(node, "purpose"), &statistics->purpose);
    }
    if (!vault_policy_list(parse, kept, "keep_statistics", VAULT_STATISTICS_MAX)) {
        return;
    }
    for (size_t i = 0; i < kept->count; i++) {
        read_statistic(parse, kept->items[i], statistics);
    }
}

const struct vault_policy_statistics *vault_policy_statistics(const struct vault_policy *policy)
{
    return &policy->statistics;
}
