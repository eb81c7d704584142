/* Heads of a trail, links of its keys, entries that say what went, and lines of a copy, as a file or a server gives them: what is taken reads back as the same. */
#include "kluis/base/trail.h"
#include "kluis/base/trail_pruned.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static void head_of(const struct kl_json_value *value)
{
    struct kl_trail_head head;
    struct kl_trail_head back;
    struct kl_json *json = NULL;
    struct kl_buf text;

    if (kl_trail_head_read(value, &head, NULL) != KL_OK) {
        return;
    }
    (void)kl_trail_head_holds(&head);
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_head_write(&head, &text);
    assert(kl_json_parse(text.bytes, text.size, &json, NULL) == KL_OK);
    assert(kl_trail_head_read(kl_json_root(json), &back, NULL) == KL_OK);
    assert(back.size == head.size && strcmp(back.tenant, head.tenant) == 0);
    kl_json_free(json);
    kl_buf_done(&text);
}

static void link_of(const struct kl_json_value *value)
{
    struct kl_trail_link link;
    struct kl_buf text;

    if (kl_trail_link_read(value, "default", &link, NULL) == KL_OK) {
        (void)kl_trail_link_holds(&link, NULL);
        kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
        kl_trail_link_write(&link, &text);
        assert(kl_buf_status(&text, NULL) == KL_OK);
        kl_buf_done(&text);
    }
}

static bool is_key(void *context, const unsigned char key[KL_TRAIL_KEY_BYTES])
{
    (void)context;
    return key[0] != 0;
}

static void pruning_of(struct kl_slice entry)
{
    static struct kl_trail_findings findings;
    static struct kl_trail_prunings prunings;
    struct kl_trail_pruning pruning;
    struct kl_buf text;

    findings.count = 0;
    kl_trail_prunings_begin(&prunings, "default", is_key, NULL, &findings);
    kl_trail_prunings_see(&prunings, 7, entry);
    kl_trail_prunings_see(&prunings, 8, entry);
    kl_trail_prunings_end(&prunings, 9);
    if (kl_trail_pruning_read(entry, "default", &pruning, NULL) == KL_OK) {
        kl_buf_init(&text, KL_TRAIL_PRUNED_TEXT_MAX_BYTES);
        kl_trail_pruning_text(&pruning, &text);
        assert(kl_buf_status(&text, NULL) == KL_OK && pruning.from < pruning.until);
        kl_buf_done(&text);
    }
}

static void line_of(struct kl_slice line)
{
    unsigned char hash[KL_MERKLE_HASH_BYTES];
    struct kl_slice entry;
    uint64_t number = 0;

    if (kl_trail_line_read(line, &number, &entry, hash)) {
        assert(number <= INT64_MAX && entry.size < line.size);
        pruning_of(entry);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_json *json = NULL;
    struct kl_buf line;

    kl_buf_init(&line, size + 1);
    kl_buf_add(&line, data, size);
    line_of(kl_buf_slice(&line)); /* a buffer ends with a 0 byte */
    pruning_of(kl_slice_of(data, size));
    kl_buf_done(&line);
    if (kl_json_parse(data, size, &json, NULL) == KL_OK) {
        head_of(kl_json_root(json));
        link_of(kl_json_root(json));
    }
    kl_json_free(json);
    return 0;
}
