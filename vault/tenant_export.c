/*
 * All of a tenant, a page at a time: its subjects in the order of their slots, each with its records, then what erasures kept.
 *
 * A page goes over heads as the nightly run does, and ends when it holds enough, between two records of one subject too: a cursor is a part
 * ('s': subjects, 'k': kept records), a slot, and in that the value slot of the last record told; records lie in the order of those. What changes while
 * it is looked at is found again and goes on behind what was told of it. What does not open is counted and passed over.
 */
#include "vault/tenant_export_internal.h"

#include "kluis/base/encode.h"
#include "kluis/base/log.h"
#include "vault/act.h"
#include "vault/retained.h"
#include "vault/subject_page.h"
#include "vault/subject_walk.h"
#include "vault/tenants.h"

#include <string.h>

#define CURSOR_KIND "tenant_export"
#define PART_SUBJECTS 's'
#define PART_KEPT 'k'
#define POSITION_BYTES (1 + 8 + 8)
/* Behind what is told of a subject beside its records, whose value slots are higher. */
#define AFTER_SUBJECT 1
/* How often a subject that changes meanwhile is looked at again. */
#define TRIES 16
/* Of slots with something that an erasure kept, at a time. */
#define KEPT_AT_ONCE 256

/* Where a page begins: behind the record under the value slot `after` of that slot (or AFTER_SUBJECT); 0: with the slot itself. */
struct position {
    char part;
    uint64_t slot;
    uint64_t after;
};

struct paging {
    struct vault_exporting exporting;
    struct position at;
    size_t limit;
    bool partly; /* the page ended inside of a subject */
};

/* ---- who may, and where to ---- */

enum kl_status vault_export_allowed(struct vault *vault, const struct vault_caller *caller,
                                    const char *name, const char *action, struct kl_err *err)
{
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_STEWARD, action, err);
    struct kl_err cause = {0};

    if (status != KL_OK) {
        return status;
    }
    if (strcmp(name, caller->tenant_name) != 0) {
        (void)kl_fail(&cause, KL_ERR_NOT_FOUND, "not_found", "there is no such tenant", NULL);
        return vault_act_refused(vault, caller, action, &cause, err);
    }
    if (caller->closed_us == 0 &&
        (caller->policy == NULL || !vault_policy_returns_at_any_time(caller->policy))) {
        (void)kl_fail(&cause, KL_ERR_FORBIDDEN, "return_not_due",
                      "the tenant was not ended, and its policy does not say return_of_data: "
                      "at_any_time",
                      NULL);
        return vault_act_refused(vault, caller, action, &cause, err);
    }
    return KL_OK;
}

enum kl_status vault_export_may_leave(struct vault *vault, const struct vault_caller *caller,
                                      const struct vault_subject *subject, bool has_ledger,
                                      struct kl_arena *arena, bool *ret_may, uint64_t *ret_lines,
                                      struct kl_err *err)
{
    const struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_EXPORT, VAULT_NONE, VAULT_NONE, &subject->base.subject);
    struct vault_facts facts = {.residency = subject->base.residency};
    enum vault_view view = VAULT_VIEW_PLAIN;
    int transfer = VAULT_NONE;
    enum kl_status status = KL_OK;

    *ret_lines = 0;
    *ret_may = !vault_country_is_set(caller->location) || vault_country_in_eea(caller->location) ||
               subject->base.residency == VAULT_RESIDENCY_NONE;
    if (*ret_may || caller->policy == NULL) {
        return KL_OK;
    }
    if (has_ledger) {
        status = vault_facts_of(vault, subject, caller->policy, &query, arena, &facts, err);
    }
    if (status == KL_OK) {
        *ret_may = vault_policy_may_leave(caller->policy, &query, &facts, &view, &transfer) &&
                   view == VAULT_VIEW_PLAIN;
        *ret_lines = transfer == VAULT_NONE ? 0 : UINT64_C(1) << transfer;
    }
    return status;
}

/* ---- cursors ---- */

static enum kl_status position_open(const struct vault_exporting *exporting, const char *cursor,
                                    struct position *ret, struct kl_err *err)
{
    struct kl_buf bytes;
    enum kl_status status = KL_OK;

    *ret = (struct position){.part = PART_SUBJECTS};
    if (cursor == NULL || cursor[0] == '\0') {
        return KL_OK;
    }
    kl_buf_init(&bytes, VAULT_CURSOR_MAX_BYTES);
    status =
        vault_cursor_open(exporting->vault, exporting->caller, CURSOR_KIND, cursor, &bytes, err);
    if (status == KL_OK && bytes.size == POSITION_BYTES) {
        ret->part = (char)bytes.bytes[0];
        ret->slot = kl_get_u64be(bytes.bytes + 1);
        ret->after = kl_get_u64be(bytes.bytes + 9);
    } else if (status == KL_OK) {
        status = kl_fail(err, KL_ERR_CORRUPT, "cursor_damaged", "internal error",
                         "a cursor opened and is none");
    }
    kl_buf_done(&bytes);
    return status;
}

static enum kl_status position_seal(struct paging *paging, struct kl_err *err)
{
    struct vault_exporting *exporting = &paging->exporting;
    unsigned char bytes[POSITION_BYTES] = {(unsigned char)paging->at.part};

    kl_put_u64be(bytes + 1, paging->at.slot);
    kl_put_u64be(bytes + 9, paging->at.after);
    return vault_cursor_seal(exporting->vault, exporting->caller, CURSOR_KIND,
                             kl_slice_of(bytes, sizeof bytes), exporting->page.next_cursor, err);
}

/* ---- entries about no subject ---- */

static enum kl_status act_plain(struct vault_exporting *exporting, const char *action, bool closed,
                                struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(exporting->caller, location);
    struct vault_act *act = vault_exporting_act_new(exporting);

    if (act == NULL) {
        return kl_fail_memory(err);
    }
    vault_act_begin(act, exporting->caller->tenant, &who, action);
    kl_json_add_int(&act->out, "policy", (int64_t)exporting->caller->policy_number);
    kl_json_add_bool(&act->out, "ended", closed);
    return vault_subject_act_end(act, err);
}

/* How many the gate transfer kept back on this page: nothing of them was told, so the entry names none. */
static enum kl_status act_withheld(struct vault_exporting *exporting, struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(exporting->caller, location);
    struct vault_act *act = NULL;

    if (exporting->page.withheld == 0) {
        return KL_OK;
    }
    act = vault_exporting_act_new(exporting);
    if (act == NULL) {
        return kl_fail_memory(err);
    }
    vault_act_begin(act, exporting->caller->tenant, &who, VAULT_EXPORT_ACTION);
    kl_json_add_int(&act->out, "policy", (int64_t)exporting->caller->policy_number);
    kl_json_add_int(&act->out, "withheld", (int64_t)exporting->page.withheld);
    kl_json_add_text(&act->out, "result", "refused");
    kl_json_add_text(&act->out, "reason", vault_gate_name(VAULT_GATE_TRANSFER));
    return vault_audit_end(&act->entry, &act->out, err);
}

/* ---- the tenant ---- */

static enum kl_status tell_tenant(struct vault_exporting *exporting, struct kl_err *err)
{
    struct vault *vault = exporting->vault;
    const struct vault_caller *caller = exporting->caller;
    struct vault_exported_tenant told = {.name = caller->tenant_name,
                                         .store = vault_store_name(vault),
                                         .country = vault->country,
                                         .made_us = caller->now_us,
                                         .ends_us = caller->closed_us,
                                         .policy_number = caller->policy_number};
    enum kl_status status = KL_OK;
    struct kl_buf yaml;

    kl_buf_init(&yaml, VAULT_WORK_MAX_BYTES);
    if (caller->policy_number != 0) {
        status = vault_policy_text_read(vault, caller->tenant, caller->policy_number, &yaml, err);
    }
    if (status == KL_OK) {
        told.policy = kl_buf_slice(&yaml);
        status = exporting->sink->tenant(exporting->sink->context, &told, err);
    }
    kl_buf_done(&yaml);
    return status == KL_OK
               ? act_plain(exporting, VAULT_EXPORT_ACTION "_begin", caller->closed_us != 0, err)
               : status;
}

/* ---- subjects ---- */

static bool is_full(const struct paging *paging)
{
    const struct vault_tenant_export_sink *sink = paging->exporting.sink;

    return paging->exporting.page.subjects >= paging->limit ||
           sink->size(sink->context) >= VAULT_TENANT_EXPORT_PAGE_BYTES;
}

static void note_damaged(struct vault_exporting *exporting, uint64_t slot, struct kl_err *err)
{
    kl_log(KL_LOG_ERROR, "subject_damaged", KL_LOG_INT("tenant", exporting->caller->tenant),
           KL_LOG_INT("slot", slot), KL_LOG_TEXT("text", err->log_text));
    exporting->page.damaged++;
    kl_err_clear(err);
}

/* Its records behind *after, which goes on with each; ret_partly: there are more, and the page is full. */
static enum kl_status tell_records(struct paging *paging, const struct vault_subject *subject,
                                   uint64_t *after, bool *ret_partly, struct kl_err *err)
{
    struct vault_exporting *exporting = &paging->exporting;
    const struct vault_tenant_export_sink *sink = exporting->sink;
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < subject->head.record_count; i++) {
        const uint64_t value = subject->head.records[i].value;

        if (subject->records[i].gone || value <= *after) {
            continue;
        }
        if (sink->size(sink->context) >= VAULT_TENANT_EXPORT_PAGE_BYTES) {
            *ret_partly = true;
            return KL_OK;
        }
        status = vault_exporting_record(exporting, subject, i, NULL, err);
        if (status == KL_ERR_CORRUPT) {
            note_damaged(exporting, subject->slot, err);
            status = KL_OK;
        }
        if (status == KL_OK) {
            *after = value;
        }
    }
    return status;
}

/* What of it was not told yet. KL_ERR_GONE: it changed meanwhile. */
static enum kl_status tell_loaded(struct paging *paging, const struct vault_subject *subject,
                                  bool *is_told, uint64_t *after, bool *ret_partly,
                                  struct kl_err *err)
{
    struct vault_exporting *exporting = &paging->exporting;
    bool may = false;
    enum kl_status status =
        vault_export_may_leave(exporting->vault, exporting->caller, subject, true, exporting->arena,
                               &may, &exporting->transfers, err);

    if (status == KL_OK && !may) {
        exporting->page.withheld += *is_told ? 0 : 1;
        return KL_OK;
    }
    if (status == KL_OK && !*is_told) {
        status = vault_exporting_subject(exporting, subject, err);
        if (status == KL_OK) {
            *is_told = true;
            *after = AFTER_SUBJECT;
            exporting->page.subjects++;
        }
    }
    return status == KL_OK ? tell_records(paging, subject, after, ret_partly, err) : status;
}

/* One try. The entries are made of what was told, whatever became of the rest. */
static enum kl_status tell_once(struct paging *paging, uint64_t slot, const struct kl_slice *row,
                                bool *is_told, uint64_t *after, bool *ret_partly,
                                struct kl_err *err)
{
    struct vault_exporting *exporting = &paging->exporting;
    struct vault_subject subject = {0};
    struct kl_err failed = {0};
    enum kl_status written = KL_OK;
    enum kl_status status = KL_OK;

    kl_arena_reset(exporting->arena);
    status = row == NULL ? vault_subject_load(exporting->vault, exporting->caller->tenant, slot,
                                              exporting->arena, &subject, err)
                         : vault_subject_load_row(exporting->vault, exporting->caller->tenant, slot,
                                                  *row, exporting->arena, &subject, err);
    if (status == KL_OK) {
        status = tell_loaded(paging, &subject, is_told, after, ret_partly, err);
        written = vault_exporting_act(exporting, &subject, &failed);
    }
    vault_subject_done(&subject);
    if (written != KL_OK) {
        *err = failed;
        return written;
    }
    return status;
}

static enum kl_status tell_subject(struct paging *paging, uint64_t slot, struct kl_slice row,
                                   bool *ret_partly, struct kl_err *err)
{
    uint64_t after = slot == paging->at.slot ? paging->at.after : 0;
    bool is_told = after != 0;
    unsigned tries = 1;
    enum kl_status status = tell_once(paging, slot, &row, &is_told, &after, ret_partly, err);

    while (status == KL_ERR_GONE && tries++ < TRIES) {
        kl_err_clear(err);
        status = tell_once(paging, slot, NULL, &is_told, &after, ret_partly, err);
    }
    if (*ret_partly) {
        paging->at.slot = slot;
        paging->at.after = after;
    }
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        return kl_fail(err, KL_ERR_BUSY, "subject_busy",
                       "a subject is being changed by others; try again", NULL);
    }
    if (status == KL_ERR_CORRUPT) {
        note_damaged(&paging->exporting, slot, err);
        status = KL_OK;
    } else if (status == KL_ERR_NOT_FOUND) { /* erased meanwhile */
        kl_err_clear(err);
        status = KL_OK;
    }
    return status;
}

static enum kl_status visit_head(void *visitor, uint64_t slot, struct kl_slice row, bool *ret_stop,
                                 struct kl_err *err)
{
    struct paging *paging = visitor;
    enum kl_status status = KL_OK;

    *ret_stop = is_full(paging);
    if (*ret_stop) {
        return KL_OK;
    }
    status = tell_subject(paging, slot, row, &paging->partly, err);
    *ret_stop = paging->partly;
    return status;
}

static enum kl_status tell_subjects(struct paging *paging, struct kl_err *err)
{
    struct vault_exporting *exporting = &paging->exporting;
    uint64_t next_slot = paging->at.slot;
    bool ended = false;
    enum kl_status status =
        vault_subject_walk(exporting->vault, exporting->caller->tenant, VAULT_PAGE_HEADS,
                           visit_head, paging, &next_slot, &ended, err);

    if (status == KL_OK && ended) {
        paging->at = (struct position){.part = PART_KEPT};
    } else if (status == KL_OK && !paging->partly) {
        paging->at.slot = next_slot;
        paging->at.after = 0;
    }
    return status;
}

/* ---- what erasures kept ---- */

/* What was opened of a kept record, with the basis and the end of its line. */
static enum kl_status tell_opened(struct vault_exporting *exporting, struct vault_subject *subject,
                                  const struct vault_retained *row, struct kl_err *err)
{
    struct kl_err failed = {0};
    enum kl_status written = KL_OK;
    bool may = false;
    enum kl_status status =
        vault_export_may_leave(exporting->vault, exporting->caller, subject, false,
                               exporting->arena, &may, &exporting->transfers, err);

    if (status == KL_OK && !may) {
        exporting->page.withheld++;
        return KL_OK;
    }
    if (status == KL_OK) {
        subject->records[0].hold_basis = row->basis;
        subject->records[0].hold_until_us = row->until_us;
        status = vault_exporting_record(exporting, subject, 0, &row->receipt, err);
    }
    written = vault_exporting_act(exporting, subject, &failed);
    if (written != KL_OK) {
        *err = failed;
        return written;
    }
    return status;
}

/* One line of a kept record, until its end. */
static enum kl_status tell_kept(struct vault_exporting *exporting, const struct vault_retained *row,
                                struct kl_err *err)
{
    struct vault_subject subject = {0};
    enum kl_status status = KL_OK;

    if (row->until_us <= exporting->caller->now_us) {
        return KL_OK;
    }
    status = vault_retained_open(exporting->vault, row, exporting->arena, &subject, err);
    if (status == KL_OK) {
        status = tell_opened(exporting, &subject, row, err);
    }
    if (status == KL_ERR_CORRUPT) {
        note_damaged(exporting, row->slot, err);
        status = KL_OK;
    } else if (status == KL_ERR_GONE) { /* it came to its end meanwhile */
        kl_err_clear(err);
        status = KL_OK;
    }
    return status;
}

static enum kl_status tell_kept_of(struct vault_exporting *exporting, uint64_t slot,
                                   struct kl_err *err)
{
    struct vault_retained_line *lines = NULL;
    uint64_t tenant = exporting->caller->tenant;
    size_t count = 0;
    size_t lost = 0;
    size_t i;
    bool stale = false;
    enum kl_status status = vault_retained_is_stale(exporting->vault, tenant, slot, &stale, err);

    if (status != KL_OK || stale) {
        return status;
    }
    kl_arena_reset(exporting->arena);
    status = vault_retained_lines(exporting->vault, tenant, slot, exporting->arena, &lines, &count,
                                  &lost, err);
    for (i = 0; status == KL_OK && i < count; i++) {
        status = tell_kept(exporting, &lines[i].row, err);
    }
    exporting->page.damaged += lost;
    return status;
}

/* ret_ended: nothing is left. */
static enum kl_status tell_all_kept(struct paging *paging, bool *ret_ended, struct kl_err *err)
{
    struct vault_exporting *exporting = &paging->exporting;
    uint64_t slots[KEPT_AT_ONCE];
    size_t count = 0;
    size_t i;
    enum kl_status status = vault_retained_slots(exporting->vault, exporting->caller->tenant,
                                                 paging->at.slot, slots, KEPT_AT_ONCE, &count, err);

    *ret_ended = count < KEPT_AT_ONCE;
    for (i = 0; status == KL_OK && i < count; i++) {
        if (is_full(paging)) {
            paging->at.slot = slots[i];
            *ret_ended = false;
            return KL_OK;
        }
        status = tell_kept_of(exporting, slots[i], err);
        paging->at.slot = slots[i] + 1;
    }
    return status;
}

/* ---- a page ---- */

static enum kl_status tell_page(struct paging *paging, bool first, struct kl_err *err)
{
    struct vault_exporting *exporting = &paging->exporting;
    enum kl_status status = first ? tell_tenant(exporting, err) : KL_OK;
    bool ended = false;

    if (status == KL_OK && paging->at.part == PART_SUBJECTS) {
        status = tell_subjects(paging, err);
    }
    if (status == KL_OK && paging->at.part == PART_KEPT) {
        status = tell_all_kept(paging, &ended, err);
    }
    if (status == KL_OK) {
        status = act_withheld(exporting, err);
    }
    if (status != KL_OK) {
        return status;
    }
    return ended ? act_plain(exporting, VAULT_EXPORT_ACTION "_end",
                             exporting->caller->closed_us != 0, err)
                 : position_seal(paging, err);
}

static enum kl_status commit(struct vault_exporting *exporting, struct kl_err *err)
{
    struct vault_audit_entry **entries = NULL;
    enum kl_status status = KL_OK;
    size_t i;

    kl_arena_reset(exporting->arena);
    entries = kl_arena_array(exporting->arena, exporting->act_count, sizeof *entries);
    if (entries == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < exporting->act_count; i++) {
        entries[i] = &exporting->acts[i]->entry;
    }
    status = vault_subject_found(exporting->vault, exporting->caller, VAULT_EXPORT_ACTION,
                                 VAULT_NONE, entries, exporting->act_count, err);
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&exporting->vault->counters.fields_read, exporting->page.fields,
                                  memory_order_relaxed);
    }
    return status;
}

enum kl_status vault_tenant_export(struct vault *vault, const struct vault_caller *caller,
                                   const char *name, size_t limit, const char *cursor,
                                   const struct vault_tenant_export_sink *sink,
                                   struct vault_tenant_export_page *ret, struct kl_err *err)
{
    struct paging paging = {.exporting = {.vault = vault, .caller = caller, .sink = sink},
                            .limit = limit};
    struct vault_exporting *exporting = &paging.exporting;
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    if (limit < 1 || limit > VAULT_PAGE_MAX) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_limit", "a page holds 1 to 1000 items", NULL);
    }
    status = vault_export_allowed(vault, caller, name, VAULT_EXPORT_ACTION, err);
    if (status != KL_OK) {
        return status;
    }
    exporting->arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    exporting->scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
    status = exporting->arena == NULL || exporting->scratch == NULL
                 ? kl_fail_memory(err)
                 : position_open(exporting, cursor, &paging.at, err);
    if (status == KL_OK) {
        status = tell_page(&paging, cursor == NULL || cursor[0] == '\0', err);
    }
    if (status == KL_OK) {
        status = commit(exporting, err);
    }
    vault_exporting_done(exporting);
    kl_arena_free(exporting->arena);
    kl_arena_free(exporting->scratch);
    if (status == KL_OK) {
        *ret = exporting->page;
    }
    return vault_subject_refused(vault, caller, VAULT_EXPORT_ACTION, VAULT_NONE, status, err);
}
