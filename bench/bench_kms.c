/*
 * What keys cost, and how it grows. Usage: bench_kms [FOLDER] [SECONDS]
 *
 * FOLDER (default: the working folder) holds the root file and the key store while this runs; it should lie on the disk that matters. The
 * key store is the vault's RocksDB engine, synced; the root file is bare. For a tenant with 10^4, 10^6 and 10^8 subjects: all slots are
 * given out, a scattered set of subjects is shredded first, so that pages are written out as in a vault that has lived. Then
 * erasures alone, each beside the two syncs that it cannot do without, erasures by 64 threads for SECONDS (default 5), and keys found
 * just after opening and again.
 */
#include "kluis/base/secret.h"
#include "kluis/base/time.h"
#include "kluis/kms/kms.h"
#include "kms/format.h"
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
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 1024
#define THREADS 64
#define LATENCIES_MAX 100000
#define SCATTERED 20000
#define SCATTERED_EACH 500
#define CREATES 100000
#define ALONE 400
#define KEYS 2000
#define SEALS 100000
#define VALUE_BYTES 64
#define LOG_BYTES 12288 /* of the batch of one erasure, in the write-ahead log */

/* The engine, with what goes through it counted. */
struct counted {
    struct kms_storage inner;
    atomic_ullong pages;
    atomic_ullong other_rows;
    atomic_ullong bytes;
};

struct bench {
    char folder[PATH_BYTES];
    char custodian[PATH_BYTES + 32];
    char keys_path[PATH_BYTES + 16];
    int log_fd; /* what the machine's own syncs are measured with */
    int slot_fd;
    struct vault_store *store;
    struct counted counted;
    struct kms_storage storage;
    struct kms_options options;
    struct kms *kms;
    uint64_t tenant;
    uint64_t subjects;
    int64_t seconds_us;
};

static void must(enum kl_status status, const struct kl_err *err, const char *what)
{
    if (status != KL_OK) {
        (void)fprintf(stderr, "bench_kms: %s: %s (%s)\n", what, err->client_text, err->log_text);
        exit(1);
    }
}

static void must_do(bool done, const char *what)
{
    if (!done) {
        perror(what);
        exit(1);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t next_random(uint64_t *seed)
{
    /* SplitMix64 (Steele, Lea, Flood 2014). */
    uint64_t word = (*seed += UINT64_C(0x9e3779b97f4a7c15));

    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

/* Sorts; the p-th of a thousand. */
static double rank_of(int64_t *values, size_t count, size_t p)
{
    qsort(values, count, sizeof *values, compare);
    return (double)values[count * p / 1000];
}

/* ---- the engine, counted ---- */

static enum kl_status counted_get(void *context, struct kl_slice key, struct kl_buf *ret,
                                  struct kl_err *err)
{
    const struct counted *counted = context;

    return counted->inner.get(counted->inner.context, key, ret, err);
}

static enum kl_status counted_apply(void *context, const struct kms_storage_write *writes,
                                    size_t count, bool sync, struct kl_err *err)
{
    struct counted *counted = context;

    for (size_t i = 0; i < count; i++) {
        bool page = writes[i].key.bytes[0] == KMS_ROW_PAGE && writes[i].value.bytes != NULL;

        atomic_fetch_add(page ? &counted->pages : &counted->other_rows, 1);
        atomic_fetch_add(&counted->bytes, writes[i].key.size + writes[i].value.size);
    }
    return counted->inner.apply(counted->inner.context, writes, count, sync, err);
}

static enum kl_status counted_range(void *context, struct kl_slice prefix, kms_storage_visit visit,
                                    void *visitor, struct kl_err *err)
{
    const struct counted *counted = context;

    return counted->inner.range(counted->inner.context, prefix, visit, visitor, err);
}

/* ---- life ---- */

static void bench_open(struct bench *bench, bool create)
{
    struct vault_store_options store = {.path = bench->keys_path, .create = create};
    struct kl_err err = {0};

    must(vault_store_open(&store, &bench->store, &err), &err, "key store");
    bench->counted.inner = vault_key_storage(bench->store);
    bench->storage = (struct kms_storage){.context = &bench->counted,
                                          .get = counted_get,
                                          .apply = counted_apply,
                                          .range = counted_range};
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

static int file_open(const struct bench *bench, const char *name)
{
    char path[PATH_BYTES + 16];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", bench->folder, name);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must_do(fd >= 0, path);
    return fd;
}

static void bench_make(struct bench *bench, const char *folder, uint64_t subjects)
{
    struct kl_err err = {0};

    bench->subjects = subjects;
    (void)snprintf(bench->folder, sizeof bench->folder, "%s/bench-kms-%d", folder, (int)getpid());
    (void)snprintf(bench->custodian, sizeof bench->custodian, "file:%s/root", bench->folder);
    (void)snprintf(bench->keys_path, sizeof bench->keys_path, "%s/keys", bench->folder);
    must_do(mkdir(bench->folder, 0700) == 0, bench->folder);
    bench->options.custodian.custodian = bench->custodian;
    bench->options.custodian.accept_f0 = true;
    bench->log_fd = file_open(bench, "log");
    bench->slot_fd = file_open(bench, "slot");
    bench_open(bench, true);
    must(kms_tenant_take(bench->kms, &bench->tenant, &err), &err, "tenant");
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

static void bench_remove(struct bench *bench)
{
    (void)close(bench->log_fd);
    (void)close(bench->slot_fd);
    folder_remove(bench->keys_path);
    folder_remove(bench->folder);
}

static struct kms_place subject_at(const struct bench *bench, uint64_t *seed)
{
    return (struct kms_place){
        bench->tenant, KMS_TENANT_OWN_SLOTS + next_random(seed) % bench->subjects, KMS_VALUE_NONE};
}

/* ---- filling ---- */

/* Creates take a number each; what they write is counted. The rest of the slots is given out at once. */
static void fill(struct bench *bench)
{
    uint64_t creates = bench->subjects < CREATES ? bench->subjects : CREATES;
    unsigned long long pages = atomic_load(&bench->counted.pages);
    unsigned long long rows = atomic_load(&bench->counted.other_rows);
    struct kl_err err = {0};
    uint64_t slot = 0;
    int64_t start_ns = now_ns();

    for (uint64_t i = 0; i < creates; i++) {
        must(kms_slot_take(bench->kms, bench->tenant, 1, &slot, &err), &err, "take");
    }
    (void)printf("  create: %llu key rows, %.5f marks, %.2f us each\n",
                 atomic_load(&bench->counted.pages) - pages,
                 (double)(atomic_load(&bench->counted.other_rows) - rows) / (double)creates,
                 (double)(now_ns() - start_ns) / 1e3 / (double)creates);
    must(kms_slot_mark_raise(bench->kms, bench->tenant, KMS_TENANT_OWN_SLOTS + bench->subjects,
                             &err),
         &err, "raise");
}

/* A scattered set of subjects goes, many to a commit. */
static void scatter(struct bench *bench)
{
    uint64_t seed = 11;
    uint64_t left = bench->subjects / 5 < SCATTERED ? bench->subjects / 5 : SCATTERED;

    while (left > 0) {
        static struct kms_change changes[SCATTERED_EACH];
        struct kms_request request = {.changes = changes};
        struct kl_err err = {0};

        request.changes_count = left < SCATTERED_EACH ? (size_t)left : SCATTERED_EACH;
        for (size_t i = 0; i < request.changes_count; i++) {
            changes[i] = (struct kms_change){KMS_CHANGE_SHRED, subject_at(bench, &seed)};
        }
        must(kms_commit(bench->kms, &request, &err), &err, "scatter");
        left -= request.changes_count;
    }
}

/* ---- erasing ---- */

static void erase(struct bench *bench, uint64_t *seed)
{
    struct kms_change change = {KMS_CHANGE_SHRED, subject_at(bench, seed)};
    struct kms_request request = {.changes = &change,
                                  .changes_count = 1,
                                  .note = "a note of the usual size",
                                  .note_bytes = 24};
    struct kl_err err = {0};

    must(kms_commit(bench->kms, &request, &err), &err, "commit");
}

/* What every erasure waits for whatever the software: a log that grows, and 4 KiB overwritten in place. */
static void two_syncs(const struct bench *bench, off_t *log_at)
{
    static unsigned char bytes[LOG_BYTES];

    must_do(pwrite(bench->log_fd, bytes, sizeof bytes, *log_at) == (ssize_t)sizeof bytes &&
                fdatasync(bench->log_fd) == 0,
            "log");
    *log_at += (off_t)sizeof bytes;
    must_do(pwrite(bench->slot_fd, bytes, 4096, 0) == 4096 && fdatasync(bench->slot_fd) == 0,
            "slot");
}

static void bench_alone(struct bench *bench)
{
    static int64_t erasures_ns[ALONE];
    static int64_t syncs_ns[ALONE];
    unsigned long long pages = atomic_load(&bench->counted.pages);
    unsigned long long bytes = atomic_load(&bench->counted.bytes);
    uint64_t seed = 1000;
    off_t log_at = 0;
    double p50;
    double sync_p50;

    for (size_t i = 0; i < ALONE; i++) {
        int64_t start_ns = now_ns();

        two_syncs(bench, &log_at);
        syncs_ns[i] = now_ns() - start_ns;
        start_ns = now_ns();
        erase(bench, &seed);
        erasures_ns[i] = now_ns() - start_ns;
    }
    p50 = rank_of(erasures_ns, ALONE, 500);
    sync_p50 = rank_of(syncs_ns, ALONE, 500);
    (void)printf("  erasure alone: p50 %.2f ms  p99 %.2f ms; two syncs of the machine: p50 %.2f ms "
                 " p99 %.2f ms; above them: p50 %.2f ms\n",
                 p50 / 1e6, rank_of(erasures_ns, ALONE, 990) / 1e6, sync_p50 / 1e6,
                 rank_of(syncs_ns, ALONE, 990) / 1e6, (p50 - sync_p50) / 1e6);
    (void)printf("  an erasure writes %.2f pages, %.0f bytes\n",
                 (double)(atomic_load(&bench->counted.pages) - pages) / ALONE,
                 (double)(atomic_load(&bench->counted.bytes) - bytes) / ALONE);
}

struct eraser {
    struct bench *bench;
    uint64_t seed;
    int64_t end_ns;
    atomic_llong *left; /* of all threads: most subjects live on */
    int64_t *latencies_ns;
    size_t count;
};

static void *erase_on(void *argument)
{
    struct eraser *eraser = argument;
    int64_t start_ns;

    while (eraser->count < LATENCIES_MAX && (start_ns = now_ns()) < eraser->end_ns &&
           atomic_fetch_sub(eraser->left, 1) > 0) {
        erase(eraser->bench, &eraser->seed);
        eraser->latencies_ns[eraser->count++] = now_ns() - start_ns;
    }
    return NULL;
}

static void bench_many(struct bench *bench)
{
    static struct eraser erasers[THREADS];
    pthread_t threads[THREADS];
    int64_t *all = calloc((size_t)THREADS * LATENCIES_MAX, sizeof *all);
    int64_t start_ns = now_ns();
    atomic_llong left = (long long)(bench->subjects / 4);
    struct kms_state before;
    struct kms_state after;
    size_t count = 0;
    double seconds;

    must_do(all != NULL, "memory");
    kms_state(bench->kms, &before);
    for (size_t i = 0; i < THREADS; i++) {
        erasers[i] = (struct eraser){
            bench, 77000 + i, start_ns + bench->seconds_us * 1000, &left, all + i * LATENCIES_MAX,
            0};
        must_do(pthread_create(&threads[i], NULL, erase_on, &erasers[i]) == 0, "thread");
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        memmove(all + count, erasers[i].latencies_ns, erasers[i].count * sizeof *all);
        count += erasers[i].count;
    }
    seconds = (double)(now_ns() - start_ns) / 1e9;
    kms_state(bench->kms, &after);
    (void)printf("  erasures, %d threads: %.0f/s  p50 %.2f ms  p99 %.2f ms  %.1f a commit\n",
                 THREADS, (double)count / seconds, rank_of(all, count, 500) / 1e6,
                 rank_of(all, count, 990) / 1e6,
                 (double)count / (double)(after.commits - before.commits));
    free(all);
}

/* ---- keys ---- */

/* Each of the same subjects once. */
static void find_keys(struct bench *bench, int64_t *ret_ns)
{
    uint64_t seed = 5;

    for (size_t i = 0; i < KEYS; i++) {
        struct kms_place place = subject_at(bench, &seed);
        struct kl_err err = {0};
        int64_t start_ns;
        enum kl_status status;

        place.value = i % 8;
        start_ns = now_ns();
        status = kms_place_check(bench->kms, &place, &err);
        ret_ns[i] = now_ns() - start_ns;
        if (status != KL_ERR_GONE) {
            must(status, &err, "key");
        }
    }
}

static void bench_keys(struct bench *bench)
{
    static int64_t cold_ns[KEYS];
    static int64_t warm_ns[KEYS];

    bench_close(bench);
    bench_open(bench, false);
    find_keys(bench, cold_ns);
    find_keys(bench, warm_ns);
    (void)printf(
        "  key of a subject: cold p50 %.1f us  p99 %.1f us; warm p50 %.2f us  p99 %.2f us\n",
        rank_of(cold_ns, KEYS, 500) / 1e3, rank_of(cold_ns, KEYS, 990) / 1e3,
        rank_of(warm_ns, KEYS, 500) / 1e3, rank_of(warm_ns, KEYS, 990) / 1e3);
}

/* Subjects that were not seen before, and again: seal 64 bytes and open them. */
static void bench_use(struct bench *bench)
{
    struct kl_slice context = kl_slice_text("record, field, version");
    unsigned char text[VALUE_BYTES] = {0};
    int64_t spent_ns[2] = {0};
    struct kl_buf sealed;
    struct kl_buf plain;
    uint64_t seed = 7;

    kl_buf_init(&sealed, 4096);
    kl_buf_init(&plain, 4096);
    for (size_t i = 0; i < SEALS; i++) {
        struct kms_place place = subject_at(bench, &seed);
        struct kl_err err = {0};
        int64_t start_ns = now_ns();
        enum kl_status status;

        place.value = i % 8;
        kl_buf_clear(&sealed);
        kl_buf_clear(&plain);
        status =
            kms_seal(bench->kms, &place, context, kl_slice_of(text, sizeof text), &sealed, &err);
        spent_ns[0] += now_ns() - start_ns;
        if (status == KL_ERR_GONE) {
            continue;
        }
        must(status, &err, "seal");
        start_ns = now_ns();
        must(kms_unseal(bench->kms, &place, context, kl_buf_slice(&sealed), &plain, &err), &err,
             "unseal");
        spent_ns[1] += now_ns() - start_ns;
    }
    (void)printf("  seal %d B of a subject not seen lately: %.2f us; unseal it then: %.2f us\n",
                 VALUE_BYTES, (double)spent_ns[0] / 1e3 / SEALS, (double)spent_ns[1] / 1e3 / SEALS);
    kl_buf_done(&sealed);
    kl_buf_done(&plain);
}

/* ---- all ---- */

static void print_memory(const struct bench *bench)
{
    FILE *status = fopen("/proc/self/status", "re");
    struct kms_state state;
    char line[256];

    kms_state(bench->kms, &state);
    (void)printf("  memory:");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        long kib;

        if (sscanf(line, "VmRSS: %ld", &kib) == 1) {
            (void)printf(" %.0f MB resident,", (double)kib * 1024 / 1e6);
        } else if (sscanf(line, "VmLck: %ld", &kib) == 1) {
            (void)printf(" %.0f MB locked,", (double)kib * 1024 / 1e6);
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    (void)printf(" %llu pages of %llu, %llu keys of %llu\n", (unsigned long long)state.pages_cached,
                 (unsigned long long)state.page_cache_max, (unsigned long long)state.keys_cached,
                 (unsigned long long)state.key_cache_max);
}

int main(int argc, char **argv)
{
    static const uint64_t sizes[] = {10000, 1000000, 100000000};
    struct kl_err err = {0};

    must(kl_secret_process_init(true, &err), &err, "start");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        static struct bench bench;
        struct kms_state state;

        memset(&bench, 0, sizeof bench);
        bench.seconds_us = (argc > 2 ? atoi(argv[2]) : 5) * INT64_C(1000000);
        bench_make(&bench, argc > 1 ? argv[1] : ".", sizes[i]);
        kms_state(bench.kms, &state);
        (void)printf("%llu subjects, root file %s\n", (unsigned long long)sizes[i],
                     kms_finality_name(state.finality));
        fill(&bench);
        scatter(&bench);
        bench_alone(&bench);
        bench_many(&bench);
        bench_keys(&bench);
        bench_use(&bench);
        print_memory(&bench);
        (void)fflush(stdout);
        bench_close(&bench);
        bench_remove(&bench);
    }
    return 0;
}
