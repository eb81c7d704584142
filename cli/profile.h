/*
 * Where to and as whom: server, CA and credential, from a profile of the
 * configuration file, the environment, and flags; the later wins.
 *
 *   # ~/.config/kluis/config.yaml
 *   default: work
 *   profiles:
 *     work: { server: "https://127.0.0.1:8443", ca: ca.pem, credential: steward.credential }
 *
 * Paths in the file are relative to the file. Only paths of secrets are in
 * it, never secrets.
 */
#ifndef CLI_PROFILE_H
#define CLI_PROFILE_H

#include "kluis/base/status.h"

struct cli_profile {
    char *server;
    char *ca;          /* PEM file; NULL: the system's CAs */
    char *credential;  /* file holding the token; NULL: none */
    char *certificate; /* client certificate and its key, PEM; NULL: none */
    char *key;
    char *tenant; /* for operators: ?tenant=; NULL: none */
};

/*
 * Read profile `name` (NULL: KLUIS_PROFILE, else the file's default) from `file` (NULL: KLUIS_CONFIG, else the user's configuration folder; a
 * missing file is fine unless it was named), then KLUIS_SERVER, KLUIS_CA, KLUIS_CREDENTIAL, KLUIS_CERTIFICATE, KLUIS_KEY, KLUIS_TENANT.
 * KL_ERR_INVALID "invalid_profile", KL_ERR_NOT_FOUND "unknown_profile", KL_ERR_IO, KL_ERR_NO_MEMORY. End with cli_profile_done().
 */
KL_MUST_USE enum kl_status cli_profile_read(const char *file, const char *name,
                                            struct cli_profile *ret_profile, struct kl_err *err);
/* Replace one member by a copy of value; NULL value changes nothing. */
KL_MUST_USE enum kl_status cli_profile_set(char **member, const char *value, struct kl_err *err);
void cli_profile_done(struct cli_profile *profile);

#endif
