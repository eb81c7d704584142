#include "vault/place.h"

#include "vault/policy_internal.h"
#include "vault/tenants.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <string.h>

static bool adequacy_covers(const struct policy_transfer *line, struct vault_country country,
                            int64_t at_us)
{
    const struct vault_adequacy *decision = vault_adequacy_find(country, at_us);

    if (decision == NULL || (decision->never_alone && line->to_adequate)) {
        return false;
    }
    return decision->scope == NULL || line->scope_all ||
           vault_policy_countries_has(&line->scope, country);
}

static bool line_allows(const struct policy_transfer *line, struct vault_country country,
                        int64_t at_us)
{
    if (!line->any_purpose || !line->any_recipient || line->view != VAULT_VIEW_PLAIN ||
        line->mechanism == POLICY_EXPLICIT_CONSENT) {
        return false;
    }
    if (!line->to_adequate && !vault_policy_countries_has(&line->to, country)) {
        return false;
    }
    return line->mechanism != POLICY_ADEQUATE || adequacy_covers(line, country, at_us);
}

int vault_policy_place_line(const struct vault_policy *policy, struct vault_country country,
                            int64_t at_us)
{
    size_t i;

    for (i = 0; i < policy->transfer_count; i++) {
        if (line_allows(&policy->transfers[i], country, at_us)) {
            return (int)i;
        }
    }
    return VAULT_NONE;
}

bool vault_policy_place_allowed(const struct vault_policy *policy, struct vault_country country,
                                int64_t at_us)
{
    return vault_policy_place_line(policy, country, at_us) != VAULT_NONE;
}

/* new_copy: one that is to be made. A tenant without a policy lets none be made, but one that is there already does not become wrong by it. */
static bool tenant_allows(struct vault *vault, const struct vault_tenant *tenant,
                          struct vault_country country, int64_t at_us, bool new_copy)
{
    uint64_t number = 0;
    struct vault_policy *policy = vault_tenant_policy(vault, tenant, &number);
    bool allowed = policy == NULL ? !new_copy : vault_policy_place_allowed(policy, country, at_us);

    vault_policy_unref(policy);
    return allowed;
}

static enum kl_status copy_allowed(struct vault *vault, struct vault_country country, int64_t at_us,
                                   bool new_copy, struct kl_err *err)
{
    const struct vault_tenant *tenant = NULL;

    if (vault_country_in_eea(country) || !vault_country_in_eea(vault->country)) {
        return KL_OK;
    }
    for (tenant = vault_tenants_next(vault, KMS_TENANT_VAULT); tenant != NULL;
         tenant = vault_tenants_next(vault, tenant->number)) {
        if (!tenant_allows(vault, tenant, country, at_us, new_copy)) {
            return kl_fail(
                err, KL_ERR_FORBIDDEN, "residency",
                "what lies in the EEA may be copied to that country only when every tenant's policy names a transfer to it for all purposes",
                "the policy of tenant %s names none to %s", tenant->name, country.code);
        }
    }
    return KL_OK;
}

enum kl_status vault_copy_allowed(struct vault *vault, struct vault_country country, int64_t at_us,
                                  struct kl_err *err)
{
    return copy_allowed(vault, country, at_us, true, err);
}

enum kl_status vault_copies_allowed(struct vault *vault, const struct vault_policy *policy,
                                    int64_t at_us, struct kl_err *err)
{
    struct kms_mirror_info mirrors[KMS_MIRRORS_MAX];
    struct vault_country country;
    size_t count = 0;
    size_t i;

    if (!vault_country_in_eea(vault->country)) {
        return KL_OK;
    }
    kms_mirrors(vault->keys, mirrors, &count);
    for (i = 0; i < count; i++) {
        if (vault_country_parse(mirrors[i].label, strlen(mirrors[i].label), &country, NULL) !=
                KL_OK ||
            (!vault_country_in_eea(country) &&
             !vault_policy_place_allowed(policy, country, at_us))) {
            return kl_failf(
                err, KL_ERR_CONFLICT, "mirror_residency",
                "a mirror of the keys lies in %s, and this policy names no transfer to it for all purposes: "
                "the mirror has to be dropped first, or the transfer to be named",
                mirrors[i].label);
        }
    }
    return KL_OK;
}

bool vault_copy_misplaced(struct vault *vault, const char *label, int64_t at_us)
{
    struct vault_country country;

    return vault_country_parse(label, strlen(label), &country, NULL) != KL_OK ||
           copy_allowed(vault, country, at_us, false, NULL) != KL_OK;
}

size_t vault_copies_misplaced(struct vault *vault, int64_t at_us, char ret_country[8])
{
    struct kms_mirror_info mirrors[KMS_MIRRORS_MAX];
    size_t count = 0;
    size_t misplaced = 0;
    size_t i;

    ret_country[0] = '\0';
    kms_mirrors(vault->keys, mirrors, &count);
    for (i = 0; i < count; i++) {
        if (vault_copy_misplaced(vault, mirrors[i].label, at_us)) {
            if (misplaced == 0) {
                (void)snprintf(ret_country, 8, "%.7s", mirrors[i].label);
            }
            misplaced++;
        }
    }
    return misplaced;
}
