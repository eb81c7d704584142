#include "api/command.h"

#include "kluis/base/file.h"
#include "kluis/vault/policy.h"

#include <stdio.h>
#include <stdlib.h>

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

enum api_exit api_command_policy_check(const struct kl_config *config, const char *file)
{
    (void)config;
    struct kl_err err = {0};
    struct kl_buf text = {0};
    struct vault_policy *policy = NULL;
    struct vault_findings *findings = calloc(1, sizeof *findings);
    enum kl_status status = KL_ERR_NO_MEMORY;
    if (findings != NULL)
        status = kl_file_read(file, VAULT_POLICY_BYTES_MAX, &text, &err);
    if (status == KL_OK) {
        status = vault_policy_parse(text.bytes, text.size, findings, &policy, &err);
        print_findings(file, findings);
        if (status == KL_OK)
            (void)printf("%s: policy %s, version %s: valid, all its tests pass\n", file,
                         vault_policy_name(policy), vault_policy_version(policy));
        else if (findings->errors == 0)
            api_command_say(&err);
    } else if (findings != NULL) {
        api_command_say(&err);
    }
    vault_policy_unref(policy);
    free(findings);
    kl_buf_done(&text);
    return status == KL_OK ? API_DONE : API_FAILED;
}
