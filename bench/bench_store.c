/*
 * What the store costs: a row read, a bucket looked up, a group committed and
 * synced. Prints one line a figure; the disk's own sync time is measured beside.
 *
 *   bench_store [FOLDER [SUBJECTS]]     works in a folder of its own below FOLDER (default: the temporary one); 20000 subjects
 */
#include "kluis/base/time.h"
#include "tests/support/commit_fixture.h"
#include "vault/rows.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUBJECTS_DEFAULT 20000
#define READS 200000
#define SYNCED_PER_THREAD 200
#define SYNCS 200

static uint64_t spread(uint64_t i)
{
    i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    return i ^ (i >> 31);
}

static void say(const char *what, uint64_t count, int64_t us)
{
    printf("%-34s %10.2f us each  %10.0f a second\n", what, (double)us / (double)count,
           (double)count * 1e6 / (double)us);
}

static void write_subject(struct half *half, uint64_t slot, bool unsynced)
{
    struct vault_audit_entry entry;
    struct vault_audit_entry *const entries[1] = {&entry};
    struct vault_index_change change = {.kind = VAULT_INDEX_ADD, .entry = {.slot = slot}};
    struct vault_batch *batch = vault_batch_new();
    kl_put_u64be(change.entry.tag, spread(slot));
    half_put_head(batch, half->tenant, slot, 1);
    half_entry(&entry, half->tenant, "subject.create");
    struct vault_commit commit = {.tenant = half->tenant,
                                  .batch = batch,
                                  .check_head = true,
                                  .slot = slot,
                                  .index = &change,
                                  .index_count = 1,
                                  .audit = entries,
                                  .audit_count = 1,
                                  .unsynced = unsynced};
    if (vault_commit_submit(half->committer, &commit, NULL) != KL_OK) {
        fprintf(stderr, "a commit failed\n");
        exit(1);
    }
    vault_audit_done(&entry);
    vault_batch_free(batch);
}

static void bench_reads(struct half *half, uint64_t subjects)
{
    struct vault_index_entry found;
    size_t count = 0;
    int64_t start = kl_time_monotonic_us();
    for (uint64_t i = 0; i < READS; i++) {
        if (half_head(half, 1000 + spread(i) % subjects) != 1) {
            exit(1);
        }
    }
    say("row read", READS, kl_time_monotonic_us() - start);
    start = kl_time_monotonic_us();
    for (uint64_t i = 0; i < READS; i++) {
        unsigned char tag[VAULT_TAG_BYTES] = {0};
        kl_put_u64be(tag, spread(1000 + spread(i) % subjects));
        if (vault_index_find(half->index, half->tenant, tag, 0, 1, &found, &count, NULL) != KL_OK ||
            count != 1) {
            exit(1);
        }
    }
    say("index lookup", READS, kl_time_monotonic_us() - start);
}

struct writer {
    struct half *half;
    uint64_t first;
};

static void *write_synced(void *argument)
{
    struct writer *writer = argument;
    for (uint64_t i = 0; i < SYNCED_PER_THREAD; i++) {
        write_subject(writer->half, writer->first + i, false);
    }
    return NULL;
}

static void bench_synced(struct half *half, size_t threads, uint64_t first)
{
    pthread_t started[256];
    struct writer writers[256];
    char what[64];
    int64_t start = kl_time_monotonic_us();
    for (size_t i = 0; i < threads; i++) {
        writers[i] = (struct writer){.half = half, .first = first + i * SYNCED_PER_THREAD};
        if (pthread_create(&started[i], NULL, write_synced, &writers[i]) != 0) {
            exit(1);
        }
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(started[i], NULL);
    }
    (void)snprintf(what, sizeof(what), "synced commit, %zu threads", threads);
    say(what, threads * SYNCED_PER_THREAD, kl_time_monotonic_us() - start);
}

static void bench_disk(const char *folder)
{
    char path[512];
    char block[4096] = {0};
    (void)snprintf(path, sizeof(path), "%.400s/sync", folder);
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    int64_t start = kl_time_monotonic_us();
    for (int i = 0; i < SYNCS; i++) {
        if (write(file, block, sizeof(block)) != (ssize_t)sizeof(block) || fdatasync(file) != 0) {
            exit(1);
        }
    }
    say("the disk's own sync of 4 KiB", SYNCS, kl_time_monotonic_us() - start);
    close(file);
}

int main(int argc, char **argv)
{
    void *state = NULL;
    uint64_t subjects = argc > 2 ? strtoull(argv[2], NULL, 10) : SUBJECTS_DEFAULT;
    if (argc > 1) {
        setenv("TMPDIR", argv[1], 1);
    }
    if (subjects == 0 || half_setup(&state) != 0) {
        fprintf(stderr, "cannot make a store\n");
        return 1;
    }
    struct half *half = state;
    bench_disk(half->base->folder);
    int64_t start = kl_time_monotonic_us();
    for (uint64_t i = 0; i < subjects; i++) {
        write_subject(half, 1000 + i, true);
    }
    say("unsynced commit, 1 thread", subjects, kl_time_monotonic_us() - start);
    bench_reads(half, subjects);
    bench_synced(half, 1, 1000 + subjects);
    bench_synced(half, 8, 1000 + subjects + 1000);
    bench_synced(half, 64, 1000 + subjects + 10000);
    bench_synced(half, 256, 1000 + subjects + 100000);
    half_teardown(&state);
    return 0;
}
