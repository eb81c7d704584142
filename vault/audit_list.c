/* Reading the audit trail, page by page; that it was read is an entry too. */
#include "vault/act.h"
#include "vault/audit_action.h"
#include "vault/audit_search.h"

#include <stdio.h>
#include <string.h>

#define CURSOR_KIND "audit"
/* What one call looks at, and how much text it gathers. */
#define SCAN_MAX 20000
#define PAGE_MAX_BYTES (1024 * 1024)

/* What is looked for, and what was found. terms: by kind; text: NULL of a slot. credential: its text. line: of the transfer. */
struct wanted {
    bool is_given;
    uint64_t slot;
    const char *text;
};
struct scan {
    uint64_t tenant;
    int line;
    const struct vault_audit_filter *filter;
    struct wanted terms[VAULT_TERM_KINDS + 1];
    char credential[KL_ID_TEXT_BYTES];
    size_t limit;
    size_t found;
    uint64_t next;
    uint64_t past;
    bool more;
    struct kl_buf text;
    struct kl_json_out out;
};

/* ---- one entry ---- */

static enum kl_status matches(const struct scan *scan, struct kl_slice entry, bool *ret_match,
                              struct kl_err *err)
{
    const struct vault_audit_filter *filter = scan->filter;
    struct vault_audit_said said = {0};
    bool match = true;
    enum kl_status status = vault_audit_read(entry, &said, err);

    if (status != KL_OK) {
        return status;
    }
    if (said.at_us < filter->from_us || (filter->to_us != 0 && said.at_us >= filter->to_us)) {
        match = false;
    }
    for (unsigned kind = 1; match && kind <= VAULT_TERM_KINDS; kind++) {
        const struct wanted *wanted = &scan->terms[kind];

        match = !wanted->is_given || vault_audit_has(&said, kind, wanted->slot, wanted->text);
    }
    *ret_match = match;
    vault_audit_said_done(&said);
    return KL_OK;
}

/* ---- where to start ---- */

static enum kl_status start(struct vault *vault, const struct vault_caller *caller,
                            struct scan *scan, const char *cursor, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf position = {0};

    status = vault_audit_past_to(vault, scan->tenant, scan->filter->to_us, &scan->past, err);
    if (status != KL_OK || cursor == NULL || cursor[0] == '\0') {
        return status == KL_OK ? vault_audit_first_from(vault, scan->tenant, scan->filter->from_us,
                                                        &scan->next, err)
                               : status;
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

static size_t terms_of(const struct scan *scan, struct vault_term ret[VAULT_TERM_KINDS])
{
    size_t count = 0;

    for (unsigned kind = 1; kind <= VAULT_TERM_KINDS; kind++) {
        if (scan->terms[kind].is_given) {
            ret[count++] = kind == VAULT_TERM_SLOT
                               ? vault_term_of_slot(scan->terms[kind].slot)
                               : vault_term_of_text(kind, scan->terms[kind].text);
        }
    }
    return count;
}

static enum kl_status scan_run(struct vault *vault, struct scan *scan, struct kl_err *err)
{
    struct vault_term terms[VAULT_TERM_KINDS];
    struct vault_audit_search search = {0};
    struct kl_slice entry;
    bool match = false;
    bool full = false;
    uint64_t seq = 0;
    enum kl_status status =
        vault_audit_search_begin(&search, vault, scan->tenant, terms, terms_of(scan, terms),
                                 scan->next, scan->past, SCAN_MAX, err);

    while (status == KL_OK && !full && scan->found < scan->limit) {
        status = vault_audit_search_next(&search, &seq, &entry, err);
        if (status != KL_OK) {
            break;
        }
        full = scan->text.size + entry.size + 64 > PAGE_MAX_BYTES;
        if (full) {
            search.next = seq;
            break;
        }
        status = matches(scan, entry, &match, err);
        if (status == KL_OK && match) {
            put_entry(scan, seq, entry);
        }
    }
    scan->next = search.next;
    scan->more = search.next < scan->past;
    vault_audit_search_end(&search);
    return status == KL_ERR_NOT_FOUND ? KL_OK : status;
}

/* ---- the question ---- */

/* Names of a policy, several joined by points: [a-z][a-z0-9_]*. */
static bool is_name(const char *text, unsigned parts)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static const char others[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

    for (; parts > 0; parts--) {
        size_t size = strspn(text, others);

        if (size < 1 || size > VAULT_NAME_MAX_BYTES || strchr(letters, text[0]) == NULL ||
            text[size] != (parts == 1 ? '\0' : '.')) {
            return false;
        }
        text += size + 1;
    }
    return true;
}

static enum kl_status check_names(const struct vault_audit_filter *filter, struct kl_err *err)
{
    if (filter->purpose != NULL && !is_name(filter->purpose, 1)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_name", "purpose is the name of a purpose",
                       NULL);
    }
    if (filter->field != NULL && !is_name(filter->field, 2)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_name",
                       "field is written RECORD_TYPE.FIELD, as newsletter.email", NULL);
    }
    if (filter->action != NULL && vault_audit_action_find(filter->action) == NULL) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_action",
                       "there is no such action in an audit trail", NULL);
    }
    if (filter->result != NULL && strcmp(filter->result, "ok") != 0 &&
        strcmp(filter->result, "refused") != 0) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_result", "result is ok or refused", NULL);
    }
    if (filter->to_us != 0 && filter->from_us > filter->to_us) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_range", "from lies behind to", NULL);
    }
    return KL_OK;
}

static void want(struct scan *scan, enum vault_term_kind kind, const char *text)
{
    scan->terms[kind] = (struct wanted){.is_given = text != NULL, .text = text};
}

static enum kl_status take_filter(struct vault *vault, const struct vault_audit_filter *filter,
                                  struct scan *scan, struct kl_err *err)
{
    enum kl_status status = check_names(filter, err);

    scan->filter = filter;
    want(scan, VAULT_TERM_FIELD, filter->field);
    want(scan, VAULT_TERM_PURPOSE, filter->purpose);
    want(scan, VAULT_TERM_ACTION, filter->action);
    want(scan, VAULT_TERM_RESULT, filter->result);
    if (filter->credential != NULL) {
        kl_id_format("cred", filter->credential, scan->credential);
        want(scan, VAULT_TERM_CREDENTIAL, scan->credential);
    }
    if (status != KL_OK || filter->subject == NULL) {
        return status;
    }
    scan->terms[VAULT_TERM_SLOT].is_given = true;
    return vault_subject_slot(vault, scan->tenant, filter->subject,
                              &scan->terms[VAULT_TERM_SLOT].slot, err);
}

/* ---- the call ---- */

/* Names that were looked for, apart from the entry's own members of that name: the search was for no purpose and showed no field. */
static void say_searched(const struct vault_audit_filter *filter, struct kl_json_out *out)
{
    const struct {
        const char *key;
        const char *text;
    } names[] = {{"purpose", filter->purpose},
                 {"field", filter->field},
                 {"action", filter->action},
                 {"result", filter->result}};

    if (filter->purpose == NULL && filter->field == NULL && filter->action == NULL &&
        filter->result == NULL && filter->from_us == 0 && filter->to_us == 0) {
        return;
    }
    kl_json_key(out, "searched");
    kl_json_object_begin(out);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].text != NULL) {
            kl_json_add_text(out, names[i].key, names[i].text);
        }
    }
    if (filter->from_us != 0) {
        kl_json_add_time(out, "from", filter->from_us);
    }
    if (filter->to_us != 0) {
        kl_json_add_time(out, "to", filter->to_us);
    }
    kl_json_object_end(out);
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
    if (scan->terms[VAULT_TERM_SLOT].is_given) {
        kl_json_add_int(&act.out, "slot", (int64_t)scan->terms[VAULT_TERM_SLOT].slot);
    }
    if (scan->credential[0] != '\0') {
        kl_json_add_text(&act.out, "target", scan->credential);
    }
    say_searched(scan->filter, &act.out);
    vault_act_transfer(&act, caller, scan->line);
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

    status = vault_act_shown_trail(vault, caller, "audit_read", &scan.tenant, &scan.line, err);
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
