/* A search for changes of a policy: its states, and who proposes what to try next. */
#ifndef VAULT_POLICY_REMEDY_INTERNAL_H
#define VAULT_POLICY_REMEDY_INTERNAL_H

#include "vault/policy_edit.h"
#include "vault/policy_remedy.h"

/* Tried from one state at most. */
#define REMEDY_TRIES_MAX 16
/* Edits of one step: taking a purpose off the forbidden ones and declaring it are two. */
#define REMEDY_STEP_EDITS_MAX 2

/* What to try: edits of the same text, the one nearest to its end first. */
struct remedy_try {
    struct policy_edit edits[REMEDY_STEP_EDITS_MAX];
    struct vault_explain_edit said[REMEDY_STEP_EDITS_MAX];
    size_t count;
};
struct remedy_tries {
    struct remedy_try items[REMEDY_TRIES_MAX];
    size_t count;
    struct kl_arena *arena;
};

/* A policy as some changes left it, and the same question put to it. steps: of changes; edits: of the text. */
struct remedy_state {
    struct policy_text text;
    struct kl_yaml *yaml;
    struct vault_policy *policy;
    struct vault_query query;
    struct vault_facts facts;
    int field;
    struct vault_decision decision;
    bool passes[VAULT_GATES];
    size_t steps;
    struct vault_explain_edit edits[VAULT_REMEDY_STEPS_MAX * REMEDY_STEP_EDITS_MAX];
    size_t edit_count;
    struct vault_explain_change change; /* once it alters the answer: how far it reaches */
};

/* What might let the field be shown, by the gate that withholds it. */
void vault_remedy_allow(const struct vault_remedy *remedy, const struct remedy_state *state,
                        struct remedy_tries *tries);
/* What might withhold it: of the first grant that lets it, or (beyond_grants) of the field and its record. */
void vault_remedy_withhold(const struct remedy_state *state, bool beyond_grants,
                           struct remedy_tries *tries);

/*
 * What must happen before it is shown, whatever the policy says: goes to ret->must_happen, and from then on base's facts are as if it had.
 * KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_remedy_needs(struct vault_remedy *remedy,
                                              struct remedy_state *base,
                                              struct vault_explain_result *ret, struct kl_err *err);
/* Put a state's question to its policy. */
void vault_remedy_decide(struct remedy_state *state);

/* ---- what both propose with ---- */

#define REMEDY_WHERE_BYTES 256
/*
 * One more try of a single edit; not when made is false (an edit call's answer). what: "grant"; where: a JSON pointer, printf. choose: the
 * word in it that only people can know; NULL: none.
 */
void vault_remedy_try(struct remedy_tries *tries, bool made, const struct policy_edit *edit,
                      const char *what, const char *choose, const char *where, ...) KL_PRINTF(6, 7);
/* Nodes of the state's text; NULL: there is none. */
const struct kl_yaml_node *vault_remedy_node(const struct remedy_state *state, const char *section,
                                             const char *name);
/* The field asked about, "type.field"; its record type; the purpose, NULL: none; the role. */
const char *vault_remedy_field(const struct remedy_state *state);
const char *vault_remedy_record(const struct remedy_state *state);
const char *vault_remedy_purpose(const struct remedy_state *state);
const char *vault_remedy_role(const struct remedy_state *state);
/* The place of a scalar of that text in a list; VAULT_NONE. */
int vault_remedy_place(const struct kl_yaml_node *list, const char *text);

#endif
