/*
 * Members of a JSON object that is open: what reports on a policy and on the vault share. Threads: any; a writer belongs to one.
 */
#ifndef VAULT_REPORT_PARTS_H
#define VAULT_REPORT_PARTS_H

#include "kluis/base/json.h"
#include "kluis/vault/duties.h"
#include "vault/vault_internal.h"

/* key: the names of the bits that are set, below count. */
void vault_report_add_names(struct kl_json_out *out, const char *key, uint64_t bits, size_t count,
                            const char *(*name)(const struct vault_policy *policy, int number),
                            const struct vault_policy *policy);
const char *vault_report_purpose_name(const struct vault_policy *policy, int number);
const char *vault_report_recipient_name(const struct vault_policy *policy, int number);
/* texts: ended by NULL; NULL: an empty array. */
void vault_report_add_texts(struct kl_json_out *out, const char *key, const char *const *texts);

/* key: {"name","country","contact"}; null when nobody is named. */
void vault_report_add_party(struct kl_json_out *out, const char *key,
                            const struct vault_policy_party *party);
/* "joint_controllers": [...] */
void vault_report_add_joint(struct kl_json_out *out,
                            const struct vault_policy_controller *controller);
/* "controller": {...}; "processor": {...} or null */
void vault_report_add_controller(struct kl_json_out *out,
                                 const struct vault_policy_controller *controller);
void vault_report_add_processor(struct kl_json_out *out,
                                const struct vault_policy_controller *controller);

/* "recipients": [...]; "residency", "transfers": [...] */
void vault_report_add_recipients(struct kl_json_out *out, const struct vault_policy *policy);
void vault_report_add_transfers(struct kl_json_out *out, const struct vault_policy *policy);

/* "security_measures": [...]: the vault's, those of more, and those that the policy tells of (controller NULL: none). */
#define VAULT_MEASURE_ORGANISATION "organisation"
void vault_report_add_measures(struct vault *vault,
                               const struct vault_policy_controller *controller,
                               struct kl_json_out *out, const struct vault_measure *more,
                               size_t more_count);

#endif
