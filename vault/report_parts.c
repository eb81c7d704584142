#include "vault/report_parts.h"

#include "vault/upkeep.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- names ---- */

void vault_report_add_names(struct kl_json_out *out, const char *key, uint64_t bits, size_t count,
                            const char *(*name)(const struct vault_policy *policy, int number),
                            const struct vault_policy *policy)
{
    size_t i;

    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        if (((bits >> i) & 1) != 0) {
            kl_json_put_text(out, name(policy, (int)i));
        }
    }
    kl_json_array_end(out);
}

const char *vault_report_purpose_name(const struct vault_policy *policy, int number)
{
    return vault_policy_purpose(policy, number)->name;
}

const char *vault_report_recipient_name(const struct vault_policy *policy, int number)
{
    return vault_policy_recipient(policy, number)->name;
}

void vault_report_add_texts(struct kl_json_out *out, const char *key, const char *const *texts)
{
    size_t i;

    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (i = 0; texts != NULL && texts[i] != NULL; i++) {
        kl_json_put_text(out, texts[i]);
    }
    kl_json_array_end(out);
}

/* ---- who answers for it ---- */

static void put_party(struct kl_json_out *out, const struct vault_policy_party *party)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", party->name);
    kl_json_add_text(out, "country", party->country.code);
    kl_json_add_text(out, "contact", party->contact);
    kl_json_object_end(out);
}

void vault_report_add_party(struct kl_json_out *out, const char *key,
                            const struct vault_policy_party *party)
{
    kl_json_key(out, key);
    if (party->name == NULL) {
        kl_json_put_null(out);
    } else {
        put_party(out, party);
    }
}

void vault_report_add_joint(struct kl_json_out *out,
                            const struct vault_policy_controller *controller)
{
    kl_json_key(out, "joint_controllers");
    kl_json_array_begin(out);
    for (size_t i = 0; i < controller->joint_count; i++) {
        put_party(out, &controller->joint[i]);
    }
    kl_json_array_end(out);
}

void vault_report_add_controller(struct kl_json_out *out,
                                 const struct vault_policy_controller *controller)
{
    kl_json_key(out, "controller");
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", controller->name);
    kl_json_add_text(out, "country", controller->country.code);
    kl_json_add_text(out, "contact", controller->contact);
    kl_json_add_text(out, "data_protection_officer", controller->dpo);
    kl_json_add_text(out, "supervisory_authority", controller->authority);
    vault_report_add_party(out, "representative", &controller->representative);
    vault_report_add_joint(out, controller);
    kl_json_object_end(out);
}

void vault_report_add_processor(struct kl_json_out *out,
                                const struct vault_policy_controller *controller)
{
    kl_json_key(out, "processor");
    if (controller->processor_name == NULL) {
        kl_json_put_null(out);
        return;
    }
    kl_json_object_begin(out);
    kl_json_add_text(out, "name", controller->processor_name);
    kl_json_add_text(out, "country", controller->processor_country.code);
    kl_json_add_text(out, "contact", controller->processor_contact);
    kl_json_add_text(out, "data_protection_officer", controller->processor_dpo);
    vault_report_add_party(out, "representative", &controller->processor_representative);
    kl_json_object_end(out);
}

/* ---- recipients and transfers ---- */

void vault_report_add_recipients(struct kl_json_out *out, const struct vault_policy *policy)
{
    size_t count = vault_policy_recipient_count(policy);
    size_t i;

    kl_json_key(out, "recipients");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        const struct vault_policy_recipient *recipient = vault_policy_recipient(policy, (int)i);

        kl_json_object_begin(out);
        kl_json_add_text(out, "name", recipient->name);
        kl_json_add_text(out, "description", recipient->description);
        kl_json_add_text(out, "kind", recipient->kind);
        kl_json_add_text(out, "contact", recipient->contact);
        kl_json_add_text(out, "country", recipient->country.code);
        kl_json_add_bool(out, "outside_eea", !vault_country_in_eea(recipient->country));
        vault_report_add_names(out, "purposes", recipient->purposes,
                               vault_policy_purpose_count(policy), vault_report_purpose_name,
                               policy);
        kl_json_add_text(out, "consent",
                         recipient->consent_purpose == VAULT_NONE
                             ? NULL

                             : vault_report_purpose_name(policy, recipient->consent_purpose));
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

static void add_transfer(struct kl_json_out *out, const struct vault_policy *policy, int number)
{
    struct vault_policy_transfer line = vault_policy_transfer(policy, number);
    struct vault_country country;
    size_t i;

    kl_json_object_begin(out);
    kl_json_key(out, "to");
    kl_json_array_begin(out);
    for (i = 0; vault_policy_transfer_country(policy, number, i, &country); i++) {
        kl_json_put_text(out, country.code);
    }
    kl_json_array_end(out);
    kl_json_add_bool(out, "adequate_countries", line.to_adequate);
    kl_json_add_text(out, "mechanism", line.mechanism);
    vault_report_add_names(out, "purposes", line.purposes, vault_policy_purpose_count(policy),
                           vault_report_purpose_name, policy);
    vault_report_add_names(out, "recipients", line.recipients, vault_policy_recipient_count(policy),
                           vault_report_recipient_name, policy);
    kl_json_add_text(out, "view", vault_view_name(line.view));
    kl_json_add_text(out, "description", line.description);
    kl_json_object_end(out);
}

void vault_report_add_transfers(struct kl_json_out *out, const struct vault_policy *policy)
{
    size_t count = vault_policy_transfer_count(policy);
    size_t i;

    kl_json_add_text(out, "residency",
                     vault_residency_name(vault_policy_residency_default(policy)));
    kl_json_key(out, "transfers");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        add_transfer(out, policy, (int)i);
    }
    kl_json_array_end(out);
}

/* ---- measures (GDPR art. 32(1)) ---- */

static void add_measure(struct kl_json_out *out, const char *name, const char *text)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "measure", name);
    kl_json_add_text(out, "text", text);
    kl_json_object_end(out);
}

/* Those that every vault has, as it is built. */
static void add_built_in(struct kl_json_out *out)
{
    add_measure(out, "encryption_at_rest",
                "each value is sealed by itself with ChaCha20-Poly1305 under a key of the person's "
                "own, files in chunks of 64 KiB");
    add_measure(out, "erasure",
                "an erasure destroys the person's key: logs, backups and snapshots hold noise");
    add_measure(out, "access_control",
                "nothing is shown but by a rule of the policy for role, field and purpose; "
                "each field that is withheld says why");
    add_measure(out, "audit_trail",
                "every access is in a trail before a value leaves, hashed as a tree (RFC 9162) "
                "with heads signed by Ed25519");
    add_measure(out, "backups", "backups hold ciphertext and no keys");
}

/* Those that depend on how this one is run. */
void vault_report_add_measures(struct vault *vault,
                               const struct vault_policy_controller *controller,
                               struct kl_json_out *out, const struct vault_measure *more,
                               size_t more_count)
{
    struct vault_upkeep_options options = vault_upkeep_options(vault);
    struct kms_state state;
    char text[160];
    size_t i;

    kms_state(vault->keys, &state);
    kl_json_key(out, "security_measures");
    kl_json_array_begin(out);
    add_built_in(out);
    (void)snprintf(text, sizeof text, "the root key is kept by the custodian '%s', finality %s",
                   state.custodian_kind, kms_finality_name(state.finality));
    add_measure(out, "key_custody", text);
    if (state.mirrors > 0) {
        (void)snprintf(text, sizeof text,
                       "the keys have %" PRIu32 " mirrors, part of every erasure", state.mirrors);
        add_measure(out, "key_mirrors", text);
    }
    (void)snprintf(text, sizeof text, "the data lies in %s", vault->country.code);
    add_measure(out, "location", text);
    if (options.sweep_at_s >= 0) {
        add_measure(out, "storage_limitation",
                    "every night what no purpose keeps any more is erased, and overwritten "
                    "values lose their keys");
    }
    for (i = 0; i < more_count; i++) {
        add_measure(out, more[i].measure, more[i].text);
    }
    for (i = 0;
         controller != NULL && controller->measures != NULL && controller->measures[i] != NULL;
         i++) {
        add_measure(out, VAULT_MEASURE_ORGANISATION, controller->measures[i]);
    }
    kl_json_array_end(out);
}
