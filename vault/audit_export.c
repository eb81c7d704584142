/* The audit trail as lines, page by page; each page is an entry of the trail itself. */
#include "vault/act.h"
#include "vault/audit_forms.h"

#include <string.h>

#define ACTION "audit_export"
#define CURSOR_KIND "audit_export"
#define POSITION_BYTES 16
/* What one page looks at when a period leaves entries out. */
#define SCAN_MAX 20000
/* So much a line takes at most, of an entry as long as they come. */
#define LINE_MAX_BYTES ((size_t)8 * VAULT_AUDIT_ENTRY_MAX_BYTES)

static const struct {
    const char *name;
    void (*write)(const struct vault_audit_line *line, struct kl_buf *out);
} formats[] = {[VAULT_AUDIT_NDJSON] = {"ndjson", vault_audit_form_ndjson},
               [VAULT_AUDIT_CEF] = {"cef", vault_audit_form_cef},
               [VAULT_AUDIT_OCSF] = {"ocsf", vault_audit_form_ocsf}};
#define FORMAT_COUNT (sizeof formats / sizeof formats[0])

bool vault_audit_format_parse(const char *text, enum vault_audit_format *ret)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(text, formats[i].name) == 0) {
            *ret = (enum vault_audit_format)i;
            return true;
        }
    }
    return false;
}

/* first .. next: the numbers of this page; past: behind the last of all. */
struct exporting {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_audit_export_input *input;
    uint64_t trail;
    int line; /* of the transfer */
    uint64_t first;
    uint64_t next;
    uint64_t past;
    uint64_t entries;
    struct kl_buf text;
};

/* ---- where it begins and ends ---- */

/* A cursor keeps the end too: pages are entries themselves, and would never be all. */
static enum kl_status cursor_open(struct exporting *exporting, struct kl_err *err)
{
    struct kl_buf position;
    enum kl_status status;

    kl_buf_init(&position, 64);
    status = vault_cursor_open(exporting->vault, exporting->caller, CURSOR_KIND,
                               exporting->input->cursor, &position, err);
    if (status == KL_OK && position.size != POSITION_BYTES) {
        status =
            kl_fail(err, KL_ERR_INVALID, "invalid_cursor", "this cursor is not of this list", NULL);
    }
    if (status == KL_OK) {
        exporting->first = kl_get_u64be(position.bytes);
        exporting->past = kl_get_u64be(position.bytes + 8);
    }
    kl_buf_done(&position);
    return status;
}

static enum kl_status cursor_seal(const struct exporting *exporting,
                                  char ret[VAULT_CURSOR_MAX_BYTES + 1], struct kl_err *err)
{
    unsigned char position[POSITION_BYTES];

    kl_put_u64be(position, exporting->next);
    kl_put_u64be(position + 8, exporting->past);
    return vault_cursor_seal(exporting->vault, exporting->caller, CURSOR_KIND,
                             kl_slice_of(position, sizeof position), ret, err);
}

static enum kl_status take_place(struct exporting *exporting, struct kl_err *err)
{
    const struct vault_audit_export_input *input = exporting->input;
    uint64_t from = 0;
    enum kl_status status;

    if (input->cursor != NULL && input->cursor[0] != '\0') {
        status = cursor_open(exporting, err);
    } else {
        exporting->first = input->entry > 0 ? (uint64_t)input->entry : 0;
        status = vault_audit_past_to(exporting->vault, exporting->trail, input->to_us,
                                     &exporting->past, err);
    }
    if (status == KL_OK) {
        status =
            vault_audit_first_from(exporting->vault, exporting->trail, input->from_us, &from, err);
    }
    if (status == KL_OK) {
        exporting->first = exporting->first < from ? from : exporting->first;
        exporting->next = exporting->first;
    }
    return status;
}

static enum kl_status check_input(const struct vault_audit_export_input *input, struct kl_err *err)
{
    if (input->limit < 1 || input->limit > VAULT_AUDIT_EXPORT_MAX) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_limit", "limit is a number from 1 to %d",
                        VAULT_AUDIT_EXPORT_MAX);
    }
    if (input->to_us != 0 && input->from_us > input->to_us) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_range", "from lies behind to", NULL);
    }
    return KL_OK;
}

/* ---- over the trail ---- */

static enum kl_status put_entry(struct exporting *exporting, uint64_t seq, struct kl_slice entry,
                                struct kl_err *err)
{
    const struct vault_audit_export_input *input = exporting->input;
    struct vault_audit_said said = {0};
    const struct vault_audit_line line = {
        .seq = seq, .entry = entry, .said = &said, .tenant_name = exporting->caller->tenant_name};
    enum kl_status status = vault_audit_read(entry, &said, err);

    if (status == KL_OK && said.at_us >= input->from_us &&
        (input->to_us == 0 || said.at_us < input->to_us)) {
        formats[input->format].write(&line, &exporting->text);
        exporting->entries++;
        status = kl_buf_status(&exporting->text, err);
    }
    vault_audit_said_done(&said);
    return status;
}

static enum kl_status fill(struct exporting *exporting, struct kl_err *err)
{
    struct vault_audit_walk walk = {0};
    struct kl_slice entry;
    uint64_t seq = exporting->first;
    size_t looked_at = 0;
    enum kl_status status =
        vault_audit_walk_begin(&walk, exporting->vault, exporting->trail, exporting->first, err);

    while (status == KL_OK && exporting->entries < exporting->input->limit &&
           looked_at < SCAN_MAX &&
           exporting->text.size + LINE_MAX_BYTES < VAULT_AUDIT_EXPORT_MAX_BYTES) {
        status = vault_audit_walk_next(&walk, &seq, &entry, err);
        if (status == KL_ERR_NOT_FOUND || (status == KL_OK && seq >= exporting->past)) {
            exporting->next = exporting->next < exporting->past ? exporting->past : exporting->next;
            status = KL_ERR_NOT_FOUND;
        } else if (status == KL_OK) {
            looked_at++;
            status = put_entry(exporting, seq, entry, err);
            exporting->next = seq + 1;
        }
    }
    vault_audit_walk_end(&walk);
    return status == KL_ERR_NOT_FOUND ? KL_OK : status;
}

/* ---- the call ---- */

static enum kl_status note(const struct exporting *exporting, struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(exporting->caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status;

    vault_act_begin(&act, exporting->trail, &who, ACTION);
    kl_json_add_text(&act.out, "format", formats[exporting->input->format].name);
    kl_json_add_int(&act.out, "entries", (int64_t)exporting->entries);
    kl_json_add_int(&act.out, "from", (int64_t)exporting->first);
    kl_json_add_int(&act.out, "to", (int64_t)exporting->next);
    vault_act_transfer(&act, exporting->caller, exporting->line);
    status = vault_act_commit(exporting->vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

static enum kl_status give(const struct exporting *exporting, struct kl_buf *ret,
                           struct vault_audit_export_page *ret_page, struct kl_err *err)
{
    struct vault_audit_export_page page = {.entries = exporting->entries,
                                           .next_entry = exporting->next};
    enum kl_status status = KL_OK;

    if (exporting->next < exporting->past) {
        status = cursor_seal(exporting, page.cursor, err);
    }
    if (status == KL_OK) {
        status = note(exporting, err);
    }
    if (status == KL_OK) {
        kl_buf_add(ret, exporting->text.bytes, exporting->text.size);
        status = kl_buf_status(ret, err);
    }
    if (status == KL_OK) {
        *ret_page = page;
    }
    return status;
}

enum kl_status vault_audit_export(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_audit_export_input *input, struct kl_buf *ret,
                                  struct vault_audit_export_page *ret_page, struct kl_err *err)
{
    struct exporting exporting = {.vault = vault, .caller = caller, .input = input};
    enum kl_status status =
        vault_act_shown_trail(vault, caller, ACTION, &exporting.trail, &exporting.line, err);

    if (status == KL_OK) {
        status = check_input(input, err);
    }
    if (status == KL_OK) {
        status = take_place(&exporting, err);
    }
    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&exporting.text, VAULT_AUDIT_EXPORT_MAX_BYTES);
    status = fill(&exporting, err);
    if (status == KL_OK) {
        status = give(&exporting, ret, ret_page, err);
    }
    kl_buf_done(&exporting.text);
    return status;
}
