#include "vault/audit_forms.h"

#include "vault/audit_terms.h"

#include <string.h>

#define MICROSECONDS_OF_MILLISECOND 1000
#define MORE "..."

struct vault_audit_action vault_audit_action_of(const char *name)
{
    const struct vault_audit_action *action = vault_audit_action_find(name);

    return action != NULL ? *action
                          : (struct vault_audit_action){.name = name,
                                                        .effect = VAULT_AUDIT_SHOWS,
                                                        .title = name,
                                                        .weight = VAULT_AUDIT_MEDIUM,
                                                        .ocsf_class = VAULT_OCSF_API,
                                                        .ocsf_activity = VAULT_OCSF_API_OTHER};
}

enum vault_audit_weight vault_audit_weight_of(const struct vault_audit_action *action, bool refused)
{
    enum vault_audit_weight weight = action->weight;

    if (!refused) {
        return weight;
    }
    weight = weight < VAULT_AUDIT_CRITICAL ? weight + 1 : weight;
    return weight < VAULT_AUDIT_MEDIUM ? VAULT_AUDIT_MEDIUM : weight;
}

/* ---- escaping ---- */

static bool is_printing(char c)
{
    return (unsigned char)c >= 0x20 && c != 0x7f;
}

static void add_header(struct kl_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '\\') {
            kl_buf_add_byte(out, '\\');
        }
        kl_buf_add_byte(out, is_printing(*text) ? (unsigned char)*text : ' ');
    }
    kl_buf_add_byte(out, '|');
}

/* Escaped; how many bytes it takes is bounded by the caller. */
static void add_value(struct kl_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n' || *text == '\r') {
            kl_buf_add_text(out, *text == '\n' ? "\\n" : "\\r");
            continue;
        }
        if (*text == '=' || *text == '\\') {
            kl_buf_add_byte(out, '\\');
        }
        kl_buf_add_byte(out, is_printing(*text) ? (unsigned char)*text : ' ');
    }
}

/* ---- the extension ---- */

static void add_text(struct kl_buf *out, const char *key, const char *text)
{
    if (text != NULL && strlen(text) <= VAULT_CEF_VALUE_MAX_BYTES) {
        kl_buf_addf(out, " %s=", key);
        add_value(out, text);
    }
}

static void add_labelled(struct kl_buf *out, const char *key, const char *label, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        kl_buf_addf(out, " %sLabel=%s", key, label);
        add_text(out, key, text);
    }
}

/* Names of one kind, each once, joined by commas. */
struct joining {
    enum vault_term_kind kind;
    char text[VAULT_CEF_VALUE_MAX_BYTES + 1];
    size_t size;
};

static bool has_name(const struct joining *joining, const char *name, size_t size)
{
    const char *at = joining->text;

    while (*at != '\0') {
        size_t one = strcspn(at, ",");

        if (one == size && memcmp(at, name, size) == 0) {
            return true;
        }
        at += one + (at[one] == ',');
    }
    return false;
}

static bool join(void *visitor, enum vault_term_kind kind, uint64_t slot, const char *text)
{
    struct joining *joining = visitor;
    size_t size = text == NULL ? 0 : strlen(text);
    bool fits = joining->size + size + 1 + strlen("," MORE) < sizeof joining->text;

    (void)slot;
    if (kind != joining->kind || (fits && has_name(joining, text, size))) {
        return true;
    }
    if (joining->size > 0) {
        joining->text[joining->size++] = ',';
    }
    memcpy(joining->text + joining->size, fits ? text : MORE, fits ? size : strlen(MORE));
    joining->size += fits ? size : strlen(MORE);
    joining->text[joining->size] = '\0';
    return fits;
}

static void add_names(struct kl_buf *out, const char *key, const char *label,
                      enum vault_term_kind kind, const struct vault_audit_said *said)
{
    struct joining joining = {.kind = kind};

    vault_audit_terms(said, join, &joining);
    add_labelled(out, key, label, joining.text);
}

static const char *member(const struct vault_audit_line *line, const char *key)
{
    return kl_json_text(kl_json_member(line->said->root, key));
}

static void add_extension(const struct vault_audit_line *line,
                          const struct vault_audit_action *action, struct kl_buf *out)
{
    const struct vault_audit_said *said = line->said;

    kl_buf_addf(out, "rt=%lld", (long long)(said->at_us / MICROSECONDS_OF_MILLISECOND));
    add_text(out, "externalId", member(line, "id"));
    add_text(out, "cat",
             action->ocsf_class == VAULT_OCSF_DATA ? "Datastore Activity" : "API Activity");
    add_text(out, "act", said->action);
    add_text(out, "outcome", said->refused ? "failure" : "success");
    add_text(out, "reason", said->reason);
    add_text(out, "suid", said->credential);
    add_text(out, "spriv", said->role);
    kl_buf_addf(out, " cn1Label=seq cn1=%llu", (unsigned long long)line->seq);
    if (said->slot >= 0) {
        kl_buf_addf(out, " cn2Label=slot cn2=%lld", (long long)said->slot);
    }
    add_names(out, "cs1", "purposes", VAULT_TERM_PURPOSE, said);
    add_names(out, "cs2", "fields", VAULT_TERM_FIELD, said);
    add_labelled(out, "cs3", "requestId", member(line, "request_id"));
    add_labelled(out, "cs4", "country", said->location);
    add_labelled(out, "cs5", "tenant", line->tenant_name);
    add_labelled(out, "cs6", "recipient", member(line, "recipient"));
}

void vault_audit_form_cef(const struct vault_audit_line *line, struct kl_buf *out)
{
    static const int severities[] = {[VAULT_AUDIT_INFO] = 1,
                                     [VAULT_AUDIT_LOW] = 3,
                                     [VAULT_AUDIT_MEDIUM] = 5,
                                     [VAULT_AUDIT_HIGH] = 8,
                                     [VAULT_AUDIT_CRITICAL] = 10};
    const struct vault_audit_action action = vault_audit_action_of(line->said->action);

    kl_buf_add_text(out, "CEF:0|Kluis|Kluis|");
    add_header(out, KLUIS_VERSION);
    add_header(out, action.name);
    add_header(out, action.title);
    kl_buf_addf(out, "%d|", severities[vault_audit_weight_of(&action, line->said->refused)]);
    add_extension(line, &action, out);
    kl_buf_add_byte(out, '\n');
}
