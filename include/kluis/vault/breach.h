/*
 * What credentials did in a period, from the audit trail alone: for the report of a breach to the authority and to people (GDPR art. 33(3), 34).
 *
 * Threads: any number at once, VAULT_BREACH_REPORTS_AT_ONCE are made; a caller belongs to one.
 */
#ifndef KLUIS_VAULT_BREACH_H
#define KLUIS_VAULT_BREACH_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one call: entries looked at, people told of (a limit, VAULT_PAGE_MAX at most); what does not fit is the next piece's. */
#define VAULT_BREACH_SCAN_MAX 1000000
#define VAULT_BREACH_REPORTS_AT_ONCE 4
/* Credentials that one report is on; a whole role is any number. */
#define VAULT_BREACH_CREDENTIALS_MAX 32
/* Of a report as a whole: entries looked at, people counted. What is beyond is not in it, and it says that it is not complete. */
#define VAULT_BREACH_WHOLE_SCAN_MAX 10000000
#define VAULT_BREACH_PEOPLE_MAX 200000
/* Art. 33(1): within 72 hours of having become aware of it. */
#define VAULT_BREACH_DEADLINE_US (INT64_C(72) * 3600 * 1000000)

/*
 * Whose acts: one of these three, the others 0 and NULL.
 * credentials  1..VAULT_BREACH_CREDENTIALS_MAX of the caller's tenant, each once
 * role         of whatever credential that had this role, as its entries say: built in, or of any policy there was
 * recipient    what was done in the name of this recipient, of any policy there was
 *
 * from_us      0: from when the first of the credentials was made; not with role and recipient
 * to_us        exclusive; 0, or a time to come: now
 * aware_us     when the controller became aware of the breach; 0: now
 * whole        all at once and nobody's id, for a page to the authority: limit and cursor are not looked at
 * cursor       of the piece before; NULL or "": the first. It stands for the period of the first, from_us and to_us are not looked at.
 */
struct vault_breach_input {
    const struct kl_id *credentials;
    size_t credential_count;
    const char *role;
    const char *recipient;
    int64_t from_us;
    int64_t to_us;
    int64_t aware_us;
    bool whole;
    size_t limit;
    const char *cursor;
};
/*
 * The report as a JSON object, appended to ret; api/openapi.json, BreachReport, says what is in it. It is exact for the entries it names:
 * people, fields, views, purposes, recipients, places, transfers, refused attempts, credentials made. "complete": those are all entries of the period, and none is lost; where they
 * are not, each number is "at least". A longer trail comes in pieces ("next_cursor"): whoever joins them adds up times, and tells people apart by "slot".
 * Who was erased since is counted, and led to by nothing. "evidence": the entry of this very report, and the trail's signed head behind it.
 *
 * For an auditor, and for a role of the policy with the action report whose credential is not bound to a subject. The trail names people by slot; only
 * such a role is told which subject that is, while it is there, and where it may report on every field that was touched, or, where none was, on every
 * field of the subject (gates role, purpose and transfer, volume_per_hour), and in a view more open than token; each subject named is an entry of its own in the trail.
 *
 * KL_ERR_FORBIDDEN "role_forbidden". KL_ERR_NOT_FOUND "not_found": no such credential. KL_ERR_INVALID "invalid_limit", "invalid_range", "invalid_value" (none or
 * several of the three), "missing_key" (from, with a role or recipient), "unknown_role", "unknown_recipient", "duplicate_item", "invalid_time" (aware_us lies ahead), "invalid_cursor".
 * KL_ERR_TOO_LARGE "too_many_items". KL_ERR_BUSY "reports_busy", "walks_busy" (as a whole). KL_ERR_UNAVAILABLE "audit_unavailable". KL_ERR_CORRUPT,
 * KL_ERR_IO, KL_ERR_NO_MEMORY; KL_ERR_TOO_LARGE ret is full. ret is as before on failure.
 */
KL_MUST_USE enum kl_status vault_breach_report(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct vault_breach_input *input,
                                               struct kl_buf *ret, struct kl_err *err);

#endif
