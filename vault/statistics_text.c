#include "vault/statistics_text.h"

#include <assert.h>
#include <string.h>

#define FORMAT 1

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "statistic_damaged",
                   "what is kept for statistics cannot be read", NULL);
}

static void add_text(struct kl_buf *ret, const char *text)
{
    kl_buf_add_sized(ret, text, strlen(text));
}

/* A text without a 0 byte, at most room - 1 bytes; with empty, also none. */
static void read_text(struct kl_reader *in, bool empty, char *ret, size_t room)
{
    struct kl_slice text = kl_read_sized(in);

    if (!in->ok || text.size >= room || (text.size == 0 && !empty) ||
        (text.size > 0 && memchr(text.bytes, 0, text.size) != NULL)) {
        in->ok = false;
        return;
    }
    if (text.size > 0) {
        memcpy(ret, text.bytes, text.size);
    }
    ret[text.size] = '\0';
}

static void read_statistic(struct kl_reader *in, char field[VAULT_COUNTED_FIELD_BYTES],
                           enum vault_generalisation *ret_how)
{
    unsigned char how = 0;

    read_text(in, false, field, VAULT_COUNTED_FIELD_BYTES);
    how = kl_read_byte(in);
    in->ok = in->ok && how < VAULT_GENERALISATIONS;
    if (in->ok) {
        *ret_how = (enum vault_generalisation)how;
    }
}

/* ---- given ---- */

enum kl_status vault_given_encode(const struct vault_given *given, struct kl_buf *ret,
                                  struct kl_err *err)
{
    size_t i;

    assert(given->count <= VAULT_STATISTICS_MAX);
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add(ret, given->person, sizeof given->person);
    kl_buf_add_u32be(ret, given->minimum);
    kl_buf_add_byte(ret, (unsigned char)given->count);
    for (i = 0; i < given->count; i++) {
        const struct vault_given_item *item = &given->items[i];

        add_text(ret, item->field);
        kl_buf_add_byte(ret, (unsigned char)item->how);
        kl_buf_add_byte(ret, item->has_value ? 1 : 0);
        add_text(ret, item->has_value ? item->value : "");
    }
    return kl_buf_status(ret, err);
}

static void read_item(struct kl_reader *in, struct vault_given_item *item)
{
    unsigned char there = 0;

    read_statistic(in, item->field, &item->how);
    there = kl_read_byte(in);
    read_text(in, true, item->value, sizeof item->value);
    item->has_value = there == 1;
    in->ok = in->ok && there <= 1 && item->has_value == (item->value[0] != '\0');
}

enum kl_status vault_given_decode(struct kl_slice text, struct vault_given *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(text);
    struct vault_given given = {0};
    unsigned char format = kl_read_byte(&in);
    struct kl_slice person = kl_read_bytes(&in, sizeof given.person);
    size_t i;

    if (in.ok) {
        memcpy(given.person, person.bytes, sizeof given.person);
    }
    given.minimum = kl_read_u32be(&in);
    given.count = kl_read_byte(&in);
    in.ok = in.ok && format == FORMAT && given.count <= VAULT_STATISTICS_MAX;
    for (i = 0; in.ok && i < given.count; i++) {
        read_item(&in, &given.items[i]);
    }
    if (!kl_reader_done(&in)) {
        return damaged(err);
    }
    *ret = given;
    return KL_OK;
}

/* ---- published ---- */

enum kl_status vault_published_encode(const char *tenant, uint32_t minimum,
                                      const struct vault_counted *counted, struct kl_buf *ret,
                                      struct kl_err *err)
{
    size_t i;

    assert(counted->count <= VAULT_CELLS_MAX);
    kl_buf_add_byte(ret, FORMAT);
    add_text(ret, tenant);
    kl_buf_add_u32be(ret, minimum);
    add_text(ret, counted->field);
    kl_buf_add_byte(ret, (unsigned char)counted->how);
    kl_buf_add_u64be(ret, counted->other);
    kl_buf_add_u16be(ret, (uint16_t)counted->count);
    for (i = 0; i < counted->count; i++) {
        add_text(ret, counted->cells[i].value);
        kl_buf_add_u64be(ret, counted->cells[i].people);
    }
    return kl_buf_status(ret, err);
}

enum kl_status vault_published_decode(struct kl_slice text, struct kl_arena *arena,
                                      struct vault_published *ret, struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(text);
    struct vault_published published = {0};
    struct vault_counted *counted = &published.counted;
    unsigned char format = kl_read_byte(&in);
    size_t i;

    read_text(&in, false, published.tenant, sizeof published.tenant);
    published.minimum = kl_read_u32be(&in);
    read_statistic(&in, counted->field, &counted->how);
    counted->other = kl_read_u64be(&in);
    counted->count = kl_read_u16be(&in);
    if (!in.ok || format != FORMAT || counted->count > VAULT_CELLS_MAX ||
        (counted->other > 0 && counted->other < published.minimum)) {
        return damaged(err);
    }
    counted->cells = kl_arena_array(arena, counted->count, sizeof *counted->cells);
    if (counted->cells == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; in.ok && i < counted->count; i++) {
        read_text(&in, false, counted->cells[i].value, sizeof counted->cells[i].value);
        counted->cells[i].people = kl_read_u64be(&in);
        in.ok = in.ok && counted->cells[i].people >= published.minimum;
    }
    if (!kl_reader_done(&in)) {
        return damaged(err);
    }
    *ret = published;
    return KL_OK;
}
