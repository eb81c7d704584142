/*
 * The top of a policy, its residency with the transfers, requests, and for how long the audit trail is kept.
 */
#include "vault/policy_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *const vault_policy_view_words[] = {"plain", "masked", "token", "present", NULL};
static_assert(sizeof vault_policy_view_words / sizeof vault_policy_view_words[0] == VAULT_VIEWS + 1,
              "one word for each view");

/* GDPR art. 45, 46(1) to (3), 47 and 49(1). */
const char *const vault_policy_mechanism_words[] = {"adequate",
                                                    "standard_clauses",
                                                    "binding_corporate_rules",
                                                    "code_of_conduct",
                                                    "certification",
                                                    "public_instrument",
                                                    "ad_hoc_clauses",
                                                    "explicit_consent",
                                                    "derogation_contract",
                                                    "derogation_public_interest",
                                                    "derogation_legal_claims",
                                                    "derogation_vital_interest",
                                                    "derogation_public_register",
                                                    NULL};
static_assert(sizeof vault_policy_mechanism_words / sizeof vault_policy_mechanism_words[0] ==
                  POLICY_MECHANISMS + 1,
              "one word for each mechanism");

static int country_bit(struct vault_country country)
{
    return 26 * (country.code[0] - 'A') + (country.code[1] - 'A');
}

bool vault_policy_countries_has(const struct policy_countries *set, struct vault_country country)
{
    int bit;

    if (!vault_country_is_set(country))
        return false;
    bit = country_bit(country);
    return ((set->bits[bit / 64] >> (bit % 64)) & 1) != 0;
}

void vault_policy_countries_add(struct policy_countries *set, struct vault_country country)
{
    const int bit = country_bit(country);

    set->bits[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* ---- the top ---- */

/* A policy's own name may have hyphens: "we-are". */
static void read_policy_name(struct policy_parse *parse, policy_node root)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    policy_node node = vault_policy_member(parse, root, "policy", "a policy");
    const char *text = vault_policy_scalar_text(parse, node, "policy");

    if (text == NULL)
        return;
    if (text[strspn(text, good)] != '\0' || text[0] < 'a' || text[0] > 'z' ||
        strlen(text) > VAULT_NAME_MAX_BYTES) {
        vault_policy_error(
            parse, node, "invalid_name",
            "a policy's name is a lower case letter, then letters, digits, - and _, at "
            "most %d",
            VAULT_NAME_MAX_BYTES);
        return;
    }
    parse->policy->name = vault_policy_copy(parse, text);
}

/* A language tag (BCP 47): letters first, then letters, digits and hyphens, at most 35 (RFC 5646, 4.4.1). */
static const char *read_language(struct policy_parse *parse, policy_node node)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789";
    const char *text = vault_policy_optional_text(parse, node, "language");

    if (text != NULL && (text[strspn(text, good)] != '\0' || strlen(text) > 35 ||
                         strchr(good + 52, text[0]) != NULL)) {
        vault_policy_error(parse, kl_yaml_member(node, "language"), "invalid_language",
                           "language is a tag of BCP 47, such as nl or fr-BE");
        return NULL;
    }
    return text;
}

/*
 * A notice's name is written by people and carries a version as they like: "2024-03", "webinar.v2".
 */
static bool is_notice_name(const char *text)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return text[strspn(text, good)] == '\0' && strlen(text) <= VAULT_NAME_MAX_BYTES;
}

static void read_notices(struct policy_parse *parse, policy_node root)
{
    static const char *const keys[] = {"title", "url", "from", "language", "description", NULL};
    policy_node node = kl_yaml_member(root, "notices");
    const char **names = NULL;

    if (!vault_policy_mapping(parse, node, "notices", NULL))
        return;
    names = vault_policy_array(parse, node->count + 1, sizeof *names);
    parse->policy->notices =
        vault_policy_array(parse, node->count + 1, sizeof *parse->policy->notices);
    if (parse->no_memory)
        return;
    for (size_t i = 0; i < node->count; i++) {
        policy_node from = kl_yaml_member(node->items[i], "from");
        const char *text = vault_policy_scalar_text(parse, node->keys[i], "notice");

        names[i] = text != NULL ? vault_policy_copy(parse, text) : "";
        if (text != NULL && !is_notice_name(text))
            vault_policy_error(parse, node->keys[i], "invalid_name",
                               "a notice's name is letters, digits, '.', '_' and '-', at most %d",
                               VAULT_NAME_MAX_BYTES);
        if (!vault_policy_mapping(parse, node->items[i], "a notice", keys))
            continue;
        parse->policy->notices[i].title =
            vault_policy_optional_text(parse, node->items[i], "title");
        parse->policy->notices[i].url = vault_policy_optional_text(parse, node->items[i], "url");
        parse->policy->notices[i].language = read_language(parse, node->items[i]);
        (void)vault_policy_scalar_text(parse, kl_yaml_member(node->items[i], "description"),
                                       "description");
        text = vault_policy_scalar_text(parse, from, "from");
        if (text != NULL &&
            kl_date_parse(text, strlen(text), &parse->policy->notices[i].from_us, NULL) != KL_OK)
            vault_policy_error(parse, from, "invalid_date", "from is a date, YYYY-MM-DD");
        parse->policy->notices[i].name = names[i];
        if (parse->no_memory)
            return;
    }
    parse->notices = names;
}

void vault_policy_read_top(struct policy_parse *parse, policy_node root)
{
    static const char *const keys[] = {
        "policy",    "version",   "controller",     "acting_as",          "notices",
        "residency", "records",   "purposes",       "forbidden_purposes", "recipients",
        "roles",     "on_erase",  "alerts",         "requests",           "sources",
        "tests",     "processor", "return_of_data", "measures",           "audit",
        NULL};
    static const char *const acting[] = {"controller", "joint_controller", "processor", NULL};
    static const char *const returning[] = {"at_end", "at_any_time", NULL};
    const char *version = NULL;
    int role = 0;

    if (!vault_policy_mapping(parse, root, "a policy", keys))
        return;
    read_policy_name(parse, root);
    version = vault_policy_required_text(parse, root, "version", "a policy");
    if (version != NULL && strlen(version) > VAULT_NAME_MAX_BYTES)
        vault_policy_error(parse, kl_yaml_member(root, "version"), "too_long",
                           "version has at most %d bytes", VAULT_NAME_MAX_BYTES);
    parse->policy->version = version != NULL ? vault_policy_copy(parse, version) : "";
    vault_policy_read_controller(parse, root);
    read_notices(parse, root);
    if (kl_yaml_member(root, "acting_as") != NULL)
        role = vault_policy_word(parse, kl_yaml_member(root, "acting_as"), "acting_as", acting);
    parse->policy->controller.acting_as = acting[role < 0 ? 0 : role];
    vault_policy_read_processor(parse, root);
    if (kl_yaml_member(root, "return_of_data") != NULL)
        parse->policy->returns_at_any_time =
            vault_policy_word(parse, kl_yaml_member(root, "return_of_data"), "return_of_data",
                              returning) == 1;
}

/* ---- transfers ---- */

static void read_to(struct policy_parse *parse, policy_node node, struct policy_transfer *line)
{
    if (node == NULL)
        return;
    if (node->kind == KL_YAML_SCALAR) {
        if (strcmp(node->text, "adequate") == 0)
            line->to_adequate = true;
        else
            vault_policy_error(parse, node, "wrong_shape",
                               "to is the word adequate or a list of countries: [GB, CH]");
        return;
    }
    if (!vault_policy_country_list(parse, node, "to", &line->to))
        return;
    for (size_t i = 0; i < node->count; i++) {
        struct vault_country country = {{node->items[i]->text[0], node->items[i]->text[1], '\0'}};
        if (vault_country_in_eea(country))
            vault_policy_error(parse, node->items[i], "not_a_transfer",
                               "%s lies in the EEA: nothing has to be allowed for it",
                               country.code);
    }
}

static void read_mechanism(struct policy_parse *parse, policy_node node, policy_node value,
                           struct policy_transfer *line)
{
    int number = POLICY_ADEQUATE;

    if (value != NULL)
        number = vault_policy_word(parse, value, "mechanism", vault_policy_mechanism_words);
    else if (!line->to_adequate)
        vault_policy_error(
            parse, node, "missing_key",
            "a transfer to named countries needs a mechanism, such as standard_clauses");
    if (number < 0 || (value == NULL && !line->to_adequate))
        number = POLICY_STANDARD_CLAUSES; /* it is an error already: look no further for it */
    line->mechanism = (enum policy_mechanism)number;
    if (line->to_adequate && line->mechanism != POLICY_ADEQUATE)
        vault_policy_error(
            parse, value, "wrong_mechanism",
            "to: adequate rests on the Commission's decision; name the countries to use "
            "another mechanism");
}

/* A list of countries, or `accepted` for all. */
static void read_scope(struct policy_parse *parse, policy_node node, struct policy_transfer *line)
{
    if (node == NULL)
        return;
    if (line->mechanism != POLICY_ADEQUATE)
        vault_policy_error(parse, node, "wrong_mechanism",
                           "scope belongs to an adequacy decision; other mechanisms have none");
    else if (node->kind == KL_YAML_SCALAR && strcmp(node->text, "accepted") == 0)
        line->scope_all = true;
    else if (node->kind == KL_YAML_SCALAR)
        vault_policy_error(
            parse, node, "wrong_shape",
            "scope is the word accepted, or a list of the countries whose decision's "
            "scope fits");
    else
        (void)vault_policy_country_list(parse, node, "scope", &line->scope);
}

/*
 * Named countries under `adequate` have a decision; the United States also need the recipients that
 * are certified.
 */
static void check_adequate(struct policy_parse *parse, policy_node to,
                           const struct policy_transfer *line)
{
    if (line->to_adequate || line->mechanism != POLICY_ADEQUATE || to == NULL ||
        to->kind != KL_YAML_SEQUENCE)
        return;
    for (size_t i = 0; i < to->count; i++) {
        policy_node item = to->items[i];
        struct vault_country country;
        const struct vault_adequacy *decision = NULL;
        if (item->kind != KL_YAML_SCALAR ||
            vault_country_parse(item->text, strlen(item->text), &country, NULL) != KL_OK)
            continue;
        decision = vault_adequacy_find(country, kl_time_now_us());
        if (decision == NULL)
            vault_policy_warn(parse, item->line, item->column, "no_adequacy_decision",
                              "there is no adequacy decision for %s now: this allows nothing",
                              country.code);
        else if (decision->never_alone && line->any_recipient)
            vault_policy_error(parse, item, "missing_key",
                               "the decision for %s covers %s only: name them with recipients",
                               country.code, decision->scope);
    }
}

static void read_transfer(struct policy_parse *parse, policy_node node,
                          struct policy_transfer *line)
{
    static const char *const keys[] = {"to",         "mechanism", "purposes",    "view",
                                       "recipients", "scope",     "description", NULL};
    policy_node purposes = kl_yaml_member(node, "purposes");
    policy_node recipients = kl_yaml_member(node, "recipients");
    policy_node to = NULL;

    line->any_purpose = purposes == NULL;
    line->any_recipient = recipients == NULL;
    if (!vault_policy_mapping(parse, node, "a transfer", keys))
        return;
    to = vault_policy_member(parse, node, "to", "a transfer");
    read_to(parse, to, line);
    read_mechanism(parse, node, kl_yaml_member(node, "mechanism"), line);
    read_scope(parse, kl_yaml_member(node, "scope"), line);
    if (purposes != NULL)
        (void)vault_policy_purposes(parse, purposes, false, &line->purposes);
    if (recipients != NULL)
        (void)vault_policy_names(parse, recipients, "recipient", false,
                                 parse->policy->recipient_names, &line->recipients);
    if (kl_yaml_member(node, "view") != NULL) {
        int view =
            vault_policy_word(parse, kl_yaml_member(node, "view"), "view", vault_policy_view_words);
        line->view = view < 0 ? VAULT_VIEW_PRESENT : (enum vault_view)view;
    }
    line->description = vault_policy_optional_text(parse, node, "description");
    check_adequate(parse, to, line);
}

void vault_policy_read_residency(struct policy_parse *parse, policy_node root)
{
    static const char *const keys[] = {"default", "transfers", NULL};
    static const char *const residencies[] = {"EEA", "none", NULL};
    struct vault_policy *policy = parse->policy;
    policy_node node = kl_yaml_member(root, "residency");
    policy_node transfers = kl_yaml_member(node, "transfers");
    policy_node tag = kl_yaml_member(node, "default");
    size_t count = 0;

    policy->residency = VAULT_RESIDENCY_EEA;
    if (!vault_policy_mapping(parse, node, "residency", keys))
        return;
    if (tag != NULL && vault_policy_word(parse, tag, "residency", residencies) == 1)
        policy->residency = VAULT_RESIDENCY_NONE;
    if (transfers != NULL && transfers->kind == KL_YAML_SEQUENCE && transfers->count == 0)
        return; /* said in so many words: none */
    if (vault_policy_list(parse, transfers, "transfers", VAULT_TRANSFERS_MAX))
        count = transfers->count;
    policy->transfers = vault_policy_array(parse, count, sizeof *policy->transfers);
    if (parse->no_memory)
        return;
    for (size_t i = 0; i < count; i++)
        read_transfer(parse, transfers->items[i], &policy->transfers[policy->transfer_count++]);
}

/* ---- duties ---- */

/* A duration of the section; none is longer than the law's months, or their longest days. */
static void read_period(struct policy_parse *parse, policy_node section, const char *key,
                        uint32_t months_max, struct kl_duration *ret)
{
    policy_node node = kl_yaml_member(section, key);
    struct kl_duration duration = {0};

    if (node == NULL || !vault_policy_duration(parse, node, &duration))
        return;
    if (duration.months > months_max || duration.days > 31 * months_max ||
        (duration.months == months_max && (duration.days != 0 || duration.seconds != 0)) ||
        duration.seconds > (uint64_t)31 * months_max * 86400) {
        vault_policy_error(parse, node, "period_too_long",
                           "%s may be at most P%uM: GDPR art. 12(3) allows no more", key,
                           (unsigned)months_max);
        return;
    }
    if (duration.months == 0 && duration.days == 0 && duration.seconds == 0) {
        vault_policy_error(parse, node, "period_too_short", "%s must be longer than nothing", key);
        return;
    }
    *ret = duration;
}

void vault_policy_read_requests(struct policy_parse *parse, policy_node root)
{
    static const char *const keys[] = {"aim", "answer_within", "extend_by", "verify_identity",
                                       NULL};
    policy_node node = kl_yaml_member(root, "requests");
    struct vault_policy_requests *requests = &parse->policy->requests;

    requests->answer_within.months = 1;
    requests->extend_by.months = 2;
    if (!vault_policy_mapping(parse, node, "requests", keys))
        return;
    requests->has_aim = kl_yaml_member(node, "aim") != NULL;
    read_period(parse, node, "aim", 1, &requests->aim);
    read_period(parse, node, "answer_within", 1, &requests->answer_within);
    read_period(parse, node, "extend_by", 2, &requests->extend_by);
    (void)vault_policy_bool(parse, kl_yaml_member(node, "verify_identity"), "verify_identity",
                            &requests->verify_identity);
}

void vault_policy_read_audit(struct policy_parse *parse, policy_node root)
{
    static const char *const keys[] = {"keep", "keep_unreviewed", NULL};
    policy_node node = kl_yaml_member(root, "audit");
    policy_node keep = kl_yaml_member(node, "keep");
    struct vault_policy_audit *audit = &parse->policy->audit;

    if (!vault_policy_mapping(parse, node, "audit", keys))
        return;
    if (keep != NULL && vault_policy_duration(parse, keep, &audit->keep)) {
        audit->has_keep = kl_trail_keep_is_enough(&audit->keep);
        if (!audit->has_keep)
            vault_policy_error(parse, keep, "keep_too_short",
                               "keep is " KL_TRAIL_KEEP_MIN
                               " or more: who looks once a year must find the whole year");
    }
    (void)vault_policy_bool(parse, kl_yaml_member(node, "keep_unreviewed"), "keep_unreviewed",
                            &audit->keep_unreviewed);
    if (keep == NULL && audit->keep_unreviewed)
        vault_policy_error(parse, node, "keep_missing",
                           "without keep every entry is kept, reviewed or not");
}
