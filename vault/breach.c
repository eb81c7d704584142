/* The report of a breach: over the trail once, then who the people are, the entry, the answer. */
#include "vault/breach_internal.h"

#include "vault/audit_leaves.h"
#include "vault/audit_search.h"
#include "vault/pruned.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"
#include "vault/walks.h"

#include <string.h>

#define ANSWER_MAX_BYTES ((size_t)32 * 1024 * 1024)
#define RETRY_S 5

/* ---- over the trail ---- */

static bool is_sought(const struct vault_breach *breach, const struct vault_audit_said *said)
{
    const char *of = breach->start == VAULT_BREACH_CREDENTIALS ? said->credential
                     : breach->start == VAULT_BREACH_ROLE
                         ? said->role
                         : kl_json_text(kl_json_member(said->root, "recipient"));
    size_t i;

    for (i = 0; of != NULL && i < breach->sought_count; i++) {
        if (strcmp(of, breach->sought[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Behind the period, and behind what there was when the report began. */
static enum kl_status take_past(struct vault_breach *breach, struct kl_err *err)
{
    struct vault_pruned pruned = {.until = 0};
    enum kl_status status =
        vault_audit_past_to(breach->vault, breach->tenant, breach->to_us, &breach->past, err);

    if (status == KL_OK && breach->past > breach->end) {
        breach->past = breach->end;
    }
    if (status == KL_OK) {
        status = vault_trails_pruned(breach->vault->trails, breach->tenant, &pruned, err);
        breach->pruned_until = pruned.until;
    }
    return status;
}

/* ret_ends: the piece ends before this entry. */
static enum kl_status look_at(struct vault_breach *breach, uint64_t seq, struct kl_slice entry,
                              bool *ret_ends, struct kl_err *err)
{
    struct vault_audit_said said = {0};
    enum kl_status status = vault_audit_read(entry, &said, err);

    if (status != KL_OK) {
        return status;
    }
    if (said.at_us >= breach->from_us && said.at_us < breach->to_us && is_sought(breach, &said)) {
        if (vault_breach_has_room(breach->tally, said.slot, said.policy)) {
            status = vault_breach_add(breach->tally, seq, &said, err);
            breach->of_credential++;
        } else {
            *ret_ends = true;
        }
    }
    vault_audit_said_done(&said);
    return status;
}

/* Whether the entry may be one that is sought, by its text alone. */
static bool names_any(const struct vault_breach *breach, struct kl_slice entry)
{
    size_t i;

    for (i = 0; i < breach->sought_count; i++) {
        if (vault_audit_names(entry, breach->needles[i])) {
            return true;
        }
    }
    return false;
}

/* How many numbers of this piece were lost with a newer data/. */
static enum kl_status count_lost(struct vault_breach *breach, struct kl_err *err)
{
    struct vault_lost lost = {0};
    enum kl_status status = vault_lost_read(breach->vault->data_store, breach->tenant, &lost, err);

    for (size_t i = 0; status == KL_OK && i < lost.count; i++) {
        uint64_t from = lost.ranges[i].from > breach->first ? lost.ranges[i].from : breach->first;
        uint64_t until = lost.ranges[i].until < breach->next ? lost.ranges[i].until : breach->next;

        breach->lost += until > from ? until - from : 0;
    }
    vault_lost_done(&lost);
    return status;
}

static enum kl_status go_over(struct vault_breach *breach, struct kl_err *err)
{
    const size_t scan_max = breach->whole ? VAULT_BREACH_WHOLE_SCAN_MAX : VAULT_BREACH_SCAN_MAX;
    const bool is_one = breach->start == VAULT_BREACH_CREDENTIALS && breach->sought_count == 1;
    const struct vault_term term =
        vault_term_of_text(VAULT_TERM_CREDENTIAL, is_one ? breach->sought[0] : "");
    struct vault_audit_search search = {0};
    struct kl_slice entry;
    uint64_t seq = 0;
    bool ends = false;
    enum kl_status status =
        vault_audit_search_begin(&search, breach->vault, breach->tenant, &term, is_one ? 1 : 0,
                                 breach->first, breach->past, scan_max, err);

    while (status == KL_OK && !ends) {
        status = vault_audit_search_next(&search, &seq, &entry, err);
        if (status == KL_OK && names_any(breach, entry)) {
            status = look_at(breach, seq, entry, &ends, err);
        }
    }
    breach->next = ends ? seq : search.next;
    breach->more = ends || search.more;
    vault_audit_search_end(&search);
    status = status == KL_ERR_NOT_FOUND ? KL_OK : status;
    return status == KL_OK ? count_lost(breach, err) : status;
}

/* Policies that cannot be had any more say nothing of a field; the one in force does. */
static void load_policies(struct vault_breach *breach)
{
    const uint64_t *numbers = vault_breach_policies(breach->tally, &breach->policy_count);
    struct kl_err ignored = {0};
    int64_t applied_us = 0;
    size_t i;

    for (i = 0; i < breach->policy_count; i++) {
        if (vault_policy_load_number(breach->vault, breach->tenant, numbers[i],
                                     &breach->policies[i], &applied_us, &ignored) != KL_OK) {
            breach->policies[i] = NULL;
            kl_err_clear(&ignored);
        }
    }
    if (breach->caller->policy != NULL) {
        breach->policies[breach->policy_count++] = vault_policy_ref(breach->caller->policy);
    }
}

/* ---- the call ---- */

static enum kl_status make(struct vault_breach *breach, const struct vault_breach_input *input,
                           struct kl_buf *ret, struct kl_err *err)
{
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    struct kl_json_out out = kl_json_out(ret);
    enum kl_status status = vault_breach_take(breach, input, err);

    if (status == KL_OK) {
        status = take_past(breach, err);
    }
    if (status == KL_OK) {
        breach->tally =
            vault_breach_tally_new(input->whole ? VAULT_BREACH_PEOPLE_MAX : input->limit);
        status = breach->tally == NULL ? kl_fail_memory(err) : go_over(breach, err);
    }
    if (status == KL_OK) {
        status = vault_breach_cursor(breach, cursor, err);
    }
    if (status == KL_OK) {
        status = vault_breach_identify(breach, err);
    }
    if (status == KL_OK) {
        status = vault_breach_audit(breach, err);
    }
    if (status == KL_OK) {
        load_policies(breach);
        status = vault_breach_write(breach, cursor, &out, err);
    }
    return status == KL_OK ? kl_buf_status(ret, err) : status;
}

static void done(struct vault_breach *breach)
{
    size_t i;

    for (i = 0; i < breach->policy_count; i++) {
        vault_policy_unref(breach->policies[i]);
    }
    vault_breach_tally_free(breach->tally);
    kl_arena_free(breach->arena);
}

/* So that nobody has all workers and all memory make reports; one as a whole is a long walk too. */
static enum kl_status take_place(struct vault *vault, bool whole, struct kl_err *err)
{
    enum kl_status status = whole ? vault_walks_take(vault, err) : KL_OK;

    if (status != KL_OK ||
        atomic_fetch_add(&vault->breach_reports, 1) < VAULT_BREACH_REPORTS_AT_ONCE) {
        return status;
    }
    (void)atomic_fetch_sub(&vault->breach_reports, 1);
    if (whole) {
        vault_walks_give(vault);
    }
    kl_err_retry(err, RETRY_S);
    return kl_fail(err, KL_ERR_BUSY, "reports_busy", "other reports are being made; try again",
                   NULL);
}

static void give_place(struct vault *vault, bool whole)
{
    (void)atomic_fetch_sub(&vault->breach_reports, 1);
    if (whole) {
        vault_walks_give(vault);
    }
}

enum kl_status vault_breach_report(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_breach_input *input, struct kl_buf *ret,
                                   struct kl_err *err)
{
    struct vault_breach breach = {.vault = vault, .caller = caller, .whole = input->whole};
    struct kl_buf answer;
    enum kl_status status = vault_breach_may(&breach, err);

    if (status == KL_OK) {
        status = take_place(vault, input->whole, err);
    }
    if (status != KL_OK) {
        return status;
    }
    breach.tenant = caller->tenant;
    breach.arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    kl_buf_init(&answer, ANSWER_MAX_BYTES);
    status = breach.arena == NULL ? kl_fail_memory(err) : make(&breach, input, &answer, err);
    if (status == KL_OK) {
        kl_buf_add(ret, answer.bytes, answer.size);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&answer);
    done(&breach);
    give_place(vault, input->whole);
    return status;
}
