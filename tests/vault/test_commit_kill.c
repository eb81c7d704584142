/* What was acknowledged survives kill -9: this program runs itself as the one that is killed. */
#include "kluis/base/secret.h"
#include "tests/support/commit_fixture.h"
#include "tests/support/test.h"
#include "vault/key_storage.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KILL_ROUNDS 4
#define KILL_WRITERS 4

/* What the writing process has: its own stores and keys under one folder. */
struct killed {
    char keys_path[512];
    char data_path[512];
    char custodian[512];
    struct vault_store *keys_store;
    struct vault_store *data_store;
    struct kms_storage storage;
    struct kms *kms;
    struct half half;
    struct store_fixture base;
    struct kms_fixture keys;
};

static bool killed_open(struct killed *killed, const char *folder, bool create)
{
    (void)snprintf(killed->keys_path, sizeof(killed->keys_path), "%s/killed-keys", folder);
    (void)snprintf(killed->data_path, sizeof(killed->data_path), "%s/killed-data", folder);
    (void)snprintf(killed->custodian, sizeof(killed->custodian), "file:%s/killed-root", folder);
    struct vault_store_options keys = {.path = killed->keys_path, .create = create};
    struct vault_store_options data = {.path = killed->data_path, .create = create};
    if (kl_secret_process_init(true, NULL) != KL_OK ||
        vault_store_open(&keys, &killed->keys_store, NULL) != KL_OK ||
        vault_store_open(&data, &killed->data_store, NULL) != KL_OK) {
        return false;
    }
    killed->storage = vault_key_storage(killed->keys_store);
    struct kms_options options = {.custodian = {.custodian = killed->custodian, .accept_f0 = true},
                                  .storage = &killed->storage};
    if ((create && kms_create(&options, NULL) != KL_OK) ||
        kms_open(&options, &killed->kms, NULL) != KL_OK) {
        return false;
    }
    killed->keys.kms = killed->kms;
    killed->base.keys = &killed->keys;
    killed->base.store = killed->data_store;
    killed->half.base = &killed->base;
    killed->half.tenant = 1;
    half_open(&killed->half);
    return true;
}

static void killed_close(struct killed *killed)
{
    half_close(&killed->half);
    kms_close(killed->kms);
    vault_store_close(killed->data_store);
    vault_store_close(killed->keys_store);
}

struct writer {
    struct half *half;
    uint64_t first;
};

static void tag_of(uint64_t slot, unsigned char ret_tag[VAULT_TAG_BYTES])
{
    memset(ret_tag, 0, VAULT_TAG_BYTES);
    kl_put_u64be(ret_tag, slot * UINT64_C(0x9e3779b97f4a7c15));
}

/* Write until killed; each slot that was acknowledged is told on standard output. */
static void *write_for_ever(void *argument)
{
    struct writer *writer = argument;
    struct half *half = writer->half;
    for (uint64_t slot = writer->first;; slot += KILL_WRITERS) {
        struct vault_audit_entry entry;
        struct vault_audit_entry *const entries[1] = {&entry};
        struct vault_index_change change = {.kind = VAULT_INDEX_ADD_UNIQUE,
                                            .entry = {.slot = slot}};
        struct vault_batch *batch = vault_batch_new();
        tag_of(slot, change.entry.tag);
        half_put_head(batch, half->tenant, slot, 1);
        half_entry(&entry, half->tenant, "create");
        struct vault_commit commit = {.tenant = half->tenant,
                                      .batch = batch,
                                      .check_head = true,
                                      .slot = slot,
                                      .index = &change,
                                      .index_count = 1,
                                      .audit = entries,
                                      .audit_count = 1};
        if (vault_commit_submit(half->committer, &commit, NULL) != KL_OK ||
            write(STDOUT_FILENO, &slot, sizeof(slot)) != (ssize_t)sizeof(slot)) {
            _exit(1);
        }
        vault_audit_done(&entry);
        vault_batch_free(batch);
    }
    return NULL;
}

/* This program again, as the process that is going to be killed. */
static int write_until_killed(const char *folder, uint64_t first)
{
    static struct killed killed;
    struct writer writers[KILL_WRITERS];
    pthread_t threads[KILL_WRITERS];
    if (!killed_open(&killed, folder, false)) {
        return 1;
    }
    for (uint64_t i = 0; i < KILL_WRITERS; i++) {
        writers[i] = (struct writer){.half = &killed.half, .first = first + i};
        if (pthread_create(&threads[i], NULL, write_for_ever, &writers[i]) != 0) {
            return 1;
        }
    }
    pthread_join(threads[0], NULL);
    return 1;
}

static pid_t start_writer(const char *folder, uint64_t first, int *ret_output)
{
    char number[32];
    int pipe_ends[2];
    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)first);
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], STDOUT_FILENO);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        execl("/proc/self/exe", "test_commit_kill", "--write-until-killed", folder, number,
              (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    close(pipe_ends[1]);
    *ret_output = pipe_ends[0];
    return child;
}

/* Everything that was told to be written is there whole, and rows and frontier of the trail agree. */
static void assert_acknowledged(const char *folder, const uint64_t *slots, size_t count)
{
    struct killed killed = {.kms = NULL};
    struct vault_index_entry found;
    size_t found_count = 0;
    assert_true(killed_open(&killed, folder, false));
    for (size_t i = 0; i < count; i++) {
        unsigned char tag[VAULT_TAG_BYTES];
        tag_of(slots[i], tag);
        assert_int_equal(half_head(&killed.half, slots[i]), 1);
        assert_int_equal(
            vault_index_find(killed.half.index, 1, tag, 0, 1, &found, &found_count, NULL), KL_OK);
        assert_int_equal(found_count, 1);
        assert_int_equal(found.slot, slots[i]);
    }
    assert_true(half_trail_size(&killed.half) >= count);
    assert_int_equal(half_trail_size(&killed.half), store_fixture_rows(killed.data_store, 'A'));
    assert_int_equal(half_trail_size(&killed.half), store_fixture_rows(killed.data_store, 'H'));
    killed_close(&killed);
}

static void test_what_was_acknowledged_survives_kill_9(void **state)
{
    struct store_fixture *fixture = *state;
    struct killed killed = {.kms = NULL};
    uint64_t tenant = 0;
    uint64_t *slots = calloc(100000, sizeof(*slots));
    size_t count = 0;
    assert_true(killed_open(&killed, fixture->folder, true));
    assert_int_equal(kms_tenant_take(killed.kms, &tenant, NULL), KL_OK);
    assert_int_equal(tenant, 1);
    killed_close(&killed);
    for (uint64_t round = 0; round < KILL_ROUNDS; round++) {
        int output = -1;
        int ended = 0;
        size_t until = count + 50 + round * 77;
        pid_t child = start_writer(fixture->folder, 1000000 * (round + 1), &output);
        while (count < until &&
               read(output, &slots[count], sizeof(*slots)) == (ssize_t)sizeof(*slots)) {
            count++;
        }
        assert_int_equal(count, until);
        kill(child, SIGKILL);
        while (count < 100000 &&
               read(output, &slots[count], sizeof(*slots)) == (ssize_t)sizeof(*slots)) {
            count++;
        }
        close(output);
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_true(WIFSIGNALED(ended));
        assert_acknowledged(fixture->folder, slots, count);
    }
    free(slots);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_acknowledged_survives_kill_9,
                                        store_fixture_setup_store, store_fixture_teardown),
    };
    if (argc == 4 && strcmp(argv[1], "--write-until-killed") == 0) {
        return write_until_killed(argv[2], strtoull(argv[3], NULL, 10));
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
