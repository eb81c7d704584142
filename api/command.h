/*
 * The subcommands of `kluisd`: what touches a data directory.
 */
#ifndef API_COMMAND_H
#define API_COMMAND_H

#include "kluis/base/config.h"
#include "kluis/base/secret.h"
#include "kluis/base/status.h"
#include "kluis/vault/stores.h"

/* Exit statuses: done; refused or failed; called wrongly. */
/* API_DISK: a disk failed, or is full; starting again may help, and is what is to be done. */
enum api_exit { API_DONE = 0, API_FAILED = 1, API_USAGE = 2, API_DISK = VAULT_EXIT_DISK };

/* Every key of the configuration; a flag, a line of the file and a variable KLUISD_<KEY> each. Ended by a NULL name. */
extern const struct kl_config_key api_config_keys[];

/*
 * Read the file that --config names, the environment and the flags. argv[1..] keeps what is no flag.
 * Prints nothing; err says what is wrong. End ret_config with kl_config_free().
 */
KL_MUST_USE enum kl_status api_config_read(int *argc, char **argv, struct kl_config **ret_config,
                                           struct kl_err *err);

/*
 * The vault's options out of a configuration; texts live as long as it.
 * KL_ERR_INVALID "usage": --data or --custodian is missing.
 */
KL_MUST_USE enum kl_status api_config_vault(const struct kl_config *config,
                                            struct vault_options *ret_options, struct kl_err *err);

/*
 * The passphrase of a passphrase custodian, or the PIN of a token (pkcs11:) whose URI has no pin-source: from the descriptor of
 * --passphrase-fd (closed after its first line), from --passphrase-file, from the systemd credential "kluis-passphrase", or asked for
 * on a terminal (a new passphrase twice, when confirm). Another custodian needs none: *ret is NULL. End with kl_secret_free().
 * KL_ERR_INVALID "usage" both flags, "empty_passphrase", "no_passphrase" (no terminal to ask on), "passphrases_differ",
 * "passphrase_length"; KL_ERR_NOT_FOUND, KL_ERR_IO, KL_ERR_TOO_LARGE as kl_file_read(); KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status api_passphrase_read(const struct kl_config *config,
                                               const char *custodian, bool confirm,
                                               struct kl_secret **ret_passphrase, size_t *ret_bytes,
                                               struct kl_err *err);

/*
 * The same for a store that is not main: from the file that --store-passphrase-file NAME=FILE names, or the systemd credential
 * "kluis-passphrase-NAME". config: struct kl_config; vault_store_secret() of the vault. Nobody is asked for it at a terminal. KL_ERR_INVALID "no_passphrase".
 */
KL_MUST_USE enum kl_status api_store_secret(void *config, const char *store, const char *custodian,
                                            struct kl_secret **ret_passphrase, size_t *ret_bytes,
                                            struct kl_err *err);

#define API_PATH_MAX_BYTES 4096

/*
 * The path of a credential's file: in --credentials-dir, else in the data directory's parent. Tokens are shown once, so the place for them must
 * be good before anything is made. KL_ERR_INVALID "usage" too long; KL_ERR_EXISTS "credential_exists"; KL_ERR_IO "credentials_dir".
 */
KL_MUST_USE enum kl_status api_credential_path(const struct kl_config *config, const char *data,
                                               const char *name, char ret_path[API_PATH_MAX_BYTES],
                                               struct kl_err *err);
/* A new file of mode 0600 with the token. As kl_file_create(). */
KL_MUST_USE enum kl_status api_credential_write(const char *path, const struct vault_token *token,
                                                struct kl_err *err);

/* Print an error the way commands do: text, place and code on stderr. */
void api_command_say(const struct kl_err *err);

enum api_exit api_command_init(const struct kl_config *config);
/* Another steward for the tenant that --tenant names: without a server. */
enum api_exit api_command_steward(const struct kl_config *config);
enum api_exit api_command_serve(const struct kl_config *config);
/* verb "list"; "add" with DIR,country=IE; "drop" with a mirror's id: without a server. */
enum api_exit api_command_mirror(const struct kl_config *config, const char *verb,
                                 const char *what);
enum api_exit api_command_restore(const struct kl_config *config);
enum api_exit api_command_doctor(const struct kl_config *config);
/* file: a policy to check, without a server. */
enum api_exit api_command_policy_check(const struct kl_config *config, const char *file);
/* Two policies compared, without a server; nothing is known of anybody. */
enum api_exit api_command_policy_diff(const char *before, const char *after);

#endif
