/* The report of a breach: over the trail once, then who the people are, the entry, the answer. */
#include "vault/breach_internal.h"

#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"

#include <string.h>

#define CURSOR_KIND "breach"
#define POSITION_BYTES (3 * 8 + 8 + KL_ID_BYTES)
#define ANSWER_MAX_BYTES ((size_t)32 * 1024 * 1024)
/* Entries of others are not read, but for one of so many: to see where the period is over. */
#define READ_ONE_OF 256
#define RETRY_S 5

/* ---- the question ---- */

static enum kl_status may_report(struct vault_breach *breach, struct kl_err *err)
{
    const struct vault_caller *caller = breach->caller;

    if (caller->builtin == VAULT_BUILTIN_AUDITOR) {
        return KL_OK;
    }
    if (caller->builtin == VAULT_BUILTIN_NONE && caller->policy != NULL && !caller->bound &&
        vault_may_about(caller, VAULT_ACTION_REPORT, VAULT_NONE, NULL)) {
        breach->may_name = caller->purposes == UINT64_MAX;
        return KL_OK;
    }
    return vault_act_refuse(breach->vault, caller, VAULT_BREACH_ACTION, err);
}

static enum kl_status take_credential(struct vault_breach *breach, const struct kl_id *id,
                                      struct kl_err *err)
{
    struct vault_credential *credential = NULL;
    enum kl_status status =
        vault_credential_read(breach->vault, breach->tenant, id, &credential, err);

    if (status == KL_OK) {
        status = vault_credential_describe(breach->vault, credential, breach->arena,
                                           &breach->credential, err);
        kl_id_format(VAULT_CREDENTIAL_PREFIX, id, breach->credential_text);
    }
    vault_credential_unref(credential);
    return status;
}

static enum kl_status take_period(struct vault_breach *breach,
                                  const struct vault_breach_input *input, struct kl_err *err)
{
    const int64_t now_us = breach->caller->now_us;
    enum kl_status status = KL_OK;

    breach->from_us = input->from_us == 0 ? breach->credential.created_us : input->from_us;
    breach->to_us = input->to_us == 0 || input->to_us > now_us ? now_us : input->to_us;
    if (breach->from_us > breach->to_us) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_range", "from lies behind to", NULL);
    }
    status =
        vault_audit_first_from(breach->vault, breach->tenant, breach->from_us, &breach->first, err);
    if (status == KL_OK) {
        status = vault_trails_size(breach->vault->trails, breach->tenant, &breach->end, err);
    }
    return status;
}

static enum kl_status take_cursor(struct vault_breach *breach, const char *cursor,
                                  struct kl_err *err)
{
    struct kl_reader reader;
    struct kl_slice id;
    struct kl_buf position;
    enum kl_status status = KL_OK;

    kl_buf_init(&position, 64);
    status = vault_cursor_open(breach->vault, breach->caller, CURSOR_KIND, cursor, &position, err);
    if (status == KL_OK) {
        reader = kl_reader_of(kl_buf_slice(&position));
        breach->first = kl_read_u64be(&reader);
        breach->end = kl_read_u64be(&reader);
        breach->from_us = (int64_t)kl_read_u64be(&reader);
        breach->to_us = (int64_t)kl_read_u64be(&reader);
        id = kl_read_bytes(&reader, KL_ID_BYTES);
        if (!kl_reader_done(&reader) ||
            memcmp(id.bytes, breach->credential.id.bytes, KL_ID_BYTES) != 0) {
            status = kl_fail(err, KL_ERR_INVALID, "invalid_cursor",
                             "this cursor is not of a report on this credential", NULL);
        }
    }
    kl_buf_done(&position);
    return status;
}

static enum kl_status make_cursor(const struct vault_breach *breach,
                                  char ret[VAULT_CURSOR_MAX_BYTES + 1], struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf position;

    ret[0] = '\0';
    if (!breach->more) {
        return KL_OK;
    }
    kl_buf_init(&position, POSITION_BYTES);
    kl_buf_add_u64be(&position, breach->next);
    kl_buf_add_u64be(&position, breach->end);
    kl_buf_add_u64be(&position, (uint64_t)breach->from_us);
    kl_buf_add_u64be(&position, (uint64_t)breach->to_us);
    kl_buf_add(&position, breach->credential.id.bytes, KL_ID_BYTES);
    status = kl_buf_status(&position, err);
    if (status == KL_OK) {
        status = vault_cursor_seal(breach->vault, breach->caller, CURSOR_KIND,
                                   kl_buf_slice(&position), ret, err);
    }
    kl_buf_done(&position);
    return status;
}

static enum kl_status take_input(struct vault_breach *breach,
                                 const struct vault_breach_input *input, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (input->limit < 1 || input->limit > VAULT_PAGE_MAX) {
        kl_err_where(err, "/limit");
        return kl_failf(err, KL_ERR_INVALID, "invalid_limit", "limit is 1 to %d", VAULT_PAGE_MAX);
    }
    if (input->aware_us > breach->caller->now_us) {
        kl_err_where(err, "/aware_at");
        return kl_fail(err, KL_ERR_INVALID, "invalid_time", "aware_at lies ahead", NULL);
    }
    breach->aware_us = input->aware_us == 0 ? breach->caller->now_us : input->aware_us;
    status = take_credential(breach, input->credential, err);
    if (status != KL_OK) {
        return status;
    }
    return input->cursor == NULL || input->cursor[0] == '\0'
               ? take_period(breach, input, err)
               : take_cursor(breach, input->cursor, err);
}

/* ---- over the trail ---- */

/* ret_ends: the piece ends before this entry. ret_past: no later one can be of the period. */
static enum kl_status look_at(struct vault_breach *breach, uint64_t seq, struct kl_slice entry,
                              bool *ret_ends, bool *ret_past, struct kl_err *err)
{
    struct vault_audit_said said = {0};
    enum kl_status status = vault_audit_read(entry, &said, err);

    if (status != KL_OK) {
        return status;
    }
    *ret_past = said.at_us >= breach->to_us && said.at_us - breach->to_us > VAULT_AUDIT_DISORDER_US;
    if (said.at_us >= breach->from_us && said.at_us < breach->to_us && said.credential != NULL &&
        strcmp(said.credential, breach->credential_text) == 0) {
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

static enum kl_status go_over(struct vault_breach *breach, struct kl_err *err)
{
    struct vault_audit_walk walk = {0};
    struct kl_slice entry;
    uint64_t seq = breach->first;
    size_t looked_at = 0;
    bool past = false;
    enum kl_status status =
        vault_audit_walk_begin(&walk, breach->vault, breach->tenant, breach->first, err);

    breach->next = breach->first;
    breach->pruned_until = walk.pruned_until;
    while (status == KL_OK && !past && !breach->more) {
        status = vault_audit_walk_next(&walk, &seq, &entry, err);
        if (status != KL_OK || seq >= breach->end) {
            break;
        }
        if (looked_at == VAULT_BREACH_SCAN_MAX) {
            breach->more = true;
        } else if (vault_audit_names(entry, breach->credential_text) ||
                   looked_at % READ_ONE_OF == 0) {
            status = look_at(breach, seq, entry, &breach->more, &past, err);
        }
        breach->next = breach->more ? seq : seq + 1;
        breach->lost = walk.lost;
        looked_at++;
    }
    vault_audit_walk_end(&walk);
    return status == KL_ERR_NOT_FOUND ? KL_OK : status;
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
    enum kl_status status = take_input(breach, input, err);

    if (status == KL_OK) {
        breach->tally = vault_breach_tally_new(input->limit);
        status = breach->tally == NULL ? kl_fail_memory(err) : go_over(breach, err);
    }
    if (status == KL_OK) {
        status = make_cursor(breach, cursor, err);
    }
    if (status == KL_OK) {
        status = vault_breach_identify(breach, err);
    }
    if (status == KL_OK) {
        load_policies(breach);
        vault_breach_write(breach, cursor, &out);
        status = kl_buf_status(ret, err);
    }
    if (status == KL_OK) {
        status = vault_breach_audit(breach, err);
    }
    return status;
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

/* So that nobody has all workers and all memory make reports. */
static enum kl_status take_place(struct vault *vault, struct kl_err *err)
{
    if (atomic_fetch_add(&vault->breach_reports, 1) < VAULT_BREACH_REPORTS_AT_ONCE) {
        return KL_OK;
    }
    (void)atomic_fetch_sub(&vault->breach_reports, 1);
    kl_err_retry(err, RETRY_S);
    return kl_fail(err, KL_ERR_BUSY, "reports_busy", "other reports are being made; try again",
                   NULL);
}

enum kl_status vault_breach_report(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_breach_input *input, struct kl_buf *ret,
                                   struct kl_err *err)
{
    struct vault_breach breach = {.vault = vault, .caller = caller};
    struct kl_buf answer;
    enum kl_status status = may_report(&breach, err);

    if (status == KL_OK) {
        status = take_place(vault, err);
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
    (void)atomic_fetch_sub(&vault->breach_reports, 1);
    return status;
}
