/*
 * Configuration of a program: a YAML file, the environment, flags; of these
 * the later wins, in whatever order they are read (a flag may name the file).
 * One table names every key. Unknown keys are refused with a suggestion.
 * Secrets are never in it, only the paths of files.
 *
 * A key "tls-cert" is `tls-cert:` in the file, KLUISD_TLS_CERT in the
 * environment (of a program whose prefix is "KLUISD_"), --tls-cert VALUE (or --tls-cert=VALUE)
 * as a flag. The two words must not be one flag's value by accident: a VALUE that begins with
 * "--" is taken after "=" only. A flag of KL_CONFIG_BOOL stands alone, or with =true or =false.
 * Booleans are written true or false, yes or no, on or off, 1 or 0.
 * Threads: one fills it; then any number read.
 */
#ifndef KLUIS_BASE_CONFIG_H
#define KLUIS_BASE_CONFIG_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kl_config_type { KL_CONFIG_TEXT, KL_CONFIG_INT, KL_CONFIG_BOOL, KL_CONFIG_LIST };

#define KL_CONFIG_FILE_MAX_BYTES 65536
#define KL_CONFIG_NAME_MAX_CHARS 63
#define KL_CONFIG_PREFIX_MAX_CHARS 15

/*
 * One key: lower case, digits and "-". A table of them ends with a NULL name. minimum and maximum
 * are for KL_CONFIG_INT.
 */
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

/*
 * environment_prefix is 1..KL_CONFIG_PREFIX_MAX_CHARS characters. It and keys stay the caller's
 * and must outlive the configuration. NULL when out of memory.
 */
struct kl_config *kl_config_new(const struct kl_config_key *keys, const char *environment_prefix);
void kl_config_free(struct kl_config *config);

/*
 * KL_ERR_INVALID "invalid_config": what is wrong, with file and line, the key and a suggestion,
 * never a value; err->where is "line:column". KL_ERR_NOT_FOUND, KL_ERR_IO, KL_ERR_TOO_LARGE as
 * kl_file_read(); KL_ERR_NO_MEMORY. After a failure the configuration is only to be freed.
 */
KL_MUST_USE enum kl_status kl_config_read_file(struct kl_config *config, const char *path,
                                               struct kl_err *err);
/*
 * Take every variable whose name begins with the prefix. One that the table does not know is
 * refused: KL_ERR_INVALID "invalid_config".
 */
KL_MUST_USE enum kl_status kl_config_read_environment(struct kl_config *config, struct kl_err *err);
/*
 * Take flags from argv[1..]; what is no flag is left in order in argv[1..*argc). "--" ends flags.
 * A flag given twice: the last counts, but a list takes both.
 * KL_ERR_INVALID "usage": unknown flag, missing value, a value that does not fit.
 */
KL_MUST_USE enum kl_status kl_config_read_flags(struct kl_config *config, int *argc, char **argv,
                                                struct kl_err *err);

/*
 * NULL when neither set nor defaulted. Asking for a key the table lacks, or by another type, is an
 * assert. Valid until the config ends.
 */
const char *kl_config_text(const struct kl_config *config, const char *name);
/* 0 when neither set nor defaulted. */
int64_t kl_config_int(const struct kl_config *config, const char *name);
/* False when neither set nor defaulted. */
bool kl_config_bool(const struct kl_config *config, const char *name);
/*
 * A list may be repeated as a flag, a sequence in the file, or separated by spaces in the
 * environment. ended by NULL; never NULL itself.
 */
const char *const *kl_config_list(const struct kl_config *config, const char *name);
/* Set by file, environment or flag; a default does not count. */
bool kl_config_is_set(const struct kl_config *config, const char *name);

#endif
