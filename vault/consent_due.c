/* Whom to ask again before a consent ends, and whom to tell of a notice that changed: people by the consents of theirs that stand. */
#include "kluis/vault/duties.h"

#include "vault/retention.h"
#include "vault/subject_page.h"
#include "vault/volume.h"

#include <string.h>

#define ACTION_DUE "consents_due"
#define ACTION_AUDIENCE "notice_audience"

struct asking;
/* Whether a standing consent for that purpose is one of those looked for; it is filled but for its texts. */
typedef bool (*is_wanted)(const struct asking *asking, int purpose,
                          const struct vault_ledger_entry *entry,
                          const struct vault_standing_consent *consent);

struct asking {
    struct vault *vault;
    const struct vault_caller *caller;
    struct kl_arena *arena;
    is_wanted wanted;
    int64_t before_us;
    const char *notice;
    uint64_t purposes; /* that the role has `consent` for, and that were asked about */
    uint64_t used_up;
    struct vault_consenting_subject *subjects;
    size_t count;
};

static struct vault_query query_of(const struct asking *asking, int purpose)
{
    struct vault_query query =
        vault_query_of(asking->caller, VAULT_ACTION_CONSENT, purpose, VAULT_NONE,
                       asking->caller->bound ? &asking->caller->bound_subject : NULL);

    query.used_up = asking->used_up;
    return query;
}

/* Purposes among those of mask that the role has `consent` for and the credential is made for, as bits. */
static uint64_t allowed(const struct asking *asking, uint64_t mask)
{
    size_t count = vault_policy_purpose_count(asking->caller->policy);
    uint64_t bits = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        struct vault_query query = query_of(asking, (int)i);

        if (((mask & asking->caller->purposes) >> i & 1) != 0 &&
            !vault_policy_purpose(asking->caller->policy, (int)i)->forbidden &&
            vault_role_allows(asking->caller, &query)) {
            bits |= UINT64_C(1) << i;
        }
    }
    return bits;
}

/* The grants with a volume that these purposes come under. */
static uint64_t charged(const struct asking *asking, uint64_t purposes)
{
    const struct vault_policy *policy = asking->caller->policy;
    size_t fields = vault_policy_field_count(policy);
    uint64_t grants = 0;
    size_t i;

    if (vault_policy_volume_grants(policy, asking->caller->role) == 0) {
        return 0;
    }
    for (; purposes != 0; purposes &= purposes - 1) {
        struct vault_query query = query_of(asking, __builtin_ctzll(purposes));

        for (i = 0; i < fields; i++) {
            grants |= vault_policy_charged(policy, &query, (int)i);
        }
    }
    return grants;
}

/* ---- one subject ---- */

/* A consent that was neither withdrawn nor replaced, for one of these purposes; false: it is none. */
static bool standing(const struct asking *asking, uint64_t purposes,
                     const struct vault_subject *subject, const struct vault_ledger_entry *entry,
                     int *ret_purpose, struct vault_standing_consent *ret)
{
    const struct vault_policy *policy = asking->caller->policy;
    int purpose = vault_policy_purpose_find(policy, entry->purpose);
    int64_t clock_us;

    if (purpose == VAULT_NONE || ((purposes >> purpose) & 1) == 0 || entry->withdrawn_us != 0) {
        return false;
    }
    clock_us = vault_retention_consent(policy, purpose, subject, entry);
    *ret_purpose = purpose;
    *ret = (struct vault_standing_consent){
        .purpose = vault_policy_purpose(policy, purpose)->name,
        .given_us = entry->given_us,
        .ends_us = entry->expires_us == 0 ? KL_TIME_MAX_US : entry->expires_us,
        .counts = vault_ledger_entry_counts(entry, policy, asking->caller->now_us) &&
                  clock_us > asking->caller->now_us};
    if (clock_us < ret->ends_us) {
        ret->ends_us = clock_us;
        ret->by_clock = true;
    }
    return true;
}

static bool copy_text(struct kl_arena *arena, const char *text, const char **ret)
{
    *ret = text == NULL ? NULL : kl_arena_text(arena, text, strlen(text));
    return text == NULL || *ret != NULL;
}

/* Those consents of a subject that are looked for, in the order of the ledger; ret_purposes: what they are for. */
static enum kl_status gather(const struct asking *asking, uint64_t purposes,
                             const struct vault_subject *subject, const struct vault_ledger *ledger,
                             struct vault_consenting_subject *ret, uint64_t *ret_purposes,
                             struct kl_err *err)
{
    struct vault_standing_consent consent;
    int purpose = VAULT_NONE;
    size_t i;

    for (i = 0; i < ledger->count; i++) {
        const struct vault_ledger_entry *entry = &ledger->entries[i];

        if (!vault_recipient_may_know(asking->caller, entry->recipient) ||
            !standing(asking, purposes, subject, entry, &purpose, &consent) ||
            !asking->wanted(asking, purpose, entry, &consent)) {
            continue;
        }
        if (ret->consents == NULL) {
            ret->consents = kl_arena_array(asking->arena, ledger->count - i, sizeof *ret->consents);
        }
        if (ret->consents == NULL ||
            !copy_text(asking->arena, entry->recipient, &consent.recipient) ||
            !copy_text(asking->arena, entry->notice, &consent.notice)) {
            return kl_fail_memory(err);
        }
        ret->consents[ret->count++] = consent;
        *ret_purposes |= UINT64_C(1) << purpose;
    }
    return KL_OK;
}

static void add_purposes(const struct asking *asking, struct kl_json_out *out, uint64_t purposes)
{
    kl_json_key(out, "purposes");
    kl_json_array_begin(out);
    for (; purposes != 0; purposes &= purposes - 1) {
        kl_json_put_text(
            out, vault_policy_purpose(asking->caller->policy, __builtin_ctzll(purposes))->name);
    }
    kl_json_array_end(out);
}

static enum kl_status look_at(struct vault_page *page, void *visitor,
                              const struct vault_subject *subject,
                              const struct vault_ledger *ledger, struct kl_err *err)
{
    struct asking *asking = visitor;
    struct vault_consenting_subject found = {.id = subject->base.subject};
    uint64_t purposes = 0;
    uint64_t leaving = 0;
    uint64_t lines = 0;
    enum kl_status status = KL_OK;

    if (ledger->restriction.at_us != 0) {
        return KL_OK;
    }
    if (vault_policy_volume_grants(asking->caller->policy, asking->caller->role) != 0) {
        asking->used_up = vault_volume_used_up(asking->vault, asking->caller);
        if (allowed(asking, asking->purposes) != asking->purposes) {
            return vault_volume_exceeded(asking->vault, asking->caller, err);
        }
    }
    status = vault_consents_leaving(asking->vault, asking->caller, subject, asking->purposes,
                                    page->scratch, &leaving, &lines, err);
    if (status == KL_OK) {
        status = gather(asking, leaving, subject, ledger, &found, &purposes, err);
    }
    if (status == KL_OK && found.count > 0) {
        status = vault_consents_leaving(asking->vault, asking->caller, subject, purposes,
                                        page->scratch, &leaving, &lines, err);
    }
    if (status != KL_OK || found.count == 0) {
        return status;
    }
    if (!vault_volume_take(asking->vault, asking->caller, charged(asking, purposes))) {
        return vault_volume_exceeded(asking->vault, asking->caller, err);
    }
    asking->subjects[asking->count++] = found;
    struct kl_json_out *out = vault_page_show(page, subject);
    add_purposes(asking, out, purposes);
    vault_subject_act_transfers(&page->acts[page->count], asking->caller->policy, lines);
    return KL_OK;
}

/* ---- a page ---- */

static enum kl_status ask(struct asking *asking, const char *action, uint64_t mask, size_t limit,
                          const char *cursor, char *ret_cursor, struct kl_err *err)
{
    struct vault_page page = {.vault = asking->vault,
                              .caller = asking->caller,
                              .action = action,
                              .limit = limit,
                              .arena = asking->arena};

    asking->purposes = allowed(asking, mask);
    if (asking->purposes == 0) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "withheld",
                       "the role of this credential keeps no consents for that", NULL);
    }
    asking->subjects = limit > VAULT_PAGE_MAX
                           ? NULL
                           : kl_arena_array(asking->arena, limit, sizeof *asking->subjects);
    if (asking->subjects == NULL && limit <= VAULT_PAGE_MAX) {
        return kl_fail_memory(err);
    }
    return vault_page_run(&page, cursor, look_at, asking, ret_cursor, err);
}

static bool ends_in_time(const struct asking *asking, int purpose,
                         const struct vault_ledger_entry *entry,
                         const struct vault_standing_consent *consent)
{
    (void)entry;
    return consent->ends_us < asking->before_us &&
           (!consent->by_clock ||
            vault_policy_purpose(asking->caller->policy, purpose)->asks_renewal);
}

/* A consent that has its own end and a clock that nobody asks about ends with the first of both; it is listed for its own. */
static bool is_due(const struct asking *asking, int purpose, const struct vault_ledger_entry *entry,
                   const struct vault_standing_consent *consent)
{
    return ends_in_time(asking, purpose, entry, consent) ||
           (entry->expires_us != 0 && entry->expires_us < asking->before_us);
}

enum kl_status vault_consents_due(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_consents_due_input *input,
                                  struct kl_arena *arena,
                                  struct vault_consenting_subject **ret_subjects, size_t *ret_count,
                                  char *ret_cursor, struct kl_err *err)
{
    struct asking asking = {.vault = vault,
                            .caller = caller,
                            .arena = arena,
                            .wanted = is_due,
                            .before_us = input->before_us};
    struct kl_err own = {0};
    uint64_t mask = UINT64_MAX;
    int purpose = VAULT_NONE;
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status == KL_OK && input->purpose != NULL) {
        status = vault_purpose_resolve(caller, input->purpose, &purpose, err);
        mask = purpose == VAULT_NONE ? 0 : UINT64_C(1) << purpose;
    }
    if (status != KL_OK) {
        return status;
    }
    status = ask(&asking, ACTION_DUE, mask, input->limit, input->cursor, ret_cursor, err);
    if (status == KL_OK) {
        *ret_subjects = asking.subjects;
        *ret_count = asking.count;
    }
    return vault_subject_refused(vault, caller, ACTION_DUE, purpose, status, err);
}

/* ---- the audience of a notice ---- */

static bool is_audience(const struct asking *asking, int purpose,
                        const struct vault_ledger_entry *entry,
                        const struct vault_standing_consent *consent)
{
    const char *notice = vault_policy_purpose(asking->caller->policy, purpose)->notice;

    (void)consent;
    if (asking->notice != NULL) {
        return strcmp(entry->notice, asking->notice) == 0;
    }
    return notice != NULL && strcmp(entry->notice, notice) != 0;
}

enum kl_status vault_notice_audience(struct vault *vault, const struct vault_caller *caller,
                                     const struct vault_audience_input *input,
                                     struct kl_arena *arena,
                                     struct vault_consenting_subject **ret_subjects,
                                     size_t *ret_count, char *ret_cursor, struct kl_err *err)
{
    struct asking asking = {.vault = vault,
                            .caller = caller,
                            .arena = arena,
                            .wanted = is_audience,
                            .notice = input->notice};
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status == KL_OK && input->notice != NULL && !vault_draft_word_valid(input->notice)) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_notice",
                         "a notice is a name of at most 64 characters A-Z, a-z, 0-9, dot, - and _",
                         NULL);
    }
    if (status != KL_OK) {
        return status;
    }
    status =
        ask(&asking, ACTION_AUDIENCE, UINT64_MAX, input->limit, input->cursor, ret_cursor, err);
    if (status == KL_OK) {
        *ret_subjects = asking.subjects;
        *ret_count = asking.count;
    }
    return vault_subject_refused(vault, caller, ACTION_AUDIENCE, VAULT_NONE, status, err);
}
