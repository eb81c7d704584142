/*
 * Configuration of a program: a YAML file, then the environment, then flags;
 * the later wins. One table names every key. Unknown keys are refused with a
 * suggestion. Secrets are never in it, only the paths of files.
 *
 * A key "tls-cert" is `tls-cert:` in the file, KLUIS_TLS_CERT in the
 * environment, --tls-cert VALUE (or --tls-cert=VALUE) as a flag.
 */
#ifndef KLUIS_BASE_CONFIG_H
#define KLUIS_BASE_CONFIG_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kl_config_type { KL_CONFIG_TEXT, KL_CONFIG_INT, KL_CONFIG_BOOL, KL_CONFIG_LIST };

/* One key. A table of them ends with a NULL name. minimum and maximum are for KL_CONFIG_INT. */
struct kl_config_key {
    const char *name;
    enum kl_config_type type;
    const char *fallback; /* text of the default; NULL: none */
    int64_t minimum;
    int64_t maximum;
    const char *value_name; /* "DIR", "FILE", for help */
    const char *help;
};

struct kl_config;

/* keys stays the caller's and must outlive the configuration. NULL when out of memory. */
struct kl_config *kl_config_new(const struct kl_config_key *keys);
void kl_config_free(struct kl_config *config);

/* KL_ERR_INVALID "invalid_config" (log and client text name file, line, key and a suggestion), KL_ERR_IO when it cannot be read. */
KL_MUST_USE enum kl_status kl_config_read_file(struct kl_config *config, const char *path,
                                               struct kl_err *err);
/* Take every KLUIS_<KEY> of the environment that the table knows. KLUIS_* that it does not know are refused. */
KL_MUST_USE enum kl_status kl_config_read_environment(struct kl_config *config, struct kl_err *err);
/*
 * Take flags from argv[1..]; what is no flag is left in order in argv[1..*argc). "--" ends flags.
 * KL_ERR_INVALID "usage": unknown flag, missing value.
 */
KL_MUST_USE enum kl_status kl_config_read_flags(struct kl_config *config, int *argc, char **argv,
                                                struct kl_err *err);

/* NULL when neither set nor defaulted. Asking for a key the table lacks, or by another type, is an assert. Valid until the config ends. */
const char *kl_config_text(const struct kl_config *config, const char *name);
int64_t kl_config_int(const struct kl_config *config, const char *name);
bool kl_config_bool(const struct kl_config *config, const char *name);
/* A list may be repeated as a flag, a sequence in the file, or separated by spaces in the environment. ended by NULL; never NULL itself. */
const char *const *kl_config_list(const struct kl_config *config, const char *name);
bool kl_config_is_set(const struct kl_config *config, const char *name);

#endif
