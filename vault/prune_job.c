#include "vault/prune_job.h"

#include "kluis/base/log.h"
#include "vault/pruned.h"
#include "vault/tenants.h"

#include <string.h>
#include <time.h>

#define CURSOR_FORMAT 1
#define PROGRESS_OF_TENANT 0.5 /* within a tenant nobody knows how much is still to come */

/* ---- the cursor ---- */

enum phase { PHASE_LOOK, PHASE_REMOVE, PHASE_COMPACT, PHASE_NEXT };

/* trails, entries: that went, or would; blocked: trails of which something is not as it was. compact_from: where removing began. */
struct run {
    uint64_t tenant;
    uint64_t phase;
    uint64_t compact_from;
    struct vault_prune_stretch stretch;
    uint64_t trails, entries, blocked;
    int64_t waits_us;
    bool forever;
};

static void cursor_write(const struct run *run, struct kl_buf *ret)
{
    const struct vault_prune_stretch *stretch = &run->stretch;
    const uint64_t numbers[] = {run->tenant,
                                run->phase,
                                run->compact_from,
                                stretch->from,
                                stretch->until,
                                stretch->next,
                                stretch->entries,
                                (uint64_t)stretch->oldest_us,
                                (uint64_t)stretch->newest_us,
                                (uint64_t)stretch->next_at_us,
                                stretch->blocked,
                                run->trails,
                                run->entries,
                                run->blocked,
                                (uint64_t)run->waits_us,
                                run->forever};

    kl_buf_clear(ret);
    kl_buf_add_byte(ret, CURSOR_FORMAT);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        kl_buf_add_u64be(ret, numbers[i]);
    }
}

static enum kl_status cursor_read(const struct vault_job *job, struct run *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(kl_buf_slice(&job->cursor));
    struct vault_prune_stretch *stretch = &ret->stretch;
    bool known;

    memset(ret, 0, sizeof *ret);
    ret->tenant = job->tenant == KMS_TENANT_VAULT ? KMS_TENANT_VAULT + 1 : job->tenant;
    if (job->cursor.size == 0) {
        return KL_OK;
    }
    known = kl_read_byte(&in) == CURSOR_FORMAT;
    ret->tenant = kl_read_u64be(&in);
    ret->phase = kl_read_u64be(&in);
    ret->compact_from = kl_read_u64be(&in);
    stretch->from = kl_read_u64be(&in);
    stretch->until = kl_read_u64be(&in);
    stretch->next = kl_read_u64be(&in);
    stretch->entries = kl_read_u64be(&in);
    stretch->oldest_us = (int64_t)kl_read_u64be(&in);
    stretch->newest_us = (int64_t)kl_read_u64be(&in);
    stretch->next_at_us = (int64_t)kl_read_u64be(&in);
    stretch->blocked = kl_read_u64be(&in) != 0;
    ret->trails = kl_read_u64be(&in);
    ret->entries = kl_read_u64be(&in);
    ret->blocked = kl_read_u64be(&in);
    ret->waits_us = (int64_t)kl_read_u64be(&in);
    ret->forever = kl_read_u64be(&in) != 0;
    return known && kl_reader_done(&in) && ret->phase <= PHASE_NEXT
               ? KL_OK
               : kl_fail(err, KL_ERR_CORRUPT, "job_damaged", "the row of this job is damaged",
                         NULL);
}

static void add_time(struct kl_json_out *out, const char *key, int64_t at_us)
{
    if (at_us != 0) {
        kl_json_add_time(out, key, at_us);
    } else {
        kl_json_add_text(out, key, NULL);
    }
}

/* Of a run over all tenants only sums: what happens in a tenant is told in its own trail. */
static void result_write(const struct vault_job *job, const struct run *run, struct kl_buf *ret)
{
    const struct vault_prune_stretch *stretch = &run->stretch;
    struct kl_json_out out;

    kl_buf_clear(ret);
    out = kl_json_out(ret);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "trails", (int64_t)run->trails);
    kl_json_add_int(&out, "entries", (int64_t)run->entries);
    kl_json_add_int(&out, "blocked", (int64_t)run->blocked);
    if (job->tenant != KMS_TENANT_VAULT) {
        kl_json_add_int(&out, "from", (int64_t)stretch->from);
        kl_json_add_int(&out, "until", (int64_t)stretch->until);
        add_time(&out, "oldest_at", stretch->oldest_us);
        add_time(&out, "newest_at", stretch->newest_us);
        add_time(&out, "next_at", stretch->next_at_us);
        kl_json_key(&out, "blocked_at");
        if (stretch->blocked) {
            kl_json_put_int(&out, (int64_t)stretch->next);
        } else {
            kl_json_put_null(&out);
        }
        kl_json_add_bool(&out, "kept_for_ever", run->forever);
        add_time(&out, "waits_until", run->waits_us);
    }
    kl_json_object_end(&out);
}

/* ---- one tenant ---- */

struct work {
    struct vault *vault;
    struct vault_prune_terms terms;
    int64_t now_us;
    bool asked_for; /* for this tenant alone: as little as one entry goes */
};

/* Whether what was found is worth an entry of its own. */
static bool is_worth_it(const struct work *work, const struct vault_prune_rule *rule,
                        const struct vault_prune_stretch *stretch)
{
    const struct kl_duration month = {.months = 1};

    return stretch->until > stretch->from &&
           (work->asked_for || stretch->entries >= VAULT_PRUNE_ENTRIES_MIN ||
            kl_time_add(kl_time_add(stretch->oldest_us, &rule->longest), &month) <= work->now_us);
}

static enum kl_status looked(const struct work *work, const struct vault_prune_rule *rule,
                             struct run *run, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (run->stretch.blocked) {
        run->blocked++;
        kl_log(KL_LOG_ERROR, "trail_pruning_blocked", KL_LOG_INT("tenant", run->tenant),
               KL_LOG_INT("entry", run->stretch.next));
    }
    run->phase = PHASE_NEXT;
    if (!is_worth_it(work, rule, &run->stretch)) {
        return KL_OK;
    }
    if (!work->terms.dry_run) {
        status =
            vault_prune_declare(work->vault, run->tenant, rule, work->now_us, &run->stretch, err);
        run->phase = PHASE_REMOVE;
    }
    if (status == KL_OK) {
        run->trails++;
        run->entries += run->stretch.entries;
    }
    return status;
}

/* What was declared and not removed goes first: a crash left it. */
static enum kl_status look(const struct work *work, struct run *run, struct kl_err *err)
{
    struct vault_prune_rule rule = {.forever = false};
    struct vault_pruned pruned = {.until = 0};
    bool ended = false;
    enum kl_status status = vault_trails_pruned(work->vault->trails, run->tenant, &pruned, err);

    if (status == KL_OK && pruned.removed < pruned.until && !work->terms.dry_run) {
        run->compact_from = pruned.removed;
        run->phase = PHASE_REMOVE;
        return KL_OK;
    }
    if (status == KL_OK) {
        status = vault_prune_rule_read(work->vault, run->tenant, work->now_us, &rule, err);
    }
    if (status == KL_OK) {
        run->forever = rule.forever;
        run->waits_us = rule.waits_us;
        status = vault_prune_look(work->vault, run->tenant, &rule, work->now_us, &run->stretch,
                                  &ended, err);
    }
    if (status == KL_OK && ended) {
        run->compact_from = run->stretch.from;
        status = looked(work, &rule, run, err);
    }
    return status;
}

static enum kl_status work_on(const struct work *work, struct run *run, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool ended = false;

    switch ((enum phase)run->phase) {
    case PHASE_LOOK:
        return look(work, run, err);
    case PHASE_REMOVE:
        status = vault_prune_remove(work->vault, run->tenant, &ended, err);
        run->phase = status == KL_OK && ended ? PHASE_COMPACT : PHASE_REMOVE;
        return status;
    case PHASE_COMPACT:
        status = vault_prune_compact(work->vault, run->tenant, &run->compact_from, &ended, err);
        if (status == KL_OK && ended) { /* what was left from before keeps nobody from looking */
            run->phase = run->stretch.until > run->stretch.from ? PHASE_NEXT : PHASE_LOOK;
        }
        return status;
    case PHASE_NEXT:
        break;
    }
    return KL_OK;
}

/* A trail of which something is damaged blocks no other: what is wrong with it, `kluisd doctor --audit` says. */
static enum kl_status do_tenant(const struct work *work, struct run *run, struct kl_err *err)
{
    const struct vault_tenant *tenant = vault_tenants_by_number(work->vault, run->tenant);
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    if (tenant == NULL || tenant->ends_us != 0) {
        run->phase = PHASE_NEXT;
        return KL_OK;
    }
    status = work_on(work, run, &cause);
    if (status == KL_ERR_CORRUPT && !work->asked_for) {
        kl_log_err(KL_LOG_ERROR, "trail_not_pruned", &cause);
        run->blocked++;
        run->phase = PHASE_NEXT;
        return KL_OK;
    }
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) { /* it was ended meanwhile */
        run->phase = PHASE_NEXT;
        return KL_OK;
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* ---- a step ---- */

/* Not more than so many entries a second. */
static void keep_rate(const struct vault_prune_terms *terms)
{
    const int64_t left_us = VAULT_PRUNE_STEP_ENTRIES * KL_TIME_SECOND_US / terms->per_second;
    const struct timespec left = {.tv_sec = (time_t)(left_us / KL_TIME_SECOND_US),
                                  .tv_nsec = (long)(left_us % KL_TIME_SECOND_US) * 1000};

    (void)nanosleep(&left, NULL);
}

enum kl_status vault_prune_step(struct vault *vault, struct vault_job *job, int64_t now_us,
                                bool *ret_done, struct kl_err *err)
{
    struct work work = {
        .vault = vault, .now_us = now_us, .asked_for = job->tenant != KMS_TENANT_VAULT};
    struct run run;
    uint64_t tenant = 0;
    double share = PROGRESS_OF_TENANT;
    bool there = true;
    enum kl_status status = cursor_read(job, &run, err);

    if (status != KL_OK) {
        return status;
    }
    vault_prune_terms_read(job, &work.terms);
    if (!work.asked_for) {
        tenant = run.tenant;
        there = vault_tenants_from(vault, tenant, &run.tenant, &share);
        if (run.tenant != tenant) {
            run.phase = PHASE_LOOK;
            run.stretch = (struct vault_prune_stretch){.from = 0};
        }
    }
    status = there ? do_tenant(&work, &run, err) : KL_OK;
    if (status == KL_OK) {
        bool ended = run.phase == PHASE_NEXT;

        *ret_done = !there || (ended && work.asked_for);
        job->progress = *ret_done ? 1.0 : share;
        if (ended && there && !work.asked_for) {
            run.tenant++;
            run.phase = PHASE_LOOK;
            run.stretch = (struct vault_prune_stretch){.from = 0};
        }
    }
    cursor_write(&run, &job->cursor);
    result_write(job, &run, &job->result);
    if (status == KL_OK && !*ret_done && run.phase != PHASE_LOOK) {
        keep_rate(&work.terms);
    }
    return status;
}

static enum kl_status step(struct vault *vault, struct vault_job *job, bool *ret_done,
                           struct kl_err *err)
{
    return vault_prune_step(vault, job, kl_time_now_us(), ret_done, err);
}

static void show(struct vault *vault, const struct vault_job *job, struct kl_json_out *out)
{
    struct vault_prune_terms terms;
    const struct vault_tenant *tenant =
        job->tenant == KMS_TENANT_VAULT ? NULL : vault_tenants_by_number(vault, job->tenant);

    vault_prune_terms_read(job, &terms);
    kl_json_add_text(out, "tenant", tenant == NULL ? NULL : tenant->name);
    kl_json_add_bool(out, "nightly", terms.nightly);
    kl_json_add_bool(out, "dry_run", terms.dry_run);
}

const struct vault_job_type vault_prune_job = {
    .prefix = VAULT_PRUNE_PREFIX, .action = "trail_prune", .step = step, .show = show};
