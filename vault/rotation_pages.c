/*
 * The levels tenant and all, step by step:
 *
 *   count   how many pages there are, for the progress
 *   touch   fresh keys for all of them, VAULT_ROTATION_PAGES to a commit
 *   expand  all alone: for every tenant, every leaf page below its mark is written out, so that no seed stays above a subject
 *   end     the old root key is destroyed everywhere
 *
 * Each can be done twice: a page that was touched already gets another key.
 *
 * Cursor: format u8 (1), phase u8, from_generation u64, pages u64, done u64, seeds u64, kms cursor, tenant u64, slot u64, next u64: when,
 * on the clock that only goes forward, a rate allows the next page. Big-endian.
 */
#include "vault/rotation.h"

#include "kluis/base/time.h"
#include "vault/erasure_note.h"

#include <string.h>
#include <time.h>

#define FORMAT 1
#define COUNT_PAGES 4096
#define COUNT_EACH 512
#define LEAF_SLOTS 64 /* of a leaf page of the key tree: naming one of them expands all */
#define PAUSE_US 50000
#define NEXT_MAX_US 60000000 /* a clock that began anew */
#define MEMORY_PAGES_MIN 8

enum phase { PHASE_COUNT, PHASE_TOUCH, PHASE_EXPAND, PHASE_END, PHASES };

struct cursor {
    enum phase phase;
    uint64_t from_generation;
    uint64_t pages; /* counted at the start */
    uint64_t done;
    uint64_t seeds; /* leaf pages to be expanded */
    struct kms_pages_cursor at;
    uint64_t tenant;
    uint64_t slot;
    int64_t next_us;
};

/* ---- the cursor ---- */

static void cursor_write(const struct cursor *cursor, struct kl_buf *ret)
{
    kl_buf_clear(ret);
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add_byte(ret, (unsigned char)cursor->phase);
    kl_buf_add_u64be(ret, cursor->from_generation);
    kl_buf_add_u64be(ret, cursor->pages);
    kl_buf_add_u64be(ret, cursor->done);
    kl_buf_add_u64be(ret, cursor->seeds);
    kl_buf_add(ret, cursor->at.after, sizeof cursor->at.after);
    kl_buf_add_u64be(ret, cursor->tenant);
    kl_buf_add_u64be(ret, cursor->slot);
    kl_buf_add_u64be(ret, (uint64_t)cursor->next_us);
}

/* False: there is none yet, or it is of no use; then all begins anew, which is never wrong. */
static bool cursor_read(struct kl_slice bytes, struct cursor *ret)
{
    struct kl_reader reader = kl_reader_of(bytes);
    struct cursor cursor = {0};
    unsigned format = kl_read_byte(&reader);
    unsigned phase = kl_read_byte(&reader);
    struct kl_slice at;

    cursor.phase = (enum phase)phase;
    cursor.from_generation = kl_read_u64be(&reader);
    cursor.pages = kl_read_u64be(&reader);
    cursor.done = kl_read_u64be(&reader);
    cursor.seeds = kl_read_u64be(&reader);
    at = kl_read_bytes(&reader, sizeof cursor.at.after);
    cursor.tenant = kl_read_u64be(&reader);
    cursor.slot = kl_read_u64be(&reader);
    cursor.next_us = (int64_t)kl_read_u64be(&reader);
    if (!kl_reader_done(&reader) || format != FORMAT || phase >= PHASES) {
        return false;
    }
    memcpy(cursor.at.after, at.bytes, at.size);
    *ret = cursor;
    return true;
}

static struct cursor cursor_begin(struct vault *vault)
{
    struct kms_state state;

    kms_state(vault->keys, &state);
    return (struct cursor){.phase = PHASE_COUNT, .from_generation = state.generation};
}

static double progress_of(const struct cursor *cursor)
{
    uint64_t all = cursor->pages + cursor->seeds;

    if (cursor->phase == PHASE_COUNT || all == 0) {
        return 0.0;
    }
    return cursor->done < all ? (double)cursor->done / (double)all : 0.999;
}

/* ---- the rate ---- */

/* How many pages may be done now, at most VAULT_ROTATION_PAGES; 0 after a short wait. */
static size_t pages_allowed(struct cursor *cursor, uint32_t pages_per_second)
{
    int64_t now_us = kl_time_monotonic_us();
    uint32_t each = pages_per_second / 10;

    if (pages_per_second == 0) {
        return VAULT_ROTATION_PAGES;
    }
    if (cursor->next_us > now_us + NEXT_MAX_US) {
        cursor->next_us = now_us;
    }
    if (cursor->next_us > now_us) {
        int64_t wait_us = cursor->next_us - now_us < PAUSE_US ? cursor->next_us - now_us : PAUSE_US;
        const struct timespec wait = {0, (long)wait_us * 1000};

        (void)nanosleep(&wait, NULL);
        return 0;
    }
    each = each < 1 ? 1 : each;
    return each < VAULT_ROTATION_PAGES ? each : VAULT_ROTATION_PAGES;
}

static void pages_were_done(struct cursor *cursor, uint32_t pages_per_second, size_t count)
{
    int64_t now_us = kl_time_monotonic_us();

    cursor->done += count;
    if (pages_per_second > 0) {
        cursor->next_us = now_us + (int64_t)count * 1000000 / pages_per_second;
    }
}

/* ---- phases ---- */

static uint64_t pages_of(const struct vault_job *job, const struct vault_rotation *rotation)
{
    return rotation->level->of_tenant ? job->tenant : KMS_TENANT_ALL;
}

/* Leaf pages below the marks of all tenants. */
static enum kl_status seeds_count(struct vault *vault, uint64_t *ret, struct kl_err *err)
{
    uint64_t tenants = 0;
    uint64_t seeds = 0;
    enum kl_status status = kms_tenant_mark(vault->keys, &tenants, err);

    for (uint64_t tenant = 0; tenant < tenants && status == KL_OK; tenant++) {
        uint64_t mark = 0;

        status = kms_slot_mark(vault->keys, tenant, &mark, err);
        seeds += (mark + LEAF_SLOTS - 1) / LEAF_SLOTS;
    }
    if (status == KL_OK) {
        *ret = seeds;
    }
    return status;
}

static enum kl_status count_step(struct vault *vault, uint64_t of, bool expands,
                                 struct cursor *cursor, struct kl_err *err)
{
    struct kms_place places[COUNT_EACH];
    size_t count = 1;
    enum kl_status status = KL_OK;

    for (size_t seen = 0; seen < COUNT_PAGES && count > 0 && status == KL_OK; seen += count) {
        status = kms_pages_next(vault->keys, of, &cursor->at, COUNT_EACH, places, &count, err);
        cursor->pages += status == KL_OK ? count : 0;
    }
    if (status == KL_OK && count == 0) {
        cursor->phase = PHASE_TOUCH;
        memset(&cursor->at, 0, sizeof cursor->at);
        status = expands ? seeds_count(vault, &cursor->seeds, err) : KL_OK;
    }
    return status;
}

/*
 * One commit for them; where memory for so many pages is not to be had, for fewer.
 * ret_count: of how many it was.
 */
static enum kl_status commit(struct vault *vault, enum kms_change_kind kind,
                             const struct kms_place *places, size_t count, size_t *ret_count,
                             struct kl_err *err)
{
    struct kms_change changes[VAULT_ROTATION_PAGES];
    struct kms_request request = {.changes = changes,
                                  .changes_count = count,
                                  .note = vault_note_step,
                                  .note_bytes = VAULT_NOTE_STEP_BYTES};
    struct kl_err cause = {0};
    enum kl_status status;

    for (size_t i = 0; i < count; i++) {
        changes[i] = (struct kms_change){kind, places[i]};
    }
    status = kms_commit(vault->keys, &request, &cause);
    while (status == KL_ERR_NO_MEMORY && request.changes_count > MEMORY_PAGES_MIN) {
        request.changes_count /= 2;
        cause = (struct kl_err){0};
        status = kms_commit(vault->keys, &request, &cause);
    }
    if (status == KL_OK) {
        *ret_count = request.changes_count;
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return status;
}

static enum kl_status touch_step(struct vault *vault, uint64_t of, bool expands,
                                 const struct vault_rotation *rotation, struct cursor *cursor,
                                 struct kl_err *err)
{
    struct kms_place places[VAULT_ROTATION_PAGES];
    struct kms_pages_cursor at = cursor->at;
    size_t allowed = pages_allowed(cursor, rotation->pages_per_second);
    size_t count = 0;
    enum kl_status status;

    if (allowed == 0) {
        return KL_OK;
    }
    status = kms_pages_next(vault->keys, of, &at, allowed, places, &count, err);
    for (size_t from = 0, done = 0; from < count && status == KL_OK; from += done) {
        status = commit(vault, KMS_CHANGE_TOUCH, places + from, count - from, &done, err);
    }
    if (status != KL_OK) {
        return status;
    }
    cursor->at = at;
    pages_were_done(cursor, rotation->pages_per_second, count);
    if (count == 0) {
        cursor->phase = expands ? PHASE_EXPAND : PHASE_END;
    }
    return KL_OK;
}

/* The tenant that is expanded: passed over when it is gone, or all of it was. ret_mark 0: there is no more. */
static enum kl_status expand_mark(struct vault *vault, struct cursor *cursor, uint64_t *ret_mark,
                                  struct kl_err *err)
{
    uint64_t tenants = 0;
    enum kl_status status = kms_tenant_mark(vault->keys, &tenants, err);

    while (status == KL_OK && cursor->tenant < tenants) {
        const struct kms_place place = {cursor->tenant, KMS_SLOT_NONE, KMS_VALUE_NONE};
        struct kl_err cause = {0};
        uint64_t mark = 0;

        status = kms_place_check(vault->keys, &place, &cause);
        if (status == KL_OK) {
            status = kms_slot_mark(vault->keys, cursor->tenant, &mark, err);
        } else if (status == KL_ERR_GONE) {
            status = KL_OK;
        } else {
            status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
        }
        if (status == KL_OK && cursor->slot < mark) {
            *ret_mark = mark;
            return KL_OK;
        }
        if (status == KL_OK) {
            cursor->tenant++;
            cursor->slot = 0;
        }
    }
    if (status == KL_OK) {
        *ret_mark = 0;
    }
    return status;
}

static enum kl_status expand_step(struct vault *vault, const struct vault_rotation *rotation,
                                  struct cursor *cursor, struct kl_err *err)
{
    struct kms_place places[VAULT_ROTATION_PAGES];
    size_t allowed = pages_allowed(cursor, rotation->pages_per_second);
    uint64_t mark = 0;
    size_t count = 0;
    size_t done = 0;
    enum kl_status status;

    if (allowed == 0) {
        return KL_OK;
    }
    status = expand_mark(vault, cursor, &mark, err);
    if (status != KL_OK || mark == 0) {
        cursor->phase = status == KL_OK ? PHASE_END : cursor->phase;
        return status;
    }
    while (count < allowed && cursor->slot + count * LEAF_SLOTS < mark) {
        places[count] =
            (struct kms_place){cursor->tenant, cursor->slot + count * LEAF_SLOTS, KMS_VALUE_NONE};
        count++;
    }
    status = commit(vault, KMS_CHANGE_EXPAND, places, count, &done, err);
    if (status == KL_OK) {
        cursor->slot += done * LEAF_SLOTS;
        pages_were_done(cursor, rotation->pages_per_second, done);
    }
    return status;
}

/* The root key of the beginning is destroyed, in every place. */
static enum kl_status end_step(struct vault *vault, const struct cursor *cursor,
                               struct vault_job *job, struct kl_err *err)
{
    struct kms_request request = {.note = vault_note_step, .note_bytes = VAULT_NOTE_STEP_BYTES};
    struct kl_json_out out;
    struct kms_state state;
    enum kl_status status = KL_OK;

    kms_state(vault->keys, &state);
    if (state.generation == cursor->from_generation) {
        status = kms_commit(vault->keys, &request, err);
        kms_state(vault->keys, &state);
    }
    if (status == KL_OK && (state.mirrors_out_of_step > 0 || !state.old_root_destroyed)) {
        status = kl_fail(err, KL_ERR_UNAVAILABLE, "mirror_unreachable",
                         "a mirror of the keys does not answer", NULL);
    }
    if (status != KL_OK) {
        return status;
    }
    kl_buf_clear(&job->result);
    out = kl_json_out(&job->result);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "from_generation", (int64_t)cursor->from_generation);
    kl_json_add_int(&out, "to_generation", (int64_t)state.generation);
    kl_json_add_bool(&out, "old_key_out_of_use", true);
    kl_json_add_int(&out, "pages", (int64_t)cursor->done);
    kl_json_object_end(&out);
    return kl_buf_status(&job->result, err);
}

/* ---- the level ---- */

enum kl_status vault_rotation_pages_step(struct vault *vault, struct vault_job *job,
                                         const struct vault_rotation *rotation, bool *ret_done,
                                         struct kl_err *err)
{
    uint64_t of = pages_of(job, rotation);
    bool expands = of == KMS_TENANT_ALL;
    struct cursor cursor;
    bool done = false;
    enum kl_status status = KL_OK;

    if (!cursor_read(kl_buf_slice(&job->cursor), &cursor)) {
        cursor = cursor_begin(vault);
    }
    switch (cursor.phase) {
    case PHASE_COUNT:
        status = count_step(vault, of, expands, &cursor, err);
        break;
    case PHASE_TOUCH:
        status = touch_step(vault, of, expands, rotation, &cursor, err);
        break;
    case PHASE_EXPAND:
        status = expand_step(vault, rotation, &cursor, err);
        break;
    case PHASE_END:
    case PHASES:
        status = end_step(vault, &cursor, job, err);
        done = status == KL_OK;
        break;
    }
    cursor_write(&cursor, &job->cursor);
    job->progress = progress_of(&cursor);
    if (status == KL_OK) {
        *ret_done = done;
    }
    return status;
}

void vault_rotation_pages_show(const struct vault_job *job, struct kl_json_out *out)
{
    struct cursor cursor;

    if (!cursor_read(kl_buf_slice(&job->cursor), &cursor)) {
        return;
    }
    kl_json_add_int(out, "from_generation", (int64_t)cursor.from_generation);
    kl_json_add_int(out, "pages", (int64_t)(cursor.pages + cursor.seeds));
    kl_json_add_int(out, "pages_done", (int64_t)cursor.done);
}
