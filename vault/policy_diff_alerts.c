/* From when on two policies have the use of a role told of, and for how long they keep the trail: what differs, in words. It changes no answer. */
#include "vault/policy_diff_internal.h"

#include <inttypes.h>
#include <string.h>

#define TEXT_BYTES 96

enum alert { ALERT_VOLUME, ALERT_REFUSALS, ALERT_HOURS, ALERTS };
static const char *const alert_names[ALERTS] = {"volume", "refusals", "hours"};

static const char *text_of(struct vault_diff *diff, enum alert alert,
                           const struct policy_alerts *alerts)
{
    const char *ret = NULL;
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    if (alert == ALERT_VOLUME)
        vault_policy_rate_text(alerts->volume, &text);
    else if (alert == ALERT_REFUSALS)
        vault_policy_rate_text(alerts->refusals, &text);
    else
        vault_policy_alert_hours_text(alerts, &text);
    ret = kl_arena_text(diff->arena, text.bytes, text.size);
    if (ret == NULL || text.failed)
        diff->no_memory = true;
    kl_buf_done(&text);
    return ret;
}

static bool same_text(const char *const a[DIFF_SIDES], const char *const b[DIFF_SIDES])
{
    return strcmp(a[0], b[0]) == 0 && strcmp(a[1], b[1]) == 0;
}

static void add(struct vault_diff *diff, const char *role, const char *alert,
                const char *const texts[DIFF_SIDES])
{
    if (strcmp(texts[0], texts[1]) != 0)
        diff->alerts[diff->alert_count++] =
            (struct vault_diff_alert){.role = role, .alert = alert, texts[0], texts[1]};
}

/* A line for what no role has of its own, and one for each role that it does not hold for. */
static void compare_alert(struct vault_diff *diff, enum alert alert)
{
    const char *general[DIFF_SIDES] = {0};
    const char *texts[DIFF_SIDES] = {0};

    for (int side = 0; side < DIFF_SIDES; side++)
        general[side] = text_of(diff, alert, vault_policy_alerts(diff->policies[side], VAULT_NONE));
    if (diff->no_memory)
        return;
    add(diff, NULL, alert_names[alert], general);
    for (size_t i = 0; i < diff->roles.count; i++) {
        for (int side = 0; side < DIFF_SIDES; side++)
            texts[side] = text_of(
                diff, alert, vault_policy_alerts(diff->policies[side], diff->roles.at[i][side]));
        if (diff->no_memory)
            return;
        if (!same_text(texts, general))
            add(diff, diff->roles.names[i], alert_names[alert], texts);
    }
}

static void compare_windows(struct vault_diff *diff)
{
    const char *texts[DIFF_SIDES] = {0};

    for (int side = 0; side < DIFF_SIDES; side++) {
        struct kl_buf text;

        kl_buf_init(&text, TEXT_BYTES);
        kl_buf_addf(&text, "PT%" PRIu32 "S", vault_policy_alert_window_s(diff->policies[side]));
        texts[side] = kl_arena_text(diff->arena, text.bytes, text.size);
        if (texts[side] == NULL || text.failed)
            diff->no_memory = true;
        kl_buf_done(&text);
    }
    if (!diff->no_memory)
        add(diff, NULL, "window", texts);
}

/* Without a policy nothing says when the trail's entries go, as in one without the section. */
static void compare_audit(struct vault_diff *diff)
{
    static const struct vault_policy_audit nothing_said = {.has_keep = false};
    const char *texts[DIFF_SIDES] = {0};

    for (int side = 0; side < DIFF_SIDES; side++) {
        struct kl_buf text;

        kl_buf_init(&text, TEXT_BYTES + KL_DURATION_TEXT_BYTES);
        vault_policy_audit_text(
            diff->policies[side] == NULL ? &nothing_said : vault_policy_audit(diff->policies[side]),
            &text);
        texts[side] = kl_arena_text(diff->arena, text.bytes, text.size);
        if (texts[side] == NULL || text.failed)
            diff->no_memory = true;
        kl_buf_done(&text);
    }
    if (!diff->no_memory)
        add(diff, NULL, "audit_keep", texts);
}

void vault_diff_alerts(struct vault_diff *diff)
{
    diff->alerts =
        kl_arena_array(diff->arena, ALERTS * (diff->roles.count + 1) + 2, sizeof diff->alerts[0]);
    if (diff->alerts == NULL)
        diff->no_memory = true;
    for (int alert = 0; alert < ALERTS && !diff->no_memory; alert++)
        compare_alert(diff, (enum alert)alert);
    if (!diff->no_memory)
        compare_windows(diff);
    if (!diff->no_memory)
        compare_audit(diff);
}

size_t vault_diff_alert_count(const struct vault_diff *diff)
{
    return diff->alert_count;
}

const struct vault_diff_alert *vault_diff_alert(const struct vault_diff *diff, size_t number)
{
    return &diff->alerts[number];
}
