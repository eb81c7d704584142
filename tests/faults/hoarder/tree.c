/* Pages of keys, by the text of kms/format.h. */
#include "adversary.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_KEY_BYTES 28
#define NONCE_AT 1
#define SEALED_AT 25
#define TAG_BYTES 16
#define ENTRY_BYTES 33
#define ENTRIES_MAX 128
#define SPINE_ENTRIES 6
#define LEAF_ENTRIES 64
#define FAN_ENTRIES 128
#define SPINE 255
#define STEPS_MAX 24
#define ROOT_SLOT_BYTES 4096
#define DOMAIN "kluis/page/1"

enum { SEED = 1, PAGE = 2, GONE = 3 };
enum { TREE_STORE = 1, TREE_TENANT = 2, TREE_SUBJECT = 3 };

/* One version of a page that was written once. */
struct page {
    struct address address;
    struct bytes row_key;
    struct bytes row;
    unsigned char *entries; /* NULL: not open */
    uint32_t next;          /* another version of the same page */
    size_t tried;           /* how many of all keys, everywhere */
};
/* A seed at an entry of a page, in whichever version. */
struct seed {
    struct address address;
    unsigned entry;
    const unsigned char *key;
    uint32_t next;
};
struct secret {
    const unsigned char *key;
};
/* A key that is to be tried on all versions of a page. */
struct work {
    struct address address;
    const unsigned char *key;
    uint64_t generation;
};
struct tree {
    struct page *pages; /* the first is not used */
    size_t page_count;
    uint32_t *page_cells;
    size_t page_cell_count;
    struct seed *seeds; /* the first is not used */
    size_t seed_count;
    size_t seed_room;
    uint32_t *seed_cells;
    size_t seed_cell_count;
    struct work *works;
    size_t work_count;
    size_t work_room;
    struct secret *secrets; /* of PAGE entries: what opens pages */
    size_t secret_count;
    size_t secret_room;
    unsigned char store_id[16];
    uint64_t *generations;
    size_t generation_count;
};

/* ---- addresses ---- */

static bool address_is(const struct address *a, const struct address *b)
{
    return a->tenant == b->tenant && a->slot == b->slot && a->index == b->index &&
           a->tree == b->tree && a->height == b->height && a->level == b->level;
}

static uint64_t address_hash(const struct address *address, uint64_t more)
{
    uint64_t words[5] = {
        address->tenant, address->slot, address->index,
        (uint64_t)address->tree << 16 | (uint64_t)address->height << 8 | address->level, more};

    return hash_of(words, sizeof words, 0);
}

/* 1 spine, 2 interior, 3 leaf. */
static unsigned kind_of(const struct address *address)
{
    return address->height == SPINE ? 1 : address->level > 0 ? 2 : 3;
}

static unsigned entries_of(const struct address *address)
{
    static const unsigned counts[] = {0, SPINE_ENTRIES, FAN_ENTRIES, LEAF_ENTRIES};

    return counts[kind_of(address)];
}

static uint64_t base_of(unsigned height)
{
    uint64_t base = 0;

    for (unsigned h = 0; h < height; h++) {
        base += UINT64_C(64) << (7 * h);
    }
    return base;
}

/* The page below an entry. False: a value's own key, below which there is none. */
static bool page_below(const struct address *page, unsigned entry, struct address *ret)
{
    struct address below = *page;
    uint64_t slot;

    switch (kind_of(page)) {
    case 1:
        below.height = (uint8_t)entry;
        below.level = (uint8_t)entry;
        below.index = 0;
        break;
    case 2:
        below.level = (uint8_t)(page->level - 1);
        below.index = page->index * FAN_ENTRIES + entry;
        break;
    default:
        slot = base_of(page->height) + page->index * LEAF_ENTRIES + entry;
        if (page->tree == TREE_SUBJECT) {
            return false;
        }
        below =
            (struct address){.tree = (uint8_t)(page->tree + 1), .height = SPINE, .level = SPINE};
        below.tenant = page->tree == TREE_STORE ? slot : page->tenant;
        below.slot = page->tree == TREE_STORE ? 0 : slot;
        break;
    }
    *ret = below;
    return true;
}

struct step {
    struct address page;
    unsigned entry;
};

static size_t steps_add(struct step *steps, size_t count, struct address page, uint64_t slot)
{
    unsigned height = 0;
    uint64_t offset;

    while (height + 1 < SPINE_ENTRIES && slot >= base_of(height + 1)) {
        height++;
    }
    offset = slot - base_of(height);
    steps[count++] = (struct step){page, height};
    page.height = (uint8_t)height;
    for (unsigned level = height; level > 0; level--) {
        page.level = (uint8_t)level;
        page.index = offset >> (6 + 7 * level);
        steps[count++] = (struct step){page, (unsigned)(offset >> (6 + 7 * (level - 1))) % 128};
    }
    page.level = 0;
    page.index = offset / LEAF_ENTRIES;
    steps[count++] = (struct step){page, (unsigned)(offset % LEAF_ENTRIES)};
    return count;
}

static size_t steps_of(const struct place *place, struct step steps[STEPS_MAX])
{
    struct address spine = {.tree = TREE_STORE, .height = SPINE, .level = SPINE};
    size_t count = steps_add(steps, 0, spine, place->tenant);

    if (place->slot != NONE) {
        spine.tree = TREE_TENANT;
        spine.tenant = place->tenant;
        count = steps_add(steps, count, spine, place->slot);
    }
    if (place->slot != NONE && place->value != NONE) {
        spine.tree = TREE_SUBJECT;
        spine.slot = place->slot;
        count = steps_add(steps, count, spine, place->value);
    }
    return count;
}

/* ---- deriving ---- */

static void derive_entry(const unsigned char seed[KEY_BYTES], const struct step *step,
                         unsigned char ret[KEY_BYTES])
{
    unsigned char nonce[12] = {'k',
                               'l',
                               's',
                               '1',
                               'E',
                               step->page.tree,
                               (unsigned char)kind_of(&step->page),
                               step->page.level};
    unsigned char zero[KEY_BYTES] = {0};

    (void)crypto_stream_chacha20_ietf_xor_ic(ret, zero, sizeof zero, nonce, step->entry, seed);
}

static void derive_own(const unsigned char node[KEY_BYTES], unsigned char ret[KEY_BYTES])
{
    static const unsigned char nonce[12] = {'k', 'l', 's', '1', 'K'};
    unsigned char zero[KEY_BYTES] = {0};

    (void)crypto_stream_chacha20_ietf_xor_ic(ret, zero, sizeof zero, nonce, 0, node);
}

/* ---- making it ---- */

struct tree *tree_new(const struct rows *rows)
{
    struct tree *tree = make(1, sizeof *tree);

    tree->pages = make(rows->count + 1, sizeof *tree->pages);
    tree->page_count = 1;
    tree->page_cell_count = 1;
    while (tree->page_cell_count < rows->count) {
        tree->page_cell_count *= 2;
    }
    tree->page_cells = make(tree->page_cell_count, sizeof *tree->page_cells);
    tree->seed_room = 4096;
    tree->seeds = make(tree->seed_room, sizeof *tree->seeds);
    tree->seed_count = 1;
    tree->seed_cell_count = 1u << 22;
    tree->seed_cells = make(tree->seed_cell_count, sizeof *tree->seed_cells);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->rows[i];
        struct page *page = &tree->pages[tree->page_count];
        size_t cell;

        if (!row->keys || row->key.size != PAGE_KEY_BYTES || row->key.at[0] != 'P') {
            continue;
        }
        page->address = (struct address){.tree = row->key.at[1],
                                         .tenant = get_be(row->key.at + 2, 8),
                                         .slot = get_be(row->key.at + 10, 8),
                                         .height = row->key.at[18],
                                         .level = row->key.at[19],
                                         .index = get_be(row->key.at + 20, 8)};
        if (row->value.size != SEALED_AT + entries_of(&page->address) * ENTRY_BYTES + TAG_BYTES) {
            stop("a page of a size that the format does not know: %zu", row->value.size);
        }
        page->row_key = row->key;
        page->row = row->value;
        cell = (size_t)address_hash(&page->address, 0) & (tree->page_cell_count - 1);
        page->next = tree->page_cells[cell];
        tree->page_cells[cell] = (uint32_t)tree->page_count++;
    }
    return tree;
}

size_t tree_pages(const struct tree *tree)
{
    return tree->page_count - 1;
}

/* ---- opening ---- */

static void work_add(struct tree *tree, const struct address *address, const unsigned char *key,
                     uint64_t generation)
{
    if (tree->work_count == tree->work_room) {
        tree->work_room = tree->work_room == 0 ? 1024 : tree->work_room * 2;
        tree->works = grown(tree->works, tree->work_room, sizeof *tree->works);
    }
    tree->works[tree->work_count++] = (struct work){*address, key, generation};
}

static void secret_add(struct tree *tree, const unsigned char *key)
{
    if (tree->secret_count == tree->secret_room) {
        tree->secret_room = tree->secret_room == 0 ? 1024 : tree->secret_room * 2;
        tree->secrets = grown(tree->secrets, tree->secret_room, sizeof *tree->secrets);
    }
    tree->secrets[tree->secret_count++].key = key;
}

static void seed_add(struct tree *tree, const struct address *address, unsigned entry,
                     const unsigned char *key)
{
    size_t cell = (size_t)address_hash(address, entry + 1) & (tree->seed_cell_count - 1);

    for (uint32_t i = tree->seed_cells[cell]; i != 0; i = tree->seeds[i].next) {
        const struct seed *seed = &tree->seeds[i];

        if (seed->entry == entry && memcmp(seed->key, key, KEY_BYTES) == 0 &&
            address_is(&seed->address, address)) {
            return;
        }
    }
    if (tree->seed_count == tree->seed_room) {
        tree->seed_room *= 2;
        tree->seeds = grown(tree->seeds, tree->seed_room, sizeof *tree->seeds);
    }
    tree->seeds[tree->seed_count] = (struct seed){*address, entry, key, tree->seed_cells[cell]};
    tree->seed_cells[cell] = (uint32_t)tree->seed_count++;
}

/* What an opened page gives: seeds, and keys of pages below it. */
static void page_use(struct tree *tree, const struct page *page)
{
    for (unsigned i = 0; i < entries_of(&page->address); i++) {
        const unsigned char *entry = page->entries + i * ENTRY_BYTES;
        struct address below;

        if (entry[0] == SEED) {
            seed_add(tree, &page->address, i, entry + 1);
        } else if (entry[0] == PAGE && page_below(&page->address, i, &below)) {
            secret_add(tree, entry + 1);
            work_add(tree, &below, entry + 1, 0);
        } else if (entry[0] != GONE || !sodium_is_zero(entry + 1, KEY_BYTES)) {
            stop("a page holds an entry that the format does not know: %u", entry[0]);
        }
    }
}

static bool page_open(struct tree *tree, struct page *page, const unsigned char *key,
                      uint64_t generation)
{
    unsigned char ad[sizeof DOMAIN - 1 + 16 + PAGE_KEY_BYTES + 8];
    unsigned char *at = ad + sizeof DOMAIN - 1;
    size_t bytes = entries_of(&page->address) * ENTRY_BYTES;
    unsigned char entries[ENTRIES_MAX * ENTRY_BYTES];

    memcpy(ad, DOMAIN, sizeof DOMAIN - 1);
    memcpy(at, tree->store_id, 16);
    memcpy(at + 16, page->row_key.at, PAGE_KEY_BYTES);
    put_be(at + 16 + PAGE_KEY_BYTES, generation, 8);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(entries, NULL, NULL, page->row.at + SEALED_AT,
                                                   bytes + TAG_BYTES, ad, sizeof ad,
                                                   page->row.at + NONCE_AT, key) != 0) {
        return false;
    }
    page->entries = make(bytes, 1);
    memcpy(page->entries, entries, bytes);
    page_use(tree, page);
    return true;
}

static size_t works_do(struct tree *tree)
{
    size_t opened = 0;

    while (tree->work_count > 0) {
        struct work work = tree->works[--tree->work_count];
        size_t cell = (size_t)address_hash(&work.address, 0) & (tree->page_cell_count - 1);

        for (uint32_t i = tree->page_cells[cell]; i != 0; i = tree->pages[i].next) {
            struct page *page = &tree->pages[i];

            if (page->entries == NULL && address_is(&page->address, &work.address)) {
                opened += page_open(tree, page, work.key, work.generation);
            }
        }
    }
    return opened;
}

/* Every key found so far on every page that is not open, as a page and as the root page of each generation. */
static size_t everywhere_do(struct tree *tree)
{
    size_t opened = 0;

    for (size_t i = 1; i < tree->page_count; i++) {
        struct page *page = &tree->pages[i];

        while (page->entries == NULL && page->tried < tree->secret_count) {
            const unsigned char *key = tree->secrets[page->tried++].key;
            bool open = page_open(tree, page, key, 0);

            for (size_t g = 0;
                 !open && page->address.tree == TREE_STORE && g < tree->generation_count; g++) {
                open = page_open(tree, page, key, tree->generations[g]);
            }
            opened += open;
        }
    }
    return opened;
}

size_t tree_search(struct tree *tree, const struct root_key *keys, size_t count, bool everywhere)
{
    static const struct address root = {.tree = TREE_STORE, .height = SPINE, .level = SPINE};
    size_t opened = 0;
    size_t more = 0;

    tree->generations = make(count, sizeof *tree->generations);
    for (size_t i = 0; i < count; i++) {
        memcpy(tree->store_id, keys[i].store_id, sizeof tree->store_id);
        tree->generations[tree->generation_count++] = keys[i].generation;
        secret_add(tree, keys[i].key);
        work_add(tree, &root, keys[i].key, keys[i].generation);
    }
    do {
        more = works_do(tree);
        if (everywhere) {
            more += everywhere_do(tree);
        }
        opened += more;
    } while (more > 0 && everywhere);
    return opened;
}

/* ---- using ---- */

static bool is_known(unsigned char (*keys)[KEY_BYTES], size_t count, const unsigned char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(keys[i], key, KEY_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

size_t tree_keys(const struct tree *tree, const struct place *place,
                 unsigned char (*ret_keys)[KEY_BYTES], size_t max)
{
    struct step steps[STEPS_MAX];
    size_t step_count = steps_of(place, steps);
    size_t count = 0;

    for (size_t step = 0; step < step_count; step++) {
        size_t cell = (size_t)address_hash(&steps[step].page, steps[step].entry + 1) &
                      (tree->seed_cell_count - 1);

        for (uint32_t i = tree->seed_cells[cell]; i != 0; i = tree->seeds[i].next) {
            const struct seed *seed = &tree->seeds[i];
            unsigned char node[KEY_BYTES];

            if (seed->entry != steps[step].entry ||
                !address_is(&seed->address, &steps[step].page)) {
                continue;
            }
            memcpy(node, seed->key, KEY_BYTES);
            for (size_t below = step + 1; below < step_count; below++) {
                derive_entry(node, &steps[below], node);
            }
            derive_own(node, node);
            if (count < max && !is_known(ret_keys, count, node)) {
                memcpy(ret_keys[count++], node, KEY_BYTES);
            }
        }
    }
    return count;
}

void tree_secrets(const struct tree *tree,
                  void (*visit)(void *context, const unsigned char key[KEY_BYTES]), void *context)
{
    for (size_t i = 0; i < tree->secret_count; i++) {
        visit(context, tree->secrets[i].key);
    }
    for (size_t i = 1; i < tree->seed_count; i++) {
        visit(context, tree->seeds[i].key);
    }
}

bool root_slot_read(struct bytes slot, struct root_key *ret)
{
    unsigned char sum[32];

    if (slot.size != ROOT_SLOT_BYTES || memcmp(slot.at, "KLSROOT1", 8) != 0 || slot.at[8] != 1) {
        return false;
    }
    (void)crypto_generichash(sum, sizeof sum, slot.at, 4064, NULL, 0);
    if (memcmp(sum, slot.at + 4064, sizeof sum) != 0) {
        return false;
    }
    if (slot.at[9] != 1) {
        stop("a root file under a passphrase: this adversary takes bare ones");
    }
    memcpy(ret->store_id, slot.at + 24, sizeof ret->store_id);
    ret->generation = get_be(slot.at + 40, 8);
    memcpy(ret->key, slot.at + 88, KEY_BYTES);
    return true;
}
