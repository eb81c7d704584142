/*
 * What one policy allows that another does not: the real decision of both, asked for every role, action, field and purpose, in every
 * situation that either of them tells apart.
 *
 * A situation is a place (the countries that neither policy tells apart are one), a time of day (the same, by the day of now_us), whose
 * data it is (the credential's own subject's, or another's), and a circumstance of the person. The data is tagged EEA. Where an answer to
 * a recipient differs from that to the controller itself, the recipient has lines of its own.
 *
 * Threads: a difference belongs to one at a time; the policies are read only.
 */
#ifndef KLUIS_VAULT_POLICY_DIFF_H
#define KLUIS_VAULT_POLICY_DIFF_H

#include "kluis/base/buf.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_DIFF_LINES_MAX 1000
#define VAULT_DIFF_PLACES_MAX 16
#define VAULT_DIFF_TIMES_MAX 8
/* Decisions asked for in all, about 30 ns each. */
#define VAULT_DIFF_DECISIONS_MAX (32 * 1000 * 1000)

/* What is so of the person: consents to everything or to nothing; or restricted, with that ground claimed (policy.h). */
enum vault_diff_circumstance {
    VAULT_DIFF_NO_CONSENT,
    VAULT_DIFF_CONSENT,
    VAULT_DIFF_EXPLICIT_CONSENT,
    VAULT_DIFF_LEGAL_CLAIM,
    VAULT_DIFF_PROTECT_PERSON,
    VAULT_DIFF_PUBLIC_INTEREST,
    VAULT_DIFF_CIRCUMSTANCES
};
/* "no_consent", ... */
const char *vault_diff_circumstance_name(enum vault_diff_circumstance circumstance);

/*
 * One change of the answer, for all that changes alike. Lists of texts end with NULL.
 *
 * allows         the new answer is more open; else it is more closed
 * recipient      NULL: the controller itself
 * fields         "*", "type.*" where all fields of the type in either policy change alike, "type.field"
 * purposes       empty: the action is asked without one
 * places         empty: everywhere; "home" (no location declared), "EEA", "adequate", "CA, JP", "elsewhere"
 * times          empty: at any time; "07:00-17:00 UTC"
 * whose          "anybody", "themselves" (the credential's own subject), "others"
 * circumstances  bit per enum vault_diff_circumstance
 * was, now       "plain", "masked", "token", "present", "allowed", "withheld GATE", with ", N an hour" where every grant has a volume
 */
struct vault_diff_line {
    bool allows;
    const char *role;
    const char *recipient;
    const char *const *actions;
    const char *const *fields;
    const char *const *purposes;
    const char *const *places;
    const char *const *times;
    const char *whose;
    unsigned circumstances;
    const char *was;
    const char *now;
};
/* How far a change reaches: answers (role, recipient, action, field and purpose) that changed in any situation; of how many roles and fields. */
struct vault_diff_extent {
    uint64_t answers;
    size_t roles;
    size_t fields;
};

/*
 * From when on the use of a role is told of: no answer changes by it. role NULL: of every role that has no line of its own. alert: "volume",
 * "refusals", "hours", "window"; "audit_keep": for how long entries of the trail are kept. was, now: "500 at once, 1000 an hour",
 * "08:00-18:00 UTC, weekdays", "any", "off", "PT3600S", "for ever", "P6Y".
 */
struct vault_diff_alert {
    const char *role;
    const char *alert;
    const char *was;
    const char *now;
};

struct vault_diff;
/*
 * before NULL: there was no policy, and nothing was allowed. Both are kept by reference. now_us: the day whose times and adequacy decisions
 * count. KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_diff_new(struct vault_policy *before, struct vault_policy *after,
                                          int64_t now_us, struct vault_diff **ret_diff,
                                          struct kl_err *err);
void vault_diff_free(struct vault_diff *diff); /* NULL is fine */
/* By role, in the order of the old policy and then of the new one; at most VAULT_DIFF_LINES_MAX. They live as long as diff. */
size_t vault_diff_count(const struct vault_diff *diff);
const struct vault_diff_line *vault_diff_line(const struct vault_diff *diff, size_t number);
/* False: a maximum above was reached; what the lines say is so, and there is more. */
bool vault_diff_is_complete(const struct vault_diff *diff);
/* What is newly allowed, or newly withheld. */
struct vault_diff_extent vault_diff_extent(const struct vault_diff *diff, bool allows);
/* What is told of from another point on, or no longer; they live as long as diff. */
size_t vault_diff_alert_count(const struct vault_diff *diff);
const struct vault_diff_alert *vault_diff_alert(const struct vault_diff *diff, size_t number);
/* A line as people read it, without an end of line: "+ recruiter: read applicant.* for recruitment: withheld role -> plain (home, EEA)". */
void vault_diff_line_text(const struct vault_diff_line *line, struct kl_buf *out);

/* ---- on a vault (a steward, of its tenant) ---- */

#define VAULT_DIFF_SUBJECTS_MAX 1000000
#define VAULT_DIFF_SUBJECTS_DEFAULT 50000
/* Of one vault at a time. */
#define VAULT_DIFF_WALKS_MAX 2
/*
 * What a candidate would change of the policy in force, and for how many: appends JSON
 * {"complete","allows":{"answers","roles","fields"},"withholds":{...},"lines":[{...,"subjects","records"}],"alerts":[{"role","alert","was","now"}],"people":{"complete","subjects",
 * "records","unreadable","newly_due","no_longer_due","consents_lost","consents_regained","unknown_records","unknown_fields"}}. It looks at
 * subjects_max people at most (0..VAULT_DIFF_SUBJECTS_MAX; 0: nobody), in no meaningful order; "complete" false: there are more, and each number is
 * "at least". A person counts for a line when one of its fields is stored and the answer about it changes with what they consented to.
 * In the trail before the answer is given ("policy_diff"); no value is opened.
 * KL_ERR_INVALID "invalid_policy" (see ret_findings), "invalid_subjects"; KL_ERR_BUSY "diffs_busy"; others as kluis/vault/admin.h has them.
 */
KL_MUST_USE enum kl_status vault_policy_diff(struct vault *vault, const struct vault_caller *caller,
                                             const void *yaml, size_t yaml_bytes,
                                             int64_t subjects_max,
                                             struct vault_findings *ret_findings,
                                             struct kl_buf *ret, struct kl_err *err);

#endif
