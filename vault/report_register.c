/*
 * The register of who keeps a vault for others (GDPR art. 30(2)): a line for each tenant of all stores, from the policies in force. Controllers, categories
 * of what is done for them, transfers, measures: nothing of any person whose data is kept, and nothing of what is in it, not even how much.
 */
#include "kluis/vault/duties.h"

#include "kluis/vault/admin.h"
#include "vault/act.h"
#include "vault/report_parts.h"
#include "vault/stores_internal.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"

#define ACTION "report_processing"

static void add_purposes(struct kl_json_out *out, const struct vault_policy *policy)
{
    size_t count = vault_policy_purpose_count(policy);
    uint64_t bits = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        bits |= vault_policy_purpose(policy, (int)i)->forbidden ? 0 : UINT64_C(1) << i;
    }
    vault_report_add_names(out, "purposes", bits, count, vault_report_purpose_name, policy);
}

static void add_policy(struct kl_json_out *out, const struct vault_policy *policy)
{
    const struct vault_policy_controller *controller = vault_policy_controller(policy);

    kl_json_key(out, "policy");
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", vault_policy_name(policy));
    kl_json_add_text(out, "version", vault_policy_version(policy));
    kl_json_object_end(out);
    kl_json_add_text(out, "acting_as", controller->acting_as);
    vault_report_add_controller(out, controller);
    vault_report_add_processor(out, controller);
    vault_report_add_texts(out, "processing", controller->processing);
    add_purposes(out, policy);
    vault_report_add_recipients(out, policy);
    vault_report_add_transfers(out, policy);
    vault_report_add_texts(out, "measures", controller->measures);
}

static void add_tenant(struct vault *vault, const struct vault_tenant_result *tenant,
                       struct kl_json_out *out)
{
    const struct vault_tenant *of = vault_tenants_find(vault, tenant->name);
    struct vault_policy *policy = NULL;
    uint64_t number = 0;

    if (of == NULL) {
        return; /* it has come to its end meanwhile */
    }
    policy = vault_tenant_policy(vault, of, &number);
    kl_json_object_begin(out);
    kl_json_add_text(out, "tenant", tenant->name);
    kl_json_add_text(out, "store", tenant->store);
    kl_json_add_text(out, "country", tenant->country.code);
    if (tenant->ends_us == 0) {
        kl_json_add_text(out, "ends_at", NULL);
    } else {
        kl_json_add_time(out, "ends_at", tenant->ends_us);
    }
    if (policy == NULL) {
        kl_json_add_text(out, "policy", NULL);
    } else {
        add_policy(out, policy);
    }
    kl_json_object_end(out);
    vault_policy_unref(policy);
}

static enum kl_status add_tenants(struct vault_stores *stores, const struct vault_caller *caller,
                                  struct kl_arena *arena, struct kl_json_out *out,
                                  struct kl_err *err)
{
    size_t count = vault_stores_count(stores);
    enum kl_status status = KL_OK;
    size_t i;
    size_t k;

    kl_json_key(out, "tenants");
    kl_json_array_begin(out);
    for (i = 0; status == KL_OK && i < count; i++) {
        struct vault *vault = vault_stores_at(stores, i, NULL);
        struct vault_tenant_result *tenants = NULL;
        size_t tenant_count = 0;

        if (vault != NULL) {
            status = vault_tenant_list(vault, caller, arena, &tenants, &tenant_count, err);
        }
        for (k = 0; status == KL_OK && k < tenant_count; k++) {
            add_tenant(vault, &tenants[k], out);
        }
    }
    kl_json_array_end(out);
    return status;
}

static void add_stores(struct vault_stores *stores, const struct vault_measure *more,
                       size_t more_count, struct kl_json_out *out)
{
    size_t count = vault_stores_count(stores);
    size_t i;

    kl_json_key(out, "stores");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        const char *name = NULL;
        struct vault *vault = vault_stores_at(stores, i, &name);

        if (vault != NULL) {
            kl_json_object_begin(out);
            kl_json_add_text(out, "store", name);
            kl_json_add_text(out, "country", vault->country.code);
            vault_report_add_measures(vault, NULL, out, more, more_count);
            kl_json_object_end(out);
        }
    }
    kl_json_array_end(out);
    kl_json_add_bool(out, "complete", !vault_stores_any_away(stores));
}

static enum kl_status note(struct vault *vault, const struct vault_caller *caller,
                           struct kl_err *err)
{
    struct vault_act act = {0};
    struct vault_act *acts[1] = {&act};
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    enum kl_status status = KL_OK;

    vault_act_begin(&act, vault_act_trail(caller), &who, ACTION);
    kl_json_add_text(&act.out, "register", "all_tenants");
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

enum kl_status vault_report_register(struct vault_stores *stores, struct vault *vault,
                                     const struct vault_caller *caller,
                                     const struct vault_measure *more, size_t more_count,
                                     struct kl_buf *ret, struct kl_err *err)
{
    struct kl_json_out out = kl_json_out(ret);
    struct kl_arena *arena = NULL;
    size_t before = ret->size;
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, ACTION, err);

    if (status == KL_OK) {
        status = note(vault, caller, err);
    }
    if (status != KL_OK) {
        return status;
    }
    arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    if (arena == NULL) {
        return kl_fail_memory(err);
    }
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "article", "30(2)");
    kl_json_add_time(&out, "made_at", caller->now_us);
    status = add_tenants(stores, caller, arena, &out, err);
    if (status == KL_OK) {
        add_stores(stores, more, more_count, &out);
        kl_json_object_end(&out);
        status = kl_buf_status(ret, err);
    }
    if (status != KL_OK) {
        ret->size = before;
    }
    kl_arena_free(arena);
    return status;
}
