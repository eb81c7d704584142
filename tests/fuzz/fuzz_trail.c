/* Heads of a trail and links of its keys, as a file or a server gives them: what is taken reads back as the same. */
#include "kluis/base/trail.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_json *json = NULL;

    if (kl_json_parse(data, size, &json, NULL) == KL_OK) {
        head_of(kl_json_root(json));
        link_of(kl_json_root(json));
    }
    kl_json_free(json);
    return 0;
}
