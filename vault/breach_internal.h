/* What the files of the breach report share: breach.c goes over the trail, breach_people.c says who the people are, breach_answer.c writes it. */
#ifndef VAULT_BREACH_INTERNAL_H
#define VAULT_BREACH_INTERNAL_H

#include "kluis/vault/breach.h"
#include "vault/breach_tally.h"

#include <stdbool.h>
#include <stdint.h>

#define VAULT_BREACH_ACTION "report_breach"

/* GONE: erased since (or lost with a newer data/ that an older one was put in the place of). UNREADABLE: its head is damaged. */
enum vault_breach_state { VAULT_BREACH_PRESENT, VAULT_BREACH_GONE, VAULT_BREACH_UNREADABLE };
/* Where is_named: id is set. transfers: lines of the policy (bits) by which it leaves the EEA. */
struct vault_breach_found {
    enum vault_breach_state state;
    bool is_named;
    struct kl_id id;
    uint64_t transfers;
};
/*
 * A report under way. first .. next: the entries of this piece; end: behind the last of the period. of_credential: how many of them are the
 * credential's and in the period. may_name: the role may report, and the credential is for all purposes, as no purpose is named here. found: one for each of the tally's people. policies: those that its entries were decided by, and the one in
 * force as the last; NULL where one cannot be had any more.
 */
struct vault_breach {
    struct vault *vault;
    const struct vault_caller *caller;
    uint64_t tenant;
    struct kl_arena *arena;
    struct vault_credential_result credential;
    char credential_text[KL_ID_TEXT_BYTES];
    int64_t from_us;
    int64_t to_us;
    int64_t aware_us;
    uint64_t first;
    uint64_t next;
    uint64_t end;
    uint64_t of_credential;
    uint64_t lost;
    uint64_t
        pruned_until; /* entries of lower numbers went by the policy: what they told is not known */
    bool more;
    bool may_name;
    struct vault_breach_tally *tally;
    struct vault_breach_found *found;
    struct vault_policy *policies[VAULT_BREACH_POLICIES_MAX + 1];
    size_t policy_count;
};

/* The field that a row names, in one of the policies; VAULT_NONE. */
int vault_breach_field(const struct vault_policy *policy, const char *name);
/* Look at everybody in the tally: are they there, and may the caller be told who they are. KL_ERR_NO_MEMORY, KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_breach_identify(struct vault_breach *breach, struct kl_err *err);
/* That the report was made, and whom it named: before it leaves. KL_ERR_UNAVAILABLE "audit_unavailable", KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_breach_audit(const struct vault_breach *breach,
                                              struct kl_err *err);
/* cursor: "" for none. */
void vault_breach_write(const struct vault_breach *breach, const char *cursor,
                        struct kl_json_out *out);

#endif
