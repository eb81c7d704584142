/*
 * How often a secret may be tried: kept in memory only (limits.h), so a server that is started again
 * begins anew. Only tries that did not match count; those under way count until it is known.
 */
#ifndef VAULT_SUBJECT_SECRET_H
#define VAULT_SUBJECT_SECRET_H

/* Places for what is counted: records' fields, and credentials. */
#define VAULT_TRIES_PLACES 65536
/* Of one field of one record, whoever tries. */
#define VAULT_TRIES_FIELD_MAX 10
#define VAULT_TRIES_FIELD_WINDOW_S 900
/* Of one credential, at whatever it tries. */
#define VAULT_TRIES_CREDENTIAL_MAX 300
#define VAULT_TRIES_CREDENTIAL_WINDOW_S 900

#endif
