/*
 * A page of a list of people that is found by looking at all of them: a bounded number of heads, an audit entry for each who is shown, durable
 * before the page is handed out, and a cursor for the rest. A page may be short, or empty, and still have a cursor.
 *
 * Who does not open is passed over (erased, damaged, or no longer there), and so is everybody but their own subject for a bound credential.
 * Threads: any; a page belongs to one at a time.
 */
#ifndef VAULT_SUBJECT_PAGE_H
#define VAULT_SUBJECT_PAGE_H

#include "vault/subject_internal.h"

#include <stdbool.h>
#include <stddef.h>

/* The most heads that one page looks at. */
#define VAULT_PAGE_HEADS 20000

struct vault_page;
/*
 * Look at one subject, in memory that is gone after it. To show it: put its result into page->arena, then vault_page_show(). A refusal with
 * "volume_exceeded" ends the page in front of this subject, as does a full arena; an error when nobody was shown before. Once it is shown,
 * any failure is the page's.
 */
typedef enum kl_status (*vault_page_visit)(struct vault_page *page, void *visitor,
                                           const struct vault_subject *subject,
                                           const struct vault_ledger *ledger, struct kl_err *err);

/* action: of the audit entries; also what its cursors are for. limit: 1..VAULT_PAGE_MAX subjects shown. The rest is the page's own, zeroed. */
struct vault_page {
    struct vault *vault;
    const struct vault_caller *caller;
    const char *action;
    size_t limit;
    struct kl_arena *arena; /* of the results: the caller's */
    struct kl_arena *scratch;
    vault_page_visit visit;
    void *visitor;
    struct vault_act *acts;
    struct vault_audit_entry **entries;
    size_t count;
    bool shown; /* the subject that is looked at */
};
/*
 * Go over subjects from the cursor on (NULL or "": the first). ret_cursor: VAULT_CURSOR_MAX_BYTES + 1, empty at the end; set on KL_OK, when the
 * entries are on the disk; with nobody shown, one that says so. KL_ERR_INVALID "invalid_limit", "invalid_cursor"; KL_ERR_BUSY "walks_busy"; the visitor's failures;
 * KL_ERR_UNAVAILABLE "audit_unavailable", KL_ERR_NO_MEMORY, KL_ERR_IO.
 */
KL_MUST_USE enum kl_status vault_page_run(struct vault_page *page, const char *cursor,
                                          vault_page_visit visit, void *visitor, char *ret_cursor,
                                          struct kl_err *err);
/* Begin the entry of the subject that is looked at; the visitor may add members to what it returns. Once for each. */
struct kl_json_out *vault_page_show(struct vault_page *page, const struct vault_subject *subject);

#endif
