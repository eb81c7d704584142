/*
 * The section alerts of a policy: from when on the use of a credential is told of. Nothing of it refuses anything.
 *
 * A rate is a bucket: bulk at once, and filled again by so many an hour. Refusals are counted in one too, rather than in a row: whoever
 * tries ids would only have to read something of their own in between.
 */
#include "vault/policy_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define OFF "off"
#define WINDOW_S 3600
#define WINDOW_MIN_S 60
#define WINDOW_MAX_S (24 * 3600)

/* What holds where a policy says nothing, or there is none. */
static const struct policy_alerts nothing_said = {.volume = {500, 1000}, .refusals = {20, 60}};

/* ---- reading ---- */

static bool is_off(policy_node node)
{
    return node != NULL && node->kind == KL_YAML_SCALAR && strcmp(node->text, OFF) == 0;
}

static void read_rate(struct policy_parse *parse, policy_node node, const char *what,
                      struct policy_rate *ret)
{
    static const char *const keys[] = {"bulk", "per_hour", NULL};
    struct policy_rate rate = *ret;

    if (is_off(node)) {
        *ret = (struct policy_rate){0};
        return;
    }
    if (!vault_policy_mapping(parse, node, what, keys)) {
        return;
    }
    vault_policy_number(parse, vault_policy_member(parse, node, "bulk", what), "bulk", &rate.bulk);
    vault_policy_number(parse, vault_policy_member(parse, node, "per_hour", what), "per_hour",
                        &rate.per_hour);
    *ret = rate;
}

static void read_hours(struct policy_parse *parse, policy_node node, struct policy_alerts *ret)
{
    if (is_off(node)) {
        ret->hours_text = NULL;
    } else if (vault_policy_hours(parse, node, &ret->hours)) {
        ret->hours_text = vault_policy_copy(parse, node->text);
    }
}

/* What may stand at the top and of one role alike. */
static void read_items(struct policy_parse *parse, policy_node node, struct policy_alerts *ret)
{
    static const char *const day_words[] = {"all", "weekdays", NULL};
    policy_node days = kl_yaml_member(node, "days");

    read_rate(parse, kl_yaml_member(node, "volume"), "volume", &ret->volume);
    read_rate(parse, kl_yaml_member(node, "refusals"), "refusals", &ret->refusals);
    read_hours(parse, kl_yaml_member(node, "hours"), ret);
    if (days != NULL) {
        ret->weekdays = vault_policy_word(parse, days, "days", day_words) == 1;
        if (ret->hours_text == NULL) {
            vault_policy_error(parse, days, "days_without_hours",
                               "days say when hours are kept: without hours they mean nothing");
        }
    }
}

static void read_roles(struct policy_parse *parse, policy_node node)
{
    static const char *const keys[] = {"volume", "refusals", "hours", "days", NULL};
    struct vault_policy *policy = parse->policy;

    if (!vault_policy_mapping(parse, node, "alerts of roles", NULL)) {
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        int role = vault_policy_word(parse, node->keys[i], "role", policy->role_names);

        if (role >= 0 && vault_policy_mapping(parse, node->items[i], "alerts of a role", keys)) {
            read_items(parse, node->items[i], &policy->role_alerts[role]);
        }
    }
}

static void read_window(struct policy_parse *parse, policy_node node, uint32_t *ret)
{
    struct kl_duration duration;
    int64_t seconds = 0;

    if (node == NULL || !vault_policy_duration(parse, node, &duration)) {
        return;
    }
    seconds = kl_time_add(0, &duration) / KL_TIME_SECOND_US;
    if (seconds < WINDOW_MIN_S || seconds > WINDOW_MAX_S) {
        vault_policy_error(parse, node, "invalid_window", "window is from PT1M to P1D");
        return;
    }
    *ret = (uint32_t)seconds;
}

void vault_policy_read_alerts(struct policy_parse *parse, policy_node root)
{
    static const char *const keys[] = {"window", "volume", "refusals", "hours",
                                       "days",   "roles",  NULL};
    struct vault_policy *policy = parse->policy;
    policy_node node = kl_yaml_member(root, "alerts");
    bool said = vault_policy_mapping(parse, node, "alerts", keys);

    policy->alerts = nothing_said;
    policy->alert_window_s = WINDOW_S;
    policy->role_alerts =
        vault_policy_array(parse, policy->role_count, sizeof policy->role_alerts[0]);
    if (said) {
        read_window(parse, kl_yaml_member(node, "window"), &policy->alert_window_s);
        read_items(parse, node, &policy->alerts);
    }
    for (size_t i = 0; policy->role_alerts != NULL && i < policy->role_count; i++) {
        policy->role_alerts[i] = policy->alerts;
    }
    if (said && policy->role_alerts != NULL) {
        read_roles(parse, kl_yaml_member(node, "roles"));
    }
}

/* ---- what it says ---- */

const struct policy_alerts *vault_policy_alerts(const struct vault_policy *policy, int role)
{
    if (policy == NULL) {
        return &nothing_said;
    }
    assert(role == VAULT_NONE || (role >= 0 && (size_t)role < policy->role_count));
    return role == VAULT_NONE ? &policy->alerts : &policy->role_alerts[role];
}

uint32_t vault_policy_alert_window_s(const struct vault_policy *policy)
{
    return policy == NULL ? WINDOW_S : policy->alert_window_s;
}

void vault_policy_rate_text(struct policy_rate rate, struct kl_buf *out)
{
    if (rate.bulk == 0) {
        kl_buf_add_text(out, OFF);
    } else {
        kl_buf_addf(out, "%" PRIu32 " at once, %" PRIu32 " an hour", rate.bulk, rate.per_hour);
    }
}

void vault_policy_alert_hours_text(const struct policy_alerts *alerts, struct kl_buf *out)
{
    kl_buf_add_text(out, alerts->hours_text == NULL ? "any" : alerts->hours_text);
    if (alerts->hours_text != NULL && alerts->weekdays) {
        kl_buf_add_text(out, ", weekdays");
    }
}
