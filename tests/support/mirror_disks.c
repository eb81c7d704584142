#include "tests/support/mirror_disks.h"

#include "kms/format.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define DISKS_MAX 32

struct disk {
    char path[KMS_MIRROR_DIR_MAX_BYTES + 8];
    struct memory_storage *storage;
    bool open;
};

struct mirror_disks {
    struct kms_mirror_source face;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool reachable;
    void (*at_open)(void *context);
    void *at_open_context;
    bool hanging;
    size_t waiting; /* writes to a storage that hangs, or hung */
    struct disk disks[DISKS_MAX];
    size_t count;
};

static struct disk *disk_at(struct mirror_disks *disks, const char *path)
{
    for (size_t i = 0; i < disks->count; i++) {
        if (strcmp(disks->disks[i].path, path) == 0) {
            return &disks->disks[i];
        }
    }
    return NULL;
}

static struct disk *disk_add(struct mirror_disks *disks, const char *path,
                             struct memory_storage *storage)
{
    struct disk *disk = &disks->disks[disks->count++];

    assert(disks->count <= DISKS_MAX && strlen(path) < sizeof disk->path);
    memcpy(disk->path, path, strlen(path) + 1);
    disk->storage = storage;
    return disk;
}

static enum kl_status source_open(void *context, const char *dir, bool create,
                                  struct kms_storage *ret_storage, struct kl_err *err)
{
    struct mirror_disks *disks = context;
    struct disk *disk;
    enum kl_status status = KL_OK;

    (void)pthread_mutex_lock(&disks->lock);
    disk = disk_at(disks, dir);
    if (!disks->reachable) {
        status = kl_fail(err, KL_ERR_IO, "injected", "injected", "the disk is cut off");
    } else if (disk == NULL && !create) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "injected", "injected", "there are no rows there");
    } else if (disk != NULL && (disk->open || create)) {
        status = kl_fail(err, disk->open ? KL_ERR_BUSY : KL_ERR_EXISTS, "injected", "injected",
                         "the rows are there, or open");
    } else {
        if (disk == NULL) {
            disk = disk_add(disks, dir, memory_storage_new());
        }
        if (disks->at_open != NULL) {
            disks->at_open(disks->at_open_context);
        }
        disk->open = true;
        *ret_storage = *memory_storage_face(disk->storage);
    }
    (void)pthread_mutex_unlock(&disks->lock);
    return status;
}

static void source_close(void *context, struct kms_storage *storage)
{
    struct mirror_disks *disks = context;

    (void)pthread_mutex_lock(&disks->lock);
    for (size_t i = 0; i < disks->count; i++) {
        if (disks->disks[i].storage == storage->context) {
            assert(disks->disks[i].open);
            disks->disks[i].open = false;
        }
    }
    (void)pthread_mutex_unlock(&disks->lock);
}

struct mirror_disks *mirror_disks_new(void)
{
    struct mirror_disks *disks = calloc(1, sizeof *disks);

    assert(disks != NULL);
    (void)pthread_mutex_init(&disks->lock, NULL);
    (void)pthread_cond_init(&disks->changed, NULL);
    disks->reachable = true;
    disks->face = (struct kms_mirror_source){disks, source_open, source_close};
    return disks;
}

void mirror_disks_free(struct mirror_disks *disks)
{
    (void)pthread_mutex_lock(&disks->lock);
    while (disks->waiting > 0) {
        (void)pthread_cond_wait(&disks->changed, &disks->lock);
    }
    (void)pthread_mutex_unlock(&disks->lock);
    for (size_t i = 0; i < disks->count; i++) {
        memory_storage_free(disks->disks[i].storage);
    }
    (void)pthread_cond_destroy(&disks->changed);
    (void)pthread_mutex_destroy(&disks->lock);
    free(disks);
}

const struct kms_mirror_source *mirror_disks_face(struct mirror_disks *disks)
{
    return &disks->face;
}

struct memory_storage *mirror_disks_at(struct mirror_disks *disks, const char *path)
{
    struct disk *disk;

    (void)pthread_mutex_lock(&disks->lock);
    disk = disk_at(disks, path);
    (void)pthread_mutex_unlock(&disks->lock);
    return disk == NULL ? NULL : disk->storage;
}

void mirror_disks_replace(struct mirror_disks *disks, const char *path,
                          struct memory_storage *storage)
{
    struct disk *disk = disk_at(disks, path);

    if (disk == NULL) {
        (void)disk_add(disks, path, storage);
        return;
    }
    assert(!disk->open);
    memory_storage_free(disk->storage);
    disk->storage = storage;
}

void mirror_disks_forget(struct mirror_disks *disks, const char *path)
{
    struct disk *disk = disk_at(disks, path);

    assert(disk != NULL && !disk->open);
    memory_storage_free(disk->storage);
    *disk = disks->disks[--disks->count];
}

void mirror_disks_reachable(struct mirror_disks *disks, bool reachable)
{
    (void)pthread_mutex_lock(&disks->lock);
    disks->reachable = reachable;
    (void)pthread_mutex_unlock(&disks->lock);
}

void mirror_disks_at_open(struct mirror_disks *disks, void (*call)(void *context), void *context)
{
    (void)pthread_mutex_lock(&disks->lock);
    disks->at_open = call;
    disks->at_open_context = context;
    (void)pthread_mutex_unlock(&disks->lock);
}

static void wait_here(void *watcher, bool after)
{
    struct mirror_disks *disks = watcher;

    (void)pthread_mutex_lock(&disks->lock);
    if (after) {
        disks->waiting--;
    } else {
        disks->waiting++;
        while (disks->hanging) {
            (void)pthread_cond_wait(&disks->changed, &disks->lock);
        }
    }
    (void)pthread_cond_broadcast(&disks->changed);
    (void)pthread_mutex_unlock(&disks->lock);
}

void mirror_disks_hang(struct mirror_disks *disks, struct memory_storage *storage)
{
    (void)pthread_mutex_lock(&disks->lock);
    disks->hanging = true;
    (void)pthread_mutex_unlock(&disks->lock);
    memory_storage_watch_applies(storage, wait_here, disks);
}

void mirror_disks_let_go(struct mirror_disks *disks)
{
    (void)pthread_mutex_lock(&disks->lock);
    disks->hanging = false;
    (void)pthread_cond_broadcast(&disks->changed);
    (void)pthread_mutex_unlock(&disks->lock);
}

size_t mirror_disks_open(struct mirror_disks *disks)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&disks->lock);
    for (size_t i = 0; i < disks->count; i++) {
        count += disks->disks[i].open ? 1 : 0;
    }
    (void)pthread_mutex_unlock(&disks->lock);
    return count;
}

/* The next row that counts, from *i on. */
static bool row_next(struct memory_storage *storage, size_t *i, struct kl_slice *ret_key,
                     struct kl_slice *ret_value)
{
    do {
        ret_value->bytes = memory_storage_row(storage, (*i)++, ret_key, &ret_value->size);
    } while (ret_value->bytes != NULL && ret_key->bytes[0] == KMS_ROW_MIRROR_SELF);
    return ret_value->bytes != NULL;
}

bool mirror_disks_same(struct memory_storage *a, struct memory_storage *b)
{
    size_t i = 0;
    size_t j = 0;

    for (;;) {
        struct kl_slice key_a;
        struct kl_slice key_b;
        struct kl_slice value_a;
        struct kl_slice value_b;
        bool more_a = row_next(a, &i, &key_a, &value_a);
        bool more_b = row_next(b, &j, &key_b, &value_b);

        if (!more_a || !more_b) {
            return more_a == more_b;
        }
        if (!kl_slice_equal(key_a, key_b) || !kl_slice_equal(value_a, value_b)) {
            return false;
        }
    }
}
