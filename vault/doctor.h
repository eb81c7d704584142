/* One check of vault_doctor, and those of the machine. */
#ifndef VAULT_DOCTOR_H
#define VAULT_DOCTOR_H

#include "kluis/base/json.h"

enum vault_check_state { VAULT_CHECK_OK, VAULT_CHECK_WARNING, VAULT_CHECK_FAILED };

/* Write one check: {"name","state","text","advice"}. advice: what to do; "" for nothing. */
void vault_check(struct kl_json_out *out, const char *name, enum vault_check_state state,
                 const char *text, const char *advice);

/* Core dumps, locked memory, free space, swap. data_dir may be missing. */
void vault_check_machine(const char *data_dir, struct kl_json_out *out);

/*
 * What becomes of an overwritten block of that file: its mount, the volumes and the disk below it, and what to change. what: the place, for
 * people.
 */
void vault_check_disk(const char *name, const char *what, const char *path,
                      struct kl_json_out *out);

#endif
