/*
 * A YAML subset as a tree, for the policy and the configuration: one
 * document, mappings, sequences and scalars; every scalar is text ("NO" is
 * Norway). Anchors, aliases, tags, merge keys, duplicate keys, a second
 * document and invalid UTF-8 are refused. Events come from libyaml.
 */
#ifndef KLUIS_BASE_YAML_H
#define KLUIS_BASE_YAML_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>

#define KL_YAML_BYTES_MAX (1024 * 1024)
#define KL_YAML_DEPTH_MAX 16
#define KL_YAML_NODES_MAX 65536

enum kl_yaml_kind { KL_YAML_SCALAR, KL_YAML_SEQUENCE, KL_YAML_MAPPING };

/*
 * A node; everything in it belongs to the kl_yaml it came from.
 * Always true: text is 0-terminated without a 0 inside for a scalar, NULL else; keys is NULL
 * unless it is a mapping; items[i] is the value of keys[i] (a scalar node) in a mapping, the
 * i-th item in a sequence. line and column count from 1. quoted: the scalar was quoted, so an
 * empty or "~" one is meant as text. first and past: where it begins in the text, and the byte
 * behind it; of a collection in block style that is where the next thing begins.
 */
struct kl_yaml_node {
    enum kl_yaml_kind kind;
    unsigned line;
    unsigned column;
    bool quoted;
    size_t first;
    size_t past;
    const char *text;
    size_t count;
    struct kl_yaml_node **keys;
    struct kl_yaml_node **items;
};

struct kl_yaml;

/*
 * An empty document is refused too. KL_ERR_INVALID "invalid_yaml" (syntax or something
 * refused), "duplicate_key"; KL_ERR_TOO_LARGE "yaml_too_large" (bytes or nodes),
 * "yaml_too_deep"; KL_ERR_NO_MEMORY. err->where is "line:column", but empty for too many bytes.
 */
KL_MUST_USE enum kl_status kl_yaml_parse(const void *text, size_t size, struct kl_yaml **ret_yaml,
                                         struct kl_err *err);
void kl_yaml_free(struct kl_yaml *yaml);
const struct kl_yaml_node *kl_yaml_root(const struct kl_yaml *yaml);
/* The value of key in a mapping; NULL when node is NULL, no mapping, or has none. */
const struct kl_yaml_node *kl_yaml_member(const struct kl_yaml_node *node, const char *key);

/*
 * The name in names (ended by NULL) nearest to text by edit distance (two neighbours swapped
 * count as one edit), when within 3 and a third of the name's length; NULL else. Names and
 * texts of more than 63 characters are near to nothing.
 */
const char *kl_suggest(const char *text, const char *const *names);

#endif
