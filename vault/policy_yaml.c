/*
 * What every section of a policy is read with: shapes, names, words, and findings that point at a
 * place.
 */
#include "vault/policy_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAMES_SHOWN_BYTES 180

const char *vault_policy_quote(char out[POLICY_QUOTE_BYTES], const char *text)
{
    size_t size = 0;

    for (; text[size] != '\0' && size < VAULT_NAME_MAX_BYTES; size++)
        out[size] = text[size] >= ' ' && text[size] <= '~' ? text[size] : '?';
    if (text[size] != '\0') {
        memcpy(out + size, "...", 3);
        size += 3;
    }
    out[size] = '\0';
    return out;
}

static void add_finding(struct policy_parse *parse, bool is_error, unsigned line, unsigned column,
                        const char *code, const char *format, va_list arguments)
{
    struct vault_findings *findings = parse->findings;
    struct vault_finding *item;

    if (is_error)
        findings->errors++;
    if (findings->count == VAULT_FINDINGS_MAX) {
        findings->more = true;
        return;
    }
    item = &findings->items[findings->count++];
    item->is_error = is_error;
    item->line = line;
    item->column = column;
    (void)snprintf(item->code, sizeof item->code, "%s", code);
    (void)vsnprintf(item->text, sizeof item->text, format, arguments);
}

void vault_policy_error(struct policy_parse *parse, policy_node node, const char *code,
                        const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_finding(parse, true, node != NULL ? node->line : 0, node != NULL ? node->column : 0, code,
                format, arguments);
    va_end(arguments);
}

void vault_policy_warn(struct policy_parse *parse, unsigned line, unsigned column, const char *code,
                       const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_finding(parse, false, line, column, code, format, arguments);
    va_end(arguments);
}

/* "a, b, c" when that fits; "" else. */
static void join_names(char out[NAMES_SHOWN_BYTES], const char *const *names)
{
    size_t size = 0;

    out[0] = '\0';
    for (size_t i = 0; names[i] != NULL; i++) {
        const size_t length = strlen(names[i]);
        if (size + length + 3 > NAMES_SHOWN_BYTES) {
            out[0] = '\0';
            return;
        }
        if (i > 0) {
            memcpy(out + size, ", ", 2);
            size += 2;
        }
        memcpy(out + size, names[i], length + 1);
        size += length;
    }
}

void vault_policy_unknown(struct policy_parse *parse, policy_node node, const char *what,
                          const char *const *names)
{
    char quoted[POLICY_QUOTE_BYTES];
    char code[KL_ERR_CODE_BYTES];
    char known[NAMES_SHOWN_BYTES];
    const char *near = kl_suggest(node->text, names);

    (void)snprintf(code, sizeof code, "unknown_%s", what);
    for (char *at = code; *at != '\0'; at++)
        if (*at == ' ')
            *at = '_';
    vault_policy_quote(quoted, node->text);
    join_names(known, names);
    if (near != NULL)
        vault_policy_error(parse, node, code, "unknown %s '%s', did you mean '%s'?", what, quoted,
                           near);
    else if (known[0] != '\0')
        vault_policy_error(parse, node, code, "unknown %s '%s'; known are %s", what, quoted, known);
    else
        vault_policy_error(parse, node, code, "unknown %s '%s'", what, quoted);
}

void *vault_policy_array(struct policy_parse *parse, size_t count, size_t size)
{
    void *array = kl_arena_array(parse->policy->arena, count, size);

    if (array == NULL)
        parse->no_memory = true;
    return array;
}

const char *vault_policy_copy(struct policy_parse *parse, const char *text)
{
    const char *copy = kl_arena_text(parse->policy->arena, text, strlen(text));

    if (copy == NULL)
        parse->no_memory = true;
    return copy;
}

bool vault_policy_mapping(struct policy_parse *parse, policy_node node, const char *what,
                          const char *const *known)
{
    if (node == NULL)
        return false;
    if (node->kind != KL_YAML_MAPPING) {
        vault_policy_error(parse, node, "wrong_shape", "%s is a mapping of names to values", what);
        return false;
    }
    for (size_t i = 0; known != NULL && i < node->count; i++)
        if (vault_policy_find(known, node->keys[i]->text) < 0)
            vault_policy_unknown(parse, node->keys[i], "key", known);
    return true;
}

bool vault_policy_list(struct policy_parse *parse, policy_node node, const char *what, size_t max)
{
    if (node == NULL)
        return false;
    if (node->kind != KL_YAML_SEQUENCE || node->count == 0) {
        vault_policy_error(parse, node, "wrong_shape",
                           "expected a list with something in it, [ ... ]: %s", what);
        return false;
    }
    if (node->count > max) {
        vault_policy_error(parse, node, "too_many", "%s has at most %zu items", what, max);
        return false;
    }
    return true;
}

const char *vault_policy_scalar_text(struct policy_parse *parse, policy_node node, const char *what)
{
    if (node == NULL)
        return NULL;
    if (node->kind != KL_YAML_SCALAR || node->text[0] == '\0') {
        vault_policy_error(parse, node, "wrong_shape", "expected a text: %s", what);
        return NULL;
    }
    if (strlen(node->text) > POLICY_TEXT_MAX_BYTES) {
        vault_policy_error(parse, node, "too_long", "%s has at most %d bytes", what,
                           POLICY_TEXT_MAX_BYTES);
        return NULL;
    }
    return node->text;
}

policy_node vault_policy_member(struct policy_parse *parse, policy_node mapping, const char *key,
                                const char *what)
{
    policy_node value = kl_yaml_member(mapping, key);

    if (value == NULL)
        vault_policy_error(parse, mapping, "missing_key", "%s needs the key '%s'", what, key);
    return value;
}

const char *vault_policy_required_text(struct policy_parse *parse, policy_node mapping,
                                       const char *key, const char *what)
{
    return vault_policy_scalar_text(parse, vault_policy_member(parse, mapping, key, what), key);
}

const char *vault_policy_optional_text(struct policy_parse *parse, policy_node mapping,
                                       const char *key)
{
    const char *text = vault_policy_scalar_text(parse, kl_yaml_member(mapping, key), key);

    return text != NULL ? vault_policy_copy(parse, text) : NULL;
}

bool vault_policy_name_check(struct policy_parse *parse, policy_node node, const char *what)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static const char all[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    char quoted[POLICY_QUOTE_BYTES];
    const char *text = vault_policy_scalar_text(parse, node, what);

    if (text == NULL)
        return false;
    if (strspn(text, letters) == 0 || text[strspn(text, all)] != '\0' ||
        strlen(text) > VAULT_NAME_MAX_BYTES) {
        vault_policy_error(parse, node, "invalid_name",
                           "'%s' is no name (%s): a name is a lower case letter, then lower case "
                           "letters, digits and _, at most %d",
                           vault_policy_quote(quoted, text), what, VAULT_NAME_MAX_BYTES);
        return false;
    }
    return true;
}

int vault_policy_find(const char *const *names, const char *text)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    return VAULT_NONE;
}

int vault_policy_word(struct policy_parse *parse, policy_node node, const char *what,
                      const char *const *words)
{
    const char *text = vault_policy_scalar_text(parse, node, what);
    int number = VAULT_NONE;

    if (text == NULL)
        return VAULT_NONE;
    number = vault_policy_find(words, text);
    if (number == VAULT_NONE)
        vault_policy_unknown(parse, node, what, words);
    return number;
}

bool vault_policy_bool(struct policy_parse *parse, policy_node node, const char *what,
                       bool *ret_value)
{
    const char *text = vault_policy_scalar_text(parse, node, what);

    if (text == NULL)
        return false;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        vault_policy_error(parse, node, "wrong_shape", "%s is true or false", what);
        return false;
    }
    *ret_value = text[0] == 't';
    return true;
}

bool vault_policy_duration(struct policy_parse *parse, policy_node node, struct kl_duration *ret)
{
    char quoted[POLICY_QUOTE_BYTES];
    const char *text = vault_policy_scalar_text(parse, node, "a duration");

    if (text == NULL)
        return false;
    if (kl_duration_parse(text, strlen(text), ret, NULL) == KL_OK)
        return true;
    vault_policy_error(parse, node, "invalid_duration",
                       "'%s' is no ISO 8601 duration, such as P10Y, P4W or PT15M",
                       vault_policy_quote(quoted, text));
    return false;
}

bool vault_policy_country(struct policy_parse *parse, policy_node node, struct vault_country *ret)
{
    char quoted[POLICY_QUOTE_BYTES];
    struct kl_err err = {0};
    const char *text = vault_policy_scalar_text(parse, node, "a country");

    if (text == NULL)
        return false;
    if (vault_country_parse(text, strlen(text), ret, &err) == KL_OK)
        return true;
    vault_policy_error(parse, node, "invalid_country", "'%s': %s", vault_policy_quote(quoted, text),
                       err.client_text);
    return false;
}

bool vault_policy_country_list(struct policy_parse *parse, policy_node node, const char *what,
                               struct policy_countries *ret)
{
    bool good = true;

    if (!vault_policy_list(parse, node, what, VAULT_FIELDS_MAX))
        return false;
    for (size_t i = 0; i < node->count; i++) {
        struct vault_country country;
        if (vault_policy_country(parse, node->items[i], &country))
            vault_policy_countries_add(ret, country);
        else
            good = false;
    }
    return good;
}

bool vault_policy_names(struct policy_parse *parse, policy_node node, const char *what, bool star,
                        const char *const *names, uint64_t *ret_bits)
{
    uint64_t bits = 0;
    bool good = true;

    if (!vault_policy_list(parse, node, what, 64))
        return false;
    if (star && node->count == 1 && node->items[0]->kind == KL_YAML_SCALAR &&
        strcmp(node->items[0]->text, "*") == 0) {
        *ret_bits = POLICY_ALL;
        return true;
    }
    for (size_t i = 0; i < node->count; i++) {
        int number = VAULT_NONE;
        if (star && node->items[i]->kind == KL_YAML_SCALAR &&
            strcmp(node->items[i]->text, "*") == 0)
            vault_policy_error(parse, node->items[i], "wrong_shape",
                               "\"*\" stands for every %s, so it stands alone", what);
        else
            number = vault_policy_word(parse, node->items[i], what, names);
        if (number < 0)
            good = false;
        else
            bits |= UINT64_C(1) << number;
    }
    if (good)
        *ret_bits = bits;
    return good;
}

bool vault_policy_purposes(struct policy_parse *parse, policy_node node, bool star,
                           uint64_t *ret_bits)
{
    struct vault_policy *policy = parse->policy;
    uint64_t bits = 0;
    bool good = vault_policy_names(parse, node, "purpose", star, policy->purpose_names, &bits);

    if (!good)
        return false;
    if (bits == POLICY_ALL) {
        *ret_bits = bits;
        return true;
    }
    for (size_t i = 0; i < node->count; i++) {
        int number = vault_policy_find(policy->purpose_names, node->items[i]->text);
        if (policy->purposes[number].shown.forbidden) {
            vault_policy_error(
                parse, node->items[i], "forbidden_purpose",
                "'%s' is one of the forbidden_purposes: nothing is read or kept for it",
                policy->purpose_names[number]);
            good = false;
        }
    }
    if (good)
        *ret_bits = bits;
    return good;
}

int vault_policy_field_number(struct policy_parse *parse, policy_node node)
{
    return vault_policy_word(parse, node, "field", parse->policy->field_names);
}
