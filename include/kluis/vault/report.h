/*
 * What a person is owed about their data: the access report (GDPR art. 15) and the export (art. 20).
 *
 * Both are decided field by field by the decision that every read asks (policy.h), for the actions `report` and `export`, and count under a
 * volume. What is withheld is named with the gate. A record of a type of which the role may report (export) no field at all is not named,
 * only counted (records_not_shown): the document does not claim to be whole.
 *
 * Results point into the policy, which must live as long (a caller holds it), and into the caller's arena. Errors of every call besides: those
 * that subject.h names for all; KL_ERR_INVALID "unknown_purpose"; KL_ERR_FORBIDDEN "volume_exceeded", "withheld": a read would show
 * pseudonyms for all ids, and a document has none. Threads: any.
 */
#ifndef KLUIS_VAULT_REPORT_H
#define KLUIS_VAULT_REPORT_H

#include "kluis/vault/disclosure.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/subject.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most that a document made of one may take: whoever renders it says so with a buffer of that size. */
#define VAULT_REPORT_MAX_BYTES (24u * 1024u * 1024u)

/* Why the right to portability does not reach a field. */
enum vault_unportable {
    VAULT_PORTABLE,
    /* No purpose of the field rests on consent or a contract: GDPR art. 20(1)(a). */
    VAULT_UNPORTABLE_BASIS,
    /* Its record came from somebody else: art. 20(1), "provided". */
    VAULT_UNPORTABLE_SOURCE
};
const char *vault_unportable_name(enum vault_unportable why); /* "", "basis", "source" */

/*
 * What is known of a field beside its vault_field_result.
 *
 * field       the policy's number; VAULT_NONE: the policy does not know it any more, so that the gate role withholds it
 * purpose     under which it is shown, or came furthest; VAULT_NONE: none was named
 * unportable  of an export: then it is withheld for that, whatever the gates say
 */
struct vault_told_field {
    int field;
    int purpose;
    enum vault_unportable unportable;
};
/* until_us: KL_TIME_MAX_US where no end is known (its clock did not start, or it has none), KL_TIME_MIN_US where it is no reason to keep the record. */
struct vault_told_purpose {
    int purpose;
    int64_t until_us;
};
/* Beside the vault_record_result at the same place. fields: as many, in the same order. purposes, hold: of a report alone. */
struct vault_told_record {
    const struct vault_told_field *fields;
    struct vault_told_purpose *purposes;
    size_t purpose_count;
    const char *hold_basis; /* NULL: it is not held */
    int64_t hold_until_us;
    bool from_others; /* vault_policy_source_is_person() said no */
};
/* subject.records[i] and records[i] belong together. */
struct vault_told {
    const struct vault_policy *policy;
    int64_t made_us;
    struct vault_subject_result subject;
    struct vault_told_record *records;
    size_t records_not_shown;
};

/*
 * The access report: all data, and what is known about it. Ledgers: what the role may see of them; withheld: which of them the transfer gate keeps
 * from the credential's place, or would only let go in a stricter view than plain (their arrays are empty then).
 */
#define VAULT_REPORT_CONSENTS 1u
#define VAULT_REPORT_OBJECTIONS 2u
#define VAULT_REPORT_RESTRICTION 4u
#define VAULT_REPORT_DISCLOSURES 8u
struct vault_report {
    struct vault_told told;
    uint64_t purposes; /* of the types of all records that are there, as bits */
    struct vault_consent_result *consents;
    size_t consent_count;
    struct vault_objection_result *objections;
    size_t objection_count;
    struct vault_restriction restriction;
    struct vault_disclosure_result *disclosures;
    size_t disclosure_count;
    unsigned withheld; /* VAULT_REPORT_* */
};
/*
 * purpose NULL: the credential's single purpose, or none: then a grant to `report` for whatever purpose will do. A credential made for several
 * purposes has to name one (KL_ERR_INVALID "purpose_required"). KL_ERR_NOT_FOUND "not_found": also when the role may report nothing of what the
 * subject has. The audit entry ("report") is durable when this returns.
 */
KL_MUST_USE enum kl_status vault_report_read(struct vault *vault, const struct vault_caller *caller,
                                             const struct kl_id *subject, const char *purpose,
                                             struct kl_arena *arena, struct vault_report *ret,
                                             struct kl_err *err);

/*
 * The export: what the person provided, for purposes that rest on their consent or on a contract with them (steps before one, at their
 * request, included: GDPR art. 6(1)(b)), past all gates of one such purpose. Where several let a field through, the most open view counts.
 * purpose NULL: all such purposes that the role may export for. KL_ERR_INVALID "not_portable": the purpose rests on something else. Others as
 * vault_report_read(); the audit entry's action is "export".
 */
KL_MUST_USE enum kl_status vault_export_read(struct vault *vault, const struct vault_caller *caller,
                                             const struct kl_id *subject, const char *purpose,
                                             struct kl_arena *arena, struct vault_told *ret,
                                             struct kl_err *err);
/* Whether data is portable for what a purpose rests on. */
bool vault_policy_portable(const struct vault_policy *policy, int purpose);

/*
 * How the completion of a request (request.h) makes its document: for a right of access from a report, of portability from an export. A render
 * function appends to ret and returns its status; it is called with nothing held.
 */
struct vault_answering {
    enum kl_status (*render_report)(void *context, const struct vault_report *report,
                                    struct kl_buf *ret, struct kl_err *err);
    enum kl_status (*render_export)(void *context, const struct vault_told *told,
                                    struct kl_buf *ret, struct kl_err *err);
    void *context;
    bool asked;              /* a document was asked for in so many words */
    const char *form;        /* "html.nl": how it is named in the reference, [a-z.]; NULL: "json" */
    struct kl_buf *document; /* what was rendered; empty when nothing was */
};

#endif
