/* Reading the audit trail, page by page; that it was read is an entry too. */
#include "vault/act.h"
#include "vault/audit_walk.h"

#include <stdio.h>
#include <string.h>

#define CURSOR_KIND "audit"
/* What one call looks at, and how much text it gathers. */
#define SCAN_MAX 20000
#define PAGE_MAX_BYTES (1024 * 1024)

/* What is looked for, and what was found. credential: its text. */
struct scan {
    uint64_t tenant;
    int64_t from_us;
    int64_t to_us;
    bool by_slot;
    uint64_t slot;
    char credential[KL_ID_TEXT_BYTES];
    size_t limit;
    size_t found;
    uint64_t next;
    bool more;
    struct kl_buf text;
    struct kl_json_out out;
};

/* ---- one entry ---- */

/* Whether an entry belongs to the answer. ret_past: no later entry can. */
static enum kl_status matches(const struct scan *scan, struct kl_slice entry, bool *ret_match,
                              bool *ret_past, struct kl_err *err)
{
    struct vault_audit_said said = {0};
    bool match = true;
    enum kl_status status = vault_audit_read(entry, &said, err);

    if (status != KL_OK) {
        return status;
    }
    if (said.at_us < scan->from_us || (scan->to_us != 0 && said.at_us >= scan->to_us)) {
        match = false;
    }
    if (match && scan->credential[0] != '\0') {
        match = said.credential != NULL && strcmp(said.credential, scan->credential) == 0;
    }
    if (match && scan->by_slot) {
        match = said.slot >= 0 && (uint64_t)said.slot == scan->slot;
    }
    *ret_match = match;
    *ret_past = scan->to_us != 0 && said.at_us >= scan->to_us &&
                said.at_us - scan->to_us > VAULT_AUDIT_DISORDER_US;
    vault_audit_said_done(&said);
    return KL_OK;
}

/* ---- where to start ---- */

static enum kl_status start(struct vault *vault, const struct vault_caller *caller,
                            struct scan *scan, const char *cursor, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf position = {0};

    if (cursor == NULL || cursor[0] == '\0') {
        return vault_audit_first_from(vault, scan->tenant, scan->from_us, &scan->next, err);
    }
    kl_buf_init(&position, 64);
    status = vault_cursor_open(vault, caller, CURSOR_KIND, cursor, &position, err);
    if (status == KL_OK && position.size != 8) {
        status =
            kl_fail(err, KL_ERR_INVALID, "invalid_cursor", "this cursor is not of this list", NULL);
    }
    if (status == KL_OK) {
        scan->next = kl_get_u64be(position.bytes);
    }
    kl_buf_done(&position);
    return status;
}

/* ---- the scan ---- */

static void put_entry(struct scan *scan, uint64_t seq, struct kl_slice entry)
{
    kl_json_object_begin(&scan->out);
    kl_json_add_int(&scan->out, "seq", (int64_t)seq);
    kl_json_key(&scan->out, "entry");
    kl_json_put_raw(&scan->out, entry.bytes, entry.size);
    kl_json_object_end(&scan->out);
    scan->found++;
}

static enum kl_status scan_run(struct vault *vault, struct scan *scan, struct kl_err *err)
{
    struct vault_audit_walk walk = {0};
    struct kl_slice entry;
    size_t looked_at = 0;
    bool match = false;
    bool past_end = false;
    uint64_t seq = 0;
    enum kl_status status = vault_audit_walk_begin(&walk, vault, scan->tenant, scan->next, err);

    while (status == KL_OK && !past_end) {
        status = vault_audit_walk_next(&walk, &seq, &entry, err);
        if (status != KL_OK) {
            break;
        }
        scan->next = seq;
        if (scan->found == scan->limit || looked_at == SCAN_MAX ||
            scan->text.size + entry.size + 64 > PAGE_MAX_BYTES) {
            scan->more = true;
            break;
        }
        looked_at++;
        status = matches(scan, entry, &match, &past_end, err);
        if (status == KL_OK && match) {
            put_entry(scan, seq, entry);
        }
    }
    vault_audit_walk_end(&walk);
    return status == KL_ERR_NOT_FOUND ? KL_OK : status;
}

/* ---- the call ---- */

static enum kl_status take_filter(struct vault *vault, const struct vault_audit_filter *filter,
                                  struct scan *scan, struct kl_err *err)
{
    scan->from_us = filter->from_us;
    scan->to_us = filter->to_us;
    if (filter->to_us != 0 && filter->from_us > filter->to_us) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_range", "from lies behind to", NULL);
    }
    if (filter->credential != NULL) {
        kl_id_format("cred", filter->credential, scan->credential);
    }
    if (filter->subject == NULL) {
        return KL_OK;
    }
    scan->by_slot = true;
    return vault_subject_slot(vault, scan->tenant, filter->subject, &scan->slot, err);
}

static enum kl_status audit_read(struct vault *vault, const struct vault_caller *caller,
                                 const struct scan *scan, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};

    vault_act_begin(&act, scan->tenant, &who, "audit_read");
    kl_json_add_int(&act.out, "entries", (int64_t)scan->found);
    if (scan->by_slot) {
        kl_json_add_int(&act.out, "slot", (int64_t)scan->slot);
    }
    if (scan->credential[0] != '\0') {
        kl_json_add_text(&act.out, "target", scan->credential);
    }
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

static enum kl_status give(struct vault *vault, const struct vault_caller *caller,
                           struct scan *scan, struct kl_buf *ret, char *ret_cursor,
                           struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = {0};
    unsigned char position[8];

    kl_json_array_end(&scan->out);
    status = kl_buf_status(&scan->text, err);
    if (status == KL_OK && scan->more) {
        kl_put_u64be(position, scan->next);
        status = vault_cursor_seal(vault, caller, CURSOR_KIND,
                                   kl_slice_of(position, sizeof position), cursor, err);
    }
    if (status == KL_OK) {
        status = audit_read(vault, caller, scan, err);
    }
    if (status == KL_OK) {
        kl_buf_add(ret, scan->text.bytes, scan->text.size);
        status = kl_buf_status(ret, err);
    }
    if (status == KL_OK) {
        memcpy(ret_cursor, cursor, sizeof cursor);
    }
    return status;
}

enum kl_status vault_audit_list(struct vault *vault, const struct vault_caller *caller,
                                const struct vault_audit_filter *filter, size_t limit,
                                const char *cursor, struct kl_buf *ret, char *ret_cursor,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct scan scan = {.limit = limit};

    status = vault_act_own_trail(vault, caller, "audit_read", &scan.tenant, err);
    if (status == KL_OK && (limit < 1 || limit > VAULT_PAGE_MAX)) {
        status = kl_failf(err, KL_ERR_INVALID, "invalid_limit", "limit is 1 to %d", VAULT_PAGE_MAX);
    }
    if (status == KL_OK) {
        status = take_filter(vault, filter, &scan, err);
    }
    if (status == KL_OK) {
        status = start(vault, caller, &scan, cursor, err);
    }
    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&scan.text, PAGE_MAX_BYTES + 16);
    scan.out = kl_json_out(&scan.text);
    kl_json_array_begin(&scan.out);
    status = scan_run(vault, &scan, err);
    if (status == KL_OK) {
        status = give(vault, caller, &scan, ret, ret_cursor, err);
    }
    kl_buf_done(&scan.text);
    return status;
}

enum kl_status vault_audit_head(struct vault *vault, const struct vault_caller *caller,
                                struct kl_buf *ret, struct kl_err *err)
{
    uint64_t tenant = 0;
    enum kl_status status = vault_act_own_trail(vault, caller, "audit_head", &tenant, err);

    if (status != KL_OK) {
        return status;
    }
    return vault_trails_head(vault->trails, tenant, caller->tenant_name, ret, err);
}
