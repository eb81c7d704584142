#include "kms/geometry.h"

#include <assert.h>

uint64_t kms_height_base(unsigned height)
{
    uint64_t base = 0;

    for (unsigned h = 0; h < height; h++) {
        base += UINT64_C(1) << (KMS_LEAF_BITS + KMS_FAN_BITS * h);
    }
    return base;
}

static unsigned height_of(uint64_t slot)
{
    unsigned height = 0;

    while (height + 1 < KMS_SPINE_ENTRIES && slot >= kms_height_base(height + 1)) {
        height++;
    }
    return height;
}

bool kms_place_valid(const struct kms_place *place)
{
    if (place->tenant > KMS_SLOT_MAX) {
        return false;
    }
    if (place->slot == KMS_SLOT_NONE) {
        return place->value == KMS_VALUE_NONE;
    }
    return place->slot <= KMS_SLOT_MAX &&
           (place->value == KMS_VALUE_NONE || place->value <= KMS_SLOT_MAX);
}

static void path_add(struct kms_path *path, const struct kms_address *page, uint64_t entry)
{
    assert(path->count < KMS_PATH_MAX);
    path->steps[path->count].page = *page;
    path->steps[path->count].entry = (uint16_t)entry;
    path->count++;
}

static void path_add_tree(struct kms_path *path, struct kms_address spine, uint64_t slot)
{
    unsigned height = height_of(slot);
    uint64_t offset = slot - kms_height_base(height);
    struct kms_address page = spine;

    path_add(path, &spine, height);
    page.height = (uint8_t)height;
    for (unsigned level = height; level > 0; level--) {
        page.level = (uint8_t)level;
        page.index = offset >> (KMS_LEAF_BITS + KMS_FAN_BITS * level);
        path_add(path, &page,
                 (offset >> (KMS_LEAF_BITS + KMS_FAN_BITS * (level - 1))) & (KMS_FAN_ENTRIES - 1));
    }
    page.level = 0;
    page.index = offset >> KMS_LEAF_BITS;
    path_add(path, &page, offset & (KMS_LEAF_ENTRIES - 1));
    path->ends[path->trees++] = path->count;
}

void kms_path_of(const struct kms_place *place, struct kms_path *ret_path)
{
    struct kms_place above = {place->tenant, KMS_SLOT_NONE, KMS_VALUE_NONE};

    assert(kms_place_valid(place));
    ret_path->count = 0;
    ret_path->trees = 0;
    path_add_tree(ret_path, kms_address_root(), place->tenant);
    if (place->slot == KMS_SLOT_NONE) {
        return;
    }
    path_add_tree(ret_path, kms_address_spine(&above), place->slot);
    if (place->value == KMS_VALUE_NONE) {
        return;
    }
    above.slot = place->slot;
    path_add_tree(ret_path, kms_address_spine(&above), place->value);
}

enum kms_page_kind kms_address_kind(const struct kms_address *address)
{
    if (address->height == KMS_SPINE_MARK) {
        return KMS_PAGE_SPINE;
    }
    return address->level == 0 ? KMS_PAGE_LEAF : KMS_PAGE_INTERIOR;
}

size_t kms_address_entries(const struct kms_address *address)
{
    switch (kms_address_kind(address)) {
    case KMS_PAGE_SPINE:
        return KMS_SPINE_ENTRIES;
    case KMS_PAGE_INTERIOR:
        return KMS_FAN_ENTRIES;
    case KMS_PAGE_LEAF:
        break;
    }
    return KMS_LEAF_ENTRIES;
}

struct kms_address kms_address_root(void)
{
    return (struct kms_address){
        .tree = KMS_TREE_STORE, .height = KMS_SPINE_MARK, .level = KMS_SPINE_MARK};
}

struct kms_address kms_address_spine(const struct kms_place *place)
{
    struct kms_address spine = kms_address_root();

    spine.tenant = place->tenant;
    spine.tree = KMS_TREE_TENANT;
    if (place->slot != KMS_SLOT_NONE) {
        spine.slot = place->slot;
        spine.tree = KMS_TREE_SUBJECT;
    }
    return spine;
}

bool kms_address_equal(const struct kms_address *a, const struct kms_address *b)
{
    return a->tenant == b->tenant && a->slot == b->slot && a->index == b->index &&
           a->tree == b->tree && a->height == b->height && a->level == b->level;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    /* The finaliser of MurmurHash3 (public domain): the numbers are ours, not an attacker's. */
    hash ^= word;
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33;
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    hash ^= hash >> 33;
    return hash;
}

uint64_t kms_address_hash(const struct kms_address *address)
{
    uint64_t shape =
        (uint64_t)address->tree << 16 | (uint64_t)address->height << 8 | address->level;

    return mix(mix(mix(mix(shape, address->tenant), address->slot), address->index), 1);
}

bool kms_address_valid(const struct kms_address *address)
{
    bool store = address->tree == KMS_TREE_STORE;
    bool subject = address->tree == KMS_TREE_SUBJECT;
    unsigned above;

    if ((!store && !subject && address->tree != KMS_TREE_TENANT) ||
        address->tenant > (store ? 0 : KMS_SLOT_MAX) ||
        address->slot > (subject ? KMS_SLOT_MAX : 0)) {
        return false;
    }
    if (address->height == KMS_SPINE_MARK) {
        return address->level == KMS_SPINE_MARK && address->index == 0;
    }
    if (address->height >= KMS_SPINE_ENTRIES || address->level > address->height) {
        return false;
    }
    above = KMS_FAN_BITS * (unsigned)(address->height - address->level);
    return address->index < UINT64_C(1) << above &&
           kms_place_valid(&(struct kms_place){
               kms_height_base(address->height) +
                   (address->index << (KMS_LEAF_BITS + KMS_FAN_BITS * address->level)),
               KMS_SLOT_NONE, KMS_VALUE_NONE});
}

struct kms_place kms_address_first(const struct kms_address *address)
{
    uint64_t number = 0;

    if (address->height != KMS_SPINE_MARK) {
        number = kms_height_base(address->height) +
                 (address->index << (KMS_LEAF_BITS + KMS_FAN_BITS * address->level));
    }
    switch ((enum kms_tree)address->tree) {
    case KMS_TREE_STORE:
        return (struct kms_place){number, KMS_SLOT_NONE, KMS_VALUE_NONE};
    case KMS_TREE_TENANT:
        return (struct kms_place){address->tenant, number, KMS_VALUE_NONE};
    case KMS_TREE_SUBJECT:
        break;
    }
    return (struct kms_place){address->tenant, address->slot, number};
}

void kms_address_span(const struct kms_address *address, size_t entry, uint64_t *ret_first,
                      uint64_t *ret_past)
{
    unsigned bits = 0;
    uint64_t first;

    if (address->height == KMS_SPINE_MARK) {
        *ret_first = kms_height_base((unsigned)entry);
        *ret_past = kms_height_base((unsigned)entry + 1);
        return;
    }
    if (address->level > 0) {
        bits = KMS_LEAF_BITS + KMS_FAN_BITS * ((unsigned)address->level - 1);
    }
    first = kms_height_base(address->height) +
            (address->index << (KMS_LEAF_BITS + KMS_FAN_BITS * address->level));
    *ret_first = first + ((uint64_t)entry << bits);
    *ret_past = *ret_first + (UINT64_C(1) << bits);
}
