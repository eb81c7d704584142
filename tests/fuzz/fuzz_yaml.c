/* What is read as YAML is a tree as the header says: whole, unique keys, places within the text. */
#include "kluis/base/encode.h"
#include "kluis/base/yaml.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_node(const struct kl_yaml_node *node, unsigned depth, size_t size)
{
    static const char *const names[] = {"roles", "tls-cert", "email", NULL};

    assert(node->line >= 1 && node->line <= size + 1 && node->column >= 1);
    if (node->kind == KL_YAML_SCALAR) {
        assert(node->count == 0 && node->keys == NULL && node->items == NULL);
        assert(kl_utf8_valid(node->text, strlen(node->text)));
        (void)kl_suggest(node->text, names);
        return;
    }
    assert(depth < KL_YAML_DEPTH_MAX && node->text == NULL);
    assert((node->keys != NULL) == (node->kind == KL_YAML_MAPPING));
    for (size_t i = 0; i < node->count; i++) {
        if (node->keys != NULL) {
            assert(node->keys[i]->kind == KL_YAML_SCALAR);
            check_node(node->keys[i], depth + 1, size);
            /* With a key that came twice, the first of the two would be found. */
            assert(kl_yaml_member(node, node->keys[i]->text) == node->items[i]);
        }
        check_node(node->items[i], depth + 1, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_yaml *yaml = NULL;
    struct kl_err err = {0};

    if (kl_yaml_parse(data, size, &yaml, &err) != KL_OK) {
        assert(yaml == NULL && err.code[0] != '\0' && err.client_text[0] != '\0');
        return 0;
    }
    check_node(kl_yaml_root(yaml), 0, size);
    kl_yaml_free(yaml);
    return 0;
}
