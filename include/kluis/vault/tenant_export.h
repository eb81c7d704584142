/*
 * All that a tenant has, for its controller to take along: what a processor returns when its services end (GDPR art. 28(3)(g)), page by page.
 *
 * Who may. The tenant's own steward, and nobody else: no operator, who is the processor's, and no role of the policy. Of a tenant that was ended
 * (vault_tenant_end()), while its grace period runs: that an operator ended it is what lets its steward take the data. Of one that is open only
 * where its policy says `return_of_data: at_any_time`. When the grace period is over, nobody.
 *
 * What. Every subject, with consents and their evidence, objections, restriction, disclosures and requests; every record, with its clocks and
 * hold and every field in plain; the records that erasures kept; the policy. Returning is no use for a purpose, so it asks for none: what a
 * consent, an objection, a restriction or a clock keeps from being used goes along with the facts that say so. The gate transfer holds: data
 * tagged EEA goes to a credential that declares a place outside only over a line of the policy that names no purpose, and plain. A secret is only
 * said to be there. A file's bytes are fetched apart (vault_tenant_export_file()).
 *
 * An entry "tenant_export" for each subject of a page, with all that is told of it, is durable before the page may leave. Cursors are the
 * credential's own. What comes while an open tenant is exported is told when it comes behind the cursor.
 *
 * Errors of every call: KL_ERR_FORBIDDEN "role_forbidden"; "return_not_due": it was not ended, and its policy allows it at no other time.
 * KL_ERR_NOT_FOUND "not_found": another tenant's name; "tenant_gone". KL_ERR_BUSY "subject_busy"; KL_ERR_UNAVAILABLE "audit_unavailable"; KL_ERR_IO; KL_ERR_NO_MEMORY.
 * Threads: any; a sink and its results belong to one.
 */
#ifndef KLUIS_VAULT_TENANT_EXPORT_H
#define KLUIS_VAULT_TENANT_EXPORT_H

#include "kluis/vault/disclosure.h"
#include "kluis/vault/file.h"
#include "kluis/vault/request.h"
#include "kluis/vault/subject.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of what is told. */
#define VAULT_TENANT_EXPORT_FORMAT 1
/* A page that holds so much is full; the next one goes on where it ended, in the middle of a subject too. */
#define VAULT_TENANT_EXPORT_PAGE_BYTES ((size_t)1024 * 1024)

/* What comes first. policy: its text as it was applied; empty: there is none. ends_us: of a tenant that was ended; 0: it is open. */
struct vault_exported_tenant {
    const char *name;
    const char *store;
    struct vault_country country;
    int64_t made_us;
    int64_t ends_us;
    uint64_t policy_number;
    struct kl_slice policy;
};
/* record_count: records that follow. restriction: in_force says whether there is one. */
struct vault_exported_subject {
    struct kl_id id;
    enum vault_residency residency;
    int64_t created_us;
    size_t record_count;
    struct vault_restriction restriction;
    const struct vault_consent_result *consents;
    size_t consent_count;
    const struct vault_objection_result *objections;
    size_t objection_count;
    const struct vault_disclosure_result *disclosures;
    size_t disclosure_count;
    const struct vault_request_result *requests;
    size_t request_count;
};
struct vault_exported_event {
    const char *name;
    int64_t at_us;
};
/*
 * subject     whose it is; NULL: of a subject that was erased
 * receipt     of the erasure that kept it; NULL: its subject is there
 * record      fields are plain; of a file the size, media type and hash; a secret has the view present
 * hold_basis  for what it must be kept, and until when; NULL: it is not held
 */
struct vault_exported_record {
    const struct kl_id *subject;
    const struct kl_id *receipt;
    struct vault_record_result record;
    const struct vault_exported_event *events;
    size_t event_count;
    const char *hold_basis;
    int64_t hold_until_us;
};

/*
 * Takes what is told, in this order: the tenant, on the first page alone; each subject and then its records; at the end those that were kept.
 * What a function gets lives until it returns. Nothing of it may leave before vault_tenant_export() returned KL_OK. size: how many bytes it holds so
 * far, by which pages are ended.
 */
struct vault_tenant_export_sink {
    enum kl_status (*tenant)(void *context, const struct vault_exported_tenant *tenant,
                             struct kl_err *err);
    enum kl_status (*subject)(void *context, const struct vault_exported_subject *subject,
                              struct kl_err *err);
    enum kl_status (*record)(void *context, const struct vault_exported_record *record,
                             struct kl_err *err);
    size_t (*size)(void *context);
    void *context;
};
/*
 * Of one page. withheld: subjects of whom the gate transfer keeps everything from the credential's place. damaged: subjects, records and kept records
 * that are there and do not open. next_cursor: empty at the end.
 */
struct vault_tenant_export_page {
    size_t subjects;
    size_t records;
    size_t fields;
    size_t files;
    size_t withheld;
    size_t damaged;
    char next_cursor[VAULT_CURSOR_MAX_BYTES + 1];
};

/*
 * One page. name: of the tenant. limit: subjects, 1..VAULT_PAGE_MAX; a page may be shorter. cursor: NULL or "" for the first. ret untouched on
 * failure, when what the sink got is to be thrown away. KL_ERR_INVALID "invalid_limit", "invalid_cursor"; KL_ERR_TOO_LARGE: a sink has no room;
 * what the sink's functions return.
 */
KL_MUST_USE enum kl_status vault_tenant_export(struct vault *vault,
                                               const struct vault_caller *caller, const char *name,
                                               size_t limit, const char *cursor,
                                               const struct vault_tenant_export_sink *sink,
                                               struct vault_tenant_export_page *ret,
                                               struct kl_err *err);

/*
 * The bytes of one file. of: its subject's id, or, with kept, the receipt of the erasure that kept the record. field: its name. The entry
 * "tenant_export_file" is durable when this returns; the download goes on as vault_download_next() says. KL_ERR_NOT_FOUND "not_found":
 * no such file. KL_ERR_FORBIDDEN "withheld": the gate transfer. KL_ERR_INVALID "not_a_file"; KL_ERR_CORRUPT "file_damaged".
 */
struct vault_tenant_export_file {
    struct kl_id of;
    bool kept;
    struct kl_id record;
    const char *field;
};
KL_MUST_USE enum kl_status vault_tenant_export_file(
    struct vault *vault, const struct vault_caller *caller, const char *name,
    const struct vault_tenant_export_file *file, struct vault_download **ret_download,
    struct vault_file_info *ret_info, struct kl_err *err);

#endif
