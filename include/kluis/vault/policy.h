/*
 * The policy of a tenant: a YAML text compiled once into tables and bit sets,
 * never changed after, counted. Everything is default deny.
 *
 * Names become small numbers (a record type, a field, a purpose, a role, a recipient) that mean
 * something only with this policy. The words of the language: vault/README.md, "The policy".
 * Threads: a policy is read only; ref and unref from any thread.
 */
#ifndef KLUIS_VAULT_POLICY_H
#define KLUIS_VAULT_POLICY_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/base/time.h"
#include "kluis/base/trail_pruned.h"
#include "kluis/vault/residency.h"
#include "kluis/vault/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_POLICY_BYTES_MAX (1024 * 1024)
#define VAULT_RECORD_TYPES_MAX 64
#define VAULT_FIELDS_MAX 512  /* of all record types together */
#define VAULT_PURPOSES_MAX 64 /* the forbidden ones too */
#define VAULT_ROLES_MAX 64
#define VAULT_GRANTS_MAX 64 /* of one role */
#define VAULT_RECIPIENTS_MAX 64
#define VAULT_TRANSFERS_MAX 64
/*
 * Legal obligations with a clock that one record type may come under: what an erasure keeps of each record (VAULT_RETAINED_MAX) is bounded by it, so
 * that nobody can be stored who could not be erased. The policy's reader refuses more.
 */
#define VAULT_OBLIGATIONS_MAX 15
#define VAULT_NAME_MAX_BYTES 64 /* [a-z][a-z0-9_]*, names of everything */
#define VAULT_FINDINGS_MAX 64

enum vault_action {
    VAULT_ACTION_READ,
    VAULT_ACTION_WRITE,
    VAULT_ACTION_LOOKUP,
    VAULT_ACTION_VERIFY,
    VAULT_ACTION_EXPORT,
    VAULT_ACTION_DISCLOSE,
    VAULT_ACTION_ERASE,
    VAULT_ACTION_RESTRICT,
    VAULT_ACTION_OBJECT,
    VAULT_ACTION_CONSENT,
    VAULT_ACTION_HOLD,
    VAULT_ACTION_REPORT,
    VAULT_ACTION_MANAGE_REQUESTS,
    VAULT_ACTIONS
};
/* GDPR art. 6(1), with explicit consent (art. 9(2)(a)) and steps before a contract named apart. */
enum vault_basis {
    VAULT_BASIS_CONSENT,
    VAULT_BASIS_EXPLICIT_CONSENT,
    VAULT_BASIS_CONTRACT,
    VAULT_BASIS_PRECONTRACT,
    VAULT_BASIS_LEGAL_OBLIGATION,
    VAULT_BASIS_VITAL_INTEREST,
    VAULT_BASIS_PUBLIC_TASK,
    VAULT_BASIS_LEGITIMATE_INTEREST,
    VAULT_BASES
};
/* From open to closed; a larger one is stricter. */
enum vault_view {
    VAULT_VIEW_PLAIN,
    VAULT_VIEW_MASKED,
    VAULT_VIEW_TOKEN,
    VAULT_VIEW_PRESENT,
    VAULT_VIEWS
};
/*
 * The gates in the order they are asked; the first that says no is the reason given.
 * VAULT_GATE_NONE: shown.
 */
enum vault_gate {
    VAULT_GATE_NONE,
    VAULT_GATE_ROLE,
    VAULT_GATE_PURPOSE,
    VAULT_GATE_CONSENT,
    VAULT_GATE_OBJECTION,
    VAULT_GATE_RESTRICTION,
    VAULT_GATE_RETENTION,
    VAULT_GATE_TRANSFER,
    VAULT_GATES
};
/*
 * What lets a use go on although the subject restricted it (GDPR art. 18(2)) or objected to it (art. 21(1)). It is claimed with the request,
 * by a role whose grant says so, and is in the trail.
 */
enum vault_ground {
    VAULT_GROUND_NONE,
    VAULT_GROUND_LEGAL_CLAIM,     /* restriction and objection */
    VAULT_GROUND_PROTECT_PERSON,  /* restriction: the rights of another person */
    VAULT_GROUND_PUBLIC_INTEREST, /* restriction: important public interest */
    VAULT_GROUNDS
};
const char *vault_action_name(enum vault_action action);
const char *vault_basis_name(enum vault_basis basis);
const char *vault_view_name(enum vault_view view);
const char *vault_gate_name(enum vault_gate gate);       /* "role", "purpose", ... */
const char *vault_ground_name(enum vault_ground ground); /* "none", "legal_claim", ... */
/* False: no ground has that name; "none" is none. */
bool vault_ground_parse(const char *name, enum vault_ground *ret);

/* ---- parsing ---- */

/*
 * One thing the checker found. line and column count from 1; 0: the file as a whole.
 * code  "unknown_key", "unknown_field", "test_failed", "wider_grant_useless"
 * text  for people, with a suggestion where there is one ("did you mean ...?")
 */
struct vault_finding {
    bool is_error; /* else a warning */
    unsigned line;
    unsigned column;
    char code[KL_ERR_CODE_BYTES];
    char text[KL_ERR_TEXT_BYTES];
};
/* In the order of the file. errors counts those too that did not fit items. */
struct vault_findings {
    size_t count;
    size_t errors;
    bool more; /* VAULT_FINDINGS_MAX was reached */
    struct vault_finding items[VAULT_FINDINGS_MAX];
};

struct vault_policy;

/*
 * Parse, compile and run the policy's own tests.
 *
 * ret_findings  set always (errors and warnings); large, so it is the caller's.
 * ret_policy    set on KL_OK; ends with vault_policy_unref().
 *
 * KL_ERR_INVALID "invalid_policy": there are errors; err->where is the first one's "line:column",
 * the client_text "line 12, column 9: " and its text. KL_ERR_TOO_LARGE, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_policy_parse(const void *yaml, size_t yaml_bytes,
                                              struct vault_findings *ret_findings,
                                              struct vault_policy **ret_policy, struct kl_err *err);
/*
 * Compile a policy that was applied before, without its tests: they passed then, and time may have
 * changed their outcome since (an adequacy decision ends). Errors as vault_policy_parse().
 */
KL_MUST_USE enum kl_status vault_policy_compile(const void *yaml, size_t yaml_bytes,
                                                struct vault_policy **ret_policy,
                                                struct kl_err *err);
struct vault_policy *vault_policy_ref(struct vault_policy *policy);
void vault_policy_unref(struct vault_policy *policy); /* NULL is fine */

/* ---- what is in it; pointers live as long as the policy ---- */

const char *vault_policy_name(const struct vault_policy *policy);
const char *vault_policy_version(const struct vault_policy *policy);

#define VAULT_NONE (-1) /* "no such name", "any" where a header says so */
size_t vault_policy_record_count(const struct vault_policy *policy);
size_t vault_policy_field_count(const struct vault_policy *policy);
size_t vault_policy_purpose_count(const struct vault_policy *policy);
size_t vault_policy_role_count(const struct vault_policy *policy);
size_t vault_policy_recipient_count(const struct vault_policy *policy);
/* A number from 0, or VAULT_NONE. A field is looked for within a record type. */
int vault_policy_record_find(const struct vault_policy *policy, const char *name);
int vault_policy_field_find(const struct vault_policy *policy, int record, const char *name);
int vault_policy_purpose_find(const struct vault_policy *policy, const char *name);
int vault_policy_role_find(const struct vault_policy *policy, const char *name);
int vault_policy_recipient_find(const struct vault_policy *policy, const char *name);

/* Its fields have the numbers field_first .. field_first + field_count - 1. Texts of people's making may be NULL, here and below: not said. */
struct vault_policy_record {
    const char *name;
    int field_first;
    int field_count;
    uint64_t purposes;             /* bit per purpose */
    const char *const *categories; /* ended by NULL; NULL: none */
    const char *data_subjects;     /* what people they are of (GDPR art. 30(1)(c)) */
    const char *description;
};
enum vault_index { VAULT_INDEX_NONE, VAULT_INDEX_MANY, VAULT_INDEX_UNIQUE };
struct vault_policy_field {
    const char *name; /* without its record type */
    int record;
    enum vault_type type;
    enum vault_mask mask;
    enum vault_index index;
    uint64_t purposes;    /* the record's, narrowed by the field's own */
    const char *category; /* NULL: none */
    const char *special;  /* "health" (GDPR art. 9); NULL: none */
    const char *description;
};
/*
 * retain_event      the clock of the purpose: it is over that long after the event; NULL: none. "consent" is the giving of the
 *                   consent that counts for the purpose, "created" the record's making; others are noted on a record.
 * keeps_nothing     it is served as long as a record is there, and is no reason to keep it
 * asks_renewal      people are asked again before their consent ends
 * direct_marketing  an objection to it is absolute (GDPR art. 21(3))
 * answers_rights    it serves the rights of the very person: neither objection nor restriction keeps data from it
 * special_ground    of GDPR art. 9(2), for fields of a special category; NULL: none
 * law, interest     which law obliges, which interest is legitimate (GDPR art. 13(1)(d))
 * automated_decision  decisions are made by automated means alone: the logic, and what follows for the person (GDPR art. 15(1)(h)); NULL: none
 */
struct vault_policy_purpose {
    const char *name;
    enum vault_basis basis; /* means nothing for a forbidden one */
    bool forbidden;
    const char *notice; /* consent counts only when given for this notice; NULL: any */
    const char *retain_event;
    struct kl_duration retain;
    bool keeps_nothing;
    bool asks_renewal;
    bool direct_marketing;
    bool answers_rights;
    const char *special_ground;
    const char *law;
    const char *interest;
    const char *automated_decision;
    const char *description;
};
/* Whether it is a legal obligation with a clock: what such a purpose keeps outlives an erasure, until the clock has run out. */
bool vault_policy_is_obligation(const struct vault_policy_purpose *purpose);
/* The purpose that forbids automated decisions when it is among the forbidden ones, and the key of a purpose that says it makes them. */
#define VAULT_AUTOMATED_DECISION "automated_decision"
#define VAULT_EVENT_CONSENT "consent"
#define VAULT_EVENT_CREATED "created"
/*
 * kind             "processor", "sub_processor", "controller", "joint_controller", "authority" or
 *                  "successor"
 * consent_purpose  this recipient sees data only with a consent for this purpose given for it by
 *                  name; VAULT_NONE: needs none
 * contact          who it is and how to reach them
 */
struct vault_policy_recipient {
    const char *name;
    const char *kind;
    struct vault_country country;
    uint64_t purposes;
    int consent_purpose;
    const char *contact;
    const char *description;
};
/* The number is one that a _find or a count above gave; another is an assert. */
const struct vault_policy_record *vault_policy_record(const struct vault_policy *policy,
                                                      int record);
const struct vault_policy_field *vault_policy_field(const struct vault_policy *policy, int field);
const struct vault_policy_purpose *vault_policy_purpose(const struct vault_policy *policy,
                                                        int purpose);
const struct vault_policy_recipient *vault_policy_recipient(const struct vault_policy *policy,
                                                            int recipient);
const char *vault_policy_role_name(const struct vault_policy *policy, int role);
/* Whether the purpose is one that people may object to: for legitimate interest or a public task, or direct marketing (GDPR art. 21). */
bool vault_policy_may_object(const struct vault_policy *policy, int purpose);
/* Whether an event of that name starts a clock of any purpose of the record type. */
bool vault_policy_event_known(const struct vault_policy *policy, int record, const char *event);
enum vault_residency vault_policy_residency_default(const struct vault_policy *policy);

/* ---- what a person is told (GDPR art. 15); pointers live as long as the policy ---- */

/* Somebody who answers for data, and how to reach them. name NULL: nobody is named. */
struct vault_policy_party {
    const char *name;
    struct vault_country country;
    const char *contact;
};
#define VAULT_JOINT_CONTROLLERS_MAX 16
#define VAULT_POLICY_TEXTS_MAX 64 /* of a list of texts */
/*
 * Whose policy it is. acting_as: "controller", "joint_controller", "processor". dpo, authority: how to reach them, as the policy says it.
 * processor_*: who keeps the data for the controller (art. 28), where acting_as is processor; all unset: the policy does not say.
 * representative, processor_representative: in the Union (art. 27). joint: the other joint controllers (art. 26). processing: what is done for the
 * controller (art. 30(2)(b)). measures: of security, besides those that the vault has (art. 30(1)(g), (2)(d)). Lists of texts end by NULL; NULL: not said.
 */
struct vault_policy_controller {
    const char *name;
    struct vault_country country;
    const char *contact;
    const char *dpo;
    const char *authority;
    const char *acting_as;
    const char *processor_name;
    struct vault_country processor_country;
    const char *processor_contact;
    const char *processor_dpo;
    struct vault_policy_party representative;
    struct vault_policy_party processor_representative;
    const struct vault_policy_party *joint;
    size_t joint_count;
    const char *const *processing;
    const char *const *measures;
};
const struct vault_policy_controller *vault_policy_controller(const struct vault_policy *policy);
/* language: a tag of BCP 47; NULL: not said. from_us: the midnight from which on it is in force; 0: not said. */
struct vault_policy_notice {
    const char *name;
    const char *title;
    const char *url;
    const char *language;
    int64_t from_us;
};
/* NULL: the policy has no notice of that name. */
const struct vault_policy_notice *vault_policy_notice(const struct vault_policy *policy,
                                                      const char *name);
/*
 * A source of records. provided_by: "person", "other" (somebody else, a register), "controller" (made or derived here).
 */
#define VAULT_SOURCES_MAX 64
#define VAULT_SOURCE_MAX_BYTES 64 /* [a-z][a-z0-9-]* */
struct vault_policy_source {
    const char *name;
    const char *provided_by;
    const char *description;
};
/* NULL: the policy does not say anything about a source of that name. */
const struct vault_policy_source *vault_policy_source(const struct vault_policy *policy,
                                                      const char *name);
/*
 * Whether what came from there was provided by the very person (GDPR art. 20(1)): as the policy's `sources` say; else it was, but for
 * names that are known to be others ("colleague", "employer", "public-register", ..., or what begins with "public-" or ends with "-register").
 * name NULL (not said): it was.
 */
bool vault_policy_source_is_person(const struct vault_policy *policy, const char *name);
/*
 * A transfer line. purposes, recipients: bits; all ones: any. mechanism: as vault_policy_transfer_name(). to_adequate: every country with
 * an adequacy decision; else those of vault_policy_transfer_country().
 */
struct vault_policy_transfer {
    const char *mechanism;
    bool to_adequate;
    uint64_t purposes;
    uint64_t recipients;
    enum vault_view view;
    const char *description;
};
size_t vault_policy_transfer_count(const struct vault_policy *policy);
struct vault_policy_transfer vault_policy_transfer(const struct vault_policy *policy, int transfer);
/* Its at-th country by name, from 0. False: it has no more. */
bool vault_policy_transfer_country(const struct vault_policy *policy, int transfer, size_t at,
                                   struct vault_country *ret);
/* The section `requests`, or what the law says without one: a month, two months more, no aim, no check asked for. */
struct vault_policy_requests {
    bool has_aim;
    struct kl_duration aim;
    struct kl_duration answer_within; /* at most a month: months <= 1, or days <= 31 */
    struct kl_duration extend_by;     /* at most two months, or 62 days */
    bool verify_identity; /* a request is completed only after the person was identified */
};
const struct vault_policy_requests *vault_policy_requests(const struct vault_policy *policy);
/* Whether the tenant's steward may export all of it before it is ended too (tenant_export.h): `return_of_data: at_any_time`. */
bool vault_policy_returns_at_any_time(const struct vault_policy *policy);

/*
 * The section `audit`: for how long entries of the tenant's trail are kept at least (KL_TRAIL_KEEP_MIN or more); without it, for ever. What is older
 * goes by night, but for what no review covers where keep_unreviewed says so. A period that is shorter than the one before counts after
 * KL_TRAIL_KEEP_DELAY_DAYS: until then whoever watches the tenant's policies can object, and put the longer one back.
 */
struct vault_policy_audit {
    bool has_keep;
    bool keep_unreviewed;
    struct kl_duration keep;
};
const struct vault_policy_audit *vault_policy_audit(const struct vault_policy *policy);
/* "P6Y", "P6Y, and what no review covers", "for ever". Appended. */
void vault_policy_audit_text(const struct vault_policy_audit *audit, struct kl_buf *out);

/*
 * The section `on_erase`: what is kept of those who are erased, in counts of at least that many people, and the purpose that an objection
 * must be to for somebody to be left out (VAULT_NONE: nobody is). A field has one at most.
 */
#define VAULT_STATISTICS_MAX 64
#define VAULT_STATISTICS_MINIMUM 10 /* where the policy says none */
#define VAULT_STATISTICS_MINIMUM_MIN \
    3 /* of two people, one who knows of himself knows of the other */
#define VAULT_STATISTICS_MINIMUM_MAX 10000
struct vault_policy_statistic {
    int field;
    enum vault_generalisation how;
};
struct vault_policy_statistics {
    struct vault_policy_statistic items[VAULT_STATISTICS_MAX];
    size_t count;
    uint32_t minimum;
    int purpose;
};
const struct vault_policy_statistics *vault_policy_statistics(const struct vault_policy *policy);

/* ---- the decision ---- */

/*
 * Who asks for what; the same for all fields of one request.
 *
 * role                 of the policy; VAULT_NONE: a built-in role, which sees no personal data
 * purpose              VAULT_NONE where the action needs none: not for read, lookup, verify,
 *                      export and disclose, which are withheld without one (gate purpose)
 * credential_purposes  bits the credential is made for; all ones: any. Another purpose is withheld by the gate purpose
 * location             declared; unset: in the EEA (where the vault is)
 * recipient            VAULT_NONE: the controller itself
 * own_subject          the credential is bound to the very subject
 * ground               claimed with the request; counts only where a grant of the role lets it
 * used_up              grants of the role whose volume_per_hour is used up (bits): such a grant allows
 *                      nothing, and still makes stricter
 */
struct vault_query {
    int role;
    enum vault_action action;
    int purpose;
    uint64_t credential_purposes;
    struct vault_country location;
    int recipient;
    bool own_subject;
    enum vault_ground ground;
    int64_t now_us;
    uint64_t used_up;
};
/*
 * What is known of the subject; zeroed means: EEA, nothing consented, objected to, restricted or over.
 *
 * consents                     purposes with a consent that counts now (given, for the policy's
 *                              notice, not withdrawn, not expired), to the controller
 * explicit_consents            those of them that were explicit
 * recipient_consents           the same, given for query.recipient by name; such a consent also
 *                              covers the use by that recipient, for no other
 * recipient_explicit_consents  those of them that were explicit
 * objections                   purposes objected to, those with recorded compelling grounds left out
 * restricted                   the subject's data is only to be stored
 * consents_in_restriction      purposes consented to after that
 * ended                        purposes whose clock has run out; of the one record that the decision is about
 * consented_us                 when the consent that counts for the query's purpose was given; 0: none. Not asked by the decision
 */
struct vault_facts {
    enum vault_residency residency;
    uint64_t consents;
    uint64_t explicit_consents;
    uint64_t recipient_consents;
    uint64_t recipient_explicit_consents;
    uint64_t objections;
    bool restricted;
    uint64_t consents_in_restriction;
    uint64_t ended;
    int64_t consented_us;
};
/*
 * withheld  VAULT_GATE_NONE: shown as view says
 * transfer  the policy's transfer line that allowed it to leave the EEA, VAULT_NONE when it does
 *           not leave. When both the credential's place and the recipient are outside, each needed
 *           a line and this is the place's.
 */
struct vault_decision {
    enum vault_gate withheld;
    enum vault_view view;
    int transfer;
};
/*
 * Decide for one field. No allocation, no clock, no lock. Read, lookup, verify, export and disclose
 * pass all gates; report and hold (which shows what an erasure kept) pass role, purpose and transfer, the other actions role and purpose.
 * A view is the strictest among the grants that match and the transfer lines that allow; of a field of
 * type secret it is never more open than present.
 * Without facts (NULL) it decides as with zeroed ones: what rests on consent is withheld.
 */
struct vault_decision vault_policy_decide(const struct vault_policy *policy,
                                          const struct vault_query *query,
                                          const struct vault_facts *facts, int field);
/*
 * Whether the role has any grant for that action, on any field and for any purpose, whose condition
 * holds (and so may know that a subject exists).
 */
bool vault_policy_may(const struct vault_policy *policy, const struct vault_query *query);
/*
 * Whether what the query may be shown, of whatever field of a subject with that tag, is never more than a token, and a token of something:
 * then its answers show no id that two recipients could match. Consents, clocks and volumes have no part in it.
 */
bool vault_policy_is_pseudonymous(const struct vault_policy *policy,
                                  const struct vault_query *query, enum vault_residency residency);
/* The grants of a role with a volume_per_hour (bits), and that of one of them. Role VAULT_NONE: none. */
uint64_t vault_policy_volume_grants(const struct vault_policy *policy, int role);
uint32_t vault_policy_volume(const struct vault_policy *policy, int role, int grant);
/* Those of them under which the query gets that field, when no gate withholds it: what it counts for. */
uint64_t vault_policy_charged(const struct vault_policy *policy, const struct vault_query *query,
                              int field);
/*
 * Conditions (`when`) because of which grants for that action, purpose and field do not hold now; 0
 * when the role passes, or there is no such grant. For `explain`.
 */
#define VAULT_UNMET_LOCATION 1u
#define VAULT_UNMET_HOURS 2u
#define VAULT_UNMET_OWN_SUBJECT 4u
#define VAULT_UNMET_VOLUME 8u
#define VAULT_UNMET_COUNT 4
unsigned vault_policy_unmet(const struct vault_policy *policy, const struct vault_query *query,
                            int field);
/* "location", "hours", "own_subject", "volume_per_hour": of the bits from the lowest, 0..VAULT_UNMET_COUNT - 1. */
const char *vault_unmet_name(int number);
/*
 * Whether what is known of somebody beside their fields (their consents) may go to where the credential is, and the query's recipient: the gate
 * transfer alone, for the query's purpose. False: it may not. ret_view: no more of it than that; ret_transfer: the line that allows it, VAULT_NONE when none
 * was needed. Both are set only with true. facts as for vault_policy_decide().
 */
bool vault_policy_may_leave(const struct vault_policy *policy, const struct vault_query *query,
                            const struct vault_facts *facts, enum vault_view *ret_view,
                            int *ret_transfer);

/*
 * Each gate's answer, for `explain`: ret_passes[gate] true: it passes; [VAULT_GATE_NONE]: all do.
 * Returns the decision.
 */
struct vault_decision vault_policy_explain(const struct vault_policy *policy,
                                           const struct vault_query *query,
                                           const struct vault_facts *facts, int field,
                                           bool ret_passes[VAULT_GATES]);
/* The mechanism of a transfer line ("adequate", "standard_clauses"), for the audit trail. */
const char *vault_policy_transfer_name(const struct vault_policy *policy, int transfer);

#endif
