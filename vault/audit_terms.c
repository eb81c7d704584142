#include "vault/audit_terms.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct vault_term vault_term_of_slot(uint64_t slot)
{
    return (struct vault_term){.kind = VAULT_TERM_SLOT, .value = slot};
}

struct vault_term vault_term_of_text(enum vault_term_kind kind, const char *text)
{
    unsigned char kind_byte = (unsigned char)kind;
    unsigned char hash[crypto_generichash_BYTES_MIN];
    crypto_generichash_state state;

    (void)crypto_generichash_init(&state, NULL, 0, sizeof hash);
    (void)crypto_generichash_update(&state, &kind_byte, 1);
    (void)crypto_generichash_update(&state, (const unsigned char *)text, strlen(text));
    (void)crypto_generichash_final(&state, hash, sizeof hash);
    return (struct vault_term){.kind = kind, .value = kl_get_u64be(hash)};
}

/* ---- the terms of an entry ---- */

/* goes_on: the visitor did not end it. */
struct visiting {
    vault_term_visit visit;
    void *visitor;
    bool goes_on;
};

static void put(struct visiting *visiting, enum vault_term_kind kind, const char *text)
{
    if (visiting->goes_on && text != NULL) {
        visiting->goes_on = visiting->visit(visiting->visitor, kind, 0, text);
    }
}

static void put_field(struct visiting *visiting, const char *type, const char *field)
{
    char name[VAULT_TERM_FIELD_MAX_BYTES + 1];

    if (type == NULL || field == NULL) {
        put(visiting, VAULT_TERM_FIELD, field);
        return;
    }
    (void)snprintf(name, sizeof name, "%s.%s", type, field);
    put(visiting, VAULT_TERM_FIELD, name);
}

static void put_texts(struct visiting *visiting, enum vault_term_kind kind,
                      const struct kl_json_value *list)
{
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *item = NULL;

    while (visiting->goes_on && kl_json_next(&iter, NULL, &item)) {
        put(visiting, kind, kl_json_text(item));
    }
}

static void put_keys(struct visiting *visiting, const char *type,
                     const struct kl_json_value *fields)
{
    struct kl_json_iter iter = kl_json_iter(fields);
    const struct kl_json_value *how = NULL;
    const char *field = NULL;

    while (visiting->goes_on && kl_json_next(&iter, &field, &how)) {
        put_field(visiting, type, field);
    }
}

/* [{"type","fields":{...},"withheld":{...}},...] */
static void put_shown(struct visiting *visiting, const struct kl_json_value *shown)
{
    struct kl_json_iter iter = kl_json_iter(shown);
    const struct kl_json_value *block = NULL;

    while (visiting->goes_on && kl_json_next(&iter, NULL, &block)) {
        const char *type = kl_json_text(kl_json_member(block, "type"));

        put_keys(visiting, type, kl_json_member(block, "fields"));
        put_keys(visiting, type, kl_json_member(block, "withheld"));
    }
}

/* {"name":"set"} of one type, {"type":["name"]} of several, or ["type.name"]. */
static void put_fields(struct visiting *visiting, const char *type,
                       const struct kl_json_value *fields)
{
    struct kl_json_iter iter = kl_json_iter(fields);
    struct kl_json_iter names;
    const struct kl_json_value *item = NULL;
    const struct kl_json_value *name = NULL;
    const char *key = NULL;

    while (visiting->goes_on && kl_json_next(&iter, &key, &item)) {
        if (kl_json_type(item) == KL_JSON_ARRAY) {
            names = kl_json_iter(item);
            while (visiting->goes_on && kl_json_next(&names, NULL, &name)) {
                put_field(visiting, key, kl_json_text(name));
            }
        } else if (key != NULL) {
            put_field(visiting, type, key);
        } else {
            put_field(visiting, NULL, kl_json_text(item));
        }
    }
}

void vault_audit_terms(const struct vault_audit_said *said, vault_term_visit visit, void *visitor)
{
    struct visiting visiting = {.visit = visit, .visitor = visitor, .goes_on = true};
    const struct kl_json_value *root = said->root;

    if (said->slot >= 0) {
        visiting.goes_on = visit(visitor, VAULT_TERM_SLOT, (uint64_t)said->slot, NULL);
    }
    put(&visiting, VAULT_TERM_CREDENTIAL, said->credential);
    put(&visiting, VAULT_TERM_ACTION, said->action);
    put(&visiting, VAULT_TERM_RESULT, kl_json_text(kl_json_member(root, "result")));
    put(&visiting, VAULT_TERM_PURPOSE, said->purpose);
    put_texts(&visiting, VAULT_TERM_PURPOSE, kl_json_member(root, "purposes"));
    put_shown(&visiting, kl_json_member(root, "shown"));
    put_fields(&visiting, kl_json_text(kl_json_member(root, "type")),
               kl_json_member(root, "fields"));
    put(&visiting, VAULT_TERM_FIELD, kl_json_text(kl_json_member(root, "field")));
}

/* ---- one term ---- */

struct wanted {
    enum vault_term_kind kind;
    uint64_t slot;
    const char *text;
    bool found;
};

static bool is_wanted(void *visitor, enum vault_term_kind kind, uint64_t slot, const char *text)
{
    struct wanted *wanted = visitor;

    wanted->found = kind == wanted->kind &&
                    (text == NULL ? slot == wanted->slot : strcmp(text, wanted->text) == 0);
    return !wanted->found;
}

bool vault_audit_has(const struct vault_audit_said *said, enum vault_term_kind kind, uint64_t slot,
                     const char *text)
{
    struct wanted wanted = {.kind = kind, .slot = slot, .text = text};

    vault_audit_terms(said, is_wanted, &wanted);
    return wanted.found;
}
