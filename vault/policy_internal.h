/*
 * A compiled policy, and the pieces of its parser: policy_yaml.c (shapes), policy_data.c (purposes,
 * recipients, records), policy_place.c (the top, residency, requests), policy_parties.c (controller, processor, measures), policy_told.c (sources), policy_statistics.c (on_erase), policy_role.c, policy_alerts.c,
 * policy_check.c (warnings), policy_test.c (the policy's own tests). decide.c reads what they make.
 */
#ifndef KLUIS_VAULT_POLICY_INTERNAL_H
#define KLUIS_VAULT_POLICY_INTERNAL_H

#include "kluis/base/arena.h"
#include "kluis/base/time.h"
#include "kluis/base/yaml.h"
#include "kluis/vault/policy.h"
#include "vault/hours.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_ARENA_BYTES_MAX ((size_t)32 * 1024 * 1024)
#define POLICY_TEXT_MAX_BYTES 256 /* names of people's making: controller, version, notices */
#define POLICY_COUNTRY_WORDS 11   /* 26 * 26 bits */
#define POLICY_FIELD_WORDS (VAULT_FIELDS_MAX / 64)
#define POLICY_ALL UINT64_MAX
#define POLICY_NUMBER_MAX 1000000 /* of what is counted an hour */

/* A set of countries: bit 26 * first letter + second letter. */
struct policy_countries {
    uint64_t bits[POLICY_COUNTRY_WORDS];
};

/* What a condition says of a credential that declares no location (it is somewhere in the EEA). */
enum policy_unset { POLICY_UNSET_NO, POLICY_UNSET_MAYBE, POLICY_UNSET_YES };

struct policy_grant {
    uint32_t actions;  /* bit per action */
    uint64_t purposes; /* POLICY_ALL without `for` and for "*" */
    uint64_t fields[POLICY_FIELD_WORDS];
    enum vault_view view;
    bool own_subject;
    bool has_location;
    enum policy_unset unset;
    struct policy_countries location;
    uint32_t grounds; /* bit per ground that may be claimed */
    bool has_hours;
    struct vault_hours hours;
    uint32_t volume;                    /* subjects an hour; 0: any number */
    uint64_t named[POLICY_FIELD_WORDS]; /* fields that a pattern names, not a star */
    unsigned line;
    unsigned column;
};

/*
 * The grants that match a query are the bits left of four loads: by action, by purpose, by field,
 * and conditions that hold.
 */
struct policy_role {
    const char *name;
    size_t grant_count;
    struct policy_grant *grants;
    uint64_t by_action[VAULT_ACTIONS];
    uint64_t by_view[VAULT_VIEWS];
    uint64_t by_ground[VAULT_GROUNDS];
    uint64_t conditional; /* grants with a `when` */
    uint64_t limited;     /* those with a volume */
    uint64_t *by_purpose; /* per purpose */
    uint64_t *by_field;   /* per field */
    unsigned line;
    unsigned column;
};

enum policy_mechanism {
    POLICY_ADEQUATE,
    POLICY_STANDARD_CLAUSES,
    POLICY_BINDING_CORPORATE_RULES,
    POLICY_CODE_OF_CONDUCT,
    POLICY_CERTIFICATION,
    POLICY_PUBLIC_INSTRUMENT,
    POLICY_AD_HOC_CLAUSES,
    POLICY_EXPLICIT_CONSENT,
    POLICY_DEROGATION_CONTRACT,
    POLICY_DEROGATION_PUBLIC_INTEREST,
    POLICY_DEROGATION_LEGAL_CLAIMS,
    POLICY_DEROGATION_VITAL_INTEREST,
    POLICY_DEROGATION_PUBLIC_REGISTER,
    POLICY_MECHANISMS
};

struct policy_transfer {
    enum policy_mechanism mechanism;
    bool to_adequate; /* every country with a decision, those that never count alone excepted */
    bool scope_all;   /* the scope of any decision is said to fit */
    struct policy_countries to;
    struct policy_countries scope; /* countries whose decision's scope is said to fit */
    uint64_t purposes;
    uint64_t recipients;
    bool any_purpose;
    bool any_recipient;
    enum vault_view view;
    const char *description;
};

struct policy_purpose {
    struct vault_policy_purpose shown;
    bool of_recipient; /* a recipient's consent is asked for it */
    unsigned line;
    unsigned column;
};

struct policy_recipient {
    struct vault_policy_recipient shown;
    bool scope_accepted; /* it is one of those whom its country's adequacy decision covers */
};

/* A bucket that holds bulk and is filled again by per_hour; bulk 0: off. */
struct policy_rate {
    uint32_t bulk;
    uint32_t per_hour;
};
/* When the use of a role is told of (policy_alerts.c). hours_text: as the policy writes hours; NULL: none are expected. */
struct policy_alerts {
    struct policy_rate volume;
    struct policy_rate refusals;
    const char *hours_text;
    struct vault_hours hours;
    bool weekdays; /* Saturday and Sunday are outside of the hours */
};

struct vault_policy {
    atomic_uint references;
    struct kl_arena *arena; /* everything below, and all texts */
    const char *name;
    const char *version;
    enum vault_residency residency;
    uint32_t alert_window_s; /* of all its alerts */
    bool returns_at_any_time;
    struct vault_policy_audit audit;
    struct vault_policy_requests requests;
    struct vault_policy_controller controller;
    struct vault_policy_notice *notices; /* ended by a NULL name; NULL: none */
    struct vault_policy_source *sources; /* ended by a NULL name; NULL: none */
    struct vault_policy_statistics statistics;
    struct policy_alerts alerts; /* of roles that it says nothing else of, built-in ones too */
    struct policy_alerts *role_alerts; /* by role */
    size_t record_count;
    size_t field_count;
    size_t purpose_count; /* the forbidden ones too */
    size_t recipient_count;
    size_t transfer_count;
    size_t role_count;
    struct vault_policy_record *records;
    struct vault_policy_field *fields;
    struct policy_purpose *purposes;
    struct policy_recipient *recipients;
    struct policy_transfer *transfers;
    struct policy_role *roles;
    /* names in the order of the numbers, ended by NULL; a field's is "type.field" */
    const char **record_names;
    const char **field_names;
    const char **purpose_names;
    const char **recipient_names;
    const char **role_names;
};

/* ---- sets ---- */

bool vault_policy_countries_has(const struct policy_countries *set, struct vault_country country);
void vault_policy_countries_add(struct policy_countries *set, struct vault_country country);
static inline bool policy_bit(uint64_t bits, int number)
{
    return number >= 0 && ((bits >> number) & 1) != 0;
}

/* As vault_policy_compile() from a tree, whatever its tests name: for a policy that is being changed, and its tests not yet. */
KL_MUST_USE enum kl_status vault_policy_compile_rules(const struct kl_yaml_node *root,
                                                      struct vault_policy **ret_policy,
                                                      struct kl_err *err);
/* Grants of the role for that action, purpose and field (bits), and those of them whose conditions hold. */
uint64_t vault_policy_matching(const struct vault_policy *policy, const struct vault_query *query,
                               int field);
uint64_t vault_policy_matched(const struct vault_policy *policy, const struct vault_query *query,
                              int field);
/* Actions that use the data for their purpose, so that they need one; and those whose answer has a view. */
#define POLICY_USES                                                                          \
    ((1u << VAULT_ACTION_READ) | (1u << VAULT_ACTION_LOOKUP) | (1u << VAULT_ACTION_VERIFY) | \
     (1u << VAULT_ACTION_EXPORT) | (1u << VAULT_ACTION_DISCLOSE))

/* When a role is told of; policy NULL, or role VAULT_NONE: what holds where nothing else is said. Lives as long as the policy. */
const struct policy_alerts *vault_policy_alerts(const struct vault_policy *policy, int role);
/* For how long nothing more is told of the same. */
uint32_t vault_policy_alert_window_s(const struct vault_policy *policy);
/* "500 at once, 1000 an hour", "off"; "08:00-18:00 UTC, weekdays", "any". */
void vault_policy_rate_text(struct policy_rate rate, struct kl_buf *out);
void vault_policy_alert_hours_text(const struct policy_alerts *alerts, struct kl_buf *out);

/* ---- parsing ---- */

struct policy_parse {
    struct vault_policy *policy;
    struct vault_findings *findings;
    const char *const *notices; /* names ended by NULL; NULL when the section is missing */
    bool no_memory;
};
typedef const struct kl_yaml_node *policy_node;

#define POLICY_QUOTE_BYTES (VAULT_NAME_MAX_BYTES + 4)
/* A text of the policy as it may stand in a finding: short, ASCII, no controls. Returns out. */
const char *vault_policy_quote(char out[POLICY_QUOTE_BYTES], const char *text);

/* node NULL: the file as a whole. */
void vault_policy_error(struct policy_parse *parse, policy_node node, const char *code,
                        const char *format, ...) KL_PRINTF(4, 5);
void vault_policy_warn(struct policy_parse *parse, unsigned line, unsigned column, const char *code,
                       const char *format, ...) KL_PRINTF(5, 6);
/*
 * "unknown WHAT 'text', did you mean 'near'?", code "unknown_WHAT" with what's spaces as
 * underscores.
 */
void vault_policy_unknown(struct policy_parse *parse, policy_node node, const char *what,
                          const char *const *names);

/* Memory of the policy; NULL marks parse->no_memory. */
void *vault_policy_array(struct policy_parse *parse, size_t count, size_t size);
const char *vault_policy_copy(struct policy_parse *parse, const char *text);

/*
 * Is it a mapping with none but these keys? Unknown keys are findings, and do not make it false.
 * NULL is false without a finding.
 */
bool vault_policy_mapping(struct policy_parse *parse, policy_node node, const char *what,
                          const char *const *known);
/* Is it a list of at least one and at most max items? */
bool vault_policy_list(struct policy_parse *parse, policy_node node, const char *what, size_t max);
/*
 * The text of a scalar that is not empty and at most POLICY_TEXT_MAX_BYTES; NULL with a finding
 * else.
 */
const char *vault_policy_scalar_text(struct policy_parse *parse, policy_node node,
                                     const char *what);
/* The value of a key that must be there. */
policy_node vault_policy_member(struct policy_parse *parse, policy_node mapping, const char *key,
                                const char *what);
/* The same for a value that is a text. */
const char *vault_policy_required_text(struct policy_parse *parse, policy_node mapping,
                                       const char *key, const char *what);
/* A copy of the value of a key that may be left out; NULL without it. */
const char *vault_policy_optional_text(struct policy_parse *parse, policy_node mapping,
                                       const char *key);
/* [a-z][a-z0-9_]*, at most VAULT_NAME_MAX_BYTES. */
bool vault_policy_name_check(struct policy_parse *parse, policy_node node, const char *what);
/* The number of a scalar in a list of words ended by NULL; VAULT_NONE with a finding else. */
int vault_policy_word(struct policy_parse *parse, policy_node node, const char *what,
                      const char *const *words);
bool vault_policy_bool(struct policy_parse *parse, policy_node node, const char *what,
                       bool *ret_value);
bool vault_policy_duration(struct policy_parse *parse, policy_node node, struct kl_duration *ret);
/* Hours as of vault_hours_parse(); false, with a finding unless node is NULL, when they are not. */
bool vault_policy_hours(struct policy_parse *parse, policy_node node, struct vault_hours *ret);
/* A number from 1 to POLICY_NUMBER_MAX; with a finding, or node NULL, *ret stays. */
void vault_policy_number(struct policy_parse *parse, policy_node node, const char *what,
                         uint32_t *ret);
bool vault_policy_country(struct policy_parse *parse, policy_node node, struct vault_country *ret);
/* A list of countries; false with a finding when one is wrong. */
bool vault_policy_country_list(struct policy_parse *parse, policy_node node, const char *what,
                               struct policy_countries *ret);
/* A list of names as bits; star: "*" alone is taken and gives POLICY_ALL. */
bool vault_policy_names(struct policy_parse *parse, policy_node node, const char *what, bool star,
                        const char *const *names, uint64_t *ret_bits);
/* The same for purposes that must not be forbidden ones. */
bool vault_policy_purposes(struct policy_parse *parse, policy_node node, bool star,
                           uint64_t *ret_bits);
/* One scalar naming a field "type.field"; VAULT_NONE with a finding else. */
int vault_policy_field_number(struct policy_parse *parse, policy_node node);
int vault_policy_find(const char *const *names, const char *text);

extern const char *const vault_policy_view_words[];
extern const char
    *const vault_policy_ground_words[]; /* claimed with a request; [0] is the first behind "none" */
extern const char *const vault_policy_action_words[];
extern const char *const vault_policy_basis_words[];
extern const char *const vault_policy_mechanism_words[];

void vault_policy_read_top(struct policy_parse *parse, policy_node root);
void vault_policy_read_controller(struct policy_parse *parse, policy_node root);
/* After acting_as. */
void vault_policy_read_processor(struct policy_parse *parse, policy_node root);
void vault_policy_read_sources(struct policy_parse *parse, policy_node root);
void vault_policy_read_purposes(struct policy_parse *parse, policy_node root);
void vault_policy_read_recipients(struct policy_parse *parse, policy_node root);
void vault_policy_read_records(struct policy_parse *parse, policy_node root);
void vault_policy_read_residency(struct policy_parse *parse, policy_node root);
void vault_policy_read_roles(struct policy_parse *parse, policy_node root);
void vault_policy_read_requests(struct policy_parse *parse, policy_node root);
void vault_policy_read_on_erase(struct policy_parse *parse, policy_node root);
void vault_policy_read_alerts(struct policy_parse *parse, policy_node root);
void vault_policy_read_audit(struct policy_parse *parse, policy_node root);
void vault_policy_check(struct policy_parse *parse);
/* Check the shape of `tests`; run them too when nothing is wrong so far. */
void vault_policy_read_tests(struct policy_parse *parse, policy_node root, bool run);

#endif
