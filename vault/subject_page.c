#include "vault/subject_page.h"

#include "vault/subject_walk.h"
#include "vault/walks.h"

#include <assert.h>
#include <string.h>

struct kl_json_out *vault_page_show(struct vault_page *page, const struct vault_subject *subject)
{
    struct vault_act *act = &page->acts[page->count];

    assert(!page->shown && page->count < page->limit);
    vault_subject_act_begin(act, page->caller, page->action, subject->slot);
    page->entries[page->count] = &act->entry;
    page->shown = true;
    return &act->out;
}

static enum kl_status look_at(struct vault_page *page, uint64_t slot, struct kl_slice row,
                              struct kl_err *err)
{
    const struct vault_caller *caller = page->caller;
    struct vault_subject subject = {0};
    struct vault_ledger ledger = {0};
    enum kl_status status = vault_subject_load_row(page->vault, caller->tenant, slot, row,
                                                   page->scratch, &subject, err);

    if (status == KL_OK &&
        (!caller->bound || kl_id_equal(&caller->bound_subject, &subject.base.subject))) {
        status = vault_subject_ledger(page->vault, &subject, page->scratch, &ledger, err);
        if (status == KL_OK) {
            status = page->visit(page, page->visitor, &subject, &ledger, err);
        }
    }
    vault_subject_done(&subject);
    return status;
}

/* There is no room for this one beside those before. */
static bool is_full(enum kl_status status, const struct kl_err *err)
{
    return status == KL_ERR_NO_MEMORY ||
           (status == KL_ERR_FORBIDDEN && strcmp(err->code, "volume_exceeded") == 0);
}

static enum kl_status visit_head(void *visitor, uint64_t slot, struct kl_slice row, bool *ret_stop,
                                 struct kl_err *err)
{
    struct vault_page *page = visitor;
    enum kl_status status = KL_OK;

    *ret_stop = page->count == page->limit;
    if (*ret_stop) {
        return KL_OK;
    }
    kl_arena_reset(page->scratch);
    page->shown = false;
    status = look_at(page, slot, row, err);
    if (status == KL_OK && page->shown) {
        status = vault_subject_act_end(&page->acts[page->count], err);
    }
    if (status == KL_OK) {
        page->count += page->shown ? 1 : 0;
        return KL_OK;
    }
    if (page->shown) { /* the visitor has it among its results, and no entry says so: the page fails as a whole */
        vault_act_done(&page->acts[page->count]);
        return status;
    }
    if (page->count > 0 && is_full(status, err)) {
        kl_err_clear(err);
        *ret_stop = true;
        return KL_OK;
    }
    return vault_walk_pass_over(page->caller->tenant, slot, status, err);
}

static enum kl_status run(struct vault_page *page, const char *cursor, char *ret_next,
                          struct kl_err *err)
{
    uint64_t next_slot = 0;
    bool ended = false;
    enum kl_status status = vault_cursor_number_open(page->vault, page->caller, page->action,
                                                     cursor, UINT64_MAX, &next_slot, err);

    if (status == KL_OK) {
        status = vault_subject_walk(page->vault, page->caller->tenant, VAULT_PAGE_HEADS, visit_head,
                                    page, &next_slot, &ended, err);
    }
    if (status == KL_OK && !ended) {
        status = vault_cursor_number_seal(page->vault, page->caller, page->action, next_slot,
                                          ret_next, err);
    }
    if (status == KL_OK) {
        status = vault_subject_found(page->vault, page->caller, page->action, VAULT_NONE,
                                     page->entries, page->count, err);
    }
    return status;
}

enum kl_status vault_page_run(struct vault_page *page, const char *cursor, vault_page_visit visit,
                              void *visitor, char *ret_cursor, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char next[VAULT_CURSOR_MAX_BYTES + 1] = "";
    size_t i;

    if (page->limit < 1 || page->limit > VAULT_PAGE_MAX) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_limit", "a page holds 1 to 1000 items", NULL);
    }
    status = vault_walks_take(page->vault, err);
    if (status != KL_OK) {
        return status;
    }
    page->visit = visit;
    page->visitor = visitor;
    page->acts = kl_arena_array(page->arena, page->limit, sizeof *page->acts);
    page->entries = kl_arena_array(page->arena, page->limit, sizeof *page->entries);
    page->scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
    status = page->acts == NULL || page->entries == NULL || page->scratch == NULL
                 ? kl_fail_memory(err)
                 : run(page, cursor, next, err);
    for (i = 0; i < page->count; i++) {
        vault_act_done(&page->acts[i]);
    }
    kl_arena_free(page->scratch);
    page->scratch = NULL;
    vault_walks_give(page->vault);
    if (status == KL_OK) {
        memcpy(ret_cursor, next, strlen(next) + 1);
    }
    return status;
}
