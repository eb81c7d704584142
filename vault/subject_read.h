/* Reading a subject that was found: what subject_read.c, subject_read_many.c and subject_list.c share. */
#ifndef VAULT_SUBJECT_READ_H
#define VAULT_SUBJECT_READ_H

#include "vault/subject_internal.h"

/* What is asked, in the policy's numbers. */
struct vault_read_plan {
    struct vault_query query;
    int type;                      /* only records of that type; VAULT_NONE: all */
    bool named;                    /* fields were asked for; else all */
    bool wanted[VAULT_FIELDS_MAX]; /* when named */
    bool by_name
        [VAULT_FIELDS_MAX]; /* asked for one by one, not with a star: shown as withheld even by role */
    const char *action;     /* of the audit entry; NULL: "read" */
};

/* Errors as vault_subject_read() names them. type: see the plan. subject: for own_subject; NULL: not known yet. */
KL_MUST_USE enum kl_status vault_read_plan_make(const struct vault_caller *caller,
                                                const struct vault_read_input *input, int type,
                                                const struct kl_id *subject,
                                                struct vault_read_plan *ret, struct kl_err *err);
/*
 * Decide for every field, open those that are to be shown, and begin and close the audit entry act, which has to be committed before ret
 * is handed out. ret_reached: some field was not withheld.
 * KL_ERR_NOT_FOUND "not_found": the role has no grant on anything the subject has, or there is no such record. KL_ERR_GONE "value_gone":
 * load the subject again. KL_ERR_FORBIDDEN "volume_exceeded": see volume.h.
 */
KL_MUST_USE enum kl_status vault_read_loaded(
    struct vault *vault, const struct vault_caller *caller, const struct vault_read_plan *plan,
    const struct kl_id *record, const struct vault_subject *subject, struct kl_arena *arena,
    struct vault_act *act, struct vault_subject_result *ret, bool *ret_reached, struct kl_err *err);
/*
 * Set the values of fields that were decided on: each result is not withheld, and has its view and type. plan: whom it is for. KL_ERR_GONE "value_gone": load the subject again.
 */
struct vault_read_shown {
    const struct vault_manifest_record *record;
    const struct vault_manifest_field *field;
    struct vault_field_result *result;
};
KL_MUST_USE enum kl_status vault_read_show(struct vault *vault, const struct vault_caller *caller,
                                           const struct vault_read_plan *plan,
                                           const struct vault_subject *subject,
                                           const struct vault_read_shown *shown, size_t count,
                                           struct kl_arena *arena, struct kl_err *err);
/* Count shown and withheld fields of a result that is handed out. */
void vault_read_count(struct vault *vault, const struct vault_subject_result *result);
/* How many bytes a result takes as JSON, at most. */
size_t vault_read_bytes(const struct vault_subject_result *result);

#endif
