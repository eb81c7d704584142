/* A reviewer's sign-off over a stretch of the trail, and what none covers yet. */
#include "kluis/vault/review.h"

#include "vault/act.h"
#include "vault/audit_action.h"
#include "vault/audit_walk.h"
#include "vault/credentials.h"
#include "vault/idempotency.h"
#include "vault/pruned.h"
#include "vault/remark.h"
#include "vault/review_row.h"
#include "vault/rows.h"
#include "vault/walks.h"

#include <string.h>

#define MAKE_ACTION "audit_review"
#define LIST_ACTION "audit_review_list"
#define CURSOR_KIND "reviews"
#define LIST_MAX_BYTES ((size_t)32 * 1024 * 1024)

/* ---- what no review covers ---- */

struct gap {
    uint64_t from;
    uint64_t to;
};

static void gap_add(struct gap *gaps, size_t max, size_t *count, uint64_t from, uint64_t to)
{
    if (from < to) {
        if (*count < max) {
            gaps[*count] = (struct gap){from, to};
        }
        (*count)++;
    }
}

/* The first max stretches below size; ret_count may be more. */
static enum kl_status find_gaps(struct vault *vault, uint64_t tenant, uint64_t size,
                                struct gap *gaps, size_t max, size_t *ret_count, struct kl_err *err)
{
    struct vault_review_walk walk = {0};
    struct vault_review_span span = {.counts = false};
    struct vault_pruned pruned = {.until = 0};
    uint64_t covered = 0;
    size_t count = 0;
    enum kl_status status = vault_trails_pruned(vault->trails, tenant, &pruned, err);

    if (status == KL_OK) {
        status = vault_review_walk_begin(&walk, vault, tenant, 0, NULL, err);
    }
    covered = pruned.until;
    while (status == KL_OK) {
        status = vault_review_walk_next(&walk, &span, err);
        if (status == KL_OK && span.counts) {
            gap_add(gaps, max, &count, covered, span.from < size ? span.from : size);
            covered = span.to > covered ? span.to : covered;
        }
    }
    vault_review_walk_end(&walk);
    if (status != KL_ERR_NOT_FOUND) {
        return status;
    }
    gap_add(gaps, max, &count, covered, size);
    *ret_count = count;
    return KL_OK;
}

enum kl_status vault_review_first_gap(struct vault *vault, uint64_t tenant, uint64_t *ret_from,
                                      struct kl_err *err)
{
    struct gap gap = {0, 0};
    uint64_t size = 0;
    size_t count = 0;
    enum kl_status status = vault_trails_size(vault->trails, tenant, &size, err);

    if (status == KL_OK) {
        status = find_gaps(vault, tenant, size, &gap, 1, &count, err);
    }
    if (status == KL_OK) {
        *ret_from = count == 0 ? size : gap.from;
    }
    return status;
}

/* ---- what a review covers ---- */

static enum kl_status take_range(struct vault *vault, uint64_t tenant,
                                 const struct vault_review_input *input,
                                 struct vault_review *review, struct kl_err *err)
{
    struct gap gap = {0, 0};
    struct vault_pruned pruned = {.until = 0};
    size_t count = 0;
    int64_t from = input->from;
    enum kl_status status =
        vault_trails_root(vault->trails, tenant, &review->size, review->root, err);

    if (status == KL_OK && from < 0) {
        status = find_gaps(vault, tenant, review->size, &gap, 1, &count, err);
        from = (int64_t)gap.from;
        if (status == KL_OK && count == 0) {
            return kl_fail(err, KL_ERR_INVALID, "nothing_to_review",
                           "every entry of the trail is reviewed", NULL);
        }
    }
    if (status == KL_OK && (input->to <= from || (uint64_t)input->to > review->size ||
                            input->to - from > VAULT_REVIEW_ENTRIES_MAX)) {
        kl_err_where(err, "/to");
        return kl_failf(err, KL_ERR_INVALID, "invalid_range",
                        "a review covers from..to - 1 of the trail's entries, at most %d",
                        VAULT_REVIEW_ENTRIES_MAX);
    }
    if (status == KL_OK) {
        status = vault_trails_pruned(vault->trails, tenant, &pruned, err);
    }
    if (status == KL_OK && (uint64_t)from < pruned.until) {
        kl_err_where(err, "/from");
        return kl_failf(err, KL_ERR_INVALID, "entry_pruned",
                        "entries below number %llu went by the policy: nobody can look at them",
                        (unsigned long long)pruned.until);
    }
    review->from = (uint64_t)from;
    review->to = (uint64_t)input->to;
    return status;
}

static enum kl_status take_findings(const struct vault_review_input *input,
                                    struct vault_review *review, struct kl_err *err)
{
    size_t i;

    if (input->finding_count > VAULT_REVIEW_FINDINGS_MAX) {
        kl_err_where(err, "/findings");
        return kl_failf(err, KL_ERR_TOO_LARGE, "too_many_items", "at most %d findings",
                        VAULT_REVIEW_FINDINGS_MAX);
    }
    for (i = 0; i < input->finding_count; i++) {
        if (input->findings[i] < (int64_t)review->from ||
            input->findings[i] >= (int64_t)review->to) {
            kl_err_where(err, "/findings/%zu", i);
            return kl_fail(err, KL_ERR_INVALID, "invalid_finding",
                           "a finding is the number of an entry that the review covers", NULL);
        }
    }
    review->findings = input->findings;
    review->finding_count = input->finding_count;
    return KL_OK;
}

static bool is_looking(const char *name)
{
    const struct vault_audit_action *action = vault_audit_action_find(name);

    return action != NULL && action->is_looking;
}

/* Whether an entry is an act of the reviewer's own. */
static enum kl_status is_own(struct kl_slice entry, const char *credential, bool *ret,
                             struct kl_err *err)
{
    struct vault_audit_said said = {0};
    enum kl_status status = KL_OK;

    *ret = false;
    if (!vault_audit_names(entry, credential)) {
        return KL_OK;
    }
    status = vault_audit_read(entry, &said, err);
    if (status == KL_OK) {
        *ret = said.credential != NULL && strcmp(said.credential, credential) == 0 &&
               !is_looking(said.action);
    }
    vault_audit_said_done(&said);
    return status;
}

static enum kl_status count_own(struct vault *vault, uint64_t tenant, struct vault_review *review,
                                struct kl_err *err)
{
    struct vault_audit_walk walk = {0};
    struct kl_slice entry;
    char credential[KL_ID_TEXT_BYTES];
    uint64_t seq = 0;
    uint64_t seen = 0;
    bool own = false;
    enum kl_status status = vault_audit_walk_begin(&walk, vault, tenant, review->from, err);

    kl_id_format(VAULT_CREDENTIAL_PREFIX, &review->credential, credential);
    while (status == KL_OK) {
        status = vault_audit_walk_next(&walk, &seq, &entry, err);
        if (status != KL_OK || seq >= review->to) {
            break;
        }
        seen++;
        status = is_own(entry, credential, &own, err);
        review->own_entries += own;
    }
    vault_audit_walk_end(&walk);
    review->lost = review->to - review->from - seen;
    return status == KL_ERR_NOT_FOUND ? KL_OK : status;
}

/* ---- making one ---- */

/* What is remembered of a request that made one: its id, and where it begins. */
#define ANSWER_BYTES (KL_ID_BYTES + 8)

static enum kl_status commit(struct vault *vault, const struct vault_caller *caller,
                             uint64_t tenant, const struct vault_review *review,
                             const struct vault_batch *batch, struct kl_err *err)
{
    char location[3];
    char id[KL_ID_TEXT_BYTES];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    vault_act_begin(&act, tenant, &who, MAKE_ACTION);
    kl_id_format(VAULT_REVIEW_PREFIX, &review->id, id);
    kl_json_add_text(&act.out, "review", id);
    vault_review_write(review, &act.out);
    status = vault_act_commit(vault, acts, 1, batch, err);
    vault_act_done(&act);
    return status;
}

static enum kl_status keep(struct vault *vault, const struct vault_caller *caller, uint64_t tenant,
                           const struct vault_review *review,
                           const struct vault_idempotency_ticket *ticket, struct kl_buf *ret,
                           struct kl_err *err)
{
    unsigned char answer[ANSWER_BYTES];
    struct vault_batch *batch = vault_batch_new();
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, VAULT_REMARK_MAX_BYTES);
    memcpy(answer, review->id.bytes, KL_ID_BYTES);
    kl_put_u64be(answer + KL_ID_BYTES, review->from);
    status = batch == NULL ? kl_fail_memory(err)
                           : vault_review_put(vault, tenant, review, batch, &text, err);
    if (status == KL_OK) {
        status = vault_idempotency_remember(vault, caller, ticket, VAULT_SLOT_MAC, KMS_VALUE_NONE,
                                            kl_slice_of(answer, sizeof answer), batch, err);
    }
    if (status == KL_OK) {
        status = commit(vault, caller, tenant, review, batch, err);
    }
    if (status == KL_OK) {
        kl_buf_add(ret, text.bytes, text.size);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&text);
    vault_batch_free(batch);
    return status;
}

static enum kl_status make(struct vault *vault, const struct vault_caller *caller, uint64_t tenant,
                           const struct vault_review_input *input,
                           const struct vault_idempotency_ticket *ticket, struct kl_buf *ret,
                           struct kl_err *err)
{
    struct vault_review review = {.id = kl_id_new(),
                                  .at_us = caller->now_us,
                                  .credential = caller->credential,
                                  .role = caller->role_name,
                                  .note = input->note};
    enum kl_status status =
        input->note == NULL
            ? KL_OK
            : vault_remark_check(input->note, "note", VAULT_REVIEW_NOTE_MAX_BYTES, err);

    if (status == KL_OK) {
        status = take_range(vault, tenant, input, &review, err);
    }
    if (status == KL_OK) {
        status = take_findings(input, &review, err);
    }
    if (status == KL_OK) {
        status = count_own(vault, tenant, &review, err);
    }
    return status == KL_OK ? keep(vault, caller, tenant, &review, ticket, ret, err) : status;
}

static enum kl_status again(struct vault *vault, uint64_t tenant, struct kl_slice answer,
                            struct kl_buf *ret, struct kl_err *err)
{
    struct kl_id id;

    if (answer.size != ANSWER_BYTES) {
        return kl_fail(err, KL_ERR_CORRUPT, "idempotency_damaged", "a stored answer cannot be read",
                       NULL);
    }
    memcpy(id.bytes, answer.bytes, KL_ID_BYTES);
    return vault_review_get(vault, tenant, kl_get_u64be(answer.bytes + KL_ID_BYTES), &id, ret, err);
}

enum kl_status vault_review_make(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_review_input *input,
                                 const struct vault_idempotency *idempotency, struct kl_buf *ret,
                                 bool *ret_replayed, struct kl_err *err)
{
    struct vault_idempotency_ticket ticket = {0};
    struct kl_buf answer;
    uint64_t tenant = 0;
    enum kl_status status = vault_act_own_trail(vault, caller, MAKE_ACTION, &tenant, err);

    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    status = vault_idempotency_begin(vault, caller, idempotency, &ticket, &answer, err);
    if (status == KL_OK && answer.size > 0) {
        status = again(vault, tenant, kl_buf_slice(&answer), ret, err);
        *ret_replayed = status == KL_OK;
    } else if (status == KL_OK) {
        status = vault_walks_take(vault, err);
        if (status == KL_OK) {
            status = make(vault, caller, tenant, input, &ticket, ret, err);
            vault_walks_give(vault);
        }
    }
    vault_idempotency_end(vault, &ticket);
    kl_buf_done(&answer);
    return status;
}

/* ---- the list ---- */

struct listing {
    struct vault *vault;
    const struct vault_caller *caller;
    uint64_t tenant;
    size_t limit;
    uint64_t from;
    struct kl_id after;
    bool is_after; /* after is set */
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
};

static enum kl_status take_cursor(struct listing *listing, const char *cursor, struct kl_err *err)
{
    struct kl_buf position;
    enum kl_status status = KL_OK;

    if (cursor == NULL || cursor[0] == '\0') {
        return KL_OK;
    }
    kl_buf_init(&position, 64);
    status =
        vault_cursor_open(listing->vault, listing->caller, CURSOR_KIND, cursor, &position, err);
    if (status == KL_OK && position.size != 8 + KL_ID_BYTES) {
        status =
            kl_fail(err, KL_ERR_INVALID, "invalid_cursor", "this cursor is not of this list", NULL);
    }
    if (status == KL_OK) {
        listing->from = kl_get_u64be(position.bytes);
        memcpy(listing->after.bytes, position.bytes + 8, KL_ID_BYTES);
        listing->is_after = true;
    }
    kl_buf_done(&position);
    return status;
}

static enum kl_status make_cursor(struct listing *listing, const struct vault_review_span *last,
                                  struct kl_err *err)
{
    unsigned char position[8 + KL_ID_BYTES];

    kl_put_u64be(position, last->from);
    memcpy(position + 8, last->id.bytes, KL_ID_BYTES);
    return vault_cursor_seal(listing->vault, listing->caller, CURSOR_KIND,
                             kl_slice_of(position, sizeof position), listing->cursor, err);
}

static enum kl_status write_reviews(struct listing *listing, struct kl_json_out *out,
                                    struct kl_err *err)
{
    struct vault_review_walk walk = {0};
    struct vault_review_span span;
    struct vault_review_span last = {.counts = false};
    size_t count = 0;
    enum kl_status status =
        vault_review_walk_begin(&walk, listing->vault, listing->tenant, listing->from,
                                listing->is_after ? &listing->after : NULL, err);

    kl_json_key(out, "reviews");
    kl_json_array_begin(out);
    while (status == KL_OK) {
        status = vault_review_walk_next(&walk, &span, err);
        if (status == KL_OK && count == listing->limit) {
            status = make_cursor(listing, &last, err);
            break;
        }
        if (status == KL_OK) {
            kl_json_put_raw(out, walk.text.bytes, walk.text.size);
            last = span;
            count++;
        }
    }
    kl_json_array_end(out);
    vault_review_walk_end(&walk);
    return status == KL_ERR_NOT_FOUND ? KL_OK : status;
}

static enum kl_status write_gaps(const struct listing *listing, struct kl_json_out *out,
                                 struct kl_err *err)
{
    struct gap gaps[VAULT_REVIEW_GAPS_MAX];
    uint64_t size = 0;
    size_t count = 0;
    size_t i;
    enum kl_status status = vault_trails_size(listing->vault->trails, listing->tenant, &size, err);

    if (status == KL_OK) {
        status = find_gaps(listing->vault, listing->tenant, size, gaps, VAULT_REVIEW_GAPS_MAX,
                           &count, err);
    }
    if (status != KL_OK) {
        return status;
    }
    kl_json_key(out, "unreviewed");
    kl_json_array_begin(out);
    for (i = 0; i < count && i < VAULT_REVIEW_GAPS_MAX; i++) {
        kl_json_object_begin(out);
        kl_json_add_int(out, "from", (int64_t)gaps[i].from);
        kl_json_add_int(out, "to", (int64_t)gaps[i].to);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
    kl_json_add_bool(out, "unreviewed_more", count > VAULT_REVIEW_GAPS_MAX);
    kl_json_add_int(out, "size", (int64_t)size);
    return KL_OK;
}

static enum kl_status audit_list(const struct listing *listing, struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(listing->caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    vault_act_begin(&act, listing->tenant, &who, LIST_ACTION);
    status = vault_act_commit(listing->vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

enum kl_status vault_review_list(struct vault *vault, const struct vault_caller *caller,
                                 size_t limit, const char *cursor, struct kl_buf *ret,
                                 struct kl_err *err)
{
    struct listing listing = {.vault = vault, .caller = caller, .limit = limit};
    struct kl_buf text;
    struct kl_json_out out = kl_json_out(&text);
    enum kl_status status = vault_act_own_trail(vault, caller, LIST_ACTION, &listing.tenant, err);

    if (status == KL_OK && (limit < 1 || limit > VAULT_PAGE_MAX)) {
        status = kl_failf(err, KL_ERR_INVALID, "invalid_limit", "limit is 1 to %d", VAULT_PAGE_MAX);
    }
    if (status == KL_OK) {
        status = take_cursor(&listing, cursor, err);
    }
    if (status == KL_OK) {
        status = vault_walks_take(vault, err);
    }
    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&text, LIST_MAX_BYTES);
    kl_json_object_begin(&out);
    status = write_reviews(&listing, &out, err);
    if (status == KL_OK) {
        status = write_gaps(&listing, &out, err);
    }
    vault_walks_give(vault);
    kl_json_add_text(&out, "next_cursor", listing.cursor[0] == '\0' ? NULL : listing.cursor);
    kl_json_object_end(&out);
    if (status == KL_OK) {
        status = kl_buf_status(&text, err);
    }
    if (status == KL_OK) {
        status = audit_list(&listing, err);
    }
    if (status == KL_OK) {
        kl_buf_add(ret, text.bytes, text.size);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&text);
    return status;
}
