/*
 * Rows of a store at rest, read and written past the vault, as somebody with the disk can: for scripts.
 *
 *   row_editor FOLDER     the store, DIR/data of a vault that is not running
 *
 * Commands come a line each, keys and values in hex; each is answered by its lines, and a line with a dot:
 *   list PREFIX           KEY VALUE, each on a line of its own
 *   put KEY VALUE         an empty value is "-"
 *   remove KEY
 */
#include "kluis/base/encode.h"
#include "vault/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (5u * 1024 * 1024)

static void fail(const char *what)
{
    (void)fprintf(stderr, "row_editor: %s\n", what);
    exit(1);
}

/* ret has room for half of the text. */
static struct kl_slice bytes_of(const char *text, unsigned char *ret)
{
    size_t size = strlen(text) / 2;

    if (strcmp(text, "-") == 0) {
        return kl_slice_of("", 0);
    }
    if (!kl_hex_decode(text, strlen(text), ret, size)) {
        fail("no hex");
    }
    return kl_slice_of(ret, size);
}

static void print_hex(struct kl_slice slice)
{
    for (size_t i = 0; i < slice.size; i++) {
        (void)printf("%02x", slice.bytes[i]);
    }
}

static void list(struct vault_store *store, struct kl_slice prefix)
{
    struct vault_iter *iter = vault_iter_new(store, prefix, kl_slice_of(NULL, 0), false);
    struct kl_slice key;
    struct kl_slice value;

    if (iter == NULL) {
        fail("no iterator");
    }
    while (vault_iter_next(iter, &key, &value) && key.size >= prefix.size &&
           memcmp(key.bytes, prefix.bytes, prefix.size) == 0) {
        print_hex(key);
        (void)putchar(' ');
        print_hex(value);
        (void)putchar('\n');
    }
    vault_iter_free(iter);
}

static void change(struct vault_store *store, struct kl_slice key, const struct kl_slice *value)
{
    struct vault_batch *batch = vault_batch_new();

    if (value != NULL) {
        vault_batch_put(batch, key, *value);
    } else {
        vault_batch_remove(batch, key);
    }
    if (vault_store_apply(store, batch, true, NULL) != KL_OK) {
        fail("not written");
    }
    vault_batch_free(batch);
}

static void run(struct vault_store *store, char *line)
{
    static unsigned char key_bytes[VAULT_STORE_KEY_MAX_BYTES];
    static unsigned char value_bytes[LINE_MAX_BYTES / 2];
    char *rest = line;
    const char *command = strtok_r(rest, " \n", &rest);
    const char *key_text = strtok_r(NULL, " \n", &rest);
    const char *value_text = strtok_r(NULL, " \n", &rest);
    struct kl_slice value;

    if (command == NULL || key_text == NULL || strlen(key_text) > 2 * sizeof key_bytes) {
        fail("no command");
    } else if (strcmp(command, "list") == 0) {
        list(store, bytes_of(key_text, key_bytes));
    } else if (strcmp(command, "put") == 0 && value_text != NULL) {
        value = bytes_of(value_text, value_bytes);
        change(store, bytes_of(key_text, key_bytes), &value);
    } else if (strcmp(command, "remove") == 0) {
        change(store, bytes_of(key_text, key_bytes), NULL);
    } else {
        fail("unknown command");
    }
    (void)puts(".");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_BYTES];
    struct vault_store_options options = {.path = argc == 2 ? argv[1] : ""};
    struct vault_store *store = NULL;

    if (argc != 2 || vault_store_open(&options, &store, NULL) != KL_OK) {
        fail("the store cannot be opened");
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        run(store, line);
    }
    vault_store_close(store);
    return 0;
}
