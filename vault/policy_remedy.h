/*
 * The shortest change of a policy's text that alters one answer: found by making changes, compiling what came out with the compiler of
 * policies, and deciding again. Only what was seen to alter the answer is handed on.
 *
 * Threads: one at a time for each struct; the policy is read only.
 */
#ifndef VAULT_POLICY_REMEDY_H
#define VAULT_POLICY_REMEDY_H

#include "kluis/vault/admin.h"
#include "vault/policy_internal.h"
#include "vault/subject_internal.h"

/* Of policy text that is compiled to explain one request, in all: about a second's work. */
#define VAULT_REMEDY_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define VAULT_REMEDY_DECISIONS_MAX ((uint64_t)16 * 1000 * 1000)
/* Made one after the other to alter one answer. */
#define VAULT_REMEDY_STEPS_MAX 8

/*
 * One request to explain. text: of policy, as it was applied. query: its numbers are policy's. facts: of the subject but for ended, which
 * is of one record type; NULL: of nobody.
 * subject: opened, for its clocks at ended_us; NULL: none. bytes, decisions: spent so far.
 */
struct vault_remedy {
    struct vault_policy *policy;
    struct kl_slice text;
    const struct vault_query *query;
    const struct vault_facts *facts;
    const struct vault_subject *subject;
    int64_t ended_us;
    struct kl_arena *arena; /* of the answer */
    size_t bytes;
    uint64_t decisions;
};

/*
 * For one field: sets ret->changes, ret->change_count, ret->must_happen, ret->must_happen_count and ret->searched. False in ret->searched:
 * the maxima of the request were spent. KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_remedy_find(struct vault_remedy *remedy, int field,
                                             struct vault_explain_result *ret, struct kl_err *err);

#endif
