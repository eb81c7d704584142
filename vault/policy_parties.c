/* Who answers for a policy's data, as a record of processing tells it (GDPR art. 30): the sections controller, processor and measures. */
#include "vault/policy_internal.h"

#include <string.h>

static const char *const party_keys[] = {"name", "country", "contact", NULL};

/* name, country and contact of a mapping that has them. */
static void read_party(struct policy_parse *parse, policy_node node, const char *what,
                       struct vault_policy_party *ret)
{
    (void)vault_policy_member(parse, node, "name", what);
    (void)vault_policy_member(parse, node, "contact", what);
    ret->name = vault_policy_optional_text(parse, node, "name");
    ret->contact = vault_policy_optional_text(parse, node, "contact");
    (void)vault_policy_country(parse, vault_policy_member(parse, node, "country", what),
                               &ret->country);
}

/* GDPR art. 27: of who is not established in the Union. */
static void read_representative(struct policy_parse *parse, policy_node section,
                                struct vault_policy_party *ret)
{
    policy_node node = kl_yaml_member(section, "representative");

    if (vault_policy_mapping(parse, node, "representative", party_keys))
        read_party(parse, node, "representative", ret);
}

static void read_joint(struct policy_parse *parse, policy_node section)
{
    struct vault_policy_controller *controller = &parse->policy->controller;
    policy_node node = kl_yaml_member(section, "joint");
    struct vault_policy_party *parties = NULL;

    if (!vault_policy_list(parse, node, "joint", VAULT_JOINT_CONTROLLERS_MAX))
        return;
    parties = vault_policy_array(parse, node->count, sizeof *parties);
    for (size_t i = 0; i < node->count && !parse->no_memory; i++)
        if (vault_policy_mapping(parse, node->items[i], "a joint controller", party_keys))
            read_party(parse, node->items[i], "a joint controller", &parties[i]);
    controller->joint = parties;
    controller->joint_count = parse->no_memory ? 0 : node->count;
}

/* A list of texts, ended by NULL; NULL: there is none. */
static const char *const *read_texts(struct policy_parse *parse, policy_node section,
                                     const char *key)
{
    policy_node node = kl_yaml_member(section, key);
    const char **texts = NULL;

    if (!vault_policy_list(parse, node, key, VAULT_POLICY_TEXTS_MAX))
        return NULL;
    texts = vault_policy_array(parse, node->count + 1, sizeof *texts);
    for (size_t i = 0; i < node->count && !parse->no_memory; i++) {
        const char *text = vault_policy_scalar_text(parse, node->items[i], key);

        texts[i] = text != NULL ? vault_policy_copy(parse, text) : "";
    }
    return parse->no_memory ? NULL : texts;
}

void vault_policy_read_controller(struct policy_parse *parse, policy_node root)
{
    static const char *const keys[] = {"name",      "country",        "contact", "dpo",
                                       "authority", "representative", "joint",   NULL};
    policy_node node = vault_policy_member(parse, root, "controller", "a policy");
    struct vault_policy_controller *controller = &parse->policy->controller;
    struct vault_policy_party self = {0};

    controller->measures = read_texts(parse, root, "measures");
    if (!vault_policy_mapping(parse, node, "controller", keys))
        return;
    read_party(parse, node, "controller", &self);
    controller->name = self.name;
    controller->contact = self.contact;
    controller->country = self.country;
    controller->dpo = vault_policy_optional_text(parse, node, "dpo");
    controller->authority = vault_policy_optional_text(parse, node, "authority");
    read_representative(parse, node, &controller->representative);
    read_joint(parse, node);
}

void vault_policy_read_processor(struct policy_parse *parse, policy_node root)
{
    static const char *const keys[] = {"name",           "country",    "contact", "dpo",
                                       "representative", "processing", NULL};
    policy_node node = kl_yaml_member(root, "processor");
    struct vault_policy_controller *controller = &parse->policy->controller;
    struct vault_policy_party self = {0};

    if (!vault_policy_mapping(parse, node, "processor", keys))
        return;
    if (strcmp(controller->acting_as, "processor") != 0)
        vault_policy_error(parse, node, "not_a_processor",
                           "processor says who keeps the data for the controller: it needs "
                           "acting_as: processor");
    read_party(parse, node, "processor", &self);
    controller->processor_name = self.name;
    controller->processor_contact = self.contact;
    controller->processor_country = self.country;
    controller->processor_dpo = vault_policy_optional_text(parse, node, "dpo");
    read_representative(parse, node, &controller->processor_representative);
    controller->processing = read_texts(parse, node, "processing");
}
