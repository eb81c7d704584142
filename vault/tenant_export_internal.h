/*
 * What the files about a tenant's export share: one page being told, its audit entries, and who may have it.
 *
 * Of a subject, what was told since its last entry is remembered until vault_exporting_act(), which makes the entries; so they come before
 * the arena is reset. Threads: a page belongs to one.
 */
#ifndef VAULT_TENANT_EXPORT_INTERNAL_H
#define VAULT_TENANT_EXPORT_INTERNAL_H

#include "kluis/vault/tenant_export.h"
#include "vault/subject_internal.h"

#define VAULT_EXPORT_ACTION "tenant_export"
#define VAULT_EXPORT_FILE_ACTION "tenant_export_file"

/* A record that was told: its manifest, in the arena, and the value slot of that. */
struct vault_exporting_record {
    const struct vault_manifest_record *stored;
    uint64_t value;
};
/*
 * arena: of the subject that is looked at, scratch: of one of its records; both the caller's. acts: of the page, each on its own, as they must not be moved. beside: how many things beside its
 * records were told of the subject; told, beside and transfers are since its last entry.
 */
struct vault_exporting {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_tenant_export_sink *sink;
    struct kl_arena *arena;
    struct kl_arena *scratch;
    struct vault_tenant_export_page page;
    struct vault_act **acts;
    size_t act_count;
    size_t act_room;
    struct vault_exporting_record told[VAULT_RECORDS_MAX];
    size_t told_count;
    size_t beside;
    bool has_told;
    uint64_t transfers;
};

/* The caller is the tenant's own steward, and it is time: as tenant_export.h says. A refusal is in the trail. */
KL_MUST_USE enum kl_status vault_export_allowed(struct vault *vault,
                                                const struct vault_caller *caller, const char *name,
                                                const char *action, struct kl_err *err);
/*
 * Whether a subject's data may go to where the credential is. has_ledger: it has one to be read (of what an erasure kept there is none). ret_lines: the policy's
 * lines that it relies on (bits). Errors of vault_facts_of().
 */
KL_MUST_USE enum kl_status vault_export_may_leave(struct vault *vault,
                                                  const struct vault_caller *caller,
                                                  const struct vault_subject *subject,
                                                  bool has_ledger, struct kl_arena *arena,
                                                  bool *ret_may, uint64_t *ret_lines,
                                                  struct kl_err *err);

/* Gather what is told and hand it to the sink. KL_ERR_GONE: something changed meanwhile, find the subject again; KL_ERR_CORRUPT: it does not open; the sink's. */
KL_MUST_USE enum kl_status vault_exporting_subject(struct vault_exporting *exporting,
                                                   const struct vault_subject *subject,
                                                   struct kl_err *err);
/* subject->records[at]. receipt NULL: the subject is there. */
KL_MUST_USE enum kl_status vault_exporting_record(struct vault_exporting *exporting,
                                                  const struct vault_subject *subject, size_t at,
                                                  const struct kl_id *receipt, struct kl_err *err);
/* The entries of what was told of a subject; nothing where that is nothing. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_exporting_act(struct vault_exporting *exporting,
                                               const struct vault_subject *subject,
                                               struct kl_err *err);
/* A new entry of the page, not begun. NULL: no memory. */
struct vault_act *vault_exporting_act_new(struct vault_exporting *exporting);
void vault_exporting_done(struct vault_exporting *exporting);

#endif
