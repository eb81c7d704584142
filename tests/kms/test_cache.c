#include "kms/cache.h"

#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PAGES 64

static const unsigned char key[KMS_KEY_BYTES] = "any key";

static int setup(void **state)
{
    struct kms_cache *cache = test_malloc(sizeof *cache);

    *state = cache;
    if (sodium_init() < 0) {
        return -1;
    }
    return kms_cache_init(cache, PAGES, NULL) == KL_OK ? 0 : -1;
}

static int teardown(void **state)
{
    kms_cache_done(*state);
    test_free(*state);
    return 0;
}

static struct kms_address tenant_spine(uint64_t tenant)
{
    return (struct kms_address){tenant, 0, 0, KMS_TREE_TENANT, KMS_SPINE_MARK, KMS_SPINE_MARK};
}

static struct kms_address store_leaf(uint64_t index)
{
    return (struct kms_address){0, 0, index, KMS_TREE_STORE, index == 0 ? 0 : 1, 0};
}

/* A page below parent, whose entry is made to say so. */
static struct kms_page *add(struct kms_cache *cache, struct kms_address address,
                            struct kms_page *parent, uint16_t entry)
{
    struct kms_page *page = kms_cache_add(cache, &address, parent, entry);

    if (page != NULL) {
        kms_entry_set(parent->entries, entry, KMS_ENTRY_PAGE, key);
    }
    return page;
}

static void test_a_fresh_cache_holds_the_root_page(void **state)
{
    struct kms_cache *cache = *state;
    struct kms_address root = kms_address_root();

    assert_ptr_equal(kms_cache_find(cache, &root), cache->root);
    assert_int_equal(cache->table.pages, 1);
}

static void test_a_page_is_found_until_it_is_dropped_and_its_memory_is_wiped(void **state)
{
    struct kms_cache *cache = *state;
    struct kms_address address = store_leaf(0);
    struct kms_page *page = add(cache, address, cache->root, 0);
    unsigned char *entries = page->entries;

    assert_true(sodium_is_zero(entries, kms_page_bytes(&address)));
    kms_entry_set(entries, 7, KMS_ENTRY_SEED, key);
    assert_ptr_equal(kms_cache_find(cache, &address), page);
    assert_int_equal(cache->root->children, 1);
    kms_cache_drop(cache, page);
    assert_null(kms_cache_find(cache, &address));
    assert_int_equal(cache->root->children, 0);
    /* The cell is the arena's again: all but its own link is zero. */
    assert_true(sodium_is_zero(entries + 16, kms_page_bytes(&address) - 16));
}

static void test_a_full_cache_lets_go_of_what_was_not_used(void **state)
{
    struct kms_cache *cache = *state;
    struct kms_page *leaf = add(cache, store_leaf(0), cache->root, 0);
    struct kms_address used = tenant_spine(1);

    for (uint64_t tenant = 0; tenant < PAGES - 2; tenant++) {
        assert_non_null(add(cache, tenant_spine(tenant), leaf, (uint16_t)tenant));
    }
    assert_int_equal(cache->table.pages, PAGES);
    for (uint64_t tenant = 100; tenant < 300; tenant++) {
        struct kms_page *page = kms_cache_find(cache, &used);

        assert_non_null(page);
        atomic_store(&page->used, true);
        assert_non_null(add(cache, tenant_spine(tenant), leaf, 60));
        assert_int_equal(cache->table.pages, PAGES);
    }
}

static void test_a_page_with_children_here_is_never_evicted(void **state)
{
    struct kms_cache *cache = *state;
    struct kms_page *leaf = add(cache, store_leaf(0), cache->root, 0);
    struct kms_page *spines[31];

    for (uint64_t tenant = 0; tenant < 31; tenant++) {
        struct kms_address top = tenant_spine(tenant);

        spines[tenant] = add(cache, top, leaf, (uint16_t)tenant);
        top.height = 0;
        top.level = 0;
        assert_non_null(add(cache, top, spines[tenant], 0));
        atomic_store(&spines[tenant]->used, false);
    }
    assert_int_equal(cache->table.pages, PAGES);
    for (uint64_t tenant = 0; tenant < 31; tenant++) {
        struct kms_address more = tenant_spine(tenant);

        more.height = 1;
        more.level = 1;
        assert_non_null(add(cache, more, spines[tenant], 1));
        assert_ptr_equal(kms_cache_find(cache, &spines[tenant]->address), spines[tenant]);
    }
}

static void test_a_cache_that_can_evict_nothing_says_no(void **state)
{
    struct kms_cache *cache = *state;
    struct kms_page *page = cache->root;
    struct kms_address address = kms_address_root();

    /* One long chain: only its end has no children, and that is the parent asked for. */
    while (cache->table.pages < PAGES) {
        address.tenant++;
        address.tree = KMS_TREE_TENANT;
        page = add(cache, address, page, 0);
        assert_non_null(page);
    }
    address.tenant++;
    assert_null(kms_cache_add(cache, &address, page, 0));
    assert_int_equal(cache->table.pages, PAGES);
}

static void test_all_below_a_dead_tree_goes_and_nothing_else(void **state)
{
    struct kms_cache *cache = *state;
    struct kms_page *leaf = add(cache, store_leaf(0), cache->root, 0);
    struct kms_address dead = tenant_spine(3);
    struct kms_page *spine = add(cache, dead, leaf, 3);
    struct kms_page *other = add(cache, tenant_spine(4), leaf, 4);
    struct kms_address top = {3, 0, 0, KMS_TREE_TENANT, 1, 1};
    struct kms_page *interior = add(cache, top, spine, 1);
    struct kms_address low = {3, 0, 5, KMS_TREE_TENANT, 1, 0};
    struct kms_page *low_leaf = add(cache, low, interior, 5);
    /* Entry 6 of leaf 5 of height 1 is slot 64 + 5 * 64 + 6. */
    struct kms_address subject = {
        3, 64 + 5 * 64 + 6, 0, KMS_TREE_SUBJECT, KMS_SPINE_MARK, KMS_SPINE_MARK};

    assert_non_null(add(cache, subject, low_leaf, 6));
    assert_int_equal(cache->table.pages, 7);
    kms_cache_drop_below(cache, &dead);
    assert_int_equal(cache->table.pages, 3);
    assert_null(kms_cache_find(cache, &subject));
    assert_null(kms_cache_find(cache, &low));
    assert_ptr_equal(kms_cache_find(cache, &other->address), other);
    assert_int_equal(leaf->children, 1);
    kms_cache_drop_below(cache, &dead); /* nothing there: nothing happens */
    assert_int_equal(cache->table.pages, 3);
}

static void test_a_table_finds_every_page_as_it_grows(void **state)
{
    static struct kms_page pages[1000];
    struct kms_page_table table;

    (void)state;
    assert_int_equal(kms_page_table_init(&table, NULL), KL_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        pages[i].address = (struct kms_address){1, i / 10, i % 10, KMS_TREE_SUBJECT, 1, 0};
        kms_page_table_add(&table, &pages[i]);
    }
    assert_int_equal(table.pages, 1000);
    for (uint64_t i = 0; i < 1000; i += 2) {
        kms_page_table_remove(&table, &pages[i]);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        assert_ptr_equal(kms_page_table_find(&table, &pages[i].address),
                         i % 2 == 0 ? NULL : &pages[i]);
    }
    kms_page_table_done(&table);
}

/* ---- in a vault ---- */

static void count_shredded_pages(struct kms *kms, uint64_t *ret_pages)
{
    struct kms_state state;

    kms_state(kms, &state);
    *ret_pages = state.pages_cached;
}

static void test_shredding_a_subject_empties_its_pages_from_memory(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t before = 0;
    uint64_t with_values = 0;
    uint64_t after = 0;

    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){1, 64, KMS_VALUE_NONE}),
                     KL_OK);
    count_shredded_pages(fixture->kms, &before);
    for (uint64_t value = 0; value < 3; value++) {
        assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                            (struct kms_place){1, 65, value * 10000}),
                         KL_OK);
    }
    count_shredded_pages(fixture->kms, &with_values);
    /* The spine; a leaf of height 0; of height 2 the top, two pages and a leaf below each. */
    assert_int_equal(with_values, before + 1 + 1 + 1 + 2 + 2);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){1, 65, KMS_VALUE_NONE}),
                     KL_OK);
    count_shredded_pages(fixture->kms, &after);
    assert_int_equal(after, before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_fresh_cache_holds_the_root_page),
        TEST(test_a_page_is_found_until_it_is_dropped_and_its_memory_is_wiped),
        TEST(test_a_full_cache_lets_go_of_what_was_not_used),
        TEST(test_a_page_with_children_here_is_never_evicted),
        TEST(test_a_cache_that_can_evict_nothing_says_no),
        TEST(test_all_below_a_dead_tree_goes_and_nothing_else),
        cmocka_unit_test(test_a_table_finds_every_page_as_it_grows),
        cmocka_unit_test_setup_teardown(test_shredding_a_subject_empties_its_pages_from_memory,
                                        kms_fixture_setup, kms_fixture_teardown),
    };

    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
