/*
 * Changes of a policy's text at places of its tree: the rest of the file, its comments and its layout stay as they are.
 *
 * A place is written in the style it has, flow or block; where it cannot be done in that style the answer is false, and whoever asked
 * has to do without. What came out is to be compiled: these calls know YAML and not the language of policies.
 *
 * Threads: any; nothing is shared.
 */
#ifndef VAULT_POLICY_EDIT_H
#define VAULT_POLICY_EDIT_H

#include "kluis/base/arena.h"
#include "kluis/base/yaml.h"

#include <stdbool.h>
#include <stddef.h>

/* The text a tree was read from, and where what is inserted lies. */
struct policy_text {
    const char *bytes;
    size_t size;
    struct kl_arena *arena;
};
/* Bytes at..at + remove_bytes give way to insert (the arena's, may be empty). */
struct policy_edit {
    size_t at;
    size_t remove_bytes;
    const char *insert;
};

/* item, member: in flow style, as "{ do: [read] }" or "news". The value behind a key that is new. */
bool vault_edit_list_add(const struct policy_text *text, const struct kl_yaml_node *list,
                         const char *item, struct policy_edit *ret);
bool vault_edit_member_add(const struct policy_text *text, const struct kl_yaml_node *mapping,
                           const char *key, const char *value, struct policy_edit *ret);
/* number: of the item or member. One that is the only one is not taken out. */
bool vault_edit_list_remove(const struct policy_text *text, const struct kl_yaml_node *list,
                            size_t number, struct policy_edit *ret);
bool vault_edit_member_remove(const struct policy_text *text, const struct kl_yaml_node *mapping,
                              size_t number, struct policy_edit *ret);
/* Another value in the place of a node. */
bool vault_edit_replace(const struct policy_text *text, const struct kl_yaml_node *node,
                        const char *value, struct policy_edit *ret);

/* The text with an edit made, 0-terminated, the arena's; NULL: no memory. */
char *vault_edit_apply(const struct policy_text *text, const struct policy_edit *edit,
                       size_t *ret_size);

#endif
