/* One check of vault_doctor, and those of the machine. */
#ifndef VAULT_DOCTOR_H
#define VAULT_DOCTOR_H

#include "kluis/base/json.h"

enum vault_check_state { VAULT_CHECK_OK, VAULT_CHECK_WARNING, VAULT_CHECK_FAILED };

/* store: of which the checks that follow are; NULL: the vault itself. */
struct vault_report {
    struct kl_json_out out;
    const char *store;
};
/* {"checks":[ and ]}. ret must outlive the report. */
void vault_report_begin(struct vault_report *report, struct kl_buf *ret);
void vault_report_end(struct vault_report *report);

/* Write one check: {"store"?,"name","state","text","advice"}. advice: what to do; "" for nothing. */
void vault_check(struct vault_report *report, const char *name, enum vault_check_state state,
                 const char *text, const char *advice);

/* Everything about one store, whose options are complete. */
struct vault_options;
void vault_check_store(const struct vault_options *options, struct vault_report *report);

/* Core dumps, locked memory, swap. */
void vault_check_machine(struct vault_report *report);
/* Free space of the data directory, which may be missing, against the reserve. */
void vault_check_space(const struct vault_options *options, struct vault_report *report);

/*
 * What becomes of an overwritten block of that file: its mount, the volumes and the disk below it, and what to change. what: the place, for
 * people.
 */
void vault_check_disk(const char *name, const char *what, const char *path,
                      struct vault_report *report);

#endif
