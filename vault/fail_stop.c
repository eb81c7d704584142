#include "vault/fail_stop.h"

#include "kluis/base/log.h"
#include "kluis/vault/vault.h"

#include <unistd.h>

void vault_fail_stop(const struct kl_err *err)
{
    kl_log_err(KL_LOG_ERROR, "disk_failed", err);
    _exit(VAULT_EXIT_DISK); /* exit() would close the databases, and write */
}
