/* Requests by their deadlines: rows in clear lead to subjects, which are opened one by one. */
#include "kluis/base/log.h"
#include "vault/request_internal.h"

#include <string.h>

/* The most rows that one page looks at: a page may be short, or empty, and still have a cursor. */
#define ROWS_PER_PAGE 20000
#define CURSOR_KIND "requests"
#define CURSOR_BYTES (1 + 8 + KL_ID_BYTES)

/* states: a bit for each that is wanted. */
struct listing {
    struct vault *vault;
    const struct vault_caller *caller;
    struct kl_arena *arena;
    struct kl_arena *scratch; /* one subject at a time */
    unsigned states;
    int64_t until_us;
    size_t limit;
    struct vault_request_result *results;
    struct vault_act *acts;
    struct vault_audit_entry **entries;
    size_t count;
    size_t looked;
    struct vault_request_place last; /* the last row that was looked at */
    bool has_last;
    bool ended;
    enum kl_status status;
    struct kl_err *err;
};

#define STATE(state) (1u << (state))
#define OPEN (STATE(VAULT_REQUEST_RECEIVED) | STATE(VAULT_REQUEST_VERIFIED))
#define CLOSED (STATE(VAULT_REQUEST_COMPLETED) | STATE(VAULT_REQUEST_REJECTED))

static enum kl_status states_of(const struct vault_request_filter *filter, unsigned *ret,
                                struct kl_err *err)
{
    int i;

    if (filter->state == NULL) {
        *ret = filter->due_before_us == 0 ? OPEN | CLOSED : OPEN;
        return KL_OK;
    }
    if (strcmp(filter->state, "open") == 0 || strcmp(filter->state, "closed") == 0) {
        *ret = filter->state[0] == 'o' ? OPEN : CLOSED;
        return KL_OK;
    }
    for (i = 0; i < VAULT_REQUEST_STATES; i++) {
        if (strcmp(filter->state, vault_request_state_name((enum vault_request_state)i)) == 0) {
            *ret = STATE(i);
            return KL_OK;
        }
    }
    return kl_fail(err, KL_ERR_INVALID, "invalid_state",
                   "state is one of: open, closed, received, verified, completed, rejected", NULL);
}

/* Into the results, when the caller may know of it and its state is wanted. */
static enum kl_status list_opened(struct listing *listing, const struct vault_subject *subject,
                                  const struct kl_id *id, struct kl_err *err)
{
    const struct vault_caller *caller = listing->caller;
    struct vault_act *act = &listing->acts[listing->count];
    struct vault_request request;
    struct vault_request_row row;
    bool plain = false;
    int transfer = VAULT_NONE;
    enum kl_status status = KL_OK;

    if (caller->bound && !kl_id_equal(&caller->bound_subject, &subject->base.subject)) {
        return KL_OK;
    }
    status = vault_request_allowed(caller, subject, err);
    if (status == KL_OK) {
        status = vault_request_open(listing->vault, caller->tenant, subject->slot, id,
                                    listing->scratch, &request, &row, err);
    }
    if (status == KL_OK && (listing->states & STATE(request.state)) == 0) {
        return KL_OK;
    }
    if (status == KL_OK) {
        status = vault_request_may_leave(listing->vault, caller, subject, listing->scratch, &plain,
                                         &transfer, err);
    }
    if (status == KL_OK) {
        status = vault_request_result_of(caller, subject, &request, false, listing->arena,
                                         &listing->results[listing->count], err);
    }
    if (status == KL_OK) {
        vault_request_act_begin(act, caller, "request_list", subject->slot, &request, transfer);
        status = vault_subject_act_end(act, err);
        listing->entries[listing->count++] = &act->entry;
    }
    return status;
}

/* What vanished meanwhile, may not be known, or does not open, is passed over. */
static bool list_one(void *visitor, const struct vault_request_place *place, uint64_t slot)
{
    struct listing *listing = visitor;
    struct vault_subject subject = {0};
    enum kl_status status = KL_OK;

    if (listing->count == listing->limit || listing->looked == ROWS_PER_PAGE) {
        listing->ended = false;
        return false;
    }
    listing->looked++;
    listing->last = *place;
    listing->has_last = true;
    kl_arena_reset(listing->scratch);
    status = vault_subject_load(listing->vault, listing->caller->tenant, slot, listing->scratch,
                                &subject, listing->err);
    if (status == KL_OK) {
        status = list_opened(listing, &subject, &place->request, listing->err);
    }
    vault_subject_done(&subject);
    if (status == KL_ERR_CORRUPT) {
        kl_log(KL_LOG_ERROR, "request_damaged", KL_LOG_INT("tenant", listing->caller->tenant),
               KL_LOG_INT("slot", slot), KL_LOG_TEXT("text", listing->err->log_text));
    }
    if (status == KL_ERR_GONE || status == KL_ERR_NOT_FOUND || status == KL_ERR_CORRUPT ||
        status == KL_ERR_FORBIDDEN) {
        kl_err_clear(listing->err);
        status = KL_OK;
    }
    listing->status = status;
    return status == KL_OK;
}

static enum kl_status list_part(struct listing *listing, bool open,
                                const struct vault_request_place *after, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if ((listing->states & (open ? OPEN : CLOSED)) == 0 || !listing->ended) {
        return KL_OK;
    }
    status = vault_request_rows_each(listing->vault->data_store, listing->caller->tenant, open,
                                     listing->until_us, after, list_one, listing, err);
    return status == KL_OK ? listing->status : status;
}

/* ---- cursors ---- */

static enum kl_status cursor_open(const struct listing *listing, const char *cursor,
                                  struct vault_request_place *ret, bool *ret_there,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf position;

    if (cursor == NULL || cursor[0] == 0) {
        *ret_there = false;
        return KL_OK;
    }
    kl_buf_init(&position, CURSOR_BYTES);
    status =
        vault_cursor_open(listing->vault, listing->caller, CURSOR_KIND, cursor, &position, err);
    if (status == KL_OK && position.size == CURSOR_BYTES) {
        ret->open = position.bytes[0] == 1;
        ret->due_us = (int64_t)(kl_get_u64be(position.bytes + 1) & INT64_MAX);
        memcpy(ret->request.bytes, position.bytes + 9, KL_ID_BYTES);
        *ret_there = true;
    } else if (status == KL_OK) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_cursor",
                         "the cursor is not one that this list gave to this credential", NULL);
    }
    kl_buf_done(&position);
    return status;
}

static enum kl_status cursor_seal(const struct listing *listing, char *ret_cursor,
                                  struct kl_err *err)
{
    unsigned char position[CURSOR_BYTES];

    if (listing->ended || !listing->has_last) {
        ret_cursor[0] = 0;
        return KL_OK;
    }
    position[0] = listing->last.open ? 1 : 0;
    kl_put_u64be(position + 1, (uint64_t)listing->last.due_us);
    memcpy(position + 9, listing->last.request.bytes, KL_ID_BYTES);
    return vault_cursor_seal(listing->vault, listing->caller, CURSOR_KIND,
                             kl_slice_of(position, sizeof position), ret_cursor, err);
}

/* ---- a page ---- */

static enum kl_status list_page(struct listing *listing, const char *cursor, struct kl_err *err)
{
    struct vault_request_place after;
    bool there = false;
    enum kl_status status = cursor_open(listing, cursor, &after, &there, err);

    listing->results = kl_arena_array(listing->arena, listing->limit, sizeof *listing->results);
    listing->acts = kl_arena_array(listing->arena, listing->limit, sizeof *listing->acts);
    listing->entries = kl_arena_array(listing->arena, listing->limit, sizeof *listing->entries);
    if (status == KL_OK &&
        (listing->results == NULL || listing->acts == NULL || listing->entries == NULL)) {
        status = kl_fail_memory(err);
    }
    listing->ended = true;
    if (status == KL_OK && (!there || after.open)) {
        status = list_part(listing, true, there ? &after : NULL, err);
    }
    if (status == KL_OK) {
        status = list_part(listing, false, there && !after.open ? &after : NULL, err);
    }
    return status;
}

/* An entry for each; when there is none, one that says so. */
static enum kl_status list_act(struct listing *listing, struct kl_err *err)
{
    struct vault_act none = {0};
    struct vault_audit_entry *none_entries[1] = {&none.entry};
    char location[3];
    struct vault_audit_who who = vault_caller_who(listing->caller, location);
    enum kl_status status = KL_OK;

    if (listing->count > 0) {
        return vault_audit_commit(listing->vault, listing->entries, listing->count, err);
    }
    vault_act_begin(&none, listing->caller->tenant, &who, "request_list");
    kl_json_add_int(&none.out, "policy", (int64_t)listing->caller->policy_number);
    kl_json_add_int(&none.out, "found", 0);
    status = vault_subject_act_end(&none, err);
    if (status == KL_OK) {
        status = vault_audit_commit(listing->vault, none_entries, 1, err);
    }
    vault_act_done(&none);
    return status;
}

static enum kl_status list(struct listing *listing, const struct vault_request_filter *filter,
                           char *ret_cursor, struct kl_err *err)
{
    enum kl_status status = states_of(filter, &listing->states, err);
    size_t i;

    if (status == KL_OK && (filter->limit == 0 || filter->limit > VAULT_PAGE_MAX)) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_limit", "limit is 1 to 1000", NULL);
    }
    if (status != KL_OK) {
        return status;
    }
    listing->until_us = filter->due_before_us == 0 ? INT64_MAX : filter->due_before_us;
    listing->limit = filter->limit;
    listing->scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
    status =
        listing->scratch == NULL ? kl_fail_memory(err) : list_page(listing, filter->cursor, err);
    if (status == KL_OK) {
        status = cursor_seal(listing, ret_cursor, err);
    }
    if (status == KL_OK) {
        status = list_act(listing, err);
    }
    for (i = 0; listing->acts != NULL && i < listing->limit; i++) {
        vault_act_done(&listing->acts[i]);
    }
    kl_arena_free(listing->scratch);
    return status;
}

enum kl_status vault_request_list(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_request_filter *filter, struct kl_arena *arena,
                                  struct vault_request_result **ret_requests, size_t *ret_count,
                                  char *ret_cursor, struct kl_err *err)
{
    struct kl_err own = {0};
    struct listing listing = {.vault = vault, .caller = caller, .arena = arena};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    listing.err = err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    status = vault_request_allowed_any(caller)
                 ? list(&listing, filter, cursor, err)
                 : kl_fail(err, KL_ERR_FORBIDDEN, "role_forbidden",
                           "the role of this credential does not manage requests", NULL);
    if (status == KL_OK) {
        *ret_requests = listing.results;
        *ret_count = listing.count;
        memcpy(ret_cursor, cursor, sizeof cursor);
    }
    return vault_subject_refused(vault, caller, "request_list", VAULT_NONE, status, err);
}
