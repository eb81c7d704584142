/* Where a place lies in the key tree: plain arithmetic, no keys. */
#ifndef KLUIS_KMS_GEOMETRY_H
#define KLUIS_KMS_GEOMETRY_H

#include "kluis/kms/kms.h"
#include "kms/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kms_tree { KMS_TREE_STORE = 1, KMS_TREE_TENANT = 2, KMS_TREE_SUBJECT = 3 };
enum kms_page_kind { KMS_PAGE_SPINE = 1, KMS_PAGE_INTERIOR = 2, KMS_PAGE_LEAF = 3 };

/* height and level of a spine page. */
#define KMS_SPINE_MARK 255

/*
 * The address of a page. tenant is 0 in the store's tree, slot is 0 but in a subject's. height: the subtree's entry in the spine;
 * level: 0 for leaf pages, height for the subtree's top; index counts the pages of that level from the left.
 */
struct kms_address {
    uint64_t tenant;
    uint64_t slot;
    uint64_t index;
    uint8_t tree;
    uint8_t height;
    uint8_t level;
};

struct kms_step {
    struct kms_address page;
    uint16_t entry;
};

/* A spine, and at most KMS_SPINE_ENTRIES levels, in each of three trees. */
#define KMS_PATH_MAX (3 * (1 + KMS_SPINE_ENTRIES))

/* The entries passed from the root page to a place. ends[i]: the steps up to and including the leaf entry of tree i. */
struct kms_path {
    struct kms_step steps[KMS_PATH_MAX];
    size_t count;
    size_t ends[3];
    size_t trees;
};

/* Whether the numbers are inside the tree and the NONEs agree. */
bool kms_place_valid(const struct kms_place *place);
/* place must be valid. A tenant alone, a slot, or a value. */
void kms_path_of(const struct kms_place *place, struct kms_path *ret_path);

enum kms_page_kind kms_address_kind(const struct kms_address *address);
size_t kms_address_entries(const struct kms_address *address);
/* Whether there can be such a page; a row of the key store may be anybody's. */
bool kms_address_valid(const struct kms_address *address);
/* address must be valid. The first place whose path passes the page: a tenant, a slot or a value. */
struct kms_place kms_address_first(const struct kms_address *address);
/* address must be valid. The numbers below an entry of that page, in its tree: from *ret_first up to and without *ret_past. */
void kms_address_span(const struct kms_address *address, size_t entry, uint64_t *ret_first,
                      uint64_t *ret_past);
/* The spine of the tree that hangs below the place (a tenant, or a slot). */
struct kms_address kms_address_spine(const struct kms_place *place);
struct kms_address kms_address_root(void);
bool kms_address_equal(const struct kms_address *a, const struct kms_address *b);
uint64_t kms_address_hash(const struct kms_address *address);

/* The first slot of the subtree that hangs at entry height of a spine. */
uint64_t kms_height_base(unsigned height);

#endif
