/*
 * Lists of subjects, in the order of their slots, or, where no ids are shown, in one of the recipient's own: a page looks at a bounded number
 * of heads.
 */
#include "kluis/base/log.h"
#include "vault/disclosure.h"
#include "vault/list_order.h"
#include "vault/pseudonym.h"
#include "vault/rows.h"
#include "vault/subject_read.h"

#include <sodium.h>
#include <string.h>

/* The most heads that one page looks at: a page may be short, or empty, and still have a cursor. */
#define HEADS_PER_PAGE 20000
/* A page that holds so much is full: a thousand subjects may have tens of megabytes each. */
#define RESULT_PER_PAGE_BYTES (8 * 1024 * 1024)
#define CURSOR_KIND "subjects"
#define CURSOR_KIND_MIXED "subjects, mixed"

struct listing {
    struct vault *vault;
    const struct vault_caller *caller;
    struct vault_read_plan plan;
    struct kl_arena *arena;
    struct kl_arena *scratch; /* one head at a time */
    size_t limit;
    struct vault_subject_result *results;
    struct vault_act *acts;
    struct vault_audit_entry **entries;
    size_t count;
    size_t result_bytes;
    uint64_t last_slot; /* the last head that was looked at */
    bool ended;
};

static bool has_type(const struct listing *listing, const struct vault_subject *subject)
{
    size_t i;

    for (i = 0; i < subject->head.record_count; i++) {
        if (!subject->records[i].gone &&
            vault_policy_record_find(listing->caller->policy, subject->records[i].type) ==
                listing->plan.type) {
            return true;
        }
    }
    return false;
}

/* ---- copies of what was read in the scratch arena ---- */

static bool copy_text(struct kl_arena *arena, const char **text)
{
    if (*text != NULL) {
        *text = kl_arena_text(arena, *text, strlen(*text));
        return *text != NULL;
    }
    return true;
}

static bool copy_field(struct kl_arena *arena, struct vault_field_result *field)
{
    const char *value = NULL;

    if (!copy_text(arena, &field->name)) {
        return false;
    }
    if (field->value.size > 0) {
        value = kl_arena_text(arena, field->value.bytes, field->value.size);
        field->value = kl_slice_of(value, field->value.size);
        return value != NULL;
    }
    return true;
}

static bool copy_result(struct kl_arena *arena, const struct vault_subject_result *from,
                        struct vault_subject_result *ret)
{
    struct vault_record_result *records =
        kl_arena_array(arena, from->record_count, sizeof *records);
    bool room = records != NULL;
    size_t i;
    size_t k;

    for (i = 0; room && i < from->record_count; i++) {
        records[i] = from->records[i];
        records[i].fields =
            kl_arena_array(arena, records[i].field_count, sizeof *records[i].fields);
        room = records[i].fields != NULL && copy_text(arena, &records[i].type) &&
               copy_text(arena, &records[i].pseudonym) && copy_text(arena, &records[i].source);
        for (k = 0; room && k < records[i].field_count; k++) {
            records[i].fields[k] = from->records[i].fields[k];
            room = copy_field(arena, &records[i].fields[k]);
        }
    }
    *ret = *from;
    ret->records = records;
    return room && copy_text(arena, &ret->pseudonym);
}

/* ---- a page ---- */

static enum kl_status read_loaded(struct listing *listing, const struct vault_subject *subject,
                                  struct vault_act *act, struct vault_subject_result *ret,
                                  bool *ret_reached, struct kl_err *err)
{
    const struct vault_caller *caller = listing->caller;

    if (!has_type(listing, subject)) {
        return KL_OK;
    }
    listing->plan.query.own_subject =
        caller->bound && kl_id_equal(&caller->bound_subject, &subject->base.subject);
    return !caller->bound || listing->plan.query.own_subject
               ? vault_read_disclosed(listing->vault, caller, &listing->plan, NULL, subject,
                                      listing->scratch, act, ret, ret_reached, err)
               : KL_OK;
}

/*
 * From the row as it was in the list's view; as it is now, when there is none (empty), or what was to be written down of it met another
 * change.
 */
static enum kl_status read_head(struct listing *listing, uint64_t slot, struct kl_slice row,
                                struct vault_act *act, struct vault_subject_result *ret,
                                bool *ret_reached, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    uint64_t tenant = listing->caller->tenant;
    struct vault_subject subject = {0};
    unsigned tries = 0;
    int64_t waited_ms = 0;
    bool again = false;

    do {
        kl_arena_reset(listing->scratch);
        memset(&subject, 0, sizeof subject);
        *ret_reached = false;
        status = again || row.size == 0 ? vault_subject_load(listing->vault, tenant, slot,
                                                             listing->scratch, &subject, err)
                                        : vault_subject_load_row(listing->vault, tenant, slot, row,
                                                                 listing->scratch, &subject, err);
        if (status == KL_OK) {
            status = read_loaded(listing, &subject, act, ret, ret_reached, err);
        }
        vault_subject_done(&subject);
        again = vault_read_met_change(status, err) &&
                vault_change_again(status, &tries, &waited_ms, err);
    } while (again);
    return vault_read_met_change(status, err) ? vault_change_busy(status, err) : status;
}

/*
 * One head: into the results when it is reached. What vanished meanwhile is passed over, and so is
 * who does not open: damage of one must not keep all others behind it from being listed.
 */
static enum kl_status list_one(struct listing *listing, uint64_t slot, struct kl_slice row,
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_subject_result result = {0};
    struct vault_act *act = &listing->acts[listing->count];
    bool reached = false;

    status = read_head(listing, slot, row, act, &result, &reached, err);
    if (status == KL_OK && reached &&
        !copy_result(listing->arena, &result, &listing->results[listing->count])) {
        status = kl_fail_memory(err);
    }
    if (status == KL_OK && reached) {
        listing->entries[listing->count] = &act->entry;
        listing->result_bytes += vault_read_bytes(&result);
        listing->count++;
        return KL_OK;
    }
    vault_act_done(act);
    memset(act, 0, sizeof *act);
    if (status == KL_ERR_CORRUPT) {
        kl_log(KL_LOG_ERROR, "subject_damaged", KL_LOG_INT("tenant", listing->caller->tenant),
               KL_LOG_INT("slot", slot), KL_LOG_TEXT("text", err->log_text));
    }
    if (status == KL_ERR_GONE || status == KL_ERR_NOT_FOUND || status == KL_ERR_CORRUPT) {
        kl_err_clear(err);
        status = KL_OK;
    }
    return status;
}

/* The role's volume was used up by those before. */
static bool is_beyond(enum kl_status status, const struct kl_err *err)
{
    return status == KL_ERR_FORBIDDEN && strcmp(err->code, "volume_exceeded") == 0;
}

static bool is_full(const struct listing *listing)
{
    return listing->count == listing->limit || listing->result_bytes >= RESULT_PER_PAGE_BYTES;
}

/* The next head; one that does not fit on the page is the first of the next (*ret_full). */
static enum kl_status list_next(struct listing *listing, uint64_t slot, struct kl_slice row,
                                bool *ret_full, struct kl_err *err)
{
    enum kl_status status = list_one(listing, slot, row, err);

    *ret_full = listing->count > 0 && (status == KL_ERR_NO_MEMORY || is_beyond(status, err));
    if (*ret_full) {
        kl_err_clear(err);
        return KL_OK;
    }
    listing->last_slot = slot;
    return status;
}

static enum kl_status list_page(struct listing *listing, uint64_t first, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key from = vault_row_head(listing->caller->tenant, first);
    struct vault_row_key until = vault_row_head(listing->caller->tenant, UINT64_MAX);
    struct vault_iter *iter = vault_iter_new(listing->vault->data_store, vault_row_slice(&from),
                                             vault_row_slice(&until), false);
    struct kl_slice key;
    struct kl_slice row;
    bool full = false;
    size_t looked = 0;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (status == KL_OK && !full && vault_iter_next(iter, &key, &row)) {
        full = is_full(listing) || looked++ == HEADS_PER_PAGE;
        if (!full) {
            status = list_next(listing, kl_get_u64be(key.bytes + key.size - 8), row, &full, err);
        }
    }
    listing->ended = !full;
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    return status;
}

/* Whether the people on it are shown under pseudonyms, whatever their tag. */
static bool is_mixed(const struct listing *listing)
{
    const struct vault_policy *policy = listing->caller->policy;

    return vault_policy_is_pseudonymous(policy, &listing->plan.query, VAULT_RESIDENCY_EEA) ||
           vault_policy_is_pseudonymous(policy, &listing->plan.query, VAULT_RESIDENCY_NONE);
}

static enum kl_status mixed_page(struct listing *listing, struct vault_list_position *position,
                                 struct kl_err *err)
{
    unsigned char key[VAULT_LIST_KEY_BYTES];
    uint64_t *slots = NULL;
    size_t count = 0;
    size_t i;
    bool full = false;
    bool more = false;
    enum kl_status status =
        vault_pseudonyms_order_key(listing->vault, listing->caller, &listing->plan.query, key, err);

    if (status == KL_OK) {
        status = vault_list_window(listing->vault, listing->caller->tenant, key, position,
                                   listing->arena, &slots, &count, &more, err);
    }
    listing->last_slot = position->after;
    for (i = 0; status == KL_OK && !full && i < count; i++) {
        full = is_full(listing);
        if (!full) {
            status = list_next(listing, slots[i], kl_slice_of(NULL, 0), &full, err);
        }
    }
    listing->ended = !full && !more;
    if (full) {
        position->after = listing->last_slot;
    } else {
        *position =
            (struct vault_list_position){position->last + 1, VAULT_LIST_OPEN, VAULT_LIST_OPEN};
    }
    sodium_memzero(key, sizeof key);
    return status;
}

static enum kl_status mixed_open(const struct listing *listing, const char *cursor,
                                 struct vault_list_position *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf bytes;

    *ret = (struct vault_list_position){0, VAULT_LIST_OPEN, VAULT_LIST_OPEN};
    if (cursor == NULL || cursor[0] == '\0') {
        return KL_OK;
    }
    kl_buf_init(&bytes, VAULT_CURSOR_MAX_BYTES);
    status =
        vault_cursor_open(listing->vault, listing->caller, CURSOR_KIND_MIXED, cursor, &bytes, err);
    if (status == KL_OK && !vault_list_position_decode(kl_buf_slice(&bytes), ret)) {
        status = kl_fail(err, KL_ERR_CORRUPT, "cursor_damaged", "internal error",
                         "a cursor opened and is none");
    }
    kl_buf_done(&bytes);
    return status;
}

/* A page, and the cursor of the next one; empty at the end. */
static enum kl_status page(struct listing *listing, const char *cursor,
                           char ret_next[VAULT_CURSOR_MAX_BYTES + 1], struct kl_err *err)
{
    struct vault_list_position position;
    unsigned char bytes[VAULT_LIST_POSITION_BYTES];
    uint64_t first = 0;
    bool mixed = is_mixed(listing);
    enum kl_status status =
        mixed ? mixed_open(listing, cursor, &position, err)
              : vault_cursor_number_open(listing->vault, listing->caller, CURSOR_KIND, cursor,
                                         UINT64_MAX, &first, err);

    if (status == KL_OK) {
        status = mixed ? mixed_page(listing, &position, err) : list_page(listing, first, err);
    }
    if (status != KL_OK || listing->ended) {
        return status;
    }
    if (!mixed) {
        return vault_cursor_number_seal(listing->vault, listing->caller, CURSOR_KIND,
                                        listing->last_slot + 1, ret_next, err);
    }
    vault_list_position_encode(&position, bytes);
    return vault_cursor_seal(listing->vault, listing->caller, CURSOR_KIND_MIXED,
                             kl_slice_of(bytes, sizeof bytes), ret_next, err);
}

static enum kl_status list(struct listing *listing, const char *cursor, char *ret_cursor,
                           struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char next[VAULT_CURSOR_MAX_BYTES + 1] = "";
    size_t i;

    listing->results = kl_arena_array(listing->arena, listing->limit, sizeof *listing->results);
    listing->acts = kl_arena_array(listing->arena, listing->limit, sizeof *listing->acts);
    listing->entries =
        kl_arena_array(listing->arena, listing->limit, sizeof(struct vault_audit_entry *));
    if (listing->results == NULL || listing->acts == NULL || listing->entries == NULL) {
        return kl_fail_memory(err);
    }
    status = page(listing, cursor, next, err);
    if (status == KL_OK) {
        status =
            vault_subject_found(listing->vault, listing->caller, "list",
                                listing->plan.query.purpose, listing->entries, listing->count, err);
    }
    if (status == KL_OK) {
        memcpy(ret_cursor, next, strlen(next) + 1);
    }
    for (i = 0; i < listing->count; i++) {
        vault_act_done(&listing->acts[i]);
        if (status == KL_OK) {
            vault_read_count(listing->vault, &listing->results[i]);
        }
    }
    return status;
}

enum kl_status vault_subject_list(struct vault *vault, const struct vault_caller *caller,
                                  const char *type, const struct vault_read_input *what,
                                  size_t limit, const char *cursor, struct kl_arena *arena,
                                  struct vault_subject_result **ret_subjects, size_t *ret_count,
                                  char *ret_cursor, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct listing listing = {.vault = vault, .caller = caller, .arena = arena, .limit = limit};
    struct kl_err own = {0};
    int number = VAULT_NONE;

    err = err == NULL ? &own : err;
    if (limit < 1 || limit > VAULT_PAGE_MAX) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_limit", "a page holds 1 to 1000 items", NULL);
    }
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    number = type == NULL ? VAULT_NONE : vault_policy_record_find(caller->policy, type);
    if (number == VAULT_NONE) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_record_type",
                       "say which record type of the policy to list", NULL);
    }
    status = vault_read_plan_make(
        caller, what, number, caller->bound ? &caller->bound_subject : NULL, &listing.plan, err);
    if (status != KL_OK) {
        return status;
    }
    if (listing.plan.query.role == VAULT_NONE ||
        !vault_policy_may(caller->policy, &listing.plan.query)) {
        status = kl_fail(err, KL_ERR_FORBIDDEN, "withheld",
                         "the role of this credential may not read for this purpose", NULL);
    } else {
        listing.scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
        status =
            listing.scratch == NULL ? kl_fail_memory(err) : list(&listing, cursor, ret_cursor, err);
        kl_arena_free(listing.scratch);
    }
    if (status == KL_OK) {
        *ret_subjects = listing.results;
        *ret_count = listing.count;
    }
    return vault_subject_refused(vault, caller, "list", listing.plan.query.purpose, status, err);
}
