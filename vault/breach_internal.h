/* What the files of the breach report share: breach_ask.c takes the question, breach.c goes over the trail, breach_people.c says who the people are, breach_count.c counts them, breach_answer.c writes it. */
#ifndef VAULT_BREACH_INTERNAL_H
#define VAULT_BREACH_INTERNAL_H

#include "kluis/vault/admin.h"
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
/* Whose acts it is about. */
enum vault_breach_start { VAULT_BREACH_CREDENTIALS, VAULT_BREACH_ROLE, VAULT_BREACH_RECIPIENT };
/*
 * A report under way. sought: the ids of the credentials, or the name of the role or recipient; needles: as they stand in an entry's text; credentials: as many, of a role or recipient none.
 * first .. next: the entries of this piece; end: the size of the trail when the report began; past: behind the last of the period. of_credential: how many of them are sought and in the period.
 * may_name: the role may report, and the credential is for all purposes, as no purpose is named here. found: one for each of the tally's people. policies: those that its entries were decided by, and the one in
 * force as the last; NULL where one cannot be had any more. entry: that this report was made.
 */
struct vault_breach {
    struct vault *vault;
    const struct vault_caller *caller;
    uint64_t tenant;
    struct kl_arena *arena;
    enum vault_breach_start start;
    const char *sought[VAULT_BREACH_CREDENTIALS_MAX];
    const char *needles[VAULT_BREACH_CREDENTIALS_MAX];
    size_t sought_count;
    struct vault_credential_result *credentials;
    size_t credential_count;
    int64_t from_us;
    int64_t to_us;
    int64_t aware_us;
    uint64_t first;
    uint64_t next;
    uint64_t end;
    uint64_t past;
    uint64_t of_credential;
    uint64_t lost;
    bool whole;
    bool of_start; /* it begins where the period begins */
    uint64_t
        pruned_until; /* entries of lower numbers went by the policy: what they told is not known */
    bool more;
    bool may_name;
    struct vault_breach_tally *tally;
    struct vault_breach_found *found;
    struct vault_policy *policies[VAULT_BREACH_POLICIES_MAX + 1];
    size_t policy_count;
    struct kl_id entry;
};

/* Whether the caller may have it, else the attempt is in the trail: KL_ERR_FORBIDDEN "role_forbidden". */
KL_MUST_USE enum kl_status vault_breach_may(struct vault_breach *breach, struct kl_err *err);
/* Whose acts, which period, which entries. Errors of vault_breach_report(). */
KL_MUST_USE enum kl_status vault_breach_take(struct vault_breach *breach,
                                             const struct vault_breach_input *input,
                                             struct kl_err *err);
/* For the next piece; "" when there is none. */
KL_MUST_USE enum kl_status vault_breach_cursor(const struct vault_breach *breach,
                                               char ret[VAULT_CURSOR_MAX_BYTES + 1],
                                               struct kl_err *err);
/* The field that a row names, in one of the policies; VAULT_NONE. */
int vault_breach_field(const struct vault_policy *policy, const char *name);
/* Look at everybody in the tally: are they there, and may the caller be told who they are. KL_ERR_NO_MEMORY, KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_breach_identify(struct vault_breach *breach, struct kl_err *err);
/* That the report was made, and whom it named: before it leaves. KL_ERR_UNAVAILABLE "audit_unavailable", KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_breach_audit(struct vault_breach *breach, struct kl_err *err);
/* "people", "records", "first_at", "last_at"; "data_subjects". KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_breach_write_counts(const struct vault_breach *breach,
                                                     struct kl_json_out *out, struct kl_err *err);
KL_MUST_USE enum kl_status vault_breach_write_types(const struct vault_breach *breach,
                                                    struct kl_json_out *out, struct kl_err *err);
/* The report. cursor: "" for none. KL_ERR_NO_MEMORY; what the trail's head fails with; out's errors stay in it. */
KL_MUST_USE enum kl_status vault_breach_write(const struct vault_breach *breach, const char *cursor,
                                              struct kl_json_out *out, struct kl_err *err);

#endif
