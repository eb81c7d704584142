/*
 * What keys cost. Usage: bench_kms [FOLDER] [SECONDS]
 *
 * FOLDER (default: the working folder) holds the root file and the key store while this runs; it should lie on the disk that
 * matters. The key store is the vault's RocksDB engine, synced; the root file is bare. Each shred takes one subject of a tenant with
 * 10 million, picked at random, in a commit of its own or shared with other threads.
 */
#include "kluis/base/secret.h"
#include "kluis/base/time.h"
#include "kluis/kms/kms.h"
#include "vault/key_storage.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TENANT 1
#define SUBJECTS 10000000u
#define PATH_BYTES 1024
#define THREADS_MAX 64
#define LATENCIES_MAX 200000
#define VALUE_BYTES 64
#define ROUNDS 200000
#define COLD_ROUNDS 2000
#define SYNCS 200

struct bench {
    char folder[PATH_BYTES];
    char root_path[PATH_BYTES + 16];
    char custodian[PATH_BYTES + 32];
    char keys_path[PATH_BYTES + 16];
    struct vault_store *store;
    struct kms_storage storage;
    struct kms_options options;
    struct kms *kms;
    int64_t seconds_us;
};

static void must(enum kl_status status, const struct kl_err *err, const char *what)
{
    if (status != KL_OK) {
        (void)fprintf(stderr, "bench_kms: %s: %s (%s)\n", what, err->client_text, err->log_text);
        exit(1);
    }
}

/* ---- life ---- */

static void bench_open(struct bench *bench, bool create)
{
    struct vault_store_options store = {.path = bench->keys_path, .create = create};
    struct kl_err err = {0};

    must(vault_store_open(&store, &bench->store, &err), &err, "key store");
    bench->storage = vault_key_storage(bench->store);
    bench->options.storage = &bench->storage;
    if (create) {
        must(kms_create(&bench->options, &err), &err, "create");
    }
    must(kms_open(&bench->options, &bench->kms, &err), &err, "open");
}

static void bench_close(struct bench *bench)
{
    kms_close(bench->kms);
    vault_store_close(bench->store);
}

static void bench_make(struct bench *bench, const char *folder)
{
    (void)snprintf(bench->folder, sizeof bench->folder, "%s/bench-kms-%d", folder, (int)getpid());
    (void)snprintf(bench->root_path, sizeof bench->root_path, "%s/root", bench->folder);
    (void)snprintf(bench->custodian, sizeof bench->custodian, "file:%s", bench->root_path);
    (void)snprintf(bench->keys_path, sizeof bench->keys_path, "%s/keys", bench->folder);
    if (mkdir(bench->folder, 0700) != 0) {
        perror(bench->folder);
        exit(1);
    }
    bench->options.custodian.custodian = bench->custodian;
    bench->options.custodian.accept_f0 = true;
    bench_open(bench, true);
}

static void folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char name[PATH_BYTES + 300];

        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        (void)unlink(name);
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    (void)rmdir(path);
}

static void bench_remove(const struct bench *bench)
{
    folder_remove(bench->keys_path);
    folder_remove(bench->folder);
}

/* ---- shredding ---- */

struct shredder {
    struct bench *bench;
    uint64_t seed;
    int64_t end_us;
    int64_t *latencies_us;
    size_t count;
};

static uint64_t next_random(uint64_t *seed)
{
    /* SplitMix64 (Steele, Lea, Flood 2014). */
    uint64_t word = (*seed += UINT64_C(0x9e3779b97f4a7c15));

    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

static void *shred(void *argument)
{
    struct shredder *shredder = argument;

    while (shredder->count < LATENCIES_MAX) {
        int64_t start_us = kl_time_monotonic_us();
        struct kms_change change = {KMS_CHANGE_SHRED,
                                    {TENANT,
                                     KMS_TENANT_OWN_SLOTS + next_random(&shredder->seed) % SUBJECTS,
                                     KMS_VALUE_NONE}};
        struct kms_request request = {.changes = &change,
                                      .changes_count = 1,
                                      .note = "a note of the usual size",
                                      .note_bytes = 24};
        struct kl_err err = {0};

        if (start_us >= shredder->end_us) {
            break;
        }
        must(kms_commit(shredder->bench->kms, &request, &err), &err, "commit");
        shredder->latencies_us[shredder->count++] = kl_time_monotonic_us() - start_us;
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static void bench_shreds(struct bench *bench, size_t threads_count)
{
    static struct shredder shredders[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    int64_t *all = calloc(threads_count * LATENCIES_MAX, sizeof *all);
    int64_t start_us = kl_time_monotonic_us();
    struct kms_state before;
    struct kms_state after;
    size_t count = 0;
    double seconds;

    if (all == NULL) {
        exit(1);
    }
    kms_state(bench->kms, &before);
    for (size_t i = 0; i < threads_count; i++) {
        shredders[i] = (struct shredder){bench, 1000 * threads_count + i,
                                         start_us + bench->seconds_us, all + i * LATENCIES_MAX, 0};
        if (pthread_create(&threads[i], NULL, shred, &shredders[i]) != 0) {
            exit(1);
        }
    }
    for (size_t i = 0; i < threads_count; i++) {
        (void)pthread_join(threads[i], NULL);
        memmove(all + count, shredders[i].latencies_us, shredders[i].count * sizeof *all);
        count += shredders[i].count;
    }
    seconds = (double)(kl_time_monotonic_us() - start_us) / 1e6;
    kms_state(bench->kms, &after);
    qsort(all, count, sizeof *all, compare);
    (void)printf("shred, %2zu threads: %8.0f/s  p50 %7.2f ms  p99 %7.2f ms  %5.1f a commit\n",
                 threads_count, (double)count / seconds, (double)all[count / 2] / 1e3,
                 (double)all[count * 99 / 100] / 1e3,
                 (double)count / (double)(after.commits - before.commits));
    free(all);
}

/* ---- using keys ---- */

static const char *names[] = {"seal", "unseal"};

static double use_once(struct bench *bench, uint64_t subjects, unsigned rounds, bool unseal)
{
    struct kl_slice context = kl_slice_text("record, field, version");
    unsigned char text[VALUE_BYTES] = {0};
    struct kl_buf sealed;
    struct kl_buf plain;
    uint64_t seed = 7;
    int64_t spent_us = 0;

    kl_buf_init(&sealed, 4096);
    kl_buf_init(&plain, 4096);
    for (unsigned i = 0; i < rounds; i++) {
        struct kms_place place = {TENANT, KMS_TENANT_OWN_SLOTS + next_random(&seed) % subjects,
                                  i % 8};
        struct kl_err err = {0};
        int64_t start_us = kl_time_monotonic_us();
        enum kl_status status;

        kl_buf_clear(&sealed);
        kl_buf_clear(&plain);
        status =
            kms_seal(bench->kms, &place, context, kl_slice_of(text, sizeof text), &sealed, &err);
        if (unseal && status == KL_OK) {
            start_us = kl_time_monotonic_us();
            status = kms_unseal(bench->kms, &place, context, kl_buf_slice(&sealed), &plain, &err);
        }
        if (status != KL_ERR_GONE) {
            must(status, &err, "use");
        }
        spent_us += kl_time_monotonic_us() - start_us;
    }
    kl_buf_done(&sealed);
    kl_buf_done(&plain);
    return (double)spent_us * 1e3 / rounds;
}

/* The clock counts whole microseconds: what is spent in many calls is measured, and the clock's own part is taken off. */
static double clock_cost_ns(void)
{
    int64_t start_us = kl_time_monotonic_us();

    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)kl_time_monotonic_us();
    }
    return (double)(kl_time_monotonic_us() - start_us) * 1e3 / ROUNDS;
}

/* The first pass brings pages in where there are any; the second finds them. */
static void bench_use(struct bench *bench, const char *when, unsigned rounds)
{
    for (unsigned unseal = 0; unseal < 2; unseal++) {
        (void)printf("%-6s %d B, %s%s: %7.0f ns\n", names[unseal], VALUE_BYTES, when,
                     unseal != 0 ? ", again" : "",
                     use_once(bench, SUBJECTS, rounds, unseal != 0) - clock_cost_ns());
    }
}

static void bench_mac(struct bench *bench)
{
    struct kms_place place = {TENANT, 1, KMS_VALUE_NONE};
    unsigned char mac[KMS_MAC_BYTES];
    int64_t start_us = kl_time_monotonic_us();
    struct kl_err err = {0};

    for (unsigned i = 0; i < ROUNDS; i++) {
        must(kms_mac(bench->kms, &place, "index", kl_slice_text("someone@example.com"), mac, &err),
             &err, "mac");
    }
    (void)printf("mac, key of a tenant: %7.0f ns\n",
                 (double)(kl_time_monotonic_us() - start_us) * 1e3 / ROUNDS);
}

/* What all of this waits for: 4 KiB overwritten in place and synced. */
static void bench_sync(const struct bench *bench)
{
    static unsigned char block[4096];
    char path[PATH_BYTES + 16];
    int64_t latencies_us[SYNCS];
    int fd;

    (void)snprintf(path, sizeof path, "%s/sync", bench->folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (size_t i = 0; i < SYNCS; i++) {
        int64_t start_us = kl_time_monotonic_us();

        if (fd < 0 || pwrite(fd, block, sizeof block, 0) != (ssize_t)sizeof block ||
            fdatasync(fd) != 0) {
            perror(path);
            exit(1);
        }
        latencies_us[i] = kl_time_monotonic_us() - start_us;
    }
    (void)close(fd);
    qsort(latencies_us, SYNCS, sizeof latencies_us[0], compare);
    (void)printf("sync of 4 KiB in place: p50 %.2f ms  p99 %.2f ms\n",
                 (double)latencies_us[SYNCS / 2] / 1e3,
                 (double)latencies_us[SYNCS * 99 / 100] / 1e3);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct kms_state state;
    struct kl_err err = {0};

    bench.seconds_us = (argc > 2 ? atoi(argv[2]) : 5) * INT64_C(1000000);
    must(kl_secret_process_init(true, &err), &err, "start");
    bench_make(&bench, argc > 1 ? argv[1] : ".");
    kms_state(bench.kms, &state);
    (void)printf("root file: %s; %u subjects\n", kms_finality_name(state.finality), SUBJECTS);
    bench_use(&bench, "all keys derived", ROUNDS);
    bench_mac(&bench);
    bench_sync(&bench);
    bench_shreds(&bench, 1);
    bench_shreds(&bench, 64);
    bench_use(&bench, "among pages", ROUNDS);
    kms_state(bench.kms, &state);
    (void)printf("pages in memory: %llu of %llu\n", (unsigned long long)state.pages_cached,
                 (unsigned long long)state.page_cache_max);
    bench_close(&bench);
    bench_open(&bench, false);
    bench_use(&bench, "just opened", COLD_ROUNDS);
    bench_close(&bench);
    bench_remove(&bench);
    return 0;
}
