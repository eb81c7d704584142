/* The sections purposes, forbidden_purposes, recipients and records of a policy. */
#include "vault/policy_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *const vault_policy_basis_words[] = {
    "consent",     "explicit_consent",    "contract",
    "precontract", "legal_obligation",    "vital_interest",
    "public_task", "legitimate_interest", NULL};
static_assert(sizeof vault_policy_basis_words / sizeof vault_policy_basis_words[0] ==
                  VAULT_BASES + 1,
              "one word for each basis");

/* GDPR art. 9(2) b to j; point a is the basis explicit_consent. */
static const char *const ground_words[] = {"employment_law", "vital_interest",
                                           "association",    "made_public",
                                           "legal_claims",   "substantial_public_interest",
                                           "health_care",    "public_health",
                                           "research",       NULL};
/* GDPR art. 9(1) */
static const char *const special_words[] = {"racial_or_ethnic_origin",
                                            "political_opinions",
                                            "religious_beliefs",
                                            "trade_union_membership",
                                            "genetic",
                                            "biometric",
                                            "health",
                                            "sex_life_or_orientation",
                                            NULL};
static const char *const recipient_kinds[] = {
    "processor", "sub_processor", "controller", "joint_controller", "authority", "successor", NULL};

/* ---- purposes ---- */

static bool rests_on_consent(const struct policy_purpose *purpose)
{
    return purpose->shown.basis == VAULT_BASIS_CONSENT ||
           purpose->shown.basis == VAULT_BASIS_EXPLICIT_CONSENT;
}

/* "P10Y after service_end", or "none": the purpose is no reason to keep anything. */
static void read_retain(struct policy_parse *parse, policy_node node,
                        struct policy_purpose *purpose)
{
    static const char shape[] = "retain is a duration and the event that starts its clock, "
                                "P10Y after service_end, or none";
    const char *text = vault_policy_scalar_text(parse, node, "retain");
    const char *space = NULL;
    struct kl_yaml_node event = {0};

    if (text == NULL)
        return;
    if (strcmp(text, "none") == 0) {
        purpose->shown.keeps_nothing = true;
        return;
    }
    space = strchr(text, ' ');
    if (space == NULL || strncmp(space, " after ", 7) != 0) {
        vault_policy_error(parse, node, "invalid_retain", "%s", shape);
        return;
    }
    if (kl_duration_parse(text, (size_t)(space - text), &purpose->shown.retain, NULL) != KL_OK) {
        vault_policy_error(parse, node, "invalid_duration", "%s", shape);
        return;
    }
    event = *node;
    event.text = space + 7;
    if (!vault_policy_name_check(parse, &event, "event"))
        return;
    if (strcmp(event.text, VAULT_EVENT_CONSENT) == 0 && !rests_on_consent(purpose)) {
        vault_policy_error(parse, node, "not_a_consent",
                           "a clock starts with the consent only where the basis is one");
        return;
    }
    purpose->shown.retain_event = vault_policy_copy(parse, event.text);
}

static void read_notice(struct policy_parse *parse, policy_node node,
                        struct policy_purpose *purpose)
{
    const char *text = vault_policy_scalar_text(parse, node, "notice");

    if (text == NULL)
        return;
    if (parse->notices != NULL && vault_policy_find(parse->notices, text) < 0) {
        vault_policy_unknown(parse, node, "notice", parse->notices);
        return;
    }
    purpose->shown.notice = vault_policy_copy(parse, text);
}

/* What the person's own rights change about the purpose: GDPR art. 21(3), and 12 to 22 as a whole. */
static void read_rights(struct policy_parse *parse, policy_node node,
                        struct policy_purpose *purpose)
{
    policy_node marketing = kl_yaml_member(node, "direct_marketing");
    policy_node answers = kl_yaml_member(node, "answers_rights");

    if (marketing != NULL)
        (void)vault_policy_bool(parse, marketing, "direct_marketing",
                                &purpose->shown.direct_marketing);
    if (answers != NULL)
        (void)vault_policy_bool(parse, answers, "answers_rights", &purpose->shown.answers_rights);
    if (purpose->shown.answers_rights && purpose->shown.basis != VAULT_BASIS_LEGAL_OBLIGATION)
        vault_policy_error(parse, answers, "not_an_obligation",
                           "answering people's rights is a legal obligation: "
                           "basis: legal_obligation");
}

static void read_purpose(struct policy_parse *parse, policy_node node,
                         struct policy_purpose *purpose)
{
    static const char *const keys[] = {"basis",
                                       "retain",
                                       "renew",
                                       "notice",
                                       "ground",
                                       "interest",
                                       "direct_marketing",
                                       "law",
                                       "description",
                                       "answers_rights",
                                       "automated_decision",
                                       NULL};
    static const char *const renew_words[] = {"ask", "none", NULL};
    int number = VAULT_NONE;

    if (!vault_policy_mapping(parse, node, "a purpose", keys))
        return;
    number = vault_policy_word(parse, vault_policy_member(parse, node, "basis", "a purpose"),
                               "basis", vault_policy_basis_words);
    if (number >= 0)
        purpose->shown.basis = (enum vault_basis)number;
    read_retain(parse, kl_yaml_member(node, "retain"), purpose);
    read_notice(parse, kl_yaml_member(node, "notice"), purpose);
    if (kl_yaml_member(node, "renew") != NULL)
        purpose->shown.asks_renewal =
            vault_policy_word(parse, kl_yaml_member(node, "renew"), "renewal", renew_words) == 0;
    if (purpose->shown.asks_renewal && !rests_on_consent(purpose))
        vault_policy_error(parse, kl_yaml_member(node, "renew"), "not_a_consent",
                           "only a consent can be renewed");
    if (kl_yaml_member(node, "ground") != NULL) {
        number = vault_policy_word(parse, kl_yaml_member(node, "ground"), "ground", ground_words);
        purpose->shown.special_ground = number < 0 ? NULL : ground_words[number];
    }
    purpose->shown.interest = vault_policy_optional_text(parse, node, "interest");
    purpose->shown.law = vault_policy_optional_text(parse, node, "law");
    purpose->shown.description = vault_policy_optional_text(parse, node, "description");
    purpose->shown.automated_decision =
        vault_policy_optional_text(parse, node, "automated_decision");
    read_rights(parse, node, purpose);
}

static void add_purpose(struct policy_parse *parse, policy_node name, policy_node value)
{
    struct vault_policy *policy = parse->policy;
    struct policy_purpose *purpose = &policy->purposes[policy->purpose_count];

    if (!vault_policy_name_check(parse, name, "purpose"))
        return;
    if (vault_policy_find(policy->purpose_names, name->text) >= 0) {
        vault_policy_error(parse, name, "forbidden_purpose",
                           "'%s' is named twice: a purpose is either allowed or forbidden",
                           name->text);
        return;
    }
    purpose->shown.name = vault_policy_copy(parse, name->text);
    if (purpose->shown.name == NULL)
        return;
    purpose->shown.forbidden = value == NULL;
    purpose->line = name->line;
    purpose->column = name->column;
    policy->purpose_names[policy->purpose_count] = purpose->shown.name;
    policy->purpose_count++;
    if (value != NULL)
        read_purpose(parse, value, purpose);
}

/* Automated decisions are not both forbidden and made. */
static void check_automated(struct policy_parse *parse, policy_node allowed)
{
    const int forbidden = vault_policy_find(parse->policy->purpose_names, VAULT_AUTOMATED_DECISION);

    if (forbidden < 0 || !parse->policy->purposes[forbidden].shown.forbidden)
        return;
    for (size_t i = 0; allowed != NULL && i < allowed->count; i++) {
        policy_node node = kl_yaml_member(allowed->items[i], VAULT_AUTOMATED_DECISION);

        if (node != NULL)
            vault_policy_error(parse, node, "forbidden_purpose",
                               "a purpose makes automated decisions, and forbidden_purposes has "
                               "them: it is one or the other");
    }
}

void vault_policy_read_purposes(struct policy_parse *parse, policy_node root)
{
    struct vault_policy *policy = parse->policy;
    policy_node allowed = vault_policy_member(parse, root, "purposes", "a policy");
    policy_node forbidden = kl_yaml_member(root, "forbidden_purposes");
    size_t count = 0;

    if (!vault_policy_mapping(parse, allowed, "purposes", NULL))
        allowed = NULL;
    if (forbidden != NULL &&
        !vault_policy_list(parse, forbidden, "forbidden_purposes", VAULT_PURPOSES_MAX))
        forbidden = NULL;
    count = (allowed != NULL ? allowed->count : 0) + (forbidden != NULL ? forbidden->count : 0);
    if (count > VAULT_PURPOSES_MAX) {
        vault_policy_error(parse, allowed, "too_many", "a policy has at most %d purposes",
                           VAULT_PURPOSES_MAX);
        allowed = forbidden = NULL;
        count = 0;
    }
    policy->purposes = vault_policy_array(parse, count, sizeof *policy->purposes);
    policy->purpose_names = vault_policy_array(parse, count + 1, sizeof *policy->purpose_names);
    if (parse->no_memory)
        return;
    for (size_t i = 0; allowed != NULL && i < allowed->count; i++)
        add_purpose(parse, allowed->keys[i], allowed->items[i]);
    for (size_t i = 0; forbidden != NULL && i < forbidden->count; i++)
        add_purpose(parse, forbidden->items[i], NULL);
    check_automated(parse, allowed);
}

/* ---- recipients ---- */

static void read_recipient_consent(struct policy_parse *parse, policy_node node,
                                   struct policy_recipient *recipient)
{
    struct vault_policy *policy = parse->policy;
    enum vault_basis basis;
    int number;

    if (node == NULL)
        return;
    number = vault_policy_word(parse, node, "purpose", policy->purpose_names);
    if (number < 0)
        return;
    basis = policy->purposes[number].shown.basis;
    policy->purposes[number].of_recipient = true;
    if (policy->purposes[number].shown.forbidden ||
        (basis != VAULT_BASIS_CONSENT && basis != VAULT_BASIS_EXPLICIT_CONSENT)) {
        vault_policy_error(parse, node, "not_a_consent",
                           "a recipient's consent is a purpose whose basis is consent or "
                           "explicit_consent");
        return;
    }
    recipient->shown.consent_purpose = number;
}

static void read_recipient(struct policy_parse *parse, policy_node node,
                           struct policy_recipient *recipient)
{
    static const char *const keys[] = {"kind",  "country", "purposes",    "consent",
                                       "scope", "contact", "description", NULL};
    static const char *const scope_words[] = {"accepted", NULL};
    policy_node scope = kl_yaml_member(node, "scope");
    int kind = VAULT_NONE;

    recipient->shown.consent_purpose = VAULT_NONE;
    if (!vault_policy_mapping(parse, node, "a recipient", keys))
        return;
    kind = vault_policy_word(parse, vault_policy_member(parse, node, "kind", "a recipient"),
                             "kind of recipient", recipient_kinds);
    recipient->shown.kind = kind < 0 ? "" : recipient_kinds[kind];
    (void)vault_policy_country(parse, vault_policy_member(parse, node, "country", "a recipient"),
                               &recipient->shown.country);
    (void)vault_policy_purposes(parse, vault_policy_member(parse, node, "purposes", "a recipient"),
                                true, &recipient->shown.purposes);
    read_recipient_consent(parse, kl_yaml_member(node, "consent"), recipient);
    if (scope != NULL)
        recipient->scope_accepted = vault_policy_word(parse, scope, "scope", scope_words) == 0;
    recipient->shown.contact = vault_policy_optional_text(parse, node, "contact");
    recipient->shown.description = vault_policy_optional_text(parse, node, "description");
}

void vault_policy_read_recipients(struct policy_parse *parse, policy_node root)
{
    struct vault_policy *policy = parse->policy;
    policy_node node = kl_yaml_member(root, "recipients");
    size_t count = 0;

    if (vault_policy_mapping(parse, node, "recipients", NULL))
        count = node->count;
    if (count > VAULT_RECIPIENTS_MAX) {
        vault_policy_error(parse, node, "too_many", "a policy has at most %d recipients",
                           VAULT_RECIPIENTS_MAX);
        count = 0;
    }
    policy->recipients = vault_policy_array(parse, count, sizeof *policy->recipients);
    policy->recipient_names = vault_policy_array(parse, count + 1, sizeof *policy->recipient_names);
    if (parse->no_memory)
        return;
    for (size_t i = 0; i < count; i++) {
        struct policy_recipient *recipient = &policy->recipients[policy->recipient_count];
        if (!vault_policy_name_check(parse, node->keys[i], "recipient"))
            continue;
        recipient->shown.name = vault_policy_copy(parse, node->keys[i]->text);
        if (recipient->shown.name == NULL)
            return;
        policy->recipient_names[policy->recipient_count++] = recipient->shown.name;
        read_recipient(parse, node->items[i], recipient);
    }
}

/* ---- records ---- */

static void read_index(struct policy_parse *parse, policy_node node,
                       struct vault_policy_field *field)
{
    static const char *const words[] = {"false", "true", "unique", NULL};
    int number = VAULT_NONE;

    if (node == NULL)
        return;
    number = vault_policy_word(parse, node, "index", words);
    if (number <= 0)
        return;
    if (field->type == VAULT_TYPE_JSON || field->type == VAULT_TYPE_SECRET ||
        field->type == VAULT_TYPE_FILE) {
        vault_policy_error(parse, node, "not_indexable", "a field of type %s cannot be looked up",
                           vault_type_name(field->type));
        return;
    }
    field->index = number == 1 ? VAULT_INDEX_MANY : VAULT_INDEX_UNIQUE;
}

static void read_mask(struct policy_parse *parse, policy_node node,
                      struct vault_policy_field *field)
{
    const char *words[VAULT_MASKS + 1] = {NULL};
    int number = VAULT_NONE;

    if (node == NULL)
        return;
    for (int i = 0; i < VAULT_MASKS; i++)
        words[i] = vault_mask_name((enum vault_mask)i);
    number = vault_policy_word(parse, node, "mask", words);
    if (number < 0)
        return;
    if (!vault_mask_fits((enum vault_mask)number, field->type)) {
        vault_policy_error(parse, node, "mask_does_not_fit",
                           "the mask '%s' has no meaning for a field of type %s", words[number],
                           vault_type_name(field->type));
        return;
    }
    field->mask = (enum vault_mask)number;
}

static bool read_type(struct policy_parse *parse, policy_node node,
                      struct vault_policy_field *field)
{
    const char *words[VAULT_TYPES + 1] = {NULL};
    int number = VAULT_NONE;

    for (int i = 0; i < VAULT_TYPES; i++)
        words[i] = vault_type_name((enum vault_type)i);
    number = vault_policy_word(parse, node, "type", words);
    if (number < 0)
        return false;
    field->type = (enum vault_type)number;
    return true;
}

static void read_category(struct policy_parse *parse, policy_node node, policy_node categories,
                          struct vault_policy_field *field)
{
    if (node == NULL || !vault_policy_name_check(parse, node, "category"))
        return;
    if (categories != NULL) {
        bool found = false;
        for (size_t i = 0; i < categories->count; i++)
            found = found || (categories->items[i]->kind == KL_YAML_SCALAR &&
                              strcmp(categories->items[i]->text, node->text) == 0);
        if (!found) {
            vault_policy_error(parse, node, "unknown_category",
                               "'%s' is none of the categories of the record type", node->text);
            return;
        }
    }
    field->category = vault_policy_copy(parse, node->text);
}

static void read_field_purposes(struct policy_parse *parse, policy_node node,
                                struct vault_policy_field *field)
{
    const uint64_t of_record = field->purposes;
    uint64_t bits = 0;

    if (node == NULL || !vault_policy_purposes(parse, node, false, &bits))
        return;
    for (size_t i = 0; i < node->count; i++) {
        int number = vault_policy_find(parse->policy->purpose_names, node->items[i]->text);
        if (of_record != 0 && !policy_bit(of_record, number))
            vault_policy_error(
                parse, node->items[i], "not_a_purpose_of_the_record",
                "a field can only narrow its record's purposes, and '%s' is none of them",
                node->items[i]->text);
    }
    field->purposes = bits & of_record;
}

static void read_field(struct policy_parse *parse, policy_node node, policy_node categories,
                       struct vault_policy_field *field)
{
    static const char *const keys[] = {"type",    "mask",     "category",    "index",
                                       "special", "purposes", "description", NULL};
    policy_node special = kl_yaml_member(node, "special");

    if (!vault_policy_mapping(parse, node, "a field", keys) ||
        !read_type(parse, vault_policy_member(parse, node, "type", "a field"), field))
        return;
    read_mask(parse, kl_yaml_member(node, "mask"), field);
    read_index(parse, kl_yaml_member(node, "index"), field);
    read_category(parse, kl_yaml_member(node, "category"), categories, field);
    read_field_purposes(parse, kl_yaml_member(node, "purposes"), field);
    if (special != NULL) {
        int number = vault_policy_word(parse, special, "special category", special_words);
        field->special = number < 0 ? NULL : special_words[number];
    }
    field->description = vault_policy_optional_text(parse, node, "description");
}

/* The field's full name is "type.field"; its own name is the end of that. */
static bool add_field(struct policy_parse *parse, policy_node name, int record)
{
    struct vault_policy *policy = parse->policy;
    struct vault_policy_field *field = &policy->fields[policy->field_count];
    char full[2 * VAULT_NAME_MAX_BYTES + 2];
    const char *of_record = policy->records[record].name;

    if (!vault_policy_name_check(parse, name, "field"))
        return false;
    (void)snprintf(full, sizeof full, "%s.%s", of_record, name->text);
    policy->field_names[policy->field_count] = vault_policy_copy(parse, full);
    if (parse->no_memory)
        return false;
    field->name = policy->field_names[policy->field_count] + strlen(of_record) + 1;
    field->record = record;
    field->mask = VAULT_MASK_STARS;
    field->purposes = policy->records[record].purposes;
    policy->field_count++;
    return true;
}

static void read_categories(struct policy_parse *parse, policy_node categories,
                            struct vault_policy_record *record)
{
    const char **names = NULL;

    if (categories == NULL)
        return;
    names = vault_policy_array(parse, categories->count + 1, sizeof *names);
    for (size_t i = 0; i < categories->count && !parse->no_memory; i++)
        names[i] = vault_policy_name_check(parse, categories->items[i], "category")
                       ? vault_policy_copy(parse, categories->items[i]->text)
                       : "";
    record->categories = names;
}

/* What an erasure keeps of a record has a line for each of them. */
static void check_obligations(struct policy_parse *parse, policy_node node, uint64_t purposes)
{
    size_t count = 0;

    for (size_t i = 0; i < parse->policy->purpose_count; i++)
        count += policy_bit(purposes, (int)i) &&
                 vault_policy_is_obligation(&parse->policy->purposes[i].shown);
    if (count > VAULT_OBLIGATIONS_MAX)
        vault_policy_error(parse, node, "too_many",
                           "a record type comes under at most %d legal obligations with a clock",
                           VAULT_OBLIGATIONS_MAX);
}

static void read_record(struct policy_parse *parse, policy_node node, int number)
{
    static const char *const keys[] = {"categories",    "purposes",    "fields",
                                       "data_subjects", "description", NULL};
    struct vault_policy *policy = parse->policy;
    struct vault_policy_record *record = &policy->records[number];
    policy_node categories = kl_yaml_member(node, "categories");
    policy_node fields;

    record->field_first = (int)policy->field_count;
    if (!vault_policy_mapping(parse, node, "a record type", keys))
        return;
    if (categories != NULL && !vault_policy_list(parse, categories, "categories", VAULT_FIELDS_MAX))
        categories = NULL;
    read_categories(parse, categories, record);
    (void)vault_policy_purposes(parse,
                                vault_policy_member(parse, node, "purposes", "a record type"),
                                false, &record->purposes);
    check_obligations(parse, kl_yaml_member(node, "purposes"), record->purposes);
    record->data_subjects = vault_policy_optional_text(parse, node, "data_subjects");
    record->description = vault_policy_optional_text(parse, node, "description");
    fields = vault_policy_member(parse, node, "fields", "a record type");
    if (!vault_policy_mapping(parse, fields, "fields", NULL))
        return;
    if (fields->count == 0)
        vault_policy_error(parse, fields, "wrong_shape", "a record type has at least one field");
    for (size_t i = 0; i < fields->count && !parse->no_memory; i++)
        if (add_field(parse, fields->keys[i], number))
            read_field(parse, fields->items[i], categories,
                       &policy->fields[policy->field_count - 1]);
    record->field_count = (int)policy->field_count - record->field_first;
}

static size_t count_fields(policy_node records)
{
    size_t count = 0;

    for (size_t i = 0; i < records->count; i++) {
        policy_node fields = kl_yaml_member(records->items[i], "fields");
        if (fields != NULL && fields->kind == KL_YAML_MAPPING)
            count += fields->count;
    }
    return count;
}

void vault_policy_read_records(struct policy_parse *parse, policy_node root)
{
    struct vault_policy *policy = parse->policy;
    policy_node node = vault_policy_member(parse, root, "records", "a policy");
    size_t records = 0;
    size_t fields = 0;

    if (vault_policy_mapping(parse, node, "records", NULL)) {
        records = node->count;
        fields = count_fields(node);
    }
    if (records > VAULT_RECORD_TYPES_MAX || fields > VAULT_FIELDS_MAX) {
        vault_policy_error(parse, node, "too_many",
                           "a policy has at most %d record types, with %d fields in all",
                           VAULT_RECORD_TYPES_MAX, VAULT_FIELDS_MAX);
        records = fields = 0;
    }
    policy->records = vault_policy_array(parse, records, sizeof *policy->records);
    policy->record_names = vault_policy_array(parse, records + 1, sizeof *policy->record_names);
    policy->fields = vault_policy_array(parse, fields, sizeof *policy->fields);
    policy->field_names = vault_policy_array(parse, fields + 1, sizeof *policy->field_names);
    if (parse->no_memory)
        return;
    for (size_t i = 0; i < records; i++) {
        struct vault_policy_record *record = &policy->records[policy->record_count];
        if (!vault_policy_name_check(parse, node->keys[i], "record type"))
            continue;
        record->name = vault_policy_copy(parse, node->keys[i]->text);
        if (record->name == NULL)
            return;
        policy->record_names[policy->record_count++] = record->name;
        read_record(parse, node->items[i], (int)policy->record_count - 1);
    }
}
