#include "vault/policy_edit.h"

#include "kluis/base/buf.h"

#include <string.h>

#define INSERT_BYTES_MAX (64 * 1024)

/* ---- places ---- */

static bool is_flow(const struct policy_text *text, const struct kl_yaml_node *node)
{
    return node->first < text->size &&
           (text->bytes[node->first] == '[' || text->bytes[node->first] == '{');
}

/* Behind the last byte of what a node says; a collection in block style ends with its last member. */
static size_t content_end(const struct policy_text *text, const struct kl_yaml_node *node)
{
    while (node->kind != KL_YAML_SCALAR && node->count > 0 && !is_flow(text, node))
        node = node->items[node->count - 1];
    return node->past > node->first && text->bytes[node->past - 1] == '\n' ? node->past - 1
                                                                           : node->past;
}

static size_t line_begin(const struct policy_text *text, size_t at)
{
    while (at > 0 && text->bytes[at - 1] != '\n')
        at--;
    return at;
}

/* Behind the end of the line, or the end of the text. */
static size_t line_past(const struct policy_text *text, size_t at)
{
    while (at < text->size && text->bytes[at] != '\n')
        at++;
    return at < text->size ? at + 1 : at;
}

static bool is_blank(const struct policy_text *text, size_t first, size_t past)
{
    for (size_t i = first; i < past; i++)
        if (text->bytes[i] != ' ')
            return false;
    return true;
}

/* ---- making an edit ---- */

static bool make(const struct policy_text *text, size_t at, size_t past,
                 const struct kl_buf *insert, struct policy_edit *ret)
{
    const char *copy =
        insert->failed ? NULL
                       : kl_arena_text(text->arena, insert->size == 0 ? "" : (void *)insert->bytes,
                                       insert->size);

    if (copy == NULL)
        return false;
    *ret = (struct policy_edit){.at = at, .remove_bytes = past - at, .insert = copy};
    return true;
}

/* A line of its own behind the line in which the byte before at lies. */
static bool add_line(const struct policy_text *text, size_t at, size_t indent, const char *prefix,
                     const char *line, struct policy_edit *ret)
{
    const size_t place = line_past(text, at);
    const bool ended = place > 0 && text->bytes[place - 1] == '\n';
    bool made;
    struct kl_buf insert;

    kl_buf_init(&insert, INSERT_BYTES_MAX);
    kl_buf_addf(&insert, "%s%*s%s%s%s", ended ? "" : "\n", (int)indent, "", prefix, line,
                ended ? "\n" : "");
    made = make(text, place, place, &insert, ret);
    kl_buf_done(&insert);
    return made;
}

/* Behind the last member of a collection in flow style. */
static bool add_inside(const struct policy_text *text, const struct kl_yaml_node *node,
                       const char *item, struct policy_edit *ret)
{
    const size_t at =
        node->count == 0 ? node->first + 1 : content_end(text, node->items[node->count - 1]);
    bool made;
    struct kl_buf insert;

    kl_buf_init(&insert, INSERT_BYTES_MAX);
    kl_buf_addf(&insert, "%s%s", node->count == 0 ? "" : ", ", item);
    made = make(text, at, at, &insert, ret);
    kl_buf_done(&insert);
    return made;
}

static bool cut(const struct policy_text *text, size_t at, size_t past, struct policy_edit *ret)
{
    struct kl_buf nothing;

    kl_buf_init(&nothing, 1);
    return past > at && make(text, at, past, &nothing, ret);
}

/* One of several in flow style, with its comma. */
static bool cut_inside(const struct policy_text *text, size_t first, size_t end, size_t next,
                       size_t end_before, struct policy_edit *ret)
{
    return next != 0 ? cut(text, first, next, ret) : cut(text, end_before, end, ret);
}

/* Whole lines, when nothing else stands in the first. */
static bool cut_lines(const struct policy_text *text, size_t first, size_t end,
                      struct policy_edit *ret)
{
    const size_t begin = line_begin(text, first);

    return is_blank(text, begin, first) && cut(text, begin, line_past(text, end), ret);
}

/* The dash before an item in block style; false: it stands on another line. */
static bool find_dash(const struct policy_text *text, const struct kl_yaml_node *item,
                      size_t *ret_dash)
{
    size_t at = item->first;

    while (at > 0 && text->bytes[at - 1] == ' ')
        at--;
    if (at == 0 || text->bytes[at - 1] != '-')
        return false;
    *ret_dash = at - 1;
    return true;
}

/* ---- the calls ---- */

bool vault_edit_list_add(const struct policy_text *text, const struct kl_yaml_node *list,
                         const char *item, struct policy_edit *ret)
{
    if (list == NULL || list->kind != KL_YAML_SEQUENCE)
        return false;
    if (is_flow(text, list))
        return add_inside(text, list, item, ret);
    return list->count > 0 &&
           add_line(text, content_end(text, list), list->column - 1, "- ", item, ret);
}

bool vault_edit_member_add(const struct policy_text *text, const struct kl_yaml_node *mapping,
                           const char *key, const char *value, struct policy_edit *ret)
{
    bool made;
    struct kl_buf member;

    if (mapping == NULL || mapping->kind != KL_YAML_MAPPING)
        return false;
    kl_buf_init(&member, INSERT_BYTES_MAX);
    kl_buf_addf(&member, "%s: %s", key, value);
    if (member.failed)
        made = false;
    else if (is_flow(text, mapping))
        made = add_inside(text, mapping, (const char *)member.bytes, ret);
    else
        made = mapping->count > 0 && add_line(text, content_end(text, mapping), mapping->column - 1,
                                              "", (const char *)member.bytes, ret);
    kl_buf_done(&member);
    return made;
}

bool vault_edit_list_remove(const struct policy_text *text, const struct kl_yaml_node *list,
                            size_t number, struct policy_edit *ret)
{
    size_t dash = 0;

    if (list == NULL || list->kind != KL_YAML_SEQUENCE || list->count < 2)
        return false;
    if (is_flow(text, list))
        return cut_inside(text, list->items[number]->first, content_end(text, list->items[number]),
                          number + 1 < list->count ? list->items[number + 1]->first : 0,
                          number > 0 ? content_end(text, list->items[number - 1]) : 0, ret);
    return find_dash(text, list->items[number], &dash) &&
           cut_lines(text, dash, content_end(text, list->items[number]), ret);
}

bool vault_edit_member_remove(const struct policy_text *text, const struct kl_yaml_node *mapping,
                              size_t number, struct policy_edit *ret)
{
    if (mapping == NULL || mapping->kind != KL_YAML_MAPPING || mapping->count < 2)
        return false;
    if (is_flow(text, mapping))
        return cut_inside(text, mapping->keys[number]->first,
                          content_end(text, mapping->items[number]),
                          number + 1 < mapping->count ? mapping->keys[number + 1]->first : 0,
                          number > 0 ? content_end(text, mapping->items[number - 1]) : 0, ret);
    return cut_lines(text, mapping->keys[number]->first, content_end(text, mapping->items[number]),
                     ret);
}

bool vault_edit_replace(const struct policy_text *text, const struct kl_yaml_node *node,
                        const char *value, struct policy_edit *ret)
{
    const size_t end = content_end(text, node);

    *ret = (struct policy_edit){.at = node->first,
                                .remove_bytes = end - node->first,
                                .insert = kl_arena_text(text->arena, value, strlen(value))};
    return ret->insert != NULL;
}

char *vault_edit_apply(const struct policy_text *text, const struct policy_edit *edit,
                       size_t *ret_size)
{
    const size_t inserted = strlen(edit->insert);
    const size_t past = edit->at + edit->remove_bytes;
    char *ret = kl_arena_alloc(text->arena, text->size - edit->remove_bytes + inserted + 1);

    if (ret == NULL)
        return NULL;
    memcpy(ret, text->bytes, edit->at);
    memcpy(ret + edit->at, edit->insert, inserted);
    memcpy(ret + edit->at + inserted, text->bytes + past, text->size - past);
    *ret_size = text->size - edit->remove_bytes + inserted;
    return ret;
}
