#include "vault/retention_job.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/erasure.h"
#include "vault/journal.h"
#include "vault/retention.h"
#include "vault/subject_walk.h"
#include "vault/tenants.h"

#include <sodium.h>
#include <string.h>
#include <time.h>

#define CURSOR_FORMAT 2
/* Heads that a step looks at, and erasures it does, before it lets other work of the upkeep pass. */
#define HEADS_PER_STEP 512
/* With so many erasures in a step as make this many steps a second, others wait for the upkeep no longer than that. */
#define STEPS_PER_SECOND 10
/* What was due so long ago should have gone in an earlier night. */
#define OVERDUE_US KL_TIME_DAY_US
#define PROGRESS_OF_TENANT 0.5 /* within a tenant nobody knows how many are still to come */

/* ---- the cursor ---- */

struct run {
    uint64_t tenant;
    uint64_t next_slot;
    uint64_t seen, subjects_due, records_due, records_overdue, subjects_erased, records_erased,
        failed;
};

static void cursor_write(const struct run *run, struct kl_buf *ret)
{
    const uint64_t numbers[] = {run->tenant,          run->next_slot,      run->seen,
                                run->subjects_due,    run->records_due,    run->records_overdue,
                                run->subjects_erased, run->records_erased, run->failed};
    size_t i;

    kl_buf_clear(ret);
    kl_buf_add_byte(ret, CURSOR_FORMAT);
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        kl_buf_add_u64be(ret, numbers[i]);
    }
}

static enum kl_status cursor_read(const struct vault_job *job, struct run *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(kl_buf_slice(&job->cursor));
    uint64_t *const numbers[] = {&ret->tenant,          &ret->next_slot,      &ret->seen,
                                 &ret->subjects_due,    &ret->records_due,    &ret->records_overdue,
                                 &ret->subjects_erased, &ret->records_erased, &ret->failed};
    bool known;
    size_t i;

    memset(ret, 0, sizeof *ret);
    ret->tenant = job->tenant == KMS_TENANT_VAULT ? KMS_TENANT_VAULT + 1 : job->tenant;
    if (job->cursor.size == 0) {
        return KL_OK;
    }
    known = kl_read_byte(&in) == CURSOR_FORMAT;
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        *numbers[i] = kl_read_u64be(&in);
    }
    return known && kl_reader_done(&in) ? KL_OK
                                        : kl_fail(err, KL_ERR_CORRUPT, "job_damaged",
                                                  "the row of this job is damaged", NULL);
}

static void result_write(const struct run *run, struct kl_buf *ret)
{
    struct kl_json_out out;

    kl_buf_clear(ret);
    out = kl_json_out(ret);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "subjects_seen", (int64_t)run->seen);
    kl_json_add_int(&out, "subjects_due", (int64_t)run->subjects_due);
    kl_json_add_int(&out, "records_due", (int64_t)run->records_due);
    kl_json_add_int(&out, "records_overdue", (int64_t)run->records_overdue);
    kl_json_add_int(&out, "subjects_erased", (int64_t)run->subjects_erased);
    kl_json_add_int(&out, "records_erased", (int64_t)run->records_erased);
    kl_json_add_int(&out, "failed", (int64_t)run->failed);
    kl_json_object_end(&out);
}

/* ---- one subject ---- */

/* What a step works with: who erases (the vault, under the tenant's policy), and memory for one subject. */
struct work {
    struct vault *vault;
    struct vault_caller self;
    struct vault_retention_terms terms;
    struct kl_arena *arena;
    size_t erasures;
    size_t erasures_max; /* of this step */
    bool unfinished;     /* a subject has more records that are due */
};

static void count_up(atomic_uint_fast64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/*
 * records: how many go with it. KL_ERR_NOT_FOUND, and "not_due" where somebody changed the subject meanwhile, are as they should be; a
 * refusal of one is no failure of the run: somebody has to look at it.
 */
static enum kl_status erase(struct work *work, struct run *run, const struct kl_id *subject,
                            const struct kl_id *record, size_t records, struct kl_err *err)
{
    const struct vault_erase_asked asked = {.kind = record == NULL ? VAULT_NOTE_SUBJECT
                                                                   : VAULT_NOTE_RECORD,
                                            .subject = subject,
                                            .record = record,
                                            .reason = VAULT_ERASE_RETENTION,
                                            .by_vault = true};
    const struct vault_idempotency_ticket none = {0};
    unsigned char
        secret[VAULT_SUBJECT_SECRET_BYTES]; /* of the receipt; told to nobody, as nobody asked */
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    randombytes_buf(secret, sizeof secret);
    status = vault_erase(work->vault, &work->self, &asked, &none, secret, NULL, &own);
    sodium_memzero(secret, sizeof secret);

    work->erasures++;
    if (status == KL_OK) {
        *(record == NULL ? &run->subjects_erased : &run->records_erased) += 1;
        count_up(&work->vault->counters.erasures, 1);
        count_up(&work->vault->counters.retention_erased, records);
        return KL_OK;
    }
    if (status == KL_ERR_UNAVAILABLE || status == KL_ERR_NO_MEMORY || status == KL_ERR_IO) {
        return kl_fail(err, status, own.code, own.client_text, "%s", own.log_text);
    }
    if (status != KL_ERR_NOT_FOUND && strcmp(own.code, VAULT_ERASE_NOT_DUE) != 0) {
        kl_log_err(KL_LOG_WARNING, "not_erased_when_due", &own);
        run->failed++;
        count_up(&work->vault->counters.retention_failed, 1);
    }
    return KL_OK;
}

/* Who is due as a whole goes in one erasure, others record by record. What is left for the next step is counted then. */
static enum kl_status do_due(struct work *work, struct run *run,
                             const struct vault_subject *subject, const struct vault_ledger *ledger,
                             struct kl_err *err)
{
    bool due[VAULT_RECORDS_MAX];
    bool all = false;
    size_t count =
        vault_retention_due(work->self.policy, subject, ledger, work->self.now_us, due, &all);
    bool one_by_one = !all && !work->terms.dry_run;
    enum kl_status status = KL_OK;
    size_t i;

    run->subjects_due += all;
    for (i = 0; status == KL_OK && count > 0 && i < subject->head.record_count; i++) {
        if (!due[i]) {
            continue;
        }
        if (one_by_one && work->erasures >= work->erasures_max) {
            work->unfinished = true;
            return KL_OK;
        }
        run->records_due++;
        run->records_overdue += vault_retention_is_due(work->self.policy, &subject->records[i],
                                                       ledger, work->self.now_us - OVERDUE_US);
        if (one_by_one) {
            status = erase(work, run, &subject->base.subject, &subject->records[i].id, 1, err);
        }
    }
    if (status == KL_OK && all && !work->terms.dry_run) {
        status = erase(work, run, &subject->base.subject, NULL, count, err);
    }
    return status;
}

static enum kl_status do_subject(struct work *work, struct run *run, uint64_t slot,
                                 struct kl_slice row, struct kl_err *err)
{
    struct vault_subject subject = {0};
    struct vault_ledger ledger = {0};
    struct kl_err own = {0};
    enum kl_status status = vault_subject_load_row(work->vault, work->self.tenant, slot, row,
                                                   work->arena, &subject, &own);

    if (status == KL_OK) {
        status = vault_subject_ledger(work->vault, &subject, work->arena, &ledger, &own);
    }
    run->seen++;
    if (status == KL_ERR_IO || status == KL_ERR_NO_MEMORY) {
        status = kl_fail(err, status, own.code, own.client_text, "%s", own.log_text);
    } else if (status != KL_OK) { /* erased meanwhile, or damaged: then nobody knows what is due */
        status = KL_OK;
    } else {
        status = do_due(work, run, &subject, &ledger, err);
    }
    vault_subject_done(&subject);
    return status;
}

/* ---- a step ---- */

struct looking {
    struct work *work;
    struct run *run;
};

static enum kl_status do_head(void *visitor, uint64_t slot, struct kl_slice row, bool *ret_stop,
                              struct kl_err *err)
{
    struct looking *looking = visitor;
    struct work *work = looking->work;
    enum kl_status status = KL_OK;

    *ret_stop = work->erasures >= work->erasures_max;
    if (*ret_stop) {
        return KL_OK;
    }
    kl_arena_reset(work->arena);
    status = do_subject(work, looking->run, slot, row, err);
    if (status == KL_OK && work->unfinished) {
        looking->run->seen--;
        *ret_stop = true;
    }
    return status;
}

/* Not more than so many a second. */
static void keep_rate(const struct work *work, int64_t begun_us)
{
    int64_t left_us = (int64_t)work->erasures * KL_TIME_SECOND_US / work->terms.per_second -
                      (kl_time_monotonic_us() - begun_us);
    struct timespec left;

    if (work->erasures > 0 && left_us > 0) {
        left.tv_sec = (time_t)(left_us / KL_TIME_SECOND_US);
        left.tv_nsec = (long)(left_us % KL_TIME_SECOND_US) * 1000;
        (void)nanosleep(&left, NULL);
    }
}

/*
 * A tenant without a policy, or one that is closed, has nobody who says what is due. Where the journal of closings was lost, consents count as
 * withdrawn: that closes access, and is no reason to erase what nobody withdrew; somebody has to ask for it.
 */
static enum kl_status do_tenant(struct work *work, struct run *run, bool *ret_ended,
                                struct kl_err *err)
{
    struct vault_tenant *tenant = vault_tenants_by_number(work->vault, run->tenant);
    enum kl_status status = KL_OK;

    *ret_ended = true;
    if (tenant == NULL || tenant->ends_us != 0 ||
        (work->terms.nightly && vault_journal_since(work->vault, run->tenant) != 0)) {
        return KL_OK;
    }
    work->self.policy = vault_tenant_policy(work->vault, tenant, &work->self.policy_number);
    if (work->self.policy != NULL) {
        struct looking looking = {work, run};

        work->self.tenant = run->tenant;
        status = vault_subject_walk(work->vault, run->tenant, HEADS_PER_STEP, do_head, &looking,
                                    &run->next_slot, ret_ended, err);
    }
    vault_policy_unref(work->self.policy);
    work->self.policy = NULL;
    return status;
}

static enum kl_status step(struct vault *vault, struct vault_job *job, bool *ret_done,
                           struct kl_err *err)
{
    struct work work = {.vault = vault,
                        .self = {.role = VAULT_NONE,
                                 .role_name = "vault",
                                 .purposes = UINT64_MAX,
                                 .single_purpose = VAULT_NONE,
                                 .now_us = kl_time_now_us()}};
    int64_t begun_us = kl_time_monotonic_us();
    struct run run;
    double share = 0;
    bool ended = true;
    bool there = true;
    enum kl_status status = cursor_read(job, &run, err);

    if (status != KL_OK) {
        return status;
    }
    vault_retention_terms_read(job, &work.terms);
    work.erasures_max = (size_t)work.terms.per_second / STEPS_PER_SECOND;
    work.arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    if (work.arena == NULL) {
        return kl_fail_memory(err);
    }
    if (job->tenant == KMS_TENANT_VAULT) {
        uint64_t at = run.tenant;

        there = vault_tenants_from(vault, at, &run.tenant, &share);
        run.next_slot = run.tenant == at ? run.next_slot : 0;
    }
    status = there ? do_tenant(&work, &run, &ended, err) : KL_OK;
    kl_arena_free(work.arena);
    if (status == KL_OK) {
        *ret_done = !there || (ended && job->tenant != KMS_TENANT_VAULT);
        job->progress = *ret_done                         ? 1.0
                        : job->tenant == KMS_TENANT_VAULT ? share
                                                          : PROGRESS_OF_TENANT;
        if (ended && there) {
            run.tenant += job->tenant == KMS_TENANT_VAULT;
            run.next_slot = ended && job->tenant == KMS_TENANT_VAULT ? 0 : run.next_slot;
        }
    }
    if (status == KL_OK && *ret_done && !work.terms.dry_run) {
        count_up(&vault->counters.retention_runs, 1);
    }
    cursor_write(&run, &job->cursor);
    result_write(&run, &job->result);
    keep_rate(&work, begun_us);
    return status;
}

static void show(struct vault *vault, const struct vault_job *job, struct kl_json_out *out)
{
    struct vault_retention_terms terms;
    const struct vault_tenant *tenant =
        job->tenant == KMS_TENANT_VAULT ? NULL : vault_tenants_by_number(vault, job->tenant);

    vault_retention_terms_read(job, &terms);
    kl_json_add_text(out, "tenant", tenant == NULL ? NULL : tenant->name);
    kl_json_add_bool(out, "nightly", terms.nightly);
    kl_json_add_bool(out, "dry_run", terms.dry_run);
}

const struct vault_job_type vault_retention_job = {
    .prefix = VAULT_RETENTION_PREFIX, .action = "retention", .step = step, .show = show};
