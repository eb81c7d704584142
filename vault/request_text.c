#include "vault/request_text.h"

#include "vault/request_rows.h"

#include <string.h>

#define FORMAT 1

const char *const vault_request_rights[] = {
    "access",    "rectification",      "erasure",    "restriction", "portability",
    "objection", "automated_decision", "withdrawal", NULL};
const char *const vault_request_methods[] = {"authenticated_session",
                                             "known_contact",
                                             "control_question",
                                             "electronic_identification",
                                             "in_person",
                                             "redacted_document",
                                             "representative_mandate",
                                             NULL};
const char *const vault_request_reasons[] = {"complexity", "number_of_requests", NULL};
const char *const vault_request_grounds[] = {
    "manifestly_unfounded", "excessive",      "identity_not_proven", "legal_exception",
    "rights_of_others",     "not_applicable", "withdrawn_by_person", NULL};
const char *const vault_request_outcomes[] = {"done", "partly_done", "nothing_to_do", NULL};
const char *const vault_request_fees[] = {"manifestly_unfounded", "excessive", "further_copies",
                                          NULL};

const char *vault_request_state_name(enum vault_request_state state)
{
    static const char *const names[] = {"received", "verified", "completed", "rejected"};

    return names[state];
}

const char *vault_request_word(const char *const *words, const char *text)
{
    for (; text != NULL && *words != NULL; words++) {
        if (strcmp(*words, text) == 0) {
            return *words;
        }
    }
    return NULL;
}

bool vault_request_is_open(const struct vault_request *request)
{
    return request->state == VAULT_REQUEST_RECEIVED || request->state == VAULT_REQUEST_VERIFIED;
}

/* ---- the sealed text ---- */

/* One member that is a text; words: it is one of them. */
struct text_member {
    const char **text;
    const char *const *words;
    bool needed;
};
#define TEXTS 14
#define TIMES 9

static void texts_of(struct vault_request *request, struct text_member ret[TEXTS])
{
    const struct text_member members[TEXTS] = {
        {&request->right, vault_request_rights, true},
        {&request->channel, NULL, false},
        {&request->note, NULL, false},
        {&request->method, vault_request_methods, request->verified_us != 0},
        {&request->verified_note, NULL, false},
        {&request->reason, vault_request_reasons, request->extended_us != 0},
        {&request->extended_note, NULL, false},
        {&request->outcome, vault_request_outcomes, request->state == VAULT_REQUEST_COMPLETED},
        {&request->ground, vault_request_grounds, request->state == VAULT_REQUEST_REJECTED},
        {&request->reference, NULL, false},
        {&request->closed_note, NULL, false},
        {&request->fee.amount, NULL, false},
        {&request->fee.currency, NULL, false},
        {&request->fee.reason, vault_request_fees, false}};

    memcpy(ret, members, sizeof members);
}

static void times_of(struct vault_request *request, int64_t *ret[TIMES])
{
    int64_t *const times[TIMES] = {
        &request->received_us,  &request->aim_us,      &request->due_us,
        &request->verified_us,  &request->extended_us, &request->extended_told_us,
        &request->first_due_us, &request->closed_us,   &request->closed_told_us};

    memcpy(ret, times, sizeof times);
}

enum kl_status vault_request_encode(const struct vault_request *request, struct kl_buf *ret,
                                    struct kl_err *err)
{
    struct vault_request copy = *request;
    struct text_member texts[TEXTS];
    int64_t *times[TIMES];
    size_t i;

    texts_of(&copy, texts);
    times_of(&copy, times);
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add(ret, request->id.bytes, KL_ID_BYTES);
    kl_buf_add_byte(ret, (unsigned char)request->state);
    for (i = 0; i < TIMES; i++) {
        kl_buf_add_u64be(ret, (uint64_t)*times[i]);
    }
    for (i = 0; i < TEXTS; i++) {
        const char *text = *texts[i].text;

        kl_buf_add_sized(ret, text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
    }
    return kl_buf_status(ret, err);
}

/* False: it is none that encode writes, or no memory (then *no_room is set). */
static bool read_text(struct kl_reader *in, struct kl_arena *arena,
                      const struct text_member *member, bool *no_room)
{
    struct kl_slice text = kl_read_sized(in);
    const char *copy = NULL;

    if (!in->ok || (text.size > 0 && memchr(text.bytes, 0, text.size) != NULL)) {
        return false;
    }
    if (text.size == 0) {
        *member->text = NULL;
        return !member->needed;
    }
    copy = kl_arena_text(arena, text.bytes, text.size);
    if (copy == NULL) {
        *no_room = true;
        return false;
    }
    *member->text = member->words == NULL ? copy : vault_request_word(member->words, copy);
    return *member->text != NULL;
}

static bool times_valid(int64_t *const times[TIMES])
{
    size_t i;

    for (i = 0; i < TIMES; i++) {
        if (*times[i] < 0 || *times[i] > KL_TIME_MAX_US) {
            return false;
        }
    }
    return true;
}

enum kl_status vault_request_decode(struct kl_slice text, struct kl_arena *arena,
                                    struct vault_request *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(text);
    struct vault_request request = {.state = VAULT_REQUEST_RECEIVED};
    struct text_member texts[TEXTS];
    int64_t *times[TIMES];
    unsigned char format = kl_read_byte(&in);
    struct kl_slice id = kl_read_bytes(&in, KL_ID_BYTES);
    unsigned char state = kl_read_byte(&in);
    bool no_room = false;
    bool whole = in.ok && format == FORMAT && state < VAULT_REQUEST_STATES;
    size_t i;

    times_of(&request, times);
    for (i = 0; i < TIMES; i++) {
        *times[i] = (int64_t)kl_read_u64be(&in);
    }
    whole = whole && in.ok && times_valid(times);
    if (whole) {
        memcpy(request.id.bytes, id.bytes, KL_ID_BYTES);
        request.state = (enum vault_request_state)state;
    }
    texts_of(&request, texts);
    for (i = 0; whole && i < TEXTS; i++) {
        whole = read_text(&in, arena, &texts[i], &no_room);
    }
    if (no_room) {
        return kl_fail_memory(err);
    }
    if (!whole || !kl_reader_done(&in)) {
        return kl_fail(err, KL_ERR_CORRUPT, "request_damaged", "this request cannot be read", NULL);
    }
    *ret = request;
    return KL_OK;
}

/* ---- deadlines ---- */

/*
 * The end of the last day: the day of the event does not count, and the period ends with the last hour of its last day (Regulation 1182/71,
 * art. 3(1) and 3(2)). A duration with hours is counted from the moment itself.
 */
static int64_t period_end(int64_t from_us, const struct kl_duration *duration)
{
    int64_t end_us;

    if (duration->seconds != 0) {
        return kl_time_add(from_us, duration);
    }
    end_us = kl_time_add(from_us - from_us % KL_TIME_DAY_US, duration);
    return end_us > KL_TIME_MAX_US - KL_TIME_DAY_US ? KL_TIME_MAX_US
                                                    : end_us + KL_TIME_DAY_US - KL_TIME_SECOND_US;
}

/* No later than the law's own limit. */
static int64_t bounded_end(int64_t from_us, const struct kl_duration *duration, uint32_t months_max)
{
    const struct kl_duration law = {.months = months_max};
    int64_t end_us = period_end(from_us, duration);
    int64_t limit_us = period_end(from_us, &law);

    return end_us < limit_us ? end_us : limit_us;
}

void vault_request_deadlines(const struct vault_policy_requests *duties,
                             struct vault_request *request)
{
    request->due_us = bounded_end(request->received_us, &duties->answer_within, 1);
    request->aim_us = 0;
    if (duties->has_aim) {
        request->aim_us = bounded_end(request->received_us, &duties->aim, 1);
        request->aim_us = request->aim_us < request->due_us ? request->aim_us : request->due_us;
    }
}

int64_t vault_request_extended_due(const struct vault_policy_requests *duties, int64_t received_us)
{
    struct kl_duration whole = duties->answer_within;

    whole.months += duties->extend_by.months;
    whole.days += duties->extend_by.days;
    whole.seconds += duties->extend_by.seconds;
    return bounded_end(received_us, &whole, 3);
}
