/*
 * hoarder_adversary LOG OUT [--root FILE]... [--final FOLDER]... [--needles FILE] [--cross]
 *
 *   --root     a root file as it is now: its keys are the attacker's; the log's writes to it are not, but for the control
 *   --final    a store of the vault as it is now: each of its rows must have been seen in the log, or the adversary was blind
 *   --needles  texts that must be nowhere in the log, one a line, in hex
 *   --cross    try every key on every page and every sealed value, whether it fits there or not
 *
 * First the control: with every root key that ever was, all that was ever sealed is opened, and what each needs is learned. Then the
 * attack, with the keys of now and all that was learned of contexts. What opened is written to OUT, one line each:
 *
 *   control|attack|cross KIND tenant slot value order row-key context-count plaintext     (numbers; hex; -1 for none)
 *   address control|attack tenant slot epoch key     a key had for the address slot of an index
 *   mac control|attack tenant key     one had for the slot (2) of a tenant's MACs
 *   leak what place-in-log                       a needle, or a secret key, in the open
 *   sum NAME number
 */
#include "adversary.h"

#include <rocksdb/c.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOTS_MAX 16
#define FINALS_MAX 16
#define KEYS_MAX 4096
#define PLAIN_MAX (1 << 20)
#define ROOT_SLOT_BYTES 4096
#define SECRET_ID UINT64_C(1) << 62

struct course {
    const char *log;
    const char *roots[ROOTS_MAX];
    size_t root_count;
    const char *finals[FINALS_MAX];
    size_t final_count;
    const char *needles;
    bool cross;
    FILE *out;
    struct rows rows;
    struct blobs blobs;
    bool *opened; /* by the control, and then by the attack */
};

static unsigned char keys_room[KEYS_MAX][KEY_BYTES];
static unsigned char plain_room[PLAIN_MAX];

static void hex_put(FILE *out, struct bytes bytes)
{
    if (bytes.size == 0) {
        (void)fputc('-', out);
    }
    for (size_t i = 0; i < bytes.size; i++) {
        (void)fputc("0123456789abcdef"[bytes.at[i] >> 4], out);
        (void)fputc("0123456789abcdef"[bytes.at[i] & 15], out);
    }
}

static struct bytes file_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    size_t size = 0;

    if (file == NULL) {
        stop("%s cannot be read", path);
    }
    for (;;) {
        size_t got;

        bytes = grown(bytes, size + 65536, 1);
        got = fread(bytes + size, 1, 65536, file);
        size += got;
        if (got == 0) {
            break;
        }
    }
    (void)fclose(file);
    return (struct bytes){bytes, size};
}

/* ---- root keys ---- */

struct root_keys {
    struct root_key *keys;
    size_t count;
};

static void root_keys_of(struct root_keys *roots, struct bytes bytes)
{
    for (size_t at = 0; at + ROOT_SLOT_BYTES <= bytes.size; at += ROOT_SLOT_BYTES) {
        struct root_key key;
        bool known = false;

        if (!root_slot_read((struct bytes){bytes.at + at, ROOT_SLOT_BYTES}, &key)) {
            continue;
        }
        for (size_t i = 0; i < roots->count && !known; i++) {
            known = memcmp(&roots->keys[i], &key, sizeof key) == 0;
        }
        if (!known) {
            roots->keys = grown(roots->keys, roots->count + 1, sizeof key);
            roots->keys[roots->count++] = key;
        }
    }
}

/* Every root key that was ever written, wherever. */
static struct root_keys root_keys_ever(const char *path)
{
    struct root_keys roots = {0};
    struct record record;
    struct log log;

    log_open(&log, path);
    while (log_next(&log, &record)) {
        if (record.op == 'W' && record.data.size % ROOT_SLOT_BYTES == 0 &&
            record.data.size <= 4 * (size_t)ROOT_SLOT_BYTES) {
            root_keys_of(&roots, record.data);
        }
    }
    return roots;
}

static struct root_keys root_keys_now(const struct course *course)
{
    struct root_keys roots = {0};

    for (size_t i = 0; i < course->root_count; i++) {
        root_keys_of(&roots, file_read(course->roots[i]));
    }
    return roots;
}

/* ---- opening all that opens ---- */

static void line_put(struct course *course, const char *phase, const struct blob *blob,
                     size_t plain_bytes)
{
    (void)fprintf(course->out, "%s %c %llu %llu %lld %llu ", phase, blob->kind,
                  (unsigned long long)blob->place.tenant, (unsigned long long)blob->place.slot,
                  blob->place.value == NONE ? -1LL : (long long)blob->place.value,
                  (unsigned long long)blob->order);
    hex_put(course->out, blob->row_key);
    (void)fprintf(course->out, " %zu ", blob->context_count);
    hex_put(course->out, (struct bytes){plain_room, plain_bytes});
    (void)fputc('\n', course->out);
}

static bool blob_try(const struct tree *tree, const struct blob *blob, size_t *ret_bytes)
{
    size_t count = tree_keys(tree, &blob->place, keys_room, KEYS_MAX);

    if (blob->sealed.size > PLAIN_MAX || count == KEYS_MAX) {
        stop("more keys or bytes than there is room for");
    }
    for (size_t i = 0; i < count; i++) {
        if (blob_open(blob, keys_room[i], plain_room, ret_bytes)) {
            return true;
        }
    }
    return false;
}

/* kinds: of blobs that are tried. learn: what records' manifests say is kept. */
static size_t blobs_try(struct course *course, const struct tree *tree, const char *phase,
                        const char *kinds, bool learn)
{
    size_t opened = 0;

    for (size_t i = 0; i < course->blobs.count; i++) {
        const struct blob *blob = &course->blobs.blobs[i];
        size_t bytes = 0;

        if (strchr(kinds, blob->kind) == NULL) {
            continue;
        }
        course->opened[i] = blob_try(tree, blob, &bytes);
        if (course->opened[i]) {
            opened++;
            line_put(course, phase, blob, bytes);
            if (learn && blob->kind == 'H' && blob->contexts[0].size == 6) {
                blobs_learn(&course->blobs, &blob->place, (struct bytes){plain_room, bytes});
            }
        }
    }
    return opened;
}

static void sum_put(const struct course *course, const char *phase, const char *name, size_t number)
{
    (void)fprintf(course->out, "sum %s.%s %zu\n", phase, name, number);
}

static void address_put(const struct course *course, const struct tree *tree, const char *phase,
                        uint64_t tenant, uint64_t slot, uint64_t epoch)
{
    struct place place = {tenant, slot, NONE};
    size_t count = tree_keys(tree, &place, keys_room, KEYS_MAX);

    for (size_t k = 0; k < count; k++) {
        (void)fprintf(course->out, "address %s %llu %llu %llu ", phase, (unsigned long long)tenant,
                      (unsigned long long)slot, (unsigned long long)epoch);
        hex_put(course->out, (struct bytes){keys_room[k], KEY_BYTES});
        (void)fputc('\n', course->out);
    }
}

static void mac_put(const struct course *course, const struct tree *tree, const char *phase,
                    uint64_t tenant)
{
    struct place place = {tenant, 2, NONE};
    size_t count = tree_keys(tree, &place, keys_room, KEYS_MAX);

    for (size_t k = 0; k < count; k++) {
        (void)fprintf(course->out, "mac %s %llu ", phase, (unsigned long long)tenant);
        hex_put(course->out, (struct bytes){keys_room[k], KEY_BYTES});
        (void)fputc('\n', course->out);
    }
}

/*
 * The keys that the address slots of all indexes ever may have. Row 'M' "index" tenant8: format 1, epoch 4, slot 8; since format 2 also
 * last epoch 4, next epoch 4, next slot 8. A tenant without one, told by its heads, is at epoch 0 and slot 1.
 */
static void addresses_put(const struct course *course, const struct tree *tree, const char *phase)
{
    static const char name[] = "Mindex";
    uint64_t with_heads = 0;

    for (size_t i = 0; i < course->rows.count; i++) {
        const struct row *row = &course->rows.rows[i];
        const unsigned char *value = row->value.at;
        uint64_t tenant;

        if (!row->keys && row->key.at[0] == 'H' && get_be(row->key.at + 1, 8) != with_heads) {
            with_heads = get_be(row->key.at + 1, 8);
            address_put(course, tree, phase, with_heads, 1, 0);
            mac_put(course, tree, phase, with_heads);
        }
        if (row->keys || row->key.size != sizeof name - 1 + 8 || row->value.size < 13 ||
            memcmp(row->key.at, name, sizeof name - 1) != 0) {
            continue;
        }
        tenant = get_be(row->key.at + sizeof name - 1, 8);
        address_put(course, tree, phase, tenant, get_be(value + 5, 8), get_be(value + 1, 4));
        if (row->value.size >= 29 && get_be(value + 21, 8) != 0) {
            address_put(course, tree, phase, tenant, get_be(value + 21, 8), get_be(value + 17, 4));
        }
    }
}

static struct tree *phase_do(struct course *course, const char *phase,
                             const struct root_keys *roots, bool everywhere)
{
    struct tree *tree = tree_new(&course->rows);
    size_t opened = tree_search(tree, roots->keys, roots->count, everywhere);
    size_t values = 0;

    memset(course->opened, 0, course->blobs.count * sizeof *course->opened);
    values = blobs_try(course, tree, phase, "H", true);
    values += blobs_try(course, tree, phase, "VBIJKFUGP", false);
    addresses_put(course, tree, phase);
    sum_put(course, phase, "roots", roots->count);
    sum_put(course, phase, "pages", tree_pages(tree));
    sum_put(course, phase, "pages_opened", opened);
    sum_put(course, phase, "values", course->blobs.count);
    sum_put(course, phase, "values_opened", values);
    return tree;
}

/* ---- everything on everything ---- */

struct pool {
    unsigned char (*keys)[KEY_BYTES];
    size_t count;
    size_t room;
};

static void pool_add(void *context, const unsigned char key[KEY_BYTES])
{
    struct pool *pool = context;

    if (pool->count == pool->room) {
        pool->room = pool->room == 0 ? 1024 : pool->room * 2;
        pool->keys = grown(pool->keys, pool->room, KEY_BYTES);
    }
    memcpy(pool->keys[pool->count++], key, KEY_BYTES);
}

/* What the attack did not open, with each key of each page, each key that grows for any place, and each slot's own key. */
static void cross_do(struct course *course, const struct tree *tree)
{
    struct pool pool = {0};
    size_t opened = 0;

    tree_secrets(tree, pool_add, &pool);
    for (size_t i = 0; i < course->blobs.count; i++) {
        size_t count = tree_keys(tree, &course->blobs.blobs[i].place, keys_room, KEYS_MAX);

        for (size_t k = 0; k < count; k++) {
            pool_add(&pool, keys_room[k]);
        }
    }
    for (size_t i = 0; i < course->blobs.count; i++) {
        for (size_t k = 0; k < pool.count && !course->opened[i]; k++) {
            size_t bytes = 0;

            if (blob_open(&course->blobs.blobs[i], pool.keys[k], plain_room, &bytes)) {
                course->opened[i] = true;
                opened++;
                line_put(course, "cross", &course->blobs.blobs[i], bytes);
            }
        }
    }
    sum_put(course, "cross", "keys", pool.count);
    sum_put(course, "cross", "values_opened", opened);
    free(pool.keys);
}

/* ---- what lies in the open ---- */

struct finding {
    struct course *course;
    const struct record *record;
    size_t count;
};

static void leak_put(void *context, uint64_t id, size_t at)
{
    struct finding *finding = context;

    finding->count++;
    (void)fprintf(finding->course->out, "leak %lld %s:%llu\n",
                  id >= SECRET_ID ? -1LL : (long long)id, finding->record->path,
                  (unsigned long long)(finding->record->number + at));
}

static void secret_add(void *context, const unsigned char key[KEY_BYTES])
{
    needles_add(context, (struct bytes){key, KEY_BYTES}, SECRET_ID);
}

static void needles_read(const struct course *course, struct needles *needles)
{
    struct bytes text = file_read(course->needles);
    const char *at = (const char *)text.at;
    const char *past = at + text.size;
    uint64_t id = 0;

    while (at < past) {
        const char *end = memchr(at, '\n', (size_t)(past - at));
        size_t bytes = end == NULL ? 0 : (size_t)(end - at) / 2;
        unsigned char *needle = make(bytes, 1);

        if (end == NULL ||
            sodium_hex2bin(needle, bytes, at, (size_t)(end - at), NULL, &bytes, NULL) != 0) {
            stop("%s: not hex", course->needles);
        }
        needles_add(needles, (struct bytes){needle, bytes}, id++);
        at = end + 1;
    }
}

static bool is_root_file(const struct course *course, const char *path)
{
    for (size_t i = 0; i < course->root_count; i++) {
        if (strcmp(course->roots[i], path) == 0) {
            return true;
        }
    }
    return false;
}

/* Texts that are to be nowhere, and every secret that the control has found: outside the root files no key is ever written in the open. */
static void leaks_do(struct course *course, const struct tree *tree, const struct root_keys *roots)
{
    struct needles *needles = needles_new();
    struct record record;
    struct finding finding = {.course = course, .record = &record};
    struct log log;
    size_t bytes = 0;

    if (course->needles != NULL) {
        needles_read(course, needles);
    }
    sum_put(course, "leaks", "needles", needles_count(needles));
    for (size_t i = 0; i < roots->count; i++) {
        secret_add(needles, roots->keys[i].key);
    }
    tree_secrets(tree, secret_add, needles);
    sum_put(course, "leaks", "needles_and_secrets", needles_count(needles));
    log_open(&log, course->log);
    while (log_next(&log, &record)) {
        if (record.op == 'W' && !is_root_file(course, record.path)) {
            needles_search(needles, record.data, leak_put, &finding);
            bytes += record.data.size;
        }
    }
    sum_put(course, "leaks", "bytes", bytes);
    sum_put(course, "leaks", "found", finding.count);
}

/* ---- whether all was seen ---- */

static void final_check(const struct course *course, const char *folder)
{
    size_t size = strlen(folder);
    bool keys = size > 5 && strcmp(folder + size - 5, "/keys") == 0;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_readoptions_t *read = rocksdb_readoptions_create();
    char *error = NULL;
    rocksdb_t *db = rocksdb_open_for_read_only(options, folder, 0, &error);
    rocksdb_iterator_t *rows;
    size_t count = 0;
    size_t unseen = 0;

    if (error != NULL) {
        stop("%s: %s", folder, error);
    }
    rows = rocksdb_create_iterator(db, read);
    for (rocksdb_iter_seek_to_first(rows); rocksdb_iter_valid(rows); rocksdb_iter_next(rows)) {
        struct bytes key;
        struct bytes value;

        key.at = (const unsigned char *)rocksdb_iter_key(rows, &key.size);
        value.at = (const unsigned char *)rocksdb_iter_value(rows, &value.size);
        count++;
        unseen += !rows_have(&course->rows, keys, key, value);
    }
    sum_put(course, "final", "rows", count);
    sum_put(course, "final", "unseen", unseen);
    rocksdb_iter_destroy(rows);
    rocksdb_close(db);
    rocksdb_readoptions_destroy(read);
    rocksdb_options_destroy(options);
}

static void arguments_read(struct course *course, int count, char **texts)
{
    if (count < 3) {
        stop(
            "usage: hoarder_adversary LOG OUT [--root FILE]... [--final FOLDER]... [--needles FILE] [--cross]");
    }
    course->log = texts[1];
    course->out = fopen(texts[2], "w");
    if (course->out == NULL) {
        stop("%s cannot be written", texts[2]);
    }
    for (int i = 3; i < count; i++) {
        if (strcmp(texts[i], "--cross") == 0) {
            course->cross = true;
        } else if (i + 1 == count) {
            stop("%s needs something behind it", texts[i]);
        } else if (strcmp(texts[i], "--root") == 0 && course->root_count < ROOTS_MAX) {
            course->roots[course->root_count++] = texts[++i];
        } else if (strcmp(texts[i], "--final") == 0 && course->final_count < FINALS_MAX) {
            course->finals[course->final_count++] = texts[++i];
        } else if (strcmp(texts[i], "--needles") == 0) {
            course->needles = texts[++i];
        } else {
            stop("unknown: %s", texts[i]);
        }
    }
}

int main(int argument_count, char **arguments)
{
    static struct course course;
    struct root_keys ever;
    struct root_keys now;
    struct tree *control;
    struct tree *attack;

    if (sodium_init() < 0) {
        stop("libsodium does not start");
    }
    arguments_read(&course, argument_count, arguments);
    rows_collect(&course.rows, course.log);
    blobs_collect(&course.blobs, &course.rows);
    blobs_collect_files(&course.blobs, course.log);
    course.opened = make(course.blobs.count, sizeof *course.opened);
    sum_put(&course, "log", "rows", course.rows.count);
    sum_put(&course, "log", "damaged", (size_t)course.rows.damaged);
    ever = root_keys_ever(course.log);
    now = root_keys_now(&course);
    control = phase_do(&course, "control", &ever, false);
    for (size_t i = 0; i < course.blobs.count; i++) {
        if (!course.opened[i]) {
            (void)fprintf(course.out, "closed %c %llu %llu\n", course.blobs.blobs[i].kind,
                          (unsigned long long)course.blobs.blobs[i].place.slot,
                          (unsigned long long)course.blobs.blobs[i].order);
        }
    }
    leaks_do(&course, control, &ever);
    attack = phase_do(&course, "attack", &now, course.cross);
    if (course.cross) {
        cross_do(&course, attack);
    }
    for (size_t i = 0; i < course.final_count; i++) {
        final_check(&course, course.finals[i]);
    }
    return fclose(course.out) == 0 ? 0 : 2;
}
