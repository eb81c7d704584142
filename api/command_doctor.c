#include "api/command.h"

#include "kluis/base/buf.h"
#include "kluis/base/json.h"

#include <stdio.h>
#include <string.h>

#define DOCTOR_MAX_BYTES (1024 * 1024)

/* True when no check failed. */
static bool is_well(const struct kl_json_value *root)
{
    const struct kl_json_value *check = NULL;
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(root, "checks"));
         kl_json_next(&iter, NULL, &check);) {
        const char *state = kl_json_text(kl_json_member(check, "state"));
        if (state == NULL || strcmp(state, "failed") == 0)
            return false;
    }
    return true;
}

static void print_checks(const struct kl_json_value *root)
{
    const struct kl_json_value *check = NULL;
    for (struct kl_json_iter iter = kl_json_iter(kl_json_member(root, "checks"));
         kl_json_next(&iter, NULL, &check);) {
        const char *state = kl_json_text(kl_json_member(check, "state"));
        const char *name = kl_json_text(kl_json_member(check, "name"));
        const char *text = kl_json_text(kl_json_member(check, "text"));
        const char *advice = kl_json_text(kl_json_member(check, "advice"));
        if (state == NULL || name == NULL)
            continue;
        const char *store = kl_json_text(kl_json_member(check, "store"));
        char full[96];
        (void)snprintf(full, sizeof full, "%s%s%s", store != NULL ? store : "",
                       store != NULL ? ": " : "", name);
        (void)printf("%-8s %-22s %s\n", state, full, text != NULL ? text : "");
        if (advice != NULL && advice[0] != '\0' && strcmp(state, "ok") != 0)
            (void)printf("%-8s %-22s -> %s\n", "", "", advice);
    }
}

enum api_exit api_command_doctor(const struct kl_config *config)
{
    struct kl_err err = {0};
    struct vault_stores_options options = {.secret = api_store_secret,
                                           .secret_context = (void *)config};
    struct kl_secret *passphrase = NULL;
    struct kl_json *json = NULL;
    struct kl_buf answer;
    enum api_exit result = API_FAILED;
    kl_buf_init(&answer, DOCTOR_MAX_BYTES);

    enum kl_status status = api_config_vault(config, &options.main, &err);
    if (status == KL_OK)
        status = api_passphrase_read(config, options.main.custodian, false, &passphrase,
                                     &options.main.passphrase_bytes, &err);
    if (status == KL_OK && passphrase != NULL)
        options.main.passphrase = (const char *)kl_secret_peek(passphrase);
    if (status == KL_OK)
        status = vault_stores_doctor(&options, &answer, &err);
    if (status == KL_OK)
        status = kl_json_parse(answer.bytes, answer.size, &json, &err);
    if (status != KL_OK) {
        api_command_say(&err);
        result = strcmp(err.code, "usage") == 0 ? API_USAGE : API_FAILED;
    } else {
        if (strcmp(kl_config_text(config, "format"), "json") == 0)
            (void)printf("%s\n", (const char *)answer.bytes);
        else
            print_checks(kl_json_root(json));
        result = is_well(kl_json_root(json)) ? API_DONE : API_FAILED;
    }
    kl_json_free(json);
    kl_buf_done(&answer);
    kl_secret_free(passphrase);
    return result;
}
