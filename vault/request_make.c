/* A request of a data subject: found, opened, written, made, read. */
#include "kluis/base/encode.h"
#include "vault/aside.h"
#include "vault/idempotency.h"
#include "vault/request_internal.h"

#include <string.h>

#define CLOCK_AHEAD_US (5 * 60 * KL_TIME_SECOND_US)
#define ANSWER_LETTER 'q'

enum kl_status vault_request_not_found(struct kl_err *err)
{
    kl_err_clear(err);
    return kl_fail(err, KL_ERR_NOT_FOUND, "not_found",
                   "there is no such request, or none this credential may know of", NULL);
}

/* ---- who may ---- */

enum kl_status vault_request_allowed(const struct vault_caller *caller,
                                     const struct vault_subject *subject, struct kl_err *err)
{
    return caller->builtin == VAULT_BUILTIN_STEWARD
               ? KL_OK
               : vault_subject_allowed(caller, VAULT_ACTION_MANAGE_REQUESTS, subject, VAULT_NONE,
                                       err);
}

bool vault_request_allowed_any(const struct vault_caller *caller)
{
    struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_MANAGE_REQUESTS, VAULT_NONE, VAULT_NONE,
                       caller->bound ? &caller->bound_subject : NULL);

    return caller->builtin == VAULT_BUILTIN_STEWARD ||
           (query.role != VAULT_NONE && vault_policy_may(caller->policy, &query));
}

enum kl_status vault_request_may_leave(struct vault *vault, const struct vault_caller *caller,
                                       const struct vault_subject *subject, struct kl_arena *arena,
                                       bool *ret_plain, int *ret_transfer, struct kl_err *err)
{
    struct vault_query query = vault_query_of(caller, VAULT_ACTION_MANAGE_REQUESTS, VAULT_NONE,
                                              VAULT_NONE, &subject->base.subject);
    enum vault_view view = VAULT_VIEW_PLAIN;
    struct vault_facts facts;
    enum kl_status status =
        vault_facts_of(vault, subject, caller->policy, &query, arena, &facts, err);

    if (status != KL_OK) {
        return status;
    }
    if (!vault_policy_may_leave(caller->policy, &query, &facts, &view, ret_transfer)) {
        return kl_failf(err, KL_ERR_FORBIDDEN, "withheld", "requests are withheld by the gate %s",
                        vault_gate_name(VAULT_GATE_TRANSFER));
    }
    *ret_plain = view == VAULT_VIEW_PLAIN && caller->builtin != VAULT_BUILTIN_STEWARD;
    return KL_OK;
}

/* ---- finding and opening ---- */

enum kl_status vault_request_slot(struct vault *vault, uint64_t tenant, const struct kl_id *request,
                                  uint64_t *ret_slot, struct kl_err *err)
{
    struct vault_row_key key = vault_row_request(tenant, request);
    enum kl_status status = KL_OK;
    struct kl_buf row;

    kl_buf_init(&row, 8);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK && row.size == 8) {
        *ret_slot = kl_get_u64be(row.bytes);
    } else if (status == KL_OK || status == KL_ERR_NOT_FOUND) {
        status = vault_request_not_found(err);
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status row_read(struct vault *vault, uint64_t tenant, uint64_t slot,
                               const struct kl_id *request, struct vault_request_row *ret,
                               struct kl_err *err)
{
    struct vault_row_key key = vault_row_aside(tenant, slot, VAULT_ASIDE_REQUEST, request);
    enum kl_status status = KL_OK;
    struct kl_buf row;

    kl_buf_init(&row, VAULT_REQUEST_ROW_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_ERR_NOT_FOUND) {
        status = vault_request_not_found(err);
    } else if (status == KL_OK && !vault_request_row_read(kl_buf_slice(&row), ret)) {
        status =
            kl_fail(err, KL_ERR_CORRUPT, "request_damaged", "this request cannot be read", NULL);
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_request_open(struct vault *vault, uint64_t tenant, uint64_t slot,
                                  const struct kl_id *request, struct kl_arena *arena,
                                  struct vault_request *ret, struct vault_request_row *ret_row,
                                  struct kl_err *err)
{
    struct vault_request_row row = {0};
    struct vault_request opened;
    struct kl_slice text;
    enum kl_status status = row_read(vault, tenant, slot, request, &row, err);

    if (status == KL_OK) {
        status = vault_aside_open(vault, tenant, slot, row.value, VAULT_REQUEST_CONTEXT, arena,
                                  &text, err);
    }
    if (status == KL_OK) {
        status = vault_request_decode(text, arena, &opened, err);
    }
    if (status == KL_OK && !kl_id_equal(&opened.id, request)) {
        status = kl_fail(err, KL_ERR_CORRUPT, "request_damaged", "this request cannot be read",
                         "a request lies in another one's place");
    }
    if (status == KL_OK) {
        *ret = opened;
        *ret_row = row;
    }
    return status;
}

enum kl_status vault_request_put(struct vault_change *change, const struct vault_request *request,
                                 uint64_t value, const struct vault_request_row *was,
                                 struct kl_err *err)
{
    const struct vault_request_row now = {
        .value = value, .due_us = request->due_us, .open = vault_request_is_open(request)};
    enum kl_status status = KL_OK;
    struct kl_buf text;

    kl_buf_init(&text, VAULT_REQUEST_TEXT_MAX_BYTES);
    status = vault_request_encode(request, &text, err);
    if (status == KL_OK) {
        status = vault_change_value_put(change, value, kl_slice_text(VAULT_REQUEST_CONTEXT),
                                        kl_buf_slice(&text), err);
    }
    if (status == KL_OK) {
        vault_request_rows_put(change->batch, change->subject.tenant, change->subject.slot,
                               &request->id, was, &now);
    }
    kl_buf_done(&text);
    return status;
}

/* ---- what is shown, and what the trail says ---- */

static const char *copy_text(struct kl_arena *arena, const char *text, bool *no_room)
{
    const char *copy = text == NULL ? NULL : kl_arena_text(arena, text, strlen(text));

    *no_room = *no_room || (text != NULL && copy == NULL);
    return copy;
}

enum kl_status vault_request_result_of(const struct vault_caller *caller,
                                       const struct vault_subject *subject,
                                       const struct vault_request *request, bool plain,
                                       struct kl_arena *arena, struct vault_request_result *ret,
                                       struct kl_err *err)
{
    struct vault_request copy = *request;
    const char **const hidden[] = {&copy.note, &copy.verified_note, &copy.extended_note,
                                   &copy.closed_note, &copy.reference};
    const char **const shown[] = {&copy.channel, &copy.fee.amount, &copy.fee.currency};
    bool no_room = false;
    size_t i;

    for (i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        *hidden[i] = plain ? copy_text(arena, *hidden[i], &no_room) : NULL;
    }
    for (i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        *shown[i] = copy_text(arena, *shown[i], &no_room);
    }
    if (no_room) {
        return kl_fail_memory(err);
    }
    ret->subject = subject->base.subject;
    ret->request = copy;
    ret->overdue = vault_request_is_open(request) && request->due_us < caller->now_us;
    return KL_OK;
}

void vault_request_act_begin(struct vault_act *act, const struct vault_caller *caller,
                             const char *action, uint64_t slot, const struct vault_request *request,
                             int transfer)
{
    char id[KL_ID_TEXT_BYTES];

    vault_subject_act_begin(act, caller, action, slot);
    kl_id_format(VAULT_REQUEST_PREFIX, &request->id, id);
    kl_json_add_text(&act->out, "request", id);
    kl_json_add_text(&act->out, "right", request->right);
    if (transfer != VAULT_NONE) {
        vault_subject_act_transfers(act, caller->policy, UINT64_C(1) << transfer);
    }
}

enum kl_status vault_request_remember(struct vault_change *change,
                                      const struct vault_idempotency_ticket *ticket,
                                      const struct kl_id *request, uint64_t value,
                                      struct kl_err *err)
{
    unsigned char answer[VAULT_REQUEST_ANSWER_BYTES] = {ANSWER_LETTER};

    memcpy(answer + 1, request->bytes, KL_ID_BYTES);
    return vault_idempotency_remember(change->vault, change->caller, ticket, change->subject.slot,
                                      value, kl_slice_of(answer, sizeof answer), change->batch,
                                      err);
}

bool vault_request_remembered(struct kl_slice answer, struct kl_id *ret_request)
{
    if (answer.size != VAULT_REQUEST_ANSWER_BYTES || answer.bytes[0] != ANSWER_LETTER) {
        return false;
    }
    memcpy(ret_request->bytes, answer.bytes + 1, KL_ID_BYTES);
    return true;
}

/* ---- checks of what was said ---- */

enum kl_status vault_request_note_check(const char *note, struct kl_err *err)
{
    size_t size = note == NULL ? 0 : strnlen(note, VAULT_REQUEST_NOTE_MAX_BYTES + 1);

    if (note == NULL) {
        return KL_OK;
    }
    if (size > VAULT_REQUEST_NOTE_MAX_BYTES) {
        kl_err_where(err, "/note");
        return kl_fail(err, KL_ERR_TOO_LARGE, "value_too_large", "a note is at most 2048 bytes",
                       NULL);
    }
    if (!kl_utf8_valid(note, size)) {
        kl_err_where(err, "/note");
        return kl_fail(err, KL_ERR_INVALID, "invalid_value", "a note is well-formed UTF-8", NULL);
    }
    return KL_OK;
}

enum kl_status vault_request_word_check(const char *const *words, const char *text,
                                        const char *member, const char *code, const char **ret,
                                        struct kl_err *err)
{
    const char *word = vault_request_word(words, text);
    enum kl_status status = KL_OK;
    struct kl_buf known;
    size_t i;

    if (word != NULL) {
        *ret = word;
        return KL_OK;
    }
    kl_buf_init(&known, KL_ERR_TEXT_BYTES);
    for (i = 0; words[i] != NULL; i++) {
        kl_buf_addf(&known, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
    kl_err_where(err, "/%s", member);
    status = kl_failf(err, KL_ERR_INVALID, code, "%s is one of: %.*s", member, (int)known.size,
                      known.size == 0 ? "" : (const char *)known.bytes);
    kl_buf_done(&known);
    return status;
}

/* ---- making ---- */

struct making {
    const struct vault_idempotency_ticket *ticket;
    struct vault_request request;
    struct kl_arena *arena;
    struct vault_request_result result;
};

static enum kl_status check_times(const struct vault_caller *caller,
                                  const struct vault_request_input *input,
                                  struct vault_request *request, struct kl_err *err)
{
    request->received_us = input->received_us == 0 ? caller->now_us : input->received_us;
    if (input->received_us < 0 || input->received_us > caller->now_us + CLOCK_AHEAD_US ||
        (caller->bound && input->received_us != 0)) {
        kl_err_where(err, "/received_at");
        return kl_fail(err, KL_ERR_INVALID, "invalid_time",
                       caller->bound ? "a request of one's own is received now"
                                     : "a request was received before now, and after 1970",
                       NULL);
    }
    if (request->received_us > caller->now_us) {
        request->received_us = caller->now_us;
    }
    vault_request_deadlines(vault_policy_requests(caller->policy), request);
    return KL_OK;
}

static enum kl_status check_input(const struct vault_caller *caller,
                                  const struct vault_request_input *input,
                                  struct vault_request *request, struct kl_err *err)
{
    enum kl_status status = vault_request_word_check(vault_request_rights, input->right, "right",
                                                     "invalid_right", &request->right, err);

    if (status == KL_OK && input->channel != NULL && !vault_draft_word_valid(input->channel)) {
        kl_err_where(err, "/channel");
        status = kl_fail(err, KL_ERR_INVALID, "invalid_name",
                         "a channel is a name of at most 64 characters A-Z, a-z, 0-9, dot, - and _",
                         NULL);
    }
    if (status == KL_OK) {
        status = vault_request_note_check(input->note, err);
    }
    if (status == KL_OK) {
        request->channel = input->channel;
        request->note = input->note;
        status = check_times(caller, input, request, err);
    }
    return status;
}

/* How many requests a subject has. */
static enum kl_status count_requests(const struct vault_change *change, size_t *ret_count,
                                     struct kl_err *err)
{
    struct vault_row_key first =
        vault_row_aside(change->subject.tenant, change->subject.slot, VAULT_ASIDE_REQUEST, NULL);
    struct vault_row_key past = vault_row_past(&first);
    struct vault_iter *iter = vault_iter_new(change->vault->data_store, vault_row_slice(&first),
                                             vault_row_slice(&past), false);
    enum kl_status status = KL_OK;
    struct kl_slice key;
    struct kl_slice row;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    *ret_count = 0;
    while (vault_iter_next(iter, &key, &row)) {
        (*ret_count)++;
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

static enum kl_status make_body(struct vault_change *change, void *context, struct kl_err *err)
{
    struct making *making = context;
    size_t count = 0;
    uint64_t value = 0;
    enum kl_status status = vault_request_allowed(change->caller, &change->subject, err);

    if (status == KL_OK) {
        status = count_requests(change, &count, err);
    }
    if (status == KL_OK && count >= VAULT_REQUESTS_MAX) {
        status = kl_fail(err, KL_ERR_TOO_LARGE, "subject_requests_full",
                         "a subject has at most 256 requests", NULL);
    }
    if (status == KL_OK) {
        status = vault_change_value_take(change, &value, err);
    }
    if (status == KL_OK) {
        status = vault_request_put(change, &making->request, value, NULL, err);
    }
    if (status == KL_OK) {
        status = vault_request_remember(change, making->ticket, &making->request.id, value, err);
    }
    if (status == KL_OK) {
        status = vault_request_result_of(change->caller, &change->subject, &making->request,
                                         change->caller->builtin != VAULT_BUILTIN_STEWARD,
                                         making->arena, &making->result, err);
    }
    if (status == KL_OK) {
        vault_request_act_begin(&change->act, change->caller, "request_create",
                                change->subject.slot, &making->request, VAULT_NONE);
    }
    return status;
}

/* What an earlier request with the same key made, as it is now. */
static enum kl_status make_again(struct vault *vault, const struct vault_caller *caller,
                                 struct kl_slice answer, struct kl_arena *arena,
                                 struct vault_request_result *ret, struct kl_err *err)
{
    struct kl_id request;

    return vault_request_remembered(answer, &request)
               ? vault_request_read(vault, caller, &request, arena, ret, err)
               : kl_fail(err, KL_ERR_CORRUPT, "idempotency_damaged",
                         "a stored answer cannot be read", NULL);
}

enum kl_status vault_request_create(struct vault *vault, const struct vault_caller *caller,
                                    const struct vault_request_input *input,
                                    const struct vault_idempotency *idempotency,
                                    struct kl_arena *arena, struct vault_request_result *ret,
                                    bool *ret_replayed, struct kl_err *err)
{
    struct vault_idempotency_ticket ticket = {0};
    struct making making = {.ticket = &ticket, .request = {.id = kl_id_new()}, .arena = arena};
    struct kl_err own = {0};
    struct kl_buf answer;
    enum kl_status status = KL_OK;
    bool replayed = false;

    err = err == NULL ? &own : err;
    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = vault_idempotency_begin(vault, caller, idempotency, &ticket, &answer, err);
        replayed = answer.size > 0;
    }
    if (status == KL_OK && replayed) {
        status = make_again(vault, caller, kl_buf_slice(&answer), arena, &making.result, err);
    } else if (status == KL_OK) {
        status = vault_request_allowed_any(caller)
                     ? check_input(caller, input, &making.request, err)
                     : vault_not_found(err);
        if (status == KL_OK) {
            status = vault_subject_change(vault, caller, &input->subject, make_body, &making, err);
        }
    }
    vault_idempotency_end(vault, &ticket);
    kl_buf_done(&answer);
    if (status == KL_OK) {
        *ret = making.result;
        *ret_replayed = replayed;
    }
    return vault_subject_refused(vault, caller, "request_create", VAULT_NONE, status, err);
}

/* ---- reading ---- */

static enum kl_status read_act(struct vault *vault, const struct vault_caller *caller,
                               uint64_t slot, const struct vault_request *request, int transfer,
                               struct kl_err *err)
{
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    enum kl_status status = KL_OK;

    vault_request_act_begin(&act, caller, "request_read", slot, request, transfer);
    status = vault_subject_act_end(&act, err);
    if (status == KL_OK) {
        status = vault_audit_commit(vault, entries, 1, err);
    }
    vault_act_done(&act);
    return status;
}

static enum kl_status read_found(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *id, struct vault_subject *subject,
                                 struct kl_arena *arena, struct vault_request_result *ret,
                                 struct kl_err *err)
{
    struct vault_request request;
    struct vault_request_row row;
    uint64_t slot = 0;
    bool plain = false;
    int transfer = VAULT_NONE;
    enum kl_status status = vault_request_slot(vault, caller->tenant, id, &slot, err);

    if (status == KL_OK) {
        status = vault_subject_load(vault, caller->tenant, slot, arena, subject, err);
    }
    if (status == KL_OK && caller->bound &&
        !kl_id_equal(&caller->bound_subject, &subject->base.subject)) {
        status = vault_request_not_found(err);
    }
    if (status == KL_OK) {
        status = vault_request_allowed(caller, subject, err);
    }
    if (status == KL_OK) {
        status = vault_request_open(vault, caller->tenant, slot, id, arena, &request, &row, err);
    }
    if (status == KL_OK) {
        status = vault_request_may_leave(vault, caller, subject, arena, &plain, &transfer, err);
    }
    if (status == KL_OK) {
        status = vault_request_result_of(caller, subject, &request, plain, arena, ret, err);
    }
    return status == KL_OK ? read_act(vault, caller, slot, &request, transfer, err) : status;
}

enum kl_status vault_request_read(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *request, struct kl_arena *arena,
                                  struct vault_request_result *ret, struct kl_err *err)
{
    struct vault_subject subject = {0};
    struct vault_request_result result = {0};
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    status = read_found(vault, caller, request, &subject, arena, &result, err);
    vault_subject_done(&subject);
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) {
        status = vault_request_not_found(err);
    }
    if (status == KL_OK) {
        *ret = result;
    }
    return vault_subject_refused(vault, caller, "request_read", VAULT_NONE, status, err);
}
