#include "api/command.h"

#include "kluis/base/file.h"
#include "kluis/base/time.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/policy_diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES_MAX (256 * 1024)

static void print_findings(const char *file, const struct vault_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct vault_finding *finding = &findings->items[i];
        (void)fprintf(stderr, "%s:%u:%u: %s: %s\n", file, finding->line, finding->column,
                      finding->is_error ? "error" : "warning", finding->text);
    }
    if (findings->more)
        (void)fprintf(stderr, "%s: more findings follow once these are mended\n", file);
}

/* A policy from a file, its findings printed; NULL when it cannot be used, and then why is printed too. */
static struct vault_policy *policy_read(const char *file)
{
    struct kl_err err = {0};
    struct kl_buf text = {0};
    struct vault_policy *policy = NULL;
    struct vault_findings *findings = calloc(1, sizeof *findings);
    enum kl_status status = findings == NULL ? kl_fail_memory(&err) : KL_OK;
    if (status == KL_OK)
        status = kl_file_read(file, VAULT_POLICY_BYTES_MAX, &text, &err);
    if (status == KL_OK) {
        status = vault_policy_parse(text.bytes, text.size, findings, &policy, &err);
        print_findings(file, findings);
    }
    if (status != KL_OK && (findings == NULL || findings->errors == 0))
        api_command_say(&err);
    free(findings);
    kl_buf_done(&text);
    return policy;
}

enum api_exit api_command_policy_check(const struct kl_config *config, const char *file)
{
    (void)config;
    struct vault_policy *policy = policy_read(file);
    if (policy == NULL)
        return API_FAILED;
    (void)printf("%s: policy %s, version %s: valid, all its tests pass\n", file,
                 vault_policy_name(policy), vault_policy_version(policy));
    if (!vault_policy_audit(policy)->has_keep)
        (void)printf("%s: entries of the audit trail are kept for ever: audit: { keep: P6Y } says "
                     "for how long\n",
                     file);
    vault_policy_unref(policy);
    return API_DONE;
}

static void print_extent(const struct vault_diff *diff, bool allows)
{
    struct vault_diff_extent extent = vault_diff_extent(diff, allows);
    (void)printf("newly %s: %" PRIu64 " answers of %zu roles, about %zu fields\n",
                 allows ? "allowed" : "withheld", extent.answers, extent.roles, extent.fields);
}

static enum kl_status print_diff(const struct vault_diff *diff, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf text;
    kl_buf_init(&text, LINE_BYTES_MAX);
    for (size_t i = 0; i < vault_diff_count(diff) && status == KL_OK; i++) {
        kl_buf_clear(&text);
        vault_diff_line_text(vault_diff_line(diff, i), &text);
        status = kl_buf_status(&text, err);
        if (status == KL_OK)
            (void)printf("%s\n", (const char *)text.bytes);
    }
    for (size_t i = 0; i < vault_diff_alert_count(diff); i++) {
        const struct vault_diff_alert *alert = vault_diff_alert(diff, i);
        (void)printf("~ %s: alert %s: %s -> %s\n", alert->role == NULL ? "all roles" : alert->role,
                     alert->alert, alert->was, alert->now);
    }
    print_extent(diff, true);
    print_extent(diff, false);
    if (!vault_diff_is_complete(diff))
        (void)printf("there are more changes than are shown here\n");
    kl_buf_done(&text);
    return status;
}

enum api_exit api_command_policy_diff(const char *before, const char *after)
{
    struct kl_err err = {0};
    struct vault_diff *diff = NULL;
    struct vault_policy *old = policy_read(before);
    struct vault_policy *candidate = policy_read(after);
    enum api_exit result = API_FAILED;
    if (old != NULL && candidate != NULL) {
        enum kl_status status = vault_diff_new(old, candidate, kl_time_now_us(), &diff, &err);
        if (status == KL_OK)
            status = print_diff(diff, &err);
        if (status == KL_OK)
            result = API_DONE;
        else
            api_command_say(&err);
    }
    vault_diff_free(diff);
    vault_policy_unref(old);
    vault_policy_unref(candidate);
    return result;
}
