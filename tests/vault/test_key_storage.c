#include "vault/key_storage.h"

#include "kluis/kms/kms.h"
#include "tests/support/store_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct kl_slice text(const char *value)
{
    return kl_slice_text(value);
}

struct seen {
    char keys[256];
    enum kl_status stop_with; /* at the second row */
    int rows;
};

static enum kl_status see(void *visitor, struct kl_slice key, struct kl_slice value,
                          struct kl_err *err)
{
    struct seen *seen = visitor;
    (void)value;
    strncat(seen->keys, (const char *)key.bytes, key.size);
    strcat(seen->keys, " ");
    if (++seen->rows == 2 && seen->stop_with != KL_OK) {
        return kl_fail(err, seen->stop_with, "stopped", "stopped", NULL);
    }
    return KL_OK;
}

static void fill(struct kms_storage *storage)
{
    const struct kms_storage_write writes[] = {
        {text("a"), text("0")},  {text("p1"), text("1")}, {text("p2"), text("2")},
        {text("p3"), text("3")}, {text("q"), text("4")},  {text("p2"), {NULL, 0}},
    };
    assert_int_equal(storage->apply(storage->context, writes, 6, true, NULL), KL_OK);
}

static void test_a_batch_puts_and_deletes_in_order(void **state)
{
    struct store_fixture *fixture = *state;
    struct kms_storage storage = vault_key_storage(fixture->store);
    struct kl_buf buf;
    fill(&storage);
    kl_buf_init(&buf, 10);
    assert_int_equal(storage.get(storage.context, text("p1"), &buf, NULL), KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&buf), "1"));
    assert_int_equal(storage.get(storage.context, text("p2"), &buf, NULL), KL_ERR_NOT_FOUND);
    kl_buf_done(&buf);
}

static void test_a_range_gives_the_rows_of_a_prefix(void **state)
{
    struct store_fixture *fixture = *state;
    struct kms_storage storage = vault_key_storage(fixture->store);
    struct seen seen = {.rows = 0};
    fill(&storage);
    assert_int_equal(storage.range(storage.context, text("p"), see, &seen, NULL), KL_OK);
    assert_string_equal(seen.keys, "p1 p3 ");
    seen = (struct seen){.rows = 0};
    assert_int_equal(storage.range(storage.context, text(""), see, &seen, NULL), KL_OK);
    assert_string_equal(seen.keys, "a p1 p3 q ");
}

static void test_a_range_ends_with_what_the_visitor_says(void **state)
{
    struct store_fixture *fixture = *state;
    struct kms_storage storage = vault_key_storage(fixture->store);
    struct seen seen = {.stop_with = KL_ERR_BUSY};
    struct kl_err err = {.status = KL_OK};
    fill(&storage);
    assert_int_equal(storage.range(storage.context, text("p"), see, &seen, &err), KL_ERR_BUSY);
    assert_string_equal(err.code, "stopped");
    assert_string_equal(seen.keys, "p1 p3 ");
}

static void test_a_key_store_lives_in_it(void **state)
{
    struct store_fixture *fixture = *state;
    struct kms_storage storage = vault_key_storage(fixture->store);
    void *made = NULL;
    assert_int_equal(kms_fixture_setup_empty(&made), 0);
    struct kms_fixture *keys = made;
    struct kms_place place = {.slot = KMS_TENANT_OWN_SLOTS + 5, .value = KMS_VALUE_NONE};
    struct kl_buf sealed;
    kl_buf_init(&sealed, 1000);
    keys->options.storage = &storage;
    assert_int_equal(kms_create(&keys->options, NULL), KL_OK);
    kms_fixture_reopen(keys);
    assert_int_equal(kms_tenant_take(keys->kms, &place.tenant, NULL), KL_OK);
    kms_fixture_seal(keys->kms, place, &sealed);
    kms_fixture_close(keys);
    store_fixture_reopen(fixture);
    storage = vault_key_storage(fixture->store);
    kms_fixture_reopen(keys);
    assert_int_equal(kms_fixture_unseal(keys->kms, place, &sealed), KL_OK);
    assert_int_equal(kms_fixture_change(keys->kms, KMS_CHANGE_SHRED, place), KL_OK);
    assert_int_equal(kms_fixture_unseal(keys->kms, place, &sealed), KL_ERR_GONE);
    kl_buf_done(&sealed);
    kms_fixture_teardown(&made);
}

/* ---- mirrors ---- */

/* A key store in memory with a mirror on a disk, in folder/mirror. */
struct mirrored {
    struct kms_fixture *keys;
    char dir[KMS_FIXTURE_PATH_BYTES + 16];
    unsigned char id[KMS_MIRROR_ID_BYTES];
};

static struct mirrored mirrored_open(struct store_fixture *fixture)
{
    struct mirrored mirrored;
    void *made = NULL;

    assert_int_equal(kms_fixture_setup_empty(&made), 0);
    mirrored.keys = made;
    mirrored.keys->options.mirrors = vault_mirror_source();
    assert_int_equal(kms_create(&mirrored.keys->options, NULL), KL_OK);
    kms_fixture_reopen(mirrored.keys);
    (void)snprintf(mirrored.dir, sizeof mirrored.dir, "%s/mirror", fixture->folder);
    assert_int_equal(kms_mirror_add(mirrored.keys->kms, mirrored.dir, "IE", mirrored.id, NULL),
                     KL_OK);
    return mirrored;
}

static enum kms_mirror_state mirrored_state(struct mirrored *mirrored)
{
    struct kms_mirror_info infos[KMS_MIRRORS_MAX];
    size_t count = 0;

    kms_mirrors(mirrored->keys->kms, infos, &count);
    assert_int_equal(count, 1);
    return infos[0].state;
}

static void mirrored_done(struct mirrored *mirrored)
{
    void *made = mirrored->keys;

    kms_fixture_teardown(&made);
}

static void test_a_mirror_on_a_disk_opens_the_keys(void **state)
{
    struct store_fixture *fixture = *state;
    struct mirrored mirrored = mirrored_open(fixture);
    const struct kms_place kept = {1, 70, 3};
    const struct kms_place gone = {1, 71, 3};
    char path[KMS_FIXTURE_PATH_BYTES + 32];
    char custodian[KMS_FIXTURE_PATH_BYTES + 48];
    struct vault_store *store = NULL;
    struct kms_options options = mirrored.keys->options;
    struct kms_storage storage;
    struct kl_buf sealed;

    kms_fixture_seal(mirrored.keys->kms, kept, &sealed);
    assert_int_equal(kms_fixture_change(mirrored.keys->kms, KMS_CHANGE_SHRED, gone), KL_OK);
    kms_fixture_reopen(mirrored.keys);
    assert_int_equal(mirrored_state(&mirrored), KMS_MIRROR_IN_STEP);
    kms_fixture_close(mirrored.keys);
    (void)snprintf(path, sizeof path, "%s/keys", mirrored.dir);
    (void)snprintf(custodian, sizeof custodian, "file:%s/root", mirrored.dir);
    assert_int_equal(vault_store_open(&(struct vault_store_options){.path = path}, &store, NULL),
                     KL_OK);
    storage = vault_key_storage(store);
    options.storage = &storage;
    options.custodian.custodian = custodian;
    assert_int_equal(kms_open(&options, &mirrored.keys->kms, NULL), KL_OK);
    assert_int_equal(kms_fixture_unseal(mirrored.keys->kms, kept, &sealed), KL_OK);
    assert_int_equal(kms_place_check(mirrored.keys->kms, &gone, NULL), KL_ERR_GONE);
    kms_fixture_close(mirrored.keys);
    vault_store_close(store);
    kl_buf_done(&sealed);
    mirrored_done(&mirrored);
}

static void test_a_mirror_whose_disk_was_away_comes_back(void **state)
{
    struct store_fixture *fixture = *state;
    struct mirrored mirrored = mirrored_open(fixture);
    char away[KMS_FIXTURE_PATH_BYTES + 32];

    (void)snprintf(away, sizeof away, "%s/away", fixture->folder);
    for (unsigned empty = 0; empty < 2; empty++) {
        struct kms_place place = {1, 70 + empty, 3};

        kms_fixture_close(mirrored.keys);
        assert_int_equal(rename(mirrored.dir, away), 0);
        if (empty) { /* the mount point of a volume that is not mounted */
            assert_int_equal(mkdir(mirrored.dir, 0700), 0);
        }
        kms_fixture_reopen(mirrored.keys);
        assert_int_equal(mirrored_state(&mirrored), KMS_MIRROR_OUT_OF_STEP);
        assert_int_equal(kms_fixture_change(mirrored.keys->kms, KMS_CHANGE_SHRED, place),
                         KL_ERR_UNAVAILABLE);
        if (empty) {
            assert_int_equal(rmdir(mirrored.dir), 0); /* nothing was made in it */
        }
        assert_int_equal(rename(away, mirrored.dir), 0);
        assert_int_equal(kms_mirrors_retry(mirrored.keys->kms), 0);
        assert_int_equal(kms_fixture_change(mirrored.keys->kms, KMS_CHANGE_SHRED, place), KL_OK);
        assert_int_equal(mirrored_state(&mirrored), KMS_MIRROR_IN_STEP);
    }
    mirrored_done(&mirrored);
}

static void test_a_mirror_that_cannot_be_written_is_out_of_step(void **state)
{
    struct store_fixture *fixture = *state;
    struct mirrored mirrored = mirrored_open(fixture);
    char path[KMS_FIXTURE_PATH_BYTES + 48];

    kms_fixture_close(mirrored.keys);
    (void)snprintf(path, sizeof path, "%s/keys/CURRENT", mirrored.dir);
    assert_int_equal(truncate(path, 0), 0);
    kms_fixture_reopen(mirrored.keys);
    assert_int_equal(mirrored_state(&mirrored), KMS_MIRROR_OUT_OF_STEP);
    assert_int_equal(kms_mirrors_retry(mirrored.keys->kms), 1);
    mirrored_done(&mirrored);
}

int main(void)
{
#define STORAGE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, store_fixture_setup_store, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        STORAGE_TEST(test_a_batch_puts_and_deletes_in_order),
        STORAGE_TEST(test_a_range_gives_the_rows_of_a_prefix),
        STORAGE_TEST(test_a_range_ends_with_what_the_visitor_says),
        STORAGE_TEST(test_a_key_store_lives_in_it),
        STORAGE_TEST(test_a_mirror_on_a_disk_opens_the_keys),
        STORAGE_TEST(test_a_mirror_whose_disk_was_away_comes_back),
        STORAGE_TEST(test_a_mirror_that_cannot_be_written_is_out_of_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
