#include "cli/profile.h"

#include "kluis/base/file.h"
#include "kluis/base/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 4096
#define FILE_MAX_BYTES 65536

/* A member of a profile: its name in the file, and whether it is a path (then relative to the file). */
struct member {
    const char *name;
    const char *environment;
    size_t offset;
    bool is_path;
};
#define MEMBER(field, variable, path)                               \
    {                                                               \
#field, variable, offsetof(struct cli_profile, field), path \
    }
static const struct member members[] = {
    MEMBER(server, "KLUIS_SERVER", false),
    MEMBER(ca, "KLUIS_CA", true),
    MEMBER(credential, "KLUIS_CREDENTIAL", true),
    MEMBER(certificate, "KLUIS_CERTIFICATE", true),
    MEMBER(key, "KLUIS_KEY", true),
    MEMBER(tenant, "KLUIS_TENANT", false),
};
#define MEMBER_COUNT (sizeof members / sizeof members[0])

static char **member_of(struct cli_profile *profile, size_t i)
{
    return (char **)(void *)((char *)profile + members[i].offset);
}

enum kl_status cli_profile_set(char **member, const char *value, struct kl_err *err)
{
    if (value == NULL)
        return KL_OK;
    char *copy = strdup(value);
    if (copy == NULL)
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "out of memory", NULL);
    free(*member);
    *member = copy;
    return KL_OK;
}

void cli_profile_done(struct cli_profile *profile)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        free(*member_of(profile, i));
        *member_of(profile, i) = NULL;
    }
}

/* The file to read; *ret_must: it was named, so it must be there. */
static bool config_path(const char *file, char out[PATH_MAX_BYTES], bool *ret_must)
{
    const char *named = file != NULL ? file : getenv("KLUIS_CONFIG");
    *ret_must = named != NULL;
    int written = 0;
    if (named != NULL)
        written = snprintf(out, PATH_MAX_BYTES, "%s", named);
    else if (getenv("XDG_CONFIG_HOME") != NULL)
        written = snprintf(out, PATH_MAX_BYTES, "%s/kluis/config.yaml", getenv("XDG_CONFIG_HOME"));
    else if (getenv("HOME") != NULL)
        written = snprintf(out, PATH_MAX_BYTES, "%s/.config/kluis/config.yaml", getenv("HOME"));
    return written > 0 && written < PATH_MAX_BYTES;
}

static enum kl_status set_from_node(struct cli_profile *profile, const char *name,
                                    const struct kl_yaml_node *value, const char *file,
                                    struct kl_err *err)
{
    static const char *const names[] = {"server", "ca",     "credential", "certificate",
                                        "key",    "tenant", NULL};
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (strcmp(members[i].name, name) != 0)
            continue;
        if (value->kind != KL_YAML_SCALAR)
            return kl_failf(err, KL_ERR_INVALID, "invalid_profile", "%s:%u: %s must be a text",
                            file, value->line, name);
        const char *slash = strrchr(file, '/');
        if (!members[i].is_path || value->text[0] == '/' || slash == NULL)
            return cli_profile_set(member_of(profile, i), value->text, err);
        char path[PATH_MAX_BYTES];
        int written =
            snprintf(path, sizeof path, "%.*s/%s", (int)(slash - file), file, value->text);
        if (written < 0 || written >= (int)sizeof path)
            return kl_failf(err, KL_ERR_INVALID, "invalid_profile", "%s:%u: the path is too long",
                            file, value->line);
        return cli_profile_set(member_of(profile, i), path, err);
    }
    const char *near = kl_suggest(name, names);
    return kl_failf(err, KL_ERR_INVALID, "invalid_profile",
                    "%s:%u: a profile has no key '%s'%s%s%s", file, value->line, name,
                    near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}

static enum kl_status read_root(const struct kl_yaml_node *root, const char *file, const char *name,
                                struct cli_profile *profile, struct kl_err *err)
{
    if (root->kind != KL_YAML_MAPPING)
        return kl_failf(err, KL_ERR_INVALID, "invalid_profile",
                        "%s: expected the keys `default` and `profiles`", file);
    for (size_t i = 0; i < root->count; i++)
        if (strcmp(root->keys[i]->text, "default") != 0 &&
            strcmp(root->keys[i]->text, "profiles") != 0)
            return kl_failf(err, KL_ERR_INVALID, "invalid_profile",
                            "%s:%u: unknown key '%s', expected `default` or `profiles`", file,
                            root->keys[i]->line, root->keys[i]->text);

    const struct kl_yaml_node *fallback = kl_yaml_member(root, "default");
    if (name == NULL && fallback != NULL)
        name = fallback->text;
    if (name == NULL)
        return KL_OK;
    const struct kl_yaml_node *chosen = kl_yaml_member(kl_yaml_member(root, "profiles"), name);
    if (chosen == NULL || chosen->kind != KL_YAML_MAPPING)
        return kl_failf(err, KL_ERR_NOT_FOUND, "unknown_profile", "%s has no profile '%s'", file,
                        name);
    for (size_t i = 0; i < chosen->count; i++) {
        enum kl_status status =
            set_from_node(profile, chosen->keys[i]->text, chosen->items[i], file, err);
        if (status != KL_OK)
            return status;
    }
    return KL_OK;
}

static enum kl_status read_file(const char *file, const char *name, struct cli_profile *profile,
                                struct kl_err *err)
{
    char path[PATH_MAX_BYTES];
    bool must = false;
    if (!config_path(file, path, &must))
        return KL_OK;
    struct kl_buf text = {0};
    enum kl_status status = kl_file_read(path, FILE_MAX_BYTES, &text, err);
    if (status == KL_ERR_NOT_FOUND && !must && name == NULL) {
        kl_err_clear(err);
        return KL_OK;
    }
    if (status != KL_OK)
        return status;

    struct kl_yaml *yaml = NULL;
    status = kl_yaml_parse(text.bytes, text.size, &yaml, err);
    if (status == KL_OK)
        status = read_root(kl_yaml_root(yaml), path, name, profile, err);
    kl_yaml_free(yaml);
    kl_buf_done(&text);
    return status;
}

enum kl_status cli_profile_read(const char *file, const char *name, struct cli_profile *ret_profile,
                                struct kl_err *err)
{
    struct cli_profile profile = {0};
    enum kl_status status =
        read_file(file, name != NULL ? name : getenv("KLUIS_PROFILE"), &profile, err);
    for (size_t i = 0; status == KL_OK && i < MEMBER_COUNT; i++)
        status = cli_profile_set(member_of(&profile, i), getenv(members[i].environment), err);
    if (status != KL_OK) {
        cli_profile_done(&profile);
        return status;
    }
    *ret_profile = profile;
    return KL_OK;
}
