/*
 * libyaml says events; they are put on a stack of unfinished collections,
 * whose members gather in one array and are copied out when one ends.
 */
#include "kluis/base/yaml.h"

#include "kluis/base/arena.h"
#include "kluis/base/encode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* Up to here each key is compared with each; above, they are sorted. */
#define COMPARED_KEYS_MAX 16

/* Texts, nodes, the two arrays of a mapping, and what aligning each of them costs. */
#define ARENA_BYTES              \
    ((size_t)KL_YAML_BYTES_MAX + \
     (size_t)KL_YAML_NODES_MAX * (sizeof(struct kl_yaml_node) + 2 * sizeof(void *) + 128))

struct kl_yaml {
    struct kl_arena *arena;
    struct kl_yaml_node *root;
};

/*
 * A collection whose end has not come: its members lie in gathered[] from first on, a mapping's as
 * key, value, key, value.
 */
struct open_node {
    struct kl_yaml_node *node;
    size_t first;
};

struct reader {
    yaml_parser_t parser;
    struct kl_arena *arena;
    struct kl_yaml_node **gathered; /* room for KL_YAML_NODES_MAX */
    size_t gathered_count;
    size_t nodes_count;
    struct open_node open[KL_YAML_DEPTH_MAX];
    size_t depth;
    struct kl_yaml_node *root;
    bool document_ended;
    const char *text;
    size_t text_bytes;
    size_t mark_index; /* a mark that was asked for, in characters, and where it is in bytes */
    size_t mark_byte;
    struct kl_err *err;
};

static bool continues_character(char byte)
{
    return ((unsigned char)byte & 0xC0u) == 0x80u;
}

/* libyaml's marks count characters. One follows the other, so this goes on from the last. */
static size_t byte_of(struct reader *reader, const yaml_mark_t *mark)
{
    while (reader->mark_index < mark->index && reader->mark_byte < reader->text_bytes) {
        do {
            reader->mark_byte++;
        } while (reader->mark_byte < reader->text_bytes &&
                 continues_character(reader->text[reader->mark_byte]));
        reader->mark_index++;
    }
    while (reader->mark_index > mark->index && reader->mark_byte > 0) {
        do {
            reader->mark_byte--;
        } while (reader->mark_byte > 0 && continues_character(reader->text[reader->mark_byte]));
        reader->mark_index--;
    }
    return reader->mark_byte;
}

static void note_mark(struct kl_err *err, const yaml_mark_t *mark)
{
    kl_err_where(err, "%zu:%zu", mark->line + 1, mark->column + 1);
}

static enum kl_status fail_at(struct reader *reader, const yaml_mark_t *mark, const char *text)
{
    note_mark(reader->err, mark);
    return kl_fail(reader->err, KL_ERR_INVALID, "invalid_yaml", text, NULL);
}

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is short of memory; try again",
                   "no memory to read YAML");
}

/* problem is one of libyaml's constant texts and shows nothing of the input. */
static enum kl_status fail_parser(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;

    if (parser->error == YAML_MEMORY_ERROR) {
        return fail_memory(reader->err);
    }
    note_mark(reader->err,
              parser->error == YAML_READER_ERROR ? &parser->mark : &parser->problem_mark);
    return kl_failf(reader->err, KL_ERR_INVALID, "invalid_yaml", "this is not valid YAML: %s",
                    parser->problem != NULL ? parser->problem : "it cannot be read");
}

static bool key_comes_next(const struct reader *reader)
{
    const struct open_node *open;

    if (reader->depth == 0) {
        return false;
    }
    open = &reader->open[reader->depth - 1];
    return open->node->kind == KL_YAML_MAPPING && (reader->gathered_count - open->first) % 2 == 0;
}

/* Make a node and put it where the collection that is open gathers, or at the root. */
static enum kl_status node_add(struct reader *reader, enum kl_yaml_kind kind,
                               const yaml_mark_t *mark, struct kl_yaml_node **ret_node)
{
    struct kl_yaml_node *node;

    if (reader->nodes_count == KL_YAML_NODES_MAX) {
        note_mark(reader->err, mark);
        return kl_failf(reader->err, KL_ERR_TOO_LARGE, "yaml_too_large",
                        "the document has more than %d parts", KL_YAML_NODES_MAX);
    }
    node = kl_arena_alloc(reader->arena, sizeof(*node));
    if (node == NULL) {
        return fail_memory(reader->err);
    }
    node->kind = kind;
    node->line = (unsigned)mark->line + 1;
    node->column = (unsigned)mark->column + 1;
    node->first = byte_of(reader, mark);
    reader->nodes_count++;
    if (reader->depth == 0) {
        reader->root = node;
    } else {
        reader->gathered[reader->gathered_count++] = node;
    }
    *ret_node = node;
    return KL_OK;
}

/* What a key must not be: nothing, or the merge key of YAML 1.1. */
static enum kl_status check_key(struct reader *reader, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;

    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return KL_OK;
    }
    if (event->data.scalar.length == 0) {
        return fail_at(reader, &event->start_mark, "a key is missing");
    }
    if (strcmp(text, "<<") == 0) {
        return fail_at(reader, &event->start_mark, "merge keys are not taken");
    }
    return KL_OK;
}

static enum kl_status take_scalar(struct reader *reader, const yaml_event_t *event)
{
    enum kl_status status;
    struct kl_yaml_node *node = NULL;
    const unsigned char *text = event->data.scalar.value;
    size_t size = event->data.scalar.length;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL) {
        return fail_at(reader, &event->start_mark, "anchors and tags are not taken");
    }
    if (memchr(text, 0, size) != NULL) {
        return fail_at(reader, &event->start_mark, "a text holds the character U+0000");
    }
    if (key_comes_next(reader)) {
        status = check_key(reader, event);
        if (status != KL_OK) {
            return status;
        }
    }
    if (reader->depth == 0 && plain && size == 0) {
        return fail_at(reader, &event->start_mark, "the document is empty");
    }
    status = node_add(reader, KL_YAML_SCALAR, &event->start_mark, &node);
    if (status != KL_OK) {
        return status;
    }
    node->quoted = !plain;
    node->past = byte_of(reader, &event->end_mark);
    node->text = kl_arena_text(reader->arena, text, size);
    return node->text != NULL ? KL_OK : fail_memory(reader->err);
}

static enum kl_status begin_collection(struct reader *reader, enum kl_yaml_kind kind,
                                       bool decorated, const yaml_mark_t *mark)
{
    enum kl_status status;
    struct kl_yaml_node *node = NULL;

    if (decorated) {
        return fail_at(reader, mark, "anchors and tags are not taken");
    }
    if (key_comes_next(reader)) {
        return fail_at(reader, mark, "a key must be a text");
    }
    if (reader->depth == KL_YAML_DEPTH_MAX) {
        note_mark(reader->err, mark);
        return kl_failf(reader->err, KL_ERR_TOO_LARGE, "yaml_too_deep",
                        "mappings and sequences lie more than %d deep in each other",
                        KL_YAML_DEPTH_MAX);
    }
    status = node_add(reader, kind, mark, &node);
    if (status == KL_OK) {
        reader->open[reader->depth++] =
            (struct open_node){.node = node, .first = reader->gathered_count};
    }
    return status;
}

static bool comes_before(const struct kl_yaml_node *a, const struct kl_yaml_node *b)
{
    return a->line < b->line || (a->line == b->line && a->column < b->column);
}

/* Among equal texts the one that stands first in the document is first. */
static int key_order(const void *a, const void *b)
{
    const struct kl_yaml_node *first = *(struct kl_yaml_node *const *)a;
    const struct kl_yaml_node *second = *(struct kl_yaml_node *const *)b;
    int order = strcmp(first->text, second->text);

    if (order != 0) {
        return order;
    }
    return comes_before(first, second) ? -1 : comes_before(second, first);
}

static const struct kl_yaml_node *compared_duplicate(struct kl_yaml_node *const *keys, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(keys[i]->text, keys[j]->text) == 0) {
                return keys[i];
            }
        }
    }
    return NULL;
}

/* Sorts keys. */
static const struct kl_yaml_node *sorted_duplicate(struct kl_yaml_node **keys, size_t count)
{
    const struct kl_yaml_node *found = NULL;

    qsort(keys, count, sizeof(*keys), key_order);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(keys[i]->text, keys[i - 1]->text) == 0 &&
            (found == NULL || comes_before(keys[i], found))) {
            found = keys[i];
        }
    }
    return found;
}

/* The first key that was there already; scratch has room for count. */
static enum kl_status check_duplicates(struct reader *reader, const struct kl_yaml_node *mapping,
                                       struct kl_yaml_node **scratch)
{
    const struct kl_yaml_node *duplicate;

    if (mapping->count <= COMPARED_KEYS_MAX) {
        duplicate = compared_duplicate(mapping->keys, mapping->count);
    } else {
        memcpy(scratch, mapping->keys, mapping->count * sizeof(struct kl_yaml_node *));
        duplicate = sorted_duplicate(scratch, mapping->count);
    }
    if (duplicate == NULL) {
        return KL_OK;
    }
    kl_err_where(reader->err, "%u:%u", duplicate->line, duplicate->column);
    return kl_fail(reader->err, KL_ERR_INVALID, "duplicate_key", "a mapping has the same key twice",
                   NULL);
}

static enum kl_status end_collection(struct reader *reader, const yaml_mark_t *end)
{
    struct open_node open;
    struct kl_yaml_node **members;
    struct kl_yaml_node *node;
    size_t step;

    assert(reader->depth > 0);
    open = reader->open[--reader->depth];
    node = open.node;
    members = reader->gathered + open.first;
    step = node->kind == KL_YAML_MAPPING ? 2 : 1;
    node->past = byte_of(reader, end);
    node->count = (reader->gathered_count - open.first) / step;
    reader->gathered_count = open.first;
    node->items = kl_arena_array(reader->arena, node->count, sizeof(struct kl_yaml_node *));
    if (node->items == NULL) {
        return fail_memory(reader->err);
    }
    for (size_t i = 0; i < node->count; i++) {
        node->items[i] = members[i * step + step - 1];
    }
    if (node->kind == KL_YAML_SEQUENCE) {
        return KL_OK;
    }
    node->keys = kl_arena_array(reader->arena, node->count, sizeof(struct kl_yaml_node *));
    if (node->keys == NULL) {
        return fail_memory(reader->err);
    }
    for (size_t i = 0; i < node->count; i++) {
        node->keys[i] = members[i * step];
    }
    return check_duplicates(reader, node, members);
}

static enum kl_status begin_document(struct reader *reader, const yaml_event_t *event)
{
    if (reader->document_ended) {
        return fail_at(reader, &event->start_mark, "only one document is taken");
    }
    if (event->data.document_start.tag_directives.start !=
        event->data.document_start.tag_directives.end) {
        return fail_at(reader, &event->start_mark, "tag directives are not taken");
    }
    return KL_OK;
}

static enum kl_status take_event(struct reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return begin_document(reader, event);
    case YAML_DOCUMENT_END_EVENT:
        reader->document_ended = true;
        return KL_OK;
    case YAML_ALIAS_EVENT:
        return fail_at(reader, &event->start_mark, "aliases are not taken");
    case YAML_SCALAR_EVENT:
        return take_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return begin_collection(reader, KL_YAML_SEQUENCE,
                                event->data.sequence_start.anchor != NULL ||
                                    event->data.sequence_start.tag != NULL,
                                &event->start_mark);
    case YAML_MAPPING_START_EVENT:
        return begin_collection(reader, KL_YAML_MAPPING,
                                event->data.mapping_start.anchor != NULL ||
                                    event->data.mapping_start.tag != NULL,
                                &event->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return end_collection(reader, &event->end_mark);
    default:
        return KL_OK;
    }
}

static enum kl_status read_events(struct reader *reader)
{
    enum kl_status status = KL_OK;
    bool ended = false;

    while (status == KL_OK && !ended) {
        yaml_event_t event;

        if (yaml_parser_parse(&reader->parser, &event) == 0) {
            return fail_parser(reader);
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        if (ended && reader->root == NULL) {
            status = fail_at(reader, &event.start_mark, "the document is empty");
        } else {
            status = take_event(reader, &event);
        }
        yaml_event_delete(&event);
    }
    return status;
}

static enum kl_status check_text(const char *text, size_t size, struct kl_err *err)
{
    if (size > KL_YAML_BYTES_MAX) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "yaml_too_large",
                        "the document is larger than %d bytes", KL_YAML_BYTES_MAX);
    }
    for (size_t i = 0, line = 1, begin = 0; i < size;) {
        size_t bytes = kl_utf8_char_bytes(text + i, size - i);
        if (bytes == 0 || text[i] == '\0') {
            kl_err_where(err, "%zu:%zu", line, i - begin + 1);
            return kl_fail(err, KL_ERR_INVALID, "invalid_yaml",
                           bytes == 0 ? "the text is not UTF-8" : "the text holds a zero byte",
                           NULL);
        }
        i += bytes;
        if (text[i - 1] == '\n') {
            line++;
            begin = i;
        }
    }
    return KL_OK;
}

/* Read into arena; ret_root is set on KL_OK only. */
static enum kl_status read_document(const char *text, size_t size, struct kl_arena *arena,
                                    struct kl_yaml_node **ret_root, struct kl_err *err)
{
    enum kl_status status;
    struct reader reader = {.arena = arena, .text = text, .text_bytes = size, .err = err};

    if (yaml_parser_initialize(&reader.parser) == 0) {
        return fail_memory(err);
    }
    reader.gathered = calloc(KL_YAML_NODES_MAX, sizeof(struct kl_yaml_node *));
    if (reader.gathered == NULL) {
        status = fail_memory(err);
        goto out;
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
    status = read_events(&reader);
    if (status == KL_OK) {
        *ret_root = reader.root;
    }

out:
    free(reader.gathered);
    yaml_parser_delete(&reader.parser);
    return status;
}

enum kl_status kl_yaml_parse(const void *text, size_t size, struct kl_yaml **ret_yaml,
                             struct kl_err *err)
{
    enum kl_status status;
    struct kl_yaml *yaml = NULL;

    status = check_text(text, size, err);
    if (status != KL_OK) {
        return status;
    }
    yaml = calloc(1, sizeof(*yaml));
    if (yaml != NULL) {
        yaml->arena = kl_arena_new(ARENA_BYTES);
    }
    if (yaml == NULL || yaml->arena == NULL) {
        status = fail_memory(err);
        goto out;
    }
    status = read_document(text, size, yaml->arena, &yaml->root, err);
    if (status == KL_OK) {
        *ret_yaml = yaml;
        yaml = NULL;
    }

out:
    kl_yaml_free(yaml);
    return status;
}

void kl_yaml_free(struct kl_yaml *yaml)
{
    if (yaml != NULL) {
        kl_arena_free(yaml->arena);
        free(yaml);
    }
}

const struct kl_yaml_node *kl_yaml_root(const struct kl_yaml *yaml)
{
    return yaml->root;
}

const struct kl_yaml_node *kl_yaml_member(const struct kl_yaml_node *node, const char *key)
{
    if (node == NULL || node->kind != KL_YAML_MAPPING) {
        return NULL;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (strcmp(node->keys[i]->text, key) == 0) {
            return node->items[i];
        }
    }
    return NULL;
}
