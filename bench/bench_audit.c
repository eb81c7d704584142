/*
 * What the audit trail costs: appending entries with their tree and index, beside
 * the same rows without; space of an entry; proofs as the trail grows; searching it
 * with its search index and by a look at every entry.
 *
 *   bench_audit [FOLDER [ENTRIES]]     works in a folder of its own below FOLDER (default: the temporary one); 1000000 entries
 */
#include "kluis/base/time.h"
#include "tests/support/store_fixture.h"
#include "vault/audit_index.h"
#include "vault/audit_proof.h"
#include "vault/audit_search.h"
#include "vault/rows.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRIES_DEFAULT 1000000
#define GROUP 256
#define PROOFS 2000
#define FIRST_SIZE 10000
#define CREDENTIALS 50
#define SLOTS 1000000
#define SLOT_FIRST 64
/* So many entries at most are searched without the index; of a longer trail a part is, and the rest counted as it was. */
#define SCANNED_MAX 1000000

struct bench {
    struct store_fixture *base;
    struct vault_trails *trails;
    struct vault_batch *batch;
    uint64_t entries;
    uint64_t indexed; /* blocks */
    uint64_t text_bytes;
    struct kl_id last;
};

static uint64_t spread(uint64_t i)
{
    i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    return i ^ (i >> 31);
}

static void must(bool good, const char *what)
{
    if (!good) {
        (void)fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

/* As a read of three fields writes it, of one of a million people, by one of fifty credentials. */
static const char shown[] =
    "[{\"type\":\"applicant\",\"records\":[2],\"fields\":{\"name\":\"plain\","
    "\"email\":\"masked\",\"cv\":\"plain\"},\"withheld\":{}}]";

static void make(struct vault_audit_entry *entry, uint64_t tenant, uint64_t number)
{
    const struct kl_id credential = {{7, 7, (unsigned char)(spread(number + 7) % CREDENTIALS)}};
    const struct vault_audit_who who = {.credential = &credential,
                                        .role = "recruiter",
                                        .request_id = "4V63SGGB1C2MCTR1WKK4440C1W",
                                        .location = "BE",
                                        .at_us = 1700000000000000 + (int64_t)number};
    struct kl_json_out out;

    vault_audit_begin(entry, tenant, &who, "read", &out);
    kl_json_add_int(&out, "slot", (int64_t)(SLOT_FIRST + spread(number) % SLOTS));
    kl_json_add_text(&out, "purpose", "recruitment");
    kl_json_add_int(&out, "policy", 3);
    kl_json_key(&out, "shown");
    kl_json_put_raw(&out, shown, sizeof shown - 1);
    kl_json_add_text(&out, "result", "ok");
    must(vault_audit_end(entry, &out, NULL) == KL_OK, "an entry");
}

/* One group; its entries were made before. */
static int64_t append_group(struct bench *bench, struct vault_audit_entry *entries, size_t count)
{
    const struct vault_audit_entry *list[GROUP];
    int64_t start = kl_time_monotonic_us();

    for (size_t i = 0; i < count; i++) {
        list[i] = &entries[i];
    }
    vault_batch_clear(bench->batch);
    must(vault_trails_append(bench->trails, list, count, bench->batch, NULL) == KL_OK, "append");
    vault_trails_frontiers(bench->trails, bench->batch);
    must(vault_store_apply(bench->base->store, bench->batch, false, NULL) == KL_OK, "apply");
    vault_trails_applied(bench->trails, true, true);
    return kl_time_monotonic_us() - start;
}

/* The same texts under keys of nobody's, without hashes, tree and index. */
static int64_t put_group(struct bench *bench, const struct vault_audit_entry *entries, size_t count,
                         uint64_t first)
{
    int64_t start = kl_time_monotonic_us();

    vault_batch_clear(bench->batch);
    for (size_t i = 0; i < count; i++) {
        struct vault_row_key key = vault_row_audit(UINT64_C(1) << 40, first + i);

        vault_batch_put(bench->batch, vault_row_slice(&key), kl_buf_slice(&entries[i].json));
    }
    must(vault_store_apply(bench->base->store, bench->batch, false, NULL) == KL_OK, "apply");
    return kl_time_monotonic_us() - start;
}

static void grow(struct bench *bench, uint64_t size, bool plain_too)
{
    struct vault_audit_entry entries[GROUP];
    int64_t append_us = 0;
    int64_t plain_us = 0;
    uint64_t from = bench->entries;

    while (bench->entries < size) {
        size_t count = size - bench->entries < GROUP ? (size_t)(size - bench->entries) : GROUP;

        for (size_t i = 0; i < count; i++) {
            make(&entries[i], bench->base->tenant, bench->entries + i);
            bench->text_bytes += entries[i].json.size;
        }
        plain_us += plain_too ? put_group(bench, entries, count, bench->entries) : 0;
        append_us += append_group(bench, entries, count);
        bench->last = entries[count - 1].id;
        for (size_t i = 0; i < count; i++) {
            vault_audit_done(&entries[i]);
        }
        bench->entries += count;
    }
    (void)printf("%10llu entries: %6.2f us for one, %9.0f a second", (unsigned long long)size,
                 (double)append_us / (double)(size - from),
                 (double)(size - from) * 1e6 / (double)append_us);
    if (plain_too) {
        (void)printf("; %.2f times a row alone (%.2f us)", (double)append_us / (double)plain_us,
                     (double)plain_us / (double)(size - from));
    }
    (void)putchar('\n');
}

static double prove(struct bench *bench, bool inclusion)
{
    struct vault_tree_reader *reader = NULL;
    struct vault_tree_proof proof;
    int64_t start = kl_time_monotonic_us();

    for (uint64_t i = 0; i < PROOFS; i++) {
        uint64_t at = spread(i) % bench->entries;

        must(vault_tree_reader_new(bench->trails, bench->base->tenant, &reader, NULL) == KL_OK,
             "a reader");
        must((inclusion
                  ? vault_tree_inclusion(reader, at, bench->entries, &proof, NULL)
                  : vault_tree_consistency(reader, at + 1, bench->entries, &proof, NULL)) == KL_OK,
             "a proof");
        vault_tree_reader_free(reader);
    }
    return (double)(kl_time_monotonic_us() - start) / PROOFS;
}

static double find(struct bench *bench)
{
    uint64_t index = 0;
    int64_t start = kl_time_monotonic_us();

    for (uint64_t i = 0; i < PROOFS; i++) {
        must(vault_audit_find(bench->base->store, bench->base->tenant, &bench->last, &index,
                              NULL) == KL_OK,
             "a search");
    }
    return (double)(kl_time_monotonic_us() - start) / PROOFS;
}

/* Keys and values of the rows of the trail that start with that byte, for an entry. */
static double row_bytes(struct bench *bench, char kind)
{
    unsigned char first[9] = {(unsigned char)kind};
    struct vault_row_key prefix = {.size = sizeof first};
    struct vault_row_key past;
    struct vault_iter *iter;
    struct kl_slice key;
    struct kl_slice value;
    double bytes = 0;

    kl_put_u64be(first + 1, bench->base->tenant);
    memcpy(prefix.bytes, first, sizeof first);
    past = vault_row_past(&prefix);
    iter =
        vault_iter_new(bench->base->store, vault_row_slice(&prefix), vault_row_slice(&past), false);
    must(iter != NULL, "an iterator");
    while (vault_iter_next(iter, &key, &value)) {
        bytes += (double)(key.size + value.size);
    }
    vault_iter_free(iter);
    return bytes / (double)bench->entries;
}

static double folder_bytes(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *one;
    double bytes = 0;

    while (folder != NULL && (one = readdir(folder)) != NULL) {
        char name[1024];
        struct stat info;

        (void)snprintf(name, sizeof name, "%s/%s", path, one->d_name);
        if (stat(name, &info) == 0 && S_ISREG(info.st_mode)) {
            bytes += (double)info.st_size;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return bytes;
}

static void proofs(struct bench *bench, double *first_us)
{
    double inclusion_us = prove(bench, true);
    double consistency_us = prove(bench, false);

    *first_us = *first_us == 0 ? inclusion_us : *first_us;
    (void)printf(
        "%10s inclusion %6.1f us (%.2f of the first), consistency %6.1f us, by id %5.1f us\n", "",
        inclusion_us, inclusion_us / *first_us, consistency_us, find(bench));
}

/* ---- searching ---- */

/* As the upkeep does it, block by block. */
static void index_all(struct bench *bench, struct vault *vault)
{
    uint64_t until = bench->entries / VAULT_POSTINGS_BLOCK;
    int64_t start = kl_time_monotonic_us();
    uint64_t first = bench->indexed;

    for (; bench->indexed < until; bench->indexed++) {
        vault_batch_clear(bench->batch);
        must(vault_audit_index_block(vault, bench->base->tenant, bench->indexed, bench->batch,
                                     NULL) == KL_OK,
             "a block");
        vault_audit_indexed_put(bench->base->tenant, bench->indexed + 1, bench->batch);
        must(vault_store_apply(bench->base->store, bench->batch, false, NULL) == KL_OK, "apply");
    }
    (void)printf("%10s search index %.2f us for one entry, behind the trail\n", "",
                 (double)(kl_time_monotonic_us() - start) /
                     (double)((until - first) * VAULT_POSTINGS_BLOCK));
}

struct searched {
    uint64_t found;
    double us;
};

/* All up to past that has what is not 0 or NULL, by the terms or (count 0) one by one; each entry is asked as vault_audit_list() does. */
static struct searched search(struct vault *vault, uint64_t tenant, const struct vault_term *terms,
                              size_t count, uint64_t past, uint64_t slot, const char *credential)
{
    struct vault_audit_search search = {0};
    struct searched ret = {0};
    int64_t start = kl_time_monotonic_us();
    uint64_t next = 0;

    do {
        struct kl_slice entry;
        uint64_t seq = 0;

        must(vault_audit_search_begin(&search, vault, tenant, terms, count, next, past, SIZE_MAX,
                                      NULL) == KL_OK,
             "a search");
        while (vault_audit_search_next(&search, &seq, &entry, NULL) == KL_OK) {
            struct vault_audit_said said;

            must(vault_audit_read(entry, &said, NULL) == KL_OK, "an entry");
            ret.found += (slot == 0 || vault_audit_has(&said, VAULT_TERM_SLOT, slot, NULL)) &&
                         (credential == NULL ||
                          vault_audit_has(&said, VAULT_TERM_CREDENTIAL, 0, credential));
            vault_audit_said_done(&said);
        }
        next = search.next;
        vault_audit_search_end(&search);
    } while (search.more);
    ret.us = (double)(kl_time_monotonic_us() - start);
    return ret;
}

static void compare_search(struct bench *bench, struct vault *vault, const char *what,
                           const struct vault_term *terms, size_t count, uint64_t slot,
                           const char *credential)
{
    uint64_t tenant = bench->base->tenant;
    uint64_t part = bench->entries < SCANNED_MAX ? bench->entries : SCANNED_MAX;
    struct searched scanned = search(vault, tenant, NULL, 0, part, slot, credential);
    struct searched by_index =
        search(vault, tenant, terms, count, bench->entries, slot, credential);
    struct searched same = search(vault, tenant, terms, count, part, slot, credential);

    must(same.found == scanned.found, "the same answer");
    scanned.us *= (double)bench->entries / (double)part;
    (void)printf("%10s by %s: %llu found, %.0f us; one by one %.0f us, %.0f times that\n", "", what,
                 (unsigned long long)by_index.found, by_index.us, scanned.us,
                 scanned.us / by_index.us);
}

static void searches(struct bench *bench)
{
    struct vault *vault = calloc(1, sizeof *vault);
    const struct kl_id id = {{7, 7, (unsigned char)(spread(bench->entries / 2 + 7) % CREDENTIALS)}};
    char credential[KL_ID_TEXT_BYTES];
    uint64_t slot = SLOT_FIRST + spread(bench->entries / 2) % SLOTS;
    struct vault_term terms[2];

    must(vault != NULL, "memory");
    vault->data_store = bench->base->store;
    vault->trails = bench->trails;
    kl_id_format("cred", &id, credential);
    index_all(bench, vault);
    terms[0] = vault_term_of_slot(slot);
    terms[1] = vault_term_of_text(VAULT_TERM_CREDENTIAL, credential);
    compare_search(bench, vault, "subject", terms, 1, slot, NULL);
    compare_search(bench, vault, "credential", terms + 1, 1, 0, credential);
    compare_search(bench, vault, "both", terms, 2, slot, credential);
    free(vault);
}

int main(int argc, char **argv)
{
    uint64_t most = argc > 2 ? strtoull(argv[2], NULL, 10) : ENTRIES_DEFAULT;
    struct bench bench = {.batch = vault_batch_new()};
    double first_us = 0;
    void *state = NULL;

    if (argc > 1) {
        setenv("TMPDIR", argv[1], 1);
    }
    must(store_fixture_setup(&state) == 0 && bench.batch != NULL, "the store");
    bench.base = state;
    bench.trails = vault_trails_new(bench.base->keys->kms, bench.base->store);
    must(bench.trails != NULL, "the trail");
    for (uint64_t size = FIRST_SIZE; size <= most; size *= 10) {
        grow(&bench, size, size == FIRST_SIZE * 10);
        proofs(&bench, &first_us);
        searches(&bench);
    }
    vault_trails_free(bench.trails);
    store_fixture_reopen(bench.base);
    (void)printf(
        "an entry: text %.0f bytes; row %.1f, tree %.1f, index by id %.1f, for searches %.1f; %.0f on the disk, rows of others too\n",
        (double)bench.text_bytes / (double)bench.entries, row_bytes(&bench, 'A'),
        row_bytes(&bench, 'G'), row_bytes(&bench, 'J'), row_bytes(&bench, 'K'),
        folder_bytes(bench.base->path) / (double)bench.entries);
    vault_batch_free(bench.batch);
    return store_fixture_teardown(&state);
}
