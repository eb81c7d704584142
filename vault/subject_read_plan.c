/* A question in the policy's numbers. */
#include "vault/subject_read.h"

#include <string.h>

static enum kl_status plan_field(const struct vault_policy *policy, const char *name,
                                 struct vault_read_plan *plan, struct kl_err *err)
{
    char type_name[VAULT_NAME_MAX_BYTES + 1];
    const char *dot = strchr(name, '.');
    size_t size = dot == NULL ? 0 : (size_t)(dot - name);
    const struct vault_policy_record *of = NULL;
    int type = VAULT_NONE;
    int field = VAULT_NONE;

    if (size > 0 && size <= VAULT_NAME_MAX_BYTES) {
        memcpy(type_name, name, size);
        type_name[size] = 0;
        type = vault_policy_record_find(policy, type_name);
    }
    if (type == VAULT_NONE || (plan->type != VAULT_NONE && plan->type != type)) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_field",
                       "fields are asked for as type.field or type.*, as the policy names them",
                       NULL);
    }
    of = vault_policy_record(policy, type);
    if (strcmp(dot + 1, "*") == 0) {
        for (field = of->field_first; field < of->field_first + of->field_count; field++) {
            plan->wanted[field] = true;
        }
        return KL_OK;
    }
    field = vault_policy_field_find(policy, type, dot + 1);
    if (field == VAULT_NONE) {
        return kl_failf(err, KL_ERR_INVALID, "unknown_field",
                        "the policy has no such field in a record of type %s", of->name);
    }
    plan->wanted[field] = true;
    plan->by_name[field] = true;
    return KL_OK;
}

enum kl_status vault_read_plan_make(const struct vault_caller *caller,
                                    const struct vault_read_input *input, int type,
                                    const struct kl_id *subject, struct vault_read_plan *ret,
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    int purpose = VAULT_NONE;
    int recipient = VAULT_NONE;
    size_t i;

    memset(ret, 0, sizeof *ret);
    ret->query.purpose = VAULT_NONE;
    ret->type = type;
    ret->named = input->field_count > 0;
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = vault_purpose_resolve(caller, input->purpose, &purpose, err);
    }
    if (status == KL_OK) {
        status = vault_recipient_resolve(caller, input->recipient, &recipient, err);
    }
    for (i = 0; status == KL_OK && i < input->field_count; i++) {
        status = plan_field(caller->policy, input->fields[i], ret, err);
    }
    if (status == KL_OK) {
        ret->query = vault_query_of(caller, VAULT_ACTION_READ, purpose, recipient, subject);
        ret->query.ground = input->ground;
    }
    return status;
}
