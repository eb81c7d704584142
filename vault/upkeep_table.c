/* What upkeep knows to do: the kinds of jobs, and what is looked after from time to time. A new kind or task is a line here. */
#include "vault/alerts.h"
#include "vault/audit_index.h"
#include "vault/audit_internal.h"
#include "vault/backup.h"
#include "vault/files.h"
#include "vault/job.h"
#include "vault/journal.h"
#include "vault/mirrors.h"
#include "vault/prune_job.h"
#include "vault/retained.h"
#include "vault/retention_job.h"
#include "vault/rotation.h"
#include "vault/space.h"
#include "vault/statistics.h"
#include "vault/sweep.h"
#include "vault/tenants.h"
#include "vault/upkeep.h"

#include <stddef.h>

const struct vault_job_type *const vault_job_types[VAULT_JOB_KINDS] = {
    [VAULT_JOB_ROTATION] = &vault_rotation_job,   [VAULT_JOB_SWEEP] = &vault_sweep_job,
    [VAULT_JOB_BACKUP] = &vault_backup_job,       [VAULT_JOB_VERIFY] = &vault_verify_job,
    [VAULT_JOB_RETENTION] = &vault_retention_job, [VAULT_JOB_PRUNE] = &vault_prune_job,
};

static const struct vault_upkeep_task tenants_task = {"tenants", 60000, vault_tenants_due};
static const struct vault_upkeep_task mirrors_task = {"mirrors", 5000, vault_mirrors_task};
static const struct vault_upkeep_task mirrors_place_task = {"mirrors_place", 24 * 3600 * 1000,
                                                            vault_mirrors_place_task};
static const struct vault_upkeep_task alerts_task = {"alerts", 10000, vault_alerts_task};
static const struct vault_upkeep_task retained_task = {"retained", 600000, vault_retained_due};

const struct vault_upkeep_task *const vault_upkeep_tasks[] = {
    &vault_space_task,
    &vault_trail_task,
    &vault_audit_tree_task,
    &vault_audit_index_task,
    &vault_journal_task,
    &mirrors_task,
    &tenants_task,
    &retained_task,
    &vault_retention_nightly,
    &vault_sweep_nightly,
    &vault_prune_nightly,
    &vault_files_task,
    &mirrors_place_task,
    &vault_statistics_task,
    &alerts_task,
    NULL,
};
