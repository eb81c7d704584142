/*
 * What follows a write or a sync that failed: the end of the process.
 *
 * Nobody knows then what the disk has, and a second sync that succeeds says nothing: the kernel may have dropped the pages of the first (Rebello et
 * al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So nothing is tried again and nothing acknowledged; whoever supervises the
 * process starts it anew, and its opening reads what the disk really has.
 */
#ifndef VAULT_FAIL_STOP_H
#define VAULT_FAIL_STOP_H

#include "kluis/base/status.h"

/* Log one line, "disk_failed" with err's code and text, and end the process with VAULT_EXIT_DISK. Does not return. Any thread, whatever it holds. */
_Noreturn void vault_fail_stop(const struct kl_err *err);

#endif
